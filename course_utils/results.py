"""Headline results: what a lesson measured, shown to the learner and collected by the run report."""

from __future__ import annotations

from course_utils import _display

MIME = "application/vnd.course.result+json"


def record(name: str, value: float, fmt: str = ".3g") -> None:
    """Show one headline result and hand it to the run report.

    Parameters
    ----------
    name : str
        What was measured, understandable without the lesson around it.
    value : float
        The measured value. A NumPy or TensorFlow scalar is converted.
    fmt : str
        Format specification for showing the value, e.g. ``".1%"`` or ``",.0f"``.

    Raises
    ------
    ValueError
        If ``name`` is empty or ``fmt`` does not format a number.
    """
    if not name.strip():
        raise ValueError("A result needs a name that says what was measured.")
    number = float(value)
    text = format(number, fmt)
    bundle = {
        "text/plain": f"Result · {name}: {text}",
        MIME: {"name": name, "value": number, "text": text},
    }
    _display.show(bundle)
