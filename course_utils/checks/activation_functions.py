"""Checks of lesson 03: ELU and its slope, the way back through softmax, dead units, SiLU."""

from __future__ import annotations

from typing import Any

import numpy as np

from course_utils.checks._engine import NotYet, as_array, attempted, call, close, exercise, expect

Array = np.ndarray


def _two_arrays(value: Any, name: str, shape: tuple[int, ...]) -> tuple[Array, Array]:
    """The answer of a function that returns (values, slopes)."""
    attempted(value)
    if isinstance(value, np.ndarray) and value.shape == (2, *shape):
        value = tuple(value)  # both stacked in one array
    if not isinstance(value, (tuple, list)) or len(value) != 2:
        raise NotYet(
            f"{name} should return two arrays, `return values, slopes`, but returned a {type(value).__name__}."
        )
    values = as_array(value[0], f"The first result of {name}", shape=shape)
    slopes = as_array(value[1], f"The second result of {name}", shape=shape)
    return values, slopes


def _same(a: Array, b: Array) -> bool:
    return a.shape == b.shape and np.allclose(a, b, rtol=1e-6, atol=1e-9)


# ---------------------------------------------------------------------------- ELU


def _elu_with_slope_solution(z, alpha):
    exponential = np.exp(np.minimum(z, 0.0))  # where z > 0 this is 1: nothing overflows
    values = np.where(z > 0, z, alpha * (exponential - 1))
    slopes = np.where(z > 0, 1.0, alpha * exponential)
    return values, slopes


@exercise(
    "activation_functions.derivatives",
    solution=_elu_with_slope_solution,
    hints=[
        "Take the two branches one by one. What is the derivative of alpha * (exp(z) - 1)? Which part of it "
        "is a constant, and which a factor?",
        "np.where(z > 0, right, left) puts the branches together, once for the values and once for the slopes.",
        "The left branch has the slope alpha * exp(z). np.where computes it for large positive z too, so give "
        "the exponential np.minimum(z, 0.0).",
    ],
)
def elu_with_slope(answer: Any) -> None:
    """ELU with any alpha, values and slopes."""
    grid = np.array([[-3.0, -1.0, -0.25], [0.0, 0.5, 2.0]])
    for alpha in (0.5, 1.0, 2.0):
        given = grid.copy()
        values, slopes = _two_arrays(call(answer, given, alpha), "elu_with_slope", grid.shape)
        expect(np.array_equal(given, grid), "Your function changed the array z that it was given.")
        left = grid <= 0
        right_values, right_slopes = _elu_with_slope_solution(grid, alpha)
        where = f"for alpha = {alpha:g}"
        if _same(values, right_slopes) and _same(slopes, right_values):
            raise NotYet("Values and slopes are exchanged: return the values first.")
        if not _same(values, right_values):
            if alpha != 1 and _same(values, np.where(left, np.exp(grid) - 1, grid)):
                raise NotYet(f"The values {where} are those of alpha = 1: alpha is not used.")
            if _same(values, np.where(left, alpha * np.exp(grid), grid)):
                raise NotYet(
                    f"At z = 0 from the left your value {where} is {alpha:g}, so the curve jumps. The minus 1 "
                    "is missing: alpha * (exp(z) - 1)."
                )
            if alpha != 1 and _same(values, np.where(left, alpha * np.exp(grid) - 1, grid)):
                raise NotYet(
                    f"Your values {where} compute alpha * exp(z) - 1; alpha multiplies the whole bracket."
                )
            if _same(values, np.where(left, alpha * grid, grid)):
                raise NotYet("These values are those of a leaky ReLU: left of 0 there is no exponential.")
            close(values, right_values, f"The values {where}")
        if alpha != 1 and _same(slopes, np.where(left, np.exp(grid), 1)):
            raise NotYet(
                f"The slopes {where} are those of alpha = 1: the factor alpha stays when you derive."
            )
        if alpha != 1 and _same(slopes, np.where(left, right_values + 1, 1)):
            raise NotYet(
                f"The slopes {where} are values + 1. That holds for alpha = 1 only; the slope is "
                "alpha * exp(z), which is values + alpha."
            )
        if _same(slopes, np.where(left, alpha * (np.exp(grid) - 1), 1)):
            raise NotYet(
                f"Left of 0 your slopes {where} equal the values. The constant -alpha has slope 0 and drops out."
            )
        if alpha != 1 and _same(slopes, np.where(grid < 0, alpha * np.exp(grid), 1)):
            raise NotYet(
                f"At z = 0 your slope {where} is 1, the one from the right. The task asks for the one from the left."
            )
        if _same(slopes, np.where(left, right_slopes, grid)):
            raise NotYet("Right of 0 your slopes equal z. The slope of z is 1.")
        close(slopes, right_slopes, f"The slopes {where}")
    with np.errstate(over="raise"):
        far = np.array([-1000.0, 1000.0])
        try:
            values, slopes = _two_arrays(call(answer, far, 1.0), "elu_with_slope", (2,))
        except FloatingPointError:
            raise NotYet(
                "For z = 1000 an exponential overflowed. np.where evaluates both branches, so the left one "
                "needs np.minimum(z, 0.0) inside."
            ) from None
        close(values, [-1.0, 1000.0], "The values for z = -1000 and 1000")


