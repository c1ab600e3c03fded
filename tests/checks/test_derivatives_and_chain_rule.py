"""Right, untouched and wrong answers to the exercises of lesson 06."""

from __future__ import annotations

import numpy as np

from tests.checks.common import Case


def _stub(*args):
    return ...


def _e(x):
    return np.exp(-(x**2))


def _gradients(*, h=None, ahead=1.0, behind=1.0, scale=2.0, dtype=float, copy=True, restore=True, flat=False):
    """A solution of `numerical_gradients` with a fault."""

    def answer(f, params, step=1e-5):
        size = h or step
        if copy:
            params = [np.array(array, dtype=dtype) for array in params]
        out = []
        for array in params:
            gradient = np.zeros(array.shape, dtype=array.dtype)
            for place in np.ndindex(array.shape):
                here = array[place].copy()
                array[place] = here + ahead * size
                above = f(params)
                array[place] = here - behind * size
                below = f(params)
                if restore:
                    array[place] = here
                gradient[place] = (above - below) / (scale * size)
            out.append(gradient.ravel() if flat else gradient)
        return out

    return answer


def _first_only(f, params, h=1e-5):
    return _gradients()(f, params, h)[:1]


def _not_put_back(f, params, h=1e-5):
    return _gradients(restore=False, h=0.05)(f, params, h)


def _joined(f, params, h=1e-5):
    return np.concatenate([g.ravel() for g in _gradients()(f, params, h)])


def _later_wrong(f, params, h=1e-5):
    gradients = _gradients()(f, params, h)
    gradients[3] = gradients[3] + 1
    return gradients


def _shared(combine):
    """An answer from (error, slope of tanh 2, a1, w, slope of tanh 1, x)."""

    def answer(w, x, target):
        a1 = np.tanh(w * x)
        a2 = np.tanh(w * a1)
        return combine(a2 - target, 1 - a2**2, a1, w, 1 - a1**2, x)

    return answer


def _shared_by_difference(w, x, target):
    def loss(w):
        return 0.5 * (np.tanh(w * np.tanh(w * x)) - target) ** 2

    return (loss(w + 1e-6) - loss(w)) / 1e-6


def _row_sum(a):
    return a.sum(axis=1, keepdims=True)


def _changing(p, g):
    result = p * (g - _row_sum(g * p))
    g -= g
    return result


def _by_square_matrices(p, g):
    return np.stack([b @ (np.diag(a) - np.outer(a, a)) for a, b in zip(p, g, strict=True)])


CASES = {
    "slope": Case(
        stub=_stub,
        wrong=[
            (lambda x: -2 * x * _e(x), "two strips"),
            (lambda x: _e(x), "only f′g"),
            (lambda x: -2 * x**2 * _e(x), "only fg′"),
            (lambda x: _e(x) + x * _e(x), "has an inside"),
            (lambda x: _e(x) + 2 * x**2 * _e(x), "sign is lost"),
            (lambda x: _e(x) - 2 * x * _e(x), "factor x is missing"),
            (lambda x: _e(x) + x * np.exp(-2 * x), "taken at -2x"),
            (lambda x: x * _e(x), "f itself"),
            (lambda x: ((x + 1e-6) * _e(x + 1e-6) - x * _e(x)) / 1e-6, "difference quotient"),
            (lambda x: ((x + 1e-5) * _e(x + 1e-5) - (x - 1e-5) * _e(x - 1e-5)) / 2e-5, "difference quotient"),
            (lambda x: None, "return"),
            (lambda x: 0 * x, "should be -0.3689"),
        ],
    ),
    "numerical_gradients": Case(
        stub=_stub,
        wrong=[
            (_gradients(behind=0.0, scale=1.0), "forward difference"),
            (_gradients(ahead=0.0, scale=1.0), "backward difference"),
            (_gradients(scale=1.0), "twice as large"),
            (_gradients(ahead=-1.0, behind=-1.0), "wrong sign"),
            (_gradients(dtype=None), "array of integers"),
            (_gradients(copy=False, restore=False), "no longer the same"),
            (_gradients(flat=True), "shape of its array"),
            (_gradients(h=1e-5), "fixed inside"),
            (_first_only, "1 entries"),
            (_not_put_back, "at its own value"),
            (_later_wrong, "a later one is not"),
            (_gradients(restore=False), "put back before the next"),
            (_joined, "one array"),
            (lambda f, params, h=1e-5: None, "return"),
        ],
    ),
    "shared_weight_slope": Case(
        stub=_stub,
        wrong=[
            (_shared(lambda e, s2, a1, w, s1, x: e * s2 * a1), "path through the first tanh"),
            (_shared(lambda e, s2, a1, w, s1, x: e * s2 * w * s1 * x), "direct path is missing"),
            (_shared(lambda e, s2, a1, w, s1, x: e * s2 * a1 * w * s1 * x), "paths were multiplied"),
            (_shared(lambda e, s2, a1, w, s1, x: e * (a1 + w * s1 * x)), "slope of the second tanh"),
            (_shared(lambda e, s2, a1, w, s1, x: s2 * (a1 + w * s1 * x)), "slope of a2"),
            (_shared(lambda e, s2, a1, w, s1, x: e * s2 * (a1 + w * x)), "slope of the first tanh"),
            (_shared(lambda e, s2, a1, w, s1, x: e * s2 * (a1 + s1 * x)), "slope is w"),
            (_shared(lambda e, s2, a1, w, s1, x: e * s2 * (a1 + w * s1)), "by w is x"),
            (_shared(lambda e, s2, a1, w, s1, x: 2 * e * s2 * (a1 + w * s1 * x)), "twice too large"),
            (_shared(lambda e, s2, a1, w, s1, x: -e * s2 * (a1 + w * s1 * x)), "sign is turned"),
            (_shared_by_difference, "like a difference"),
            (lambda w, x, target: 1.0, "should be 0.4459"),
        ],
    ),
    "softmax_pullback": Case(
        stub=_stub,
        wrong=[
            (lambda p, g: g * p * (1 - p), "diagonal"),
            (lambda p, g: g * p, "second part"),
            (lambda p, g: p * (g - (g * p).sum(axis=0, keepdims=True)), "batch (axis 0)"),
            (lambda p, g: p * (g - (g * p).sum()), "whole batch"),
            (lambda p, g: p * (g - _row_sum(g)), "not over g alone"),
            (lambda p, g: g - _row_sum(g * p), "factor p in front"),
            (lambda p, g: p * (g - _row_sum(g * p) / p.shape[1]), "mean was taken"),
            (lambda p, g: p - g, "may be anything"),
            (lambda p, g: _row_sum(p * g), "shape (4, 1)"),
            (lambda p, g: p + g, "sums to"),
            (lambda p, g: 2 * p * (g - _row_sum(g * p)), "it should be"),
            (_changing, "changed one of the arrays"),
            (_by_square_matrices, "One sum per row"),
        ],
    ),
}
