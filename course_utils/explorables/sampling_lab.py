"""What comes next? A small character model, exported, that runs in the browser and is sampled there.

The functions in this module are the NumPy twins of those in ``sampling_lab.js`` and ``_sampling.js``; the tests compare both with
each other, and the twins with Keras. V is the number of characters the model knows, e the length of an
embedding, u the number of units of a recurrent layer.
"""

from __future__ import annotations

import base64
import html
import math
import unicodedata
from typing import Any

import numpy as np
import traitlets
from numpy.typing import ArrayLike, NDArray

from course_utils.explorables._base import BLUE, GREY, Explorable, svg_document

MAX_PARAMETERS = 120_000
MAX_ALPHABET = 256
MAX_PROMPT = 200  # characters
MAX_TEXT = 600  # characters, prompt and continuation together
FLOAT32_LIMIT = 300_000  # bytes of embedded weights; above it they are stored as float16
TEMPERATURES = (0.1, 2.0)
TOP_PS = (0.05, 1.0)

_STORED = {"float32": "<f4", "float16": "<f2"}
_SUPPORTED = "Embedding, LSTM, GRU, Dropout and, at the end, one Dense"
_GATES = {"lstm": 4, "gru": 3}
_GLYPHS = {" ": "␣", "\n": "⏎", "\t": "⇥"}

Exported = dict[str, Any]


# ---- from Keras to plain numbers ----


def export(model: Any, alphabet: str, precision: str = "float32") -> Exported:
    """Turn a character model of Keras into JSON: a list of layers, and all weights as one base64 text.

    Parameters
    ----------
    model : keras.Sequential
        Built; token numbers, Embedding(V, e), at most two LSTM or GRU layers (without one the model sees
        the last character only), Dense(V) that gives logits. Dropout has no effect here.
    alphabet : str
        V different characters; the k-th is token k.
    precision : {"float32", "float16"}
        How a weight is stored. float16 halves the size and rounds each weight to about three digits.

    Returns
    -------
    dict
        ``alphabet``, ``precision``, ``weights``; ``embedding`` (e); ``layers``: for each recurrent layer its
        ``name``, ``type`` ("lstm" or "gru"), ``input`` and ``units``. The weights stand in the order of the
        layers: embedding (V, e); per recurrent layer kernel (input, g u), recurrent kernel (u, g u) and bias,
        (4 u,) with g = 4 for an LSTM, (2, 3 u) with g = 3 for a GRU; output kernel (u, V) and bias (V,).

    Raises
    ------
    ValueError
        If the alphabet does not fit the model, or the model is not built, not Sequential, too large, or holds
        a layer that the figure does not know; the message names the layer.
    """
    import keras

    if precision not in _STORED:
        raise ValueError(f'precision must be "float32" or "float16", not {precision!r}.')
    if not isinstance(alphabet, str) or not alphabet:
        raise ValueError("alphabet must be a string, whose k-th character is token k.")
    twice = sorted({c for c in alphabet if alphabet.count(c) > 1})
    if twice:
        raise ValueError(f"alphabet must hold each character once; {twice[0]!r} stands in it more often.")
    if len(alphabet) > MAX_ALPHABET:
        raise ValueError(f"alphabet holds {len(alphabet)} characters; at most {MAX_ALPHABET} fit.")
    if not isinstance(model, keras.Sequential):
        raise ValueError(f"model must be a keras.Sequential, not {type(model).__name__}.")
    if not model.built or not model.layers:
        raise ValueError("The model is not built: give it a keras.Input, or call it once on token numbers.")
    count = model.count_params()
    if count > MAX_PARAMETERS:
        raise ValueError(
            f"The model has {count:,} parameters; at most {MAX_PARAMETERS:,} fit into a page. "
            "Use fewer units, or a smaller embedding."
        )
    arrays, embedding, layers = _collect(model, len(alphabet))
    with np.errstate(over="ignore"):
        flat = np.concatenate([np.ravel(a) for a in arrays]).astype(_STORED[precision])
    if not np.isfinite(flat).all():
        raise ValueError(f"The weights hold numbers that are not finite, or too large for {precision}.")
    return {
        "alphabet": alphabet,
        "embedding": embedding,
        "layers": layers,
        "precision": precision,
        "weights": base64.b64encode(flat.tobytes()).decode("ascii"),
    }


