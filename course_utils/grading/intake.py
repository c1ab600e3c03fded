"""Accepts or refuses what was handed in, before anything else touches it.

Everything in a submission was written by its student: names, kinds of files, content. Here no link is
followed and nothing is opened but one regular file of limited size; what comes out is parsed JSON that looks
like a notebook. The time of a submission comes from the record that `collect` keeps under ``.grading/``,
never from a submitted file.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import itertools
import json
import os
import re
import stat
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from course_utils.grading.errors import GradingError, Refused
from course_utils.lessons.catalogue import CourseError, root

NOTEBOOK_BYTES = 5_000_000
CELLS = 1_000
FILES = 200  # in a submission's folder, folders counted
DEPTH = 5  # folders inside one another
_NAMED = 3  # files that a sentence names
_OURS = ("timestamp.txt", "submission_secret.txt")  # what nbgrader puts beside a notebook

_STUDENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,99}")
_ASSIGNMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")

# Windows has none of these, and no links that they would be needed for.
_SAFELY = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)
_FILE = os.O_RDONLY | _SAFELY | getattr(os, "O_BINARY", 0)
_FOLDER = os.O_RDONLY | _SAFELY | getattr(os, "O_DIRECTORY", 0)


@dataclass(frozen=True)
class Accepted:
    """A submission that may be graded.

    Attributes
    ----------
    notebook : dict
        Parsed JSON: format 4, a list of cells that are dicts, all else unknown.
    digest : str
        SHA-256 of the file.
    notes : tuple of str
        What was noticed: sentences for teacher and student.
    data : bytes
        The file.
    changed : int
        When the notebook or its folder last changed in any way by the kernel's own account (``st_ctime_ns``,
        nanoseconds since 1970), which no student can set back. 0 if not read from a folder.
    owners : frozenset of int
        User ids that own notebook and folder.
    """

    notebook: dict[str, Any] = field(repr=False)
    digest: str
    notes: tuple[str, ...] = ()
    data: bytes = field(repr=False, default=b"")
    changed: int = 0
    owners: frozenset[int] = frozenset()


def _refused(what: str, do: str) -> Refused:
    """A refusal: what was found, and what the student has to do, which the teacher is told to ask for."""
    return Refused(f"{what}: ask the student to {do}.", f"{what}: {do}.")


# --- Names --------------------------------------------------------------------------------------------------


def student_name(name: str) -> str:
    """The student id, if ``name`` can be one.

    Raises
    ------
    Refused
        If it could lead out of its folder or cannot be shown plainly.
    """
    if not _STUDENT.fullmatch(name) or ".." in name:
        raise Refused(
            f"{shown(name)} is no student id: it needs letters, digits and . _ @ + - only, beginning with a letter or "
            "digit, at most 100; rename the folder.",
            "Your submission has no valid student id: ask your teacher to look at it.",
        )
    return name


def assignment_name(name: str) -> str:
    """The assignment id, if ``name`` can be one.

    Raises
    ------
    GradingError
        If not.
    """
    if not _ASSIGNMENT.fullmatch(name) or ".." in name:
        raise GradingError(f"{shown(name)} is no assignment id: those are like ps1-perceptron-and-mlp.")
    return name


def shown(name: str, *, plain: bool = False) -> str:
    """A file name for a sentence, in backticks: cut, with escapes for what does not show as it is.

    ``plain`` leaves ASCII only, so that lookalikes show.
    """
    name = name if len(name) <= 60 else f"{name[:40]}...{name[-15:]}"

    def visible(letter: str) -> bool:
        return letter.isprintable() and letter != "`" and (letter.isascii() or not plain)

    return f"`{''.join(c if visible(c) else f'<U+{ord(c):04X}>' for c in name)}`"


def _is_odd(name: str) -> bool:
    """Whether a file name holds what hides, turns or breaks text, or ends in what some systems drop."""
    joiners = "\u200c\u200d"  # needed in some scripts, and in emoji
    kinds = {unicodedata.category(letter) for letter in name if letter not in joiners}
    if kinds & {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}:
        return True
    return name != name.strip() or name.endswith(".") or any(c.isspace() and c != " " for c in name)


# Letters that look like Latin ones, after NFKD and casefold; `1`, `l` and `i` count as one, and `0` and `o`.
_LOOKS = str.maketrans(
    {
        letter: latin
        for latin, letters in {
            "a": "аɑα", "b": "Ьв", "c": "сϲ", "d": "ԁ", "e": "еєɛ", "g": "ɡց", "h": "һн", "j": "јϳ", "k": "кκ",
            "l": "1iіıɩι|ӏ", "m": "м", "n": "ոη", "o": "0оοօσ", "p": "рρ", "q": "ԛ", "r": "гᴦ", "s": "ѕꜱ", "t": "тτ",
            "u": "υսц", "v": "ѵν", "w": "ԝω", "x": "хχ", "y": "уγү", "z": "ᴢ", "-": "_‐‑‒–—―−⁃ー", ".": "․·",
        }.items()
        for letter in letters
    }
)  # fmt: skip


def _look(name: str) -> str:
    """What a reader may take a name for: without case, accents, spaces and invisible characters."""
    spread = unicodedata.normalize("NFKD", name).casefold()
    spread = unicodedata.normalize("NFKD", spread).translate(_LOOKS)
    kept = (c for c in spread if unicodedata.category(c)[0] not in "MCZ")
    return "".join(kept).strip(".")


def copy_number(name: str, assignment_id: str) -> int | None:
    """Which copy of the assignment's notebook a name stands for: 0 for the right name, None for another file.

    Browsers, LMSs, JupyterLab and Colab name copies ``x (1).ipynb``, ``x-1.ipynb``, ``x-Copy1.ipynb`` and
    ``Copy of x.ipynb``.
    """
    if name == f"{assignment_id}.ipynb":
        return 0
    stem = re.escape(assignment_id)
    number = r"(?: ?\((\d{1,3})\)|-(\d{1,3})|-Copy(\d{1,3}))"
    found = re.fullmatch(rf"(Copy of )?{stem}{number}?\.ipynb", name, re.IGNORECASE)
    if not found or not any(found.groups()):
        return None
    return max([int(digits) for digits in found.groups()[1:] if digits], default=1)


def _is_near(name: str, assignment_id: str) -> bool:
    """Whether a name may be meant for, or taken for, the assignment's notebook without being its name."""
    wanted = f"{assignment_id}.ipynb"
    if name == wanted:
        return False
    return copy_number(name, assignment_id) is not None or _look(name) == _look(wanted)


