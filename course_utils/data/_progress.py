"""A one-line text bar for downloads, in the form that pooch accepts."""

from __future__ import annotations

import sys
import time

_WIDTH = 28


class TextBar:
    """Progress of one download in bytes, redrawn in place at most ten times a second.

    Drawn only where a line can be redrawn (a terminal or a notebook); in a log file nothing is shown.
    """

    def __init__(self, label: str, total: int) -> None:
        self.total = total
        self._label = label
        self._done = 0
        self._drawn_at = 0.0
        self._length = 0
        self._out = sys.stdout
        self._shown = self._out.isatty() or type(self._out).__module__.startswith("ipykernel")

    def update(self, amount: int) -> None:
        """Add ``amount`` bytes."""
        self._done += amount
        now = time.monotonic()
        if self._shown and now - self._drawn_at >= 0.1:
            self._drawn_at = now
            self._draw()

    def reset(self) -> None:
        """Begin again at zero."""
        self._done = 0

    def close(self) -> None:
        """Remove the bar from the line; what follows is printed in its place."""
        if self._length:
            self._out.write("\r" + " " * self._length + "\r")
            self._out.flush()
            self._length = 0

    def _draw(self) -> None:
        share = min(1.0, self._done / self.total) if self.total else 0.0
        filled = round(share * _WIDTH)
        megabytes = f"{min(self._done, self.total) / 1e6:.1f} of {self.total / 1e6:.1f} MB"
        text = f"{self._label} [{'#' * filled}{'.' * (_WIDTH - filled)}] {share:4.0%}  {megabytes}"
        self._out.write("\r" + text.ljust(self._length))
        self._out.flush()
        self._length = len(text)
