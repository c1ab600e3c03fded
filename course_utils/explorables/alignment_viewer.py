"""Where does a decoder look while it writes? Attention weights of some examples, step by step.

The functions in this module are the NumPy twins of those in ``alignment_viewer.js``; the tests compare both.
Weights are (target, source): row t holds the weights of all source tokens while target token t is written.
"""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import traitlets
from numpy.typing import ArrayLike, NDArray

from course_utils.explorables._base import BLUE, GREY, Explorable, svg_document

MAX_TOKENS = 40  # in a source or a target
MAX_EXAMPLES = 40
TOLERANCE = 1e-3  # how far the sum of a row may be from 1
QUESTION = "Where does the network look while it writes each token?"
SHOWN = ("step", "all")


def strongest(weights: ArrayLike) -> list[int]:
    """For each of the target tokens the source token of the largest weight; of equals the first."""
    return np.asarray(weights, dtype=float).argmax(axis=1).tolist()


def row_entropy(weights: ArrayLike) -> NDArray:
    """Entropy of each row in bits, (target,): 0 if all weight is on one token, log2(source) if it is even."""
    w = np.asarray(weights, dtype=float)
    with np.errstate(divide="ignore", invalid="ignore"):
        return -np.where(w > 0, w * np.log2(w), 0.0).sum(axis=1) + 0.0


def steps_back(weights: ArrayLike) -> list[int]:
    """Steps t at which the strongest source token stands before that of step t - 1."""
    best = strongest(weights)
    return [t for t in range(1, len(best)) if best[t] < best[t - 1]]


def monotone(weights: ArrayLike) -> bool:
    """Whether the strongest source token never goes back."""
    return not steps_back(weights)


def _mark(token: str) -> str:
    return f"“{'␣' if token == ' ' else token}”"


def verdict(source: Sequence[str], target: Sequence[str], weights: ArrayLike) -> str:
    """In words: whether the alignment is monotone, and where it first goes back."""
    best, back = strongest(weights), steps_back(weights)
    if len(best) == 1:
        return "One step only, so there is no order to speak of."
    if len(set(best)) == 1:
        return f"Every step looks most at the same source token, {_mark(source[best[0]])}."
    if not back:
        return "Monotone: the strongest source token never goes back."
    if len(back) == len(best) - 1:
        return "Backwards: at every step the strongest source token stands before the last one."
    times = "once" if len(back) == 1 else f"{len(back)} times"
    t = back[0]
    return (
        f"Not monotone: it goes back {times}, first at {_mark(target[t])} (step {t + 1}), "
        f"from source token {best[t - 1] + 1} to {best[t] + 1}."
    )


def wrong_tokens(target: Sequence[str], correct: Sequence[str]) -> list[int]:
    """Places of the target whose token is not the correct one, or behind the end of the correct ones."""
    return [t for t, token in enumerate(target) if t >= len(correct) or token != correct[t]]


def joined(tokens: Sequence[str]) -> str:
    """Tokens as one text: characters side by side, words with spaces between."""
    return ("" if all(len(t) == 1 for t in tokens) else " ").join(tokens)


def _tokens(value: Any, name: str, where: str) -> list[str]:
    if isinstance(value, (bytes, Mapping)) or not hasattr(value, "__iter__"):
        raise ValueError(f"{where}: {name} must be a list of tokens.")
    tokens = [str(token) for token in value]
    if name != "correct" and not 1 <= len(tokens) <= MAX_TOKENS:
        raise ValueError(f"{where}: {name} must hold 1 to {MAX_TOKENS} tokens, not {len(tokens)}.")
    return tokens[:MAX_TOKENS]


