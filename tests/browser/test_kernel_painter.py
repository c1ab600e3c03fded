"""The kernel painter: its mathematics against Keras, its figure in a real browser."""

from __future__ import annotations

import json
import re
from xml.etree import ElementTree

import numpy as np
import pytest

from course_utils.explorables import KernelPainter
from course_utils.explorables.kernel_painter import (
    PRESETS,
    convolve,
    output_size,
    pad_widths,
    shown_as,
    window,
)

UP, DOWN, RIGHT, END, ENTER = "\ue013", "\ue015", "\ue014", "\ue010", "\ue007"
GEOMETRIES = [
    (1, "valid", 1), (1, "same", 1), (2, "valid", 1), (2, "same", 1), (3, "same", 1), (4, "valid", 1),
    (1, "valid", 2), (1, "same", 3), (1, "same", 4), (2, "same", 2),
]  # fmt: skip


def _images():
    rng = np.random.default_rng(5)
    return [rng.random((12, 12)), rng.random((13, 18)), rng.random((20, 17))]


# ---- without a browser ----


def test_convolution_is_keras_own():
    import keras

    rng = np.random.default_rng(1)
    for image in _images():
        for size in (3, 5):
            kernel = rng.normal(size=(size, size))
            for stride, padding, dilation in GEOMETRIES:
                if stride > 1 and dilation > 1:
                    continue
                got = convolve(image, kernel, stride, padding, dilation)
                assert got.shape == tuple(
                    output_size(n, size, stride, padding, dilation) for n in image.shape
                )
                if not got.size:
                    continue
                want = keras.ops.conv(
                    image[None, :, :, None].astype("float32"),
                    kernel[:, :, None, None].astype("float32"),
                    strides=stride,
                    padding=padding,
                    dilation_rate=dilation,
                )
                np.testing.assert_allclose(got, np.asarray(want)[0, :, :, 0], atol=2e-5)


def test_keras_takes_a_stride_or_a_dilation():
    import keras

    with pytest.raises(ValueError, match="dilation"):
        keras.layers.Conv2D(1, 3, strides=2, dilation_rate=2)


