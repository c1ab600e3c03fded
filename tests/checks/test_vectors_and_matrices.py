"""Right, untouched and wrong answers to the exercises of lesson 02."""

from __future__ import annotations

import numpy as np

from course_utils.checks.vectors_and_matrices import (
    _SHAPES,
    _cheapest_product_solution,
    _greedy,
    _left_to_right,
    _pairwise_cosine_solution,
    _right_to_left,
)
from tests.checks.common import Case


def _stub(*args):
    return ...


def _with(number, value):
    """The right shapes, but for one."""
    answers = list(_SHAPES)
    answers[number - 1] = value
    return tuple(answers)


def _norms(X, axis=1):
    return np.linalg.norm(X, axis=axis, keepdims=True)


def _in_place(A, B):
    A /= _norms(A)
    return A @ (B / _norms(B)).T


def _by_broadcasting(A, B):
    return (A[:, None, :] / _norms(A)[:, None, :] * (B / _norms(B))).sum(axis=2)


def _correlation(A, B):
    A, B = (X - X.mean(axis=1, keepdims=True) for X in (A, B))
    return _pairwise_cosine_solution(A, B)


CASES = {
    "shapes": Case(
        stub=(..., ..., ..., ..., ..., ...),
        wrong=[
            (_with(1, (10, 32)), "outer sizes in order"),
            (_with(1, "error"), "fits onto every row"),
            (_with(2, (32, 10)), "its 10 comes first"),
            (_with(3, (32,)), "axis that disappears"),
            (_with(3, (1, 784)), "only with keepdims=True"),
            (_with(3, 784), "has a comma: (784,)"),
            (_with(4, (32, 784)), "32 meets the 784"),
            (_with(5, "error"), "carries the others along"),
            (_with(5, (32, 10)), "not lost either"),
            (_with(6, (32, 1)), "not as (32, 1)"),
            (_with(6, "Error"), "That is the trap"),
            (_with(6, (7, 7)), "one operation at a time"),
            (_with(2, "none"), 'or "error"'),
            (_with(2, ...), "still open"),
            (_with(2, 3.5), "whole numbers"),
            ((32, 10), "6 answers"),
        ],
    ),
    "pairwise_cosine": Case(
        stub=_stub,
        wrong=[
            (lambda A, B: A @ B.T, "these are the dot products"),
            (lambda A, B: (A / _norms(A)) @ B.T, "only one of the two lengths"),
            (lambda A, B: (A / _norms(A) ** 2) @ (B / _norms(B) ** 2).T, "square root is missing"),
            (lambda A, B: A @ B.T / np.linalg.norm(A) / np.linalg.norm(B), "whole matrix"),
            (lambda A, B: (A / _norms(A, 0)) @ (B / _norms(B, 0)).T, "over axis 1"),
            (lambda A, B: _pairwise_cosine_solution(B, A), "Turn it round"),
            (lambda A, B: 1 - _pairwise_cosine_solution(A, B), "1 minus the cosine"),
            (lambda A, B: np.arccos(np.clip(_pairwise_cosine_solution(A, B), -1, 1)), "This is the angle"),
            (
                lambda A, B: A @ B.T / np.abs(A).sum(axis=1)[:, None] / np.abs(B).sum(axis=1),
                "sums of the entries",
            ),
            (_correlation, "centred"),
            (_in_place, "changed the arrays"),
            (_by_broadcasting, "an (m, n, d) array was made"),
            (lambda A, B: _pairwise_cosine_solution(A, B)[0], "every row of A meets"),
            (lambda A, B: None, "return"),
            (lambda A, B: 0.5 * _pairwise_cosine_solution(A, B), "should be"),
        ],
    ),
    "move_each": Case(
        stub=_stub,
        wrong=[
            (lambda P, W, b: P @ W + b, "point i of every drawing"),
            (lambda P, W, b: P @ W + (b if len(P) == P.shape[1] else 0), "point i of every drawing"),
            (lambda P, W, b: P @ np.swapaxes(W, 1, 2) + b[:, None], "matrices were transposed"),
            (lambda P, W, b: P @ W, "b had no effect"),
            (lambda P, W, b: (P + b[:, None]) @ W, "shift came before"),
            (lambda P, W, b: P @ W[0] + b[0], "first map"),
            (lambda P, W, b: P @ W + (b[:, None] if len(P) == 4 else b), "an axis of size 1 in between"),
            (lambda P, W, b: (P @ W)[0] + b[0], "should have shape (4, 4, 2)"),
            (lambda P, W, b: P @ W - b[:, None], "should be"),
        ],
    ),
    "cheapest_product": Case(
        stub=_stub,
        wrong=[
            (lambda sizes: _left_to_right(sizes), "from left to right"),
            (lambda sizes: _right_to_left(sizes), "from right to left"),
            (lambda sizes: min(_left_to_right(sizes), _right_to_left(sizes)), "split the middle"),
            (lambda sizes: _greedy(sizes, min), "cheapest at the moment"),
            (lambda sizes: 2 * _cheapest_product_solution(sizes), "not additions"),
            (lambda sizes: int(np.prod(sizes)), "A single matrix"),
            (lambda sizes: 0, "less than any bracket"),
            (lambda sizes: _cheapest_product_solution(sizes) + (len(sizes) > 3), "is possible"),
            (lambda sizes: None, "return"),
        ],
    ),
}
