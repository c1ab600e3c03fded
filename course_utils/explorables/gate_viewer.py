"""What do the gates of an LSTM or GRU cell do? One unit, one number a step, every gate drawn over time.

The functions in this module are the NumPy twins of those in ``gate_viewer.js``; the tests compare both with
each other and with Keras. Gates are in the order of Keras: input i, forget f, candidate c and output o for
the LSTM; update z, reset r and candidate h for the GRU, which is the one with ``reset_after=True``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import traitlets
from numpy.typing import ArrayLike, NDArray

from course_utils.explorables._base import BLUE, GREEN, GREY, ORANGE, RED, Explorable, svg_document

MIN_STEPS, MAX_STEPS = 8, 20
INPUT_LIMIT = 3.0  # every input lies between -INPUT_LIMIT and INPUT_LIMIT
WEIGHT_LIMIT = 10.0
PLAIN_LIMIT = 1.6  # recurrent weight of the plain tanh unit
VANISHED = 0.01
FLOOR = 1e-4  # the lower end of the figure's logarithmic scale
KINDS = ("lstm", "gru")
GATES = {"lstm": ("i", "f", "c", "o"), "gru": ("z", "r", "h")}
INPUTS = ("store", "latch", "pulses", "noise")
_NOISE = (
    *(0.4, -0.7, 0.2, 0.9, -0.3, -1.1, 0.6, 0.1, -0.5, 0.8),
    *(-0.2, 0.3, -0.9, 0.5, -0.4, 1.0, -0.6, 0.7, -0.1, 0.2),
)

# Cells: for each gate the weight of the input, the weight of the state before, and the bias.
CELLS: dict[str, dict[str, dict[str, list[float]]]] = {
    "lstm": {
        "start": {"i": [1, 0.5, 0], "f": [0, 0.5, 1], "c": [1, 0.5, 0], "o": [1, 0.5, 0]},
        "latch": {"i": [7, -10, -4], "f": [5, 0, 10], "c": [1, 0, 0], "o": [0, 0, 4]},
        "read": {"i": [8, 0, -4], "f": [5, 0, 10], "c": [1, 0, 0], "o": [-8, 0, -4]},
        "sum": {"i": [0, 0, 5], "f": [0, 0, 8], "c": [0.5, 0, 0], "o": [0, 0, 4]},
    },
    "gru": {
        "start": {"z": [0, 0.5, 1], "r": [1, 0.5, 0], "h": [1, 0.5, 0]},
        "latch": {"z": [-8, 8, 5], "r": [0, 0, 0], "h": [-0.5, 0, 1.5]},
        "mean": {"z": [0, 0, 1.5], "r": [0, 0, 0], "h": [1, 0, 0]},
    },
}
for _cells in CELLS.values():
    for _gates in _cells.values():
        for _name, _row in _gates.items():
            _gates[_name] = [float(_v) for _v in _row]
_SHOWS = {"latch": "latch", "read": "store"}  # the inputs that show what a cell does


def preset_inputs(name: str, steps: int, kind: str = "lstm") -> list[float]:
    """The inputs x_1 ... x_T called ``name``, one of :data:`INPUTS`, for ``steps`` steps.

    "latch" ends with the pulse that resets the cell "latch": -3 for the LSTM, 3 for the GRU.

    Raises
    ------
    ValueError
        For an unknown name.
    """
    x = [0.0] * steps
    if name == "store":
        x[1], x[steps - 2] = 1.0, -1.0
    elif name == "latch":
        x[1], x[(2 * steps) // 5], x[steps // 2] = 1.0, 0.8, -0.5
        x[(3 * steps) // 4] = -3.0 if kind == "lstm" else 3.0
    elif name == "pulses":
        x = [(1.0, -1.0)[t // 4 % 2] if t % 4 == 1 else 0.0 for t in range(steps)]
    elif name == "noise":
        x = list(_NOISE[:steps])
    else:
        raise ValueError(f"There are no inputs {name!r}; choose one of: {', '.join(INPUTS)}.")
    return x


def sigmoid(z: ArrayLike) -> NDArray:
    """1 / (1 + exp(-z)), of the shape of ``z``; never overflows."""
    return 0.5 * (1 + np.tanh(0.5 * np.asarray(z, dtype=float)))


def lstm(inputs: ArrayLike, gates: Mapping[str, Sequence[float]]) -> dict[str, NDArray]:
    """One LSTM unit over a sequence.

    Parameters
    ----------
    inputs : (T,)
    gates : "i", "f", "c", "o", each with [weight of x_t, weight of h_(t-1), bias]

    Returns
    -------
    "i", "f", "o" (gates, 0 to 1), "g" (candidate), "c" (cell state) and "h" (output), each (T,).
    """
    out: dict[str, list[float]] = {name: [] for name in "ifgoch"}
    c = h = 0.0
    for x in np.asarray(inputs, dtype=float):
        z = {name: w * x + u * h + b for name, (w, u, b) in gates.items()}
        i, f, o = (float(sigmoid(z[name])) for name in "ifo")
        g = float(np.tanh(z["c"]))
        c = f * c + i * g
        h = o * float(np.tanh(c))
        for name, value in zip("ifgoch", (i, f, g, o, c, h), strict=True):
            out[name].append(value)
    return {name: np.array(values) for name, values in out.items()}


def gru(inputs: ArrayLike, gates: Mapping[str, Sequence[float]]) -> dict[str, NDArray]:
    """One GRU unit over a sequence, as in Keras with ``reset_after=True`` and no recurrent bias.

    Parameters
    ----------
    inputs : (T,)
    gates : "z", "r", "h", each with [weight of x_t, weight of h_(t-1), bias]

    Returns
    -------
    "z", "r" (gates, 0 to 1), "g" (candidate) and "h" (state), each (T,).
    """
    out: dict[str, list[float]] = {name: [] for name in "zrgh"}
    h = 0.0
    for x in np.asarray(inputs, dtype=float):
        z, r = (float(sigmoid(gates[k][0] * x + gates[k][1] * h + gates[k][2])) for k in "zr")
        w, u, b = gates["h"]
        g = float(np.tanh(w * x + b + r * u * h))
        h = z * h + (1 - z) * g
        for name, value in zip("zrgh", (z, r, g, h), strict=True):
            out[name].append(value)
    return {name: np.array(values) for name, values in out.items()}


def plain(inputs: ArrayLike, input_weight: float, recurrent: float) -> NDArray:
    """States (T,) of one plain unit without a bias: h_t = tanh(input_weight * x_t + recurrent * h_(t-1))."""
    h, out = 0.0, []
    for x in np.asarray(inputs, dtype=float):
        h = float(np.tanh(input_weight * x + recurrent * h))
        out.append(h)
    return np.array(out)


def keras_weights(kind: str, gates: Mapping[str, Sequence[float]]) -> list[NDArray]:
    """The same cell for ``keras.layers.LSTM(1)`` or ``GRU(1)``: kernel, recurrent kernel, bias.

    Returns
    -------
    Arrays of shape (1, 4), (1, 4), (4,) for the LSTM; (1, 3), (1, 3), (2, 3) for the GRU, whose second row of
    biases is zero.
    """
    w, u, b = np.array([gates[name] for name in GATES[kind]], dtype=float).T
    return [w[None], u[None], b if kind == "lstm" else np.stack([b, np.zeros_like(b)])]


def gradients(
    kind: str, inputs: ArrayLike, gates: Mapping[str, Sequence[float]], recurrent: float = 1.0
) -> dict[str, NDArray]:
    """How much the last state answers to a small change of the state after each step t = 1 ... T.

    Parameters
    ----------
    kind : "lstm" (the state is c) or "gru" (the state is h)
    inputs, gates : as for :func:`lstm` and :func:`gru`
    recurrent : recurrent weight of the plain tanh unit, whose input weight is the candidate's

    Returns
    -------
    "direct", "total" and "plain", each (T,) and 1 at the end. "direct" is the product of the forget gates f
    (of the update gates z) of all later steps: the way along the state itself. "total" counts also the ways
    through the gates and the candidate, as automatic differentiation does. "plain" is the derivative of the
    plain unit's last state with respect to its state after step t.
    """
    x = np.asarray(inputs, dtype=float)
    T = len(x)
    keep = np.ones(T)  # the factor of step s on the direct way
    total = np.ones(T)
    if kind == "lstm":
        v = lstm(x, gates)
        keep = v["f"]
        i, f, g, o, c, h = (v[name] for name in "ifgoch")
        for t in range(T):
            dc, dh = 1.0, o[t] * (1 - np.tanh(c[t]) ** 2)
            for s in range(t + 1, T):
                d_i, d_f, d_o = (v[k][s] * (1 - v[k][s]) * gates[k][1] * dh for k in "ifo")
                d_g = (1 - g[s] ** 2) * gates["c"][1] * dh
                dc = f[s] * dc + c[s - 1] * d_f + g[s] * d_i + i[s] * d_g
                dh = d_o * np.tanh(c[s]) + o[s] * (1 - np.tanh(c[s]) ** 2) * dc
            total[t] = dc
        weight = gates["c"][0]
    else:
        v = gru(x, gates)
        keep = v["z"]
        z, r, g, h = (v[name] for name in "zrgh")
        u = gates["h"][1]
        step = np.ones(T)
        for s in range(1, T):
            d_z, d_r = (v[k][s] * (1 - v[k][s]) * gates[k][1] for k in "zr")
            d_g = (1 - g[s] ** 2) * u * (r[s] + h[s - 1] * d_r)
            step[s] = z[s] + (h[s - 1] - g[s]) * d_z + (1 - z[s]) * d_g
        total = np.append(np.cumprod(step[:0:-1])[::-1], 1.0)
        weight = gates["h"][0]
    slope = recurrent * (1 - plain(x, weight, recurrent) ** 2)

    def after(factors: NDArray) -> NDArray:
        return np.append(np.cumprod(factors[:0:-1])[::-1], 1.0)

    return {"direct": after(keep), "total": total, "plain": after(slope)}


def _inputs(value: Any) -> list[float]:
    try:
        array = np.asarray(value, dtype=float)
    except (TypeError, ValueError):
        raise ValueError("GateViewer needs inputs that are numbers, one for each step.") from None
    if array.ndim != 1 or not MIN_STEPS <= len(array) <= MAX_STEPS:
        raise ValueError(
            f"GateViewer needs {MIN_STEPS} to {MAX_STEPS} inputs in a row, not shape {array.shape}."
        )
    if not np.isfinite(array).all() or np.abs(array).max() > INPUT_LIMIT:
        raise ValueError(f"GateViewer needs inputs from -{INPUT_LIMIT:g} to {INPUT_LIMIT:g}.")
    return array.tolist()


def _gates(kind: str, value: Any) -> dict[str, list[float]]:
    wanted = ", ".join(GATES[kind])
    if not isinstance(value, Mapping) or set(value) != set(GATES[kind]):
        raise ValueError(f"GateViewer needs the gates {wanted} for kind {kind!r}.")
    out = {}
    for name in GATES[kind]:
        try:
            row = np.asarray(value[name], dtype=float)
        except (TypeError, ValueError):
            row = np.array(np.nan)
        if row.shape != (3,) or not np.isfinite(row).all() or np.abs(row).max() > WEIGHT_LIMIT:
            raise ValueError(
                f"Gate {name} needs three numbers from -{WEIGHT_LIMIT:g} to {WEIGHT_LIMIT:g}: "
                "the weight of the input, of the state before, and the bias."
            )
        out[name] = row.tolist()
    return out


def _whole(value: Any, name: str, low: int, high: int) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or not low <= value <= high:
        raise ValueError(f"GateViewer needs a whole {name} from {low} to {high}, not {value!r}.")
    return int(value)


def _text(value: float, digits: int = 2) -> str:
    text = f"{abs(value):.{digits}f}"
    return f"−{text}" if value < 0 and float(text) else text


def _size(value: float) -> str:
    """Three significant digits, as the figure writes them: 0.105, 12.3, 3.2×10⁻⁸."""
    sign, value = ("−" if value < 0 else ""), abs(value)
    if value == 0 or 0.001 <= value < 9999.5:
        return f"{sign}{float(f'{value:.3g}'):g}"
    digits, power = f"{value:.1e}".split("e")
    return f"{sign}{digits}×10{str(int(power)).translate(str.maketrans('-0123456789', '⁻⁰¹²³⁴⁵⁶⁷⁸⁹'))}"


class GateViewer(Explorable):
    """What do the gates do to the memory?

    One LSTM or GRU unit reads one number a step. Gates, candidate, state and output stand below each other
    over time; weights and biases of each gate are sliders, inputs are dragged, and the step at the cursor is
    written out with its numbers. Below: the gradient along the state beside that of a plain tanh unit.

    Parameters
    ----------
    kind : "lstm" or "gru"
    cell : weights to open with. "start" (small weights, forget bias 1), "latch" (stores the first value and
        keeps it until a reset pulse); LSTM also "read" (gives its value out only when asked) and "sum" (adds
        its inputs up); GRU also "mean" (a running mean)
    inputs : "store" (a value, a wait, a call to read), "latch" (a value, disturbances, a reset pulse),
        "pulses", "noise", or a sequence of 8 to 20 numbers from -3 to 3, which then sets the number of
        steps; default what shows the cell
    steps : T, 8 to 20
    step : the step that is written out, 1 to T; default 2
    gates : {gate: [weight of the input, weight of the state before, bias]} in place of the cell's, from -10
        to 10; the gates are i, f, c (candidate), o or z, r, h (candidate)
    recurrent : recurrent weight of the plain tanh unit beside it, 0 to 1.6

    Raises
    ------
    ValueError
        For an unknown name and a number out of its range.
    """

    _js = "gate_viewer.js"
    _parts = ("_timeline",)

    kind = traitlets.Unicode("lstm").tag(sync=True)
    inputs = traitlets.List().tag(sync=True)
    gates = traitlets.Dict().tag(sync=True)
    recurrent = traitlets.Float(1.0).tag(sync=True)
    step = traitlets.Int(2).tag(sync=True)

    def __init__(
        self,
        kind: str = "lstm",
        cell: str = "start",
        *,
        inputs: str | ArrayLike | None = None,
        steps: int = 12,
        step: int = 2,
        gates: Mapping[str, Sequence[float]] | None = None,
        recurrent: float = 1.0,
        **kwargs: Any,
    ) -> None:
        if kind not in KINDS:
            raise ValueError(f'GateViewer knows the kinds "lstm" and "gru", not {kind!r}.')
        if cell not in CELLS[kind]:
            raise ValueError(f"There is no {kind} cell {cell!r}; choose one of: {', '.join(CELLS[kind])}.")
        steps = _whole(steps, "number of steps", MIN_STEPS, MAX_STEPS)
        if inputs is None:
            inputs = _SHOWS.get(cell, "store")
        values = preset_inputs(inputs, steps, kind) if isinstance(inputs, str) else _inputs(inputs)
        chosen = {name: list(row) for name, row in CELLS[kind][cell].items()}
        if gates is not None:
            if not isinstance(gates, Mapping) or not set(gates) <= set(chosen):
                raise ValueError(f"GateViewer needs gates among {', '.join(chosen)} for kind {kind!r}.")
            chosen |= dict(gates)
        super().__init__(
            kind=kind,
            inputs=values,
            gates=_gates(kind, chosen),
            recurrent=recurrent,
            step=_whole(step, "step", 1, len(values)),
            **kwargs,
        )

    @traitlets.validate("kind")
    def _check_kind(self, proposal: Any) -> str:
        if proposal["value"] not in KINDS:
            raise ValueError(f'GateViewer knows the kinds "lstm" and "gru", not {proposal["value"]!r}.')
        return proposal["value"]

    @traitlets.validate("inputs")
    def _check_inputs(self, proposal: Any) -> list[float]:
        return _inputs(proposal["value"])

    @traitlets.validate("gates")
    def _check_gates(self, proposal: Any) -> dict[str, list[float]]:
        return _gates(self.kind, proposal["value"])

    @traitlets.observe("kind")
    def _other_kind(self, change: Any) -> None:
        if set(self.gates) != set(GATES[self.kind]):  # assigned from Python, alone
            self.gates = {name: list(row) for name, row in CELLS[self.kind]["start"].items()}

    @traitlets.validate("recurrent")
    def _check_recurrent(self, proposal: Any) -> float:
        if not 0 <= proposal["value"] <= PLAIN_LIMIT:
            raise ValueError(
                f"GateViewer needs a recurrent weight from 0 to {PLAIN_LIMIT:g}, not {proposal['value']!r}."
            )
        return proposal["value"]

    def run(self) -> dict[str, NDArray]:
        """Gates and states of the present cell and inputs; see :func:`lstm` and :func:`gru`."""
        return (lstm if self.kind == "lstm" else gru)(self.inputs, self.gates)

    def gradients(self) -> dict[str, NDArray]:
        """See :func:`gradients`: "direct", "total" and "plain", each (T,)."""
        return gradients(self.kind, self.inputs, self.gates, self.recurrent)

    def keras_weights(self) -> list[NDArray]:
        """The arrays for ``set_weights`` of a Keras layer with one unit; see :func:`keras_weights`."""
        return keras_weights(self.kind, self.gates)

    @property
    def description(self) -> str:
        v, d = self.run(), self.gradients()
        T, t = len(self.inputs), min(self.step, len(self.inputs)) - 1
        names = {"i": "input", "f": "forget", "o": "output", "z": "update", "r": "reset"}
        here = ", ".join(f"{names[k]} gate {_text(v[k][t])}" for k in names if k in v)
        state = f"cell state {_text(v['c'][t])}, " if self.kind == "lstm" else ""
        last = v["c" if self.kind == "lstm" else "h"]
        product = "forget gates" if self.kind == "lstm" else "update gates"
        return (
            f"One {self.kind.upper()} unit over {T} steps with the inputs "
            f"{', '.join(f'{x:g}' for x in self.inputs)}. At step {t + 1}: {here}, candidate "
            f"{_text(v['g'][t])}, {state}output {_text(v['h'][t])}. The state ends at {_text(last[-1])}. The "
            f"gradient from the last step back to the first is {_size(d['direct'][0])} along the state (the "
            f"product of the {product}) and {_size(d['plain'][0])} in a plain tanh unit."
        )

    def preview(self) -> str:
        v, d = self.run(), self.gradients()
        T, left, width = len(self.inputs), 118.0, 480.0
        col = width / T
        body = ['<text x="16" y="26" font-size="15">What do the gates do to the memory?</text>']
        names = {"i": "input gate i", "f": "forget gate f", "o": "output gate o", "z": "update gate z"}
        names |= {"r": "reset gate r", "g": "candidate", "c": "cell state c", "h": "output h"}
        if self.kind == "gru":
            names["h"] = "state h"
        y = 44.0

        def bar(t: float, share: float, y0: float, y1: float, wide: float, fill: str) -> str:
            x, top, high, wide = left + (t + share) * col, min(y0, y1), max(abs(y1 - y0), 0.8), wide * col
            return f'<rect x="{x:.1f}" y="{top:.1f}" width="{wide:.1f}" height="{high:.1f}" fill="{fill}"/>'

        for key in ("x", *(k for k in ("i", "f", "z", "r", "g", "c", "o", "h") if k in v)):
            gate, values = key in "ifozr", np.asarray(self.inputs if key == "x" else v[key])
            tall = 26.0 if gate else 38.0
            top = 1.0 if gate else max(1.0, float(np.abs(values).max()))
            zero = y + (tall if gate else tall / 2)
            body.append(
                f'<text x="16" y="{y + tall / 2 + 4:.1f}">{"input x" if key == "x" else names[key]}</text>'
                f'<rect x="{left:g}" y="{y:g}" width="480" height="{tall:g}" fill="none" stroke="#ccc"/>'
                f'<path d="M{left:g} {zero:g}h{width:g}" stroke="#999"/>'
            )
            fill = GREY if key == "x" else GREEN if gate else BLUE if key in "ch" else ORANGE
            reach = tall if gate else tall / 2
            for t, value in enumerate(values):
                body.append(bar(t, 0.2, zero, zero - reach * value / top, 0.6, fill))
            y += tall + 8
        y += 42
        low, tall = np.log10(FLOOR), 80.0
        high = max(0.0, np.ceil(np.log10(max(np.abs(list(d.values())).max(), 1.0))))

        def level(value: float) -> float:
            power = np.clip(np.log10(max(abs(value), 1e-30)), low, high)
            return float(y + tall - tall * (power - low) / (high - low))

        what = "cell state" if self.kind == "lstm" else "state"
        body.append(
            f'<text x="16" y="{y - 30:.1f}">gradient of the last {what} by earlier ones (blue),</text>'
            f'<text x="16" y="{y - 13:.1f}">and of a plain tanh unit (orange); logarithmic</text>'
        )
        for value, text, colour in ((1, "1", "#ccc"), (VANISHED, "1 %", RED), (FLOOR, "10⁻⁴", "#ccc")):
            body.append(
                f'<path d="M{left:g} {level(value):.1f}h{width:g}" stroke="{colour}"/>'
                f'<text x="{left - 6:g}" y="{level(value) + 4:.1f}" text-anchor="end">{text}</text>'
            )
        for t in range(T):
            body.append(bar(t, 0.14, y + tall, level(d["direct"][t]), 0.34, BLUE))
            body.append(bar(t, 0.52, y + tall, level(d["plain"][t]), 0.34, ORANGE))
            x = left + (t + 0.5) * col
            body.append(f'<text x="{x:.1f}" y="{y + tall + 17:.1f}" text-anchor="middle">{t + 1}</text>')
        body.append(
            f'<text x="16" y="{y + tall + 42:.1f}">back to step 1: {_size(d["direct"][0])} along the state, '
            f"{_size(d['plain'][0])} in the plain unit</text>"
        )
        return svg_document(left + width + 20, y + tall + 58, "".join(body))
