"""What a graded submission leaves behind: a finished mark on disk, then nbgrader's gradebook and notebook.

A mark is finished when its file under ``.grading/results/`` is in place, which happens in one step. From that file the
gradebook and the notebook in ``autograded/`` can be written any number of times with the same end; so whatever ends the
grader at whatever moment, the next run completes what was finished and grades the rest.
"""

from __future__ import annotations

import contextlib
import copy
import hashlib
import json
import os
import secrets
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

from course_utils.grading import clean
from course_utils.grading.assignment import Assignment, Rebuilt, released_notebook
from course_utils.grading.errors import GradingError
from course_utils.grading.files import write_whole

FORM = 1  # of the files under .grading/results; another number there means: grade again


@dataclass
class Mark:
    """One student's result.

    Attributes
    ----------
    points : dict
        Cell id -> points, or None where a person has to grade.
    comments : dict
        Cell id -> what is said to the student there.
    why : list of str
        What the report says: why points are missing, what was noticed.
    notebook : dict
        What Formgrader and feedback show, inert.
    submitted : str, optional
        When it was handed in, UTC.
    secret : str
        What nbgrader's exchange names the student's feedback by.
    """

    student: str
    assignment: str
    key: str
    points: dict[str, float | None]
    comments: dict[str, str]
    why: list[str]
    notebook: dict[str, Any]
    seconds: float = 0.0
    submitted: str | None = None
    secret: str = ""
    refused: bool = False
    form: int = field(default=FORM)

    @property
    def total(self) -> float:
        """Points so far, without what a person still has to grade."""
        return sum(points for points in self.points.values() if points is not None)

    @property
    def by_hand(self) -> bool:
        return any(points is None for points in self.points.values())


def key(assignment: Assignment, digest: str, submitted: datetime | None, limits: dict[str, Any]) -> str:
    """What a mark depends on; while it stays the same, a submission is not graded again."""
    what = [FORM, assignment.digest, digest, submitted.isoformat() if submitted else None, limits]
    return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()


def mark(
    assignment: Assignment, student: str, key: str, rebuilt: Rebuilt, result: dict[str, Any], notes: list[str]
) -> Mark:
    """The mark for a submission that was run."""
    points: dict[str, float | None] = {}
    comments: dict[str, str] = {}
    why = [clean.text(note) for note in [*notes, *rebuilt.notes]]
    for cell in assignment.cells:
        if cell.role == "written":
            points[cell.id] = None if rebuilt.answered[cell.id] else 0.0
        elif cell.role == "test":
            done = result["tests"].get(cell.id)
            points[cell.id] = min(max(float(done["points"]), 0.0), cell.points) if done else 0.0
            if not (done and done["passed"]):
                said = clean.text(done["message"]) if done else result["trouble"]
                why.append(f"{cell.id} {points[cell.id]:g}/{cell.points:g}: {said}".rstrip(": "))
        if cell.role in ("written", "solution") and not rebuilt.answered[cell.id]:
            comments[cell.id] = "No response."
    if result["trouble"]:
        why.insert(0, result["trouble"])
    notebook = _notebook(assignment, rebuilt, result, notes)
    return Mark(student, assignment.id, key, points, comments, why, notebook, seconds=result["seconds"])


def refusal(assignment: Assignment, student: str, key: str, teacher: str, to_student: str) -> Mark:
    """The mark for a submission that was not accepted: no points, and the reason for both."""
    points: dict[str, float | None] = {}
    for cell in assignment.cells:
        if cell.role in ("test", "written"):
            points[cell.id] = 0.0
    notebook = released_notebook(assignment)
    _say(notebook, [f"This submission was not accepted: {to_student}"])
    why = [f"not accepted: {clean.text(teacher)}"]
    return Mark(student, assignment.id, key, points, {}, why, notebook, refused=True)


def _notebook(
    assignment: Assignment, rebuilt: Rebuilt, result: dict[str, Any], notes: list[str]
) -> dict[str, Any]:
    """The notebook as it is shown: the released one, with the student's answers and what came of them."""
    notebook = copy.deepcopy(released_notebook(assignment))
    by_id = {cell.id: cell for cell in assignment.cells}
    room = clean.Room()
    for shown in notebook["cells"]:
        cell = by_id[shown["id"]]
        if cell.role == "written" and rebuilt.answered[cell.id]:
            shown["source"] = clean.markdown(rebuilt.sources.get(cell.id, cell.released))
        elif cell.role == "solution":
            shown["source"] = rebuilt.sources.get(cell.id, cell.released)
        if cell.role in ("solution", "given", "demo"):
            shown["outputs"] = clean.outputs(result["outputs"].get(cell.id, []), room)
        elif cell.role == "test":
            done = result["tests"].get(cell.id)
            if cell.source.strip() != cell.released.strip():
                shown["source"] = shown["source"].rstrip() + "\n\n# Hidden tests of this cell ran as well."
            shown["outputs"] = _verdict(cell.points, done, result["trouble"])
    _say(notebook, [*notes, *rebuilt.notes, *([result["trouble"]] if result["trouble"] else [])])
    return notebook


