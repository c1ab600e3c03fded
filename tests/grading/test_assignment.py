"""Reading an assignment, releasing it as nbgrader does, and taking answers out of any submission."""

import copy
import json
import os
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

from course_utils.grading import assignment
from course_utils.grading.assignment import rebuild, released_notebook
from course_utils.grading.errors import GradingError, Refused

STEP = """def step(x):
    '''One where x is positive, else zero.'''
    ### BEGIN SOLUTION
    return int(x > 0)
    ### END SOLUTION"""
STEP_STUB = """def step(x):
    '''One where x is positive, else zero.'''
    # YOUR CODE HERE
    raise NotImplementedError()"""
RATE = "### BEGIN SOLUTION\nrate, (low, high) = 0.1, (0, 1)\n### END SOLUTION"
TEST = "assert step(2) == 1, 'positive'\n### BEGIN HIDDEN TESTS\nassert step(-2) == 0\n### END HIDDEN TESTS"
WHY = "Because a step has no slope.\n\nRubric: the slope is named."


def cell(cell_id, source, kind="code", **nbgrader):
    made = {"cell_type": kind, "id": cell_id, "metadata": {}, "source": source}
    if kind == "code":
        made |= {"execution_count": None, "outputs": []}
    if nbgrader:
        flags = {"grade": False, "solution": False, "locked": False, "task": False} | nbgrader
        made["metadata"]["nbgrader"] = {"grade_id": cell_id, "schema_version": 3} | flags
    return made


def notebook(*cells):
    language = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
    language["language_info"] = {"name": "python"}
    return {"cells": list(cells), "metadata": language, "nbformat": 4, "nbformat_minor": 5}


def small():
    demo = cell("try-step", "print(step(1))", locked=True)
    demo["metadata"]["tags"] = ["demo"]
    return notebook(
        cell("title", "# A step", "markdown"),
        cell("imports", "import numpy as np", locked=True),
        cell("step", STEP, solution=True),
        cell("rate", RATE, solution=True),
        demo,
        cell("step-test", TEST, grade=True, locked=True, points=2),
        cell("why", WHY, "markdown", grade=True, solution=True, points=1.5),
    )


def write(folder, content, name="ps0"):
    path = folder / "source" / name / f"{name}.ipynb"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def ps0(tmp_path_factory):
    return assignment.read(write(tmp_path_factory.mktemp("course"), small()))


@pytest.fixture
def submitted(ps0):
    """The released notebook as a dict, both code answers filled in."""
    content = released_notebook(ps0)
    at(content, "step")["source"] = "def step(x):\n    return 1"
    at(content, "rate")["source"] = ["rate = 0.5\n", "low, high = 0, 1"]
    return content


def at(content, cell_id):
    return next(each for each in content["cells"] if each["id"] == cell_id)


# --- reading and releasing


def test_the_cells_say_what_they_are_for(ps0):
    assert [(each.id, each.role) for each in ps0.cells] == [
        ("title", "text"),
        ("imports", "given"),
        ("step", "solution"),
        ("rate", "solution"),
        ("try-step", "demo"),
        ("step-test", "test"),
        ("why", "written"),
    ]
    assert ps0.id == "ps0"
    assert ps0.max_points == 3.5
    assert ps0.cell("step").released == STEP_STUB
    assert ps0.cell("step").defines == ("step",)
    assert ps0.cell("rate").released == "# YOUR CODE HERE\nraise NotImplementedError()"
    assert ps0.cell("rate").defines == ("rate", "low", "high")
    assert "HIDDEN" not in ps0.cell("step-test").released
    assert "HIDDEN" in ps0.cell("step-test").source
    assert ps0.cell("why").released == "YOUR ANSWER HERE"


def test_the_released_notebook_is_nbgraders(ps0, tmp_path, monkeypatch):
    from nbgrader.apps.api import NbGraderAPI
    from traitlets.config import Config

    # the gradebook calls `alembic` by name
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    write(tmp_path, small())
    config = Config()
    config.CourseDirectory.root = str(tmp_path)
    config.CourseDirectory.course_id = "course"
    api = NbGraderAPI(config=config)
    assert api.generate_assignment("ps0")["success"]
    written = json.loads((tmp_path / "release" / "ps0" / "ps0.ipynb").read_text(encoding="utf-8"))
    for each in written["cells"]:
        each["source"] = "".join(each["source"])
    assert released_notebook(ps0) == written
    assert [each.metadata for each in ps0.cells] == [each["metadata"] for each in written["cells"]]


