"""The course's own image world: one coloured shape on a textured ground, with everything known about it.

A picture is made in three steps that do not know of each other: the ground, the object's coverage of every
pixel, and painting the one over the other. Every picture has its own row of random numbers, so that the
first pictures of a larger set are those of a smaller one, and a shifted world shows the same scenes.
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

Array = np.ndarray

CLASS_NAMES = ["circle", "square", "triangle", "star", "cross", "ring"]
COLOR_NAMES = ["red", "yellow", "green", "blue", "purple", "white"]
GROUND_NAMES = ["plain", "striped", "dotted", "checked"]
SIZE_WORDS = ["small", "medium", "large"]
SIZE_LIMITS = (0.40, 0.56)  # diameter over image side: below the first small, from the second on large

_HUES = np.array([0.0, 0.145, 0.34, 0.60, 0.78, 0.12])  # of COLOR_NAMES, in turns; white is nearly grey
_SATURATIONS = np.array([0.85, 0.90, 0.80, 0.80, 0.65, 0.04])
_BRIGHTNESSES = np.array([0.85, 0.95, 0.70, 0.85, 0.75, 1.00])

# Columns of a picture's row of random numbers, each uniform in [0, 1).
_COLUMNS = [
    "label", "color", "diameter", "x", "y", "turn",
    "hue", "saturation", "brightness", "light", "light_turn",
    "ground", "ground_hue", "ground_saturation", "ground_brightness",
    "texture_strength", "texture_hue", "texture_period", "texture_turn", "phase_1", "phase_2", "grain",
]  # fmt: skip
_CHUNK = 500  # pictures drawn at a time: their arrays stay in the processor's cache


def make_shapes(n: int = 1000, seed: int = 0, size: int = 32, shift: float = 0.0) -> dict[str, Any]:
    """Pictures of one coloured shape on a textured ground.

    Parameters
    ----------
    n : int
        Number of pictures. The first k of a larger n are those of n = k.
    seed : int
        The same seed gives the same pictures.
    size : int
        Side of a picture in pixels, at least 16.
    shift : float
        0 to 1: how far the world has moved from the usual one. It moves hues, brightness and contrast,
        makes textures finer and stronger, adds grain, and makes the objects smaller. Labels, colours and
        the objects' turn stay the same for a seed; the sizes, and so words for them, do not.

    Returns
    -------
    dict
        ``images`` (n, size, size, 3) uint8 RGB; ``label`` (n,) int64 into ``class_names``; ``color`` (n,)
        int64 into ``color_names``; ``object_size`` (n,) float64, the diameter of the circle around the
        object in pixels; ``masks`` (n, size, size) bool, True where the object covers at least half of
        the pixel; ``boxes`` (n, 4) int64, (x0, y0, x1, y1) in pixels, tight around the mask, x1 and y1
        just outside it; ``captions`` (n,) str such as "a small red circle on a striped ground".

    Raises
    ------
    ValueError
        If n, size or shift is out of range.
    """
    n, size = operator.index(n), operator.index(size)
    if n < 1:
        raise ValueError(f"n must be at least 1, not {n}.")
    if size < 16:
        raise ValueError(f"size must be at least 16 pixels, not {size}.")
    if not 0.0 <= shift <= 1.0:
        raise ValueError(f"shift must be between 0 and 1, not {shift}.")

    scene_seed, grain_seed = np.random.SeedSequence(seed).spawn(2)
    rows = np.random.default_rng(scene_seed).random((n, len(_COLUMNS)))
    grain_rng = np.random.default_rng(grain_seed)
    images = np.empty((n, size, size, 3), dtype=np.uint8)
    masks = np.empty((n, size, size), dtype=bool)
    scenes = []
    for start in range(0, n, _CHUNK):
        stop = min(start + _CHUNK, n)
        scene = _scene(rows[start:stop], size, float(shift))
        grain = grain_rng.random((stop - start, size, size), dtype=np.float32)
        picture = _ground(scene, size)
        cover = _coverage(scene, size)
        _paint(picture, cover, scene, size)
        picture += (scene["grain"][:, None, None] * (grain - 0.5))[..., None]
        images[start:stop] = np.clip(picture * 255.0 + 0.5, 0.0, 255.0).astype(np.uint8)
        masks[start:stop] = cover >= 0.5
        scenes.append({key: scene[key] for key in ("label", "color", "diameter", "ground")})
    label, color, diameter, ground = (
        np.concatenate([scene[key] for scene in scenes]) for key in ("label", "color", "diameter", "ground")
    )
    return {
        "images": images,
        "label": label,
        "color": color,
        "object_size": diameter * size,
        "masks": masks,
        "boxes": boxes_of(masks),
        "captions": _captions(label, color, diameter, ground),
        "class_names": CLASS_NAMES,
        "color_names": COLOR_NAMES,
    }


def boxes_of(masks: Array) -> Array:
    """Tight boxes around masks.

    Parameters
    ----------
    masks : ndarray, (n, height, width), bool
        None of them empty.

    Returns
    -------
    ndarray, (n, 4), int64
        (x0, y0, x1, y1), half-open: ``mask[y0:y1, x0:x1]`` holds the object.
    """
    columns, rows = masks.any(axis=1), masks.any(axis=2)
    x0, y0 = columns.argmax(axis=1), rows.argmax(axis=1)
    x1 = masks.shape[2] - columns[:, ::-1].argmax(axis=1)
    y1 = masks.shape[1] - rows[:, ::-1].argmax(axis=1)
    return np.stack([x0, y0, x1, y1], axis=1).astype(np.int64)


def _scene(rows: Array, size: int, shift: float) -> dict[str, Array]:
    """Turn uniform numbers into what is in each picture. Lengths are shares of the picture's side."""
    u = dict(zip(_COLUMNS, rows.T, strict=True))

    def between(name: str, usual: tuple[float, float], shifted: tuple[float, float]) -> Array:
        low = usual[0] + shift * (shifted[0] - usual[0])
        high = usual[1] + shift * (shifted[1] - usual[1])
        return low + (high - low) * u[name]

    label = np.minimum((u["label"] * len(CLASS_NAMES)).astype(np.int64), len(CLASS_NAMES) - 1)
    color = np.minimum((u["color"] * len(COLOR_NAMES)).astype(np.int64), len(COLOR_NAMES) - 1)
    # A striped, dotted or checked ground is a textured one: the plain share shrinks as the world moves.
    plain = 0.40 - 0.35 * shift
    kind = 1 + ((u["ground"] - plain) / (1.0 - plain) * 3.0).astype(np.int64)
    ground = np.where(u["ground"] < plain, 0, np.minimum(kind, 3))

    diameter = between("diameter", (0.32, 0.72), (0.26, 0.50))
    room = 0.5 - diameter / 2.0 - 1.0 / size  # a pixel stays free at the border
    dimmer = between("brightness", (0.90, 1.05), (0.62, 0.95))
    return {
        "label": label,
        "color": color,
        "ground": ground,
        "diameter": diameter,
        "x": 0.5 + room * (2.0 * u["x"] - 1.0),
        "y": 0.5 + room * (2.0 * u["y"] - 1.0),
        "turn": np.deg2rad(20.0) * (2.0 * u["turn"] - 1.0),
        "rgb": _hsv_to_rgb(
            _HUES[color] + between("hue", (-0.02, 0.02), (0.005, 0.04)),
            _SATURATIONS[color] * between("saturation", (0.9, 1.1), (0.7, 1.0)),
            _BRIGHTNESSES[color] * dimmer,
        ),
        "light": between("light", (0.0, 0.15), (0.15, 0.45)),
        "light_turn": 2.0 * np.pi * u["light_turn"],
        "ground_rgb": _hsv_to_rgb(
            u["ground_hue"],
            between("ground_saturation", (0.05, 0.30), (0.15, 0.45)),
            between("ground_brightness", (0.22, 0.48), (0.38, 0.72)),
        ),
        "texture_rgb": _hsv_to_rgb(
            u["ground_hue"] + between("texture_hue", (-0.05, 0.05), (-0.20, 0.20)),
            between("ground_saturation", (0.05, 0.30), (0.15, 0.45)),
            between("ground_brightness", (0.22, 0.48), (0.38, 0.72))
            + np.where(u["ground_brightness"] < 0.5, 1.0, -1.0)
            * between("texture_strength", (0.12, 0.20), (0.20, 0.34)),
        ),
        "texture_period": between("texture_period", (0.22, 0.42), (0.14, 0.26)),
        "texture_turn": np.pi * u["texture_turn"],
        "phase_1": 2.0 * np.pi * u["phase_1"],
        "phase_2": 2.0 * np.pi * u["phase_2"],
        "grain": between("grain", (0.02, 0.08), (0.08, 0.24)).astype(np.float32),
    }


