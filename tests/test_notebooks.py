"""What every lesson keeps: form, anatomy, links, outcomes, voice, and pictures that can be heard."""

from __future__ import annotations

import ast
import importlib
import re
from pathlib import Path
from urllib.parse import unquote

import pytest
import yaml

from course_utils.checks._engine import Exercise
from course_utils.lessons import form
from course_utils.lessons.catalogue import Lesson, lessons

ROOT = Path(__file__).resolve().parents[1]
LESSONS = lessons()
HEADINGS = [
    "What you will be able to do", "Recall", "The idea", "The mathematics", "From scratch", "In Keras", "On data",
    "Break it", "Exercises", "Quiz", "Summary", "At scale", "Where next",
]  # fmt: skip
MAY_LACK = {
    # why: what the lesson is about leaves nothing to say there
    "00_start_here": {"In Keras"},  # comes before any network
    "01_perceptron": {
        "In Keras"
    },  # Keras has no perceptron; the section "In a library" holds it to scikit-learn's
}
FILLER = re.compile(
    r"\b(simply|of course|needless to say|it is important to note|in this section|powerful|crucial|delve|dive into)\b"
    r"|(?<![!\[])!(?![\[=])(?=\s|$)",
    re.IGNORECASE,
)

each = pytest.mark.parametrize("lesson", LESSONS, ids=lambda lesson: lesson.id)


def markdown(lesson: Lesson) -> list[tuple[str, str]]:
    return [(cell.id, cell.source) for cell in lesson.notebook.cells if cell.cell_type == "markdown"]


def code(lesson: Lesson) -> list[tuple[str, str]]:
    return [(cell.id, cell.source) for cell in lesson.notebook.cells if cell.cell_type == "code"]


def without_magics(source: str) -> str:
    return "\n".join(re.sub(r"^(\s*)[%!].*", r"\1pass", line) for line in source.split("\n"))


def test_there_are_lessons_with_unique_numbers():
    assert LESSONS
    assert len({lesson.number for lesson in LESSONS}) == len(LESSONS)


@each
def test_form(lesson):
    assert lesson.path.read_text(encoding="utf-8") == form.formatted(lesson), "run `python course.py format`"


@each
def test_anatomy(lesson):
    found = re.findall(r"^## (.+)$", "\n".join(source for _, source in markdown(lesson)), re.MULTILINE)
    known = [heading for heading in found if heading in HEADINGS]
    assert known == [h for h in HEADINGS if h in known], "the sections stand in the course's order"
    assert set(HEADINGS) - set(known) <= MAY_LACK.get(lesson.id, set())
    title = lesson.notebook.cells[0].source
    assert title.startswith(f"# {lesson.number} · ")
    assert re.search(r"\*\*Phase \d · .+\*\* · \d+ minutes · runs in about \d+ s · ", title), (
        "the line under the title"
    )


@each
def test_size(lesson):
    assert 20 <= len(lesson.notebook.cells) <= 90
    words = len(re.findall(r"\w+", "\n".join(source for _, source in markdown(lesson))))
    assert words >= 1200, f"{words} words of prose"


@each
def test_code_cells_parse_and_stay_short(lesson):
    for cell_id, source in code(lesson):
        ast.parse(without_magics(source))
        assert len(source.splitlines()) <= 45, f"{cell_id} is too long for one idea"


@each
def test_no_filler(lesson):
    for cell_id, source in markdown(lesson):
        plain = re.sub(r"`[^`]*`|\$\$.*?\$\$|\$[^$]*\$", "", source, flags=re.DOTALL)
        found = FILLER.search(plain)
        assert not found, f"{cell_id}: {plain[max(0, found.start() - 40) : found.end() + 20]!r}"


@each
def test_every_figure_is_shown_with_alt_text(lesson):
    for cell_id, source in code(lesson):
        assert "plt.show(" not in source, f"{cell_id}: plot.show(fig, alt=...) shows figures"
        for node in ast.walk(ast.parse(without_magics(source))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "plot.show":
                assert len(node.args) + len(node.keywords) == 2, f"{cell_id}: a figure without alt text"


@each
def test_links_lead_somewhere(lesson):
    for cell_id, source in markdown(lesson):
        for target in re.findall(r"\]\(([^)\s]+)\)", source):
            if re.match(r"https?://", target):
                continue
            path = (lesson.path.parent / target.partition("#")[0]).resolve()
            assert path.exists(), f"{cell_id}: {target} is not there"
        assert not re.search(r"\[(here|this|link|click here)\]\(", source, re.IGNORECASE), (
            f"{cell_id}: say where a link goes"
        )


@each
def test_outcomes_are_exercised(lesson):
    outcomes = set(lesson.outcomes)
    assert 3 <= len(outcomes) <= 6
    module = importlib.import_module(f"course_utils.checks.{lesson.key}")
    exercises = [value for value in vars(module).values() if isinstance(value, Exercise)]
    assert len(exercises) >= 3
    quiz = yaml.safe_load(Path(module.__file__).with_suffix(".yaml").read_text(encoding="utf-8"))
    assert 4 <= len(quiz["quiz"]) <= 6 and len(quiz["recall"]) == 3
    used = {exercise.outcome for exercise in exercises} | {question["outcome"] for question in quiz["quiz"]}
    assert {exercise.outcome for exercise in exercises} <= outcomes
    assert outcomes <= used, f"never exercised: {outcomes - used}"


@each
def test_every_exercise_is_offered_in_the_notebook(lesson):
    module = importlib.import_module(f"course_utils.checks.{lesson.key}")
    everything = "\n".join(source for _, source in code(lesson))
    for value in vars(module).values():
        if isinstance(value, Exercise):
            assert f"check.{value.name}(" in everything, value.name
            assert (
                f"check.{value.name}.hint()" in everything and f"check.{value.name}.solution()" in everything
            )


@each
def test_references_are_in_the_bibliography(lesson):
    bibliography = (ROOT / "book" / "references.bib").read_text(encoding="utf-8").lower()
    where_next = "\n".join(source for _, source in markdown(lesson)).partition("## Where next")[2]
    dois = re.findall(r"https://doi\.org/(\S+?)\)", where_next)
    assert dois or "https://" in where_next
    for doi in dois:
        assert unquote(doi).lower() in bibliography, f"{doi} is not in references.bib"


@each
def test_nothing_newer_than_colab_and_no_machine_paths(lesson):
    everything = "\n".join(source for _, source in code(lesson))
    assert not re.search(r"(?<![\w.])/(?:work|home|root|Users)/", everything)
    assert "tf.keras" not in everything, "Keras 3 is imported as keras"
    assert "mystnb" not in everything and "{{" not in everything
    for _, source in markdown(lesson):
        assert not re.search(r"^:::|^```\{", source, re.MULTILINE), "directives belong to book/*.md"
