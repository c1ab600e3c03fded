"""Wrong answers to problem set 6, what each of them earns, and what its author is told: plain data.

``CASES`` maps the name of a misconception to three things: the solution cells that it replaces (cell id -> source),
the points of the test cells that do not give their full points for it (cell id -> points), and a fragment of one
message.
"""

from __future__ import annotations

ASSIGNMENT = "ps6-transfer-learning"

# Points of the test cells; the letter of Task 6 (6 points) is marked by hand.
POINTS = {
    "test-cut-values": 2,
    "test-cut-batch": 1,
    "test-moved": 2,
    "test-head-fit": 2,
    "test-head-shrink": 2,
    "test-head-one": 1,
    "test-head-uneven": 1,
    "test-head-network": 2,
    "test-draw-counts": 1,
    "test-draw-seeds": 1,
    "test-draw-nested": 1,
    "test-interval": 2,
    "test-paired": 2,
    "test-labels": 2,
    "test-rates": 2,
    "test-thaw": 1,
    "test-tune-step": 2,
    "test-tune-rates": 2,
    "test-tune-norm": 1,
    "test-tune-plan": 1,
    "test-drift": 2,
    "test-drift-names": 1,
    "test-repair": 2,
    "test-repair-rest": 1,
    "test-passes": 1,
    "test-choose": 2,
    "test-choose-harm": 1,
    "test-classifier-two-in-five": 1,
    "test-classifier-well": 2,
}

_CUT = """
def features(arrays, layer, X):
    import keras

    network = network_of(arrays)
    body = keras.Model(network.inputs[0], {end})
    return np.asarray(body(np.asarray(X, dtype="float32"), training={training}))


def moved(before, after):
    def same(name):
        old, new = np.asarray(before[name], dtype=float), np.asarray(after[name], dtype=float)
        return {same}

    return {names}
"""
_RIGHT_CUT = {
    "end": "network.get_layer(layer).output",
    "training": "False",
    "same": "np.array_equal(old, new, equal_nan=True)",
    "names": "sorted({*before} ^ {*after} | {name for name in {*before} & {*after} if not same(name)})",
}

_HEAD = """
def fit_head(F, y, classes, shrink):
    m, d = F.shape
    means = np.stack([F[y == k].mean(axis=0) for k in range(classes)])
    off = {off}
    S = {spread}
    size = np.trace(S) / {count}
    C = {covariance}
    W = np.linalg.solve(C{guard}, means.T)
    return W, {bias}


def attach(arrays, layer, W, b):
    import keras

    network = network_of(arrays)
    head = keras.layers.Dense(len(b){activation}, name="new_head")
    model = keras.Model(network.inputs[0], head({end}))
    {fill}
    return model
"""
_RIGHT_HEAD = {
    "off": "F - means[y]",
    "spread": "off.T @ off / m",
    "count": "d",
    "covariance": "(1 - shrink) * S + shrink * size * np.eye(d)",
    "guard": " if size > 0 else np.eye(d)",
    "bias": "-0.5 * (means.T * W).sum(axis=0)",
    "activation": "",
    "end": "network.get_layer(layer).output",
    "fill": "head.set_weights([W, b])",
}

_PRICE = """
def draw(y, per_class, seed):
    rng = np.random.default_rng({seed})
    {draw}


def interval(values):
    from scipy.stats import t

    values = np.asarray(values, dtype=float)
    s = len(values)
    return values.mean(axis={axis}), {factor} * values.std(axis=0, ddof={ddof}) / {root}


def paired(a, b):
    {paired}


def labels_for(budgets, curve, wanted):
    {first}
    for i in range(1, len(budgets)):
        if curve[i] >= wanted:
            share = (wanted - curve[i - 1]) / (curve[i] - curve[i - 1])
            return float({between})
    return {never}
"""
_RIGHT_PRICE = {
    "seed": "seed",
    "draw": """order = rng.permutation(len(y))
    return np.concatenate([order[y[order] == k][:per_class] for k in np.unique(y)])""",
    "axis": "0",
    "factor": "t.ppf(0.975, s - 1)",
    "ddof": "1",
    "root": "np.sqrt(s)",
    "paired": "return interval(a - b)",
    "first": "if curve[0] >= wanted:\n        return float(budgets[0])",
    "between": "budgets[i - 1] * (budgets[i] / budgets[i - 1]) ** share",
    "never": "float('inf')",
}

