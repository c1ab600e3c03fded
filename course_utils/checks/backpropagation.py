"""Checks of lesson 07: backward passes of layers, a faulty one to repair, weights that are used twice."""

from __future__ import annotations

from typing import Any

import numpy as np

from course_utils.checks._engine import NotYet, as_array, call, exercise, expect, several

Array = np.ndarray


def _same(got: Array, other: Array) -> bool:
    return got.shape == np.shape(other) and np.allclose(got, other, rtol=1e-5, atol=1e-8)


def _hold(got: Array, wanted: Array, name: str) -> None:
    """Last resort: raise NotYet with shapes or with the first number that differs."""
    expect(
        got.shape == wanted.shape,
        f"{name} has shape {got.shape}, but a gradient has the shape of its array, {wanted.shape}.",
    )
    bad = ~np.isclose(got, wanted, rtol=1e-5, atol=1e-8)
    if bad.any():
        where = tuple(int(i) for i in np.argwhere(bad)[0])
        raise NotYet(
            f"{name}[{', '.join(map(str, where))}] is {got[where]:.6g}; central differences give "
            f"{wanted[where]:.6g} ({int(bad.sum())} of {bad.size} values differ)."
        )


# ---------------------------------------------------------------------------- sigmoid


def _sigmoid(z: Array) -> Array:
    return 0.5 * (1 + np.tanh(z / 2))


def _sigmoid_backward_solution(grad_A, A):
    return grad_A * A * (1 - A)  # the slope of the sigmoid, from its own output


@exercise(
    "backpropagation.derive",
    solution=_sigmoid_backward_solution,
    hints=[
        "Each entry of A depends on one entry of Z only. Which of the five lines is this?",
        "The blame that arrives is multiplied, entry by entry, by the slope at that place. The slope of the "
        "sigmoid is σ(z)(1 − σ(z)), and σ(z) is what the layer kept.",
        "So the slope is A * (1 - A). No second sigmoid is needed.",
    ],
)
def sigmoid_backward(answer: Any) -> None:
    """Back through a sigmoid layer, from the activations that it kept."""
    rng = np.random.default_rng(3)
    for shape in ((4, 4), (6, 3), (1, 5)):
        A, grad_A = _sigmoid(rng.normal(0, 2, shape)), rng.normal(size=shape)
        got = as_array(call(answer, grad_A.copy(), A.copy()), "grad_Z")
        wanted = grad_A * A * (1 - A)
        if _same(got, wanted):
            continue
        slope, again = A * (1 - A), _sigmoid(A)
        if _same(got, slope):
            raise NotYet(
                "This is the slope alone. The gradient that arrives, grad_A, has to be multiplied with it."
            )
        if _same(got, grad_A * again * (1 - again)):
            raise NotYet(
                "A went through the sigmoid once more. A is already σ(Z), so the slope is A * (1 - A); you "
                "evaluated it at the activation instead of at the pre-activation."
            )
        if _same(got, grad_A * A):
            raise NotYet("The factor (1 - A) of the slope is missing.")
        if _same(got, grad_A * (1 - A**2)):
            raise NotYet("1 - A**2 is the slope of tanh. The sigmoid's is A * (1 - A).")
        if _same(got, grad_A):
            raise NotYet("grad_A came back unchanged, as if the layer did not bend.")
        if _same(got, grad_A / len(A) * slope):
            raise NotYet(
                "You divided by the batch size. The mean was taken in the loss, and grad_A already holds it."
            )
        if shape[0] == shape[1] and _same(got, grad_A @ slope):
            raise NotYet(
                "A matrix product mixes the units of a row. A sigmoid acts on each entry by itself: use *."
            )
        _hold(got, wanted, "grad_Z")


# ---------------------------------------------------------------------------- dense


def _dense_backward_solution(grad_Z, X, W):
    grad_X = grad_Z @ W.T  # (m, inputs)
    grad_W = X.T @ grad_Z  # (inputs, units)
    grad_b = grad_Z.sum(axis=0)  # (units,)
    return grad_X, grad_W, grad_b


