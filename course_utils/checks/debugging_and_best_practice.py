"""Checks of lesson 29: the marks of a loss, the diagnoses, and the repair of eight broken models."""

from __future__ import annotations

from typing import Any

import numpy as np

from course_utils.checks._engine import NotAttempted, NotYet, as_array, call, close, exercise, expect, several

Array = np.ndarray


# ---------------------------------------------------------------------------- the marks of the loss


def _loss_marks_solution(labels, classes):
    shares = np.bincount(labels, minlength=classes) / len(labels)
    present = shares[shares > 0]  # 0 log 0 is 0
    return np.log(classes), -np.sum(present * np.log(present))


@exercise(
    "debugging_and_best_practice.first_loss",
    solution=_loss_marks_solution,
    hints=[
        "Equal logits give every class the same probability. What is minus its logarithm, whatever the labels?",
        "Without the image the best that one can do is to predict the shares of the classes. Their mean loss is the "
        "entropy of the shares.",
        "np.bincount(labels, minlength=classes) counts. A class with share 0 contributes nothing, but 0 · log 0 is NaN "
        "for NumPy: leave such classes out of the sum.",
    ],
)
def loss_marks(answer: Any) -> None:
    """The loss of equal logits, and the best loss without looking at the input."""
    rng = np.random.default_rng(29)
    for labels, classes in [
        (np.array([0, 0, 0, 1]), 2),
        (rng.choice(5, 60, p=[0.5, 0.2, 0.15, 0.1, 0.05]), 5),
        (np.array([1, 1, 1, 2, 3, 3]), 5),
    ]:
        with np.errstate(all="ignore"):
            results = several(
                call(answer, labels.copy(), classes), "the loss of equal logits", "the best blind loss"
            )
        guess, blind = (float(as_array(value, "A result", shape=())) for value in results)
        shares = np.bincount(labels, minlength=classes) / len(labels)
        present = shares[shares > 0]
        entropy = float(-np.sum(present * np.log(present)))
        where = f"with class shares {np.round(shares, 2).tolist()}"
        if np.isclose(guess, entropy) and np.isclose(blind, np.log(classes)):
            raise NotYet("The two numbers are in the wrong order: the loss of equal logits comes first.")
        expect(
            not np.isclose(guess, np.log2(classes)),
            f"The first number is {guess:.3f} {where}: that is in bits. The loss uses the natural logarithm.",
        )
        if len(present) < classes:
            expect(
                not np.isclose(guess, np.log(len(present))),
                "The first number counts only the classes that occur. Equal logits give probability to all classes.",
            )
            expect(
                not np.isnan(blind),
                "The second number is NaN when a class does not occur: 0 · log 0 has to count as 0.",
            )
        close(guess, np.log(classes), f"The loss of equal logits {where}", rtol=1e-4)
        named = [
            (entropy / np.log(2), "That is in bits; use the natural logarithm."),
            (-entropy, "The sign is wrong: a logarithm of a share is negative."),
            (
                -np.log(shares.max()),
                "That is the loss of the most common class alone. Average over all labels.",
            ),
            (
                1 - shares.max(),
                "That is the error rate of always answering the most common class, not a loss.",
            ),
            (entropy * len(labels), "That is a sum over the examples; the loss is their mean."),
            (
                -np.mean(np.log(present)),
                "The logarithms were averaged with equal weight; weigh them by the shares.",
            ),
        ]
        for value, message in named:
            expect(not np.isclose(blind, value), f"The second number is {blind:.3f} {where}. {message}")
        close(blind, entropy, f"The best loss without the images {where}", rtol=1e-4)


# ---------------------------------------------------------------------------- diagnosis