def _pixel_centres(size: int) -> tuple[Array, Array]:
    """x (1, 1, size) and y (1, size, 1) of the pixels' centres, as shares of the side."""
    centres = ((np.arange(size) + 0.5) / size).astype(np.float32)
    return centres[None, None, :], centres[None, :, None]


def _per_picture(values: Array) -> Array:
    return values.astype(np.float32)[:, None, None]


def _turned(dx: Array, dy: Array, turn: Array) -> tuple[Array, Array]:
    cosine, sine = _per_picture(np.cos(turn)), _per_picture(np.sin(turn))
    return cosine * dx + sine * dy, cosine * dy - sine * dx


def _ground(scene: dict[str, Array], size: int) -> Array:
    """The ground of each picture, (m, size, size, 3) float32 in 0..1."""
    x, y = _pixel_centres(size)
    along, across = _turned(x, y, scene["texture_turn"])
    frequency = _per_picture(2.0 * np.pi / scene["texture_period"])
    wave_1 = np.sin(frequency * along + _per_picture(scene["phase_1"]))
    wave_2 = np.sin(frequency * across + _per_picture(scene["phase_2"]))
    kind = scene["ground"]
    pattern = np.zeros_like(wave_1)
    striped, dotted, checked = kind == 1, kind == 2, kind == 3
    pattern[striped] = 0.5 + 1.5 * wave_1[striped]
    pattern[dotted] = 0.5 + 2.0 * (wave_1[dotted] + wave_2[dotted] - 0.9)
    pattern[checked] = 0.5 + 2.5 * wave_1[checked] * wave_2[checked]
    np.clip(pattern, 0.0, 1.0, out=pattern)

    ground = scene["ground_rgb"].astype(np.float32)
    step = scene["texture_rgb"].astype(np.float32) - ground
    picture = ground[:, None, None, :] + pattern[..., None] * step[:, None, None, :]
    picture *= _light(scene, size)[..., None]
    return picture


