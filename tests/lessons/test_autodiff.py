"""The engine that lesson 08 builds, against GradientTape, finite differences and analytic values."""

from __future__ import annotations

import gc
import math
import weakref
from itertools import pairwise

import numpy as np
import pytest

from course_utils.checks import autodiff as check
from tests.lessons.code import lesson_code


@pytest.fixture(scope="module")
def lesson():
    return lesson_code("08_autodiff")


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def numeric_gradient(f, arrays, step=1e-6):
    """Central differences of f(*arrays), a number, with respect to every entry."""
    gradients = []
    for k, array in enumerate(arrays):
        gradient = np.zeros(array.shape)
        for place in np.ndindex(array.shape):
            ends = []
            for shift in (step, -step):
                moved = [a.copy() for a in arrays]
                moved[k][place] += shift
                ends.append(f(*moved))
            gradient[place] = (ends[0] - ends[1]) / (2 * step)
        gradients.append(gradient)
    return gradients


# ---------------------------------------------------------------------------- numbers


def test_the_unit_of_the_lesson(lesson):
    w, x, b = lesson.Value(0.7), lesson.Value(1.2), lesson.Value(-0.3)
    lesson.backpropagate((w * x + b).tanh() * w)
    t = math.tanh(0.7 * 1.2 - 0.3)
    assert w.grad == pytest.approx(t + 0.7 * (1 - t**2) * 1.2)
    assert x.grad == pytest.approx(0.7 * (1 - t**2) * 0.7)
    assert b.grad == pytest.approx(0.7 * (1 - t**2))


def test_values_used_several_times_add_their_gradients(lesson):
    x = lesson.Value(3.0)
    lesson.backpropagate(x * x + x)
    assert x.grad == 7.0


def test_plain_numbers_on_either_side(lesson):
    x = lesson.Value(2.0)
    y = 3.0 * x + 1.0 + (1.0 + x * 5) - 4.0 + x**3
    lesson.backpropagate(y)
    assert (y.data, x.grad) == (3 * 2 + 1 + 1 + 10 - 4 + 8, 3 + 5 + 12)


def test_a_second_walk_over_the_same_graph_adds_the_same_again(lesson):
    x = lesson.Value(3.0)
    y = (x * x).tanh() * x
    lesson.backpropagate(y)
    once = x.grad
    lesson.backpropagate(y)
    assert x.grad == pytest.approx(2 * once)
    t = lesson.Tensor(3.0)
    z = lesson.tanh(t * t) * t
    lesson.backward(z)
    lesson.backward(z)
    assert float(t.grad) == pytest.approx(2 * once)


def test_order_puts_parents_first_and_nothing_twice(lesson, rng):
    nodes = [lesson.Value(float(i)) for i in range(4)]
    for _ in range(60):
        a, b = rng.integers(len(nodes), size=2)
        nodes.append(nodes[a] + nodes[b] * 0.1)
    order = lesson.topological_order(sum(nodes, start=lesson.Value(0.0)))
    place = {node: i for i, node in enumerate(order)}
    assert len(place) == len(order)
    assert all(place[parent] < place[node] for node in order for parent in node.parents)


def test_long_chains_and_many_paths(lesson):
    first, last = lesson.long_chain(100_000)
    lesson.backpropagate(last)
    assert first.grad == 1.0
    first, last = lesson.doubled(50)
    lesson.backpropagate(last)
    assert first.grad == 2.0**50


@pytest.mark.parametrize("depth", [1, 2, 5, 10])
def test_path_by_path_is_right_and_takes_the_stated_number_of_steps(lesson, depth):
    first, last = lesson.doubled(depth)
    assert lesson.follow_paths(last) == 2 ** (depth + 1) - 2
    assert first.grad == 2.0**depth


