"""Checks of lesson 05: a Gaussian's surprise, cross-entropy with padding, logistic regression, counts."""

from __future__ import annotations

from typing import Any

import numpy as np

from course_utils.checks._engine import NotYet, as_array, call, close, exercise, expect, several

Array = np.ndarray


def _sigmoid(z: Array) -> Array:
    return 0.5 * (1 + np.tanh(z / 2))


# ---------------------------------------------------------------------------- a Gaussian's surprise


def _gaussian_nll_solution(targets, predictions, s):
    surprise = (targets - predictions) ** 2 / (2 * s**2) + np.log(s) + 0.5 * np.log(2 * np.pi)
    return surprise.mean()


@exercise(
    "probability_and_losses.likelihood",
    solution=_gaussian_nll_solution,
    hints=[
        "Start from the density of one target, take the logarithm of each of its factors, and turn the sign.",
        "Three terms remain for each target: one with the squared error, one with log s, one constant.",
        "Compute the three terms as an array over the examples, with s**2 in the denominator of the first, "
        "and return the mean of their sum.",
    ],
)
def gaussian_nll(answer: Any) -> None:
    """Mean negative log-likelihood under Gaussian noise."""
    rng = np.random.default_rng(3)
    y, y_hat = rng.normal(size=7), rng.normal(size=7)
    for s, label in (
        (2.5, "with s = 2.5"),
        (0.4, "with s = 0.4"),
        (np.linspace(0.5, 3, 7), "with one s each"),
    ):
        got = as_array(call(answer, y.copy(), y_hat.copy(), s), f"The result {label}")
        expect(
            got.shape == (),
            f"The result {label} has shape {got.shape}; the mean over the examples is one number.",
        )
        error, log_s, constant = (y - y_hat) ** 2, np.log(s), 0.5 * np.log(2 * np.pi)
        terms = error / (2 * s**2) + log_s + constant
        right = terms.mean()
        if np.isclose(got, right, rtol=1e-6):
            continue
        known = {
            "This is the log-likelihood itself. The minus sign is missing.": -right,
            "This is the sum over the examples; the exercise asks for the mean.": terms.sum(),
            "The term log s is missing. It comes from the factor 1/s of the density, and without it a "
            "larger s would always look better.": (terms - log_s).mean(),
            "The constant ½ log 2π is missing. It does not move the minimum, but the exercise asks for every "
            "term.": (terms - constant).mean(),
            "The squared error is divided by s² only; the exponent has 2s².": (
                error / s**2 + log_s + constant
            ).mean(),
            "The squared error is divided by 2s; the exponent has 2s², because s is the standard deviation.": (
                error / (2 * s) + log_s + constant
            ).mean(),
            "s was taken for the variance. It is the standard deviation; the variance is s².": (
                error / (2 * s) + log_s / 2 + constant
            ).mean(),
            "This is the mean squared error alone.": error.mean(),
            "Here log s² was added where log s belongs.": (terms + log_s).mean(),
            "This is the density, averaged. The logarithm is missing.": np.exp(-terms).mean(),
        }
        for message, value in known.items():
            if np.isclose(got, value, rtol=1e-6):
                raise NotYet(f"The result {label} is {float(got):.4g}. {message}")
        close(got, right, f"The result {label}")


# ---------------------------------------------------------------------------- cross-entropy with padding


def _padded_cross_entropy_solution(labels, logits):
    shifted = logits - logits.max(axis=1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    rows = np.flatnonzero(labels >= 0)  # the examples that count
    gradient = np.zeros(logits.shape)
    gradient[rows] = np.exp(log_p[rows])
    gradient[rows, labels[rows]] -= 1
    return -log_p[rows, labels[rows]].mean(), gradient / len(rows)


def _log_softmax(logits: Array, axis: int = 1) -> Array:
    shifted = logits - logits.max(axis=axis, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=axis, keepdims=True))


