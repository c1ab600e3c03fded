"""Right, untouched and wrong answers to the exercises of lesson 10."""

from __future__ import annotations

import numpy as np

from course_utils.checks.first_keras_network import _log_softmax
from tests.checks.common import Case


def _stub(*args):
    return ...


def _cuts(y, batch_size):
    return [slice(i, i + batch_size) for i in range(0, len(y), batch_size)]


def _hits(predict, X, y, batch_size, axis=1):
    """Hits of every batch, as arrays of True and False."""
    return [predict(X[cut]).argmax(axis=axis)[: len(y[cut])] == y[cut] for cut in _cuts(y, batch_size)]


def _mean_of_means(*args):
    return np.mean([hits.mean() for hits in _hits(*args)])


def _without_last(predict, X, y, batch_size):
    whole = max(batch_size, len(y) // batch_size * batch_size)
    return np.concatenate(_hits(predict, X[:whole], y[:whole], batch_size)).mean()


def _over_examples(predict, X, y, batch_size):
    total = 0
    for cut in _cuts(y, batch_size):
        columns = predict(X[cut]).argmax(axis=0)
        count = min(len(columns), len(y[cut]))
        total += np.sum(columns[:count] == y[cut][:count])
    return total / len(y)


def _row_by_row(predict, X, y, batch_size):
    return np.mean([np.argmax(predict(row)) == label for row, label in zip(X, y, strict=True)])


def _scaled(X, reference, axis=0, **options):
    spread = reference.std(axis=axis, keepdims=True, **options)
    return (X - reference.mean(axis=axis, keepdims=True)) / np.where(spread < 1e-9, 1.0, spread)


def _with(reference, **options):
    def standardise(train, other):
        rows = {"train": train, "both": np.concatenate([train, other])}[reference]
        return _scaled(train, rows, **options), _scaled(other, rows, **options)

    return standardise


def _in_place(train, other):
    train -= train.mean(axis=0)
    spread = train.std(axis=0)
    train /= np.where(spread == 0, 1, spread)
    return train, other


def _divide_by_zero(train, other):
    mean, spread = train.mean(axis=0), train.std(axis=0)
    return (train - mean) / spread, (other - mean) / spread


def _by_variance(train, other):
    mean, variance = train.mean(axis=0), train.var(axis=0)
    variance = np.where(variance == 0, 1, variance)
    return (train - mean) / variance, (other - mean) / variance


def _norm(gradients):
    return float(np.sqrt(sum(np.sum(g.astype(float) ** 2) for g in gradients)))


def _scale(factor):
    def clip(gradients, max_norm):
        return [g * factor(gradients, max_norm) for g in gradients]

    return clip


def _each_array(gradients, max_norm):
    return [g * min(1.0, max_norm / max(_norm([g]), 1e-12)) for g in gradients]


def _clip_in_place(gradients, max_norm):
    factor = min(1.0, max_norm / max(_norm(gradients), 1e-12))
    for gradient in gradients:
        gradient *= factor
    return gradients


def _loss(targets=None, *, axis=1, reduce=np.mean, sign=-1, log_p=None):
    def smoothed(labels, logits, smoothing):
        K = logits.shape[1]
        one_hot = np.eye(K)[labels]
        t = (1 - smoothing) * one_hot + smoothing / K if targets is None else targets(one_hot, smoothing, K)
        logs = _log_softmax(logits, axis=axis) if log_p is None else log_p(logits)
        return reduce(sign * (t * logs).sum(axis=1))

    return smoothed


def _naive(logits):
    exponentials = np.exp(logits)
    return np.log(exponentials / exponentials.sum(axis=1, keepdims=True))


def _clipped(logits):
    return np.log(np.clip(np.exp(_log_softmax(logits)), 1e-7, 1))


CASES = {
    "accuracy_in_batches": Case(
        stub=_stub,
        wrong=[
            (_mean_of_means, "mean of the batch accuracies"),
            (_without_last, "left out"),
            (_over_examples, "axis 0"),
            (lambda *args: np.sum([hits.sum() for hits in _hits(*args)]), "number of right answers"),
            (lambda *args: 100 * np.concatenate(_hits(*args)).mean(), "percentage"),
            (lambda *args: 1 - np.concatenate(_hits(*args)).mean(), "share of mistakes"),
            (lambda predict, X, y, n: np.mean(predict(X).argmax(axis=1) == y), "9 rows at once"),
            (_row_by_row, "takes a batch of rows"),
            (lambda predict, X, y, n: 0.5, "never asked"),
            (lambda *args: [_hits(*args)[0].mean()] * 2, "shape (2,)"),
        ],
    ),
    "standardise": Case(
        stub=lambda *args: (..., ...),
        wrong=[
            (lambda train, other: (_scaled(train, train), _scaled(other, other)), "with its own mean"),
            (_with("both"), "leaked"),
            (_with("train", axis=None), "all features together"),
            (lambda train, other: (_scaled(train, train, axis=1), _scaled(other, other, axis=1)), "axis 1"),
            (_with("train", ddof=1), "ddof=1"),
            (_divide_by_zero, "not finite"),
            (_by_variance, "variance"),
            (_in_place, "in place"),
            (lambda train, other: (train - train.mean(0), other - train.mean(0)), "spread is unchanged"),
            (lambda train, other: (_scaled(train, train), other), "came back unchanged"),
            (lambda train, other: _scaled(train, train), "return both"),
        ],
    ),
    "clip_gradients": Case(
        stub=_stub,
        wrong=[
            (lambda gradients, limit: [np.clip(g, -limit, limit) for g in gradients], "by itself"),
            (_each_array, "own norm"),
            (_scale(lambda g, limit: limit / max(_norm(g), 1e-12)), "enlarged"),
            (
                _scale(lambda g, limit: min(1.0, limit / max(sum(_norm([a]) for a in g), 1e-12))),
                "norms of the arrays",
            ),
            (_scale(lambda g, limit: min(1.0, limit / max(_norm(g) ** 2, 1e-12))), "root is missing"),
            (_scale(lambda g, limit: 1 / max(_norm(g), 1.0)), "instead of max_norm"),
            (
                _scale(
                    lambda g, limit: np.float32(limit) / np.float32(max(_norm(g), limit * (_norm(g) > 0)))
                ),
                "not finite",
            ),
            (lambda gradients, limit: list(gradients), "nothing was clipped"),
            (_clip_in_place, "in place"),
            (lambda gradients, limit: np.concatenate([g.ravel() for g in gradients]), "list of 3"),
        ],
    ),
    "smoothed_cross_entropy": Case(
        stub=_stub,
        wrong=[
            (_loss(lambda t, e, K: t), "without smoothing"),
            (_loss(lambda t, e, K: np.where(t == 1, 1 - e, e / (K - 1))), "three other classes"),
            (_loss(lambda t, e, K: np.where(t == 1, 1 - e, e / K)), "sum to 0.95"),
            (_loss(lambda t, e, K: e * t + (1 - e) / K), "changed places"),
            (_loss(axis=0), "axis 0"),
            (_loss(reduce=np.sum), "sum over the batch"),
            (_loss(sign=1), "minus sign"),
            (_loss(log_p=np.log), "as if they were probabilities"),
            (_loss(log_p=lambda z: _log_softmax(np.exp(_log_softmax(z)))), "twice"),
            (_loss(log_p=_naive), "thousands"),
            (_loss(log_p=_clipped), "clipped or rounded"),
        ],
    ),
}
