"""Short reviews with their sentiment, written for the course."""

from __future__ import annotations

import csv
from typing import Any

import numpy as np

from course_utils.data._registry import data_folder

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
    return {**parts, "class_names": ["blame", "praise"]}