@exercise(
    "probability_and_losses.stable",
    solution=_padded_cross_entropy_solution,
    hints=[
        "Without padding it is the lesson's cross_entropy. Which of its rows count, and how many are they?",
        "rows = np.flatnonzero(labels >= 0) gives the rows that count. The loss is the mean over these rows; "
        "the gradient is p - y in these rows, divided by len(rows), and zero in the others.",
        "Compute log_p = z - max - log(sum(exp(z - max))) for all rows, never log(softmax). Start the gradient "
        "as np.zeros(logits.shape), put np.exp(log_p[rows]) in and subtract 1 at [rows, labels[rows]].",
    ],
)
def padded_cross_entropy(answer: Any) -> None:
    """Stable cross-entropy of a padded batch, with its gradient."""
    rng = np.random.default_rng(8)
    logits = rng.normal(0, 2, (9, 5))
    full = rng.integers(0, 4, 9)  # class 4, the last one, never occurs: label -1 would select it
    padded = np.where(np.arange(9) % 3 == 1, -1, full)
    for labels, label in ((full, "without padding"), (padded, "with three padded examples of nine")):
        value = call(answer, labels.copy(), logits.copy())
        loss, gradient = several(value, "the loss", "the gradient")
        loss = as_array(loss, f"The loss {label}")
        expect(loss.shape == (), f"The loss {label} has shape {loss.shape}; the mean is one number.")
        gradient = as_array(gradient, f"The gradient {label}", shape=(9, 5))
        counted = labels >= 0
        n, rows = counted.sum(), np.flatnonzero(counted)
        log_p = _log_softmax(logits)
        losses = -log_p[np.arange(9), labels]
        right = losses[rows].mean()
        if not np.isclose(loss, right, rtol=1e-6):
            seen = f"The loss {label} is {float(loss):.4g}."
            known = {
                "It is the sum over the examples, not their mean.": losses[rows].sum(),
                "Its sign is wrong: −log p is positive.": -right,
                "The padded examples were counted: label −1 means the last column to NumPy, which is then "
                "taken for the true class.": losses.mean(),
                f"The sum over the {n} examples that count was divided by all 9. Padding must not make the "
                "loss smaller.": losses[rows].sum() / 9,
                "It was computed from a softmax over axis 0, the batch; the classes of one example are axis "
                "1.": -_log_softmax(logits, axis=0)[rows, labels[rows]].mean(),
            }
            for message, wrong in known.items():
                if np.isclose(loss, wrong, rtol=1e-6):
                    raise NotYet(f"{seen} {message}")
            raise NotYet(f"{seen} It should be {right:.4g}.")
        one_hot = np.zeros((9, 5))
        one_hot[rows, labels[rows]] = 1
        p = np.exp(log_p)
        wanted = np.where(counted[:, None], p - one_hot, 0) / n
        if np.allclose(gradient, wanted, rtol=1e-5, atol=1e-8):
            continue
        if not counted.all() and not np.allclose(gradient[~counted], 0, atol=1e-9):
            raise NotYet(
                f"The gradient {label} is not zero in a padded row. A row that does not count in the loss "
                "does not change it, whatever its logits."
            )
        for message, wrong in {
            "It is p − y without the division by the number of examples that count.": wanted * n,
            "It is divided by all 9 examples; the mean was taken over fewer.": wanted * n / 9,
            "Its sign is turned: the gradient is p − y, which is negative at the true class.": -wanted,
            "It is the softmax alone; 1 has to be subtracted at the true class.": (
                np.where(counted[:, None], p, 0) / n
            ),
        }.items():
            if np.allclose(gradient, wrong, rtol=1e-5, atol=1e-8):
                raise NotYet(f"The loss {label} is right, the gradient is not. {message}")
        close(gradient, wanted, f"The gradient {label}", rtol=1e-5, atol=1e-8)

    large = np.array([[3000.0, 0.0, -3000.0], [0.0, 1.0, 2.0]])
    with np.errstate(all="ignore"):
        loss, gradient = several(call(answer, np.array([2, -1]), large), "the loss", "the gradient")
    loss = as_array(loss, "The loss for logits of 3000", shape=())
    gradient = as_array(gradient, "The gradient for logits of 3000", shape=(2, 3))
    expect(
        np.isfinite(loss) and np.isfinite(gradient).all(),
        f"For logits of 3000 the loss is {float(loss):g}; it should be 6000. Take the logarithm on paper: the "
        "logit minus log-sum-exp. Subtracting the largest logit inside the softmax is not enough, since small "
        "probabilities still become 0 before the logarithm.",
    )
    close(loss, 6000.0, "The loss for logits of 3000")
    close(gradient, [[1, 0, -1], [0, 0, 0]], "The gradient for logits of 3000", atol=1e-6)