def _misnamed(name: str, assignment_id: str) -> Refused:
    wanted = f"{assignment_id}.ipynb"
    if copy_number(name, assignment_id) is not None:
        return _refused(
            f"The notebook is named {shown(name)}, as a second download or a copy is, and not `{wanted}`",
            f"see that it is the newest one, name it `{wanted}` and hand in again",
        )
    return _refused(
        f"The notebook is named {shown(name, plain=True)}, which is not `{wanted}`",
        f"name it `{wanted}` and hand in again",
    )


def _list(names: list[str]) -> str:
    head = ", ".join(shown(name) for name in names[:_NAMED])
    return head if len(names) <= _NAMED else f"{head} and {len(names) - _NAMED} more"


# --- Reading ------------------------------------------------------------------------------------------------


def read_bytes_safely(path: Path, *, below: Path | None = None, limit: int = NOTEBOOK_BYTES) -> bytes:
    """The content of a regular file.

    What counts is checked on the open file, so that nothing can be put in its place in between. A pipe or a
    device is not opened; if one takes the file's place at that moment, opening it does not wait and nothing
    is read from it.

    Parameters
    ----------
    path : Path
    below : Path, optional
        A folder above it: everything between has to be a real folder, no link.
    limit : int
        Largest size, bytes.

    Raises
    ------
    Refused
        If it is a link, no regular file, has a second name (a hard link), is too large, changes while it is
        read, or cannot be read.
    """
    if below is None or os.open not in os.supports_dir_fd:
        return _read(path, limit=limit)[0]
    with _folder(below, path.parent.relative_to(below).parts) as folder:
        return _read(path.name, folder, limit)[0]


