"""The loss explorer: its mathematics against NumPy, Keras and differences, its figure in a real browser."""

from __future__ import annotations

from xml.etree import ElementTree

import numpy as np
import pytest
import traitlets

from course_utils.explorables import LossExplorer
from course_utils.explorables.loss_explorer import (
    cross_entropy,
    cross_entropy_gradient,
    entropy,
    log_softmax,
    probabilities,
    squared_error,
    squared_error_gradient,
)
from tests.lessons.code import lesson_code

STATES = [
    ([2.0, 1.0, -1.0], 0, 1.0),
    ([-8.0, 1.0, -1.0], 0, 1.0),
    ([0.3, 0.3, 0.3], 2, 5.0),
    ([10.0, -10.0, 9.5], 1, 0.1),
    ([4.0, -2.5, 3.0], 2, 0.5),
]
each_state = pytest.mark.parametrize(("logits", "target", "temperature"), STATES)


# ---- without a browser ----


@each_state
@pytest.mark.parametrize(
    ("loss", "gradient"), [(cross_entropy, cross_entropy_gradient), (squared_error, squared_error_gradient)]
)
def test_gradients_are_the_slopes_and_sum_to_zero(loss, gradient, logits, target, temperature):
    step = 1e-6 * np.eye(3)
    logits = np.array(logits)
    slopes = [
        (loss(logits + h, target, temperature) - loss(logits - h, target, temperature)) / 2e-6 for h in step
    ]
    got = gradient(logits, target, temperature)
    np.testing.assert_allclose(got, slopes, atol=1e-6)
    assert got.sum() == pytest.approx(0, abs=1e-9)


@each_state
def test_values_are_those_of_the_lesson_and_of_keras(logits, target, temperature):
    keras = pytest.importorskip("keras")
    lesson = lesson_code("05_probability_and_losses")
    scaled = np.array([logits]) / temperature
    loss, gradient = lesson.cross_entropy(np.array([target]), scaled)
    assert cross_entropy(logits, target, temperature) == pytest.approx(loss)
    np.testing.assert_allclose(cross_entropy_gradient(logits, target, temperature), gradient[0] / temperature)
    loss, gradient = lesson.softmax_squared_error(np.array([target]), scaled)
    assert squared_error(logits, target, temperature) == pytest.approx(loss)
    np.testing.assert_allclose(
        squared_error_gradient(logits, target, temperature), gradient[0] / temperature, atol=1e-15
    )
    theirs = keras.losses.SparseCategoricalCrossentropy(from_logits=True)(np.array([target]), scaled)
    assert cross_entropy(logits, target, temperature) == pytest.approx(float(theirs), rel=1e-5)


def test_temperature_makes_the_softmax_hard_or_level():
    assert probabilities([2, 1, -1], 0.1)[0] == pytest.approx(1, abs=1e-4)
    np.testing.assert_allclose(probabilities([2, 1, -1], 1e6), 1 / 3, atol=1e-5)
    assert entropy([1, 1, 1]) == pytest.approx(np.log(3))
    assert cross_entropy([5, -3, 9], 0, 0.1) == pytest.approx(40)


@each_state
def test_preview_and_description(logits, target, temperature):
    widget = LossExplorer(logits, target, temperature)
    picture = widget.preview()
    ElementTree.fromstring(picture)
    assert len(picture.encode()) < 15_000
    assert f"true class is {'ABC'[target]}" in widget.description
    assert f"{cross_entropy(logits, target, temperature):.3g} nats" in widget.description


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"logits": [1.0, 2.0]}, "logits must hold three numbers, not 2"),
        ({"logits": [1.0, 2.0, 11.0]}, "must lie between -10 and 10, not 11"),
        ({"logits": 3}, "logits must be a list of three numbers"),
        ({"target": 3}, "target must be 0, 1 or 2, not 3"),
        ({"temperature": 0.0}, "temperature must lie between 0.1 and 10, not 0"),
    ],
)
def test_wrong_options_are_one_sentence(options, message):
    with pytest.raises(traitlets.TraitError, match=message):
        LossExplorer(**options)


def test_numpy_arrays_are_taken():
    assert LossExplorer(np.array([1, 2, 3]), np.int64(2)).logits == [1.0, 2.0, 3.0]


# ---- in the browser ----