_RATES = """
def rates_at(step, layers, top, factor, delay):
    last = len(layers) - 1
    return {{name: top * factor ** {power} if {open} else 0.0 for i, name in enumerate(layers)}}


def tune(arrays, X, y, plan, batches):
    import keras
    import tensorflow as tf

    network = network_of(arrays)
    cross_entropy = keras.losses.SparseCategoricalCrossentropy({logits})
    {before}
    for rates, rows in zip(plan, batches, strict=True):
        layers = [layer for layer in network.layers if {chosen}]
        variables = [w for layer in layers for w in layer.trainable_variables]
        steps = [{rate} for layer in layers for _ in layer.trainable_variables]
        with tf.GradientTape() as tape:
            loss = cross_entropy(y[rows], network(X[rows], training={training})){scale}
        for w, step, gradient in zip(variables, steps, tape.gradient(loss, variables), strict=True):
            w.assign(w {sign} step * {gradient})
    return arrays_of(network)
"""
_RIGHT_RATES = {
    "power": "(last - i)",
    "open": "step >= (last - i) * delay",
    "logits": "from_logits=True",
    "before": "pass",
    "chosen": "rates.get(layer.name, 0) > 0",
    "rate": "rates[layer.name]",
    "training": "False",
    "scale": "",
    "sign": "-",
    "gradient": "gradient",
}

_REPAIR = """
def drift(before, after):
    moves = {{}}
    for name, old in before.items():
        layer, _, kind = name.partition(".")
        if kind == "moving_mean":
            move, variance = after[name] - old, before[layer + ".moving_variance"]
            moves[layer] = float(np.max({move}))
    {more}
    return moves


def repair(arrays, source):
    return {{name: source[name] if {back} else array for name, array in arrays.items()}}


def passes(share, rho):
    return {passes}
"""
_RIGHT_REPAIR = {
    "move": "np.abs(move) / np.sqrt(variance + 1e-3)",
    "more": "pass",
    "back": "'.moving_' in name",
    "passes": "int(np.floor(np.log(share) / np.log(rho) + 1e-9)) + 1",
}

_CHOOSE = """
def choose(scores, default):
    best = default
    for name, values in scores.items():
        if name != default:
            mean, half = {compare}
            if {sure} and (best == default or {better}):
                best = name
    return best
"""
_RIGHT_CHOOSE = {
    "compare": "paired(values, scores[default])",
    "sure": "mean - half > 0",
    "better": "np.mean(values) > np.mean(scores[best])",
}


def _cut(**parts: str) -> dict[str, str]:
    return {"the-cut": _CUT.format(**(_RIGHT_CUT | parts))}


def _head(**parts: str) -> dict[str, str]:
    return {"the-head": _HEAD.format(**(_RIGHT_HEAD | parts))}


def _price(**parts: str) -> dict[str, str]:
    return {"the-price": _PRICE.format(**(_RIGHT_PRICE | parts))}


def _rates(**parts: str) -> dict[str, str]:
    return {"the-rates": _RATES.format(**(_RIGHT_RATES | parts))}


def _repair(**parts: str) -> dict[str, str]:
    return {"the-repair": _REPAIR.format(**(_RIGHT_REPAIR | parts))}


def _choose(**parts: str) -> dict[str, str]:
    return {"the-choice": _CHOOSE.format(**(_RIGHT_CHOOSE | parts))}


