"""Curves with their names at their ends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from course_utils.plotting._style import _SERIES_COLORS, _WIDTH, BLUE, ORANGE, _text_color

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def label_lines(ax: Axes) -> None:
    """Write each labelled line's name at its right end, in its colour, without overlaps.

    Call it last, when every line and the axis limits stand. It takes the place of a legend.
    """
    from matplotlib import patheffects

    fig = ax.figure
    fig.draw_without_rendering()
    halo = [patheffects.withStroke(linewidth=2.5, foreground="white")]
    arrow = {"arrowstyle": "-", "lw": 0.8, "shrinkA": 1, "shrinkB": 2, "relpos": (0, 0.5)}
    left, right = ax.bbox.x0, ax.bbox.x1
    ends = []
    for item in ax.get_lines():
        name = str(item.get_label())
        if name.startswith("_") or not item.get_visible():
            continue
        path = item.get_transform().transform(item.get_path().vertices)
        path = path[np.isfinite(path).all(axis=1)]
        inside = path[(path[:, 0] >= left - 1) & (path[:, 0] <= right + 1)]
        if len(inside):
            ends.append((item, name, inside[np.argmax(inside[:, 0])]))
    pixels_per_point = fig.dpi / 72
    size = 10.0
    height = 1.25 * size * pixels_per_point
    column_width = 0.05 * (right - left)
    ends.sort(key=lambda end: end[2][0])
    while ends:
        column = [end for end in ends if end[2][0] - ends[0][2][0] <= column_width]
        ends = ends[len(column) :]
        column.sort(key=lambda end: end[2][1])
        wanted = np.array([np.clip(end[2][1], ax.bbox.y0, ax.bbox.y1) for end in column])
        placed = _spread(wanted, height, ax.bbox.y0 + 0.5 * height, ax.bbox.y1)
        at = max(end[2][0] for end in column)
        away = np.abs(placed - wanted).max() > 0.4 * size * pixels_per_point
        for (item, name, end), y in zip(column, placed, strict=True):
            end = np.array([end[0], np.clip(end[1], ax.bbox.y0, ax.bbox.y1)])
            moved = (y - end[1]) / pixels_per_point
            color = _text_color(item.get_color())
            ax.annotate(
                name,
                xy=ax.transData.inverted().transform(end),
                xytext=((at - end[0]) / pixels_per_point + (18 if away else 7), moved),
                textcoords="offset points",
                va="center",
                ha="left",
                fontsize=size,
                color=color,
                annotation_clip=False,
                path_effects=halo,
                arrowprops=arrow | {"color": color} if away else None,
            )


def _spread(wanted: np.ndarray, gap: float, low: float, high: float) -> np.ndarray:
    """Move sorted positions as little as possible (least squares) until neighbours are ``gap`` apart.

    They stay between ``low`` and ``high`` where there is room for all of them.
    """
    n = len(wanted)
    offsets = gap * np.arange(n)
    blocks: list[list[float]] = []  # [mean, count]: pool adjacent violators on wanted - offsets
    for value in wanted - offsets:
        blocks.append([float(value), 1])
        while len(blocks) > 1 and blocks[-2][0] >= blocks[-1][0]:
            mean, count = blocks.pop()
            blocks[-1] = [
                (blocks[-1][0] * blocks[-1][1] + mean * count) / (blocks[-1][1] + count),
                blocks[-1][1] + count,
            ]
    base = np.concatenate([np.full(int(count), mean) for mean, count in blocks]) if blocks else np.zeros(0)
    room = high - gap * (n - 1)
    return np.clip(base, low, room) + offsets if room >= low else base + offsets


def _curves(history: Any) -> Mapping[str, Sequence[float]] | None:
    """The dict of lists in a Keras History or a mapping of numbers; None if it is neither."""
    history = getattr(history, "history", history)
    if not isinstance(history, Mapping):
        raise TypeError(f"Expected a Keras History or a dict of lists, but got {type(history).__name__}.")
    for value in history.values():
        if isinstance(value, Mapping) or hasattr(value, "history"):
            return None
    return history


def training_curves(
    histories: Any, *, metric: str = "loss", title: str | None = None, ylabel: str | None = None
) -> Figure:
    """Draw a metric over the epochs of one training run, or of several to compare.

    Parameters
    ----------
    histories : keras.callbacks.History, dict of lists, or dict name -> one of these
        One run is drawn with training and validation in their own colours; several have a colour each,
        training solid and validation (``val_`` + metric, where there) dashed.
    metric : str
        Key in the history, e.g. ``"loss"`` or ``"accuracy"``.
    title : str, optional
        The finding that the figure shows.
    ylabel : str, optional
        Default: the metric's name.
    """
    import matplotlib.pyplot as plt
    from matplotlib.ticker import MaxNLocator

    single = _curves(histories)
    if single is not None:
        runs = [(single, "training", "validation", BLUE, ORANGE)]
    else:
        runs = [
            (_curves(history), str(name), f"{name}, validation", color, color)
            for (name, history), color in zip(
                histories.items(), _SERIES_COLORS * (1 + len(histories) // len(_SERIES_COLORS)), strict=False
            )
        ]
    for history, *_ in runs:
        if metric not in history:
            raise KeyError(f"No {metric!r} in this history; it has {', '.join(sorted(history))}.")
    fig, ax = plt.subplots(figsize=(_WIDTH, 3.8), layout="constrained")
    longest = 0
    for history, training, validation, color, validation_color in runs:
        marker = "o" if len(history[metric]) == 1 else None
        epochs = np.arange(1, len(history[metric]) + 1)
        longest = max(longest, len(epochs))
        ax.plot(epochs, history[metric], color=color, label=training, marker=marker)
        if "val_" + metric in history:
            dashes = "-" if single is not None else (0, (4, 2))
            ax.plot(
                np.arange(1, len(history["val_" + metric]) + 1),
                history["val_" + metric],
                color=validation_color,
                label=validation,
                marker=marker,
                linestyle=dashes,
            )
    ax.set_xlabel("epoch")
    ax.set_ylabel(ylabel or metric.replace("_", " "))
    ax.set_xlim(1, max(longest, 2))
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    if title:
        ax.set_title(title)
    label_lines(ax)
    return fig
