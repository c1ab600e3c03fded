"""Right, untouched and wrong answers to the exercises of lesson 16."""

from __future__ import annotations

import math

import numpy as np

from course_utils.checks.resnet_densenet_efficientnet import _dense_block_weights_solution, _dense_wrong
from tests.checks.common import Case


def _stub(*args):
    return ...


def _cost(ordinary=None, separable=None):
    """The two counts, with one of them replaced by a function of (places, channels, filters, kernel)."""
    ordinary = ordinary or (lambda p, c, f, k: p * k * k * c * f)
    separable = separable or (lambda p, c, f, k: p * (k * k * c + c * f))
    return lambda h, w, c, f, k: (ordinary(h * w, c, f, k), separable(h * w, c, f, k))


def _dense(number):
    return lambda channels, growth, depth: _dense_wrong(channels, growth, depth)[number][0]


def _backward(change):
    """The right gradients, with one of them replaced by what `change` computes from the parts."""

    def backward(grad_Y, X, W1, W2):
        A0 = np.maximum(X, 0)
        Z1 = A0 @ W1
        grad_A1 = grad_Y @ W2.T
        grad_Z1 = grad_A1 * (Z1 > 0)
        parts = {
            "grad_X": grad_Y + (grad_Z1 @ W1.T) * (X > 0),
            "grad_W1": A0.T @ grad_Z1,
            "grad_W2": np.maximum(Z1, 0).T @ grad_Y,
        }
        have = dict(g=grad_Y, X=X, W1=W1, A0=A0, Z1=Z1, grad_A1=grad_A1, grad_Z1=grad_Z1)
        parts.update({name: f(have) for name, f in change.items()})
        return tuple(parts.values())

    return backward


def _branch(p):
    return (p["grad_Z1"] @ p["W1"].T) * (p["X"] > 0)


def _in_place(grad_Y, X, W1, W2):
    X *= X > 0
    return grad_Y, W1, W2


def _shares(f):
    """Shares from a function of (n, gain, lengths, numbers of paths)."""

    def shares(blocks, gain):
        k = np.arange(blocks + 1)
        counts = np.array([float(math.comb(blocks, int(i))) for i in k])
        return f(blocks, gain, k, counts)

    return shares


def _overflowing(blocks, gain):
    with np.errstate(all="ignore"):
        contributions = np.array([math.comb(blocks, k) * np.float64(gain) ** k for k in range(blocks + 1)])
        return (
            contributions
            / np.exp(np.float64(10.0 * blocks))
            * np.exp(np.float64(10.0 * blocks))
            / np.sum(contributions)
        )


CASES = {
    "separable_cost": Case(
        stub=_stub,
        wrong=[
            (lambda *args: _cost()(*args)[::-1], "wrong order"),
            (lambda *args: tuple(2 * n for n in _cost()(*args)), "both together"),
            (lambda h, w, c, f, k: _cost()(1, 1, c, f, k), "every place"),
            (_cost(ordinary=lambda p, c, f, k: p * k * c * f), "not kernel"),
            (_cost(ordinary=lambda p, c, f, k: p * k * k * f), "channels are missing"),
            (_cost(ordinary=lambda p, c, f, k: p * k * k * c), "one filter"),
            (_cost(separable=lambda p, c, f, k: p * k * k * c), "1 x 1 convolution is missing"),
            (_cost(separable=lambda p, c, f, k: p * c * f), "depthwise one is missing"),
            (_cost(separable=lambda p, c, f, k: p * (k * k * f + c * f)), "for each input channel"),
            (_cost(separable=lambda p, c, f, k: p * k * k * c * c * f), "multiplied them"),
            (_cost(separable=lambda p, c, f, k: p * (k * k * c + k * k * c * f)), "no kernel²"),
            (_cost(separable=lambda p, c, f, k: p * (k * k * c * c + c * f)), "own channel only"),
            (_cost(separable=lambda p, c, f, k: p * k * k * (c + f)), "no window"),
            (lambda *args: _cost()(*args)[0], "it should return 2"),
        ],
    ),
    "dense_block_weights": Case(
        stub=_stub,
        wrong=[
            (_dense(0), "without bottlenecks"),
            (_dense(1), "same number of input channels"),
            (_dense(2), "its own output"),
            (_dense(3), "4g output channels"),
            (_dense(4), "first convolution is 1 x 1"),
            (_dense(5), "9 places are missing"),
            (_dense(6), "given g output"),
            (_dense(7), "own channels are in the output"),
            (_dense(8), "not the last layer alone"),
            (_dense(9), "appends g channels"),
            (lambda *args: _dense_block_weights_solution(*args)[::-1], "wrong order"),
            (lambda *args: _dense_block_weights_solution(*args)[0], "it should return 2"),
            (lambda *args: None, "return"),
        ],
    ),
    "preactivation_backward": Case(
        stub=_stub,
        wrong=[
            (_backward({"grad_X": _branch}), "branch's part only"),
            (_backward({"grad_X": lambda p: p["g"]}), "skip's part only"),
            (_backward({"grad_X": lambda p: p["g"] + p["grad_Z1"] @ p["W1"].T}), "did not pass the first"),
            (
                _backward({"grad_X": lambda p: (p["g"] + p["grad_Z1"] @ p["W1"].T) * (p["X"] > 0)}),
                "on the skip",
            ),
            (_backward({"grad_X": lambda p: p["X"] + _branch(p)}), "not the input X"),
            (_backward({"grad_X": lambda p: p["g"] - _branch(p)}), "subtracted"),
            (_backward({"grad_X": lambda p: p["g"] * _branch(p)}), "multiplied"),
            (_backward({"grad_W1": lambda p: p["X"].T @ p["grad_Z1"]}), "grad_W1 uses X"),
            (_backward({"grad_W1": lambda p: p["A0"].T @ p["grad_A1"]}), "between the layers is missing"),
            (_backward({"grad_W1": lambda p: p["A0"].T @ p["grad_Z1"] / len(p["X"])}), "number of examples"),
            (_backward({"grad_W2": lambda p: p["Z1"].T @ p["g"]}), "uses Z1"),
            (
                _backward({"grad_W2": lambda p: np.maximum(p["X"] @ p["W1"], 0).T @ p["g"]}),
                "without its ReLU",
            ),
            (_in_place, "changed the arrays"),
            (lambda *args: _backward({})(*args)[0], "it should return 3"),
        ],
    ),
    "path_shares": Case(
        stub=_stub,
        wrong=[
            (_shares(lambda n, a, k, counts: counts / 2.0**n), "count the paths"),
            (_shares(lambda n, a, k, counts: counts), "not their shares"),
            (_shares(lambda n, a, k, counts: counts * a**k), "you return the contributions"),
            (_shares(lambda n, a, k, counts: counts * a**k / 2.0**n), "Paths weigh differently"),
            (_shares(lambda n, a, k, counts: a**k / np.sum(a**k)), "one path of each length"),
            (_shares(lambda n, a, k, counts: (counts * a**k / (1 + a) ** n)[::-1]), "reversed"),
            (_shares(lambda n, a, k, counts: np.cumsum(counts * a**k / (1 + a) ** n)), "running sums"),
            (_shares(lambda n, a, k, counts: counts * a**k / (1 + a) ** n / 3), "sum to"),
            (_shares(lambda n, a, k, counts: (counts * a**k)[1:]), "shape"),
            (_overflowing, "overflowed"),
        ],
    ),
}
