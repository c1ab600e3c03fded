"""The sampling lab: its character model against Keras, its sampling, its figure in a real browser."""

from __future__ import annotations

import json
from functools import cache
from xml.etree import ElementTree

import numpy as np
import pytest
import traitlets

from course_utils.explorables import SamplingLab
from course_utils.explorables.sampling_lab import (
    adjusted,
    all_logits,
    character_probabilities,
    draw,
    entropy,
    export,
    generate,
    glyph,
    kept,
    logits,
    perplexity,
    probabilities,
    ranked,
    uniform,
    unpack,
)

RIGHT, LEFT, DOWN, HOME = "\ue014", "\ue012", "\ue015", "\ue011"
ALPHABET = "\n ,.<abcdefghijklmnoprstuwyé"
V = len(ALPHABET)


def build(*stack, size=V, width=8):
    import keras
    from keras import layers

    return keras.Sequential(
        [keras.Input((None,), dtype="int32"), layers.Embedding(size, width, name="embedding"), *stack]
    )


def scatter(model, seed=0):
    """Weights of every layer drawn anew, large enough that the model is sometimes rather sure."""
    rng = np.random.default_rng(seed)
    for layer in model.layers:
        layer.set_weights(
            [rng.normal(0, 1.2 if w.ndim == 1 or len(w) < 30 else 0.6, w.shape) for w in layer.get_weights()]
        )
    return model


def models():
    from keras import layers

    return {
        "lstm": lambda: build(
            layers.LSTM(12, return_sequences=True, dropout=0.2),
            layers.Dropout(0.5),
            layers.LSTM(10),
            layers.Dense(V),
        ),
        "gru": lambda: build(layers.GRU(14, return_sequences=True), layers.Dense(V, use_bias=False)),
        "mixed": lambda: build(
            layers.GRU(9, use_bias=False, return_sequences=True),
            layers.LSTM(7, use_bias=False),
            layers.Dense(V),
        ),
        "last": lambda: build(layers.Dense(V)),
    }


@cache
def network(name="gru"):
    pytest.importorskip("tensorflow")
    return scatter(models()[name]())


def lab(name="gru", **options):
    return SamplingLab(network(name), ALPHABET, **options)


# ---- without a browser ----


@pytest.mark.parametrize("name", ["lstm", "gru", "mixed", "last"])
def test_logits_are_kerass(name):
    model, text = network(name), "a good day,\nbut née"
    text = "".join(c for c in text if c in ALPHABET)
    exported = export(model, ALPHABET)
    for n in (1, 2, len(text)):
        codes = np.array([[ALPHABET.index(c) for c in text[:n]]])
        wanted = model(codes, training=False).numpy()[0]
        got = all_logits(exported, text[:n])
        if wanted.ndim == 2:
            np.testing.assert_allclose(got, wanted, atol=1e-4)
        np.testing.assert_allclose(logits(exported, text[:n]), wanted.reshape(-1, V)[-1], atol=1e-4)


def test_half_precision_only_rounds():
    full, half = (export(network("lstm"), ALPHABET, p) for p in ("float32", "float16"))
    assert len(half["weights"]) < 0.51 * len(full["weights"])
    for a, b in zip(unpack(full), unpack(half), strict=True):
        np.testing.assert_array_equal(a.astype(np.float16), b)
    p, q = (probabilities(logits(e, "the end")) for e in (full, half))
    np.testing.assert_allclose(p, q, atol=0.01)
    assert (
        lab().network["precision"] == "float32" and lab(precision="float16").network["precision"] == "float16"
    )


def test_a_large_model_becomes_float16_and_stays_small():
    from keras import layers

    model = build(layers.LSTM(140), layers.Dense(V), width=32)
    widget = SamplingLab(model, ALPHABET)
    assert 100_000 < model.count_params() < 120_000 and widget.network["precision"] == "float16"
    assert len(json.dumps(widget.network)) < 330_000


