"""Attention, search, BLEU and the model of lesson 23, against Keras, finite differences and enumeration."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from course_utils.checks import seq2seq_and_attention as check
from tests.lessons.code import lesson_code

KINDS = ["additive", "dot", "general"]


@pytest.fixture(scope="module")
def lesson():
    return lesson_code("23_seq2seq_and_attention")


@pytest.fixture
def rng():
    return np.random.default_rng(0)


# ---------------------------------------------------------------------------- attention


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_agree_with_finite_differences(lesson, rng, kind):
    assert all(error < 1e-7 for error in lesson.worst_gradient_error(kind, rng).values())


@pytest.mark.parametrize("kind", KINDS)
def test_numpy_our_layer_and_keras_agree(lesson, rng, kind):
    own, built_in = lesson.largest_differences(kind, rng)
    assert own < 1e-5
    assert built_in < 1e-5


@pytest.mark.parametrize("kind", KINDS)
def test_weights_are_a_distribution_over_real_positions(lesson, rng, kind):
    Q, K, real = (
        rng.normal(size=(3, 4, 5)),
        rng.normal(size=(3, 6, 5)),
        np.arange(6) < np.array([[6], [2], [1]]),
    )
    context, weights = lesson.attend(kind, Q, K, real, lesson.init_scores(kind, 5, 7, rng))
    assert np.allclose(weights.sum(axis=-1), 1)
    assert (weights[~np.broadcast_to(real[:, None], weights.shape)] == 0).all()
    assert np.allclose(context[2], K[2, 0]), "one real position leaves no choice"


def test_padding_gets_no_gradient(lesson, rng):
    Q, K, real = (
        rng.normal(size=(1, 2, 4)),
        rng.normal(size=(1, 5, 4)),
        np.array([[True, True, True, False, False]]),
    )
    params = lesson.init_scores("general", 4, 4, rng)
    _, weights = lesson.attend("general", Q, K, real, params)
    _, grad_K, _ = lesson.attend_backward("general", rng.normal(size=Q.shape), Q, K, weights, params)
    assert np.abs(grad_K[0, :3]).min() > 0
    assert (grad_K[0, 3:] == 0).all()


def test_general_with_identity_is_dot(lesson, rng):
    Q, K = rng.normal(size=(2, 3, 4)), rng.normal(size=(2, 5, 4))
    assert np.allclose(lesson.score("general", Q, K, {"W": np.eye(4)}), lesson.score("dot", Q, K, {}))


def test_attention_of_one_step_is_the_exercise(lesson, rng):
    Q, K, real = (
        rng.normal(size=(3, 1, 4)),
        rng.normal(size=(3, 6, 4)),
        np.arange(6) < np.array([[6], [3], [2]]),
    )
    context, weights = lesson.attend("dot", Q, K, real, {})
    theirs, their_weights = check.attend_values.reference(Q[:, 0], K, K, real)
    assert np.allclose(context[:, 0], theirs)
    assert np.allclose(weights[:, 0], their_weights)


def test_effective_positions_lie_between_one_and_all(rng):
    weights = rng.dirichlet(np.full(7, 0.3), size=50)
    counts = check.effective_positions.reference(weights)
    assert (counts >= 1).all() and (counts <= 7 + 1e-9).all()
    assert check.effective_positions.reference(np.full(7, 1 / 7)) == pytest.approx(7)


# ---------------------------------------------------------------------------- one vector


def test_one_vector_returns_less_of_a_longer_text_and_more_with_more_numbers(lesson, rng):
    short, long = (lesson.recall_from_one_vector(n, 64, rng) for n in (4, 48))
    assert short > 0.9 and long < 0.4
    assert lesson.recall_from_one_vector(16, 128, rng) > lesson.recall_from_one_vector(16, 32, rng) + 0.2


# ---------------------------------------------------------------------------- search


def random_language(seed, size=6):
    """next_log_probs that depend on the whole beginning, padding and start excluded by the search itself."""

    def next_log_probs(tokens):
        rows = []
        for beginning in tokens:
            logits = np.random.default_rng([seed, *beginning]).normal(size=size) * 1.5
            rows.append(logits - np.logaddexp.reduce(logits))
        return np.array(rows)

    return next_log_probs


def best_by_enumeration(next_log_probs, steps, size=6):
    """The most probable sequence that ends within `steps`, among all of them."""
    best, best_score = None, -np.inf
    words = [2, *range(3, size)]
    for length in range(1, steps + 1):
        for middle in itertools.product(words[1:], repeat=length - 1):
            sequence = (*middle, 2)
            prefix, score = [1], 0.0
            for token in sequence:
                score += next_log_probs(np.array([prefix]))[0, token]
                prefix.append(token)
            if score > best_score:
                best, best_score = sequence, score
    return best, best_score


@pytest.mark.parametrize("seed", range(4))
def test_a_beam_of_all_beginnings_is_exact_and_agrees_with_best_first(lesson, seed):
    language, steps = random_language(seed), 4
    best, score = best_by_enumeration(language, steps)
    ends = language

    def must_end(tokens):  # at the last step only the end token is left
        log_probs = ends(tokens)
        if tokens.shape[1] == steps:
            log_probs[:, [0, 1, 3, 4, 5]] = -np.inf
        return log_probs

    tokens, log_p = lesson.beam_search(must_end, 1, 200, steps)
    assert tuple(t for t in tokens[0] if t) == best
    assert log_p[0] == pytest.approx(score)

    def without_start(beginning):
        log_probs = language(np.array([[1, *beginning]]))[0]
        log_probs[[0, 1]] = -np.inf
        return log_probs

    found, found_score = check.best_sequence.reference(without_start, 2, steps)
    assert found == best
    assert found_score == pytest.approx(score)


def test_width_one_is_greedy_and_batches_do_not_mix(lesson):
    language = random_language(11)
    tokens, scores = lesson.beam_search(language, 3, 1, 6)
    prefix, total = [1], 0.0
    for _ in range(6):
        log_probs = language(np.array([prefix]))[0]
        log_probs[[0, 1]] = -np.inf
        total += log_probs.max()
        prefix.append(int(log_probs.argmax()))
        if prefix[-1] == 2:
            break
    wanted = prefix[1:]
    for row in range(3):
        assert [int(t) for t in tokens[row] if t] == wanted
        assert scores[row] == pytest.approx(total)


def test_scores_are_those_of_the_sequences(lesson):
    language = random_language(5)
    (tokens,), (score,) = lesson.beam_search(language, 1, 4, 8)
    prefix, total = [1], 0.0
    for token in tokens:
        if token == 0:
            break
        total += language(np.array([prefix]))[0, token]
        prefix.append(int(token))
    assert score == pytest.approx(total)


def toy(lesson, name):
    fork = {(): {4: 0.55, 5: 0.45}, (4,): dict.fromkeys(range(6, 12), 1 / 6), (5,): {6: 0.9, 7: 0.1}}
    line = [4 + i % 8 for i in range(12)]
    long = {tuple(line[:i]): {line[i]: 0.8, 2: 0.15, 3: 0.05} for i in range(12)}
    return lesson.table_model({"fork": fork, "long": long}[name])


def test_greedy_loses_on_the_garden_path(lesson):
    _, greedy = lesson.beam_search(toy(lesson, "fork"), 1, 1, 6)
    tokens, beam = lesson.beam_search(toy(lesson, "fork"), 1, 2, 6)
    assert greedy[0] == pytest.approx(math.log(0.55 / 6))
    assert beam[0] == pytest.approx(math.log(0.45 * 0.9))
    assert tokens[0].tolist() == [5, 6, 2]


def test_length_normalisation_brings_the_long_sentence_back(lesson):
    short, log_p = lesson.beam_search(toy(lesson, "long"), 1, 3, 14, alpha=0.0)
    long, _ = lesson.beam_search(toy(lesson, "long"), 1, 3, 14, alpha=1.0)
    assert short[0, 0] == 2 and log_p[0] == pytest.approx(math.log(0.15))
    assert np.count_nonzero(long[0]) == 13


# ---------------------------------------------------------------------------- BLEU


def test_bleu_of_known_cases(lesson):
    reference = ["the", "cat", "is", "on", "the", "mat"]
    assert lesson.bleu([reference], [reference]) == pytest.approx(1)
    assert lesson.bleu([["the"] * 7], [reference], order=1) == pytest.approx(2 / 7), (
        "clipped, Papineni's example"
    )
    assert lesson.bleu([reference[:4]], [reference]) == pytest.approx(math.exp(1 - 6 / 4))
    assert lesson.bleu([reference[::-1]], [reference]) == 0
    candidate = ["the", "cat", "sat", "on", "the", "mat"]  # 5/6, 3/5, 1/4 and 0/3
    assert lesson.bleu([candidate], [reference], order=3) == pytest.approx((5 / 6 * 3 / 5 * 1 / 4) ** (1 / 3))


def test_bleu_sums_counts_over_the_corpus(lesson):
    a, b = ["a", "b", "c", "d", "e"], ["f", "g", "h", "i", "j"]
    wrong = ["f", "x", "h", "y", "j"]
    both = lesson.bleu([a, wrong], [a, b])
    assert both == pytest.approx((8 / 10 * 4 / 8 * 3 / 6 * 2 / 4) ** 0.25)


# ---------------------------------------------------------------------------- the model


@pytest.fixture(scope="module")
def model(lesson):
    import keras

    keras.utils.set_random_seed(0)
    model = lesson.Seq2Seq(9, 7, units=8)
    model((np.ones((1, 3), dtype=int), np.ones((1, 2), dtype=int)))
    return model


def test_shift_right(lesson):
    target = np.array([[5, 6, 2, 0], [4, 2, 0, 0]])
    assert lesson.shift_right(target).tolist() == [[1, 5, 6, 2], [1, 4, 2, 0]]
    assert np.array_equal(check.shift.reference(target, 1), lesson.shift_right(target))


def test_loss_ignores_padding_and_is_the_mean_cross_entropy(lesson, rng):
    logits, target = rng.normal(size=(2, 4, 7)).astype("float32"), np.array([[5, 6, 2, 0], [4, 2, 0, 0]])
    log_probs = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
    wanted = -np.mean(
        [log_probs[0, 0, 5], log_probs[0, 1, 6], log_probs[0, 2, 2], log_probs[1, 0, 4], log_probs[1, 1, 2]]
    )
    assert float(lesson.token_loss(target, logits)) == pytest.approx(wanted, rel=1e-5)


def test_decoder_does_not_see_the_future(model, rng):
    source, shifted = rng.integers(3, 9, (2, 5)), rng.integers(3, 7, (2, 6))
    changed = shifted.copy()
    changed[:, 4:] = 3 + (changed[:, 4:] - 2) % 4
    before, after = np.asarray(model((source, shifted))), np.asarray(model((source, changed)))
    assert np.allclose(before[:, :4], after[:, :4], atol=1e-6)
    assert not np.allclose(before[:, 4:], after[:, 4:], atol=1e-3)


def test_padding_changes_nothing_with_both_masks(model, rng):
    source, shifted = rng.integers(3, 9, (2, 5)), rng.integers(3, 7, (2, 4))
    padded = np.pad(source, ((0, 0), (0, 7)))
    assert np.allclose(model((source, shifted)), model((padded, shifted)), atol=1e-5)


def test_without_looking_the_context_is_the_summary(lesson, model, rng):
    source, shifted = rng.integers(3, 9, (2, 5)), rng.integers(3, 7, (2, 4))
    keys, summary, real = model.read(source)
    model.look.assign(0.0)
    logits, _ = model.write(shifted, keys, summary, real)
    scrambled, _ = model.write(shifted, keys[:, ::-1] * 3.0, summary, real)
    model.look.assign(1.0)
    attentive, _ = model.write(shifted, keys, summary, real)
    assert np.allclose(logits, scrambled, atol=1e-6), "the keys have no effect"
    assert not np.allclose(logits, attentive, atol=1e-3)


def test_beam_scores_are_the_teacher_forced_probabilities(lesson, model, rng):
    source = rng.integers(3, 9, (4, 5))
    tokens, scores = lesson.translate(model, source, steps=6, width=3)
    logits = np.asarray(model((source, lesson.shift_right(tokens))), dtype=float)
    log_probs = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
    chosen = np.take_along_axis(log_probs, tokens[..., None], axis=-1)[..., 0]
    assert np.allclose((chosen * (tokens != lesson.PAD)).sum(axis=1), scores, atol=1e-4)


def test_it_learns_to_copy_and_restart_forgets(lesson, rng):
    import keras

    source = np.concatenate([rng.integers(4, 8, (256, 3)), np.full((256, 1), 2)], axis=1)
    keras.utils.set_random_seed(1)
    model = lesson.Seq2Seq(8, 8, units=16)
    model.compile(keras.optimizers.Adam(0.02, clipnorm=1.0))
    model((source[:2], source[:2]))
    model.optimizer.build(model.trainable_variables)
    first = model.get_weights()
    losses = lesson.fit(model, source, source, epochs=12, seed=1)
    assert losses[-1] < 0.5 * losses[0]
    lesson.restart(model, first, look=0.0)
    assert all(
        np.array_equal(a, b) for a, b in zip(model.get_weights()[:-1], first[:-1], strict=True) if a.ndim
    )
    assert float(model.look) == 0.0
    assert float(model.optimizer.learning_rate) == pytest.approx(0.02)
    assert int(model.optimizer.iterations) == 0


# ---------------------------------------------------------------------------- data


def test_arrays_of_tokens(lesson):
    index = lesson.build_index([["a", "b", "a"], ["c"]], limit=2)
    assert index["a"] == 4 and len(index) == 6
    array = lesson.to_array([["a", "zzz"], ["b", "a", "b"]], index)
    assert array.tolist() == [
        [4, lesson.UNKNOWN, lesson.END, lesson.PAD],
        [index["b"], 4, index["b"], lesson.END],
    ]


def test_rule_for_dates(lesson):
    months, usual = lesson.learn_months(
        ["3 mars 1987", "le 4 mars 2001", "5 mai 1999"], ["1987-03-03", "2001-03-04", "1999-05-05"]
    )
    assert months == {"mars": "03", "mai": "05", "le": "03"} and usual == "03"
    assert lesson.copy_digits("7 mai 1961", months, usual) == "1961-05-07"
    assert lesson.copy_digits("17.06.07", {}, "01") == "2007-06-17"
    assert lesson.copy_digits("1 juin 55", {}, "01") == "1955-01-01"


def test_dictionary_by_dice(lesson):
    sources = [["the", "cat"], ["the", "dog"], ["a", "cat"]]
    targets = [["le", "chat"], ["le", "chien"], ["un", "chat"]]
    assert lesson.learn_dictionary(sources, targets) == {
        "the": "le",
        "cat": "chat",
        "dog": "chien",
        "a": "un",
    }


def test_words_keep_elisions(lesson):
    assert lesson.words("J'aime l'été.") == ["j'", "aime", "l'", "été", "."]
