"""The viewer of positional encodings: its mathematics, and its figure in a real browser."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import numpy as np
import pytest

from course_utils.explorables import PositionalEncodingViewer
from course_utils.explorables.positional_encoding_viewer import (
    KINDS,
    contents,
    diagonal_spread,
    learned,
    rotated,
    similarities,
    sinusoids,
    speeds,
    vectors,
)

UP, DOWN, LEFT, RIGHT, HOME, END = "\ue013", "\ue015", "\ue012", "\ue014", "\ue011", "\ue010"


# ---- without a browser ----


def test_sines_by_their_formula():
    rows = sinusoids(20, 6, 100.0)
    for t in (0, 1, 13):
        for i in range(3):
            angle = t / 100 ** (2 * i / 6)
            assert rows[t, 2 * i] == pytest.approx(np.sin(angle))
            assert rows[t, 2 * i + 1] == pytest.approx(np.cos(angle))
    np.testing.assert_allclose(speeds(32)[[0, -1]], [1, 10_000 ** (-30 / 32)])


def test_rotation_is_a_product_with_rotation_matrices():
    query, key = contents(8, 3, same=False)
    assert (query != key).any() and (contents(8, 3)[1] == query).all()
    Q, K = rotated(query, 12, 50.0), rotated(key, 12, 50.0)
    for t in (0, 5, 11):
        turn = np.zeros((8, 8))
        for p, w in enumerate(speeds(8, 50.0)):
            c, s = np.cos(w * t), np.sin(w * t)
            turn[2 * p : 2 * p + 2, 2 * p : 2 * p + 2] = [
                [c, s],
                [-s, c],
            ]  # for rows: a cos - b sin, a sin + b cos
        np.testing.assert_allclose(Q[t], query @ turn)
        np.testing.assert_allclose(K[t], key @ turn)
    pairs = (query[0::2] + 1j * query[1::2])[None] * np.exp(1j * np.arange(12)[:, None] * speeds(8, 50.0))
    np.testing.assert_allclose(Q, np.stack([pairs.real, pairs.imag], -1).reshape(12, 8))


def test_dot_products_see_the_distance_only_where_something_turns():
    lags = np.arange(-39, 40)
    for kind, same in [("sines", True), ("rotary", True), ("rotary", False)]:
        table = similarities(kind, 40, 16, 300.0, 2, same)
        assert max(diagonal_spread(table, k) for k in lags) < 1e-12
    table = similarities("sines", 40, 16, 300.0)
    np.testing.assert_allclose(table[0], np.cos(np.arange(40)[:, None] * speeds(16, 300.0)).sum(axis=1))
    np.testing.assert_allclose(table, table.T)
    other = similarities("rotary", 40, 16, 300.0, 2, False)
    assert np.abs(other - other.T).max() > 0.5  # with two contents the direction matters too
    random = similarities("learned", 40, 16, seed=2)
    assert all(diagonal_spread(random, k) > 0.5 for k in range(-35, 36))
    np.testing.assert_allclose(random, learned(40, 16, 2) @ learned(40, 16, 2).T)
    assert learned(60, 32).std() == pytest.approx(np.sqrt(0.5), rel=0.05)
    with pytest.raises(ValueError, match="no encoding 'fourier'; choose one of: sines, rotary, learned"):
        vectors("fourier", 8, 4)


@pytest.mark.parametrize(
    "options",
    [{}, {"kind": "rotary", "same": False}, {"kind": "learned", "length": 40}, {"length": 8, "dim": 4}],
)
def test_preview_and_description(options):
    widget = PositionalEncodingViewer(**options)
    picture = widget.preview()
    ElementTree.fromstring(picture)
    table = widget.similarities()
    i, j = widget.position, widget.other
    value = f"{abs(table[i, j]):.2f}"
    assert f"{abs(j - i)} apart, is" in widget.description and value in widget.description
    assert ("it is the same for all pairs" in widget.description) == (widget.kind != "learned")
    points = np.array(
        re.findall(r"([\d.]+) ([\d.]+)", re.search(r'd="M([^"]*)" fill="none" stroke="#0072C0"', picture)[1]),
        float,
    )
    assert len(points) == widget.length
    slope = np.polyfit(table[i], points[:, 1], 1)
    np.testing.assert_allclose(np.polyval(slope, table[i]), points[:, 1], atol=0.11)
    assert len(picture.encode()) < 40_000


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"length": 7}, "a length that is a whole number from 8 to 128, not 7"),
        ({"length": 8.5}, "a length that is a whole number"),
        ({"dim": 5}, "a dim that is an even number from 4 to 64, not 5"),
        ({"dim": 66}, "a dim that is an even number"),
        ({"base": 1}, "a base from 2 to 100000, not 1"),
        ({"base": "big"}, "number for a base, not 'big'"),
        ({"base": float("nan")}, "a base from 2"),
        ({"kind": "fourier"}, "no encoding 'fourier'; choose one of: sines, rotary, learned"),
        ({"position": 64}, "a position that is a whole number from 0 to 63, not 64"),
        ({"other": -1}, "another position that is a whole number"),
        ({"pair": 16}, "a pair that is a whole number from 0 to 15"),
        ({"seed": True}, "a seed that is a whole number"),
    ],
)
def test_wrong_options_are_one_sentence(options, message):
    with pytest.raises(ValueError, match=message):
        PositionalEncodingViewer(**options)


def test_wrong_assignments_too():
    widget = PositionalEncodingViewer(8, 4)
    assert widget.pair == 1 and 0 <= widget.position < widget.other < 8
    for name, value in [("kind", "fourier"), ("base", 1.0), ("dim", 7)]:
        with pytest.raises(ValueError):
            setattr(widget, name, value)


# ---- in the browser ----


def check(page, label):
    page.click(next(c for c in page.all(".cx-check") if label in c.text))


def places(page):
    return page.get("position"), page.get("other")


def compared(page):
    return [[cell.text for cell in page.all("th, td", row)] for row in page.all(".pv-compare tbody tr")]


def test_browser_computes_the_same_numbers(open_page):
    page = open_page(PositionalEncodingViewer(8, 4))
    for length, dim, base, seed, same in [
        (64, 32, 10_000.0, 0, True),
        (16, 8, 20.0, 10_000, False),
        (33, 6, 2.0, 5, False),
    ]:
        setting = {"length": length, "dim": dim, "base": base, "seed": seed, "same": same}
        np.testing.assert_allclose(
            page.js("return host.modules[0].math.speeds(...arguments)", dim, base), speeds(dim, base)
        )
        for kind in KINDS:
            got = page.js("return host.modules[0].math.vectors(...arguments)", kind, setting)
            np.testing.assert_allclose(got, vectors(kind, length, dim, base, seed, same), atol=1e-12)
            got = page.js("return host.modules[0].math.similarities(...arguments)", kind, setting)
            table = similarities(kind, length, dim, base, seed, same)
            np.testing.assert_allclose(got, table, atol=1e-11)
            for offset in (-5, 0, 7):
                spread = page.js("return host.modules[0].math.spread(...arguments)", got, offset)
                assert spread == pytest.approx(diagonal_spread(table, offset), abs=1e-11)
    same = page.js("return host.modules[0].math.sameLevel(...arguments)", [5, 3, 1, 2.9, 4, 0], 1)
    assert same == [3, 4]


def test_the_drawing_and_the_words_say_the_numbers(open_page):
    widget = PositionalEncodingViewer(position=12, other=25, pair=3)
    page = open_page(widget)
    table = widget.similarities()
    points = np.array(re.findall(r"([\d.]+) ([\d.]+)", page.one(".pv-curve").get_attribute("d")), dtype=float)
    assert len(points) == 64
    slope = np.polyfit(table[12], points[:, 1], 1)
    np.testing.assert_allclose(np.polyval(slope, table[12]), points[:, 1], atol=0.02)
    assert page.one(".pv-value").text == f"{table[12, 25]:.2f}".replace("-", "−")
    rows = compared(page)
    for kind, row in zip(KINDS, rows, strict=True):
        every = widget.similarities(kind)
        assert row[1] == f"{every[12, 25]:.2f}".replace("-", "−")
        spread = diagonal_spread(every, 13)
        assert row[2] == ("equal" if kind != "learned" else f"differ by {spread:.1f}")
    text = page.one(".pv-verdict").text
    assert "Every pair of places 13 apart has this dot product." in text
    w = speeds(32)[3]
    assert f"turns once in {2 * np.pi / w:.3g} places" in text
    assert f"This pair adds {np.cos(13 * w):.2f} to the dot product".replace("-", "−") in text
    level = table[0, 13]
    also = [int(d) for d in re.findall(r"\d+", page.one(".pv-also").text)]
    assert all(abs(table[0, d] - level) < 0.8 and d != 13 for d in also)
    # the picture of all pairs: a canvas whose pixels are equal along diagonals
    pixels = (
        "const c = arguments[0]; return [...c.getContext('2d').getImageData(0, 0, c.width, c.height).data]"
    )
    square = np.array(page.js(pixels, page.all("canvas")[1])).reshape(64, 64, 4)
    assert all((np.diagonal(square, k) == np.diagonal(square, k)[:, :1]).all() for k in (-20, 0, 13))
    image = np.array(page.js(pixels, page.all("canvas")[0])).reshape(32, 64, 4)
    rows = sinusoids(64, 32)
    assert tuple(image[1, 0][:3]) == (0x00, 0x72, 0xC0) and tuple(image[0, 0][:3]) == (255, 255, 255)
    blue = image[..., 2] > image[..., 0]
    clear = np.abs(rows.T) > 0.1
    np.testing.assert_array_equal(blue[clear], rows.T[clear] > 0)


def test_the_hand_is_the_pair_of_columns(open_page):
    widget = PositionalEncodingViewer(position=5, other=9, pair=1)
    page = open_page(widget)

    def tip():
        x, y, a, b = map(float, re.findall(r"[\d.]+", page.one(".pv-hand.pv-hand-i").get_attribute("d")))
        return np.array([a - x, y - b])

    radius = float(page.one(".pv-face").get_attribute("r"))
    np.testing.assert_allclose(tip() / radius, sinusoids(64, 32)[5, 2:4], atol=1e-4)
    page.radio("rotary")
    pair = rotated(contents(32)[0], 64)[5, 2:4]
    np.testing.assert_allclose(tip() / radius, pair / np.linalg.norm(pair), atol=1e-4)
    page.radio("learned")
    assert "knows no distance" in page.one(".pv-verdict").text
    assert compared(page)[2][0] == "table"


def test_both_places_move_together(open_page):
    page = open_page(PositionalEncodingViewer(position=10, other=20))
    before = compared(page)
    page.slide("Place i", 30)
    assert places(page) == (30, 40)
    after = compared(page)
    assert after[:2] == before[:2] and after[2] != before[2]
    page.slide("Place i", 63)
    assert places(page) == (53, 63)
    check(page, "keeps its distance")
    page.slide("Place i", 63)
    assert places(page) == (63, 63) and page.all(".pv-name-i")[0].text == "i = j"
    page.slide("Place j", 3)
    assert places(page) == (63, 3)
    page.click(page.button("Reset"))
    assert places(page) == (10, 20)
    page.slide("Place i", 0)
    assert places(page) == (0, 10)


def test_pointer_and_keys(open_page):
    page = open_page(PositionalEncodingViewer(position=10, other=20))
    heat, curve, square = page.all(".pv-pad")
    page.focus(heat)
    page.keys(RIGHT, RIGHT, LEFT, DOWN)
    assert places(page) == (11, 21) and page.get("pair") == 3
    assert heat.get_attribute("aria-valuetext") == "place 11, columns 6 and 7"
    page.keys(UP, HOME)
    assert places(page) == (0, 10) and page.get("pair") == 2
    page.focus(curve)
    page.keys(END, LEFT)
    assert places(page) == (0, 62)
    page.focus(square)
    page.keys(DOWN, DOWN, UP, LEFT)
    assert places(page) == (1, 61)
    page.until("return document.querySelector('[role=status]').textContent.includes('Place i 1, place j 61')")
    page.click_at(curve, 0, 0)
    assert page.get("other") == pytest.approx(32, abs=1) and page.get("position") == 1
    page.click_at(square, 0, 0)
    assert places(page) == (pytest.approx(32, abs=1), pytest.approx(32, abs=1))
    page.drag(heat, 60, 0)
    assert page.get("position") > 36 and page.get("pair") in (6, 7, 8)


def test_base_columns_and_contents(open_page):
    page = open_page(PositionalEncodingViewer(pair=15))
    page.slide("Base", 1.3)
    assert page.get("base") == 20 and "20" in next(
        f.text for f in page.all(".cx-field") if f.text.startswith("Base")
    )
    page.slide("Base", 0.3)
    assert page.get("base") == 2
    page.slide("Columns d", 8)
    assert page.get("dim") == 8 and page.get("pair") == 3
    assert page.js("return arguments[0].height", page.all("canvas")[0]) == 8
    assert not [c for c in page.all(".cx-check") if "equal query" in c.text and c.is_displayed()]
    page.radio("rotary")
    check(page, "equal query")
    assert page.get("same") is False and not page.all(".pv-also")
    assert compared(page)[1][2] == "equal"
    page.radio("learned")
    assert not [f for f in page.all(".cx-field") if f.text.startswith("Base") and f.is_displayed()]
    page.click(page.button("Reset"))
    assert (page.get("kind"), page.get("base"), page.get("dim"), page.get("pair")) == (
        "sines",
        10_000,
        32,
        15,
    )


def test_walking(open_page):
    page = open_page(PositionalEncodingViewer(position=50, other=60))
    page.click(page.button("Walk"))
    page.until("return host.models[0].get('position') >= 52")
    assert page.button("Pause")
    page.until("return host.models[0].get('other') === 63")
    page.until("return [...document.querySelectorAll('.cx button')].some((b) => b.textContent === 'Walk')")
    page.click(page.button("Walk"))
    assert page.get("position") < 10
    page.click(page.button("Pause"))
    assert page.button("Walk") and page.get("other") - page.get("position") == 10


def test_calm_reader_walks_by_single_steps(open_page, calm_browser):
    page = open_page(PositionalEncodingViewer(position=50, other=62), driver=calm_browser)
    page.click(page.button("Walk"))
    assert places(page) == (51, 63)
    page.click(page.button("Walk"))
    assert places(page) == (0, 12) and page.button("Walk")


@pytest.mark.parametrize("theme", ["book-light", "book-dark"])
@pytest.mark.parametrize("width", [860, 700, 344])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"kind": "rotary", "length": 128, "position": 127, "other": 126},
        {"kind": "learned", "position": 0, "other": 0},
    ],
)
def test_themes_and_widths(open_page, theme, width, options):
    page = open_page(PositionalEncodingViewer(**options), theme=theme, width=width)
    assert page.audit() == []
    drawing = page.one(".pv-frame > svg")
    assert drawing.rect["width"] <= width
    outside = page.js(
        "const box = arguments[0].getBoundingClientRect();"
        "return [...arguments[0].querySelectorAll('text')].filter((t) => {"
        "const r = t.getBoundingClientRect();"
        "return r.left < box.left - 0.5 || r.right > box.right + 0.5 || r.top < box.top - 2; }).map((t) => t.textContent)",
        drawing,
    )
    assert outside == []
    # the pictures lie under their frames
    for canvas, frame in zip(page.all("canvas"), page.all(".pv-frame-line"), strict=True):
        for side in ("x", "y", "width", "height"):
            assert canvas.rect[side] == pytest.approx(frame.rect[side], abs=1.6)


def test_the_theme_repaints_the_pictures(open_page):
    page = open_page(PositionalEncodingViewer())
    first = "return [...arguments[0].getContext('2d').getImageData(0, 0, 1, 1).data].slice(0, 3)"
    canvas = page.all("canvas")[0]
    light = page.js(first, canvas)  # sin 0 = 0: the ground
    page.js("document.documentElement.dataset.theme = 'dark'")
    page.settle(6)
    assert sum(light) > 700 and sum(page.js(first, canvas)) < 150


def test_disposing_takes_everything_away(open_page):
    page = open_page(PositionalEncodingViewer())
    page.click(page.button("Walk"))
    page.js("host.disposers[0]()")
    assert not page.all(".cx") and all(not h for h in page.js("return host.models[0].handlers").values())
