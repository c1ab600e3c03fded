"""Two small assignments, a course directory around them, and what students hand in: for the tests of grading.

`toy` needs NumPy only, `toy-model` Keras. `Course` makes the directory, releases, takes submissions and reads marks
back out of nbgrader's gradebook.
"""

from __future__ import annotations

import contextlib
import copy
import json
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

# What no student may ever see; each lies where a submission would have to break out to read it.
SOLUTION_SECRET = "secret-of-the-solution-7f3a"
HIDDEN_SECRET = "secret-of-the-hidden-tests-91bc"
HIDDEN_NUMBER = "731.5523"
HIDDEN_SOURCE = ("hidden_scores", HIDDEN_NUMBER, HIDDEN_SECRET)

Notebook = dict[str, Any]
Points = dict[str, float | None]

# What right answers get; None waits for a person.
FULL: Points = {
    "softmax-rows": 2,
    "softmax-values": 3,
    "slope-value": 2,
    "gradient-value": 2,
    "count-right": 1,
    "why": None,
}
MODEL_FULL: Points = {"network-output": 2, "network-parameters": 1, "network-layers": 1, "double-value": 1}

SOFTMAX = '''def softmax(logits):
    """Softmax over the last axis.

    Parameters
    ----------
    logits : array (samples, classes)
    """
    ### BEGIN SOLUTION
    # @SECRET@
    shifted = np.exp(logits - np.max(logits, axis=-1, keepdims=True))
    return shifted / shifted.sum(axis=-1, keepdims=True)
    ### END SOLUTION'''

SLOPE = '''def slope(x, y):
    """Slope of the least-squares line through points; x and y have shape (points,)."""
    ### BEGIN SOLUTION
    # @SECRET@
    x_centred = x - np.mean(x)
    return np.sum(x_centred * (y - np.mean(y))) / np.sum(x_centred**2)
    ### END SOLUTION'''

GRADIENT = '''def numerical_gradient(function, point, step=1e-5):
    """Gradient of `function` at `point`, shape (n,), by central differences."""
    ### BEGIN SOLUTION
    # @SECRET@
    gradient = np.zeros_like(point)
    for index in range(len(point)):
        offset = np.zeros_like(point)
        offset[index] = step
        gradient[index] = (function(point + offset) - function(point - offset)) / (2 * step)
    return gradient
    ### END SOLUTION'''

COUNT = """### BEGIN SOLUTION
# @SECRET@
count = 4 * 3 + 3
### END SOLUTION"""

WRITTEN = "The largest score no longer decides everything; its gradient reaches the others too."

SOFTMAX_ROWS = """rows = softmax(np.array([[0.0, 1.0, 2.0], [3.0, 3.0, 3.0]]))
assert np.shape(rows) == (2, 3), f"softmax of 2 rows and 3 columns has shape {np.shape(rows)}"
assert np.allclose(np.sum(rows, axis=-1), 1), "The rows do not sum to 1: over which axis was the sum taken?\""""

SOFTMAX_VALUES = f"""values = softmax(np.array([[0.0, np.log(3.0)]]))
assert np.allclose(values, [[0.25, 0.75]]), "Scores whose exponentials are 1 and 3 share 1 as 1/4 and 3/4."
### BEGIN HIDDEN TESTS
hidden_scores = np.array([[{HIDDEN_NUMBER}, {HIDDEN_NUMBER} + np.log(4.0)]])  # {HIDDEN_SECRET}
assert np.allclose(softmax(hidden_scores), [[0.2, 0.8]]), "Large scores overflow: subtract the largest first."
### END HIDDEN TESTS"""

SLOPE_VALUE = """assert np.isclose(slope(np.array([0.0, 1.0, 2.0]), np.array([1.0, 3.0, 5.0])), 2), "Points on y = 2x + 1."
### BEGIN HIDDEN TESTS
hidden_x = np.array([-1.0, 0.5, 4.0, 4.5])
assert np.isclose(slope(hidden_x, 3 - 0.5 * hidden_x), -0.5), "A falling line."
### END HIDDEN TESTS"""

GRADIENT_VALUE = """found = numerical_gradient(lambda p: np.sum(p**2) + 3 * p[0], np.array([1.0, -2.0]))
assert np.allclose(found, [5.0, -4.0], atol=1e-4), "The gradient of |p|^2 + 3 p0 is 2p + (3, 0).\""""

COUNT_RIGHT = """assert count > 0, "A layer has parameters."
### BEGIN HIDDEN TESTS
assert count == 15, "Weights and biases both count."
### END HIDDEN TESTS"""

NETWORK = '''def build_network():
    """Four inputs, 8 ReLU units, softmax over 3 classes."""
    ### BEGIN SOLUTION
    return keras.Sequential(
        [keras.Input((4,)), keras.layers.Dense(8, activation="relu"), keras.layers.Dense(3, activation="softmax")]
    )
    ### END SOLUTION'''

