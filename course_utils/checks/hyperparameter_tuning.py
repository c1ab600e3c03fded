"""Checks of lesson 28: trials for a goal, scales, successive halving, expected gain, and the best of fewer trials."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np

from course_utils.checks._engine import NotYet, as_array, attempted, call, close, exercise, expect, several

# ---------------------------------------------------------------------------- trials for a goal


def _trials_needed_solution(share, probability):
    trials = math.ceil(math.log(1 - probability) / math.log(1 - share))
    while trials > 1 and 1 - (1 - share) ** (trials - 1) >= probability:  # rounding may add one
        trials -= 1
    return trials


@exercise(
    "hyperparameter_tuning.random",
    solution=_trials_needed_solution,
    hints=[
        "What is the probability that one trial misses the best share, and that all n of them do?",
        "All miss with probability (1 - share)ⁿ, which may be 1 - probability at most. Take logarithms; that of a "
        "number below 1 is negative, so dividing by it turns the inequality round.",
        "n has to be at least log(1 - probability) / log(1 - share). A count of trials is the next whole number up.",
    ],
)
def trials_needed(answer: Any) -> None:
    """Number of random trials for a goal in ranks."""
    for share, probability in [(0.1, 0.9), (0.02, 0.99), (0.25, 0.9), (0.05, 0.95)]:
        got = float(as_array(call(answer, share, probability), "The number of trials", shape=()))
        right = _trials_needed_solution(share, probability)
        exact = math.log(1 - probability) / math.log(1 - share)
        where = f"for a share of {share:g} and a probability of {probability:g}"
        named = [
            (exact, "That is where the two sides are equal; a count of trials is a whole number."),
            (right - 1, "With one trial fewer than needed the probability stays below the goal: round up."),
            (right + 1, "One trial fewer is enough; round up to the next whole number, once."),
            (
                math.ceil(1 / share),
                "1 / share trials hit the best share once on average, and miss it altogether about a third of the time.",
            ),
            (
                math.ceil(probability / share),
                "Probabilities of overlapping events do not add: two trials may both be good. Go by the chance that all miss.",
            ),
            (
                math.ceil(math.log(probability) / math.log(1 - share)),
                "You solved for all trials missing with the given probability. They may miss with 1 - probability.",
            ),
            (
                math.ceil(math.log(1 - probability) / math.log(share)),
                "You used the share where one trial *misses*. It misses with probability 1 - share.",
            ),
        ]
        for value, message in named:
            if value != right and math.isclose(got, value, rel_tol=1e-9):
                raise NotYet(f"You return {got:.6g} {where}. {message}")
        close(got, right, f"The number of trials {where}", rtol=0, atol=1e-9)


# ---------------------------------------------------------------------------- scales


def _log_uniform_solution(u, low, high):
    return low * (high / low) ** np.asarray(u)


def _momentum_values_solution(u, low, high):
    return 1 - (1 - low) * ((1 - high) / (1 - low)) ** np.asarray(u)


@exercise(
    "hyperparameter_tuning.random",
    solution=(_log_uniform_solution, _momentum_values_solution),
    source=(
        "def log_uniform(u, low, high):\n"
        "    return low * (high / low) ** np.asarray(u)\n\n\n"
        "def momentum_values(u, low, high):\n"
        "    return 1 - (1 - low) * ((1 - high) / (1 - low)) ** np.asarray(u)"
    ),
    hints=[
        "u is uniform; which function of the learning rate should be uniform, and between which two values?",
        "log η goes in a straight line from log low to log high as u goes from 0 to 1. Then undo the logarithm.",
        "For the momentum do the same with 1 - β, which goes from 1 - low to 1 - high, and subtract the result from 1.",
    ],
)
def scales(log_uniform: Any, momentum_values: Any) -> None:
    """Log-uniform learning rates and momentum values."""
    u = np.linspace(0, 0.98, 12).reshape(3, 4)
    for low, high in [(0.003, 3.0), (1e-5, 1e-2)]:
        got = as_array(call(log_uniform, u, low, high), "log_uniform's result", shape=u.shape)
        where = f"for u = {u.flat[6]:.2f} between {low:g} and {high:g}"
        value = f"log_uniform gives {got.flat[6]:.4g} {where}. "
        with np.errstate(all="ignore"):
            named = [
                (
                    low + u * (high - low),
                    "That is uniform: the largest decade gets nine tenths of the trials.",
                ),
                (np.log(low) + u * np.log(high / low), "That is still the logarithm; undo it with exp."),
                (
                    10 ** (np.log(low) + u * np.log(high / low)),
                    "You took the natural logarithm and raised 10 to it. Use one base both ways.",
                ),
                (
                    np.exp(low + u * (high - low)),
                    "Take the logarithms of `low` and `high` before going between them.",
                ),
                (high * (low / high) ** u, "The ends are exchanged: u = 0 belongs to `low`."),
            ]
        for wrong, message in named:
            expect(not np.allclose(got, wrong, rtol=1e-6), value + message)
        close(got, _log_uniform_solution(u, low, high), "log_uniform's result", rtol=1e-6)
    low, high = 0.9, 0.999
    got = as_array(call(momentum_values, u, low, high), "momentum_values' result", shape=u.shape)
    value = f"momentum_values gives {got.flat[6]:.5g} for u = {u.flat[6]:.2f} between {low} and {high}. "
    named = [
        (low + u * (high - low), "That is uniform: nine tenths of the trials have 1 - β above 0.01."),
        (
            low * (high / low) ** u,
            "That is log-uniform in β itself, which is nearly uniform here. It is 1 - β that acts by multiplication.",
        ),
        ((1 - low) * ((1 - high) / (1 - low)) ** u, "That is 1 - β; subtract it from 1."),
        (1 - (1 - high) * ((1 - low) / (1 - high)) ** u, "The ends are exchanged: u = 0 belongs to `low`."),
    ]
    for wrong, message in named:
        expect(not np.allclose(got, wrong, rtol=1e-7, atol=1e-9), value + message)
    close(got, _momentum_values_solution(u, low, high), "momentum_values' result", rtol=1e-7)


# ---------------------------------------------------------------------------- successive halving


def _halve_solution(errors, first, cut):
    errors = np.asarray(errors)
    alive, spent, trained = np.arange(len(errors)), 0, 0
    for column in range(errors.shape[1]):
        epochs = first * cut**column
        spent += len(alive) * (epochs - trained)  # trained networks are continued
        trained = epochs
        ranking = alive[np.argsort(errors[alive, column], kind="stable")]
        last = column == errors.shape[1] - 1
        alive = ranking[: 1 if last else max(1, len(alive) // cut)]
    return alive[0], spent


def _halving_variant(
    errors, first, cut, *, anew=False, worst=False, unmapped=False, keep_up=False, by_last=False
):
    """What the usual mistakes return."""
    alive, spent, trained = np.arange(len(errors)), 0, 0
    for column in range(errors.shape[1]):
        epochs = first * cut**column
        spent += len(alive) * (epochs - (0 if anew else trained))
        trained = epochs
        scores = errors[alive, -1 if by_last else column]
        order = np.argsort(-scores if worst else scores, kind="stable")
        ranking = order if unmapped else alive[order]
        last = column == errors.shape[1] - 1
        number = -(-len(alive) // cut) if keep_up else max(1, len(alive) // cut)
        alive = ranking[: 1 if last else number]
    return int(alive[0]), int(spent)


@exercise(
    "hyperparameter_tuning.halving",
    solution=_halve_solution,
    hints=[
        "Keep an array of the indices that are alive, and how many epochs these have had. What does a round cost?",
        "Round i costs (number alive) · (first · cut^i minus the epochs they had already). Sort the alive ones by "
        'column i: `alive[np.argsort(errors[alive, i], kind="stable")]`.',
        "After every column but the last keep the first max(1, len(alive) // cut) of that order; after the last keep one.",
    ],
)
def halve(answer: Any) -> None:
    """Successive halving on a table of errors."""
    rng = np.random.default_rng(28)
    slow = np.sort(rng.random((9, 3)), axis=0)
    slow[:, 0] = slow[::-1, 0]  # what is last after the first look is best at the end
    tables = [
        (rng.permuted(rng.random((18, 3)), axis=0), 2, 3),
        (rng.random((11, 3)), 1, 2),
        (slow, 1, 3),
        (np.array([[0.5, 0.1], [0.4, 0.3]]), 1, 2),
    ]
    for errors, first, cut in tables:
        given = errors.copy()
        results = several(call(answer, errors, first, cut), "the survivor's index", "the epochs spent")
        expect(np.array_equal(given, errors), "Your function changed the array `errors` that it was given.")
        survivor = float(as_array(results[0], "The survivor's index", shape=()))
        spent = float(as_array(results[1], "The number of epochs", shape=()))
        right = tuple(float(v) for v in _halve_solution(errors, first, cut))
        where = f"for {len(errors)} configurations, {errors.shape[1]} rounds, first={first}, cut={cut}"
        got = f"You return survivor {survivor:g} and {spent:g} epochs {where}. "
        full = first * cut ** (errors.shape[1] - 1)
        if (survivor, spent) == right:
            continue
        if (spent, survivor) == right:
            raise NotYet("The two results are in the wrong order: the survivor first, then the epochs.")
        named = [
            (_halving_variant(errors, first, cut, anew=True), "The epochs are counted as if every round started anew. "
             "Networks that survive go on from where they are."),
            (_halving_variant(errors, first, cut, worst=True), "You keep the largest errors."),
            (_halving_variant(errors, first, cut, unmapped=True), "`argsort` of the alive ones gives places among the "
             "alive ones; use them to index `alive`, or they point to other configurations."),
            (_halving_variant(errors, first, cut, keep_up=True), "You round up; the task keeps max(1, alive // cut)."),
            (_halving_variant(errors, first, cut, by_last=True), "That is the best in the last column, which nobody "
             "has paid for when the first cuts are made: round i may look at column i only."),
        ]  # fmt: skip
        for value, message in named:
            expect((survivor, spent) != value, got + message)
        expect(spent != len(errors) * full, got + "That is the cost of training all of them to the end.")
        expect(survivor == right[0], got + f"With the rule of the task {right[0]:g} survives.")
        close(spent, right[1], f"The survivor is right, but the number of epochs {where}", rtol=1e-9)


# ---------------------------------------------------------------------------- expected gain


def _expected_gain_solution(mean, deviation, best):
    mean, deviation, best = np.broadcast_arrays(*(np.asarray(a, float) for a in (mean, deviation, best)))
    certain = deviation == 0
    gain = mean - best
    u = gain / np.where(certain, 1, deviation)
    density = np.exp(-(u**2) / 2) / np.sqrt(2 * np.pi)
    below = np.vectorize(lambda t: 0.5 * (1 + math.erf(t / math.sqrt(2))), otypes=[float])(u)
    return np.where(certain, np.maximum(gain, 0), gain * below + deviation * density)


@exercise(
    "hyperparameter_tuning.bayes",
    solution=_expected_gain_solution,
    hints=[
        "f > f* now counts. Put -f for f and -f* for f* into the lesson's formula: which signs change?",
        "With u = (mean - best) / deviation the gain is (mean - best) · Φ(u) + deviation · φ(u). `stats.norm` has "
        "both as `cdf` and `pdf`.",
        "Where the deviation is 0 divide by something else, for example np.where(deviation == 0, 1, deviation), and choose "
        "max(mean - best, 0) there at the end.",
    ],
)
def expected_gain(answer: Any) -> None:
    """Expected improvement for a score to be made large."""
    mean = np.array([0.7, 0.5, 0.2, 0.9])
    deviation = np.array([0.1, 0.3, 0.05, 0.4])
    best = 0.6
    got = as_array(call(answer, mean, deviation, best), "The gain", shape=(4,))
    right = _expected_gain_solution(mean, deviation, best)
    loss = _expected_gain_solution(-mean, deviation, -best)
    u = (mean - best) / deviation
    Phi = np.vectorize(lambda t: 0.5 * (1 + math.erf(t / math.sqrt(2))))(u)
    phi = np.exp(-(u**2) / 2) / np.sqrt(2 * np.pi)
    value = f"For mean {mean[0]}, deviation {deviation[0]}, best {best} you get {got[0]:.4g}. "
    named = [
        (loss, "That is the lesson's formula, for something to be made small. Here larger is better."),
        (np.maximum(mean - best, 0), "That is the gain of the expected value. A point with a low mean may gain too: take "
         "the expected value of the gain."),
        (mean - best, "That is the expected change, falls included. A trial that falls short loses nothing."),
        ((mean - best) * Phi, "The second term, deviation · φ(u), is missing: uncertainty itself is worth something."),
        (deviation * phi, "The first term, (mean - best) · Φ(u), is missing."),
        (Phi, "That is the probability of an improvement. It does not say how large it is."),
        ((mean - best) * Phi + phi, "The density has to be multiplied by the deviation."),
        ((mean - best) * phi + deviation * Phi, "Φ and φ are exchanged: `cdf` belongs to the first term, `pdf` to the second."),
        ((mean - best) * Phi - deviation * phi, "The second term has the wrong sign: uncertainty adds to the expected gain."),
    ]  # fmt: skip
    for wrong, message in named:
        expect(not np.allclose(got, wrong, rtol=1e-6), value + message)
    expect(
        (got >= 0).all(),
        f"The gain is {got.min():.3g} somewhere. The mean of numbers that are not negative is not.",
    )
    close(got, right, "The gain", rtol=1e-5)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        certain = call(answer, np.array([0.7, 0.3, 0.5, 0.6]), np.array([0.0, 0.0, 0.2, 0.1]), 0.5)
    certain = as_array(certain, "The gain with deviations of 0", shape=(4,))
    expect(
        np.isfinite(certain).all(),
        "Where the deviation is 0 the gain is not finite: 0 / 0 or a division by 0. There it is max(mean - best, 0).",
    )
    close(
        certain,
        _expected_gain_solution(np.array([0.7, 0.3, 0.5, 0.6]), np.array([0.0, 0.0, 0.2, 0.1]), 0.5),
        "The gain with deviations of 0",
    )
    expect(
        not caught,
        "The values are right, but NumPy warned of a division by 0: `np.where` computes both sides. Divide by a "
        "deviation in which the zeros were replaced.",
    )
    grid = as_array(
        call(answer, mean[:, None], deviation[None, :], best), "The gain of (4, 1) and (1, 4)", shape=(4, 4)
    )
    close(
        grid,
        _expected_gain_solution(mean[:, None], deviation[None, :], best),
        "The gain of (4, 1) and (1, 4)",
    )
    close(call(answer, 0.0, 1.0, 0.0), 1 / math.sqrt(2 * math.pi), "The gain for mean 0, deviation 1, best 0")
    close(call(answer, 0.7, 0.0, 0.5), 0.2, "The gain for mean 0.7, deviation 0, best 0.5")


# ---------------------------------------------------------------------------- the best of fewer trials


def _expected_best_solution(errors, n):
    ordered = np.sort(np.asarray(errors, dtype=float))
    N = len(ordered)
    larger = (1 - np.arange(N + 1) / N) ** n  # P(the minimum lies behind the i smallest)
    return float(np.sum(ordered * (larger[:-1] - larger[1:])))


@exercise(
    "hyperparameter_tuning.curse",
    solution=_expected_best_solution,
    hints=[
        "Sort the errors. All n draws lie behind the i smallest of N with which probability?",
        "With ((N - i) / N)ⁿ. The minimum *is* the i-th smallest when all draws lie behind the first i - 1, but not all "
        "behind the first i.",
        "So the i-th smallest, i from 1 to N, has the weight ((N - i + 1) / N)ⁿ - ((N - i) / N)ⁿ. The weights sum to 1.",
    ],
)
def expected_best(answer: Any) -> None:
    """Expected smallest error of n draws."""
    rng = np.random.default_rng(5)
    cases = [
        (rng.random(7), 3),
        (np.array([0.2, 0.1, 0.2, 0.4]), 2),
        (rng.random(30), 10),
        (np.array([0.3, 0.1]), 2),
    ]
    for errors, n in cases:
        given = errors.copy()
        got = float(as_array(call(answer, errors, n), "The expected best", shape=()))
        expect(
            np.array_equal(errors, given),
            "Your function changed the array `errors` that it was given: `errors.sort()` works in place, `np.sort` does not.",
        )
        N, ordered = len(errors), np.sort(errors)
        place = np.arange(N + 1)
        behind = (1 - place / N) ** n
        weights = behind[:-1] - behind[1:]
        below = np.array([math.comb(N - i - 1, n - 1) / math.comb(N, n) for i in range(N)])
        named = [
            (errors.mean(), "That is the mean of all: the expected error of one trial."),
            (errors.min(), "That is the smallest of all N, which n draws may well miss."),
            (errors[:n].min(), "That is the smallest of the first n, one of many possible draws."),
            (
                float(np.sum(ordered * weights[::-1])),
                "That is the expected *largest*: the weights stand in reverse order.",
            ),
            (
                float(np.sum(errors * weights)),
                "The weights belong to the sorted errors; the errors were not sorted.",
            ),
            (
                float(np.sum(ordered * below)),
                "That is for drawing *without* replacement. The task draws with replacement, so the same error may "
                "come twice.",
            ),
            (
                float(np.sum(ordered * behind[:-1])),
                "You weigh by the probability that the minimum lies at this place *or behind it*; the weights sum to "
                "more than 1. Take differences.",
            ),
            (
                float(np.sum(ordered * behind[1:])),
                "You weigh by the probability that the minimum lies *behind* this place. Take differences of two such "
                "probabilities.",
            ),
        ]
        right = _expected_best_solution(errors, n)
        for value, message in named:
            if not math.isclose(value, right, rel_tol=1e-9) and math.isclose(got, value, rel_tol=1e-9):
                raise NotYet(f"For {N} errors and n = {n} you return {got:.5g}. {message}")
        close(got, right, f"The expected best for {N} errors and n = {n}", message=(
            f"For {N} errors and n = {n} you return {got:.5g}; the exact value is {right:.5g}."
            + (" Repeated drawing comes near it; the task asks for the exact value." if abs(got / right - 1) < 0.05 else "")
        ), rtol=1e-7)  # fmt: skip
    attempted(answer)
