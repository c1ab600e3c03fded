"""The playground: its mathematics against NumPy and finite differences, its figure in a real browser."""

from __future__ import annotations

import itertools
from xml.etree import ElementTree

import numpy as np
import pytest
import traitlets

from course_utils.explorables import Playground
from course_utils.explorables.playground import (
    ACTIVATIONS,
    DATASETS,
    HELD_OUT,
    TRAIN,
    forward,
    gradients,
    initial_parameters,
    loss,
    points,
    train,
)


def fixed_problem(layers=(4, 3), examples=7):
    rng = np.random.default_rng(5)
    sizes = [2, *layers, 1]
    parameters = [(rng.normal(size=(i, o)), rng.normal(size=o)) for i, o in itertools.pairwise(sizes)]
    return parameters, rng.normal(size=(examples, 2)), rng.integers(0, 2, examples).astype(float)


def numeric_gradient(f, array, step=1e-6):
    result = np.zeros_like(array)
    for index in np.ndindex(array.shape):
        kept = array[index]
        array[index] = kept + step
        up = f()
        array[index] = kept - step
        result[index] = (up - f()) / (2 * step)
        array[index] = kept
    return result


def inspect(page, parameters, activation, x, y, l2=0.0):
    return page.js(
        "return host.modules[0].math.inspect(arguments[0])",
        {
            "weights": [w.tolist() for w, _ in parameters],
            "biases": [b.tolist() for _, b in parameters],
            "activation": activation,
            "x": x.tolist(),
            "y": y.tolist(),
            "l2": l2,
        },
    )


# ---- without a browser ----


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_gradients_agree_with_finite_differences(activation):
    parameters, x, y = fixed_problem()
    _, exact = gradients(parameters, activation, x, y, 0.01)
    for (w, b), (dw, db) in zip(parameters, exact, strict=True):
        for array, grad in ((w, dw), (b, db)):
            numeric = numeric_gradient(lambda: gradients(parameters, activation, x, y, 0.01)[0], array)
            np.testing.assert_allclose(grad, numeric, atol=1e-8)


def test_a_hidden_layer_bends_and_identity_does_not():
    x, y = (part[:TRAIN] for part in points("moons", TRAIN, 0.1, 1))

    def accuracy(activation):
        parameters = train(x, y, (4, 3), activation, learning_rate=0.1, batch_size=16, seed=1, steps=1500)
        return np.mean((forward(parameters, activation, x)[-1].ravel() > 0) == y)

    assert accuracy("tanh") >= 0.99
    assert accuracy("identity") < 0.97


@pytest.mark.parametrize("dataset", DATASETS)
def test_preview_and_description(dataset):
    widget = Playground(dataset)
    picture = widget.preview()
    ElementTree.fromstring(picture)
    assert len(picture.encode()) < 15_000
    assert dataset in widget.description and "curved boundary" in widget.description
    assert "straight" in Playground(dataset, activation="identity").description


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dataset": "moon"}, "no data set 'moon'; choose one of: moons, circles, xor, spirals, blobs"),
        ({"activation": "gelu"}, "no activation 'gelu'; choose one of: tanh, relu, sigmoid, identity"),
        ({"layers": (9,)}, r"layers must be up to 4 whole numbers from 1 to 8"),
        ({"layers": (1, 1, 1, 1, 1)}, r"layers must be up to 4 whole numbers"),
        ({"layers": 3}, r"layers must be up to 4 whole numbers.*not 3"),
        ({"learning_rate": 0.0}, "learning_rate must be above 0 and at most 3, not 0.0"),
        ({"noise": 0.9}, "noise must be from 0.0 to 0.5, not 0.9"),
        ({"batch_size": 0}, "batch_size must be from 1 to 160, not 0"),
        ({"l2": 1.0}, "l2 must be from 0.0 to 0.1"),
        ({"seed": -1}, "seed must be from 0"),
    ],
)
def test_wrong_options_are_one_sentence(options, message):
    with pytest.raises(traitlets.TraitError, match=message):
        Playground(**options)


