"""The Transformer tracer: what it reads from a run, its figure in a real browser."""

from __future__ import annotations

from functools import cache
from xml.etree import ElementTree

import numpy as np
import pytest
import traitlets

from course_utils.explorables import TransformerTracer
from course_utils.explorables._transformer import forward, random_weights, softmax
from course_utils.explorables.sampling_lab import ranked

UP, DOWN, LEFT, RIGHT, HOME, END = "\ue013", "\ue015", "\ue012", "\ue014", "\ue011", "\ue010"
WORDS = ["the", "cat", "sat", "on", "mat", "a", "dog", "incomprehensible", " "]
SENTENCE = ["the", "cat", "sat", "on", "the", "mat"]
LETTERS = list("abcdefghijklmnopqrstuvwxyz ")


@cache
def weights(size=9, blocks=2):
    return random_weights(size, 24, 16, blocks, seed=1)


def tracer(tokens=SENTENCE, **options):
    return TransformerTracer(weights(), tokens, WORDS, **options)


def run(tokens=SENTENCE, heads=4, causal=True, activation="relu", off=()):
    return forward(weights(), [WORDS.index(w) for w in tokens], heads, causal, activation, off=off)


# ---- without a browser ----


@pytest.mark.parametrize("off", [[], [(1, 2)]])
def test_what_the_widget_shows(off):
    widget = tracer(layer=2, head=3, position=4, off=off)
    pairs = [(layer - 1, head - 1) for layer, head in off]
    now, wanted, t = widget.shown(), run(off=pairs), 3
    last = wanted["blocks"][-1]
    np.testing.assert_allclose(now["attention"], last["attention"][2, t])
    assert now["head_norm"] == pytest.approx(np.linalg.norm(last["head_outputs"][2, t]))
    assert now["norms"][0] == now["added"][0] == pytest.approx(np.linalg.norm(wanted["embedding"][t]))
    assert now["norms"][-1] == pytest.approx(np.linalg.norm(last["stream"][t]))
    assert now["added"][-2] == pytest.approx(np.linalg.norm(last["added_attention"][t]))
    np.testing.assert_allclose(now["lens"], softmax(wanted["lens"][:, t]))
    np.testing.assert_allclose(now["all_on"], softmax(run()["logits"][t]))
    assert np.allclose(now["all_on"], now["probabilities"]) == (not off)
    best = now["probabilities"].argmax()
    for layer, head in ((0, 1), (1, 0)):
        flipped = set(pairs) ^ {(layer, head)}
        assert now["switched"][layer, head] == pytest.approx(softmax(run(off=flipped)["logits"][t])[best])


def test_preview_and_description():
    widget = tracer(["the", "incomprehensible", " ", "dog"], off=[(2, 1)], position=2, head=4)
    picture, text, now = widget.preview(), widget.description, widget.shown()
    ElementTree.fromstring(picture)
    assert picture.count(">incompr…<") >= 1 and "Switched off: head 1 of layer 2." in picture
    best = int(now["attention"].argmax())
    assert (
        f"{now['attention'][best]:.2f} at “{['the', 'incomprehensible'][best]}” (position {best + 1})" in text
    )
    assert f"length {now['head_norm']:.2f}" in text and "causal" in text
    reads = now["lens"][-1]
    assert f"after layer 2 MLP “{WORDS[int(ranked(reads)[0])].replace(' ', '␣')}” {reads.max():.2f}" in text
    assert "where all positions see each other" in tracer(causal=False).description
    assert "All heads are on." in tracer().description
    long = TransformerTracer(weights(len(LETTERS)), list("the cat sat on the mat a"), LETTERS)
    ElementTree.fromstring(long.preview())
    assert len(long.preview().encode()) < 150_000
    odd = [*LETTERS[:-2], "<", "&"]
    ElementTree.fromstring(TransformerTracer(weights(len(LETTERS)), ["<", "&", "a"], odd).preview())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tokens": ["the"]}, "tokens must be 2 to 24 texts, not 1"),
        ({"tokens": ["the"] * 25}, "2 to 24 texts, not 25"),
        ({"tokens": [1, 2]}, "list of texts from vocabulary"),
        ({"tokens": 5}, "list of texts from vocabulary"),
        ({"tokens": ["the", "bear"]}, "does not know the token 'bear'; it is not in vocabulary"),
        ({"vocabulary": WORDS[1:]}, "holds 8 tokens, but the model knows 9"),
        ({"weights": {}}, "weights lack 'token_embedding'"),
        ({"heads": 5}, "heads must be a whole number that divides the width 16, not 5"),
        ({"activation": "tanh"}, "activation must be one of 'gelu', 'relu'"),
        ({"layer": 3}, "layer must be a whole number from 1 to 2, not 3"),
        ({"head": 0}, "head must be a whole number from 1 to 4, not 0"),
        ({"position": 7}, "position must be a whole number from 1 to 6, not 7"),
        ({"off": [(0, 1)]}, "off names head 1 of layer 0; the model has 2 layers of 4 heads"),
        ({"off": [1]}, r"off must be a list of pairs \(layer, head\)"),
        ({"quantity": "sum"}, "quantity must be one of 'lens', 'norm', 'added', not 'sum'"),
    ],
)
def test_wrong_options_are_one_sentence(options, message):
    with pytest.raises(ValueError, match=message):
        TransformerTracer(**{"weights": weights(), "tokens": SENTENCE, "vocabulary": WORDS, **options})