def _read(
    name: str | Path, folder: int | None = None, limit: int = NOTEBOOK_BYTES
) -> tuple[bytes, os.stat_result]:
    """Content and state of a file, by path or by name in an open folder."""
    label = os.path.basename(name)
    try:
        _check_kind(label, os.stat(name, dir_fd=folder, follow_symlinks=False))
        descriptor = os.open(name, _FILE, dir_fd=folder)
        with open(descriptor, "rb") as file:
            before = os.fstat(descriptor)
            _check_kind(label, before)
            data = file.read(limit + 1) if before.st_size <= limit else b""
            after = os.fstat(descriptor)
    except OSError as error:
        raise _unreadable(shown(label), error) from None
    if max(before.st_size, len(data)) > limit:
        raise _too_large(shown(label), limit)
    if any(
        getattr(before, each) != getattr(after, each) for each in ("st_size", "st_mtime_ns", "st_ctime_ns")
    ):
        raise _refused(f"{shown(label)} changed while it was read", "hand in again")
    return data, after


def _check_kind(label: str, state: os.stat_result, *, folders: bool = False) -> None:
    """Refuse what is no regular file with one name (nor, if ``folders``, a folder)."""
    mode = state.st_mode
    if (stat.S_ISREG(mode) and state.st_nlink <= 1) or (folders and stat.S_ISDIR(mode)):
        return
    if stat.S_ISLNK(mode):
        what = "a link to somewhere else"
    elif stat.S_ISREG(mode):
        what = "a hard link: the same file has another name elsewhere"
    elif stat.S_ISDIR(mode):
        what = "a folder"
    else:
        what = "a pipe, a socket or a device"
    raise _refused(f"{shown(label)} is {what}", "hand in the notebook as an ordinary file")


def _too_large(what: str, limit: int) -> Refused:
    return _refused(
        f"{what} is larger than {limit / 1e6:g} MB",
        "clear its outputs (in JupyterLab: Edit, Clear Outputs of All Cells), save and hand in again",
    )


def _unreadable(what: str, error: OSError) -> Refused:
    if error.errno in (errno.ENOENT, errno.ELOOP, errno.ENXIO):
        return _refused(f"{what} is not there or changed while it was read", "hand in again")
    return _refused(f"{what} cannot be read ({error.strerror or type(error).__name__})", "hand in again")


@contextlib.contextmanager
def _folder(below: Path, parts: tuple[str, ...]) -> Iterator[int]:
    """A folder opened step by step from ``below``, which alone may be reached through links."""
    descriptor = os.open(below, _FOLDER & ~getattr(os, "O_NOFOLLOW", 0))
    try:
        for part in parts:
            try:
                inner = os.open(part, _FOLDER, dir_fd=descriptor)
            except OSError as error:
                if error.errno in (errno.ENOTDIR, errno.ELOOP):
                    raise _refused(
                        f"{shown(part)}, where the submission should be, is a link or no folder",
                        "hand in again",
                    ) from None
                raise _unreadable(shown(part), error) from None
            os.close(descriptor)
            descriptor = inner
        yield descriptor
    finally:
        os.close(descriptor)


# --- Accepting ----------------------------------------------------------------------------------------------


