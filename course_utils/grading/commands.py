"""The `course` commands for teachers and for handing in: grade, collect, export, teach, check-submission."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from course_utils.grading.batch import Line, Options


def add(command: Callable[..., argparse.ArgumentParser]) -> None:
    """Add the commands; ``command(name, function, help)`` makes a parser for one."""
    grade = command("grade", _grade, "grade what was handed in for an assignment, in sandboxes")
    grade.add_argument("assignment", help="for example ps1-perceptron-and-mlp")
    grade.add_argument("--student", default="*", metavar="GLOB", help="only these students")
    grade.add_argument(
        "--force", action="store_true", help="grade also what has not changed since it was graded"
    )
    grade.add_argument(
        "--jobs", type=int, help="submissions at the same time (default: one for each processor)"
    )
    grade.add_argument("--seconds", type=float, help="time for one submission (default: 240)")
    grade.add_argument("--scheduler", metavar="ADDRESS", help="grade on the workers of this Dask scheduler")
    grade.add_argument(
        "--without-sandbox",
        action="store_true",
        help="run student code with all your own rights: it can read, change and send whatever you can",
    )
    _course_directory(grade)

    collect = command("collect", _collect, "take submissions from a folder or from an LMS's zip file")
    collect.add_argument("assignment")
    collect.add_argument("source", type=Path, help="folder or zip file")
    collect.add_argument(
        "--pattern",
        help="regular expression for the files' names, with a group `student` and, if you like, `time`",
    )
    collect.add_argument(
        "--update", action="store_true", help="replace what was collected before by what is newer"
    )
    _course_directory(collect)

    export = command("export", _export, "write the marks of an assignment as CSV")
    export.add_argument("assignment")
    export.add_argument("--format", choices=("nbgrader", "moodle", "canvas"), default="nbgrader")
    export.add_argument("--to", type=Path, help="file to write (default: ASSIGNMENT-FORMAT.csv)")
    export.add_argument(
        "--roster", type=Path, help="gradebook as the LMS exports it; its columns name the students"
    )
    _course_directory(export)

    teach = command("teach", _teach, "open JupyterLab with Formgrader on the assignments")
    teach.add_argument("--port", type=int, help="first port to try (default: 8888, then the next free ones)")
    teach.add_argument("--no-browser", action="store_true", help="print the address only")
    _course_directory(teach)

    check = command(
        "check-submission",
        _check_submission,
        "say whether a notebook will be accepted, before you hand it in",
    )
    check.add_argument("file", type=Path)
    check.add_argument("--assignment", help="for example ps1-perceptron-and-mlp (default: the file's name)")


def _course_directory(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--course-dir", type=Path, metavar="FOLDER", help="course directory (default: assignments/)"
    )


def _folder(options: argparse.Namespace) -> Path:
    """The course directory that is meant: the one named, the one we stand in, or that of this course."""
    from course_utils.lessons.catalogue import root

    if options.course_dir is not None:
        return options.course_dir.resolve()
    here = Path.cwd()
    return here if (here / "nbgrader_config.py").is_file() else root() / "assignments"


def _grade(options: argparse.Namespace) -> int:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    from course_utils.grading import batch, nbgrader_settings
    from course_utils.grading.sandbox import Limits

    coursedir = nbgrader_settings.course_directory(_folder(options))
    limits = Limits() if options.seconds is None else Limits(total_seconds=options.seconds)
    chosen: Options = batch.Options(
        students=options.student,
        force=options.force,
        jobs=options.jobs,
        sandboxed=not options.without_sandbox,
        scheduler=options.scheduler,
        limits=limits,
    )
    console = Console()
    if options.without_sandbox:
        console.print("[yellow]Without a sandbox: student code runs with all your own rights.[/]")
    bar = Progress(
        TextColumn(options.assignment),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
    )
    with bar:
        task = bar.add_task(options.assignment, total=None)

        def on_line(line: Line, done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)
            if line.what in ("failed", "refused"):
                console.print(f"{line.student}: {line.what}: {line.why}", markup=False)

        lines = batch.grade(
            coursedir,
            options.assignment,
            chosen,
            late=nbgrader_settings.late_penalty(coursedir.config),
            on_line=on_line,
        )
    console.print(_table(options.assignment, lines))
    console.print(
        f"The same with all reasons: {Path(coursedir.root) / 'reports' / options.assignment}.csv",
        markup=False,
    )
    return 1 if any(line.what == "failed" for line in lines) else 0


def _table(assignment: str, lines: list[Line]) -> Any:
    from rich.table import Table
    from rich.text import Text

    table = Table(title=assignment, title_justify="left")
    for name, justify in (
        ("student", "left"),
        ("result", "left"),
        ("points", "right"),
        ("time", "right"),
        ("why", "left"),
    ):
        table.add_column(name, justify=justify)
    for line in lines:
        points = "" if line.what == "failed" else f"{line.points:g} / {line.most:g}"
        if line.by_hand:
            points += " + by hand"
        why = line.why if len(line.why) <= 160 else line.why[:157] + "..."
        table.add_row(Text(line.student), line.what, points, f"{line.seconds:.1f} s", Text(why))
    return table


def _collect(options: argparse.Namespace) -> int:
    from course_utils.grading import collect, nbgrader_settings

    coursedir = nbgrader_settings.course_directory(_folder(options))
    done = collect.collect(
        Path(coursedir.root),
        options.assignment,
        options.source,
        pattern=options.pattern,
        update=options.update,
    )
    for result in done:
        print(
            f"{result.student or options.source.name}: {result.what}{': ' if result.why else ''}{result.why}"
        )
    return 1 if any(result.what == "failed" for result in done) else 0


def _export(options: argparse.Namespace) -> int:
    from course_utils.grading import exports, nbgrader_settings

    coursedir = nbgrader_settings.course_directory(_folder(options))
    to = options.to or Path(f"{options.assignment}-{options.format}.csv")
    for sentence in exports.write(coursedir, options.assignment, options.format, to, roster=options.roster):
        print(sentence, file=sys.stderr)
    print(f"The marks are in {to}")
    return 0


def _teach(options: argparse.Namespace) -> int:
    from course_utils.lessons import lab

    return lab.serve("formgrader", folder=_folder(options), port=options.port, browser=not options.no_browser)


def _check_submission(options: argparse.Namespace) -> int:
    from course_utils.grading import intake
    from course_utils.grading.errors import Refused

    try:
        accepted = intake.file(options.file, options.assignment)
    except Refused as refused:
        print(f"This would not be accepted: {refused.student}", file=sys.stderr)
        return 1
    for note in accepted.notes:
        print(note)
    print(f"{options.file.name} will be accepted.")
    return 0
