"""Measurements of breast tumours (Wisconsin diagnostic data), as scikit-learn ships them."""

from __future__ import annotations

from typing import Any

import numpy as np


def make_tumours() -> dict[str, Any]:
    """Thirty measurements of the cell nuclei in 569 tumours.

    Returns
    -------
    dict
        ``x`` (569, 30) float64, ``y`` (569,) int64, 1 for malignant (scikit-learn codes benign as 1),
        ``feature_names`` and ``class_names``.
    """
    from sklearn.datasets import load_breast_cancer

    raw = load_breast_cancer()
    return {
        "x": np.array(raw.data, dtype=np.float64),
        "y": 1 - np.array(raw.target, dtype=np.int64),
        "feature_names": [str(feature) for feature in raw.feature_names],
        "class_names": ["benign", "malignant"],
    }
