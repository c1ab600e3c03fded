"""Checks of lesson 02: shapes, cosines, a map for each drawing, and the price of a chain of products."""

from __future__ import annotations

from typing import Any

import numpy as np

from course_utils.checks._engine import (
    NotYet,
    as_array,
    attempted,
    call,
    close,
    exercise,
    expect,
    peak_bytes,
)

Array = np.ndarray

# ---------------------------------------------------------------------------- shapes

_SHAPES_SOURCE = """\
# X (32, 784), W (784, 10), b (10,), t (32,), V (5, 32, 784)
shapes = (
    (32, 10),  # X @ W + b: the inner 784 is summed away, b is added to every row
    (10, 32),  # W.T @ X.T is (X @ W).T
    (784,),  # X.mean(axis=0): axis 0 is gone
    "error",  # X - X.mean(axis=1): 784 meets 32; keepdims=True would help
    (5, 32, 10),  # V @ W: the last two axes are multiplied, the 5 is carried along
    (32, 32),  # (32, 1) - (32,): the second is read as (1, 32)
)"""

_EXPRESSIONS = [
    "X @ W + b",
    "W.T @ X.T",
    "X.mean(axis=0)",
    "X - X.mean(axis=1)",
    "V @ W",
    "(X @ W)[:, :1] - t",
]
_SHAPES = ((32, 10), (10, 32), (784,), "error", (5, 32, 10), (32, 32))

_ERROR = "error"
_WHY: list[dict[Any, str]] = [
    {
        (
            10,
            32,
        ): "The examples are rows and stay rows: (32, 784) @ (784, 10) keeps the outer sizes in order.",
        (32, 784): "The 784 features are summed away in the product.",
        _ERROR: "b is read as (1, 10), so it fits onto every row of (32, 10).",
    },
    {
        (32, 10): "W.T has shape (10, 784) and stands first, so its 10 comes first.",
        _ERROR: "(10, 784) @ (784, 32): the inner sizes agree.",
    },
    {
        (32,): "axis=0 is the axis that disappears; the 32 examples are averaged.",
        (1, 784): "The axis disappears altogether. It stays as a 1 only with keepdims=True.",
        (32, 1): "axis=0 is the axis that disappears, and without keepdims=True it leaves no 1.",
        (): "Without an axis the mean is one number; with axis=0 the 784 columns each have one.",
    },
    {
        (32, 784): (
            "X.mean(axis=1) has shape (32,). Shapes are aligned at the right, so its 32 meets the 784 of X."
        ),
        (32,): "A difference is broadcast to the larger shape, if the two fit. Do 784 and 32 fit?",
    },
    {
        (32, 10): "The 5 does not take part in the product, but it is not lost either.",
        _ERROR: "@ multiplies the last two axes, (32, 784) with (784, 10), and carries the others along.",
        (5, 10): "Only the last axis of V is summed away.",
    },
    {
        (32, 1): "t has shape (32,), which is aligned at the right and read as (1, 32), not as (32, 1).",
        (32,): "[:, :1] is a slice and keeps its axis: (32, 1). Then (32,) is read as (1, 32).",
        _ERROR: "(32, 1) and (1, 32) fit: each axis of size 1 is repeated. That is the trap.",
    },
]


def _as_shape(value: Any, number: int) -> Any:
    name = f"Answer {number}"
    if value is Ellipsis:
        raise NotYet(f"{name} is still open; put a shape or 'error' in place of the dots.")
    if isinstance(value, str):
        expect(value.strip().lower() == _ERROR, f'{name} is "{value}"; write a tuple, or "error".')
        return _ERROR
    if isinstance(value, (int, np.integer)):
        raise NotYet(f"{name} is the number {value}. A shape with one axis has a comma: ({value},).")
    if not isinstance(value, (tuple, list)) or not all(isinstance(n, (int, np.integer)) for n in value):
        raise NotYet(f"{name} should be a tuple of whole numbers, such as (2, 3), or 'error'.")
    return tuple(int(n) for n in value)


