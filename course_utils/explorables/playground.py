"""What can a hidden layer bend? A small network trained in the browser on points of two classes.

The functions in this module are the NumPy twins of those in ``playground.js``: the same random numbers,
points, initial weights and training steps from the same seed. The tests compare both, and the static picture
is drawn with them.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import traitlets
from numpy.typing import NDArray

from course_utils.explorables._base import GREY, Explorable, svg_document

DATASETS = ("moons", "circles", "xor", "spirals", "blobs")
ACTIVATIONS = ("tanh", "relu", "sigmoid", "identity")
MAX_LAYERS = 4
MAX_UNITS = 8
TRAIN, HELD_OUT = 160, 80  # number of points

_DATA, _INIT, _ORDER = 1, 2, 3  # purposes of the random streams
_MASK = 0xFFFFFFFF

Parameters = list[
    tuple[NDArray, NDArray]
]  # for each layer: W of shape (inputs, outputs), b of shape (outputs,)


def _mulberry32(state: int) -> Callable[[], float]:
    """A 32-bit generator that Python and the browser compute alike."""
    state &= _MASK

    def random() -> float:
        nonlocal state
        state = (state + 0x6D2B79F5) & _MASK
        t = state
        t = ((t ^ (t >> 15)) * (t | 1)) & _MASK
        t ^= (t + (((t ^ (t >> 7)) * (t | 61)) & _MASK)) & _MASK
        return (t ^ (t >> 14)) / 4294967296

    return random


def _stream(seed: int, purpose: int) -> Callable[[], float]:
    return _mulberry32((seed + 1) * 2654435761 + purpose)


def _normal(random: Callable[[], float]) -> float:
    radius = math.sqrt(-2 * math.log(1 - random()))
    return radius * math.cos(2 * math.pi * random())


def points(kind: str, n: int, noise: float, seed: int) -> tuple[NDArray, NDArray]:
    """n points of two alternating classes: x of shape (n, 2), y of shape (n,) with labels 0 and 1."""
    random = _stream(seed, _DATA)
    x, y = np.zeros((n, 2)), np.zeros(n)
    for i in range(n):
        label = i % 2
        t, u = random(), random()
        g1, g2 = _normal(random), _normal(random)
        if kind == "moons":
            side = -1 if label else 1
            p = (1.1 * side * (math.cos(math.pi * t) - 0.5), 1.3 * side * (math.sin(math.pi * t) - 0.25))
        elif kind == "circles":
            radius = 0.6 if label else 1.4
            p = (radius * math.cos(2 * math.pi * t), radius * math.sin(2 * math.pi * t))
        elif kind == "xor":  # class 1 where the signs of the two coordinates differ
            right = 1 if u < 0.5 else -1
            p = (right * (0.15 + 1.35 * t), (-right if label else right) * (0.15 + 1.35 * ((u * 2) % 1)))
        elif kind == "spirals":
            radius, angle = 0.2 + 1.4 * t, 2.2 * math.pi * t + label * math.pi
            p = (radius * math.cos(angle), radius * math.sin(angle))
        elif kind == "blobs":
            centre = 0.8 if label else -0.8
            p = (centre + 0.25 * _normal(random), centre + 0.25 * _normal(random))
        else:
            raise ValueError(_no_such("data set", kind, DATASETS))
        x[i] = p[0] + noise * g1, p[1] + noise * g2
        y[i] = label
    return x, y


def initial_parameters(layers: Sequence[int], activation: str, seed: int) -> Parameters:
    """He initialisation for ReLU, Glorot uniform for the other activations; biases 0."""
    random = _stream(seed, _INIT)
    sizes = [2, *layers, 1]
    parameters = []
    for inputs, outputs in itertools.pairwise(sizes):
        if activation == "relu":
            scale = math.sqrt(2 / inputs)
            flat = [scale * _normal(random) for _ in range(inputs * outputs)]
        else:
            scale = math.sqrt(6 / (inputs + outputs))
            flat = [scale * (2 * random() - 1) for _ in range(inputs * outputs)]
        parameters.append((np.array(flat).reshape(inputs, outputs), np.zeros(outputs)))
    return parameters


def _phi(activation: str, z: NDArray) -> NDArray:
    match activation:
        case "tanh":
            return np.tanh(z)
        case "relu":
            return np.maximum(z, 0.0)
        case "sigmoid":
            return _sigmoid(z)
    return z


def _slope(activation: str, a: NDArray) -> NDArray:
    """φ′ written with the output a = φ(z)."""
    match activation:
        case "tanh":
            return 1 - a * a
        case "relu":
            return (a > 0).astype(float)
        case "sigmoid":
            return a * (1 - a)
    return np.ones_like(a)


def _sigmoid(z: NDArray) -> NDArray:
    e = np.exp(-np.abs(z))
    return np.where(z >= 0, 1, e) / (1 + e)


def forward(parameters: Parameters, activation: str, x: NDArray) -> list[NDArray]:
    """Activations of every layer, from the inputs (n, 2) to the logits (n, 1)."""
    outputs = [x]
    for layer, (weights, bias) in enumerate(parameters):
        z = outputs[-1] @ weights + bias
        outputs.append(z if layer + 1 == len(parameters) else _phi(activation, z))
    return outputs


def loss(logits: NDArray, y: NDArray) -> float:
    """Mean binary cross-entropy from logits, without overflow."""
    z = logits.ravel()
    return float(np.mean(np.maximum(z, 0) - y * z + np.log1p(np.exp(-np.abs(z)))))


def gradients(
    parameters: Parameters, activation: str, x: NDArray, y: NDArray, l2: float = 0.0
) -> tuple[float, Parameters]:
    """The loss with its penalty l2 · ΣW², and its gradient for every W and b."""
    outputs = forward(parameters, activation, x)
    total = loss(outputs[-1], y) + l2 * sum(float(np.sum(w * w)) for w, _ in parameters)
    delta = (_sigmoid(outputs[-1]) - y[:, None]) / len(y)
    result: Parameters = []
    for layer in range(len(parameters) - 1, -1, -1):
        weights, _ = parameters[layer]
        result.insert(0, (outputs[layer].T @ delta + 2 * l2 * weights, delta.sum(axis=0)))
        if layer:
            delta = (delta @ weights.T) * _slope(activation, outputs[layer])
    return total, result


def train(
    x: NDArray,
    y: NDArray,
    layers: Sequence[int],
    activation: str,
    *,
    learning_rate: float,
    batch_size: int,
    l2: float = 0.0,
    seed: int,
    steps: int,
) -> Parameters:
    """Mini-batch gradient descent, in the very order the browser takes."""
    parameters = initial_parameters(layers, activation, seed)
    random = _stream(seed, _ORDER)
    order = list(range(len(y)))
    following = len(y)
    for _ in range(steps):
        if following >= len(y):
            for i in range(len(y) - 1, 0, -1):
                j = int(random() * (i + 1))
                order[i], order[j] = order[j], order[i]
            following = 0
        rows = order[following : following + batch_size]
        following += len(rows)
        _, change = gradients(parameters, activation, x[rows], y[rows], l2)
        parameters = [
            (w - learning_rate * dw, b - learning_rate * db)
            for (w, b), (dw, db) in zip(parameters, change, strict=True)
        ]
    return parameters


def _no_such(what: str, value: Any, options: Sequence[str]) -> str:
    return f"There is no {what} {value!r}; choose one of: {', '.join(options)}."


class Playground(Explorable):
    """What can a hidden layer bend?

    A network of dense layers learns to tell two classes of points apart, in the browser: press Play and watch
    the decision surface, the hidden units and the loss. Drag points, add new ones, change the network.

    Parameters
    ----------
    dataset : "moons", "circles", "xor", "spirals" or "blobs"
    layers : units in each hidden layer: up to 4 layers of 1 to 8 units; () is logistic regression
    activation : "tanh", "relu", "sigmoid" or "identity", in the hidden layers
    learning_rate : above 0, at most 3
    noise : standard deviation of the points' noise, 0 to 0.5
    seed : whole number from 0; decides points, initial weights and order of the examples
    batch_size : examples in one step, 1 to 160 (all of the training points)
    l2 : factor of the penalty on the squared weights, 0 to 0.1
    """

    _js = "playground.js"

    dataset = traitlets.Unicode("moons").tag(sync=True)
    layers = traitlets.List(traitlets.Int(), default_value=[4, 3]).tag(sync=True)
    activation = traitlets.Unicode("tanh").tag(sync=True)
    learning_rate = traitlets.Float(0.1).tag(sync=True)
    noise = traitlets.Float(0.1).tag(sync=True)
    seed = traitlets.Int(1).tag(sync=True)
    batch_size = traitlets.Int(16).tag(sync=True)
    l2 = traitlets.Float(0.0).tag(sync=True)

    def __init__(
        self,
        dataset: str = "moons",
        layers: Sequence[int] = (4, 3),
        activation: str = "tanh",
        learning_rate: float = 0.1,
        noise: float = 0.1,
        seed: int = 1,
        *,
        batch_size: int = 16,
        l2: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            dataset=dataset,
            layers=_as_list(layers),
            activation=activation,
            learning_rate=learning_rate,
            noise=noise,
            seed=seed,
            batch_size=batch_size,
            l2=l2,
            **kwargs,
        )

    @traitlets.validate("dataset")
    def _known_dataset(self, proposal: Any) -> str:
        if proposal["value"] not in DATASETS:
            raise traitlets.TraitError(_no_such("data set", proposal["value"], DATASETS))
        return proposal["value"]

    @traitlets.validate("activation")
    def _known_activation(self, proposal: Any) -> str:
        if proposal["value"] not in ACTIVATIONS:
            raise traitlets.TraitError(_no_such("activation", proposal["value"], ACTIVATIONS))
        return proposal["value"]

    @traitlets.validate("layers")
    def _possible_layers(self, proposal: Any) -> list[int]:
        layers = list(proposal["value"])
        if len(layers) > MAX_LAYERS or not all(1 <= units <= MAX_UNITS for units in layers):
            raise traitlets.TraitError(_bad_layers(layers))
        return layers

    @traitlets.validate("learning_rate", "noise", "seed", "batch_size", "l2")
    def _in_range(self, proposal: Any) -> float:
        name, number = proposal["trait"].name, proposal["value"]
        low, high = {
            "learning_rate": (0.0, 3.0),
            "noise": (0.0, 0.5),
            "seed": (0, 2**31 - 1),
            "batch_size": (1, TRAIN),
            "l2": (0.0, 0.1),
        }[name]
        if not low <= number <= high or (name == "learning_rate" and number == 0):
            between = f"above 0 and at most {high:g}" if name == "learning_rate" else f"from {low} to {high}"
            raise traitlets.TraitError(f"{name} must be {between}, not {number}.")
        return number

    @property
    def description(self) -> str:
        if self.layers:
            units = " and ".join(str(u) for u in self.layers)
            network = f"a network with {units} hidden {self.activation} units"
        else:
            network = "a network without hidden layers"
        bent = bool(self.layers) and self.activation != "identity"
        result = "a curved boundary that bends" if bent else "a straight boundary, which cannot bend,"
        return (
            f"Points of two classes (orange circles, blue squares; data set {self.dataset}) on the decision "
            f"surface of {network} after a short training: {result} between the classes."
        )

    def preview(self) -> str:
        return _picture(
            self.dataset,
            tuple(self.layers),
            self.activation,
            self.learning_rate,
            self.noise,
            self.seed,
            self.batch_size,
            self.l2,
        )


def _as_list(layers: Any) -> list[int]:
    try:
        return [int(units) if units == int(units) else units for units in layers]
    except (TypeError, ValueError):
        raise traitlets.TraitError(_bad_layers(layers)) from None


def _bad_layers(layers: Any) -> str:
    return (
        f"layers must be up to {MAX_LAYERS} whole numbers from 1 to {MAX_UNITS}, the units of each hidden "
        f"layer, for example (4, 3); not {layers!r}."
    )


@functools.lru_cache(maxsize=32)
def _picture(
    dataset: str,
    layers: tuple[int, ...],
    activation: str,
    learning_rate: float,
    noise: float,
    seed: int,
    batch_size: int,
    l2: float,
) -> str:
    """The decision surface after a short training, in five bands of probability."""
    x, y = (part[:TRAIN] for part in points(dataset, TRAIN + HELD_OUT, noise, seed))
    parameters = train(
        x,
        y,
        layers,
        activation,
        learning_rate=learning_rate,
        batch_size=batch_size,
        l2=l2,
        seed=seed,
        steps=min(60 * math.ceil(TRAIN / batch_size), 1200),
    )
    cells, side, left, top = 36, 9, 20, 40
    centres = -2 + 4 * (np.arange(cells) + 0.5) / cells
    grid = np.stack(np.meshgrid(centres, -centres), axis=-1).reshape(-1, 2)
    logits = np.nan_to_num(forward(parameters, activation, grid)[-1].ravel())
    bands = np.digitize(_sigmoid(logits), [0.15, 0.5, 0.85]).reshape(cells, cells)
    body = [f'<text x="{left}" y="26" font-size="15">What can a hidden layer bend?</text>']
    for band, colour in enumerate(["#F3C77A", "#FBEBCB", "#CFE3F3", "#86BBE0"]):
        runs = []
        for row in range(cells):
            edges = np.flatnonzero(np.diff(np.concatenate([[0], (bands[row] == band).astype(int), [0]])))
            for first, stop in zip(edges[::2], edges[1::2], strict=True):
                width = side * (stop - first)
                runs.append(f"M{left + side * first} {top + side * row}h{width}v{side}h-{width}z")
        body.append(f'<path fill="{colour}" d="{"".join(runs)}"/>')
    marks: list[list[str]] = [[], []]
    for (a, b), label in list(zip(x, y, strict=True))[:100]:
        u, v = left + side * cells * (a + 2) / 4, top + side * cells * (2 - b) / 4
        if left < u < left + side * cells and top < v < top + side * cells:
            circle = f"M{u - 4:.0f} {v:.0f}a4 4 0 1 0 8 0a4 4 0 1 0-8 0"
            marks[int(label)].append(f"M{u - 3.5:.0f} {v - 3.5:.0f}h7v7h-7z" if label else circle)
    body.append(f'<path fill="#C27C00" stroke="#fff" d="{"".join(marks[0])}"/>')
    body.append(f'<path fill="#005B9A" stroke="#fff" d="{"".join(marks[1])}"/>')
    network = " → ".join(str(size) for size in (2, *layers, 1))
    right = left + side * cells + 20
    body.append(
        f'<text x="{right}" y="70">{dataset}</text><text x="{right}" y="92">units {network}</text>'
        f'<text x="{right}" y="114">{activation if layers else "no hidden layer"}</text>'
        f'<text x="{right}" y="136">learning rate {learning_rate:g}</text>'
        f'<circle cx="{right + 5}" cy="172" r="5" fill="#C27C00"/>'
        f'<rect x="{right}" y="188" width="9" height="9" fill="#005B9A"/>'
        f'<text x="{right + 18}" y="177">class 0</text><text x="{right + 18}" y="197">class 1</text>'
        f'<text x="{right}" y="352" font-size="11" fill="{GREY}">after a short training; colours:</text>'
        f'<text x="{right}" y="366" font-size="11" fill="{GREY}">predicted probability</text>'
    )
    return svg_document(right + 175, top + side * cells + 16, "".join(body))
