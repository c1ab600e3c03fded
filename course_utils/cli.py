"""The `course` command: open, run, render, test and look after the course."""

from __future__ import annotations

import argparse
import os
import sys
import webbrowser
from pathlib import Path
from urllib.parse import quote

from course_utils.grading import commands as grading
from course_utils.lessons.catalogue import CourseError, Lesson, find, lessons, root

MODES = ("auto", "sample", "full")


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit code; what the user has to settle is one sentence on stderr."""
    options = _parser().parse_args(arguments)
    try:
        return options.run(options) or 0
    except CourseError as error:
        print(error, file=sys.stderr)
        return 1
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("course_utils"):
            raise
        print(
            f"The package {error.name!r} is missing: `python course.py doctor` installs what the course needs, or "
            'use `pip install -c requirements.txt -e ".[all]"` in your own environment.',
            file=sys.stderr,
        )
        return 1
    except OSError as error:
        print(f"{error}. Nothing was lost; settle that and run the command again.", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped.", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="course", description="An interactive deep-learning course.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, function, help: str, **more) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=help, description=help[0].upper() + help[1:] + ".", **more)
        made.set_defaults(run=function)
        return made

    lab = command("lab", _lab, "open the course in JupyterLab")
    lab.add_argument(
        "lesson", nargs="?", default="0", help="number or name of the lesson to open (default: 00)"
    )
    lab.add_argument("--port", type=int, help="first port to try (default: 8888, then the next free ones)")
    lab.add_argument("--no-browser", action="store_true", help="print the address only")

    run = command("run", _run, "run lessons and report time, memory and results")
    run.add_argument("lesson", nargs="*", help="numbers or names (default: all)")
    _run_options(run)

    book = command("book", _book, "build the web book into book/_build/html")
    book.add_argument("--open", action="store_true", help="open the book in a browser when it is built")
    book.add_argument("--output", type=Path, help="folder that gets _build/html (default: book)")
    _run_options(book)

    test = command("test", _test, "run the tests; further arguments go to pytest", add_help=False)
    test.add_argument("pytest", nargs=argparse.REMAINDER, help="arguments for pytest")

    grading.add(command)

    command("doctor", _doctor, "look at this machine and say what to repair")
    command("progress", _progress, "show which exercises and quizzes you have done")

    form = command("format", _format, "bring notebooks into the one form in which they are kept")
    form.add_argument("--check", action="store_true", help="write nothing; fail if a notebook would change")

    repository = command("repository", _repository, "change the repository's address everywhere it stands")
    repository.add_argument("address", help="https://github.com/OWNER/NAME")
    return parser


def _run_options(parser: argparse.ArgumentParser) -> None:
    default = os.environ.get("COURSE_DATA", "sample")
    parser.add_argument(
        "--data", choices=MODES, default=default, help="data mode (default: COURSE_DATA, or else sample)"
    )
    parser.add_argument(
        "--jobs",
        type=int,
        help="lessons run at the same time (default: one for each processor and each 2 GB of free memory)",
    )
    parser.add_argument(
        "--fresh", action="store_true", help="run also what has not changed since it last ran"
    )


def _execute(chosen: list[Lesson], options: argparse.Namespace) -> list:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    from course_utils.lessons import report
    from course_utils.lessons.execute import Run, execute

    if options.data not in MODES:
        raise CourseError(f"COURSE_DATA is {options.data!r}; it has to be one of {', '.join(MODES)}.")
    console = Console()
    bars = Progress(TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[cell]}"),
                    TimeElapsedColumn(), console=console, transient=True)  # fmt: skip
    tasks: dict[str, int] = {}

    def on_cell(run: Run, index: int, total: int) -> None:
        name = run.lesson.id
        if name not in tasks:
            tasks[name] = bars.add_task(name, total=total, cell="")
        bars.update(tasks[name], completed=index, cell=run.notebook.cells[index].id if run.notebook else "")

    def on_done(run: Run) -> None:
        if run.lesson.id in tasks:
            bars.remove_task(tasks.pop(run.lesson.id))
        if run.error:
            console.print(f"[red]✘[/] {run.lesson.id}: cell [bold]{run.failed_cell}[/]: ", end="")
            console.print(run.error, markup=False)
        else:
            how = "not changed since it ran" if run.cached else f"{run.seconds:.1f} s, {run.peak_mb:,.0f} MB"
            console.print(f"[green]✔[/] {run.lesson.id}: {how}")

    with bars:
        runs = execute(
            chosen, options.data, jobs=options.jobs, fresh=options.fresh, on_cell=on_cell, on_done=on_done
        )
    report.save(runs, options.data)
    return runs


def _run(options: argparse.Namespace) -> int:
    from rich.console import Console
    from rich.table import Table

    runs = _execute(find(options.lesson), options)
    table = Table(title=f"Lessons on {options.data} data", title_justify="left")
    for name, justify in (("lesson", "left"), ("time", "right"), ("memory", "right"), ("slowest cell", "left"),
                          ("results", "left")):  # fmt: skip
        table.add_column(name, justify=justify)
    for run in runs:
        if run.ok:
            results = "\n".join(f"{r['name']}: {r['text']}" for r in run.results)
            slowest = f"{run.slowest_cell} {run.slowest_seconds:.1f} s"
            table.add_row(run.lesson.id, f"{run.seconds:.1f} s", f"{run.peak_mb:,.0f} MB", slowest, results)
        else:
            table.add_row(run.lesson.id, "failed", "", run.failed_cell, run.error)
    Console().print(table)
    failed = [run.lesson.id for run in runs if not run.ok]
    if failed:
        print(f"Failed: {', '.join(failed)}.", file=sys.stderr)
    return 1 if failed else 0


def _book(options: argparse.Namespace) -> int:
    from course_utils.lessons import book

    runs = _execute(lessons(), options)
    first = book.build(runs, output=options.output, fresh=options.fresh)
    print(f"The book is at {first}")
    if options.open:
        webbrowser.open(first.as_uri())
    return 0


def _test(options: argparse.Namespace) -> int:
    import pytest

    os.chdir(root())
    return int(pytest.main(options.pytest))


def _lab(options: argparse.Namespace) -> int:
    from course_utils.lessons import lab

    (lesson, *_) = find([options.lesson])
    page = "lab/tree/" + quote(lesson.path.relative_to(root()).as_posix())
    return lab.serve(page, folder=root(), port=options.port, browser=not options.no_browser)


def _doctor(options: argparse.Namespace) -> int:
    from course_utils import doctor

    return doctor.main()


def _progress(options: argparse.Namespace) -> int:
    from course_utils.checks import _progress

    return _progress.show()


def _format(options: argparse.Namespace) -> int:
    from course_utils.lessons import form

    changed = form.format_all(check=options.check)
    for path in changed:
        print(f"{'would change' if options.check else 'changed'} {path.relative_to(root())}")
    return 1 if changed and options.check else 0


def _repository(options: argparse.Namespace) -> int:
    from course_utils.lessons import form

    for path in form.set_repository(options.address):
        print(f"changed {path.relative_to(root())}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