_CAUSES = {
    "A": "copies of training images in the validation set",
    "B": "a ReLU at the output",
    "C": "an untrained first layer",
    "D": "pixels as bytes",
    "E": "answering with the statistics of the request",
    "F": "images and labels shuffled apart",
    "G": "a learning rate a hundred times too high",
    "H": "a softmax that is applied twice",
    "I": "weights that all begin at zero",
    "J": "a softmax over the batch",
}
_WOULD_SHOW = {
    "A": "a validation set that does much better than fresh images",
    "B": "outputs that are never below zero and have no upper limit",
    "C": "an update of exactly zero beside a gradient that is not zero",
    "D": "a first loss far above log 10",
    "E": "other answers to single images than to the batch",
    "F": "a validation accuracy at the level of guessing although the gradients and the first loss are normal",
    "G": "first updates larger than the weights and nearly all units dead",
    "H": "outputs between 0 and 1",
    "I": "a gradient of exactly zero",
    "J": "a first loss near the logarithm of the batch size, log 64 = 4.16",
}
_OBSERVED = {
    1: "Look at the first loss: what could make the logits of an untrained network that large?",
    2: "Its accuracy is good. Look at the first loss, between 4 and 5, and ask of what number it is the logarithm.",
    3: "Look for exact values: its first loss, and its first gradient.",
    4: "Look at the lowest output, and at how many different digits it answers.",
    5: "The first loss and the gradients are normal and the training loss falls a little; look at the validation.",
    6: "Its accuracy is good and its loss stays high. Look at the range of the outputs.",
    7: "Its curves look healthy. Compare its own validation with the fresh images.",
    8: "Everything in its training is normal. Compare its answers to many images and to one image at a time.",
}


def _read_diagnosis(answer: Any) -> dict[int, str]:
    expect(isinstance(answer, dict), "The diagnosis should be a dict from the patient's number to a letter.")
    if all(value is Ellipsis for value in answer.values()):
        raise NotAttempted
    missing = [n for n in range(1, 9) if answer.get(n, ...) is Ellipsis]
    expect(not missing, f"No diagnosis yet for patient {', '.join(map(str, missing))}.")
    letters = {n: str(answer[n]).strip().upper() for n in range(1, 9)}
    unknown = [letter for letter in letters.values() if letter not in _CAUSES]
    expect(not unknown, f"{unknown[:1]} is not among the causes A to J." if unknown else "")
    return letters


_DIAGNOSIS = {1: "D", 2: "J", 3: "I", 4: "B", 5: "F", 6: "H", 7: "A", 8: "E"}


@exercise(
    "debugging_and_best_practice.diagnose",
    solution=_DIAGNOSIS,
    source=f"diagnosis = {_DIAGNOSIS}",
    hints=[
        "Three patients are told by their first loss alone. Which values would you expect, and what numbers are they "
        "logarithms of?",
        "Two have good accuracy and yet a fault in training. For those the range of the outputs and the size of the "
        "batch matter.",
        "Two are ill only outside the training: compare the columns `own validation`, `fresh` and `one by one`. "
        "What remains is a wall at log 10, with a gradient of zero or without, and a network that never gives "
        "some answers.",
    ],
)
def diagnosis(answer: Any) -> None:
    """The cause of each patient's illness."""
    letters = _read_diagnosis(answer)
    wrong = [n for n in letters if letters[n] != _DIAGNOSIS[n]]
    if wrong:
        n = wrong[0]
        raise NotYet(
            f"{8 - len(wrong)} of 8 are right. Patient {n} does not have {letters[n]}, {_CAUSES[letters[n]]}: that "
            f"would show as {_WOULD_SHOW[letters[n]]}. {_OBSERVED[n]}"
        )


# ---------------------------------------------------------------------------- models


def _pictures(n: int = 64) -> Array:
    """Bytes (n, 28, 28): blurred strokes on empty paper, about as much ink as a digit has."""
    rng = np.random.default_rng(29)
    pictures = np.zeros((n, 28, 28))
    for picture in pictures:
        for _ in range(4):
            row, column = rng.integers(5, 19, size=2)
            height, width = rng.integers(2, 7, size=2)
            picture[row : row + height, column : column + width] = rng.uniform(120, 255)
    return pictures.astype(np.uint8)