# ---------------------------------------------------------------------------- softmax, backwards


def _softmax(logits: Array, axis: int) -> Array:
    e = np.exp(logits - logits.max(axis=axis, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True)


def _softmax_backward_solution(logits, grad_probabilities, axis):
    exponentials = np.exp(logits - logits.max(axis=axis, keepdims=True))
    p = exponentials / exponentials.sum(axis=axis, keepdims=True)
    mean = (grad_probabilities * p).sum(axis=axis, keepdims=True)  # the average of g under p
    return p * (grad_probabilities - mean)


@exercise(
    "activation_functions.softmax",
    solution=_softmax_backward_solution,
    hints=[
        "Insert J_ij = p_i (delta_ij - p_j) into the sum over i. The term with delta keeps only i = j; the "
        "other is a sum that does not depend on j, times p_j.",
        "The sum that remains, sum_i g_i p_i, is one number per example. Take it along the axis of the classes "
        "and keep the axis (keepdims=True), so that it broadcasts.",
        "The result is p times (g minus that number). Compute p with the largest logit along the axis "
        "subtracted first.",
    ],
)
def softmax_backward(answer: Any) -> None:
    """Slopes with respect to the logits, from slopes with respect to the probabilities."""
    rng = np.random.default_rng(5)
    cases = [((4,), 0), ((3, 3), 1), ((3, 3), 0), ((5, 4), -1), ((2, 3, 4), 1)]
    for shape, axis in cases:
        logits, g = rng.normal(size=shape), rng.normal(size=shape)
        kept = logits.copy(), g.copy()
        got = as_array(
            call(answer, logits, g, axis), f"The result for shape {shape}, axis {axis}", shape=shape
        )
        expect(
            np.array_equal(logits, kept[0]) and np.array_equal(g, kept[1]),
            "Your function changed one of the arrays that it was given.",
        )
        wanted = _softmax_backward_solution(logits, g, axis)
        if _same(got, wanted):
            continue
        p = _softmax(logits, axis)
        where = f"For shape {shape} and axis {axis}"
        if _same(got, g * p * (1 - p)):
            raise NotYet(
                f"{where} you used g * p * (1 - p), the diagonal of the Jacobian alone. Each logit also moves "
                "the probabilities of the other classes."
            )
        if _same(got, g * p):
            raise NotYet(
                f"{where} only the term with i = j is there; the sum over the other classes is missing."
            )
        if _same(got, p):
            raise NotYet(f"{where} you returned the probabilities themselves.")
        if _same(got, g - (g * p).sum(axis=axis, keepdims=True)):
            raise NotYet(f"{where} the bracket is right; the factor p in front of it is missing.")
        if _same(got, p * (g - g.sum(axis=axis, keepdims=True))):
            raise NotYet(
                f"{where} the sum was taken over g alone. The slopes are weighted: sum of g times p."
            )
        if _same(got, p * (g - (g * p).sum())):
            raise NotYet(
                f"{where} the sum ran over the whole array. Every example has its own: sum along the axis, with "
                "keepdims=True."
            )
        if _same(got, -wanted):
            raise NotYet(f"{where} the sign is turned round.")
        for other in range(len(shape)):
            if other != axis % len(shape) and _same(got, _softmax_backward_solution(logits, g, other)):
                raise NotYet(f"{where} you worked along axis {other}. The classes lie along the axis given.")
        if np.abs(got.sum(axis=axis)).max() > 1e-6:
            raise NotYet(
                f"{where} your slopes sum to {np.ravel(got.sum(axis=axis))[0]:.3g} over the classes. Adding the "
                "same number to all logits changes nothing, so they have to sum to 0."
            )
        close(got, wanted, f"The result for shape {shape}, axis {axis}")
    with np.errstate(all="ignore"):
        large = call(answer, np.array([[1000.0, 1001.0], [-2000.0, -2000.0]]), np.array([[1.0, 0.0]] * 2), 1)
    large = as_array(large, "The result for logits in the thousands", shape=(2, 2))
    expect(
        np.isfinite(large).all(),
        "For logits of 1000 the result holds nan: subtract the largest logit along the axis before np.exp.",
    )
    s = 1 / (1 + np.e)
    close(large, [[s * (1 - s), -s * (1 - s)], [0.25, -0.25]], "The result for logits in the thousands")


# ---------------------------------------------------------------------------- dead units


def _count_dead_solution(X, layers):
    counts = []
    for W, b in layers:
        z = X @ W + b  # (m, units)
        counts.append(int((z <= 0).all(axis=0).sum()))
        X = np.maximum(z, 0)  # what the next layer receives
    return counts


def _dead_stack() -> tuple[Array, list[tuple[Array, Array]]]:
    """A stack in which every usual mistake gives another list of counts."""
    rng = np.random.default_rng(8)
    X = rng.normal(size=(6, 4)).round(3)
    X[:, 0] = np.abs(X[:, 0])
    layers = []
    for inputs, units, shift in ((4, 9, -0.8), (9, 9, -0.6), (9, 5, -0.4)):
        W = rng.normal(size=(inputs, units))
        b = rng.normal(shift, 0.6, units)
        layers.append((W, b))
    W, b = layers[0]
    W[:, 2], b[2] = [-1.0, 0, 0, 0], -0.1  # dead in the first layer
    W[:, 5], b[5] = 0.0, 0.0  # exactly zero for every example: does not fire
    W[:, 7], b[7] = 0.0, -0.3
    layers[1][0][:, 1], layers[1][1][1] = (
        -np.abs(layers[1][0][:, 1]),
        -0.2,
    )  # dead because its inputs are >= 0
    layers[2][0][:, 3], layers[2][1][3] = -1.0, 0.0
    return X, layers


@exercise(
    "activation_functions.dead",
    solution=_count_dead_solution,
    hints=[
        "For one layer: compute z of shape (m, units). Which axis runs over the examples?",
        "(z <= 0).all(axis=0) is True for a unit that is not above zero for any example. Its sum counts them.",
        "Go through the layers in a loop. After counting, the next layer receives np.maximum(z, 0), not X and "
        "not z.",
    ],
)
def count_dead(answer: Any) -> None:
    """Units that fire for no example, layer by layer."""
    X, layers = _dead_stack()
    one = (np.array([[1.0], [2.0]]), [(np.array([[1.0, -1.0]]), np.array([0.0, 1.0]))])
    for inputs, stack in ((X, layers), one):
        wanted = _count_dead_solution(inputs, stack)
        value = call(answer, inputs.copy(), [(W.copy(), b.copy()) for W, b in stack])
        got = as_array(value, "The result")
        expect(
            got.ndim == 1 and len(got) == len(stack),
            f"The result has shape {got.shape}; it should be a list with one number for each of {len(stack)} layers.",
        )
        if np.array_equal(got, wanted):
            continue
        seen = f"Your counts are {got.tolist()} for layers of {[len(b) for _, b in stack]} units."

        def counts(stack=stack, inputs=inputs, bend=True, bias=True, dead=lambda z: (z <= 0).all(axis=0)):
            a, result = inputs, []
            for W, b in stack:
                z = a @ W + (b if bias else 0)
                result.append(float(np.sum(dead(z))))
                a = np.maximum(z, 0) if bend else z
            return result

        known = [
            (
                counts(dead=lambda z: (z > 0).all(axis=0)),
                "You counted the units that fire for every example, the opposite.",
            ),
            (
                counts(dead=lambda z: (z <= 0).all(axis=1)),
                "You counted examples for which no unit fires: all(axis=1) runs over the units. Examples lie "
                "along axis 0.",
            ),
            (
                counts(dead=lambda z: (z <= 0).any(axis=0)),
                "You counted units that are off for some example. A dead unit is off for all of them.",
            ),
            (
                counts(dead=lambda z: z <= 0),
                "You counted every pair of example and unit that is off. A dead unit counts once, and only if "
                "it is off for all examples.",
            ),
            (
                counts(dead=lambda z: z[0] <= 0),
                "You looked at the first example only; another may make the unit fire.",
            ),
            (
                counts(dead=lambda z: (z < 0).all(axis=0)),
                "A unit with z exactly 0 does not fire either, and gets no slope: compare with <= 0.",
            ),
            (
                counts(dead=lambda z: z.mean(axis=0) <= 0),
                "You judged by the mean of z. One example above zero is enough for a unit to live.",
            ),
            (counts(bias=False), "The biases had no effect."),
            (
                counts(bend=False),
                "The layers after the first got z instead of relu(z). Negative numbers do not leave a ReLU layer.",
            ),
            (
                [c / len(b) for c, (_, b) in zip(wanted, stack, strict=True)],
                "These are shares; the task asks for numbers of units.",
            ),
            (
                [len(b) - c for c, (_, b) in zip(wanted, stack, strict=True)],
                "These are the units that are alive.",
            ),
        ]
        for mistaken, message in known:
            if np.allclose(got, mistaken):
                raise NotYet(f"{seen} {message}")
        raise NotYet(f"{seen} It should be {wanted}.")


# ---------------------------------------------------------------------------- SiLU

_SILU_SOURCE = """\
def silu_with_slope(z):
    e = np.exp(-np.abs(z))
    s = np.where(z >= 0, 1.0, e) / (1 + e)  # the sigmoid, without overflow
    return z * s, s + z * s * (1 - s)  # product rule: 1 * s + z * s'


left, right = -5.0, 0.0  # the slope is negative at -5 and positive at 0
for _ in range(60):
    middle = (left + right) / 2
    if silu_with_slope(np.array(middle))[1] < 0:
        left = middle
    else:
        right = middle
silu_lowest = (left + right) / 2"""

_LOWEST = -1.2784645427610738


def _silu_reference(z):
    e = np.exp(-np.abs(z))
    s = np.where(z >= 0, 1.0, e) / (1 + e)
    return z * s, s + z * s * (1 - s)


@exercise(
    "activation_functions.derivatives",
    solution=(_silu_reference, _LOWEST),
    source=_SILU_SOURCE,
    hints=[
        "silu(z) is a product of z and s = sigmoid(z). The product rule gives two terms, and the slope of s is "
        "s * (1 - s).",
        "The lesson's sigmoid(z), built from exp(-|z|), does not overflow; use it. For the lowest point look at "
        "the slope: it is negative at z = -5 and positive at z = 0.",
        "Bisection: take the middle of the interval; if the slope there is negative the lowest point lies to "
        "the right, otherwise to the left. After 40 halvings the interval is shorter than 1e-11.",
    ],
)
def silu(function: Any, lowest: Any) -> None:
    """SiLU with its slope, and its lowest point."""
    z = np.array([[-5.0, -1.0, -0.3], [0.0, 1.0, 4.0]])
    values, slopes = _two_arrays(call(function, z.copy()), "silu_with_slope", z.shape)
    s = 1 / (1 + np.exp(-z))
    if _same(values, z + s):
        raise NotYet("Your values are z + sigmoid(z); SiLU multiplies the two.")
    if _same(values, s):
        raise NotYet("Your values are the sigmoid's. SiLU multiplies it by z.")
    close(values, z * s, "The value of silu_with_slope")
    if _same(slopes, s * (1 - s)):
        raise NotYet("Your slopes are those of the sigmoid alone. z is a factor too: use the product rule.")
    if _same(slopes, z * s * (1 - s)):
        raise NotYet(
            "The second term of the product rule is there; the first, 1 times sigmoid(z), is missing."
        )
    if _same(slopes, s):
        raise NotYet(
            "The first term of the product rule is there; the second, z times the sigmoid's slope, is missing."
        )
    close(slopes, _silu_reference(z)[1], "The slope of silu_with_slope")
    with np.errstate(all="ignore"):
        far = np.array([-1000.0, 1000.0])
        values, slopes = _two_arrays(call(function, far), "silu_with_slope", (2,))
    expect(
        np.isfinite(values).all() and np.isfinite(slopes).all(),
        f"For z = -1000 and 1000 the values are {values} and the slopes {slopes}: an exponential overflowed. "
        "Use the lesson's sigmoid.",
    )
    close(values, [0.0, 1000.0], "The value for z = -1000 and 1000", atol=1e-9)
    close(slopes, [0.0, 1.0], "The slope for z = -1000 and 1000", atol=1e-9)
    place = float(as_array(lowest, "silu_lowest", shape=()))
    if abs(place - _LOWEST) <= 2e-6:
        return
    if abs(place - float(_silu_reference(np.array(_LOWEST))[0])) < 1e-4:
        raise NotYet("silu_lowest is the lowest value of SiLU. The task asks where it is taken, the z.")
    if abs(place - _LOWEST) < 0.02:
        raise NotYet(
            f"silu_lowest = {place:.7g} is near, but the slope there is {float(_silu_reference(np.array(place))[1]):.1e}. "
            "Go on until six decimals stand still."
        )
    raise NotYet(
        f"At silu_lowest = {place:.6g} the slope is {float(_silu_reference(np.array(place))[1]):.3g}, not 0."
    )
