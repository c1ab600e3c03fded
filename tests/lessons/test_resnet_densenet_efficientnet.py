"""What lesson 16 builds, against Keras, analytic values, and what its text claims."""

from __future__ import annotations

import math

import numpy as np
import pytest

from course_utils.checks import resnet_densenet_efficientnet as check
from course_utils.costs import layer_costs, multiply_adds
from tests.lessons.code import lesson_code


@pytest.fixture(scope="module")
def lesson():
    return lesson_code("16_resnet_densenet_efficientnet")


@pytest.fixture
def rng():
    return np.random.default_rng(0)


# ---------------------------------------------------------------------------- from scratch


@pytest.mark.parametrize("kernel_size", [1, 3, 5])
def test_convolution_equals_keras(lesson, rng, kernel_size):
    from keras import ops

    X, W = rng.normal(size=(2, 5, 7, 3)), rng.normal(size=(kernel_size, kernel_size, 3, 4))
    wanted = ops.convert_to_numpy(ops.conv(X, W, padding="same"))
    assert np.allclose(lesson.conv(X, W), wanted, atol=1e-5)


@pytest.mark.parametrize("projection", [False, True])
def test_gradients_of_the_residual_block_against_finite_differences(lesson, rng, projection):
    filters = 5 if projection else 3
    arrays = [
        rng.normal(size=(2, 4, 5, 3)),
        rng.normal(size=(3, 3, 3, 3)),
        rng.normal(size=(3, 3, 3, filters)),
    ]
    arrays += [rng.normal(size=(1, 1, 3, filters))] if projection else []
    grad_Y = rng.normal(size=lesson.residual_forward(*arrays)[0].shape)
    assert lesson.largest_gradient_error(arrays, grad_Y, rng) < 1e-6


def test_residual_block_equals_the_tape(lesson, rng):
    X, W1, W2 = rng.normal(size=(2, 4, 4, 3)), rng.normal(size=(3, 3, 3, 3)), rng.normal(size=(3, 3, 3, 3))
    grad_Y = rng.normal(size=X.shape)
    ours = lesson.residual_backward(grad_Y, lesson.residual_forward(X, W1, W2)[1], W1, W2)
    theirs = lesson.keras_residual_gradients(X, W1, W2, grad_Y)
    assert all(np.allclose(a, b) for a, b in zip(ours, theirs, strict=True))


def test_a_block_with_a_zero_branch_is_the_identity_both_ways(lesson, rng):
    X = np.abs(rng.normal(size=(2, 4, 4, 3)))  # behind a ReLU nothing is negative
    W1, W2 = rng.normal(size=(3, 3, 3, 3)), np.zeros((3, 3, 3, 3))
    Y, cache = lesson.residual_forward(X, W1, W2)
    grad_Y = rng.normal(size=X.shape)
    grad_X, grad_W1, grad_W2 = lesson.residual_backward(grad_Y, cache, W1, W2)
    assert np.array_equal(Y, X) and np.allclose(grad_X, grad_Y)
    assert not grad_W1.any() and grad_W2.any(), "the last convolution moves first"


@pytest.mark.parametrize("strides", [1])
def test_depthwise_equals_keras(lesson, rng, strides):
    from keras import layers, ops

    X, W, b = rng.normal(size=(2, 6, 5, 4)), rng.normal(size=(3, 3, 4)), rng.normal(size=4)
    layer = layers.DepthwiseConv2D(3, strides, padding="same")
    layer.build(X.shape)
    layer.set_weights([W[..., None], b])
    assert np.allclose(lesson.depthwise(X, W, b), ops.convert_to_numpy(layer(X.astype("float32"))), atol=1e-5)


def test_separable_pair_is_a_convolution_with_a_product_for_its_kernel(lesson, rng):
    X, W, P = rng.normal(size=(2, 6, 5, 4)), rng.normal(size=(3, 3, 4)), rng.normal(size=(4, 7))
    pair = lesson.pointwise(lesson.depthwise(X, W, np.zeros(4)), P)
    assert np.allclose(pair, lesson.conv(X, W[..., None] * P))