def test_what_temperature_top_k_and_top_p_do():
    p = np.array([0.1, 0.4, 0.2, 0.2, 0.1])
    np.testing.assert_allclose(adjusted(p), p)
    squared = p**2 / (p**2).sum()
    np.testing.assert_allclose(adjusted(p, 0.5), squared)
    z = np.log(p) / 1.7
    np.testing.assert_allclose(adjusted(p, 1.7), np.exp(z) / np.exp(z).sum())
    np.testing.assert_allclose(adjusted(p, top_k=2), [0, 2 / 3, 1 / 3, 0, 0])  # of equals the first
    np.testing.assert_allclose(adjusted(p, top_k=1), [0, 1, 0, 0, 0])
    assert kept(p, top_p=0.4).tolist() == [False, True, False, False, False]
    assert kept(p, top_p=0.41).tolist() == [False, True, True, False, False]
    assert kept(p, top_p=0.9).tolist() == [True, True, True, True, False]
    assert kept(p, top_p=0.01).sum() == 1 and kept(p, top_p=1).all()
    # the temperature comes before top-p, and so does top-k: 0.4 of 0.6 is more than 0.65
    assert [kept(p, T, top_p=0.75).sum() for T in (0.3, 1, 2)] == [1, 3, 4]
    assert kept(p, 1, 2, 0.65).sum() == 1
    assert np.isfinite(adjusted([0, 1, 0], 0.1)).all()
    for options, message in (
        ({"temperature": 0}, "temperature must be above 0"),
        ({"top_k": 0}, "top_k must be a whole number from 1 to 5, or None"),
        ({"top_k": 2.5}, "whole number"),
        ({"top_p": 0}, "top_p must lie between 0 and 1"),
        ({"top_p": 1.1}, "top_p must lie"),
    ):
        with pytest.raises(ValueError, match=message):
            adjusted(p, **options)


def test_draws_follow_the_probabilities_and_the_seed():
    p = np.array([0.1, 0.4, 0.0, 0.3, 0.2])
    assert [draw(p, u) for u in (0, 0.39, 0.41, 0.69, 0.71, 0.91, 0.999999)] == [1, 1, 3, 3, 4, 0, 0]
    numbers = np.array([uniform(3, n) for n in range(4000)])
    assert abs(numbers.mean() - 0.5) < 0.02 and abs(numbers.std() - 12**-0.5) < 0.01
    shares = np.bincount([draw(p, u) for u in numbers], minlength=5) / 4000
    np.testing.assert_allclose(shares, p, atol=0.025)
    exported = export(network(), ALPHABET)
    text = generate(exported, "the ", 30, 0.9, 20, 0.95, seed=5)
    assert text == generate(exported, "the ", 30, 0.9, 20, 0.95, seed=5)
    assert text != generate(exported, "the ", 30, 0.9, 20, 0.95, seed=6)
    later = generate(exported, "the " + text[:10], 20, 0.9, 20, 0.95, seed=5, drawn=10)
    assert text[10:] == later  # a run that was stopped goes on as if it had not been
    greedy = generate(exported, "the ", 12, greedy=True)
    assert greedy == generate(exported, "the ", 12, top_k=1, seed=9)


def test_entropy_and_perplexity():
    assert entropy(np.full(8, 1 / 8)) == pytest.approx(3) and entropy([0, 1, 0]) == 0
    assert perplexity(np.full(5, 0.25)) == pytest.approx(4) and np.isnan(perplexity([]))
    exported = export(network(), ALPHABET)
    each = character_probabilities(exported, "the end")
    rows = probabilities(all_logits(exported, "the end"))
    np.testing.assert_allclose(each, [rows[k, ALPHABET.index(c)] for k, c in enumerate("he end")])
    assert perplexity(each) == pytest.approx(2 ** -np.log2(each).mean())
    assert ranked([0.2, 0.5, 0.2, 0.1]).tolist() == [1, 0, 2, 3]
    assert [glyph(c) for c in " \n\ta\u00a0\x00"] == ["␣", "⏎", "⇥", "a", "U+00A0", "U+0000"]


def test_preview_and_description_hold_the_numbers():
    widget = lab(prompt="a <b", temperature=0.7, top_k=6, top_p=0.8, generated="c\n")
    now = widget.shown()
    picture = widget.preview()
    root = ElementTree.fromstring(picture)
    assert len(picture.encode()) < 10_000
    texts = ["".join(e.itertext()) for e in root.iter() if e.tag.endswith("text")]
    assert any("a <bc⏎" in t for t in texts) and "cut" in texts
    best = ranked(now["probabilities"])
    for token in best[:3]:
        assert f"{now['probabilities'][token]:.3f}" in texts and glyph(ALPHABET[token]) in texts
    assert f"{now['adjusted'][best[0]]:.3f}" in texts
    text = widget.description
    assert f"{now['probabilities'][best[0]]:.2f} (after the settings {now['adjusted'][best[0]]:.2f})" in text
    assert f"{now['kept'].sum()} of {V} characters can be drawn" in text
    assert f"perplexity {now['perplexity']:.2f}" in text and now["kept"].sum() <= 6
    alone = lab(prompt="a")
    assert "perplexity" not in alone.description
    alone.prompt = ""
    assert "waits for a prompt" in alone.description
    ElementTree.fromstring(alone.preview())


