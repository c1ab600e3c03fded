"""What lesson 27 builds, against Keras, exact values, and what its text claims."""

from __future__ import annotations

import numpy as np
import pytest

from course_utils.checks import learning_rate_schedules as check
from course_utils.explorables import schedule_painter as painter
from tests.lessons.code import lesson_code

PEAK, STEPS = 0.08, 100
t = np.arange(STEPS)


@pytest.fixture(scope="module")
def lesson():
    return lesson_code("27_learning_rate_schedules")


@pytest.fixture
def rng():
    return np.random.default_rng(0)


# ---------------------------------------------------------------------------- the noisy quadratic


@pytest.mark.parametrize("rates", [np.full(60, 0.3), np.linspace(0.9, 0.01, 60)])
def test_expected_squares_are_means_of_runs(lesson, rng, rates):
    curvatures, start = np.array([0.5, 2.0]), np.array([3.0, -1.0])
    paths = lesson.noisy_descent(rates, curvatures, start, 0.7, rng, runs=20_000)
    exact = lesson.expected_squares(rates, curvatures, start, 0.7)
    assert np.allclose(np.mean(paths**2, axis=1), exact, rtol=0.06, atol=1e-4)


def test_floor_and_way_of_a_constant_rate(lesson):
    curvature, noise, rate = 1.7, 0.6, 0.4
    v = lesson.expected_squares(np.full(200, rate), np.array([curvature]), [2.0], noise)[:, 0]
    floor = rate * noise**2 / (curvature * (2 - rate * curvature))
    assert v[-1] == pytest.approx(floor)
    assert np.allclose(v[:9] - floor, (1 - rate * curvature) ** (2 * np.arange(9)) * (4 - floor))


def test_best_schedule_in_one_direction_is_the_running_mean(lesson):
    best = lesson.best_schedule(np.array([1.0]), np.array([1e4]), 1.0, 12, limit=1.5, sweeps=50)
    assert np.allclose(best, 1 / np.arange(1, 13), rtol=1e-4)
    own = check.best_rates.reference(1.0, 1e4, 1.0, [1] * 12)
    assert np.allclose(best, own, rtol=1e-6)


def test_best_schedule_is_a_minimum_and_no_named_schedule_beats_it(lesson, rng):
    curvatures = np.array([1.0, 20.0])
    best = lesson.best_schedule(curvatures, np.array([2.0, 1.0]), 1.0, STEPS, limit=0.1)

    def loss(rates):
        return 0.5 * lesson.expected_squares(rates, curvatures, [2.0, 1.0], 1.0)[-1] @ curvatures

    assert best.max() <= 0.1
    for _ in range(20):
        assert loss(np.clip(best * np.exp(0.1 * rng.normal(size=STEPS)), 0, 0.1)) > loss(best)
    candidates = np.geomspace(0.002, 0.099, 30)
    lowest = {
        name: min(loss(schedule(t, STEPS, peak)) for peak in candidates)
        for name, schedule in _named(lesson).items()
    }
    assert loss(best) < min(lowest.values())
    assert (
        lowest["cosine"] < 1.3 * loss(best) and lowest["exponential"] > lowest["constant"]
    )  # as the text says
    for name in ("step", "cosine", "warm-up", "one-cycle"):
        assert lowest[name] < lowest["constant"] / 2
    first = int(np.argmax(best < 0.0999))
    assert 15 < first < 25 and best[-1] < 0.004 and (np.diff(best[first:]) < 0).all()


def test_batches_do_not_matter_to_the_best_rates_of_one_direction(lesson):
    def end(batches):
        square = 1.0
        for rate, batch in zip(check.best_rates.reference(1.0, 1.0, 1.0, batches), batches, strict=True):
            square = (1 - rate) ** 2 * square + rate**2 / batch
        return square

    assert end([1] * 30) == pytest.approx(end([15, 15])) == pytest.approx(1 / 31)


# ---------------------------------------------------------------------------- schedules


