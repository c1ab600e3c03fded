"""Right, untouched and wrong answers to the exercises of lesson 11."""

from __future__ import annotations

import numpy as np

from course_utils.checks import three_frameworks as module
from tests.checks.common import Case


def _stub(*args):
    return ...


def _tree(leaf):
    """A step that applies ``leaf(p, g, rate)`` to every array of a tree."""

    def step(params, gradients, rate):
        if isinstance(params, dict):
            return {key: step(params[key], gradients[key], rate) for key in params}
        if isinstance(params, (list, tuple)):
            return type(params)(step(p, g, rate) for p, g in zip(params, gradients, strict=True))
        return leaf(params, gradients, rate)

    return step


def _in_place(p, g, rate):
    p -= rate * g
    return p


def _lists_only(params, gradients, rate):
    if isinstance(params, dict):
        return {key: _lists_only(params[key], gradients[key], rate) for key in params}
    if isinstance(params, (list, tuple)):
        return [_lists_only(p, g, rate) for p, g in zip(params, gradients, strict=True)]
    return params - rate * gradients


def _flat(params, gradients, rate):
    return [
        p - rate * g for (_, p), (_, g) in zip(module._leaves(params), module._leaves(gradients), strict=True)
    ]


def _combine(weights):
    """Pieces combined with the given weights, a function of the sizes."""

    def combine(gradients, sizes):
        return [
            sum(w * a for w, a in zip(weights(sizes), arrays, strict=True))
            for arrays in zip(*gradients, strict=True)
        ]

    return combine


def _adding_in_place(gradients, sizes):
    total = list(gradients[0])
    for array in total:
        array *= sizes[0]
    for piece, size in zip(gradients[1:], sizes[1:], strict=True):
        for array, more in zip(total, piece, strict=True):
            array += size * more
    return [array / sum(sizes) for array in total]


def _changed(change):
    def answer(W, b, X, y):
        return change(*module._per_example_gradients_solution(W, b, X, y), X, y)

    return answer


def _by_position(params, gradients, rate):
    """Pairs the entries of dictionaries by their order instead of their keys."""
    if isinstance(params, dict):
        pairs = zip(params.items(), gradients.values(), strict=True)
        return {key: _by_position(p, g, rate) for (key, p), g in pairs}
    if isinstance(params, (list, tuple)):
        return type(params)(_by_position(p, g, rate) for p, g in zip(params, gradients, strict=True))
    return params - rate * gradients


def _scaling_the_gradient(p, g, rate):
    if isinstance(g, np.ndarray):
        g *= rate
        return p - g
    return p - rate * g


CASES = {
    "to_rows": Case(
        stub=_stub,
        wrong=[
            (lambda weights: [a.copy() for a in weights], "still (inputs, outputs)"),
            (lambda weights: [a.T for a in weights], "share memory"),
            (lambda weights: [a.reshape(a.shape[::-1]).copy() for a in weights], "wrong places"),
            (lambda weights: [np.atleast_2d(a).T.copy() for a in weights], "stays a vector"),
            (lambda weights: [a.T.copy() for a in weights if a.ndim == 2], "entries"),
            (lambda weights: weights[0], "list of arrays"),
        ],
    ),
    "functional_step": Case(
        stub=_stub,
        wrong=[
            (_tree(_in_place), "have changed"),
            (_tree(lambda p, g, rate: p + rate * g), "up the gradient"),
            (_tree(lambda p, g, rate: p - g), "no effect"),
            (_lists_only, "should be a tuple"),
            (_flat, "should be a dict"),
            (_tree(lambda p, g, rate: p * (1 - rate)), "it should be"),
            (_by_position, "by their keys"),
            (_tree(_scaling_the_gradient), "gradients that were passed in"),
        ],
    ),
    "whole_batch_gradient": Case(
        stub=_stub,
        wrong=[
            (_combine(lambda sizes: [1.0] * len(sizes)), "PyTorch's .grad"),
            (_combine(lambda sizes: [1 / len(sizes)] * len(sizes)), "plain mean"),
            (_combine(lambda sizes: sizes), "sum over examples"),
            (_combine(lambda sizes: [1.0] + [0.0] * (len(sizes) - 1)), "it should be"),
            (_adding_in_place, "changed the gradients"),
            (lambda gradients, sizes: gradients[0][0], "list of arrays"),
        ],
    ),
    "per_example_gradients": Case(
        stub=lambda *args: (..., ...),
        wrong=[
            (_changed(lambda gW, gb, X, y: (gW.sum(axis=0), gb.sum(axis=0))), "were added up"),
            (_changed(lambda gW, gb, X, y: (gW / len(X), gb / len(X))), "divided by m"),
            (_changed(lambda gW, gb, X, y: (-gW, -gb)), "turned round"),
            (_changed(lambda gW, gb, X, y: (gW, gb + np.eye(gb.shape[1])[y])), "1 has to be subtracted"),
            (_changed(lambda gW, gb, X, y: (gW.swapaxes(1, 2), gb)), "it should be"),
            (_changed(lambda gW, gb, X, y: (gW[::-1], gb)), "gradients of W"),
        ],
    ),
}
