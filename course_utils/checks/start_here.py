"""Checks of lesson 00, start here."""

from __future__ import annotations

import numpy as np

from course_utils.checks._engine import NotYet, as_array, attempted, call, close, exercise, expect

# ------------------------------------------------------------------------------------- first_answer


@exercise(
    "start_here.numpy",
    solution=[5, 7, 9],
    source="answer = [5, 7, 9]  # axis 0 runs down the rows and is summed away: 1+4, 2+5, 3+6",
    hints=[
        "`table` has shape (2, 3). `axis=0` names the axis that disappears. What shape is left?",
        "Three numbers are left, one for each column. The first one adds up 1 and the number below it.",
    ],
)
def first_answer(answer):
    """Predict a sum along an axis."""
    attempted(answer)
    result = as_array(answer, "Your answer")
    if result.shape == () and result == 21:
        raise NotYet(
            "21 is the sum of all six numbers, which is `table.sum()`. Here only axis 0 is summed away."
        )
    if result.shape == (2,) and np.array_equal(result, [6, 15]):
        raise NotYet(
            "[6, 15] holds the sums of the rows, which is `axis=1`. The axis you name is the one that "
            "disappears: "
            "axis 0 has length 2, so three numbers remain."
        )
    if result.ndim == 2:
        raise NotYet(
            f"Your answer has shape {result.shape}; summing over an axis removes it, so one axis is left."
        )
    close(result, [5, 7, 9], "Your answer")


# -------------------------------------------------------------------------------------- standardise


def _standardise_solution(X):
    return (X - X.mean(axis=0)) / X.std(axis=0)


@exercise(
    "start_here.numpy",
    solution=_standardise_solution,
    hints=[
        "Three steps: the mean of each column, the standard deviation of each column, and a subtraction "
        "and a "
        "division that NumPy broadcasts over the rows.",
        "`X.mean(axis=0)` has shape (3,) for an X of shape (4, 3): one mean for each column. The same "
        "goes for std.",
        "Subtract first, then divide all of it: (X - ...) / ... . Do not write into X.",
    ],
)
def standardise(function):
    """Columns with mean 0 and standard deviation 1."""
    X = np.array([[1.0, 200.0, 3.0], [2.0, 400.0, 5.0], [3.0, 600.0, 1.0], [6.0, 400.0, 7.0]])
    given = X.copy()
    result = as_array(call(function, given), "Your result")
    expect(
        np.array_equal(given, X),
        "Your function changed the X that it was given (`X -= ...` works in place). "
        "Make a new array: whoever called you may still need theirs.",
    )
    expect(
        result.shape == X.shape,
        f"Your result has shape {result.shape}; it should keep the shape of X, {X.shape}.",
    )
    wanted = _standardise_solution(X)
    centred = X - X.mean(axis=0)
    wrong = [
        (
            (X - X.mean()) / X.std(),
            "You used one mean and one standard deviation for the whole table, so "
            "the large "
            "second column decides for all. Name the axis: each column has its own.",
        ),
        (centred, "The columns now have mean 0, but not standard deviation 1: the division is missing."),
        (
            centred / X.var(axis=0),
            "You divide by the variance. Its unit is the square of the column's "
            "unit; the "
            "standard deviation is its root.",
        ),
        (
            X / X.std(axis=0),
            "The columns have standard deviation 1, but their means are not 0: the subtraction is missing.",
        ),
        (
            X - X.mean(axis=0) / X.std(axis=0),
            "Division binds tighter than subtraction: without brackets "
            "around "
            "`X - mean`, only the mean is divided.",
        ),
        (
            centred / X.std(axis=0, ddof=1),
            "Almost: you divide by the deviation with n - 1 (`ddof=1`). The "
            "task's worked "
            "value, and this course, use NumPy's default, n.",
        ),
        (
            (X - X.mean(axis=1, keepdims=True)) / X.std(axis=1, keepdims=True),
            "You standardised the rows. "
            "`axis=0` "
            "is the axis that disappears, so it gives one mean for each column.",
        ),
    ]
    for value, message in wrong:
        if np.allclose(result, value):
            raise NotYet(message)
    close(result, wanted, "Your result")
    other = np.array([[1.0, 2.0], [3.0, 2.5]])
    close(call(function, other), [[-1.0, -1.0], [1.0, 1.0]], "Your result for a table of shape (2, 2)")


# ------------------------------------------------------------------------------------ gradient_step


def _gradient_step_solution(w, b, x, y, learning_rate):
    error = w * x + b - y  # (n,)
    grad_w = 2 * (error * x).mean()
    grad_b = 2 * error.mean()
    return w - learning_rate * grad_w, b - learning_rate * grad_b


