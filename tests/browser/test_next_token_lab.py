"""The next-token lab: its reading through a window and its sampling, its figure in a real browser."""

from __future__ import annotations

from functools import cache
from xml.etree import ElementTree

import numpy as np
import pytest
import traitlets

from course_utils.explorables import NextTokenLab
from course_utils.explorables._transformer import forward, random_weights, softmax, unpack
from course_utils.explorables.next_token_lab import SHADES, following_logits, windows
from course_utils.explorables.sampling_lab import adjusted, draw, entropy, kept, ranked, uniform

RIGHT, LEFT, DOWN, HOME, END = "\ue014", "\ue012", "\ue015", "\ue011", "\ue010"
LETTERS = list("\n ,.<Oabcdefghijklmnoprstuwyé")
V, CONTEXT = len(LETTERS), 16


@cache
def weights():
    return random_weights(V, CONTEXT, 16, seed=4)


def lab(prompt="Once ", **options):
    return NextTokenLab(weights(), LETTERS, prompt=prompt, **options)


def codes(text):
    return [LETTERS.index(c) for c in text]


def expected(text, context=CONTEXT, heads=4, activation="gelu"):
    """Probabilities (V,) of what follows a text, from a fresh run on the end of it."""
    return softmax(forward(weights(), codes(text)[-context:], heads, True, activation)["logits"][-1])


def continued(text, length, settings=(1.0, None, 1.0), seed=0, drawn=0, **options):
    new = ""
    for n in range(length):
        p = adjusted(expected(text + new, **options), *settings)
        new += LETTERS[draw(p, uniform(seed, drawn + n))]
    return new


# ---- without a browser ----


def test_a_text_is_read_through_a_window():
    text = "Once a king, and a bear "
    rows = following_logits(weights(), codes(text), 4, 7, "gelu")
    assert rows.shape == (len(text), V)
    for k in range(len(text)):
        np.testing.assert_allclose(softmax(rows[k]), expected(text[: k + 1], 7), atol=1e-12)
    assert windows(4, 2) == [(0, 1), (0, 2), (1, 3), (2, 4)]


@pytest.mark.parametrize("generated", ["", "upon a time"])
def test_what_the_widget_shows(generated):
    widget = lab(
        generated=generated, temperature=0.7, top_k=9, top_p=0.9, heads=2, layer=1, head=2, activation="relu"
    )
    now, text = widget.shown(), "Once " + generated
    options = {"heads": 2, "activation": "relu"}
    p = expected(text, **options)
    np.testing.assert_allclose(now["probabilities"], p, atol=1e-9)
    np.testing.assert_allclose(now["adjusted"], adjusted(p, 0.7, 9, 0.9), atol=1e-9)
    assert now["kept"].tolist() == kept(p, 0.7, 9, 0.9).tolist()
    each = [-np.log2(expected(text[:k], **options)[LETTERS.index(text[k])]) for k in range(1, len(text))]
    np.testing.assert_allclose(now["surprises"], each, atol=1e-9)
    assert now["loss"] == pytest.approx(np.mean(each))
    run = forward(weights(), codes(text)[-CONTEXT:], 2, True, "relu")
    np.testing.assert_allclose(now["attention"], run["blocks"][0]["attention"][1, -1], atol=1e-12)
    assert widget.continuation(6) == continued(text, 6, (0.7, 9, 0.9), drawn=len(generated), **options)
    assert widget.continuation(6) == widget.continuation(6)


