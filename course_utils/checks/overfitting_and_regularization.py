"""Checks of lesson 24: a penalty and its gradient, early stopping, spatial dropout, effective parameters."""

from __future__ import annotations

from typing import Any

import numpy as np

from course_utils.checks._engine import NotYet, as_array, attempted, call, close, exercise, expect, several

Array = np.ndarray


def _same(got: Array, value: Any) -> bool:
    return got.shape == np.shape(value) and np.allclose(got, value, rtol=1e-6, atol=1e-9)


# ---------------------------------------------------------------------------- a penalty and its gradient


def _weight_penalty_solution(weights, l1, l2):
    penalty, grads = 0.0, []
    for w in weights:
        if w.ndim == 2:  # a kernel
            penalty += l1 * np.sum(np.abs(w)) + l2 * np.sum(w**2)
            grads.append(l1 * np.sign(w) + 2 * l2 * w)
        else:  # a bias goes free
            grads.append(np.zeros_like(w))
    return penalty, grads


@exercise(
    "overfitting_and_regularization.penalty",
    solution=_weight_penalty_solution,
    hints=[
        "Go through the list and ask each array for its `ndim`: 2 for a kernel, 1 for a bias.",
        "There is no half in front of Keras's sum of squares. What is the derivative of l2 · w² then? And of "
        "l1 · |w|, for positive, negative and zero w? NumPy has a function for the sign.",
        "For a kernel: l1 · Σ|w| + l2 · Σw², with the gradient l1 · sign(w) + 2 · l2 · w. For a bias: nothing, with "
        "a gradient of zeros in its shape. Sum the penalties, collect the gradients.",
    ],
)
def weight_penalty(answer: Any) -> None:
    """An L1 and L2 penalty on the kernels, as in Keras, with its gradients."""
    rng = np.random.default_rng(24)
    weights = [rng.normal(size=(4, 3)), rng.normal(size=3), rng.normal(size=(3, 2)), rng.normal(size=2)]
    weights[0][1, 1] = 0.0
    given = [w.copy() for w in weights]
    for l1, l2 in [(0.0, 0.03), (0.2, 0.0), (0.1, 0.05)]:
        results = several(call(answer, weights, l1, l2), "the penalty", "the list of gradients")
        expect(
            all(np.array_equal(a, b) for a, b in zip(weights, given, strict=True)),
            "Your function changed the arrays that it was given. Write results into new arrays.",
        )
        where = f"for l1={l1:g}, l2={l2:g}"
        expect(
            np.ndim(results[0]) == 0,
            f"The penalty has shape {np.shape(results[0])}; it is one number, summed over all kernels.",
        )
        penalty = float(as_array(results[0], "The penalty", shape=()))
        kernels = [w for w in weights if w.ndim == 2]
        sizes, squares = sum(np.sum(np.abs(w)) for w in kernels), sum(np.sum(w**2) for w in kernels)
        all_sizes, all_squares = sum(np.sum(np.abs(w)) for w in weights), sum(np.sum(w**2) for w in weights)
        count = sum(w.size for w in kernels)
        right = l1 * sizes + l2 * squares
        named = [
            (l1 * all_sizes + l2 * all_squares, "The biases are in it. They go free."),
            (
                l1 * sizes + l2 / 2 * squares,
                "There is a half in front of the squares. Keras's L2 has none.",
            ),
            (
                (l1 * sizes + l2 * squares) / count,
                "It was divided by the number of weights. Penalties are sums.",
            ),
            (
                l1 * sum(np.mean(np.abs(w)) for w in kernels) + l2 * sum(np.mean(w**2) for w in kernels),
                "Each kernel's mean was taken. Penalties are sums.",
            ),
            (
                l1 * sizes + l2 * sum(np.linalg.norm(w) for w in kernels),
                "The root of the sum of squares was taken. The L2 penalty is the sum of squares itself.",
            ),
            (
                l1 * sum(np.sum(w) for w in kernels) + l2 * squares,
                "The signs cancel in it: L1 sums sizes |w|.",
            ),
            (
                l1 * np.sum(np.abs(kernels[-1])) + l2 * np.sum(kernels[-1] ** 2),
                "That is the last kernel's alone. Sum over all of them.",
            ),
            (l1 * squares + l2 * sizes, "l1 and l2 are swapped."),
        ]
        for value, message in named:
            if not np.isclose(value, right):
                expect(not np.isclose(penalty, value), f"The penalty {where} is {penalty:.5g}. {message}")
        close(penalty, right, f"The penalty {where}")
        grads = attempted(results[1])
        expect(
            isinstance(grads, (list, tuple)) and len(grads) == len(weights),
            f"The gradients should be a list of {len(weights)} arrays, one for each array of `weights`, biases too.",
        )
        for number, (w, grad) in enumerate(zip(weights, grads, strict=True)):
            name = f"The gradient of array {number}"
            got = as_array(grad, name, shape=w.shape)
            if w.ndim == 1:
                expect(not got.any(), f"{name}, a bias, is not zero. Biases are not in the penalty.")
                continue
            slope = l1 * np.sign(w)
            wanted = slope + 2 * l2 * w
            for value, message in [
                (slope + l2 * w, "The derivative of w² is 2w; the 2 is missing, or a half was assumed."),
                (l1 * np.abs(w) + 2 * l2 * w, "The slope of |w| is its sign, not its size."),
                (
                    l1 + 2 * l2 * w,
                    "The slope of |w| is −1 for negative weights and 0 at 0, not 1 everywhere.",
                ),
                (l1 * np.where(w >= 0, 1, -1) + 2 * l2 * w, "At w = 0 the slope of |w| should count as 0."),
                (-wanted, "The sign is wrong: the gradient points to where the penalty grows."),
                (
                    l1 * np.abs(w) + l2 * w**2,
                    "That is the penalty of each weight. The gradient is its derivative.",
                ),
            ]:
                if not _same(value, wanted):
                    expect(not _same(got, value), f"{name} {where}: {message}")
            close(got, wanted, f"{name} {where}")


