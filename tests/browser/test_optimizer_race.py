"""The optimizer race: its steps against Keras, its mathematics against finite differences, its figure in a browser."""

from __future__ import annotations

import math
from xml.etree import ElementTree

import numpy as np
import pytest
import traitlets

from course_utils.explorables import OptimizerRace
from course_utils.explorables.optimizer_race import (
    ADAPTIVE,
    LABELS,
    STEPS,
    SURFACES,
    WEIGHT_DECAY,
    gradient,
    left_at,
    lowest,
    minima,
    rate_limit,
    run,
    steepest_curvature,
    value,
)

# a start and a rate for both families at which nobody leaves the map
CASES = {
    "ravine": ((-1.8, 1.2), 0.03, 0.05),
    "rosenbrock": ((-1.2, 1.0), 0.002, 0.02),
    "saddle": ((-1.8, 0.02), 0.05, 0.05),
    "two minima": ((1.9, 1.2), 0.05, 0.05),
}
PLACES = [(-1.8, 1.2), (0.3, -0.7), (1.9, 1.5), (0.0, 0.0)]


# ---- without a browser ----


@pytest.mark.parametrize("surface", SURFACES)
def test_gradient_and_curvature_are_those_of_the_surface(surface):
    h = 1e-5
    for x, y in PLACES:
        numeric = [
            (value(surface, x + h, y, 7) - value(surface, x - h, y, 7)) / (2 * h),
            (value(surface, x, y + h, 7) - value(surface, x, y - h, 7)) / (2 * h),
        ]
        np.testing.assert_allclose(gradient(surface, x, y, 7), numeric, atol=1e-7)
        columns = [
            (gradient(surface, x + h * a, y + h * b, 7) - gradient(surface, x - h * a, y - h * b, 7))
            / (2 * h)
            for a, b in ((1, 0), (0, 1))
        ]
        largest = np.linalg.eigvalsh(np.array(columns)).max()
        assert steepest_curvature(surface, x, y, 7) == pytest.approx(largest, abs=1e-5)


@pytest.mark.parametrize("surface", SURFACES)
def test_minima_are_minima_and_the_lowest_comes_first(surface):
    heights = []
    for x, y in minima(surface):
        np.testing.assert_allclose(gradient(surface, x, y), 0, atol=1e-12)
        around = [
            value(surface, x + 0.01 * math.cos(a), y + 0.01 * math.sin(a)) for a in np.arange(0, 6.3, 0.3)
        ]
        assert min(around) > value(surface, x, y)
        heights.append(float(value(surface, x, y)))
    assert min(heights) == heights[0] == lowest(surface)
    grid = np.meshgrid(np.linspace(*SURFACES[surface]["x"], 301), np.linspace(*SURFACES[surface]["y"], 301))
    assert value(surface, *grid).min() >= heights[0] - 1e-12


@pytest.mark.parametrize("surface", SURFACES)
@pytest.mark.parametrize("name", LABELS)
def test_fifty_steps_are_those_of_keras(surface, name):
    pytest.importorskip("tensorflow")
    import keras

    start, rate, adaptive_rate = CASES[surface]
    rate = adaptive_rate if name in ADAPTIVE else rate
    optimizer = {
        "sgd": lambda: keras.optimizers.SGD(rate),
        "momentum": lambda: keras.optimizers.SGD(rate, momentum=0.9),
        "nesterov": lambda: keras.optimizers.SGD(rate, momentum=0.9, nesterov=True),
        "rmsprop": lambda: keras.optimizers.RMSprop(rate),
        "adam": lambda: keras.optimizers.Adam(rate),
        "adamw": lambda: keras.optimizers.AdamW(rate),
    }[name]()
    if name == "adamw":
        assert optimizer.weight_decay == WEIGHT_DECAY
    w = keras.Variable(np.array(start), dtype="float64")
    theirs = [np.array(start)]
    for _ in range(50):
        slope = gradient(surface, *np.asarray(w.numpy()))
        optimizer.apply([keras.ops.convert_to_tensor(slope, dtype="float64")], [w])
        theirs.append(np.array(w.numpy()))
    ours = run(name, surface, start, rate, steps=50)
    # Keras keeps the learning rate and its betas in float32
    np.testing.assert_allclose(ours, theirs, atol=2e-5)


def test_plain_steps_on_the_ravine_follow_the_formula():
    path = run("sgd", "ravine", (-1.8, 1.2), 0.08, condition=20, steps=30)
    t = np.arange(31)
    np.testing.assert_allclose(path[:, 0], -1.8 * (1 - 0.08) ** t)
    np.testing.assert_allclose(path[:, 1], 1.2 * (1 - 0.08 * 20) ** t)


@pytest.mark.parametrize("name", ["sgd", "momentum", "nesterov"])
def test_rate_limit_divides_settling_from_leaving(name):
    limit = rate_limit(name, 20.0)
    below = run(name, "ravine", (-1.8, 1.2), 0.97 * limit, condition=20)
    above = run(name, "ravine", (-1.8, 1.2), 1.1 * limit, condition=20)
    assert left_at("ravine", below) is None and len(below) == STEPS + 1
    assert np.abs(below[-1]).max() < 0.5
    step = left_at("ravine", above)
    assert step is not None and len(above) <= STEPS
    assert np.abs(above[step:, 1]).min() > 1.65 >= abs(above[step - 1, 1])
    assert rate_limit("adam", 20.0) is None and rate_limit("sgd", -1.0) is None


