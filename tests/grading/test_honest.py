"""Honest submissions get exactly their marks, however they are written, and are graded once."""

from __future__ import annotations

import base64
import textwrap

import pytest

from course_utils.grading.run import Examiner
from course_utils.grading.sandbox import Limits
from tests.grading.hostile import FULL, MODEL_FULL, NOTHING, WRONG, after, lost
from tests.grading.toy import SOLUTION_SECRET, Course, answers, needs_sandbox  # noqa: F401

pytestmark = pytest.mark.usefixtures("needs_sandbox")

LIMITS = Limits(cell_seconds=30, call_seconds=20, total_seconds=120)

# Student -> what is theirs in it, and the marks for it.
HONEST = {
    "able": ({}, FULL),
    "nothing-done": (None, NOTHING | {"why": 0}),
    "slow": (
        {
            "softmax": after("import time\n\ntime.sleep(1.5)"),
            "slope": "import time\n\n\n" + answers()["slope"].replace("    x_centred", "    time.sleep(0.7)\n    x_centred"),
        },
        FULL,
    ),
    "warns": (
        {
            "softmax": """
            import sys
            import warnings

            warnings.warn("at the top")


            def softmax(logits):
                warnings.warn("softmax is old", DeprecationWarning)
                print("to stderr", file=sys.stderr)
                np.log(np.zeros(1))
                shifted = np.exp(logits - logits.max(axis=-1, keepdims=True))
                return shifted / shifted.sum(axis=-1, keepdims=True)
            """
        },
        FULL,
    ),
    "prints": (
        {
            "softmax": after("for number in range(3000):\n    print(number, 'line', end='\\r' if number % 2 else '\\n')"),
            "slope": answers()["slope"].replace("    x_centred", "    print(x, y)\n    display(x)\n    x_centred", 1),
            "count": "count = 15\ncount",
        },
        FULL,
    ),
    "plots": (
        {"softmax": after("fig, ax = plt.subplots()\nax.plot([1, 3, 2])\nax.set_title('My own')\nplt.show()")},
        FULL,
    ),
    "helpers-and-classes": (
        {
            "softmax": """
            from dataclasses import dataclass
            from functools import wraps

            TINY = 0.0


            @dataclass
            class Stable:
                scores: np.ndarray

                def exponentials(self):
                    return np.exp(self.scores - self.scores.max(axis=-1, keepdims=True))


            def checked(function):
                @wraps(function)
                def inner(scores):
                    assert scores.ndim == 2
                    return function(scores)

                return inner


            def normalised(values):
                return values / (values.sum(axis=-1, keepdims=True) + TINY)


            @checked
            def softmax(logits: np.ndarray) -> np.ndarray:
                return normalised(Stable(logits).exponentials())
            """,
            "slope": "slope = lambda x, y: np.polyfit(x, y, 1)[0]",
        },
        FULL,
    ),
    "recursion-and-generators": (
        {
            "slope": """
            def total(values):
                return values[0] + total(values[1:]) if len(values) else 0.0


            def products(a, b):
                for one, other in zip(a, b):
                    yield one * other


            def slope(x, y):
                x, y = x - total(x) / len(x), y - total(y) / len(y)
                return total(list(products(x, y))) / total([*products(x, x)])
            """,
            "numerical_gradient": """
            def numerical_gradient(function, point, step=1e-5):
                offsets = step * np.eye(len(point))
                return [(function(point + offset) - function(point - offset)) / (2 * step) for offset in offsets]
            """,
        },
        FULL,
    ),
    "other-kinds-of-values": (
        {
            "softmax": "def softmax(logits):\n    e = np.exp(logits - logits.max())\n    return (e / e.sum(1)[:, None]).tolist()",
            "slope": "def slope(x, y):\n    return np.float32(np.cov(x, y)[0, 1] / np.var(x, ddof=1))",
            "count": "count = np.int64(15)",
        },
        FULL,
    ),
    "callable-object": (
        {"softmax": "class Softmax:\n    def __call__(self, z):\n        e = np.exp(z - z.max())\n        return e / e.sum(-1, keepdims=True)\n\n\nsoftmax = Softmax()"},
        FULL,
    ),
    "magics": (
        {
            "softmax": "%%time\n" + answers()["softmax"],
            "slope": answers()["slope"] + "\n\n!ls\n%timeit -n 1 -r 1 slope(np.arange(3), np.arange(3))\n%pwd\nfiles = !ls",
        },
        FULL,
    ),
    "comments-only": ({"softmax": "# I did not have the time.", "why": "I do not know."}, lost("softmax")),
    "empty-cells": ({"softmax": "", "count": "   \n\n", "why": ""}, lost("softmax", "count") | {"why": 0}),
    "syntax-error": ({"slope": "def slope(x, y)\n    return 2"}, lost("slope")),
    "error-at-the-top": (
        {"softmax": answers()["softmax"] + "\n\n\nprint(softmax(np.zeros((2, 2))))\n1 / 0\ncount = 3"},
        FULL,
    ),
    "error-before": ({"softmax": "1 / 0\n\n" + answers()["softmax"]}, lost("softmax")),
    "half-done": ({"softmax": "def softmax(logits):\n    e = np.exp(logits)\n    return e / e.sum(-1, keepdims=True)",
                   "slope": "def slope(x, y):\n    return (y[1] - y[0]) / (x[1] - x[0]) if len(x) < 4 else None",
                   "numerical_gradient": "def numerical_gradient(function, point, step=1e-5):\n    pass"},
                  lost("slope", "gradient") | {"softmax-values": 0}),
    "wrong-axis": ({"softmax": "def softmax(logits):\n    e = np.exp(logits)\n    return e / e.sum(axis=0)", "count": "count = 12"},
                   lost("softmax", "count")),
    "uses-tensorflow": (
        {"softmax": "import tensorflow as tf\n\n\ndef softmax(logits):\n    return tf.nn.softmax(tf.constant(logits))"},
        FULL,
    ),
    "uses-earlier-task": ({"count": "count = round(15 * float(softmax(np.zeros((1, 1)))[0, 0]))"}, FULL),
}  # fmt: skip