def _named(lesson):
    return {
        "constant": lesson.constant, "step": lesson.step_decay, "exponential": lesson.exponential,
        "cosine": lesson.cosine, "warm-up": lesson.warmup_cosine, "one-cycle": lesson.one_cycle,
    }  # fmt: skip


@pytest.mark.parametrize("steps", [40, 100, 301])
def test_schedules_are_those_of_the_figure(lesson, steps):
    for name, schedule in _named(lesson).items():
        wanted = painter.learning_rates(name, steps, PEAK)
        assert np.allclose(schedule(np.arange(steps), steps, PEAK), wanted, atol=1e-12), name


def test_figure_and_lesson_have_the_same_floor_and_valley(lesson):
    curvatures = np.array(painter.CURVATURES)
    v = lesson.expected_squares(np.full(3000, 0.06), curvatures, painter.START, 0.7)[-1]
    assert 0.5 * v @ curvatures == pytest.approx(painter.noise_floor(0.06, 0.7))


@pytest.mark.parametrize("steps", [40, 100])
def test_schedules_equal_keras(lesson, steps):
    import keras

    schedules, t = keras.optimizers.schedules, np.arange(steps)
    warm = max(1, int(0.1 * steps + 0.5))
    quarter = steps // 4
    pairs = [
        (lesson.exponential(t, steps, PEAK), schedules.ExponentialDecay(PEAK, steps, 0.01)),
        (lesson.cosine(t, steps, PEAK), schedules.CosineDecay(PEAK, steps)),
        (
            lesson.step_decay(t, steps, PEAK),
            schedules.PiecewiseConstantDecay(
                [k * quarter - 1 for k in (1, 2, 3)], [PEAK * 0.3**k for k in range(4)]
            ),
        ),
        (
            lesson.warmup_cosine(t, steps, PEAK, first=0),
            schedules.CosineDecay(0.0, steps - warm, warmup_target=PEAK, warmup_steps=warm),
        ),
        (lesson.restarts(t, 12, PEAK), schedules.CosineDecayRestarts(PEAK, 12, t_mul=2.0)),
        (lesson.one_cycle(t, steps, PEAK), lesson.OneCycle(PEAK, steps)),
    ]
    for ours, theirs in pairs:
        assert np.allclose(ours, [float(theirs(int(step))) for step in t], atol=1e-6)


def test_one_cycle_survives_saving(lesson, tmp_path):
    import keras

    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(lesson.OneCycle(0.2, 50, share=0.4)), "mse")
    model.fit(np.ones((4, 2)), np.zeros(4), verbose=0)
    model.save(tmp_path / "model.keras")
    copy = keras.saving.load_model(tmp_path / "model.keras")
    assert float(copy.optimizer.learning_rate) == pytest.approx(
        float(lesson.one_cycle(1, 50, 0.2, share=0.4))
    )


def test_a_rate_from_a_schedule_cannot_be_set():
    import keras

    optimizer = keras.optimizers.SGD(keras.optimizers.schedules.CosineDecay(0.1, 10))
    with pytest.raises(TypeError):
        optimizer.learning_rate = 0.01


@pytest.mark.parametrize("settings", [
    {"factor": 0.5, "patience": 2, "cooldown": 1}, {"factor": 0.1, "patience": 1, "min_delta": 0.05},
    {"factor": 0.3, "patience": 3, "cooldown": 4},
])  # fmt: skip
def test_plateau_equals_the_callback(lesson, rng, settings):
    losses = np.exp(-0.1 * np.arange(40)) + 0.2 * rng.random(40)
    ours, theirs = (
        lesson.plateau_rates(losses, 0.1, **settings),
        lesson.callback_rates(losses, 0.1, **settings),
    )
    assert np.allclose(ours, theirs, rtol=1e-5) and len(set(theirs)) > 1


def test_plateau_stops_at_the_smallest_rate(lesson):
    losses = np.ones(30)
    ours = lesson.plateau_rates(losses, 0.1, factor=0.5, patience=1, min_rate=0.02)
    theirs = lesson.callback_rates(losses, 0.1, factor=0.5, patience=1, min_lr=0.02)
    assert np.allclose(ours, theirs) and ours.min() == 0.02


