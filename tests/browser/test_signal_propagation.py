"""Signal propagation: its random numbers and its networks against NumPy, its figure in a real browser."""

from __future__ import annotations

from xml.etree import ElementTree

import numpy as np
import pytest

from course_utils.explorables import SignalPropagation
from course_utils.explorables.signal_propagation import (
    ACTIVATIONS,
    BATCH,
    SCALES,
    nearest_column,
    normals,
    propagate,
    random_draws,
    uniforms,
)

UP, DOWN, LEFT, RIGHT, HOME, END = "\ue013", "\ue015", "\ue012", "\ue014", "\ue011", "\ue010"
NETWORKS = [
    ("linear", 1.0, 12, 64, 0),
    ("tanh", 1.0, 20, 64, 0),
    ("tanh", float(SCALES[-1]), 12, 16, 5),
    ("sigmoid", 0.5, 8, 64, 1),
    ("relu", float(SCALES[15]), 20, 64, 0),
    ("relu", 0.25, 5, 8, 2**31 - 1),
]


# ---- without a browser ----


def mulberry32(seed):
    """The generator written out for one number at a time, with Python's whole numbers."""
    a = seed
    while True:
        a = (a + 0x6D2B79F5) & 0xFFFFFFFF
        t = ((a ^ (a >> 15)) * (a | 1)) & 0xFFFFFFFF
        t ^= (t + ((t ^ (t >> 7)) * (t | 61))) & 0xFFFFFFFF
        yield ((t ^ (t >> 14)) & 0xFFFFFFFF) / 2**32


@pytest.mark.parametrize("seed", [0, 1, 2**31 - 1, 2**32 - 1])
def test_random_numbers(seed):
    from itertools import islice

    np.testing.assert_array_equal(uniforms(seed, 500), list(islice(mulberry32(seed), 500)))
    z = normals(seed, 40_000)
    assert abs(z.mean()) < 0.02 and abs(z.std() - 1) < 0.02 and abs((z**4).mean() - 3) < 0.2


def test_draws_of_a_deeper_network_begin_with_those_of_a_shallower():
    batch, weights, back = random_draws(3, 16, 5)
    batch2, weights2, back2 = random_draws(3, 16, 9)
    assert batch.shape == back.shape == (BATCH, 16) and weights2.shape == (9, 16, 16)
    np.testing.assert_array_equal(batch, batch2)
    np.testing.assert_array_equal(weights, weights2[:5])
    np.testing.assert_array_equal(back, back2)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_the_gradient_is_that_of_tensorflow(activation):
    import tensorflow as tf

    batch, weights, back = random_draws(4, 8, 6)
    f = {"linear": tf.identity, "tanh": tf.tanh, "sigmoid": tf.sigmoid, "relu": tf.nn.relu}[activation]
    x = tf.constant(batch)
    with tf.GradientTape() as tape:
        tape.watch(x)
        a = x
        for W in weights:
            a = f(a @ tf.constant(W * 1.3 / np.sqrt(8)))
        total = tf.reduce_sum(a * back)
    slope = tape.gradient(total, x).numpy()
    p = propagate(activation, 1.3, 6, 8, 4)
    np.testing.assert_allclose(p.layers[-1], a.numpy(), atol=1e-12)
    np.testing.assert_allclose(p.gradient[0], np.sqrt(np.mean(slope**2)), rtol=1e-9)


def test_what_the_figure_is_to_show():
    # averaged over networks, a linear layer multiplies the mean square by the scale squared, a ReLU by half of it
    for activation, scale in (("linear", 1.0), ("relu", np.sqrt(2))):
        ratios = [propagate(activation, scale, 1, 64, s).activations for s in range(40)]
        assert np.mean([(b / a) ** 2 for a, b in ratios]) == pytest.approx(1, abs=0.03)
    linear = propagate("linear", 0.5, 20)
    np.testing.assert_allclose(
        linear.activations / propagate("linear", 1.0, 20).activations, 0.5 ** np.arange(21)
    )
    small, large = propagate("tanh", 0.5, 20), propagate("tanh", 3.0, 20)
    assert small.activations[-1] < 1e-4 and small.gradient[0] < 1e-4
    assert large.activations[-1] > 0.7 and large.gradient[0] > 100
    sigmoid = propagate("sigmoid", 1.0, 20)
    assert 0.3 < sigmoid.activations[-1] < 0.7 and sigmoid.differences[-1] < 1e-8


def test_columns():
    assert SCALES[12] == 1 and SCALES[15] == pytest.approx(np.sqrt(2)) and SCALES[0] == 0.25
    assert [nearest_column(s) for s in (0.2, 0.25, 1.02, 1.4142, 3.5)] == [0, 0, 12, 15, 22]
    assert SignalPropagation(scale=1.05).scale == 1.0


