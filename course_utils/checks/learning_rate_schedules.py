"""Checks of lesson 27: steps of a schedule, a trapezoid, reading a range test, clipping each example, best rates."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from course_utils.checks._engine import NotYet, as_array, call, close, exercise, expect, several

Array = np.ndarray


def _same(got: Array, value: Any) -> bool:
    return got.shape == np.shape(value) and np.allclose(got, value, rtol=1e-6, atol=1e-9)


# ---------------------------------------------------------------------------- steps, not epochs


def _schedule_steps_solution(examples, batch_size, epochs, warmup_epochs):
    per_epoch = -(-examples // batch_size)  # rounded up: the last batch may be smaller
    return warmup_epochs * per_epoch, (epochs - warmup_epochs) * per_epoch


@exercise(
    "learning_rate_schedules.schedule",
    solution=_schedule_steps_solution,
    hints=[
        "How many batches does `fit` take in one epoch, when the last one may be smaller than the others?",
        "Round examples / batch_size up. Multiply by the epochs of the warm-up, and by the epochs that remain.",
        "`-(-a // b)` and `math.ceil(a / b)` round up. The decay lasts epochs − warmup_epochs epochs.",
    ],
)
def schedule_steps(answer: Any) -> None:
    """Steps of the warm-up and of the decay."""
    for given in [(1000, 64, 10, 2), (960, 32, 7, 1), (50, 64, 6, 2), (100, 32, 5, 1)]:
        examples, batch, epochs, warm = given
        results = several(call(answer, *given), "the warm-up steps", "the decay steps")
        got = tuple(
            float(as_array(r, name, shape=()))
            for r, name in zip(results, ("The warm-up steps", "The decay steps"), strict=True)
        )
        right = _schedule_steps_solution(*given)
        if got == right:
            continue
        where = f"For {examples} examples, batches of {batch}, {epochs} epochs and {warm} of warm-up you return {got[0]:g} and {got[1]:g}."
        down, exact, up = examples // batch, examples / batch, -(-examples // batch)
        named = [
            ((warm, epochs - warm), "These are epochs. A schedule counts optimizer steps, many in each epoch."),
            ((warm * examples, (epochs - warm) * examples), "You count examples. One step is taken for each batch."),
            ((warm * down, (epochs - warm) * down), "The last, smaller batch of each epoch is a step too: round up, not down."),
            ((warm * down, epochs * down), "The last, smaller batch is a step too, and the decay begins where the warm-up ends."),
            ((warm * exact, (epochs - warm) * exact), "There are no fractions of a step: `fit` takes the smaller last batch as a whole step."),
            ((warm * up, epochs * up), "The decay is as long as the whole training, so it would end after it. It begins where the warm-up ends."),
            (right[::-1], "The two results are in the wrong order: the warm-up comes first."),
            ((math.ceil(warm * exact), math.ceil((epochs - warm) * exact)), "Round up within each epoch: every epoch ends with a smaller batch, not only the last one."),
        ]  # fmt: skip
        for value, message in named:
            expect(got != value, f"{where} {message}")
        close(got[0], right[0], f"{where} The number of warm-up steps", rtol=1e-9)
        close(got[1], right[1], f"{where} The number of decay steps", rtol=1e-9)


# ---------------------------------------------------------------------------- trapezoid


def _trapezoid_solution(t, steps, peak, warmup, cooldown):
    ramp_up = (t + 1) / warmup
    ramp_down = (steps - t) / cooldown
    return peak * np.clip(np.minimum(ramp_up, ramp_down), 0, 1)


def _trapezoid_wrong(
    t: Array, steps: int, peak: float, warmup: int, cooldown: int
) -> list[tuple[Array, str]]:
    """What the usual mistakes return, with their names."""
    up, down = (t + 1) / warmup, (steps - t) / cooldown
    clip = lambda a, b: peak * np.clip(np.minimum(a, b), 0, 1)  # noqa: E731
    return [
        (clip(t / warmup, down), "the ramp starts at 0, and the first step is thrown away. It is (t + 1) / warmup."),
        (clip(up, (steps - 1 - t) / cooldown), "the end comes one step early: it is (steps − t) / cooldown, 0 only at t = steps."),
        (peak * np.minimum(np.minimum(up, down), 1), "the rate goes on falling below 0 after the last step. A negative rate climbs."),
        (np.clip(np.minimum(up, down), 0, 1), "the flat part is at 1. Multiply by `peak`."),
        (peak * np.clip(up, 0, 1), "the rate never comes down."),
        (peak * np.clip(down, 0, 1), "there is no ramp at the start."),
        (clip(up, np.where(t >= cooldown, (steps - t) / (steps - cooldown), 1.0)), "the fall begins at t = cooldown. `cooldown` is how long it lasts, so it begins at steps − cooldown."),
        (peak * np.maximum(np.minimum(up, down), 0), "the ramps go on above the peak: nothing holds them at `peak`."),
    ]  # fmt: skip


@exercise(
    "learning_rate_schedules.schedule",
    solution=_trapezoid_solution,
    hints=[
        "Draw the two straight lines, the one that rises and the one that falls, over the whole axis. Where does the trapezoid lie?",
        "At every step it is the lowest of three lines: rising, flat, falling. `np.minimum` takes the smaller of two arrays.",
        "With the rising line (t + 1) / warmup and the falling one (steps − t) / cooldown: clip their minimum to 0 and 1, times the peak.",
    ],
)
def trapezoid(answer: Any) -> None:
    """A rate that rises, stays and falls."""
    for steps, peak, warmup, cooldown in [(40, 0.3, 6, 15), (50, 0.02, 10, 5), (8, 1.0, 2, 4)]:
        t = np.arange(steps + 4)
        kept = t.copy()
        got = as_array(call(answer, t, steps, peak, warmup, cooldown), "The result", shape=t.shape)
        expect(np.array_equal(t, kept), "Your function changed the array `t` that it was given.")
        right = _trapezoid_solution(kept, steps, peak, warmup, cooldown)
        if _same(got, right):
            continue
        where = f"With steps={steps}, peak={peak:g}, warmup={warmup}, cooldown={cooldown}"
        for value, message in _trapezoid_wrong(kept, steps, peak, warmup, cooldown):
            expect(not _same(got, value), f"{where} {message}")
        close(got, right, f"{where} the rate: result")


# ---------------------------------------------------------------------------- range test


def _read_range_test_solution(rates, losses, beta):
    rates, losses = np.asarray(rates, dtype=float), np.asarray(losses, dtype=float)
    finite = np.isfinite(losses)
    count = len(losses) if finite.all() else int(np.argmin(finite))  # up to the first that is not
    mean, curve = 0.0, []
    for k, loss in enumerate(losses[:count], start=1):
        mean = beta * mean + (1 - beta) * loss
        curve.append(mean / (1 - beta**k))
    lowest = int(np.argmin(curve))
    steepest = int(np.argmin(np.diff(curve[: lowest + 1])))
    return rates[steepest], rates[lowest]


def _curve(losses: Array, beta: float, corrected: bool = True) -> Array:
    mean, curve = 0.0, []
    for k, loss in enumerate(losses, start=1):
        mean = beta * mean + (1 - beta) * loss
        curve.append(mean / (1 - beta**k) if corrected else mean)
    return np.array(curve)


def _range_cases() -> list[tuple[Array, Array, float]]:
    rates = np.geomspace(1e-3, 10, 60)
    x = np.log10(rates)
    rng = np.random.default_rng(27)
    shape = 2.3 - 1.6 / (1 + np.exp(-5 * (x + 1))) + 3 * np.exp(6 * (x - 0.5)).clip(max=5)
    losses = shape + 0.15 * rng.normal(size=60)
    losses[30] -= 1.2  # one lucky batch
    broken = losses.copy()
    broken[52], broken[53:] = np.nan, 0.0
    rebound = 2.3 - 1.0 / (1 + np.exp(-6 * (x + 1.5))) + 2.5 * np.exp(-((x - 0.5) ** 2) / 0.01)
    return [
        (np.array([1.0, 2, 4, 8, 16]), np.array([3.0, 2.5, 1, 2, np.nan]), 0.0),
        (rates, losses, 0.8),
        (rates, broken, 0.8),
        (rates, rebound, 0.5),
    ]


@exercise(
    "learning_rate_schedules.range",
    solution=_read_range_test_solution,
    hints=[
        "Four steps: cut where the losses stop being finite, smooth, find the lowest point, find the steepest fall before it.",
        "`np.isfinite` tells which losses are numbers. The smoothing is that of the lesson: a running mean, divided by 1 − beta**k.",
        "`np.diff(curve)[i]` is curve[i + 1] − curve[i]. The steepest fall is its most negative entry among those before the lowest point.",
    ],
)
def read_range_test(answer: Any) -> None:
    """The two rates that a range test suggests."""
    for rates, losses, beta in _range_cases():
        results = several(
            call(answer, rates.copy(), losses.copy(), beta), "the steepest rate", "the lowest rate"
        )
        steep = float(as_array(results[0], "The rate of the steepest fall", shape=()))
        low = float(as_array(results[1], "The rate of the lowest point", shape=()))
        right = _read_range_test_solution(rates, losses, beta)
        if np.allclose((steep, low), right, rtol=1e-6):
            continue
        if np.allclose((low, steep), right, rtol=1e-6):
            raise NotYet("The two rates are in the wrong order: the steepest fall comes first.")
        finite = np.isfinite(losses)
        count = len(losses) if finite.all() else int(np.argmin(finite))
        curve = _curve(losses[:count], beta)
        where = f"For {len(rates)} rates from {rates[0]:g} to {rates[-1]:g} and beta={beta:g} you return {steep:.4g} and {low:.4g}."
        expect(
            np.isfinite((steep, low)).all(),
            f"{where} Losses from the first one that is not finite on are to be ignored.",
        )
        raw = int(np.argmin(losses[:count]))
        late = int(np.nanargmin(losses))
        plain = int(np.argmin(_curve(losses[:count], beta, corrected=False)))

        def is_rate(value: float, index: int, rates: Array = rates) -> bool:
            return bool(np.isclose(value, rates[index], rtol=1e-6))

        if not np.isclose(low, right[1], rtol=1e-6):
            if not is_rate(low, raw) or raw == int(np.argmin(curve)):
                expect(
                    not (count < len(losses) and low > rates[count - 1]),
                    f"{where} The lowest point lies behind a loss that is not finite. What comes after that is to be ignored.",
                )
            expect(
                not is_rate(low, plain),
                f"{where} Without the division by 1 − beta**k the smoothed loss starts near 0, and that is its lowest point.",
            )
            expect(
                not is_rate(low, raw) and not is_rate(low, late),
                f"{where} That is the lowest single loss, one lucky batch. Look for the lowest point of the smoothed losses.",
            )
            expect(
                not np.isclose(low, curve.min(), rtol=1e-6),
                f"{where} That is the loss at the lowest point; the rate there is wanted.",
            )
            expect(
                not np.isclose(low, np.argmin(curve), rtol=1e-6),
                f"{where} That is the position of the lowest point; the rate at this position is wanted.",
            )
        lowest = int(np.argmin(curve))
        falls = np.diff(curve)
        expect(
            not is_rate(steep, int(np.argmin(falls[:lowest])) + 1),
            f"{where} The fall from i to i + 1 belongs to the rate i; yours is one further on.",
        )
        expect(
            not is_rate(steep, int(np.argmax(np.abs(falls)))) or np.argmax(np.abs(falls)) == np.argmin(falls),
            f"{where} The steepest place of your curve is a climb. A fall is a negative difference.",
        )
        expect(
            not is_rate(steep, int(np.argmin(falls))) or int(np.argmin(falls)) < lowest,
            f"{where} The steepest fall lies behind the lowest point, where the training is already in trouble.",
        )
        by_rate = int(np.argmin((falls / np.diff(rates[:count]))[:lowest]))
        expect(
            not is_rate(steep, by_rate) or by_rate == int(np.argmin(falls[:lowest])),
            f"{where} You divided by the difference of the rates, which are spaced by factors. Take the plain difference of the losses.",
        )
        rough = int(np.argmin(np.diff(losses[:count])))
        expect(
            not is_rate(steep, rough) or rough == int(np.argmin(falls[:lowest])),
            f"{where} That is the largest fall between two single losses. Smooth first.",
        )
        close(low, right[1], f"{where} The rate of the lowest point")
        close(steep, right[0], f"{where} The rate of the steepest fall")


# ---------------------------------------------------------------------------- clipping each example


def _mean_of_clipped_solution(grads, limit):
    norms = np.linalg.norm(grads, axis=1, keepdims=True)  # (m, 1)
    return np.mean(grads * (limit / np.maximum(norms, limit)), axis=0)


@exercise(
    "learning_rate_schedules.clip",
    solution=_mean_of_clipped_solution,
    hints=[
        "Which norm belongs to which row? `np.linalg.norm(grads, axis=1, keepdims=True)` has the shape (m, 1).",
        "Each row has a factor of its own: 1 if it is short enough, limit / norm if it is too long.",
        "limit / np.maximum(norms, limit) is that factor, and it never divides by zero. Multiply, then take the mean over axis 0.",
    ],
)
def mean_of_clipped(answer: Any) -> None:
    """Mean of gradients that were clipped one by one."""
    rng = np.random.default_rng(27)
    lengths = np.array([0.2, 5.0, 40.0, 0.9, 1.5, 0.0])[:, None]
    directions = rng.normal(size=(6, 4))
    mixed = lengths * directions / np.linalg.norm(directions, axis=1, keepdims=True)
    cases = [(np.array([[30.0, 40.0], [0.3, 0.4], [0.0, 0.0]]), 1.0), (mixed, 1.2), (mixed[:5], 0.5)]
    for grads, limit in cases:
        given = grads.copy()
        with np.errstate(all="ignore"):
            got = as_array(call(answer, given, limit), "The result", shape=grads.shape[1:])
        expect(
            np.array_equal(given, grads),
            "Your function changed the gradients that it was given. Make a new array.",
        )
        where = f"For {len(grads)} rows and the limit {limit:g}"
        expect(
            np.isfinite(got).all(),
            f"{where} the result is not finite: a row of zeros has the norm 0, and something divides by it.",
        )
        right = _mean_of_clipped_solution(grads, limit)
        if _same(got, right):
            continue
        norms = np.linalg.norm(grads, axis=1, keepdims=True)
        mean = grads.mean(axis=0)
        whole = np.linalg.norm(grads)
        unit = np.divide(grads, norms, out=np.zeros_like(grads), where=norms > 0)
        named = [
            (mean * limit / max(np.linalg.norm(mean), limit), "you clipped the mean. Then one long row has already turned it; clip each row before taking the mean."),
            ((grads * limit / max(whole, limit)).mean(axis=0), "one factor was used for all rows, from the norm of the whole array. Each row has its own."),
            (np.clip(grads, -limit, limit).mean(axis=0), "the entries were clipped by value, which turns the rows. Scale each row by its norm."),
            (right * len(grads), "that is the sum of the rows. The mean is wanted."),
            ((limit * unit).mean(axis=0), "every row was scaled to the limit, the short ones too. Rows that are short enough stay as they are."),
            ((unit * np.minimum(norms, 1)).mean(axis=0), "rows were cut to length 1. The limit is an argument."),
            (grads[norms[:, 0] <= limit].mean(axis=0) if (norms[:, 0] <= limit).any() else mean, "long rows were left out. Clipping keeps their direction."),
            (mean, "nothing was clipped."),
            ((grads * limit / np.maximum((grads**2).sum(axis=1, keepdims=True), limit)).mean(axis=0), "you used the squared norm. The root is missing."),
        ]  # fmt: skip
        for value, message in named:
            expect(not _same(got, value), f"{where} {message}")
        close(got, right, f"{where} the mean: result")


# ---------------------------------------------------------------------------- the best rates


def _best_rates_solution(curvature, distance, noise, batches):
    square, rates = distance**2, []  # expected square distance from the minimum
    for batch in batches:
        variance = noise**2 / batch
        rate = curvature * square / (curvature**2 * square + variance)
        square = (1 - rate * curvature) ** 2 * square + rate**2 * variance
        rates.append(rate)
    return np.array(rates)


def _rates_of(curvature: float, distance: float, noise: float, batches: Any, change: str) -> Array:
    """The rates under one of the usual mistakes."""
    square = distance if change == "distance" else distance**2
    rates = []
    for batch in batches:
        variance = {
            "no batch": noise**2, "times batch": noise**2 * batch, "root": noise / math.sqrt(batch),
            "mean root": noise**2 / math.sqrt(batch),
        }.get(change, noise**2 / batch)  # fmt: skip
        rate = curvature * square / (curvature**2 * square + variance)
        after = (1 - rate * curvature) ** 2 * square
        if change == "late":
            square = after + rate**2 * variance
            rate = curvature * square / (curvature**2 * square + variance)
        elif change == "noiseless":
            square = after
        elif change == "still":
            pass
        elif change == "unsquared":
            square = (1 - rate * curvature) * square + rate * variance
        else:
            square = after + rate**2 * variance
        rates.append(rate)
    return np.array(rates)


@exercise(
    "learning_rate_schedules.batch",
    solution=_best_rates_solution,
    hints=[
        "Carry one number from step to step: v, the expected square distance. It starts at distance².",
        "A mean of `batch` gradients has the variance noise² / batch. Put this in the place of s² in both formulas.",
        "In each step: rate = λv / (λ²v + s²/m), then v ← (1 − rate·λ)² v + rate² s²/m. The rate uses the v from before the step.",
    ],
)
def best_rates(answer: Any) -> None:
    """The best rate for every step, for given batch sizes."""
    messages = {
        "no batch": "the batch sizes have no effect. A mean of m gradients has the variance noise² / m.",
        "times batch": "a larger batch makes your noise larger. The variance of a mean is noise² / m.",
        "root": "the noise enters with its standard deviation. The formula has the variance, noise² / m.",
        "mean root": "you divided the variance by the root of the batch size. The standard deviation falls with the root, the variance with m.",
        "distance": "you start with the distance. The formula has the expected square distance.",
        "late": "your rate uses the distance after the step. It has to be chosen before it.",
        "noiseless": "the distance shrinks as if there were no noise: the term rate² · noise² / m is missing.",
        "still": "all rates for equal batches are equal: the expected square distance has to be updated after each step.",
        "unsquared": "the square distance is multiplied by (1 − ηλ)², and the noise by η²; the squares are missing.",
    }
    cases = [
        (2.0, 3.0, 0.7, [1, 4, 4, 16, 2]),
        (0.5, 0.4, 2.0, np.array([8, 8, 32])),
        (1.0, 1.0, 1.0, [1, 1, 1]),
    ]
    for curvature, distance, noise, batches in cases:
        got = as_array(call(answer, curvature, distance, noise, batches), "The result", shape=(len(batches),))
        right = _best_rates_solution(curvature, distance, noise, batches)
        if _same(got, right):
            continue
        where = f"With curvature {curvature:g}, distance {distance:g}, noise {noise:g} and batches {list(map(int, batches))}"
        for change, message in messages.items():
            expect(
                not _same(got, _rates_of(curvature, distance, noise, batches, change)), f"{where} {message}"
            )
        close(got, right, f"{where} the rates: result")
