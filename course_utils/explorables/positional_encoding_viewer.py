"""How does a vector say where it stands, and how do dot products see distance? Sines, rotation, a table.

The functions in this module are the NumPy twins of those in ``positional_encoding_viewer.js``; the tests
compare both. Places are rows and count from 0. Pair p of the columns, ``2p`` and ``2p + 1``, has the angular
speed ``base ** (-2p / dim)`` in radians a place. Sines: Vaswani et al. (2017), section 3.5. Rotation: Su et
al. (2021), "RoFormer: Enhanced Transformer with Rotary Position Embedding".
"""

from __future__ import annotations

from typing import Any

import numpy as np
import traitlets
from numpy.typing import ArrayLike, NDArray

from course_utils.explorables._base import BLUE, ORANGE, RED, Explorable, svg_document
from course_utils.explorables.playground import _mulberry32, _normal

KINDS = ("sines", "rotary", "learned")
MIN_LENGTH, MAX_LENGTH = 8, 128
MIN_DIM, MAX_DIM = 4, 64
MIN_BASE, MAX_BASE = 2.0, 100_000.0
_TABLE, _QUERY, _KEY = 211, 223, 227  # streams of random numbers


def _normals(seed: int, purpose: int, count: int) -> NDArray:
    random = _mulberry32((seed + 1) * 2654435761 + purpose)
    return np.array([_normal(random) for _ in range(count)]) * np.sqrt(0.5)


def speeds(dim: int, base: float = 10_000.0) -> NDArray:
    """The angular speed of each pair of columns, (dim / 2,), radians a place."""
    return base ** (-np.arange(0, dim, 2) / dim)


def sinusoids(length: int, dim: int, base: float = 10_000.0) -> NDArray:
    """Encodings (length, dim): the sine of the angle in the even columns, its cosine in the odd ones."""
    angles = np.arange(length)[:, None] * speeds(dim, base)
    return np.stack([np.sin(angles), np.cos(angles)], axis=-1).reshape(length, dim)


def rotated(vector: ArrayLike, length: int, base: float = 10_000.0) -> NDArray:
    """One vector (dim,) as it is at each place, (length, dim): its pairs turned by place times speed."""
    vector = np.asarray(vector, dtype=float)
    angles = np.arange(length)[:, None] * speeds(len(vector), base)
    a, b = vector[0::2], vector[1::2]
    turned = [a * np.cos(angles) - b * np.sin(angles), a * np.sin(angles) + b * np.cos(angles)]
    return np.stack(turned, axis=-1).reshape(length, len(vector))


def learned(length: int, dim: int, seed: int = 0) -> NDArray:
    """A table (length, dim) as it is before any training: normal numbers of variance 1/2."""
    return _normals(seed, _TABLE, length * dim).reshape(length, dim)


def contents(dim: int, seed: int = 0, same: bool = True) -> tuple[NDArray, NDArray]:
    """The query and the key (dim,) that are turned: normal numbers of variance 1/2; ``same``: equal ones."""
    query = _normals(seed, _QUERY, dim)
    return query, query.copy() if same else _normals(seed, _KEY, dim)


def vectors(
    kind: str, length: int, dim: int, base: float = 10_000.0, seed: int = 0, same: bool = True
) -> tuple[NDArray, NDArray]:
    """The two vectors of every place, (length, dim) each, whose dot products are looked at.

    For ``"sines"`` and ``"learned"`` both are the encoding of the place; for ``"rotary"`` the first is the
    query and the second the key, turned as that place asks.

    Raises
    ------
    ValueError
        For an unknown kind.
    """
    if kind == "rotary":
        query, key = contents(dim, seed, same)
        return rotated(query, length, base), rotated(key, length, base)
    if kind == "sines":
        rows = sinusoids(length, dim, base)
    elif kind == "learned":
        rows = learned(length, dim, seed)
    else:
        raise ValueError(f"There is no encoding {kind!r}; choose one of: {', '.join(KINDS)}.")
    return rows, rows


def similarities(
    kind: str, length: int, dim: int, base: float = 10_000.0, seed: int = 0, same: bool = True
) -> NDArray:
    """Dot products (length, length): the vector of place i with that of place j; see :func:`vectors`."""
    first, second = vectors(kind, length, dim, base, seed, same)
    return first @ second.T


def diagonal_spread(table: ArrayLike, offset: int) -> float:
    """Largest minus smallest entry of the diagonal ``j - i = offset`` of a square table."""
    return float(np.ptp(np.diagonal(np.asarray(table, dtype=float), offset)))


