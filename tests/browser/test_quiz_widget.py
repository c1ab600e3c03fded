"""The quiz: its file is validated in one sentence, it answers by mouse and keyboard, and progress is kept."""

from __future__ import annotations

import copy

import pytest

from course_utils.checks import _progress
from course_utils.explorables import PerceptronBoard, quiz as quiz_module
from course_utils.explorables.quiz import Quiz, QuizError, load, quiz, validate

VIEW = "application/vnd.jupyter.widget-view+json"
QUESTIONS = [
    {
        "question": "What does `w·x + b` say about <i>x</i>?",
        "outcome": "perceptron.score",
        "choices": [
            {"text": "On which side of the line it lies.", "correct": True, "why": "Its sign is the side."},
            {"text": "Its distance from the line.", "why": "Only after dividing by the length of `w`."},
            {"text": "Its class <script>window.bad = 1</script>", "why": "The class is given, not computed."},
        ],
    },
    {
        "question": "Which can one perceptron compute?",
        "outcome": "perceptron.limits",
        "choices": [
            {"text": "XOR", "why": "No line separates it."},
            {"text": "AND", "correct": True, "why": "x₁ + x₂ = 1.5 separates it."},
        ],
    },
]


def spoiled(change):
    questions = copy.deepcopy(QUESTIONS)
    change(questions)
    return questions


@pytest.mark.parametrize(
    ("change", "fragment"),
    [
        (lambda q: q.clear(), "at least one question"),
        (lambda q: q[0].pop("question"), "question 1 has no `question`"),
        (lambda q: q[1].pop("outcome"), "question 2 has no `outcome`"),
        (lambda q: q[1].update(outcome=" "), "empty `outcome`"),
        (lambda q: q[0].update(choices=[]), "at least two"),
        (lambda q: q[0]["choices"][1].pop("why"), "choice 2 has no `why`"),
        (lambda q: q[0]["choices"][1].update(text=True), "put it in quotes"),
        (lambda q: q[0]["choices"][1].update(correct="yes"), "must be true or false"),
        (lambda q: q[0]["choices"][0].pop("correct"), "has 0 correct choices"),
        (lambda q: q[0]["choices"][1].update(correct=True), "has 2 correct choices"),
        (
            lambda q: q[0]["choices"][1].update(text="On which side of the line it lies."),
            "the same choice twice",
        ),
        (lambda q: q[0].update(answers=[]), "unknown key `answers`"),
        (lambda q: q.__setitem__(0, "What?"), "must be a mapping"),
    ],
)
def test_a_malformed_quiz_is_named_in_one_sentence(change, fragment):
    with pytest.raises(QuizError) as error:
        validate(spoiled(change), "x.yaml, quiz")
    assert fragment in str(error.value)
    assert "\n" not in str(error.value)


