"""The perceptron board computes what the lesson's NumPy computes, and answers to mouse, touch and keys."""

from __future__ import annotations

import math
import time
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from course_utils.explorables import PerceptronBoard
from course_utils.explorables.perceptron_board import MAX_POINTS, PRESETS, learn, radius, view, widest_margin

VIEW = "application/vnd.jupyter.widget-view+json"
UP, LEFT, RIGHT, DOWN = "\ue013", "\ue012", "\ue014", "\ue015"
PAGE_DOWN, PAGE_UP, ENTER, DELETE, TAB = "\ue00f", "\ue00e", "\ue007", "\ue017", "\ue004"
SEPARABLE = PRESETS["separable"]


def numpy_history(points, labels, limit=500):
    """The rule as the lesson writes it: sweep the examples in order, correct each mistake."""
    X, y = np.asarray(points, float), np.asarray(labels, float)
    w, b, history = np.zeros(2), 0.0, []
    while True:
        clean = True
        for i in range(len(X)):
            if y[i] * (X[i] @ w + b) <= 0:
                w, b = w + y[i] * X[i], b + y[i]
                history.append((i, *w, b))
                clean = False
                if len(history) == limit:
                    return history
        if clean:
            return history


def clouds(seed, n, gap):
    rng = np.random.default_rng(seed)
    labels = np.where(np.arange(n) % 2, 1, -1)
    points = rng.normal(size=(n, 2)) + gap * labels[:, None] * np.array([0.6, 0.8]) + [0.7, -0.4]
    return points.tolist(), labels.tolist()


CASES = {
    **{name: (p["points"], p["labels"]) for name, p in PRESETS.items()},
    "clouds": clouds(0, 30, 2.2),
    "wide clouds": clouds(5, 24, 5.0),
    "overlapping": clouds(1, 20, 0.3),
    **{
        f"random {seed}": clouds(seed, 8 + seed, gap)
        for seed, gap in ((2, 1.0), (3, 1.5), (6, 2.0), (9, 4.0), (12, 3.0))
    },
    "nearly touching": ([[0.0, 0.0], [0.001, 0.0], [1.0, 1.0], [-1.0, 1.0]], [-1, 1, 1, -1]),
    "far away": ([[120.0, -3.0], [80.0, 9.0], [119.0, -2.0]], [1, -1, -1]),
    "one point": ([[0.5, 0.5]], [1]),
    "one class": ([[0.5, 0.5], [2.0, -1.0], [1.0, 1.0]], [-1, -1, -1]),
    "same place": ([[0.5, 0.5], [0.5, 0.5]], [1, -1]),
    "on one line": ([[-1.0, 0.0], [0.0, 0.0], [1.0, 0.0], [2.0, 0.0]], [-1, -1, 1, 1]),
    "between": ([[-1.0, 0.0], [0.0, 0.0], [1.0, 0.0]], [-1, 1, -1]),
}
each_case = pytest.mark.parametrize(("points", "labels"), CASES.values(), ids=CASES)


def margin_by_projection(points, labels):
    """The same γ by another road: non-negative least squares for the hull's point nearest to the origin."""
    from scipy.optimize import nnls

    y = np.asarray(labels, float)
    Z = np.column_stack([points, np.ones(len(y))]) * y[:, None]
    weight = 1e5
    A, target = np.vstack([Z.T, weight * np.ones(len(y))]), np.array([0, 0, 0, weight])
    shares, _ = nnls(A, target, maxiter=10_000)
    nearest = shares / shares.sum() @ Z
    gamma = np.linalg.norm(nearest)
    return gamma if gamma > 1e-4 else 0.0


@each_case
def test_widest_margin_is_exact(points, labels):
    gamma, vector = widest_margin(points, labels)
    assert gamma == pytest.approx(margin_by_projection(points, labels), abs=1e-5)
    if gamma:
        assert np.linalg.norm(vector) == pytest.approx(1)
        margins = np.asarray(labels) * (np.column_stack([points, np.ones(len(labels))]) @ vector)
        assert margins.min() == pytest.approx(gamma)


@each_case
def test_the_bound_holds_for_the_rule_that_is_run(points, labels):
    gamma, _ = widest_margin(points, labels)
    if gamma:
        mistakes = learn(points, labels, limit=10_000)[2]
        assert 0 < mistakes <= (radius(points) / gamma) ** 2
    else:
        assert learn(points, labels, limit=2_000)[2] == 2_000


def test_presets_are_what_their_names_say():
    gammas = {name: widest_margin(p["points"], p["labels"])[0] for name, p in PRESETS.items()}
    assert gammas["separable"] > 3 * gammas["tight margin"] > 0
    assert gammas["XOR"] == 0
    assert all(view(p["points"]) == (-3, -3, 6) for p in PRESETS.values())


