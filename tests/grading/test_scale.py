"""Grading on the workers of a Dask cluster."""

from __future__ import annotations

import psutil
import pytest

from course_utils.grading import batch
from course_utils.grading.errors import GradingError
from tests.grading.toy import Course, needs_sandbox, started_since  # noqa: F401

distributed = pytest.importorskip("distributed")


@pytest.fixture
def cluster():
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=2, processes=False, dashboard_address=None
    ) as made:
        yield made


@pytest.mark.usefixtures("needs_sandbox")
def test_workers_give_the_same_marks_and_leave_nothing_running(tmp_path, cluster):
    course = Course(tmp_path / "course")
    for number in range(5):
        wrong = {"slope": "def slope(x, y):\n    import os\n    os._exit(0)"} if number == 2 else {}
        course.hand_in(f"s{number}", course.good(**wrong))
    before = {process.pid for process in psutil.Process().children(recursive=True)}
    lines = course.grade(scheduler=cluster.scheduler_address)
    assert {name: line.points for name, line in lines.items()} == {
        "s0": 10,
        "s1": 10,
        "s2": 8,
        "s3": 10,
        "s4": 10,
    }
    _, alive = psutil.wait_procs(started_since(before), timeout=10)
    assert alive == []
    assert {line.what for line in course.grade(scheduler=cluster.scheduler_address).values()} == {"unchanged"}


def test_where_no_scheduler_answers_the_teacher_is_told():
    with pytest.raises(GradingError, match=r"no Dask scheduler at tcp://127\.0\.0\.1:9"):
        batch._connect("tcp://127.0.0.1:9")


def test_a_cluster_without_workers_is_told():
    with (
        distributed.LocalCluster(n_workers=0, processes=False, dashboard_address=None) as empty,
        pytest.raises(GradingError, match="has no workers"),
    ):
        batch._connect(empty.scheduler_address)


def test_without_dask_the_teacher_is_told_what_to_install(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(GradingError, match=r"course-utils\[scale\]"):
        batch._connect("tcp://127.0.0.1:8786")