def submission(folder: Path, assignment_id: str, *, below: Path | None = None) -> Accepted:
    """Accept the submission in a folder, ``submitted/<student>/<assignment>/``.

    Wanted is one notebook of the assignment's name. Other files are left out, and named in a note.

    Parameters
    ----------
    folder : Path
    assignment_id : str
    below : Path, optional
        A folder above ``folder``: everything between has to be a real folder, no link. By default the course
        directory.

    Raises
    ------
    Refused
        If there is a link, a device or an odd name anywhere in the folder, if there is too much in it, or if
        it does not hold exactly one notebook that can be meant, readable and of format 4.
    GradingError
        If ``assignment_id`` is none.
    """
    wanted = f"{assignment_name(assignment_id)}.ipynb"
    below = folder.parents[2] if below is None else below
    with _folder(below, folder.relative_to(below).parts) as descriptor:
        files = list(_walk(descriptor))
        _check_names(files, assignment_id)
        data, notebook_state = _read(wanted, descriptor)
        folder_state = os.fstat(descriptor)
    notebook, digest = content(data)
    others = [name for name in files if name not in (wanted, *_OURS) and not _is_made_by_jupyter(name)]
    return Accepted(
        notebook,
        digest,
        _left_out(others),
        data,
        max(notebook_state.st_ctime_ns, folder_state.st_ctime_ns),
        frozenset({notebook_state.st_uid, folder_state.st_uid}),
    )


def _walk(
    folder: int, inside: str = "", depth: int = 1, counter: Iterator[int] | None = None
) -> Iterator[str]:
    """Paths of all files in an open folder, sorted; at most `FILES`, at most `DEPTH` folders deep."""
    counter = itertools.count(1) if counter is None else counter
    try:
        with os.scandir(folder) as entries:
            found = sorted(itertools.islice(entries, FILES + 1), key=lambda entry: entry.name)
        for entry in found:
            path = inside + entry.name
            if next(counter) > FILES:
                raise _refused(
                    f"The submission has more than {FILES} files and folders", "hand in the notebook alone"
                )
            if _is_odd(entry.name):
                raise _refused(
                    f"The submission has a file with an odd name, {shown(path)}",
                    "rename or remove it and hand in again",
                )
            state = entry.stat(follow_symlinks=False)
            _check_kind(path, state, folders=True)
            if not stat.S_ISDIR(state.st_mode):
                yield path
                continue
            if depth >= DEPTH:
                raise _refused(
                    f"The submission has folders more than {DEPTH} deep in one another",
                    "hand in the notebook alone",
                )
            inner = os.open(entry.name, _FOLDER, dir_fd=folder)
            try:
                yield from _walk(inner, f"{path}/", depth + 1, counter)
            finally:
                os.close(inner)
    except OSError as error:
        raise _unreadable(shown(inside) if inside else "The submission", error) from None


def _check_names(files: list[str], assignment_id: str) -> None:
    """Refuse a submission without the notebook, or with another file that can be meant or taken for it."""
    wanted = f"{assignment_id}.ipynb"
    near = [name for name in files if "/" not in name and _is_near(name, assignment_id)]
    if wanted in files and near:
        raise _refused(
            f"Two notebooks can be meant, `{wanted}` and {shown(near[0], plain=True)}",
            f"hand in `{wanted}` alone, with the answers that count",
        )
    if wanted in files:
        return
    if len(near) == 1:
        raise _misnamed(near[0], assignment_id)
    notebooks = near or [
        name for name in files if name.lower().endswith(".ipynb") and not _is_made_by_jupyter(name)
    ]
    if notebooks:
        there = f"only {_list(notebooks)}"
    else:
        there = f"only {_list(files)}" if set(files) - set(_OURS) else "nothing"
    raise _refused(
        f"There is no notebook `{wanted}` but {there}", f"hand in the notebook under the name `{wanted}`"
    )


def _is_made_by_jupyter(path: str) -> bool:
    return bool({".ipynb_checkpoints", "__pycache__"} & set(path.split("/")[:-1]))


def _left_out(names: list[str]) -> tuple[str, ...]:
    if not names:
        return ()
    files = "another file was" if len(names) == 1 else f"{len(names)} other files were"
    return (f"Only the notebook is graded; {files} left out: {_list(names)}.",)


