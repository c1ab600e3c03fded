"""The counts of lesson 15 against Keras, published numbers and brute force, and what the text claims."""

from __future__ import annotations

import math

import numpy as np
import pytest

from course_utils import costs
from course_utils.checks import classic_cnns as check
from tests.lessons.code import lesson_code


@pytest.fixture(scope="module")
def lesson():
    return lesson_code("15_classic_cnns")


@pytest.fixture
def rng():
    return np.random.default_rng(0)


# ---------------------------------------------------------------------------- published numbers


def test_alexnet_and_vgg_have_their_known_counts(lesson):
    alexnet = lesson.count(lesson.ALEXNET, lesson.State((227, 227, 3)))
    assert lesson.total(alexnet)[:2] == (60_965_224, 724_406_816)
    assert [row.state.shape for row in alexnet[:2]] == [(55, 55, 96), (27, 27, 96)]
    vgg16 = lesson.count(lesson.VGG16, lesson.State((224, 224, 3)))
    assert lesson.total(vgg16)[:2] == (138_357_544, 15_470_264_320)
    assert vgg16[-4].state == lesson.State((7, 7, 512), 212, 32)
    vgg19 = lesson.count(lesson.VGG19, lesson.State((224, 224, 3)))
    assert lesson.total(vgg19)[:2] == (143_667_240, 19_632_062_464)


def test_alexnet_has_the_neurons_that_its_paper_speaks_of(lesson):
    rows = lesson.count(lesson.ALEXNET, lesson.State((227, 227, 3)))
    neurons = sum(row.activations for row in rows if row.parameters)
    assert neurons == pytest.approx(650_000, rel=0.02)


def test_lenet_differs_from_the_paper_by_what_the_text_explains(lesson):
    parameters, multiply_adds, _ = lesson.total(lesson.count(lesson.LENET, lesson.State((32, 32, 1))))
    assert parameters == 61_706 and multiply_adds == 416_520
    assert parameters - 25 * 36 + 2 * 22 - 850 == 60_000


def test_googlenet_row_by_row(lesson):
    rows = lesson.count(lesson.GOOGLENET, lesson.State((224, 224, 3)))
    assert lesson.total(rows)[0] == 6_998_552
    modules = [row for row in rows if row.name.startswith("inception")]
    assert [row.state.shape[2] for row in modules] == [256, 480, 512, 512, 512, 528, 832, 832, 1024]
    assert [row.state.shape[0] for row in modules] == [28] * 2 + [14] * 5 + [7] * 2
    table = [159, 380, 364, 437, 463, 580, 840, 1072, 1388]
    off = [row.parameters / 1024 / said - 1 for row, said in zip(modules, table, strict=True)]
    assert sum(abs(value) < 0.03 for value in off) == 7 and max(map(abs, off)) < 0.08
    assert modules[0].parameters == 163_696 and modules[0].multiply_adds == 128_049_152


# ---------------------------------------------------------------------------- against Keras


def test_counts_equal_keras_for_every_network(lesson):
    import tensorflow as tf

    small = {name: (description, (24, 24, 3)) for name, description in lesson.SMALL.items()}
    large = {
        "alexnet": (lesson.ALEXNET, (227, 227, 3)),
        "vgg16": (lesson.VGG16, (224, 224, 3)),
        "googlenet": (lesson.GOOGLENET, (224, 224, 3)),
        "lenet": (lesson.LENET, (32, 32, 1)),
    }
    with tf.Graph().as_default():
        for name, (description, shape) in {**small, **large}.items():
            model = lesson.build(description, shape)
            ours = lesson.total(lesson.count(description, lesson.State(shape)))
            assert ours[:2] == (model.count_params(), costs.multiply_adds(model)), name


