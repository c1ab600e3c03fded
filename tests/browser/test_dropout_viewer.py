"""The dropout viewer: its mathematics against NumPy and Keras, its figure in a real browser."""

from __future__ import annotations

import itertools
import re
from xml.etree import ElementTree

import numpy as np
import pytest

from course_utils.explorables import DropoutViewer
from course_utils.explorables.dropout_viewer import expected, forward, masks, network

UP, DOWN, LEFT, RIGHT, ENTER = "\ue013", "\ue015", "\ue012", "\ue014", "\ue007"
SETTINGS = [  # rate, scaled, dropped_in, seed
    (0.5, True, "both", 0),
    (0.5, False, "both", 0),
    (0.3, True, "last", 4),
    (0.9, False, "last", 9999),
    (0.0, True, "both", 7),
]


# ---- without a browser ----


def test_the_masks():
    keep = masks(500, 0.3, 4)
    assert keep.shape == (500, 2, 6) and set(np.unique(keep)) == {0, 1}
    assert abs(keep.mean() - 0.7) < 0.02
    np.testing.assert_array_equal(keep[:20], masks(20, 0.3, 4))
    assert (masks(500, 0.6, 4) <= keep).all()  # a larger rate drops the same units and more
    assert masks(9, 0, 1).all() and masks(50, 0.9, 1, "last")[:, 0].all()


@pytest.mark.parametrize(("rate", "scaled", "dropped_in", "seed"), SETTINGS)
def test_one_pass_is_the_formula(rate, scaled, dropped_in, seed):
    net = network(seed)
    (W1, W2, W3), (b1, b2, b3) = net.weights, net.biases
    assert [W.shape for W in net.weights] == [(4, 6), (6, 6), (6, 2)]
    for mask in masks(5, rate, seed, dropped_in):
        scale = 1 / (1 - rate) if scaled else 1.0
        first = mask[0] * scale if dropped_in == "both" else 1.0
        hidden = np.maximum(net.x @ W1 + b1, 0) * first
        hidden = np.maximum(hidden @ W2 + b2, 0) * mask[1] * scale
        np.testing.assert_allclose(forward(net, mask, rate, scaled, dropped_in).output, hidden @ W3 + b3)


def test_inference_is_the_network_in_keras():
    import keras

    net = network(3)
    layers = [keras.layers.Dense(6, "relu"), keras.layers.Dropout(0.5), keras.layers.Dense(6, "relu")]
    model = keras.Sequential([keras.Input((4,)), *layers, keras.layers.Dropout(0.5), keras.layers.Dense(2)])
    model.set_weights([a for pair in zip(net.weights, net.biases, strict=True) for a in pair])
    got = np.asarray(model(net.x[None], training=False))[0]
    np.testing.assert_allclose(forward(net).output, got, atol=1e-5)
    kept = np.asarray(keras.layers.Dropout(0.4)(np.ones((1, 50), "float32"), training=True))
    np.testing.assert_allclose(np.unique(kept), [0, 1 / 0.6], rtol=1e-6)  # the scaling of Keras is this one


@pytest.mark.parametrize(("rate", "scaled", "dropped_in", "seed"), SETTINGS)
def test_the_mean_over_all_masks(rate, scaled, dropped_in, seed):
    net, total, weight = network(seed), np.zeros(2), 0.0
    for bits in itertools.product((0, 1), repeat=12):
        share = (1 - rate) ** sum(bits) * rate ** (12 - sum(bits))
        mask = np.array(bits).reshape(2, 6)
        total += share * forward(net, mask, rate, scaled, dropped_in).output
        weight += share
    assert weight == pytest.approx(1)
    np.testing.assert_allclose(expected(net, rate, scaled, dropped_in), total, atol=1e-12)


