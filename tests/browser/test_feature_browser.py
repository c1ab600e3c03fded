"""The feature browser: its network against Keras and GradientTape, its figure in a real browser."""

from __future__ import annotations

import json
from functools import cache
from xml.etree import ElementTree

import numpy as np
import pytest
import traitlets

from course_utils.data._shapes import CLASS_NAMES, make_shapes
from course_utils.explorables import FeatureBrowser
from course_utils.explorables.feature_browser import (
    _as_bytes,
    colours,
    enlarge,
    export,
    first_filters,
    forward,
    gradcam,
    gradient,
    leading_map,
    map_layers,
    overlay,
    paint,
    probabilities,
    receptive_field,
    strongest,
    unpack,
)

RIGHT, LEFT, UP, DOWN, DELETE = "\ue014", "\ue012", "\ue013", "\ue015", "\ue017"
SHAPES = make_shapes(8, seed=3)
PICTURES = SHAPES["images"].astype("float32") / 255


def scatter(model, seed=0):
    """Weights of every layer drawn anew, biases and statistics of batch normalisation too."""
    rng = np.random.default_rng(seed)
    for layer in model.layers:
        new = []
        for weight in layer.weights:
            if "variance" in weight.path or "gamma" in weight.path:
                new.append(rng.uniform(0.5, 1.5, weight.shape))
            else:
                fan = int(np.prod(weight.shape[:-1])) if len(weight.shape) > 1 else 50
                new.append(rng.normal(0, np.sqrt(2 / fan), weight.shape))
        layer.set_weights(new)
    return model


def lesson_model(seed=0):
    """The network of lesson 17, not trained."""
    import keras
    from keras import layers

    conv = {"kernel_size": 3, "padding": "same", "activation": "relu"}
    return scatter(
        keras.Sequential(
            [
                keras.Input((32, 32, 3)),
                layers.Conv2D(16, name="conv1", **conv),
                layers.MaxPooling2D(name="pool1"),
                layers.Conv2D(32, name="conv2", **conv),
                layers.MaxPooling2D(name="pool2"),
                layers.Conv2D(48, name="conv3", **conv),
                layers.Conv2D(48, name="conv4", **conv),
                layers.GlobalAveragePooling2D(name="gap"),
                layers.Dense(6, name="logits"),
            ]
        ),
        seed,
    )


def mixed_model(seed=1):
    """Everything the figure knows, with sizes that no stride divides, on grey pictures 13 x 11."""
    import keras
    from keras import layers

    return scatter(
        keras.Sequential(
            [
                keras.Input((13, 11, 1)),
                layers.Rescaling(1 / 255, offset=-0.2, name="scale"),
                layers.Conv2D(5, (4, 3), strides=2, padding="same", use_bias=False, name="conv_a"),
                layers.BatchNormalization(name="norm"),
                layers.ReLU(name="relu"),
                layers.MaxPooling2D(3, strides=2, padding="same", name="max"),
                layers.Dropout(0.5, name="drop"),
                layers.Conv2D(4, 2, activation="tanh", name="conv_b"),
                layers.Conv2D(6, 3, padding="same", dilation_rate=2, name="conv_c"),
                layers.Activation("sigmoid", name="sigmoid"),
                layers.AveragePooling2D((2, 1), strides=1, padding="same", name="average"),
                layers.Flatten(name="flat"),
                layers.Dense(7, activation="relu", name="hidden"),
                layers.BatchNormalization(scale=False, name="norm2"),
                layers.Dense(3, name="logits"),
            ]
        ),
        seed,
    )


def valid_model(seed=2):
    """Valid padding, strides larger than the window, and rows left over at the edge."""
    import keras
    from keras import layers

    return scatter(
        keras.Sequential(
            [
                keras.Input((14, 12, 3)),
                layers.Conv2D(6, 2, strides=3, activation="relu", name="conv_a"),
                layers.AveragePooling2D(2, name="average"),
                layers.Conv2D(4, 1, name="conv_b"),
                layers.Activation("relu", name="relu"),
                layers.MaxPooling2D((2, 1), name="max"),
                layers.GlobalAveragePooling2D(keepdims=True, name="gap"),
                layers.Flatten(name="flat"),
                layers.Dense(4, use_bias=False, name="logits"),
            ]
        ),
        seed,
    )


