"""Checks of lesson 30: rates per layer, what moved though frozen, a spring to the start, and the smallest bill."""

from __future__ import annotations

from typing import Any

import numpy as np

from course_utils.checks._engine import NotYet, as_array, call, close, exercise, expect

Array = np.ndarray


def _named(got: Array, right: Array, meanings: list[tuple[Array, str]]) -> None:
    """Unless ``got`` is right, raise NotYet with the meaning of the first array that equals it."""
    if np.allclose(got, right, rtol=1e-6, atol=1e-9):
        return
    for value, meaning in meanings:
        if got.shape == value.shape and np.allclose(got, value, rtol=1e-6, atol=1e-9):
            raise NotYet(meaning)


# ---------------------------------------------------------------------------- discriminative rates


def _layer_rates_solution(top, factor, groups):
    return top * factor ** np.arange(groups - 1, -1, -1)


@exercise(
    "transfer_learning.rates",
    solution=_layer_rates_solution,
    hints=[
        "How many times is the rate of the last group multiplied by the factor? And that of the first?",
        "The exponents run from groups - 1 for the first group down to 0 for the last.",
        "np.arange(groups - 1, -1, -1) gives these exponents; a number to the power of an array is an array.",
    ],
)
def layer_rates(answer: Any) -> None:
    """Learning rates that grow with depth."""
    for top, factor, groups in [(0.01, 0.5, 3), (0.003, 0.4, 5), (0.1, 0.9, 1)]:
        got = as_array(call(answer, top, factor, groups), "The rates", shape=(groups,))
        up = np.arange(groups)
        if groups > 1:
            _named(
                got,
                _layer_rates_solution(top, factor, groups),
                [
                    (top * factor**up, "The first group has the largest rate. It should have the smallest: what first layers have learnt serves most tasks."),
                    (top * factor ** (groups - up), "Even the last group's rate is multiplied by the factor. The last group gets `top` itself."),
                    (top * (1 - factor * up[::-1]), "Your rates fall by equal amounts. Each should be `factor` times the next one."),
                    (top / factor ** up[::-1], "Earlier groups have larger rates than `top`: you divided by the factor."),
                    (np.full(groups, top), "All groups have the same rate."),
                    (top * factor / np.maximum(up[::-1], 1), "Your rates are divided by the distance to the head. The factor should be multiplied in once for every group."),
                ],
            )  # fmt: skip
        close(got, _layer_rates_solution(top, factor, groups), "The rates")


# ---------------------------------------------------------------------------- what moved though frozen


def _thawed_solution(before, after, frozen):
    return sorted(
        name
        for name, array in before.items()
        if name.split(".")[0] in frozen and not np.array_equal(array, after[name])
    )


