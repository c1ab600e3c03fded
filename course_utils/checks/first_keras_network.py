"""Checks of lesson 10: evaluation in batches, standardising, clipping, label smoothing."""

from __future__ import annotations

from typing import Any

import numpy as np

from course_utils.checks._engine import NotYet, as_array, attempted, call, close, exercise, expect

Array = np.ndarray


def _same(value: Any, other: Any, *, rtol: float = 1e-6) -> bool:
    return bool(np.allclose(value, other, rtol=rtol, atol=1e-8, equal_nan=True))


# ---------------------------------------------------------------------------- accuracy in batches


def _accuracy_in_batches_solution(predict, X, y, batch_size):
    correct = 0
    for first in range(0, len(X), batch_size):
        rows = slice(first, first + batch_size)
        logits = predict(X[rows])  # (batch, K)
        correct += np.sum(np.argmax(logits, axis=1) == y[rows])
    return correct / len(X)


def _logits_with(right: list[bool], classes: int) -> tuple[Array, Array]:
    """Logits, many of them negative, whose largest entry hits or misses the label as ``right`` says."""
    labels = np.array([(3 * i + 1) % classes for i in range(len(right))])
    logits = np.tile(-3.0 + 0.5 * np.arange(classes), (len(right), 1))
    for row, (label, hit) in enumerate(zip(labels, right, strict=True)):
        logits[row, label if hit else (label + 1) % classes] = 2.0 + row % 3
    return logits, labels


@exercise(
    "first_keras_network.loop",
    solution=_accuracy_in_batches_solution,
    hints=[
        "What would go wrong with the mean of the batch accuracies if the last batch held a single example?",
        "Count right answers over all batches and divide once, at the end, by the number of examples.",
        "For each slice of batch_size rows: np.argmax(predict(rows), axis=1) gives one class per row; "
        "compare "
        "with the same slice of y and add the number of hits to a running total.",
    ],
)
def accuracy_in_batches(answer: Any) -> None:
    """Accuracy over all examples, computed batch by batch."""
    patterns = [
        ([True, True, True, True, True, True, False, False, False], 4),
        ([False, True, False, True, True, True, True, False, True, True, True], 4),
        ([True, False, True, True, False, True], 3),
        ([True, False, True], 8),
    ]
    for right, batch_size in patterns:
        X, y = _logits_with(right, classes=4)
        sizes: list[int] = []

        def predict(rows: Any, seen: list[int] = sizes) -> Array:
            rows = np.asarray(rows)
            if rows.ndim != 2:
                raise NotYet(
                    f"predict was called with an array of shape {rows.shape}; it takes a batch of rows "
                    "(batch, features), so slice with X[first : first + batch_size]."
                )
            seen.append(len(rows))
            return rows.copy()  # the features are the logits

        value = call(answer, predict, X.copy(), y.copy(), batch_size)
        got = float(as_array(value, "accuracy_in_batches(...)", shape=()))
        wanted = float(np.mean(right))
        name = f"With {len(y)} examples and batch_size={batch_size} the result is {got:.4g}"
        expect(sizes, "The model was never asked: predict has to be called on each batch.")
        expect(
            max(sizes) <= batch_size,
            f"predict was called with {max(sizes)} rows at once, although batch_size is {batch_size}.",
        )
        whole = len(y) // batch_size * batch_size
        if _same(got, wanted) and sum(sizes) == len(y):
            continue
        cuts = [slice(i, i + batch_size) for i in range(0, len(y), batch_size)]
        hits = np.array(right)
        if sum(sizes) < len(y) or (whole and _same(got, hits[:whole].mean()) and whole < len(y)):
            raise NotYet(
                f"{name}; {len(y) - min(whole, sum(sizes))} of the examples never counted: the last, smaller "
                "batch was left out."
            )
        if _same(got, np.mean([hits[cut].mean() for cut in cuts])):
            raise NotYet(
                f"{name}, which is the mean of the batch accuracies. The last batch holds only "
                f"{len(y) - (len(cuts) - 1) * batch_size}, so its examples counted too much. Count hits and "
                "divide once."
            )
        if _same(got, hits.sum()):
            raise NotYet(f"{name}: that is the number of right answers, not their share.")
        if _same(got, 100 * wanted):
            raise NotYet(f"{name}: that is a percentage; the share lies between 0 and 1.")
        if _same(got, 1 - wanted):
            raise NotYet(f"{name}: that is the share of mistakes.")
        by_column = 0
        for cut in cuts:
            columns = X[cut].argmax(axis=0)
            count = min(len(columns), len(y[cut]))
            by_column += int(np.sum(columns[:count] == y[cut][:count]))
        if _same(got, by_column / len(y)):
            raise NotYet(
                f"{name}. The argmax was taken over axis 0: it found, for each class, the example with the "
                "largest logit. Each row needs its largest class, axis 1."
            )
        if _same(got, np.mean((X > 0.5).argmax(axis=1) == y)) or _same(got, np.mean(np.round(X[:, 0]) == y)):
            raise NotYet(
                f"{name}: logits were taken for probabilities. Only their order within a row counts."
            )
        raise NotYet(f"{name}; {int(hits.sum())} of {len(y)} are right, so it should be {wanted:.4g}.")


