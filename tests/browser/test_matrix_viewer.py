"""The matrix viewer: its mathematics against NumPy and the lesson, its figure in a real browser."""

from __future__ import annotations

from xml.etree import ElementTree

import numpy as np
import pytest
import traitlets

from course_utils.explorables import MatrixViewer
from course_utils.explorables.matrix_viewer import (
    LETTER_F,
    PRESETS,
    determinant,
    displayed,
    kept_directions,
    tween,
    verdict,
)

RIGHT, UP = "\ue014", "\ue013"
MATRICES = [*PRESETS.values(), *np.random.default_rng(3).uniform(-3, 3, (12, 2, 2)).tolist()]


# ---- without a browser ----


@pytest.mark.parametrize("matrix", MATRICES, ids=str)
def test_determinant_and_kept_directions_are_numpys(matrix):
    W = np.array(matrix)
    assert determinant(W) == pytest.approx(np.linalg.det(W), abs=1e-12)
    factors = np.linalg.eigvals(W)
    found = kept_directions(W)
    for factor, vector in found:
        np.testing.assert_allclose(vector @ W, factor * vector, atol=1e-9)  # x @ W, with x as a row
        assert np.hypot(*vector) == pytest.approx(1)
    if np.isreal(factors).all() and not np.allclose(W, W[0, 0] * np.eye(2)):
        wanted = sorted(factors.real, reverse=True)[: 1 if np.ptp(factors.real) < 1e-6 else 2]
        np.testing.assert_allclose([f for f, _ in found], wanted, atol=1e-9)
    else:
        assert found == []


@pytest.mark.parametrize("matrix", MATRICES, ids=str)
def test_the_way_starts_at_the_identity_ends_at_the_matrix_and_never_jumps(matrix):
    assert np.array_equal(tween(matrix, 0), np.eye(2)) and np.array_equal(tween(matrix, 1), matrix)
    path = np.array([tween(matrix, t) for t in np.linspace(0, 1, 201)])
    assert np.abs(np.diff(path, axis=0)).max() < 0.08
    dets = np.array([determinant(M) for M in path])
    if determinant(matrix) > 1e-9:
        assert (dets > 0).all(), "a matrix that does not mirror needs no flat plane on its way"
    if determinant(matrix) < -1e-9:
        assert (np.diff(np.sign(dets[dets != 0])) != 0).sum() == 1, "a mirror passes one flat plane"


def test_a_rotation_turns_on_its_way():
    half = tween(PRESETS["quarter turn"], 0.5)
    np.testing.assert_allclose(half, np.sqrt(0.5) * np.array([[1, 1], [-1, 1]]))


def test_verdicts():
    found = {name: verdict(matrix) for name, matrix in PRESETS.items()}
    assert found.pop("reflection") == "mirrored" and found.pop("projection") == "line"
    assert set(found.values()) == {"plain"}
    assert verdict([[0, 0], [0, 0]]) == "point"
    assert verdict([[1, 0.5], [1, 0.52]]) == "nearly"


def test_steps_compose_from_left_to_right_and_the_bias_comes_last():
    W, V, b = np.array(PRESETS["shear"]), np.array(PRESETS["quarter turn"]), [0.5, -1.0]
    M, shift = displayed(W, b, V)
    np.testing.assert_allclose(LETTER_F @ M + shift, (LETTER_F @ W) @ V + b)
    M, shift = displayed(W, b, V, swapped=True)
    np.testing.assert_allclose(M, V @ W)
    M, shift = displayed(W, b, V, amount=0.5)  # the first step is done, the second has not begun
    np.testing.assert_allclose(M, W)
    assert not shift.any()


@pytest.mark.parametrize("name", PRESETS)
def test_preview_and_description(name):
    widget = MatrixViewer(preset=name, bias=[0.5, 0], compose=name == "shear")
    picture = widget.preview()
    ElementTree.fromstring(picture)
    assert len(picture.encode()) < 15_000
    assert "determinant is" in widget.description and "letter F" in widget.description
    M, _ = widget.shown()
    assert f"det = {determinant(M):.2f}" in picture


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"matrix": [1, 2, 3]}, r"matrix must have shape \(2, 2\), not \(3,\)"),
        ({"matrix": [[1, 2], [3, 4]]}, "numbers of matrix must lie between -3 and 3"),
        ({"matrix": [[1, np.nan], [0, 1]]}, "numbers of matrix must lie between -3 and 3"),
        ({"matrix": "shear"}, "matrix must hold numbers"),
        ({"second": [[1]]}, "second must have shape"),
        ({"bias": [1, 2, 3]}, r"bias must have shape \(2,\)"),
        ({"probe": [5, 0]}, "numbers of probe"),
        ({"amount": 2}, "amount must lie between 0 and 1, not 2"),
        ({"preset": "sheer"}, "no preset 'sheer'; choose one of: identity, stretch"),
        ({"preset": "shear", "matrix": [[1, 0], [0, 1]]}, "not both"),
    ],
)
def test_wrong_options_are_one_sentence(options, message):
    with pytest.raises(traitlets.TraitError, match=message):
        MatrixViewer(**options)