def _example(example: Any, number: int) -> dict[str, Any]:
    """One example, checked, as plain JSON; weights rounded to five digits."""
    where = f"Example {number}"
    if not isinstance(example, Mapping):
        raise ValueError(f"{where} must be a dict with source, target and weights.")
    missing = [name for name in ("source", "target", "weights") if name not in example]
    if missing:
        raise ValueError(f"{where} has no {missing[0]!r}.")
    unknown = sorted(set(example) - {"source", "target", "weights", "correct"})
    if unknown:
        raise ValueError(f"{where} has {unknown[0]!r}; known are source, target, weights and correct.")
    source, target = (_tokens(example[name], name, where) for name in ("source", "target"))
    try:
        weights = np.asarray(example["weights"], dtype=float)
    except (TypeError, ValueError):
        raise ValueError(f"{where}: weights must be rows of numbers, all of the same length.") from None
    if weights.shape != (len(target), len(source)):
        raise ValueError(
            f"{where}: weights must have shape (target, source) = ({len(target)}, {len(source)}), "
            f"not {weights.shape}."
        )
    if not np.isfinite(weights).all() or weights.min() < 0:
        raise ValueError(f"{where}: weights must be finite and not negative.")
    sums = weights.sum(axis=1)
    row = int(np.abs(sums - 1).argmax())
    if abs(sums[row] - 1) > TOLERANCE:
        hint = " The columns do: are the weights transposed?" if _columns_sum_to_one(weights) else ""
        raise ValueError(f"{where}: row {row} of weights sums to {sums[row]:.3f}, not to 1.{hint}")
    out: dict[str, Any] = {"source": source, "target": target, "weights": weights.round(5).tolist()}
    if example.get("correct") is not None:
        out["correct"] = _tokens(example["correct"], "correct", where)
    return out


def _columns_sum_to_one(weights: NDArray) -> bool:
    return bool(np.abs(weights.sum(axis=0) - 1).max() <= TOLERANCE)