# ---------------------------------------------------------------------------- logistic regression


def _logistic_gradient_solution(X, labels, w, b):
    z = X @ w + b  # (m,)
    p = 0.5 * (1 + np.tanh(z / 2))  # the sigmoid, without overflow
    grad_z = (p - labels) / len(labels)
    return X.T @ grad_z, grad_z.sum()


@exercise(
    "probability_and_losses.gradients",
    solution=_logistic_gradient_solution,
    hints=[
        "First the gradient with respect to the scores z, shape (m,). The lesson derived it for one example; "
        "the loss is a mean.",
        "grad_z = (sigmoid(z) - labels) / m. A change of w[j] changes the score of example i by X[i, j] times "
        "it; a change of b changes all scores alike.",
        "grad_w collects X[i, j] * grad_z[i] over the examples: a product with X.T. grad_b is the sum of "
        "grad_z. For the sigmoid use a form that cannot overflow, such as the one with np.tanh.",
    ],
)
def logistic_gradient(answer: Any) -> None:
    """Gradient of logistic regression for a batch."""
    rng = np.random.default_rng(12)
    X, w, b = rng.normal(0, 1, (11, 4)), rng.normal(0, 1, 4), 0.7
    labels = rng.integers(0, 2, 11)
    value = call(answer, X.copy(), labels.copy(), w.copy(), b)
    grad_w, grad_b = several(value, "grad_w", "grad_b")
    grad_w = as_array(grad_w, "grad_w")
    expect(
        grad_w.shape == (4,),
        f"grad_w has shape {grad_w.shape}; it should have the shape of w, (4,).",
    )
    grad_b = as_array(grad_b, "grad_b")
    expect(grad_b.shape == (), f"grad_b has shape {grad_b.shape}; b is one number, and so is its gradient.")
    z = X @ w + b
    p = _sigmoid(z)
    right_w, right_b = X.T @ (p - labels) / 11, (p - labels).mean()

    def same(a: Array, c: Array) -> bool:
        return np.allclose(grad_w, a, rtol=1e-5, atol=1e-8) and np.allclose(grad_b, c, rtol=1e-5, atol=1e-8)

    if not same(right_w, right_b):
        squared = (p - labels) * p * (1 - p)
        without_bias = _sigmoid(X @ w) - labels
        score_error = z - labels
        known = [
            (right_w * 11, right_b * 11, "It is the sum over the examples; the gradient of the mean is m times "
             "smaller."),
            (-right_w, -right_b, "The sign is turned: it is sigmoid(z) minus label. Steps go against the gradient, "
             "so this one would raise the loss."),
            (X.T @ squared / 11, squared.mean(), "There is an extra factor p(1 − p). It belongs to squared error; for "
             "cross-entropy it cancels."),
            (X.T @ score_error / 11, score_error.mean(), "The sigmoid is missing: the score z itself was compared "
             "with the label."),
            (X.T @ without_bias / 11, without_bias.mean(), "b had no effect on the scores: z = X @ w + b."),
        ]  # fmt: skip
        for wrong_w, wrong_b, message in known:
            if same(wrong_w, wrong_b):
                raise NotYet(f"grad_w[0] is {grad_w[0]:.4g}, not {right_w[0]:.4g}. {message}")
        if np.allclose(grad_w, right_w, rtol=1e-5, atol=1e-8):
            raise NotYet(
                f"grad_w is right. grad_b is {float(grad_b):.4g} and should be {right_b:.4g}: b is added to every "
                "score with factor 1, so its gradient is the mean of sigmoid(z) − label."
            )
        close(grad_w, right_w, "grad_w")
        close(grad_b, right_b, "grad_b")
    big = np.array([[3000.0], [-3000.0]])
    with np.errstate(over="raise", invalid="raise"):
        try:
            grad_w, _ = several(call(answer, big, np.array([0, 0]), np.array([1.0]), 0.0), "grad_w", "grad_b")
        except FloatingPointError:
            raise NotYet(
                "For scores of 3000 the exponential overflowed. 1 / (1 + exp(−z)) does so for large negative z; "
                "0.5 * (1 + tanh(z / 2)) is the same function and does not."
            ) from None
    close(grad_w, [1500.0], "grad_w for scores of 3000")


