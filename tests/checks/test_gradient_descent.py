"""Right, untouched and wrong answers to the exercises of lesson 09."""

from __future__ import annotations

import numpy as np

from course_utils.checks.gradient_descent import _adam_wrong_thetas
from tests.checks.common import Case


def _stub(*args):
    return ...


def _rate(f):
    return lambda H: f(np.linalg.eigvalsh(H), H)


def _nesterov(point=lambda t, v, b: t + b * v, velocity=None, theta=lambda t, a, v, b, g: t + v):
    """Nesterov with the point of the gradient, the new velocity or the new theta replaced."""
    velocity = velocity or (lambda v, b, r, g: b * v - r * g)

    def step(t, v, gradient, r, b):
        ahead = point(t, v, b)
        g = gradient(ahead)
        new = velocity(v, b, r, g)
        return theta(t, ahead, new, b, r * g), new

    return step


def _in_place(theta, velocity, gradient, rate, beta):
    velocity *= beta
    velocity -= rate * gradient(theta + velocity)
    return theta + velocity, velocity.copy()


def _adam(number=None, mean=None, square=None):
    """Adam with one of the named mistakes in theta, or with another running mean or square."""

    def step(theta, grad, m, s, t, rate, b1, b2, eps):
        m = mean(m, grad, b1, b2, t) if mean else b1 * m + (1 - b1) * grad
        s = square(s, grad, b2, t, m) if square else b2 * s + (1 - b2) * grad**2
        if number is not None:
            return _adam_wrong_thetas(theta, grad, m, s, t, rate, b1, b2, eps)[number][0], m, s
        return theta - rate * (m / (1 - b1**t)) / (np.sqrt(s / (1 - b2**t)) + eps), m, s

    return step


def _adam_in_place(theta, grad, mean, square, t, rate, b1, b2, eps):
    mean *= b1
    mean += (1 - b1) * grad
    return theta, mean, square


def _power(count=60, start=None, normalise=True, result=lambda largest: 2 / largest):
    def rate(product, size):
        v = np.random.default_rng(1).normal(size=size) if start is None else start(size)
        length = 1.0
        for _ in range(count):
            w = product(v)
            length = np.linalg.norm(w) / np.linalg.norm(v)
            v = w / np.linalg.norm(w) if normalise else w
        return result(length)

    return rate


def _columns(product, size):
    H = np.column_stack([product(row) for row in np.eye(size)])
    return 2 / np.linalg.eigvalsh(H).max()


CASES = {
    "largest_stable_rate": Case(
        stub=_stub,
        wrong=[
            (_rate(lambda e, H: 1 / e[-1]), "in one step"),
            (_rate(lambda e, H: 2 / e[0]), "flattest"),
            (_rate(lambda e, H: 2 / (e[0] + e[-1])), "converges fastest"),
            (_rate(lambda e, H: 2 / np.trace(H)), "trace"),
            (_rate(lambda e, H: 2 / np.diag(H).max()), "diagonal"),
            (_rate(lambda e, H: 2 / np.linalg.norm(H)), "sum of squares"),
            (_rate(lambda e, H: 3 / e[-1]), "which grows"),
            (_rate(lambda e, H: 0.3 / e[-1]), "there is room"),
            (_rate(lambda e, H: 2 / e), "shape ()"),
            (lambda H: None, "return"),
        ],
    ),
    "nesterov_step": Case(
        stub=_stub,
        wrong=[
            (_nesterov(point=lambda t, v, b: t), "heavy ball"),
            (_nesterov(point=lambda t, v, b: t - b * v), "backwards"),
            (_nesterov(point=lambda t, v, b: t + v), "damped first"),
            (_nesterov(velocity=lambda v, b, r, g: v - r * g), "not damped"),
            (_nesterov(velocity=lambda v, b, r, g: b * v + r * g), "against it"),
            (_nesterov(velocity=lambda v, b, r, g: b * v - g), "learning rate has no effect"),
            (_nesterov(velocity=lambda v, b, r, g: b * v - (1 - b) * r * g), "running mean"),
            (_nesterov(theta=lambda t, a, v, b, rg: a + v), "from the look-ahead point"),
            (_nesterov(theta=lambda t, a, v, b, rg: t + b * v - rg), "class `Nesterov`"),
            (_nesterov(theta=lambda t, a, v, b, rg: t - v), "against the velocity"),
            (lambda *args: _nesterov()(*args)[::-1], "wrong order"),
            (lambda *args: _nesterov()(*args)[0], "it should return 2"),
            (_in_place, "changed the arrays"),
            (lambda *args: None, "return"),
        ],
    ),
    "adam_step": Case(
        stub=_stub,
        wrong=[
            (_adam(0), "neither running mean"),
            (_adam(1), "the square was not"),
            (_adam(2), "the mean was not"),
            (_adam(3), "under the root"),
            (_adam(4), "of Keras"),
            (_adam(5), "root is missing"),
            (_adam(6), "against it"),
            (_adam(7), "RMSprop"),
            (_adam(8), "epsilon has no effect"),
            (_adam(9), "t + 1"),
            (_adam(10), "first step only"),
            (_adam(mean=lambda m, g, b1, b2, t: (b1 * m + (1 - b1) * g) / (1 - b1**t)), "corrected one"),
            (_adam(mean=lambda m, g, b1, b2, t: b1 * m + g), "in full"),
            (_adam(mean=lambda m, g, b1, b2, t: (1 - b1) * m + b1 * g), "exchanged"),
            (_adam(mean=lambda m, g, b1, b2, t: b2 * m + (1 - b2) * g), "with beta_2"),
            (_adam(square=lambda s, g, b2, t, m: (b2 * s + (1 - b2) * g**2) / (1 - b2**t)), "uncorrected"),
            (_adam(square=lambda s, g, b2, t, m: b2 * s + (1 - b2) * m**2), "square of the mean"),
            (_adam(square=lambda s, g, b2, t, m: np.abs(b2 * s + (1 - b2) * g)), "without being squared"),
            (_adam_in_place, "changed the arrays"),
            (lambda *args: _adam()(*args)[0], "it should return 3"),
        ],
    ),
    "rate_from_products": Case(
        stub=_stub,
        wrong=[
            (_columns, "more than 100 products"),
            (_power(result=lambda largest: largest), "largest eigenvalue itself"),
            (_power(result=lambda largest: 1 / largest), "twice that"),
            (_power(count=90, normalise=False), "overflowed"),
            (_power(start=np.ones), "start at random"),
            (_power(count=3), "has not settled"),
            (lambda product, size: 0.4 * 1.1, "never called"),
            (_power(result=lambda largest: 2.2 / largest), "within one per cent"),
        ],
    ),
}
