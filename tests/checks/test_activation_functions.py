"""Right, untouched and wrong answers to the exercises of lesson 03."""

from __future__ import annotations

import numpy as np

from course_utils.checks.activation_functions import (
    _LOWEST,
    _count_dead_solution,
    _silu_reference,
    _softmax,
    _softmax_backward_solution,
)
from tests.checks.common import Case


def _stub(*args):
    return ...


def _stub_two(*args):
    return ..., ...


def _elu(values=None, slopes=None):
    """An ELU with one of its two left branches replaced."""

    def wrong(z, alpha):
        e = np.exp(np.minimum(z, 0))
        left_values = alpha * (e - 1) if values is None else values(z, e, alpha)
        left_slopes = alpha * e if slopes is None else slopes(z, e, alpha)
        return np.where(z > 0, z, left_values), np.where(z > 0, 1.0, left_slopes)

    return wrong


def _overflowing_elu(z, alpha):
    return np.where(z > 0, z, alpha * (np.exp(z) - 1)), np.where(z > 0, 1.0, alpha * np.exp(z))


def _in_place_elu(z, alpha):
    z[z <= 0] = alpha * (np.exp(z[z <= 0]) - 1)
    return z, np.where(z > 0, 1.0, z + alpha)


def _backward(formula, axis_of=lambda axis: axis):
    def wrong(logits, g, axis):
        axis = axis_of(axis)
        return formula(_softmax(logits, axis), g, axis)

    return wrong


def _overflowing_backward(logits, g, axis):
    e = np.exp(logits)
    p = e / e.sum(axis=axis, keepdims=True)
    return p * (g - (g * p).sum(axis=axis, keepdims=True))


def _last_axis(logits, g, axis):
    return _softmax_backward_solution(logits, g, -1)


def _count(dead, bend=True, bias=True):
    def wrong(X, layers):
        counts = []
        for W, b in layers:
            z = X @ W + (b if bias else 0)
            counts.append(int(np.sum(dead(z))))
            X = np.maximum(z, 0) if bend else z
        return counts

    return wrong


def _all_off(z):
    return (z <= 0).all(axis=0)


def _naive_silu(z):
    s = np.exp(z) / (1 + np.exp(z))
    return z * s, s + z * s * (1 - s)


def _silu_with(slopes=None, values=None):
    def wrong(z):
        s = 1 / (1 + np.exp(-np.clip(z, -500, 500)))
        right = _silu_reference(z)
        return (
            right[0] if values is None else values(z, s),
            right[1] if slopes is None else slopes(z, s),
        )

    return wrong


CASES = {
    "elu_with_slope": Case(
        stub=_stub_two,
        wrong=[
            (_elu(values=lambda z, e, a: e - 1), "alpha is not used"),
            (_elu(values=lambda z, e, a: a * e), "curve jumps"),
            (_elu(values=lambda z, e, a: a * e - 1), "whole bracket"),
            (_elu(values=lambda z, e, a: a * z), "leaky"),
            (_elu(slopes=lambda z, e, a: e), "factor alpha stays"),
            (_elu(slopes=lambda z, e, a: a * (e - 1) + 1), "values + alpha"),
            (_elu(slopes=lambda z, e, a: a * (e - 1)), "drops out"),
            (_elu(slopes=lambda z, e, a: np.where(z < 0, a * e, 1)), "from the left"),
            (
                lambda z, a: (_elu()(z, a)[0], np.where(z > 0, z, a * np.exp(np.minimum(z, 0)))),
                "slope of z is 1",
            ),
            (lambda z, a: _elu()(z, a)[::-1], "exchanged"),
            (lambda z, a: _elu()(z, a)[0], "two arrays"),
            (_overflowing_elu, "both branches"),
            (_in_place_elu, "changed the array"),
        ],
    ),
    "softmax_backward": Case(
        stub=_stub,
        wrong=[
            (_backward(lambda p, g, axis: g * p * (1 - p)), "diagonal of the jacobian alone"),
            (_backward(lambda p, g, axis: g * p), "sum over the other classes is missing"),
            (_backward(lambda p, g, axis: p), "probabilities themselves"),
            (_backward(lambda p, g, axis: g - (g * p).sum(axis=axis, keepdims=True)), "factor p"),
            (_backward(lambda p, g, axis: p * (g - g.sum(axis=axis, keepdims=True))), "weighted"),
            (_backward(lambda p, g, axis: p * (g - (g * p).sum())), "whole array"),
            (_backward(lambda p, g, axis: p * ((g * p).sum(axis=axis, keepdims=True) - g)), "sign"),
            (_last_axis, "axis 1"),
            (_overflowing_backward, "largest logit"),
            (_backward(lambda p, g, axis: p + g), "sum to"),
            (_backward(lambda p, g, axis: g - g.mean(axis=axis, keepdims=True)), "it should be"),
        ],
    ),
    "count_dead": Case(
        stub=_stub,
        wrong=[
            (_count(lambda z: (z <= 0).all(axis=1)), "axis 0"),
            (_count(lambda z: (z <= 0).any(axis=0)), "off for some example"),
            (_count(lambda z: z <= 0), "every pair"),
            (_count(lambda z: z[0] <= 0), "first example only"),
            (_count(lambda z: (z < 0).all(axis=0)), "exactly 0"),
            (_count(lambda z: z.mean(axis=0) <= 0), "mean of z"),
            (_count(lambda z: (z > 0).all(axis=0)), "opposite"),
            (_count(_all_off, bias=False), "biases"),
            (_count(_all_off, bend=False), "relu(z)"),
            (
                lambda X, layers: [
                    c / len(b) for c, (_, b) in zip(_count_dead_solution(X, layers), layers, strict=True)
                ],
                "shares",
            ),
            (
                lambda X, layers: [
                    len(b) - c for c, (_, b) in zip(_count_dead_solution(X, layers), layers, strict=True)
                ],
                "alive",
            ),
            (lambda X, layers: sum(_count_dead_solution(X, layers)), "one number for each"),
            (lambda X, layers: [7 for _ in layers], "it should be"),
        ],
    ),
    "silu": Case(
        star=True,
        stub=(_stub_two, ...),
        wrong=[
            ((_silu_with(values=lambda z, s: z + s), _LOWEST), "multiplies the two"),
            ((_silu_with(values=lambda z, s: s), _LOWEST), "sigmoid's"),
            ((_silu_with(slopes=lambda z, s: s * (1 - s)), _LOWEST), "product rule"),
            ((_silu_with(slopes=lambda z, s: z * s * (1 - s)), _LOWEST), "first, 1 times"),
            ((_silu_with(slopes=lambda z, s: s), _LOWEST), "second, z times"),
            ((_naive_silu, _LOWEST), "overflowed"),
            ((_silu_reference, -0.2784645), "the task asks where"),
            ((_silu_reference, -1.28), "six decimals"),
            ((_silu_reference, 0.0), "not 0"),
            ((lambda z: _silu_reference(z)[0], _LOWEST), "two arrays"),
        ],
    ),
}
