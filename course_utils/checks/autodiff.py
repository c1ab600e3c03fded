"""Checks of lesson 08: a new operation, division with broadcasting, dual numbers, checkpointing."""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np

from course_utils.checks._engine import (
    NotAttempted,
    NotYet,
    as_array,
    call,
    close,
    exercise,
    expect,
    peak_bytes,
)

Array = np.ndarray


def _parts(value: Any, count: int, names: str) -> tuple:
    """The parts of an answer that should be a tuple of a value and ``count - 1`` functions."""
    if value is None:
        raise NotYet("The function returned None: is the `return` missing?")
    if not isinstance(value, (tuple, list)) or len(value) != count:
        got = f"{len(value)} parts" if isinstance(value, (tuple, list)) else f"a {type(value).__name__}"
        raise NotYet(f"The function should return {names}, but it returned {got}.")
    for part in value[1:]:
        if part is Ellipsis:
            raise NotYet("The value is there; a pullback is still `...`.")
        if not callable(part):
            raise NotYet(
                f"In the place of a pullback stands a {type(part).__name__}. A pullback is a function of the "
                "arriving gradient, such as `lambda g: ...`."
            )
    return tuple(value)


def _same(got: Array, other: Array) -> bool:
    return got.shape == other.shape and np.allclose(got, other, rtol=1e-6, atol=1e-9)


# ---------------------------------------------------------------------------- a new operation


def _sigmoid_with_pullback_solution(x):
    y = 0.5 * (1 + np.tanh(x / 2))  # equals 1 / (1 + exp(-x)), and cannot overflow
    return y, lambda g: g * y * (1 - y)


@exercise(
    "autodiff.engine",
    solution=_sigmoid_with_pullback_solution,
    hints=[
        "First compute y, the value. The slope of the sigmoid, from lesson 03, can be written with y alone.",
        "The pullback takes the arriving gradient g and returns g times the local slope, entry by entry.",
        "With y = 0.5 * (1 + np.tanh(x / 2)) nothing overflows. The slope is y * (1 - y); return the pair of "
        "y and a lambda that multiplies by it.",
    ],
)
def sigmoid_with_pullback(answer: Any) -> None:
    """The sigmoid as an operation of the engine."""
    rng = np.random.default_rng(81)
    for shape in ((4,), (2, 3), ()):
        x = np.array(rng.normal(0, 2, shape))
        g = np.array(rng.normal(0, 3, shape))
        parts = _parts(call(answer, x.copy()), 2, "a pair, the value and its pullback")
        y = 1 / (1 + np.exp(-x))
        value = as_array(parts[0], "The value", shape=shape)
        if shape and _same(value, np.tanh(x)):
            raise NotYet("The value is tanh(x). The sigmoid runs from 0 to 1 and is 0.5 at 0.")
        close(value, y, "The value")
        arriving = g.copy()
        got = as_array(call(parts[1], arriving), "The pullback of g")
        expect(
            np.array_equal(arriving, g),
            "The pullback changed the gradient that it was given. The walk may hand the same array to others; "
            "return a new one.",
        )
        expect(
            got.shape == shape,
            f"For x of shape {shape} the pullback returned shape {got.shape}; it should return x's shape.",
        )
        slope = y * (1 - y)
        if _same(got, slope):
            raise NotYet("The pullback returns the local slope and ignores g. It should multiply g by it.")
        if _same(got, g * x * (1 - x)):
            raise NotYet(
                "The slope was computed as x (1 - x). In σ(1 - σ) both factors are the value, not the input."
            )
        if _same(got, g + slope):
            raise NotYet("The pullback adds the local slope to g. The chain rule multiplies.")
        if _same(got, g * (1 - y**2)):
            raise NotYet("1 - y² is the slope of tanh. The sigmoid's is y (1 - y).")
        if _same(got, -g * slope):
            raise NotYet("The gradient has the wrong sign: the sigmoid rises everywhere.")
        if _same(got, g * y):
            raise NotYet(
                "The pullback multiplies g by the value σ. The local slope is the value times 1 - σ."
            )
        close(got, g * slope, "The pullback of g")
    with np.errstate(all="ignore"):
        far = np.array([-1000.0, 1000.0])
        parts = _parts(call(answer, far), 2, "a pair")
        value, got = as_array(parts[0], "The value"), as_array(call(parts[1], np.ones(2)), "The pullback")
    expect(
        np.isfinite(value).all() and np.isfinite(got).all(),
        "At x = -1000 or 1000 the result holds nan: infinity was divided by infinity. "
        "0.5 * (1 + np.tanh(x / 2)) is the same function without overflow.",
    )
    close(value, [0.0, 1.0], "The value at -1000 and 1000")
    close(got, [0.0, 0.0], "The pullback at -1000 and 1000")