class AlignmentViewer(Explorable):
    """Where does the network look while it writes each token?

    Target tokens and source tokens stand in two rows, joined by lines as strong as the attention weights.
    Below are the weights of one step as bars over the source, and the weights of all steps as a heat map
    with one row per target token and one column per source token.

    Parameters
    ----------
    examples : sequence of dict
        1 to 40. Each has ``source`` and ``target``, lists of 1 to 40 tokens (a string counts as a list of its
        characters); ``weights`` (target, source), no number negative, every row summing to 1; optionally
        ``correct``, the tokens that should have been written. Weights are stored with five digits.
    title : str or None
        Stands above the figure instead of the question.
    example : int
        The example shown first.
    step : int
        The target token shown first, from 0.
    show : {"step", "all"}
        Whose lines are drawn: those of one step or of all.

    Raises
    ------
    ValueError
        If shapes do not fit, a row does not sum to 1 (by more than 0.001), or a choice is out of range.
    """

    _js = "alignment_viewer.js"

    examples = traitlets.List().tag(sync=True)
    title = traitlets.Unicode("").tag(sync=True)
    example = traitlets.Int(0).tag(sync=True)
    step = traitlets.Int(0).tag(sync=True)
    show = traitlets.Unicode("step").tag(sync=True)

    def __init__(
        self,
        examples: Sequence[Mapping[str, Any]],
        title: str | None = None,
        *,
        example: int = 0,
        step: int = 0,
        show: str = "step",
    ) -> None:
        if isinstance(examples, (str, Mapping)) or not hasattr(examples, "__iter__"):
            raise ValueError("examples must be a list of dicts with source, target and weights.")
        checked = [_example(one, k) for k, one in enumerate(examples)]
        if not 1 <= len(checked) <= MAX_EXAMPLES:
            raise ValueError(f"examples must hold 1 to {MAX_EXAMPLES} examples, not {len(checked)}.")
        if not 0 <= example < len(checked):
            raise ValueError(f"example must lie between 0 and {len(checked) - 1}, not {example}.")
        last = len(checked[example]["target"]) - 1
        if not 0 <= step <= last:
            raise ValueError(f"step must lie between 0 and {last}, not {step}.")
        if show not in SHOWN:
            raise ValueError(f'show must be "step" or "all", not {show!r}.')
        super().__init__(examples=checked, title=title or "", example=int(example), step=int(step), show=show)

    @traitlets.validate("example")
    def _known_example(self, proposal: Any) -> int:
        if self.examples and not 0 <= proposal["value"] < len(self.examples):
            raise traitlets.TraitError(f"example must lie between 0 and {len(self.examples) - 1}.")
        return proposal["value"]

    @traitlets.validate("show")
    def _known_choice(self, proposal: Any) -> str:
        if proposal["value"] not in SHOWN:
            raise traitlets.TraitError(f'show must be "step" or "all", not {proposal["value"]!r}.')
        return proposal["value"]

    def shown(self) -> dict[str, Any]:
        """The example on the screen and its ``step``, ``strongest``, ``entropy``, ``verdict``, ``wrong``."""
        now = self.examples[self.example]
        return {
            **now,
            "step": min(max(self.step, 0), len(now["target"]) - 1),
            "strongest": strongest(now["weights"]),
            "entropy": row_entropy(now["weights"]),
            "verdict": verdict(now["source"], now["target"], now["weights"]),
            "wrong": wrong_tokens(now["target"], now["correct"]) if "correct" in now else [],
        }

    @property
    def description(self) -> str:
        if not self.examples:
            return "Attention weights without an example."
        now = self.shown()
        t = now["step"]
        best, bits = now["strongest"][t], now["entropy"]
        words = f" {self.title}." if self.title and self.title[-1] not in ".?!" else f" {self.title}".rstrip()
        errors = ""
        if "correct" in now:
            n = len(now["wrong"])
            errors = f" {n} of its tokens " + (
                "is not the correct one." if n == 1 else "are not the correct ones."
            )
        return (
            f"Attention weights of example {self.example + 1} of {len(self.examples)}.{words} "
            f"The source “{joined(now['source'])}” was turned into “{joined(now['target'])}”.{errors} "
            f"At step {t + 1}, writing {_mark(now['target'][t])}, the largest weight, "
            f"{now['weights'][t][best]:.2f}, is on {_mark(now['source'][best])}, source token {best + 1}; "
            f"the entropy is {bits[t]:.2f} bits, on average {bits.mean():.2f}. {now['verdict']}"
        )

    def preview(self) -> str:
        now = self.shown()
        source, target, weights = now["source"], now["target"], np.array(now["weights"])
        t = now["step"]
        longest = max(map(len, source))
        label = min(max(8 * max(map(len, target)), 16), 120)
        cell = min(max(440 / len(source), 14.0), 56.0)
        turned = 8.5 * longest > cell
        left, row = 40 + label, 20
        top = 52 + (min(8 * longest, 110) if turned else 20)
        heading = self.title or QUESTION
        width = max(left + cell * len(source) + 70, 8.2 * len(heading) + 40)

        def words(token: str, most: int = 14) -> str:
            token = "␣" if token == " " else token
            return html.escape(token if len(token) <= most else token[: most - 1] + "…")

        body = [
            f'<text x="20" y="28" font-size="15">{html.escape(heading)}</text>',
            f'<text x="{left + cell * len(source) + 8:g}" y="{top - 6:g}" fill="{GREY}">bits</text>',
        ]
        for s, token in enumerate(source):
            x = left + cell * (s + 0.5)
            place = (
                f'transform="translate({x + 4:.1f} {top - 6:g}) rotate(-90)"'
                if turned
                else f'x="{x:.1f}" y="{top - 6:g}" text-anchor="middle"'
            )
            body.append(f"<text {place}>{words(token)}</text>")
        for k, token in enumerate(target):
            y = top + row * k
            body.append(
                f'<text x="{left - 8}" y="{y + 14.5:g}" text-anchor="end" '
                f'font-weight="{700 if k == t else 400}">{words(token)}</text>'
                f'<text x="{left + cell * len(source) + 8:g}" y="{y + 14.5:g}">{now["entropy"][k]:.2f}</text>'
            )
            for s in range(len(source)):
                if weights[k, s] >= 0.004:
                    body.append(
                        f'<rect x="{left + cell * s:.1f}" y="{y}" width="{cell:.1f}" height="{row}" '
                        f'fill="{BLUE}" fill-opacity="{weights[k, s]:.3f}"/>'
                    )
        body.append(
            f'<rect x="{left}" y="{top:g}" width="{cell * len(source):.1f}" height="{row * len(target)}" '
            f'fill="none" stroke="{GREY}"/>'
            f'<rect x="{left}" y="{top + row * t:g}" width="{cell * len(source):.1f}" height="{row}" '
            'fill="none" stroke="#222" stroke-width="2"/>'
        )
        return svg_document(width, top + row * len(target) + 16, "".join(body))
