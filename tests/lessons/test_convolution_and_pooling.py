"""Convolution, pooling and receptive fields of lesson 13 against Keras, differences and what the text claims."""

from __future__ import annotations

import numpy as np
import pytest

from course_utils import data
from course_utils.checks import convolution_and_pooling as check
from tests.lessons.code import lesson_code


@pytest.fixture(scope="module")
def lesson():
    return lesson_code("13_convolution_and_pooling")


@pytest.fixture
def rng():
    return np.random.default_rng(0)


SETTINGS = [
    {},
    {"stride": 2},
    {"padding": 2},
    {"dilation": 2},
    {"stride": 2, "padding": 1, "dilation": 2},
    {"stride": 3, "padding": 2},
]
each_setting = pytest.mark.parametrize("setting", SETTINGS, ids=str)


# ---------------------------------------------------------------------------- convolution


@each_setting
@pytest.mark.parametrize("kernel", [1, 2, 3])
def test_im2col_equals_loops(lesson, rng, setting, kernel):
    X, W, b = rng.normal(size=(2, 8, 7, 3)), rng.normal(size=(kernel, kernel, 3, 4)), rng.normal(size=4)
    ours, loops = lesson.conv_forward(X, W, b, **setting), lesson.conv_loops(X, W, b, **setting)
    assert ours.shape == loops.shape
    assert np.allclose(ours, loops)


def test_shifts_equal_im2col(lesson, rng):
    X, W, b = rng.normal(size=(2, 8, 7, 3)), rng.normal(size=(3, 3, 3, 4)), rng.normal(size=4)
    assert np.allclose(lesson.conv_shifts(X, W, b), lesson.conv_forward(X, W, b))


@each_setting
def test_gradients_equal_differences(lesson, rng, setting):
    X, W, b = rng.normal(size=(2, 7, 6, 2)), rng.normal(size=(3, 3, 2, 3)), rng.normal(size=3)
    assert max(lesson.convolution_errors(X, W, b, rng, **setting)) < 1e-7


def test_layer_equals_keras(lesson, rng):
    from keras import layers

    X, W, b = rng.normal(size=(3, 11, 14, 3)), rng.normal(size=(3, 3, 3, 5)), rng.normal(size=5)
    for layer, setting in [
        (layers.Conv2D(5, 3), {}),
        (layers.Conv2D(5, 3, strides=3), {"stride": 3}),
        (layers.Conv2D(5, 3, padding="same"), {"padding": 1}),
        (layers.Conv2D(5, 3, padding="same", dilation_rate=2), {"padding": 2, "dilation": 2}),
    ]:
        assert lesson.difference_to_keras(layer, X, W, b, **setting) < 1e-4


@pytest.mark.parametrize("size", [9, 12, 13])
@pytest.mark.parametrize(("kernel", "stride", "dilation"), [(3, 2, 1), (5, 2, 1), (2, 3, 1), (3, 1, 2)])
def test_keras_pads_as_the_exercise_says(lesson, rng, size, kernel, stride, dilation):
    from keras import layers

    X, W, b = rng.normal(size=(1, size, size, 2)), rng.normal(size=(kernel, kernel, 2, 3)), np.zeros(3)
    layer = layers.Conv2D(3, kernel, strides=stride, dilation_rate=dilation, padding="same")
    layer.build(X.shape)
    layer.set_weights([W, b])
    ends = check.same_padding.reference(size, kernel, stride, dilation)
    padded = np.pad(X, ((0, 0), ends, ends, (0, 0)))
    ours = lesson.conv_forward(padded, W, b, stride=stride, dilation=dilation)
    assert np.allclose(ours, np.asarray(layer(X.astype("float32"))), atol=1e-4)


def test_windows_are_a_view(lesson, rng):
    X = rng.normal(size=(2, 6, 5, 3))
    view = lesson.windows(X, 3)
    assert view.shape == (2, 4, 3, 3, 3, 3)
    assert np.shares_memory(view, X)
    assert np.array_equal(view[1, 2, 1, 0], X[1, 2:5, 1:4, 0])


def test_taps_are_the_index_of_the_formula(lesson):
    for size, kernel, stride, padding, dilation in [(9, 3, 1, 0, 1), (9, 3, 2, 1, 2), (10, 2, 3, 2, 1)]:
        places = lesson.taps(size, kernel, stride, padding, dilation)
        assert len(places) == lesson.output_size(size, kernel, stride, padding, dilation)
        assert places[0, 0] == -padding and places[-1, -1] <= size - 1 + padding
        assert places[-1, -1] + stride > size - 1 + padding  # one more window would not fit