@pytest.fixture(scope="module")
def graded(tmp_path_factory):
    """The course after one run, and the report's lines."""
    course = Course(tmp_path_factory.mktemp("honest") / "course", "toy")
    for student, (sources, _) in HONEST.items():
        if sources is None:
            course.hand_in(student, course.released["toy"])
        else:
            dedented = {name: textwrap.dedent(source).strip("\n") for name, source in sources.items()}
            course.hand_in(student, course.good(**dedented))
    return course, course.grade(jobs=2, limits=LIMITS)


@pytest.mark.parametrize("student", HONEST)
def test_marks_are_exactly_those_earned(student, graded):
    course, lines = graded
    assert lines[student].what == "graded", lines[student]
    assert course.marks()[student] == HONEST[student][1], lines[student].why
    assert lines[student].points == sum(points or 0 for points in HONEST[student][1].values())
    assert lines[student].by_hand is (HONEST[student][1]["why"] is None)


class TestWhatIsShown:
    def test_a_figure_comes_back_as_a_picture(self, graded):
        course, _ = graded
        pictures = [output["data"]["image/png"] for output in course.outputs("plots", "softmax")]
        assert [base64.b64decode(picture)[:4] for picture in pictures] == [b"\x89PNG"]
        assert any("image/png" in output.get("data", {}) for output in course.outputs("able", "plot-softmax"))

    def test_print_and_values_come_back_as_text(self, graded):
        course, _ = graded
        assert "2998 line" in course.shown("prints", "softmax")
        assert course.outputs("prints", "count")[-1]["data"] == {"text/plain": "15"}
        assert "at the top" in course.shown("warns", "softmax")

    def test_an_error_is_told_where_it_was_raised_and_where_it_cost_points(self, graded):
        course, lines = graded
        assert "ZeroDivisionError" in course.shown("error-before", "softmax")
        assert "softmax is not defined: its cell did not run to the end" in course.shown(
            "error-before", "softmax-rows"
        )
        assert "SyntaxError" in course.shown("syntax-error", "slope")
        assert "0 of 3 points" in course.shown("half-done", "softmax-values")
        assert "over which axis" in course.shown("wrong-axis", "softmax-rows")
        assert "over which axis" in lines["wrong-axis"].why

    def test_what_was_not_begun_is_called_that(self, graded):
        course, _ = graded
        assert "Not attempted yet" in course.shown("nothing-done", "slope-value")

    def test_nothing_of_solution_or_hidden_tests(self, graded):
        course, _ = graded
        for student in HONEST:
            text = str(course.autograded(student))
            assert SOLUTION_SECRET not in text
            assert "hidden_scores" not in text


