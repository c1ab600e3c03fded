"""Right, untouched and wrong answers to the exercises of lesson 19."""

from __future__ import annotations

import numpy as np

from course_utils.checks.lstm_and_gru import _cell_backward_solution, _gru_variants, _latch_solution
from tests.checks.common import Case


def _stub(*args):
    return ...


def _gru(number):
    return lambda *arrays: _gru_variants(*arrays)[number][0]


def _back(total=None, **parts):
    """The carousel backwards with the sum at the cell state or single results replaced."""

    def backward(grad_h, grad_c, c_old, i, f, g, o):
        c = f * c_old + i * g
        results = list(_cell_backward_solution(grad_h, grad_c, c_old, i, f, g, o))
        if total is not None:
            t = total(grad_h, grad_c, o, c)
            results[0], results[1], results[2], results[4] = t * g, t * c_old, t * i, t * f
        for number, make in parts.items():
            k = int(number[1:])
            results[k] = make(results, grad_h, c, i, f)
        return tuple(results)

    return backward


def _latch(**changes):
    def latch():
        W, U, b = _latch_solution()
        for name, (index, value) in changes.items():
            {"W": W, "U": U, "b": b}[name][index] = value
        return W, U, b

    return latch


CASES = {
    "gru_step": Case(
        stub=_stub,
        wrong=[
            (_gru(0), "share that is kept"),
            (_gru(1), "reset before the product"),
            (_gru(2), "order is z, r, h"),
            (_gru(3), "no reset"),
            (_gru(4), "second bias outside"),
            (_gru(5), "candidate alone"),
            (_gru(6), "biases missing"),
            (lambda x, h, W, U, b: h @ U, "shape"),
        ],
    ),
    "cell_backward": Case(
        stub=_stub,
        wrong=[
            (_back(lambda gh, gc, o, c: gc), "through h is missing"),
            (_back(lambda gh, gc, o, c: gh * o * (1 - np.tanh(c) ** 2)), "grad_c is missing"),
            (_back(lambda gh, gc, o, c: gc + gh * o), "slope of the tanh"),
            (_back(lambda gh, gc, o, c: gc + gh * (1 - np.tanh(c) ** 2)), "output gate is missing"),
            (_back(lambda gh, gc, o, c: gc + gh * o * (1 - c**2)), "squared c itself"),
            (_back(_3=lambda r, gh, c, i, f: gh * c), "multiplies tanh(c)"),
            (_back(_0=lambda r, gh, c, i, f: r[0] * i * (1 - i)), "slopes of the sigmoids"),
            (_back(_0=lambda r, gh, c, i, f: r[2], _2=lambda r, gh, c, i, f: r[0] * 2), "grad_i"),
            (lambda *args: args[0], "single"),
        ],
    ),
    "forget_bias_for": Case(
        stub=_stub,
        wrong=[
            (lambda life: 0.5 ** (1 / np.asarray(life)), "whose bias is 0"),
            (
                lambda life: -np.log(0.5 ** (1 / np.asarray(life)) / (1 - 0.5 ** (1 / np.asarray(life)))),
                "sign",
            ),
            (lambda life: np.log(life), "half-life is exact"),
            (lambda life: np.asarray(life) - 1, "halves in"),
            (lambda life: np.ones_like(life), "whose bias is 0"),
        ],
    ),
    "latch": Case(
        stub=_stub,
        wrong=[
            (_latch(b=(0, 20.0)), "written too"),
            (_latch(W=((1, 0), 0.0)), "shut at the signal"),
            (_latch(W=((1, 1), 0.0)), "added to the old one"),
            (_latch(b=(1, 2.0)), "leaks"),
            (_latch(b=(3, 0.0)), "not shown"),
            (_latch(W=((0, 2), 0.3)), "instead of"),
            (lambda: np.zeros((2, 4)), "single"),
        ],
    ),
}
