"""Checks of lesson 01, the perceptron."""

from __future__ import annotations

import numpy as np

from course_utils.checks._engine import NotYet, as_array, call, close, exercise, expect

# -------------------------------------------------------------------------------- update_zero_one


def _update_zero_one_solution(w, b, x, t):
    prediction = 1 if x @ w + b > 0 else 0
    error = t - prediction  # +1, 0 or -1
    return w + error * x, b + error


@exercise(
    "perceptron.update",
    solution=_update_zero_one_solution,
    hints=[
        "Which three values can t - prediction take, and what should happen to w in each of the three cases?",
        "One number, error = t - prediction, carries both the decision to learn (is it 0?) and the "
        "direction.",
        "The bias learns like a weight whose input is always 1. Build new arrays: `w += ...` changes the "
        "caller's.",
    ],
)
def update_zero_one(update):
    """One learning step with labels 0 and 1."""
    x = np.array([2.0, 3.0])

    def run(w, b, t):
        given = np.array(w, dtype=float)
        answer = call(update, given, float(b), x.copy(), t)
        expect(
            isinstance(answer, (tuple, list)) and len(answer) == 2,
            "Return two things, the new w and the new b.",
        )
        expect(
            np.array_equal(given, w),
            "Your function changed the w that it was given (`w += ...` works in place). Return a new array: "
            "a caller who keeps the old weights for comparison would find them altered.",
        )
        new_w = as_array(answer[0], "The new w", shape=(2,))
        new_b = float(as_array(answer[1], "The new b", shape=()))
        return new_w, new_b

    def same(answer, w, b):
        return np.allclose(answer[0], w) and np.isclose(answer[1], b)

    # a missed positive example: z = -1, t = 1
    missed = run([1.0, -1.0], 0.0, 1)
    expect(
        not same(missed, [-1.0, -4.0], -1.0),
        "On a positive example with score -1 you subtract x, which makes the score even lower. "
        "The sign of the error is the other way round: t - prediction.",
    )
    expect(
        not np.allclose(missed[0], [1.0, -1.0]),
        "w = (1, -1), b = 0, x = (2, 3), t = 1: the score is -1, so the prediction is 0 and wrong, "
        "but your w did not change.",
    )
    expect(
        missed[1] != 0.0 or not np.allclose(missed[0], [3.0, 2.0]),
        "w is right after a missed positive example, but b did not move. "
        "The bias is a weight with the constant input 1.",
    )
    close(missed[0], [3.0, 2.0], "w after a missed positive example")
    close(missed[1], 1.0, "b after a missed positive example")

    # a false alarm: z = 5, t = 0
    alarm = run([1.0, 1.0], 0.0, 0)
    expect(
        not same(alarm, [1.0, 1.0], 0.0),
        "An example of class 0 that scored 5 left your weights as they were. Probably you multiply by t, "
        "and 0 times x teaches nothing: with labels 0/1 the error t - prediction takes the place of y.",
    )
    close(alarm[0], [-1.0, -2.0], "w after a false alarm (t = 0, score 5)")
    close(alarm[1], -1.0, "b after a false alarm (t = 0, score 5)")

    # right answers change nothing
    for w, t, what in [([1.0, 1.0], 1, "1 with score 5"), ([-1.0, -1.0], 0, "0 with score -5")]:
        kept = run(w, 0.0, t)
        expect(
            same(kept, w, 0.0),
            f"An example of class {t} that was classified right ({what}) changed your weights. "
            "The perceptron learns from mistakes only.",
        )

    # ties: a score of 0 predicts class 0
    tie = run([3.0, -2.0], 0.0, 1)
    expect(
        same(tie, [5.0, 1.0], 1.0), "A score of exactly 0 predicts class 0, so with t = 1 it is a mistake."
    )
    tie = run([3.0, -2.0], 0.0, 0)
    expect(
        same(tie, [3.0, -2.0], 0.0), "A score of exactly 0 predicts class 0, so with t = 0 nothing changes."
    )


# ----------------------------------------------------------------------------------------- margin


def _margin_solution(X, y, w, b):
    signed_distances = (X @ w + b) / np.linalg.norm(w)
    return (y * signed_distances).min()