def test_nobody_leaves_a_ridge_exactly():
    for name in LABELS:
        path = run(name, "saddle", (-1.8, 0.0), 0.05)
        assert (path[:, 1] == 0).all()
        beside = run(name, "saddle", (-1.8, 0.02), 0.05)
        assert abs(beside[-1, 1] - 1) < 0.1, name


def test_momentum_runs_through_the_upper_hollow_where_plain_steps_stay():
    (low, _), (high, _) = minima("two minima")
    assert abs(run("sgd", "two minima", (1.9, 1.2), 0.05)[-1, 0] - high) < 1e-3
    assert abs(run("momentum", "two minima", (1.9, 1.2), 0.05)[-1, 0] - low) < 1e-2


@pytest.mark.parametrize("surface", SURFACES)
def test_preview_and_description(surface):
    widget = OptimizerRace(surface, optimizers=tuple(LABELS), start=(-1.5, 1.2))
    picture = widget.preview()
    ElementTree.fromstring(picture)
    assert len(picture.encode()) < 15_000
    for label in LABELS.values():
        assert label in widget.description and label in picture
    assert SURFACES[surface]["label"] in widget.description


def test_description_names_what_left():
    text = OptimizerRace(learning_rate=0.12, optimizers=("sgd",)).description
    assert "gradient descent (learning rate 0.12) left the map at step" in text
    assert "condition number 20" in text


def test_arguments_of_the_lesson():
    widget = OptimizerRace(
        surface="ravine",
        optimizers=("sgd", "momentum", "adam"),
        learning_rate=0.05,
        start=(-1.8, 1.2),
        condition=20.0,
    )
    assert widget.adaptive_rate == 0.05 and widget.start == [-1.8, 1.2]
    assert OptimizerRace(optimizers=("adam", "sgd", "adam")).optimizers == ["sgd", "adam"]
    assert OptimizerRace(learning_rate=0.05, adaptive_rate=0.2).adaptive_rate == 0.2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"surface": "bowl"}, "no surface 'bowl'; choose one of: ravine, rosenbrock"),
        ({"optimizers": ("sgd", "adagrad")}, "no optimizer 'adagrad'; choose from: sgd, momentum"),
        ({"learning_rate": 2}, "learning_rate must lie between 0.0001 and 1, not 2"),
        ({"adaptive_rate": 0}, "adaptive_rate must lie between"),
        ({"condition": 0.5}, "condition must lie between 1 and 100"),
        ({"step": 500}, "step must lie between 0 and 200, not 500"),
        ({"start": (9, 0)}, "start must lie on the map"),
    ],
)
def test_wrong_options_are_one_sentence(options, message):
    with pytest.raises(traitlets.TraitError, match=message):
        OptimizerRace(**options)


# ---- in the browser ----


def test_browser_computes_the_same_numbers(open_page):
    page = open_page(OptimizerRace())
    assert page.js("return host.modules[0].math.surfaces") == list(SURFACES)
    assert page.js("return host.modules[0].math.optimizers") == list(LABELS)
    for surface, (start, rate, adaptive_rate) in CASES.items():
        got = page.js(
            "const m = host.modules[0].math; return arguments[1].map(([x, y]) => "
            "[m.value(arguments[0], x, y, 7), ...m.gradient(arguments[0], x, y, 7), m.curvature(arguments[0], x, y, 7)])",
            surface,
            PLACES,
        )
        wanted = [
            [
                float(value(surface, x, y, 7)),
                *gradient(surface, x, y, 7),
                steepest_curvature(surface, x, y, 7),
            ]
            for x, y in PLACES
        ]
        np.testing.assert_allclose(got, wanted, atol=1e-12)
        np.testing.assert_allclose(
            page.js("return host.modules[0].math.minima(arguments[0])", surface), minima(surface), atol=1e-12
        )
        for name in LABELS:
            r = adaptive_rate if name in ADAPTIVE else rate
            path = page.js(
                "return host.modules[0].math.run(...arguments)", name, surface, list(start), r, 20, 120
            )
            np.testing.assert_allclose(path, run(name, surface, start, r, 20, 120), atol=1e-8, err_msg=name)
    for name in ("sgd", "momentum", "nesterov"):
        path = page.js("return host.modules[0].math.run(...arguments)", name, "ravine", [-1.8, 1.2], 0.3, 20)
        ours = run(name, "ravine", (-1.8, 1.2), 0.3)
        assert len(path) == len(ours)
        left = page.js("return host.modules[0].math.leftAt(...arguments)", "ravine", path)
        assert left == left_at("ravine", ours) is not None
        limit = page.js("return host.modules[0].math.limit(...arguments)", name, 20)
        assert limit == pytest.approx(rate_limit(name, 20.0))