@pytest.fixture
def checks_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(quiz_module.resources, "files", lambda package: tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("text", "fragment"),
    [
        ("quiz: [", "not valid YAML at line"),
        ("- question: x", "must hold sections"),
        ("recall: []", "has no section 'quiz'; it has recall"),
        ("quiz: []", "at least one question"),
    ],
)
def test_a_malformed_file_is_named(checks_folder, text, fragment):
    (checks_folder / "demo.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(QuizError, match=r"demo\.yaml") as error:
        load("demo")
    assert fragment in str(error.value)


def test_an_unknown_lesson_names_the_known_ones(checks_folder):
    (checks_folder / "demo.yaml").write_text("quiz: []", encoding="utf-8")
    with pytest.raises(QuizError, match="no quiz for 'other'; there are quizzes for demo"):
        load("other")


def test_choices_are_mixed_the_same_way_every_time(monkeypatch):
    choices = [{"text": str(i), "why": "w", **({"correct": True} if i == 0 else {})} for i in range(4)]
    questions = [{"question": str(n), "outcome": "o", "choices": choices} for n in range(6)]
    questions.append({"question": "kept", "outcome": "o", "choices": choices, "keep_order": True})
    monkeypatch.setattr(quiz_module, "load", lambda lesson, section: questions)
    orders = [[[c["text"] for c in q["choices"]] for q in Quiz.load("x").questions] for _ in range(2)]
    assert orders[0] == orders[1]
    assert orders[0][-1] == ["0", "1", "2", "3"]
    assert len({order.index("0") for order in orders[0]}) > 1, "the right answer should not always be first"


def test_quiz_displays_once_and_returns_nothing(monkeypatch):
    shown = []
    monkeypatch.setattr("IPython.display.display", shown.append)
    monkeypatch.setattr(quiz_module, "load", lambda lesson, section: QUESTIONS)
    assert quiz("perceptron") is None
    assert len(shown) == 1
    assert isinstance(shown[0], Quiz)


def test_the_bundle_holds_view_text_and_a_page_without_scripts():
    data, _ = Quiz(QUESTIONS)._repr_mimebundle_()
    assert set(data) == {VIEW, "text/plain", "text/html"}
    assert "What does" in data["text/plain"]
    page = data["text/html"]
    assert page.count("<details>") == 2
    assert "<code>w·x + b</code>" in page
    assert "<script" not in page and "<i>" not in page


def test_every_answer_is_noted_once(monkeypatch):
    notes = []
    monkeypatch.setattr(_progress, "note", lambda *entry: notes.append(entry))
    widget = Quiz(QUESTIONS, lesson="perceptron", section="recall")
    widget.answered = [[0, 1]]
    widget.answered = [[0, 1], [0, 0]]
    widget.answered = []
    widget.answered = [[1, 1]]
    assert notes == [
        ("perceptron", "recall-1", "quiz", False),
        ("perceptron", "recall-1", "quiz", True),
        ("perceptron", "recall-2", "quiz", True),
    ]


def verdicts(page):
    return [v.text for v in page.all(".cx-verdict")]


def test_mouse_answers_at_once_with_the_reason_of_the_chosen_answer(open_page):
    page = open_page(Quiz(QUESTIONS))
    first, _ = page.all("fieldset")
    inputs, check = page.all("input", first), page.one("button", first)
    page.click(check)
    assert verdicts(page)[0] == "Choose an answer first."
    page.click(inputs[1])
    page.click(check)
    assert verdicts(page) == ["✘ Not right. Only after dividing by the length of w.", ""]
    assert page.get("answered") == [[0, 1]]
    page.click(inputs[0])
    assert verdicts(page)[0] == "", "a new choice takes the old verdict away"
    page.click(check)
    assert verdicts(page)[0] == "✔ Right. Its sign is the side."
    assert page.one(".cx-score p").text == "1 of 2 right, 0 at the first try"
    page.until("return document.querySelector('[role=status]').textContent.startsWith('✔ Right.')")
    page.click(page.button("Start again"))
    assert page.get("answered") == []
    assert verdicts(page) == ["", ""]
    assert page.audit() == []


def test_keyboard_answers(open_page):
    page = open_page(Quiz(QUESTIONS), theme="book-dark")
    page.focus(page.all("input")[0])
    page.keys("\ue00d")  # space selects
    page.keys("\ue015", "\ue015", "\ue015")  # arrows go round
    page.keys("\ue007")  # Enter checks
    assert page.get("answered") == [[0, 0]]
    page.keys(
        "\ue004", "\ue004", "\ue00d", "\ue015", "\ue004", "\ue00d"
    )  # to the next question, then its button
    assert page.get("answered") == [[0, 0], [1, 1]]
    assert page.one(".cx-score p").text == "2 of 2 right, 2 at the first try"


def test_text_is_text_and_backticks_are_code(open_page):
    page = open_page(Quiz(QUESTIONS))
    assert page.js("return window.bad") is None
    legend = page.all("legend")[0]
    assert legend.text == "1. What does w·x + b say about <i>x</i>?"
    assert [c.text for c in page.all("code", legend)] == ["w·x + b"]
    assert page.all("legend i") == []


def test_two_quizzes_do_not_share_their_buttons(open_page):
    page = open_page(Quiz(QUESTIONS), Quiz(QUESTIONS, section="recall"), width=360)
    for root in page.all(".cx"):
        page.click(page.all("input", root)[1])
    assert page.js("return [...document.querySelectorAll('input:checked')].length") == 2
    assert page.audit() == []


@pytest.mark.parametrize("order", [1, -1])
def test_the_order_of_styles_on_a_page_does_not_matter(open_page, order):
    page = open_page(*[Quiz(QUESTIONS), PerceptronBoard()][::order])
    main = "getComputedStyle(document.querySelector(arguments[0] + ' .cx-main'))"
    assert page.js(f"return {main}.display", ".cx-quiz") == "block"
    assert page.js(f"return {main}.gridTemplateColumns.split(' ').length", ".cx-perceptron") == 2
    assert (
        page.js("return getComputedStyle(document.querySelector('.cx-perceptron .cx-panel')).gridRowStart")
        == "1"
    )


def test_answers_given_before_are_shown_again_and_everything_is_cleaned_up(open_page):
    widget = Quiz(QUESTIONS)
    widget.answered = [[1, 0], [1, 1]]
    page = open_page(widget)
    assert verdicts(page)[1] == "✔ Right. x₁ + x₂ = 1.5 separates it."
    page.set("answered", [[0, 1]])  # from another view
    assert verdicts(page) == ["✘ Not right. Only after dividing by the length of w.", ""]
    page.js("host.disposers[0]()")
    assert page.all(".cx") == []
    assert page.js("return Object.values(host.models[0].handlers).flat().length") == 0
