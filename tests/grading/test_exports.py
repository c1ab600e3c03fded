"""Marks as CSV: everybody's own, nothing that a spreadsheet runs, nothing that an LMS takes for a zero."""

from __future__ import annotations

import csv
import io
import json
import warnings
from pathlib import Path

import pytest

from course_utils.grading import intake
from course_utils.grading.errors import GradingError

pytest.importorskip("nbgrader")
exports = pytest.importorskip("course_utils.grading.exports")

ID = "ps1"


def came_by(root: str, student: str, lms: str, number: str) -> None:
    """Record that a submission was in an LMS's zip file."""
    path = intake.record_path(Path(root), ID, student)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"lms": lms, "lms_id": number, "sha256": "x"}))


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    """A course whose gradebook has an assignment of 10 points by tests and 2 by hand, and six students.

    ada: 7.5 and 2. bob: 10, waits for grading by hand. carl: 4 and 1, late, 0.25 off. dora: nothing handed
    in. eve: zero, with a name that is a formula. 2001: 10/3 and 0, out of Canvas's zip file.
    """
    from nbgrader import api
    from nbgrader.coursedir import CourseDirectory

    root = tmp_path_factory.mktemp("course")
    coursedir = CourseDirectory(root=str(root), course_id="deep")
    patch = pytest.MonkeyPatch()
    patch.setattr(api, "get_alembic_version", lambda: "none")  # it starts a process that takes seconds
    with warnings.catch_warnings(), api.Gradebook(coursedir.db_url, coursedir.course_id) as book:
        warnings.simplefilter("ignore")  # SQLAlchemy's, about how nbgrader adds submissions
        book.add_assignment(ID, duedate="2026-01-01")
        book.add_notebook(ID, ID)
        book.add_grade_cell("tests", ID, ID, max_score=10, cell_type="code")
        book.add_grade_cell("why", ID, ID, max_score=2, cell_type="markdown")
        students = {
            "ada": ("Ada", "Lovelace", "ada@uni.example", None, (7.5, 2.0), 0),
            "bob": ("Bob", "Müller", "Bob@uni.example", None, (10.0, None), 0),
            "carl": ("Carl", "Zeta", "carl@uni.example", "2003", (4.0, 1.0), 0.25),
            "dora": ("Dora", "Absent", "dora@uni.example", None, None, 0),
            "eve": ("=1+1", "@SUM(A1)", "eve@uni.example", None, (0.0, 0.0), 0),
            "2001": (None, None, "zoe@uni.example", None, (10 / 3, 0.0), 0),
        }
        for name, (first, last, email, lms, scores, penalty) in students.items():
            book.add_student(name, first_name=first, last_name=last, email=email, lms_user_id=lms)
            if scores is None:
                continue
            book.add_submission(ID, name)
            for cell, score in zip(("tests", "why"), scores, strict=True):
                grade = book.find_grade(cell, ID, ID, name)
                grade.auto_score, grade.needs_manual_grade = score, score is None
            book.find_submission_notebook(ID, ID, name).late_submission_penalty = penalty
        book.db.commit()
    patch.undo()
    came_by(coursedir.root, "2001", "canvas", "2001")
    came_by(coursedir.root, "carl", "moodle", "503")
    return coursedir


def table(path: Path) -> list[dict[str, str]]:
    text = path.read_bytes().decode("utf-8")
    return list(csv.DictReader(io.StringIO(text, newline="")))


def write(course, tmp_path, form, roster: str | None = None):
    """Rows of the file by the first column, and what was said."""
    given = None
    if roster is not None:
        given = tmp_path / "roster.csv"
        given.write_text(roster, encoding="utf-8")
    to = tmp_path / "out.csv"
    told = exports.write(course, ID, form, to, roster=given)
    assert [path.name for path in tmp_path.iterdir() if path.suffix == ".part"] == []
    return table(to), told


def test_nbgraders_own_form(course, tmp_path):
    rows, told = write(course, tmp_path, "nbgrader")
    scores = {row["student_id"]: float(row["score"]) for row in rows}
    assert scores["ada"] == 9.5
    assert scores["carl"] == 4.75
    assert told == ["1 submission still waits for grading by hand; in the file are the present points: bob."]


