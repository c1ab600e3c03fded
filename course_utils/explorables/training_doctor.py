"""Which cause fits these symptoms? Small networks trained with one fault each, and their curves.

:func:`train` is the NumPy twin of the training in ``training_doctor.js``; the tests compare both. Every patient
is the same small network on the same task, with one fault. Random numbers come from the generators of
:mod:`signal_propagation`, one stream for each purpose.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import traitlets
from numpy.typing import NDArray

from course_utils.explorables._base import BLUE, GREY, ORANGE, Explorable, svg_document
from course_utils.explorables.signal_propagation import normals, uniforms

UPDATES, BATCH, EVERY = 400, 16, 4  # a point of the curves stands for EVERY updates
RATE, HIDDEN, POINTS, VALIDATION = 0.1, 24, 320, 200  # of the healthy network
SPREAD = 0.5  # standard deviation of the four clouds round (±1, ±1)
BEST = 0.1148  # cross-entropy of the true class probabilities: no honest network gets lower on new points
LOSS_TOP = 1.6  # the loss axis ends here
_CENTRES = np.array([[1, 1], [-1, 1], [-1, -1], [1, -1]], dtype=float)

#: Cause -> name in prose, in the order of the buttons.
CAUSES = {
    "rate too high": "learning rate too high",
    "rate too low": "learning rate too low",
    "sorted data": "data sorted by class, not shuffled",
    "shuffled labels": "labels shuffled",
    "leak": "validation points leaked into training",
    "overfitting": "overfitting: too few points",
    "dead units": "dead ReLUs",
    "unscaled inputs": "inputs not scaled",
    "zero weights": "all weights begin at zero",
    "softmax twice": "softmax applied twice",
}


class History(NamedTuple):
    """The curves of a training of 400 updates, in points of four updates each.

    train : (100,), mean loss of the four batches before their updates
    val : (101,), loss of the validation set after 0, 4, ... 400 updates
    gradient : (100,), mean norm of the gradient with respect to all weight matrices
    ratio : (100,), mean of (norm of the weights' update) / (norm of the weights), 0 where all weights are 0
    live : (101,), share of the hidden units that are above zero for at least one training point
    """

    train: NDArray
    val: NDArray
    gradient: NDArray
    ratio: NDArray
    live: NDArray


def _stream(seed: int, purpose: int) -> int:
    return (seed + purpose * 0x9E3779B9) & 0xFFFFFFFF


def clouds(seed: int, purpose: int, count: int) -> tuple[NDArray, NDArray]:
    """Points (count, 2) in four clouds round (±1, ±1), and their classes (count,): 1 where the signs differ."""
    i = np.arange(count)
    noise = normals(_stream(seed, purpose), 2 * count).reshape(count, 2)
    return _CENTRES[i % 4] + SPREAD * noise, i % 2


def permutation(u: NDArray, count: int) -> NDArray:
    """The order (count,) that Fisher and Yates' shuffle makes of 0 ... count - 1 with the numbers ``u``."""
    order = list(range(count))
    for k, i in enumerate(range(count - 1, 0, -1)):
        j = int(u[k] * (i + 1))
        order[i], order[j] = order[j], order[i]
    return np.array(order)


def _loss(z: NDArray, y: NDArray, twice: bool) -> tuple[float, NDArray]:
    """Mean cross-entropy of the logits z (n, 2) and its gradient with respect to them."""
    n, rows = len(y), np.arange(len(y))

    def softmax(v: NDArray) -> tuple[NDArray, NDArray]:
        shifted = v - v.max(axis=1, keepdims=True)
        e = np.exp(shifted)
        total = e.sum(axis=1, keepdims=True)
        return e / total, shifted - np.log(total)

    q = softmax(z)[0] if twice else None
    p, log_p = softmax(z if q is None else q)
    g = p.copy()
    g[rows, y] -= 1
    if q is not None:
        g = q * (g - (q * g).sum(axis=1, keepdims=True))
    return float(-log_p[rows, y].mean()), g / n


def train(case: str = "healthy", seed: int = 0) -> History:
    """Train the network of a patient.

    Two inputs, two hidden layers of 24 ReLU units, softmax over two classes; weights of He et al. (2015) in the
    hidden layers and half their deviation in the last; plain stochastic gradient descent with batches of 16, the
    rate 0.1, 320 training and 200 validation points.

    Parameters
    ----------
    case : "healthy", or one of :data:`CAUSES`, which changes

        - "rate too high", "rate too low": the rate to 1.5 or 0.00003
        - "sorted data": every epoch goes through class 0 first, then class 1
        - "shuffled labels": the labels of both sets are shuffled
        - "overfitting": 16 training points, the first of them with the wrong label; 64 units a layer, rate 0.3
        - "leak": the same as overfitting, but the validation set is the training set
        - "dead units": biases of -10 for all but two units of the first and three of the second hidden layer
        - "unscaled inputs": the first input is in units that make it 20 times larger
        - "zero weights": all weights begin at zero
        - "softmax twice": the loss takes the network's probabilities for logits
    seed : of points, weights and order

    Raises
    ------
    ValueError
        For an unknown case.
    """
    if case != "healthy" and case not in CAUSES:
        raise ValueError(f"There is no case {case!r}; choose from: {', '.join(CAUSES)}.")
    few = case in ("overfitting", "leak")
    rate = {"rate too high": 1.5, "rate too low": 3e-5}.get(case, 0.3 if few else RATE)
    n, hidden = (BATCH, 64) if few else (POINTS, HIDDEN)
    X, y = clouds(seed, 1, n)
    V, v = clouds(seed, 2, VALIDATION)
    if few:
        y = y.copy()
        y[0] = 1 - y[0]
    if case == "leak":
        V, v = X, y
    if case == "shuffled labels":
        y = y[permutation(uniforms(_stream(seed, 5), n), n)]
        v = v[permutation(uniforms(_stream(seed, 7), VALIDATION), VALIDATION)]
    if case == "unscaled inputs":
        X, V = X * [20, 1], V * [20, 1]

    sizes = [2, hidden, hidden, 2]
    pairs = list(pairwise(sizes))
    draws = normals(_stream(seed, 3), sum(a * b for a, b in pairs))
    W, b, used = [], [], 0
    for a, c in pairs:
        deviation = 0.0 if case == "zero weights" else np.sqrt((2 if c > 2 else 0.5) / a)
        W.append(draws[used : used + a * c].reshape(a, c) * deviation)
        b.append(np.zeros(c))
        used += a * c
    if case == "dead units":
        b[0][2:] -= 10
        b[1][3:] -= 10

    def forward(x: NDArray) -> tuple[NDArray, NDArray, NDArray]:
        h1 = np.maximum(x @ W[0] + b[0], 0)
        h2 = np.maximum(h1 @ W[1] + b[1], 0)
        return h1, h2, h2 @ W[2] + b[2]

    twice = case == "softmax twice"
    val: list[float] = []
    live: list[float] = []

    def look() -> None:
        val.append(_loss(forward(V)[2], v, twice)[0])
        h1, h2, _ = forward(X)
        live.append(float(np.concatenate([h1, h2], axis=1).any(axis=0).mean()))

    look()
    epoch = n // BATCH
    shuffle = uniforms(_stream(seed, 4), (UPDATES // epoch) * n)
    order = np.argsort(y, kind="stable")
    rows = []
    for t in range(UPDATES):
        if t % epoch == 0 and case != "sorted data":
            order = permutation(shuffle[t // epoch * (n - 1) :], n)  # a shuffle takes n - 1 numbers
        chosen = order[t % epoch * BATCH :][:BATCH]
        x = X[chosen]
        h1, h2, z = forward(x)
        loss, d3 = _loss(z, y[chosen], twice)
        d2 = d3 @ W[2].T * (h2 > 0)
        d1 = d2 @ W[1].T * (h1 > 0)
        gradients = [x.T @ d1, h1.T @ d2, h2.T @ d3]
        size = np.sqrt(sum((g * g).sum() for g in gradients))
        weights = np.sqrt(sum((w * w).sum() for w in W))
        rows.append((loss, size, rate * size / weights if weights > 0 else 0.0))
        W = [w - rate * g for w, g in zip(W, gradients, strict=True)]
        b = [c - rate * d.sum(axis=0) for c, d in zip(b, (d1, d2, d3), strict=True)]
        if (t + 1) % EVERY == 0:
            look()
    curves = np.array(rows).reshape(-1, EVERY, 3).mean(axis=1).T
    return History(curves[0], np.array(val), curves[1], curves[2], np.array(live))


def _seed(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or not 0 <= value < 2**31:
        raise ValueError(f"TrainingDoctor needs a whole seed from 0 to 2147483647, not {value!r}.")
    return int(value)


def _cases(value: Any) -> list[str]:
    if isinstance(value, str) or not isinstance(value, Sequence) or not len(value):
        raise ValueError(f"TrainingDoctor needs a list of cases, not {value!r}.")
    for name in value:
        if not isinstance(name, str) or name not in CAUSES:
            raise ValueError(f"There is no case {name!r}; choose from: {', '.join(CAUSES)}.")
    return list(value)


class TrainingDoctor(Explorable):
    """Which cause fits these symptoms?

    One patient after another: the loss curves of a small network that is trained in the browser with one fault,
    with its gradient norm, update ratio and live units. The reader names the cause; a wrong choice says what
    that fault would look like and draws its curves behind.

    Parameters
    ----------
    cases : the patients, some of the names in :data:`CAUSES`, in the order in which they come; default: all
        ten, in an order that the seed decides
    seed : of the points, the weights and the order, a whole number from 0

    Raises
    ------
    ValueError
        For an unknown case, no case and a seed that is no whole number.
    """

    _js = "training_doctor.js"

    cases = traitlets.List(traitlets.Unicode()).tag(sync=True)
    seed = traitlets.Int(0).tag(sync=True)
    current = traitlets.Int(0).tag(sync=True)  # which patient is shown
    answers = traitlets.List().tag(sync=True)  # [patient, cause] in the order in which they were given
    cursor = traitlets.Int(100).tag(sync=True)  # the point of the curves that is read out, 0 to 100

    def __init__(self, cases: Sequence[str] | None = None, seed: int = 0, **kwargs: Any) -> None:
        seed = _seed(seed)
        if cases is None:
            names = list(CAUSES)
            chosen = [names[i] for i in permutation(uniforms(_stream(seed, 6), len(names)), len(names))]
        else:
            chosen = _cases(cases)
        super().__init__(cases=chosen, seed=seed, **kwargs)

    @traitlets.validate("cases")
    def _check_cases(self, proposal: Any) -> list[str]:
        return _cases(proposal["value"]) if proposal["value"] else []

    @traitlets.validate("seed")
    def _check_seed(self, proposal: Any) -> int:
        return _seed(proposal["value"])

    @property
    def _patient(self) -> str:
        return self.cases[min(max(self.current, 0), len(self.cases) - 1)]

    @property
    def description(self) -> str:
        h = train(self._patient, self.seed)
        return (
            f"The curves of a network that is trained with one fault, patient {self.current + 1} of "
            f"{len(self.cases)}. Over {UPDATES} updates the training loss goes from {h.train[0]:.3g} to "
            f"{h.train[-1]:.3g} and the validation loss from {h.val[0]:.3g} to {h.val[-1]:.3g}, its lowest value "
            f"being {h.val.min():.3g}. The gradient's norm is {h.gradient[0]:.3g} at first and "
            f"{h.gradient[-1]:.3g} at last, an update changes the weights by {h.ratio[-1]:.2g} of their size, and "
            f"{100 * h.live[-1]:.0f} % of the hidden units are live. Which cause fits?"
        )

    def preview(self) -> str:
        own, healthy = train(self._patient, self.seed), train("healthy", self.seed)
        left, top, wide, tall = 56.0, 66.0, 520.0, 240.0
        body = [
            '<text x="16" y="26" font-size="15">Which cause fits these symptoms?</text>',
            f'<text x="16" y="48">Patient {self.current + 1} of {len(self.cases)}: '
            "training loss blue, validation dashed, healthy network grey</text>",
        ]

        def height(loss: NDArray | float) -> NDArray:
            return top + tall * (1 - np.clip(loss, 0, LOSS_TOP) / LOSS_TOP)

        for value, words in ((0, "0"), (0.5, "0.5"), (1, "1"), (1.5, "1.5")):
            y = float(height(value))
            body.append(f'<path d="M{left:g} {y:.1f}h{wide:g}" stroke="#ddd"/>')
            body.append(f'<text x="{left - 6:g}" y="{y + 4:.1f}" text-anchor="end">{words}</text>')
        for curve, colour, extra in (
            (healthy.train, GREY, ' opacity=".5"'),
            (healthy.val, GREY, ' opacity=".5" stroke-dasharray="8 4"'),
            (own.train, BLUE, ' stroke-width="2.2"'),
            (own.val, ORANGE, ' stroke-width="2.2" stroke-dasharray="8 4"'),
        ):
            x = left + wide * (np.arange(len(curve)) + (101 - len(curve))) / 100
            spots = "L".join(f"{a:.1f} {c:.1f}" for a, c in zip(x, height(curve), strict=True))
            body.append(f'<path d="M{spots}" fill="none" stroke="{colour}"{extra}/>')
        body += [
            f'<text x="{left + wide * t / UPDATES:g}" y="{top + tall + 18:g}" text-anchor="middle">{t}</text>'
            for t in (0, 100, 200, 300, 400)
        ]
        body.append(
            f'<text x="{left + wide / 2:g}" y="{top + tall + 36:g}" text-anchor="middle">updates</text>'
            f'<text x="16" y="{top + tall + 66:g}">Gradient norm {own.gradient[0]:.2g} to {own.gradient[-1]:.2g}; '
            f"update ratio {own.ratio[0]:.2g} to {own.ratio[-1]:.2g}; live hidden units "
            f"{100 * own.live[-1]:.0f} %.</text>"
        )
        return svg_document(left + wide + 24, top + tall + 82, "".join(body))
