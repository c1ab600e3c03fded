"""The overfitting lab: its mathematics against NumPy's least squares, its figure in a real browser."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import numpy as np
import pytest
from numpy.polynomial.legendre import legval, legvander

from course_utils.explorables import OverfittingLab
from course_utils.explorables.overfitting_lab import (
    EXACT,
    MAX_DEGREE,
    VALIDATION,
    errors,
    fit,
    predict,
    training_points,
    truth,
    validation_points,
)

UP, DOWN, LEFT, RIGHT, HOME, END, PAGE_DOWN = (
    "\ue013", "\ue015", "\ue012", "\ue014", "\ue011", "\ue010", "\ue00f",
)  # fmt: skip
SETTINGS = [  # examples, noise, penalty, seed
    (12, 0.2, 0.0, 0),
    (12, 0.2, 1e-6, 0),
    (12, 0.2, 0.01, 3),
    (40, 0.5, 0.0, 7),
    (4, 0.1, 0.0, 9999),
    (20, 0.0, 0.0, 1),
    (17, 0.6, 10.0, 12),
]


# ---- without a browser ----


def test_the_points():
    x, y = training_points(12, 0.2, 5)
    more_x, more_y = training_points(30, 0.2, 5)
    np.testing.assert_array_equal(x, more_x[:12])
    np.testing.assert_array_equal(y, more_y[:12])
    _, louder = training_points(12, 0.4, 5)
    np.testing.assert_allclose(louder - truth(x), 2 * (y - truth(x)))
    for n in (12, 40):  # spread evenly
        assert np.diff(np.sort(training_points(n, 0, 1)[0])).max() < 3.2 * 2 / n
    vx, vy = validation_points(0.2, 5)
    assert len(vx) == VALIDATION and np.abs(vx).max() <= 1 and not np.isin(y, vy).any()
    pairs = [validation_points(0.3, seed) for seed in range(60)]
    spread = np.concatenate([v - truth(u) for u, v in pairs])
    assert abs(spread.mean()) < 0.03 and abs(spread.std() - 0.3) < 0.02


def test_the_fit_is_the_least_of_all():
    x, y = training_points(12, 0.3, 2)
    rng = np.random.default_rng(0)
    for degree, penalty in [(5, 0.0), (5, 0.1), (15, 0.001)]:
        c = fit(x, y, degree, penalty)

        def objective(c, degree=degree, penalty=penalty):
            return np.mean((legvander(x, degree) @ c - y) ** 2) + penalty * np.sum(c**2)

        assert all(objective(c) < objective(c + 1e-3 * rng.normal(size=len(c))) for _ in range(20))
        normal = legvander(x, degree).T @ legvander(x, degree) / 12 + penalty * np.eye(degree + 1)
        np.testing.assert_allclose(normal @ c, legvander(x, degree).T @ y / 12, atol=1e-10)
        np.testing.assert_allclose(predict(c, x), legval(x, c))
    # more coefficients than points: every point is met, and the limit of small penalties is the smallest such c
    c = fit(x, y, 18)
    np.testing.assert_allclose(predict(c, x), y, atol=1e-10)
    np.testing.assert_allclose(c, np.linalg.pinv(legvander(x, 18)) @ y, atol=1e-10)
    np.testing.assert_allclose(c, fit(x, y, 18, 1e-11), atol=1e-5)


def test_the_errors_tell_the_story():
    train, held_out = OverfittingLab().errors()
    assert (np.diff(train[:12]) <= 1e-12).all() and (train[11:] < EXACT).all()
    best = int(np.argmin(held_out))
    assert 3 <= best <= 8 and held_out[9] > 3 * held_out[best] and train[9] < train[best]
    assert int(np.argmax(held_out)) == 11 and held_out[20] < held_out[11] / 100  # the second descent
    _, penalised = OverfittingLab(penalty=0.001).errors()
    assert penalised[11] < held_out[11] / 100


@pytest.mark.parametrize(
    "options", [{}, {"degree": 0}, {"degree": 20, "examples": 6}, {"penalty": 0.1, "noise": 0.0, "seed": 4}]
)
def test_preview_and_description(options):
    widget = OverfittingLab(**options)
    ElementTree.fromstring(widget.preview())
    train, held_out = widget.errors()
    shown = re.search(r"training error ([\d.]+)(?:×10\S+)?, validation error ([\d.]+)\. ", widget.preview())
    if train[widget.degree] > 0.001:
        assert float(shown[1]) == pytest.approx(train[widget.degree], rel=0.006)
    else:
        assert shown[1] == "0"
    assert float(shown[2]) == pytest.approx(held_out[widget.degree], rel=0.006)
    assert f"lowest at degree {np.argmin(held_out)}" in widget.description
    assert len(widget.preview().encode()) < 20_000
    assert OverfittingLab(**options).preview() == widget.preview()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"degree": 21}, "whole number as the degree from 0 to 20, not 21"),
        ({"degree": 3.0}, "whole number as the degree"),
        ({"noise": -0.1}, "a noise from 0 to 0.6, not -0.1"),
        ({"noise": "loud"}, "number for a noise, not 'loud'"),
        ({"noise": float("nan")}, "a noise from 0"),
        ({"examples": 3}, "the number of examples from 4 to 40, not 3"),
        ({"penalty": 11}, "a penalty from 0 to 10, not 11"),
        ({"penalty": True}, "number for a penalty"),
        ({"seed": -1}, "the seed from 0 to 9999"),
        ({"moved": {"0": [2, 0]}}, "moved points as"),
        ({"moved": {"a": [0, 0]}}, "moved points as"),
    ],
)
def test_wrong_options_are_one_sentence(options, message):
    with pytest.raises(ValueError, match=message):
        OverfittingLab(**options)


def test_wrong_assignments_too():
    widget = OverfittingLab(moved={0: [0.5, 1]})
    assert widget.moved == {"0": [0.5, 1.0]} and widget.points()[1][0] == 1
    for name, value in [("degree", 30), ("noise", 1.0), ("penalty", -1.0), ("seed", 10_000), ("examples", 0)]:
        with pytest.raises(ValueError):
            setattr(widget, name, value)


# ---- in the browser ----


def shown_errors(page):
    texts = [b.text for b in page.all(".of-numbers b")]
    texts = [t.replace("×10", "e").translate(str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")) for t in texts]
    return [float(t) for t in texts[:3]]


@pytest.fixture
def math(open_page):
    page = open_page(OverfittingLab())
    return lambda name, *arguments: page.js(
        "return host.modules[0].math[arguments[0]](...[...arguments].slice(1))", name, *arguments
    )


def test_browser_computes_the_same_numbers(math):
    grid = np.linspace(-1, 1, 41)
    for examples, noise, penalty, seed in SETTINGS:
        x, y = training_points(examples, noise, seed)
        vx, vy = validation_points(noise, seed)
        points = math("training", examples, noise, seed)
        np.testing.assert_allclose(points, np.stack([x, y], 1), atol=1e-13)
        held_out = math("validation", noise, seed)
        np.testing.assert_allclose(held_out, np.stack([vx, vy], 1), atol=1e-13)
        got = math("all", points, held_out, penalty)
        train, validation = errors((x, y), (vx, vy), penalty)
        np.testing.assert_allclose(got["train"], train, rtol=1e-6, atol=1e-12)
        np.testing.assert_allclose(got["heldOut"], validation, rtol=1e-6, atol=1e-12)
        for degree in range(MAX_DEGREE + 1):
            wanted = fit(x, y, degree, penalty)
            scale = np.abs(wanted).max()
            np.testing.assert_allclose(got["fits"][degree], wanted, atol=1e-8 * max(scale, 1))
        np.testing.assert_allclose(
            [math("predict", got["fits"][9], u) for u in grid],
            predict(fit(x, y, 9, penalty), grid),
            atol=1e-8,
        )


def test_points_on_top_of_each_other_are_no_trouble(math):
    x = np.array([-0.5, -0.5, -0.5, 0.2, 0.2, 0.9])
    y = np.array([0.1, 0.4, -0.3, 1.0, 1.2, -0.7])
    for degree in (1, 3, 5, 12):
        wanted = np.linalg.lstsq(legvander(x, degree), y, rcond=None)[0]
        got = math("fit", np.stack([x, y], 1).tolist(), degree, 0)
        np.testing.assert_allclose(got, wanted, atol=1e-10)


def test_the_drawing_and_the_words_say_the_numbers(open_page):
    widget = OverfittingLab(degree=10, seed=2, penalty=0.001)
    train, held_out = widget.errors()
    best = int(np.argmin(held_out))
    page = open_page(widget)
    wanted = [train[10], held_out[10], held_out[best]]
    np.testing.assert_allclose(shown_errors(page), wanted, rtol=0.006)
    assert page.one(".of-best-text").text == f"best: {best}"
    # equal factors of the error are equal steps of the chart
    heights = re.findall(r"[\d.]+ ([\d.]+)", page.one(".of-held-line").get_attribute("d"))
    slope = np.polyfit(np.log10(held_out), np.array(heights, dtype=float), 1)
    np.testing.assert_allclose(
        np.polyval(slope, np.log10(held_out)), np.array(heights, dtype=float), atol=0.01
    )
    assert not page.all(".of-edge")  # with a penalty no fit is exact
    page.slide("Penalty", -6.25)
    assert page.get("penalty") == 0 and page.one(".of-edge")
    page.slide("Degree", 11)
    assert "passes through every one" in page.one(".of-readout").text and shown_errors(page)[0] == 0
    page.slide("Degree", 20)
    assert "21 coefficients for 12 points" in page.one(".of-readout").text
    page.slide("Degree", 0)
    assert "Too stiff" in page.one(".of-readout").text
    page.set("penalty", 0.0123)
    assert "0.0123" in next(f.text for f in page.all(".cx-field") if f.text.startswith("Penalty"))


def test_points_are_dragged_and_keyed(open_page):
    page = open_page(OverfittingLab())
    x, y = training_points(12, 0.2, 0)
    dots = [d for d in page.all("[data-point]") if d.is_displayed()]
    assert len(dots) == 12
    before = shown_errors(page)
    page.drag(dots[3], 0, -40)
    (key, place), *rest = page.get("moved").items()
    assert key == "3" and not rest and place[0] == pytest.approx(x[3], abs=0.02) and place[1] > y[3] + 0.3
    assert page.js("return host.saves[0]") == 1 and shown_errors(page) != before
    widget = OverfittingLab(moved=page.get("moved"))
    np.testing.assert_allclose(shown_errors(page)[:2], [e[9] for e in widget.errors()], rtol=0.006)
    page.focus(dots[0])
    page.keys(UP, UP, RIGHT)
    assert page.get("moved")["0"] == pytest.approx([x[0] + 0.05, y[0] + 0.1], abs=0.011)
    assert "Training point 1 of 12" in dots[0].get_attribute("aria-label")
    page.keys(PAGE_DOWN)
    assert page.js("return document.activeElement === arguments[0]", dots[1])
    assert [d.get_attribute("tabindex") for d in dots[:3]] == ["-1", "0", "-1"]
    page.keys(*[DOWN] * 70)
    assert page.get("moved")["1"][1] == -2
    page.slide("Noise", 0.4)
    assert len(page.get("moved")) == 3  # what was moved by hand stays
    page.click(page.button("Put points back"))
    assert page.get("moved") == {} and not page.button("Put points back").is_enabled()


def test_a_degree_is_chosen_on_the_chart(open_page):
    page = open_page(OverfittingLab())
    picker = page.one(".of-picker")
    width = page.one(".of-area").rect["width"]
    page.click_at(page.one(".of-area"), (4 - 10) * width / 21.2, 20)
    assert page.get("degree") == 4 and picker.get_attribute("aria-valuenow") == "4"
    page.drag(page.one(".of-area"), 3 * width / 21.2, 0)
    assert page.get("degree") == 13
    page.focus(picker)
    page.keys(HOME, RIGHT, RIGHT, DOWN)
    assert page.get("degree") == 1
    page.keys(END)
    assert page.get("degree") == 20
    page.until(
        "return document.querySelector('[role=status]').textContent.includes('Degree 20: training error 0')"
    )


def test_new_points_more_points_and_reset(open_page):
    page = open_page(OverfittingLab(seed=9999))
    page.click(page.button("New points"))
    assert page.get("seed") == 0
    page.slide("Examples", 40)
    assert len([d for d in page.all("[data-point]") if d.is_displayed()]) == 40 and not page.all(".of-edge")
    page.focus(page.all("[data-point]")[0])
    page.keys(END)
    page.slide("Examples", 5)
    shown = [d for d in page.all("[data-point]") if d.is_displayed()]
    assert len(shown) == 5 and [d.get_attribute("tabindex") for d in shown].count("0") == 1
    page.click(page.button("Reset"))
    assert page.get("seed") == 9999 and page.get("examples") == 12 and page.get("moved") == {}


@pytest.mark.parametrize("theme", ["book-light", "book-dark"])
@pytest.mark.parametrize("width", [860, 700, 344])
def test_themes_and_widths(open_page, theme, width):
    page = open_page(OverfittingLab(degree=11, examples=12), theme=theme, width=width)
    assert page.audit() == []
    for drawing in page.all(".cx-stage svg[role=group]"):
        assert drawing.rect["width"] <= width
        outside = page.js(
            "const box = arguments[0].getBoundingClientRect();"
            "return [...arguments[0].querySelectorAll('text')].filter((t) => {"
            "const r = t.getBoundingClientRect();"
            "return r.left < box.left - 0.5 || r.right > box.right + 0.5; }).map((t) => t.textContent)",
            drawing,
        )
        assert outside == []
    tops = [d.rect["y"] for d in page.all(".cx-stage svg[role=group]")]
    assert (tops[0] == tops[1]) == (width > 600)


@pytest.mark.parametrize("theme", ["book-light", "book-dark"])
def test_lines_stand_out_from_the_ground(open_page, theme):
    page = open_page(OverfittingLab(), theme=theme)
    contrast = """
    const rgb = (text) => text.match(/[\\d.]+/g).map(Number).slice(0, 3).map((v) => v / 255)
      .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
    const light = (text) => rgb(text).reduce((s, v, i) => s + v * [0.2126, 0.7152, 0.0722][i], 0);
    const [a, b] = [light(getComputedStyle(document.querySelector(arguments[0])).stroke),
      light(getComputedStyle(document.querySelector('.cx-plot')).fill)];
    return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    """
    for line in (".of-fit", ".of-truth", ".of-train-line", ".of-best"):
        assert page.js(contrast, line) >= 3, line
    assert page.js(contrast, ".of-held-line") >= 2.2  # also told apart by its squares


def test_disposing_takes_everything_away(open_page):
    page = open_page(OverfittingLab())
    page.js("host.disposers[0]()")
    assert not page.all(".cx") and all(not h for h in page.js("return host.models[0].handlers").values())