def test_matrix_is_sparse_and_tied(lesson, rng):
    W = np.arange(1.0, 10).reshape(3, 3, 1, 1)
    M = lesson.convolution_matrix(6, 6, W)
    assert M.shape == (16, 36)
    assert np.count_nonzero(M) == 16 * 9 and set(np.unique(M)) == set(range(10))
    X, G = rng.normal(size=(1, 6, 6, 1)), rng.normal(size=(1, 4, 4, 1))
    assert np.allclose(M @ X.ravel(), lesson.conv_forward(X, W, np.zeros(1)).ravel())
    assert np.allclose(M.T @ G.ravel(), lesson.conv_backward(G, X, W)[0].ravel())


def test_how_often_pixels_are_seen(lesson):
    plain, padded = lesson.times_seen(11, 3), lesson.times_seen(11, 3, padding=1)
    assert plain[0, 0] == 1 and plain[5, 5] == 9 and padded[0, 0] == 4
    assert set(np.unique(lesson.times_seen(11, 3, stride=2))) == {1, 2, 4}
    assert (lesson.times_seen(12, 2, stride=2) == 1).all()


# ---------------------------------------------------------------------------- pooling


@pytest.mark.parametrize(("kernel", "stride"), [(2, 2), (3, 2), (3, 1), (2, 3)])
def test_pooling_and_its_gradient_equal_keras(lesson, rng, kernel, stride):
    import tensorflow as tf
    from keras import layers

    X = rng.normal(size=(2, 9, 8, 3))
    pixels = tf.constant(X, dtype="float32")
    for ours, layer in [
        (lesson.max_pool, layers.MaxPooling2D(kernel, strides=stride)),
        (lesson.average_pool, layers.AveragePooling2D(kernel, strides=stride)),
    ]:
        with tf.GradientTape() as tape:
            tape.watch(pixels)
            output = layer(pixels)
            loss = tf.reduce_sum(tf.sin(output))
        Y = ours(X, kernel, stride)
        assert np.allclose(Y, output, atol=1e-5)
        if ours is lesson.max_pool:
            grad = lesson.max_pool_backward(np.cos(Y), X, kernel, stride)
        else:
            grad = check.average_pool_backward.reference(np.cos(Y), X.shape, kernel, stride)
        assert np.allclose(grad, tape.gradient(loss, pixels), atol=1e-5)


def test_ties_go_to_the_first_as_in_tensorflow(lesson):
    import tensorflow as tf

    X = np.ones((1, 2, 2, 1))
    grad = lesson.max_pool_backward(np.ones((1, 1, 1, 1)), X, 2)
    pixels = tf.constant(X, dtype="float32")
    with tf.GradientTape() as tape:
        tape.watch(pixels)
        loss = tf.reduce_sum(tf.nn.max_pool2d(pixels, 2, 2, "VALID"))
    assert grad.ravel().tolist() == [1, 0, 0, 0]
    assert np.array_equal(grad, tape.gradient(loss, pixels))


def test_exercises_agree_with_the_lesson(lesson, rng):
    X = rng.normal(size=(9, 11))
    pooled = lesson.average_pool(X[None, :, :, None], 4, 1)[0, :, :, 0]
    assert np.allclose(check.box_mean.reference(X, 4), pooled)
    assert check.same_padding.reference(12, 3, 2, 1) == (0, 1)
    a, b = check.separate.reference(lesson.SOBEL)
    assert np.allclose(np.outer(a, b), lesson.SOBEL)
    assert check.box_mean.reference(np.arange(1.0, 10).reshape(3, 3), 2).tolist() == [[3, 4], [6, 7]]


# ---------------------------------------------------------------------------- receptive fields


STACKS = [
    [(3, 1, 1)] * 3,
    [(3, 2, 1), (3, 2, 1), (3, 1, 1)],
    [(3, 1, 1), (3, 1, 2), (3, 1, 4)],
    [(3, 1, 2)] * 3,
    [(5, 1, 1), (2, 2, 1), (3, 1, 2)],
]


@pytest.mark.parametrize("layers", STACKS, ids=str)
def test_derived_field_is_the_measured_one(lesson, layers):
    seen = lesson.seen_by_centre(layers, 41)
    rows = np.flatnonzero(seen.any(axis=1))
    assert rows[-1] - rows[0] + 1 == lesson.receptive_field(layers)[-1]
    assert seen.sum() == pytest.approx(1)  # weights of a kernel add up to 1