# ---------------------------------------------------------------------------- division with broadcasting


def _divide_with_pullbacks_solution(x, y):
    def sum_back(g, shape):
        g = g.sum(axis=tuple(range(g.ndim - len(shape))))
        return g.sum(axis=tuple(i for i, n in enumerate(shape) if n == 1), keepdims=True)

    def pull_x(g):
        return sum_back(g / y, x.shape)

    def pull_y(g):
        return sum_back(-g * x / y**2, y.shape)

    return x / y, pull_x, pull_y


def _unbroadcast(g: Array, shape: tuple[int, ...]) -> Array:
    g = g.sum(axis=tuple(range(g.ndim - len(shape))))
    return g.sum(axis=tuple(i for i, n in enumerate(shape) if n == 1), keepdims=True)


_PAIRS = [
    ((2, 2), (2, 1)),
    ((3, 4), (3, 4)),
    ((3, 4), (4,)),
    ((4,), (3, 4)),
    ((3, 1), (1, 4)),
    ((2, 3, 4), (3, 1)),
    ((), (3, 4)),
    ((2, 1, 4), ()),
]


@exercise(
    "autodiff.broadcast",
    solution=_divide_with_pullbacks_solution,
    hints=[
        "Forget shapes first. What is the derivative of x / y with respect to x, and with respect to y?",
        "The slopes are 1 / y and -x / y². Multiplied by g they have the shape of the result. An operand that "
        "was copied to that shape gets the sum over its copies.",
        "Return x / y and two functions of g: unbroadcast(g / y, x.shape), and the same with the other slope "
        "and y.shape.",
    ],
)
def divide_with_pullbacks(answer: Any) -> None:
    """Division with broadcasting as one operation."""
    rng = np.random.default_rng(82)
    for x_shape, y_shape in _PAIRS:
        x = np.array(rng.normal(size=x_shape))
        y = np.array(rng.uniform(0.5, 2, y_shape) * rng.choice([-1.0, 1.0], y_shape))
        g = np.array(rng.normal(size=np.broadcast_shapes(x_shape, y_shape)))
        parts = _parts(call(answer, x.copy(), y.copy()), 3, "three things, the value and two pullbacks")
        case = f"for x {x_shape} and y {y_shape}"
        close(parts[0], x / y, f"The value {case}")
        full = {"x": g / y, "y": -g * x / y**2}
        wanted = {"x": _unbroadcast(full["x"], x_shape), "y": _unbroadcast(full["y"], y_shape)}
        for name, pullback, operand in (("x", parts[1], x), ("y", parts[2], y)):
            got = as_array(call(pullback, g.copy()), f"The gradient of {name} {case}")
            right, other = wanted[name], wanted["y" if name == "x" else "x"]
            if _same(got, right):
                continue
            _name_division(got, name, case, g, x, y, full[name], operand.shape)
            if x_shape != y_shape and _same(got, other):
                raise NotYet(f"The two pullbacks {case} are exchanged: the first belongs to x.")
            expect(
                got.shape == operand.shape,
                f"The gradient of {name} {case} has shape {got.shape}; a gradient has the shape of its "
                f"operand, {operand.shape}.",
            )
            close(got, right, f"The gradient of {name} {case}")