def test_preview_and_description():
    widget = lab("<b ", generated="éa\n", temperature=0.5, top_k=2)
    picture, text, now = widget.preview(), widget.description, widget.shown()
    ElementTree.fromstring(picture)
    assert "&lt;" in picture and picture.count("cut") == 8 and len(picture.encode()) < 12_000
    assert (
        f"{now['loss']:.2f} bits per character" in text and f"{now['loss']:.2f} bits per character" in picture
    )
    best = ranked(now["probabilities"])[0]
    assert f"{now['probabilities'][best]:.2f} (after the settings {now['adjusted'][best]:.2f})" in text
    assert "2 of 29 characters can be drawn. Head 1 of layer 2 looks with weight" in text
    first = lab("a")
    assert "bits" not in first.description.split("looks")[1] and np.isnan(first.shown()["loss"])
    ElementTree.fromstring(first.preview())
    first.prompt = ""
    assert "waits for a prompt" in first.description
    ElementTree.fromstring(first.preview())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"prompt": ""}, "prompt must be a text of 1 to 120 characters"),
        ({"prompt": "a" * 121}, "1 to 120"),
        ({"prompt": 3}, "prompt must be a text"),
        ({"prompt": "The "}, "does not know the character 'T'; it is not in vocabulary"),
        ({"generated": "a" * 400}, "at most 400 characters"),
        ({"generated": "Q"}, "'Q'"),
        ({"vocabulary": LETTERS[:-1]}, "holds 28 tokens, but the model knows 29"),
        ({"vocabulary": [*LETTERS[:-1], "<pad>"]}, "single characters; '<pad>' has 5"),
        ({"weights": {}}, "weights lack 'token_embedding'"),
        ({"heads": 3}, "heads must be a whole number that divides the width 16, not 3"),
        ({"context": 17}, "context must be a whole number from 1 to 16, not 17"),
        ({"activation": "tanh"}, "activation must be one of 'gelu', 'relu'"),
        ({"temperature": 0.05}, "temperature must lie between 0.1 and 2"),
        ({"temperature": "hot"}, "temperature must lie between"),
        ({"top_k": 99}, "top_k must be a whole number from 1 to 29"),
        ({"top_p": 0.01}, "top_p must lie between 0.05 and 1"),
        ({"seed": -1}, "seed must be a whole number from 0"),
        ({"length": 0}, "length must be a whole number from 1 to 100"),
        ({"layer": 3}, "layer must be a whole number from 1 to 2, not 3"),
        ({"head": 5}, "head must be a whole number from 1 to 4, not 5"),
    ],
)
def test_wrong_options_are_one_sentence(options, message):
    with pytest.raises(ValueError, match=message):
        NextTokenLab(**{"weights": weights(), "vocabulary": LETTERS, **options})


def test_traits_are_checked_later_too():
    widget = lab()
    for name, value in (
        ("prompt", "THE"), ("generated", "Q"), ("temperature", 5.0), ("top_k", 0), ("top_k", 99), ("top_p", 0.0), ("layer", 3), ("head", 0),
    ):  # fmt: skip
        with pytest.raises(traitlets.TraitError):
            setattr(widget, name, value)
    widget.top_k = None
    widget.generated = "ab"
    assert widget.shown()["text"] == "Once ab"
    assert sum(np.size(w) for w in unpack(widget.network).values()) == sum(w.size for w in weights().values())


# ---- in the browser ----

NET = (
    "const { math } = host.modules[0], net = math.transformer.decode(host.models[0].get('network')), V = host.models[0].get('vocabulary');"
    "const codes = (t) => Array.from(t, (c) => V.indexOf(c));"
)


def bars(page):
    return page.js(
        "return [...document.querySelectorAll('.sa-row')].map((r) => ({"
        "name: r.querySelector('.sa-name').textContent, cut: r.classList.contains('sa-cut'),"
        "numbers: [...r.querySelectorAll('.sa-number')].map((n) => n.textContent),"
        "widths: ['before', 'after'].map((k) => parseFloat(r.querySelector('.sa-' + k).style.width)) }))"
    )


def type_prompt(page, text):
    page.js(
        "const [f, t] = arguments; f.value = t; f.dispatchEvent(new Event('input'))",
        page.one("textarea"),
        text,
    )
    page.settle()


