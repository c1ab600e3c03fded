"""Exercises of lesson 26: starting weights, and normalisation over the batch and over the units."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from course_utils.checks._engine import NotYet, as_array, call, close, exercise, expect, several


def _same(a: Any, b: Any, rtol: float = 1e-5) -> bool:
    return np.shape(a) == np.shape(b) and np.allclose(a, b, rtol=rtol, atol=1e-9)


# ---------------------------------------------------------------------------- starting weights


def _starting_std_solution(shape, activation):
    places = math.prod(shape[:-2])  # 1 for a dense layer, k k for a convolution
    fan_in, fan_out = places * shape[-2], places * shape[-1]
    variance = 2 / fan_in if activation == "relu" else 2 / (fan_in + fan_out)
    return math.sqrt(variance)


@exercise(
    "initialization_and_normalization.init",
    solution=_starting_std_solution,
    hints=[
        "Over how many numbers does one output of the layer sum? For a convolution it is a whole window.",
        "A kernel (k, k, C, F) has k·k·C inputs and k·k·F outputs; `math.prod(shape[:-2])` is k·k, and 1 for a "
        "dense layer.",
        "The variance is 2 / inputs for ReLU and 2 / (inputs + outputs) for tanh. The question is about the "
        "standard deviation.",
    ],
)
def starting_std(answer: Any) -> None:
    """Standard deviation of He's and of Glorot's starting weights."""
    cases = [((30, 70), "relu"), ((30, 70), "tanh"), ((3, 3, 16, 40), "relu"), ((5, 3, 8, 20), "tanh")]
    for shape, activation in cases:
        got = float(as_array(call(answer, shape, activation), "The standard deviation", shape=()))
        right = _starting_std_solution(shape, activation)
        places = math.prod(shape[:-2])
        n_in, n_out = places * shape[-2], places * shape[-1]
        named = [
            (2 / n_out, "You divide by the outputs. The signal of one unit is a sum over its inputs."),
            (2 / (n_in + n_out), "That is Glorot's variance; for ReLU, which loses half of the mean square, it is "
             "too small (in a square layer by a factor of 2)."),
            (2 / n_in, "That is He's variance, made for ReLU. tanh passes small signals on whole and needs no "
             "factor 2 over the inputs."),
            (1 / n_in, "That variance keeps a linear signal. For ReLU the factor 2 is missing; for tanh the "
             "exercise asks for Glorot's compromise between inputs and outputs."),
            (1 / (n_in + n_out), "The factor 2 of Glorot's variance is missing: the mean of inputs and outputs is "
             "(inputs + outputs) / 2."),
            (2 / math.prod(shape), "You divide by the number of weights. One output sums over its own inputs only."),
        ]  # fmt: skip
        if places > 1:
            window = "The window is missing: a convolution has k·k·C inputs and k·k·F outputs for each unit."
            named += [(2 / shape[-2], window), (2 / (shape[-2] + shape[-1]), window)]
        where = f"For {shape} and {activation!r} you return {got:.4g}."
        if not _same(got, right, 1e-4):
            expect(
                not _same(got, right**2, 1e-4),
                f"{where} That is the variance; its square root is the standard deviation.",
            )
            expect(
                not _same(got, math.sqrt(3) * right, 1e-4),
                f"{where} That is the limit of the uniform distribution, √3 times the standard deviation.",
            )
            for variance, message in named:
                expect(not _same(got, math.sqrt(variance), 1e-4), f"{where} {message}")
        close(got, right, f"The standard deviation for {shape} and {activation!r}", rtol=1e-4)


# ---------------------------------------------------------------------------- running statistics


def _running_statistics_solution(batches, momentum):
    units = np.shape(batches[0])[1]
    running_mean, running_variance = np.zeros(units), np.ones(units)
    for Z in batches:
        Z = np.asarray(Z, dtype=float)
        running_mean = momentum * running_mean + (1 - momentum) * Z.mean(axis=0)
        running_variance = momentum * running_variance + (1 - momentum) * Z.var(axis=0)
    return running_mean, running_variance


def _running(batches, momentum, start=(0.0, 1.0), ddof=0, mean_of=lambda Z: Z.mean(axis=0)):
    """The running statistics with one of their parts changed."""
    mean, variance = np.full(batches[0].shape[1], start[0]), np.full(batches[0].shape[1], start[1])
    for Z in batches:
        mean = momentum * mean + (1 - momentum) * mean_of(Z)
        variance = momentum * variance + (1 - momentum) * Z.var(axis=0, ddof=ddof)
    return mean, variance


@exercise(
    "initialization_and_normalization.mismatch",
    solution=_running_statistics_solution,
    hints=[
        "What do the two statistics hold before the first batch? The worked value tells: after one batch of "
        "variance 1 the running variance is 1.",
        "Mean and variance of a batch are taken over its rows, `axis=0`, and the variance divides by m.",
        "Keras keeps the share `momentum` of the old value and takes `1 - momentum` of the new one. Start from "
        "mean 0 and variance 1, and go through the batches in a loop.",
    ],
)
def running_statistics(answer: Any) -> None:
    """Running mean and variance of a batch normalisation after some steps."""
    rng = np.random.default_rng(26)
    batches = [rng.normal(3, 2, size=(m, 3)) for m in (4, 6, 3, 5)]
    for momentum in (0.9, 0.6):
        results = several(call(answer, [Z.copy() for Z in batches], momentum), "the mean", "the variance")
        got_mean = as_array(results[0], "The running mean", shape=(3,))
        got_variance = as_array(results[1], "The running variance", shape=(3,))
        right_mean, right_variance = _running_statistics_solution(batches, momentum)
        turned = _running(batches, 1 - momentum)
        expect(
            not (_same(got_mean, turned[0]) or _same(got_variance, turned[1])),
            "You keep the share 1 − momentum of the old value. That is PyTorch's meaning of the word; in Keras "
            "the share `momentum` is kept.",
        )
        first = _first_batch(batches, momentum)
        for value, message in [
            (first[0], "You start from the first batch's mean. The layer starts from 0."),
            (np.mean([Z.mean(axis=0) for Z in batches], axis=0), "That is the plain mean of the batch means, in "
             "which all batches weigh the same."),
            (batches[-1].mean(axis=0), "That is the last batch's mean: nothing is remembered."),
            (right_mean / (1 - momentum ** len(batches)), "You corrected the mean for its start at 0, as Adam "
             "does. Batch normalisation does not."),
        ]:  # fmt: skip
            expect(not _same(got_mean, value), f"The running mean is not right. {message}")
        close(got_mean, right_mean, f"The running mean for momentum {momentum}")
        for value, message in [
            (_running(batches, momentum, ddof=1)[1], "You divide by m − 1, as PyTorch does for its running "
             "variance. Keras divides by m."),
            (_running(batches, momentum, start=(0.0, 0.0))[1], "You start the variance at 0. A layer that has "
             "seen nothing should change nothing, so Keras starts at 1."),
            (first[1], "You start from the first batch's variance. The layer starts from 1."),
            (_running_std(batches, momentum), "You average standard deviations. The layer averages variances."),
            (np.sqrt(right_variance), "You return a standard deviation; the variance was asked for."),
            (_around_running(batches, momentum), "You measure deviations from the running mean. The variance of "
             "a batch is taken around the batch's own mean."),
        ]:  # fmt: skip
            expect(not _same(got_variance, value), f"The running variance is not right. {message}")
        close(got_variance, right_variance, f"The running variance for momentum {momentum}")


def _first_batch(batches, momentum):
    mean, variance = batches[0].mean(axis=0), batches[0].var(axis=0)
    for Z in batches[1:]:
        mean = momentum * mean + (1 - momentum) * Z.mean(axis=0)
        variance = momentum * variance + (1 - momentum) * Z.var(axis=0)
    return mean, variance


def _running_std(batches, momentum):
    std = np.ones(batches[0].shape[1])
    for Z in batches:
        std = momentum * std + (1 - momentum) * Z.std(axis=0)
    return std


def _around_running(batches, momentum):
    mean, variance = np.zeros(batches[0].shape[1]), np.ones(batches[0].shape[1])
    for Z in batches:
        mean = momentum * mean + (1 - momentum) * Z.mean(axis=0)
        variance = momentum * variance + (1 - momentum) * np.mean((Z - mean) ** 2, axis=0)
    return variance


# ---------------------------------------------------------------------------- folding


def _fold_solution(W, b, gamma, beta, mean, variance, epsilon):
    scale = gamma / np.sqrt(variance + epsilon)  # (k,), a factor for each column
    return W * scale, (b - mean) * scale + beta


@exercise(
    "initialization_and_normalization.batchnorm",
    solution=_fold_solution,
    hints=[
        "Write down the output of the pair for one unit, with mean and variance as constants, and sort it into "
        "what multiplies x and what does not.",
        "y = γ (x W + b − μ) / s + β with s = √(variance + ε). With scale = γ / s this is x (W · scale) + ...",
        "`W * scale` scales column k by scale[k]. The rest is (b − mean) · scale + beta.",
    ],
)
def fold(answer: Any) -> None:
    """A dense layer and the batch normalisation behind it as one dense layer."""
    rng = np.random.default_rng(26)
    for n, k in ((4, 3), (3, 3)):
        W, b, gamma, beta, mean = rng.normal(size=(n, k)), *rng.normal(size=(4, k))
        variance, epsilon = rng.uniform(0.3, 3, size=k), 0.1
        arguments = [W, b, gamma, beta, mean, variance]
        given = [a.copy() for a in arguments]
        results = several(call(answer, *arguments, epsilon), "W_folded", "b_folded")
        expect(
            all(np.array_equal(a, c) for a, c in zip(arguments, given, strict=True)),
            "Your function changed the arrays that it was given. `W *= ...` works in place; write `W * ...` "
            "into a new name.",
        )
        got_W = as_array(results[0], "W_folded", shape=(n, k))
        got_b = as_array(results[1], "b_folded", shape=(k,))
        scale = gamma / np.sqrt(variance + epsilon)
        right_W, right_b = _fold_solution(*given, epsilon)
        named = [
            (W * gamma / np.sqrt(variance), "ε is missing under the root."),
            (W * gamma / (np.sqrt(variance) + epsilon), "ε stands outside the root; the layer adds it to the "
             "variance."),
            (W * gamma / (variance + epsilon), "You divide by the variance. The layer divides by its root."),
            (W / np.sqrt(variance + epsilon), "γ is missing."),
            (W * np.sqrt(variance + epsilon) * gamma, "You multiply by the spread; the layer divides by it."),
            ((W - mean) * scale, "You subtracted the mean from the weights. It is subtracted from x W + b, so it "
             "belongs to the bias."),
            (W, "W is unchanged. The scale γ / s multiplies x W, so it goes into the weights."),
        ]  # fmt: skip
        if n == k:
            named.append(
                (
                    W * scale[:, None],
                    "You scaled the rows. Each unit has its own scale, and units are columns.",
                )
            )
        for value, message in named:
            expect(not _same(got_W, value), f"W_folded is not right. {message}")
        close(got_W, right_W, "W_folded")
        for value, message in [
            (beta - mean * scale, "The layer's own bias b is missing; it is shifted and scaled as well."),
            (b + beta - mean * scale, "b was not scaled. It is added before the normalisation, so it goes through "
             "the scale."),
            ((b - mean) * scale, "β is missing."),
            ((b - mean + beta) * scale, "β was scaled. It is added behind the scale."),
            (b * scale + beta, "The mean is missing."),
            ((b + mean) * scale + beta, "The mean was added; the layer subtracts it."),
            (b, "b is unchanged."),
            ((b - mean) / np.sqrt(variance + epsilon) + beta, "γ is missing in the bias."),
        ]:  # fmt: skip
            expect(not _same(got_b, value), f"b_folded is not right. {message}")
        close(got_b, right_b, "b_folded")


# ---------------------------------------------------------------------------- RMSNorm


def _rms_norm_backward_solution(grad_Y, Z, gamma, epsilon):
    r = np.sqrt(np.mean(Z**2, axis=1, keepdims=True) + epsilon)  # (m, 1)
    Z_hat = Z / r
    grad_gamma = np.sum(grad_Y * Z_hat, axis=0)
    grad_hat = grad_Y * gamma
    stretch = Z_hat * np.mean(grad_hat * Z_hat, axis=1, keepdims=True)
    return (grad_hat - stretch) / r, grad_gamma


@exercise(
    "initialization_and_normalization.layernorm",
    solution=_rms_norm_backward_solution,
    hints=[
        "Of the two directions in which layer normalisation stops the gradient, which one is left when no mean "
        "is subtracted?",
        "Moving z_k moves r by ẑ_k / n. So ∂ẑ_j/∂z_k = (δ_jk − ẑ_j ẑ_k / n) / r.",
        "With ĝ = grad_Y · γ: grad_Z = (ĝ − ẑ · mean(ĝ ẑ)) / r, the mean along the row. grad_gamma is the sum of "
        "grad_Y · ẑ over the examples.",
    ],
)
def rms_norm_backward(answer: Any) -> None:
    """Backward through RMSNorm."""
    rng = np.random.default_rng(26)
    for m, n in ((5, 4), (4, 4)):
        Z, grad_Y, gamma, epsilon = rng.normal(1, 2, (m, n)), rng.normal(size=(m, n)), rng.normal(size=n), 0.3
        given = [a.copy() for a in (grad_Y, Z, gamma)]
        results = several(call(answer, grad_Y, Z, gamma, epsilon), "grad_Z", "grad_gamma")
        expect(
            all(np.array_equal(a, c) for a, c in zip((grad_Y, Z, gamma), given, strict=True)),
            "Your function changed the arrays that it was given. Write results into new names.",
        )
        got_Z = as_array(results[0], "grad_Z", shape=(m, n))
        got_gamma = as_array(results[1], "grad_gamma", shape=(n,))
        right_Z, right_gamma = _rms_norm_backward_solution(grad_Y, Z, gamma, epsilon)
        r = np.sqrt(np.mean(Z**2, axis=1, keepdims=True) + epsilon)
        Z_hat, grad_hat = Z / r, grad_Y * gamma
        stretch = Z_hat * np.mean(grad_hat * Z_hat, axis=1, keepdims=True)
        layer_hat = (Z - Z.mean(axis=1, keepdims=True)) / np.sqrt(Z.var(axis=1, keepdims=True) + epsilon)
        for value, message in [
            (np.mean(grad_Y * Z_hat, axis=0), "You took the mean over the examples. grad_Y already holds any "
             "division by m, so contributions add."),
            (np.sum(grad_Y * Z, axis=0), "γ multiplies ẑ, not z."),
            (np.sum(grad_hat * Z_hat, axis=0), "γ itself does not belong into its gradient."),
            (np.sum(grad_Y * layer_hat, axis=0), "You subtracted the mean, as layer normalisation does. RMSNorm "
             "has none."),
            (np.sum(grad_Y, axis=0), "That would be the gradient of a shift β. γ multiplies ẑ."),
        ]:  # fmt: skip
            expect(not _same(got_gamma, value), f"grad_gamma is not right. {message}")
        if m == n:
            expect(
                not _same(got_gamma, np.sum(grad_Y * Z_hat, axis=1)),
                "grad_gamma was summed along the row. γ belongs to the unit, so its gradient sums over examples.",
            )
        close(got_gamma, right_gamma, "grad_gamma")
        down = Z_hat * np.mean(grad_hat * Z_hat, axis=0, keepdims=True)
        for value, message in [
            (grad_hat / r, "You treated r as a constant. It depends on every entry of the row."),
            ((grad_hat - grad_hat.mean(axis=1, keepdims=True) - stretch) / r, "The mean of the gradient was "
             "subtracted, as in layer normalisation. Here no mean is taken forward, so none goes backward."),
            (grad_hat - stretch, "The division by r is missing."),
            ((grad_hat + stretch) / r, "The sign of the second term is wrong: a larger entry enlarges r, and "
             "everything else shrinks."),
            ((grad_hat - down) / r, "The mean was taken down the column, over the batch. A row is normalised by "
             "itself."),
            ((grad_hat - n * stretch) / r, "You summed where the mean along the row belongs: r holds 1 / n."),
            ((grad_Y - Z_hat * np.mean(grad_Y * Z_hat, axis=1, keepdims=True)) / r, "γ is missing: what arrives "
             "at ẑ is grad_Y · γ."),
            ((grad_hat - Z * np.mean(grad_hat * Z, axis=1, keepdims=True)) / r, "The second term uses z where ẑ "
             "belongs."),
        ]:  # fmt: skip
            expect(not _same(got_Z, value), f"grad_Z is not right. {message}")
        close(got_Z, right_Z, "grad_Z")


# ---------------------------------------------------------------------------- gain of an activation


def _forward_gain_solution(phi):
    z = np.linspace(-10, 10, 20001)
    density = np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)

    def next_square(c):  # q of the next layer if q is 1 here: z has the variance c
        return np.sum(phi(math.sqrt(c) * z) ** 2 * density) * (z[1] - z[0])

    low, high = 1e-3, 1e3
    for _ in range(60):  # it grows with c: halve the interval, on a logarithmic scale
        middle = math.sqrt(low * high)
        low, high = (middle, high) if next_square(middle) < 1 else (low, middle)
    return middle


@exercise(
    "initialization_and_normalization.signal",
    solution=_forward_gain_solution,
    hints=[
        "If q = 1 and v = c/n, the pre-activation has the variance n v q = c. What has to be 1 then?",
        "E[φ(√c · z)²] = 1 for a standard normal z. For ReLU one can take c out of the mean, for GELU one cannot.",
        "The mean is a sum over a fine grid of z, weighted with the normal density (or over many random z). It "
        "grows with c, so find the c at which it crosses 1 by halving an interval.",
    ],
)
def forward_gain(answer: Any) -> None:
    """The factor c for which weights of variance c/n keep the mean square at 1."""
    from scipy.special import ndtr

    functions = {
        "the identity": lambda z: np.asarray(z, dtype=float),
        "ReLU": lambda z: np.maximum(z, 0),
        "leaky ReLU with slope 0.3": lambda z: np.where(np.asarray(z) > 0, z, 0.3 * np.asarray(z)),
        "GELU": lambda z: np.asarray(z) * ndtr(z),
    }
    grid = np.linspace(-10, 10, 20001)
    weight = np.exp(-(grid**2) / 2) / math.sqrt(2 * math.pi) * (grid[1] - grid[0])
    for name, phi in functions.items():
        got = float(as_array(call(answer, phi), f"The gain of {name}", shape=()))
        right = _forward_gain_solution(phi)
        values = phi(grid)
        square = np.sum(values**2 * weight)
        variance = square - np.sum(values * weight) ** 2
        h = 1e-4
        slope = np.sum(((phi(grid + h) - phi(grid - h)) / (2 * h)) ** 2 * weight)
        where = f"For {name} you return {got:.4g}."
        if abs(got / right - 1) < 0.01:
            continue
        for value, message in [
            (square, "That is E[φ(z)²], what is left of the mean square; the gain has to make up for it."),
            (math.sqrt(right), "That is a factor for the standard deviation; c multiplies the variance."),
            (right**2, "You squared once too often: c multiplies the variance."),
            (1 / variance, "You used the variance of φ(z). The next layer feels the mean square, in which the mean "
             "of φ(z) counts as well."),
            (1 / square, "1 / E[φ(z)²] is right only if φ(√c z) = √c φ(z). GELU does not scale like that: the z "
             "that comes out of such weights has the variance c and not 1."),
            (1 / slope, "That keeps the gradient: you used the slope φ′. The signal was asked for."),
        ]:  # fmt: skip
            if abs(got / value - 1) < 0.01:
                raise NotYet(f"{where} {message}")
        raise NotYet(
            f"{where} With that c the mean square of the next layer is "
            f"{np.sum(phi(math.sqrt(max(got, 0.0)) * grid) ** 2 * weight):.3g} instead of 1."
        )
