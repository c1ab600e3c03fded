"""Questions with a reason for every choice, from the YAML beside a lesson's checks."""

from __future__ import annotations

import html
import random
from importlib import resources
from typing import Any

import traitlets

from course_utils.explorables._base import GREY, Explorable, svg_document


class QuizError(ValueError):
    """A quiz cannot be shown; the message says in one sentence what is wrong in which file."""


def quiz(lesson: str, section: str = "quiz") -> None:
    """Show the questions of a lesson's section.

    Parameters
    ----------
    lesson : str
        The lesson's key, e.g. ``"perceptron"``: the name of its YAML file in ``course_utils/checks``.
    section : str
        ``"quiz"`` or ``"recall"``.

    Raises
    ------
    QuizError
        If the file or the section is missing or malformed.
    """
    from IPython.display import display

    display(Quiz.load(lesson, section))


class Quiz(Explorable):
    """Multiple-choice questions that answer at once, and say why. See :func:`quiz`.

    ``questions`` holds one mapping per question (``question``, ``outcome`` and ``choices`` with ``text``,
    ``why`` and, for one of them, ``correct: true``); ``answered`` grows by ``[question, choice]`` with
    every answer that is checked. While a kernel runs, each answer is noted in the learner's progress.
    """

    _js = "quiz.js"

    lesson = traitlets.Unicode().tag(sync=True)
    section = traitlets.Unicode().tag(sync=True)
    questions = traitlets.List().tag(sync=True)
    answered = traitlets.List().tag(sync=True)

    def __init__(self, questions: Any, lesson: str = "", section: str = "quiz", **kwargs: Any) -> None:
        super().__init__(
            questions=validate(questions, f"The {section} questions"),
            lesson=lesson,
            section=section,
            **kwargs,
        )
        self._noted = 0
        self.observe(self._note, names="answered")

    @classmethod
    def load(cls, lesson: str, section: str = "quiz") -> Quiz:
        """Read a section of ``course_utils/checks/<lesson>.yaml``; choices come in a fixed mixed order."""
        questions = [dict(item) for item in load(lesson, section)]
        for number, item in enumerate(questions):
            item["choices"] = list(item["choices"])
            if not item.pop("keep_order", False):
                random.Random(f"{lesson}/{section}/{number}").shuffle(item["choices"])
        return cls(questions, lesson=lesson, section=section)

    def _note(self, change: Any) -> None:
        from course_utils.checks import _progress

        answers = change["new"]
        if len(answers) < self._noted:  # started again
            self._noted = 0
        for question, choice in answers[self._noted :]:
            correct = bool(self.questions[question]["choices"][choice].get("correct"))
            _progress.note(self.lesson, f"{self.section}-{question + 1}", "quiz", correct)
        self._noted = len(answers)

    def _heading(self) -> str:
        count = len(self.questions)
        title = {"quiz": "Quiz", "recall": "Recall"}.get(self.section, self.section.capitalize())
        return f"{title}: {count} question{'s' if count > 1 else ''}"

    @property
    def description(self) -> str:
        asked = " ".join(f"{n}. {item['question']}" for n, item in enumerate(self.questions, 1))
        return f"{self._heading()}. {asked}"

    def preview(self) -> str:
        first = html.escape(self.questions[0]["question"])
        head = self._heading()
        return svg_document(
            640,
            60,
            f'<text x="14" y="24" font-weight="700">{head}</text>'
            f'<text x="14" y="45" fill="{GREY}">1. {first}</text>',
        )

    def fallback(self) -> str:
        parts = []
        for item in self.questions:
            choices = "".join(f"<li>{_rich(choice['text'])}</li>" for choice in item["choices"])
            reasons = "".join(
                f"<li><strong>{'Right' if choice.get('correct') else 'Not right'}: "
                f"{_rich(choice['text'])}</strong> {_rich(choice['why'])}</li>"
                for choice in item["choices"]
            )
            parts.append(
                f"<li><p><strong>{_rich(item['question'])}</strong></p><ul>{choices}</ul>"
                f"<details><summary>Answer and reasons</summary><ul>{reasons}</ul></details></li>"
            )
        return f'<div class="quiz-static"><ol>{"".join(parts)}</ol></div>'


def _rich(text: str) -> str:
    parts = html.escape(text).split("`")
    if len(parts) % 2 == 0:
        return html.escape(text)
    return "".join(f"<code>{part}</code>" if i % 2 else part for i, part in enumerate(parts))


def load(lesson: str, section: str = "quiz") -> list[dict[str, Any]]:
    """The validated questions of one section, in the file's order."""
    import yaml

    folder = resources.files("course_utils.checks")
    source = folder.joinpath(f"{lesson}.yaml")
    if not source.is_file():
        have = sorted(
            entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml")
        )
        raise QuizError(
            f"There is no quiz for {lesson!r}; there are quizzes for {', '.join(have) or 'no lesson yet'}."
        )
    try:
        sections = yaml.safe_load(source.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" at line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or "it cannot be read"
        raise QuizError(f"{lesson}.yaml is not valid YAML{where}: {problem}.") from None
    if not isinstance(sections, dict):
        raise QuizError(
            f"{lesson}.yaml must hold sections such as `quiz:` and `recall:` with a list of questions each."
        )
    if section not in sections:
        raise QuizError(
            f"{lesson}.yaml has no section {section!r}; it has {', '.join(map(str, sections)) or 'none'}."
        )
    return validate(sections[section], f"{lesson}.yaml, {section}")


def validate(questions: Any, where: str) -> list[dict[str, Any]]:
    """Return ``questions`` if every one is complete; raise :class:`QuizError` with the first fault."""

    def text(mapping: dict[str, Any], key: str, spot: str) -> None:
        value = mapping.get(key)
        if value is None:
            raise QuizError(f"{spot} has no `{key}`.")
        if not isinstance(value, str):
            raise QuizError(
                f"{spot}: `{key}` is {value!r}, which YAML did not read as text; put it in quotes."
            )
        if not value.strip():
            raise QuizError(f"{spot} has an empty `{key}`.")

    def keys(mapping: Any, known: set[str], spot: str) -> None:
        if not isinstance(mapping, dict):
            raise QuizError(
                f"{spot} must be a mapping with {', '.join(f'`{key}`' for key in sorted(known))}."
            )
        if unknown := sorted(map(str, set(mapping) - known)):
            raise QuizError(f"{spot} has an unknown key `{unknown[0]}`.")

    if not isinstance(questions, list) or not questions:
        raise QuizError(f"{where} must be a list of at least one question.")
    for number, item in enumerate(questions, 1):
        spot = f"{where}, question {number}"
        keys(item, {"question", "outcome", "choices", "keep_order"}, spot)
        text(item, "question", spot)
        text(item, "outcome", spot)
        choices = item.get("choices")
        if not isinstance(choices, list) or len(choices) < 2:
            raise QuizError(f"{spot} needs a list `choices` of at least two.")
        for letter, choice in enumerate(choices, 1):
            place = f"{spot}, choice {letter}"
            keys(choice, {"text", "why", "correct"}, place)
            text(choice, "text", place)
            text(choice, "why", place)
            if not isinstance(choice.get("correct", False), bool):
                raise QuizError(f"{place}: `correct` must be true or false.")
        right = sum(choice.get("correct", False) for choice in choices)
        if right != 1:
            raise QuizError(f"{spot} has {right} correct choices; exactly one must have `correct: true`.")
        if len({choice["text"].strip() for choice in choices}) < len(choices):
            raise QuizError(f"{spot} has the same choice twice.")
    return questions
