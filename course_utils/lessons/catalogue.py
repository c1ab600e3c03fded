"""Which lessons there are and where: the folder `notebooks/` is the only list."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import nbformat

_FILE = re.compile(r"(\d\d)_([a-z0-9_]+)\.ipynb")


class CourseError(Exception):
    """Something the user has to settle; the message says what and how."""


def root() -> Path:
    """The repository's folder.

    Raises
    ------
    CourseError
        If the package is installed without the course around it (as in Colab).
    """
    folder = Path(__file__).resolve().parents[2]
    if not (folder / "notebooks").is_dir() or not (folder / "pyproject.toml").is_file():
        raise CourseError(
            "This command needs the whole course, not only its helper package: "
            "get the repository and run `python course.py` in it."
        )
    return folder


@dataclass(frozen=True)
class Lesson:
    """One lesson: its notebook and what can be read off it."""

    path: Path

    @property
    def id(self) -> str:
        """File name without its ending, e.g. ``01_perceptron``."""
        return self.path.stem

    @property
    def number(self) -> int:
        return int(self.id[:2])

    @property
    def key(self) -> str:
        """Name of the lesson's module in `course_utils.checks`, e.g. ``perceptron``."""
        return self.id[3:]

    @property
    def phase(self) -> str:
        return self.path.parent.name

    @cached_property
    def notebook(self) -> nbformat.NotebookNode:
        """The notebook as it stands in the repository.

        Raises
        ------
        CourseError
            If the file is not a readable notebook.
        """
        import nbformat  # seconds on a slow machine, and `course lab` needs no notebook's content

        try:
            return nbformat.read(self.path, as_version=4)
        except Exception as error:
            raise CourseError(f"{self.path} is not a readable notebook: {error}") from error

    @cached_property
    def title(self) -> str:
        """The first heading without its number, e.g. ``The perceptron``."""
        found = re.match(r"#\s+(?:\d+\s*·\s*)?(.+)", self.notebook.cells[0].source)
        return found[1].strip() if found else self.id

    @cached_property
    def outcomes(self) -> dict[str, str]:
        """Outcome id -> sentence, from the list under "What you will be able to do"."""
        for cell in self.notebook.cells:
            if cell.cell_type == "markdown" and cell.source.startswith("## What you will be able to do"):
                found = re.findall(
                    r"^[-*] (.+?)\s*\(`([a-z0-9_]+\.[a-z_]+)`\)\.?$", cell.source, re.MULTILINE
                )
                return {key: text for text, key in found}
        return {}


def assignments() -> list[Path]:
    """The source notebooks of all assignments, by name."""
    return sorted(root().glob("assignments/source/*/*.ipynb"))


def lessons() -> list[Lesson]:
    """All lessons in the order of their numbers."""
    found = [p for p in (root() / "notebooks").glob("*/*.ipynb") if _FILE.fullmatch(p.name)]
    return sorted((Lesson(p) for p in found), key=lambda lesson: lesson.id)


def find(names: list[str] | tuple[str, ...]) -> list[Lesson]:
    """Lessons by number (``1``, ``01``), name (``perceptron``), id or path; all of them for no name.

    Raises
    ------
    CourseError
        If a name fits no lesson.
    """
    every = lessons()
    if not names:
        return every
    chosen = []
    for name in names:
        stem = Path(name).stem
        fits = [x for x in every if stem in (x.id, x.key) or (stem.isdigit() and int(stem) == x.number)]
        if not fits:
            have = ", ".join(lesson.id for lesson in every)
            raise CourseError(f"There is no lesson {name!r}. There are: {have}.")
        chosen += [lesson for lesson in fits if lesson not in chosen]
    return sorted(chosen, key=lambda lesson: lesson.id)


def repository() -> tuple[str, str]:
    """Address and branch of the repository, from `[tool.course]` in pyproject.toml."""
    settings = tomllib.loads((root() / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["course"]
    return settings["repository"], settings["branch"]
