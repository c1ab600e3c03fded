"""Right, untouched and wrong answers to the exercises of lesson 34."""

from __future__ import annotations

import numpy as np

from tests.checks.common import Case


def _stub(*args):
    return ...


def _two_stubs(*args):
    return ..., ...


def _lengths(pieces):
    return np.array([len(piece) for piece in pieces])


def _places(cached, new):
    return np.arange(cached + new), np.arange(new)[:, None]


def _one(blocks, heads, width, length, size):
    return 2 * blocks * heads * width * length * size


def _accept(p, q):
    return np.where(q > 0, np.minimum(1, p / np.where(q > 0, q, 1)), 1.0)


def _rest(p, q):
    left = np.maximum(p - q, 0)
    return left / left.sum() if left.sum() > 0 else p


def _in_place(p, q):
    accept, rest = _accept(p, q), _rest(p, q)
    p -= q
    return accept, rest


CASES = {
    "bits_per_character": Case(
        stub=_stub,
        wrong=[
            (lambda P, pieces: -np.log2(P).mean(), "bits per piece"),
            (lambda P, pieces: -np.log2(P).sum(), "whole text"),
            (lambda P, pieces: -np.log(P).sum() / _lengths(pieces).sum(), "nats"),
            (lambda P, pieces: np.log2(P).sum() / _lengths(pieces).sum(), "sign"),
            (lambda P, pieces: (-np.log2(P) / _lengths(pieces)).mean(), "own ratios"),
            (lambda P, pieces: -np.log2(P).sum() / sum(len(s.strip()) for s in pieces), "spaces"),
            (lambda P, pieces: -np.log2(P.mean()), "averaged"),
            (lambda P, pieces: 1.0, "bits in all"),
        ],
    ),
    "prefill_mask": Case(
        stub=_stub,
        wrong=[
            (lambda c, n: ~np.tri(n, c + n, c, dtype=bool), "swapped"),
            (lambda c, n: np.tri(n, c + n, c - 1, dtype=bool), "itself"),
            (lambda c, n: np.tri(n, c + n, dtype=bool), "beginning"),
            (lambda c, n: np.tri(n, c + n, c + 1, dtype=bool), "leak"),
            (lambda c, n: np.tri(n, dtype=bool), "columns too"),
            (lambda c, n: np.tri(c + n, dtype=bool), "only they have rows"),
            (lambda c, n: np.tri(n, c + n, c, dtype=bool).T, "rows are the new tokens"),
            (lambda c, n: np.ones((n, c + n), dtype=bool), "later"),
            (lambda c, n: np.zeros((n, c + n), dtype=bool) | (_places(c, n)[0] < c), "only the cache"),
            (lambda c, n: (_places(c, n)[0] < c) | (_places(c, n)[0] == c + _places(c, n)[1]), "between"),
            (lambda c, n: np.tri(n, c + n, c), "type float64"),
        ],
    ),
    "texts_that_fit": Case(
        stub=_stub,
        wrong=[
            (lambda m, *a: m / _one(*a), "round down"),
            (lambda m, *a: -(-m // _one(*a)), "rounded up"),
            (lambda m, *a: m // (_one(*a) // 2), "keys and values"),
            (lambda m, b, h, w, t, s: m // _one(1, h, w, t, s), "every block"),
            (lambda m, b, h, w, t, s: m // _one(b, 1, w, t, s), "every stored head"),
            (lambda m, b, h, w, t, s: m // _one(b, h, w, 1, s), "tokens fit"),
            (lambda m, b, h, w, t, s: m // _one(b, h, w, t, 1), "in bytes"),
            (lambda m, *a: 0, "one text needs"),
        ],
    ),
    "verify": Case(
        stub=_two_stubs,
        wrong=[
            (lambda p, q: (p / np.where(q > 0, q, 1), _rest(p, q)), "reaches"),
            (lambda p, q: (np.minimum(1, q / p), _rest(p, q)), "q / p"),
            (lambda p, q: (p, _rest(p, q)), "p itself"),
            (lambda p, q: (np.where(q > 0, _accept(p, q), 0), _rest(p, q)), "where q is 0"),
            (lambda p, q: (_accept(p, q), p), "from p again"),
            (lambda p, q: (_accept(p, q), np.maximum(p - q, 0)), "divide by its sum"),
            (lambda p, q: (_accept(p, q), np.abs(p - q) / np.abs(p - q).sum()), "both sides"),
            (lambda p, q: (_accept(p, q), np.maximum(p - q, 0) / np.maximum(p - q, 0).sum()), "nothing can be refused"),
            (lambda p, q: (_accept(p, q), q), "comes out"),
            (_in_place, "changed"),
            (lambda p, q: _accept(p, q), "2"),
        ],
    ),
}
