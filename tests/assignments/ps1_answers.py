"""Wrong answers to problem set 1, what each of them earns, and what its author is told: plain data.

``CASES`` maps the name of a misconception to three things: the solution cells that it replaces (cell id -> source),
the points of the test cells that do not give their full points for it (cell id -> points), and a fragment of one
message.
"""

from __future__ import annotations

ASSIGNMENT = "ps1-perceptron-and-mlp"

# Points of the test cells; the text of Task 8 (6 points) is marked by hand.
POINTS = {
    "matches-shapes": 1,
    "matches-weights": 2,
    "matches-count": 2,
    "posterior-equal-priors": 3,
    "posterior-other-priors": 2,
    "posterior-many-dots": 2,
    "posterior-impossible-digits": 1,
    "decide-table": 2,
    "decide-symmetric": 2,
    "decide-asymmetric": 1,
    "keras-form": 1,
    "keras-equal-priors": 2,
    "keras-other-priors": 1,
    "parity-one-or-two": 2,
    "parity-more-wires": 2,
    "parity-small": 3,
    "parity-cost-lookup": 1,
    "parity-cost-small": 1,
    "step-weights": 2,
    "step-biases": 1,
    "step-right-answers": 1,
    "training-first-visit": 1,
    "training-average": 2,
    "training-cards": 1,
    "negatives-form": 1,
    "negatives-hidden": 2,
    "negatives-cards": 2,
}

_COUNT = "agreement = (X[:, None, :] == patterns).sum(axis=2)"

_COST_TABLE = """
def cost_table(classes, wrong, visit):
    return np.column_stack([wrong * (1.0 - np.eye(classes)), np.full(classes, float(visit))])
"""

_SMALL_PARITY = """
def parity_network(n):
    W2 = np.where(np.arange(n) % 2 == 0, 1.0, -1.0)[:, None]
    return [(np.ones((n, n)), 0.5 - np.arange(1, n + 1)), (W2, np.array([-0.5]))]
"""

_PARITY_COST = """
def parity_cost(n):
    return (n + 2) * 2 ** (n - 1) + 1, (n + 2) * n + 1
"""

_STEP = """
def multiclass_step(W, b, x, label):
    predicted = (x @ W + b).argmax()
    W, b = W.copy(), b.copy()
    if predicted != label:
        W[:, label] += x
        W[:, predicted] -= x
        b[label] += 1
        b[predicted] -= 1
    return W, b
"""

_TRAIN = """
def train_averaged(X, labels, classes, epochs):
    W, b = np.zeros((X.shape[1], classes)), np.zeros(classes)
    sum_W, sum_b = np.zeros_like(W), np.zeros_like(b)
    for _ in range(epochs):
        for x, label in zip(X, labels):
            W, b = multiclass_step(W, b, x, label)
            sum_W, sum_b = sum_W + W, sum_b + b
    return sum_W / (epochs * len(X)), sum_b / (epochs * len(X))
"""

SLOW: set[str] = set()  # tests that take a second or more

IN_SANDBOX = (
    "the softmax runs over the batch",
    "the model returns logits",
    "OR instead of parity",
    "the last weights instead of the average",
)