def test_the_configuration_of_the_course_decides_about_stubs(tmp_path):
    from traitlets.config import Config

    config = Config()
    config.ClearSolutions.code_stub = {"python": "..."}
    found = assignment.read(write(tmp_path, small()), config)
    assert found.cell("rate").released == "..."


def test_the_digest_changes_with_what_decides_about_marks_only(ps0, tmp_path):
    same = small()
    same["metadata"]["authors"] = [{"name": "x"}]
    at(same, "step")["metadata"]["tags"] = ["x"]
    digests = {assignment.read(write(tmp_path, same)).digest}
    assert digests == {ps0.digest}
    for change in ({"source": TEST + "\n"}, {"points": 3}):
        other = small()
        if "points" in change:
            at(other, "step-test")["metadata"]["nbgrader"] |= change
        else:
            at(other, "step-test").update(change)
        digests.add(assignment.read(write(tmp_path, other)).digest)
    assert len(digests) == 3


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("%matplotlib inline\n!ls\nfiles = !ls\nx = 1", ("files", "x")),
        ("async def f(): y = 1\nclass A:\n    z = 2\nimport os\nfrom math import pi", ("f", "A")),
        ("a, *b = [1, 2]\nc: int = 1\nd: int\ne += 1\nw[0] = 1\no.p = 2", ("a", "b", "c", "e")),
        ("for i in range(3):\n    total = i\nwith open('x') as g:\n    text = 1", ("total", "text")),
        (
            "if True:\n    def f(): pass\nelse:\n    f = None\ntry:\n    h = 1\nexcept OSError:\n    k = 2",
            ("f", "h", "k"),
        ),
        ("_ = 1\n[q for q in ()]\nprint(r := 1)", ()),
    ],
)
def test_names_that_a_solution_binds(tmp_path, source, names):
    content = small()
    at(content, "rate")["source"] = source
    assert assignment.read(write(tmp_path, content)).cell("rate").defines == names


def broken(change):
    content = small()
    change(content)
    return content


def metadata(cell_id, **changes):
    return broken(lambda content: at(content, cell_id)["metadata"]["nbgrader"].update(changes))


def source(cell_id, text):
    return broken(lambda content: at(content, cell_id).update(source=text))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("no JSON", "not a readable notebook"),
        ("[" * 100_000, "not a readable notebook"),
        ([1], "format 4.5"),
        ({"nbformat": 3, "worksheets": []}, "format 4.5"),
        ({"nbformat": 4, "nbformat_minor": "5"}, "format 4.5"),
        ({"nbformat": 4, "nbformat_minor": 5, "cells": 3}, "not a valid notebook"),
        (metadata("step", grade_id="stepp"), "cell `step` has the grade_id 'stepp'"),
        (broken(lambda content: at(content, "rate").update(id="step")), "two cells have the id `step`"),
        (broken(lambda content: at(content, "title").pop("id")), "cell number 1 has no id"),
        (
            broken(lambda content: at(content, "rate")["metadata"].update(nbgrader=3)),
            "of `rate` are not readable",
        ),
        (broken(lambda content: at(content, "title").update(cell_type="raw")), "`title` is raw"),
        (
            broken(lambda content: at(content, "imports").update(metadata={})),
            "neither read-only nor a solution",
        ),
        (metadata("why", task=True, solution=False, grade=False), "manually graded task"),
        (metadata("why", grade=False), "`why` is Markdown"),
        (metadata("step", grade=True, points=1), "`step` is code graded by hand"),
        (metadata("step-test", points=-1), "`step-test` needs points"),
        (metadata("step-test", points=True), "`step-test` needs points"),
        (metadata("step", schema_version=2), "nbgrader update"),
        (metadata("step", colour="red"), "not valid"),
        (source("step", "def step(x:\n    pass"), "`step` has a syntax error in line 1"),
        (source("step-test", "assert (\n"), "`step-test` has a syntax error"),
        (source("rate", "def step(): pass"), "`step` is defined in `step` and in `rate`"),
        (source("step", "### BEGIN SOLUTION\nx = 1"), "no end solution"),
        (source("imports", "### BEGIN SOLUTION\nx = 1\n### END SOLUTION"), "non-solution cell"),
        (source("imports", "### BEGIN HIDDEN TESTS\nx = 1\n### END HIDDEN TESTS"), "non-grade cell"),
        (source("step-test", "### AUTOTEST step(1)"), "AUTOTEST"),
        (broken(lambda content: content["cells"].insert(0, content["cells"].pop(5))), "before any solution"),
    ],
)
def test_an_assignment_that_cannot_be_graded_is_refused_with_a_sentence(tmp_path, content, says):
    with pytest.raises(GradingError) as caught:
        assignment.read(write(tmp_path, content))
    assert says in str(caught.value)
    assert "ps0" in str(caught.value)


