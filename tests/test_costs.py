"""Parameters and multiply-adds of Keras models: by hand, against Keras' own count, against published totals."""

from __future__ import annotations

import subprocess
import sys

import pytest

from course_utils.costs import LayerCost, layer_costs, multiply_adds


@pytest.fixture(scope="module")
def keras():
    return pytest.importorskip("keras")


def only(keras, layer, *input_shape):
    """The cost of a model of one layer."""
    [cost] = layer_costs(keras.Sequential([keras.Input(input_shape), layer]))
    return cost


# ---- every kind of layer, by hand ----


def test_what_is_told_of_a_layer(keras):
    layer = keras.layers.Conv2D(6, 5, name="first")
    assert only(keras, layer, 32, 32, 1) == LayerCost("first", "Conv2D", (28, 28, 6), 156, 117_600)


@pytest.mark.parametrize(
    ("kind", "arguments", "input_shape", "output_shape", "parameters", "work"),
    [
        ("Conv1D", (8, 5), (20, 3), (16, 8), 5 * 3 * 8 + 8, 16 * 5 * 3 * 8),
        ("Conv2D", (8, 3), (10, 7, 4), (8, 5, 8), 9 * 4 * 8 + 8, 8 * 5 * 9 * 4 * 8),
        ("Conv2D", (8, (3, 1)), (10, 7, 4), (8, 7, 8), 3 * 4 * 8 + 8, 8 * 7 * 3 * 4 * 8),
        ("Conv3D", (2, 2), (4, 5, 6, 3), (3, 4, 5, 2), 8 * 3 * 2 + 2, 60 * 8 * 3 * 2),
        ("DepthwiseConv1D", (3,), (9, 4), (7, 4), 3 * 4 + 4, 7 * 3 * 4),
        ("DepthwiseConv2D", (3,), (9, 9, 4), (7, 7, 4), 9 * 4 + 4, 49 * 9 * 4),
        ("SeparableConv1D", (6, 3), (9, 4), (7, 6), 3 * 4 + 4 * 6 + 6, 7 * (3 * 4 + 4 * 6)),
        ("SeparableConv2D", (6, 3), (9, 9, 4), (7, 7, 6), 9 * 4 + 4 * 6 + 6, 49 * (9 * 4 + 4 * 6)),
        ("Dense", (7,), (5,), (7,), 5 * 7 + 7, 5 * 7),
        ("Dense", (7,), (3, 4, 5), (3, 4, 7), 5 * 7 + 7, 3 * 4 * 5 * 7),  # at every place of the map
        ("BatchNormalization", (), (6, 6, 4), (6, 6, 4), 16, 0),
        ("LayerNormalization", (), (6, 4), (6, 4), 8, 0),
        ("GroupNormalization", (2,), (6, 6, 4), (6, 6, 4), 8, 0),
        ("MaxPooling2D", (), (6, 6, 4), (3, 3, 4), 0, 0),
        ("AveragePooling2D", (2,), (7, 7, 4), (3, 3, 4), 0, 0),
        ("GlobalAveragePooling2D", (), (6, 6, 4), (4,), 0, 0),
        ("Flatten", (), (6, 6, 4), (144,), 0, 0),
        ("ReLU", (), (6,), (6,), 0, 0),
        ("Dropout", (0.5,), (6,), (6,), 0, 0),
        ("RandomFlip", (), (6, 6, 3), (6, 6, 3), 0, 0),
    ],
)
def test_each_kind(keras, kind, arguments, input_shape, output_shape, parameters, work):
    cost = only(keras, getattr(keras.layers, kind)(*arguments), *input_shape)
    assert cost.kind == kind
    assert (cost.output_shape, cost.parameters, cost.multiply_adds) == (output_shape, parameters, work)


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_groups_divide_weights_and_work(keras, groups):
    cost = only(keras, keras.layers.Conv2D(8, 3, padding="same", groups=groups), 6, 6, 4)
    assert cost.parameters == 9 * (4 // groups) * 8 + 8
    assert cost.multiply_adds == 36 * 9 * (4 // groups) * 8


def test_stride_padding_dilation_bias_and_depth_multiplier(keras):
    conv = keras.layers.Conv2D
    assert only(keras, conv(8, 3, strides=2, padding="same"), 9, 9, 4).multiply_adds == 25 * 9 * 4 * 8
    assert only(keras, conv(8, 3, dilation_rate=2), 9, 9, 4).multiply_adds == 25 * 9 * 4 * 8
    assert only(keras, conv(8, 3, use_bias=False), 9, 9, 4).parameters == 9 * 4 * 8
    depthwise = only(keras, keras.layers.DepthwiseConv2D(3, depth_multiplier=2), 9, 9, 4)
    assert (depthwise.output_shape, depthwise.multiply_adds) == ((7, 7, 8), 49 * 9 * 4 * 2)
    separable = keras.layers.SeparableConv2D(6, 3, strides=2, padding="same", depth_multiplier=2)
    assert only(keras, separable, 9, 9, 4).multiply_adds == 25 * (9 * 4 * 2 + 8 * 6)


def test_channels_first(keras):
    layer = keras.layers.Conv2D(8, 3, data_format="channels_first")
    cost = only(keras, layer, 4, 9, 7)
    assert cost.output_shape == (8, 7, 5)
    assert cost.multiply_adds == 7 * 5 * 9 * 4 * 8


# ---- whole models ----


def lenet(keras):
    layers = keras.layers
    return [
        layers.Conv2D(6, 5, activation="tanh"),
        layers.AveragePooling2D(2),
        layers.Conv2D(16, 5, activation="tanh"),
        layers.AveragePooling2D(2),
        layers.Flatten(),
        layers.Dense(120),
        layers.Dense(84),
        layers.Dense(10),
    ]


def test_lenet_by_hand(keras):
    model = keras.Sequential([keras.Input((32, 32, 1)), *lenet(keras)])
    costs = layer_costs(model)
    assert [cost.name for cost in costs] == [layer.name for layer in model.layers]
    assert [cost.parameters for cost in costs] == [156, 0, 2416, 0, 0, 48120, 10164, 850]
    assert sum(cost.parameters for cost in costs) == model.count_params() == 61_706
    assert multiply_adds(model) == 117_600 + 240_000 + 48_000 + 10_080 + 840


def test_however_a_sequential_model_is_made(keras):
    grown = keras.Sequential()
    grown.add(keras.Input((32, 32, 1)))
    for layer in lenet(keras):
        grown.add(layer)  # each call of add calls the layers before anew
    called = keras.Sequential(lenet(keras))
    called(keras.ops.ones((2, 32, 32, 1)))
    built = keras.Sequential(lenet(keras))
    built.build((None, 32, 32, 1))
    for model in (grown, called, built):
        assert multiply_adds(model) == 416_520


def test_a_model_inside_counts_as_its_layers(keras):
    inner = keras.Sequential(
        [keras.Input((8,)), keras.layers.Dense(8, name="a"), keras.layers.Dense(4, name="b")]
    )
    model = keras.Sequential([keras.Input((8,)), inner, keras.layers.Dense(2, name="c")])
    assert [(cost.name, cost.multiply_adds) for cost in layer_costs(model)] == [
        ("a", 64),
        ("b", 32),
        ("c", 8),
    ]
    entry = keras.Input((8,))
    functional = keras.Model(entry, keras.layers.Dense(2, name="c")(inner(entry)))  # `inner` again, elsewhere
    assert multiply_adds(functional) == 104


def test_branches_are_all_counted(keras):
    entry = keras.Input((8, 8, 4))
    left = keras.layers.Conv2D(6, 1)(entry)
    right = keras.layers.Conv2D(6, 3, padding="same")(entry)
    model = keras.Model(entry, keras.layers.Concatenate()([left, right]) * 2)
    assert multiply_adds(model) == 64 * 4 * 6 + 64 * 9 * 4 * 6
    assert layer_costs(model)[-1].output_shape == (8, 8, 12)


def test_a_layer_that_two_models_share_is_counted_in_each_at_its_size(keras):
    conv = keras.layers.Conv2D(4, 3, padding="same")
    small, large = (keras.Sequential([keras.Input((size, size, 2)), conv]) for size in (8, 16))
    assert multiply_adds(large) == 4 * multiply_adds(small) == 256 * 9 * 2 * 4


def test_a_layer_without_weights_may_be_called_twice(keras):
    relu = keras.layers.ReLU()
    entry = keras.Input((5,))
    model = keras.Model(entry, relu(keras.layers.Dense(3)(relu(entry))))
    assert multiply_adds(model) == 15


def test_published_totals_of_mobilenet(keras):
    model = keras.applications.MobileNet(weights=None)
    costs = layer_costs(model)
    assert sum(cost.parameters for cost in costs) == model.count_params() == 4_253_864
    assert multiply_adds(model) == 568_740_352


# ---- what it refuses ----


def test_not_built(keras):
    model = keras.Sequential([keras.layers.Dense(3)], name="late")
    with pytest.raises(ValueError, match="late is not built yet: give it an Input layer or call it once"):
        layer_costs(model)


def test_unknown_size(keras):
    model = keras.Sequential([keras.Input((None, None, 3)), keras.layers.Conv2D(4, 3, name="conv")])
    with pytest.raises(ValueError, match=r"conv has an output of shape \(None, None, None, 4\)"):
        multiply_adds(model)


def test_shared_layer_and_shared_model(keras):
    entry = keras.Input((5,))
    dense = keras.layers.Dense(5, name="twice")
    inner = keras.Sequential([keras.Input((5,)), keras.layers.Dense(5)], name="model_inside")
    for shared in (dense, inner):
        model = keras.Model(entry, shared(shared(entry)))
        with pytest.raises(ValueError, match=f"{shared.name} is called 2 times"):
            layer_costs(model)


@pytest.mark.parametrize("kind", ["LSTM", "LSTM with states", "Embedding", "Conv2DTranspose"])
def test_unknown_kind_with_weights(keras, kind):
    layers = keras.layers
    layer, shape = {
        "LSTM": (layers.LSTM(3, name="odd"), (4, 5)),
        "LSTM with states": (layers.LSTM(3, return_state=True, name="odd"), (4, 5)),
        "Embedding": (layers.Embedding(9, 3, name="odd"), (4,)),
        "Conv2DTranspose": (layers.Conv2DTranspose(3, 2, name="odd"), (4, 4, 2)),
    }[kind]
    entry = keras.Input(shape)
    model = keras.Model(entry, layer(entry))
    with pytest.raises(TypeError, match=r"The multiply-adds of odd \(\w+\) are not defined here"):
        layer_costs(model)


def test_subclassed_model(keras):
    class Own(keras.Model):
        def __init__(self):
            super().__init__(name="own")
            self.dense = keras.layers.Dense(3)

        def call(self, x):
            return self.dense(x)

    model = Own()
    model(keras.ops.ones((2, 4)))
    with pytest.raises(TypeError, match="own is neither a Sequential nor a functional model"):
        layer_costs(model)


def test_importing_costs_does_not_import_keras():
    code = "import sys, course_utils.costs; sys.exit('keras' in sys.modules or 'tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
