"""Where does the gradient die? An activation function, its derivative, and a chain of units.

The functions in this module are the NumPy twins of those in ``activation_explorer.js``; the tests compare
both with each other and with Keras.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import traitlets
from numpy.typing import ArrayLike, NDArray

from course_utils.explorables._base import BLUE, GREEN, GREY, ORANGE, PURPLE, RED, Explorable, svg_document

LEAK = 0.2  # slope of leaky ReLU for z < 0, the default of keras.ops.leaky_relu
SATURATED = 0.05  # |derivative| below this is called "nearly zero"

LABELS = {
    "step": "step",
    "identity": "identity",
    "sigmoid": "sigmoid",
    "tanh": "tanh",
    "relu": "ReLU",
    "leaky_relu": "leaky ReLU",
    "elu": "ELU",
    "gelu": "GELU",
    "silu": "SiLU (Swish)",
}

_LIMITS = {"z": (-6.0, 6.0), "depth": (1, 20), "weight": (-4.0, 4.0), "bias": (-4.0, 4.0)}
_erf = np.vectorize(math.erf, otypes=[float])


def _sigmoid(z: NDArray) -> NDArray:
    e = np.exp(-np.abs(z))
    return np.where(z >= 0, 1, e) / (1 + e)


def value(function: str, z: ArrayLike) -> NDArray:
    """φ(z) of the named function, elementwise."""
    z = np.asarray(z, dtype=float)
    match function:
        case "step":
            return np.where(z >= 0, 1.0, 0.0)
        case "identity":
            return z
        case "sigmoid":
            return _sigmoid(z)
        case "tanh":
            return np.tanh(z)
        case "relu":
            return np.maximum(z, 0.0)
        case "leaky_relu":
            return np.where(z > 0, z, LEAK * z)
        case "elu":
            return np.where(z > 0, z, np.expm1(np.minimum(z, 0.0)))
        case "gelu":
            return z * 0.5 * (1 + _erf(z / math.sqrt(2)))
        case "silu":
            return z * _sigmoid(z)
    raise ValueError(_no_such(function))


def derivative(function: str, z: ArrayLike) -> NDArray:
    """φ′(z) of the named function, elementwise; at a corner, the value TensorFlow uses."""
    z = np.asarray(z, dtype=float)
    match function:
        case "step":
            return np.zeros_like(z)
        case "identity":
            return np.ones_like(z)
        case "sigmoid":
            return _sigmoid(z) * _sigmoid(-z)
        case "tanh":
            return 1 - np.tanh(z) ** 2
        case "relu":
            return np.where(z > 0, 1.0, 0.0)
        case "leaky_relu":
            return np.where(z > 0, 1.0, LEAK)
        case "elu":
            return np.where(z > 0, 1.0, np.exp(np.minimum(z, 0.0)))
        case "gelu":
            density = np.exp(-0.5 * z**2) / math.sqrt(2 * math.pi)
            return 0.5 * (1 + _erf(z / math.sqrt(2))) + z * density
        case "silu":
            return _sigmoid(z) * (1 + z * _sigmoid(-z))
    raise ValueError(_no_such(function))


def chain(function: str, z: float, depth: int, weight: float, bias: float) -> list[float]:
    """Gradients ∂a_l/∂z_1, l = 1 … depth, of the chain a_1 = φ(z_1), a_l = φ(w a_{l-1} + b)."""
    gradients = []
    gradient = 1.0
    pre = float(z)
    for layer in range(depth):
        slope = float(derivative(function, pre))
        gradient *= slope if layer == 0 else weight * slope
        gradients.append(gradient)
        pre = weight * float(value(function, pre)) + bias
    return gradients


def _no_such(function: Any) -> str:
    return f"There is no activation function {function!r}; choose one of: {', '.join(LABELS)}."


def _number(x: float) -> str:
    """A number for prose: 0.105, 3.2e-08."""
    return f"{x:.3g}" if x else "0"


class ActivationExplorer(Explorable):
    """Where does the gradient die?

    Drag the point along the curve (or use the arrow keys): the figure shows φ(z), the slope φ′(z) with its
    tangent, and shades where the slope is nearly zero. Below, the same z enters a chain of units
    a = φ(w a + b); bars show how large the gradient still is after each layer.

    Parameters
    ----------
    function : "step", "identity", "sigmoid", "tanh", "relu", "leaky_relu", "elu", "gelu" or "silu"
    z : where the point stands, from -6 to 6
    depth : number of layers in the chain, 1 to 20
    weight, bias : w and b of every unit after the first, from -4 to 4
    """

    _js = "activation_explorer.js"

    function = traitlets.Unicode("sigmoid").tag(sync=True)
    z = traitlets.Float(2.0).tag(sync=True)
    depth = traitlets.Int(10).tag(sync=True)
    weight = traitlets.Float(1.0).tag(sync=True)
    bias = traitlets.Float(0.0).tag(sync=True)

    def __init__(self, function: str = "sigmoid", **kwargs: Any) -> None:
        super().__init__(function=function, **kwargs)

    @traitlets.validate("function")
    def _known_function(self, proposal: Any) -> str:
        if proposal["value"] not in LABELS:
            raise traitlets.TraitError(_no_such(proposal["value"]))
        return proposal["value"]

    @traitlets.validate("z", "depth", "weight", "bias")
    def _in_range(self, proposal: Any) -> float:
        name, number = proposal["trait"].name, proposal["value"]
        low, high = _LIMITS[name]
        if not low <= number <= high:
            raise traitlets.TraitError(f"{name} must lie between {low:g} and {high:g}, not {number:g}.")
        return number

    @property
    def description(self) -> str:
        label = LABELS[self.function]
        slope = float(derivative(self.function, self.z))
        last = abs(chain(self.function, self.z, self.depth, self.weight, self.bias)[-1])
        if not last:
            end = "nothing of the gradient is left"
        elif last < 0.1:
            end = f"the gradient has shrunk to {_number(last)}"
        elif last > 10:
            end = f"the gradient has grown to {_number(last)}"
        else:
            end = f"the gradient is {_number(last)}"
        count = "1 layer" if self.depth == 1 else f"{self.depth} layers"
        return (
            f"The {label} function and its derivative for z from -6 to 6, shaded where the derivative is "
            f"nearly zero. At z = {self.z:g} the function is {_number(float(value(self.function, self.z)))} "
            f"and its slope {_number(slope)}. Bars below show a chain of such units with weight "
            f"{self.weight:g}: after {count} {end}."
        )

    def preview(self) -> str:
        function = self.function
        grid = np.linspace(-6, 6, 121)
        outputs, slopes = value(function, grid), derivative(function, grid)
        low, high = (-1.5, 1.5) if outputs.max() <= 1.01 else (-1.5, 3.0)

        def px(z: float) -> float:
            return 310 + 45 * z

        def py(a: float) -> float:
            return 230 - 190 * (a - low) / (high - low)

        def path(ys: NDArray, colour: str, dash: str = "") -> str:
            points = " ".join(
                f"{px(z):.0f},{py(a):.1f}" for z, a in zip(grid, ys, strict=True) if low <= a <= high
            )
            return f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2.5"{dash}/>'

        body = [f'<text x="40" y="24" font-size="15">Where does the gradient die? {LABELS[function]}</text>']
        dead = np.abs(slopes) < SATURATED
        edges = np.flatnonzero(np.diff(np.concatenate([[0], dead.astype(int), [0]])))
        for first, stop in zip(edges[::2], edges[1::2], strict=True):
            left, right = px(grid[first]), px(grid[stop - 1])
            body.append(
                f'<rect x="{left:.0f}" y="40" width="{right - left:.0f}" height="190" '
                f'fill="{RED}" opacity=".12"/>'
            )
            if right - left > 120:
                body.append(
                    f'<text x="{(left + right) / 2:.0f}" y="54" font-size="11" fill="{RED}" '
                    'text-anchor="middle">gradient nearly zero</text>'
                )
        body.append(f'<path d="M40 {py(0):.0f}H580M310 40V230" stroke="{GREY}" stroke-width="1"/>')
        body.append(path(outputs, BLUE) + path(slopes, ORANGE, ' stroke-dasharray="7 4"'))
        z, a, slope = self.z, float(value(function, self.z)), float(derivative(function, self.z))
        body.append(
            f'<path d="M{px(z - 1):.0f} {py(a - slope):.0f}L{px(z + 1):.0f} {py(a + slope):.0f}" '
            'stroke="#222" stroke-width="1.5"/>'
            f'<circle cx="{px(z):.0f}" cy="{py(a):.0f}" r="7" fill="{BLUE}"/>'
        )
        body.append(
            f'<text x="40" y="248" fill="{BLUE}">φ({z:g}) = {_number(a)}</text>'
            f'<text x="200" y="248" fill="#9A5B00">φ′({z:g}) = {_number(slope)} (dashed)</text>'
        )
        # the chain: one bar for each layer on a log scale, 6 pixels a decade, from 1e-12 to 1e6
        body.append(f'<path d="M40 300H580" stroke="{GREY}"/><text x="586" y="304" font-size="11">1</text>')
        for layer, gradient in enumerate(chain(function, z, self.depth, self.weight, self.bias)):
            decades = -12.0 if gradient == 0 else float(np.clip(np.log10(abs(gradient)), -12, 6))
            top = 300 - 6 * max(decades, 0.0)
            height = max(6 * abs(decades), 1.5)
            colour = RED if decades > 1 else PURPLE if decades < -1 else GREEN
            body.append(
                f'<rect x="{44 + 27 * layer}" y="{top:.1f}" width="20" height="{height:.1f}" '
                f'fill="{colour}"/>'
            )
        body.append(
            '<text x="40" y="392">Gradient after each layer, log scale: '
            "downwards it vanishes, upwards it explodes</text>"
        )
        return svg_document(620, 404, "".join(body))
