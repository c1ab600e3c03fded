"""The chain-rule figure: its mathematics against NumPy and finite differences, its figure in a real browser."""

from __future__ import annotations

from xml.etree import ElementTree

import numpy as np
import pytest
import traitlets

from course_utils.explorables import ChainRule
from course_utils.explorables.chain_rule import (
    FUNCTIONS,
    X_LIMIT,
    chain,
    derivative,
    formula,
    nudge,
    quotient,
    value,
)

GRID = np.linspace(-X_LIMIT, X_LIMIT, 61)  # contains 0
SMOOTH = GRID[np.abs(GRID) > 0.01]
PAIRS = [("square", "sin"), ("exp", "sigmoid"), ("cube", "tanh"), ("relu", "linear"), ("sin", "exp")]


# ---- without a browser ----


@pytest.mark.parametrize("name", FUNCTIONS)
def test_derivative_is_the_slope_of_the_function(name):
    step = 1e-6
    slope = (value(name, SMOOTH + step) - value(name, SMOOTH - step)) / (2 * step)
    np.testing.assert_allclose(derivative(name, SMOOTH), slope, atol=1e-8)


@pytest.mark.parametrize(("inner", "outer"), PAIRS)
def test_product_is_the_slope_of_the_composition(inner, outer):
    for x in (-1.1, -0.3, 0.4, 1.5):
        at = chain(inner, outer, x)
        assert at["slope"] == pytest.approx(at["slope_inner"] * at["slope_outer"])
        assert quotient(inner, outer, x, 1e-5, "central") == pytest.approx(at["slope"], abs=1e-7)


@pytest.mark.parametrize(("inner", "outer"), PAIRS)
def test_error_of_the_nudge_falls_with_the_square(inner, outer):
    def error(dx):
        step = nudge(inner, outer, 0.6, dx)
        return step["dL"] - step["says_dL"]

    assert abs(error(1e-3)) < 1e-12 or error(1e-3) / error(1e-4) == pytest.approx(100, rel=0.05)


def test_the_kink_has_the_slope_of_tensorflow_and_secants_find_others():
    assert chain("relu", "linear", 0.0)["slope"] == 0
    assert quotient("relu", "linear", 0.0, 1e-3, "forward") == pytest.approx(2)
    assert quotient("relu", "linear", 0.0, 1e-3, "central") == pytest.approx(1)


def test_secant_error_grows_again_when_digits_run_out():
    slope = chain("square", "sin", 0.8)["slope"]
    errors = [abs(quotient("square", "sin", 0.8, dx, "central") - slope) for dx in (1e-1, 1e-5, 1e-12)]
    assert errors[1] < 1e-8 < min(errors[0], errors[2])


@pytest.mark.parametrize("inner", FUNCTIONS)
@pytest.mark.parametrize("outer", ["sin", "relu"])
def test_preview_and_description(inner, outer):
    widget = ChainRule(inner, outer, x=0.5, secant="forward")
    picture = widget.preview()
    ElementTree.fromstring(picture)
    assert len(picture.encode()) < 15_000
    assert formula(inner, "x") in widget.description and formula(inner, "x") in picture
    assert f"{chain(inner, outer, 0.5)['slope']:.3g}" in widget.description
    assert "forward difference" in widget.description


def test_formulas_put_brackets_where_they_are_needed():
    assert formula("square", "x") == "x²"
    assert formula("sin", formula("square", "x")) == "sin (x²)"
    assert formula("sigmoid", formula("sin", "x")) == "σ(sin x)"
    assert formula("relu", "2x") == "max(0, 2x)"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"inner": "sinus"}, "no function 'sinus'; choose one of: linear, square"),
        ({"outer": "log"}, "no function 'log'"),
        ({"x": 2.0}, "x must lie between -1.5 and 1.5, not 2"),
        ({"dx": 0.0}, "dx must lie between 5e-13 and 0.5, not 0"),
        ({"secant": "both"}, "no secant 'both'; choose one of: off, forward, central"),
    ],
)
def test_wrong_options_are_one_sentence(options, message):
    with pytest.raises(traitlets.TraitError, match=message):
        ChainRule(**options)


# ---- in the browser ----


def test_browser_computes_the_same_numbers(open_page):
    page = open_page(ChainRule())
    assert page.js("return host.modules[0].math.names") == list(FUNCTIONS)
    got = page.js(
        "const m = host.modules[0].math; return m.names.map((n) => "
        "[arguments[0].map((v) => m.value(n, v)), arguments[0].map((v) => m.derivative(n, v))])",
        GRID.tolist(),
    )
    for name, (values, slopes) in zip(FUNCTIONS, got, strict=True):
        np.testing.assert_allclose(values, value(name, GRID), rtol=1e-14, atol=1e-15, err_msg=name)
        np.testing.assert_allclose(slopes, derivative(name, GRID), rtol=1e-14, atol=1e-15, err_msg=name)
    for inner, outer in PAIRS:
        got = page.js(
            "const m = host.modules[0].math; const [i, o, x, dx] = arguments;"
            "return [m.chain(i, o, x), m.nudge(i, o, x, dx), m.quotient(i, o, x, dx, 'forward'),"
            "m.quotient(i, o, x, dx, 'central'), m.formula(o, m.formula(i, 'x'))]",
            *(inner, outer, 0.7, 0.2),
        )
        assert got[0] == pytest.approx(chain(inner, outer, 0.7), rel=1e-13)
        assert got[1] == pytest.approx(nudge(inner, outer, 0.7, 0.2), rel=1e-12)
        for measured, kind in zip(got[2:4], ("forward", "central"), strict=True):
            assert measured == pytest.approx(quotient(inner, outer, 0.7, 0.2, kind), rel=1e-12)
        assert got[4] == formula(outer, formula(inner, "x"))


