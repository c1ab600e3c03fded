"""The counts, the drawing and the carried state of lesson 22, against plain loops, Keras and what the text claims."""

from __future__ import annotations

import itertools
import math
from collections import Counter

import numpy as np
import pytest

from course_utils.checks import text_generation as check
from tests.lessons.code import lesson_code

TEXT = (
    "the tale of the tailor and the tall tree. the tailor told the tale to the tree, and the tree told it on."
)


@pytest.fixture(scope="module")
def lesson():
    return lesson_code("22_text_generation")


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture(scope="module")
def tokens(lesson):
    vocabulary = lesson.make_vocabulary(TEXT)
    return lesson.encode(TEXT, vocabulary), len(vocabulary)


# ---------------------------------------------------------------------------- tokens and counts


def test_encoding_comes_back_and_the_unknown_is_zero(lesson):
    vocabulary = lesson.make_vocabulary("abba c")
    assert vocabulary == "□ abc"
    assert lesson.decode(lesson.encode("cab", vocabulary), vocabulary) == "cab"
    assert lesson.encode("a?b", vocabulary).tolist() == [2, 0, 3]


def test_windows_end_in_each_token_and_begin_at_the_boundary(lesson):
    windows = lesson.windows_of(np.array([5, 6, 7]), 2, 1)
    assert windows.tolist() == [[1, 1, 5], [1, 5, 6], [5, 6, 7]]
    assert lesson.as_numbers(windows, 10).tolist() == [115, 156, 567]


@pytest.mark.parametrize("k", [0, 1, 2, 4])
def test_counts_are_those_of_a_loop(lesson, tokens, k):
    fit, V = tokens
    order = 4
    windows = lesson.windows_of(fit, order, 0)
    model = lesson.NGram(windows, V)
    pairs = Counter((tuple(w[order - k : order]), w[order]) for w in windows.tolist())
    for window in windows[::7].tolist():
        context = tuple(window[order - k : order])
        followers = {x: n for (c, x), n in pairs.items() if c == context}
        count, total, kinds = model.counts(k, np.array([window[:-1]]), np.arange(V))
        assert count[0].tolist() == [followers.get(x, 0) for x in range(V)]
        assert total.item() == sum(followers.values()) and kinds.item() == len(followers)


def test_interpolation_is_the_recursion_of_the_text(lesson, tokens, rng):
    fit, V = tokens
    model = lesson.NGram(lesson.windows_of(fit, 3, 0), V)
    contexts = np.concatenate([lesson.windows_of(fit[:10], 3, 0)[:, :-1], rng.integers(0, V, (10, 3))])

    def by_hand(context, x, k):
        if k < 0:
            return 1 / V
        count, total, kinds = (a.item() for a in model.counts(k, context[None], np.array([x])))
        shorter = by_hand(context, x, k - 1)
        return shorter if total == 0 else (count + kinds * shorter) / (total + kinds)

    wanted = [[by_hand(context, x, 3) for x in range(V)] for context in contexts]
    got = model.probabilities(contexts, np.arange(V))
    assert np.allclose(got, wanted)
    assert np.allclose(got.sum(axis=1), 1) and (got > 0).all()
    assert np.allclose(model.probabilities(contexts, np.full((20, 1), 2))[:, 0], got[:, 2])


def test_an_unseen_context_passes_the_question_on(lesson):
    model = lesson.NGram(lesson.windows_of(np.array([1, 2, 1, 2, 1, 3]), 2, 0), 5)
    levels = list(model.levels(np.array([[4, 1]]), np.arange(5)))
    assert np.allclose(levels[2], levels[1]) and not np.allclose(levels[1], levels[0])


def test_numbers_of_the_longest_windows_fit_int64(lesson):
    assert 66 ** (lesson.ORDER + 1) < 2**63
    largest = lesson.as_numbers(np.full((1, lesson.ORDER + 1), 65), 66)
    assert largest.item() == 66 ** (lesson.ORDER + 1) - 1


def test_shares_of_the_training_text_fall_and_add_one_turns(lesson, rng):
    chain = rng.dirichlet(np.full(12, 0.2), 12)
    running = [0]
    for _ in range(3000):
        running.append(rng.choice(12, p=chain[running[-1]]))
    fit, val = np.array(running[:2000]), np.array(running[2000:])
    model = lesson.NGram(lesson.windows_of(fit, 5, 0), 12)
    own, add_one, smooth, impossible = lesson.curves_by_order(
        model, lesson.windows_of(fit, 5, 0), lesson.windows_of(val, 5, 0)
    )
    assert all(a >= b for a, b in itertools.pairwise(own))
    assert all(a <= b for a, b in itertools.pairwise(impossible))
    assert np.argmin(smooth) == 1, "the text is a chain of first order"
    assert add_one[5] > smooth[5] + 0.3


