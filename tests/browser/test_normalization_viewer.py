"""The normalisation viewer: its mathematics against NumPy and Keras, its figure in a real browser."""

from __future__ import annotations

from xml.etree import ElementTree

import numpy as np
import pytest

from course_utils.explorables import NormalizationViewer
from course_utils.explorables.normalization_viewer import (
    EPSILON,
    LIMIT,
    draw_batch,
    moves,
    normalize,
    statistics,
    update,
)

UP, DOWN, LEFT, RIGHT, HOME, END, PAGE_DOWN, DELETE, SHIFT = (
    "\ue013", "\ue015", "\ue012", "\ue014", "\ue011", "\ue010", "\ue00f", "\ue017", "\ue008",
)  # fmt: skip
GAMMA, BETA = [1.5, -0.5, 0.0, 2.0], [0.3, 0.0, -1.2, 1.0]


# ---- without a browser ----


def test_the_batches():
    x = draw_batch(4, 3, 7)
    assert x.shape == (8, 4) and np.abs(x).max() <= LIMIT
    np.testing.assert_allclose(x, np.round(x, 1))
    assert not np.array_equal(x, draw_batch(4, 3, 8)) and not np.array_equal(x, draw_batch(4, 4, 7))
    many = np.concatenate([draw_batch(4, 3, k) for k in range(200)])
    assert np.ptp(many.mean(0)) > 0.3  # features differ; the batches of a seed are of one kind
    np.testing.assert_allclose(many[:800].mean(0), many[800:].mean(0), atol=0.3)


@pytest.mark.parametrize("method", ["batch", "layer"])
def test_normalize_is_the_layer_of_keras(method):
    import keras

    x = draw_batch(4, 1)[:6]
    layer = keras.layers.BatchNormalization() if method == "batch" else keras.layers.LayerNormalization()
    assert layer.epsilon == EPSILON
    layer.build((None, 4))
    extra = [np.array([0.5, -1, 0, 2]), np.array([1, 2, 0.5, 3])] if method == "batch" else []
    layer.set_weights([np.array(GAMMA), np.array(BETA), *extra])
    at_inference = np.asarray(layer(x, training=False))
    in_training = np.asarray(layer(x, training=True))
    np.testing.assert_allclose(normalize(x, method, GAMMA, BETA), in_training, atol=2e-5)
    running = tuple(extra) if extra else None
    np.testing.assert_allclose(normalize(x, method, GAMMA, BETA, running), at_inference, atol=2e-5)
    if method == "layer":
        np.testing.assert_allclose(at_inference, in_training)


def test_running_statistics_are_those_of_keras():
    import keras

    layer = keras.layers.BatchNormalization(momentum=0.8)
    layer.build((None, 3))
    running = (np.zeros(3), np.ones(3))
    for index in range(5):
        x = draw_batch(3, 2, index)[:5]
        layer(x, training=True)
        running = update(running, x, 0.8)
    np.testing.assert_allclose(running[0], np.asarray(layer.moving_mean), atol=1e-5)
    np.testing.assert_allclose(running[1], np.asarray(layer.moving_variance), atol=1e-5)


def test_who_answers_to_whom():
    x = draw_batch(4, 0)[:6]
    column, row = np.zeros((6, 4), bool), np.zeros((6, 4), bool)
    column[:, 2] = row[1] = True
    for method, running, wanted in [
        ("batch", None, column),
        ("layer", None, row),
        ("batch", (np.zeros(4), np.ones(4)), column & row),
    ]:
        np.testing.assert_array_equal(moves(x, (1, 2), method, running=running) != 0, wanted)
    assert not moves(x[:1], (0, 2), "batch").any()
    np.testing.assert_array_equal(normalize(x[:1], "batch", GAMMA, BETA), [BETA])
    np.testing.assert_allclose(
        normalize(x[:1], "layer", GAMMA, BETA), normalize(x, "layer", GAMMA, BETA)[:1]
    )  # one example is enough