# ---------------------------------------------------------------------------- early stopping


def _early_stopping_solution(losses, patience, min_delta=0.0):
    best, best_epoch, waited = float("inf"), 0, 0
    for epoch, loss in enumerate(losses, start=1):
        if loss < best - min_delta:
            best, best_epoch, waited = loss, epoch, 0
        else:
            waited += 1
            if waited >= patience:
                break
    return epoch, best_epoch


def _variant(
    losses, patience, min_delta, *, allowed=None, against="best", ties=False, reset=True, smaller=True
):
    """Early stopping with one of the usual mistakes; used to recognise them."""
    allowed = patience if allowed is None else allowed
    best, best_epoch, waited, previous, epoch = float("inf"), 0, 0, float("inf"), 0
    for epoch, loss in enumerate(losses, start=1):
        reference = best if against == "best" else previous
        margin = min_delta if smaller else 0.0
        better = loss <= reference - margin if ties else loss < reference - margin
        previous = loss
        if better:
            best, best_epoch = loss, epoch
            waited = 0 if reset else waited
        else:
            waited += 1
            if waited >= allowed:
                break
    return epoch, best_epoch


def _stopping_wrong(losses, patience, min_delta):
    """What the usual mistakes return, with their names."""
    epoch, best = _early_stopping_solution(losses, patience, min_delta)
    zero = epoch - 1, best - 1
    lowest = int(np.argmin(losses)) + 1
    return [
        (zero, "Epochs count from 1, and yours count from 0."),
        (
            _variant(losses, patience, min_delta, allowed=patience + 1),
            "You wait one epoch too many: training stops after the epoch that makes `patience` without improvement.",
        ),
        (
            _variant(losses, patience, min_delta, allowed=patience - 1),
            "You stop one epoch too soon: `patience` epochs without improvement have to be complete.",
        ),
        (
            _variant(losses, patience, min_delta, against="previous"),
            "You compare with the epoch before. The comparison is with the best loss so far.",
        ),
        (
            _variant(losses, patience, min_delta, ties=True),
            "An equal loss, or one lower by exactly `min_delta`, counted as an improvement. It has to be more.",
        ),
        (
            _variant(losses, patience, min_delta, reset=False),
            "The count of epochs without improvement is never set back. `patience` means epochs in a row.",
        ),
        (
            _variant(losses, patience, min_delta, smaller=False),
            "`min_delta` was ignored: a smaller gain than that is no improvement.",
        ),
        (
            (epoch, lowest),
            "The best epoch was taken over all losses, also those that came after the stop and were never computed.",
        ),
        (
            (epoch, int(np.argmin(losses[:epoch])) + 1),
            "The lowest loss so far is not always the best epoch: it has to be an improvement by more than `min_delta`.",
        ),
        (
            (len(losses), best),
            "Training went through all epochs. It should stop when the patience is used up.",
        ),
        (
            (best + patience, best),
            "Training cannot stop after an epoch that never came: the losses end earlier.",
        ),
        (
            (best, epoch),
            "The two results are in the wrong order: the stopping epoch first, then the best one.",
        ),
    ]


