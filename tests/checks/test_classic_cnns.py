"""Right, untouched and wrong answers to the exercises of lesson 15."""

from __future__ import annotations

import math

from tests.checks.common import Case


def _field(layers=lambda k: (k - 1) // 2, share=lambda n, k: 9 * n / k**2):
    """same_field with the number of layers or the share replaced; the share uses the right number."""
    return lambda k: (layers(k), share((k - 1) // 2, k))


def _memory(per_parameter=lambda slots: 2 + slots, images=lambda batch: batch, outputs=None, size=4):
    outputs = outputs or (lambda shapes: sum(math.prod(shape) for shape in shapes))
    return lambda p, shapes, batch, slots: size * (p * per_parameter(slots) + images(batch) * outputs(shapes))


def _bottleneck(limit):
    """A bottleneck from the allowed work, the area and the numbers of channels."""
    return lambda c, f, k, share: int(limit(share * k * k * c * f, k * k, c, f, share) + 1e-9)


def _linear_search(cost, budget):
    width = 0
    while cost(width + 1) <= budget:
        width += 1
    return width


def _bisect(cost, budget, *, fits=lambda c, b: c <= b, result=lambda low, high: low, none=0, low=1):
    if not fits(cost(1), budget):
        return none
    high = 2
    while fits(cost(high), budget):
        high *= 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(cost(middle), budget) else (low, middle)
    return result(low, high)


CASES = {
    "same_field": Case(
        stub=lambda kernel: (..., ...),
        wrong=[
            (_field(layers=lambda k: math.ceil(k / 3)), "side by side"),
            (_field(layers=lambda k: k - 1), "one pixel on every side"),
            (_field(layers=lambda k: (k + 1) // 2), "begins at 1"),
            (_field(layers=lambda k: 2 * k), "pixels along a side"),
            (_field(layers=lambda k: (k - 1) / 4), "whole number"),
            (_field(share=lambda n, k: k**2 / (9 * n)), "turn it over"),
            (_field(share=lambda n, k: 1 - 9 * n / k**2), "saved"),
            (_field(share=lambda n, k: 3 * n / k), "area"),
            (_field(share=lambda n, k: 9 / k**2), "one small filter"),
            (_field(share=lambda n, k: 9 * n), "divide it"),
            (_field(share=lambda n, k: 9**n / k**2), "add up"),
            (_field(share=lambda n, k: 0.123), "9 weights in each"),
            (lambda k: (k - 1) // 2, "in this order"),
        ],
    ),
    "training_bytes": Case(
        stub=lambda parameters, output_shapes, batch_size, slots: ...,
        wrong=[
            (_memory(size=1), "not bytes"),
            (_memory(size=8), "not eight"),
            (_memory(size=32), "bits"),
            (_memory(per_parameter=lambda slots: 1 + slots), "its gradient"),
            (_memory(per_parameter=lambda slots: 2), "no effect"),
            (_memory(images=lambda batch: 1), "one image"),
            (lambda p, shapes, b, a: 4 * b * (p * (2 + a) + sum(map(math.prod, shapes))), "copy of the"),
            (_memory(outputs=lambda shapes: max(map(math.prod, shapes))), "largest"),
            (_memory(outputs=lambda shapes: math.prod(shapes[-1])), "last layer"),
            (_memory(outputs=lambda shapes: sum(map(sum, shapes))), "product"),
            (lambda *args: 17, "parameters' part"),
        ],
    ),
    "widest_bottleneck": Case(
        stub=lambda channels, filters, kernel, share: ...,
        wrong=[
            (lambda c, f, k, share: int(share * c), "free"),
            (_bottleneck(lambda work, area, c, f, s: work / (c + math.sqrt(area) * f)), "area"),
            (_bottleneck(lambda work, area, c, f, s: work / c), "only the 1 × 1"),
            (_bottleneck(lambda work, area, c, f, s: work / (area * c + f)), "exchanged"),
            (_bottleneck(lambda work, area, c, f, s: work / s / (c + area * f)), "no effect"),
            (_bottleneck(lambda work, area, c, f, s: work / (c + area * f) + 1), "round down"),
            (lambda c, f, k, share: share * k * k * c * f / (c + k * k * f), "whole number"),
            (_bottleneck(lambda work, area, c, f, s: 7), "the limit is"),
        ],
    ),
    "width_for_budget": Case(
        stub=lambda cost, budget: ...,
        wrong=[
            (_linear_search, "60 times"),
            (lambda cost, budget: _bisect(cost, budget, fits=lambda c, b: c < b), "equal to the budget"),
            (lambda cost, budget: _bisect(cost, budget, result=lambda low, high: high), "more than"),
            (lambda cost, budget: _bisect(cost, budget, none=1), "even width 1"),
            (lambda cost, budget: round(math.sqrt(budget / cost(1))), "fits as well"),
            (lambda cost, budget: cost(0), "at least 1"),
            (lambda cost, budget: cost(1.5), "whole numbers"),
        ],
    ),
}
