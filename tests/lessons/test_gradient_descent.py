"""The optimisers that lesson 09 builds, against Keras, analytic factors and what the text claims."""

from __future__ import annotations

import math

import numpy as np
import pytest

from course_utils.checks import gradient_descent as check
from tests.lessons.code import lesson_code


@pytest.fixture(scope="module")
def lesson():
    return lesson_code("09_gradient_descent")


@pytest.fixture
def rng():
    return np.random.default_rng(0)


# ---------------------------------------------------------------------------- against Keras

PAIRS = {
    "sgd": ("SGD", {}, "SGD", {}),
    "momentum": ("Momentum", {"momentum": 0.8}, "SGD", {"momentum": 0.8}),
    "nesterov": ("Nesterov", {"momentum": 0.8}, "SGD", {"momentum": 0.8, "nesterov": True}),
    "rmsprop": ("RMSprop", {"rho": 0.8}, "RMSprop", {"rho": 0.8}),
    "rmsprop-epsilon": ("RMSprop", {"epsilon": 0.1}, "RMSprop", {"epsilon": 0.1}),
    "adam": ("Adam", {"beta_1": 0.8, "beta_2": 0.95}, "Adam", {"beta_1": 0.8, "beta_2": 0.95}),
    "adam-epsilon": ("Adam", {"epsilon": 0.1}, "Adam", {"epsilon": 0.1}),
    "adamw": ("AdamW", {"weight_decay": 0.2}, "AdamW", {"weight_decay": 0.2}),
    "adamw-is-adam-with-decay": ("AdamW", {"weight_decay": 0.2}, "Adam", {"weight_decay": 0.2}),
}


@pytest.mark.parametrize("pair", PAIRS.values(), ids=PAIRS)
def test_equals_keras_over_fifty_steps(lesson, pair):
    import keras

    ours, our_settings, theirs, their_settings = pair
    difference = lesson.largest_difference(
        getattr(lesson, ours)(0.01, **our_settings), getattr(keras.optimizers, theirs)(0.01, **their_settings)
    )
    assert difference < 1e-5


def test_defaults_are_those_of_keras(lesson):
    import keras

    for name in ("Adam", "AdamW"):
        ours, theirs = getattr(lesson, name)(0.1), getattr(keras.optimizers, name)()
        assert (ours.beta_1, ours.beta_2, ours.epsilon) == (theirs.beta_1, theirs.beta_2, theirs.epsilon)
    assert lesson.AdamW(0.1).weight_decay == keras.optimizers.AdamW().weight_decay
    assert lesson.RMSprop(0.1).rho == keras.optimizers.RMSprop().rho
    assert float(keras.optimizers.SGD().learning_rate) == pytest.approx(0.01)
    assert float(keras.optimizers.Adam().learning_rate) == pytest.approx(0.001)


# ---------------------------------------------------------------------------- the quadratic


def quadratic(rng, eigenvalues):
    Q, _ = np.linalg.qr(rng.normal(size=(len(eigenvalues),) * 2))
    return Q, (Q * eigenvalues) @ Q.T


@pytest.mark.parametrize("rate", [0.01, 0.05, 0.12, 0.21])
def test_errors_along_eigen_directions_shrink_by_one_minus_rate_times_eigenvalue(lesson, rng, rate):
    eigenvalues = np.array([0.5, 3.0, 10.0])
    Q, H = quadratic(rng, eigenvalues)
    start = rng.normal(size=3)
    path = lesson.gradient_descent(lambda theta: H @ theta, start, rate, 25)
    wanted = (start @ Q) * (1 - rate * eigenvalues) ** np.arange(26)[:, None]
    assert path.shape == (26, 3)
    assert np.allclose(path @ Q, wanted)
    assert np.allclose(lesson.descend(lesson.SGD(rate), lambda theta: H @ theta, start, 25), path)


def test_step_is_the_minimiser_of_linear_model_plus_distance(rng):
    theta, grad, rate = rng.normal(size=4), rng.normal(size=4), 0.3
    best = theta - rate * grad

    def model(point):
        return grad @ (point - theta) + np.sum((point - theta) ** 2) / (2 * rate)

    assert all(model(best) < model(best + 0.01 * rng.normal(size=4)) for _ in range(50))


