"""What lesson 29 builds: the monitor against differences and Keras, the log, the door, and eight ill patients."""

from __future__ import annotations

import math

import numpy as np
import pytest

from course_utils.checks import debugging_and_best_practice as check
from tests.lessons.code import lesson_code


@pytest.fixture(scope="module")
def lesson():
    import tensorflow as tf

    tf.autograph.set_verbosity(0)
    return lesson_code("29_debugging_and_best_practice")


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def pictures(n, rng):
    return rng.integers(0, 256, size=(n, 28, 28)).astype(np.uint8), rng.integers(10, size=n)


# ---------------------------------------------------------------------------- from scratch


def test_gradients_against_differences(lesson, rng):
    network = lesson.init_network([12, 8, 7, 5], rng)
    assert lesson.gradient_error(network, rng.normal(size=(6, 12)), rng.integers(5, size=6), rng) < 1e-5


def test_first_loss_is_log_k_plus_half_the_variance(lesson, rng):
    logits = rng.normal(size=(20_000, 10))
    logits = 0.5 * (logits - logits.mean(axis=1, keepdims=True)) / logits.std(axis=1, keepdims=True)
    loss = -lesson.log_softmax(logits)[:, 0].mean()
    assert abs(loss - (math.log(10) + 0.125)) < 0.02


def test_update_ratio_is_rate_times_gradient_over_weight_for_sgd(lesson, rng):
    X, y = rng.normal(size=(16, 12)), rng.integers(5, size=16)
    network = lesson.init_network([12, 8, 5], rng)
    sizes = np.array([np.linalg.norm(W) for W, _ in network])
    signs = lesson.monitored_step(network, X, y, 0.1)
    assert np.allclose(signs["update"], 0.1 * signs["gradient"] / sizes)


def test_monitor_sees_a_layer_that_is_not_trained(lesson, rng):
    X, y = rng.normal(size=(16, 12)), rng.integers(5, size=16)
    signs = lesson.monitored_step(
        lesson.init_network([12, 8, 5], rng), X, y, 0.1, layers_trained=slice(1, None)
    )
    assert signs["gradient"][0] > 0 and signs["update"][0] == 0 and signs["update"][1] > 0


def test_monitor_counts_dead_units(lesson, rng):
    network = lesson.init_network([12, 8, 5], rng)
    network[0][1][:3] = -1e6
    signs = lesson.monitored_step(network, rng.normal(size=(32, 12)), rng.integers(5, size=32), 0.1)
    assert signs["dead"][0] == 3 / 8


# ---------------------------------------------------------------------------- in Keras


def test_monitored_step_equals_numpy(lesson, rng):
    import keras

    images, labels = pictures(32, rng)
    ours = lesson.init_network([784, 64, 64, 10], rng)
    theirs = lesson.monitored(lesson.build(), lesson.cross_entropy)
    theirs.compile(optimizer=keras.optimizers.SGD(0.1), loss=lesson.cross_entropy)
    theirs.set_weights([array for pair in ours for array in pair])
    signs = lesson.monitored_step(ours, images.reshape(32, -1) / 255, labels, 0.1)
    other = theirs.train_step((images, labels))
    assert math.isclose(signs["loss"], float(other["loss"]), rel_tol=1e-4)
    for name in ("gradient", "update"):
        for value, layer in zip(signs[name], ("hidden1", "hidden2", "logits"), strict=True):
            assert math.isclose(value, float(other[f"{name}/{layer}"]), rel_tol=1e-3)
    for (W, b), layer in zip(ours, ("hidden1", "hidden2", "logits"), strict=True):
        assert np.allclose(W, np.asarray(theirs.get_layer(layer).kernel), atol=1e-5)
        assert np.allclose(b, np.asarray(theirs.get_layer(layer).bias), atol=1e-5)


def test_monitor_in_keras_sees_a_frozen_layer(lesson, rng):
    model = lesson.build()
    model.get_layer("hidden1").trainable = False
    model = lesson.monitored(model, lesson.cross_entropy)
    signs = model.train_step(pictures(16, rng))
    assert float(signs["update/hidden1"]) == 0 and float(signs["update/hidden2"]) > 0


def test_loss_equals_keras(lesson, rng):
    import keras

    logits, labels = rng.normal(size=(9, 10)).astype("float32"), rng.integers(10, size=9)
    wanted = keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction=None)(labels, logits)
    ours = lesson.cross_entropy(labels, keras.ops.convert_to_tensor(logits))
    assert np.allclose(np.asarray(ours), np.asarray(wanted), atol=1e-5)


def test_log_is_read_back_as_it_was_written(lesson, tmp_path):
    log = lesson.EventLog(tmp_path)
    for step in range(3):
        log.on_train_batch_end(step, {"loss": 2.5 - step, "update/hidden1": 0.5**step})
    log.on_epoch_end(0, {"loss": 0.5, "val_loss": 1.25})
    log.on_train_end()
    train, validation = lesson.read_events(tmp_path / "train"), lesson.read_events(tmp_path / "validation")
    assert np.allclose(train["loss"], [[0, 1, 2], [2.5, 1.5, 0.5]])
    assert np.allclose(train["update/hidden1"][1], [1, 0.5, 0.25])
    assert list(validation) == ["loss"] and np.allclose(validation["loss"], [[3], [1.25]])


