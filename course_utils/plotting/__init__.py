"""House style and the figures that lessons share.

Figures are opaque and white, so that they read as cards on a dark page. The colours are those of Okabe
and Ito, shifted until they stay apart under simulated protanopia and deuteranopia; markers and labels
carry the same information a second time. Every figure of a lesson is displayed by :func:`show`, which
attaches its alt text.
"""

from __future__ import annotations

from course_utils.plotting._curves import label_lines, training_curves
from course_utils.plotting._grids import confusion_matrix, image_grid
from course_utils.plotting._network import network_diagram
from course_utils.plotting._plane import decision_boundary, line, loss_surface, points
from course_utils.plotting._style import (
    BLACK,
    BLUE,
    CLASS_COLORS,
    CLASS_MARKERS,
    DIVERGING,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    RED,
    SEQUENTIAL,
    SKY,
    YELLOW,
    show,
    style,
)

__all__ = [
    "BLACK",
    "BLUE",
    "CLASS_COLORS",
    "CLASS_MARKERS",
    "DIVERGING",
    "GREEN",
    "GREY",
    "ORANGE",
    "PURPLE",
    "RED",
    "SEQUENTIAL",
    "SKY",
    "YELLOW",
    "confusion_matrix",
    "decision_boundary",
    "image_grid",
    "label_lines",
    "line",
    "loss_surface",
    "network_diagram",
    "points",
    "show",
    "style",
    "training_curves",
]
