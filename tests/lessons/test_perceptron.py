"""The perceptron of lesson 01 against its theorem, scikit-learn and its own vectorised twin."""

import numpy as np
import pytest
from sklearn.linear_model import Perceptron

from course_utils.checks import perceptron as check
from tests.lessons.code import lesson_code

SEEDS = range(25)


@pytest.fixture(scope="module")
def lesson():
    return lesson_code("01_perceptron")


def overlapping(seed, n=60, features=3):
    rng = np.random.default_rng(seed)
    y = rng.choice([-1, 1], n)
    return rng.normal(size=(n, features)) + 0.5 * y[:, None], y


def test_a_tie_is_predicted_negative(lesson):
    X = np.array([[1.0, 0.0], [0.0, 0.0], [-1.0, 0.0]])
    assert lesson.predict(X, np.array([1.0, 0.0]), 0.0).tolist() == [1, -1, -1]


@pytest.mark.parametrize("seed", SEEDS)
def test_an_update_raises_y_z_by_the_squared_length_plus_one(lesson, seed):
    rng = np.random.default_rng(seed)
    w, b, x, y = rng.normal(size=4), rng.normal(), rng.normal(size=4), rng.choice([-1, 1])
    rate = rng.uniform(0.1, 2)
    kept = w.copy()
    new_w, new_b = lesson.update(w, b, x, y, rate)
    assert np.array_equal(w, kept)
    gain = y * (x @ new_w + new_b) - y * (x @ w + b)
    assert gain == pytest.approx(rate * (x @ x + 1))


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("margin", [0.2, 0.05, 0.01])
def test_mistakes_never_exceed_the_bound_and_the_proof_holds_at_each(lesson, seed, margin):
    X, y, w, b = lesson.separable_set(margin, np.random.default_rng(seed))
    assert len(X) == 100
    assert np.all(y * (X @ w + b) >= margin)
    R, gamma = lesson.radius_and_margin(X, y, w, b)
    learnt_w, learnt_b, history, per_epoch = lesson.train(X, y, max_epochs=20_000)
    k = np.arange(len(history))
    assert per_epoch[-1] == 0 and sum(per_epoch) == k[-1]
    assert np.array_equal(lesson.predict(X, learnt_w, learnt_b), y)
    assert k[-1] <= (R / gamma) ** 2
    separator = np.append(w, b) / np.linalg.norm(np.append(w, b))
    weights = np.array([np.append(v, c) for _, v, c in history])
    assert np.all(weights @ separator >= k * gamma - 1e-9)
    assert np.all((weights**2).sum(axis=1) <= k * R**2 + 1e-9)


@pytest.mark.parametrize("seed", SEEDS)
def test_jumping_from_mistake_to_mistake_is_the_same_perceptron(lesson, seed):
    for X, y in [lesson.separable_set(0.02, np.random.default_rng(seed))[:2], overlapping(seed)]:
        w, b, _, per_epoch = lesson.train(X, y, max_epochs=30)
        jump_w, jump_b, jump_epochs = lesson.train_by_mistakes(X, y, max_epochs=30)
        np.testing.assert_allclose(jump_w, w)
        assert (jump_b, jump_epochs) == (b, per_epoch)


@pytest.mark.parametrize("seed", SEEDS)
def test_scikit_learn_reaches_the_same_weights(lesson, seed):
    for X, y in [lesson.separable_set(0.05, np.random.default_rng(seed))[:2], overlapping(seed)]:
        w, b, _, per_epoch = lesson.train(X, y, max_epochs=15)
        library = Perceptron(shuffle=False, tol=None, max_iter=len(per_epoch)).fit(X, y)
        np.testing.assert_allclose(library.coef_[0], w, rtol=1e-10, atol=1e-10)
        assert library.intercept_[0] == pytest.approx(b)


@pytest.mark.parametrize("rate", [0.001, 7.0])
def test_the_learning_rate_changes_no_mistake(lesson, rate):
    X, y, *_ = lesson.separable_set(0.1, np.random.default_rng(3))
    w, b, history, _ = lesson.train(X, y)
    scaled_w, scaled_b, scaled_history, _ = lesson.train(X, y, learning_rate=rate)
    assert [i for i, *_ in scaled_history] == [i for i, *_ in history]
    np.testing.assert_allclose(scaled_w, rate * w)
    assert scaled_b == pytest.approx(rate * b)


def test_the_average_is_the_mean_of_the_weights_after_every_example(lesson):
    X, y = overlapping(0, n=12)
    order = np.random.default_rng(5)
    last, average, errors = lesson.train_averaged(X, y, 3, np.random.default_rng(5))
    w, b, seen = np.zeros(3), 0.0, []
    for _ in range(3):
        for i in order.permutation(12):
            if y[i] * (X[i] @ w + b) <= 0:
                w, b = w + y[i] * X[i], b + y[i]
            seen.append(np.append(w, b))
    np.testing.assert_allclose(np.append(*last), seen[-1])
    np.testing.assert_allclose(np.append(*average), np.mean(seen, axis=0))
    assert errors.shape == (3, 2)
    assert errors[-1].tolist() == [(lesson.predict(X, *v) != y).sum() for v in (last, average)]


def test_nearest_centroid_is_the_nearer_mean(lesson):
    X, y = overlapping(1)
    w, b = lesson.nearest_centroid(X, y)
    new = np.random.default_rng(9).normal(size=(200, 3))
    nearer_positive = np.linalg.norm(new - X[y == 1].mean(axis=0), axis=1) < np.linalg.norm(
        new - X[y == -1].mean(axis=0), axis=1
    )
    assert np.array_equal(lesson.predict(new, w, b), np.where(nearer_positive, 1, -1))


def test_xor_cycles_and_the_product_repairs_it(lesson):
    X = np.array([[-1.0, -1.0], [-1.0, 1.0], [1.0, -1.0], [1.0, 1.0]])
    y = np.array([-1, 1, 1, -1])
    _, _, history, per_epoch = lesson.train(X, y, max_epochs=50)
    assert per_epoch == [4] * 50
    assert not np.any(history[4][1]) and history[4][2] == 0
    w, b, _, per_epoch = lesson.train(lesson.with_product(X), y)
    assert per_epoch[-1] == 0
    assert np.array_equal(lesson.predict(lesson.with_product(X), w, b), y)


def test_worked_values_of_the_exercises():
    w, b = check.update_zero_one.reference(np.array([1, -1]), 0, np.array([2, 3]), 1)
    assert (w.tolist(), b) == ([3, 2], 1)
    X, y = np.array([[3, 4], [0, 0]]), np.array([1, -1])
    assert check.margin.reference(X, y, np.array([3, 4]), -5) == pytest.approx(1)
    X, y = np.array([[-1, -1], [-1, 1], [1, -1], [1, 1]]), np.array([-1, 1, 1, -1])
    w, b = check.train_pocket.reference(X, y, 10)
    assert (w.tolist(), b) == ([1, 1], 1)
    assert (y * (X @ w + b) <= 0).sum() == 1


def test_the_tight_set_makes_exactly_as_many_mistakes_as_the_bound_allows(lesson):
    X, y, w, b = check.tight_set.reference()
    R, gamma = lesson.radius_and_margin(X, y, w, b)
    _, _, _, per_epoch = lesson.train(X, y)
    assert sum(per_epoch) == pytest.approx((R / gamma) ** 2)