def _name_division(
    got: Array, name: str, case: str, g: Array, x: Array, y: Array, full: Array, shape: tuple[int, ...]
) -> None:
    if got.shape == full.shape != shape and np.allclose(got, full):
        raise NotYet(
            f"The gradient of {name} {case} has shape {got.shape}, that of the result. {name} was copied to "
            f"that shape; sum the gradients of the copies back to {shape}."
        )
    summed = _unbroadcast(full, shape)
    if full.shape != shape and summed.size and got.shape == shape:
        copies = full.size / summed.size
        if np.allclose(got, summed / copies):
            raise NotYet(
                f"The gradient of {name} {case} is {copies:g} times too small: the copies were averaged. Each "
                "copy moves the output, so their gradients add."
            )
    if got.shape != shape and got.size == summed.size and np.allclose(got.ravel(), summed.ravel()):
        raise NotYet(
            f"The numbers for {name} {case} are right, but the shape is {got.shape} in place of {shape}: an "
            "axis of length 1 stays (`keepdims=True`), only axes that were missing disappear."
        )
    local = {
        "y": [
            (g * x / y**2, "has the wrong sign: a larger divisor makes a quotient x / y smaller"),
            (-g * x / y, "was divided by y once; the slope of 1 / y is -1 / y²"),
            (-g / y**2, "lacks the factor x: the slope of x / y with respect to y is -x / y²"),
            (-x / y**2, "ignores the arriving gradient g"),
        ],
        "x": [
            (1 / y + 0 * g, "ignores the arriving gradient g"),
            (g * y, "was multiplied by y; the slope of x / y with respect to x is 1 / y"),
            (g + 0 * y, "is g itself; the slope 1 / y is missing"),
        ],
    }[name]
    for wrong, reason in local:
        wrong = np.broadcast_to(wrong, full.shape)
        if _same(got, _unbroadcast(wrong, shape)) or _same(got, wrong):
            raise NotYet(f"The gradient of {name} {case} {reason}.")


# ---------------------------------------------------------------------------- dual numbers


class _Dual_solution:
    def __init__(self, value, slope=0.0):
        self.value, self.slope = value, slope

    def __add__(self, other):
        if not isinstance(other, _Dual_solution):
            other = _Dual_solution(other)  # a constant has slope 0
        return _Dual_solution(self.value + other.value, self.slope + other.slope)

    def __mul__(self, other):
        if not isinstance(other, _Dual_solution):
            other = _Dual_solution(other)
        return _Dual_solution(
            self.value * other.value, self.slope * other.value + self.value * other.slope
        )  # the product rule

    def tanh(self):
        t = math.tanh(self.value)
        return _Dual_solution(t, (1 - t**2) * self.slope)  # outer slope times inner slope


def _numbers(result: Any, name: str) -> tuple[float, float]:
    if result is None:
        raise NotYet(f"{name} returned None: is the `return` missing?")
    if not (hasattr(result, "value") and hasattr(result, "slope")):
        raise NotYet(
            f"{name} should return a new Dual, but it returned a {type(result).__name__}. Without its slope "
            "the number cannot be used further."
        )
    if result.slope is Ellipsis or result.value is Ellipsis:
        raise NotAttempted
    value = float(as_array(result.value, f"The value of {name}", shape=()))
    return value, float(as_array(result.slope, f"The slope of {name}", shape=()))