@pytest.mark.parametrize(
    "options", [{}, {"activation": "relu", "scale": 1.4142, "view": "gradient"}, {"depth": 40, "scale": 0.3}]
)
def test_preview_and_description(options):
    widget = SignalPropagation(**options)
    picture = widget.preview()
    ElementTree.fromstring(picture)
    p = widget.passage()
    if p.activations[-1] > 0.001:
        assert f"{p.activations[-1]:.3g} at the end" in widget.description
        assert f"activations {p.activations[-1]:.3g}" in picture
    assert f"{widget.depth} layers of 64 units" in widget.description
    assert "Xavier" in picture and "He √2" in picture and len(picture.encode()) < 20_000


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"depth": 3}, "a depth from 4 to 40, not 3"),
        ({"depth": 20.0}, "a depth from 4 to 40"),
        ({"activation": "gelu"}, "no activation 'gelu'; choose one of: linear"),
        ({"scale": 4}, "a weight scale from 0.2 to 3.5, not 4"),
        ({"scale": "he"}, "a number for the weight scale, not 'he'"),
        ({"scale": float("nan")}, "a weight scale from"),
        ({"width": 256}, "a width from 8 to 128"),
        ({"seed": -1}, "a seed from 0"),
        ({"view": "weights"}, "no view 'weights'"),
        ({"layer": 21}, "a layer from 0 to 20, not 21"),
    ],
)
def test_wrong_options_are_one_sentence(options, message):
    with pytest.raises(ValueError, match=message):
        SignalPropagation(**options)


def test_wrong_assignments_too():
    widget = SignalPropagation()
    for name, value in [("depth", 50), ("scale", 9.0), ("activation", "elu"), ("view", ""), ("seed", -2)]:
        with pytest.raises(ValueError):
            setattr(widget, name, value)


# ---- in the browser ----


def ready(page):
    page.until("return document.querySelector('.cx').dataset.ready === 'true'")
    page.settle()


def choose(page, value):
    page.choose(page.one(".cx select"), value)
    ready(page)


def cells(page):
    """Fill of every cell as numbers, (columns, layers, 3)."""
    fills = page.js(
        "return [...document.querySelector('.cx-stage svg g').children]"
        ".map((r) => r.getAttribute('fill').match(/\\d+/g).map(Number))"
    )
    return np.array(fills).reshape(len(SCALES), -1, 3)


def test_browser_computes_the_same_numbers(open_page):
    page = open_page(SignalPropagation())
    np.testing.assert_allclose(page.js("return host.modules[0].math.scales"), SCALES, rtol=1e-14)
    for s in (0.2, 0.7, 1.0, 1.4142, 3.0, 3.5):
        assert page.js("return host.modules[0].math.column(arguments[0])", s) == nearest_column(s)
    for seed, width, depth in [(0, 64, 3), (2**31 - 1, 8, 4)]:
        got = page.js(
            "return host.modules[0].math.draws(arguments[0])", {"seed": seed, "width": width, "depth": depth}
        )
        batch, weights, back = random_draws(seed, width, depth)
        np.testing.assert_allclose(got["batch"], batch.ravel(), rtol=1e-12, atol=1e-14)
        np.testing.assert_allclose(got["last"], weights[-1].ravel(), rtol=1e-12, atol=1e-14)
        np.testing.assert_allclose(got["back"], back.ravel(), rtol=1e-12, atol=1e-14)
    for network in NETWORKS:
        names = ("activation", "scale", "depth", "width", "seed")
        got = page.js("return host.modules[0].math.run(arguments[0])", dict(zip(names, network, strict=True)))
        p = propagate(*network)
        np.testing.assert_allclose(got["activations"], p.activations, rtol=1e-9)
        np.testing.assert_allclose(got["gradient"], p.gradient, rtol=1e-9)
        np.testing.assert_allclose(got["differences"], p.differences, rtol=1e-6, atol=1e-16)
        np.testing.assert_allclose(got["last"], p.layers[-1].ravel(), rtol=1e-6, atol=1e-9)
        low, high = {"linear": (-4, 4), "tanh": (-1, 1), "sigmoid": (0, 1), "relu": (0, 4)}[network[0]]
        counts, _ = np.histogram(np.clip(p.layers[-1], low, high), 40, (low, high))
        np.testing.assert_allclose(got["histogram"], counts / p.layers[-1].size, atol=2.1 / p.layers[-1].size)
        if network[0] == "relu":
            assert got["quiet"] == pytest.approx(np.mean(p.layers[-1] == 0))


