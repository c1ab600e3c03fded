"""What lesson 31 defines, against Keras, finite differences and what the derivations promise."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from tests.lessons.code import lesson_code

pytest.importorskip("keras")


@pytest.fixture(scope="module")
def lesson() -> SimpleNamespace:
    return lesson_code("31_attention")


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def test_a_very_sharp_lookup_is_the_nearest_neighbour(lesson):
    keys, values = np.array([0.0, 1.0, 3.0]), np.array([5.0, -2.0, 8.0])
    got = lesson.soft_lookup(np.array([0.1, 2.9, 1.2]), keys, values, 1e4)
    assert np.allclose(got, [5, 8, -2])
    assert np.allclose(lesson.soft_lookup(np.array([0.5]), keys, values, 0.0), values.mean())


def test_outputs_are_means_of_values(lesson, rng):
    Q, K, V = rng.normal(size=(2, 4, 3)), rng.normal(size=(2, 6, 3)), rng.normal(size=(2, 6, 5))
    Y, weights = lesson.attend(Q, K, V)
    assert Y.shape == (2, 4, 5) and np.allclose(weights.sum(axis=-1), 1) and (weights >= 0).all()
    assert (Y.max(axis=1) <= V.max(axis=1) + 1e-12).all() and (Y.min(axis=1) >= V.min(axis=1) - 1e-12).all()
    assert np.allclose(lesson.attend(Q, K, np.ones((2, 6, 1)))[0], 1)


@pytest.mark.parametrize("allowed", [True, np.tri(4, 5, dtype=bool)])
def test_gradients_equal_finite_differences(lesson, rng, allowed):
    assert max(lesson.worst_gradient_error(allowed, rng)) < 1e-6


def test_the_root_keeps_the_variance_of_scores(lesson, rng):
    for width in (4, 400):
        Q, K = rng.normal(size=(300, 1, width)), rng.normal(size=(300, 30, width))
        scores = Q @ K.swapaxes(-1, -2) / np.sqrt(width)
        assert 0.8 < scores.var() < 1.2
        _, weights = lesson.attend(Q, K, K)
        assert 10 < lesson.effective_tokens(weights).mean() < 30
    _, weights = lesson.attend(Q, K, K, scale=False)
    assert lesson.effective_tokens(weights).mean() < 2


@pytest.mark.parametrize("heads", [1, 2, 4])
@pytest.mark.parametrize("masked", ["none", "causal", "padding"])
def test_multi_head_equals_keras(lesson, rng, heads, masked):
    X = rng.normal(size=(3, 6, 8)).astype("float32")
    real = np.arange(6) < np.array([[6], [4], [1]])
    allowed = {
        "none": np.ones((3, 6, 6), dtype=bool),
        "causal": np.broadcast_to(lesson.causal_mask(6), (3, 6, 6)),
        "padding": np.broadcast_to(real[:, None, :], (3, 6, 6)),
    }[masked]
    outputs, weights = lesson.largest_difference(X, lesson.init_heads(8, heads, rng), allowed)
    assert outputs < 1e-5 and weights < 1e-5


def test_parameters_do_not_depend_on_the_heads(lesson, rng):
    counts = {sum(p.size for p in lesson.init_heads(16, heads, rng).values()) for heads in (1, 2, 8)}
    assert counts == {4 * 16 * 16 + 4 * 16}


def test_equivariance_causality_and_padding(lesson, rng):
    params, X = lesson.init_heads(8, 2, rng), rng.normal(size=(2, 5, 8))
    order = rng.permutation(5)
    assert np.allclose(lesson.multi_head(X[:, order], params)[0], lesson.multi_head(X, params)[0][:, order])
    causal = lesson.causal_mask(5)
    assert not lesson.sees_the_future(lambda Z: lesson.multi_head(Z, params, causal)[0], X, rng)
    assert lesson.sees_the_future(lambda Z: lesson.multi_head(Z, params)[0], X, rng)
    assert lesson.sees_the_future(lambda Z: lesson.multi_head(Z, params, causal.T)[0], X, rng)
    real = np.arange(5) < np.array([[5], [2]])
    other = np.where(real[..., None], X, 99.0)
    mask = lesson.padding_mask(real)
    assert np.allclose(
        lesson.multi_head(other, params, mask)[0][real], lesson.multi_head(X, params, mask)[0][real]
    )


def test_sines_see_the_distance_and_rotation_keeps_lengths(lesson, rng):
    places = lesson.sinusoids(40, 16)
    assert places.shape == (40, 16) and np.allclose(places[0, 1::2], 1) and np.allclose(places[0, ::2], 0)
    assert np.allclose((places**2).sum(axis=1), 8)
    table = places @ places.T
    assert all(np.ptp(np.diagonal(table, k)) < 1e-9 for k in range(-39, 40))
    Z = rng.normal(size=(2, 3, 10, 16))
    assert np.allclose(np.linalg.norm(lesson.rotate(Z), axis=-1), np.linalg.norm(Z, axis=-1))
    q, k = np.tile(rng.normal(size=16), (20, 1)), np.tile(rng.normal(size=16), (20, 1))
    scores = lesson.rotate(q) @ lesson.rotate(k).T
    assert all(np.ptp(np.diagonal(scores, offset)) < 1e-9 for offset in range(-19, 20))
    assert np.isclose(scores[0, 0], q[0] @ k[0])


def test_pieces_hold_the_picture(lesson, rng):
    images = rng.integers(0, 256, (2, 28, 28))
    pieces = lesson.to_pieces(images)
    assert pieces.shape == (2, 16, 49) and pieces.max() <= 1
    assert np.allclose(pieces[1, 5].reshape(7, 7), images[1, 7:14, 7:14] / 255)


def test_cards_ask_for_one_of_the_hand(lesson, rng):
    symbols, numbers, asked, answer = lesson.deal(50, rng)
    where = symbols == asked[:, None]
    assert (where.sum(axis=1) == 1).all() and (numbers[where] == answer).all()


def test_a_bag_of_pieces_does_not_notice_shuffling(lesson, rng):
    X = rng.random((3, 16, 49)).astype("float32")
    order = rng.permutation(16)
    bag, placed = lesson.PieceReader(False), lesson.PieceReader(True)
    assert np.allclose(np.asarray(bag(X)), np.asarray(bag(X[:, order])), atol=1e-5)
    assert not np.allclose(np.asarray(placed(X)), np.asarray(placed(X[:, order])), atol=1e-5)
