"""The functions that lesson 12 builds, against scikit-learn, Keras, analytic values and what the text claims."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from course_utils.checks import house_prices as check
from tests.lessons.code import lesson_code


@pytest.fixture(scope="module")
def lesson():
    return lesson_code("12_house_prices")


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture(scope="module")
def table():
    """A small table like the lesson's: eight columns, gaps in one, five categories."""
    from course_utils.data._houses import make_sample

    sample = make_sample()
    return (
        sample["x_train"][:400].copy(),
        sample["category_train"][:400].copy(),
        sample["y_train"][:400].copy(),
    )


# ---------------------------------------------------------------------------- metrics and least squares


def test_scores(lesson, rng):
    from sklearn.metrics import mean_absolute_error, mean_squared_error, r2_score

    price, predicted = rng.uniform(1, 5, 60), rng.uniform(1, 5, 60)
    rmse, mae, r2 = lesson.scores(predicted, price)
    assert rmse**2 == pytest.approx(mean_squared_error(price, predicted))
    assert mae == pytest.approx(mean_absolute_error(price, predicted))
    assert r2 == pytest.approx(r2_score(price, predicted))
    assert lesson.scores(np.full(60, price.mean()), price)[2] == pytest.approx(0)


def test_mean_and_median_are_the_best_constants(lesson, rng):
    price = np.exp(rng.normal(size=101))
    grid = np.linspace(price.min(), price.max(), 3001)
    rmse, mae, _ = np.array([lesson.scores(np.full(101, c), price) for c in grid]).T
    assert grid[rmse.argmin()] == pytest.approx(price.mean(), abs=0.01)
    assert grid[mae.argmin()] == pytest.approx(np.median(price), abs=0.01)


def test_least_squares_solves_the_normal_equations(lesson, rng):
    X, y = rng.normal(size=(50, 4)), rng.normal(size=50)
    weights = lesson.least_squares(X, y)
    design = np.column_stack([X, np.ones(50)])
    assert np.allclose(design.T @ design @ weights, design.T @ y)
    assert np.allclose(weights, np.linalg.solve(design.T @ design, design.T @ y))
    assert np.allclose(lesson.linear(X, weights), design @ weights)
    residual = y - lesson.linear(X, weights)
    assert np.abs(design.T @ residual).max() < 1e-10


def test_a_change_of_units_changes_no_prediction(lesson, rng):
    X, y = rng.normal(size=(80, 3)) * [1, 1000, 0.01] + [3, -500, 0], rng.normal(size=80)
    A = (X - X.mean(axis=0)) / X.std(axis=0)
    mixed = X @ rng.normal(size=(3, 3))
    for other in (A, mixed):
        assert np.allclose(
            lesson.linear(other, lesson.least_squares(other, y)), lesson.linear(X, lesson.least_squares(X, y))
        )


def test_dummy_trap(lesson, rng):
    category, y = rng.integers(0, 5, 200), rng.normal(size=200)
    dummies = lesson.one_hot(category)
    assert dummies.sum(axis=1).tolist() == [1.0] * 200
    assert np.linalg.matrix_rank(np.column_stack([dummies, np.ones(200)])) == 5
    fitted = lesson.linear(dummies, lesson.least_squares(dummies, y))
    assert np.allclose(fitted, [y[category == k].mean() for k in category])


# ---------------------------------------------------------------------------- features


def test_gaps(lesson):
    X = np.array([[1.0, np.nan], [2.0, 4.0], [3.0, 6.0]])
    filled, flags = lesson.fill_gaps(X, np.array([9.0, 5.0]), np.array([False, True]))
    assert filled.tolist() == [[1, 5], [2, 4], [3, 6]] and flags.tolist() == [[1], [0], [0]]
    assert np.isnan(X[0, 1]), "the table itself stays as it is"


def test_column_statistics(lesson, rng):
    X = np.column_stack([rng.normal(5, 3, 30), np.full(30, 7.0)])
    mean, scale = lesson.column_statistics(X)
    assert np.allclose(mean, X.mean(axis=0)) and np.allclose(scale, [X[:, 0].std(), 1.0])


def test_log_ratios_and_log_totals_span_the_same(lesson, rng, table):
    X = np.where(np.isnan(table[0]), 300.0, table[0])
    made = lesson.ratios(X)
    assert made.shape == (len(X), 9) and np.isfinite(made).all()
    assert np.allclose(made[:, 6], np.log(X[:, 3] / X[:, 6]))
    y = rng.normal(size=len(X))
    fits = [lesson.linear(A, lesson.least_squares(A, y)) for A in (made[:, 5:], np.log(X[:, 3:7]))]
    assert np.allclose(fits[0], fits[1])


