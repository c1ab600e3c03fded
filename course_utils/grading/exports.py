"""The marks of an assignment as CSV: nbgrader's own, and in the forms that Moodle and Canvas import.

Who handed in nothing is not in a file for an LMS, or keeps what the LMS's own file has there: an empty cell
would take away a mark that a teacher entered by hand, and a zero would be one. The safest base is the LMS's
own export, given as roster; it names students as the LMS knows them. Values that a spreadsheet would run as a
formula get a ``'`` in front.
"""

from __future__ import annotations

import csv
import io
import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nbgrader.api import Gradebook, MissingEntry
from nbgrader.plugins import CsvExportPlugin, ExportPlugin
from traitlets import Unicode

from course_utils.grading import intake
from course_utils.grading.errors import GradingError, Refused
from course_utils.grading.files import replacing, write_whole

FORMATS = ("nbgrader", "moodle", "canvas")
ROSTER_BYTES = 20_000_000
_NAMED = 5
_NUMBER = re.compile(r"[+-]?\d+(?:[.,]\d+)?%?|-")  # Moodle writes "-" for no grade


@dataclass(frozen=True)
class Grade:
    """One student's mark for an assignment.

    Attributes
    ----------
    student, first_name, last_name, email : str
    lms_id : str
        What the gradebook has as the LMS's id of the student.
    lms_number : str
        The number that stood in the names of the LMS's zip file, if the submission came out of one.
    points : float, optional
        None if nothing was handed in.
    by_tests, by_hand, penalty : float
        What the points are made of.
    waits : bool
        Whether something is still to be graded by hand.
    """

    student: str
    first_name: str
    last_name: str
    email: str
    lms_id: str
    lms_number: str = ""
    points: float | None = None
    by_tests: float = 0.0
    by_hand: float = 0.0
    penalty: float = 0.0
    waits: bool = False

    @property
    def comment(self) -> str:
        """How the points came about, in one line for the student."""
        parts = [f"tests {number(self.by_tests)}"]
        parts.append(
            "the rest waits for grading by hand" if self.waits else f"by hand {number(self.by_hand)}"
        )
        if self.penalty:
            parts.append(f"late, {number(self.penalty)} taken off")
        return "; ".join(parts).capitalize() + "."


@dataclass(frozen=True)
class Marks:
    """The marks of an assignment, by student."""

    assignment: str
    most: float
    grades: tuple[Grade, ...]

    @property
    def handed_in(self) -> list[Grade]:
        return [grade for grade in self.grades if grade.points is not None]


def number(value: float) -> str:
    """A number for a CSV: decimal point, up to five digits behind it, none that are not needed."""
    return f"{value:.5f}".rstrip("0").rstrip(".") or "0"


def marks(
    gradebook: Gradebook,
    assignment_id: str,
    students: Iterable[str] = (),
    *,
    course_dir: Path | None = None,
    lms: str = "",
) -> Marks:
    """The marks of an assignment; of these students only, if any are named.

    With ``course_dir``, also the numbers under which ``lms`` handed the submissions out.

    Raises
    ------
    GradingError
        If the gradebook does not know the assignment.
    """
    try:
        assignment = gradebook.find_assignment(assignment_id)
    except MissingEntry:
        raise GradingError(
            f"The gradebook does not know {assignment_id}: run `nbgrader generate_assignment {assignment_id}` first."
        ) from None
    handed_in = {each.student_id: each for each in gradebook.assignment_submissions(assignment_id)}
    wanted = {str(student) for student in students}
    grades = []
    for student in gradebook.students:
        if wanted and student.id not in wanted:
            continue
        who = [student.id, student.first_name, student.last_name, student.email, student.lms_user_id]
        submission = handed_in.get(student.id)
        points: dict[str, Any] = {}
        if submission is not None:
            penalty = float(submission.late_submission_penalty or 0)
            points = {
                "points": max(0.0, float(submission.score) - penalty),
                "by_tests": float(submission.code_score),
                "by_hand": float(submission.written_score) + float(submission.task_score),
                "penalty": penalty,
                "waits": bool(submission.needs_manual_grade),
            }
        if course_dir:
            points["lms_number"] = _lms_number(course_dir, assignment_id, student.id, lms)
        grades.append(Grade(*((value or "").strip() for value in who), **points))
    grades.sort(key=lambda grade: (grade.last_name.casefold(), grade.first_name.casefold(), grade.student))
    return Marks(assignment_id, float(assignment.max_score), tuple(grades))