def test_squeeze_excitation_equals_keras_and_gives_one_factor_per_channel(lesson, rng):
    import keras
    from keras import ops

    X = rng.normal(size=(3, 4, 4, 8))
    weights = [rng.normal(size=shape) for shape in [(8, 2), (2,), (2, 8), (8,)]]
    pictures = keras.Input(X.shape[1:])
    model = keras.Model(pictures, lesson.keras_squeeze_excite(pictures, ratio=4))
    model.set_weights(weights)
    ours = lesson.squeeze_excite(X, *weights)
    assert np.allclose(ours, ops.convert_to_numpy(model(X.astype("float32"))), atol=1e-5)
    factors = ours / X
    assert np.allclose(factors, factors[:, :1, :1]) and (factors > 0).all() and (factors < 1).all()


# ---------------------------------------------------------------------------- counts


def test_weights_of_the_blocks(lesson):
    assert lesson.basic_weights(64) == 18 * 64**2
    assert lesson.bottleneck_weights(256) == 17 / 16 * 256**2
    assert lesson.bottleneck_weights(256) < lesson.basic_weights(64)
    n, C, g = 7, 10, 3
    assert lesson.dense_weights(C, g, n) == 9 * g * (n * C + g * n * (n - 1) // 2)


def test_dense_block_keeps_its_input_and_grows_by_the_growth_rate(lesson, rng):
    X = rng.normal(size=(1, 4, 4, 2))
    kernels = [rng.normal(size=(3, 3, 2 + 3 * layer, 3)) for layer in range(4)]
    out = lesson.dense_forward(X, kernels)
    assert out.shape == (1, 4, 4, 2 + 4 * 3) and np.array_equal(out[..., :2], X)


def test_dense_exercise_counts_a_block_of_densenet_121():
    import keras

    network = keras.applications.DenseNet121(weights=None, input_shape=(32, 32, 3))
    costs = [c for c in layer_costs(network) if c.name.startswith("conv2_block") and c.kind == "Conv2D"]
    weights, channels = check.dense_block_weights.reference(64, 32, 6)
    assert sum(c.parameters for c in costs) == weights and channels == 256


def test_separable_exercise_counts_what_the_layers_count():
    import keras
    from keras import layers

    pixels = keras.Input((9, 9, 6))
    ordinary = keras.Model(pixels, layers.Conv2D(8, 3, padding="same")(pixels))
    pair = keras.Model(pixels, layers.SeparableConv2D(8, 3, padding="same")(pixels))
    assert check.separable_cost.reference(9, 9, 6, 8, 3) == (multiply_adds(ordinary), multiply_adds(pair))


def test_competitors_cost_the_same(lesson):
    residual, efficient = lesson.build_residual(14), lesson.build_efficient(21, (1, 1))
    assert multiply_adds(efficient) == pytest.approx(multiply_adds(residual), rel=0.1)
    assert efficient.count_params() < residual.count_params()


@pytest.mark.parametrize(("width", "blocks", "size"), [(8, (1, 1), 32), (5, (2, 3), 36), (6, (2,), 16)])
def test_hand_count_of_the_efficient_network(lesson, width, blocks, size):
    assert lesson.efficient_cost(width, blocks, size) == multiply_adds(
        lesson.build_efficient(width, blocks, size)
    )


def test_cost_grows_with_depth_width_and_resolution_as_stated(lesson):
    base = lesson.scaled_cost()
    assert lesson.scaled_cost(depth=2) / base == pytest.approx(2, rel=0.05)
    assert lesson.scaled_cost(width=2) / base == pytest.approx(4, rel=0.15)
    assert lesson.scaled_cost(resolution=2) / base == pytest.approx(4, rel=0.05)
    assert lesson.scaled_cost(1.2, 1.1, 1.15) / base == pytest.approx(1.92, rel=0.05)


# ---------------------------------------------------------------------------- what the text claims


def test_switch_changes_nothing_but_the_skip(lesson):
    import keras

    keras.utils.set_random_seed(1)
    model = lesson.build_switched(2)
    x = np.random.default_rng(0).random((4, 32, 32, 3)).astype("float32")
    with_skips = np.asarray(model(x))
    lesson.set_switches(model, 0)
    without = np.asarray(model(x))
    lesson.set_switches(model, 1)
    assert np.allclose(np.asarray(model(x)), with_skips) and not np.allclose(with_skips, without)
    assert len(model.trainable_variables) == 3 * 5 + 2, "the switch is not trained"


def test_removing_a_block_leaves_the_rest(lesson):
    import keras

    model = lesson.build_switched(2)
    x = np.random.default_rng(0).random((8, 32, 32, 3)).astype("float32")
    weights = model.get_weights()
    lesson.accuracy_without(model, weights, 2, x, np.zeros(8, dtype=int))
    inner = keras.Model(model.input, [model.get_layer(name).output for name in ("block1", "block2")])
    first, second = inner(x)
    assert np.allclose(first, second), "the removed block is the identity"


def test_begin_anew_clears_the_memory_and_keeps_the_rate(lesson):
    import keras

    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.Adam(0.5), "mse")
    weights = model.get_weights()
    x, y = np.ones((4, 2)), np.zeros((4, 1))
    first = model.fit(x, y, epochs=3, verbose=0, shuffle=False).history["loss"]
    lesson.begin_anew(model, weights)
    assert float(model.optimizer.learning_rate) == pytest.approx(0.5)
    assert np.allclose(model.fit(x, y, epochs=3, verbose=0, shuffle=False).history["loss"], first, rtol=1e-5)


