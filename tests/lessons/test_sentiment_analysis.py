"""Tokens, padding, averaged embeddings and the tests of order of lesson 21."""

from __future__ import annotations

import numpy as np
import pytest

from course_utils.checks import sentiment_analysis as check
from tests.lessons.code import lesson_code


@pytest.fixture(scope="module")
def lesson():
    return lesson_code("21_sentiment_analysis")


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def batch(rng):
    tokens = rng.integers(1, 9, (6, 5))
    tokens[np.arange(5) >= np.array([5, 1, 3, 2, 4, 0])[:, None]] = 0
    return tokens, rng.integers(0, 2, 6)


# ---------------------------------------------------------------------------- tokens


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("It isn't dull.", ["it", "is", "n't", "dull", "."]),
        ("I can’t, won't!", ["i", "ca", "n't", ",", "wo", "n't", "!"]),
        ("We've 12 cats' cafés", ["we", "'ve", "12", "cats", "'", "cafés"]),
        ("", []),
    ],
)
def test_tokenise(lesson, text, tokens):
    assert lesson.tokenise(text) == tokens


def test_no_letter_is_lost(lesson):
    text = "Naïve? No: it wasn't 'over-hyped' at 9 o'clock; it's un été d'enfer (really)."
    assert "".join(lesson.tokenise(text)) == "".join(text.lower().split())


def test_vocabulary_is_ordered_and_keeps_two_numbers(lesson):
    texts = [["a", "b", "a"], ["a", "c", "b"]]
    assert lesson.build_vocabulary(texts) == {"a": 2, "b": 3}
    assert lesson.build_vocabulary(texts, min_count=1) == {"a": 2, "b": 3, "c": 4}
    assert lesson.coverage({"a": 2, "b": 3}, texts, 1) == pytest.approx(3 / 6)


def test_encode_pads_cuts_and_knows_the_unknown(lesson):
    tokens = lesson.encode([["a", "x"], ["b", "a", "b", "a"], []], {"a": 2, "b": 3}, 3)
    assert tokens.tolist() == [[2, 1, 0], [3, 2, 3], [0, 0, 0]]
    assert tokens.dtype == np.int64


def test_encode_equals_text_vectorization(lesson):
    import tensorflow as tf
    from keras import layers

    texts = [lesson.tokenise(t) for t in ("A good, good film.", "It isn't good", "An unheard-of thing!")]
    index = lesson.build_vocabulary(texts, min_count=1)
    layer = layers.TextVectorization(
        standardize=None, split="whitespace", output_sequence_length=4, vocabulary=list(index)
    )
    theirs = layer(tf.constant([" ".join(words) for words in texts])).numpy()
    assert np.array_equal(theirs, lesson.encode(texts, index, 4))


def test_bag_counts_without_padding(lesson, batch):
    tokens, _ = batch
    counts = lesson.bag_of_words(tokens, 9).toarray()
    assert counts.shape == (6, 9) and not counts[:, 0].any()
    for row, text in zip(counts, tokens, strict=True):
        assert np.array_equal(row[1:], np.bincount(text, minlength=9)[1:])


# ---------------------------------------------------------------------------- averaged embeddings


def test_gradients_agree_with_differences(lesson, rng, batch):
    tokens, y = batch
    params = lesson.init_average(9, 3, rng)
    _, grads = lesson.average_gradients(tokens, y, params)
    for name in params:
        numeric = lesson.numerical_gradient(tokens, y, params, name)
        np.testing.assert_allclose(grads[name], numeric, atol=1e-9)
    assert not grads["E"][0].any(), "padding learns nothing"


def test_equal_to_keras(lesson, rng, batch):
    tokens, y = batch
    differences = lesson.compare_with_keras(tokens[:5], y[:5], lesson.init_average(9, 4, rng))
    assert max(differences.values()) < 1e-6


def test_more_padding_changes_nothing(lesson, rng, batch):
    tokens, _ = batch
    params = lesson.init_average(9, 4, rng)
    longer = np.pad(tokens, ((0, 0), (0, 7)))
    np.testing.assert_allclose(
        lesson.average_forward(longer, params)[0], lesson.average_forward(tokens, params)[0]
    )


def test_average_is_a_sum_of_one_score_per_word(lesson, rng, batch):
    tokens, _ = batch
    params = lesson.init_average(9, 4, rng)
    score = params["E"] @ params["w"]
    for text, logit in zip(tokens, lesson.average_forward(tokens, params)[0], strict=True):
        words = text[text > 0]
        assert logit == pytest.approx((score[words].mean() if len(words) else 0) + params["b"][0])