def test_layers_may_be_a_tuple_a_list_or_numpy_numbers():
    for layers in ((4, 3), [4, 3], np.array([4, 3])):
        assert Playground(layers=layers).layers == [4, 3]
    assert Playground(layers=()).layers == []


# ---- in the browser: the same numbers ----


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("layers", [(), (4, 3), (8, 1, 5, 2)])
def test_forward_pass_loss_and_gradients_are_those_of_numpy(open_page, activation, layers):
    page = open_page(Playground())
    parameters, x, y = fixed_problem(layers)
    got = inspect(page, parameters, activation, x, y, l2=0.02)
    outputs = forward(parameters, activation, x)
    total, expected = gradients(parameters, activation, x, y, 0.02)
    for hidden, reference in zip(got["hidden"], outputs[1:-1], strict=True):
        np.testing.assert_allclose(hidden, reference, atol=1e-13)
    np.testing.assert_allclose(got["logits"], outputs[-1].ravel(), atol=1e-12)
    assert got["loss"] == pytest.approx(total, abs=1e-13)
    for layer, (dw, db) in enumerate(expected):
        np.testing.assert_allclose(got["gradWeights"][layer], dw, atol=1e-13)
        np.testing.assert_allclose(got["gradBiases"][layer], db, atol=1e-13)


def test_gradients_of_the_browser_agree_with_its_own_finite_differences(open_page):
    page = open_page(Playground())
    parameters, x, y = fixed_problem((3, 2))
    grads = inspect(page, parameters, "tanh", x, y, 0.01)
    for layer, (w, b) in enumerate(parameters):
        for array, grad in ((w, grads["gradWeights"][layer]), (b, grads["gradBiases"][layer])):
            numeric = numeric_gradient(lambda: inspect(page, parameters, "tanh", x, y, 0.01)["loss"], array)
            np.testing.assert_allclose(grad, numeric, atol=1e-8)


def test_loss_of_huge_logits_is_finite(open_page):
    page = open_page(Playground())
    parameters = [(np.array([[1000.0], [0.0]]), np.zeros(1))]
    x, y = np.array([[1.0, 0.0], [-1.0, 0.0]]), np.array([0.0, 0.0])
    got = inspect(page, parameters, "tanh", x, y)
    assert got["loss"] == pytest.approx(500.0)
    assert got["probabilities"] == pytest.approx([1.0, 0.0])
    assert loss(np.array([1000.0, -1000.0]), y) == pytest.approx(500.0)


@pytest.mark.parametrize("dataset", DATASETS)
def test_points_initial_weights_and_training_are_those_of_numpy(open_page, dataset):
    page = open_page(Playground())
    for activation in ("tanh", "relu"):
        got = page.js(
            "return host.modules[0].math.train(arguments[0])",
            {
                "dataset": dataset,
                "noise": 0.15,
                "seed": 3,
                "layers": [4, 3],
                "activation": activation,
                "learningRate": 0.1,
                "batchSize": 16,
                "l2": 0.001,
                "steps": 60,
            },
        )
        x, y = points(dataset, TRAIN, 0.15, 3)
        np.testing.assert_allclose(got["x"], x, atol=1e-12)
        np.testing.assert_array_equal(got["y"], y)
        start = np.concatenate([np.append(w, b) for w, b in initial_parameters((4, 3), activation, 3)])
        np.testing.assert_allclose(got["initial"], start, atol=1e-14)
        end = train(x, y, (4, 3), activation, learning_rate=0.1, batch_size=16, l2=0.001, seed=3, steps=60)
        np.testing.assert_allclose(got["theta"], np.concatenate([np.append(w, b) for w, b in end]), atol=1e-9)
        assert got["losses"][-1] < got["losses"][0]


# ---- in the browser: the figure ----

STATE = "const d = document.querySelectorAll('.cx')[arguments[0] || 0].dataset; return d."


def number(page, name, index=0):
    return float(page.js(STATE + name, index))


