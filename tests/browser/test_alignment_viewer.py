"""The alignment viewer: its measures, its errors, its figure in a real browser."""

from __future__ import annotations

from xml.etree import ElementTree

import numpy as np
import pytest
import traitlets

from course_utils.explorables import AlignmentViewer
from course_utils.explorables.alignment_viewer import (
    joined,
    monotone,
    row_entropy,
    steps_back,
    strongest,
    verdict,
    wrong_tokens,
)

RIGHT, LEFT, UP, DOWN, HOME, END = "\ue014", "\ue012", "\ue013", "\ue015", "\ue011", "\ue010"


def attention(places, sources, seed=0, sharpness=4.0):
    """Weights (target, source) that are largest at the given places."""
    z = np.random.default_rng(seed).normal(0, 0.6, (len(places), sources))
    z[np.arange(len(places)), places] += sharpness
    return np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)


CAT = {
    "source": ["the", "red", "cat", "sleeps"],
    "target": ["le", "chat", "rouge", "dort"],
    "weights": attention([0, 2, 1, 3], 4),
    "correct": ["le", "chat", "rouge", "dort"],
}
DATE = {
    "source": "wednesday, 12 september 1987",
    "target": "1987-09-12",
    "weights": attention([24, 25, 26, 27, 22, 14, 14, 13, 11, 12], 28, seed=1),
    "correct": "1987-09-13",
}
LONG = {
    "source": [f"source{k}" for k in range(40)],
    "target": ["an-extraordinarily-long-token", "<&>", *[f"target{k}" for k in range(38)]],
    "weights": attention(list(range(40)), 40, seed=2, sharpness=1),
}
EXAMPLES = [CAT, DATE, LONG]


# ---- without a browser ----


def test_strongest_and_entropy():
    weights = [[0.2, 0.5, 0.3], [1, 0, 0], [0.4, 0.2, 0.4], [1 / 3, 1 / 3, 1 / 3]]
    assert strongest(weights) == [1, 0, 0, 0]
    wanted = [-sum(p * np.log2(p) for p in row if p) for row in weights]
    np.testing.assert_allclose(row_entropy(weights), wanted, atol=1e-12)
    assert row_entropy(weights)[3] == pytest.approx(np.log2(3)) and str(row_entropy(weights)[1]) == "0.0"


@pytest.mark.parametrize(
    ("places", "back", "words"),
    [
        ([0, 0, 1, 2], [], "Monotone: the strongest source token never goes back."),
        ([3, 2, 1, 0], [1, 2, 3], "Backwards: at every step"),
        (
            [0, 2, 1, 3],
            [2],
            "Not monotone: it goes back once, first at “y” (step 3), from source token 3 to 2.",
        ),
        ([1, 0, 2, 0], [1, 3], "goes back 2 times, first at “␣” (step 2), from source token 2 to 1."),
        ([1, 1, 1, 1], [], "looks most at the same source token, “b”."),
        ([2], [], "One step only"),
    ],
)
def test_monotone_in_words(places, back, words):
    weights = attention(places, 4)
    assert steps_back(weights) == back and monotone(weights) == (not back)
    assert words in verdict(list("abcd"), ["x", " ", "y", "z"][: len(places)], weights)


def test_wrong_tokens_and_joined():
    assert wrong_tokens(list("abcd"), list("abXd")) == [2] and wrong_tokens(list("abc"), ["a"]) == [1, 2]
    assert joined(list("ab c")) == "ab c" and joined(["ab", "c"]) == "ab c"


def test_state_is_small_and_a_string_is_its_characters():
    widget = AlignmentViewer([DATE])
    one = widget.examples[0]
    assert one["source"] == list(DATE["source"]) and one["correct"] == list(DATE["correct"])
    np.testing.assert_allclose(one["weights"], DATE["weights"], atol=6e-6)
    assert len(str(widget.examples)) < 4_000
    assert widget.shown()["wrong"] == [9]
    single = np.float32(attention([0, 1], 2))
    AlignmentViewer([{"source": ["a", "b"], "target": ("c", "d"), "weights": single}])


