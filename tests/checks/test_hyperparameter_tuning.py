"""Wrong answers to lesson 28's exercises, and what each of them must be told."""

from __future__ import annotations

import math

import numpy as np
from scipy import stats

from course_utils.checks.hyperparameter_tuning import (
    _expected_best_solution,
    _expected_gain_solution,
    _halve_solution,
    _halving_variant,
    _log_uniform_solution,
    _momentum_values_solution,
    _trials_needed_solution,
)
from tests.checks.common import Case


def _stub(*args):
    return ...


def _logs(p, q):
    return math.log(p) / math.log(q)


def _halving(**mistake):
    return lambda errors, first, cut: _halving_variant(errors, first, cut, **mistake)


def _best_at_the_end(errors, first, cut):
    return errors[:, -1].argmin(), _halve_solution(errors, first, cut)[1]


def _cost_of_all(errors, first, cut):
    return _halve_solution(errors, first, cut)[0], len(errors) * first * cut ** (errors.shape[1] - 1)


def _spoiling(errors, first, cut):
    result = _halve_solution(errors, first, cut)
    errors.sort(axis=0)
    return result


def _gain(f):
    """An answer from `f(difference, deviation, Φ, φ)`."""

    def expected_gain(mean, deviation, best):
        difference = np.asarray(mean) - best
        with np.errstate(all="ignore"):
            u = difference / np.asarray(deviation)
        return f(difference, deviation, stats.norm.cdf(u), stats.norm.pdf(u))

    return expected_gain


def _warning_gain(mean, deviation, best):
    mean, deviation = np.asarray(mean, float), np.asarray(deviation, float)
    u = (mean - best) / deviation
    gain = (mean - best) * stats.norm.cdf(u) + deviation * stats.norm.pdf(u)
    return np.where(deviation == 0, np.maximum(mean - best, 0), gain)


def _weights(errors, n):
    N = len(errors)
    behind = (1 - np.arange(N + 1) / N) ** n
    return np.sort(errors), behind


def _sorting_in_place(errors, n):
    errors.sort()
    return _expected_best_solution(errors, n)


def _unsorted(errors, n):
    behind = _weights(errors, n)[1]
    return errors @ (behind[:-1] - behind[1:])


def _reversed(errors, n):
    ordered, behind = _weights(errors, n)
    return ordered @ (behind[:-1] - behind[1:])[::-1]


def _without_replacement(errors, n):
    N, ordered = len(errors), np.sort(errors)
    return sum(math.comb(N - i - 1, n - 1) / math.comb(N, n) * ordered[i] for i in range(N))


def _simulated(errors, n):
    return np.random.default_rng(0).choice(errors, size=(20000, n)).min(axis=1).mean()


CASES = {
    "trials_needed": Case(
        stub=_stub,
        wrong=[
            (lambda q, p: _logs(1 - p, 1 - q), "whole number"),
            (lambda q, p: math.floor(_logs(1 - p, 1 - q)), "round up"),
            (lambda q, p: _trials_needed_solution(q, p) + 1, "is enough"),
            (lambda q, p: math.ceil(1 / q), "miss it altogether"),
            (lambda q, p: math.ceil(p / q), "do not add"),
            (lambda q, p: math.ceil(_logs(p, 1 - q)), "all trials missing"),
            (lambda q, p: math.ceil(_logs(1 - p, q)), "*misses*"),
            (lambda q, p: None, "return"),
        ],
    ),
    "scales": Case(
        stub=(_stub, _stub),
        star=True,
        wrong=[
            ((lambda u, a, b: a + u * (b - a), _momentum_values_solution), "nine tenths of the trials"),
            (
                (lambda u, a, b: np.log(a) + u * np.log(b / a), _momentum_values_solution),
                "still the logarithm",
            ),
            ((lambda u, a, b: 10 ** (np.log(a) + u * np.log(b / a)), _momentum_values_solution), "one base"),
            ((lambda u, a, b: np.exp(a + u * (b - a)), _momentum_values_solution), "before going between"),
            ((lambda u, a, b: b * (a / b) ** u, _momentum_values_solution), "log_uniform gives"),
            ((lambda u, a, b: a, _momentum_values_solution), "shape"),
            ((_log_uniform_solution, lambda u, a, b: a + u * (b - a)), "momentum_values gives"),
            ((_log_uniform_solution, _log_uniform_solution), "log-uniform in β itself"),
            (
                (_log_uniform_solution, lambda u, a, b: 1 - _momentum_values_solution(u, a, b)),
                "subtract it from 1",
            ),
            (
                (_log_uniform_solution, lambda u, a, b: _momentum_values_solution(u, b, a)),
                "ends are exchanged",
            ),
        ],
    ),
    "halve": Case(
        stub=_stub,
        wrong=[
            (_halving(anew=True), "started anew"),
            (_halving(worst=True), "largest errors"),
            (_halving(unmapped=True), "index `alive`"),
            (_halving(keep_up=True), "round up"),
            (_halving(by_last=True), "nobody has paid"),
            (_best_at_the_end, "last column"),
            (_cost_of_all, "all of them to the end"),
            (_spoiling, "changed the array"),
            (lambda *args: _halve_solution(*args)[::-1], "wrong order"),
            (lambda *args: _halve_solution(*args)[0], "it should return 2"),
            (lambda *args: (_halve_solution(*args)[0], 1), "survivor is right"),
        ],
    ),
    "expected_gain": Case(
        stub=_stub,
        wrong=[
            (lambda m, s, b: _expected_gain_solution(-np.asarray(m), s, -b), "larger is better"),
            (_gain(lambda d, s, P, p: np.maximum(d, 0)), "gain of the expected value"),
            (_gain(lambda d, s, P, p: d), "falls included"),
            (_gain(lambda d, s, P, p: d * P), "uncertainty itself"),
            (_gain(lambda d, s, P, p: s * p), "first term"),
            (_gain(lambda d, s, P, p: P), "how large"),
            (_gain(lambda d, s, P, p: d * P + p), "multiplied by the deviation"),
            (_gain(lambda d, s, P, p: d * p + s * P), "exchanged"),
            (_gain(lambda d, s, P, p: d * P - s * p), "wrong sign"),
            (_gain(lambda d, s, P, p: d * P + s * p - 1), "not negative"),
            (_gain(lambda d, s, P, p: d * P + s * p + 0 * d / s), "not finite"),
            (_warning_gain, "warned"),
        ],
    ),
    "expected_best": Case(
        stub=_stub,
        wrong=[
            (lambda e, n: e.mean(), "one trial"),
            (lambda e, n: e.min(), "smallest of all"),
            (lambda e, n: e[:n].min(), "first n"),
            (_reversed, "largest"),
            (_unsorted, "not sorted"),
            (_without_replacement, "without* replacement"),
            (lambda e, n: _weights(e, n)[0] @ _weights(e, n)[1][:-1], "sum to more than 1"),
            (lambda e, n: _weights(e, n)[0] @ _weights(e, n)[1][1:], "*behind* this place"),
            (_simulated, "exact value"),
            (_sorting_in_place, "in place"),
        ],
    ),
}
