"""How far does a state remember, and how far does a gradient reach? A recurrent cell, unrolled over time.

The functions in this module are the NumPy twins of those in ``rnn_unroller.js``; the tests compare both with
each other and with Keras. Vectors are rows, as everywhere in the course:
``h_t = tanh(x_t * W_x + h_(t-1) @ W_h + b)``, with one input a step and ``h_0 = 0``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import traitlets
from numpy.typing import ArrayLike, NDArray

from course_utils.explorables._base import BLUE, GREY, ORANGE, PURPLE, RED, Explorable, svg_document

MIN_STEPS, MAX_STEPS = 4, 16
INPUT_LIMIT = 2.0  # every input lies between -INPUT_LIMIT and INPUT_LIMIT
MAX_RADIUS = 1.6
BIAS_LIMIT = 1.0
INPUT_WEIGHTS = (1.0, 0.5)  # W_x, fixed
VANISHED = 0.01  # a gradient below one per cent counts as gone
FLOOR = 1e-4  # the lower end of the figure's logarithmic scale
PRESETS = ("pulse", "alternating", "steps", "random")
_RANDOM = (0.6, -1.1, 0.3, 1.4, -0.5, -0.9, 0.8, 0.1, -1.6, 0.7, 1.2, -0.2, -0.7, 1.0, -0.4, 0.5)


def preset_inputs(name: str, steps: int) -> list[float]:
    """The inputs x_1 ... x_T called ``name``, one of :data:`PRESETS`, for ``steps`` steps.

    Raises
    ------
    ValueError
        For an unknown name.
    """
    if name == "pulse":
        return [1.0] + [0.0] * (steps - 1)
    if name == "alternating":
        return [1.0 if t % 2 == 0 else -1.0 for t in range(steps)]
    if name == "steps":
        return [(0.5, -1.0, 1.0)[3 * t // steps] for t in range(steps)]
    if name == "random":
        return list(_RANDOM[:steps])
    raise ValueError(f"There are no inputs {name!r}; choose one of: {', '.join(PRESETS)}.")


def recurrent_matrix(recurrent: float, angle: float = 30.0, units: int = 2) -> NDArray:
    """W_h (units, units): ``recurrent`` times a rotation by ``angle`` degrees; for one unit the number alone.

    Its spectral radius is ``recurrent``, and it stretches no direction more than another.
    """
    if units == 1:
        return np.array([[float(recurrent)]])
    a = np.deg2rad(angle)
    return recurrent * np.array([[np.cos(a), np.sin(a)], [-np.sin(a), np.cos(a)]])


def states(
    inputs: ArrayLike,
    recurrent: float,
    angle: float = 30.0,
    units: int = 2,
    linear: bool = False,
    bias: float = 0.0,
) -> NDArray:
    """All states of the cell.

    Parameters
    ----------
    inputs : (T,), one number a step
    recurrent : spectral radius of W_h
    angle : degrees by which W_h turns the state of two units
    units : 1 or 2
    linear : leave tanh out
    bias : b, the same for every unit

    Returns
    -------
    (T + 1, units); row 0 is the state before the first step, zero.
    """
    W_x, W_h = np.array(INPUT_WEIGHTS[:units]), recurrent_matrix(recurrent, angle, units)
    H = np.zeros((len(np.asarray(inputs)) + 1, units))
    for t, x in enumerate(np.asarray(inputs, dtype=float)):
        z = x * W_x + H[t] @ W_h + bias
        H[t + 1] = z if linear else np.tanh(z)
    return H


def jacobians(
    inputs: ArrayLike,
    recurrent: float,
    angle: float = 30.0,
    units: int = 2,
    linear: bool = False,
    bias: float = 0.0,
) -> NDArray:
    """The last state's derivative with respect to every state; arguments as in :func:`states`.

    Returns
    -------
    (T + 1, units, units); entry [t, i, j] is the derivative of unit j of h_T with respect to unit i of
    h_t. The last one is the identity; each is the product of W_h and the slopes of all later steps.
    """
    H, W_h = states(inputs, recurrent, angle, units, linear, bias), recurrent_matrix(recurrent, angle, units)
    D = np.zeros((len(H), units, units))
    D[-1] = np.eye(units)
    for t in range(len(H) - 2, -1, -1):
        slope = np.ones(units) if linear else 1 - H[t + 1] ** 2
        D[t] = (W_h * slope) @ D[t + 1]
    return D


def gradients(
    inputs: ArrayLike,
    recurrent: float,
    angle: float = 30.0,
    units: int = 2,
    linear: bool = False,
    bias: float = 0.0,
) -> tuple[NDArray, NDArray]:
    """How much the last state answers to each state and to each input; arguments as in :func:`states`.

    Returns
    -------
    to_states : (T + 1,), the norm of the derivative of h_T with respect to h_t for t = 0 ... T: the largest
        factor by which a small change of h_t can arrive at the end (the spectral norm)
    to_inputs : (T, units), the derivative of h_T with respect to x_t for t = 1 ... T
    """
    H = states(inputs, recurrent, angle, units, linear, bias)
    D = jacobians(inputs, recurrent, angle, units, linear, bias)
    slopes = np.ones_like(H[1:]) if linear else 1 - H[1:] ** 2
    to_inputs = np.einsum("ti,tij->tj", np.array(INPUT_WEIGHTS[:units]) * slopes, D[1:])
    return np.linalg.norm(D, ord=2, axis=(1, 2)), to_inputs


def vanished_at(norms: ArrayLike, share: float = VANISHED) -> int:
    """The latest step t from 1 to T with a norm below ``share``, or 0; ``norms`` (T + 1,) from t = 0."""
    below = np.flatnonzero(np.asarray(norms)[1:] < share)
    return int(below[-1]) + 1 if len(below) else 0


def _number(value: Any, name: str, low: float, high: float) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise ValueError(f"RNNUnroller needs a number for {name}, not {value!r}.")
    if not low <= value <= high:
        raise ValueError(f"RNNUnroller needs {name} from {low:g} to {high:g}, not {value!r}.")
    return float(value)


def _inputs(value: Any) -> list[float]:
    try:
        array = np.asarray(value, dtype=float)
    except (TypeError, ValueError):
        raise ValueError("RNNUnroller needs inputs that are numbers, one for each step.") from None
    if array.ndim != 1 or not MIN_STEPS <= len(array) <= MAX_STEPS:
        raise ValueError(
            f"RNNUnroller needs {MIN_STEPS} to {MAX_STEPS} inputs in a row, not shape {array.shape}."
        )
    if not np.isfinite(array).all() or np.abs(array).max() > INPUT_LIMIT:
        raise ValueError(f"RNNUnroller needs inputs from -{INPUT_LIMIT:g} to {INPUT_LIMIT:g}.")
    return array.tolist()


def _whole(value: Any, name: str, low: int, high: int) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or not low <= value <= high:
        raise ValueError(f"RNNUnroller needs a whole number of {name} from {low} to {high}, not {value!r}.")
    return int(value)


def _text(value: float, digits: int = 2) -> str:
    text = f"{abs(value):.{digits}f}"
    return f"−{text}" if value < 0 and float(text) else text


def _size(value: float) -> str:
    """Three significant digits, as the figure writes them: 0.105, 12.3, 3.2×10⁻⁸."""
    if value == 0 or 0.001 <= abs(value) < 9999.5:
        return f"{float(f'{value:.3g}'):g}"
    digits, power = f"{value:.1e}".split("e")
    return f"{digits}×10{str(int(power)).translate(str.maketrans('-0123456789', '⁻⁰¹²³⁴⁵⁶⁷⁸⁹'))}"


class RNNUnroller(Explorable):
    """How far does a state remember, and how far does a gradient reach?

    A recurrent cell of one or two units reads one number a step. The figure shows the unrolled network with
    its state after each step, and below it, on a logarithmic scale, how much the last state still answers to
    each earlier state and input, beside the powers of the recurrent weight. Inputs are dragged.

    Parameters
    ----------
    steps : T, 4 to 16
    recurrent : spectral radius of W_h, 0 to 1.6: the recurrent weight of one unit
    units : 1 or 2
    angle : degrees, -180 to 180, by which W_h turns the state of two units
    inputs : "pulse", "alternating", "steps", "random", or a sequence of 4 to 16 numbers from -2 to 2, which
        then sets the number of steps
    linear : leave tanh out
    bias : b, -1 to 1
    step : the step that is written out, 1 to T; default the last

    Raises
    ------
    ValueError
        For an unknown name and a number out of its range.
    """

    _js = "rnn_unroller.js"
    _parts = ("_timeline",)

    inputs = traitlets.List().tag(sync=True)
    recurrent = traitlets.Float(0.9).tag(sync=True)
    angle = traitlets.Float(30.0).tag(sync=True)
    units = traitlets.Int(2).tag(sync=True)
    linear = traitlets.Bool(False).tag(sync=True)
    bias = traitlets.Float(0.0).tag(sync=True)
    step = traitlets.Int(8).tag(sync=True)

    def __init__(
        self,
        steps: int = 8,
        recurrent: float = 0.9,
        units: int = 2,
        *,
        angle: float = 30.0,
        inputs: str | ArrayLike = "pulse",
        linear: bool = False,
        bias: float = 0.0,
        step: int | None = None,
        **kwargs: Any,
    ) -> None:
        steps = _whole(steps, "steps", MIN_STEPS, MAX_STEPS)
        values = preset_inputs(inputs, steps) if isinstance(inputs, str) else _inputs(inputs)
        super().__init__(
            inputs=values,
            recurrent=_number(recurrent, "a recurrent weight", 0, MAX_RADIUS),
            angle=_number(angle, "an angle in degrees", -180, 180),
            units=_whole(units, "units", 1, 2),
            linear=bool(linear),
            bias=_number(bias, "a bias", -BIAS_LIMIT, BIAS_LIMIT),
            step=len(values) if step is None else _whole(step, "steps to the cursor", 1, len(values)),
            **kwargs,
        )

    @traitlets.validate("inputs")
    def _check_inputs(self, proposal: Any) -> list[float]:
        return _inputs(proposal["value"])

    @traitlets.validate("recurrent", "angle", "bias")
    def _check_number(self, proposal: Any) -> float:
        name, low, high = {
            "recurrent": ("a recurrent weight", 0, MAX_RADIUS),
            "angle": ("an angle in degrees", -180, 180),
            "bias": ("a bias", -BIAS_LIMIT, BIAS_LIMIT),
        }[proposal["trait"].name]
        return _number(proposal["value"], name, low, high)

    @traitlets.validate("units")
    def _check_units(self, proposal: Any) -> int:
        return _whole(proposal["value"], "units", 1, 2)

    @property
    def _cell(self) -> tuple[list[float], float, float, int, bool, float]:
        return self.inputs, self.recurrent, self.angle, self.units, self.linear, self.bias

    def states(self) -> NDArray:
        """The states (T + 1, units) of the present cell and inputs; row 0 is zero."""
        return states(*self._cell)

    def gradients(self) -> tuple[NDArray, NDArray]:
        """See :func:`gradients`: (T + 1,) norms for the states and (T, units) derivatives for the inputs."""
        return gradients(*self._cell)

    def _reach(self, norms: NDArray) -> str:
        steps, gone = len(self.inputs), vanished_at(norms)
        if gone:
            return f"{steps - gone} steps back, at step {gone}, it is below 1 %."
        return "It stays above 1 % back to the first step."

    @property
    def description(self) -> str:
        H, (norms, _) = self.states(), self.gradients()
        T = len(self.inputs)
        turn = f", a turn of {self.angle:g} degrees" if self.units == 2 else ""
        return (
            f"A recurrent cell of {self.units} unit{'s' * (self.units > 1)} unrolled over {T} steps "
            f"({'linear' if self.linear else 'tanh'}, recurrent weight {self.recurrent:g}{turn}, bias "
            f"{self.bias:g}), with the inputs {', '.join(f'{x:g}' for x in self.inputs)}. The state is "
            f"{' and '.join(_text(h) for h in H[1])} after the first step and "
            f"{' and '.join(_text(h) for h in H[-1])} after the last. The gradient of the last state with "
            f"respect to the first has the norm {_size(norms[1])}, where {self.recurrent:g} to the power "
            f"{T - 1} is {_size(self.recurrent ** (T - 1))}. {self._reach(norms)}"
        )

    def preview(self) -> str:
        H, (norms, to_inputs) = self.states(), self.gradients()
        T, left, col = len(self.inputs), 60.0, 520 / len(self.inputs)
        question = "How far does a state remember, and how far does a gradient reach?"
        body = [f'<text x="16" y="26" font-size="15">{question}</text>']

        def bar(x: float, y0: float, y1: float, width: float, fill: str) -> str:
            top, tall = min(y0, y1), max(abs(y1 - y0), 0.8)
            return f'<rect x="{x:.1f}" y="{top:.1f}" width="{width:.1f}" height="{tall:.1f}" fill="{fill}"/>'

        def line(y: float, text: str, colour: str = "#ccc") -> str:
            return (
                f'<path d="M{left:g} {y:.1f}H{left + 520:g}" stroke="{colour}"/>'
                f'<text x="{left - 6:g}" y="{y + 4:.1f}" text-anchor="end">{text}</text>'
            )

        body.append(f'<text x="{left:g}" y="52">input x</text>' + line(94, "0"))
        top = 1.0 if not self.linear else max(1.0, float(np.abs(H).max()))
        names = "unit 1 left, unit 2 right" if self.units == 2 else "one unit"
        body.append(f'<text x="{left:g}" y="150">state h, {names}</text>' + line(198, "0"))
        body.append(line(162, _size(top)) + line(234, f"−{_size(top)}"))
        high = max(1.0, *np.ceil(np.log10(np.maximum([norms.max(), self.recurrent ** (T - 1)], 1e-9))))
        low = np.log10(FLOOR)

        def level(value: float) -> float:
            return float(400 - 110 * (np.clip(np.log10(max(value, 1e-30)), low, high) - low) / (high - low))

        body.append(
            f'<text x="{left:g}" y="278">gradient of the last state: by h (purple), '
            "by x (grey); dashed: ρᵏ</text>"
        )
        body += [line(level(1), "1"), line(level(VANISHED), "1 %", RED), line(400, "10⁻⁴")]
        dashes = []
        for t in range(T):
            x = left + t * col
            body.append(bar(x + 0.3 * col, 94, 94 - 16 * self.inputs[t], 0.4 * col, GREY))
            for j, fill in zip(range(self.units), (BLUE, ORANGE), strict=False):
                wide, end = 0.6 * col / self.units, 198 - 36 * H[t + 1, j] / top
                body.append(bar(x + 0.2 * col + j * wide, 198, end, 0.9 * wide, fill))
            body.append(bar(x + 0.2 * col, 400, level(norms[t + 1]), 0.32 * col, PURPLE))
            size = float(np.linalg.norm(to_inputs[t]))
            body.append(bar(x + 0.54 * col, 400, level(size), 0.26 * col, GREY))
            dashes.append(f"{x + 0.5 * col:.1f} {level(self.recurrent ** (T - 1 - t)):.1f}")
            body.append(f'<text x="{x + col / 2:.1f}" y="420" text-anchor="middle">{t + 1}</text>')
        body.append(f'<path d="M{"L".join(dashes)}" fill="none" stroke="#000" stroke-dasharray="5 4"/>')
        body.append(
            f'<text x="16" y="446">ρ = {self.recurrent:g}; gradient at h<tspan dy="3">1</tspan>'
            f'<tspan dy="-3">: {_size(norms[1])}. {self._reach(norms)}</tspan></text>'
        )
        return svg_document(left + 540, 460, "".join(body))