# ---------------------------------------------------------------------------- Adam, clipping


def test_size_of_adams_steps_on_noise(lesson, rng):
    steps = lesson.adam_steps(rng.normal(size=(40, 20_000)))
    n = np.arange(1, 41)
    assert np.allclose(np.abs(steps[0]), 1)
    assert np.allclose(
        np.sqrt(np.mean(steps**2, axis=1)), np.sqrt(0.1 / 1.9 * (1 + 0.9**n) / (1 - 0.9**n)), rtol=0.05
    )


@pytest.mark.parametrize("limit", [0.3, 2.0, 50.0])
def test_clipping_equals_keras(lesson, rng, limit):
    grads = [3 * rng.normal(size=(4, 3)), 0.1 * rng.normal(size=3)]
    pairs = [
        ([lesson.clip_by_value(g, limit) for g in grads], {"clipvalue": limit}),
        ([lesson.clip_by_norm(g, limit) for g in grads], {"clipnorm": limit}),
        (lesson.clip_by_global_norm(grads, limit), {"global_clipnorm": limit}),
    ]
    for ours, clipping in pairs:
        theirs = lesson.keras_clipped(grads, **clipping)
        assert all(np.allclose(a, b, atol=1e-6) for a, b in zip(ours, theirs, strict=True))


def test_what_clipping_does_to_the_direction(lesson, rng):
    assert lesson.angle_between(np.array([10.0, 1.0]), lesson.clip_by_value(np.array([10.0, 1.0]), 1.0)) == (
        pytest.approx(39.3, abs=0.1)
    )
    for g in rng.normal(size=(50, 6)):
        assert g @ lesson.clip_by_value(g, 0.2) > 0
        assert lesson.angle_between(g, lesson.clip_by_norm(g, 0.2)) < 1e-4
    assert not lesson.clip_by_norm(np.zeros(3), 1.0).any()
    with np.errstate(invalid="ignore"):
        spoilt = lesson.clip_by_global_norm([np.array([np.inf, 1.0]), np.ones(2)], 1.0)
    assert np.isnan(spoilt[0][0]) and not spoilt[1].any()  # inf times 0; the other array is lost as well


# ---------------------------------------------------------------------------- the crowd


def _data(rng, n=64):
    return rng.random((n, 49)).astype("float32"), rng.integers(0, 10, n).astype("int32")


def test_a_network_of_the_crowd_is_a_keras_network(lesson, rng):
    import keras

    x, y = _data(rng)
    crowd = lesson.Crowd((49, 8, 10), [3, 4])
    batches = lesson.draw_batches([3, 4], 64, 16, 6)
    rates = np.stack([lesson.cosine(np.arange(6), 6, 0.2), np.full(6, 0.05)], axis=1)
    model = keras.Sequential(
        [keras.Input((49,)), keras.layers.Dense(8, activation="relu"), keras.layers.Dense(10)]
    )
    model.set_weights([p.numpy()[0] if p.shape[1] > 1 else p.numpy()[0, 0] for p in crowd.params])
    schedule = keras.optimizers.schedules.CosineDecay(0.2, 6)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(schedule, momentum=0.9, global_clipnorm=0.7), loss)
    order = batches[:, 0].ravel()
    model.fit(x[order], y[order], batch_size=16, shuffle=False, verbose=0)
    losses, norms = lesson.train_crowd(crowd, x, y, batches, rates, limit=0.7)
    assert losses.shape == norms.shape == (6, 2)
    for ours, theirs in zip(crowd.params, model.get_weights(), strict=True):
        assert np.allclose(np.squeeze(ours.numpy()[0]), theirs, atol=1e-5)
    assert lesson.scores(crowd, x, y)[0][0] == pytest.approx(float(model.evaluate(x, y, verbose=0)), rel=1e-4)


