"""Right, untouched and wrong answers to the exercises of lesson 21."""

from __future__ import annotations

import math

import numpy as np

from course_utils.checks.sentiment_analysis import (
    _last_state_solution,
    _nearest_words_solution,
    _pad_solution,
)
from tests.checks.common import Case


def _stub(*args):
    return ...


def _pad(fill=0, cut=lambda s, n: s[:n], left=False, dtype="int64"):
    def pad(sequences, length):
        out = np.full((len(sequences), length), fill, dtype=dtype)
        for row, sequence in zip(out, sequences, strict=True):
            kept = cut(sequence, length)
            if kept:
                row[slice(length - len(kept), None) if left else slice(len(kept))] = kept
        return out

    return pad


def _pad_to_longest(sequences, length):
    return _pad_solution(sequences, max(map(len, sequences)))


def _ragged(sequences, length):
    return [sequence[:length] for sequence in sequences]


def _pad_in_place(sequences, length):
    for sequence in sequences:
        sequence += [0] * (length - len(sequence))
    return np.array([sequence[:length] for sequence in sequences])


def _nearest(similarity=None, leave_out=(0, "word"), reverse=False):
    def nearest(E, word, count):
        with np.errstate(all="ignore"):
            lengths = np.maximum(np.linalg.norm(E, axis=1), 1e-12)
            cosine = E @ E[word] / lengths / lengths[word]
            values = cosine if similarity is None else similarity(E, word, cosine)
        for row in leave_out:
            values[word if row == "word" else row] = -np.inf
        found = np.argsort(-values)[:count]
        return found[::-1] if reverse else found

    return nearest


def _upwards(E, word, count):
    lengths = np.maximum(np.linalg.norm(E, axis=1), 1e-12)
    cosine = E @ E[word] / lengths / lengths[word]
    cosine[[0, word]] = np.inf
    return np.argsort(cosine)[:count]


def _too_few(E, word, count):
    return _nearest_words_solution(E, word, count)[:1]


def _random(E, word, count):
    return [v for v in range(1, len(E)) if v != word][:count]


def _state(pick):
    def last(H, tokens):
        return pick(np.asarray(H), (tokens != 0).sum(axis=1), tokens != 0)

    return last


def _rows(H):
    return np.arange(len(H))


def _counts(right_a, right_b):
    return int(np.sum(right_a & ~right_b)), int(np.sum(right_b & ~right_a))


def _tail(n, k):
    return sum(math.comb(n, i) for i in range(k + 1)) / 2**n


def _test(judge):
    return lambda right_a, right_b: judge(*_counts(right_a, right_b), right_a, right_b)


CASES = {
    "pad": Case(
        stub=_stub,
        wrong=[
            (_pad(left=True), "padding on the left"),
            (_pad(cut=lambda s, n: s[-n:]), "beginning of the long sequence"),
            (_pad(left=True, cut=lambda s, n: s[-n:]), "stand in front"),
            (_pad(fill=1), "unknown word"),
            (_pad(dtype="float64"), "ask for integers"),
            (_pad_to_longest, "3 columns"),
            (_ragged, "not one array"),
            (_pad_in_place, "changed the lists"),
            (lambda sequences, length: None, "is None"),
        ],
    ),
    "nearest_words": Case(
        stub=_stub,
        wrong=[
            (_nearest(lambda E, word, cosine: E @ E[word]), "largest dot products"),
            (_nearest(lambda E, word, cosine: -np.linalg.norm(E - E[word], axis=1)), "smallest distances"),
            (_nearest(leave_out=(0,)), "the word itself"),
            (_nearest(leave_out=("word",)), "belongs to the padding"),
            (_upwards, "least similar"),
            (_nearest(lambda E, word, cosine: np.abs(cosine)), "absolute value"),
            (_nearest(reverse=True), "wrong order"),
            (_too_few, "1 numbers"),
            (_random, "with cosine"),
        ],
    ),
    "last_state": Case(
        stub=_stub,
        wrong=[
            (_state(lambda H, n, mask: H[:, -1]), "after the padding"),
            (_state(lambda H, n, mask: H[_rows(H), n - 1]), "counts from the end"),
            (_state(lambda H, n, mask: H[_rows(H), np.maximum(n - 1, 0)]), "should get zeros"),
            (
                _state(lambda H, n, mask: H[_rows(H), np.minimum(n, H.shape[1] - 1)] * (n > 0)[:, None]),
                "places count from 0",
            ),
            (
                _state(lambda H, n, mask: (H * mask[:, :, None]).sum(axis=1) / np.maximum(n, 1)[:, None]),
                "masked mean",
            ),
            (_state(lambda H, n, mask: (H * mask[:, :, None])[:, -1]), "shorter than the array"),
            (_state(lambda H, n, mask: H[:, 0] * (n > 0)[:, None]), "first token"),
            (lambda H, tokens: _last_state_solution(H, tokens)[:, None], "shape"),
        ],
    ),
    "sign_test": Case(
        stub=_stub,
        wrong=[
            (_test(lambda a, b, *_: _tail(a + b, min(a, b))), "one tail only"),
            (_test(lambda a, b, *_: 2 * _tail(a + b, min(a, b))), "more than 1"),
            (
                _test(lambda a, b, *_: min(1.0, 2 * math.comb(a + b, min(a, b)) / 2 ** (a + b))),
                "exactly this split",
            ),
            (
                _test(lambda a, b, *_: 2 * _tail(a + b, min(a, b) - 1) if min(a, b) else 2 / 2 ** (a + b)),
                "split itself is missing",
            ),
            (
                _test(lambda a, b, ra, rb: min(1.0, 2 * _tail(len(ra), int(min(ra.sum(), rb.sum()))))),
                "only disagreements",
            ),
            (
                _test(lambda a, b, *_: float("nan") if a + b == 0 else min(1.0, 2 * _tail(a + b, min(a, b)))),
                "never disagree",
            ),
            (_test(lambda a, b, *_: min(1.0, 2 * _tail(a + b, b)) if a + b else 1.0), "should be"),
            (
                _test(lambda a, b, *_: min(1.0, 2 * _tail(a + b, min(a, b))) if a + b < 900 else 0.0),
                "no limit",
            ),
        ],
    ),
}
