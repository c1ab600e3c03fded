"""Checks of lesson 32: smoothed loss, a decoder block, contributions to the logits, and checked drafts."""

from __future__ import annotations

from typing import Any

import numpy as np

from course_utils.checks._engine import NotAttempted, NotYet, as_array, call, close, exercise, expect

Array = np.ndarray


def _named(got: Array, meanings: list[tuple[Array, str]], right: Array) -> None:
    """Raise NotYet with the meaning of the first array that equals ``got`` and is not the right one."""
    for value, meaning in meanings:
        value = np.asarray(value, dtype=float)
        if (
            got.shape == value.shape
            and np.allclose(got, value, rtol=1e-6, atol=1e-9)
            and not np.allclose(value, right)
        ):
            raise NotYet(meaning)


def _log_softmax(logits: Array) -> Array:
    shifted = logits - logits.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


# ---------------------------------------------------------------------------- smoothed loss


def _smoothed_loss_solution(logits, target, smoothing):
    shifted = logits - logits.max(axis=1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))  # (m, V)
    right = log_p[np.arange(len(target)), target]
    return np.mean(-(1 - smoothing) * right - smoothing * log_p.mean(axis=1))


@exercise(
    "transformer.train",
    solution=_smoothed_loss_solution,
    hints=[
        "Everything is made of log-probabilities: take the log-softmax once, (m, V), and build both terms from it.",
        "Subtract the largest logit of each row first; log p is the shifted logit minus the logarithm of the row's sum of exponents. The second term is ε times the mean of a row.",
        "log_p[np.arange(len(target)), target] picks the right tokens; then np.mean(-(1 - smoothing) * right - smoothing * log_p.mean(axis=1)).",
    ],
)
def smoothed_loss(answer: Any) -> None:
    """Cross-entropy with smoothed labels."""
    rng = np.random.default_rng(32)
    cases = [
        ("ε = 0.1 and 6 tokens", rng.normal(size=(5, 6)), rng.integers(0, 6, 5), 0.1),
        ("two equal logits", np.zeros((1, 2)), np.array([0]), 0.3),
        ("ε = 0", rng.normal(size=(4, 5)), rng.integers(0, 5, 4), 0.0),
        ("logits near 1,000", rng.normal(size=(3, 4)) + 1000, rng.integers(0, 4, 3), 0.2),
    ]
    for label, logits, target, smoothing in cases:
        V = logits.shape[1]
        with np.errstate(all="ignore"):
            got = as_array(call(answer, logits.copy(), target.copy(), smoothing), f"The loss for {label}")
        if got.shape == (len(target),):
            raise NotYet(f"For {label} one loss per example came back. The mean over the batch is asked for.")
        expect(
            got.shape == (),
            f"For {label} the result has the shape {got.shape}; a single number is asked for.",
        )
        expect(
            np.isfinite(got),
            f"For {label} the loss is {float(got)}. The exponential of a large logit overflows: subtract the largest "
            "logit of each row first.",
        )
        right = np.asarray(_smoothed_loss_solution(logits, target, smoothing))
        log_p = _log_softmax(logits)
        hit = log_p[np.arange(len(target)), target]
        others = (log_p.sum(axis=1) - hit) / (V - 1)
        _named(
            got,
            [
                (-right, f"For {label} the sign is wrong: log-probabilities are negative, a loss is not."),
                (-hit.mean(), f"For {label} you return the plain cross-entropy: ε has no influence."),
                (np.mean(-(1 - smoothing) * hit), f"For {label} the second term is missing."),
                (np.mean(-hit - smoothing * log_p.mean(axis=1)), f"For {label} the right token keeps the weight 1. It should give ε away."),
                (np.mean(-(1 - smoothing) * hit - smoothing * log_p.sum(axis=1)), f"For {label} the second term is ε times the sum over the tokens; ε is shared by all V of them."),
                (np.mean(-(1 - smoothing) * hit - smoothing * others), f"For {label} ε went to the wrong tokens only. Here it is spread over all V, the right one included."),
                (-np.sum((1 - smoothing) * hit + smoothing * log_p.mean(axis=1)), f"For {label} the losses were added; the mean over the batch is asked for."),
                (np.mean(-(1 - smoothing) * logits[np.arange(len(target)), target] - smoothing * logits.mean(axis=1)), f"For {label} the logits were taken for log-probabilities."),
            ],
            right,
        )  # fmt: skip
        close(got, right, f"The loss for {label}")


