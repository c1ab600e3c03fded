"""The ways into ``submitted/``: nothing hostile comes through, and the times are those of the kernel."""

from __future__ import annotations

import getpass
import hashlib
import json
import logging
import os
import stat
import struct
import sys
import zipfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from course_utils.grading import intake
from course_utils.grading.errors import GradingError

pytest.importorskip("nbgrader")
collecting = pytest.importorskip("course_utils.grading.collect")

ID = "ps1"
NAME = f"{ID}.ipynb"
HOUR = timedelta(hours=1)
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="nbgrader's exchange needs Linux or macOS")


def notebook(text: str = "mine") -> bytes:
    cell = {"cell_type": "markdown", "id": "answer", "metadata": {}, "source": text}
    return json.dumps({"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}).encode()


def now() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None)


@pytest.fixture
def course(tmp_path):
    """A course directory with the assignment."""
    root = tmp_path / "course"
    (root / "source" / ID).mkdir(parents=True)
    return root


def collected(course: Path, student: str) -> bytes | None:
    path = course / "submitted" / student / ID / NAME
    return path.read_bytes() if path.exists() else None


def record(course: Path, student: str) -> dict:
    return json.loads(intake.record_path(course, ID, student).read_text())


# --- The exchange -------------------------------------------------------------------------------------------


class Exchange:
    """An exchange and what students put into it."""

    def __init__(self, tmp_path: Path, course: Path) -> None:
        self.root = tmp_path / "exchange"
        self.course = course
        self.inbound = self.root / "deep" / "inbound"
        self.inbound.mkdir(parents=True)
        self.outbound = self.root / "deep" / "outbound" / ID
        self.outbound.mkdir(parents=True)

    def coursedir(self, **more):
        from nbgrader.coursedir import CourseDirectory

        return CourseDirectory(course_id="deep", root=str(self.course), assignment_id=ID, **more)

    def hand_in(
        self, student: str, content: bytes | None = None, *, claims: str | datetime = "", tail: str = "+r"
    ) -> Path:
        """A folder as nbgrader's submit makes it, at a time that the student claims."""
        time = claims if isinstance(claims, str) else f"{claims:%Y-%m-%d %H:%M:%S.%f} UTC"
        folder = self.inbound / f"{student}+{ID}+{time or f'{now():%Y-%m-%d %H:%M:%S.%f} UTC'}{tail}"
        folder.mkdir()
        (folder / NAME).write_bytes(notebook() if content is None else content)
        (folder / "timestamp.txt").write_text(time)
        (folder / "submission_secret.txt").write_text("ab" * 64)
        return folder

    def collect(self, *, student: str = "*", **options):
        coursedir = self.coursedir(student_id=student)
        options = {"check_owner": False} | options
        collector = collecting.SafeCollect(
            coursedir=coursedir, authenticator=None, root=str(self.root), **options
        )
        collector.start()


@pytest.fixture
def exchange(tmp_path, course):
    return Exchange(tmp_path, course)


@pytest.fixture
def said(caplog):
    """What was logged so far, as one text."""
    log = logging.getLogger("traitlets")
    log.propagate, before = True, log.propagate
    caplog.set_level(logging.INFO, logger="traitlets")
    yield lambda: "\n".join(f"{each.levelname} {each.getMessage()}" for each in caplog.records)
    log.propagate = before


def test_what_nbgrader_submits_is_collected_with_the_kernels_time(exchange, course, tmp_path, monkeypatch):
    from nbgrader.auth import Authenticator
    from nbgrader.exchange.default import ExchangeSubmit

    student = getpass.getuser()
    (exchange.outbound / NAME).write_bytes(notebook("released"))
    work = tmp_path / "work" / ID
    work.mkdir(parents=True)
    (work / NAME).write_bytes(notebook("mine"))
    (work / "helper.py").write_text("import os")
    submit = ExchangeSubmit(
        coursedir=exchange.coursedir(student_id=student),
        authenticator=Authenticator(),
        root=str(exchange.root),
        cache=str(tmp_path / "cache"),
        assignment_dir=str(work.parent),
    )
    submit.start()
    (inbound,) = exchange.inbound.iterdir()
    exchange.collect(check_owner=True)
    folder = course / "submitted" / student / ID
    assert sorted(path.name for path in folder.iterdir()) == [NAME, "submission_secret.txt", "timestamp.txt"]
    assert collected(course, student) == notebook("mine")
    kept = record(course, student)
    assert kept["from"] == "exchange"
    assert kept["sha256"] == hashlib.sha256(notebook("mine")).hexdigest()
    assert kept["secret"] == (inbound / "submission_secret.txt").read_text()
    assert kept["notes"] == []
    time = intake.submitted_at(course, ID, student)
    assert abs(time.replace(tzinfo=UTC).timestamp() - inbound.stat().st_ctime) < 1e-3
    # nbgrader's own reading of the time agrees.
    assert exchange.coursedir().get_existing_timestamp(str(folder)) == time


def test_our_collector_is_the_one_that_nbgrader_uses_with_our_configuration(course):
    from nbgrader.exchange import ExchangeFactory
    from traitlets.config import Config

    from course_utils.grading import nbgrader_settings

    config = Config()
    nbgrader_settings.apply(config, course / "nbgrader_config.py")
    config.ExchangeCollect.update = True  # as the flag --update sets it
    factory = ExchangeFactory(config=config)
    collector = factory.Collect(coursedir=None, authenticator=None, config=config)
    assert isinstance(collector, collecting.SafeCollect)
    assert collector.update


def test_forged_times_change_nothing(exchange, course, said):
    folder = exchange.hand_in("ada", claims="2001-01-01 00:00:00.000000 UTC")
    os.utime(folder / NAME, (1, 1))
    os.utime(folder, (1, 1))
    before = now()
    exchange.collect()
    assert abs(intake.submitted_at(course, ID, "ada") - before) < timedelta(minutes=1)
    kept = record(course, "ada")
    assert kept["claimed"] == "2001-01-01T00:00:00+00:00"
    assert "It says that it was handed in at 2001-01-01 00:00 UTC" in kept["notes"][0]
    assert "2001-01-01 00:00" in said()
    assert "2001" not in (course / "submitted" / "ada" / ID / "timestamp.txt").read_text()


def test_a_change_after_handing_in_makes_it_later(exchange, course):
    folder = exchange.hand_in("ada")
    at_first = folder.stat().st_ctime_ns
    (folder / NAME).write_bytes(notebook("better"))
    os.utime(folder / NAME, ns=(at_first, at_first))
    exchange.collect()
    time = intake.submitted_at(course, ID, "ada").replace(tzinfo=UTC).timestamp()
    assert time >= (folder / NAME).stat().st_ctime - 1e-3


def test_after_a_restore_the_names_times_can_be_trusted_by_choice(exchange, course):
    exchange.hand_in("ada", claims="2024-05-06 07:08:09.000000 UTC")
    exchange.collect(time_from_name=True)
    assert intake.submitted_at(course, ID, "ada") == datetime(2024, 5, 6, 7, 8, 9)
    assert record(course, "ada")["notes"] == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2024-05-06 07:08:09.5 UTC", datetime(2024, 5, 6, 7, 8, 9, 500_000)),
        ("2024-05-06 07:08:09", datetime(2024, 5, 6, 7, 8, 9)),
        ("2024-05-06 07:08:09 CEST", datetime(2024, 5, 6, 5, 8, 9)),
        ("2024-05-06 07:08:09 -0130", datetime(2024, 5, 6, 8, 38, 9)),
        ("2024-05-06 07:08:09 ../../etc", None),
        ("0001-01-01 00:00:00 +1400", None),
        ("2024-13-01 00:00:00 UTC", None),
        ("soon", None),
        ("", None),
    ],
)
def test_claimed_times(text, expected):
    collector = collecting.SafeCollect(coursedir=None, timezone="Europe/Berlin")
    assert collector._claimed(text) == expected


