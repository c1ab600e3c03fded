"""Short reviews with their sentiment: written for the course, or sentences of film critics (rt-polarity)."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np

from course_utils.data._dataset import DataError
from course_utils.data._registry import data_folder

CLASS_NAMES = ["blame", "praise"]
KINDS = ["plain", "negation", "contrast", "irony", "mixed"]
TEST_EVERY = 5  # of the pairs, so that twins stay together and every kind is in both parts


def make_reviews() -> dict[str, Any]:
    """1,200 reviews in pairs, 960 to train and 240 to test.

    A pair is about one thing, once with praise and once with blame, often in nearly the same words. Both are on
    one side of the split, so that no test review has a twin in training.

    Returns
    -------
    dict
        ``text_train`` (960,) and ``text_test`` (240,) str; ``y_train`` and ``y_test`` int64, 1 for praise;
        ``kind_train`` and ``kind_test`` str: what makes it hard, one of "plain", "negation", "contrast", "irony",
        "mixed"; ``class_names``.
    """
    with (data_folder() / "reviews.tsv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    pairs = np.arange(len(rows)) // 2
    order = np.lexsort((pairs, [KINDS.index(row["kind"]) for row in rows]))  # by kind, pairs together
    in_test = np.zeros(len(rows), dtype=bool)
    in_test[order] = np.arange(len(rows)) // 2 % TEST_EVERY == TEST_EVERY - 1
    columns = {
        "text": np.array([row["text"] for row in rows]),
        "y": np.array([int(row["label"]) for row in rows], dtype=np.int64),
        "kind": np.array([row["kind"] for row in rows]),
    }
    parts: dict[str, Any] = {}
    for part, chosen in (("train", ~in_test), ("test", in_test)):
        mixed = np.random.default_rng(0).permutation(np.flatnonzero(chosen))
        parts |= {f"{name}_{part}": values[mixed] for name, values in columns.items()}
    return {**parts, "class_names": CLASS_NAMES}


def read_sentences(praise: Path, blame: Path) -> dict[str, Any]:
    """Sentences of film reviews, one on a line, in two files; every fifth is for testing.

    Returns
    -------
    dict
        The fields of :func:`make_reviews`; ``kind_train`` and ``kind_test`` are "untagged" throughout, since nobody
        has marked what is hard about these.

    Raises
    ------
    DataError
        If a file has fewer than 100 lines, which cannot be the whole of it.
    """
    texts: list[str] = []
    labels: list[int] = []
    for path, label in ((praise, 1), (blame, 0)):
        lines = [line.strip() for line in path.read_text(encoding="latin-1").split("\n")]
        lines = list(dict.fromkeys(line for line in lines if line))
        if len(lines) < 100:
            raise DataError(f"{path} has {len(lines)} reviews only; delete it and load the data again.")
        texts += lines
        labels += [label] * len(lines)
    order = np.random.default_rng(0).permutation(len(texts))
    in_test = np.arange(len(texts)) % TEST_EVERY == TEST_EVERY - 1
    text, y = np.array(texts)[order], np.array(labels, dtype=np.int64)[order]
    parts: dict[str, Any] = {}
    for part, chosen in (("train", ~in_test), ("test", in_test)):
        parts |= {
            f"text_{part}": text[chosen],
            f"y_{part}": y[chosen],
            f"kind_{part}": np.full(chosen.sum(), "untagged"),
        }
    return {**parts, "class_names": CLASS_NAMES}
