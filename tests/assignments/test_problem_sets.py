"""The problem sets: the reference earns everything, the released form nothing, each known mistake exactly its part."""

from __future__ import annotations

import ast
import re

import pytest

from course_utils.grading import run
from tests.assignments import (
    ps1_answers,
    ps2_answers,
    ps3_answers,
    ps4_answers,
    ps5_answers,
    ps6_answers,
    ps7_answers,
)
from tests.assignments.common import Marker, assignment
from tests.grading.toy import needs_sandbox  # noqa: F401

SETS = {
    module.ASSIGNMENT: module
    for module in (ps1_answers, ps2_answers, ps3_answers, ps4_answers, ps5_answers, ps6_answers, ps7_answers)
}
MISTAKES = [(name, mistake) for name, module in SETS.items() for mistake in module.CASES]
# These go through both sandboxes as well, which takes seconds each.
IN_SANDBOX = [(name, mistake) for name, module in SETS.items() for mistake in module.IN_SANDBOX]


@pytest.fixture(scope="module")
def marker():
    """``marker(name)`` grades without a sandbox. The notebooks set COURSE_DATA; here that is undone."""
    made = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COURSE_DATA", "sample")
        yield lambda name: made.setdefault(name, Marker(name))


@pytest.fixture(scope="module")
def examiner(needs_sandbox):  # noqa: F811
    with run.Examiner() as opened:
        yield opened


def answers(name: str, replaced: dict[str, str]) -> dict[str, str]:
    """Sources of all answer cells: the reference, with these in place of some."""
    cells = [cell for cell in assignment(name).cells if cell.is_answer]
    return {cell.id: cell.source for cell in cells} | replaced


@pytest.mark.parametrize("name", SETS)
def test_tests_share_nothing_but_given_cells(name):
    # Hidden tests run only where the visible ones held, so what another test defines may not be there.
    def loaded(source):
        return {
            node.id
            for node in ast.walk(ast.parse(source))
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)
        }

    def made(source):
        found = set()
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
                found.add(node.name)
            elif isinstance(node, ast.arg):
                found.add(node.arg)
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                found.add(node.id)
        return found

    cells = [cell for cell in assignment(name).cells if cell.role in ("given", "demo", "solution", "test")]
    plain = {cell.id: re.sub(r"(?m)^(\s*)[%!].*$", r"\1pass", cell.source) for cell in cells}
    of_tests = {cell.id: made(plain[cell.id]) for cell in cells if cell.role == "test"}
    others = set().union(*(made(plain[cell.id]) for cell in cells if cell.role != "test"))
    for test, own in of_tests.items():
        elsewhere = set().union(*of_tests.values()) - own - others
        assert not loaded(plain[test]) & elsewhere, f"{test} uses what another test defines"


@pytest.mark.parametrize("name", SETS)
def test_the_reference_earns_every_point(name, marker):
    points, messages = marker(name).marks({})
    assert messages == {}
    assert points == SETS[name].POINTS


@pytest.mark.parametrize(("name", "mistake"), MISTAKES)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_mistake_earns_its_part_and_is_named(name, mistake, marker):
    module = SETS[name]
    replaced, lost, fragment = module.CASES[mistake]
    assert replaced.keys() <= {cell.id for cell in assignment(name).cells if cell.role == "solution"}
    # A slow test is left out where this mistake does not touch it.
    left_out = module.SLOW - lost.keys()
    quick = getattr(module, "QUICK", {}) if left_out else {}
    points, messages = marker(name).marks(quick | replaced, left_out)
    expected = {cell: most for cell, most in module.POINTS.items() if cell not in left_out}
    assert points == expected | lost, messages
    assert any(fragment in message for message in messages.values()), messages


@pytest.mark.parametrize("name", SETS)
def test_in_the_sandbox_the_reference_earns_every_point_in_time(name, examiner):
    result = examiner.grade(run.job(assignment(name), answers(name, {})))
    assert {cell: test["message"] for cell, test in result["tests"].items() if not test["passed"]} == {}
    assert {cell: test["points"] for cell, test in result["tests"].items()} == SETS[name].POINTS
    shown = [output for outputs in result["outputs"].values() for output in outputs]
    assert [output for output in shown if output["output_type"] == "error"] == []
    assert any("image/png" in output.get("data", {}) for output in shown), "its figures are there"
    assert result["trouble"] == ""


@pytest.mark.parametrize("name", SETS)
def test_in_the_sandbox_the_released_form_earns_nothing_and_stops_nothing(name, examiner):
    released = {cell.id: cell.released for cell in assignment(name).cells if cell.is_answer}
    result = examiner.grade(run.job(assignment(name), released))
    assert {test["points"] for test in result["tests"].values()} == {0.0}
    assert result["tests"].keys() == SETS[name].POINTS.keys()
    assert all("Not attempted yet" in test["message"] for test in result["tests"].values())
    assert result["trouble"] == ""


@pytest.mark.parametrize(("name", "mistake"), IN_SANDBOX)
def test_in_the_sandbox_a_mistake_earns_the_same(name, mistake, examiner):
    module = SETS[name]
    replaced, lost, fragment = module.CASES[mistake]
    result = examiner.grade(run.job(assignment(name), answers(name, replaced)))
    assert {cell: test["points"] for cell, test in result["tests"].items()} == module.POINTS | lost
    assert any(fragment in test["message"] for test in result["tests"].values())


@pytest.mark.parametrize("name", SETS)
def test_the_released_form_gives_nothing_away(name):
    for cell in assignment(name).cells:
        assert not re.search(r"###.*(SOLUTION|HIDDEN)", cell.released), cell.id
        if cell.role == "solution":
            assert "NotImplementedError" in cell.released, cell.id
        if cell.role == "test":  # what stays of a test is worth running
            assert "assert" in cell.released, cell.id
        if cell.role == "written":
            assert cell.released == "YOUR ANSWER HERE"


@pytest.mark.parametrize("name", SETS)
def test_headings_name_the_points_and_a_person_grades_one_answer(name):
    announced, found, task = {}, {}, ""
    for cell in assignment(name).cells:
        heading = re.search(r"^## Task (\d+)[^\n]*\((.*?)\)$", cell.released, re.MULTILINE)
        if cell.role == "text" and heading:
            task = heading[1]
            announced[task] = sum(map(int, re.findall(r"\d+", heading[2])))
        elif cell.points:
            found[task] = found.get(task, 0) + cell.points
    assert announced == found
    assert sum(found.values()) == 50
    assert [cell.role for cell in assignment(name).cells].count("written") == 1
