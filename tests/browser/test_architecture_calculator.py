"""The architecture calculator: its counts against Keras and the literature, its figure in a real browser."""

from __future__ import annotations

import json
from dataclasses import asdict
from xml.etree import ElementTree

import pytest
import traitlets

from course_utils.explorables import ArchitectureCalculator
from course_utils.explorables.architecture_calculator import (
    PRESETS,
    _finding,
    _full_layers,
    layer_label,
    short_number,
    stack_costs,
)

DOWN, DELETE, END, HOME = "\ue015", "\ue017", "\ue010", "\ue011"

CONV = {"kind": "conv", "filters": 8}
STACKS = {
    "strides and paddings": [
        [
            {**CONV, "kernel": 5, "stride": 2, "padding": "valid"},
            {**CONV, "kernel": 4, "stride": 3, "bias": False},
            {"kind": "max_pool", "kernel": 3, "stride": 2, "padding": "same"},
            {"kind": "avg_pool"},
            {"kind": "flatten"},
            {"kind": "dense", "units": 7, "bias": False},
            {"kind": "dense", "units": 3},
        ],
        (39, 30, 3),
    ],
    "groups and depthwise": [
        [
            {**CONV, "groups": 2, "norm": True},
            {"kind": "depthwise", "stride": 2},
            {"kind": "depthwise", "kernel": 5, "padding": "valid", "norm": True},
            {"kind": "conv", "filters": 12, "kernel": 1, "groups": 4, "norm": True, "bias": True},
            {"kind": "global_pool"},
            {"kind": "dense", "units": 5},
        ],
        (16, 18, 6),
    ],
    "blocks": [
        [
            {"kind": "inception", "filters": [4, 3, 6, 2, 5, 7], "name": "first"},
            {"kind": "residual", "filters": 22},
            {"kind": "residual", "filters": 10, "stride": 2},
            {"kind": "bottleneck", "filters": 6, "stride": 2},
            {"kind": "bottleneck", "filters": 6},
            {"kind": "global_pool"},
            {"kind": "dense", "units": 4},
        ],
        (15, 12, 5),
    ],
}
CONFLICTS = [
    (
        [{**CONV, "kernel": 5, "padding": "valid"}],
        (4, 9, 1),
        "Layer 1 (conv 5×5, 8, valid): a window of 5 × 5 does not fit into a map of 4 × 9.",
    ),
    (
        [CONV, {"kind": "max_pool"}, {"kind": "max_pool"}],
        (2, 2, 1),
        "Layer 3 (max pool 2×2): a window of 2 × 2 does not fit into a map of 1 × 1.",
    ),
    (
        [CONV, {"kind": "dense", "units": 10}],
        (28, 28, 1),
        "Layer 2 (dense 10): a dense layer needs a vector, but gets a map of 28 × 28 × 8; "
        "flatten or pool it globally first.",
    ),
    (
        [{"kind": "flatten"}, CONV],
        (40, 40, 1),
        "Layer 2 (conv 3×3, 8): it needs a map (H, W, C), but gets a vector of 1,600 numbers; "
        "put it further up.",
    ),
    (
        [{**CONV, "groups": 2}],
        (8, 8, 3),
        "Layer 1 (conv 3×3, 8, g 2): 2 groups do not divide both the 3 channels that come in "
        "and the 8 filters.",
    ),
]


# ---- without a browser ----


