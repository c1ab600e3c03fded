"""MobileNet as Keras publishes it, trained on the photographs of ImageNet: its weights and the names of its classes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ._dataset import DataError


def make_absent() -> dict[str, Any]:
    """The sample: no weights, so that a lesson can say so and go on."""
    return {"weights_path": None, "features_path": None, "class_names": []}


def read_files(paths: dict[str, Path]) -> dict[str, Any]:
    """The paths of the two files of weights, and the 1,000 names in the order of the network's outputs."""
    try:
        index = json.loads(paths["classes"].read_text(encoding="utf-8"))
        names = [index[str(i)][1].replace("_", " ") for i in range(len(index))]
    except (ValueError, KeyError, IndexError, TypeError, AttributeError):
        raise DataError(f"{paths['classes']} is not a table of ImageNet's classes; delete it and load again.") from None
    return {"weights_path": str(paths["whole"]), "features_path": str(paths["features"]), "class_names": names}
