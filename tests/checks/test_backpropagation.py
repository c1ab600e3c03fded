"""Right, untouched and wrong answers to the exercises of lesson 07."""

from __future__ import annotations

import numpy as np

from course_utils.checks.backpropagation import _regression_backward, _sigmoid
from tests.checks.common import Case


def _stub(*args):
    return ...


def _half_stub(*args):
    return ..., ..., ...


def _dense(grad_Z, X, W):
    return grad_Z @ W.T, X.T @ grad_Z, grad_Z.sum(axis=0)


def _dense_with(**changed):
    """The right answer with one of the three results replaced by a function of the same arguments."""

    def answer(grad_Z, X, W):
        right = dict(zip(("grad_X", "grad_W", "grad_b"), _dense(grad_Z, X, W), strict=True))
        return tuple(changed[k](grad_Z, X, W) if k in changed else v for k, v in right.items())

    return answer


def _where_square(wrong, right):
    return lambda g, X, W: wrong(g, X, W) if W.shape[0] == W.shape[1] else right(g, X, W)


def _regression(**options):
    return lambda X, y, params: _regression_backward(X, y, params, **options)


def _changing(X, y, params):
    grads = _regression_backward(X, y, params)
    for array, grad in zip(params, grads, strict=True):
        array -= 0.1 * grad
    return grads


def _shared(skip=True, through=True, first=True, second=True, slope=True, transpose=False, mean=False):
    def answer(grad_Y, X, W, b):
        H = np.tanh(X @ W + b)
        grad_Z = grad_Y @ W * ((1 - H**2) if slope else 1)
        part = grad_Y.T @ H
        if transpose and W.shape[0] == W.shape[1]:
            part = part.T
        grad_W = (X.T @ grad_Z if first else 0) + (part if second else 0)
        grad_X = (grad_Y if skip else 0) + (grad_Z @ W.T if through else 0)
        return grad_X, grad_W / (len(X) if mean else 1), grad_Z.sum(axis=0)

    return answer


CASES = {
    "sigmoid_backward": Case(
        stub=_stub,
        wrong=[
            (lambda g, A: A * (1 - A), "slope alone"),
            (lambda g, A: g * _sigmoid(A) * (1 - _sigmoid(A)), "sigmoid once more"),
            (lambda g, A: g * A, "factor (1 - A)"),
            (lambda g, A: g * (1 - A**2), "slope of tanh"),
            (lambda g, A: g, "came back unchanged"),
            (lambda g, A: g * A * (1 - A) / len(A), "divided by the batch size"),
            (lambda g, A: g @ (A * (1 - A)) if g.shape[0] == g.shape[1] else g, "matrix product"),
            (lambda g, A: (g * A * (1 - A)).sum(axis=0), "shape of its array"),
            (lambda g, A: -g * A * (1 - A), "central differences"),
            (lambda g, A: None, "return"),
        ],
    ),
    "dense_backward": Case(
        stub=_stub,
        wrong=[
            (lambda g, X, W: (X.T @ g, g @ W.T, g.sum(axis=0)), "wrong order"),
            (_dense_with(grad_W=lambda g, X, W: X.T @ g / len(X)), "divided by the batch size"),
            (_dense_with(grad_b=lambda g, X, W: g.mean(axis=0)), "divided by the batch size"),
            (
                _dense_with(grad_X=_where_square(lambda g, X, W: g @ W, lambda g, X, W: g @ W.T)),
                "without the transpose",
            ),
            (_dense_with(grad_W=lambda g, X, W: g.T @ X), "grad_W is transposed"),
            (_dense_with(grad_b=lambda g, X, W: g), "one row per example"),
            (_dense_with(grad_b=lambda g, X, W: g.sum()), "one number"),
            (_dense_with(grad_b=lambda g, X, W: g.sum(axis=1)), "over the units (axis 1)"),
            (_dense_with(grad_b=lambda g, X, W: g.sum(axis=0, keepdims=True)), "but b has shape"),
            (_dense_with(grad_X=lambda g, X, W: -(g @ W.T)), "central differences"),
            (lambda g, X, W: (g @ W.T, X.T @ g), "2 results"),
            (lambda g, X, W: X.T @ g, "in this order"),
            (lambda g, X, W: None, "None"),
        ],
    ),
    "repaired_backward": Case(
        stub=_stub,
        wrong=[
            (_regression(mean=False, slope="at A", bias=False), "all three mistakes"),
            (_regression(mean=False), "times too large"),
            (_regression(slope="at A"), "look at the bend"),
            (_regression(bias=False), "column sums"),
            (_regression(slope="none"), "without any slope"),
            (_regression(slope="at A", bias=False), "look at the bend"),
            (_regression(two=False), "factor 2"),
            (_changing, "changed the parameters"),
            (lambda X, y, params: _regression_backward(X, y, params)[::-1], "shape of its array"),
            (lambda X, y, params: _regression_backward(X, y, params)[:2], "2 results"),
            (
                lambda X, y, params: (*_regression_backward(X, y, params)[:3], np.zeros(1)),
                "central differences",
            ),
        ],
    ),
    "shared_backward": Case(
        stub=_half_stub,
        wrong=[
            (_shared(slope=False), "without its slope"),
            (_shared(second=False), "X @ W only"),
            (_shared(first=False), "H @ W.T only"),
            (_shared(skip=False), "straight into Y"),
            (_shared(through=False), "past the layer"),
            (_shared(mean=True), "divided by the batch size"),
            (_shared(transpose=True), "second part of grad_W is transposed"),
            (lambda g, X, W, b: (*_shared()(g, X, W, b)[:2], np.zeros(len(b))), "central differences"),
            (lambda g, X, W, b: g, "in this order"),
        ],
    ),
}
