"""Block, model, loss, schedule and decoding of lesson 32, against Keras, the figure, and what must not change."""

from __future__ import annotations

import math

import numpy as np
import pytest

from course_utils.checks import transformer as check
from course_utils.explorables import TransformerTracer
from tests.lessons.code import lesson_code


@pytest.fixture(scope="module")
def lesson():
    return lesson_code("32_transformer")


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture(scope="module")
def model(lesson):
    import keras

    keras.utils.set_random_seed(0)
    model = lesson.Transformer(9, 7, width=16, heads=2, depth=2)
    model((np.full((1, 3), 4), np.full((1, 2), 4)))
    return model


def logits_of(model, source, shifted):
    return np.asarray(model((source, shifted)))


# ---------------------------------------------------------------------------- sub-blocks


@pytest.mark.parametrize("order", ["pre", "post"])
@pytest.mark.parametrize("masked", [False, True])
def test_block_equals_one_of_keras_layers(lesson, rng, order, masked):
    block, X = lesson.shaken_block(order, rng)
    allowed = np.broadcast_to(np.tri(6, dtype=bool) if masked else np.ones((6, 6), dtype=bool), (2, 6, 6))
    ours = np.asarray(block(X, allowed=allowed[:, None]))
    assert np.allclose(ours, lesson.keras_block(block, X, allowed), atol=1e-4)
    assert not np.allclose(ours, lesson.keras_block(block, X, allowed, epsilon=0.1), atol=1e-3)


def test_cross_attention_equals_keras(lesson, rng):
    ours = lesson.MultiHeadAttention(8, 2)
    X, memory = rng.normal(size=(2, 3, 8)).astype("float32"), rng.normal(size=(2, 5, 8)).astype("float32")
    allowed = rng.random((2, 3, 5)) < 0.7
    allowed[:, :, 0] = True
    result = np.asarray(ours(X, memory=memory, allowed=allowed[:, None]))
    theirs, weights = lesson.keras_attention(ours)(
        X, memory, attention_mask=allowed, return_attention_scores=True
    )
    assert np.allclose(result, theirs, atol=1e-5)
    assert np.allclose(ours.look(X, memory, allowed[:, None]), weights, atol=1e-5)


def test_layer_norm(lesson, rng):
    norm = lesson.LayerNorm(6)
    norm.set_weights([rng.normal(size=6), rng.normal(size=6)])
    X = rng.normal(3, 5, size=(2, 4, 6)).astype("float32")
    assert np.allclose(norm(X), lesson.keras_norm(norm)(X), atol=1e-5)


def test_parameters_of_a_block(lesson, rng):
    for d in (8, 32):
        block, _ = lesson.shaken_block("pre", rng, d, heads=2)
        assert block.count_params() == 12 * d**2 + 13 * d


def test_pre_ln_adds_and_post_ln_normalises(lesson, rng):
    for order in ("pre", "post"):
        block, X = lesson.shaken_block(order, rng)
        zero = block.add(X, lesson.LayerNorm(16), lambda Z: 0 * Z)
        assert np.allclose(zero, X, atol=1e-5) == (order == "pre")


def test_decoder_block_of_the_exercise(lesson, rng):
    block, X = lesson.shaken_block("pre", rng, cross=True)
    memory = rng.normal(size=(1, 5, 16)).astype("float32")
    ours = np.asarray(block(X[:1], memory=memory))[0]
    theirs = check.decoder_block.reference(
        X[0],
        memory[0],
        lambda Z: np.asarray(block.attention(Z[None]))[0],
        lambda Z, M: np.asarray(block.cross_attention(Z[None], memory=M[None]))[0],
        lambda Z: np.asarray(block.feed_forward(Z[None]))[0],
        [lambda Z, norm=norm: np.asarray(norm(Z[None]))[0] for norm in block.norms],
    )
    assert np.allclose(ours, theirs, atol=1e-4)


# ---------------------------------------------------------------------------- masks and positions


def test_decoder_does_not_see_the_future_unless_told(model, rng):
    source, shifted = rng.integers(3, 9, (2, 5)), rng.integers(3, 7, (2, 6))
    changed = shifted.copy()
    changed[:, 4:] = 3 + (changed[:, 4:] - 2) % 4
    assert np.allclose(
        logits_of(model, source, shifted)[:, :4], logits_of(model, source, changed)[:, :4], atol=1e-5
    )
    model.causal.assign(0.0)
    assert not np.allclose(
        logits_of(model, source, shifted)[:, :4], logits_of(model, source, changed)[:, :4], atol=1e-3
    )
    model.causal.assign(1.0)