@pytest.mark.parametrize("condition", [5.0, 50.0, 400.0])
def test_best_rates_are_as_derived(condition):
    eigenvalues = np.geomspace(1, condition, 7)

    def worst(rate, beta):
        return max(np.abs(np.roots([1, -(1 + beta - rate * lam), beta])).max() for lam in eigenvalues)

    plain = 2 / (1 + condition)
    assert np.abs(1 - plain * eigenvalues).max() == pytest.approx((condition - 1) / (condition + 1))
    root = math.sqrt(condition)
    rho = (root - 1) / (root + 1)
    best = 4 / (1 + root) ** 2
    assert worst(best, rho**2) == pytest.approx(rho, rel=1e-3)
    for factor in (0.9, 1.1):
        assert worst(best * factor, rho**2) > rho
        assert np.abs(1 - plain * factor * eigenvalues).max() > (condition - 1) / (condition + 1)


def test_steps_grow_like_the_condition_number_and_like_its_root(lesson):
    plain = [lesson.steps_needed(kappa, False) for kappa in (100, 400)]
    heavy = [lesson.steps_needed(kappa, True) for kappa in (100, 400)]
    assert plain[1] / plain[0] == pytest.approx(4, rel=0.1)
    assert heavy[1] / heavy[0] == pytest.approx(2, rel=0.1)
    assert plain[0] == pytest.approx(100 / 2 * math.log(1e6), rel=0.15)


def test_momentum_under_a_constant_gradient_ends_at_ten_times_the_step(lesson):
    path = lesson.descend(lesson.Momentum(0.01, momentum=0.9), np.ones_like, [0.0], 200)
    assert path[-1, 0] - path[-2, 0] == pytest.approx(-0.1, rel=1e-6)


def test_nesterov_keeps_the_look_ahead_point_of_the_textbook_form(lesson, rng):
    _, H = quadratic(rng, np.array([0.5, 3.0, 10.0]))
    theta, velocity = rng.normal(size=3), np.zeros(3)
    path = lesson.descend(lesson.Nesterov(0.03, momentum=0.7), lambda p: H @ p, theta, 20)
    for point in path[1:]:
        theta, velocity = check.nesterov_step.reference(theta, velocity, lambda p: H @ p, 0.03, 0.7)
        assert np.allclose(theta + 0.7 * velocity, point)


# ---------------------------------------------------------------------------- adaptive methods


def test_first_step_of_adam_has_the_length_of_the_learning_rate(lesson, rng):
    grad = rng.normal(size=50) * np.logspace(0, 6, 50)
    param = np.zeros(50)
    lesson.Adam(0.02).step([param], [grad])
    assert np.allclose(param, -0.02 * np.sign(grad), rtol=1e-2)


def test_bias_correction_makes_running_means_exact_for_constant_gradients(lesson):
    optimizer, param = lesson.Adam(0.1), np.zeros(2)
    for t in range(1, 30):
        optimizer.step([param], [np.array([3.0, -0.2])])
        mean, square = optimizer.state[0]
        assert np.allclose(mean / (1 - 0.9**t), [3.0, -0.2])
        assert np.allclose(square / (1 - 0.999**t), [9.0, 0.04])
        assert np.allclose(param, [-0.1 * t, 0.1 * t], rtol=1e-4)


def test_paper_form_and_keras_form_of_adam_agree_for_small_epsilon(lesson, rng):
    theta, mean, square = rng.normal(size=6), np.zeros(6), np.zeros(6)
    param, optimizer = theta.copy(), lesson.Adam(0.05, epsilon=1e-12)
    for t in range(1, 40):
        grad = rng.normal(size=6)
        optimizer.step([param], [grad])
        theta, mean, square = check.adam_step.reference(theta, grad, mean, square, t, 0.05, 0.9, 0.999, 1e-12)
    assert np.allclose(theta, param)


