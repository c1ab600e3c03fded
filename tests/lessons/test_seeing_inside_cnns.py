"""The instruments of lesson 17 against analytic values and finite differences, and what the text claims."""

from __future__ import annotations

import numpy as np
import pytest

from course_utils.checks import seeing_inside_cnns as check
from tests.lessons.code import lesson_code


@pytest.fixture(scope="module")
def lesson():
    return lesson_code("17_seeing_inside_cnns")


@pytest.fixture(scope="module")
def network(lesson):
    return lesson.build_network(seed=5)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def pictures(rng):
    return rng.random((3, 32, 32, 3)).astype("float32")


# ---------------------------------------------------------------------------- gradients


def test_input_gradient_is_the_finite_difference(lesson, network, pictures, rng):
    labels = [0, 3, 5]
    gradient = lesson.input_gradient(network, pictures, labels)
    assert gradient.shape == pictures.shape
    places = [tuple(place) for place in rng.integers(0, (32, 32, 3), size=(12, 3))]
    for n, label in enumerate(labels):
        numerical = lesson.numerical_gradient(network, pictures[n], label, places)
        by_tape = np.array([gradient[(n, *place)] for place in places])
        assert np.abs(numerical - by_tape).max() < 0.05 * np.abs(gradient[n]).max()


def test_pictures_of_a_batch_do_not_mix(lesson, network, pictures):
    together = lesson.input_gradient(network, pictures, [1, 2, 4])
    alone = lesson.input_gradient(network, pictures[1:2], [2])
    np.testing.assert_allclose(together[1:2], alone, atol=1e-5)


def test_smoothgrad_without_noise_is_the_gradient_and_of_a_quadratic_the_mean(lesson, network, pictures, rng):
    plain = lesson.input_gradient(network, pictures, [1, 2, 4])
    np.testing.assert_allclose(
        lesson.smooth_gradient(network, pictures, [1, 2, 4], 0.0, 2, rng), plain, atol=1e-6
    )

    def quadratic(x):  # two logits; the gradient of the first is 2x, whose mean over noise is 2x again
        flat = lesson.tf.reshape(x, (len(x), -1))
        return lesson.tf.stack([lesson.tf.reduce_sum(flat**2, axis=1), flat[:, 0]], axis=1)

    smooth = lesson.smooth_gradient(quadratic, pictures, [0, 0, 0], 0.1, 400, rng)
    assert np.abs(smooth - 2 * pictures).max() < 0.06


def test_strength_is_the_largest_absolute_value_over_channels(lesson):
    assert lesson.strength(np.array([[[[0.5, -2.0, 1.0]]]])) == 2.0


# ---------------------------------------------------------------------------- Grad-CAM


def test_grad_cam_is_cam_for_an_averaging_head(lesson, network, pictures):
    labels = np.array([1, 4, 2])
    V, b = network.get_layer("logits").get_weights()
    maps = lesson.feature_maps(network, pictures, "conv4")
    votes = np.einsum("nijf,fn->nij", maps, V[:, labels])
    np.testing.assert_allclose(
        lesson.grad_cam(network, pictures, labels), np.maximum(votes, 0) / 64, atol=1e-5
    )
    logits = np.asarray(network(pictures))[np.arange(3), labels]
    np.testing.assert_allclose(votes.mean(axis=(1, 2)) + b[labels], logits, atol=1e-4)


def test_grad_cam_equals_the_exercise_at_every_layer(lesson, network, pictures):
    import keras
    import tensorflow as tf

    for layer, size in (("conv1", 16), ("conv3", 8)):
        both = keras.Model(network.inputs[0], [network.get_layer(layer).output, network.outputs[0]])
        with tf.GradientTape() as tape:
            maps, logits = both(pictures)
            chosen = tf.reduce_sum(logits[:, 2])
        slopes = tape.gradient(chosen, maps)
        wanted = check.cam_from_parts.reference(maps.numpy(), slopes.numpy())
        got = lesson.grad_cam(network, pictures, [2, 2, 2], layer)
        assert got.shape == (3, size, size)
        np.testing.assert_allclose(got, wanted, atol=1e-5)


def test_a_unit_of_the_last_convolution_sees_27_pixels(network):
    """The text explains the weak aim of Grad-CAM with this."""
    reach, jump = 1, 1
    for layer in network.layers:
        kernel = getattr(layer, "kernel_size", None) or getattr(layer, "pool_size", None)
        if kernel:
            reach, jump = reach + (kernel[0] - 1) * jump, jump * layer.strides[0]
    assert (reach, jump) == (27, 4)


# ---------------------------------------------------------------------------- occlusion


def test_occlusion_follows_the_convention_of_the_problem_set(lesson, rng):
    def predict(pictures):
        bright = pictures[:, 4:6, 8:10, 0].mean(axis=(1, 2))
        return np.column_stack([bright, 1 - bright])

    picture = np.ones((12, 16, 3))
    falls = lesson.occlusion(predict, picture, 0, 4, 4, 0.25)
    assert falls.shape == (3, 4)
    assert falls[1, 2] == pytest.approx(0.75) and np.count_nonzero(falls) == 1
    assert lesson.occlusion(predict, picture, 1, 4, 4, 0.25)[1, 2] == pytest.approx(-0.75)
    assert (picture == 1).all()


