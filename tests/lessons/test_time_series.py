"""What lesson 20 builds, against statsmodels, analytic values and what the text claims."""

from __future__ import annotations

import numpy as np
import pytest

from course_utils.checks import time_series as check
from tests.lessons.code import lesson_code


@pytest.fixture(scope="module")
def lesson():
    return lesson_code("20_time_series")


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def seasonal_series(rng, n=120, period=12):
    t = np.arange(n)
    return 20 + 0.1 * t + 3 * np.sin(2 * np.pi * t / period) + rng.normal(0, 0.5, n)


# ---------------------------------------------------------------------------- windows and leakage


def test_windows_are_every_stretch(lesson):
    X, Y = lesson.make_windows(np.arange(20), 5, 3)
    assert X.shape == (20 - 5 - 3 + 1, 5) and Y.shape == (len(X), 3)
    for i in range(len(X)):
        assert X[i].tolist() == list(range(i, i + 5)) and Y[i].tolist() == list(range(i + 5, i + 8))


@pytest.mark.parametrize(
    ("prepare", "leaks"),
    [
        (lambda y: y, False),
        (lambda y: y - y.mean(), True),
        (lambda y: y - y[:30].mean(), False),
        (lambda y: np.convolve(y, np.ones(3) / 3, "same"), True),
        (lambda y: np.cumsum(y), False),
    ],
)
def test_leakage_is_found_by_experiment(lesson, rng, prepare, leaks):
    assert lesson.reads_the_future(prepare, rng.normal(size=60), 40) is leaks


def test_filling_keeps_to_the_past_and_to_what_was_measured(lesson, rng):
    y = seasonal_series(rng)
    complete = y.copy()
    y[[5, 40, 41, 42, 90]] = np.nan
    filled = lesson.fill_from_past(y, 12)
    known = ~np.isnan(y)
    assert np.array_equal(filled[known], complete[known]) and np.isfinite(filled).all()
    assert filled[5] == filled[4]
    assert filled[41] == pytest.approx(filled[40] + filled[29] - filled[28])
    for origin in (41, 42, 43, 91):
        assert not lesson.reads_the_future(lambda s: lesson.fill_from_past(s, 12), y, origin)
    assert lesson.reads_the_future(lesson.fill_by_line, y, 42)
    assert not lesson.reads_the_future(lesson.last_known, y, 42)
    assert lesson.last_known(np.array([1.0, np.nan, np.nan, 4.0])).tolist() == [1, 1, 1, 4]


def test_back_test_hands_over_the_past_alone(lesson, rng):
    y, seen = rng.normal(size=50), []
    forecasts = lesson.back_test(lambda past: seen.append(len(past)) or np.full(4, past[-1]), y, [20, 30])
    assert seen == [20, 30] and forecasts.shape == (2, 4)
    errors = lesson.error_table(forecasts, y, [20, 30])
    assert errors[1, 2] == pytest.approx(abs(y[29] - y[32]))


# ---------------------------------------------------------------------------- baselines


def test_seasonal_forecasts(lesson):
    history = np.array([1.0, 2, 3, 11, 12, 14])
    assert lesson.seasonal_naive(history, 3, 5).tolist() == [11, 12, 14, 11, 12]
    assert lesson.seasonal_naive_with_drift(history, 3, 3).tolist() == [22, 23, 25]


@pytest.mark.parametrize("alpha", [0.05, 0.5, 1.0])
def test_exponential_smoothing_equals_statsmodels(lesson, rng, alpha):
    y = rng.normal(size=80).cumsum()
    ours, level = lesson.exponential_smoothing(y, alpha, 0.7)
    model = lesson.SimpleExpSmoothing(y, initialization_method="known", initial_level=0.7)
    fit = model.fit(smoothing_level=alpha, optimized=False)
    assert np.allclose(ours, fit.fittedvalues) and level == pytest.approx(fit.forecast(1)[0])
    weights = alpha * (1 - alpha) ** np.arange(80)[::-1]
    assert level == pytest.approx(weights @ y + (1 - alpha) ** 80 * 0.7)


