"""Two photographs, as scikit-learn ships them."""

from __future__ import annotations

from typing import Any

import numpy as np


def make_photos() -> dict[str, Any]:
    """Two colour photographs of one size.

    Returns
    -------
    dict
        ``images`` (2, 427, 640, 3) uint8 RGB, ``names``: a temple ("temple": roofs, steps, straight edges) and
        a flower ("flower": one bright blossom before a blurred ground).
    """
    from sklearn.datasets import load_sample_image

    files = {"temple": "china.jpg", "flower": "flower.jpg"}
    return {
        "images": np.stack([np.array(load_sample_image(file), dtype=np.uint8) for file in files.values()]),
        "names": list(files),
    }
