"""Checks of lesson 16: separable cost, dense blocks, the pre-activation block's gradient, and path lengths."""

from __future__ import annotations

from typing import Any

import numpy as np

from course_utils.checks._engine import NotYet, as_array, call, close, exercise, expect, several

Array = np.ndarray


def _same(got: Array, value: Any) -> bool:
    return got.shape == np.shape(value) and np.allclose(got, value, rtol=1e-6, atol=1e-9)


# ---------------------------------------------------------------------------- separable convolution


def _separable_cost_solution(height, width, channels, filters, kernel):
    places = height * width
    ordinary = places * kernel**2 * channels * filters
    separable = places * (kernel**2 * channels + channels * filters)
    return ordinary, separable


@exercise(
    "resnet_densenet_efficientnet.separable",
    solution=_separable_cost_solution,
    hints=[
        "Count for one place of the output first: how many products does it take, over the window and over "
        "the input channels, and for how many filters?",
        "The depthwise half has one kernel x kernel filter for each input channel and keeps the number of "
        "channels. The pointwise half is an ordinary convolution with a kernel of 1 x 1.",
        "Per place: kernel² · channels · filters for the ordinary one; kernel² · channels for the depthwise "
        "half and channels · filters for the pointwise half. Add the halves.",
    ],
)
def separable_cost(answer: Any) -> None:
    """Multiply-adds of an ordinary and of a depthwise separable convolution."""
    for height, width, channels, filters, kernel in [(5, 7, 4, 11, 3), (8, 4, 16, 6, 5), (2, 2, 3, 4, 3)]:
        results = several(
            call(answer, height, width, channels, filters, kernel),
            "the ordinary count",
            "the separable count",
        )
        ordinary = float(as_array(results[0], "The ordinary count", shape=()))
        separable = float(as_array(results[1], "The separable count", shape=()))
        places, area = height * width, kernel**2
        right = places * area * channels * filters, places * (area * channels + channels * filters)
        where = (
            f"for {height} x {width} places, {channels} channels, {filters} filters and a {kernel} x "
            f"{kernel} kernel"
        )
        if (ordinary, separable) == right[::-1]:
            raise NotYet("The two counts are in the wrong order: the ordinary convolution comes first.")
        if (ordinary, separable) == (2 * right[0], 2 * right[1]):
            raise NotYet(
                "You count every multiplication and every addition. A multiply-add is both together."
            )
        if (ordinary, separable) == (right[0] / places, right[1] / places):
            raise NotYet(
                "These are the weights. Every weight is used once at every place of the output, so "
                "multiply by "
                "height · width."
            )
        named_ordinary = [
            (places * kernel * channels * filters, "The window has kernel² places, not kernel."),
            (places * area * filters, "Every filter sums over all input channels; channels are missing."),
            (places * area * channels, "That is one filter; there are several."),
        ]
        for value, message in named_ordinary:
            expect(ordinary != value, f"The ordinary count {where} is {ordinary:,.0f}. {message}")
        close(ordinary, right[0], f"The ordinary count {where}", rtol=1e-9)
        named_separable = [
            (places * area * channels, "That is the depthwise half alone; the 1 x 1 convolution is missing."),
            (places * channels * filters, "That is the pointwise half alone; the depthwise one is missing."),
            (
                places * (area * filters + channels * filters),
                "The depthwise half comes first and has one filter for each input channel, not for "
                "each output "
                "channel.",
            ),
            (
                places * area * channels * channels * filters,
                "The halves come one after the other, so their costs add; you multiplied them.",
            ),
            (
                places * (area * channels + area * channels * filters),
                "The second half has 1 x 1 kernels: there is no kernel² in it.",
            ),
            (
                places * (area * channels * channels + channels * filters),
                "The depthwise half does not sum over channels: each filter sees its own channel only.",
            ),
            (
                places * area * (channels + filters),
                "The pointwise half has a weight for each pair of input and output channel, and no window.",
            ),
        ]
        for value, message in named_separable:
            expect(separable != value, f"The separable count {where} is {separable:,.0f}. {message}")
        close(separable, right[1], f"The separable count {where}", rtol=1e-9)


# ---------------------------------------------------------------------------- dense block


def _dense_block_weights_solution(channels, growth, depth):
    weights = 0
    for _ in range(depth):
        weights += channels * 4 * growth  # 1 x 1, from all channels so far
        weights += 9 * 4 * growth * growth  # 3 x 3, to the new ones
        channels += growth
    return weights, channels


