"""The computation-graph stepper: its mathematics against finite differences and TensorFlow, its figure in a browser."""

from __future__ import annotations

import math
from xml.etree import ElementTree

import numpy as np
import pytest
import traitlets

from course_utils.explorables import GraphStepper
from course_utils.explorables.graph_stepper import FUNCTIONS, last_step, layout, parse, run

CASES = [
    ("(sigmoid(w*x + b) - y)**2", {"w": 0.8, "x": 1.5, "b": -0.4, "y": 1.0}),
    ("tanh(w*x + b)*w", {"w": 0.7, "x": 1.2, "b": -0.3}),
    ("-log(exp(z1)/(exp(z1) + exp(z2)))", {"z1": 1.0, "z2": -0.5}),
    ("(v*relu(w*x + b) + c - y)**2", {"v": 0.5, "w": 1.0, "x": 2.0, "b": -0.5, "c": 0.1, "y": 1.0}),
    ("x*x + 2*x - -3", {"x": -1.5}),
    ("a/b - a**3/sqrt(b) + sin(a)*cos(b)", {"a": 1.1, "b": 2.3}),
    ("-x**2 + (-x)**2 + 2**3*x + x**-1", {"x": 0.7}),
    (".5*x - 1e-1*x/x", {"x": 2.0}),
]
each = pytest.mark.parametrize(("expression", "values"), CASES, ids=[e for e, _ in CASES])


def gradient_of(expression, values):
    """Derivatives by the variables, from the graph."""
    nodes = parse(expression)
    _, gradients = run(nodes, values)
    return {n.label: g for n, g in zip(nodes, gradients, strict=True) if n.kind == "variable"}


# ---- without a browser ----


@each
def test_values_are_those_of_python(expression, values):
    names = {name: value for name, (value, _) in FUNCTIONS.items()}
    expected = eval(expression, {"__builtins__": {}}, {**names, **values})
    assert run(parse(expression), values)[0][-1] == pytest.approx(expected, rel=1e-12)


@each
def test_gradients_are_central_differences(expression, values):
    nodes, h = parse(expression), 1e-6
    for name, gradient in gradient_of(expression, values).items():
        up = run(nodes, {**values, name: values[name] + h})[0][-1]
        down = run(nodes, {**values, name: values[name] - h})[0][-1]
        assert gradient == pytest.approx((up - down) / (2 * h), rel=1e-6, abs=1e-8), name


def test_softmax_cross_entropy_gives_p_minus_y():
    values = {"z1": 1.0, "z2": -0.5}
    p = 1 / (1 + math.exp(-1.5))
    got = gradient_of("-log(exp(z1)/(exp(z1) + exp(z2)))", values)
    assert got == pytest.approx({"z1": p - 1, "z2": 1 - p})


def test_a_value_used_twice_is_one_node_and_collects_both_contributions():
    nodes = parse("x*x")
    assert [n.kind for n in nodes] == ["variable", "multiply"]
    assert gradient_of("x*x", {"x": 3.0}) == {"x": 6.0}


def test_steps_reach_one_operation_after_another():
    expression, values = CASES[0]
    nodes = parse(expression)
    operations = sum(not n.is_leaf for n in nodes)
    for step in range(last_step(nodes) + 1):
        found, gradients = run(nodes, values, step)
        known = sum(v is not None for v in found) - sum(n.is_leaf for n in nodes)
        assert known == min(step, operations)
        assert (gradients[-1] == 1.0) is (step > operations)
    assert all(g is not None for g in gradients)
    # one step before the end, the product has not handed anything to its factors
    _, gradients = run(nodes, values, last_step(nodes) - 1)
    assert gradients[0] is None and gradients[1] is None


@each
def test_layout_puts_every_input_before_its_operation(expression, values):
    nodes = parse(expression)
    places = layout(nodes)
    assert len(set(places)) == len(nodes)
    for i, node in enumerate(nodes):
        assert all(places[a][0] < places[i][0] for a in node.args)


@pytest.mark.parametrize(
    ("expression", "values", "message"),
    [
        ("w*x +", {}, "not a complete expression"),
        ("w", {}, "at least one operation"),
        ("softmax(x)", {}, "no function 'softmax'"),
        ("x**y", {}, "exponent has to be a number"),
        ("x % 2", {}, "cannot be used here"),
        ("x if x else 1", {}, "cannot be used here"),
        ("+".join("abcdefg"), {}, "6 variables"),
        ("x" + "+1" * 20, {}, "14 operations"),
        ("w*x", {"v": 1}, "v does not occur"),
        ("w*x", {"w": float("nan")}, "w must be a finite number"),
    ],
)
def test_wrong_options_are_one_sentence(expression, values, message):
    with pytest.raises(traitlets.TraitError, match=message):
        GraphStepper(expression, **values)
    with pytest.raises(traitlets.TraitError, match="step must lie between 0 and 3"):
        GraphStepper("w*x", step=4)


@each
def test_preview_and_description(expression, values):
    for step in (0, None, last_step(parse(expression))):
        widget = GraphStepper(expression, step, **values)
        picture = widget.preview()
        ElementTree.fromstring(picture)
        assert len(picture.encode()) < 15_000
        assert expression in widget.description
    assert "come back to" in widget.description


