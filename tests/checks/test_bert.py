"""Right, untouched and wrong answers to the exercises of lesson 33."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import numpy as np

from tests.checks.common import Case


def _stub(*args):
    return ...


# ---------------------------------------------------------------------------- which pair next


def _pair(weight=lambda count: count, key=lambda pair: pair, once=False, result=lambda best, pairs: best):
    def answer(counts):
        pairs = Counter()
        for word, count in counts.items():
            found = list(pairwise(word))
            for pair in set(found) if once else found:
                pairs[key(pair)] += weight(count)
        return result(max(pairs, key=pairs.get), pairs)

    return answer


def _most_frequent_word(counts):
    return max(counts, key=counts.get)


# ---------------------------------------------------------------------------- the loss where it belongs


def _log_softmax(logits, axis=-1, stable=True):
    shifted = logits - (logits.max(axis=axis, keepdims=True) if stable else 0)
    return shifted - np.log(np.exp(shifted).sum(axis=axis, keepdims=True))


def _loss(reduce, axis=-1, stable=True, softmax=True):
    def answer(logits, tokens, chosen):
        log_probs = _log_softmax(logits, axis, stable) if softmax else logits
        losses = -np.take_along_axis(log_probs, tokens[..., None], axis=-1)[..., 0]
        return reduce(losses, chosen) if chosen.any() else 0.0

    return answer


def _mean_without_guard(logits, tokens, chosen):
    losses = -np.take_along_axis(_log_softmax(logits), tokens[..., None], axis=-1)[..., 0]
    return (losses * chosen).sum() / chosen.sum()


# ---------------------------------------------------------------------------- whole words


def _flat_words(begins, chosen):
    word = np.cumsum(begins.ravel())
    return np.isin(word, word[chosen.ravel()]).reshape(chosen.shape)


def _to_the_right(begins, chosen):
    hidden = chosen.copy()
    for t in range(1, chosen.shape[1]):
        hidden[:, t] |= hidden[:, t - 1] & ~begins[:, t]
    return hidden


def _one_too_far(begins, chosen):
    word = np.cumsum(begins, axis=1)
    hidden = ((word[:, :, None] == word[:, None, :]) & chosen[:, None, :]).any(axis=2)
    hidden[:, 1:] |= hidden[:, :-1]
    return hidden


# ---------------------------------------------------------------------------- pseudo-perplexity


def _pseudo(hide="one", finish=lambda mean, T: np.exp(-mean), pick="diagonal"):
    def answer(log_probs, tokens, mask):
        T = len(tokens)
        batch = {
            "one": np.where(np.eye(T, dtype=bool), mask, tokens),
            "none": np.tile(tokens, (T, 1)),
            "all": np.full((T, T), mask),
        }[hide]
        rows = np.arange(T)
        values = log_probs(batch)
        return finish(
            values[rows, rows, tokens].mean() if pick == "diagonal" else values[:, rows, tokens].mean(), T
        )

    return answer


def _one_by_one(log_probs, tokens, mask):
    total = 0.0
    for t in range(len(tokens)):
        hidden = tokens.copy()
        hidden[t] = mask
        total += log_probs(hidden[None])[0, t, tokens[t]]
    return np.exp(-total / len(tokens))


def _without_a_batch(log_probs, tokens, mask):
    return np.exp(-log_probs(tokens)[np.arange(len(tokens)), tokens].mean())


CASES = {
    "most_frequent_pair": Case(
        _stub,
        [
            (_pair(weight=lambda count: 1), "Each word seems to count once"),
            (_pair(key=lambda pair: tuple(sorted(pair))), "order inside a pair"),
            (_pair(once=True), "several times in one word"),
            (_pair(result=lambda best, pairs: (best, pairs[best])), "Return the pair alone"),
            (_pair(result=lambda best, pairs: "".join(map(str, best))), "tuple of two tokens"),
            (_pair(result=lambda best, pairs: min(pairs, key=pairs.get)), "is more frequent"),
            (_most_frequent_word, "tuple of two tokens"),
            (lambda counts: None, "return"),
        ],
    ),
    "masked_loss": Case(
        _stub,
        [
            (_loss(lambda losses, chosen: losses.mean()), "mean over all places"),
            (_loss(lambda losses, chosen: losses[~chosen].mean()), "not chosen"),
            (_loss(lambda losses, chosen: losses[chosen].sum()), "sum over the chosen"),
            (_loss(lambda losses, chosen: (losses * chosen).mean()), "divided by all places"),
            (_loss(lambda losses, chosen: losses[chosen].sum() / len(losses)), "number of texts"),
            (
                _loss(
                    lambda losses, chosen: np.mean(
                        [losses[i][c].mean() for i, c in enumerate(chosen) if c.any()]
                    )
                ),
                "per text",
            ),
            (_loss(lambda losses, chosen: -losses[chosen].mean()), "sign"),
            (_loss(lambda losses, chosen: losses[chosen].mean() / np.log(2)), "bits"),
            (_loss(lambda losses, chosen: losses[chosen].mean(), axis=0), "axis 0"),
            (
                _loss(lambda losses, chosen: losses[chosen].mean(), softmax=False),
                "logits of the right tokens",
            ),
            (_loss(lambda losses, chosen: losses[chosen].mean(), stable=False), "overflows"),
            (_mean_without_guard, "no place is chosen"),
        ],
    ),
    "whole_words": Case(
        _stub,
        [
            (lambda begins, chosen: chosen, "`chosen` itself"),
            (_flat_words, "axis 1"),
            (_to_the_right, "before a chosen piece"),
            (_one_too_far, "no piece of its word"),
            (lambda begins, chosen: np.ones_like(chosen), "no piece of its word"),
            (lambda begins, chosen: (begins | chosen)[0], "shape"),
        ],
    ),
    "pseudo_perplexity": Case(
        _stub,
        [
            (_pseudo(hide="none"), "Nothing was hidden"),
            (_pseudo(hide="all"), "All tokens were hidden"),
            (_pseudo(pick="all"), "asked at place t only"),
            (_pseudo(finish=lambda mean, T: -mean), "exponential"),
            (_pseudo(finish=lambda mean, T: np.exp(mean)), "sign"),
            (_pseudo(finish=lambda mean, T: np.exp(-T * mean)), "not a mean"),
            (_one_by_one, "One batch"),
            (_without_a_batch, "batch (n, T)"),
        ],
    ),
}
