"""What does dropping units do, and why is the rest scaled up? A small network under dropout, mask by mask.

The functions in this module are the NumPy twins of those in ``dropout_viewer.js``; the tests compare both. The
network has 4 inputs, two hidden layers of 6 ReLU units and 2 linear outputs; after each hidden layer stands
inverted dropout as in ``keras.layers.Dropout``: a unit is dropped with probability ``rate``, and in training the
survivors are divided by the keep probability 1 - rate (Srivastava et al., 2014, JMLR 15(56), section 10).
"""

from __future__ import annotations

import itertools
import math
from typing import Any, NamedTuple

import numpy as np
import traitlets
from numpy.typing import ArrayLike, NDArray

from course_utils.explorables._base import BLUE, GREY, Explorable, svg_document
from course_utils.explorables.playground import _mulberry32, _normal

SIZES = (4, 6, 6, 2)
MAX_RATE = 0.9
MAX_STEPS = 500
MAX_SEED = 9999
MODES = ("training", "inference")
PLACES = ("both", "last")  # dropout after both hidden layers, or after the second only
_WEIGHTS, _INPUTS, _MASKS = 26, 2, 3  # purposes of the random streams; 26 leaves few units silent for seed 0


class Network(NamedTuple):
    """The fixed network: ``x`` (4,) is its input; weights are (inputs, outputs), biases (outputs,)."""

    x: NDArray
    weights: list[NDArray]
    biases: list[NDArray]


class Pass(NamedTuple):
    """What one forward pass computed; h_k are values before dropout, d_k after it."""

    z1: NDArray
    h1: NDArray
    d1: NDArray
    z2: NDArray
    h2: NDArray
    d2: NDArray
    output: NDArray


def _round(value: float, digits: int) -> float:
    return math.floor(value * 10**digits + 0.5) / 10**digits


def network(seed: int) -> Network:
    """The network of a seed: normal weights of variance 1 / inputs, rounded to two decimals, hidden biases 0.5."""
    random = _mulberry32((seed + 1) * 2654435761 + _WEIGHTS)
    weights = [
        np.array([[_round(_normal(random) / math.sqrt(a), 2) for _ in range(b)] for _ in range(a)])
        for a, b in itertools.pairwise(SIZES)
    ]
    biases = [np.full(SIZES[1], 0.5), np.full(SIZES[2], 0.5), np.zeros(SIZES[3])]
    random = _mulberry32((seed + 1) * 2654435761 + _INPUTS)
    return Network(np.array([_round(0.2 + 1.3 * random(), 1) for _ in range(SIZES[0])]), weights, biases)


def masks(steps: int, rate: float, seed: int, dropped_in: str = "both") -> NDArray:
    """Masks of the steps 1 ... ``steps``, (steps, 2, 6): 1 where a unit is kept, 0 where it is dropped.

    Each unit of each step has its own uniform number, and is kept where that is at least ``rate``; so a larger
    rate drops the same units and more. With ``dropped_in`` "last" the first hidden layer is always kept.
    """
    random = _mulberry32((seed + 1) * 2654435761 + _MASKS)
    uniform = np.array([random() for _ in range(steps * 2 * SIZES[1])]).reshape(steps, 2, SIZES[1])
    keep = (uniform >= rate).astype(float)
    if dropped_in == "last":
        keep[:, 0] = 1
    return keep


def forward(
    net: Network,
    mask: ArrayLike | None = None,
    rate: float = 0.0,
    scaled: bool = True,
    dropped_in: str = "both",
) -> Pass:
    """One forward pass, with dropout if there is a mask.

    Parameters
    ----------
    net : see :func:`network`
    mask : (2, 6) of zeros and ones, for the two hidden layers; None at inference: nothing dropped or scaled
    rate : probability of dropping, which the scaling is for
    scaled : divide what is kept by 1 - rate
    dropped_in : "both" or "last"; the first hidden layer is not scaled with "last"
    """
    m = np.ones((2, SIZES[1])) if mask is None else np.asarray(mask, dtype=float)
    scale = 1 / (1 - rate) if scaled and mask is not None else 1.0
    z1 = net.x @ net.weights[0] + net.biases[0]
    h1 = np.maximum(z1, 0)
    d1 = h1 if dropped_in == "last" else h1 * m[0] * scale
    z2 = d1 @ net.weights[1] + net.biases[1]
    h2 = np.maximum(z2, 0)
    d2 = h2 * m[1] * scale
    return Pass(z1, h1, d1, z2, h2, d2, d2 @ net.weights[2] + net.biases[2])


