"""Fisher's iris flowers, as scikit-learn ships them."""

from __future__ import annotations

from typing import Any

import numpy as np


def make_iris() -> dict[str, Any]:
    """Four measurements of 150 flowers.

    Returns
    -------
    dict
        ``x`` (150, 4) float64 in centimetres, ``y`` (150,) int64, 50 of each species 0..2,
        ``feature_names`` and ``class_names``.
    """
    from sklearn.datasets import load_iris

    raw = load_iris()
    return {
        "x": np.array(raw.data, dtype=np.float64),
        "y": np.array(raw.target, dtype=np.int64),
        "feature_names": [str(feature) for feature in raw.feature_names],
        "class_names": [str(species) for species in raw.target_names],
    }
