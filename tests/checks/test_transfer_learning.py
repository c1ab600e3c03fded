"""Right, untouched and wrong answers to the exercises of lesson 30."""

from __future__ import annotations

import numpy as np

from tests.checks.common import Case


def _moved(before, after, frozen, layer=lambda name: name.split(".")[0], kinds="", same=np.array_equal):
    return sorted(n for n in before if layer(n) in frozen and kinds in n and not same(before[n], after[n]))


def _spring(X, y, start, alpha, to=1.0, add=1.0, left=1.0, scale=1.0):
    d = X.shape[1]
    move = np.linalg.solve(X.T @ X + scale * alpha * np.eye(d), X.T @ (y - left * X @ start))
    return add * start + to * move


def _bill(good=min, classes=True, fixed=True, key=None, none=None):
    def answer(budgets, results, target, number, price, extra):
        choices = []
        for method, curve in results.items():
            for n, seeds in zip(budgets, curve, strict=True):
                if good(seeds) >= target:
                    cost = n * (number if classes else 1) * price + (extra[method] if fixed else 0)
                    choices.append((cost, method, n))
        if not choices:
            return none
        cost, method, n = min(choices, key=key)
        return method, n, cost

    return answer


CASES = {
    "layer_rates": Case(
        stub=lambda top, factor, groups: ...,
        wrong=[
            (lambda t, f, g: t * f ** np.arange(g), "first group has the largest rate"),
            (lambda t, f, g: t * f ** np.arange(g, 0, -1), "last group gets `top` itself"),
            (lambda t, f, g: t / f ** np.arange(g - 1, -1, -1), "you divided by the factor"),
            (lambda t, f, g: t * (1 - f * np.arange(g - 1, -1, -1)), "equal amounts"),
            (lambda t, f, g: np.full(g, t), "the same rate"),
            (lambda t, f, g: t, "has shape"),
        ],
    ),
    "thawed": Case(
        stub=lambda before, after, frozen: ...,
        wrong=[
            (lambda b, a, f: [n for n in _moved(b, a, f) if "moving" not in n], "No optimiser touches running statistics"),
            (lambda b, a, f: sorted(n for n in b if n.split(".")[0] in f and b[n] is not a[n]), "did not change"),
            (lambda b, a, f: sorted(n for n in b if any(n.startswith(x) for x in f) and not np.array_equal(b[n], a[n])), "norm10"),
            (lambda b, a, f: sorted(n for n in b if not np.array_equal(b[n], a[n])), "no one asked"),
            (lambda b, a, f: _moved(b, a, f, same=lambda x, y: np.allclose(x, y, atol=1e-3)), "not in your list"),
            (lambda b, a, f: _moved(b, a, f)[::-1], "order"),
            (lambda b, a, f: len(_moved(b, a, f)), "a list of names"),
        ],
    ),
    "spring_fit": Case(
        stub=lambda X, y, start, alpha: ...,
        wrong=[
            (lambda X, y, s, a: _spring(X, y, s, a, add=0, left=0), "pulls to zero"),
            (lambda X, y, s, a: _spring(X, y, s, a, add=0), "Add `start`"),
            (lambda X, y, s, a: _spring(X, y, s, a, left=0), "y - X @ start"),
            (lambda X, y, s, a: _spring(X, y, s, a, scale=2), "counts twice"),
            (lambda X, y, s, a: _spring(X, y, s, a * len(X), scale=1) if len(X) > 1 else _spring(X, y, s, a), "sum"),
            (lambda X, y, s, a: s + np.linalg.pinv(X) @ (y - X @ s), "does not depend on"),
            (lambda X, y, s, a: s, "no influence"),
        ],
    ),
    "cheapest": Case(
        stub=lambda budgets, results, target, classes, cost_per_label, fixed: ...,
        wrong=[
            (_bill(good=np.mean), "Every seed has to reach"),
            (_bill(good=max), "Every seed has to reach"),
            (_bill(classes=False), "multiply by the number of classes"),
            (_bill(fixed=False), "fixed cost"),
            (_bill(key=lambda choice: choice[2]), "whole cost"),
            (_bill(none=("a", 5, 0.0)), "should be None"),
            (lambda *_: None, "You return None"),
            (lambda *_: "a", "three values"),
        ],
    ),
}
