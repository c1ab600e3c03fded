"""The attention editor: its mathematics against Keras, its figure in a real browser."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import numpy as np
import pytest

from course_utils.explorables import AttentionEditor
from course_utils.explorables.attention_editor import (
    MASKS,
    PRESETS,
    allowed_pairs,
    attend,
    embedding,
    entropies,
    projections,
    start_tables,
)

UP, DOWN, LEFT, RIGHT, HOME, END, DELETE, ENTER = (
    "\ue013", "\ue015", "\ue012", "\ue014", "\ue011", "\ue010", "\ue017", "\ue007",
)  # fmt: skip
PAGE_DOWN = "\ue00f"
WORDS = ["the", "cät", "sat", "on", "the"]


# ---- without a browser ----


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("dim", [4, 16])
def test_weights_and_output_are_those_of_keras(mask, dim):
    import keras

    Q, K, V = start_tables(WORDS, dim, 5)
    allowed = allowed_pairs(5, mask, 2)
    layer = keras.layers.MultiHeadAttention(1, dim, use_bias=False)
    layer.build((1, 5, dim), (1, 5, dim), (1, 5, dim))
    eye = np.eye(dim)
    layer.set_weights([eye[:, None], eye[:, None], eye[:, None], eye[None]])
    output, weights = layer(
        Q[None], V[None], K[None], attention_mask=allowed[None], return_attention_scores=True
    )
    _, own_weights, own_output = attend(Q, K, V, allowed)
    np.testing.assert_allclose(own_weights, np.array(weights)[0, 0], atol=2e-5)
    np.testing.assert_allclose(own_output, np.array(output)[0], atol=2e-5)
    np.testing.assert_allclose(own_weights.sum(axis=1), 1)
    assert (own_weights[~allowed] == 0).all()


def test_scaling_and_masking_by_hand():
    Q, K, V = start_tables(WORDS, 16, 0)
    scores, _, _ = attend(Q, K, V, scaled=False)
    np.testing.assert_allclose(scores, Q @ K.T)
    np.testing.assert_allclose(attend(Q, K, V)[0], Q @ K.T / 4)
    flipped = [(0, 3), (2, 1)]
    allowed = allowed_pairs(5, "causal", 0, flipped)
    assert allowed[0, 3] and not allowed[2, 1] and allowed[2, 0] and not allowed[1, 3]
    nothing = np.ones((5, 5), dtype=bool)
    nothing[2] = False
    _, weights, output = attend(Q, K, V, nothing)
    assert (
        np.isnan(weights[2]).all() and np.isnan(output[2]).all() and np.isfinite(output[[0, 1, 3, 4]]).all()
    )
    np.testing.assert_allclose(entropies([[0.25] * 4, [1, 0, 0, 0]]), [2, 0])
    assert np.isnan(entropies(weights)[2])
    with pytest.raises(ValueError, match="no mask 'future'; choose one of: none, causal, padding"):
        allowed_pairs(3, "future")


def test_embeddings_and_presets():
    np.testing.assert_array_equal(embedding("cat", 4, 1), embedding("cat", 64, 1)[:4])
    assert (embedding("cat", 4, 1) != embedding("cat", 4, 2)).any()
    assert (embedding("cat", 4, 1) != embedding("Cat", 4, 1)).any()
    assert abs(np.mean([embedding(f"w{k}", 64).std() for k in range(20)]) - 1) < 0.1
    Q, K, V = start_tables(WORDS, 16, 3)
    np.testing.assert_array_equal(Q[0], Q[4])
    X = np.array([embedding(word, 16, 3) for word in WORDS])
    np.testing.assert_allclose([Q, K, V], X @ projections(16, 3), atol=0.00501)
    np.testing.assert_array_equal(start_tables(WORDS, 16, 3, "identity"), [X, X, X])
    with pytest.raises(ValueError, match="no preset 'zero'; choose one of: projections, identity"):
        start_tables(WORDS, 4, 0, "zero")


def test_without_the_root_the_softmax_saturates():
    scaled, plain = (entropies(AttentionEditor(dim=64, scaled=s).attend()[1]).mean() for s in (True, False))
    assert scaled > 2 and plain < 0.8


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"dim": 64, "scaled": False, "seed": 4},
        {"mask": "causal", "row": 0},
        {"tokens": "a <b> & c", "mask": "padding"},
    ],
)
def test_preview_and_description(options):
    widget = AttentionEditor(**options)
    picture = widget.preview()
    ElementTree.fromstring(picture)
    _, weights, output = widget.attend()
    texts = re.findall(r"<text[^>]*>([^<]*)</text>", picture)
    for value in [*weights[widget.row], *output[widget.row][:4]]:
        assert f"{abs(value):.2f}" in " ".join(texts)
    best = int(weights[widget.row].argmax())
    assert (
        f"{weights[widget.row, best]:.2f} from “{widget.tokens[best]}” (token {best + 1})"
        in widget.description
    )
    assert f"{entropies(weights)[widget.row]:.2f} bits" in widget.description
    assert {"none": "no mask", "causal": "a causal mask", "padding": "masked as padding"}[
        widget.mask
    ] in widget.description
    assert len(picture.encode()) < 20_000


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tokens": "one"}, "2 to 10 tokens, not 1"),
        ({"tokens": ["a"] * 11}, "2 to 10 tokens, not 11"),
        ({"tokens": [1, 2]}, "tokens that are words"),
        ({"tokens": ["a b", "c"]}, "without spaces, not 'a b'"),
        ({"tokens": ["a" * 21, "c"]}, "1 to 20 characters"),
        ({"dim": 5}, "a dim that is one of 4, 16, 64, not 5"),
        ({"seed": -1}, "a seed that is a whole number from 0"),
        ({"mask": "future"}, "a mask that is one of 'none', 'causal', 'padding', not 'future'"),
        ({"mask": "padding", "padding": 6}, "a padding that is a whole number from 1 to 5"),
        ({"preset": "zero"}, "a preset that is one of 'projections', 'identity'"),
        ({"row": 6}, "a row that is a whole number from 0 to 5, not 6"),
        ({"Q": [[1, 2]]}, r"Q of shape \(6, 4\), not \(1, 2\)"),
        ({"K": np.full((6, 4), 7)}, "K with entries from -6 to 6"),
        ({"V": "abc"}, "V that holds numbers only"),
    ],
)
def test_wrong_options_are_one_sentence(options, message):
    with pytest.raises(ValueError, match=message):
        AttentionEditor(**options)


def test_wrong_assignments_too():
    widget = AttentionEditor("to be or", Q=np.eye(4)[:3])
    assert widget.tokens == ["to", "be", "or"]
    np.testing.assert_array_equal(widget.Q, np.eye(4)[:3])
    for name, value in [("tokens", ["a"]), ("mask", "future"), ("dim", 8)]:
        with pytest.raises(ValueError):
            setattr(widget, name, value)


# ---- in the browser ----


def choose(page, label, value):
    field = next(f for f in page.all(".cx-field") if page.all("select", f) and f.text.startswith(label))
    page.choose(page.one("select", field), value)


def write(page, text):
    page.js(
        "arguments[0].value = arguments[1]; arguments[0].dispatchEvent(new Event('input'))",
        page.one(".at-tokens"), text,
    )  # fmt: skip
    page.settle()


def number(text):
    return float(text.replace("−", "-").replace("∞", "inf"))


def shown(page, of):
    return np.array([number(n.text) for n in page.all(f".at-number[data-of={of}]")])


def sum_table(page):
    return [[cell.text for cell in page.all("th, td", row)] for row in page.all(".at-sum tr")]


def now(page):
    """The mathematics of the state that the page holds."""
    tables = [page.get(name) for name in "QKV"]
    allowed = allowed_pairs(len(tables[0]), page.get("mask"), page.get("padding"), page.get("flipped"))
    return attend(*tables, allowed, page.get("scaled"))


def test_browser_computes_the_same_numbers(open_page):
    page = open_page(AttentionEditor())
    for dim, seed, preset in [
        (4, 0, PRESETS[0]),
        (16, 7, PRESETS[0]),
        (64, 10_000, PRESETS[0]),
        (4, 3, PRESETS[1]),
    ]:
        got = page.js("return host.modules[0].math.start(...arguments)", WORDS, dim, seed, preset)
        tables = start_tables(WORDS, dim, seed, preset)
        np.testing.assert_array_equal(got, tables)
        np.testing.assert_allclose(
            page.js("return host.modules[0].math.projections(...arguments)", dim, seed),
            projections(dim, seed),
            atol=1e-12,
        )
        for mask, flipped, scaled in [
            ("none", [], True),
            ("causal", [[0, 3], [4, 4]], False),
            ("padding", [[1, 1]], True),
        ]:
            allowed = page.js("return host.modules[0].math.allowed(...arguments)", 5, mask, 2, flipped)
            np.testing.assert_array_equal(allowed, allowed_pairs(5, mask, 2, flipped))
            got = page.js(
                "return host.modules[0].math.attend(...arguments)", *tables.tolist(), allowed, scaled
            )
            scores, weights, output = attend(*tables, allowed, scaled)
            np.testing.assert_allclose(got["weights"], weights, atol=1e-12)
            np.testing.assert_allclose(got["output"], output, atol=1e-12)
            finite = [[-np.inf if s is None else s for s in row] for row in got["scores"]]
            np.testing.assert_allclose(finite, scores, atol=1e-12)
            bits = page.js("return host.modules[0].math.entropies(arguments[0])", got["weights"])
            np.testing.assert_allclose(bits, entropies(weights), atol=1e-12)


def test_the_drawing_and_the_sum_say_the_numbers(open_page):
    widget = AttentionEditor(row=5)
    scores, weights, output = widget.attend()
    page = open_page(widget)
    for of, values, error in [("Q", widget.Q, 0.0051), ("K", widget.K, 0.0051), ("V", widget.V, 0.0051), ("S", scores, 0.0501),
                              ("A", weights, 0.0051), ("Y", output, 0.0501)]:  # fmt: skip
        np.testing.assert_allclose(shown(page, of), np.ravel(values), atol=error)
    np.testing.assert_allclose(
        [number(b.text) for b in page.all(".at-bits")], entropies(weights), atol=0.0051
    )
    rows = sum_table(page)
    assert [row[0] for row in rows[1:]] == [*widget.tokens, "sum"]
    for j in range(6):
        parts = [scores[5, j], weights[5, j], *(weights[5, j] * np.array(widget.V[j]))]
        np.testing.assert_allclose([number(t) for t in rows[j + 1][1:]], parts, atol=0.0051)
    np.testing.assert_allclose([number(t) for t in rows[-1][2:]], [1, *output[5]], atol=0.0051)
    best = int(weights[5].argmax())
    assert (
        f"“mat” (token 6) takes {weights[5, best]:.2f} from “{widget.tokens[best]}”"
        in page.one(".at-head").text
    )
    assert f"Mean entropy {entropies(weights).mean():.2f} of 2.58 bits" in page.one(".at-verdict").text


def test_pointing_shows_a_row_and_a_click_keeps_it(open_page):
    from selenium.webdriver.common.action_chains import ActionChains

    page = open_page(AttentionEditor())
    area = page.all(".at-hit")[0]
    page.show(area)
    tall = area.rect["height"] / 6
    chain = ActionChains(page.driver, duration=20)
    chain.move_to_element_with_offset(area, 0, int(1.5 * tall)).perform()
    page.settle()
    assert page.one(".at-head").text.startswith("“the” (token 5)") and page.get("row") == 2
    ActionChains(page.driver, duration=20).move_to_element(page.one(".at-tokens")).perform()
    page.settle()
    assert page.one(".at-head").text.startswith("“sat” (token 3)")
    page.click_at(area, 0, -int(1.4 * tall))
    assert page.get("row") == 1 and page.one(".at-head").text.startswith("“cat” (token 2)")
    choose(page, "Written out", "3")
    assert page.get("row") == 3


def test_cells_are_dragged_and_keyed(open_page):
    page = open_page(AttentionEditor())
    query, key, _ = page.all(".at-pad")
    before = page.get("Q")
    page.drag(query, 0, -40)
    change = np.array(page.get("Q")) - before
    assert np.count_nonzero(change) == 1 and change.sum() == pytest.approx(1, abs=0.11)
    assert page.get("row") == np.argwhere(change)[0, 0]
    page.focus(key)
    assert "Key of cat, token 2, component 1" in key.get_attribute("aria-label")
    first = page.get("K")[1][0]
    page.keys(UP, UP, DOWN)
    assert page.get("K")[1][0] == pytest.approx(first + 0.1, abs=0.05)
    page.keys(RIGHT, RIGHT, RIGHT, RIGHT)
    assert "token 3, component 1" in key.get_attribute("aria-label")
    page.keys(PAGE_DOWN, END)
    assert "Key of on, token 4, component 4" in key.get_attribute("aria-label")
    page.keys(DELETE)
    assert page.get("K")[3][3] == 0 and key.get_attribute("aria-valuetext") == "0.00"
    page.keys(*[UP] * 65)
    assert page.get("K")[3][3] == 6
    page.until("return document.querySelector('[role=status]').textContent.includes('component 4: 6.00')")
    presets = next(s for s in page.all(".cx select") if "identity" in s.get_attribute("innerHTML"))
    assert presets.get_attribute("value") == ""
    choose(page, "Q, K, V", "identity")
    assert (
        page.get("Q")
        == page.get("K")
        == page.get("V")
        == start_tables(page.get("tokens"), 4, 0, "identity")[0].tolist()
    )
    page.click(page.button("Reset"))
    assert page.get("Q") == before and page.get("row") == 2
    assert presets.get_attribute("value") == "projections"


def test_a_longer_key(open_page):
    page = open_page(AttentionEditor())
    before = np.array(page.get("K"))
    choose(page, "of", "3")
    page.slide("Length of the key", 3.0)
    after = np.array(page.get("K"))
    assert np.linalg.norm(after[3]) == pytest.approx(3)
    np.testing.assert_allclose(after[3] / 3, before[3] / np.linalg.norm(before[3]))
    np.testing.assert_array_equal(np.delete(after, 3, 0), np.delete(before, 3, 0))
    scores = now(page)[0]
    np.testing.assert_allclose(scores[:, 3], np.array(page.get("Q")) @ after[3] / 2)
    page.slide("Length of the key", 0.1)
    page.slide("Length of the key", 100)
    assert np.abs(page.get("K")).max() <= 6


def test_masks(open_page):
    page = open_page(AttentionEditor())
    page.radio("causal")
    assert len(page.all(".at-masked")) == 15
    np.testing.assert_allclose(shown(page, "A"), now(page)[1].ravel(), atol=0.0051)
    page.radio("padding")
    assert page.get("padding") == 2 and len(page.all(".at-masked")) == 12
    page.slide("Padding tokens", 4)
    assert len(page.all(".at-masked")) == 24
    page.radio("none")
    masker = page.one(".at-masker")
    page.click_at(masker, 3, 3)  # row 4, column 4
    assert page.get("flipped") == [[3, 3]] and page.get("row") == 3 and len(page.all(".at-masked")) == 1
    assert masker.get_attribute("aria-pressed") == "true" and "minus infinity" in masker.get_attribute(
        "aria-label"
    )
    page.keys(HOME, ENTER, RIGHT, " ", RIGHT, " ", UP, DOWN)
    assert sorted(page.get("flipped")) == [[3, 0], [3, 1], [3, 2], [3, 3]]
    page.keys(ENTER)
    assert sorted(page.get("flipped")) == [[3, 0], [3, 1], [3, 3]]
    page.keys(ENTER, RIGHT, RIGHT, ENTER, RIGHT, ENTER)
    assert len(page.get("flipped")) == 6
    assert "may look at nothing: its softmax is 0 / 0" in page.one(".at-head").text
    assert sum_table(page)[-1][2:] == ["–"] * 5
    page.radio("causal")
    assert page.get("flipped") == []


def test_own_tokens_and_dimensions(open_page):
    page = open_page(AttentionEditor())
    old = page.get("K")
    page.focus(page.all(".at-pad")[1])
    page.keys(UP)
    edited = page.get("K")
    write(page, "a cat sat on mats")
    assert page.get("tokens") == ["a", "cat", "sat", "on", "mats"]
    assert page.get("K")[1:4] == edited[1:4] != old[1:4]
    assert page.get("K")[0] == start_tables(["a"], 4)[1, 0].tolist()
    assert len(page.all(".at-bits")) == 5 and page.get("row") == 2
    write(page, "alone")
    assert page.get("tokens")[0] == "a" and page.one(".at-tokens").get_attribute("aria-invalid") == "true"
    assert "at least 2 words" in page.one(".at-help").text
    write(page, "one two three four five six seven eight nine ten eleven")
    assert "at most 10 words" in page.one(".at-help").text
    write(page, "one two three four five six seven eight nine ten")
    assert len(page.get("tokens")) == 10 and page.one(".at-help").text == "2 to 10 words"
    page.radio("64")
    assert np.shape(page.get("V")) == (10, 64) and "4 of 64" in page.one(".at-sum").text
    before = page.one(".at-big").text
    page.click(page.one(".cx-check"))
    assert page.get("scaled") is False and page.one(".at-big").text != before
    assert page.all(".at-title")[3].text == "S = Q Kᵀ"
    page.click(page.button("Reset"))
    assert page.get("dim") == 4 and page.one(".at-tokens").get_attribute("value") == "the cat sat on the mat"
    assert page.get("scaled") is True and page.get("K") == old


@pytest.mark.parametrize("theme", ["book-light", "book-dark"])
@pytest.mark.parametrize("width", [860, 700, 344])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {
            "tokens": "one twentyone incomprehensibility x four five six seven eight nine",
            "dim": 64,
            "mask": "causal",
        },
    ],
)
def test_themes_and_widths(open_page, theme, width, options):
    page = open_page(AttentionEditor(**options), theme=theme, width=width)
    assert page.audit() == []
    drawing = page.one(".cx-stage > svg")
    assert drawing.rect["width"] <= width
    outside = page.js(
        "const box = arguments[0].getBoundingClientRect();"
        "return [...arguments[0].querySelectorAll('text')].filter((t) => {"
        "const r = t.getBoundingClientRect();"
        "return r.left < box.left - 0.5 || r.right > box.right + 0.5 || r.top < box.top - 2; }).map((t) => t.textContent)",
        drawing,
    )
    assert outside == []


CONTRAST = """
const rgb = (text) => text.match(/[\\d.]+/g).map(Number);
const pen = Object.assign(document.createElement('canvas'), {width: 1, height: 1}).getContext('2d', {willReadFrequently: true});
const solid = (name) => { pen.fillStyle = getComputedStyle(document.querySelector('.cx')).getPropertyValue(name); pen.fillRect(0, 0, 1, 1);
  return [...pen.getImageData(0, 0, 1, 1).data].slice(0, 3); };
const light = (c) => c.map((v) => v / 255).map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
  .reduce((s, v, k) => s + v * [0.2126, 0.7152, 0.0722][k], 0);
const ink = light(solid('--cx-ink')), plot = solid('--cx-plot');
return [...document.querySelectorAll('.at-plus, .at-minus')].map((r) => {
  const c = rgb(getComputedStyle(r).fill), a = Number(getComputedStyle(r).fillOpacity);
  const ground = light(plot.map((v, k) => v + a * (c[k] - v)));
  return (Math.max(ink, ground) + 0.05) / (Math.min(ink, ground) + 0.05);
});
"""


@pytest.mark.parametrize("theme", ["book-light", "book-dark"])
def test_numbers_can_be_read_on_their_cells(open_page, theme):
    page = open_page(AttentionEditor("to be", scaled=False), theme=theme)  # wide cells, all with numbers
    contrast = page.js(CONTRAST)
    assert len(contrast) > 20 and min(contrast) > 4.5


def test_disposing_takes_everything_away(open_page):
    page = open_page(AttentionEditor())
    page.js("host.disposers[0]()")
    assert not page.all(".cx") and all(not h for h in page.js("return host.models[0].handlers").values())
