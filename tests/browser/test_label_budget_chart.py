"""The label budget chart: its interpolation and its words, its figure in a real browser."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import numpy as np
import pytest

from course_utils.explorables import LabelBudgetChart
from course_utils.explorables.label_budget_chart import at_budget, labels_needed, summary, whole_labels

UP, DOWN, LEFT, RIGHT, HOME, END, PAGE_UP, PAGE_DOWN = (
    "\ue013", "\ue015", "\ue012", "\ue014", "\ue011", "\ue010", "\ue00e", "\ue00f",
)  # fmt: skip
BUDGETS = [5, 10, 20, 40, 80, 160]
RESULTS = {
    "from scratch": [[0.30, 0.34], [0.44, 0.40], [0.52, 0.56], [0.64, 0.68], [0.76, 0.76], [0.84, 0.82]],
    "frozen features": [[0.58, 0.66], [0.70, 0.66], [0.72, 0.72], [0.75, 0.73], [0.74, 0.76], [0.75, 0.77]],
    "fine-tuned": [[0.50, 0.58], [0.66, 0.70], [0.76, 0.78], [0.82, 0.82], [0.85, 0.87], [0.88, 0.90]],
}  # fmt: skip


def chart(**options):
    return LabelBudgetChart(BUDGETS, RESULTS, **options)


# ---- without a browser ----


def test_interpolation_is_straight_over_the_logarithm():
    assert at_budget([10, 100], [0.5, 0.9], 10**1.5) == pytest.approx(0.7)
    assert at_budget([10, 100, 1000], [0.5, 0.9, 1.0], 100) == pytest.approx(0.9)
    assert labels_needed([10, 100], [0.5, 0.9], 0.7) == pytest.approx(10**1.5)
    assert labels_needed([10, 100], [0.5, 0.9], 0.5) == 10 == labels_needed([10, 100], [0.5, 0.9], 0.1)
    assert labels_needed([10, 100], [0.5, 0.9], 0.9) == pytest.approx(100)
    assert labels_needed([10, 100], [0.5, 0.9], 0.91) is None
    # a mean that falls again: where it is reached first
    assert labels_needed([1, 10, 100, 1000], [0.2, 0.8, 0.4, 0.9], 0.5) == pytest.approx(10**0.5)
    for budget in (5, 7, 33, 159):
        values = [s["mean"] for s in summary(RESULTS["fine-tuned"])]
        assert labels_needed(BUDGETS, values, at_budget(BUDGETS, values, budget)) == pytest.approx(budget)
    assert (whole_labels(31.2), whole_labels(100 + 1e-9), whole_labels(5.0)) == (32, 100, 5)
    assert summary([[0.5, 0.7]]) == [{"mean": pytest.approx(0.6), "low": 0.5, "high": 0.7, "seeds": 2}]


def test_what_the_widget_says():
    widget = chart(cost_per_label=0.5, budget=40, accuracy=0.8)
    assert widget.at() == {
        "from scratch": pytest.approx(0.66), "frozen features": pytest.approx(0.74), "fine-tuned": pytest.approx(0.82),
    }  # fmt: skip
    needed = widget.needed()
    assert (
        needed["frozen features"] is None
        and 80 < needed["from scratch"] < 160
        and 20 < needed["fine-tuned"] < 40
    )
    assert widget.needed(0.3) == {"from scratch": 5, "frozen features": 5, "fine-tuned": 5}
    text = widget.description
    assert "With 40 labels: fine-tuned 82.0 %, frozen features 74.0 %, from scratch 66.0 %." in text
    assert "frozen features does not reach it with 160 labels" in text
    assert f"fine-tuned needs {needed['fine-tuned']} labels (€{needed['fine-tuned'] * 0.5:.2f})" in text
    assert chart().accuracy == pytest.approx(0.83) and chart().budget == 40  # what two methods reach
    assert "at most 5 labels" in chart(accuracy=0.4).description
    one = LabelBudgetChart([1, 2], {"a": [[0.5], [0.6]]})
    assert one.accuracy == pytest.approx(0.6) and "1 method over 1 to 2 labels" in one.description


def test_preview():
    widget = LabelBudgetChart(np.array(BUDGETS), {**RESULTS, "a <b> & c": np.full((6, 3), 0.5)}, accuracy=0.8)
    picture = widget.preview()
    ElementTree.fromstring(picture)
    assert (
        "a &lt;b&gt; &amp; c" in picture and "Wanted: 80.0 %" in picture and picture.count("<polyline") == 4
    )
    assert len(picture.encode()) < 10_000


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"budgets": [5]}, "2 to 30 numbers, each larger"),
        ({"budgets": [5, 5]}, "each larger than the one before"),
        ({"budgets": [5, 2.5]}, "whole numbers of labels"),
        ({"budgets": [0, 5]}, "whole numbers of labels, from 1"),
        ({"budgets": "few"}, "whole numbers of labels"),
        ({"budgets": [[1, 2]]}, "in one row"),
        ({"results": {}}, "a dict of 1 to 5 methods"),
        ({"results": [[0.5]]}, "a dict of 1 to 5 methods"),
        ({"results": {str(k): RESULTS["fine-tuned"] for k in range(6)}}, "1 to 5 methods"),
        ({"results": {" ": RESULTS["fine-tuned"]}}, "name must be a text of 1 to 40"),
        (
            {"results": {"a": RESULTS["fine-tuned"][:3]}},
            r"results\['a'\] has 3 rows, but there are 6 budgets",
        ),
        ({"results": {"a": [0.5] * 6}}, "a list of 1 to 100 accuracies, one per seed"),
        ({"results": {"a": [[]] * 6}}, "1 to 100 accuracies"),
        ({"results": {"a": [[0.5]] * 5 + [[50]]}}, "accuracies from 0 to 1"),
        ({"results": {"a": [[np.nan]] * 6}}, "accuracies from 0 to 1"),
        ({"results": {"a": [["good"]] * 6}}, "must hold numbers only"),
        ({"results": {"a": 3}}, "must hold numbers only"),
        ({"cost_per_label": -1}, "cost_per_label must lie between 0 and 10000"),
        ({"cost_per_label": "1"}, "cost_per_label must lie between"),
        ({"currency": "Euros"}, "at most 4 characters"),
        ({"budget": 4}, "budget must lie between 5 and 160, not 4"),
        ({"accuracy": 80}, "accuracy must lie between 0 and 1, not 80"),
    ],
)
def test_wrong_options_are_one_sentence(options, message):
    with pytest.raises(ValueError, match=message):
        LabelBudgetChart(**{"budgets": BUDGETS, "results": RESULTS, **options})


def test_wrong_assignments_too():
    widget = chart()
    for name, value in (("budget", 1), ("accuracy", 1.5)):
        with pytest.raises(ValueError):
            setattr(widget, name, value)


# ---- in the browser ----


def rows(page, which):
    return [
        [c.text for c in page.all("th, td", row)]
        for row in page.all("tbody tr", page.all(".lb-table")[which])
    ]


def test_browser_computes_the_same_numbers(open_page):
    page = open_page(chart())
    for table in RESULTS.values():
        means = [s["mean"] for s in summary(table)]
        found = page.js("return host.modules[0].math.summary(arguments[0])", table)
        np.testing.assert_allclose([[s[k] for k in ("mean", "low", "high")] for s in found],
                                   [[s[k] for k in ("mean", "low", "high")] for s in summary(table)])  # fmt: skip
        for budget in (5, 6, 10, 57, 159.5, 160):
            got = page.js("return host.modules[0].math.at(...arguments)", BUDGETS, means, budget)
            assert got == pytest.approx(at_budget(BUDGETS, means, budget), abs=1e-12)
        for accuracy in np.linspace(0.25, 0.95, 29):
            got = page.js("return host.modules[0].math.needed(...arguments)", BUDGETS, means, accuracy)
            wanted = labels_needed(BUDGETS, means, accuracy)
            assert (got is None) == (wanted is None) and (got is None or got == pytest.approx(wanted))


def test_tables_and_words(open_page):
    widget = chart(budget=40, accuracy=0.8, cost_per_label=2)
    page = open_page(widget)
    assert rows(page, 0) == [
        ["from scratch", "66.0 %", "64.0–68.0"], ["frozen features", "74.0 %", "73.0–75.0"], ["fine-tuned", "82.0 %", "82.0–82.0"],
    ]  # fmt: skip
    needed = widget.needed()
    found = rows(page, 1)
    assert found[1][:2] == ["frozen features", "not reached"]
    for k, name in ((0, "from scratch"), (2, "fine-tuned")):
        assert found[k] == [name, str(needed[name]), f"€{2 * needed[name]:.2f}"]
    first, second = (p.text for p in page.all(".lb-words"))
    assert first == ("With 40 labels: fine-tuned, 82.0 %, 8.0 points ahead of frozen features. "
                     "Even its lowest seed is above every seed of the others.")  # fmt: skip
    assert second.startswith(f"For 80.0 %: fewest labels with fine-tuned, {needed['fine-tuned']} (€")
    assert len(page.all(".lb-cross")) == 2
    page.set("accuracy", 0.95)
    assert "no method reaches it with 160 labels" in page.all(".lb-words")[1].text and not page.all(
        ".lb-cross"
    )
    page.set("accuracy", 0.4)
    assert rows(page, 1)[2][1] == "≤ 5" and "at most 5 (" in page.all(".lb-words")[1].text
    page.set("budget", 10)
    assert "overlaps with that of" in page.all(".lb-words")[0].text
    page.set("budget", 5)
    assert page.all(".lb-words")[0].text.startswith("With 5 labels: frozen features, 62.0 %")


def test_dragging(open_page):
    page = open_page(chart(budget=20, accuracy=0.7))
    upright, flat = page.one(".lb-upright .lb-knob"), page.one(".lb-flat .lb-knob")
    page.drag(upright, 60, 0)
    moved = page.get("budget")
    assert moved > 24 and page.get("accuracy") == 0.7
    page.drag(upright, -195, 0)
    assert page.get("budget") == 5
    page.drag(flat, 0, -40)
    assert page.get("accuracy") > 0.74 and page.get("budget") == 5
    page.click_at(page.one(".lb-area"), 0, 0)
    assert page.get("budget") == pytest.approx(np.sqrt(5 * 160), abs=1)
    assert page.get("accuracy") == pytest.approx((0.3 + 0.9) / 2, abs=0.01)
    page.click(page.button("Reset"))
    assert page.get("budget") == 20 and page.get("accuracy") == 0.7


def test_keys(open_page):
    page = open_page(chart(budget=5, accuracy=0.7))
    budget, accuracy = page.one(".lb-upright"), page.one(".lb-flat")
    page.focus(budget)
    page.keys(RIGHT, RIGHT)
    assert page.get("budget") == 7 and budget.get_attribute("aria-valuetext") == "7 labels"
    page.keys(LEFT)
    assert page.get("budget") == 6
    page.keys(PAGE_UP, PAGE_UP, PAGE_DOWN)
    assert page.get("budget") == 10
    page.keys(END, RIGHT)
    assert page.get("budget") == 160
    page.keys(HOME, LEFT)
    assert page.get("budget") == 5
    page.until("return document.querySelector('[role=status]').textContent.startsWith('With 5 labels')")
    page.focus(accuracy)
    page.keys(UP, UP, UP, DOWN)
    assert page.get("accuracy") == pytest.approx(0.71)
    page.keys(PAGE_UP)
    assert (
        page.get("accuracy") == pytest.approx(0.76) and accuracy.get_attribute("aria-valuetext") == "76.0 %"
    )
    page.keys(HOME)
    assert page.get("accuracy") == pytest.approx(0.3)
    page.keys(END)
    assert page.get("accuracy") == pytest.approx(0.9)


@pytest.mark.parametrize("theme", ["book-light", "book-dark"])
@pytest.mark.parametrize("width", [860, 620, 344])
def test_themes_and_widths(open_page, theme, width):
    more = {
        "a rather long name, forty letters of it.": RESULTS["fine-tuned"],
        "fifth": RESULTS["from scratch"],
    }
    for widget in (chart(), LabelBudgetChart(BUDGETS, {**RESULTS, **more})):
        page = open_page(widget, theme=theme, width=width)
        assert page.audit() == []
        outside = page.js(
            "const box = arguments[0].getBoundingClientRect();"
            "return [...arguments[0].querySelectorAll('text')].filter((t) => { const r = t.getBoundingClientRect();"
            "return r.left < box.left - 0.5 || r.right > box.right + 0.5 || r.top < box.top - 1 || r.bottom > box.bottom + 1; })"
            ".map((t) => t.textContent)",
            page.one(".cx-stage > svg"),
        )
        assert outside == []


def test_one_seed_and_one_method(open_page):
    page = open_page(
        LabelBudgetChart([10, 100], {"a": [[0.5], [0.7]], "b": [[0.4], [0.8]]}, currency="", budget=10)
    )
    assert "One seed each" in page.all(".lb-words")[0].text and rows(page, 0)[0] == ["a", "50.0 %", ""]
    page = open_page(LabelBudgetChart([10, 100], {"a": [[0.5], [0.7]]}, budget=100))
    assert page.all(".lb-words")[0].text == "With 100 labels: a, 70.0 %."
    tags = re.findall(r"\d+ labels?", page.one(".lb-upright").text)
    assert tags == ["100 labels"]


def test_disposing_takes_everything_away(open_page):
    page = open_page(chart())
    page.js("host.disposers[0]()")
    assert not page.all(".cx") and all(not h for h in page.js("return host.models[0].handlers").values())