@exercise(
    "backpropagation.vectorise",
    solution=_dense_backward_solution,
    hints=[
        "Write down the shapes of the three results first: each is that of its array.",
        "grad_W (inputs, units) has to come from X (m, inputs) and grad_Z (m, units), and the sum runs over "
        "the examples. Which of the two must be transposed, and on which side does it stand?",
        "grad_X sums over the units, so grad_Z stands left and the transposed W right. The bias entered "
        "every row with slope 1, so its gradient sums the rows: axis 0.",
    ],
)
def dense_backward(answer: Any) -> None:
    """Back through a dense layer, for a whole batch."""
    rng = np.random.default_rng(5)
    names = ["grad_X", "grad_W", "grad_b"]
    for m, inputs, units in ((7, 4, 3), (5, 5, 5), (1, 3, 2), (4, 6, 4)):
        grad_Z, X, W = (
            rng.normal(size=(m, units)),
            rng.normal(size=(m, inputs)),
            rng.normal(size=(inputs, units)),
        )
        parts = several(call(answer, grad_Z.copy(), X.copy(), W.copy()), *names)
        grad_X, grad_W, grad_b = (as_array(part, name) for part, name in zip(parts, names, strict=True))
        label = f"For a batch of {m}, {inputs} inputs and {units} units: "
        right_X, right_W, right_b = grad_Z @ W.T, X.T @ grad_Z, grad_Z.sum(axis=0)
        if _same(grad_W, right_X) and _same(grad_X, right_W):
            raise NotYet(label + "grad_X and grad_W are right, but in the wrong order.")
        if m > 1 and (_same(grad_W, right_W / m) or _same(grad_b, right_b / m)):
            raise NotYet(
                label + "you divided by the batch size. The mean was taken in the loss, so the 1/m is "
                "already inside grad_Z; here it would count twice."
            )
        if inputs == units and _same(grad_X, grad_Z @ W):
            raise NotYet(
                label + "grad_X is grad_Z @ W without the transpose. With a square W the shapes fit and "
                "nothing raises an error; the numbers are wrong."
            )
        if _same(grad_W, right_W.T):
            raise NotYet(
                label + "grad_W is transposed. W has shape (inputs, units), and so must its gradient."
            )
        if grad_b.shape == grad_Z.shape and _same(grad_b, grad_Z):
            raise NotYet(
                label + f"grad_b has shape {grad_b.shape}, one row per example. One bias serves every row "
                "of the batch, so its slopes add up over the rows."
            )
        if grad_b.shape == () and np.isclose(grad_b, grad_Z.sum()):
            raise NotYet(
                label + "grad_b is one number, the sum over everything. Each unit has a bias of its own: "
                "sum over the examples (axis 0) only."
            )
        if m != units and _same(grad_b, grad_Z.sum(axis=1)):
            raise NotYet(
                label + "grad_b was summed over the units (axis 1) instead of over the examples (axis 0)."
            )
        if _same(grad_b, right_b[None, :]) and grad_b.shape != right_b.shape:
            raise NotYet(label + f"grad_b has shape {grad_b.shape}, but b has shape ({units},).")
        for got, wanted, name in zip(
            (grad_X, grad_W, grad_b), (right_X, right_W, right_b), names, strict=True
        ):
            _hold(got, wanted, name)


# ---------------------------------------------------------------------------- a colleague's backward pass


def _repaired_backward_solution(X, y, params):
    W1, b1, W2, b2 = params
    A1 = np.tanh(X @ W1 + b1)
    prediction = A1 @ W2 + b2
    grad_Z2 = 2 * (prediction - y) / len(X)  # the loss is a mean
    grad_W2 = A1.T @ grad_Z2
    grad_b2 = grad_Z2.sum(axis=0)
    grad_A1 = grad_Z2 @ W2.T
    grad_Z1 = grad_A1 * (1 - A1**2)  # A1 is the tanh already
    grad_W1 = X.T @ grad_Z1
    grad_b1 = grad_Z1.sum(axis=0)  # the bias sits before the bend
    return grad_W1, grad_b1, grad_W2, grad_b2