@pytest.mark.parametrize(
    "options", [{}, {"method": "layer", "features": 5}, {"mode": "inference"}, {"examples": 1, "features": 2}]
)
def test_preview_and_description(options):
    widget = NormalizationViewer(**options)
    picture = widget.preview()
    ElementTree.fromstring(picture)
    y, answers = widget.outputs(), widget.moves()
    i, j = widget.cell
    assert f">{y[i, j]:.2f}<".replace("-", "−") in picture
    count = int((answers != 0).sum())
    assert picture.count('stroke-width="2.4"') == count
    assert f"{count} of the {y.size} outputs move" in widget.description
    assert f"{y[i, j]:.2f} after" in widget.description.replace("−", "-").replace("-0.00", "0.00")
    assert len(picture.encode()) < 20_000
    assert NormalizationViewer(**options).preview() == picture


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"examples": 0}, "whole number as examples from 1 to 8, not 0"),
        ({"examples": 9}, "examples from 1 to 8"),
        ({"features": 6}, "features from 2 to 5, not 6"),
        ({"features": 3.0}, "whole number as features"),
        ({"seed": -1}, "the seed from 0 to 9999"),
        ({"method": "group"}, "a method out of batch, layer, not 'group'"),
        ({"mode": "test"}, "a mode out of training, inference"),
        ({"momentum": 1.0}, "a momentum from 0 to 0.99, not 1.0"),
        ({"momentum": "slow"}, "number for a momentum, not 'slow'"),
        ({"gamma": [1, 2]}, "4 gamma from -3 to 3"),
        ({"values": [[0.0]]}, "8 x 4 values from -6 to 6"),
        ({"running_variance": [-1.0, 1, 1, 1]}, "4 running variance from 0 to 36"),
        ({"beta": ["a"] * 4}, "beta that are numbers"),
        ({"cell": [0, 4]}, "the cell's feature from 0 to 3"),
    ],
)
def test_wrong_options_are_one_sentence(options, message):
    with pytest.raises(ValueError, match=message):
        NormalizationViewer(**options)


def test_wrong_assignments_too():
    widget = NormalizationViewer()
    for name, value in [
        ("examples", 9),
        ("method", "x"),
        ("momentum", 2.0),
        ("beta", [9.0] * 4),
        ("cell", [1]),
    ]:
        with pytest.raises(ValueError):
            setattr(widget, name, value)


# ---- in the browser ----


def shown(page, css):
    texts = page.js(
        "return [...document.querySelectorAll(arguments[0])].filter((n) => n.getClientRects().length)"
        ".map((n) => n.textContent)",
        css,
    )
    return np.array([float(t.replace("−", "-")) for t in texts])


def outputs(page):
    return shown(page, ".nv-output span").reshape(-1, len(page.get("gamma")))


def moving(page):
    flags = page.js(
        "return [...document.querySelectorAll('.nv-output')].filter((n) => n.getClientRects().length)"
        ".map((n) => n.classList.contains('nv-moves') * ({ '▲': 1, '▼': -1 }[n.lastChild.textContent] || 0))"
    )
    return np.array(flags).reshape(-1, len(page.get("gamma")))


def cell(page, i, j):
    return page.all(".nv-input")[i * len(page.get("gamma")) + j]


def twin(page):
    """A Python widget in the state the browser shows."""
    names = [
        "examples", "features", "seed", "method", "mode", "momentum", "values", "gamma", "beta", "running_mean",
        "running_variance", "batch", "cell",
    ]  # fmt: skip
    return NormalizationViewer(**{name: page.get(name) for name in names})


def agrees(page):
    widget = twin(page)
    np.testing.assert_allclose(outputs(page), widget.outputs(), atol=0.0051)
    np.testing.assert_array_equal(moving(page), widget.moves())
    return widget


def test_browser_computes_the_same_numbers(open_page):
    page = open_page(NormalizationViewer())

    def math(name, *arguments):
        return page.js(
            "return host.modules[0].math[arguments[0]](...[...arguments].slice(1))", name, *arguments
        )

    for features, seed, index in [(2, 0, 0), (4, 3, 12), (5, 9999, 500)]:
        np.testing.assert_array_equal(math("batch", features, seed, index), draw_batch(features, seed, index))
    running = ([0.5, -1.0, 0.0, 2.0], [1.0, 2.0, 0.5, 3.0])
    for n in (1, 2, 6, 8):
        x = draw_batch(4, 5)[:n]
        for method in ("batch", "layer"):
            np.testing.assert_allclose(
                math("statistics", x.tolist(), method), statistics(x, method), atol=1e-13
            )
            for stored in (None, running):
                rest = (method, GAMMA, BETA, stored)
                got = math("normalize", x.tolist(), *rest)
                np.testing.assert_allclose(got, normalize(x, *rest), atol=1e-10)
                np.testing.assert_array_equal(
                    math("moves", x.tolist(), [n - 1, 3], *rest), moves(x, (n - 1, 3), *rest)
                )
        np.testing.assert_allclose(
            math("update", running, x.tolist(), 0.9), update(running, x, 0.9), atol=1e-13
        )