def test_every_layer_of_vgg16_equals_keras_applications(lesson):
    import keras
    import tensorflow as tf

    with tf.Graph().as_default():
        theirs = costs.layer_costs(keras.applications.VGG16(weights=None))
    theirs = [row for row in theirs if row.kind != "Flatten"]
    ours = lesson.count(lesson.VGG16, lesson.State((224, 224, 3)))
    assert len(ours) == len(theirs)
    for mine, their in zip(ours, theirs, strict=True):
        assert (mine.state.shape, mine.parameters, mine.multiply_adds) == (
            their.output_shape,
            their.parameters,
            their.multiply_adds,
        )


@pytest.mark.parametrize("side", [13, 24, 31])
def test_small_networks_build_with_the_counted_shapes_at_odd_sizes(lesson, side):
    description = [lesson.Conv(4, 5, 2, 2), lesson.Pool(2, 2), lesson.Conv(6, 3, padding=1), lesson.Dense(3)]
    model = lesson.build(description, (side, side, 3))
    assert lesson.total(lesson.count(description, lesson.State((side, side, 3))))[0] == model.count_params()


def test_pointwise_convolution_is_a_dense_layer(rng):
    from keras import layers

    maps, W = rng.normal(size=(2, 5, 5, 8)).astype("float32"), rng.normal(size=(8, 3)).astype("float32")
    convolution = layers.Conv2D(3, 1, use_bias=False)
    convolution.build(maps.shape)
    convolution.set_weights([W[None, None]])
    assert np.allclose(convolution(maps), maps @ W, atol=1e-4)


def test_convolve_equals_keras(lesson, rng):
    from keras import ops

    X, W = rng.normal(size=(2, 9, 9, 3)), rng.normal(size=(3, 3, 3, 5))
    theirs = ops.convert_to_numpy(ops.conv(X.astype("float32"), W.astype("float32"), padding="valid"))
    assert np.allclose(lesson.convolve(X, W), theirs, atol=1e-4)


# ---------------------------------------------------------------------------- properties