def test_what_the_figure_says_about_the_means():
    for seed in range(6):
        net = network(seed)
        inference = forward(net).output
        np.testing.assert_allclose(expected(net, 0.5, True, "last"), inference)
        np.testing.assert_allclose(expected(net, 0.0), inference)
        short = expected(net, 0.5, False, "last") - net.biases[2]
        np.testing.assert_allclose(short, 0.5 * (inference - net.biases[2]))
    mean = DropoutViewer(step=500, dropped_in="last").outputs().mean(0)
    np.testing.assert_allclose(mean, forward(network(0)).output, atol=0.2)
    assert not np.allclose(expected(network(0), 0.5), forward(network(0)).output, atol=0.02)  # the ReLU


@pytest.mark.parametrize(
    "options", [{}, {"rate": 0.8, "scaled": False}, {"mode": "inference"}, {"dropped_in": "last", "step": 40}]
)
def test_preview_and_description(options):
    widget = DropoutViewer(**options)
    ElementTree.fromstring(widget.preview())
    shown = re.findall(r'<tspan font-weight="bold">(\S+)</tspan>', widget.preview())
    mean = widget.outputs().mean(0)
    np.testing.assert_allclose([float(s.replace("−", "-")) for s in shown], mean, atol=0.0051)
    words = widget.description.replace("−", "-")
    assert f"{mean[0]:.2f} and {mean[1]:.2f}" in words
    assert ("At inference no unit is dropped" in words) == (widget.mode == "inference")
    if widget.mode == "training":
        dropped = int((widget.masks()[-1] == 0).sum())
        assert widget.preview().count(">×<") == dropped and f"{dropped} of the 12" in words
    assert len(widget.preview().encode()) < 20_000
    assert DropoutViewer(**options).preview() == widget.preview()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rate": 1.0}, "a rate from 0 to 0.9, not 1.0"),
        ({"rate": "half"}, "number for the rate, not 'half'"),
        ({"rate": float("nan")}, "a rate from 0"),
        ({"seed": -1}, "the seed from 0 to 9999"),
        ({"seed": 1.5}, "whole number as the seed"),
        ({"mode": "test"}, "a mode out of training, inference, not 'test'"),
        ({"dropped_in": "first"}, "dropped_in out of both, last"),
        ({"step": 0}, "the step from 1 to 500, not 0"),
        ({"flips": [12]}, "a unit from 0 to 11"),
    ],
)
def test_wrong_options_are_one_sentence(options, message):
    with pytest.raises(ValueError, match=message):
        DropoutViewer(**options)


def test_wrong_assignments_too():
    widget = DropoutViewer()
    for name, value in [("rate", 0.95), ("mode", "x"), ("step", 501), ("unit", 12), ("dropped_in", "none")]:
        with pytest.raises(ValueError):
            setattr(widget, name, value)


# ---- in the browser ----


def numbers(elements):
    return [float(e.text.replace("−", "-")) for e in elements]


def table(page):
    return np.array(numbers(page.all(".dv-table td"))).reshape(4, 2)


def units(page):
    """Values of the twelve hidden units, None where one is dropped."""
    texts = [u.text for u in page.all(".dv-unit text")]
    return [None if t == "×" else float(t.replace("−", "-")) for t in texts]


def test_browser_computes_the_same_numbers(open_page):
    page = open_page(DropoutViewer())

    def math(name, *arguments):
        return page.js(
            "return host.modules[0].math[arguments[0]](...[...arguments].slice(1))", name, *arguments
        )

    for rate, scaled, dropped_in, seed in SETTINGS:
        net = network(seed)
        got = math("network", seed)
        np.testing.assert_allclose(got["x"], net.x, atol=1e-14)
        for a, b in zip(got["weights"], net.weights, strict=True):
            np.testing.assert_allclose(a, b, atol=1e-14)
        keep = masks(30, rate, seed, dropped_in)
        np.testing.assert_array_equal(math("masks", 30, rate, seed, dropped_in), keep)
        rest = (rate, scaled, dropped_in)
        for mask in keep[:5]:
            one = math("forward", got, mask.tolist(), *rest)
            for name, wanted in forward(net, mask, *rest)._asdict().items():
                np.testing.assert_allclose(one[name], wanted, atol=1e-12)
        outputs = [forward(net, mask, *rest).output for mask in keep]
        np.testing.assert_allclose(math("outputs", got, keep.tolist(), *rest), outputs, atol=1e-12)
        np.testing.assert_allclose(math("expected", got, *rest), expected(net, *rest), atol=1e-12)
        np.testing.assert_allclose(math("forward", got)["output"], forward(net).output, atol=1e-12)


