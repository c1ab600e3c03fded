"""Marks survive: a grader killed at any moment, a full disk, a gradebook that is away, a course that changed."""

from __future__ import annotations

import errno
import json
import random
import shutil
import signal
import subprocess
import sys
import time
from datetime import datetime

import pytest

from course_utils.grading import batch, record
from course_utils.grading.errors import GradingError
from tests.grading.toy import FULL, Course, needs_sandbox  # noqa: F401

HALF = FULL | {"slope-value": 0}
NO_SLOPE = "def slope(x, y):\n    return 0.0"


@pytest.fixture(scope="module")
def released(tmp_path_factory):
    """A released course; tests take copies, since releasing takes seconds."""
    return Course(tmp_path_factory.mktemp("released") / "course")


@pytest.fixture
def course(released, tmp_path):
    shutil.copytree(released.root, tmp_path / "course")
    copied = Course.__new__(Course)
    copied.root, copied.released = tmp_path / "course", released.released
    return copied


def command(course, *options):
    return [sys.executable, "-m", "course_utils.cli", "grade", "toy", "--course-dir", str(course.root), "--jobs", "2",
            *options]  # fmt: skip


@pytest.mark.usefixtures("needs_sandbox")
def test_a_killed_grader_loses_no_finished_mark(course):
    """Killed by SIGKILL at random moments, again and again; in the end all marks are there and right."""
    expected = {}
    for number in range(9):
        wrong = number % 3 == 0
        course.hand_in(f"s{number:02}", course.good(slope=NO_SLOPE) if wrong else course.good())
        expected[f"s{number:02}"] = HALF if wrong else FULL
    results = course.root / ".grading" / "results" / "toy"
    chance = random.Random(7)
    kept: dict[str, bytes] = {}
    for attempt in range(4):
        grader = subprocess.Popen(command(course), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until = time.monotonic() + 60
        wanted = len(kept) + chance.randint(1, 2)
        while (
            time.monotonic() < until and grader.poll() is None and len(list(results.glob("s*.json"))) < wanted
        ):
            time.sleep(0.005)
        time.sleep(chance.random() * 0.05)
        grader.send_signal(signal.SIGKILL)
        grader.wait()
        now = {path.name: path.read_bytes() for path in results.glob("s*.json")}
        assert kept.items() <= now.items(), f"attempt {attempt} changed or lost a finished mark"
        assert all(json.loads(content)["student"] + ".json" == name for name, content in now.items())
        kept = now
        for student, points in course.marks().items():  # whole or not at all
            assert points == expected[student] or set(points.values()) == {None}, student
    assert len(kept) > 0
    last = subprocess.run(command(course), capture_output=True, text=True, check=False)
    assert last.returncode == 0, last.stdout + last.stderr
    assert course.marks() == expected
    for student in expected:
        assert course.autograded(student)["cells"]
    after = {path.name: path.read_bytes() for path in results.glob("s*.json")}
    assert kept.items() <= after.items()
    left = [path for path in (course.root / ".grading").rglob("*") if path.name.startswith(".")]
    assert [*left, *(course.root / ".grading" / "waiting").iterdir()] == [], (
        "half-written files are left behind"
    )


@pytest.mark.usefixtures("needs_sandbox")
def test_two_runs_do_not_grade_the_same_course_at_once(course):
    course.hand_in("ann", course.good())
    with record.only_one(course.root), pytest.raises(GradingError, match="Another run is grading"):
        course.grade()
    assert course.grade()["ann"].what == "graded"


@pytest.mark.usefixtures("needs_sandbox")
def test_a_mark_that_is_finished_but_not_recorded_is_recorded_by_the_next_run(course, monkeypatch):
    course.hand_in("ann", course.good())

    def broken(self, mark):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(record.Results, "record", broken)
        assert "No space left" in course.grade()["ann"].why
    assert course.grade()["ann"].what == "unchanged"
    assert course.marks() == {"ann": FULL}


@pytest.mark.usefixtures("needs_sandbox")
def test_a_full_disk_is_told_for_the_student_and_the_rest_goes_on(course, monkeypatch):
    for student in ("ann", "ben", "cay"):
        course.hand_in(student, course.good())
    whole = record.write_whole

    def full(path, text):
        if "ben" in str(path):
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        whole(path, text)

    monkeypatch.setattr(record, "write_whole", full)
    lines = course.grade()
    assert {name: line.what for name, line in lines.items()} == {
        "ann": "graded",
        "ben": "failed",
        "cay": "graded",
    }
    assert "No space left on device" in lines["ben"].why
    monkeypatch.setattr(record, "write_whole", whole)
    lines = course.grade()
    assert {name: line.what for name, line in lines.items()} == {
        "ann": "unchanged",
        "ben": "graded",
        "cay": "unchanged",
    }
    assert course.marks()["ben"] == FULL


@pytest.mark.usefixtures("needs_sandbox")
def test_a_known_time_of_submission_is_recorded_once(course, monkeypatch):
    from course_utils.grading import intake

    course.hand_in("ann", course.good())
    monkeypatch.setattr(intake, "submitted_at", lambda *which: datetime(2026, 3, 1, 12, 30, 5, 250000))
    course.grade()
    monkeypatch.setattr(record.Results, "record", lambda self, mark: pytest.fail("recorded again"))
    assert course.grade()["ann"].what == "unchanged"


@pytest.mark.usefixtures("needs_sandbox")
def test_what_a_person_graded_stays_when_graded_again(course):
    from nbgrader.api import Gradebook

    course.hand_in("ann", course.good())
    course.grade()
    coursedir = course.coursedir()
    with Gradebook(coursedir.db_url, coursedir.course_id) as book:
        grade = book.find_grade("why", "toy", "toy", "ann")
        grade.manual_score, grade.needs_manual_grade = 1.5, False
        book.db.commit()
    course.grade(force=True)
    with Gradebook(coursedir.db_url, coursedir.course_id) as book:
        assert book.find_grade("why", "toy", "toy", "ann").manual_score == 1.5
        assert book.find_submission("toy", "ann").score == 11.5


@pytest.mark.usefixtures("needs_sandbox")
def test_a_changed_submission_and_a_changed_test_are_graded_again(course):
    course.hand_in("ann", course.good(slope=NO_SLOPE))
    course.hand_in("ben", course.good())
    assert {line.what for line in course.grade().values()} == {"graded"}
    assert {line.what for line in course.grade().values()} == {"unchanged"}
    course.hand_in("ann", course.good())
    assert {name: line.what for name, line in course.grade().items()} == {"ann": "graded", "ben": "unchanged"}
    source = course.root / "source" / "toy" / "toy.ipynb"
    source.write_text(source.read_text().replace("Points on y = 2x + 1.", "These points lie on y = 2x + 1."))
    assert {line.what for line in course.grade().values()} == {"graded"}


def test_an_assignment_with_other_points_than_released_is_not_graded(course):
    source = course.root / "source" / "toy" / "toy.ipynb"
    content = json.loads(source.read_text())
    next(c for c in content["cells"] if c["id"] == "softmax-rows")["metadata"]["nbgrader"]["points"] = 20
    source.write_text(json.dumps(content))
    course.hand_in("ann", course.good())
    with pytest.raises(GradingError, match=r"softmax-rows.*nbgrader generate_assignment toy --force"):
        course.grade()


@pytest.mark.parametrize(
    ("break_it", "said"),
    [
        (lambda course: None, "Nothing has been handed in for toy"),
        (lambda course: (course.root / "gradebook.db").write_bytes(b"no database"), "cannot be opened"),
        (lambda course: shutil.rmtree(course.root / "source"), "There is no notebook"),
        (
            lambda course: (course.root / "source" / "toy" / "toy.ipynb").write_text("{"),
            "not a readable notebook",
        ),
    ],
)
def test_what_the_teacher_has_to_settle_is_one_sentence(course, break_it, said):
    if said.startswith(("cannot",)):
        course.hand_in("ann", course.good())
    break_it(course)
    with pytest.raises(GradingError, match=said) as found:
        course.grade()
    assert "\n" not in str(found.value)


def test_a_database_address_is_shown_without_its_password():
    shown = record._without_password("postgresql://teacher:secret@db.example.org/course")
    assert "secret" not in shown and "db.example.org/course" in shown


@pytest.mark.usefixtures("needs_sandbox")
def test_a_read_only_course_directory_is_told(course, capsys, monkeypatch):
    from course_utils import cli

    def read_only(path, text):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    course.hand_in("ann", course.good())
    monkeypatch.setattr(batch, "write_whole", read_only)
    assert cli.main(["grade", "toy", "--course-dir", str(course.root)]) == 1
    assert "Permission denied" in capsys.readouterr().err


def test_the_report_is_a_table_that_no_spreadsheet_runs():
    lines = [batch.Line("ann", "graded", 3, 5, True, 1.25, "=cmd()"), batch.Line("ben", "failed", why="a, b")]
    assert batch.table(lines).splitlines() == [
        "student,result,points,max_points,waits_for_hand_grading,seconds,why",
        "ann,graded,3,5,yes,1.2,'=cmd()",
        'ben,failed,0,0,no,0.0,"a, b"',
    ]