@pytest.mark.parametrize("geometry", GEOMETRIES, ids=str)
def test_every_output_is_the_sum_of_its_products(geometry):
    kernel = np.random.default_rng(2).normal(size=(3, 3))
    for image in _images():
        Z = convolve(image, kernel, *geometry)
        for i, j in [(0, 0), (Z.shape[0] - 1, Z.shape[1] - 1), (Z.shape[0] // 2, 0)]:
            assert (window(image, 3, (i, j), *geometry) * kernel).sum() == pytest.approx(Z[i, j])


def test_sizes():
    assert (
        output_size(48, 3) == 46
        and output_size(48, 3, 2, 1) == 24
        and output_size(48, 5, 1, "valid", 2) == 40
    )
    assert output_size(7, 5, 1, "valid", 2) == 0
    for n in range(5, 40):
        for k in (3, 5):
            for s in (1, 2, 3, 4):
                assert output_size(n, k, s, "same") == -(-n // s)
                before, after = pad_widths(n, k, s, "same")
                assert 0 <= after - before <= 1
                # p zeros on each side give the same size, and for stride 1 they are the same zeros
                assert output_size(n, k, s, (k - 1) // 2) == output_size(n, k, s, "same")
    assert pad_widths(48, 3, 2, "same") == (0, 1) and pad_widths(48, 3, 1, "same") == (1, 1)
    with pytest.raises(ValueError, match='"valid" or "same"'):
        output_size(9, 3, 1, "full")


def test_filters():
    flat = np.full((9, 9), 0.4)
    total = {name: {k: np.sum(rows) for k, rows in sizes.items()} for name, sizes in PRESETS.items()}
    for name in ("vertical edge", "horizontal edge", "Laplacian", "outline"):
        for k in (3, 5):
            np.testing.assert_allclose(convolve(flat, PRESETS[name][k]), 0, atol=1e-12)
            assert shown_as(PRESETS[name][k]) == "signed"
    for name in ("identity", "box blur", "Gaussian blur", "sharpen", "emboss"):
        for k in (3, 5):
            assert total[name][k] == pytest.approx(1) and shown_as(PRESETS[name][k]) == "picture"
    ramp = np.tile(np.linspace(0, 1, 9), (9, 1))  # brighter to the right
    for k in (3, 5):
        assert np.shape(PRESETS["sharpen"][k]) == (k, k)
        assert (convolve(ramp, PRESETS["vertical edge"][k]) > 0).all()
        np.testing.assert_allclose(convolve(ramp, PRESETS["horizontal edge"][k]), 0, atol=1e-12)
        np.testing.assert_allclose(
            convolve(ramp.T, PRESETS["horizontal edge"][k]), convolve(ramp, PRESETS["vertical edge"][k]).T
        )
        np.testing.assert_allclose(convolve(ramp, PRESETS["identity"][k], padding="same"), ramp)
    assert np.min(PRESETS["vertical edge"][3]) == -2 and PRESETS["Gaussian blur"][5][2][2] == 36 / 256


@pytest.mark.parametrize("image", ["photo", "shape", "stripes"])
@pytest.mark.parametrize("kernel", ["sharpen", "outline"])
def test_preview_and_description(image, kernel):
    widget = KernelPainter(image, kernel, 2, "same", size=5)
    picture = widget.preview()
    ElementTree.fromstring(picture)
    assert len(picture.encode()) < 30_000
    assert len(json.dumps(widget.images)) < 30_000
    Z, (i, j) = widget.output(), widget.place
    assert f"output, {Z.shape[0]} × {Z.shape[1]}" in picture and Z.shape == tuple(
        n // 2 for n in widget.pixels().shape
    )
    here = re.search(r"here: (\S+)</text>", picture)[1].replace("−", "-")
    assert float(here) == pytest.approx(Z[i, j], abs=0.006)
    assert f"output has {Z.shape[0]} by {Z.shape[1]} values" in widget.description
    assert f"products sum to {Z[i, j]:.2f}" in widget.description
    assert ("cut at 0 and 1" if kernel == "sharpen" else "orange below zero") in widget.description


def test_own_arrays_are_kept_with_eight_bits():
    image = np.random.default_rng(0).random((10, 24))
    widget = KernelPainter(image, np.eye(3), view="grey", place=(1, 2))
    assert widget.image == "own" and widget.kernel == np.eye(3).tolist() and widget.place == [1, 2]
    assert np.abs(widget.pixels() - image).max() <= 0.5 / 255 + 1e-12
    assert "zero in the middle" in widget.description and "dark below 0" in widget.preview()
    widget.padding = "same"
    assert widget.output().shape == (10, 24)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kernel": "vertical"}, "no filter 'vertical'; choose one of: identity"),
        ({"kernel": np.zeros((4, 4))}, r"shape \(3, 3\) or \(5, 5\), not \(4, 4\)"),
        ({"kernel": [["a"] * 3] * 3}, "filter of numbers"),
        ({"kernel": np.full((3, 3), 31)}, "weights between -30 and 30"),
        ({"kernel": np.full((3, 3), np.nan)}, "weights between -30 and 30"),
        ({"image": "cat"}, "no image 'cat'; choose one of photo, shape, stripes, or give an array"),
        ({"image": np.zeros((8, 8, 3))}, r"shape \(H, W\), not \(8, 8, 3\)"),
        ({"image": np.zeros((8, 65))}, "3 to 64 pixels a side"),
        ({"image": np.full((8, 8), 200)}, "divide 8-bit values by 255"),
        ({"image": [["a"]]}, "image of numbers"),
        ({"stride": 5}, "whole stride from 1 to 4, not 5"),
        ({"dilation": 1.5}, "whole dilation from 1 to 4, not 1.5"),
        ({"padding": "full"}, "not 'full'"),
        ({"view": "colour"}, "no view 'colour'"),
        ({"size": 4}, "size 3 or 5"),
        ({"image": np.zeros((8, 8)), "size": 5, "dilation": 2}, "9 × 9 pixels does not fit into the 8 × 8"),
        ({"place": (46, 0)}, "within the output of 46 × 46"),
    ],
)  # fmt: skip
def test_wrong_options_are_one_sentence(options, message):
    with pytest.raises(ValueError, match=message):
        KernelPainter(**options)


def test_wrong_assignments_too():
    widget = KernelPainter("shape")
    for name, value in [("kernel", [[1]]), ("stride", 9), ("padding", "full"), ("view", "x")]:
        with pytest.raises(ValueError):
            setattr(widget, name, value)


# ---- in the browser ----


def test_browser_computes_the_same_numbers(open_page):
    page = open_page(KernelPainter("shape"))
    presets = page.js("return host.modules[0].math.presets")
    assert page.js("return Object.keys(host.modules[0].math.presets)") == list(PRESETS)
    for name, sizes in PRESETS.items():
        for k, rows in sizes.items():
            np.testing.assert_allclose(presets[name][str(k)], rows, atol=1e-15)
    rng = np.random.default_rng(7)
    for size in (3, 5):
        kernel = rng.normal(size=(size, size))
        got = page.js(
            "const m = host.modules[0].math; const [images, kernel, geometries] = arguments;"
            "return images.map((x) => geometries.map((g) => [m.convolve(x, kernel, ...g),"
            "m.pads(x.length, kernel.length, ...g),"
            "m.outputSize(x[0].length, kernel.length, ...g), m.window(x, kernel.length, [1, 0], ...g)]))",
            [image.tolist() for image in _images()],
            kernel.tolist(),
            GEOMETRIES,
        )
        for image, results in zip(_images(), got, strict=True):
            for geometry, (Z, pads, columns, seen) in zip(GEOMETRIES, results, strict=True):
                wanted = convolve(image, kernel, *geometry)
                np.testing.assert_allclose(np.reshape(Z, wanted.shape), wanted, atol=1e-12)
                assert tuple(pads) == pad_widths(len(image), size, *geometry)
                assert columns == output_size(image.shape[1], size, *geometry)
                if len(wanted) > 1 and wanted.size:
                    np.testing.assert_allclose(seen, window(image, size, (1, 0), *geometry), atol=1e-15)
    parsed = page.js(
        "return ['1/9', '−2', '0,5', '.094', '1e3', '', 'x', '1/0']"
        ".map((t) => String(host.modules[0].math.parse(t)))"
    )
    assert parsed == [str(1 / 9), "-2", "0.5", "0.094", "NaN", "NaN", "NaN", "Infinity"]


def canvas_rgb(page, css, row, column):
    return page.js(
        "return [...document.querySelector(arguments[0]).getContext('2d')"
        ".getImageData(arguments[2], arguments[1], 1, 1).data]",
        css, row, column,
    )  # fmt: skip


def slide(page, index, value):
    page.js(
        "arguments[0].value = arguments[1]; arguments[0].dispatchEvent(new Event('input'));"
        "arguments[0].dispatchEvent(new Event('change'))",
        page.all(".kp-pair input")[index], value,
    )  # fmt: skip
    page.settle()


def test_pictures_arithmetic_and_formula(open_page):
    widget = KernelPainter()
    page = open_page(widget)
    X, Z, (i, j) = widget.pixels(), widget.output(), widget.place
    assert canvas_rgb(page, ".kp-input canvas", 5, 7)[0] == round(255 * X[5, 7])
    strongest = np.unravel_index(np.abs(Z).argmax(), Z.shape)
    assert canvas_rgb(page, ".kp-output canvas", *map(int, strongest)) == [
        0xDF,
        0x9A,
        0x00,
        255,
    ]  # below zero
    text = page.one(".kp-readout").text
    assert text == f"Z[{i}, {j}] = sum of the 9 products = " + f"{Z[i, j]:.2f}".replace("-", "−")
    numbers = [
        [float(cell.text.replace("−", "-")) for cell in page.all(".kp-grid > span", block)]
        for block in page.all(".kp-block")
        if page.all(".kp-grid > span", block)
    ]
    np.testing.assert_allclose(numbers[0], X[i : i + 3, j : j + 3].ravel(), atol=0.0051)
    np.testing.assert_allclose(numbers[1], (X[i : i + 3, j : j + 3] * widget.kernel).ravel(), atol=0.0051)
    assert "⌊(48 + 0 − 1·(3 − 1) − 1)/1⌋ + 1 = 46" in page.one(".kp-formula").text.replace("\n", " ")
    slide(page, 0, 2)
    page.radio("same")
    slide(page, 1, 3)
    formula = page.one(".kp-formula").text.replace("\n", " ")
    assert (
        "⌊(48 + 2 + 3 − 3·(3 − 1) − 1)/2⌋ + 1 = 24" in formula
        and "24·24 places · 3·3 weights = 5\u202f184" in formula
    )
    assert (page.get("stride"), page.get("padding"), page.get("dilation")) == (2, "same", 3)
    note = page.one(".cx-note").text
    assert "odd number of zeros" in note and "not both" in note
    assert page.js(
        "return ['output', 'input'].map((kind) => document.querySelector(`.kp-${kind} canvas`).width)"
    ) == [24, 48]


def test_pointing_and_keys_move_the_window(open_page):
    page = open_page(KernelPainter("shape", place=(3, 3)))
    left, right = page.all(".kp-cover")
    page.click_at(right, 0, 0)
    i, j = page.get("place")
    assert abs(i - 15.5) <= 1 and abs(j - 15.5) <= 1
    page.js(
        "arguments[0].dispatchEvent(new PointerEvent('pointermove',"
        "{pointerType: 'mouse', clientX: 0, clientY: 0}))",
        left,
    )
    page.settle()
    assert page.one(".kp-readout").text.startswith("Z[0, 0]") and page.get("place") == [
        i,
        j,
    ]  # a look, not a choice
    page.js("arguments[0].dispatchEvent(new PointerEvent('pointerleave'))", left)
    page.settle()
    assert page.one(".kp-readout").text.startswith(f"Z[{i}, {j}]")
    page.focus(left)
    page.keys(UP, RIGHT, RIGHT)
    assert page.get("place") == [i - 1, j + 2]
    page.keys(END)
    assert page.get("place") == [i - 1, 29]
    assert f"row {i - 1}, column 29: output" in left.get_attribute("aria-valuetext")
    page.said(f"Row {i - 1}, column 29")


def test_the_filter_is_dragged_typed_painted_and_stepped(open_page):
    page = open_page(KernelPainter("shape", "identity"))
    cells = page.all(".kp-filter input")
    page.drag(cells[0], 0, -24)
    assert page.get("kernel")[0] == [1, 0, 0] and page.js("return host.saves[0]") == 1
    page.click(cells[1])
    assert page.js("return document.activeElement === arguments[0]", cells[1])
    page.keys("1", "/", "4", ENTER)
    assert page.get("kernel")[0][1] == 0.25
    page.keys(DOWN)
    assert page.get("kernel")[0][1] == -0.25 and cells[1].get_attribute("value") == "−0.25"
    page.js(
        "arguments[0].value = '99'; arguments[0].dispatchEvent(new Event('input', {bubbles: true}))", cells[1]
    )
    assert cells[1].get_attribute("aria-invalid") == "true" and page.get("kernel")[0][1] == -0.25
    page.js("arguments[0].dispatchEvent(new Event('change', {bubbles: true}))", cells[1])
    assert cells[1].get_attribute("value") == "−0.25" and not cells[1].get_attribute("aria-invalid")
    page.radio("-1")
    width = cells[6].rect["width"]
    page.drag(cells[6], 2 * width, 0)
    assert page.get("kernel")[2] == [-1, -1, -1]
    np.testing.assert_allclose(
        [float(c.get_attribute("value").replace("−", "-")) for c in cells],
        np.ravel(page.get("kernel")),
        atol=1e-3,
    )
    kernel = page.get("kernel")
    page.radio("5")
    wide = page.get("kernel")
    assert np.shape(wide) == (5, 5) and [row[1:4] for row in wide[1:4]] == kernel and wide[0] == [0] * 5
    page.radio("3")
    assert page.get("kernel") == kernel
    page.click(page.button("Reset"))
    assert page.get("kernel") == PRESETS["identity"][3]
    assert [c.get_attribute("value") for c in page.all(".kp-filter input")] == list("000010000")


def test_presets_images_views_and_reset(open_page):
    widget = KernelPainter("shape")
    page = open_page(widget)
    filters, images, views = page.all(".cx select")
    for k in ("5", "3"):
        page.radio(k)
        assert page.get("kernel") == PRESETS["vertical edge"][int(k)]  # the preset keeps its name
        assert filters.get_attribute("value") == "vertical edge"
    page.choose(filters, "sharpen")
    assert page.get("kernel") == PRESETS["sharpen"][3]
    assert "values beyond 0 and 1 are cut" in page.all(".kp-legend")[1].text
    assert "sum to 1: flat areas keep their grey" in page.one(".cx-note").text
    page.choose(views, "grey")
    assert "dark below 0" in page.all(".kp-legend")[1].text
    Z = widget.pixels()
    zero = convolve(Z, PRESETS["sharpen"][3])
    value = canvas_rgb(page, ".kp-output canvas", 2, 2)[0]
    assert value == pytest.approx(127.5 * (1 + zero[2, 2] / np.abs(zero).max()), abs=1)
    page.choose(images, "stripes")
    assert page.get("image") == "stripes" and canvas_rgb(page, ".kp-input canvas", 0, 2)[0] == 230
    page.click(page.button("Reset"))
    assert (page.get("image"), page.get("view")) == ("shape", "auto")
    assert page.get("kernel") == PRESETS["vertical edge"][3]


def test_painting_on_the_image(open_page):
    page = open_page(KernelPainter(np.full((16, 16), 0.5), "Laplacian"))
    before = page.get("images")["own"]
    page.radio("light")
    cover = page.all(".kp-cover")[0]
    page.drag(cover, 60, 0)
    after = np.array(page.get("images")["own"])
    assert (after != np.array(before)).sum() >= 4 and set(after.ravel()) == {128, 255}
    assert (after == 255).any(axis=1).sum() == 1  # a stroke along one row, without gaps
    Z = convolve(after / 255, PRESETS["Laplacian"][3])
    low = np.unravel_index(Z.argmin(), Z.shape)
    assert canvas_rgb(page, ".kp-output canvas", *map(int, low)) == [
        0xDF,
        0x9A,
        0x00,
        255,
    ]  # orange: below zero
    page.radio("dark")
    page.focus(cover)
    page.keys(ENTER)
    i, j = page.get("place")
    assert page.get("images")["own"][i + 1][j + 1] == 0
    page.click(page.button("Reset"))
    assert page.get("images")["own"] == before


def test_sliding_step_and_pause(open_page):
    page = open_page(KernelPainter(np.eye(12), "outline", 2))
    page.click(page.button("Play"))
    page.until("return [...document.querySelectorAll('.cx button')].some((b) => b.textContent === 'Pause')")
    page.until("return !document.querySelector('.kp-readout').textContent.startsWith('Z[0, 0]')")
    assert canvas_rgb(page, ".kp-output canvas", 4, 4)[3] == 0  # not yet computed
    page.click(page.button("Pause"))
    text = page.one(".kp-readout").text
    page.settle(6)
    assert page.one(".kp-readout").text == text
    page.click(page.button("Play"))
    page.until("return [...document.querySelectorAll('.cx button')].some((b) => b.textContent === 'Play')")
    assert page.get("place") == [4, 4] and canvas_rgb(page, ".kp-output canvas", 4, 4)[3] == 255
    page.click(page.button("Step"))
    assert page.get("place") == [0, 0]
    page.click(page.button("Step"))
    assert page.get("place") == [0, 1]


def test_reduced_motion_adds_a_row_each_time(open_page, calm_browser):
    page = open_page(KernelPainter("shape", stride=4), driver=calm_browser)
    page.click(page.button("Play"))
    assert (
        canvas_rgb(page, ".kp-output canvas", 0, 6)[3] == 255
        and canvas_rgb(page, ".kp-output canvas", 1, 0)[3] == 0
    )
    for _ in range(7):
        page.click(page.button("Play"))
    assert canvas_rgb(page, ".kp-output canvas", 7, 7)[3] == 255 and page.get("place") == [7, 7]


def test_a_window_that_does_not_fit(open_page):
    page = open_page(KernelPainter(np.eye(8), size=5))
    slide(page, 1, 4)
    assert "does not fit" in page.one(".kp-readout").text and "nothing" in page.all(".kp-title")[1].text
    page.click(page.button("Play"))
    page.click(page.button("Step"))
    page.focus(page.all(".kp-cover")[1])
    page.keys(UP)
    slide(page, 1, 1)
    assert page.one(".kp-readout").text.startswith("Z[0, ")


def test_instances_do_not_interfere_and_clean_up(open_page):
    page = open_page(KernelPainter("shape"), KernelPainter("stripes", "outline"))
    page.drag(page.all(".kp-filter input")[0], 0, 24)
    assert page.get("kernel", 0)[0][0] == -2 and page.get("kernel", 1) == PRESETS["outline"][3]
    page.js("host.disposers[0]()")
    assert page.js("return Object.values(host.models[0].handlers).flat().length") == 0
    assert len(page.all(".cx")) == 1


@pytest.mark.parametrize("theme", ["book-light", "book-dark"])
@pytest.mark.parametrize("width", [344, 600, 860])
def test_no_text_too_small_nothing_overflows(open_page, theme, width):
    page = open_page(
        KernelPainter("shape", "sharpen", 2, "same", size=5 if width == 344 else 3), theme=theme, width=width
    )
    assert page.audit() == []
    assert page.one(".cx").get_attribute("data-cx-theme") == theme.split("-")[1]
    cut = page.js(
        "return [...document.querySelectorAll('.kp-grid > *')]"
        ".filter((c) => c.scrollWidth > c.clientWidth + 1).length"
    )
    assert cut == 0