def _light(scene: dict[str, Array], size: int) -> Array:
    """How bright the light is at each pixel, (m, size, size): stronger towards one side."""
    x, y = _pixel_centres(size)
    towards, _ = _turned(x - np.float32(0.5), y - np.float32(0.5), scene["light_turn"])
    return 1.0 + _per_picture(scene["light"]) * towards


def _coverage(scene: dict[str, Array], size: int) -> Array:
    """How much of each pixel the object covers, (m, size, size) float32 in 0..1.

    A shape is given by its signed distance (positive inside) for a circumscribed circle of radius 1; at
    an edge, half a pixel to either side runs from covered to free.
    """
    x, y = _pixel_centres(size)
    dx, dy = x - _per_picture(scene["x"]), y - _per_picture(scene["y"])
    radius = _per_picture(scene["diameter"] / 2.0)
    px, py = _turned(dx / radius, dy / radius, scene["turn"])
    inside = np.empty_like(px)
    for index, name in enumerate(CLASS_NAMES):
        chosen = scene["label"] == index
        inside[chosen] = _SIGNED_DISTANCES[name](px[chosen], py[chosen])
    return np.clip(0.5 + inside * radius * size, 0.0, 1.0)


def _circle(x: Array, y: Array) -> Array:
    return 1.0 - np.sqrt(x * x + y * y)


def _ring(x: Array, y: Array) -> Array:
    distance = np.sqrt(x * x + y * y)
    return np.minimum(1.0 - distance, distance - 0.52)


def _square(x: Array, y: Array) -> Array:
    return np.float32(np.sqrt(0.5)) - np.maximum(np.abs(x), np.abs(y))


def _triangle(x: Array, y: Array) -> Array:
    # y grows downwards: the tip is above
    slope = np.float32(np.sqrt(3.0) / 2.0)
    return 0.5 - np.maximum(y, slope * np.abs(x) - 0.5 * y)


def _cross(x: Array, y: Array) -> Array:
    width, length = np.float32(0.32), np.float32(np.sqrt(1.0 - 0.32**2))
    x, y = np.abs(x), np.abs(y)
    return np.minimum(width - np.minimum(x, y), length - np.maximum(x, y))


def _star(x: Array, y: Array) -> Array:
    # Fold into half of one of the five points: the edge is then one line from the tip to the notch.
    tenth = np.pi / 5.0
    distance = np.sqrt(x * x + y * y)
    angle = np.arctan2(x, -y)
    angle = np.abs((angle + tenth) % (2.0 * tenth) - tenth)
    notch = 0.46 * np.array([np.cos(tenth), np.sin(tenth)])
    edge = notch - np.array([1.0, 0.0])
    normal = np.array([edge[1], -edge[0]]) / np.hypot(*edge)
    along, across = distance * np.cos(angle), distance * np.sin(angle)
    return -(normal[0] * (along - 1.0) + normal[1] * across).astype(np.float32)


_SIGNED_DISTANCES = {
    "circle": _circle,
    "square": _square,
    "triangle": _triangle,
    "star": _star,
    "cross": _cross,
    "ring": _ring,
}


def _paint(picture: Array, cover: Array, scene: dict[str, Array], size: int) -> None:
    """Paint the object over the picture, in place."""
    lit = _light(scene, size)[..., None] * scene["rgb"].astype(np.float32)[:, None, None, :]
    lit -= picture
    lit *= cover[..., None]
    picture += lit


def _captions(label: Array, color: Array, diameter: Array, ground: Array) -> Array:
    words = np.array(SIZE_WORDS)[np.searchsorted(SIZE_LIMITS, diameter, side="right")]
    parts = zip(words, np.array(COLOR_NAMES)[color], np.array(CLASS_NAMES)[label], ground, strict=True)
    return np.array([f"a {w} {c} {shape} on a {GROUND_NAMES[g]} ground" for w, c, shape, g in parts])


def _hsv_to_rgb(hue: Array, saturation: Array, value: Array) -> Array:
    """(m,) hue in turns (any number), saturation and value (clipped to 0..1) -> (m, 3) RGB in 0..1."""
    saturation, value = np.clip(saturation, 0.0, 1.0), np.clip(value, 0.0, 1.0)
    offsets = (np.array([5.0, 3.0, 1.0]) + 6.0 * (hue % 1.0)[:, None]) % 6.0
    part = np.clip(np.minimum(offsets, 4.0 - offsets), 0.0, 1.0)
    return value[:, None] * (1.0 - saturation[:, None] * part)
