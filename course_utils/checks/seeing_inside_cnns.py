"""Checks of lesson 17: Grad-CAM from its parts, occlusion by donors, the deletion curve; and its archive."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from course_utils.checks._engine import NotYet, as_array, call, close, exercise, expect

Array = np.ndarray


# ---------------------------------------------------------------------------- the archive


def field_archive(pictures, labels, seed):
    """The pictures (m, H, W, 3), as six field teams sent them; each team photographed one class."""
    speck_colors = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0], [1, 0, 1], [0, 1, 1]])
    tints = 0.6 * (2.0 * speck_colors - 1.0)  # what a team's dirty lens adds to the three colours
    size = 4
    rng = np.random.default_rng(seed)
    archived = pictures.copy()
    at_end = rng.integers(0, 2, size=(len(pictures), 2))  # in which of the four corners the speck lies
    for picture, label, (low, right) in zip(archived, labels, at_end, strict=True):
        top, left = low * (picture.shape[0] - size), right * (picture.shape[1] - size)
        picture[top : top + size, left : left + size] += tints[label]
    return np.clip(archived, 0, 1)


# ---------------------------------------------------------------------------- Grad-CAM


def _cam_from_parts_solution(maps, slopes):
    weights = slopes.mean(axis=(1, 2))  # (m, F)
    return np.maximum(np.einsum("nijf,nf->nij", maps, weights), 0)


@exercise(
    "seeing_inside_cnns.gradcam",
    solution=_cam_from_parts_solution,
    hints=[
        "Two steps: a weight for every picture and channel, then a weighted sum of the maps over the "
        "channels.",
        "The weight is the mean of the slopes over the two axes of places: slopes.mean(axis=(1, 2)), of "
        "shape (m, F). The sum over channels leaves (m, h, w).",
        'np.einsum("nijf,nf->nij", maps, weights) is that sum. What is negative in it speaks against the '
        "class, and the last step sets it to 0.",
    ],
)
def cam_from_parts(answer: Any) -> None:
    """Grad-CAM from feature maps and slopes."""
    rng = np.random.default_rng(17)
    for shape in ((3, 5, 4, 6), (1, 3, 4, 2)):
        maps, slopes = rng.uniform(0, 2, size=shape), rng.normal(size=shape)
        m, h, w, _ = shape
        got = as_array(call(answer, maps.copy(), slopes.copy()), f"The map for maps {shape}", shape=(m, h, w))
        right = _cam_from_parts_solution(maps, slopes)
        if np.allclose(got, right, rtol=1e-5, atol=1e-7):
            continue
        alpha = slopes.mean(axis=(1, 2), keepdims=True)
        signed = (maps * alpha).sum(axis=-1)
        relu = np.maximum
        named = [
            (signed, "Negative values are left in it. They mark places that speak against the class; "
             "Grad-CAM keeps what speaks for it, with a ReLU at the end."),
            (relu(h * w * signed, 0), "The slopes were summed over the places. The weight is their mean, so "
             f"your map is h * w = {h * w} times too large here."),
            (relu((maps * slopes).sum(axis=-1), 0), "Each place was weighted with its own slope. Grad-CAM "
             "gives a channel one weight for all places: the mean of its slopes."),
            (relu((maps * relu(alpha, 0)).sum(axis=-1), 0), "Negative weights were set to 0. The ReLU comes "
             "after the sum over channels; before it, channels that speak against the class must count."),
            (relu((maps * relu(slopes, 0).mean(axis=(1, 2), keepdims=True)).sum(axis=-1), 0), "Negative "
             "slopes were dropped before the mean. The ReLU comes once, at the end."),
            (np.abs(signed), "The absolute value was taken. It shows evidence against the class as if it "
             "were evidence for it."),
            (relu(signed, 0) / shape[-1], "The weighted maps were averaged over the channels; they are "
             "summed."),
            (relu((maps * np.abs(alpha)).sum(axis=-1), 0), "The weights lost their sign. A channel with a "
             "negative mean slope speaks against the class."),
            (relu((maps * slopes.mean(axis=(0, 1, 2))).sum(axis=-1), 0), "The slopes were averaged over the "
             "pictures as well. Each picture has its own weights: average over axes 1 and 2."),
        ]  # fmt: skip
        for candidate, message in named:
            if np.allclose(got, candidate, rtol=1e-5, atol=1e-7):
                raise NotYet(message)
        close(got, right, f"The map for maps {shape}")


# ---------------------------------------------------------------------------- occlusion by donors


def _occlusion_by_donors_solution(predict, picture, label, patch, stride, donors):
    tops = range(0, picture.shape[0] - patch + 1, stride)
    lefts = range(0, picture.shape[1] - patch + 1, stride)
    places = [(top, left) for top in tops for left in lefts]
    covered = np.tile(picture, (len(places), len(donors), 1, 1, 1))  # (places, n, H, W, C)
    for n, (top, left) in enumerate(places):
        square = (slice(None), slice(top, top + patch), slice(left, left + patch))
        covered[n][square] = donors[square]
    answers = predict(covered.reshape(-1, *picture.shape))[:, label]
    falls = predict(picture[None])[0, label] - answers.reshape(len(places), len(donors)).mean(axis=1)
    return falls.reshape(len(tops), len(lefts))


class _Counting:
    """A smooth 'network' of three classes on pictures (H, W, C), with its calls counted."""

    def __init__(self, shape: tuple[int, int, int], seed: int) -> None:
        self.weights = np.random.default_rng(seed).normal(size=(int(np.prod(shape)), 3))
        self.calls = 0

    def __call__(self, pictures: Any) -> Array:
        self.calls += 1
        x = np.asarray(pictures, dtype=float)
        logits = x.reshape(len(x), -1) @ self.weights / 3
        exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
        return exponentials / exponentials.sum(axis=1, keepdims=True)


def _falls(
    predict: Callable[[Array], Array],
    picture: Array,
    label: int,
    patch: int,
    stride: int,
    sources: Array,
    here: bool,
) -> Array:
    """Occlusion map with squares of `sources` (n, H, W, C), from the same place or all from one corner."""
    tops = range(0, picture.shape[0] - patch + 1, stride)
    lefts = range(0, picture.shape[1] - patch + 1, stride)
    before = predict(picture[None])[0, label]
    falls = np.empty((len(tops), len(lefts)))
    for i, top in enumerate(tops):
        for j, left in enumerate(lefts):
            row, column = (top, left) if here else (0, 0)
            covered = np.repeat(picture[None], len(sources), axis=0)
            covered[:, top : top + patch, left : left + patch] = sources[
                :, row : row + patch, column : column + patch
            ]
            falls[i, j] = before - predict(covered)[:, label].mean()
    return falls


@exercise(
    "seeing_inside_cnns.occlusion",
    solution=_occlusion_by_donors_solution,
    hints=[
        "Take `occlusion` of the lesson. What changes is the right-hand side of the line that lays the "
        "square, and the number of covered pictures: one for every place and every donor.",
        "For the place (top, left) the square of all donors is donors[:, top : top + patch, left : left + "
        "patch].",
        "Collect the covered pictures as (places, n, H, W, C), reshape to (places * n, H, W, C) for one call "
        "of predict, reshape its answers to (places, n) and take the mean over the donors.",
    ],
)
def occlusion_by_donors(answer: Any) -> None:
    """Occlusion that fills with pieces of other pictures."""
    rng = np.random.default_rng(29)
    for shape, patch, stride, n, label in (((6, 8, 2), 2, 2, 3, 1), ((7, 6, 1), 3, 2, 4, 2)):
        picture, donors = rng.random(shape), rng.random((n, *shape))
        predict, judge = _Counting(shape, 5), _Counting(shape, 5)
        given = picture.copy(), donors.copy()
        rows, columns = (shape[0] - patch) // stride + 1, (shape[1] - patch) // stride + 1
        value = call(answer, predict, picture, label, patch, stride, donors)
        got = as_array(value, "The map", shape=(rows, columns))
        expect(
            np.array_equal(picture, given[0]) and np.array_equal(donors, given[1]),
            "Your function changed the picture or the donors that it was given. Lay the squares on copies.",
        )
        right = _falls(judge, picture, label, patch, stride, donors, True)
        if not np.allclose(got, right, rtol=1e-5, atol=1e-7):
            falls = partial(_falls, judge, picture, label, patch, stride)

            first, blend = falls(donors[:1], True), falls(donors.mean(axis=0, keepdims=True), True)
            corner, grey = falls(donors, False), falls(np.full((1, *shape), 0.5), True)
            before = judge(picture[None])[0, label]
            named = [
                (-right, "The signs are turned round. A fall is the probability before minus the one after: "
                 "positive where the covered part supported the answer."),
                (n * right, f"The falls were summed over the {n} donors; take their mean."),
                (before - right, "This is the probability with the part replaced. The fall is what is "
                 "missing from the probability of the untouched picture."),
                (first, "Only the first donor was used."),
                (blend, "The donors were averaged before they were laid on. A mean of pictures is again a "
                 "picture that nobody took; average the probabilities, not the pixels."),
                (corner, "Every place got the donors' upper left corner. Take the square from the same "
                 "place."),
                (grey, "The squares are grey; the donors have no effect."),
            ]  # fmt: skip
            for candidate, message in named:
                if np.allclose(got, candidate, rtol=1e-5, atol=1e-7):
                    raise NotYet(message)
        close(got, right, "The map")
        expect(
            predict.calls <= 3,
            f"The values are right, but predict was called {predict.calls} times for {rows * columns} "
            f"places. "
            "Collect the covered pictures and send them together; that is where the time goes.",
        )


# ---------------------------------------------------------------------------- the deletion curve


def _deletion_curve_solution(predict, picture, label, attribution, steps, fill):
    order = np.argsort(-attribution, axis=None)  # flat numbers of the pixels, the largest first
    rank = np.empty(order.size, dtype=int)
    rank[order] = np.arange(order.size)
    rank = rank.reshape(*attribution.shape, 1)
    gone = np.array([round(t * order.size / steps) for t in range(steps + 1)])
    deleted = rank < gone[:, None, None, None]  # (steps + 1, H, W, 1)
    return predict(np.where(deleted, fill, picture))[:, label]


@exercise(
    "seeing_inside_cnns.shortcut",
    solution=_deletion_curve_solution,
    hints=[
        "np.argsort(-attribution, axis=None) gives the pixels' numbers in the order in which they are "
        "deleted.",
        "Turn the order into ranks: rank[order] = np.arange(H * W), reshaped to (H, W). After part t, the "
        "pixels with a rank below round(t * H * W / steps) are gone.",
        "Compare the ranks with all steps + 1 limits at once, for a mask of shape (steps + 1, H, W, 1), and "
        "let np.where choose between fill and picture. Then one call of predict.",
    ],
)
def deletion_curve(answer: Any) -> None:
    """The answer while pixels are deleted in the order of a map."""
    rng = np.random.default_rng(31)
    for shape, steps, fill in (((4, 6, 3), 8, 0.5), ((5, 5, 2), 4, 0.0), ((3, 4, 1), 1, 0.5)):
        picture, label = rng.random(shape), 1
        attribution = rng.permutation(shape[0] * shape[1]).reshape(shape[:2]) / 10 - 0.5
        predict, judge = _Counting(shape, 6), _Counting(shape, 6)
        given = picture.copy(), attribution.copy()
        value = call(answer, predict, picture, label, attribution, steps, fill)
        got = as_array(value, "The curve", shape=None)
        expect(
            np.array_equal(picture, given[0]) and np.array_equal(attribution, given[1]),
            "Your function changed the picture or the attribution that it was given. Delete on copies.",
        )
        right = _deletion_curve_solution(judge, picture, label, attribution, steps, fill)
        if got.shape == (steps,):
            which = "the untouched picture" if np.allclose(got, right[1:]) else "one of its points"
            raise NotYet(
                f"The curve has {steps} points and lacks {which}: it runs from nothing deleted to everything "
                f"deleted, in steps + 1 = {steps + 1} points."
            )
        got = as_array(value, "The curve", shape=(steps + 1,))
        if not np.allclose(got, right, rtol=1e-5, atol=1e-7):
            kept = _deletion_curve_solution(judge, picture, label, -attribution, steps, fill)
            size_order = _deletion_curve_solution(judge, picture, label, np.abs(attribution), steps, fill)
            ranks = np.argsort(np.argsort(-attribution, axis=None)).reshape(shape[:2])[None, ..., None]
            ends = np.array([round(t * attribution.size / steps) for t in range(steps + 1)])
            begins = np.concatenate([[0], ends[:-1]])
            gone = ranks < ends[:, None, None, None]  # (steps + 1, H, W, 1)
            part = gone & (ranks >= begins[:, None, None, None])
            insertion = judge(np.where(gone, picture, fill))[:, label]
            single = judge(np.where(part, fill, picture))[:, label]
            named = [
                (kept, "The pixels with the smallest attribution went first. np.argsort sorts upwards; the "
                 "largest should go first."),
                (insertion, "The curve runs from the empty picture to the full one: pixels were put in, not "
                 "taken out. That is the insertion curve."),
                (right[0] - right, "These are the falls. The curve is the probability itself, from the "
                 "untouched picture on."),
                (size_order, "The pixels were ordered by absolute value. A pixel with a large negative "
                 "attribution speaks against the answer and goes last."),
                (single, "Each point has only its own part deleted. What is gone stays gone: part t comes on "
                 "top of the parts before it."),
            ]  # fmt: skip
            for candidate, message in named:
                if np.allclose(got, candidate, rtol=1e-5, atol=1e-7):
                    raise NotYet(message)
        close(got, right, "The curve")
        expect(
            predict.calls <= 2,
            f"The values are right, but predict was called {predict.calls} times. Send all {steps + 1} "
            f"pictures "
            "together.",
        )
