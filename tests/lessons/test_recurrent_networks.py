"""The recurrent network that lesson 18 builds, against Keras, differences, and what the text claims."""

from __future__ import annotations

import numpy as np
import pytest

from course_utils.checks import recurrent_networks as check
from tests.lessons.code import lesson_code


@pytest.fixture(scope="module")
def lesson():
    return lesson_code("18_recurrent_networks")


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_states_follow_the_equation(lesson, rng):
    params = lesson.init_rnn(3, 5, 2, rng)
    X = rng.normal(size=(4, 7, 3))
    H = lesson.rnn_forward(X, params)
    assert H.shape == (4, 8, 5) and not H[:, 0].any()
    for t in range(7):
        want = np.tanh(X[:, t] @ params["W_x"] + H[:, t] @ params["W_h"] + params["b"])
        np.testing.assert_allclose(H[:, t + 1], want)


def test_two_pieces_with_the_state_carried_are_one_sequence(lesson, rng):
    params = lesson.init_rnn(3, 5, 2, rng)
    X = rng.normal(size=(4, 10, 3))
    whole = lesson.rnn_forward(X, params)
    first = lesson.rnn_forward(X[:, :6], params)
    second = lesson.rnn_forward(X[:, 6:], params, first[:, -1])
    np.testing.assert_allclose(second[:, -1], whole[:, -1])


def test_recurrent_matrix_is_orthogonal_times_the_radius(lesson, rng):
    W = lesson.init_rnn(3, 20, 2, rng, radius=0.7)["W_h"]
    np.testing.assert_allclose(W @ W.T, 0.49 * np.eye(20), atol=1e-12)


@pytest.mark.parametrize("steps", [1, 2, 9])
def test_gradients_are_those_of_differences(lesson, rng, steps):
    params = lesson.init_rnn(2, 4, 3, rng, radius=1.3)
    X, y = rng.normal(size=(5, steps, 2)), rng.integers(0, 3, 5)
    errors = lesson.largest_relative_error(X, y, params)
    assert set(errors) >= {"W_x", "b", "W_y", "b_y"} and max(errors.values()) < 1e-6


def test_gradients_of_inputs_and_of_the_first_state(lesson, rng):
    params = lesson.init_rnn(2, 4, 3, rng)
    X, h0 = rng.normal(size=(3, 5, 2)), rng.normal(size=(3, 4))
    weights = rng.normal(size=(3, 5, 4))

    def loss(X, h0):
        return (lesson.rnn_forward(X, params, h0)[:, 1:] * weights).sum()

    _, grad_X, grad_h0 = lesson.rnn_backward(X, lesson.rnn_forward(X, params, h0), weights, params)
    for array, gradient, of in ((X, grad_X, lambda a: loss(a, h0)), (h0, grad_h0, lambda a: loss(X, a))):
        for index in list(np.ndindex(array.shape))[::3]:
            step = np.zeros_like(array)
            step[index] = 1e-6
            assert (of(array + step) - of(array - step)) / 2e-6 == pytest.approx(gradient[index], abs=1e-6)


def test_equal_to_keras(lesson, rng):
    differences = lesson.compare_with_keras(rng.normal(size=(6, 15, 4)), lesson.init_rnn(4, 12, 2, rng))
    assert set(differences) == {"states", "W_x", "W_h", "b"} and max(differences.values()) < 1e-4


@pytest.mark.parametrize("radius", [0.5, 1.0, 1.6])
def test_the_gradient_follows_the_spectral_radius_and_tanh_shrinks_it(lesson, rng, radius):
    free = lesson.gradient_norms(radius, 40, rng, False, units=32, copies=10)
    rate = (free[40] / free[20]) ** (1 / 20)
    assert rate == pytest.approx(radius, rel=0.06)
    squashed = lesson.gradient_norms(radius, 40, np.random.default_rng(0), True, units=32, copies=10)
    assert squashed[40] < free[40]


def test_clipping_keeps_the_direction(lesson, rng):
    grads = {"a": rng.normal(size=(3, 4)), "b": 10 * rng.normal(size=5)}
    clipped, norm = lesson.clip_by_global_norm(grads, 1.0)
    flat = np.concatenate([g.ravel() for g in grads.values()])
    cut = np.concatenate([g.ravel() for g in clipped.values()])
    assert norm == pytest.approx(np.linalg.norm(flat)) and np.linalg.norm(cut) == pytest.approx(1.0)
    np.testing.assert_allclose(cut * norm, flat, rtol=1e-9)
    assert lesson.clip_by_global_norm(grads, 1e3)[0]["a"] == pytest.approx(grads["a"])


def test_adam_here_is_that_of_keras(lesson, rng):
    import keras

    params = lesson.init_rnn(2, 4, 2, rng)
    X, y = rng.normal(size=(8, 6, 2)), rng.integers(0, 2, 8)
    variables = {name: keras.Variable(p.astype("float64"), dtype="float64") for name, p in params.items()}
    optimizer = keras.optimizers.Adam(0.003, epsilon=1e-12)
    for _ in range(10):
        _, grads = lesson.loss_and_grads(X, y, {name: v.numpy() for name, v in variables.items()})
        grads, _ = lesson.clip_by_global_norm(grads, 1.0)
        optimizer.apply_gradients([(grads[name], v) for name, v in variables.items()])
    lesson.train(params, [(X, y)] * 10, learning_rate=0.003, limit=1.0)
    for name, variable in variables.items():
        np.testing.assert_allclose(params[name], variable.numpy(), atol=2e-5)


def test_a_short_latch_is_learnt_and_a_faded_one_is_not(lesson):
    assert lesson.latch_accuracy(5, 1.0, seed=0, updates=120) > 0.95
    assert lesson.latch_accuracy(40, 0.6, seed=0, updates=40) < 0.65


def test_the_echo_is_learnt_from_pieces_as_long_as_the_delay(lesson):
    short = lesson.train_echo(4, np.random.default_rng(0), total=3000)
    long = lesson.train_echo(8, np.random.default_rng(0), total=3000)
    assert long < 0.2 < 0.7 < short


def test_horizon_against_a_plain_search():
    assert check._horizon_solution(np.array([[0.5, 4.0], [0.0, 0.5]]), 0.9) == 6
    rng = np.random.default_rng(2)
    for _ in range(20):
        W = rng.normal(size=(3, 3))
        W *= rng.uniform(0.3, 0.95) / np.abs(np.linalg.eigvals(W)).max()
        lengths = [np.linalg.norm(np.linalg.matrix_power(W, k), 2) for k in range(1, 600)]
        want = max([k for k, length in enumerate(lengths, 1) if length >= 0.3], default=0) + 1
        assert check._horizon_solution(W, 0.3) == want
