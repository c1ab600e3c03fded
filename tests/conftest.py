"""Shared by all tests: nothing a test does touches the learner's own progress, caches or settings."""

from __future__ import annotations

import os

import pytest

os.environ.setdefault("MPLBACKEND", "agg")


@pytest.fixture(autouse=True, scope="session")
def own_home(tmp_path_factory):
    """Progress goes to a temporary folder for the whole test run."""
    patch = pytest.MonkeyPatch()
    patch.setenv("COURSE_HOME", str(tmp_path_factory.mktemp("home")))
    yield
    patch.undo()


@pytest.fixture(scope="session")
def lesson_runs():
    """``lesson_runs("sample")``: every lesson executed in that mode, once (kept copies are used)."""
    from course_utils.lessons import report
    from course_utils.lessons.catalogue import lessons
    from course_utils.lessons.execute import execute

    done = {}

    def runs(mode):
        if mode not in done:
            done[mode] = {run.lesson.id: run for run in execute(lessons(), mode)}
            report.save(list(done[mode].values()), mode)
        return done[mode]

    return runs


@pytest.fixture(scope="session")
def built_book(lesson_runs, tmp_path_factory):
    """The folder of the book's pages, built from the lessons as executed on the sample data."""
    from course_utils.lessons import book

    return book.build(list(lesson_runs("sample").values()), output=tmp_path_factory.mktemp("book")).parent
