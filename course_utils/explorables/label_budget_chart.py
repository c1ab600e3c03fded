"""How many labels does each method need? Accuracy over label budgets, with the spread of several seeds.

The functions in this module are the NumPy twins of those in ``label_budget_chart.js``; the tests compare both.
Between two budgets that were tried, the mean accuracy is a straight line over the logarithm of the budget; nothing
is said beyond the smallest and the largest budget.
"""

from __future__ import annotations

import html
import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import traitlets
from numpy.typing import ArrayLike

from course_utils.explorables._base import BLUE, GREEN, GREY, ORANGE, PURPLE, Explorable, svg_document

MAX_METHODS = 5
MAX_BUDGETS, MAX_SEEDS = 30, 100
_COLOURS = (BLUE, ORANGE, GREEN, PURPLE, GREY)


def summary(results: Sequence[Sequence[float]]) -> list[dict[str, float]]:
    """For each budget ``mean``, ``low``, ``high`` (lowest and highest seed) and ``seeds`` of one method's accuracies."""
    return [
        {
            "mean": float(np.mean(row)),
            "low": float(min(row)),
            "high": float(max(row)),
            "seeds": len(row),
        }
        for row in results
    ]


def at_budget(budgets: Sequence[float], values: Sequence[float], budget: float) -> float:
    """A value at any budget between the smallest and the largest, straight over the logarithm of the budget."""
    return float(np.interp(math.log(budget), np.log(budgets), values))


def labels_needed(budgets: Sequence[float], means: Sequence[float], accuracy: float) -> float | None:
    """The smallest budget at which the mean accuracy is first reached, not rounded.

    The smallest budget that was tried, if the accuracy is reached there already; None if it is nowhere reached.
    """
    if means[0] >= accuracy:
        return float(budgets[0])
    for k in range(1, len(budgets)):
        if means[k] >= accuracy:
            share = (accuracy - means[k - 1]) / (means[k] - means[k - 1])
            low, high = math.log(budgets[k - 1]), math.log(budgets[k])
            return math.exp(low + share * (high - low))
    return None


def whole_labels(needed: float) -> int:
    """Rounded up, but for the rounding error of logarithms."""
    return math.ceil(needed - 1e-6)


def _budgets(value: Any) -> list[int]:
    try:
        numbers = np.asarray(value, dtype=float).tolist()
    except (TypeError, ValueError):
        numbers = None
    if not isinstance(numbers, list) or not all(
        isinstance(v, float) and v >= 1 and v == int(v) for v in numbers
    ):
        raise ValueError("budgets must be whole numbers of labels, from 1, in one row.")
    if not 2 <= len(numbers) <= MAX_BUDGETS or any(a >= b for a, b in itertools.pairwise(numbers)):
        raise ValueError(f"budgets must be 2 to {MAX_BUDGETS} numbers, each larger than the one before.")
    return [int(v) for v in numbers]


def _results(value: Any, count: int) -> dict[str, list[list[float]]]:
    if not isinstance(value, Mapping) or not 1 <= len(value) <= MAX_METHODS:
        raise ValueError(f"results must be a dict of 1 to {MAX_METHODS} methods.")
    out = {}
    for name, rows in value.items():
        if not isinstance(name, str) or not name.strip() or len(name) > 40:
            raise ValueError(f"A method's name must be a text of 1 to 40 characters, not {name!r}.")
        try:
            table = [np.asarray(row, dtype=float) for row in rows]
        except (TypeError, ValueError):
            raise ValueError(
                f"results[{name!r}] must hold numbers only, a list of accuracies for each budget."
            ) from None
        if len(table) != count:
            raise ValueError(f"results[{name!r}] has {len(table)} rows, but there are {count} budgets.")
        if any(row.ndim != 1 or not 1 <= row.size <= MAX_SEEDS for row in table):
            raise ValueError(
                f"results[{name!r}] must hold, for each budget, a list of 1 to {MAX_SEEDS} accuracies, one per seed."
            )
        if not all(((row >= 0) & (row <= 1)).all() for row in table):
            raise ValueError(f"results[{name!r}] must hold accuracies from 0 to 1.")
        out[name] = [row.tolist() for row in table]
    return out


