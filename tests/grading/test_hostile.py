"""Hostile submissions get exactly their marks, change and learn nothing, and harm nobody else's."""

from __future__ import annotations

import dataclasses
import json
import os
import time
from types import SimpleNamespace

import psutil
import pytest

from tests.grading import hostile
from tests.grading.hostile import CASES, FULL, MODEL_FULL, lost
from tests.grading.toy import needs_sandbox, started_since  # noqa: F401

pytestmark = pytest.mark.usefixtures("needs_sandbox")

# Their names put them at the beginning, in the middle and at the end of each class.
HONEST = {
    "toy": {
        "a-able": ({}, FULL),
        "h-middling": ({"softmax": hostile.WRONG, "count": "count = 12"}, lost("softmax", "count")),
        "h-released": (None, dict.fromkeys(FULL, 0)),
        "z-able": ({}, FULL),
    },
    "toy-model": {"a-able": ({}, MODEL_FULL)},
}


def _of_this_batch(sign: str) -> list[psutil.Process]:
    """Processes that this batch started, also those that left the tree of processes."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        if any(sign in part for part in process.info["cmdline"] or []):
            found.append(process)
    return found


@pytest.fixture(scope="module")
def graded(tmp_path_factory):
    """``graded("toy")``: the class after one run of `batch.grade`, and what was there before and after."""
    done, opened = {}, []

    def run(assignment: str) -> SimpleNamespace:
        if assignment not in done:
            folder = tmp_path_factory.mktemp(assignment)
            honest = {student: sources for student, (sources, _) in HONEST[assignment].items()}
            around = hostile.Surroundings(folder, assignment, honest)
            opened.append(around)
            # A number of its own stands in the command line of each process, by which to find those left over.
            own = dataclasses.replace(hostile.limits(assignment), file_mb=64 + os.getpid() / 2**23)
            before = {process.pid for process in psutil.Process().children(recursive=True)}
            begun = time.monotonic()
            lines = around.course.grade(assignment, jobs=3 if assignment == "toy" else 2, limits=own)
            seconds = time.monotonic() - begun
            time.sleep(0.5)
            left = started_since(before)
            left += _of_this_batch(f'"file_mb": {own.file_mb}')
            done[assignment] = SimpleNamespace(
                around=around,
                course=around.course,
                lines=lines,
                marks=around.course.marks(assignment),
                seconds=seconds,
                left=left,
                connections=around.connections(),
            )
        return done[assignment]

    yield run
    for around in opened:
        around.__exit__()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_hostile_submission(case, graded):
    run = graded(case.assignment)
    line = run.lines[case.student]
    if case.points == "refused":
        assert line.what == "refused", line
        assert line.why.startswith("not accepted: ") and len(line.why) < 1000
        assert set(run.marks[case.student].values()) == {0.0}
    else:
        assert line.what == "graded", line
        assert run.marks[case.student] == case.points, line.why
    assert line.why.isprintable()
    assert hostile.active_content(run.course.autograded(case.student, case.assignment)) == []
    assert run.around.secrets_shown(case.student) == []
    if case.check is not None:
        case.check(run.course, case.student)


@pytest.mark.parametrize(
    ("assignment", "student"),
    [(name, student) for name, honest in HONEST.items() for student in (*honest, "other")],
)
def test_honest_submission_beside_them(assignment, student, graded):
    run = graded(assignment)
    expected = HONEST[assignment].get(student, HONEST[assignment]["a-able"])[
        1
    ]  # "other" is attacked, and able
    assert run.marks[student] == expected, run.lines[student].why
    assert hostile.active_content(run.course.autograded(student, assignment)) == []


@pytest.mark.parametrize("assignment", HONEST)
class TestTheBatch:
    def test_has_a_result_for_everybody(self, assignment, graded):
        run = graded(assignment)
        submitted = {path.name for path in (run.course.root / "submitted").iterdir()}
        assert set(run.lines) == submitted
        assert {line.what for line in run.lines.values()} <= {"graded", "refused"}
        assert set(run.marks) == submitted
        assert (
            max(line.seconds for line in run.lines.values()) < hostile.limits(assignment).total_seconds + 15
        )

    def test_changes_nothing_outside(self, assignment, graded):
        run = graded(assignment)
        before, after = run.around.before, run.around.state()
        assert after.keys() == before.keys()
        assert [path for path in before if before[path] != after[path]] == []
        known = {"nbgrader_config.py", "source", "release", "submitted", *run.around.WRITTEN_BY_GRADING}
        assert {path.name for path in run.course.root.iterdir() if "course-test-" not in path.name} <= known

    def test_lets_nobody_out(self, assignment, graded):
        run = graded(assignment)
        assert run.connections == 0
        assert run.around.victim.poll() is None

    def test_leaves_no_process(self, assignment, graded):
        assert graded(assignment).left == []

    def test_writes_the_gradebook_of_this_assignment_only(self, assignment, graded):
        from nbgrader.api import Gradebook

        run = graded(assignment)
        coursedir = run.course.coursedir()
        with Gradebook(coursedir.db_url, coursedir.course_id) as book:
            assert [each.name for each in book.assignments] == [assignment]
            most = sum(points or 2 for points in (FULL if assignment == "toy" else MODEL_FULL).values())
            assert all(each.max_score == most for each in book.assignment_submissions(assignment))

    def test_keeps_given_cells_and_tests_as_released(self, assignment, graded):
        run = graded(assignment)
        released = {cell["id"]: cell for cell in run.course.released[assignment]["cells"]}
        for student in run.lines:
            cells = [
                cell
                for cell in run.course.autograded(student, assignment)["cells"]
                if cell["id"] != "about-this-submission"
            ]
            assert [cell["id"] for cell in cells] == list(released)
            for cell in cells:
                expected = released[cell["id"]]
                assert (cell["cell_type"], cell["metadata"]) == (expected["cell_type"], expected["metadata"])
                if not expected["metadata"].get("nbgrader", {}).get("solution"):
                    source = "".join(cell["source"])
                    assert source.startswith("".join(expected["source"])), json.dumps(source)
