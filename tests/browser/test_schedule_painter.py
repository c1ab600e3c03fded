"""The schedule painter: its schedules against Keras, its runs against NumPy, its figure in a real browser."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import numpy as np
import pytest

from course_utils.explorables import SchedulePainter
from course_utils.explorables.schedule_painter import (
    KINDS,
    LIMIT,
    POINTS,
    descend,
    learning_rates,
    noise_floor,
    sample,
)

UP, DOWN, LEFT, HOME, END = "\ue013", "\ue015", "\ue012", "\ue011", "\ue010"
PAINTED = [0.01 * (k % 7) for k in range(POINTS)]


# ---- without a browser ----


def test_schedules_are_those_of_keras():
    import keras

    for steps, peak in ((40, 0.1), (100, 0.08)):
        t = np.arange(steps)
        cosine = keras.optimizers.schedules.CosineDecay(peak, steps)
        decay = keras.optimizers.schedules.ExponentialDecay(peak, steps, 0.01)
        np.testing.assert_allclose(learning_rates("cosine", steps, peak), [cosine(i) for i in t], atol=1e-7)
        np.testing.assert_allclose(
            learning_rates("exponential", steps, peak), [decay(i) for i in t], rtol=1e-5
        )


def test_the_other_schedules():
    T, p = 100, 0.08
    np.testing.assert_allclose(
        learning_rates("step", T, p)[[0, 24, 25, 50, 75, 99]],
        p * np.array([1, 1, 0.3, 0.09, 0.027, 0.027]),
    )
    warm = learning_rates("warm-up", T, p)
    np.testing.assert_allclose(warm[:10], p * np.arange(1, 11) / 10)
    assert warm[9] == warm.max() == pytest.approx(p) and (np.diff(warm[10:]) < 0).all()
    one = learning_rates("one-cycle", T, p)
    assert one.argmax() == 29 and one.max() == pytest.approx(p)
    assert one[0] == pytest.approx(p / 25) and one[-1] == pytest.approx(p / 25e4)
    # the straight form of the same formula, as PyTorch documents it
    k = np.arange(30)
    np.testing.assert_allclose(one[:30], p + (p / 25 - p) * (1 + np.cos(np.pi * k / 29)) / 2)
    painted = learning_rates("painted", T, p, PAINTED)
    np.testing.assert_allclose(painted[0], PAINTED[0])
    np.testing.assert_allclose(painted[-1], PAINTED[-1])
    for kind in KINDS[:-1]:
        rates = learning_rates(kind, 41, p)  # with 41 steps the points stand on steps
        np.testing.assert_allclose(
            learning_rates("painted", 41, p, sample(kind, 41, p))[::2], rates[::2], atol=5.1e-5
        )
    with pytest.raises(ValueError, match="no schedule 'linear'; choose one of: constant"):
        learning_rates("linear", T, p)


def test_the_noise_floor():
    run = descend(np.full(4000, 0.06), 0.7, 3)
    assert run.mean[1000:].mean() == pytest.approx(noise_floor(0.06, 0.7), rel=0.03)
    assert noise_floor(LIMIT) is None and noise_floor(0.05, 0) == 0


def test_what_the_figure_is_to_show():
    T, p = 100, 0.08
    ends = {kind: descend(learning_rates(kind, T, p)).mean[-1] for kind in KINDS[:-1]}
    for kind in ("step", "cosine", "warm-up", "one-cycle"):
        assert ends[kind] < ends["constant"] / 5
    assert ends["constant"] == pytest.approx(noise_floor(p), rel=0.3)
    assert descend(np.full(T, 0.01)).mean[30] > 2 * descend(np.full(T, p)).mean[30]  # small is slow
    quiet = {kind: descend(learning_rates(kind, T, p), 0.0).mean[-1] for kind in ("constant", "cosine")}
    assert quiet["constant"] < quiet["cosine"]  # without noise nothing is gained
    assert descend(np.full(T, 0.115)).mean[-1] > 1e6 > descend(learning_rates("cosine", T, 0.115)).mean.max()
    backwards = descend(learning_rates("cosine", T, p)[::-1]).mean[-1]
    assert backwards > 5 * ends["cosine"]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"kind": "one-cycle", "peak": 0.11},
        {"kind": "painted", "points": PAINTED},
        {"noise": 0, "steps": 300},
    ],
)
def test_preview_and_description(options):
    widget = SchedulePainter(**options)
    picture = widget.preview()
    ElementTree.fromstring(picture)
    end = descend(widget.rates(), widget.noise).mean[-1]
    assert f"ends at {end:.3g}" in widget.description and f"schedule {end:.3g}" in picture
    assert (widget.peak > 0.1) == ("diverges" in widget.description)
    if "points" in options:
        assert widget.peak == pytest.approx(0.06) and widget.points == PAINTED
    assert len(picture.encode()) < 20_000


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "linear"}, "no schedule 'linear'; choose one of: constant"),
        ({"steps": 10}, "whole number of steps from 20 to 300, not 10"),
        ({"steps": 50.5}, "whole number of steps"),
        ({"seed": -1}, "whole seed from 0"),
        ({"peak": 0.5}, "a peak from 0.002 to 0.12, not 0.5"),
        ({"peak": "large"}, "number for a peak, not 'large'"),
        ({"noise": float("nan")}, "a noise from 0 to 2"),
        ({"points": [0.1] * 5}, r"21 points in a row, not shape \(5,\)"),
        ({"points": [0.2] * 21}, "points from 0 to 0.12"),
        ({"points": ["a"] * 21}, "21 points that are numbers"),
        ({"cursor": 21}, "cursor from 0 to 20"),
    ],
)
def test_wrong_options_are_one_sentence(options, message):
    with pytest.raises(ValueError, match=message):
        SchedulePainter(**options)


def test_wrong_assignments_too():
    widget = SchedulePainter()
    for name, value in [("kind", "x"), ("peak", 1.0), ("noise", -1.0), ("points", [1]), ("steps", 5)]:
        with pytest.raises(ValueError):
            setattr(widget, name, value)


# ---- in the browser ----


def test_browser_computes_the_same_numbers(open_page):
    page = open_page(SchedulePainter())
    for kind in KINDS:
        for steps, peak, noise, seed in (
            (20, 0.12, 0.0, 0),
            (100, 0.08, 1.0, 0),
            (130, 0.05, 2.0, 2**31 - 1),
        ):
            state = {"kind": kind, "steps": steps, "peak": peak, "noise": noise, "seed": seed}
            state["points"] = PAINTED
            rates = learning_rates(kind, steps, peak, PAINTED)
            got = page.js("return host.modules[0].math.rates(arguments[0])", state)
            np.testing.assert_allclose(got, rates, rtol=1e-12, atol=1e-16)
            got = page.js("return host.modules[0].math.descend(arguments[0])", state)
            run = descend(rates, noise, seed)
            for name in ("mean", "low", "high", "path"):
                np.testing.assert_allclose(got[name], getattr(run, name), rtol=1e-8, atol=1e-12)
            if kind != "painted":
                got = page.js("return host.modules[0].math.sample(arguments[0])", state)
                np.testing.assert_allclose(got, sample(kind, steps, peak), atol=1.01e-4)
    for rate in (0.02, 0.0999, 0.1):
        got = page.js("return host.modules[0].math.floor(arguments[0], 1.5)", rate)
        want = noise_floor(rate, 1.5)
        assert got is None if want is None else got == pytest.approx(want)


def test_the_drawing_and_the_words_say_the_numbers(open_page):
    page = open_page(SchedulePainter())
    own, constant = descend(learning_rates("cosine", 100, 0.08)), descend(np.full(100, 0.08))
    text = page.one(".sc-verdict").text
    assert f"ends at a loss of {own.mean[-1]:.3g}" in text and f"({constant.mean[-1]:.3g})" in text
    assert f"floor of {noise_floor(0.08):.3g}" in text
    # equal factors of the loss are equal distances in the drawing
    line = page.all("path.sc-line.sc-schedule")[1].get_attribute("d")
    y = np.array(re.findall(r"[\d.]+ ([\d.]+)", line), dtype=float)
    np.testing.assert_allclose((y - y[0]) * 6 / 170, -np.log10(own.mean / own.mean[0]), atol=0.01)
    page.slide("Noise", 0)
    assert "Without noise there is no floor" in page.one(".sc-verdict").text
    assert "times higher" in page.one(".sc-verdict").text and not page.all(".sc-floor")
    page.slide("Peak", 0.11)
    assert "Above 2/κ = 0.1" in page.one(".sc-verdict").text
    page.choose(page.one(".cx select"), "constant")
    assert page.one(".sc-verdict").text.startswith("The constant rate 0.110 diverges.")
    page.slide("Peak", 0.01)
    page.slide("Noise", 0.5)
    assert "has not come down to its floor yet" in page.one(".sc-verdict").text
    formulas = set()
    for kind in KINDS:
        page.choose(page.one(".cx select"), kind)
        formulas.add(page.one(".sc-formula").text)
        assert page.get("kind") == kind
    assert len(formulas) == len(KINDS)


def test_painting_with_the_pointer(open_page):
    page = open_page(SchedulePainter())
    brush = page.one(".sc-brush")
    page.drag(brush, 60, -40)
    assert page.get("kind") == "painted" and page.one(".cx select").get_attribute("value") == "painted"
    points = page.get("points")
    before = sample("cosine", 100, 0.08)
    assert points[:9] == pytest.approx(before[:9], abs=1.1e-4) and points[17:] == pytest.approx(
        before[17:], abs=1.1e-4
    )
    assert points[12] > before[12] and points[13] > points[11] > points[10]
    assert page.get("peak") == pytest.approx(max(points)) and page.get("cursor") > 11
    assert "painted schedule" in page.one(".sc-verdict").text
    assert not page.one(".sc-knob").is_displayed()
    page.slide("Peak", 0.04)
    assert max(page.get("points")) == pytest.approx(0.04, abs=1e-4)
    np.testing.assert_allclose(
        np.array(page.get("points")) / 0.04, np.array(points) / max(points), atol=0.003
    )
    page.click(page.button("Reset"))
    assert page.get("kind") == "cosine" and page.get("peak") == 0.08
    assert page.get("points") == pytest.approx(before)


def test_painting_with_keys(open_page):
    page = open_page(SchedulePainter())
    brush = page.one(".sc-brush")
    page.focus(brush)
    before = page.one(".sc-verdict").text
    page.keys(END, UP, UP)
    points = page.get("points")
    assert page.get("kind") == "painted" and page.get("cursor") == 20
    assert points[20] == pytest.approx(0.004, abs=2e-4)
    assert brush.get_attribute("aria-valuetext").startswith("step 99: 0.00")
    page.keys(LEFT)
    page.js(
        "arguments[0].dispatchEvent(new KeyboardEvent('keydown', {key: 'ArrowUp', shiftKey: true, bubbles: true}))",
        brush,
    )
    page.settle()
    assert page.get("cursor") == 19 and page.get("points")[19] > 0.01
    assert page.one(".sc-verdict").text != before
    page.until("return document.querySelector('[role=status]').textContent.includes('Cursor at step 94')")
    page.keys(HOME, *[DOWN] * 60)
    assert page.get("points")[0] == 0 and page.get("cursor") == 0


def test_the_peak_is_dragged_and_keyed(open_page):
    page = open_page(SchedulePainter("one-cycle"))
    knob = page.one(".sc-knob")
    page.drag(knob, 0, 43)
    assert page.get("peak") == pytest.approx(0.04, abs=0.003) and page.get("kind") == "one-cycle"
    now = page.get("peak")
    page.focus(knob)
    page.keys(UP, UP)
    assert page.get("peak") == pytest.approx(now + 0.004)
    assert float(knob.get_attribute("aria-valuenow")) == pytest.approx(now + 0.004)
    page.keys(*[UP] * 60)
    assert page.get("peak") == 0.12
    page.click(page.button("New noise"))
    assert page.get("seed") == 1
    page.click(page.button("Reset"))
    assert page.get("seed") == 0 and page.get("peak") == 0.08


def test_all_points_at_zero(open_page):
    page = open_page(SchedulePainter("painted", points=[0.0] * 21))
    assert "nothing moves" in page.one(".sc-verdict").text
    page.slide("Peak", 0.05)
    assert page.get("points") == [0] * 21


@pytest.mark.parametrize("theme", ["book-light", "book-dark"])
@pytest.mark.parametrize("width", [860, 344])
def test_themes_and_widths(open_page, theme, width):
    page = open_page(SchedulePainter("painted", 300, points=PAINTED), theme=theme, width=width)
    assert page.audit() == []
    for drawing in page.all(".cx-stage svg, .cx-panel svg"):
        if not page.all("text", drawing):
            continue
        assert drawing.rect["width"] <= width
        outside = page.js(
            "const box = arguments[0].getBoundingClientRect();"
            "return [...arguments[0].querySelectorAll('text')].filter((t) => {"
            "const r = t.getBoundingClientRect();"
            "return r.left < box.left - 0.5 || r.right > box.right + 0.5; }).map((t) => t.textContent)",
            drawing,
        )
        assert outside == []
    colours = page.js(
        "return ['.sc-line.sc-schedule', '.sc-line.sc-constant', '.cx-plot'].map((css) => "
        "{ const s = getComputedStyle(document.querySelector(css)); return css === '.cx-plot' ? s.fill : s.stroke; })"
    )
    assert len(set(colours)) == 3


def test_disposing_takes_everything_away(open_page):
    page = open_page(SchedulePainter())
    page.js("host.disposers[0]()")
    assert not page.all(".cx") and all(not h for h in page.js("return host.models[0].handlers").values())
