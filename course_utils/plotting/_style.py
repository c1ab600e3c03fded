"""Colours, the style of figures, and how they are displayed."""

from __future__ import annotations

import base64
import io
import os
import re
import struct
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ORANGE = "#DF9A00"
BLUE = "#0072C0"
GREEN = "#2FA36B"
PURPLE = "#B0719E"
SKY = "#74CAF7"
RED = "#AE3A00"
YELLOW = "#F7EC3A"
GREY = "#595959"
BLACK = "#000000"

#: Colour of class 0, 1, 2, ...; a class beyond the last colour starts again with another marker.
CLASS_COLORS = [ORANGE, BLUE, GREEN, PURPLE, SKY, RED, YELLOW, BLACK]
#: Marker of class 0, 1, 2, ...
CLASS_MARKERS = ["o", "s", "^", "D", "v", "P", "X", "*", "<", ">"]
SEQUENTIAL = "viridis"
DIVERGING = "PuOr"

_SERIES_COLORS = [BLUE, PURPLE, GREEN, RED, SKY, ORANGE, GREY]
_PIXELS_PER_INCH = 100  # at display size
_SCALE = 2  # pixels drawn per pixel displayed, for sharp text on dense screens
_WIDTH = 6.8  # inches of a full-width figure
_QUANTISATION_ERROR = 2.0  # root mean square, of 255: above it a figure keeps all its colours

_STYLE: dict[str, Any] = {
    "figure.figsize": (_WIDTH, 4.0),
    "figure.dpi": _PIXELS_PER_INCH,
    "figure.facecolor": "white",
    "figure.constrained_layout.use": True,
    "figure.titlesize": 12,
    "figure.titleweight": "bold",
    "savefig.facecolor": "white",
    "savefig.transparent": False,
    "axes.facecolor": "white",
    "axes.edgecolor": "#444444",
    "axes.labelcolor": "#222222",
    "axes.labelsize": 11,
    "axes.titlesize": 12,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": "#E2E2E2",
    "grid.linewidth": 0.8,
    "font.size": 11,
    "xtick.labelsize": 10,
    "ytick.labelsize": 10,
    "xtick.color": "#444444",
    "ytick.color": "#444444",
    "text.color": "#222222",
    "legend.fontsize": 10,
    "legend.frameon": True,
    "legend.framealpha": 0.9,
    "legend.edgecolor": "#CCCCCC",
    "lines.linewidth": 2.0,
    "lines.markersize": 6,
    "image.cmap": SEQUENTIAL,
}


def style() -> None:
    """Apply the house style to every figure made afterwards; ``start()`` calls it."""
    import matplotlib
    from cycler import cycler

    matplotlib.rcParams.update(_STYLE)
    cycle = [BLUE, ORANGE, GREEN, PURPLE, RED, SKY, GREY]
    matplotlib.rcParams["axes.prop_cycle"] = cycler(color=cycle)


def show(fig: Figure, alt: str) -> None:
    """Display a figure with its alt text, once, and close it.

    The text goes into the output's metadata, from where the book takes it. JupyterLab does not hand it to
    a screen reader: with ``COURSE_ALT=1`` in the environment it is printed below each figure as well.
    Outside a notebook only the text is printed.

    Parameters
    ----------
    fig : matplotlib.figure.Figure
        The finished figure.
    alt : str
        What a person would tell a friend who cannot see the figure: what is drawn, and what it shows.

    Raises
    ------
    ValueError
        If ``alt`` is empty.
    TypeError
        If ``fig`` is not a figure.
    """
    import matplotlib.pyplot as plt
    from IPython.core.interactiveshell import InteractiveShell
    from matplotlib.figure import Figure

    if not isinstance(fig, Figure):
        raise TypeError(f"plot.show needs the figure itself (fig), not {type(fig).__name__}.")
    if not isinstance(alt, str) or not alt.strip():
        raise ValueError("A figure needs alt text: one or two sentences on what it draws and what it shows.")
    alt = " ".join(alt.split())
    aloud = os.environ.get("COURSE_ALT", "").strip().lower() in ("1", "true", "yes", "on")
    try:
        if not InteractiveShell.initialized():
            print(f"[Figure: {alt}]")
            return
        from IPython.display import display

        png, width, height = _png(fig)
        bundle = {"image/png": base64.b64encode(png).decode("ascii"), "text/plain": alt}
        display(bundle, raw=True, metadata={"image/png": {"alt": alt, "width": width, "height": height}})
        if aloud:
            print(f"[Figure: {alt}]")
    finally:
        plt.close(fig)


