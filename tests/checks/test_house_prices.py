"""Right, untouched and wrong answers to the exercises of lesson 12."""

from __future__ import annotations

import math

import numpy as np

from course_utils.checks import house_prices as check
from course_utils.checks.house_prices import _means
from tests.checks.common import Case


def _stub(*args):
    return ...


def _by(mean, scale):
    """Standardise with any statistics of (training rows, new rows)."""
    return lambda X_train, X_new: (X_new - mean(X_train, X_new)) / scale(X_train, X_new)


def _mean(a, b):
    return a.mean(axis=0)


def _std(a, b):
    return a.std(axis=0)


def _in_place(X_train, X_new):
    scale = X_train.std(axis=0)
    X_new -= X_train.mean(axis=0)
    X_new /= np.where(scale > 0, scale, 1.0)
    return X_new


def _quiet(a, b):
    with np.errstate(all="ignore"):
        return (b - a.mean(axis=0)) / a.std(axis=0)


def _words(columns):
    return lambda train, new: (new[:, None] == np.unique(columns(train, new))).astype(float)


def _clamped(train, new):
    known = np.unique(train)
    return np.eye(len(known))[np.minimum(np.searchsorted(known, new), len(known) - 1)]


def _in_order(train, new):
    known = np.array(list(dict.fromkeys(train.tolist())))
    return (new[:, None] == known).astype(float)


def _with_other(train, new):
    table = _words(lambda t, n: t)(train, new)
    return np.column_stack([table, table.sum(axis=1) == 0])


def _encoding(others, fallback):
    return lambda group, y, fold: _means(group, y, fold, others=others, fallback=fallback)


def _nan_fallback(group, y, fold):
    out = np.full(len(y), np.nan)
    for i in range(len(y)):
        rows = (group == group[i]) & (fold != fold[i])
        if rows.any():
            out[i] = y[rows].mean()
    return out


def _interval(pick, *, signed=False):
    def answer(predicted, valid_predicted, valid_price, p):
        r = np.log(valid_price / valid_predicted)
        q = pick(np.sort(r if signed else np.abs(r)), p)
        return predicted * np.exp(-q), predicted * np.exp(q)

    return answer


def _k(r, p):
    return math.ceil((len(r) + 1) * p)


def _in_dollars(predicted, valid_predicted, valid_price, p):
    r = np.sort(np.abs(valid_price - valid_predicted))
    return predicted - r[_k(r, p) - 1], predicted + r[_k(r, p) - 1]


def _gaussian(predicted, valid_predicted, valid_price, p):
    q = 1.645 * np.log(valid_price / valid_predicted).std()
    return predicted * np.exp(-q) - 1.0, predicted * np.exp(q)


CASES = {
    "standardise_with": Case(
        stub=_stub,
        wrong=[
            (_by(lambda a, b: b.mean(axis=0), lambda a, b: b.std(axis=0)), "their own statistics"),
            (
                _by(lambda a, b: np.vstack([a, b]).mean(0), lambda a, b: np.vstack([a, b]).std(0)),
                "put together",
            ),
            (_by(lambda a, b: a.mean(), lambda a, b: a.std()), "over all columns"),
            (_by(_mean, lambda a, b: a.std(axis=0, ddof=1)), "ddof=1"),
            (_by(_mean, lambda a, b: a.var(axis=0)), "variance"),
            (_by(lambda a, b: 0.0, _std), "not shifted"),
            (_by(lambda a, b: a.min(0), lambda a, b: a.max(0) - a.min(0)), "range 0 to 1"),
            (_by(_mean, lambda a, b: a.std(axis=0) + 1e-7), "tiny number"),
            (_quiet, "spread is 0"),
            (_by(_mean, lambda a, b: a.std(axis=0) + 1e-9), "tiny number"),
            (_in_place, "changed one of the arrays"),
            (lambda a, b: (a - a.mean(0)) / a.std(0), "shape"),
            (lambda a, b: None, "return"),
        ],
    ),
    "one_hot_known": Case(
        stub=_stub,
        wrong=[
            (_words(lambda t, n: n), "the training words decide"),
            (_words(lambda t, n: np.concatenate([t, n[:-1]])), "together"),
            (_clamped, "never occurs in training"),
            (_in_order, "alphabetical"),
            (_with_other, "one column too many"),
            (lambda t, n: _words(lambda t, n: t)(t, t), "training words were encoded"),
            (lambda t, n: (n == np.unique(t)[:, None]).astype(float), "rows should be the new words"),
            (lambda t, n: np.searchsorted(np.unique(t), n), "claims an order"),
            (lambda t, n: None, "return"),
        ],
    ),
    "out_of_fold_means": Case(
        stub=_stub,
        wrong=[
            (_encoding("none", "seen"), "its own target included"),
            (_encoding("rows", "seen"), "left out only itself"),
            (_encoding("own fold", "seen"), "own fold"),
            (_encoding("folds", "all"), "mean of all y"),
            (_encoding("folds", "zero"), "got 0"),
            (_nan_fallback, "nan"),
            (lambda group, y, fold: y, "should be"),
            (lambda group, y, fold: y[:3], "shape"),
        ],
    ),
    "price_interval": Case(
        stub=_stub,
        wrong=[
            (_interval(lambda r, p: r[_k(r, p)] if _k(r, p) < len(r) else r[-1]), "next larger"),
            (_interval(lambda r, p: r[math.ceil(len(r) * p) - 1]), "plain quantile"),
            (_interval(lambda r, p: np.quantile(r, p)), "plain quantile"),
            (_interval(lambda r, p: 2 * r[0]), "your q is"),
            (_in_dollars, "same width in dollars"),
            (lambda *a: _interval(lambda r, p: r[_k(r, p) - 1])(*a)[::-1], "exchanged"),
            (lambda p_, v, y, p: p_ * 1.1, "two arrays"),
            (_gaussian, "standard deviation"),
        ],
    ),
}


def test_single_precision_is_right_too():
    def interval(predicted, valid_predicted, valid_price, p):
        logs = [np.log(a.astype("float32")) for a in (predicted, valid_predicted, valid_price)]
        q = np.sort(np.abs(logs[2] - logs[1]))[math.ceil((len(valid_price) + 1) * p) - 1]
        return np.exp(logs[0] - q), np.exp(logs[0] + q)

    assert check.price_interval.judge(interval).message == "Correct."
