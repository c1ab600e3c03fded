"""Wrong answers to problem set 5, what each of them earns, and what its author is told: plain data.

``CASES`` maps the name of a misconception to three things: the solution cells that it replaces (cell id -> source),
the points of the test cells that do not give their full points for it (cell id -> points), and a fragment of one
message.
"""

from __future__ import annotations

ASSIGNMENT = "ps5-regularization"

# Points of the test cells; the letter of Task 6 (6 points) is marked by hand.
POINTS = {
    "test-ridge-fit": 2,
    "test-ridge-bias": 2,
    "test-ridge-wide": 1,
    "test-ridge-count": 2,
    "test-dropout-values": 2,
    "test-dropout-mean": 1,
    "test-dropout-zero": 1,
    "test-dropout-back": 2,
    "test-dropout-noise": 1,
    "test-norm-training": 2,
    "test-norm-running": 2,
    "test-norm-inference": 2,
    "test-norm-scale": 1,
    "test-norm-back": 3,
    "test-stop-rule": 2,
    "test-stop-delta": 2,
    "test-stop-nan": 1,
    "test-stop-future": 1,
    "test-shift": 2,
    "test-shift-rows": 1,
    "test-mix": 2,
    "test-mix-shape": 1,
    "test-classifier-fits": 1,
    "test-classifier-three-in-five": 1,
    "test-classifier-ridge": 2,
    "test-classifier-well": 2,
    "test-classifier-valve": 2,
}

_RIDGE = """
def ridge(X, Y, strength):
    X, Y = np.asarray(X, dtype=float), np.asarray(Y, dtype=float)
    m, d = X.shape
    {fit}


def effective_parameters(X, strength):
    X = np.asarray(X, dtype=float)
    s = np.linalg.svd({centred}, compute_uv=False)
    return {count}
"""
_FIT = """x_mean, y_mean = X.mean(axis=0), Y.mean(axis=0)
    A = X - x_mean
    W = np.linalg.solve(A.T @ A + {penalty} * np.eye(d), A.T @ (Y - y_mean))
    return W, {bias}"""
_RIGHT_RIDGE = {
    "fit": _FIT.format(penalty="m * strength", bias="y_mean - x_mean @ W"),
    "centred": "X - X.mean(axis=0)",
    "count": "1 + np.sum(s**2 / (s**2 + len(X) * strength))",
}

_DROPOUT = """
def dropout(A, uniform, rate):
    kept = {kept}
    return {output}, kept


def dropout_backward(G, kept, rate):
    return {back}


def noise_for(rate):
    return {noise}
"""
_RIGHT_DROPOUT = {
    "kept": "uniform >= rate",
    "output": "np.where(kept, A / (1 - rate), 0.0)",
    "back": "np.where(kept, G / (1 - rate), 0.0)",
    "noise": "(rate / (1 - rate)) ** 0.5",
}

_NORM = """
def batch_norm(X, gamma, beta, running_mean, running_var, training, momentum=0.99, epsilon=1e-3):
    mean, var = X.mean(axis={axis}, keepdims=True), X.var(axis={axis}, keepdims=True{ddof})
    {before}
    if {use_batch}:
        now_mean, now_var = mean, var
    else:
        now_mean, now_var = running_mean, running_var
    if training:
        {update}
    std = np.sqrt(now_var + epsilon)
    X_hat = (X - now_mean) / std
    return {{
        "Y": gamma * X_hat + beta,
        "X_hat": X_hat,
        "std": np.broadcast_to(std, X.shape)[0],
        "mean": np.ravel(running_mean),
        "var": np.ravel(running_var),
    }}


def batch_norm_backward(G, X_hat, std, gamma):
    hat = {hat}
    return {{"X": {back} / std, "gamma": {grad_gamma}, "beta": {grad_beta}}}
"""
_UPDATE = """running_mean = {old} * running_mean + {new} * mean[0]
        running_var = {old} * running_var + {new} * {var}"""