CASES: dict[str, tuple[dict[str, str], dict[str, float], str]] = {
    # Task 1
    "cut-keeps-the-head": (
        _cut(end="network.outputs[0]"),
        {"test-cut-values": 0},
        "as wide as the head",
    ),
    "cut-in-training-mode": (_cut(training="True"), {"test-cut-batch": 0}, "the company it is in"),
    "cut-always-before-the-head": (
        _cut(end="network.layers[-2].output"),
        {"test-cut-values": 0},
        "another one was given",
    ),
    "moved-lists-what-stayed": (
        _cut(names="sorted(name for name in before if same(name))"),
        {"test-moved": 0},
        "what stayed",
    ),
    "moved-about": (
        _cut(same="np.allclose(old, new, equal_nan=True)"),
        {"test-moved": 0},
        "exactly the same",
    ),
    "moved-nan": (_cut(same="np.array_equal(old, new)"), {"test-moved": 0}, "nan == nan is False"),
    "moved-first-dict-only": (
        _cut(names="sorted(n for n in before if n not in after or not same(n))"),
        {"test-moved": 0},
        "only in the second",
    ),
    # Task 2
    "head-total-spread": (
        _head(off="F - F.mean(axis=0)", guard=" if m > classes else np.eye(d)"),
        {"test-head-fit": 0, "test-head-shrink": 0, "test-head-uneven": 0},
        "the mean of all examples",
    ),
    "head-unbiased": (
        _head(spread="off.T @ off / max(m - classes, 1)"),
        {"test-head-fit": 0, "test-head-shrink": 0, "test-head-uneven": 0},
        "divided by m - K",
    ),
    "head-without-bias": (
        _head(bias="np.zeros(classes)"),
        {"test-head-fit": 0, "test-head-shrink": 0, "test-head-one": 0, "test-head-uneven": 0},
        "biases are missing",
    ),
    "head-without-half": (
        _head(bias="-(means.T * W).sum(axis=0)"),
        {"test-head-fit": 0, "test-head-shrink": 0, "test-head-one": 0, "test-head-uneven": 0},
        "the half is missing",
    ),
    "head-shrinks-the-other-way": (
        _head(covariance="shrink * S + (1 - shrink) * size * np.eye(d)"),
        {"test-head-shrink": 0, "test-head-uneven": 0},
        "are exchanged",
    ),
    "head-ball-of-one": (
        _head(covariance="(1 - shrink) * S + shrink * np.eye(d)"),
        {"test-head-fit": 0, "test-head-shrink": 0, "test-head-uneven": 0},
        "trace / d",
    ),
    "head-ball-of-the-trace": (
        _head(count="1"),
        {"test-head-shrink": 0, "test-head-uneven": 0},
        "trace / d",
    ),
    "head-singular": (
        _head(guard=" + 1e-300 * np.eye(d)"),
        {"test-head-one": 0},
        "should be the identity",
    ),
    "head-with-frequencies": (
        _head(bias="-0.5 * (means.T * W).sum(axis=0) + np.log(np.bincount(y) / m) - np.log(1 / classes)"),
        {"test-head-uneven": 0},
        "equally frequent",
    ),
    "attach-probabilities": (
        _head(activation=', activation="softmax"'),
        {"test-head-network": 0},
        "gives probabilities",
    ),
    "attach-without-weights": (_head(fill="pass"), {"test-head-network": 0}, "until they are set"),
    "attach-to-the-head": (
        _head(end="network.outputs[0]", fill="pass"),
        {"test-head-network": 0},
        "attached head",
    ),
    # Task 3
    "draw-with-repetition": (
        _price(
            draw="return np.concatenate([rng.choice(np.flatnonzero(y == k), per_class) for k in range(4)[: y.max() + 1]])"
        ),
        {"test-draw-counts": 0, "test-draw-nested": 0},
        "drawn twice",
    ),
    "draw-not-by-class": (
        _price(draw="return rng.permutation(len(y))[: per_class * len(np.unique(y))]"),
        {"test-draw-counts": 0},
        "3 of each class",
    ),
    "draw-the-first": (
        _price(draw="return np.concatenate([np.flatnonzero(y == k)[:per_class] for k in np.unique(y)])"),
        {"test-draw-seeds": 0},
        "Two seeds",
    ),
    "draw-without-seed": (
        _price(seed=""),
        {"test-draw-seeds": 0, "test-draw-nested": 0},
        "The same seed",
    ),
    "draw-anew-for-each-budget": (
        _price(seed="[seed, per_class]"),
        {"test-draw-nested": 0},
        "keeps the old ones",
    ),
    "interval-of-the-population": (
        _price(ddof="0"),
        {"test-interval": 0, "test-paired": 0},
        "divided by s",
    ),
    "interval-normal": (
        _price(factor="1.96"),
        {"test-interval": 0, "test-paired": 0},
        "1.96 is far too small",
    ),
    "interval-one-sided": (
        _price(factor="t.ppf(0.95, s - 1)"),
        {"test-interval": 0, "test-paired": 0},
        "2.5 % on each side",
    ),
    "interval-of-a-draw": (
        _price(root="1"),
        {"test-interval": 0, "test-paired": 0, "test-choose": 0},
        "root of s",
    ),
    "paired-unpaired": (
        _price(
            paired="""(first, of_a), (second, of_b) = interval(a), interval(b)
    return first - second, np.sqrt(of_a**2 + of_b**2)"""
        ),
        {"test-paired": 0, "test-choose": 0},
        "cancels in the difference",
    ),
    "paired-turned": (
        _price(paired="return interval(b - a)"),
        {"test-paired": 0, "test-choose": 0, "test-choose-harm": 0},
        "a minus b",
    ),
    "labels-on-a-plain-axis": (
        _price(between="budgets[i - 1] + share * (budgets[i] - budgets[i - 1])"),
        {"test-labels": 0},
        "straight over its logarithm",
    ),
    "labels-next-budget": (_price(between="budgets[i]"), {"test-labels": 0}, "next budget that was measured"),
    "labels-at-the-end": (_price(never="float(budgets[-1])"), {"test-labels": 0}, "never reaches"),
    # Task 4
    "rates-turned": (_rates(power="i"), {"test-rates": 0}, "It should be the head"),
    "rates-from-one": (_rates(power="(last - i + 1)"), {"test-rates": 0}, "its factor is 1"),
    "thaw-from-the-input": (_rates(open="step >= i * delay"), {"test-thaw": 0}, "thaw at the steps"),
    "thaw-one-late": (_rates(open="step > (last - i) * delay"), {"test-thaw": 0}, "thaw at the steps"),
    "thaw-one-at-a-time": (
        _rates(open="delay == 0 or min(step // delay, last) == last - i"),
        {"test-rates": 0, "test-thaw": 0},
        "froze again",
    ),
    "tune-uphill": (
        _rates(sign="+"),
        {"test-tune-step": 0, "test-tune-plan": 0},
        "uphill",
    ),
    "tune-sum": (
        _rates(scale=" * len(rows)"),
        {"test-tune-step": 0, "test-tune-plan": 0},
        "it is the mean",
    ),
    "tune-logits-as-probabilities": (
        _rates(logits=""),
        {"test-tune-step": 0, "test-tune-plan": 0},
        "from_logits=True",
    ),
    "tune-normalised": (
        _rates(gradient="gradient / (tf.norm(gradient) + 1e-12)"),
        {"test-tune-step": 0, "test-tune-plan": 0},
        "no normalised gradient",
    ),
    "tune-one-rate": (
        _rates(rate="max(rates.values())"),
        {"test-tune-rates": 0},
        "as far",
    ),
    "tune-in-training-mode": (
        _rates(training="True"),
        {"test-tune-step": 0, "test-tune-norm": 0, "test-tune-plan": 0},
        "inference mode",
    ),
    "tune-first-plan": (
        _rates(before="plan = [plan[0]] * len(plan)"),
        {"test-tune-plan": 0},
        "second step",
    ),
    "tune-freezes-nothing": (
        _rates(chosen="True", rate="rates.get(layer.name) or max(rates.values())"),
        {"test-tune-rates": 0, "test-tune-plan": 0},
        "should be frozen",
    ),
    # Task 5
    "drift-with-sign": (
        _repair(move="move / np.sqrt(variance + 1e-3)"),
        {"test-drift": 0},
        "a fall is a move",
    ),
    "drift-not-scaled": (_repair(move="np.abs(move)"), {"test-drift": 0}, "not divided"),
    "drift-by-the-variance": (
        _repair(move="np.abs(move) / (variance + 1e-3)"),
        {"test-drift": 0},
        "by the variance",
    ),
    "drift-by-the-spread-after": (
        _repair(move="np.abs(move) / np.sqrt(after[layer + '.moving_variance'] + 1e-3)"),
        {"test-drift": 0},
        "that of before",
    ),
    "drift-of-all-layers": (
        _repair(
            more="moves |= {name.partition('.')[0]: 0.0 for name in before if name.partition('.')[0] not in moves}"
        ),
        {"test-drift-names": 0},
        "norm1 and norm2",
    ),
    "repair-means-only": (
        _repair(back="name.endswith('moving_mean')"),
        {"test-repair": 0},
        "running variance",
    ),
    "repair-all-of-the-norm": (
        _repair(back="name.startswith('norm')"),
        {"test-repair-rest": 0},
        "which training had left",
    ),
    "passes-one-short": (
        _repair(passes="int(np.floor(np.log(share) / np.log(rho) + 1e-9))"),
        {"test-passes": 0},
        "After 6 passes",
    ),
    "passes-not-less": (
        _repair(passes="int(np.ceil(np.log(share) / np.log(rho) - 1e-9))"),
        {"test-passes": 0},
        "exactly half is left",
    ),
    # Task 6
    "choose-the-highest-mean": (_choose(sure="mean > 0"), {"test-choose": 0}, "reaches far below 0"),
    "choose-the-first": (_choose(better="False"), {"test-choose": 0}, "has the higher mean"),
    "choose-the-last": (_choose(better="True"), {"test-choose": 0}, "has the higher mean"),
    "choose-anything-sure": (_choose(sure="abs(mean) > half"), {"test-choose-harm": 0}, "surely worse"),
    "classifier-of-the-detectors": (
        {
            "train-classifier": """
maker = pretrained("detectors")
classifier = attach(maker, "features", *fit_head(features(maker, "features", x_few), y_few, 4, 0.2))
"""
        },
        {"test-classifier-two-in-five": 0, "test-classifier-well": 0},
        "listen to the call",
    ),
    "classifier-not-trained": (
        {"train-classifier": "classifier = new_network(4)"},
        {"test-classifier-two-in-five": 0, "test-classifier-well": 0},
        "guessing gets a quarter",
    ),
}

#: Test cells that need the trained network: left out where a mistake does not touch them, with this in its place.
SLOW = {"test-classifier-two-in-five", "test-classifier-well"} | {cell for cell in POINTS if cell.startswith("test-tune")}
QUICK = {"train-classifier": "classifier = new_network(4)"}
IN_SANDBOX = ["cut-in-training-mode", "tune-in-training-mode", "classifier-of-the-detectors"]
