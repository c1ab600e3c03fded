"""Wrong answers to problem set 7, what each of them earns, and what its author is told: plain data.

``CASES`` maps the name of a misconception to three things: the solution cells that it replaces (cell id -> source),
the points of the test cells that do not give their full points for it (cell id -> points), and a fragment of one
message.
"""

from __future__ import annotations

ASSIGNMENT = "ps7-transformer"

# Points of the test cells; the letter of Task 5 (6 points) is marked by hand.
POINTS = {
    "test-attend": 2,
    "test-attend-nowhere": 1,
    "test-attend-large": 1,
    "test-back-values": 1,
    "test-back-queries": 2,
    "test-back-bias": 2,
    "test-masks": 2,
    "test-places": 2,
    "test-detector": 2,
    "test-detector-faint": 2,
    "test-heads-own": 1,
    "test-heads-shared": 2,
    "test-step": 3,
    "test-cache": 2,
    "test-bits": 2,
    "test-bits-sent": 1,
    "test-bigram": 2,
    "test-draw": 2,
    "test-draw-edges": 1,
    "test-predictor-shapes": 1,
    "test-predictor-parts": 2,
    "test-predictor-causal": 2,
    "test-predictor-table": 2,
    "test-predictor-close": 2,
    "test-predictor-figures": 2,
}

_ATTEND = """
def attend(Q, K, V, bias, allowed):
    T = Q.shape[-2]
    back = np.arange(T)[:, None] - np.arange(T)
    scores = {scores}
    {masked}
    largest = scores.max(axis=-1, keepdims=True)
    shares = np.exp(scores - {largest})
    total = shares.sum(axis=-1, keepdims=True)
    weights = {weights}
    return weights @ V, weights


def attend_backward(G, Q, K, V, weights):
    T, root = Q.shape[-2], np.sqrt(Q.shape[-1])
    grad_weights = G @ V.swapaxes(-1, -2)
    grad_scores = weights * ({inner})
    table = grad_scores.reshape(-1, T, T).{over}(axis=0)
    return {{
        "Q": grad_scores @ K / {root},
        "K": {keys},
        "V": {values} @ G,
        "bias": {bias},
    }}
"""
_RIGHT_ATTEND = {
    "scores": "Q @ K.swapaxes(-1, -2) / np.sqrt(Q.shape[-1]) + bias[np.maximum(back, 0)]",
    "masked": "scores = np.where(allowed, scores, -np.inf)",
    "largest": "np.where(np.isfinite(largest), largest, 0.0)",
    "weights": "shares / np.where(total > 0, total, 1.0)",
    "inner": "grad_weights - (weights * grad_weights).sum(axis=-1, keepdims=True)",
    "over": "sum",
    "root": "root",
    "keys": "grad_scores.swapaxes(-1, -2) @ Q / root",
    "values": "weights.swapaxes(-1, -2)",
    "bias": "np.array([np.trace(table, offset=-r) for r in range(T)])",
}

_MASKS = """
def packed_mask(message):
    same = message[:, :, None] == message[:, None, :]
    return {mask}


def places(message):
    same = message[:, :, None] == message[:, None, :]
    right = np.tri(message.shape[1], dtype=bool) & same & (message != 0)[:, None, :]
    return {places}
"""
_RIGHT_MASKS = {
    "mask": "np.tri(message.shape[1], dtype=bool) & same & (message != 0)[:, None, :]",
    "places": "np.maximum(right.sum(axis=-1) - 1, 0)",
}

_DETECTOR = """
def reads(f, X, other):
    before, columns = np.asarray(f(X.copy())), []
    for j in range(len(X)):
        changed = X.copy()
        {change}
        difference = np.abs(np.asarray(f(changed)) - before)
        columns.append({noticed})
    return np.stack(columns, axis={axis})


def lookahead(table):
    i, j = np.nonzero(table)
    return int({ahead})
"""
_RIGHT_DETECTOR = {
    "change": "changed[j] = other[j]",
    "noticed": "np.any(difference > 1e-9, axis=1)",
    "axis": "1",
    "ahead": "max((j - i).max(initial=0), 0)",
}

