"""Checks of lesson 15: receptive fields of stacks, memory of training, bottlenecks, and fair widths."""

from __future__ import annotations

import math
from typing import Any

from course_utils.checks._engine import NotYet, as_array, call, exercise, expect, several


def _whole(value: Any, name: str) -> int:
    """The answer as an int; NotYet if it is not one whole number."""
    number = float(as_array(value, name, shape=()))
    expect(math.isfinite(number), f"{name} is {number}; it should be a whole number.")
    expect(
        abs(number - round(number)) < 1e-9,
        f"{name} is {number:.6g}; it should be a whole number. Round in the direction that the task "
        "asks for.",
    )
    return round(number)


# ---------------------------------------------------------------------------- small filters


def _same_field_solution(kernel):
    layers = (kernel - 1) // 2  # each 3 × 3 adds two pixels to the field, and the first pixel is free
    return layers, 9 * layers / kernel**2


@exercise(
    "classic_cnns.small_filters",
    solution=_same_field_solution,
    hints=[
        "With stride 1 every jump is 1, so each 3 × 3 convolution adds the same number of pixels to "
        "the field. How many, and from which field does one start?",
        "n layers see 2n + 1 pixels along a side. Solve 2n + 1 = kernel for n.",
        "Per pair of channels, n small filters have 9n weights and the large one has kernel².",
    ],
)
def same_field(answer: Any) -> None:
    """How many 3 × 3 convolutions see what one large filter sees, and at which share of its weights."""
    for kernel in (7, 3, 5, 11, 15):
        got_layers, got_share = several(call(answer, kernel), "layers", "share of the weights")
        layers = _whole(got_layers, f"The number of layers for a {kernel} × {kernel} filter")
        right = (kernel - 1) // 2
        seen = f"For a {kernel} × {kernel} filter you use {layers} layers of 3 × 3"
        if layers != right:
            if layers == math.ceil(kernel / 3) or layers == kernel // 3:
                raise NotYet(
                    f"{seen}: the fields were laid side by side, kernel / 3. Stacked fields overlap: "
                    "each layer adds only 2 pixels."
                )
            if layers == kernel - 1:
                raise NotYet(f"{seen}. Each layer adds one pixel on every side, so 2 along a side.")
            if layers == right + 1:
                raise NotYet(
                    f"{seen}, which see {2 * layers + 1} pixels. A single pixel sees itself before the "
                    "first layer: the field begins at 1."
                )
            raise NotYet(f"{seen}, which see {2 * layers + 1} pixels along a side.")
        share = float(as_array(got_share, f"The share of the weights for kernel {kernel}", shape=()))
        true = 9 * right / kernel**2
        if math.isclose(share, true, rel_tol=1e-6):
            continue
        named = [
            (1 / true, "That is the large filter's weights divided by the stack's. Turn it over."),
            (1 - true, "That is the share that is saved; the task asks for the share that remains."),
            (3 * right / kernel, "The sides were compared, 3n to k. A filter has as many weights as its "
             "area."),
            (9 / kernel**2, "One small filter was compared with the large one. The stack has several."),
            (9 * right, "That is the number of weights per pair of channels; divide it by those of the "
             "large filter."),
            (9**right / kernel**2, "The weights of the layers were multiplied. They add up."),
        ]  # fmt: skip
        for value, meaning in named:
            if math.isclose(share, value, rel_tol=1e-6):
                raise NotYet(f"For a {kernel} × {kernel} filter your share is {share:.4g}. {meaning}")
        raise NotYet(
            f"For a {kernel} × {kernel} filter your share is {share:.4g}. The stack has 9 weights in "
            f"each of its {right} layers, for each pair of channels, and the large filter has "
            f"{kernel**2}."
        )


# ---------------------------------------------------------------------------- memory


def _training_bytes_solution(parameters, output_shapes, batch_size, slots):
    activations = sum(math.prod(shape) for shape in output_shapes)  # of one image
    return 4 * (parameters * (2 + slots) + batch_size * activations)