def _model(answer: Any, name: str) -> tuple[Any, Array]:
    """The model that a repair builds, and its outputs (64, 10) for pictures of bytes."""
    import keras

    keras.utils.set_random_seed(29)
    model = call(answer)
    expect(
        isinstance(model, keras.Model),
        f"{name} should return a Keras model, but it returned {'None (is the `return` missing?)' if model is None else 'a ' + type(model).__name__}.",
    )
    expect(
        model.built and tuple(model.input_shape[1:]) == (28, 28),
        "The model should take images of shape (n, 28, 28).",
    )
    outputs = _outputs(model, _pictures())
    expect(outputs.shape == (64, 10), f"For 64 images the model returns shape {outputs.shape}, not (64, 10).")
    expect(np.isfinite(outputs).all(), "The outputs are not finite.")
    return model, outputs


def _outputs(model: Any, images: Array, **options: Any) -> Array:
    from keras import ops

    return np.asarray(ops.convert_to_numpy(model(images.astype("float32"), **options)), dtype=float)


def _dense(model: Any) -> list[Any]:
    from keras import layers

    return [layer for layer in model.layers if isinstance(layer, layers.Dense)]


def _front(model: Any, layer: Any) -> Array:
    """What reaches a layer, for the pictures, in training mode (so that a normalisation normalises)."""
    import keras

    if layer.input is model.input:
        return _pictures().astype(float)
    return _outputs(keras.Model(model.input, layer.input), _pictures(), training=True)


def _first_loss(outputs: Array) -> float:
    shifted = outputs - outputs.max(axis=1, keepdims=True)
    log_P = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return float(-log_P.mean())


def _expect_layers(model: Any, count: int = 3) -> list[Any]:
    dense = _dense(model)
    expect(
        len(dense) >= count,
        f"The model has {len(dense)} Dense layers; the patient had {count}. Repair without amputating.",
    )
    return dense


def _expect_logits(model: Any, outputs: Array) -> None:
    """Outputs that may have either sign and any size."""
    model_scaled = _outputs(model, _pictures()) if outputs is None else outputs
    sums = model_scaled.sum(axis=1)
    expect(
        not (np.allclose(sums, 1, atol=1e-3) and model_scaled.min() >= 0),
        "The outputs of every image are positive and add up to 1: they are probabilities. The loss applies a softmax "
        "itself, so a softmax in the model is one too many.",
    )
    with_weights = _with_loud_last_layer(model)
    expect(
        with_weights.min() < 0,
        "However the last weights are chosen, no output gets below 0: the output layer still bends its logits. "
        "A logit at which a ReLU stands at zero receives no gradient.",
    )
    expect(
        np.abs(with_weights).max() > 3 or with_weights.max() <= 1e-6,
        f"With weights a hundred times as large the outputs stay within ±{np.abs(with_weights).max():.2f}: an "
        "activation squashes them. Logits have to be free in both directions.",
    )


def _with_loud_last_layer(model: Any) -> Array:
    """Outputs when the last layer's weights are made a hundred times as large; the model is left as it was."""
    last = _dense(model)[-1]
    kernel, *bias = last.get_weights()
    rng = np.random.default_rng(1)
    try:
        last.set_weights([rng.normal(size=kernel.shape) * 5, *bias])
        return _outputs(model, _pictures())
    finally:
        last.set_weights([kernel, *bias])