@pytest.mark.parametrize(
    ("stack", "message"),
    [
        (
            lambda k: [k.SimpleRNN(4, name="plain"), k.Dense(V)],
            r"'plain' \(SimpleRNN\) is not among the layers",
        ),
        (lambda k: [k.Bidirectional(k.LSTM(4), name="both"), k.Dense(V)], r"'both' \(Bidirectional\) is not"),
        (
            lambda k: [k.GRU(4, reset_after=False, name="old"), k.Dense(V)],
            "'old'.*must have reset_after=True",
        ),
        (lambda k: [k.LSTM(4, activation="relu", name="bent"), k.Dense(V)], "'bent'.*usual activations"),
        (lambda k: [k.LSTM(4, go_backwards=True, name="back"), k.Dense(V)], "'back'.*reads backwards"),
        (
            lambda k: (
                [k.GRU(4, return_sequences=True) for _ in range(2)] + [k.GRU(4, name="third"), k.Dense(V)]
            ),
            "'third'.*third recurrent layer",
        ),
        (lambda k: [k.LSTM(4), k.Dense(V, activation="softmax", name="end")], "'end'.*ends in softmax"),
        (
            lambda k: [k.LSTM(4), k.Dense(V + 1, name="end")],
            f"'end'.*gives {V + 1} logits, but alphabet holds {V}",
        ),
        (lambda k: [k.LSTM(4), k.Dense(V), k.Dense(V, name="more")], "'more'.*stands behind the Dense"),
        (lambda k: [k.LSTM(4)], "must end in a Dense"),
        (lambda k: [k.Embedding(V, 3, name="again"), k.Dense(V)], "'again'.*second Embedding"),
        (lambda k: [k.LSTM(200), k.Dense(V)], "parameters; at most 120,000 fit"),
    ],
)
def test_models_the_figure_cannot_run_are_named(stack, message):
    keras = pytest.importorskip("keras")
    with pytest.raises(ValueError, match=message):
        export(build(*stack(keras.layers)), ALPHABET)


def test_more_models_that_do_not_fit():
    import keras
    from keras import layers

    with pytest.raises(ValueError, match=f"knows {V + 2} tokens, but alphabet holds {V}"):
        export(build(layers.Dense(V), size=V + 2), ALPHABET)
    with pytest.raises(ValueError, match="masks token 0"):
        export(
            keras.Sequential(
                [
                    keras.Input((None,)),
                    layers.Embedding(V, 3, mask_zero=True),
                    layers.LSTM(3),
                    layers.Dense(V),
                ]
            ),
            ALPHABET,
        )
    with pytest.raises(ValueError, match=r"\(Dense\) stands where the model must begin with an Embedding"):
        export(keras.Sequential([keras.Input((4,)), layers.Dense(V)]), ALPHABET)
    with pytest.raises(ValueError, match="not built"):
        export(keras.Sequential([layers.Embedding(V, 3), layers.Dense(V)]), ALPHABET)
    with pytest.raises(ValueError, match=r"must be a keras\.Sequential, not Functional"):
        inputs = keras.Input((None,))
        export(keras.Model(inputs, layers.Embedding(V, 3)(inputs)), ALPHABET)
    for alphabet, message in (
        (list(ALPHABET), "alphabet must be a string"),
        ("", "alphabet must be a string"),
        ("abca", "each character once; 'a' stands"),
        ("".join(map(chr, range(300, 600))), "300 characters; at most 256"),
    ):
        with pytest.raises(ValueError, match=message):
            export(network(), alphabet)
    with pytest.raises(ValueError, match="precision must be"):
        export(network(), ALPHABET, "float64")
    spoilt = keras.models.clone_model(network())
    spoilt.set_weights([w + np.nan for w in network().get_weights()])
    with pytest.raises(ValueError, match="not finite"):
        export(spoilt, ALPHABET)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"prompt": ""}, "prompt must be a text of 1 to 200 characters"),
        ({"prompt": "a" * 201}, "1 to 200"),
        ({"prompt": "The "}, "does not know the character 'T'"),
        ({"generated": "a" * 600}, "at most 600 characters"),
        ({"generated": "Q"}, "'Q'"),
        ({"temperature": 0.05}, "temperature must lie between 0.1 and 2"),
        ({"temperature": -1}, "temperature must be above 0"),
        ({"top_k": 99}, f"top_k must be a whole number from 1 to {V}"),
        ({"top_p": 0.01}, "top_p must lie between 0.05 and 1"),
        ({"seed": -1}, "seed must lie between 0"),
        ({"length": 0}, "length must lie between 1 and 200"),
    ],
)
def test_wrong_options_are_one_sentence(options, message):
    with pytest.raises(ValueError, match=message):
        lab(**options)


