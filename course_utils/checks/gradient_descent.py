"""Checks of lesson 09: the stable learning rate, Nesterov's look-ahead, Adam, and power iteration."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from course_utils.checks._engine import NotYet, as_array, call, close, exercise, expect, several

Array = np.ndarray


def _random_hessian(eigenvalues: Array, seed: int) -> Array:
    """A symmetric matrix with these eigenvalues and random eigen-directions."""
    size = len(eigenvalues)
    Q, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(size, size)))
    H = (Q * eigenvalues) @ Q.T
    return (H + H.T) / 2


# ---------------------------------------------------------------------------- the stable rate


def _largest_stable_rate_solution(H):
    return 2 / np.linalg.eigvalsh(H).max()  # eigvalsh: the eigenvalues of a symmetric matrix


@exercise(
    "gradient_descent.step",
    solution=_largest_stable_rate_solution,
    hints=[
        "By which factor does one step multiply the error along an eigen-direction with eigenvalue λ? When "
        "is the absolute value of that factor below 1?",
        "Of all the conditions η < 2/λ, one for each eigenvalue, the strictest decides.",
        "np.linalg.eigvalsh(H) returns the eigenvalues of a symmetric matrix in ascending order.",
    ],
)
def largest_stable_rate(answer: Any) -> None:
    """The largest stable learning rate of a quadratic."""
    cases = [
        ("a 5 by 5 matrix", _random_hessian(np.array([0.2, 0.9, 1.5, 3.0, 7.0]), 4)),
        ("a 2 by 2 matrix with eigenvalues 1 and 20", _random_hessian(np.array([1.0, 20.0]), 3)),
        ("np.diag([1, 4])", np.diag([1.0, 4.0])),
    ]
    for label, H in cases:
        eigenvalues = np.linalg.eigvalsh(H)
        low, high = eigenvalues[0], eigenvalues[-1]
        got = float(as_array(call(answer, H.copy()), f"The rate for {label}", shape=()))
        right = 2 / high
        if np.isclose(got, right, rtol=1e-5):
            continue
        seen = f"For {label} you return {got:.4g}"
        named = [
            (1 / high, "1/λ of the steepest direction. That rate reaches the minimum along this direction in "
             "one step; beyond it the path zigzags, but it converges up to twice that."),
            (2 / low, "2/λ of the flattest direction. The steepest one diverges long before."),
            (2 / (low + high), "the rate that converges fastest, 2/(λmin + λmax). A larger one is still stable."),
            (2 / np.trace(H), "2 divided by the trace, the sum of all eigenvalues. That is safe and too "
             "cautious: directions do not add up."),
            (2 / np.diag(H).max(), "2 divided by the largest diagonal entry. Curvature along the axes is not "
             "the largest curvature when H is not diagonal; the eigenvalues are needed."),
            (high / 2, "λmax/2. Turn it over: the steeper, the smaller the rate."),
            (2 / np.linalg.norm(H), "2 divided by the root of the sum of squares of all entries, which is "
             "larger than λmax."),
        ]  # fmt: skip
        for value, meaning in named:
            if np.isclose(got, value, rtol=1e-5):
                raise NotYet(f"{seen}, which is {meaning}")
        worst = np.abs(1 - got * eigenvalues).max()
        verdict = "which grows" if worst > 1 else "which still shrinks, so there is room"
        raise NotYet(
            f"{seen}. At that rate the worst direction is multiplied by {worst:.3g} per step, {verdict}."
        )


# ---------------------------------------------------------------------------- Nesterov


def _nesterov_step_solution(theta, velocity, gradient, learning_rate, momentum):
    look_ahead = theta + momentum * velocity  # where the velocity alone would carry us
    new_velocity = momentum * velocity - learning_rate * gradient(look_ahead)
    return theta + new_velocity, new_velocity


@exercise(
    "gradient_descent.momentum",
    solution=_nesterov_step_solution,
    hints=[
        "Two lines of mathematics, two lines of code. At which point does Nesterov measure the gradient?",
        "The point is theta + momentum * velocity, with the old velocity. Momentum would measure at theta.",
        "With g the gradient there, the new velocity is momentum * velocity - learning_rate * g; theta moves "
        "by it from where theta is, not from the look-ahead point.",
    ],
)
def nesterov_step(answer: Any) -> None:
    """One step of Nesterov's method in the textbook form."""
    rng = np.random.default_rng(5)
    H = _random_hessian(np.array([0.5, 2.0, 5.0]), 6)

    def gradient(point: Array) -> Array:
        point = np.asarray(point, dtype=float)
        return H @ point + 0.3 * point**3

    for rate, beta in ((0.1, 0.9), (0.05, 0.5)):
        theta, velocity = rng.normal(size=3), rng.normal(size=3)
        given = theta.copy(), velocity.copy()
        value = call(answer, theta, velocity, gradient, rate, beta)
        expect(
            np.array_equal(theta, given[0]) and np.array_equal(velocity, given[1]),
            "Your function changed the arrays that it was given. Return new ones: `velocity *= ...` works in "
            "place, `velocity = ...` does not.",
        )
        new_theta, new_velocity = several(value, "theta", "velocity")
        got_theta = as_array(new_theta, "The new theta", shape=(3,))
        got_velocity = as_array(new_velocity, "The new velocity", shape=(3,))

        def velocity_at(point: Array, v: Array = velocity, b: float = beta, r: float = rate) -> Array:
            return b * v - r * gradient(point)

        ahead = theta + beta * velocity
        right = velocity_at(ahead)
        wrong_velocities = [
            (velocity_at(theta), "The gradient was measured at theta. That is the heavy ball; Nesterov measures "
             "it at theta + momentum * velocity."),
            (velocity_at(theta - beta * velocity), "The look-ahead went backwards: the velocity is added to "
             "theta, so the point ahead is theta + momentum * velocity."),
            (velocity_at(theta + velocity), "The look-ahead point was theta + velocity. The velocity is damped "
             "first: theta + momentum * velocity."),
            (velocity - rate * gradient(ahead), "The old velocity was not damped by momentum."),
            (beta * velocity + rate * gradient(ahead), "The gradient was added; the step goes against it."),
            (beta * velocity - gradient(ahead), "The learning rate has no effect on the new velocity."),
            (beta * velocity - (1 - beta) * rate * gradient(ahead), "The gradient was weighted with "
             "(1 - momentum). That is Adam's running mean; here it enters with the full learning rate."),
        ]  # fmt: skip
        if not np.allclose(got_velocity, right, rtol=1e-6, atol=1e-9):
            if np.allclose(got_velocity, theta + right) and np.allclose(got_theta, right):
                raise NotYet("The two results are in the wrong order: theta first, then the velocity.")
            for candidate, message in wrong_velocities:
                if np.allclose(got_velocity, candidate, rtol=1e-6, atol=1e-9):
                    raise NotYet(message)
        close(got_velocity, right, "The new velocity", rtol=1e-6, atol=1e-9)
        if np.allclose(got_theta, ahead + right):
            raise NotYet(
                "theta moved from the look-ahead point. That point is only where the gradient is measured; "
                "the step starts at theta."
            )
        if np.allclose(got_theta, theta + beta * right - rate * gradient(ahead)):
            raise NotYet(
                "This is the last line of the class `Nesterov`, which stores the look-ahead point. Here theta "
                "is the parameter itself: theta + the new velocity."
            )
        if np.allclose(got_theta, theta - right):
            raise NotYet("theta moved against the velocity. The minus sign is already in the velocity.")
        close(got_theta, theta + right, "The new theta", rtol=1e-6, atol=1e-9)