# ---------------------------------------------------------------------------- counts


def _poisson_loss_solution(counts, log_rates):
    # -log p = rate - y log(rate) + log(y!); the last term has no z
    rates = np.exp(log_rates)
    return np.mean(rates - counts * log_rates), (rates - counts) / len(counts)


@exercise(
    "probability_and_losses.likelihood",
    solution=_poisson_loss_solution,
    hints=[
        "Take −log of each factor of λ^y · e^(−λ) / y! and write λ as e^z everywhere. Which term has no z?",
        "Two terms are left for each example: e^z and −y z. Differentiate them with respect to z.",
        "The slope of one example is e^z − y, again prediction minus target. Loss and gradient are those of the "
        "mean, so the gradient is divided by the number of examples.",
    ],
)
def poisson_loss(answer: Any) -> None:
    """A loss for counts, derived from the Poisson distribution."""
    rng = np.random.default_rng(2)
    z = rng.normal(0.5, 0.8, 8)
    y = np.array([0, 1, 3, 2, 7, 0, 4, 1])
    loss, gradient = several(call(answer, y.copy(), z.copy()), "the loss", "the gradient")
    loss = as_array(loss, "The loss")
    expect(loss.shape == (), f"The loss has shape {loss.shape}; the mean over the examples is one number.")
    gradient = as_array(gradient, "The gradient", shape=(8,))
    rates = np.exp(z)
    terms = rates - y * z
    log_factorial = np.array([np.log(np.arange(1, n + 1)).sum() for n in y])
    if not np.isclose(loss, terms.mean(), rtol=1e-6):
        seen = f"The loss is {float(loss):.4g}, not {terms.mean():.4g}."
        with np.errstate(all="ignore"):
            known = {
                "It is the sum over the examples, not their mean.": terms.sum(),
                "Its sign is turned: this is the log-likelihood, without the minus.": -terms.mean(),
                "The term log y! is still there. It has no z in it and is to be dropped.": (
                    terms + log_factorial
                ).mean(),
                "The log-rates were taken for rates: the rate is λ = e^z.": np.mean(
                    z - y * np.log(np.abs(z))
                ),
                "The term e^z, which comes from the factor e^(−λ), is missing. Without it a larger rate would "
                "always be better.": np.mean(-y * z),
                "This is the mean squared error of the rates, that is, Gaussian noise.": np.mean(
                    (rates - y) ** 2
                ),
                "λ was multiplied with y, where log λ = z belongs.": np.mean(rates - y * rates),
            }
        for message, wrong in known.items():
            if np.isclose(loss, wrong, rtol=1e-6):
                raise NotYet(f"{seen} {message}")
        raise NotYet(f"{seen} Take −log of each factor of the distribution, with λ = e^z.")
    wanted = (rates - y) / 8
    if not np.allclose(gradient, wanted, rtol=1e-5, atol=1e-8):
        for message, wrong in {
            "It is e^z − y without the division by the number of examples; the loss is a mean.": wanted * 8,
            "Its sign is turned.": -wanted,
            "It is the slope with respect to λ, 1 − y/λ. The network outputs z = log λ, so multiply by the "
            "slope of e^z.": (1 - y / rates) / 8,
            "It compares the log-rate with the count; the prediction is the rate e^z.": (z - y) / 8,
        }.items():
            if np.allclose(gradient, wrong, rtol=1e-5, atol=1e-8):
                raise NotYet(f"The loss is right, the gradient is not. {message}")
        close(gradient, wanted, "The gradient")