def test_the_drawing_and_the_words_say_the_numbers(open_page):
    widget = DropoutViewer(0.4, 5, step=9)
    now, mask = widget._now()
    page = open_page(widget)
    for shown, value, kept in zip(units(page), [*now.d1, *now.d2], mask.ravel(), strict=True):
        assert (shown is None) == (kept == 0)
        assert shown is None or shown == pytest.approx(value, abs=0.0051)
    np.testing.assert_allclose(numbers(page.all(".dv-output")), now.output, atol=0.0051)
    rows = [now.output, widget.outputs().mean(0), widget.expected(), forward(network(5)).output]
    np.testing.assert_allclose(table(page), rows, atol=0.0051)
    assert len(page.all(".dv-dropped")) == (mask == 0).sum()
    edges = 4 * mask[0].sum() + mask[0].sum() * mask[1].sum() + 2 * mask[1].sum()
    assert len(page.all(".dv-edge")) == edges
    assert page.one(".dv-dead").get_attribute("d").count("M") == 4 * 6 + 6 * 6 + 6 * 2 - edges
    kept = int(np.flatnonzero(now.d2 > 0)[0])
    text = page.one(".dv-readout").text.replace("−", "-")
    assert f"Hidden 2, unit {kept + 1}" in text and f"{now.h2[kept]:.2f} ÷ 0.60 = {now.d2[kept]:.2f}" in text
    assert f"Its sum is {now.z2[kept]:.2f} from {int(mask[0].sum())} unit" in text


def test_steps_draw_fresh_masks(open_page):
    page = open_page(DropoutViewer())
    page.click(page.button("Step"))
    wanted = DropoutViewer(step=13)
    assert page.get("step") == 13
    assert [u is None for u in units(page)] == [not kept for kept in wanted.masks()[-1].ravel()]
    np.testing.assert_allclose(table(page)[1], wanted.outputs().mean(0), atol=0.0051)
    page.click(page.button("100 steps"))
    assert page.get("step") == 113
    np.testing.assert_allclose(table(page)[1], DropoutViewer(step=113).outputs().mean(0), atol=0.0051)
    page.click(page.button("Play"))
    page.until("return host.models[0].get('step') > 113")
    page.click(page.button("Pause"))
    assert page.button("Play")
    for _ in range(4):
        page.click(page.button("100 steps"))
    assert page.get("step") == 500 and not page.button("Step").is_enabled()
    page.click(page.button("Reset"))
    assert page.get("step") == 12 and page.button("Step").is_enabled()


def test_scaling_inference_and_place(open_page):
    page = open_page(DropoutViewer(step=100))
    net = network(0)
    page.radio("false")
    np.testing.assert_allclose(table(page)[2], expected(net, 0.5, False), atol=0.0051)
    assert "Without the scaling" in page.one(".dv-verdict").text
    page.radio("true")
    page.radio("last")
    np.testing.assert_allclose(table(page)[2], table(page)[3])
    assert "exactly" in page.one(".dv-verdict").text and None not in units(page)[:6]
    page.radio("inference")
    now = forward(net)
    np.testing.assert_allclose(units(page), [*now.h1, *now.h2], atol=0.0051)
    assert not page.button("Step").is_enabled() and not page.all(".dv-dropped")
    page.radio("training")
    page.slide("Rate", 0)
    assert not page.all(".dv-dropped") and "training is inference" in page.one(".dv-verdict").text
    page.slide("Rate", 0.9)
    assert page.get("rate") == 0.9 and len(page.all(".dv-dropped")) >= 3


