"""What may be handed in, and what is refused before anything else looks at it."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import sys
from pathlib import Path

import pytest

from course_utils.grading import intake
from course_utils.grading.errors import GradingError, Refused

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="grading runs on Linux and macOS")

ID = "ps1-perceptron-and-mlp"
NAME = f"{ID}.ipynb"


def notebook(*cells: dict, **more) -> bytes:
    return json.dumps(
        {"cells": list(cells), "metadata": {}, "nbformat": 4, "nbformat_minor": 5} | more
    ).encode()


GOOD = notebook({"cell_type": "markdown", "id": "title", "metadata": {}, "source": "# Toy"})


@pytest.fixture
def folder(tmp_path):
    """The folder of a submission, without a file."""
    made = tmp_path / "submitted" / "ada" / ID
    made.mkdir(parents=True)
    return made


def accept(folder: Path, content: bytes = GOOD) -> intake.Accepted:
    (folder / NAME).write_bytes(content)
    return intake.submission(folder, ID)


def refusal(folder: Path) -> Refused:
    with pytest.raises(Refused) as caught:
        intake.submission(folder, ID)
    said = caught.value
    for sentence in (said.teacher, said.student):
        assert sentence.endswith(".")
        assert sentence.isprintable(), "a hostile name reached the sentence"
    assert said.teacher != said.student
    return said


def test_an_honest_submission_is_accepted_with_what_nbgrader_adds(folder):
    (folder / "timestamp.txt").write_text("2020-01-01 10:00:00 UTC")
    (folder / "submission_secret.txt").write_text("abc")
    (folder / ".ipynb_checkpoints").mkdir()
    (folder / ".ipynb_checkpoints" / f"{ID}-checkpoint.ipynb").write_bytes(GOOD)
    accepted = accept(folder)
    assert accepted.notebook == json.loads(GOOD)
    assert accepted.digest == hashlib.sha256(GOOD).hexdigest()
    assert accepted.data == GOOD
    assert accepted.notes == ()
    assert accepted.owners == {os.getuid()}
    assert accepted.changed == max(os.stat(folder).st_ctime_ns, os.stat(folder / NAME).st_ctime_ns)


def test_other_files_are_left_out_and_named(folder):
    (folder / "scratch.ipynb").write_bytes(GOOD)
    (folder / "numpy.py").write_text("raise SystemExit")
    (folder / "data").mkdir()
    for number in range(3):
        (folder / "data" / f"größe {number}.csv").write_text("1")
    (note,) = accept(folder).notes
    assert "5 other files were left out" in note
    assert "`data/größe 0.csv`" in note
    assert "and 2 more" in note


# --- Kinds of files -----------------------------------------------------------------------------------------


def test_a_link_in_place_of_the_notebook(folder, tmp_path):
    secret = tmp_path / "secret.ipynb"
    secret.write_bytes(GOOD)
    (folder / NAME).symlink_to(secret)
    assert "a link to somewhere else" in refusal(folder).teacher


def test_a_dangling_link(folder):
    (folder / NAME).symlink_to("/nowhere")
    assert "a link" in refusal(folder).student


def test_a_link_beside_the_notebook_and_deep_inside(folder):
    (folder / NAME).write_bytes(GOOD)
    (folder / "data").mkdir()
    (folder / "data" / "all").symlink_to("/")
    assert "`data/all` is a link" in refusal(folder).teacher


def test_a_hard_link(folder, tmp_path):
    (tmp_path / "other").write_bytes(GOOD)
    os.link(tmp_path / "other", folder / NAME)
    assert "a hard link" in refusal(folder).teacher


@pytest.mark.parametrize("name", [NAME, "beside"])
def test_a_pipe_does_not_make_intake_wait(folder, name):
    if name != NAME:
        (folder / NAME).write_bytes(GOOD)
    os.mkfifo(folder / name)
    assert "a pipe, a socket or a device" in refusal(folder).teacher


def test_a_socket(folder, monkeypatch):
    monkeypatch.chdir(folder)  # the path of a socket has to be short
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(NAME)
        assert "a socket" in refusal(folder).teacher


def test_a_device(folder):
    try:
        os.mknod(folder / NAME, 0o20666, os.makedev(1, 5))  # /dev/zero never ends
    except PermissionError:
        pytest.skip("only root makes devices")
    assert "a device" in refusal(folder).teacher


def test_a_folder_in_place_of_the_notebook(folder):
    (folder / NAME).mkdir()
    assert f"There is no notebook `{NAME}` but nothing" in refusal(folder).teacher


@pytest.mark.parametrize("step", ["submitted", "submitted/ada", f"submitted/ada/{ID}"])
def test_a_link_on_the_way_to_the_submission(folder, tmp_path, step):
    (folder / NAME).write_bytes(GOOD)
    moved = tmp_path / "moved"
    (tmp_path / step).rename(moved)
    (tmp_path / step).symlink_to(moved)
    assert "is a link or no folder" in refusal(folder).teacher


def test_the_course_directory_itself_may_be_reached_through_a_link(folder, tmp_path):
    (folder / NAME).write_bytes(GOOD)
    (tmp_path / "course").symlink_to(tmp_path)
    assert intake.submission(tmp_path / "course" / "submitted" / "ada" / ID, ID).notes == ()


def test_what_cannot_be_read(folder):
    (folder / NAME).write_bytes(GOOD)
    (folder / NAME).chmod(0)
    if os.access(folder / NAME, os.R_OK):
        pytest.skip("root reads everything")
    assert "cannot be read" in refusal(folder).teacher


def test_nothing_handed_in(folder, tmp_path):
    assert f"There is no notebook `{NAME}` but nothing" in refusal(folder).teacher
    folder.rmdir()
    assert "is not there" in refusal(folder).teacher


# --- Names --------------------------------------------------------------------------------------------------

ODD = {
    "line break": "a\nb.txt",
    "terminal escape": "a\x1b[2Jb.txt",
    "right-to-left override": "a\u202eyp.txt",
    "direction isolate": "a\u2066b.txt",
    "zero width space": "a\u200bb.txt",
    "trailing space": "notes.txt ",
    "trailing dot": "notes.txt.",
    "no-break space": "a\u00a0b.txt",
}


@pytest.mark.parametrize("name", ODD.values(), ids=ODD)
def test_odd_names_are_refused_and_shown_plainly(folder, name):
    (folder / NAME).write_bytes(GOOD)
    (folder / name).write_text("")
    said = refusal(folder)
    assert "odd name" in said.teacher
    if not name.isprintable():
        assert "<U+" in said.student


def test_a_name_that_is_no_unicode(folder):
    (folder / NAME).write_bytes(GOOD)
    try:
        os.close(os.open(os.fsencode(folder) + b"/\xff\xfe.txt", os.O_CREAT | os.O_WRONLY))
    except OSError:
        pytest.skip("the file system has Unicode names only")
    assert "odd name" in refusal(folder).teacher


def test_names_in_other_scripts_and_emoji_are_not_odd(folder):
    for name in (
        "решение.txt",
        "解答.txt",
        "\U0001f469\u200d\U0001f52c.png",
        "می\u200cخواهم.txt",
        "e\u0301.txt",
    ):
        (folder / name).write_text("")
    assert "5 other files" in accept(folder).notes[0]


LOOKALIKES = {
    "Cyrillic": NAME.replace("p", "р"),
    "Greek": NAME.replace("o", "ο"),
    "full width": NAME.replace("1", "１"),
    "accent": NAME.replace("ps", "pś"),
    "upper case": NAME.upper(),
    "Turkish i": NAME.replace("i", "ı"),
    "letter for digit": NAME.replace("1", "l"),
    "other hyphen": NAME.replace("-", "‐"),
    "underscore": NAME.replace("-", "_"),
}


@pytest.mark.parametrize("name", LOOKALIKES.values(), ids=LOOKALIKES)
def test_lookalikes_of_the_notebook(folder, name):
    (folder / name).write_bytes(GOOD)
    assert f"which is not `{NAME}`" in refusal(folder).student
    (folder / NAME).write_bytes(GOOD)
    said = refusal(folder)
    assert "Two notebooks can be meant" in said.teacher
    assert said.teacher.isascii()


COPIES = [f"{ID} (1).ipynb", f"{ID}(2).ipynb", f"{ID}-1.ipynb", f"{ID}-Copy1.ipynb", f"Copy of {NAME}"]


@pytest.mark.parametrize("name", COPIES)
def test_a_copy_by_browser_jupyterlab_or_colab_gets_a_helpful_sentence(folder, name):
    (folder / name).write_bytes(GOOD)
    said = refusal(folder)
    assert f"named `{name}`, as a second download or a copy is" in said.student
    assert f"name it `{NAME}` and hand in again" in said.student
    (folder / NAME).write_bytes(GOOD)
    assert f"hand in `{NAME}` alone" in refusal(folder).student


def test_copy_numbers_of_names():
    numbers = {
        name: intake.copy_number(name, ID)
        for name in [NAME, *COPIES, "other.ipynb", NAME.upper(), f"{ID}.txt"]
    }
    assert list(numbers.values()) == [0, 1, 2, 1, 1, 1, None, None, None]


def test_wrong_notebooks_are_named(folder):
    (folder / "ps2.ipynb").write_bytes(GOOD)
    (folder / "deep").mkdir()
    (folder / "deep" / NAME).write_bytes(GOOD)
    said = refusal(folder)
    assert f"There is no notebook `{NAME}` but only `deep/{NAME}`, `ps2.ipynb`" in said.teacher
    assert f"hand in the notebook under the name `{NAME}`" in said.student


def test_two_lookalikes_without_the_right_one(folder):
    for name in COPIES[:2]:
        (folder / name).write_bytes(GOOD)
    assert f"but only `{COPIES[0]}`, `{COPIES[1]}`" in refusal(folder).teacher


def test_too_many_files(folder):
    (folder / NAME).write_bytes(GOOD)
    for number in range(intake.FILES):
        (folder / f"{number}").touch()
    assert "more than 200 files" in refusal(folder).teacher


def test_too_deep_folders(folder):
    (folder / NAME).write_bytes(GOOD)
    (folder / "/".join("abcd")).mkdir(parents=True)
    intake.submission(folder, ID)
    (folder / "/".join("abcde") / "f").mkdir(parents=True)
    assert "more than 5 deep" in refusal(folder).teacher


@pytest.mark.parametrize("name", ["ada", "s1234567", "a.b+c_d-e@uni.example", "A" * 100])
def test_student_ids(name):
    assert intake.student_name(name) == name


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../x", "a/b", "a..b", ".hidden", "-x", "a b", "a\n", "ärger", "A" * 101, "a\\b"]
)
def test_no_student_ids(name):
    with pytest.raises(Refused, match="is no student id"):
        intake.student_name(name)


@pytest.mark.parametrize("name", ["", "..", "a/b", "a+b", "../../etc"])
def test_no_assignment_ids(name, tmp_path):
    with pytest.raises(GradingError, match="is no assignment id"):
        intake.record_path(tmp_path, name, "ada")


# --- Content ------------------------------------------------------------------------------------------------

MALFORMED = {
    "empty": (b"", "is empty"),
    "blank": (b" \n\t", "is empty"),
    "binary": (b"\x89PNG\r\n\x1a\n\xff", "is not UTF-8"),
    "UTF-16": (GOOD.decode().encode("utf-16"), "is not UTF-8"),
    "no JSON": (b'{"cells": [', "is not valid JSON (line 1)"),
    "web page": (b"<!DOCTYPE html><html></html>", "it is a web page"),
    "list": (b"[1, 2]", "JSON but not a notebook"),
    "number": (b"4", "JSON but not a notebook"),
    "no format": (b'{"cells": []}', "JSON but not a notebook"),
    "format is true": (notebook(nbformat=True), "JSON but not a notebook"),
    "format is text": (notebook(nbformat="4"), "JSON but not a notebook"),
    "format 3": (b'{"nbformat": 3, "worksheets": []}', "old format `3`"),
    "format 5": (notebook(nbformat=5), "format `5`"),
    "no cells": (b'{"nbformat": 4}', "no list of cells"),
    "cells are a dict": (notebook(cells={}), "no list of cells"),
    "a cell is text": (notebook(cells=[{}, "x"]), "no list of cells"),
    "too many cells": (notebook(*[{}] * 1001), "more than 1,000 cells"),
    "deep": (b"[" * 200_000, "nested too deeply"),
    "deep objects": (b'{"a":' * 200_000, "nested too deeply"),
    "huge number": (notebook(nbformat=4, minor="@").replace(b'"@"', b"9" * 5_000), "is not valid JSON"),
}


@pytest.mark.parametrize(("content", "reason"), MALFORMED.values(), ids=MALFORMED)
def test_malformed_notebooks(folder, content, reason):
    (folder / NAME).write_bytes(content)
    assert reason in refusal(folder).teacher


def test_old_formats_are_told_what_to_do(folder):
    (folder / NAME).write_bytes(b'{"nbformat": 3}')
    assert "open it in JupyterLab, save it" in refusal(folder).student


@pytest.mark.parametrize(
    "content",
    [
        notebook(*[{}] * 1000),
        b"\xef\xbb\xbf" + GOOD,
        notebook(value=float("nan")),
        notebook({"source": 3, "cell_type": None}),
        notebook(nbformat_minor="x", metadata=[]),
    ],
    ids=["1000 cells", "byte order mark", "NaN", "odd cell", "odd metadata"],
)
def test_what_the_rebuild_can_cope_with_is_accepted(folder, content):
    assert accept(folder, content).digest == hashlib.sha256(content).hexdigest()


def test_the_size_limit(folder):
    accept(folder, GOOD.ljust(intake.NOTEBOOK_BYTES))
    (folder / NAME).write_bytes(GOOD.ljust(intake.NOTEBOOK_BYTES + 1))
    said = refusal(folder)
    assert "larger than 5 MB" in said.teacher
    assert "Clear Outputs" in said.student


def test_a_huge_sparse_file_is_not_read(folder):
    with (folder / NAME).open("wb") as file:
        file.truncate(1 << 40)
    assert "larger than 5 MB" in refusal(folder).teacher


# --- One file, before handing in ----------------------------------------------------------------------------


def test_a_file_of_a_known_assignment(tmp_path, monkeypatch):
    monkeypatch.setattr(intake, "_assignments", lambda: ["ps2-other", ID])
    (tmp_path / NAME).write_bytes(GOOD)
    assert intake.file(tmp_path / NAME).notes == ()
    (tmp_path / COPIES[0]).write_bytes(GOOD)
    with pytest.raises(Refused) as caught:
        intake.file(tmp_path / COPIES[0])
    assert f"name it `{NAME}`" in caught.value.student


def test_a_file_whose_assignment_is_not_known(tmp_path, monkeypatch):
    monkeypatch.setattr(intake, "_assignments", list)
    (tmp_path / "mine.ipynb").write_bytes(GOOD)
    (note,) = intake.file(tmp_path / "mine.ipynb").notes
    assert "name was not checked" in note
    with pytest.raises(Refused, match=r"which is not `ps1-perceptron-and-mlp\.ipynb`"):
        intake.file(tmp_path / "mine.ipynb", ID)
    (tmp_path / "mine.ipynb").write_bytes(b"")
    with pytest.raises(Refused, match="is empty"):
        intake.file(tmp_path / "mine.ipynb")


def test_a_folder_can_be_checked_as_it_will_be_handed_in(tmp_path, monkeypatch):
    monkeypatch.setattr(intake, "_assignments", list)
    (tmp_path / ID).mkdir()
    (tmp_path / ID / NAME).write_bytes(GOOD)
    assert intake.file(tmp_path / ID).notes == ()
    (tmp_path / ID / "link").symlink_to("/etc")
    with pytest.raises(Refused, match="a link"):
        intake.file(tmp_path / ID)


def test_there_is_no_such_file(tmp_path):
    with pytest.raises(GradingError, match="There is no file"):
        intake.file(tmp_path / "none.ipynb")


def test_the_assignments_of_this_course_are_known():
    assert all(name.startswith("ps") for name in intake._assignments())


# --- What was recorded --------------------------------------------------------------------------------------


def record(course: Path, **values) -> None:
    path = intake.record_path(course, ID, "ada")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(values))


def test_the_time_comes_from_the_record_and_only_for_the_notebook_that_was_collected(folder, tmp_path):
    digest = accept(folder).digest
    (folder / "timestamp.txt").write_text("2001-01-01 00:00:00 UTC")
    assert intake.submitted_at(tmp_path, ID, "ada") is None
    record(tmp_path, time="2026-03-04T05:06:07+00:00", sha256=digest, notes=["n"], secret="s")
    assert intake.submitted_at(tmp_path, ID, "ada").isoformat() == "2026-03-04T05:06:07"
    assert intake.notes_at_collection(tmp_path, ID, "ada") == ("n",)
    assert intake.feedback_secret(tmp_path, ID, "ada") == "s"
    accept(folder, GOOD + b" ")
    assert intake.submitted_at(tmp_path, ID, "ada") is None
    assert intake.notes_at_collection(tmp_path, ID, "ada") == ()


def test_a_refusal_holds_until_a_notebook_is_put_there(folder, tmp_path):
    record(tmp_path, time="2026-03-04T05:06:07+00:00", sha256=None, refused=["for her", "for him"])
    assert intake.refused_at_collection(tmp_path, ID, "ada") == ("for her", "for him")
    assert intake.submitted_at(tmp_path, ID, "ada") is not None
    accept(folder)
    assert intake.refused_at_collection(tmp_path, ID, "ada") is None
    assert intake.submitted_at(tmp_path, ID, "ada") is None


@pytest.mark.parametrize(
    "text", ["", "[]", '{"time": 3}', '{"time": "soon"}', '{"refused": "x", "notes": 3}', "\xff"]
)
def test_a_damaged_record_counts_as_none(folder, tmp_path, text):
    path = intake.record_path(tmp_path, ID, "ada")
    path.parent.mkdir(parents=True)
    path.write_bytes(text.encode("latin-1"))
    assert intake.submitted_at(tmp_path, ID, "ada") is None
    assert intake.refused_at_collection(tmp_path, ID, "ada") is None
    assert intake.notes_at_collection(tmp_path, ID, "ada") == ()