@exercise(
    "transfer_learning.batchnorm",
    solution=_thawed_solution,
    hints=[
        "Two questions for every name: was its layer to be frozen, and is the array another one than before?",
        'name.split(".")[0] is the layer. A layer "norm1" must not be taken for "norm10", so compare whole names.',
        "np.array_equal(a, b) compares all entries exactly. Running statistics are arrays like any other: look at them all.",
    ],
)
def thawed(answer: Any) -> None:
    """Names of arrays that moved although their layer was to be frozen."""
    rng = np.random.default_rng(0)
    shapes = {
        "conv1.kernel": (3, 3, 1, 2), "norm1.gamma": (2,), "norm1.beta": (2,), "norm1.moving_mean": (2,),
        "norm1.moving_variance": (2,), "norm10.gamma": (2,), "norm10.moving_mean": (2,), "conv2.kernel": (2, 2),
        "head.kernel": (2, 4), "head.bias": (4,),
    }  # fmt: skip
    before = {name: rng.normal(size=shape) for name, shape in shapes.items()}
    cases = [
        (["norm1.moving_mean", "head.kernel"], ["norm1"]),
        (["norm1.moving_variance", "norm10.moving_mean", "head.bias", "conv1.kernel"], ["norm1", "conv1", "conv2"]),
        (["norm1.moving_mean", "norm1.moving_variance", "norm10.gamma", "head.kernel"], ["conv1", "norm1", "norm10"]),
        (["head.kernel", "head.bias"], ["conv1", "norm1"]),
    ]
    for changed, frozen in cases:
        after = {name: array.copy() for name, array in before.items()}
        for name in changed:
            after[name].flat[-1] += 1e-4  # one entry, a little
        value = call(answer, {k: v.copy() for k, v in before.items()}, after, list(frozen))
        expect(
            isinstance(value, (list, tuple, set)) and all(isinstance(item, str) for item in value),
            f"The answer should be a list of names, but is of type {type(value).__name__}.",
        )
        got, right = list(value), _thawed_solution(before, after, frozen)
        said = set(got)
        expect(len(got) == len(said), "A name stands twice in your list.")
        expect(
            not said & (set(before) - set(changed)),
            f"{sorted(said & (set(before) - set(changed)))} did not change, but stand in your list. "
            "Compare the values of the arrays, not whether they are the same object.",
        )
        others = sorted(name for name in said if name.split(".")[0] not in frozen)
        if any(name.startswith("norm10") for name in others):
            raise NotYet("norm10 is taken for the frozen norm1. Compare the whole layer name, the part before the dot.")
        expect(not others, f"{others} moved, but no one asked for them to be frozen.")
        missing = sorted(set(right) - said)
        statistics = [name for name in missing if "moving" in name]
        expect(
            not statistics,
            f"{statistics} moved in a frozen layer and are not in your list. No optimiser touches running statistics; "
            "that is why one has to look.",
        )
        expect(not missing, f"{missing} moved by a little in one entry and are not in your list.")
        expect(got == right, f"The names are right, their order is not: {got} should be sorted, as a list.")


# ---------------------------------------------------------------------------- a spring to the start


def _spring_fit_solution(X, y, start, alpha):
    d = X.shape[1]
    return start + np.linalg.solve(X.T @ X + alpha * np.eye(d), X.T @ (y - X @ start))


@exercise(
    "transfer_learning.finetune",
    solution=_spring_fit_solution,
    hints=[
        "Write w = start + u. What is to be minimised in u, and which old friend is that?",
        "In u it is ridge regression on the residuals y - X @ start: its gradient is 2 Xᵀ(Xu - residual) + 2 α u.",
        "u solves (XᵀX + α I) u = Xᵀ(y - X @ start). Add the start at the end.",
    ],
)
def spring_fit(answer: Any) -> None:
    """Least squares with a spring to the pretrained weights."""
    rng = np.random.default_rng(2)
    cases = [(np.array([[1.0, 0.0]]), np.array([3.0]), np.array([1.0, 5.0]), 1.0)]
    cases += [(rng.normal(size=(n, 4)), rng.normal(size=n), rng.normal(size=4), alpha) for n, alpha in [(3, 0.5), (9, 4.0)]]
    for X, y, start, alpha in cases:
        n, d = X.shape
        gram, eye, left = X.T @ X, np.eye(d), y - X @ start
        got = as_array(call(answer, X.copy(), y.copy(), start.copy(), alpha), "The weights", shape=(d,))
        _named(
            got,
            _spring_fit_solution(X, y, start, alpha),
            [
                (np.linalg.solve(gram + alpha * eye, X.T @ y), "Your spring pulls to zero: this is ordinary ridge regression. It should pull to `start`."),
                (np.linalg.solve(gram + alpha * eye, X.T @ left), "This is the move away from the start. Add `start` to it."),
                (start + np.linalg.solve(gram + alpha * eye, X.T @ y), "The spring is fitted to y, as if the start predicted 0. Fit it to what the start leaves over, y - X @ start."),
                (np.linalg.solve(gram + alpha * eye, X.T @ y + start), "The start enters without its weight: the normal equations have α · start on the right."),
                (start + np.linalg.pinv(X) @ left, "Your answer does not depend on α: it fits as well as it can, which is gradient descent run to the end."),
                (start + np.linalg.solve(gram / n + alpha * eye, X.T @ left / n), "You used the mean of the squared errors. The loss here is their sum."),
                (start + np.linalg.solve(gram + 2 * alpha * eye, X.T @ left), "Your α counts twice: both terms of the gradient have a factor 2, and it cancels."),
                (start.copy(), "Your weights are the start itself: the labels have no influence."),
            ],
        )  # fmt: skip
        close(got, _spring_fit_solution(X, y, start, alpha), "The weights")