def keras_layer(keras, x, layer):
    """One layer of a full description, called on ``x``."""
    layers, kind = keras.layers, layer["kind"]

    def conv(x, filters, kernel, stride=1, padding="same", groups=1, bias=True, norm=False):
        x = layers.Conv2D(filters, kernel, stride, padding, groups=groups, use_bias=bias)(x)
        return layers.BatchNormalization()(x) if norm else x

    if kind == "conv":
        return conv(
            x, *(layer[name] for name in ("filters", "kernel", "stride", "padding", "groups", "bias", "norm"))
        )
    if kind == "depthwise":
        x = layers.DepthwiseConv2D(
            layer["kernel"], layer["stride"], layer["padding"], use_bias=layer["bias"]
        )(x)
        return layers.BatchNormalization()(x) if layer["norm"] else x
    if kind in ("max_pool", "avg_pool"):
        pool = layers.MaxPooling2D if kind == "max_pool" else layers.AveragePooling2D
        return pool(layer["kernel"], layer["stride"], layer["padding"])(x)
    if kind == "global_pool":
        return layers.GlobalAveragePooling2D()(x)
    if kind == "flatten":
        return layers.Flatten()(x)
    if kind == "dense":
        return layers.Dense(layer["units"], use_bias=layer["bias"])(x)
    if kind == "inception":
        a, b, c, d, e, f = layer["filters"]
        branches = [conv(x, a, 1), conv(conv(x, b, 1), c, 3), conv(conv(x, d, 1), e, 5)]
        return layers.Concatenate()([*branches, conv(layers.MaxPooling2D(3, 1, "same")(x), f, 1)])
    filters, stride = layer["filters"], layer["stride"]
    plan = (
        [(filters, 3), (filters, 3)] if kind == "residual" else [(filters, 1), (filters, 3), (4 * filters, 1)]
    )
    y = x
    for k, (n, kernel) in enumerate(plan):
        y = conv(y, n, kernel, 1 if k else stride, bias=False, norm=True)
    if tuple(x.shape) != tuple(y.shape):
        x = conv(x, y.shape[-1], 1, stride, bias=False, norm=True)
    return layers.Add()([x, y])


@pytest.mark.parametrize("name", [*STACKS, "tiny", "lenet5", "googlenet", "mobilenet", "resnet18"])
def test_shapes_parameters_and_multiply_adds_are_those_of_keras(name):
    import keras

    from course_utils.costs import multiply_adds

    layers, shape = (
        STACKS[name] if name in STACKS else (PRESETS[name].layers, (32, 32, PRESETS[name].input_shape[2]))
    )
    rows = stack_costs(layers, shape)
    inputs = x = keras.Input(shape)
    before = 0
    for layer, row in zip(_full_layers(layers), rows, strict=True):
        x = keras_layer(keras, x, layer)
        assert tuple(x.shape[1:]) == row.output_shape, row.label
        if name in STACKS:  # each row by itself
            model = keras.Model(inputs, x)
            trained = sum(int(weight.shape.num_elements()) for weight in model.trainable_weights)
            assert trained - before == row.parameters, row.label
            before = trained
    model = keras.Model(inputs, x)
    assert sum(int(w.shape.num_elements()) for w in model.trainable_weights) == sum(
        r.parameters for r in rows
    )
    if not any(w in json.dumps(layers) for w in ("norm", "residual", "bottleneck")):
        assert model.count_params() == sum(r.parameters for r in rows)
    assert multiply_adds(model) == sum(r.multiply_adds for r in rows)


@pytest.mark.parametrize(
    ("name", "parameters", "work"),
    [
        ("lenet5", 61_706, 416_520),
        ("alexnet", 60_965_224, 724_406_816),
        ("vgg11", 132_863_336, 7.6e9),
        ("vgg16", 138_357_544, 15_470_264_320),
        ("vgg19", 143_667_240, 19.6e9),
        ("googlenet", 6_998_552, 1.58e9),
        ("resnet18", 11_689_512, 1.8e9),
        ("resnet50", 25_557_032, 3.86e9),
        ("mobilenet", 4_231_976, 569e6),
    ],
)
def test_known_totals(name, parameters, work):
    rows = stack_costs(PRESETS[name].layers, PRESETS[name].input_shape)
    assert sum(r.parameters for r in rows) == parameters
    total = sum(r.multiply_adds for r in rows)
    assert total == (work if isinstance(work, int) else pytest.approx(work, rel=0.01))