def test_the_last_of_several_submissions_counts(exchange, course):
    exchange.hand_in("ada", notebook("second"), claims=now() - HOUR)
    exchange.hand_in("ada", notebook("first"), claims=now() - 2 * HOUR)
    exchange.collect()
    assert collected(course, "ada") == notebook("second")


def test_a_name_from_the_future_does_not_make_a_submission_the_last(exchange, course, monkeypatch):
    exchange.hand_in("ada", notebook("old"), claims="2099-01-01 00:00:00 UTC")
    exchange.hand_in("ada", notebook("new"))
    exchange.collect()
    assert collected(course, "ada") == notebook("new")


def test_update_takes_a_newer_submission_and_nothing_else_does(exchange, course, said):
    exchange.hand_in("ada", notebook("first"))
    exchange.collect()
    time = intake.submitted_at(course, ID, "ada")
    exchange.hand_in("ada", notebook("second"))
    exchange.collect()
    assert collected(course, "ada") == notebook("first")
    assert "use --update" in said()
    exchange.collect(update=True)
    assert collected(course, "ada") == notebook("second")
    assert intake.submitted_at(course, ID, "ada") > time
    assert "Updating submission: ada ps1" in said()


def test_the_same_notebook_keeps_the_time_at_which_it_was_collected(exchange, course):
    folder = exchange.hand_in("ada")
    exchange.collect()
    time = intake.submitted_at(course, ID, "ada")
    folder.chmod(0o755)  # as a teacher does on the whole exchange
    os.rename(folder, folder.with_name(folder.name.replace("+r", "+s")))
    exchange.collect(update=True)
    assert intake.submitted_at(course, ID, "ada") == time


