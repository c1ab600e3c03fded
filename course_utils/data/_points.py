"""Two-dimensional point sets with two classes, for everything that can be seen in the plane."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

DEFAULT_NOISE = 0.1
DEFAULT_MARGIN = 0.2
LARGEST_MARGIN = 0.6  # beyond it hardly any of the square is left

Array = np.ndarray


def _blobs(rng: np.random.Generator, y: Array) -> Array:
    centres = np.array([[-0.8, -0.5], [0.8, 0.5]])
    return centres[y] + rng.normal(0.0, 0.3, (len(y), 2))


def _xor(rng: np.random.Generator, y: Array) -> Array:
    # The two quadrants of a class alternate, so that they too hold the same number of points (to one).
    x = rng.uniform(0.1, 1.0, (len(y), 2))
    for label in (0, 1):
        of_class = np.flatnonzero(y == label)
        first = np.where(np.arange(len(of_class)) % 2 == 0, 1.0, -1.0)
        x[of_class, 0] *= first
        x[of_class, 1] *= first if label == 0 else -first
    return x


def _moons(rng: np.random.Generator, y: Array) -> Array:
    angle = rng.uniform(0.0, np.pi, len(y))
    upper = np.stack([np.cos(angle) - 0.5, np.sin(angle) - 0.25], axis=1)
    return np.where(y[:, None] == 0, upper, -upper)


def _circles(rng: np.random.Generator, y: Array) -> Array:
    angle = rng.uniform(0.0, 2.0 * np.pi, len(y))
    radius = np.where(y == 0, 1.0, 0.5)
    return radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)


def _spirals(rng: np.random.Generator, y: Array) -> Array:
    # sqrt: as many points per length of the arm outside as inside
    along = np.sqrt(rng.uniform(0.02, 1.0, len(y)))
    angle = 3.0 * np.pi * along + np.pi * y
    return 1.2 * along[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)


_NOISY: dict[str, Callable[[np.random.Generator, Array], Array]] = {
    "blobs": _blobs,
    "xor": _xor,
    "moons": _moons,
    "circles": _circles,
    "spirals": _spirals,
}
KINDS = ("blobs", "linear", *list(_NOISY)[1:])


def make_points(
    kind: str = "blobs",
    n: int = 200,
    noise: float | None = None,
    margin: float | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """Points of two classes in the plane.

    Parameters
    ----------
    kind : {"blobs", "linear", "xor", "moons", "circles", "spirals"}
        ``blobs``: two Gaussian clouds. ``linear``: the square [-1, 1]² cut by a random line, nothing
        nearer to it than ``margin``. ``xor``: four quadrants, opposite ones of one class. ``moons``: two
        interleaving half circles. ``circles``: a ring of radius 0.5 in one of radius 1. ``spirals``: two
        arms of one and a half turns.
    n : int
        Number of points, at least 4. The classes hold n/2 each (class 0 one more for an odd n).
    noise : float, optional
        Standard deviation of the Gaussian noise added to both coordinates, in the units of the axes
        (default 0.1). ``linear`` has no noise, since noise would break its margin.
    margin : float, optional
        For ``linear`` only: distance that every point keeps from the line, 0 to 0.6 (default 0.2). One
        point of each class lies at this distance, so the margin of the set is ``margin``.
    seed : int
        The same seed gives the same points.

    Returns
    -------
    dict
        ``x`` (n, 2) float64, ``y`` (n,) int64 in {0, 1}; for ``linear`` also ``true_w`` (2,), a unit
        vector, and ``true_b``, with ``x @ true_w + true_b >= margin`` for class 1 and ``<= -margin`` for
        class 0.

    Raises
    ------
    ValueError
        For an unknown kind, or an option that is out of range or does not belong to the kind.
    """
    if kind not in KINDS:
        raise ValueError(f"Unknown kind of points {kind!r}; there are {', '.join(KINDS)}.")
    if n < 4:
        raise ValueError(f"n must be at least 4, not {n}.")
    if kind == "linear" and noise:
        raise ValueError("Points of kind 'linear' have no noise: it would break their margin.")
    if kind != "linear" and margin is not None:
        raise ValueError(f"Only points of kind 'linear' have a margin; {kind!r} has noise.")
    noise = DEFAULT_NOISE if noise is None else float(noise)
    margin = DEFAULT_MARGIN if margin is None else float(margin)
    if not 0.0 <= noise < np.inf:
        raise ValueError(f"noise must be 0 or more, not {noise}.")
    if not 0.0 <= margin <= LARGEST_MARGIN:
        raise ValueError(f"margin must be between 0 and {LARGEST_MARGIN}, not {margin}.")

    rng = np.random.default_rng(seed)
    y = np.repeat(np.array([0, 1], dtype=np.int64), [n - n // 2, n // 2])
    extra: dict[str, Any] = {}
    if kind == "linear":
        x, extra["true_w"], extra["true_b"] = _linear(rng, y, margin)
    else:
        x = _NOISY[kind](rng, y)
        x = x + rng.normal(0.0, 1.0, x.shape) * noise
    order = rng.permutation(n)
    return {"x": x[order], "y": y[order], **extra}


def _linear(rng: np.random.Generator, y: Array, margin: float) -> tuple[Array, Array, float]:
    direction = rng.uniform(0.0, 2.0 * np.pi)
    w = np.array([np.cos(direction), np.sin(direction)])
    b = float(rng.uniform(-0.25, 0.25))
    # A hair more than asked for: rounding in x @ w + b must never bring a point below the margin.
    least = margin + 1e-9

    x = np.empty((len(y), 2))
    for label, sign in ((0, -1.0), (1, 1.0)):
        of_class = np.flatnonzero(y == label)
        kept = np.empty((0, 2))
        nearest = np.empty((0, 2))
        while len(kept) < len(of_class) - 1 or len(nearest) == 0:
            tried = rng.uniform(-1.0, 1.0, (4 * len(y), 2))
            distance = sign * (tried @ w + b)
            kept = np.concatenate([kept, tried[distance >= least]])
            moved = tried + sign * ((least - distance)[:, None] * w)
            nearest = np.concatenate([nearest, moved[np.abs(moved).max(axis=1) <= 1.0]])
        x[of_class[0]] = nearest[0]
        x[of_class[1:]] = kept[: len(of_class) - 1]
    return x, w, b
