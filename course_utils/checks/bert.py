"""Checks of lesson 33: a pair to merge, the loss of a masked language model, whole words, pseudo-perplexity."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import Any

import numpy as np

from course_utils.checks._engine import NotYet, as_array, call, close, exercise, expect

Array = np.ndarray


def _log_softmax(logits: Array) -> Array:
    shifted = logits - logits.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


# ---------------------------------------------------------------------------- which pair next


def _most_frequent_pair_solution(counts):
    pairs = Counter()
    for word, count in counts.items():
        for pair in pairwise(word):
            pairs[pair] += count
    return max(pairs, key=pairs.get)


def _pair_by(counts: dict[tuple, int], weight: Any, unordered: bool = False, once: bool = False) -> Any:
    pairs: Counter = Counter()
    for word, count in counts.items():
        found = list(pairwise(word))
        for pair in set(found) if once else found:
            pairs[tuple(sorted(pair)) if unordered else pair] += weight(count)
    return max(pairs, key=pairs.get)


@exercise(
    "bert.bpe",
    solution=_most_frequent_pair_solution,
    hints=[
        "itertools.pairwise(word) gives the neighbouring pairs of one word. How often does each of them occur in the text?",
        "A word that occurs 5 times brings each of its pairs 5 times: add counts[word] to a Counter, for every occurrence of a pair inside the word.",
        "With the Counter `pairs`, max(pairs, key=pairs.get) is the pair with the largest number.",
    ],
)
def most_frequent_pair(answer: Any) -> None:
    """The pair of neighbouring tokens that is most frequent in the text."""
    cases = [
        {("l", "o", "w"): 5, ("l", "o", "t"): 2, ("n", "e", "w"): 6},
        {("a", "b"): 1, ("a", "b", "c"): 1, ("a", "b", "d"): 1, ("x", "y"): 9},  # counts matter
        {("b", "a"): 4, ("a", "b"): 3, ("c", "d"): 5},  # the order matters
        {("n", "a", "n", "a", "n", "a"): 2, ("o", "k"): 5},  # a pair can occur twice in a word
        {(7, 12, 7): 3, (12, 7, 300): 4, (5,): 50, (): 9},  # numbers; words of one token have no pair
    ]
    for counts in cases:
        got = call(answer, dict(counts))
        expect(
            got is not None, "The function returned None; it should return a pair (is the `return` missing?)."
        )
        right = _most_frequent_pair_solution(counts)
        if got == right:
            continue
        expect(
            isinstance(got, tuple) and len(got) == 2,
            f"The result is {got!r}. A pair is a tuple of two tokens, such as {right!r}.",
        )
        shown = f"For {counts} you return {got!r}"
        if isinstance(got[0], tuple):
            raise NotYet(f"{shown}: the pair together with its number. Return the pair alone.")
        if got == _pair_by(counts, lambda count: 1):
            raise NotYet(
                f"{shown}. Each word seems to count once; a word that occurs 9 times brings its pairs 9 times."
            )
        if got == _pair_by(counts, lambda count: count, unordered=True) or got[::-1] == right:
            raise NotYet(f"{shown}. The order inside a pair matters: (a, b) and (b, a) are two pairs.")
        if got == _pair_by(counts, lambda count: count, once=True):
            raise NotYet(
                f"{shown}. A pair that occurs several times in one word counts as often as it occurs there."
            )
        raise NotYet(f"{shown}; the pair {right!r} is more frequent.")


# ---------------------------------------------------------------------------- the loss where it belongs


def _masked_loss_solution(logits, tokens, chosen):
    shifted = logits - logits.max(axis=-1, keepdims=True)
    log_probs = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    losses = -np.take_along_axis(log_probs, tokens[:, :, None], axis=-1)[:, :, 0]  # (m, T)
    return losses[chosen].mean() if chosen.any() else 0.0


@exercise(
    "bert.mlm",
    solution=_masked_loss_solution,
    hints=[
        "First the cross-entropy of every place, (m, T): minus the log-softmax over the vocabulary at the right token. Then pick places.",
        "np.take_along_axis(log_probs, tokens[:, :, None], axis=-1)[:, :, 0] picks the right tokens; `chosen` as an index picks the places. Subtract the maximum before the exponential.",
        "The mean runs over the chosen places: losses[chosen].mean(), and 0.0 if there is none.",
    ],
)
def masked_loss(answer: Any) -> None:
    """Mean cross-entropy over the chosen places."""
    rng = np.random.default_rng(33)
    logits, tokens = rng.normal(size=(3, 6, 5)) * 2, rng.integers(0, 5, (3, 6))
    chosen = np.zeros((3, 6), dtype=bool)
    chosen[[0, 0, 0, 2], [1, 2, 5, 3]] = True
    got = float(as_array(call(answer, logits.copy(), tokens.copy(), chosen.copy()), "The loss", shape=()))
    losses = -np.take_along_axis(_log_softmax(logits), tokens[..., None], axis=-1)[..., 0]
    moved = logits - logits.max(axis=0, keepdims=True)
    over_batch = moved - np.log(np.exp(moved).sum(axis=0))
    per_row = [losses[i][chosen[i]].mean() for i in (0, 2)]
    meanings = [
        (losses.mean(), "Your loss is the mean over all places. Where the token stands in the input, it rewards copying: only chosen places count."),
        (losses[~chosen].mean(), "Your loss is taken at the places that were not chosen."),
        (losses[chosen].sum(), "Your loss is the sum over the chosen places. Divide by how many there are."),
        (losses[chosen].sum() / chosen.size, "The sum over the chosen places is divided by all places. Then the loss shrinks with the share of chosen tokens; divide by their number."),
        (losses[chosen].sum() / len(chosen), "The sum over the chosen places is divided by the number of texts. Divide by the number of chosen places."),
        (float(np.mean(per_row)), "You take the mean per text and then over texts. Each chosen place should weigh the same, whichever text it is in."),
        (-losses[chosen].mean(), "The sign is wrong: a cross-entropy is minus the mean log-probability."),
        (losses[chosen].mean() / np.log(2), "Your loss is in bits. Nats are asked for, the natural logarithm."),
        (-np.take_along_axis(over_batch, tokens[..., None], axis=-1)[..., 0][chosen].mean(), "Your softmax runs over the batch (axis 0). It belongs to the last axis, the vocabulary."),
        (-np.take_along_axis(logits, tokens[..., None], axis=-1)[..., 0][chosen].mean(), "You average the logits of the right tokens. They become log-probabilities by a log-softmax."),
    ]  # fmt: skip
    right = _masked_loss_solution(logits, tokens, chosen)
    if not np.isclose(got, right, rtol=1e-5):
        for value, meaning in meanings:
            if np.isclose(got, value, rtol=1e-5):
                raise NotYet(meaning)
    close(got, right, "The loss")
    with np.errstate(all="ignore"):
        large = float(
            as_array(call(answer, logits * 1000, tokens.copy(), chosen.copy()), "The loss", shape=())
        )
        expect(
            np.isfinite(large),
            f"With logits of a thousand your loss is {large}: the exponential overflows, or a probability of 0 meets the logarithm. "
            "Subtract the maximum and stay with logarithms.",
        )
        close(large, _masked_loss_solution(logits * 1000, tokens, chosen), "With large logits the loss")
        none = float(
            as_array(call(answer, logits.copy(), tokens.copy(), np.zeros_like(chosen)), "The loss", shape=())
        )
    expect(none == 0.0, f"Where no place is chosen your loss is {none}; 0.0 is asked for.")


# ---------------------------------------------------------------------------- whole words


def _whole_words_solution(begins, chosen):
    word = np.cumsum(begins, axis=1)  # (m, T): the number of the word in its row
    same = word[:, :, None] == word[:, None, :]  # (m, T, T): tokens of one word
    return (same & chosen[:, None, :]).any(axis=2)


@exercise(
    "bert.mlm",
    solution=_whole_words_solution,
    hints=[
        "Give every token the number of its word. Which function turns beginnings into numbers that go up by one at each?",
        "word = np.cumsum(begins, axis=1). Two tokens of a row belong together where their numbers are equal: compare word[:, :, None] with word[:, None, :].",
        "A token is to be hidden if any token of its word is chosen: combine the comparison with chosen[:, None, :] and take any over the last axis.",
    ],
)
def whole_words(answer: Any) -> None:
    """All tokens of every word with a chosen token."""
    rng = np.random.default_rng(5)
    cases = [
        (np.array([[1, 0, 0, 1, 0]], bool), np.array([[0, 1, 0, 0, 0]], bool)),
        (
            np.array([[0, 0, 1, 0, 1], [0, 1, 1, 0, 0]], bool),
            np.array([[0, 1, 0, 0, 1], [0, 0, 0, 0, 1]], bool),
        ),
        (rng.random((4, 12)) < 0.4, rng.random((4, 12)) < 0.2),
    ]
    for begins, chosen in cases:
        got = as_array(call(answer, begins.copy(), chosen.copy()), "The mask", shape=chosen.shape).astype(
            bool
        )
        right = _whole_words_solution(begins, chosen)
        if np.array_equal(got, right):
            continue
        if np.array_equal(got, chosen):
            raise NotYet("Your mask is `chosen` itself: the other pieces of the words stay visible.")
        flat = _whole_words_solution(begins.reshape(1, -1), chosen.reshape(1, -1)).reshape(chosen.shape)
        if np.array_equal(got, flat):
            raise NotYet(
                "Words run on from one row into the next in your mask. A row is a text of its own: count words along axis 1."
            )
        missing, extra = np.argwhere(right & ~got), np.argwhere(got & ~right)
        if len(missing):
            i, t = missing[0]
            left = chosen[i, t + 1 :].any() and not chosen[i, :t].any()
            where = "before" if left else "beside"
            raise NotYet(
                f"In row {i} token {t} stays visible, {where} a chosen piece of the same word. begins: {begins[i].astype(int)}, "
                f"chosen: {chosen[i].astype(int)}."
            )
        i, t = extra[0]
        raise NotYet(
            f"In row {i} token {t} is hidden, but no piece of its word was chosen. begins: {begins[i].astype(int)}, chosen: {chosen[i].astype(int)}."
        )


# ---------------------------------------------------------------------------- pseudo-perplexity


def _pseudo_perplexity_solution(log_probs, tokens, mask):
    T = len(tokens)
    hidden = np.where(np.eye(T, dtype=bool), mask, tokens)  # (T, T): row t hides token t
    rows = np.arange(T)
    return np.exp(-log_probs(hidden)[rows, rows, tokens].mean())


@exercise(
    "bert.pretrain",
    solution=_pseudo_perplexity_solution,
    hints=[
        "T tokens make T exercises: T copies of the text, in each of which another token is hidden. That is a batch of shape (T, T).",
        "np.where(np.eye(T, dtype=bool), mask, tokens) builds it. Row t is asked at place t for token tokens[t].",
        "With rows = np.arange(T), log_probs(hidden)[rows, rows, tokens] has shape (T,). Take the mean, change the sign, then exp.",
    ],
)
def pseudo_perplexity(answer: Any) -> None:
    """exp of the mean cross-entropy when each token is hidden by itself."""
    rng = np.random.default_rng(7)
    V, mask = 9, 1
    table = rng.normal(size=(V, V)) * 1.5
    calls: list[tuple[int, ...]] = []

    def even(tokens: Array) -> Array:
        return np.full((*np.shape(tokens), V), -np.log(V))

    def neighbours(tokens: Array) -> Array:
        """Looks at the token itself unless it is masked, and at both neighbours."""
        tokens = np.asarray(tokens)
        if tokens.ndim != 2:
            raise NotYet(
                f"log_probs takes a batch (n, T); you call it with an array of shape {tokens.shape}."
            )
        calls.append(tokens.shape)
        around = np.pad(tokens, ((0, 0), (1, 1)))
        own = np.where((tokens == mask)[..., None], 0.0, 6.0 * np.eye(V)[tokens])
        return _log_softmax(table[around[:, :-2]] + table.T[around[:, 2:]] + own)

    got = float(as_array(call(answer, even, np.array([3, 4, 5, 3]), mask), "The pseudo-perplexity", shape=()))
    if np.isclose(got, np.log(V)):
        raise NotYet("For a model that answers evenly you return ln V. The perplexity is its exponential.")
    if np.isclose(got, 1 / V):
        raise NotYet("For a model that answers evenly you return 1 / V: the sign in the exponent is missing.")
    if np.isclose(got, float(V) ** 4):
        raise NotYet(
            "For a model that answers evenly over V tokens you return V to the power T: the exponent holds a sum, not a mean."
        )
    close(got, float(V), "For a model that answers evenly the pseudo-perplexity", rtol=1e-6)
    tokens = rng.integers(2, V, 7)
    calls.clear()
    got = float(as_array(call(answer, neighbours, tokens.copy(), mask), "The pseudo-perplexity", shape=()))
    number = len(calls)
    rows = np.arange(len(tokens))
    open_text = np.exp(-neighbours(tokens[None])[0, rows, tokens].mean())
    all_hidden = np.exp(-neighbours(np.full((1, 7), mask))[0, rows, tokens].mean())
    right = _pseudo_perplexity_solution(neighbours, tokens, mask)
    if np.isclose(got, open_text, rtol=1e-6):
        raise NotYet("Nothing was hidden: the model sees each token that it is asked about, and copies it.")
    if np.isclose(got, all_hidden, rtol=1e-6):
        raise NotYet(
            "All tokens were hidden at once. Each is to be hidden by itself, with the others visible."
        )
    hidden = np.where(np.eye(7, dtype=bool), mask, tokens)
    everywhere = np.exp(-neighbours(hidden)[:, rows, tokens].mean())
    if np.isclose(got, everywhere, rtol=1e-6):
        raise NotYet(
            "The mean runs over all places of all T copies. Row t is asked at place t only; elsewhere the token is visible."
        )
    close(got, right, "The pseudo-perplexity", rtol=1e-6)
    expect(
        number == 1,
        f"The value is right, but log_probs was called {number} times. One batch of T texts is enough.",
    )
