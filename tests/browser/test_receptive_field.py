"""The receptive field: its recursion and its paths against Keras gradients, its figure in a real browser."""

from __future__ import annotations

from xml.etree import ElementTree

import numpy as np
import pytest

from course_utils.explorables import ReceptiveField
from course_utils.explorables.receptive_field import (
    MAX_UNITS,
    PRESETS,
    core,
    paths,
    receptive_fields,
    sizes,
    suggested_inputs,
    used,
)

UP, DOWN, LEFT, RIGHT, END = "\ue013", "\ue015", "\ue012", "\ue014", "\ue010"
OPENING = [(3, 1, 1), (3, 2, 1), (3, 1, 2)]
STACKS = [*PRESETS.values(), OPENING, [(5, 3, 2), (2, 1, 3)], [(1, 2, 1), (4, 1, 1)], [(11, 4, 1), (5, 1, 2)]]


# ---- without a browser ----


def matrix(layers, inputs):
    """The whole stack with all weights 1, as one matrix of shape (inputs, units of the last layer)."""
    product = np.eye(inputs)
    for (k, s, r), n, m in zip(layers, sizes(layers, inputs), sizes(layers, inputs)[1:], strict=False):
        layer = np.zeros((n, m))
        for j in range(m):
            layer[j * s + r * np.arange(k), j] = 1
        product = product @ layer
    return product


@pytest.mark.parametrize("layers", STACKS, ids=str)
def test_field_jump_and_paths_are_those_of_the_stack(layers):
    (field, jump), ways = receptive_fields(layers)[-1], paths(layers)
    inputs = field + 3 * jump
    whole = matrix(layers, inputs)
    assert whole.shape[1] == sizes(layers, inputs)[-1] == 4
    assert len(ways) == field and ways.sum() == np.prod([k for k, _, _ in layers])
    for j in range(4):
        np.testing.assert_array_equal(whole[j * jump : j * jump + field, j], ways)
        assert whole[:, j].sum() == ways.sum()  # nothing outside the field
        start, counts = used(layers, len(layers), j)[-1]
        assert start == j * jump
        np.testing.assert_array_equal(counts, ways)
    assert ways[0] > 0 and ways[-1] > 0


def test_paths_are_the_gradient_of_keras_layers():
    import keras
    import tensorflow as tf

    x = tf.Variable(np.ones((1, 40, 1), "float32"))
    layers = [(3, 1, 1), (3, 2, 1), (3, 1, 2)]
    with tf.GradientTape() as tape:
        h = x
        for k, s, r in layers:
            h = keras.layers.Conv1D(1, k, s, dilation_rate=r, kernel_initializer="ones", use_bias=False)(h)
        unit = h[0, 5, 0]
    grad = tape.gradient(unit, x).numpy()[0, :, 0]
    start, ways = used(layers, 3, 5)[-1]
    assert h.shape[1] == sizes(layers, 40)[-1]
    np.testing.assert_allclose(grad[start : start + 13], ways)
    assert np.abs(grad).sum() == ways.sum() == 27


def test_what_the_presets_show():
    fields = {name: receptive_fields(layers)[-1] for name, layers in PRESETS.items()}
    assert fields["three 3x3"] == fields["one 7x7"] == (7, 1)
    assert (
        fields["strides 2"] == (15, 8)
        and fields["dilated 1 2 4"] == (15, 1)
        and fields["VGG block"] == (16, 4)
    )
    np.testing.assert_array_equal(paths(PRESETS["three 3x3"]), [1, 3, 6, 7, 6, 3, 1])
    assert (paths(PRESETS["dilated 1 2 4"]) > 0).all()
    holes = paths([(3, 1, 4)] * 3)
    assert len(holes) == 25 and (holes > 0).sum() == 7  # equal dilations leave gaps
    # many layers: half of the paths lead to far less than half of the field
    assert core(paths([(3, 1, 1)] * 6))[1] == 3 and core(paths([(7, 1, 1)])) == (1, 4)


def test_core_is_the_shortest_stretch():
    rng = np.random.default_rng(4)
    for _ in range(30):
        counts = rng.integers(0, 9, rng.integers(1, 15)).astype(float)
        counts[0] += 1
        start, length = core(counts)
        best = min(
            b - a
            for a in range(len(counts))
            for b in range(a + 1, len(counts) + 1)
            if counts[a:b].sum() >= counts.sum() / 2
        )
        assert length == best and counts[start : start + length].sum() >= counts.sum() / 2