# ---------------------------------------------------------------------------- standardising


def _standardise_solution(X_train, X_other):
    mean = X_train.mean(axis=0)  # (d,)
    spread = X_train.std(axis=0)
    spread = np.where(spread == 0, 1.0, spread)  # a constant feature: leave its scale alone
    return (X_train - mean) / spread, (X_other - mean) / spread


@exercise(
    "first_keras_network.protocol",
    solution=_standardise_solution,
    hints=[
        "Which rows may the mean and the spread be computed from? What will be available when one new image "
        "arrives?",
        "One mean and one standard deviation per feature, axis=0, from X_train only; both arrays are treated "
        "with them.",
        "Where the spread is 0, divide by 1 instead: np.where(spread == 0, 1.0, spread).",
    ],
)
def standardise(answer: Any) -> None:
    """Standardise features with training statistics only."""
    rng = np.random.default_rng(10)
    train = rng.normal([2.0, -1.0, 0.0, 5.0], [3.0, 0.5, 1.0, 0.1], (7, 4))
    train[:, 2] = 4.0  # constant in training ...
    other = rng.normal([6.0, 0.0, 4.5, 5.2], [1.0, 2.0, 1.0, 0.3], (5, 4))  # ... but not elsewhere
    given = train.copy(), other.copy()
    with np.errstate(all="ignore"):
        value = call(answer, *given)
    expect(
        isinstance(value, (tuple, list)) and len(value) == 2,
        f"The function should return both arrays, training first; it returned a {type(value).__name__}.",
    )
    for part in value:
        attempted(part)
    got_train = as_array(value[0], "The standardised training array", shape=train.shape)
    got_other = as_array(value[1], "The other array", shape=other.shape)
    unchanged = np.array_equal(given[0], train) and np.array_equal(given[1], other)
    expect(unchanged, "The input arrays were changed in place. Whoever called the function still needs them.")

    def scaled(X: Array, reference: Array, axis: int | None = 0, ddof: int = 0) -> Array:
        with np.errstate(all="ignore"):
            return (X - reference.mean(axis=axis, keepdims=True)) / reference.std(
                axis=axis, ddof=ddof, keepdims=True
            )

    keep = [0, 1, 3]
    both = np.concatenate([train, other])
    if not np.isfinite(got_train).all() or not np.isfinite(got_other).all():
        raise NotYet(
            "There are values that are not finite. A feature that is constant in training has spread 0, and "
            "dividing by it gives nan or inf. Corner pixels are such features."
        )
    if _same(got_train[:, keep], scaled(train, both)[:, keep]):
        raise NotYet(
            "Mean and spread were computed from both arrays together: information about the other rows "
            "leaked into the training data."
        )
    if _same(got_train, scaled(train, train, axis=None)):
        raise NotYet(
            "One mean and one spread for all features together were used; each feature needs its own "
            "(axis=0)."
        )
    if _same(got_train[:, keep], scaled(train, train, axis=1)[:, keep]):
        raise NotYet(
            "Each row was standardised by itself (axis 1). The statistics belong to features: axis 0."
        )
    if _same(got_train[:, keep], (train - train.mean(axis=0))[:, keep]):
        raise NotYet(
            "The training features have mean 0, but their spread is unchanged: divide by the standard "
            "deviation."
        )
    if _same(got_train[:, keep], scaled(train, train, ddof=1)[:, keep]):
        spread = got_train[:, 0].std()
        raise NotYet(
            f"The first training feature comes out with standard deviation {spread:.4f}: it was divided by "
            "the "
            "sample estimate (ddof=1). Use np.std as it is, ddof=0."
        )
    with np.errstate(all="ignore"):
        variance = (train - train.mean(axis=0)) / train.var(axis=0)
    if _same(got_train[:, keep], variance[:, keep]):
        raise NotYet("It was divided by the variance; the standard deviation is its square root.")
    close(got_train[:, keep], scaled(train, train)[:, keep], "The standardised training array")
    close(got_train[:, 2], np.zeros(7), "The constant training feature", atol=1e-5)
    if _same(got_other[:, keep], scaled(other, other)[:, keep]):
        raise NotYet(
            "The other array was standardised with its own mean and spread. The same image would then get "
            "other values depending on what arrives with it; use the training statistics."
        )
    if _same(got_other, other):
        raise NotYet("The other array came back unchanged; the network would see it in another unit.")
    close(got_other[:, keep], scaled(other, train)[:, keep], "The other array")