# ---------------------------------------------------------------------------- a decoder block


def _decoder_block_solution(X, memory, attend, cross, feed_forward, norms):
    X = X + attend(norms[0](X))
    X = X + cross(norms[1](X), memory)
    return X + feed_forward(norms[2](X))


def _pieces(rng: np.random.Generator, d: int) -> tuple[Any, ...]:
    A, B, C, D = (rng.normal(size=(d, d)) / np.sqrt(d) for _ in range(4))
    scales = [1.0 + 0.3 * k for k in range(3)]

    def attend(Z: Array) -> Array:
        return np.tri(len(Z)) @ Z @ A / len(Z)

    def cross(Z: Array, memory: Array) -> Array:
        return np.tanh(Z @ B) + (memory @ D).mean(axis=0)

    def feed_forward(Z: Array) -> Array:
        return np.maximum(Z @ C, 0) @ D

    def norm(scale: float) -> Any:
        return lambda Z: (
            scale * (Z - Z.mean(axis=-1, keepdims=True)) / np.sqrt(Z.var(axis=-1, keepdims=True) + 1e-6)
        )

    return attend, cross, feed_forward, [norm(scale) for scale in scales]


def _zero(Z: Array, *_: Array) -> Array:
    return np.zeros_like(Z)


@exercise(
    "transformer.block",
    solution=_decoder_block_solution,
    hints=[
        "Three residual steps, one after the other: self-attention, cross-attention, feed-forward. What does each of them read, and what is it added to?",
        "Pre-LN: the sub-block reads the normalised stream, and its output is added to the stream itself, which stays unnormalised.",
        "X = X + attend(norms[0](X)); then the same with cross, which takes memory as its second argument, and with feed_forward, each from the new X.",
    ],
)
def decoder_block(answer: Any) -> None:
    """A block of the decoder in pre-LN order."""
    rng = np.random.default_rng(7)
    X, memory = rng.normal(size=(5, 6)) + 0.5, rng.normal(size=(4, 6))
    attend, cross, ff, norms = _pieces(rng, 6)
    got = as_array(
        call(answer, X.copy(), memory, _zero, _zero, _zero, norms),
        "With sub-blocks that return zeros, the stream",
    )
    _named(
        got,
        [
            (np.zeros_like(X), "With sub-blocks that return zeros your stream is zero. What a sub-block returns is added to the stream; it does not replace it."),
            (norms[2](norms[1](norms[0](X))), "With sub-blocks that return zeros the stream should come out as it went in, and yours is normalised: that is post-LN, or the norm stands on the residual path."),
            (norms[2](X), "With sub-blocks that return zeros the stream should come out as it went in, and yours is normalised at the end."),
        ],
        X,
    )  # fmt: skip
    close(got, X, "With sub-blocks that return zeros, the stream")
    kept = X.copy()
    got = as_array(
        call(answer, kept, memory.copy(), attend, cross, ff, norms),
        "The stream after the block",
        shape=X.shape,
    )
    expect(
        np.array_equal(kept, X),
        "Your function changed `X` itself (X += ... works in place). Build new arrays.",
    )
    right = _decoder_block_solution(X, memory, attend, cross, ff, norms)
    one = X + attend(norms[0](X))
    two = one + cross(norms[1](one), memory)
    swapped = X + cross(norms[0](X), memory)
    swapped = swapped + attend(norms[1](swapped))
    _named(
        got,
        [
            (one + ff(norms[2](one)), "The cross-attention is missing: `memory` has no influence."),
            (one, "Only the self-attention was added."),
            (two, "The feed-forward layer is missing."),
            (X + attend(norms[0](X)) + cross(norms[1](X), memory) + ff(norms[2](X)), "All three sub-blocks read the stream from before the block. Each should read what the one before has added."),
            (swapped + ff(norms[2](swapped)), "Cross-attention comes before self-attention in your block."),
            (_decoder_block_solution(X, memory, attend, cross, ff, [lambda Z: Z] * 3), "The norms have no influence."),
            (_decoder_block_solution(X, memory, attend, cross, ff, [norms[0]] * 3), "The first norm is used three times; each sub-block has its own."),
            (_decoder_block_solution(X, norms[1](memory), attend, cross, ff, norms), "`memory` is normalised once more. The encoder has done it; the norm is for the stream."),
        ],
        right,
    )  # fmt: skip
    close(got, right, "The stream after the block")


