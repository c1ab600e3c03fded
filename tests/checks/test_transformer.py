"""Right, untouched and wrong answers to the exercises of lesson 32."""

from __future__ import annotations

import numpy as np

from tests.checks.common import Case


def _stub(*args):
    return ...


# ---------------------------------------------------------------------------- smoothed loss


def _loss(right=None, rest=None, stable=True, reduce=np.mean, sign=1.0):
    """The solution with one thing changed."""

    def answer(logits, target, smoothing):
        top = logits.max(axis=1, keepdims=True) if stable else 0.0
        log_p = logits - top - np.log(np.exp(logits - top).sum(axis=1, keepdims=True))
        hit = log_p[np.arange(len(target)), target]
        weight = 1 - smoothing if right is None else right(smoothing)
        second = log_p.mean(axis=1) if rest is None else rest(log_p, hit)
        return reduce(sign * (-weight * hit - smoothing * second))

    return answer


def _on_logits(logits, target, smoothing):
    return np.mean(
        -(1 - smoothing) * logits[np.arange(len(target)), target] - smoothing * logits.mean(axis=1)
    )


# ---------------------------------------------------------------------------- a decoder block


def _pre(X, memory, attend, cross, feed_forward, norms):
    X = X + attend(norms[0](X))
    X = X + cross(norms[1](X), memory)
    return X + feed_forward(norms[2](X))


def _post(X, memory, attend, cross, feed_forward, norms):
    X = norms[0](X + attend(X))
    X = norms[1](X + cross(X, memory))
    return norms[2](X + feed_forward(X))


def _no_residual(X, memory, attend, cross, feed_forward, norms):
    return feed_forward(norms[2](cross(norms[1](attend(norms[0](X))), memory)))


def _in_place(X, memory, attend, cross, feed_forward, norms):
    X += attend(norms[0](X))
    X += cross(norms[1](X), memory)
    X += feed_forward(norms[2](X))
    return X


def _no_cross(X, memory, attend, cross, feed_forward, norms):
    X = X + attend(norms[0](X))
    return X + feed_forward(norms[2](X))


def _in_parallel(X, memory, attend, cross, feed_forward, norms):
    return X + attend(norms[0](X)) + cross(norms[1](X), memory) + feed_forward(norms[2](X))


def _cross_first(X, memory, attend, cross, feed_forward, norms):
    X = X + cross(norms[0](X), memory)
    X = X + attend(norms[1](X))
    return X + feed_forward(norms[2](X))


# ---------------------------------------------------------------------------- who said it


def _parts(mean_axis=1, spread="total", scale=True, power=1):
    def answer(added, gamma, W):
        centred = added - added.mean(axis=mean_axis, keepdims=True) if mean_axis is not None else added
        variance = {
            "total": added.sum(axis=0).var(),
            "own": added.var(axis=1, keepdims=True),
            "none": 1 - 1e-6,
        }[spread]
        return centred / np.sqrt(variance + 1e-6) ** power * (gamma if scale else 1.0) @ W

    return answer


# ---------------------------------------------------------------------------- checked drafts


def _greedy(choose, draft, tokens, k, steps):
    tokens = list(tokens)
    for _ in range(steps):
        tokens.append(choose(tokens)[-1])
    return tokens


def _believe(choose, draft, tokens, k, steps):
    tokens = list(tokens)
    for _ in range(steps):
        tokens.append(draft(tokens))
    return tokens


def _speculative(bonus=True, cut=True, copy=True, only_new=False):
    """The solution with one thing changed."""

    def answer(choose, draft, tokens, k, steps):
        begin = len(tokens)
        tokens = list(tokens) if copy else tokens
        while len(tokens) < begin + steps:
            guess = list(tokens)
            for _ in range(min(k, begin + steps - len(tokens) - 1) if cut else k):
                guess.append(draft(guess))
            choices = choose(guess)
            agreed = len(tokens)
            while agreed < len(guess) and guess[agreed] == choices[agreed - 1]:
                agreed += 1
            new = guess[len(tokens) : agreed]
            if bonus or not new:
                new = [*new, choices[agreed - 1]]
            tokens.extend(new)
        return tokens[begin:] if only_new else tokens

    return answer


CASES = {
    "smoothed_loss": Case(
        stub=_stub,
        wrong=[
            (_loss(sign=-1.0), "the sign is wrong"),
            (_loss(right=lambda s: 1.0), "weight 1"),
            (lambda logits, target, s: _loss()(logits, target, 0.0), "no influence"),
            (_loss(rest=lambda log_p, hit: 0 * hit), "second term is missing"),
            (_loss(rest=lambda log_p, hit: log_p.sum(axis=1)), "shared by all"),
            (
                _loss(rest=lambda log_p, hit: (log_p.sum(axis=1) - hit) / (log_p.shape[1] - 1)),
                "wrong tokens only",
            ),
            (_loss(reduce=np.sum), "were added"),
            (_loss(reduce=lambda losses: losses), "one loss per example"),
            (_loss(stable=False), "overflows"),
            (_on_logits, "taken for log-probabilities"),
            (lambda logits, target, s: None, "return"),
        ],
    ),
    "decoder_block": Case(
        stub=_stub,
        wrong=[
            (_post, "post-LN"),
            (_no_residual, "does not replace"),
            (_in_place, "changed `X`"),
            (_no_cross, "`memory` has no influence"),
            (_in_parallel, "from before the block"),
            (_cross_first, "before self-attention"),
            (lambda X, m, a, c, f, n: _pre(X, m, a, c, f, [lambda Z: Z] * 3), "norms have no influence"),
            (lambda X, m, a, c, f, n: _pre(X, m, a, c, f, [n[0]] * 3), "used three times"),
            (lambda X, m, a, c, f, n: _pre(X, n[1](m), a, c, f, n), "once more"),
            (lambda X, m, a, c, f, n: n[2](_pre(X, m, a, c, f, n)), "normalised at the end"),
            (lambda X, m, a, c, f, n: X + a(n[0](X)), "Only the self-attention"),
            (lambda X, m, a, c, f, n: None, "return"),
        ],
    ),
    "contributions": Case(
        stub=_stub,
        wrong=[
            (_parts(spread="own"), "its own spread"),
            (_parts(mean_axis=None), "was not subtracted"),
            (_parts(scale=False), "`gamma` has no influence"),
            (_parts(spread="none"), "divided by the spread"),
            (_parts(power=2), "divided by the variance"),
            (lambda a, g, W: np.cumsum(_parts()(a, g, W), axis=0), "sum of the first k parts"),
            (lambda a, g, W: _parts()(a, g, W).sum(axis=0), "(1, 4)"),
            (lambda a, g, W: a, "shape"),
            (lambda a, g, W: None, "return"),
        ],
    ),
    "speculative": Case(
        stub=_stub,
        wrong=[
            (_greedy, "called the large model 12 times"),
            (_believe, "the large model was not heard"),
            (_speculative(bonus=False), "called the large model"),
            (_speculative(cut=False), "were to be added"),
            (_speculative(copy=False), "changed the list"),
            (_speculative(only_new=True), "new tokens only"),
        ],
    ),
}