def picture_for(model, seed=5):
    image = np.random.default_rng(seed).random(model.input_shape[1:])
    return (image * (255 if type(model.layers[0]).__name__ == "Rescaling" else 1)).astype("float32")


MODELS = {"lesson": lesson_model, "mixed": mixed_model, "valid": valid_model}


@cache
def network(name):
    pytest.importorskip("tensorflow")
    return MODELS[name]()


@pytest.fixture
def lesson():
    return network("lesson")


def browse(model=None, **options):
    options = {"labels": SHAPES["label"], "class_names": CLASS_NAMES, **options}
    return FeatureBrowser(model or network("lesson"), PICTURES, **options)


# ---- without a browser ----


@pytest.mark.parametrize("name", MODELS)
def test_every_layer_and_every_gradient_is_kerass(name):
    import tensorflow as tf

    model = network(name)
    exported, image = export(model), picture_for(model)
    got = forward(exported, image)
    x, wanted = tf.constant(image[None]), {}
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        for layer in model.layers:
            x = wanted[layer.name] = layer(x, training=False)
            tape.watch(x)
        score = x[0, 1]
    assert list(got) == [n for n in wanted if n != "drop"]
    for key, value in got.items():
        np.testing.assert_allclose(value, wanted[key][0], atol=1e-5, rtol=1e-5, err_msg=key)
        if key != list(got)[-1]:
            grad = tape.gradient(score, wanted[key])[0].numpy()
            np.testing.assert_allclose(gradient(exported, image, key, 1), grad, atol=1e-5, err_msg=key)
        if key in map_layers(exported):
            cam = np.maximum(wanted[key][0].numpy() @ grad.mean(axis=(0, 1)), 0)
            np.testing.assert_allclose(gradcam(exported, image, key, 1), cam, atol=1e-5, err_msg=key)


def test_the_gradient_is_the_slope_of_the_logit():
    model = network("mixed")
    exported, image = export(model), picture_for(model).astype(float)
    step = np.random.default_rng(0).normal(0, 1e-4, image.shape)
    after, before = (forward(exported, image + s * step)["logits"][2] for s in (1, -1))
    grad = gradient(exported, image, "scale", 2) / 255  # back through the rescaling by hand
    assert (after - before) / 2 == pytest.approx((grad * step).sum(), rel=1e-4)


def test_half_precision_rounds_the_weights_only(lesson):
    full, half = export(lesson), export(lesson, "float16")
    assert len(half["weights"]) < 0.51 * len(full["weights"])
    np.testing.assert_array_equal(unpack(half), unpack(full).astype(np.float16))
    a, b = (probabilities(forward(e, PICTURES[0])["logits"]) for e in (full, half))
    np.testing.assert_allclose(a, b, atol=0.01)


def test_the_state_is_small_and_becomes_float16_when_it_must(lesson):
    few = browse()
    state = few.get_state()
    assert few.network["precision"] == "float32"
    assert sum(len(json.dumps(state[key])) for key in ("network", "pictures")) < 305_000
    many = FeatureBrowser(lesson, np.repeat(PICTURES, 3, axis=0))
    assert many.network["precision"] == "float16" and many.pictures["count"] == 24
    chosen = FeatureBrowser(lesson, np.repeat(PICTURES, 3, axis=0), precision="float32")
    assert chosen.network["precision"] == "float32"


def test_pictures_survive_and_bytes_follow_the_model(lesson):
    widget = browse()
    np.testing.assert_array_equal(widget.stored(), SHAPES["images"])
    as_bytes = FeatureBrowser(lesson, SHAPES["images"])
    assert as_bytes.pictures == widget.pictures and as_bytes.pictures["scale"] == 255
    grey = np.arange(143, dtype=np.uint8).reshape(1, 13, 11)  # without channels
    rescaled = FeatureBrowser(network("mixed"), grey, layer=None)
    assert rescaled.pictures["scale"] == 1 and rescaled.layer == "conv_c"
    np.testing.assert_allclose(rescaled.shown()["activations"]["scale"][0, 5, 0], 5 / 255 - 0.2)


