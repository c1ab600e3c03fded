"""Right, untouched and wrong answers to the exercises of lesson 13."""

from __future__ import annotations

import numpy as np

from course_utils.checks.convolution_and_pooling import (
    _average_wrong,
    _box_mean_solution,
    _same_padding_solution,
    _separate_solution,
)
from tests.checks.common import Case


def _stub(*args):
    return ...


def _symmetric(size, kernel, stride, dilation):
    half = dilation * (kernel - 1) / 2
    return half, half


def _halves(size, kernel, stride, dilation):
    half = sum(_same_padding_solution(size, kernel, stride, dilation)) / 2
    return half, half


def _stride_ignored(size, kernel, stride, dilation):
    total = dilation * (kernel - 1)
    return total // 2, total - total // 2


def _not_clipped(size, kernel, stride, dilation):
    missing = (-(-size // stride) - 1) * stride + dilation * (kernel - 1) + 1 - size
    return missing // 2, missing - missing // 2


def _none(size, kernel, stride, dilation):
    return 0, 0


def _generous(size, kernel, stride, dilation):
    before, after = _same_padding_solution(size, kernel, stride, dilation)
    return (before, after + 2) if kernel == 2 and stride > 1 else (before, after)


def _all_at_the_end(size, kernel, stride, dilation):
    return 0, sum(_same_padding_solution(size, kernel, stride, dilation))


def _average(number):
    return lambda grad_Y, shape, kernel, stride: _average_wrong(grad_Y, shape, kernel, stride)[number][0]


def _repeat(grad_Y, shape, kernel, stride):
    return grad_Y.repeat(kernel, axis=1).repeat(kernel, axis=2) / kernel**2


def _average_in_place(grad_Y, shape, kernel, stride):
    grad_Y /= kernel**2
    return grad_Y


def _neighbouring_windows(grad_Y, shape, kernel, stride):
    """The windows placed one pixel apart, whatever the stride."""
    grad_X = np.zeros(shape)
    rows, columns = grad_Y.shape[1:3]
    for u, v in np.ndindex(kernel, kernel):
        grad_X[:, u : u + rows, v : v + columns] += grad_Y / kernel**2
    return grad_X


def _first_row_and_column(K):
    with np.errstate(all="ignore"):
        a, b = K[:, 0], K[0] / K[0, 0]
        return (a, b) if np.allclose(np.outer(a, b), K, equal_nan=True) else None


def _undivided(K):
    if np.linalg.matrix_rank(K) > 1:
        return None
    return K[:, np.abs(K).sum(axis=0).argmax()], K[np.abs(K).sum(axis=1).argmax()]


def _svd(scale, rank=True):
    def answer(K):
        U, S, Vt = np.linalg.svd(K)
        if rank and len(S) > 1 and S[1] > 1e-8 * S[0]:
            return None
        return U[:, 0] * (S[0] if scale else 1), Vt[0]

    return answer


def _divided_by_zero(K):
    with np.errstate(all="ignore"):
        return K[:, 0], K[0] / K[0, 0]


def _swapped(K):
    found = _separate_solution(K)
    return found and found[::-1]


def _absolute_tolerance(K):
    U, S, Vt = np.linalg.svd(K)
    return (U[:, 0] * S[0], Vt[0]) if len(S) == 1 or S[1] < 1e-4 else None


def _box(result=lambda sums, k: sums / k**2, zeros=True, corner=True):
    def mean(X, kernel):
        total = X.cumsum(axis=0).cumsum(axis=1)
        if zeros:
            total = np.pad(total, ((1, 0), (1, 0)))
        k = kernel
        sums = total[k:, k:] - total[:-k, k:] - total[k:, :-k]
        return result(sums + total[:-k, :-k] if corner else sums, k)

    return mean


def _by_offsets(X, kernel):
    rows, columns = X.shape[0] - kernel + 1, X.shape[1] - kernel + 1
    total = np.zeros((rows, columns))
    for u, v in np.ndindex(kernel, kernel):
        total += X[u : u + rows, v : v + columns]
    return total / kernel**2


def _box_in_place(X, kernel):
    X *= 1.5
    return _box_mean_solution(X / 1.5, kernel)


CASES = {
    "same_padding": Case(
        stub=_stub,
        wrong=[
            (_symmetric, "less is needed"),
            (_halves, "whole numbers"),
            (_none, "That gives 10 outputs where 12 are wanted"),
            (_stride_ignored, "keeps the size at stride 1"),
            (lambda *a: _same_padding_solution(*a)[::-1], "the odd pixel goes to the end"),
            (lambda s, k, t, r: _same_padding_solution(s, k, t, 1), "With dilation 2 it spans 5 pixels"),
            (_not_clipped, "negative padding"),
            (_generous, "less padding would do"),
            (_all_at_the_end, "shared out evenly"),
            (lambda *a: 1, "a single int"),
        ],
    ),
    "average_pool_backward": Case(
        stub=_stub,
        wrong=[
            (_average(0), "receives the whole gradient"),
            (_average(1), "1 / kernel of the gradient"),
            (_average(2), "+= instead of ="),
            (_average(3), "+= instead of ="),
            (_average(4), "They add up"),
            (_average(5), "manner of max pooling"),
            (_average(6), "divided by kernel**2 twice"),
            (_repeat, "rows and columns at the end"),
            (_neighbouring_windows, "lie at the wrong pixels"),
            (_average_in_place, "changed grad_Y"),
            (lambda g, shape, k, s: np.zeros(shape), "hands out exactly what arrives"),
        ],
    ),
    "separate": Case(
        stub=_stub,
        wrong=[
            (lambda K: None, "there are two such vectors"),
            (_first_row_and_column, "zero row or column"),
            (_undivided, "a scale is missing"),
            (_svd(scale=False), "a scale is missing"),
            (_svd(scale=True, rank=False), "Such a kernel has no pair"),
            (_divided_by_zero, "divided by zero"),
            (_swapped, "in the wrong order"),
            (_absolute_tolerance, "For a small Laplacian"),
            (lambda K: (K[:, 0], K[0] * 0), "differs from K by up to"),
        ],
    ),
    "box_mean": Case(
        stub=_stub,
        wrong=[
            (_box(lambda sums, k: sums), "sums of the windows"),
            (_box(lambda sums, k: sums / k), "divided by kernel;"),
            (_box(zeros=False), "one short in both directions"),
            (_box(corner=False), "Add it back"),
            (_by_offsets, "still grows with the window"),
            (_box_in_place, "changed X"),
            (lambda X, k: X, "windows"),
        ],
    ),
}