def test_k_means_lowers_its_distance_and_leaves_no_better_neighbour(lesson, rng):
    points = np.vstack([rng.normal(c, 0.1, (50, 2)) for c in ([0, 0], [3, 0], [0, 3])])
    spread = [
        lesson.squared_distances(points, lesson.k_means(points, 3, seed=1, rounds=r)).min(axis=1).sum()
        for r in range(6)
    ]
    assert all(b <= a + 1e-9 for a, b in pairwise(spread))
    assert lesson.k_means(points, 3, seed=1).shape == (3, 2)


def test_bells(lesson):
    centres = np.array([[0.0, 0.0], [1.0, 0.0]])
    values = lesson.bells(np.array([[0.0, 0.0], [0.5, 0.0]]), centres, 0.5)
    assert values[0].tolist() == [1.0, pytest.approx(np.exp(-2))]
    assert values[1, 0] == values[1, 1] == pytest.approx(np.exp(-0.5))


@pytest.mark.parametrize("engineered", [False, True])
def test_features_learn_from_fitted_rows_alone(lesson, table, engineered):
    X, category, _ = table
    features = lesson.Features(engineered, places=8).fit(X[:300], category[:300])
    Z = features.transform(X[:300], category[:300])
    assert np.isfinite(Z).all()
    varies = features.columns(X[:300], category[:300]).std(axis=0) > 0
    assert np.allclose(Z.mean(axis=0), 0, atol=1e-8) and np.allclose(Z.std(axis=0)[varies], 1)
    new = features.transform(X[300:], category[300:])
    one = features.transform(X[300:301], category[300:301])
    assert np.allclose(new[:1], one), "a row is treated alike alone and among others"
    assert Z.shape[1] == (9 + 1 + 5 + 8 if engineered else 8 + 1 + 5)


def test_keras_normalization_agrees(lesson, table):
    import keras

    X, category, _ = table
    features = lesson.Features(False).fit(X, category)
    columns = features.columns(X, category)
    varies = columns.std(axis=0) > 0
    layer = keras.layers.Normalization()
    layer.adapt(columns[:, varies].astype("float32"))
    theirs = keras.ops.convert_to_numpy(layer(columns[:, varies].astype("float32")))
    assert np.abs(theirs - features.transform(X, category)[:, varies]).max() < 1e-2


# ---------------------------------------------------------------------------- folds and models


@pytest.mark.parametrize(("n", "k"), [(10, 5), (103, 5), (7, 3)])
def test_k_folds(lesson, rng, n, k):
    folds = lesson.k_folds(n, k, rng)
    assert sorted(np.concatenate(folds)) == list(range(n)) and len(folds) == k
    assert max(map(len, folds)) - min(map(len, folds)) <= 1
    assert set(lesson.others(folds, 0)) == set(range(n)) - set(folds[0])


def test_group_folds_keep_groups_together(lesson, rng):
    group = rng.choice(15, size=400, p=np.arange(1, 16) / 120)
    folds = lesson.group_folds(group, 5)
    assert sorted(np.concatenate(folds)) == list(range(400))
    homes = [set(group[fold]) for fold in folds]
    assert sum(map(len, homes)) == len(set(group))
    assert max(map(len, folds)) - min(map(len, folds)) <= np.bincount(group).max()


def test_linear_equals_scikit_learn(lesson, rng):
    from sklearn.linear_model import LinearRegression

    X, y = rng.normal(size=(60, 5)), rng.normal(size=60)
    ours = lesson.Linear().fit(X, y).predict(X)
    assert np.allclose(ours, LinearRegression().fit(X, y).predict(X))


def test_prices_come_back_in_dollars_and_in_range(lesson, table):
    known, new = lesson.take(table, np.arange(300)), lesson.take(table[:2], np.arange(300, 400))
    predicted = lesson.predict_prices(lesson.Linear(), lesson.Features(False), known, new)
    assert predicted.shape == (100,)
    assert known[2].min() <= predicted.min() and predicted.max() <= known[2].max()
    assert lesson.scores(predicted, table[2][300:])[2] > 0.4


def test_every_district_is_priced_without_its_fold(lesson, table, rng):
    seen = []

    class Spy:
        def fit(self, X, y):
            seen.append(len(y))
            self.mean = y.mean()
            return self

        def predict(self, X):
            return np.full(len(X), self.mean)

    folds = lesson.k_folds(400, 5, rng)
    predicted = lesson.out_of_fold_prices(Spy(), lesson.Features(False), table, folds)
    assert seen == [320] * 5
    for k, fold in enumerate(folds):
        assert np.allclose(predicted[fold], np.exp(np.log(table[2][lesson.others(folds, k)]).mean()))