def _lms_number(course_dir: Path, assignment_id: str, student: str, lms: str) -> str:
    try:
        record = intake.recorded(course_dir, assignment_id, student, fitting=False) or {}
    except GradingError:
        return ""
    kept = record.get("lms_id")
    return kept if record.get("lms") == lms and isinstance(kept, str) else ""


# --- The LMS's own file -------------------------------------------------------------------------------------

# Columns whose words name a student, the best id first. Canvas's `ID` and Moodle's `Identifier` are numbers of
# their own, which a student id may equal by chance.
_MOODLE_IDS = ("ID number", "Username", "Email address")
_CANVAS_IDS = ("SIS Login ID", "SIS User ID", "Integration ID")
_CANVAS_KEPT = (
    "Student", "LastName", "FirstName", "ID", "SIS User ID", "SIS Login ID", "Integration ID", "Root Account", "Section",
)  # fmt: skip
_MOODLE_KEPT = ("First name", "Last name", "Surname", "Full name", *_MOODLE_IDS)


@dataclass(frozen=True)
class Roster:
    """A gradebook or grading worksheet as an LMS exports it: header and rows of equal length."""

    path: Path
    lms: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    @classmethod
    def read(cls, path: Path) -> Roster:
        """Read a CSV from Moodle or Canvas.

        Raises
        ------
        GradingError
            If it is none.
        """
        try:
            if path.stat().st_size > ROSTER_BYTES:
                raise GradingError(f"{path} is larger than {ROSTER_BYTES / 1e6:g} MB, so it is no roster.")
            text = path.read_bytes().decode("utf-8-sig")
            line = text.split("\n", 1)[0]
            separator = max(",;\t", key=line.count)
            rows = [row for row in csv.reader(io.StringIO(text, newline=""), delimiter=separator) if any(row)]
        except (UnicodeDecodeError, csv.Error) as error:
            raise GradingError(
                f"{path} is no CSV in UTF-8 ({error}): export it from the LMS again."
            ) from None
        header = [name.strip() for name in rows[0]] if rows else []
        width = len(header)
        body = tuple(tuple((row + [""] * width)[:width]) for row in rows[1:])
        if "ID" in header and ("Student" in header or "LastName" in header):
            ids = [header.index(name) for name in ("ID", *_CANVAS_IDS) if name in header]
            # Neither students nor points: the row about grades that are not yet posted.
            body = tuple(row for row in body if _is_points(row[0]) or any(row[at] for at in ids))
            return cls(path, "canvas", tuple(header), body)
        if "Identifier" in header or set(header) & set(_MOODLE_IDS):
            return cls(path, "moodle", tuple(header), body)
        raise GradingError(
            f"{path} is not known as a roster: wanted is Canvas's exported gradebook (columns Student, ID), or Moodle's "
            "grading worksheet or exported gradebook in English (columns Identifier, ID number or Email address)."
        )

    @property
    def is_worksheet(self) -> bool:
        """Whether it is the grading worksheet of a Moodle assignment, which takes marks back as it is."""
        return self.lms == "moodle" and {"Identifier", "Grade"} <= set(self.header)

    def column(self, name: str) -> list[str]:
        """The values of a column; empty strings if there is none."""
        at = self.header.index(name) if name in self.header else None
        return ["" if at is None else row[at].strip() for row in self.rows]

    def rows_of(self, grade: Grade) -> set[int]:
        """Rows that name the student, whatever the case of letters."""
        wanted = {key.casefold() for key in (grade.student, grade.email, grade.lms_id) if key}
        found = {
            row
            for name in (_CANVAS_IDS if self.lms == "canvas" else _MOODLE_IDS)
            for row, value in enumerate(self.column(name))
            if value.casefold() in wanted
        }
        numbers = {grade.lms_number, grade.lms_id if self.lms == "canvas" else ""} - {""}
        return found | {row for row, value in enumerate(self._numbers()) if value in numbers}

    def student(self, lms_number: str, lms: str) -> str:
        """The student id for the number in a file name that the LMS made.

        Raises
        ------
        GradingError
            If the roster does not have the number, or no id for it.
        """
        if lms != self.lms or (lms == "moodle" and "Identifier" not in self.header):
            what = (
                "Moodle's grading worksheet of the assignment"
                if lms == "moodle"
                else "Canvas's exported gradebook"
            )
            raise GradingError(
                f"{self.path} does not have the numbers of such file names: give {what} as roster"
            )
        rows = [row for row, value in enumerate(self._numbers()) if value == lms_number]
        names = _MOODLE_IDS if lms == "moodle" else (*_CANVAS_IDS, "ID")
        ids = [self.column(name)[row] for row in rows[:1] for name in names]
        for each in ids:
            try:
                return intake.student_name(each)
            except Refused:
                continue
        what = "id for the student" if rows else "student"
        raise GradingError(f"{self.path} has no {what} with the number {lms_number}")

    def _numbers(self) -> list[str]:
        """Canvas's numbers of users, or Moodle's of participants, at the end of ``Participant 1234``."""
        if self.lms == "canvas":
            return self.column("ID")
        found = (re.search(r"(\d+)\Z", value) for value in self.column("Identifier"))
        return [match[1] if match else "" for match in found]


