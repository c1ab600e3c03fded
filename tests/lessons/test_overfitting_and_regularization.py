"""What lesson 24 builds, against Keras, closed forms and finite differences, and what its text claims."""

from __future__ import annotations

import math

import numpy as np
import pytest

from course_utils.checks import overfitting_and_regularization as check
from tests.lessons.code import lesson_code


@pytest.fixture(scope="module")
def lesson():
    return lesson_code("24_overfitting_and_regularization")


@pytest.fixture
def rng():
    return np.random.default_rng(0)


# ---------------------------------------------------------------------------- curves, bias, variance


@pytest.mark.parametrize(("degree", "penalty"), [(3, 0.0), (11, 0.0), (15, 0.0), (9, 0.01)])
def test_fits_are_those_of_the_interactive_figure(lesson, rng, degree, penalty):
    from course_utils.explorables import overfitting_lab as lab

    x, y = np.linspace(-1, 1, 12), rng.normal(size=12)
    Phi = lesson.polynomial_features(x, degree)
    assert np.allclose(lesson.truth(x), lab.truth(x))
    theirs = lab.fit(x, y, degree, penalty)
    assert np.allclose(lesson.ridge(Phi, y[:, None], penalty)[:, 0], theirs, atol=1e-6)
    if penalty == 0:
        assert np.allclose(lesson.least_squares(Phi, y), theirs)


def test_bias_and_variance_sum_to_the_error(lesson, rng):
    predicted, target = rng.normal(size=(7, 50)), rng.normal(size=7)
    bias2, variance = lesson.bias_and_variance(predicted, target)
    assert np.isclose(bias2 + variance, np.mean((predicted - target[:, None]) ** 2))
    assert np.allclose(lesson.bias_and_variance(np.tile(target[:, None], 3), target), 0)


def test_a_straight_line_has_the_bias_and_degree_11_the_variance(lesson, rng):
    x, x_new = np.linspace(-1, 1, 12), np.linspace(-1, 1, 101)
    noise = 0.2 * rng.normal(size=(12, 300))
    Y = lesson.truth(x)[:, None] + np.hstack([noise, -noise])

    def parts(degree):
        return lesson.bias_and_variance(lesson.predictions(degree, x, Y, x_new), lesson.truth(x_new))

    assert parts(1)[0] > 10 * parts(1)[1] and parts(11)[1] > 1000 * parts(11)[0]
    assert sum(parts(5)) < min(sum(parts(1)), sum(parts(11)))


# ---------------------------------------------------------------------------- penalties and stopping


@pytest.mark.parametrize("shape", [(12, 5), (6, 15)])
def test_ridge_equals_the_normal_equations_and_gradient_descent(lesson, rng, shape):
    Phi, Y = rng.normal(size=shape), rng.normal(size=(shape[0], 3))
    m, n = shape
    wanted = np.linalg.solve(Phi.T @ Phi + m * 0.2 * np.eye(n), Phi.T @ Y)
    assert np.allclose(lesson.ridge(Phi, Y, 0.2), wanted)
    assert np.allclose(lesson.gradient_descent(Phi, Y, 3000, 0.1, penalty=0.2), wanted, atol=1e-8)
    assert np.allclose(lesson.ridge(Phi, Y, 0.0), np.linalg.pinv(Phi) @ Y)


def test_stopping_formula_equals_the_loop(lesson, rng):
    Phi, Y = rng.normal(size=(10, 4)), rng.normal(size=(10, 2))
    for steps in (1, 7, 100):
        loop = lesson.gradient_descent(Phi, Y, steps, 0.2)
        assert np.allclose(lesson.stopped(Phi, Y, steps, 0.2), loop)


def test_stopping_and_penalty_agree_on_flat_directions(lesson):
    c, rate, steps = 1e-6, 0.5, 200
    assert 1 - (1 - rate * c) ** steps == pytest.approx(c / (c + 1 / (rate * steps)), rel=1e-2)


def test_soft_threshold_minimises(lesson):
    w = np.linspace(-3, 3, 60001)
    for a in (-2.0, -0.3, 0.0, 0.4, 1.7):
        best = w[np.argmin(0.5 * (w - a) ** 2 + 0.5 * np.abs(w))]
        assert lesson.soft_threshold(a, 0.5) == pytest.approx(best, abs=1e-3)