@pytest.mark.parametrize("name", MODELS)
def test_receptive_field_is_where_a_change_is_felt(name):
    model = network(name)
    exported, image = export(model), picture_for(model)
    height, width = image.shape[:2]
    for layer in map_layers(exported):
        start, jump, size = receptive_field(exported, layer)
        maps = forward(exported, image)[layer]
        place = (maps.shape[0] // 2, maps.shape[1] // 2)
        box = [
            range(max(start[a] + place[a] * jump[a], 0), start[a] + place[a] * jump[a] + size[a])
            for a in (0, 1)
        ]
        for row, column in [(0, 0), (height - 1, width - 1), (box[0].start, box[1].start), (4, 6)]:
            changed = image.copy()
            changed[row, column] += 1000
            felt = not np.allclose(forward(exported, changed)[layer][place], maps[place], atol=1e-9)
            assert not felt or (row in box[0] and column in box[1]), (layer, row, column)
    if name == "lesson":
        assert receptive_field(exported, "conv3") == ([-7, -7], [4, 4], [18, 18])


def test_filters_only_where_the_picture_is_seen_directly(lesson):
    exported = export(lesson)
    np.testing.assert_allclose(first_filters(exported, "conv1"), lesson.layers[0].kernel.numpy())
    assert first_filters(exported, "pool1") is None and first_filters(exported, "conv2") is None
    mixed = export(network("mixed"))
    assert first_filters(mixed, "relu").shape == (4, 3, 1, 5)  # behind rescaling and normalisation
    assert first_filters(mixed, "max") is None and first_filters(mixed, "scale") is None
    assert map_layers(mixed) == [
        "conv_a", "norm", "relu", "max", "conv_b", "conv_c", "sigmoid", "average"
    ]  # fmt: skip
    assert "gap" not in map_layers(export(network("valid")))


def test_small_helpers():
    assert strongest([[0, 5, 4], [0, 0, 0], [0, 0, 3.0]]) == [(0, 1), (2, 2)]
    assert strongest(-np.ones((3, 3))) == []
    np.testing.assert_allclose(enlarge(np.full((3, 2), 4.0), 7, 9), 4)
    np.testing.assert_allclose(enlarge([[0, 1.0]], 1, 4), [[0, 0.25, 0.75, 1]])
    painted = paint(np.zeros((6, 5, 3), np.uint8), [4, 3], 4)
    assert (painted[4:, 3:] == 128).all() and painted.sum() == 128 * 3 * 4
    assert (paint(painted, [], 4) == painted).all()
    picture = SHAPES["images"][0]
    np.testing.assert_allclose(overlay(picture, np.ones((2, 2)), 0), picture)
    np.testing.assert_allclose(overlay(picture, np.ones((2, 2)), 1)[3, 3], [253, 231, 37])
    np.testing.assert_allclose(overlay(picture, np.zeros((2, 2)), 1)[3, 3], [68, 1, 84])


def test_colours_are_those_of_the_lessons():
    matplotlib = pytest.importorskip("matplotlib")
    from course_utils import plotting

    t = np.linspace(0, 1, 101)
    wanted = 255 * matplotlib.colormaps[plotting.SEQUENTIAL](t)[:, :3]
    assert np.abs(colours(t) - wanted).max() < 14  # eleven stops, linear between them


def test_the_enlargement_is_kerass():
    keras = pytest.importorskip("keras")
    values = np.random.default_rng(0).random((5, 8))
    wanted = keras.ops.image.resize(values[..., None], (32, 30), interpolation="bilinear")[..., 0]
    np.testing.assert_allclose(enlarge(values, 32, 30), wanted, atol=1e-6)


def test_preview_and_description_hold_the_numbers(lesson):
    widget = browse(picture=2, square=[4, 6])
    shown = widget.shown()
    hidden = SHAPES["images"][2].copy()
    hidden[4:12, 6:14] = 128
    logits = lesson.predict(hidden[None] / np.float32(255), verbose=0)[0]
    np.testing.assert_allclose(shown["probabilities"], probabilities(logits), atol=1e-5)
    picture = widget.preview()
    root = ElementTree.fromstring(picture)
    assert len(picture.encode()) < 20_000
    assert len([e for e in root.iter() if e.tag.endswith("image")]) == 2
    texts = [e.text for e in root.iter() if e.tag.endswith("text")]
    for p, name in zip(shown["probabilities"], CLASS_NAMES, strict=True):
        assert f"{p:.2f}" in texts and name in texts
    best = int(shown["probabilities"].argmax())
    text = widget.description
    assert f"{CLASS_NAMES[best]} a probability of {shown['probabilities'][best]:.2f}" in text
    assert "Picture 3 of 8" in text and "grey square of 8 pixels at row 4, column 6" in text
    assert "conv3 has 48 feature maps of 8 by 8" in text


def test_names_are_escaped_and_a_silent_gradcam_is_said():
    keras = pytest.importorskip("keras")
    model = keras.models.clone_model(network("lesson"))
    model.set_weights([0 * w for w in model.get_weights()])
    widget = FeatureBrowser(model, PICTURES[:1], class_names=[*list("abcde"), "<&>"], target=5)
    ElementTree.fromstring(widget.preview())
    assert "zero everywhere" in widget.description
    assert widget.class_names[5] == "<&>" and widget.labels == []


def sequential(*stack, shape=(8, 8, 3)):
    import keras

    return keras.Sequential([keras.Input(shape), *stack])


def conv(**options):
    from keras import layers

    return layers.Conv2D(2, 3, **{"name": "conv3", **options})


def head():
    from keras import layers

    return [layers.GlobalAveragePooling2D(), layers.Dense(2, name="logits")]


@pytest.mark.parametrize(
    ("stack", "message"),
    [
        (lambda layers: [layers.DepthwiseConv2D(3, name="deep")], r"'deep' \(DepthwiseConv2D\) is not among"),
        (lambda layers: [layers.ZeroPadding2D(name="zeros")], r"'zeros' \(ZeroPadding2D\) is not among"),
        (lambda layers: [layers.Conv2D(3, 3, groups=3, name="grouped")], "'grouped'.*has groups"),
        (lambda layers: [conv(activation="gelu")], "'conv3'.*'gelu'.*linear, relu, tanh and sigmoid"),
        (lambda layers: [conv(), layers.ReLU(6.0, name="six")], "'six'.*plain ReLU"),
        (lambda layers: [conv(), layers.BatchNormalization(axis=1, name="rows")], "'rows'.*the channels"),
        (lambda layers: [conv(), layers.Dense(3, name="early")], "'early'.*before the maps are flattened"),
        (lambda layers: [layers.AveragePooling2D(2)], "no Conv2D layer"),
        (lambda layers: [layers.Conv2D(300, 9, padding="same", name="wide")], "parameters; at most 60,000"),
        (lambda layers: [conv(name="other")], "no layer 'conv3' with feature maps; there are: other"),
    ],
)
def test_models_the_figure_cannot_show_are_named(stack, message):
    keras = pytest.importorskip("keras")
    model = sequential(*stack(keras.layers), *head())
    with pytest.raises(ValueError, match=message):
        FeatureBrowser(model, np.zeros((1, 8, 8, 3)))


def test_more_models_that_do_not_fit(lesson):
    import keras
    from keras import layers

    flat = [conv(), layers.Flatten()]
    with pytest.raises(ValueError, match=r"'end' \(Dense\) ends in a softmax"):
        export(sequential(*flat, layers.Dense(2, activation="softmax", name="end")))
    with pytest.raises(ValueError, match=r"'soft'.*ends in a softmax"):
        export(sequential(*flat, layers.Dense(2), layers.Activation("softmax", name="soft")))
    with pytest.raises(ValueError, match="last layer, 'end', must be a Dense that gives logits"):
        export(sequential(conv(), layers.Flatten(name="end")))
    with pytest.raises(ValueError, match="last layer, 'end', must be a Dense that gives logits"):
        export(sequential(conv(), layers.Flatten(), layers.Dense(2, activation="relu", name="end")))
    with pytest.raises(ValueError, match="not built"):
        export(keras.Sequential([conv(), *head()]))
    inputs = keras.Input((8, 8, 3))
    with pytest.raises(ValueError, match=r"must be a keras\.Sequential, not Functional"):
        export(keras.Model(inputs, conv()(inputs)))
    with pytest.raises(ValueError, match="sides of at most 64 pixels, not \\(80, 8, 3\\)"):
        export(sequential(conv(), *head(), shape=(80, 8, 3)))
    with pytest.raises(ValueError, match="multiply-adds for one picture"):
        big = [layers.Conv2D(64, 3), layers.Conv2D(64, 3), *head()]
        export(sequential(*big, shape=(64, 64, 3)))
    with pytest.raises(ValueError, match="precision must be"):
        export(lesson, "float64")
    spoilt = keras.models.clone_model(lesson)
    spoilt.layers[0].set_weights([w + np.nan for w in lesson.layers[0].get_weights()])
    with pytest.raises(ValueError, match="not finite"):
        export(spoilt)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"labels": [1, 2]}, "8 images but 2 labels"),
        ({"labels": [9] * 8}, "labels must be whole numbers from 0 to 5"),
        ({"labels": [0.5] * 8}, "labels must be whole numbers"),
        ({"class_names": ["a", "b"]}, "gives 6 logits, but there are 2 class_names"),
        ({"layer": "conv9"}, "no layer 'conv9' with feature maps; there are: conv1, pool1"),
        ({"layer": "gap"}, "no layer 'gap' with feature maps"),
        ({"picture": 8}, "picture must lie between 0 and 7, not 8"),
        ({"unit": 48}, "unit must lie between -1 and 47"),
        ({"target": 6}, "target must lie between -1 and 5"),
        ({"opacity": 1.5}, "opacity must lie between 0 and 1"),
        ({"size": 17}, "size must lie between 2 and 16"),
        ({"square": [1]}, "square must be"),
        ({"square": [30, 0]}, "square must lie inside the picture"),
    ],
)
def test_wrong_options_are_one_sentence(options, message):
    with pytest.raises(ValueError, match=message):
        browse(**options)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (PICTURES[0], r"images must have shape \(n, 32, 32, 3\), not \(32, 32, 3\)"),
        (PICTURES[..., :1], r"not \(8, 32, 32, 1\)"),
        (np.zeros((25, 32, 32, 3), np.uint8), "1 to 24 pictures, not 25"),
        (SHAPES["images"].astype(float), "must lie between 0 and 1"),
        (SHAPES["images"].astype(int), "uint8, or floats from 0 to 1, not int64"),
        (PICTURES * np.nan, "must lie between 0 and 1"),
    ],
)
def test_wrong_pictures_are_one_sentence(images, message):
    with pytest.raises(ValueError, match=message):
        _as_bytes(images, [32, 32, 3])


