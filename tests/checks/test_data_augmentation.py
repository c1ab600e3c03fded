"""Right, untouched and wrong answers to the exercises of lesson 25."""

from __future__ import annotations

import numpy as np

from course_utils.checks.data_augmentation import (
    _augmented_weights_solution,
    _cutmix_weight_solution,
    _flip_with_boxes_solution,
    _shear_matrix_solution,
)
from tests.checks.common import Case


def _stub(*args):
    return ...


def _whole_box(height, width, top, left, box_height, box_width):
    return 1 - box_height * box_width / (height * width)


def _negative_rows(height, width, top, left, box_height, box_width):
    rows = min(top + box_height, height) - max(top, 0)
    columns = min(left + box_width, width) - max(left, 0)
    return 1 - rows * columns / (height * width)


def _shear(f):
    return lambda s, height, width: np.array(f(s, (height - 1) / 2, height, width))


def _boxes(f):
    """The image mirrored, and boxes from a function of (x0, y0, x1, y1, width)."""
    return lambda image, boxes: (image[:, ::-1], np.stack(f(*boxes.T, image.shape[1]), axis=1))


def _image(f):
    return lambda image, boxes: (f(image), _flip_with_boxes_solution(image, boxes)[1])


def _boxes_in_place(image, boxes):
    width = image.shape[1]
    boxes[:, [0, 2]] = width - boxes[:, [2, 0]]
    return image[:, ::-1], boxes


def _pipeline(f):
    """A pipeline from a function of (dataset, n, augment, batch size)."""

    def pipeline(images, labels, augment, batch_size):
        import tensorflow as tf

        return f(tf.data.Dataset.from_tensor_slices((images, labels)), len(images), augment, batch_size)

    return pipeline


def _shuffled_apart(images, labels, augment, batch_size):
    import tensorflow as tf

    n = len(images)
    pictures = tf.data.Dataset.from_tensor_slices(images).shuffle(n)
    numbers = tf.data.Dataset.from_tensor_slices(labels).shuffle(n)
    return tf.data.Dataset.zip((pictures, numbers)).batch(batch_size).map(augment)


def _weights(f):
    """Weights from a function of (X, y, covariance, m, d) that returns the left and the right side."""
    return lambda X, y, c: np.linalg.solve(*f(X, y, c, len(X), X.shape[1]))


def _drawn(X, y, covariance):
    rng = np.random.default_rng(0)
    copies = X + rng.multivariate_normal(np.zeros(X.shape[1]), covariance, size=(20_000, len(X)))
    return np.linalg.lstsq(copies.reshape(-1, X.shape[1]), np.tile(y, 20_000), rcond=None)[0]


def _in_place(X, y, covariance):
    covariance *= len(X)
    return np.linalg.solve(X.T @ X + covariance, X.T @ y)