def test_slopes_shatter_without_skips_only(lesson):
    def mean(blocks, skip):
        runs = [lesson.output_slopes(blocks, skip, np.random.default_rng(seed)) for seed in range(12)]
        return np.mean([lesson.resemblance(slopes) for slopes in runs])

    assert mean(1, False) > 0.8 and mean(24, True) > 0.75 and mean(24, False) < 0.55


def test_slopes_are_derivatives(lesson):
    x = np.linspace(-2, 2, 4001)
    slopes = lesson.output_slopes(3, True, np.random.default_rng(2), width=8, points=4001)
    A = np.random.default_rng(2)
    W = A.normal(size=(2, 8))
    hidden = np.maximum(np.stack([x, np.ones_like(x)], axis=1) @ W, 0)
    for _ in range(3):
        W1, W2 = math.sqrt(2 / 8) * A.normal(size=(2, 8, 8))
        hidden = hidden + np.maximum(hidden @ W1, 0) @ W2 / math.sqrt(3)
    output = hidden @ A.normal(size=8) / math.sqrt(8)
    assert np.median(np.abs(np.gradient(output, x) - slopes)) < 1e-6


def test_unscaled_branches_grow_scaled_and_zero_ones_do_not(lesson):
    sizes = {s: lesson.stream_sizes(20, s, np.random.default_rng(3)) for s in (1.0, 1 / math.sqrt(20), 0.0)}
    assert sizes[1.0][-1] / sizes[1.0][0] > 100
    assert sizes[1 / math.sqrt(20)][-1] / sizes[1 / math.sqrt(20)][0] < 4
    assert np.allclose(sizes[0.0], sizes[0.0][0])


def test_worked_values_of_the_exercises(rng):
    assert check.separable_cost.reference(2, 2, 3, 4, 3) == (432, 156)
    assert check.dense_block_weights.reference(8, 2, 2) == (432, 12)
    X, grad_Y = rng.normal(size=(2, 3, 4))
    grad_X, _, _ = check.preactivation_backward.reference(
        grad_Y, X, rng.normal(size=(4, 5)), np.zeros((5, 4))
    )
    assert np.array_equal(grad_X, grad_Y)
    assert np.allclose(check.path_shares.reference(2, 0.5), [4 / 9, 4 / 9, 1 / 9])
    assert check.path_shares.reference(54, 0.2)[3:16].sum() > 0.95
