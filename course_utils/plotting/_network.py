"""A network as a diagram."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from course_utils.plotting._style import _WIDTH, BLUE, GREY, PURPLE, _text_color, _tint

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def network_diagram(
    layer_sizes: Sequence[int],
    *,
    layer_names: Sequence[str] | None = None,
    max_units: int = 10,
    title: str | None = None,
) -> Figure:
    """Draw a fully connected network, a column of units per layer.

    A layer with more than ``max_units`` units is drawn with an ellipsis; its true size is always written.

    Parameters
    ----------
    layer_sizes : sequence of int
        Units per layer, the inputs first.
    layer_names : sequence of str, optional
        Default: input, hidden 1, ..., output.
    max_units : int
        Units drawn at most in one layer (at least 3).
    title : str, optional
    """
    import matplotlib.pyplot as plt
    from matplotlib.collections import LineCollection

    sizes = [int(size) for size in layer_sizes]
    if len(sizes) < 2 or min(sizes) < 1:
        raise ValueError("A network needs at least two layers, each with at least one unit.")
    if max_units < 3:
        raise ValueError("max_units should be at least 3.")
    if layer_names is None:
        hidden = len(sizes) - 2
        middle = ["hidden"] if hidden == 1 else [f"hidden {i + 1}" for i in range(hidden)]
        layer_names = ["input", *middle, "output"]
    if len(layer_names) != len(sizes):
        raise ValueError(f"There are {len(sizes)} layers but {len(layer_names)} names.")

    # each layer: heights of the units drawn, and whether its middle is an ellipsis
    layers: list[tuple[np.ndarray, bool]] = []
    for size in sizes:
        cut = size > max_units
        slots = max_units + 1 if cut else size
        heights = (slots - 1) / 2 - np.arange(slots)
        layers.append((np.delete(heights, slots // 2) if cut else heights, cut))
    tallest = max(np.ptp(heights) for heights, _ in layers)
    inch = min(0.42, 4.4 / (tallest + 1))  # of one unit and its gap
    columns = np.arange(len(sizes)) * min(1.9, (_WIDTH - 1.2) / (len(sizes) - 1)) / inch
    half_width, half_height = 0.6 / inch, tallest / 2 + 0.5 + 0.3 / inch
    size = (columns[-1] + 2 * half_width) * inch, 2 * half_height * inch + (0.4 if title else 0)
    fig, ax = plt.subplots(figsize=size, layout="constrained")
    segments = [
        ((columns[i], start), (columns[i + 1], end))
        for i in range(len(sizes) - 1)
        for start in layers[i][0]
        for end in layers[i + 1][0]
    ]
    thin = len(segments) > 60
    ax.add_collection(
        LineCollection(
            segments, colors="#B5B5B5" if thin else "#8A8A8A", linewidths=0.5 if thin else 0.9, zorder=1
        )
    )
    for i, (heights, cut) in enumerate(layers):
        color = GREY if i == 0 else PURPLE if i == len(sizes) - 1 else BLUE
        for height in heights:
            ax.add_patch(
                plt.Circle(
                    (columns[i], height),
                    0.33,
                    facecolor=_tint(color, 0.35),
                    edgecolor=color,
                    lw=1.3,
                    zorder=2,
                )
            )
        if cut:
            gap = max_units / 2 - (max_units + 1) // 2
            for dot in (-0.22, 0, 0.22):
                ax.add_patch(plt.Circle((columns[i], gap + dot), 0.055, color="#222222", zorder=3))
        above, below = tallest / 2 + 0.5 + 0.06 / inch, -tallest / 2 - 0.5 - 0.06 / inch
        count = f"{sizes[i]:,} {'unit' if sizes[i] == 1 else 'units'}"
        ax.text(columns[i], above, str(layer_names[i]), ha="center", va="bottom", fontsize=10)
        ax.text(columns[i], below, count, ha="center", va="top", fontsize=10, color=_text_color(color))
    ax.set_xlim(-half_width, columns[-1] + half_width)
    ax.set_ylim(-half_height, half_height)
    ax.set_aspect("equal")
    ax.set_axis_off()
    if title:
        ax.set_title(title)
    return fig
