"""Checks of lesson 11: layouts, steps without state, gradients in pieces, gradients one by one."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from course_utils.checks._engine import NotYet, as_array, attempted, call, close, exercise, expect

Array = np.ndarray


# ---------------------------------------------------------------------------- the other layout


def _to_rows_solution(weights):
    return [array.T.copy() for array in weights]  # the transpose of a vector is the vector itself


def _arrays(value: Any, count: int, name: str) -> list[Array]:
    attempted(value)
    if not isinstance(value, (list, tuple)):
        raise NotYet(f"{name} should be a list of arrays, but it is a {type(value).__name__}.")
    attempted(tuple(value))
    expect(len(value) == count, f"{name} has {len(value)} entries; {count} are needed.")
    return [as_array(entry, f"entry {i} of {name[0].lower()}{name[1:]}") for i, entry in enumerate(value)]


@exercise(
    "three_frameworks.translate",
    solution=_to_rows_solution,
    hints=[
        "Which of the arrays have two axes? What should happen to the others?",
        "`array.T` swaps the axes of a matrix and leaves a vector as it is, so one line serves both.",
        "`array.T` is only another view of the same memory. A copy is made by `.copy()`.",
    ],
)
def to_rows(answer: Any) -> None:
    """Weights from (inputs, outputs) to (outputs, inputs)."""
    rng = np.random.default_rng(3)
    for sizes in ((2, 3), (5, 5, 5), (7, 4, 6, 2)):
        weights = []
        for n, k in pairwise(sizes):
            weights += [rng.normal(size=(n, k)), rng.normal(size=k)]
        kept = [array.copy() for array in weights]
        raw = call(answer, weights)
        got = _arrays(raw, len(weights), "Your list")
        expect(
            len(weights) == len(kept)
            and all(np.array_equal(a, b) for a, b in zip(weights, kept, strict=True)),
            "Your function changed the list that it was given.",
        )
        for i, (mine, before) in enumerate(zip(got, kept, strict=True)):
            if before.ndim == 1:
                expect(
                    mine.shape == before.shape,
                    f"The bias of layer {i // 2 + 1} has shape {mine.shape}; a bias stays a vector, {before.shape}.",
                )
                close(mine, before, f"the bias of layer {i // 2 + 1}")
                continue
            name = f"the weights of layer {i // 2 + 1}"
            if mine.shape == before.shape and np.allclose(mine, before):
                square = " With equal numbers of inputs and outputs no shape error would warn you." * (
                    before.shape[0] == before.shape[1]
                )
                raise NotYet(f"{name.capitalize()} are still (inputs, outputs).{square}")
            if mine.shape == before.T.shape and np.allclose(mine, before.reshape(before.T.shape)):
                raise NotYet(
                    f"{name.capitalize()} have the right shape and their numbers in the wrong places: `reshape` reads "
                    "them in their old order. Transposing exchanges rows and columns."
                )
            close(mine, before.T, name)
        originals = [np.asarray(entry) for entry in raw]
        if any(np.shares_memory(new, old) for new, old in zip(originals, weights, strict=True)):
            raise NotYet(
                "The values are right, but some of your arrays share memory with the originals: training the one "
                "network would change the other. Copy them."
            )


# ---------------------------------------------------------------------------- a step without state


def _functional_step_solution(params, gradients, learning_rate):
    if isinstance(params, dict):
        return {k: _functional_step_solution(params[k], gradients[k], learning_rate) for k in params}
    if isinstance(params, (list, tuple)):
        pairs = zip(params, gradients, strict=True)
        return type(params)(_functional_step_solution(p, g, learning_rate) for p, g in pairs)
    return params - learning_rate * gradients


def _leaves(tree: Any, path: str = "params") -> list[tuple[str, Any]]:
    if isinstance(tree, dict):
        return [leaf for key in tree for leaf in _leaves(tree[key], f"{path}[{key!r}]")]
    if isinstance(tree, (list, tuple)):
        return [leaf for i, entry in enumerate(tree) for leaf in _leaves(entry, f"{path}[{i}]")]
    return [(path, tree)]


def _same_structure(got: Any, wanted: Any, path: str) -> None:
    for kind in (dict, list, tuple):
        if isinstance(wanted, kind) and not isinstance(got, kind):
            raise NotYet(f"{path} should be a {kind.__name__} as before, but it is a {type(got).__name__}.")
    if isinstance(wanted, dict):
        expect(
            set(got) == set(wanted), f"{path} has the keys {sorted(got)}; they should be {sorted(wanted)}."
        )
        for key in wanted:
            _same_structure(got[key], wanted[key], f"{path}[{key!r}]")
    elif isinstance(wanted, (list, tuple)):
        expect(len(got) == len(wanted), f"{path} has {len(got)} entries; it should have {len(wanted)}.")
        for i, entry in enumerate(wanted):
            _same_structure(got[i], entry, f"{path}[{i}]")


@exercise(
    "three_frameworks.gradients",
    solution=_functional_step_solution,
    hints=[
        "A tree is a dictionary of trees, or a list or tuple of trees, or an array. A function that calls itself "
        "follows that sentence word for word.",
        "Three cases: for a dict build a dict with the same keys, for a list or tuple build the same type from the "
        "entries taken in pairs, for anything else compute.",
        "type(params)(... for p, g in zip(params, gradients)) makes a list of a list and a tuple of a tuple. For an "
        "array return params - learning_rate * gradients; `-=` would write into the old one.",
    ],
)
def functional_step(answer: Any) -> None:
    """A gradient step on a tree of arrays that leaves the old tree as it is."""
    rng = np.random.default_rng(5)

    def arrays(*shapes: tuple[int, ...]) -> list[Array]:
        return [rng.normal(size=shape) for shape in shapes]

    trees = [
        arrays((3, 2), (2,)),
        {"w": arrays((2,)), "b": np.array(3.0)},
        {"W": rng.normal(size=(2, 2)), "V": rng.normal(size=(2, 2))},
        {
            "hidden": tuple(arrays((4, 3), (3,))),
            "out": {"w": rng.normal(size=(3, 2)), "b": [rng.normal(size=2)]},
        },
        [arrays((2, 2)), [tuple(arrays((1,), (2,))), {"deep": arrays((2,))}]],
    ]
    for params in trees:
        gradients = _functional_step_solution(params, params, 3.0)  # some other tree of the same form
        if isinstance(params, dict) and "V" in params:
            gradients = dict(reversed(gradients.items()))  # the same tree, written down in another order
        kept_gradients = [np.array(leaf) for _, leaf in _leaves(gradients)]
        kept = [np.array(leaf) for _, leaf in _leaves(params)]
        got = call(answer, params, gradients, 0.25)
        now = [np.asarray(leaf) for _, leaf in _leaves(params)]
        expect(
            all(np.array_equal(a, b) for a, b in zip(now, kept, strict=True)),
            "The parameters that were passed in have changed. A function of this kind leaves its arguments alone: "
            "`p - rate * g` makes a new array, `p -= ...` writes into the old one.",
        )
        expect(
            all(
                np.array_equal(leaf, b)
                for (_, leaf), b in zip(_leaves(gradients), kept_gradients, strict=True)
            ),
            "The gradients that were passed in have changed: `g *= ...` writes into the old array.",
        )
        wanted = _functional_step_solution(params, gradients, 0.25)
        _same_structure(got, wanted, "the result")
        by_path = dict(_leaves(got, "result"))  # a dictionary may list its keys in any order
        slopes = dict(_leaves(gradients, "result"))
        for (path, right), (_, p) in zip(_leaves(wanted, "result"), _leaves(params), strict=True):
            mine, g = as_array(by_path[path], path), slopes[path]
            if mine.shape == np.shape(right) and not np.allclose(mine, right):
                if np.allclose(mine, p + 0.25 * g):
                    raise NotYet(f"{path} went up the gradient: the step is p - rate * g.")
                if np.allclose(mine, p - g):
                    raise NotYet(f"{path} moved by the whole gradient: the learning rate has no effect.")
                if any(
                    np.shape(q) == np.shape(p) and np.allclose(mine, p - 0.25 * q) for q in slopes.values()
                ):
                    raise NotYet(
                        f"{path} moved by the gradient of another entry. The entries of two dictionaries belong together "
                        "by their keys; the order in which they were written down says nothing."
                    )
            close(mine, right, path)


# ---------------------------------------------------------------------------- one batch in pieces


def _whole_batch_gradient_solution(gradients, sizes):
    total = sum(sizes)
    return [
        sum(size * array for size, array in zip(sizes, arrays, strict=True)) / total
        for arrays in zip(*gradients, strict=True)
    ]


@exercise(
    "three_frameworks.gradients",
    solution=_whole_batch_gradient_solution,
    hints=[
        "Each piece gives a mean over its own examples. How do you get from a mean back to a sum?",
        "Multiply each piece's gradient by its size, add the pieces, divide once by the number of all examples.",
        "zip(*gradients) goes through the parameters: each turn gives the arrays of one parameter from all pieces.",
    ],
)
def whole_batch_gradient(answer: Any) -> None:
    """The gradient of a whole batch from the gradients of its pieces."""
    rng = np.random.default_rng(7)
    cases = [
        ([[np.array(2.0)], [np.array(6.0)]], [3, 1]),
        ([[rng.normal(size=(3, 2)), rng.normal(size=2)] for _ in range(4)], [8, 8, 8, 8]),
        ([[rng.normal(size=(3, 2)), rng.normal(size=2)] for _ in range(3)], [64, 64, 9]),
    ]
    for gradients, sizes in cases:
        kept = [[array.copy() for array in piece] for piece in gradients]
        got = _arrays(call(answer, gradients, list(sizes)), len(gradients[0]), "Your list")
        expect(
            all(
                np.array_equal(a, b)
                for p, q in zip(gradients, kept, strict=True)
                for a, b in zip(p, q, strict=True)
            ),
            "Your function changed the gradients that it was given; `+=` on an array writes into it.",
        )
        weights = np.array(sizes) / sum(sizes)
        where = f"for pieces of {', '.join(map(str, sizes))} examples"
        for i, mine in enumerate(got):
            parts = np.stack([piece[i] for piece in gradients])
            right = np.tensordot(weights, parts, axes=1)
            if mine.shape == right.shape and not np.allclose(mine, right):
                if np.allclose(mine, parts.sum(axis=0)):
                    raise NotYet(
                        f"Parameter {i} {where} is the sum of the pieces' gradients. That is what PyTorch's .grad holds "
                        "after several calls of backward; each piece is a mean already, so the sum is too large."
                    )
                if np.allclose(mine, parts.mean(axis=0)):
                    raise NotYet(
                        f"Parameter {i} {where} is the plain mean of the pieces. An example in a small piece would count "
                        "more than one in a large piece."
                    )
                if np.allclose(mine, np.tensordot(np.array(sizes, float), parts, axes=1)):
                    raise NotYet(
                        f"Parameter {i} {where} is the sum over examples; the mean over all of them is wanted."
                    )
            close(mine, right, f"parameter {i} {where}")


# ---------------------------------------------------------------------------- one by one


def _per_example_gradients_solution(W, b, X, y):
    logits = X @ W + b  # (m, K)
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    grad_logits = exponentials / exponentials.sum(axis=1, keepdims=True)
    grad_logits[np.arange(len(y)), y] -= 1  # (m, K): no division by m, each example has its own loss
    return X[:, :, None] * grad_logits[:, None, :], grad_logits  # (m, d, K), (m, K)


@exercise(
    "three_frameworks.compile",
    solution=_per_example_gradients_solution,
    hints=[
        "Start with the gradient by the logits, softmax minus one-hot, one row per example. Each example's loss is its "
        "own, so nothing is divided by m.",
        "For one example the gradient of W is an outer product: x (d,) as a column times the row (K,) of p - y.",
        "All outer products at once come from broadcasting: X[:, :, None] has shape (m, d, 1), and the rows with a "
        "new axis in the middle have shape (m, 1, K).",
    ],
)
def per_example_gradients(answer: Any) -> None:
    """Gradients of each example's own loss, without a loop."""
    rng = np.random.default_rng(9)
    for m, d, K in ((1, 2, 2), (6, 4, 3), (5, 3, 5)):
        W, b, X = rng.normal(size=(d, K)), rng.normal(size=K), rng.normal(size=(m, d))
        y = rng.integers(K, size=m)
        kept = X.copy()
        pair = call(answer, W.copy(), b.copy(), X, y)
        got_W, got_b = _arrays(pair, 2, "Your answer")
        expect(np.array_equal(X, kept), "Your function changed X.")
        right_W, right_b = _per_example_gradients_solution(W, b, X, y)
        if got_W.shape == (d, K):
            raise NotYet(
                f"The gradient of W has shape {got_W.shape}, which is the batch's gradient: the examples were added up. "
                f"Wanted is one (d, K) matrix per example, {(m, d, K)}."
            )
        expect(
            got_W.shape == (m, d, K),
            f"The gradients of W have shape {got_W.shape}; for {m} examples, {d} features and {K} classes it should be "
            f"{(m, d, K)}.",
        )
        expect(got_b.shape == (m, K), f"The gradients of b have shape {got_b.shape}; it should be {(m, K)}.")
        if m > 1 and np.allclose(got_b * m, right_b):
            raise NotYet(
                "Your gradients are the right ones divided by m. Each example's own loss has no mean in it."
            )
        if np.allclose(got_b, -right_b):
            raise NotYet(
                "The signs are turned round: the gradient by the logits is p - y, predicted minus observed."
            )
        one_hot = np.eye(K)[y]
        if np.allclose(got_b, right_b + one_hot):
            raise NotYet("Your rows are the probabilities; at the true class 1 has to be subtracted.")
        close(got_b, right_b, "the gradients of b")
        close(got_W, right_W, "the gradients of W")