def test_the_start_is_dragged_clicked_and_moved_with_keys(open_page):
    page = open_page(OptimizerRace())
    knob = page.one(".race-start")
    before = page.one("tbody").text
    page.drag(knob, 120, 60)
    x, y = page.get("start")
    assert x > -1.4 and y < 1.1
    assert page.one("tbody").text != before
    assert page.js("return host.saves[0]") == 1  # one message to Python for one drag
    page.focus(knob)
    page.keys("\ue012", "\ue015")  # left, down
    assert page.get("start") == pytest.approx([x - 0.02, y - 0.02])
    assert "x −" in knob.get_attribute("aria-label")
    page.drag(knob, -190, 0)
    assert page.get("start")[0] == -2.2
    page.click_at(page.one(".race-box > svg"), 0, 0)
    assert abs(page.get("start")[0]) < 0.3


def test_table_and_reasons(open_page):
    page = open_page(OptimizerRace(step=60))
    rows = {r.text.split("\n")[-1].split(" ")[0]: r.text for r in page.all("tbody tr")}
    assert len(rows) == 3
    best = page.one(".race-summary").text
    losses = {
        n: float(value("ravine", *run(n, "ravine", (-1.8, 1.2), 0.05, steps=60)[-1]))
        for n in ("sgd", "momentum", "adam")
    }
    assert LABELS[min(losses, key=losses.get)] + " is lowest" in best
    page.set("learning_rate", 0.11)
    text = page.one(".race-why").text
    assert "Gradient descent left the map at step" in text
    assert "is above 2/κ = 0.1" in text
    assert (
        f"left the map at step {left_at('ravine', run('sgd', 'ravine', (-1.8, 1.2), 0.11))}"
        in page.one("tbody").text
    )
    page.set("surface", "saddle")
    page.set("start", [-1.8, 0.0])
    page.set("step", 200)
    assert "without slope" in page.one(".race-why").text


def test_controls_and_reset(open_page):
    page = open_page(OptimizerRace())
    boxes = page.all(".cx-check input")
    assert [b.is_selected() for b in boxes] == [True, True, False, False, True, False]
    page.click(boxes[3])
    assert page.get("optimizers") == ["sgd", "momentum", "rmsprop", "adam"]
    assert len(page.all(".race-box .race-trail")) == 4
    page.click(boxes[0])
    assert page.get("optimizers") == ["momentum", "rmsprop", "adam"]
    page.click(page.button("Step"))
    assert page.get("step") == 41
    page.js(
        "const s = document.querySelector('.cx select'); s.value = 'rosenbrock'; s.dispatchEvent(new Event('change'))"
    )
    page.settle()
    assert page.get("learning_rate") == 0.005 and page.get("start") == [-1.5, 1.8]
    assert not page.all(".cx-field")[1].is_displayed()  # the condition number belongs to the ravine
    page.js(
        "const r = document.querySelectorAll('.cx input[type=range]')[1]; r.value = -2;"
        "r.dispatchEvent(new Event('input')); r.dispatchEvent(new Event('change'))"
    )
    page.settle()
    assert page.get("learning_rate") == pytest.approx(0.01)
    page.click(page.button("Reset"))
    assert page.get("surface") == "ravine" and page.get("optimizers") == ["sgd", "momentum", "adam"]
    assert page.get("step") == 40 and page.get("start") == [-1.8, 1.2] and page.get("learning_rate") == 0.05
    assert page.all(".cx-field")[1].is_displayed()


def test_play_pause_and_the_end(open_page):
    page = open_page(OptimizerRace(step=0))
    assert "At the start" in page.one(".race-summary").text
    page.click(page.button("Play"))
    page.until("return host.models[0].get('step') >= 4")
    page.click(page.button("Pause"))
    stopped = page.get("step")
    page.settle(10)
    assert page.get("step") == stopped
    page.set("step", 198)
    page.click(page.button("Play"))
    page.until("return host.models[0].get('step') === 200")
    page.settle()
    assert page.button("Play")


def test_without_motion_play_shows_the_end_at_once(open_page, calm_browser):
    page = open_page(OptimizerRace(), driver=calm_browser)
    page.click(page.button("Play"))
    assert page.get("step") == STEPS


def test_instances_do_not_interfere_and_clean_up(open_page):
    page = open_page(OptimizerRace(), OptimizerRace("saddle", start=(-1.0, 0.3)))
    page.drag(page.all(".race-start")[0], 50, 20)
    assert page.get("start", 1) == [-1.0, 0.3]
    page.js("host.disposers[0]()")
    assert page.js("return Object.values(host.models[0].handlers).flat().length") == 0
    assert len(page.all(".cx")) == 1
    page.set("step", 3, 1)
    assert "After 3 steps" in page.one(".race-summary").text


@pytest.mark.parametrize("theme", ["book-light", "book-dark", "lab-dark"])
@pytest.mark.parametrize("width", [344, 600, 860])
def test_no_text_too_small_nothing_overflows(open_page, theme, width):
    page = open_page(OptimizerRace(optimizers=tuple(LABELS), learning_rate=0.11), theme=theme, width=width)
    assert page.audit() == []
    assert page.one(".cx").get_attribute("data-cx-theme") == theme.split("-")[1]