def test_the_drawing_says_the_numbers(open_page):
    page = open_page(NormalizationViewer(7, 3, 2, gamma=[1.0, 2.0, -1.0], beta=[0.0, 0.5, 1.0]))
    widget = agrees(page)
    np.testing.assert_allclose(shown(page, ".nv-input").reshape(7, 3), widget.inputs())
    own = shown(page, ".nv-before .nv-stat.nv-own").reshape(2, 3)
    np.testing.assert_allclose(own, statistics(widget.inputs(), "batch"), atol=0.0051)
    np.testing.assert_array_equal(shown(page, ".nv-run.nv-stat").reshape(2, 3), [[0] * 3, [1] * 3])
    assert (moving(page) != 0).sum() == 7 and len(page.all(".nv-shares")) == 7
    assert "over the 7 examples" in page.one(".nv-verdict").text
    page.radio("layer")
    widget = agrees(page)
    sides = shown(page, ".nv-stat.nv-side").reshape(7, 2)
    np.testing.assert_allclose(sides.T, statistics(widget.inputs(), "layer"), atol=0.0051)
    assert not shown(page, ".nv-run.nv-stat").size and len(page.all(".nv-shares")) == 3
    assert (
        np.flatnonzero(moving(page).any(1)).tolist() == [1]
        and "its own 3 features" in page.one(".nv-verdict").text
    )
    spoken = page.js("return document.querySelector('.nv-after .cx-hidden').textContent").replace("−", "-")
    assert f"{widget.outputs()[6, 2]:.2f}." in spoken


def test_values_are_dragged_and_keyed(open_page):
    page = open_page(NormalizationViewer())
    x = draw_batch(4, 0)
    page.drag(cell(page, 3, 0), 0, -40)
    assert page.get("values")[3][0] == pytest.approx(x[3, 0] + 2, abs=0.11)
    assert page.get("cell") == [3, 0] and page.js("return host.saves[0]") >= 1
    agrees(page)
    page.focus(cell(page, 1, 1))
    page.keys(UP, UP, DOWN)
    assert page.get("values")[1][1] == pytest.approx(x[1, 1] + 0.1)
    assert cell(page, 1, 1).get_attribute("aria-valuenow") == f"{x[1, 1] + 0.1:.1f}"
    page.keys(RIGHT, RIGHT, RIGHT)
    assert page.get("cell") == [2, 0]  # on to the next row
    page.keys(END, PAGE_DOWN, LEFT)
    assert page.get("cell") == [3, 2]
    assert page.js("return document.activeElement === arguments[0]", cell(page, 3, 2))
    page.keys(DELETE)
    assert page.get("values")[3][2] == 0
    page.keys(*[DOWN] * 65)
    assert page.get("values")[3][2] == -6
    page.keys(HOME, LEFT)
    assert page.get("cell") == [2, 3]
    assert [c.get_attribute("tabindex") for c in page.all(".nv-input")].count("0") == 1
    agrees(page)
    page.until("return document.querySelector('[role=status]').textContent.includes('Example 3, feature 4')")
    page.click(page.button("Reset"))
    np.testing.assert_allclose(page.get("values"), x)


def test_a_batch_of_one(open_page):
    page = open_page(NormalizationViewer(cell=[4, 2]))
    page.slide("β of feature 3", 1.5)
    page.slide("Batch size", 1)
    assert page.get("examples") == 1 and page.get("cell") == [0, 2]
    np.testing.assert_array_equal(outputs(page), [[0, 0, 1.5, 0]])
    assert not moving(page).any() and "every output is β" in page.one(".nv-verdict").text
    page.radio("layer")
    assert (moving(page) != 0).all()
    agrees(page)
    page.slide("Batch size", 8)
    assert agrees(page).inputs().shape == (8, 4)