def test_an_assignment_is_one_notebook_named_as_its_folder(tmp_path):
    path = write(tmp_path, small())
    with pytest.raises(GradingError, match="There is no notebook"):
        assignment.read(path.with_name("other.ipynb"))
    (path.parent / "extra.ipynb").write_text("{}")
    with pytest.raises(GradingError, match=r"there is extra\.ipynb"):
        assignment.read(path)
    renamed = path.parent / "extra.ipynb"
    path.rename(renamed)
    with pytest.raises(GradingError, match=r"named as its folder: ps0\.ipynb"):
        assignment.read(renamed)


# --- rebuilding


def test_an_untouched_notebook_answers_nothing_and_needs_no_note(ps0):
    content = released_notebook(ps0)
    at(content, "step")["source"] = STEP_STUB.replace("    #", "      #") + "\n\n"
    rebuilt = rebuild(ps0, content)
    assert rebuilt.answered == {"step": False, "rate": False, "why": False}
    assert set(rebuilt.sources) == {"step", "rate", "why"}
    assert rebuilt.sources["rate"] == ps0.cell("rate").released
    assert rebuilt.notes == []


def test_answers_are_taken_and_nothing_else(ps0, submitted):
    at(submitted, "why")["source"] = "Because."
    for each in submitted["cells"]:
        each["metadata"]["tags"] = ["skip-execution"]
        each["attachments"] = {"x": {}}
    rebuilt = rebuild(ps0, submitted)
    assert rebuilt.sources == {
        "step": "def step(x):\n    return 1",
        "rate": "rate = 0.5\nlow, high = 0, 1",
        "why": "Because.",
    }
    assert rebuilt.answered == {"step": True, "rate": True, "why": True}
    assert rebuilt.notes == []


def test_position_and_either_id_are_enough(ps0, submitted):
    expected = rebuild(ps0, submitted).sources
    submitted["cells"].reverse()
    only_metadata = copy.deepcopy(submitted)
    for each in only_metadata["cells"]:
        each["id"] = "a" + each["id"]
    only_ids = copy.deepcopy(submitted)
    for each in only_ids["cells"]:
        each["metadata"] = {}
    as_in_colab = copy.deepcopy(submitted)
    for each in as_in_colab["cells"]:
        each["metadata"] = {"id": each.pop("id")}
    wrong_metadata = copy.deepcopy(submitted)
    for each in wrong_metadata["cells"]:
        each["metadata"]["nbgrader"] = {"grade_id": "of-another-course"}
    for content in (submitted, only_metadata, only_ids, as_in_colab, wrong_metadata):
        rebuilt = rebuild(ps0, content)
        assert rebuilt.sources == expected
        assert rebuilt.notes == []


def test_the_grade_id_goes_before_the_cell_id(ps0, submitted):
    submitted["cells"] = [at(submitted, "step")]
    submitted["cells"][0]["id"] = "rate"
    rebuilt = rebuild(ps0, submitted)
    assert rebuilt.answered == {"step": True, "rate": False, "why": False}


def test_a_split_cell_is_put_together(ps0, submitted):
    first = copy.deepcopy(at(submitted, "step"))
    first |= {"id": "new", "source": "def helper(x):\n    return 1"}
    at(submitted, "step")["source"] = "def step(x):\n    return helper(x)"
    submitted["cells"].insert(0, first)
    rebuilt = rebuild(ps0, submitted)
    assert rebuilt.sources["step"].startswith("def helper")
    assert rebuilt.sources["step"].endswith("helper(x)")
    assert rebuilt.notes == [
        "Cell `step` stands 2 times in the notebook; its versions were joined in their order."
    ]


@pytest.mark.parametrize("kept", ["stub", "same", "blank", "Markdown"])
def test_a_copy_that_says_nothing_new_does_no_harm(ps0, submitted, kept):
    spare = copy.deepcopy(at(submitted, "step")) | {"id": "new"}
    spare["source"] = {"stub": STEP_STUB, "same": spare["source"], "blank": " ", "Markdown": "x = 1"}[kept]
    if kept == "Markdown":
        spare["cell_type"] = "markdown"
    submitted["cells"].insert(0, spare)
    rebuilt = rebuild(ps0, submitted)
    assert rebuilt.sources["step"] == "def step(x):\n    return 1"
    assert rebuilt.notes == ["Cell `step` stands 2 times in the notebook; the one filled in counts."]


