"""Checks of lesson 23: shifted targets, attention with keys and values, its sharpness, and an exact search."""

from __future__ import annotations

import heapq
import itertools
from typing import Any

import numpy as np

from course_utils.checks._engine import NotYet, as_array, call, close, exercise, expect, several

Array = np.ndarray


# ---------------------------------------------------------------------------- shifted targets


def _shift_solution(target, start):
    first = np.full_like(target[:, :1], start)
    return np.concatenate([first, target[:, :-1]], axis=1)


@exercise(
    "seq2seq_and_attention.teacher_forcing",
    solution=_shift_solution,
    hints=[
        "At step j the decoder reads what it should have written at step j − 1. What does it read at the first step?",
        "Everything moves one place to the right: the first column is start, and the last column of target is dropped.",
        "np.concatenate joins two arrays along axis=1: a column (m, 1) full of start, and target[:, :-1].",
    ],
)
def shift(answer: Any) -> None:
    """What the decoder reads under teacher forcing."""
    cases = [
        (np.array([[7, 5, 9, 2, 0], [4, 6, 8, 3, 2]]), 1),
        (np.array([[3, 2]]), 1),
        (np.random.default_rng(3).integers(3, 50, (4, 7)), 50),
    ]
    for target, start in cases:
        given = target.copy()
        got = as_array(call(answer, target, start), "The shifted target")
        expect(np.array_equal(target, given), "Your function changed `target` itself. Build a new array.")
        right = _shift_solution(target, start)
        if np.array_equal(got, target):
            raise NotYet(
                "You return the target as it is. The decoder would read at each step the token that it has to write: "
                "the leak of this lesson."
            )
        m, _steps = target.shape
        named = [
            (np.concatenate([right[:, :1], target], axis=1), "The result is one place too long: the start token was put "
             "before the whole target. The last place has to go."),
            (np.concatenate([target[:, 1:], right[:, :1]], axis=1), "The target moved to the left, so the decoder reads "
             "the token after the one it has to write. It should move to the right."),
            (np.roll(target, 1, axis=1), "The last place came round to the front (np.roll). The first place is the start "
             "token."),
            (target[:, :-1], "The last place is gone, and the start token is missing in front."),
            (np.concatenate([right[:, :1], target[:, 1:]], axis=1), "The first place was replaced by the start token and "
             "the rest stayed where it was: from the second step on, the decoder reads what it has to write."),
            (np.concatenate([np.zeros((m, 1)), target[:, :-1]], axis=1), "The first place is 0. It should be `start`."),
        ]  # fmt: skip
        for wrong, message in named:
            if got.shape == wrong.shape and np.array_equal(got, wrong) and not np.array_equal(wrong, right):
                raise NotYet(message)
        if m > 1 and np.array_equal(got, np.roll(target, 1, axis=0)):
            raise NotYet("The rows moved, not the columns. Steps are along axis 1.")
        close(got, right, "The shifted target")


# ---------------------------------------------------------------------------- attention


def _attend_values_solution(query, keys, values, real):
    scores = np.einsum("mu,mtu->mt", query, keys)
    scores = np.where(real, scores, -np.inf)
    weights = np.exp(scores - scores.max(axis=1, keepdims=True))
    weights = weights / weights.sum(axis=1, keepdims=True)
    return np.einsum("mt,mtd->md", weights, values), weights


