"""The layers and helpers that lesson 14 defines, against Keras, finite differences and plain arithmetic."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from tests.lessons.code import lesson_code

keras = pytest.importorskip("keras")
tf = pytest.importorskip("tensorflow")


@pytest.fixture(scope="module")
def lesson() -> SimpleNamespace:
    return lesson_code("14_cnn_image_classifier")


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def batch(rng, m=5):
    return rng.uniform(0, 1, (m, 28, 28, 1)).astype("float32"), rng.integers(0, 10, m)


@pytest.mark.parametrize(
    ("kernel_size", "padding", "name"), [(3, 1, "same"), (5, 2, "same"), (4, 0, "valid")]
)
def test_convolution_equals_keras_forward_and_backward(lesson, rng, kernel_size, padding, name):
    ours = lesson.Conv2D(kernel_size, 3, 4, rng, padding=padding)
    ours.b = rng.normal(size=4).astype("float32")
    X = rng.normal(size=(2, 8, 11, 3)).astype("float32")
    theirs = keras.layers.Conv2D(4, kernel_size, padding=name)
    theirs.build(X.shape)
    theirs.set_weights([ours.W, ours.b])
    variable = tf.Variable(X)
    Z = theirs(variable)
    np.testing.assert_allclose(ours.forward(X), Z, atol=1e-4)

    grad_Z = rng.normal(size=Z.shape).astype("float32")
    with tf.GradientTape() as tape:
        weighted = tf.reduce_sum(theirs(variable) * grad_Z)
    grad_X, grad_W, grad_b = tape.gradient(weighted, [variable, *theirs.trainable_variables])
    np.testing.assert_allclose(ours.backward(grad_Z), grad_X, atol=1e-3)
    np.testing.assert_allclose(ours.grad_W, grad_W, atol=1e-3)
    np.testing.assert_allclose(ours.grad_b, grad_b, atol=1e-3)


def test_max_pool_equals_keras_and_sends_the_gradient_to_the_winner(lesson, rng):
    X = rng.normal(size=(2, 6, 8, 3))
    pool = lesson.MaxPool()
    np.testing.assert_array_equal(pool.forward(X), keras.layers.MaxPooling2D(dtype="float64")(X))
    grad_out = rng.normal(size=(2, 3, 4, 3))
    with tf.GradientTape() as tape:
        variable = tf.Variable(X)
        total = tf.reduce_sum(tf.nn.max_pool2d(variable, 2, 2, "VALID") * grad_out)
    np.testing.assert_allclose(pool.backward(grad_out), tape.gradient(total, variable))


def test_a_tie_in_pooling_has_one_winner(lesson):
    pool = lesson.MaxPool()
    pool.forward(np.ones((1, 2, 2, 1)))
    assert pool.backward(np.full((1, 1, 1, 1), 3.0)).sum() == 3
    assert np.count_nonzero(pool.backward(np.full((1, 1, 1, 1), 3.0))) == 1


def test_lenet_equals_keras_in_logits_and_gradients(lesson, rng):
    network, model = lesson.lenet_layers(rng), lesson.build_lenet()
    model.set_weights(lesson.own_weights(network))
    X, y = batch(rng)
    logits = lesson.forward(network, X)
    np.testing.assert_allclose(logits, model(X), atol=1e-4)
    np.testing.assert_allclose(lesson.logits_of(model, X), logits, atol=1e-4)

    loss, grad_logits = lesson.cross_entropy(logits, y)
    lesson.backward(network, grad_logits)
    with tf.GradientTape() as tape:
        keras_loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)(y, model(X))
    assert float(loss) == pytest.approx(float(keras_loss), rel=1e-5)
    own = [g for layer in network if hasattr(layer, "W") for g in (layer.grad_W, layer.grad_b)]
    for ours, theirs in zip(own, tape.gradient(keras_loss, model.trainable_variables), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_the_parameter_counts_of_the_text(lesson):
    lenet, mlp = lesson.build_lenet(), lesson.build_mlp()
    assert [layer.count_params() for layer in lenet.layers if layer.weights] == [
        156,
        2_416,
        48_120,
        10_164,
        850,
    ]
    assert lenet.count_params() == 61_706
    assert mlp.count_params() == 785 * 78 + 79 * 10 == 62_020
    assert 25_088 * 4_096 + 4_096 == 102_764_544


def test_cross_entropy_is_stable_and_its_gradient_a_difference(lesson, rng):
    logits, labels = rng.normal(size=(4, 3)), np.array([0, 2, 1, 2])
    _, gradient = lesson.cross_entropy(logits, labels)
    numeric = lesson.numeric_gradient(lambda: lesson.cross_entropy(logits, labels)[0], logits)
    np.testing.assert_allclose(gradient, numeric, atol=1e-9)
    loss, gradient = lesson.cross_entropy(np.array([[1e4, 0.0]]), np.array([1]))
    assert loss == pytest.approx(1e4) and np.isfinite(gradient).all()


def test_shift_moves_without_wrapping(lesson, rng):
    images = rng.uniform(size=(2, 5, 6, 1))
    np.testing.assert_array_equal(lesson.shifted(images, 0, 0), images)
    moved = lesson.shifted(images, 2, -1)
    np.testing.assert_array_equal(moved[:, 2:, :-1], images[:, :-2, 1:])
    assert not moved[:, :2].any() and not moved[:, :, -1].any()


def test_convolution_and_two_poolings_are_equivariant_to_four_pixels(lesson, rng):
    network = lesson.lenet_layers(rng)[:6]  # up to the second pooling
    images = np.zeros((2, 28, 28, 1), "float32")
    images[:, 6:20, 2:16] = rng.uniform(size=(2, 14, 14, 1))
    before = lesson.forward(network, images)
    after = lesson.forward(network, lesson.shifted(images, 0, 4))
    np.testing.assert_allclose(after[:, :, 1:], before[:, :, :-1], atol=1e-5)


def test_an_mlp_does_not_notice_shuffled_pixels(lesson, rng):
    X, _ = batch(rng)
    order = rng.permutation(784)
    plain, permuted = lesson.build_mlp(), lesson.build_mlp()
    permuted.set_weights(lesson.with_rows(plain.get_weights(), order))
    np.testing.assert_allclose(
        lesson.logits_of(plain, X), lesson.logits_of(permuted, lesson.shuffled(X, order)), atol=1e-5
    )


def test_training_learns_a_simple_task(lesson, rng, capsys):
    X = np.zeros((96, 28, 28, 1), "float32")
    y = np.arange(96) % 2
    X[y == 0, 12:16, 4:24] = 1  # a bar lying down, or standing
    X[y == 1, 4:24, 12:16] = 1
    X += rng.normal(0, 0.05, X.shape).astype("float32")
    history = lesson.train(
        lesson.lenet_layers(rng), X, y, X, y, epochs=2, learning_rate=0.02, rng=rng, batch_size=16
    )
    assert history[-1][1] == 1.0
    assert "validation accuracy" in capsys.readouterr().out


def test_nearest_mean(lesson):
    means = np.array([[0.0, 0.0], [4.0, 0.0], [0.0, 3.0]])
    points = np.array([[1.0, 0.5], [3.0, 1.0], [0.0, 1.6]]).reshape(3, 1, 2, 1)
    assert lesson.nearest_mean(means, points).tolist() == [0, 1, 2]


def test_wilson_interval(lesson):
    low, high = lesson.wilson_interval(8, 10)
    assert low == pytest.approx(0.4902, abs=1e-4) and high == pytest.approx(0.9433, abs=1e-4)
