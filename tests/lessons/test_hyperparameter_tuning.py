"""What lesson 28 builds, against Keras, scikit-learn, KerasTuner and hand counts, and what its text claims."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from course_utils.checks import hyperparameter_tuning as check
from tests.lessons.code import lesson_code


@pytest.fixture(scope="module")
def lesson():
    return lesson_code("28_hyperparameter_tuning")


@pytest.fixture
def rng():
    return np.random.default_rng(0)


# ---------------------------------------------------------------------------- many networks at once


def _start(rng, starts, inputs, n, width, classes=10):
    shapes = [
        (starts, inputs, n, width),
        (starts, 1, n, width),
        (starts, n, width, classes),
        (starts, n, 1, classes),
    ]
    return [rng.normal(size=shape).astype("float32") for shape in shapes]


def test_one_network_of_the_crowd_equals_keras(lesson, rng):
    import keras
    import tensorflow as tf

    params = _start(rng, 2, 6, 3, 5)
    x = rng.normal(size=(lesson.BATCH, 6)).astype("float32")
    y = rng.integers(0, 10, len(x))
    rates, decays = np.array([0.01, 0.05, 0.1], "float32"), np.array([0, 0.01, 0.1], "float32")
    knobs = [tf.constant(a[:, None], tf.float32) for a in (rates, decays, np.ones(3))]
    state = [tf.constant(p) for p in params], [tf.zeros_like(p) for p in params]
    X, Y = tf.constant(np.stack([x, x])), tf.constant(np.eye(10, dtype="float32")[np.stack([y, y])])
    for _ in range(3):
        state = lesson.train_step(*state, X, Y, *knobs)
    for start, network in [(0, 1), (1, 2)]:
        penalty = keras.regularizers.L2(float(decays[network]) / 2)
        dense = keras.layers.Dense
        model = keras.Sequential(
            [
                keras.Input((6,)),
                dense(5, "relu", kernel_regularizer=penalty),
                dense(10, kernel_regularizer=penalty),
            ]
        )
        pick = [params[0][start, :, network], params[1][start, 0, network], params[2][start, network]]
        model.set_weights([*pick, params[3][start, network, 0]])
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(keras.optimizers.SGD(float(rates[network]), momentum=lesson.MOMENTUM), loss)
        model.fit(x, y, batch_size=len(x), epochs=3, verbose=0)
        W1, b1, W2, b2 = (p.numpy() for p in state[0])
        ours = [W1[start, :, network], b1[start, 0, network], W2[start, network], b2[start, network, 0]]
        for mine, theirs in zip(ours, model.get_weights(), strict=True):
            assert np.allclose(mine, theirs, atol=1e-4)
        right = np.asarray(model(x)).argmax(axis=1) == y
        assert np.mean(lesson.is_right(state[0], x, y).numpy()[start, network] == right) > 0.97


def test_configurations_share_a_start_and_starts_differ(lesson, rng):
    x, y = rng.random((100, 49)).astype("float32"), rng.integers(0, 10, 100)
    same = np.full(3, 0.05)
    (params,) = lesson.train_many(same, 0 * same, 0 * same + 0.4, 8, 2, x, y, (2,), rng)
    W1 = params[0].numpy()
    assert np.allclose(W1[:, :, 0], W1[:, :, 1]) and np.allclose(W1[:, :, 0], W1[:, :, 2])
    assert not np.allclose(W1[0], W1[1])


def test_retraining_keeps_the_order_of_its_configurations(lesson, rng):
    x = rng.random((200, 49)).astype("float32")
    y = x[:, :10].argmax(axis=1)
    settings = [(0.1, 32, 1e-4, 0.0), (1e-6, 4, 1e-4, 0.0), (1e-6, 32, 1e-4, 0.0), (0.1, 16, 1e-4, 0.0)]
    right = lesson.retrain(settings, 2, x, y, x, y, rng).mean(axis=(1, 2))
    assert right.shape == (4,) and min(right[[0, 3]]) > 0.5 > max(right[[1, 2]])


def test_snapshots_are_taken_on_the_way(lesson, rng):
    x, y = rng.random((100, 49)).astype("float32"), rng.integers(0, 10, 100)
    one = np.ones(1)
    snapshots = lesson.train_many(0.05 * one, 0 * one, 0 * one, 4, 1, x, y, (1, 3), rng)
    assert len(snapshots) == 2 and not np.allclose(snapshots[0][0], snapshots[1][0])


def test_a_diverged_network_guesses(lesson, rng):
    params = _start(rng, 1, 6, 1, 4)
    params[0][:] = np.nan
    x, y = rng.normal(size=(30, 6)).astype("float32"), np.arange(30) % 10
    assert lesson.is_right(params, x, y).numpy().mean() == pytest.approx(0.1)


def test_the_table_has_the_order_of_the_settings(lesson, rng, capsys):
    space = {
        "learning_rate": np.array([1e-6, 0.1]),
        "width": np.array([2, 16]),
        "weight_decay": np.array([1e-4]),
        "dropout": np.array([0.0, 0.2]),
    }
    x = rng.random((200, 49)).astype("float32")
    y = x[:, :10].argmax(axis=1)
    right = lesson.score_space(space, 2, x, y, x[:50], y[:50], (1, 20), rng)
    assert right.shape == (8, 2, 2, 50)
    settings = np.array(list(itertools.product(*space.values())))
    best = settings[right[:, :, -1].mean(axis=(1, 2)).argmax()]
    assert best[0] == 0.1 and best[1] == 16
    capsys.readouterr()


# ---------------------------------------------------------------------------- searches


def test_grids_and_random_search_never_beat_the_best(lesson, rng):
    table = rng.random((10, 4, 3, 3))
    for k in (2, 3):
        regret = lesson.grid_regret(table, k)
        assert (regret >= 0).all() and len(regret) >= 1
    runs = lesson.random_regret(table.ravel(), 360, 5, rng)
    assert np.allclose(runs[:, -1], 0) and (np.diff(runs, axis=1) <= 0).all()


@pytest.mark.parametrize(("levels", "k"), [(10, 2), (10, 3), (4, 3), (3, 3), (3, 2)])
def test_grid_lines_are_evenly_spaced_and_different(lesson, levels, k):
    for lines in lesson.evenly_spaced(levels, k):
        assert len(set(lines)) == k and min(lines) >= 0 and max(lines) < levels
        assert np.ptp(np.diff(lines)) <= 1


def test_distances_to_the_best_value_as_derived(rng):
    n, k = 16, 2
    nearest = np.abs(rng.random((40000, n)) - 0.5).min(axis=1)
    assert nearest.mean() == pytest.approx(1 / (2 * (n + 1)), rel=0.03)
    lines = rng.uniform(-1 / k, 0, size=(40000, 1)) + np.arange(k + 2) / k
    assert np.abs(lines - 0.5).min(axis=1).mean() == pytest.approx(1 / (4 * k), rel=0.03)


def test_halving_counts_its_epochs_and_hyperbands_brackets_cost_alike(lesson, rng):
    errors = rng.random((360, 4))
    winner, spent = lesson.successive_halving(errors, np.arange(27), 1, lesson.RUNGS)
    assert spent == 27 + 9 * 2 + 3 * 6 + 1 * 18 and winner < 27
    _, total, log = lesson.hyperband(errors, lesson.RUNGS, rng)
    assert [n for _, n, _, _ in log] == [27, 12, 6, 4] and total == sum(row[-1] for row in log)
    assert max(row[-1] for row in log) < 1.5 * min(row[-1] for row in log)


def test_halving_finds_the_best_where_ranks_do_not_change(lesson, rng):
    final = rng.random(81)
    errors = np.stack([final + 3, final + 2, final + 1, final], axis=1)
    winner, _ = lesson.successive_halving(errors, rng.permutation(81)[:27], 1, lesson.RUNGS)
    assert lesson.lost_at_first_look(errors, 0, 27, 50, rng) == 0 and 0 <= winner < 81
    reverse = errors * np.array([-1, 1, 1, 1])
    assert lesson.lost_at_first_look(reverse, 0, 27, 50, rng) == 1


def test_the_exercise_and_the_lesson_halve_alike(lesson, rng):
    errors = rng.random((27, 4))
    ours = lesson.successive_halving(errors, np.arange(27), 1, lesson.RUNGS)
    assert tuple(map(int, ours)) == tuple(map(int, check.halve.reference(errors, 1, 3)))


def test_gaussian_process_equals_scikit_learns(lesson, rng):
    from sklearn.gaussian_process import GaussianProcessRegressor, kernels

    X, y, new = rng.random((9, 3)), rng.normal(size=9), rng.random((20, 3))
    theirs = GaussianProcessRegressor(kernels.RBF(0.5), alpha=0.04, optimizer=None).fit(X, y)
    mean, deviation, log_likelihood = lesson.gp_predict(X, y, new, 0.5, noise=0.2)
    their_mean, their_deviation = theirs.predict(new, return_std=True)
    assert np.allclose(mean, their_mean) and np.allclose(deviation, their_deviation)
    constant = 9 / 2 * math.log(2 * math.pi)
    assert log_likelihood - constant == pytest.approx(theirs.log_marginal_likelihood())


def test_expected_improvement_is_an_expectation(lesson):
    for mean, deviation, best in [(0.4, 0.5, 0.2), (0.1, 0.3, 0.2), (2.0, 0.1, 0.0)]:
        f = np.linspace(mean - 9 * deviation, mean + 9 * deviation, 200001)
        density = stats.norm.pdf(f, mean, deviation)
        wanted = (np.maximum(best - f, 0) * density).sum() * (f[1] - f[0])
        assert lesson.expected_improvement(mean, deviation, best) == pytest.approx(wanted, abs=1e-7)
        assert check.expected_gain.reference(-mean, deviation, -best) == pytest.approx(wanted, abs=1e-7)


def test_bayes_search_finds_the_bottom_of_a_bowl_and_repeats_nothing(lesson, rng):
    grid = np.array(list(itertools.product(np.linspace(0, 1, 15), repeat=2)))
    bowl = 0.1 + ((grid - [0.3, 0.8]) ** 2).sum(axis=1)
    picks = lesson.bayes_search(bowl, grid, 20, rng)
    assert len(set(picks)) == 20
    assert bowl[picks].min() < np.quantile(bowl, 0.03)


# ---------------------------------------------------------------------------- KerasTuner, or without it


def test_the_model_takes_its_values_from_hp(lesson):
    hp = lesson.RandomValues(np.random.default_rng(3))
    model = lesson.build(hp)
    assert set(hp.values) == set(lesson.SPACE)
    assert model.layers[0].units == hp.values["width"]
    assert float(model.optimizer.learning_rate) == pytest.approx(hp.values["learning_rate"], rel=1e-5)


def test_random_values_are_in_range_and_log_uniform():
    values = lesson_code("28_hyperparameter_tuning").RandomValues
    drawn = [values(np.random.default_rng(s)).Float("a", 0.01, 1.0, sampling="log") for s in range(2000)]
    assert (
        min(drawn) >= 0.01
        and max(drawn) <= 1
        and np.mean(np.array(drawn) < 0.1) == pytest.approx(0.5, abs=0.04)
    )
    hp = values(np.random.default_rng(0))
    assert (
        hp.Int("n", 2, 4) == hp.Int("n", 2, 4) and hp.Choice("c", [7]) == 7 and 0 <= hp.Float("f", 0, 1) <= 1
    )


def test_search_by_hand_sorts_its_trials(lesson, rng):
    x, y = rng.random((100, 49)).astype("float32"), rng.integers(0, 10, 100)
    results = lesson.search_by_hand(lesson.build, 2, rng, (x, y, x, y))
    assert len(results) == 2 and results[0][0] <= results[1][0] and set(results[0][1]) == set(lesson.SPACE)


def test_keras_tuners_brackets_are_ours_and_it_leaves_nothing_behind(
    lesson, rng, tmp_path, monkeypatch, capfd
):
    keras_tuner = pytest.importorskip("keras_tuner")
    monkeypatch.chdir(tmp_path)
    levels = (10, 4, 3, 3)
    trials = lesson.tuner_hyperband(keras_tuner, rng.random((360, 4)), lesson.RUNGS, levels, seed=1)
    log = lesson.hyperband(rng.random((360, 4)), lesson.RUNGS, rng)[2]
    for s, n, first, _ in log:
        assert sum(trial[:2] == (s, first) for trial in trials) == n
    x, y = rng.random((100, 49)).astype("float32"), rng.integers(0, 10, 100)
    results = lesson.search_with_tuner(keras_tuner, lesson.build, 2, 1, (x, y, x, y))
    assert len(results) == 2 and set(results[0][1]) == set(lesson.SPACE)
    assert not list(Path(tmp_path).iterdir())
    assert capfd.readouterr().err == ""


# ---------------------------------------------------------------------------- the curse


def test_without_differences_the_report_is_too_good_and_nothing_is_gained(lesson, rng):
    right = rng.random((200, 3, 900)) < 0.9  # all configurations are equally good
    for trials in (1, 64):
        reported, honest = lesson.cursed_searches(right, trials, 200, 400, rng)
        assert honest.mean() == pytest.approx(0.1, abs=0.002)
        s = math.sqrt(0.1 * 0.9 / 200)
        t = np.linspace(-8, 8, 4001)
        density = trials * stats.norm.pdf(t) * stats.norm.cdf(t) ** (trials - 1)
        largest = (t * density).sum() * (t[1] - t[0])
        assert largest <= math.sqrt(2 * math.log(trials)) + 1e-9
        assert reported.mean() == pytest.approx(0.1 - s * largest, abs=0.004)


def test_a_retest_chooses_better_and_reports_nearer_the_truth(lesson, rng):
    errors = rng.uniform(0.05, 0.15, 200)
    right = rng.random((200, 3, 900)) >= errors[:, None, None]
    first, retest, chosen, naive = lesson.retested_searches(right, 64, 8, 200, 300, rng).mean(axis=0)
    assert chosen < naive and abs(retest - chosen) < abs(first - naive)


def test_lucky_starts_of_equal_networks_have_no_advantage_elsewhere(lesson, rng):
    here, elsewhere = lesson.lucky_starts(rng.random((100, 900)) < 0.9, 200, 200, rng).mean(axis=0)
    assert here > 0.03 and abs(elsewhere) < 0.004


def test_worked_values_of_the_exercises():
    assert check.trials_needed.reference(0.05, 0.95) == 59
    log_uniform, momentum_values = check.scales.reference
    assert log_uniform(0.5, 0.01, 1) == pytest.approx(0.1)
    assert momentum_values(0.5, 0.9, 0.999) == pytest.approx(0.99)
    assert momentum_values(0.0, 0.9, 0.999) == pytest.approx(0.9)
    assert tuple(map(int, check.halve.reference(np.array([[0.5, 0.1], [0.4, 0.3]]), 1, 2))) == (1, 3)
    assert check.expected_gain.reference(0.0, 1.0, 0.0) == pytest.approx(1 / math.sqrt(2 * math.pi))
    assert check.expected_gain.reference(0.7, 0.0, 0.5) == pytest.approx(0.2)
    assert check.expected_best.reference([0.1, 0.3], 2) == pytest.approx(0.15)
    errors = np.random.default_rng(1).random(6)
    every = [min(draw) for draw in itertools.product(errors, repeat=3)]
    assert check.expected_best.reference(errors, 3) == pytest.approx(np.mean(every))