@pytest.mark.parametrize(("n", "q"), [(1, 1), (5, 1), (1, 6), (4, 3)])
def test_both_modes_give_the_jacobian_and_their_costs_are_passes_times_arrows(lesson, rng, n, q):
    weights = [rng.normal(0, 0.5, shape) for shape in ((n, 8), (8, q))]
    start = rng.normal(size=n)

    def run(x):
        return np.tanh(np.tanh(x @ weights[0]) @ weights[1])

    numeric = np.stack([(run(start + e) - run(start - e)) / 2e-6 for e in 1e-6 * np.eye(n)], axis=1)
    inputs = [lesson.Value(v) for v in start]
    outputs = lesson.tiny_network(inputs, weights)
    forward, forward_cost = lesson.jacobian(inputs, outputs, "forward")
    reverse, reverse_cost = lesson.jacobian(inputs, outputs, "reverse")
    assert np.allclose(forward, numeric, atol=1e-8) and np.allclose(reverse, forward, rtol=1e-12)
    assert forward_cost * q == reverse_cost * n


def test_symbolic_derivative_is_right_and_grows(lesson):
    def value(formula, x):
        if isinstance(formula, tuple):
            left, right = value(formula[1], x), value(formula[2], x)
            return left + right if formula[0] == "+" else left * right
        return x if formula == "x" else formula

    formula, sizes = "x", []
    for _ in range(6):
        formula = ("*", ("*", 4, formula), ("+", 1, ("*", -1, formula)))
        sizes.append(lesson.symbols(lesson.derivative(formula)))
    x = lesson.Value(0.3)
    y = x
    for _ in range(6):
        y = (4 * y) * (1 + -1 * y)
    lesson.backpropagate(y)
    assert value(lesson.derivative(formula), 0.3) == pytest.approx(x.grad)
    assert all(later > 2 * earlier for earlier, later in pairwise(sizes))


# ---------------------------------------------------------------------------- arrays


@pytest.mark.parametrize("shape", [(), (4,), (1,), (3, 1), (1, 4), (1, 1), (2, 3, 4), (2, 1, 1), (1, 3, 4)])
def test_unbroadcast_is_the_transpose_of_broadcasting(lesson, rng, shape):
    gradient, operand = rng.normal(size=(2, 3, 4)), rng.normal(size=shape)
    summed = lesson.unbroadcast(gradient, shape)
    assert summed.shape == shape
    # <g, broadcast(a)> = <unbroadcast(g), a> for every a
    assert np.sum(gradient * np.broadcast_to(operand, gradient.shape)) == pytest.approx(
        np.sum(summed * operand)
    )


