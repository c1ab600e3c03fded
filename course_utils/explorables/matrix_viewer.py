"""What does a 2 × 2 matrix do to the plane? Points are rows, so the map is x @ W + b.

The functions in this module are the NumPy twins of those in ``matrix_viewer.js``; the tests compare both
with each other and with ``numpy.linalg``.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import traitlets
from numpy.typing import ArrayLike, NDArray

from course_utils.explorables._base import BLUE, GREEN, GREY, PURPLE, RED, SKY, Explorable, svg_document

LIMIT = 3.0  # every number of W, V, b and x lies between -LIMIT and LIMIT
_C, _S = math.cos(math.pi / 6), math.sin(math.pi / 6)

PRESETS: dict[str, list[list[float]]] = {
    "identity": [[1.0, 0.0], [0.0, 1.0]],
    "stretch": [[1.5, 0.0], [0.0, 0.6]],
    "rotation": [[_C, _S], [-_S, _C]],
    "quarter turn": [[0.0, 1.0], [-1.0, 0.0]],
    "half turn": [[-1.0, 0.0], [0.0, -1.0]],
    "shear": [[1.0, 0.0], [0.7, 1.0]],
    "reflection": [[-1.0, 0.0], [0.0, 1.0]],
    "projection": [[0.8, 0.4], [0.4, 0.2]],
}

LETTER_F = 1.5 * np.array(
    [[0, 0], [0, 1], [0.7, 1], [0.7, 0.8], [0.22, 0.8], [0.22, 0.6], [0.55, 0.6], [0.55, 0.4], [0.22, 0.4], [0.22, 0]]
)  # fmt: skip


def determinant(matrix: ArrayLike) -> float:
    """Factor by which areas change, negative if the plane is mirrored."""
    (a, b), (c, d) = np.asarray(matrix, dtype=float)
    return float(a * d - b * c)


def tween(matrix: ArrayLike, t: float) -> NDArray:
    """The way from the identity (t = 0) to the matrix (t = 1): its stretch and its turn grow together.

    Every matrix is a symmetric stretch followed by a turn. So a rotation turns on the way, instead of
    shrinking through the middle, and only matrices that mirror or flatten pass through a flat plane.
    """
    W = np.asarray(matrix, dtype=float)
    if t <= 0:
        return np.eye(2)
    if t >= 1:
        return W
    angle = math.atan2(W[0, 1] - W[1, 0], W[0, 0] + W[1, 1])

    def turn(a: float) -> NDArray:
        return np.array([[math.cos(a), math.sin(a)], [-math.sin(a), math.cos(a)]])

    stretch = W @ turn(-angle)
    return ((1 - t) * np.eye(2) + t * stretch) @ turn(t * angle)


def displayed(
    matrix: ArrayLike,
    bias: ArrayLike = (0.0, 0.0),
    second: ArrayLike | None = None,
    swapped: bool = False,
    amount: float = 1.0,
) -> tuple[NDArray, NDArray]:
    """The matrix and the shift on the screen: the steps one after the other, as far as ``amount`` says."""
    steps = [matrix] if second is None else [second, matrix] if swapped else [matrix, second]
    t = amount * len(steps)
    product = np.eye(2)
    for k, step in enumerate(steps):
        product = product @ tween(step, min(max(t - k, 0.0), 1.0))
    return product, np.asarray(bias, dtype=float) * min(max(t - len(steps) + 1, 0.0), 1.0)


def verdict(matrix: ArrayLike) -> str:
    """What the matrix does to areas: "point", "line", "nearly", "mirrored" or "plain"."""
    size = float((np.asarray(matrix, dtype=float) ** 2).sum()) / 2
    det = determinant(matrix)
    if size < 1e-12:
        return "point"
    if abs(det) < 1e-9 * max(1.0, size):
        return "line"
    if abs(det) < 0.05 * size:
        return "nearly"
    return "mirrored" if det < 0 else "plain"


def kept_directions(matrix: ArrayLike) -> list[tuple[float, NDArray]]:
    """Pairs (factor, unit vector) with x @ W = factor * x, largest factor first; empty for a rotation."""
    (a, b), (c, d) = np.asarray(matrix, dtype=float)
    half, gap = (a + d) / 2, (a - d) ** 2 / 4 + b * c
    if gap < -1e-12 or (abs(b) < 1e-12 and abs(c) < 1e-12 and abs(a - d) < 1e-12):
        return []  # none, or all directions
    root = math.sqrt(max(gap, 0.0))
    found = []
    for factor in (half + root, half - root)[: 1 if root < 1e-9 else 2]:
        # x @ (W - factor I) = 0: x is perpendicular to both columns; take the longer one
        columns = np.array([[a - factor, c], [b, d - factor]])
        p, q = max(columns, key=lambda column: float(column @ column))
        found.append((factor, np.array([-q, p]) / math.hypot(p, q)))
    return found


_SAYS = {
    "point": "everything lands on one point",
    "line": "the whole plane is flattened onto one line",
    "nearly": "the plane is nearly flattened",
    "mirrored": "the plane is mirrored",
    "plain": "nothing is mirrored",
}


def _rows(value: Any, name: str) -> list[list[float]]:
    try:
        array = np.asarray(value, dtype=float)
    except (TypeError, ValueError):
        raise traitlets.TraitError(f"{name} must hold numbers.") from None
    if array.shape != (2, 2):
        raise traitlets.TraitError(f"{name} must have shape (2, 2), not {array.shape}.")
    return _within(array, name)


def _pair(value: Any, name: str) -> list[float]:
    try:
        array = np.asarray(value, dtype=float)
    except (TypeError, ValueError):
        raise traitlets.TraitError(f"{name} must hold numbers.") from None
    if array.shape != (2,):
        raise traitlets.TraitError(f"{name} must have shape (2,), not {array.shape}.")
    return _within(array, name)


def _within(array: NDArray, name: str) -> Any:
    if not np.isfinite(array).all() or np.abs(array).max() > LIMIT + 1e-9:
        raise traitlets.TraitError(f"The numbers of {name} must lie between -{LIMIT:g} and {LIMIT:g}.")
    return array.tolist()


class MatrixViewer(Explorable):
    """What does a 2 × 2 matrix do to the plane?

    Drag the two arrows: they are the rows of the matrix, the places where (1, 0) and (0, 1) go, because
    points are rows and the map is x @ W + b. The figure shows the grid and a letter F before and after, the
    determinant as the factor of area, and the arithmetic for one point x. A second matrix can follow.

    Parameters
    ----------
    matrix : W, two rows of two numbers from -3 to 3
    bias : b, two numbers
    second : V, a second matrix, used if ``compose`` is true
    compose : whether V takes part; ``swapped`` puts it before W
    probe : the point x whose arithmetic is written out
    amount : how much of the way from "before" to "after" is shown, 0 to 1
    preset : name of a matrix from :data:`PRESETS`, instead of ``matrix``
    """

    _js = "matrix_viewer.js"

    matrix = traitlets.List([[1.0, 0.5], [0.2, 0.8]]).tag(sync=True)
    bias = traitlets.List([0.0, 0.0]).tag(sync=True)
    second = traitlets.List([[0.0, 1.0], [-1.0, 0.0]]).tag(sync=True)
    compose = traitlets.Bool(False).tag(sync=True)
    swapped = traitlets.Bool(False).tag(sync=True)
    probe = traitlets.List([1.05, 1.5]).tag(sync=True)
    amount = traitlets.Float(1.0).tag(sync=True)

    def __init__(self, matrix: ArrayLike | None = None, *, preset: str | None = None, **kwargs: Any) -> None:
        if preset is not None:
            if preset not in PRESETS:
                raise traitlets.TraitError(
                    f"There is no preset {preset!r}; choose one of: {', '.join(PRESETS)}."
                )
            if matrix is not None:
                raise traitlets.TraitError("Give either a matrix or the name of a preset, not both.")
            matrix = PRESETS[preset]
        if matrix is not None:
            kwargs["matrix"] = matrix
        for name in {"matrix", "second"} & kwargs.keys():
            kwargs[name] = _rows(kwargs[name], name)
        for name in {"bias", "probe"} & kwargs.keys():
            kwargs[name] = _pair(kwargs[name], name)
        super().__init__(**kwargs)

    @traitlets.validate("matrix", "second")
    def _two_by_two(self, proposal: Any) -> list[list[float]]:
        return _rows(proposal["value"], proposal["trait"].name)

    @traitlets.validate("bias", "probe")
    def _two(self, proposal: Any) -> list[float]:
        return _pair(proposal["value"], proposal["trait"].name)

    @traitlets.validate("amount")
    def _share(self, proposal: Any) -> float:
        if not 0 <= proposal["value"] <= 1:
            raise traitlets.TraitError(f"amount must lie between 0 and 1, not {proposal['value']:g}.")
        return proposal["value"]

    def shown(self) -> tuple[NDArray, NDArray]:
        """The matrix and the shift on the screen."""
        second = self.second if self.compose else None
        return displayed(self.matrix, self.bias, second, self.swapped, self.amount)

    @property
    def description(self) -> str:
        M, shift = self.shown()
        x = np.array(self.probe)
        z = x @ M + shift
        what = "A 2 by 2 matrix"
        if self.compose:
            what = "Two matrices one after the other, " + ("V then W," if self.swapped else "W then V,")
        return (
            f"{what} applied to a grid and a letter F, which are drawn before and after. (1, 0) goes to row 1, "
            f"({M[0, 0]:.2f}, {M[0, 1]:.2f}), and (0, 1) to row 2, ({M[1, 0]:.2f}, {M[1, 1]:.2f}). "
            f"The determinant is {determinant(M):.2f}: {_SAYS[verdict(M)]}. "
            f"The point ({x[0]:.2f}, {x[1]:.2f}) goes to ({z[0]:.2f}, {z[1]:.2f})."
        )

    def preview(self) -> str:
        M, shift = self.shown()
        unit, left, top = 56.0, 20.0, 40.0
        side = 6.4 * unit

        def at(point: ArrayLike) -> str:
            x, y = np.asarray(point, dtype=float)
            return f"{left + side / 2 + unit * x:.1f} {top + side / 2 - unit * y:.1f}"

        def path(points: ArrayLike, close: str = "") -> str:
            return "M" + "L".join(at(p) for p in np.asarray(points)) + close

        lines = []
        for k in range(-6, 7):
            for ends in ([[k, -8], [k, 8]], [[-8, k], [8, k]]):
                lines.append(path(np.array(ends) @ M + shift))
        square = np.array([[0, 0], [1, 0], [1, 1], [0, 1]]) @ M + shift
        x = np.array(self.probe)
        z = x @ M + shift
        body = [
            f'<text x="{left:g}" y="26" font-size="15">What does a 2 × 2 matrix do to the plane?</text>',
            f'<svg x="{left:g}" y="{top:g}" width="{side:g}" height="{side:g}" '
            f'viewBox="{left:g} {top:g} {side:g} {side:g}">',
            f'<path d="{"".join(lines)}" stroke="#B9D3E6" fill="none"/>',
            f'<path d="{path([[-4, 0], [4, 0]])}{path([[0, -4], [0, 4]])}" stroke="{GREY}" fill="none"/>',
            f'<path d="{path(square, "Z")}" fill="#FBECCB" stroke="{GREY}"/>',
            f'<path d="{path(LETTER_F, "Z")}" fill="none" stroke="{GREY}" stroke-dasharray="5 4"/>',
            f'<path d="{path(LETTER_F @ M + shift, "Z")}" fill="{SKY}" fill-opacity=".6" stroke="{BLUE}" '
            'stroke-width="2"/>',
        ]
        for row, colour in zip(M, (RED, GREEN), strict=True):
            cx, cy = at(row + shift).split()
            body.append(
                f'<path d="{path([shift, row + shift])}" stroke="{colour}" stroke-width="3"/>'
                f'<circle cx="{cx}" cy="{cy}" r="7" fill="{colour}"/>'
            )
        for point, fill in ((x, PURPLE), (z, "#fff")):
            cx, cy = at(point).split()
            body.append(
                f'<circle cx="{cx}" cy="{cy}" r="6" fill="{fill}" stroke="{PURPLE}" stroke-width="2.5"/>'
            )
        body.append("</svg>")
        words = [
            f"row 1 = ({M[0, 0]:.2f}, {M[0, 1]:.2f})",
            f"row 2 = ({M[1, 0]:.2f}, {M[1, 1]:.2f})",
            f"det = {determinant(M):.2f}",
            _SAYS[verdict(M)],
            "",
            f"x = ({x[0]:.2f}, {x[1]:.2f})",
            f"goes to ({z[0]:.2f}, {z[1]:.2f})",
        ]
        for k, (text, colour) in enumerate(
            zip(words, (RED, "#1E7A4E", "#222", "#222", "#222", "#8A4A78", "#8A4A78"), strict=True)
        ):
            body.append(f'<text x="{left + side + 16:g}" y="{80 + 24 * k}" fill="{colour}">{text}</text>')
        return svg_document(left + side + 300, top + side + 16, "".join(body))
