"""Right, untouched and wrong answers to the exercises of lesson 26."""

from __future__ import annotations

import math

import numpy as np

from course_utils.checks.initialization_and_normalization import (
    _around_running,
    _first_batch,
    _fold_solution,
    _forward_gain_solution,
    _rms_norm_backward_solution,
    _running,
    _running_statistics_solution,
    _running_std,
    _starting_std_solution,
)
from tests.checks.common import Case


def _stub(*args):
    return ...


def _std(variance):
    """A standard deviation from a function of (inputs, outputs, is it ReLU, shape)."""

    def starting_std(shape, activation):
        places = math.prod(shape[:-2])
        return math.sqrt(variance(places * shape[-2], places * shape[-1], activation == "relu", shape))

    return starting_std


def _right(n, m, relu):
    return 2 / n if relu else 2 / (n + m)


def _statistics(mean=None, variance=None):
    """The right statistics, with one of them replaced by a function of (batches, momentum)."""

    def running_statistics(batches, momentum):
        right = _running_statistics_solution(batches, momentum)
        return (
            mean(batches, momentum) if mean else right[0],
            variance(batches, momentum) if variance else right[1],
        )

    return running_statistics


def _folded(new_W=None, new_b=None):
    """The right layer, with W or b replaced by what a function computes from the parts."""

    def fold(W, b, gamma, beta, mean, variance, epsilon):
        right = _fold_solution(W, b, gamma, beta, mean, variance, epsilon)
        p = dict(W=W, b=b, gamma=gamma, beta=beta, mean=mean, variance=variance, epsilon=epsilon)
        p["scale"] = gamma / np.sqrt(variance + epsilon)
        return new_W(p) if new_W else right[0], new_b(p) if new_b else right[1]

    return fold


def _fold_in_place(W, b, gamma, beta, mean, variance, epsilon):
    scale = gamma / np.sqrt(variance + epsilon)
    W *= scale
    return W, (b - mean) * scale + beta


def _fold_rows(W, b, gamma, beta, mean, variance, epsilon):
    scale = gamma / np.sqrt(variance + epsilon)
    if len(W) != len(scale):
        return W * scale, (b - mean) * scale + beta
    return W * scale[:, None], (b - mean) * scale + beta


def _rms(grad_Z=None, grad_gamma=None):
    """The right gradients, with one of them replaced by what a function computes from the parts."""

    def backward(grad_Y, Z, gamma, epsilon):
        right = _rms_norm_backward_solution(grad_Y, Z, gamma, epsilon)
        r = np.sqrt(np.mean(Z**2, axis=1, keepdims=True) + epsilon)
        p = dict(g=grad_Y, Z=Z, gamma=gamma, r=r, hat=Z / r, grad=grad_Y * gamma, n=Z.shape[1], eps=epsilon)
        return grad_Z(p) if grad_Z else right[0], grad_gamma(p) if grad_gamma else right[1]

    return backward


def _along(grad, hat, axis=1):
    return hat * np.mean(grad * hat, axis=axis, keepdims=True)


def _layer_norm_backward(p):
    return (p["grad"] - p["grad"].mean(axis=1, keepdims=True) - _along(p["grad"], p["hat"])) / p["r"]


def _layer_norm_gamma(p):
    Z = p["Z"]
    hat = (Z - Z.mean(axis=1, keepdims=True)) / np.sqrt(Z.var(axis=1, keepdims=True) + p["eps"])
    return np.sum(p["g"] * hat, axis=0)


def _rms_in_place(grad_Y, Z, gamma, epsilon):
    grad_Y *= gamma
    return grad_Y, gamma


def _moments(f):
    """A gain from a function of phi's mean square, mean and mean squared slope for a standard normal z."""

    def forward_gain(phi):
        z = np.linspace(-10, 10, 20001)
        weight = np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi) * 0.001
        slope = (phi(z + 1e-4) - phi(z - 1e-4)) / 2e-4
        return f(np.sum(phi(z) ** 2 * weight), np.sum(phi(z) * weight), np.sum(slope**2 * weight))

    return forward_gain


