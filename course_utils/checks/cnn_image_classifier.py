"""Checks of lesson 14: confusions, counted weights, a pooling layer, the order of maps, local connections."""

from __future__ import annotations

from typing import Any

import numpy as np

from course_utils.checks._engine import NotYet, as_array, call, close, exercise, expect, several

Array = np.ndarray


def _same(value: Any, other: Any) -> bool:
    value, other = np.asarray(value, dtype=float), np.asarray(other, dtype=float)
    return value.shape == other.shape and bool(np.allclose(value, other, rtol=1e-5, atol=1e-7))


# ---------------------------------------------------------------------------- most confused


def _most_confused_solution(y_true, y_pred):
    classes = int(max(y_true.max(), y_pred.max())) + 1
    counts = np.zeros((classes, classes), dtype=int)
    np.add.at(counts, (y_true, y_pred), 1)  # counts pairs that occur more than once, too
    both = counts + counts.T  # symmetric: a read as b and b read as a
    first, second = np.triu_indices(classes, k=1)  # every pair once, without the diagonal
    worst = both[first, second].argmax()
    return int(first[worst]), int(second[worst]), int(both[first, second][worst])


@exercise(
    "cnn_image_classifier.errors",
    solution=_most_confused_solution,
    hints=[
        "Two classes are confused in two directions, and each has its own cell in the confusion matrix.",
        "Count into a matrix (true, predicted), add its transpose, and look only above the diagonal.",
        "np.add.at(counts, (y_true, y_pred), 1) counts repeated pairs; np.triu_indices(K, k=1) lists every "
        "pair a < b once. Take the pair where counts + counts.T is largest.",
    ],
)
def most_confused(answer: Any) -> None:
    """The pair of classes that is confused most often, in both directions together."""
    cases = [
        # (mistakes as (true, predicted, times), right answers per class, classes)
        ([(3, 5, 4), (5, 3, 3), (0, 1, 6)], 9, 6),
        ([(7, 2, 5), (1, 4, 2), (4, 1, 2)], 3, 8),
        ([(2, 0, 3), (0, 2, 3), (1, 2, 5)], 0, 3),
    ]
    rng = np.random.default_rng(14)
    for mistakes, right, classes in cases:
        pairs = [(k, k) for k in range(classes) for _ in range(right)]
        pairs += [(t, p) for t, p, times in mistakes for _ in range(times)]
        true, predicted = rng.permutation(np.array(pairs)).T
        value = call(answer, true.copy(), predicted.copy())
        parts = [float(as_array(part, "a result", shape=())) for part in several(value, "a", "b", "times")]
        wanted = [float(part) for part in _most_confused_solution(true, predicted)]
        if parts == wanted:
            continue
        a, b, times = (f"{part:g}" for part in parts)
        counts = np.zeros((classes, classes))
        np.add.at(counts, (true, predicted), 1)
        off = counts * (1 - np.eye(classes))
        one_way = np.unravel_index(off.argmax(), off.shape)
        here = f"The result is ({a}, {b}, {times})"
        if a == b:
            raise NotYet(
                f"{here}: class {a} taken for itself. That is the diagonal, the right answers; leave it out."
            )
        if [parts[1], parts[0], parts[2]] == wanted:
            raise NotYet(f"{here}: the right pair, but the smaller class comes first.")
        if parts[2] == off.max() and set(parts[:2]) == set(map(float, one_way)):
            raise NotYet(
                f"{here}: the largest single cell of the matrix, one direction only. There is a pair "
                "whose two "
                f"directions together make {wanted[2]:g}."
            )
        if sorted(parts[:2]) == wanted[:2]:
            raise NotYet(
                f"{here}: the right pair, but it was confused {wanted[2]:g} times, counting {a} read as "
                f"{b} and "
                f"{b} read as {a} (`counts[t, p] += 1` with index arrays counts a repeated pair once)."
            )
        raise NotYet(f"{here}; there is a pair that was confused {wanted[2]:g} times.")


# ---------------------------------------------------------------------------- counted weights