_HEADS = """
def shared_out(Z, share):
    return {shared}


def grouped_heads(X, params, allowed):
    share = params["W_Q"].shape[1] // params["W_K"].shape[1]
    Q, K, V = (np.einsum("mtd,dhk->mhtk", X, params[name]) for name in ("W_Q", "W_K", "W_V"))
    K, V = shared_out(K, share), shared_out(V, share)
    scores = Q @ K.swapaxes(-1, -2) / np.sqrt({width})
    scores = {masked}
    shares = np.exp(scores - scores.max(axis=-1, keepdims=True))
    mixed = shares / shares.sum(axis=-1, keepdims=True) @ V
    return np.einsum("mhtk,hkd->mtd", mixed, params["W_O"])


def step(x, cache, params):
    share = params["W_Q"].shape[1] // params["W_K"].shape[1]
    q, key, value = (np.einsum("md,dhk->mhk", x, params[name])[:, :, None] for name in ("W_Q", "W_K", "W_V"))
    new = {{"K": key, "V": value}}
    if cache is not None:
        new = {joined}
    {before}
    K, V = {used}
    scores = q @ K.swapaxes(-1, -2) / np.sqrt(q.shape[-1])
    shares = np.exp(scores - scores.max(axis=-1, keepdims=True))
    mixed = (shares / shares.sum(axis=-1, keepdims=True) @ V)[:, :, 0]
    return np.einsum("mhk,hkd->md", mixed, params["W_O"]), {kept}


def cache_numbers(params, m, T):
    _, groups, size = params["W_K"].shape
    return {count}
"""
_RIGHT_HEADS = {
    "shared": "np.repeat(Z, share, axis=1)",
    "width": "Q.shape[-1]",
    "masked": "np.where(allowed, scores, -np.inf)",
    "joined": "{name: np.concatenate([cache[name], new[name]], axis=2) for name in new}",
    "before": "pass",
    "used": 'np.repeat(new["K"], share, axis=1), np.repeat(new["V"], share, axis=1)',
    "kept": "new",
    "count": "2 * m * T * groups * size",
}

_PRICE = """
def bits_per_sign(logits, targets):
    shifted = logits - {largest}
    log_p = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    bits = -np.take_along_axis(log_p, targets[..., None], axis=-1)[..., 0] / {unit}
    sent = targets != 0
    return {mean}


def bigram(rows, V):
    first, second = rows[:, :-1].ravel(), rows[:, 1:].ravel()
    sent = {sent}
    counts = np.{start}((V, V))
    np.add.at(counts, ({pair}), 1)
    return np.log(counts / counts.sum(axis={axis}, keepdims=True))


def draw(logits, k, temperature, uniform):
    kept = {kept}
    if temperature == 0:
        return int({greedy})
    {order}
    cumulative = np.cumsum(np.exp((logits[kept] - logits[kept].max()) {by} temperature))
    return int(kept[np.searchsorted(cumulative / cumulative[-1], uniform, side="right")])
"""
_RIGHT_PRICE = {
    "largest": "logits.max(axis=-1, keepdims=True)",
    "unit": "np.log(2)",
    "mean": "bits[sent].mean()",
    "sent": "(first != 0) & (second != 0)",
    "start": "ones",
    "pair": "first[sent], second[sent]",
    "axis": "1",
    "kept": 'np.argsort(-logits, kind="stable")[:k]',
    "greedy": "kept[0]",
    "order": "kept = np.sort(kept)",
    "by": "/",
}