@exercise(
    "autodiff.modes",
    solution=_Dual_solution,
    hints=[
        "Each method returns Dual(value, slope). The values are ordinary arithmetic; the slopes are the rules "
        "of lesson 06 for sums, products and chains.",
        "For a product the slope is self.slope * other.value + self.value * other.slope. For tanh it is the "
        "slope of tanh at self.value, times self.slope.",
        "To accept plain numbers, begin + and * by making a Dual of `other` if it is none; its slope then "
        "takes its default, 0.",
    ],
)
def dual_numbers(answer: Any) -> None:
    """Forward mode with dual numbers."""
    expect(callable(answer), f"The check needs the class itself, but got a {type(answer).__name__}.")
    a, b = answer(0.7, 2.0), answer(-1.5, 3.0)
    results = {"a + b": a + b, "a * b": a * b, "a.tanh()": a.tanh()}
    unfinished = [name for name, result in results.items() if result is Ellipsis]
    if len(unfinished) == len(results):
        raise NotAttempted
    expect(not unfinished, f"Still missing: {', '.join(unfinished)}.")
    expect(
        (a.value, a.slope, b.value, b.slope) == (0.7, 2.0, -1.5, 3.0),
        "After a + b, a * b and a.tanh() the numbers a and b are no longer the same. Return a new Dual, and "
        "leave self and other as they are.",
    )

    value, slope = _numbers(results["a + b"], "a + b")
    close(value, -0.8, "The value of a + b")
    close(slope, 5.0, "The slope of a + b, for slopes 2 and 3,")

    value, slope = _numbers(results["a * b"], "a * b")
    close(value, -1.05, "The value of a * b")
    if np.isclose(slope, 6.0):
        raise NotYet(
            "The slope of a * b is the product of the two slopes. The product rule has two terms: one factor "
            "moves while the other stands still, and the other way round."
        )
    if np.isclose(slope, -3.0) or np.isclose(slope, 2.1):
        raise NotYet(
            f"The slope of a * b is {slope:.4g}, one of the two terms of the product rule. Both factors move."
        )
    close(slope, 2.0 * -1.5 + 0.7 * 3.0, "The slope of a * b")

    value, slope = _numbers(results["a.tanh()"], "a.tanh()")
    t = math.tanh(0.7)
    close(value, t, "The value of a.tanh()")
    if np.isclose(slope, 1 - t**2):
        raise NotYet(
            "The slope of a.tanh() is that of tanh alone. The argument moves too: multiply by its own slope."
        )
    if np.isclose(slope, (1 - 0.7**2) * 2.0):
        raise NotYet("In 1 - t² the t is the value of the tanh, not its argument.")
    close(slope, (1 - t**2) * 2.0, "The slope of a.tanh()")

    for name, operation, wanted in (
        ("a + 1.0", lambda: a + 1.0, (1.7, 2.0)),
        ("a * 3.0", lambda: a * 3.0, (2.1, 6.0)),
    ):
        try:
            got = _numbers(operation(), name)
        except (AttributeError, TypeError) as error:
            raise NotYet(f"{name} raised {type(error).__name__}: `other` may be a plain number.") from None
        close(got[0], wanted[0], f"The value of {name}")
        close(got[1], wanted[1], f"The slope of {name}")

    w, x, bias = 0.7, 1.2, -0.3
    for name, seeds, wanted in (
        ("w", (1.0, 0.0, 0.0), lambda s: s + w * (1 - s**2) * x),
        ("x", (0.0, 1.0, 0.0), lambda s: w * (1 - s**2) * w),
        ("b", (0.0, 0.0, 1.0), lambda s: w * (1 - s**2)),
    ):
        dw, dx, db = (answer(v, s) for v, s in zip((w, x, bias), seeds, strict=True))
        _, slope = _numbers((dw * dx + db).tanh() * dw, "tanh(w x + b) * w")
        close(
            slope, wanted(math.tanh(w * x + bias)), f"The slope of tanh(w x + b) · w with respect to {name}"
        )


# ---------------------------------------------------------------------------- checkpointing


def _checkpointed_gradient_solution(x, steps, every, g):
    checkpoints, v = {}, x
    for i, (f, _) in enumerate(steps):
        if i % every == 0:
            checkpoints[i] = v  # the input of step i
        v = f(v)
    for first in sorted(checkpoints, reverse=True):
        stretch = steps[first : first + every]
        inputs = [checkpoints.pop(first)]
        for f, _ in stretch[:-1]:
            inputs.append(f(inputs[-1]))  # computed a second time
        for (_, pullback), v in zip(reversed(stretch), reversed(inputs), strict=True):
            g = pullback(v, g)
    return g