def test_lasso_equals_scikit_learn(lesson, rng):
    from sklearn.linear_model import Lasso

    Phi, y = rng.normal(size=(30, 6)), rng.normal(size=30)
    theirs = Lasso(alpha=0.05, fit_intercept=False, tol=1e-10).fit(Phi, y).coef_
    ours = lesson.lasso(Phi, y, 0.05)
    assert np.allclose(ours, theirs, atol=1e-5) and np.array_equal(ours == 0, theirs == 0)


def test_adam_penalises_small_gradients_more_and_decay_treats_all_alike(lesson, rng):
    scales = np.array([0.001, 10.0])
    by_penalty = lesson.adam_on_noise(scales, 400, rng, penalty=0.1).mean(axis=0)
    by_decay = lesson.adam_on_noise(scales, 400, rng, decay=0.1).mean(axis=0)
    assert abs(by_penalty[0]) < 0.1 and by_penalty[1] > 0.8
    assert np.allclose(by_decay, 0.999**400, atol=0.08)


def test_early_stopping_equals_keras_and_the_exercise(lesson, rng):
    import keras

    for patience in (1, 3):
        losses = list(rng.random(20).round(2))
        callback = keras.callbacks.EarlyStopping(patience=patience)
        callback.set_model(keras.Sequential())
        callback.model.stop_training = False
        callback.on_train_begin()
        ours, stopped = lesson.EarlyStopping(patience), None
        for epoch, loss in enumerate(losses):
            callback.on_epoch_end(epoch, {"val_loss": loss})
            stop = ours.should_stop(loss, [np.array([loss])])
            assert stop == callback.model.stop_training or epoch == 0
            if stop:
                stopped = epoch + 1
                break
        assert ours.best_epoch == callback.best_epoch + 1
        assert np.allclose(ours.kept[0], ours.best_loss), "the weights of the best epoch are kept"
        assert check.early_stopping.reference(losses, patience) == (stopped, ours.best_epoch)


def test_early_stopping_keeps_copies(lesson):
    w = np.ones(2)
    stopper = lesson.EarlyStopping(patience=2)
    stopper.should_stop(1.0, [w])
    w *= 5
    assert np.array_equal(stopper.kept[0], [1, 1])


# ---------------------------------------------------------------------------- dropout and smoothing


@pytest.mark.parametrize("rate", [0.2, 0.5, 0.8])
def test_dropout_has_the_properties_of_keras(lesson, rng, rate):
    from keras import layers, ops

    X = np.ones((400, 50))
    ours, theirs = lesson.Dropout(rate, rng), layers.Dropout(rate, seed=1)
    a, b = ours.forward(X, training=True), ops.convert_to_numpy(theirs(X.astype("float32"), training=True))
    assert np.allclose(np.unique(a), np.unique(b)) and np.allclose(np.unique(a), [0, 1 / (1 - rate)])
    spread = math.sqrt(rate / (1 - rate) / X.size)
    assert abs(a.mean() - 1) < 5 * spread and abs(b.mean() - 1) < 5 * spread
    assert a.var() == pytest.approx(rate / (1 - rate), rel=0.1)
    assert np.array_equal(ours.forward(X, training=False), X)
    assert np.array_equal(ours.backward(X), X), "no mask at inference"


def test_dropout_backward_uses_the_mask_of_the_forward_pass(lesson, rng):
    X, grad_Y = rng.normal(size=(2, 5, 4))
    layer = lesson.Dropout(0.4, rng)
    mask = layer.forward(X, training=True) / X
    assert np.allclose(layer.backward(grad_Y), grad_Y * mask)


def test_dropout_on_a_linear_model_is_a_penalty(lesson, rng):
    X, y, w = rng.normal(size=(7, 4)), rng.normal(size=7), rng.normal(size=4)
    penalised = np.mean((y - X @ w) ** 2) + 0.3 / 0.7 * np.sum(np.mean(X**2, axis=0) * w**2)
    assert lesson.expected_dropout_loss(X, y, w, 0.3) == pytest.approx(penalised)