def test_only_what_has_changed_is_graded_again(tmp_path):
    course = Course(tmp_path / "course", "toy")
    for student in ("ann", "ben", "col"):
        course.hand_in(student, course.good())
    assert {line.what for line in course.grade(jobs=2, limits=LIMITS).values()} == {"graded"}
    assert {line.what for line in course.grade(jobs=2, limits=LIMITS).values()} == {"unchanged"}

    course.hand_in("ben", course.good(softmax=WRONG))
    again = course.grade(jobs=2, limits=LIMITS)
    assert {student: line.what for student, line in again.items()} == {
        "ann": "unchanged",
        "ben": "graded",
        "col": "unchanged",
    }
    assert course.marks() == {"ann": FULL, "ben": lost("softmax"), "col": FULL}
    forced = course.grade(jobs=1, limits=LIMITS, force=True, students="a*")
    assert {student: line.what for student, line in forced.items()} == {"ann": "graded"}


def test_nbgrader_autograde_gives_the_same_marks(tmp_path):
    course = Course(tmp_path / "course", "toy")
    for student in ("able", "half-done"):
        sources, _ = HONEST[student]
        course.hand_in(student, course.good(**sources))
    api = course.api()
    for student in ("able", "half-done"):
        done = api.autograde("toy", student, force=False)
        assert done["success"], done
    assert course.marks() == {student: HONEST[student][1] for student in ("able", "half-done")}
    assert "over which axis" not in course.shown("able", "softmax-rows")
    assert {line.what for line in course.grade(jobs=1).values()} == {"unchanged"}  # by the same limits


def test_a_keras_model_is_graded_by_what_it_is(tmp_path):
    course = Course(tmp_path / "course", "toy-model")
    functional = """
    def build_network():
        inputs = keras.Input((4,))
        hidden = keras.layers.Dense(8, activation="relu")(inputs)
        return keras.Model(inputs, keras.layers.Dense(3, activation="softmax")(hidden))
    """
    trained = answers("toy-model")["build-network"].replace("return ", "network = ") + (
        "\n    network.compile('sgd', 'mse')"
        "\n    network.fit(np.ones((4, 4)), np.ones((4, 3)), verbose=0)\n    return network"
    )
    works = {
        "sequential": ({}, MODEL_FULL),
        "functional": ({"build_network": textwrap.dedent(functional)}, lost("network", of=MODEL_FULL) | {"network-output": 2, "network-parameters": 1}),
        "trained": ({"build_network": trained}, MODEL_FULL),
    }  # fmt: skip
    for student, (sources, _) in works.items():
        course.hand_in(student, course.good("toy-model", **sources), "toy-model")
    lines = course.grade("toy-model", jobs=2, limits=LIMITS)
    marks = course.marks("toy-model")
    for student, (_, expected) in works.items():
        assert marks[student] == expected, lines[student].why


def test_a_test_that_takes_all_memory_stops_its_submission_only():
    source = "import numpy as np\nkept = [np.ones(10**6) for _ in range(size)]"
    answer = {"id": "answer", "role": "solution", "source": "", "points": 0, "defines": ["size"]}
    test = {"id": "test", "role": "test", "source": source, "points": 1, "defines": []}
    cells = [{**cell, "visible": cell["source"]} for cell in (answer, test)]

    def job(size):
        return {
            "cells": cells,
            "sources": {"answer": f"size = {size}"},
            "limits": Limits(memory_mb=400, address_space_mb=4000, total_seconds=30).plain(),
            "preload": ["numpy"],
        }

    with Examiner(ahead=False) as examiner:
        stopped = examiner.grade(job(10**6))
        assert stopped["tests"] == {} or not stopped["tests"]["test"]["passed"]
        assert examiner.grade(job(3))["tests"]["test"]["passed"]
