"""The model, the cache, the pieces and the counting of lesson 34, against Keras, loops and published sizes."""

from __future__ import annotations

import math

import numpy as np
import pytest

from course_utils import data
from course_utils.checks import gpt as check
from tests.lessons.code import lesson_code

TEXT = "the tale of the tall tree and the tailor. the tailor told the tale to the tall tree.\n" * 4


@pytest.fixture(scope="module")
def lesson():
    return lesson_code("34_gpt")


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def small(lesson, rng):
    w = lesson.init_gpt(11, 16, 2, 12, rng)
    return {name: value + rng.normal(0, 0.1, value.shape).astype("float32") for name, value in w.items()}


# ---------------------------------------------------------------------------- the model


def test_numpy_equals_keras_in_both_directions(lesson, small, rng):
    model = lesson.GPT(11, 16, 4, 2, 12)
    lesson.from_arrays(model, small)
    back = lesson.to_arrays(model)
    assert back.keys() == small.keys() and all(np.array_equal(back[name], small[name]) for name in small)
    for length in (12, 5):
        tokens = rng.integers(0, 11, (3, length))
        assert np.allclose(model(tokens), lesson.forward(small, tokens, 4), atol=1e-4)


def test_only_the_mask_keeps_the_future_out(lesson, small, rng):
    tokens = rng.integers(0, 11, (1, 12))
    for place in (0, 6, 11):
        change = lesson.change_after(small, tokens, place, 4)
        assert (change[:place] == 0).all() and change[place] > 1e-4
    assert (lesson.change_after(small, tokens, 6, 4, causal=False) > 1e-6).all()


def test_the_untrained_model_is_uniform(lesson, rng):
    w = lesson.init_gpt(11, 16, 2, 12, rng)
    P = lesson.softmax(lesson.forward(w, rng.integers(0, 11, (4, 12)), 4))
    assert abs(-np.log2(P).mean() - math.log2(11)) < 0.1


def test_keras_without_a_mask_sees_the_future(lesson, rng):
    tokens = rng.integers(0, 11, (1, 12))
    changed = tokens.copy()
    changed[0, 9] = (changed[0, 9] + 1) % 11
    for causal in (True, False):
        model = lesson.GPT(11, 16, 4, 1, 12, causal=causal)
        same = np.allclose(np.asarray(model(tokens))[0, :9], np.asarray(model(changed))[0, :9], atol=1e-7)
        assert same == causal


# ---------------------------------------------------------------------------- the cache


def test_cache_equals_the_full_computation(lesson, small, rng):
    tokens = rng.integers(0, 11, (3, 12))
    whole = lesson.softmax(lesson.forward(small, tokens, 4).astype("float64"))
    reader = lesson.Cached(small, 4, 3)
    for _ in range(2):
        reader.reset()
        stepwise = np.stack([reader.read(tokens[:, t]) for t in range(12)], axis=1)
        assert np.allclose(stepwise, whole, atol=1e-5)


def test_a_full_table_begins_anew_with_the_recent_half(lesson, small, rng):
    tokens = rng.integers(0, 11, (2, 15))
    reader = lesson.Cached(small, 4, 2)
    for t in range(15):
        P = reader.read(tokens[:, t])
    wanted = lesson.softmax(lesson.forward(small, tokens[:, 6:], 4)[:, -1].astype("float64"))
    assert np.allclose(P, wanted, atol=1e-5) and len(reader.past) == 9


def test_a_frozen_position_is_right_once(lesson, small, rng):
    tokens = rng.integers(0, 11, (2, 6))
    right, wrong = lesson.Cached(small, 4, 2), lesson.Frozen(small, 4, 2)
    same = [np.allclose(right.read(tokens[:, t]), wrong.read(tokens[:, t]), atol=1e-6) for t in range(6)]
    assert same[0] and not any(same[1:])


def test_lengthened_table_is_the_old_one_inside(lesson, small, rng):
    tokens = rng.integers(0, 11, (2, 20))
    longer = lesson.forward(lesson.clipped(small, 20), tokens, 4)
    assert np.allclose(longer[:, :12], lesson.forward(small, tokens[:, :12], 4), atol=1e-5)
    with pytest.raises(ValueError, match="broadcast"):
        lesson.forward(small, tokens, 4)


# ---------------------------------------------------------------------------- counting


@pytest.mark.parametrize(("width", "blocks"), [(8, 1), (16, 3)])
def test_parameters_are_those_of_keras(lesson, width, blocks):
    assert lesson.GPT(11, width, 2, blocks, 12).count_params() == lesson.gpt_parameters(11, 12, width, blocks)


def test_published_sizes_of_gpt2(lesson):
    sizes = [lesson.gpt_parameters(50_257, 1024, d, blocks, tied=True) for d, blocks in lesson.GPT2.values()]
    assert sizes == [124_439_808, 354_823_168, 774_030_080, 1_557_611_200]