# ---------------------------------------------------------------------------- the smallest bill


def _cheapest_solution(budgets, results, target, classes, cost_per_label, fixed):
    choices = [
        (n * classes * cost_per_label + fixed[method], method, n)
        for method, curve in results.items()
        for n, seeds in zip(budgets, curve, strict=True)
        if min(seeds) >= target
    ]
    if not choices:
        return None
    cost, method, n = min(choices)
    return method, n, cost


@exercise(
    "transfer_learning.budget",
    solution=_cheapest_solution,
    hints=[
        "Make a list of all pairs of method and budget that are good enough, with their cost; then take the smallest.",
        "Every seed reaches the target if the lowest one does: min(seeds) >= target.",
        "Put the cost first into each tuple, (cost, method, n); min(...) then finds the cheapest. Think of the empty list.",
    ],
)
def cheapest(answer: Any) -> None:
    """The cheapest method and budget at which every seed reaches the target."""
    small = {"a": [[0.7, 0.9], [0.8, 0.9]], "b": [[0.8, 0.8], [0.9, 0.9]]}
    lucky = {"a": [[0.95, 0.6], [0.86, 0.88], [0.97, 0.97]], "b": [[0.7, 0.7], [0.85, 0.85], [0.8, 0.99]]}
    cases = [
        ([5, 10], small, 0.8, 10, 0.1, {"a": 0.0, "b": 7.0}),
        ([5, 10], small, 0.8, 10, 0.1, {"a": 0.0, "b": 2.0}),
        ([5, 20, 100], lucky, 0.75, 3, 2.0, {"a": 40.0, "b": 10.0}),
        ([5, 20, 100], lucky, 0.96, 2, 0.5, {"a": 3.0, "b": 0.0}),
        ([5, 20, 100], lucky, 0.99, 2, 0.5, {"a": 3.0, "b": 0.0}),
    ]
    for budgets, results, target, classes, price, fixed in cases:
        value = call(answer, list(budgets), {k: [list(r) for r in v] for k, v in results.items()}, target, classes, price, dict(fixed))
        right = _cheapest_solution(budgets, results, target, classes, price, fixed)
        if right is None:
            expect(value is None, f"No method reaches {target} with every seed at any budget; the answer should be None, not {value!r}.")
            continue
        expect(value is not None, f"You return None, though {right[0]!r} reaches {target} with every seed at {right[1]} labels per class.")
        expect(
            isinstance(value, (tuple, list)) and len(value) == 3,
            "The answer should be the three values (method, budget, cost).",
        )
        method, n, cost = value
        expect(method in results and n in budgets, f"({method!r}, {n!r}) is not a method and a budget that were tried; the order is (method, budget, cost).")
        seeds = results[method][budgets.index(n)]
        if min(seeds) < target:
            how = "their mean does" if np.mean(seeds) >= target else "the best of them does" if max(seeds) >= target else "none does"
            raise NotYet(f"You chose {method!r} with {n} labels, where the seeds have {seeds}. Every seed has to reach {target}; {how}.")
        own = n * classes * price + fixed[method]
        cost = float(as_array(cost, "The cost", shape=()))
        if not np.isclose(cost, own):
            why = ""
            if np.isclose(cost, n * classes * price):
                why = " The fixed cost of the method is missing."
            elif np.isclose(cost, n * price + fixed[method]):
                why = " A budget counts labels per class: multiply by the number of classes."
            raise NotYet(f"{method!r} with {n} labels per class of {classes} classes costs {own:g}; you have {cost:g}.{why}")
        expect(
            np.isclose(cost, right[2]),
            f"{method!r} at {cost:g} is good enough, but {right[0]!r} with {right[1]} labels per class costs {right[2]:g}. "
            "Compare all methods and budgets by their whole cost.",
        )