def test_preview_and_description_hold_the_numbers():
    for k, step in ((0, 2), (1, 9), (2, 0)):
        widget = AlignmentViewer(EXAMPLES, "Titles <matter>", example=k, step=step)
        now = widget.shown()
        root = ElementTree.fromstring(widget.preview())
        texts = [e.text for e in root.iter() if e.tag.endswith("text")]
        assert "Titles <matter>" in texts
        for bits in now["entropy"]:
            assert f"{bits:.2f}" in texts
        best = now["strongest"][step]
        text = widget.description
        assert f"{now['weights'][step][best]:.2f}, is on" in text and f"source token {best + 1};" in text
        assert now["verdict"] in text and f"example {k + 1} of 3" in text
        assert f"{now['entropy'][step]:.2f} bits, on average {now['entropy'].mean():.2f}" in text
    assert "1 of its tokens is not the correct one" in AlignmentViewer([DATE]).description
    assert "0 of its tokens are not the correct ones" in AlignmentViewer([CAT]).description
    assert len(AlignmentViewer([DATE]).preview()) < 30_000


def change(**parts):
    return [{**CAT, **parts}]


@pytest.mark.parametrize(
    ("examples", "message"),
    [
        (CAT, "examples must be a list of dicts"),
        ([], "1 to 40 examples, not 0"),
        ([CAT] * 41, "1 to 40 examples, not 41"),
        (["the cat"], "Example 0 must be a dict"),
        ([CAT, {"source": ["a"], "target": ["b"]}], "Example 1 has no 'weights'"),
        (change(score=1), "Example 0 has 'score'; known are"),
        (change(source=[]), "Example 0: source must hold 1 to 40 tokens, not 0"),
        (change(target=["a"] * 41), "target must hold 1 to 40 tokens, not 41"),
        (change(target=5), "target must be a list of tokens"),
        (change(source=["a", "b"]), r"shape \(target, source\) = \(4, 2\), not \(4, 4\)"),
        (change(weights=CAT["weights"][:3]), r"= \(4, 4\), not \(3, 4\)"),
        (change(weights=[[1, 0], [1]]), "rows of numbers, all of the same length"),
        (
            change(weights=CAT["weights"] * [[1], [1], [1.1], [1]]),
            r"row 2 of weights sums to 1\.100, not to 1\.$",
        ),
        (change(weights=attention([0, 1, 3, 3], 4).T), "The columns do: are the weights transposed?"),
        (change(weights=[[2, -1, 0, 0]] * 4), "finite and not negative"),
        (change(weights=np.full((4, 4), np.nan)), "finite and not negative"),
    ],
)
def test_examples_that_do_not_fit_are_one_sentence(examples, message):
    with pytest.raises(ValueError, match=message):
        AlignmentViewer(examples)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"example": 3}, "example must lie between 0 and 2, not 3"),
        ({"step": 4}, "step must lie between 0 and 3, not 4"),
        ({"show": "none"}, 'show must be "step" or "all"'),
    ],
)
def test_wrong_options_are_one_sentence(options, message):
    with pytest.raises(ValueError, match=message):
        AlignmentViewer(EXAMPLES, **options)


def test_traits_are_checked_later_too():
    widget = AlignmentViewer(EXAMPLES)
    for name, value in (("example", 3), ("show", "some")):
        with pytest.raises(traitlets.TraitError, match=name):
            setattr(widget, name, value)
    widget.step = 9
    assert widget.shown()["step"] == 3  # a shorter target: its last token
    widget.example = 1
    assert "At step 10" in widget.description


# ---- in the browser ----


