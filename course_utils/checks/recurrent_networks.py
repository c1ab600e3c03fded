"""Checks of lesson 18: a step of a recurrent cell, its way back, clipping, and the reach of a gradient."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from course_utils.checks._engine import NotYet, as_array, attempted, call, close, exercise, expect, several

Array = np.ndarray


def _numbers(seed: int, m: int = 4, d: int = 3, u: int = 5) -> tuple[Array, ...]:
    rng = np.random.default_rng(seed)
    return (
        rng.normal(size=(m, d)),
        np.tanh(rng.normal(size=(m, u))),
        rng.normal(size=(d, u)) * 0.7,
        rng.normal(size=(u, u)) * 0.5,
        rng.normal(size=u) * 0.3,
    )


# ---------------------------------------------------------------------------- one step


def _rnn_step_solution(x, h, W_x, W_h, b):
    return np.tanh(x @ W_x + h @ W_h + b)


@exercise(
    "recurrent_networks.state",
    solution=_rnn_step_solution,
    hints=[
        "Three terms make the pre-activation: the input through its matrix, the old state through its own, and the bias.",
        "Rows are examples, so the batch stands on the left of each product: x @ W_x has shape (m, u), and so has h @ W_h.",
        "The new state is np.tanh of the sum of the three.",
    ],
)
def rnn_step(answer: Any) -> None:
    """One step of a recurrent cell for a batch."""
    for seed in (1, 2):
        x, h, W_x, W_h, b = _numbers(seed)
        z = x @ W_x + h @ W_h + b
        got = as_array(
            call(answer, x.copy(), h.copy(), W_x.copy(), W_h.copy(), b.copy()), "The new state", shape=h.shape
        )
        named = [
            (z, "the pre-activation. The state is its tanh."),
            (np.maximum(z, 0), "what ReLU makes of it. This cell squashes with tanh, which keeps the state bounded."),
            (1 / (1 + np.exp(-z)), "what the sigmoid makes of it. This cell uses tanh."),
            (np.tanh(x @ W_x + h @ W_h), "right but for the bias b."),
            (np.tanh(x @ W_x + b), "a dense layer: the old state h takes no part in it."),
            (np.tanh(x @ W_x + h @ W_h.T + b), "made with the recurrent matrix transposed. Rows are examples: h @ W_h."),
            (np.tanh(x @ W_x + b) + h @ W_h, "the recurrent term added after the tanh. It belongs inside."),
            (np.tanh(x @ W_x + h + b), "made without W_h: the old state is added as it is."),
        ]  # fmt: skip
        for value, meaning in named:
            if np.allclose(got, value, rtol=1e-5, atol=1e-7):
                raise NotYet(f"The new state is {meaning}")
        close(got, np.tanh(z), "The new state")


# ---------------------------------------------------------------------------- one step back


def _rnn_step_backward_solution(grad_h, x, h, h_new, W_x, W_h):
    grad_z = grad_h * (1 - h_new**2)  # through tanh
    return grad_z @ W_x.T, grad_z @ W_h.T, x.T @ grad_z, h.T @ grad_z, grad_z.sum(axis=0)


@exercise(
    "recurrent_networks.bptt",
    solution=_rnn_step_backward_solution,
    hints=[
        "First through tanh: its slope at the pre-activation can be written with the output h_new alone.",
        "With grad_z = grad_h * (1 - h_new**2), each of the five results is one product or one sum; their shapes decide "
        "which.",
        "grad_x = grad_z @ W_x.T and grad_W_x = x.T @ grad_z; the same with h and W_h; grad_b sums over the batch.",
    ],
)
def rnn_step_backward(answer: Any) -> None:
    """The way back through one step of a recurrent cell."""
    for seed in (3, 4):
        x, h, W_x, W_h, b = _numbers(seed)
        h_new = np.tanh(x @ W_x + h @ W_h + b)
        grad_h = np.random.default_rng(seed + 10).normal(size=h.shape)
        value = call(answer, grad_h.copy(), x.copy(), h.copy(), h_new.copy(), W_x.copy(), W_h.copy())
        names = ("grad_x", "grad_h_old", "grad_W_x", "grad_W_h", "grad_b")
        parts = several(value, *names)
        wanted = _rnn_step_backward_solution(grad_h, x, h, h_new, W_x, W_h)
        got = [
            as_array(part, name, shape=right.shape)
            for part, name, right in zip(parts, names, wanted, strict=True)
        ]

        def made_with(grad_z: Array, x=x, h=h, W_x=W_x, W_h=W_h) -> tuple[Array, ...]:
            return grad_z @ W_x.T, grad_z @ W_h.T, x.T @ grad_z, h.T @ grad_z, grad_z.sum(axis=0)

        slopes = [
            (grad_h, "The slope of tanh is missing: grad_h is the gradient after tanh, and the products need the one before."),
            (grad_h * (1 - np.tanh(h_new) ** 2), "You take tanh of h_new once more. h_new is already tanh of the "
             "pre-activation, so the slope is 1 - h_new**2."),
            (grad_h * (1 - h**2), "The slope is taken at the old state. It belongs to the state that this step made: h_new."),
            (grad_h * (1 - h_new), "The slope of tanh is 1 - h_new**2; the square is missing."),
            (grad_h * h_new * (1 - h_new), "h_new * (1 - h_new) is the slope of the sigmoid. That of tanh is 1 - h_new**2."),
        ]  # fmt: skip
        for grad_z, message in slopes:
            if all(
                np.allclose(a, w, rtol=1e-5, atol=1e-8) for a, w in zip(got, made_with(grad_z), strict=True)
            ):
                raise NotYet(message)
        grad_z = grad_h * (1 - h_new**2)
        if np.allclose(got[1], grad_z @ W_h) and not np.allclose(got[1], wanted[1]):
            raise NotYet(
                "grad_h_old is grad_z @ W_h. Forward the state went through W_h; backward the gradient goes through its "
                "transpose."
            )
        if np.allclose(got[4], grad_z.mean(axis=0)) and not np.allclose(got[4], wanted[4]):
            raise NotYet(
                "grad_b is the mean over the batch. The loss is a mean already: the examples' shares are added."
            )
        if np.allclose(got[2] * len(x), wanted[2]):
            raise NotYet(
                "grad_W_x is too small by the size of the batch. The loss is a mean already; nothing is divided here."
            )
        if np.allclose(got[3], h_new.T @ grad_z) and not np.allclose(got[3], wanted[3]):
            raise NotYet("grad_W_h is made with the new state. W_h multiplied the old one: h.T @ grad_z.")
        for part, name, right in zip(got, names, wanted, strict=True):
            close(part, right, name)


# ---------------------------------------------------------------------------- clipping


def _clip_solution(grads, limit):
    norm = np.sqrt(sum((grad**2).sum() for grad in grads))
    factor = 1.0 if norm <= limit else limit / norm
    return [factor * grad for grad in grads]


@exercise(
    "recurrent_networks.clipping",
    solution=_clip_solution,
    hints=[
        "All arrays together are one long vector. What is its length?",
        "The length is the root of the sum of all squares, over all arrays. If it exceeds the limit, one factor for all.",
        "The factor is limit / length if the length exceeds the limit, else 1.",
    ],
)
def clip(answer: Any) -> None:
    """Clipping by the common norm."""
    rng = np.random.default_rng(7)
    long = [rng.normal(size=(3, 4)), 5 * rng.normal(size=4), rng.normal(size=(2, 2, 2))]
    short = [0.01 * g for g in long]
    for grads, limit in ((long, 1.0), (long, 3.0), (short, 1.0), ([np.zeros(3), np.zeros((2, 2))], 1.0)):
        given = [g.copy() for g in grads]
        value = attempted(call(answer, given, limit))
        expect(
            all(np.array_equal(a, b) for a, b in zip(given, grads, strict=True)),
            "Your function changed the arrays that it was given. Return new ones: `g *= ...` works in place.",
        )
        expect(
            isinstance(value, (list, tuple)) and len(value) == len(grads),
            f"The result should be a list of {len(grads)} arrays, one for each that came in.",
        )
        got = [
            as_array(v, f"array {i}", shape=g.shape)
            for i, (v, g) in enumerate(zip(value, grads, strict=True))
        ]
        norm = math.sqrt(sum(float((g**2).sum()) for g in grads))
        if norm == 0:
            expect(
                all(np.isfinite(g).all() for g in got),
                "For gradients that are all zero you return nan: the length is 0, and something is divided by it.",
            )
        each = [g * min(1.0, limit / (np.linalg.norm(g) + 1e-300)) for g in grads]
        by_value = [np.clip(g, -limit, limit) for g in grads]
        total = math.sqrt(sum(float((g**2).sum()) for g in got))
        right = _clip_solution(grads, limit)
        if all(np.allclose(a, b, rtol=1e-5, atol=1e-9) for a, b in zip(got, right, strict=True)):
            continue
        if all(np.allclose(a, b, rtol=1e-5) for a, b in zip(got, each, strict=True)):
            raise NotYet(
                f"Each array is clipped by its own length, so their common length is {total:.3g} for a limit of {limit:g}, "
                "and the direction of the whole gradient has changed. One factor for all."
            )
        if all(np.allclose(a, b, rtol=1e-5) for a, b in zip(got, by_value, strict=True)):
            raise NotYet(
                "Every entry is cut off at ±limit. That is clipping by value: it turns the gradient's direction, and the "
                f"common length is still {total:.3g}. Here the whole gradient is shortened."
            )
        if norm <= limit and total > norm * 1.0001:
            raise NotYet(
                f"Gradients of length {norm:.3g} were stretched to {total:.3g}, although the limit is {limit:g}. Short ones "
                "stay as they are."
            )
        if norm > limit and all(np.allclose(a, limit / norm**2 * g) for a, g in zip(got, grads, strict=True)):
            raise NotYet("You divide by the sum of squares. The length is its root.")
        raise NotYet(
            f"For gradients of common length {norm:.3g} and a limit of {limit:g} yours have length {total:.3g}."
        )


# ---------------------------------------------------------------------------- horizon


def _horizon_solution(W_h, share):
    if np.abs(np.linalg.eigvals(W_h)).max() >= 1:
        return math.inf
    power, k, last_above = np.eye(len(W_h)), 0, 0
    while True:
        power, k = power @ W_h, k + 1
        length = np.linalg.norm(power, 2)
        if length >= share:
            last_above = k
        if (
            length < min(share, 1) ** 2 and k >= 2 * last_above + 1
        ):  # powers beyond are products of ones below the share
            return last_above + 1


@exercise(
    "recurrent_networks.gradient",
    solution=_horizon_solution,
    hints=[
        "np.linalg.norm(A, 2) of a matrix is its largest singular value. Compute it for the powers of W_h, one after the other.",
        "If the spectral radius is 1 or more, the powers never stay small. If it is below 1, they end small, perhaps after "
        "a hill: remember the last k at which the length was not below the share.",
        "When can you stop looking? If the lengths of k, k + 1, ..., 2k are all below the share, those of all larger powers "
        "are, because each is a product of such powers. A few thousand powers also do for the matrices of the check.",
    ],
)
def horizon(answer: Any) -> None:
    """From which step back on the longest possible gradient stays below a share."""
    rng = np.random.default_rng(11)
    Q, _ = np.linalg.qr(rng.normal(size=(6, 6)))
    tilted = np.array([[0.8, 3.0, 0.0], [0.0, 0.7, 2.0], [0.0, 0.0, 0.75]])
    cases = [
        ("the matrix of the worked value", np.array([[0.5, 4.0], [0.0, 0.5]]), 0.9),
        ("0.9 times an orthogonal matrix", 0.9 * Q, 0.01),
        ("a triangular matrix of radius 0.8", tilted, 0.1),
        ("an orthogonal matrix", Q, 0.5),
        ("a matrix of radius 1.2", 1.2 * Q, 0.5),
        ("a matrix that turns and stretches", np.array([[0.0, 1.8], [0.3, 0.0]]), 0.7),
    ]
    for label, W, share in cases:
        value = attempted(call(answer, W.copy(), share))
        got = float(as_array(value, f"The horizon of {label}", shape=()))
        right = _horizon_solution(W, share)
        if got == right:
            continue
        radius = float(np.abs(np.linalg.eigvals(W)).max())
        lengths = []
        power = np.eye(len(W))
        for _ in range(400):
            power = power @ W
            lengths.append(np.linalg.norm(power, 2))
        first = next((k for k, length in enumerate(lengths, 1) if length < share), math.inf)
        if right == math.inf:
            raise NotYet(
                f"For {label} you return {got:g}. Its spectral radius is {radius:.3g}, so the powers never stay below "
                f"{share:g}: the answer is math.inf."
            )
        by_radius = next((k for k in range(1, 400) if radius**k < share), math.inf)
        norm = float(np.linalg.norm(W, 2))
        if got == by_radius and lengths[int(by_radius) - 1] >= share:
            raise NotYet(
                f"For {label} you return {got:g}, which is where ρ to the power k falls below the share. The power of the "
                f"matrix is longer than that at first: at k = {by_radius} its largest singular value is "
                f"{lengths[int(by_radius) - 1]:.3g}."
            )
        if got == math.inf and norm >= 1:
            raise NotYet(
                f"For {label} you return infinity, perhaps because its largest singular value, {norm:.3g}, is at least 1. "
                f"The spectral radius is {radius:.3g}; the powers do end small."
            )
        if got == first and first != right:
            raise NotYet(
                f"For {label} you return {got:g}, the first k below the share. Later the length rises above it again; "
                "asked is from where on it stays below."
            )
        if got == right - 1:
            raise NotYet(
                f"For {label} you return {got:g}, where the length is still {lengths[int(got) - 1]:.3g}, not below {share:g}."
            )
        raise NotYet(f"For {label} and a share of {share:g} you return {got:g}; it should be {right:g}.")