def test_huge_epsilon_turns_adam_into_momentum(lesson):
    # with beta_2 = 0 only the correction of the mean is left, and it fades like 0.5**t
    adam = lesson.Adam(0.02 * 1e9 / 0.5, beta_1=0.5, beta_2=0.0, epsilon=1e9)
    a = lesson.descend(adam, lambda p: p * np.array([1.0, 3.0]), (1.0, 1.0), 400)
    m = lesson.descend(lesson.Momentum(0.02, 0.5), lambda p: p * np.array([1.0, 3.0]), (1.0, 1.0), 400)
    late = slice(50, 100)
    assert np.allclose(a[1:][late] / a[:-1][late], m[1:][late] / m[:-1][late], rtol=1e-3)


def test_weight_decay_without_gradient_is_geometric_and_l2_in_adam_is_not(lesson):
    param, optimizer = np.array([2.0]), lesson.AdamW(0.01, weight_decay=0.5)
    for _ in range(20):
        optimizer.step([param], [np.zeros(1)])
    assert param[0] == pytest.approx(2.0 * (1 - 0.005) ** 20)
    coupled, optimizer = np.array([2.0]), lesson.Adam(0.01)
    for _ in range(20):
        optimizer.step([coupled], [0.5 * coupled])
    assert coupled[0] == pytest.approx(2.0 - 20 * 0.01, rel=1e-2), "every step has the length of the rate"


def test_l2_and_decay_are_the_same_for_sgd(lesson, rng):
    grad, param = rng.normal(size=4), rng.normal(size=4)
    coupled = param.copy()
    lesson.SGD(0.1).step([coupled], [grad + 0.3 * param])
    assert np.allclose(coupled, (1 - 0.03) * param - 0.1 * grad)


# ---------------------------------------------------------------------------- stacks of networks


def some_batch(rng, m=12):
    X = rng.uniform(size=(m, 9)).astype("float32")
    return X, np.eye(10, dtype="float32")[rng.integers(0, 10, m)]


def test_gradients_of_a_stack_against_finite_differences(lesson, rng):
    params = [p.astype("float64") for p in lesson.init_networks(2, (9, 5, 10), rng)]
    params[1] += 0.3 * rng.normal(size=params[1].shape)
    X, Y = some_batch(rng)
    grads = lesson.gradients(params, X, Y)
    for param, grad in zip(params, grads, strict=True):
        assert grad.shape == param.shape
        for _ in range(12):
            place = tuple(rng.integers(n) for n in param.shape)
            old = param[place]
            param[place] = old + 1e-6
            above = lesson.loss_and_accuracy(params, X, Y)[0][place[0]]
            param[place] = old - 1e-6
            below = lesson.loss_and_accuracy(params, X, Y)[0][place[0]]
            param[place] = old
            assert grad[place] == pytest.approx((above - below) / 2e-6, abs=1e-6)


def test_runs_of_a_stack_do_not_touch_each_other(lesson, rng):
    start = lesson.init_networks(3, (9, 5, 10), rng)
    X, Y = some_batch(rng, 60)
    rates = [0.01, 0.2, 1e6]  # the last run explodes
    together = lesson.copies(start, 1)
    lesson.train(lesson.Momentum(lesson.column(rates)), together, X, Y, 7, 30, np.random.default_rng(1))
    for run, rate in enumerate(rates[:2]):
        alone = [p[run : run + 1].copy() for p in start]
        lesson.train(lesson.Momentum(rate), alone, X, Y, 7, 30, np.random.default_rng(1))
        assert all(np.allclose(a[0], t[run], atol=1e-4) for a, t in zip(alone, together, strict=True))
    losses, _ = lesson.evaluate(together, X, Y)
    assert np.isfinite(losses[:2]).all() and losses[2] > losses[:2].max()


def test_an_epoch_shows_every_example_once(lesson, rng):
    from itertools import islice

    for generator in (None, rng):
        epoch = list(islice(lesson.batches(10, 4, generator), 3))
        assert [len(rows) for rows in epoch] == [4, 4, 2]
        assert sorted(np.concatenate(epoch)) == list(range(10))
    stored = np.concatenate(list(islice(lesson.batches(10, 4), 6)))
    assert np.array_equal(stored, np.tile(np.arange(10), 2))