def test_spatial_dropout_drops_as_keras_does(rng):
    from keras import layers, ops

    X = rng.random((5, 3, 3, 20)) + 1
    theirs = ops.convert_to_numpy(layers.SpatialDropout2D(0.4, seed=3)(X.astype("float32"), training=True))
    ours = check.spatial_dropout.reference(X, 0.4, rng.random((5, 20)), True)
    for Y in (theirs, ours):
        factors = Y / X
        assert np.allclose(factors, factors[:, :1, :1], atol=1e-5), "whole channels"
        assert np.allclose(np.unique(factors.round(3)), [0, round(1 / 0.6, 3)])


def test_smoothing_equals_keras_and_its_optimum_is_finite(lesson, rng):
    import keras

    logits, labels = rng.normal(size=(6, 10)), rng.integers(0, 10, size=6)
    one_hot = np.eye(10)[labels]
    loss = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.2)
    by_hand = -np.mean(np.sum(lesson.smooth(one_hot, 0.2) * np.log(lesson.softmax(logits)), axis=1))
    assert float(loss(one_hot, logits)) == pytest.approx(by_hand, rel=1e-5)
    target = lesson.smooth(np.eye(10)[:1], 0.1)
    gap = math.log(1 + 10 * 0.9 / 0.1)
    assert np.allclose(lesson.softmax(np.eye(10)[:1] * gap), target)


# ---------------------------------------------------------------------------- double descent and the crowd


def test_training_sets_have_the_share_of_wrong_labels_and_are_repeatable(lesson):
    x, y = np.arange(5000)[:, None], np.arange(5000) % 10
    chosen, given, true = lesson.draw_training_set(x, y, 4000, 0.2, seed=3)
    assert np.array_equal(true, chosen[:, 0] % 10) and len(np.unique(chosen)) == 4000
    assert np.mean(given != true) == pytest.approx(0.2, abs=0.03) and set(given) == set(range(10))
    assert np.array_equal(lesson.draw_training_set(x, y, 4000, 0.2, seed=3)[1], given)
    assert np.array_equal(*lesson.draw_training_set(x, y, 50, 0.0, seed=3)[1:])


def test_error_peaks_where_features_equal_examples(lesson):
    from course_utils import data

    digits = data.load("digits")
    x, y = lesson.small(digits.x_train[:1000]), digits.y_train[:1000]
    runs = []
    for penalty in (0.0, lesson.RIDGE):
        for seed in range(3):
            inside, labels, _ = lesson.draw_training_set(x[:600], y[:600], 60, 0.0, seed)
            runs.append(
                lesson.errors_by_width(inside, labels, x[600:], y[600:], (25, 60, 400), penalty, seed)
            )
    plain, ridge = np.array(runs).reshape(2, 3, 3, 2).mean(axis=1)
    assert plain[1, 1] > plain[0, 1] + 0.1 and plain[1, 1] > plain[2, 1] + 0.1
    assert plain[1, 0] == plain[2, 0] == 0, "beyond the peak every training image is fitted"
    assert ridge[1, 1] < ridge[0, 1] + 0.05, "no peak with the penalty"


def test_interval_is_students(lesson, rng):
    from scipy import stats

    values = rng.normal(size=7)
    middle, half = lesson.interval(values)
    low, high = stats.t.interval(0.95, 6, loc=values.mean(), scale=stats.sem(values))
    assert np.allclose([middle - half, middle + half], [low, high])


