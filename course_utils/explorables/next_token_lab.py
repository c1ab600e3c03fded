"""What does a Transformer expect next, and where did it look? An exported model that runs in the browser.

The model is computed in ``_transformer.js`` (twin: ``_transformer.py``), a token is drawn in ``_sampling.js``
(twins: ``sampling_lab.py``). A text longer than the context is read through a window: what follows a character is
predicted from the last ``context`` characters up to it.
"""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import traitlets
from numpy.typing import ArrayLike, NDArray

from course_utils.explorables import _transformer as transformer
from course_utils.explorables._base import BLUE, GREY, Explorable, svg_document
from course_utils.explorables.sampling_lab import (
    TEMPERATURES,
    TOP_PS,
    _check,
    adjusted,
    draw,
    entropy,
    glyph,
    kept,
    ranked,
    uniform,
)

MAX_PROMPT = 120  # characters
MAX_TEXT = 400  # characters, prompt and continuation together
SHADES = (1, 2, 4, 6)  # bits: a character is coloured more strongly from each of these surprises on


def windows(count: int, context: int) -> list[tuple[int, int]]:
    """For each of ``count`` characters: first and last (exclusive) of those that predict its successor."""
    return [(max(0, k + 1 - context), k + 1) for k in range(count)]


def following_logits(
    weights: transformer.Weights, codes: Sequence[int], heads: int, context: int, activation: str
) -> NDArray:
    """Logits (n, V) of what follows each of n tokens, read with at most ``context`` tokens up to it."""
    options: tuple[int, bool, str] = (heads, True, activation)
    rows = list(transformer.forward(weights, codes[:context], *options)["logits"])
    for start, stop in windows(len(codes), context)[len(rows) :]:
        rows.append(transformer.forward(weights, codes[start:stop], *options)["logits"][-1])
    return np.array(rows)


def _whole(value: Any, name: str, low: int, high: int) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or not low <= value <= high:
        raise ValueError(f"{name} must be a whole number from {low} to {high}, not {value!r}.")
    return int(value)


def _between(value: Any, name: str, low: float, high: float) -> float:
    number = isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
    if not number or not low <= value <= high:
        raise ValueError(f"{name} must lie between {low:g} and {high:g}, not {value!r}.")
    return float(value)


def _said(character: str) -> str:
    return {" ": "a space", "\n": "the end of the line"}.get(character, glyph(character))


