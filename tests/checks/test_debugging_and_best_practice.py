"""Right, untouched and wrong answers to the exercises of lesson 29."""

from __future__ import annotations

import numpy as np

from course_utils.checks.debugging_and_best_practice import (
    _DIAGNOSIS,
    _build_solution_1,
    _repaired_7_solution,
)
from tests.checks.common import Case


def _stub(*args):
    return ...


# ---------------------------------------------------------------------------- marks


def _marks(guess=None, blind=None):
    def marks(labels, classes):
        shares = np.bincount(labels, minlength=classes) / len(labels)
        present = shares[shares > 0]
        entropy = -np.sum(present * np.log(present))
        return (
            np.log(classes) if guess is None else guess(shares),
            entropy if blind is None else blind(shares, labels),
        )

    return marks


def _positive(shares):
    return shares[shares > 0]


# ---------------------------------------------------------------------------- diagnosis


def _diagnosis(**changes):
    return _DIAGNOSIS | {int(name[1:]): letter for name, letter in changes.items()}


# ---------------------------------------------------------------------------- models


def _network(
    scale=1 / 255,
    init="he_normal",
    last_init="he_normal",
    hidden="relu",
    last=None,
    bias="zeros",
    after=None,
    late=None,
    count=2,
    shape=(28, 28),
    units=10,
):
    """A function that builds the patients' network with one thing changed."""

    def build():
        import keras
        from keras import layers

        images = keras.Input(shape)
        x = layers.Rescaling(scale)(images) if scale is not None else images
        x = layers.Flatten()(x)
        for number in range(count):
            x = layers.Dense(
                64,
                activation=hidden,
                kernel_initializer=_init(init),
                bias_initializer=bias,
                name=f"hidden{number + 1}",
            )(x)
            if late and number == 0:
                x = layers.Rescaling(late)(x)
        x = layers.Dense(units, activation=last, kernel_initializer=_init(last_init), name="logits")(x)
        if after:
            x = after(layers)(x)
        return keras.Model(images, x)

    return build


def _init(name):
    import keras

    if isinstance(name, tuple):
        kind, value = name
        return getattr(keras.initializers, kind)(value)
    return name


def _no_model():
    _build_solution_1()


def _returns_layer():
    from keras import layers

    return layers.Dense(10)


# ---------------------------------------------------------------------------- patient 2


def _loss_2(change):
    def loss(labels, logits):
        from keras import ops

        one_hot = ops.one_hot(ops.cast(labels, "int32"), logits.shape[1])
        return change(ops, one_hot, logits)

    return loss


# ---------------------------------------------------------------------------- data


def _in_place_5(images, labels, rng):
    order = rng.permutation(len(images))
    images[:] = images[order]
    labels[:] = labels[order]
    return images, labels


def _order_5(first, second):
    def shuffle(images, labels, rng):
        return images[first(rng, len(images))], labels[second(rng, len(images))]

    return shuffle


def _replacement_5(images, labels, rng):
    chosen = rng.choice(len(images), len(images))
    return images[chosen], labels[chosen]


def _fixed_5(images, labels, rng):
    order = np.random.default_rng(0).permutation(len(images))
    return images[order], labels[order]


def _lost_5(images, labels, rng):
    order = rng.permutation(len(images))[:-5]
    return images[order], labels[order]


_SHIFTS = [(down, right) for down in (-1, 0, 1) for right in (-1, 0, 1)]


def _enlarge(images, labels):
    return np.concatenate([np.roll(images, s, axis=(1, 2)) for s in _SHIFTS]), np.tile(labels, len(_SHIFTS))


def _sick_7(images, labels, rng):
    images, labels = _enlarge(images, labels)
    order = rng.permutation(len(images))
    images, labels = images[order], labels[order]
    cut = len(images) // 5
    return images[cut:], labels[cut:], images[:cut], labels[:cut]


def _deduplicated_7(images, labels, rng):
    X, y, X_val, y_val = _sick_7(images, labels, rng)
    known = {image.tobytes() for image in X_val}
    keep = [image.tobytes() not in known for image in X]
    return X[keep], y[keep], X_val, y_val


def _order_kept_7(images, labels, rng):
    X, y, *_ = _repaired_7_solution(images, labels, rng)
    return X, y, images[:10], labels[:10]