# ---------------------------------------------------------------------------- who said it


def _contributions_solution(added, gamma, W):
    spread = np.sqrt(added.sum(axis=0).var() + 1e-6)
    centred = added - added.mean(axis=1, keepdims=True)
    return centred / spread * gamma @ W


@exercise(
    "transformer.residual",
    solution=_contributions_solution,
    hints=[
        "A normalisation is a subtraction, a division and a scale. Subtraction of the mean and the output matrix are linear, so they can act on every part; the division is the same number for all.",
        "The spread is that of the sum of all parts, one number. The mean is taken over the width, of each part by itself.",
        "spread = np.sqrt(added.sum(axis=0).var() + 1e-6); then (added - added.mean(axis=1, keepdims=True)) / spread * gamma @ W.",
    ],
)
def contributions(answer: Any) -> None:
    """What each part of the residual stream contributes to the logits."""
    rng = np.random.default_rng(11)
    for k, d, V in [(1, 6, 4), (5, 8, 3)]:
        added, gamma, W = rng.normal(size=(k, d)) + 0.7, rng.uniform(0.5, 1.5, d), rng.normal(size=(d, V))
        added *= np.arange(1, k + 1)[:, None]
        got = as_array(
            call(answer, added.copy(), gamma.copy(), W.copy()), f"The contributions of {k} part(s)"
        )
        right = _contributions_solution(added, gamma, W)
        if got.shape == (V,) and k > 1:
            raise NotYet(
                "The logits of the whole sum came back, (V,). Asked for is one row for each part, (k, V)."
            )
        expect(got.shape == (k, V), f"The result has the shape {got.shape}; it should be {(k, V)}.")
        spread = np.sqrt(added.sum(axis=0).var() + 1e-6)
        centred = added - added.mean(axis=1, keepdims=True)
        own = np.sqrt(added.var(axis=1, keepdims=True) + 1e-6)
        _named(
            got,
            [
                (centred / own * gamma @ W, "Every part is divided by its own spread, so the rows do not sum to the logits. The spread is that of the final stream, one number for all parts."),
                (added / spread * gamma @ W, "The mean over the width was not subtracted from the parts."),
                (centred / spread @ W, "`gamma` has no influence."),
                (centred * gamma @ W, "Nothing was divided by the spread."),
                ((added - added.mean(axis=0)) / spread * gamma @ W, "The mean was taken over the parts (axis 0). It is taken over the width, of each part by itself."),
                (centred / (spread**2) * gamma @ W, "You divided by the variance; the spread is its root."),
                (np.cumsum(right, axis=0), "Row k is the sum of the first k parts: that is what the lens reads with the last spread. Asked for is what each part adds."),
            ],
            right,
        )  # fmt: skip
        close(got, right, f"The contributions of {k} part(s)")


# ---------------------------------------------------------------------------- checked drafts


def _speculative_solution(choose, draft, tokens, k, steps):
    tokens, wanted = list(tokens), len(tokens) + steps
    while len(tokens) < wanted:
        guess = list(tokens)
        for _ in range(min(k, wanted - len(tokens) - 1)):
            guess.append(draft(guess))
        choices = choose(guess)  # choices[i] is the token that should stand at place i + 1
        agreed = len(tokens)
        while agreed < len(guess) and guess[agreed] == choices[agreed - 1]:
            agreed += 1
        tokens = [*guess[:agreed], choices[agreed - 1]]
    return tokens


