"""How much of the input does one unit see? A stack of convolution layers in one dimension, unit by unit.

The functions in this module are the NumPy twins of those in ``receptive_field.js``; the tests compare both
with each other and with gradients through Keras layers. A layer is (kernel size k, stride s, dilation r);
layers stand from input to output, without padding, so that every unit has k units below it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import traitlets
from numpy.typing import NDArray

from course_utils.explorables._base import BLUE, GREY, RED, Explorable, svg_document

MAX_LAYERS = 6
MAX_KERNEL, MAX_STRIDE, MAX_DILATION = 11, 4, 8
MAX_UNITS = 200  # inputs that are drawn

Layer = tuple[int, int, int]

PRESETS: dict[str, list[Layer]] = {
    "three 3x3": [(3, 1, 1)] * 3,
    "one 7x7": [(7, 1, 1)],
    "strides 2": [(3, 2, 1)] * 3,
    "dilated 1 2 4": [(3, 1, 1), (3, 1, 2), (3, 1, 4)],
    "VGG block": [(3, 1, 1), (3, 1, 1), (2, 2, 1), (3, 1, 1), (3, 1, 1), (2, 2, 1)],
}


def sizes(layers: Sequence[Layer], inputs: int) -> list[int]:
    """Units in the input and in every layer: floor((n - r (k - 1) - 1) / s) + 1, no padding, at least 0."""
    counts = [int(inputs)]
    for k, s, r in layers:
        counts.append(max((counts[-1] - r * (k - 1) - 1) // s + 1, 0))
    return counts


def receptive_fields(layers: Sequence[Layer]) -> list[tuple[int, int]]:
    """Receptive field and jump of the input and of every layer.

    Parameters
    ----------
    layers : (k, s, r) from input to output

    Returns
    -------
    list of (R, J) in input units, one more than there are layers: R_0 = J_0 = 1,
    R_l = R_{l-1} + r_l (k_l - 1) J_{l-1} and J_l = J_{l-1} s_l.
    """
    table = [(1, 1)]
    for k, s, r in layers:
        field, jump = table[-1]
        table.append((field + r * (k - 1) * jump, jump * s))
    return table


def used(layers: Sequence[Layer], layer: int, unit: int) -> list[tuple[int, NDArray]]:
    """What unit number ``unit`` of layer ``layer`` (0 is the input) depends on.

    Returns
    -------
    list of (start, counts), for the layers ``layer``, ``layer`` - 1, ... 0: ``counts[n]`` paths lead from the
    unit to unit ``start + n`` of that layer. The list ends with the input.
    """
    start, counts = int(unit), np.ones(1)
    found = [(start, counts)]
    for k, s, r in reversed(list(layers)[:layer]):
        below = np.zeros(s * (len(counts) - 1) + r * (k - 1) + 1)
        for u in range(k):
            below[r * u : r * u + s * (len(counts) - 1) + 1 : s] += counts
        start, counts = start * s, below
        found.append((start, counts))
    return found


def paths(layers: Sequence[Layer]) -> NDArray:
    """Paths from one unit of the last layer to each input of its receptive field, shape (R,).

    Divided by their sum they are the unit's derivatives if all weights are equal and nothing else happens
    between the layers: the effective receptive field in its simplest form.
    """
    return used(layers, len(layers), 0)[-1][1]


def core(counts: NDArray, share: float = 0.5) -> tuple[int, int]:
    """(start, length) of the fewest neighbouring inputs that hold at least ``share`` of all paths.

    Of several stretches of that length it is the one with the most paths, and of those the one nearest to the
    middle (the first, if there are two).
    """
    total = np.concatenate([[0.0], np.cumsum(counts)])
    for length in range(1, len(counts) + 1):
        within = total[length:] - total[:-length]
        if within.max() >= share * total[-1] * (1 - 1e-12):
            best = np.flatnonzero(within >= within.max() * (1 - 1e-12))
            return int(min(best, key=lambda start: abs(2 * start + length - len(counts)))), length
    return 0, len(counts)


def suggested_inputs(layers: Sequence[Layer]) -> int:
    """A length of the input that shows the field of a unit of the last layer and some neighbours of it."""
    field, jump = receptive_fields(layers)[-1]
    if field > MAX_UNITS:
        return MAX_UNITS
    more = min(8, max((max(48, field + 2 * jump) - field) // jump, 0))
    return min(max(field + more * jump, 8), MAX_UNITS)


def _layers(value: Any) -> list[list[int]]:
    try:
        rows = [tuple(row) for row in value]
    except TypeError:
        raise ValueError("ReceptiveField needs a list of layers (kernel, stride, dilation).") from None
    if not 1 <= len(rows) <= MAX_LAYERS:
        raise ValueError(f"ReceptiveField shows 1 to {MAX_LAYERS} layers, not {len(rows)}.")
    for n, row in enumerate(rows, 1):
        if len(row) != 3:
            raise ValueError(f"Layer {n} must be (kernel, stride, dilation), not {row!r}.")
        for part, name, top in zip(
            row, ("kernel", "stride", "dilation"), (MAX_KERNEL, MAX_STRIDE, MAX_DILATION), strict=True
        ):
            whole = isinstance(part, (int, np.integer)) and not isinstance(part, bool)
            if not whole or not 1 <= part <= top:
                raise ValueError(
                    f"The {name} of layer {n} must be a whole number from 1 to {top}, not {part!r}."
                )
    return [[int(part) for part in row] for row in rows]


def _number(value: float) -> str:
    return f"{int(value):,}".replace(",", "\u202f")


class ReceptiveField(Explorable):
    """How much of the input does one unit see?

    Rows of units in one dimension, the input at the bottom. Choose a unit: everything below that it depends
    on lights up, and bars under the input count the paths that lead there. Sliders change every layer, and
    the recursion for receptive field R and jump J stands beside them with its numbers.

    Parameters
    ----------
    layers : up to six layers (kernel size k, stride s, dilation r) from input to output; k to 11, s to 4,
        r to 8
    preset : name of a stack from :data:`PRESETS`, instead of ``layers``
    inputs : units of the input, up to 200; default: enough for some units in the last layer
    unit : (layer, index) of the chosen unit, layer 0 being the input; default the middle of the last layer

    Raises
    ------
    ValueError
        For a wrong layer, an unknown preset, too few or too many inputs, and a unit that does not exist.
    """

    _js = "receptive_field.js"

    layers = traitlets.List().tag(sync=True)
    inputs = traitlets.Int(29).tag(sync=True)
    unit = traitlets.List([0, 0]).tag(sync=True)

    def __init__(
        self,
        layers: Sequence[Layer] | None = None,
        *,
        preset: str | None = None,
        inputs: int | None = None,
        unit: tuple[int, int] | None = None,
        **kwargs: Any,
    ) -> None:
        if preset is not None:
            if preset not in PRESETS:
                raise ValueError(f"There is no stack {preset!r}; choose one of: {', '.join(PRESETS)}.")
            if layers is not None:
                raise ValueError("Give either layers or the name of a preset, not both.")
            layers = PRESETS[preset]
        stack = _layers([(3, 1, 1), (3, 2, 1), (3, 1, 2)] if layers is None else layers)
        if inputs is None:
            inputs = suggested_inputs(stack)
        elif (
            isinstance(inputs, bool)
            or not isinstance(inputs, (int, np.integer))
            or not 1 <= inputs <= MAX_UNITS
        ):
            raise ValueError(f"inputs must be a whole number from 1 to {MAX_UNITS}, not {inputs!r}.")
        counts = sizes(stack, inputs)
        if unit is None:
            layer = max(n for n, count in enumerate(counts) if count)
            unit = (layer, (counts[layer] - 1) // 2)
        elif len(unit) != 2 or not (0 <= unit[0] < len(counts) and 0 <= unit[1] < counts[unit[0]]):
            raise ValueError(
                f"There is no unit {tuple(unit)}; the layers have {counts} units, the input first."
            )
        super().__init__(layers=stack, inputs=int(inputs), unit=[int(u) for u in unit], **kwargs)

    @traitlets.validate("layers")
    def _stack(self, proposal: Any) -> list[list[int]]:
        return _layers(proposal["value"])

    @property
    def description(self) -> str:
        counts, table = sizes(self.layers, self.inputs), receptive_fields(self.layers)
        stack = "; ".join(
            f"layer {n}: kernel {k}, stride {s}, dilation {r}" for n, (k, s, r) in enumerate(self.layers, 1)
        )
        layer, unit = self.unit
        start, ways = used(self.layers, layer, unit)[-1]
        first, length = core(ways)
        field, jump = table[-1]
        text = (
            f"{len(self.layers)} convolution layers in one dimension over {self.inputs} inputs ({stack}). "
            f"The last layer has {counts[-1]} units with a receptive field of {_number(field)} and a jump of "
            f"{_number(jump)}. "
        )
        if layer == 0:
            return text + f"Input {unit} is chosen."
        return (
            f"{text}Unit {unit} of layer {layer} is chosen: it sees inputs {start} to "
            f"{start + len(ways) - 1}, {int((ways > 0).sum())} of these {len(ways)} are used, and half of "
            f"all {_number(ways.sum())} paths lead to {length} neighbouring inputs, {start + first} to "
            f"{start + first + length - 1}."
        )

    def preview(self) -> str:
        counts, table = sizes(self.layers, self.inputs), receptive_fields(self.layers)
        drawn = [n for n, count in enumerate(counts) if count]
        layer, unit = self.unit
        below = used(self.layers, layer, unit)
        left, right, top, gap = 74.0, 150.0, 56.0, 44.0
        step = 560 / max(self.inputs, 2)
        radius = min(7.0, 0.38 * step)
        base = top + gap * (len(drawn) - 1)

        def x(level: int, n: int) -> float:
            field, jump = table[level]
            return left + step * (0.5 + n * jump + (field - 1) / 2)

        def y(level: int) -> float:
            return base - gap * level

        body = ['<text x="20" y="26" font-size="15">How much of the input does one unit see?</text>']
        lines = []
        for depth, (start, ways) in enumerate(below[:-1]):
            level = layer - depth
            k, s, r = self.layers[level - 1]
            for n in np.flatnonzero(ways) + start:
                lines += [
                    f"M{x(level, n):.1f} {y(level):.1f}L{x(level - 1, n * s + r * u):.1f} {y(level - 1):.1f}"
                    for u in range(k)
                ]
        body.append(f'<path d="{"".join(lines)}" stroke="{BLUE}" stroke-opacity=".35" fill="none"/>')
        for level in drawn:
            start, ways = below[layer - level] if level <= layer else (0, np.zeros(0))
            name = f"layer {level}" if level else "input"
            field, jump = table[level]
            body.append(f'<text x="20" y="{y(level) + 4:.1f}">{name}</text>')
            body.append(
                f'<text x="{left + 574:.1f}" y="{y(level) + 4:.1f}">R = {_number(field)}, '
                f"J = {_number(jump)}</text>"
            )
            for n in range(counts[level]):
                on = 0 <= n - start < len(ways) and ways[n - start] > 0
                fill = RED if (level, n) == (layer, unit) else BLUE if on else "#fff"
                body.append(
                    f'<circle cx="{x(level, n):.1f}" cy="{y(level):.1f}" r="{radius:.1f}" fill="{fill}" '
                    f'stroke="{GREY}"/>'
                )
        start, ways = below[-1]
        floor = base + 82
        for n, count in enumerate(ways):
            tall = 60 * count / ways.max()
            body.append(
                f'<rect x="{x(0, start + n) - 0.4 * step:.1f}" y="{base + 20:.1f}" width="{0.8 * step:.1f}" '
                f'height="{tall:.1f}" fill="{BLUE}"/>'
            )
        body.append(f'<text x="20" y="{base + 34:.1f}">paths</text>')
        _, length = core(ways)
        body.append(
            f'<text x="20" y="{floor + 22:.1f}">Unit {unit} of layer {layer} sees {len(ways)} inputs; '
            f"half of all {_number(ways.sum())} paths lead to {length} of them.</text>"
        )
        return svg_document(left + 574 + right, floor + 38, "".join(body))
