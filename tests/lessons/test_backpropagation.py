"""The backward pass of lesson 07 against Keras, finite differences, and what the text claims."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from course_utils.checks import backpropagation as check
from tests.lessons.code import lesson_code


@pytest.fixture(scope="module")
def lesson():
    return lesson_code("07_backpropagation")


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def flat(pairs):
    return [array for pair in pairs for array in pair]


def central(loss, array, step=1e-6):
    """Finite differences of ``loss()`` with respect to an array that it reads."""
    grad = np.zeros_like(array)
    for place in np.ndindex(array.shape):
        kept = array[place]
        array[place] = kept + step
        up = loss()
        array[place] = kept - step
        down = loss()
        array[place] = kept
        grad[place] = (up - down) / (2 * step)
    return grad


# ---------------------------------------------------------------------------- the backward pass


@pytest.mark.parametrize("sizes", [(6, 3), (6, 5, 3), (4, 7, 5, 6, 3)], ids=str)
@pytest.mark.parametrize("activation", ["relu", "tanh", "sigmoid"])
def test_backward_equals_differences(lesson, rng, sizes, activation):
    function = {"tanh": np.tanh}.get(activation) or getattr(lesson, activation)
    X, labels, params = lesson.small_problem(sizes, 9, rng)
    logits, cache = lesson.forward(X, params, function)
    grads = lesson.backward(logits, labels, params, cache, getattr(lesson, f"{activation}_slope"))
    for array, grad in zip(flat(params), flat(grads), strict=True):
        numeric = central(lambda: lesson.cross_entropy(lesson.forward(X, params, function)[0], labels), array)
        assert grad.shape == array.shape
        assert lesson.relative_error(grad, numeric) < 1e-6


def test_numeric_gradients_are_central_differences_and_leave_the_parameters_alone(lesson, rng):
    _, _, params = lesson.small_problem((4, 3), 5, rng)
    kept = [array.copy() for array in flat(params)]
    numeric = lesson.numeric_gradients(lambda p: np.sum(p[0][0] ** 3) + 2 * np.sum(p[0][1]), params)
    assert np.allclose(numeric[0][0], 3 * params[0][0] ** 2, atol=1e-8)
    assert np.allclose(numeric[0][1], 2)
    assert all(np.array_equal(a, b) for a, b in zip(flat(params), kept, strict=True))


def test_five_lines_loops_and_general_loop_agree(lesson, rng):
    X, labels, params = lesson.small_problem((6, 5, 3), 8, rng)
    logits, cache = lesson.two_layer_forward(X, params)
    five = lesson.two_layer_backward(logits, labels, params, cache)
    loops = lesson.backward_by_loops(logits, labels, params, cache)
    general = lesson.backward(logits, labels, params, lesson.forward(X, params)[1])
    for a, b, c in zip(flat(five), flat(loops), flat(general), strict=True):
        assert np.allclose(a, b, rtol=0, atol=1e-12) and np.allclose(a, c, rtol=0, atol=1e-14)


@pytest.mark.parametrize("sizes", [(12, 5), (12, 8, 5), (12, 8, 6, 5)], ids=str)
def test_backward_and_step_equal_keras(lesson, rng, sizes):
    import keras
    import tensorflow as tf

    params = [(W, rng.normal(0, 0.5, b.shape).astype("float32")) for W, b in lesson.init_params(sizes, rng)]
    layers = [keras.layers.Dense(units, activation="relu") for units in sizes[1:-1]]
    model = keras.Sequential([keras.Input((sizes[0],)), *layers, keras.layers.Dense(sizes[-1])])
    model.set_weights(flat(params))
    X, labels = rng.normal(size=(20, sizes[0])).astype("float32"), rng.integers(0, sizes[-1], 20)
    loss_function = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    with keras.device("cpu"):
        with tf.GradientTape() as tape:
            loss = loss_function(labels, model(X))
        theirs = tape.gradient(loss, model.trainable_variables)
    logits, cache = lesson.forward(X, params)
    ours = lesson.backward(logits, labels, params, cache)
    assert np.isclose(float(loss), lesson.cross_entropy(logits, labels), rtol=1e-5)
    for a, b in zip(flat(ours), theirs, strict=True):
        assert lesson.relative_error(a, np.asarray(b)) < 1e-5
    keras.optimizers.SGD(learning_rate=0.3).apply(theirs, model.trainable_variables)
    for a, b in zip(flat(lesson.updated(params, ours, 0.3)), model.get_weights(), strict=True):
        assert np.allclose(a, b, atol=1e-6)


def test_thirty_two_bit_numbers_stay_so(lesson, rng):
    params = lesson.init_params((7, 5, 3), rng)
    X, labels = rng.normal(size=(6, 7)).astype("float32"), rng.integers(0, 3, 6)
    logits, cache = lesson.forward(X, params)
    grads = lesson.backward(logits, labels, params, cache)
    stepped = lesson.updated(params, grads, 0.1)
    assert {array.dtype for array in [logits, *flat(grads), *flat(stepped)]} == {np.dtype("float32")}


def test_logits_gradient(lesson, rng):
    logits, labels = rng.normal(size=(6, 4)), rng.integers(0, 4, 6)
    grad = lesson.logits_gradient(logits, labels)
    assert np.allclose(grad, central(lambda: lesson.cross_entropy(logits, labels), logits))
    assert np.allclose(grad.sum(axis=1), 0)
    assert (grad[np.arange(6), labels] < 0).all()


def test_cross_entropy_is_stable(lesson):
    logits = np.array([[1000.0, 0.0], [0.0, 1000.0]])
    assert lesson.cross_entropy(logits, np.array([0, 0])) == pytest.approx(500)


def test_gradient_is_a_sum_of_one_vote_per_example(lesson, rng):
    X, labels, params = lesson.small_problem((6, 5, 3), 8, rng)
    grads = lesson.backward(*_pass(lesson, X, labels, params))
    total = np.zeros_like(grads[0][0])
    for i in range(8):
        one = lesson.backward(*_pass(lesson, X[i : i + 1], labels[i : i + 1], params))
        total += one[0][0] / 8
        assert np.linalg.matrix_rank(one[0][0]) <= 1
    assert np.allclose(total, grads[0][0])


def _pass(lesson, X, labels, params):
    logits, cache = lesson.forward(X, params)
    return logits, labels, params, cache


def test_training_lowers_both_losses(lesson, rng, capsys):
    centres = rng.normal(size=(3, 5))
    labels = rng.integers(0, 3, 300)
    X = (centres[labels] + 0.5 * rng.normal(size=(300, 5))).astype("float32")
    params = lesson.init_params((5, 16, 3), rng)
    before = lesson.evaluate(params, X[200:], labels[200:])
    train_set, valid_set = (X[:200], labels[:200]), (X[200:], labels[200:])
    trained, history = lesson.train(params, train_set, valid_set, 10, 20, 0.2, rng)
    after = lesson.evaluate(trained, X[200:], labels[200:])
    assert after[0] < 0.6 * before[0] and after[1] > 0.8
    assert len(history["norms"]) == 100 and len(history["loss"]) == len(history["val_loss"]) == 10


# ---------------------------------------------------------------------------- cost


def test_multiplications_are_counted_as_the_text_says(lesson):
    assert lesson.counted_ratio((784, 10)) == 1
    assert lesson.counted_ratio((784, 128, 10)) == pytest.approx(1 + 1280 / 101_632)
    assert lesson.counted_ratio((64,) * 200) == pytest.approx(2, abs=0.01)
    assert sum((n + 1) * k for n, k in pairwise((784, 128, 64, 10))) == 109_386


# ---------------------------------------------------------------------------- planted mistakes


@pytest.fixture
def faults(lesson):
    """Relative error of the step actually made, per array (nan where the shape is wrong), by mistake."""
    rng = np.random.default_rng(3)
    X, labels, params = lesson.small_problem((6, 5, 5, 4), 8, rng)
    numeric = lesson.numeric_gradients(
        lambda p: lesson.cross_entropy(lesson.forward(X, p, np.tanh)[0], labels), params
    )

    def errors(bug, learning_rate=0.1):
        stepped, _ = lesson.faulty_step(X, labels, params, learning_rate, bug)
        return [
            lesson.relative_error((old - new) / learning_rate, grad) if old.shape == new.shape else np.nan
            for old, new, grad in zip(flat(params), flat(stepped), flat(numeric), strict=True)
        ]

    return errors


@pytest.mark.parametrize(
    ("bug", "wrong"),
    [
        (None, []),
        ("1/m missing", [0, 1, 2, 3, 4, 5]),
        ("gradient transposed", [2]),
        ("bias not summed", [1, 3, 5]),
        ("slope forgotten", [0, 1, 2, 3]),
        ("slope at A", [0, 1, 2, 3]),
        ("updated too early", [0, 1, 2, 3]),
    ],
)
def test_each_mistake_shows_in_the_arrays_that_the_table_names(lesson, faults, bug, wrong):
    assert bug is None or bug in lesson.BUGS
    assert [i for i, error in enumerate(faults(bug)) if not error < 1e-6] == wrong


def test_early_update_errs_in_proportion_to_the_learning_rate(faults):
    coarse, fine = faults("updated too early", 1e-2)[0], faults("updated too early", 1e-3)[0]
    assert coarse / fine == pytest.approx(10, rel=0.1)


def test_repeating_the_batch_doubles_the_step_without_1_over_m_only(lesson, rng):
    X, labels, params = lesson.small_problem((6, 5, 5, 4), 8, rng)

    def step(bug, times):
        stepped, _ = lesson.faulty_step(np.tile(X, (times, 1)), np.tile(labels, times), params, 0.1, bug)
        return params[0][0] - stepped[0][0]

    assert np.allclose(step(None, 2), step(None, 1))
    assert np.allclose(step("1/m missing", 2), 2 * step("1/m missing", 1))


def test_relu_hides_a_slope_taken_at_the_activation(lesson, rng):
    z = rng.normal(size=500)
    assert np.array_equal(lesson.relu_slope(lesson.relu(z)), lesson.relu_slope(z))
    assert not np.allclose(lesson.tanh_slope(np.tanh(z)), lesson.tanh_slope(z))


def test_an_unsummed_bias_is_refused_in_place(lesson):
    b = np.zeros(3)
    with pytest.raises(ValueError, match="broadcast"):
        b -= 0.1 * np.ones((8, 3))


def test_zero_weights_move_only_the_last_bias(lesson, rng):
    params = [(np.zeros((4, 3)), np.zeros(3)), (np.zeros((3, 2)), np.zeros(2))]
    X, labels = rng.normal(size=(7, 4)), np.array([0, 0, 0, 0, 0, 1, 1])
    grads = lesson.backward(*_pass(lesson, X, labels, params))
    assert [bool(array.any()) for array in flat(grads)] == [False, False, False, True]


def test_sigmoid_slope_is_at_most_a_quarter(lesson):
    slopes = lesson.sigmoid_slope(np.linspace(-10, 10, 2001))
    assert slopes.max() == pytest.approx(0.25) and slopes.min() > 0


# ---------------------------------------------------------------------------- reference solutions


def test_repaired_reference_equals_differences(rng):
    X, y = rng.normal(size=(7, 4)), rng.normal(size=(7, 1))
    params = tuple(rng.normal(size=shape) for shape in [(4, 5), (5,), (5, 1), (1,)])

    def loss():
        W1, b1, W2, b2 = params
        return np.mean((np.tanh(X @ W1 + b1) @ W2 + b2 - y) ** 2)

    for grad, array in zip(check.repaired_backward.reference(X, y, params), params, strict=True):
        assert np.allclose(grad, central(loss, array), atol=1e-6)


def test_shared_reference_equals_differences(rng):
    X, W, b, grad_Y = (rng.normal(size=shape) for shape in [(6, 4), (4, 3), (3,), (6, 4)])

    def loss():
        return np.sum(grad_Y * (X + np.tanh(X @ W + b) @ W.T))

    grads = check.shared_backward.reference(grad_Y, X, W, b)
    for grad, array in zip(grads, (X, W, b), strict=True):
        assert np.allclose(grad, central(loss, array), atol=1e-6)


def test_worked_values_of_the_exercises():
    assert np.allclose(check.sigmoid_backward.reference(np.array([[2.0]]), np.array([[0.5]])), 0.5)
    grad_X, grad_W, grad_b = check.dense_backward.reference(
        np.array([[1.0, 2.0]]), np.array([[3.0]]), np.array([[4.0, 5.0]])
    )
    assert grad_X.tolist() == [[14.0]] and grad_W.tolist() == [[3.0, 6.0]] and grad_b.tolist() == [1.0, 2.0]
    zeros = (np.zeros((1, 2)), np.zeros(2), np.zeros((2, 1)), np.zeros(1))
    grads = check.repaired_backward.reference(np.array([[1.0]]), np.array([[3.0]]), zeros)
    assert grads[3].tolist() == [-6.0] and not any(grad.any() for grad in grads[:3])
    grad_Y = np.ones((2, 3))
    shared = check.shared_backward.reference(grad_Y, np.ones((2, 3)), np.zeros((3, 2)), np.zeros(2))
    assert np.array_equal(shared[0], grad_Y)
