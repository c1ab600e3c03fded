"""The functions that lesson 06 builds, against analytic values, Keras and what the text claims."""

from __future__ import annotations

import numpy as np
import pytest

from course_utils.checks import derivatives_and_chain_rule as check
from tests.lessons.code import lesson_code


@pytest.fixture(scope="module")
def lesson():
    return lesson_code("06_derivatives_and_chain_rule")


@pytest.fixture
def rng():
    return np.random.default_rng(0)


# ---------------------------------------------------------------------------- differences


def test_differences_have_the_errors_that_the_text_derives(lesson):
    x, f = 0.4, np.exp
    for h in (1e-2, 1e-3):
        assert lesson.forward_difference(f, x, h) - f(x) == pytest.approx(h / 2 * f(x), rel=0.02)
        assert lesson.backward_difference(f, x, h) - f(x) == pytest.approx(-h / 2 * f(x), rel=0.02)
        assert lesson.central_difference(f, x, h) - f(x) == pytest.approx(h**2 / 6 * f(x), rel=0.02)


def test_a_parabola_has_no_truncation_error_in_the_middle(lesson):
    assert lesson.central_difference(lambda x: 3 * x**2 - x, 2.0, 0.5) == pytest.approx(11, rel=1e-12)


def test_the_error_is_a_v_with_its_tip_where_the_text_says(lesson):
    steps = np.logspace(-15, 0, 121)
    tips = {}
    for name, difference, dtype in [
        ("forward", lesson.forward_difference, np.float64),
        ("central", lesson.central_difference, np.float64),
        ("float32", lesson.central_difference, np.float32),
    ]:
        errors = lesson.difference_errors(difference, steps, dtype)
        tips[name] = steps[errors.argmin()], np.sort(errors)[:5].max()
        assert errors[0] > 10 * tips[name][1] and errors[-1] > 10 * tips[name][1]
    assert 1e-9 < tips["forward"][0] < 3e-7
    assert 1e-6 < tips["central"][0] < 3e-4
    assert 1e-4 < tips["float32"][0] < 1e-1
    assert tips["central"][1] < 1e-9 < tips["forward"][1] < 1e-7 < tips["float32"][1] < 1e-4


@pytest.mark.parametrize("shape", [(), (1,), (5,), (3, 4), (2, 3, 2)], ids=str)
def test_numerical_gradient_of_any_shape_leaves_its_input(lesson, rng, shape):
    array = rng.normal(size=shape)
    kept = array.copy()
    weights = rng.normal(size=shape)
    gradient = lesson.numerical_gradient(lambda a: np.sum(weights * a**3), array)
    assert np.shape(gradient) == shape
    assert np.allclose(gradient, 3 * weights * array**2, atol=1e-8)
    assert np.array_equal(array, kept)


def test_numerical_gradient_takes_integers(lesson):
    assert np.allclose(lesson.numerical_gradient(lambda a: np.sum(a**2), np.array([1, 2, 3])), [2, 4, 6])


def test_numerical_jacobian_has_outputs_first(lesson, rng):
    W = rng.normal(size=(5, 3))
    x = rng.normal(size=5)
    assert np.allclose(lesson.numerical_jacobian(lambda x: x @ W, x), W.T, atol=1e-9)
    jacobian = lesson.numerical_jacobian(lambda x: np.tanh(x @ W), x)
    assert np.allclose(jacobian, np.diag(1 - np.tanh(x @ W) ** 2) @ W.T, atol=1e-9)


def test_softmax_jacobian_is_what_the_text_derives(lesson, rng):
    z = rng.normal(size=4)
    p = lesson.softmax(z[None])[0]
    jacobian = lesson.numerical_jacobian(lambda z: lesson.softmax(z[None])[0], z)
    assert np.allclose(jacobian, np.diag(p) - np.outer(p, p), atol=1e-9)
    g = rng.normal(size=4)
    ours = check.softmax_pullback.reference(p[None], g[None])[0]
    assert np.allclose(g @ jacobian, ours, atol=1e-9)
    y = np.eye(4)[2]
    assert np.allclose((-y / p) @ jacobian, p - y, atol=1e-9)


# ---------------------------------------------------------------------------- rules, kinks, paths


def test_magnified_curves(lesson):
    smooth = [lesson.bend_in_window(lesson.smooth, 0.4, w) for w in (0.2, 0.02, 0.002)]
    kinked = [lesson.bend_in_window(lesson.kinked, 0.4, w) for w in (0.2, 0.02, 0.002)]
    assert smooth[0] / smooth[1] == pytest.approx(10, rel=0.1)
    assert smooth[1] / smooth[2] == pytest.approx(10, rel=0.1)
    assert min(kinked) > 0.5


