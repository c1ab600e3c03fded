"""The functions that lesson 02 builds, against Keras, NumPy's own and what the text claims."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from course_utils.checks import vectors_and_matrices as check
from tests.lessons.code import lesson_code


@pytest.fixture(scope="module")
def lesson():
    return lesson_code("02_vectors_and_matrices")


@pytest.fixture
def rng():
    return np.random.default_rng(0)


# ---------------------------------------------------------------------------- products


@pytest.mark.parametrize("name", ["three_loops", "two_loops", "one_loop", "no_loop"])
@pytest.mark.parametrize("sizes", [(1, 1, 1), (2, 3, 4), (5, 1, 2), (1, 7, 1), (6, 6, 6)], ids=str)
def test_every_version_is_the_product(lesson, rng, name, sizes):
    m, d, k = sizes
    A, B = rng.normal(size=(m, d)), rng.normal(size=(d, k))
    kept = A.copy(), B.copy()
    assert np.allclose(getattr(lesson, name)(A, B), A @ B)
    assert np.array_equal(A, kept[0]) and np.array_equal(B, kept[1])


def test_products_associate_but_do_not_commute_and_transposes_turn_round(rng):
    A, B, C = (rng.normal(size=(4, 4)) for _ in range(3))
    assert np.allclose((A @ B) @ C, A @ (B @ C))
    assert not np.allclose(A @ B, B @ A)
    assert np.allclose((A @ B).T, B.T @ A.T)


def test_dense_equals_keras(lesson, rng):
    import keras

    X = rng.normal(size=(9, 20)).astype("float32")
    layer = keras.layers.Dense(6)
    layer.build((None, 20))
    assert tuple(layer.kernel.shape) == (20, 6) and tuple(layer.bias.shape) == (6,)
    W, b = rng.normal(size=(20, 6)), rng.normal(size=6)
    layer.set_weights([W, b])
    ours = lesson.dense(X, W, b)
    assert ours.shape == (9, 6)
    assert np.allclose(keras.ops.convert_to_numpy(layer(X)), ours, atol=1e-4)
    words = rng.normal(size=(2, 3, 20)).astype("float32")
    assert np.allclose(keras.ops.convert_to_numpy(layer(words)), words @ W + b, atol=1e-4)


@pytest.mark.parametrize("shapes", [((9, 5), (6, 3), (3,)), ((9, 5), (5, 3), (3, 1)), ((9, 5), (5, 3), (5,))])
def test_dense_refuses_shapes_that_would_only_seem_to_fit(lesson, rng, shapes):
    with pytest.raises(AssertionError):
        lesson.dense(*(rng.normal(size=shape) for shape in shapes))


# ---------------------------------------------------------------------------- broadcasting


def test_broadcast_rule_equals_numpy_for_all_small_shapes(lesson):
    shapes = [shape for length in range(4) for shape in product((1, 2, 3), repeat=length)]
    for first, second in product(shapes, repeat=2):
        try:
            wanted = np.broadcast_shapes(first, second)
        except ValueError:
            with pytest.raises(ValueError):
                lesson.broadcast_shape(first, second)
        else:
            assert lesson.broadcast_shape(first, second) == wanted
        assert lesson.agrees_with_numpy(first, second)


def test_broadcast_rule_handles_an_empty_axis(lesson):
    assert lesson.broadcast_shape((0, 1), (4,)) == np.broadcast_shapes((0, 1), (4,)) == (0, 4)


def test_the_shapes_of_the_first_exercise_are_numpys():
    X, W, b, t, V = (np.zeros(s) for s in ((32, 784), (784, 10), (10,), (32,), (5, 32, 784)))
    right = check.shapes.reference
    assert (
        (X @ W + b).shape == right[0] and (W.T @ X.T).shape == right[1] and X.mean(axis=0).shape == right[2]
    )
    with pytest.raises(ValueError):
        X - X.mean(axis=1)
    assert (V @ W).shape == right[4] and ((X @ W)[:, :1] - t).shape == right[5]


def test_wrong_loss_is_variance_plus_variance_plus_squared_bias(rng):
    y, y_hat = rng.normal(2, 1, 50), rng.normal(-1, 3, 50)
    wrong = ((y_hat[:, None] - y) ** 2).mean()
    assert np.isclose(wrong, y.var() + y_hat.var() + (y.mean() - y_hat.mean()) ** 2)


def test_wrong_shape_teaches_the_mean_and_the_right_one_the_line(lesson, rng):
    x = rng.uniform(-2, 2, 80)
    y = 1.5 * x - 0.5 + rng.normal(0, 0.3, 80)
    w, b = lesson.fit_line(x, y[:, None], steps=1000)
    assert np.allclose([w, b], np.polyfit(x, y, 1), atol=1e-6)
    w, b = lesson.fit_line(x, y, steps=1000)
    assert abs(w) < 1e-6 and np.isclose(b, y.mean())


# ---------------------------------------------------------------------------- distances and means


@pytest.mark.parametrize("sizes", [(1, 1, 1), (4, 7, 3), (20, 5, 784)], ids=str)
def test_squared_distances(lesson, rng, sizes):
    m, n, d = sizes
    A, B = rng.normal(size=(m, d)), rng.normal(size=(n, d))
    wanted = np.array([[np.linalg.norm(a - b) ** 2 for b in B] for a in A])
    assert np.allclose(lesson.squared_distances(A, B), wanted)
    assert np.allclose(lesson.distances_by_broadcasting(A, B), wanted)


def test_nearest_mean_layer_is_nearest_mean(lesson, rng):
    X, y = rng.normal(size=(200, 6)), rng.integers(0, 4, 200)
    W, b = lesson.nearest_mean_layer(X, y, classes=4)
    assert W.shape == (6, 4) and b.shape == (4,)
    means = np.stack([X[y == k].mean(axis=0) for k in range(4)])
    scores, distances = lesson.dense(X, W, b), lesson.squared_distances(X, means)
    assert np.array_equal(scores.argmax(axis=1), distances.argmin(axis=1))
    assert np.allclose(scores - (X**2).sum(axis=1, keepdims=True) / 2, -distances / 2)


def test_nearest_mean_layer_equals_scikit_learn(lesson, rng):
    from sklearn.neighbors import NearestCentroid

    X, y = rng.normal(size=(150, 5)), rng.integers(0, 10, 150)
    new = rng.normal(size=(80, 5))
    ours = lesson.dense(new, *lesson.nearest_mean_layer(X, y)).argmax(axis=1)
    assert np.array_equal(ours, NearestCentroid().fit(X, y).predict(new))


@pytest.mark.parametrize("batch_size", [1, 7, 500])
def test_nearest_neighbour_equals_scikit_learn(lesson, rng, batch_size):
    from sklearn.neighbors import KNeighborsClassifier

    X, y, new = rng.normal(size=(60, 4)), rng.integers(0, 3, 60), rng.normal(size=(23, 4))
    ours = lesson.nearest_neighbour(new, X, y, batch_size=batch_size)
    assert np.array_equal(ours, KNeighborsClassifier(1).fit(X, y).predict(new))


def test_a_common_vector_in_all_columns_changes_no_winner(rng):
    X, W, b, v = (rng.normal(size=s) for s in ((40, 6), (6, 5), (5,), (6, 1)))
    assert np.array_equal((X @ W + b).argmax(axis=1), (X @ (W - v) + b).argmax(axis=1))


# ---------------------------------------------------------------------------- the plane


def polygon_area(points):
    """Signed area of a polygon; positive if its corners go round to the left."""
    x, y = points.T
    return (x * np.roll(y, -1) - y * np.roll(x, -1)).sum() / 2


def test_rows_are_the_images_of_the_basis_and_the_determinant_is_the_factor_of_area(lesson, rng):
    for W in rng.normal(size=(20, 2, 2)):
        assert np.allclose(np.array([[1.0, 0.0], [0.0, 1.0]]) @ W, W)
        factor = polygon_area(lesson.LETTER_F @ W) / polygon_area(lesson.LETTER_F)
        by_rows = W[0, 0] * W[1, 1] - W[0, 1] * W[1, 0]
        assert np.isclose(factor, by_rows) and np.isclose(by_rows, np.linalg.det(W))
        squared = (W[0] @ W[0]) * (W[1] @ W[1]) - (W[0] @ W[1]) ** 2
        assert np.isclose(squared, by_rows**2)


def test_the_figure_shows_the_letter_of_the_lesson(lesson):
    from course_utils.explorables.matrix_viewer import LETTER_F

    assert np.array_equal(lesson.LETTER_F, LETTER_F)


def test_rank_of_a_product_is_at_most_that_of_its_factors(rng):
    A, B = rng.normal(size=(6, 2)), rng.normal(size=(2, 5))
    assert np.linalg.matrix_rank(A @ B) == 2


# ---------------------------------------------------------------------------- exercises


def test_cosines_equal_scikit_learn(rng):
    from sklearn.metrics.pairwise import cosine_similarity

    A, B = rng.normal(size=(7, 30)), rng.normal(size=(4, 30))
    assert np.allclose(check.pairwise_cosine.reference(A, B), cosine_similarity(A, B))
    assert np.allclose(check.pairwise_cosine.reference(np.array([[3, 4]]), np.array([[4, 3]])), 0.96)


def test_move_each_equals_a_loop_and_the_worked_value(rng):
    points, W, b = rng.normal(size=(5, 5, 2)), rng.normal(size=(5, 2, 2)), rng.normal(size=(5, 2))
    one_by_one = np.stack([x @ w + shift for x, w, shift in zip(points, W, b, strict=True)])
    assert np.allclose(check.move_each.reference(points, W, b), one_by_one)
    drawing = np.array([[[1, 0], [0, 1]]])
    moved = check.move_each.reference(drawing, np.array([[[0, 1], [-1, 0]]]), np.array([[10, 20]]))
    assert moved[0].tolist() == [[10, 21], [9, 20]]


def brute_force(sizes):
    """Try every place for the last product, by recursion."""
    if len(sizes) == 2:
        return 0
    return min(
        brute_force(sizes[: s + 1]) + brute_force(sizes[s:]) + sizes[0] * sizes[s] * sizes[-1]
        for s in range(1, len(sizes) - 1)
    )


def test_cheapest_product_equals_brute_force_and_the_values_in_the_text(rng):
    cheapest = check.cheapest_product.reference
    assert cheapest([1000, 2, 1000, 1]) == 4000
    for _ in range(30):
        sizes = rng.integers(1, 50, rng.integers(2, 9)).tolist()
        assert cheapest(sizes) == brute_force(sizes)
