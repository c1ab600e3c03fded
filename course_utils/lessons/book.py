"""The web book: executed lessons and `book/` staged side by side, rendered by Jupyter Book.

Jupyter Book wants one source tree that mirrors the repository, so that links, images and Colab buttons
come out right. The staged tree is kept between builds and only what differs is written, so that Sphinx
renders only what changed.
"""

from __future__ import annotations

import copy
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat

from course_utils.lessons import report
from course_utils.lessons.catalogue import CourseError, root
from course_utils.lessons.execute import Run, work_folder

RESULTS_MARK = "<!-- results -->"


def _write(path: Path, content: bytes) -> bool:
    if path.is_file() and path.read_bytes() == content:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return True


def _page(run: Run) -> bytes:
    """The executed notebook as the book shows it: with its measured time in the line under the title."""
    notebook = copy.deepcopy(run.notebook)
    title = notebook.cells[0]
    title.source = re.sub(
        r"(runs in about [^·\n]+?) ·",
        lambda m: f"{m[1]} ({run.seconds:.0f} s in this build) ·",
        title.source,
        count=1,
    )
    return nbformat.writes(notebook).encode()


def stage(runs: list[Run], folder: Path) -> None:
    """Mirror `book/` and the executed lessons into ``folder``; remove what is no longer there."""
    top = root()
    wanted: set[Path] = set()
    for path in sorted((top / "book").rglob("*")):
        inside = path.relative_to(top)
        if not path.is_file() or "_build" in inside.parts or path.name.startswith("."):
            continue
        content = path.read_bytes()
        if inside.as_posix() == "book/results.md":
            content = content.decode().replace(RESULTS_MARK, report.as_markdown()).encode()
        _write(folder / inside, content)
        wanted.add(folder / inside)
    for run in runs:
        target = folder / run.lesson.path.relative_to(top)
        _write(target, _page(run))
        wanted.add(target)
    for path in sorted(folder.rglob("*"), reverse=True):
        if path.is_file() and path not in wanted and "_build" not in path.relative_to(folder).parts:
            path.unlink()


def build(runs: list[Run], *, output: Path | None = None, fresh: bool = False) -> Path:
    """Render the book from executed lessons and return the address of its first page's file.

    Parameters
    ----------
    runs : list of Run
        One successful run for every lesson.
    output : Path, optional
        Folder that gets `_build/html`; `book/` unless given.
    fresh : bool
        Render every page again.

    Raises
    ------
    CourseError
        If a lesson failed, or Jupyter Book stops or warns.
    """
    failed = [run.lesson.id for run in runs if not run.ok]
    if failed:
        raise CourseError(f"The book is built from lessons that ran; these did not: {', '.join(failed)}.")
    staged = work_folder() / "stage"
    target = output or root() / "book"
    if fresh:
        shutil.rmtree(staged, ignore_errors=True)
        shutil.rmtree(target / "_build", ignore_errors=True)
    stage(runs, staged)
    build_it = (
        "import sys; from jupyter_book.cli.main import main; sys.exit(main())"  # it has no `python -m` form
    )
    options = {"--config": "_config.yml", "--toc": "_toc.yml"}
    paths = [part for name, file in options.items() for part in (name, str(staged / "book" / file))]
    command = [sys.executable, "-c", build_it, "build", str(staged), *paths, "--path-output", str(target)]
    command += ["-W", "--keep-going", "-q"]
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", errors="replace")
    log = work_folder() / "book.log"
    log.write_text(done.stdout + done.stderr, encoding="utf-8")
    first = target / "_build" / "html" / "index.html"
    if done.returncode or not first.is_file():
        told = [
            line for line in (done.stdout + done.stderr).splitlines() if "WARNING" in line or "rror" in line
        ]
        shown = "\n".join(f"  {line}" for line in dict.fromkeys(told[:12]))
        raise CourseError(f"Jupyter Book stopped or warned; its whole output is in {log}:\n{shown}")
    return first
