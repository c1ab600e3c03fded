"""Right, untouched and wrong answers to the exercises of lesson 23."""

from __future__ import annotations

import heapq

import numpy as np

from tests.checks.common import Case


def _stub(*args):
    return ...


# ---------------------------------------------------------------------------- shifted targets


def _shifted(target, start):
    return np.concatenate([np.full_like(target[:, :1], start), target[:, :-1]], axis=1)


def _shift_in_place(target, start):
    target[:, 1:] = target[:, :-1].copy()
    target[:, 0] = start
    return target


def _replace_first(target, start):
    result = target.copy()
    result[:, 0] = start
    return result


def _too_long(target, start):
    return np.concatenate([np.full_like(target[:, :1], start), target], axis=1)


def _to_the_left(target, start):
    return np.concatenate([target[:, 1:], np.full_like(target[:, :1], start)], axis=1)


# ---------------------------------------------------------------------------- attention


def _attend(mask="before", axis=1, scale=1.0, stable=True, fetch="values", result=None):
    """The solution with one thing changed."""

    def answer(query, keys, values, real):
        scores = np.einsum("mu,mtu->mt", query, keys) * scale
        scores = {"before": np.where(real, scores, -np.inf), "zero": np.where(real, scores, 0.0)}.get(
            mask, scores
        )
        top = np.where(np.isfinite(scores), scores, -1e9).max(axis=axis, keepdims=True) if stable else 0.0
        weights = np.exp(scores - top)
        weights = weights / weights.sum(axis=axis, keepdims=True)
        if mask == "after":
            weights = weights * real
        context = np.einsum("mt,mtd->md", weights, values if fetch == "values" else keys)
        return result(context, weights, scores, values) if result else (context, weights)

    return answer


# ---------------------------------------------------------------------------- sharpness


def _entropy(weights):
    return -(weights * np.log(np.where(weights > 0, weights, 1.0))).sum(axis=-1)


# ---------------------------------------------------------------------------- exact search


def _search(
    result=lambda sequence, score: (sequence, score), first_seen=False, per_token=False, continue_ended=False
):
    """Best-first search with one thing changed."""

    def answer(next_log_probs, end, steps):
        queue = [(0.0, 0.0, ())]
        while queue:
            _, score, beginning = heapq.heappop(queue)
            if beginning and beginning[-1] == end and not continue_ended:
                return result(beginning, score)
            if len(beginning) < steps:
                for token, log_p in enumerate(next_log_probs(beginning)):
                    longer, total = (*beginning, token), score + log_p
                    if first_seen and token == end:
                        return result(longer, total)
                    heapq.heappush(queue, (-total / (len(longer) if per_token else 1), total, longer))
        return None

    return answer


def _greedy(next_log_probs, end, steps):
    tokens, score = (), 0.0
    while not tokens or tokens[-1] != end:
        log_probs = next_log_probs(tokens)
        token = end if len(tokens) == steps - 1 else int(log_probs.argmax())
        tokens, score = (*tokens, token), score + log_probs[token]
    return tokens, score


def _by_breadth(divide):
    def answer(next_log_probs, end, steps):
        found, alive = {}, {(): 0.0}
        for _ in range(steps):
            longer = {}
            for beginning, score in alive.items():
                for token, log_p in enumerate(next_log_probs(beginning)):
                    (found if token == end else longer)[(*beginning, token)] = score + log_p
            alive = longer if not divide else dict(sorted(longer.items(), key=lambda item: -item[1])[:15])
        best = max(found, key=lambda s: found[s] / len(s) ** divide)
        return best, found[best]

    return answer


CASES = {
    "shift": Case(
        stub=_stub,
        wrong=[
            (lambda target, start: target, "the leak"),
            (_too_long, "one place too long"),
            (_to_the_left, "to the left"),
            (lambda target, start: np.roll(target, 1, axis=1), "came round"),
            (lambda target, start: target[:, :-1], "start token is missing"),
            (_replace_first, "rest stayed where it was"),
            (lambda target, start: _shifted(target, 0), "it should be `start`"),
            (_shift_in_place, "changed `target`"),
            (lambda target, start: None, "return"),
        ],
    ),
    "attend_values": Case(
        stub=_stub,
        wrong=[
            (_attend(mask=None), "no effect"),
            (_attend(mask="after"), "after the softmax"),
            (_attend(mask="zero"), "score like any other"),
            (_attend(axis=0), "over the batch"),
            (_attend(scale=3**-0.5), "scaled dot product"),
            (_attend(stable=False), "overflows"),
            (_attend(fetch="keys"), "that of the keys"),
            (_attend(result=lambda c, w, s, v: (c, s)), "scores themselves"),
            (_attend(result=lambda c, w, s, v: (w[..., None] * v, w)), "not summed"),
            (_attend(result=lambda c, w, s, v: (c / 5, w)), "divided by T"),
            (_attend(result=lambda c, w, s, v: c), "it should return 2"),
            (_attend(result=lambda c, w, s, v: (w, c)), "shape"),
        ],
    ),
    "effective_positions": Case(
        stub=_stub,
        wrong=[
            (lambda w: np.exp(-(w * np.log(w)).sum(axis=-1)), "has to contribute 0"),
            (_entropy, "its exponent counts"),
            (lambda w: np.exp(-_entropy(w)), "the sign is missing"),
            (lambda w: 2 ** _entropy(w), "base is e"),
            (lambda w: _entropy(w) / np.log(2), "in bits"),
            (lambda w: 1 / (w**2).sum(axis=-1), "sum of squares"),
            (lambda w: (w > 0).sum(axis=-1), "not 0"),
            (lambda w: np.exp(_entropy(w).sum()), "over all axes"),
            (lambda w: None, "return"),
        ],
    ),
    "best_sequence": Case(
        stub=_stub,
        wrong=[
            (_greedy, "greedy search finds"),
            (_search(first_seen=True), "when it is first"),
            (_by_breadth(0), "far fewer"),
            (_by_breadth(1), "per token"),
            (_search(result=lambda sequence, score: (sequence, np.exp(score))), "its logarithm"),
            (_search(result=lambda sequence, score: (sequence, -score)), "sign is wrong"),
            (_search(result=lambda sequence, score: (sequence, score / len(sequence))), "asks for the sum"),
            (_search(result=lambda sequence, score: (sequence[:-1], score)), "does not end"),
            (_search(continue_ended=True), "already ended"),
            (_search(result=lambda sequence, score: sequence[0]), "it should return 2"),
        ],
    ),
}