def _collect(model: Any, size: int) -> tuple[list[NDArray], int, list[dict[str, Any]]]:
    """The weights of a model in the order of :func:`export`, e, and its recurrent layers."""
    arrays: list[NDArray] = []
    recurrent: list[dict[str, Any]] = []
    embedding, width, done, sequences = 0, 0, False, True
    for layer in model.layers:
        kind, name = type(layer).__name__, layer.name

        def refuse(reason: str, kind: str = kind, name: str = name) -> ValueError:
            return ValueError(f"Layer {name!r} ({kind}) {reason}.")

        if kind in ("InputLayer", "Dropout", "SpatialDropout1D"):
            continue
        if done:
            raise refuse("stands behind the Dense that gives the logits; that must be the last layer")
        if not embedding and kind != "Embedding":
            raise refuse("stands where the model must begin with an Embedding of token numbers")
        weights = [np.asarray(w, dtype=np.float64) for w in layer.get_weights()]
        match kind:
            case "Embedding":
                if embedding:
                    raise refuse("is a second Embedding; the figure knows one")
                if layer.input_dim != size:
                    raise refuse(f"knows {layer.input_dim} tokens, but alphabet holds {size} characters")
                if layer.mask_zero:
                    raise refuse("masks token 0, which the figure does not know; use mask_zero=False")
                arrays.append(weights[0])
                embedding = width = layer.output_dim
            case "LSTM" | "GRU":
                if len(recurrent) == 2:
                    raise refuse("is a third recurrent layer; the figure knows at most two")
                if not sequences:
                    raise refuse("needs a layer with return_sequences=True before it")
                if (_name(layer.activation), _name(layer.recurrent_activation)) != ("tanh", "sigmoid"):
                    raise refuse("must have the usual activations, tanh and, for its gates, sigmoid")
                if layer.go_backwards:
                    raise refuse("reads backwards; a model that predicts must read forwards")
                if kind == "GRU" and not layer.reset_after:
                    raise refuse("must have reset_after=True")
                gates, units = _GATES[kind.lower()], layer.units
                bias = weights[2] if layer.use_bias else np.zeros(gates * units * (2 if kind == "GRU" else 1))
                arrays += [weights[0], weights[1], bias]
                recurrent.append({"name": name, "type": kind.lower(), "input": width, "units": units})
                width, sequences = units, layer.return_sequences
            case "Dense":
                if _name(layer.activation) != "linear":
                    raise refuse(
                        f"ends in {_name(layer.activation)}; the figure needs the logits, so leave it out"
                    )
                if layer.units != size:
                    raise refuse(f"gives {layer.units} logits, but alphabet holds {size} characters")
                arrays += [weights[0], weights[1] if layer.use_bias else np.zeros(size)]
                done = True
            case _:
                raise refuse(f"is not among the layers the figure knows: {_SUPPORTED}")
    if not done:
        raise ValueError("The model must end in a Dense that gives one logit for each character.")
    return arrays, embedding, recurrent


def _name(activation: Any) -> str:
    return getattr(activation, "__name__", type(activation).__name__)


def unpack(exported: Exported) -> list[NDArray]:
    """The weights as float64 arrays, in the order and with the shapes given in :func:`export`."""
    data = base64.b64decode(exported["weights"])
    flat = np.frombuffer(data, dtype=_STORED[exported["precision"]]).astype(np.float64)
    size, width = len(exported["alphabet"]), exported["embedding"]
    shapes: list[tuple[int, ...]] = [(size, width)]
    for layer in exported["layers"]:
        n, u = layer["input"], layer["units"]
        columns = _GATES[layer["type"]] * u
        shapes += [(n, columns), (u, columns), (columns,) if layer["type"] == "lstm" else (2, columns)]
        width = u
    shapes += [(width, size), (size,)]
    ends = np.cumsum([math.prod(shape) for shape in shapes])
    return [part.reshape(s) for part, s in zip(np.split(flat, ends[:-1]), shapes, strict=True)]


# ---- the model ----


def _sigmoid(z: NDArray) -> NDArray:
    return 1 / (1 + np.exp(-z))