def test_field_equals_the_reach_of_a_change(lesson, rng):
    """Change single input pixels: exactly those within the counted field move the middle unit."""
    conv, pool = lesson.Conv, lesson.Pool
    description = [conv(1, 3), pool(2, 2), conv(1, 5), pool(3, 2), conv(1, 3)]
    side, line = 60, np.zeros((60, 60))

    def forward(line):
        for layer in description:
            windows = np.lib.stride_tricks.sliding_window_view(line, layer.kernel, axis=1)
            line = windows[:, :: layer.stride].sum(axis=-1)
        return line

    moved = forward(line + np.eye(side))  # row i: pixel i raised
    reach = np.count_nonzero(moved[:, moved.shape[1] // 2])
    state = lesson.count(description, lesson.State((side, side, 1)))[-1].state
    assert reach == state.field
    first, second = (np.flatnonzero(moved[:, j])[0] for j in (2, 3))
    assert second - first == state.jump


def test_inception_field_is_that_of_its_widest_path(lesson):
    before = lesson.State((28, 28, 192), 27, 8)
    row = lesson.count_inception(lesson.Inception(64, 96, 128, 16, 32, 32), before)
    assert row.state == lesson.State((28, 28, 256), 27 + 4 * 8, 8)


def test_groups_divide_weights_and_work(lesson):
    state = lesson.State((13, 13, 384))
    whole = lesson.count_conv(lesson.Conv(256, 3, padding=1), state)
    halved = lesson.count_conv(lesson.Conv(256, 3, padding=1, groups=2), state)
    assert whole.multiply_adds == 2 * halved.multiply_adds
    assert whole.parameters - 256 == 2 * (halved.parameters - 256)


def test_unknown_layers_are_refused(lesson):
    with pytest.raises(TypeError, match="unknown layer"):
        lesson.count_layer("conv", lesson.State((8, 8, 3)))


@pytest.mark.parametrize("sizes", [(3, 3), (1, 5), (5, 3)])
def test_two_convolutions_compose_to_one(lesson, rng, sizes):
    first = rng.normal(size=(sizes[0], sizes[0], 2, 4))
    second = rng.normal(size=(sizes[1], sizes[1], 4, 3))
    X = rng.normal(size=(1, 11, 11, 2))
    together = lesson.compose(first, second)
    assert together.shape == (sum(sizes) - 1,) * 2 + (2, 3)
    assert np.allclose(lesson.convolve(X, together), lesson.convolve(lesson.convolve(X, first), second))


def test_the_small_networks_are_within_the_budget(lesson):
    for description in lesson.SMALL.values():
        work = lesson.total(lesson.count(description, lesson.State((lesson.SIDE, lesson.SIDE, 3))))[1]
        assert abs(work / lesson.BUDGET - 1) < 0.05


def test_restart_gives_the_weights_of_the_seed_and_a_fresh_optimizer(lesson, rng):
    X, y = rng.normal(size=(100, 24, 24, 3)).astype("float32"), rng.integers(0, 6, 100)
    description = lesson.SMALL["LeNet-like"]
    model = lesson.compiled(description, (24, 24, 3), 2)
    lesson.restart(model, description, 1)
    first = model.get_weights()
    model.fit(X, y, batch_size=50, epochs=1, verbose=0)
    assert not np.allclose(model.get_weights()[0], first[0])
    lesson.restart(model, description, 1)
    assert all(np.array_equal(a, b) for a, b in zip(model.get_weights(), first, strict=True))
    assert int(model.optimizer.iterations) == 0
    lesson.restart(model, description, 2)
    assert not np.allclose(model.get_weights()[0], first[0])


def test_small_weights_kill_signal_and_gradient_and_he_keeps_them(lesson, rng):
    import keras

    X, y = rng.uniform(-0.5, 0.5, size=(60, 24, 24, 3)).astype("float32"), rng.integers(0, 6, 60)
    result = {}
    for name, initializer in lesson.INITIALIZERS.items():
        keras.utils.set_random_seed(0)
        result[name] = lesson.signal_and_gradient(lesson.deep_network(initializer), X, y)
    spread = {name: values[0] for name, values in result.items()}
    assert spread["0.01"][-1] < 1e-12 * spread["He"][-1]
    assert spread["Glorot"][-1] < 0.1 * spread["He"][-1]
    assert spread["He"][-1] > 0.02 * spread["He"][0]
    assert result["0.01"][1][0] < 1e-10 < 1e-4 < result["He"][1][0]
    assert result["0.01"][2] == pytest.approx(math.log(6), abs=1e-5)


# ---------------------------------------------------------------------------- what the text says


def test_numbers_in_the_text(lesson):
    conv, dense = 11 * 11 * 3 * 96, 6 * 6 * 256 * 4096
    assert dense / conv > 1000 and 2.7 < 55 * 55 * conv / dense < 3
    bills = {
        "AlexNet": lesson.count(lesson.ALEXNET, lesson.State((227, 227, 3))),
        "VGG": lesson.count(lesson.VGG16, lesson.State((224, 224, 3))),
        "GoogLeNet": lesson.count(lesson.GOOGLENET, lesson.State((224, 224, 3))),
    }
    for name in ("AlexNet", "VGG"):
        assert lesson.share_of_dense(bills[name], 2) > 0.85
        assert lesson.share_of_dense(bills[name], 3) < 0.1
    parameters = {name: lesson.total(rows)[0] for name, rows in bills.items()}
    assert parameters["GoogLeNet"] < 0.12 * parameters["AlexNet"]
    assert 7 * 7 * 3 * 8 + 24 * 64 == 2712  # the table says 2.7 thousand


def test_worked_values_of_the_exercises():
    assert check.same_field.reference(5) == (2, pytest.approx(0.72))
    assert check.training_bytes.reference(100, [(2, 2, 3), (5,)], 10, 1) == 1880
    assert check.widest_bottleneck.reference(256, 96, 5, 0.5) == 115
    assert check.width_for_budget.reference(lambda w: 10 * w * w, 1000) == 10
