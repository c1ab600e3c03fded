"""First names, to invent others like them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from course_utils.data._dataset import DataError
from course_utils.data._registry import data_folder

TEST_EVERY = 10


def make_names() -> dict[str, Any]:
    """First names from many languages, collected for the course; fields as in :func:`read_names`."""
    return read_names(data_folder() / "names.txt")


def read_names(path: Path) -> dict[str, Any]:
    """First names in lower case, one on a line, without repetition; every tenth is for testing.

    Returns
    -------
    dict
        ``name_train`` and ``name_test`` (n,) str of the letters a to z, in a mixed order.

    Raises
    ------
    DataError
        If the file is not such a list.
    """
    try:
        names = list(dict.fromkeys(path.read_text(encoding="ascii").split()))
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not a list of names; delete it and load the data again.") from error
    if len(names) < 100 or not all(name.isalpha() and name.islower() for name in names):
        raise DataError(f"{path} is not a list of names; delete it and load the data again.")
    mixed = np.array(names)[np.random.default_rng(0).permutation(len(names))]
    in_test = np.arange(len(names)) % TEST_EVERY == TEST_EVERY - 1
    return {"name_train": mixed[~in_test], "name_test": mixed[in_test]}