def test_an_unknown_or_empty_text_is_refused():
    exported = export(network(), ALPHABET)
    with pytest.raises(ValueError, match="does not know the character 'X'"):
        logits(exported, "aX")
    with pytest.raises(ValueError, match="text is empty"):
        logits(exported, "")


def test_traits_are_checked_later_too():
    widget = lab()
    for name, value in (("prompt", "THE"), ("temperature", 5.0), ("top_k", 0), ("top_k", 99), ("top_p", 0.0)):
        with pytest.raises(traitlets.TraitError):
            setattr(widget, name, value)
    widget.top_k = None
    widget.generated = "ab"
    assert widget.shown()["text"] == "the ab"


# ---- in the browser ----

NET = "const m = host.modules[0].math, net = m.decode(host.models[0].get('network'));"


def read(page):
    """Rows of bars: label, numbers, widths in per cent, whether cut."""
    return page.js(
        "return [...document.querySelectorAll('.sl-rows .sl-row')].map((r) => ({"
        "name: r.querySelector('.sl-name').textContent, cut: r.classList.contains('sl-cut'),"
        "numbers: [...r.querySelectorAll('.sl-number')].map((n) => n.textContent),"
        "widths: ['before', 'after'].map((k) => parseFloat(r.querySelector('.sl-' + k).style.width)) }))"
    )


def slide(page, k, value):
    page.js(
        "const [s, v] = arguments; s.value = v; s.dispatchEvent(new Event('input'));"
        "s.dispatchEvent(new Event('change'))",
        page.all(".cx-panel input[type=range]")[k],
        value,
    )
    page.settle()


def type_prompt(page, text):
    page.js(
        "const [f, t] = arguments; f.value = t; f.dispatchEvent(new Event('input'))",
        page.one("textarea"),
        text,
    )
    page.settle()


@pytest.mark.parametrize(
    ("name", "precision"),
    [("lstm", "float32"), ("gru", "float16"), ("mixed", "float32"), ("last", "float32")],
)
def test_browser_computes_the_same_numbers(open_page, name, precision):
    page = open_page(lab(name, precision=precision))
    exported, text = export(network(name), ALPHABET, precision), "then a bear,\nand"
    got = page.js(NET + "return m.logits(net, arguments[0])", text)
    np.testing.assert_allclose(got, all_logits(exported, text), atol=1e-9)
    for options in ((1, None, 1), (0.3, None, 1), (1.6, 7, 1), (1.2, None, 0.8), (0.9, 12, 0.5)):
        temperature, top_k, top_p = options
        p = probabilities(all_logits(exported, text)[-1])
        found = page.js(
            NET + "const p = m.softmax(arguments[0]), a = m.adjust(p, ...arguments[1]);"
            "return [p, a.adjusted, a.reason.map((r) => !r), m.ranked(p), m.entropy(p), m.perplexity(p)]",
            got[-1],
            options,
        )
        np.testing.assert_allclose(found[0], p, atol=1e-12)
        np.testing.assert_allclose(found[1], adjusted(p, *options), atol=1e-12)
        assert found[2] == kept(p, *options).tolist() and found[3] == ranked(p).tolist()
        np.testing.assert_allclose(found[4:], [entropy(p), perplexity(p)], rtol=1e-9)
        drawn = page.js(
            NET + "const [text, temperature, topK, topP] = arguments;"
            "return m.generate(net, text, 40, { temperature, topK, topP, seed: 12, drawn: 3 })",
            text,
            temperature,
            top_k,
            top_p,
        )
        assert drawn == generate(exported, text, 40, *options, seed=12, drawn=3)
    numbers = page.js(NET + "return [0, 1, 2, 77].map((n) => m.uniform(2147483647, n))")
    np.testing.assert_allclose(numbers, [uniform(2147483647, n) for n in (0, 1, 2, 77)], atol=0)