# ---------------------------------------------------------------------------- Adam


def _adam_step_solution(theta, grad, mean, square, t, learning_rate, beta_1, beta_2, epsilon):
    mean = beta_1 * mean + (1 - beta_1) * grad
    square = beta_2 * square + (1 - beta_2) * grad**2
    mean_hat = mean / (1 - beta_1**t)
    square_hat = square / (1 - beta_2**t)
    return theta - learning_rate * mean_hat / (np.sqrt(square_hat) + epsilon), mean, square


def _adam_wrong_thetas(
    theta: Array, grad: Array, m: Array, s: Array, t: int, rate: float, b1: float, b2: float, eps: float
) -> list[tuple[Array, str]]:
    """What the usual mistakes return for theta, with their names; m and s are the new running means."""
    c1, c2 = 1 - b1**t, 1 - b2**t
    m_hat, s_hat = m / c1, s / c2
    found = [
        (theta - rate * m / (np.sqrt(s) + eps), "Neither running mean was corrected for its start at zero: "
         "divide by 1 - beta_1**t and 1 - beta_2**t."),
        (theta - rate * m_hat / (np.sqrt(s) + eps), "The mean was corrected, the square was not. The first "
         "steps are then far too long."),
        (theta - rate * m / (np.sqrt(s_hat) + eps), "The square was corrected, the mean was not. The first "
         "steps are then too short."),
        (theta - rate * m_hat / np.sqrt(s_hat + eps), "epsilon stands under the root. In the paper it stands "
         "beside it."),
        (theta - rate * np.sqrt(c2) / c1 * m / (np.sqrt(s) + eps), "This is the form of the lesson's class and "
         "of Keras, where epsilon stands beside the root of the uncorrected square. The task asks for the "
         "paper's original place, beside the root of the corrected square."),
        (theta - rate * m_hat / (s_hat + eps), "The root is missing: divide by sqrt(square_hat) + epsilon."),
        (theta + rate * m_hat / (np.sqrt(s_hat) + eps), "The step goes along the gradient; it should go "
         "against it."),
        (theta - rate * grad / (np.sqrt(s_hat) + eps), "The numerator is the gradient itself, as in RMSprop. "
         "Adam uses its corrected running mean."),
        (theta - rate * m_hat / (np.sqrt(s_hat)), "epsilon has no effect."),
        (theta - rate * (m / (1 - b1 ** (t + 1))) / (np.sqrt(s / (1 - b2 ** (t + 1))) + eps), "The "
         "corrections use t + 1, but t is already 1 in the first step."),
        (theta - rate * (m / (1 - b1)) / (np.sqrt(s / (1 - b2)) + eps), "The corrections divide by 1 - beta; "
         "that is right in the first step only. Later it is 1 - beta**t."),
    ]  # fmt: skip
    return found


