"""What lesson 26 builds, against Keras, finite differences, exact values, and what its text claims."""

from __future__ import annotations

import math

import numpy as np
import pytest

from course_utils.checks import initialization_and_normalization as check
from tests.lessons.code import lesson_code


@pytest.fixture(scope="module")
def lesson():
    return lesson_code("26_initialization_and_normalization")


@pytest.fixture
def rng():
    return np.random.default_rng(0)


# ---------------------------------------------------------------------------- signal


def test_each_line_of_the_derivation_holds(lesson, rng):
    for n_in, n_out, variance in ((100, 60, 0.02), (50, 80, 0.01)):
        for name, predicted, measured in lesson.measure_layer(n_in, n_out, variance, rng):
            assert measured == pytest.approx(predicted, rel=0.03, abs=0.03), name


@pytest.mark.parametrize(
    ("activation", "gain", "factor"), [("ReLU", 2, 1.0), ("ReLU", 1, 0.5), ("linear", 1, 1.0)]
)
def test_mean_square_over_depth_follows_the_power_law(lesson, rng, activation, gain, factor):
    depth, width = 8, 100
    X = rng.normal(size=(20, width))
    squares = []
    for _ in range(60):
        weights = math.sqrt(gain / width) * rng.normal(size=(depth, width, width))
        squares.append(lesson.rms(lesson.forward(X, weights, activation)[0][-1]) ** 2)
    assert np.mean(squares) == pytest.approx(factor**depth, rel=0.25)


def test_backward_sizes_are_those_of_the_tape(lesson, rng):
    import tensorflow as tf

    X, weights = rng.normal(size=(4, 6)), rng.normal(size=(3, 6, 6))
    A, Z = lesson.forward(X, weights, "tanh")
    arriving = np.random.default_rng(7).normal(size=Z[-1].shape)
    sizes = lesson.backward_sizes(Z, weights, "tanh", np.random.default_rng(7))
    inputs = tf.constant(X)
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        out = inputs
        for W in weights:
            out = tf.tanh(out @ W)
        total = tf.reduce_sum(out * arriving)
    assert sizes[0] == pytest.approx(lesson.rms(tape.gradient(total, inputs).numpy()))
    assert len(sizes) == len(A)


def test_tanh_fades_like_one_over_twice_the_depth(lesson, rng):
    width = 400
    weights = rng.normal(size=(30, width, width)) / math.sqrt(width)
    q = lesson.rms(lesson.forward(rng.normal(size=(30, width)), weights, "tanh")[0][-1]) ** 2
    assert q == pytest.approx(1 / 61, rel=0.3)


def test_equal_weights_stay_equal(lesson, rng):
    X, y = rng.normal(size=(50, 4)), rng.normal(size=(50, 1))
    W1, W2, _ = lesson.train_two_layers(np.full((4, 6), 0.2), np.full((6, 1), 0.2), X, y)
    assert np.allclose(W1, W1[:, :1]) and np.allclose(W2, W2[0]) and not np.allclose(W1, 0.2)
    W1, W2, _ = lesson.train_two_layers(np.zeros((4, 6)), np.zeros((6, 1)), X, y)
    assert not W1.any() and not W2.any()


def test_orthogonal_matrices(lesson, rng):
    Q = lesson.orthogonal(7, rng)
    assert np.allclose(Q @ Q.T, np.eye(7))
    assert np.allclose(lesson.stretches([lesson.orthogonal(7, rng) for _ in range(5)]), 1)


def test_only_batch_normalisation_keeps_examples_apart(lesson, rng):
    X = rng.normal(size=(64, 100))
    weights = math.sqrt(2 / 100) * rng.normal(size=(30, 100, 100))
    plain, batch, layer = (lesson.cosine_over_depth(X, weights, axis)[-1] for axis in (None, 0, 1))
    assert batch < 0.5 < 0.9 < min(plain, layer)


# ---------------------------------------------------------------------------- normalisation


@pytest.mark.parametrize("kind", ["BatchNorm", "LayerNorm"])
def test_gradients_against_finite_differences(lesson, rng, kind):
    layer = getattr(lesson, kind)(4)
    layer.gamma, layer.beta = rng.normal(size=4), rng.normal(size=4)
    assert lesson.largest_gradient_error(layer, rng.normal(1, 2, (6, 4)), rng.normal(size=(6, 4))) < 1e-7


@pytest.mark.parametrize("momentum", [0.5, 0.99])
def test_batch_norm_equals_keras_in_both_modes(lesson, rng, momentum):
    from keras import layers

    ours, theirs = lesson.BatchNorm(3, momentum), layers.BatchNormalization(momentum=momentum)
    for m in (8, 5, 16):
        Z = rng.normal(2, 3, size=(m, 3)).astype("float32")
        assert np.allclose(ours.forward(Z, training=True), theirs(Z, training=True).numpy(), atol=1e-5)
    _, _, mean, variance = theirs.get_weights()
    assert np.allclose(ours.running_mean, mean, atol=1e-5)
    assert np.allclose(ours.running_variance, variance, atol=1e-5)
    assert np.allclose(ours.forward(Z, training=False), theirs(Z, training=False).numpy(), atol=1e-5)