class _Chain:
    """Steps tanh(v @ M) that count their calls and the arrays of theirs that are still alive."""

    def __init__(self, length: int, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.matrices = [rng.normal(0, 0.7, (3, 3)) for _ in range(length)]
        self.calls = [0] * length
        self.pulled: list[int] = []
        self.live = self.peak = 0
        self.steps = [(self._forward(i), self._backward(i)) for i in range(length)]

    def _gone(self) -> None:
        self.live -= 1

    def _forward(self, i: int) -> Callable[[Array], Array]:
        def f(v: Array) -> Array:
            self.calls[i] += 1
            result = np.tanh(v @ self.matrices[i])
            self.live += 1
            self.peak = max(self.peak, self.live)
            weakref.finalize(result, self._gone).atexit = False
            return result

        return f

    def _backward(self, i: int) -> Callable[[Array, Array], Array]:
        def pullback(v: Array, g: Array) -> Array:
            self.pulled.append(i)
            t = np.tanh(v @ self.matrices[i])
            return (g * (1 - t**2)) @ self.matrices[i].T

        return pullback

    def gradient(self, x: Array, g: Array, *, shift: int = 0) -> Array:
        """The right gradient; with ``shift=1`` each pullback is called at its step's output."""
        values = [x]
        for M in self.matrices:
            values.append(np.tanh(values[-1] @ M))
        for i in reversed(range(len(self.matrices))):
            t = np.tanh(values[i + shift] @ self.matrices[i])
            g = (g * (1 - t**2)) @ self.matrices[i].T
        return g


@exercise(
    "autodiff.modes",
    solution=_checkpointed_gradient_solution,
    hints=[
        "Two phases. Forward: run all steps, but keep the input of step i only where i is a multiple of "
        "`every`. Backward: take the checkpoints from the last to the first.",
        "At a checkpoint, run the steps of its stretch once more and collect their inputs in a list. Then call "
        "the stretch's pullbacks from its last step to its first, each with its own input, and hand g on.",
        "A stretch is steps[first : first + every]. Its last step need not be run again: the pullbacks need "
        "the inputs of the steps, not the final output. Drop a checkpoint and its list when you are through.",
    ],
)
def checkpointed_gradient(answer: Any) -> None:
    """Reverse mode with checkpoints."""
    rng = np.random.default_rng(83)
    for length, every in ((3, 1), (6, 3), (10, 3), (4, 9), (1, 1), (36, 6), (60, 10)):
        chain = _Chain(length, seed=length)
        x, g = rng.normal(size=3), rng.normal(size=3)
        wanted, shifted = chain.gradient(x, g), chain.gradient(x, g, shift=1)
        case = f"for {length} steps and every = {every}"
        value = call(answer, x.copy(), list(chain.steps), every, g.copy())
        got = as_array(value, f"The gradient {case}", shape=(3,))
        if not np.allclose(got, wanted, rtol=1e-7, atol=1e-12):
            _name_chain(got, chain, length, shifted, case)
            close(got, wanted, f"The gradient {case}", rtol=1e-7, atol=1e-12)
        most = max(chain.calls)
        expect(
            most <= 2,
            f"The gradient {case} is right, but step {chain.calls.index(most)} was run forward {most} times. "
            "From its own checkpoint each stretch has to be recomputed only once.",
        )
        limit = -(-length // every) + 2 * every + 4
        if length >= 36 and chain.peak > limit:
            raise NotYet(
                f"The gradient {case} is right, but {chain.peak} intermediate arrays were alive at once; with "
                f"a checkpoint every {every} steps about {-(-length // every) + every} are enough."
            )
    _no_hidden_copies(answer)


def _no_hidden_copies(answer: Any, length: int = 36, every: int = 6, size: int = 20_000) -> None:
    """Weigh one long chain: copies of the steps' arrays escape the count of :class:`_Chain`."""
    steps = [(lambda v: 0.9 * v, lambda v, g: 0.9 * g)] * length
    arrays = peak_bytes(answer, np.ones(size), steps, every, np.ones(size)) / (8 * size)
    expect(
        arrays < -(-length // every) + 2 * every + 8,
        f"The gradients are right, but for {length} steps and every = {every} the memory of {arrays:.0f} arrays was in "
        f"use at once; about {-(-length // every) + every} are enough. Is a copy kept of every step?",
    )


def _name_chain(got: Array, chain: _Chain, length: int, shifted: Array, case: str) -> None:
    if not chain.pulled:
        raise NotYet(f"No pullback was called {case}: the backward phase is missing.")
    if length > 1 and chain.pulled == list(range(length)):
        raise NotYet(
            f"The pullbacks were called from the first step to the last {case}. g belongs to the output of the "
            "last step, so the last pullback comes first."
        )
    if len(chain.pulled) < length:
        raise NotYet(
            f"Only {len(chain.pulled)} of {length} pullbacks were called {case}. The last stretch may be "
            "shorter than the others, and it counts too."
        )
    if np.allclose(got, shifted):
        raise NotYet(
            f"Each pullback was called with its step's output {case}. It needs the input at which the step was "
            "computed."
        )
    if sorted(chain.pulled) == list(range(length)) and chain.pulled != list(reversed(range(length))):
        raise NotYet(
            f"The pullbacks were called in the order {chain.pulled[:6]} ... {case}. Across and within the "
            "stretches the walk goes strictly backwards."
        )
