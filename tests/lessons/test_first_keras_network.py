"""The functions and classes that lesson 10 defines, against Keras, SciPy or an analytic value."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest

from tests.lessons.code import lesson_code

keras = pytest.importorskip("keras")
tf = pytest.importorskip("tensorflow")


@pytest.fixture(scope="module")
def lesson() -> SimpleNamespace:
    return lesson_code("10_first_keras_network")


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def rows(rng, n=70):
    return rng.uniform(0, 1, (n, 784)).astype("float32"), rng.integers(0, 10, n)


def compiled(model):
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer=keras.optimizers.Adam(), loss=loss, metrics=["accuracy"])
    return model


def test_cross_entropy_equals_keras(lesson, rng):
    logits, labels = rng.normal(0, 30, (9, 10)).astype("float32"), rng.integers(0, 10, 9)
    wanted = keras.losses.SparseCategoricalCrossentropy(from_logits=True)(labels, logits)
    np.testing.assert_allclose(lesson.cross_entropy(labels, logits), wanted, rtol=1e-5)


def test_cross_entropy_is_log_10_for_equal_logits(lesson):
    loss = lesson.cross_entropy(np.arange(5), np.zeros((5, 10), dtype="float32"))
    assert float(loss) == pytest.approx(math.log(10), rel=1e-6)


def test_batches_hold_every_example_once(lesson, rng):
    X, y = np.arange(300).reshape(100, 3), np.arange(100)
    for order in (None, rng):
        parts = list(lesson.batches(X, y, 32, order))
        assert [len(part) for _, part in parts] == [32, 32, 32, 4]
        labels = np.concatenate([part for _, part in parts])
        assert sorted(labels) == list(range(100))
        assert np.array_equal(np.concatenate([part for part, _ in parts])[:, 0], 3 * labels)
        assert np.array_equal(labels, y) == (order is None)


def test_the_three_forms_and_the_scratch_network_are_one_function(lesson, rng):
    X, _ = rows(rng)
    parameters = lesson.init_parameters([784, 128, 64, 10], rng)
    expected = lesson.forward(parameters, X).numpy()
    subclassed = lesson.DigitNetwork()
    subclassed(X[:1])
    for model in (
        lesson.build_sequential(),
        lesson.build_functional(),
        subclassed,
        lesson.build_classifier(),
    ):
        model.set_weights([parameter.numpy() for parameter in parameters])
        np.testing.assert_allclose(lesson.logits_of(model, X), expected, atol=1e-4)


def test_train_step_equals_keras_sgd(lesson, rng):
    X, y = rows(rng)
    parameters = lesson.init_parameters([784, 128, 64, 10], rng)
    model = lesson.build_sequential()
    model.set_weights([parameter.numpy() for parameter in parameters])
    model.compile(
        optimizer=keras.optimizers.SGD(0.1), loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    )
    model.fit(X, y, batch_size=len(X), epochs=3, verbose=0)
    for _ in range(3):
        lesson.train_step(parameters, X, y, 0.1)
    for ours, theirs in zip(parameters, model.get_weights(), strict=True):
        np.testing.assert_allclose(ours.numpy(), theirs, atol=1e-5)


def test_fit_by_hand_weights_batches_by_their_size(lesson, rng):
    """With learning rate 0 the epoch's loss and accuracy are those of the whole set."""
    X, y = rows(rng, 45)
    parameters = lesson.init_parameters([784, 128, 64, 10], rng)
    history = lesson.fit_by_hand(
        lesson.train_step, parameters, X, y, X, y, epochs=1, learning_rate=0.0, rng=rng, batch_size=32
    )
    assert history["loss"][0] == pytest.approx(history["val_loss"][0], rel=1e-5)
    assert history["accuracy"][0] == pytest.approx(history["val_accuracy"][0])


def test_own_step_equals_fit_in_weights_and_history(lesson, rng):
    X, y = rows(rng, 45)
    plain = lesson.build_functional()
    own = compiled(lesson.OwnStep(plain.input, plain.output))
    reference = compiled(lesson.build_functional())
    reference.set_weights(own.get_weights())
    options = {"batch_size": 32, "epochs": 2, "shuffle": False, "verbose": 0}
    histories = [model.fit(X, y, **options).history for model in (own, reference)]
    assert lesson.largest_difference(own, reference) < 1e-5
    assert histories[0].keys() == histories[1].keys() == {"loss", "accuracy"}
    for name in ("loss", "accuracy"):
        np.testing.assert_allclose(histories[0][name], histories[1][name], rtol=1e-5)


