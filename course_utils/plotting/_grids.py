"""Grids: of images, and of counts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from course_utils.plotting._plane import _classes
from course_utils.plotting._style import BLUE, RED, _contrast, _tint

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def image_grid(
    images: Any,
    titles: Sequence[Any] | None = None,
    *,
    columns: int = 8,
    cmap: str = "gray_r",
    suptitle: str | None = None,
) -> Figure:
    """Draw images in rows, on one common scale of brightness.

    Parameters
    ----------
    images : array of shape (n, height, width), (n, height, width, 1) or (n, height, width, 3), or a list
        Bytes are drawn on 0..255 and numbers within 0..1 on 0..1; others on their own common range.
    titles : sequence, optional
        One title per image.
    columns : int
        Images in a row.
    cmap : str
        Colour map for images without colour channels.
    suptitle : str, optional
        Title of the whole figure.
    """
    import matplotlib.pyplot as plt

    arrays = [np.asarray(image) for image in images]
    if not arrays:
        raise ValueError("There are no images to draw.")
    arrays = [a[..., 0] if a.ndim == 3 and a.shape[-1] == 1 else a for a in arrays]
    for a in arrays:
        if a.ndim != 2 and not (a.ndim == 3 and a.shape[-1] in (3, 4)):
            raise ValueError(
                f"An image should be (height, width) or (height, width, 3), but has shape {a.shape}."
            )
    if titles is not None and len(titles) != len(arrays):
        raise ValueError(f"There are {len(arrays)} images but {len(titles)} titles.")
    lowest = min(float(a.min()) for a in arrays)
    highest = max(float(a.max()) for a in arrays)
    if all(a.dtype == np.uint8 for a in arrays):
        lowest, highest = 0.0, 255.0
    elif lowest >= 0 and highest <= 1:
        lowest, highest = 0.0, 1.0

    columns = max(1, min(columns, len(arrays)))
    rows = -(-len(arrays) // columns)
    cell = min(1.5, 7.2 / columns)
    lines = max((str(t).count("\n") + 1 for t in titles), default=0) if titles is not None else 0
    shape = max(a.shape[0] / a.shape[1] for a in arrays)
    row_height = cell * shape + 0.2 * lines
    height = rows * row_height + (0.4 if suptitle else 0.05)
    fig, axes = plt.subplots(
        rows, columns, figsize=(max(columns * cell, 2.5), height), squeeze=False, layout="constrained"
    )
    fig.get_layout_engine().set(w_pad=0.03, h_pad=0.03, wspace=0.02, hspace=0.02)
    for number, ax in enumerate(axes.flat):
        ax.grid(False)
        if number >= len(arrays):
            ax.set_axis_off()
            continue
        image = arrays[number]
        if image.ndim == 3 and image.dtype != np.uint8:
            image = np.clip((image - lowest) / (highest - lowest or 1.0), 0, 1)
        ax.imshow(image, cmap=cmap, vmin=lowest, vmax=highest, interpolation="nearest")
        ax.set(xticks=[], yticks=[])
        for spine in ax.spines.values():
            spine.set(visible=True, color="#CCCCCC", linewidth=0.8)
        if titles is not None:
            ax.set_title(str(titles[number]), fontsize=10, fontweight="normal", loc="center", pad=3)
    if suptitle:
        fig.suptitle(suptitle, fontsize=12, fontweight="bold", x=0.01, ha="left")
    return fig


def confusion_matrix(
    y_true: Any,
    y_pred: Any,
    class_names: Sequence[str] | None = None,
    *,
    normalize: bool = False,
    title: str | None = None,
) -> Figure:
    """Draw how often each true class (row) was taken for each class (column).

    Right answers are blue and mistakes red, each darker with its share of the row, so that rare mistakes
    show beside many right answers.

    Parameters
    ----------
    y_true, y_pred : arrays of shape (n,)
        Whole-number labels 0..K-1.
    class_names : sequence of str, optional
        Default: the numbers.
    normalize : bool
        Write percentages of the row instead of counts.
    title : str, optional
    """
    import matplotlib.pyplot as plt

    true, predicted = _classes(y_true), _classes(y_pred)
    if len(true) != len(predicted):
        raise ValueError(f"There are {len(true)} true labels but {len(predicted)} predictions.")
    if not len(true):
        raise ValueError("There are no labels to count.")
    count = len(class_names) if class_names is not None else int(max(true.max(), predicted.max())) + 1
    if max(true.max(), predicted.max()) >= count:
        raise ValueError(f"There are {count} class names, but a label {max(true.max(), predicted.max())}.")
    names = [str(name) for name in (class_names if class_names is not None else range(count))]
    matrix = np.zeros((count, count), dtype=int)
    np.add.at(matrix, (true, predicted), 1)
    share = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    mistakes = share * (1 - np.eye(count))
    worst = max(float(mistakes.max()), 1e-9)

    side = min(max(3.2, 0.55 * count + 1.4), 7.2)
    fig, ax = plt.subplots(figsize=(side + 0.3, side), layout="constrained")
    ax.grid(False)
    picture = np.ones((count, count, 3))
    size = 11 if count <= 10 else 10
    for row in range(count):
        for column in range(count):
            if row == column:
                picture[row, column] = _tint(BLUE, 0.08 + 0.92 * share[row, column])
            elif matrix[row, column]:
                picture[row, column] = _tint(RED, 0.10 + 0.75 * share[row, column] / worst)
            if normalize:
                text = f"{100 * share[row, column]:.0f}%" if matrix[row, column] else "0"
                if 0 < share[row, column] < 0.005:
                    text = "<1%"
            else:
                text = f"{matrix[row, column]:,}"
            background = picture[row, column]
            color = "white" if _contrast("white", background) > _contrast("black", background) else "black"
            if not matrix[row, column] and row != column:
                color = "#737373"
            ax.text(column, row, text, ha="center", va="center", color=color, fontsize=size)
    ax.imshow(picture, interpolation="nearest")
    ax.set_xticks(np.arange(count) - 0.5, minor=True)
    ax.set_yticks(np.arange(count) - 0.5, minor=True)
    ax.grid(True, which="minor", color="white", linewidth=1.5)
    ax.tick_params(which="both", length=0)
    long = max(map(len, names)) > 4 and count > 3
    ax.set_xticks(range(count), names, rotation=40 if long else 0, ha="right" if long else "center")
    if long:
        for label in ax.get_xticklabels():
            label.set_rotation_mode("anchor")
    ax.set_yticks(range(count), names)
    ax.spines[:].set_visible(False)
    ax.set(xlabel="predicted class", ylabel="true class")
    if title:
        ax.set_title(title)
    return fig
