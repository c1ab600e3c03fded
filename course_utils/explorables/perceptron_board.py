"""The perceptron board: how does the learning rule find a line?"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import combinations
from typing import Any

import traitlets

from course_utils.explorables._base import BLUE, GREY, ORANGE, RED, Explorable, svg_document

MAX_POINTS = 40  # more would hide each other

PRESETS: dict[str, dict[str, Any]] = {
    "separable": {
        "points": [
            [2.4, -1.7],
            [1.7, -1.8],
            [-2.1, -1.7],
            [0.1, 0.9],
            [2.0, 2.3],
            [-1.0, 1.8],
            [-2.0, 1.1],
            [1.0, -1.3],
            [-0.7, -0.6],
            [0.3, 1.8],
            [2.4, -0.6],
            [2.0, -0.1],
        ],
        "labels": [-1, -1, -1, 1, 1, 1, -1, -1, -1, 1, 1, 1],
    },
    "tight margin": {
        "points": [
            [-0.3, 0.0],
            [0.2, -1.2],
            [-1.2, -1.4],
            [-1.2, 2.5],
            [2.0, 1.8],
            [-0.8, 0.7],
            [2.2, 0.0],
            [1.3, -2.4],
            [-0.6, -0.8],
            [0.8, -2.0],
            [0.4, -0.5],
            [2.1, -0.7],
        ],
        "labels": [1, -1, -1, 1, 1, 1, -1, -1, 1, -1, 1, -1],
    },
    "XOR": {
        "points": [
            [1.5, 1.5],
            [-1.5, 1.4],
            [-1.6, -1.4],
            [1.4, -1.6],
            [1.1, 2.0],
            [-1.0, 1.9],
            [-1.9, -1.0],
            [1.9, -1.1],
        ],
        "labels": [-1, 1, -1, 1, -1, 1, -1, 1],
    },
}


def next_mistake(
    points: Sequence[Sequence[float]], labels: Sequence[int], w: Sequence[float], b: float, cursor: int = 0
) -> int | None:
    """The first example from ``cursor`` on, in cyclic order, with y (w·x + b) <= 0; None if there is none."""
    n = len(points)
    for offset in range(n):
        i = (cursor + offset) % n
        if labels[i] * (w[0] * points[i][0] + w[1] * points[i][1] + b) <= 0:
            return i
    return None


def learn(
    points: Sequence[Sequence[float]],
    labels: Sequence[int],
    w: Sequence[float] = (0.0, 0.0),
    b: float = 0.0,
    cursor: int = 0,
    limit: int = 1000,
) -> tuple[list[float], float, int, int]:
    """Apply the rule w <- w + y x, b <- b + y to at most ``limit`` mistakes.

    Returns the weights, the bias, the number of mistakes and the example to look at next.
    """
    w, mistakes = [float(w[0]), float(w[1])], 0
    while mistakes < limit:
        i = next_mistake(points, labels, w, b, cursor)
        if i is None:
            break
        w = [w[0] + labels[i] * points[i][0], w[1] + labels[i] * points[i][1]]
        b += labels[i]
        cursor = (i + 1) % len(points)
        mistakes += 1
    return w, float(b), mistakes, cursor


def radius(points: Iterable[Sequence[float]]) -> float:
    """R: the largest length of an example (x1, x2, 1)."""
    return max((math.sqrt(x * x + y * y + 1) for x, y in points), default=0.0)


def widest_margin(
    points: Sequence[Sequence[float]], labels: Sequence[int]
) -> tuple[float, tuple[float, ...]]:
    """γ, the widest margin of a line through the examples (x1, x2, 1), and its unit vector (w1, w2, b).

    γ is the distance of the origin from the convex hull of the vectors y (x1, x2, 1). The nearest point
    of the hull lies on a corner, an edge or a triangle, so trying those finds it exactly. The margin is
    0.0, with a zero vector, when the origin lies in the hull: then no line separates the classes.
    """
    vectors = [(s * x, s * y, float(s)) for (x, y), s in zip(points, labels, strict=True)]
    tolerance = 1e-14 * max(
        (_dot(v, v) for v in vectors), default=0.0
    )  # rounding in a product of two of them
    for size in (1, 2, 3):
        for corners in combinations(vectors, size):
            nearest = _nearest_to_origin(corners)
            if nearest is None:
                continue
            square = _dot(nearest, nearest)
            if square <= tolerance:
                return 0.0, (0.0, 0.0, 0.0)
            if all(_dot(nearest, v) >= square - tolerance for v in vectors):
                gamma = math.sqrt(square)
                return gamma, tuple(c / gamma for c in nearest)
    return 0.0, (0.0, 0.0, 0.0)


def _dot(a: Sequence[float], b: Sequence[float]) -> float:
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


def _nearest_to_origin(corners: Sequence[Sequence[float]]) -> tuple[float, ...] | None:
    """The point of the corners' affine hull nearest to the origin, if it lies between the corners."""
    first, edges = corners[0], [[q - p for p, q in zip(corners[0], c, strict=True)] for c in corners[1:]]
    if not edges:
        return tuple(first)
    if len(edges) == 1:
        length = _dot(edges[0], edges[0])
        if length < 1e-18:
            return None
        shares = [-_dot(first, edges[0]) / length]
    else:
        aa, ab, bb = _dot(edges[0], edges[0]), _dot(edges[0], edges[1]), _dot(edges[1], edges[1])
        det = aa * bb - ab * ab
        if det < 1e-12 * aa * bb or det == 0:
            return None
        fa, fb = -_dot(first, edges[0]), -_dot(first, edges[1])
        shares = [(fa * bb - fb * ab) / det, (fb * aa - fa * ab) / det]
    if min(shares) < 0 or sum(shares) > 1:
        return None
    return tuple(f + sum(s * e[k] for s, e in zip(shares, edges, strict=True)) for k, f in enumerate(first))


