"""The data of the course: ``load("digits")`` and its like give the same fields with or without a network.

Environment variables, read at every call:

``COURSE_DATA``
    ``auto`` (default): the full public data set if it is cached or a server answers within three seconds,
    else the sample. ``sample``: never the network. ``full``: the full data set or a :class:`DataError`.
``COURSE_DATA_MIRROR``
    A folder or an http(s) address tried before the public ones. A relative folder is sought from the
    current folder, then from the repository's.
``COURSE_CACHE``
    Folder for downloads instead of the user's cache folder.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from . import (
    _dates,
    _digits,
    _download,
    _fashion,
    _houses,
    _idx,
    _iris,
    _mobilenet,
    _names,
    _photos,
    _points,
    _registry,
    _reviews,
    _series,
    _shapes,
    _tales,
    _translation,
    _tumours,
    _weights,
)
from ._dataset import DataError, Dataset
from ._download import cache_folder

__all__ = ["DataError", "Dataset", "cache_folder", "load", "mode", "names", "weights"]

MODES = ("auto", "sample", "full")


def _mnist_like(class_names: list[str]) -> Callable[[dict[str, Path]], dict[str, Any]]:
    def read(paths: dict[str, Path]) -> dict[str, Any]:
        fields: dict[str, Any] = {}
        for part in ("train", "test"):
            images = _idx.read_idx(paths[f"{part}_images"], 3)
            labels = _idx.read_idx(paths[f"{part}_labels"], 1)
            if len(images) != len(labels):
                raise DataError(
                    f"{paths[f'{part}_images']} holds {len(images)} images but there are {len(labels)} "
                    "labels; delete both files and load the data again."
                )
            fields[f"x_{part}"], fields[f"y_{part}"] = images, labels.astype(np.int64)
        return {**fields, "class_names": class_names}

    return read


# What makes a version that needs no file (its signature: the options), and what reads one that does.
_MAKERS: dict[str, Callable[..., dict[str, Any]]] = {
    "air": _series.make_air,
    "co2": _series.make_co2,
    "dates": _dates.make_dates,
    "digits": _digits.make_sample,
    "fashion": _fashion.make_sample,
    "houses": _houses.make_sample,
    "iris": _iris.make_iris,
    "mobilenet": _mobilenet.make_absent,
    "names": _names.make_names,
    "photos": _photos.make_photos,
    "points": _points.make_points,
    "reviews": _reviews.make_reviews,
    "shapes": _shapes.make_shapes,
    "tales": _tales.make_sample,
    "translation": _translation.make_sample,
    "tumours": _tumours.make_tumours,
}
_READERS: dict[str, Callable[[dict[str, Path]], dict[str, Any]]] = {
    "air": lambda paths: _series.read_air(paths["table"]),
    "digits": _mnist_like(_digits.CLASS_NAMES),
    "fashion": _mnist_like(_fashion.CLASS_NAMES),
    "houses": lambda paths: _houses.read_csv(paths["table"]),
    "mobilenet": _mobilenet.read_files,
    "names": lambda paths: _names.read_names(paths["list"]),
    "reviews": lambda paths: _reviews.read_sentences(paths["praise"], paths["blame"]),
    "tales": lambda paths: _tales.read_text(paths["text"]),
    "translation": lambda paths: _translation.read_zip(paths["archive"]),
}

_told: set[str] = set()  # data sets with a single version, which are announced once
_failed: dict[tuple[str, str, str], str] = {}  # downloads that failed in "auto" mode, and why


def names() -> tuple[str, ...]:
    """Names of the data sets that :func:`load` knows, in alphabetical order."""
    return tuple(sorted(_MAKERS))


def mode() -> str:
    """The value of ``COURSE_DATA``: "auto", "sample" or "full".

    Raises
    ------
    DataError
        If it is anything else.
    """
    value = os.environ.get("COURSE_DATA", "").strip().lower() or "auto"
    if value not in MODES:
        raise DataError(f"COURSE_DATA must be auto, sample or full, not {value!r}.")
    return value


def load(name: str, **options: Any) -> Dataset:
    """Load a data set, and say in one line which version it is and why.

    Parameters
    ----------
    name : str
        - ``"air"``: ``time`` (n,) datetime64[h], ``y`` (n,) float64, fine dust in µg/m³ with NaN in gaps, ``x`` (n, 6)
          float64, the columns ``feature_names`` (weather), ``wind`` (n,) int64 into ``wind_names``. Sample: two
          years of an invented city (17,520 hours); full: Beijing, 2010 to 2014 (43,824).
        - ``"co2"``: ``time`` (2284,) datetime64[D], ``y`` (2284,) float64: carbon dioxide over Mauna Loa, ppm, once a
          week, NaN in gaps.
        - ``"dates"``: see :func:`course_utils.data._dates.make_dates` for ``n`` and ``seed``; ``text_train`` str in
          five languages, ``target_train`` str "YYYY-MM-DD", ``language_train`` int64, ``text_test``, ...,
          ``language_names``.
        - ``"digits"``: ``x_train`` (n, 28, 28) uint8 0..255, ``y_train`` (n,) int64 0..9, ``x_test``,
          ``y_test``, ``class_names``. Sample: scikit-learn's digits in MNIST's form (1,437 / 360);
          full: MNIST (60,000 / 10,000).
        - ``"fashion"``: the same fields. Sample: drawings of the ten garments, generated
          (2,000 / 500); full: Fashion-MNIST (60,000 / 10,000).
        - ``"houses"``: ``x_train`` (n, 8) float64, the columns ``feature_names``, NaN where one is not
          known; ``category_train`` (n,) int64 into ``category_names``; ``y_train`` (n,) float64, median
          house value in US dollars; ``x_test``, ``category_test``, ``y_test``. Sample: an invented coast
          (2,000 / 500); full: California housing (16,512 / 4,128).
        - ``"iris"``: ``x`` (150, 4) float64 in cm, ``y`` (150,) int64 0..2, ``feature_names``,
          ``class_names``.
        - ``"mobilenet"``: ``weights_path`` and ``features_path``, str, the weights of MobileNet (alpha 0.25, 224 pixels) with
          and without its last layers, and ``class_names``, the 1,000 classes of ImageNet. Sample: None, None and [].
        - ``"names"``: ``name_train`` and ``name_test``, str, lower-case first names. Sample: collected for the course;
          full: 29,494 names given in the United States.
        - ``"photos"``: ``images`` (2, 427, 640, 3) uint8 RGB, ``names``: a temple and a flower.
        - ``"points"``: see :func:`course_utils.data._points.make_points` for ``kind``, ``n``, ``noise``,
          ``margin`` and ``seed``; ``x`` (n, 2) float64, ``y`` (n,) int64 in {0, 1}, and ``true_w``,
          ``true_b`` for ``kind="linear"``.
        - ``"reviews"``: ``text_train`` str, ``y_train`` int64, 1 for praise, ``kind_train`` str ("plain", "negation",
          "contrast", "irony", "mixed"; "untagged" in the full version), ``text_test``, ``y_test``, ``kind_test``,
          ``class_names``. Sample: written for the course (960 / 240); full: rt-polarity, sentences of film
          critics (8,530 / 2,132).
        - ``"shapes"``: see :func:`course_utils.data._shapes.make_shapes` for ``n``, ``seed``, ``size`` and
          ``shift``; ``images`` (n, size, size, 3) uint8, ``label``, ``color`` and ``object_size`` (n,),
          ``masks`` (n, size, size) bool, ``boxes`` (n, 4), ``captions`` (n,), ``class_names``,
          ``color_names``.
        - ``"tales"``: ``text_train`` and ``text_test``, str. Sample: short tales written for the course (some 60,000
          characters); full: Tiny Shakespeare (1.1 million).
        - ``"translation"``: ``english_train``, ``french_train``, ``english_test``, ``french_test``, str. Sample: a small
          grammar (4,000 / 400); full: sentences of Tatoeba (93,726 / 4,933).
        - ``"tumours"``: ``x`` (569, 30) float64, ``y`` (569,) int64, 1 for malignant, ``feature_names``,
          ``class_names``.
    **options
        Options of the data set.

    Returns
    -------
    Dataset
        The fields above and ``name``, ``version``, ``about``, ``licence`` and ``citation``. The arrays are
        the caller's own.

    Raises
    ------
    ValueError
        For an unknown data set, option or value; the message lists what exists.
    DataError
        If ``COURSE_DATA`` is invalid, or is "full" and the data cannot be had; one sentence says what to do.
    """
    if name not in _MAKERS:
        raise ValueError(f"Unknown data set {name!r}; there are {', '.join(names())}.")
    known = list(inspect.signature(_MAKERS[name]).parameters)
    for option in options:
        if option not in known:
            offers = f"it has {', '.join(known)}" if known else "it has none"
            raise ValueError(f"Data set {name!r} has no option {option!r}; {offers}.")

    wanted = mode()
    versions = _registry.read()[name]
    if "full" not in versions or not versions["full"].files:
        (version,) = versions
        fields = _MAKERS[name](**options)
        if name not in _told:
            _told.add(name)
            print(f"{name}: {version} data, {versions[version].short}.")
    else:
        paths, why = _files(name, versions["full"], wanted)
        version = "sample" if paths is None else "full"
        fields = _MAKERS[name](**options) if paths is None else _READERS[name](paths)
        print(f"{name}: {version} version, {versions[version].short} ({why}).")
    entry = versions[version]
    own = {key: _own(value) for key, value in fields.items()}
    return Dataset(
        name=name,
        version=version,
        about=entry.about,
        licence=entry.licence,
        citation=entry.citation,
        **own,
    )


def weights(name: str) -> dict[str, np.ndarray]:
    """Pretrained weights of this course, from ``data/weights/NAME.npz``: no network is needed.

    Parameters
    ----------
    name : str
        An entry of ``data/weights/weights.yaml``. ``python -m course_utils.data.make_weights NAME`` makes the file again.

    Returns
    -------
    dict
        Name of the array -> ndarray; float16 is given as float32.

    Raises
    ------
    ValueError
        For an unknown name; the message lists what exists.
    DataError
        If the file is missing, or is not the one that is listed; one sentence says what to do.
    """
    return _weights.read_weights(name)


def _own(value: Any) -> Any:
    """A copy where the maker keeps the original for the next call."""
    if isinstance(value, np.ndarray):
        return value.copy() if not value.flags.writeable else value
    return list(value) if isinstance(value, list) else value


def _why_sample(missing: list[_registry.File]) -> str:
    damaged = any((cache_folder() / file.path).exists() for file in missing)
    mirror = os.environ.get("COURSE_DATA_MIRROR", "").strip()
    start = "the cached copy is damaged and " if damaged else ""
    end = f", nor does the mirror {mirror} have it" if mirror else ""
    return f"{start}no data server answered{end}; COURSE_DATA=full shows the details"


def _files(name: str, full: _registry.Version, wanted: str) -> tuple[dict[str, Path] | None, str]:
    """The files of the full version, or None for the sample; and why."""
    if wanted == "sample":
        return None, "as COURSE_DATA=sample asks"
    paths = {role: _download.cached(file) for role, file in full.files.items()}
    missing = [full.files[role] for role, path in paths.items() if path is None]
    if not missing:
        return {role: path for role, path in paths.items() if path is not None}, "from the cache"

    key = (name, os.environ.get("COURSE_DATA_MIRROR", ""), str(cache_folder()))
    if wanted == "auto":
        if key in _failed:
            return None, _failed[key]
        if not all(_download.answering(_download.sources(file)) for file in missing):
            return None, _why_sample(missing)
    try:
        fetched = {role: _download.fetch(file) for role, file in full.files.items()}
    except DataError as error:
        if wanted == "full":
            raise
        _failed[key] = f"the full version failed: {str(error).rstrip('.')}"
        return None, _failed[key]
    return fetched, "now in the cache"
