"""The functions that lesson 04 builds, against Keras, analytic values and what the text claims."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from course_utils.checks import multilayer_perceptron as check
from tests.lessons.code import lesson_code

SIZES = [(2, 1), (3, 4, 1), (5, 7, 2), (4, 4, 4, 4, 4), (784, 128, 64, 10), (1, 30, 1)]


@pytest.fixture(scope="module")
def lesson():
    return lesson_code("04_multilayer_perceptron")


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def some_params(sizes, rng):
    """Random weights and, unlike at the start of training, random biases."""
    return [(rng.normal(0, 1 / np.sqrt(n), (n, k)), rng.normal(0, 1, k)) for n, k in pairwise(sizes)]


# ---------------------------------------------------------------------------- forward propagation


@pytest.mark.parametrize("sizes", SIZES, ids=str)
@pytest.mark.parametrize("activation", ["relu", "tanh", "sigmoid"])
def test_forward_equals_keras(lesson, rng, sizes, activation):
    import keras

    params = some_params(sizes, rng)
    layers = [keras.layers.Dense(units, activation=activation) for units in sizes[1:-1]]
    model = keras.Sequential([keras.Input((sizes[0],)), *layers, keras.layers.Dense(sizes[-1])])
    model.set_weights([array for pair in params for array in pair])
    X = rng.normal(size=(11, sizes[0]))
    ours = lesson.forward(X, params, {"tanh": np.tanh}.get(activation) or getattr(lesson, activation))
    assert np.allclose(lesson.keras_logits(model, X), ours, rtol=1e-4, atol=1e-4)


def test_the_lesson_s_keras_model_takes_our_weights_and_returns_our_logits(lesson, rng):
    params = lesson.init_params((784, 128, 64, 10), rng)
    model = lesson.dense_network((784, 128, 64, 10))
    model.set_weights([array for pair in params for array in pair])
    X = rng.uniform(size=(50, 784))
    assert np.abs(lesson.keras_logits(model, X) - lesson.forward(X, params)).max() < 1e-4


@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_parameters_are_counted_alike(lesson, rng, sizes):
    ours = sum(W.size + b.size for W, b in lesson.init_params(sizes, rng))
    assert ours == check.count_parameters.reference(sizes) == lesson.dense_network(sizes).count_params()


def test_parameter_counts_in_the_text():
    assert check.count_parameters.reference((784, 128, 64, 10)) == 109_386
    assert check.count_parameters.reference((2, 16, 16, 1)) == 337
    assert check.count_parameters.reference((2, 3, 1)) == 13


def test_start_has_the_stated_scale_and_no_biases(lesson, rng):
    (W, b), (V, c) = lesson.init_params((800, 400, 300), rng)
    assert not b.any() and not c.any()
    assert W.std() == pytest.approx(np.sqrt(2 / 800), rel=0.02)
    assert V.std() == pytest.approx(np.sqrt(2 / 400), rel=0.02)


def test_all_layers_starts_with_the_batch_and_ends_with_logits(lesson, rng):
    params = some_params((5, 7, 6, 3), rng)
    X = rng.normal(size=(4, 5))
    outputs = lesson.all_layers(X, params)
    assert [a.shape for a in outputs] == [(4, 5), (4, 7), (4, 6), (4, 3)]
    assert np.array_equal(outputs[0], X)
    assert np.array_equal(outputs[-1], lesson.forward(X, params))
    assert (outputs[1] >= 0).all() and (outputs[-1] < 0).any()


def test_an_example_alone_gets_the_logits_of_the_batch(lesson, rng):
    params = some_params((5, 7, 6, 3), rng)
    X = rng.normal(size=(8, 5))
    alone = np.vstack([lesson.forward(row[None, :], params) for row in X])
    assert np.allclose(lesson.forward(X, params), alone)


def test_softmax(lesson, rng):
    logits = rng.normal(size=(6, 4))
    p = lesson.softmax(logits)
    assert np.allclose(p.sum(axis=1), 1) and (p > 0).all()
    assert np.allclose(np.log(p[:, 0] / p[:, 1]), logits[:, 0] - logits[:, 1])
    assert np.allclose(lesson.softmax(logits + 1e4), p)
    assert np.isfinite(lesson.softmax(np.array([[1e6, -1e6]]))).all()


def test_sigmoid_is_the_logistic_function_and_does_not_overflow(lesson):
    z = np.linspace(-20, 20, 81)
    assert np.allclose(lesson.sigmoid(z), 1 / (1 + np.exp(-z)))
    with np.errstate(all="raise"):
        assert lesson.sigmoid(np.array([-1e9, 1e9])).tolist() == [0.0, 1.0]


def test_linear_layers_collapse_to_the_merged_layer(lesson, rng):
    params = some_params((6, 5, 2, 4), rng)
    X = rng.normal(size=(9, 6))
    merged = params
    while len(merged) > 1:
        (W, b), (V, c) = merged[:2]
        merged = [(W @ V, b @ V + c), *merged[2:]]
    assert np.allclose(lesson.forward(X, params, activation=lambda z: z), lesson.forward(X, merged))
    assert np.linalg.matrix_rank(merged[0][0]) == 2


# ---------------------------------------------------------------------------- networks built by hand


@pytest.mark.parametrize("f", [np.sin, np.exp, lambda x: np.abs(x - 0.3), lambda x: 3 * x - 1], ids=range(4))
@pytest.mark.parametrize("units", [1, 2, 7, 40])
def test_polyline_is_linear_interpolation(lesson, f, units):
    x = np.linspace(0, 1, 1001)
    knots = np.linspace(0, 1, units + 1)
    drawn = lesson.forward(x[:, None], lesson.polyline_network(f, units))[:, 0]
    assert np.allclose(drawn, np.interp(x, knots, f(knots)))


def test_polyline_leaves_the_interval_flat_on_the_left_and_straight_on_the_right(lesson):
    params = lesson.polyline_network(lesson.curve, 12)
    left, right = np.linspace(-3, 0, 50)[:, None], np.linspace(1, 4, 50)[:, None]
    assert np.allclose(lesson.forward(left, params), lesson.curve(0.0))
    assert np.allclose(np.diff(lesson.forward(right, params)[:, 0], n=2), 0)


def test_errors_fall_at_the_rates_that_the_text_derives(lesson):
    x = np.linspace(0, 1, 4001)[:, None]

    def error(params, activation):
        return np.abs(lesson.forward(x, params, activation) - lesson.curve(x)).max()

    treads = [error(lesson.staircase_network(lesson.curve, n), lesson.sigmoid) for n in (100, 200)]
    lines = [error(lesson.polyline_network(lesson.curve, n), lesson.relu) for n in (100, 200)]
    assert treads[0] / treads[1] == pytest.approx(2, rel=0.05)
    assert lines[0] / lines[1] == pytest.approx(4, rel=0.05)

    steepest = np.abs(np.gradient(lesson.curve(x[:, 0]), x[:, 0])).max()
    bend = np.abs(np.gradient(np.gradient(lesson.curve(x[:, 0]), x[:, 0]), x[:, 0])).max()
    assert treads[0] <= 1.05 * steepest / (2 * 101)
    assert lines[0] <= 1.05 * bend / (8 * 100**2)


def test_random_kinks_get_the_least_squares_output_weights(lesson, rng):
    params = lesson.random_kink_network(lesson.curve, 20, rng)
    x = np.linspace(0, 1, 601)[:, None]
    features = lesson.all_layers(x, params)[1]
    residual = lesson.forward(x, params) - lesson.curve(x)
    assert np.abs(features.T @ residual).max() < 1e-8
    assert np.abs(residual.sum()) < 1e-8


def test_compose_is_one_network_after_the_other(lesson, rng):
    first, second = some_params((3, 6, 2), rng), some_params((2, 5, 4, 1), rng)
    X = rng.normal(size=(10, 3))
    both = lesson.compose(first, second)
    assert len(both) == len(first) + len(second) - 1
    assert np.allclose(lesson.forward(X, both), lesson.forward(lesson.forward(X, first), second))


@pytest.mark.parametrize("depth", [1, 2, 3, 6, 9])
def test_sawtooth_is_the_triangle_wave_with_the_stated_units_and_pieces(lesson, depth):
    params = lesson.sawtooth_network(depth)
    assert sum(len(b) for _, b in params[:-1]) == 2 * depth
    x = np.linspace(0, 1, 5001)
    wave = np.abs((x * 2 ** (depth - 1)) % 1 - 0.5)
    assert np.allclose(lesson.forward(x[:, None], params)[:, 0], 1 - 2 * wave, atol=1e-9)
    midpoints = (np.arange(2**12)[:, None] + 0.5) / 2**12
    assert lesson.count_pieces(params, midpoints) == 2**depth


@pytest.mark.parametrize("units", [1, 5, 33])
def test_one_hidden_layer_has_at_most_one_piece_more_than_units(lesson, rng, units):
    line = np.linspace(-1, 1, 20_001)[:, None]
    inside = [(np.ones((1, units)), -np.linspace(-0.9, 0.9, units)), (np.ones((units, 1)), np.zeros(1))]
    assert lesson.count_pieces(inside, line) == units + 1
    assert lesson.count_pieces(some_params((1, units, 1), rng), line) <= units + 1


def test_xor_reference_and_fold(lesson):
    corners = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], dtype=float)
    W1, b1, W2, b2 = check.xor_with_relu.reference
    assert np.allclose(lesson.forward(corners, [(W1, b1), (W2, b2)])[:, 0], [0, 1, 1, 0])


def test_maximum_reference(lesson, rng):
    X = rng.normal(0, 10, (200, 2))
    assert np.allclose(lesson.forward(X, check.maximum_network.reference())[:, 0], X.max(axis=1))


# ---------------------------------------------------------------------------- symmetry


def test_exchanging_hidden_units_changes_nothing(lesson, rng):
    (W, b), (V, c) = some_params((4, 6, 3), rng)
    order = rng.permutation(6)
    X = rng.normal(size=(7, 4))
    exchanged = [(W[:, order], b[order]), (V[order], c)]
    assert np.allclose(lesson.forward(X, [(W, b), (V, c)]), lesson.forward(X, exchanged))


def test_equal_units_have_equal_slopes_and_unequal_units_have_not(lesson, rng):
    X, target = rng.normal(size=(30, 2)), rng.normal(size=(30, 1))

    def slopes(W, b, V, c, step=1e-5):
        """Numerical gradient of the mean squared error with respect to the first weights."""

        def loss(W):
            return np.mean((lesson.forward(X, [(W, b), (V, c)], np.tanh) - target) ** 2)

        result = np.zeros_like(W)
        for place in np.ndindex(W.shape):
            shift = np.zeros_like(W)
            shift[place] = step
            result[place] = (loss(W + shift) - loss(W - shift)) / (2 * step)
        return result

    equal = slopes(np.full((2, 4), 0.1), np.full(4, 0.1), np.full((4, 1), 0.1), np.zeros(1))
    assert np.abs(equal).max() > 1e-3
    assert np.ptp(equal, axis=1).max() < 1e-8
    random = slopes(rng.normal(size=(2, 4)), np.zeros(4), rng.normal(size=(4, 1)), np.zeros(1))
    assert np.ptp(random, axis=1).max() > 1e-3


def test_keras_keeps_equal_units_equal(lesson, rng):
    import keras

    keras.utils.set_random_seed(0)
    start = keras.initializers.Constant(0.1)
    layers = [keras.layers.Dense(k, activation="relu", kernel_initializer=start) for k in (8, 8)]
    last = keras.layers.Dense(1, kernel_initializer=start)
    model = keras.Sequential([keras.Input((2,)), *layers, last])
    X = rng.normal(size=(64, 2)).astype("float32")
    y = (X[:, 0] * X[:, 1] > 0).astype("float32")
    model.compile(
        optimizer=keras.optimizers.Adam(0.02), loss=keras.losses.BinaryCrossentropy(from_logits=True)
    )
    for _ in range(30):
        model.train_on_batch(X, y)
    assert np.abs(model.get_weights()[0] - 0.1).max() > 0.01, "the weights should have moved"
    assert lesson.spread_between_units(model) < 1e-5
