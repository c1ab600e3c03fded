"""An assignment: the cells of its notebook, what each is for, and what a submission may put into it.

The notebook in ``source/`` is the only description. :func:`read` refuses one that could not be graded as
meant, :func:`released_notebook` is what the student gets, and :func:`rebuild` takes from a submission the
sources of solution cells and written answers, and nothing else.
"""

from __future__ import annotations

import ast
import copy
import hashlib
import json
import math
import re
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from course_utils.grading.errors import GradingError, Refused

if TYPE_CHECKING:
    import nbformat
    from traitlets.config import Config

Role = Literal["text", "given", "demo", "solution", "test", "written"]

SOURCE_LENGTH = 200_000  # characters that one answer may have
_NAMED = 5  # cells that a note names


@dataclass(frozen=True)
class Cell:
    """One cell of an assignment.

    Attributes
    ----------
    id : str
        Cell id, and nbgrader's ``grade_id`` where nbgrader manages the cell.
    role : str
        ``text``; ``given`` code, ``demo`` if only the student's process runs it; ``solution``; ``test``;
        ``written`` answer, graded by hand.
    cell_type : str
        ``code`` or ``markdown``.
    source : str
        As the teacher wrote it, with solution and hidden tests.
    released : str
        As the student got it: nbgrader's stub for the solution, no hidden tests.
    points : float
        For tests and written answers; 0 otherwise.
    defines : tuple of str
        Names that a solution cell binds at top level, imports and loop variables not counted.
    metadata : dict
        The released cell's metadata, nbgrader's checksum included.
    """

    id: str
    role: Role
    cell_type: str
    source: str
    released: str
    points: float
    defines: tuple[str, ...]
    metadata: dict[str, Any] = field(repr=False, compare=False)

    @property
    def is_answer(self) -> bool:
        """Whether a submission's source is taken for this cell."""
        return self.role in ("solution", "written")


@dataclass(frozen=True)
class Assignment:
    """An assignment as :func:`read` found it; ``digest`` changes with all that decides about marks."""

    id: str
    path: Path
    cells: tuple[Cell, ...]
    digest: str
    notebook: dict[str, Any] = field(repr=False, compare=False)  # as released; use `released_notebook`

    @property
    def max_points(self) -> float:
        return sum(cell.points for cell in self.cells)

    def cell(self, cell_id: str) -> Cell:
        """The cell with this id; KeyError if there is none."""
        for cell in self.cells:
            if cell.id == cell_id:
                return cell
        raise KeyError(cell_id)


@dataclass
class Rebuilt:
    """What was taken from a submission.

    Attributes
    ----------
    sources : dict
        Source of every solution cell and written answer, by id; the released form where nothing came in.
    answered : dict
        Whether that source is more than the released form, by the same ids.
    notes : list of str
        What was not taken as it stood: sentences for teacher and student, without a word of the student's.
    """

    sources: dict[str, str]
    answered: dict[str, bool]
    notes: list[str]


# --- Reading ------------------------------------------------------------------------------------------------


def read(path: Path, config: Config | None = None) -> Assignment:
    """The assignment whose source notebook is at ``path``.

    Parameters
    ----------
    path : Path
        ``source/<id>/<id>.ipynb``.
    config : traitlets Config, optional
        The course's nbgrader configuration, for other stubs and marker lines than nbgrader's own.

    Raises
    ------
    GradingError
        If it is no notebook, or could not be graded as meant.
    """
    path = Path(path)
    name = path.stem
    notebook = _load(path)
    try:
        _check_ids(notebook)
        roles = [_role(cell) for cell in notebook.cells]
        points = [_points(cell, role) for cell, role in zip(notebook.cells, roles, strict=True)]
        released = _release(notebook, config)
        cells = tuple(
            Cell(
                id=cell.id,
                role=role,
                cell_type=cell.cell_type,
                source=cell.source,
                released=as_released.source,
                points=worth,
                defines=_names(cell) if role == "solution" else (),
                metadata=json.loads(json.dumps(as_released.metadata)),
            )
            for cell, role, worth, as_released in zip(
                notebook.cells, roles, points, released.cells, strict=True
            )
        )
        _check_together(cells)
    except _Unfit as error:
        raise GradingError(f"{name}: {error}") from error
    decisive = [[cell.id, cell.role, cell.cell_type, cell.source, cell.points] for cell in cells]
    return Assignment(
        id=name,
        path=path,
        cells=cells,
        digest=hashlib.sha256(json.dumps(decisive).encode()).hexdigest(),
        notebook=json.loads(json.dumps(released)),
    )