_RIGHT_NORM = {
    "axis": "0",
    "ddof": "",
    "before": "pass",
    "use_batch": "training",
    "update": _UPDATE.format(old="momentum", new="(1 - momentum)", var="var[0]"),
    "hat": "G * gamma",
    "back": "(hat - hat.mean(axis=0) - X_hat * (hat * X_hat).mean(axis=0))",
    "grad_gamma": "(G * X_hat).sum(axis=0)",
    "grad_beta": "G.sum(axis=0)",
}

_STOP = """
def early_stopping(losses, patience, min_delta):
    losses = list(losses)
    best, lowest, waited, epoch = 0, float("inf"), 0, 0
    for epoch, loss in enumerate(losses):
        if {better}:
            best, lowest{reset} = epoch, loss{zero}
        else:
            waited += 1
            if waited {enough} patience:
                break
        {after}
    return {answer}
"""
_RIGHT_STOP = {
    "better": "loss < lowest - min_delta",
    "reset": ", waited",
    "zero": ", 0",
    "enough": ">=",
    "after": "pass",
    "answer": "epoch, best",
}

_AUGMENT = """
def shift(X, steps):
    X, steps = np.asarray(X), np.asarray(steps)
    T = X.shape[1]
    places = np.arange(T) {sign} {steps}
    {shifted}


def mix(X, Y, weight, partner):
    wide = {wide}
    return {mixed_X}, {mixed_Y}
"""
_RIGHT_AUGMENT = {
    "sign": "-",
    "steps": "steps[:, None]",
    "shifted": "return np.take_along_axis(X, np.broadcast_to(places, X.shape).clip(0, T - 1), axis=1)",
    "wide": "weight.reshape(-1, *[1] * (X.ndim - 1))",
    "mixed_X": "wide * X + (1 - wide) * X[partner]",
    "mixed_Y": "weight[:, None] * Y + (1 - weight[:, None]) * Y[partner]",
}

_BUILD = """
def build_classifier():
    import keras
    from keras import layers

    return keras.Sequential([layers.Input((48,)), {layers}])
"""
_USUAL = 'layers.Dense(64, activation="relu"), layers.Dense(64, activation="relu"), layers.Dense(3, activation="softmax")'
_BY_HEART = """
import keras

keras.utils.set_random_seed(0)
classifier = build_classifier()
classifier.compile("adam", "sparse_categorical_crossentropy")
classifier.fit(x_train, y_train, batch_size=90, epochs=150, verbose=0)
"""


def _ridge(**parts: str) -> dict[str, str]:
    return {"the-ridge": _RIDGE.format(**(_RIGHT_RIDGE | parts))}


def _dropout(**parts: str) -> dict[str, str]:
    return {"the-dropout": _DROPOUT.format(**(_RIGHT_DROPOUT | parts))}


def _norm(**parts: str) -> dict[str, str]:
    return {"the-norm": _NORM.format(**(_RIGHT_NORM | parts))}


def _stop(**parts: str) -> dict[str, str]:
    return {"the-stop": _STOP.format(**(_RIGHT_STOP | parts))}


def _augment(**parts: str) -> dict[str, str]:
    return {"the-augmentation": _AUGMENT.format(**(_RIGHT_AUGMENT | parts))}


