"""What ``assignments/nbgrader_config.py`` applies, so that nbgrader's own commands grade as `course grade` does."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from course_utils.grading.errors import GradingError


def apply(config: Any, file: str | Path) -> None:
    """Fill nbgrader's configuration.

    ``nbgrader autograde`` and Formgrader's button then run `batch.grade`. nbgrader has settings for the steps of its
    grading, but none that comes before it copies files from a submission, so its `Autograde` is given another
    ``start``.

    Parameters
    ----------
    config : traitlets.config.Config
        What ``get_config()`` gives in the configuration file.
    file : path
        That file: its folder is the course directory.
    """
    config.CourseDirectory.root = str(Path(file).resolve().parent)
    config.CourseDirectory.course_id = "deep-learning"
    config.ExchangeFactory.collect = "course_utils.grading.collect.SafeCollect"
    # For a new gradebook nbgrader runs `alembic`, which is on the path of an activated environment only.
    scripts = str(Path(sys.executable).parent)
    if scripts not in os.environ.get("PATH", "").split(os.pathsep):
        os.environ["PATH"] = os.pathsep.join(filter(None, (scripts, os.environ.get("PATH"))))
    take_over()


def take_over() -> None:
    """Let nbgrader's `Autograde` grade by `batch.grade`."""
    from nbgrader.converters.autograde import Autograde

    Autograde.start = _start


def _start(self: Any) -> None:
    """In place of `nbgrader.converters.Autograde.start`: same options, same exception."""
    from nbgrader.converters.base import NbGraderException

    from course_utils.grading import batch

    def say(line: batch.Line, done: int, total: int) -> None:
        points = f"{line.points:g} of {line.most:g} points"
        text = f"[{done}/{total}] {line.student}: {line.what}, {points}"
        if line.what == "failed":
            self.log.error("%s: %s", text, line.why)
        elif line.what == "refused":
            self.log.warning("%s: %s", text, line.why)
        else:
            self.log.info("%s", text)

    coursedir = self.coursedir
    options = batch.Options(students=coursedir.student_id or "*", force=self.force)
    try:
        lines = batch.grade(
            coursedir, coursedir.assignment_id, options, late=late_penalty(self.config), on_line=say
        )
    except GradingError as error:
        self.log.error(str(error))
        raise NbGraderException(str(error)) from error
    failed = [line.student for line in lines if line.what == "failed"]
    if failed:
        raise NbGraderException(f"Not graded: {', '.join(failed)}; the lines above say why.")


def late_penalty(config: Any) -> Any:
    """nbgrader's plugin for late submissions, as configured, or None where nothing is."""
    if "AssignLatePenalties" not in config and "LateSubmissionPlugin" not in config:
        return None
    from nbgrader.preprocessors import AssignLatePenalties

    step = AssignLatePenalties(config=config)
    step.init_plugin()
    return step.plugin_inst.late_submission_penalty


def course_directory(folder: Path) -> Any:
    """nbgrader's `CourseDirectory` for a folder with an ``nbgrader_config.py``.

    Raises
    ------
    GradingError
        If there is no such file or it does not run.
    """
    from nbgrader.coursedir import CourseDirectory
    from traitlets.config import PyFileConfigLoader

    path = folder / "nbgrader_config.py"
    if not path.is_file():
        raise GradingError(
            f"{folder} is no course directory: there is no nbgrader_config.py in it. Run the command in one, or name "
            "it by `--course-dir`."
        )
    try:
        config = PyFileConfigLoader(path.name, path=str(folder)).load_config()
    except Exception as error:
        raise GradingError(f"{path} does not run: {type(error).__name__}: {error}") from error
    return CourseDirectory(config=config)
