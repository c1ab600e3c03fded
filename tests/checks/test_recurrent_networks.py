"""Right, untouched and wrong answers to the exercises of lesson 18."""

from __future__ import annotations

import math

import numpy as np

from tests.checks.common import Case


def _stub(*args):
    return ...


def _step(make):
    return lambda x, h, W_x, W_h, b: make(x, h, W_x, W_h, b)


def _back(slope=lambda g, h, new: g * (1 - new**2), **parts):
    """One step back with the slope or one of the five results replaced."""

    def backward(grad_h, x, h, h_new, W_x, W_h):
        grad_z = slope(grad_h, h, h_new)
        results = {
            "x": grad_z @ W_x.T,
            "h": grad_z @ W_h.T,
            "W_x": x.T @ grad_z,
            "W_h": h.T @ grad_z,
            "b": grad_z.sum(axis=0),
        }
        for name, make in parts.items():
            results[name] = make(grad_z, x, h, h_new, W_x, W_h)
        return tuple(results.values())

    return backward


def _length(grads):
    return math.sqrt(sum((g**2).sum() for g in grads))


def _clip_in_place(grads, limit):
    norm = _length(grads)
    for g in grads:
        g *= limit / norm
    return grads


def _by_radius(W, share):
    radius = np.abs(np.linalg.eigvals(W)).max()
    return math.inf if radius >= 1 else math.floor(math.log(share) / math.log(radius)) + 1


def _first(W, share, offset=0):
    if np.abs(np.linalg.eigvals(W)).max() >= 1:
        return math.inf
    power = np.eye(len(W))
    for k in range(1, 5000):
        power = power @ W
        if np.linalg.norm(power, 2) < share:
            return k + offset
    return math.inf


def _last(W, share, offset):
    if np.abs(np.linalg.eigvals(W)).max() >= 1:
        return math.inf
    lengths = [np.linalg.norm(np.linalg.matrix_power(W, k), 2) for k in range(1, 300)]
    return max([k for k, length in enumerate(lengths, 1) if length >= share], default=0) + offset


CASES = {
    "rnn_step": Case(
        stub=_stub,
        wrong=[
            (_step(lambda x, h, W_x, W_h, b: x @ W_x + h @ W_h + b), "pre-activation"),
            (_step(lambda x, h, W_x, W_h, b: np.maximum(x @ W_x + h @ W_h + b, 0)), "ReLU"),
            (_step(lambda x, h, W_x, W_h, b: 1 / (1 + np.exp(-(x @ W_x + h @ W_h + b)))), "sigmoid"),
            (_step(lambda x, h, W_x, W_h, b: np.tanh(x @ W_x + h @ W_h)), "bias"),
            (_step(lambda x, h, W_x, W_h, b: np.tanh(x @ W_x + b)), "dense layer"),
            (_step(lambda x, h, W_x, W_h, b: np.tanh(x @ W_x + h @ W_h.T + b)), "transposed"),
            (_step(lambda x, h, W_x, W_h, b: np.tanh(x @ W_x + b) + h @ W_h), "after the tanh"),
            (_step(lambda x, h, W_x, W_h, b: np.tanh(x @ W_x + h + b)), "without W_h"),
            (_step(lambda x, h, W_x, W_h, b: np.tanh(x @ W_x + h @ W_h + b)[0]), "shape"),
            (lambda *args: None, "return"),
        ],
    ),
    "rnn_step_backward": Case(
        stub=_stub,
        wrong=[
            (_back(lambda g, h, new: g), "slope of tanh is missing"),
            (_back(lambda g, h, new: g * (1 - np.tanh(new) ** 2)), "once more"),
            (_back(lambda g, h, new: g * (1 - h**2)), "old state"),
            (_back(lambda g, h, new: g * (1 - new)), "square is missing"),
            (_back(lambda g, h, new: g * new * (1 - new)), "slope of the sigmoid"),
            (_back(h=lambda gz, x, h, new, W_x, W_h: gz @ W_h), "transpose"),
            (_back(b=lambda gz, x, h, new, W_x, W_h: gz.mean(axis=0)), "mean over the batch"),
            (
                _back(W_x=lambda gz, x, h, new, W_x, W_h: x.T @ gz / len(x)),
                "too small by the size of the batch",
            ),
            (_back(W_h=lambda gz, x, h, new, W_x, W_h: new.T @ gz), "made with the new state"),
            (_back(W_x=lambda gz, x, h, new, W_x, W_h: gz.T @ x), "shape"),
            (lambda *args: args[0], "single"),
        ],
    ),
    "clip": Case(
        stub=_stub,
        wrong=[
            (lambda grads, c: [g * min(1, c / (np.linalg.norm(g) + 1e-12)) for g in grads], "its own length"),
            (lambda grads, c: [np.clip(g, -c, c) for g in grads], "clipping by value"),
            (lambda grads, c: [g * c / (_length(grads) + 1e-12) for g in grads], "stay as they are"),
            (lambda grads, c: [g * min(1, c / (_length(grads) ** 2 + 1e-12)) for g in grads], "its root"),
            (_clip_in_place, "changed the arrays"),
            (lambda grads, c: grads[0], "list of 3 arrays"),
            (lambda grads, c: [g * 0.5 for g in grads], "yours have length"),
        ],
    ),
    "horizon": Case(
        stub=_stub,
        wrong=[
            (_by_radius, "ρ to the power k"),
            (lambda W, s: math.inf if np.linalg.norm(W, 2) >= 1 else _first(W, s), "largest singular value"),
            (_first, "first k below the share"),
            (lambda W, s: _last(W, s, 0), "still"),
            (lambda W, s: 100 if _last(W, s, 1) == math.inf else _last(W, s, 1), "never stay below"),
            (lambda W, s: _last(W, s, 3), "it should be"),
        ],
    ),
}
