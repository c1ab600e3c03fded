"""Right, untouched and wrong answers to the exercises of lesson 05."""

from __future__ import annotations

import numpy as np

from course_utils.checks.probability_and_losses import (
    _gaussian_nll_solution,
    _log_softmax,
    _logistic_gradient_solution,
    _padded_cross_entropy_solution,
    _poisson_loss_solution,
    _sigmoid,
)
from tests.checks.common import Case


def _stub(*args):
    return ...


# ---------------------------------------------------------------------------- Gaussian


_CONSTANT = 0.5 * np.log(2 * np.pi)


def _terms(y, y_hat, s, *, scale=None, log_s=1.0, constant=_CONSTANT):
    return (y - y_hat) ** 2 / (2 * s**2 if scale is None else scale(s)) + log_s * np.log(s) + constant


# ---------------------------------------------------------------------------- padding


def _padded(
    labels, logits, *, count=None, keep=False, sign=1, one=1, softmax_axis=1, divide=True, naive=False
):
    """A correct answer, spoilt in one place."""
    rows = np.arange(len(labels)) if keep else np.flatnonzero(labels >= 0)
    if naive:
        with np.errstate(all="ignore"):
            p = np.exp(logits - logits.max(axis=1, keepdims=True))
            log_p = np.log(p / p.sum(axis=1, keepdims=True))
    else:
        log_p = _log_softmax(logits, axis=softmax_axis)
    n = count or len(rows)
    gradient = np.zeros(logits.shape)
    gradient[rows] = np.exp(log_p[rows])
    gradient[rows, labels[rows]] -= one
    loss = -log_p[rows, labels[rows]].sum() / n
    return loss, sign * gradient / (n if divide else 1)


def _right_loss(labels, logits, gradient):
    return _padded_cross_entropy_solution(labels, logits)[0], gradient


def _not_zero_in_padding(labels, logits):
    loss, _ = _padded_cross_entropy_solution(labels, logits)
    p = np.exp(_log_softmax(logits))
    p[np.arange(len(labels)), labels] -= 1
    return loss, p / (labels >= 0).sum()


# ---------------------------------------------------------------------------- logistic regression


def _overflowing(X, labels, w, b):
    p = 1 / (1 + np.exp(-(X @ w + b)))
    return X.T @ (p - labels) / len(labels), (p - labels).mean()


def _logistic(grad_z, *, bias=True, divide=True):
    def answer(X, labels, w, b):
        g = grad_z(X @ w + (b if bias else 0), labels) / (len(labels) if divide else 1)
        return X.T @ g, g.sum()

    return answer


def _bias_summed(X, labels, w, b):
    grad_w, grad_b = _logistic_gradient_solution(X, labels, w, b)
    return grad_w, grad_b * len(labels)


# ---------------------------------------------------------------------------- counts


def _poisson(loss=None, gradient=None):
    def answer(y, z):
        right_loss, right_gradient = _poisson_loss_solution(y, z)
        return (
            loss(y, z) if loss else right_loss,
            gradient(y, z) if gradient else right_gradient,
        )

    return answer


_LOG_FACTORIAL = np.vectorize(lambda n: np.log(np.arange(1, n + 1)).sum(), otypes=[float])

