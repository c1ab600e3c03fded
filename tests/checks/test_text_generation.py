"""Right, untouched and wrong answers to the exercises of lesson 22."""

from __future__ import annotations

import math

import numpy as np

from course_utils.checks.text_generation import _temperature_for_solution
from tests.checks.common import Case


def _stub(*args):
    return ...


# ---------------------------------------------------------------------------- input and target


def _cut(tokens, length, pieces=None, shift=1):
    pieces = (len(tokens) - 1) // length if pieces is None else pieces
    x = tokens[: pieces * length].reshape(pieces, length)
    y = np.roll(tokens, -shift)[: pieces * length].reshape(pieces, length)
    return x, y


def _overlapping(tokens, length):
    windows = np.lib.stride_tricks.sliding_window_view(tokens, length + 1)
    return windows[:, :-1], windows[:, 1:]


def _shift_each_piece(tokens, length):
    x, _ = _cut(tokens, length)
    return x, np.roll(x, -1, axis=1)


def _shorter_target(tokens, length):
    x, _ = _cut(tokens, length)
    return x, x[:, 1:]


# ---------------------------------------------------------------------------- discounting


def _reduced(counts, discount):
    return np.maximum(counts - discount, 0)


def _totals(counts):
    return np.maximum(counts.sum(axis=1, keepdims=True), 1)


def _kinds(counts):
    return (counts > 0).sum(axis=1, keepdims=True)


def _no_guard(counts, shorter, discount):
    return (_reduced(counts, discount) + discount * _kinds(counts) * shorter) / counts.sum(
        axis=1, keepdims=True
    )


def _zero_row(counts, shorter, discount):
    return (_reduced(counts, discount) + discount * _kinds(counts) * shorter) / _totals(counts)


def _in_place(counts, shorter, discount):
    taken = discount * _kinds(counts) * shorter
    totals = _totals(counts)
    counts -= discount
    return (np.maximum(counts, 0) + taken) / totals


# ---------------------------------------------------------------------------- min-p


def _rows(kept):
    return kept / kept.sum(axis=1, keepdims=True)


def _limit(P, share):
    return share * P.max(axis=1, keepdims=True)


def _min_p_in_place(P, share):
    P[_limit(P, share) > P] = 0
    return _rows(P)


def _nucleus(P, share):
    order = np.argsort(-P, axis=1)
    ranked = np.take_along_axis(P, order, axis=1)
    kept = np.zeros_like(P)
    np.put_along_axis(kept, order, np.where(ranked.cumsum(axis=1) - ranked < share, ranked, 0), axis=1)
    return _rows(kept)


# ---------------------------------------------------------------------------- temperature


def _search(logits, wanted, log=np.log2, shift=True, low=1e-4, high=1e4, halvings=60):
    for _ in range(halvings):
        middle = math.sqrt(low * high)
        z = (logits - (logits.max() if shift else 0)) / middle
        P = np.exp(z) / np.exp(z).sum()
        entropy = -(P * log(np.maximum(P, 1e-300))).sum()
        low, high = (middle, high) if entropy < wanted else (low, middle)
    return middle


CASES = {
    "input_and_target": Case(
        stub=_stub,
        wrong=[
            (lambda tokens, n: _cut(tokens, n, shift=0), "only have to copy"),
            (lambda tokens, n: _cut(tokens, n)[::-1], "token before"),
            (lambda tokens, n: _cut(tokens, n, shift=2), "is token 2 of the text"),
            (_overlapping, "overlap"),
            (_shift_each_piece, "its own first token"),
            (_shorter_target, "shapes are equal"),
            (
                lambda tokens, n: _cut(tokens, n, pieces=max(0, (len(tokens) - 1) // n - 1)),
                "one piece that fits was lost",
            ),
            (lambda tokens, n: _cut(tokens, n)[0], "should return 2"),
        ],
    ),
    "discounted": Case(
        stub=_stub,
        wrong=[
            (lambda c, s, d: c / _totals(c), "plain shares"),
            (lambda c, s, d: _reduced(c, d) / _totals(c), "given to nobody"),
            (lambda c, s, d: _rows(_reduced(c, d)), "by normalising"),
            (lambda c, s, d: (_reduced(c, d) + d * s) / _totals(c), "only one discount"),
            (lambda c, s, d: (_reduced(c, d) + d * c.shape[1] * s) / _totals(c), "given V times"),
            (lambda c, s, d: (c - d + d * c.shape[1] * s) / _totals(c), "negative"),
            (lambda c, s, d: (_reduced(c, d) + d * _kinds(c) / c.shape[1]) / _totals(c), "spread evenly"),
            (
                lambda c, s, d: (c + _kinds(c) * s) / (c.sum(axis=1, keepdims=True) + _kinds(c)),
                "Witten and Bell",
            ),
            (_no_guard, "0 divided by 0"),
            (_zero_row, "probabilities of 0"),
            (_in_place, "changed `counts`"),
            (lambda c, s, d: (_reduced(c, d) + 0.3 * s) / _totals(c), "rows sum to"),
        ],
    ),
    "keep_min_p": Case(
        stub=_stub,
        wrong=[
            (lambda P, share: np.where(_limit(P, share) <= P, P, 0), "do not sum to 1"),
            (lambda P, share: (k := np.where(_limit(P, share) <= P, P, 0)) / k.sum(), "whole array"),
            (lambda P, share: np.where(share <= P, P, 0), "`share` itself"),
            (lambda P, share: _rows(np.where(share * P.max() <= P, P, 0)), "its own"),
            (_nucleus, "nucleus"),
            (lambda P, share: _rows(np.where(_limit(P, share) >= P, P, 0)), "small entries"),
            (lambda P, share: _rows((_limit(P, share) <= P).astype(float)), "all became equal"),
            (_min_p_in_place, "changed `P`"),
            (lambda P, share: P, "should be"),
        ],
    ),
    "temperature_for": Case(
        stub=_stub,
        wrong=[
            (lambda z, wanted: _search(z, wanted, log=np.log), "nats"),
            (lambda z, wanted: 1 / _temperature_for_solution(z, wanted), "one over"),
            (lambda z, wanted: _search(z, wanted, shift=False), "overflow"),
            (lambda z, wanted: _search(z, wanted, halvings=7), "three digits"),
            (lambda z, wanted: _search(z, wanted, low=0.3, high=30.0), "where the entropy is"),
            (lambda z, wanted: -1.0, "positive"),
        ],
    ),
}