# ---------------------------------------------------------------------------- clipping


def _clip_gradients_solution(gradients, max_norm):
    from keras import ops

    norm = ops.sqrt(sum(ops.sum(ops.square(gradient)) for gradient in gradients))
    factor = ops.minimum(1.0, max_norm / ops.maximum(norm, 1e-12))
    return [gradient * factor for gradient in gradients]


@exercise(
    "first_keras_network.fit",
    solution=_clip_gradients_solution,
    hints=[
        "Clipping should shorten the step without turning it. Which operation on a vector does that?",
        "The norm of the long vector is the root of the sum of all squares, over all arrays of the list.",
        "factor = min(1, max_norm / norm), and every array is multiplied by it. Mind a norm of 0. With "
        "keras.ops.sum, square, sqrt and minimum it also works inside a graph.",
    ],
)
def clip_gradients(answer: Any) -> None:
    """Clip gradients by their common norm."""
    rng = np.random.default_rng(4)
    large = [rng.normal(0, 2, (3, 4)), rng.normal(0, 0.1, 4), rng.normal(0, 1, (2, 2, 2))]
    small = [0.01 * g for g in large]
    cases = [(large, 1.5), ([[[3.0]], [[4.0]]], 1.0), (small, 1.5), ([np.zeros((2, 3)), np.zeros(3)], 1.0)]
    for gradients, max_norm in cases:
        arrays = [np.array(g, dtype="float32") for g in gradients]
        given = [g.copy() for g in arrays]
        with np.errstate(all="ignore"):
            value = call(answer, given, max_norm)
        if value is None:
            raise NotYet("clip_gradients returned None: is the `return` missing?")
        expect(
            isinstance(value, (list, tuple)) and len(value) == len(arrays),
            f"It should return a list of {len(arrays)} arrays, one per gradient; it returned a "
            f"{type(value).__name__}" + (f" of {len(value)}." if isinstance(value, (list, tuple)) else "."),
        )
        got = [
            as_array(v, f"gradient {i}", shape=a.shape)
            for i, (v, a) in enumerate(zip(value, arrays, strict=True))
        ]
        _judge_clipping(arrays, got, max_norm)
        expect(
            all(np.array_equal(a, b) for a, b in zip(given, arrays, strict=True)),
            "The gradients that were passed in have been changed in place; return new ones.",
        )


