"""The learning path as a picture: four phases, a dot for every lesson, filled where the lesson exists.

``python -m course_utils.lessons.learning_path`` writes it to ``book/_static/learning-path.svg``.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from course_utils.lessons.catalogue import lessons, root


@dataclass(frozen=True)
class Phase:
    """One of the four phases: its name, what it is about, and its lessons by number."""

    name: str
    about: str
    first: int
    last: int

    @property
    def numbers(self) -> range:
        return range(self.first, self.last + 1)


PHASES = (
    Phase("Foundations", "neurons, gradients, backpropagation, first networks in Keras", 0, 12),
    Phase("Architectures and training", "images, sequences, text, and the craft of training", 13, 29),
    Phase("Advanced", "attention, Transformers, generative models, detection, control", 30, 44),
    Phase("Cutting edge", "language models, diffusion, compression, responsibility", 45, 51),
)

_INK, _SOFT, _PANEL, _LINE, _READY = "#1b2733", "#4d5b68", "#fbfcfd", "#b9c4ce", "#0072b2"
_WIDTH, _ROW, _TOP, _TEXT, _DOTS, _STEP = 720, 104, 12, 84, 98, 37


def learning_path(ready: Collection[int]) -> str:
    """Return the picture as SVG text.

    Parameters
    ----------
    ready : collection of int
        Numbers of the lessons that exist; the others are drawn as planned.

    Returns
    -------
    str
        An SVG document with title and description, on its own light panel, so that it reads on any page.
    """
    height = _TOP + len(PHASES) * _ROW + 48
    numbers = ", ".join(str(n) for n in sorted(ready))
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}"'
        f' width="{_WIDTH}" height="{height}" role="img" aria-labelledby="path-title path-about"'
        ' font-family="system-ui, Segoe UI, Helvetica, Arial, sans-serif">',
        '<title id="path-title">The learning path: 52 lessons in four phases</title>',
        f'<desc id="path-about">{_description()} Ready: lessons {numbers}. The others are planned.</desc>',
        f'<rect x="1" y="1" width="{_WIDTH - 2}" height="{height - 2}" rx="14" fill="{_PANEL}"'
        f' stroke="{_LINE}"/>',
        f'<path d="M44 {_TOP + _ROW / 2} V{_TOP + 3.5 * _ROW}" stroke="{_LINE}" stroke-width="4"/>',
    ]
    for row, phase in enumerate(PHASES):
        parts += _phase(row, phase, ready)
    y = _TOP + len(PHASES) * _ROW + 22
    parts += [
        _dot(_DOTS, y, "", True),
        f'<text x="{_DOTS + 22}" y="{y + 5}" font-size="15" fill="{_SOFT}">ready to read and run</text>',
        _dot(_DOTS + 240, y, "", False),
        f'<text x="{_DOTS + 262}" y="{y + 5}" font-size="15" fill="{_SOFT}">planned</text>',
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _description() -> str:
    return " ".join(
        f"Phase {i}, {p.name}: lessons {p.first} to {p.last}, {p.about}." for i, p in enumerate(PHASES, 1)
    )


def _phase(row: int, phase: Phase, ready: Collection[int]) -> list[str]:
    middle = _TOP + row * _ROW + _ROW / 2
    begun = any(n in ready for n in phase.numbers)
    fill, stroke, ink = (_READY, _READY, "#ffffff") if begun else (_PANEL, _LINE, _INK)
    parts = [
        f'<circle cx="44" cy="{middle}" r="20" fill="{fill}" stroke="{stroke}" stroke-width="3"/>',
        f'<text x="44" y="{middle + 7}" font-size="20" font-weight="700" text-anchor="middle" fill="{ink}">'
        f"{row + 1}</text>",
        f'<text x="{_TEXT}" y="{middle - 26}" font-size="19" font-weight="700" fill="{_INK}">'
        f"{phase.name}</text>",
        f'<text x="{_TEXT}" y="{middle - 6}" font-size="15" fill="{_SOFT}">{phase.about}</text>',
    ]
    parts += [_dot(_DOTS + i * _STEP, middle + 23, str(n), n in ready) for i, n in enumerate(phase.numbers)]
    return parts


def _dot(x: float, y: float, text: str, filled: bool) -> str:
    fill, stroke, ink = (_READY, _READY, "#ffffff") if filled else ("#ffffff", "#8695a3", _SOFT)
    dashes = "" if filled else ' stroke-dasharray="3 2.5"'
    dot = f'<circle cx="{x}" cy="{y}" r="14" fill="{fill}" stroke="{stroke}" stroke-width="1.5"{dashes}/>'
    if not text:
        return dot
    weight = ' font-weight="700"' if filled else ""
    place = f'x="{x}" y="{y + 4.5}" font-size="13" text-anchor="middle"'
    return f'{dot}<text {place} fill="{ink}"{weight}>{text}</text>'


def write() -> None:
    """Write the picture into the repository, with the lessons that are in ``notebooks/`` now."""
    target = root() / "book" / "_static" / "learning-path.svg"
    target.write_text(learning_path({lesson.number for lesson in lessons()}), encoding="utf-8")


if __name__ == "__main__":
    write()