def _png(fig: Figure) -> tuple[bytes, int, int]:
    """Return the figure as PNG with its width and height in pixels at display size."""
    if not _wrap_titles(fig):
        fig.set_layout_engine("none")  # laid out just now and nothing has changed since: not a second time
    buffer = io.BytesIO()
    fig.savefig(
        buffer,
        format="png",
        dpi=_PIXELS_PER_INCH * _SCALE,
        bbox_inches="tight",
        pad_inches=0.1,
        facecolor="white",
        transparent=False,
        metadata={"Software": None},
    )
    width, height = struct.unpack(">II", buffer.getvalue()[16:24])
    return _smaller(buffer.getvalue()), round(width / _SCALE), round(height / _SCALE)


def _smaller(png: bytes) -> bytes:
    """Store a drawing in 256 colours, a third of the size to the same eye; leave photographs as they are."""
    from PIL import Image

    picture = Image.open(io.BytesIO(png)).convert("RGB")
    few = picture.quantize(256, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    every = (slice(None, None, 3), slice(None, None, 3))  # every third pixel each way tells enough
    error = np.int16(np.asarray(picture)[every]) - np.asarray(few.convert("RGB"))[every]
    if np.sqrt(np.mean(np.square(error, dtype=np.int32))) > _QUANTISATION_ERROR:
        few = picture
    buffer = io.BytesIO()
    few.save(buffer, "PNG")
    return buffer.getvalue()


def _wrap_titles(fig: Figure) -> bool:
    """Lay the figure out and break titles wider than their axes (or the figure, for a lone axes) into lines.

    Returns whether the layout has to be done again.
    """
    titled = []
    for ax in fig.axes:
        for title in (ax.title, ax._left_title, ax._right_title):
            if title.get_text():
                titled.append((ax, title))
    if not titled and fig._suptitle is None:
        return True
    fig.draw_without_rendering()
    changed = False
    figure_width = fig.bbox.width
    for ax, title in titled:
        box = ax.get_window_extent()
        alone = not any(
            other is not ax
            and other.get_window_extent().width > 0.1 * figure_width
            and other.get_window_extent().y0 < box.y1
            and other.get_window_extent().y1 > box.y0
            for other in fig.axes
        )
        room = figure_width - box.x0 if alone and title is ax._left_title else box.width * 1.04
        changed |= _wrap(title, room)
    if fig._suptitle is not None:
        changed |= _wrap(fig._suptitle, figure_width * 0.98)
    return changed


def _wrap(text: Any, room: float) -> bool:
    """Break a text at spaces outside ``$...$`` into lines of at most ``room`` pixels; return whether it did."""
    if text.get_window_extent().width <= room:
        return False
    lines: list[str] = []
    for paragraph in text.get_text().split("\n"):
        current = ""
        for word in re.findall(r"(?:\$[^$]*\$|\S)+", paragraph):
            longer = f"{current} {word}".strip()
            text.set_text(longer)
            if current and text.get_window_extent().width > room:
                lines.append(current)
                current = word
            else:
                current = longer
        lines.append(current)
    text.set_text("\n".join(lines))
    return True


def _rgb(color: Any) -> np.ndarray:
    from matplotlib.colors import to_rgb

    return np.array(to_rgb(color))


def _contrast(first: Any, second: Any) -> float:
    """Contrast ratio of two colours as WCAG 2 defines it, from 1 to 21."""

    def luminance(color: Any) -> float:
        rgb = _rgb(color)
        linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
        return float(linear @ [0.2126, 0.7152, 0.0722])

    low, high = sorted((luminance(first), luminance(second)))
    return (high + 0.05) / (low + 0.05)


def _tint(color: Any, strength: float) -> tuple[float, ...]:
    """Mix a colour with white: 0 is white, 1 the colour itself."""
    return tuple(1 - strength * (1 - _rgb(color)))


def _text_color(color: Any, background: Any = "white") -> tuple[float, ...]:
    """Darken a colour until text in it has a contrast of at least 4.5 on the background."""
    rgb = _rgb(color)
    while _contrast(rgb, background) < 4.5 and rgb.max() > 0.01:
        rgb = rgb * 0.96
    return tuple(rgb)
