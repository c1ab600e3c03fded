"""Shared by all tests: nothing a test does touches the learner's own progress, caches or settings."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

os.environ.setdefault("MPLBACKEND", "agg")


@pytest.fixture(autouse=True, scope="session")
def own_home(tmp_path_factory):
    """Progress goes to a temporary folder for the whole test run."""
    patch = pytest.MonkeyPatch()
    patch.setenv("COURSE_HOME", str(tmp_path_factory.mktemp("home")))
    yield
    patch.undo()


def _needs_lessons(item) -> bool:
    return "lesson_runs" in getattr(item, "fixturenames", ())


def pytest_collection_modifyitems(items):
    """Tests of executed lessons come last: until then the lessons run beside the other tests."""
    items.sort(key=_needs_lessons)


@pytest.fixture(autouse=True, scope="session")
def lessons_beside(request, own_home):
    """Lessons are executed by a second process, one after the other, while this one tests the rest.

    What it has done is kept and found by ``lesson_runs``, which ends it and runs what is left. Most tests
    use one processor only, so on two of them the whole run takes little more than half the time.
    """
    items = request.session.items
    if _needs_lessons(items[0]) or not _needs_lessons(items[-1]) or (os.cpu_count() or 1) < 2:
        yield lambda: None
        return
    import matplotlib.font_manager  # noqa: F401  writes its list of fonts, which a first lesson would announce

    modes = ["sample", "full"] if os.environ.get("COURSE_DATA_MIRROR") else ["sample"]
    code = f"from course_utils.cli import main\nfor mode in {modes}: main(['run', '--jobs', '1', '--data', mode])"
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )

    def end():
        process.kill()  # what only asks is answered by nbclient, which goes on; kernels end with their parent
        process.wait()

    yield end
    end()


@pytest.fixture(scope="session")
def lesson_runs(lessons_beside):
    """``lesson_runs("sample")``: every lesson executed in that mode, once (kept copies are used)."""
    from course_utils.lessons import report
    from course_utils.lessons.catalogue import lessons
    from course_utils.lessons.execute import execute

    done = {}

    def runs(mode):
        if mode not in done:
            lessons_beside()
            done[mode] = {run.lesson.id: run for run in execute(lessons(), mode)}
            report.save(list(done[mode].values()), mode)
        return done[mode]

    return runs


@pytest.fixture(scope="session")
def built_book(lesson_runs, tmp_path_factory):
    """The folder of the book's pages, built from the lessons as executed on the sample data."""
    from course_utils.lessons import book

    return book.build(list(lesson_runs("sample").values()), output=tmp_path_factory.mktemp("book")).parent
