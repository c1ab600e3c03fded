"""Right, untouched and wrong answers to the exercises of lesson 17."""

from __future__ import annotations

import itertools

import numpy as np

from course_utils.checks.seeing_inside_cnns import _deletion_curve_solution, _occlusion_by_donors_solution
from tests.checks.common import Case


def _stub(*args):
    return ...


def _relu(x):
    return np.maximum(x, 0)


def _cam(weights=lambda s: s.mean(axis=(1, 2), keepdims=True), after=_relu, reduce=np.sum):
    return lambda maps, slopes: after(reduce(maps * weights(slopes), axis=-1))


def _donors(change):
    """The reference answer, changed by `change(result, predict, picture, label, donors)`."""

    def answer(predict, picture, label, patch, stride, donors):
        result = _occlusion_by_donors_solution(predict, picture, label, patch, stride, donors)
        return change(result, predict, picture, label, donors)

    return answer


def _with_donors(change):
    return lambda predict, picture, label, patch, stride, donors: _occlusion_by_donors_solution(
        predict, picture, label, patch, stride, change(donors)
    )


def _one_by_one(predict, picture, label, patch, stride, donors):
    return _occlusion_by_donors_solution(
        lambda X: np.concatenate([predict(x[None]) for x in X]), picture, label, patch, stride, donors
    )


def _in_place(predict, picture, label, patch, stride, donors):
    result = _occlusion_by_donors_solution(predict, picture, label, patch, stride, donors)
    picture[:patch, :patch] = donors[0, :patch, :patch]
    return result


def _from_one_corner(predict, picture, label, patch, stride, donors):
    tiled = np.empty_like(donors)
    falls = []
    for top in range(0, picture.shape[0] - patch + 1, stride):
        for left in range(0, picture.shape[1] - patch + 1, stride):
            tiled[:] = picture
            tiled[:, top : top + patch, left : left + patch] = donors[:, :patch, :patch]
            falls.append(predict(picture[None])[0, label] - predict(tiled)[:, label].mean())
    rows = (picture.shape[0] - patch) // stride + 1
    return np.reshape(falls, (rows, -1))


def _curve(change_map=lambda a: a, change=lambda curve: curve):
    return lambda predict, picture, label, attribution, steps, fill: change(
        _deletion_curve_solution(predict, picture, label, change_map(attribution), steps, fill)
    )


def _insertion(predict, picture, label, attribution, steps, fill):
    ranks = np.argsort(np.argsort(-attribution, axis=None)).reshape(attribution.shape)
    limits = [round(t * attribution.size / steps) for t in range(steps + 1)]
    pictures = [np.where((ranks < limit)[..., None], picture, fill) for limit in limits]
    return predict(np.array(pictures))[:, label]


def _single_parts(predict, picture, label, attribution, steps, fill):
    ranks = np.argsort(np.argsort(-attribution, axis=None)).reshape(attribution.shape)
    limits = [0] + [round(t * attribution.size / steps) for t in range(steps + 1)]
    pairs = itertools.pairwise(limits)
    pictures = [np.where(((ranks >= a) & (ranks < b))[..., None], fill, picture) for a, b in pairs]
    return predict(np.array(pictures))[:, label]


def _deletes_in_place(predict, picture, label, attribution, steps, fill):
    result = _deletion_curve_solution(predict, picture, label, attribution, steps, fill)
    picture[:] = fill
    return result


CASES = {
    "cam_from_parts": Case(
        stub=_stub,
        wrong=[
            (_cam(after=lambda x: x), "negative values are left"),
            (_cam(weights=lambda s: s.sum(axis=(1, 2), keepdims=True)), "summed over the places"),
            (_cam(weights=lambda s: s), "its own slope"),
            (_cam(weights=lambda s: _relu(s.mean(axis=(1, 2), keepdims=True))), "negative weights were set "
             "to 0"),
            (_cam(weights=lambda s: _relu(s).mean(axis=(1, 2), keepdims=True)), "dropped before the mean"),
            (_cam(after=np.abs), "absolute value"),
            (_cam(reduce=np.mean), "averaged over the channels"),
            (_cam(weights=lambda s: np.abs(s.mean(axis=(1, 2), keepdims=True))), "lost their sign"),
            (_cam(weights=lambda s: s.mean(axis=(0, 1, 2))), "averaged over the pictures"),
            (lambda maps, slopes: slopes.mean(axis=(1, 2)), "shape"),
            (lambda maps, slopes: None, "return"),
        ],
    ),
    "occlusion_by_donors": Case(
        stub=_stub,
        wrong=[
            (_donors(lambda r, *rest: -r), "signs are turned round"),
            (_donors(lambda r, predict, picture, label, donors: len(donors) * r), "summed over the"),
            (_donors(lambda r, predict, picture, label, donors: predict(picture[None])[0, label] - r),
             "probability with the part replaced"),
            (_with_donors(lambda d: d[:1]), "only the first donor"),
            (_with_donors(lambda d: d.mean(axis=0, keepdims=True)), "averaged before"),
            (_with_donors(lambda d: np.full_like(d[:1], 0.5)), "squares are grey"),
            (_from_one_corner, "upper left corner"),
            (_one_by_one, "send them together"),
            (_in_place, "changed the picture"),
            (_donors(lambda r, *rest: r.ravel()), "shape"),
            (lambda *args: None, "return"),
        ],
    ),
    "deletion_curve": Case(
        stub=_stub,
        wrong=[
            (_curve(change_map=lambda a: -a), "smallest attribution went first"),
            (_curve(change_map=np.abs), "absolute value"),
            (_curve(change=lambda c: c[0] - c), "these are the falls"),
            (_curve(change=lambda c: c[1:]), "lacks the untouched picture"),
            (_insertion, "insertion curve"),
            (_single_parts, "stays gone"),
            (_deletes_in_place, "changed the picture"),
            (lambda predict, *rest: _deletion_curve_solution(
                lambda X: np.concatenate([predict(x[None]) for x in X]), *rest), "together"),
            (lambda *args: None, "return"),
        ],
    ),
}  # fmt: skip