def test_bars_and_words_are_what_python_computes(open_page):
    widget = lab(prompt="the king ", temperature=0.7, top_k=9, top_p=0.9, generated="as")
    page = open_page(widget)
    now, rows = widget.shown(), read(page)
    order = ranked(now["probabilities"])
    longest = max(now["probabilities"].max(), now["adjusted"].max())
    full = min(v for v in (0.25, 0.5, 1) if longest <= v)
    assert [r["name"] for r in rows] == [glyph(ALPHABET[k]).replace("␣", "space") for k in order]
    wanted = 100 * np.array([now["probabilities"], now["adjusted"]]).T[order] / full
    np.testing.assert_allclose([r["widths"] for r in rows], wanted, atol=0.006)
    assert [r["cut"] for r in rows] == (~now["kept"][order]).tolist()
    assert rows[9]["numbers"][1] == "cut: top-k" and "cut: top-p" in {r["numbers"][1] for r in rows}
    assert float(rows[0]["numbers"][0]) == pytest.approx(now["probabilities"].max(), abs=0.006)
    text = page.one(".sl-readout").text
    assert (
        f"{now['entropy']:.2f} bits" in text and f"After the settings: {now['adjusted_entropy']:.2f}" in text
    )
    assert f"{now['kept'].sum()} characters left" in text and "over 10 characters" in text
    assert "Perplexity {:g}".format(float(format(now["perplexity"], ".3g"))) in text
    spans = page.all(".sl-text [data-k]")
    shades = [int(s.get_attribute("class").split()[0][-1]) for s in spans]
    assert shades[1:] == [sum(p < v for v in (0.5, 0.2, 0.05, 0.01)) for p in now["characters"]]
    assert "".join(
        page.js("return [...document.querySelectorAll('.sl-text [data-k]')].map((s) => s.textContent)")
    ) == ("the king as")
    assert len(page.all(".sl-text .sl-prompt")) == 9


def test_sampling_by_buttons_gives_the_text_of_the_seed(open_page):
    page = open_page(lab(temperature=0.8, top_k=15, top_p=0.95, seed=4, length=20))
    exported = export(network(), ALPHABET)
    wanted = generate(exported, "the ", 25, 0.8, 15, 0.95, seed=4)
    for k in range(3):
        page.click(page.button("Sample one"))
        assert page.get("generated") == wanted[: k + 1]
    saves = page.js("return host.saves[0]")
    page.click(page.button("Sample 20"))
    page.button("Stop")
    page.until("return host.models[0].get('generated').length === 23")
    page.until("return ![...document.querySelectorAll('button')].some((b) => b.textContent === 'Stop')")
    assert page.get("generated") == wanted[:23]
    assert page.js("return host.saves[0]") == saves + 1  # one message to Python for the whole run
    page.click(page.button("Back to the prompt"))
    assert page.get("generated") == "" and not page.button("Back to the prompt").is_enabled()
    page.click(page.button("Sample 20"))
    page.until("return host.models[0].get('generated').length > 3")
    page.click(page.button("Stop"))
    part = page.get("generated")
    assert wanted.startswith(part) and len(part) < 20
    page.settle(12)
    assert page.get("generated") == part
    page.click(page.button("Other seed"))
    assert page.get("seed") == 5 and page.get("generated") == ""
    page.click(page.button("Sample one"))
    assert page.get("generated") == generate(exported, "the ", 1, 0.8, 15, 0.95, seed=5)
    page.until("return document.querySelector('[role=status]').textContent.includes('added, probability')")


def test_greedy_and_a_calm_reader(open_page, calm_browser):
    page = open_page(lab(length=30), driver=calm_browser)
    page.click(page.button("Greedy 30"))
    assert page.get("generated") == generate(export(network(), ALPHABET), "the ", 30, greedy=True)
    page.button("Sample 30")


def test_a_click_on_a_bar_appends_that_character(open_page):
    page = open_page(lab())
    exported = export(network(), ALPHABET)
    order = ranked(probabilities(logits(exported, "the ")))
    page.click(page.all(".sl-rows .sl-row")[2])
    first = ALPHABET[order[2]]
    assert page.get("generated") == first
    order = ranked(probabilities(logits(exported, "the " + first)))
    page.keys(DOWN, "\ue007")  # the focus stayed; one further down, Enter
    assert page.get("generated") == first + ALPHABET[order[3]]
    page.keys(HOME, " ")
    order = ranked(probabilities(logits(exported, "the " + page.get("generated")[:2])))
    assert page.get("generated")[2] == ALPHABET[order[0]]
    assert sum(r.get_attribute("tabindex") == "0" for r in page.all(".sl-rows .sl-row")) == 1
    slide(page, 1, 2)
    cut = page.all(".sl-rows .sl-row")[5]
    assert "cut by top-k" in cut.get_attribute("aria-label")
    page.click(cut)  # what is cut cannot be drawn, but you may choose it
    assert len(page.get("generated")) == 4