def _judge_clipping(arrays: list[Array], got: list[Array], max_norm: float) -> None:
    flat, out = (np.concatenate([a.ravel() for a in parts]) for parts in (arrays, got))
    norm = float(np.linalg.norm(flat))
    expect(
        np.isfinite(out).all(),
        f"For gradients of norm {norm:.3g} there are values that are not finite. A gradient of 0 has norm 0.",
    )
    wanted = flat * min(1.0, max_norm / norm) if norm > 0 else flat
    if _same(out, wanted, rtol=1e-4):
        return
    size = (
        f"Gradients of common norm {norm:.3g} with max_norm={max_norm:g} came out with norm "
        f"{np.linalg.norm(out):.3g}"
    )
    if norm <= max_norm:
        if np.linalg.norm(out) > norm:
            raise NotYet(f"{size}: they were enlarged. Gradients within the limit stay as they are.")
        raise NotYet(f"{size}. Gradients within the limit stay as they are.")
    if _same(out, np.clip(flat, -max_norm, max_norm), rtol=1e-4):
        raise NotYet(
            f"{size}: every entry was clipped by itself, which turns the step into another direction."
        )
    each = np.concatenate(
        [(a * min(1.0, max_norm / max(float(np.linalg.norm(a)), 1e-12))).ravel() for a in arrays]
    )
    if _same(out, each, rtol=1e-4):
        raise NotYet(
            f"{size}: each array was clipped by its own norm. Layers were shortened by different factors, so "
            "the step changed its direction. One norm over all arrays, one factor."
        )
    total = float(sum(np.linalg.norm(a) for a in arrays))
    if _same(out, flat * min(1.0, max_norm / total), rtol=1e-4):
        raise NotYet(f"{size}: the norms of the arrays were added. Add their squares and take one root.")
    if _same(out, flat * min(1.0, max_norm / norm**2), rtol=1e-4):
        raise NotYet(f"{size}: the root is missing, so it was divided by the squared norm.")
    if _same(out, flat / norm, rtol=1e-4):
        raise NotYet(f"{size}: they were scaled to norm 1 instead of max_norm.")
    if _same(out, flat, rtol=1e-4):
        raise NotYet(f"{size}: nothing was clipped.")
    raise NotYet(f"{size}; it should be {min(norm, max_norm):.3g}, with the direction unchanged.")


# ---------------------------------------------------------------------------- label smoothing


def _smoothed_cross_entropy_solution(labels, logits, smoothing):
    shifted = logits - logits.max(axis=1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))  # (n, K)
    true_class = log_p[np.arange(len(labels)), labels]  # (n,)
    return -np.mean((1 - smoothing) * true_class + smoothing * log_p.mean(axis=1))


def _log_softmax(logits: Array, axis: int = 1) -> Array:
    shifted = logits - logits.max(axis=axis, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=axis, keepdims=True))