def test_a_collection_that_was_killed_before_the_record_is_completed_by_the_next(exchange, course):
    exchange.hand_in("ada")
    exchange.collect()
    time = intake.submitted_at(course, ID, "ada")
    intake.record_path(course, ID, "ada").unlink()
    assert intake.submitted_at(course, ID, "ada") is None
    exchange.collect()
    assert intake.submitted_at(course, ID, "ada") == time


def test_what_a_teacher_put_there_stays_without_update(exchange, course):
    folder = course / "submitted" / "ada" / ID
    folder.mkdir(parents=True)
    (folder / "by hand.txt").write_text("keep")
    exchange.hand_in("ada")
    exchange.collect()
    assert (folder / "by hand.txt").exists()
    exchange.collect(update=True)
    assert collected(course, "ada") == notebook()


def test_before_the_due_date(exchange, course, monkeypatch):
    due = now()
    real = collecting.SafeCollect._time

    def time(self, claimed, changed):  # these were handed in when they say
        return claimed or real(self, claimed, changed)

    monkeypatch.setattr(collecting.SafeCollect, "_time", time)
    monkeypatch.setattr(collecting.SafeCollect, "_duedate", lambda self: due)
    exchange.hand_in("ada", notebook("early"), claims=due - 2 * HOUR)
    exchange.hand_in("ada", notebook("on time"), claims=due - HOUR)
    exchange.hand_in("ada", notebook("late"), claims=due + HOUR)
    exchange.hand_in("bob", notebook("late"), claims=due + HOUR)
    exchange.hand_in("bob", notebook("later"), claims=due + 2 * HOUR)
    exchange.collect()
    assert collected(course, "ada") == notebook("late")
    exchange.collect(before_duedate=True)
    assert collected(course, "ada") == notebook("on time")
    assert collected(course, "bob") == notebook("later")


def test_the_due_date_comes_from_the_gradebook(exchange, monkeypatch):
    from nbgrader import api

    monkeypatch.setattr(api, "get_alembic_version", lambda: "none")  # it starts a process that takes seconds
    coursedir = exchange.coursedir()
    collector = collecting.SafeCollect(coursedir=coursedir, root=str(exchange.root))
    assert collector._duedate() is None
    with api.Gradebook(coursedir.db_url, coursedir.course_id) as book:
        book.add_assignment(ID, duedate="2026-01-02 03:04:05 UTC")
    assert collector._duedate() == datetime(2026, 1, 2, 3, 4, 5)


def test_only_the_students_that_are_asked_for(exchange, course):
    exchange.hand_in("ada")
    exchange.hand_in("bob")
    exchange.collect(student="b*")
    assert collected(course, "bob")
    assert collected(course, "ada") is None


def test_other_assignments_are_left_alone(exchange, course, said):
    os.rename(exchange.hand_in("ada"), exchange.inbound / f"ada+{ID}-extra+2024-01-01 00:00:00 UTC+r")
    exchange.collect()
    assert "No submissions" in said()
    assert not (course / "submitted").exists()


def test_a_student_id_with_plus_signs(exchange, course):
    exchange.hand_in("a+b@uni.example")
    exchange.hand_in("c+d", tail="")
    exchange.collect()
    assert collected(course, "a+b@uni.example")
    assert collected(course, "c+d")


# --- Hostile submissions in the exchange --------------------------------------------------------------------