def _layer_parameters_solution(height, width, channels, filters, kernel_size):
    places = (height - kernel_size + 1) * (width - kernel_size + 1)
    window = kernel_size**2 * channels
    dense = (height * width * channels + 1) * places * filters
    local = (window + 1) * places * filters
    convolution = (window + 1) * filters
    return dense, local, convolution


@exercise(
    "cnn_image_classifier.sharing",
    solution=_layer_parameters_solution,
    hints=[
        "Without padding the output is smaller than the input. At how many places does a window of k "
        "pixels fit "
        "into a row of H?",
        "places = (H - k + 1)(W - k + 1). Then ask of one output number: how many inputs does it see, "
        "and does "
        "it share its weights and its bias with other places?",
        "Each of the three is (inputs of one output number + 1) times the number of different output numbers "
        "with weights of their own: places * filters for dense and locally connected, filters for "
        "convolution.",
    ],
)
def layer_parameters(answer: Any) -> None:
    """Parameters of a dense, a locally connected and a convolutional layer of the same output."""
    for shape in [(6, 6, 1, 2, 3), (28, 28, 1, 6, 5), (14, 10, 6, 16, 5), (9, 7, 3, 4, 1)]:
        names = ("dense", "locally connected", "convolution")
        value = several(call(answer, *shape), *names)
        got = [float(as_array(part, name, shape=())) for part, name in zip(value, names, strict=True)]
        wanted = [float(n) for n in _layer_parameters_solution(*shape)]
        if got == wanted:
            continue
        H, W, C, F, k = shape
        where = f"For an input ({H}, {W}, {C}), {F} filters of {k} x {k} and no padding"
        places = (H - k + 1) * (W - k + 1)
        same_size = [(H * W * C + 1) * H * W * F, (k * k * C + 1) * H * W * F]
        without_bias = [H * W * C * places * F, k * k * C * places * F, k * k * C * F]
        if got[:2] == same_size and k > 1:
            raise NotYet(
                f"{where} you count {H * W} output places, as if the output were as large as the input; "
                "a window "
                f"fits at {places} places."
            )
        if got == without_bias:
            raise NotYet(f"{where} all three counts lack the biases: every output number has one too.")
        if got[1:] == wanted[1:] and got[0] == H * W * C * F + F:
            raise NotYet(
                f"{where} your dense layer has {F} outputs. It should produce the same output as the "
                "convolution: "
                f"{places} places with {F} numbers each."
            )
        if got[1] == k * k * C * places * F + F:
            raise NotYet(
                f"{where} your locally connected layer shares its bias over the places; there each "
                "place has a "
                "bias of its own."
            )
        if got[2] == k * k * C * F + 1:
            raise NotYet(f"{where} your convolution has a single bias; it has one for each of {F} filters.")
        if C > 1 and got[2] == (k * k + 1) * F:
            raise NotYet(
                f"{where} your filters have {k * k} weights. A filter looks at all {C} channels of its "
                "window."
            )
        if got[2] == wanted[1] or got[1] == wanted[2]:
            raise NotYet(
                f"{where} locally connected and convolution come out as {got[1]:g} and {got[2]:g}; only the "
                "convolution shares its weights over the places."
            )
        number = next(i for i in range(3) if got[i] != wanted[i])
        raise NotYet(
            f"{where} the count for {names[number]} is {got[number]:g}; count again from one output."
        )


# ---------------------------------------------------------------------------- global average pooling


class _GlobalAveragePool_solution:
    def forward(self, X):
        self.input_shape = X.shape
        return X.mean(axis=(1, 2))  # (m, C)

    def backward(self, grad_out):
        _, height, width, _ = self.input_shape
        grad_place = grad_out[:, np.newaxis, np.newaxis, :] / (height * width)  # an equal share
        return np.broadcast_to(grad_place, self.input_shape).copy()