def test_browser_computes_the_same_numbers(open_page):
    page = open_page(lab())
    text = "Once a king, and a bear\nand"
    for context in (CONTEXT, 7, 1):
        got = page.js(
            NET + "const [text, context] = arguments, reader = math.reader(net, context)(codes(text));"
            "return codes(text + 'a').slice(1).map((_, k) => [reader.chances(k + 1), reader.attention(k + 1, 1, 2), reader.start(k + 1)])",
            text,
            context,
        )
        rows = softmax(following_logits(weights(), codes(text), 4, context, "gelu"))
        for k, (chances, attention, start) in enumerate(got):
            np.testing.assert_allclose(chances, rows[k], atol=1e-9)
            first, stop = windows(len(text), context)[k]
            run = forward(weights(), codes(text)[first:stop], 4)
            np.testing.assert_allclose(attention, run["blocks"][1]["attention"][2, -1], atol=1e-9)
            assert start == first
    for settings in ((1, None, 1), (0.3, None, 1), (1.6, 7, 1), (1.2, None, 0.8), (0.9, 12, 0.5)):
        p = expected(text)
        found = page.js(
            NET + "const [p, s] = arguments, a = math.sampling.adjust(p, ...s);"
            "return [a.adjusted, a.reason.map((r) => !r), math.sampling.ranked(p), math.sampling.entropy(p)]",
            p.tolist(),
            settings,
        )
        np.testing.assert_allclose(found[0], adjusted(p, *settings), atol=1e-12)
        assert found[1] == kept(p, *settings).tolist() and found[2] == ranked(p).tolist()
        assert found[3] == pytest.approx(entropy(p))
        drawn = page.js(
            NET + "const [text, context, temperature, topK, topP] = arguments;"
            "return math.generate(net, context, codes(text), 30, { temperature, topK, topP, seed: 12, drawn: 3 }).map((k) => V[k]).join('')",
            text,
            9,
            *settings,
        )
        assert drawn == continued(text, 30, settings, seed=12, drawn=3, context=9)
    numbers = page.js(NET + "return [0, 1, 2, 77].map((n) => math.sampling.uniform(2147483647, n))")
    np.testing.assert_allclose(numbers, [uniform(2147483647, n) for n in (0, 1, 2, 77)], atol=0)


def test_a_reader_that_sees_texts_change_reads_each_afresh(open_page):
    page = open_page(lab())
    texts = [
        "Once a king",
        "Once a king, and a bear",
        "Once a king, and a boar",
        "a",
        "Ones a king, and a boar",
        "Ones a king, and",
    ]
    got = page.js(
        NET + "const [texts] = arguments, reading = math.reader(net, 8);"
        "return texts.map((t) => { const r = reading(codes(t)); return Array.from(t, (_, k) => r.chances(k + 1)); })",
        texts,
    )
    for text, rows in zip(texts, got, strict=True):
        np.testing.assert_allclose(
            rows, softmax(following_logits(weights(), codes(text), 4, 8, "gelu")), atol=1e-9
        )


def test_bars_and_words_are_what_python_computes(open_page):
    widget = lab("Once a king ", temperature=0.7, top_k=9, top_p=0.9, generated="as", head=3, layer=1)
    page = open_page(widget)
    now, rows = widget.shown(), bars(page)
    order = ranked(now["probabilities"])[:12]
    longest = max(now["probabilities"].max(), now["adjusted"].max())
    full = min(v for v in (0.25, 0.5, 1) if longest <= v)
    np.testing.assert_allclose(
        [r["widths"] for r in rows],
        100 * np.array([now["probabilities"], now["adjusted"]]).T[order] / full,
        atol=0.006,
    )
    assert [r["cut"] for r in rows] == (~now["kept"][order]).tolist()
    assert rows[9]["numbers"][1] == "cut: top-k" and "cut: top-p" in {r["numbers"][1] for r in rows}
    assert "17 others: together" in page.one(".sa-rest").text
    text = page.one(".nt-readout").text
    assert f"{now['loss']:.2f} bits" in text and f"over {len(now['surprises'])} characters" in text
    assert f"a loss of {now['loss'] * np.log(2):.2f} nats" in text and "After the prompt alone" in text
    assert (
        f"{entropy(now['probabilities']):.2f} bits" in text and f"{now['kept'].sum()} characters left" in text
    )
    cells = page.all(".nt-text [data-k]")
    assert len(cells) == 15 and len(page.all(".nt-text .nt-prompt")) == 12
    shades = [int(c.get_attribute("class").split()[1][-1]) for c in cells[1:-1]]
    assert shades == [sum(bits >= v for v in SHADES) for bits in now["surprises"]]
    heights = page.js(
        "return [...document.querySelectorAll('.nt-text [data-k] > i')].map((i) => parseFloat(i.style.height))"
    )
    np.testing.assert_allclose(heights[:-1], 24 * now["attention"], atol=0.051)
    j = int(now["attention"].argmax())
    assert f"({14 - j} back) {now['attention'][j]:.2f}" in page.one(".nt-looks").text
    assert page.one(".nt-looks").text.startswith("Before it, head 3 of layer 1 looks at")