def cells(page):
    return [[cell.text for cell in page.all("td", row)] for row in page.all(".chn-table tbody tr")]


def test_the_opening_state_shows_slopes_product_and_nudge(open_page):
    page = open_page(ChainRule())
    titles = [node.text for node in page.all(".chn-title")]
    assert titles == ["y = x²", "L = sin y", "L = sin (x²)"]
    assert [node.text for node in page.all(".chn-slope b")] == ["1.6", "0.802", "1.28"]
    assert cells(page) == [["0.25", "0.25", ""], ["0.4", "0.462", "0.0625"], ["0.321", "0.295", "−0.0257"]]
    assert "1.6 × 0.802 = 1.28" in page.one(".chn-result").text


def test_the_point_is_dragged_and_moved_with_keys(open_page):
    page = open_page(ChainRule())
    knob = page.one(".chn-knob-inner")
    page.drag(knob, -45, 0)
    dragged = page.get("x")
    assert -0.6 < dragged < 0.6
    assert page.js("return host.saves[0]") == 1  # one message to Python for one drag
    page.focus(page.one(".chn-knob-both"))
    page.keys("\ue014", "\ue014")  # right
    assert page.get("x") == pytest.approx(dragged + 0.1)
    page.keys("\ue010")  # End
    assert page.get("x") == X_LIMIT
    assert "x 1.50" in knob.get_attribute("aria-valuetext")
    page.drag(page.one(".chn-knob-both"), -40, 0)  # the third plot moves the same point
    assert page.get("x") < 1.2


def test_the_nudged_point_sets_dx(open_page):
    page = open_page(ChainRule(x=-0.5, dx=0.5))
    page.drag(page.one(".chn-nudged"), -14, 0)
    assert 0.1 < page.get("dx") < 0.45
    assert page.get("x") == -0.5
    assert page.js("return host.saves[0]") == 1


def test_controls_kink_secant_and_reset(open_page):
    page = open_page(ChainRule("cube", "exp", x=0.5))
    page.js(
        "const [i, o] = document.querySelectorAll('.cx select');"
        "i.value = 'relu'; i.dispatchEvent(new Event('change'));"
        "o.value = 'linear'; o.dispatchEvent(new Event('change'))"
    )
    page.set("x", 0)
    assert (page.get("inner"), page.get("outer")) == ("relu", "linear")
    assert "kink" in page.one(".chn-result").text
    page.click(page.all(".cx-choice input")[1])
    assert page.get("secant") == "forward"
    assert "= 2, error 2" in page.one(".chn-result").text
    page.click(page.all(".cx-choice input")[2])
    assert "= 1, error 1" in page.one(".chn-result").text
    page.js(
        "const s = document.querySelector('.cx input[type=range]'); s.value = -3;"
        "s.dispatchEvent(new Event('input')); s.dispatchEvent(new Event('change'))"
    )
    page.settle()
    assert page.get("dx") == pytest.approx(0.0005)
    page.click(page.button("Reset"))
    assert [page.get(n) for n in ("inner", "outer", "x", "dx", "secant")] == [
        "cube", "exp", 0.5, 0.25, "off",
    ]  # fmt: skip


def test_instances_do_not_interfere_and_clean_up(open_page):
    page = open_page(ChainRule(), ChainRule("exp", "square", x=-0.5))
    page.drag(page.all(".chn-knob-inner")[0], -30, 0)
    assert page.get("x", 0) < 0.7
    assert page.get("x", 1) == -0.5
    page.js("host.disposers[0]()")
    assert page.js("return Object.values(host.models[0].handlers).flat().length") == 0
    assert len(page.all(".cx")) == 1
    page.set("x", 0.0, 1)
    assert [node.text for node in page.all(".chn-slope b")] == ["1", "2", "2"]


@pytest.mark.parametrize("theme", ["book-light", "book-dark", "lab-dark"])
@pytest.mark.parametrize("width", [344, 600, 860])
def test_no_text_too_small_nothing_overflows(open_page, theme, width):
    for widget in (ChainRule(), ChainRule("relu", "exp", x=0.0, secant="central", dx=0.5)):
        page = open_page(widget, theme=theme, width=width)
        assert page.audit() == []
        assert page.one(".cx").get_attribute("data-cx-theme") == theme.split("-")[1]