@exercise(
    "vectors_and_matrices.shapes",
    solution=_SHAPES,
    source=_SHAPES_SOURCE,
    hints=[
        "A product keeps the outer sizes and loses the inner one. A mean over an axis loses that axis.",
        "For + and -, write the shapes under each other, aligned at the right, and fill up with ones at the "
        "left. Equal sizes fit, and 1 fits everything.",
        "In the fourth, (32,) stands under (32, 784): 32 under 784. In the sixth, (32,) stands under "
        "(32, 1): which size comes out in each of the two places?",
    ],
)
def shapes(answer: Any) -> None:
    """Predict the shapes of six expressions."""
    attempted(answer)
    expect(
        isinstance(answer, (tuple, list)) and len(answer) == len(_SHAPES),
        f"The check needs a tuple of {len(_SHAPES)} answers, one for each expression.",
    )
    for number, (value, right) in enumerate(zip(answer, _SHAPES, strict=True), start=1):
        got = _as_shape(value, number)
        if got == right:
            continue
        why = _WHY[number - 1].get(got, "")
        if not why:
            why = "It runs without an error." if got == _ERROR else "Go through it one operation at a time."
        raise NotYet(f"{number}. `{_EXPRESSIONS[number - 1]}`, and your answer is {got}. {why}")


# ---------------------------------------------------------------------------- cosines


def _pairwise_cosine_solution(A, B):
    A_unit = A / np.linalg.norm(A, axis=1, keepdims=True)  # (m, d) / (m, 1): rows of length 1
    B_unit = B / np.linalg.norm(B, axis=1, keepdims=True)
    return A_unit @ B_unit.T  # (m, n)


def _name_cosine(got: Array, A: Array, B: Array) -> None:
    """Raise NotYet with the misconception that explains ``got``, if one of the known ones does."""
    a, b = np.linalg.norm(A, axis=1), np.linalg.norm(B, axis=1)
    right = A @ B.T / np.outer(a, b)

    def same(other: Array) -> bool:
        return other.shape == got.shape and np.allclose(got, other, rtol=1e-5, atol=1e-8)

    if same(A @ B.T):
        raise NotYet(
            f"The first entry is {got[0, 0]:.3g}: these are the dot products. Divide by both lengths, so that "
            "long rows gain nothing."
        )
    if same(A @ B.T / a[:, None]) or same(A @ B.T / b):
        raise NotYet("Only one of the two lengths was divided away. A cosine needs both.")
    if same(A @ B.T / np.outer(a**2, b**2)):
        raise NotYet("The rows were divided by their squared lengths; the square root is missing.")
    if same(A @ B.T / (np.linalg.norm(A) * np.linalg.norm(B))):
        raise NotYet(
            "One length was taken for the whole matrix. Each row has a length of its own: use axis=1."
        )
    if same((A / np.linalg.norm(A, axis=0)) @ (B / np.linalg.norm(B, axis=0)).T):
        raise NotYet(
            "The columns were brought to length 1. The vectors are the rows, so take the lengths over axis 1."
        )
    if same(A @ B.T / np.outer(np.abs(A).sum(axis=1), np.abs(B).sum(axis=1))):
        raise NotYet("You divided by the sums of the entries. The length is the root of the sum of squares.")
    if same(1 - right):
        raise NotYet(
            "This is 1 minus the cosine, a distance: equal directions give 0 here and should give 1."
        )
    if same(np.arccos(np.clip(right, -1, 1))):
        raise NotYet("This is the angle. The cosine itself was asked for.")
    centred = [X - X.mean(axis=1, keepdims=True) for X in (A, B)]
    units = [X / np.linalg.norm(X, axis=1, keepdims=True) for X in centred]
    if same(units[0] @ units[1].T):
        raise NotYet("The rows were centred first, which gives correlations. A cosine leaves the mean in.")


