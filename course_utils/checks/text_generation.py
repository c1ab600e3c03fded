"""Checks of lesson 22: shifted pieces, absolute discounting, a cut by probability, and a temperature for an entropy."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from course_utils.checks._engine import NotYet, as_array, call, close, exercise, expect, several

Array = np.ndarray


# ---------------------------------------------------------------------------- input and target


def _input_and_target_solution(tokens, length):
    pieces = (len(tokens) - 1) // length  # the last target needs one token more
    x = tokens[: pieces * length].reshape(pieces, length)
    y = tokens[1 : pieces * length + 1].reshape(pieces, length)
    return x, y


@exercise(
    "text_generation.model",
    solution=_input_and_target_solution,
    hints=[
        "The target of every place is the token one further on in the text, also at the last place of a piece.",
        "With n tokens there are n - 1 places that have a next token, so (n - 1) // length pieces fit.",
        "x is tokens[: pieces * length], reshaped; y is the same stretch of the text, begun one token later.",
    ],
)
def input_and_target(answer: Any) -> None:
    """Pieces of a text and, at each place, the token that comes next."""
    for n, length in [(8, 3), (10, 3), (9, 3), (41, 8), (7, 6)]:
        tokens = (np.arange(n) * 7 + 3) % 1000  # every token differs from its neighbours
        got_x, got_y = several(call(answer, tokens.copy(), length), "x", "y")
        x, y = _input_and_target_solution(tokens, length)
        where = f"For {n} tokens and length {length}"
        got_x = as_array(got_x, f"{where}: x", shape=(None, None))
        got_y = as_array(got_y, f"{where}: y", shape=(None, None))
        expect(
            got_x.shape == got_y.shape,
            f"{where} x has shape {got_x.shape} and y {got_y.shape}. Every place has one target: the shapes are equal.",
        )
        if got_x.shape[1] == length and len(got_x) == n - length > len(x):
            raise NotYet(
                f"{where} there are {len(got_x)} pieces: they overlap. Each should begin where the last one ended."
            )
        if got_x.shape[1] == length and len(got_x) == len(x) - 1:
            raise NotYet(f"{where} one piece that fits was lost: {len(got_x)} of {len(x)}.")
        if got_x.shape != x.shape:
            raise NotYet(f"{where} x has shape {got_x.shape}; it should have shape {x.shape}.")
        if np.array_equal(got_x, got_y):
            raise NotYet(
                f"{where} the target equals the input. A model would only have to copy what it reads."
            )
        if np.array_equal(got_x, y) and np.array_equal(got_y, x):
            raise NotYet(
                f"{where} the target is the token before. The model should predict the next one, so y is ahead of x."
            )
        if np.array_equal(got_x, x) and np.array_equal(got_y, np.roll(x, -1, axis=1)):
            raise NotYet(
                f"{where} the last target of a piece is its own first token. Shift the text, then cut it, not each piece."
            )
        if np.array_equal(got_x, x) and not np.array_equal(got_y, y):
            ahead = np.flatnonzero(tokens == got_y[0, 0])
            if len(ahead) and ahead[0] != 1:
                raise NotYet(
                    f"{where} the first target is token {ahead[0]} of the text. The next one after token 0 is token 1."
                )
        close(got_x, x, f"{where}: x")
        close(got_y, y, f"{where}: y")


# ---------------------------------------------------------------------------- absolute discounting


def _discounted_solution(counts, shorter, discount):
    totals = counts.sum(axis=1, keepdims=True)
    taken = discount * (counts > 0).sum(axis=1, keepdims=True)
    shared = np.maximum(counts - discount, 0) + taken * shorter
    return np.where(totals > 0, shared / np.maximum(totals, 1), shorter)


@exercise(
    "text_generation.ngrams",
    solution=_discounted_solution,
    hints=[
        "How much is taken from one context in all? Once the discount for each different character that followed it.",
        "Take the discount from what was counted, never below zero; add what was taken, in the proportions of `shorter`; "
        "divide by the total of the context.",
        "For a context without any count the division is 0/0. np.where with the total as condition puts the row of "
        "`shorter` in its place; divide by np.maximum(total, 1).",
    ],
)
def discounted(answer: Any) -> None:
    """Counts with a constant subtracted, and what was taken given to the shorter context."""
    rng = np.random.default_rng(7)
    for case, discount in enumerate((0.5, 0.75)):
        counts = rng.poisson(0.9, (5, 6)).astype(float)
        counts[0] = [4, 0, 0, 1, 0, 2]
        counts[3, :] = 0
        seen = counts[[0, 1, 2, 4]].sum(axis=1) > 0
        expect(seen.all(), "The check made a bad example.")  # cannot happen with this seed
        shorter = rng.dirichlet(np.ones(6), 5)
        rows = counts.copy()
        if case == 0:  # first without an unseen context, so that the formula itself is judged
            rows, shorter = counts[[0, 1, 2, 4]], shorter[[0, 1, 2, 4]]
        before = rows.copy()
        with np.errstate(all="ignore"):
            got = as_array(call(answer, rows, shorter.copy(), discount), "The result", shape=rows.shape)
        expect(np.array_equal(rows, before), "Your function changed `counts`, which belongs to the caller.")
        right = _discounted_solution(rows, shorter, discount)
        if case == 1 and not np.isfinite(got[3]).all():
            raise NotYet(
                "A context that was never seen gives nan: 0 divided by 0. Its row should be that of `shorter`."
            )
        if case == 1 and np.allclose(got[3], 0):
            raise NotYet(
                "A context that was never seen gets probabilities of 0. Its row should be that of `shorter`."
            )
        if np.allclose(got, right, rtol=1e-6, atol=1e-9):
            continue
        totals, kinds = rows.sum(axis=1, keepdims=True), (rows > 0).sum(axis=1, keepdims=True)
        total = np.maximum(totals, 1)
        reduced = np.maximum(rows - discount, 0)
        named = [
            (
                rows / total,
                "These are the plain shares: nothing was taken, and nothing given to the shorter context.",
            ),
            (reduced / total, "The discount was taken and given to nobody: the rows sum to less than 1."),
            (
                reduced / np.maximum(reduced.sum(axis=1, keepdims=True), 1e-12),
                "What was taken went back to the seen characters, by normalising. The unseen still have probability 0.",
            ),
            (
                (reduced + discount * shorter) / total,
                "Only one discount was given to the shorter context. It was taken once for every different character.",
            ),
            (
                (reduced + discount * rows.shape[1] * shorter) / total,
                "The discount was given V times. It was taken only from counts that are not zero.",
            ),
            (
                (rows - discount + discount * rows.shape[1] * shorter) / total,
                "The discount was taken from counts of zero as well; some become negative. Stop at zero.",
            ),
            (
                (reduced + discount * kinds / rows.shape[1]) / total,
                "What was taken is spread evenly over all characters. Use the proportions of `shorter`.",
            ),
            (
                (rows + kinds * shorter) / (totals + kinds),
                "That is Witten and Bell's formula from the lesson. Here a constant is subtracted instead.",
            ),
        ]
        for value, message in named:
            if np.allclose(got, value, rtol=1e-6, atol=1e-9):
                raise NotYet(message)
        sums = got.sum(axis=1)
        if not np.allclose(sums, 1, atol=1e-6):
            raise NotYet(
                f"The rows sum to {sums[0]:.3f}, {sums[1]:.3f}, ... What is taken from the counts must come back, in all, "
                "through the shorter context."
            )
        close(got, right, "The result")


# ---------------------------------------------------------------------------- min-p


def _keep_min_p_solution(P, share):
    kept = np.where(share * P.max(axis=1, keepdims=True) <= P, P, 0)
    return kept / kept.sum(axis=1, keepdims=True)


@exercise(
    "text_generation.sampling",
    solution=_keep_min_p_solution,
    hints=[
        "The limit differs from row to row: it is a share of that row's largest probability.",
        "P.max(axis=1, keepdims=True) has shape (n, 1) and compares with every entry of its row.",
        "np.where(condition, P, 0) makes a new array; divide it by its row sums, again with keepdims=True.",
    ],
)
def keep_min_p(answer: Any) -> None:
    """Entries that reach a share of the row's largest, normalised."""
    rng = np.random.default_rng(8)
    for share in (0.5, 0.1, 0.25):
        P = np.concatenate([rng.dirichlet(np.full(7, 0.6), 4), np.full((1, 7), 1 / 7)])
        given = P.copy()
        with np.errstate(all="ignore"):
            got = as_array(call(answer, given, share), "The result", shape=P.shape)
        expect(
            np.array_equal(given, P),
            "Your function changed `P` itself. The caller may need it again: work on a new array.",
        )
        right = _keep_min_p_solution(P, share)
        if np.allclose(got, right, rtol=1e-6, atol=1e-9):
            continue
        most = P.max(axis=1, keepdims=True)
        kept = np.where(share * most <= P, P, 0)
        absolute = np.where(share <= P, P, 0)
        whole = np.where(share * P.max() <= P, P, 0)
        strict = np.where(share * most < P, P, 0)
        inverse = np.where(share * most >= P, P, 0)
        order = np.argsort(-P, axis=1)
        ranked = np.take_along_axis(P, order, axis=1)
        nucleus = np.zeros_like(P)
        np.put_along_axis(nucleus, order, np.where(ranked.cumsum(axis=1) - ranked < share, ranked, 0), axis=1)
        named = [
            (kept, "The right entries are kept, but the rows do not sum to 1: divide by what is left."),
            (
                kept / kept.sum(),
                "You divided by the sum of the whole array. Each row is a distribution of its own.",
            ),
            (
                _rows(absolute),
                "The limit is `share` itself. It should be `share` times the largest entry of the row.",
            ),
            (
                absolute,
                "The limit is `share` itself. It should be `share` times the largest entry of the row.",
            ),
            (_rows(whole), "The largest entry of the whole array sets your limit. Each row has its own."),
            (
                _rows(nucleus),
                "That is the nucleus: you add probabilities up. Here each entry is held against the largest.",
            ),
            (_rows(inverse), "You kept the small entries and dropped the large ones."),
            (
                _rows((share * most <= P).astype(float)),
                "The kept entries all became equal. Keep their probabilities.",
            ),
            (_rows(strict), "An entry that reaches the limit exactly is kept: >= and not >."),
        ]
        for value, message in named:
            if np.allclose(got, value, rtol=1e-6, atol=1e-9, equal_nan=True):
                raise NotYet(message)
        close(got, right, "The result")