@exercise(
    "perceptron.geometry",
    solution=_margin_solution,
    hints=[
        "Start from the signed distance of every example to the line; the label says which sign it should "
        "have.",
        "y times the signed distance is positive for an example on its own side. The margin is the worst "
        "of them.",
        "The norm that turns a score into a distance is that of w alone; b only moves the line.",
    ],
)
def margin(margin_of):
    """The margin of a line on a labelled set."""
    X = np.array([[3.0, 4.0], [1.0, 1.0], [-2.0, 0.0], [0.0, -1.0]])
    y = np.array([1, 1, -1, -1])
    w, b = np.array([3.0, 4.0]), -2.0  # scores 23, 5, -8, -6; ||w|| = 5
    result = as_array(call(margin_of, X.copy(), y.copy(), w.copy(), b), "Your margin", shape=())
    value = float(result)
    scores = X @ w + b
    wrong = {
        (y * scores).min(): "You return the smallest y·z; divide by the length of w to make it a distance.",
        (y * scores).min() / np.sqrt(w @ w + b * b): "You divide by the length of (w, b). That is the "
        "margin of "
        "the proof, in the augmented space; the distance in the plane divides by the length of w alone.",
        (y * scores).mean() / 5: "That is the mean of the distances; the margin is the worst case, the "
        "smallest.",
        (y * scores).max() / 5: "That is the largest distance; the margin is the smallest.",
        scores.min() / 5: "You took the smallest signed distance without the labels: a negative example "
        "far on "
        "its own side then counts as the worst. Multiply by y first.",
        (y * (X @ w)).min() / 5: "The bias is missing: the distance of a point to the line is (w·x + "
        "b)/||w||.",
        (y * scores).min() / 25: "You divide by w·w, the squared length; the distance divides by the length.",
    }
    for answer, message in wrong.items():
        if np.isclose(value, answer) and not np.isclose(value, 1.0):
            raise NotYet(message)
    close(result, 1.0, "The margin of the line 3x1 + 4x2 - 2 = 0 on the check's four points")

    flipped = y.copy()
    flipped[1] = -1  # now one example is on the wrong side, by 1
    result = as_array(call(margin_of, X.copy(), flipped, w.copy(), b), "Your margin", shape=())
    expect(
        not np.isclose(float(result), 1.0) or np.isclose(float(result), -1.0),
        "With one example on the wrong side your margin is still positive: the absolute value hides the "
        "mistake. "
        "y·(w·x + b) is negative exactly for the examples that are wrong.",
    )
    close(result, -1.0, "The margin when one example lies on the wrong side")
    scaled = as_array(call(margin_of, X.copy(), y.copy(), 10 * w, 10 * b), "Your margin", shape=())
    close(scaled, 1.0, "The margin after w and b were both multiplied by ten (the same line)")


# ---------------------------------------------------------------------------------- train_pocket


def _train_pocket_solution(X, y, epochs):
    w, b = np.zeros(X.shape[1]), 0.0
    best_w, best_b, fewest = w, b, len(X)
    for _ in range(epochs):
        for x_i, y_i in zip(X, y, strict=True):
            if y_i * (x_i @ w + b) <= 0:
                w, b = w + y_i * x_i, b + y_i
                errors = (y * (X @ w + b) <= 0).sum()
                if errors < fewest:
                    best_w, best_b, fewest = w, b, errors
    return best_w, best_b


def _overlapping() -> tuple[np.ndarray, np.ndarray]:
    """Two overlapping clouds whose last perceptron weights are clearly worse than the best ones."""
    rng = np.random.default_rng(4)
    y = np.where(np.arange(40) % 2 == 0, 1, -1)
    X = rng.normal(size=(40, 2)) + 0.8 * y[:, None] + np.array([2.0, 0.0])
    return X, y


def _last_weights(X, y, epochs):
    w, b = np.zeros(X.shape[1]), 0.0
    for _ in range(epochs):
        for x_i, y_i in zip(X, y, strict=True):
            if y_i * (x_i @ w + b) <= 0:
                w, b = w + y_i * x_i, b + y_i
    return w, b


@exercise(
    "perceptron.train",
    solution=_train_pocket_solution,
    hints=[
        "Write the training loop of the lesson first; then, after each update, ask how many training "
        "examples the "
        "new weights get wrong.",
        "Keep three things in the pocket: the best w, the best b and their number of errors. Replace all "
        "three when "
        "an update leads to fewer errors.",
        "If the best w changes together with w, both names hold one array: write `w = w + y_i * x_i`, "
        "which makes a "
        "new array, rather than `w += ...`. The errors of all examples: (y * (X @ w + b) <= 0).sum().",
    ],
)
def train_pocket(train):
    """The pocket algorithm: keep the best weights of the run."""

    def run(X, y, epochs):
        answer = call(train, X.copy(), y.copy(), epochs)
        expect(isinstance(answer, (tuple, list)) and len(answer) == 2, "Return two things, w and b.")
        w = as_array(answer[0], "Your w", shape=(X.shape[1],))
        b = float(as_array(answer[1], "Your b", shape=()))
        return w, b, int((y * (X @ w + b) <= 0).sum())

    # separable, and only with a bias: everything left of x1 = 3 is negative
    X = np.array([[1.0, 0.0], [5.0, 1.0], [2.0, -1.0], [4.0, 0.0], [1.5, 1.0], [4.5, -1.0]])
    y = np.array([-1, 1, -1, 1, -1, 1])
    w, b, errors = run(X, y, 100)
    expect(
        np.any(w != 0),
        "After 100 epochs on a separable set your w is still all zeros: no update reached it. "
        "At zero weights every score is 0, and a score of 0 has to count as a mistake (y·z <= 0).",
    )
    expect(
        not np.allclose(w, 100 * (y @ X)),
        "You add y·x for every example, right or wrong. The perceptron changes its weights on mistakes only.",
    )
    expect(
        b != 0.0,
        "Your b is 0 on a set that no line through the origin separates: the bias is never updated (b + y).",
    )
    expect(
        errors == 0,
        f"On a separable set, after 100 epochs, your weights still get {errors} of 6 examples wrong; "
        "the rule w + y·x, b + y on each mistake separates it well before that.",
    )

    # not separable: the last weights are not the best
    X, y = _overlapping()
    w, b, errors = run(X, y, 10)
    best_w, best_b = _train_pocket_solution(X, y, 10)
    fewest = int((y * (X @ best_w + best_b) <= 0).sum())
    last = _last_weights(X, y, 10)
    if np.allclose(w, last[0]) and np.isclose(b, last[1]):
        raise NotYet(
            f"You return the last weights of the run, which get {errors} of 40 examples wrong; earlier "
            "ones got only "
            f"{fewest} wrong. If you do keep the best, look for `w += ...`: it changes the array that "
            "your pocket "
            "holds as well."
        )
    expect(
        errors <= fewest,
        f"Your weights get {errors} of 40 overlapping examples wrong, and the run passed through weights "
        "with only "
        f"{fewest}. Compare after every update, with the errors on all examples, and keep w and b together.",
    )