def link(folder: Path) -> None:
    (folder / NAME).unlink()
    (folder / NAME).symlink_to("/etc/passwd")


def pipe(folder: Path) -> None:
    (folder / NAME).unlink()
    os.mkfifo(folder / NAME)


def flood(folder: Path) -> None:
    for number in range(300):
        (folder / str(number)).touch()


def inner_link(folder: Path) -> None:
    (folder / "all").symlink_to("/")


def huge(folder: Path) -> None:
    with (folder / NAME).open("wb") as file:
        file.truncate(1 << 40)


def missing(folder: Path) -> None:
    (folder / NAME).unlink()


@pytest.mark.parametrize("spoil", [link, pipe, flood, inner_link, huge, missing])
def test_a_refused_submission_leaves_a_reason_and_no_files(exchange, course, said, spoil):
    spoil(exchange.hand_in("ada"))
    exchange.hand_in("bob")
    exchange.collect()
    folder = course / "submitted" / "ada" / ID
    assert sorted(path.name for path in folder.iterdir()) == ["submission_secret.txt", "timestamp.txt"]
    teacher, student = intake.refused_at_collection(course, ID, "ada")
    assert teacher.endswith(".")
    assert "ask the student" not in student
    assert f"WARNING Refused submission: ada {ID}: {teacher}" in said()
    assert abs(intake.submitted_at(course, ID, "ada") - now()) < timedelta(minutes=1)
    assert record(course, "ada")["secret"] == "ab" * 64
    assert collected(course, "bob")


def test_a_link_in_place_of_the_folder(exchange, course, tmp_path):
    target = exchange.hand_in("ada", notebook("of ada"))
    target = target.rename(tmp_path / "elsewhere")
    (exchange.inbound / f"bob+{ID}+2024-01-01 00:00:00 UTC+r").symlink_to(target)
    exchange.collect()
    assert "is a link or no folder" in intake.refused_at_collection(course, ID, "bob")[0]


def test_a_broken_later_submission_does_not_cost_the_earlier_one(exchange, course):
    exchange.hand_in("ada", notebook("good"), claims=now() - HOUR)
    exchange.hand_in("ada", b"broken")
    exchange.collect()
    assert collected(course, "ada") == notebook("good")
    assert (
        "was not accepted: The notebook is not valid JSON" in intake.notes_at_collection(course, ID, "ada")[0]
    )


def test_nor_when_the_earlier_one_was_collected_before(exchange, course, said):
    earlier = exchange.hand_in("ada", notebook("good"))
    exchange.collect()
    for path in earlier.iterdir():
        path.unlink()
    earlier.rmdir()
    exchange.hand_in("ada", b"broken")
    for _ in range(2):
        exchange.collect(update=True)
    assert collected(course, "ada") == notebook("good")
    (note,) = intake.notes_at_collection(course, ID, "ada")
    assert "Another submission was not accepted" in note
    assert "WARNING Keeping submission: ada ps1: the other one was refused" in said()
    assert intake.submitted_at(course, ID, "ada") is not None


def test_a_repaired_submission_takes_the_place_of_a_refused_one_without_update(exchange, course):
    exchange.hand_in("ada", b"broken")
    exchange.collect()
    assert intake.refused_at_collection(course, ID, "ada")
    exchange.hand_in("ada", notebook("repaired"))
    exchange.collect()
    assert collected(course, "ada") == notebook("repaired")
    assert intake.refused_at_collection(course, ID, "ada") is None


def test_somebody_elses_folder_is_not_collected_and_harms_nobody(exchange, course, said):
    me = getpass.getuser()
    exchange.hand_in("somebody", notebook("forged"))
    exchange.hand_in(me, notebook("mine"))
    exchange.collect(check_owner=True)
    assert collected(course, me) == notebook("mine")
    assert not (course / "submitted" / "somebody").exists()
    assert not intake.record_path(course, ID, "somebody").exists()
    assert f"named for somebody but belongs to {me}" in said()
    assert "check_owner = False" in said()