def test_traits_are_checked_later_too():
    widget = browse()
    for name, value in (("layer", "conv9"), ("picture", 8), ("opacity", -1)):
        with pytest.raises(traitlets.TraitError, match=name):
            setattr(widget, name, value)
    widget.layer = "conv1"
    assert "16 feature maps of 32 by 32" in widget.description


# ---- in the browser ----

RUN = """
const m = host.modules[0].math, net = m.decode(host.models[0].get("network"));
const values = m.forward(net, Float64Array.from(arguments[0]));
"""


@pytest.mark.parametrize(
    ("name", "precision"),
    [("lesson", "float32"), ("mixed", "float32"), ("mixed", "float16"), ("valid", "float32")],
)
def test_browser_computes_the_same_numbers(open_page, name, precision):
    model = network(name)
    image = picture_for(model).astype(float)
    stored = np.zeros((1, *model.input_shape[1:]), np.uint8)
    page = open_page(FeatureBrowser(model, stored, layer=None, precision=precision))
    exported = export(model, precision)
    got = page.js(
        RUN + "return { values: values.slice(1).map((v) => [...v]), layers: m.mapLayers(net).map((k) => {"
        "const e = m.gradcam(net, values, k, 1), F = net.ops[k].shape[2], first = m.first(net, k);"
        "return { name: net.ops[k].name, cam: [...e.cam], grad: [...m.gradient(net, values, k, 1)],"
        "weights: [...e.weights], leading: m.leading(values[k + 1], e), field: m.field(net, k),"
        "first: first && [...first.w],"
        "top: m.strongest(m.map(values[k + 1], F, 0), net.ops[k].shape[1]) }})}",
        image.ravel().tolist(),
    )
    wanted = forward(exported, image)
    for value, (key, array) in zip(got["values"], wanted.items(), strict=True):
        np.testing.assert_allclose(value, array.ravel(), atol=1e-9, err_msg=key)
    assert [layer["name"] for layer in got["layers"]] == map_layers(exported)
    for layer in got["layers"]:
        key = layer["name"]
        grad = gradient(exported, image, key, 1)
        np.testing.assert_allclose(layer["grad"], grad.ravel(), atol=1e-9, err_msg=key)
        np.testing.assert_allclose(layer["weights"], grad.mean(axis=(0, 1)), atol=1e-9)
        np.testing.assert_allclose(layer["cam"], gradcam(exported, image, key, 1).ravel(), atol=1e-9)
        assert layer["leading"] == leading_map(exported, image, key, 1)
        field = tuple(layer["field"][part] for part in ("start", "jump", "size"))
        assert field == receptive_field(exported, key)
        assert [tuple(p) for p in layer["top"]] == strongest(wanted[key][..., 0])
        filters = first_filters(exported, key)
        assert (layer["first"] is None) == (filters is None)
        if filters is not None:
            np.testing.assert_allclose(layer["first"], filters.ravel(), atol=1e-12)