def test_browser_computes_the_same_numbers(open_page):
    widget = AlignmentViewer(EXAMPLES)
    page = open_page(widget)
    cases = [(e["source"], e["target"], e["weights"]) for e in widget.examples]
    for places in ([0, 0, 1], [2, 1, 0], [1, 1, 1], [2], [1, 0, 1]):
        weights = attention(places, 3).tolist()
        cases.append((list("a c"), ["x", " ", "z"][: len(places)], weights))
    cases.append((["a", "b"], ["c"], [[0.5, 0.5]]))
    for source, target, weights in cases:
        got = page.js(
            "const m = host.modules[0].math, [s, t, w] = arguments;"
            "return [m.strongest(w), m.entropy(w), m.back(w), m.verdict(s, t, w), m.joined(s),"
            "m.wrong(t, s)]",
            source,
            target,
            weights,
        )
        assert got[0] == strongest(weights) and got[2] == steps_back(weights)
        np.testing.assert_allclose(got[1], row_entropy(weights), atol=1e-9)
        assert got[3:] == [verdict(source, target, weights), joined(source), wrong_tokens(target, source)]


def texts(page, css):
    return page.js("return [...document.querySelectorAll(arguments[0])].map((n) => n.textContent)", css)


def numbers(page, css, name):
    return page.js(
        "return [...document.querySelectorAll(arguments[0])]"
        ".map((n) => Number(n.getAttribute(arguments[1])))",
        css,
        name,
    )


def test_what_is_drawn_is_what_python_computes(open_page):
    widget = AlignmentViewer(EXAMPLES, "Who looks where?", step=1)
    page = open_page(widget)
    now, weights = widget.shown(), np.array(widget.examples[0]["weights"])
    assert page.one(".cx-question").text == "Who looks where?"
    cells = np.array(numbers(page, ".av-cell", "fill-opacity"))
    np.testing.assert_allclose(cells, weights[weights >= 0.003], atol=6e-4)
    np.testing.assert_allclose(numbers(page, ".av-bar", "height"), 58 * weights[1], atol=0.006)
    widths = numbers(page, ".av-now", "stroke-width")
    np.testing.assert_allclose(widths, 0.8 + 6 * weights[1][weights[1] >= 0.005], atol=0.006)
    assert page.all(".av-other") == []
    assert texts(page, ".av-number") == [f"{bits:.2f}" for bits in now["entropy"]]
    assert texts(page, ".av-value") == [f"{weights[1].max():.2f}"]
    assert set(texts(page, ".av-bold")) >= {"chat", "cat"}
    page.click(page.all(".cx-choice input")[1])
    assert page.get("show") == "all"
    others = np.delete(weights, 1, axis=0)
    assert len(page.all(".av-other")) == (others >= 0.02).sum()
    readout, words = page.one(".av-readout").text, page.one(".av-verdict").text
    assert f"{weights[1].max():.2f} on “cat”, source token 3" in readout
    assert f"Entropy {now['entropy'][1]:.2f} bits of at most 2.00" in readout
    assert now["verdict"] in words and f"{now['entropy'].mean():.2f} bits" in words
    assert "Every target token is correct." in words


def test_stepping_by_keys_buttons_and_pointer(open_page):
    from selenium.webdriver.common.action_chains import ActionChains

    page = open_page(AlignmentViewer(EXAMPLES))
    picture = page.one(".av-picture")
    assert not page.button("Previous").is_enabled()
    page.focus(picture)
    page.keys(RIGHT, DOWN, RIGHT, LEFT)
    assert page.get("step") == 2 and picture.get_attribute("aria-valuenow") == "3"
    assert "writing “rouge”" in picture.get_attribute("aria-valuetext")
    page.keys(END)
    assert page.get("step") == 3 and not page.button("Next").is_enabled()
    page.keys(RIGHT, HOME, UP)
    assert page.get("step") == 0
    page.click(page.button("Next"))
    assert (
        page.get("step") == 1
        and page.js("return document.querySelector('.av-where').textContent") == "step 2 of 4"
    )
    saves = page.js("return host.saves[0]")
    rows = page.all(".av-hit[data-step='3']")
    page.show(rows[-1])
    ActionChains(page.driver, duration=20).move_to_element(rows[-1]).perform()
    page.settle()
    assert page.get("step") == 3
    token = page.all(".av-hit[data-step='0']")[0]  # in the upper row
    ActionChains(page.driver, duration=20).move_to_element(token).perform()
    page.settle()
    assert page.get("step") == 0 and page.js("return host.saves[0]") == saves
    ActionChains(page.driver, duration=20).move_to_element(page.one(".cx-question")).perform()
    page.settle()
    assert page.get("step") == 0 and page.js("return host.saves[0]") == saves + 1
    page.said("Step 1 of 4, writing “le”")