def test_a_notebook_of_somebody_else_in_ones_folder_is_not_collected(exchange, course, said, monkeypatch):
    exchange.hand_in("ada", notebook("put there"))
    owners = {1000: "ada", 1001: "eve"}
    monkeypatch.setattr(collecting.pwd, "getpwuid", lambda uid: type("Entry", (), {"pw_name": owners[uid]}))
    real = intake.submission

    def swapped(*arguments, **options):
        accepted = real(*arguments, **options)
        return intake.Accepted(
            accepted.notebook, accepted.digest, (), accepted.data, accepted.changed, frozenset(owners)
        )

    monkeypatch.setattr(intake, "submission", swapped)
    listed = collecting.SafeCollect._inbound

    def of_ada(self, entry, claimed):
        found = listed(self, entry, claimed)
        return collecting.replace(found, owner=1000)

    monkeypatch.setattr(collecting.SafeCollect, "_inbound", of_ada)
    exchange.collect(check_owner=True)
    assert collected(course, "ada") is None
    assert "belongs to eve" in said()


def test_an_account_without_a_name(exchange, course, said, monkeypatch):
    def nobody(uid):
        raise KeyError(uid)

    exchange.hand_in("ada")
    monkeypatch.setattr(collecting.pwd, "getpwuid", nobody)
    exchange.collect(check_owner=True)
    assert collected(course, "ada") is None
    assert f"belongs to user id {os.getuid()}" in said()


@pytest.mark.parametrize("name", ["..", "a b", "-rf", "a\x1b[2J", "ä"])
def test_names_of_folders_that_name_no_student(exchange, course, said, name):
    exchange.hand_in("ada").rename(exchange.inbound / f"{name}+{ID}+2024-01-01 00:00:00 UTC+r")
    exchange.hand_in("bob")
    exchange.collect()
    assert os.listdir(course / "submitted") == ["bob"]
    assert "is no student id" in said()
    assert "\x1b" not in said()


def test_an_unexpected_error_stops_nobody_else_and_is_not_lost(exchange, course, said, monkeypatch):
    from nbgrader.exchange import ExchangeError

    exchange.hand_in("ada")
    exchange.hand_in("bob")
    real = intake.submission

    def fails(folder, *arguments, **options):
        if folder.name.startswith("ada"):
            raise OSError("disk on fire")
        return real(folder, *arguments, **options)

    monkeypatch.setattr(intake, "submission", fails)
    with pytest.raises(ExchangeError, match="Not collected: ada"):
        exchange.collect()
    assert "disk on fire" in said()
    assert collected(course, "bob")


def test_a_secret_that_is_none_is_replaced(exchange, course):
    folder = exchange.hand_in("ada")
    (folder / "submission_secret.txt").write_text("<script>")
    exchange.collect()
    assert len(record(course, "ada")["secret"]) == 128
    assert (course / "submitted" / "ada" / ID / "submission_secret.txt").read_text() == record(course, "ada")[
        "secret"
    ]


def test_submitted_may_not_be_a_link(exchange, course, tmp_path):
    from nbgrader.exchange import ExchangeError

    (tmp_path / "elsewhere").mkdir()
    (course / "submitted").symlink_to(tmp_path / "elsewhere")
    exchange.hand_in("ada")
    with pytest.raises(ExchangeError):
        exchange.collect()
    assert not os.listdir(tmp_path / "elsewhere")


def test_another_layout_of_the_course_is_refused(exchange):
    from nbgrader.exchange import ExchangeError

    exchange.hand_in("ada")
    coursedir = exchange.coursedir(submitted_directory="in")
    with pytest.raises(ExchangeError, match="submitted_directory"):
        collecting.SafeCollect(coursedir=coursedir, root=str(exchange.root)).start()


@pytest.mark.parametrize(("groupshared", "mode"), [(False, 0o644), (True, 0o664)])
def test_other_teachers_can_read_what_was_collected(exchange, course, groupshared, mode):
    exchange.hand_in("ada")
    before = os.umask(0o022)
    try:
        coursedir = exchange.coursedir(groupshared=groupshared)
        collecting.SafeCollect(coursedir=coursedir, root=str(exchange.root), check_owner=False).start()
    finally:
        os.umask(before)
    path = course / "submitted" / "ada" / ID / NAME
    assert stat.S_IMODE(path.stat().st_mode) == mode
    assert stat.S_IMODE(intake.record_path(course, ID, "ada").stat().st_mode) & 0o444 == 0o444
    assert not os.listdir(course / ".grading" / "arriving")


# --- Zip files ----------------------------------------------------------------------------------------------