class _Unfit(Exception):
    """What is wrong with the notebook, as a sentence."""


def _load(path: Path) -> nbformat.NotebookNode:
    import nbformat
    from nbformat import reader

    try:
        written = path.read_text(encoding="utf-8")
        content = json.loads(written)
    except FileNotFoundError:
        raise GradingError(f"There is no notebook {path}: an assignment is source/NAME/NAME.ipynb.") from None
    except (OSError, ValueError, RecursionError) as error:
        raise GradingError(f"{path} is not a readable notebook: {error}") from error
    others = sorted(other.name for other in path.parent.glob("*.ipynb") if other.name != path.name)
    if others:
        others = ", ".join(others)
        raise GradingError(
            f"Besides {path} there is {others}: an assignment is one notebook, move the rest away."
        )
    folder = path.parent.resolve().name
    if folder != path.stem:
        raise GradingError(f"{path} has to be named as its folder: {folder}.ipynb.")
    if not isinstance(content, dict) or (content.get("nbformat"), content.get("nbformat_minor")) != (4, 5):
        raise GradingError(
            f"{path} is not a notebook of format 4.5: open it in JupyterLab and save it there."
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about ids, which `_check_ids` looks at
            nbformat.validate(content)  # repairs ids in `content`, so that is not used any more
        return reader.reads(written)
    except Exception as error:  # whatever the readers of the format trip over
        reason = getattr(error, "message", error)
        raise GradingError(f"{path} is not a valid notebook: {reason}") from error


def _nbgrader(cell: nbformat.NotebookNode) -> dict[str, Any]:
    """nbgrader's metadata of a cell, empty if it does not manage it."""
    meta = cell.metadata.get("nbgrader", {})
    return meta if any(meta.get(key) for key in ("grade", "solution", "locked", "task")) else {}


def _check_ids(notebook: nbformat.NotebookNode) -> None:
    seen: set[str] = set()
    for number, cell in enumerate(notebook.cells, 1):
        if "id" not in cell:
            raise _Unfit(f"cell number {number} has no id; give it one of readable words.")
        if cell.id in seen:
            raise _Unfit(f"two cells have the id `{cell.id}`; give each its own.")
        seen.add(cell.id)
        if not isinstance(cell.metadata.get("nbgrader", {}), dict):
            raise _Unfit(f"the nbgrader metadata of `{cell.id}` are not readable; set the cell's kind anew.")
        meta = _nbgrader(cell)
        if meta and meta.get("grade_id") != cell.id:
            raise _Unfit(
                f"cell `{cell.id}` has the grade_id {meta.get('grade_id')!r}; the two have to be the same."
            )


def _role(cell: nbformat.NotebookNode) -> Role:
    meta = _nbgrader(cell)
    kind = cell.cell_type
    if kind == "raw":
        raise _Unfit(f"cell `{cell.id}` is raw; use Markdown or code.")
    if meta.get("task"):
        raise _Unfit(
            f"`{cell.id}` is a manually graded task, which students answer in cells of their own, and those "
            "are not taken; make it a manually graded answer."
        )
    match kind, bool(meta.get("grade")), bool(meta.get("solution")):
        case "markdown", False, False:
            return "text"
        case "markdown", True, True:
            return "written"
        case "markdown", _, _:
            raise _Unfit(
                f"`{cell.id}` is Markdown, so it has to be a manually graded answer (grade and solution)."
            )
        case "code", True, True:
            raise _Unfit(
                f"`{cell.id}` is code graded by hand; grade code by tests, or make it a Markdown answer."
            )
        case "code", True, False:
            return "test"
        case "code", False, True:
            return "solution"
    if not meta:
        raise _Unfit(
            f"code cell `{cell.id}` is neither read-only nor a solution, so nobody would run what is in it."
        )
    return "demo" if "demo" in cell.metadata.get("tags", []) else "given"


def _points(cell: nbformat.NotebookNode, role: Role) -> float:
    if role not in ("test", "written"):
        return 0.0
    points = cell.metadata.nbgrader.get("points")
    if type(points) not in (int, float) or not math.isfinite(points) or points < 0:
        raise _Unfit(f"cell `{cell.id}` needs points, a number from 0 up.")
    return float(points)


def _check_together(cells: Sequence[Cell]) -> None:
    roles = [cell.role for cell in cells]
    if "solution" in roles and "test" in roles[: roles.index("solution")]:
        early = cells[roles.index("test")]
        raise _Unfit(f"test `{early.id}` stands before any solution cell, so it would test nothing.")
    if "test" in roles and "solution" not in roles:
        raise _Unfit("there are tests, but no solution cell.")
    owner: dict[str, str] = {}
    for cell in cells:
        if cell.cell_type == "code":
            _parsed(cell)
        for name in cell.defines:
            if name in owner:
                both = f"in `{owner[name]}` and in `{cell.id}`"
                raise _Unfit(f"`{name}` is defined {both}; the tests could not tell them apart.")
            owner[name] = cell.id


def _parsed(cell: Cell | nbformat.NotebookNode) -> ast.Module:
    """The cell as Python sees it, IPython's magic lines turned into calls."""
    from IPython.core.inputtransformer2 import TransformerManager

    try:
        return ast.parse(TransformerManager().transform_cell(cell.source))
    except (SyntaxError, ValueError) as error:
        line = getattr(error, "lineno", None)
        raise _Unfit(
            f"cell `{cell.id}` has a syntax error{f' in line {line}' if line else ''}: {error.args[0]}."
        ) from error


def _names(cell: nbformat.NotebookNode) -> tuple[str, ...]:
    """Names that the cell binds at top level, in order; ``_`` is nobody's."""
    return tuple(dict.fromkeys(name for name in _bound(_parsed(cell).body) if name != "_"))


def _bound(statements: Sequence[ast.stmt]) -> Iterator[str]:
    for statement in statements:
        if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            yield statement.name
            continue
        targets: list[ast.expr] = []
        if isinstance(statement, ast.Assign):
            targets = statement.targets
        elif isinstance(statement, ast.AugAssign) or (
            isinstance(statement, ast.AnnAssign) and statement.value
        ):
            targets = [statement.target]
        for target in targets:
            # in `weights[0] = 1` the name is read, not bound
            yield from (
                node.id
                for node in ast.walk(target)
                if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
            )
        for block in ("body", "orelse", "finalbody"):
            yield from _bound(getattr(statement, block, []))
        for part in [*getattr(statement, "handlers", []), *getattr(statement, "cases", [])]:
            yield from _bound(part.body)


# --- Releasing ----------------------------------------------------------------------------------------------


def _release(notebook: nbformat.NotebookNode, config: Config | None) -> nbformat.NotebookNode:
    """The notebook through those steps of `nbgrader generate_assignment` that need no database."""
    from nbgrader import preprocessors
    from nbgrader.nbgraderformat import (
        MetadataValidator,
        SchemaTooNewError,
        SchemaTooOldError,
        ValidationError,
    )

    try:
        MetadataValidator().validate_nb(notebook)
    except (SchemaTooOldError, SchemaTooNewError) as error:
        raise _Unfit("its nbgrader metadata are of another version; run `nbgrader update` on it.") from error
    except ValidationError as error:
        raise _Unfit(f"its nbgrader metadata are not valid: {error.message}.") from error
    for cell in notebook.cells:
        if cell.cell_type == "code" and re.search(r"^\s*#.*AUTOTEST", cell.source, re.MULTILINE):
            raise _Unfit(f"`{cell.id}` has an AUTOTEST line; write the assertions out.")
    released, resources = copy.deepcopy(notebook), {}
    names = "LockCells ClearSolutions ClearOutput ClearHiddenTests ClearMarkScheme ComputeChecksums"
    for name in names.split():
        try:
            released, resources = getattr(preprocessors, name)(config=config)(released, resources)
        except (RuntimeError, ValueError) as error:
            raise _Unfit(f"its lines that mark solutions and hidden tests do not fit: {error}.") from error
    return released


def released_notebook(assignment: Assignment) -> dict[str, Any]:
    """The notebook as the student gets it, as `nbgrader generate_assignment` writes it."""
    return copy.deepcopy(assignment.notebook)


# --- Rebuilding ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Found:
    """A submitted cell: its source (None if that is no text) and whether it has the assignment's type."""

    source: str | None
    is_same_type: bool


def rebuild(assignment: Assignment, submitted: dict[str, Any]) -> Rebuilt:
    """Take from a submitted notebook the sources of solution cells and written answers, and nothing else.

    A submitted cell belongs to the assignment's cell that its ``grade_id`` names, else to the one that its
    cell id names (also where Colab keeps it, in ``metadata.id``); its position and type do not matter. Where
    several claim to be one cell, as after copying or splitting it in JupyterLab, the different ones that were
    filled in are joined in their order: that is what running the notebook meant, and nobody loses half an
    answer.

    Parameters
    ----------
    submitted : dict
        Parsed JSON with unknown content.

    Raises
    ------
    Refused
        If an answer is longer than :data:`SOURCE_LENGTH`.
    """
    found: dict[str, list[_Found]] = {cell.id: [] for cell in assignment.cells}
    types = {cell.id: cell.cell_type for cell in assignment.cells}
    released = {tuple(cell.released.split()) for cell in assignment.cells}
    added = 0
    cells = submitted.get("cells")
    for raw in cells if isinstance(cells, list) else []:
        if not isinstance(raw, dict):
            continue
        source = _source(raw.get("source"))
        cell_id = next((name for name in _claims(raw) if name in found), None)
        if cell_id is None:
            added += not _is_blank(source) and tuple(source.split()) not in released
        else:
            found[cell_id].append(_Found(source, raw.get("cell_type") == types[cell_id]))

    rebuilt = Rebuilt({}, {}, [])
    changed = []
    for cell in assignment.cells:
        if cell.is_answer:
            _answer(cell, found[cell.id], rebuilt)
            continue
        differing = [each for each in found[cell.id] if not _is_same(each.source or "", cell.released)]
        if len(differing) == len(found[cell.id]):
            changed += [cell.id] if differing else []
        else:  # the cell itself is there, the others are copies to try things in
            added += sum(not _is_blank(each.source) for each in differing)
    if changed:
        rebuilt.notes.append(f"Changes in {_listed(changed)} were left out: only answers are taken.")
    if added:
        rebuilt.notes.append(
            f"{added} added cell{'s were' if added > 1 else ' was'} left out: "
            "helpers belong in the solution cells, written answers in the cells for them."
        )
    return rebuilt


def _claims(raw: dict[str, Any]) -> Iterator[str]:
    """Ids that a submitted cell may mean, the most telling first."""
    metadata = raw.get("metadata")
    metadata = metadata if isinstance(metadata, dict) else {}
    nbgrader = metadata.get("nbgrader")
    grade_id = nbgrader.get("grade_id") if isinstance(nbgrader, dict) else None
    yield from (name for name in (grade_id, raw.get("id"), metadata.get("id")) if isinstance(name, str))


def _source(content: Any) -> str | None:
    if isinstance(content, list) and all(isinstance(line, str) for line in content):
        content = "".join(content)
    return content.replace("\r\n", "\n").replace("\r", "\n") if isinstance(content, str) else None


def _is_blank(source: str | None) -> bool:
    return not (source and source.strip())


def _is_same(one: str, other: str) -> bool:
    """Whether two sources differ at most in white space."""
    return one == other or one.split() == other.split()


def _answer(cell: Cell, found: Sequence[_Found], rebuilt: Rebuilt) -> None:
    """Put the cell's answer into ``rebuilt``."""
    readable = [each for each in found if each.source is not None]
    filled_in = [
        each for each in readable if not _is_blank(each.source) and not _is_same(each.source, cell.released)
    ]
    chosen = [each for each in filled_in if each.is_same_type] or filled_in
    sources = list(dict.fromkeys(each.source for each in chosen))
    length = sum(map(len, sources))
    if length > SOURCE_LENGTH:
        limit = f"{length:,} characters, more than the {SOURCE_LENGTH:,} that are graded"
        raise Refused(
            f"Cell `{cell.id}` of the submission has {limit}: ask for a shorter one.",
            f"Your cell `{cell.id}` has {limit}: shorten it and hand in again.",
        )
    notes = rebuilt.notes
    if not readable:
        what = "has no readable content" if found else "is missing"
        notes.append(f"Cell `{cell.id}` {what}; it counts as not answered.")
    elif not chosen:
        sources = [cell.released if any(not _is_blank(each.source) for each in readable) else ""]
    if len(readable) > 1 and chosen:
        how = "its versions were joined in their order" if len(sources) > 1 else "the one filled in counts"
        notes.append(f"Cell `{cell.id}` stands {len(readable)} times in the notebook; {how}.")
    if chosen and not chosen[0].is_same_type:
        notes.append(f"Cell `{cell.id}` was not a {cell.cell_type} cell any more; it was taken as one.")
    joined = "\n\n".join(sources) if readable else cell.released
    writable = re.sub(r"[\ud800-\udfff\x00]", "\ufffd", joined)
    if writable != joined:
        notes.append(f"Characters that no text may hold were replaced in `{cell.id}`.")
    rebuilt.sources[cell.id] = writable
    rebuilt.answered[cell.id] = bool(chosen)


def _listed(ids: Sequence[str]) -> str:
    named = ", ".join(f"`{cell_id}`" for cell_id in ids[:_NAMED])
    return f"{named} and {len(ids) - _NAMED} more" if len(ids) > _NAMED else named
