"""Checks of lesson 12: standardising, one-hot with strangers, out-of-fold encoding, price intervals."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from course_utils.checks._engine import NotYet, as_array, attempted, call, close, exercise, expect

Array = np.ndarray


def _same(got: Array, other: Array, rtol: float = 1e-6, atol: float = 1e-8) -> bool:
    return got.shape == other.shape and np.allclose(got, other, rtol=rtol, atol=atol)


# ---------------------------------------------------------------------------- standardising


def _standardise_with_solution(X_train, X_new):
    mean, scale = X_train.mean(axis=0), X_train.std(axis=0)
    scale = np.where(scale > 0, scale, 1.0)  # a constant column is only shifted
    return (X_new - mean) / scale


@exercise(
    "house_prices.features",
    solution=_standardise_with_solution,
    hints=[
        "Which rows are allowed to say what the mean of a column is?",
        "mean and std of X_train along axis 0 have shape (d,), and broadcasting applies them to every row "
        "of X_new.",
        "Before dividing, replace spreads of 0: np.where(scale > 0, scale, 1.0).",
    ],
)
def standardise_with(answer: Any) -> None:
    """Standardise new rows with the statistics of the training rows."""
    rng = np.random.default_rng(3)
    X_train = rng.normal([5.0, -200.0, 0.3], [2.0, 40.0, 0.01], (12, 3))
    X_new = rng.normal([6.0, -150.0, 0.31], [3.0, 60.0, 0.02], (7, 3))
    kept = X_train.copy(), X_new.copy()
    got = as_array(call(answer, X_train, X_new), "The result", shape=(7, 3))
    expect(
        np.array_equal(X_train, kept[0]) and np.array_equal(X_new, kept[1]),
        "Your function changed one of the arrays it was given; make new arrays instead of writing into them.",
    )
    wanted = _standardise_with_solution(X_train, X_new)
    if not _same(got, wanted, rtol=1e-4, atol=1e-6):  # an epsilon in the divisor is found out below
        both = np.vstack([X_train, X_new])
        if _same(got, (X_new - X_new.mean(axis=0)) / X_new.std(axis=0)):
            raise NotYet(
                "Your columns have mean 0 and spread 1 on the new rows: they were measured with their own "
                "statistics. A single new district would always become 0. Use those of X_train."
            )
        if _same(got, (X_new - both.mean(axis=0)) / both.std(axis=0)):
            raise NotYet(
                "Training and new rows were put together first. That lets the new rows into the fit."
            )
        if _same(got, (X_new - X_train.mean()) / X_train.std()):
            raise NotYet(
                "One mean and one spread were taken over all columns. Each column has a unit of its own: use "
                "axis=0."
            )
        if _same(got, (X_new - X_train.mean(axis=0)) / X_train.std(axis=0, ddof=1)):
            raise NotYet(
                "The spread was computed with division by n - 1 (ddof=1). The task asks for division by n, as "
                "np.std does and keras.layers.Normalization too."
            )
        if _same(got, (X_new - X_train.mean(axis=0)) / X_train.var(axis=0)):
            raise NotYet("You divided by the variance. The standard deviation is its square root.")
        if _same(got, X_new / X_train.std(axis=0)):
            raise NotYet("The columns were scaled but not shifted: the mean of X_train is not subtracted.")
        low, high = X_train.min(axis=0), X_train.max(axis=0)
        if _same(got, (X_new - low) / (high - low)):
            raise NotYet(
                "This is scaling to the range 0 to 1. Standardising uses mean and standard deviation."
            )
        close(got, wanted, "The result")

    constant = np.column_stack([np.full(5, 4.0), np.arange(5.0)])
    with np.errstate(all="ignore"):
        got = as_array(
            call(answer, constant.copy(), np.array([[4.0, 2.0], [5.0, 2.0]])),
            "The result for a constant training column",
            shape=(2, 2),
        )
    if not np.isfinite(got).all():
        raise NotYet(
            "For a column that is constant in training the result holds nan or infinity: its spread is 0. "
            "Divide by 1 there."
        )
    if abs(got[1, 0]) > 1e3:
        raise NotYet(
            f"A column constant in training at 4 turns a new 5 into {got[1, 0]:.3g}: it was divided by a tiny "
            "number. Divide by 1 there."
        )
    close(got, [[0.0, 0.0], [1.0, 0.0]], "The result for a constant training column")


# ---------------------------------------------------------------------------- one-hot with strangers


def _one_hot_known_solution(train_words, new_words):
    known = np.unique(train_words)  # sorted, each word once
    return (np.asarray(new_words)[:, None] == known).astype(float)


@exercise(
    "house_prices.features",
    solution=_one_hot_known_solution,
    hints=[
        "The columns are decided by the training words alone. np.unique returns them sorted and without "
        "repeats.",
        "Compare every new word with every known word at once: a (m, 1) array against a (k,) array.",
        "new_words[:, None] == known is an (m, k) table of True and False; turn it into numbers.",
    ],
)
def one_hot_known(answer: Any) -> None:
    """One-hot encode words by the categories of the training part."""
    train = np.array(["inland", "bay", "inland", "ocean", "bay", "inland", "bay"])
    new = np.array(["ocean", "inland", "island", "moon", "desert", "ocean"])
    value = attempted(call(answer, train.copy(), new.copy()))
    got = as_array(value, "The result")
    wanted = _one_hot_known_solution(train, new)
    if got.shape != wanted.shape:
        if got.ndim == 2 and got.shape == wanted.shape[::-1]:
            raise NotYet(
                f"The result has shape {got.shape}: rows should be the new words, columns the known."
            )
        if got.ndim == 2 and got.shape[1] == len(np.unique(new)):
            raise NotYet(
                f"The result has {got.shape[1]} columns, one for each word among the new ones. A model trained "
                f"on {len(np.unique(train))} columns cannot take them: the training words decide the columns."
            )
        if got.ndim == 2 and got.shape[1] == len(np.unique(np.concatenate([train, new]))):
            raise NotYet(
                f"The result has {got.shape[1]} columns, from training and new words together. Words that "
                "training never saw get no column, only a row of zeros."
            )
        if got.ndim == 2 and got.shape[1] == wanted.shape[1] + 1:
            raise NotYet(
                "There is one column too many. A stranger needs no column of its own here; its row is all zeros."
            )
        if got.ndim == 2 and got.shape[0] == len(train):
            raise NotYet(
                "The training words were encoded. Encode the new ones, with the training words' columns."
            )
        if got.ndim == 1:
            raise NotYet(
                f"The result has shape {got.shape}: one number for each word claims an order among them."
            )
        raise NotYet(f"The result has shape {got.shape}; it should have shape {wanted.shape}.")
    if not np.array_equal(got, wanted):
        strangers = ~np.isin(new, train)
        if got[strangers].any():
            raise NotYet(
                f"The word {str(new[strangers][0])!r} never occurs in training, but its row is "
                f"{got[strangers][0].astype(int).tolist()}. It should be all zeros: it is none of the known ones."
            )
        order = list(dict.fromkeys(train.tolist()))
        if np.array_equal(got, (new[:, None] == np.array(order)).astype(float)):
            raise NotYet("The columns stand in order of appearance; the task asks for alphabetical order.")
        close(got, wanted, "The result")
    alone = as_array(call(answer, train.copy(), np.array(["ocean"])), "The result for one word", shape=(1, 3))
    close(alone, [[0.0, 0.0, 1.0]], "The result for one word")


# ---------------------------------------------------------------------------- out-of-fold means


def _out_of_fold_means_solution(group, y, fold):
    feature = np.empty(len(y))
    for part in np.unique(fold):
        inside, rest = fold == part, fold != part
        n_groups = group.max() + 1
        total = np.bincount(group[rest], weights=y[rest], minlength=n_groups)
        count = np.bincount(group[rest], minlength=n_groups)
        means = np.where(count > 0, total / np.maximum(count, 1), y[rest].mean())
        feature[inside] = means[group[inside]]
    return feature


def _means(group: Array, y: Array, fold: Array, *, others: str, fallback: str) -> Array:
    """The encoding by its definition, with the choices that learners get wrong."""
    out = np.empty(len(y))
    for i in range(len(y)):
        if others == "folds":
            seen = fold != fold[i]
        elif others == "rows":
            seen = np.arange(len(y)) != i
        elif others == "own fold":
            seen = fold == fold[i]
        else:
            seen = np.ones(len(y), dtype=bool)
        rows = seen & (group == group[i])
        rest = y[seen] if fallback == "seen" else y
        empty = 0.0 if fallback == "zero" else rest.mean()
        out[i] = y[rows].mean() if rows.any() else empty
    return out


@exercise(
    "house_prices.leakage",
    solution=_out_of_fold_means_solution,
    hints=[
        "Work fold by fold: for the rows in fold f, only the rows with fold != f may be looked at.",
        "For one fold: sums and counts of y by group over the other folds are two calls of np.bincount. Their "
        "quotient, looked up with group[inside], is the feature of the rows inside.",
        "Where the count is 0, use the mean of y over the other folds, and never y.mean(), in which the row's "
        "own price takes part.",
    ],
)
def out_of_fold_means(answer: Any) -> None:
    """Target encoding in which no row sees its own target."""
    rng = np.random.default_rng(8)
    group = np.concatenate([rng.integers(0, 6, 34), [6, 7, 7, 8]])
    fold = np.concatenate([rng.integers(0, 4, 34), [0, 1, 1, 3]])
    y = rng.normal(10.0, 2.0, len(group)) + group
    with np.errstate(all="ignore"):
        got = as_array(call(answer, group.copy(), y.copy(), fold.copy()), "The result", shape=(len(y),))
    wanted = _means(group, y, fold, others="folds", fallback="seen")
    if _same(got, wanted):
        changed = y.copy()
        changed[fold == 2] += 100.0
        again = as_array(call(answer, group.copy(), changed, fold.copy()), "The result", shape=(len(y),))
        expect(
            _same(again[fold == 2], got[fold == 2]),
            "When the targets of one fold change, the features of that same fold change too.",
        )
        small = call(answer, np.array([0, 0, 0, 1]), np.array([1.0, 3.0, 5.0, 9.0]), np.array([0, 1, 1, 0]))
        close(small, [4.0, 1.0, 1.0, 4.0], "The result of the worked example")
        return
    if not np.isfinite(got).all():
        raise NotYet(
            f"{int((~np.isfinite(got)).sum())} rows are nan: their group has no row in other folds. They should "
            "get the mean of y over all rows in other folds."
        )
    for fallback in ("seen", "all", "zero"):
        if _same(got, _means(group, y, fold, others="none", fallback=fallback)):
            raise NotYet(
                "Every row got the mean of its whole group, its own target included. A group of one row is then "
                "told its own price: that is the leak."
            )
        if _same(got, _means(group, y, fold, others="rows", fallback=fallback)):
            raise NotYet(
                "Each row left out only itself, not its whole fold. Then rows of one fold still see each other, "
                "and the own value can be computed back from the group's mean."
            )
        if _same(got, _means(group, y, fold, others="own fold", fallback=fallback)):
            raise NotYet("The means were taken inside the row's own fold. It should be all the other folds.")
    if _same(got, _means(group, y, fold, others="folds", fallback="all")):
        raise NotYet(
            "Right wherever the group is known. For a group without rows in other folds you used the mean of all "
            "y, in which the row's own fold takes part; use the mean of the other folds."
        )
    if _same(got, _means(group, y, fold, others="folds", fallback="zero")):
        raise NotYet(
            "A group without rows in other folds got 0. A price of 0 is a strong claim; use the mean of y over "
            "the other folds."
        )
    close(got, wanted, "The result")


# ---------------------------------------------------------------------------- price intervals


def _price_interval_solution(predicted, valid_predicted, valid_price, p):
    residual = np.abs(np.log(valid_price / valid_predicted))
    k = int(np.ceil((len(residual) + 1) * p))
    q = np.sort(residual)[k - 1]  # the k-th smallest
    return predicted * np.exp(-q), predicted * np.exp(q)


@exercise(
    "house_prices.verdict",
    solution=_price_interval_solution,
    hints=[
        "Compute |log(valid_price) - log(valid_predicted)|, sort it, and find the entry number k, counting from 1.",
        "k = ceil((n + 1) p). In Python the k-th smallest of a sorted array stands at index k - 1.",
        "log y ± q in dollars is a factor: predicted / exp(q) and predicted * exp(q).",
    ],
)
def price_interval(answer: Any) -> None:
    """Prediction intervals in dollars from validation residuals."""
    rng = np.random.default_rng(21)
    predicted = np.array([80_000.0, 200_000.0, 450_000.0])
    for n, p in ((99, 0.9), (40, 0.8), (19, 0.95)):
        valid_predicted = rng.uniform(60_000, 450_000, n)
        residual = 0.05 + 0.25 * rng.standard_normal(n)
        valid_price = valid_predicted * np.exp(residual)
        value = call(answer, predicted.copy(), valid_predicted.copy(), valid_price.copy(), p)
        if not isinstance(value, (tuple, list, np.ndarray)) or len(value) != 2:
            raise NotYet("The function should return two arrays: the lower and the upper ends.")
        low = as_array(value[0], "The lower end", shape=(3,))
        high = as_array(value[1], "The upper end", shape=(3,))
        wanted_low, wanted_high = _price_interval_solution(predicted, valid_predicted, valid_price, p)
        if _same(low, wanted_low, rtol=2e-5) and _same(high, wanted_high, rtol=2e-5):
            continue
        where = f"for n = {n} and p = {p}"
        ordered = np.sort(np.abs(residual))
        k = math.ceil((n + 1) * p)
        if _same(low, wanted_high) and _same(high, wanted_low):
            raise NotYet("The two ends are exchanged: the lower comes first.")
        if np.allclose(high / low, high[0] / low[0]) and _same(low * high, predicted**2):
            q = float(np.log(high[0] / predicted[0]))
            if k < n and np.isclose(q, ordered[k]):
                raise NotYet(
                    f"{where.capitalize()} you took the next larger |r|: counting starts at index 0."
                )
            plain = math.ceil(n * p)
            if (plain != k and np.isclose(q, ordered[plain - 1])) or np.isclose(q, np.quantile(ordered, p)):
                raise NotYet(
                    f"{where.capitalize()} the plain quantile of |r| was used. The new district takes a place of "
                    f"its own in the order, so k = ceil((n + 1) p) = {k}."
                )
            raise NotYet(f"{where.capitalize()} your q is {q:.4f}; it should be {ordered[k - 1]:.4f}.")
        if np.allclose(high - low, (high - low)[0]):
            raise NotYet(
                "All your intervals have the same width in dollars. The residuals are logarithms, so the interval "
                "is a factor: exp(q) up and exp(-q) down."
            )
        signed = np.sort(residual)[k - 1]
        if _same(high, predicted * np.exp(signed)) or _same(high, predicted * np.exp(-signed)):
            raise NotYet(
                "The residuals were sorted with their sign. The interval reaches to both sides, so sort |r|."
            )
        spread = residual.std()
        for z in (1.28, 1.2816, 1.64, 1.645, 1.6449, 1.96):
            if np.allclose(np.log(high / predicted), z * spread, rtol=2e-3):
                raise NotYet(
                    "A multiple of the standard deviation was used, which is right for Gaussian residuals of mean "
                    "0 only. Take the k-th smallest |r| itself."
                )
        close(low, wanted_low, f"The lower end {where}", rtol=1e-6)
        close(high, wanted_high, f"The upper end {where}", rtol=1e-6)
