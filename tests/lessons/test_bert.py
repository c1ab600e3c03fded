"""Tokeniser, corruption, encoder, baselines and probes of lesson 33, against properties and counting by hand."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest

from tests.lessons.code import lesson_code

TEXT = "the cat sat on the mat, and the other cat sat there too. nobody else ate the bat. " * 3


@pytest.fixture(scope="module")
def lesson():
    return lesson_code("33_bert")


@pytest.fixture(scope="module")
def tokenizer(lesson):
    return lesson.Tokenizer(lesson.train_bpe([TEXT], 40))


@pytest.fixture
def rng():
    return np.random.default_rng(0)


# ---------------------------------------------------------------------------- byte pairs


def test_every_rule_merges_a_most_frequent_pair(lesson):
    rules = lesson.train_bpe([TEXT], 40)
    words = [tuple(lesson.FIRST_BYTE + b for b in piece.encode()) for piece in lesson.PIECES.findall(TEXT)]
    for new, rule in enumerate(rules):
        counts = {}
        for word in words:
            for pair in pairwise(word):
                counts[pair] = counts.get(pair, 0) + 1
        assert counts[rule] == max(counts.values())
        words = [lesson.merge_pair(word, rule, lesson.FIRST_MERGED + new) for word in words]
    assert [t for word in words for t in word] == lesson.Tokenizer(rules).encode(TEXT), (
        "encoding replays the training"
    )


def test_training_stops_where_nothing_repeats(lesson):
    assert lesson.train_bpe(["abc"], 10) == []
    rules = lesson.train_bpe(["aaaa aaaa"], 10)
    assert 1 <= len(rules) <= 4


def test_training_is_the_same_twice(lesson):
    assert lesson.train_bpe([TEXT, "café 🙂 " * 3], 30) == lesson.train_bpe([TEXT, "café 🙂 " * 3], 30)


def test_merging_goes_from_the_left_without_overlap(lesson):
    assert lesson.merge_pair((5, 5, 5), (5, 5), 9) == (9, 5)
    assert lesson.merge_pair((1, 5, 6, 5, 6), (5, 6), 9) == (1, 9, 9)
    assert lesson.merge_pair((), (5, 6), 9) == ()


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "\n\n  a",
        "the cat",
        "_x_ __",
        "naïve café",
        "日本語",
        "🙂👩‍👩‍👧 ok",
        "\x00\x7f",
        "١٢٣ 4½",
        "a\u0301",
        "\u2028\u00a0x",
    ],
)
def test_round_trip(tokenizer, text):
    assert tokenizer.decode(tokenizer.encode(text)) == text


def test_round_trip_of_random_unicode(lesson, tokenizer, rng):
    for _ in range(200):
        text = lesson.random_text(rng)
        assert tokenizer.decode(tokenizer.encode(text)) == text


def test_pieces_cover_every_character(lesson, rng):
    for _ in range(100):
        text = lesson.random_text(rng) + " \t\n_a1!" + lesson.random_text(rng, 3)
        assert "".join(lesson.PIECES.findall(text)) == text


def test_special_tokens_cannot_be_written(lesson, tokenizer):
    assert min(tokenizer.encode("[MASK] <pad> \x00\x01")) >= lesson.FIRST_BYTE
    assert tokenizer.decode([lesson.MASK, lesson.PADDING]) == ""


def test_half_a_character_decodes_to_a_replacement(tokenizer):
    tokens = tokenizer.encode("é")
    assert len(tokens) == 2
    assert tokenizer.decode(tokens[:1]) == "�"


# ---------------------------------------------------------------------------- the corruption


def test_shares_of_the_rule(lesson, rng):
    tokens = rng.integers(10, 1000, (2000, 60))
    tokens[:, 50:] = lesson.PADDING
    corrupted, chosen = lesson.mask_tokens(tokens, 1000, rng)
    assert not chosen[:, 50:].any()
    assert np.array_equal(corrupted[~chosen], tokens[~chosen])
    n = chosen.sum()
    assert abs(n / (2000 * 50) - 0.15) < 4 * math.sqrt(0.15 * 0.85 / 100_000)
    masked = np.mean(corrupted[chosen] == lesson.MASK)
    kept = np.mean(corrupted[chosen] == tokens[chosen])
    assert abs(masked - 0.8) < 4 * math.sqrt(0.16 / n)
    assert abs(kept - 0.1) < 4 * math.sqrt(0.09 / n) + 0.001
    assert (corrupted[:, :50] != lesson.PADDING).all()


def test_the_input_is_left_alone(lesson, rng):
    tokens = rng.integers(10, 100, (20, 10))
    before = tokens.copy()
    lesson.mask_tokens(tokens, 100, rng)
    assert np.array_equal(tokens, before)


def test_a_batch_names_its_places(lesson, rng):
    rows = rng.integers(10, 100, (20, 10))
    target, corrupted, places = lesson.masked_batch(rows, 100, rng)
    assert np.array_equal(rows.ravel()[places], target)
    others = np.setdiff1d(np.arange(rows.size), places)
    assert np.array_equal(corrupted.ravel()[others], rows.ravel()[others])


def test_trust_in_an_unmasked_token_follows_bayes(lesson):
    """The formula of the text: at an ordinary token under a loss, genuine with q / (q + 1 / V)."""
    rng, V = np.random.default_rng(1), 42
    q = np.r_[np.zeros(2), 0.5, np.full(V - 3, 0.5 / (V - 3))]
    tokens = rng.choice(V, p=q, size=(2000, 200))
    corrupted, chosen = lesson.mask_tokens(tokens, V, rng)
    for v in (2, 20):
        shown = chosen & (corrupted == v)
        expected = q[v] / (q[v] + 1 / (V - 2))
        assert abs(np.mean(tokens[shown] == v) - expected) < 0.06


# ---------------------------------------------------------------------------- the encoder


@pytest.fixture(scope="module")
def encoder(lesson):
    import keras

    keras.utils.set_random_seed(0)
    encoder = lesson.Encoder(50, 12, width=16, heads=2, depth=2)
    encoder(np.ones((1, 12), dtype="int64"))
    return encoder


def states(encoder, tokens):
    from keras import ops

    return ops.convert_to_numpy(encoder(tokens))


def test_padding_changes_nothing(encoder, rng):
    tokens = rng.integers(2, 50, (3, 12))
    tokens[:, 7:] = 0
    assert np.allclose(states(encoder, tokens)[:, :7], states(encoder, tokens[:, :7]), atol=1e-5)


def test_every_state_sees_both_sides(encoder, rng):
    tokens = rng.integers(2, 50, (1, 12))
    base = states(encoder, tokens)
    for t in (0, 6, 11):
        other = tokens.copy()
        other[0, t] = 2 + (other[0, t] - 1) % 48
        assert (np.abs(states(encoder, other) - base).max(axis=-1) > 1e-6).all()


def test_the_output_matrix_is_the_embedding(lesson, encoder, rng):
    from keras import ops

    model = lesson.MaskedLanguageModel(encoder)
    tokens, places = rng.integers(2, 50, (2, 12)), np.array([0, 5, 13])
    logits = ops.convert_to_numpy(model(tokens, places))
    H = states(encoder, tokens).reshape(-1, 16)[places]
    assert np.allclose(logits, H @ encoder.get_weights()[0].T, atol=1e-5)
    assert len(model.trainable_variables) == len(encoder.trainable_variables) + 1


def test_the_classifier_ignores_padding(lesson, encoder, rng):
    from keras import ops

    judge = lesson.Classifier(encoder)
    tokens = rng.integers(2, 50, (3, 12))
    tokens[:, 6:] = 0
    assert np.allclose(
        ops.convert_to_numpy(judge(tokens)), ops.convert_to_numpy(judge(tokens[:, :6])), atol=1e-5
    )


def test_training_learns_and_restart_forgets(lesson, rng):
    import keras

    keras.utils.set_random_seed(0)
    judge = lesson.Classifier(lesson.Encoder(20, 6, width=16, heads=2, depth=1, dropout=0.0), dropout=0.0)
    X = rng.integers(2, 20, (200, 6))
    y = (X < 11).sum(axis=1) > 3
    judge(X[:2])
    fresh = judge.get_weights()
    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    trainer = lesson.Trainer(judge, loss, 5e-3, [lesson.token_spec(6)])
    kept = lesson.fine_tune(trainer, X, y.astype(int), np.arange(200), (X, y), 80, 64, rng)
    assert kept[0].mean() > 0.9
    trainer.restart(fresh)
    assert all(np.array_equal(a, b) for a, b in zip(judge.get_weights(), fresh, strict=True))
    assert int(trainer.optimizer.iterations.numpy()) == 0


# ---------------------------------------------------------------------------- data, baselines, probes


def test_the_split_is_that_of_lesson_21(lesson):
    other = lesson_code("21_sentiment_analysis")
    from course_utils import data

    texts = [other.tokenise(text) for text in data.load("reviews").text_train[:400]]
    assert texts == [lesson.tokenise(" ".join(words)) for words in texts]
    theirs = other.twin_groups(*other.nearest_texts(texts))
    ours = lesson.twin_groups(texts)
    assert np.array_equal(ours, theirs)
    for seed in (1, 21):
        a = other.split_groups(theirs, 0.2, np.random.default_rng(seed))
        assert np.array_equal(a, lesson.split_groups(ours, 0.2, np.random.default_rng(seed)))


def test_neighbours_help_where_neighbours_tell(lesson, rng):
    corpus = (np.arange(12) + rng.integers(0, 8, (300, 1))) % 8 + 2  # each token follows from the one before
    corrupted, chosen = lesson.mask_tokens(corpus, 10, rng)
    shares, neighbours = lesson.count_baselines(corpus, 10, corpus, corrupted, chosen)
    assert abs(shares - math.log(8)) < 0.05
    assert neighbours < shares / 2


def test_invented_sentences(lesson, rng):
    tokens, y = lesson.invented_sentences(200, lesson.LABELLED, lesson.KIND, rng)
    kinds = (tokens[:, 3::2] - lesson.ADJECTIVES) // lesson.KIND
    within = (tokens[:, 3::2] - lesson.ADJECTIVES) % lesson.KIND
    assert tokens.shape == (200, 8)
    assert (kinds == y[:, None]).all()
    assert within.min() >= lesson.LABELLED
    assert tokens.max() < lesson.VOCABULARY
    assert (np.sort(within, axis=1)[:, 1:] > np.sort(within, axis=1)[:, :-1]).all(), "three different ones"


def test_a_probe_finds_what_is_there_and_nothing_else(lesson, rng):
    H, H_new = rng.normal(size=(2000, 10)), rng.normal(size=(1000, 10))
    assert lesson.probe(H, H[:, 3] > 1, H_new, H_new[:, 3] > 1) > 0.9
    assert abs(lesson.probe(H, rng.random(2000) < 0.2, H_new, rng.random(1000) < 0.2) - 0.5) < 0.08


def test_questions_of_the_probes(lesson):
    tokens = np.array([[5, 6, 7, 0], [8, 0, 0, 0]])
    lesson_begins = np.array([True] * 6 + [False, True, True])
    texts = ["it is not good", "fine"]
    questions = lesson.probe_questions(tokens, texts, 4, lesson_begins)
    assert questions["negation"][1][:, 0].tolist() == [True, False]
    assert questions["negation"][0].sum() == 2
    where, goes_on = questions["goes on"]
    assert where.tolist() == [[True, True, False, False], [False] * 4]
    assert goes_on[0, :2].tolist() == [True, False]
    assert questions["place"][1][0].tolist() == [0, 2, 4, 6]


def test_the_interval_of_a_mean(lesson):
    mean, half = lesson.mean_interval([1.0, 2.0, 3.0])
    assert mean == 2
    assert abs(half - 4.30 / math.sqrt(3)) < 1e-9