def _number(value: Any, name: str, low: float, high: float) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise ValueError(f"PositionalEncodingViewer needs a number for {name}, not {value!r}.")
    if not low <= value <= high:
        raise ValueError(f"PositionalEncodingViewer needs {name} from {low:g} to {high:g}, not {value!r}.")
    return float(value)


def _whole(value: Any, name: str, low: int, high: int, even: bool = False) -> int:
    whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    if not whole or not low <= value <= high or (even and value % 2):
        kind = "an even number" if even else "a whole number"
        raise ValueError(
            f"PositionalEncodingViewer needs {name} that is {kind} from {low} to {high}, not {value!r}."
        )
    return int(value)


def _kind(value: Any) -> str:
    if value not in KINDS:
        raise ValueError(
            f"PositionalEncodingViewer knows no encoding {value!r}; choose one of: {', '.join(KINDS)}."
        )
    return value


def _text(value: float, digits: int = 2) -> str:
    text = f"{abs(value):.{digits}f}"
    return f"−{text}" if value < 0 and float(text) else text


class PositionalEncodingViewer(Explorable):
    """How does a vector say where it stands, and how do dot products see distance?

    Three ways to tell a place: sines added to a token, queries and keys that are turned, and a table that is
    learned (here as random as before training). The figure shows the vectors of all places, the dot product
    of two places for one of them and for all pairs, and one pair of columns as the hand of a clock.

    Parameters
    ----------
    length : number of places, 8 to 128
    dim : d, even, 4 to 64
    base : from 2 to 100 000; the slowest pair is almost ``base`` times slower than the first
    kind : "sines", "rotary" or "learned"
    position, other : the two places i and j, 0 to length - 1
    pair : the pair of columns that is drawn as a clock, 0 to dim / 2 - 1
    same : turn equal queries and keys, and not two different vectors; for "rotary"
    seed : decides the table and the vectors that are turned, 0 to 10 000

    Raises
    ------
    ValueError
        For an unknown kind and a number out of its range.
    """

    _js = "positional_encoding_viewer.js"

    length = traitlets.Int(64).tag(sync=True)
    dim = traitlets.Int(32).tag(sync=True)
    base = traitlets.Float(10_000.0).tag(sync=True)
    kind = traitlets.Unicode("sines").tag(sync=True)
    position = traitlets.Int(20).tag(sync=True)
    other = traitlets.Int(30).tag(sync=True)
    pair = traitlets.Int(2).tag(sync=True)
    same = traitlets.Bool(True).tag(sync=True)
    seed = traitlets.Int(0).tag(sync=True)

    def __init__(
        self,
        length: int = 64,
        dim: int = 32,
        base: float = 10_000.0,
        *,
        kind: str = "sines",
        position: int | None = None,
        other: int | None = None,
        pair: int | None = None,
        same: bool = True,
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        length = _whole(length, "a length", MIN_LENGTH, MAX_LENGTH)
        dim = _whole(dim, "a dim", MIN_DIM, MAX_DIM, even=True)
        last = length - 1
        super().__init__(
            length=length,
            dim=dim,
            base=_number(base, "a base", MIN_BASE, MAX_BASE),
            kind=_kind(kind),
            position=length * 5 // 16 if position is None else _whole(position, "a position", 0, last),
            other=length * 15 // 32 if other is None else _whole(other, "another position", 0, last),
            pair=min(2, dim // 2 - 1) if pair is None else _whole(pair, "a pair", 0, dim // 2 - 1),
            same=bool(same),
            seed=_whole(seed, "a seed", 0, 10_000),
            **kwargs,
        )

    @traitlets.validate("kind")
    def _check_kind(self, proposal: Any) -> str:
        return _kind(proposal["value"])

    @traitlets.validate("base")
    def _check_base(self, proposal: Any) -> float:
        return _number(proposal["value"], "a base", MIN_BASE, MAX_BASE)

    @traitlets.validate("dim")
    def _check_dim(self, proposal: Any) -> int:
        return _whole(proposal["value"], "a dim", MIN_DIM, MAX_DIM, even=True)

    def _setting(self, kind: str | None = None) -> tuple[str, int, int, float, int, bool]:
        return kind or self.kind, self.length, self.dim, self.base, self.seed, self.same

    def vectors(self) -> tuple[NDArray, NDArray]:
        """See :func:`vectors`: (length, dim) twice, for the present kind."""
        return vectors(*self._setting())

    def similarities(self, kind: str | None = None) -> NDArray:
        """See :func:`similarities`: (length, length), for the present kind or another."""
        return similarities(*self._setting(kind))

    @property
    def description(self) -> str:
        i, j = self.position, self.other
        table = self.similarities()
        what = {
            "sines": "Sinusoidal encodings",
            "rotary": f"A query and {'an equal' if self.same else 'another'} key turned at each place (RoPE)",
            "learned": "A table of random vectors, as before training",
        }[self.kind]
        spread = diagonal_spread(table, j - i)
        law = (
            "is the same for all pairs of places this far apart"
            if spread < 1e-9
            else f"differs by up to {_text(spread)} among the pairs of places this far apart"
        )
        turn = 2 * np.pi / speeds(self.dim, self.base)[self.pair]
        return (
            f"{what}, for {self.length} places and {self.dim} columns (base {self.base:g}), as a heat map; the dot "
            f"products of place {i} with all others as a curve; those of all pairs as a heat map; and columns "
            f"{2 * self.pair} and {2 * self.pair + 1} as a hand that turns once in {turn:.3g} places. The dot "
            f"product of places {i} and {j}, {abs(j - i)} apart, is {_text(table[i, j])}; it {law}."
        )

    def preview(self) -> str:
        rows, _ = self.vectors()
        table = self.similarities()
        left, top, wide, tall = 84.0, 82.0, 480.0, 150.0
        cell, thick = wide / self.length, tall / self.dim
        high = float(np.abs(rows).max())
        names = {"sines": "sines and cosines", "rotary": "the turned query", "learned": "a random table"}
        parts = [
            '<text font-size="15"><tspan x="16" y="26">How does a vector say where it stands,</tspan>'
            '<tspan x="16" y="46">and how do dot products see distance?</tspan></text>',
            f'<text x="{left:g}" y="{top - 9:g}">{names[self.kind]}: blue positive, orange negative</text>',
        ]
        # one path for every colour and strength keeps the picture small
        levels = np.clip(np.rint(4 * rows / high), -4, 4).astype(int)
        for level in (-4, -3, -2, -1, 1, 2, 3, 4):
            strokes = []
            for c in range(self.dim):
                t = 0
                while t < self.length:
                    if levels[t, c] != level:
                        t += 1
                        continue
                    end = t
                    while end < self.length and levels[end, c] == level:
                        end += 1
                    strokes.append(
                        f"M{left + t * cell:.1f} {top + c * thick:.1f}h{(end - t) * cell:.1f}"
                        f"v{thick:.1f}h{(t - end) * cell:.1f}z"
                    )
                    t = end
            fill = BLUE if level > 0 else ORANGE
            parts.append(f'<path d="{"".join(strokes)}" fill="{fill}" fill-opacity="{abs(level) / 4:g}"/>')
        parts.append(
            f'<rect x="{left:g}" y="{top:g}" width="{wide:g}" height="{tall:g}" fill="none" stroke="#888"/>'
            f'<text x="{left - 8:g}" y="{top + 12:g}" text-anchor="end">column 0</text>'
            f'<text x="{left - 8:g}" y="{top + tall - 2:g}" text-anchor="end">{self.dim - 1}</text>'
        )
        base, height = top + tall + 150, 110.0
        low, most = min(0.0, float(table.min())), float(table.max())

        def level_of(value: float) -> float:
            return base - height * (value - low) / (most - low)

        i = self.position
        points = "L".join(
            f"{left + (t + 0.5) * cell:.1f} {level_of(table[i, t]):.1f}" for t in range(self.length)
        )
        x, z = left + (i + 0.5) * cell, left + (self.other + 0.5) * cell
        parts.append(
            f'<text x="{left:g}" y="{base - height - 10:g}">dot product of place {i} with every place</text>'
            f'<path d="M{left:g} {level_of(0):.1f}h{wide:g}" stroke="#ccc"/>'
            f'<path d="M{points}" fill="none" stroke="{BLUE}" stroke-width="2"/>'
            f'<path d="M{x:.1f} {top:g}V{top + tall:g}M{x:.1f} {base - height:g}V{base:g}" stroke="{RED}"/>'
            f'<circle cx="{z:.1f}" cy="{level_of(table[i, self.other]):.1f}" r="4" fill="{RED}"/>'
            f'<text x="{left - 8:g}" y="{level_of(most) + 4:.1f}" text-anchor="end">{_text(most, 1)}</text>'
            f'<text x="{left - 8:g}" y="{level_of(0) + 4:.1f}" text-anchor="end">0</text>'
            f'<text x="{left:g}" y="{base + 18:g}">place 0</text>'
            f'<text x="{left + wide:g}" y="{base + 18:g}" text-anchor="end">{self.length - 1}</text>'
        )
        return svg_document(left + wide + 20, base + 32, "".join(parts))
