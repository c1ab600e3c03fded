"""Every exercise of every lesson: its solution passes, its stub is not attempted, wrong answers are named."""

from __future__ import annotations

import importlib
import pkgutil

import pytest

import course_utils.checks
from course_utils.checks._engine import Exercise

LESSONS = [m.name for m in pkgutil.iter_modules(course_utils.checks.__path__) if not m.name.startswith("_")]


def exercises() -> list[tuple[str, Exercise]]:
    found = []
    for lesson in LESSONS:
        module = importlib.import_module(f"course_utils.checks.{lesson}")
        found += [(lesson, value) for value in vars(module).values() if isinstance(value, Exercise)]
    return found


def case_of(lesson: str, exercise: Exercise):
    cases = importlib.import_module(f"tests.checks.test_{lesson}").CASES
    assert exercise.name in cases, f"tests/checks/test_{lesson}.py has no case for {exercise.name}"
    return cases[exercise.name]


def judge(exercise: Exercise, answer, star: bool):
    return exercise.judge(*answer) if star else exercise.judge(answer)


each = pytest.mark.parametrize(
    ("lesson", "exercise"), exercises(), ids=lambda v: v if isinstance(v, str) else v.name
)


@each
def test_solution_is_correct_and_shown(lesson, exercise):
    star = case_of(lesson, exercise).star
    verdict = judge(exercise, exercise.reference, star)
    assert verdict.status == "correct", verdict.message
    assert "..." not in exercise.solution_source()


@each
def test_stub_is_not_attempted(lesson, exercise):
    case = case_of(lesson, exercise)
    assert judge(exercise, case.stub, case.star).status == "not attempted"


@each
def test_wrong_answers_are_named(lesson, exercise):
    case = case_of(lesson, exercise)
    assert len(case.wrong) >= 2, "at least two wrong answers belong to every exercise"
    messages = []
    for answer, fragment in case.wrong:
        verdict = judge(exercise, answer, case.star)
        assert verdict.status == "not yet", f"{answer!r} was judged {verdict.status}: {verdict.message}"
        assert fragment.lower() in verdict.message.lower(), verdict.message
        messages.append(verdict.message)
    assert len(set(messages)) > 1, "different misconceptions should get different messages"


@each
def test_a_raising_answer_is_explained(lesson, exercise):
    def raising(*args, **kwargs):
        raise ZeroDivisionError("division by zero")

    case = case_of(lesson, exercise)
    if callable(exercise.reference):
        verdict = judge(exercise, raising, case.star)
        assert verdict.status == "error"
        assert "ZeroDivisionError" in verdict.message


@each
def test_hints_lead_without_giving_the_solution(lesson, exercise):
    assert len(exercise.hints) >= 2
    body = exercise.solution_source().strip()
    assert all(body not in hint for hint in exercise.hints)