def _regression_backward(
    X: Array,
    y: Array,
    params: tuple[Array, ...],
    *,
    mean: bool = True,
    slope: str = "right",
    bias: bool = True,
    two: bool = True,
) -> tuple[Array, ...]:
    """The repaired backward pass; each option that is changed puts one mistake in."""
    W1, b1, W2, b2 = params
    A1 = np.tanh(X @ W1 + b1)
    grad_Z2 = (2 if two else 1) * (A1 @ W2 + b2 - y) / (len(X) if mean else 1)
    grad_A1 = grad_Z2 @ W2.T
    factor = {"right": 1 - A1**2, "at A": 1 - np.tanh(A1) ** 2, "none": np.ones_like(A1)}[slope]
    grad_Z1 = grad_A1 * factor
    return X.T @ grad_Z1, (grad_Z1 if bias else grad_A1).sum(axis=0), A1.T @ grad_Z2, grad_Z2.sum(axis=0)


@exercise(
    "backpropagation.bugs",
    solution=_repaired_backward_solution,
    hints=[
        "Check the four arrays against central differences and read the errors from the right: grad_b2, "
        "grad_W2, grad_b1, grad_W1. The first wrong one tells where to look.",
        "grad_b2 and grad_W2 are too large by the same factor. What does the loss do with its m terms?",
        "Once that is right, grad_W1 and grad_b1 are still wrong, in two different ways. At what does the "
        "slope of tanh have to be evaluated, if A1 is already tanh(Z1)? And on which side of the bend does "
        "b1 stand?",
    ],
)
def repaired_backward(answer: Any) -> None:
    """Find the mistakes in a backward pass that trains."""
    rng = np.random.default_rng(17)
    names = ["grad_W1", "grad_b1", "grad_W2", "grad_b2"]
    for m, d, hidden in ((9, 4, 6), (5, 3, 3)):
        X, y = rng.normal(size=(m, d)), rng.normal(size=(m, 1))
        params = (
            rng.normal(size=(d, hidden)),
            rng.normal(size=hidden),
            rng.normal(size=(hidden, 1)),
            rng.normal(size=1),
        )
        kept = [array.copy() for array in params]
        parts = several(call(answer, X.copy(), y.copy(), params), *names)
        got = [as_array(part, name) for part, name in zip(parts, names, strict=True)]
        expect(
            all(np.array_equal(a, b) for a, b in zip(params, kept, strict=True)),
            "Your function changed the parameters. A backward pass only reports; the update comes after it.",
        )
        wanted = _regression_backward(X, y, params)
        if all(_same(a, b) for a, b in zip(got, wanted, strict=True)):
            continue

        def is_version(got: list[Array] = got, case: tuple = (X, y, params), **options: Any) -> bool:
            return all(_same(a, b) for a, b in zip(got, _regression_backward(*case, **options), strict=True))

        left = {
            (mean, slope, bias): is_version(mean=mean, slope=slope, bias=bias)
            for mean in (True, False)
            for slope in ("right", "at A", "none")
            for bias in (True, False)
        }
        if left[False, "at A", False]:
            raise NotYet("All three mistakes are still there: these are the colleague's gradients.")
        found = next((version for version, same in left.items() if same), None)
        if found is not None:
            mean, slope, bias = found
            clues = []
            if not mean:
                clues.append(f"every array is {m} times too large for a batch of {m}")
            if slope == "at A":
                clues.append(
                    "grad_W1 is wrong while grad_W2 is right: look at the bend, and at what A1 holds"
                )
            if slope == "none":
                clues.append("the blame now passes the tanh without any slope")
            if not bias:
                clues.append("grad_b1 is not the column sums of what grad_W1 is made of")
            raise NotYet(f"Not all is repaired: {'; '.join(clues)}.")
        if is_version(two=False):
            raise NotYet("Every array is half of what it should be: the slope of a square has a factor 2.")
        for array, target, name in reversed(list(zip(got, wanted, names, strict=True))):
            _hold(array, target, name)