CASES = {
    "cutmix_weight": Case(
        stub=_stub,
        wrong=[
            (lambda *a: 1 - _cutmix_weight_solution(*a), "image below"),
            (_whole_box, "beyond the border"),
            (lambda *a: 1 - _whole_box(*a), "whole box"),
            (lambda *a: (1 - _cutmix_weight_solution(*a)) * a[0] * a[1], "number of pixels"),
            (lambda *a: _cutmix_weight_solution(*a) * a[0] * a[1], "pixels that are left"),
            (lambda *a: 1 - np.sqrt(1 - _cutmix_weight_solution(*a)), "share of the side"),
            (_negative_rows, "has to become 0"),
            (lambda *a: 0.5, "should be"),
            (lambda *a: None, "return"),
        ],
    ),
    "shear_matrix": Case(
        stub=_stub,
        wrong=[
            (_shear(lambda s, c, H, W: [[1, -s, s * c], [0, 1, 0]]), "forward map"),
            (_shear(lambda s, c, H, W: [[1, s, 0], [0, 1, 0]]), "top row"),
            (_shear(lambda s, c, H, W: [[1, -s, 0], [0, 1, 0]]), "and it is the forward map"),
            (_shear(lambda s, c, H, W: [[1, s, s * c], [0, 1, 0]]), "wrong sign"),
            (_shear(lambda s, c, H, W: [[1, s, -s * H / 2], [0, 1, 0]]), "not H/2"),
            (_shear(lambda s, c, H, W: [[1, s, -s * (W - 1) / 2], [0, 1, 0]]), "from the width"),
            (_shear(lambda s, c, H, W: [[1, 0, 0], [s, 1, -s * (W - 1) / 2]]), "up and down"),
            (lambda *a: np.vstack([_shear_matrix_solution(*a), [0, 0, 1]]), "without the row"),
            (lambda *a: _shear_matrix_solution(*a)[:, :2], "shape"),
        ],
    ),
    "flip_with_boxes": Case(
        stub=lambda image, boxes: (..., ...),
        wrong=[
            (_boxes(lambda x0, y0, x1, y1, W: [x0, y0, x1, y1]), "go along"),
            (_boxes(lambda x0, y0, x1, y1, W: [W - x0, y0, W - x1, y1]), "x0 right of x1"),
            (_boxes(lambda x0, y0, x1, y1, W: [W - 1 - x1, y0, W - 1 - x0, y1]), "one pixel"),
            (_boxes(lambda x0, y0, x1, y1, W: [W - 1 - x0, y0, W - 1 - x1, y1]), "two things"),
            (_boxes(lambda x0, y0, x1, y1, W: [7 - x1, y0, 7 - x0, y1]), "height was used"),
            (_boxes(lambda x0, y0, x1, y1, W: [x0, 7 - y1, x1, 7 - y0]), "top to bottom"),
            (_image(lambda image: image[::-1]), "axis 0 runs over the rows"),
            (_image(lambda image: image[..., ::-1]), "channels"),
            (_image(lambda image: image[::-1, ::-1]), "180"),
            (_boxes_in_place, "changed the arrays"),
            (lambda image, boxes: image[:, ::-1], "it should return 2"),
        ],
    ),
    "training_pipeline": Case(
        stub=_stub,
        wrong=[
            (_pipeline(lambda d, n, f, b: d.shuffle(n).batch(b).map(f).cache()), "same version"),
            (_pipeline(lambda d, n, f, b: d.batch(b).map(f).cache().shuffle(n)), "same version"),
            (_pipeline(lambda d, n, f, b: d.shuffle(n).cache().batch(b).map(f)), "same in every epoch"),
            (
                _pipeline(lambda d, n, f, b: d.shuffle(n, reshuffle_each_iteration=False).batch(b).map(f)),
                "same in every epoch",
            ),
            (_pipeline(lambda d, n, f, b: d.cache().shuffle(n).map(f).batch(b)), "put `batch` before `map`"),
            (_pipeline(lambda d, n, f, b: d.shuffle(n).batch(b).batch(2).map(f)), "batched twice"),
            (_pipeline(lambda d, n, f, b: d.cache().batch(b).map(f)), "nothing is shuffled"),
            (_pipeline(lambda d, n, f, b: d.cache().batch(b).shuffle(n).map(f)), "stay together"),
            (_pipeline(lambda d, n, f, b: d.cache().shuffle(3).batch(b).map(f)), "buffer"),
            (_pipeline(lambda d, n, f, b: d.shuffle(n).batch(b, drop_remainder=True).map(f)), "are lost"),
            (_pipeline(lambda d, n, f, b: d.shuffle(n).repeat().batch(b).map(f)), "repeat"),
            (_pipeline(lambda d, n, f, b: d.shuffle(n).batch(b)), "never called"),
            (_pipeline(lambda d, n, f, b: d.shuffle(n).batch(2 * b).map(f)), "have the sizes"),
            (_pipeline(lambda d, n, f, b: list(d.shuffle(n).batch(b).map(f))), "tf.data.Dataset"),
            (_pipeline(lambda d, n, f, b: None), "return"),
            (_shuffled_apart, "belong together"),
        ],
    ),
    "augmented_weights": Case(
        stub=_stub,
        wrong=[
            (_weights(lambda X, y, c, m, d: (X.T @ X + 1e-12 * np.eye(d), X.T @ y)), "without copies"),
            (_weights(lambda X, y, c, m, d: (X.T @ X + c, X.T @ y)), "once for each image"),
            (
                _weights(lambda X, y, c, m, d: (X.T @ X + m * np.trace(c) / d * np.eye(d), X.T @ y)),
                "mean variance",
            ),
            (_weights(lambda X, y, c, m, d: (X.T @ X + m * np.diag(np.diag(c)), X.T @ y)), "diagonal"),
            (_weights(lambda X, y, c, m, d: (X.T @ X + m * c, X.T @ y / m)), "right side"),
            (_weights(lambda X, y, c, m, d: (X.T @ X + m * c @ c, X.T @ y)), "squared"),
            (_drawn, "not exact"),
            (_in_place, "changed the arrays"),
            (lambda X, y, c: _augmented_weights_solution(X, y, c)[:, None], "shape"),
        ],
    ),
}
