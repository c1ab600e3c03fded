"""The functions that lesson 03 builds, against Keras, SciPy, finite differences and what the text claims."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit, log_softmax, ndtr

from course_utils.checks import activation_functions as check
from tests.lessons.code import lesson_code


@pytest.fixture(scope="module")
def lesson():
    return lesson_code("03_activation_functions")


@pytest.fixture
def rng():
    return np.random.default_rng(0)


NAMES = ["step", "sigmoid", "tanh", "ReLU", "leaky ReLU", "ELU", "GELU"]
SMOOTH_AT_0 = {"sigmoid": 0.25, "tanh": 1.0, "ELU": 1.0, "GELU": 0.5}
FROM_THE_LEFT = {"step": 0.0, "ReLU": 0.0, "leaky ReLU": 0.2}


# ---------------------------------------------------------------------------- functions and slopes


def test_all_seven_are_there(lesson):
    assert list(lesson.ACTIVATIONS) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_slopes_are_the_centred_differences(lesson, name):
    phi, slope = lesson.ACTIVATIONS[name]
    z = np.linspace(-9, 9, 400)  # 0 is not on this grid
    assert np.allclose(slope(z), (phi(z + 1e-5) - phi(z - 1e-5)) / 2e-5, atol=1e-8)
    assert np.allclose(lesson.numerical_slope(phi, z), slope(z), atol=1e-8)


@pytest.mark.parametrize("name", NAMES)
def test_slope_at_zero_is_the_one_from_the_left(lesson, name):
    slope = lesson.ACTIVATIONS[name][1]
    wanted = (SMOOTH_AT_0 | FROM_THE_LEFT)[name]
    assert float(slope(np.zeros(1))[0]) == pytest.approx(wanted)


@pytest.mark.parametrize("name", NAMES)
def test_any_shape_goes_in_and_comes_out_and_nothing_overflows(lesson, name):
    with np.errstate(over="raise", invalid="raise"):
        for f in lesson.ACTIVATIONS[name]:
            z = np.array([[-1e4, -700.0, 0.0], [1.0, 700.0, 1e4]])
            out = f(z)
            assert out.shape == z.shape and np.isfinite(out).all()


def test_sigmoid_keeps_its_digits_in_both_tails(lesson):
    z = np.linspace(-700, 700, 999)
    assert np.allclose(lesson.sigmoid(z), expit(z), rtol=1e-12, atol=0)
    assert np.allclose(lesson.sigmoid_slope(z), expit(z) * expit(-z), rtol=1e-12, atol=0)


def test_bounds_that_the_text_states(lesson):
    z = np.linspace(-10, 10, 4001)
    assert lesson.sigmoid_slope(z).max() == pytest.approx(0.25)
    assert lesson.tanh_slope(z).max() == pytest.approx(1)
    assert lesson.gelu_slope(z).max() > 1 > 0 > lesson.gelu_slope(z).min()
    for name in NAMES:
        if name != "GELU":
            assert (lesson.ACTIVATIONS[name][1](z) >= 0).all() and (lesson.ACTIVATIONS[name][1](z) <= 1).all()


def test_gelu_is_z_times_the_normal_distribution_function(lesson):
    z = np.linspace(-12, 12, 999)
    assert np.allclose(lesson.normal_cdf(z), ndtr(z), rtol=1e-10, atol=0)
    assert np.allclose(lesson.gelu(z), z * ndtr(z), rtol=1e-10, atol=1e-300)
    assert 1e-4 < np.abs(lesson.gelu_tanh(z) - lesson.gelu(z)).max() < 1e-3


def test_values_and_slopes_equal_keras(lesson):
    grid = np.append(np.linspace(-8, 8, 400), 0.0)
    for name, keras_name in lesson.KERAS_NAMES.items():
        values, slopes = lesson.keras_value_and_slope(keras_name, grid)
        assert np.allclose(values, lesson.ACTIVATIONS[name][0](grid), atol=1e-5)
        assert np.allclose(slopes, lesson.ACTIVATIONS[name][1](grid), atol=1e-5)


def test_the_tanh_approximation_is_keras_s(lesson):
    import keras

    z = np.linspace(-6, 6, 301)
    theirs = keras.ops.convert_to_numpy(keras.activations.gelu(z.astype("float32"), approximate=True))
    assert np.allclose(theirs, lesson.gelu_tanh(z), atol=1e-5)


# ---------------------------------------------------------------------------- softmax


def test_softmax(lesson, rng):
    logits = rng.normal(size=(6, 4))
    p = lesson.softmax(logits)
    assert np.allclose(p, np.exp(log_softmax(logits, axis=-1)))
    assert np.allclose(lesson.softmax(logits + 100), p)
    assert np.allclose(lesson.softmax(logits, axis=0).sum(axis=0), 1)
    assert np.allclose(lesson.softmax(logits, temperature=2.5), lesson.softmax(logits / 2.5))
    assert np.isfinite(lesson.softmax(np.array([[1e6, -1e6, 0.0]]))).all()
    ratio = lesson.softmax(logits, temperature=4)[:, 0] / lesson.softmax(logits, temperature=4)[:, 1]
    assert np.allclose(ratio, (p[:, 0] / p[:, 1]) ** (1 / 4))


def test_softmax_of_two_is_a_sigmoid(lesson, rng):
    logits = rng.normal(0, 5, (50, 2))
    assert np.allclose(lesson.softmax(logits)[:, 0], lesson.sigmoid(logits[:, 0] - logits[:, 1]))


def test_temperature_never_changes_the_order(lesson, rng):
    logits = rng.normal(size=8)
    for temperature in (0.05, 0.7, 30):
        p = lesson.softmax(logits, temperature=temperature)
        assert np.array_equal(np.argsort(p), np.argsort(logits))
    assert lesson.softmax(logits, temperature=1e-3).max() == pytest.approx(1)
    assert np.allclose(lesson.softmax(logits, temperature=1e6), 1 / 8, atol=1e-5)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
def test_softmax_jacobian(lesson, rng, temperature):
    logits = rng.normal(size=5)
    J = lesson.softmax_jacobian(logits, temperature)
    for j, e in enumerate(np.eye(5)):
        up, down = (lesson.softmax(logits + sign * 1e-5 * e, temperature=temperature) for sign in (1, -1))
        assert np.allclose(J[:, j], (up - down) / 2e-5, atol=1e-9)
    assert np.allclose(J, J.T) and np.allclose(J.sum(axis=0), 0)


def test_the_exercise_s_way_back_is_the_jacobian_s_product(lesson, rng):
    logits, g = rng.normal(size=(7, 5)), rng.normal(size=(7, 5))
    got = check.softmax_backward.reference(logits, g, 1)
    assert np.allclose(got, [g[i] @ lesson.softmax_jacobian(logits[i]) for i in range(7)])
    assert np.allclose(check.softmax_backward.reference(logits.T, g.T, 0), got.T)


def test_softmax_on_paper_overflows(lesson):
    with np.errstate(all="ignore"):
        assert np.isnan(lesson.softmax_on_paper(np.array([1000.0, 1001.0]))).all()


# ---------------------------------------------------------------------------- chains, dead units


def test_nudge_is_the_derivative_of_the_network(lesson):
    """The carried nudge equals a finite difference through the same layers."""
    width, depth = 6, 4
    phi, slope = lesson.ACTIVATIONS["tanh"]
    rng = np.random.default_rng(1)
    a = rng.normal(size=(1, width))
    nudge = rng.normal(size=(1, width))
    nudge /= np.linalg.norm(nudge)
    up, down = a + 1e-6 * nudge, a - 1e-6 * nudge
    for _ in range(depth):
        W = rng.normal(0, np.sqrt(1 / width), (width, width))
        up, down = phi(up @ W), phi(down @ W)
    lengths = lesson.nudge_lengths(phi, slope, np.random.default_rng(1), depth, width, examples=1)
    assert lengths[-1] == pytest.approx(np.linalg.norm(up - down) / 2e-6, rel=1e-5)
    assert lengths[0] == 1 and len(lengths) == depth + 1


def test_a_sigmoid_layer_passes_on_less_than_a_quarter_and_tanh_most(lesson, rng):
    ends = {n: lesson.nudge_lengths(*lesson.ACTIVATIONS[n], rng, depth=10)[-1] for n in NAMES[1:]}
    assert ends["sigmoid"] < 0.25**9
    assert ends["sigmoid"] < ends["GELU"] < ends["ReLU"] < ends["tanh"]


def test_never_fires(lesson):
    X = np.array([[1.0], [2.0]])
    W, b = np.array([[1.0, -1.0, 0.0, -1.0]]), np.array([0.0, 0.5, 0.0, 1.5])
    assert lesson.never_fires(X, W, b).tolist() == [False, True, True, False]


def test_a_dead_unit_stays_dead_to_the_last_bit(lesson, rng):
    import keras

    keras.utils.set_random_seed(0)
    model = lesson.network("relu", hidden_layers=1, units=16)
    W, b, V, c = model.get_weights()
    b[:5] = -100.0
    model.set_weights([W, b, V, c])
    X = rng.uniform(size=(1400, 784)).astype("float32")
    y = rng.integers(0, 10, 1400)
    lesson.train(model, X, y, epochs=1)
    after = model.get_weights()
    assert np.array_equal(after[0][:, :5], W[:, :5]) and np.array_equal(after[1][:5], b[:5])
    assert not np.array_equal(after[0][:, 5:], W[:, 5:])


def test_gradients_of_a_deep_sigmoid_network_shrink_towards_the_input(lesson, rng):
    import keras

    keras.utils.set_random_seed(1)
    X, y = rng.uniform(size=(100, 784)).astype("float32"), rng.integers(0, 10, 100)
    sizes = lesson.layer_gradients(lesson.network("sigmoid", 5), X, y)
    assert len(sizes) == 6 and (sizes[1:] > 2 * sizes[:-1]).all()
    level = lesson.layer_gradients(lesson.network("tanh", 5), X, y)[:5]
    assert level.max() < 3 * level.min()


# ---------------------------------------------------------------------------- exercises


@pytest.mark.parametrize("alpha", [0.3, 1.0, 1.7])
def test_elu_reference(lesson, alpha):
    z = np.linspace(-5, 5, 100)
    values, slopes = check.elu_with_slope.reference(z, alpha)
    shifted = [check.elu_with_slope.reference(z + s, alpha)[0] for s in (1e-5, -1e-5)]
    assert np.allclose(slopes, (shifted[0] - shifted[1]) / 2e-5, atol=1e-8)
    if alpha == 1:
        assert np.allclose(values, lesson.elu(z)) and np.allclose(slopes, lesson.elu_slope(z))


def test_silu_reference_and_the_source_that_is_shown():
    function, lowest = check.silu.reference
    namespace = {"np": np}
    exec(check.silu.solution_source(), namespace)
    assert namespace["silu_lowest"] == pytest.approx(lowest, abs=1e-9)
    z = np.linspace(-8, 8, 100)
    assert np.allclose(namespace["silu_with_slope"](z), function(z))
    numerical = (function(z + 1e-5)[0] - function(z - 1e-5)[0]) / 2e-5
    assert np.allclose(function(z)[1], numerical, atol=1e-8)
    assert np.allclose(np.ravel(function(np.array([1.0]))), [0.7311, 0.9277], atol=5e-5)


def test_numbers_in_the_exercises():
    assert np.allclose(
        check.elu_with_slope.reference(np.array([-1.0, 2.0]), 0.5), [[-0.316, 2], [0.184, 1]], atol=1e-3
    )
    assert np.allclose(check.softmax_backward.reference(np.zeros(2), np.array([1.0, 0.0]), 0), [0.25, -0.25])
    assert check.count_dead.reference(
        np.array([[1.0], [2.0]]), [(np.array([[1.0, -1.0]]), np.array([0.0, 1.0]))]
    ) == [1]