def _signed(value: float, digits: int = 2) -> str:
    text = f"{abs(value):.{digits}f}"
    return ("−" if value < 0 and float(text) else "") + text


class PerceptronBoard(Explorable):
    """Points of two classes, a line, and the perceptron's learning rule, one mistake at a time.

    Parameters
    ----------
    points : array_like, shape (n, 2), optional
        At most 40 examples. Without them the board opens with twelve separable points.
    labels : array_like, shape (n,), optional
        Classes in {-1, +1} or {0, 1} (0 becomes -1); needed with ``points``.
    w, b : array_like of shape (2,) and float, optional
        The line w·x + b = 0 to start from. Without them the board starts from zero and opens after the
        first two corrections, so that there is a line to look at.

    The traits ``points``, ``labels``, ``w``, ``b`` and ``mistakes`` follow what is done in the figure.
    """

    _js = "perceptron_board.js"

    points = traitlets.List().tag(sync=True)
    labels = traitlets.List().tag(sync=True)
    w = traitlets.List().tag(sync=True)
    b = traitlets.Float().tag(sync=True)
    mistakes = traitlets.Int().tag(sync=True)
    cursor = traitlets.Int().tag(sync=True)
    counted = traitlets.Bool(True).tag(sync=True)  # the mistakes are counted from w = 0 on these points
    opening = traitlets.Dict().tag(sync=True)
    presets = traitlets.Dict().tag(sync=True)

    def __init__(
        self, points: Any = None, labels: Any = None, w: Any = None, b: Any = None, **kwargs: Any
    ) -> None:
        if points is None:
            if labels is not None:
                raise ValueError("PerceptronBoard got labels without points.")
            points, labels = PRESETS["separable"]["points"], PRESETS["separable"]["labels"]
        points, labels = _examples(points, labels)
        if w is None and b is None:
            w, b, mistakes, cursor = learn(points, labels, limit=2)
            counted = True
        else:
            w, b = _line(w, b)
            mistakes, cursor, counted = 0, 0, w == [0.0, 0.0] and b == 0.0
        state = {"points": points, "labels": labels, "w": w, "b": b}
        state |= {"mistakes": mistakes, "cursor": cursor, "counted": counted}
        super().__init__(**state, opening=dict(state), presets=PRESETS, **kwargs)

    def _wrong(self) -> list[bool]:
        return [
            label * (self.w[0] * x + self.w[1] * y + self.b) <= 0
            for (x, y), label in zip(self.points, self.labels, strict=True)
        ]

    @property
    def description(self) -> str:
        n, plus = len(self.points), sum(label > 0 for label in self.labels)
        wrong = sum(self._wrong())
        line = (
            f"The line w·x + b = 0 with w = ({_signed(self.w[0])}, {_signed(self.w[1])}) "
            f"and b = {_signed(self.b)}"
            if any(self.w)
            else "w = (0, 0) draws no line yet, and it"
        )
        if not n:
            found = "There are no points."
        else:
            gamma, _ = widest_margin(self.points, self.labels)
            r = radius(self.points)
            found = (
                f"The classes can be separated: R = {r:.2f}, widest margin γ = {gamma:.3f}, so the "
                f"perceptron makes at most {math.floor((r / gamma) ** 2 + 1e-9)} mistakes."
                if gamma
                else "No line separates the classes, so the perceptron's rule never stops."
            )
        return (
            f"Perceptron board: {plus} points of class +1 (blue squares) and {n - plus} of class −1 "
            "(orange circles). "
            f"{line} leaves {wrong} of {n} points on the wrong side (ringed and crossed out). {found}"
        )

    def preview(self) -> str:
        size, pad = 360, 12
        low_x, low_y, side = view(self.points)

        def at(x: float, y: float) -> tuple[float, float]:
            scale = (size - 2 * pad) / side
            return pad + (x - low_x) * scale, size - pad - (y - low_y) * scale

        clip = f'<svg x="{pad}" y="{pad}" width="{size - 2 * pad}" height="{size - 2 * pad}" '
        clip += f'viewBox="{pad} {pad} {size - 2 * pad} {size - 2 * pad}">'
        parts = [f'<rect x="{pad}" y="{pad}" width="{size - 2 * pad}" height="{size - 2 * pad}" ']
        parts.append('fill="none" stroke="#d0d7de"/>')
        (zx, zy), length = at(0, 0), math.hypot(*self.w)
        parts.append(f'<path d="M{pad} {zy:.1f}H{size - pad}M{zx:.1f} {pad}V{size - pad}" stroke="#ccc"/>')
        parts.append(clip)
        if length:
            normal = [c / length for c in self.w]
            foot = [-self.b / length * c for c in normal]
            ends = [at(foot[0] + t * normal[1], foot[1] - t * normal[0]) for t in (-4 * side, 4 * side)]
            parts.append(
                f'<line x1="{ends[0][0]:.1f}" y1="{ends[0][1]:.1f}" x2="{ends[1][0]:.1f}" '
                f'y2="{ends[1][1]:.1f}" stroke="#222" stroke-width="2.5"/>'
            )
        for (x, y), label, wrong in zip(self.points, self.labels, self._wrong(), strict=True):
            px, py = at(x, y)
            parts.append(
                f'<circle cx="{px:.1f}" cy="{py:.1f}" r="7" fill="{ORANGE}" stroke="#222"/>'
                if label < 0
                else f'<rect x="{px - 6.3:.1f}" y="{py - 6.3:.1f}" width="12.6" height="12.6" '
                f'fill="{BLUE}" stroke="#222"/>'
            )
            if wrong:
                parts.append(
                    f'<circle cx="{px:.1f}" cy="{py:.1f}" r="12" fill="none" stroke="{RED}" '
                    'stroke-width="2.5"/>'
                    f'<path d="M{px - 4:.1f} {py - 4:.1f}l8 8m0 -8l-8 8" '
                    f'stroke="{"#fff" if label > 0 else "#000"}" stroke-width="2.2"/>'
                )
        parts.append("</svg>")
        parts.append(
            f'<text x="{pad}" y="{size + 12}" fill="{GREY}">k = {self.mistakes} mistakes corrected so far, '
        )
        parts.append(f"{sum(self._wrong())} of {len(self.points)} points wrong</text>")
        return svg_document(size, size + 22, "".join(parts))


