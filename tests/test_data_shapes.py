"""The generated shapes world: fields that agree with each other and with the pictures."""

from __future__ import annotations

import time
from itertools import pairwise

import numpy as np
import pytest

from course_utils import data
from course_utils.data._shapes import GROUND_NAMES, SIZE_WORDS, boxes_of, make_shapes

FIELDS = (
    "images", "label", "color", "object_size", "masks", "boxes", "captions", "class_names", "color_names",
)  # fmt: skip


@pytest.fixture(scope="module", params=[0.0, 1.0], ids=["usual", "shifted"])
def world(request: pytest.FixtureRequest) -> data.Dataset:
    return data.load("shapes", n=1500, seed=5, shift=request.param)


def test_fields(world: data.Dataset) -> None:
    assert world.fields == FIELDS and world.version == "generated"
    n = 1500
    assert world.images.shape == (n, 32, 32, 3) and world.images.dtype == np.uint8
    assert world.masks.shape == (n, 32, 32) and world.masks.dtype == bool
    assert world.boxes.shape == (n, 4) and world.boxes.dtype == np.int64
    assert (
        world.label.shape == world.color.shape == (n,) and world.label.dtype == world.color.dtype == np.int64
    )
    assert world.object_size.shape == (n,) and world.object_size.dtype == np.float64
    assert world.captions.shape == (n,) and world.captions.dtype.kind == "U"
    assert {"circle", "square", "triangle", "star", "cross", "ring"} == set(world.class_names)


def test_classes_and_colours_are_balanced_and_independent(world: data.Dataset) -> None:
    table = np.zeros((6, 6))
    np.add.at(table, (world.label, world.color), 1)
    assert np.abs(table.sum(axis=0) / 1500 - 1 / 6).max() < 0.04
    assert np.abs(table.sum(axis=1) / 1500 - 1 / 6).max() < 0.04
    assert table.min() > 15


def test_boxes_are_tight_and_inside(world: data.Dataset) -> None:
    for mask, (x0, y0, x1, y1) in zip(world.masks, world.boxes, strict=True):
        assert 0 <= x0 < x1 <= 32 and 0 <= y0 < y1 <= 32
        assert mask.sum() == mask[y0:y1, x0:x1].sum() > 0
        inner = mask[y0:y1, x0:x1]
        assert inner[0].any() and inner[-1].any() and inner[:, 0].any() and inner[:, -1].any()
    sides = np.maximum(world.boxes[:, 2] - world.boxes[:, 0], world.boxes[:, 3] - world.boxes[:, 1])
    assert (sides <= world.object_size + 1.5).all() and (sides >= 0.6 * world.object_size - 1.5).all()
    assert np.corrcoef(sides, world.object_size)[0, 1] > 0.85


def test_masks_have_the_area_of_their_shape() -> None:
    world = make_shapes(500, seed=1, size=64)
    circle = np.pi / 4.0
    share = {
        "circle": circle,
        "ring": circle * (1 - 0.52**2),
        "square": 0.5,
        "triangle": 3 * np.sqrt(3) / 16,
        "cross": (4 * 0.32 * np.sqrt(1 - 0.32**2) * 2 - 4 * 0.32**2) / 4,
        "star": 10 * 0.5 * 0.46 * np.sin(np.pi / 5) / 4,
    }
    for index, name in enumerate(world["class_names"]):
        chosen = world["label"] == index
        area = world["masks"][chosen].sum(axis=(1, 2)) / world["object_size"][chosen] ** 2
        assert area.mean() == pytest.approx(share[name], rel=0.04), name


def test_the_object_has_its_colour() -> None:
    world = data.load("shapes", n=600, seed=2)
    pixels = np.array(
        [image[mask].mean(axis=0) for image, mask in zip(world.images, world.masks, strict=True)]
    )
    red, green, blue = pixels.T
    by_name = {
        "red": (red > 1.7 * green) & (red > 1.7 * blue),
        "yellow": (red > 2 * blue) & (green > 2 * blue),
        "green": (green > 1.4 * red) & (green > 1.4 * blue),
        "blue": (blue > 1.3 * red) & (blue > 1.3 * green),
        "purple": (red > 1.1 * green) & (blue > 1.1 * green),
        "white": pixels.min(axis=1) > 120,
    }
    for index, name in enumerate(world.color_names):
        assert by_name[name][world.color == index].mean() > 0.97, name