def test_opens_with_points_surface_and_network(open_page):
    page = open_page(Playground())
    assert len(page.all(".pg-point")) == TRAIN + HELD_OUT
    assert len(page.all(".pg-hollow")) == HELD_OUT
    assert number(page, "epoch") == 0
    for canvas in (".pg-surface", ".pg-diagram"):
        colours = page.js(
            "const c = document.querySelector(arguments[0]);"
            "const d = new Uint32Array(c.getContext('2d').getImageData(0, 0, c.width, c.height).data.buffer);"
            "return new Set(d).size",
            canvas,
        )
        assert colours > 20


def test_play_learns_moons_pause_stops_and_restart_goes_back(open_page):
    page = open_page(Playground())
    first = number(page, "loss")
    page.click(page.button("Play"))
    page.until("return Number(document.querySelector('.cx').dataset.accuracy) >= 0.99", seconds=60)
    page.click(page.button("Pause"))
    assert number(page, "loss") < 0.1 < first
    stopped = number(page, "epoch")
    page.settle(10)
    assert number(page, "epoch") == stopped
    page.said("training loss")
    page.click(page.button("Restart"))
    assert number(page, "epoch") == 0
    assert number(page, "loss") == pytest.approx(first)


def test_one_step_is_one_mini_batch(open_page):
    page = open_page(Playground(batch_size=40))
    page.click(page.button("Step"))
    page.click(page.button("Step"))
    assert number(page, "epoch") == pytest.approx(0.5)
    x, y = (part[:TRAIN] for part in points("moons", TRAIN + HELD_OUT, 0.1, 1))
    after = train(x, y, (4, 3), "tanh", learning_rate=0.1, batch_size=40, seed=1, steps=2)
    assert number(page, "loss") == pytest.approx(loss(forward(after, "tanh", x)[-1], y))


def test_identity_says_why_it_stays_straight(open_page):
    page = open_page(Playground(activation="identity"))
    assert "straight line" in page.one(".pg-caption").text
    page.set("activation", "tanh")
    assert "50 : 50" in page.one(".pg-caption").text


def test_points_are_dragged_added_and_removed(open_page):
    page = open_page(Playground(noise=0.0))
    plane = page.one(".pg-plane > svg")
    before = number(page, "loss")
    place = "return document.querySelectorAll('.pg-point')[0].getAttribute('transform')"
    was = page.js(place)
    page.drag(page.all(".pg-point")[0], 40, -30)
    assert page.js(place) != was
    assert number(page, "loss") != before
    page.click_at(plane, 100, -130)  # a corner without points
    assert number(page, "points") == 241
    assert "pg-one" in page.all(".pg-point")[-1].get_attribute("class")
    page.drag(page.all(".pg-point")[-1], 160, 0)  # out of the square
    assert number(page, "points") == 240
    page.click(page.button("Reset"))
    assert page.js(place) == was
    assert number(page, "loss") == pytest.approx(before)


def test_points_by_keyboard(open_page):
    page = open_page(Playground())
    cursor = page.one(".pg-cursor")
    page.focus(cursor)
    assert cursor.get_attribute("aria-label").startswith("Point 1 of 240, class 0, training")
    loss_before = number(page, "loss")
    page.keys("n", "\ue014", "\ue014")  # right
    assert cursor.get_attribute("aria-label").startswith("Point 2 of 240, class 1")
    assert number(page, "loss") != loss_before
    page.keys("a")
    assert number(page, "points") == 241
    page.keys("c")
    assert "class 0" in cursor.get_attribute("aria-label")
    page.keys("\ue017")  # Delete
    assert number(page, "points") == 240


