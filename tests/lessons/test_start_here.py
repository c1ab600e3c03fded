"""The small functions of lesson 00, and the worked values that its exercises promise."""

import numpy as np
import pytest

from course_utils.checks import start_here as check
from tests.lessons.code import lesson_code


@pytest.fixture(scope="module")
def lesson():
    return lesson_code("00_start_here")


def test_worked_values_of_the_exercises():
    np.testing.assert_allclose(check.standardise.reference(np.array([[1, 2], [3, 2.5]])), [[-1, -1], [1, 1]])
    step = check.gradient_step.reference(0.0, 0.0, np.array([1.0, 3.0]), np.array([2.0, 4.0]), 0.1)
    np.testing.assert_allclose(step, (1.4, 0.6))
    table = np.array([[1, 2, 3], [4, 5, 6]])
    assert table.sum(axis=0).tolist() == check.first_answer.reference


def test_gradient_step_is_the_numerical_slope():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=9), rng.normal(size=9)
    w, b, h = 0.4, -0.3, 1e-6

    def loss(w, b):
        return ((w * x + b - y) ** 2).mean()

    slope_w = (loss(w + h, b) - loss(w - h, b)) / (2 * h)
    slope_b = (loss(w, b + h) - loss(w, b - h)) / (2 * h)
    step = check.gradient_step.reference(w, b, x, y, 0.5)
    np.testing.assert_allclose(step, (w - 0.5 * slope_w, b - 0.5 * slope_b), rtol=1e-6)


def test_many_steps_reach_the_least_squares_line():
    rng = np.random.default_rng(1)
    x = rng.uniform(-2, 2, 40)
    y = 1.5 * x - 0.5 + rng.normal(0, 0.4, 40)
    w = b = 0.0
    for _ in range(500):
        w, b = check.gradient_step.reference(w, b, x, y, 0.1)
    np.testing.assert_allclose((w, b), np.polyfit(x, y, 1), rtol=1e-9)


def test_a_seed_fixes_the_sequence_and_not_the_place(lesson):
    def draw(warm_up=0):
        return lesson.noisy_measurement(np.random.default_rng(5), warm_up)

    assert np.array_equal(draw(), draw())
    assert np.array_equal(draw(warm_up=1)[:2], draw()[1:])
    assert not np.array_equal(draw(warm_up=1), draw())


def test_the_wrong_solution_shown_is_caught_and_explained(lesson):
    verdict = check.standardise.judge(lesson.hasty_standardise)
    assert verdict.status == "error"
    assert "(4,3) (4,)" in verdict.message


def test_only_top_to_bottom_gives_the_price_on_the_page(lesson):
    lesson.run_cells.__globals__["cells"] = {
        "A": "price = 100",
        "B": "price = price * 1.2",
        "C": "result = round(price)",
    }
    assert [lesson.run_cells(order) for order in ("ABC", "ABBC", "ACB")] == [120, 144, 100]
    assert lesson.run_cells("BC").startswith("NameError")
