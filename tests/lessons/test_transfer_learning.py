"""What lesson 30 defines, against gradient descent, Keras, scikit-learn and what the derivations promise."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from course_utils import data
from course_utils.data import make_weights
from tests.lessons.code import lesson_code

pytest.importorskip("keras")


@pytest.fixture(scope="module")
def lesson() -> SimpleNamespace:
    return lesson_code("30_transfer_learning")


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def test_moved_pictures_keep_their_ink_within_the_margin(lesson, rng):
    images = np.zeros((200, 28, 28), dtype=np.uint8)
    images[:, 10:18, 12:15] = 200
    moved = lesson.moved_about(images, rng)
    assert moved.shape == images.shape and moved.dtype == np.uint8
    assert (moved.sum(axis=(1, 2), dtype=int) == images.sum(axis=(1, 2), dtype=int)).all()
    first_row = (moved.sum(axis=2) > 0).argmax(axis=1)
    first_column = (moved.sum(axis=1) > 0).argmax(axis=1)
    assert set(first_row) == set(range(6, 15)) and set(first_column) == set(range(8, 17))


def test_nearest_fit_is_the_end_of_gradient_descent(lesson, rng):
    X, y, start = rng.normal(size=(3, 8)), rng.normal(size=3), rng.normal(size=8)
    rates = np.repeat([0.0, 0.01, 0.03], [2, 3, 3])
    w = start.copy()
    for _ in range(20_000):
        w -= rates * (X.T @ (X @ w - y))
    got = lesson.nearest_fit(X, y, start, rates)
    assert np.allclose(got, w, atol=1e-6) and np.allclose(X @ got, y)
    assert np.array_equal(got[:2], start[:2]), "a rate of 0 is frozen"
    even = lesson.nearest_fit(X, y, start, np.full(8, 0.3))
    assert np.allclose(even - start, np.linalg.pinv(X) @ (y - X @ start))


def test_transfer_errors_follow_the_formulas(lesson, rng):
    d, k, n = 40, 5, 20
    basis = np.linalg.qr(rng.normal(size=(d, k)))[0]
    off = rng.normal(size=d)
    off -= basis @ (basis.T @ off)
    truth = basis @ np.ones(k) + 0.5 * off / np.linalg.norm(off)
    near = truth + 0.1 * rng.normal(size=d)
    got = lesson.transfer_errors(n, truth, near, basis, rng, repeats=2000)
    wanted = [(1 - n / d) * (truth**2).sum(), (1 - n / d) * ((near - truth) ** 2).sum(), 0.25 * (1 + k / (n - k - 1))]
    assert np.allclose(got, wanted, rtol=0.06)


@pytest.mark.parametrize(("k", "stride", "side"), [(5, 2, 28), (3, 2, 7), (3, 1, 4), (3, 2, 14)])
def test_convolution_equals_keras(lesson, rng, k, stride, side):
    import keras

    X, kernel = rng.normal(size=(2, side, side, 3)), rng.normal(size=(k, k, 3, 4))
    theirs = keras.ops.conv(X.astype("float32"), kernel.astype("float32"), stride, padding="same")
    assert np.allclose(lesson.conv2d(X, kernel, stride), keras.ops.convert_to_numpy(theirs), atol=1e-3)


def test_the_network_is_the_one_that_was_pretrained_and_numpy_agrees(lesson, rng):
    import keras

    network, theirs = lesson.reader(10), make_weights.script_network(10)
    named = [[(layer.name, w.name, tuple(w.shape)) for layer in net.layers for w in layer.weights] for net in (network, theirs)]
    assert named[0] == named[1]
    source = data.weights("script")
    lesson.put(network, source)
    body = keras.Model(network.inputs[0], network.get_layer("features").output)
    x = rng.random((4, 28, 28, 1)).astype("float32")
    assert np.allclose(lesson.extract(x, source), keras.ops.convert_to_numpy(body(x, training=False)), atol=1e-3)
    used = {f"{layer.name}.{w.name}" for layer in network.layers[:-1] for w in layer.weights}
    assert used == set(source) - {"held_out_accuracy"}


def test_head_gradient_and_scikit_learn(lesson, rng):
    from sklearn.linear_model import LogisticRegression

    F, y = rng.normal(size=(30, 5)) * [1, 5, 0.2, 1, 1] + 3, np.arange(30) % 3
    parameters, Y = rng.normal(size=18), np.eye(3)[y]
    _, gradient = lesson.head_loss(parameters, F, Y, 2.0)
    step = 1e-6 * np.eye(18)
    numeric = [(lesson.head_loss(parameters + s, F, Y, 2.0)[0] - lesson.head_loss(parameters - s, F, Y, 2.0)[0]) / 2e-6 for s in step]
    assert np.allclose(gradient, numeric, atol=1e-5)
    W, b = lesson.fit_head(F, y, K=3, penalty=2.0)
    standard = (F - F.mean(axis=0)) / (F.std(axis=0) + 1e-3)
    theirs = LogisticRegression(C=0.5, tol=1e-8, max_iter=5000).fit(standard, y).predict_proba(standard)
    ours = np.exp(F @ W + b)
    assert np.allclose(ours / ours.sum(axis=1, keepdims=True), theirs, atol=2e-3)


def test_what_each_switch_freezes(lesson, rng):
    network = lesson.reader(10)
    x, y = rng.random((8, 28, 28, 1)).astype("float32"), np.arange(8)
    head = network.get_layer("head").trainable_variables
    assert lesson.what_moves(network, head, True, x, y) == ["stays", "stays", "moves"]
    assert lesson.what_moves(network, network.trainable_variables, False, x, y) == ["moves", "moves", "stays"]
    for layer in network.layers[:-1]:
        layer.trainable = False
    assert lesson.what_moves(network, network.trainable_variables, True, x, y) == ["stays", "stays", "stays"]


def test_a_rate_of_zero_freezes_a_group_and_a_reset_forgets(lesson, rng):
    network = lesson.reader(10)
    trainer = lesson.make_step(network, training=False)
    x, y = rng.random((64, 28, 28, 1)).astype("float32"), np.arange(64) % 10
    start = network.get_weights()
    rates = lesson.cosine([0, 0, 0, 1e-3, 1e-2], 3)
    runs = []
    for _ in range(2):
        network.set_weights(start)
        lesson.train(trainer, x, y, rates, np.random.default_rng(1))
        runs.append(network.get_weights())
    assert all(np.allclose(a, b, atol=1e-6) for a, b in zip(*runs, strict=True)), "no momentum is left over"
    moved = [bool((a != b).any()) for a, b in zip(start, runs[0], strict=True)]
    assert moved[:15] == [False] * 15 and moved[15:18] == [True] * 3 and moved[-2:] == [True] * 2
    assert moved[18:20] == [False] * 2, "running statistics stay in inference mode"


def test_schedules(lesson):
    rates = lesson.cosine([1.0, 2.0], 10)
    assert rates.shape == (10, 2) and np.allclose(rates[0], [1, 2]) and (np.diff(rates, axis=0) < 0).all()
    open_groups = lesson.unfreezing(0.1, 50) > 0
    assert open_groups.argmax(axis=0).tolist() == [40, 30, 20, 10, 0] and open_groups[-1].all()


def test_budgets_are_balanced_nested_and_the_same_for_a_seed(lesson):
    pool = [np.arange(20) + 20 * k for k in range(3)]
    small, large = lesson.draw(4, 1, pool), lesson.draw(10, 1, pool)
    assert set(small) < set(large) and np.bincount(large // 20).tolist() == [10, 10, 10]
    assert np.array_equal(small, lesson.draw(4, 1, pool)) and not np.array_equal(small, lesson.draw(4, 2, pool))


def test_separation_is_in_standard_deviations(lesson, rng):
    F = rng.normal(size=(4000, 6))
    y = np.arange(4000) % 2
    F[y == 1, 0] += 3
    assert abs(lesson.separation(F, y, 0, 1) - 3) < 0.2


def test_interval_is_that_of_three_values(lesson):
    from scipy import stats

    values = np.array([0.7, 0.75, 0.9])
    low, high = stats.t.interval(0.95, 2, values.mean(), stats.sem(values))
    assert abs(lesson.interval(values) - (high - low) / 2) < 1e-3


def test_the_trained_source_is_worth_more_than_none_and_the_turned_one_less(lesson):
    """Frozen features of moved digits at ten labels per class; training images only."""
    digits = data.load("digits")
    x = lesson.moved_about(digits.x_train[:1400], np.random.default_rng(5))[..., None] / np.float32(255)
    y = digits.y_train[:1400]
    pool = [np.flatnonzero(y[:1000] == k) for k in range(10)]
    chosen = lesson.draw(10, 0, pool)
    right = {}
    for name in ("script", "script_turned"):
        F = lesson.extract(x, data.weights(name))
        W, b = lesson.fit_head(F[chosen], y[chosen])
        right[name] = lesson.share_right(F[1000:] @ W + b, y[1000:])
    flat = x.reshape(len(x), -1)
    W, b = lesson.fit_head(flat[chosen], y[chosen])
    assert right["script"] > right["script_turned"] + 0.08
    assert right["script"] > lesson.share_right(flat[1000:] @ W + b, y[1000:]) + 0.15
