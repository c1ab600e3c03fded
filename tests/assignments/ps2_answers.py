"""Wrong answers to problem set 2, what each of them earns, and what its author is told: plain data.

``CASES`` maps the name of a misconception to three things: the solution cells that it replaces (cell id -> source),
the points of the test cells that do not give their full points for it (cell id -> points), and a fragment of one
message. A few mistakes cost something further on as well, where later tasks build on the answer: a wrong
slope spoils the blame that passes it, and a gradient of the wrong shape stops the training.
"""

from __future__ import annotations

ASSIGNMENT = "ps2-backpropagation-and-optimizers"

# Points of the test cells; the letter of Task 7 (5 points) is marked by hand.
POINTS = {
    "test-mish": 1,
    "test-mish-slope": 1,
    "test-mish-slope-far": 1,
    "test-inspector-one-array": 2,
    "test-inspector-names-the-guilty": 2,
    "test-inspector-looks": 2,
    "test-doubting-loss": 2,
    "test-doubting-gradient": 3,
    "test-doubting-batch": 1,
    "test-doubting-the-impossible": 1,
    "test-block-scale": 1,
    "test-block-weights": 2,
    "test-block-input": 2,
    "test-network-last-layer": 1,
    "test-network-first-layer": 2,
    "test-network-awake": 2,
    "test-step-heavy-ball": 1,
    "test-step-nesterov": 2,
    "test-limit-heavy-ball": 1,
    "test-limit-nesterov": 2,
    "test-clip": 2,
    "test-clip-leaves-alone": 1,
    "test-adamw-corrections": 2,
    "test-adamw-epsilon": 1,
    "test-adamw-decay": 1,
    "test-adamw-spares": 1,
    "test-adamw-beside-keras": 1,
    "test-train-snapshots": 1,
    "test-train-loop": 1,
    "test-train-beats-averages": 1,
    "test-train-beats-cross-entropy": 1,
}

_MISH = """
def mish(z):
    return z * np.tanh(np.logaddexp(0, z))


def mish_slope(z):
    squashed = np.tanh(np.logaddexp(0, z))
    return {slope}
"""

_LOSS = """
def doubting_loss(logits, labels, q):
    of_label = softmax(logits)[np.arange(len(labels)), labels]
    return np.{mean}((1 - of_label**q) / q)


def doubting_gradient(logits, labels, q):
    rows = np.arange(len(labels))
    P = softmax(logits)
    trust = {trust}
    P[rows, labels] -= 1
    return trust * P / {divisor}
"""
_TRUST = "P[rows, labels][:, None] ** q"

_BLOCK = """
def block_backward(grad_H, A, W, b, scale):
    Z = A @ W + b
    grad_Z = {grad_Z}
    return {{"A": {grad_A}, "W": {grad_W}, "b": grad_Z.sum(axis=0), "scale": {grad_scale}}}
"""
_RIGHT_BLOCK = {
    "grad_Z": "grad_H * scale * mish_slope(Z)",
    "grad_A": "grad_H + grad_Z @ W.T",
    "grad_W": "A.T @ grad_Z",
    "grad_scale": "(grad_H * mish(Z)).sum(axis=0)",
}

_ADAMW = """
def adamw_step(
    parameters, gradients, state, learning_rate, weight_decay, beta_1=0.9, beta_2=0.999, epsilon=1e-7
):
    t = state["t"] + 1
    new, mean, square = {{}}, {{}}, {{}}
    for name, theta in parameters.items():
        decay = weight_decay * theta if {decays} else 0.0
        g = {g}
        mean[name] = beta_1 * state["mean"][name] + (1 - beta_1) * g
        square[name] = beta_2 * state["square"][name] + (1 - beta_2) * g**2
        m, s = mean[name]{correction_1}, square[name]{correction_2}
        new[name] = theta - learning_rate * m / {root} - {shrink}
    return new, {{"t": t, "mean": mean, "square": square}}
"""
_RIGHT_ADAMW = {
    "decays": "np.ndim(theta) == 2",
    "g": "gradients[name]",
    "correction_1": " / (1 - beta_1**t)",
    "correction_2": " / (1 - beta_2**t)",
    "root": "(np.sqrt(s) + epsilon)",
    "shrink": "learning_rate * decay",
}

