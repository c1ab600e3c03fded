"""The one form in which notebooks are kept: no outputs, readable cell ids, generated cells up to date.

``course format`` writes it, a test holds it, and ``course repository`` changes the address that stands
in badges and set-up cells.
"""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path

import nbformat

from course_utils.lessons.catalogue import CourseError, Lesson, assignments, lessons, repository, root

CELL_ID = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
ADDRESS = re.compile(r"https://github\.com/([A-Za-z0-9-]+)/([A-Za-z0-9._-]+)")
_BADGE = re.compile(r"\[!\[Open in Colab\]\([^)]*\)\]\([^)]*\)")
_METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def set_up_source() -> str:
    """The set-up cell that every lesson carries as its second cell."""
    address, branch = repository()
    return (
        "# In Colab this installs the course's helper package; anywhere else it does nothing.\n"
        "import sys\n\n"
        'if "google.colab" in sys.modules:\n'
        f'    %pip install --quiet "course-utils @ git+{address}@{branch}"'
    )


def badge(path: Path) -> str:
    """The Colab badge of the notebook at ``path``: a picture from this repository, with a link."""
    address, branch = repository()
    slug = address.removeprefix("https://github.com/")
    inside = path.resolve().relative_to(root()).as_posix()
    return (
        "[![Open in Colab](../../book/_static/colab-badge.svg)]"
        f"(https://colab.research.google.com/github/{slug}/blob/{branch}/{inside})"
    )


def formatted(lesson: Lesson) -> str:
    """The notebook's file content in the one form.

    Raises
    ------
    CourseError
        If a cell has no readable id, an id stands twice, or a cell that every lesson has is missing.
    """
    notebook = copy.deepcopy(lesson.notebook)
    notebook.metadata = nbformat.from_dict(_METADATA)
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    seen: set[str] = set()
    cells = []
    for cell in notebook.cells:
        cell_id = cell.get("id", "")
        if not CELL_ID.fullmatch(cell_id) or not re.search(r"[a-z]{3}", cell_id):
            raise CourseError(
                f"{lesson.id}: cell id {cell_id!r} is not made of readable words, like `update-rule`."
            )
        if cell_id in seen:
            raise CourseError(f"{lesson.id}: two cells have the id {cell_id!r}.")
        seen.add(cell_id)
        kept = {"cell_type": cell.cell_type, "id": cell_id, "metadata": {}, "source": cell.source.strip("\n")}
        if cell.cell_type == "code":
            kept |= {"execution_count": None, "outputs": []}
        cells.append(nbformat.from_dict(kept))
    ids = [cell.id for cell in cells[:3]]
    if ids != ["title", "set-up", "imports"]:
        raise CourseError(
            f"{lesson.id}: the first cells should be title, set-up and imports, not {', '.join(ids)}."
        )
    if not _BADGE.search(cells[0].source):
        raise CourseError(f"{lesson.id}: the title cell has no Colab badge.")
    cells[0].source = _BADGE.sub(lambda _: badge(lesson.path), cells[0].source)
    cells[1].source = set_up_source()
    notebook.cells = cells
    nbformat.validate(notebook)
    return json.dumps(notebook, indent=1, ensure_ascii=False, sort_keys=True) + "\n"


def formatted_assignment(path: Path) -> str:
    """An assignment's file content in the one form; nbgrader's metadata and tags stay.

    Raises
    ------
    CourseError
        If it is not a readable notebook, or a cell has no readable id.
    """
    try:
        notebook = nbformat.read(path, as_version=4)
    except Exception as error:
        raise CourseError(f"{path} is not a readable notebook: {error}") from error
    notebook.metadata = nbformat.from_dict(_METADATA)
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    for cell in notebook.cells:
        if not CELL_ID.fullmatch(cell.get("id", "")):
            raise CourseError(f"{path.stem}: cell id {cell.get('id')!r} is not made of readable words.")
        cell.source = cell.source.strip("\n")
        cell.metadata = nbformat.from_dict(
            {key: value for key, value in cell.metadata.items() if key in ("nbgrader", "tags")}
        )
        if cell.cell_type == "code":
            cell.execution_count, cell.outputs = None, []
        if cell.id == "set-up":
            cell.source = set_up_source()
    nbformat.validate(notebook)
    return json.dumps(notebook, indent=1, ensure_ascii=False, sort_keys=True) + "\n"


def format_all(*, check: bool = False) -> list[Path]:
    """Write every notebook in the one form; return those that were not in it (``check``: write nothing)."""
    changed = []
    texts = [(lesson.path, formatted(lesson)) for lesson in lessons()]
    texts += [(path, formatted_assignment(path)) for path in assignments()]
    for path, text in texts:
        if path.read_text(encoding="utf-8") != text:
            changed.append(path)
            if not check:
                path.write_text(text, encoding="utf-8", newline="\n")
    return changed


def set_repository(address: str) -> list[Path]:
    """Put a new repository address everywhere it stands; return the files that changed.

    Raises
    ------
    CourseError
        If ``address`` is not of the form ``https://github.com/OWNER/NAME``.
    """
    address = address.strip().rstrip("/").removesuffix(".git")
    new = ADDRESS.fullmatch(address)
    if not new:
        raise CourseError(f"{address!r} is not an address like https://github.com/OWNER/NAME.")
    old_slug = repository()[0].removeprefix("https://github.com/")
    new_slug = f"{new[1]}/{new[2]}"
    top = root()
    files = [top / "pyproject.toml", *top.glob("*.md"), *top.glob("book/*.md"), *top.glob("book/*.yml")]
    files += [*(lesson.path for lesson in lessons()), *assignments()]
    changed = []
    whole = re.compile(re.escape(old_slug) + r"(?![A-Za-z0-9-])")
    for file in files:
        text = file.read_text(encoding="utf-8")
        replaced = whole.sub(new_slug, text)
        if replaced != text:
            file.write_text(replaced, encoding="utf-8", newline="\n")
            changed.append(file)
    return changed