@exercise(
    "start_here.fit",
    solution=_gradient_step_solution,
    hints=[
        "One pass of the loop in the lesson is one step. Which two slopes does it compute, and from which "
        "w and b?",
        "error = w * x + b - y, shape (n,). The slope for b is twice its mean; the slope for w weighs "
        "each error "
        "with its x first.",
        "Compute both slopes before you change either w or b. Then walk against them: new = old - "
        "learning_rate * slope.",
    ],
)
def gradient_step(step):
    """One step of gradient descent for a line."""
    x = np.array([0.0, 1.0, 2.0, 5.0])
    y = np.array([1.0, 2.0, 2.0, 7.0])
    w, b, rate = 0.5, -1.0, 0.1
    answer = call(step, w, b, x.copy(), y.copy(), rate)
    expect(
        isinstance(answer, (tuple, list)) and len(answer) == 2,
        "Return two things, the new w and the new b.",
    )
    new_w = float(as_array(answer[0], "The new w", shape=()))
    new_b = float(as_array(answer[1], "The new b", shape=()))
    error = w * x + b - y
    grad_w, grad_b = 2 * (error * x).mean(), 2 * error.mean()

    def is_step(dw, db):
        return np.isclose(new_w, w + dw) and np.isclose(new_b, b + db)

    if is_step(rate * grad_w, rate * grad_b):
        raise NotYet(
            "Your step goes uphill: w and b move along their slopes, so the error grows. Either the minus "
            "sign in "
            "the step is missing or the error has its sign the wrong way round."
        )
    if is_step(-rate * grad_w * 4, -rate * grad_b * 4):
        raise NotYet(
            "Your slopes are four times too large here, and there are four points: you sum over the "
            "points where "
            "the loss takes the mean. With more data every step would grow."
        )
    if is_step(-rate * grad_w / 2, -rate * grad_b / 2):
        raise NotYet(
            "Your step is half as long as it should be: the 2 from the derivative of the square is missing."
        )
    if is_step(-grad_w, -grad_b):
        raise NotYet("You take the whole slope as the step; multiply it by the learning rate.")
    moved = w - rate * grad_w
    if is_step(-rate * grad_w, -rate * 2 * (moved * x + b - y).mean()):
        raise NotYet(
            "w is right, but the slope for b was computed with the new w. Both slopes belong to the point "
            "where "
            "you stand: compute both, then step."
        )
    if np.isclose(new_w, w - rate * grad_b) and not np.isclose(grad_w, grad_b):
        raise NotYet("The slope for w has to weigh each error with its x: the mean of error * x.")
    close(new_w, w - rate * grad_w, "The new w")
    close(new_b, b - rate * grad_b, "The new b")
    still = call(step, 2.0, 1.0, x.copy(), 2 * x + 1, 0.3)
    close(still[0], 2.0, "The new w when the line already fits perfectly")
    close(still[1], 1.0, "The new b when the line already fits perfectly")


# --------------------------------------------------------------------------------- shuffle_together


def _shuffle_together_solution(X, y, seed):
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(X))
    return X[order], y[order]


@exercise(
    "start_here.seed",
    solution=_shuffle_together_solution,
    hints=[
        "Two shuffles of two arrays are two different orders. How can one order serve both?",
        "Draw the order itself: a permutation of the numbers 0 to n - 1. Indexing an array with it "
        "reorders its rows.",
        "Make the generator inside the function, np.random.default_rng(seed), so that each call starts it "
        "afresh and "
        "nothing outside is touched.",
    ],
)
def shuffle_together(shuffle):
    """Shuffle examples and labels in the same, repeatable order."""
    n = 30
    X = np.column_stack([np.arange(n), np.arange(n) ** 2]).astype(float)
    y = np.arange(n)
    given_X, given_y = X.copy(), y.copy()
    before = np.random.get_state()

    def run(seed):
        answer = call(shuffle, given_X, given_y, seed)
        expect(
            isinstance(answer, (tuple, list)) and len(answer) == 2,
            "Return two arrays, the shuffled X and the shuffled y.",
        )
        return as_array(answer[0], "Your X", shape=(n, 2)), as_array(answer[1], "Your y", shape=(n,))

    try:
        first_X, first_y = run(7)
        after = np.random.get_state()
        expect(
            np.array_equal(given_X, X) and np.array_equal(given_y, y),
            "Your function reordered the arrays it was given (`rng.shuffle` works in place). Return new "
            "ones.",
        )
        expect(
            np.array_equal(np.sort(first_y), y),
            "Some labels are missing or stand twice. An order visits every example once: draw a "
            "permutation, not "
            "random integers.",
        )
        expect(
            np.array_equal(first_X[:, 0], first_y),
            "The pairs are torn apart: examples and labels were shuffled in two different orders, so most "
            "examples "
            "now carry another one's label. No error message will ever tell you.",
        )
        expect(not np.array_equal(first_y, y), "The order has not changed at all.")
        again_X, again_y = run(7)
        expect(
            np.array_equal(first_X, again_X) and np.array_equal(first_y, again_y),
            "Two calls with the same seed gave two different orders. The generator has to start from the "
            "seed in "
            "each call.",
        )
        _, other_y = run(8)
        expect(
            not np.array_equal(first_y, other_y),
            "Seeds 7 and 8 gave the same order: the seed does not reach the generator.",
        )
        expect(
            all(np.array_equal(p, q) for p, q in zip(before, after, strict=True)),
            "Your function moves NumPy's global generator (`np.random.seed` or `np.random.shuffle`), "
            "which other code "
            "may depend on. A generator of your own, `np.random.default_rng(seed)`, leaves it alone.",
        )
    finally:
        np.random.set_state(before)