def test_another_head(open_page):
    widget = lab("Once a king ", layer=1)
    page = open_page(widget)
    layer, head = page.all(".nt-pair select")
    page.choose(layer, "2")
    page.choose(head, "4")
    assert (page.get("layer"), page.get("head")) == (2, 4)
    widget.layer, widget.head = 2, 4
    heights = page.js(
        "return [...document.querySelectorAll('.nt-text [data-k] > i')].map((i) => parseFloat(i.style.height))"
    )
    np.testing.assert_allclose(heights[:-1], 24 * widget.shown()["attention"], atol=0.051)
    page.until(
        "return document.querySelector('[role=status]').textContent.includes('head 4 of layer 2 looks at')"
    )


def test_sampling_by_buttons_gives_the_text_of_the_seed(open_page):
    settings = (0.8, 15, 0.95)
    page = open_page(lab(temperature=0.8, top_k=15, top_p=0.95, seed=4))
    wanted = continued("Once ", 25, settings, seed=4)
    for k in range(3):
        page.click(page.button("Sample one"))
        assert page.get("generated") == wanted[: k + 1]
    saves = page.js("return host.saves[0]")
    page.click(page.button("Sample 20"))
    page.until("return host.models[0].get('generated').length === 23")
    page.until("return ![...document.querySelectorAll('button')].some((b) => b.textContent === 'Stop')")
    assert page.get("generated") == wanted[:23]  # longer than the context of 16
    assert "out of its sight" in page.one(".nt-looks").text and len(page.all(".nt-unseen")) == 12
    assert page.js("return host.saves[0]") == saves + 1  # one message to Python for the whole run
    page.click(page.button("Back to the prompt"))
    assert page.get("generated") == "" and not page.button("Back to the prompt").is_enabled()
    page.click(page.button("Sample 20"))
    page.until("return host.models[0].get('generated').length > 2")
    page.click(page.button("Stop"))
    part = page.get("generated")
    assert wanted.startswith(part) and len(part) < 20
    page.settle(12)
    assert page.get("generated") == part
    page.click(page.button("Other seed"))
    assert page.get("seed") == 5 and page.get("generated") == ""
    page.click(page.button("Sample one"))
    assert page.get("generated") == continued("Once ", 1, settings, seed=5)
    page.until("return document.querySelector('[role=status]').textContent.includes('added, surprise')")


def test_a_calm_reader_gets_the_whole_run_at_once(open_page, calm_browser):
    page = open_page(lab(length=30), driver=calm_browser)
    page.click(page.button("Sample 30"))
    assert page.get("generated") == continued("Once ", 30)
    page.button("Sample 30")


def test_a_click_on_a_bar_appends_that_character(open_page):
    page = open_page(lab())
    order = ranked(expected("Once "))
    page.click(page.all(".sa-row")[2])
    first = LETTERS[order[2]]
    assert page.get("generated") == first
    order = ranked(expected("Once " + first))
    page.keys(DOWN, "\ue007")  # the focus stayed; one further down, Enter
    assert page.get("generated") == first + LETTERS[order[3]]
    page.keys(HOME, " ")
    order = ranked(expected("Once " + page.get("generated")[:2]))
    assert page.get("generated")[2] == LETTERS[order[0]]
    assert sum(r.get_attribute("tabindex") == "0" for r in page.all(".sa-row")) == 1
    page.slide("top-k", 2)
    cut = page.all(".sa-row")[5]
    assert "cut: top-k" in cut.get_attribute("aria-label")
    page.click(cut)  # what is cut cannot be drawn, but you may choose it
    assert len(page.get("generated")) == 4


def test_sliders_change_the_bars_but_not_the_model(open_page):
    page = open_page(lab("a bear "))
    p, before = expected("a bear "), bars(page)
    page.slide("temperature", 0.4)
    page.slide("top-k", 8)
    page.slide("top-p", 0.8)
    assert (page.get("temperature"), page.get("top_k"), page.get("top_p")) == (0.4, 8, 0.8)
    rows = bars(page)
    assert [r["numbers"][0] for r in rows] == [r["numbers"][0] for r in before]
    assert [r["cut"] for r in rows] == (~kept(p, 0.4, 8, 0.8)[ranked(p)])[:12].tolist()
    page.slide("top-k", V)
    assert page.get("top_k") is None
    page.click(page.button("Reset"))
    assert bars(page) == before and page.get("temperature") == 1 and page.get("top_p") == 1