OPERATIONS = {
    "add": (lambda o, a, b: a + b, [(3, 4), (4,)]),
    "add a scalar": (lambda o, a, b: a + b, [(), (3, 4)]),
    "subtract": (lambda o, a, b: a - b, [(3, 1), (2, 3, 4)]),
    "multiply": (lambda o, a, b: a * b, [(3, 1), (1, 4)]),
    "multiply by itself": (lambda o, a: a * a, [(3, 4)]),
    "divide": (lambda o, a, b: a / (b * b + 1.0), [(4,), (3, 4)]),
    "matmul": (lambda o, a, b: a @ b, [(3, 4), (4, 2)]),
    "matmul of a stack": (lambda o, a, b: a @ b, [(5, 3, 4), (4, 2)]),
    "matmul of two stacks": (lambda o, a, b: a @ b, [(5, 1, 3, 4), (2, 4, 2)]),
    "power": (lambda o, a: (a * a + 1.0) ** -1.5, [(3,)]),
    "exp": (lambda o, a: o.exp(a), [(2, 3)]),
    "log": (lambda o, a: o.log(a * a + 1.0), [(2, 3)]),
    "tanh": (lambda o, a: o.tanh(a), [(2, 3)]),
    "relu": (lambda o, a: o.relu(a), [(4, 5)]),
    "reshape": (lambda o, a, b: o.reshape(a, (4, 3)) * b, [(3, 4), (4, 3)]),
    "transpose": (lambda o, a, b: o.transpose(a) * b, [(2, 3, 4), (4, 3)]),
    "sum of all": (lambda o, a: o.reduce_sum(a) * o.reduce_sum(a * a), [(3, 4)]),
    "sum, axis 0": (lambda o, a, b: o.reduce_sum(a, axis=0) * b, [(3, 4), (4,)]),
    "sum, axis -1, kept": (lambda o, a, b: o.reduce_sum(a, axis=-1, keepdims=True) * b, [(3, 4), (3, 4)]),
    "sum, two axes": (lambda o, a, b: o.reduce_sum(a, axis=(0, 2)) * b, [(2, 3, 4), (3,)]),
    "mean, axis 1": (lambda o, a, b: o.reduce_mean(a, axis=1) * b, [(3, 4), (3,)]),
    "mean of all": (lambda o, a: o.reduce_mean(a * a), [(3, 4)]),
    "array on the left": (lambda o, a: np.arange(6.0).reshape(2, 3) @ a, [(3, 2)]),
    "array added on the left": (lambda o, a: np.arange(3.0) + a * 2.0, [(2, 3)]),
    "cross-entropy": (lambda o, a: o.cross_entropy(a, np.array([2, 0, 1, 2])), [(4, 3)]),
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_operation_against_central_differences(lesson, rng, name):
    operation, shapes = OPERATIONS[name]
    arrays = [np.array(rng.normal(size=shape)) for shape in shapes]
    weights = None

    def run(*operands):
        nonlocal weights
        result = operation(lesson, *operands)
        if weights is None:
            weights = rng.normal(size=result.shape)
        return lesson.reduce_sum(result * weights)

    leaves = [lesson.Tensor(array) for array in arrays]
    lesson.backward(run(*leaves))
    numeric = numeric_gradient(lambda *a: float(lesson.array(run(*map(lesson.Tensor, a)))), arrays)
    for leaf, gradient in zip(leaves, numeric, strict=True):
        assert np.shape(leaf.grad) == leaf.shape
        assert np.allclose(leaf.grad, gradient, rtol=1e-6, atol=1e-8)


def test_three_hundred_random_graphs_equal_gradient_tape(lesson):
    assert max(lesson.gradient_difference(seed) for seed in range(1000, 1300)) < 1e-8


def test_cross_entropy_equals_tensorflow_and_does_not_overflow(lesson, rng):
    import tensorflow as tf

    logits, labels = 50 * rng.normal(size=(16, 10)), rng.integers(10, size=16)
    ours = lesson.Tensor(logits)
    loss = lesson.cross_entropy(ours, labels)
    lesson.backward(loss)
    theirs = tf.constant(logits)
    with tf.GradientTape() as tape:
        tape.watch(theirs)
        reference = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, theirs))
    assert float(loss.data) == pytest.approx(float(reference), rel=1e-12)
    assert np.allclose(ours.grad, tape.gradient(reference, theirs), atol=1e-14)
    far = lesson.Tensor([[1e4, -1e4]])
    loss = lesson.cross_entropy(far, np.array([1]))
    lesson.backward(loss)
    assert float(loss.data) == 2e4 and far.grad.tolist() == [[1.0, -1.0]]


def test_constants_get_no_gradient_and_are_no_parents(lesson):
    w, X = lesson.Tensor(np.ones((3, 2))), np.ones((4, 3))
    product = X @ w
    assert product.parents == (w,)
    assert lesson.relu(X).parents == ()


def test_two_parents_do_not_share_the_arriving_gradient(lesson):
    a, b = lesson.Tensor([1.0, 2.0]), lesson.Tensor([3.0, 4.0])
    lesson.backward(lesson.reduce_sum((a + b) + a * a))
    assert a.grad.tolist() == [3.0, 5.0] and b.grad.tolist() == [1.0, 1.0]
    a.grad += 1.0
    assert b.grad.tolist() == [1.0, 1.0]


def test_a_graph_is_freed_with_its_last_name(lesson):
    gc.disable()
    try:
        w = lesson.Tensor(np.ones((3, 2)))
        hidden = lesson.tanh(np.ones((4, 3)) @ w)
        gone = weakref.ref(hidden)
        loss = lesson.reduce_sum(hidden * hidden)
        lesson.backward(loss)
        del hidden, loss
        assert gone() is None, "a circle of references keeps the graph alive"
    finally:
        gc.enable()