DOUBLE = """def double(x):
    ### BEGIN SOLUTION
    return 2 * x
    ### END SOLUTION"""

NETWORK_OUTPUT = """outputs = np.asarray(build_network()(np.ones((5, 4), "float32")))
assert outputs.shape == (5, 3), f"Five samples give outputs of shape {outputs.shape}"
assert np.allclose(outputs.sum(axis=-1), 1, atol=1e-5), "The outputs are no probabilities: which activation is last?\""""

NETWORK_PARAMETERS = (
    """assert build_network().count_params() == 67, "Count the weights of both layers, and their biases.\""""
)

NETWORK_LAYERS = """network = build_network()
### BEGIN HIDDEN TESTS
assert [type(layer).__name__ for layer in network.layers] == ["Dense", "Dense"]
assert [layer.units for layer in network.layers] == [8, 3]
### END HIDDEN TESTS"""


def cell(cell_id: str, source: str, kind: str = "code", *tags: str, **nbgrader: Any) -> dict[str, Any]:
    """A notebook cell; with keywords, one that nbgrader manages."""
    made: dict[str, Any] = {"cell_type": kind, "id": cell_id, "metadata": {}, "source": source}
    if kind == "code":
        made |= {"execution_count": None, "outputs": []}
    if tags:
        made["metadata"]["tags"] = list(tags)
    if nbgrader:
        flags = {"grade": False, "solution": False, "locked": False, "task": False} | nbgrader
        made["metadata"]["nbgrader"] = {"grade_id": cell_id, "schema_version": 3} | flags
    return made