def test_the_finding_of_the_lesson():
    rows = stack_costs(PRESETS["vgg16"].layers, (224, 224, 3))
    parameters, work = sum(r.parameters for r in rows), sum(r.multiply_adds for r in rows)
    assert rows[19].kind == "dense" and rows[19].parameters > 0.74 * parameters
    assert sum(r.multiply_adds for r in rows if r.kind == "dense") < 0.01 * work
    assert sum(r.multiply_adds for r in rows[:9]) > 0.5 * work
    assert "Layer 20 (dense 4096) alone holds 74 %" in _finding(rows)
    double = stack_costs(PRESETS["vgg16"].layers, (448, 448, 3))
    for one, four in zip(rows[:18], double, strict=False):
        assert four.multiply_adds == 4 * one.multiply_adds and four.parameters == one.parameters
    assert double[19].input_shape == (4 * 25088,)


def test_receptive_fields_and_activations():
    rows = stack_costs(PRESETS["vgg16"].layers, (224, 224, 3))
    assert [r.receptive_field for r in rows[:6]] == [3, 5, 6, 10, 14, 16]
    assert rows[17].receptive_field == 212 and rows[18].receptive_field == 212
    assert [r.receptive_field for r in rows[19:]] == [None, None, None]
    assert stack_costs(PRESETS["alexnet"].layers, (227, 227, 3))[7].receptive_field == 195
    assert rows[0].activations == 224 * 224 * 64 and rows[18].activations == 0
    block = stack_costs([{"kind": "inception", "filters": [4, 3, 6, 2, 5, 7]}], (10, 10, 8))[0]
    assert block.output_shape == (10, 10, 22) and block.activations == 100 * (4 + 3 + 6 + 2 + 5 + 7 + 8)


def test_two_groups_halve_a_convolution():
    one, two = (stack_costs([{**CONV, "groups": g, "bias": False}], (9, 9, 6))[0] for g in (1, 2))
    assert one.parameters == 2 * two.parameters and one.multiply_adds == 2 * two.multiply_adds


@pytest.mark.parametrize(("layers", "shape", "sentence"), CONFLICTS)
def test_conflicts_are_one_sentence(layers, shape, sentence):
    with pytest.raises(ValueError) as error:
        stack_costs(layers, shape)
    assert str(error.value) == sentence
    widget = ArchitectureCalculator(layers, shape)  # the figure opens all the same
    assert widget.conflict == sentence and widget.description.endswith(sentence)
    ElementTree.fromstring(widget.preview())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("vgg",), "no preset 'vgg'; choose one of: tiny, lenet5"),
        (([],), "layers must be a list of 1 to 80 dictionaries"),
        ((CONV,), "layers must be a list"),
        (([5],), "Layer 1 must be a dictionary such as"),
        (([CONV, {"kind": "convolution"}],), "Layer 2: there is no kind 'convolution'; choose one of: conv"),
        (([{**CONV, "size": 3}],), r"Layer 1 \(conv\): there is no option 'size'; choose from: filters"),
        (([{"kind": "flatten", "units": 3}],), "there is no option 'units'; it has none"),
        (([{"kind": "dense"}],), r"Layer 1 \(dense\) needs units"),
        (([{**CONV, "kernel": 0}],), "kernel must be a whole number from 1 to 31, not 0"),
        (([{**CONV, "filters": 2.5}],), "filters must be a whole number from 1 to 8,192, not 2.5"),
        (([{**CONV, "padding": "full"}],), "padding must be 'same' or 'valid', not 'full'"),
        (([{"kind": "inception", "filters": 64}],), "filters must be six whole numbers, not 64"),
        (("vgg16", (224, 224)), r"input_shape must be \(H, W, C\)"),
        (("vgg16", (0, 224, 3)), "height and the width of the input must be a whole number from 1 to 2,048"),
    ],
)
def test_wrong_descriptions_are_one_sentence(arguments, message):
    with pytest.raises(ValueError, match=message):
        ArchitectureCalculator(*arguments)