@exercise(
    "vectors_and_matrices.dot",
    solution=_pairwise_cosine_solution,
    hints=[
        "The dot product is length times length times cosine. All dot products at once are one product of "
        "matrices.",
        "The lengths of the rows of A are np.linalg.norm(A, axis=1), of shape (m,). Shape them so that "
        "dividing A by them divides each row.",
        "Bring every row of both matrices to length 1, with keepdims=True, and then multiply one by the "
        "transpose of the other.",
    ],
)
def pairwise_cosine(answer: Any) -> None:
    """Cosines between all rows of two matrices."""
    rng = np.random.default_rng(5)
    cases = [
        (rng.normal(size=(4, 6)), rng.normal(size=(3, 6)) * np.array([[1.0], [10.0], [0.1]])),
        (rng.uniform(0.5, 2, (5, 5)) * np.arange(1, 6)[:, None], rng.normal(size=(5, 5))),
        (np.array([[3.0, 4.0]]), np.array([[4.0, 3.0], [-6.0, -8.0], [-4.0, 3.0]])),
    ]
    for A, B in cases:
        A_given, B_given = A.copy(), B.copy()
        got = as_array(call(answer, A_given, B_given), "The result")
        expect(
            np.array_equal(A, A_given) and np.array_equal(B, B_given),
            "Your function changed the arrays that it was given. `A /= ...` works in place; `A = A / ...` "
            "makes a new array.",
        )
        shape = (len(A), len(B))
        if got.shape == shape[::-1] and len(A) != len(B):
            raise NotYet(f"The result has shape {got.shape}: rows of B by rows of A. Turn it round.")
        expect(
            got.shape == shape,
            f"For A {A.shape} and B {B.shape} the result has shape {got.shape}; every row of A meets every "
            f"row of B, which makes {shape}.",
        )
        wanted = _pairwise_cosine_solution(A, B)
        if not np.allclose(got, wanted, rtol=1e-5, atol=1e-8):
            _name_cosine(got, A, B)
            close(got, wanted, "The result")
    m, n, d = 400, 300, 200
    used = peak_bytes(answer, np.ones((m, d)), np.ones((n, d)))
    expect(
        used < m * n * d,  # the array itself takes 4 or 8 bytes per number
        f"The numbers are right, but for {m} and {n} rows of {d} your function took {used / 1e6:.0f} MB: an "
        "(m, n, d) array was made. One product of matrices gives all dot products.",
    )


# ---------------------------------------------------------------------------- a map for each drawing


def _move_each_solution(points, W, b):
    # @ pairs the stacks: drawing i meets matrix i. The new axis of b, (m, 1, 2), is repeated over the points.
    return points @ W + b[:, None, :]


@exercise(
    "vectors_and_matrices.broadcast",
    solution=_move_each_solution,
    hints=[
        "@ multiplies the last two axes and lines up what stands before them. What is (m, n, 2) @ (m, 2, 2)?",
        "The product has shape (m, n, 2). Write the shape of b under it, aligned at the right. With which "
        "axis does its m line up?",
        "b has to become (m, 1, 2), so that it is repeated over the n points: index it with None in the "
        "middle.",
    ],
)
def move_each(answer: Any) -> None:
    """A different affine map for every drawing of a batch."""
    rng = np.random.default_rng(6)
    for m, n in [(4, 4), (3, 5), (1, 6), (7, 2)]:
        points, W, b = rng.normal(size=(m, n, 2)), rng.normal(size=(m, 2, 2)), 5 * rng.normal(size=(m, 2))
        kept = points.copy()
        try:
            value = call(answer, points, W, b)
        except ValueError as error:
            if "broadcast" not in str(error):
                raise
            raise NotYet(
                f"For {m} drawings of {n} points the shapes do not fit ({error}). b is (m, 2) and is aligned "
                "at the right of (m, n, 2): its m meets n. It needs an axis of size 1 in between."
            ) from None
        got = as_array(value, f"The result for {m} drawings of {n} points", shape=(m, n, 2))
        expect(np.array_equal(points, kept), "Your function changed the points that it was given.")
        wanted = _move_each_solution(points, W, b)
        if np.allclose(got, wanted, rtol=1e-5, atol=1e-8):
            continue
        where = f"For {m} drawings of {n} points"
        if m == n and np.allclose(got, points @ W + b):
            raise NotYet(
                f"{where} nothing is raised, but b[i] was added to point i of every drawing instead of to "
                "every point of drawing i. Aligned at the right, the m of b met the n of the points."
            )
        turned = np.swapaxes(W, 1, 2)
        if np.allclose(got, points @ turned + b[:, None, :]):
            raise NotYet(
                f"{where} the matrices were transposed. Points are rows here, x @ W[i], so (1, 0) goes to "
                "the first row of W[i]."
            )
        if np.allclose(got, points @ W):
            raise NotYet(f"{where} the shift b had no effect.")
        if np.allclose(got, (points + b[:, None, :]) @ W):
            raise NotYet(f"{where} the shift came before the matrix. x @ W + b multiplies first.")
        if np.allclose(got, points @ W[0] + b[0]):
            raise NotYet(f"{where} all were moved by the first map. Drawing i belongs to W[i] and b[i].")
        close(got, wanted, f"{where} the result")


