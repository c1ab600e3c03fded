"""What lesson 25 builds, against Keras, NumPy, analytic values, and what its text claims."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from course_utils.checks import data_augmentation as check
from tests.lessons.code import lesson_code


@pytest.fixture(scope="module")
def lesson():
    return lesson_code("25_data_augmentation")


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def images(rng):
    return rng.random((6, 14, 14, 1)).astype("float32")


def matrices(lesson, n, shape, angle=0.0, zoom=1.0, shift=(0.0, 0.0)):
    return lesson.inverse_matrices(np.full(n, angle), np.full(n, zoom), np.tile(shift, (n, 1)), shape)


# ---------------------------------------------------------------------------- the affine map


def test_identity_quarter_turn_and_whole_shift(lesson, images):
    assert np.array_equal(lesson.warp(images, matrices(lesson, 6, (14, 14))), images)
    quarter = lesson.warp(images, matrices(lesson, 6, (14, 14), angle=np.pi / 2))
    assert np.allclose(quarter, np.rot90(images, axes=(1, 2)), atol=1e-6)
    moved = lesson.warp(images, matrices(lesson, 6, (14, 14), shift=(2, 3)))
    assert np.allclose(moved[:, 3:, 2:], images[:, :-3, :-2], atol=1e-6)
    assert not moved[:, :3].any() and not moved[:, :, :2].any()


@pytest.mark.parametrize("shape", [(14, 14), (9, 16)])
def test_warp_equals_keras_on_any_matrix(lesson, rng, shape):
    images = rng.random((7, *shape, 2)).astype("float32")
    some = lesson.random_matrices(7, shape, rng, degrees=180, zoom=0.5, pixels=4)
    assert np.abs(lesson.warp(images, some) - lesson.warp_compiled(images, some)).max() < 1e-4


def test_matrix_is_the_inverse_of_the_map_in_the_text(lesson, rng):
    angle, zoom, shift = rng.normal(size=5), rng.uniform(0.5, 2, 5), rng.normal(size=(5, 2))
    center = np.array([7.5, 4.0])  # of 9 rows and 16 columns
    M = lesson.inverse_matrices(angle, zoom, shift, (9, 16))
    for k in range(5):
        A = zoom[k] * np.array([[np.cos(angle[k]), np.sin(angle[k])], [-np.sin(angle[k]), np.cos(angle[k])]])
        p = rng.normal(size=2)
        q = A @ (p - center) + center + shift[k]
        assert np.allclose(M[k] @ [*q, 1], p)


def test_interpolation_stays_within_its_neighbours_and_is_exact_for_ramps(lesson, images):
    out = lesson.warp(images, lesson.random_matrices(6, (14, 14), np.random.default_rng(1)))
    assert out.min() >= 0 and out.max() <= images.max() + 1e-6
    ramp = np.tile(np.arange(14.0)[None, None, :, None], (1, 14, 1, 1))
    moved = lesson.warp(ramp, matrices(lesson, 1, (14, 14), shift=(0.25, 0)))
    assert np.allclose(moved[0, :, 1:, 0], ramp[0, :, 1:, 0] - 0.25)


def test_random_matrices_keep_their_limits(lesson, rng):
    M = lesson.random_matrices(2000, (15, 15), rng, degrees=10, zoom=0.1, pixels=1.0)
    scale = np.sqrt(np.abs(np.linalg.det(M[:, :, :2])))
    angle = np.degrees(np.arctan2(M[:, 1, 0], M[:, 0, 0]))
    assert np.abs(np.log(scale)).max() <= 0.1 + 1e-9 and np.abs(angle).max() <= 10 + 1e-9
    assert abs(np.log(scale).mean()) < 0.01 and abs(angle.mean()) < 0.6
    assert len(np.unique(angle.round(6))) > 1900, "each image has its own draw"


# ---------------------------------------------------------------------------- the other transformations


def test_flip_mirrors_about_half_and_leaves_the_rest(lesson, rng):
    images = rng.random((400, 4, 5, 3))
    out = lesson.flip(images, rng)
    same, mirrored = (
        np.array([np.array_equal(o, i) for o, i in zip(out, x, strict=True)])
        for x in (images, images[:, :, ::-1])
    )
    assert (same ^ mirrored).all() and 150 < mirrored.sum() < 250


def test_crop_is_a_shift_by_whole_pixels(lesson, images, rng):
    out = lesson.random_crop(images, rng, padding=2)
    assert out.shape == images.shape
    padded = np.pad(images, ((0, 0), (2, 2), (2, 2), (0, 0)))
    for result, source in zip(out, padded, strict=True):
        shifts = [source[a : a + 14, b : b + 14] for a in range(5) for b in range(5)]
        assert any(np.array_equal(result, shifted) for shifted in shifts)


def test_jitter_stays_in_range_and_differs_by_image(lesson, rng):
    images = np.tile(rng.random((1, 6, 6, 3)).astype("float32"), (8, 1, 1, 1))
    out = lesson.jitter(images, rng)
    assert out.dtype == images.dtype and out.min() >= 0 and out.max() <= 1
    assert len(np.unique(out.mean(axis=(1, 2, 3)).round(5))) == 8


def test_cutout_erases_at_most_its_box(lesson, rng):
    out = lesson.cutout(np.ones((300, 12, 12, 1), "float32"), rng, side=4)
    erased = (out == 0).sum(axis=(1, 2, 3))
    assert erased.max() == 16 and erased.min() >= 4, "the border cuts off at most three quarters"


def test_mixup_blends_images_and_targets_alike(lesson, rng):
    targets = np.eye(5, dtype="float32")[rng.integers(5, size=40)]
    images = targets.reshape(40, 1, 5, 1)  # each image is its own label
    mixed, mixed_targets = lesson.mixup(images, targets, rng, alpha=1.0)
    assert np.allclose(mixed[:, 0, :, 0], mixed_targets) and np.allclose(mixed_targets.sum(axis=1), 1)


def test_cutmix_weighs_by_the_pixels_seen(lesson, rng):
    labels = rng.integers(4, size=200)
    targets = np.eye(4, dtype="float32")[labels]
    images = np.tile(labels[:, None, None, None], (1, 10, 12, 1)).astype("float32")
    mixed, mixed_targets = lesson.cutmix(images, targets, rng)
    seen = np.stack([(mixed == k).mean(axis=(1, 2, 3)) for k in range(4)], axis=1)
    assert np.allclose(seen, mixed_targets, atol=1e-6)


def test_small_alpha_hardly_mixes(lesson, rng):
    targets = np.eye(10, dtype="float32")[rng.integers(10, size=3000)]
    images = np.zeros((3000, 2, 2, 1), "float32")
    clear = [
        (lesson.mixup(images, targets, rng, alpha)[1].max(axis=1) > 0.9).mean() for alpha in (0.05, 1.0, 20.0)
    ]
    assert clear[0] > clear[1] > clear[2]


def test_swapped_channels_leave_grey_alone(lesson, rng):
    grey = np.tile(rng.random((5, 3, 3, 1)), (1, 1, 1, 3))
    assert np.array_equal(lesson.channels_swapped(grey, None, rng)[0], grey)
    colour = rng.random((50, 3, 3, 3))
    out = lesson.channels_swapped(colour, None, rng)[0]
    assert np.allclose(np.sort(out, axis=3), np.sort(colour, axis=3)) and not np.array_equal(out, colour)


# ---------------------------------------------------------------------------- what the text claims


def test_moving_inputs_is_a_penalty_on_the_slope(rng):
    w, x, t, y = rng.normal(size=4), rng.normal(size=4), rng.normal(size=4), 0.7
    moved = np.mean([(w @ (x + s * t) - y) ** 2 for s in (-0.3, 0.3)])
    assert moved == pytest.approx((w @ x - y) ** 2 + 0.3**2 * (w @ t) ** 2)


def test_averaging_obeys_jensen(lesson, rng):
    P = lesson.softmax(3 * rng.normal(size=(9, 50, 10)))
    y = rng.integers(10, size=50)
    assert np.allclose(P.sum(axis=-1), 1)
    assert (lesson.losses(P.mean(axis=0), y) <= lesson.losses(P, y).mean(axis=0)).all()


@pytest.mark.parametrize(
    "name", ["plain", "moved_and_turned", "erased", "mixup", "cutmix", "mirrored", "upside_down"]
)
def test_policies_keep_shapes_types_and_sums(lesson, images, rng, name):
    targets = np.eye(10, dtype="float32")[:6]
    out, new = getattr(lesson, name)(images, targets, rng)
    assert out.shape == images.shape and out.dtype == np.float32 and new.dtype == np.float32
    assert np.allclose(new.sum(axis=1), 1)


def test_a_run_shows_every_image_once_an_epoch(lesson):
    images = np.arange(7, dtype="float32").reshape(7, 1, 1, 1)
    pictures, targets = lesson.run_of(
        images, np.eye(7), lesson.plain, np.random.default_rng(0), steps=5, batch=4
    )
    assert pictures.shape == (5, 4, 1, 1, 1) and targets.shape == (5, 4, 7)
    order = pictures.ravel()
    assert all(sorted(order[k : k + 7]) == list(range(7)) for k in (0, 7))
    assert np.array_equal(targets.argmax(axis=2).ravel(), order)


def test_pairs_share_subset_and_start(lesson):
    images = np.arange(50, dtype="float32").reshape(50, 1, 1, 1)
    seen = []

    def train(pictures, labels, rng):
        seen.append((set(pictures.ravel()), rng.random()))

    for _ in range(2):
        lesson.study(train, images, np.eye(50), lesson.plain, 10, seeds=2, steps=5, batch=4)
    assert seen[:2] == seen[2:] and seen[0] != seen[1]


def test_training_starts_afresh_and_learns(lesson, rng):
    labels = rng.integers(2, size=64)
    images = (0.1 * rng.random((64, 8, 8, 1)) + labels[:, None, None, None] * 0.8).astype("float32")
    targets = np.eye(2, dtype="float32")[labels]
    network = lesson.build_network((8, 8, 1), 2)
    train = lesson.make_training(network, 30)
    runs = [
        lesson.study(train, images, targets, lesson.plain, 64, seeds=1, steps=30, batch=16)[0]
        for _ in range(2)
    ]
    assert all(np.allclose(a, b, atol=1e-4) for a, b in zip(*runs, strict=True)), (
        "nothing is remembered from the run before"
    )
    assert np.mean(lesson.answers_of(network, runs[:1], images)[0] == labels) > 0.95


def test_starting_weights_have_the_variance_of_he(lesson, rng):
    network = lesson.build_network((14, 14, 1), 10)
    weights = lesson.starting_weights(network, rng)
    assert weights[2].std() == pytest.approx(math.sqrt(2 / (9 * 16)), rel=0.05)
    assert not weights[1].any() and [w.shape for w in weights] == [tuple(w.shape) for w in network.weights]


def test_interval_is_students(lesson, rng):
    values = rng.normal(size=6)
    mean, half = lesson.interval(values)
    low, high = stats.t.interval(0.95, 5, loc=values.mean(), scale=stats.sem(values))
    assert (mean - half, mean + half) == pytest.approx((low, high))


def test_recall_and_confusion_count_the_same(lesson, rng):
    y, answers = rng.integers(3, size=90), rng.integers(3, size=(2, 90))
    matrix = lesson.confusion(answers, y, 3)
    assert np.allclose(matrix.sum(axis=1), 1)
    assert np.allclose(np.diag(matrix), np.mean([lesson.recall(a, y, 3) for a in answers], axis=0))


def test_cache_after_map_freezes_the_pictures(lesson):
    import tensorflow as tf

    def noisy(x, number):
        return x + tf.random.uniform(tf.shape(x)), number

    source = tf.data.Dataset.from_tensor_slices((np.zeros((8, 2, 2, 1), "float32"), np.arange(8)))
    fresh = lesson.versions_of(source.cache().shuffle(8).batch(4).map(noisy), 3, 4)
    frozen = lesson.versions_of(source.shuffle(8).batch(4).map(noisy).cache(), 3, 4)
    assert len(np.unique(fresh, axis=0)) == 4 and len(np.unique(frozen, axis=0)) == 1


def test_worked_values_of_the_exercises():
    assert check.cutmix_weight.reference(10, 10, -1, 8, 3, 4) == pytest.approx(0.96)
    assert np.allclose(check.shear_matrix.reference(0.5, 3, 3), [[1, 0.5, -0.5], [0, 1, 0]])
    _, boxes = check.flip_with_boxes.reference(np.zeros((8, 10, 3)), np.array([[1, 2, 4, 6]]))
    assert boxes.tolist() == [[6, 2, 9, 6]]
    X, y = np.array([[1.0], [2.0]]), np.array([2.0, 4.0])
    assert check.augmented_weights.reference(X, y, np.array([[2.5]])) == pytest.approx([1.0])


def test_shear_of_the_exercise_leans_to_the_right(lesson):
    image = np.zeros((1, 9, 9, 1))
    image[0, :, 4] = 1  # an upright stroke
    leaning = lesson.warp(image, check.shear_matrix.reference(0.5, 9, 9)[None])[0, :, :, 0]
    columns = leaning @ np.arange(9) / leaning.sum(axis=1)
    assert columns[0] > 4 and columns[4] == pytest.approx(4) and columns[-1] < 4
