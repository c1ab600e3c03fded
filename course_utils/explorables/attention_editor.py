"""What does each token take from the others? Scaled dot-product self-attention of one head, to be edited.

The functions in this module are the NumPy twins of those in ``attention_editor.js``; the tests compare both.
Tokens are rows, as everywhere in the course: ``S = Q @ K.T / sqrt(d)``, weights ``A = softmax(S)`` row by row,
output ``Y = A @ V`` (Vaswani et al., 2017, "Attention Is All You Need", section 3.2.1). A forbidden score is
minus infinity before the softmax.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import traitlets
from numpy.typing import ArrayLike, NDArray

from course_utils.explorables._base import BLUE, ORANGE, RED, Explorable, svg_document
from course_utils.explorables.playground import _mulberry32, _normal

MIN_TOKENS, MAX_TOKENS = 2, 10
LONGEST_WORD = 20  # characters
DIMS = (4, 16, 64)
MASKS = ("none", "causal", "padding")
PRESETS = ("projections", "identity")
LIMIT = 6.0  # every entry of Q, K and V lies between -LIMIT and LIMIT
_WORDS, _MATRICES = 31, 588  # streams of random numbers


def _hash(word: str) -> int:
    """FNV-1a of the UTF-8 bytes of ``word``, 32 bits."""
    value = 0x811C9DC5
    for byte in word.encode("utf-8"):
        value = ((value ^ byte) * 0x01000193) & 0xFFFFFFFF
    return value


def _round(values: NDArray) -> NDArray:
    return np.floor(100 * values + 0.5) / 100 + 0.0  # as JavaScript rounds, and without -0


def embedding(word: str, dim: int, seed: int = 0) -> NDArray:
    """The vector (dim,) of a word: standard normal numbers that word and seed decide, to two decimals."""
    random = _mulberry32((seed + 1) * 2654435761 + _hash(word) + _WORDS)
    return np.clip(_round(np.array([_normal(random) for _ in range(dim)])), -LIMIT, LIMIT)


def projections(dim: int, seed: int = 0) -> NDArray:
    """W_Q, W_K and W_V, shape (3, dim, dim): normal numbers of variance 1 / dim."""
    random = _mulberry32((seed + 1) * 2654435761 + _MATRICES)
    return np.array([_normal(random) for _ in range(3 * dim * dim)]).reshape(3, dim, dim) / np.sqrt(dim)


def start_tables(tokens: Sequence[str], dim: int, seed: int = 0, preset: str = "projections") -> NDArray:
    """Q, K and V, shape (3, n, dim), before anybody edits them.

    ``"projections"`` gives X W_Q, X W_K and X W_V, rounded to two decimals, so that what is read is what is
    computed with; ``"identity"`` gives X three times. X (n, dim) has the embeddings of the tokens as rows.

    Raises
    ------
    ValueError
        For an unknown preset.
    """
    X = np.array([embedding(word, dim, seed) for word in tokens])
    if preset == "identity":
        return np.stack([X, X, X])
    if preset == "projections":
        return np.clip(_round(X @ projections(dim, seed)), -LIMIT, LIMIT)
    raise ValueError(f"There is no preset {preset!r}; choose one of: {', '.join(PRESETS)}.")


def allowed_pairs(
    count: int, mask: str = "none", padding: int = 0, flipped: Iterable[Sequence[int]] = ()
) -> NDArray:
    """Which query may look at which key.

    Parameters
    ----------
    count : n, the number of tokens
    mask : "none"; "causal", where token i may look at j <= i; "padding", where nobody may look at the last
        ``padding`` tokens
    flipped : pairs (i, j) whose permission is turned over by hand

    Returns
    -------
    (n, n) of booleans, true where row i may look at column j

    Raises
    ------
    ValueError
        For an unknown mask.
    """
    if mask not in MASKS:
        raise ValueError(f"There is no mask {mask!r}; choose one of: {', '.join(MASKS)}.")
    allowed = np.ones((count, count), dtype=bool)
    if mask == "causal":
        allowed = np.tri(count, dtype=bool)
    elif mask == "padding":
        allowed[:, count - padding :] = False
    for i, j in flipped:
        allowed[i, j] = not allowed[i, j]
    return allowed


def attend(
    Q: ArrayLike, K: ArrayLike, V: ArrayLike, allowed: ArrayLike | None = None, scaled: bool = True
) -> tuple[NDArray, NDArray, NDArray]:
    """Dot-product attention of one head.

    Parameters
    ----------
    Q, K, V : (n, d)
    allowed : (n, n) of booleans; default everything
    scaled : divide the scores by sqrt(d)

    Returns
    -------
    scores : (n, n), minus infinity where it is not allowed
    weights : (n, n), rows that sum to 1; NaN in a row where nothing is allowed, for its softmax is 0 / 0
    output : (n, d)
    """
    Q, K, V = (np.asarray(table, dtype=float) for table in (Q, K, V))
    scores = Q @ K.T / (np.sqrt(Q.shape[1]) if scaled else 1.0)
    if allowed is not None:
        scores = np.where(allowed, scores, -np.inf)
    with np.errstate(invalid="ignore"):
        powers = np.exp(scores - scores.max(axis=1, keepdims=True))
        weights = powers / powers.sum(axis=1, keepdims=True)
    return scores, weights, weights @ V


def entropies(weights: ArrayLike) -> NDArray:
    """The entropy of each row, in bits; NaN for a row of NaN."""
    W = np.asarray(weights, dtype=float)
    return -np.sum(W * np.log2(np.where(W > 0, W, 1.0)), axis=1) + 0.0


def _tokens(value: Any) -> list[str]:
    if isinstance(value, str):
        value = value.split()
    words = list(value) if isinstance(value, (list, tuple)) else None
    if words is None or not all(isinstance(word, str) for word in words):
        raise ValueError("AttentionEditor needs tokens that are words, in a list or in one text.")
    if not MIN_TOKENS <= len(words) <= MAX_TOKENS:
        raise ValueError(f"AttentionEditor needs {MIN_TOKENS} to {MAX_TOKENS} tokens, not {len(words)}.")
    for word in words:
        if not word or word != "".join(word.split()) or len(word) > LONGEST_WORD:
            raise ValueError(
                f"AttentionEditor needs tokens of 1 to {LONGEST_WORD} characters without spaces, not {word!r}."
            )
    return words


def _whole(value: Any, name: str, low: int, high: int) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or not low <= value <= high:
        raise ValueError(
            f"AttentionEditor needs {name} that is a whole number from {low} to {high}, not {value!r}."
        )
    return int(value)


def _choice(value: Any, name: str, options: Sequence[Any]) -> Any:
    if isinstance(value, bool) or value not in options:
        known = ", ".join(map(repr, options))
        raise ValueError(f"AttentionEditor needs {name} that is one of {known}, not {value!r}.")
    return value


def _table(value: Any, name: str, count: int, dim: int) -> list[list[float]]:
    try:
        array = np.asarray(value, dtype=float)
    except (TypeError, ValueError):
        raise ValueError(f"AttentionEditor needs {name} that holds numbers only.") from None
    if array.shape != (count, dim):
        raise ValueError(f"AttentionEditor needs {name} of shape ({count}, {dim}), not {array.shape}.")
    if not np.isfinite(array).all() or np.abs(array).max() > LIMIT:
        raise ValueError(f"AttentionEditor needs {name} with entries from -{LIMIT:g} to {LIMIT:g}.")
    return array.tolist()


def _text(value: float, digits: int = 2) -> str:
    if np.isnan(value):
        return "–"
    if np.isinf(value):
        return "−∞" if value < 0 else "∞"
    text = f"{abs(value):.{digits}f}"
    return f"−{text}" if value < 0 and float(text) else text


def _short(word: str, most: int = 9) -> str:
    return word if len(word) <= most else f"{word[: most - 1]}…"


class AttentionEditor(Explorable):
    """What does each token take from the others?

    Self-attention of one head over one sequence, with every array in view: queries, keys and values (edited
    by dragging a cell), scores (a click masks one), weights, and the output. The chosen token's row is written
    out as the sum of weighted values.

    Parameters
    ----------
    tokens : 2 to 10 words, as a sequence or as one text; equal words have equal embeddings
    dim : d, the width of a query, a key and a value: 4, 16 or 64
    seed : decides embeddings and projections, 0 to 10 000
    mask : "none", "causal" or "padding"
    padding : how many tokens at the end are padding under the mask "padding", 1 to n - 1
    preset : "projections", Q = X W_Q and so on, or "identity", Q = K = V = X
    scaled : divide the scores by sqrt(d)
    row : the token that is written out, counted from 0
    Q, K, V : (n, dim) numbers from -6 to 6 in place of those of the preset

    Raises
    ------
    ValueError
        For an unknown name, a number out of its range, and a table of the wrong shape.
    """

    _js = "attention_editor.js"

    tokens = traitlets.List().tag(sync=True)
    dim = traitlets.Int(4).tag(sync=True)
    seed = traitlets.Int(0).tag(sync=True)
    mask = traitlets.Unicode("none").tag(sync=True)
    padding = traitlets.Int(1).tag(sync=True)
    flipped = traitlets.List().tag(sync=True)
    scaled = traitlets.Bool(True).tag(sync=True)
    row = traitlets.Int(2).tag(sync=True)
    Q = traitlets.List().tag(sync=True)
    K = traitlets.List().tag(sync=True)
    V = traitlets.List().tag(sync=True)

    def __init__(
        self,
        tokens: Sequence[str] | str = ("the", "cat", "sat", "on", "the", "mat"),
        dim: int = 4,
        seed: int = 0,
        mask: str = "none",
        *,
        padding: int | None = None,
        preset: str = "projections",
        scaled: bool = True,
        row: int | None = None,
        Q: ArrayLike | None = None,
        K: ArrayLike | None = None,
        V: ArrayLike | None = None,
        **kwargs: Any,
    ) -> None:
        words = _tokens(tokens)
        count, dim, seed = (
            len(words),
            _choice(dim, "a dim", DIMS),
            _whole(seed, "a seed", 0, 10_000),
        )
        tables = start_tables(words, dim, seed, _choice(preset, "a preset", PRESETS))
        given = {"Q": Q, "K": K, "V": V}
        super().__init__(
            tokens=words,
            dim=int(dim),
            seed=seed,
            mask=_choice(mask, "a mask", MASKS),
            padding=min(2, count - 1) if padding is None else _whole(padding, "a padding", 1, count - 1),
            scaled=bool(scaled),
            row=min(2, count - 1) if row is None else _whole(row, "a row", 0, count - 1),
            **{
                name: table.tolist() if given[name] is None else _table(given[name], name, count, dim)
                for name, table in zip("QKV", tables, strict=True)
            },
            **kwargs,
        )

    @traitlets.validate("tokens")
    def _check_tokens(self, proposal: Any) -> list[str]:
        return _tokens(proposal["value"])

    @traitlets.validate("mask")
    def _check_mask(self, proposal: Any) -> str:
        return _choice(proposal["value"], "a mask", MASKS)

    @traitlets.validate("dim")
    def _check_dim(self, proposal: Any) -> int:
        return int(_choice(proposal["value"], "a dim", DIMS))

    def allowed(self) -> NDArray:
        """Which query may look at which key, (n, n) of booleans."""
        return allowed_pairs(len(self.tokens), self.mask, self.padding, self.flipped)

    def attend(self) -> tuple[NDArray, NDArray, NDArray]:
        """Scores (n, n), weights (n, n) and output (n, dim) of the present tables; see :func:`attend`."""
        return attend(self.Q, self.K, self.V, self.allowed(), self.scaled)

    @property
    def description(self) -> str:
        _, weights, output = self.attend()
        i = self.row
        bits = entropies(weights)
        order = np.argsort(-np.nan_to_num(weights[i]), kind="stable")[:3]
        shares = ", ".join(f"{_text(weights[i, j])} from “{self.tokens[j]}” (token {j + 1})" for j in order)
        mask = {
            "none": "no mask",
            "causal": "a causal mask",
            "padding": f"the last {self.padding} tokens masked as padding",
        }[self.mask]
        start = ", ".join(_text(v) for v in output[i, :4]) + (" and so on" if self.dim > 4 else "")
        return (
            f"Self-attention of one head over {len(self.tokens)} tokens, “{' '.join(self.tokens)}”, of dimension "
            f"{self.dim}, {'scaled by its root' if self.scaled else 'not scaled'}, with {mask}: queries, keys, "
            f"values, scores, weights and output as tables. Token {i + 1}, “{self.tokens[i]}”, takes {shares}; "
            f"its weights have an entropy of {_text(bits[i])} bits of at most {np.log2(len(self.tokens)):.2f}, "
            f"and its output is {start}."
        )

    def preview(self) -> str:
        _, weights, output = self.attend()
        n, shown = len(self.tokens), min(self.dim, 4)
        cell, tall, left, top = 45.0, 26.0, 92.0, 76.0
        second = left + n * cell + 86
        body = [
            '<text x="16" y="26" font-size="15">What does each token take from the others?</text>',
            f'<text x="{left:g}" y="48">weights: row i, what token i takes</text>',
            f'<text x="{left + n * cell + 10:g}" y="{top - 8:g}">bits</text>',
            f'<text x="{second:g}" y="48">output{"" if shown == self.dim else f", {shown} of {self.dim}"}</text>',
        ]

        def square(x: float, y: float, value: float, share: float) -> str:
            fill = BLUE if value >= 0 else ORANGE
            return (
                f'<rect x="{x:g}" y="{y:g}" width="{cell:g}" height="{tall:g}" fill="{fill}" '
                f'fill-opacity="{share:.3f}" stroke="#ddd"/>'
                f'<text x="{x + cell / 2:g}" y="{y + 17:g}" text-anchor="middle">{_text(value)}</text>'
            )

        bits, high = entropies(weights), max(1.0, float(np.nanmax(np.abs(np.append(output, 0.0)))))
        for i, word in enumerate(self.tokens):
            y = top + tall * i
            name = html.escape(_short(word))
            body.append(f'<text x="{left - 8:g}" y="{y + 17:g}" text-anchor="end">{name}</text>')
            column = html.escape(_short(word, 6))
            body.append(
                f'<text x="{left + cell * (i + 0.5):g}" y="{top - 8:g}" text-anchor="middle">{column}</text>'
            )
            for j in range(n):
                body.append(
                    square(left + cell * j, y, weights[i, j], 0.6 * float(np.nan_to_num(weights[i, j])))
                )
            body.append(f'<text x="{left + n * cell + 10:g}" y="{y + 17:g}">{_text(bits[i])}</text>')
            for c in range(shown):
                share = 0.55 * float(np.nan_to_num(abs(output[i, c]))) / high
                body.append(square(second + cell * c, y, output[i, c], share))
        y = top + tall * self.row
        frame = f'height="{tall:g}" fill="none" stroke="{RED}" stroke-width="2.2"/>'
        body.append(f'<rect x="{left:g}" y="{y:g}" width="{n * cell:g}" {frame}')
        body.append(f'<rect x="{second:g}" y="{y:g}" width="{shown * cell:g}" {frame}')
        return svg_document(max(second + shown * cell + 16, 420), top + n * tall + 18, "".join(body))