def _dense_wrong(channels: int, growth: int, depth: int) -> list[tuple[tuple[int, int], str]]:
    """What the usual mistakes return, with their names."""
    out = channels + depth * growth
    inputs = [channels + layer * growth for layer in range(depth)]
    wide = 4 * growth
    right = sum(c * wide + 9 * wide * growth for c in inputs)
    return [
        (
            (sum(9 * c * growth for c in inputs), out),
            "That is the block without bottlenecks, as the lesson counted it: 3 x 3 from all "
            "channels. Here a "
            "1 x 1 convolution to 4g channels stands before each 3 x 3.",
        ),
        (
            (depth * (channels * wide + 9 * wide * growth), out),
            "Every layer was given the same number of input channels. Each layer also sees what the layers "
            "before it appended.",
        ),
        (
            (sum((c + growth) * wide + 9 * wide * growth for c in inputs), out),
            "Each layer is counted with one growth too many: it does not see its own output.",
        ),
        (
            (sum(c * wide + 9 * wide * wide for c in inputs), out),
            "The 3 x 3 convolution was given 4g output channels. It puts out g.",
        ),
        (
            (sum(9 * c * wide + 9 * wide * growth for c in inputs), out),
            "The first convolution is 1 x 1; you counted 9 weights for each of its pairs of channels.",
        ),
        (
            (sum(c * wide + wide * growth for c in inputs), out),
            "The second convolution is 3 x 3; its 9 places are missing.",
        ),
        (
            (sum(c * growth + 9 * growth * growth for c in inputs), out),
            "The 1 x 1 convolution was given g output channels. It puts out 4g.",
        ),
        ((right, depth * growth), "The weights are right. The input's own channels are in the output too."),
        (
            (right, growth),
            "The weights are right. The output holds everything appended, not the last layer alone.",
        ),
        ((right, channels), "The weights are right, but every layer appends g channels to the output."),
    ]


@exercise(
    "resnet_densenet_efficientnet.bottleneck_dense",
    solution=_dense_block_weights_solution,
    hints=[
        "Walk through the block with a loop. Which number has to be carried from layer to layer?",
        "A layer sees all channels so far. Its first kernel has the shape (1, 1, channels, 4g).",
        "Its second kernel has the shape (3, 3, 4g, g). After each layer the number of channels rises by g.",
    ],
)
def dense_block_weights(answer: Any) -> None:
    """Weights and output channels of a dense block with bottlenecks."""
    for channels, growth, depth in [(64, 32, 6), (10, 3, 4), (8, 2, 2)]:
        results = several(call(answer, channels, growth, depth), "the weights", "the output channels")
        weights = float(as_array(results[0], "The number of weights", shape=()))
        out = float(as_array(results[1], "The number of output channels", shape=()))
        right = _dense_block_weights_solution(channels, growth, depth)
        where = f"for channels={channels}, growth={growth}, depth={depth}"
        if (out, weights) == right:
            raise NotYet("The two results are in the wrong order: the weights first, then the channels.")
        for value, message in _dense_wrong(channels, growth, depth):
            if (weights, out) == value and value != right:
                raise NotYet(f"You return {weights:,.0f} and {out:,.0f} {where}. {message}")
        close(weights, right[0], f"The number of weights {where}", rtol=1e-9)
        close(out, right[1], f"The number of output channels {where}", rtol=1e-9)


# ---------------------------------------------------------------------------- pre-activation block


def _preactivation_backward_solution(grad_Y, X, W1, W2):
    A0 = np.maximum(X, 0)
    Z1 = A0 @ W1
    A1 = np.maximum(Z1, 0)
    grad_W2 = A1.T @ grad_Y
    grad_Z1 = (grad_Y @ W2.T) * (Z1 > 0)
    grad_W1 = A0.T @ grad_Z1
    grad_X = grad_Y + (grad_Z1 @ W1.T) * (X > 0)  # by the skip, and by the branch
    return grad_X, grad_W1, grad_W2