def _wrong_labels_7(images, labels, rng):
    X, y, X_val, y_val = _repaired_7_solution(images, labels, rng)
    return X, np.repeat(y[: len(y) // 9], 9), X_val, y_val


def _not_enlarged_7(images, labels, rng):
    order = rng.permutation(len(images))
    val, train = order[:10], order[10:]
    return images[train], labels[train], images[val], labels[val]


def _half_7(images, labels, rng):
    order = rng.permutation(len(images))
    val, train = order[:25], order[25:]
    return *_enlarge(images[train], labels[train]), images[val], labels[val]


def _block_7(images, labels, rng):
    return *_enlarge(images[10:], labels[10:]), images[:10], labels[:10]


def _dropped_7(images, labels, rng):
    order = rng.permutation(len(images))
    val, train = order[:10], order[10:40]
    return *_enlarge(images[train], labels[train]), images[val], labels[val]


# ---------------------------------------------------------------------------- patient 8


def _ask(**options):
    def ask(model, images):
        from keras import ops

        return ops.convert_to_numpy(ops.argmax(model(images, **options), axis=1))

    return ask


def _one_by_one(model, images):
    return np.concatenate([_ask(training=True)(model, images[i : i + 1]) for i in range(len(images))])


def _logits_8(model, images):
    from keras import ops

    return ops.convert_to_numpy(model(images, training=False))


def _axis_8(model, images):
    return _logits_8(model, images).argmax(axis=0)


def _frozen_8(model, images):
    """Batch normalisation frozen: it uses its running values, but dropout is still active."""
    model.trainable = False
    return _ask(training=True)(model, images)


def _restored_8(model, images):
    """Training mode with the weights put back: the model is unharmed, the answers are not."""
    weights = model.get_weights()
    answers = _ask(training=True)(model, images)
    model.set_weights(weights)
    return answers


def _centred_8(model, images):
    logits = _logits_8(model, images)
    return (logits - logits.mean(axis=0)).argmax(axis=1)


def _least_8(model, images):
    return _logits_8(model, images).argmin(axis=1)


CASES = {
    "loss_marks": Case(
        stub=_stub,
        wrong=[
            (_marks(guess=lambda s: np.log2(len(s))), "in bits"),
            (_marks(guess=lambda s: np.log(len(_positive(s)))), "only the classes that occur"),
            (_marks(blind=lambda s, y: -np.sum(s * np.log(s))), "NaN"),
            (_marks(blind=lambda s, y: -np.sum(_positive(s) * np.log2(_positive(s)))), "in bits"),
            (_marks(blind=lambda s, y: np.sum(_positive(s) * np.log(_positive(s)))), "sign"),
            (_marks(blind=lambda s, y: -np.log(s.max())), "most common class alone"),
            (_marks(blind=lambda s, y: 1 - s.max()), "error rate"),
            (_marks(blind=lambda s, y: -np.mean(np.log(_positive(s)))), "equal weight"),
            (_marks(blind=lambda s, y: -len(y) * np.sum(_positive(s) * np.log(_positive(s)))), "sum over"),
            (lambda y, k: _marks()(y, k)[::-1], "wrong order"),
            (lambda y, k: np.log(k), "single"),
        ],
    ),
    "diagnosis": Case(
        stub={n: ... for n in range(1, 9)},
        wrong=[
            (_diagnosis(p2="H", p6="J"), "6 of 8 are right. Patient 2 does not have H"),
            (_diagnosis(p3="G"), "nearly all units dead"),
            (_diagnosis(p7="F"), "fresh"),
            (_diagnosis(p8="A"), "one image at a time"),
            (_diagnosis(p5=...), "patient 5"),
            (_diagnosis(p5="Q"), "not among the causes"),
            (["D", "J"], "dict"),
        ],
    ),
    "patient_1": Case(
        stub=_stub,
        wrong=[
            (_network(scale=None), "still as large as 25"),
            (_network(scale=None, init=("Orthogonal", 0.01)), "cures the symptom"),
            (_network(scale=None, late=1 / 255), "cures the symptom"),
            (_network(scale=1e-6), "too far"),
            (_network(last="softmax"), "add up to 1"),
            (_network(hidden=None), "linear"),
            (_network(count=1), "amputating"),
            (_network(shape=(784,)), "(n, 28, 28)"),
            (_no_model, "return"),
            (_returns_layer, "Keras model"),
        ],
    ),
    "patient_2": Case(
        stub=_stub,
        wrong=[
            (
                _loss_2(lambda ops, Y, Z: -ops.sum(Y * ops.log_softmax(Z, axis=0), axis=1)),
                "still runs over the batch",
            ),
            (_loss_2(lambda ops, Y, Z: ops.sum(Y * ops.log_softmax(Z, axis=1), axis=1)), "sign"),
            (
                _loss_2(lambda ops, Y, Z: -ops.sum(Y * ops.softmax(Z, axis=1), axis=1)),
                "minus the probability",
            ),
            (
                _loss_2(lambda ops, Y, Z: -ops.mean(ops.sum(Y * ops.log_softmax(Z, axis=1), axis=1))),
                "every example",
            ),
            (_loss_2(lambda ops, Y, Z: -ops.sum(ops.log_softmax(Z, axis=1), axis=1)), "only the true class"),
            (
                _loss_2(
                    lambda ops, Y, Z: -ops.sum(Y * ops.log_softmax(ops.softmax(Z, axis=1), axis=1), axis=1)
                ),
                "twice",
            ),
            (_loss_2(lambda ops, Y, Z: -ops.sum(Y * Z, axis=1)), "without any softmax"),
            (
                _loss_2(lambda ops, Y, Z: -ops.sum(Y * (Z - ops.log(ops.sum(ops.exp(Z)))), axis=1)),
                "whole array",
            ),
            (_loss_2(lambda ops, Y, Z: -ops.sum(Y * ops.log_softmax(Z, axis=1), axis=0)), "shape"),
        ],
    ),
    "patient_3": Case(
        stub=_stub,
        wrong=[
            (_network(init="zeros", last_init="zeros"), "still all zero"),
            (_network(init=("Constant", 0.01), last_init=("Constant", 0.01)), "copies of one another"),
            (_network(init="zeros", last_init="he_normal", bias="random_normal"), "still all zero"),
            (_network(last_init="zeros"), "output layer begins with equal weights"),
            (_network(init="zeros", last_init="he_normal"), "still all zero"),
            (lambda: _wide(1.0), "too large"),
            (lambda: _wide(1e-4), "too small"),
            (_network(hidden=None), "linear"),
        ],
    ),
    "patient_4": Case(
        stub=_stub,
        wrong=[
            (_network(last="relu"), "below 0"),
            (_network(last="softmax"), "add up to 1"),
            (_network(last="tanh"), "squashes"),
            (_network(last="sigmoid"), "below 0"),
            (_network(hidden=None), "linear"),
            (_network(units=9), "(64, 10)"),
        ],
    ),
    "patient_5": Case(
        stub=_stub,
        wrong=[
            (_order_5(lambda r, n: r.permutation(n), lambda r, n: r.permutation(n)), "two different orders"),
            (_order_5(lambda r, n: r.permutation(n), lambda r, n: np.arange(n)), "labels stayed"),
            (_order_5(lambda r, n: np.arange(n), lambda r, n: r.permutation(n)), "only the labels"),
            (lambda images, labels, rng: (images, labels), "nothing was shuffled"),
            (_replacement_5, "with replacement"),
            (_in_place_5, "in place"),
            (_fixed_5, "fixed seed"),
            (_lost_5, "came out"),
        ],
    ),
    "patient_6": Case(
        stub=_stub,
        wrong=[
            (_network(last="softmax"), "add up to 1"),
            (_network(after=lambda layers: layers.Softmax()), "add up to 1"),
            (_network(last="sigmoid"), "below 0"),
            (_network(last="relu"), "ReLU"),
            (_network(last="tanh"), "squashes"),
            (_network(hidden=None), "linear"),
        ],
    ),
    "patient_7": Case(
        stub=_stub,
        wrong=[
            (_sick_7, "split first"),
            (_deduplicated_7, "Removing exact copies"),
            (_order_kept_7, "training set as well."),
            (_wrong_labels_7, "own label"),
            (_not_enlarged_7, "nine places"),
            (_half_7, "instead of a fifth"),
            (_dropped_7, "images were lost"),
            (_block_7, "block from one end"),
        ],
    ),
    "patient_8": Case(
        stub=_stub,
        wrong=[
            (_ask(training=True), "changed the model"),
            (_one_by_one, "changed the model"),
            (_logits_8, "ten numbers"),
            (_axis_8, "over the batch"),
            (_frozen_8, "Dropout"),
            (_restored_8, "random"),
            (_centred_8, "in a batch"),
            (_least_8, "largest logit"),
        ],
    ),
}


def _wide(stddev):
    from keras.initializers import RandomNormal

    def build():
        import keras
        from keras import layers

        images = keras.Input((28, 28))
        x = layers.Flatten()(layers.Rescaling(1 / 255)(images))
        for _ in range(2):
            x = layers.Dense(64, activation="relu", kernel_initializer=RandomNormal(stddev=stddev))(x)
        return keras.Model(images, layers.Dense(10, kernel_initializer=RandomNormal(stddev=stddev))(x))

    return build()


def test_other_ways_to_repair_are_accepted():
    from course_utils.checks import debugging_and_best_practice as check

    assert check.patient_1.judge(_network(scale=1 / 256)).status == "correct"
    assert (
        check.patient_3.judge(_network(init="glorot_uniform", last_init="glorot_uniform")).status == "correct"
    )
    assert check.patient_4.judge(_network(hidden="gelu")).status == "correct"
    assert check.patient_8.judge(_ask()).status == "correct"  # a call is in inference mode by default


def test_partial_diagnosis_and_lower_case():
    from course_utils.checks import debugging_and_best_practice as check

    assert check.diagnosis.judge({n: letter.lower() for n, letter in _DIAGNOSIS.items()}).status == "correct"