_BUILD = """
def build_predictor(V, T, width, heads, blocks):
    import keras
    from keras import layers

    signs, where = layers.Input((T,), dtype="int32"), layers.Input((T,), dtype="int32")
    X = layers.Embedding(V, width)(signs){places}
    for _ in range(blocks):
        read = layers.LayerNormalization()(X)
        X = X + layers.MultiHeadAttention(heads, {size})(read, read{mask})
        read = layers.LayerNormalization()(X)
        X = X + layers.Dense(width)(layers.Dense({wide}, activation="relu")(read))
    return keras.Model([signs, where], layers.Dense({signs})({last}(X)))
"""
_RIGHT_BUILD = {
    "places": " + layers.Embedding(T, width)(where)",
    "size": "width // heads",
    "mask": ", use_causal_mask=True",
    "wide": "4 * width",
    "signs": "V",
    "last": "layers.LayerNormalization()",
}


def _attend(**parts: str) -> dict[str, str]:
    return {"the-attention": _ATTEND.format(**(_RIGHT_ATTEND | parts))}


def _masks(**parts: str) -> dict[str, str]:
    return {"the-masks": _MASKS.format(**(_RIGHT_MASKS | parts))}


def _detector(**parts: str) -> dict[str, str]:
    return {"the-detector": _DETECTOR.format(**(_RIGHT_DETECTOR | parts))}


def _heads(**parts: str) -> dict[str, str]:
    return {"the-heads": _HEADS.format(**(_RIGHT_HEADS | parts))}


def _price(**parts: str) -> dict[str, str]:
    return {"the-price": _PRICE.format(**(_RIGHT_PRICE | parts))}


def _build(**parts: str) -> dict[str, str]:
    return {"build-predictor": _BUILD.format(**(_RIGHT_BUILD | parts))}