def test_wrong_assignments_too():
    widget = tracer()
    for name, value in (
        ("tokens", ["bear", "a"]), ("layer", 3), ("head", 5), ("position", 0), ("off", [[3, 1]]), ("quantity", "x"),
    ):  # fmt: skip
        with pytest.raises((ValueError, traitlets.TraitError)):
            setattr(widget, name, value)
    widget.off = [[2, 1], [1, 1], [2, 1]]
    assert widget.off == [[1, 1], [2, 1]]


# ---- in the browser ----


def tiles(page):
    return [number(c.text) for c in page.all(".tt-caption")]


def number(text):
    return 0.0 if text == "< 0.001" else float(text)


def bars(page):
    return page.js(
        "return [...document.querySelectorAll('.sa-row')].map((r) => [r.querySelector('.sa-name').textContent,"
        "...[...r.querySelectorAll('.sa-number')].map((n) => n.textContent)])"
    )


def table(page):
    return [[c.text for c in page.all("th, td", row)] for row in page.all(".tt-table tbody tr")]


def entries(page):
    return page.js("return [...document.querySelectorAll('.tt-entry')].map((e) => e.textContent)")


@pytest.mark.parametrize(
    "options",
    [
        {},
        {
            "causal": False,
            "activation": "gelu",
            "heads": 2,
            "layer": 2,
            "head": 2,
            "position": 3,
            "off": [(1, 1)],
        },
    ],
)
def test_the_page_says_what_python_computes(open_page, options):
    widget = tracer(**options)
    page = open_page(widget)
    now, t = widget.shown(), widget.position - 1
    np.testing.assert_allclose(tiles(page), now["switched"].ravel(), atol=0.0051)
    j = int(now["attention"].argmax())
    first, second = (p.text for p in page.all(".tt-said p"))
    assert (
        f"Head {widget.head} of layer {widget.layer}, at position {t + 1}, “{SENTENCE[t]}”, looks at" in first
    )
    assert f"“{SENTENCE[j]}” (position {j + 1}) with {now['attention'][j]:.2f}" in first
    order = ranked(now["effect"])
    assert (
        f"length {now['head_norm']:.2f}" in second
        and f"“{WORDS[order[0]]}” (+{now['effect'][order[0]]:.1f})" in second
    )
    for k, row in enumerate(table(page)):
        assert float(row[1]) == pytest.approx(now["added"][k], abs=0.0051)
        assert float(row[2]) == pytest.approx(now["norms"][k], abs=0.0051)
        best = WORDS[int(ranked(now["lens"][k])[0])]
        assert row[3].startswith(best.replace(" ", "space")[:6])
    found = bars(page)
    both = np.maximum(now["probabilities"], now["all_on"])
    assert [row[0][:3] for row in found] == [WORDS[k].replace(" ", "space")[:3] for k in ranked(both)[:6]]
    for row, k in zip(found, ranked(both), strict=False):
        assert number(row[1]) == pytest.approx(now["all_on"][k], abs=0.0051)
        assert (
            row[2] == ""
            if not widget.off
            else number(row[2]) == pytest.approx(now["probabilities"][k], abs=0.0051)
        )
    wanted = [int(ranked(p)[0]) for row in softmax(widget.trace()["lens"]) for p in row]
    assert [e[:5] for e in entries(page)] == [WORDS[k].replace(" ", "␣")[:5] for k in wanted]
    page.radio("norm")
    norms = np.linalg.norm(
        [
            widget.trace()["embedding"],
            *[b[k] for b in widget.trace()["blocks"] for k in ("middle", "stream")],
        ],
        axis=-1,
    )
    np.testing.assert_allclose([float(e) for e in entries(page)], norms.ravel(), atol=0.051)
    page.radio("added")
    assert page.get("quantity") == "added"
    np.testing.assert_allclose(
        [float(e) for e in entries(page)][t :: len(SENTENCE)], now["added"], atol=0.051
    )