@exercise(
    "overfitting_and_regularization.stopping",
    solution=_early_stopping_solution,
    hints=[
        "Three things are carried from epoch to epoch: the best loss, its epoch, and how long it has been since.",
        "An improvement is `loss < best - min_delta`. It sets the count back to 0; anything else raises it by 1.",
        "Loop with `enumerate(losses, start=1)` and leave the loop when the count has reached `patience`. The loop "
        "variable then is the stopping epoch, and also when the loop ran to its end.",
    ],
)
def early_stopping(answer: Any) -> None:
    """When training stops, and which epoch is kept."""
    cases = [
        ([0.9, 0.7, 0.8, 0.6, 0.65, 0.61, 0.5], 2, 0.0),
        ([1.0, 0.8, 0.9, 0.7, 0.75, 0.5, 0.6, 0.55, 0.65, 0.4], 3, 0.0),
        ([1.0, 0.9, 0.95, 0.93, 0.91, 0.8], 3, 0.0),
        ([0.5, 0.5, 0.5, 0.4], 2, 0.0),
        ([0.9, 0.8, 0.7], 5, 0.0),
        ([1.0, 0.75, 0.74, 0.73, 0.72, 0.5], 3, 0.125),
        ([1.0, 0.75, 0.625, 0.5, 0.25], 2, 0.125),
        ([2.0, 3.0, 1.0], 1, 0.0),
    ]
    got, right, where = [], [], []
    for losses, patience, min_delta in cases:
        results = several(
            call(answer, list(losses), patience, min_delta), "the stopping epoch", "the best epoch"
        )
        stop = float(as_array(results[0], "The stopping epoch", shape=()))
        got.append((stop, float(as_array(results[1], "The best epoch", shape=()))))
        right.append(_early_stopping_solution(losses, patience, min_delta))
        where.append(
            f"For {losses} with patience {patience}" + (f" and min_delta {min_delta:g}" if min_delta else "")
        )
    wrong = [number for number in range(len(cases)) if got[number] != right[number]]
    if not wrong:
        return
    first = wrong[0]
    # On a single list two mistakes may look alike, so one is named only if it explains every answer.
    for mistakes in zip(*(_stopping_wrong(*case) for case in cases), strict=True):
        if [value for value, _ in mistakes] == got:
            raise NotYet(
                f"{where[first]} you return ({got[first][0]:g}, {got[first][1]:g}). {mistakes[0][1]}"
            )
    close(got[first][0], right[first][0], f"{where[first]}, the stopping epoch")
    close(got[first][1], right[first][1], f"{where[first]}, the best epoch")


# ---------------------------------------------------------------------------- spatial dropout


def _spatial_dropout_solution(X, rate, uniforms, training):
    if not training:
        return X
    mask = (uniforms >= rate) / (1 - rate)  # (m, C)
    return X * mask[:, None, None, :]


@exercise(
    "overfitting_and_regularization.dropout",
    solution=_spatial_dropout_solution,
    hints=[
        "The phase first: what comes back when `training` is false?",
        "Make a mask of the shape of `uniforms`, (m, C), with 0 for dropped channels and the inverse of the "
        "probability of being kept for the others.",
        "To multiply it with (m, H, W, C) the mask needs two axes of length 1 in the middle: `mask[:, None, None, :]`.",
    ],
)
def spatial_dropout(answer: Any) -> None:
    """Inverted dropout of whole channels."""
    rng = np.random.default_rng(24)
    X, uniforms = 1 + rng.random((3, 4, 5, 6)), rng.random((3, 6))
    given = X.copy(), uniforms.copy()
    for rate in (0.25, 0.6):
        result = call(answer, X, rate, uniforms, True)
        expect(
            np.array_equal(X, given[0]) and np.array_equal(uniforms, given[1]),
            "Your function changed the arrays that it was given. Multiply into a new array.",
        )
        got = as_array(result, "The result in training", shape=X.shape)
        keep = uniforms >= rate
        wide = keep[:, None, None, :]
        for value, message in [
            (X, "Nothing was dropped in training."),
            (X * wide, "The kept channels were not scaled, so the mean falls. Divide by 1 − rate."),
            (
                X * wide / rate if rate else X,
                "You divided by the rate. The probability of being kept is 1 − rate.",
            ),
            (X * wide * (1 - rate), "You multiplied by 1 − rate; the kept channels have to grow."),
            (
                X * ~wide / (1 - rate),
                "The wrong channels fell: those with numbers below the rate are dropped.",
            ),
            (
                X * ~wide / rate,
                "The wrong channels fell: those with numbers below the rate are dropped, the others divided by 1 − rate.",
            ),
            (
                X * (uniforms >= 1 - rate)[:, None, None, :] / (1 - rate),
                "You compared with 1 − rate. The rate is the probability of being dropped.",
            ),
            (
                X * keep[:1, None, None, :] / (1 - rate),
                "All examples lost the same channels: every example has its own row of `uniforms`.",
            ),
            (
                X * wide * X.size / np.maximum((np.broadcast_to(wide, X.shape)).sum(), 1),
                "You scaled by the share that happened to be kept. The scale is fixed: 1 / (1 − rate).",
            ),
        ]:
            expect(not _same(got, value), f"At rate {rate:g}: {message}")
        zeros = got == 0
        whole = zeros.all(axis=(1, 2)) | ~zeros.any(axis=(1, 2))
        expect(
            whole.all(),
            f"At rate {rate:g} some channels lost single pixels. A channel falls whole or not at all.",
        )
        close(got, X * wide / (1 - rate), f"The result in training at rate {rate:g}")
        rest = as_array(call(answer, X, rate, uniforms, False), "The result at inference", shape=X.shape)
        expect(
            not _same(rest, X * wide / (1 - rate)),
            "Dropout was active at inference. Without training, X comes back as it is.",
        )
        expect(
            not _same(rest, X * (1 - rate)),
            "At inference X was multiplied by 1 − rate. With inverted dropout the scaling was done in training.",
        )
        close(rest, X, "The result at inference")


