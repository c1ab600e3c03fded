"""The sample of handwritten digits: scikit-learn's 8 x 8 images brought to the form of MNIST."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

CLASS_NAMES = [str(digit) for digit in range(10)]
N_TRAIN, N_TEST = 1437, 360


@lru_cache(maxsize=1)
def make_sample() -> dict[str, Any]:
    """The 1,797 digits of scikit-learn, scaled to 28 x 28 and split 1437 / 360 by class.

    Returns
    -------
    dict
        ``x_train`` (1437, 28, 28) uint8 0..255, ``y_train`` (1437,) int64, ``x_test`` (360, 28, 28) and
        ``y_test`` likewise, ``class_names``.
    """
    from sklearn.datasets import load_digits

    raw = load_digits()
    images = to_mnist_form(raw.images)
    labels = raw.target.astype(np.int64)
    train, test = stratified_split(labels, N_TEST, seed=0)
    fields = {
        "x_train": images[train],
        "y_train": labels[train],
        "x_test": images[test],
        "y_test": labels[test],
    }
    for array in fields.values():
        array.flags.writeable = False  # kept for the next call: load hands out copies
    return {**fields, "class_names": CLASS_NAMES}


def to_mnist_form(images: np.ndarray) -> np.ndarray:
    """Scale 8 x 8 digits (0..16) to 28 x 28 (uint8, 0..255) as MNIST shows them.

    Smooth enlargement to 20 x 20, more contrast (MNIST's strokes are black with soft edges), then the
    centre of mass in the middle of a 28 x 28 image.

    Parameters
    ----------
    images : ndarray, (n, 8, 8)
        Ink per pixel, 0 to 16.

    Returns
    -------
    ndarray, (n, 28, 28), uint8
    """
    enlarge = cubic_resize_matrix(8, 20)
    ink = enlarge @ (np.asarray(images, dtype=np.float64) / 16.0) @ enlarge.T
    ink = np.clip((ink - 0.16) / 0.6, 0.0, 1.0)
    ink = ink**1.2

    n = len(ink)
    out = np.zeros((n, 28, 28))
    mass = ink.sum(axis=(1, 2))
    place = np.arange(20) + 0.5
    rows = (ink.sum(axis=2) @ place) / mass
    columns = (ink.sum(axis=1) @ place) / mass
    top = np.clip(np.rint(14.0 - rows), 2, 6).astype(int)
    left = np.clip(np.rint(14.0 - columns), 2, 6).astype(int)
    steps = np.arange(20)
    out[
        np.arange(n)[:, None, None],
        top[:, None, None] + steps[:, None],
        left[:, None, None] + steps[None, :],
    ] = ink
    return np.rint(out * 255.0).astype(np.uint8)


def cubic_resize_matrix(before: int, after: int) -> np.ndarray:
    """Matrix (after, before) that resamples a row of pixels with the Catmull-Rom kernel.

    Each row sums to one; beyond the edges the outermost pixel is repeated.
    """
    centres = (np.arange(after) + 0.5) * before / after - 0.5
    matrix = np.zeros((after, before))
    for row, centre in enumerate(centres):
        first = int(np.floor(centre)) - 1
        for pixel in range(first, first + 4):
            t = abs(centre - pixel)
            if t < 1.0:
                weight = 1.5 * t**3 - 2.5 * t**2 + 1.0
            else:
                weight = -0.5 * t**3 + 2.5 * t**2 - 4.0 * t + 2.0
            matrix[row, min(max(pixel, 0), before - 1)] += weight
    return matrix


def stratified_split(labels: np.ndarray, n_test: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Shuffled indices of a training and a test part in which every class has its share.

    Parameters
    ----------
    labels : ndarray, (n,)
    n_test : int
        Size of the test part.
    seed : int

    Returns
    -------
    train, test : ndarray, (n - n_test,) and (n_test,), int64
    """
    rng = np.random.default_rng(seed)
    classes, counts = np.unique(labels, return_counts=True)
    share = counts * n_test / len(labels)
    take = np.floor(share).astype(int)
    # largest remainders get what rounding down left over
    take[np.argsort(take - share, kind="stable")[: n_test - take.sum()]] += 1
    train, test = [], []
    for label, k in zip(classes, take, strict=True):
        members = rng.permutation(np.flatnonzero(labels == label))
        test.append(members[:k])
        train.append(members[k:])
    return rng.permutation(np.concatenate(train)), rng.permutation(np.concatenate(test))