def test_what_is_drawn_is_what_python_computes(open_page):
    widget = browse(picture=1, square=[3, 5], opacity=0.7)
    page = open_page(widget)
    shown = widget.shown()
    got = page.js(
        "const c = document.querySelector('.fb-picture canvas');"
        "return [...c.getContext('2d').getImageData(0, 0, c.width, c.height).data]"
    )
    wanted = overlay(shown["image"], shown["cam"], 0.7)
    np.testing.assert_allclose(np.reshape(got, (32, 32, 4))[..., :3], wanted, atol=0.51)
    bars = [float(b.text) for b in page.all(".fb-number")]
    np.testing.assert_allclose(bars, shown["probabilities"], atol=0.0051)
    assert f"Map {shown['unit']} of conv3" in page.one(".fb-map .fb-title").text
    largest = shown["activations"]["conv3"][..., shown["unit"]].max()
    assert f"up to {largest:.2f}" in page.one(".fb-detail p").text
    lefts = [float(b.get_attribute("style").split("left: ")[1].split("%")[0]) for b in page.all(".fb-was")]
    np.testing.assert_allclose(lefts, 100 * shown["untouched"], atol=0.01)
    got = page.js(
        "const m = host.modules[0].math; return [[...m.enlarge(arguments[0], 3, 4, 9, 7)], m.sequential,"
        "m.colour(m.sequential, 0.37), m.colour(m.diverging, 0.5)]",
        np.arange(12.0).tolist(),
    )
    np.testing.assert_allclose(got[0], enlarge(np.arange(12.0).reshape(3, 4), 9, 7).ravel(), atol=1e-12)
    np.testing.assert_allclose(got[2], colours(0.37), atol=1e-9)
    assert got[3] == [246, 246, 247]