def test_layer_movement_measures_the_relative_change(lesson, rng):
    X, y = rows(rng)
    model = compiled(lesson.build_classifier())
    before = model.get_layer("hidden2").get_weights()[0]
    movement = lesson.LayerMovement()
    model.fit(X, y, epochs=1, verbose=0, callbacks=[movement])
    after = model.get_layer("hidden2").get_weights()[0]
    assert list(movement.movement) == ["hidden1", "hidden2", "logits"]
    change = np.linalg.norm(after - before) / np.linalg.norm(before)
    assert movement.movement["hidden2"] == [pytest.approx(change, rel=1e-5)]


def test_smoothing_and_clipping_solutions_equal_keras(rng):
    from course_utils.checks.first_keras_network import clip_gradients, smoothed_cross_entropy

    logits, labels = rng.normal(0, 3, (6, 10)), rng.integers(0, 10, 6)
    loss = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.15)
    wanted = float(loss(np.eye(10)[labels], logits))
    assert smoothed_cross_entropy.reference(labels, logits, 0.15) == pytest.approx(wanted, rel=1e-5)

    gradients = [tf.constant(rng.normal(0, 3, shape), dtype="float32") for shape in [(4, 3), (3,)]]
    clipped, _ = tf.clip_by_global_norm(gradients, 2.0)
    in_graph = tf.function(lambda: clip_gradients.reference(gradients, 2.0))()
    for ours, theirs in zip(in_graph, clipped, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5)


@pytest.mark.parametrize(("correct", "n"), [(0, 10), (7, 10), (9800, 10000), (100, 100)])
def test_wilson_interval_solves_its_equation(lesson, correct, n):
    """Both ends p satisfy |p_hat - p| = z sqrt(p (1 - p) / n)."""
    low, high = lesson.wilson_interval(correct, n)
    assert low >= -1e-12 and low < high <= 1 + 1e-12
    for p in (low, high):
        p = min(max(p, 0.0), 1.0)
        assert abs(correct / n - p) == pytest.approx(1.96 * math.sqrt(p * (1 - p) / n), abs=1e-7)


def test_wilson_interval_equals_statsmodels(lesson):
    proportion = pytest.importorskip("statsmodels.stats.proportion")
    theirs = proportion.proportion_confint(941, 1000, alpha=0.05, method="wilson")
    np.testing.assert_allclose(lesson.wilson_interval(941, 1000), theirs, atol=1e-5)


def test_nearest_centroid_equals_scikit_learn(lesson, rng):
    from sklearn.neighbors import NearestCentroid

    X, y = rows(rng, 200)
    X += 0.1 * np.eye(10, 784)[y]
    wanted = NearestCentroid().fit(X, y).predict(X)
    assert np.mean(lesson.nearest_centroid(X, y, X) == wanted) > 0.99


def test_silent_units_are_counted_per_layer(lesson, rng):
    X, _ = rows(rng)
    weights = lesson.build_sequential().get_weights()
    weights[1] = np.where(np.arange(128) < 32, -1000.0, weights[1])
    weights[3] = np.full(64, -1e6)
    assert lesson.silent_units(weights, X)[0] >= 0.25
    assert lesson.silent_units(weights, X)[1] == 1.0


def test_shared_images_and_features(lesson, rng):
    images = rng.integers(0, 256, (20, 28, 28), dtype=np.uint8)
    assert lesson.shared_images(images[:10], images[5:]) == 5
    assert lesson.shared_images(images[:10], images[10:]) == 0
    features = lesson.as_features(images)
    assert features.shape == (20, 784) and features.dtype == np.float32
    assert features.min() >= 0 and features.max() <= 1


def test_two_softmaxes_cannot_get_below_their_floor(lesson):
    parameters = [
        tf.Variable(tf.zeros(shape)) for shape in [(784, 128), (128,), (128, 64), (64,), (64, 10), (10,)]
    ]
    parameters[-1].assign(1000.0 * tf.one_hot(3, 10))  # certain of class 3
    loss, correct = lesson.step_with_two_softmaxes(
        parameters, tf.zeros((4, 784)), tf.constant([3, 3, 3, 3], tf.int64), 0.0
    )
    assert float(loss) == pytest.approx(math.log(math.e + 9) - 1, rel=1e-5)
    assert int(correct) == 4