def test_sliders_change_the_bars_but_not_the_model(open_page):
    page = open_page(lab(prompt="a bear "))
    p = probabilities(logits(export(network(), ALPHABET), "a bear "))
    before = read(page)
    slide(page, 0, 0.4)
    slide(page, 1, 8)
    slide(page, 2, 0.8)
    assert (page.get("temperature"), page.get("top_k"), page.get("top_p")) == (0.4, 8, 0.8)
    rows = read(page)
    assert [r["numbers"][0] for r in rows] == [r["numbers"][0] for r in before]
    assert [r["cut"] for r in rows] == (~kept(p, 0.4, 8, 0.8)[ranked(p)]).tolist()
    slide(page, 1, V)
    assert page.get("top_k") is None and f"all {V}" in page.all(".cx-panel output")[1].text
    page.click(page.button("Reset"))
    assert read(page) == before and page.get("temperature") == 1 and page.get("top_p") == 1


def test_typing_a_prompt(open_page):
    page = open_page(lab(generated="abc"))
    type_prompt(page, "An Éclair, 7!")
    assert page.get("prompt") == "an éclair, " and page.get("generated") == ""
    assert page.one("textarea").get_property("value") == "an éclair, "
    fault = page.one(".sl-fault").text
    assert "never saw it" in fault and "7" in fault and "!" in fault
    page.focus(page.one("textarea"))
    page.keys("\ue010", "d", "o", "\ue007")
    assert page.get("prompt") == "an éclair, do\n" and page.one(".sl-fault").text == ""
    assert "⏎" in page.one(".sl-text").text
    type_prompt(page, "")
    assert "at least one character" in page.one(".sl-fault").text
    assert not page.button("Sample one").is_enabled() and not page.all(".sl-rows .sl-row")[0].is_enabled()
    type_prompt(page, "<b")
    assert page.button("Sample one").is_enabled() and page.one(".sl-text").text == "<b"
    page.click(page.button("Reset"))
    assert page.get("prompt") == "the " and page.get("generated") == "abc"


def test_looking_at_characters_by_pointer_and_keys(open_page):
    from selenium.webdriver.common.action_chains import ActionChains

    widget = lab(prompt="the ", generated="bear")
    page = open_page(widget)
    each, box = widget.shown()["characters"], page.one(".sl-text")
    assert "Character 8, r" in page.one(".sl-line").text
    ActionChains(page.driver, duration=20).move_to_element(page.all(".sl-text [data-k]")[5]).perform()
    page.settle()
    text = page.one(".sl-line").text
    assert text.startswith("Character 6, e: probability") and f"({-np.log2(each[4]):.1f} bits)" in text
    assert len(page.all(".sl-here")) == 1
    page.focus(box)
    page.keys(HOME)
    assert "nothing stands before it" in box.get_attribute("aria-valuetext")
    page.keys(RIGHT, RIGHT, RIGHT, LEFT)
    assert box.get_attribute("aria-valuenow") == "3" and "Character 3, e" in page.one(".sl-line").text


def test_the_text_ends_somewhere(open_page):
    page = open_page(lab(prompt="ab", generated="cd" * 298 + "e", length=50))
    page.click(page.button("Sample 50"))
    page.until("return host.models[0].get('generated').length === 598")
    page.settle()
    assert "At 600 characters" in page.one(".sl-fault").text
    assert not page.button("Sample 50").is_enabled()
    page.click(page.button("Back to the prompt"))
    assert page.button("Sample 50").is_enabled()


def test_instances_do_not_interfere_and_clean_up(open_page):
    page = open_page(lab(), lab("lstm", prompt="a "))
    page.click(next(b for b in page.all("button") if b.text == "Sample 50"))
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
    widget = lab(prompt="the\n", top_k=5, top_p=0.8, generated="a" * 90 + " " + "bear " * 20)
    page = open_page(widget, theme=theme, width=width)
    assert page.audit() == []
    assert page.one(".cx").get_attribute("data-cx-theme") == theme.split("-")[1]