def _number(value: Any, name: str, low: float, high: float) -> float:
    number = isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
    if not number or not low <= value <= high:
        raise ValueError(f"{name} must lie between {low:g} and {high:g}, not {value!r}.")
    return float(value)


def _percent(value: float) -> str:
    return f"{100 * value:.1f} %"


class LabelBudgetChart(Explorable):
    """How many labels does each method need?

    Mean accuracy of each method over the number of labels (logarithmic), with the range from the lowest to the
    highest seed. The reader drags the budget to see which method is ahead there, and the wanted accuracy to see how
    many labels each method needs for it, and what they cost.

    Parameters
    ----------
    budgets : sequence of int
        2 to 30 numbers of labels, growing.
    results : dict of str to sequences
        1 to 5 methods; for each budget a list of accuracies from 0 to 1, one for each seed.
    cost_per_label : float
        0 to 10 000.
    currency : str
        Put before a cost, at most 4 characters.
    budget : float, optional
        The budget chosen first, within the range of budgets; by default the middle one.
    accuracy : float, optional
        The accuracy wanted first, 0 to 1; by default the highest that two methods reach.

    Raises
    ------
    ValueError
        If anything does not fit; the message says what.
    """

    _js = "label_budget_chart.js"

    budgets = traitlets.List().tag(sync=True)
    methods = traitlets.List().tag(
        sync=True
    )  # [name, accuracies] in the order given: JSON keeps no order of a dict
    cost_per_label = traitlets.Float(0.05).tag(sync=True)
    currency = traitlets.Unicode("").tag(sync=True)
    budget = traitlets.Float(1.0).tag(sync=True)
    accuracy = traitlets.Float(0.5).tag(sync=True)

    def __init__(
        self,
        budgets: Sequence[int] | ArrayLike,
        results: Mapping[str, Sequence[Sequence[float]]],
        cost_per_label: float = 0.05,
        *,
        currency: str = "€",
        budget: float | None = None,
        accuracy: float | None = None,
    ) -> None:
        tried = _budgets(budgets)
        known = _results(results, len(tried))
        if not isinstance(currency, str) or len(currency) > 4:
            raise ValueError(f"currency must be a text of at most 4 characters, not {currency!r}.")
        at = tried[len(tried) // 2] if budget is None else _number(budget, "budget", tried[0], tried[-1])
        if accuracy is None:
            reached = sorted(max(s["mean"] for s in summary(rows)) for rows in known.values())
            accuracy = math.floor(200 * reached[-2:][0] + 1e-9) / 200
        super().__init__(
            budgets=tried,
            methods=[[name, rows] for name, rows in known.items()],
            cost_per_label=_number(cost_per_label, "cost_per_label", 0, 10_000),
            currency=currency,
            budget=float(at),
            accuracy=_number(accuracy, "accuracy", 0, 1),
        )

    @traitlets.validate("budget", "accuracy")
    def _check_number(self, proposal: Any) -> float:
        name = proposal["trait"].name
        low, high = (self.budgets[0], self.budgets[-1]) if name == "budget" and self.budgets else (0, 1)
        return proposal["value"] if not self.budgets else _number(proposal["value"], name, low, high)

    def _means(self, rows: Sequence[Sequence[float]]) -> list[float]:
        return [s["mean"] for s in summary(rows)]

    def at(self, budget: float | None = None) -> dict[str, float]:
        """The mean accuracy of each method at a budget, by default the chosen one."""
        at = self.budget if budget is None else budget
        return {name: at_budget(self.budgets, self._means(rows), at) for name, rows in self.methods}

    def needed(self, accuracy: float | None = None) -> dict[str, int | None]:
        """How many labels each method needs for an accuracy, by default the wanted one; None: not reached."""
        wanted = self.accuracy if accuracy is None else accuracy
        out = {}
        for name, rows in self.methods:
            found = labels_needed(self.budgets, self._means(rows), wanted)
            out[name] = None if found is None else whole_labels(found)
        return out

    def _needs(self) -> list[str]:
        words = []
        for name, labels in self.needed().items():
            if labels is None:
                words.append(f"{name} does not reach it with {self.budgets[-1]} labels")
            else:
                most = "at most " if labels == self.budgets[0] else ""
                words.append(
                    f"{name} needs {most}{labels} labels ({self.currency}{labels * self.cost_per_label:.2f})"
                )
        return words

    @property
    def description(self) -> str:
        now = self.at()
        order = sorted(now, key=lambda name: -now[name])
        return (
            f"Accuracy of {len(now)} method{'s' * (len(now) > 1)} over {self.budgets[0]} to {self.budgets[-1]} labels. "
            f"With {whole_labels(self.budget)} labels: {', '.join(f'{name} {_percent(now[name])}' for name in order)}. "
            f"For an accuracy of {_percent(self.accuracy)}: {', '.join(self._needs())}."
        )

    def preview(self) -> str:
        left, top, width, height = 70, 56, 420, 260
        stats = {name: summary(rows) for name, rows in self.methods}
        lows = [s["low"] for rows in stats.values() for s in rows]
        highs = [s["high"] for rows in stats.values() for s in rows]
        y0 = math.floor(10 * min(*lows, self.accuracy)) / 10
        y1 = min(1.0, math.ceil(10 * max(*highs, self.accuracy) + 1e-9) / 10)
        y1 = y1 if y1 > y0 else y0 + 0.1
        a, b = math.log(self.budgets[0]), math.log(self.budgets[-1])

        def X(budget: float) -> float:
            return left + width * (math.log(budget) - a) / (b - a)

        def Y(accuracy: float) -> float:
            return top + height * (y1 - accuracy) / (y1 - y0)

        body = [
            '<text x="16" y="26" font-size="15">How many labels does each method need?</text>',
            f'<text x="16" y="46" fill="{GREY}">accuracy; range: lowest to highest seed</text>',
            f'<rect x="{left}" y="{top}" width="{width}" height="{height}" fill="none" stroke="#bbb"/>',
        ]
        last = -math.inf
        for n in self.budgets:
            if X(n) - last > 34:
                last = X(n)
                body.append(f'<text x="{X(n):.1f}" y="{top + height + 18}" text-anchor="middle">{n}</text>')
        body.append(
            f'<text x="{left + width / 2}" y="{top + height + 38}" text-anchor="middle">labels</text>'
        )
        for k in range(round(10 * y0), round(10 * y1) + 1):
            body.append(
                f'<path d="M{left} {Y(k / 10):.1f}h{width}" stroke="#e4e8ec"/>'
                f'<text x="{left - 8}" y="{Y(k / 10) + 4:.1f}" text-anchor="end">{10 * k} %</text>'
            )
        ends = []
        for colour, (name, rows) in zip(_COLOURS, stats.items(), strict=False):
            line = " ".join(f"{X(n):.1f},{Y(s['mean']):.1f}" for n, s in zip(self.budgets, rows, strict=True))
            up = " ".join(f"{X(n):.1f},{Y(s['high']):.1f}" for n, s in zip(self.budgets, rows, strict=True))
            down = " ".join(
                f"{X(n):.1f},{Y(s['low']):.1f}"
                for n, s in reversed(list(zip(self.budgets, rows, strict=True)))
            )
            body.append(
                f'<polygon points="{up} {down}" fill="{colour}" fill-opacity="0.18"/>'
                f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2.4"/>'
            )
            ends.append((Y(rows[-1]["mean"]), name, colour))
        y = -math.inf
        for at, name, colour in sorted(ends):
            y = max(at, y + 17)
            body.append(
                f'<rect x="{left + width + 8}" y="{y - 4:.1f}" width="10" height="8" fill="{colour}"/>'
                f'<text x="{left + width + 23}" y="{y + 4:.1f}">{html.escape(name)}</text>'
            )
        body.append(
            f'<path d="M{X(self.budget):.1f} {top}v{height}M{left} {Y(self.accuracy):.1f}h{width}" '
            'stroke="#222" stroke-dasharray="5 4" fill="none"/>'
        )
        y = top + height + 64
        lines = [f"Wanted: {_percent(self.accuracy)}", *self._needs()]
        for k, text in enumerate(lines):
            body.append(f'<text x="16" y="{y + 20 * k}">{html.escape(text)}</text>')
        longest = max(len(name) for name in stats)
        return svg_document(max(left + width + 40 + 7.6 * longest, 560), y + 20 * len(lines), "".join(body))
