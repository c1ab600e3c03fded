"""The stand-in for Fashion-MNIST: drawings of the same ten garments, made of a few soft shapes each.

A drawing is built on a canvas of -1..1 (x to the right, y downwards) as coverage of every pixel, then
shaded. All drawings of a class are drawn together: every length is an array with one value a drawing.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

from ._digits import stratified_split

Array = np.ndarray

CLASS_NAMES = [
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
]
PER_CLASS, N_TEST = 250, 500
_SIDE = 28
_PIXEL = 2.0 / _SIDE


class _Canvas:
    """m drawings of one class: where their pixels lie, and shapes that cover them."""

    def __init__(self, rng: np.random.Generator, m: int) -> None:
        self.rng = rng
        self.m = m
        centres = ((np.arange(_SIDE) + 0.5) * _PIXEL - 1.0).astype(np.float32)
        x, y = np.meshgrid(centres, centres)
        # Each drawing is a little turned, stretched and moved.
        turn = self.normal(0.0, 0.045)  # radians
        x = (x - self.normal(0.0, 0.035)) / self.uniform(0.92, 1.06)
        y = (y - self.normal(0.0, 0.035)) / self.uniform(0.92, 1.04)
        self.x = np.cos(turn) * x + np.sin(turn) * y
        self.y = np.cos(turn) * y - np.sin(turn) * x

    def uniform(self, low: float, high: float) -> Array:
        """(m, 1, 1) numbers."""
        return self.rng.uniform(low, high, (self.m, 1, 1)).astype(np.float32)

    def normal(self, mean: float, deviation: float) -> Array:
        """(m, 1, 1) numbers, cut at two deviations."""
        drawn = self.rng.standard_normal((self.m, 1, 1)).astype(np.float32)
        return mean + deviation * np.clip(drawn, -2.0, 2.0)

    def chance(self, share: float) -> Array:
        """(m, 1, 1) numbers 0 or 1, 1 in about this share of the drawings."""
        return (self.rng.random((self.m, 1, 1)) < share).astype(np.float32)

    def polygon(self, *corners: tuple[Any, Any]) -> Array:
        """Convex polygon, corners clockwise as seen."""
        inside = np.full((self.m, _SIDE, _SIDE), np.inf, dtype=np.float32)
        for (x0, y0), (x1, y1) in zip(corners, (*corners[1:], corners[0]), strict=True):
            across, down = np.float32(x1 - x0), np.float32(y1 - y0)
            distance = (across * (self.y - y0) - down * (self.x - x0)) / np.maximum(
                _length(across, down), 1e-9
            )
            inside = np.minimum(inside, distance)
        return _soft(inside)

    def ellipse(self, x: Any, y: Any, rx: Any, ry: Any) -> Array:
        distance = 1.0 - _length((self.x - x) / rx, (self.y - y) / ry)
        return _soft(distance * np.minimum(rx, ry))

    def stroke(self, x0: Any, y0: Any, x1: Any, y1: Any, width: Any) -> Array:
        """A straight stroke with round ends."""
        across, down = np.float32(x1 - x0), np.float32(y1 - y0)
        length = np.maximum(across**2 + down**2, 1e-9)
        t = np.clip(((self.x - x0) * across + (self.y - y0) * down) / length, 0.0, 1.0)
        return _soft(width / 2.0 - _length(self.x - x0 - t * across, self.y - y0 - t * down))

    def loop(self, x: Any, y: Any, rx: Any, ry: Any, width: Any) -> Array:
        """The outline of an ellipse."""
        distance = (1.0 - _length((self.x - x) / rx, (self.y - y) / ry)) * np.minimum(rx, ry)
        return _soft(width / 2.0 - np.abs(distance))

    def pair(self, draw: Callable[[int], Array]) -> Array:
        """What ``draw`` makes on the right side (+1) together with its mirror image (-1)."""
        return np.maximum(draw(1), draw(-1))


def _length(x: Array, y: Array) -> Array:
    return np.sqrt(x * x + y * y)


def _soft(distance: Array) -> Array:
    return np.clip(0.5 + distance / _PIXEL, 0.0, 1.0)


def _side_quad(canvas: _Canvas, side: int, corners: list[tuple[Any, Any]]) -> Array:
    """A polygon given for the right side, or mirrored (the order of corners turns round with it)."""
    if side > 0:
        return canvas.polygon(*corners)
    return canvas.polygon(*[(-x, y) for x, y in reversed(corners)])


# Each garment is (cover, tone): how much of a pixel it covers, and a factor on its grey.


def _torso(c: _Canvas, top: Array, bottom: Array, shoulder: Array, waist: Array, hem: Array) -> Array:
    middle = top + 0.55 * (bottom - top)
    low = middle + 0.1  # the halves overlap, or a seam would show
    upper = c.polygon((-shoulder, top), (shoulder, top), (waist, low), (-waist, low))
    lower = c.polygon((-waist, middle), (waist, middle), (hem, bottom), (-hem, bottom))
    return np.maximum(upper, lower)


def _sleeves(c: _Canvas, top: Array, shoulder: Array, length: Array, spread: Array, width: Array) -> Array:
    """From the shoulders downwards and outwards; length along y, spread along x, width at the cuff."""

    def one(side: int) -> Array:
        return _side_quad(
            c,
            side,
            [
                (shoulder - 0.16, top),
                (shoulder + 0.02, top + 0.03),
                (shoulder + spread, top + length),
                (shoulder + spread - width, top + length + 0.04),
                (shoulder - 0.10, top + 0.42),
            ],
        )

    return c.pair(one)


def _print(c: _Canvas, share: float) -> Array:
    """A printed patch on the chest of some garments: a factor on the grey."""
    factor = 1.0 + c.chance(share) * c.uniform(-0.7, 0.4)
    patch = c.ellipse(c.normal(0.0, 0.04), c.uniform(-0.3, 0.1), c.uniform(0.12, 0.30), c.uniform(0.10, 0.26))
    return 1.0 + patch * (factor - 1.0)


def _stripes(c: _Canvas, share: float, upright: float) -> Array:
    """Stripes across, or upright in the given share, on some garments: a factor on the grey."""
    along = np.where(c.chance(upright) > 0, c.x, c.y)
    wave = np.sin(2.0 * np.pi * along / c.uniform(0.16, 0.40) + c.uniform(0.0, 6.3))
    return 1.0 - c.chance(share) * c.uniform(0.15, 0.55) * (wave > 0)


def _tee(c: _Canvas) -> tuple[Array, Array]:
    top, bottom, shoulder = c.normal(-0.80, 0.04), c.normal(0.82, 0.06), c.normal(0.46, 0.04)
    waist = shoulder * c.normal(0.92, 0.05)
    body = _torso(c, top, bottom, shoulder, waist, waist * c.normal(1.04, 0.06))
    sleeve = _sleeves(c, top, shoulder, c.normal(0.52, 0.09), c.normal(0.28, 0.05), c.normal(0.22, 0.03))
    sleeveless = c.chance(0.2)
    straps = c.pair(lambda side: c.stroke(side * 0.28, top - 0.02, side * 0.30, top + 0.3, 0.16))
    top_cut = c.polygon((-1.0, -1.0), (1.0, -1.0), (1.0, top + 0.28), (-1.0, top + 0.28))
    singlet = np.maximum(body * (1.0 - top_cut), straps)
    cover = np.where(sleeveless > 0, singlet, np.maximum(body, sleeve))
    cover = cover * (1.0 - c.ellipse(0.0, top - 0.02, c.normal(0.20, 0.03), c.normal(0.14, 0.05)))
    return cover, _print(c, 0.5) * _stripes(c, 0.2, 0.0)


def _trouser(c: _Canvas) -> tuple[Array, Array]:
    top, bottom = c.normal(-0.88, 0.03), c.normal(0.88, 0.04)
    waist, hip = c.normal(0.27, 0.03), c.normal(0.34, 0.04)
    crotch = c.normal(-0.35, 0.07)
    outer = hip * c.normal(0.98, 0.10)
    leg = c.normal(0.20, 0.04)
    hips = c.polygon((-waist, top), (waist, top), (hip, crotch + 0.05), (-hip, crotch + 0.05))
    legs = c.pair(
        lambda side: _side_quad(
            c, side, [(0.02, crotch - 0.05), (hip, crotch), (outer, bottom), (outer - leg, bottom)]
        )
    )
    fold = c.pair(lambda side: c.stroke(side * hip * 0.6, crotch, side * (outer - leg / 2.0), bottom, 0.06))
    belt = c.polygon((-1.0, top), (1.0, top), (1.0, top + 0.1), (-1.0, top + 0.1))
    tone = (1.0 - 0.2 * c.chance(0.4) * fold) * (1.0 - 0.35 * c.chance(0.5) * belt)
    return np.maximum(hips, legs), tone


def _long_sleeved(c: _Canvas, *, hem: float, width: float) -> tuple[Array, Array, Array]:
    """Body and long sleeves; and the height of the shoulders and of the hem."""
    top, bottom, shoulder = c.normal(-0.80, 0.04), c.normal(hem, 0.05), c.normal(width, 0.04)
    waist = shoulder * c.normal(0.93, 0.05)
    body = _torso(c, top, bottom, shoulder, waist, waist * c.normal(1.03, 0.05))
    sleeve = _sleeves(c, top, shoulder, c.normal(1.40, 0.10), c.normal(0.30, 0.06), c.normal(0.19, 0.03))
    return np.maximum(body, sleeve), top, bottom


def _pullover(c: _Canvas) -> tuple[Array, Array]:
    cover, top, bottom = _long_sleeved(c, hem=0.72, width=0.47)
    neck = c.normal(0.18, 0.03)
    cover = cover * (1.0 - c.ellipse(0.0, top - 0.03, neck, c.normal(0.12, 0.03)))
    rib = c.loop(0.0, top, neck + 0.06, 0.16, 0.08) + c.polygon(
        (-1.0, bottom - 0.12), (1.0, bottom - 0.12), (1.0, bottom), (-1.0, bottom)
    )
    knit = 1.0 - 0.12 * c.chance(0.5) * (np.sin(c.y * 2.0 * np.pi / 0.15) > 0)
    return cover, (1.0 - 0.25 * np.clip(rib, 0.0, 1.0)) * knit * _print(c, 0.25) * _stripes(c, 0.25, 0.1)


def _dress(c: _Canvas) -> tuple[Array, Array]:
    top, bottom = c.normal(-0.88, 0.03), c.normal(0.86, 0.05)
    shoulder, waist_at = c.normal(0.25, 0.04), c.normal(-0.22, 0.06)
    waist = shoulder * c.normal(0.86, 0.08)
    flare = np.clip(waist * c.normal(1.7, 0.45), 0.18, 0.62)
    low = waist_at + 0.1
    upper = c.polygon((-shoulder, top), (shoulder, top), (waist, low), (-waist, low))
    skirt = c.polygon((-waist, waist_at), (waist, waist_at), (flare, bottom), (-flare, bottom))
    length = np.where(c.chance(0.5) > 0, c.normal(0.42, 0.08), c.normal(1.0, 0.12))
    sleeve = _sleeves(c, top, shoulder, length, c.normal(0.20, 0.04), c.normal(0.14, 0.02))
    cover = np.maximum(np.maximum(upper, skirt), sleeve * c.chance(0.55))
    cover = cover * (1.0 - c.ellipse(0.0, top, c.normal(0.12, 0.02), c.normal(0.16, 0.05)))
    seam = c.stroke(-0.4, waist_at, 0.4, waist_at, 0.07)
    return cover, (1.0 - 0.4 * c.chance(0.5) * seam) * _stripes(c, 0.2, 0.3)


def _coat(c: _Canvas) -> tuple[Array, Array]:
    cover, top, bottom = _long_sleeved(c, hem=0.86, width=0.47)
    deep = c.normal(0.50, 0.10)
    opening = c.polygon((-0.13, top - 0.1), (0.13, top - 0.1), (0.01, top + deep), (-0.01, top + deep))
    front = c.stroke(0.0, top + deep, 0.0, bottom, 0.07)
    lapels = c.pair(lambda side: c.stroke(side * 0.2, top, side * 0.03, top + deep, 0.09))
    buttons = sum(c.ellipse(0.10, 0.05 + 0.22 * i, 0.05, 0.05) for i in range(3))
    pockets = c.pair(lambda side: c.stroke(side * 0.22, 0.38, side * 0.38, 0.34, 0.06))
    tone = (1.0 - 0.75 * front) * (1.0 - 0.35 * lapels) * (1.0 - 0.5 * c.chance(0.6) * buttons)
    return cover * (1.0 - 0.8 * opening), tone * (1.0 - 0.4 * c.chance(0.5) * pockets)


def _shirt(c: _Canvas) -> tuple[Array, Array]:
    long_cover, top, bottom = _long_sleeved(c, hem=0.80, width=0.44)
    shoulder = c.normal(0.44, 0.03)
    body = _torso(c, top, bottom, shoulder, shoulder * 0.93, shoulder * 0.97)
    short = _sleeves(c, top, shoulder, c.normal(0.62, 0.10), c.normal(0.26, 0.04), c.normal(0.22, 0.03))
    cover = np.where(c.chance(0.6) > 0, long_cover, np.maximum(body, short))
    cover = cover * (1.0 - c.polygon((-0.09, top - 0.1), (0.09, top - 0.1), (0.0, top + 0.2)))
    collar = c.pair(lambda side: c.stroke(side * 0.16, top - 0.02, side * 0.04, top + 0.22, 0.10))
    placket = c.stroke(0.0, top + 0.2, 0.0, bottom, 0.05)
    buttons = sum(c.ellipse(0.0, top + 0.35 + 0.25 * i, 0.045, 0.045) for i in range(5))
    tone = (1.0 - 0.45 * collar) * (1.0 - 0.3 * placket) * (1.0 - 0.35 * buttons)
    checks = _stripes(c, 0.35, 1.0) * _stripes(c, 0.30, 0.0)
    return cover, tone * checks


def _sandal(c: _Canvas) -> tuple[Array, Array]:
    floor, heel = c.normal(0.42, 0.05), np.maximum(c.normal(0.20, 0.16), 0.02)
    thick = c.normal(0.13, 0.03)
    back = floor - heel
    sole = np.maximum(
        c.stroke(-0.80, floor, -0.10, floor - 0.04, thick), c.stroke(-0.10, floor - 0.04, 0.75, back, thick)
    )
    heel_piece = c.polygon((0.52, back), (0.80, back), (0.74, floor + 0.05), (0.62, floor + 0.05))
    width = c.normal(0.10, 0.03)
    rise = c.normal(0.42, 0.10)
    straps = np.maximum(
        c.stroke(-0.66, floor, -0.36, floor - rise * 0.75, width),
        c.stroke(-0.36, floor - rise * 0.75, -0.12, floor - 0.05, width),
    )
    ankle = np.maximum(
        c.stroke(0.72, back, 0.62, back - rise, width),
        c.stroke(0.62, back - rise, 0.15, back - rise * 0.7, width),
    )
    diagonal = c.stroke(-0.36, floor - rise * 0.75, 0.62, back - rise * 0.9, width)
    cover = np.maximum(np.maximum(sole, heel_piece * (heel > 0.08)), straps)
    cover = np.maximum(cover, ankle * c.chance(0.7))
    return np.maximum(cover, diagonal * c.chance(0.35)), np.where(sole > 0.5, c.uniform(0.5, 1.0), 1.0)


def _sneaker(c: _Canvas) -> tuple[Array, Array]:
    floor, thick = c.normal(0.36, 0.04), c.normal(0.12, 0.03)
    height = c.normal(0.52, 0.05)
    top = floor - height
    opening = c.normal(0.22, 0.06)
    heel = c.polygon(
        (opening, top + 0.06), (0.80, top), (0.86, floor), (-0.1, floor), (-0.1, floor - height * 0.75)
    )
    toe = c.polygon(
        (-0.1, floor - height * 0.80), (0.25, top + 0.06), (0.25, floor), (-0.86, floor), (-0.80, floor - 0.2)
    )
    sole = c.stroke(-0.82, floor, 0.82, floor, thick)
    laces = sum(
        c.stroke(-0.30 + 0.14 * i, top + 0.36 - 0.09 * i, -0.18 + 0.14 * i, top + 0.42 - 0.09 * i, 0.05)
        for i in range(4)
    )
    mark = c.stroke(-0.05, floor - 0.10, 0.42, floor - 0.30, c.uniform(0.06, 0.14))
    collar = c.ellipse(0.52, top - 0.02, 0.26, 0.10)
    tone = 1.0 + sole * c.uniform(-0.5, 0.25) - 0.45 * laces * c.chance(0.7)
    tone = tone * (1.0 - mark * c.chance(0.6) * c.uniform(0.3, 0.7))
    return np.maximum(np.maximum(heel, toe), sole) * (1.0 - collar), tone


def _bag(c: _Canvas) -> tuple[Array, Array]:
    top, bottom = c.normal(-0.20, 0.14), c.normal(0.66, 0.09)
    upper, lower = c.normal(0.62, 0.12), c.normal(0.70, 0.10)
    body = c.polygon((-upper, top), (upper, top), (lower, bottom), (-lower, bottom))
    handle = c.loop(0.0, top, c.normal(0.36, 0.09), c.normal(0.48, 0.12), c.normal(0.12, 0.03))
    flap = c.polygon((-1.0, top), (1.0, top), (0.9, top + 0.32), (-0.9, top + 0.32))
    lock = c.ellipse(0.0, top + 0.34, 0.07, 0.07)
    seam = c.stroke(-0.7, top + 0.34, 0.7, top + 0.34, 0.06)
    with_flap = c.chance(0.55)
    tone = 1.0 + with_flap * (flap * c.uniform(-0.35, 0.2) - 0.4 * seam - 0.5 * lock)
    return np.maximum(body, handle * c.chance(0.85)), tone


def _boot(c: _Canvas) -> tuple[Array, Array]:
    floor, top = c.normal(0.78, 0.04), c.normal(-0.70, 0.12)
    heel = np.maximum(c.normal(0.16, 0.09), 0.03)
    front = c.normal(0.02, 0.05)
    shaft = c.polygon((front, top), (0.66, top - 0.02), (0.74, floor - heel), (front - 0.14, floor - heel))
    foot = c.polygon(
        (front - 0.06, floor - 0.72), (0.5, floor - 0.6), (0.62, floor - heel), (-0.2, floor), (-0.82, floor),
        (-0.86, floor - 0.22), (-0.5, floor - 0.42),
    )  # fmt: skip
    heel_piece = c.polygon(
        (0.36, floor - heel - 0.1), (0.76, floor - heel - 0.1), (0.72, floor), (0.42, floor)
    )
    sole = c.stroke(-0.82, floor, -0.1, floor, 0.1)
    strap = c.stroke(front - 0.1, floor - 0.7, 0.7, floor - 0.75, c.uniform(0.06, 0.14))
    zip_line = c.stroke(0.42, top, 0.40, floor - 0.4, 0.05)
    tone = (1.0 - 0.45 * strap * c.chance(0.4)) * (1.0 - 0.4 * zip_line * c.chance(0.4)) * (1.0 - 0.35 * sole)
    return np.maximum(np.maximum(shaft, foot), np.maximum(heel_piece, sole)), tone


_GARMENTS = [_tee, _trouser, _pullover, _dress, _coat, _sandal, _shirt, _sneaker, _bag, _boot]


@lru_cache(maxsize=1)
def make_sample() -> dict[str, Any]:
    """Drawings of the ten garments of Fashion-MNIST, 250 of each, split 2,000 / 500 by class.

    Returns
    -------
    dict
        ``x_train`` (2000, 28, 28) uint8 0..255 (black ground), ``y_train`` (2000,) int64, ``x_test``
        (500, 28, 28) and ``y_test`` likewise, ``class_names`` in Fashion-MNIST's order.
    """
    images, labels = [], []
    for label, garment in enumerate(_GARMENTS):
        canvas = _Canvas(np.random.default_rng([2017, label]), PER_CLASS)
        images.append(_shade(canvas, *garment(canvas)))
        labels.append(np.full(PER_CLASS, label, dtype=np.int64))
    x, y = np.concatenate(images), np.concatenate(labels)
    train, test = stratified_split(y, N_TEST, seed=0)
    fields = {"x_train": x[train], "y_train": y[train], "x_test": x[test], "y_test": y[test]}
    for array in fields.values():
        array.flags.writeable = False  # kept for the next call: load hands out copies
    return {**fields, "class_names": CLASS_NAMES}


def _shade(c: _Canvas, cover: Array, tone: Array) -> Array:
    """Cloth: its own grey, light from one side, folds, darker edges, grain. (m, 28, 28) uint8."""
    grey = c.uniform(0.45, 1.0)
    light = 1.0 + c.uniform(-0.18, 0.18) * c.x + c.uniform(-0.12, 0.12) * c.y
    folds = 1.0 + c.uniform(0.0, 0.10) * np.sin(
        c.uniform(4.0, 10.0) * c.x + c.uniform(-4.0, 4.0) * c.y + c.uniform(0.0, 6.3)
    )
    soft = cover
    for axis in (1, 2):
        soft = (np.roll(soft, 1, axis) + soft + np.roll(soft, -1, axis)) / 3.0
    grain = 1.0 + 0.06 * c.rng.standard_normal(cover.shape, dtype=np.float32)
    value = cover * (0.72 + 0.28 * soft) * grey * np.clip(tone, 0.1, 1.4) * light * folds * grain
    return np.rint(np.clip(value, 0.0, 1.0) * 255.0).astype(np.uint8)