class NextTokenLab(Explorable):
    """What does the model expect next, and where does it look?

    The model runs in the browser. Bars show the probabilities of the next character, before and after temperature,
    top-k and top-p; a click on a bar appends that character. Every character of the text is coloured by its surprise,
    -log2 of the probability that the model had given it, and a second line shows the attention weights with which one
    head looked back when it predicted the chosen character.

    Parameters
    ----------
    weights : dict of arrays
        A causal Transformer; names and shapes in ``course_utils.explorables._transformer``. At most 165,000
        parameters.
    vocabulary : sequence of str
        V different characters; the k-th is token k.
    prompt : str
        The text to go on from, 1 to 120 characters of the vocabulary.
    heads : int
        H, which divides d.
    context : int, optional
        How many characters the model sees at most, 1 to T_max; by default T_max.
    activation : {"gelu", "relu"}
        Of the MLP; "gelu" is the one with tanh.
    temperature, top_k, top_p : float, int or None, float
        0.1 to 2; from 1 to V or None for all; 0.05 to 1.
    seed : int
        From 0. The same seed, prompt and settings give the same text.
    length : int
        How many characters the long run appends, 1 to 100.
    layer, head : int
        Whose attention is shown, counted from 1.
    generated : str
        Characters that already follow the prompt.

    Raises
    ------
    ValueError
        If weights are missing, do not fit together or are too many, or if anything else does not fit.
    """

    _js = "next_token_lab.js"
    _parts = ("_sampling", "_transformer")

    network = traitlets.Dict().tag(sync=True)
    vocabulary = traitlets.List().tag(sync=True)
    context = traitlets.Int(1).tag(sync=True)
    prompt = traitlets.Unicode("").tag(sync=True)
    generated = traitlets.Unicode("").tag(sync=True)
    temperature = traitlets.Float(1.0).tag(sync=True)
    top_k = traitlets.Int(None, allow_none=True).tag(sync=True)
    top_p = traitlets.Float(1.0).tag(sync=True)
    seed = traitlets.Int(0).tag(sync=True)
    length = traitlets.Int(20).tag(sync=True)
    layer = traitlets.Int(1).tag(sync=True)
    head = traitlets.Int(1).tag(sync=True)

    def __init__(
        self,
        weights: Mapping[str, ArrayLike],
        vocabulary: Sequence[str],
        prompt: str = "Once ",
        heads: int = 4,
        context: int | None = None,
        activation: str = "gelu",
        *,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float = 1.0,
        seed: int = 0,
        length: int = 20,
        layer: int | None = None,
        head: int = 1,
        generated: str = "",
    ) -> None:
        arrays = transformer.checked(weights, heads)
        sizes = transformer.sizes(arrays)
        characters = transformer.checked_vocabulary(vocabulary, sizes["vocabulary"])
        longer = next((token for token in characters if len(token) != 1), None)
        if longer is not None:
            raise ValueError(f"vocabulary must hold single characters; {longer!r} has {len(longer)}.")
        if not isinstance(prompt, str) or not 1 <= len(prompt) <= MAX_PROMPT:
            raise ValueError(f"prompt must be a text of 1 to {MAX_PROMPT} characters.")
        if not isinstance(generated, str) or len(prompt + generated) > MAX_TEXT:
            raise ValueError(f"prompt and generated together must be text of at most {MAX_TEXT} characters.")
        unknown = sorted(set(prompt + generated) - set(characters))
        if unknown:
            raise ValueError(
                f"The model does not know the character {unknown[0]!r}; it is not in vocabulary."
            )
        if top_k is not None:
            top_k = _whole(top_k, "top_k", 1, len(characters))
        super().__init__(
            network=transformer.pack(arrays, heads, True, transformer.checked_activation(activation)),
            vocabulary=characters,
            context=sizes["context"] if context is None else _whole(context, "context", 1, sizes["context"]),
            prompt=prompt,
            generated=generated,
            temperature=_between(temperature, "temperature", *TEMPERATURES),
            top_k=top_k,
            top_p=_between(top_p, "top_p", *TOP_PS),
            seed=_whole(seed, "seed", 0, 2**31 - 1),
            length=_whole(length, "length", 1, 100),
            layer=sizes["blocks"] if layer is None else _whole(layer, "layer", 1, sizes["blocks"]),
            head=_whole(head, "head", 1, heads),
        )

    @traitlets.validate("prompt", "generated")
    def _known_characters(self, proposal: Any) -> str:
        unknown = sorted(set(proposal["value"]) - set(self.vocabulary)) if self.vocabulary else []
        if unknown:
            raise traitlets.TraitError(f"The model does not know the character {unknown[0]!r}.")
        return proposal["value"]

    @traitlets.validate("temperature", "top_p")
    def _in_range(self, proposal: Any) -> float:
        name = proposal["trait"].name
        low, high = TEMPERATURES if name == "temperature" else TOP_PS
        if not low <= proposal["value"] <= high:
            raise traitlets.TraitError(f"{name} must lie between {low} and {high}.")
        return proposal["value"]

    @traitlets.validate("top_k", "layer", "head")
    def _counted(self, proposal: Any) -> int | None:
        name, value = proposal["trait"].name, proposal["value"]
        if (name == "top_k" and value is None) or not self.network:
            return value
        high = self.network[{"top_k": "vocabulary", "layer": "blocks", "head": "heads"}[name]]
        if not 1 <= value <= high:
            raise traitlets.TraitError(f"{name} must be a whole number from 1 to {high}.")
        return value

    def _codes(self, text: str) -> list[int]:
        return [self.vocabulary.index(character) for character in text]

    def _following(self, codes: list[int]) -> NDArray:
        net = self.network
        weights = transformer.unpack(net)
        return following_logits(weights, codes, net["heads"], self.context, net["activation"])

    def shown(self) -> dict[str, Any]:
        """Everything the figure shows of the next character.

        Returns
        -------
        dict
            ``text``, n characters; ``probabilities`` (V,) of the next one, ``adjusted`` (V,), ``kept`` (V,) bool;
            ``surprises`` (n - 1,) in bits, of each character but the first; ``loss``, their mean, NaN for one
            character; ``attention`` (at most context,), the chosen head's weights on the last characters.
        """
        text = self.prompt + self.generated
        codes = self._codes(text)
        rows = transformer.softmax(self._following(codes))
        settings = (self.temperature, self.top_k, self.top_p)
        with np.errstate(divide="ignore"):
            surprises = -np.log2(rows[np.arange(len(codes) - 1), codes[1:]]) + 0.0
        start, stop = windows(len(codes), self.context)[-1]
        net = self.network
        found = transformer.forward(
            transformer.unpack(net), codes[start:stop], net["heads"], True, net["activation"]
        )
        return {
            "text": text,
            "probabilities": rows[-1],
            "adjusted": adjusted(rows[-1], *settings),
            "kept": kept(rows[-1], *settings),
            "surprises": surprises,
            "loss": float(surprises.mean()) if surprises.size else math.nan,
            "attention": found["blocks"][self.layer - 1]["attention"][self.head - 1, -1],
        }

    def continuation(self, length: int) -> str:
        """The next ``length`` characters that the figure draws after the present text."""
        text, drawn = self.prompt + self.generated, len(self.generated)
        _check(len(self.vocabulary), self.temperature, self.top_k, self.top_p)
        new = ""
        for n in range(length):
            p = transformer.softmax(self._following(self._codes((text + new)[-self.context :]))[-1])
            token = draw(adjusted(p, self.temperature, self.top_k, self.top_p), uniform(self.seed, drawn + n))
            new += self.vocabulary[token]
        return new

    @property
    def description(self) -> str:
        if not self.prompt:
            return "A Transformer over characters that waits for a prompt."
        now = self.shown()
        p, q = now["probabilities"], now["adjusted"]
        best = ", ".join(
            f"{_said(self.vocabulary[k])} {p[k]:.2f} (after the settings {q[k]:.2f})" for k in ranked(p)[:3]
        )
        text = now["text"].replace("\n", " ").strip()
        text = text if len(text) <= 120 else "…" + text[-119:]
        weights, n = now["attention"], len(now["attention"])
        looks = ", ".join(
            f"{w:.2f} at {_said(now['text'][len(now['text']) - n + j])} ({n - j} back)"
            for j, w in ((int(j), weights[j]) for j in np.argsort(-weights, kind="stable")[:3])
        )
        loss = (
            ""
            if math.isnan(now["loss"])
            else f" The text surprises the model by {now['loss']:.2f} bits per character on average."
        )
        return (
            f"A Transformer over characters after the text “{text}”. Most probable next characters: {best}. Temperature "
            f"{self.temperature:.2f}, top-k {self.top_k or 'all'}, top-p {self.top_p:.2f}: {int(now['kept'].sum())} of "
            f"{len(self.vocabulary)} characters can be drawn. Head {self.head} of layer {self.layer} looks with "
            f"weight {looks}.{loss}"
        )

    def preview(self) -> str:
        question = "What does the model expect next, and where does it look?"
        if not self.prompt:
            return svg_document(560, 44, f'<text x="20" y="28" font-size="15">{question}</text>')
        now = self.shown()
        p, q, mask, weights = now["probabilities"], now["adjusted"], now["kept"], now["attention"]
        order = ranked(p)[:10]
        longest = max(float(p.max()), float(q.max()))
        full = next(v for v in (0.25, 0.5, 1.0) if longest <= v + 1e-12 or v == 1.0)
        text = now["text"][-40:]
        left, width, top, step = 60, 300, 158, 12.6
        body = [f'<text x="20" y="28" font-size="15">{question}</text>']
        seen = weights[-len(text) :]
        for k, character in enumerate(text):
            x = 20 + step * k
            share = float(seen[k - len(text) + len(seen)]) if k >= len(text) - len(seen) else 0.0
            body.append(
                f'<rect x="{x:.1f}" y="{82 - 30 * share:.1f}" width="{step - 1.6:.1f}" height="{30 * share:.1f}" '
                f'fill="{BLUE}"/><text x="{x + step / 2:.1f}" y="98" text-anchor="middle" '
                f'font-family="monospace" font-size="15">{html.escape(glyph(character))}</text>'
            )
        body.append(
            f'<text x="20" y="122" fill="{GREY}">bars over the text: where head {self.head} of layer {self.layer} '
            "looks before the next character</text>"
            f'<text x="20" y="{top - 10}" fill="{GREY}">next character; grey: the model, blue: after the settings</text>'
        )
        for k, token in enumerate(order):
            y = top + 24 * k
            after = f"{q[token]:.3f}" if mask[token] else "cut"
            body.append(
                f'<text x="{left - 12}" y="{y + 14}" text-anchor="end" font-family="monospace">'
                f"{html.escape(glyph(self.vocabulary[token]))}</text>"
                f'<rect x="{left}" y="{y + 1}" width="{width * p[token] / full:.1f}" height="6" fill="{GREY}"/>'
                f'<rect x="{left}" y="{y + 8}" width="{width * q[token] / full:.1f}" height="9" fill="{BLUE}"/>'
                f'<text x="{left + width + 12}" y="{y + 14}">{p[token]:.3f}</text>'
                f'<text x="{left + width + 66}" y="{y + 14}">{after}</text>'
            )
        y = top + 24 * len(order) + 22
        surprise = "" if math.isnan(now["loss"]) else f"mean surprise {now['loss']:.2f} bits per character; "
        body.append(
            f'<text x="20" y="{y}">{surprise}entropy of the next one {entropy(p):.2f} bits</text>'
            f'<text x="20" y="{y + 22}">temperature {self.temperature:.2f}, top-k {self.top_k or "all"}, '
            f"top-p {self.top_p:.2f}</text>"
        )
        return svg_document(560, y + 38, "".join(body))