@exercise(
    "first_keras_network.model",
    solution=_smoothed_cross_entropy_solution,
    hints=[
        "Write down the target vector t for K = 4, true class 2 and smoothing 0.2. Does it sum to 1?",
        "log p = logits − logsumexp(logits), per row, with the row's largest logit subtracted first. No "
        "softmax and no log of it.",
        "Splitting t gives (1 − ε)·(−log p of the true class) + ε·(mean over the classes of −log p). Then "
        "the "
        "mean over the batch.",
    ],
)
def smoothed_cross_entropy(answer: Any) -> None:
    """Cross-entropy with smoothed labels, from logits."""
    rng = np.random.default_rng(6)
    logits, labels = rng.normal(0, 2, (5, 4)), np.array([2, 0, 3, 3, 1])
    rows = np.arange(5)
    one_hot = np.eye(4)[labels]
    for smoothing in (0.0, 0.2, 1.0):
        with np.errstate(all="ignore"):
            value = call(answer, labels.copy(), logits.copy(), smoothing)
        got = float(as_array(value, "The loss", shape=()))
        targets = (1 - smoothing) * one_hot + smoothing / 4
        per_class = -_log_softmax(logits)
        wanted = float((targets * per_class).sum(axis=1).mean())
        if _same(got, wanted):
            continue
        name = f"With 5 examples, 4 classes and smoothing={smoothing:g} the loss is {got:.5g}"
        plain = per_class[rows, labels].mean()
        others = np.where(one_hot == 1, 1 - smoothing, smoothing / 3)
        short = np.where(one_hot == 1, 1 - smoothing, smoothing / 4)
        swapped = smoothing * one_hot + (1 - smoothing) / 4
        with np.errstate(all="ignore"):
            as_probabilities = -(targets * np.log(logits)).sum(axis=1).mean()
        if _same(got, 5 * wanted):
            raise NotYet(
                f"{name}: that is the sum over the batch. Take the mean, or the learning rate depends on its "
                "size."
            )
        if _same(got, wanted / 4) or _same(got, wanted / 20):
            raise NotYet(
                f"{name}: the mean was taken over the classes as well; sum over classes, mean over examples."
            )
        if _same(got, -wanted):
            raise NotYet(f"{name}: the minus sign is missing.")
        if _same(got, (targets * -_log_softmax(logits, axis=0)).sum(axis=1).mean()):
            raise NotYet(
                f"{name}: the softmax was taken over the batch (axis 0); it normalises over classes, axis 1."
            )
        if _same(got, as_probabilities):
            raise NotYet(f"{name}: the logarithm was taken of the logits, as if they were probabilities.")
        double = -np.log(np.exp(np.exp(-per_class)) / np.exp(np.exp(-per_class)).sum(axis=1, keepdims=True))
        if _same(got, (targets * double).sum(axis=1).mean()):
            raise NotYet(f"{name}: softmax was applied twice, which puts a floor under the loss.")
        if _same(got, plain):
            raise NotYet(f"{name}: that is the loss without smoothing.")
        if _same(got, (others * per_class).sum(axis=1).mean()):
            raise NotYet(
                f"{name}: ε was divided among the three other classes. Every class, the true one included, "
                "gets ε/K."
            )
        if _same(got, (short * per_class).sum(axis=1).mean()):
            raise NotYet(
                f"{name}: your targets sum to {1 - smoothing / 4:.3g}. The true class gets ε/K on top of its "
                "1 − ε."
            )
        if _same(got, (swapped * per_class).sum(axis=1).mean()):
            raise NotYet(f"{name}: ε and 1 − ε have changed places.")
        raise NotYet(f"{name}; it should be {wanted:.5g}.")
    huge = np.array([[5000.0, 0.0, 0.0], [0.0, -4000.0, 4000.0]])
    with np.errstate(all="ignore"):
        got = float(as_array(call(answer, np.array([1, 2]), huge, 0.3), "The loss", shape=()))
    expect(
        np.isfinite(got),
        f"With logits in the thousands the loss is {got}: the exponential overflowed or a probability was "
        "rounded "
        "to 0 before the logarithm. Subtract each row's largest logit and stay with logarithms.",
    )
    wanted = float((((1 - 0.3) * np.eye(3)[[1, 2]] + 0.1) * -_log_softmax(huge)).sum(axis=1).mean())
    close(
        got,
        wanted,
        "The loss for logits in the thousands",
        message=f"With logits in the thousands the loss is {got:.5g} and should be {wanted:.5g}: was "
        "something "
        "clipped or rounded to 0 before the logarithm?",
    )