@exercise(
    "classic_cnns.count",
    solution=_training_bytes_solution,
    hints=[
        "Two parts: one belongs to the parameters and does not depend on the batch; the other belongs "
        "to the activations and grows with it.",
        "Of each parameter there are: itself, its gradient, and what the optimiser keeps. "
        "math.prod(shape) is the number of values in one layer's output.",
        "Add (2 + slots) numbers per parameter to batch_size times the sum of all outputs, and "
        "remember how many bytes a number has.",
    ],
)
def training_bytes(answer: Any) -> None:
    """The memory that training holds at once."""
    cases = [
        (61_706, [(28, 28, 6), (14, 14, 6), (84,), (10,)], 32, 3),  # 3 slots: no two mistakes alike
        (100, [(2, 2, 3), (5,)], 10, 1),
        (5_000, [(7, 7, 12)], 1, 0),
    ]
    for parameters, shapes, batch, slots in cases:
        value = call(answer, parameters, list(shapes), batch, slots)
        got = float(as_array(value, "The number of bytes", shape=()))
        outputs = sum(math.prod(shape) for shape in shapes)
        right = 4 * (parameters * (2 + slots) + batch * outputs)
        if math.isclose(got, right, rel_tol=1e-9):
            continue
        seen = f"With {parameters:,} parameters, a batch of {batch} and slots={slots} you return {got:,.0f}"
        named = [
            (right / 4, "numbers, not bytes: each takes four."),
            (right * 2, "twice too many: a float32 has four bytes, not eight."),
            (right * 8, "bits. A number has 32 of them, or four bytes."),
            (4 * (parameters * (1 + slots) + batch * outputs), "one number per parameter too few: there are "
             "the parameter itself, its gradient, and the optimiser's slots."),
            (4 * (parameters * 2 + batch * outputs), "without the optimiser's further numbers: `slots` has "
             "no effect."),
            (4 * (parameters + batch * outputs), "the parameters once. Training also keeps a gradient for "
             "each, and what the optimiser remembers."),
            (4 * (parameters * slots + batch * outputs), "only the optimiser's numbers. The parameters and "
             "their gradients are held as well."),
            (4 * (parameters * (2 + slots) + outputs), "the activations of one image. Those of the whole "
             "batch are kept for the backward pass."),
            (4 * batch * (parameters * (2 + slots) + outputs), "a copy of the parameters for every image. "
             "They are there once, whatever the batch."),
            (4 * (parameters * (2 + slots) + batch * max(math.prod(s) for s in shapes)), "only the largest "
             "of the outputs. That would do for predicting; the backward pass needs all of them."),
            (4 * (parameters * (2 + slots) + batch * math.prod(shapes[-1])), "only the output of the last "
             "layer. The backward pass needs all of them."),
            (4 * (parameters * (2 + slots) + batch * sum(sum(s) for s in shapes)), "the sum of each shape. "
             "The number of values in an output is the product."),
        ]  # fmt: skip
        for value, meaning in named:
            if math.isclose(got, value, rel_tol=1e-9):
                raise NotYet(f"{seen}. That is {meaning}")
        raise NotYet(
            f"{seen}. The parameters' part should be {4 * parameters * (2 + slots):,} bytes, and the "
            f"outputs of one image are {outputs:,} numbers."
        )


# ---------------------------------------------------------------------------- bottleneck


def _widest_bottleneck_solution(channels, filters, kernel, share):
    direct = kernel**2 * channels * filters
    per_channel = channels + kernel**2 * filters  # what one bottleneck channel costs, in both layers
    return int(share * direct / per_channel + 1e-9)


@exercise(
    "classic_cnns.one_by_one",
    solution=_widest_bottleneck_solution,
    hints=[
        "Count per place of the map: the direct convolution, then the two layers that replace it, with "
        "B bottleneck channels between them.",
        "The two layers cost channels · B + kernel² · B · filters: B times something that does not "
        "depend on B.",
        "Divide the allowed work, share · kernel² · channels · filters, by (channels + kernel² · "
        "filters), and round down, because the share is a limit.",
    ],
)
def widest_bottleneck(answer: Any) -> None:
    """The widest 1 × 1 bottleneck that keeps a convolution within a share of its work."""
    cases = [(256, 96, 5, 0.5), (192, 128, 3, 0.3), (512, 64, 5, 0.13), (64, 64, 1, 0.9), (3, 16, 3, 0.05)]
    for channels, filters, kernel, share in cases:
        got = _whole(call(answer, channels, filters, kernel, share), "The number of channels")
        area = kernel**2
        allowed, each = share * area * channels * filters, channels + area * filters
        right = int(allowed / each + 1e-9)
        if got == right:
            continue
        case = f"widest_bottleneck({channels}, {filters}, {kernel}, {share:g})"
        spent = got * each / (area * channels * filters)
        named = [
            (int(share * channels), "That is the share of the channels, as if the 1 × 1 convolution itself "
             "were free."),
            (int(allowed / (channels + kernel * filters)), "The kernel counts with its area, kernel²."),
            (int(allowed / (area * filters)), "The 1 × 1 convolution has its own work: channels · B per "
             "place."),
            (int(allowed / channels), "Only the 1 × 1 convolution was counted; the large filter follows it."),
            (int(allowed / (area * channels + filters)), "The roles are exchanged: the 1 × 1 convolution "
             "reads `channels`, the large filter writes `filters`."),
            (int((1 - share) * area * channels * filters / each), "`share` is what may remain, not what is "
             "saved."),
            (int(area * channels * filters / each), "`share` has no effect: that is the point of no saving "
             "at all."),
            (int(allowed / (channels + filters)), "The large filter has kernel² weights for each pair of "
             "channels."),
        ]  # fmt: skip
        for value, meaning in named:
            if got == value:
                raise NotYet(f"{case} gives {got}, at {spent:.1%} of the direct work. {meaning}")
        if got == right + 1:
            raise NotYet(
                f"{case} gives {got}, at {spent:.2%} of the direct work: too much by a little. Round down."
            )
        raise NotYet(f"{case} gives {got}, at {spent:.1%} of the direct work; the limit is {share:.0%}.")