def _matched(marks: Marks, roster: Roster) -> tuple[dict[int, Grade], list[str]]:
    """Row of the roster -> mark; sentences about those that have no row of their own."""
    missing, unclear = [], []
    by_row: dict[int, list[Grade]] = defaultdict(list)
    for grade in marks.handed_in:
        rows = roster.rows_of(grade)
        if len(rows) == 1:
            by_row[rows.pop()].append(grade)
        else:
            (unclear if rows else missing).append(grade.student)
    for row, grades in list(by_row.items()):
        if len(grades) > 1:
            unclear += [grade.student for grade in by_row.pop(row)]
    told = []
    if missing:
        told.append(
            f"Not in {roster.path.name}, so not in the file: {_list(missing)}. Give them the e-mail address or LMS id by which "
            "the LMS knows them: `nbgrader db student add ID --email ADDRESS --lms-user-id NUMBER`."
        )
    if unclear:
        told.append(
            f"Fit no single row of {roster.path.name}, so not in the file: {_list(sorted(unclear))}. Enter their marks by "
            "hand."
        )
    return {row: grades[0] for row, grades in by_row.items()}, told


# --- Tables -------------------------------------------------------------------------------------------------


def moodle(marks: Marks, roster: Roster | None = None) -> tuple[str, list[str]]:
    """CSV for Moodle, and sentences for the teacher.

    Without a roster, and with an exported gradebook, it is for "Grades, Import, CSV file": map the student's
    column to the user field that it is, and the assignment's to the grade item. With the grading worksheet it
    is that worksheet, for "Upload grading worksheet" in the assignment.
    """
    _check_lms(roster, "moodle")
    if roster is None:
        grades = marks.handed_in
        columns = [("ID number", [grade.student for grade in grades]), *_mail(grades)]
        columns += [("First name", [grade.first_name for grade in grades])]
        columns += [("Last name", [grade.last_name for grade in grades])]
        told = []
    else:
        by_row, told = _matched(marks, roster)
        if roster.is_worksheet:
            return _worksheet(marks, roster, by_row, told)
        rows, grades = list(by_row), list(by_row.values())
        kept = {name: roster.column(name) for name in _MOODLE_KEPT if name in roster.header}
        columns = [(name, [values[row] for row in rows]) for name, values in kept.items()]
        # Moodle gives the mark of a row with an empty id to the student of the row before.
        columns = [(name, values) for name, values in columns if name not in _MOODLE_IDS or all(values)]
        if not any(name in _MOODLE_IDS for name, _ in columns):
            raise GradingError(
                f"{roster.path} has no column that names every student: export the gradebook with ID number or e-mail "
                "address."
            )
    columns.append((marks.assignment, [number(grade.points) for grade in grades]))
    columns.append(("Feedback comments", [grade.comment for grade in grades]))
    rows = zip(*(values for _, values in columns), strict=True)
    return _csv([[name for name, _ in columns], *rows]), [*told, *_told(marks)]


def _mail(grades: list[Grade]) -> list[tuple[str, list[str]]]:
    """The column of addresses, if everybody has one: Moodle gives a mark without to the student before."""
    addresses = [grade.email for grade in grades]
    return [("Email address", addresses)] if addresses and all(addresses) else []