def test_adam_update_is_keras_adam(lesson, rng):
    import keras
    import tensorflow as tf

    first, grads = rng.normal(size=(2, 3, 4)), 1 + rng.random(size=(8, 2, 3, 4))
    param = tf.Variable(first, dtype="float32")
    memory = [(tf.Variable(tf.zeros_like(param)), tf.Variable(tf.zeros_like(param)))]
    variable = keras.Variable(first)
    optimizer = keras.optimizers.Adam(0.01)
    for t, grad in enumerate(grads * rng.choice([-1, 1], size=grads.shape), start=1):
        grad = tf.constant(grad, tf.float32)
        lesson.adam_update([param], [grad], memory, tf.constant(0.01), tf.constant(float(t)))
        optimizer.apply([grad], [variable])
    assert np.allclose(param.numpy(), variable.numpy(), atol=1e-6)


def test_begin_anew_and_batches(lesson, rng):
    x, y = _data(rng)
    crowd = lesson.Crowd((49, 8, 10), [0, 1])
    batches = lesson.draw_batches([0, 1], 64, 10, 15)
    assert batches.shape == (15, 2, 10)
    assert len(set(batches[:6, 0].ravel())) == 60, "an epoch takes every example at most once"
    first, _ = lesson.train_crowd(crowd, x, y, batches, np.array(0.1))
    crowd.begin_anew()
    assert np.array_equal(lesson.train_crowd(crowd, x, y, batches, np.array(0.1))[0], first)


def test_range_test_callback_keeps_the_loss_of_each_batch(lesson, rng):
    import keras

    x, y = _data(rng)
    model = keras.Sequential([keras.Input((49,)), keras.layers.Dense(10)])
    model.compile(keras.optimizers.SGD(0.1), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    W, b = model.get_weights()
    test = lesson.RangeTest(1e-3, 1.0, 4)
    model.fit(x, y, batch_size=16, shuffle=False, callbacks=[test], verbose=0)
    for k, rate in enumerate(np.geomspace(1e-3, 1.0, 4)):
        X, labels = x[16 * k : 16 * k + 16], y[16 * k : 16 * k + 16]
        logits = X @ W + b
        P = np.exp(logits - logits.max(axis=1, keepdims=True))
        P /= P.sum(axis=1, keepdims=True)
        assert test.losses[k] == pytest.approx(-np.mean(np.log(P[np.arange(16), labels])), rel=1e-4)
        grad = (P - np.eye(10)[labels]) / 16
        W, b = W - rate * X.T @ grad, b - rate * grad.sum(axis=0)


def test_thirds_see_the_same_examples_with_fewer_updates(lesson, rng):
    x, y = _data(rng, n=512)
    networks = lesson.Crowd((49, 8, 10), [0, 1])
    updates = {}
    for kind in ("constant", "rate falls", "batch grows"):
        losses, updates[kind] = lesson.train_in_thirds(networks, kind, 0.05, [0, 1], 3, x, y, x, y)
        assert losses.shape == (3, 2)
    assert updates == {"constant": 96, "rate falls": 96, "batch grows": 32 + 8 + 2}


# ---------------------------------------------------------------------------- exercises


def test_worked_values_of_the_exercises():
    assert check.schedule_steps.reference(100, 32, 5, 1) == (4, 16)
    assert np.allclose(
        check.trapezoid.reference(np.arange(8), 8, 1.0, 2, 4), [0.5, 1, 1, 1, 1, 0.75, 0.5, 0.25]
    )
    assert check.read_range_test.reference([1, 2, 4, 8, 16], [3, 2.5, 1, 2, np.nan], 0.0) == (2, 4)
    clipped = check.mean_of_clipped.reference(np.array([[30.0, 40.0], [0.3, 0.4], [0.0, 0.0]]), 1.0)
    assert np.allclose(clipped, [0.3, 0.4])
    assert np.allclose(check.best_rates.reference(1.0, 1.0, 1.0, [1, 1, 1]), [1 / 2, 1 / 3, 1 / 4])
