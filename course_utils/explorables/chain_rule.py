"""How do slopes combine? Two linked curves y = inner(x) and L = outer(y), and the composition of both.

The functions in this module are the NumPy twins of those in ``chain_rule.js``; the tests compare both with
each other and with finite differences.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import traitlets
from numpy.typing import ArrayLike, NDArray

from course_utils.explorables._base import BLUE, GREEN, GREY, PURPLE, Explorable, svg_document

#: name -> (label, formula with {} for the argument)
FUNCTIONS = {
    "linear": ("double, 2v", "2{}"),
    "square": ("square, v²", "{}²"),
    "cube": ("cube, v³", "{}³"),
    "sin": ("sine, sin v", "sin {}"),
    "exp": ("exponential, exp v", "exp {}"),
    "sigmoid": ("sigmoid, σ(v)", "σ({})"),
    "tanh": ("tanh v", "tanh {}"),
    "relu": ("ReLU, max(0, v)", "max(0, {})"),
}
SECANTS = ("off", "forward", "central")
X_LIMIT = 1.5  # the point stays within ±X_LIMIT
DX_RANGE = (5e-13, 0.5)


def _sigmoid(v: NDArray) -> NDArray:
    e = np.exp(-np.abs(v))
    return np.where(v >= 0, 1, e) / (1 + e)


def value(function: str, v: ArrayLike) -> NDArray:
    """The named function, elementwise."""
    v = np.asarray(v, dtype=float)
    match function:
        case "linear":
            return 2 * v
        case "square":
            return v * v
        case "cube":
            return v * v * v
        case "sin":
            return np.sin(v)
        case "exp":
            return np.exp(v)
        case "sigmoid":
            return _sigmoid(v)
        case "tanh":
            return np.tanh(v)
        case "relu":
            return np.maximum(v, 0.0)
    raise ValueError(_no_such("function", function, FUNCTIONS))


def derivative(function: str, v: ArrayLike) -> NDArray:
    """The slope of the named function, elementwise; at the kink of ReLU the 0 that TensorFlow uses."""
    v = np.asarray(v, dtype=float)
    match function:
        case "linear":
            return np.full_like(v, 2.0)
        case "square":
            return 2 * v
        case "cube":
            return 3 * v * v
        case "sin":
            return np.cos(v)
        case "exp":
            return np.exp(v)
        case "sigmoid":
            return _sigmoid(v) * _sigmoid(-v)
        case "tanh":
            return 1 - np.tanh(v) ** 2
        case "relu":
            return np.where(v > 0, 1.0, 0.0)
    raise ValueError(_no_such("function", function, FUNCTIONS))


def chain(inner: str, outer: str, x: float) -> dict[str, float]:
    """Values y and L at x, the two slopes, and their product dL/dx."""
    y = float(value(inner, x))
    slope_inner, slope_outer = float(derivative(inner, x)), float(derivative(outer, y))
    return {
        "y": y,
        "L": float(value(outer, y)),
        "slope_inner": slope_inner,
        "slope_outer": slope_outer,
        "slope": slope_outer * slope_inner,
    }


def nudge(inner: str, outer: str, x: float, dx: float) -> dict[str, float]:
    """What a step dx does: to y and L by the slopes (``says_``), and really."""
    at = chain(inner, outer, x)
    y_after = float(value(inner, x + dx))
    return {
        "says_dy": at["slope_inner"] * dx,
        "says_dL": at["slope"] * dx,
        "dy": y_after - at["y"],
        "dL": float(value(outer, y_after)) - at["L"],
    }


def quotient(inner: str, outer: str, x: float, dx: float, kind: str) -> float:
    """The slope of the composition measured by a forward or a central difference of step dx."""

    def loss(x: float) -> float:
        return float(value(outer, value(inner, x)))

    if kind == "forward":
        return (loss(x + dx) - loss(x)) / dx
    if kind == "central":
        return (loss(x + dx) - loss(x - dx)) / (2 * dx)
    raise ValueError(_no_such("difference", kind, SECANTS[1:]))


def formula(function: str, argument: str) -> str:
    """``formula("square", "x")`` is "x²"; a longer argument is put in brackets."""
    pattern = FUNCTIONS[function][1]
    if len(argument) > 1 and "({})" not in pattern and "(0, {})" not in pattern:
        argument = f"({argument})"
    return pattern.format(argument)


def _no_such(what: str, name: Any, known: Any) -> str:
    return f"There is no {what} {name!r}; choose one of: {', '.join(known)}."


def _number(v: float) -> str:
    return f"{v:.3g}" if v else "0"


class ChainRule(Explorable):
    """How do slopes combine?

    Drag the point (or use the arrow keys): each curve shows its tangent, and the bars show a nudge dx passed
    on, dx to dy to dL, as the slopes say and as it really is. With a secant switched on, the slope of the
    composition is measured by a difference of the same step.

    Parameters
    ----------
    inner, outer : "linear", "square", "cube", "sin", "exp", "sigmoid", "tanh" or "relu"
        y = inner(x) and L = outer(y).
    x : where the point stands, from -1.5 to 1.5
    dx : the nudge, and the step of the secant, from 5e-13 to 0.5
    secant : "off", "forward" or "central"
    """

    _js = "chain_rule.js"

    inner = traitlets.Unicode("square").tag(sync=True)
    outer = traitlets.Unicode("sin").tag(sync=True)
    x = traitlets.Float(0.8).tag(sync=True)
    dx = traitlets.Float(0.25).tag(sync=True)
    secant = traitlets.Unicode("off").tag(sync=True)

    def __init__(self, inner: str = "square", outer: str = "sin", **kwargs: Any) -> None:
        super().__init__(inner=inner, outer=outer, **kwargs)

    @traitlets.validate("inner", "outer")
    def _known_function(self, proposal: Any) -> str:
        if proposal["value"] not in FUNCTIONS:
            raise traitlets.TraitError(_no_such("function", proposal["value"], FUNCTIONS))
        return proposal["value"]

    @traitlets.validate("secant")
    def _known_secant(self, proposal: Any) -> str:
        if proposal["value"] not in SECANTS:
            raise traitlets.TraitError(_no_such("secant", proposal["value"], SECANTS))
        return proposal["value"]

    @traitlets.validate("x", "dx")
    def _in_range(self, proposal: Any) -> float:
        name, number = proposal["trait"].name, proposal["value"]
        low, high = (-X_LIMIT, X_LIMIT) if name == "x" else DX_RANGE
        if not low <= number <= high:
            raise traitlets.TraitError(f"{name} must lie between {low:g} and {high:g}, not {number:g}.")
        return number

    @property
    def description(self) -> str:
        at = chain(self.inner, self.outer, self.x)
        step = nudge(self.inner, self.outer, self.x, self.dx)
        text = (
            f"Three curves with tangents: y = {formula(self.inner, 'x')}, L = {formula(self.outer, 'y')}, and L "
            f"as a function of x. At x = {self.x:g} the slopes are {_number(at['slope_inner'])} and "
            f"{_number(at['slope_outer'])}; their product {_number(at['slope'])} is the slope of the third curve. "
            f"For a nudge dx = {self.dx:g} the product says dL = {_number(step['says_dL'])}; really it is "
            f"{_number(step['dL'])}."
        )
        if self.secant != "off":
            measured = quotient(self.inner, self.outer, self.x, self.dx, self.secant)
            text += f" A {self.secant} difference of that step measures {_number(measured)}."
        return text

    def preview(self) -> str:
        at = chain(self.inner, self.outer, self.x)
        grid = np.linspace(-2, 2, 61)
        y_curve = value(self.inner, grid)
        inside = np.abs(grid) <= X_LIMIT
        y_window = _window(y_curve[inside])
        l_window = _window(value(self.outer, y_curve)[inside])
        y_grid = np.linspace(*y_window, 61)
        plots = [
            ("x", "y", grid, y_curve, (-2, 2), y_window, self.x, at["y"], at["slope_inner"]),
            ("y", "L", y_grid, value(self.outer, y_grid), y_window, l_window, at["y"], at["L"], at["slope_outer"]),
            ("x", "L", grid, value(self.outer, y_curve), (-2, 2), l_window, self.x, at["L"], at["slope"]),
        ]  # fmt: skip
        titles = [
            f"y = {formula(self.inner, 'x')}",
            f"L = {formula(self.outer, 'y')}",
            f"L = {formula(self.outer, formula(self.inner, 'x'))}",
        ]
        body = ['<text x="20" y="24" font-size="15">How do slopes combine?</text>']
        for number, (title, plot) in enumerate(zip(titles, plots, strict=True)):
            horizontal, vertical, us, vs, u_window, v_window, u, v, slope = plot
            left = 36 + 210 * number

            def px(u: float, left: float = left, window: tuple[float, float] = u_window) -> float:
                return left + 160 * (u - window[0]) / (window[1] - window[0])

            def py(v: float, window: tuple[float, float] = v_window) -> float:
                return 222 - 150 * (v - window[0]) / (window[1] - window[0])

            points = " ".join(
                f"{px(a):.0f},{py(b):.1f}"
                for a, b in zip(us, vs, strict=True)
                if v_window[0] <= b <= v_window[1]
            )
            dx, dy = px(u + 1) - px(u), py(v + slope) - py(v)
            reach = 42 / np.hypot(dx, dy)
            body.append(
                f'<text x="{left}" y="60">{title}</text>'
                f'<rect x="{left}" y="72" width="160" height="150" fill="none" stroke="#ccc"/>'
                f'<polyline points="{points}" fill="none" stroke="{BLUE}" stroke-width="2.5"/>'
                f'<path d="M{px(u) - reach * dx:.1f} {py(v) - reach * dy:.1f}L{px(u) + reach * dx:.1f} '
                f'{py(v) + reach * dy:.1f}" stroke="#222" stroke-width="1.5"/>'
                f'<circle cx="{px(u):.1f}" cy="{py(v):.1f}" r="6" fill="{PURPLE}"/>'
                f'<text x="{left + 80}" y="240" text-anchor="middle" fill="{GREY}">{horizontal}</text>'
                f'<text x="{left - 16}" y="150" fill="{GREY}">{vertical}</text>'
                f'<text x="{left}" y="262" fill="{GREEN if number == 2 else "#222"}">slope {_number(slope)}</text>'
            )
        body.append(
            f'<text x="36" y="290">{_number(at["slope_inner"])} × {_number(at["slope_outer"])} = '
            f"{_number(at['slope'])}: the slopes of a chain multiply</text>"
        )
        return svg_document(650, 304, "".join(body))


def _window(values: NDArray) -> tuple[float, float]:
    low, high = float(np.min(values)), float(np.max(values))
    pad = max(0.12 * (high - low), 0.05)
    return low - pad, high + pad