def _expect_bend(model: Any) -> None:
    """The hidden layers are not linear."""
    base, picture = np.zeros((1, 28, 28)), _pictures(2)[:1] * 0.5
    once, twice = _outputs(model, picture), _outputs(model, 2 * picture)
    zero = _outputs(model, base)
    difference = np.abs(twice - 2 * once + zero).max()
    mixed = _outputs(model, _pictures(2).mean(axis=0, keepdims=True))
    ends = _outputs(model, _pictures(2)).mean(axis=0, keepdims=True)
    difference = max(difference, np.abs(mixed - ends).max())
    expect(
        difference > 1e-4 * (1 + np.abs(ends).max()),
        "The whole model is linear now: the hidden layers have lost their activation as well. Only the output layer "
        "has to go without.",
    )


def _build_solution_1():
    from keras import Input, Model, layers

    images = Input((28, 28))
    x = layers.Flatten()(layers.Rescaling(1 / 255)(images))
    for number in (1, 2):
        x = layers.Dense(64, activation="relu", kernel_initializer="he_normal", name=f"hidden{number}")(x)
    return Model(images, layers.Dense(10, name="logits")(x))


_MODEL_SOURCE = """def {name}():
    images = keras.Input((28, 28))
    x = layers.Flatten()(layers.Rescaling(1 / 255)(images))
    for number in (1, 2):
        x = layers.Dense(64, activation="relu", kernel_initializer="he_normal", name=f"hidden{{number}}")(x)
    return keras.Model(images, layers.Dense(10, name="logits")(x))"""


@exercise(
    "debugging_and_best_practice.repair",
    solution=_build_solution_1,
    source=_MODEL_SOURCE.format(name="repaired_1"),
    hints=[
        "Follow the numbers: how large is a pixel, and how large is the sum of 784 of them times a weight?",
        "He's weights keep the size of what comes in. So what comes in has to be of the order of 1, and the scaling "
        "should be part of the model.",
        "layers.Rescaling divides by a constant. It belongs in front of the first Dense layer, as in `build`.",
    ],
)
def patient_1(answer: Any) -> None:
    """Patient 1: bytes in, and a first loss near log 10."""
    model, outputs = _model(answer, "repaired_1")
    dense = _expect_layers(model)
    front = _front(model, dense[0])
    largest, loss = np.abs(front).max(), _first_loss(outputs)
    expect(
        largest > 1e-3,
        f"What reaches the first Dense layer is now at most {largest:.1g}: the pixels were scaled down too far "
        "(twice?).",
    )
    expect(
        largest < 20,
        f"What reaches the first Dense layer is still as large as {largest:.0f}, and its gradient is too. "
        + (
            f"The first loss is {loss:.2f} all the same, because the weights were made smaller or the outputs divided: "
            "that cures the symptom. Scale the pixels before they enter."
            if loss < 4
            else f"The first loss is {loss:.1f}; log 10 is 2.3."
        ),
    )
    expect(loss < 4, f"The first loss is still {loss:.1f}. log 10 is 2.3.")
    _expect_logits(model, outputs)
    _expect_bend(model)


# ---------------------------------------------------------------------------- patient 2


def _repaired_2_solution(labels, logits):
    from keras import ops

    log_P = ops.log_softmax(logits, axis=1)
    return -ops.sum(ops.one_hot(ops.cast(labels, "int32"), logits.shape[1]) * log_P, axis=1)


