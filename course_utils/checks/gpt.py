"""Checks of lesson 34: bits per character, the mask of a filled cache, the room for caches, and speculative sampling."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from course_utils.checks._engine import NotYet, as_array, call, close, exercise, expect, several

Array = np.ndarray


# ---------------------------------------------------------------------------- bits per character


def _bits_per_character_solution(probabilities, pieces):
    return -np.log2(probabilities).sum() / sum(len(piece) for piece in pieces)


@exercise(
    "gpt.baseline",
    solution=_bits_per_character_solution,
    hints=[
        "What does the whole text cost, in bits? Each piece costs -log2 of its probability.",
        "The number of characters is the sum of the lengths of the pieces; a space counts.",
        "Add up first, divide once: a mean of the pieces' own ratios gives short pieces too much weight.",
    ],
)
def bits_per_character(answer: Any) -> None:
    """What a text costs, per character, under a model of pieces."""
    rng = np.random.default_rng(34)
    cases = [
        (np.array([0.25, 0.125]), ["the", " cat"]),
        (np.array([0.5, 0.5, 0.03]), ["a", " ", "straightforward"]),
        (rng.uniform(0.01, 0.9, 9), ["The", " fo", "x", " ran", " over", " the", "\n", "hill", "."]),
    ]
    for probabilities, pieces in cases:
        got = float(as_array(call(answer, probabilities.copy(), list(pieces)), "The result", shape=()))
        right = _bits_per_character_solution(probabilities, pieces)
        if np.isclose(got, right, rtol=1e-6):
            continue
        surprise, lengths = -np.log2(probabilities), np.array([len(piece) for piece in pieces])
        letters = np.array([len(piece.strip()) for piece in pieces]).sum()
        where = f"For {len(pieces)} pieces with {lengths.sum()} characters"
        named = [
            (surprise.mean(), "these are bits per piece: divide by the number of characters."),
            (surprise.sum(), "these are the bits of the whole text; divide them by its number of characters."),
            (right * math.log(2), "these are nats per character: use log2, or divide by ln 2."),
            (-right, "the sign is wrong: a probability below 1 costs a positive number of bits."),
            ((surprise / lengths).mean(), "this is the mean of the pieces' own ratios. Add up all bits first, then divide once."),
            (surprise.sum() / max(letters, 1), "the spaces were left out of the count. They are characters of the text too."),
            (-math.log2(probabilities.mean()), "the probabilities were averaged before the logarithm. Add up logarithms."),
            (
                surprise.mean() / np.log2(len(pieces)) if len(pieces) > 1 else math.inf,
                "there is a division by the logarithm of a count. Only characters divide.",
            ),
        ]
        for value, message in named:
            if np.isclose(got, value, rtol=1e-6):
                raise NotYet(f"{where} you return {got:.4g}: {message}")
        raise NotYet(f"{where} you return {got:.4g}; the text costs {surprise.sum():.4g} bits in all.")


# ---------------------------------------------------------------------------- the mask of a filled cache


def _prefill_mask_solution(cached, new):
    return np.arange(cached + new) <= cached + np.arange(new)[:, None]


@exercise(
    "gpt.cache",
    solution=_prefill_mask_solution,
    hints=[
        "New token i stands at place cached + i of the whole text. Which places may it see?",
        "Place j may be seen if j <= cached + i. Compare a row of all places with a column of the new ones.",
        "np.arange(cached + new) has the places, np.arange(new)[:, None] the new tokens as a column; or np.tri with its "
        "third argument.",
    ],
)
def prefill_mask(answer: Any) -> None:
    """Which places each of several new tokens may see behind a filled cache."""
    for cached, new in [(3, 4), (2, 2), (0, 4), (3, 1), (5, 3), (1, 6)]:
        given = call(answer, cached, new)
        got = as_array(given, "The mask")
        right = _prefill_mask_solution(cached, new)
        where = f"For {cached} cached and {new} new tokens"
        if got.shape == right.shape[::-1] != right.shape:
            raise NotYet(f"{where} the mask has shape {got.shape}: rows are the new tokens, columns all places, so {right.shape}.")
        if got.shape != right.shape:
            extra = ""
            if got.shape == (new, new):
                extra = " The stored tokens have columns too."
            elif got.shape == (cached + new, cached + new):
                extra = " Only the new tokens ask, so only they have rows."
            raise NotYet(f"{where} the mask has shape {got.shape}, but should have {right.shape}.{extra}")
        expect(np.isin(got, (0, 1)).all(), f"{where} the mask holds other values than True and False.")
        got = got.astype(bool)
        if np.array_equal(got, right):
            expect(
                np.asarray(given).dtype == bool,
                f"{where} the values are right, but of type {np.asarray(given).dtype}. A mask is bool: the sign of ~ and & "
                "depends on it.",
            )
            continue
        places, rows = np.arange(cached + new), np.arange(new)[:, None]
        named = [
            (~right, "True and False are swapped: True means that the place may be seen."),
            (places < cached + rows, "a token cannot see itself. Its own place is part of its past: <=, not <."),
            (
                places <= rows,
                "each new token is treated as if it stood at the beginning of the text. Its place is `cached` further on.",
            ),
            (places <= cached + rows + 1, "each token sees the one after it. That is a leak."),
            (np.ones_like(right), "everything may be seen, also new tokens that come later."),
            (np.broadcast_to(places < cached, right.shape), "only the cache may be seen. A token also sees itself and new ones before it."),
            (
                (places < cached) | (places == cached + rows),
                "a token sees the cache and itself, but not the new ones between them.",
            ),
        ]
        for value, message in named:
            if np.array_equal(got, value):
                raise NotYet(f"{where} {message}")
        row, column = np.argwhere(got != right)[0]
        raise NotYet(f"{where}: may new token {row} see place {column}? Your mask says {bool(got[row, column])}.")


# ---------------------------------------------------------------------------- room for caches


def _texts_that_fit_solution(memory, blocks, kv_heads, head_width, length, bytes_per_number):
    return memory // (2 * blocks * kv_heads * head_width * length * bytes_per_number)


@exercise(
    "gpt.size",
    solution=_texts_that_fit_solution,
    hints=[
        "How many numbers does one token leave in one block? Keys and values, for each head that is stored.",
        "One text needs 2 · blocks · kv_heads · head_width · length numbers.",
        "Whole texts: divide with //, bytes by bytes.",
    ],
)
def texts_that_fit(answer: Any) -> None:
    """How many caches have room in a memory."""
    cases = [
        (24_000_000_000, 48, 25, 64, 1024, 4),  # first, since here every slip gives another number
        (1_000_000, 2, 4, 16, 64, 2),
        (8_000_000_000, 32, 8, 128, 8192, 2),
        (3_000_000, 3, 2, 32, 128, 1),
        (100, 2, 4, 16, 64, 2),
    ]
    for case in cases:
        got = float(as_array(call(answer, *case), "The result", shape=()))
        right = _texts_that_fit_solution(*case)
        if got == right:
            continue
        memory, blocks, kv_heads, head_width, length, size = case
        where = (
            f"For {memory:,} bytes, {blocks} blocks, {kv_heads} heads of width {head_width}, {length} tokens of "
            f"{size} bytes you return {got:g}"
        )
        one = 2 * blocks * kv_heads * head_width * length * size
        named = [
            (memory / one, "a part of a text cannot be stored: round down."),
            (-(-memory // one), "that was rounded up; the last one has no room."),
            (memory // (one // 2), "keys and values both need room; only one of them was counted."),
            (memory // (one // blocks), "every block has a cache of its own."),
            (memory // (one // kv_heads), "every stored head has its own keys and values."),
            (memory // (one // length), "that is how many tokens fit. One text has `length` of them."),
            (memory // (one // size), "`memory` is in bytes, and a number takes several of them."),
            (memory * 8 // one, "those are bits; `memory` and `bytes_per_number` are both in bytes."),
            (memory // (one * length), "the length counts once. The square belongs to the scores, which are not stored."),
        ]
        for value, message in named:
            if value > 0 and np.isclose(got, value, rtol=1e-9):
                raise NotYet(f"{where}: {message}")
        raise NotYet(f"{where}; one text needs {one:,} bytes.")


# ---------------------------------------------------------------------------- speculative sampling


def _verify_solution(p, q):
    accept = np.where(q > 0, np.minimum(1, p / np.where(q > 0, q, 1)), 1.0)
    left = np.maximum(p - q, 0)
    rest = left / left.sum() if left.sum() > 0 else p.copy()
    return accept, rest


@exercise(
    "gpt.sample",
    solution=_verify_solution,
    hints=[
        "A token comes out either as an accepted draft, with probability q_x · accept_x = min(q_x, p_x), or after a refusal. "
        "How much of p_x is still missing?",
        "Missing is p_x - min(p_x, q_x) = max(p_x - q_x, 0). Drawn after a refusal, in these proportions, it fills exactly "
        "the gap: divide by the sum.",
        "Guard two divisions: where q_x is 0 the acceptance is 1, and where p equals q the gap sums to 0 and rest is p.",
    ],
)
def verify(answer: Any) -> None:
    """Acceptance of drafts and what to draw after a refusal."""
    rng = np.random.default_rng(35)
    p, q = np.array([0.5, 0.3, 0.2]), np.array([0.2, 0.6, 0.2])
    sparse = rng.dirichlet(np.full(6, 0.5)) * np.array([1, 1, 0, 1, 1, 1])
    cases = [
        (p, q),
        (rng.dirichlet(np.ones(8)), rng.dirichlet(np.ones(8))),
        (sparse / sparse.sum(), rng.dirichlet(np.ones(6))),
        (np.array([0.5, 0.5, 0.0]), np.array([1.0, 0.0, 0.0])),
        (p, p.copy()),
    ]
    for p, q in cases:
        before = p.copy(), q.copy()
        with np.errstate(all="ignore"):
            accept, rest = several(call(answer, p, q), "accept", "rest")
        expect(
            np.array_equal(p, before[0]) and np.array_equal(q, before[1]),
            "Your function changed `p` or `q`, which belong to the caller.",
        )
        for value, name in ((accept, "accept"), (rest, "rest")):
            if not np.isfinite(np.asarray(value, dtype=float)).all():
                cause = "a division by q = 0" if name == "accept" else "a sum of 0: with p equal to q nothing can be refused"
                raise NotYet(f"{name} holds nan or infinity. Look for {cause}.")
        accept = as_array(accept, "accept", shape=p.shape)
        rest = as_array(rest, "rest", shape=p.shape)
        right_accept, right_rest = _verify_solution(p, q)
        if not np.allclose(accept, right_accept, atol=1e-9):
            if np.any(accept > 1 + 1e-9):
                raise NotYet(f"accept reaches {accept.max():.3g}. A probability ends at 1: take the minimum.")
            if np.allclose(accept[q > 0], right_accept[q > 0], atol=1e-9):
                raise NotYet("Where q is 0, accept should be 1: such a draft never comes, and is never refused.")
            with np.errstate(all="ignore"):
                swapped = np.minimum(1, q / p)
            if np.allclose(accept, swapped, atol=1e-9, equal_nan=True):
                raise NotYet("accept is min(1, q / p). Drafts come from q, and are refused where q is larger than p: p / q.")
            if np.allclose(accept, p, atol=1e-9):
                raise NotYet("accept is p itself. A draft x was already drawn with probability q_x, so the ratio counts.")
            close(accept, right_accept, "accept")
        if not np.allclose(rest, right_rest, atol=1e-9):
            left = np.maximum(p - q, 0)
            if np.allclose(rest, left, atol=1e-9):
                raise NotYet(f"rest sums to {rest.sum():.3g}. It is a distribution: divide by its sum.")
            comes_out = q * right_accept + (1 - (q * right_accept).sum()) * rest
            worst = int(np.abs(comes_out - p).argmax())
            what = f"Token {worst} comes out with probability {comes_out[worst]:.3f}, but p has {p[worst]:.3f}."
            if np.allclose(rest, p, atol=1e-9):
                raise NotYet(f"After a refusal you draw from p again. {what} Accepted drafts have already given their share.")
            total = np.abs(p - q).sum()
            if total > 0 and np.allclose(rest, np.abs(p - q) / total, atol=1e-9):
                raise NotYet(f"You took the size of p - q on both sides. {what} Only what p has more than q is missing.")
            raise NotYet(f"With your rest: {what}")