@exercise(
    "resnet_densenet_efficientnet.residual",
    solution=_preactivation_backward_solution,
    hints=[
        "Y is a sum, so its gradient goes unchanged to both terms. Treat the branch as a network of "
        "two layers, "
        "lesson 07, and add what comes by the skip at the end.",
        "Compute forward first: A0 = ReLU(X), Z1 = A0 W1, A1 = ReLU(Z1). Backward, grad_Z1 is grad_Y "
        "W2ᵀ where "
        "Z1 is positive, and 0 elsewhere.",
        "The weights' gradients are A0ᵀ grad_Z1 and A1ᵀ grad_Y. The branch's part of grad_X passes the first "
        "ReLU as well, so it counts only where X is positive; the skip's part passes nothing.",
    ],
)
def preactivation_backward(answer: Any) -> None:
    """Backward through a pre-activation residual block."""
    rng = np.random.default_rng(16)
    X, grad_Y = rng.normal(size=(2, 7, 4))
    W1, W2 = rng.normal(size=(4, 5)), rng.normal(size=(5, 4))
    given = [array.copy() for array in (grad_Y, X, W1, W2)]
    results = several(call(answer, grad_Y, X, W1, W2), "grad_X", "grad_W1", "grad_W2")
    expect(
        all(np.array_equal(a, b) for a, b in zip((grad_Y, X, W1, W2), given, strict=True)),
        "Your function changed the arrays that it was given. `grad_Y += ...` works in place; write "
        "`grad_Y + ...` into a new name.",
    )
    got_X = as_array(results[0], "grad_X", shape=X.shape)
    got_W1 = as_array(results[1], "grad_W1", shape=W1.shape)
    got_W2 = as_array(results[2], "grad_W2", shape=W2.shape)
    right_X, right_W1, right_W2 = _preactivation_backward_solution(grad_Y, X, W1, W2)
    A0 = np.maximum(X, 0)
    Z1 = A0 @ W1
    grad_A1 = grad_Y @ W2.T
    grad_Z1 = grad_A1 * (Z1 > 0)
    for factor in (len(X), 1 / len(X)):
        expect(
            not _same(got_W1 * factor, right_W1),
            "grad_W1 is the right one times or divided by the number of examples. grad_Y already "
            "holds the loss's "
            "gradient, with any division by m in it.",
        )
    for value, message in [
        (Z1.T @ grad_Y, "grad_W2 uses Z1. The second layer was fed ReLU(Z1)."),
        (
            np.maximum(X @ W1, 0).T @ grad_Y,
            "grad_W2 was computed as if X went into the branch without its ReLU.",
        ),
    ]:
        expect(not _same(got_W2, value), message)
    close(got_W2, right_W2, "grad_W2")
    for value, message in [
        (X.T @ grad_Z1, "grad_W1 uses X. The first layer was fed ReLU(X)."),
        (
            A0.T @ grad_A1,
            "The gradient was not stopped where Z1 is negative: the ReLU between the layers is missing.",
        ),
    ]:
        expect(not _same(got_W1, value), message)
    close(got_W1, right_W1, "grad_W1")
    branch = (grad_Z1 @ W1.T) * (X > 0)
    for value, message in [
        (
            branch,
            "grad_X holds the branch's part only. X also goes past the branch: add what comes by the skip.",
        ),
        (grad_Y, "grad_X holds the skip's part only. X also goes into the branch."),
        (
            grad_Y + grad_Z1 @ W1.T,
            "The branch's part of grad_X did not pass the first ReLU: it counts only where X is positive.",
        ),
        (
            (grad_Y + grad_Z1 @ W1.T) * (X > 0),
            "The ReLU was applied to the skip as well. Nothing stands on the skip; its part arrives "
            "unchanged.",
        ),
        (X + branch, "By the skip comes the gradient grad_Y, not the input X."),
        (grad_Y - branch, "The two parts were subtracted. Where a number feeds two others, slopes add."),
        (grad_Y * branch, "The two parts were multiplied. Where a number feeds two others, slopes add."),
    ]:
        expect(not _same(got_X, value), message)
    close(got_X, right_X, "grad_X")


# ---------------------------------------------------------------------------- path lengths


def _path_shares_solution(blocks, gain):
    through = gain / (1 + gain)  # each block: 1 by the skip, gain by the branch
    shares = np.array([1.0])
    for _ in range(blocks):
        longer, shorter = np.append(0, shares), np.append(shares, 0)
        shares = through * longer + (1 - through) * shorter
    return shares


@exercise(
    "resnet_densenet_efficientnet.residual",
    solution=_path_shares_solution,
    hints=[
        "How many paths go through exactly k of n branches, and by what does each of them multiply "
        "the gradient?",
        "Together the paths of length k contribute binomial(n, k) · gain^k. By the binomial theorem "
        "all paths "
        "together give (1 + gain)^n.",
        "For 200 blocks these numbers are huge. Build the shares block by block instead: with p = gain / "
        "(1 + gain), each block lengthens a share p of everything by one and leaves the share 1 − p as long "
        "as it was.",
    ],
)
def path_shares(answer: Any) -> None:
    """Share of the gradient that comes through paths of each length."""
    for blocks, gain in [(5, 0.7), (2, 0.5), (54, 0.2), (200, 3.0)]:
        got = as_array(call(answer, blocks, gain), f"The result for {blocks} blocks", shape=(blocks + 1,))
        where = f"For {blocks} blocks and a gain of {gain:g}"
        expect(
            np.isfinite(got).all(),
            f"{where} some shares are not finite: numbers overflowed on the way. Multiply shares, not "
            "sums of paths.",
        )
        right = _path_shares_solution(blocks, gain)
        k = np.arange(blocks + 1)
        if _same(got, right):
            continue
        counts = _path_shares_solution(blocks, 1.0)
        amounts = right * (1 + gain) ** blocks
        decay = gain**k / np.sum(gain**k)
        named = [
            (counts, "your shares count the paths. A path through k branches also weighs gain^k."),
            (counts * 2.0**blocks, "these are the numbers of paths, not their shares of the gradient."),
            (amounts, "you return the contributions. Divide by their sum, (1 + gain)^n, to get shares."),
            (amounts / 2.0**blocks, "you divided by the number of paths. Paths weigh differently: divide by the sum of "
             "all contributions, (1 + gain)^n."),
            (decay, "your shares count one path of each length; there are binomial(n, k) of them."),
            (right[::-1], "the order is reversed: entry 0 belongs to the path through no branch."),
            (np.cumsum(right), "you return running sums: entry k is for exactly k branches, not for at most k."),
        ]  # fmt: skip
        for value, message in named:
            expect(not _same(got, value), f"{where} {message}")
        expect(
            abs(got.sum() - 1) < 1e-6,
            f"{where} your shares sum to {got.sum():.4g}; shares of a whole sum to 1.",
        )
        close(got, right, f"{where} the shares: result")