def test_a_changed_cell_type_is_no_reason_to_lose_an_answer(ps0, submitted):
    at(submitted, "step")["cell_type"] = "markdown"
    at(submitted, "why").update(cell_type="raw", source="Because.")
    rebuilt = rebuild(ps0, submitted)
    assert rebuilt.answered == {"step": True, "rate": True, "why": True}
    assert rebuilt.notes == [
        "Cell `step` was not a code cell any more; it was taken as one.",
        "Cell `why` was not a markdown cell any more; it was taken as one.",
    ]


def test_what_is_missing_or_unreadable_is_the_stub_with_a_note(ps0, submitted):
    at(submitted, "step")["source"] = {"not": "text"}
    submitted["cells"].remove(at(submitted, "rate"))
    at(submitted, "why")["source"] = ""
    rebuilt = rebuild(ps0, submitted)
    assert rebuilt.sources == {"step": STEP_STUB, "rate": ps0.cell("rate").released, "why": ""}
    assert rebuilt.answered == {"step": False, "rate": False, "why": False}
    assert rebuilt.notes == [
        "Cell `step` has no readable content; it counts as not answered.",
        "Cell `rate` is missing; it counts as not answered.",
    ]


def test_changes_elsewhere_and_own_cells_are_noted_and_left_out(ps0, submitted):
    at(submitted, "step-test")["source"] = "assert True"
    at(submitted, "imports")["source"] = "import  numpy as np\n"  # white space only
    tried = copy.deepcopy(at(submitted, "try-step")) | {"id": "new", "source": "print(step(3))"}
    submitted["cells"] += [cell("mine", "def helper(): pass"), cell("empty", " "), tried]
    rebuilt = rebuild(ps0, submitted)
    assert rebuilt.notes == [
        "Changes in `step-test` were left out: only answers are taken.",
        "2 added cells were left out: helpers belong in the solution cells, written answers in the cells for them.",
    ]
    assert "helper" not in json.dumps(rebuilt.sources)


def test_a_note_names_five_cells_at_most(tmp_path):
    texts = [cell(f"text-{n}", "a text", "markdown") for n in range(7)]
    ps0 = assignment.read(write(tmp_path, notebook(*texts)))
    content = released_notebook(ps0)
    for each in content["cells"]:
        each["source"] = "my answer"
    assert "`text-4` and 2 more were" in rebuild(ps0, content).notes[0]


def test_an_endless_answer_is_refused(ps0, submitted):
    at(submitted, "step")["source"] = ["x" * 1000] * 201
    with pytest.raises(Refused) as caught:
        rebuild(ps0, submitted)
    assert "`step`" in caught.value.teacher
    assert "201,000" in caught.value.student
    at(submitted, "step")["source"] = STEP
    at(submitted, "step-test")["source"] = "x" * 300_000
    rebuild(ps0, submitted)


def test_text_that_cannot_be_written_is_replaced(ps0, submitted):
    at(submitted, "step")["source"] = "x = '\x00\ud800'\r\ny = '\U0001f600'\r"
    rebuilt = rebuild(ps0, submitted)
    assert rebuilt.sources["step"] == "x = '\ufffd\ufffd'\ny = '\U0001f600'\n"
    assert rebuilt.notes == ["Characters that no text may hold were replaced in `step`."]


IDS = st.sampled_from(["step", "rate", "why", "step-test", "imports", "x", ""])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=8) | IDS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=8,
)
CELLS = st.fixed_dictionaries(
    {},
    optional={
        "id": IDS | JSON,
        "cell_type": st.sampled_from(["code", "markdown", "raw"]) | JSON,
        "metadata": st.fixed_dictionaries(
            {},
            optional={
                "nbgrader": st.fixed_dictionaries({}, optional={"grade_id": IDS | JSON}) | JSON,
                "id": JSON,
            },
        )
        | JSON,
        "source": st.lists(st.text(), max_size=3) | JSON,
    },
)


@settings(max_examples=150, deadline=None)
@given(cells=st.lists(CELLS | JSON, max_size=12) | JSON)
def test_any_json_gives_writable_answers(ps0, cells):
    rebuilt = rebuild(ps0, {"cells": cells})
    assert list(rebuilt.sources) == list(rebuilt.answered) == ["step", "rate", "why"]
    json.dumps([rebuilt.sources, rebuilt.notes], ensure_ascii=False).encode("utf-8")
    for cell_id, was_answered in rebuilt.answered.items():
        assert was_answered == bool(
            rebuilt.sources[cell_id].strip()
            and rebuilt.sources[cell_id].split() != ps0.cell(cell_id).released.split()
        )