def test_browser_computes_the_same_numbers(open_page):
    page = open_page(LossExplorer())
    functions = {
        "crossEntropy": cross_entropy,
        "crossEntropyGradient": cross_entropy_gradient,
        "squaredError": squared_error,
        "squaredErrorGradient": squared_error_gradient,
    }
    for logits, target, temperature in STATES:
        for name, function in functions.items():
            got = page.js(
                "return host.modules[0].math[arguments[0]](...arguments[1])",
                name,
                [logits, target, temperature],
            )
            np.testing.assert_allclose(
                got, function(logits, target, temperature), rtol=1e-11, atol=1e-14, err_msg=name
            )
        got = page.js("return host.modules[0].math.logSoftmax(...arguments)", logits, temperature)
        np.testing.assert_allclose(got, log_softmax(logits, temperature), rtol=1e-13, atol=1e-14)
        got = page.js("return host.modules[0].math.entropy(...arguments)", logits, temperature)
        assert got == pytest.approx(entropy(logits, temperature), abs=1e-13)


def test_a_logit_is_dragged_and_moved_with_keys(open_page):
    page = open_page(LossExplorer())
    assert page.one(".loss-surprise").text == "0.349"
    assert page.one(".loss-push").text == "−0.295"
    knob = page.all(".loss-knob")[0]
    page.drag(knob, 0, 75)
    low = page.get("logits")
    assert low[0] < -4 and low[1:] == [1, -1]
    assert page.js("return host.saves[0]") == 1  # one message to Python for one drag
    assert "sure that it is not A" in page.one(".loss-verdict").text
    gradient = page.js("return JSON.parse(document.querySelector('[data-gradient]').dataset.gradient)")
    np.testing.assert_allclose(gradient, cross_entropy_gradient(low, 0), atol=1e-12)
    page.focus(knob)
    page.keys("\ue013")  # up
    assert page.get("logits")[0] == pytest.approx(low[0] + 0.1)
    page.keys("\ue010")  # End
    assert page.get("logits")[0] == 10
    assert "10.00, probability 1.000" in knob.get_attribute("aria-valuetext")
    assert "true class" in knob.get_attribute("aria-label")


def test_the_point_on_the_curve_moves_the_true_logit(open_page):
    page = open_page(LossExplorer(target=1))
    page.drag(page.one(".loss-point"), -120, 30)
    logits = page.get("logits")
    assert logits[0] == 2 and logits[2] == -1
    assert -6 < logits[1] < -2
    assert page.js("return host.saves[0]") == 1


def test_target_temperature_and_reset(open_page):
    page = open_page(LossExplorer([5.0, -3.0, 9.0], 2, 0.1))
    assert page.one(".loss-surprise").text == "0"  # below the precision of a double
    page.click(page.all(".cx-choice input")[0])
    assert page.get("target") == 0
    assert page.one(".loss-surprise").text == "40.00"
    assert "off the scale" in page.one(".loss-tag").text
    page.js(
        "const s = document.querySelector('.cx input[type=range]'); s.value = 1;"
        "s.dispatchEvent(new Event('input')); s.dispatchEvent(new Event('change'))"
    )
    page.settle()
    assert page.get("temperature") == 10
    assert page.one(".loss-surprise").text == f"{cross_entropy([5, -3, 9], 0, 10):.3f}"
    page.click(page.button("Reset"))
    assert [page.get(n) for n in ("logits", "target", "temperature")] == [[5, -3, 9], 2, 0.1]
    assert page.all(".cx-choice input")[2].is_selected()


def test_instances_do_not_interfere_and_clean_up(open_page):
    page = open_page(LossExplorer(), LossExplorer([0.0, 0.0, 0.0], 2))
    page.drag(page.all(".loss-knob")[1], 0, -40)
    assert page.get("logits", 0)[1] > 3
    assert page.get("logits", 1) == [0, 0, 0]
    page.js("host.disposers[0]()")
    assert page.js("return Object.values(host.models[0].handlers).flat().length") == 0
    assert len(page.all(".cx")) == 1
    page.set("logits", [0, 0, 5], 1)
    assert page.one(".loss-surprise").text == f"{cross_entropy([0, 0, 5], 2):.3f}"


@pytest.mark.parametrize("theme", ["book-light", "book-dark", "lab-dark"])
@pytest.mark.parametrize("width", [344, 600, 860])
def test_no_text_too_small_nothing_overflows(open_page, theme, width):
    page = open_page(LossExplorer([-10.0, 10.0, -9.95], 2, 0.1), theme=theme, width=width)
    assert page.audit() == []
    assert page.one(".cx").get_attribute("data-cx-theme") == theme.split("-")[1]