def test_forward_and_backward_are_quick_enough_to_follow_the_mouse(open_page):
    page = open_page(browse())
    times = page.js(
        RUN + "const times = []; for (let k = 0; k < 15; k += 1) { const t = performance.now();"
        "m.gradcam(net, m.forward(net, values[0]), m.mapLayers(net)[0], 2);"
        "times.push(performance.now() - t); } return times",
        PICTURES[0].ravel().tolist(),
    )
    assert min(times) < 50


def test_pictures_layers_and_maps_by_pointer_and_keys(open_page):
    page = open_page(browse())
    thumbs = page.all(".fb-thumbs button")
    assert len(thumbs) == 8 and len(page.all(".fb-maps button")) == 48
    page.click(thumbs[3])
    assert page.get("picture") == 3 and thumbs[3].get_attribute("aria-checked") == "true"
    page.keys(RIGHT)
    assert page.get("picture") == 4 and thumbs[3].get_attribute("tabindex") == "-1"
    select = page.one(".fb-layer select")
    page.js("arguments[0].value = 'conv1'; arguments[0].dispatchEvent(new Event('change'))", select)
    page.settle()
    assert page.get("layer") == "conv1" and len(page.all(".fb-maps button")) == 16
    assert page.one(".fb-filter").is_displayed() and "3 × 3 × 3" in page.one(".fb-filter").text
    page.click(page.all(".fb-maps button")[6])
    assert page.get("unit") == 6 and page.one(".fb-map .fb-title").text == "Map 6 of conv1"
    page.keys(RIGHT, RIGHT, LEFT)
    assert page.get("unit") == 7
    filters = network("lesson").layers[0].kernel.numpy()[..., 7]
    pixels = page.js(
        "const c = document.querySelector('.fb-filter canvas');"
        "return [...c.getContext('2d').getImageData(0, 0, 3, 3).data]"
    )
    wanted = 127.5 + 127.5 * filters / np.abs(filters).max()
    np.testing.assert_allclose(np.reshape(pixels, (3, 3, 4))[..., :3], wanted, atol=0.51)
    page.keys("\ue010")  # End
    assert page.get("unit") == 15
    page.set("layer", "conv4")
    assert not page.one(".fb-filter").is_displayed()
    assert "26 × 26 pixels" in page.one(".fb-detail p").text
    circles, fields = page.all(".fb-dot"), page.all(".fb-field")
    places = page.all(".fb-map .fb-place")
    assert len(circles) == len(places) and len(fields) == min(len(places), 1)
    boxes = page.all(".cx-panel .cx-check input")
    page.click(boxes[1])
    assert page.all(".fb-dot") == [] and page.all(".fb-place") == []