# ---------------------------------------------------------------------------- networks


@pytest.mark.parametrize("sizes", [(20, 7, 4), (20, 4), (20, 9, 6, 4)], ids=str)
def test_network_gradients_equal_keras(lesson, rng, sizes):
    import keras
    import tensorflow as tf

    arrays = lesson.init_params(sizes, rng)
    X, y = rng.normal(size=(12, 20)), rng.integers(4, size=12)
    params = [lesson.Tensor(a) for a in arrays]
    loss = lesson.cross_entropy(lesson.network(params, X), y)
    lesson.backward(loss)

    layers = [keras.layers.Dense(k, activation="relu", dtype="float64") for k in sizes[1:-1]]
    last = keras.layers.Dense(sizes[-1], dtype="float64")
    model = keras.Sequential([keras.Input((20,), dtype="float64"), *layers, last])
    model.set_weights(arrays)
    with tf.GradientTape() as tape:
        reference = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(y, model(X)))
    gradients = tape.gradient(reference, model.trainable_variables)
    assert float(loss.data) == pytest.approx(float(reference))
    for parameter, gradient in zip(params, gradients, strict=True):
        assert np.allclose(parameter.grad, gradient, atol=1e-10)


def test_the_hand_derived_pass_and_the_engine_agree(lesson, rng):
    arrays = lesson.init_params((784, 64, 10), rng)
    X, y = rng.uniform(size=(32, 784)), rng.integers(10, size=32)
    loss, gradients = lesson.hand_gradients(arrays, X, y)
    params = [lesson.Tensor(a.copy()) for a in arrays]
    assert lesson.train_step(lesson.network, params, X, y, 0.1) == pytest.approx(loss, rel=1e-12)
    for start, parameter, gradient in zip(arrays, params, gradients, strict=True):
        assert np.allclose(parameter.grad, gradient, atol=1e-14)
        assert np.allclose(parameter.data, start - 0.1 * gradient, atol=1e-15)


def test_gated_network_is_what_the_formula_says(lesson, rng):
    arrays = lesson.init_params((6, 5, 3), rng) + lesson.init_params((6, 5), rng)
    X, y = rng.normal(size=(7, 6)), rng.integers(3, size=7)
    W1, b1, W2, b2, V, c = arrays
    logits = (np.maximum(X @ W1 + b1, 0) / (1 + np.exp(-(X @ V + c)))) @ W2 + b2
    assert np.allclose(lesson.array(lesson.gated_network(arrays, X)), logits)
    params = [lesson.Tensor(a) for a in arrays]
    lesson.backward(lesson.cross_entropy(lesson.gated_network(params, X), y))

    def loss(*a):
        return float(lesson.cross_entropy(lesson.gated_network(a, X), y).data)

    for parameter, gradient in zip(params, numeric_gradient(loss, arrays), strict=True):
        assert np.allclose(parameter.grad, gradient, atol=1e-8)


def test_fit_lowers_the_loss_and_visits_every_example(lesson, rng):
    X = rng.normal(size=(70, 5))
    y = (X[:, 0] > 0).astype(int)
    params = [lesson.Tensor(a) for a in lesson.init_params((5, 8, 2), rng)]
    losses = lesson.fit(lesson.network, params, X, y, epochs=30, batch_size=16, learning_rate=0.3, rng=rng)
    assert len(losses) == 30 * 5 and np.mean(losses[-5:]) < 0.3 * losses[0]


def test_hessian_vector_product(lesson, rng):
    import tensorflow as tf

    x, v = rng.normal(size=4), rng.normal(size=4)
    product = lesson.hessian_vector_product(
        lambda x: tf.reduce_sum(x**3) + x[0] * x[1], tf.constant(x), tf.constant(v)
    )
    hessian = np.diag(6 * x)
    hessian[0, 1] = hessian[1, 0] = 1.0
    assert np.allclose(product, hessian @ v)


# ---------------------------------------------------------------------------- what the text claims


