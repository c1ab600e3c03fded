"""Who shares statistics with whom? Batch normalisation and layer normalisation of one small batch.

The functions in this module are the NumPy twins of those in ``normalization_viewer.js``; the tests compare both
with each other and with Keras. Batch normalisation takes mean and variance of a feature over the examples (Ioffe
and Szegedy, 2015, arXiv:1502.03167), layer normalisation those of an example over its features (Ba, Kiros and
Hinton, 2016, arXiv:1607.06450). Both then give ``gamma * (x - mean) / sqrt(variance + EPSILON) + beta``, with
one gamma and one beta for each feature, and the variance that divides by the number of values.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import traitlets
from numpy.typing import ArrayLike, NDArray

from course_utils.explorables._base import BLUE, GREY, ORANGE, Explorable, svg_document
from course_utils.explorables.playground import _mulberry32, _normal

EPSILON = 1e-3  # as in Keras
MAX_EXAMPLES = 8
MIN_FEATURES, MAX_FEATURES = 2, 5
LIMIT = 6.0  # every input lies between -LIMIT and LIMIT
MAX_GAMMA, MAX_BETA, MAX_MOMENTUM = 3.0, 2.0, 0.99
MAX_SEED = 9999
METHODS = ("batch", "layer")
MODES = ("training", "inference")
_FEATURES, _BATCHES = 1, 100  # purposes of the random streams
_PROBE = 0.1  # by so much a value is raised to see which outputs answer


def draw_batch(features: int, seed: int, index: int = 0) -> NDArray:
    """Batch number ``index`` (0, 1, ...), (MAX_EXAMPLES, features).

    Every feature has its own mean and spread, which the seed fixes for all batches; values are rounded to one
    decimal and cut at -LIMIT and LIMIT.
    """
    random = _mulberry32((seed + 1) * 2654435761 + _FEATURES)
    kinds = [(5 * random() - 2.5, 0.5 + 1.5 * random()) for _ in range(features)]
    random = _mulberry32((seed + 1) * 2654435761 + _BATCHES + index)
    rows = [[mean + spread * _normal(random) for mean, spread in kinds] for _ in range(MAX_EXAMPLES)]
    return np.clip(np.floor(10 * np.array(rows) + 0.5) / 10, -LIMIT, LIMIT)


def statistics(x: ArrayLike, method: str) -> tuple[NDArray, NDArray]:
    """Mean and variance of a batch ``x`` (examples, features): (features,) with "batch", (examples,) with "layer"."""
    axis = 0 if method == "batch" else 1
    return np.mean(x, axis=axis), np.var(x, axis=axis)


def normalize(
    x: ArrayLike,
    method: str,
    gamma: ArrayLike = 1.0,
    beta: ArrayLike = 0.0,
    running: tuple[ArrayLike, ArrayLike] | None = None,
) -> NDArray:
    """Normalise a batch.

    Parameters
    ----------
    x : (examples, features)
    method : "batch" or "layer"
    gamma, beta : (features,)
    running : mean and variance, (features,) each, that batch normalisation takes at inference in place of the
        batch's own; layer normalisation has no use for them

    Returns
    -------
    (examples, features)
    """
    x = np.asarray(x, dtype=float)
    if method == "batch":
        mean, variance = map(np.asarray, statistics(x, method) if running is None else running)
    else:
        mean, variance = (value[:, None] for value in statistics(x, method))
    return np.asarray(gamma) * (x - mean) / np.sqrt(variance + EPSILON) + np.asarray(beta)


def update(running: tuple[ArrayLike, ArrayLike], x: ArrayLike, momentum: float) -> tuple[NDArray, NDArray]:
    """The running mean and variance (features,) after a training step on ``x`` (examples, features), as in Keras:

    ``running = momentum * running + (1 - momentum) * batch``.
    """
    pairs = zip(running, statistics(x, "batch"), strict=True)
    mean, variance = (momentum * np.asarray(old) + (1 - momentum) * new for old, new in pairs)
    return mean, variance


def moves(x: ArrayLike, cell: tuple[int, int], *args: Any, **kwargs: Any) -> NDArray:
    """Which outputs answer when x[cell] grows a little: 1 up, -1 down, 0 not at all, (examples, features).

    The other arguments are those of :func:`normalize`.
    """
    x = np.asarray(x, dtype=float)
    raised = x.copy()
    raised[tuple(cell)] += _PROBE
    change = normalize(raised, *args, **kwargs) - normalize(x, *args, **kwargs)
    return np.where(np.abs(change) > 1e-9, np.sign(change), 0).astype(int)


def _choice(value: Any, name: str, options: tuple[str, ...]) -> str:
    if value not in options:
        raise ValueError(f"NormalizationViewer needs a {name} out of {', '.join(options)}, not {value!r}.")
    return value


def _whole(value: Any, name: str, low: int, high: int) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or not low <= value <= high:
        raise ValueError(
            f"NormalizationViewer needs a whole number as {name} from {low} to {high}, not {value!r}."
        )
    return int(value)


def _number(value: Any, name: str, low: float, high: float) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise ValueError(f"NormalizationViewer needs a number for {name}, not {value!r}.")
    if not low <= value <= high:
        raise ValueError(f"NormalizationViewer needs {name} from {low:g} to {high:g}, not {value!r}.")
    return float(value)


def _array(value: Any, name: str, shape: tuple[int, ...], low: float, high: float) -> list:
    words = " x ".join(map(str, shape))
    try:
        array = np.asarray(value, dtype=float)
    except (TypeError, ValueError):
        raise ValueError(f"NormalizationViewer needs {name} that are numbers, {words} of them.") from None
    if array.shape != shape or not ((array >= low) & (array <= high)).all():
        raise ValueError(f"NormalizationViewer needs {words} {name} from {low:g} to {high:g}.")
    return array.tolist()


def _text(value: float, digits: int = 2) -> str:
    text = f"{abs(value):.{digits}f}"
    return f"−{text}" if value < 0 and float(text) else text


class NormalizationViewer(Explorable):
    """Who shares statistics with whom?

    A batch before and after normalisation, as two tables of coloured numbers. A value is dragged up or down,
    or changed with the arrow keys; the values that share its mean and variance are framed on the left, the
    outputs that answer to it on the right. A button trains on the batch and draws the next one, which moves the
    running statistics that batch normalisation takes at inference.

    Parameters
    ----------
    examples : batch size, 1 to 8
    features : 2 to 5
    seed : 0 to 9999; the same seed draws the same batches
    method : "batch" or "layer"
    mode : "training" or "inference"
    momentum : of the running statistics, 0 to 0.99 (Keras takes 0.99 unless told)

    Raises
    ------
    ValueError
        For an unknown name, a value of the wrong kind or out of its range.
    """

    _js = "normalization_viewer.js"

    features = traitlets.Int(4).tag(sync=True)
    examples = traitlets.Int(6).tag(sync=True)
    seed = traitlets.Int(0).tag(sync=True)
    method = traitlets.Unicode("batch").tag(sync=True)
    mode = traitlets.Unicode("training").tag(sync=True)
    momentum = traitlets.Float(0.9).tag(sync=True)
    values = traitlets.List().tag(
        sync=True
    )  # (MAX_EXAMPLES, features); the first `examples` rows are the batch
    gamma = traitlets.List().tag(sync=True)
    beta = traitlets.List().tag(sync=True)
    running_mean = traitlets.List().tag(sync=True)
    running_variance = traitlets.List().tag(sync=True)
    batch = traitlets.Int(0).tag(sync=True)  # number of the batch on display
    cell = traitlets.List().tag(sync=True)  # [example, feature] that is chosen, from 0

    def __init__(
        self,
        examples: int = 6,
        features: int = 4,
        seed: int = 0,
        *,
        method: str = "batch",
        mode: str = "training",
        momentum: float = 0.9,
        **kwargs: Any,
    ) -> None:
        examples = _whole(examples, "examples", 1, MAX_EXAMPLES)
        features = _whole(features, "features", MIN_FEATURES, MAX_FEATURES)
        seed = _whole(seed, "the seed", 0, MAX_SEED)
        opening = {
            "values": draw_batch(features, seed).tolist(),
            "gamma": [1.0] * features,
            "beta": [0.0] * features,
            "running_mean": [0.0] * features,
            "running_variance": [1.0] * features,
            "cell": [min(1, examples - 1), 1],
        }
        super().__init__(
            features=features,
            examples=examples,
            seed=seed,
            method=_choice(method, "method", METHODS),
            mode=_choice(mode, "mode", MODES),
            momentum=_number(momentum, "a momentum", 0, MAX_MOMENTUM),
            **{**opening, **kwargs},
        )

    @traitlets.validate("method", "mode")
    def _check_choice(self, proposal: Any) -> str:
        name = proposal["trait"].name
        return _choice(proposal["value"], name, METHODS if name == "method" else MODES)

    @traitlets.validate("momentum")
    def _check_momentum(self, proposal: Any) -> float:
        return _number(proposal["value"], "a momentum", 0, MAX_MOMENTUM)

    @traitlets.validate("examples", "features", "seed", "batch")
    def _check_whole(self, proposal: Any) -> int:
        name = proposal["trait"].name
        low, high = {
            "examples": (1, MAX_EXAMPLES),
            "features": (MIN_FEATURES, MAX_FEATURES),
            "seed": (0, MAX_SEED),
            "batch": (0, 2**31),
        }[name]
        return _whole(proposal["value"], name, low, high)

    @traitlets.validate("values", "gamma", "beta", "running_mean", "running_variance")
    def _check_array(self, proposal: Any) -> list:
        name, n = proposal["trait"].name, self.features
        shape, low, high = {
            "values": ((MAX_EXAMPLES, n), -LIMIT, LIMIT),
            "gamma": ((n,), -MAX_GAMMA, MAX_GAMMA),
            "beta": ((n,), -MAX_BETA, MAX_BETA),
            "running_mean": ((n,), -LIMIT, LIMIT),
            "running_variance": ((n,), 0, LIMIT**2),
        }[name]
        return _array(proposal["value"], name.replace("_", " "), shape, low, high)

    @traitlets.validate("cell")
    def _check_cell(self, proposal: Any) -> list[int]:
        value = proposal["value"]
        if len(value) != 2:
            raise ValueError("NormalizationViewer needs a cell as [example, feature].")
        return [
            _whole(value[0], "the cell's example", 0, MAX_EXAMPLES - 1),
            _whole(value[1], "the cell's feature", 0, self.features - 1),
        ]

    def inputs(self) -> NDArray:
        """The batch on display, (examples, features)."""
        return np.array(self.values)[: self.examples]

    def _arguments(self) -> tuple[str, list[float], list[float], tuple[list[float], list[float]] | None]:
        inference = self.method == "batch" and self.mode == "inference"
        running = (self.running_mean, self.running_variance) if inference else None
        return self.method, self.gamma, self.beta, running

    def outputs(self) -> NDArray:
        """The batch after normalisation, (examples, features)."""
        return normalize(self.inputs(), *self._arguments())

    def moves(self) -> NDArray:
        """Which outputs answer when the chosen value grows; see :func:`moves`."""
        return moves(self.inputs(), (min(self.cell[0], self.examples - 1), self.cell[1]), *self._arguments())

    def _sentence(self) -> str:
        if self.method == "layer":
            return "Each example is normalised over its own features."
        if self.mode == "inference":
            return "Every value is normalised on its own, with the running statistics."
        if self.examples == 1:
            return "With one example the mean is the value itself: every output is beta."
        return f"Each feature is normalised over the {self.examples} examples of the batch."

    @property
    def description(self) -> str:
        x, y, answers = self.inputs(), self.outputs(), self.moves()
        i, j = min(self.cell[0], self.examples - 1), self.cell[1]
        return (
            f"A batch of {self.examples} example{'s' * (self.examples > 1)} with {self.features} features, before "
            f"and after {self.method} normalisation in {self.mode}. {self._sentence()} The chosen value, example "
            f"{i + 1}, feature {j + 1}, is {_text(x[i, j], 1)} before and {_text(y[i, j])} after; if it grows, "
            f"{int(np.abs(answers).sum())} of the {answers.size} outputs move: "
            f"{int(np.abs(answers[:, j]).sum())} in its column, {int(np.abs(answers[i]).sum())} in its row."
        )

    def preview(self) -> str:
        x, y, answers = self.inputs(), self.outputs(), self.moves()
        chosen = (min(self.cell[0], self.examples - 1), self.cell[1])
        n, wide, tall, top = self.features, 300 / self.features, 30, 84

        def table(left: float, numbers: NDArray, digits: int, most: float) -> str:
            out = []
            for j in range(n):
                out.append(
                    f'<text x="{left + (j + 0.5) * wide:.1f}" y="{top - 8}" text-anchor="middle">{j + 1}</text>'
                )
            for i, row in enumerate(numbers):
                out.append(f'<text x="{left - 8}" y="{top + tall * i + 20}" text-anchor="end">{i + 1}</text>')
                for j, v in enumerate(row):
                    share = 0.6 * min(abs(v) / most, 1)
                    place = (
                        f'x="{left + j * wide:.1f}" y="{top + tall * i}" width="{wide:.1f}" height="{tall}"'
                    )
                    out.append(
                        f'<rect {place} fill="{BLUE if v > 0 else ORANGE}" fill-opacity="{share:.2f}" stroke="#ddd"/>'
                        f'<text x="{left + (j + 0.5) * wide:.1f}" y="{top + tall * i + 20}" text-anchor="middle">'
                        f"{_text(v, digits)}</text>"
                    )
            return "".join(out)

        def frame(left: float, i: int, j: int, width: float, colour: str = "#000") -> str:
            return (
                f'<rect x="{left + j * wide + 1.5:.1f}" y="{top + tall * i + 1.5}" width="{wide - 3:.1f}" '
                f'height="{tall - 3}" fill="none" stroke="{colour}" stroke-width="{width:g}"/>'
            )

        one, two = 40, 390
        body = [
            '<text x="16" y="26" font-size="15">Who shares statistics with whom?</text>',
            f'<text x="{one}" y="54">before: examples by features</text>',
            f'<text x="{two}" y="54">after {self.method} normalisation, {self.mode}</text>',
            table(one, x, 1, LIMIT),
            table(two, y, 2, 3),
            frame(one, *chosen, 3),
        ]
        body += [frame(two, i, j, 2.4) for i, j in np.argwhere(answers)]
        bottom = top + tall * self.examples
        if self.method == "batch":
            mean, variance = (
                statistics(x, "batch")
                if self.mode == "training"
                else (np.array(self.running_mean), np.array(self.running_variance))
            )
            for k, (name, row) in enumerate((("μ", mean), ("σ²", variance))):
                body.append(
                    f'<text x="{one - 8}" y="{bottom + 22 + 20 * k}" text-anchor="end" fill="{GREY}">{name}</text>'
                )
                body += [
                    f'<text x="{one + (j + 0.5) * wide:.1f}" y="{bottom + 22 + 20 * k}" text-anchor="middle" '
                    f'fill="{GREY}">{_text(v)}</text>'
                    for j, v in enumerate(row)
                ]
        count = int(np.abs(answers).sum())
        body.append(
            f'<text x="16" y="{bottom + 74}">{self._sentence()}</text>'
            f'<text x="16" y="{bottom + 93}">Framed on the left the chosen value, on the right the '
            f"{count} output{'s' * (count != 1)} that move{'s' * (count == 1)} with it.</text>"
        )
        return svg_document(720, bottom + 112, "".join(body))