def content(data: bytes) -> tuple[dict[str, Any], str]:
    """Parsed notebook and SHA-256 of a file's content.

    Raises
    ------
    Refused
        If it is no notebook of format 4 with at most `CELLS` cells, or larger than `NOTEBOOK_BYTES`.
    """
    again = "open it in JupyterLab, save it and hand in again"
    if len(data) > NOTEBOOK_BYTES:
        raise _too_large("The notebook", NOTEBOOK_BYTES)
    if not data.strip():
        raise _refused("The notebook is empty", "see that your work is saved, and hand in again")
    try:
        # Not json.loads(bytes), which takes UTF-16 and UTF-32 as well.
        notebook = json.loads(data.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise _refused(
            "The notebook is not UTF-8 text, so it is damaged or another kind of file", again
        ) from None
    except RecursionError:
        raise _refused("The notebook is nested too deeply", again) from None
    except ValueError as error:  # also a number with more digits than Python reads
        where = f" (line {error.lineno})" if isinstance(error, json.JSONDecodeError) else ""
        what = "a web page" if data.lstrip()[:1] == b"<" else "damaged or another kind of file"
        raise _refused(f"The notebook is not valid JSON{where}, so it is {what}", again) from None
    form = notebook.get("nbformat") if isinstance(notebook, dict) else None
    if not isinstance(form, int) or isinstance(form, bool):
        raise _refused("The file is JSON but not a notebook", "hand in the notebook itself")
    if form < 4:
        raise _refused(f"The notebook has the old format {shown(str(form))}", again)
    if form > 4:
        raise _refused(
            f"The notebook has format {shown(str(form))}, and only 4 is known here",
            "save it as notebook format 4 and hand in again",
        )
    cells = notebook.get("cells")
    if not isinstance(cells, list) or not all(isinstance(cell, dict) for cell in cells):
        raise _refused("The notebook has no list of cells", "start from the assignment as you got it")
    if len(cells) > CELLS:
        raise _refused(
            f"The notebook has more than {CELLS:,} cells", "remove those that you added and hand in again"
        )
    return notebook, hashlib.sha256(data).hexdigest()


def file(path: Path, assignment_id: str | None = None) -> Accepted:
    """Accept one file (or folder) before it is handed in, as :func:`submission` will.

    Parameters
    ----------
    path : Path
    assignment_id : str, optional
        By default the assignment of this course that the name fits; if there is none, the name is not
        checked.

    Raises
    ------
    Refused
        As :func:`submission`.
    GradingError
        If there is no such file, or ``assignment_id`` is none.
    """
    path = Path(os.path.abspath(path))
    if not os.path.lexists(path):
        raise GradingError(f"There is no file {path}.")
    if assignment_id is not None:
        assignment_name(assignment_id)
    else:
        known = _assignments()
        fits = [each for each in known if path.name in (each, f"{each}.ipynb")]
        fits += [each for each in known if _is_near(path.name, each)]
        assignment_id = fits[0] if fits else None
    if path.is_dir():
        if os.scandir not in os.supports_fd:
            raise GradingError(f"{path} is a folder: name the notebook in it.")
        return submission(path, assignment_id or assignment_name(path.name), below=path.parent)
    if _is_odd(path.name):
        raise _refused(f"The file has an odd name, {shown(path.name)}", "rename it and try again")
    if assignment_id is not None and path.name != f"{assignment_id}.ipynb":
        raise _misnamed(path.name, assignment_id)
    data = read_bytes_safely(path)
    notebook, digest = content(data)
    notes = ()
    if assignment_id is None:
        notes = ("Which assignment this is for is not known here, so the file's name was not checked.",)
    return Accepted(notebook, digest, notes, data)


def _assignments() -> list[str]:
    """Ids of the assignments of this course, as far as they can be found here."""
    try:
        course_dir = root() / "assignments"
    except CourseError:
        return []
    folders = itertools.chain((course_dir / "source").glob("*/"), (course_dir / "release").glob("*/"))
    return sorted({folder.name for folder in folders})


# --- What the collector recorded ----------------------------------------------------------------------------


def submitted_folder(course_dir: Path, assignment_id: str, student_id: str) -> Path:
    """Where a submission lies once it was collected."""
    return course_dir / "submitted" / student_name(student_id) / assignment_name(assignment_id)


def record_path(course_dir: Path, assignment_id: str, student_id: str) -> Path:
    """Where `collect` records what it took: a file that no student can write."""
    folder = course_dir / ".grading" / "collected" / assignment_name(assignment_id)
    return folder / f"{student_name(student_id)}.json"


def recorded(
    course_dir: Path, assignment_id: str, student_id: str, *, fitting: bool = True
) -> dict[str, Any] | None:
    """The collector's record, or None if there is none.

    Also None, unless ``fitting`` is False, if it does not belong to what lies in ``submitted/`` now.

    Keys: ``time`` (ISO, UTC, or None), ``from`` ("exchange", "zip" or "folder"), ``claimed`` (the time that
    the submission itself gives), ``sha256`` of the notebook (None if it was refused), ``refused`` (None, or
    the sentences for teacher and student), ``notes``, ``secret`` (nbgrader's key to the feedback),
    ``lms`` ("moodle", "canvas" or None) and ``lms_id``, the student's number there.
    """
    try:
        path = record_path(course_dir, assignment_id, student_id)
        kept = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(kept, dict):
        return None
    if fitting and kept.get("sha256") != collected_digest(course_dir, assignment_id, student_id):
        return None
    return kept


def collected_digest(course_dir: Path, assignment_id: str, student_id: str) -> str | None:
    """SHA-256 of the collected notebook; None where there is none, "" if it cannot be read."""
    path = submitted_folder(course_dir, assignment_id, student_id) / f"{assignment_id}.ipynb"
    if not os.path.lexists(path):
        return None
    try:
        return hashlib.sha256(read_bytes_safely(path, below=course_dir)).hexdigest()
    except Refused:
        return ""


def submitted_at(course_dir: Path, assignment_id: str, student_id: str) -> datetime | None:
    """When a submission was handed in: UTC without a zone, as nbgrader keeps times.

    None if that is not known: nothing was recorded, the source had no time to be trusted, or the notebook in
    ``submitted/`` is not the one that was collected.
    """
    kept = recorded(course_dir, assignment_id, student_id)
    try:
        return (
            datetime.fromisoformat(kept["time"]).replace(tzinfo=None) if kept and kept.get("time") else None
        )
    except (TypeError, ValueError):
        return None


def refused_at_collection(course_dir: Path, assignment_id: str, student_id: str) -> tuple[str, str] | None:
    """The sentences for teacher and student if a submission was refused when it was collected, else None.

    A notebook that a teacher puts into ``submitted/`` afterwards ends the refusal.
    """
    told = (recorded(course_dir, assignment_id, student_id) or {}).get("refused")
    return (str(told[0]), str(told[1])) if isinstance(told, list) and len(told) == 2 else None


def notes_at_collection(course_dir: Path, assignment_id: str, student_id: str) -> tuple[str, ...]:
    """What was noticed when a submission was collected: sentences for the teacher."""
    notes = (recorded(course_dir, assignment_id, student_id) or {}).get("notes")
    return tuple(note for note in notes if isinstance(note, str)) if isinstance(notes, list) else ()


def feedback_secret(course_dir: Path, assignment_id: str, student_id: str) -> str | None:
    """nbgrader's ``submission_secret.txt``, which has to lie beside feedback to be released in the exchange."""
    secret = (recorded(course_dir, assignment_id, student_id) or {}).get("secret")
    return secret if isinstance(secret, str) else None
