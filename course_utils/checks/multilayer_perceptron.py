"""Checks of lesson 04: counting parameters, forward propagation at any depth, networks built by hand."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np

from course_utils.checks._engine import NotYet, as_array, attempted, call, close, exercise, expect

Array = np.ndarray


# ---------------------------------------------------------------------------- counting


def _count_parameters_solution(layer_sizes):
    total = 0
    for inputs, units in pairwise(layer_sizes):  # from itertools: neighbours in the list
        total += (inputs + 1) * units  # one weight per input and one bias, for every unit
    return total


@exercise(
    "multilayer_perceptron.count",
    solution=_count_parameters_solution,
    hints=[
        "How many numbers does one unit own? Think of its inputs, and of one number more.",
        "Go through neighbouring pairs of the list: zip(layer_sizes[:-1], layer_sizes[1:]). The first entry "
        "of the list is only ever a number of inputs.",
        "A pair (inputs, units) contributes (inputs + 1) * units. Add these up over all pairs.",
    ],
)
def count_parameters(answer: Any) -> None:
    """Count the parameters of a fully connected network."""
    for sizes in ([3, 2, 4], [784, 10], [784, 128, 64, 10], [5, 4, 4, 4, 4, 2]):
        value = call(answer, list(sizes))
        got = float(as_array(value, f"count_parameters({sizes})", shape=()))
        pairs = list(pairwise(sizes))
        weights = sum(n * k for n, k in pairs)
        right = weights + sum(sizes[1:])
        if got == right:
            continue
        name = f"count_parameters({sizes}) is {got:g}"
        if got == weights:
            raise NotYet(
                f"{name}, which is the number of weights. The biases are missing: one for every unit."
            )
        if got == weights + sum(sizes):
            raise NotYet(f"{name}: it has {sizes[0]} too many. The inputs are not units and have no biases.")
        if got == weights + sum(sizes[:-1]):
            raise NotYet(
                f"{name}: a bias was counted for every input of a layer. Biases belong to the units that a "
                "layer computes, so (inputs + 1) * units, not inputs * (units + 1)."
            )
        if got == weights + len(pairs):
            raise NotYet(
                f"{name}: one bias per layer was counted. Every unit of a layer has a bias of its own."
            )
        if got in (sum(sizes), sum(sizes[1:])):
            raise NotYet(f"{name}, which is a number of units. Each unit owns several parameters.")
        if got == sum((n + 1) * k for n, k in pairs[:-1]):
            raise NotYet(f"{name}: the last layer is missing.")
        if got == sum((n + 1) * k for n, k in pairs[:2]) or got == sum((n + 1) * k for n, k in pairs[:3]):
            raise NotYet(f"{name}: only the first layers were counted. The list may have any length.")
        raise NotYet(f"{name}; it should be {right}.")


# ---------------------------------------------------------------------------- forward propagation


def _predict_probabilities_solution(X, weights, activation):
    A = X
    for W, b in zip(weights[0:-2:2], weights[1:-2:2], strict=True):  # the hidden layers
        A = activation(A @ W + b)
    logits = A @ weights[-2] + weights[-1]  # (m, classes), no activation
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)


def _softmax(z: Array, axis: int = 1) -> Array:
    e = np.exp(z - z.max(axis=axis, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True)


def _relu(z: Array) -> Array:
    return np.maximum(z, 0)


def _logits(
    X: Array,
    weights: list[Array],
    activation: Callable[[Array], Array],
    *,
    bend_output: bool = False,
    bend_hidden: bool = True,
    bias: bool = True,
    transpose: bool = False,
    layers: int | None = None,
) -> Array:
    A = X
    pairs = list(zip(weights[0::2], weights[1::2], strict=True))
    for number, (W, b) in enumerate(pairs[:layers], start=1):
        A = A @ (W.T if transpose else W) + (b if bias else 0)
        if (number < len(pairs) and bend_hidden) or (number == len(pairs) and bend_output):
            A = activation(A)
    return A


def _some_weights(sizes: tuple[int, ...], seed: int) -> list[Array]:
    rng = np.random.default_rng(seed)
    flat: list[Array] = []
    for n, k in pairwise(sizes):
        flat += [rng.normal(0, 1 / np.sqrt(n), (n, k)) * 1.5, rng.normal(0, 1, k)]
    return flat


def _name_the_difference(
    got: Array, X: Array, weights: list[Array], activation: Callable, label: str
) -> None:
    """Raise NotYet with the misconception that explains ``got``, if one of the known ones does."""

    def same(other: Array) -> bool:
        return other.shape == got.shape and np.allclose(got, other, rtol=1e-5, atol=1e-7)

    right = _logits(X, weights, activation)
    square = all(W.shape[0] == W.shape[1] for W in weights[0::2])
    if same(right):
        raise NotYet("The rows are the logits. The softmax that turns them into probabilities is missing.")
    if same(_softmax(right, axis=0)):
        raise NotYet(
            f"Your columns sum to 1, and your first row sums to {got[0].sum():.2f}. The softmax was taken "
            "over the batch (axis 0); it belongs over the classes of each example (axis 1)."
        )
    if same(1 / (1 + np.exp(-right))):
        raise NotYet(
            "Each logit went through a sigmoid by itself. A softmax makes the classes of one row share 1."
        )
    for final in (_softmax, lambda z: z):
        if same(final(_logits(X, weights, activation, bend_output=True))):
            raise NotYet(
                "The activation was applied to the output layer as well. It belongs between layers; the "
                "logits go into the softmax as they are."
            )
        if same(final(_logits(X, weights, activation, bias=False))):
            raise NotYet("The biases had no effect: each layer is A @ W + b, and here the b is missing.")
        if same(final(_logits(X, weights, activation, bend_hidden=False))):
            raise NotYet(
                f"No activation was applied {label}, so all your layers together are one linear layer."
            )
        if square and same(final(_logits(X, weights, activation, transpose=True))):
            raise NotYet(
                "The weights were transposed. W has shape (inputs, units), so a layer is A @ W. (With square "
                "matrices A @ W.T raises no error and is wrong.)"
            )
        if same(final(_logits(X, weights, _relu))):
            raise NotYet(f"ReLU was used {label}, but the function was called with another activation.")


@exercise(
    "multilayer_perceptron.forward",
    solution=_predict_probabilities_solution,
    hints=[
        "Weights stand at the even places of the list and biases at the odd ones: weights[0::2] and "
        "weights[1::2].",
        "Walk through all layers but the last and bend after each: A = activation(A @ W + b). Then do the "
        "last layer, weights[-2] and weights[-1], without bending.",
        "The softmax works on each row: subtract logits.max(axis=1, keepdims=True), take np.exp, and divide "
        "by the sum over axis 1, again with keepdims=True.",
    ],
)
def predict_probabilities(answer: Any) -> None:
    """Class probabilities of a network of any depth."""
    rng = np.random.default_rng(7)
    cases = [
        ("for a network with two hidden layers of 4 units and 4 classes", (4, 4, 4, 4), np.tanh),
        ("for one layer", (4, 3), np.tanh),
        ("for a 5-7-3 network with ReLU", (5, 7, 3), _relu),
        ("for a network with four hidden layers", (6, 8, 5, 7, 4, 3), np.tanh),
    ]
    for label, sizes, activation in cases:
        X = rng.normal(size=(9, sizes[0]))
        weights = _some_weights(sizes, seed=len(sizes))
        kept = [array.copy() for array in weights]
        value = call(answer, X.copy(), weights, activation)
        got = as_array(value, f"The result {label}")
        expect(
            len(weights) == len(kept)
            and all(np.array_equal(a, b) for a, b in zip(weights, kept, strict=True)),
            "Your function changed the list of weights that it was given; a second call would find it "
            "spoilt.",
        )
        shape = (9, sizes[-1])
        expect(
            got.shape == shape,
            f"The result {label} has shape {got.shape}; a batch of 9 examples should give {shape}.",
        )
        expect(np.isfinite(got).all(), f"The result {label} holds nan or infinite values.")
        wanted = _softmax(_logits(X, weights, activation))
        if not np.allclose(got, wanted, rtol=1e-5, atol=1e-7):
            _name_the_difference(got, X, weights, activation, label)
            if not np.allclose(got.sum(axis=1), 1, atol=1e-5):
                raise NotYet(
                    f"Your first row {label} sums to {got[0].sum():.3g}; probabilities of one row sum to 1."
                )
            close(got, wanted, f"The result {label}")

    large = call(answer, np.array([[1.0, 0.0], [0.0, 1.0]]), [1000.0 * np.eye(2), np.zeros(2)], np.tanh)
    large = as_array(large, "The result for logits of 1000", shape=(2, 2))
    expect(
        np.isfinite(large).all(),
        "For logits of 1000 the result holds nan: np.exp overflowed. Subtract each row's largest logit "
        "first.",
    )
    close(large, np.eye(2), "The result for logits of 1000", atol=1e-6)


# ---------------------------------------------------------------------------- XOR with two ReLUs

_CORNERS = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
_XOR = np.array([0, 1, 1, 0])

_XOR_SOURCE = """\
# Fold the square along its diagonal: relu(z) + relu(-z) is |z|, and |x1 - x2| is XOR.
W1_yours = np.array([[1.0, -1.0], [-1.0, 1.0]])
b1_yours = np.array([0.0, 0.0])
W2_yours = np.array([[1.0], [1.0]])
b2_yours = np.array([0.0])"""


def _outputs(values: Array) -> str:
    return ", ".join(f"({x:.0f}, {y:.0f}) -> {v:.3g}" for (x, y), v in zip(_CORNERS, values, strict=True))


@exercise(
    "multilayer_perceptron.construct",
    solution=(
        np.array([[1.0, -1.0], [-1.0, 1.0]]),
        np.array([0.0, 0.0]),
        np.array([[1.0], [1.0]]),
        np.array([0.0]),
    ),
    source=_XOR_SOURCE,
    hints=[
        "Draw what you need against s = x1 + x2: low at 0, high at 1, low again at 2. Or look for a "
        "quantity that is the same for both inputs equal, and larger for both inputs different.",
        "Against s: the first ReLU makes the output rise from s = 0 on. The second must start at s = 1 and "
        "turn the rise into a fall. By how much does the slope change there?",
        "One way: units relu(x1 + x2) and relu(x1 + x2 - 1), the first with output weight 1. At s = 1 the "
        "slope has to go from 1 to -1, which fixes the second output weight.",
    ],
)
def xor_with_relu(W1: Any, b1: Any, W2: Any, b2: Any) -> None:
    """XOR from two ReLU units with weights chosen by hand."""
    W1 = as_array(W1, "W1", shape=(2, 2))
    b1 = as_array(b1, "b1", shape=(2,))
    W2 = as_array(W2, "W2", shape=(2, 1))
    b2 = as_array(b2, "b2", shape=(1,))
    before = _CORNERS @ W1 + b1
    values = (_relu(before) @ W2 + b2)[:, 0]
    if np.array_equal(values > 0.5, _XOR == 1) and np.array_equal(values < 0.5, _XOR == 0):
        return
    stepped = ((before > 0) @ W2 + b2)[:, 0]
    seen = f"Your outputs: {_outputs(values)}."
    right_with_steps = any(np.array_equal(stepped > level, _XOR == 1) for level in (0, 0.5))
    if right_with_steps and values[3] >= values[1:3].min():
        raise NotYet(
            f"{seen} With step units these weights would be right, but a ReLU goes on growing after its "
            "threshold. At (1, 1) the second unit has to take away what the first has gathered by then."
        )
    if (values == 0.5).any():
        raise NotYet(f"{seen} A value of exactly 0.5 is on neither side.")
    if (before >= 0).all():
        raise NotYet(
            f"{seen} Both hidden units are on at all four corners, so nothing bends and the network is "
            "linear there."
        )
    if np.allclose(W1[:, 0], W1[:, 1]) and np.allclose(b1[0], b1[1]):
        raise NotYet(f"{seen} Your two hidden units are the same, so together they can do no more than one.")
    if np.array_equal(values < 0.5, _XOR == 1) and np.array_equal(values > 0.5, _XOR == 0):
        raise NotYet(
            f"{seen} This is the opposite of XOR: the inputs are told apart, only the output is upside down."
        )
    if np.array_equal(values > 0.5, [False, True, True, True]):
        raise NotYet(f"{seen} This is OR. At (1, 1) the output has to come down again.")
    wrong = int(np.sum((values > 0.5) != (_XOR == 1)))
    raise NotYet(f"{seen} {wrong} of the four lie on the wrong side of 0.5.")


# ---------------------------------------------------------------------------- the maximum


def _maximum_network_solution():
    # max(a, b) = relu(a - b) + b, and b itself is relu(b) - relu(-b)
    W1 = np.array([[1.0, 0.0, 0.0], [-1.0, 1.0, -1.0]])  # columns: a - b, b, -b
    W2 = np.array([[1.0], [1.0], [-1.0]])
    return [(W1, np.zeros(3)), (W2, np.zeros(1))]


def _layers_of(value: Any) -> list[tuple[Array, Array]]:
    if not isinstance(value, (list, tuple)) or not value:
        raise NotYet(f"The network should be a list of pairs (W, b), but it is a {type(value).__name__}.")
    layers: list[tuple[Array, Array]] = []
    inputs = 2
    for number, pair in enumerate(value, start=1):
        if not isinstance(pair, (list, tuple)) or len(pair) != 2:
            raise NotYet(
                f"Layer {number} should be a pair (W, b). A network of two layers is [(W1, b1), (W2, b2)]."
            )
        attempted(tuple(pair))
        W, b = as_array(pair[0], f"W of layer {number}"), as_array(pair[1], f"b of layer {number}")
        expect(W.ndim == 2, f"W of layer {number} has shape {W.shape}; it should be (inputs, units).")
        if W.shape[0] != inputs:
            turned = " It looks transposed: inputs come first." if W.shape[1] == inputs else ""
            raise NotYet(f"W of layer {number} has shape {W.shape}, but {inputs} numbers come in.{turned}")
        expect(
            b.shape == (W.shape[1],),
            f"b of layer {number} has shape {b.shape}; with W {W.shape} it should be ({W.shape[1]},).",
        )
        layers.append((W, b))
        inputs = W.shape[1]
    expect(inputs == 1, f"The last layer has {inputs} units; the network should return one number per row.")
    return layers


@exercise(
    "multilayer_perceptron.construct",
    solution=_maximum_network_solution,
    hints=[
        "If a is larger than b, by how much does the maximum exceed b? And if it is not?",
        "max(a, b) = relu(a - b) + b. The first part is one hidden unit. The second has to pass through the "
        "hidden layer too, and a single ReLU would lose it where it is negative.",
        "Any number z is relu(z) - relu(-z). So three hidden units are enough: for a - b, for b and for -b. "
        "Write each as a column of W1, then add them up with the right signs in W2.",
    ],
)
def maximum_network(answer: Any) -> None:
    """A ReLU network that returns the larger of two numbers."""
    layers = _layers_of(call(answer))
    flat = [array for pair in layers for array in pair]
    rng = np.random.default_rng(11)
    X = np.vstack(
        [[[-3.0, -1.0], [2.0, 5.0], [5.0, 2.0], [-1.0, -3.0], [4.0, -4.0]], rng.normal(0, 5, (60, 2))]
    )
    got = _logits(X, flat, _relu)[:, 0]
    wanted = X.max(axis=1)
    if np.allclose(got, wanted, rtol=1e-4, atol=1e-4):
        return
    if len(layers) == 1:
        raise NotYet(
            "One layer without a hidden one is a weighted sum plus a number, and the maximum has a crease "
            "along a = b. A hidden layer with ReLU has to make it."
        )
    bad = np.flatnonzero(~np.isclose(got, wanted, rtol=1e-4, atol=1e-4))
    one = bad[0]
    example = (
        f"For ({X[one, 0]:.3g}, {X[one, 1]:.3g}) the network returns {got[one]:.4g}, not {wanted[one]:.4g}"
    )
    if np.allclose(got, X.min(axis=1), atol=1e-4):
        raise NotYet(f"{example}. This is the smaller of the two: look at the sign of the difference.")
    if np.allclose(got, np.abs(X[:, 0] - X[:, 1]), atol=1e-4):
        raise NotYet(
            f"{example}. This is the distance |a - b|. The maximum lies half of it above the mean of a and b."
        )
    for column, letter in enumerate("ab"):
        positive = X[:, column] >= 0
        if np.allclose(got[positive], wanted[positive], atol=1e-4):
            raise NotYet(
                f"{example}. The network is right wherever {letter} is not negative. relu({letter}) is not "
                f"{letter} for negative numbers; a second unit has to carry the negative part."
            )
    if np.allclose(got, np.maximum(wanted, 0), atol=1e-4):
        raise NotYet(
            f"{example}. The network is right wherever the maximum is not negative; below 0 it returns 0."
        )
    raise NotYet(f"{example}; {len(bad)} of {len(X)} test rows are wrong.")