@exercise(
    "gradient_descent.adaptive",
    solution=_adam_step_solution,
    hints=[
        "First the two running means: each is beta * old + (1 - beta) * new, once with grad and once with "
        "grad**2.",
        "Then divide each by 1 - beta**t into a new name. The uncorrected means are what you return, because "
        "the next step continues from them.",
        "Last, theta - learning_rate * mean_hat / (np.sqrt(square_hat) + epsilon), and return three arrays.",
    ],
)
def adam_step(answer: Any) -> None:
    """One step of Adam with its bias corrections."""
    rng = np.random.default_rng(8)
    b1, b2 = 0.9, 0.95
    for t, rate, eps in ((3, 0.1, 1e-8), (1, 0.1, 1e-8), (7, 0.02, 0.3)):
        shape = (4, 2)
        theta, grad = rng.normal(size=shape), rng.normal(0.5, 1, size=shape)
        mean = rng.normal(size=shape) * (t > 1)
        square = rng.uniform(0.05, 1, size=shape) * (t > 1)
        given = [a.copy() for a in (theta, grad, mean, square)]
        value = call(answer, theta, grad, mean, square, t, rate, b1, b2, eps)
        expect(
            all(np.array_equal(a, b) for a, b in zip((theta, grad, mean, square), given, strict=True)),
            "Your function changed the arrays that it was given. Return new ones: `mean *= ...` works in "
            "place, `mean = ...` does not.",
        )
        parts = several(value, "theta", "mean", "square")
        names = ("theta", "mean", "square")
        got_theta, got_mean, got_square = (
            as_array(part, f"The new {name}", shape=shape) for part, name in zip(parts, names, strict=True)
        )
        m, s = b1 * mean + (1 - b1) * grad, b2 * square + (1 - b2) * grad**2
        step = f"In step t = {t}"
        if not np.allclose(got_mean, m):
            if np.allclose(got_mean, m / (1 - b1**t)):
                raise NotYet(
                    f"{step} the returned mean is the corrected one. The correction belongs into the update "
                    "only; the running mean itself goes on uncorrected, or it would be corrected again and "
                    "again."
                )
            if np.allclose(got_mean, b1 * mean + grad):
                raise NotYet(f"{step} the gradient entered the mean in full: its weight is 1 - beta_1.")
            if np.allclose(got_mean, (1 - b1) * mean + b1 * grad):
                raise NotYet(f"{step} the weights are exchanged: beta_1 belongs to the old mean.")
            if np.allclose(got_mean, b2 * mean + (1 - b2) * grad):
                raise NotYet(f"{step} the mean was formed with beta_2; beta_1 belongs to it.")
        close(got_mean, m, f"{step} the new mean")
        if not np.allclose(got_square, s):
            if np.allclose(got_square, s / (1 - b2**t)):
                raise NotYet(
                    f"{step} the returned square is the corrected one. Keep the running mean itself "
                    "uncorrected for the next step."
                )
            if np.allclose(got_square, b2 * square + (1 - b2) * m**2):
                raise NotYet(f"{step} the square of the mean was averaged; it should be the square of grad.")
            if np.allclose(got_square, b2 * square + (1 - b2) * grad):
                raise NotYet(f"{step} grad entered the running square without being squared.")
        close(got_square, s, f"{step} the new square")
        right = theta - rate * (m / (1 - b1**t)) / (np.sqrt(s / (1 - b2**t)) + eps)
        if not np.allclose(got_theta, right, rtol=1e-6, atol=1e-9):
            for candidate, message in _adam_wrong_thetas(theta, grad, m, s, t, rate, b1, b2, eps):
                if np.allclose(got_theta, candidate, rtol=1e-6, atol=1e-9):
                    raise NotYet(f"{step}, epsilon = {eps:g}: {message}")
        close(got_theta, right, f"{step} the new theta", rtol=1e-6, atol=1e-9)