def test_a_network_of_the_crowd_learns_as_it_would_alone(lesson, rng):
    import keras

    x, labels = rng.random((1, 40, 49)).astype("float32"), rng.integers(0, 10, size=(1, 40))
    settings = [{"l2": 0.01}, {"decay": 0.5}, {"smoothing": 0.2}]
    together = lesson.build_crowd(settings, 1, hidden=16)
    lesson.train(together, x, labels, 3, 20, len(settings))
    for number, setting in enumerate(settings):
        alone = lesson.build_crowd([setting], 1, hidden=16)
        lesson.train(alone, x, labels, 3, 20, 1)
        for a, b in zip(together.weights, alone.weights, strict=True):
            assert np.allclose(a[number], b[0], atol=1e-4)
    # ... and the third one as in Keras: same weights, same batches, Adam
    model = keras.Sequential(
        [keras.Input((49,)), keras.layers.Dense(16, activation="relu"), keras.layers.Dense(10)]
    )
    W1, b1, W2, b2 = lesson.starting_weights(0, 49, 16)
    model.set_weights([W1, b1[0], W2, b2[0]])
    loss = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.2)
    model.compile(keras.optimizers.Adam(0.01), loss)
    order = np.random.default_rng(24)
    for _ in range(3):
        for chosen in order.permutation(40).reshape(-1, 20):
            model.train_on_batch(x[0, chosen], np.eye(10)[labels[0, chosen]])
    ours = lesson.network_logits([w[2].numpy() for w in together.weights], x[0])
    assert np.allclose(ours, np.asarray(model(x[0])), atol=1e-3)


def test_crowd_penalties_leave_biases_alone_and_follow_their_formulas(lesson, rng):
    import tensorflow as tf

    x, labels = rng.random((1, 20, 49)).astype("float32"), rng.integers(0, 10, size=(1, 20))
    targets = np.eye(10, dtype="float32")[labels]
    plain, decayed = (lesson.build_crowd([setting], 1, hidden=8) for setting in ({}, {"decay": 2.0}))
    before = [w.numpy() for w in plain.weights]
    for crowd in (plain, decayed):
        crowd.step(tf.constant(x), tf.constant(targets))
    for start, a, b in zip(before, plain.weights, decayed.weights, strict=True):
        shrunk = 0.01 * 2.0 * start if start.shape[1] > 1 else 0.0
        assert np.allclose(a - b, shrunk, atol=1e-6)


def test_crowd_logits_twin_and_dropout_off_at_inference(lesson, rng):
    crowd = lesson.build_crowd([{"dropout": 0.5}, {}], 2, hidden=8)
    x = rng.random((5, 49)).astype("float32")
    inference = crowd.logits(x).numpy()
    assert inference.shape == (4, 5, 10) and np.array_equal(inference, crowd.logits(x).numpy())
    assert np.allclose(inference, lesson.network_logits([w.numpy() for w in crowd.weights], x), atol=1e-5)
    dropped = crowd.logits(x, training=True).numpy()
    assert not np.allclose(dropped[:2], inference[:2]) and np.allclose(dropped[2:], inference[2:], atol=1e-5)
    assert np.allclose(inference[:2], inference[2:]), "the seeds of all settings start alike"


def test_cross_entropy_is_stable_and_per_network(lesson, rng):
    logits, labels = rng.normal(size=(3, 4, 10)), rng.integers(0, 10, size=4)
    wanted = -np.mean(np.log(lesson.softmax(logits))[:, np.arange(4), labels], axis=1)
    assert np.allclose(lesson.cross_entropy(logits, labels), wanted)
    assert np.isfinite(lesson.cross_entropy(1000 * logits, labels)).all()


def test_the_winner_is_optimistic_and_more_so_on_fewer_images(lesson):
    correct = np.random.default_rng(0).random((16, 300)) < 0.8  # sixteen equally good settings
    few, many = (lesson.optimism(correct, 16, n, np.random.default_rng(1), repeats=200) for n in (20, 150))
    assert few > many > 0
    assert abs(lesson.optimism(correct, 1, 50, np.random.default_rng(1), repeats=400)) < 0.02


def test_keras_network_carries_the_penalties(lesson):
    model = lesson.build_regularised(l2=0.01)
    kernels = [layer.kernel for layer in model.layers if hasattr(layer, "kernel")]
    wanted, _ = check.weight_penalty.reference([np.asarray(k) for k in kernels], 0.0, 0.01)
    assert float(sum(model.losses)) == pytest.approx(wanted, rel=1e-5)


def test_effective_parameters_are_the_trace_of_the_smoother(lesson, rng):
    Phi, penalty = rng.normal(size=(9, 5)), 0.3
    smoother = Phi @ lesson.ridge(Phi, np.eye(9), penalty)
    assert check.effective_parameters.reference(Phi, penalty) == pytest.approx(np.trace(smoother))