def test_what_does_not_exist_is_not_a_number():
    nodes = parse("log(x) + 1/x")
    assert math.isnan(run(nodes, {"x": 0.0})[0][-1])


# ---- in the browser ----


def test_browser_computes_the_same_numbers(open_page):
    page = open_page(GraphStepper())
    for expression, values in CASES:
        nodes = parse(expression)
        got = page.js(
            "const m = host.modules[0].math, n = m.parse(arguments[0]), r = m.run(n, arguments[1]);"
            "return { kinds: n.map((x) => x.kind), values: r.values, gradients: r.gradients,"
            " last: m.lastStep(n), layout: m.layout(n) }",
            expression,
            values,
        )
        found, gradients = run(nodes, values)
        assert got["kinds"] == [n.kind for n in nodes]
        np.testing.assert_allclose(got["values"], found, rtol=1e-13)
        np.testing.assert_allclose(got["gradients"], gradients, rtol=1e-12)
        assert got["last"] == last_step(nodes)
        assert [tuple(p) for p in got["layout"]] == layout(nodes)


def gradients_shown(page):
    return [e.text for e in page.all(".gs-box .gs-gradient")]


def test_stepping_hands_the_gradient_back(open_page):
    page = open_page(GraphStepper(w=0.8, x=1.5, b=-0.4, y=1.0))
    assert gradients_shown(page) == ["∂ 1"]
    step = page.button("Step")
    page.click(step)
    assert (
        "Backward, 1 of 5: ( ) ^ 2 hands back to the − box: 1 × (−0.62) = −0.62" in page.one(".gs-says").text
    )
    assert len(gradients_shown(page)) == 2
    page.click(page.button("Back"))
    page.click(page.button("Back"))
    assert gradients_shown(page) == []
    assert "Forward, 5 of 5" in page.one(".gs-says").text
    page.click(page.button("To the end"))
    assert len(gradients_shown(page)) == 9
    assert not step.is_enabled()
    rows = [[c.text for c in page.all("td", r)] for r in page.all(".gs-checks tbody tr")]
    assert len(rows) == 4 and all(graph == nudge for graph, nudge in rows)
    assert page.get("step") == 11
    page.click(page.button("Reset"))
    assert page.get("step") == 6 and gradients_shown(page) == ["∂ 1"]


def test_an_input_is_edited_and_the_graph_follows(open_page):
    page = open_page(GraphStepper("x*x", step=3, x=1.0))
    assert gradients_shown(page) == ["∂ 2", "∂ 1"]
    assert "already there" in page.one(".gs-says").text
    slider = page.one(".gs-sliders input")
    page.focus(slider)
    page.keys("\ue014")  # right
    assert page.get("values") == {"x": 1.05}
    assert gradients_shown(page) == ["∂ 2.1", "∂ 1"]
    page.set("values", {"x": -2.0})
    assert gradients_shown(page) == ["∂ −4", "∂ 1"]


def test_an_expression_is_typed_or_refused_with_a_reason(open_page):
    page = open_page(GraphStepper("w*x", w=2.0, x=3.0))
    field = page.one(".gs-typed")
    field.clear()
    field.send_keys("sigmoid(w*x + d\n")
    page.settle()
    assert "not a complete expression" in page.one(".gs-complaint").text
    assert page.get("expression") == "w*x"
    field.clear()
    field.send_keys("exp(w*x) + d\n")
    page.settle()
    assert page.one(".gs-complaint").text == ""
    assert page.get("expression") == "exp(w*x) + d"
    assert page.get("values") == {"w": 2.0, "x": 3.0, "d": 1.0}
    assert len(page.all(".gs-sliders input")) == 3
    page.js(
        "const s = document.querySelector('.cx select'); s.value = 'tanh(w*x + b)*w';"
        "s.dispatchEvent(new Event('change'))"
    )
    page.settle()
    assert page.get("expression") == "tanh(w*x + b)*w"
    page.click(page.button("Reset"))
    assert page.get("expression") == "w*x" and page.get("values") == {"w": 2.0, "x": 3.0}


def test_a_value_that_does_not_exist_is_said(open_page):
    page = open_page(GraphStepper("log(x)", step=1, x=1.0))
    page.set("values", {"x": -1.0})
    assert "is no number" in page.one(".gs-says").text


def test_instances_do_not_interfere_and_clean_up(open_page):
    page = open_page(GraphStepper("x*x"), GraphStepper("w*x", w=2.0))
    page.click(page.all(".cx-primary")[0])
    assert page.get("step", 0) == 3 and page.get("step", 1) == 2
    page.js("host.disposers[0]()")
    assert page.js("return Object.values(host.models[0].handlers).flat().length") == 0
    assert len(page.all(".cx")) == 1
    page.set("values", {"w": 3.0, "x": 1.0}, 1)
    assert page.all(".gs-box .gs-value")[-1].text == "3"


@pytest.mark.parametrize("theme", ["book-light", "book-dark", "lab-dark"])
@pytest.mark.parametrize("width", [344, 600, 860])
@pytest.mark.parametrize("case", [0, 3])
def test_no_text_too_small_nothing_overflows(open_page, theme, width, case):
    expression, values = CASES[case]
    page = open_page(GraphStepper(expression, 9, **values), theme=theme, width=width)
    assert page.audit() == []
    assert page.one(".cx").get_attribute("data-cx-theme") == theme.split("-")[1]