def _rows(kept: Array) -> Array:
    with np.errstate(all="ignore"):
        return kept / kept.sum(axis=1, keepdims=True)


# ---------------------------------------------------------------------------- a temperature for an entropy


def _temperature_for_solution(logits, wanted):
    def entropy(temperature):
        scaled = (logits - logits.max()) / temperature
        P = np.exp(scaled) / np.exp(scaled).sum()
        return -(P * np.log2(np.maximum(P, 1e-300))).sum()

    low, high = 1e-4, 1e4  # entropy grows with the temperature, so it can be searched by halving
    for _ in range(60):
        middle = math.sqrt(low * high)
        if entropy(middle) < wanted:
            low = middle
        else:
            high = middle
    return middle


def _entropy_at(logits: Array, temperature: float) -> float:
    scaled = (logits - logits.max()) / temperature
    P = np.exp(scaled) / np.exp(scaled).sum()
    return float(-(P * np.log2(np.maximum(P, 1e-300))).sum())


@exercise(
    "text_generation.sampling",
    solution=_temperature_for_solution,
    hints=[
        "Does the entropy rise or fall with the temperature, and is it always in the same direction? Then no formula is "
        "needed.",
        "Keep an interval that holds the answer, look at its middle, and throw one half away. Temperatures range over many "
        "powers of ten: take the geometric mean as the middle.",
        "Compute the entropy stably: subtract the largest logit before dividing by the temperature, and let a probability "
        "of 0 contribute 0. From 0.0001 to 10000, 60 halvings are plenty.",
    ],
)
def temperature_for(answer: Any) -> None:
    """The temperature at which a softmax has a given entropy."""
    rng = np.random.default_rng(9)
    cases = [
        (np.array([0.0, math.log(3)]), 0.5),
        (rng.normal(0, 2, 30), 2.5),
        (rng.normal(0, 2, 30), 4.6),
        (rng.normal(0, 0.05, 12), 1.0),
        (np.array([0.0, 5000.0]), 0.02),
        (np.array([1e4, 1e4 - 1.0, 1e4 - 3.0]), 0.9),
    ]
    for logits, wanted in cases:
        given = logits.copy()
        with np.errstate(all="ignore"):
            got = float(as_array(call(answer, given, wanted), "The temperature", shape=()))
        right = _temperature_for_solution(logits, wanted)
        large = np.abs(logits).max() > 100
        name = f"logits up to {np.abs(logits).max():.3g} and {wanted:g} bits"
        if np.isclose(got, right, rtol=1e-3):
            continue
        if not np.isfinite(got):
            hint = " Subtract the largest logit before the exponential, and mind 0 · log 0." if large else ""
            raise NotYet(f"For {name} your temperature is {got}.{hint}")
        expect(got > 0, f"For {name} your temperature is {got:.4g}; a temperature is positive.")
        if np.isclose(
            got,
            _temperature_for_solution(logits, min(wanted / math.log(2), 0.999 * math.log2(len(logits)))),
            rtol=2e-3,
        ):
            raise NotYet(
                f"For {name} you return {got:.4g}, where the entropy is {wanted:g} nats. `wanted` is in bits: log2."
            )
        if np.isclose(got, 1 / right, rtol=1e-3):
            raise NotYet(
                f"For {name} you return {got:.4g}, one over the temperature: the logits are divided by it, not multiplied."
            )
        if large:
            raise NotYet(
                f"For {name} you return {got:.4g}, where the entropy is {_entropy_at(logits, got):.3g} bits. The small cases "
                "are right: with large logits the exponential overflows, or the temperature lies outside of your search."
            )
        close_by = "Search further: three digits are asked for. " if np.isclose(got, right, rtol=0.1) else ""
        raise NotYet(
            f"For {name} you return {got:.4g}, where the entropy is {_entropy_at(logits, got):.4g} bits. {close_by}"
            "It rises with the temperature."
        )