def _plain_softmax(scores: Array, axis: int) -> Array:
    e = np.exp(scores - scores.max(axis=axis, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True)


@exercise(
    "seq2seq_and_attention.attention",
    solution=_attend_values_solution,
    hints=[
        "Three steps: one score for each example and source position, (m, T); a softmax over the positions; a weighted "
        "mean of the values.",
        'np.einsum("mu,mtu->mt", query, keys) is the dot product of the query of each example with each of its keys. '
        "Where `real` is false, set the score to -np.inf before the softmax.",
        "Subtract the largest score of each row before np.exp, divide by the sum of the row (keepdims=True), and sum "
        "weights times values over t.",
    ],
)
def attend_values(answer: Any) -> None:
    """Dot-product attention of one decoder step, with keys, values and a mask."""
    rng = np.random.default_rng(23)
    m, steps, units, width = 4, 5, 3, 6
    query, keys = rng.normal(size=(m, units)), rng.normal(size=(m, steps, units))
    values = rng.normal(size=(m, steps, width))
    full, padded = np.ones((m, steps), dtype=bool), np.arange(steps) < np.array([[5], [3], [1], [4]])
    for label, real, scale in (
        ("Without padding", full, 1.0),
        ("With padding", padded, 1.0),
        ("With scores near 1,000", padded, 500.0),
    ):
        q = scale * query
        with np.errstate(all="ignore"):
            value = call(answer, q.copy(), keys.copy(), values.copy(), real.copy())
        context, weights = several(value, "context", "weights")
        weights = as_array(weights, "The array of weights", shape=(m, steps))
        right_context, right = _attend_values_solution(q, keys, values, real)
        if not np.isfinite(weights).all():
            raise NotYet(
                f"{label} some weights are not numbers. The exponential of a large score overflows; subtract the largest "
                "score of each row first, which changes no weight."
            )
        scores = np.einsum("mu,mtu->mt", q, keys)
        everywhere = _plain_softmax(scores, 1)
        zeroed = _plain_softmax(np.where(real, scores, 0.0), 1)
        named = [
            (scores, "The weights are the scores themselves. A softmax over the positions turns them into weights."),
            (everywhere, "The mask has no effect: padded positions get a share of the weight."),
            (everywhere * real, "The mask was applied after the softmax, so the rows no longer sum to 1: padding had "
             "already taken its share. Mask the scores, with -np.inf."),
            (zeroed, "Padded positions got the score 0, which is a score like any other: e⁰ is 1. Their score has to be "
             "-np.inf (or very negative)."),
            (_plain_softmax(scores, 0), "The columns sum to 1: the softmax was taken over the batch. It goes over the "
             "source positions, axis 1."),
            (_plain_softmax(np.where(real, scores, -1e9), 0), "The columns sum to 1: the softmax was taken over the batch. "
             "It goes over the source positions, axis 1."),
            (_plain_softmax(np.where(real, scores / np.sqrt(units), -np.inf), 1), "The scores were divided by √u. That is "
             "the scaled dot product of the Transformer; here the score is the plain one."),
        ]  # fmt: skip
        if not np.allclose(weights, right, atol=1e-7):
            for wrong, message in named:
                if np.allclose(weights, wrong, atol=1e-7) and not np.allclose(wrong, right, atol=1e-7):
                    raise NotYet(f"{label}: {message}")
            if (weights[~real] > 1e-7).any():
                raise NotYet(
                    f"{label}: a padded position has the weight {weights[~real].max():.3g}. It should be 0."
                )
            sums = weights.sum(axis=1)
            if not np.allclose(sums, 1):
                raise NotYet(
                    f"{label}: a row of weights sums to {sums[np.abs(sums - 1).argmax()]:.4g}, not to 1."
                )
        close(weights, right, f"{label}, the array of weights")
        got = as_array(context, f"{label}, the context")
        if got.shape == (m, units):
            raise NotYet(
                f"The context has shape {got.shape}, that of the keys. The weights come from the keys; what is averaged "
                "are the values."
            )
        if got.shape == (m, steps, width):
            raise NotYet(
                f"The context has shape {got.shape}: the weighted values were not summed over the positions."
            )
        if (
            got.shape == (m, width)
            and np.allclose(got, right_context / steps)
            and not np.allclose(got, right_context)
        ):
            raise NotYet(
                "The context was divided by T. The weights sum to 1, so the weighted sum is already the mean."
            )
        close(got, right_context, f"{label}, the context")


# ---------------------------------------------------------------------------- sharpness


def _effective_positions_solution(weights):
    logs = np.log(weights, out=np.zeros_like(weights), where=weights > 0)  # 0 where the weight is 0
    return np.exp(-(weights * logs).sum(axis=-1))


@exercise(
    "seq2seq_and_attention.alignment",
    solution=_effective_positions_solution,
    hints=[
        "It is the perplexity of lesson 22, of a row of weights: the exponent of an entropy, in nats.",
        "A weight of 0 contributes 0 to the entropy, but 0 · log 0 is nan in NumPy. Take the logarithm only where the "
        "weight is positive.",
        "np.log(weights, out=np.zeros_like(weights), where=weights > 0) leaves 0 where there is nothing to take; then "
        "multiply, sum over the last axis, change the sign, np.exp.",
    ],
)
def effective_positions(answer: Any) -> None:
    """Over how many positions a row of attention is spread."""
    rng = np.random.default_rng(5)
    raw = rng.exponential(size=(2, 3, 6)) ** 2
    raw[0, 1, 2:] = 0.0
    raw[1, 2, [0, 3]] = 0.0
    batch = raw / raw.sum(axis=-1, keepdims=True)
    cases = [
        ("[0.5, 0.5, 0]", np.array([0.5, 0.5, 0.0])),
        ("a flat row of 8 positions", np.full(8, 1 / 8)),
        ("a row with all weight on one position", np.array([0.0, 1.0, 0.0, 0.0])),
        ("an array of shape (2, 3, 6)", batch),
    ]
    for label, weights in cases:
        with np.errstate(all="ignore"):
            value = call(answer, weights.copy())
        got = as_array(value, f"The result for {label}")
        right = _effective_positions_solution(weights)
        entropy = np.log(right)
        if got.shape == right.shape and not np.isfinite(got).all():
            raise NotYet(
                f"For {label} the result is {np.ravel(got)[~np.isfinite(np.ravel(got))][0]}. The logarithm of 0 is "
                "-inf, and 0 · (-inf) is nan; a weight of 0 has to contribute 0."
            )
        if got.shape != right.shape:
            if right.ndim and got.shape == ():
                raise NotYet(
                    f"For {label} a single number came back: the sum ran over all axes. Sum over the last one only; the "
                    "result has one number per row."
                )
            raise NotYet(f"For {label} the result has shape {got.shape}; it should have {right.shape}.")
        named = [
            (entropy, "the entropy in nats. Its exponent counts positions"),
            (-entropy, "the entropy with the wrong sign, and without the exponent"),
            (np.exp(-entropy), "below 1: the sign is missing. Logarithms of weights are negative, so the sum is too"),
            (entropy / np.log(2), "the entropy in bits, without the exponent"),
            (2.0**entropy, "2 to the power of an entropy in nats. With the natural logarithm the base is e"),
            (1 / (weights**2).sum(axis=-1), "one over the sum of squares. That counts positions as well, in another way; "
             "the task asks for the entropy"),
            ((weights > 0).sum(axis=-1), "the number of weights that are not 0. How large they are has to matter too"),
        ]  # fmt: skip
        if not np.allclose(got, right):
            for wrong, message in named:
                if np.allclose(got, wrong) and not np.allclose(wrong, right):
                    raise NotYet(f"For {label} you return {message}.")
        close(got, right, f"The result for {label}")


# ---------------------------------------------------------------------------- exact search


def _best_sequence_solution(next_log_probs, end, steps):
    queue = [(0.0, ())]  # (minus the log-probability, beginning): the most probable one comes out first
    while queue:
        cost, beginning = heapq.heappop(queue)
        if beginning and beginning[-1] == end:
            return beginning, -cost  # whatever is still in the queue can only become less probable
        if len(beginning) < steps:
            for token, log_p in enumerate(next_log_probs(beginning)):
                if log_p > -np.inf:
                    heapq.heappush(queue, (cost - log_p, (*beginning, token)))


class _Language:
    """Random next-token probabilities, fixed for each beginning; counts how often it is asked."""

    def __init__(self, seed: int, size: int, sharp: float, end: int, limit: int | None = None) -> None:
        self.seed, self.size, self.sharp, self.end, self.limit = seed, size, sharp, end, limit
        self.calls = 0

    def log_probs(self, beginning: tuple[int, ...]) -> Array:
        rng = np.random.default_rng([self.seed, *(int(token) + 1 for token in beginning)])
        logits = self.sharp * rng.normal(size=self.size)
        logits[self.end] += 0.8 * len(beginning) - 1.5
        return logits - np.logaddexp.reduce(logits)

    def __call__(self, tokens: Any) -> Array:
        self.calls += 1
        if self.limit is not None and self.calls > self.limit:
            raise NotYet(
                f"You asked for more than {self.limit} beginnings in a language where best-first search needs far fewer. "
                "Extend the most probable beginning of all, and stop as soon as that one ends with `end`."
            )
        beginning = tuple(int(token) for token in tokens)
        if self.end in beginning:
            raise NotYet(f"You asked how {beginning} continues, but it has already ended with {self.end}.")
        return self.log_probs(beginning)


def _all_sequences(language: _Language, steps: int) -> dict[tuple[int, ...], float]:
    """Every sequence that ends within `steps` tokens, with its log-probability."""
    found, alive = {}, {(): 0.0}
    for _ in range(steps):
        longer = {}
        for beginning, score in alive.items():
            for token, log_p in enumerate(language.log_probs(beginning)):
                (found if token == language.end else longer)[(*beginning, token)] = score + log_p
        alive = longer
    return found


def _greedy(language: _Language, steps: int) -> tuple[int, ...]:
    tokens: tuple[int, ...] = ()
    while len(tokens) < steps and (not tokens or tokens[-1] != language.end):
        tokens = (*tokens, int(language.log_probs(tokens).argmax()))
    return tokens


def _disagreeing(count: int) -> list[_Language]:
    """Small languages in which greedy search, and the best ratio per token, both miss the most probable sequence."""
    kept = []
    for seed in itertools.count():
        language = _Language(seed, size=4, sharp=1.2, end=seed % 4)
        ranked = _all_sequences(language, 5)
        best = max(ranked, key=ranked.get)
        per_token = max(ranked, key=lambda s: ranked[s] / len(s))
        if len({best, per_token, _greedy(language, 5)}) == 3:
            kept.append(language)
        if len(kept) == count:
            return kept
    raise AssertionError


@exercise(
    "seq2seq_and_attention.beam_search",
    solution=_best_sequence_solution,
    hints=[
        "Keep all beginnings that you have not extended yet, with their log-probabilities. Which of them is the one to "
        "extend next, if you want to be allowed to stop early?",
        "Always take the most probable beginning out. If it ends with `end`, no other can beat it: all others are less "
        "probable now, and adding a token multiplies by at most 1.",
        "heapq.heappop takes out the smallest, so store (-log_p, beginning). Take out; return if it has ended; else, if "
        "it is shorter than steps, push one entry for each token.",
    ],
)
def best_sequence(answer: Any) -> None:
    """The most probable sequence, found for certain."""
    steps = 5
    languages = _disagreeing(5)
    for language in languages:
        language.limit, language.calls = 80, 0
        value = call(answer, language, language.end, steps)
        sequence, score = several(value, "sequence", "log-probability")
        ranked = _all_sequences(language, steps)
        best = max(ranked, key=ranked.get)
        try:
            tokens = tuple(int(token) for token in sequence)
        except (TypeError, ValueError):
            raise NotYet(f"The sequence should be a tuple of token numbers, but is {sequence!r}.") from None
        expect(
            len(tokens) <= steps,
            f"The sequence {tokens} has {len(tokens)} tokens; at most {steps} are allowed, `end` included.",
        )
        expect(
            tokens and tokens[-1] == language.end,
            f"The sequence {tokens} does not end with `end`, which is {language.end} here.",
        )
        expect(tokens in ranked, f"{tokens} is not a sequence of this language: tokens go from 0 to 3.")
        if tokens != best:
            if tokens == _greedy(language, steps):
                raise NotYet(
                    f"You return {tokens}, which greedy search finds, with log-probability {ranked[tokens]:.3f}. There is "
                    f"one with {ranked[best]:.3f}."
                )
            if tokens == max(ranked, key=lambda s: ranked[s] / len(s)):
                raise NotYet(
                    "You return the sequence with the highest log-probability per token. Without dividing by the length "
                    "another one is more probable."
                )
            raise NotYet(
                f"You return {tokens} with log-probability {ranked[tokens]:.3f}; there is one with {ranked[best]:.3f}. A "
                "sequence may be returned only once it is the most probable of all that are waiting, not when it is first "
                "seen."
            )
        got = float(as_array(score, "The log-probability", shape=()))
        for wrong, message in [
            (np.exp(ranked[best]), "That is the probability; the task asks for its logarithm."),
            (-ranked[best], "The sign is wrong: a log-probability is negative."),
            (ranked[best] / len(best), "That is the log-probability per token; the task asks for the sum."),
        ]:
            if np.isclose(got, wrong) and not np.isclose(wrong, ranked[best]):
                raise NotYet(f"The sequence is right, and you return {got:.4f} with it. {message}")
        close(got, ranked[best], "The log-probability", rtol=1e-6)
    big = _Language(7, size=30, sharp=4.0, end=2, limit=400)
    sequence, _ = several(call(answer, big, 2, 12), "sequence", "log-probability")
    expect(
        tuple(int(token) for token in sequence) == _best_sequence_solution(big.log_probs, 2, 12)[0],
        "In a language of 30 tokens and up to 12 steps another sequence is more probable than the one you return.",
    )
    dead = _Language(3, size=4, sharp=1.0, end=1)
    value = call(answer, lambda tokens: dead(tokens), 1, 1)
    sequence, _ = several(value, "sequence", "log-probability")
    expect(
        tuple(int(token) for token in sequence) == (1,),
        f"With steps = 1 only the sequence of `end` alone is short enough, but you return {tuple(sequence)}.",
    )