_TRAIN = """
def train(
    parameters, X, labels, q, epochs, seed, batch_size=64, learning_rate=0.008, weight_decay=0.01, max_norm=1.0
):
    rng = np.random.default_rng(seed)
    {before}
    state, snapshots = fresh_state(parameters), [parameters]
    for _ in range(epochs):
        {each_epoch}
        order = rng.permutation(len(X))
        for first in range(0, {end}, batch_size):
            rows = order[first : first + batch_size]
            _, gradients = network_gradients(parameters, X[rows], labels[rows], q)
            gradients, _ = clip_by_global_norm(gradients, max_norm)
            stepped, state = adamw_step(parameters, gradients, state, learning_rate, weight_decay)
            {keep}
        snapshots.append(parameters)
    return snapshots
"""
_RIGHT_TRAIN = {"before": "pass", "each_epoch": "pass", "end": "len(X)", "keep": "parameters = stepped"}


# Two train, and one imports Keras.
SLOW = {"test-train-beats-averages", "test-train-beats-cross-entropy", "test-adamw-beside-keras"}

IN_SANDBOX = (
    "inspector: one-sided difference",
    "loss: gradient not divided by the batch",
    "block: bypass forgotten",
    "adamw: epsilon under the root",
)

CASES = {
    "slope: one of two paths": (
        {"mish-and-its-slope": _MISH.format(slope="squashed")},
        {
            "test-mish-slope": 0,
            "test-mish-slope-far": 0,
            "test-block-weights": 0,
            "test-block-input": 0,
            "test-network-first-layer": 0,
            "test-network-awake": 0,
        },
        "one of the two paths from z is missing",
    ),
    "slope: inner slope forgotten": (
        {"mish-and-its-slope": _MISH.format(slope="squashed + z * (1 - squashed**2)")},
        {
            "test-mish-slope": 0,
            "test-mish-slope-far": 0,
            "test-block-weights": 0,
            "test-block-input": 0,
            "test-network-first-layer": 0,
            "test-network-awake": 0,
        },
        "and so has s(z) inside it",
    ),
    "slope: closed form that overflows": (
        {
            "mish-and-its-slope": _MISH.format(
                slope="squashed + z * (1 - squashed**2) * np.exp(z) / (1 + np.exp(z))"
            )
        },
        {"test-mish-slope-far": 0},
        "inf or nan at z = 1000",
    ),
    "inspector: one-sided difference": (
        {
            "the-inspector": """
def inspect_gradients(loss, parameters, gradients, directions, h=1e-5):
    errors = {}
    for name, v in directions.items():
        ahead = {**parameters, name: parameters[name] + h * v}
        measured = (loss(ahead) - loss(parameters)) / h
        claimed = np.sum(gradients[name] * v)
        size = abs(claimed) + abs(measured)
        errors[name] = float(abs(claimed - measured) / size) if size > 0 else 0.0
    return errors
"""
        },
        {"test-inspector-one-array": 0},
        "a look to one side only",
    ),
    "inspector: all arrays move together": (
        {
            "the-inspector": """
def inspect_gradients(loss, parameters, gradients, directions, h=1e-5):
    ahead = {name: parameters[name] + h * v for name, v in directions.items()}
    behind = {name: parameters[name] - h * v for name, v in directions.items()}
    measured = (loss(ahead) - loss(behind)) / (2 * h)
    claimed = sum(np.sum(gradients[name] * v) for name, v in directions.items())
    size = abs(claimed) + abs(measured)
    return {name: float(abs(claimed - measured) / size) if size > 0 else 0.0 for name in directions}
"""
        },
        {"test-inspector-names-the-guilty": 0, "test-inspector-looks": 0},
        "Do several arrays move at once",
    ),
    "inspector: arrays are not put back": (
        {
            "the-inspector": """
def inspect_gradients(loss, parameters, gradients, directions, h=1e-5):
    errors = {}
    theta = dict(parameters)
    for name, v in directions.items():
        theta[name] = theta[name] + h * v
        above = loss(theta)
        theta[name] = theta[name] - 2 * h * v
        measured = (above - loss(theta)) / (2 * h)
        claimed = np.sum(gradients[name] * v)
        size = abs(claimed) + abs(measured)
        errors[name] = float(abs(claimed - measured) / size) if size > 0 else 0.0
    return errors
"""
        },
        {"test-inspector-looks": 0},
        "has to be back where it was",
    ),
    "loss: sum instead of mean, and a gradient to it": (
        {"the-doubting-loss": _LOSS.format(mean="sum", trust=_TRUST, divisor="1")},
        {"test-doubting-loss": 0, "test-doubting-batch": 0},
        "It should be their mean",
    ),
    "loss: gradient not divided by the batch": (
        {"the-doubting-loss": _LOSS.format(mean="mean", trust=_TRUST, divisor="1")},
        {"test-doubting-batch": 0},
        "The loss is a mean over the batch",
    ),
    "loss: gradient of the cross-entropy": (
        {"the-doubting-loss": _LOSS.format(mean="mean", trust="1.0", divisor="len(labels)")},
        {
            "test-doubting-gradient": 0,
            "test-doubting-the-impossible": 0,
            "test-train-beats-averages": 0,
            "test-train-beats-cross-entropy": 0,
        },
        "the gradient of the cross-entropy",
    ),
    "loss: slope of the softmax taken for P - Y": (
        {
            "the-doubting-loss": _LOSS.format(
                mean="mean", trust="P[rows, labels][:, None] ** (q - 1)", divisor="len(labels)"
            )
        },
        {
            "test-doubting-gradient": 0,
            "test-doubting-the-impossible": 0,
            "test-train-beats-averages": 0,
            "test-train-beats-cross-entropy": 0,
        },
        "one factor has got lost between them",
    ),
    "block: bypass forgotten": (
        {"block-backward": _BLOCK.format(**_RIGHT_BLOCK | {"grad_A": "grad_Z @ W.T"})},
        {"test-block-input": 0, "test-network-first-layer": 0, "test-network-awake": 0},
        "Only the path through the layer is there",
    ),
    "block: gradient of scale not summed over the batch": (
        {"block-backward": _BLOCK.format(**_RIGHT_BLOCK | {"grad_scale": "grad_H * mish(Z)"})},
        {
            "test-block-scale": 0,
            "test-network-awake": 0,
            "test-train-snapshots": 0,
            "test-train-loop": 0,
            "test-train-beats-averages": 0,
            "test-train-beats-cross-entropy": 0,
        },
        "one row per example",
    ),
    "block: slope at the activation": (
        {
            "block-backward": _BLOCK.format(
                **_RIGHT_BLOCK | {"grad_Z": "grad_H * scale * mish_slope(mish(Z))"}
            )
        },
        {"test-block-weights": 0, "test-block-input": 0, "test-network-awake": 0},
        "taken at the activation, after the bend",
    ),
    "block: transposed weight gradient": (
        {"block-backward": _BLOCK.format(**_RIGHT_BLOCK | {"grad_W": "grad_Z.T @ A"})},
        {"test-block-weights": 0, "test-network-awake": 0},
        "W is square here",
    ),
    "block: scale forgotten on the way back": (
        {"block-backward": _BLOCK.format(**_RIGHT_BLOCK | {"grad_Z": "grad_H * mish_slope(Z)"})},
        {
            "test-block-weights": 0,
            "test-block-input": 0,
            "test-network-first-layer": 0,
            "test-network-awake": 0,
        },
        "at full strength",
    ),
    "ravine: Nesterov's slope measured where the ball is": (
        {
            "one-step-as-a-matrix": """
def step_matrix(curvature, learning_rate, momentum, nesterov):
    pull = learning_rate * curvature
    return np.array([[1 - pull, momentum], [-pull, momentum]])
""",
            "the-limit": """
def rate_limit(curvatures, momentum, nesterov):
    low, high = 0.0, 5 / np.max(curvatures)
    for _ in range(60):
        middle = (low + high) / 2
        M = step_matrix(np.max(curvatures), middle, momentum, nesterov)
        low, high = (middle, high) if np.abs(np.linalg.eigvals(M)).max() < 1 else (low, middle)
    return low
""",
        },
        {"test-step-nesterov": 0, "test-limit-nesterov": 0},
        "Nesterov does not stand that much",
    ),
    "ravine: the limit of plain gradient descent": (
        {
            "the-limit": """
def rate_limit(curvatures, momentum, nesterov):
    return 2 / np.max(curvatures)
"""
        },
        {"test-limit-heavy-ball": 0, "test-limit-nesterov": 0},
        "the limit of plain gradient descent",
    ),
    "ravine: where the roots stop being complex": (
        {
            "the-limit": """
def rate_limit(curvatures, momentum, nesterov):
    if nesterov:
        return 2 * (1 + momentum) / (1 + 2 * momentum) / np.max(curvatures)
    return (1 + np.sqrt(momentum)) ** 2 / np.max(curvatures) if momentum else 2 / np.max(curvatures)
"""
        },
        {"test-limit-heavy-ball": 0},
        "the roots stop being complex",
    ),
    "clip: each array on its own": (
        {
            "clip-by-global-norm": """
def clip_by_global_norm(gradients, max_norm):
    norm = np.sqrt(sum(np.sum(g**2) for g in gradients.values()))
    lengths = {name: max(np.linalg.norm(g), 1e-12) for name, g in gradients.items()}
    return {name: g * min(1, max_norm / lengths[name]) for name, g in gradients.items()}, norm
"""
        },
        {"test-clip": 0, "test-adamw-beside-keras": 0},
        "Each array was clipped on its own",
    ),
    "clip: always scaled to the limit": (
        {
            "clip-by-global-norm": """
def clip_by_global_norm(gradients, max_norm):
    norm = np.sqrt(sum(np.sum(g**2) for g in gradients.values()))
    return {name: g * max_norm / norm for name, g in gradients.items()}, norm
"""
        },
        {"test-clip-leaves-alone": 0},
        "clipping only shortens",
    ),
    "adamw: no bias correction": (
        {"adamw-step": _ADAMW.format(**_RIGHT_ADAMW | {"correction_1": "", "correction_2": ""})},
        {"test-adamw-corrections": 0, "test-adamw-epsilon": 0, "test-adamw-beside-keras": 0},
        "neither running mean was corrected",
    ),
    "adamw: corrected for the first step in every step": (
        {
            "adamw-step": _ADAMW.format(
                **_RIGHT_ADAMW | {"correction_1": " / (1 - beta_1)", "correction_2": " / (1 - beta_2)"}
            )
        },
        {"test-adamw-corrections": 0, "test-adamw-beside-keras": 0},
        "know which step it is",
    ),
    "adamw: epsilon under the root": (
        {"adamw-step": _ADAMW.format(**_RIGHT_ADAMW | {"root": "np.sqrt(s + epsilon)"})},
        {"test-adamw-epsilon": 0},
        "under the root",
    ),
    "adamw: decay through the moments": (
        {"adamw-step": _ADAMW.format(**_RIGHT_ADAMW | {"g": "gradients[name] + decay", "shrink": "0.0"})},
        {"test-adamw-decay": 0, "test-adamw-beside-keras": 0, "test-train-beats-cross-entropy": 0},
        "The decay has entered the running mean",
    ),
    "adamw: biases decay as well": (
        {"adamw-step": _ADAMW.format(**_RIGHT_ADAMW | {"decays": "True"})},
        {"test-adamw-spares": 0, "test-adamw-beside-keras": 0},
        "only matrices should",
    ),
    "adamw: decay without the learning rate": (
        {"adamw-step": _ADAMW.format(**_RIGHT_ADAMW | {"shrink": "decay"})},
        {"test-adamw-decay": 0, "test-adamw-beside-keras": 0, "test-train-beats-cross-entropy": 0},
        "The learning rate scales it",
    ),
    "train: one dict, changed in place": (
        {
            "train-the-reader": _TRAIN.format(
                **_RIGHT_TRAIN
                | {
                    "before": "parameters = {name: array.copy() for name, array in parameters.items()}",
                    "keep": "parameters.update(stepped)",
                }
            )
        },
        {"test-train-snapshots": 0},
        "All snapshots hold the same numbers",
    ),
    "train: last batch left out": (
        {"train-the-reader": _TRAIN.format(**_RIGHT_TRAIN | {"end": "len(X) - batch_size + 1"})},
        {"test-train-loop": 0},
        "the last, smaller batch left out",
    ),
    "train: optimiser starts anew in every epoch": (
        {
            "train-the-reader": _TRAIN.format(
                **_RIGHT_TRAIN | {"each_epoch": "state = fresh_state(parameters)"}
            )
        },
        {"test-train-loop": 0},
        "starts anew in every epoch",
    ),
}