def test_wrong_options_are_one_sentence():
    with pytest.raises(ValueError, match="batch must be a whole number from 1 to 1,024, not 0"):
        ArchitectureCalculator(batch=0)
    with pytest.raises(ValueError, match="selected must be a whole number from 0 to 21, not 22"):
        ArchitectureCalculator(selected=22)
    widget = ArchitectureCalculator("tiny")
    with pytest.raises(traitlets.TraitError, match="Layer 1 must be a dictionary"):
        widget.layers = [None]
    widget.layers = [CONV]
    assert widget.layers[0]["kernel"] == 3 and widget.layers[0]["bias"] is True


@pytest.mark.parametrize("name", PRESETS)
def test_preview_and_description(name):
    widget = ArchitectureCalculator(name)
    picture = widget.preview()
    ElementTree.fromstring(picture)
    assert len(picture.encode()) < 20_000
    total = sum(r.parameters for r in widget.costs())
    assert f"Parameters: {total:,}" in widget.description and f"parameters {short_number(total)}" in picture
    assert f"{name}, {len(widget.layers)} layers" in widget.description
    state = {k: v for k, v in widget.get_state().items() if not k.startswith("_")}
    assert len(json.dumps(state, default=str)) < 25_000


# ---- in the browser ----


def test_browser_computes_the_same_numbers(open_page):
    page = open_page(ArchitectureCalculator("tiny"))
    cases = [*STACKS.values(), *([p.layers, p.input_shape] for p in PRESETS.values())]
    cases.append([PRESETS["vgg16"].layers, (97, 130, 4)])
    got = page.js(
        "const m = host.modules[0].math; return arguments[0].map(([layers, input]) => {"
        "const {rows, conflict} = m.stack(layers, input); return {rows: rows.map(({parts, ...row}) => row),"
        "conflict, full: layers.map(m.full), finding: m.finding(rows)}; })",
        cases,
    )
    for (layers, shape), found in zip(cases, got, strict=True):
        rows = stack_costs(layers, shape)
        assert found["rows"] == json.loads(json.dumps([asdict(r) for r in rows])) and found["conflict"] == ""
        assert found["full"] == _full_layers(layers) and found["finding"] == _finding(rows)
    sentences = page.js(
        "return arguments[0].map(([l, s]) => host.modules[0].math.stack(l, s).conflict)",
        [case[:2] for case in CONFLICTS],
    )
    assert sentences == [sentence for _, _, sentence in CONFLICTS]
    numbers = [0, 7, 999, 1000, 9994, 9996, 61_706, 99_960, 999_600, 138_357_544, 15_470_264_320, 3e12]
    texts = page.js("return arguments[0].map(host.modules[0].math.short)", numbers)
    assert texts == [short_number(n) for n in numbers]
    assert short_number(61_706) == "61.7 k" and short_number(999_600) == "1.00 M"
    assert page.js("return host.modules[0].math.label(arguments[0])", CONFLICTS[0][0][0]) == layer_label(
        CONFLICTS[0][0][0]
    )


def totals(page):
    return [node.text for node in page.all(".arch-total output")]


def choose(page, select, value):
    page.js(
        "arguments[0].value = arguments[1]; arguments[0].dispatchEvent(new Event('change', {bubbles: true}))",
        select,
        value,
    )
    page.settle()


def enter(page, field, value):
    page.js(
        "const [f, v] = arguments; f.value = v; for (const e of ['input', 'change'])"
        "f.dispatchEvent(new Event(e, {bubbles: true}))",
        field,
        str(value),
    )
    page.settle()


def test_opens_with_the_finding_and_rows_choose(open_page):
    page = open_page(ArchitectureCalculator("vgg16"))
    assert totals(page) == ["138,357,544", "15,470,264,320", "60.3 MB"]
    assert "Layer 20 (dense 4096) alone holds 74 %" in page.one(".arch-finding").text
    assert page.one(".arch-published").text.startswith("Published: 138 million")
    assert len(page.all(".arch-body .arch-row")) == 22
    page.click(page.all(".arch-pick")[19])
    assert page.get("selected") == 19
    assert "25088·4096 + 4096 = 102,764,544" in page.one(".arch-sums").text
    page.js(
        "arguments[0].dispatchEvent(new MouseEvent('click', {bubbles: true}))",
        page.all(".arch-strip rect[data-index='0']")[1],
    )
    page.settle()
    assert page.get("selected") == 0
    assert "224·224 places × 3·3·3·64 = 86,704,128" in page.one(".arch-sums").text
    assert "layer 20 74 %" in page.all(".arch-strip")[0].get_attribute("aria-label")


