"""Right, untouched and wrong answers to the exercises of lesson 08."""

from __future__ import annotations

import math

import numpy as np

from course_utils.checks.autodiff import _checkpointed_gradient_solution, _unbroadcast
from tests.checks.common import Case


def _stub(*args):
    return ...


def _sigmoid(x):
    return 0.5 * (1 + np.tanh(x / 2))


def _sigmoid_answer(slope):
    """A wrong pullback from (g, x, y)."""
    return lambda x: (_sigmoid(x), lambda g: slope(g, x, _sigmoid(x)))


def _overflowing(x):
    with np.errstate(all="ignore"):
        y = np.exp(x) / (1 + np.exp(x))
    return y, lambda g: g * y * (1 - y)


def _divide(pull_x=None, pull_y=None):
    """Division whose gradients, before and after summing back, may be replaced."""

    def answer(x, y):
        first = pull_x or (lambda g, x, y: _unbroadcast(g / y, x.shape))
        second = pull_y or (lambda g, x, y: _unbroadcast(-g * x / y**2, y.shape))
        return x / y, lambda g: first(g, x, y), lambda g: second(g, x, y)

    return answer


def _averaging(g, x, y):
    full = -g * x / y**2
    summed = _unbroadcast(full, y.shape)
    return summed * summed.size / full.size


def _without_keepdims(g, x, y):
    full = -g * x / y**2
    summed = _unbroadcast(full, y.shape)
    return summed if full.shape == y.shape else summed.squeeze()


class DualStub:
    def __init__(self, value, slope=0.0):
        self.value, self.slope = value, slope

    def __add__(self, other):
        return ...

    def __mul__(self, other):
        return ...

    def tanh(self):
        return ...


def _dual(**replaced):
    """A Dual class with some methods replaced by functions of (self, other) that return (value, slope)."""

    class Dual:
        def __init__(self, value, slope=0.0):
            self.value, self.slope = value, slope

        def __add__(self, other):
            other = other if isinstance(other, Dual) else Dual(other)
            return Dual(self.value + other.value, self.slope + other.slope)

        def __mul__(self, other):
            other = other if isinstance(other, Dual) else Dual(other)
            return Dual(self.value * other.value, self.slope * other.value + self.value * other.slope)

        def tanh(self):
            t = math.tanh(self.value)
            return Dual(t, (1 - t**2) * self.slope)

    for name, method in replaced.items():
        setattr(Dual, name, lambda self, *other, m=method: Dual(*m(self, *other)))
    return Dual


def _unfinished():
    dual = _dual()
    dual.__mul__ = lambda self, other: ...
    return dual


def _numbers_only():
    dual = _dual()
    dual.__add__ = lambda self, other: self.value + getattr(other, "value", other)
    return dual


def _keeps_everything(x, steps, every, g):
    values = [x]
    for f, _ in steps:
        values.append(f(values[-1]))
    for (_, pullback), v in zip(reversed(steps), reversed(values[:-1]), strict=True):
        g = pullback(v, g)
    return g


def _from_the_start(x, steps, every, g):
    for i in reversed(range(len(steps))):
        v = x
        for f, _ in steps[:i]:
            v = f(v)
        g = steps[i][1](v, g)
    return g


def _at_outputs(x, steps, every, g):
    values = [x]
    for f, _ in steps:
        values.append(f(values[-1]))
    for (_, pullback), v in zip(reversed(steps), reversed(values[1:]), strict=True):
        g = pullback(v, g)
    return g


def _forwards(x, steps, every, g):
    v = x
    for f, pullback in steps:
        g, v = pullback(v, g), f(v)
    return g


