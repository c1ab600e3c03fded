"""Grading of the problem sets without a sandbox, fast enough for every known mistake.

The student's cells run in one namespace and the tests in another; what passes between them is encoded and decoded
as between the two sandboxes.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Collection
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from course_utils.grading import models, plain
from course_utils.grading.assignment import Assignment, read
from course_utils.grading.judge import _compiled

SOURCES = Path(__file__).parents[2] / "assignments" / "source"


@lru_cache
def assignment(name: str) -> Assignment:
    return read(SOURCES / name / f"{name}.ipynb")


class _Functions:
    """Functions of one side by number, and what the other side calls in their place."""

    def __init__(self) -> None:
        self.known: list[Callable] = []

    def number(self, function: Callable) -> int:
        self.known.append(function)
        return len(self.known) - 1

    def stand_in(self, number: int) -> Callable:
        function = self.known[number]
        return lambda *args, **kwargs: crossed(function(*crossed(args), **crossed(kwargs)))


def crossed(value: Any) -> Any:
    """``value`` as it arrives on the other side."""
    functions = _Functions()
    frame = plain.encode(value, functions=functions.number, models=models.pack)
    return plain.decode(frame, functions=functions.stand_in, models=models.unpack)


def _run(source: str, cell: str, names: dict[str, Any]) -> None:
    body, last = _compiled(source, cell)
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        exec(body, names)
        if last:
            eval(last, names)


class Marker:
    """Grades sources of the solution cells of one assignment."""

    def __init__(self, name: str) -> None:
        self.assignment = assignment(name)

    def marks(
        self, answers: dict[str, str], leave_out: Collection[str] = ()
    ) -> tuple[dict[str, float], dict[str, str]]:
        """Points of each test cell, and what those without points say."""
        student: dict[str, Any] = {"__name__": "__main__"}
        judge = dict(student)
        points, messages = {}, {}
        with np.errstate(all="ignore"):
            for cell in self.assignment.cells:
                if cell.role == "given":
                    _run(cell.source, cell.id, student)
                elif cell.role == "solution":
                    _run(answers.get(cell.id, cell.source), cell.id, student)
            for cell in self.assignment.cells:
                if cell.role == "given":
                    _run(cell.source, cell.id, judge)
                elif cell.role == "solution":
                    judge |= {name: crossed(student[name]) for name in cell.defines if name in student}
                elif cell.role == "test" and cell.id not in leave_out:
                    points[cell.id] = cell.points
                    try:
                        _run(cell.source, cell.id, judge)
                    except Exception as error:
                        points[cell.id], messages[cell.id] = 0.0, f"{type(error).__name__}: {error}"
        return points, messages
