"""Checks of lesson 31: masks, heads from one matrix, a penalty on distance, and attention without the table."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from course_utils.checks._engine import NotYet, as_array, attempted, call, close, exercise, expect

Array = np.ndarray


def _softmax(scores: Array) -> Array:
    shifted = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return shifted / shifted.sum(axis=-1, keepdims=True)


def _named(got: Array, meanings: list[tuple[Array, str]]) -> None:
    """Raise NotYet with the meaning of the first array that equals ``got``."""
    for value, meaning in meanings:
        if got.shape == value.shape and np.allclose(got, value, rtol=1e-5, atol=1e-8):
            raise NotYet(meaning)


# ---------------------------------------------------------------------------- one mask from two


def _combined_mask_solution(real):
    return np.tri(real.shape[1], dtype=bool) & real[:, None, :]


@exercise(
    "attention.mask",
    solution=_combined_mask_solution,
    hints=[
        "Two conditions hold at once: j <= i, and token j is real. What shape must each have so that they broadcast to (m, T, T)?",
        "np.tri(T, dtype=bool) is true on and below the diagonal: row i, column j <= i. Which tokens are real is a question about the key, so about the last axis.",
        "real[:, None, :] has shape (m, 1, T); combine it with the triangle by &.",
    ],
)
def combined_mask(answer: Any) -> None:
    """Where a query may look: not into the future, not at padding."""
    cases = [
        np.array([[1, 1, 0]], dtype=bool),
        np.array([[1, 1, 1, 1], [1, 1, 0, 0], [1, 0, 1, 1]], dtype=bool),
    ]
    for real in cases:
        m, T = real.shape
        value = call(answer, real.copy())
        got = as_array(value, "The mask", shape=(m, T, T))
        tri = np.tri(T, dtype=bool)
        wide = np.broadcast_to
        _named(
            got,
            [
                (1.0 - _combined_mask_solution(real), "The mask is turned round: true where one may not look. Here true means allowed."),
                (wide(real[:, None, :], (m, T, T)).astype(float), "The mask keeps padding out and lets every query see the future."),
                (wide(tri, (m, T, T)).astype(float), "The mask hides the future and lets every query look at padding."),
                ((tri.T & real[:, None, :]).astype(float), "The triangle is transposed: your queries see the future and not the past. Row i is the query."),
                ((tri & real[:, :, None]).astype(float), "Padding is taken out of the queries (rows). It is the keys, the columns, that must not be looked at."),
                ((np.tri(T, k=-1, dtype=bool) & real[:, None, :]).astype(float), "No query may look at itself in your mask. Position i sees j <= i, itself included."),
                ((tri | real[:, None, :]).astype(float), "You allow what satisfies one of the two conditions. Both have to hold."),
            ],
        )  # fmt: skip
        kind = np.asarray(value).dtype
        expect(kind == np.dtype(bool), f"The mask holds values of type {kind}; booleans are asked for.")
        close(got, _combined_mask_solution(real).astype(float), "The mask")


# ---------------------------------------------------------------------------- heads from one matrix


def _split_heads_solution(Z, heads):
    m, T, d = Z.shape
    return Z.reshape(m, T, heads, d // heads).swapaxes(1, 2)


@exercise(
    "attention.heads",
    solution=_split_heads_solution,
    hints=[
        "The last axis (d) holds the heads one after the other. Cut it into (heads, d / heads) first, without moving anything.",
        "After the reshape to (m, T, heads, d / heads) the axes T and heads stand in the wrong order. Exchange them; do not reshape again.",
        "Z.reshape(m, T, heads, d // heads).swapaxes(1, 2).",
    ],
)
def split_heads(answer: Any) -> None:
    """Cut the width into heads."""
    rng = np.random.default_rng(3)
    for m, T, heads, size in [(2, 5, 3, 4), (3, 4, 2, 4), (1, 6, 1, 5)]:
        Z = rng.normal(size=(m, T, heads * size))
        got = as_array(call(answer, Z.copy(), heads), "The heads")
        right = _split_heads_solution(Z, heads)
        if got.shape == (m, T, heads, size) and heads != T:
            raise NotYet(
                f"The result has the shape {got.shape}: the heads stand behind the places. They should be the second axis, "
                "(m, heads, T, d / heads)."
            )
        if heads > 1:
            _named(
                got,
                [
                    (
                        Z.reshape(m, heads, T, size),
                        "You cut with one reshape to (m, heads, T, d / heads). The shape is right and the entries are mixed up: a "
                        "head holds pieces of different places. Reshape to (m, T, heads, d / heads), then exchange two axes.",
                    ),
                    (
                        Z.reshape(m, T, size, heads).transpose(0, 3, 1, 2),
                        "Each head gets every n-th column. Head 0 should get the first columns, head 1 the next ones.",
                    ),
                ],
            )
        expect(
            got.shape == right.shape,
            f"The result has the shape {got.shape} for Z of shape {Z.shape} and {heads} heads; it should be {right.shape}.",
        )
        close(got, right, "The heads")


# ---------------------------------------------------------------------------- distance on a leash


def _alibi_solution(scores, slopes):
    T = scores.shape[-1]
    distance = np.arange(T)[:, None] - np.arange(T)
    penalised = scores - slopes[:, None, None] * distance
    penalised = np.where(distance >= 0, penalised, -np.inf)
    weights = np.exp(penalised - penalised.max(axis=-1, keepdims=True))
    return weights / weights.sum(axis=-1, keepdims=True)


@exercise(
    "attention.position",
    solution=_alibi_solution,
    hints=[
        "Make the table of distances i - j first, shape (T, T). The slopes belong to the heads, the second axis of the scores.",
        "slopes[:, None, None] * distance has shape (h, T, T) and is subtracted from the scores. The future has to be forbidden before the softmax, not penalised.",
        "np.where(distance >= 0, scores - slopes[:, None, None] * distance, -np.inf), then a softmax over the last axis.",
    ],
)
def alibi_weights(answer: Any) -> None:
    """Causal attention weights with a penalty that grows with the distance."""
    rng = np.random.default_rng(5)
    cases = [
        (np.zeros((1, 1, 3, 3)), np.array([math.log(2)])),
        (rng.normal(size=(2, 3, 5, 5)), np.array([0.5, 0.25, 2.0])),
        (rng.normal(size=(1, 2, 4, 4)) + 900, np.array([1.0, 0.0])),
    ]
    for scores, slopes in cases:
        T = scores.shape[-1]
        distance = np.arange(T)[:, None] - np.arange(T)
        wide = slopes[:, None, None]
        past = distance >= 0
        got = as_array(call(answer, scores.copy(), slopes.copy()), "The weights", shape=scores.shape)
        expect(
            np.isfinite(got).all(),
            "Some weights are not finite. With scores near 1,000 the exponential overflows: subtract the largest score of each row first.",
        )
        masked = np.where(past, scores, -np.inf)
        with np.errstate(over="ignore", invalid="ignore"):
            _named(
                got,
                [
                    (_softmax(masked), "The distance has no influence on your weights."),
                    (_softmax(np.where(past, scores + wide * distance, -np.inf)), "Far tokens gain weight in your answer: the penalty has to be subtracted."),
                    (_softmax(scores - wide * np.abs(distance)), "The future is penalised and not forbidden: query i still looks at j > i."),
                    (_softmax(scores - wide * distance), "The future is even favoured: for j > i the distance is negative. It has to be forbidden."),
                    (_softmax(masked) * np.exp(-wide * np.maximum(distance, 0)), "The penalty comes after the softmax, so the rows no longer sum to 1. It belongs to the scores."),
                ],
            )  # fmt: skip
        if not np.allclose(got.sum(axis=-1), 1):
            raise NotYet(
                f"A row of your weights sums to {got.sum(axis=-1).ravel()[-1]:.3g}. The softmax runs over the keys, the last axis."
            )
        close(got, _alibi_solution(scores, slopes), "The weights")


# ---------------------------------------------------------------------------- attention without the table


def _streamed_solution(Q, K, V, block):
    largest = np.full((len(Q), 1), -np.inf)
    total, mixed = np.zeros((len(Q), 1)), np.zeros((len(Q), V.shape[1]))
    for begin in range(0, len(K), block):
        scores = Q @ K[begin : begin + block].T / np.sqrt(Q.shape[1])  # (T, block)
        now = np.maximum(largest, scores.max(axis=1, keepdims=True))
        shrink, new = np.exp(largest - now), np.exp(scores - now)
        total = shrink * total + new.sum(axis=1, keepdims=True)
        mixed = shrink * mixed + new @ V[begin : begin + block]
        largest = now
    return mixed / total


class _Watched(np.ndarray):
    """Keys that note how many of them are used in one product."""

    seen: list[int]

    def __array_finalize__(self, other: Any) -> None:
        self.seen = getattr(other, "seen", [])

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        plain = [np.asarray(x) if isinstance(x, _Watched) else x for x in inputs]
        if ufunc is np.matmul:
            self.seen.append(max(x.size // 3 for x in inputs if isinstance(x, _Watched)))
        if "out" in kwargs:
            kwargs["out"] = tuple(np.asarray(x) for x in kwargs["out"])
        return getattr(ufunc, method)(*plain, **kwargs)


@exercise(
    "attention.lookup",
    solution=_streamed_solution,
    hints=[
        "Without any care for large scores: the sum of the exponents and the weighted sum of the values can be collected block by block, and divided at the end.",
        "Both are kept relative to the largest score so far, exp(score - largest). When the largest rises from a to b, what was collected has to be multiplied by exp(a - b).",
        "Per block: scores (T, block) with the root; now = maximum(largest, scores.max(axis=1)); shrink = exp(largest - now); total = shrink * total + exp(scores - now).sum(axis=1); the same with the values.",
    ],
)
def streamed(answer: Any) -> None:
    """Attention block by block, equal to attention at once."""
    rng = np.random.default_rng(7)
    for T, S, e, block, lift in [(4, 12, 2, 4, 0), (3, 10, 5, 4, 0), (5, 9, 3, 100, 0), (4, 11, 2, 3, 40)]:
        Q, K, V = rng.normal(size=(T, 3)), rng.normal(size=(S, 3)), rng.normal(size=(S, e))
        Q[:, 0], K[:, 0] = Q[:, 0] + lift, lift or K[:, 0]  # scores far from zero, their differences not
        scores = Q @ K.T
        right = _softmax(scores / np.sqrt(3)) @ V
        with np.errstate(over="ignore", invalid="ignore"):
            got = as_array(call(answer, Q.copy(), K.copy(), V.copy(), block), "The output", shape=(T, e))
        if not np.isfinite(got).all():
            raise NotYet(
                f"With scores up to {np.abs(scores).max():,.0f} the output is not finite. Keep everything relative to the largest score seen so far."
            )
        first = _softmax(scores[:, :block] / np.sqrt(3)) @ V[:block]
        blocks = [
            (_softmax(scores[:, b : b + block] / np.sqrt(3)) @ V[b : b + block]) for b in range(0, S, block)
        ]
        whole = S // block * block
        meanings = [
            (
                _softmax(scores) @ V,
                "This is attention without the root: divide the scores by the root of the width.",
            ),
        ]
        if block < S:
            meanings += [
                (first, "Only the first block has been looked at."),
                (np.mean(blocks, axis=0), "Each block got a softmax of its own, and the results were averaged. Blocks with large scores have to weigh more."),
                (np.sum(blocks, axis=0), "Each block got a softmax of its own, and the results were added. The weights of all keys together have to sum to 1."),
            ]  # fmt: skip
            if 0 < whole < S:
                meanings.append(
                    (
                        _softmax(scores[:, :whole] / np.sqrt(3)) @ V[:whole],
                        f"The last {S - whole} keys, which do not fill a block, are left out.",
                    )
                )
        _named(got, meanings)
        close(got, right, "The output")
    Q, K, V = rng.normal(size=(4, 3)), rng.normal(size=(20, 3)).view(_Watched), rng.normal(size=(20, 2))
    K.seen = []
    attempted(call(answer, Q, K, V, 5))
    if K.seen and max(K.seen) > 5:
        raise NotYet(
            f"With blocks of 5 keys one of your products used {max(K.seen)} keys at once, so the whole table of scores was there. Take the keys block by block."
        )