# ---------------------------------------------------------------------------- power iteration


def _rate_from_products_solution(hessian_product, size):
    v = np.random.default_rng(0).normal(size=size)  # random: it has a part along every eigen-direction
    for _ in range(60):
        v = hessian_product(v / np.linalg.norm(v))
    return 2 / np.linalg.norm(v)  # H stretches the steepest direction by the largest eigenvalue


class _TooManyProducts(Exception):
    pass


class _Product:
    """H @ v for a diagonal H in a reflected basis, with the number of calls."""

    def __init__(self, eigenvalues: Array, mirror: Array, limit: int) -> None:
        self.eigenvalues, self.limit, self.calls = eigenvalues, limit, 0
        self.mirror = mirror / np.linalg.norm(mirror)

    def _reflect(self, v: Array) -> Array:
        return v - 2 * self.mirror * (self.mirror @ v)

    def __call__(self, v: Any) -> Array:
        self.calls += 1
        if self.calls > self.limit:
            raise _TooManyProducts
        v = np.asarray(v, dtype=float)
        if v.shape != self.eigenvalues.shape:
            raise NotYet(
                f"hessian_product was called with shape {v.shape}; it takes a vector of shape "
                f"{self.eigenvalues.shape}."
            )
        return self._reflect(self.eigenvalues * self._reflect(v))


def _product_cases(limit: int) -> list[tuple[str, _Product, Callable[[float], bool]]]:
    rng = np.random.default_rng(12)
    size = 400
    spread = np.sort(rng.uniform(0.01, 3.0, size))
    spread[-1] = 5.0
    balanced = rng.normal(size=size)
    # the steepest direction is (1, -1, 0, ...) / sqrt(2): a start of ones has no part along it
    hidden = np.full(size, 3.0)
    hidden[0] = 4.0
    mirror = np.zeros(size)
    mirror[0], mirror[1] = 1 - 1 / np.sqrt(2), 1 / np.sqrt(2)
    huge = 1e8 * spread
    return [
        ("a Hessian of 400 parameters", _Product(spread, balanced, limit), 5.0),
        ("a Hessian with eigenvalues up to 5e8", _Product(huge, balanced, limit), 5e8),
        ("a Hessian whose steepest direction is (1, -1, 0, 0, ...)", _Product(hidden, mirror, limit), 4.0),
    ]


@exercise(
    "gradient_descent.conditioning",
    solution=_rate_from_products_solution,
    hints=[
        "Write v as a sum over eigen-directions. One product multiplies each part by its own eigenvalue. "
        "After many products, which part is left?",
        "Repeat v = hessian_product(v), and divide v by its length each time, so that it neither overflows "
        "nor vanishes. Start with a random vector: a special one may lack the direction that you look for.",
        "When v has settled and has length 1, the length of hessian_product(v) is the largest eigenvalue.",
    ],
)
def rate_from_products(answer: Any) -> None:
    """The largest stable rate from products with the Hessian alone."""
    for label, product, largest in _product_cases(limit=100):
        right = 2 / largest
        try:
            with np.errstate(all="ignore"):
                value = call(answer, product, len(product.eigenvalues))
        except _TooManyProducts:
            raise NotYet(
                f"For {label} your function asked for more than 100 products. Building H column by column "
                "takes 400; a few dozen repeated products are enough."
            ) from None
        got = float(as_array(value, f"The rate for {label}", shape=()))
        seen = f"For {label} you return {got:.4g} after {product.calls} products"
        if np.isclose(got, right, rtol=0.01):
            continue
        expect(product.calls > 0, f"{seen}: hessian_product was never called.")
        expect(
            np.isfinite(got) and got != 0,
            f"{seen}: repeated products overflowed. Divide the vector by its length each time.",
        )
        if np.isclose(got, largest, rtol=0.01):
            raise NotYet(f"{seen}, which is the largest eigenvalue itself. The rate is 2 divided by it.")
        if np.isclose(got, 1 / largest, rtol=0.01):
            raise NotYet(f"{seen}, which is 1/λmax. The limit of stability is twice that.")
        if "(1, -1" in label:
            raise NotYet(
                f"{seen}, but the limit is {right:.4g}. Your starting vector has no part along the steepest "
                "direction, so no number of products finds it. Start at random."
            )
        if got > right and product.calls < 15:
            raise NotYet(
                f"{seen}, but the limit is {right:.4g}: the vector has not settled. Repeat more often."
            )
        raise NotYet(f"{seen}; within one per cent it should be {right:.4g}.")