def test_colours_table_and_words(open_page):
    page = open_page(SignalPropagation(activation="linear"))
    ready(page)
    fills = cells(page)
    assert fills.shape == (23, 21, 3)
    plot, blue, orange = [255, 255, 255], [0, 114, 192], [223, 154, 0]
    assert list(fills[0, 20]) == blue and list(fills[22, 20]) == orange
    assert np.abs(fills[12] - plot).max() < 60  # scale 1 keeps the size
    share = (np.log10(propagate("linear", float(SCALES[9]), 20).activations[10]) / -4) ** 0.8
    np.testing.assert_allclose(fills[9, 10], np.array(plot) + share * (np.array(blue) - plot), atol=1)
    p = propagate("linear", 1.0, 20)
    row = [c.text for c in page.all(".sp-table tbody tr")[0].find_elements("css selector", "td")]
    assert row == [f"{p.activations[0]:.2f}", f"{p.activations[20]:.2f}",
                   f"×{(p.activations[20] / p.activations[0]) ** (1 / 20):.2f}"]  # fmt: skip
    assert "within a factor of 100" in page.one(".sp-verdict").text
    choose(page, "sigmoid")
    assert "can no longer be told apart" in page.one(".sp-verdict").text
    assert (
        "The gradient vanishes" in page.one(".sp-verdict").text
        or "the gradient vanishes" in page.one(".sp-verdict").text
    )
    page.radio("differences")
    assert list(cells(page)[12, 20]) == blue
    page.radio("gradient")
    assert page.get("view") == "gradient" and list(cells(page)[12, 0]) == blue
    assert list(cells(page)[12, 20]) != blue
    choose(page, "tanh")
    page.set("scale", float(SCALES[22]))
    assert page.one(".sp-verdict").text == "The gradient explodes."
    page.set("scale", 0.25)
    assert page.one(".sp-verdict").text == "The activations vanish, and the gradient vanishes."


def test_cells_are_chosen_by_keys_and_pointer(open_page):
    page = open_page(SignalPropagation())
    ready(page)
    cursor = page.one("[data-cx-handle]")
    page.focus(cursor)
    page.keys(RIGHT, RIGHT, RIGHT, UP)
    assert page.get("scale") == pytest.approx(np.sqrt(2)) and page.get("layer") == 19
    assert "weight scale 1.41 (He), layer 19 of 20" in cursor.get_attribute("aria-valuetext")
    p = propagate("tanh", np.sqrt(2), 20)
    assert f"{p.activations[19]:.2f}" in cursor.get_attribute("aria-valuetext")
    page.until(
        "return document.querySelector('[role=status]').textContent.includes('weight scale 1.41 (He)')"
    )
    page.keys(HOME, LEFT, DOWN)
    assert page.get("layer") == 1 and "layer 1" in [t.text for t in page.all(".sp-here")]
    page.keys(*[LEFT] * 30)
    assert page.get("scale") == 0.25
    page.keys(END)
    assert page.get("layer") == 20
    box = page.one(".sp-area").rect
    page.click_at(page.one(".sp-area"), box["width"] / 2 - 4, -box["height"] / 2 + 4)
    assert page.get("scale") == pytest.approx(SCALES[22]) and page.get("layer") == 0
    assert page.js("return host.saves[0]") > 0


def test_depth_new_weights_and_reset(open_page):
    page = open_page(SignalPropagation(12))
    ready(page)
    before = cells(page)
    slider = page.one(".cx input[type=range]")
    page.js("arguments[0].value = 30; arguments[0].dispatchEvent(new Event('input'))", slider)
    ready(page)
    assert page.get("depth") == 30 and page.get("layer") == 30 and cells(page).shape[1] == 31
    np.testing.assert_array_equal(cells(page)[:, :13], before)  # the same layers, more of them
    page.click(page.button("New weights"))
    ready(page)
    assert page.get("seed") == 1 and (cells(page)[:, :13] != before).any()
    page.click(page.button("Reset"))
    ready(page)
    assert page.get("depth") == 12 and page.get("seed") == 0 and page.get("layer") == 12
    np.testing.assert_array_equal(cells(page), before)


@pytest.mark.parametrize("theme", ["book-light", "book-dark"])
@pytest.mark.parametrize("width", [860, 344])
def test_themes_and_widths(open_page, theme, width):
    page = open_page(SignalPropagation(40, "relu", 3.0, view="gradient", layer=7), theme=theme, width=width)
    ready(page)
    assert page.audit() == []
    for drawing in page.all(".cx-stage > svg, .cx-panel > svg"):
        assert drawing.rect["width"] <= width
        outside = page.js(
            "const box = arguments[0].getBoundingClientRect();"
            "return [...arguments[0].querySelectorAll('text')].filter((t) => {"
            "const r = t.getBoundingClientRect();"
            "return r.left < box.left - 0.5 || r.right > box.right + 0.5; }).map((t) => t.textContent)",
            drawing,
        )
        assert outside == []
    # vanishing, neutral and exploding stay far apart in either theme
    fills = cells(page)
    assert np.abs(fills[0, 0] - fills[22, 0]).sum() > 200
    assert np.abs(fills[0, 0] - fills[0, 40]).sum() > 150


def test_a_change_of_theme_recolours(open_page):
    page = open_page(SignalPropagation())
    ready(page)
    before = cells(page)
    page.js("document.documentElement.dataset.theme = 'dark'")
    page.settle()
    assert (cells(page) != before).any()
    page.js("document.documentElement.dataset.theme = 'light'")


def test_disposing_takes_everything_away(open_page):
    page = open_page(SignalPropagation(40))
    page.js("host.disposers[0]()")
    assert not page.all(".cx") and all(not h for h in page.js("return host.models[0].handlers").values())
