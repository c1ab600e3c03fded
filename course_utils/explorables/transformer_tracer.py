"""Which head moves what where? One sentence through an exported Transformer, step by step.

The model is computed in ``_transformer.js``; its NumPy twin stands in ``_transformer.py``. Reading the residual
stream with the output layer before the last block is the "logit lens" (nostalgebraist, 2020).
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import traitlets
from numpy.typing import ArrayLike

from course_utils.explorables import _transformer as transformer
from course_utils.explorables._base import BLUE, RED, Explorable, svg_document
from course_utils.explorables.sampling_lab import glyph as _character, ranked

MIN_TOKENS, MAX_TOKENS = 2, 24
QUANTITIES = ("lens", "norm", "added")


def glyph(token: str) -> str:
    """How a token is written in a label."""
    return _character(token) if len(token) == 1 else token


def _whole(value: Any, name: str, low: int, high: int) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or not low <= value <= high:
        raise ValueError(f"{name} must be a whole number from {low} to {high}, not {value!r}.")
    return int(value)


def _known_tokens(tokens: Any, vocabulary: Sequence[str], most: int) -> list[str]:
    if isinstance(tokens, np.ndarray):
        tokens = tokens.ravel().tolist()
    if not isinstance(tokens, (str, list, tuple)) or not all(isinstance(token, str) for token in tokens):
        raise ValueError("tokens must be a list of texts from vocabulary.")
    if not MIN_TOKENS <= len(tokens) <= most:
        raise ValueError(f"tokens must be {MIN_TOKENS} to {most} texts, not {len(tokens)}.")
    unknown = next((token for token in tokens if token not in vocabulary), None)
    if unknown is not None:
        raise ValueError(f"The model does not know the token {unknown!r}; it is not in vocabulary.")
    return list(tokens)


def _known_heads(off: Any, layers: int, heads: int) -> list[list[int]]:
    try:
        pairs = [[int(layer), int(head)] for layer, head in off]
    except (TypeError, ValueError):
        raise ValueError("off must be a list of pairs (layer, head), counted from 1.") from None
    for layer, head in pairs:
        if not (1 <= layer <= layers and 1 <= head <= heads):
            raise ValueError(
                f"off names head {head} of layer {layer}; the model has {layers} layers of {heads} heads, counted from 1."
            )
    return [list(pair) for pair in sorted({tuple(pair) for pair in pairs})]


class TransformerTracer(Explorable):
    """Which head moves what where?

    The reader picks a position, a layer and a head, and sees where the head looks, what it adds to the residual
    stream, and what the output layer would say after every sub-block. A token can be exchanged and a head switched
    off: it then adds nothing, and the prediction answers. The model runs in the browser.

    Parameters
    ----------
    weights : dict of arrays
        Names and shapes in ``course_utils.explorables._transformer``. At most 165,000 parameters.
    tokens : sequence of str
        2 to 24 texts of the vocabulary, at most T_max.
    vocabulary : sequence of str
        V different texts; the k-th is token k.
    heads : int
        H, which divides d.
    causal : bool
        Position i sees the positions up to i; else all.
    activation : {"relu", "gelu"}
        Of the MLP; "gelu" is the one with tanh.
    layer, head : int
        What is shown first, counted from 1.
    position : int, optional
        Counted from 1; by default the last.
    off : sequence of pairs (layer, head)
        Heads that are switched off at the beginning, counted from 1.
    quantity : {"lens", "norm", "added"}
        What the table of the residual stream shows first.

    Raises
    ------
    ValueError
        If weights are missing, do not fit together or are too many, or if anything else does not fit.
    """

    _js = "transformer_tracer.js"
    _parts = ("_sampling", "_transformer")

    network = traitlets.Dict().tag(sync=True)
    vocabulary = traitlets.List().tag(sync=True)
    tokens = traitlets.List().tag(sync=True)
    layer = traitlets.Int(1).tag(sync=True)
    head = traitlets.Int(1).tag(sync=True)
    position = traitlets.Int(1).tag(sync=True)
    off = traitlets.List().tag(sync=True)
    quantity = traitlets.Unicode("lens").tag(sync=True)

    def __init__(
        self,
        weights: Mapping[str, ArrayLike],
        tokens: Sequence[str],
        vocabulary: Sequence[str],
        heads: int = 4,
        causal: bool = True,
        activation: str = "relu",
        *,
        layer: int = 1,
        head: int = 1,
        position: int | None = None,
        off: Iterable[Sequence[int]] = (),
        quantity: str = "lens",
    ) -> None:
        arrays = transformer.checked(weights, heads)
        sizes = transformer.sizes(arrays)
        known = transformer.checked_vocabulary(vocabulary, sizes["vocabulary"])
        words = _known_tokens(tokens, known, min(MAX_TOKENS, sizes["context"]))
        if quantity not in QUANTITIES:
            raise ValueError(f"quantity must be one of {', '.join(map(repr, QUANTITIES))}, not {quantity!r}.")
        super().__init__(
            network=transformer.pack(arrays, heads, causal, transformer.checked_activation(activation)),
            vocabulary=known,
            tokens=words,
            layer=_whole(layer, "layer", 1, sizes["blocks"]),
            head=_whole(head, "head", 1, heads),
            position=len(words) if position is None else _whole(position, "position", 1, len(words)),
            off=_known_heads(off, sizes["blocks"], heads),
            quantity=quantity,
        )

    @traitlets.validate("tokens")
    def _check_tokens(self, proposal: Any) -> list[str]:
        if not self.network:
            return proposal["value"]
        return _known_tokens(proposal["value"], self.vocabulary, min(MAX_TOKENS, self.network["context"]))

    @traitlets.validate("layer", "head", "position")
    def _check_whole(self, proposal: Any) -> int:
        name = proposal["trait"].name
        if not self.network:
            return proposal["value"]
        high = {"layer": self.network["blocks"], "head": self.network["heads"], "position": len(self.tokens)}
        return _whole(proposal["value"], name, 1, high[name])

    @traitlets.validate("off")
    def _check_off(self, proposal: Any) -> list[list[int]]:
        if not self.network:
            return proposal["value"]
        return _known_heads(proposal["value"], self.network["blocks"], self.network["heads"])

    @traitlets.validate("quantity")
    def _check_quantity(self, proposal: Any) -> str:
        if proposal["value"] not in QUANTITIES:
            raise ValueError(f"quantity must be one of {', '.join(map(repr, QUANTITIES))}.")
        return proposal["value"]

    def trace(self, off: Iterable[Sequence[int]] | None = None) -> dict[str, Any]:
        """Everything computed of the sentence; see ``forward`` of ``course_utils.explorables._transformer``.

        ``off``, pairs (layer, head) counted from 1, stands in place of the heads that are switched off now.
        """
        net = self.network
        pairs = self.off if off is None else off
        return transformer.forward(
            transformer.unpack(net),
            [self.vocabulary.index(token) for token in self.tokens],
            net["heads"],
            net["causal"],
            net["activation"],
            off=[(layer - 1, head - 1) for layer, head in pairs],
        )

    def shown(self) -> dict[str, Any]:
        """What the figure shows at the chosen position, with its heads as they are set.

        Returns
        -------
        dict
            ``attention`` (T,), the chosen head's weights; ``head_norm``, the length of what it adds, and ``effect``
            (V,), what that does directly to the logits; ``norms`` (2 L + 1,) of the residual stream after the
            embedding and each sub-block, ``added`` (2 L + 1,), the lengths of what each adds; ``lens`` (2 L + 1, V),
            probabilities; ``probabilities`` (V,) and ``all_on`` (V,), the same with all heads on; ``switched``
            (L, H), the probability of the most probable token once that one head is switched over.
        """
        run, i, h = self.trace(), self.layer - 1, self.head - 1
        weights, t = transformer.unpack(self.network), self.position - 1
        adds = run["blocks"][i]["head_outputs"][h, t]
        streams, additions = [run["embedding"][t]], [run["embedding"][t]]
        for block in run["blocks"]:
            streams += [block["middle"][t], block["stream"][t]]
            additions += [block["added_attention"][t], block["added_mlp"][t]]
        lens = transformer.softmax(run["lens"][:, t])
        best = int(ranked(lens[-1])[0])
        switched = np.empty((self.network["blocks"], self.network["heads"]))
        now = {tuple(pair) for pair in self.off}
        for layer, head in np.ndindex(switched.shape):
            logits = self.trace(now ^ {(layer + 1, head + 1)})["logits"][t]
            switched[layer, head] = transformer.softmax(logits)[best]
        return {
            "attention": run["blocks"][i]["attention"][h, t],
            "head_norm": float(np.linalg.norm(adds)),
            "effect": transformer.direct_effect(weights, adds, run["blocks"][-1]["stream"][t]),
            "norms": np.linalg.norm(streams, axis=1),
            "added": np.linalg.norm(additions, axis=1),
            "lens": lens,
            "probabilities": lens[-1],
            "all_on": transformer.softmax(self.trace(())["logits"][t]),
            "switched": switched,
        }

    def _steps(self) -> list[str]:
        return ["embedding"] + [
            f"layer {i + 1} {part}" for i in range(self.network["blocks"]) for part in ("attention", "MLP")
        ]

    def _off_in_words(self) -> str:
        if not self.off:
            return "All heads are on."
        named = ", ".join(f"head {head} of layer {layer}" for layer, head in self.off)
        return f"Switched off: {named}."

    @property
    def description(self) -> str:
        now, names = self.shown(), [glyph(token) for token in self.tokens]
        looks = ", ".join(
            f"{now['attention'][j]:.2f} at “{names[j]}” (position {j + 1})"
            for j in np.argsort(-now["attention"], kind="stable")[:3]
        )
        reads = ", ".join(
            f"after {step} “{glyph(self.vocabulary[int(ranked(p)[0])])}” {p.max():.2f}"
            for step, p in zip(self._steps(), now["lens"], strict=True)
            if "attention" not in step
        )
        net = self.network
        return (
            f"{len(names)} tokens, “{' '.join(names)}”, in a Transformer with {net['blocks']} layers of {net['heads']} "
            f"heads{', causal' if net['causal'] else ', where all positions see each other'}. At position "
            f"{self.position}, “{names[self.position - 1]}”, head {self.head} of layer {self.layer} looks with weight "
            f"{looks}, and adds a vector of length {now['head_norm']:.2f}. There the output layer reads {reads}. "
            f"{self._off_in_words()}"
        )

    def preview(self) -> str:
        run, names = self.trace(), [html.escape(_cut(glyph(token), 8)) for token in self.tokens]
        attention = run["blocks"][self.layer - 1]["attention"][self.head - 1]
        lens = transformer.softmax(run["lens"])
        T, label, top = len(names), 128, 92
        cell = 36 if len(names) <= 12 else 26
        wide = max(min(60.0, 600 / T), 24.0)
        body = [
            '<text x="16" y="26" font-size="15">Which head moves what where?</text>',
            f'<text x="16" y="50">Head {self.head} of layer {self.layer}: row, a position; column, where it looks. '
            f"{self._off_in_words()}</text>",
        ]
        for i, name in enumerate(names):
            y = top + cell * i
            body.append(f'<text x="{label - 8}" y="{y + cell / 2 + 5}" text-anchor="end">{name}</text>')
            body.append(
                f'<text x="{label + cell * (i + 0.5)}" y="{top - 8}" text-anchor="middle">{_cut(glyph(self.tokens[i]), cell // 8, True)}</text>'
            )
            body += [
                f'<rect x="{label + cell * j}" y="{y}" width="{cell}" height="{cell}" fill="{BLUE}" '
                f'fill-opacity="{w:.3f}" stroke="#ddd"/>'
                for j, w in enumerate(attention[i])
            ]
        body.append(
            f'<rect x="{label}" y="{top + cell * (self.position - 1)}" width="{cell * T}" height="{cell}" '
            f'fill="none" stroke="{RED}" stroke-width="2.2"/>'
        )
        y0 = top + cell * T + 34
        body.append(
            f'<text x="16" y="{y0}">What the output layer reads from the residual stream, and its probability as colour</text>'
        )
        for r, (step, row) in enumerate(zip(self._steps(), lens, strict=True)):
            y = y0 + 12 + 26 * r
            body.append(f'<text x="{label - 8}" y="{y + 18}" text-anchor="end">{step}</text>')
            for j, p in enumerate(row):
                token = glyph(self.vocabulary[int(ranked(p)[0])])
                body.append(
                    f'<rect x="{label + wide * j:.1f}" y="{y}" width="{wide:.1f}" height="26" fill="{BLUE}" '
                    f'fill-opacity="{0.55 * p.max():.3f}" stroke="#ddd"/><text x="{label + wide * (j + 0.5):.1f}" '
                    f'y="{y + 18}" text-anchor="middle">{_cut(token, max(int(wide / 8), 1), True)}</text>'
                )
        height = y0 + 12 + 26 * len(lens)
        body.append(
            f'<rect x="{label + wide * (self.position - 1):.1f}" y="{y0 + 12}" width="{wide:.1f}" '
            f'height="{26 * len(lens)}" fill="none" stroke="{RED}" stroke-width="2.2"/>'
        )
        return svg_document(max(label + max(cell, wide) * T + 16, 560), height + 16, "".join(body))


def _cut(text: str, most: int, escape: bool = False) -> str:
    short = text if len(text) <= most else f"{text[: most - 1]}…"
    return html.escape(short) if escape else short
