"""What does the loss punish? Three logits, their softmax, the cross-entropy and its gradient.

The functions in this module are the NumPy twins of those in ``loss_explorer.js``; the tests compare both with
each other, with Keras and with finite differences.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import traitlets
from numpy.typing import ArrayLike, NDArray

from course_utils.explorables._base import BLUE, GREEN, GREY, ORANGE, PURPLE, RED, Explorable, svg_document

CLASSES = ("A", "B", "C")
LIMIT = 10.0  # logits run from -LIMIT to LIMIT
TEMPERATURES = (0.1, 10.0)

_COLOURS = (BLUE, ORANGE, PURPLE)


def log_softmax(logits: ArrayLike, temperature: float = 1.0) -> NDArray:
    """Logarithms of the probabilities of the logits divided by the temperature, over the last axis."""
    scaled = np.asarray(logits, dtype=float) / temperature
    shifted = scaled - scaled.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def probabilities(logits: ArrayLike, temperature: float = 1.0) -> NDArray:
    """Softmax of the logits divided by the temperature."""
    return np.exp(log_softmax(logits, temperature))


def _one_hot(count: int, target: int) -> NDArray:
    return np.eye(count)[target]


def cross_entropy(logits: ArrayLike, target: int, temperature: float = 1.0) -> float:
    """Surprise at the target: -log p[target], in nats."""
    return float(-log_softmax(logits, temperature)[target])


def cross_entropy_gradient(logits: ArrayLike, target: int, temperature: float = 1.0) -> NDArray:
    """Gradient of :func:`cross_entropy` with respect to the logits: (p - y) / T."""
    p = probabilities(logits, temperature)
    return (p - _one_hot(len(p), target)) / temperature


def squared_error(logits: ArrayLike, target: int, temperature: float = 1.0) -> float:
    """Half the squared distance between the probabilities and the one-hot target."""
    p = probabilities(logits, temperature)
    return float(0.5 * ((p - _one_hot(len(p), target)) ** 2).sum())


def squared_error_gradient(logits: ArrayLike, target: int, temperature: float = 1.0) -> NDArray:
    """Gradient of :func:`squared_error` with respect to the logits."""
    p = probabilities(logits, temperature)
    error = p - _one_hot(len(p), target)
    return p * (error - (p * error).sum()) / temperature


def entropy(logits: ArrayLike, temperature: float = 1.0) -> float:
    """Entropy of the probabilities, in nats."""
    log_p = log_softmax(logits, temperature)
    return float(-(np.exp(log_p) * log_p).sum())


class LossExplorer(Explorable):
    """What does the loss punish?

    Three classes, each with a logit that can be dragged. The figure shows the softmax probabilities at a
    temperature, the surprise at the true class, the gradient (p - y) / T as signed bars, and how the
    cross-entropy and the squared error change with the logit of the true class.

    Parameters
    ----------
    logits : three numbers from -10 to 10
    target : number of the true class: 0, 1 or 2
    temperature : what the logits are divided by before the softmax, from 0.1 to 10
    """

    _js = "loss_explorer.js"

    logits = traitlets.List(traitlets.Float(), default_value=[2.0, 1.0, -1.0]).tag(sync=True)
    target = traitlets.Int(0).tag(sync=True)
    temperature = traitlets.Float(1.0).tag(sync=True)

    def __init__(
        self, logits: Any = (2.0, 1.0, -1.0), target: int = 0, temperature: float = 1.0, **kwargs: Any
    ) -> None:
        if not np.iterable(logits) or isinstance(logits, str):
            raise traitlets.TraitError(f"logits must be a list of three numbers, not {logits!r}.")
        super().__init__(
            logits=[float(z) for z in logits], target=int(target), temperature=float(temperature), **kwargs
        )

    @traitlets.validate("logits")
    def _three_logits(self, proposal: Any) -> list[float]:
        values = proposal["value"]
        if len(values) != len(CLASSES):
            raise traitlets.TraitError(f"logits must hold three numbers, not {len(values)}.")
        for z in values:
            if not -LIMIT <= z <= LIMIT:
                raise traitlets.TraitError(f"Each logit must lie between -10 and 10, not {z:g}.")
        return values

    @traitlets.validate("target")
    def _known_target(self, proposal: Any) -> int:
        if proposal["value"] not in range(len(CLASSES)):
            raise traitlets.TraitError(f"target must be 0, 1 or 2, not {proposal['value']}.")
        return proposal["value"]

    @traitlets.validate("temperature")
    def _in_range(self, proposal: Any) -> float:
        low, high = TEMPERATURES
        if not low <= proposal["value"] <= high:
            raise traitlets.TraitError(
                f"temperature must lie between {low:g} and {high:g}, not {proposal['value']:g}."
            )
        return proposal["value"]

    @property
    def description(self) -> str:
        state = (self.logits, self.target, self.temperature)
        p = probabilities(self.logits, self.temperature)
        shares = ", ".join(
            f"{name} logit {z:g} and probability {share:.3g}"
            for name, z, share in zip(CLASSES, self.logits, p, strict=True)
        )
        gradient = ", ".join(f"{g:+.3f}" for g in cross_entropy_gradient(*state))
        squared = abs(squared_error_gradient(*state)[self.target])
        return (
            f"Three classes at temperature {self.temperature:g}: {shares}. The true class is "
            f"{CLASSES[self.target]}; the cross-entropy is {cross_entropy(*state):.3g} nats and its gradient "
            f"with respect to the logits ({gradient}). A plot shows cross-entropy and squared error against the "
            f"logit of the true class with the present point marked; the squared error's slope there is "
            f"{squared:.2g} in size, and it goes to zero on the far left, where cross-entropy is steepest."
        )

    def preview(self) -> str:
        logits, target, temperature = self.logits, self.target, self.temperature
        p = probabilities(logits, temperature)
        gradient = cross_entropy_gradient(logits, target, temperature)
        body = ['<text x="20" y="24" font-size="15">What does the loss punish?</text>']
        largest = max(np.abs(gradient).max(), 0.5)
        for k, name in enumerate(CLASSES):
            y, colour = 62 + 44 * k, _COLOURS[k]
            true = " (true)" if k == target else ""
            left, length = sorted((0.0, 55 * gradient[k] / largest)), abs(55 * gradient[k] / largest)
            body.append(
                f'<text x="20" y="{y}">{name}{true}</text><text x="88" y="{y}">z = {logits[k]:g}</text>'
                f'<rect x="160" y="{y - 14}" width="{max(170 * p[k], 1):.1f}" height="18" fill="{colour}"/>'
                f'<text x="{166 + 170 * p[k]:.0f}" y="{y}">{p[k]:.3f}</text>'
                f'<path d="M470 {y - 18}v26" stroke="{GREY}"/>'
                f'<rect x="{470 + left[0]:.1f}" y="{y - 14}" width="{max(length, 1):.1f}" height="18" '
                f'fill="{RED if gradient[k] > 0 else GREEN}"/>'
                f'<text x="540" y="{y}">{gradient[k]:+.3f}</text>'
            )
        body.append(
            f'<text x="160" y="178" font-size="12">probability, T = {temperature:g}</text>'
            '<text x="470" y="178" font-size="12" text-anchor="middle">gradient</text>'
        )
        grid = np.linspace(-LIMIT, LIMIT, 101)
        moved = np.tile(np.asarray(logits, dtype=float), (101, 1))
        moved[:, target] = grid
        p_true = np.exp(log_softmax(moved, temperature))
        surprise = -log_softmax(moved, temperature)[:, target]
        square = 0.5 * ((p_true - _one_hot(3, target)) ** 2).sum(axis=1)
        top = float(max(4, math.ceil(min(surprise.max(), 20))))

        def px(z: float) -> float:
            return 310 + 25 * z

        def py(loss: float) -> float:
            return 400 - 190 * loss / top

        for values, colour, dash in ((surprise, BLUE, ""), (square, RED, ' stroke-dasharray="7 4"')):
            points = " ".join(
                f"{px(z):.0f},{py(v):.1f}" for z, v in zip(grid, values, strict=True) if v <= top
            )
            body.append(
                f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2.5"{dash}/>'
            )
        loss = cross_entropy(logits, target, temperature)
        body.append(
            f'<path d="M60 400H560M60 210V400" stroke="{GREY}" fill="none"/>'
            f'<circle cx="{px(logits[target]):.0f}" cy="{py(min(loss, top)):.0f}" r="7" fill="{BLUE}"/>'
            f'<text x="60" y="204">loss: cross-entropy {loss:.3f} nats (line), '
            f"squared error {squared_error(logits, target, temperature):.3f} (dashed)</text>"
            f'<text x="310" y="420" text-anchor="middle">logit of the true class, {CLASSES[target]}</text>'
        )
        return svg_document(620, 430, "".join(body))