def _worksheet(
    marks: Marks, roster: Roster, by_row: dict[int, Grade], told: list[str]
) -> tuple[str, list[str]]:
    header = list(roster.header)
    at, comments = (
        header.index("Grade"),
        header.index("Feedback comments") if "Feedback comments" in header else None,
    )
    table = [list(row) for row in roster.rows]
    for row, grade in by_row.items():
        table[row][at] = number(grade.points)
        if comments is not None:
            table[row][comments] = grade.comment
    most = {float(value) for value in roster.column("Maximum Grade") if re.fullmatch(r"\d+(\.\d+)?", value)}
    if most and most != {marks.most}:
        told.append(
            f"The assignment gives at most {number(marks.most)} points, in Moodle {number(max(most))}: set the maximum "
            "grade there to the same, marks are not scaled."
        )
    return _csv([header, *table]), [*told, *_told(marks)]


def canvas(marks: Marks, roster: Roster | None = None) -> tuple[str, list[str]]:
    """CSV for Canvas's "Gradebook, Import", and sentences for the teacher.

    With the exported gradebook as roster the students' columns are taken from there, and the assignment's if
    it is one of them. Without, students are named by Canvas's number where it is known, and else by their
    student id as log-in name.
    """
    _check_lms(roster, "canvas")
    told: list[str] = []
    most = number(marks.most)
    if roster is None:
        header = ["Student", "ID", "SIS User ID", "SIS Login ID", "Section", marks.assignment]
        table = []
        for grade in marks.handed_in:
            name = ", ".join(part for part in (grade.last_name, grade.first_name) if part) or grade.student
            known = grade.lms_id or grade.lms_number
            login = "" if known == grade.student else grade.student
            table.append([name, known, "", login, "", number(grade.points)])
    else:
        by_row, told = _matched(marks, roster)
        named = rf"{re.escape(marks.assignment)}(?: \(\d+\))?"
        ours = [name for name in roster.header if re.fullmatch(named, name)]
        if len(ours) > 1:
            raise GradingError(
                f"{roster.path} has several columns for {marks.assignment}: {_list(ours)}; remove all but one."
            )
        column = ours[0] if ours else marks.assignment
        if not ours:
            told.append(
                f"{roster.path.name} has no column {marks.assignment}; Canvas will ask whether to make it."
            )
        header = [name for name in roster.header if name in _CANVAS_KEPT] + [column]
        before = roster.column(column)
        kept = [roster.column(name) for name in header[:-1]]
        points_row = [row for row, name in enumerate(kept[0]) if _is_points(name)]
        rows = [row for row in range(len(roster.rows)) if row not in points_row]
        table = [
            [*(values[row] for values in kept), number(by_row[row].points) if row in by_row else before[row]]
            for row in rows
        ]
        theirs = [before[row] for row in points_row if re.fullmatch(r"\d+([.,]\d+)?", before[row])]
        if theirs and float(theirs[0].replace(",", ".")) != marks.most:
            told.append(
                f"The assignment gives at most {most} points, in Canvas {theirs[0]}: set the points there to the same, "
                "marks are not scaled."
            )
            most = theirs[0]
    points = ["    Points Possible", *[""] * (len(header) - 2), most]
    return _csv([header, points, *table]), [*told, *_told(marks)]


def _is_points(name: str) -> bool:
    """Whether a row's first value says that it holds the points possible."""
    return name.strip().startswith("Points Possible")


def _check_lms(roster: Roster | None, lms: str) -> None:
    if roster is not None and roster.lms != lms:
        raise GradingError(f"{roster.path} is a roster of {roster.lms.title()}, not of {lms.title()}.")


def _told(marks: Marks) -> list[str]:
    """What a teacher should know about every file for an LMS."""
    absent = len(marks.grades) - len(marks.handed_in)
    if not absent:
        return _waiting(marks)
    who = "1 student" if absent == 1 else f"{absent} students"
    return [*_waiting(marks), f"{who} handed in nothing and got no mark, not zero."]


def _waiting(marks: Marks) -> list[str]:
    waiting = [grade.student for grade in marks.grades if grade.waits]
    if not waiting:
        return []
    what = "1 submission still waits" if len(waiting) == 1 else f"{len(waiting)} submissions still wait"
    return [f"{what} for grading by hand; in the file are the present points: {_list(waiting)}."]


