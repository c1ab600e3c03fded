"""The gate viewer: cells against Keras, gradients against GradientTape, the figure in a real browser."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import numpy as np
import pytest

from course_utils.explorables import GateViewer
from course_utils.explorables.gate_viewer import (
    CELLS,
    GATES,
    INPUTS,
    gradients,
    gru,
    keras_weights,
    lstm,
    plain,
    preset_inputs,
    sigmoid,
)

UP, DOWN, RIGHT, HOME, END, DELETE = "\ue013", "\ue015", "\ue014", "\ue011", "\ue010", "\ue017"
ALL = [(kind, cell) for kind, cells in CELLS.items() for cell in cells]
RUN = {"lstm": lstm, "gru": gru}


def _random_gates(kind, seed):
    rng = np.random.default_rng(seed)
    return {name: rng.uniform(-2, 2, 3).tolist() for name in GATES[kind]}


def _layer(kind, gates, steps, **options):
    import keras

    layer = (keras.layers.LSTM if kind == "lstm" else keras.layers.GRU)(1, **options)
    layer.build((1, steps, 1))
    layer.set_weights(keras_weights(kind, gates))
    return layer


# ---- without a browser ----


@pytest.mark.parametrize("kind", ["lstm", "gru"])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_cells_are_those_of_keras(kind, seed):
    import keras

    x = np.array(preset_inputs("noise", 15)) * 2
    for gates in [_random_gates(kind, seed), *CELLS[kind].values()]:
        layer = _layer(kind, gates, 15, return_sequences=True, return_state=True)
        if kind == "gru":
            assert layer.reset_after
        sequence, *last = layer(keras.ops.convert_to_tensor(x[None, :, None], dtype="float32"))
        ours = RUN[kind](x, gates)
        np.testing.assert_allclose(ours["h"], np.array(sequence)[0, :, 0], atol=5e-6)
        assert float(np.array(last[-1]).item()) == pytest.approx(
            ours["c" if kind == "lstm" else "h"][-1], abs=5e-6
        )


@pytest.mark.parametrize("kind", ["lstm", "gru"])
def test_total_gradient_is_that_of_automatic_differentiation(kind):
    import tensorflow as tf

    x = np.array(preset_inputs("noise", 10)) * 1.5
    X = tf.constant(x[None, :, None], tf.float32)
    for gates in [_random_gates(kind, 3), CELLS[kind]["start"], CELLS[kind]["latch"]]:
        layer = _layer(kind, gates, 10, return_state=True)
        v, d = RUN[kind](x, gates), gradients(kind, x, gates)
        for t in (1, 4, 8):
            state = tf.constant([[v["c" if kind == "lstm" else "h"][t - 1]]], tf.float32)
            with tf.GradientTape() as tape:
                tape.watch(state)
                # in an LSTM c changes, and with it h = o tanh(c) of the same step
                begin = [v["o"][t - 1] * tf.tanh(state), state] if kind == "lstm" else [state]
                last = layer(X[:, t:], initial_state=begin)[-1]
            wanted = tape.gradient(last, state).numpy().item()
            assert d["total"][t - 1] == pytest.approx(wanted, rel=2e-4, abs=2e-6)


def test_direct_and_plain_gradients():
    import keras
    import tensorflow as tf

    x = np.array(preset_inputs("noise", 9))
    for kind, key in (("lstm", "f"), ("gru", "z")):
        gates = _random_gates(kind, 5)
        v, d = RUN[kind](x, gates), gradients(kind, x, gates, 0.8)
        for t in range(9):
            assert d["direct"][t] == pytest.approx(np.prod(v[key][t + 1 :]))
        # without recurrent weights there is no other way than the direct one
        alone = {name: [w, 0.0, b] for name, (w, _, b) in gates.items()}
        d = gradients(kind, x, alone, 0.8)
        np.testing.assert_allclose(d["direct"], d["total"])
        weight = gates["c" if kind == "lstm" else "h"][0]
        layer = keras.layers.SimpleRNN(1)
        layer.build((1, 9, 1))
        layer.set_weights([np.array([[weight]]), np.array([[0.8]]), np.zeros(1)])
        H = plain(x, weight, 0.8)
        for t in (1, 5):
            state = tf.constant([[H[t - 1]]], tf.float32)
            with tf.GradientTape() as tape:
                tape.watch(state)
                end = layer(tf.constant(x[None, t:, None], tf.float32), initial_state=state)
            assert float(end[0, 0]) == pytest.approx(H[-1], abs=1e-6)
            assert d["plain"][t - 1] == pytest.approx(tape.gradient(end, state).numpy().item(), rel=1e-4)


def test_sigmoid_never_overflows():
    with np.errstate(all="raise"):
        np.testing.assert_allclose(sigmoid([-1000, 0, 1000]), [0, 0.5, 1])
    np.testing.assert_allclose(sigmoid(np.array([-2.0, 3.0])), 1 / (1 + np.exp([2.0, -3.0])))


@pytest.mark.parametrize("steps", [8, 12, 17, 20])
@pytest.mark.parametrize("kind", ["lstm", "gru"])
def test_latch_keeps_the_first_value_until_the_reset(kind, steps):
    widget = GateViewer(kind, "latch", steps=steps)
    state = widget.run()["c" if kind == "lstm" else "h"]
    reset = int(np.argmax(np.abs(widget.inputs)))
    assert abs(widget.inputs[reset]) == 3 and reset > steps // 2
    assert abs(state[0]) < 0.02 and state[1] > 0.65
    assert np.ptp(state[1:reset]) < 0.02  # the later 0.8 and -0.5 do not get in
    assert np.abs(state[reset:]).max() < 0.03
    kept = gradients(kind, np.where(np.abs(widget.inputs) == 3, 0, widget.inputs), widget.gates)
    assert kept["direct"][1] > 0.95 and kept["plain"][1] < 0.5


def test_other_cells_do_what_they_are_called():
    v = GateViewer("lstm", "read").run()
    assert abs(v["h"][2:10]).max() < 0.02 and v["h"][10] > 0.55 and v["c"][9] > 0.7
    x = preset_inputs("noise", 12)
    np.testing.assert_allclose(
        lstm(x, CELLS["lstm"]["sum"])["c"], np.cumsum(np.tanh(0.5 * np.array(x))), atol=0.02
    )
    mean, keep = 0.0, float(sigmoid(1.5))
    for value in x:
        mean = keep * mean + (1 - keep) * np.tanh(value)
    assert gru(x, CELLS["gru"]["mean"])["h"][-1] == pytest.approx(mean)
    assert GateViewer().gates["f"][2] == 1  # as Keras begins


def test_presets():
    for steps in (8, 13, 20):
        for name in INPUTS:
            assert len(preset_inputs(name, steps)) == steps
    assert preset_inputs("store", 8) == [0, 1, 0, 0, 0, 0, -1, 0]
    assert preset_inputs("pulses", 8) == [0, 1, 0, 0, 0, -1, 0, 0]
    assert min(preset_inputs("latch", 12)) == -3 and max(preset_inputs("latch", 12, "gru")) == 3
    with pytest.raises(ValueError, match="no inputs 'sine'; choose one of: store"):
        preset_inputs("sine", 8)


@pytest.mark.parametrize(("kind", "cell"), ALL)
def test_preview_and_description(kind, cell):
    widget = GateViewer(kind, cell, step=4)
    picture = widget.preview()
    ElementTree.fromstring(picture)
    v, d = widget.run(), widget.gradients()
    found = re.search(r"back to step 1: (\S+) along the state", picture)[1]
    number = found.replace("×10", "e").translate(str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789"))
    assert float(number) == pytest.approx(d["direct"][0], rel=0.06)
    assert found in widget.description and f"One {kind.upper()} unit over 12 steps" in widget.description
    name, key = ("forget", "f") if kind == "lstm" else ("update", "z")
    assert f"{name} gate {v[key][3]:.2f}" in widget.description
    assert len(picture.encode()) < 30_000


def test_keras_weights_of_the_figure():
    widget = GateViewer("gru", gates={"z": [1, 2, 3]})
    kernel, recurrent, bias = widget.keras_weights()
    assert kernel.tolist() == [[1, 1, 1]] and recurrent.tolist() == [[2, 0.5, 0.5]]
    assert bias.tolist() == [[3, 0, 0], [0, 0, 0]]
    assert [w.shape for w in GateViewer().keras_weights()] == [(1, 4), (1, 4), (4,)]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "rnn"}, 'kinds "lstm" and "gru", not \'rnn\''),
        ({"cell": "mean"}, "no lstm cell 'mean'; choose one of: start, latch, read, sum"),
        ({"inputs": "sine"}, "no inputs 'sine'"),
        ({"inputs": [0, 1]}, r"8 to 20 inputs in a row, not shape \(2,\)"),
        ({"inputs": [4] * 8}, "inputs from -3 to 3"),
        ({"inputs": ["a"] * 8}, "inputs that are numbers"),
        ({"steps": 7}, "number of steps from 8 to 20, not 7"),
        ({"step": 13}, "whole step from 1 to 12, not 13"),
        ({"gates": {"z": [0, 0, 0]}}, "gates among i, f, c, o for kind 'lstm'"),
        ({"gates": {"f": [0, 0]}}, "Gate f needs three numbers from -10 to 10"),
        ({"gates": {"f": [0, 0, 11]}}, "Gate f needs three numbers"),
        ({"gates": {"f": ["a", 0, 0]}}, "Gate f needs three numbers"),
        ({"recurrent": 2.0}, "recurrent weight from 0 to 1.6, not 2.0"),
    ],
)
def test_wrong_options_are_one_sentence(options, message):
    with pytest.raises(ValueError, match=message):
        GateViewer(**options)


def test_assignments():
    widget = GateViewer()
    for name, value in [("inputs", [1]), ("gates", {"i": [0, 0, 0]}), ("kind", "x"), ("recurrent", -1.0)]:
        with pytest.raises(ValueError):
            setattr(widget, name, value)
    widget.kind = "gru"  # the gates follow
    assert set(widget.gates) == set("zrh") and "GRU" in widget.description
    # what the figure sends when the reader changes the kind, in any order
    one = {"gates": CELLS["lstm"]["latch"], "kind": "lstm"}
    other = {"kind": "gru", "gates": CELLS["gru"]["mean"]}
    for state in (one, other):
        widget.set_state(state)
        assert widget.gates == state["gates"] and widget.kind == state["kind"]


# ---- in the browser ----


def slide(page, element, value):
    page.js(
        "arguments[0].value = arguments[1]; arguments[0].dispatchEvent(new Event('input'));"
        "arguments[0].dispatchEvent(new Event('change'))",
        element, value,
    )  # fmt: skip
    page.settle()


def gate(page, name):
    return page.one(f"input[data-gate='{name}']")


def results(page, count):
    return [float(b.text.replace("−", "-")) for b in page.all(".gv-readout p > b")[:count]]


def pads(page):
    return [pad for pad in page.all(".tl-pad") if pad.is_displayed()]


def test_browser_computes_the_same_numbers(open_page):
    page = open_page(GateViewer())
    assert page.js("return host.modules[0].math.cells") == CELLS
    for kind in CELLS:
        for name in INPUTS:
            for steps in (8, 13, 20):
                got = page.js("return host.modules[0].math.preset(...arguments)", name, steps, kind)
                assert got == preset_inputs(name, steps, kind)
        x = (np.array(preset_inputs("noise", 14)) * 1.7).tolist()
        for gates in [_random_gates(kind, 8), *CELLS[kind].values()]:
            script = "return host.modules[0].math[arguments[0]](arguments[1], arguments[2])"
            got = page.js(script, kind, x, gates)
            wanted = RUN[kind](x, gates)
            assert set(got) == set(wanted)
            for name, values in wanted.items():
                np.testing.assert_allclose(got[name], values, atol=1e-12)
            got = page.js("return host.modules[0].math.gradients(...arguments)", kind, x, gates, 1.1)
            for name, values in gradients(kind, x, gates, 1.1).items():
                np.testing.assert_allclose(got[name], values, atol=1e-10)


@pytest.mark.parametrize("kind", ["lstm", "gru"])
def test_the_step_is_written_out_with_its_numbers(open_page, kind):
    widget = GateViewer(kind, "latch", step=5)
    v, d = widget.run(), widget.gradients()
    page = open_page(widget)
    order = "igfcoh" if kind == "lstm" else "rgzh"
    np.testing.assert_allclose(results(page, len(order)), [v[k][4] for k in order], atol=0.0051)
    text = page.one(".gv-readout").text
    assert "Step 5, input 0.80" in text
    if kind == "lstm":
        assert "σ(7.0·0.80 + (−10.0)·0.61 + (−4.0))" in text and "f·c₄ + i·c̃ = 1.00·0.73" in text
    else:
        assert "z·h₄ + (1 − z)·h̃ = 0.99·0.72" in text and "r·0.0·0.72" in text
    # every arithmetic line comes out at its result
    for line in page.all(".gv-readout p")[1:-1]:
        expression = line.text.split("=", 1)[1].rsplit("=", 1)[0]
        if "= " in expression:
            expression = expression.rsplit("= ", 1)[1]
        r = v["r"][4] if kind == "gru" else 0
        for old, new in (("·", "*"), ("−", "-"), ("σ", "sigmoid"), ("tanh", "np.tanh")):
            expression = expression.replace(old, new)
        value = eval(expression, {"sigmoid": sigmoid, "np": np, "r": r})
        assert float(value) == pytest.approx(float(line.text.rsplit("= ", 1)[1].replace("−", "-")), abs=0.03)
    words = page.one(".gv-verdict").text
    assert "(below 1 % from step 9 back) along the state" in words
    assert abs(d["direct"][8]) < 0.01 < abs(d["direct"][9])


def test_latch_switch_and_the_reset_pulse(open_page):
    page = open_page(GateViewer())
    assert page.all(".cx select")[0].get_attribute("value") == "start"
    page.choose(page.all(".cx select")[0], "latch")
    assert page.get("gates") == CELLS["lstm"]["latch"] and page.get("inputs") == preset_inputs("latch", 12)
    assert page.all(".cx select")[1].get_attribute("value") == "latch"
    assert "that is the reset" in page.all(".cx-note")[-1].text
    page.focus(pads(page)[9])
    page.keys(DELETE)
    assert page.get("inputs")[9] == 0 and page.get("step") == 10
    d = gradients("lstm", page.get("inputs"), page.get("gates"))
    assert d["direct"][0] > 0.98 and d["plain"][0] < 0.2
    words = page.one(".gv-verdict").text
    assert f"is {d['direct'][0]:.3g} along the state and {d['plain'][0]:.3g} in the plain" in words
    page.radio("gru")
    assert page.get("kind") == "gru" and page.get("gates") == CELLS["gru"]["latch"]
    assert page.get("inputs") == preset_inputs("latch", 12, "gru")
    page.choose(page.all(".cx select")[0], "mean")
    assert page.get("gates") == CELLS["gru"]["mean"]
    page.radio("lstm")
    assert page.get("gates") == CELLS["lstm"]["start"]
    page.click(page.button("Reset"))
    assert page.get("inputs") == preset_inputs("store", 12) and page.get("step") == 2


def test_sliders_move_the_gates(open_page):
    page = open_page(GateViewer(step=3))
    assert len([i for i in page.all("input[data-gate]") if i.is_displayed()]) == 12
    slide(page, gate(page, "fb"), 5)
    gates = page.get("gates")
    assert gates["f"] == [0, 0.5, 5] and page.all(".cx select")[0].get_attribute("value") == ""
    assert page.js("return host.saves[0]") == 1
    assert gate(page, "fb").get_attribute("aria-label") == "forget gate f: bias b"
    v = lstm(preset_inputs("store", 12), gates)
    np.testing.assert_allclose(results(page, 6), [v[k][2] for k in "igfcoh"], atol=0.0051)
    page.focus(gate(page, "iw"))
    page.keys(RIGHT)
    assert page.get("gates")["i"][0] == pytest.approx(1.1)
    plain_slider = next(f for f in page.all(".cx-field") if f.text.startswith("Plain tanh unit"))
    slide(page, page.one("input", plain_slider), 0.3)
    assert page.get("recurrent") == 0.3
    d = gradients("lstm", page.get("inputs"), page.get("gates"), 0.3)["plain"]
    gone = int(np.flatnonzero(d < 0.01)[-1]) + 1
    assert f"(below 1 % from step {gone} back) in the plain tanh unit" in page.one(".gv-verdict").text
    page.radio("gru")
    assert len([i for i in page.all("input[data-gate]") if i.is_displayed()]) == 9


def test_inputs_are_dragged_and_painted(open_page):
    page = open_page(GateViewer())
    bars = pads(page)
    unit = (64 / 2 - 3) / 3
    page.drag(bars[3], 0, -2 * unit)
    assert page.get("inputs")[3] == pytest.approx(2, abs=0.16) and page.get("step") == 4
    page.drag(bars[5], 2 * bars[0].rect["width"], 2 * unit)
    assert all(value < 0 for value in page.get("inputs")[6:8])
    assert page.all(".cx select")[1].get_attribute("value") == ""
    page.focus(bars[0])
    page.keys(UP, UP, DOWN, RIGHT)
    assert page.get("inputs")[0] == pytest.approx(0.1) and page.get("step") == 2
    assert page.js("return document.activeElement === arguments[0]", bars[1])
    page.keys(END, *[UP] * 35)
    assert page.get("inputs")[11] == 3


def test_walking_through_time(open_page):
    page = open_page(GateViewer())
    cursor = page.one("svg [aria-label='Step']")
    page.focus(cursor)
    page.keys(HOME, RIGHT)
    assert page.get("step") == 2 and "step 2 of 12: cell state 0.56" in cursor.get_attribute("aria-valuetext")
    assert len(page.all(".gv-gate.gv-faint")) == 30
    page.until("return document.querySelector('[role=status]').textContent.includes('Step 2: input 1.00')")
    page.click(page.button("Step ▶"))
    page.click(page.button("◀ Step"))
    assert page.get("step") == 2
    page.click(page.button("Play"))
    page.until("return host.models[0].get('step') === 3")
    page.click(page.button("Pause"))
    page.click_at(cursor, cursor.rect["width"] / 2 - 6, 0)
    assert page.get("step") == 12 and not page.all(".gv-faint") and not page.button("Step ▶").is_enabled()


def test_fewer_and_more_steps(open_page):
    page = open_page(GateViewer("lstm", "latch"))
    slider = page.one("input", next(f for f in page.all(".cx-field") if f.text.startswith("Steps T")))
    slide(page, slider, 20)
    assert page.get("inputs") == preset_inputs("latch", 20) and len(pads(page)) == 20
    page.set("inputs", [0.5] * 20)
    slide(page, slider, 8)
    assert page.get("inputs") == [0.5] * 8 and len(pads(page)) == 8
    slide(page, slider, 9)
    assert page.get("inputs") == [0.5] * 8 + [0]


def test_calm_reader_walks_by_single_steps(open_page, calm_browser):
    page = open_page(GateViewer("gru", step=12), driver=calm_browser)
    page.click(page.button("Play"))
    assert page.get("step") == 1 and page.button("Play")


@pytest.mark.parametrize("theme", ["book-light", "book-dark"])
@pytest.mark.parametrize("width", [860, 344])
@pytest.mark.parametrize("kind", ["lstm", "gru"])
def test_themes_and_widths(open_page, theme, width, kind):
    page = open_page(GateViewer(kind, "latch", steps=20), theme=theme, width=width)
    assert page.audit() == []
    drawing = page.one(".cx-stage > svg")
    outside = page.js(
        "const box = arguments[0].getBoundingClientRect();"
        "const plot = arguments[0].querySelector('.cx-plot').getBoundingClientRect();"
        "return [...arguments[0].querySelectorAll('text')].filter((t) => {"
        "const r = t.getBoundingClientRect();"
        "const label = r.left < plot.left && r.right > plot.left && r.top < plot.bottom;"
        "return r.left < box.left - 0.5 || r.right > box.right + 0.5 || label; }).map((t) => t.textContent)",
        drawing,
    )
    assert outside == [] and drawing.rect["width"] <= width


def test_disposing_takes_everything_away(open_page):
    page = open_page(GateViewer())
    page.click(page.button("Play"))
    page.js("host.disposers[0]()")
    assert not page.all(".cx") and all(not h for h in page.js("return host.models[0].handlers").values())