def test_cache_bytes_are_those_of_the_arrays(lesson, small):
    reader = lesson.Cached(small, 4, 3)
    assert reader.keys.nbytes + reader.values.nbytes == lesson.cache_bytes(16, 2, 12, 3, 4)


# ---------------------------------------------------------------------------- baselines and pieces


def test_counts_are_the_recursion_of_lesson_22(lesson):
    other = lesson_code("22_text_generation")
    fit, text = (np.array([ord(c) % 11 for c in part]) for part in (TEXT[:200], TEXT[200:260]))
    got = lesson.counted_probabilities(fit, text, 3, 11)
    windows = other.windows_of(text, 3, 1)
    levels = other.NGram(other.windows_of(fit, 3, 1), 11).levels(windows[:, :-1], windows[:, -1:])
    assert np.allclose(got, np.array([p[:, 0] for p in levels]))


def test_pieces_join_to_the_text_and_merge_what_is_frequent(lesson):
    merges = lesson.learn_merges(TEXT, 12)
    pieces = lesson.cut(TEXT, merges)
    assert "".join(pieces) == TEXT and " the" in pieces and len(pieces) < len(TEXT) / 1.8
    assert lesson.cut("zz the", merges)[:2] == ["z", "z"]
    assert lesson.merge(list("aaab"), ("a", "a")) == ["aa", "a", "b"]


def test_every_token_is_judged_once_with_its_past(lesson, small, rng):
    tokens = rng.integers(0, 11, 31)
    got = lesson.judged_probabilities(lesson.numpy_logits(small, 4), tokens, 12, 1)
    assert got.shape == (31,)
    padded = np.concatenate([np.ones(6, int), tokens])
    for place in (0, 5, 6, 30):
        start = 6 * (place // 6)
        P = lesson.softmax(lesson.forward(small, padded[None, start : place + 6], 4))[0, -1]
        assert got[place] == pytest.approx(P[tokens[place]], rel=1e-3)


def test_training_lowers_the_loss_and_returns_the_weights(lesson, rng):
    import keras

    keras.utils.set_random_seed(0)
    tokens = np.array([ord(c) % 11 for c in TEXT], dtype="int32")
    model = lesson.GPT(11, 16, 2, 1, 12)
    before = lesson.to_arrays(model)
    curve = lesson.train(model, tokens, 12, 40, 0.02, warmup=5)
    assert curve.shape == (40,) and curve[-5:].mean() < curve[0] - 0.5
    after = lesson.bits(lesson.judged_probabilities(model, tokens, 12, 1))
    assert after < curve[0] - 0.5 and not np.allclose(before["W_vocab"], lesson.to_arrays(model)["W_vocab"])


# ---------------------------------------------------------------------------- the pretrained weights


def test_pretrained_weights_fit_the_model_and_have_learnt(lesson):
    w = data.weights("tales-gpt")
    vocabulary, reported = "".join(w.pop("vocabulary")), float(w.pop("validation_bits"))
    model = lesson.GPT(len(vocabulary), lesson.WIDTH, lesson.HEADS, 3, lesson.CONTEXT)
    lesson.from_arrays(model, w)
    from course_utils.data._tales import make_sample

    text = make_sample()["text_train"]
    border = text.rfind("\n\n", 0, int(0.9 * len(text))) + 2
    fit, val = (lesson.encode(part, vocabulary) for part in (text[:border], text[border:]))
    got = lesson.bits(lesson.judged_probabilities(lesson.numpy_logits(w, lesson.HEADS), val, 64, 1))
    bigram = lesson.bits(lesson.counted_probabilities(fit, val, 1, len(vocabulary))[1])
    assert got == pytest.approx(reported, abs=0.1) and got < bigram


def test_worked_values_of_the_exercises():
    assert check.bits_per_character.reference(np.array([0.25, 0.125]), ["the", " cat"]) == pytest.approx(5 / 7)
    assert check.prefill_mask.reference(2, 2).tolist() == [[True, True, True, False], [True] * 4]
    assert check.texts_that_fit.reference(1_000_000, 2, 4, 16, 64, 2) == 30
    accept, rest = check.verify.reference(np.array([0.5, 0.3, 0.2]), np.array([0.2, 0.6, 0.2]))
    assert accept.tolist() == [1, 0.5, 1] and np.allclose(rest, [1, 0, 0])


def test_verified_drafts_have_the_large_models_distribution(rng):
    for _ in range(20):
        p, q = rng.dirichlet(np.ones(6), 2)
        accept, rest = check.verify.reference(p, q)
        assert np.allclose(q * accept + (1 - (q * accept).sum()) * rest, p)