def _verdict(most: float, done: dict[str, Any] | None, trouble: str) -> list[dict[str, Any]]:
    earned = done["points"] if done else 0.0
    text = f"{earned:g} of {most:g} points\n"
    if done and done["printed"]:
        text = clean.text(done["printed"]).rstrip() + "\n" + text
    outputs: list[dict[str, Any]] = [{"output_type": "stream", "name": "stdout", "text": text}]
    if not (done and done["passed"]):
        said = clean.text(done["message"]) if done else trouble
        if said:
            outputs.append(
                {
                    "output_type": "error",
                    "ename": "Not yet",
                    "evalue": said,
                    "traceback": [f"Not yet: {said}"],
                }
            )
    return outputs


def _say(notebook: dict[str, Any], notes: list[str]) -> None:
    """Put what was noticed at the top, where student and teacher see it first."""
    if notes:
        text = "**About this submission**\n\n" + "\n".join(
            f"- {clean.markdown(clean.text(n))}" for n in notes
        )
        cell = {"cell_type": "markdown", "id": "about-this-submission", "metadata": {}, "source": text}
        notebook["cells"].insert(0, cell)


@contextlib.contextmanager
def only_one(root: Path) -> Iterator[None]:
    """Hold the course directory for one grading run; however that ends, the next one may begin.

    Raises
    ------
    GradingError
        If another run is going on.
    """
    folder = root / ".grading"
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "lock", "w") as file:
        if fcntl is not None:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise GradingError(
                    f"Another run is grading in {root} already: wait for it, or end it, and start again."
                ) from None
        # What a run that was killed had begun to write.
        shutil.rmtree(folder / "waiting", ignore_errors=True)
        for part in folder.glob("results/*/.*"):
            part.unlink(missing_ok=True)
        yield