@exercise(
    "debugging_and_best_practice.repair",
    solution=_repaired_2_solution,
    source=(
        "def repaired_2(labels, logits):\n"
        "    log_P = ops.log_softmax(logits, axis=1)\n"
        '    return -ops.sum(ops.one_hot(ops.cast(labels, "int32"), logits.shape[1]) * log_P, axis=1)'
    ),
    hints=[
        "The chart says 4.16 for the first loss. Of which number is that the logarithm, and where does it occur?",
        "The probabilities of one image have to add up to 1. Over which axis of (batch, classes) is that?",
        "log_softmax has to run over the classes, the last axis. Everything else may stay.",
    ],
)
def patient_2(answer: Any) -> None:
    """Patient 2: a softmax for each example."""
    rng = np.random.default_rng(29)
    for batch, classes in [(6, 4), (8, 10)]:
        logits = rng.normal(size=(batch, classes)).astype("float32") * 2
        labels = rng.integers(classes, size=batch)
        rows = np.arange(batch)
        log_P = {
            axis: logits
            - logits.max(axis=axis, keepdims=True)
            - np.log(np.exp(logits - logits.max(axis=axis, keepdims=True)).sum(axis=axis, keepdims=True))
            for axis in (0, 1)
        }
        right = -log_P[1][rows, labels]
        result = np.asarray(as_array(_numpy(call(answer, labels, _tensor(logits))), "The loss"))
        named = [
            (
                -log_P[0][rows, labels],
                "The softmax still runs over the batch: the probabilities of one image do not add up to 1.",
            ),
            (log_P[1][rows, labels], "The sign is wrong: these losses are negative."),
            (
                -np.exp(log_P[1])[rows, labels],
                "That is minus the probability; the loss is minus its logarithm.",
            ),
            (
                np.exp(log_P[1])[rows, labels],
                "That is the probability of the true class; the loss is minus its logarithm.",
            ),
            (-log_P[1].sum(axis=1), "The logarithms of all classes were added; only the true class counts."),
            (
                -log_P[1].mean(axis=1),
                "The logarithms of all classes were averaged; only the true class counts.",
            ),
            (-logits[rows, labels], "That is minus the logit of the true class, without any softmax."),
        ]
        full = -np.log(np.exp(logits) / np.exp(logits).sum())[rows, labels]
        named.append(
            (full, "The softmax now runs over the whole array, batch and classes; each image needs its own.")
        )
        twice = np.exp(log_P[1])
        named.append(
            (
                -(twice - np.log(np.exp(twice).sum(axis=1, keepdims=True)))[rows, labels],
                "The softmax is applied twice.",
            )
        )
        for value, message in named:
            expect(
                not (result.shape == value.shape and np.allclose(result, value, rtol=1e-3, atol=1e-5)),
                message,
            )
        if result.shape == () and np.isclose(result, right.mean(), rtol=1e-3):
            raise NotYet("That is the mean over the batch. Return the loss of every example, shape (batch,).")
        close(result, right, "The loss", rtol=1e-3, atol=1e-5)


def _tensor(value: Any) -> Any:
    from keras import ops

    return ops.convert_to_tensor(value)


def _numpy(value: Any) -> Any:
    from keras import ops

    return ops.convert_to_numpy(value) if ops.is_tensor(value) else value


# ---------------------------------------------------------------------------- patient 3


@exercise(
    "debugging_and_best_practice.repair",
    solution=_build_solution_1,
    source=_MODEL_SOURCE.format(name="repaired_3"),
    hints=[
        "The gradient of the first layer passes through the weights of the layers above it. What are they?",
        "And if all weights of a layer were 0.1: what would the units of that layer compute, and what gradient would "
        "each of them get?",
        "The units of a layer must begin differently. `he_normal` draws the weights at random with the variance that "
        "a ReLU needs; biases may begin at zero.",
    ],
)
def patient_3(answer: Any) -> None:
    """Patient 3: every unit begins as an individual."""
    model, outputs = _model(answer, "repaired_3")
    dense = _expect_layers(model)
    for layer in dense[:-1]:
        kernel = np.asarray(layer.get_weights()[0])
        expect(
            kernel.any(),
            f"The weights of {layer.name} are still all zero, so its units output the same for every image.",
        )
        expect(
            np.abs(kernel - kernel[:, :1]).max() > 1e-6,
            f"All units of {layer.name} have the same weights. They get the same gradient in every step and stay "
            "copies of one another: a layer of one unit.",
        )
    kernel = np.asarray(dense[-1].get_weights()[0])
    expect(
        np.abs(kernel - kernel[:, :1]).max() > 1e-6,
        "The output layer begins with equal weights for every class. With "
        + (
            "zeros no gradient passes to the hidden layers in the first step"
            if not kernel.any()
            else "a constant the gradients of the classes cancel on the way down"
        )
        + ": begin it at random as well.",
    )
    loss = _first_loss(outputs)
    expect(
        loss < 4,
        f"The units differ now, but the first loss is {loss:.1f}, far above log 10 = 2.3: the weights begin too large, or "
        "the pixels are no longer scaled.",
    )
    front = [np.sqrt(np.mean(_front(model, layer) ** 2)) for layer in dense]
    expect(
        front[-1] > 0.05 * front[0],
        f"The units differ now, but the signal shrinks from {front[0]:.2g} to {front[-1]:.2g} before it reaches the "
        "output: the weights begin too small.",
    )
    _expect_logits(model, outputs)
    _expect_bend(model)