def _lstm(x: NDArray, state: list[NDArray], W: NDArray, U: NDArray, b: NDArray) -> list[NDArray]:
    """New state [h, c] of an LSTM; its gates stand in the order input, forget, candidate, output."""
    h, c = state
    i, f, g, o = np.split(x @ W + h @ U + b, 4)
    c = _sigmoid(f) * c + _sigmoid(i) * np.tanh(g)
    return [_sigmoid(o) * np.tanh(c), c]


def _gru(x: NDArray, state: list[NDArray], W: NDArray, U: NDArray, b: NDArray) -> list[NDArray]:
    """New state [h] of a GRU (reset after the product); its gates: update, reset, candidate."""
    (h,) = state
    from_x, from_h = np.split(x @ W + b[0], 3), np.split(h @ U + b[1], 3)
    z, r = (_sigmoid(from_x[k] + from_h[k]) for k in (0, 1))
    return [z * h + (1 - z) * np.tanh(from_x[2] + r * from_h[2])]


def _codes(exported: Exported, text: str) -> list[int]:
    place = {c: k for k, c in enumerate(exported["alphabet"])}
    unknown = sorted({c for c in text if c not in place})
    if unknown:
        raise ValueError(f"The model does not know the character {unknown[0]!r}; it is not in alphabet.")
    return [place[c] for c in text]


def all_logits(exported: Exported, text: str) -> NDArray:
    """Logits (n, V) after each of the n characters of a text, read from the beginning with state zero."""
    if not text:
        raise ValueError("text is empty; the model needs at least one character.")
    first, *middle, out, bias = unpack(exported)
    states = [
        [np.zeros(layer["units"]) for _ in range(2 if layer["type"] == "lstm" else 1)]
        for layer in exported["layers"]
    ]
    rows = []
    for code in _codes(exported, text):
        x = first[code]
        for k, layer in enumerate(exported["layers"]):
            step = _lstm if layer["type"] == "lstm" else _gru
            states[k] = step(x, states[k], *middle[3 * k : 3 * k + 3])
            x = states[k][0]
        rows.append(x @ out + bias)
    return np.array(rows)


def logits(exported: Exported, text: str) -> NDArray:
    """Logits (V,) of the character that follows a text.

    Parameters
    ----------
    exported : dict
        From :func:`export`.
    text : str
        At least one character, all from the alphabet. It is read from its beginning, with state zero.

    Raises
    ------
    ValueError
        If the text is empty or holds a character that is not in the alphabet.
    """
    return all_logits(exported, text)[-1]


def probabilities(values: ArrayLike) -> NDArray:
    """Softmax over the last axis of logits (..., V)."""
    values = np.asarray(values, dtype=float)
    z = np.exp(values - values.max(axis=-1, keepdims=True))
    return z / z.sum(axis=-1, keepdims=True)


# ---- sampling ----


def _check(size: int, temperature: float, top_k: int | None, top_p: float) -> None:
    if not (temperature > 0 and math.isfinite(temperature)):
        raise ValueError(f"temperature must be above 0, not {temperature}.")
    if top_k is not None and not (top_k == int(top_k) and 1 <= top_k <= size):
        raise ValueError(f"top_k must be a whole number from 1 to {size}, or None for all, not {top_k}.")
    if not 0 < top_p <= 1:
        raise ValueError(f"top_p must lie between 0 and 1 (above 0), not {top_p}.")


def ranked(chances: ArrayLike) -> NDArray:
    """Tokens, the most probable one first; of equals the one that comes first in the alphabet."""
    return np.argsort(-np.asarray(chances, dtype=float), kind="stable")


def _tempered(chances: NDArray, temperature: float) -> NDArray:
    with np.errstate(divide="ignore"):
        z = np.log(chances) / temperature
    z = np.exp(z - z.max())
    return z / z.sum()


def kept(
    chances: ArrayLike, temperature: float = 1.0, top_k: int | None = None, top_p: float = 1.0
) -> NDArray:
    """Which of the V tokens may still be drawn, as bool (V,).

    First the temperature, then the ``top_k`` most probable ones, then the smallest number of those whose
    probabilities, once they sum to 1 again, reach ``top_p``.
    """
    p = np.asarray(chances, dtype=float)
    _check(p.size, temperature, top_k, top_p)
    order = ranked(p)[:top_k]
    if top_p < 1:
        running = np.cumsum(_tempered(p, temperature)[order])
        order = order[: int(np.argmax(running >= top_p * running[-1] - 1e-12)) + 1]
    mask = np.zeros(p.size, dtype=bool)
    mask[order] = True
    return mask


