"""The functions that lesson 05 builds, against Keras, finite differences and what the text claims."""

from __future__ import annotations

import numpy as np
import pytest

from course_utils.checks import probability_and_losses as check
from tests.lessons.code import lesson_code


@pytest.fixture(scope="module")
def lesson():
    return lesson_code("05_probability_and_losses")


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def differences(loss, at, step=1e-6):
    """Central differences, independent of the lesson's own."""
    result = np.zeros_like(at)
    for place in np.ndindex(at.shape):
        up, down = at.copy(), at.copy()
        up[place] += step
        down[place] -= step
        result[place] = (loss(up) - loss(down)) / (2 * step)
    return result


# ---------------------------------------------------------------------------- values


def test_log_softmax_is_exact_where_the_naive_form_works_and_finite_where_it_does_not(lesson, rng):
    logits = rng.normal(0, 5, (20, 7))
    naive = np.log(np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True))
    assert np.allclose(lesson.log_softmax(logits), naive)
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        extreme = lesson.log_softmax(np.array([[1e4, 0.0, -1e4], [-1e4, -1e4, -1e4]]))
    assert np.allclose(extreme, [[0, -1e4, -2e4], [-np.log(3)] * 3])
    assert np.allclose(lesson.log_softmax(logits + 1e3), lesson.log_softmax(logits))


def test_losses_equal_keras(lesson, rng):
    import keras

    targets, predictions = rng.normal(size=(2, 50))
    assert lesson.mse(targets, predictions)[0] == pytest.approx(
        float(keras.losses.MeanSquaredError()(targets, predictions)), rel=1e-5
    )
    labels, logits = rng.integers(0, 2, 50).astype(float), rng.normal(0, 20, 50)
    theirs = keras.losses.BinaryCrossentropy(from_logits=True)(labels[:, None], logits[:, None])
    assert lesson.binary_cross_entropy(labels, logits)[0] == pytest.approx(float(theirs), rel=1e-5)
    labels, logits = rng.integers(0, 6, 50), rng.normal(0, 20, (50, 6))
    sparse = keras.losses.SparseCategoricalCrossentropy(from_logits=True)(labels, logits)
    dense = keras.losses.CategoricalCrossentropy(from_logits=True)(np.eye(6)[labels], logits)
    assert lesson.cross_entropy(labels, logits)[0] == pytest.approx(float(sparse), rel=1e-5)
    assert lesson.cross_entropy(labels, logits)[0] == pytest.approx(float(dense), rel=1e-5)


def test_gradients_equal_tensorflow(lesson, rng):
    import keras
    import tensorflow as tf

    labels, logits = rng.integers(0, 4, 9), tf.constant(rng.normal(0, 3, (9, 4)))
    with tf.GradientTape() as tape:
        tape.watch(logits)
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, dtype="float64")(labels, logits)
    assert np.allclose(
        lesson.cross_entropy(labels, logits.numpy())[1], tape.gradient(loss, logits), atol=1e-7
    )


@pytest.mark.parametrize("name", ["cross_entropy", "softmax_squared_error"])
def test_class_gradients_are_the_slopes_and_sum_to_zero(lesson, rng, name):
    loss_function = getattr(lesson, name)
    labels, logits = rng.integers(0, 5, 6), rng.normal(0, 3, (6, 5))
    gradient = loss_function(labels, logits)[1]
    assert np.allclose(gradient, differences(lambda z: loss_function(labels, z)[0], logits), atol=1e-8)
    assert np.allclose(gradient.sum(axis=1), 0)


@pytest.mark.parametrize("name", ["mse", "binary_cross_entropy"])
def test_elementwise_gradients_are_the_slopes(lesson, rng, name):
    loss_function = getattr(lesson, name)
    targets, outputs = rng.integers(0, 2, 9), rng.normal(0, 3, 9)
    gradient = loss_function(targets, outputs)[1]
    assert np.allclose(gradient, differences(lambda z: loss_function(targets, z)[0], outputs), atol=1e-8)
    assert np.allclose(
        gradient, lesson.numeric_gradient(lambda z: loss_function(targets, z)[0], outputs), atol=1e-8
    )


def test_binary_loss_is_stable_in_float32(lesson):
    z = np.array([-500, -30, -1e-3, 0, 1e-3, 30, 500], dtype="float32")
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        losses = [
            lesson.binary_cross_entropy(np.array([y]), z[i : i + 1])[0] for y in (0, 1) for i in range(7)
        ]
    exact = np.logaddexp(0, np.concatenate([z, -z]).astype(float))
    assert np.allclose(losses, exact, rtol=1e-6, atol=1e-12)


def test_gradient_dies_for_the_squared_error_only(lesson):
    sure_and_wrong = np.array([[30.0, 0.0, 0.0]])
    assert np.abs(lesson.cross_entropy(np.array([1]), sure_and_wrong)[1]).max() > 0.99
    assert np.abs(lesson.softmax_squared_error(np.array([1]), sure_and_wrong)[1]).max() < 1e-10


# ---------------------------------------------------------------------------- what the text claims


def test_landmarks(lesson):
    zeros = np.zeros((3, 10))
    assert lesson.cross_entropy(np.array([0, 4, 9]), zeros)[0] == pytest.approx(np.log(10))
    twice = lesson.cross_entropy(np.array([2]), np.eye(10)[[2]])[0]
    assert twice == pytest.approx(-np.log(np.e / (np.e + 9))) == pytest.approx(1.4612, abs=1e-4)