def test_layer_norm_equals_keras_with_gradients(lesson, rng):
    from keras import layers

    ours, theirs = lesson.LayerNorm(6), layers.LayerNormalization()
    theirs.build((None, 6))
    ours.gamma, ours.beta = rng.normal(size=6), rng.normal(size=6)
    theirs.set_weights([ours.gamma, ours.beta])
    Z, grad_Y = rng.normal(size=(5, 6)), rng.normal(size=(5, 6))
    assert np.allclose(ours.forward(Z), theirs(Z.astype("float32")).numpy(), atol=1e-5)
    for mine, tape in zip(ours.backward(grad_Y), lesson.keras_gradients(theirs, Z, grad_Y), strict=True):
        assert np.allclose(mine, tape, atol=1e-4)


def test_a_batch_of_one_gives_beta_and_no_gradient(lesson, rng):
    layer = lesson.BatchNorm(3)
    layer.beta = rng.normal(size=3)
    assert np.allclose(layer.forward(rng.normal(size=(1, 3)), training=True), layer.beta)
    assert not layer.backward(rng.normal(size=(1, 3)))[0].any()


def test_bias_and_length_of_the_weights_do_nothing_before_a_normalisation(lesson, rng):
    X, W, grad_Y = rng.normal(size=(20, 4)), 10 * rng.normal(size=(4, 3)), rng.normal(size=(20, 3))
    Y, grad_W, grad_b = lesson.dense_then_norm(X, W, np.zeros(3), lesson.BatchNorm(3), grad_Y)
    Y_double, grad_double, _ = lesson.dense_then_norm(X, 2 * W, np.ones(3), lesson.BatchNorm(3), grad_Y)
    assert np.allclose(Y, Y_double, atol=1e-4) and np.allclose(grad_b, 0)
    assert np.allclose(grad_double, grad_W / 2, atol=1e-5)
    assert np.allclose(np.sum(W * grad_W, axis=0), 0, atol=1e-3)


# ---------------------------------------------------------------------------- the fleet


@pytest.mark.parametrize("norm", ["batch", "layer", "group"])
def test_fleet_normalises_over_the_right_numbers(lesson, rng, norm):
    import tensorflow as tf

    Z = rng.normal(size=(3, 8, 12)).astype("float32")
    out, _ = lesson.fleet_normalise(tf.constant(Z), norm, 4)
    view, axis = {"batch": ((3, 2, 4, 12), 2), "layer": ((3, 8, 12), 2), "group": ((3, 8, 4, 3), 3)}[norm]
    table = Z.reshape(view)
    spread = np.sqrt(table.var(axis, keepdims=True) + lesson.EPSILON)
    wanted = (table - table.mean(axis, keepdims=True)) / spread
    assert np.allclose(out, wanted.reshape(Z.shape), atol=1e-4)


def test_fleet_gradient_is_that_of_the_tape(lesson, rng):
    import tensorflow as tf

    Z, g = (tf.constant(array, tf.float32) for array in rng.normal(size=(2, 2, 1, 5, 3)))
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(Z)
        ours = tf.reduce_sum(lesson.standardise(Z)[0] * g)
        mean, variance = tf.nn.moments(Z, axes=[2], keepdims=True)
        theirs = tf.reduce_sum((Z - mean) / tf.sqrt(variance + lesson.EPSILON) * g)
    assert np.allclose(tape.gradient(ours, Z), tape.gradient(theirs, Z), atol=1e-5)


def test_networks_of_a_fleet_do_not_influence_each_other(lesson, rng):
    x, y = rng.normal(size=(60, 49)).astype("float32"), rng.integers(10, size=60)
    batches = rng.integers(60, size=(4, 20))
    ends = []
    for starts, seeds, rates in ((["He", "Glorot"], [3, 4], [0.1, 0.01]), (["He"], [3], [0.1])):
        begun = lesson.fleet_start(starts, seeds, [49, 8, 8, 10])
        *_, (parameters, running) = lesson.fleet_train(begun, rates, batches, x, y, "batch", group=20)
        ends.append((parameters[0][0][0], running[-1][1][0]))
    assert all(np.allclose(a, b, atol=1e-5) for a, b in zip(*ends, strict=True))