CASES: dict[str, tuple[dict[str, str], dict[str, float], str]] = {
    # Task 1
    "ridge-sum-for-mean": (
        _ridge(fit=_FIT.format(penalty="strength", bias="y_mean - x_mean @ W")),
        {"test-ridge-fit": 0, "test-ridge-wide": 0},
        "their mean",
    ),
    "ridge-without-penalty": (
        _ridge(fit=_FIT.format(penalty="1e-12", bias="y_mean - x_mean @ W")),
        {"test-ridge-fit": 0, "test-ridge-bias": 0, "test-ridge-wide": 0},
        "no effect",
    ),
    "ridge-penalised-bias": (
        _ridge(
            fit="""A = np.column_stack([X, np.ones(m)])
    W = np.linalg.solve(A.T @ A + m * strength * np.eye(d + 1), A.T @ Y)
    return W[:-1], W[-1]"""
        ),
        {"test-ridge-fit": 0, "test-ridge-bias": 0},
        "biases should take it up",
    ),
    "ridge-bias-without-features": (
        _ridge(fit=_FIT.format(penalty="m * strength", bias="y_mean")),
        {"test-ridge-bias": 0, "test-ridge-wide": 0},
        "not at the minimum",
    ),
    "count-without-bias": (
        _ridge(count="np.sum(s**2 / (s**2 + len(X) * strength))"),
        {"test-ridge-count": 0},
        "bias is missing",
    ),
    "count-without-m": (
        _ridge(count="1 + np.sum(s**2 / (s**2 + strength))"),
        {"test-ridge-count": 0},
        "number of examples",
    ),
    "count-not-centred": (_ridge(centred="X"), {"test-ridge-count": 0}, "centred first"),
    # Task 2
    "dropout-turned": (
        _dropout(kept="uniform < rate"),
        {"test-dropout-values": 0, "test-dropout-mean": 0, "test-dropout-zero": 0},
        "keeps the units that should be dropped",
    ),
    "dropout-not-scaled": (
        _dropout(output="np.where(kept, A, 0.0)"),
        {"test-dropout-values": 0, "test-dropout-mean": 0},
        "divide it by the share",
    ),
    "dropout-scaled-by-the-rate": (
        _dropout(output="np.where(kept, A / max(rate, 1e-9), 0.0)"),
        {"test-dropout-values": 0, "test-dropout-mean": 0, "test-dropout-zero": 0},
        "share that is kept is 0.8",
    ),
    "dropout-strictly-above": (
        _dropout(kept="uniform > rate"),
        {"test-dropout-values": 0, "test-dropout-zero": 0},
        "0.5 is at least the rate",
    ),
    "dropout-back-unscaled": (
        _dropout(back="np.where(kept, G, 0.0)"),
        {"test-dropout-back": 0},
        "scaling is missing on the way back",
    ),
    "dropout-back-everywhere": (
        _dropout(back="G / (1 - rate)"),
        {"test-dropout-back": 0},
        "its gradient is 0",
    ),
    "noise-variance": (
        _dropout(noise="rate / (1 - rate)"),
        {"test-dropout-noise": 0},
        "which is the variance",
    ),
    # Task 3
    "norm-unbiased": (
        _norm(ddof=", ddof=1"),
        {"test-norm-training": 0, "test-norm-running": 0},
        "divided by m - 1",
    ),
    "norm-over-features": (
        _norm(axis="1", update="pass"),
        {"test-norm-training": 0, "test-norm-running": 0},
        "layer normalisation",
    ),
    "norm-running-in-training": (
        _norm(use_batch="False"),
        {"test-norm-training": 0},
        "In training the running statistics were used",
    ),
    "norm-batch-at-inference": (
        _norm(use_batch="True"),
        {"test-norm-inference": 0},
        "who else is in the batch",
    ),
    "norm-momentum-turned": (
        _norm(update=_UPDATE.format(old="(1 - momentum)", new="momentum", var="var[0]")),
        {"test-norm-running": 0},
        "turned round",
    ),
    "norm-running-epsilon": (
        _norm(update=_UPDATE.format(old="momentum", new="(1 - momentum)", var="(var[0] + epsilon)")),
        {"test-norm-running": 0},
        "contains epsilon",
    ),
    "norm-back-constants": (
        _norm(back="hat"),
        {"test-norm-back": 0},
        "two terms are missing",
    ),
    "norm-back-without-variance": (
        _norm(back="(hat - hat.mean(axis=0))"),
        {"test-norm-back": 0},
        "through the variance is missing",
    ),
    "norm-back-without-gamma": (_norm(hat="G"), {"test-norm-back": 0}, "gamma is missing"),
    "norm-beta-mean": (_norm(grad_beta="G.mean(axis=0)"), {"test-norm-scale": 0}, "it is the sum"),
    # Task 4
    "stop-keeps-the-last": (
        _stop(answer="epoch, epoch"),
        {"test-stop-rule": 0, "test-stop-delta": 0, "test-stop-nan": 0},
        "weights of the last epoch",
    ),
    "stop-too-early": (
        _stop(enough="+ 1 >="),
        {"test-stop-rule": 0, "test-stop-delta": 0, "test-stop-nan": 0},
        "one epoch too early",
    ),
    "stop-without-reset": (
        _stop(reset="", zero=""),
        {"test-stop-rule": 0},
        "back to zero",
    ),
    "stop-compares-with-the-last": (
        _stop(better="loss < lowest - min_delta", after="lowest = loss"),
        {"test-stop-rule": 0, "test-stop-delta": 0, "test-stop-future": 0},
        "ran to the end",
    ),
    "stop-ignores-min-delta": (
        _stop(better="loss < lowest"),
        {"test-stop-delta": 0},
        "more than min_delta",
    ),
    "stop-reads-on": (
        _stop(answer="epoch, min(range(len(losses)), key=lambda i: (losses[i] != losses[i], losses[i]))"),
        {"test-stop-rule": 0, "test-stop-delta": 0, "test-stop-nan": 0, "test-stop-future": 0},
        "They were never run",
    ),
    # Task 5
    "shift-to-the-left": (
        _augment(sign="+"),
        {"test-shift": 0, "test-shift-rows": 0},
        "moved to the left",
    ),
    "shift-rolls": (
        _augment(shifted="return np.stack([np.roll(row, s) for row, s in zip(X, steps)])"),
        {"test-shift": 0, "test-shift-rows": 0},
        "came in at the other",
    ),
    "shift-one-for-all": (
        _augment(steps="steps[0]"),
        {"test-shift-rows": 0},
        "steps of its own",
    ),
    "mix-weight-to-the-partner": (
        _augment(
            mixed_X="(1 - wide) * X + wide * X[partner]",
            mixed_Y="(1 - weight[:, None]) * Y + weight[:, None] * Y[partner]",
        ),
        {"test-mix": 0},
        "gave it to the partner",
    ),
    "mix-keeps-the-targets": (_augment(mixed_Y="Y"), {"test-mix": 0}, "mixed answer"),
    "mix-rows-only": (_augment(wide="weight[:, None]"), {"test-mix-shape": 0}, ""),
    # Task 6
    "classifier-by-heart": (
        {"build-classifier": _BUILD.format(layers=_USUAL), "train-classifier": _BY_HEART},
        {"test-classifier-well": 0, "test-classifier-valve": 0},
        "What do you know about the valve",
    ),
    "classifier-not-trained": (
        {
            "build-classifier": _BUILD.format(
                layers='layers.Dense(3, activation="softmax", kernel_initializer="zeros")'
            ),
            "train-classifier": "classifier = build_classifier()",
        },
        {
            "test-classifier-three-in-five": 0,
            "test-classifier-ridge": 0,
            "test-classifier-well": 0,
            "test-classifier-valve": 0,
        },
        "guessing gets a third",
    ),
    "classifier-too-large": (
        {
            "build-classifier": _BUILD.format(
                layers='layers.Dense(500), layers.Dense(3, activation="softmax")'
            )
        },
        {"test-classifier-fits": 0},
        "20,000 are allowed",
    ),
    "classifier-logits": (
        {
            "build-classifier": _BUILD.format(
                layers='layers.Dense(20, activation="relu", bias_initializer="ones"), layers.Dense(3)'
            )
        },
        {"test-classifier-fits": 0},
        "do not sum to 1",
    ),
}

#: Test cells that need the trained classifier: left out where a mistake does not touch them, with this in its place.
SLOW = {
    "test-classifier-three-in-five",
    "test-classifier-ridge",
    "test-classifier-well",
    "test-classifier-valve",
}
QUICK = {"train-classifier": "classifier = build_classifier()"}
IN_SANDBOX = ["norm-back-constants", "stop-reads-on", "classifier-by-heart"]