def test_cross_entropy_is_entropy_plus_divergence_and_smallest_at_the_truth(rng):
    q, p = rng.dirichlet(np.ones(6)), rng.dirichlet(np.ones(6), size=200)
    entropy = -(q * np.log(q)).sum()
    divergence = (q * np.log(q / p)).sum(axis=1)
    assert np.allclose(-(q * np.log(p)).sum(axis=1), entropy + divergence)
    assert (divergence > 0).all()


def test_logit_gap_of_keras_clipping():
    import keras

    p = np.array([[1.0, 0.0]], dtype="float32")
    loss = float(keras.losses.SparseCategoricalCrossentropy()(np.array([1]), p))
    assert loss == pytest.approx(-np.log(1e-7), rel=1e-3)


def test_forgotten_from_logits_has_no_slope_where_all_logits_are_clipped():
    import keras
    import tensorflow as tf

    logits = tf.constant([[-3.0, -1.0, -0.5, -2.0]])
    with tf.GradientTape() as tape:
        tape.watch(logits)
        loss = keras.losses.SparseCategoricalCrossentropy()(np.array([1]), logits)
    assert float(loss) == pytest.approx(np.log(4), rel=1e-5)
    assert not np.any(tape.gradient(loss, logits))


def test_maximum_likelihood_estimates():
    y = np.array([1.0, 1.2, 1.3, 1.5, 6.0])
    nll = check.gaussian_nll.reference
    best = nll(y, np.full(5, y.mean()), y.std())
    for change in (-0.05, 0.05):
        assert nll(y, np.full(5, y.mean() + change), y.std()) > best
        assert nll(y, np.full(5, y.mean()), y.std() + change) > best


# ---------------------------------------------------------------------------- training and exercises


def test_training_descends_to_the_gradient_s_zero(lesson, rng):
    X = rng.normal(size=(60, 4))
    labels = rng.integers(0, 3, 60)
    W, b, seen = lesson.train(
        X, labels, lesson.cross_entropy, np.zeros((4, 3)), np.zeros(3), 0.5, 800,
        lambda W, b: lesson.cross_entropy(labels, X @ W + b)[0],
    )  # fmt: skip
    assert (np.diff(seen) < 1e-12).all() and len(seen) == 161
    grad_logits = lesson.cross_entropy(labels, X @ W + b)[1]
    assert np.abs(X.T @ grad_logits).max() < 1e-4
    p = np.exp(lesson.log_softmax(X @ W + b))
    assert np.allclose(p.mean(axis=0), np.bincount(labels) / 60, atol=1e-4)  # the bias's gradient is zero


def test_reliability_of_honest_probabilities_lies_on_the_diagonal(lesson, rng):
    logits = rng.normal(0, 1.5, (40_000, 3))
    p = np.exp(lesson.log_softmax(logits))
    labels = (rng.uniform(size=(40_000, 1)) > p.cumsum(axis=1)).sum(axis=1)
    confidence, right = lesson.reliability(logits, labels)
    assert np.allclose(confidence, right, atol=0.025)


def test_reference_gradients_are_the_slopes(rng):
    labels = np.array([1, -1, 0, 3, -1])
    logits = rng.normal(0, 2, (5, 4))
    padded = check.padded_cross_entropy.reference
    assert np.allclose(
        padded(labels, logits)[1], differences(lambda z: padded(labels, z)[0], logits), atol=1e-8
    )

    X, y, w = rng.normal(size=(8, 3)), rng.integers(0, 2, 8), rng.normal(size=3)
    grad_w, grad_b = check.logistic_gradient.reference(X, y, w, 0.3)

    def loss(w, b):
        z = X @ w + b
        return np.mean(np.logaddexp(0, z) - y * z)

    assert np.allclose(grad_w, differences(lambda v: loss(v, 0.3), w), atol=1e-8)
    assert grad_b == pytest.approx((loss(w, 0.3 + 1e-6) - loss(w, 0.3 - 1e-6)) / 2e-6, abs=1e-8)

    poisson, counts = check.poisson_loss.reference, np.array([0, 2, 5])
    z = rng.normal(size=3)
    assert np.allclose(poisson(counts, z)[1], differences(lambda v: poisson(counts, v)[0], z), atol=1e-8)


def test_poisson_reference_equals_keras(rng):
    import keras

    counts, z = rng.poisson(3, 20).astype(float), rng.normal(1, 0.5, 20)
    theirs = float(keras.losses.Poisson()(counts, np.exp(z)))
    assert check.poisson_loss.reference(counts, z)[0] == pytest.approx(theirs, rel=1e-5)


def test_worked_values_of_the_exercises():
    assert check.gaussian_nll.reference(np.ones(1), np.ones(1), 1.0) == pytest.approx(0.919, abs=1e-3)
    loss, gradient = check.padded_cross_entropy.reference(np.array([1, -1]), np.array([[0.0, 0], [5, 9]]))
    assert loss == pytest.approx(np.log(2)) and np.allclose(gradient, [[0.5, -0.5], [0, 0]])
    grad_w, grad_b = check.logistic_gradient.reference(np.array([[2.0]]), np.array([1]), np.zeros(1), 0.0)
    assert np.allclose(grad_w, [-1]) and grad_b == pytest.approx(-0.5)
    loss, gradient = check.poisson_loss.reference(np.array([3]), np.zeros(1))
    assert loss == pytest.approx(1) and np.allclose(gradient, [-2])
