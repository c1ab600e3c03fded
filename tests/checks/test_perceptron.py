"""Wrong answers to the exercises of lesson 01 and what each must be told."""

import numpy as np

from course_utils.checks.perceptron import _last_weights, _tight_set_solution, _train_pocket_solution
from tests.checks.common import Case


def always_update(X, y, epochs):
    return epochs * (y @ X), epochs * float(y.sum()) + 1.0


def no_bias(X, y, epochs):
    w = np.zeros(X.shape[1])
    for _ in range(epochs):
        for x_i, y_i in zip(X, y, strict=True):
            if y_i * (x_i @ w) <= 0:
                w = w + y_i * x_i
    return w, 0.0


def strict_inequality(X, y, epochs):
    w, b = np.zeros(X.shape[1]), 0.0
    for _ in range(epochs):
        for x_i, y_i in zip(X, y, strict=True):
            if y_i * (x_i @ w + b) < 0:
                w, b = w + y_i * x_i, b + y_i
    return w, b


def pocket_in_place(X, y, epochs):
    """Remembers the best weights under a second name for the same array."""
    w, b = np.zeros(X.shape[1]), np.zeros(())
    best_w, best_b, fewest = w, b, len(X)
    for _ in range(epochs):
        for x_i, y_i in zip(X, y, strict=True):
            if y_i * (x_i @ w + b) <= 0:
                w += y_i * x_i
                b += y_i
                errors = (y * (X @ w + b) <= 0).sum()
                if errors < fewest:
                    best_w, best_b, fewest = w, b, errors
    return best_w, best_b


def gradient_of_nothing(X, y, epochs):
    return np.array([1.0, 1.0]), 100.0


def in_place(w, b, x, t):
    error = t - (1 if x @ w + b > 0 else 0)
    w += error * x
    return w, b + error


def two_points():
    return np.array([[1.0], [-1.0]]), np.array([1, -1]), np.array([1.0]), 0.0


def random_set():
    X = np.random.default_rng(0).uniform(-1, 1, (40, 2))
    X = X[np.abs(X[:, 0]) > 0.2]
    return X, np.where(X[:, 0] > 0, 1, -1), np.array([1.0, 0.0]), 0.0


def not_separated():
    X, y, w, b = _tight_set_solution()
    return X, -y, w, b


def equal_margin_but_parallel():
    """Equally far from the separator, but not orthogonal to each other."""
    X = np.array([[3.0, 1.0], [2.0, 1.0], [3.0, -1.0], [2.0, -1.0]])
    return X, np.array([1, 1, -1, -1]), np.array([0.0, 1.0]), 0.0


CASES = {
    "update_zero_one": Case(
        stub=lambda w, b, x, t: ...,
        wrong=[
            (
                lambda w, b, x, t: (w - (t - (x @ w + b > 0)) * x, b - (t - (x @ w + b > 0))),
                "other way round",
            ),
            (lambda w, b, x, t: (w, b), "did not change"),
            (lambda w, b, x, t: (w + (t - (x @ w + b > 0)) * x, b), "b did not move"),
            (lambda w, b, x, t: (w + t * x, b + t), "t - prediction takes the place"),
            (lambda w, b, x, t: (w + (2 * t - 1) * x, b + 2 * t - 1), "mistakes only"),
            (lambda w, b, x, t: (w + (t - (x @ w + b >= 0)) * x, b + t - (x @ w + b >= 0)), "exactly 0"),
            (in_place, "in place"),
            (lambda w, b, x, t: w + t * x, "two things"),
        ],
    ),
    "margin": Case(
        stub=lambda X, y, w, b: ...,
        wrong=[
            (lambda X, y, w, b: (y * (X @ w + b)).min(), "divide by the length of w"),
            (lambda X, y, w, b: (y * (X @ w + b)).min() / np.sqrt(w @ w + b * b), "augmented space"),
            (lambda X, y, w, b: (y * (X @ w + b)).mean() / np.linalg.norm(w), "worst case"),
            (lambda X, y, w, b: (y * (X @ w + b)).max() / np.linalg.norm(w), "largest"),
            (lambda X, y, w, b: (X @ w + b).min() / np.linalg.norm(w), "without the labels"),
            (lambda X, y, w, b: (y * (X @ w)).min() / np.linalg.norm(w), "bias is missing"),
            (lambda X, y, w, b: (y * (X @ w + b)).min() / (w @ w), "squared length"),
            (lambda X, y, w, b: np.abs(X @ w + b).min() / np.linalg.norm(w), "absolute value"),
            (lambda X, y, w, b: y * (X @ w + b), "shape"),
        ],
    ),
    "train_pocket": Case(
        stub=lambda X, y, epochs: ...,
        wrong=[
            (always_update, "right or wrong"),
            (no_bias, "bias is never updated"),
            (strict_inequality, "all zeros"),
            (_last_weights, "last weights of the run"),
            (pocket_in_place, "w += ..."),
            (gradient_of_nothing, "still get"),
            (lambda X, y, epochs: _train_pocket_solution(X, y, epochs)[0], "two things"),
        ],
    ),
    "tight_set": Case(
        stub=lambda: ...,
        wrong=[
            (two_points, "at least four"),
            (random_set, "where the proof loses"),
            (not_separated, "does not separate"),
            (equal_margin_but_parallel, "squared length grows"),
            (lambda: _tight_set_solution()[:2], "four things"),
        ],
    ),
}