def test_captions_say_what_is_there(world: data.Dataset) -> None:
    largest = {}
    for i, caption in enumerate(world.captions):
        a, word, color, shape, on, a2, ground, last = caption.split()
        assert (a, on, a2, last) == ("a", "on", "a", "ground")
        assert shape == world.class_names[world.label[i]] and color == world.color_names[world.color[i]]
        assert ground in GROUND_NAMES
        largest.setdefault(word, []).append(world.object_size[i])
    assert set(largest) <= set(SIZE_WORDS) and {"small", "medium"} <= set(largest)
    present = [word for word in SIZE_WORDS if word in largest]
    for smaller, larger in pairwise(present):
        assert max(largest[smaller]) < min(largest[larger])


def test_same_seed_same_world() -> None:
    first, again = make_shapes(700, seed=4, shift=0.3), make_shapes(700, seed=4, shift=0.3)
    other = make_shapes(700, seed=5, shift=0.3)
    for field in FIELDS[:7]:
        assert np.array_equal(first[field], again[field])
    assert not np.array_equal(first["images"], other["images"])


@pytest.mark.parametrize("k", [1, 499, 500, 501])
def test_first_pictures_do_not_depend_on_how_many_are_made(k: int) -> None:
    few, many = make_shapes(k, seed=4), make_shapes(700, seed=4)
    for field in FIELDS[:7]:
        assert np.array_equal(few[field], many[field][:k])


def test_shift_moves_the_world_steadily() -> None:
    """Distance of simple statistics from the unshifted world grows with the shift; the labels stay."""

    def statistics(shift: float) -> dict[str, np.ndarray]:
        world = make_shapes(500, seed=6, shift=shift)
        images = world["images"] / 255.0
        ground = np.array([i[~m].mean(axis=0) for i, m in zip(images, world["masks"], strict=True)])
        roughness = np.abs(np.diff(images, axis=2)).mean()
        plain = np.mean([caption.split()[-2] == "plain" for caption in world["captions"]])
        return {
            "label": world["label"],
            "color": world["color"],
            "brightness": ground.mean(),
            "roughness": roughness,
            "size": world["object_size"].mean(),
            "plain": plain,
        }

    worlds = [statistics(shift) for shift in (0.0, 0.25, 0.5, 0.75, 1.0)]
    for field in ("label", "color"):
        assert all(np.array_equal(worlds[0][field], w[field]) for w in worlds)
    for field, sign in (("brightness", 1), ("roughness", 1), ("size", -1), ("plain", -1)):
        assert (sign * np.diff([w[field] for w in worlds]) > 0).all(), field


def test_edges_are_anti_aliased() -> None:
    world = make_shapes(300, seed=8)
    white_circles = np.flatnonzero((world["label"] == 0) & (world["color"] == 5))
    for i in white_circles:
        image, mask = world["images"][i].mean(axis=2), world["masks"][i]
        inside, outside = np.median(image[mask]), np.median(image[~mask])
        between = (image > outside + 0.35 * (inside - outside)) & (
            image < outside + 0.65 * (inside - outside)
        )
        assert between.sum() >= 3


@pytest.mark.parametrize("size", [16, 48, 64])
def test_sizes(size: int) -> None:
    world = data.load("shapes", n=60, size=size, shift=1.0)
    assert world.images.shape == (60, size, size, 3)
    assert world.masks.any(axis=(1, 2)).all()


def test_ten_thousand_in_time() -> None:
    start = time.process_time()
    make_shapes(10_000)
    assert time.process_time() - start < 5.0


def test_boxes_of() -> None:
    masks = np.zeros((2, 5, 7), dtype=bool)
    masks[0, 1:3, 2:6] = True
    masks[1, 4, 0] = True
    assert boxes_of(masks).tolist() == [[2, 1, 6, 3], [0, 4, 1, 5]]