def test_doubling_the_input_batch_and_global_pooling(open_page):
    page = open_page(ArchitectureCalculator("vgg16"))
    page.click(page.button("Double"))
    assert page.get("input_shape") == [448, 448, 3]
    assert (
        "no longer fit layer 20: they are for 25,088 inputs, and now 100,352 come in"
        in page.one(".arch-published").text
    )
    rows = stack_costs(PRESETS["vgg16"].layers, (448, 448, 3))
    assert totals(page)[1] == f"{sum(r.multiply_adds for r in rows):,}"
    assert "× vgg16" in page.all(".arch-more")[0].text
    flatten = page.all(".arch-pick")[18]
    page.click(flatten)
    kind = page.one(".arch-form > .cx-field select")
    choose(page, kind, "global_pool")
    assert page.get("layers")[18] == {"kind": "global_pool"}
    page.click(page.button("Halve"))
    assert totals(page)[0] == f"{138_357_544 - 102_760_448 + 512 * 4096:,}"
    choose(page, page.all(".arch-setup select")[1], "32")
    assert page.get("batch") == 32 and "for 32 images" in page.all(".arch-more")[2].text
    page.click(page.button("Reset"))
    assert page.get("batch") == 1 and totals(page) == ["138,357,544", "15,470,264,320", "60.3 MB"]
    choose(page, page.all(".arch-setup select")[0], "googlenet")
    assert totals(page)[0] == "6,998,552" and page.get("preset") == "googlenet"
    page.click(page.button("Double"))
    assert "still fit" in page.one(".arch-published").text
    enter(page, page.all(".arch-shape input")[2], 1)
    assert (
        "no longer fit layer 1: they are for 3 channels, and now 1 come in"
        in page.one(".arch-published").text
    )


def test_fields_change_a_layer_and_say_what_is_wrong(open_page):
    page = open_page(ArchitectureCalculator("alexnet", selected=2))
    enter(page, page.one("[data-option=groups]"), 1)
    assert page.get("layers")[2]["groups"] == 1
    assert totals(page)[0] == f"{60_965_224 + 5 * 5 * 48 * 256:,}"
    enter(page, page.one("[data-option=groups]"), 5)
    assert page.one(".arch-conflict").text.startswith("Layer 3 (conv 5×5, 256, g 5): 5 groups do not divide")
    assert len(page.all(".arch-row[data-state=after]")) == 9
    assert "conflict" in page.one(".arch-sums").text
    field = page.one("[data-option=groups]")
    page.js("arguments[0].value = ''; arguments[0].dispatchEvent(new Event('input', {bubbles: true}))", field)
    assert field.get_attribute("aria-invalid") == "true" and page.get("layers")[2]["groups"] == 5
    enter(page, field, 2)
    assert not page.one(".arch-conflict").is_displayed() and totals(page)[0] == "60,965,224"
    choose(page, page.one("[data-option=bias]"), "norm")
    assert page.get("layers")[2]["norm"] is True and page.get("layers")[2]["bias"] is False
    assert totals(page)[0] == f"{60_965_224 + 256:,}"
    choose(page, page.one("[data-option=padding]"), "valid")
    assert page.get("layers")[2]["padding"] == "valid"
    choose(page, page.one(".arch-form > .cx-field select"), "inception")
    assert len(page.all(".arch-fields input")) == 6 and len(page.all(".arch-parts tbody tr")) == 6
    enter(page, page.all(".arch-fields input")[1], 10)
    assert page.get("layers")[2] == {"kind": "inception", "filters": [64, 10, 128, 16, 32, 32]}