def test_fields_that_the_text_names(lesson):
    fields = [lesson.receptive_field(layers)[-1] for layers in STACKS[:4]]
    assert fields == [7, 15, 15, 13]
    holes = lesson.seen_by_centre(STACKS[3], 31)
    assert np.count_nonzero(holes) == 7 * 7  # every second row and column of 13
    assert lesson.receptive_field([(3, 1, 1), (3, 1, 2), (3, 1, 4), (3, 1, 8)])[-1] == 31


def test_field_in_a_keras_model(lesson):
    import keras
    import tensorflow as tf
    from keras import layers

    model = keras.Sequential(
        [
            keras.Input((31, 31, 1)),
            layers.Conv2D(4, 3, kernel_initializer="ones", activation="relu"),
            layers.AveragePooling2D(2),
            layers.Conv2D(1, 3, kernel_initializer="ones"),
        ]
    )
    X = tf.ones((1, 31, 31, 1))
    with tf.GradientTape() as tape:
        tape.watch(X)
        unit = model(X)[0, 6, 6, 0]
    seen = np.abs(tape.gradient(unit, X)[0, :, :, 0]) > 0
    assert seen.any(axis=1).sum() == lesson.receptive_field([(3, 1, 1), (2, 2, 1), (3, 1, 1)])[-1] == 8


def test_width_of_the_effective_field_grows_like_the_root(lesson):
    spreads = []
    for number in (4, 16):
        profile = lesson.seen_by_centre([(3, 1, 1)] * number, 2 * number + 1).sum(axis=1)
        spreads.append(np.sqrt(profile @ (np.arange(len(profile)) - number) ** 2))
    assert spreads[1] / spreads[0] == pytest.approx(2)
    assert lesson.receptive_field([(3, 1, 1)] * 16)[-1] == 33


# ---------------------------------------------------------------------------- photographs, and what breaks


def test_gabor_filters_ignore_plain_areas_and_find_their_direction(lesson):
    angles = np.arange(8) * np.pi / 8
    for angle in angles:
        even, odd = lesson.gabor_pair(angle)
        assert abs(even.sum()) < 1e-9 and abs(odd.sum()) < 1e-9
    y, x = np.mgrid[:40, :40]
    for k in (0, 2, 5):
        stripes = np.sin(2 * np.pi * (x * np.cos(angles[k]) + y * np.sin(angles[k])) / 5)
        energy = lesson.texture_energy(stripes[None, :, :, None], angles)
        assert (energy.argmax(axis=3) == k).all()


def test_equivariance_inside_and_its_border(lesson, rng):
    picture = rng.uniform(size=(1, 40, 40, 1))
    here, moved = picture[:, 1:31, 1:31], picture[:, :30, :30]
    for padding, frame in ((0, 0), (1, 3)):
        before, after = lesson.blur_layers(here, 3, padding), lesson.blur_layers(moved, 3, padding)
        broken = np.abs(after[0, 1:, 1:, 0] - before[0, :-1, :-1, 0]) > 1e-12
        inner = broken[frame : len(broken) - frame, frame : len(broken) - frame]
        assert not inner.any()
        assert broken.any() == bool(frame)


def test_binomial_blur(lesson):
    assert np.allclose(lesson.binomial(3), np.outer([1, 2, 1], [1, 2, 1]) / 16)
    assert lesson.binomial(13).sum() == pytest.approx(1)
    stripes = np.tile([0.0, 1.0], (4, 8))[None, :, :, None]
    blurred = np.einsum("nijcuv,uv->nijc", lesson.windows(lesson.wrap(stripes, 1, 1), 3), lesson.binomial(3))
    assert np.allclose(blurred, 0.5)


def test_blurred_max_is_the_repair_for_several_filters(lesson):
    gray = (data.load("photos").images / 255).mean(axis=3, keepdims=True)
    patches = np.concatenate([gray[:, i : i + 32, 100:132] for i in range(60, 320, 64)])
    ways = [lesson.skip, lesson.max_halving, lesson.blurred_max]
    for seed in range(3):
        rng = np.random.default_rng(seed)
        weights = [rng.normal(0, 0.4, (3, 3, 1, 8)), rng.normal(0, 0.17, (3, 3, 8, 16))]
        change = np.array([lesson.shift_change(patches, weights, way, [0, 1, 4, 8]) for way in ways])
        assert np.allclose(change[:, [0, 2, 3]], 0, atol=1e-12)  # two halvings: multiples of four are exact
        assert change[2, 1] < change[1, 1] / 2 < change[0, 1]