def zipped(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def by_student(results) -> dict[str, collecting.Collected]:
    return {result.student: result for result in results}


def test_moodle(course, tmp_path):
    source = zipped(
        tmp_path / "moodle.zip",
        {
            "Ada Lovelace_101_assignsubmission_file_/ps1.ipynb": notebook("ada"),
            "Zoë Größe_102_assignsubmission_file/ps1.ipynb": notebook("zoë"),
            "王 小明_103_assignsubmission_file_ps1.ipynb": notebook("wang"),
            "Max Renamed_104_assignsubmission_file_/ps1 (1).ipynb": notebook("max"),
            "Nora Wrong_105_assignsubmission_file_/thesis.pdf": b"%PDF",
            "Nora Wrong_105_assignsubmission_onlinetext_/onlinetext.html": b"<p>",
            "Olga Deep_106_assignsubmission_file_/copy/ps1.ipynb": notebook("olga"),
            "Text Only_107_assignsubmission_onlinetext_/onlinetext.html": b"<p>",
        },
    )
    results = collecting.collect(course, ID, source)
    assert results[-1].what == "note"
    assert "numbers participants anew" in results[-1].why
    done = by_student(results[:-1])
    assert {student: result.what for student, result in done.items()} == {
        "101": "collected", "102": "collected", "103": "collected", "104": "collected", "105": "refused", "106": "refused",
    }  # fmt: skip
    assert "It was named `ps1 (1).ipynb`" in done["104"].why
    assert "only `thesis.pdf`" in done["105"].why
    assert "only `copy/ps1.ipynb`" in done["106"].why
    assert [collected(course, str(number)) for number in (101, 102, 103, 104)] == [
        notebook(text) for text in ("ada", "zoë", "wang", "max")
    ]
    assert intake.refused_at_collection(course, ID, "105")
    assert record(course, "101")["lms"] == "moodle"


def test_canvas(course, tmp_path):
    source = zipped(
        tmp_path / "submissions.zip",
        {
            "lovelaceada_2001_5001_ps1.ipynb": notebook("ada"),
            "größezoë_LATE_2002_5002_ps1-1.ipynb": notebook("zoë"),
            "twicebob_2003_5004_ps1-2.ipynb": notebook("later"),
            "twicebob_2003_5003_ps1.ipynb": notebook("earlier"),
            "mayerlate_2004_5005_other.ipynb": notebook("wrong"),
        },
    )
    done = by_student(collecting.collect(course, ID, source))
    assert {student: result.what for student, result in done.items()} == {
        "2001": "collected", "2002": "collected", "2003": "collected", "2004": "refused",
    }  # fmt: skip
    assert "Canvas marked it as late." in intake.notes_at_collection(course, ID, "2002")
    assert collected(course, "2003") == notebook("later")
    assert "2 notebooks of this student; `ps1-2.ipynb` is the latest" in done["2003"].why
    assert record(course, "2001")["lms"] == "canvas"


def test_a_zips_times_are_those_of_the_download_and_are_not_taken(course, tmp_path):
    collecting.collect(course, ID, zipped(tmp_path / "c.zip", {"ada_1_2_ps1.ipynb": notebook()}))
    assert intake.submitted_at(course, ID, "1") is None
    assert not (course / "submitted" / "1" / ID / "timestamp.txt").exists()


IMITATIONS = [
    "Eve_1_assignsubmission_file_/x_999_assignsubmission_file_ps1.ipynb",
    "eve_1_2_x_999_888_ps1.ipynb",
    "eve_999_888_x_1_2_ps1.ipynb",
    "eve_999_1_2_ps1.ipynb",
]


@pytest.mark.parametrize("name", IMITATIONS)
def test_a_name_that_imitates_another_students_number(course, tmp_path, name):
    (result,) = collecting.collect(course, ID, zipped(tmp_path / "s.zip", {name: notebook()}))
    assert result.what == "skipped"
    assert "more than one way" in result.why
    assert not (course / "submitted").exists()


@pytest.mark.parametrize(
    "name", ["../../evil.ipynb", "/etc/evil.ipynb", "..\\evil.ipynb", "a/b/c/d.ipynb", "ps1.ipynb"]
)
def test_names_that_lead_elsewhere_or_nowhere(course, tmp_path, name):
    (result,) = collecting.collect(course, ID, zipped(tmp_path / "s.zip", {name: notebook()}))
    assert result.what == "skipped"
    assert not list(tmp_path.rglob("evil*"))
    assert not (course / "submitted").exists()


def special(info: zipfile.ZipInfo, content: bytes, path: Path) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(info, content)
        archive.writestr("bob_3_4_ps1.ipynb", notebook("bob"))
    return path


def test_a_link_in_a_zip(course, tmp_path):
    info = zipfile.ZipInfo("ada_1_2_ps1.ipynb")
    info.create_system, info.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    done = by_student(collecting.collect(course, ID, special(info, b"/etc/passwd", tmp_path / "s.zip")))
    assert "is a link" in done["1"].why
    assert done["3"].what == "collected"


def test_zip_bombs(course, tmp_path):
    info = zipfile.ZipInfo("ada_1_2_ps1.ipynb")
    info.compress_type = zipfile.ZIP_DEFLATED
    path = special(info, b" " * 20_000_000, tmp_path / "s.zip")
    assert "larger than 5 MB unpacked" in by_student(collecting.collect(course, ID, path))["1"].why
    # One that declares to be small.
    data = path.read_bytes().replace(struct.pack("<I", 20_000_000), struct.pack("<I", 100))
    path.write_bytes(data)
    done = by_student(collecting.collect(course, ID, path, update=True))
    assert done["1"].what == "refused"
    assert "is damaged" in done["1"].why


def test_a_password_in_a_zip(course, tmp_path):
    path = zipped(tmp_path / "s.zip", {"ada_1_2_ps1.ipynb": notebook()})
    data = bytearray(path.read_bytes())
    data[data.index(b"PK\x01\x02") + 8] |= 1
    data[data.index(b"PK\x03\x04") + 6] |= 1
    path.write_bytes(data)
    (result,) = collecting.collect(course, ID, path)
    assert "password" in result.why


def test_a_packing_that_can_ask_for_much_memory(course, tmp_path):
    info = zipfile.ZipInfo("ada_1_2_ps1.ipynb")
    info.compress_type = zipfile.ZIP_LZMA
    done = by_student(collecting.collect(course, ID, special(info, notebook(), tmp_path / "s.zip")))
    assert "packed in a way that no LMS uses" in done["1"].why


def test_a_damaged_member_and_a_damaged_zip(course, tmp_path):
    path = zipped(tmp_path / "s.zip", {"ada_1_2_ps1.ipynb": notebook("x" * 1000)})
    data = bytearray(path.read_bytes())
    data[60] ^= 0xFF
    path.write_bytes(data)
    (result,) = collecting.collect(course, ID, path)
    assert "is damaged in the zip file" in result.why
    path.write_bytes(b"PK")
    with pytest.raises(GradingError, match="download it again"):
        collecting.collect(course, ID, path)


def test_numbers_become_ids_by_a_roster(course, tmp_path):
    source = zipped(
        tmp_path / "moodle.zip",
        {
            f"A B_{number}_assignsubmission_file_/ps1.ipynb": notebook(str(number))
            for number in (101, 102, 103)
        },
    )
    roster = tmp_path / "Grades.csv"
    roster.write_text(
        "Identifier,Full name,ID number,Email address,Grade\n"
        "Participant 101,Ada,s101,ada@uni.example,\n"
        "Participant 102,Bob,,bob@uni.example,\n"
    )
    results = collecting.collect(course, ID, source, roster=roster)
    assert [(result.student, result.what) for result in results[:2]] == [
        ("bob@uni.example", "collected"),
        ("s101", "collected"),
    ]
    assert "no student with the number 103" in results[2].why
    assert len(results) == 3
    with pytest.raises(GradingError):
        collecting.collect(course, ID, source, roster=source)


# --- Folders, patterns, updates -----------------------------------------------------------------------------


def test_a_folder_in_all_its_forms(course, tmp_path):
    source = tmp_path / "in"
    files = {
        f"ada/{NAME}": "ada",
        f"bob/{ID}/{NAME}": "bob",
        f"carl_{ID}.ipynb": "carl",
        "dora.ipynb": "dora",
        f"finn/{ID}-1.ipynb": "finn",
    }
    for name, text in files.items():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_bytes(notebook(text))
    (source / "slides").mkdir()
    (source / "slides" / "demo.ipynb").write_bytes(notebook())
    (source / ".DS_Store").write_text("")
    (source / "readme.txt").write_text("")
    done = by_student(collecting.collect(course, ID, source))
    for student, text in zip(("ada", "bob", "carl", "dora", "finn"), files.values(), strict=True):
        assert done[student].what == "collected"
        assert collected(course, student) == notebook(text)
    assert done["slides"].what == "skipped"
    assert not intake.record_path(course, ID, "slides").exists()
    assert intake.submitted_at(course, ID, "ada") is None


def test_an_unpacked_zip_file(course, tmp_path):
    source = tmp_path / "in"
    for name in ("Ada A_55_assignsubmission_file_/ps1.ipynb", "carl.ipynb", "dora/ps1.ipynb"):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_bytes(notebook(name))
    done = by_student(collecting.collect(course, ID, source))
    assert done["55"].what == "collected"
    for name in ("`carl.ipynb`", "`dora/ps1.ipynb`"):
        assert "not as the LMS made the others" in done[name].why
    assert os.listdir(course / "submitted") == ["55"]


def test_links_in_a_folder_are_not_followed(course, tmp_path):
    source, elsewhere = tmp_path / "in", tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / NAME).write_bytes(notebook("of somebody else"))
    (source / "ada").mkdir(parents=True)
    (source / "ada" / NAME).symlink_to(elsewhere / NAME)
    (source / "bob").symlink_to(elsewhere)
    (source / "carl.ipynb").write_bytes(notebook())
    done = by_student(collecting.collect(course, ID, source))
    assert "a link" in done["ada"].why
    assert "bob" not in done
    assert done["carl"].what == "collected"


