"""Checks of lesson 21: padding, nearest words, the state at the last word, and the sign test."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from course_utils.checks._engine import NotYet, as_array, attempted, call, close, exercise, expect

Array = np.ndarray


# ---------------------------------------------------------------------------- padding


def _pad_solution(sequences, length):
    tokens = np.zeros((len(sequences), length), dtype="int64")
    for row, sequence in zip(tokens, sequences, strict=True):
        kept = sequence[:length]
        row[: len(kept)] = kept  # row is a view: this writes into tokens
    return tokens


@exercise(
    "sentiment_analysis.tokens",
    solution=_pad_solution,
    hints=[
        "Begin with an array of zeros of the final shape. What is not overwritten is then padding already.",
        "A slice `sequence[:length]` is never too long, and may be shorter than length: that is the number of "
        "places to write.",
        "For row i, with kept = sequence[:length], write to tokens[i, :len(kept)].",
    ],
)
def pad(answer: Any) -> None:
    """Fill lists up with zeros, or cut them."""
    cases = [
        ([[5, 3], [2, 4, 6, 8]], 3),
        ([[7], [], [1, 2, 3, 4, 5, 6], [9, 9, 9, 9]], 4),
        ([[3, 1, 2]], 6),
    ]
    for sequences, length in cases:
        given = [list(sequence) for sequence in sequences]
        value = call(answer, sequences, length)
        expect(
            value is not None, "The result is None: the function has to return it (is the `return` missing?)."
        )
        expect(sequences == given, "Your function changed the lists that it was given. Build a new array.")
        try:
            got = as_array(value, "The result")
        except NotYet:
            raise NotYet(
                "The result is not one array of numbers. Rows of different lengths cannot be stacked: fill the "
                "short ones up with 0 and cut the long ones."
            ) from None
        right = _pad_solution(sequences, length)
        label = f"For {sequences} and length {length}"
        expect(
            got.shape == right.shape,
            f"{label} the shape is {got.shape}; it should be {right.shape}, one row per sequence and "
            f"{length} columns, however long the longest sequence is.",
        )
        if np.array_equal(got, right):
            expect(
                np.asarray(value).dtype.kind in "iu",
                f"The numbers are right, but their type is {np.asarray(value).dtype}. Tokens are row numbers; "
                'ask for integers: np.zeros(..., dtype="int64").',
            )
            continue
        cut = [sequence[:length] for sequence in sequences]
        before = np.array([[0] * (length - len(c)) + c for c in cut])
        tails = np.array([s[-length:] + [0] * (length - len(s[-length:])) for s in sequences])
        both = np.array([[0] * (length - len(s[-length:])) + s[-length:] for s in sequences])
        ones = np.array([c + [1] * (length - len(c)) for c in cut])
        if np.array_equal(got, before) or np.array_equal(got, both):
            raise NotYet(
                f"{label} the zeros stand in front. That is padding on the left; here the sequence comes first."
            )
        if np.array_equal(got, tails):
            raise NotYet(f"{label} the beginning of the long sequence was cut away; keep its first {length}.")
        if np.array_equal(got, ones):
            raise NotYet(f"{label} the rows are filled with 1, which means an unknown word. Padding is 0.")
        close(got, right, f"{label} the result")


# ---------------------------------------------------------------------------- neighbours


def _nearest_words_solution(E, word, count):
    E = np.asarray(E, dtype=float)
    lengths = np.linalg.norm(E, axis=1)
    cosine = (E @ E[word]) / np.maximum(lengths * lengths[word], 1e-12)  # (V,); 0 for a row of zeros
    cosine[[0, word]] = -np.inf
    return np.argsort(-cosine)[:count]


@exercise(
    "sentiment_analysis.embeddings",
    solution=_nearest_words_solution,
    hints=[
        "The cosine of two vectors is their dot product divided by both lengths. One product E @ E[word] gives "
        "all dot products at once.",
        "Set the similarity of row 0 and of the word itself to -np.inf before you sort. Guard the division: a row "
        "of zeros has length 0.",
        "np.argsort sorts upwards; np.argsort(-cosine)[:count] puts the most similar first.",
    ],
)
def nearest_words(answer: Any) -> None:
    """The rows most similar by cosine."""
    rng = np.random.default_rng(21)
    big = rng.normal(size=(30, 4)) * rng.uniform(0.1, 5, (30, 1))
    big[0] = 3 * big[7]  # the padding points where word 7 points
    big[11] = 0
    cases = [
        ("the example", np.array([[9.0, 9], [1, 0], [10, 1], [0, 2], [-3, 0]]), 1, 2),
        ("a matrix of shape (30, 4)", big, 7, 5),
        ("a matrix of shape (30, 4)", big, 20, 8),
    ]
    for label, E, word, count in cases:
        given = E.copy()
        with np.errstate(all="ignore"):
            value = call(answer, E, word, count)
        expect(np.array_equal(E, given), "Your function changed E. Work on a new array.")
        got = as_array(value, "The result")
        expect(got.ndim == 1, f"The result has shape {got.shape}; it should be a list of {count} numbers.")
        seen = [int(v) for v in got]
        expect(
            word not in seen,
            f"For {label} your neighbours of word {word} are {seen}: the word itself is among them. It is always the "
            "nearest to itself and has to be left out.",
        )
        expect(
            0 not in seen,
            f"For {label} row 0 is among your neighbours {seen}. It belongs to the padding, which is no word.",
        )
        expect(len(seen) == count, f"You return {len(seen)} numbers; {count} were asked for.")
        right = _nearest_words_solution(E, word, count).tolist()
        if seen == right:
            continue
        allowed = np.setdiff1d(np.arange(len(E)), [0, word])
        products = E @ E[word]
        lengths = np.maximum(np.linalg.norm(E, axis=1), 1e-12)
        cosine = products / lengths / lengths[word]
        distance = np.linalg.norm(E - E[word], axis=1)

        def ranked(values: Array, allowed: Array = allowed, count: int = count) -> list[int]:
            return allowed[np.argsort(values[allowed], kind="stable")][:count].tolist()

        named = [
            (ranked(-products), "the largest dot products. A long vector wins with these whatever its direction; "
             "divide by the lengths."),
            (ranked(distance), "the smallest distances. The exercise asks for the angle: a vector ten times as long "
             "in the same direction is as near as can be."),
            (ranked(cosine), "the least similar words. np.argsort sorts upwards; sort by -cosine."),
            (ranked(-np.abs(cosine)), "sorted by the absolute value of the cosine. A vector in the opposite "
             "direction has cosine -1 and is the least similar."),
            (right[::-1], "the right words in the wrong order: the most similar comes first."),
        ]  # fmt: skip
        for numbers, meaning in named:
            if seen == numbers:
                raise NotYet(f"For {label} and word {word} you return {seen}: {meaning}")
        at = next(i for i in range(count) if seen[i] != right[i])
        raise NotYet(
            f"For {label} and word {word}, number {at + 1} of your list is {seen[at]} with cosine "
            f"{cosine[seen[at]]:.3f}; word {right[at]} has {cosine[right[at]]:.3f}."
        )


# ---------------------------------------------------------------------------- the last word


def _last_state_solution(H, tokens):
    H, tokens = np.asarray(H), np.asarray(tokens)
    lengths = (tokens != 0).sum(axis=1)  # (m,)
    last = H[np.arange(len(H)), lengths - 1]  # (m, u); -1 where there is no token, repaired below
    return np.where(lengths[:, None] > 0, last, 0.0)


@exercise(
    "sentiment_analysis.order",
    solution=_last_state_solution,
    hints=[
        "How many real tokens has each text? The last of n tokens stands at place n - 1.",
        "Two index arrays of equal length pick one place per text: H[np.arange(m), places] has shape (m, u).",
        "For an empty text the place is -1, which NumPy takes for the last step. Replace these rows by zeros with "
        "np.where(lengths[:, None] > 0, ..., 0).",
    ],
)
def last_state(answer: Any) -> None:
    """The state at the last real token of each text."""
    rng = np.random.default_rng(3)
    H = rng.normal(size=(5, 6, 3))
    tokens = np.array(
        [[4, 2, 0, 0, 0, 0], [3, 3, 3, 3, 3, 3], [9, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0], [1, 5, 2, 8, 0, 0]]
    )
    given = H.copy()
    got = as_array(call(answer, H, tokens), "The result", shape=(5, 3))
    expect(np.array_equal(H, given), "Your function changed H. Return a new array.")
    right = _last_state_solution(H, tokens)
    if not np.allclose(got, right):
        lengths = (tokens != 0).sum(axis=1)
        rows = np.arange(5)
        full = lengths > 0
        if np.allclose(got, H[:, -1]):
            raise NotYet(
                "You return H[:, -1], the state after the padding. For a short text the last real word came earlier."
            )
        if np.allclose(got[full], right[full]):
            if np.allclose(got[~full], H[~full, -1]):
                raise NotYet(
                    "A text that is all padding got the state of its last step: its number of tokens is 0, and the "
                    "index 0 - 1 counts from the end. It should get zeros."
                )
            raise NotYet(f"A text that is all padding got {got[~full][0].round(3)}; it should get zeros.")
        if np.allclose(got[full], H[rows, np.minimum(lengths, 5)][full]):
            raise NotYet(
                "You take the step after the last real token. The last of n tokens stands at place n - 1, because "
                "places count from 0."
            )
        mask = (tokens != 0)[:, :, None]
        if np.allclose(got, (H * mask).sum(axis=1) / np.maximum(lengths[:, None], 1)):
            raise NotYet(
                "You return the masked mean of all states. Wanted is the one state at the last real token."
            )
        if np.allclose(got, (H * mask)[:, -1]):
            raise NotYet(
                "You set the states at padding to zero and take the last step. That leaves zeros for every text that "
                "is shorter than the array."
            )
        if np.allclose(got[full], H[full, 0]):
            raise NotYet("You return the state after the first token; wanted is the last real one.")
    close(got, right, "The state")
    again = as_array(call(answer, H[:1, :3], tokens[:1, :3]), "The result for a batch of one", shape=(1, 3))
    close(again, right[:1], "The state in a batch of one")


# ---------------------------------------------------------------------------- the sign test


def _sign_test_solution(right_a, right_b):
    a = int(np.sum(np.asarray(right_a) & ~np.asarray(right_b)))  # won by a alone
    b = int(np.sum(np.asarray(right_b) & ~np.asarray(right_a)))
    n, fewer = a + b, min(a, b)
    if a == b:
        return 1.0  # no outcome is more even
    tail = sum(math.comb(n, k) for k in range(fewer + 1))  # whole numbers: exact for any n
    return 2 * tail / 2**n


@exercise(
    "sentiment_analysis.honesty",
    solution=_sign_test_solution,
    hints=[
        "Count the texts that only a gets right and the texts that only b gets right. Nothing else enters.",
        "With n tosses, k heads come with probability comb(n, k) / 2**n. As uneven or more: at most min(a, b) heads, "
        "or at most min(a, b) tails. The two have the same probability.",
        "If a equals b, every outcome is at least as uneven, so the answer is 1 and must not become more. For a "
        "thousand disagreements 2.0**n and floats overflow or lose the tail: math.comb and ** on whole numbers do "
        "not, and one whole number divided by another is a float.",
    ],
)
def sign_test(answer: Any) -> None:
    """The probability that a coin decides as unevenly as two models differ."""

    def judged(both: int, only_a: int, only_b: int, neither: int) -> tuple[float, float]:
        right_a = np.repeat([True, True, False, False], [both, only_a, only_b, neither])
        right_b = np.repeat([True, False, True, False], [both, only_a, only_b, neither])
        order = np.random.default_rng(0).permutation(len(right_a))
        value = call(answer, right_a[order], right_b[order])
        got = float(as_array(value, f"The probability for {only_a} against {only_b}", shape=()))
        return got, _sign_test_solution(right_a, right_b)

    for counts in [
        (2, 7, 1, 20),
        (10, 5, 0, 3),
        (50, 12, 4, 20),
        (50, 4, 12, 20),
        (100, 3, 3, 9),
        (30, 0, 0, 8),
        (7, 20, 11, 2),
    ]:
        got, right = judged(*counts)
        both, a, b, neither = counts
        n, few = a + b, min(a, b)
        if np.isclose(got, right, rtol=1e-6):
            continue
        seen = f"With {a} texts won by one model and {b} by the other you return {got:.4g}"
        one_side = sum(math.comb(n, k) for k in range(few + 1)) / 2**n if n else 0.5
        exact = 2 * math.comb(n, few) / 2**n if n else 2.0
        strict = 2 * sum(math.comb(n, k) for k in range(few)) / 2**n if n else 0.0
        all_n = both + a + b + neither
        ties = 2 * sum(math.comb(all_n, k) for k in range(min(both + a, both + b) + 1)) / 2**all_n
        upper = sum(math.comb(n, k) for k in range(a, n + 1)) / 2**n if n else 1.0
        lower = sum(math.comb(n, k) for k in range(a + 1)) / 2**n if n else 1.0
        if not math.isfinite(got):
            raise NotYet(
                f"{seen}. Where the models never disagree there is nothing to divide; the answer is 1."
            )
        if got > 1:
            raise NotYet(
                f"{seen}, more than 1. When the two win equally often, twice the tail counts the middle outcome "
                "twice; every outcome is then at least as uneven, and the answer is 1."
            )
        if n and a != b and np.isclose(got, one_side):
            raise NotYet(f"{seen}, which is one tail only. In either direction makes twice that.")
        if n and np.isclose(got, exact):
            raise NotYet(
                f"{seen}, the probability of exactly this split. Splits that are more uneven belong to it as well."
            )
        if n and a != b and few and np.isclose(got, strict):
            raise NotYet(f"{seen}: the observed split itself is missing. At least as uneven includes it.")
        if ties < 1 and np.isclose(got, ties, rtol=1e-4):
            raise NotYet(
                f"{seen}: texts on which both agree seem to count as tosses. Only disagreements are."
            )
        if got < 1 and (np.isclose(got, upper) or np.isclose(got, lower)):
            raise NotYet(f"{seen}, which depends on who is called a. Take both tails.")
        raise NotYet(f"{seen}; it should be {right:.4g}.")
    got, right = judged(500, 640, 560, 300)
    expect(
        math.isfinite(got) and np.isclose(got, right, rtol=1e-4, atol=0),
        f"For 640 against 560 you return {got:.4g}; it should be {right:.4g}. Numbers like 2**1200 do not fit into a "
        "float; whole numbers in Python have no limit.",
    )
    attempted(got)
