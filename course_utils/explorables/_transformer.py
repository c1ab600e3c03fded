"""A small Transformer in NumPy: the twin of ``_transformer.js``, with everything it computes on the way.

One stack of pre-LN blocks (Vaswani et al., 2017; with the normalisation before each sub-block, as in GPT-2): with
T tokens, width d, H heads, L blocks, an MLP of m units (usually 4 d) and V tokens in the vocabulary ::

    x = token_embedding[tokens] + position_embedding[:T]                      # (T, d), the residual stream
    for each block:
        x = x + attention(layer_norm(x))        # every head adds its own part, then the bias b_o
        x = x + activation(layer_norm(x) @ W1 + b1) @ W2 + b2
    logits = layer_norm(x) @ W_vocab + b_vocab                                # (T, V)

``weights`` is a dict of arrays (their dtype does not matter, float64 is computed with):

==============================================  ==========================================
``token_embedding``, ``position_embedding``     (V, d), (T_max, d)
``blocks.i.ln1.gamma``, ``blocks.i.ln1.beta``   (d,), for block i = 0, ..., L - 1
``blocks.i.attention.W_q``, ``W_k``, ``W_v``    (d, d); head h has the columns h d/H to (h + 1) d/H
``blocks.i.attention.W_o``                      (d, d); head h has those rows
``blocks.i.attention.b_q``, ..., ``b_o``        (d,)
``blocks.i.ln2.gamma``, ``blocks.i.ln2.beta``   (d,)
``blocks.i.mlp.W1``, ``b1``, ``W2``, ``b2``     (d, m), (m,), (m, d), (d,)
``final_ln.gamma``, ``final_ln.beta``           (d,)
``W_vocab``, ``b_vocab``                        (d, V), (V,)
==============================================  ==========================================
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

EPSILON = 1e-6  # of every layer normalisation
ACTIVATIONS = ("gelu", "relu")
MAX_PARAMETERS = 165_000  # 440 kB as float16 in base64
MAX_VOCABULARY = 256
MAX_BLOCKS = 6
FLOAT32_LIMIT = 75_000  # parameters; more are sent as float16

Weights = Mapping[str, ArrayLike]
_STORED = {"float32": "<f4", "float16": "<f2"}
_BLOCK = re.compile(r"blocks\.(\d+)\.")


# ---- what the weights are ----


def _block_shapes(d: int, m: int) -> dict[str, tuple[int, ...]]:
    return {
        "ln1.gamma": (d,),
        "ln1.beta": (d,),
        "attention.W_q": (d, d),
        "attention.b_q": (d,),
        "attention.W_k": (d, d),
        "attention.b_k": (d,),
        "attention.W_v": (d, d),
        "attention.b_v": (d,),
        "attention.W_o": (d, d),
        "attention.b_o": (d,),
        "ln2.gamma": (d,),
        "ln2.beta": (d,),
        "mlp.W1": (d, m),
        "mlp.b1": (m,),
        "mlp.W2": (m, d),
        "mlp.b2": (d,),
    }


def shapes(vocabulary: int, context: int, d: int, m: int, blocks: int) -> dict[str, tuple[int, ...]]:
    """Names and shapes of all weights, in the order in which they travel to the browser."""
    out: dict[str, tuple[int, ...]] = {
        "token_embedding": (vocabulary, d),
        "position_embedding": (context, d),
    }
    for i in range(blocks):
        out |= {f"blocks.{i}.{name}": shape for name, shape in _block_shapes(d, m).items()}
    return out | {
        "final_ln.gamma": (d,),
        "final_ln.beta": (d,),
        "W_vocab": (d, vocabulary),
        "b_vocab": (vocabulary,),
    }


def sizes(weights: Weights) -> dict[str, int]:
    """``vocabulary``, ``context`` (T_max), ``d``, ``m`` and ``blocks`` of checked weights."""
    V, d = np.shape(weights["token_embedding"])
    return {
        "vocabulary": V,
        "context": len(np.asarray(weights["position_embedding"])),
        "d": d,
        "m": np.shape(weights["blocks.0.mlp.W1"])[1],
        "blocks": 1 + max(int(found[1]) for found in map(_BLOCK.match, weights) if found),
    }


def checked(weights: Any, heads: int) -> dict[str, NDArray]:
    """The weights as arrays, once they are known to fit together.

    Entries that do not belong to the model, such as ``vocabulary``, are left out.

    Raises
    ------
    ValueError
        With the name of what is missing, has another shape, is not finite, or with the number of parameters if
        these are too many for a page.
    """
    if not isinstance(weights, Mapping):
        raise ValueError(f"weights must be a dict of arrays, not {type(weights).__name__}.")
    for name, sketch in (
        ("token_embedding", "(V, d)"),
        ("position_embedding", "(T_max, d)"),
        ("blocks.0.mlp.W1", "(d, 4 d)"),
    ):
        if name not in weights:
            raise ValueError(f"weights lack {name!r}, an array of shape {sketch}.")
        if np.ndim(weights[name]) != 2:
            raise ValueError(f"{name!r} must have the shape {sketch}, not {np.shape(weights[name])}.")
    known = sizes(weights)
    if known["blocks"] > MAX_BLOCKS:
        raise ValueError(f"The model has {known['blocks']} blocks; the figures draw at most {MAX_BLOCKS}.")
    if isinstance(heads, bool) or not isinstance(heads, (int, np.integer)) or heads < 1 or known["d"] % heads:
        raise ValueError(f"heads must be a whole number that divides the width {known['d']}, not {heads!r}.")
    wanted = shapes(**known)
    count = sum(int(np.prod(shape)) for shape in wanted.values())
    if count > MAX_PARAMETERS:
        raise ValueError(
            f"The model has {count:,} parameters; at most {MAX_PARAMETERS:,} fit into a page. "
            "Use fewer blocks or a smaller width."
        )
    out = {}
    for name, shape in wanted.items():
        if name not in weights:
            raise ValueError(f"weights lack {name!r}, an array of shape {shape}.")
        try:
            array = np.asarray(weights[name], dtype=float)
        except (TypeError, ValueError):
            raise ValueError(f"{name!r} must hold numbers only.") from None
        if array.shape != shape:
            raise ValueError(f"{name!r} must have the shape {shape}, not {array.shape}.")
        if not np.isfinite(array).all():
            raise ValueError(f"{name!r} holds numbers that are not finite.")
        out[name] = array
    return out


def checked_vocabulary(vocabulary: Any, size: int) -> list[str]:
    """The vocabulary as a list of ``size`` different texts.

    Raises
    ------
    ValueError
        If it is anything else.
    """
    if isinstance(vocabulary, np.ndarray):
        vocabulary = vocabulary.ravel().tolist()
    if not isinstance(vocabulary, (str, list, tuple)) or not all(
        isinstance(token, str) and token for token in vocabulary
    ):
        raise ValueError("vocabulary must be a list of texts, whose k-th is token k.")
    vocabulary = list(vocabulary)
    twice = next((token for k, token in enumerate(vocabulary) if token in vocabulary[:k]), None)
    if twice is not None:
        raise ValueError(f"vocabulary must hold each token once; {twice!r} stands in it more often.")
    if len(vocabulary) > MAX_VOCABULARY:
        raise ValueError(f"vocabulary holds {len(vocabulary)} tokens; at most {MAX_VOCABULARY} fit.")
    if len(vocabulary) != size:
        raise ValueError(f"vocabulary holds {len(vocabulary)} tokens, but the model knows {size}.")
    return vocabulary


def checked_activation(activation: Any) -> str:
    """``activation``, if it is one of ``ACTIVATIONS``; else ValueError."""
    if activation not in ACTIVATIONS:
        raise ValueError(
            f"activation must be one of {', '.join(map(repr, ACTIVATIONS))}, not {activation!r}."
        )
    return activation


def pack(weights: Mapping[str, NDArray], heads: int, causal: bool, activation: str) -> dict[str, Any]:
    """Checked weights as JSON: sizes, options, and all numbers as one base64 text in the order of :func:`shapes`.

    Weights that float16 holds exactly travel as such; so do more than ``FLOAT32_LIMIT`` others, rounded to about
    three digits.
    """
    known = sizes(weights)
    flat = np.concatenate([np.ravel(weights[name]) for name in shapes(**known)])
    with np.errstate(over="ignore"):
        half = flat.astype("<f2")
    exact = np.array_equal(half.astype(float), flat)
    precision = "float16" if exact or flat.size > FLOAT32_LIMIT else "float32"
    with np.errstate(over="ignore"):
        stored = flat.astype(_STORED[precision])
    if not np.isfinite(stored).all():
        raise ValueError(f"The weights hold numbers that are too large for {precision}.")
    return {
        **known,
        "heads": int(heads),
        "causal": bool(causal),
        "activation": activation,
        "precision": precision,
        "weights": base64.b64encode(stored.tobytes()).decode("ascii"),
    }


def unpack(packed: Mapping[str, Any]) -> dict[str, NDArray]:
    """The weights as the browser sees them, in float64; the inverse of :func:`pack` but for rounding."""
    flat = np.frombuffer(base64.b64decode(packed["weights"]), dtype=_STORED[packed["precision"]]).astype(
        float
    )
    wanted = shapes(*(packed[name] for name in ("vocabulary", "context", "d", "m", "blocks")))
    out, at = {}, 0
    for name, shape in wanted.items():
        count = int(np.prod(shape))
        out[name] = flat[at : at + count].reshape(shape)
        at += count
    return out


# ---- the model ----


def softmax(z: ArrayLike) -> NDArray:
    """Over the last axis."""
    z = np.asarray(z, dtype=float)
    e = np.exp(z - z.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def gelu(z: ArrayLike) -> NDArray:
    """GELU with tanh in place of the error function, as in GPT-2."""
    z = np.asarray(z, dtype=float)
    return 0.5 * z * (1 + np.tanh(np.sqrt(2 / np.pi) * (z + 0.044715 * z**3)))


def relu(z: ArrayLike) -> NDArray:
    return np.maximum(np.asarray(z, dtype=float), 0)


def layer_norm(x: ArrayLike, gamma: ArrayLike, beta: ArrayLike) -> NDArray:
    """Over the last axis, (..., d)."""
    x = np.asarray(x, dtype=float)
    centred = x - x.mean(axis=-1, keepdims=True)
    spread = np.sqrt((centred**2).mean(axis=-1, keepdims=True) + EPSILON)
    return centred / spread * np.asarray(gamma, dtype=float) + np.asarray(beta, dtype=float)


def read_out(weights: Weights, stream: ArrayLike) -> NDArray:
    """The output layer on any residual stream (..., d): logits (..., V). After an early block: the logit lens."""
    normed = layer_norm(stream, weights["final_ln.gamma"], weights["final_ln.beta"])
    return normed @ np.asarray(weights["W_vocab"], float) + np.asarray(weights["b_vocab"], float)


def direct_effect(weights: Weights, addition: ArrayLike, stream: ArrayLike) -> NDArray:
    """What one addition to the residual stream does to the logits directly, past all later blocks.

    Parameters
    ----------
    weights : dict
    addition : (..., d), for example what one head adds
    stream : (..., d), the residual stream before the output layer, whose spread the addition is divided by

    Returns
    -------
    (..., V), less its mean over the vocabulary, for a shift of all logits changes no probability
    """
    a = np.asarray(addition, dtype=float)
    a = a - a.mean(axis=-1, keepdims=True)
    spread = np.sqrt(np.var(stream, axis=-1, keepdims=True) + EPSILON)
    effect = a / spread * np.asarray(weights["final_ln.gamma"], float) @ np.asarray(weights["W_vocab"], float)
    return effect - effect.mean(axis=-1, keepdims=True)


def forward(
    weights: Weights,
    tokens: Sequence[int],
    heads: int,
    causal: bool = True,
    activation: str = "gelu",
    *,
    off: Iterable[Sequence[int]] = (),
) -> dict[str, Any]:
    """Logits of one sequence, and everything computed on the way.

    Parameters
    ----------
    weights : dict
        See the module's text.
    tokens : T whole numbers from 0 to V - 1, T at most T_max
    heads : H
    causal : position i sees the positions j <= i; else all
    activation : "gelu" or "relu"
    off : pairs (block, head), both from 0, of heads that are switched off: they add nothing (the bias b_o stays)

    Returns
    -------
    dict
        ``logits`` (T, V); ``embedding`` (T, d), the residual stream at the beginning; ``lens`` (2 L + 1, T, V),
        the logits that the output layer gives after the embedding and after each of the 2 L sub-blocks; and
        ``blocks``, for each block a dict with ``attention`` (H, T, T), whose rows sum to 1; ``head_outputs``
        (H, T, d), what each head adds; ``added_attention`` (T, d), their sum and b_o; ``middle`` (T, d), the stream
        after that; ``added_mlp`` (T, d); ``stream`` (T, d), the stream after the block.

    Raises
    ------
    ValueError
        If the tokens do not fit the model.
    """
    codes = np.asarray(tokens)
    V, d = np.shape(weights["token_embedding"])
    positions = np.asarray(weights["position_embedding"], float)
    if codes.ndim != 1 or not 1 <= len(codes) <= len(positions):
        raise ValueError(f"tokens must be 1 to {len(positions)} whole numbers in one row.")
    if codes.dtype.kind not in "iu" or codes.min() < 0 or codes.max() >= V:
        raise ValueError(f"tokens must be whole numbers from 0 to {V - 1}.")
    squash = {"gelu": gelu, "relu": relu}[checked_activation(activation)]
    silent = {(int(block), int(head)) for block, head in off}
    T, width = len(codes), d // heads
    hidden = np.triu(np.ones((T, T), dtype=bool), 1) if causal else np.zeros((T, T), dtype=bool)

    def split(y: NDArray) -> NDArray:  # (T, d) -> (H, T, d / H)
        return y.reshape(T, heads, width).transpose(1, 0, 2)

    stream = np.asarray(weights["token_embedding"], float)[codes] + positions[:T]
    out: dict[str, Any] = {"embedding": stream, "blocks": []}
    steps = [stream]
    for i in range(sizes(weights)["blocks"]):
        w = {name: np.asarray(weights[f"blocks.{i}.{name}"], float) for name in _block_shapes(d, 0)}
        y = layer_norm(stream, w["ln1.gamma"], w["ln1.beta"])
        q, k, v = (split(y @ w[f"attention.W_{c}"] + w[f"attention.b_{c}"]) for c in "qkv")
        scores = q @ k.transpose(0, 2, 1) / np.sqrt(width)
        attention = softmax(np.where(hidden, -np.inf, scores))  # (H, T, T)
        head_outputs = attention @ v @ w["attention.W_o"].reshape(heads, width, d)  # (H, T, d)
        for h in range(heads):
            if (i, h) in silent:
                head_outputs[h] = 0
        added_attention = head_outputs.sum(axis=0) + w["attention.b_o"]
        middle = stream + added_attention
        y = layer_norm(middle, w["ln2.gamma"], w["ln2.beta"])
        added_mlp = squash(y @ w["mlp.W1"] + w["mlp.b1"]) @ w["mlp.W2"] + w["mlp.b2"]
        stream = middle + added_mlp
        steps += [middle, stream]
        out["blocks"].append(
            {
                "attention": attention,
                "head_outputs": head_outputs,
                "added_attention": added_attention,
                "middle": middle,
                "added_mlp": added_mlp,
                "stream": stream,
            }
        )
    out["lens"] = read_out(weights, np.stack(steps))
    out["logits"] = out["lens"][-1]
    return out


def random_weights(
    vocabulary: int, context: int, d: int = 16, blocks: int = 2, m: int | None = None, seed: int = 0
) -> dict[str, NDArray]:
    """Weights of an untrained model, float32, large enough that its heads and predictions differ; for tests."""
    rng = np.random.default_rng(seed)
    out = {}
    for name, shape in shapes(vocabulary, context, d, m or 4 * d, blocks).items():
        if name.endswith("gamma"):
            values = 1 + 0.2 * rng.normal(size=shape)
        elif len(shape) == 1:
            values = 0.1 * rng.normal(size=shape)
        else:
            scale = 1.0 if "embedding" in name else 1.6 / np.sqrt(shape[0])
            values = scale * rng.normal(size=shape)
        out[name] = values.astype("float32")
    return out