# ---------------------------------------------------------------------------- weights used twice


def _shared_backward_solution(grad_Y, X, W, b):
    H = np.tanh(X @ W + b)  # (m, k)
    grad_H = grad_Y @ W  # H @ W.T, backwards
    grad_Z = grad_H * (1 - H**2)
    grad_W = X.T @ grad_Z + grad_Y.T @ H  # as W in X @ W, and as W.T in H @ W.T
    grad_b = grad_Z.sum(axis=0)
    grad_X = grad_Y + grad_Z @ W.T  # past the layer, and through it
    return grad_X, grad_W, grad_b


@exercise(
    "backpropagation.derive",
    solution=_shared_backward_solution,
    hints=[
        "Give the two uses of W different names, U in X @ U and V in H @ V.T, and find the gradient of "
        "each. W moves both, so its gradient is the sum. X, too, is used twice.",
        "For Y = X + H @ V.T, entry by entry: y[i, p] = x[i, p] + sum over j of h[i, j] v[p, j]. So the blame "
        "of h[i, j] is the sum over p of grad_y[i, p] v[p, j], which is grad_Y @ V. What multiplies v[p, j]?",
        "The second use gives grad_Y.T @ H, of shape (d, k). The first use is a dense layer after the tanh, "
        "as in the lesson. grad_X is what comes through the layer plus what goes past it.",
    ],
)
def shared_backward(answer: Any) -> None:
    """Backward pass of a layer with a skip connection and a matrix used in both directions."""
    rng = np.random.default_rng(29)
    names = ["grad_X", "grad_W", "grad_b"]
    for m, d, k in ((6, 4, 3), (5, 3, 3)):
        grad_Y, X = rng.normal(size=(m, d)), rng.normal(size=(m, d))
        W, b = rng.normal(size=(d, k)), rng.normal(size=k)
        parts = several(call(answer, grad_Y.copy(), X.copy(), W.copy(), b.copy()), *names)
        grad_X, grad_W, grad_b = (as_array(part, name) for part, name in zip(parts, names, strict=True))
        H = np.tanh(X @ W + b)
        grad_H = grad_Y @ W
        grad_Z = grad_H * (1 - H**2)
        first, second = X.T @ grad_Z, grad_Y.T @ H
        through = grad_Z @ W.T
        if _same(grad_b, grad_H.sum(axis=0)) or _same(grad_W, X.T @ grad_H + second):
            raise NotYet("The blame passed the tanh without its slope, 1 - H**2.")
        if _same(grad_W, first):
            raise NotYet(
                "grad_W counts the use in X @ W only. W stands in H @ W.T as well, and what it does there "
                "reaches the loss, too."
            )
        if _same(grad_W, second):
            raise NotYet("grad_W counts the use in H @ W.T only. W stands in X @ W as well.")
        if _same(grad_X, through):
            raise NotYet(
                "grad_X holds only what comes back through the layer. X also goes straight into Y, with slope 1."
            )
        if _same(grad_X, grad_Y):
            raise NotYet("grad_X holds only what goes past the layer. X also feeds the tanh units.")
        if d == k and _same(grad_W, first + second.T):
            raise NotYet(
                "The second part of grad_W is transposed. (W is square in this case, so the shapes fit.) "
                "In H @ W.T, entry (p, j) of W multiplies h[i, j] and feeds y[i, p]."
            )
        if _same(grad_W, (first + second) / m):
            raise NotYet("You divided by the batch size; the mean is already inside grad_Y.")
        targets = (through + grad_Y, first + second, grad_Z.sum(axis=0))
        for got, wanted, name in reversed(list(zip((grad_X, grad_W, grad_b), targets, names, strict=True))):
            _hold(got, wanted, name)