def notebook(*cells: dict[str, Any]) -> Notebook:
    metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    return {"cells": list(cells), "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}


def _solution(cell_id: str, source: str) -> dict[str, Any]:
    return cell(cell_id, source.replace("@SECRET@", SOLUTION_SECRET), solution=True)


def _test(cell_id: str, source: str, points: float) -> dict[str, Any]:
    return cell(cell_id, source, grade=True, locked=True, points=points)


def toy() -> Notebook:
    """The NumPy assignment as a teacher wrote it: 10 points by tests and 2 by hand."""
    plot = "plt.figure(figsize=(2, 1))\nplt.axis('off')\nplt.plot(softmax(np.array([[0.0, 1.0, 2.0]]))[0])\nplt.show()"
    return notebook(
        cell("title", "# Toy", "markdown"),
        cell("imports", "import matplotlib.pyplot as plt\nimport numpy as np", locked=True),
        _solution("softmax", SOFTMAX),
        cell("plot-softmax", plot, "code", "demo", locked=True),
        _test("softmax-rows", SOFTMAX_ROWS, 2),
        _test("softmax-values", SOFTMAX_VALUES, 3),
        _solution("slope", SLOPE),
        _test("slope-value", SLOPE_VALUE, 2),
        _solution("numerical-gradient", GRADIENT),
        _test("gradient-value", GRADIENT_VALUE, 2),
        _solution("count", COUNT),
        _test("count-right", COUNT_RIGHT, 1),
        cell("why", "What does dividing by a temperature change?", "markdown", grade=True, solution=True, points=2),
    )  # fmt: skip


def toy_model() -> Notebook:
    """The Keras assignment as a teacher wrote it: 5 points."""
    return notebook(
        cell("title", "# Toy network", "markdown"),
        cell("imports", "import keras\nimport numpy as np", locked=True),
        _solution("build-network", NETWORK),
        _test("network-output", NETWORK_OUTPUT, 2),
        _test("network-parameters", NETWORK_PARAMETERS, 1),
        _test("network-layers", NETWORK_LAYERS, 1),
        _solution("double", DOUBLE),
        _test("double-value", "assert np.allclose(double(np.arange(3)), [0, 2, 4])", 1),
    )


ASSIGNMENTS: dict[str, Callable[[], Notebook]] = {"toy": toy, "toy-model": toy_model}


def answers(assignment: str = "toy") -> dict[str, str]:
    """The right source of each solution cell and written answer, as an able student writes it."""
    found = {}
    for each in ASSIGNMENTS[assignment]()["cells"]:
        meta = each["metadata"].get("nbgrader", {})
        if meta.get("solution") and not meta["grade"]:
            found[each["id"]] = re.sub(r"^ *#.*\n?", "", each["source"], flags=re.MULTILINE).rstrip()
        elif meta.get("solution"):
            found[each["id"]] = WRITTEN
    return found


def find(submitted: Notebook, cell_id: str) -> dict[str, Any]:
    """The cell of a notebook with this id."""
    return next(each for each in submitted["cells"] if each.get("id") == cell_id)


def fill(released: Notebook, sources: dict[str, str]) -> Notebook:
    """The released notebook with these sources in its cells, all else as it was."""
    filled = copy.deepcopy(released)
    for cell_id, source in sources.items():
        find(filled, cell_id)["source"] = source
    return filled


class Course:
    """A course directory with these assignments, all released.

    Attributes
    ----------
    root : Path
    released : dict
        Assignment -> the notebook that students get.
    """

    CONFIG = (
        "from course_utils.grading import nbgrader_settings\n\n"
        "c = get_config()\nnbgrader_settings.apply(c, __file__)\n"
    )

    def __init__(self, root: Path, *assignments: str) -> None:
        self.root = root
        root.mkdir(parents=True, exist_ok=True)
        (root / "nbgrader_config.py").write_text(self.CONFIG)
        self.released: dict[str, Notebook] = {}
        for name in assignments or ("toy",):
            source = root / "source" / name / f"{name}.ipynb"
            source.parent.mkdir(parents=True)
            source.write_text(json.dumps(ASSIGNMENTS[name](), indent=1))
            done = self.api().generate_assignment(name)
            assert done["success"], done
            self.released[name] = json.loads((root / "release" / name / f"{name}.ipynb").read_text())

    def coursedir(self) -> Any:
        """nbgrader's own view of the directory."""
        from course_utils.grading import nbgrader_settings

        return nbgrader_settings.course_directory(self.root)

    def api(self) -> Any:
        """nbgrader's interface for programs, on this directory."""
        from nbgrader.apps.api import NbGraderAPI

        coursedir = self.coursedir()
        return NbGraderAPI(coursedir, config=coursedir.config)

    def good(self, assignment: str = "toy", **sources: str) -> Notebook:
        """The released notebook with right answers; ``softmax="..."`` takes the place of one (``_`` stands for ``-``)."""
        chosen = {name.replace("_", "-"): source for name, source in sources.items()}
        return fill(self.released[assignment], answers(assignment) | chosen)

    def hand_in(
        self,
        student: str,
        submitted: Notebook | str | bytes | Callable[[Path], None],
        assignment: str = "toy",
    ) -> Path:
        """Put a submission where `collect` would: a notebook, a file's content, or a function that makes the folder."""
        folder = self.root / "submitted" / student / assignment
        if callable(submitted):
            folder.parents[1].mkdir(exist_ok=True)
            submitted(folder)
            return folder
        folder.mkdir(parents=True, exist_ok=True)
        if isinstance(submitted, dict):
            submitted = json.dumps(submitted)
        if isinstance(submitted, str):
            submitted = submitted.encode()
        (folder / f"{assignment}.ipynb").write_bytes(submitted)
        return folder

    def grade(self, assignment: str = "toy", **options: Any) -> dict[str, Any]:
        """Grade a class through `batch.grade`; the report's line of each student."""
        from course_utils.grading import batch

        lines = batch.grade(self.coursedir(), assignment, batch.Options(**options))
        return {line.student: line for line in lines}

    def marks(self, assignment: str = "toy") -> dict[str, dict[str, float | None]]:
        """Student -> cell -> points that the tests gave, as they stand in the gradebook; None waits for a person."""
        from nbgrader.api import Gradebook

        coursedir = self.coursedir()
        with Gradebook(coursedir.db_url, coursedir.course_id) as book:
            return {
                submission.student.id: {
                    grade.name: grade.auto_score for part in submission.notebooks for grade in part.grades
                }
                for submission in book.assignment_submissions(assignment)
            }

    def autograded(self, student: str, assignment: str = "toy") -> Notebook:
        """The notebook that Formgrader and feedback show."""
        path = self.root / "autograded" / student / assignment / f"{assignment}.ipynb"
        return json.loads(path.read_text(encoding="utf-8"))

    def outputs(self, student: str, cell_id: str, assignment: str = "toy") -> list[dict[str, Any]]:
        return find(self.autograded(student, assignment), cell_id)["outputs"]

    def shown(self, student: str, cell_id: str, assignment: str = "toy") -> str:
        """All text that a cell shows in the graded notebook."""
        parts = []
        for output in self.outputs(student, cell_id, assignment):
            parts.append(output.get("text", "") or output.get("data", {}).get("text/plain", ""))
            parts += output.get("traceback", [])
        return "\n".join("".join(part) for part in parts)


def started_since(before: set[int]) -> list[psutil.Process]:
    """Processes below this one that are neither among ``before`` nor started by those (a browser starts some at any time)."""
    now = psutil.Process().children(recursive=True)
    theirs: set[int] = set()
    for process in now:
        if process.pid in before:
            with contextlib.suppress(psutil.Error):
                theirs |= {child.pid for child in process.children(recursive=True)}
    return [process for process in now if process.pid not in before | theirs]


@pytest.fixture(scope="session")
def needs_sandbox():
    """Skip where there is no bubblewrap; in continuous integration fail, so that nobody misses it there."""
    from course_utils.grading import sandbox
    from course_utils.grading.errors import GradingError

    try:
        sandbox.check()
    except GradingError as error:
        if os.environ.get("CI") and sys.platform == "linux":
            raise
        pytest.skip(str(error))