# -------------------------------------------------------------------------------------- tight_set


def _tight_set_solution():
    # Rows are orthogonal, all of length 2, and end in the constant 1 that the bias sees.
    augmented = np.array(
        [
            [1.0, 1.0, 1.0, 1.0],
            [-1.0, 1.0, -1.0, 1.0],
            [1.0, -1.0, -1.0, 1.0],
            [-1.0, -1.0, 1.0, 1.0],
        ]
    )
    y = np.array([1, -1, 1, -1])
    v = y @ augmented  # the sum of y * (x, 1): as far from every example as from any other
    return augmented[:, :-1], y, v[:-1], v[-1]


@exercise(
    "perceptron.bound",
    solution=_tight_set_solution,
    hints=[
        "The bound is reached when no inequality of the proof loses anything. Look at each of the three: "
        "when is it "
        "an equality?",
        "Every mistake has to gain exactly γ, so all examples lie equally far from the separator; and "
        "every mistake "
        "has to happen at score exactly 0, on an example of length R. What does score 0 mean for the "
        "weights so far, "
        "which are a sum of earlier examples?",
        "So the augmented vectors (x, 1) must be orthogonal to each other and equally long, and the "
        "separator is "
        "their sum, each times its label. Four such vectors with a last entry of 1 fit into four dimensions.",
    ],
)
def tight_set(build):
    """A set on which the mistake bound is reached."""
    answer = call(build)
    expect(
        isinstance(answer, (tuple, list)) and len(answer) == 4,
        "Return four things: X, y and a separator w, b.",
    )
    X = as_array(answer[0], "X", shape=(None, None))
    n, d = X.shape
    y = as_array(answer[1], "y", shape=(n,))
    w = as_array(answer[2], "w", shape=(d,))
    b = float(as_array(answer[3], "b", shape=()))
    expect(set(np.unique(y)) <= {-1.0, 1.0}, f"The labels are {np.unique(y)}; they have to be -1 and +1.")
    expect(
        len(np.unique(X, axis=0)) >= 4,
        f"Your set has {len(np.unique(X, axis=0))} different points; at least four are asked for.",
    )
    expect(np.linalg.norm(np.append(w, b)) > 0, "Your separator is all zeros.")
    augmented = np.column_stack([X, np.ones(n)])
    unit = np.append(w, b) / np.linalg.norm(np.append(w, b))
    gamma = (y * (augmented @ unit)).min()
    expect(
        gamma > 1e-9,
        f"Your (w, b) does not separate your set: the smallest y·(w·x + b) is {(y * (X @ w + b)).min():.3g}. "
        "Check the labels, and that b is the weight of the constant 1.",
    )
    longest = np.linalg.norm(augmented, axis=1).max()
    bound = (longest / gamma) ** 2
    v, mistakes, gains, growths = np.zeros(d + 1), 0, [], []
    for _ in range(10_000):
        clean = True
        for x_i, y_i in zip(augmented, y, strict=True):
            if y_i * (x_i @ v) <= 1e-12:
                new = v + y_i * x_i
                gains.append(unit @ (new - v) / gamma)
                growths.append((new @ new - v @ v) / longest**2)
                v, mistakes, clean = new, mistakes + 1, False
        if clean or mistakes > 10_000:
            break
    if mistakes >= 0.999 * bound:
        return
    gain, growth = float(np.mean(gains)), float(np.mean(growths))
    loose = []
    if gain > 1.001:
        loose.append(
            f"a mistake gains {gain:.3g} times γ on average, so some examples are further away than γ"
        )
    if growth < 0.999:
        loose.append(
            f"the squared length grows by {growth:.3g} times R² a mistake on average, so examples are "
            "shorter than R "
            "or were missed by more than nothing"
        )
    if not loose:
        loose.append("the weights do not end parallel to your separator: the sum of all y·(x, 1) would")
    raise NotYet(
        f"The perceptron makes {mistakes} mistakes on your set and the bound is {bound:.4g}. Where the "
        "proof loses: " + "; ".join(loose) + "."
    )