def test_training_moves_the_running_statistics(open_page):
    page = open_page(NormalizationViewer(5, 3, 4))
    running = (np.zeros(3), np.ones(3))
    page.focus(cell(page, 0, 0))
    page.keys(UP)
    first = np.array(page.get("values"))[:5]
    page.click(page.button("Next batch"))
    running = update(running, first, 0.9)
    np.testing.assert_allclose([page.get("running_mean"), page.get("running_variance")], running)
    np.testing.assert_allclose(page.get("values"), draw_batch(3, 4, 1))
    page.slide("Momentum", 0.5)
    page.click(page.button("10 batches"))
    for index in range(1, 11):
        running = update(running, draw_batch(3, 4, index)[:5], 0.5)
    np.testing.assert_allclose([page.get("running_mean"), page.get("running_variance")], running)
    assert page.get("batch") == 11
    page.radio("inference")
    agrees(page)
    assert (moving(page) != 0).sum() == 1 and len(page.all(".nv-shares")) == 0
    page.click(page.button("Next batch"))
    np.testing.assert_allclose([page.get("running_mean"), page.get("running_variance")], running)
    page.radio("layer")
    page.radio("training")
    page.click(page.button("Next batch"))
    np.testing.assert_allclose(page.get("running_mean"), running[0])
    page.click(page.button("Reset"))
    assert page.get("batch") == 0 and page.get("running_mean") == [0, 0, 0] and page.get("momentum") == 0.9


def test_gamma_and_beta_belong_to_the_feature(open_page):
    page = open_page(NormalizationViewer())
    page.focus(cell(page, 0, 3))
    page.settle()
    page.slide("γ of feature 4", 0)
    page.slide("β of feature 4", -1.2)
    assert page.get("gamma") == [1, 1, 1, 0] and page.get("beta") == [0, 0, 0, -1.2]
    np.testing.assert_array_equal(outputs(page)[:, 3], [-1.2] * 6)
    assert not moving(page).any() and "no output moves" in page.one(".nv-verdict").text
    page.radio("layer")
    np.testing.assert_array_equal(outputs(page)[:, 3], [-1.2] * 6)
    assert (moving(page) != 0).sum() == 3  # its neighbours still answer
    agrees(page)


@pytest.mark.parametrize("theme", ["book-light", "book-dark"])
@pytest.mark.parametrize("width", [860, 700, 344])
@pytest.mark.parametrize("method", ["batch", "layer"])
def test_themes_and_widths(open_page, theme, width, method):
    page = open_page(NormalizationViewer(8, 5, 3, method=method), theme=theme, width=width)
    assert page.audit() == []
    crowded = page.js(
        """
        const range = document.createRange();
        const wide = (node) => { range.selectNodeContents(node); return range.getBoundingClientRect().width; };
        return [...document.querySelectorAll(".nv-input, .nv-output span, .nv-stat, .nv-row")]
          .filter((n) => n.getClientRects().length && wide(n) > (n.closest(".nv-cell") || n).getBoundingClientRect().width)
          .map((n) => n.textContent);
        """
    )
    assert crowded == []
    tops = [b.rect["y"] for b in page.all(".nv-block")]
    assert (tops[0] == tops[1]) == (width > 600)


@pytest.mark.parametrize("theme", ["book-light", "book-dark"])
def test_numbers_stand_out_from_their_cells(open_page, theme):
    widget = NormalizationViewer(values=np.linspace(-6, 6, 32).reshape(8, 4).tolist(), gamma=[3.0] * 4)
    page = open_page(widget, theme=theme)
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
        return Math.min(...[...document.querySelectorAll(".nv-cell:not([hidden])")].map((cell) => {
          const style = getComputedStyle(cell);
          const [a, b] = [light(style.backgroundColor), light(style.color)];
          return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
        }));
        """
    )
    assert worst >= 4.5


def test_disposing_takes_everything_away(open_page):
    page = open_page(NormalizationViewer())
    page.js("host.disposers[0]()")
    assert not page.all(".cx") and all(not h for h in page.js("return host.models[0].handlers").values())