def test_layers_and_units_change_and_keep_focus(open_page):
    page = open_page(Playground())
    more = page.js(
        "return [...document.querySelectorAll('.pg-steppers button')].find(b => b.dataset.key === '0+')"
    )
    page.focus(more)
    page.keys("\ue007")  # Enter
    assert page.get("layers") == [5, 3]
    page.keys("\ue007")
    assert page.get("layers") == [6, 3]
    assert page.js("return document.activeElement.dataset.key") == "0+"
    page.click(page.js("return document.querySelector('[aria-label=\"Add a hidden layer\"]')"))
    assert page.get("layers") == [6, 3, 3]
    for _ in range(3):
        page.click(page.js("return document.querySelector('[aria-label=\"Remove the last hidden layer\"]')"))
    assert page.get("layers") == []
    assert "No hidden layer" in page.one(".pg-caption").text
    page.click(page.button("Reset"))
    assert page.get("layers") == [4, 3]


def test_network_shows_weights_and_units(open_page):
    page = open_page(Playground())
    diagram = page.one(".pg-diagram-box")
    (w, _), *_ = initial_parameters((4, 3), "tanh", 1)
    page.focus(diagram)
    page.keys("\ue014")  # right: the first hidden unit
    assert page.one(".pg-net-read").text.startswith("Hidden layer 1, unit 1")
    assert "hidden layer 1, unit 1" in page.one(".pg-caption").text
    page.keys("\ue007")  # Enter: the weight from x₁
    shown = page.one(".pg-net-read").text
    assert shown.startswith("Weight from input x₁ to hidden layer 1, unit 1")
    assert float(shown.split(":")[1].replace("−", "-")) == pytest.approx(w[0, 0], abs=0.006)
    page.keys("\ue00c")  # Escape
    assert page.one(".pg-net-read").text.startswith("Blue lines")


def test_settings_reach_the_model(open_page):
    page = open_page(Playground())
    page.click(page.button("Next seed"))
    assert page.get("seed") == 2
    for label, choice, trait, expected in [
        ("Data set", "xor", "dataset", "xor"),
        ("Activation φ", "relu", "activation", "relu"),
        ("Batch size", "64", "batch_size", 64),
        ("L2 penalty", "0.003", "l2", 0.003),
    ]:
        page.js(
            "const l = [...document.querySelectorAll('label')].find((l) => l.textContent === arguments[0]);"
            "const s = document.getElementById(l.htmlFor); s.value = arguments[1];"
            "s.dispatchEvent(new Event('change'))",
            label,
            choice,
        )
        assert page.get(trait) == expected
    page.settle()
    page.click(page.button("Reset"))
    assert [page.get(n) for n in ("dataset", "activation", "batch_size", "l2", "seed")] == [
        "moons",
        "tanh",
        16,
        0,
        1,
    ]


def test_weights_that_overflow_stop_the_training_with_a_reason(open_page):
    page = open_page(Playground(layers=(8, 8), activation="identity"))
    page.set("learning_rate", 1e9)
    page.click(page.button("Play"))
    page.until(
        "return document.querySelector('.pg-caption').textContent.includes('learning rate is too large')"
    )
    assert page.button("Play")
    page.click(page.button("Reset"))
    assert number(page, "loss") < 2


def test_instances_do_not_interfere_and_clean_up(open_page):
    page = open_page(Playground(), Playground("xor"))
    page.js("document.querySelectorAll('.cx .cx-primary')[0].click()")
    page.until("return Number(document.querySelectorAll('.cx')[0].dataset.epoch) > 1", seconds=20)
    assert number(page, "epoch", 1) == 0
    page.js(
        "window.frames_ = 0; const r = requestAnimationFrame; host.disposers[0]();"
        "window.requestAnimationFrame = (f) => { frames_ += 1; return r(f); }; "
    )
    assert page.js("return Object.values(host.models[0].handlers).flat().length") == 0
    page.js("return new Promise((done) => setTimeout(done, 200))")
    assert page.js("return frames_") == 0
    assert len(page.all(".cx")) == 1


@pytest.mark.parametrize("theme", ["book-light", "book-dark"])
@pytest.mark.parametrize("width", [344, 600, 860])
@pytest.mark.parametrize("layers", [(), (4, 3), (8, 8, 8, 8)])
def test_no_text_too_small_nothing_overflows(open_page, theme, width, layers):
    page = open_page(Playground(layers=layers), theme=theme, width=width)
    assert page.audit() == []