def test_units_are_dropped_by_hand(open_page):
    page = open_page(DropoutViewer())
    mask = DropoutViewer().masks()[-1].ravel()
    before = table(page)
    unit = int(np.flatnonzero(mask)[0])
    page.click(page.all(".dv-unit")[unit])
    assert page.get("flips") == [unit] and units(page)[unit] is None
    assert page.all(".dv-unit")[unit].get_attribute("aria-pressed") == "true"
    after = table(page)
    assert not np.allclose(before[0], after[0])
    np.testing.assert_array_equal(before[1:], after[1:])  # the means are those of the masks that were drawn
    np.testing.assert_allclose(after[0], DropoutViewer(flips=[unit])._now()[0].output, atol=0.0051)
    assert "changed by hand" in page.one(".dv-where").text
    page.click(page.all(".dv-unit")[unit])
    assert page.get("flips") == []
    page.focus(page.all(".dv-unit")[0])
    page.keys(DOWN, DOWN, RIGHT, UP)
    assert page.js("return document.activeElement === arguments[0]", page.all(".dv-unit")[7])
    assert (
        page.get("unit") == 7 and [u.get_attribute("tabindex") for u in page.all(".dv-unit")].count("0") == 1
    )
    page.keys(ENTER)
    assert page.get("flips") == [7]
    page.until(
        "return /of 12 hidden units dropped/.test(document.querySelector('[role=status]').textContent)"
    )
    page.keys(" ", LEFT)
    assert page.get("flips") == [] and page.get("unit") == 1
    page.radio("inference")
    page.click(page.all(".dv-unit")[3])
    assert page.get("flips") == [] and not page.all(".dv-dropped")


def test_calm_reader_steps_singly(open_page, calm_browser):
    page = open_page(DropoutViewer(), driver=calm_browser)
    page.click(page.button("Play"))
    assert page.get("step") == 13 and page.button("Play")


@pytest.mark.parametrize("theme", ["book-light", "book-dark"])
@pytest.mark.parametrize("width", [860, 700, 344])
def test_themes_and_widths(open_page, theme, width):
    page = open_page(DropoutViewer(0.6, 7, step=150), theme=theme, width=width)
    assert page.audit() == []
    for drawing in page.all(".cx-stage svg[role]"):
        assert drawing.rect["width"] <= width
        outside = page.js(
            "const box = arguments[0].getBoundingClientRect();"
            "return [...arguments[0].querySelectorAll('text')].filter((t) => {"
            "const r = t.getBoundingClientRect();"
            "return r.width && (r.left < box.left - 0.5 || r.right > box.right + 0.5); }).map((t) => t.textContent)",
            drawing,
        )
        assert outside == []


@pytest.mark.parametrize("theme", ["book-light", "book-dark"])
def test_numbers_stand_out_from_their_discs(open_page, theme):
    page = open_page(DropoutViewer(), theme=theme)
    worst = page.js(
        """
        const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
        const light = (text) => {
          canvas.fillStyle = text;
          canvas.fillRect(0, 0, 1, 1);
          return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3).map((v) => v / 255)
            .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
            .reduce((s, v, i) => s + v * [0.2126, 0.7152, 0.0722][i], 0);
        };
        return Math.min(...[...document.querySelectorAll(".dv-unit")].map((unit) => {
          const [a, b] = [".dv-disc", "text"].map((css) => light(getComputedStyle(unit.querySelector(css)).fill));
          return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
        }));
        """
    )
    assert worst >= 4.5


def test_disposing_takes_everything_away(open_page):
    page = open_page(DropoutViewer())
    page.click(page.button("Play"))
    page.js("host.disposers[0]()")
    assert not page.all(".cx") and all(not h for h in page.js("return host.models[0].handlers").values())