# --- Moodle -------------------------------------------------------------------------------------------------


def test_moodle_without_a_roster(course, tmp_path):
    rows, told = write(course, tmp_path, "moodle")
    assert list(rows[0]) == ["ID number", "Email address", "First name", "Last name", ID, "Feedback comments"]
    by_id = {row["ID number"]: row for row in rows}
    assert {name: row[ID] for name, row in by_id.items()} == {
        "ada": "9.5", "bob": "10", "carl": "4.75", "eve": "0", "2001": "3.33333",
    }  # fmt: skip
    assert by_id["ada"]["Feedback comments"] == "Tests 7.5; by hand 2."
    assert by_id["bob"]["Feedback comments"] == "Tests 10; the rest waits for grading by hand."
    assert by_id["carl"]["Feedback comments"] == "Tests 4; by hand 1; late, 0.25 taken off."
    assert by_id["bob"]["Last name"] == "Müller"
    assert "1 submission still waits" in told[0]
    assert told[1] == "1 student handed in nothing and got no mark, not zero."


def test_formulas_are_made_text_and_numbers_stay_numbers(course, tmp_path):
    rows, _ = write(course, tmp_path, "moodle")
    (eve,) = (row for row in rows if row["ID number"] == "eve")
    assert (eve["First name"], eve["Last name"]) == ("'=1+1", "'@SUM(A1)")


@pytest.mark.parametrize("value", ["=1", "+x", "-x", "@x", "\t=1", "\r=1", "-1+1", "--1"])
def test_values_that_would_run(value):
    assert exports._inert(value) == f"'{value}"


@pytest.mark.parametrize("value", ["", "-", "-1", "+1.5", "3,25", "100%", "a=1", "Ada"])
def test_values_that_would_not(value):
    assert exports._inert(value) == value


def test_an_address_that_one_student_lacks_is_nobodys_column():
    """Moodle gives the mark of a row with an empty id to the student of the row before."""
    grades = [exports.Grade(name, "", "", mail, "", points=2.0) for name, mail in (("a", "a@x"), ("b", ""))]
    text, _ = exports.moodle(exports.Marks(ID, 12.0, tuple(grades)))
    assert "Email address" not in text
    assert "b,,,2" in text


GRADEBOOK = (
    "First name,Last name,ID number,Email address,Assignment: ps1 (Real),Last downloaded from this course\r\n"
    "Ada,Lovelace,s101,ada@uni.example,-,1\r\n"
    "Bob,Müller,,bob@uni.example,-,1\r\n"
    "Dora,Absent,s103,dora@uni.example,8,1\r\n"
)


def test_moodles_exported_gradebook_as_roster(course, tmp_path):
    rows, told = write(course, tmp_path, "moodle", "\ufeff" + GRADEBOOK)
    # Bob has no ID number, so that column is left out; Dora handed in nothing and keeps what she has.
    assert list(rows[0]) == ["First name", "Last name", "Email address", ID, "Feedback comments"]
    assert {row["Email address"]: row[ID] for row in rows} == {
        "ada@uni.example": "9.5",
        "bob@uni.example": "10",
    }
    assert "Not in roster.csv, so not in the file: 2001, eve, carl." in told[0]


def test_a_roster_without_a_column_that_names_everybody(course, tmp_path):
    roster = "First name,ID number\nAda,ada\nBob,\n"
    rows, _ = write(course, tmp_path, "moodle", roster)
    assert [row["ID number"] for row in rows] == ["ada"]
    with pytest.raises(GradingError, match="is not known as a roster"):
        write(course, tmp_path, "moodle", "First name,Points\nAda,3\n")
    with pytest.raises(GradingError, match="no column that names every student"):
        write(course, tmp_path, "moodle", "ID number,Username\nada,\n,carl\n")


WORKSHEET = (
    "Identifier,Full name,Email address,Status,Grade,Maximum Grade,Grade can be changed,"
    "Last modified (submission),Last modified (grade),Feedback comments\r\n"
    'Participant 501,Ada Lovelace,ada@uni.example,Submitted,,100.00,Yes,"Friday, 2 January 2026, 3:04 AM",-,\r\n'
    "Participant 502,Dora Absent,dora@uni.example,No submission,,100.00,Yes,-,-,\r\n"
    "Participant 503,Zoë Größe,,Submitted,,100.00,Yes,-,-,\r\n"
    "Participant 2001,Somebody Else,,Submitted,,100.00,Yes,-,-,\r\n"
)