# ---------------------------------------------------------------------------- the measure


def test_bits_and_perplexity_of_the_uniform_model(lesson):
    assert lesson.bits(np.full(10, 1 / 32)) == pytest.approx(5)
    assert 2 ** lesson.bits(np.array([0.5, 0.125])) == pytest.approx(4), (
        "the geometric mean, not the arithmetic"
    )


def test_bits_of_a_mixture_are_convex_in_the_weight(lesson, rng):
    p, q = rng.uniform(0.01, 1, 200), rng.uniform(0.01, 1, 200)
    curve = np.array([lesson.bits(w * p + (1 - w) * q) for w in lesson.WEIGHTS])
    assert (np.diff(curve, 2) >= -1e-12).all()


# ---------------------------------------------------------------------------- drawing


def test_temperature_is_the_softmax_of_divided_logits(lesson, rng):
    logits = rng.normal(size=(4, 9)) * 3
    for temperature in (0.3, 1.0, 2.5):
        assert np.allclose(
            lesson.temper(lesson.softmax(logits), temperature), lesson.softmax(logits / temperature)
        )
    column = np.array([[0.01], [1.0], [2.0], [1e6]])
    tempered = lesson.temper(lesson.softmax(logits), column)
    assert np.allclose(tempered[0], lesson.greedy(logits[:1])) and np.allclose(tempered[3], 1 / 9, atol=1e-4)


def test_temperature_leaves_zeros_at_zero(lesson):
    P = np.array([[0.5, 0.5, 0.0]])
    assert np.allclose(lesson.temper(P, 3.0), P)


def test_entropy_rises_with_the_temperature(lesson, rng):
    P = rng.dirichlet(np.ones(8), 1)
    entropies = [-(q * np.log(q)).sum() for q in (lesson.temper(P, t) for t in np.geomspace(0.1, 20, 30))]
    assert (np.diff(entropies) > 0).all()


def test_top_k_and_nucleus_keep_what_they_promise(lesson, rng):
    P = rng.dirichlet(np.full(20, 0.3), 50)
    for k in (1, 4, 20):
        kept = lesson.keep_top_k(P, k)
        assert ((kept > 0).sum(axis=1) == k).all() and np.allclose(kept.sum(axis=1), 1)
        for before, after in zip(P, kept, strict=True):
            assert before[after > 0].min() >= before[after == 0].max(initial=0)
    for mass in (0.3, 0.9):
        kept = lesson.keep_nucleus(P, mass)
        for before, after in zip(P, kept, strict=True):
            inside = before[after > 0]
            assert inside.sum() >= mass - 1e-12 and inside.sum() - inside.min() < mass
            assert np.allclose(after[after > 0], inside / inside.sum())
    assert np.allclose(lesson.keep_nucleus(P, 1.0), P)
    assert ((lesson.keep_top_k(np.full((2, 6), 1 / 6), 3) > 0).sum(axis=1) == 3).all(), "also among equals"


def test_draws_come_as_often_as_they_should(lesson, rng):
    P = np.array([[0.0, 0.2, 0.5, 0.0, 0.3]])
    shares = np.bincount(lesson.draw(np.repeat(P, 50_000, axis=0), rng), minlength=5) / 50_000
    assert np.allclose(shares, P[0], atol=0.01) and shares[0] == shares[3] == 0


class Fixed:
    """A reader whose next token is always the last one plus one, modulo 5."""

    texts = 3

    def reset(self):
        self.read_so_far = []

    def read(self, tokens):
        self.read_so_far.append(tokens)
        return np.eye(5)[(tokens + 1) % 5]


def test_writing_goes_on_from_the_prompt(lesson, rng):
    reader = Fixed()
    assert lesson.write(reader, np.array([2, 3]), 4, rng).tolist() == [[4, 0, 1, 2]] * 3
    assert len(reader.read_so_far) == 6, "the prompt and all that was written"


def test_ngram_reader_sees_the_end_of_the_prompt(lesson, tokens):
    fit, V = tokens
    model = lesson.NGram(lesson.windows_of(fit, 3, 0), V)
    reader = lesson.NGramReader(model, 2, 0)
    reader.reset()
    for token in fit[:9]:
        P = reader.read(np.full(2, token))
    wanted = model.probabilities(fit[None, 6:9], np.arange(V))
    assert np.allclose(P, np.repeat(wanted, 2, axis=0))


def test_plain_shares_with_a_long_context_recite(lesson, tokens, rng):
    fit, V = tokens
    reader = lesson.ShareReader(lesson.NGram(lesson.windows_of(fit, 8, 0), V), 8, 0)
    vocabulary = lesson.make_vocabulary(TEXT)
    written = lesson.decode(lesson.write(reader, fit[:4], 60, rng)[0], vocabulary)
    assert len(lesson.longest_copy(written, TEXT)) > 20