@pytest.mark.parametrize("params", [(0.3, 0.1, 0.2), (0.9, 0.5, 0.05), (0.0, 0.0, 0.0)])
def test_holt_winters_equals_statsmodels(lesson, rng, params):
    y = seasonal_series(rng)
    state = lesson.first_state(y, 12)
    ours, ahead = lesson.holt_winters(y, 24, params, state)
    model = lesson.ExponentialSmoothing(
        y, trend="add", seasonal="add", seasonal_periods=12, initialization_method="known",
        initial_level=state[0], initial_trend=state[1], initial_seasonal=state[2],
    )  # fmt: skip
    names = ("smoothing_level", "smoothing_trend", "smoothing_seasonal")
    fit = model.fit(optimized=False, **dict(zip(names, params, strict=True)))
    assert np.allclose(ours, fit.fittedvalues)
    whole_periods = (
        np.arange(1, 25) % 12 == 0
    )  # there statsmodels takes the season before its last correction
    assert np.allclose(ahead[~whole_periods], fit.forecast(24)[~whole_periods])


def test_holt_winters_follows_a_clean_series_and_bridges_gaps(lesson):
    t = np.arange(60)
    y = 5 + 0.5 * t + np.tile([0.0, 2, -1, -1], 15)
    state = lesson.first_state(y, 4)
    gaps = y.copy()
    gaps[[10, 11, 30]] = np.nan
    forecasts, ahead = lesson.holt_winters(gaps, 4, (0.3, 0.1, 0.2), state)
    assert np.allclose(forecasts, y)
    assert np.allclose(ahead, 5 + 0.5 * np.arange(60, 64) + np.array([0.0, 2, -1, -1]))
    wrong = y.copy()
    wrong[40] += 5
    assert np.allclose(lesson.holt_winters(wrong, 1, (0.3, 0.1, 0.2), state, limit=1.0)[0], y)
    assert not np.allclose(lesson.holt_winters(wrong, 1, (0.3, 0.1, 0.2), state)[0], y)


def test_iterated_autoregression(lesson, rng):
    windows = rng.normal(size=(4, 6))
    coefficients = np.array([0.1, 0.5, -0.2])  # constant, lag 1, lag 2
    got = lesson.iterate(windows, coefficients, 3)
    one = 0.1 + 0.5 * windows[:, -1] - 0.2 * windows[:, -2]
    two = 0.1 + 0.5 * one - 0.2 * windows[:, -1]
    assert got.shape == (4, 3)
    assert np.allclose(got[:, 0], one) and np.allclose(got[:, 1], two)

    def step(w):
        return 0.1 + 0.5 * w[:, -1] - 0.2 * w[:, -2]

    assert np.allclose(check.recursive_forecast.reference(step, windows, 3), got)


# ---------------------------------------------------------------------------- quantiles


@pytest.mark.parametrize("q", [0.1, 0.5, 0.9])
def test_pinball_has_its_minimum_at_the_quantile(lesson, rng, q):
    sample = rng.exponential(size=2001)
    candidates = np.linspace(0, 5, 2001)
    best = candidates[np.argmin([lesson.pinball(sample, c, q) for c in candidates])]
    assert best == pytest.approx(np.quantile(sample, q), abs=0.01)


def test_pinball_gradient_and_keras_agree(lesson, rng):
    y, forecast = rng.normal(size=30), rng.normal(size=30)
    for q in (0.2, 0.9):
        numeric = [
            (lesson.pinball(y, forecast + 1e-6 * e, q) - lesson.pinball(y, forecast - 1e-6 * e, q)) / 2e-6
            for e in np.eye(30)
        ]
        assert np.allclose(numeric, lesson.pinball_gradient(y, forecast, q), atol=1e-8)
    out = rng.normal(size=(30, 5, 3))
    target = rng.normal(size=(30, 5))
    ours = np.mean([lesson.pinball(target, out[..., i], q) for i, q in enumerate(lesson.LEVELS)])
    assert float(lesson.quantile_loss(target, lesson.tf.constant(out))) == pytest.approx(ours)
    assert 2 * lesson.pinball(y, forecast, 0.5) == pytest.approx(np.abs(y - forecast).mean())