def test_wrong_pictures_are_marked(open_page, lesson):
    page = open_page(browse())
    found = lesson.predict(PICTURES, verbose=0).argmax(axis=1)
    wrong = [k for k in range(8) if found[k] != SHAPES["label"][k]]
    count = "return document.querySelectorAll('.fb-wrong').length"
    page.until(f"{count} === arguments[0]", len(wrong))
    first = page.all(".fb-thumbs button")[wrong[0]].get_attribute("aria-label")
    true, taken = CLASS_NAMES[SHAPES["label"][wrong[0]]], CLASS_NAMES[found[wrong[0]]]
    assert first == f"picture {wrong[0] + 1}, true class {true}, taken for {taken}"


def test_the_square_by_pointer_and_keys(open_page):
    page = open_page(browse())
    before = [b.text for b in page.all(".fb-number")]
    assert not page.one(".fb-grip").is_displayed()
    screen = page.one(".fb-picture .fb-screen")
    unit = screen.size["width"] / 32
    page.click_at(screen, 0, 0)
    assert page.get("square") == [12, 12]
    assert [b.text for b in page.all(".fb-number")] != before
    assert "without the square" in page.one(".fb-detail p").text
    saves = page.js("return host.saves[0]")
    page.drag(page.one(".fb-grip"), round(6 * unit), round(-3 * unit))
    np.testing.assert_allclose(page.get("square"), [9, 18], atol=1)
    assert page.js("return host.saves[0]") == saves + 1  # one message to Python for one drag
    page.set("square", [9, 18])
    page.focus(page.one(".fb-grip"))
    page.keys(LEFT, DOWN, DOWN)
    assert page.get("square") == [11, 17]
    assert "row 11, column 17" in page.one(".fb-grip").get_attribute("aria-label")
    page.keys("+", "+")
    assert page.get("size") == 10
    row, column = page.get("square")
    assert abs(row - 10) <= 1 and abs(column - 16) <= 1  # it grows about its middle
    page.js(
        "for (let k = 0; k < 40; k += 1)"
        "arguments[0].dispatchEvent(new KeyboardEvent('keydown', {key: 'ArrowUp'}))",
        page.one(".fb-grip"),
    )
    page.settle()
    assert page.get("square")[0] == 0  # never outside
    page.keys(DELETE)
    assert page.get("square") == [] and not page.one(".fb-grip").is_displayed()
    assert [b.text for b in page.all(".fb-number")] == before
    box = page.all(".cx-panel .cx-check input")[0]
    assert page.js("return document.activeElement === arguments[0]", box)  # the focus is not lost
    page.click(box)
    assert page.get("square") == [11, 11]
    page.said("probability")


