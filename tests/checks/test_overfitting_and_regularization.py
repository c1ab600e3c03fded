"""Right, untouched and wrong answers to the exercises of lesson 24."""

from __future__ import annotations

import numpy as np

from course_utils.checks.overfitting_and_regularization import (
    _early_stopping_solution,
    _effective_parameters_solution,
    _spatial_dropout_solution,
    _variant,
    _weight_penalty_solution,
)
from tests.checks.common import Case


def _stub(*args):
    return ...


# ---------------------------------------------------------------------------- penalty


def _penalty(value=None, slope=None, biases=False):
    """A penalty from functions of (w, l1, l2) for one array's value and gradient."""
    value = value or (lambda w, l1, l2: l1 * np.sum(np.abs(w)) + l2 * np.sum(w**2))
    slope = slope or (lambda w, l1, l2: l1 * np.sign(w) + 2 * l2 * w)

    def answer(weights, l1, l2):
        total = sum(value(w, l1, l2) for w in weights if biases or w.ndim == 2)
        return total, [slope(w, l1, l2) if w.ndim == 2 else np.zeros_like(w) for w in weights]

    return answer


def _per_weight(weights, l1, l2):
    penalty, grads = _weight_penalty_solution(weights, l1, l2)
    return penalty / sum(w.size for w in weights if w.ndim == 2), grads


def _last_kernel(weights, l1, l2):
    return _weight_penalty_solution(weights[-2:], l1, l2)[0], _weight_penalty_solution(weights, l1, l2)[1]


def _bias_gradients(weights, l1, l2):
    penalty, _ = _weight_penalty_solution(weights, l1, l2)
    return penalty, [l1 * np.sign(w) + 2 * l2 * w for w in weights]


def _kernel_gradients_only(weights, l1, l2):
    penalty, grads = _weight_penalty_solution(weights, l1, l2)
    return penalty, grads[::2]


def _in_place_penalty(weights, l1, l2):
    for w in weights:
        w *= w
    return _weight_penalty_solution(weights, l1, l2)


# ---------------------------------------------------------------------------- early stopping


def _stopping(**change):
    return lambda losses, patience, min_delta=0.0: _variant(losses, patience, min_delta, **change)


def _one_more(losses, patience, min_delta=0.0):
    return _variant(losses, patience, min_delta, allowed=patience + 1)


def _one_less(losses, patience, min_delta=0.0):
    return _variant(losses, patience, min_delta, allowed=patience - 1)


def _from_zero(*args):
    return tuple(n - 1 for n in _early_stopping_solution(*args))


def _argmin_of_all(losses, *rest):
    return _early_stopping_solution(losses, *rest)[0], int(np.argmin(losses)) + 1


def _argmin_so_far(losses, *rest):
    stop, _ = _early_stopping_solution(losses, *rest)
    return stop, int(np.argmin(losses[:stop])) + 1


def _to_the_end(losses, *rest):
    return len(losses), _early_stopping_solution(losses, *rest)[1]


def _best_plus_patience(losses, patience, min_delta=0.0):
    best = _early_stopping_solution(losses, patience, min_delta)[1]
    return best + patience, best


# ---------------------------------------------------------------------------- spatial dropout


def _spatial(mask, inference=lambda X, rate: X):
    """Dropout with another mask, a function of (uniforms, rate) that gives (m, C)."""
    return lambda X, rate, uniforms, training: (
        X * mask(uniforms, rate)[:, None, None, :] if training else inference(X, rate)
    )


def _right_mask(u, rate):
    return (u >= rate) / (1 - rate)


def _own_scale(X, rate, uniforms, training):
    if not training:
        return X
    mask = np.broadcast_to((uniforms >= rate)[:, None, None, :], X.shape)
    return X * mask / mask.mean()


def _always(X, rate, uniforms, training):
    return _spatial_dropout_solution(X, rate, uniforms, True)


def _pixels(X, rate, uniforms, training):
    if not training:
        return X
    return X * (np.random.default_rng(0).random(X.shape) >= rate) / (1 - rate)


def _in_place_dropout(X, rate, uniforms, training):
    X *= _right_mask(uniforms, rate)[:, None, None, :]
    return X


# ---------------------------------------------------------------------------- effective parameters


def _effective(f):
    """A sum from a function of (curvatures, singular values, m, penalty)."""

    def answer(Phi, penalty):
        singular = np.linalg.svd(Phi, compute_uv=False)
        singular = singular[singular > 1e-10 * singular[0]]
        return f(singular**2 / len(Phi), singular, len(Phi), penalty)

    return answer


def _all_directions(Phi, penalty):
    c = np.linalg.eigvalsh(Phi.T @ Phi) / len(Phi)
    c = np.where(np.abs(c) < 1e-12, 0.0, c)
    with np.errstate(invalid="ignore"):
        return np.sum(c / (c + penalty))


def _inverse(Phi, penalty):
    if penalty == 0 and np.linalg.matrix_rank(Phi) < Phi.shape[1]:
        raise np.linalg.LinAlgError("Singular matrix")
    m, n = Phi.shape
    return np.trace(Phi @ np.linalg.solve(Phi.T @ Phi + m * penalty * np.eye(n), Phi.T))