def test_moodles_grading_worksheet_is_filled_in(course, tmp_path):
    rows, told = write(course, tmp_path, "moodle", WORKSHEET)
    # Carl's file had the number 503; that a student id equals somebody's number means nothing.
    assert [row["Grade"] for row in rows] == ["9.5", "", "4.75", ""]
    assert "2001" in told[0]
    assert rows[0]["Feedback comments"] == "Tests 7.5; by hand 2."
    assert rows[1] == next(csv.DictReader(WORKSHEET.splitlines()[0:1] + WORKSHEET.splitlines()[2:3]))
    assert rows[0]["Last modified (submission)"] == "Friday, 2 January 2026, 3:04 AM"
    assert any("at most 12 points, in Moodle 100" in sentence for sentence in told)


# --- Canvas -------------------------------------------------------------------------------------------------


def test_canvas_without_a_roster(course, tmp_path):
    rows, told = write(course, tmp_path, "canvas")
    assert list(rows[0]) == ["Student", "ID", "SIS User ID", "SIS Login ID", "Section", ID]
    points, *rows = rows
    assert points["Student"] == "    Points Possible"
    assert points[ID] == "12"
    by_name = {row["Student"]: row for row in rows}
    assert by_name["Lovelace, Ada"]["SIS Login ID"] == "ada"
    assert by_name["Zeta, Carl"]["ID"] == "2003"
    assert by_name["2001"]["ID"] == "2001"
    assert by_name["2001"]["SIS Login ID"] == ""
    assert by_name["Lovelace, Ada"][ID] == "9.5"
    assert "Absent, Dora" not in by_name
    assert by_name["'@SUM(A1), =1+1"][ID] == "0"
    assert told[-1] == "1 student handed in nothing and got no mark, not zero."


CANVAS = (
    "Student,ID,SIS User ID,SIS Login ID,Section,ps1 (77),ps2 (78),Final Score\n"
    ",,,,,Manual Posting,,\n"
    "    Points Possible,,,,,12.00,20.00,(read only)\n"
    '"Lovelace, Ada",2002,s1,ada@uni.example,A,,11,1\n'
    '"Zeta, Carl",2003,s3,czeta,A,3,,1\n'
    '"Absent, Dora",2004,s4,dora,A,EX,,1\n'
    '"Größe, Zoë",2001,s5,zoe,B,,,1\n'
    '"Student, Test",2999,,,A,,,1\n'
)


def test_canvas_gradebook_as_roster(course, tmp_path):
    rows, told = write(course, tmp_path, "canvas", CANVAS)
    assert list(rows[0]) == ["Student", "ID", "SIS User ID", "SIS Login ID", "Section", "ps1 (77)"]
    assert rows[0]["Student"] == "    Points Possible"
    assert {row["Student"]: row["ps1 (77)"] for row in rows[1:]} == {
        "Lovelace, Ada": "9.5", "Zeta, Carl": "4.75", "Absent, Dora": "EX", "Größe, Zoë": "3.33333", "Student, Test": "",
    }  # fmt: skip
    assert "Not in roster.csv, so not in the file: eve, bob." in told[0]
    assert "--lms-user-id" in told[0]
    assert not any("Canvas will ask" in sentence or "not scaled" in sentence for sentence in told)


def test_canvas_roster_with_semicolons_other_points_and_without_the_assignment(course, tmp_path):
    roster = CANVAS.replace(", ", "~").replace(",", ";").replace("~", ", ").replace('"', "")
    _, told = write(course, tmp_path, "canvas", roster.replace("12.00", "100,00"))
    assert any("at most 12 points, in Canvas 100,00" in sentence for sentence in told)
    rows, told = write(course, tmp_path, "canvas", CANVAS.replace("ps1 (77)", "something"))
    assert "Canvas will ask whether to make it" in " ".join(told)
    assert rows[0][ID] == "12"
    assert rows[1][ID] == "9.5"
    with pytest.raises(GradingError, match="several columns"):
        write(course, tmp_path, "canvas", CANVAS.replace("ps2 (78)", "ps1 (78)"))


