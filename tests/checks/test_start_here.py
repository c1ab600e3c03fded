"""Wrong answers to the exercises of lesson 00 and what each must be told."""

import numpy as np

from tests.checks.common import Case


def in_place_standardise(X):
    X -= X.mean(axis=0)
    X /= X.std(axis=0)
    return X


def sequential_step(w, b, x, y, learning_rate):
    w = w - learning_rate * 2 * ((w * x + b - y) * x).mean()
    b = b - learning_rate * 2 * (w * x + b - y).mean()
    return w, b


def scaled_step(factor_w, factor_b=None, weigh=True):
    def step(w, b, x, y, learning_rate):
        error = w * x + b - y
        slope_w = (error * x).mean() if weigh else error.mean()
        factor = factor_w if factor_b is None else factor_b
        return w - learning_rate * factor_w * slope_w, b - learning_rate * factor * error.mean()

    return step


def summed_step(w, b, x, y, learning_rate):
    error = w * x + b - y
    return w - learning_rate * 2 * (error * x).sum(), b - learning_rate * 2 * error.sum()


def no_rate_step(w, b, x, y, learning_rate):
    error = w * x + b - y
    return w - 2 * (error * x).mean(), b - 2 * error.mean()


def torn_pairs(X, y, seed):
    rng = np.random.default_rng(seed)
    return rng.permutation(X), rng.permutation(y)


def global_seed(X, y, seed):
    np.random.seed(seed)
    order = np.random.permutation(len(X))
    return X[order], y[order]


def unseeded(X, y, seed):
    order = np.random.default_rng().permutation(len(X))
    return X[order], y[order]


def constant_seed(X, y, seed):
    order = np.random.default_rng(0).permutation(len(X))
    return X[order], y[order]


def with_replacement(X, y, seed):
    order = np.random.default_rng(seed).integers(0, len(X), len(X))
    return X[order], y[order]


def in_place_shuffle(X, y, seed):
    order = np.random.default_rng(seed).permutation(len(X))
    X[:], y[:] = X[order], y[order]
    return X, y


CASES = {
    "first_answer": Case(
        stub=...,
        wrong=[
            (21, "all six"),
            ([6, 15], "axis=1"),
            ([[5, 7, 9]], "one axis is left"),
            ([5, 7, 8], "9"),
            ("5, 7, 9", "numeric"),
        ],
    ),
    "standardise": Case(
        stub=lambda X: ...,
        wrong=[
            (lambda X: (X - X.mean()) / X.std(), "whole table"),
            (lambda X: X - X.mean(axis=0), "division is missing"),
            (lambda X: (X - X.mean(axis=0)) / X.var(axis=0), "variance"),
            (lambda X: X / X.std(axis=0), "subtraction is missing"),
            (lambda X: X - X.mean(axis=0) / X.std(axis=0), "brackets"),
            (lambda X: (X - X.mean(axis=0)) / X.std(axis=0, ddof=1), "ddof"),
            (
                lambda X: (X - X.mean(axis=1, keepdims=True)) / X.std(axis=1, keepdims=True),
                "standardised the rows",
            ),
            (in_place_standardise, "in place"),
            (lambda X: X.mean(axis=0), "keep the shape"),
        ],
    ),
    "gradient_step": Case(
        stub=lambda w, b, x, y, learning_rate: ...,
        wrong=[
            (scaled_step(-2), "uphill"),
            (summed_step, "four points"),
            (scaled_step(1), "half as long"),
            (no_rate_step, "learning rate"),
            (sequential_step, "new w"),
            (scaled_step(2, weigh=False), "error * x"),
            (lambda w, b, x, y, learning_rate: w, "two things"),
        ],
    ),
    "shuffle_together": Case(
        stub=lambda X, y, seed: ...,
        wrong=[
            (torn_pairs, "torn apart"),
            (global_seed, "global generator"),
            (unseeded, "same seed"),
            (constant_seed, "7 and 8"),
            (with_replacement, "permutation"),
            (in_place_shuffle, "in place"),
            (lambda X, y, seed: (X, y), "not changed"),
        ],
    ),
}