def test_padding_of_the_source_changes_nothing(model, rng):
    source, shifted = rng.integers(3, 9, (2, 5)), rng.integers(3, 7, (2, 4))
    padded = np.pad(source, ((0, 0), (0, 7)))
    assert np.allclose(logits_of(model, source, shifted), logits_of(model, padded, shifted), atol=1e-4)


def test_without_positions_the_source_is_a_bag(model, rng):
    source, shifted = rng.integers(3, 9, (2, 5)), rng.integers(3, 7, (2, 4))
    source[:, 0], source[:, 1] = 3, 4
    shuffled = source[:, [4, 1, 3, 0, 2]]
    assert not np.allclose(logits_of(model, source, shifted), logits_of(model, shuffled, shifted), atol=1e-3)
    model.ordered.assign(0.0)
    assert np.allclose(logits_of(model, source, shifted), logits_of(model, shuffled, shifted), atol=1e-4)
    model.ordered.assign(1.0)


# ---------------------------------------------------------------------------- loss and schedule


def test_smoothed_loss_equals_keras_and_ignores_padding(lesson, rng):
    import keras

    logits, target = rng.normal(size=(3, 4, 7)).astype("float32"), rng.integers(1, 7, (3, 4))
    for smoothing in (0.0, 0.1):
        theirs = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=smoothing)(
            np.eye(7)[target], logits
        )
        assert float(lesson.token_loss(target, logits, smoothing)) == pytest.approx(float(theirs), rel=1e-5)
        exercise = check.smoothed_loss.reference(
            logits.reshape(-1, 7).astype(float), target.ravel(), smoothing
        )
        assert float(theirs) == pytest.approx(exercise, rel=1e-5)
    target[:, 2:] = lesson.PAD
    short = lesson.token_loss(target[:, :2], logits[:, :2])
    assert float(lesson.token_loss(target, logits)) == pytest.approx(float(short), rel=1e-5)


def test_smoothed_loss_is_lowest_where_the_prose_says(lesson):
    V, smoothing = 5, 0.2
    p = 1 - smoothing + smoothing / V
    best = np.log(np.array([[[p, *[smoothing / V] * (V - 1)]]])).astype("float32")
    target = np.full((1, 1), 1)
    best = best[..., [1, 0, 2, 3, 4]]
    lowest = float(lesson.token_loss(target, best, smoothing))
    assert lowest == pytest.approx(
        -p * math.log(p) - (V - 1) * smoothing / V * math.log(smoothing / V), rel=1e-5
    )
    for shift in (-0.3, 0.3):
        other = best.copy()
        other[..., 1] += shift
        assert float(lesson.token_loss(target, other, smoothing)) > lowest


def test_schedule(lesson):
    steps = np.arange(1, 1001)
    rates = lesson.vaswani(steps, 64, 100)
    assert rates.argmax() == 99
    assert rates.max() == pytest.approx((64 * 100) ** -0.5)
    assert np.allclose(rates[:100], rates.max() * steps[:100] / 100)
    assert np.allclose(rates[100:], 64**-0.5 * steps[100:] ** -0.5)
    assert lesson.linear_warm_up(4, 1.0, 2).tolist() == [0.5, 1, 1, 1]
    assert lesson.linear_warm_up(3, 0.1, 0).tolist() == [0.1] * 3


# ---------------------------------------------------------------------------- training and writing


def test_shift_right(lesson):
    assert lesson.shift_right(np.array([[5, 6, 2, 0]])).tolist() == [[1, 5, 6, 2]]


def test_greedy_is_the_argmax_of_each_place_and_stops(lesson, model, rng):
    source = rng.integers(3, 9, (6, 5))
    tokens = lesson.greedy(model, source, 7)
    assert tokens.shape == (6, 7)
    best = logits_of(model, source, lesson.shift_right(tokens)).argmax(axis=-1)
    for row, said in zip(tokens, best, strict=True):
        ends = np.flatnonzero(row == lesson.END)
        length = ends[0] + 1 if len(ends) else len(row)
        assert np.array_equal(row[:length], said[:length]) or lesson.PAD in row[:length]
        assert (row[length:] == lesson.PAD).all()


