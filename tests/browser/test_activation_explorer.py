"""The activation explorer: its mathematics against NumPy and Keras, its figure in a real browser."""

from __future__ import annotations

import math
from xml.etree import ElementTree

import numpy as np
import pytest
import traitlets

from course_utils.explorables import ActivationExplorer
from course_utils.explorables.activation_explorer import LABELS, LEAK, SATURATED, chain, derivative, value

GRID = np.linspace(-6, 6, 97)  # contains 0
SMOOTH = GRID[np.abs(GRID) > 0.01]


# ---- without a browser ----


@pytest.mark.parametrize("name", LABELS)
def test_derivative_is_the_slope_of_the_function(name):
    step = 1e-6
    slope = (value(name, SMOOTH + step) - value(name, SMOOTH - step)) / (2 * step)
    np.testing.assert_allclose(derivative(name, SMOOTH), slope, atol=1e-8)


def test_values_and_slopes_are_those_of_keras():
    tf = pytest.importorskip("tensorflow")
    import keras

    functions = {
        "sigmoid": keras.activations.sigmoid,
        "tanh": keras.activations.tanh,
        "relu": keras.activations.relu,
        "leaky_relu": lambda x: keras.activations.leaky_relu(x, negative_slope=LEAK),
        "elu": keras.activations.elu,
        "gelu": lambda x: keras.activations.gelu(x, approximate=False),
        "silu": keras.activations.silu,
        "identity": keras.activations.linear,
    }
    assert set(functions) == set(LABELS) - {"step"}
    for name, function in functions.items():
        z = tf.constant(GRID, dtype=tf.float64)
        with tf.GradientTape() as tape:
            tape.watch(z)
            a = function(z)
        np.testing.assert_allclose(value(name, GRID), a, atol=1e-7, err_msg=name)
        np.testing.assert_allclose(derivative(name, GRID), tape.gradient(a, z), atol=1e-7, err_msg=name)


def test_chain_gives_the_gradient_of_the_composed_function():
    def last(z):
        a = value("tanh", z)
        for _ in range(4):
            a = value("tanh", 1.7 * a - 0.3)
        return float(a)

    slope = (last(0.4 + 1e-6) - last(0.4 - 1e-6)) / 2e-6
    assert chain("tanh", 0.4, 5, 1.7, -0.3)[-1] == pytest.approx(slope, rel=1e-7)


def test_one_setting_keeps_the_sigmoid_gradient_level():
    # z = 0, w = 4, b = -2: every unit sees z = 0, and the weight undoes the slope of one quarter
    np.testing.assert_allclose(chain("sigmoid", 0, 20, 4, -2), 0.25)


@pytest.mark.parametrize("name", LABELS)
def test_preview_and_description(name):
    widget = ActivationExplorer(name)
    picture = widget.preview()
    ElementTree.fromstring(picture)
    assert len(picture.encode()) < 15_000
    assert LABELS[name] in widget.description
    assert LABELS[name] in picture


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"function": "sigmod"}, "no activation function 'sigmod'; choose one of: step, identity, sigmoid"),
        ({"z": 7}, "z must lie between -6 and 6, not 7"),
        ({"depth": 0}, "depth must lie between 1 and 20, not 0"),
        ({"weight": 9}, "weight must lie between -4 and 4"),
        ({"bias": -9}, "bias must lie between -4 and 4"),
    ],
)
def test_wrong_options_are_one_sentence(options, message):
    with pytest.raises(traitlets.TraitError, match=message):
        ActivationExplorer(**options)


# ---- in the browser ----


def test_browser_computes_the_same_numbers(open_page):
    page = open_page(ActivationExplorer())
    assert page.js("return host.modules[0].math.names") == list(LABELS)
    got = page.js(
        "const m = host.modules[0].math; return m.names.map((n) => "
        "[arguments[0].map((z) => m.value(n, z)), arguments[0].map((z) => m.derivative(n, z))])",
        GRID.tolist(),
    )
    for name, (values, slopes) in zip(LABELS, got, strict=True):
        np.testing.assert_allclose(values, value(name, GRID), atol=1e-14, err_msg=name)
        np.testing.assert_allclose(slopes, derivative(name, GRID), atol=1e-14, err_msg=name)
    x = np.linspace(-7, 7, 141)
    erf = page.js("return arguments[0].map(host.modules[0].math.erf)", x.tolist())
    np.testing.assert_allclose(erf, [math.erf(v) for v in x], atol=1e-15)
    for name in LABELS:
        got = page.js("return host.modules[0].math.chain(...arguments).gradients", name, -0.7, 12, 1.5, 0.2)
        np.testing.assert_allclose(got, chain(name, -0.7, 12, 1.5, 0.2), rtol=1e-9, atol=1e-300, err_msg=name)