def test_a_head_is_switched_off(open_page):
    widget = tracer(layer=1, head=3)
    page = open_page(widget)
    before, promised = bars(page), tiles(page)
    page.click(page.one(".cx-check"))
    assert page.get("off") == [[1, 3]]
    widget.off = [[1, 3]]
    now = widget.shown()
    best = int(now["all_on"].argmax())
    found = {row[0]: row for row in bars(page)}[WORDS[best]]
    assert float(found[2]) == pytest.approx(now["probabilities"][best], abs=0.0051)
    assert float(found[2]) == pytest.approx(promised[2], abs=0.0101)  # what its tile had said
    assert found[1] == {row[0]: row for row in before}[WORDS[best]][1]
    assert "adds nothing" in page.one(".tt-said").text and "head 3 of layer 1" in page.one(".sa-rest").text
    assert len(page.all(".tt-silent")) == 1 and "off" in page.all(".tt-tile")[2].get_attribute("aria-label")
    page.until("return document.querySelector('[role=status]').textContent.includes('with all heads on')")
    page.click(page.all(".tt-tile")[5])
    page.click(page.one(".cx-check"))
    assert page.get("off") == [[1, 3], [2, 2]] and (page.get("layer"), page.get("head")) == (2, 2)
    page.click(page.button("All heads on"))
    assert page.get("off") == [] and bars(page) == before
    assert not page.button("All heads on").is_enabled()


def test_positions_and_heads_by_keys_and_pointer(open_page):
    page = open_page(tracer())
    page.click(page.all(".tt-token")[1])
    assert page.get("position") == 2
    page.keys(RIGHT, RIGHT, LEFT)
    assert page.get("position") == 3
    page.keys(END, RIGHT)
    assert page.get("position") == 6
    page.keys(HOME)
    assert page.get("position") == 1 and page.all(".tt-token")[0].get_attribute("aria-pressed") == "true"
    assert sum(b.get_attribute("tabindex") == "0" for b in page.all(".tt-token")) == 1
    page.click(page.all(".tt-tile")[0])
    page.keys(RIGHT, DOWN)
    assert (page.get("layer"), page.get("head")) == (2, 2)
    page.keys(UP, LEFT, LEFT)
    assert (page.get("layer"), page.get("head")) == (1, 1)
    page.keys(END)
    assert (page.get("layer"), page.get("head")) == (2, 4)
    page.until("return document.querySelector('[role=status]').textContent.startsWith('Head 4 of layer 2')")
    matrix = page.one(".tt-matrix")
    page.click_at(matrix, 0, int(matrix.rect["height"] / 2) - 12)
    assert page.get("position") == 6
    stream = page.one(".tt-stream")
    label = page.js("return parseFloat(document.querySelector('.tt-hit').getAttribute('x'))")
    page.click_at(stream, int(label + 10 - stream.rect["width"] / 2), 10)
    assert page.get("position") == 1


def test_a_token_is_exchanged(open_page):
    widget = tracer(position=2)
    page = open_page(widget)
    select = page.one(".tt-line select")
    assert "Token 2 is" in page.one(".tt-line .cx-field").text
    page.choose(select, str(WORDS.index("dog")))
    assert page.get("tokens")[1] == "dog" and len(page.all(".tt-other")) == 1
    widget.tokens = ["the", "dog", *SENTENCE[2:]]
    np.testing.assert_allclose(tiles(page), widget.shown()["switched"].ravel(), atol=0.0051)
    assert "1 of 6 exchanged" in page.one(".cx").text
    page.click(page.button("Reset"))
    assert page.get("tokens") == SENTENCE and page.get("position") == 2 and not page.all(".tt-other")


def test_disposing_takes_everything_away(open_page):
    page = open_page(tracer(), tracer(["a", "dog"]))
    page.js("host.disposers[0]()")
    assert len(page.all(".cx")) == 1
    assert all(not h for h in page.js("return host.models[0].handlers").values())
    page.click(page.all(".tt-tile")[3])
    assert page.get("head", 1) == 4 and page.get("head") == 1


@pytest.mark.parametrize("theme", ["book-light", "book-dark"])
@pytest.mark.parametrize("width", [344, 620, 860])
def test_no_text_too_small_nothing_overflows(open_page, theme, width):
    letters = TransformerTracer(
        weights(len(LETTERS), 3),
        list("the cat sat on the mat a"),
        LETTERS,
        causal=False,
        off=[(1, 2), (3, 4)],
        quantity="norm",
    )
    for widget in (tracer(["incomprehensible", "the", " ", "incomprehensible"]), letters):
        page = open_page(widget, theme=theme, width=width)
        assert page.audit() == []
        assert page.one(".cx").get_attribute("data-cx-theme") == theme.split("-")[1]
        for drawing in page.all("svg.tt-matrix, svg.tt-stream"):
            outside = page.js(
                "const box = arguments[0].getBoundingClientRect();"
                "return [...arguments[0].querySelectorAll('text')].filter((t) => { const r = t.getBoundingClientRect();"
                "return r.left < box.left - 0.5 || r.right > box.right + 2.5 || r.top < box.top - 3; }).map((t) => t.textContent)",
                drawing,
            )
            assert outside == []