@pytest.mark.parametrize("layers", [*STACKS, [(11, 4, 8)] * 6], ids=str)
def test_preview_and_description(layers):
    widget = ReceptiveField(layers)
    picture = widget.preview()
    ElementTree.fromstring(picture)
    assert len(picture.encode()) < 60_000
    field, jump = receptive_fields(layers)[-1]
    if field <= MAX_UNITS:
        assert f"R = {field}, J = {jump}" in picture
        assert widget.unit[0] == len(layers) and widget.inputs >= field
        assert (
            f"sees inputs {widget.unit[1] * jump} to {widget.unit[1] * jump + field - 1}"
            in widget.description
        )
    assert f"receptive field of {field:,}".replace(",", "\u202f") in widget.description
    assert ReceptiveField(layers, unit=(0, 2)).description.endswith("Input 2 is chosen.")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layers": []}, "1 to 6 layers, not 0"),
        ({"layers": [(3, 1, 1)] * 7}, "1 to 6 layers, not 7"),
        ({"layers": 3}, "list of layers"),
        ({"layers": [(3, 1)]}, r"Layer 1 must be \(kernel, stride, dilation\)"),
        (
            {"layers": [(3, 1, 1), (12, 1, 1)]},
            "kernel of layer 2 must be a whole number from 1 to 11, not 12",
        ),
        ({"layers": [(3, 0, 1)]}, "stride of layer 1 must be a whole number from 1 to 4, not 0"),
        ({"layers": [(3, 1, 1.5)]}, "dilation of layer 1 must be a whole number from 1 to 8, not 1.5"),
        ({"preset": "vgg"}, "no stack 'vgg'; choose one of: three 3x3"),
        ({"preset": "one 7x7", "layers": OPENING}, "not both"),
        ({"inputs": 201}, "from 1 to 200, not 201"),
        ({"unit": (3, 9)}, r"no unit \(3, 9\); the layers have \[29, 27, 13, 9\] units"),
    ],
)
def test_wrong_options_are_one_sentence(options, message):
    with pytest.raises(ValueError, match=message):
        ReceptiveField(**options)


def test_wrong_assignments_too():
    with pytest.raises(ValueError, match="layer 1"):
        ReceptiveField().layers = [(0, 1, 1)]


# ---- in the browser ----


def test_browser_computes_the_same_numbers(open_page):
    page = open_page(ReceptiveField())
    presets = page.js("return host.modules[0].math.presets")
    assert page.js("return Object.keys(host.modules[0].math.presets)") == list(PRESETS)
    assert {name: [tuple(row) for row in rows] for name, rows in presets.items()} == PRESETS
    got = page.js(
        "const m = host.modules[0].math; return arguments[0].map((l) => [m.sizes(l, 60), m.fields(l),"
        "m.paths(l),"
        "m.core(m.paths(l)), m.suggested(l), m.used(l, l.length, 3)])",
        STACKS,
    )
    for layers, (counts, fields, ways, middle, inputs, seen) in zip(STACKS, got, strict=True):
        assert counts == sizes(layers, 60) and [tuple(row) for row in fields] == receptive_fields(layers)
        np.testing.assert_array_equal(ways, paths(layers))
        assert tuple(middle) == core(paths(layers)) and inputs == suggested_inputs(layers)
        for part, (start, wanted) in zip(seen, used(layers, len(layers), 3), strict=True):
            assert part["start"] == start
            np.testing.assert_array_equal(part["counts"], wanted)


def fire(page, element, value):
    page.js(
        "arguments[0].value = arguments[1];"
        "for (const t of ['input', 'change']) arguments[0].dispatchEvent(new Event(t))",
        element,
        value,
    )
    page.settle()


def card(page, n):
    return page.all(".rec-card")[n - 1]


def test_opening_state_and_its_numbers(open_page):
    page = open_page(ReceptiveField(OPENING))
    assert page.get("inputs") == 29 and page.get("unit") == [3, 4]
    assert len(page.all(".rec-unit")) == 29 + 27 + 13 + 9
    assert len(page.all(".rec-chosen")) == 1
    counts = [int(t.text) for t in page.all(".rec-count")]
    assert counts == paths(OPENING).astype(int).tolist()
    assert page.one(".rec-says").text == (
        "Unit 4 of layer 3 sees inputs 8 to 20: R₃ = 13. "
        "Of its 27 paths, half lead to 6 neighbouring inputs, 10 to 15."
    )
    lines = card(page, 3).text.replace("\n", " ")
    assert "R₃ = 5 + 2·(3 − 1)·2 = 13" in lines and "J₃ = 2·1 = 2" in lines
    assert "n₃ = ⌊(13 − 2·(3 − 1) − 1)/1⌋ + 1 = 9" in lines
    assert len(page.all(".rec-used")) == 13 + 9 + 3
    assert not card(page, 4).is_displayed()


