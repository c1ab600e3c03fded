"""Checks of lesson 20: the scaled error, a split without leakage, iterated forecasts, a conformal margin."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from course_utils.checks._engine import NotYet, as_array, call, close, exercise, expect, several

Array = np.ndarray


# ---------------------------------------------------------------------------- the scaled error


def _mase_solution(truth, forecast, training, period):
    error = np.abs(truth - forecast).mean()
    seasonal = np.abs(training[period:] - training[:-period]).mean()  # the seasonal naive forecast's errors
    return error / seasonal


def _mase_mistakes(truth: Array, forecast: Array, training: Array, period: int) -> list[tuple[float, str]]:
    """What the usual mistakes return, with their names."""
    error = truth - forecast
    steps = training[period:] - training[:-period]
    mean = np.abs(error).mean()
    return [
        (mean, "the mean absolute error itself. Divide it by that of the seasonal naive forecast on the training "
         "series."),
        (mean / np.abs(np.diff(training)).mean(), "scaled by the steps from one value to the next. That is the naive "
         "forecast; the seasonal one looks `period` values back."),
        (mean / (np.abs(steps).sum() / len(training)), "divided by a sum over n - period terms that was averaged over "
         "n. The first period has no forecast and does not count."),
        ((error**2).mean() / (steps**2).mean(), "a ratio of squared errors. Both means are of absolute values."),
        (math.sqrt((error**2).mean() / (steps**2).mean()), "a ratio of root mean squared errors. Both means are of "
         "absolute values."),
        (np.abs(steps).mean() / mean, "turned over: the error of your forecast stands in the numerator."),
        (error.mean() / steps.mean(), "computed without absolute values, so errors of different sign cancel."),
        (mean / np.abs(training - training.mean()).mean(), "scaled by the spread around the mean. The scale is the "
         "error of the seasonal naive forecast."),
        (mean / np.abs(training).mean(), "relative to the size of the values. That ratio changes when the series is "
         "shifted; the scale should be an error."),
    ]  # fmt: skip


@exercise(
    "time_series.baselines",
    solution=_mase_solution,
    hints=[
        "Two means of absolute values, and one divided by the other. The first needs truth and forecast only.",
        "The second is over the training series alone: each value from index `period` on, minus the value `period` "
        "places before it.",
        "training[period:] and training[:-period] are these two, in arrays of n - period values each.",
    ],
)
def mase(answer: Any) -> None:
    """The mean absolute scaled error."""
    rng = np.random.default_rng(20)
    cases = []
    for n, h, period in ((40, 8, 4), (60, 5, 12)):
        training = rng.normal(size=n).cumsum() + 30 + 3 * np.sin(2 * np.pi * np.arange(n) / period)
        cases.append(
            (training[-h:] + rng.normal(0.4, 1, h), training[-h:] + rng.normal(size=h), training, period)
        )
    for truth, forecast, training, period in cases:
        given = call(answer, truth.copy(), forecast.copy(), training.copy(), period)
        got = float(as_array(given, "The scaled error", shape=()))
        right = _mase_solution(truth, forecast, training, period)
        if not np.isclose(got, right, rtol=1e-6):
            for value, meaning in _mase_mistakes(truth, forecast, training, period):
                if np.isclose(got, value, rtol=1e-6):
                    raise NotYet(f"With a period of {period} you return {got:.4g}, {meaning}")
            if len(truth) > period and np.isclose(
                got,
                np.abs(truth - forecast).mean() / np.abs(truth[period:] - truth[:-period]).mean(),
                rtol=1e-6,
            ):
                raise NotYet(
                    "The scale was measured on the values to be forecast. It belongs to the training series, so that "
                    "it is known beforehand and the same for every forecast."
                )
        close(got, right, f"With a period of {period}, the scaled error", rtol=1e-6)


# ---------------------------------------------------------------------------- the split


def _split_windows_solution(n, width, horizon, cut):
    starts = np.arange(n - width - horizon + 1)
    train = starts[starts + width + horizon <= cut]  # the last target has index start + width + horizon - 1
    test = starts[starts + width >= cut]  # the first target has index start + width
    return train, test


@exercise(
    "time_series.windows",
    solution=_split_windows_solution,
    hints=[
        "Window i has the inputs i ... i + width - 1. Which indices do its targets have, and how many windows are "
        "there in all?",
        "Training: the last target's index, i + width + horizon - 1, must lie before cut. Test: the first target's "
        "index, i + width, must be cut or later.",
        "np.arange(n - width - horizon + 1) holds all starts; each of the two conditions is a mask on it. Some "
        "windows belong to neither part.",
    ],
)
def split_windows(answer: Any) -> None:
    """Training and test windows that share nothing they should not."""
    for n, width, horizon, cut in ((60, 10, 4, 40), (10, 3, 2, 6), (35, 5, 1, 20), (50, 4, 9, 30)):
        train, test = several(call(answer, n, width, horizon, cut), "training starts", "test starts")
        label = f"For split_windows({n}, {width}, {horizon}, {cut})"
        got_train = as_array(train, "The training starts", shape=(None,))
        got_test = as_array(test, "The test starts", shape=(None,))
        right_train, right_test = _split_windows_solution(n, width, horizon, cut)
        all_starts = np.concatenate([got_train, got_test])
        expect(
            (all_starts == np.round(all_starts)).all(),
            f"{label} the starts should be whole numbers, used as indices.",
        )
        expect((got_train >= 0).all() and (got_test >= 0).all(), f"{label} a start is negative.")
        expect(got_train.size, f"{label} there are no training windows.")
        expect(got_test.size, f"{label} there are no test windows.")
        last = int(got_train.max())
        if last + width + horizon > cut:
            raise NotYet(
                f"{label} the training window {last} has targets up to index {last + width + horizon - 1}, which is "
                f"in the future: everything from {cut} on is. Its inputs end early enough, its targets do not."
                if last + width <= cut
                else f"{label} the training window {last} already has inputs at index {last + width - 1}, in the "
                f"future that begins at {cut}."
            )
        if int(got_test.max()) + width + horizon > n:
            raise NotYet(
                f"{label} the test window {int(got_test.max())} would need the value "
                f"{int(got_test.max()) + width + horizon - 1}; the series ends at {n - 1}."
            )
        first = int(got_test.min())
        if first + width < cut:
            raise NotYet(
                f"{label} the test window {first} has its first target at index {first + width}, before the cut at "
                f"{cut}. It would test on what training has seen."
            )
        if first >= cut and first > right_test[0]:
            raise NotYet(
                f"{label} the first test window starts at {first}, so that its inputs too lie after the cut. Inputs "
                "may reach back: the past is known when the forecast is made."
            )
        for name, got, right in (("training", got_train, right_train), ("test", got_test, right_test)):
            missing = sorted(set(right.tolist()) - set(got.astype(int).tolist()))
            if missing:
                raise NotYet(f"{label} the {name} windows lack start {missing[0]}, which is allowed.")
        close(got_train, right_train, f"{label} the training starts")
        close(got_test, right_test, f"{label} the test starts")


# ---------------------------------------------------------------------------- iterated forecasts


def _recursive_forecast_solution(step, windows, horizon):
    windows = np.array(windows, dtype=float)  # a copy
    forecasts = []
    for _ in range(horizon):
        newest = step(windows)  # (m,)
        forecasts.append(newest)
        windows = np.column_stack([windows[:, 1:], newest])
    return np.stack(forecasts, axis=1)  # (m, horizon)


@exercise(
    "time_series.forecast",
    solution=_recursive_forecast_solution,
    hints=[
        "A loop over the horizon: call the step, keep its answer, and make the window for the next call.",
        "The next window is the old one without its first column, with the answer as a new last column.",
        "np.column_stack([windows[:, 1:], newest]) makes it, as a new array; np.stack(answers, axis=1) at the end.",
    ],
)
def recursive_forecast(answer: Any) -> None:
    """Several steps by iterating a one-step model."""
    rng = np.random.default_rng(21)
    for m, width, horizon in ((3, 4, 6), (5, 2, 3)):
        weights = rng.normal(size=width) * 0.6
        asked: list[Array] = []

        def step(windows: Array, weights: Array = weights, asked: list[Array] = asked) -> Array:
            windows = np.asarray(windows, dtype=float)
            if windows.shape[-1:] != weights.shape or windows.ndim != 2:
                raise NotYet(
                    f"The model was called with windows of shape {windows.shape}; it takes {len(weights)} values "
                    f"each, (m, {len(weights)}). When a forecast enters, the oldest value leaves."
                )
            asked.append(windows.copy())
            return np.tanh(windows @ weights) + 0.3

        windows = rng.normal(size=(m, width))
        given = windows.copy()
        value = call(answer, step, given, horizon)
        expect(
            np.array_equal(given, windows),
            "Your function changed the windows that it was given; work on a copy.",
        )
        calls, right = list(asked), _recursive_forecast_solution(step, windows, horizon)
        got = as_array(value, "The forecasts")
        if got.shape == (horizon, m) and horizon != m and np.allclose(got.T, right):
            raise NotYet(
                "The forecasts stand in columns: one row for each window is asked, shape (m, horizon)."
            )
        got = as_array(value, "The forecasts", shape=(m, horizon))
        if np.allclose(got, right):
            continue
        if np.allclose(got, right[:, :1]):
            raise NotYet(
                "All leads have the same value: the model was asked about the same window each time. Each forecast "
                "must enter the next window."
            )
        if np.allclose(got, right[:, ::-1]):
            raise NotYet("The leads are in reverse order: the first column is one step ahead.")
        if (
            len(calls) > 1
            and np.allclose(calls[1][:, 0], right[:, 0])
            and not np.allclose(calls[1][:, -1], right[:, 0])
        ):
            raise NotYet(
                "The forecast entered at the front of the window. The oldest value stands first, so the newest "
                "belongs at the end."
            )
        if len(calls) > 1 and np.allclose(calls[1], np.column_stack([windows[:, :-1], right[:, 0]])):
            raise NotYet("The forecast replaced the newest value. It is the oldest that leaves the window.")
        if len(calls) > 1 and np.allclose(calls[1], np.roll(windows, -1, axis=1)):
            raise NotYet(
                "The window was rolled, so its oldest value came back as the newest. The forecast belongs there."
            )
        if np.allclose(got[:, 0], windows[:, -1]) and np.allclose(got[:, 1:], right[:, :-1]):
            raise NotYet("Shifted by one: the first column is the last known value, which is no forecast.")
        close(got, right, "The forecasts")


# ---------------------------------------------------------------------------- the conformal margin


def _conformal_margin_solution(y, low, high, coverage):
    distances = np.sort(np.maximum(low - y, y - high))  # negative inside the interval
    place = math.ceil((len(y) + 1) * coverage - 1e-9)  # counted from 1; rounding must not push it up
    return math.inf if place > len(y) else distances[place - 1]


@exercise(
    "time_series.intervals",
    solution=_conformal_margin_solution,
    hints=[
        "Sort the n distances. The new one falls into one of n + 1 places, each equally likely. With which "
        "probability is it at most the k-th smallest?",
        "That probability is at least k / (n + 1). Find the smallest k for which it reaches the coverage; if that k "
        "is larger than n, no margin is large enough.",
        "k is (n + 1) * coverage rounded up (math.ceil), and the k-th smallest stands at index k - 1 of the sorted "
        "distances.",
    ],
)
def conformal_margin(answer: Any) -> None:
    """The margin for a promised coverage from a finite calibration set."""
    rng = np.random.default_rng(22)
    nine = np.arange(1.0, 10.0)
    cases = [(nine, np.full(9, -50.0), np.zeros(9), 0.8)]
    for n, coverage in ((30, 0.9), (57, 0.8), (24, 0.5)):
        low = rng.normal(-1, 0.3, n)
        cases.append((rng.normal(0, 1.5, n), low, low + rng.uniform(1.5, 3, n), coverage))
    cases.append(
        (rng.normal(size=19), np.full(19, -6.0), np.full(19, 6.0), 0.7)
    )  # far too wide: a negative margin
    for y, low, high, coverage in cases:
        n = len(y)
        given = call(answer, y.copy(), low.copy(), high.copy(), coverage)
        got = float(as_array(given, "The margin", shape=()))
        right = _conformal_margin_solution(y, low, high, coverage)
        if np.isclose(got, right, rtol=1e-9, atol=1e-12):
            continue
        label = f"With {n} calibration values and a coverage of {coverage:g}"
        distances = np.sort(np.maximum(low - y, y - high))
        place = math.ceil((n + 1) * coverage - 1e-9)
        clipped = np.sort(np.maximum(distances, 0))
        both = np.sort(np.minimum(low - y, y - high))
        absolute = np.sort(np.abs(y - (low + high) / 2))
        named = [
            (np.quantile(distances, coverage), "the plain quantile of the distances, interpolated between two of "
             "them. The new value makes n + 1 places."),
            (distances[max(math.ceil(n * coverage) - 1, 0)], "the quantile among n. The new value makes n + 1 places, "
             "so the place is (n + 1) · coverage, rounded up."),
            (distances[min(place, n - 1)], "one place too far: the k-th smallest stands at index k - 1."),
            (distances[min(math.ceil((n + 1) * (1 - coverage) - 1e-9) - 1, n - 1)], "the quantile of 1 - coverage. "
             "Most of the distances should lie below the margin."),
            (both[place - 1], "taken from the smaller of the two distances. A value is outside if either is "
             "positive: take the larger."),
            (absolute[place - 1], "taken from distances to the middle of the interval. They should be measured from "
             "its ends, so that wide intervals count as wide."),
            (clipped[place - 1], "the distance cut off at zero. Inside it is negative, and the margin may be "
             "negative: intervals that are too wide should shrink."),
        ]  # fmt: skip
        for value, meaning in named:
            if np.isclose(got, value, rtol=1e-9, atol=1e-12):
                raise NotYet(f"{label} you return {got:.4g}, {meaning}")
        close(got, right, f"{label}, the margin")
    y = np.arange(4.0)
    got = float(as_array(call(answer, y, y - 1, y + 1, 0.9), "The margin", shape=()))
    if not math.isinf(got):
        raise NotYet(
            "With four calibration values and a coverage of 0.9, five places are equally likely, and even the largest "
            f"distance is exceeded with probability 1/5. You return {got:.4g}; it should be math.inf."
        )
    expect(got > 0, "An infinite margin should be positive: math.inf.")