CASES = {
    "weight_penalty": Case(
        stub=_stub,
        wrong=[
            (_penalty(biases=True), "biases are in it"),
            (
                _penalty(value=lambda w, l1, l2: l1 * np.sum(np.abs(w)) + l2 / 2 * np.sum(w**2)),
                "half in front",
            ),
            (_per_weight, "divided by the number"),
            (
                _penalty(value=lambda w, l1, l2: l1 * np.mean(np.abs(w)) + l2 * np.mean(w**2)),
                "mean was taken",
            ),
            (
                _penalty(value=lambda w, l1, l2: l1 * np.sum(np.abs(w)) + l2 * np.linalg.norm(w)),
                "root of the sum",
            ),
            (_penalty(value=lambda w, l1, l2: l1 * np.sum(w) + l2 * np.sum(w**2)), "signs cancel"),
            (_last_kernel, "last kernel's alone"),
            (_penalty(value=lambda w, l1, l2: l1 * np.sum(w**2) + l2 * np.sum(np.abs(w))), "swapped"),
            (_penalty(value=lambda w, l1, l2: l1 * np.abs(w).sum(axis=0)[:1] + l2), "one number"),
            (_penalty(slope=lambda w, l1, l2: l1 * np.sign(w) + l2 * w), "2 is missing"),
            (_penalty(slope=lambda w, l1, l2: l1 * np.abs(w) + 2 * l2 * w), "its sign, not its size"),
            (_penalty(slope=lambda w, l1, l2: l1 + 2 * l2 * w), "not 1 everywhere"),
            (_penalty(slope=lambda w, l1, l2: l1 * np.where(w >= 0, 1, -1) + 2 * l2 * w), "count as 0"),
            (_penalty(slope=lambda w, l1, l2: -l1 * np.sign(w) - 2 * l2 * w), "sign is wrong"),
            (_penalty(slope=lambda w, l1, l2: l1 * np.abs(w) + l2 * w**2), "its derivative"),
            (_bias_gradients, "a bias, is not zero"),
            (_kernel_gradients_only, "biases too"),
            (_in_place_penalty, "changed the arrays"),
            (lambda *args: _weight_penalty_solution(*args)[0], "it should return 2"),
        ],
    ),
    "early_stopping": Case(
        stub=_stub,
        wrong=[
            (_from_zero, "yours count from 0"),
            (_one_more, "one epoch too many"),
            (_one_less, "one epoch too soon"),
            (_stopping(against="previous"), "with the epoch before"),
            (_stopping(ties=True), "equal loss"),
            (_stopping(reset=False), "never set back"),
            (_stopping(smaller=False), "was ignored"),
            (_argmin_of_all, "never computed"),
            (_argmin_so_far, "not always the best epoch"),
            (_to_the_end, "through all epochs"),
            (_best_plus_patience, "never came"),
            (lambda *args: _early_stopping_solution(*args)[::-1], "wrong order"),
            (lambda *args: _early_stopping_solution(*args)[1], "it should return 2"),
        ],
    ),
    "spatial_dropout": Case(
        stub=_stub,
        wrong=[
            (lambda X, rate, uniforms, training: X, "nothing was dropped"),
            (_spatial(lambda u, rate: u >= rate), "not scaled"),
            (_spatial(lambda u, rate: (u >= rate) / rate), "divided by the rate"),
            (_spatial(lambda u, rate: (u >= rate) * (1 - rate)), "have to grow"),
            (_spatial(lambda u, rate: (u < rate) / (1 - rate)), "wrong channels"),
            (_spatial(lambda u, rate: (u < rate) / rate), "the others divided by"),
            (_spatial(lambda u, rate: (u >= 1 - rate) / (1 - rate)), "compared with 1"),
            (_spatial(lambda u, rate: np.broadcast_to(_right_mask(u[:1], rate), u.shape)), "same channels"),
            (_own_scale, "happened to be kept"),
            (_pixels, "single pixels"),
            (_always, "active at inference"),
            (_spatial(_right_mask, inference=lambda X, rate: X * (1 - rate)), "multiplied by 1"),
            (_in_place_dropout, "changed the arrays"),
            (lambda X, rate, uniforms, training: X[..., 0], "shape"),
            (lambda *args: None, "return"),
        ],
    ),
    "effective_parameters": Case(
        stub=_stub,
        wrong=[
            (_effective(lambda c, s, m, p: np.sum(s**2 / (s**2 + p))), "mλ beside"),
            (_effective(lambda c, s, m, p: np.sum(s / (s + p))), "have to be squared"),
            (lambda Phi, penalty: Phi.shape[1], "number of coefficients"),
            (_effective(lambda c, s, m, p: m - np.sum(c / (c + p))), "residuals"),
            (_effective(lambda c, s, m, p: np.mean(c / (c + p))), "their sum"),
            (_effective(lambda c, s, m, p: np.sum((c / (c + p)) ** 2)), "trace of S²"),
            (_effective(lambda c, s, m, p: np.sum(c / (c + 2 * p))), "not 2λw"),
            (_effective(lambda c, s, m, p: np.sum(p / (c + p))), "held back"),
            (_all_directions, "0 / 0"),
            (_inverse, "could not be inverted"),
            (lambda Phi, penalty: np.eye(2), "shape"),
        ],
    ),
}


def test_solutions_of_the_worked_values():
    penalty, grads = _weight_penalty_solution([np.array([[1.0, -2.0]]), np.array([3.0, 4.0])], 0.1, 0.01)
    assert np.isclose(penalty, 0.35) and np.allclose(grads[0], [[0.12, -0.14]]) and not grads[1].any()
    assert _early_stopping_solution([0.9, 0.7, 0.8, 0.6, 0.65, 0.61, 0.5], 2) == (6, 4)
    dropped = _spatial_dropout_solution(np.ones((1, 1, 1, 2)), 0.5, np.array([[0.2, 0.7]]), True)
    assert np.array_equal(dropped[0, 0, 0], [0, 2])
    assert np.isclose(_effective_parameters_solution(np.eye(2), 0.5), 1.0)