def expected(net: Network, rate: float, scaled: bool = True, dropped_in: str = "both") -> NDArray:
    """The mean output (2,) over all masks, each with its probability; exact, no sampling.

    The second mask enters linearly, so its mean is 1 - rate; the first one stands before a ReLU, and its 64
    values are gone through one by one.
    """
    keep, total = 1 - rate, np.zeros(SIZES[3])
    scale = 1 / keep if scaled else 1.0
    first = itertools.product((0, 1), repeat=SIZES[1]) if dropped_in == "both" else [(1,) * SIZES[1]]
    for mask in first:
        kept = sum(mask)
        share = keep**kept * rate ** (SIZES[1] - kept) if dropped_in == "both" else 1.0
        h2 = forward(net, [mask, (1,) * SIZES[1]], rate, scaled, dropped_in).h2
        total += share * (h2 * keep * scale) @ net.weights[2]
    return total + net.biases[2]


def _choice(value: Any, name: str, options: tuple[str, ...]) -> str:
    if value not in options:
        raise ValueError(f"DropoutViewer needs {name} out of {', '.join(options)}, not {value!r}.")
    return value


def _whole(value: Any, name: str, low: int, high: int) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or not low <= value <= high:
        raise ValueError(f"DropoutViewer needs a whole number as {name} from {low} to {high}, not {value!r}.")
    return int(value)