def adjusted(
    probabilities: ArrayLike, temperature: float = 1.0, top_k: int | None = None, top_p: float = 1.0
) -> NDArray:
    """The probabilities from which a character is drawn.

    Parameters
    ----------
    probabilities : array (V,)
        Of the model, summing to 1.
    temperature : float
        Above 0. The probabilities are raised to the power 1/temperature: the same as logits divided by it.
    top_k : int or None
        How many of the most probable tokens are kept; None: all.
    top_p : float
        Above 0, at most 1; see :func:`kept`.

    Returns
    -------
    array (V,)
        Summing to 1; 0 for what is cut.

    Raises
    ------
    ValueError
        If an option is out of range.
    """
    p = np.asarray(probabilities, dtype=float)
    mask = kept(p, temperature, top_k, top_p)
    p = np.where(mask, _tempered(p, temperature), 0.0)
    return p / p.sum()


def uniform(seed: int, index: int) -> float:
    """Number ``index`` (0, 1, ...) from [0, 1) of the generator ``ui.mulberry32(seed)``."""
    full = 0xFFFFFFFF
    a = (seed + (index + 1) * 0x6D2B79F5) & full
    t = ((a ^ (a >> 15)) * (a | 1)) & full
    t ^= (t + (((t ^ (t >> 7)) * (t | 61)) & full)) & full
    return ((t ^ (t >> 14)) & full) / 4294967296


def draw(chances: ArrayLike, number: float) -> int:
    """The token that a number from [0, 1) draws: the probabilities are laid end to end, largest first."""
    p = np.asarray(chances, dtype=float)
    order = ranked(p)
    running = np.cumsum(p[order])
    found = np.flatnonzero(running > number * running[-1])
    return int(order[found[0]])


def generate(
    exported: Exported,
    text: str,
    length: int,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float = 1.0,
    seed: int = 0,
    *,
    drawn: int = 0,
    greedy: bool = False,
) -> str:
    """The next ``length`` characters after ``text``, as the figure draws them.

    Character number n after the prompt uses number n of the generator, whatever was chosen before; ``drawn``
    says how many of the characters of ``text`` already follow the prompt. ``greedy``: always the most
    probable character.
    """
    new = ""
    for n in range(length):
        p = probabilities(logits(exported, text + new))
        if greedy:
            token = int(ranked(p)[0])
        else:
            token = draw(adjusted(p, temperature, top_k, top_p), uniform(seed, drawn + n))
        new += exported["alphabet"][token]
    return new


# ---- measures ----


def entropy(chances: ArrayLike) -> float:
    """In bits."""
    p = np.asarray(chances, dtype=float)
    p = p[p > 0]
    return float(-(p * np.log2(p)).sum()) + 0.0


def character_probabilities(exported: Exported, text: str) -> NDArray:
    """For each of the n characters of a text but the first: what the model gave it, (n - 1,)."""
    codes = _codes(exported, text)
    rows = probabilities(all_logits(exported, text))
    return rows[np.arange(len(codes) - 1), codes[1:]]


def perplexity(chances: ArrayLike) -> float:
    """2 to the mean number of bits, -log2 p, over characters that had the given probabilities."""
    p = np.asarray(chances, dtype=float)
    with np.errstate(divide="ignore"):
        return float(np.exp(-np.log(p).mean())) if p.size else math.nan


def glyph(character: str) -> str:
    """How a character is written in a label: a space as ␣, the end of a line as ⏎."""
    if character in _GLYPHS:
        return _GLYPHS[character]
    if unicodedata.category(character) in ("Cc", "Cf", "Cs", "Co", "Zl", "Zp", "Zs"):
        return f"U+{ord(character):04X}"
    return character