def test_features_are_means_of_two_by_two_pixels(lesson, rng):
    images = rng.integers(0, 256, (3, 28, 28)).astype("uint8")
    features = lesson.as_features(images)
    assert features.shape == (3, 196) and features.dtype == np.float32
    assert features[1, 15] == pytest.approx(images[1, 2:4, 2:4].mean() / 255)


def test_batch_gradient_is_unbiased_with_the_stated_variance(rng):
    values = rng.normal(size=(12, 3))
    mean = values.mean(axis=0)
    S = np.mean(np.sum((values - mean) ** 2, axis=1))
    draws = np.stack([values[rng.permutation(12)[:5]].mean(axis=0) for _ in range(20_000)])
    assert np.allclose(draws.mean(axis=0), mean, atol=0.02)
    measured = np.mean(np.sum((draws - mean) ** 2, axis=1))
    assert measured == pytest.approx(S / 5 * (12 - 5) / (12 - 1), rel=0.05)


# ---------------------------------------------------------------------------- break it


@pytest.mark.parametrize("rate", [0.05, 0.5])
def test_noise_floor(lesson, rng, rate):
    losses = lesson.noisy_descent(lambda t: rate, 600, 400, rng)
    assert losses[300:].mean() == pytest.approx(0.5 * rate / (2 - rate), rel=0.05)


def test_saddle_gradient_and_the_ridge(lesson, rng):
    for point in rng.normal(size=(5, 2)):
        step = 1e-6
        numeric = [
            (lesson.saddle_surface(*(point + step * axis)) - lesson.saddle_surface(*(point - step * axis)))
            / (2 * step)
            for axis in np.eye(2)
        ]
        assert np.allclose(lesson.saddle_gradient(point), numeric, atol=1e-6)
    path = lesson.descend(lesson.SGD(0.1), lesson.saddle_gradient, (0.0, 1.0), 500)
    assert np.allclose(path[-1], 0, atol=1e-9) and not path[:, 0].any()


def test_excess_loss_is_zero_at_the_solution_and_diverges_beyond_the_limit(lesson, rng):
    features = rng.normal(size=(80, 2))
    target = features @ [1.0, -2.0] + 0.5
    H, best = lesson.least_squares(features, target)
    assert np.allclose(best, [1.0, -2.0, 0.5])
    limit = check.largest_stable_rate.reference(H)
    calm = lesson.excess_loss(features, target, lesson.SGD(0.98 * limit), 1000)
    wild = lesson.excess_loss(features, target, lesson.SGD(1.02 * limit), 1000)
    assert calm[-1] < 1e-6 < calm[0] < wild[-1]
    assert check.rate_from_products.reference(lambda v: H @ v, 3) == pytest.approx(limit, rel=0.01)


def test_adamw_decays_alike_and_the_penalty_does_not(lesson, rng):
    alike = lesson.decay_path(lesson.AdamW(0.01, weight_decay=0.1), 0.0, 300, rng)[-1]
    penalty = lesson.decay_path(lesson.Adam(0.01), 0.1, 300, rng)[-1]
    assert np.abs(alike - 0.999**300).max() < 0.07
    assert penalty[0] < 0.2 < penalty[1] < 0.9 < penalty[2]


def test_worked_values_of_the_exercises():
    assert check.largest_stable_rate.reference(np.diag([1.0, 4.0])) == pytest.approx(0.5)
    theta, velocity = check.nesterov_step.reference(np.array([1.0]), np.array([-0.5]), lambda p: p, 0.1, 0.9)
    assert theta[0] == pytest.approx(0.495) and velocity[0] == pytest.approx(-0.505)
    first = check.adam_step.reference(
        np.array([1.0]), np.array([0.2]), np.zeros(1), np.zeros(1), 1, 0.1, 0.9, 0.999, 1e-8
    )
    assert first[0][0] == pytest.approx(0.9)
    rate = check.rate_from_products.reference(lambda v: np.array([3.0, 1.0]) * v, 2)
    assert rate == pytest.approx(2 / 3, rel=1e-3)