def test_arrays_are_taken():
    widget = MatrixViewer(np.eye(2), probe=np.array([1, 2]))
    assert widget.matrix == [[1, 0], [0, 1]] and widget.probe == [1, 2]


# ---- in the browser ----


def test_browser_computes_the_same_numbers(open_page):
    page = open_page(MatrixViewer())
    presets = page.js("return host.modules[0].math.presets")
    assert page.js("return Object.keys(host.modules[0].math.presets)") == list(PRESETS)
    for name, matrix in PRESETS.items():
        np.testing.assert_allclose(presets[name], matrix, atol=1e-15)
    np.testing.assert_allclose(page.js("return host.modules[0].math.letter"), LETTER_F, atol=1e-15)
    got = page.js(
        "const m = host.modules[0].math; return arguments[0].map((W) => [m.determinant(W), m.verdict(W),"
        "m.kept(W).map((k) => [k.factor, k.vector]), [0.2, 0.5, 0.9].map((t) => m.tween(W, t))])",
        MATRICES,
    )
    for matrix, (det, kind, kept, path) in zip(MATRICES, got, strict=True):
        assert det == pytest.approx(determinant(matrix), abs=1e-12) and kind == verdict(matrix)
        wanted = kept_directions(matrix)
        assert len(kept) == len(wanted)
        for (factor, vector), (other, direction) in zip(kept, wanted, strict=True):
            assert factor == pytest.approx(other)
            np.testing.assert_allclose(vector, direction, atol=1e-9)
        np.testing.assert_allclose(path, [tween(matrix, t) for t in (0.2, 0.5, 0.9)], atol=1e-12)
    for swapped in (False, True):
        for amount in (0.3, 0.8, 1.0):
            state = {"matrix": MATRICES[9], "second": MATRICES[10], "bias": [1, -2], "compose": True}
            state |= {"swapped": swapped, "amount": amount}
            shown = page.js("return host.modules[0].math.displayed(arguments[0])", state)
            M, shift = displayed(MATRICES[9], [1, -2], MATRICES[10], swapped, amount)
            np.testing.assert_allclose(shown["matrix"], M, atol=1e-12)
            np.testing.assert_allclose(shown["shift"], shift, atol=1e-12)


def test_dragging_an_arrow_changes_its_row_only(open_page):
    page = open_page(MatrixViewer())
    grips = page.all(".mat-grip")
    page.drag(grips[0], 70, 0)
    (first, second) = page.get("matrix")
    assert first[0] > 1.7 and first[1] == 0.5 and second == [0.2, 0.8]
    assert page.js("return host.saves[0]") == 1  # one message to Python for one drag
    page.focus(grips[1])
    page.keys(UP, RIGHT)
    np.testing.assert_allclose(page.get("matrix")[1], [0.3, 0.9])
    assert "(0, 1) goes to 0.30, 0.90" in grips[1].get_attribute("aria-label")
    fields = [f.get_attribute("value") for f in page.all(".mat-w input")]
    np.testing.assert_allclose([float(v) for v in fields], np.ravel(page.get("matrix")), atol=1e-3)
    for _ in range(40):
        page.js("arguments[0].dispatchEvent(new KeyboardEvent('keydown', {key: 'ArrowRight'}))", grips[1])
    page.settle()
    assert page.get("matrix")[1][0] == 3  # the end of its range


@pytest.mark.parametrize("swapped", [False, True])
def test_with_a_second_matrix_the_dragged_arrow_goes_where_it_is_dragged(open_page, swapped):
    page = open_page(MatrixViewer(second=[[0.5, 1], [-1, 0.5]], compose=True, swapped=swapped))
    before, _ = displayed(page.get("matrix"), second=page.get("second"), swapped=swapped)
    page.focus(page.all(".mat-grip")[0])
    page.keys(UP, UP)
    after, _ = displayed(page.get("matrix"), second=page.get("second"), swapped=swapped)
    np.testing.assert_allclose(after - before, [[0, 0.2], [0, 0]], atol=0.03)
    page.set("second", PRESETS["projection"])
    kept = page.get("matrix")
    page.keys(UP)
    assert page.get("matrix") == kept  # V is flat: no W moves one arrow freely
    page.said("V flattens")
    assert len(page.all(".mat-locked")) == 2