def _list(names: list[str]) -> str:
    head = ", ".join(names[:_NAMED])
    return head if len(names) <= _NAMED else f"{head} and {len(names) - _NAMED} more"


def _csv(table: Iterable[Iterable[str]]) -> str:
    stream = io.StringIO(newline="")
    csv.writer(stream).writerows([_inert(value) for value in row] for row in table)
    return stream.getvalue()


def _inert(value: str) -> str:
    """A value that no spreadsheet takes for a formula."""
    return f"'{value}" if value[:1] in tuple("=+-@\t\r\n") and not _NUMBER.fullmatch(value) else value


# --- Files --------------------------------------------------------------------------------------------------


def write(
    coursedir: Any, assignment_id: str, form: str, to: Path, *, roster: Path | None = None
) -> list[str]:
    """Write the marks of an assignment to a file.

    Parameters
    ----------
    coursedir : nbgrader.coursedir.CourseDirectory
    assignment_id : str
    form : {"nbgrader", "moodle", "canvas"}
    to : Path
    roster : Path, optional
        Gradebook or grading worksheet as the LMS exports it.

    Returns
    -------
    list of str
        What the teacher should know: who waits for grading by hand, who has no row.

    Raises
    ------
    GradingError
        If the gradebook does not know the assignment, or the roster is none of that LMS.
    """
    if form not in FORMATS:
        raise GradingError(f"{form!r} is no format; there are: {', '.join(FORMATS)}.")
    if form == "nbgrader" and roster is not None:
        raise GradingError("A roster is for --format moodle and canvas; nbgrader's own form has none.")
    ids = Roster.read(roster) if roster else None
    with Gradebook(coursedir.db_url, coursedir.course_id) as gradebook:
        found = marks(gradebook, assignment_id, course_dir=Path(coursedir.root), lms=form)
        if form == "nbgrader":
            with replacing(to) as part:
                _nbgrader(gradebook, assignment_id, part)
            return _waiting(found)
    if form == "moodle":
        text, told = moodle(found, ids)
    else:
        text, told = canvas(found, ids)
    write_whole(to, text)
    return told


def _nbgrader(gradebook: Gradebook, assignment_id: str, to: Path) -> None:
    plugin = CsvExportPlugin()
    plugin.to, plugin.assignment = str(to), [assignment_id]
    plugin.export(gradebook)


class _LmsExport(ExportPlugin):
    """For ``nbgrader export --exporter``: one assignment, ``--assignment "['ps1']"``."""

    form = ""
    roster = Unicode("", help="gradebook or grading worksheet as the LMS exports it").tag(config=True)

    def export(self, gradebook: Gradebook) -> None:
        """Write the marks; what the teacher should know is logged.

        Raises
        ------
        GradingError
            If not one assignment is named, and as :func:`write`.
        """
        names = [str(name) for name in self.assignment] or [each.name for each in gradebook.assignments]
        if len(names) != 1:
            raise GradingError(
                f"Name one assignment by --assignment \"['NAME']\"; there are: {', '.join(names)}."
            )
        to = Path(self.to or f"{names[0]}-{self.form}.csv")
        coursedir = getattr(self.parent, "coursedir", None)
        course_dir = Path(coursedir.root) if coursedir else None
        found = marks(gradebook, names[0], self.student, course_dir=course_dir, lms=self.form)
        text, told = self.table(found, Roster.read(Path(self.roster)) if self.roster else None)
        write_whole(to, text)
        for sentence in told:
            self.log.warning(sentence)
        self.log.info("Exported grades to %s", to)

    def table(self, marks: Marks, roster: Roster | None) -> tuple[str, list[str]]:
        """CSV and sentences for the teacher."""
        raise NotImplementedError


class MoodleExport(_LmsExport):
    """``nbgrader export --exporter course_utils.grading.exports.MoodleExport``."""

    form = "moodle"

    def table(self, marks: Marks, roster: Roster | None) -> tuple[str, list[str]]:
        return moodle(marks, roster)


class CanvasExport(_LmsExport):
    """``nbgrader export --exporter course_utils.grading.exports.CanvasExport``."""

    form = "canvas"

    def table(self, marks: Marks, roster: Roster | None) -> tuple[str, list[str]]:
        return canvas(marks, roster)