def test_a_student_who_fits_two_rows_and_two_students_who_fit_one_are_not_guessed(course, tmp_path):
    roster = (
        "Student,ID,SIS User ID,SIS Login ID,Section\n"
        "One,1,,ada,A\n"
        "Two,2,,ada@uni.example,A\n"
        "Both,3,bob,carl,A\n"
    )  # fmt: skip
    rows, told = write(course, tmp_path, "canvas", roster)
    assert [row[ID] for row in rows[1:]] == ["", "", ""]
    assert "Fit no single row of roster.csv, so not in the file: ada, bob, carl." in told[1]


def test_rosters_that_are_none(course, tmp_path):
    with pytest.raises(GradingError, match="is a roster of Canvas, not of Moodle"):
        write(course, tmp_path, "moodle", CANVAS)
    with pytest.raises(GradingError, match="is a roster of Moodle, not of Canvas"):
        write(course, tmp_path, "canvas", WORKSHEET)
    with pytest.raises(GradingError, match="nbgrader's own form has none"):
        write(course, tmp_path, "nbgrader", CANVAS)
    with pytest.raises(GradingError, match="is not known as a roster"):
        write(course, tmp_path, "canvas", "")
    (tmp_path / "bytes.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(GradingError, match="is no CSV in UTF-8"):
        exports.Roster.read(tmp_path / "bytes.csv")


@pytest.mark.parametrize(
    ("number", "expected"), [("2002", "ada@uni.example"), ("2003", "czeta"), ("2999", "2999")]
)
def test_ids_for_canvas_numbers(tmp_path, number, expected):
    (tmp_path / "roster.csv").write_text(CANVAS)
    assert exports.Roster.read(tmp_path / "roster.csv").student(number, "canvas") == expected


def test_numbers_without_an_id(tmp_path):
    (tmp_path / "canvas.csv").write_text(CANVAS)
    (tmp_path / "moodle.csv").write_text(WORKSHEET.replace("ada@uni.example", "ada lovelace"))
    roster = exports.Roster.read(tmp_path / "canvas.csv")
    with pytest.raises(GradingError, match="no student with the number 1"):
        roster.student("1", "canvas")
    with pytest.raises(GradingError, match="give Moodle's grading worksheet"):
        roster.student("1", "moodle")
    with pytest.raises(GradingError, match="no id for the student with the number 501"):
        exports.Roster.read(tmp_path / "moodle.csv").student("501", "moodle")


# --- Everything else ----------------------------------------------------------------------------------------


def test_an_assignment_or_format_that_is_not_there(course, tmp_path):
    with pytest.raises(GradingError, match="does not know ps9: run `nbgrader generate_assignment ps9`"):
        exports.write(course, "ps9", "moodle", tmp_path / "out.csv")
    with pytest.raises(GradingError, match="no format"):
        exports.write(course, ID, "excel", tmp_path / "out.csv")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("value", "expected"),
    [(0.0, "0"), (10.0, "10"), (2.5, "2.5"), (1 / 3, "0.33333"), (1e6, "1000000"), (1e-9, "0")],
)
def test_numbers(value, expected):
    assert exports.number(value) == expected


@pytest.mark.parametrize("name", ["MoodleExport", "CanvasExport"])
def test_as_plugins_of_nbgrader(course, tmp_path, name):
    from nbgrader.api import Gradebook
    from nbgrader.apps.exportapp import ExportApp
    from traitlets.config import Config

    config = Config()
    config.ExportPlugin.to = str(tmp_path / "out.csv")
    config.ExportPlugin.assignment = [ID]
    config.ExportPlugin.student = ["ada", "dora"]
    config.ExportApp.plugin_class = f"course_utils.grading.exports.{name}"
    app = ExportApp(config=config)
    app.init_plugin()
    with Gradebook(course.db_url, course.course_id) as book:
        app.plugin_inst.export(book)
        app.plugin_inst.assignment = [ID, "ps2"]
        with pytest.raises(GradingError, match="Name one assignment"):
            app.plugin_inst.export(book)
    assert [row[ID] for row in table(tmp_path / "out.csv")][-1] == "9.5"