def test_shuffling_keeps_bag_and_average(lesson, rng, batch):
    tokens, _ = batch
    mixed = lesson.shuffle_words(tokens, rng)
    assert np.array_equal(mixed == 0, tokens == 0)
    assert np.array_equal(np.sort(mixed, axis=1), np.sort(tokens, axis=1))
    params = lesson.init_average(9, 4, rng)
    np.testing.assert_allclose(
        lesson.average_forward(mixed, params)[0], lesson.average_forward(tokens, params)[0]
    )


def test_training_learns_votes(lesson, rng):
    y = rng.integers(0, 2, 200)
    tokens = rng.integers(4, 20, (200, 6))
    tokens[:, 2] = 2 + y  # one telling word
    params = lesson.train_average(
        (tokens, y), (tokens, y), 20, epochs=10, seed=0, batch=32, learning_rate=0.05
    )
    assert np.mean((lesson.average_forward(tokens, params)[0] > 0) == y) > 0.97
    score = params["E"] @ params["w"]
    assert score[2] == score[2:].min() and score[3] == score[2:].max()


def test_neighbours_leave_out_padding_unknown_and_itself(lesson):
    E = np.array([[1.0, 0], [1, 0], [1, 0], [2, 1], [0, 1], [-1, 0]])
    assert lesson.neighbours(E, 2, 3).tolist() == [3, 4, 5]


# ---------------------------------------------------------------------------- order


def test_lstm_ignores_masked_padding_and_sees_order(lesson):
    import keras

    keras.utils.set_random_seed(0)
    model = lesson.build_lstm(12)
    tokens = np.array([[3, 4, 5, 0], [5, 4, 3, 0]])
    logits = lesson.logits_of(model, tokens)
    np.testing.assert_allclose(lesson.logits_of(model, np.pad(tokens, ((0, 0), (0, 9)))), logits, atol=1e-6)
    assert abs(logits[0] - logits[1]) > 1e-6
    bare = lesson.build_lstm(12, mask=False)
    bare.set_weights(model.get_weights())
    shift = lesson.logits_of(bare, np.pad(tokens, ((0, 0), (0, 9)))) - lesson.logits_of(bare, tokens)
    assert np.abs(shift).max() > 1e-6


def test_trainer_restarts_from_the_beginning(lesson, rng):
    import keras

    trainer = lesson.Trainer(lesson.build_lstm(8, units=4, features=3, dropout=0.0), 0.01)
    X, y = np.array([[2, 3, 0], [4, 5, 6], [7, 2, 1]]), np.array([0, 1, 1])
    ends = []
    for _ in range(2):
        keras.utils.set_random_seed(3)
        fresh = lesson.build_lstm(8, units=4, features=3, dropout=0.0)
        trainer.restart(fresh)
        assert all(
            np.array_equal(a, b)
            for a, b in zip(trainer.model.get_weights(), fresh.get_weights(), strict=True)
        )
        trainer.fit(X, y, 3, 2, np.random.default_rng(0))
        ends.append(trainer.model.get_weights())
        assert int(trainer.optimizer.iterations) == 6
    assert float(trainer.optimizer.learning_rate) == pytest.approx(0.01)
    for a, b, start in zip(*ends, fresh.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)
        assert not np.allclose(a, start)


def test_trainer_keeps_the_epoch_with_the_lowest_validation_loss(lesson, rng):
    trainer = lesson.Trainer(lesson.build_lstm(30, units=4, features=3, dropout=0.0), 0.1)
    X, y = rng.integers(2, 30, (40, 4)), rng.integers(0, 2, 40)
    X_val, y_val = rng.integers(2, 30, (40, 4)), rng.integers(0, 2, 40)

    def loss():
        logits = trainer.logits(X_val).numpy()
        return np.mean(np.logaddexp(0, logits) - y_val * logits)

    losses = []
    trainer.fit(X, y, 25, 10, np.random.default_rng(0), (X_val, y_val))
    losses.append(loss())
    trainer.fit(X, y, 5, 10, np.random.default_rng(0))
    losses.append(loss())
    assert losses[0] < losses[1], "noise is learnt by heart, and the early weights were kept"


