"""Right, untouched and wrong answers to the exercises of lesson 27."""

from __future__ import annotations

import math

import numpy as np

from course_utils.checks.learning_rate_schedules import (
    _best_rates_solution,
    _mean_of_clipped_solution,
    _rates_of,
    _read_range_test_solution,
    _schedule_steps_solution,
    _trapezoid_solution,
    _trapezoid_wrong,
)
from tests.checks.common import Case


def _stub(*args):
    return ...


def _trapezoid(number):
    return lambda *args: _trapezoid_wrong(*args)[number][0]


def _trapezoid_in_place(t, steps, peak, warmup, cooldown):
    t += 1
    return peak * np.clip(np.minimum(t / warmup, (steps + 1 - t) / cooldown), 0, 1)


def _range(smooth=True, corrected=True, cut=True, before=True, shift=0, relative=False, absolute=False):
    """A reading of the range test with one of the usual mistakes."""

    def read(rates, losses, beta):
        finite = np.isfinite(losses)
        keep = np.logical_and.accumulate(finite) if cut else finite
        rates, losses = rates[keep], losses[keep]
        mean, curve = 0.0, []
        for k, loss in enumerate(losses, start=1):
            mean = beta * mean + (1 - beta) * loss if smooth else loss
            curve.append(mean / (1 - beta**k) if smooth and corrected else mean)
        lowest = int(np.nanargmin(curve))
        falls = np.diff(curve[: lowest + 1] if before else curve)
        falls = falls / np.diff(rates)[: len(falls)] if relative else falls
        if not len(falls):
            return rates[0], rates[lowest]
        steepest = int(np.nanargmax(np.abs(falls)) if absolute else np.nanargmin(falls)) + shift
        return rates[steepest], rates[lowest]

    return read


def _lowest_loss(rates, losses, beta):
    mean, curve = 0.0, []
    for k, loss in enumerate(losses[np.isfinite(losses)], start=1):
        mean = beta * mean + (1 - beta) * loss
        curve.append(mean / (1 - beta**k))
    return _read_range_test_solution(rates, losses, beta)[0], min(curve)


def _clipped(f):
    """From the gradients, their norms (m, 1) and the limit."""
    return lambda grads, limit: f(grads, np.linalg.norm(grads, axis=1, keepdims=True), limit)


def _clip_in_place(grads, limit):
    grads *= limit / np.maximum(np.linalg.norm(grads, axis=1, keepdims=True), limit)
    return grads.mean(axis=0)


def _rates(change):
    return lambda *args: _rates_of(*args, change)


CASES = {
    "schedule_steps": Case(
        stub=_stub,
        wrong=[
            (lambda n, m, e, w: (w, e - w), "these are epochs"),
            (lambda n, m, e, w: (w * n, (e - w) * n), "count examples"),
            (lambda n, m, e, w: (w * (n // m), (e - w) * (n // m)), "round up, not down"),
            (lambda n, m, e, w: (w * (n // m), e * (n // m)), "begins where the warm-up ends"),
            (lambda n, m, e, w: (w * n / m, (e - w) * n / m), "no fractions"),
            (
                lambda n, m, e, w: (w * math.ceil(n / m), e * math.ceil(n / m)),
                "as long as the whole training",
            ),
            (lambda *args: _schedule_steps_solution(*args)[::-1], "wrong order"),
            (lambda n, m, e, w: (math.ceil(w * n / m), math.ceil((e - w) * n / m)), "within each epoch"),
            (lambda *args: _schedule_steps_solution(*args)[0], "it should return 2"),
            (lambda *args: None, "return"),
        ],
    ),
    "trapezoid": Case(
        stub=_stub,
        wrong=[
            (_trapezoid(0), "first step is thrown away"),
            (_trapezoid(1), "one step early"),
            (_trapezoid(2), "below 0"),
            (_trapezoid(3), "multiply by `peak`"),
            (_trapezoid(4), "never comes down"),
            (_trapezoid(5), "no ramp at the start"),
            (_trapezoid(6), "how long it lasts"),
            (_trapezoid(7), "nothing holds them"),
            (_trapezoid_in_place, "changed the array"),
            (lambda *args: _trapezoid_solution(*args)[0], "shape"),
            (lambda *args: 2 * _trapezoid_solution(*args), "should be"),
        ],
    ),
    "read_range_test": Case(
        stub=_stub,
        wrong=[
            (lambda *args: _read_range_test_solution(*args)[::-1], "wrong order"),
            (_range(smooth=False), "one lucky batch"),
            (_range(corrected=False), "starts near 0"),
            (_range(cut=False), "ignored"),
            (_range(before=False), "behind the lowest point"),
            (_range(shift=1), "one further on"),
            (_range(relative=True), "spaced by factors"),
            (_range(before=False, absolute=True), "is a climb"),
            (_lowest_loss, "the rate there is wanted"),
            (lambda *args: _read_range_test_solution(*args)[1], "it should return 2"),
        ],
    ),
    "mean_of_clipped": Case(
        stub=_stub,
        wrong=[
            (
                lambda g, c: g.mean(axis=0) * c / max(np.linalg.norm(g.mean(axis=0)), c),
                "before taking the mean",
            ),
            (lambda g, c: (g * c / max(np.linalg.norm(g), c)).mean(axis=0), "each row has its own"),
            (lambda g, c: np.clip(g, -c, c).mean(axis=0), "by value"),
            (lambda g, c: _mean_of_clipped_solution(g, c) * len(g), "the sum"),
            (_clipped(lambda g, n, c: (c * g / np.maximum(n, 1e-12)).mean(axis=0)), "short ones too"),
            (_clipped(lambda g, n, c: (g / np.maximum(n, 1)).mean(axis=0)), "length 1"),
            (_clipped(lambda g, n, c: g[n[:, 0] <= c].mean(axis=0)), "left out"),
            (lambda g, c: g.mean(axis=0), "nothing was clipped"),
            (_clipped(lambda g, n, c: (g * c / np.maximum(n**2, c)).mean(axis=0)), "root is missing"),
            (_clipped(lambda g, n, c: np.mean(g * np.minimum(1, c / n) * (n / n), axis=0)), "not finite"),
            (lambda g, c: _mean_of_clipped_solution(g, c)[:, None], "shape"),
            (_clip_in_place, "changed the gradients"),
        ],
    ),
    "best_rates": Case(
        stub=_stub,
        wrong=[
            (_rates("no batch"), "no effect"),
            (_rates("times batch"), "noise larger"),
            (_rates("root"), "standard deviation"),
            (_rates("mean root"), "divided the variance by the root"),
            (_rates("distance"), "start with the distance"),
            (_rates("late"), "after the step"),
            (_rates("noiseless"), "as if there were no noise"),
            (_rates("still"), "updated after each step"),
            (_rates("unsquared"), "squares are missing"),
            (lambda *args: _best_rates_solution(*args)[:-1], "shape"),
            (lambda *args: 1 / _best_rates_solution(*args), "should be"),
        ],
    ),
}