# ---------------------------------------------------------------------------- patients 4 and 6


@exercise(
    "debugging_and_best_practice.repair",
    solution=_build_solution_1,
    source=_MODEL_SOURCE.format(name="repaired_4"),
    hints=[
        "What values can a logit take in this model? What would it have to take to make a class very unlikely?",
        "Where a ReLU stands at zero its gradient is zero. What does that mean for a class whose logit is negative for "
        "all images?",
        "The hidden layers keep their ReLU; the last Dense layer has no activation.",
    ],
)
def patient_4(answer: Any) -> None:
    """Patient 4: logits that are free in both directions."""
    model, outputs = _model(answer, "repaired_4")
    _expect_layers(model)
    _expect_logits(model, outputs)
    _expect_bend(model)


@exercise(
    "debugging_and_best_practice.repair",
    solution=_build_solution_1,
    source=_MODEL_SOURCE.format(name="repaired_6"),
    hints=[
        "The outputs lie between 0 and 1, and the loss takes them for logits. How certain can a softmax of such numbers "
        "be?",
        "At best one output is 1 and nine are 0. The softmax of that gives e / (e + 9) to the true class.",
        "The loss contains the softmax. The model should end before it.",
    ],
)
def patient_6(answer: Any) -> None:
    """Patient 6: one softmax, in the loss."""
    model, outputs = _model(answer, "repaired_6")
    _expect_layers(model)
    _expect_logits(model, outputs)
    _expect_bend(model)


# ---------------------------------------------------------------------------- patient 5


def _repaired_5_solution(images, labels, rng):
    order = rng.permutation(len(images))
    return images[order], labels[order]


def _numbered(n: int) -> tuple[Array, Array]:
    """Images whose ink tells which they are, even when they are shifted by a pixel, and labels to match."""
    rng = np.random.default_rng(n)
    images = np.zeros((n, 28, 28), dtype=np.uint8)
    images[:, 10:16, 10:16] = rng.integers(1, 255, size=(n, 6, 6))
    images[:, 17, 17] = 100
    for number in range(n):
        images[number, 9, 9:11] = number // 200, number % 200
    return images, rng.integers(10, size=n)


def _identities(images: Array, originals: Array) -> Array:
    """Which original each image is, whatever its shift; -1 if it is none."""
    by_ink = {np.sort(image, axis=None).tobytes(): number for number, image in enumerate(originals)}
    return np.array(
        [by_ink.get(np.sort(image, axis=None).astype(np.uint8).tobytes(), -1) for image in images]
    )