def test_corrected_interval(lesson):
    from scipy import stats

    middle, half = lesson.corrected_interval(np.array([1.0, 2.0, 3.0, 4.0, 5.0]))
    assert middle == 3.0
    expected = stats.t.ppf(0.975, 4) * np.sqrt(2.5) * np.sqrt(1 / 5 + 1 / 4)
    assert half == pytest.approx(expected, rel=1e-3)


def test_network_starts_afresh_at_every_fit(lesson, rng):
    X, y = rng.normal(size=(128, 3)), rng.normal(size=128)
    network = lesson.Network(3, 128, 32, epochs=3)
    first = network.fit(X, y).predict(X)
    network.fit(X, -y)
    again = network.fit(X, y)
    assert len(again.losses) == 3 and first.shape == (128,)
    assert np.corrcoef(first, again.predict(X))[0, 1] > 0.9  # the order of the batches differs


# ---------------------------------------------------------------------------- encodings and outliers


def test_group_means(lesson):
    means = lesson.group_means(np.array([0, 0, 2]), np.array([1.0, 3.0, 8.0]), np.array([0, 1, 2, 3]))
    assert means.tolist() == [2.0, 4.0, 8.0, 4.0]


def test_only_all_rows_lets_validation_targets_into_the_feature(lesson, rng):
    cell, y = rng.integers(0, 30, 200), rng.normal(size=200)
    train, valid = np.arange(120), np.arange(120, 160)
    changed = y.copy()
    changed[valid] += 10
    for way, leaks in (("none", False), ("all rows", True), ("training rows", False), ("out of fold", False)):
        a, b = (lesson.encode(way, cell, t, train, valid, np.random.default_rng(1)) for t in (y, changed))
        assert np.allclose(a[valid], b[valid]) != leaks, way
    for row in (0, 57):
        changed = y.copy()
        changed[row] += 10
        a, b = (
            lesson.encode("out of fold", cell, t, train, valid, np.random.default_rng(1))
            for t in (y, changed)
        )
        assert a[row] == pytest.approx(b[row]), "a training row does not see its own target"


def test_huber_fit(lesson, rng):
    from scipy.optimize import minimize

    X = rng.normal(size=(150, 1))
    y = 2 * X[:, 0] + 1 + 0.1 * rng.normal(size=150)
    y[:6] += 20
    weights = lesson.huber_fit(X, y, 0.3, rounds=60)
    assert weights == pytest.approx([2, 1], abs=0.1)
    assert lesson.least_squares(X, y)[1] > 1.5

    def loss(w):
        r = np.abs(y - X[:, 0] * w[0] - w[1])
        return np.where(r <= 0.3, r**2 / 2, 0.3 * (r - 0.15)).mean()

    assert loss(weights) <= minimize(loss, [0.0, 0.0], method="Nelder-Mead").fun + 1e-6
    assert lesson.huber_fit(X, y, 1e6) == pytest.approx(lesson.least_squares(X, y))


# ---------------------------------------------------------------------------- solutions


def test_price_interval_covers_as_promised():
    rng = np.random.default_rng(3)
    inside = []
    for _ in range(300):
        r = rng.standard_t(3, 41) * 0.2
        low, high = check.price_interval.reference(np.ones(1), np.ones(40), np.exp(r[:40]), 0.8)
        inside.append(low[0] <= np.exp(r[40]) <= high[0])
    assert np.mean(inside) == pytest.approx(0.805, abs=0.07)


def test_worked_values_of_the_exercises():
    assert check.standardise_with.reference(np.array([[0.0], [2.0]]), np.array([[3.0]])).tolist() == [[2.0]]
    words = check.one_hot_known.reference(np.array(["sea", "hill", "sea"]), np.array(["sea", "moon"]))
    assert words.tolist() == [[0, 1], [0, 0]]
    means = check.out_of_fold_means.reference(
        np.array([0, 0, 0, 1]), np.array([1.0, 3.0, 5.0, 9.0]), np.array([0, 1, 1, 0])
    )
    assert means.tolist() == [4.0, 1.0, 1.0, 4.0]
    low, high = check.price_interval.reference(np.array([110_000.0]), np.ones(9), np.full(9, 1.1), 0.8)
    assert low[0] == pytest.approx(100_000) and high[0] == pytest.approx(121_000)