# ---------------------------------------------------------------------------- fair width


def _width_for_budget_solution(cost, budget):
    if cost(1) > budget:
        return 0
    high = 2
    while cost(high) <= budget:  # double until it is too wide
        high *= 2
    low = high // 2  # cost(low) fits, cost(high) does not
    while high - low > 1:
        middle = (low + high) // 2
        if cost(middle) <= budget:
            low = middle
        else:
            high = middle
    return low


class _TooManyCalls(Exception):
    pass


@exercise(
    "classic_cnns.compare",
    solution=_width_for_budget_solution,
    hints=[
        "Trying every width from 1 upwards is right and far too slow. What does one call tell you "
        "about all smaller, or all larger, widths?",
        "First find a width that is too expensive: double until the cost exceeds the budget. The "
        "answer lies between the last two widths.",
        "Keep `low`, which fits, and `high`, which does not. Ask for the middle, replace one of them, "
        "and stop when they are neighbours.",
    ],
)
def width_for_budget(answer: Any) -> None:
    """The largest width that a budget allows."""

    def stack(width: int) -> int:
        return 24 * 24 * 9 * (3 * width + width**2) + 12 * 12 * 9 * (2 * width**2 + 4 * width**2)

    cases = [
        ("10 · w²", lambda w: 10 * w * w, 1000, 10),
        ("a small VGG-like network", stack, 430_000, None),
        ("7 · w", lambda w: 7 * w, 7 * 314_159 + 3, 314_159),
        ("5 · w² + 100", lambda w: 5 * w * w + 100, 104, 0),
        ("3 · w", lambda w: 3 * w, 3, 1),
        ("w // 4 + 1, which stays equal for a while", lambda w: w // 4 + 1, 6, 23),
    ]
    for label, cost, budget, right in cases:
        calls: list[float] = []

        def counted(width: Any, cost: Any = cost, calls: list[float] = calls) -> int:
            if float(width) != int(width) or width < 1:
                raise NotYet(
                    f"You asked for the cost of width {width}; widths are whole numbers of at least 1."
                )
            calls.append(width)
            if len(calls) > 60:
                raise _TooManyCalls
            return cost(int(width))

        try:
            value = call(answer, counted, budget)
        except _TooManyCalls:
            tried = f"the widths {calls[0]:g}, {calls[1]:g}, {calls[2]:g}, ..., {calls[59]:g}"
            raise NotYet(
                f"For the cost {label} and a budget of {budget:,} you had called `cost` 60 times, with "
                f"{tried}, and were not done. Double the step until it is too far, then halve the "
                "interval."
            ) from None
        got = _whole(value, "The width")
        if right is None:
            right = _width_for_budget_solution(cost, budget)
        if got == right:
            continue
        seen = f"For the cost {label} and a budget of {budget:,} you return {got:,}"
        if right == 0:
            raise NotYet(f"{seen}, but even width 1 costs {cost(1):,}. Return 0 when nothing fits.")
        if got < 1:
            raise NotYet(f"{seen}, but width 1 costs {cost(1):,}, which is allowed.")
        if cost(got) > budget:
            raise NotYet(f"{seen}, which costs {cost(got):,}: more than is allowed.")
        if cost(got + 1) <= budget:
            exactly = " A cost equal to the budget is allowed." if cost(got + 1) == budget else ""
            raise NotYet(f"{seen}, but width {got + 1:,} costs {cost(got + 1):,} and fits as well.{exactly}")
        raise NotYet(f"{seen}.")  # cannot happen while cost grows