def choose(page, k):
    page.js(
        "arguments[0].value = arguments[1]; arguments[0].dispatchEvent(new Event('change'))",
        page.one(".av-chooser select"),
        str(k),
    )
    page.settle()


def test_choosing_an_example_marks_wrong_tokens_and_reset(open_page):
    page = open_page(AlignmentViewer(EXAMPLES, step=2))
    options = texts(page, ".av-chooser option")
    assert options[0] == "1: the red cat sleeps → le chat rouge dort"
    assert options[1].startswith("2: wednesday, 12 september 1987 → 1987-09-12") and options[1].endswith("✗")
    choose(page, 1)
    assert page.get("example") == 1 and page.get("step") == 0
    assert texts(page, ".av-wrong") == ["2✗", "✗ 2"] and page.all(".av-error") == []
    page.focus(page.one(".av-picture"))
    page.keys(END)
    assert page.one(".av-error").text == "✗ Correct here: “3”"
    assert (
        "1 of 10 target tokens differs from the correct target, “1987-09-13”" in page.one(".av-verdict").text
    )
    page.click(page.all(".cx-choice input")[1])
    page.click(page.button("Reset"))
    assert [page.get(name) for name in ("example", "step", "show")] == [0, 2, "step"]
    assert texts(page, ".av-wrong") == []


def test_a_target_that_stops_early_or_goes_on_too_long(open_page):
    short = {**CAT, "correct": [*CAT["correct"], "ici"]}
    long = {**CAT, "correct": CAT["correct"][:3]}
    page = open_page(AlignmentViewer([short, long]))
    assert "stops too early" in page.one(".av-verdict").text
    choose(page, 1)
    page.set("step", 3)
    assert page.one(".av-error").text == "✗ The correct target is shorter."


def test_a_long_example_scrolls_to_what_is_looked_at(open_page):
    page = open_page(AlignmentViewer(EXAMPLES, example=2), width=344)
    scroller = page.one(".av-scroller")
    assert page.js("return arguments[0].scrollWidth > arguments[0].clientWidth", scroller)
    page.focus(page.one(".av-picture"))
    page.keys(END)
    place = page.js(
        "const b = document.querySelector('.av-best').getBoundingClientRect(),"
        "s = arguments[0].getBoundingClientRect(); return [b.left - s.left, s.right - b.right]",
        scroller,
    )
    assert min(place) > -1
    assert any(t.startswith("an-ex") and t.endswith("…") for t in texts(page, ".av-token"))
    assert page.audit() == []


def test_dates_fit_a_narrow_page(open_page):
    page = open_page(AlignmentViewer([DATE]), width=344)
    assert not page.js("return document.querySelector('.av-scroller').classList.contains('av-wide')")
    rotated = page.js("return document.querySelectorAll('.av-token[transform]').length")
    assert rotated == 0


def test_instances_do_not_interfere_and_clean_up(open_page):
    page = open_page(AlignmentViewer(EXAMPLES), AlignmentViewer([DATE]))
    page.click(next(b for b in page.all("button") if b.text == "Next"))
    assert page.get("step", 0) == 1 and page.get("step", 1) == 0
    page.js("host.disposers[0]()")
    assert page.js("return Object.values(host.models[0].handlers).flat().length") == 0
    page.set("step", 4, 1)
    assert page.one(".av-where").text == "step 5 of 10"


@pytest.mark.parametrize("theme", ["book-light", "book-dark", "lab-dark"])
@pytest.mark.parametrize("width", [344, 600, 860])
def test_no_text_too_small_nothing_overflows(open_page, theme, width):
    page = open_page(AlignmentViewer(EXAMPLES, example=1, step=9, show="all"), theme=theme, width=width)
    for k in range(3):
        choose(page, k)
        assert page.audit() == []
    assert page.one(".cx").get_attribute("data-cx-theme") == theme.split("-")[1]