# ---------------------------------------------------------------------------- effective parameters


def _effective_parameters_solution(Phi, penalty):
    singular = np.linalg.svd(Phi, compute_uv=False)
    curvatures = singular[singular > 1e-10 * singular[0]] ** 2 / len(Phi)
    return np.sum(curvatures / (curvatures + penalty))


@exercise(
    "overfitting_and_regularization.capacity",
    solution=_effective_parameters_solution,
    hints=[
        "Put the ridge solution into ŷ = Φw and read off S. Its trace is the sum of its eigenvalues.",
        "S = Φ (ΦᵀΦ + mλI)⁻¹ Φᵀ. In the eigen-directions it multiplies by c / (c + λ), the factors of the lesson, and "
        "the trace of a matrix does not depend on the directions in which it is written.",
        "Take the singular values of Φ; their squares divided by m are the curvatures c. Leave out those that are zero "
        "up to rounding, and sum c / (c + λ) over the rest.",
    ],
)
def effective_parameters(answer: Any) -> None:
    """The trace of the matrix that takes targets to ridge predictions."""
    rng = np.random.default_rng(24)
    low = rng.normal(size=(9, 2)) @ rng.normal(size=(2, 5))
    tall, wide = rng.normal(size=(12, 4)), rng.normal(size=(6, 15))
    cases = [
        (tall, 0.3, "12 examples of 4 features"),
        (tall, 0.0, "12 examples of 4 features"),
        (wide, 0.2, "6 examples of 15 features"),
        (wide, 0.0, "6 examples of 15 features"),
        (low, 0.1, "9 examples of 5 features of rank 2"),
        (low, 0.0, "9 examples of 5 features of rank 2"),
        (np.eye(2), 0.5, "np.eye(2)"),
    ]
    for Phi, penalty, name in cases:
        try:
            result = call(answer, Phi.copy(), penalty)
        except np.linalg.LinAlgError:
            raise NotYet(
                f"For {name} and a penalty of {penalty:g} a matrix could not be inverted. Directions of curvature 0 "
                "count nothing; leave them out, or use the singular values."
            ) from None
        got = float(as_array(result, f"The result for {name}", shape=()))
        singular = np.linalg.svd(Phi, compute_uv=False)
        squares = singular[singular > 1e-10 * singular[0]] ** 2
        c = squares / len(Phi)
        right = np.sum(c / (c + penalty))
        where = f"For {name} and a penalty of {penalty:g} you return {got:.4g}."
        expect(
            np.isfinite(got),
            f"{where} Where the curvature and the penalty are both 0, c / (c + λ) is 0 / 0; leave such directions out.",
        )
        for value, message in [
            (
                np.sum(squares / (squares + penalty)),
                "J has 1/(2m) in front: λ stands beside c = σ²/m, so mλ beside σ².",
            ),
            (np.sum(singular / (singular + penalty)), "Singular values have to be squared to be curvatures."),
            (Phi.shape[1], "That is the number of coefficients, which the penalty or the examples cut down."),
            (len(Phi) - right, "That is what is left for the residuals: m minus the effective parameters."),
            (
                np.sum(penalty / (c + penalty)),
                "λ/(c + λ) is the share that is held back; what is kept is c/(c + λ).",
            ),
            (np.mean(c / (c + penalty)), "That is the mean of the factors. The trace is their sum."),
            (np.sum((c / (c + penalty)) ** 2), "That is the trace of S², or of SᵀS. Take that of S."),
            (np.sum(c / (c + 2 * penalty)), "With λ/2 · ‖w‖² in J the gradient holds λw, not 2λw."),
        ]:
            if not np.isclose(value, right):
                expect(not np.isclose(got, value), f"{where} {message}")
        close(got, right, f"The number of effective parameters for {name} and a penalty of {penalty:g}")
