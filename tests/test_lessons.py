"""Every lesson, executed from the top: on the sample data always, on the full data where a mirror is at hand."""

from __future__ import annotations

import os
import re

import pytest

from course_utils.lessons.catalogue import lessons

LESSONS = lessons()
each = pytest.mark.parametrize("lesson", LESSONS, ids=lambda lesson: lesson.id)
needs_mirror = pytest.mark.skipif(
    not os.environ.get("COURSE_DATA_MIRROR"),
    reason="the full data sets: set COURSE_DATA_MIRROR to a mirror of them",
)


def outputs(run):
    for cell in run.notebook.cells:
        for output in cell.get("outputs", []):
            yield cell.id, output


@each
def test_runs_on_sample_data(lesson, lesson_runs):
    run = lesson_runs("sample")[lesson.id]
    assert run.ok, f"cell {run.failed_cell}: {run.error}"


@needs_mirror
@each
def test_runs_on_full_data(lesson, lesson_runs):
    run = lesson_runs("full")[lesson.id]
    assert run.ok, f"cell {run.failed_cell}: {run.error}"


@each
def test_says_nothing_on_stderr(lesson, lesson_runs):
    for cell_id, output in outputs(lesson_runs("sample")[lesson.id]):
        assert not (output.output_type == "stream" and output.name == "stderr"), f"{cell_id}: {output.text}"


@each
def test_every_image_has_alt_text(lesson, lesson_runs):
    from course_utils.lessons.book_extension import STATE_MIME, VIEW_MIME

    run = lesson_runs("sample")[lesson.id]
    models = run.notebook.metadata.get("widgets", {}).get(STATE_MIME, {}).get("state", {})
    for cell_id, output in outputs(run):
        data = output.get("data", {})
        if VIEW_MIME in data:
            model = models[data[VIEW_MIME]["model_id"]]
            if (
                model["model_module"] == "anywidget"
            ):  # controls that need a kernel are shown by what they put out
                assert data.get("text/html"), f"{cell_id}: an interactive figure without a static picture"
        elif "image/png" in data:
            alt = output.metadata.get("image/png", {}).get("alt", "")
            assert len(alt) >= 40, f"{cell_id}: the alt text {alt!r} does not say what the figure shows"


@each
def test_declares_its_results(lesson, lesson_runs):
    if lesson.id == "00_start_here":
        pytest.skip("measures nothing that belongs on the results page")
    results = lesson_runs("sample")[lesson.id].results
    assert 1 <= len(results) <= 4
    assert len({r["name"] for r in results}) == len(results)


@each
def test_stubs_are_not_attempted_and_leave_the_notebook_whole(lesson, lesson_runs):
    """The exercises as a learner finds them: every check answers, none counts the stub as an answer."""
    run = lesson_runs("sample")[lesson.id]
    told = {}
    for cell in run.notebook.cells:
        if cell.cell_type == "code" and re.search(r"^check\.\w+\(", cell.source, re.MULTILINE):
            text = "".join(str(o.get("data", {}).get("text/plain", "")) for o in cell.outputs)
            told[cell.id] = text
    assert told
    untouched = [cell_id for cell_id, text in told.items() if "Not attempted yet" in text]
    assert len(untouched) >= 3, told


def test_digits_on_mnist_reach_their_mark(lesson_runs):
    """The issue's bar: well above 97 % on the real test set."""
    if not os.environ.get("COURSE_DATA_MIRROR"):
        pytest.skip("the full data sets: set COURSE_DATA_MIRROR to a mirror of them")
    results = {r["name"]: r["value"] for r in lesson_runs("full")["10_first_keras_network"].results}
    accuracy = max(value for name, value in results.items() if "test accuracy" in name.lower() and value <= 1)
    assert accuracy > 0.975


def test_the_cnn_on_mnist_reaches_its_mark(lesson_runs):
    """98.5 % on the real test set, which an MLP of the same size does not reach."""
    if not os.environ.get("COURSE_DATA_MIRROR"):
        pytest.skip("the full data sets: set COURSE_DATA_MIRROR to a mirror of them")
    results = {r["name"]: r["value"] for r in lesson_runs("full")["14_cnn_image_classifier"].results}
    assert results["Digits, LeNet-5 in Keras: test accuracy"] > 0.985