def test_layers_are_put_in_taken_out_and_moved(open_page):
    page = open_page(ArchitectureCalculator("tiny", selected=1))
    page.click(page.button("Insert after"))
    assert page.get("selected") == 2 and page.get("layers")[2]["kind"] == "conv"
    assert page.get("layers")[2]["filters"] == 16
    page.click(page.button("Delete"))
    assert page.get("layers") == _full_layers(PRESETS["tiny"].layers)
    page.click(page.all(".arch-pick")[5])
    page.click(page.button("Move up"))
    assert page.get("selected") == 4 and "a dense layer needs a vector" in page.one(".arch-conflict").text
    page.click(page.button("Move down"))
    assert not page.one(".arch-conflict").is_displayed()
    page.click(page.button("Insert after"))
    assert page.get("layers")[6]["kind"] == "dense"


def test_keys_in_the_list(open_page):
    page = open_page(ArchitectureCalculator("tiny", selected=0))
    page.focus(page.all(".arch-pick")[0])
    page.keys(DOWN)
    page.keys(DOWN)
    assert page.get("selected") == 2
    assert page.js("return [...document.querySelectorAll('.arch-pick')].indexOf(document.activeElement)") == 2
    page.js(
        "document.activeElement.dispatchEvent(new KeyboardEvent('keydown',"
        "{key: 'ArrowUp', altKey: true, bubbles: true}))"
    )
    page.settle()
    assert page.get("selected") == 1 and page.get("layers")[1]["filters"] == 32
    page.keys(DELETE)
    assert len(page.get("layers")) == 5 and page.get("selected") == 1
    page.keys(END)
    assert page.get("selected") == 4
    page.keys(DELETE)
    assert page.get("selected") == 3 and len(page.get("layers")) == 4
    page.keys(HOME)
    assert page.get("selected") == 0
    page.said("Layer 1, conv 3×3, 16")
    assert len(page.all(".arch-pick[tabindex='0']")) == 1
    for _ in range(4):
        page.keys(DELETE)
    assert len(page.get("layers")) == 1  # the last one stays


def test_the_chosen_row_comes_into_view(open_page):
    page = open_page(ArchitectureCalculator("mobilenet", selected=0), width=600)
    page.focus(page.all(".arch-pick")[0])
    page.keys(END)
    visible = page.js(
        "const t = document.querySelector('.arch-table').getBoundingClientRect();"
        "const r = document.querySelector('.arch-row[aria-current]').getBoundingClientRect();"
        "const h = document.querySelector('.arch-head').getBoundingClientRect();"
        "return [r.top >= t.top && r.bottom <= t.bottom + 1, Math.abs(h.top - t.top) < 2]"
    )
    assert visible == [True, True]


def test_instances_do_not_interfere_and_clean_up(open_page):
    page = open_page(ArchitectureCalculator("tiny"), ArchitectureCalculator("lenet5"))
    page.click(page.all(".arch-shape button")[1])
    assert page.get("input_shape", 0) == [64, 64, 3] and page.get("input_shape", 1) == [32, 32, 1]
    page.js("host.disposers[0]()")
    assert page.js("return Object.values(host.models[0].handlers).flat().length") == 0
    assert len(page.all(".cx")) == 1


@pytest.mark.parametrize("theme", ["book-light", "lab-dark"])
@pytest.mark.parametrize("width", [344, 600, 700, 860])
def test_no_text_too_small_nothing_overflows(open_page, theme, width):
    page = open_page(
        ArchitectureCalculator("googlenet", (448, 448, 3), batch=32, selected=6), theme=theme, width=width
    )
    assert page.audit() == []
    assert page.one(".cx").get_attribute("data-cx-theme") == theme.split("-")[1]
    cut = page.js(
        "return [...document.querySelectorAll('.arch-row > span, .arch-parts td, .arch-field > label')]"
        ".filter((s) => s.getClientRects().length && s.scrollWidth > s.clientWidth + 1)"
        ".map((s) => s.textContent)"
    )
    assert cut == []
