"""The unrolled recurrent network: its mathematics against Keras, its figure in a real browser."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import numpy as np
import pytest

from course_utils.explorables import RNNUnroller
from course_utils.explorables.rnn_unroller import (
    INPUT_WEIGHTS,
    PRESETS,
    gradients,
    jacobians,
    preset_inputs,
    recurrent_matrix,
    states,
    vanished_at,
)

UP, DOWN, LEFT, RIGHT, HOME, END, DELETE = (
    "\ue013", "\ue015", "\ue012", "\ue014", "\ue011", "\ue010", "\ue017",
)  # fmt: skip
CELLS = [
    (0.9, 30, 2, False, 0.0),
    (1.4, -75, 2, False, 0.3),
    (0.5, 180, 2, True, -0.2),
    (1.6, 10, 2, True, 0.0),
    (1.1, 0, 1, False, 0.1),
    (0.7, 45, 1, True, 0.0),
    (0.0, 30, 2, False, 0.0),
]


# ---- without a browser ----


@pytest.mark.parametrize("cell", CELLS, ids=str)
def test_states_and_gradients_are_those_of_keras(cell):
    import keras
    import tensorflow as tf

    recurrent, angle, units, linear, bias = cell
    x = np.array(preset_inputs("random", 9))
    layer = keras.layers.SimpleRNN(units, None if linear else "tanh", return_sequences=True)
    layer.build((1, 9, 1))
    layer.set_weights(
        [
            np.array([INPUT_WEIGHTS[:units]]),
            recurrent_matrix(recurrent, angle, units),
            np.full(units, bias),
        ]
    )
    X = tf.constant(x[None, :, None], tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(X)
        H = layer(X)
        last = H[0, -1]
    np.testing.assert_allclose(states(x, *cell)[1:], H[0].numpy(), atol=2e-5)
    _, to_inputs = gradients(x, *cell)
    np.testing.assert_allclose(
        to_inputs.T, np.array(tape.jacobian(last, X))[:, 0, :, 0], rtol=2e-4, atol=2e-5
    )

    # The derivative with respect to the state after step t: the rest of the sequence, begun from that state.
    D, H = jacobians(x, *cell), states(x, *cell)
    for t in (0, 3, 8):
        begin = tf.constant(H[t : t + 1], tf.float32)
        with tf.GradientTape() as tape:
            tape.watch(begin)
            end = layer(X[:, t:], initial_state=begin)[0, -1]
        wanted = np.array(tape.jacobian(end, begin))[:, 0].T  # [i, j]: unit j of the end by unit i
        np.testing.assert_allclose(D[t], wanted, rtol=2e-4, atol=2e-5)
    np.testing.assert_array_equal(D[-1], np.eye(units))


def test_the_norm_is_the_power_of_the_radius_or_less():
    for recurrent in (0.5, 1.0, 1.5):
        x = preset_inputs("random", 12)
        powers = recurrent ** np.arange(12, -1, -1)
        np.testing.assert_allclose(gradients(x, recurrent, 25, 2, True)[0], powers)
        norms, _ = gradients(x, recurrent, 25, 2, False)
        assert (norms <= powers + 1e-12).all() and norms[0] < powers[0] and norms[-1] == 1
    np.testing.assert_allclose(np.abs(np.linalg.eigvals(recurrent_matrix(1.3, 70))), 1.3)
    assert vanished_at([1, 0.001, 0.009, 0.02, 1]) == 2 and vanished_at([0.001, 0.5, 1]) == 0
    assert vanished_at([0.5, 0.001, 0.02, 0.001, 1]) == 3


def test_presets():
    for steps in (4, 9, 16):
        assert all(len(preset_inputs(name, steps)) == steps for name in PRESETS)
    assert preset_inputs("pulse", 4) == [1, 0, 0, 0] and preset_inputs("alternating", 4) == [1, -1, 1, -1]
    assert preset_inputs("steps", 6) == [0.5, 0.5, -1, -1, 1, 1]
    with pytest.raises(ValueError, match="no inputs 'sine'; choose one of: pulse"):
        preset_inputs("sine", 8)


@pytest.mark.parametrize(
    "options", [{}, {"steps": 16, "recurrent": 0.5}, {"units": 1}, {"recurrent": 1.6, "linear": True}]
)
def test_preview_and_description(options):
    widget = RNNUnroller(**options)
    picture = widget.preview()
    ElementTree.fromstring(picture)
    H, (norms, _) = widget.states(), widget.gradients()
    shown = float(re.search(r": ([\d.]+)(?:×10(\S+))?\. ", picture)[1])
    if norms[1] > 0.001:
        assert shown == pytest.approx(norms[1], rel=0.006)
    assert f"{abs(H[-1, 0]):.2f}" in widget.description and f"over {len(H) - 1} steps" in widget.description
    gone = vanished_at(norms)
    assert ("it is below 1 %" in widget.description) == bool(gone) == ("it is below 1 %" in picture)
    if "steps" in options:
        assert gone and f"at step {gone}" in widget.description
    assert ("a turn of 30 degrees" in widget.description) == (widget.units == 2)
    assert len(picture.encode()) < 20_000


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": 3}, "whole number of steps from 4 to 16, not 3"),
        ({"steps": 8.0}, "whole number of steps"),
        ({"recurrent": 1.7}, "a recurrent weight from 0 to 1.6, not 1.7"),
        ({"recurrent": "big"}, "number for a recurrent weight, not 'big'"),
        ({"recurrent": float("nan")}, "a recurrent weight from 0"),
        ({"units": 3}, "units from 1 to 2, not 3"),
        ({"angle": 200}, "an angle in degrees from -180 to 180"),
        ({"bias": -1.5}, "a bias from -1 to 1"),
        ({"inputs": "sine"}, "no inputs 'sine'"),
        ({"inputs": [1, 2, 3]}, r"4 to 16 inputs in a row, not shape \(3,\)"),
        ({"inputs": [0, 0, 0, 2.5]}, "inputs from -2 to 2"),
        ({"inputs": ["a"] * 4}, "inputs that are numbers"),
        ({"step": 9}, "from 1 to 8, not 9"),
    ],
)
def test_wrong_options_are_one_sentence(options, message):
    with pytest.raises(ValueError, match=message):
        RNNUnroller(**options)


def test_wrong_assignments_too():
    widget = RNNUnroller(inputs=[1, 0, -1, 0, 2])
    assert widget.inputs == [1, 0, -1, 0, 2] and widget.step == 5
    for name, value in [("inputs", [1]), ("recurrent", 2.0), ("angle", 181.0), ("bias", 2.0), ("units", 0)]:
        with pytest.raises(ValueError):
            setattr(widget, name, value)


# ---- in the browser ----


def pads(page):
    return [pad for pad in page.all(".tl-pad") if pad.is_displayed()]


def test_browser_computes_the_same_numbers(open_page):
    page = open_page(RNNUnroller())
    for name in PRESETS:
        for steps in (4, 7, 16):
            got = page.js("return host.modules[0].math.preset(...arguments)", name, steps)
            assert got == preset_inputs(name, steps)
    x = preset_inputs("random", 11)
    names = ("recurrent", "angle", "units", "linear", "bias")
    for cell in CELLS:
        got = page.js(
            "return host.modules[0].math.gradients(arguments[0])",
            {"inputs": x, **dict(zip(names, cell, strict=True))},
        )
        norms, to_inputs = gradients(x, *cell)
        np.testing.assert_allclose(got["states"], states(x, *cell), atol=1e-12)
        np.testing.assert_allclose(got["jacobians"], jacobians(x, *cell), atol=1e-9)
        np.testing.assert_allclose(got["norms"], norms, atol=1e-9)
        np.testing.assert_allclose(got["inputs"], to_inputs, atol=1e-9)
        gone = page.js("return host.modules[0].math.vanished(arguments[0])", got["norms"])
        assert gone == vanished_at(norms)


def test_the_drawing_and_the_words_say_the_numbers(open_page):
    widget = RNNUnroller(8, 0.45, angle=20, step=3)
    H, (norms, to_inputs) = widget.states(), widget.gradients()
    page = open_page(widget)
    numbers = [float(n.text.replace("−", "-")) for n in page.all(".ru-number")]
    np.testing.assert_allclose(numbers, H[1:].ravel(), atol=0.0051)
    text = page.one(".ru-readout").text.replace("−", "-")
    assert "Step 3: h₃ = tanh(x₃ W_x + h₂ W_h + b)" in text
    assert f"= {H[3, 0]:.2f}" in text and f"= {H[3, 1]:.2f}" in text
    assert f"‖∂h₈/∂h₃‖ = {norms[3]:.3g}" in text and f"ρ⁵ = {0.45**5:.3g}" in text
    assert f"({to_inputs[2, 0]:.3g}, {to_inputs[2, 1]:.3g})" in text
    gone = vanished_at(norms)
    assert gone and f"below 1 % at step {gone}, {8 - gone} steps back" in page.one(".ru-verdict").text
    assert [m.text for m in page.all(".ru-mark")] == ["◂ vanished below 1 %"]
    assert len(page.all(".ru-grad.ru-gone")) == gone
    # on the logarithmic scale equal factors are equal steps: the dashed line is straight
    points = re.findall(r"[\d.]+ ([\d.]+)", page.one(".ru-power").get_attribute("d"))
    np.testing.assert_allclose(np.diff(np.array(points, dtype=float), 2), 0, atol=1e-6)
    page.radio("linear")
    assert "Step 3: h₃ = x₃ W_x + h₂ W_h + b" in page.one(".ru-readout").text
    page.slide("Recurrent weight", 1.6)
    assert "grows to more than ten times" in page.one(".ru-verdict").text and not page.all(".ru-mark")
    page.radio("1")
    assert page.get("units") == 1 and len(page.all(".ru-number")) == 8
    assert "W_h = 1.60" in page.one(".ru-matrix").text
    turn = next(f for f in page.all(".cx-field") if "Turn" in f.get_attribute("textContent"))
    assert not turn.is_displayed()


def test_inputs_are_dragged_painted_and_keyed(open_page):
    page = open_page(RNNUnroller())
    bars = pads(page)
    assert len(bars) == 8
    unit = (76 / 2) / 2
    page.drag(bars[2], 0, -unit)
    assert page.get("inputs")[2] == pytest.approx(1, abs=0.11) and page.get("step") == 3
    assert page.js("return host.saves[0]") == 1 and page.get("inputs")[0] == 1
    assert page.all(".cx select")[0].get_attribute("value") == ""  # drawn by hand
    width = bars[0].rect["width"]
    page.drag(bars[4], 2 * width, unit)
    assert all(value < 0 for value in page.get("inputs")[5:7])
    page.focus(bars[1])
    page.keys(UP, UP, DOWN)
    assert page.get("inputs")[1] == pytest.approx(0.1) and bars[1].get_attribute("aria-valuetext") == "0.10"
    page.keys(RIGHT)
    assert page.js("return document.activeElement === arguments[0]", bars[2]) and page.get("step") == 3
    page.keys(DELETE)
    assert page.get("inputs")[2] == 0
    page.keys(END)
    assert page.get("step") == 8 and bars[7].get_attribute("tabindex") == "0"
    assert bars[2].get_attribute("tabindex") == "-1"
    page.keys(*[DOWN] * 25)
    assert page.get("inputs")[7] == -2
    page.until("return document.querySelector('[role=status]').textContent.includes('Step 8: input −2.00')")
    page.click(page.button("Reset"))
    assert page.get("inputs") == preset_inputs("pulse", 8) and page.get("step") == 8


def test_walking_through_time(open_page):
    page = open_page(RNNUnroller())
    cursor = page.one("svg [aria-label='Step']")
    page.focus(cursor)
    page.keys(HOME, RIGHT)
    assert page.get("step") == 2 and cursor.get_attribute("aria-valuenow") == "2"
    assert len(page.all(".ru-unit0.ru-faint")) == 6  # still to come
    page.click(page.button("Step ▶"))
    page.click(page.button("◀ Step"))
    page.click(page.button("◀ Step"))
    assert page.get("step") == 1 and not page.button("◀ Step").is_enabled()
    page.keys(END)
    page.click(page.button("Play"))
    assert page.button("Pause")
    page.until("return host.models[0].get('step') === 2")
    page.click(page.button("Pause"))
    assert page.button("Play")
    page.slide("Recurrent weight", 0.5)
    assert not page.all(".ru-faint")  # a change shows everything again
    box = cursor.rect
    page.click_at(cursor, box["width"] / 2 - 8, 0)
    assert page.get("step") == 8


def test_fewer_and_more_steps(open_page):
    page = open_page(RNNUnroller())
    page.slide("Steps T", 16)
    assert page.get("inputs") == preset_inputs("pulse", 16)
    assert page.get("step") == 16 and len(pads(page)) == 16
    page.choose(page.all(".cx select")[0], "random")
    assert page.get("inputs") == preset_inputs("random", 16)
    page.slide("Steps T", 5)
    assert page.get("inputs") == preset_inputs("random", 5)
    assert page.get("step") == 5 and len(pads(page)) == 5
    page.set("inputs", [0.3, 0, 0, 0, 1.1])
    page.slide("Steps T", 7)
    assert page.get("inputs") == [0.3, 0, 0, 0, 1.1, 0, 0]
    page.click(page.button("Reset"))
    assert len(pads(page)) == 8 and page.get("recurrent") == 0.9


def test_calm_reader_walks_by_single_steps(open_page, calm_browser):
    page = open_page(RNNUnroller(step=2), driver=calm_browser)
    page.click(page.button("Play"))
    assert page.get("step") == 3 and page.button("Play")


@pytest.mark.parametrize("theme", ["book-light", "book-dark"])
@pytest.mark.parametrize("width", [860, 344])
def test_themes_and_widths(open_page, theme, width):
    page = open_page(RNNUnroller(16, 0.6, step=5), theme=theme, width=width)
    assert page.audit() == []
    drawing = page.one(".cx-stage > svg")
    assert drawing.rect["width"] <= width
    outside = page.js(
        "const box = arguments[0].getBoundingClientRect();"
        "return [...arguments[0].querySelectorAll('text')].filter((t) => {"
        "const r = t.getBoundingClientRect();"
        "return r.left < box.left - 0.5 || r.right > box.right + 0.5; }).map((t) => t.textContent)",
        drawing,
    )
    assert outside == []


def test_disposing_takes_everything_away(open_page):
    page = open_page(RNNUnroller())
    page.click(page.button("Play"))
    page.js("host.disposers[0]()")
    assert not page.all(".cx") and all(not h for h in page.js("return host.models[0].handlers").values())
