"""The learner's own progress, in a local file: one JSON line per answer. Nothing leaves the machine.

The file is ``progress.jsonl`` in the user's data folder, or in ``COURSE_HOME``. ``COURSE_PROGRESS=off``
writes nothing (the runner of lessons sets it). A line is appended in one write, so kernels that run side
by side do not spoil each other's lines, and a line cut off by a crash is skipped when reading.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_warned = False


def path() -> Path:
    """Where the progress file is (it need not exist)."""
    home = os.environ.get("COURSE_HOME")
    if home:
        return Path(home).expanduser() / "progress.jsonl"
    import platformdirs

    return Path(platformdirs.user_data_dir("course-utils", appauthor=False)) / "progress.jsonl"


def note(lesson: str, item: str, kind: str, correct: bool) -> None:
    """Append one answer. An unwritable folder costs one warning per session, never the lesson."""
    global _warned
    if os.environ.get("COURSE_PROGRESS", "").lower() == "off":
        return
    entry = {"time": int(time.time()), "lesson": lesson, "item": item, "kind": kind, "correct": bool(correct)}
    target = path()
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")
    except OSError as error:
        if not _warned:
            _warned = True
            print(
                f"Your progress is not being saved: {target} cannot be written ({error.strerror or error}). "
                "Set COURSE_HOME to a folder you may write to.",
                file=sys.stderr,
            )


def entries() -> Iterator[dict[str, Any]]:
    """All answers so far, oldest first; unreadable lines are skipped."""
    try:
        text = path().read_text(encoding="utf-8", errors="replace")
    except OSError:
        return
    for line in text.splitlines():
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if isinstance(entry, dict) and {"lesson", "item", "kind", "correct"} <= entry.keys():
            yield entry


def table() -> list[dict[str, Any]]:
    """One row per lesson: exercises and quiz questions there are, tried and right (the last answer counts)."""
    import importlib
    import pkgutil

    import yaml

    import course_utils.checks as package
    from course_utils.checks._engine import Exercise

    last = {(e["lesson"], e["kind"], e["item"]): e["correct"] for e in entries()}
    rows = []
    for found in pkgutil.iter_modules(package.__path__):
        if found.name.startswith("_"):
            continue
        module = importlib.import_module(f"{package.__name__}.{found.name}")
        questions = 0
        quiz_file = Path(module.__file__).with_suffix(".yaml")
        if quiz_file.is_file():
            sections = yaml.safe_load(quiz_file.read_text(encoding="utf-8"))
            questions = sum(len(section) for section in sections.values())
        row = {
            "lesson": found.name,
            "exercises": sum(isinstance(value, Exercise) for value in vars(module).values()),
            "questions": questions,
        }
        for kind, name in (("exercise", "exercises"), ("quiz", "questions")):
            answers = [right for (lesson, k, _), right in last.items() if lesson == found.name and k == kind]
            row[f"{name}_tried"], row[f"{name}_right"] = len(answers), sum(answers)
        rows.append(row)
    return rows


def show() -> int:
    """Print the progress table, lessons in the course's order."""
    from rich.console import Console
    from rich.table import Table

    from course_utils.lessons.catalogue import lessons

    rows = {row["lesson"]: row for row in table()}
    shown = Table(title="Your progress", title_justify="left")
    shown.add_column("lesson")
    for name in ("exercises", "quiz questions"):
        shown.add_column(name, justify="right")
    for lesson in lessons():
        row = rows.get(lesson.key)
        if row:
            cells = [
                f"{row[f'{kind}_right']} of {row[kind]} right"
                + (" ✔" if row[f"{kind}_right"] == row[kind] else "")
                for kind in ("exercises", "questions")
            ]
            shown.add_row(f"{lesson.number:02d} {lesson.title}", *cells)
    console = Console()
    console.print(shown)
    console.print(f"Kept in {path()}; nothing leaves this machine.", style="dim", markup=False)
    return 0