# ---------------------------------------------------------------------------- the recurrent model


@pytest.mark.parametrize("kind", ["LSTM", "SimpleRNN", "GRU"])
def test_carried_state_equals_the_whole_prefix(lesson, rng, kind):
    from keras import layers

    model = lesson.build_model(9, 12, getattr(layers, kind))
    X = rng.integers(0, 9, (3, 15))
    whole = lesson.softmax(np.asarray(model(X)))
    reader = lesson.KerasReader(model, 9, 3)
    for _ in range(2):  # the second time only right if the state was cleared
        reader.reset()
        stepwise = np.stack([reader.read(X[:, t]) for t in range(15)], axis=1)
        assert np.allclose(stepwise, whole, atol=1e-5)
    forgotten = reader.read(X[:, 0])
    assert not np.allclose(forgotten, whole[:, 0], atol=1e-5)


def test_every_character_is_judged_once_with_its_past(lesson, rng):
    model = lesson.build_model(9, 12)
    text = rng.integers(1, 9, 61)
    got = lesson.keras_probabilities(model, text, 1, warm=10, scored=20)
    assert got.shape == (61,)
    padded = np.concatenate([np.full(10, 1), text])
    for place in (0, 19, 20, 60):
        start = 20 * (place // 20)
        P = lesson.softmax(np.asarray(model(padded[None, start : place + 10])))[0, -1]
        assert got[place] == pytest.approx(P[text[place]], rel=1e-4)


def test_training_lowers_the_loss(lesson, tokens):
    import keras

    fit, V = tokens
    keras.utils.set_random_seed(0)
    model, seen = lesson.build_model(V, 16), []
    pieces = np.lib.stride_tricks.sliding_window_view(fit, 21)
    lesson.train(model, pieces, 0.02, updates=40, rounds=2, seed=0, report=seen.append)
    assert len(seen) == 2 and seen[1] < seen[0] < math.log2(V) + 0.1


# ---------------------------------------------------------------------------- names


def test_names_are_read_from_their_beginning_to_their_end(lesson):
    X, Y, weights = lesson.name_arrays(["ada", "bo"], 5)
    assert X.tolist() == [[0, 1, 4, 1, 0], [0, 2, 15, 0, 0]]
    assert Y.tolist() == [[1, 4, 1, 0, 0], [2, 15, 0, 0, 0]]
    assert weights.tolist() == [[1, 1, 1, 1, 0], [1, 1, 1, 0, 0]]


def test_contexts_of_names_do_not_cross_their_borders(lesson):
    windows = lesson.name_windows(["ab", "c"], 2)
    assert windows.tolist() == [[0, 0, 1], [0, 1, 2], [1, 2, 0], [0, 0, 3], [0, 3, 0]]


# ---------------------------------------------------------------------------- break it


def test_period_of_a_loop(lesson):
    assert lesson.period(np.array([9, 8] + [1, 2, 3] * 30)) == 3
    assert lesson.period(np.arange(100)) is None


def test_greedy_counts_run_into_a_loop(lesson, tokens, rng):
    fit, V = tokens
    reader = lesson.NGramReader(lesson.NGram(lesson.windows_of(fit, 2, 0), V), 1, 0)
    assert lesson.period(lesson.write(reader, fit[:3], 300, rng, lesson.greedy)[0]) is not None


def test_longest_copy_against_all_substrings(lesson, rng):
    for _ in range(20):
        a, b = ("".join(rng.choice(list("ab"), 25)) for _ in range(2))
        every = max((a[i:j] for i in range(25) for j in range(i, 26) if a[i:j] in b), key=len)
        assert len(lesson.longest_copy(a, b)) == len(every)
    assert lesson.longest_copy("xyz", "abc") == ""


def test_shares_of_words_and_of_echoes(lesson):
    assert lesson.unknown_words("The fox, the ox cut", {"the", "fox"}) == pytest.approx(1 / 4)
    assert lesson.repeated("abcabcabc", width=3) == pytest.approx(1 - 3 / 7)


def test_worked_values_of_the_exercises():
    x, y = check.input_and_target.reference(np.arange(8), 3)
    assert x.tolist() == [[0, 1, 2], [3, 4, 5]] and y.tolist() == [[1, 2, 3], [4, 5, 6]]
    got = check.discounted.reference(np.array([[3.0, 1, 0, 0]]), np.array([[0.4, 0.3, 0.2, 0.1]]), 0.5)
    assert np.allclose(got, [[0.725, 0.2, 0.05, 0.025]])
    kept = check.keep_min_p.reference(np.array([[0.5, 0.3, 0.15, 0.05]]), 0.5)
    assert np.allclose(kept, [[0.625, 0.375, 0, 0]])
    assert check.temperature_for.reference(np.array([0.0, math.log(3)]), 0.8113) == pytest.approx(1, rel=1e-3)