CASES = {
    "gaussian_nll": Case(
        stub=_stub,
        wrong=[
            (lambda y, p, s: -_gaussian_nll_solution(y, p, s), "minus sign is missing"),
            (
                lambda y, p, s: _terms(y, p, s, scale=lambda s: 2 * s, log_s=0.5).mean(),
                "taken for the variance",
            ),
            (lambda y, p, s: _terms(y, p, s).sum(), "sum over the examples"),
            (lambda y, p, s: _terms(y, p, s, log_s=0.0).mean(), "log s is missing"),
            (lambda y, p, s: _terms(y, p, s, log_s=2.0).mean(), "log s²"),
            (lambda y, p, s: _terms(y, p, s, constant=0.0).mean(), "constant"),
            (lambda y, p, s: _terms(y, p, s, scale=lambda s: s**2).mean(), "divided by s² only"),
            (lambda y, p, s: _terms(y, p, s, scale=lambda s: 2 * s).mean(), "divided by 2s"),
            (lambda y, p, s: ((y - p) ** 2).mean(), "mean squared error alone"),
            (lambda y, p, s: np.exp(-_terms(y, p, s)).mean(), "logarithm is missing"),
            (lambda y, p, s: _terms(y, p, s), "one number"),
            (lambda y, p, s: None, "return"),
            (lambda y, p, s: 3.0, "should be"),
        ],
    ),
    "padded_cross_entropy": Case(
        stub=_stub,
        wrong=[
            (lambda y, z: _padded(y, z, keep=True), "last column"),
            (lambda y, z: _padded(y, z, count=9), "divided by all 9"),
            (lambda y, z: _padded(y, z, count=1), "sum over the examples"),
            (lambda y, z: (-_padded(y, z)[0], _padded(y, z)[1]), "sign is wrong"),
            (lambda y, z: _padded(y, z, softmax_axis=0), "axis 0"),
            (lambda y, z: _padded(y, z, divide=False), "without the division"),
            (lambda y, z: _padded(y, z, sign=-1), "sign is turned"),
            (lambda y, z: _padded(y, z, one=0), "softmax alone"),
            (lambda y, z: _right_loss(y, z, _padded(y, z, count=9)[1]), "divided by all 9 examples"),
            (_not_zero_in_padding, "padded row"),
            (lambda y, z: _padded(y, z, naive=True), "log-sum-exp"),
            (lambda y, z: _padded(y, z)[0], "it should return 2"),
            (lambda y, z: (_padded(y, z)[0], _padded(y, z)[1].sum(axis=1)), "shape (9, 5)"),
            (lambda y, z: None, "return"),
            (lambda y, z: (1.0, np.zeros(z.shape)), "should be"),
        ],
    ),
    "logistic_gradient": Case(
        stub=_stub,
        wrong=[
            (_logistic(lambda z, y: _sigmoid(z) - y, divide=False), "sum over the examples"),
            (_logistic(lambda z, y: y - _sigmoid(z)), "sign is turned"),
            (
                _logistic(lambda z, y: (_sigmoid(z) - y) * _sigmoid(z) * (1 - _sigmoid(z))),
                "extra factor",
            ),
            (_logistic(lambda z, y: z - y), "sigmoid is missing"),
            (_logistic(lambda z, y: _sigmoid(z) - y, bias=False), "b had no effect"),
            (_bias_summed, "grad_w is right"),
            (_overflowing, "overflowed"),
            (lambda X, y, w, b: _logistic_gradient_solution(X, y, w, b)[0], "it should return 2"),
            (
                lambda X, y, w, b: (_logistic_gradient_solution(X, y, w, b)[0][:, None], 0.0),
                "shape of w",
            ),
            (lambda X, y, w, b: (np.zeros(4), np.zeros(11)), "b is one number"),
            (lambda X, y, w, b: (np.zeros(4), 0.0), "should be"),
        ],
    ),
    "poisson_loss": Case(
        stub=_stub,
        wrong=[
            (_poisson(loss=lambda y, z: np.sum(np.exp(z) - y * z)), "sum over the examples"),
            (_poisson(loss=lambda y, z: -np.mean(np.exp(z) - y * z)), "log-likelihood"),
            (_poisson(loss=lambda y, z: np.mean(np.exp(z) - y * z + _LOG_FACTORIAL(y))), "log y!"),
            (_poisson(loss=lambda y, z: np.mean(z - y * np.log(np.abs(z)))), "taken for rates"),
            (_poisson(loss=lambda y, z: np.mean(-y * z)), "e^z"),
            (_poisson(loss=lambda y, z: np.mean((np.exp(z) - y) ** 2)), "squared error"),
            (_poisson(loss=lambda y, z: np.mean(np.exp(z) - y * np.exp(z))), "where log λ"),
            (_poisson(gradient=lambda y, z: np.exp(z) - y), "without the division"),
            (_poisson(gradient=lambda y, z: (y - np.exp(z)) / len(y)), "sign is turned"),
            (_poisson(gradient=lambda y, z: (1 - y / np.exp(z)) / len(y)), "with respect to λ"),
            (_poisson(gradient=lambda y, z: (z - y) / len(y)), "log-rate with the count"),
            (_poisson(loss=lambda y, z: 1.0), "each factor"),
            (lambda y, z: _poisson_loss_solution(y, z)[0], "it should return 2"),
        ],
    ),
}