@exercise(
    "debugging_and_best_practice.repair",
    solution=_repaired_5_solution,
    hints=[
        "Call rng.permutation(5) twice and look at what comes back.",
        "The images and the labels have to be put into the *same* new order.",
        "Draw one permutation, keep it in a variable, and index both arrays with it.",
    ],
)
def patient_5(answer: Any) -> None:
    """Patient 5: a new order, in which every image keeps its label."""
    images, labels = _numbered(60)
    given, given_labels = images.copy(), labels.copy()
    results = several(call(answer, given, given_labels, np.random.default_rng(5)), "images", "labels")
    X, y = (np.asarray(value) for value in results)
    expect(
        np.array_equal(given, images) and np.array_equal(given_labels, labels),
        "The arrays that came in were changed (`rng.shuffle` works in place). Return new ones.",
    )
    expect(
        X.shape == images.shape and y.shape == labels.shape,
        f"60 images and labels came in; shapes {X.shape} and {y.shape} came out.",
    )
    numbers = _identities(X, images)
    expect((numbers >= 0).all(), "The images were altered, not only put into another order.")
    kept = np.mean(labels[numbers] == y)
    repeated = len(numbers) - len(set(numbers))
    expect(
        repeated == 0,
        f"{repeated} of 60 images are missing and others occur twice: that is drawing with replacement, not shuffling.",
    )
    if np.array_equal(numbers, np.arange(60)):
        raise NotYet(
            "The images stand in their old order"
            + (": nothing was shuffled." if kept == 1 else " and only the labels were shuffled.")
        )
    expect(
        kept == 1,
        f"Only {kept:.0%} of the images have their own label"
        + (
            ": the labels stayed in their old order."
            if np.array_equal(y, labels)
            else ": two different orders were used."
        ),
    )
    second, _ = several(call(answer, images, labels, np.random.default_rng(6)), "images", "labels")
    expect(
        not np.array_equal(second, X),
        "Two generators give the same order: draw it from `rng`, not from a fixed seed.",
    )


# ---------------------------------------------------------------------------- patient 7


def _repaired_7_solution(images, labels, rng):
    order = rng.permutation(len(images))
    cut = len(images) // 5
    val, train = order[:cut], order[cut:]  # split first
    shifts = [(down, right) for down in (-1, 0, 1) for right in (-1, 0, 1)]
    X = np.concatenate([np.roll(images[train], shift, axis=(1, 2)) for shift in shifts])  # enlarge afterwards
    y = np.tile(labels[train], len(shifts))
    return X, y, images[val], labels[val]


@exercise(
    "debugging_and_best_practice.repair",
    solution=_repaired_7_solution,
    hints=[
        "Take one image and its eight shifted copies. Where do the nine end up?",
        "A random split of enlarged data puts copies of nearly every image on both sides. The order of the two steps "
        "decides.",
        "Split the original images first. Then enlarge the training part alone.",
    ],
)
def patient_7(answer: Any) -> None:
    """Patient 7: no image and no copy of it on both sides of the split."""
    images, labels = _numbered(50)
    results = several(
        call(answer, images.copy(), labels.copy(), np.random.default_rng(7)), "X", "y", "X_val", "y_val"
    )
    X, y, X_val, y_val = (np.asarray(value) for value in results)
    for name, pictures, targets in (("X", X, y), ("X_val", X_val, y_val)):
        expect(
            pictures.ndim == 3 and len(pictures) == len(targets) > 0,
            f"{name} has shape {pictures.shape} and its labels {targets.shape}; one label belongs to each image.",
        )
    train, val = _identities(X, images), _identities(X_val, images)
    expect(
        (train >= 0).all() and (val >= 0).all(), "Some images are not shifted copies of those that came in."
    )
    both = set(train.tolist()) & set(val.tolist())
    if both:
        exact = {image.tobytes() for image in X} & {image.tobytes() for image in X_val}
        raise NotYet(
            f"{len(both)} of the {len(set(val.tolist()))} images in the validation set are in the training set as well"
            + (", shifted by a pixel or two." if not exact else ".")
            + " Removing exact copies is not enough: split first, enlarge afterwards."
        )
    expect(
        np.array_equal(labels[train], y) and np.array_equal(labels[val], y_val),
        "The leak is closed, but some images have lost their own label.",
    )
    share = len(set(val.tolist())) / 50
    expect(
        abs(share - 0.2) < 0.05,
        f"The leak is closed; but {share:.0%} of the images went to validation instead of a fifth.",
    )
    expect(
        len(set(train.tolist())) == 50 - len(set(val.tolist())),
        "The leak is closed, but images were lost: every image that is not in the validation set belongs to training.",
    )
    expect(
        len({image.tobytes() for image in X}) >= 9 * (50 - len(set(val.tolist()))),
        f"The leak is closed, but the training set has {len(X)} images; each should be there in all nine places.",
    )
    first_tenth = sorted(set(val.tolist()))
    expect(
        first_tenth not in (list(range(10)), list(range(40, 50))),
        "The validation images were not drawn at random: they are a block from one end. Sorted data would give them "
        "other classes.",
    )