@exercise(
    "cnn_image_classifier.lenet",
    solution=_GlobalAveragePool_solution,
    hints=[
        "Which two axes of (m, H, W, C) disappear? And by how much does the mean change if one pixel "
        "grows by 1?",
        "forward is a mean over axes (1, 2) and keeps X.shape in self. In backward every place of a map "
        "gets the "
        "same share of that map's gradient.",
        "Divide grad_out by H * W, give it two axes of length 1 in the middle (np.newaxis), and spread "
        "it over the "
        "kept shape with np.broadcast_to(...).copy() or by multiplying with np.ones(shape).",
    ],
)
def global_average_pool(answer: Any) -> None:
    """A layer that averages each map over its places, forward and backward."""
    rng = np.random.default_rng(7)
    for shape in [(2, 3, 5, 4), (3, 1, 2, 3), (1, 4, 4, 2)]:
        m, height, width, channels = shape
        X, grad_out = rng.normal(size=shape), rng.normal(size=(m, channels))
        layer = call(answer)
        out = call(layer.forward, X.copy())
        where = f"For X {shape}"
        if np.shape(out) == (m, 1, 1, channels):
            raise NotYet(
                f"{where} forward keeps two axes of length 1; a dense layer follows, so return (m, C)."
            )
        if np.shape(out) == (m, height, width):
            raise NotYet(f"{where} forward averaged over the channels; the places are axes 1 and 2.")
        out = as_array(out, "forward(X)", shape=(m, channels))
        if _same(out, X.sum(axis=(1, 2))):
            raise NotYet(f"{where} forward returns sums over the {height * width} places, not means.")
        if _same(out, X.max(axis=(1, 2))):
            raise NotYet(f"{where} forward returns the largest value of each map, not its mean.")
        close(out, X.mean(axis=(1, 2)), "forward(X)")

        other = rng.normal(size=(m, height + 1, width, channels))
        second = call(answer)
        call(second.forward, other)  # another layer of the class must not disturb the first
        grad_X = as_array(call(layer.backward, grad_out.copy()), "backward(grad_out)", shape=shape)
        spread = np.broadcast_to(grad_out[:, None, None, :], shape)
        if _same(grad_X, spread / (height * width)):
            continue
        if _same(grad_X, spread):
            raise NotYet(
                f"{where} every place gets the whole gradient of its map. One pixel moves the mean of "
                f"{height * width} by a fraction only."
            )
        if _same(grad_X, spread / X.size) or _same(grad_X, spread / (height * width * m)):
            raise NotYet(
                f"{where} your gradient is too small: divide by the {height * width} places of a map, "
                "not by the "
                "examples or channels as well. The mean over the batch is already in grad_out."
            )
        if np.count_nonzero(grad_X) == m * channels < X.size:
            raise NotYet(
                f"{where} one place of each map gets all the gradient, as in max pooling; every place "
                "took part."
            )
        close(grad_X, spread / (height * width), "backward(grad_out)")


# ---------------------------------------------------------------------------- order of flattened maps


def _to_channels_last_solution(W, height, width, channels):
    maps = W.reshape(channels, height, width, -1)  # the rows come in the order (c, i, j)
    return maps.transpose(1, 2, 0, 3).reshape(height * width * channels, -1)  # now (i, j, c)


@exercise(
    "cnn_image_classifier.keras",
    solution=_to_channels_last_solution,
    hints=[
        "The first axis of W is three axes in one. Take it apart before you move anything.",
        "W.reshape(channels, height, width, units) takes the rows apart in the order in which PyTorch "
        "flattened. "
        "Which order of the four axes does Keras' Flatten need?",
        "Reshape to (channels, height, width, units), transpose so that height and width come before "
        "channels, and "
        "reshape back to two axes. The units stay last.",
    ],
)
def to_channels_last(answer: Any) -> None:
    """Dense weights behind channels-first maps, reordered for channels-last maps."""
    rng = np.random.default_rng(5)
    for height, width, channels, units in [(2, 3, 4, 5), (1, 2, 2, 1), (5, 5, 16, 3), (3, 2, 6, 2)]:
        W = rng.normal(size=(height * width * channels, units))
        given = W.copy()
        value = as_array(call(answer, given, height, width, channels), "The result", shape=(len(W), units))
        wanted = _to_channels_last_solution(W, height, width, channels)
        where = f"For maps ({height}, {width}, {channels})"
        expect(_same(given, W), "Your function changed the array that it was given; return a new one.")
        if _same(value, wanted):
            continue
        if _same(value, W):
            raise NotYet(
                f"{where} the rows come back in the order in which they were. A reshape alone moves no "
                "number; "
                "the axes have to be transposed in between."
            )
        back = W.reshape(height, width, channels, units).transpose(2, 0, 1, 3).reshape(len(W), units)
        if _same(value, back):
            raise NotYet(
                f"{where} you took the rows apart as (height, width, channels). That is the order they "
                "should "
                "end in; they come as (channels, height, width)."
            )
        swapped = W.reshape(channels, height, width, units).transpose(2, 1, 0, 3).reshape(len(W), units)
        if _same(value, swapped):
            raise NotYet(
                f"{where} height and width have changed places: columns come before rows in your result."
            )
        same_rows = _same(np.sort(value[:, 0]), np.sort(W[:, 0]))
        if not same_rows:
            raise NotYet(f"{where} the first column holds other numbers than before; rows should only move.")
        maps = rng.normal(size=(1, height, width, channels))
        first = maps.transpose(0, 3, 1, 2).reshape(1, -1) @ W
        last = maps.reshape(1, -1) @ value
        raise NotYet(
            f"{where} the same maps give {first[0, 0]:.3f} with the old order and {last[0, 0]:.3f} with "
            "yours; "
            "the rows stand in another order than Flatten reads the maps."
        )


