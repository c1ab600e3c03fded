"""How does a signal's size survive depth? A batch sent through deep random layers, and a gradient sent back.

The functions in this module are the NumPy twins of those in ``signal_propagation.js``; the tests compare both.
All random numbers come from the generator mulberry32 (Tommy Ettinger, public domain): the state grows by
``0x6D2B79F5`` each time and is hashed. The polar-free Box-Muller form
``sqrt(-2 ln(1 - u)) cos(2 pi v)`` makes each normal number from two uniform ones ``u``, ``v``.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import traitlets
from numpy.typing import NDArray

from course_utils.explorables._base import GREEN, PURPLE, Explorable, svg_document

BATCH = 32
SCALES = 2.0 ** ((np.arange(23) - 12) / 6)  # 0.25 ... 3.17 in equal factors; 1 and sqrt(2) are among them
ACTIVATIONS = ("linear", "tanh", "sigmoid", "relu")
VIEWS = ("activations", "differences", "gradient")
MIN_DEPTH, MAX_DEPTH = 4, 40
MIN_WIDTH, MAX_WIDTH = 8, 128
SPAN = 4.0  # the colours end at 10^-4 and 10^4
_NAMES = {"linear": "no activation (linear)", "tanh": "tanh", "sigmoid": "sigmoid", "relu": "ReLU"}


def uniforms(seed: int, count: int) -> NDArray:
    """The first ``count`` numbers from [0, 1) of the generator ``ui.mulberry32(seed)``; shape (count,)."""
    mask = np.uint64(0xFFFFFFFF)

    def times(a: NDArray, b: NDArray) -> NDArray:
        return (a * b) & mask  # the product of two 32-bit numbers modulo 2^32, also where 2^64 overflows

    a = (np.uint64(seed) + np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x6D2B79F5)) & mask
    t = times(a ^ (a >> np.uint64(15)), a | np.uint64(1))
    t ^= (t + times(t ^ (t >> np.uint64(7)), t | np.uint64(61))) & mask
    return ((t ^ (t >> np.uint64(14))) & mask).astype(float) / 2.0**32


def normals(seed: int, count: int) -> NDArray:
    """The first ``count`` standard normal numbers of ``ui.gaussian(ui.mulberry32(seed))``; shape (count,)."""
    u, v = uniforms(seed, 2 * count).reshape(count, 2).T
    return np.sqrt(-2 * np.log(1 - u)) * np.cos(2 * np.pi * v)


def random_draws(seed: int, width: int, depth: int) -> tuple[NDArray, NDArray, NDArray]:
    """What the seed decides.

    Returns
    -------
    batch : (32, width), standard normal
    weights : (depth, width, width), standard normal; a layer uses them times ``scale / sqrt(width)``
    back : (32, width), standard normal, the gradient that arrives at the last layer
    """
    one, square = BATCH * width, width * width
    values = normals(seed, one + depth * square)
    back = normals((seed ^ 0x9E3779B9) & 0xFFFFFFFF, one)
    shape = (BATCH, width)
    return values[:one].reshape(shape), values[one:].reshape(depth, width, width), back.reshape(shape)


def activate(activation: str, z: NDArray) -> tuple[NDArray, NDArray]:
    """The activation called ``activation``, one of :data:`ACTIVATIONS`, and its slope; both of the shape of z."""
    match activation:
        case "linear":
            return z, np.ones_like(z)
        case "tanh":
            a = np.tanh(z)
            return a, 1 - a * a
        case "sigmoid":
            with np.errstate(over="ignore"):
                a = 1 / (1 + np.exp(-z))
            return a, a * (1 - a)
        case "relu":
            return np.maximum(z, 0), (z > 0).astype(float)
    raise ValueError(f"There is no activation {activation!r}; choose one of: {', '.join(ACTIVATIONS)}.")


class Passage(NamedTuple):
    """What :func:`propagate` found; index l from 0 (the batch) to depth.

    layers : (depth + 1, 32, width), the activations
    activations : (depth + 1,), their root mean square
    differences : (depth + 1,), the root mean square of the distance from the unit's mean over the batch
    gradient : (depth + 1,), the root mean square of the gradient with respect to the activations
    """

    layers: NDArray
    activations: NDArray
    differences: NDArray
    gradient: NDArray


def propagate(
    activation: str = "tanh", scale: float = 1.0, depth: int = 20, width: int = 64, seed: int = 0
) -> Passage:
    """Send a batch through ``depth`` random layers ``a_l = f(a_(l-1) @ W_l)`` and a gradient back.

    Parameters
    ----------
    activation : one of :data:`ACTIVATIONS`
    scale : standard deviation of the weights times sqrt(width). 1 is the initialisation of Glorot and Bengio
        (2010) for layers with as many inputs as outputs, sqrt(2) that of He et al. (2015).
    depth : number of layers
    width : units of each layer
    seed : of batch, weights and gradient
    """
    batch, weights, back = random_draws(seed, width, depth)
    weights = weights * (scale / np.sqrt(width))
    layers, slopes = [batch], [np.ones_like(batch)]
    for W in weights:
        a, slope = activate(activation, layers[-1] @ W)
        layers.append(a)
        slopes.append(slope)
    delta, sizes = back, [np.sqrt(np.mean(back**2))]
    for W, slope in zip(weights[::-1], slopes[:0:-1], strict=True):
        delta = (delta * slope) @ W.T
        sizes.append(np.sqrt(np.mean(delta**2)))
    A = np.stack(layers)
    return Passage(
        A,
        np.sqrt(np.mean(A**2, axis=(1, 2))),
        np.sqrt(np.mean((A - A.mean(axis=1, keepdims=True)) ** 2, axis=(1, 2))),
        np.array(sizes[::-1]),
    )


def nearest_column(scale: float) -> int:
    """The index in :data:`SCALES` of the weight scale nearest to ``scale`` by factor."""
    return int(np.clip(np.floor(6 * np.log2(scale) + 0.5) + 12, 0, len(SCALES) - 1))


def _whole(value: Any, name: str, low: int, high: int) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or not low <= value <= high:
        raise ValueError(f"SignalPropagation needs {name} from {low} to {high}, not {value!r}.")
    return int(value)


def _scale(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise ValueError(f"SignalPropagation needs a number for the weight scale, not {value!r}.")
    if not 0.2 <= value <= 3.5:
        raise ValueError(f"SignalPropagation needs a weight scale from 0.2 to 3.5, not {value!r}.")
    return float(SCALES[nearest_column(float(value))])


def _choice(value: Any, what: str, options: tuple[str, ...]) -> str:
    if value not in options:
        raise ValueError(f"There is no {what} {value!r}; choose one of: {', '.join(options)}.")
    return str(value)


def _size(value: float) -> str:
    if value == 0 or 0.001 <= value < 9999.5:
        return f"{float(f'{value:.3g}'):g}"
    digits, power = f"{value:.1e}".split("e")
    return f"{digits}×10{str(int(power)).translate(str.maketrans('-0123456789', '⁻⁰¹²³⁴⁵⁶⁷⁸⁹'))}"


class SignalPropagation(Explorable):
    """How does a signal's size survive depth?

    A map: weight scale across, depth downwards, the colour is the size of the signal. A batch of 32 is really
    sent through random layers in the browser. A chosen cell shows the sizes over depth and histograms.

    Parameters
    ----------
    depth : layers, 4 to 40
    activation : "linear", "tanh", "sigmoid" or "relu"
    scale : the chosen column, standard deviation of the weights times the square root of the inputs, 0.2 to
        3.5; the nearest of the 23 columns (:data:`SCALES`) is taken. Xavier is 1, He the square root of 2.
    width : units of each layer, 8 to 128
    seed : of batch, weights and gradient, a whole number from 0
    view : what the colour shows: "activations" (root mean square), "differences" (within the batch) or
        "gradient" (root mean square, on its way back)
    layer : the chosen row, 0 (the input) to depth; default the last

    Raises
    ------
    ValueError
        For an unknown name and a number out of its range.
    """

    _js = "signal_propagation.js"

    activation = traitlets.Unicode("tanh").tag(sync=True)
    depth = traitlets.Int(20).tag(sync=True)
    scale = traitlets.Float(1.0).tag(sync=True)
    width = traitlets.Int(64).tag(sync=True)
    seed = traitlets.Int(0).tag(sync=True)
    view = traitlets.Unicode("activations").tag(sync=True)
    layer = traitlets.Int(20).tag(sync=True)

    def __init__(
        self,
        depth: int = 20,
        activation: str = "tanh",
        scale: float = 1.0,
        width: int = 64,
        seed: int = 0,
        *,
        view: str = "activations",
        layer: int | None = None,
        **kwargs: Any,
    ) -> None:
        depth = _whole(depth, "a depth", MIN_DEPTH, MAX_DEPTH)
        super().__init__(
            depth=depth,
            activation=_choice(activation, "activation", ACTIVATIONS),
            scale=_scale(scale),
            width=_whole(width, "a width", MIN_WIDTH, MAX_WIDTH),
            seed=_whole(seed, "a seed", 0, 2**31 - 1),
            view=_choice(view, "view", VIEWS),
            layer=depth if layer is None else _whole(layer, "a layer", 0, depth),
            **kwargs,
        )

    @traitlets.validate("depth", "width", "seed")
    def _check_whole(self, proposal: Any) -> int:
        name = proposal["trait"].name
        low, high = {
            "depth": (MIN_DEPTH, MAX_DEPTH),
            "width": (MIN_WIDTH, MAX_WIDTH),
            "seed": (0, 2**31 - 1),
        }[name]
        return _whole(proposal["value"], f"a {name}", low, high)

    @traitlets.validate("scale")
    def _check_scale(self, proposal: Any) -> float:
        return _scale(proposal["value"])

    @traitlets.validate("activation", "view")
    def _check_choice(self, proposal: Any) -> str:
        name = proposal["trait"].name
        return _choice(proposal["value"], name, ACTIVATIONS if name == "activation" else VIEWS)

    def passage(self, scale: float | None = None) -> Passage:
        """See :func:`propagate`: the chosen network, or that of another weight scale."""
        scale = self.scale if scale is None else scale
        return propagate(self.activation, scale, self.depth, self.width, self.seed)

    @property
    def description(self) -> str:
        p, D = self.passage(), self.depth
        what = {
            "activations": "the root mean square of the activations",
            "differences": "how much the activations differ within the batch",
            "gradient": "the root mean square of the gradient on its way back",
        }[self.view]
        return (
            f"A map of random networks of {D} layers of {self.width} units with {_NAMES[self.activation]}: weight "
            f"scale from 0.25 to 3.17 across, layers downwards, coloured by {what}. At the weight scale "
            f"{self.scale:.2f} the activations go from {_size(p.activations[0])} at the input to "
            f"{_size(p.activations[D])} at the end, their differences within the batch from "
            f"{_size(p.differences[0])} to {_size(p.differences[D])}, and the gradient on its way back from "
            f"{_size(p.gradient[D])} to {_size(p.gradient[0])}."
        )

    def preview(self) -> str:
        D, left, top, col, tall = self.depth, 56.0, 84.0, 16.0, 252.0
        row, wide = tall / (D + 1), 16.0 * len(SCALES)
        body = ['<text x="16" y="26" font-size="15">How does a signal\'s size survive depth?</text>']
        what = {"activations": "activations", "differences": "differences", "gradient": "gradient"}[self.view]
        label = f"size of the {what}" if self.view != "differences" else "differences within the batch"
        body.append(f'<text x="16" y="46">Colour: {label}; {_NAMES[self.activation]}</text>')
        runs = [self.passage(float(s)) for s in SCALES]
        paths: dict[int, list[str]] = {}
        for k, run in enumerate(runs):
            with np.errstate(divide="ignore"):
                x = np.clip(np.log10(getattr(run, self.view)) / SPAN, -1, 1)
            tones = np.round(12 * np.sign(x) * np.abs(x) ** 0.8).astype(int)
            start = 0
            for layer in range(1, D + 2):
                if layer == D + 1 or tones[layer] != tones[start]:
                    y, high = top + start * row, (layer - start) * row
                    rect = f"M{left + k * col:g} {y:.1f}h{col:g}v{high:.1f}h-{col:g}z"
                    paths.setdefault(int(tones[start]), []).append(rect)
                    start = layer
        for tone, rects in sorted(paths.items()):
            end = np.array([0, 114, 192] if tone < 0 else [223, 154, 0])
            r, g, b = np.round(255 + abs(tone) / 12 * (end - 255)).astype(int)
            body.append(
                f'<path d="{"".join(rects)}" fill="#{r:02x}{g:02x}{b:02x}" shape-rendering="crispEdges"/>'
            )
        body.append(
            f'<rect x="{left:g}" y="{top:g}" width="{wide:g}" height="{tall:g}" fill="none" stroke="#ccc"/>'
        )
        for k, words, anchor in ((12, "Xavier 1", "end"), (15, "He √2", "start")):
            x = left + (k + 0.5) * col
            body.append(f'<path d="M{x - 5:g} {top - 9:g}h10l-5 8z"/>')
            body.append(f'<text x="{x:g}" y="{top - 14:g}" text-anchor="{anchor}">{words}</text>')
        for v in (0.25, 0.5, 1, 2, 3):
            x = left + (6 * np.log2(v) + 12.5) * col
            body.append(f'<text x="{x:.1f}" y="{top + tall + 18:g}" text-anchor="middle">{v:g}</text>')
        for layer in range(0, D + 1, 5):
            y = top + (layer + 0.5) * row + 4
            body.append(f'<text x="{left - 6:g}" y="{y:.1f}" text-anchor="end">{layer}</text>')
        k, p = nearest_column(self.scale), self.passage()
        body.append(
            f'<rect x="{left + k * col - 1:g}" y="{top:g}" width="{col + 2:g}" height="{tall:g}" fill="none" '
            'stroke="#000" stroke-width="2"/>'
        )
        body.append(
            f'<text x="{left + wide / 2:g}" y="{top + tall + 36:g}" text-anchor="middle">weight scale</text>'
            f'<text x="16" y="{top - 14:g}">layer</text>'
        )
        side = left + wide + 24
        notes = (
            (f"Scale {self.scale:.2f}, after {D} layers:", "#222"),
            (f"activations {_size(p.activations[D])}", GREEN),
            (f"differences {_size(p.differences[D])}", "#595959"),
            (f"gradient back {_size(p.gradient[0])}", PURPLE),
            ("", "#222"),
            ("Blue: vanishing", "#0072C0"),
            ("White: about 1", "#222"),
            ("Orange: exploding", "#8a5f00"),
        )
        for i, (words, colour) in enumerate(notes):
            body.append(f'<text x="{side:g}" y="{top + 14 + 22 * i:g}" fill="{colour}">{words}</text>')
        return svg_document(side + 190, top + tall + 50, "".join(body))