# ---------------------------------------------------------------------------- patient 8


def _repaired_8_solution(model, images):
    from keras import ops

    logits = model(images, training=False)
    return ops.convert_to_numpy(ops.argmax(logits, axis=1))


def _served_model() -> Any:
    """A small trained-looking model with batch normalisation and dropout."""
    import keras
    from keras import layers

    keras.utils.set_random_seed(29)
    images = keras.Input((28, 28))
    x = layers.Dense(16)(layers.Flatten()(layers.Rescaling(1 / 255)(images)))
    norm = layers.BatchNormalization()
    x = layers.Dropout(0.5)(layers.ReLU()(norm(x)))
    model = keras.Model(images, layers.Dense(10)(x))
    rng = np.random.default_rng(8)
    norm.set_weights([np.ones(16), rng.normal(size=16), rng.normal(size=16), rng.uniform(0.2, 1, size=16)])
    return model


@exercise(
    "debugging_and_best_practice.repair",
    solution=_repaired_8_solution,
    source=(
        "def repaired_8(model, images):\n"
        "    logits = model(images, training=False)\n"
        "    return ops.convert_to_numpy(ops.argmax(logits, axis=1))"
    ),
    hints=[
        "With one image in the request, what are the mean and the variance over the batch? What is left of the image?",
        "Batch normalisation and dropout have two modes (lessons 24 and 26). Which one is asked for here?",
        "`training=False` is what a call outside `fit` means by default. Ask for it.",
    ],
)
def patient_8(answer: Any) -> None:
    """Patient 8: the answer to an image depends on that image alone."""
    model, images = _served_model(), _pictures(24)
    before = [np.array(weight) for weight in model.get_weights()]
    logits = _outputs(model, images, training=False)
    right = logits.argmax(axis=1)
    together = as_array(_numpy(call(answer, model, images)), "The answer")
    if together.shape == (24, 10):
        raise NotYet(
            "The function returns ten numbers for each image. Return the digit, the largest of them."
        )
    expect(
        together.shape == (24,),
        f"For 24 images the answer has shape {together.shape}; it should have shape (24,)"
        + (": the argmax ran over the batch." if together.shape == (10,) else "."),
    )
    moved = max(
        np.abs(np.asarray(now) - old).max() for now, old in zip(model.get_weights(), before, strict=True)
    )
    expect(
        moved == 0,
        "Asking has changed the model: in training mode every call moves the running mean and variance of the batch "
        "normalisation. And the answers depend on who else is in the request.",
    )
    again = as_array(_numpy(call(answer, model, images)), "The answer")
    expect(
        np.array_equal(together, again),
        "The same images got two different answers in two calls: something is still random. Dropout is active in "
        "training mode, whatever was done to the batch normalisation.",
    )
    alone = np.array(
        [
            float(as_array(_numpy(call(answer, model, images[i : i + 1])), "The answer", shape=(1,))[0])
            for i in range(8)
        ]
    )
    expect(
        np.array_equal(alone, together[:8]),
        "An image alone gets another answer than in a batch: the statistics of the request are still in use.",
    )
    expect(
        np.array_equal(together, right),
        f"{np.mean(together == right):.0%} of the answers are the largest logit in inference mode; all should be.",
    )