class _Large:
    """A causal model whose choice after a beginning is a fixed function of that beginning; counts its calls."""

    def __init__(self, seed: int, limit: int) -> None:
        self.seed, self.limit, self.calls = seed, limit, 0

    def after(self, beginning: tuple[int, ...]) -> int:
        return (self.seed + 7 * beginning[-1] + 3 * len(beginning) + sum(beginning) // 2) % 11

    def __call__(self, tokens: Any) -> list[int]:
        self.calls += 1
        if self.calls > 200:
            raise NotYet("You asked the large model more than 200 times. Does your loop end?")
        tokens = [int(token) for token in tokens]
        expect(tokens, "You asked the large model about an empty list.")
        return [self.after(tuple(tokens[: i + 1])) for i in range(len(tokens))]


@exercise(
    "transformer.decode",
    solution=_speculative_solution,
    hints=[
        "Work on a copy of the tokens and append drafts to it one by one, each from the copy as it stands. Then ask the large model once.",
        "choices[i] belongs to place i + 1. So the draft at place i is right if it equals choices[i - 1], and choices[i - 1] is what should stand there if it is not.",
        "Let `agreed` go up from len(tokens) while guess[agreed] == choices[agreed - 1]; the new tokens are guess[:agreed] and choices[agreed - 1]. Draft at most what is still wanted, less one.",
    ],
)
def speculative(answer: Any) -> None:
    """Greedy search with drafts that are checked in one pass."""
    for label, kind, k, steps, most in [
        ("With a draft that is always right", "right", 3, 12, 3),
        ("With a draft that is always wrong", "wrong", 3, 8, 8),
        ("With a draft that is right two times out of three", "mixed", 4, 17, None),
        ("With a number of steps that k does not divide", "right", 4, 7, 2),
    ]:
        large = _Large(seed=3 * k + steps, limit=100)

        def draft(tokens: Any, kind: str = kind, large: _Large = large) -> int:
            beginning = tuple(int(token) for token in tokens)
            right = large.after(beginning)
            fails = kind == "wrong" or (kind == "mixed" and len(beginning) % 3 == 0)
            return (right + 1) % 11 if fails else right

        start = [4, 9]
        want = list(start)
        for _ in range(steps):
            want.append(large.after(tuple(want)))
        reference = _Large(large.seed, 100)
        _speculative_solution(reference, draft, start, k, steps)
        most = reference.calls if most is None else most
        given = list(start)
        value = call(answer, large, draft, given, k, steps)
        if value is None or value is ...:
            raise NotAttempted
        expect(given == start, "Your function changed the list `tokens` itself. Work on a copy.")
        try:
            got = [int(token) for token in value]
        except (TypeError, ValueError):
            raise NotYet(f"The result should be a list of tokens, but is {value!r}.") from None
        if got == want[len(start) :]:
            raise NotYet(
                f"{label} you return the new tokens only. Return the whole list, with the beginning."
            )
        expect(
            len(got) == len(want),
            f"{label}, {steps} tokens were to be added and you added {len(got) - len(start)}.",
        )
        if got != want:
            drafted = list(start)
            for _ in range(steps):
                drafted.append(draft(drafted))
            if got == drafted:
                raise NotYet(f"{label} you return what the draft writes; the large model was not heard.")
            place = next(i for i, (a, b) in enumerate(zip(got, want, strict=True)) if a != b)
            raise NotYet(
                f"{label} the token at place {place} is {got[place]}, and greedy search with the large model writes "
                f"{want[place]}. choices[i] is what belongs at place i + 1."
            )
        expect(
            large.calls <= most,
            f"{label} you called the large model {large.calls} times for {steps} tokens with k = {k}; {most} calls are "
            "enough. After a pass its own token at the first disagreement, or after the last draft, is known too.",
        )