def test_a_pattern_with_a_time(course, tmp_path):
    source = zipped(
        tmp_path / "s.zip",
        {
            "week 3/2026-01-02T03:04:05Z lovelace.ipynb": notebook("one"),
            "week 3/2026-01-02T03:05:00Z lovelace.ipynb": notebook("two"),
            "week 3/whenever bob.ipynb": notebook("bob"),
            "week 3/notes.txt": b"",
            "other.ipynb": notebook(),
        },
    )
    done = by_student(
        collecting.collect(course, ID, source, pattern=r"week 3/(?P<time>\S+) (?P<student>\w+)\.ipynb")
    )
    assert intake.submitted_at(course, ID, "lovelace") == datetime(2026, 1, 2, 3, 5)
    assert collected(course, "lovelace") == notebook("two")
    assert "cannot be read" in done["bob"].why
    assert intake.submitted_at(course, ID, "bob") is None
    assert "does not fit --pattern" in done["`other.ipynb`"].why
    assert len(done) == 3


@pytest.mark.parametrize("pattern", ["(", "(?P<name>.*)"])
def test_patterns_that_are_none(course, tmp_path, pattern):
    with pytest.raises(GradingError, match="--pattern"):
        collecting.collect(course, ID, tmp_path, pattern=pattern)


def test_what_is_there_stays_without_update(course, tmp_path):
    for text in ("first", "second"):
        source = zipped(tmp_path / f"{text}.zip", {"ada_1_2_ps1.ipynb": notebook(text)})
        (result,) = collecting.collect(course, ID, source)
    assert result.what == "kept"
    assert "--update" in result.why
    assert collected(course, "1") == notebook("first")
    (result,) = collecting.collect(course, ID, source, update=True)
    assert str(result) == "1: updated: in place of the one before"
    assert collected(course, "1") == notebook("second")
    (result,) = collecting.collect(course, ID, source, update=True)
    assert str(result) == "1: kept: this one is there already"


def test_update_never_takes_an_older_one(course, tmp_path):
    form = r"(?P<time>\d+-\d+-\d+)_(?P<student>\w+)\.ipynb"
    for day, text in (("2026-01-02", "newer"), ("2026-01-01", "older")):
        source = zipped(tmp_path / f"{text}.zip", {f"{day}_ada.ipynb": notebook(text)})
        (result,) = collecting.collect(course, ID, source, pattern=form, update=True)
    assert result.why == "no newer submission"
    assert collected(course, "ada") == notebook("newer")


def test_nothing_to_collect(course, tmp_path):
    with pytest.raises(GradingError, match="neither a folder nor a zip file"):
        collecting.collect(course, ID, tmp_path / "none.zip")
    with pytest.raises(GradingError, match="There is no notebook in"):
        collecting.collect(
            course, ID, zipped(tmp_path / "s.zip", {"readme.txt": b"", ".": b"", "__MACOSX/x": b""})
        )
    with pytest.raises(GradingError, match="There is no assignment ps9"):
        collecting.collect(course, "ps9", tmp_path)