def view(points: Sequence[Sequence[float]]) -> tuple[float, float, float]:
    """The square to show: its lower left corner and its side. It always holds the origin, where w starts."""
    xs, ys = [0.0, *(p[0] for p in points)], [0.0, *(p[1] for p in points)]
    if max(map(abs, xs + ys)) <= 2.8:
        return -3.0, -3.0, 6.0
    side = 1.2 * max(max(xs) - min(xs), max(ys) - min(ys))
    return (min(xs) + max(xs) - side) / 2, (min(ys) + max(ys) - side) / 2, side


def _examples(points: Any, labels: Any) -> tuple[list[list[float]], list[int]]:
    if labels is None:
        raise ValueError("PerceptronBoard needs labels for the points: one of -1 and +1 (or 0 and 1) each.")
    rows = [[float(value) for value in row] for row in points]
    signs = [float(value) for value in labels]
    if any(len(row) != 2 for row in rows):
        raise ValueError("PerceptronBoard draws points with two coordinates: points must have shape (n, 2).")
    if len(rows) != len(signs):
        raise ValueError(f"PerceptronBoard got {len(rows)} points but {len(signs)} labels.")
    if len(rows) > MAX_POINTS:
        raise ValueError(
            f"PerceptronBoard holds at most {MAX_POINTS} points, got {len(rows)}: pass a sample of them."
        )
    if not all(math.isfinite(value) for row in rows for value in row):
        raise ValueError("PerceptronBoard got a coordinate that is not a finite number.")
    if not (set(signs) <= {-1.0, 1.0} or set(signs) <= {0.0, 1.0}):
        raise ValueError("PerceptronBoard labels must be -1 and +1, or 0 and 1.")
    return rows, [1 if sign > 0 else -1 for sign in signs]


def _line(w: Any, b: Any) -> tuple[list[float], float]:
    weights = [0.0, 0.0] if w is None else [float(value) for value in w]
    bias = 0.0 if b is None else float(b)
    if len(weights) != 2 or not all(math.isfinite(value) for value in [*weights, bias]):
        raise ValueError("PerceptronBoard needs two finite weights and a finite bias.")
    return weights, bias
