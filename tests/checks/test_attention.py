"""Right, untouched and wrong answers to the exercises of lesson 31."""

from __future__ import annotations

import numpy as np

from tests.checks.common import Case


def _tri(real, k=0):
    return np.tri(real.shape[1], k=k, dtype=bool)


def _softmax(scores):
    shifted = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return shifted / shifted.sum(axis=-1, keepdims=True)


def _split(Z, heads):
    m, T, d = Z.shape
    return Z.reshape(m, T, heads, d // heads).swapaxes(1, 2)


def _interleaved(Z, heads):
    m, T, d = Z.shape
    return Z.reshape(m, T, d // heads, heads).transpose(0, 3, 1, 2)


def _distance(scores):
    places = np.arange(scores.shape[-1])
    return places[:, None] - places


def _alibi(
    change=lambda scores, penalty, past: np.where(past, scores - penalty, -np.inf),
    after=None,
    axis=-1,
    stable=True,
):
    def answer(scores, slopes):
        distance = _distance(scores)
        penalty = slopes[:, None, None] * distance
        changed = change(scores, penalty, distance >= 0)
        top = changed.max(axis=axis, keepdims=True) if stable else 0
        weights = np.exp(changed - top)
        weights = weights / weights.sum(axis=axis, keepdims=True)
        return weights if after is None else after(weights, penalty)

    return answer


def _streamed(root=True, stable=True, blocks=slice(None), join="right", last=True):
    def answer(Q, K, V, block):
        scale = np.sqrt(Q.shape[1]) if root else 1.0
        largest = np.full((len(Q), 1), -np.inf if stable else 0.0)
        total, mixed, parts = np.zeros((len(Q), 1)), np.zeros((len(Q), V.shape[1])), []
        for begin in list(range(0, len(K), block))[blocks]:
            keys, values = K[begin : begin + block], V[begin : begin + block]
            if not last and len(keys) < block and begin:
                continue
            scores = Q @ keys.T / scale
            parts.append(_softmax(scores) @ values)
            now = np.maximum(largest, scores.max(axis=1, keepdims=True)) if stable else largest
            shrink, new = np.exp(largest - now), np.exp(scores - now)
            total = shrink * total + new.sum(axis=1, keepdims=True)
            mixed = shrink * mixed + new @ values
            largest = now
        if join == "right":
            return mixed / total
        return np.mean(parts, axis=0) if join == "mean" else np.sum(parts, axis=0)

    return answer


def _at_once(Q, K, V, block):
    return _softmax(Q @ K.T / np.sqrt(Q.shape[1])) @ V


CASES = {
    "combined_mask": Case(
        stub=lambda real: ...,
        wrong=[
            (lambda real: ~(_tri(real) & real[:, None, :]), "turned round"),
            (lambda real: np.repeat(real[:, None, :], real.shape[1], axis=1), "see the future"),
            (lambda real: np.repeat(_tri(real)[None], len(real), axis=0), "look at padding"),
            (lambda real: _tri(real).T & real[:, None, :], "transposed"),
            (lambda real: _tri(real) & real[:, :, None], "the keys"),
            (lambda real: _tri(real, -1) & real[:, None, :], "itself"),
            (lambda real: _tri(real) | real[:, None, :], "Both have to hold"),
            (lambda real: (_tri(real) & real[:, None, :]).astype(float), "booleans"),
            (lambda real: _tri(real), "shape"),
        ],
    ),
    "split_heads": Case(
        stub=lambda Z, heads: ...,
        wrong=[
            (lambda Z, h: Z.reshape(*Z.shape[:2], h, -1), "behind the places"),
            (lambda Z, h: Z.reshape(len(Z), h, Z.shape[1], -1), "mixed up"),
            (_interleaved, "every n-th column"),
            (lambda Z, h: Z, "it should be"),
            (lambda Z, h: _split(Z, h)[:, ::-1], "The heads"),
        ],
    ),
    "alibi_weights": Case(
        stub=lambda scores, slopes: ...,
        wrong=[
            (_alibi(lambda s, p, past: np.where(past, s, -np.inf)), "no influence"),
            (_alibi(lambda s, p, past: np.where(past, s + p, -np.inf)), "has to be subtracted"),
            (_alibi(lambda s, p, past: s - np.abs(p)), "penalised and not forbidden"),
            (_alibi(lambda s, p, past: s - p), "even favoured"),
            (
                _alibi(
                    lambda s, p, past: np.where(past, s, -np.inf),
                    after=lambda w, p: w * np.exp(-np.maximum(p, 0)),
                ),
                "after the softmax",
            ),
            (_alibi(axis=-2), "last axis"),
            (_alibi(stable=False), "overflows"),
        ],
    ),
    "streamed": Case(
        stub=lambda Q, K, V, block: ...,
        wrong=[
            (_streamed(root=False), "without the root"),
            (_streamed(stable=False), "largest score seen so far"),
            (_streamed(blocks=slice(0, 1)), "first block"),
            (_streamed(join="mean"), "averaged"),
            (_streamed(join="sum"), "added"),
            (_streamed(last=False), "left out"),
            (_at_once, "block by block"),
        ],
    ),
}