def test_margins_reach_the_coverage_they_were_made_for(lesson, rng):
    y = rng.normal(size=(400, 3)) * [1, 2, 3]
    low, high = np.full(y.shape, -1.0), np.full(y.shape, 1.0)
    margin = lesson.margins(y, low, high, 0.8)
    inside = ((low - margin <= y) & (y <= high + margin)).mean(axis=0)
    assert np.allclose(inside, 0.8, atol=0.01) and (np.diff(margin) > 0).all()


def test_conformal_margin_keeps_its_promise(rng):
    held = []
    for _ in range(3000):
        y = rng.standard_t(3, size=20)
        margin = check.conformal_margin.reference(y[:19], np.full(19, -0.5), np.full(19, 0.5), 0.8)
        held.append(-0.5 - margin <= y[19] <= 0.5 + margin)
    assert np.mean(held) == pytest.approx(0.8, abs=0.03)  # 16 of 20 places


# ---------------------------------------------------------------------------- networks


@pytest.mark.parametrize("name", ["MLP", "CNN", "LSTM"])
def test_networks_map_windows_to_leads(lesson, name):
    network = lesson.BUILDERS[name](48, 3, 24)
    assert network.output_shape == (None, 24)
    assert lesson.answers(network, np.zeros((5, 48, 3), "float32")).shape == (5, 24)


def test_training_repeats_itself_and_learns(lesson, rng):
    X = rng.normal(size=(256, 8, 1)).astype("float32")
    Y = X[:, -2:, 0] * 2
    runs = [lesson.train(lesson.build_mlp, X, Y, seeds, 8, learning_rate=0.01) for seeds in ((3,), (3, 4))]
    (first,), (second, other) = ([lesson.answers(network, X) for network in run] for run in runs)
    assert np.allclose(first, second, atol=1e-5)
    assert not np.allclose(second, other, atol=1e-3)
    assert np.abs(first - Y).mean() < 0.5 * np.abs(Y).mean()


def test_quantile_network_has_three_outputs_for_each_lead(lesson, rng):
    X, Y = rng.normal(size=(64, 8, 1)).astype("float32"), rng.normal(size=(64, 4)).astype("float32")
    (network,) = lesson.train(lesson.build_mlp, X, Y, (1,), 1, outputs=12, loss=lesson.quantile_loss)
    assert network.output_shape == (None, 4, 3)


# ---------------------------------------------------------------------------- leaks and exercises


def test_scaling_with_the_target_gives_the_targets_away(rng):
    walks = rng.normal(size=(500, 12)).cumsum(axis=1)
    scaled = walks - walks.mean(axis=1, keepdims=True)
    assert np.allclose(scaled[:, :8].sum(axis=1), -scaled[:, 8:].sum(axis=1))


def test_calendar_terms_repeat_each_year(lesson):
    terms = lesson.calendar_terms(np.array([0.0, 365.25 / 7]))
    assert terms.shape == (2, 6) and np.allclose(terms[0], terms[1])


def test_worked_values_of_the_exercises():
    numbers = [np.array(v, dtype=float) for v in ([4, 6], [5, 5], [1, 2, 3, 5])]
    assert check.mase.reference(*numbers, 2) == pytest.approx(0.4)
    train, test = check.split_windows.reference(10, 3, 2, 6)
    assert train.tolist() == [0, 1] and test.tolist() == [3, 4, 5]
    got = check.recursive_forecast.reference(lambda w: w[:, 0] + w[:, 1], [[1.0, 2.0]], 3)
    assert got.tolist() == [[3, 5, 8]]
    nine = np.arange(1.0, 10)
    assert check.conformal_margin.reference(nine, np.full(9, -50.0), np.zeros(9), 0.8) == 8