class SamplingLab(Explorable):
    """What comes next, and what do temperature, top-k and top-p do to the choice?

    The model runs in the browser. The bars show the probabilities of the next character, before and after
    the settings; a click on a bar appends that character. Every character of the text is shaded by the
    probability that the model had given it.

    Parameters
    ----------
    model : keras.Sequential
        Built, at most 120,000 parameters: token numbers, Embedding(V, e), one or two LSTM or GRU
        (reset_after=True) layers, of which the last may return sequences or not, Dense(V) that gives logits.
        Dropout has no effect. Without a recurrent layer, the model sees the last character only.
    alphabet : str
        V different characters; the k-th is token k.
    prompt : str
        The text to go on from, 1 to 200 characters of the alphabet.
    temperature : float
        0.1 to 2.
    top_k : int or None
        From 1 to V; None: all.
    top_p : float
        0.05 to 1.
    seed : int
        From 0. The same seed, prompt and settings give the same text.
    length : int
        How many characters the long runs append, 1 to 200.
    generated : str
        Characters that already follow the prompt.
    precision : {"float32", "float16"}, optional
        How the weights are stored; by default float32, unless they become larger than 300 kB.

    Raises
    ------
    ValueError
        If the model holds a layer not listed here (the message names it) or is too large, or if anything
        else does not fit.
    """

    _js = "sampling_lab.js"
    _parts = ("_sampling",)

    network = traitlets.Dict().tag(sync=True)
    prompt = traitlets.Unicode("").tag(sync=True)
    generated = traitlets.Unicode("").tag(sync=True)
    temperature = traitlets.Float(1.0).tag(sync=True)
    top_k = traitlets.Int(None, allow_none=True).tag(sync=True)
    top_p = traitlets.Float(1.0).tag(sync=True)
    seed = traitlets.Int(0).tag(sync=True)
    length = traitlets.Int(50).tag(sync=True)

    def __init__(
        self,
        model: Any,
        alphabet: str,
        prompt: str = "the ",
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float = 1.0,
        seed: int = 0,
        length: int = 50,
        *,
        generated: str = "",
        precision: str | None = None,
    ) -> None:
        network = export(model, alphabet, precision or "float32")
        if precision is None and len(network["weights"]) > FLOAT32_LIMIT:
            network = export(model, alphabet, "float16")
        if not isinstance(prompt, str) or not 1 <= len(prompt) <= MAX_PROMPT:
            raise ValueError(f"prompt must be a text of 1 to {MAX_PROMPT} characters.")
        if len(prompt + generated) > MAX_TEXT:
            raise ValueError(f"prompt and generated together must have at most {MAX_TEXT} characters.")
        _codes(network, prompt + generated)
        _check(len(alphabet), temperature, top_k, top_p)
        for name, value, (low, high) in (
            ("temperature", temperature, TEMPERATURES),
            ("top_p", top_p, TOP_PS),
            ("seed", seed, (0, 2**31 - 1)),
            ("length", length, (1, 200)),
        ):
            if not low <= value <= high:
                raise ValueError(f"{name} must lie between {low} and {high}, not {value}.")
        super().__init__(
            network=network,
            prompt=prompt,
            generated=generated,
            temperature=float(temperature),
            top_k=None if top_k is None else int(top_k),
            top_p=float(top_p),
            seed=int(seed),
            length=int(length),
        )

    @traitlets.validate("prompt", "generated")
    def _known_characters(self, proposal: Any) -> str:
        value = proposal["value"]
        if self.network:
            unknown = sorted(set(value) - set(self.network["alphabet"]))
            if unknown:
                raise traitlets.TraitError(f"The model does not know the character {unknown[0]!r}.")
        return value

    @traitlets.validate("temperature", "top_p")
    def _in_range(self, proposal: Any) -> float:
        low, high = TEMPERATURES if proposal["trait"].name == "temperature" else TOP_PS
        if not low <= proposal["value"] <= high:
            raise traitlets.TraitError(f"{proposal['trait'].name} must lie between {low} and {high}.")
        return proposal["value"]

    @traitlets.validate("top_k")
    def _whole(self, proposal: Any) -> int | None:
        size = len(self.network.get("alphabet", "x" * MAX_ALPHABET))
        if proposal["value"] is not None and not 1 <= proposal["value"] <= size:
            raise traitlets.TraitError(f"top_k must be a whole number from 1 to {size}, or None.")
        return proposal["value"]

    def shown(self) -> dict[str, Any]:
        """Everything the figure shows now.

        Returns
        -------
        dict
            ``text``; ``probabilities`` (V,) of the next character, ``adjusted`` (V,), ``kept`` (V,) bool;
            ``entropy`` and ``adjusted_entropy`` in bits; ``characters`` (n - 1,), the probability of each
            character of the text but the first; ``perplexity`` of the text, NaN for one character.
        """
        text = self.prompt + self.generated
        settings = (self.temperature, self.top_k, self.top_p)
        p = probabilities(logits(self.network, text))
        q = adjusted(p, *settings)
        each = character_probabilities(self.network, text)
        return {
            "text": text,
            "probabilities": p,
            "adjusted": q,
            "kept": kept(p, *settings),
            "entropy": entropy(p),
            "adjusted_entropy": entropy(q),
            "characters": each,
            "perplexity": perplexity(each),
        }

    @property
    def description(self) -> str:
        if not self.prompt:
            return "A character model that waits for a prompt."
        now = self.shown()
        p, q, alphabet = now["probabilities"], now["adjusted"], self.network["alphabet"]
        said = {" ": "a space", "\n": "the end of the line"}
        best = [
            f"{said.get(alphabet[k], glyph(alphabet[k]))} {p[k]:.2f} (after the settings {q[k]:.2f})"
            for k in ranked(p)[:3]
        ]
        text = now["text"].replace("\n", " ").strip()
        text = text if len(text) <= 120 else "…" + text[-119:]
        measure = (
            "" if math.isnan(now["perplexity"]) else f" The text has perplexity {now['perplexity']:.2f}."
        )
        return (
            f"A character model after the text “{text}”. Most probable next characters: {', '.join(best)}. "
            f"Temperature {self.temperature:.2f}, top-k {self.top_k or 'all'}, top-p {self.top_p:.2f}: "
            f"{int(now['kept'].sum())} of {len(alphabet)} characters can be drawn. Entropy "
            f"{now['entropy']:.2f} bits, after the settings {now['adjusted_entropy']:.2f}.{measure}"
        )

    def preview(self) -> str:
        if not self.prompt:
            return svg_document(520, 44, '<text x="20" y="28" font-size="15">What comes next?</text>')
        now = self.shown()
        p, q, mask = now["probabilities"], now["adjusted"], now["kept"]
        alphabet = self.network["alphabet"]
        order = ranked(p)[:12]
        longest = max(float(p.max()), float(q.max()))
        full = next(v for v in (0.25, 0.5, 1.0) if longest <= v + 1e-12 or v == 1.0)
        text = "".join("⏎" if c == "\n" else c for c in now["text"])
        text = text if len(text) <= 56 else "…" + text[-55:]
        left, width, top = 60, 300, 96
        body = [
            '<text x="20" y="28" font-size="15">What comes next?</text>',
            f'<text x="20" y="56" font-family="monospace" xml:space="preserve">{html.escape(text)}▮</text>',
            f'<text x="20" y="{top - 10}" fill="{GREY}">next character; grey: the model, blue: after '
            "the settings</text>",
        ]
        for k, token in enumerate(order):
            y = top + 24 * k
            after = f"{q[token]:.3f}" if mask[token] else "cut"
            before, changed = width * p[token] / full, width * q[token] / full
            body.append(
                f'<text x="{left - 12}" y="{y + 14}" text-anchor="end" font-family="monospace">'
                f"{html.escape(glyph(alphabet[token]))}</text>"
                f'<rect x="{left}" y="{y + 1}" width="{before:.1f}" height="6" fill="{GREY}"/>'
                f'<rect x="{left}" y="{y + 8}" width="{changed:.1f}" height="9" fill="{BLUE}"/>'
                f'<text x="{left + width + 12}" y="{y + 14}">{p[token]:.3f}</text>'
                f'<text x="{left + width + 66}" y="{y + 14}">{after}</text>'
            )
        y = top + 24 * len(order) + 22
        body.append(
            f'<text x="20" y="{y}">entropy {now["entropy"]:.2f} bits, after the settings '
            f"{now['adjusted_entropy']:.2f}</text>"
            f'<text x="20" y="{y + 22}">temperature {self.temperature:.2f}, top-k {self.top_k or "all"}, '
            f"top-p {self.top_p:.2f}</text>"
        )
        return svg_document(520, y + 38, "".join(body))
