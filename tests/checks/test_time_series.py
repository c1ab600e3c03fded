"""Right, untouched and wrong answers to the exercises of lesson 20."""

from __future__ import annotations

import math

import numpy as np

from course_utils.checks.time_series import _mase_mistakes
from tests.checks.common import Case


def _stub(*args):
    return ...


def _mase(number):
    return lambda *args: _mase_mistakes(*args)[number][0]


def _mase_on_test(truth, forecast, training, period):
    if len(truth) <= period:
        return np.nan
    return np.abs(truth - forecast).mean() / np.abs(truth[period:] - truth[:-period]).mean()


def _split(train=lambda s, w, h, c: s + w + h <= c, test=lambda s, w, h, c: s + w >= c, surplus=0):
    def split(n, width, horizon, cut):
        starts = np.arange(n - width - horizon + 1 + surplus)
        return starts[train(starts, width, horizon, cut)], starts[test(starts, width, horizon, cut)]

    return split


def _iterate(
    move=lambda w, new: np.column_stack([w[:, 1:], new]), result=lambda out, w: np.stack(out, axis=1)
):
    def forecast(step, windows, horizon):
        now, out = np.array(windows), []
        for _ in range(horizon):
            new = step(now)
            out.append(new)
            now = move(now, new)
        return result(out, np.array(windows))

    return forecast


def _iterate_in_place(step, windows, horizon):
    out = []
    for _ in range(horizon):
        new = step(windows)
        out.append(new)
        windows[:, :-1] = windows[:, 1:].copy()
        windows[:, -1] = new
    return np.stack(out, axis=1)


def _margin(distance=lambda y, low, high: np.maximum(low - y, y - high), pick=None):
    pick = pick or (lambda d, n, c: _place(d, math.ceil((n + 1) * c - 1e-9) - 1, n))

    def margin(y, low, high, coverage):
        return pick(np.sort(distance(y, low, high)), len(y), coverage)

    return margin


def _place(d, index, n):
    return math.inf if index >= n else d[index]


CASES = {
    "mase": Case(
        stub=_stub,
        wrong=[
            (_mase(0), "mean absolute error itself"),
            (_mase(1), "one value to the next"),
            (_mase(2), "averaged over n"),
            (_mase(3), "squared errors"),
            (_mase(4), "root mean squared"),
            (_mase(5), "turned over"),
            (_mase(6), "cancel"),
            (_mase(7), "spread around the mean"),
            (_mase(8), "size of the values"),
            (_mase_on_test, "to be forecast"),
            (lambda *args: None, "return"),
        ],
    ),
    "split_windows": Case(
        stub=lambda *args: (..., ...),
        wrong=[
            (_split(train=lambda s, w, h, c: s + w <= c), "its targets do not"),
            (_split(train=lambda s, w, h, c: s < c), "has inputs at index"),
            (_split(train=lambda s, w, h, c: s + w + h < c), "lack start"),
            (_split(test=lambda s, w, h, c: s >= c - h), "lack start"),
            (_split(test=lambda s, w, h, c: s + w + h > c), "before the cut"),
            (_split(test=lambda s, w, h, c: s >= c), "may reach back"),
            (_split(test=lambda s, w, h, c: s + w > c), "lack start"),
            (_split(surplus=1), "series ends"),
            (lambda *args: _split()(*args)[0], "single"),
        ],
    ),
    "recursive_forecast": Case(
        stub=_stub,
        wrong=[
            (_iterate(move=lambda w, new: w), "same value"),
            (_iterate(move=lambda w, new: np.column_stack([new, w[:, :-1]])), "front"),
            (_iterate(move=lambda w, new: np.column_stack([w[:, :-1], new])), "replaced the newest"),
            (_iterate(move=lambda w, new: np.column_stack([w, new])), "oldest value leaves"),
            (_iterate(move=lambda w, new: np.roll(w, -1, axis=1)), "rolled"),
            (_iterate(result=lambda out, w: np.stack(out)), "columns"),
            (_iterate(result=lambda out, w: np.stack(out[::-1], axis=1)), "reverse"),
            (_iterate(result=lambda out, w: np.stack([w[:, -1], *out[:-1]], axis=1)), "no forecast"),
            (_iterate_in_place, "changed"),
        ],
    ),
    "conformal_margin": Case(
        stub=_stub,
        wrong=[
            (_margin(pick=lambda d, n, c: np.quantile(d, c)), "interpolated"),
            (
                lambda y, low, high, c: (
                    _margin(pick=lambda d, n, c: d[max(math.ceil(n * c) - 1, 0)])(y, low, high, c)
                    if len(y) != 9
                    else 8.0
                ),
                "among n",
            ),
            (_margin(pick=lambda d, n, c: d[min(math.ceil((n + 1) * c - 1e-9), n - 1)]), "too far"),
            (_margin(pick=lambda d, n, c: d[math.ceil((n + 1) * (1 - c) - 1e-9) - 1]), "1 - coverage"),
            (_margin(distance=lambda y, low, high: np.minimum(low - y, y - high)), "either"),
            (
                _margin(distance=lambda y, low, high: np.maximum(np.maximum(low - y, y - high), 0)),
                "cut off at zero",
            ),
            (_margin(distance=lambda y, low, high: np.abs(y - (low + high) / 2)), "middle"),
            (_margin(pick=lambda d, n, c: d[min(math.ceil((n + 1) * c - 1e-9), n) - 1]), "math.inf"),
        ],
    ),
}