def test_it_opens_on_the_way_with_a_poor_line():
    board = PerceptronBoard()
    assert board.mistakes == 2
    assert board.counted
    assert any(board.w)
    assert "3 of 12 points on the wrong side" in board.description


def test_bundle_and_picture():
    board = PerceptronBoard()
    data, _ = board._repr_mimebundle_()
    assert set(data) == {VIEW, "text/plain", "text/html"}
    assert data["text/plain"] == board.description
    assert "<img" in data["text/html"] and "alt=" in data["text/html"] and "<script" not in data["text/html"]
    picture = ET.fromstring(board.preview())
    circles = [c for c in picture.iter("{http://www.w3.org/2000/svg}circle") if c.get("fill") != "none"]
    assert len(circles) == SEPARABLE["labels"].count(-1)
    for name in ("XOR", "tight margin"):
        ET.fromstring(PerceptronBoard(**PRESETS[name], w=(0, 0), b=0).preview())
    ET.fromstring(PerceptronBoard([], []).preview())


def test_numpy_arrays_and_zero_one_labels_are_welcome():
    points, labels = np.array(SEPARABLE["points"]), (np.array(SEPARABLE["labels"]) + 1) // 2
    board = PerceptronBoard(points, labels, w=np.array([1.0, 2.0]), b=np.float64(0.5))
    assert board.labels == SEPARABLE["labels"]
    assert (board.w, board.b, board.counted) == ([1.0, 2.0], 0.5, False)


@pytest.mark.parametrize(
    ("arguments", "fragment"),
    [
        ({"points": [[0, 0]]}, "needs labels"),
        ({"labels": [1]}, "labels without points"),
        ({"points": [[0, 0, 0]], "labels": [1]}, "shape (n, 2)"),
        ({"points": [[0, 0]], "labels": [1, 1]}, "1 points but 2 labels"),
        ({"points": [[0, 0]], "labels": [3]}, "must be -1 and +1"),
        ({"points": [[0, math.nan]], "labels": [1]}, "finite"),
        ({"points": [[0, 0]] * (MAX_POINTS + 1), "labels": [1] * (MAX_POINTS + 1)}, "at most 40"),
        ({"w": [1, 2, 3]}, "two finite weights"),
    ],
)
def test_wrong_arguments_are_named(arguments, fragment):
    with pytest.raises(ValueError, match=r".") as error:
        PerceptronBoard(**arguments)
    assert fragment in str(error.value)


# ---- in the browser -----------------------------------------------------------------------------------


def test_the_figure_computes_what_numpy_computes(open_page):
    page = open_page(PerceptronBoard())
    for name, (points, labels) in CASES.items():
        found = page.js(
            "const m = host.modules[0].math, [p, l] = arguments;"
            "const steps = m.learn(p, l, {limit: 500}).map((s) => [s.i, ...s.w, s.b]);"
            "return [steps, m.radius(p), m.widestMargin(p, l)]",
            points,
            labels,
        )
        wanted = numpy_history(points, labels)
        assert [step[0] for step in found[0]] == [step[0] for step in wanted], name
        np.testing.assert_allclose(found[0], wanted, rtol=0, atol=1e-9, err_msg=name)
        assert found[1] == pytest.approx(radius(points)), name
        gamma, vector = widest_margin(points, labels)
        assert found[2]["gamma"] == pytest.approx(gamma, abs=1e-12), name
        np.testing.assert_allclose(found[2]["vector"], vector, atol=1e-9, err_msg=name)


def figure(page, name):
    return page.js(
        "return [...document.querySelectorAll('.cx-figures span')].find((s) => s.innerText === arguments[0])"
        ".nextElementSibling.textContent",
        name,
    )


def wrong_marks(page):
    return page.js(
        "return [...document.querySelectorAll('.cx-wrong')].filter((w) => !w.hasAttribute('display')).length"
    )


def points_of(page):
    return page.all(".cx-positive-point, .cx-negative-point")


def bar(page):
    return page.one(".cx-bar").get_attribute("data-state")


def finished(page):
    page.until(
        "return [...document.querySelectorAll('.cx button')].some((b) => b.textContent === 'Run')", seconds=30
    )
    page.settle()


def test_opening_state_and_steps(open_page):
    page = open_page(PerceptronBoard())
    assert len(points_of(page)) == 12
    assert wrong_marks(page) == 3
    assert (figure(page, "mistakes corrected, k"), figure(page, "wrong now")) == ("2", "3 of 12")
    history = numpy_history(**SEPARABLE)
    for step in history[2:5]:
        page.click(page.button("Step"))
        np.testing.assert_allclose([*page.get("w"), page.get("b")], step[1:], atol=1e-9)
        assert f"Point {step[0] + 1} " in page.one(".cx-event").text
    assert page.get("mistakes") == 5
    assert bar(page) == "on"
    assert page.audit() == []