# ---------------------------------------------------------------------------- brackets


def _cheapest_product_solution(sizes):
    # cost[i, j]: the cheapest way to multiply matrices i..j. The last product splits them at some s, and both
    # halves must then be done in their own cheapest way.
    count = len(sizes) - 1
    cost = {(i, i): 0 for i in range(count)}
    for length in range(2, count + 1):
        for i in range(count - length + 1):
            j = i + length - 1
            cost[i, j] = min(
                cost[i, s] + cost[s + 1, j] + sizes[i] * sizes[s + 1] * sizes[j + 1] for s in range(i, j)
            )
    return cost[0, count - 1]


def _left_to_right(sizes: list[int]) -> int:
    return sum(sizes[0] * sizes[i] * sizes[i + 1] for i in range(1, len(sizes) - 1))


def _right_to_left(sizes: list[int]) -> int:
    return _left_to_right(sizes[::-1])


def _greedy(sizes: list[int], pick: Any) -> int:
    """Do the product that looks best first, by ``pick`` over the costs, and so on."""
    sizes, total = list(sizes), 0
    while len(sizes) > 2:
        costs = [sizes[i - 1] * sizes[i] * sizes[i + 1] for i in range(1, len(sizes) - 1)]
        place = costs.index(pick(costs))
        total += costs[place]
        del sizes[place + 1]
    return total


@exercise(
    "vectors_and_matrices.matmul",
    solution=_cheapest_product_solution,
    hints=[
        "Whatever the brackets are, one product comes last. It cuts the chain into a left part and a right "
        "part. What does that last product cost, and what do the two parts cost?",
        "Between matrices i..s and s+1..j the last product costs sizes[i] * sizes[s + 1] * sizes[j + 1]. Try "
        "every s, and for both parts use their own cheapest cost.",
        "Many parts come up again and again. Keep their costs in a table: first all chains of one matrix "
        "(cost 0), then of two, of three. Or write it recursively under functools.cache.",
    ],
)
def cheapest_product(answer: Any) -> None:
    """The cheapest way to bracket a chain of matrix products."""
    cases = [
        [5, 7],
        [2, 3, 4],
        [1000, 2, 1000, 1],
        [1, 1000, 2, 1000],
        [10, 100, 5, 50],
        [40, 20, 30, 10, 30],
        [30, 35, 15, 5, 10, 20, 25],
        [8, 3, 9, 4, 7, 2, 6, 5, 3],
        [3 + (7 * i) % 11 for i in range(31)],
    ]
    for sizes in cases:
        value = call(answer, list(sizes))
        got = float(as_array(value, f"The cost for {len(sizes) - 1} matrices", shape=()))
        right = _cheapest_product_solution(sizes)
        if got == right:
            continue
        shown = f"cheapest_product({sizes})" if len(sizes) < 10 else f"A chain of {len(sizes) - 1} matrices"
        seen = f"{shown} gives {got:,.0f}"
        if len(sizes) == 2:
            raise NotYet(f"{seen}. A single matrix needs no multiplication at all: the cost is 0.")
        if got == 2 * right:
            raise NotYet(f"{seen}, twice the number. Only multiplications count here, not additions.")
        if got == min(_left_to_right(sizes), _right_to_left(sizes)):
            raise NotYet(f"{seen}, the better of the two ends. The brackets may also split the middle.")
        if got == _left_to_right(sizes):
            raise NotYet(f"{seen}, the price from left to right. Another bracket is cheaper here.")
        if got == _right_to_left(sizes):
            raise NotYet(f"{seen}, the price from right to left. Another bracket is cheaper here.")
        if got in (_greedy(sizes, min), _greedy(sizes, max)):
            raise NotYet(
                f"{seen}; {right:,} is possible. The product that is cheapest at the moment can make the "
                "following ones dear. Compare all places for the last product instead."
            )
        if got < right:
            raise NotYet(
                f"{seen}, less than any bracket can reach ({right:,}). Is the cost of both parts included, "
                "and that of the last product?"
            )
        raise NotYet(f"{seen}; {right:,} is possible.")