# ---------------------------------------------------------------------------- locally connected


def _locally_connected_solution(X, W, b):
    k = W.shape[2]
    windows = np.lib.stride_tricks.sliding_window_view(X, (k, k), axis=(1, 2))  # (m, H', W', C, k, k)
    return np.einsum("nijcuv,ijuvcf->nijf", windows, W) + b


@exercise(
    "cnn_image_classifier.sharing",
    solution=_locally_connected_solution,
    hints=[
        "It is the sum of lesson 13's convolution with one change: W has two more indices, the place (i, j).",
        "Windows first: sliding_window_view(X, (k, k), axis=(1, 2)) has the axes (n, i, j, c, u, v). "
        "Then the sum "
        "over u, v and c, separately for every place.",
        "np.einsum can name all axes: the windows are nijcuv, the weights ijuvcf, the result nijf. Add "
        "b, which "
        "already has the shape (H', W', F). A loop over i and j with a matrix product inside is right too.",
    ],
)
def locally_connected(answer: Any) -> None:
    """A layer with a window like a convolution's, and weights of its own at every place."""
    rng = np.random.default_rng(41)
    for m, H, width, C, F, k in [(1, 3, 3, 1, 1, 2), (2, 5, 6, 3, 4, 3), (3, 4, 4, 2, 2, 1)]:
        rows, columns = H - k + 1, width - k + 1
        X = rng.normal(size=(m, H, width, C))
        W = rng.normal(size=(rows, columns, k, k, C, F))
        b = rng.normal(size=(rows, columns, F))
        value = as_array(
            call(answer, X.copy(), W.copy(), b.copy()), "The result", shape=(m, rows, columns, F)
        )
        wanted = _locally_connected_solution(X, W, b)
        if _same(value, wanted):
            continue
        where = f"For X {X.shape} and W {W.shape}"
        if _same(value, wanted - b):
            raise NotYet(f"{where} everything is right but for the bias, which is missing.")
        shared = _locally_connected_solution(X, np.broadcast_to(W[0, 0], W.shape), b)
        shared_both = shared - b + b[0, 0]
        if _same(value, shared) or _same(value, shared_both):
            raise NotYet(
                f"{where} every place used the weights of place (0, 0). That is a convolution; here "
                "each place has "
                "its own."
            )
        if _same(value, _locally_connected_solution(X, W[:, :, ::-1, ::-1], b)):
            raise NotYet(
                f"{where} the kernels are turned round: W[i, j, 0, 0] belongs to the window's first pixel."
            )
        if _same(value, _locally_connected_solution(X, W.swapaxes(2, 3), b)):
            raise NotYet(
                f"{where} u and v are swapped: the kernel's first axis runs down, the second to the right."
            )
        if m > 1 and np.allclose(value, value[:1]):
            raise NotYet(f"{where} all examples got the same result; keep the batch axis apart.")
        close(value, wanted, "The result")