def test_the_point_its_arithmetic_and_the_words(open_page):
    page = open_page(MatrixViewer(matrix=[[2, 0], [1, -1]], bias=[0.5, 0], probe=[1, 0.5]))
    text = page.one(".mat-sum").text
    assert "z₁ = 1.00·2.00 + 0.50·1.00 + 0.50 = 3.00" in text
    assert "z₂ = 1.00·0.00 + 0.50·(−1.00) + 0.00 = −0.50" in text
    assert "mirrored" in page.one(".mat-det").text and "= −2.00" in page.one(".mat-det").text
    page.drag(page.one(".mat-probe"), -70, 0)
    assert page.get("probe")[0] < 0.3 and page.get("probe")[1] == 0.5
    page.set("matrix", [[1, 0.5], [2, 1]])
    assert "rank 1" in page.one(".mat-det").text
    page.set("matrix", [[1, 0.5], [2, 1.05]])
    assert "nearly flat" in page.one(".mat-det").text
    page.set("matrix", [[0, 0], [0, 0]])
    assert "rank 0" in page.one(".mat-det").text


def test_fields_presets_second_matrix_and_reset(open_page):
    page = open_page(MatrixViewer())
    page.choose(page.one(".cx select"), "shear")
    assert page.get("matrix") == PRESETS["shear"]
    field = page.all(".mat-w input")[1]
    page.focus(field)
    page.js(
        "const f = arguments[0]; f.value = '-1.25'; f.dispatchEvent(new Event('input'));"
        "f.value = '7'; f.dispatchEvent(new Event('input'))",
        field,
    )
    page.settle()
    assert page.get("matrix")[0] == [1, -1.25]  # 7 is out of range and is not taken
    assert field.get_attribute("aria-invalid") == "true"
    page.js("arguments[0].dispatchEvent(new Event('change'))", field)
    assert field.get_attribute("aria-invalid") is None and float(field.get_attribute("value")) == -1.25
    assert page.one(".cx select").get_attribute("value") == ""
    assert not page.one(".mat-second").is_displayed()
    second, kept = page.all(".cx-check input")
    page.click(second)
    assert page.get("compose") and page.one(".mat-second").is_displayed()
    assert page.one(".mat-product").text.startswith("W @ V has the rows (1.25, 1.00) and (−1.00, 0.70)")
    page.click(page.all(".cx-choice input")[1])
    assert page.get("swapped") and page.one(".mat-product").text.startswith("V @ W")
    page.click(kept)
    assert "no direction" in page.one(".cx-note").text
    page.set("compose", False)
    page.choose(page.one(".cx select"), "shear")
    assert len(page.all(".mat-kept")) == 1 and "× 1.00" in page.one(".mat-kept-name").text
    page.click(page.button("Reset"))
    assert page.get("matrix") == [[1.0, 0.5], [0.2, 0.8]] and not page.get("swapped")
    assert page.all(".mat-kept") == []


def test_the_way_by_slider_and_by_play(open_page):
    page = open_page(MatrixViewer(preset="reflection"))
    slider = page.one(".mat-way input")
    page.js("arguments[0].value = 0.5; arguments[0].dispatchEvent(new Event('input'))", slider)
    page.settle()
    assert page.get("amount") == 0.5
    assert "on the way" in page.one(".mat-det").text and "rank 1" in page.one(".mat-det").text
    page.click(page.button("Play"))
    page.until("return host.models[0].get('amount') === 1")
    page.settle()
    assert "on the way" not in page.one(".mat-det").text
    assert page.button("Play")
    page.drag(page.all(".mat-grip")[0], 0, -40)
    assert page.get("amount") == 1


def test_reduced_motion_shows_the_ends_only(open_page, calm_browser):
    page = open_page(MatrixViewer(), driver=calm_browser)
    page.click(page.button("Play"))
    assert page.get("amount") == 0
    page.click(page.button("Play"))
    assert page.get("amount") == 1


def test_instances_do_not_interfere_and_clean_up(open_page):
    page = open_page(MatrixViewer(), MatrixViewer(preset="shear"))
    page.drag(page.all(".mat-grip")[0], 60, 0)
    assert page.get("matrix", 0)[0][0] > 1.5
    assert page.get("matrix", 1) == PRESETS["shear"]
    page.js("host.disposers[0]()")
    assert page.js("return Object.values(host.models[0].handlers).flat().length") == 0
    assert len(page.all(".cx")) == 1
    page.set("matrix", PRESETS["half turn"], 1)
    assert "det = (−1.00)" in page.one(".mat-det").text or "= 1.00" in page.one(".mat-det").text


@pytest.mark.parametrize("theme", ["book-light", "book-dark", "lab-dark"])
@pytest.mark.parametrize("width", [344, 600, 860])
def test_no_text_too_small_nothing_overflows(open_page, theme, width):
    page = open_page(
        MatrixViewer(preset="rotation", bias=[-1.5, -2.25], compose=True), theme=theme, width=width
    )
    assert page.audit() == []
    assert page.one(".cx").get_attribute("data-cx-theme") == theme.split("-")[1]