def test_invented_language_can_be_learnt(lesson):
    texts, mirrors, labels, mirror_labels = lesson.invented_sentences(400, np.random.default_rng(0))
    index = lesson.build_vocabulary(texts, min_count=1)
    import keras

    keras.utils.set_random_seed(0)
    trainer = lesson.Trainer(lesson.build_lstm(len(index) + 2, units=16, features=8, dropout=0.0), 0.04)
    X = lesson.encode(texts[:300], index, 9)
    trainer.fit(X, labels[:300], 25, 100, np.random.default_rng(0))
    away = lesson.encode(texts[300:] + mirrors[300:], index, 9)
    right = (trainer.logits(away).numpy() > 0) == np.r_[labels[300:], mirror_labels[300:]]
    assert right.mean() > 0.9


def test_probes_have_one_bag_and_two_orders(lesson):
    assert len(lesson.PROBES) >= 6
    for praise, blame in lesson.PROBES:
        assert praise != blame and sorted(praise.split()) == sorted(blame.split())


def test_invented_language_is_order_alone(lesson, rng):
    texts, mirrors, labels, mirror_labels = lesson.invented_sentences(300, rng)
    assert np.array_equal(labels + mirror_labels, np.ones(300))
    assert 0.4 < labels.mean() < 0.6
    for words, mirror, label in zip(texts, mirrors, labels, strict=True):
        assert sorted(words) == sorted(mirror) and len(words) <= 9
        last = words[words.index("but") + 1 :]
        assert ((last[-1] in lesson.FRIENDLY) != ("not" in last)) == bool(label)
    index = lesson.build_vocabulary(texts, min_count=1)
    model = lesson.fit_bag(lesson.encode(texts, index, 9), labels, len(index) + 2, C=1.0)
    both = lesson.bag_of_words(lesson.encode(texts + mirrors, index, 9), len(index) + 2)
    assert model.score(both, np.r_[labels, mirror_labels]) == pytest.approx(0.5, abs=0.01)


def test_kinds_by_words(lesson):
    assert lesson.kind_of(["good", "but", "not"], "untagged") == "contrast"
    assert lesson.kind_of(["is", "n't", "good"], "untagged") == "negation"
    assert lesson.kind_of(["good"], "untagged") == "plain"
    assert lesson.kind_of(["not"], "irony") == "irony"


# ---------------------------------------------------------------------------- honesty


def test_twins_are_found_and_stay_together(lesson, rng):
    texts = [list("abcdef"), list("ghijkl"), list("abcdex"), list("mnopqr"), list("ghijky"), [".", "!"]]
    nearest, similarity = lesson.nearest_texts(texts, block=4)
    assert nearest[[0, 2, 1, 4]].tolist() == [2, 0, 4, 1]
    assert similarity[0] == pytest.approx(5 / 7)
    groups = lesson.twin_groups(nearest, similarity)
    assert groups.tolist() == [0, 1, 0, 3, 1, 5]
    many = np.repeat(np.arange(100), 2)
    chosen = lesson.split_groups(many, 0.2, rng)
    assert chosen.sum() == 40 and np.array_equal(chosen[::2], chosen[1::2])


def test_wilson_interval(lesson):
    share, low, high = lesson.wilson(28, 40)
    assert (share, low, high) == pytest.approx((0.7, 0.5457, 0.8193), abs=2e-4)
    assert lesson.wilson(0, 10)[1] == pytest.approx(0, abs=1e-12)


def test_bootstrap_covers_and_knows_twins(lesson, rng):
    a, b = rng.random(400) < 0.8, rng.random(400) < 0.6
    mean, low, high = lesson.bootstrap_difference(a, b, np.arange(400), rng)
    assert mean == pytest.approx(a.mean() - b.mean()) and low < mean < high
    assert high - low == pytest.approx(2 * 1.96 * np.std(a * 1.0 - b) / 20, rel=0.15)
    doubled = np.repeat(np.arange(400), 2)
    _, low_2, high_2 = lesson.bootstrap_difference(np.repeat(a, 2), np.repeat(b, 2), doubled, rng)
    assert high_2 - low_2 == pytest.approx(high - low, rel=0.15), "copies are no new texts"


def test_worked_values_of_the_exercises():
    assert check.pad.reference([[5, 3], [2, 4, 6, 8]], 3).tolist() == [[5, 3, 0], [2, 4, 6]]
    E = np.array([[9.0, 9], [1, 0], [10, 1], [0, 2], [-3, 0]])
    assert check.nearest_words.reference(E, 1, 2).tolist() == [2, 3]
    H = np.array([[[1.0], [2.0], [3.0]]])
    assert check.last_state.reference(H, np.array([[7, 4, 0]])).tolist() == [[2.0]]
    assert check.sign_test.reference(np.ones(5, bool), np.zeros(5, bool)) == 2 / 2**5
