"""The check mechanism itself: what it catches, what it says, what it writes down."""

from __future__ import annotations

import json

import numpy as np
import pytest

from course_utils.checks import _progress
from course_utils.checks._engine import NotAttempted, NotYet, as_array, call, close, exercise, several


def _double_solution(x):
    return 2 * x


@exercise("test.double", solution=_double_solution, hints=["think of addition", "add it to itself"])
def double(function):
    """Double a number."""
    close(call(function, 3.0), 6.0, "double(3)")


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("COURSE_PROGRESS", raising=False)
    return tmp_path / "home"


def test_verdicts():
    assert double.judge(lambda x: 2 * x).status == "correct"
    assert double.judge(lambda x: ...).status == "not attempted"
    assert double.judge(...).status == "not attempted"
    wrong = double.judge(lambda x: x + 1)
    assert wrong.status == "not yet" and "4" in wrong.message and "6" in wrong.message
    assert "None" in double.judge(lambda x: None).message
    assert "type" in double.judge("six").message or "function" in double.judge("six").message


def test_a_learners_exception_is_explained_and_never_raised():
    def broken(x):
        return np.zeros((2, 3)) @ np.zeros((2, 3))

    verdict = double.judge(broken)
    assert verdict.status == "error"
    assert "ValueError" in verdict.message and "shapes" in verdict.message

    def endless(x):
        return endless(x)

    assert "without end" in double.judge(endless).message


def test_nothing_an_answer_is_can_pass_by_being_odd():
    class EqualToAll(float):
        def __eq__(self, other):
            return True

        __hash__ = float.__hash__

    assert double.judge(lambda x: EqualToAll(1.0)).status == "not yet"
    assert double.judge(lambda x: float("nan")).status == "not yet"
    assert double.judge(lambda x: np.ma.masked).status != "correct"


def test_shapes_are_named():
    with pytest.raises(NotYet, match=r"shape \(3,\).*\(any, 2\)"):
        as_array(np.zeros(3), "points", shape=(None, 2))
    with pytest.raises(NotYet, match=r"w\[1\] is 5 here; it should be 2 \(1 of 3"):
        close([1, 5, 3], [1, 2, 3], "w")


def test_several_results_are_unpacked_or_named():
    assert several([1, 2], "the loss", "the gradient") == (1, 2)
    for value, said in ((None, "return` missing"), (1.5, "a single float"), ((1, 2, 3), "3 results")):
        with pytest.raises(NotYet, match=said) as caught:
            several(value, "the loss", "the gradient")
        assert "2, in this order: the loss, the gradient" in str(caught.value)
    for value in (..., (..., ...), (1.5, ...)):
        with pytest.raises(NotAttempted):
            several(value, "the loss", "the gradient")


def test_showing(capsys):
    double(lambda x: 2 * x)
    double.hint()
    double.hint()
    double.hint()
    double.solution()
    told = capsys.readouterr().out
    assert "Correct" in told
    assert told.index("Hint 1 of 2") < told.index("Hint 2 of 2") < told.rindex("Hint 1 of 2")
    assert "def double(x):" in told and "return 2 * x" in told


def test_a_message_cannot_carry_html(monkeypatch):
    shown = []
    monkeypatch.setattr("course_utils._display.show", shown.append)

    def broken(x):
        raise ValueError("<script>alert(1)</script>")

    double(broken)
    assert "<script>" not in shown[0]["text/html"] and "&lt;script&gt;" in shown[0]["text/html"]


def test_progress_is_kept_and_stubs_are_not(home):
    double(lambda x: ...)
    assert not (home / "progress.jsonl").exists()
    double(lambda x: x)
    double(lambda x: 2 * x)
    kept = list(_progress.entries())
    assert [e["correct"] for e in kept] == [False, True]
    assert {e["item"] for e in kept} == {"double"}


def test_a_damaged_progress_file_loses_only_its_bad_lines(home):
    home.mkdir()
    good = json.dumps({"lesson": "perceptron", "item": "a", "kind": "exercise", "correct": True})
    (home / "progress.jsonl").write_bytes(
        good.encode() + b"\n{cut off\n\xff\xfe\n[1]\n" + good.encode() + b"\n"
    )
    assert len(list(_progress.entries())) == 2


def test_an_unwritable_folder_warns_once_and_stops_nothing(home, capsys, monkeypatch):
    monkeypatch.setattr(_progress, "_warned", False)
    home.write_text("a file where the folder should be")
    double(lambda x: 2 * x)
    double(lambda x: 2 * x)
    told = capsys.readouterr()
    assert told.err.count("not being saved") == 1 and "COURSE_HOME" in told.err
    assert told.out.count("Correct") == 2


def test_progress_can_be_switched_off(home, monkeypatch):
    monkeypatch.setenv("COURSE_PROGRESS", "off")
    double(lambda x: 2 * x)
    assert not home.exists()


def test_progress_table_counts_the_last_answer(home):
    for correct in (False, True):
        _progress.note("perceptron", "update_rule", "exercise", correct)
    (row,) = [r for r in _progress.table() if r["lesson"] == "perceptron"]
    assert (row["exercises_tried"], row["exercises_right"]) == (1, 1)
    assert row["exercises"] >= 3 and row["questions"] >= 7


def test_an_exercise_needs_hints_and_a_source():
    with pytest.raises(ValueError, match="two hints"):
        exercise("x.y", solution=_double_solution, hints=["one"])
    with pytest.raises(ValueError, match="source"):
        exercise("x.y", solution=42, hints=["one", "two"])