def test_typing_a_prompt(open_page):
    page = open_page(lab(generated="abc"))
    type_prompt(page, "An Éclair, 7!")
    assert page.get("prompt") == "an éclair, " and page.get("generated") == ""
    assert page.one("textarea").get_property("value") == "an éclair, "
    fault = page.one(".nt-fault").text
    assert "never saw it" in fault and "7" in fault and "!" in fault
    page.focus(page.one("textarea"))
    page.keys(END, "d", "o", "\ue007")
    assert page.get("prompt") == "an éclair, do\n" and page.one(".nt-fault").text == ""
    assert "⏎" in page.one(".nt-text").text
    type_prompt(page, "")
    assert "at least one character" in page.one(".nt-fault").text
    assert not page.button("Sample one").is_enabled() and not page.all(".sa-row")[0].is_enabled()
    type_prompt(page, "<b")
    assert page.button("Sample one").is_enabled()
    assert page.one(".nt-text").get_property("textContent") == "<b?"
    page.click(page.button("Reset"))
    assert page.get("prompt") == "Once " and page.get("generated") == "abc"


def test_looking_back_by_pointer_and_keys(open_page):
    from selenium.webdriver.common.action_chains import ActionChains

    widget = lab(generated="bear")
    page = open_page(widget)
    each, box = widget.shown()["surprises"], page.one(".nt-text")
    assert page.one(".nt-line:not(.nt-looks)").text.startswith("The next character: most probable is")
    ActionChains(page.driver, duration=20).move_to_element(page.all(".nt-text [data-k]")[6]).perform()
    page.settle()
    text = page.one(".nt-line:not(.nt-looks)").text
    assert text.startswith("Character 7, e: probability") and f"({each[5]:.1f} bits)" in text
    p = expected("Once b")
    assert page.one(".nt-title").text == "Expected as character 7"
    assert float(bars(page)[0]["numbers"][0]) == pytest.approx(p.max(), abs=0.006)
    assert not page.all(".sa-row")[0].is_enabled()
    run = forward(weights(), codes("Once b"), 4)["blocks"][1]["attention"][0, -1]
    heights = page.js(
        "return [...document.querySelectorAll('.nt-text [data-k] > i')].map((i) => parseFloat(i.style.height))"
    )
    np.testing.assert_allclose(heights, [*(24 * run), *[0] * 4], atol=0.051)
    page.focus(box)
    page.keys(HOME)
    assert "nothing stands before it" in box.get_attribute("aria-valuetext")
    page.keys(RIGHT, RIGHT, RIGHT, LEFT)
    assert (
        box.get_attribute("aria-valuenow") == "3"
        and "Character 3, c" in page.one(".nt-line:not(.nt-looks)").text
    )
    page.keys(END)
    assert box.get_attribute("aria-valuenow") == "10" and page.all(".sa-row")[0].is_enabled()


def test_the_text_ends_somewhere(open_page):
    page = open_page(lab("ab", generated="cd" * 198))
    page.click(page.button("Sample 20"))
    page.until("return host.models[0].get('generated').length === 398")
    page.settle()
    assert "At 400 characters" in page.one(".nt-fault").text
    assert not page.button("Sample 20").is_enabled()
    page.click(page.button("Back to the prompt"))
    assert page.button("Sample 20").is_enabled()


def test_instances_do_not_interfere_and_clean_up(open_page):
    page = open_page(lab(), lab("a "))
    page.click(next(b for b in page.all("button") if b.text == "Sample 20"))
    page.until("return host.models[0].get('generated').length > 2")
    page.js("host.disposers[0]()")
    assert page.js("return Object.values(host.models[0].handlers).flat().length") == 0
    part = page.get("generated")
    page.click(page.button("Sample one"))
    page.settle(8)
    assert page.get("generated") == part and len(page.get("generated", 1)) == 1


@pytest.mark.parametrize("theme", ["book-light", "book-dark", "lab-dark"])
@pytest.mark.parametrize("width", [344, 600, 860])
def test_no_text_too_small_nothing_overflows(open_page, theme, width):
    widget = lab("Once\n", top_k=5, top_p=0.8, generated="a" * 90 + " " + "bear " * 20)
    page = open_page(widget, theme=theme, width=width)
    assert page.audit() == []
    assert page.one(".cx").get_attribute("data-cx-theme") == theme.split("-")[1]
