"""The whole way of an assignment through nbgrader's own commands, as a teacher and a student type them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.grading.toy import FULL, HIDDEN_SOURCE, SOLUTION_SECRET, Course, fill, needs_sandbox  # noqa: F401

WRONG = "def softmax(logits):\n    e = np.exp(logits)\n    return e / e.sum()"


class Place:
    """A folder in which a person types nbgrader commands."""

    def __init__(self, folder: Path, exchange: Path, config: str = "") -> None:
        self.folder = folder
        folder.mkdir(exist_ok=True)
        config = config or "c = get_config()\nc.CourseDirectory.course_id = 'deep-learning'\n"
        (folder / "nbgrader_config.py").write_text(f"{config}\nc.Exchange.root = {str(exchange)!r}\n")
        self.environment = os.environ | {
            "JUPYTER_DATA_DIR": str(folder / ".jupyter"),
            "JUPYTER_CONFIG_DIR": str(folder / ".jupyter-config"),
        }

    def nbgrader(self, *arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "nbgrader", *arguments], cwd=self.folder, env=self.environment,
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        said = done.stdout + done.stderr
        assert done.returncode == 0, said
        return said


@pytest.fixture(scope="module")
def way(tmp_path_factory, needs_sandbox):  # noqa: F811
    """Everything from release to returned feedback; what each command said, and the two places."""
    folder = tmp_path_factory.mktemp("flow")
    exchange = folder / "exchange"
    exchange.mkdir(mode=0o777)
    exchange.chmod(0o777)
    course = Course(folder / "course")
    teacher = Place(course.root, exchange, Course.CONFIG)
    student = Place(folder / "student", exchange)
    said = {"release": teacher.nbgrader("release_assignment", "toy")}
    student.nbgrader("fetch_assignment", "toy")
    notebook = student.folder / "toy" / "toy.ipynb"
    fetched = json.loads(notebook.read_text())
    notebook.write_text(json.dumps(fill(fetched, {"softmax": WRONG})))
    said["validate wrong"] = student.nbgrader("validate", "toy/toy.ipynb")
    answered = course.good(softmax=WRONG)
    notebook.write_text(json.dumps(answered))
    said["submit"] = student.nbgrader("submit", "toy")
    said["collect"] = teacher.nbgrader("collect", "toy")
    said["autograde"] = teacher.nbgrader("autograde", "toy")
    said["feedback"] = teacher.nbgrader("generate_feedback", "toy")
    teacher.nbgrader("release_feedback", "toy")
    student.nbgrader("fetch_feedback", "toy")
    said["export"] = teacher.nbgrader("export", "--to", "marks.csv")
    (feedback,) = (student.folder / "toy" / "feedback").rglob("*.html")
    return course, fetched, said, feedback.read_text(encoding="utf-8")


def test_the_student_gets_neither_solutions_nor_hidden_tests(way):
    _, fetched, _, _ = way
    text = json.dumps(fetched)
    assert SOLUTION_SECRET not in text
    assert not [part for part in HIDDEN_SOURCE if part in text]
    assert "YOUR CODE HERE" in text


def test_validate_tells_the_student_what_is_wrong(way):
    assert "VALIDATION FAILED" in way[2]["validate wrong"]
    assert "over which axis" in way[2]["validate wrong"]


def test_marks_are_those_of_the_tests(way):
    course, _, said, _ = way
    (marks,) = course.marks().values()
    assert marks == FULL | {"softmax-rows": 0, "softmax-values": 0}
    assert "graded, 5 of 12 points" in said["autograde"]
    rows = (course.root / "marks.csv").read_text().splitlines()
    assert len(rows) == 2 and ",5.0,12.0" in rows[1]


def test_the_time_of_submission_is_that_of_the_exchange(way):
    from nbgrader.api import Gradebook

    course = way[0]
    coursedir = course.coursedir()
    with Gradebook(coursedir.db_url, coursedir.course_id) as book:
        (submission,) = book.assignment_submissions("toy")
        assert submission.timestamp is not None
        record = json.loads(
            (course.root / ".grading" / "collected" / "toy" / f"{submission.student.id}.json").read_text()
        )
    assert record["from"] == "exchange"


def test_feedback_says_why_and_shows_no_hidden_test(way):
    feedback = way[3]
    assert "over which axis" in feedback
    assert "Hidden tests of this cell ran as well" in feedback
    assert not [part for part in HIDDEN_SOURCE if part in feedback]
    assert SOLUTION_SECRET not in feedback
