"""Right, untouched and wrong answers to the exercises of lesson 04."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from course_utils.checks.multilayer_perceptron import _logits, _relu, _softmax
from tests.checks.common import Case


def _stub(*args):
    return ...


def _pairs(sizes):
    return list(pairwise(sizes))


def _predict(final=_softmax, **options):
    return lambda X, weights, activation: final(_logits(X, weights, activation, **options))


def _overflowing(X, weights, activation):
    with np.errstate(all="ignore"):
        e = np.exp(_logits(X, weights, activation))
        return e / e.sum(axis=1, keepdims=True)


def _emptying(X, weights, activation):
    result = _softmax(_logits(X, weights, activation))
    weights.clear()
    return result


def _array(*rows):
    return np.array(rows, dtype=float)


_ZERO = np.zeros(2)
_ONES = np.ones((2, 2))


def _two_layers(columns, out):
    """A maximum network from the columns of W1 and the output weights."""
    W1 = np.array(columns, dtype=float).T
    return lambda: [(W1, np.zeros(len(columns))), (np.array(out, dtype=float)[:, None], np.zeros(1))]


CASES = {
    "count_parameters": Case(
        stub=_stub,
        wrong=[
            (lambda sizes: sum(n * k for n, k in _pairs(sizes)), "biases are missing"),
            (lambda sizes: sum(n * k for n, k in _pairs(sizes)) + sum(sizes), "inputs are not units"),
            (lambda sizes: sum(n * (k + 1) for n, k in _pairs(sizes)), "bias was counted for every input"),
            (lambda sizes: sum(n * k + 1 for n, k in _pairs(sizes)), "one bias per layer"),
            (lambda sizes: sum(sizes), "number of units"),
            (lambda sizes: sum((n + 1) * k for n, k in _pairs(sizes)[:-1]), "last layer is missing"),
            (lambda sizes: sum((n + 1) * k for n, k in _pairs(sizes)[:3]), "any length"),
            (lambda sizes: None, "return"),
            (lambda sizes: 12, "should be 20"),
        ],
    ),
    "predict_probabilities": Case(
        stub=_stub,
        wrong=[
            (_predict(final=lambda z: z), "rows are the logits"),
            (_predict(final=lambda z: _softmax(z, axis=0)), "over the batch (axis 0)"),
            (_predict(final=lambda z: 1 / (1 + np.exp(-z))), "sigmoid by itself"),
            (_predict(bend_output=True), "activation was applied to the output layer"),
            (_predict(bias=False), "biases had no effect"),
            (_predict(bend_hidden=False), "one linear layer"),
            (lambda X, weights, activation: _softmax(_logits(X, weights, _relu)), "ReLU was used"),
            (
                lambda X, w, a: _softmax(_logits(X, w, a, transpose=w[0].shape[0] == w[0].shape[1])),
                "weights were transposed",
            ),
            (_overflowing, "largest logit"),
            (_emptying, "changed the list"),
            (lambda X, weights, activation: _predict()(X, weights, activation).argmax(axis=1), "shape (9,)"),
            (lambda X, weights, activation: 0.5 * _predict()(X, weights, activation), "sum to 1"),
        ],
    ),
    "xor_with_relu": Case(
        star=True,
        stub=(..., ..., ..., ...),
        wrong=[
            ((_ONES, _array(-0.5, -1.5), _array([1], [-1]), _array(-0.5)), "with step units"),
            ((_ONES, _array(1, 1), _array([1], [-1]), np.zeros(1)), "on at all four corners"),
            ((_ONES, _array(-0.5, -0.5), _array([1], [0.5]), np.zeros(1)), "hidden units are the same"),
            ((_ONES, _array(0, -1), _array([-1], [2]), np.ones(1)), "opposite of XOR"),
            ((_ONES, _array(0, -1), _array([1], [0]), np.zeros(1)), "this is OR"),
            ((_ONES, _array(0, -1), _array([0.5], [-1]), np.zeros(1)), "neither side"),
            ((_ONES, _array(0, -1), _array(1, -2), np.zeros(1)), "shape (2, 1)"),
            ((_array([1, -1], [-1, 1]), _ZERO, _array([1], [0]), np.zeros(1)), "wrong side of 0.5"),
        ],
    ),
    "maximum_network": Case(
        stub=_stub,
        wrong=[
            (_two_layers([[1, -1], [0, 1]], [1, 1]), "right wherever b is not negative"),
            (_two_layers([[-1, 1], [1, 0]], [1, 1]), "right wherever a is not negative"),
            (_two_layers([[-1, 1], [0, 1], [0, -1]], [-1, 1, -1]), "sign of the difference"),
            (_two_layers([[1, -1], [-1, 1]], [1, 1]), "distance"),
            (lambda: [(_array([0.5], [0.5]), np.zeros(1))], "crease"),
            (lambda: [(np.ones((3, 2)), np.zeros(2)), (np.ones((2, 1)), np.zeros(1))], "transposed"),
            (lambda: [(np.ones((2, 3)), np.zeros(2)), (np.ones((3, 1)), np.zeros(1))], "b of layer 1"),
            (lambda: [np.ones((2, 3)), np.ones((3, 1))], "pair (W, b)"),
            (_two_layers([[1, 0], [0, 1]], [1, 1]), "test rows are wrong"),
            (lambda: np.maximum, "list of pairs"),
        ],
    ),
}