def test_reads_what_a_summary_writer_wrote(lesson, tmp_path):
    import tensorflow as tf

    writer = tf.summary.create_file_writer(str(tmp_path))
    with writer.as_default():
        tf.summary.write("loss", 0.75, step=4)  # a tensor, as in the files of keras.callbacks.TensorBoard
    writer.close()
    assert np.allclose(lesson.read_events(tmp_path)["loss"], [[4], [0.75]])


def test_beginning_anew_repeats_the_first_step(lesson, rng):
    import tensorflow as tf

    model = lesson.monitored(lesson.build(), lesson.cross_entropy)
    step, weights, batch = (
        tf.function(model.train_step, autograph=False),
        model.get_weights(),
        pictures(16, rng),
    )
    first = [float(step(batch)["loss"]) for _ in range(3)]
    lesson.begin_anew(model, weights)
    assert np.allclose([float(step(batch)["loss"]) for _ in range(3)], first, rtol=1e-5)


# ---------------------------------------------------------------------------- serving


class Served:
    def serve(self, images):
        import tensorflow as tf

        return tf.one_hot(tf.cast(images[:, 0, 0], "int32"), 10) * 5.0


def test_the_door_answers_and_refuses(lesson):
    images = np.zeros((3, 28, 28), np.uint8)
    images[:, 0, 0] = [4, 1, 9]
    read, certainty = lesson.predict(Served(), images)
    assert read.tolist() == [4, 1, 9] and np.allclose(certainty, math.exp(5) / (math.exp(5) + 9))
    assert lesson.predict(Served(), images[:0])[0].shape == (0,)
    with pytest.raises(ValueError, match="shape"):
        lesson.predict(Served(), images[0])
    with pytest.raises(ValueError, match="uint8"):
        lesson.predict(Served(), images / 255)


def test_fingerprints_find_copies(lesson, rng):
    images, _ = pictures(5, rng)
    copies = np.concatenate([images, images[:2]])
    assert len(lesson.fingerprints(copies)) == 5
    assert len(lesson.fingerprints(images) & lesson.fingerprints(images[3:])) == 2


# ---------------------------------------------------------------------------- the patients


@pytest.mark.parametrize(
    ("number", "ill", "word"),
    [
        (1, "build_1", "still as large"),
        (2, "loss_2", "over the batch"),
        (3, "build_3", "all zero"),
        (4, "build_4", "below 0"),
        (5, "shuffle_5", "two different orders"),
        (6, "build_6", "add up to 1"),
        (7, "prepare_7", "split first"),
        (8, "answer_8", "changed the model"),
    ],
)
def test_each_patient_is_ill_in_the_way_its_check_says(lesson, number, ill, word):
    verdict = getattr(check, f"patient_{number}").judge(getattr(lesson, ill))
    assert verdict.status == "not yet" and word in verdict.message


def test_the_healthy_parts_pass_the_checks(lesson):
    for exercise in (check.patient_1, check.patient_3, check.patient_4, check.patient_6):
        assert exercise.judge(lesson.build).status == "correct"
    assert check.patient_2.judge(lesson.cross_entropy).status == "correct"
    assert check.patient_8.judge(lesson.answer).status == "correct"


def test_first_losses_of_the_patients(lesson, rng):
    from keras import ops

    images, labels = pictures(64, rng)
    logits = lesson.build()(images)
    assert abs(float(ops.mean(lesson.loss_2(labels, logits))) - math.log(64)) < 0.7
    assert float(ops.mean(lesson.cross_entropy(labels, lesson.build_1()(images)))) > 20
    assert math.isclose(
        float(ops.mean(lesson.cross_entropy(labels, lesson.build_3()(images)))), math.log(10), rel_tol=1e-5
    )
    best = 20 * np.eye(10, dtype="float32")  # patient 6 with a perfect network: softmax of a one-hot row
    twice = ops.softmax(ops.convert_to_tensor(best), axis=1)
    floor = float(ops.mean(lesson.cross_entropy(np.arange(10), twice)))
    assert math.isclose(floor, math.log(math.e + 9) - 1, rel_tol=1e-3)


def test_examine_returns_a_chart(lesson, rng):
    images, labels = pictures(120, rng)
    chart = lesson.examine(images=images, labels=labels, fresh=(images[:30], labels[:30]), steps=20)
    assert chart["loss"].shape == (20,) and chart["val_loss"].shape == (11,)
    assert 0 <= chart["fresh"] <= 1 and chart["outputs"][0] < 0 < chart["outputs"][1]


def test_table_of_causes_is_the_one_of_the_check():
    import nbformat

    from tests.lessons.code import NOTEBOOKS

    (path,) = NOTEBOOKS.glob("*/29_debugging_and_best_practice.ipynb")
    (task,) = (cell.source for cell in nbformat.read(path, 4).cells if cell.id == "diagnosis-task")
    rows = [line.split("|")[1].strip() for line in task.splitlines() if line.startswith("| ")]
    assert [row for row in rows if row] == list(check._CAUSES)