CASES = {
    "starting_std": Case(
        stub=_stub,
        wrong=[
            (lambda shape, activation: _starting_std_solution(shape, activation) ** 2, "square root"),
            (lambda shape, activation: math.sqrt(3) * _starting_std_solution(shape, activation), "uniform"),
            (_std(lambda n, m, relu, s: 2 / m if relu else 2 / (n + m)), "divide by the outputs"),
            (_std(lambda n, m, relu, s: 2 / (n + m)), "Glorot's variance; for ReLU"),
            (_std(lambda n, m, relu, s: 2 / n), "He's variance, made for ReLU"),
            (_std(lambda n, m, relu, s: 1 / n if relu else 2 / (n + m)), "factor 2 is missing"),
            (_std(lambda n, m, relu, s: 2 / n if relu else 1 / n), "Glorot's compromise"),
            (_std(lambda n, m, relu, s: 2 / n if relu else 1 / (n + m)), "factor 2 of Glorot"),
            (_std(lambda n, m, relu, s: _right(s[-2], s[-1], relu)), "window is missing"),
            (_std(lambda n, m, relu, s: 2 / math.prod(s)), "number of weights"),
            (lambda shape, activation: None, "return"),
            (lambda shape, activation: 0.05, "it should be"),
        ],
    ),
    "running_statistics": Case(
        stub=_stub,
        wrong=[
            (lambda batches, momentum: _running(batches, 1 - momentum), "PyTorch's meaning"),
            (_statistics(mean=lambda b, k: _first_batch(b, k)[0]), "starts from 0"),
            (_statistics(mean=lambda b, k: np.mean([Z.mean(axis=0) for Z in b], axis=0)), "weigh the same"),
            (_statistics(mean=lambda b, k: b[-1].mean(axis=0)), "nothing is remembered"),
            (_statistics(mean=lambda b, k: _running(b, k)[0] / (1 - k ** len(b))), "as Adam"),
            (_statistics(variance=lambda b, k: _running(b, k, ddof=1)[1]), "m − 1"),
            (_statistics(variance=lambda b, k: _running(b, k, start=(0.0, 0.0))[1]), "starts at 1"),
            (_statistics(variance=lambda b, k: _first_batch(b, k)[1]), "starts from 1"),
            (_statistics(variance=_running_std), "average standard deviations"),
            (_statistics(variance=lambda b, k: np.sqrt(_running(b, k)[1])), "the variance was asked"),
            (_statistics(variance=_around_running), "batch's own mean"),
            (_statistics(mean=lambda b, k: b[0].mean(axis=1)), "shape"),
            (lambda batches, momentum: _running(batches, momentum)[0], "it should return 2"),
        ],
    ),
    "fold": Case(
        stub=_stub,
        wrong=[
            (_fold_in_place, "changed the arrays"),
            (_fold_rows, "scaled the rows"),
            (_folded(new_W=lambda p: p["W"] * p["gamma"] / np.sqrt(p["variance"])), "ε is missing"),
            (
                _folded(new_W=lambda p: p["W"] * p["gamma"] / (np.sqrt(p["variance"]) + p["epsilon"])),
                "outside the root",
            ),
            (
                _folded(new_W=lambda p: p["W"] * p["gamma"] / (p["variance"] + p["epsilon"])),
                "divides by its root",
            ),
            (_folded(new_W=lambda p: p["W"] * p["scale"] / p["gamma"]), "γ is missing"),
            (_folded(new_W=lambda p: p["W"] * p["gamma"] ** 2 / p["scale"]), "multiply by the spread"),
            (_folded(new_W=lambda p: (p["W"] - p["mean"]) * p["scale"]), "belongs to the bias"),
            (_folded(new_W=lambda p: p["W"]), "W is unchanged"),
            (_folded(new_b=lambda p: p["beta"] - p["mean"] * p["scale"]), "own bias b is missing"),
            (_folded(new_b=lambda p: p["b"] + p["beta"] - p["mean"] * p["scale"]), "b was not scaled"),
            (_folded(new_b=lambda p: (p["b"] - p["mean"]) * p["scale"]), "β is missing"),
            (_folded(new_b=lambda p: (p["b"] - p["mean"] + p["beta"]) * p["scale"]), "β was scaled"),
            (_folded(new_b=lambda p: p["b"] * p["scale"] + p["beta"]), "The mean is missing"),
            (_folded(new_b=lambda p: (p["b"] + p["mean"]) * p["scale"] + p["beta"]), "mean was added"),
            (_folded(new_b=lambda p: p["b"]), "b is unchanged"),
            (
                _folded(new_b=lambda p: (p["b"] - p["mean"]) * p["scale"] / p["gamma"] + p["beta"]),
                "missing in the bias",
            ),
            (lambda *args: _fold_solution(*args)[0], "it should return 2"),
        ],
    ),
    "rms_norm_backward": Case(
        stub=_stub,
        wrong=[
            (_rms_in_place, "changed the arrays"),
            (_rms(grad_Z=lambda p: p["grad"] / p["r"]), "r as a constant"),
            (_rms(grad_Z=_layer_norm_backward), "as in layer normalisation"),
            (_rms(grad_Z=lambda p: p["grad"] - _along(p["grad"], p["hat"])), "division by r"),
            (_rms(grad_Z=lambda p: (p["grad"] + _along(p["grad"], p["hat"])) / p["r"]), "sign"),
            (_rms(grad_Z=lambda p: (p["grad"] - _along(p["grad"], p["hat"], 0)) / p["r"]), "down the column"),
            (
                _rms(grad_Z=lambda p: (p["grad"] - p["n"] * _along(p["grad"], p["hat"])) / p["r"]),
                "You summed",
            ),
            (_rms(grad_Z=lambda p: (p["g"] - _along(p["g"], p["hat"])) / p["r"]), "γ is missing"),
            (_rms(grad_Z=lambda p: (p["grad"] - _along(p["grad"], p["Z"])) / p["r"]), "uses z"),
            (_rms(grad_gamma=lambda p: np.mean(p["g"] * p["hat"], axis=0)), "mean over the examples"),
            (_rms(grad_gamma=lambda p: np.sum(p["g"] * p["Z"], axis=0)), "not z"),
            (_rms(grad_gamma=lambda p: np.sum(p["grad"] * p["hat"], axis=0)), "γ itself"),
            (_rms(grad_gamma=_layer_norm_gamma), "RMSNorm has none"),
            (_rms(grad_gamma=lambda p: np.sum(p["g"], axis=0)), "shift β"),
            (_rms(grad_gamma=lambda p: np.sum(p["g"] * p["hat"], axis=1)), "shape"),
            (lambda *args: _rms_norm_backward_solution(*args)[0], "it should return 2"),
        ],
    ),
    "forward_gain": Case(
        stub=_stub,
        wrong=[
            (_moments(lambda square, mean, slope: square), "what is left"),
            (lambda phi: math.sqrt(_forward_gain_solution(phi)), "standard deviation"),
            (lambda phi: _forward_gain_solution(phi) ** 2, "once too often"),
            (_moments(lambda square, mean, slope: 1 / (square - mean**2)), "used the variance"),
            (_moments(lambda square, mean, slope: 1 / square), "GELU does not scale"),
            (_moments(lambda square, mean, slope: 1 / slope), "keeps the gradient"),
            (lambda phi: 2.0, "instead of 1"),
            (lambda phi: 0.7, "instead of 1"),
            (lambda phi: phi, "numeric"),
            (lambda phi: None, "return"),
        ],
    ),
}