CASES: dict[str, tuple[dict[str, str], dict[str, float], str]] = {
    "only lit segments count": (
        {
            "template-layer": """
def template_layer(patterns):
    return 1.0 * patterns.T, np.zeros(len(patterns))
"""
        },
        {  # Tasks 2 and 4 build on it here; who counts there in another way loses nothing there
            "matches-weights": 0,
            "matches-count": 0,
            "posterior-equal-priors": 0,
            "posterior-other-priors": 0,
            "posterior-many-dots": 0,
            "keras-equal-priors": 0,
            "keras-other-priors": 0,
        },
        "changes the score of the 1 by 0. A 1 has that segment dark",
    ),
    "the biases of the templates are forgotten": (
        {
            "template-layer": """
def template_layer(patterns):
    return 2.0 * patterns.T - 1, np.zeros(len(patterns))
""",
            "posterior": f"""
def posterior(X, patterns, fault, prior):
    {_COUNT}
    with np.errstate(divide="ignore"):
        logits = np.log((1 - fault) / fault) * agreement + np.log(prior)
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)
""",
        },
        {"matches-count": 0, "keras-equal-priors": 0, "keras-other-priors": 0},
        "For a report of zeros the weights have no say",
    ),
    "the templates are turned round": (
        {
            "template-layer": """
def template_layer(patterns):
    return 2.0 * patterns - 1, (1.0 - patterns).sum(axis=1)
""",
            "posterior": f"""
def posterior(X, patterns, fault, prior):
    {_COUNT}
    with np.errstate(divide="ignore"):
        logits = np.log((1 - fault) / fault) * agreement + np.log(prior)
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)
""",
            "reader-model": """
def reader_model(patterns, fault, prior):
    strength = np.log((1 - fault) / fault)
    dense = keras.layers.Dense(len(patterns), activation="softmax")
    model = keras.Sequential([keras.Input((patterns.shape[1],)), dense])
    bias = strength * (1.0 - patterns).sum(axis=1) + np.log(prior)
    model.set_weights([strength * (2.0 * patterns.T - 1), bias])
    return model
""",
        },
        {"matches-shapes": 0, "matches-weights": 0, "matches-count": 0},
        "It looks turned round",
    ),
    "the layer is written down for the ten digits": (
        {
            "template-layer": """
def template_layer(patterns):
    return 2.0 * SEGMENTS.T - 1, (1.0 - SEGMENTS).sum(axis=1)
""",
            "posterior": f"""
def posterior(X, patterns, fault, prior):
    {_COUNT}
    with np.errstate(divide="ignore"):
        logits = np.log((1 - fault) / fault) * agreement + np.log(prior)
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)
""",
            "reader-model": """
def reader_model(patterns, fault, prior):
    strength = np.log((1 - fault) / fault)
    dense = keras.layers.Dense(len(patterns), activation="softmax")
    model = keras.Sequential([keras.Input((patterns.shape[1],)), dense])
    bias = strength * (1.0 - patterns).sum(axis=1) + np.log(prior)
    model.set_weights([strength * (2.0 * patterns.T - 1), bias])
    return model
""",
        },
        {"matches-count": 0},
        "has to be built from the patterns that it is given",
    ),
    "the softmax runs over the batch": (
        {
            "posterior": f"""
def posterior(X, patterns, fault, prior):
    {_COUNT}
    with np.errstate(divide="ignore", invalid="ignore"):
        logits = np.log((1 - fault) / fault) * agreement + np.log(prior)
        exponentials = np.exp(logits - logits.max(axis=0, keepdims=True))
        return exponentials / exponentials.sum(axis=0, keepdims=True)
"""
        },
        {
            "posterior-equal-priors": 0,
            "posterior-other-priors": 0,
            "posterior-many-dots": 0,
            "posterior-impossible-digits": 0,
        },
        "it is the ten digits of one report that share the probability 1",
    ),
    "the prior is ignored": (
        {
            "posterior": f"""
def posterior(X, patterns, fault, prior):
    {_COUNT}
    logits = np.log((1 - fault) / fault) * agreement
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)
"""
        },
        {"posterior-other-priors": 0, "posterior-impossible-digits": 0},
        "the prior had no effect",
    ),
    "the prior is added to the logits without its logarithm": (
        {
            "posterior": f"""
def posterior(X, patterns, fault, prior):
    {_COUNT}
    logits = np.log((1 - fault) / fault) * agreement + prior
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)
"""
        },
        {"posterior-other-priors": 0, "posterior-impossible-digits": 0},
        "logits add up in another currency",
    ),
    "the counts go into the softmax as they are": (
        {
            "posterior": f"""
def posterior(X, patterns, fault, prior):
    {_COUNT}
    with np.errstate(divide="ignore"):
        logits = agreement + np.log(prior)
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)
"""
        },
        {"posterior-equal-priors": 0, "posterior-other-priors": 0, "posterior-many-dots": 0},
        "the fault rate had no say",
    ),
    "the exponential overflows": (
        {
            "posterior": f"""
def posterior(X, patterns, fault, prior):
    {_COUNT}
    with np.errstate(all="ignore"):
        exponentials = np.exp(np.log((1 - fault) / fault) * agreement + np.log(prior))
        return exponentials / exponentials.sum(axis=1, keepdims=True)
"""
        },
        {"posterior-many-dots": 0},
        "of your probabilities are nan or infinite",
    ),
    "the products are computed as they stand on paper": (
        {
            "posterior": """
def posterior(X, patterns, fault, prior):
    factors = np.where(X[:, None, :] == patterns, 1 - fault, fault)
    joint = prior * factors.prod(axis=2)
    with np.errstate(all="ignore"):
        return joint / joint.sum(axis=1, keepdims=True)
"""
        },
        {"posterior-many-dots": 0},
        "a product of thousands of factors became 0",
    ),
    "the most probable digit instead of the cheapest action": (
        {
            "decide": _COST_TABLE
            + """

def cheapest(P, cost):
    return P.argmax(axis=1)
"""
        },
        {"decide-symmetric": 0, "decide-asymmetric": 0},
        "is it also the cheapest answer?",
    ),
    "rows and columns of the costs exchanged": (
        {
            "decide": _COST_TABLE
            + """

def cheapest(P, cost):
    return (P @ cost.T).argmin(axis=1)
"""
        },
        {"decide-asymmetric": 0},
        "With the roles of rows and columns exchanged",
    ),
    "no column for the visit": (
        {
            "decide": """
def cost_table(classes, wrong, visit):
    return wrong * (1.0 - np.eye(classes))


def cheapest(P, cost):
    return (P @ cost).argmin(axis=1)
"""
        },
        {"decide-table": 0},
        "has no column for the visit",
    ),
    "the model returns logits": (
        {
            "reader-model": """
def reader_model(patterns, fault, prior):
    W, b = template_layer(patterns)
    strength = np.log((1 - fault) / fault)
    model = keras.Sequential([keras.Input((patterns.shape[1],)), keras.layers.Dense(len(patterns))])
    model.set_weights([strength * W, strength * b + np.log(prior)])
    return model
"""
        },
        {"keras-equal-priors": 0, "keras-other-priors": 0},
        "The software asked for probabilities",
    ),
    "the model knows no prior": (
        {
            "reader-model": """
def reader_model(patterns, fault, prior):
    W, b = template_layer(patterns)
    strength = np.log((1 - fault) / fault)
    dense = keras.layers.Dense(len(patterns), activation="softmax")
    model = keras.Sequential([keras.Input((patterns.shape[1],)), dense])
    model.set_weights([strength * W, strength * b])
    return model
"""
        },
        {"keras-other-priors": 0},
        "should come out of your model",
    ),
    "parity by a lookup network": (
        {
            "parity": """
def parity_network(n):
    X = all_patterns(n)
    odd = X[X.sum(axis=1) % 2 == 1]
    hidden = 2.0 * odd.T - 1, 0.5 - odd.sum(axis=1)
    return [hidden, (np.ones((len(odd), 1)), np.array([-0.5]))]
"""
            + _PARITY_COST
        },
        {"parity-small": 0},
        "do they need units of their own?",
    ),
    "the network of the lesson, for two wires only": (
        {
            "parity": """
def parity_network(n):
    hidden = np.ones((n, 2)), np.array([-0.5, -1.5])
    return [hidden, (np.array([[1.0], [-1.0]]), np.array([-0.5]))]
"""
            + _PARITY_COST
        },
        {"parity-more-wires": 0, "parity-small": 0},
        "with this many wires on: 3",
    ),
    "thresholds on whole numbers": (
        {
            "parity": """
def parity_network(n):
    W2 = np.where(np.arange(n) % 2 == 0, 1.0, -1.0)[:, None]
    return [(np.ones((n, n)), -1.0 * np.arange(1, n + 1)), (W2, np.array([-0.5]))]
"""
            + _PARITY_COST
        },
        {"parity-one-or-two": 0, "parity-more-wires": 0, "parity-small": 0},
        "Some hidden scores are exactly 0",
    ),
    "OR instead of parity": (
        {
            "parity": """
def parity_network(n):
    return [(np.ones((n, 1)), np.array([-0.5])), (np.ones((1, 1)), np.array([-0.5]))]
"""
            + _PARITY_COST
        },
        {"parity-one-or-two": 0, "parity-more-wires": 0, "parity-small": 0},
        "computes OR",
    ),
    "biases are not counted": (
        {
            "parity": _SMALL_PARITY
            + """

def parity_cost(n):
    return (n + 1) * 2 ** (n - 1), (n + 1) * n
"""
        },
        {"parity-cost-lookup": 0, "parity-cost-small": 0},
        "the biases are missing",
    ),
    "a lookup unit for every pattern": (
        {
            "parity": _SMALL_PARITY
            + """

def parity_cost(n):
    return (n + 2) * 2**n + 1, (n + 2) * n + 1
"""
        },
        {"parity-cost-lookup": 0},
        "only the odd ones need one",
    ),
    "the costs are known from the worked values only": (
        {
            "parity": _SMALL_PARITY
            + """

def parity_cost(n):
    return {2: (9, 9), 3: (21, 16)}.get(n, (0, 0))
"""
        },
        {"parity-cost-lookup": 0, "parity-cost-small": 0},
        "For another number of wires",
    ),
    "only the right class moves": (
        {
            "learn-the-cards": """
def multiclass_step(W, b, x, label):
    W, b = W.copy(), b.copy()
    if (x @ W + b).argmax() != label:
        W[:, label] += x
        b[label] += 1
    return W, b
"""
            + _TRAIN
        },
        {"step-weights": 0, "step-biases": 0},
        "Two units took part in the mistake",
    ),
    "right answers move the weights, too": (
        {
            "learn-the-cards": """
def multiclass_step(W, b, x, label):
    scores = x @ W + b
    scores[label] = -np.inf
    rival = scores.argmax()
    W, b = W.copy(), b.copy()
    W[:, label] += x
    W[:, rival] -= x
    b[label] += 1
    b[rival] -= 1
    return W, b
"""
            + _TRAIN
        },
        {"step-right-answers": 0, "training-cards": 0},
        "The prediction was right",
    ),
    "the biases do not learn": (
        {
            "learn-the-cards": _STEP.replace("b[label] += 1", "pass").replace("b[predicted] -= 1", "pass")
            + _TRAIN
        },
        {"step-biases": 0},
        "They learn as well",
    ),
    "the last weights instead of the average": (
        {
            "learn-the-cards": _STEP
            + """

def train_averaged(X, labels, classes, epochs):
    W, b = np.zeros((X.shape[1], classes)), np.zeros(classes)
    for _ in range(epochs):
        for x, label in zip(X, labels):
            W, b = multiclass_step(W, b, x, label)
    return W, b
"""
        },
        {"training-average": 0},
        "returns the last weights",
    ),
    "the sum instead of the average": (
        {"learn-the-cards": _STEP + _TRAIN.replace(" / (epochs * len(X))", "")},
        {"training-average": 0},
        "not their average",
    ),
    "weights are counted after mistakes only": (
        {
            "learn-the-cards": _STEP
            + """

def train_averaged(X, labels, classes, epochs):
    W, b = np.zeros((X.shape[1], classes)), np.zeros(classes)
    sum_W, sum_b, mistakes = np.zeros_like(W), np.zeros_like(b), 0
    for _ in range(epochs):
        for x, label in zip(X, labels):
            if (x @ W + b).argmax() != label:
                W, b = multiclass_step(W, b, x, label)
                sum_W, sum_b, mistakes = sum_W + W, sum_b + b, mistakes + 1
    return sum_W / max(mistakes, 1), sum_b / max(mistakes, 1)
"""
        },
        {"training-average": 0},
        "after mistakes only",
    ),
    "weights are counted before the step": (
        {
            "learn-the-cards": _STEP
            + """

def train_averaged(X, labels, classes, epochs):
    W, b = np.zeros((X.shape[1], classes)), np.zeros(classes)
    sum_W, sum_b = np.zeros_like(W), np.zeros_like(b)
    for _ in range(epochs):
        for x, label in zip(X, labels):
            sum_W, sum_b = sum_W + W, sum_b + b
            W, b = multiclass_step(W, b, x, label)
    return sum_W / (epochs * len(X)), sum_b / (epochs * len(X))
"""
        },
        {"training-first-visit": 0, "training-average": 0},
        "before the step, not after it",
    ),
    "the hidden layer does not bend": (
        {
            "hidden-layer": """
def train_reader(X, labels, W1, b1, epochs):
    return [(W1, b1), train_averaged(X @ W1 + b1, labels, int(labels.max()) + 1, epochs)]
"""
        },
        {"negatives-hidden": 0, "negatives-cards": 0},
        "no hidden unit fires",
    ),
    "the output layer never saw the hidden layer": (
        {
            "hidden-layer": """
def train_reader(X, labels, W1, b1, epochs):
    return [(W1, b1), train_averaged(X, labels, int(labels.max()) + 1, epochs)]
"""
        },
        {"negatives-form": 0, "negatives-hidden": 0, "negatives-cards": 0},
        "past the hidden layer",
    ),
}