def test_run_stops_when_separated_and_stays_below_the_bound(open_page):
    page = open_page(PerceptronBoard())
    page.click(page.button("w = 0, b = 0"))
    assert (page.get("w"), page.get("mistakes"), bar(page)) == ([0, 0], 0, "on")
    page.click(page.button("Run"))
    assert page.button("Pause")
    finished(page)
    history = numpy_history(**SEPARABLE)
    assert page.get("mistakes") == len(history)
    np.testing.assert_allclose([*page.get("w"), page.get("b")], history[-1][1:], atol=1e-9)
    assert wrong_marks(page) == 0
    assert "All 12 points are on their side" in page.one(".cx-event").text
    page.until(
        "return document.querySelector('[role=status]').textContent.includes('nothing left to correct')"
    )


def test_xor_never_stops_and_says_so(open_page):
    page = open_page(PerceptronBoard())
    page.js(
        "const s = document.querySelector('select'); s.value = 'XOR'; s.dispatchEvent(new Event('change'))"
    )
    page.settle()
    assert (page.get("w"), page.get("mistakes")) == ([0, 0], 0)
    assert (bar(page), figure(page, "γ = widest margin there")) == ("none", "none")
    assert "no bound limits k" in page.one(".cx-bound p").text
    page.click(page.button("Run"))
    time.sleep(1.5)
    page.click(page.button("Pause"))
    made = page.get("mistakes")
    assert made >= 3
    history = numpy_history(**PRESETS["XOR"])[made - 1]
    np.testing.assert_allclose([*page.get("w"), page.get("b")], history[1:], atol=1e-9)


def test_dragging_a_point_moves_it_and_suspends_the_bound(open_page):
    page = open_page(PerceptronBoard())
    scale = page.js("return document.querySelector('.cx-board').getBoundingClientRect().width") / 6
    page.drag(points_of(page)[3], 60, -30)
    x, y = page.get("points")[3]
    assert x == pytest.approx(SEPARABLE["points"][3][0] + 60 / scale, abs=0.03)
    assert y == pytest.approx(SEPARABLE["points"][3][1] + 30 / scale, abs=0.03)
    assert (page.get("mistakes"), page.get("counted"), bar(page)) == (0, False, "off")
    assert "started elsewhere" in page.one(".cx-bound p").text
    assert len(page.get("points")) == 12, "a drag adds no point"
    page.click(page.button("w = 0, b = 0"))
    assert (page.get("counted"), bar(page)) == (True, "on")


def test_dragging_w_and_the_line(open_page):
    page = open_page(PerceptronBoard())
    before = page.get("w")
    page.drag(page.one("[aria-label^='Tip of the weight']"), 80, 40)
    after = page.get("w")
    assert after[0] > before[0] + 0.5 and after[1] < before[1] - 0.2
    assert not page.get("counted")
    page.js("host.models[0].set({w: [0, 2], b: 0})")
    page.settle()
    line = page.one("[role=slider][aria-label^='Line']")
    page.focus(line)
    page.keys(UP)
    assert page.get("w") == [0, 2]
    assert page.get("b") == pytest.approx(-0.2)
    assert line.get_attribute("aria-valuetext") == "b = −0.20"
    page.keys(DOWN, DOWN)
    assert page.get("b") == pytest.approx(0.2)


def test_clicks_add_and_remove(open_page):
    page = open_page(PerceptronBoard())
    board = page.one(".cx-board")
    page.click_at(board, 0, 120)
    assert len(page.get("points")) == 13 and page.get("labels")[-1] == 1
    page.click(page.all("input[type=radio]")[1])
    page.click_at(board, 0, -150)
    assert page.get("labels")[-2:] == [1, -1]
    assert page.get("points")[-1][1] > 1
    page.click(page.all("input[type=radio]")[2])
    page.click(points_of(page)[13])
    page.click_at(board, 100, 150)
    assert len(page.get("points")) == 13, "in this mode an empty spot adds nothing"
    page.click(page.button("Reset"))
    assert page.get("points") == SEPARABLE["points"]
    assert page.get("mistakes") == 2
    assert page.all("input[type=radio]")[0].is_selected()


