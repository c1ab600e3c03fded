"""Checks of lesson 13: Keras's padding, average pooling backward, separable kernels, and the box mean."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from course_utils.checks._engine import NotYet, as_array, call, close, exercise, expect, several

Array = np.ndarray

# ---------------------------------------------------------------------------- padding "same"


def _same_padding_solution(size, kernel, stride, dilation):
    outputs = -(-size // stride)  # size / stride, rounded up
    span = dilation * (kernel - 1) + 1
    missing = max((outputs - 1) * stride + span - size, 0)  # the last window has to end inside
    return missing // 2, missing - missing // 2


@exercise(
    "convolution_and_pooling.size",
    solution=_same_padding_solution,
    hints=[
        "How many outputs are wanted, and on which pixel does the last window end if there is no padding yet?",
        "With n outputs the windows need (n - 1) * stride + span pixels in all, and the span of the kernel is "
        "dilation * (kernel - 1) + 1. What is missing beyond `size` is the padding.",
        "The number of outputs, rounded up, is -(-size // stride). missing = max(needed - size, 0): the half of "
        "it, rounded down, goes before, the rest after.",
    ],
)
def same_padding(answer: Any) -> None:
    """The padding that "same" stands for."""
    cases = [
        (12, 3, 1, 1), (12, 3, 2, 1), (13, 3, 2, 1), (12, 5, 2, 1), (32, 7, 2, 1), (12, 2, 1, 1),
        (12, 3, 1, 2), (15, 3, 2, 3), (12, 1, 2, 1), (13, 1, 3, 1), (11, 2, 3, 1), (20, 4, 4, 1),
    ]  # fmt: skip
    for size, kernel, stride, dilation in cases:
        setting = f"same_padding({size}, {kernel}, {stride}, {dilation})"
        parts = several(call(answer, size, kernel, stride, dilation), "before", "after")
        before, after = (
            float(as_array(part, name, shape=()))
            for part, name in zip(parts, ("The padding before", "The padding after"), strict=True)
        )
        seen = f"{setting} is ({before:g}, {after:g}) here"
        expect(before % 1 == 0 and after % 1 == 0, f"{seen}; pixels come in whole numbers.")
        right = _same_padding_solution(size, kernel, stride, dilation)
        if (before, after) == right:
            continue
        expect(
            before >= 0 and after >= 0,
            f"{seen}. A negative padding would cut pixels off; where nothing is missing, both are 0.",
        )
        if (before, after) == right[::-1]:
            raise NotYet(f"{seen}: the total is right, but the odd pixel goes to the end.")
        if dilation > 1 and (before, after) == _same_padding_solution(size, kernel, stride, 1):
            raise NotYet(
                f"{seen}, as if the kernel touched neighbouring pixels. With dilation {dilation} it spans "
                f"{dilation * (kernel - 1) + 1} pixels."
            )
        if stride > 1 and before + after == dilation * (kernel - 1):
            raise NotYet(
                f"{seen}. That much keeps the size at stride 1. With stride {stride} the last window begins "
                f"earlier, and less is needed."
            )
        outputs = (size + before + after - dilation * (kernel - 1) - 1) // stride + 1
        wanted = -(-size // stride)
        if outputs == wanted and before + after > sum(right):
            raise NotYet(f"{seen}. It gives {wanted} outputs, but less padding would do so too.")
        if outputs == wanted:
            raise NotYet(f"{seen}. The total is right; it is shared out evenly, the odd pixel to the end.")
        raise NotYet(f"{seen}. That gives {outputs:g} outputs where {wanted} are wanted.")


# ---------------------------------------------------------------------------- average pooling backward


def _average_pool_backward_solution(grad_Y, shape, kernel, stride):
    grad_X = np.zeros(shape)
    rows, columns = grad_Y.shape[1:3]
    for u, v in np.ndindex(kernel, kernel):  # for all windows at once: their pixel (u, v)
        down, across = slice(u, u + stride * rows, stride), slice(v, v + stride * columns, stride)
        grad_X[:, down, across] += grad_Y / kernel**2
    return grad_X


def _average_wrong(
    grad_Y: Array, shape: tuple[int, ...], kernel: int, stride: int
) -> list[tuple[Array, str]]:
    """What the usual mistakes return, with their names."""
    right = _average_pool_backward_solution(grad_Y, shape, kernel, stride)
    counts = _average_pool_backward_solution(np.ones_like(grad_Y), shape, kernel, stride) * kernel**2
    last, last_window = np.zeros(shape), np.zeros(shape)
    rows, columns = grad_Y.shape[1:3]
    for u, v in np.ndindex(kernel, kernel):
        last[:, u : u + stride * rows : stride, v : v + stride * columns : stride] = grad_Y / kernel**2
    first_only = np.zeros(shape)
    for i, j in np.ndindex(rows, columns):
        x, y = i * stride, j * stride
        last_window[:, x : x + kernel, y : y + kernel] = grad_Y[:, i : i + 1, j : j + 1] / kernel**2
        first_only[:, x, y] += grad_Y[:, i, j]
    overwritten = (
        "Where windows overlap, a pixel keeps only the share of one of them. It belongs to several windows, "
        "and what they send back is added: += instead of =."
    )
    return [
        (right * kernel**2, "Every pixel receives the whole gradient of its window. Its derivative in a mean "
         "of kernel**2 numbers is 1 / kernel**2."),
        (right * kernel, "Every pixel receives 1 / kernel of the gradient; a window has kernel**2 members."),
        (last, overwritten),
        (last_window, overwritten),
        (right / np.maximum(counts, 1), "The shares were averaged over the windows that cover a pixel. They "
         "add up: a pixel that was used twice has twice the influence."),
        (first_only, "The whole gradient went to one pixel of each window. That is the manner of max pooling; "
         "a mean depends on all its members alike."),
        (right / kernel**2, "The gradient was divided by kernel**2 twice."),
    ]  # fmt: skip


@exercise(
    "convolution_and_pooling.backward",
    solution=_average_pool_backward_solution,
    hints=[
        "Which share of a window's gradient does each of its pixels get? And what happens to a pixel that lies "
        "in several windows?",
        "Begin with zeros of the shape of the input. As in `col2im`, loop over the places (u, v) inside the "
        "kernel: for one place, the pixels of all windows are one slice with a step of `stride`.",
        "The slice along the rows is u : u + stride * rows : stride, with rows = grad_Y.shape[1]. Add "
        "grad_Y / kernel**2 to it, and do the same along the columns with v.",
    ],
)
def average_pool_backward(answer: Any) -> None:
    """The gradient of average pooling with respect to its input."""
    rng = np.random.default_rng(13)
    for kernel, stride, shape in (
        (2, 2, (1, 4, 4, 1)),
        (3, 3, (2, 9, 6, 2)),
        (2, 2, (2, 7, 5, 3)),
        (3, 2, (2, 7, 9, 3)),
        (3, 1, (1, 6, 5, 2)),
        (2, 3, (2, 8, 7, 2)),
    ):
        rows, columns = ((n - kernel) // stride + 1 for n in shape[1:3])
        grad_Y = rng.normal(size=(shape[0], rows, columns, shape[3]))
        given = grad_Y.copy()
        value = call(answer, grad_Y, shape, kernel, stride)
        expect(np.array_equal(grad_Y, given), "Your function changed grad_Y. Return a new array.")
        where = f"Kernel {kernel}, stride {stride}, input {shape}"
        got = as_array(value, "The gradient")
        expect(
            got.shape == shape,
            f"{where}: your result has shape {got.shape}. A gradient has the shape of the array it belongs "
            "to, and that includes rows and columns at the end that no window reached (they get 0).",
        )
        right = _average_pool_backward_solution(grad_Y, shape, kernel, stride)
        if not np.allclose(got, right):
            for candidate, message in _average_wrong(grad_Y, shape, kernel, stride):
                if np.allclose(got, candidate):
                    raise NotYet(f"{where}: {message}")
            if not np.isclose(got.sum(), grad_Y.sum()):
                raise NotYet(
                    f"{where}: the gradients of the windows add up to {grad_Y.sum():.4g}, those of the pixels "
                    f"to {got.sum():.4g}. A mean hands out exactly what arrives."
                )
            raise NotYet(
                f"{where}: the sum of all gradients is right, but they lie at the wrong pixels. Window (i, j) "
                "begins at row i * stride and column j * stride."
            )


# ---------------------------------------------------------------------------- separable kernels


def _separate_solution(K):
    K = np.asarray(K, dtype=float)
    u, v = np.unravel_index(np.abs(K).argmax(), K.shape)  # the largest entry: safe to divide by
    if K[u, v] == 0:
        return np.zeros(len(K)), np.zeros(len(K))
    a, b = K[:, v], K[u] / K[u, v]
    return (a, b) if np.abs(np.outer(a, b) - K).max() <= 1e-8 * np.abs(K).max() else None


@exercise(
    "convolution_and_pooling.convolve",
    solution=_separate_solution,
    hints=[
        "In an outer product all rows are multiples of one vector b, and all columns multiples of one vector "
        "a. The matrix has rank one.",
        "If K is an outer product, any of its rows that is not zero can be b, up to a factor, and any column "
        "a. Choose them so that they cross in an entry far from zero.",
        "With (u, v) the place of the entry of largest absolute value: a = K[:, v] and b = K[u] / K[u, v]. "
        "Then compare np.outer(a, b) with K. (np.linalg.svd works as well; do not forget the singular value.)",
    ],
)
def separate(answer: Any) -> None:
    """A column filter and a row filter in place of a kernel, if there are such."""
    rng = np.random.default_rng(31)
    sobel = np.outer([1.0, 2.0, 1.0], [-1.0, 0.0, 1.0])
    separable = [
        ("[[1, 2], [3, 6]]", np.array([[1.0, 2.0], [3.0, 6.0]])),
        ("Sobel's kernel", sobel),
        ("a random outer product", np.outer(rng.normal(size=5), rng.normal(size=5))),
        ("Sobel's kernel, transposed and moved down one row", np.roll(sobel.T, 1, axis=0)),
        ("a kernel whose first row and column are zero", np.outer([0.0, 1.0, 3.0], [0.0, 2.0, -1.0])),
        ("a small outer product (entries near 1e-6)", 1e-6 * np.outer([1.0, 2.0, 0.3], [0.5, -1.0, 3.0])),
        ("a kernel of size 1", np.array([[3.0]])),
    ]
    laplacian = np.array([[0.0, 1.0, 0.0], [1.0, -4.0, 1.0], [0.0, 1.0, 0.0]])
    not_separable = [
        ("the Laplacian", laplacian),
        ("the identity matrix", np.eye(3)),
        ("an outer product with one entry changed by 0.001", sobel + 0.001 * np.diag([0.0, 0.0, 1.0])),
        ("a small Laplacian (entries near 1e-6)", 1e-6 * laplacian),
        ("a random kernel", rng.normal(size=(5, 5))),
    ]
    for label, K in separable:
        value = call(answer, K.copy())
        if value is None:
            extra = " One with a zero row or column is an outer product too." if not K.all() else ""
            raise NotYet(
                f"For {label} you return None (is the `return` missing?), but there are two such vectors.{extra}"
            )
        size = len(K)
        a, b = several(value, "a", "b")
        a, b = as_array(a, "a", shape=(size,)), as_array(b, "b", shape=(size,))
        expect(
            np.isfinite(a).all() and np.isfinite(b).all(),
            f"For {label} your vectors hold nan or inf: something was divided by zero. Divide by an entry that "
            "is far from zero.",
        )
        product = np.outer(a, b)
        if np.allclose(product, K, rtol=1e-6, atol=1e-8 * np.abs(K).max()):
            continue
        if np.allclose(product.T, K, rtol=1e-6, atol=1e-8 * np.abs(K).max()):
            raise NotYet(f"For {label} the vectors are in the wrong order: np.outer(a, b) is K transposed.")
        known = np.abs(K) > 1e-3 * np.abs(K).max()
        factor = product[known] / K[known]
        if np.ptp(factor) < 1e-6 * max(1, abs(factor[0])) and not np.allclose(factor, 0):
            raise NotYet(
                f"For {label} np.outer(a, b) is K times {factor[0]:.4g}: the directions are right, a scale is "
                "missing. The entry where row and column cross, or the singular value, has to be counted once."
            )
        off = np.abs(product - K).max()
        raise NotYet(f"For {label} np.outer(a, b) differs from K by up to {off:.3g}.")
    for label, K in not_separable:
        value = call(answer, K.copy())
        if value is not None:
            a, b = several(value, "a", "b")
            off = np.abs(np.outer(as_array(a, "a"), as_array(b, "b")) - K).max() / np.abs(K).max()
            raise NotYet(
                f"For {label} you return two vectors, but their outer product misses K by {off:.2g} of its "
                "largest entry. Such a kernel has no pair; return None."
            )


# ---------------------------------------------------------------------------- the box mean


def _box_mean_solution(X, kernel):
    total = np.zeros((X.shape[0] + 1, X.shape[1] + 1))
    total[1:, 1:] = X.cumsum(axis=0).cumsum(axis=1)  # total[i, j]: the sum of X[:i, :j]
    k = kernel
    sums = total[k:, k:] - total[:-k, k:] - total[k:, :-k] + total[:-k, :-k]
    return sums / k**2


def _seconds(function: Callable[..., Any], *args: Any) -> float:
    best = np.inf
    for _ in range(4):
        begin = time.perf_counter()
        function(*args)
        best = min(best, time.perf_counter() - begin)
    return best


@exercise(
    "convolution_and_pooling.pooling",
    solution=_box_mean_solution,
    hints=[
        "One axis first. If totals[i] is the sum of the first i numbers, what is the sum of the numbers from i "
        "to i + kernel - 1? np.cumsum makes the totals; put a 0 in front.",
        "In two dimensions let total[i, j] be the sum of the rectangle X[:i, :j]: cumulative sums down, then "
        "across, with a row and a column of zeros in front.",
        "A window is the large rectangle up to its lower right corner, minus the part above, minus the part on "
        "the left, plus the corner that was taken away twice. Four slices of `total`, and a division.",
    ],
)
def box_mean(answer: Any) -> None:
    """The mean over every window, at a price that does not depend on the window."""
    rng = np.random.default_rng(17)
    for shape, kernel in (((3, 3), 2), ((7, 9), 3), ((8, 6), 1), ((6, 6), 6), ((20, 31), 8)):
        X = rng.normal(size=shape) if shape != (3, 3) else np.arange(1.0, 10).reshape(3, 3)
        given = X.copy()
        value = call(answer, X, kernel)
        expect(np.array_equal(X, given), "Your function changed X. Return a new array.")
        got = as_array(value, "The result")
        wanted = (shape[0] - kernel + 1, shape[1] - kernel + 1)
        if got.shape == (shape[0] - kernel, shape[1] - kernel):
            raise NotYet(
                f"For a picture of {shape} and kernel {kernel} your result has shape {got.shape}, one short in "
                "both directions: the windows that begin at the first row and column are missing. Put a row "
                "and a column of zeros in front of the totals."
            )
        expect(
            got.shape == wanted,
            f"For a picture of {shape} and kernel {kernel} your result has shape {got.shape}; there are "
            f"{wanted} windows.",
        )
        right = _box_mean_solution(X, kernel)
        if kernel > 1 and np.allclose(got, right * kernel**2):
            raise NotYet("These are the sums of the windows; divide by the number of their pixels.")
        if kernel > 1 and np.allclose(got, right * kernel):
            raise NotYet("The sums were divided by kernel; a window has kernel**2 pixels.")
        total = np.pad(X, ((1, 0), (1, 0))).cumsum(axis=0).cumsum(axis=1)
        k = kernel
        without = total[k:, k:] - total[:-k, k:] - total[k:, :-k]
        if not np.allclose(got, right) and np.allclose(got, without / k**2):
            raise NotYet(
                "The corner above and to the left of the window was subtracted twice, once with the part above "
                "and once with the part on the left. Add it back."
            )
        close(got, right, f"For a picture of {shape} and kernel {kernel}: the result", rtol=1e-6, atol=1e-9)
    X = rng.normal(size=(256, 256))
    large = as_array(call(answer, X, 101), "The result", shape=(156, 156))
    close(large, _box_mean_solution(X, 101), "For kernel 101: the result", rtol=1e-6, atol=1e-9)
    small_time, large_time = _seconds(answer, X, 5), _seconds(answer, X, 101)
    if large_time > 12 * small_time + 5e-3:  # a loop over the window takes about a hundred times as long
        raise NotYet(
            f"The values are right. With kernel 101 it takes {large_time / small_time:.0f} times as long as with "
            "kernel 5 on the same picture, although there are fewer windows: the work still grows with the "
            "window. Use totals that are computed once for the whole picture."
        )
