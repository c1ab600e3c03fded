"""Right, untouched and wrong answers to the exercises of lesson 14."""

from __future__ import annotations

import numpy as np

from tests.checks.common import Case


def _counts(true, predicted, repeat=True):
    classes = int(max(true.max(), predicted.max())) + 1
    counts = np.zeros((classes, classes), dtype=int)
    if repeat:
        np.add.at(counts, (true, predicted), 1)
    else:
        counts[true, predicted] += 1
    return counts


def _largest(counts):
    a, b = np.unravel_index(counts.argmax(), counts.shape)
    return int(a), int(b), int(counts[a, b])


def _one_direction(true, predicted):
    counts = _counts(true, predicted)
    np.fill_diagonal(counts, 0)
    return _largest(counts)


def _both(true, predicted, repeat=True):
    counts = _counts(true, predicted, repeat)
    return _largest(np.triu(counts + counts.T, k=1))


def _larger_first(true, predicted):
    a, b, times = _both(true, predicted)
    return b, a, times


def _half(true, predicted):
    a, b, times = _both(true, predicted)
    return a, b, times / 2


def _parameters(
    *, same=False, bias=1, units=None, local_bias=None, channels=None, swap=False, conv_bias=None
):
    def count(H, W, C, F, k):
        places = H * W if same else (H - k + 1) * (W - k + 1)
        window = k * k * C if channels is None else k * k * channels
        dense = (H * W * C + bias) * (places * F if units is None else F)
        local = (window + bias) * places * F if local_bias is None else window * places * F + F
        convolution = (window + bias) * F if conv_bias is None else window * F + conv_bias
        return (dense, convolution, local) if swap else (dense, local, convolution)

    return count


def _moved(split, order):
    def to_channels_last(W, height, width, channels):
        sizes = {"c": channels, "i": height, "j": width}
        parts = W.reshape(*(sizes[axis] for axis in split), -1)
        return parts.transpose(*(split.index(axis) for axis in order), 3).reshape(len(W), -1)

    return to_channels_last


def _order_in_place(W, height, width, channels):
    W[:] = _moved("cij", "ijc")(W, height, width, channels)
    return W


def _windows(X, W):
    k = W.shape[2]
    return np.lib.stride_tricks.sliding_window_view(X, (k, k), axis=(1, 2))


def _local(change=lambda W: W, subscripts="nijcuv,ijuvcf->nijf", use_bias=True):
    def locally_connected(X, W, b):
        return np.einsum(subscripts, _windows(X, W), change(W)) + (b if use_bias else 0)

    return locally_connected


def _all_alike(X, W, b):
    return np.broadcast_to(_local()(X, W, b).mean(axis=0), (len(X), *b.shape))


class _StubPool:
    def forward(self, X):
        return ...

    def backward(self, grad_out):
        return ...


def _pool(forward=lambda X: X.mean(axis=(1, 2)), share=lambda shape: shape[1] * shape[2], winner=False):
    class Pool:
        def forward(self, X):
            self.input_shape = X.shape
            return forward(X)

        def backward(self, grad_out):
            grad_X = np.zeros(self.input_shape)
            if winner:
                grad_X[:, 0, 0] = grad_out
                return grad_X
            return grad_X + grad_out[:, None, None, :] / share(self.input_shape)

    return Pool


class _SharedMemory:
    """Keeps the shape in the class instead of the layer."""

    def forward(self, X):
        _SharedMemory.input_shape = X.shape
        return X.mean(axis=(1, 2))

    def backward(self, grad_out):
        _, height, width, _ = self.input_shape
        return np.zeros(self.input_shape) + grad_out[:, None, None, :] / (height * width)


CASES = {
    "most_confused": Case(
        stub=lambda y_true, y_pred: (..., ..., ...),
        wrong=[
            (_one_direction, "one direction only"),
            (lambda true, predicted: _largest(_counts(true, predicted)), "right answers"),
            (lambda true, predicted: _both(true, predicted, repeat=False), "confused"),
            (_larger_first, "smaller class comes first"),
            (_half, "counting 3 read as 5"),
            (lambda true, predicted: _both(true, predicted)[:2], "2 results"),
        ],
    ),
    "layer_parameters": Case(
        stub=lambda *args: (..., ..., ...),
        wrong=[
            (_parameters(same=True), "as large as the input"),
            (_parameters(bias=0), "lack the biases"),
            (_parameters(units="filters"), "your dense layer has 2 outputs"),
            (_parameters(local_bias="shared"), "shares its bias"),
            (_parameters(conv_bias=1), "single bias"),
            (_parameters(channels=1), "all 6 channels"),
            (_parameters(swap=True), "only the convolution shares"),
            (lambda *args: _parameters()(*args)[0], "single int"),
        ],
    ),
    "global_average_pool": Case(
        stub=_StubPool,
        wrong=[
            (_pool(lambda X: X.mean(axis=(1, 2), keepdims=True)), "two axes of length 1"),
            (_pool(lambda X: X.mean(axis=3)), "over the channels"),
            (_pool(lambda X: X.sum(axis=(1, 2))), "returns sums"),
            (_pool(lambda X: X.max(axis=(1, 2))), "largest value"),
            (_pool(share=lambda shape: 1), "whole gradient"),
            (_pool(share=lambda shape: int(np.prod(shape))), "too small"),
            (_pool(winner=True), "as in max pooling"),
            (_SharedMemory, "has shape"),
        ],
    ),
    "to_channels_last": Case(
        stub=lambda *args: ...,
        wrong=[
            (lambda W, height, width, channels: W, "order in which they were"),
            (_moved("ijc", "cij"), "as (height, width, channels)"),
            (_moved("cij", "jic"), "columns come before rows"),
            (_moved("cij", "icj"), "another order than Flatten"),
            (_order_in_place, "changed the array"),
            (lambda W, *sizes: np.zeros_like(W), "other numbers than before"),
            (lambda W, *sizes: W.T, "has shape"),
        ],
    ),
    "locally_connected": Case(
        stub=lambda X, W, b: ...,
        wrong=[
            (_local(use_bias=False), "bias, which is missing"),
            (_local(lambda W: np.broadcast_to(W[0, 0], W.shape)), "weights of place (0, 0)"),
            (_local(lambda W: W[:, :, ::-1, ::-1]), "turned round"),
            (_local(lambda W: W.swapaxes(2, 3)), "u and v are swapped"),
            (_all_alike, "keep the batch axis apart"),
            (lambda X, W, b: 2 * _local()(X, W, b), "it should be"),
            (lambda X, W, b: _local()(X, W, b)[0], "has shape"),
        ],
    ),
}