def test_toy_batches(lesson, rng):
    (source, shifted), target = lesson.digit_batches("reverse", 1, 4, rng)[0]
    assert np.array_equal(target[:, :-1], source[:, ::-1]) and (target[:, -1] == lesson.END).all()
    assert np.array_equal(shifted, lesson.shift_right(target))
    (source, _), target = lesson.digit_batches("sort", 1, 4, rng)[0]
    assert np.array_equal(target[:, :-1], np.sort(source))


def test_training_lowers_the_loss_and_restart_forgets(lesson, rng):
    stack = lesson.fresh_stack(1, width=16, depth=1)
    first = stack.get_weights()
    step, optimizer = lesson.training_step(stack)
    curve = lesson.train(step, lesson.reversing_batches(40, 32, rng), np.full(40, 0.02))
    assert curve[-5:].mean() < 0.8 * curve[0]
    lesson.restart(stack, optimizer, first)
    assert all(np.array_equal(a, b) for a, b in zip(stack.get_weights(), first, strict=True))
    assert not any(np.any(np.asarray(variable)) for variable in optimizer.variables)


# ---------------------------------------------------------------------------- the residual stream


def test_stream_ends_where_the_stack_does(lesson, rng):
    stack = lesson.fresh_stack(3, width=16, depth=3)
    tokens = rng.integers(4, 14, (5, lesson.LENGTH))
    streams = lesson.residual_stream(stack, tokens)
    assert len(streams) == 7
    assert np.allclose(stack.logits(stack.final_norm(streams[-1])), stack(tokens), atol=1e-5)


def test_contributions_sum_to_the_logits(lesson, rng):
    stack = lesson.fresh_stack(3, width=16, depth=2)
    tokens = rng.integers(4, 14, (1, lesson.LENGTH))
    streams = np.stack([np.asarray(X)[0, 2] for X in lesson.residual_stream(stack, tokens)]).astype(float)
    added = np.diff(streams, axis=0, prepend=0)
    parts = check.contributions.reference(
        added, np.asarray(stack.final_norm.gamma), np.asarray(stack.logits.kernel)
    )
    rest = np.asarray(stack.final_norm.beta) @ np.asarray(stack.logits.kernel) + np.asarray(stack.logits.bias)
    assert np.allclose(parts.sum(axis=0) + rest, np.asarray(stack(tokens))[0, 2], atol=1e-4)


def test_gradient_comes_down_in_pre_ln_and_shrinks_in_post_ln(lesson, rng):
    tokens, target = lesson.reversing_batches(1, 32, rng)[0]
    ratio = {}
    for order in ("pre", "post"):
        sizes = lesson.stream_gradients(lesson.fresh_stack(1, depth=8, order=order), tokens, target)
        ratio[order] = sizes[0] / sizes[-1]
    assert ratio["post"] < 0.5 * ratio["pre"]


def test_the_figure_computes_the_same(lesson, rng):
    stack = lesson.fresh_stack(5)
    words = list("80261937")
    figure = TransformerTracer(
        lesson.tracer_weights(stack), tokens=words, vocabulary=lesson.VOCABULARY, heads=2, causal=False
    )
    ids = np.array([[lesson.VOCABULARY.index(word) for word in words]])
    assert np.allclose(figure.trace()["logits"], np.asarray(stack(ids))[0], atol=1e-4)


# ---------------------------------------------------------------------------- data and scores


def test_rule_for_dates(lesson):
    assert lesson.copy_digits("17.06.07") == "2007-06-17"
    assert lesson.copy_digits("7 mai 1961") == "1961-01-07"


def test_arrays_and_words(lesson):
    index = lesson.build_index([["a", "b", "a"]])
    array = lesson.to_array([["a", "z"], ["b"]], index, 3)
    assert array.tolist() == [[4, lesson.UNKNOWN, lesson.END, 0], [index["b"], lesson.END, 0, 0]]
    assert lesson.to_words(array, np.array(list(index)))[1] == ["b"]
    assert lesson.words("J'aime l'été.") == ["j'", "aime", "l'", "été", "."]


def test_bleu(lesson):
    reference = ["the", "cat", "is", "on", "the", "mat"]
    assert lesson.bleu([reference], [reference]) == pytest.approx(1)
    assert lesson.bleu([reference[:4]], [reference]) == pytest.approx(math.exp(1 - 6 / 4))
    assert lesson.bleu([reference[::-1]], [reference]) == 0