def test_running_statistics_of_a_fleet_are_those_of_the_exercise(lesson, rng):
    x, y = rng.normal(2, 3, size=(40, 49)).astype("float32"), rng.integers(10, size=40)
    batches = rng.integers(40, size=(1, 20))
    begun = lesson.fleet_start(["He"], [0], [49, 6, 10])
    *_, (_, running) = lesson.fleet_train(begun, [0.0], batches, x, y, "batch", group=20, momentum=0.9)
    Z = x[batches[0]] @ begun[0][0][0].numpy()
    mean, variance = check.running_statistics.reference([Z], 0.9)
    assert np.allclose(running[0][0][0, 0], mean, atol=1e-4)
    assert np.allclose(running[0][1][0, 0], variance, rtol=1e-4)


def test_layer_norm_does_not_notice_how_a_step_is_cut(lesson, rng):
    x = rng.normal(size=(40, 49)).astype("float32")
    parameters = lesson.fleet_start(["He"], [0], [49, 8, 8, 10])
    layer = [lesson.fleet_logits(parameters, x, "layer", group)[0] for group in (5, 20)]
    batch = [lesson.fleet_logits(parameters, x, "batch", group)[0] for group in (5, 20)]
    assert np.allclose(*layer) and not np.allclose(*batch)


def test_balanced_batches_hold_every_class_in_blocks(lesson, rng):
    y = rng.integers(10, size=400)
    rows = lesson.balanced_batches(y, 3, rng)
    assert (y[rows] == np.repeat(np.arange(10), 5)).all()


# ---------------------------------------------------------------------------- exercises and text


def test_starting_std_is_that_of_keras(lesson):
    import keras

    for shape in ((300, 200), (3, 3, 40, 60)):
        for name, activation in (("HeNormal", "relu"), ("GlorotNormal", "tanh")):
            drawn = np.asarray(getattr(keras.initializers, name)(seed=0)(shape))
            assert drawn.std() == pytest.approx(check.starting_std.reference(shape, activation), rel=0.03)
        assert lesson.fans(shape) == (math.prod(shape[:-1]), math.prod(shape[:-2]) * shape[-1])


def test_folded_layer_gives_the_answers_of_the_pair(rng):
    from keras import Sequential, layers

    model = Sequential([layers.Input((4,)), layers.Dense(3), layers.BatchNormalization()])
    W, b, gamma, beta, mean = rng.normal(size=(4, 3)), *rng.normal(size=(4, 3))
    variance = rng.uniform(0.5, 2, 3)
    model.set_weights([W, b, gamma, beta, mean, variance])
    X = rng.normal(size=(6, 4)).astype("float32")
    folded_W, folded_b = check.fold.reference(W, b, gamma, beta, mean, variance, model.layers[1].epsilon)
    assert np.allclose(model(X).numpy(), X @ folded_W + folded_b, atol=1e-4)


def test_rms_norm_backward_is_that_of_the_tape(rng):
    import tensorflow as tf

    Z, gamma, grad_Y = rng.normal(1, 2, (5, 4)), rng.normal(size=4), rng.normal(size=(5, 4))
    tensors = [tf.constant(Z), tf.constant(gamma)]
    with tf.GradientTape() as tape:
        tape.watch(tensors)
        r = tf.sqrt(tf.reduce_mean(tensors[0] ** 2, axis=1, keepdims=True) + 0.2)
        total = tf.reduce_sum(tensors[0] / r * tensors[1] * grad_Y)
    ours = check.rms_norm_backward.reference(grad_Y, Z, gamma, 0.2)
    assert all(np.allclose(a, b) for a, b in zip(ours, tape.gradient(total, tensors), strict=True))


def test_worked_values():
    assert check.starting_std.reference((50, 30), "relu") == pytest.approx(0.2)
    mean, variance = check.running_statistics.reference([np.array([[2.0], [4.0]])], 0.9)
    assert mean == pytest.approx([0.3]) and variance == pytest.approx([1.0])
    ones, zero = np.ones(1), np.zeros(1)
    W, b = check.fold.reference(np.ones((1, 1)), zero, ones, ones, np.full(1, 2.0), np.full(1, 0.25), 0)
    assert np.allclose(W, 2.0) and np.allclose(b, -3.0)
    Z = np.array([[1.0, -2.0, 3.0]])
    assert np.allclose(check.rms_norm_backward.reference(5 * Z, Z, np.ones(3), 0)[0], 0)
    assert check.forward_gain.reference(lambda z: z) == pytest.approx(1, abs=1e-3)
    assert check.forward_gain.reference(lambda z: np.maximum(z, 0)) == pytest.approx(2, abs=1e-3)


def test_gain_keeps_a_deep_gelu_network_at_size_one(lesson, rng):
    from scipy.special import ndtr

    gain, width = check.forward_gain.reference(lambda z: z * ndtr(z)), 300
    A = rng.normal(size=(30, width))
    for _ in range(10):
        Z = A @ (math.sqrt(gain / width) * rng.normal(size=(width, width)))
        A = Z * ndtr(Z)
    assert lesson.rms(A) ** 2 == pytest.approx(1, rel=0.5)
