"""Which optimiser gets down first, and why? Optimisers side by side on one surface.

The functions in this module are the NumPy twins of those in ``optimizer_race.js``; the tests compare both with
each other, and the steps with ``keras.optimizers``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import traitlets
from numpy.typing import ArrayLike, NDArray

from course_utils.explorables._base import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    RED,
    SKY,
    Explorable,
    svg_document,
)

STEPS = 200  # the race ends here
EDGE = 4.0  # farther from the map's centre than this many half-widths, a path has left for good

#: Optimiser -> name in prose. The values of the other settings are the defaults of Keras.
LABELS = {
    "sgd": "gradient descent",
    "momentum": "momentum",
    "nesterov": "Nesterov",
    "rmsprop": "RMSprop",
    "adam": "Adam",
    "adamw": "AdamW",
}
ADAPTIVE = ("rmsprop", "adam", "adamw")
COLOURS = dict(zip(LABELS, [BLUE, PURPLE, GREEN, ORANGE, RED, SKY], strict=True))
MOMENTUM, RHO, BETA_1, BETA_2, EPSILON, WEIGHT_DECAY = 0.9, 0.9, 0.9, 0.999, 1e-7, 0.004

BANANA = 10.0  # steepness of the "rosenbrock" valley
TILT = 0.3  # what makes one of the "two minima" the lower one

#: Surface -> name in prose and limits of the map.
SURFACES = {
    "ravine": {"label": "a ravine", "x": (-2.2, 2.2), "y": (-1.65, 1.65)},
    "rosenbrock": {"label": "a banana-shaped valley (Rosenbrock)", "x": (-2.2, 2.2), "y": (-0.8, 2.5)},
    "saddle": {"label": "a saddle", "x": (-2.2, 2.2), "y": (-1.65, 1.65)},
    "two minima": {"label": "a surface with two minima", "x": (-2.2, 2.2), "y": (-1.65, 1.65)},
}


def value(surface: str, x: ArrayLike, y: ArrayLike, condition: float = 20.0) -> NDArray:
    """The loss at (x, y)."""
    x, y = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    match surface:
        case "ravine":
            return 0.5 * (x**2 + condition * y**2)
        case "rosenbrock":
            return (1 - x) ** 2 + BANANA * (y - x**2) ** 2
        case "saddle":
            return 0.5 * x**2 - 0.5 * y**2 + 0.25 * y**4
        case "two minima":
            return 0.5 * (x**2 - 1) ** 2 + TILT * x + y**2
    raise ValueError(_no_such(surface))


def gradient(surface: str, x: float, y: float, condition: float = 20.0) -> NDArray:
    """The slopes of the loss at (x, y), shape (2,)."""
    match surface:
        case "ravine":
            return np.array([x, condition * y])
        case "rosenbrock":
            return np.array([-2 * (1 - x) - 4 * BANANA * x * (y - x**2), 2 * BANANA * (y - x**2)])
        case "saddle":
            return np.array([x, -y + y**3])
        case "two minima":
            return np.array([2 * x * (x**2 - 1) + TILT, 2 * y])
    raise ValueError(_no_such(surface))


def steepest_curvature(surface: str, x: float, y: float, condition: float = 20.0) -> float:
    """The largest eigenvalue of the matrix of second derivatives at (x, y)."""
    match surface:
        case "ravine":
            xx, xy, yy = 1.0, 0.0, condition
        case "rosenbrock":
            xx, xy, yy = 2 - 4 * BANANA * (y - 3 * x**2), -4 * BANANA * x, 2 * BANANA
        case "saddle":
            xx, xy, yy = 1.0, 0.0, 3 * y**2 - 1
        case "two minima":
            xx, xy, yy = 6 * x**2 - 2, 0.0, 2.0
        case _:
            raise ValueError(_no_such(surface))
    return (xx + yy) / 2 + math.hypot((xx - yy) / 2, xy)


def minima(surface: str) -> list[tuple[float, float]]:
    """The places of the minima; the lowest comes first."""
    match surface:
        case "ravine":
            return [(0.0, 0.0)]
        case "rosenbrock":
            return [(1.0, 1.0)]
        case "saddle":
            return [(0.0, 1.0), (0.0, -1.0)]
        case "two minima":
            places = []
            for x in (-1.0, 1.0):
                for _ in range(50):  # Newton's method on the slope
                    x -= (2 * x * (x**2 - 1) + TILT) / (6 * x**2 - 2)
                places.append((x, 0.0))
            return places
    raise ValueError(_no_such(surface))


def lowest(surface: str, condition: float = 20.0) -> float:
    """The loss at the lowest minimum."""
    return float(value(surface, *minima(surface)[0], condition))


def run(
    optimizer: str,
    surface: str,
    start: Sequence[float],
    learning_rate: float,
    condition: float = 20.0,
    steps: int = STEPS,
) -> NDArray:
    """The path of an optimiser, shape (steps + 1, 2), by the update rules of Keras 3.

    It ends early, with fewer rows, once it has left the map for good.
    """
    w = np.array(start, dtype=float)
    path = [w.copy()]
    first, second = np.zeros(2), np.zeros(2)  # velocity or mean gradient; mean squared gradient
    for step in range(1, steps + 1):
        g = gradient(surface, *w, condition)
        match optimizer:
            case "sgd":
                w = w - learning_rate * g
            case "momentum":
                first = MOMENTUM * first - learning_rate * g
                w = w + first
            case "nesterov":
                first = MOMENTUM * first - learning_rate * g
                w = w + MOMENTUM * first - learning_rate * g
            case "rmsprop":
                second = RHO * second + (1 - RHO) * g**2
                w = w - learning_rate * g / np.sqrt(second + EPSILON)
            case "adam" | "adamw":
                if optimizer == "adamw":
                    w = w - w * WEIGHT_DECAY * learning_rate
                first = first + (g - first) * (1 - BETA_1)
                second = second + (g**2 - second) * (1 - BETA_2)
                alpha = learning_rate * math.sqrt(1 - BETA_2**step) / (1 - BETA_1**step)
                w = w - first * alpha / (np.sqrt(second) + EPSILON)
            case _:
                raise ValueError(_no_such_optimizer(optimizer))
        path.append(w.copy())
        if gone(surface, w):
            break
    return np.array(path)


def gone(surface: str, w: NDArray) -> bool:
    """Whether a point is so far out that its path will not come back."""
    limits = SURFACES[surface]
    far = 0.0
    for coordinate, (low, high) in zip(w, (limits["x"], limits["y"]), strict=True):
        far = max(far, abs(coordinate - (low + high) / 2) / ((high - low) / 2))
    return not far <= EDGE


def left_at(surface: str, path: NDArray) -> int | None:
    """The step from which on a path that is gone was outside the map, or None."""
    if not gone(surface, path[-1]):
        return None
    (x0, x1), (y0, y1) = SURFACES[surface]["x"], SURFACES[surface]["y"]
    outside = ~((path[:, 0] >= x0) & (path[:, 0] <= x1) & (path[:, 1] >= y0) & (path[:, 1] <= y1))
    back = np.flatnonzero(~outside)
    return int(back[-1]) + 1 if len(back) else 0


def rate_limit(optimizer: str, curvature: float) -> float | None:
    """The learning rate above which steps along a direction of this curvature grow, where there is one."""
    if curvature <= 0 or optimizer in ADAPTIVE:
        return None
    factor = {
        "sgd": 2.0,
        "momentum": 2 * (1 + MOMENTUM),
        "nesterov": 2 * (1 + MOMENTUM) / (1 + 2 * MOMENTUM),
    }[optimizer]
    return factor / curvature


def _no_such(surface: Any) -> str:
    return f"There is no surface {surface!r}; choose one of: {', '.join(SURFACES)}."


def _no_such_optimizer(name: Any) -> str:
    return f"There is no optimizer {name!r}; choose from: {', '.join(LABELS)}."


class OptimizerRace(Explorable):
    """Which optimiser gets down first, and why?

    Optimisers start at one point of a contour map and run by the update rules of Keras. Drag the start, move
    through the steps, change the learning rates; below the map the losses, and a table of where each one is.

    Parameters
    ----------
    surface : "ravine", "rosenbrock", "saddle" or "two minima"
    optimizers : some of "sgd", "momentum", "nesterov", "rmsprop", "adam", "adamw"
    learning_rate : of the optimisers with one rate for all directions, from 0.0001 to 1
    start : where they start, (x, y) on the map
    condition : how many times steeper than flat the ravine is, 1 to 100
    adaptive_rate : learning rate of RMSprop, Adam and AdamW; default: the same as ``learning_rate``
    step : how many steps are shown, 0 to 200
    """

    _js = "optimizer_race.js"

    surface = traitlets.Unicode("ravine").tag(sync=True)
    optimizers = traitlets.List(traitlets.Unicode(), ["sgd", "momentum", "adam"]).tag(sync=True)
    learning_rate = traitlets.Float(0.05).tag(sync=True)
    adaptive_rate = traitlets.Float(0.05).tag(sync=True)
    start = traitlets.List(traitlets.Float(), [-1.8, 1.2], minlen=2, maxlen=2).tag(sync=True)
    condition = traitlets.Float(20.0).tag(sync=True)
    step = traitlets.Int(40).tag(sync=True)

    def __init__(
        self,
        surface: str = "ravine",
        optimizers: Sequence[str] = ("sgd", "momentum", "adam"),
        learning_rate: float = 0.05,
        start: Sequence[float] = (-1.8, 1.2),
        condition: float = 20.0,
        adaptive_rate: float | None = None,
        **kwargs: Any,
    ) -> None:
        if adaptive_rate is None:  # a wrong rate is reported once, by its own name
            adaptive_rate = learning_rate if 1e-4 <= learning_rate <= 1 else 0.05
        super().__init__(
            surface=surface,
            optimizers=[optimizers] if isinstance(optimizers, str) else list(optimizers),
            learning_rate=learning_rate,
            adaptive_rate=adaptive_rate,
            start=[float(v) for v in start],
            condition=condition,
            **kwargs,
        )

    @traitlets.validate("surface")
    def _known_surface(self, proposal: Any) -> str:
        if proposal["value"] not in SURFACES:
            raise traitlets.TraitError(_no_such(proposal["value"]))
        return proposal["value"]

    @traitlets.validate("optimizers")
    def _known_optimizers(self, proposal: Any) -> list[str]:
        for name in proposal["value"]:
            if name not in LABELS:
                raise traitlets.TraitError(_no_such_optimizer(name))
        return [name for name in LABELS if name in proposal["value"]]  # each once, in the figure's order

    @traitlets.validate("learning_rate", "adaptive_rate", "condition", "step")
    def _in_range(self, proposal: Any) -> float:
        name, number = proposal["trait"].name, proposal["value"]
        low, high = {"condition": (1, 100), "step": (0, STEPS)}.get(name, (1e-4, 1))
        if not low <= number <= high:
            raise traitlets.TraitError(f"{name} must lie between {low:g} and {high:g}, not {number:g}.")
        return number

    @traitlets.validate("start")
    def _on_the_map(self, proposal: Any) -> list[float]:
        x, y = proposal["value"]
        for surface in SURFACES.values():  # the surface may be set after the start: some map has to hold it
            (x0, x1), (y0, y1) = surface["x"], surface["y"]
            if x0 <= x <= x1 and y0 <= y <= y1:
                return proposal["value"]
        raise traitlets.TraitError(
            f"start must lie on the map, x and y between -2.2 and 2.2, not ({x:g}, {y:g})."
        )

    def rate_of(self, optimizer: str) -> float:
        return self.adaptive_rate if optimizer in ADAPTIVE else self.learning_rate

    def _paths(self) -> dict[str, NDArray]:
        return {
            name: run(name, self.surface, self.start, self.rate_of(name), self.condition, self.step)
            for name in self.optimizers
        }

    @property
    def description(self) -> str:
        label = SURFACES[self.surface]["label"]
        if self.surface == "ravine":
            label += f" with condition number {self.condition:g}"
        parts = []
        for name, path in self._paths().items():
            left = left_at(self.surface, path)
            if left is None:
                loss = float(value(self.surface, *path[-1], self.condition)) - lowest(
                    self.surface, self.condition
                )
                end = f"is {loss:.2g} above the minimum"
            else:
                end = f"left the map at step {left}"
            parts.append(f"{LABELS[name]} (learning rate {self.rate_of(name):.3g}) {end}")
        x, y = self.start
        runners = "; ".join(parts) if parts else "no optimiser is chosen"
        return (
            f"Contour map of {label}, with paths that start at ({x:.2g}, {y:.2g}), and their losses against the "
            f"step. After {self.step} steps {runners}."
        )

    def preview(self) -> str:
        import contourpy

        (x0, x1), (y0, y1) = SURFACES[self.surface]["x"], SURFACES[self.surface]["y"]
        width, height, left, top = 440, 440 * (y1 - y0) / (x1 - x0), 16, 40

        def point(x: float, y: float) -> str:
            px = left + width * (x - x0) / (x1 - x0)
            py = top + height * (y1 - y) / (y1 - y0)
            return f"{min(max(px, -99), 999):.0f},{min(max(py, -99), 999):.0f}"

        xs, ys = np.linspace(x0, x1, 61), np.linspace(y0, y1, 46)
        heights = value(self.surface, xs[None, :], ys[:, None], self.condition)
        heights = heights - lowest(self.surface, self.condition)
        lines = contourpy.contour_generator(xs, ys, heights)
        body = [
            f'<text x="{left}" y="25" font-size="15">Which optimiser gets down first? {self.step} steps on '
            f"{SURFACES[self.surface]['label']}</text>",
            f'<svg x="{left}" y="{top}" width="{width}" height="{height:.0f}" '
            f'viewBox="{left} {top} {width} {height:.0f}">'
            f'<rect x="{left}" y="{top}" width="{width}" height="{height:.0f}" fill="#F4F8FB"/>',
        ]
        for level in heights.max() * 0.5 ** np.arange(1, 9):
            for line in lines.lines(level):
                points = " ".join(
                    point(*p) for p in [*line[:: 1 + len(line) // 40].tolist(), line[-1].tolist()]
                )
                body.append(f'<polyline points="{points}" fill="none" stroke="{GREY}" stroke-width=".7"/>')
        paths = self._paths()
        for name, path in paths.items():
            points = " ".join(point(*p) for p in path[:120])
            body.append(
                f'<polyline points="{points}" fill="none" stroke="{COLOURS[name]}" stroke-width="2.2" '
                'stroke-linejoin="round"/>'
            )
        for x, y in minima(self.surface):
            px, py = point(x, y).split(",")
            body.append(f'<path d="M{px} {py}m-6 0h12m-6-6v12" stroke="#222" stroke-width="2"/>')
        px, py = point(*self.start).split(",")
        body.append(f'<circle cx="{px}" cy="{py}" r="7" fill="#222"/></svg>')
        for row, (name, path) in enumerate(paths.items()):
            gone_at = left_at(self.surface, path)
            loss = float(value(self.surface, *path[-1], self.condition)) - lowest(
                self.surface, self.condition
            )
            text = f"left at step {gone_at}" if gone_at is not None else f"loss {loss:.2g}"
            at = top + 24 + 46 * row
            body.append(
                f'<rect x="{left + width + 14}" y="{at - 12}" width="14" height="14" fill="{COLOURS[name]}"/>'
                f'<text x="{left + width + 34}" y="{at}">{LABELS[name]}</text>'
                f'<text x="{left + width + 34}" y="{at + 18}" fill="#555">{text}</text>'
            )
        return svg_document(left + width + 180, top + height + 16, "".join(body))