def _rate(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise ValueError(f"DropoutViewer needs a number for the rate, not {value!r}.")
    if not 0 <= value <= MAX_RATE:
        raise ValueError(f"DropoutViewer needs a rate from 0 to {MAX_RATE:g}, not {value!r}.")
    return float(value)


def _text(value: float) -> str:
    text = f"{abs(value):.2f}"
    return f"−{text}" if value < 0 and float(text) else text


class DropoutViewer(Explorable):
    """What does dropping units do, and why is the rest scaled up?

    A network with 4 inputs, two hidden layers of 6 units and 2 outputs. Each training step draws a fresh mask:
    dropped units and their connections turn grey, the survivors are divided by the keep probability. Charts
    compare the running mean of the outputs with the mean over all masks and with the output at inference. A
    click on a hidden unit drops it or brings it back.

    Parameters
    ----------
    rate : probability that a unit is dropped, 0 to 0.9
    seed : 0 to 9999; sets the network, its input and the masks
    mode : "training" or "inference"
    scaled : divide the survivors by 1 - rate
    dropped_in : "both" hidden layers, or the "last" one only
    step : number of masks drawn so far, 1 to 500

    Raises
    ------
    ValueError
        For an unknown name, a value of the wrong kind or out of its range.
    """

    _js = "dropout_viewer.js"

    rate = traitlets.Float(0.5).tag(sync=True)
    seed = traitlets.Int(0).tag(sync=True)
    mode = traitlets.Unicode("training").tag(sync=True)
    scaled = traitlets.Bool(True).tag(sync=True)
    dropped_in = traitlets.Unicode("both").tag(sync=True)
    step = traitlets.Int(12).tag(sync=True)
    unit = traitlets.Int(0).tag(sync=True)  # the hidden unit that is written out, 0 ... 11
    flips = traitlets.List().tag(sync=True)  # hidden units whose mask of this step was changed by hand

    def __init__(
        self,
        rate: float = 0.5,
        seed: int = 0,
        *,
        mode: str = "training",
        scaled: bool = True,
        dropped_in: str = "both",
        step: int = 12,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            rate=_rate(rate),
            seed=_whole(seed, "the seed", 0, MAX_SEED),
            mode=_choice(mode, "a mode", MODES),
            scaled=bool(scaled),
            dropped_in=_choice(dropped_in, "dropped_in", PLACES),
            step=_whole(step, "the step", 1, MAX_STEPS),
            **kwargs,
        )
        if "unit" not in kwargs:  # one with something to tell: in the second layer, and alive at this step
            alive = np.flatnonzero(self._now()[0].d2 > 0)
            self.unit = SIZES[1] + int(alive[0]) if len(alive) else 0

    @traitlets.validate("rate")
    def _check_rate(self, proposal: Any) -> float:
        return _rate(proposal["value"])

    @traitlets.validate("mode", "dropped_in")
    def _check_choice(self, proposal: Any) -> str:
        name = proposal["trait"].name
        return _choice(
            proposal["value"], *{"mode": ("a mode", MODES), "dropped_in": ("dropped_in", PLACES)}[name]
        )

    @traitlets.validate("flips")
    def _check_flips(self, proposal: Any) -> list[int]:
        return sorted({_whole(unit, "a unit", 0, 2 * SIZES[1] - 1) for unit in proposal["value"]})

    @traitlets.validate("seed", "step", "unit")
    def _check_whole(self, proposal: Any) -> int:
        name = proposal["trait"].name
        low, high = {"seed": (0, MAX_SEED), "step": (1, MAX_STEPS), "unit": (0, 2 * SIZES[1] - 1)}[name]
        return _whole(proposal["value"], f"the {name}", low, high)

    def network(self) -> Network:
        """The network and its input."""
        return network(self.seed)

    def masks(self) -> NDArray:
        """The masks drawn so far, (step, 2, 6); see :func:`masks`."""
        return masks(self.step, self.rate, self.seed, self.dropped_in)

    def outputs(self) -> NDArray:
        """The output of every training step so far, (step, 2); their mean is the running mean."""
        net = self.network()
        rest = (self.rate, self.scaled, self.dropped_in)
        return np.array([forward(net, mask, *rest).output for mask in self.masks()])

    def expected(self) -> NDArray:
        """The mean output over all masks, (2,), exact."""
        return expected(self.network(), self.rate, self.scaled, self.dropped_in)

    def _now(self) -> tuple[Pass, NDArray]:
        net, mask = self.network(), self.masks()[-1].copy()
        for unit in self.flips:
            if unit >= SIZES[1] or self.dropped_in == "both":
                mask[unit // SIZES[1], unit % SIZES[1]] = 1 - mask[unit // SIZES[1], unit % SIZES[1]]
        if self.mode == "inference":
            return forward(net), np.ones_like(mask)
        return forward(net, mask, self.rate, self.scaled, self.dropped_in), mask

    @property
    def description(self) -> str:
        now, mask = self._now()
        inference = forward(self.network()).output
        mean, exact = self.outputs().mean(0), self.expected()

        def pair(values: NDArray) -> str:
            return " and ".join(_text(v) for v in values)

        state = (
            "At inference no unit is dropped and nothing is scaled"
            if self.mode == "inference"
            else f"At training step {self.step} {int((mask == 0).sum())} of the 12 hidden units are dropped, "
            f"{'the others divided by ' + format(1 - self.rate, '.2g') if self.scaled else 'the others left as they are'}"
        )
        return (
            f"A network with 4 inputs, two hidden layers of 6 units and 2 outputs, dropout rate {self.rate:g}. "
            f"{state}; the outputs are {pair(now.output)}. The mean of the outputs over {self.step} steps is "
            f"{pair(mean)}, over all masks {pair(exact)}; at inference they are {pair(inference)}."
        )

    def preview(self) -> str:
        net, (now, mask) = self.network(), self._now()
        training = self.mode == "training"
        columns = [net.x, now.d1, now.d2, now.output]
        places = [
            [(60 + 165 * c, 66 + 46 * (j + (6 - n) / 2) + 20) for j in range(n)] for c, n in enumerate(SIZES)
        ]
        live = [np.ones(4), mask[0], mask[1], np.ones(2)]
        body = [
            '<text x="16" y="26" font-size="15">What does dropping units do, and why is the rest scaled up?</text>'
        ]
        for c, title in enumerate(("input", "hidden 1", "hidden 2", "output")):
            body.append(f'<text x="{60 + 165 * c}" y="54" text-anchor="middle">{title}</text>')
        for c in range(3):
            for i, (x1, y1) in enumerate(places[c]):
                for j, (x2, y2) in enumerate(places[c + 1]):
                    on = live[c][i] and live[c + 1][j]
                    width = 0.5 + 1.6 * min(abs(net.weights[c][i, j]), 1.5) if on else 0.6
                    style = f'stroke="{BLUE}" opacity="0.5"' if on else 'stroke="#bbb" stroke-dasharray="2 4"'
                    body.append(f'<path d="M{x1} {y1:g}L{x2} {y2:g}" stroke-width="{width:.1f}" {style}/>')
        for c in range(4):
            for j, (x, y) in enumerate(places[c]):
                on = bool(live[c][j])
                fill, stroke = ("#e4f0f8", BLUE) if c in (1, 2) else ("#f2f2f2", GREY)
                dash = "" if on else ' stroke-dasharray="3 3"'
                if not on:
                    fill, stroke = "#fff", "#888"
                body.append(
                    f'<circle cx="{x}" cy="{y:g}" r="{20 if c < 3 else 22}" fill="{fill}" stroke="{stroke}"{dash}/>'
                    f'<text x="{x}" y="{y + 4.5:g}" text-anchor="middle">{_text(columns[c][j]) if on else "×"}</text>'
                )
        mean, exact, inference = self.outputs().mean(0), self.expected(), forward(net).output
        words = (
            f"Training step {self.step}: × dropped, the others {'÷ ' + format(1 - self.rate, '.2g') if self.scaled else 'not scaled'}."
            if training
            else "Inference: nothing dropped, nothing scaled."
        )
        body.append(f'<text x="16" y="380">{words}</text>')
        for k in range(2):
            body.append(
                f'<text x="16" y="{402 + 20 * k}">Output {k + 1}: mean of {self.step} steps '
                f'<tspan font-weight="bold">{_text(mean[k])}</tspan>, mean over all masks {_text(exact[k])}, '
                f"at inference {_text(inference[k])}</text>"
            )
        return svg_document(620, 436, "".join(body))