def test_shaded_regions_end_where_the_slope_is_a_twentieth(open_page):
    page = open_page(ActivationExplorer())
    intervals = page.js("const m = host.modules[0].math; return m.names.map((n) => m.saturatedIntervals(n))")
    found = dict(zip(LABELS, intervals, strict=True))
    s = (1 - math.sqrt(1 - 4 * SATURATED)) / 2  # σ(1 - σ) = 0.05
    edge = math.log((1 - s) / s)
    np.testing.assert_allclose(found["sigmoid"], [[-6, -edge], [edge, 6]], atol=1e-9)
    edge = math.atanh(math.sqrt(1 - SATURATED))
    np.testing.assert_allclose(found["tanh"], [[-6, -edge], [edge, 6]], atol=1e-9)
    np.testing.assert_allclose(found["relu"], [[-6, 0]], atol=1e-9)
    assert found["step"] == [[-6, 6]]
    assert found["identity"] == found["leaky_relu"] == []
    assert len(found["gelu"]) == 2  # the far left, and around the bottom of the dip


def test_the_point_is_dragged_and_moved_with_keys(open_page):
    page = open_page(ActivationExplorer())
    knob = page.one(".act-knob")
    bars = len(page.all(".act-bar"))
    assert bars == 10
    before = page.one(".act-slope-value").text
    page.drag(knob, 90, 0)
    dragged = page.get("z")
    assert dragged > 3
    assert page.one(".act-slope-value").text != before
    assert "nearly zero" in page.one(".act-verdict").text
    assert page.js("return host.saves[0]") == 1  # one message to Python for one drag
    page.focus(knob)
    page.keys("\ue012", "\ue012")  # left
    assert page.get("z") == pytest.approx(dragged - 0.2)
    page.keys("\ue011")  # Home
    assert page.get("z") == -6
    assert "z −6.00" in knob.get_attribute("aria-valuetext")
    # a click in the plot brings the point there
    page.click_at(page.one(".act-curve"), 0, 0)
    assert abs(page.get("z")) < 0.1


def test_depth_weight_function_and_reset(open_page):
    page = open_page(ActivationExplorer("relu", z=1.0, depth=4, weight=2.0))
    assert "8" in page.one(".act-result").text
    page.set("depth", 20)
    assert len(page.all(".act-bar")) == 20
    assert "explodes" in page.one(".act-result").text
    page.set("z", -1.0)
    assert "exactly 0" in page.one(".act-result").text
    page.js(
        "const s = document.querySelector('.cx select'); s.value = 'sigmoid';"
        "s.dispatchEvent(new Event('change'))"
    )
    page.settle()
    assert page.get("function") == "sigmoid"
    assert "vanishes" in page.one(".act-result").text
    over = page.one(".act-over")
    page.focus(over)
    page.keys("\ue012")  # the layer before the last
    assert page.one(".act-readout").text.startswith("Layer 19")
    page.click(page.button("Reset"))
    assert [page.get(n) for n in ("function", "z", "depth", "weight", "bias")] == ["relu", 1, 4, 2, 0]
    assert len(page.all(".act-bar")) == 4


def test_instances_do_not_interfere_and_clean_up(open_page):
    page = open_page(ActivationExplorer("tanh"), ActivationExplorer("relu", z=-1.0))
    page.drag(page.all(".act-knob")[0], -60, 0)
    assert page.get("z", 0) < 1.5
    assert page.get("z", 1) == -1
    page.js("host.disposers[0]()")
    assert page.js("return Object.values(host.models[0].handlers).flat().length") == 0
    assert len(page.all(".cx")) == 1
    page.set("z", 2.0, 1)
    assert page.one(".act-slope-value").text == "1"


@pytest.mark.parametrize("theme", ["book-light", "book-dark", "lab-dark"])
@pytest.mark.parametrize("width", [344, 600, 860])
@pytest.mark.parametrize("name", ["sigmoid", "gelu"])
def test_no_text_too_small_nothing_overflows(open_page, theme, width, name):
    page = open_page(ActivationExplorer(name, depth=20), theme=theme, width=width)
    assert page.audit() == []
    assert page.one(".cx").get_attribute("data-cx-theme") == theme.split("-")[1]