def _forgets_the_rest(x, steps, every, g):
    return _checkpointed_gradient_solution(x, steps[: len(steps) // every * every or None], every, g)


def _only_forward(x, steps, every, g):
    for f, _ in steps:
        x = f(x)
    return g


def _forward_within_stretches(x, steps, every, g):
    inputs, v = [], x
    for f, _ in steps:
        inputs.append(v)
        v = f(v)
    for first in reversed(range(0, len(steps), every)):
        for i in range(first, min(first + every, len(steps))):
            g = steps[i][1](inputs[i], g)
    return g


def _adding_in_place(a, b):
    if hasattr(b, "value"):
        a.value, a.slope = a.value + b.value, a.slope + b.slope
        return a.value, a.slope
    return a.value + b, a.slope


def _keeps_copies(x, steps, every, g):
    kept = []
    for f, _ in steps:
        kept.append(np.array(x))  # of these the chain knows nothing
        x = f(x)
    for (_, pullback), v in zip(reversed(steps), reversed(kept), strict=True):
        g = pullback(v, g)
    return g


CASES = {
    "sigmoid_with_pullback": Case(
        stub=_stub,
        wrong=[
            (_sigmoid_answer(lambda g, x, y: y * (1 - y)), "ignores g"),
            (_sigmoid_answer(lambda g, x, y: g * x * (1 - x)), "not the input"),
            (_sigmoid_answer(lambda g, x, y: g + y * (1 - y)), "chain rule multiplies"),
            (_sigmoid_answer(lambda g, x, y: g * (1 - y**2)), "slope of tanh"),
            (_sigmoid_answer(lambda g, x, y: -g * y * (1 - y)), "wrong sign"),
            (_sigmoid_answer(lambda g, x, y: g * y), "times 1 - σ"),
            (_sigmoid_answer(lambda g, x, y: np.sum(g * y * (1 - y))), "x's shape"),
            (lambda x: (np.tanh(x), lambda g: g), "tanh(x)"),
            (lambda x: (_sigmoid(x), _sigmoid(x) * (1 - _sigmoid(x))), "pullback is a function"),
            (lambda x: (_sigmoid(x), ...), "still `...`"),
            (_sigmoid, "a pair"),
            (_overflowing, "infinity"),
            (
                lambda x: (_sigmoid(x), lambda g: np.multiply(g, _sigmoid(x) * (1 - _sigmoid(x)), out=g)),
                "return a new",
            ),
            (lambda x: None, "`return`"),
        ],
    ),
    "divide_with_pullbacks": Case(
        stub=_stub,
        wrong=[
            (_divide(pull_y=lambda g, x, y: -g * x / y**2), "sum the gradients of the copies"),
            (_divide(pull_y=_averaging), "averaged"),
            (_divide(pull_y=_without_keepdims), "keepdims"),
            (_divide(pull_y=lambda g, x, y: _unbroadcast(g * x / y**2, y.shape)), "wrong sign"),
            (_divide(pull_y=lambda g, x, y: _unbroadcast(-g * x / y, y.shape)), "divided by y once"),
            (_divide(pull_y=lambda g, x, y: _unbroadcast(-g / y**2, y.shape)), "lacks the factor x"),
            (_divide(pull_x=lambda g, x, y: _unbroadcast(g * y, x.shape)), "multiplied by y"),
            (_divide(pull_x=lambda g, x, y: _unbroadcast(g, x.shape)), "is g itself"),
            (_divide(pull_x=lambda g, x, y: _unbroadcast(1 / y + 0 * g, x.shape)), "ignores the arriving"),
            (lambda x, y: (_divide()(x, y)[i] for i in (0, 2, 1)), "generator"),
            (lambda x, y: tuple(_divide()(x, y)[i] for i in (0, 2, 1)), "exchanged"),
            (lambda x, y: (x * y, *_divide()(x, y)[1:]), "The value"),
        ],
    ),
    "dual_numbers": Case(
        stub=DualStub,
        wrong=[
            (
                _dual(__mul__=lambda a, b: (a.value * b.value, a.slope * b.slope)),
                "product of the two slopes",
            ),
            (_dual(__mul__=lambda a, b: (a.value * b.value, a.slope * b.value)), "Both factors move"),
            (_dual(tanh=lambda a: (math.tanh(a.value), 1 - math.tanh(a.value) ** 2)), "argument moves too"),
            (_dual(tanh=lambda a: (math.tanh(a.value), (1 - a.value**2) * a.slope)), "not its argument"),
            (_dual(__add__=lambda a, b: (a.value + b.value, a.slope + b.slope)), "plain number"),
            (_dual(__add__=lambda a, b: (a.value + b.value, a.slope)), "slope of a + b"),
            (_dual(__add__=_adding_in_place), "Return a new Dual"),
            (_unfinished(), "a * b"),
            (_numbers_only(), "new Dual"),
        ],
    ),
    "checkpointed_gradient": Case(
        stub=_stub,
        wrong=[
            (_keeps_everything, "alive at once"),
            (_keeps_copies, "copy kept of every step"),
            (_from_the_start, "run forward"),
            (_at_outputs, "step's output"),
            (_forwards, "last pullback comes first"),
            (_forgets_the_rest, "last stretch"),
            (_only_forward, "backward phase is missing"),
            (_forward_within_stretches, "strictly backwards"),
            (lambda x, steps, every, g: None, "None"),
        ],
    ),
}
