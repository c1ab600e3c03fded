"""Checks of lesson 25: CutMix's label, a shear, boxes that go along, a pipeline, and augmented least squares."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from course_utils.checks._engine import NotYet, as_array, call, close, exercise, expect, several

Array = np.ndarray


def _same(got: Array, value: Any) -> bool:
    return got.shape == np.shape(value) and np.allclose(got, value, rtol=1e-6, atol=1e-9)


# ---------------------------------------------------------------------------- the label of CutMix


def _cutmix_weight_solution(height, width, top, left, box_height, box_width):
    rows = max(0, min(top + box_height, height) - max(top, 0))
    columns = max(0, min(left + box_width, width) - max(left, 0))
    return 1 - rows * columns / (height * width)


@exercise(
    "data_augmentation.mix",
    solution=_cutmix_weight_solution,
    hints=[
        "Count pixels: which rows of the box lie inside the image, and which columns?",
        "The rows of the box inside the image run from max(top, 0) to min(top + box_height, height). If the "
        "box lies outside altogether, that difference is negative, and no pixel is replaced.",
        "The share that was replaced is rows · columns / (height · width). It belongs to the partner's label; "
        "the question is about the other one.",
    ],
)
def cutmix_weight(answer: Any) -> None:
    """Weight of the first label when a box of another image has been pasted in."""
    cases = [
        (10, 10, -1, 8, 3, 4),
        (10, 8, 2, 3, 4, 5),
        (6, 9, 4, -2, 5, 4),
        (12, 7, -5, -5, 40, 40),
        (10, 10, -6, 2, 4, 4),
    ]
    for height, width, top, left, box_height, box_width in cases:
        arguments = (height, width, top, left, box_height, box_width)
        got = float(as_array(call(answer, *arguments), "The weight", shape=()))
        right = _cutmix_weight_solution(*arguments)
        replaced = 1 - right
        whole = box_height * box_width / (height * width)
        where = f"for cutmix_weight{arguments}"
        wrong = [
            (
                replaced,
                "That is the share of the pasted box. The weight asked for belongs to the image below.",
            ),
            (
                1 - whole,
                "The whole box was counted, also what lies beyond the border. The label follows what is seen.",
            ),
            (
                whole,
                "That is the area of the whole box; the border cuts some off, and the rest is the answer.",
            ),
            (replaced * height * width, "That is a number of pixels. Divide by the size of the image."),
            (
                right * height * width,
                "That is the number of pixels that are left. Divide by the size of the image.",
            ),
            (
                1 - np.sqrt(replaced),
                "A share of the area was turned into a share of the side. The label goes by the area.",
            ),
        ]
        for value, message in wrong:
            expect(
                abs(got - value) > 1e-9 or abs(value - right) < 1e-9, f"{where} you return {got:g}. {message}"
            )
        if top + box_height <= 0 and got > 1:
            raise NotYet(
                f"{where} you return {got:g}, more than 1. The box lies outside the image; a negative "
                "number of rows has to become 0."
            )
        close(got, right, f"The weight {where}", rtol=1e-9)


# ---------------------------------------------------------------------------- shear


def _shear_matrix_solution(slant, height, width):
    center_row = (height - 1) / 2
    return np.array([[1, slant, -slant * center_row], [0, 1, 0]])


@exercise(
    "data_augmentation.transform",
    solution=_shear_matrix_solution,
    hints=[
        "Solve the map for the input place: given the output place (x', y'), where was the pixel before?",
        "The rows stay, y = y'. From x' = x − s (y − c) follows x = x' + s (y' − c).",
        "Write x as a row times (x', y', 1): the factors are 1, s and the constant −s c with c = (H − 1)/2. "
        "The second row of the matrix says y = y'.",
    ],
)
def shear_matrix(answer: Any) -> None:
    """Inverse matrix of a slant about the centre row."""
    for slant, height, width in [(0.3, 9, 14), (-0.4, 14, 6), (0.5, 3, 3)]:
        got = as_array(call(answer, slant, height, width), "The matrix")
        expect(
            got.shape == (2, 3),
            f"The matrix has shape {got.shape}; `warp` takes one of shape (2, 3)"
            + (", without the row 0, 0, 1." if got.shape == (3, 3) else "."),
        )
        c, other = (height - 1) / 2, (width - 1) / 2
        wrong = [
            (
                [[1, -slant, slant * c], [0, 1, 0]],
                "That is the forward map: it says where an input pixel goes. Each output pixel has to learn "
                "where it came from.",
            ),
            (
                [[1, slant, 0], [0, 1, 0]],
                "The slant is about the top row: the centre row has to stay in place.",
            ),
            ([[1, -slant, 0], [0, 1, 0]], "The slant is about the top row, and it is the forward map."),
            (
                [[1, slant, slant * c], [0, 1, 0]],
                "The offset has the wrong sign: at y = c the place x must stay x.",
            ),
            (
                [[1, slant, -slant * height / 2], [0, 1, 0]],
                "The centre of the pixels 0 ... H − 1 is (H − 1)/2, not H/2.",
            ),
            (
                [[1, slant, -slant * other], [0, 1, 0]],
                "The centre was taken from the width; rows are counted by y.",
            ),
            (
                [[1, 0, 0], [slant, 1, -slant * other]],
                "This moves columns up and down. A slant moves rows sideways: the slope belongs to the first row "
                "of the matrix.",
            ),
        ]
        for value, message in wrong:
            expect(
                not _same(got, value) or _same(got, _shear_matrix_solution(slant, height, width)),
                f"For slant {slant:g} and {height} x {width} pixels: {message}",
            )
        close(got, _shear_matrix_solution(slant, height, width), "The matrix")


# ---------------------------------------------------------------------------- boxes


def _flip_with_boxes_solution(image, boxes):
    width = image.shape[1]
    x0, y0, x1, y1 = boxes.T
    return image[:, ::-1], np.stack([width - x1, y0, width - x0, y1], axis=1)


@exercise(
    "data_augmentation.label",
    solution=_flip_with_boxes_solution,
    hints=[
        "The image is one slice with a step of −1. Which of the three axes runs from left to right?",
        "The right edge of a box becomes its left edge. Draw ten pixels and mirror the box from 1 to 4.",
        "Edges lie between pixels and run from 0 to W, so an edge at x goes to W − x. Keep x0 < x1: the new x0 "
        "comes from the old x1.",
    ],
)
def flip_with_boxes(answer: Any) -> None:
    """Mirror an image together with its boxes."""
    rng = np.random.default_rng(25)
    image = rng.random((7, 10, 3))
    boxes = np.array([[1, 2, 4, 6], [0, 0, 10, 7], [5, 1, 6, 3], [7, 3, 10, 4]])
    given_image, given_boxes = image.copy(), boxes.copy()
    results = several(call(answer, image, boxes), "the image", "the boxes")
    expect(
        np.array_equal(image, given_image) and np.array_equal(boxes, given_boxes),
        "Your function changed the arrays that it was given. Make new ones.",
    )
    got = as_array(results[0], "The image", shape=image.shape)
    expect(
        not _same(got, image[::-1]),
        "The image is mirrored top to bottom. Axis 0 runs over the rows, axis 1 from left to right.",
    )
    expect(not _same(got, image[..., ::-1]), "The channels are reversed, not the columns.")
    expect(
        not _same(got, image[::-1, ::-1]), "The image is turned by 180 degrees: rows were reversed as well."
    )
    close(got, image[:, ::-1], "The image")
    new = as_array(results[1], "The array of boxes", shape=boxes.shape)
    x0, y0, x1, y1 = boxes.T
    wrong = [
        (boxes, "The image is mirrored and the boxes are as they were: the label has to go along."),
        (
            np.stack([10 - x0, y0, 10 - x1, y1], axis=1),
            "The new boxes have x0 right of x1. Mirroring makes the right edge the left one.",
        ),
        (
            np.stack([9 - x1, y0, 9 - x0, y1], axis=1),
            "The boxes lie one pixel too far left: an edge at x goes to W − x. W − 1 − x is the rule for the index "
            "of a pixel.",
        ),
        (
            np.stack([9 - x0, y0, 9 - x1, y1], axis=1),
            "Two things: x0 and x1 change places, and an edge at x goes to W − x, not W − 1 − x.",
        ),
        (
            np.stack([7 - x1, y0, 7 - x0, y1], axis=1),
            "The height was used in place of the width: image.shape is (H, W, C).",
        ),
        (
            np.stack([x0, 7 - y1, x1, 7 - y0], axis=1),
            "The boxes are mirrored top to bottom. Left and right are x0 and x1.",
        ),
    ]
    for value, message in wrong:
        expect(not _same(new, value), message)
    close(new, np.stack([10 - x1, y0, 10 - x0, y1], axis=1), "The array of boxes")


# ---------------------------------------------------------------------------- pipeline


def _training_pipeline_solution(images, labels, augment, batch_size):
    import tensorflow as tf

    return (
        tf.data.Dataset.from_tensor_slices((images, labels))
        .cache()
        .shuffle(len(images))
        .batch(batch_size)
        .map(augment, num_parallel_calls=tf.data.AUTOTUNE)
        .prefetch(tf.data.AUTOTUNE)
    )


@exercise(
    "data_augmentation.pipeline",
    solution=_training_pipeline_solution,
    hints=[
        "Begin with `tf.data.Dataset.from_tensor_slices((images, labels))`, which holds single examples, and chain "
        "the five steps of the lesson.",
        "Whatever stands before `cache` happens once. Shuffling and augmenting should happen in every epoch, so "
        "both stand behind it; `augment` takes batches, so `batch` stands before `map`.",
        "cache, shuffle with a buffer of len(images), batch, map(augment, num_parallel_calls=...), prefetch.",
    ],
)
def training_pipeline(answer: Any) -> None:
    """A pipeline that shows every example once an epoch, in a new version each time."""
    import tensorflow as tf

    n, batch_size, epochs = 43, 8, 3
    images = np.tile(10.0 * np.arange(n, dtype="float32")[:, None, None, None], (1, 4, 4, 1))
    labels = np.arange(n)
    ranks: list[int] = []
    # A generator goes on from epoch to epoch. After `set_random_seed` plain `tf.random.uniform` begins anew in each.
    generator = tf.random.Generator.from_seed(25)

    def augment(pictures, numbers):
        ranks.append(pictures.shape.rank)
        noise = generator.uniform(tf.shape(pictures)[:1], 1.0, 9.0)  # one number for each picture
        return pictures + tf.reshape(noise, [-1] + [1] * (pictures.shape.rank - 1)), numbers

    dataset = call(answer, images, labels, augment, batch_size)
    if dataset is None:
        raise NotYet("The function returned None; it should return the dataset (is the `return` missing?).")
    expect(
        isinstance(dataset, tf.data.Dataset),
        f"The function should return a tf.data.Dataset, not a {type(dataset).__name__}.",
    )
    expect(
        3 not in ranks,
        "`augment` was called with a single image, of 3 axes. It takes a batch: put `batch` before `map`.",
    )
    expect(5 not in ranks, "`augment` was called with an array of 5 axes: the examples were batched twice.")
    limit = 2 * n
    seen = []  # for each epoch: batches of (image values, labels)
    for _ in range(epochs):
        batches = [
            (pictures.numpy(), numbers.numpy()) for pictures, numbers in itertools.islice(dataset, limit)
        ]
        seen.append(batches)
    orders = [np.concatenate([np.atleast_1d(numbers) for _, numbers in batches]) for batches in seen]
    expect(ranks, "`augment` is never called: the images come out as they went in.")
    for order in orders:
        if len(order) > n:
            raise NotYet(
                f"An epoch has more than {n} examples: is there a `repeat`? `fit` repeats by itself."
            )
        if len(order) < n:
            raise NotYet(
                f"An epoch shows {len(order)} of {n} examples. With `drop_remainder=True` (or `take`) some are lost."
            )
        expect(len(np.unique(order)) == n, "Some examples come twice in an epoch, and others not at all.")
    sizes = [len(numbers) for _, numbers in seen[0]]
    expect(
        sorted(sizes, reverse=True) == [8, 8, 8, 8, 8, 3],
        f"With batch_size 8 and {n} examples the batches have the sizes {sizes}; expected are five of 8 and one of 3.",
    )
    values = []
    for batches in seen:
        pictures = np.concatenate([p[:, 0, 0, 0] for p, _ in batches])
        numbers = np.concatenate([k for _, k in batches])
        expect(
            (np.floor(pictures / 10) == numbers).all(),
            "Images and labels no longer belong together. Shuffle both in one dataset, not each for itself.",
        )
        values.append(pictures[np.argsort(numbers)])
    expect(
        not np.array_equal(values[0], values[1]),
        "Every epoch shows the same version of each image: `cache` stands behind `map`, and keeps what the first "
        "epoch drew.",
    )
    expect(
        not np.allclose(values[0], images[:, 0, 0, 0]), "`augment` changes nothing here: is its result used?"
    )
    if all(np.array_equal(order, labels) for order in orders):
        raise NotYet("The examples come in their original order: nothing is shuffled.")
    if np.array_equal(orders[0], orders[1]) and np.array_equal(orders[1], orders[2]):
        raise NotYet(
            "The order is shuffled once and is the same in every epoch: `shuffle` stands before `cache`, or "
            "does not reshuffle."
        )
    together = [{frozenset(map(int, numbers)) for _, numbers in batches} for batches in seen]
    expect(
        together[0] != together[1],
        "Whole batches are shuffled: the same examples stay together in every epoch. Put `shuffle` before `batch`.",
    )
    far = np.mean([np.abs(np.argsort(order) - labels).mean() for order in orders])
    expect(
        far > 0.15 * n,
        "The examples hardly leave their places: the buffer of `shuffle` is small. It should hold all examples.",
    )


# ---------------------------------------------------------------------------- augmented least squares


def _augmented_weights_solution(X, y, covariance):
    m = len(X)
    return np.linalg.solve(X.T @ X + m * covariance, X.T @ y)


@exercise(
    "data_augmentation.transform",
    solution=_augmented_weights_solution,
    hints=[
        "Write the error of one copy, (w·x + w·δ − y)², multiply out, and take the mean over δ. Which terms are left?",
        "The mean is (w·x − y)² + wᵀ Σ w, because E[δ] = 0 and E[(w·δ)²] = wᵀ E[δ δᵀ] w. Averaged over the images: "
        "‖Xw − y‖²/m + wᵀ Σ w.",
        "Set the gradient to zero: XᵀX w/m + Σ w = Xᵀy/m. Multiply by m and solve for w. "
        "For Σ = s² I that is ridge regression.",
    ],
)
def augmented_weights(answer: Any) -> None:
    """Least squares on infinitely many noisy copies, in closed form."""
    rng = np.random.default_rng(7)
    for m, d in [(12, 3), (3, 5), (2, 1)]:
        X, y = rng.normal(size=(m, d)), rng.normal(size=m)
        factor = rng.normal(size=(d, d))
        covariance = 0.3 * factor @ factor.T + 0.05 * np.eye(d)
        if d == 1:
            X, y, covariance = np.array([[1.0], [2.0]]), np.array([2.0, 4.0]), np.array([[2.5]])
        given = [array.copy() for array in (X, y, covariance)]
        got = as_array(call(answer, X, y, covariance), "The result", shape=(d,))
        expect(
            all(np.array_equal(a, b) for a, b in zip((X, y, covariance), given, strict=True)),
            "Your function changed the arrays that it was given. `X += ...` works in place.",
        )
        right = _augmented_weights_solution(X, y, covariance)
        spread = np.linalg.solve(X.T @ X + covariance, X.T @ y)
        trace = np.linalg.solve(X.T @ X + m * np.trace(covariance) / d * np.eye(d), X.T @ y)
        diagonal = np.linalg.solve(X.T @ X + m * np.diag(np.diag(covariance)), X.T @ y)
        both = np.linalg.solve(X.T @ X + m * covariance, (X.T @ y) / m)
        square = np.linalg.solve(X.T @ X + m * covariance @ covariance, X.T @ y)
        unaugmented = np.linalg.lstsq(X, y, rcond=None)[0]
        where = f"With {m} images of {d} features"
        wrong = [
            (
                unaugmented,
                "these are the weights without copies. The noise leaves a term that holds the covariance.",
            ),
            (
                spread,
                "the covariance counts once for each image: XᵀX is a sum over the images, so it goes with m times "
                "the covariance.",
            ),
            (trace, "only the mean variance is used. Noise in some directions punishes those and no others."),
            (diagonal, "only the diagonal of the covariance is used: pixels that move together are lost."),
            (both, "the right side was divided by the number of images and the left was not."),
            (square, "the covariance enters squared. E[δ δᵀ] is the covariance itself."),
        ]
        for value, message in wrong:
            expect(not _same(got, value) or _same(got, right), f"{where}: {message}")
        if d > 1:
            drawn = rng.multivariate_normal(np.zeros(d), covariance, size=(50, m))
            many = np.linalg.lstsq((X + drawn).reshape(-1, d), np.tile(y, 50), rcond=None)[0]
            if np.abs(got - many).max() < 5 * np.abs(right - many).max() and not np.allclose(
                got, right, rtol=1e-3
            ):
                raise NotYet(
                    f"{where}: the weights are near the right ones but not exact. Copies were drawn, or the "
                    "solution is iterative; the mean over all copies can be written down."
                )
        close(got, right, "The result", rtol=1e-5)