class Results:
    """The finished marks of one assignment, and their way into nbgrader.

    Parameters
    ----------
    coursedir : nbgrader.coursedir.CourseDirectory
    assignment : Assignment
    late : callable, optional
        ``late(student, score, seconds)`` -> points off, or None: nbgrader's plugin for late submissions.

    Raises
    ------
    GradingError
        If the gradebook does not know the assignment as it is now; the message says what to run.
    """

    def __init__(self, coursedir: Any, assignment: Assignment, late: Any = None) -> None:
        from nbgrader.api import Gradebook

        self.assignment = assignment
        self.coursedir = coursedir
        self.folder = Path(coursedir.root) / ".grading" / "results" / assignment.id
        self._late = late
        try:
            self._gradebook = Gradebook(coursedir.db_url, coursedir.course_id)
        except ModuleNotFoundError as error:
            raise GradingError(
                f"The gradebook {_without_password(coursedir.db_url)} needs a driver that is not installed: "
                f"`pip install {error.name}` in this environment."
            ) from error
        except Exception as error:
            raise GradingError(
                f"The gradebook {_without_password(coursedir.db_url)} cannot be opened ({type(error).__name__}: "
                f"{str(error).splitlines()[0]}): see that the server runs and the address is right; after an update of "
                "nbgrader run `nbgrader db upgrade`."
            ) from error
        self._check()

    def __enter__(self) -> Results:
        return self

    def __exit__(self, *error: object) -> None:
        self._gradebook.close()

    def _check(self) -> None:
        from nbgrader.api import MissingEntry

        again = f"run `nbgrader generate_assignment {self.assignment.id} --force` and start again."
        try:
            notebook = self._gradebook.find_notebook(self.assignment.id, self.assignment.id)
        except MissingEntry:
            raise GradingError(f"The gradebook does not know {self.assignment.id} yet: {again}") from None
        known = {cell.name: float(cell.max_score) for cell in (*notebook.grade_cells, *notebook.task_cells)}
        now = {cell.id: cell.points for cell in self.assignment.cells if cell.role in ("test", "written")}
        if known != now:
            names = ", ".join(
                sorted(name for name in known.keys() | now.keys() if known.get(name) != now.get(name))
            )
            raise GradingError(f"{self.assignment.id} was changed after it was released ({names}): {again}")

    def find(self, student: str) -> Mark | None:
        """The finished mark of a student, or None where there is none (or none that can be read)."""
        try:
            kept = json.loads((self.folder / f"{student}.json").read_text(encoding="utf-8"))
            return Mark(**kept) if kept.get("form") == FORM else None
        except (OSError, ValueError, TypeError, AttributeError):
            return None

    def all(self) -> Iterator[Mark]:
        """All finished marks, by student."""
        for path in sorted(self.folder.glob("*.json")):
            if (kept := self.find(path.stem)) is not None:
                yield kept

    def keep(self, mark: Mark) -> None:
        """Finish a mark: from here on it is not lost."""
        write_whole(self.folder / f"{mark.student}.json", json.dumps(vars(mark)))

    def is_recorded(self, mark: Mark) -> bool:
        """Whether gradebook and notebook hold this mark."""
        from nbgrader.api import MissingEntry

        try:
            submission = self._gradebook.find_submission(self.assignment.id, mark.student)
        except MissingEntry:
            return False
        grades = {
            grade.name: grade.auto_score for notebook in submission.notebooks for grade in notebook.grades
        }
        when = submission.timestamp.isoformat(" ") if submission.timestamp else None
        stamp = self._autograded(mark.student) / ".graded"
        with contextlib.suppress(OSError):
            return grades == mark.points and when == mark.submitted and stamp.read_text() == mark.key
        return False

    def record(self, mark: Mark) -> None:
        """Bring gradebook and notebook in line with a finished mark; may be done again."""
        self._write_notebook(mark)
        self._write_grades(mark)

    def _autograded(self, student: str) -> Path:
        coursedir = self.coursedir
        return Path(coursedir.format_path(coursedir.autograded_directory, student, self.assignment.id))

    def _write_notebook(self, mark: Mark) -> None:
        folder = self._autograded(mark.student)
        folder.parent.mkdir(parents=True, exist_ok=True)
        # Beside the course's own folders, so that no half of it is ever seen there.
        waiting = Path(self.coursedir.root) / ".grading" / "waiting"
        waiting.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(dir=waiting))
        text = json.dumps(mark.notebook, indent=1, ensure_ascii=False) + "\n"
        write_whole(part / f"{self.assignment.id}.ipynb", text)
        # nbgrader returns feedback by these two, and stops where one is missing.
        write_whole(part / "timestamp.txt", f"{mark.submitted} UTC" if mark.submitted else "")
        write_whole(part / "submission_secret.txt", mark.secret or secrets.token_hex(64))
        write_whole(part / ".graded", mark.key)
        part.chmod(0o755)
        old = Path(tempfile.mkdtemp(dir=waiting))
        with contextlib.suppress(FileNotFoundError):
            os.rename(folder, old / "old")
        os.rename(part, folder)
        shutil.rmtree(old, ignore_errors=True)

    def _write_grades(self, mark: Mark) -> None:
        """All grades of the submission in one transaction. What a person graded stays."""
        book, name = self._gradebook, self.assignment.id
        try:
            book.update_or_create_student(mark.student)
            with warnings.catch_warnings():  # of nbgrader about its own use of SQLAlchemy
                warnings.simplefilter("ignore")
                submission = book.update_or_create_submission(name, mark.student, timestamp=mark.submitted)
            for cell in self.assignment.cells:
                if cell.role in ("test", "written"):
                    grade = self._grade(cell.id, mark.student)
                    grade.auto_score = mark.points[cell.id]
                    grade.needs_manual_grade = grade.auto_score is None or grade.manual_score is not None
                if cell.role in ("solution", "written"):
                    comment = book.find_comment(cell.id, name, name, mark.student)
                    comment.auto_comment = mark.comments.get(cell.id)
            notebook = book.find_submission_notebook(name, name, mark.student)
            notebook.late_submission_penalty = None
            if self._late and submission.total_seconds_late > 0:
                book.db.flush()
                book.db.refresh(notebook)
                off = self._late(mark.student, notebook.score, submission.total_seconds_late)
                if off is not None:
                    notebook.late_submission_penalty = min(max(off, 0), notebook.score)
            book.db.commit()
        except BaseException:
            book.db.rollback()
            raise

    def _grade(self, cell: str, student: str) -> Any:
        """The gradebook's row for a cell; made here if the assignment got the cell after the submission."""
        from nbgrader.api import Grade, MissingEntry

        book, name = self._gradebook, self.assignment.id
        try:
            return book.find_grade(cell, name, name, student)
        except MissingEntry:
            notebook = book.find_submission_notebook(name, name, student)
            grade = Grade(cell_id=book.find_graded_cell(cell, name, name).id, notebook=notebook)
            book.db.add(grade)
            return grade


def _without_password(url: str) -> str:
    """A database address that may be shown."""
    head, at, tail = url.rpartition("@")
    return f"{head.split('//')[0]}//...@{tail}" if at else url
