"""Checks of lesson 06: a slope by rules, gradients by differences, a shared weight, back through a softmax."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from course_utils.checks._engine import NotYet, as_array, call, close, exercise, expect, peak_bytes

Array = np.ndarray


def _same(got: Array, other: Array, tolerance: float = 1e-6) -> bool:
    return got.shape == np.shape(other) and np.allclose(got, other, rtol=tolerance, atol=tolerance)


# ---------------------------------------------------------------------------- a slope by hand


def _slope_solution(x):
    outer = np.exp(-(x**2))  # its own slope is exp(-x ** 2) * (-2x), by the chain rule
    return outer + x * outer * (-2 * x)  # product rule: f' g + f g'


@exercise(
    "derivatives_and_chain_rule.slope",
    solution=_slope_solution,
    hints=[
        "The formula is a product of x and exp(-x ** 2). Which rule comes first?",
        "Product rule: the slope of the first factor times the second, plus the first factor times the slope "
        "of the second. The second factor is a chain: exp, and inside it -x ** 2.",
        "The slope of exp(-x ** 2) is exp(-x ** 2) times the slope of its inside, -2 * x. The slope of x is 1.",
    ],
)
def slope(answer: Any) -> None:
    """The slope of a small formula, by the rules."""
    x = np.linspace(-2.0, 2.0, 17)
    kept = x.copy()
    got = as_array(call(answer, x), "slope(x) for an array of 17 numbers", shape=(17,))
    expect(np.array_equal(x, kept), "Your function changed the array that it was given.")
    e = np.exp(-(x**2))
    right = e - 2 * x**2 * e
    if _same(got, right, 1e-13):  # a central difference is off by 1e-11
        for number in (0.0, 1.0, -0.3):
            wanted = np.exp(-(number**2)) * (1 - 2 * number**2)
            close(call(answer, number), wanted, f"slope({number:g})", rtol=1e-10)
        return
    seen = f"At x = 1.5 your slope is {got[14]:.4g}"  # at x = 1 two mistakes give the right number
    if _same(got, right, 1e-4):
        raise NotYet(
            f"{seen}, which is right to some digits only: it looks like a difference quotient (or float32). "
            "Here the formula is wanted, which is exact."
        )
    for mistake, message in (
        (-2 * x * e, "this is the slope of the first factor times the slope of the second. A product has two "
         "strips: f′g + fg′."),
        (e, "this is only f′g. The second factor depends on x as well: the strip fg′ is missing."),
        (-2 * x**2 * e, "this is only fg′. The first factor depends on x as well: the strip f′g is missing."),
        (e + x * e, "in the second strip the slope of exp(-x²) was taken to be exp(-x²). It has an inside, "
         "-x², whose slope is a factor too."),
        (e + 2 * x**2 * e, "a sign is lost: the inside of exp is -x², with slope -2x."),
        (e - 2 * x * e, "in the second strip the factor x is missing: it is f g′, with f = x."),
        (e + x * np.exp(-2 * x), "exp was taken at -2x. The outer slope is taken where the inside stands, at "
         "-x²; the inner slope -2x is a factor beside it."),
        (x * e, "this is f itself, not its slope."),
    ):  # fmt: skip
        if _same(got, mistake):
            raise NotYet(f"{seen}: {message}")
    raise NotYet(f"{seen}; it should be {right[14]:.4g}. At x = 0 it is {got[8]:.4g} and should be 1.")


# ---------------------------------------------------------------------------- numerical gradients


def _numerical_gradients_solution(f, params, h=1e-5):
    params = [np.array(array, dtype=float) for array in params]  # copies, and never of integers
    gradients = []
    for array in params:
        gradient = np.zeros_like(array)
        for place in np.ndindex(array.shape):
            here = array[place]
            array[place] = here + h
            above = f(params)
            array[place] = here - h
            below = f(params)
            array[place] = here
            gradient[place] = (above - below) / (2 * h)
        gradients.append(gradient)
    return gradients


def _some_params() -> list[Array]:
    rng = np.random.default_rng(6)
    return [rng.normal(size=(3, 2)), np.array([1, -2]), rng.normal(size=(2, 2, 2)), np.array(0.7)]


def _cubes(params: list[Array]) -> float:
    """A number whose gradients are known: weighted cubes of every array, and one product across arrays."""
    weights = (0.5, 2.0, -1.0, 3.0)
    total = sum(
        w * float(np.sum(np.asarray(p, dtype=float) ** 3)) for w, p in zip(weights, params, strict=True)
    )
    return total + float(np.sum(params[0])) * float(np.sum(params[1]))


def _cubes_gradients(params: list[Array]) -> list[Array]:
    grads = [
        3 * w * np.asarray(p, dtype=float) ** 2 for w, p in zip((0.5, 2.0, -1.0, 3.0), params, strict=True)
    ]
    grads[0] = grads[0] + np.sum(params[1])
    grads[1] = grads[1] + np.sum(params[0])
    return grads


@exercise(
    "derivatives_and_chain_rule.numeric",
    solution=_numerical_gradients_solution,
    hints=[
        "Begin with a copy of every array as floats: np.array(array, dtype=float). Then you may nudge entries "
        "in place without touching what you were given.",
        "np.ndindex(array.shape) walks through the places of an array of any shape; for shape () it yields "
        "one empty tuple, and array[()] is the number.",
        "For each place: put here + h, call f with the whole list, put here - h, call f again, put `here` "
        "back. The slope is the difference divided by 2 * h.",
    ],
)
def numerical_gradients(answer: Any) -> None:
    """Gradients of a list of arrays by central differences."""
    params = _some_params()
    kept = [array.copy() for array in params]
    wanted = _cubes_gradients(params)
    value = call(answer, _cubes, params)
    expect(
        all(a.dtype == b.dtype and np.array_equal(a, b) for a, b in zip(params, kept, strict=True)),
        "After your function ran, the arrays in params were no longer the same. Work on copies, and put each "
        "entry back before you go on.",
    )
    if isinstance(value, np.ndarray) and value.dtype != object:
        raise NotYet(
            f"The result is one array of shape {value.shape}; it should be a list with one per array."
        )
    if value is None:
        raise NotYet("The result is None: the function has to return its list (is the `return` missing?).")
    expect(isinstance(value, (list, tuple)), f"The result is a {type(value).__name__}; it should be a list.")
    expect(
        len(value) == 4,
        f"For four arrays your list has {len(value)} entries; there should be four gradients.",
    )
    got = []
    for number, (gradient, target) in enumerate(zip(value, wanted, strict=True)):
        array = as_array(gradient, f"Gradient {number}")
        expect(
            array.shape == target.shape,
            f"Gradient {number} has shape {array.shape}, but its array has shape {target.shape}. A gradient "
            "has the shape of its array.",
        )
        got.append(array)
    _name_a_difference(got, wanted, params)

    wide = as_array(call(answer, _cubes, params, 0.1)[0], "Gradient 0 with h = 0.1")
    truncated = wanted[0] + 0.5 * 0.1**2  # the cube's central difference is off by exactly w h²
    close(
        wide, truncated, "Gradient 0 with h = 0.1", rtol=1e-8,
        message="With h = 0.1 the result is not the central difference of that step. Is h fixed inside?",
    )  # fmt: skip


def _name_a_difference(got: list[Array], wanted: list[Array], params: list[Array]) -> None:
    if all(_same(g, w, 1e-7) for g, w in zip(got, wanted, strict=True)):
        return
    others_right = all(_same(got[k], wanted[k], 1e-7) for k in (0, 2, 3))
    if others_right and not np.allclose(got[1], wanted[1], atol=0.1):
        raise NotYet(
            f"The gradient of the integer array is {got[1]}; it should be near {wanted[1].round(3)}. In an array "
            "of integers a step of 1e-5 is cut off, and so is every slope. Copy with dtype=float."
        )
    if all(_same(g, 2 * w, 1e-6) for g, w in zip(got, wanted, strict=True)):
        raise NotYet(
            "Every slope is twice as large as it should be. Between x + h and x - h lies a distance of 2h."
        )
    if all(_same(g, -w, 1e-6) for g, w in zip(got, wanted, strict=True)):
        raise NotYet("Every slope has the wrong sign: it is f above minus f below.")
    h = 1e-5
    second = [6 * w * np.asarray(p, dtype=float) for w, p in zip((0.5, 2.0, -1.0, 3.0), params, strict=True)]
    for sign, name in ((1, "forward"), (-1, "backward")):
        if all(_same(g, w + sign * h / 2 * s, 1e-7) for g, w, s in zip(got, wanted, second, strict=True)):
            raise NotYet(
                f"The slopes are off by about {np.abs(got[0] - wanted[0]).max():.0e}, as those of a {name} difference "
                "are. The central difference (h on both sides) is wanted; its error here is far below 1e-7."
            )
    if _same(got[0], wanted[0], 1e-7):
        bad = next(k for k in range(4) if not _same(got[k], wanted[k], 1e-7))
        raise NotYet(
            "The gradient of the first array is right, a later one is not. Is each entry put back before the "
            f"next is nudged? Gradient {bad} is {got[bad].tolist()}; it should be {wanted[bad].tolist()}."
        )
    place = tuple(int(i) for i in np.argwhere(~np.isclose(got[0], wanted[0], rtol=1e-6, atol=1e-6))[0])
    raise NotYet(
        f"Gradient 0 has {got[0][place]:.6g} at {place}; it should be {wanted[0][place]:.6g}. Was every other "
        "entry at its own value when this one was nudged?"
    )


# ---------------------------------------------------------------------------- a shared weight


def _shared_weight_slope_solution(w, x, target):
    a1 = np.tanh(w * x)
    a2 = np.tanh(w * a1)
    grad_z2 = (a2 - target) * (1 - a2**2)  # at the input of the second tanh, z2 = w * a1
    direct = grad_z2 * a1  # w as the factor beside a1
    through_a1 = grad_z2 * w * (1 - a1**2) * x  # w inside the first tanh
    return direct + through_a1


@exercise(
    "derivatives_and_chain_rule.chain",
    solution=_shared_weight_slope_solution,
    hints=[
        "Draw it: x and w make a1; a1 and w make a2; a2 makes L. In how many ways can you walk from w to L?",
        "Both ways share their end: from L to a2, the slope is a2 - target; through the second tanh, 1 - a2 ** 2. "
        "There z2 = w * a1 has two variables, and each is one way on.",
        "Direct way: the slope of w * a1 by w, with a1 held still, is a1. Other way: by a1 it is w, then through "
        "the first tanh with 1 - a1 ** 2, then the slope of w * x by w. Multiply along each way, add the two.",
    ],
)
def shared_weight_slope(answer: Any) -> None:
    """The total derivative of a loss by a weight that is used twice."""
    rng = np.random.default_rng(3)
    cases = [(1.0, 1.0, 0.0), (0.8, 1.2, -0.5), (-1.3, 0.4, 0.9), *rng.normal(size=(5, 3)).tolist()]
    got, parts = [], []
    for w, x, t in cases:
        value = as_array(call(answer, w, x, t), f"shared_weight_slope({w:.3g}, {x:.3g}, {t:.3g})", shape=())
        got.append(float(value))
        a1 = np.tanh(w * x)
        a2 = np.tanh(w * a1)
        parts.append((a2 - t, 1 - a2**2, a1, w, 1 - a1**2, x))
    got_array = np.array(got)
    error, second, a1, w_all, first, x_all = np.array(parts).T
    wanted = error * second * (a1 + w_all * first * x_all)
    if _same(got_array, wanted, 1e-13):  # a central difference is off by 1e-11
        return
    off = int(np.argmax(~np.isclose(got_array, wanted, rtol=1e-5, atol=1e-5)))  # the first case that is off
    w, x, t = cases[off]
    seen = f"For w = {w:.3g}, x = {x:.3g}, target = {t:.3g} you return {got[off]:.4g}"
    if _same(got_array, wanted, 1e-5):
        raise NotYet(
            f"{seen}: right, but only to some digits, like a difference (or float32). The formula is wanted."
        )
    for mistake, message in (
        (error * second * a1, "the path through the first tanh is missing. w also moves a1, and a1 moves L."),
        (error * second * w_all * first * x_all, "the direct path is missing: in w * a1 the weight is a factor "
         "itself, even with a1 held still."),
        (error * second * a1 * w_all * first * x_all, "the two paths were multiplied. Along a path slopes multiply; "
         "over the paths they add."),
        (error * (a1 + w_all * first * x_all), "the slope of the second tanh, 1 - a2², is missing; both paths pass "
         "through it."),
        (second * (a1 + w_all * first * x_all), "this is the slope of a2. The slope of the loss by a2, which is "
         "a2 - target, comes on top."),
        (error * second * (a1 + w_all * x_all), "on the way through a1 the slope of the first tanh, 1 - a1², is "
         "missing."),
        (error * second * (a1 + first * x_all), "on the way through a1 the step from a1 to w * a1 is missing: its "
         "slope is w."),
        (error * second * (a1 + w_all * first), "on the way through a1 the last step is missing: the slope of w * x "
         "by w is x."),
        (2 * wanted, "twice too large: the ½ of the loss cancels the 2 of the square."),
        (-wanted, "the sign is turned: the slope of ½(a2 - target)² by a2 is a2 - target."),
    ):  # fmt: skip
        if _same(got_array, mistake):
            raise NotYet(f"{seen}: {message}")
    raise NotYet(f"{seen}; it should be {wanted[off]:.4g}.")


# ---------------------------------------------------------------------------- back through a softmax


def _softmax_pullback_solution(probabilities, grad_probabilities):
    weighted = np.sum(grad_probabilities * probabilities, axis=1, keepdims=True)  # (m, 1)
    return probabilities * (grad_probabilities - weighted)


def _by_jacobians(p: Array, g: Array, build: Callable[[Array], Array]) -> Array:
    return np.stack([row_g @ build(row_p) for row_p, row_g in zip(p, g, strict=True)])


@exercise(
    "derivatives_and_chain_rule.chain",
    solution=_softmax_pullback_solution,
    hints=[
        "The lesson derives one entry of the row times the Jacobian: p_j (g_j - sum over i of g_i p_i).",
        "The sum is one number per example: (grad_probabilities * probabilities) summed over axis 1. To "
        "subtract it from every class of its row it needs the shape (m, 1).",
        "keepdims=True keeps that axis. Subtract the sum from grad_probabilities, then multiply elementwise by "
        "probabilities.",
    ],
)
def softmax_pullback(answer: Any) -> None:
    """The vector-Jacobian product of a softmax over rows."""
    rng = np.random.default_rng(5)
    for m, classes in ((4, 4), (6, 3), (1, 2)):
        if (m, classes) == (1, 2):
            p, g = np.array([[0.5, 0.5]]), np.array([[1.0, 0.0]])
        else:
            e = np.exp(rng.normal(size=(m, classes)))
            p, g = e / e.sum(axis=1, keepdims=True), rng.normal(size=(m, classes))
        kept = p.copy(), g.copy()
        value = call(answer, p, g)
        name = f"The result for shape ({m}, {classes})"
        got = as_array(value, name)
        expect(
            np.array_equal(p, kept[0]) and np.array_equal(g, kept[1]),
            "Your function changed one of the arrays that it was given.",
        )
        expect(got.shape == (m, classes), f"{name} has shape {got.shape}; it should be {(m, classes)}.")
        right = _by_jacobians(p, g, lambda row: np.diag(row) - np.outer(row, row))
        if _same(got, right, 1e-6):
            continue
        total = np.sum(g * p)
        for mistake, message in (
            (g * p * (1 - p), "this is g p (1 - p), the diagonal of the Jacobian alone. A softmax is not elementwise: "
             "raising one logit lowers the other probabilities."),
            (g * p, "the second part of the Jacobian is missing: every class of a row also feels the sum of g p."),
            (p * (g - np.sum(g * p, axis=0, keepdims=True)), "the sum was taken over the batch (axis 0). It belongs "
             "over the classes of each example (axis 1)."),
            (p * (g - total), "one sum was taken over the whole batch. Each row has a sum of its own (axis=1)."),
            (p * (g - np.sum(g, axis=1, keepdims=True)), "the sum is over g p, not over g alone."),
            (g - np.sum(g * p, axis=1, keepdims=True), "the factor p in front is missing."),
            (p * (g - np.mean(g * p, axis=1, keepdims=True)), "the mean was taken where the sum belongs."),
            (p - g, "p - y is the answer for one loss, the cross-entropy with g = -y / p. Here g may be anything."),
        ):  # fmt: skip
            if _same(got, mistake):
                raise NotYet(f"{name} is wrong: {message}")
        if not np.allclose(got.sum(axis=1), 0, atol=1e-6):
            raise NotYet(
                f"{name}: its first row sums to {got[0].sum():.3g}. It should sum to 0, since raising all logits of "
                "a row together changes no probability."
            )
        close(got, right, name)
    _no_square_matrix(answer)


def _no_square_matrix(answer: Any, classes: int = 1500) -> None:
    """Hold the memory of one call far below that of a classes x classes matrix."""
    p, g = np.full((2, classes), 1 / classes), np.ones((2, classes))
    peak = peak_bytes(answer, p, g)
    expect(
        peak < classes**2,  # a square matrix of booleans would be as large
        f"The values are right, but for {classes:,} classes your function took {peak / 1e6:.0f} MB, as a matrix of "
        "classes × classes does. One sum per row is enough.",
    )
