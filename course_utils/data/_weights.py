"""Pretrained weights of the course: small files in data/weights, checked against their hash when they are read."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import Any

import numpy as np

from ._dataset import DataError
from ._registry import data_folder

LARGEST = 2_000_000  # bytes of a file


def weights_folder() -> Path:
    """The folder ``data/weights``."""
    return data_folder() / "weights"


def read_listing(folder: Path | None = None) -> dict[str, dict[str, Any]]:
    """``weights.yaml``: name -> about, licence, sha256, size."""
    import yaml

    path = (folder or weights_folder()) / "weights.yaml"
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except FileNotFoundError:
        raise DataError(f"{path} is missing: it lists the pretrained weights; restore it from the repository.") from None


def read_weights(name: str, folder: Path | None = None) -> dict[str, np.ndarray]:
    """See :func:`course_utils.data.weights`."""
    folder = folder or weights_folder()
    listing = read_listing(folder)
    if name not in listing:
        raise ValueError(f"Unknown weights {name!r}; there are {', '.join(sorted(listing))}.")
    path = folder / f"{name}.npz"
    remedy = f"restore it from the repository, or make it again: python -m course_utils.data.make_weights {name}"
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise DataError(f"{path} is missing: {remedy}") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror or type(error).__name__}): {remedy}") from None
    if hashlib.sha256(content).hexdigest() != listing[name]["sha256"]:
        raise DataError(f"{path} is not the file that weights.yaml lists (wrong SHA-256): {remedy}")
    with np.load(io.BytesIO(content), allow_pickle=False) as archive:
        return {
            key: archive[key].astype(np.float32) if archive[key].dtype == np.float16 else archive[key]
            for key in archive.files
        }