def test_keyboard_alone(open_page):
    page = open_page(PerceptronBoard(), theme="book-dark")
    assert page.js("return document.querySelectorAll('[aria-label=Points] [tabindex=\"0\"]').length") == 1
    page.focus(points_of(page)[0])
    page.keys(RIGHT, UP, UP)
    x, y = SEPARABLE["points"][0]
    assert page.get("points")[0] == pytest.approx([x + 0.1, y + 0.2])
    page.keys(PAGE_DOWN, ENTER)
    assert page.get("labels")[1] == -SEPARABLE["labels"][1]
    assert "class +1" in page.js("return document.activeElement.getAttribute('aria-label')")
    page.keys(PAGE_UP, PAGE_UP, DELETE)
    assert len(page.get("points")) == 11
    assert page.js("return document.activeElement.getAttribute('aria-label')").startswith("Point 11 of 11")
    page.click(page.button("Add a point"))
    assert page.js("return document.activeElement.getAttribute('aria-label')").startswith("Point 12 of 12")
    page.keys(TAB)
    assert page.js("return document.activeElement.getAttribute('aria-label')").startswith("Tip of the weight")
    ring = page.js("return getComputedStyle(document.activeElement.querySelector('.cx-ring')).stroke")
    assert ring != "none", "keyboard focus is visible"


def test_keys_stay_in_the_figure(open_page):
    page = open_page(PerceptronBoard())
    page.js("window.heard = 0; document.addEventListener('keydown', () => { window.heard += 1; })")
    page.focus(points_of(page)[0])
    page.keys(LEFT, DELETE)
    assert page.js("return window.heard") == 0
    assert page.one(".cx").get_attribute("data-lm-suppress-shortcuts") == "true"


def test_points_keep_inside_the_board(open_page):
    page = open_page(PerceptronBoard())
    page.drag(points_of(page)[0], 400, 300)
    x, y = page.get("points")[0]
    assert -3 <= x <= 3 and -3 <= y <= 3


def test_python_can_change_the_board(open_page):
    page = open_page(PerceptronBoard())
    page.js("host.models[0].set({points: [[0, 1], [0, -1]], labels: [1, -1], w: [0, 1], b: 0})")
    page.settle()
    assert len(points_of(page)) == 2
    assert (figure(page, "wrong now"), figure(page, "w")) == ("0 of 2", "(0.00, 1.00)")


@pytest.mark.parametrize("points", [[], [[5.1, 3.5], [4.9, 3.0], [7.0, 3.2]], [[120.0, -3.0], [80.0, 9.0]]])
def test_any_range_of_points_is_shown(open_page, points):
    page = open_page(PerceptronBoard(points, [1, -1, 1][: len(points)], w=(0.0, 0.0)))
    inside = page.js(
        "const f = document.querySelector('.cx-board').getBoundingClientRect();"
        "return [...document.querySelectorAll('[data-point] > .cx-positive, [data-point] > .cx-negative')]"
        ".map((n) => n.getBoundingClientRect())"
        ".every((r) => r.left >= f.left && r.right <= f.right && r.top >= f.top && r.bottom <= f.bottom)"
    )
    assert inside
    page.click(page.button("Step"))
    page.click(page.button("Step"))
    assert page.audit() == []


@pytest.mark.parametrize(
    "theme", ["book-dark", "lab-dark", "colab-dark", "vscode-dark", "book-light", "lab-light", "none"]
)
def test_the_page_s_theme_is_followed(open_page, theme):
    page = open_page(PerceptronBoard(), theme=theme)
    wanted = "dark" if theme.endswith("dark") else "light"
    assert page.one(".cx").get_attribute("data-cx-theme") == wanted
    if theme == "book-dark":
        page.js("document.documentElement.dataset.theme = 'light'")
        page.until("return document.querySelector('.cx').dataset.cxTheme === 'light'")


def test_two_boards_do_not_interfere_and_leave_nothing_behind(open_page):
    page = open_page(PerceptronBoard(), PerceptronBoard(**PRESETS["XOR"]), width=360)
    page.click(page.all(".cx .cx-primary")[1])
    assert (page.get("mistakes", 0), page.get("mistakes", 1)) == (2, 3)
    assert page.audit() == []
    page.js(
        "[...document.querySelectorAll('button')].filter((b) => b.textContent === 'Run')[1].click();"
        "host.disposers[1]()"
    )
    saves = page.js("return host.saves[1]")
    time.sleep(0.8)
    assert page.js("return [host.saves[1], Object.values(host.models[1].handlers).flat().length]") == [
        saves,
        0,
    ]
    assert len(page.all(".cx")) == 1
    page.click(page.button("Step"))
    assert page.get("mistakes", 0) == 3


def test_reduced_motion_steps_without_animation(open_page, calm_browser):
    page = open_page(PerceptronBoard(), driver=calm_browser)
    before = page.one(".cx-line-seen").get_attribute("d")
    page.click(page.button("Step"))
    at_once = page.one(".cx-line-seen").get_attribute("d")
    time.sleep(0.7)
    assert before != at_once == page.one(".cx-line-seen").get_attribute("d")
