"""Points, boundaries and losses in the plane."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from course_utils.plotting._style import BLACK, CLASS_COLORS, CLASS_MARKERS, SEQUENTIAL, _rgb, _tint

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def _classes(y: Any, *, count: int | None = None) -> np.ndarray:
    """Turn labels (0..K-1, -1/+1, or booleans) into class indices."""
    labels = np.asarray(y)
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1:
        raise ValueError(f"Labels should have shape (n,), but have shape {labels.shape}.")
    numbers = labels.astype(float)
    if not np.array_equal(numbers, np.round(numbers)):
        raise ValueError("Labels should be whole numbers: 0, 1, ... or -1 and +1.")
    index = numbers.astype(int)
    if index.size and index.min() < 0:
        if not np.isin(index, (-1, 1)).all():
            raise ValueError("Labels should be 0, 1, ..., K-1 or -1 and +1.")
        index = (index + 1) // 2
    return index


def _plane(X: Any, y: Any) -> tuple[np.ndarray, np.ndarray]:
    X = np.asarray(X, dtype=float)
    if X.ndim != 2 or X.shape[1] != 2:
        raise ValueError(f"Points should have shape (n, 2), but have shape {X.shape}.")
    index = _classes(y)
    if len(index) != len(X):
        raise ValueError(f"There are {len(X)} points but {len(index)} labels.")
    return X, index


def points(ax: Axes, X: Any, y: Any, *, class_names: Sequence[str] | None = None, size: float = 30) -> None:
    """Draw labelled points, one colour and one marker per class.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
    X : array of shape (n, 2)
    y : array of shape (n,)
        Labels 0..K-1, or -1 and +1 (drawn as class 0 and class 1).
    class_names : sequence of str, optional
        Names by class; given, a legend is drawn.
    size : float
        Marker area in points squared.
    """
    X, index = _plane(X, y)
    for k in np.unique(index):
        color = CLASS_COLORS[k % len(CLASS_COLORS)]
        marker = CLASS_MARKERS[k % len(CLASS_MARKERS)]
        chosen = index == k
        ax.scatter(
            X[chosen, 0],
            X[chosen, 1],
            s=size * (1.8 if marker == "*" else 1),  # a star of equal area looks smaller
            color=color,
            marker=marker,
            edgecolors=[tuple(_rgb(color) * 0.55)],
            linewidths=0.8,
            label=str(class_names[k]) if class_names is not None else None,
            zorder=3,
        )
    if class_names is not None and len(class_names) <= 4:
        ax.legend()
    elif class_names is not None:
        ax.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False)


def decision_boundary(
    ax: Axes,
    predict: Callable[[np.ndarray], Any],
    X: Any,
    y: Any,
    *,
    resolution: int = 200,
    margin: float = 0.3,
    class_names: Sequence[str] | None = None,
    size: float = 30,
    level: float | None = None,
) -> None:
    """Colour the plane by what a classifier says, draw its boundary, and the points on top.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
    predict : callable
        Takes an array of shape (n, 2) and returns (n,) scores or (n,) labels. Scores (floats) have their
        boundary at 0 if any of them is negative, else at 0.5 (probabilities). Labels (integers or booleans)
        are 0..K-1, or -1 and +1.
    X, y : arrays of shape (n, 2) and (n,)
        The points, as in :func:`points`.
    resolution : int
        Grid points along each axis.
    margin : float
        How far the picture goes beyond the points, in units of the data.
    class_names, size
        As in :func:`points`.
    level : float, optional
        The score at the boundary, where the rule above does not hold.
    """
    X, index = _plane(X, y)
    low, high = X.min(axis=0) - margin, X.max(axis=0) + margin
    grid_x = np.linspace(low[0], high[0], resolution)
    grid_y = np.linspace(low[1], high[1], resolution)
    mesh_x, mesh_y = np.meshgrid(grid_x, grid_y)
    values = np.asarray(predict(np.column_stack([mesh_x.ravel(), mesh_y.ravel()])))
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.shape != (mesh_x.size,):
        raise ValueError(
            f"predict returned shape {values.shape} for {mesh_x.size} points; it should return one score or "
            "one label per point (for one column per class take .argmax(axis=1))."
        )
    line = {"colors": "#222222", "linewidths": 1.6, "zorder": 2}
    if values.dtype.kind in "bui":
        labels = _classes(values).reshape(mesh_x.shape)
        present = np.unique(labels)
        tints = np.array([_tint(CLASS_COLORS[k % len(CLASS_COLORS)], 0.3) for k in range(present.max() + 1)])
        step_x, step_y = (grid_x[1] - grid_x[0]) / 2, (grid_y[1] - grid_y[0]) / 2
        extent = (low[0] - step_x, high[0] + step_x, low[1] - step_y, high[1] + step_y)
        ax.imshow(
            tints[labels],
            origin="lower",
            extent=extent,
            interpolation="nearest",
            aspect=ax.get_aspect(),
            zorder=0,
        )
        if len(present) > 1:
            for k in present if len(present) > 2 else present[1:]:
                ax.contour(mesh_x, mesh_y, _smooth(labels == k), levels=[0.5], **line)
    else:
        scores = values.astype(float).reshape(mesh_x.shape)
        lowest, highest = np.nanmin(scores), np.nanmax(scores)
        if level is None:
            level = 0.0 if lowest < 0 else 0.5
        edges = [min(lowest, level) - 1, level, max(highest, level) + 1]
        tints = [_tint(CLASS_COLORS[0], 0.3), _tint(CLASS_COLORS[1], 0.3)]
        ax.contourf(mesh_x, mesh_y, scores, levels=edges, colors=tints, zorder=0)
        if lowest < level < highest:
            ax.contour(mesh_x, mesh_y, scores, levels=[level], **line)
    ax.grid(False)
    points(ax, X, np.asarray(index), class_names=class_names, size=size)
    ax.set_xlim(low[0], high[0])
    ax.set_ylim(low[1], high[1])


def _smooth(mask: np.ndarray) -> np.ndarray:
    """Mean over each cell and its eight neighbours, so that a contour of a mask is no staircase."""
    padded = np.pad(mask.astype(float), 1, mode="edge")
    rows, columns = mask.shape
    return np.mean([padded[i : i + rows, j : j + columns] for i in range(3) for j in range(3)], axis=0)


def line(ax: Axes, w: Any, b: float, *, label: str | None = None, color: Any = BLACK, **kwargs: Any) -> None:
    """Draw the line w·x + b = 0 across the axes without changing their limits.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
    w : array of shape (2,)
        Where ``w`` is zero no line exists, and none is drawn.
    b : float
    label : str, optional
        Name for :func:`label_lines` or a legend.
    color : colour
    **kwargs
        Passed to matplotlib, e.g. ``linestyle="--"``.
    """
    w = np.asarray(w, dtype=float).reshape(-1)
    if w.shape != (2,):
        raise ValueError(f"w should hold two weights, but has {w.size}.")
    if not np.any(w):
        return
    b = float(np.asarray(b, dtype=float).reshape(()))
    limits = ax.dataLim.frozen().get_points()
    minimum = ax.dataLim.minpos.copy()
    view, auto = (ax.get_xlim(), ax.get_ylim()), (ax.get_autoscalex_on(), ax.get_autoscaley_on())
    centre = np.array([np.mean(view[0]), np.mean(view[1])])
    start = centre - (w @ centre + b) / (w @ w) * w
    direction = np.array([-w[1], w[0]]) / np.hypot(*w)
    ax.axline(start, start + direction, label=label, color=color, **kwargs)
    ax.dataLim.set_points(limits)
    ax.dataLim._minpos = minimum
    ax.set_xlim(view[0], auto=auto[0])
    ax.set_ylim(view[1], auto=auto[1])


def loss_surface(
    ax: Axes,
    f: Callable[[np.ndarray, np.ndarray], np.ndarray],
    xlim: tuple[float, float],
    ylim: tuple[float, float],
    *,
    path: Any = None,
    levels: int = 30,
    color: Any = "white",
    label: str | None = None,
) -> None:
    """Draw a loss of two parameters from above, and the steps of an optimiser on it.

    The contour levels lie closer together near the minimum (they grow with the square), so that a
    quadratic bowl has evenly spaced rings and a valley stays visible.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
    f : callable
        Takes arrays X and Y of the same shape, returns the loss of the same shape.
    xlim, ylim : pairs of float
    path : array of shape (steps, 2), optional
        Parameters after each step, the starting point first. A circle marks the start, a star the end.
    levels : int
        Number of contour levels.
    color : colour
        Of the path.
    label : str, optional
        Name of the path for :func:`label_lines` or a legend.
    """
    from matplotlib import patheffects

    mesh_x, mesh_y = np.meshgrid(np.linspace(*xlim, 200), np.linspace(*ylim, 200))
    loss = np.ma.masked_invalid(np.asarray(f(mesh_x, mesh_y), dtype=float))
    if loss.shape != mesh_x.shape:
        raise ValueError(f"f returned shape {loss.shape} for arrays of shape {mesh_x.shape}.")
    lowest, highest = float(loss.min()), float(loss.max())
    if highest > lowest:
        steps = lowest + (highest - lowest) * np.linspace(0, 1, levels + 1) ** 2
        steps[-1] = np.nextafter(highest, np.inf)
        ax.contourf(mesh_x, mesh_y, loss, levels=steps, cmap=SEQUENTIAL, zorder=0)
        ax.contour(
            mesh_x, mesh_y, loss, levels=steps[::2], colors="white", linewidths=0.5, alpha=0.5, zorder=1
        )
    if path is not None:
        path = np.asarray(path, dtype=float)
        if path.ndim != 2 or path.shape[1] != 2:
            raise ValueError(f"path should have shape (steps, 2), but has shape {path.shape}.")
        rim = [patheffects.withStroke(linewidth=3.4, foreground="black")]
        ax.plot(path[:, 0], path[:, 1], color=color, lw=1.6, label=label, path_effects=rim, zorder=3)
        ax.scatter(path[:, 0], path[:, 1], s=12, color=color, edgecolors="black", linewidths=0.6, zorder=4)
        ax.scatter(*path[0], s=70, color=color, edgecolors="black", linewidths=1.2, zorder=5)
        ax.scatter(*path[-1], s=170, marker="*", color=color, edgecolors="black", linewidths=1.0, zorder=5)
    ax.grid(False)
    ax.set_xlim(*xlim)
    ax.set_ylim(*ylim)