def test_choosing_a_class_opacity_scale_and_reset(open_page):
    widget = browse(layer="conv4")
    page = open_page(widget)
    opening = page.js("return document.querySelector('.fb-picture canvas').toDataURL()")
    page.click(page.all(".fb-row")[4])
    assert page.get("target") == 4
    assert page.one(".fb-picture .fb-title").text == f"Grad-CAM for {CLASS_NAMES[4]}"
    widget.target = 4
    leading = widget.shown()["unit"]
    assert page.one(".fb-map .fb-title").text == f"Map {leading} of conv4"
    slider = page.all(".cx-panel input[type=range]")[0]
    page.js("arguments[0].value = 0; arguments[0].dispatchEvent(new Event('input'))", slider)
    page.settle()
    pixels = page.js(
        "const c = document.querySelector('.fb-picture canvas');"
        "return [...c.getContext('2d').getImageData(0, 0, 32, 32).data]"
    )
    assert (np.reshape(pixels, (32, 32, 4))[..., :3] == SHAPES["images"][0]).all()
    page.click(page.all(".cx-panel .cx-check input")[2])  # one scale for all maps
    largest = widget.shown()["activations"]["conv4"].max()
    assert float(page.one(".fb-legend").text.split()[-1]) == pytest.approx(largest, rel=0.01)
    page.click_at(page.one(".fb-picture .fb-screen"), 20, 20)
    page.click(page.all(".fb-thumbs button")[5])
    page.click(page.button("Reset"))
    assert page.get("picture") == 0 and page.get("target") == -1 and page.get("square") == []
    assert page.js("return document.querySelector('.fb-picture canvas').toDataURL()") == opening
    assert "its largest" in page.one(".fb-legend").text


def test_signed_maps_and_a_grey_picture(open_page):
    grey = np.random.default_rng(0).integers(0, 255, (2, 13, 11), dtype=np.uint8)
    page = open_page(FeatureBrowser(network("mixed"), grey, layer="conv_a"))
    assert "negative" in page.one(".fb-legend").text
    assert "white is 0" in page.one(".fb-filter").text
    assert "where it is positive it speaks" in page.one(".fb-detail p").text
    assert page.js("const c = document.querySelector('.fb-map canvas'); return [c.width, c.height]") == [6, 7]
    page.set("layer", "relu")
    assert page.one(".fb-legend").text.startswith("0")
    page.set("layer", "average")
    assert not page.one(".fb-filter").is_displayed()
    assert page.audit() == []


def test_instances_do_not_interfere_and_clean_up(open_page):
    page = open_page(browse(), browse(picture=2, layer="conv1"))
    page.click(page.all(".fb-thumbs button")[6])
    assert page.get("picture", 0) == 6 and page.get("picture", 1) == 2
    page.js("host.disposers[0]()")
    assert page.js("return Object.values(host.models[0].handlers).flat().length") == 0
    assert len(page.all(".cx")) == 1
    page.set("picture", 1, 1)
    assert page.all(".fb-thumbs button")[1].get_attribute("aria-checked") == "true"


@pytest.mark.parametrize("theme", ["book-light", "book-dark", "lab-dark"])
@pytest.mark.parametrize("width", [344, 600, 860])
def test_no_text_too_small_nothing_overflows(open_page, theme, width):
    names = ["a rather long class name", *CLASS_NAMES[1:]]
    page = open_page(browse(layer="conv1", square=[0, 24], class_names=names), theme=theme, width=width)
    assert page.audit() == []
    assert page.one(".cx").get_attribute("data-cx-theme") == theme.split("-")[1]