CASES: dict[str, tuple[dict[str, str], dict[str, float], str]] = {
    # Task 1
    "attend-without-root": (
        _attend(scores="Q @ K.swapaxes(-1, -2) + bias[np.maximum(back, 0)]"),
        {"test-attend": 0, "test-attend-nowhere": 0},
        "not divided by the root",
    ),
    "attend-bias-under-the-root": (
        _attend(scores="(Q @ K.swapaxes(-1, -2) + bias[np.maximum(back, 0)]) / np.sqrt(Q.shape[-1])"),
        {"test-attend": 0, "test-attend-nowhere": 0, "test-attend-large": 0},
        "",
    ),
    "attend-without-bias": (
        _attend(scores="Q @ K.swapaxes(-1, -2) / np.sqrt(Q.shape[-1])"),
        {"test-attend": 0, "test-attend-nowhere": 0, "test-attend-large": 0},
        "distance has no influence",
    ),
    "attend-bias-by-place": (
        _attend(scores="Q @ K.swapaxes(-1, -2) / np.sqrt(Q.shape[-1]) + bias"),
        {"test-attend": 0, "test-attend-nowhere": 0, "test-attend-large": 0},
        "wrong order",
    ),
    "attend-nan-nowhere": (
        _attend(largest="largest", weights="shares / total"),
        {"test-attend-nowhere": 0},
        "gets nan",
    ),
    "attend-evenly-nowhere": (
        _attend(masked="scores = np.where(allowed, scores, -1e9)"),
        {"test-attend-nowhere": 0},
        "zeros are asked for",
    ),
    "attend-overflows": (
        _attend(largest="0.0"),
        {"test-attend-large": 0},
        "not finite",
    ),
    "attend-maximum-of-all": (
        _attend(
            masked="shown = np.where(allowed, scores, -np.inf)",
            largest="largest",
            weights="np.where(allowed, shares, 0) / np.maximum(np.where(allowed, shares, 0).sum(axis=-1, keepdims=True), 1e-300)",
        ),
        {"test-attend-large": 0},
        "Over which scores",
    ),
    "back-values-not-transposed": (_attend(values="weights"), {"test-back-values": 0}, "transposed"),
    "back-without-the-mean": (
        _attend(inner="grad_weights"),
        {"test-back-queries": 0, "test-back-bias": 0},
        "A term is missing",
    ),
    "back-without-root": (_attend(root="1"), {"test-back-queries": 0}, "root is missing"),
    "back-keys-not-transposed": (
        _attend(keys="grad_scores @ Q / root"),
        {"test-back-queries": 0},
        "gradient of K is off",
    ),
    "back-bias-turned": (
        _attend(bias="np.array([np.trace(table, offset=-r) for r in range(T)])[::-1]"),
        {"test-back-bias": 0},
        "turned round",
    ),
    "back-bias-mean-of-diagonal": (
        _attend(bias="np.array([np.diagonal(table, offset=-r).mean() for r in range(T)])"),
        {"test-back-bias": 0},
        "you took the mean",
    ),
    "back-bias-with-root": (
        _attend(bias="np.array([np.trace(table, offset=-r) for r in range(T)]) / root"),
        {"test-back-bias": 0},
        "on the dot product only",
    ),
    "back-bias-mean-of-batch": (_attend(over="mean"), {"test-back-bias": 0}, "mean over the batch"),
    # Task 2
    "mask-turned": (_masks(mask=f"~({_RIGHT_MASKS['mask']})"), {"test-masks": 0}, "turned round"),
    "mask-transposed": (
        _masks(mask="np.tri(message.shape[1], dtype=bool).T & same & (message != 0)[:, None, :]"),
        {"test-masks": 0},
        "transposed",
    ),
    "mask-filled-up": (
        _masks(mask="np.tri(message.shape[1], dtype=bool) & same"),
        {"test-masks": 0},
        "they are no telegram",
    ),
    "mask-one-telegram": (
        _masks(mask="np.tri(message.shape[1], dtype=bool) & (message != 0)[:, None, :] & (message != 0)[:, :, None]"),
        {"test-masks": 0},
        "may look at the first one",
    ),
    "mask-rising-numbers": (
        _masks(mask="same & np.tri(message.shape[1], dtype=bool) & (message != 0)[:, None, :] & (np.diff(message, axis=1, prepend=0) >= 0)[:, None, :]"),
        {"test-masks": 0},
        "do not rise",
    ),
    "places-through-the-row": (
        _masks(places="np.tile(np.arange(message.shape[1]), (len(message), 1))"),
        {"test-places": 0},
        "go on through the row",
    ),
    "places-from-one": (_masks(places="right.sum(axis=-1)"), {"test-places": 0}, ""),
    "places-negative": (_masks(places="right.sum(axis=-1) - 1"), {"test-places": 0}, "negative"),
    "detector-replaces-the-rest": (
        _detector(change="changed[j:] = other[j:]"),
        {"test-detector": 0, "test-detector-faint": 0},
        "one row replaced at a time",
    ),
    "detector-transposed": (
        _detector(axis="0"),
        {"test-detector": 0, "test-detector-faint": 0},
        "transposed",
    ),
    "detector-coarse": (
        _detector(noticed="np.any(difference > 1e-5, axis=1)"),
        {"test-detector-faint": 0},
        "one part in a million",
    ),
    "detector-all-columns": (
        _detector(noticed="np.all(difference > 1e-9, axis=1)"),
        {"test-detector-faint": 0},
        "last column only",
    ),
    "lookahead-counts-the-past": (
        _detector(ahead="np.abs(j - i).max(initial=0)"),
        {"test-detector": 0},
        "For a causal table",
    ),
    # Task 3
    "heads-take-turns": (
        _heads(shared="np.tile(Z, (1, share, 1, 1))"),
        {"test-heads-shared": 0},
        "take turns",
    ),
    "heads-without-mask": (
        _heads(masked="scores"),
        {"test-heads-own": 0, "test-heads-shared": 0},
        "no influence",
    ),
    "heads-root-of-the-model": (
        _heads(width="X.shape[-1]"),
        {"test-heads-own": 0, "test-heads-shared": 0},
        "that of a head",
    ),
    "step-forgets": (
        _heads(joined="new"),
        {"test-step": 0, "test-cache": 0},
        "Each step looks at itself only",
    ),
    "step-not-itself": (
        _heads(
            joined="{name: np.concatenate([cache[name], new[name]], axis=2) for name in new}",
            used='(np.repeat(new[name][:, :, : max(1, new[name].shape[2] - 1)], share, axis=1) for name in "KV")',
        ),
        {"test-step": 0},
        "differ from the full pass",
    ),
    "step-newest-first": (
        _heads(joined="{name: np.concatenate([new[name], cache[name]], axis=2) for name in new}"),
        {"test-cache": 0},
        "not those of the places",
    ),
    "cache-copies": (
        _heads(
            kept="{name: np.repeat(new[name], share, axis=1) for name in new}",
            joined="""{
            name: np.concatenate([cache[name][:, :: cache[name].shape[1] // key.shape[1]], new[name]], axis=2)
            for name in new
        }""",
        ),
        {"test-cache": 0},
        "a copy for every head",
    ),
    "count-keys-only": (_heads(count="m * T * groups * size"), {"test-cache": 0}, "both are kept"),
    "count-all-heads": (
        _heads(count='2 * m * T * params["W_Q"].shape[1] * size'),
        {"test-cache": 0},
        "shared is kept once",
    ),
    # Task 4
    "bits-in-nats": (_price(unit="1"), {"test-bits": 0, "test-bits-sent": 0}, "price in nats"),
    "bits-overflow": (_price(largest="0"), {"test-bits": 0}, "Subtract the largest logit"),
    "bits-over-all-places": (
        _price(mean="np.where(sent, bits, 0).mean()"),
        {"test-bits-sent": 0},
        "divided by all places",
    ),
    "bits-mean-of-means": (
        _price(mean="np.mean(np.where(sent, bits, 0).sum(axis=1) / sent.sum(axis=1))"),
        {"test-bits-sent": 0},
        "mean of the telegrams' means",
    ),
    "bits-with-filling": (_price(mean="bits.mean()"), {"test-bits-sent": 0}, "filled-up places"),
    "bigram-counts-filling": (
        _price(sent="first != 0"),
        {"test-bigram": 0},
        "filled-up place was counted",
    ),
    "bigram-without-one": (_price(start="zeros"), {"test-bigram": 0}, "was never seen"),
    "bigram-columns": (
        _price(pair="second[sent], first[sent]", axis="0"),
        {"test-bigram": 0},
        "columns sum to 1",
    ),
    "draw-from-all": (
        _price(kept="np.arange(len(logits))", greedy="np.argmax(logits)"),
        {"test-draw": 0, "test-draw-edges": 0},
        "beyond the two most probable",
    ),
    "draw-by-rank": (_price(order="pass"), {"test-draw": 0, "test-draw-edges": 0}, "signs drawn are"),
    "draw-multiplied": (_price(by="*"), {"test-draw-edges": 0}, "divide by the temperature"),
    # Task 5
    "predictor-without-mask": (
        _build(mask=""),
        {"test-predictor-causal": 0},
        "the future leaks",
    ),
    "predictor-without-places": (
        _build(places=" + 0 * layers.Embedding(1, width)(where * 0)"),
        {"test-predictor-parts": 0},
        "",
    ),
    "predictor-without-last-norm": (
        _build(last=""),
        {"test-predictor-parts": 0},
        "last layer normalisation",
    ),
    "predictor-wide-heads": (
        _build(size="width"),
        {"test-predictor-parts": 0},
        "parameters; it should have",
    ),
    "predictor-narrow-feed-forward": (
        _build(wide="width"),
        {"test-predictor-parts": 0},
        "parameters; it should have",
    ),
    "predictor-says-too-little": (
        _build(signs="T"),
        {"test-predictor-shapes": 0, "test-predictor-parts": 0},
        "is asked for",
    ),
    "predictor-not-trained": (
        {"train-predictor": "predictor = build_predictor(20, 22, 16, 2, 1)"},
        {"test-predictor-table": 0, "test-predictor-close": 0, "test-predictor-figures": 0},
        "with the table of pairs",
    ),
}

#: Test cells that make or need a model: left out where a mistake does not touch them, with this in place of the training.
SLOW = {cell for cell in POINTS if cell.startswith("test-predictor")}
QUICK = {"train-predictor": "predictor = None"}
IN_SANDBOX = ["attend-nan-nowhere", "detector-coarse", "predictor-not-trained"]