def test_gradients_of_two_half_batches_add_up_to_the_whole(lesson, rng):
    X, y = rng.normal(size=(8, 5)), rng.integers(3, size=8)
    arrays = lesson.init_params((5, 4, 3), rng)
    whole, halves = ([lesson.Tensor(a) for a in arrays] for _ in range(2))
    lesson.backward(lesson.cross_entropy(lesson.network(whole, X), y))
    for part in (slice(4), slice(4, 8)):
        lesson.backward(lesson.cross_entropy(lesson.network(halves, X[part]), y[part]) * 0.5)
    for a, b in zip(whole, halves, strict=True):
        assert np.allclose(a.grad, b.grad)


def test_stale_gradients_swing_and_cleared_ones_settle(lesson):
    cleared, stale = lesson.descend(clear=True, steps=400), lesson.descend(clear=False, steps=400)
    assert abs(cleared[-1] - 3) < 1e-6
    assert stale[200:].max() > 5.9 and stale[200:].min() < 0.1


def test_changes_in_place_are_silent_and_sealed_arrays_are_not(lesson):
    right = 2 * np.exp([0.0, 1.0, 2.0])
    assert np.allclose(lesson.gradient_of(), right)
    assert np.allclose(lesson.gradient_of(lesson.rescale_copy), right)
    assert not np.allclose(lesson.gradient_of(lesson.rescale_in_place), right)
    with pytest.raises(ValueError, match="read-only"):
        lesson.gradient_of(lesson.rescale_sealed)


def test_slopes_at_kinks(lesson):
    slopes = {}
    with np.errstate(all="ignore"):
        for name, f in lesson.CASES.items():
            x = lesson.Tensor(0.0)
            lesson.backward(f(lesson.OURS, x))
            slopes[name] = float(x.grad)
    assert slopes["x"] == 1.0 and slopes["relu(x) - relu(-x)"] == 0.0 and slopes["sqrt(x² + 1e-12)"] == 0.0
    assert math.isnan(slopes["sqrt(x²)"])


def test_exercise_solutions_work_in_the_engine(lesson, rng):
    x = lesson.Tensor(rng.normal(size=(3, 2)))
    value, pullback = check.sigmoid_with_pullback.reference(x.data)
    lesson.backward(lesson.reduce_sum(lesson.node(value, (x, pullback))))
    s = 1 / (1 + np.exp(-x.data))
    assert np.allclose(x.grad, s * (1 - s))

    a, b = lesson.Tensor(rng.normal(size=(3, 2))), lesson.Tensor(rng.uniform(1, 2, size=(2,)))
    value, pull_a, pull_b = check.divide_with_pullbacks.reference(a.data, b.data)
    lesson.backward(lesson.reduce_sum(lesson.node(value, (a, pull_a), (b, pull_b))))
    fused = a.grad, b.grad
    a.grad = b.grad = 0.0
    lesson.backward(lesson.reduce_sum(a / b))
    assert np.allclose(fused[0], a.grad) and np.allclose(fused[1], b.grad)


def test_worked_values_of_the_exercises():
    value, pullback = check.sigmoid_with_pullback.reference(np.array(0.0))
    assert (float(value), float(pullback(np.array(2.0)))) == (0.5, 0.5)
    x, y = np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[2.0], [4.0]])
    _, pull_x, pull_y = check.divide_with_pullbacks.reference(x, y)
    assert pull_x(np.ones((2, 2))).tolist() == [[0.5, 0.5], [0.25, 0.25]]
    assert pull_y(np.ones((2, 2))).tolist() == [[-0.75], [-0.4375]]
    w = check.dual_numbers.reference(0.5, 1.0)
    assert ((w * w).value, (w * w).slope) == (0.25, 1.0)
    square = (lambda v: v * v, lambda v, g: 2 * v * g)
    (slope,) = check.checkpointed_gradient.reference(np.array([1.1]), [square] * 3, 2, np.ones(1))
    assert slope == pytest.approx(8 * 1.1**7) == pytest.approx(15.59, abs=0.01)