def test_sigmoid_is_its_formula_and_the_slope_of_softplus(lesson):
    z = np.linspace(-30, 30, 121)
    assert np.allclose(lesson.sigmoid(z), 1 / (1 + np.exp(-z)))
    assert np.allclose(lesson.central_difference(lesson.softplus, z, 1e-5), lesson.sigmoid(z), atol=1e-9)
    with np.errstate(all="raise"):
        assert lesson.sigmoid(np.array([-1e9, 1e9])).tolist() == [0, 1]


def test_gradient_of_the_valley(lesson, rng):
    for place in rng.normal(size=(10, 2)):
        measured = lesson.numerical_gradient(lambda p: lesson.valley(*p), place)
        assert np.allclose(lesson.valley_gradient(*place), measured, atol=1e-7)
    assert np.allclose(lesson.valley_gradient(1, 0.3), 0)


def test_steepest_direction_is_the_gradient(lesson, rng):
    place = np.array([-1.2, 1.5])
    gradient = lesson.valley_gradient(*place)
    directions = rng.normal(size=(500, 2))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    assert (directions @ gradient <= np.linalg.norm(gradient) + 1e-12).all()


def test_shared_weight_reference_is_the_total_derivative(lesson, rng):
    for w, x, t in rng.normal(size=(10, 3)):

        def loss(w, x=x, t=t):
            return 0.5 * (np.tanh(w * np.tanh(w * x)) - t) ** 2

        measured = lesson.central_difference(loss, w, 1e-5)
        assert check.shared_weight_slope.reference(w, x, t) == pytest.approx(measured, abs=1e-8)
    assert check.shared_weight_slope.reference(1, 1, 0) == pytest.approx(0.446, abs=5e-4)


def test_slope_reference_and_its_worked_value(lesson):
    x = np.linspace(-2, 2, 9)
    measured = lesson.central_difference(lambda x: x * np.exp(-(x**2)), x, 1e-5)
    assert np.allclose(check.slope.reference(x), measured, atol=1e-9)
    assert check.slope.reference(1.0) == pytest.approx(-np.exp(-1))


# ---------------------------------------------------------------------------- the cost of an order


def test_products_are_counted(lesson):
    costs, between = lesson.products([(1, 10), (10, 64), (64, 128), (128, 784)])
    assert costs == [640, 8192, 100_352]
    assert between == [(1, 10), (1, 64), (1, 128), (1, 784)]
    costs, between = lesson.products([(784, 128), (128, 64), (64, 10), (10, 1)])
    assert costs == [784 * 128 * 64, 784 * 64 * 10, 7840]
    assert between[-1] == (784, 1)


# ---------------------------------------------------------------------------- gradients and checks


def test_logistic_gradients(lesson, rng):
    X, y = rng.normal(size=(20, 5)), rng.integers(0, 2, 20)
    params = {"w": rng.normal(size=5), "b": np.array(-0.4)}

    def loss(params):
        return lesson.logistic_loss(params, X, y, 0.3)

    errors = lesson.gradient_check(loss, params, lesson.logistic_gradients(params, X, y, 0.3))
    assert max(errors.values()) < 1e-8
    for wrong in (lesson.one_slope_too_many, lesson.penalty_twice, lesson.bias_path_lost):
        errors = lesson.gradient_check(loss, params, wrong(params, X, y, 0.3))
        assert max(errors.values()) > 1e-3, wrong.__name__


def test_one_slope_too_many_is_the_gradient_of_a_squared_error(lesson, rng):
    X, y = rng.normal(size=(20, 5)), rng.integers(0, 2, 20)
    w, b = rng.normal(size=5), np.array(0.2)
    measured = lesson.numerical_gradient(lambda w: np.mean((lesson.sigmoid(X @ w + b) - y) ** 2) / 2, w)
    assert np.allclose(lesson.one_slope_too_many({"w": w, "b": b}, X, y, 0.0)["w"], measured, atol=1e-9)