def test_pointer_and_keys_choose_a_unit(open_page):
    page = open_page(ReceptiveField(OPENING))
    cover = page.one(".rec-cover")
    where = page.js(
        "const c = [...document.querySelectorAll('.rec-unit')][29 + 27 + 2].getBoundingClientRect();"
        "const r = arguments[0].getBoundingClientRect();"
        "return [c.x + c.width / 2 - r.x - r.width / 2, c.y + c.height / 2 - r.y - r.height / 2]",
        cover,
    )
    page.click_at(cover, *map(round, where))
    assert page.get("unit") == [2, 2]
    assert page.one(".rec-says").text.startswith("Unit 2 of layer 2 sees inputs 4 to 8: R₂ = 5.")
    page.focus(cover)
    page.keys(RIGHT)
    assert page.get("unit") == [2, 3]
    page.keys(DOWN)
    assert page.get("unit") == [1, 7]  # straight below: its middle
    page.keys(DOWN, DOWN)
    assert page.get("unit") == [0, 8] and "R₀ = 1" in page.one(".rec-says").text
    page.keys(UP, END)
    assert page.get("unit") == [1, 26]
    assert "unit 26 of 27 in layer 1, sees 3 inputs" in cover.get_attribute("aria-valuetext")
    page.keys(LEFT)
    page.said("Unit 2")


def test_layers_change_are_added_and_removed(open_page):
    page = open_page(ReceptiveField(OPENING))
    kernel, stride, dilation = page.all("input[type=range]", card(page, 1))
    fire(page, kernel, 5)
    fire(page, stride, 2)
    fire(page, dilation, 3)
    layers = page.get("layers")
    assert layers[0] == [5, 2, 3]
    field, jump = receptive_fields(layers)[-1]
    assert page.get("inputs") == suggested_inputs(layers) >= field
    assert f"= {field}" in card(page, 3).text and f"= {jump}" in card(page, 3).text
    page.click(page.button("Add a layer"))
    assert page.get("layers")[3] == page.get("layers")[2] and page.get("unit")[0] == 4
    for _ in range(2):
        page.click(page.button("Add a layer"))
    assert not page.button("Add a layer").is_enabled() and len(page.get("layers")) == 6
    field = receptive_fields(page.get("layers"))[-1][0]
    page.click(page.one("[aria-label='Remove layer 1']"))
    assert page.get("layers")[0] == [3, 2, 1] and len(page.get("layers")) == 5
    for _ in range(4):
        page.click(page.one("[aria-label='Remove layer 1']"))
    assert not page.one("[aria-label='Remove layer 1']").is_enabled()
    page.click(page.button("Reset"))
    assert page.get("layers") == [list(row) for row in OPENING] and page.get("unit") == [3, 4]
    assert page.get("inputs") == 29


def test_presets_holes_and_the_length_of_the_input(open_page):
    page = open_page(ReceptiveField(OPENING))
    select = page.one(".cx select")
    for name, layers in PRESETS.items():
        page.js(
            "arguments[0].value = arguments[1]; arguments[0].dispatchEvent(new Event('change'))", select, name
        )
        page.settle()
        assert page.get("layers") == [list(row) for row in layers] and page.get("unit")[0] == len(layers)
        assert f"{receptive_fields(layers)[-1][0]} × " in page.one(".cx-note").text
    inputs = page.one(".rec-bar input")
    fire(page, inputs, 12)  # VGG block: layers 5 and 6 do not fit
    assert page.get("unit")[0] == 4
    assert (
        "Layer 5 and those above it are not drawn: R₅ = 14 is more than the 12 inputs"
        in page.one(".cx-note").text
    )
    assert "n₅ = ⌊(2 − 1·(3 − 1) − 1)/1⌋ → 0, too short" in card(page, 5).text.replace("\n", " ")
    page.set("layers", [[3, 1, 4]] * 3)
    fire(page, inputs, 40)
    assert "Only 7 of them are used" in page.one(".rec-says").text
    page.set("layers", [[11, 4, 8]] * 6)
    assert "109" in card(page, 6).text and page.one(".rec-says").text
    assert page.js("return document.querySelectorAll('.rec-unit').length") == 40


def test_instances_do_not_interfere_and_clean_up(open_page):
    page = open_page(ReceptiveField(), ReceptiveField(preset="one 7x7"))
    page.click(page.all("[aria-label='Remove layer 3']")[0])
    assert len(page.get("layers", 0)) == 2 and page.get("layers", 1) == [[7, 1, 1]]
    page.js("host.disposers[0]()")
    assert page.js("return Object.values(host.models[0].handlers).flat().length") == 0
    assert len(page.all(".cx")) == 1


@pytest.mark.parametrize("theme", ["book-light", "book-dark"])
@pytest.mark.parametrize("width", [344, 600, 860])
@pytest.mark.parametrize("layers", [PRESETS["VGG block"], [(11, 4, 8)] * 6], ids=["vgg", "huge"])
def test_no_text_too_small_nothing_overflows(open_page, theme, width, layers):
    page = open_page(ReceptiveField(layers), theme=theme, width=width)
    assert page.audit() == []
    assert page.one(".cx").get_attribute("data-cx-theme") == theme.split("-")[1]
    out = page.js(
        "const r = document.querySelector('.cx-stage svg').getBoundingClientRect();"
        "return [...document.querySelectorAll('.cx-stage svg text')].filter((t) => {"
        "const b = t.getBoundingClientRect();"
        "return b.width && (b.left < r.left - 1 || b.right > r.right + 1 ||"
        "b.bottom > r.bottom + 1); }).map((t) => t.textContent)"
    )
    assert out == []
