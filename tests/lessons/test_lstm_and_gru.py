"""The cells that lesson 19 builds, against Keras, differences, and what the text claims."""

from __future__ import annotations

import numpy as np
import pytest

from course_utils.checks import lstm_and_gru as check
from tests.lessons.code import lesson_code


@pytest.fixture(scope="module")
def lesson():
    return lesson_code("19_lstm_and_gru")


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_gradients_are_those_of_differences(lesson, rng):
    for steps in (1, 6):
        errors = lesson.lstm_gradient_errors(rng, steps=steps)
        assert max(errors.values()) < 1e-6


def test_equal_to_keras_and_not_if_gates_are_swapped(lesson, rng):
    differences = lesson.compare_with_keras(rng, units=7, steps=12)
    assert differences.pop("LSTM, i and f swapped") > 0.05
    assert len(differences) == 4 and max(differences.values()) < 1e-4


def test_numbers_of_parameters(lesson, rng):
    import keras

    for d, u in ((3, 5), (8, 4)):
        lstm, gru = keras.layers.LSTM(u), keras.layers.GRU(u)
        lstm.build((None, 4, d))
        gru.build((None, 4, d))
        assert (
            lstm.count_params()
            == 4 * (d * u + u * u + u)
            == sum(a.size for a in lesson.init_lstm(d, u, rng).values())
        )
        assert (
            gru.count_params()
            == 3 * (d * u + u * u + 2 * u)
            == sum(a.size for a in lesson.init_gru(d, u, rng).values())
        )


def test_the_direct_path_is_the_product_of_the_forget_gates(lesson, rng):
    params = lesson.init_lstm(2, 3, rng)
    params["U"][:] = 0  # no path but the direct one
    X = rng.normal(size=(1, 6, 2))
    _H, C, gates = lesson.lstm_forward(X, params)
    kept = gates[0, 2:, 1].prod(axis=0)  # steps 3 to 6

    def last_state(bump):
        """The last cell state if the state after step 2 is another."""
        state = C[0, 2] + bump
        for t in range(2, 6):
            i, f, g, _ = gates[0, t]
            state = f * state + i * g
        return state

    np.testing.assert_allclose((last_state(1e-3) - last_state(-1e-3)) / 2e-3, kept, rtol=1e-6)


def test_a_gru_state_is_a_mixture_and_stays_within_bounds(lesson, rng):
    for after in (True, False):
        H, gates = lesson.gru_forward(
            10 * rng.normal(size=(4, 30, 3)), lesson.init_gru(3, 6, rng, after), after
        )
        assert np.abs(H).max() <= 1 and (gates > 0).all() and (gates < 1).all()


def test_by_hand(lesson):
    kept = lesson.run_by_hand(1.0)
    assert (kept[:2] == 0).all() and np.allclose(kept[2:20], 0.8) and (kept[20:] == 0).all()
    assert lesson.run_by_hand(0.9)[12] == pytest.approx(0.8 * 0.9**10)


def test_tasks_are_what_they_say(lesson, rng):
    X, y = lesson.adding_batch(200, 10, rng)
    assert (
        X.shape == (200, 10, 2)
        and (X[:, :5, 1].sum(axis=1) == 1).all()
        and (X[:, 5:, 1].sum(axis=1) == 1).all()
    )
    np.testing.assert_allclose(y[:, 0], (X[..., 0] * X[..., 1]).sum(axis=1))
    _, many = lesson.adding_batch(20_000, 10, rng)
    assert np.mean((many - 1) ** 2) == pytest.approx(1 / 6, abs=0.005)
    X, what = lesson.copying_batch(50, 6, rng)
    assert X.shape == (50, 14, lesson.SYMBOLS + 2) and what.shape == (50, 4)
    assert np.array_equal(X[:, :4].argmax(axis=-1), what)
    assert (X[:, 9].argmax(axis=-1) == lesson.SYMBOLS + 1).all()
    assert (X[:, 10:].argmax(axis=-1) == lesson.SYMBOLS).all()


def test_biases_for_all_lengths(lesson):
    import keras

    model = keras.Sequential([keras.layers.Input((5, 2)), keras.layers.LSTM(8), keras.layers.Dense(1)])
    lesson.long_memory_start(model)
    b = model.layers[0].get_weights()[2]
    memory = np.exp(b[8:16])
    assert (memory >= 1).all() and (memory <= lesson.LONG - 1).all()
    np.testing.assert_allclose(b[:8], -b[8:16])
    np.testing.assert_allclose(1 / (1 + np.exp(-b[8:16])), memory / (memory + 1), rtol=1e-5)


def test_half_life(rng):
    for life in (0.7, 5.0, 250.0):
        gate = 1 / (1 + np.exp(-check._forget_bias_for_solution(life)))
        assert gate**life == pytest.approx(0.5)