def test_softmax_loss_and_gradients_are_those_of_keras(lesson, rng):
    tf = pytest.importorskip("tensorflow")
    import keras

    X, y = rng.normal(size=(12, 5)), rng.integers(0, 3, 12)
    params = {"W": rng.normal(size=(5, 3)), "b": rng.normal(size=3)}
    W, b = tf.Variable(params["W"]), tf.Variable(params["b"])
    with tf.GradientTape() as tape:
        logits = keras.ops.matmul(X, W) + b
        losses = keras.losses.sparse_categorical_crossentropy(y, logits, from_logits=True)
        loss = keras.ops.mean(losses)
    assert float(loss) == pytest.approx(lesson.softmax_loss(params, X, y), rel=1e-10)
    gradients = lesson.softmax_gradients(params, X, y)
    for name, from_tape in zip("Wb", tape.gradient(loss, [W, b]), strict=True):
        assert np.allclose(gradients[name], from_tape, atol=1e-12)


def test_relative_error(lesson):
    a = np.array([3.0, 4.0])
    assert lesson.relative_error(a, a) == 0
    assert lesson.relative_error(a, -a) == 1
    assert lesson.relative_error(a, 1.002 * a) == pytest.approx(0.001, rel=0.01)
    assert lesson.relative_error(np.zeros(3), np.zeros(3)) == 0
    assert lesson.relative_error(1e-9 * a, 1.002e-9 * a) == pytest.approx(0.001, rel=0.01)


def test_gradient_check_refuses_a_wrong_shape(lesson):
    with pytest.raises(AssertionError, match="wrong shape"):
        lesson.gradient_check(lambda p: np.sum(p["w"] ** 2), {"w": np.ones(3)}, {"w": np.ones((3, 1))})


def test_direction_check_estimates_the_relative_error(lesson, rng):
    target = rng.normal(size=(30, 20))

    def loss(params):
        return np.sum((params["W"] - target) ** 2) / 2

    params = {"W": rng.normal(size=(30, 20))}
    right = {"W": params["W"] - target}
    assert max(lesson.direction_check(loss, params, right, rng) for _ in range(20)) < 1e-7
    off = {"W": right["W"] + 0.01 * np.linalg.norm(right["W"]) * np.eye(30, 20) / np.sqrt(20)}
    estimates = [lesson.direction_check(loss, params, off, rng) for _ in range(400)]
    assert np.sqrt(np.mean(np.square(estimates))) == pytest.approx(0.01, rel=0.15)


def test_unit_gradient_and_the_blind_spot_at_zero(lesson, rng):
    X, y, w = rng.normal(size=(15, 4)), rng.normal(size=15), rng.normal(size=4)
    right = lesson.unit_gradient(w, X, y, np.tanh, lesson.tanh_slope)
    measured = lesson.numerical_gradient(lambda w: lesson.unit_loss(w, X, y, np.tanh), w)
    assert lesson.relative_error(right, measured) < 1e-8
    for place, seen in ((np.zeros(4), False), (w, True)):
        claimed = lesson.unit_gradient(place, X, y, np.tanh, np.ones_like)
        measured = lesson.numerical_gradient(lambda v: lesson.unit_loss(v, X, y, np.tanh), place)
        assert (lesson.relative_error(claimed, measured) > 1e-3) is seen


def test_a_step_over_the_kink_is_seen(lesson, rng):
    X, y, w = rng.normal(size=(10, 3)), rng.normal(size=10), rng.normal(size=3)
    w = w - (X[0] @ w - 1e-4) * X[0] / (X[0] @ X[0])
    near, over = (lesson.error_of_step(w, X, y, lesson.relu, lesson.relu_slope, h) for h in (1e-6, 1e-2))
    assert near < 1e-7 < 1e-4 < over


def test_descent_reaches_the_minimum_that_scikit_learn_finds(lesson, rng):
    from sklearn.linear_model import LogisticRegression

    X = rng.normal(size=(80, 3))
    y = (X @ [1.0, -2.0, 0.5] + rng.normal(size=80) > 0.3).astype(int)
    params, losses = lesson.descend(lesson.logistic_gradients, X, y, 0.05, steps=2000)
    assert (np.diff(losses) <= 1e-12).all() and len(losses) == 2001
    fit = LogisticRegression(C=1 / (0.05 * 80), tol=1e-10, max_iter=1000).fit(X, y)
    assert np.allclose(params["w"], fit.coef_[0], atol=1e-3)
    assert float(params["b"]) == pytest.approx(fit.intercept_[0], abs=1e-3)


def test_fresh_masks_differ_and_a_seed_holds_them(lesson, rng):
    X, y, w = rng.normal(size=(20, 4)), rng.normal(size=20), rng.normal(size=4)
    assert lesson.noisy_loss(w, X, y, rng) != lesson.noisy_loss(w, X, y, rng)
    held = [lesson.noisy_loss(w, X, y, np.random.default_rng(1)) for _ in range(2)]
    assert held[0] == held[1]