def test_to_pixels_averages_the_squares_over_each_pixel(lesson):
    np.testing.assert_allclose(lesson.to_pixels(np.full((7, 7), 0.3), 8, 4, 32), 0.3)
    single = lesson.to_pixels(np.eye(2), 2, 2, 5)
    assert single[:2, :2].min() == 1 and single[4].max() == 0 and single.sum() == 8
    assert lesson.to_pixels(np.array([[1.0, 0.0]]), 2, 1, 3)[0].tolist() == [1, 0.5, 0]


def test_occlusion_by_donors_that_equal_the_picture_shows_nothing(network, lesson, pictures):
    predict = lesson.predictor(network)
    donors = np.repeat(pictures[:1], 2, axis=0)
    falls = check.occlusion_by_donors.reference(predict, pictures[0], 1, 8, 8, donors)
    np.testing.assert_allclose(falls, 0, atol=1e-5)


# ---------------------------------------------------------------------------- measures


def test_measures_on_maps_that_are_known(lesson, rng):
    masks = rng.random((50, 16, 16)) < 0.2
    assert lesson.share_inside(masks.astype(float), masks) == pytest.approx(1)
    assert lesson.share_inside(np.ones(masks.shape), masks) == pytest.approx(masks.mean())
    assert lesson.share_inside(np.zeros(masks.shape), masks) == pytest.approx(masks.mean())
    assert lesson.pointing_game(masks.astype(float), masks) == 1
    assert lesson.pointing_game((~masks).astype(float), masks) == 0


def test_rank_correlation(lesson, rng):
    maps = rng.random((4, 8, 8))
    assert lesson.rank_correlation(maps, np.exp(3 * maps)) == pytest.approx(1)
    assert lesson.rank_correlation(maps, -maps) == pytest.approx(-1)
    assert lesson.rank_correlation(maps, np.zeros_like(maps)) == 0
    assert abs(lesson.rank_correlation(maps, rng.random((4, 8, 8)))) < 0.3


def test_randomising_keeps_the_layers_below(lesson, network, pictures):
    same = lesson.randomise_from_top(network, 0, seed=9)
    np.testing.assert_allclose(same(pictures), network(pictures), atol=1e-5)
    partly = lesson.randomise_from_top(network, 2, seed=9)
    for name, equal in (("conv1", True), ("conv3", True), ("conv4", False), ("logits", False)):
        first, second = (m.get_layer(name).get_weights()[0] for m in (network, partly))
        assert np.array_equal(first, second) == equal, name


def test_activation_maximisation_raises_the_response_within_the_range_of_pictures(lesson, network, rng):
    channels = np.array([0, 7, 9])

    def response(pictures):
        return lesson.feature_maps(network, pictures, "conv3").mean(axis=(1, 2))[np.arange(3), channels]

    start = lesson.maximise(network, "conv3", channels, np.random.default_rng(4), penalty=0.0, steps=0)
    end = lesson.maximise(network, "conv3", channels, np.random.default_rng(4), penalty=0.0, steps=15)
    assert end.min() >= 0 and end.max() <= 1
    assert (response(end) > 1.5 * response(start)).all()


# ---------------------------------------------------------------------------- the shortcut


def test_the_archive_marks_one_corner_by_class_and_nothing_else(lesson, rng):
    pictures = np.full((60, 32, 32, 3), 0.5, dtype="float32")
    labels = np.arange(60) % 6
    archived = check.field_archive(pictures, labels, seed=3)
    assert (pictures == 0.5).all() and archived.dtype == pictures.dtype
    changed = (archived != pictures).any(axis=-1)
    assert not changed[:, ~lesson.corners_region()].any(), "the graft of the lesson covers every mark"
    corners = [changed[:, a, b] for a in (0, 31) for b in (0, 31)]
    assert (np.sum(corners, axis=0) == 1).all()
    assert all(corner.any() for corner in corners)
    signs = np.sign((archived - pictures).sum(axis=(1, 2)))
    assert len({tuple(s) for s in signs}) == 6
    assert all((signs[labels == k] == signs[labels == k][0]).all() for k in range(6))


def test_graft_exchanges_the_region_alone(lesson, pictures):
    region = lesson.corners_region()
    grafted = lesson.graft(pictures, pictures[::-1], region)
    np.testing.assert_array_equal(grafted[0][region], pictures[2][region])
    np.testing.assert_array_equal(grafted[0][~region], pictures[0][~region])
    assert region.sum() == 4 * lesson.CORNER**2


def test_follow_and_keep_for_judges_that_are_known(lesson):
    pictures = np.zeros((6, 32, 32, 3))
    labels = np.array([0, 1, 2, 0, 1, 2])
    pictures[:, 0, 0, 0], pictures[:, 16, 16, 0] = labels, labels
    donors, donor_labels = np.roll(pictures, 1, axis=0), np.roll(labels, 1)
    region = lesson.corners_region()
    for row, wanted in ((0, (1, 0)), (16, (0, 1))):

        def predict(x, r=row):
            return np.eye(3)[x[:, r, r, 0].astype(int)]

        shares = lesson.follow_and_keep(predict, pictures, labels, donors, donor_labels, region)
        assert tuple(shares) == wanted
