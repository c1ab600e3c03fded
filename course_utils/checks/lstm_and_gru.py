"""Checks of lesson 19: a step of the GRU, the carousel backwards, forget biases, and a memory made by hand."""

from __future__ import annotations

from typing import Any

import numpy as np

from course_utils.checks._engine import NotYet, as_array, call, close, exercise, expect, several

Array = np.ndarray


def _sigmoid(z: Array) -> Array:
    return 1 / (1 + np.exp(-z))


# ---------------------------------------------------------------------------- a step of the GRU


def _gru_step_solution(x, h, W, U, b):
    u = h.shape[1]
    from_input, from_state = x @ W + b[0], h @ U + b[1]  # (m, 3u) each
    z = 1 / (1 + np.exp(-(from_input[:, :u] + from_state[:, :u])))
    r = 1 / (1 + np.exp(-(from_input[:, u : 2 * u] + from_state[:, u : 2 * u])))
    candidate = np.tanh(from_input[:, 2 * u :] + r * from_state[:, 2 * u :])
    return z * h + (1 - z) * candidate


def _gru_variants(x: Array, h: Array, W: Array, U: Array, b: Array) -> list[tuple[Array, str]]:
    u = h.shape[1]
    a, s = x @ W + b[0], h @ U + b[1]
    z, r = _sigmoid(a[:, :u] + s[:, :u]), _sigmoid(a[:, u : 2 * u] + s[:, u : 2 * u])
    after = np.tanh(a[:, 2 * u :] + r * s[:, 2 * u :])
    before = np.tanh(a[:, 2 * u :] + (r * h) @ U[:, 2 * u :] + b[1, 2 * u :])
    no_reset = np.tanh(a[:, 2 * u :] + s[:, 2 * u :])
    outside = np.tanh(a[:, 2 * u :] + r * (h @ U[:, 2 * u :]) + b[1, 2 * u :])
    swapped = np.tanh(a[:, 2 * u :] + z * s[:, 2 * u :])
    return [
        ((1 - z) * h + z * after, "z and 1 - z exchanged: in Keras z is the share that is kept."),
        (z * h + (1 - z) * before, "the reset before the product, (r * h) @ U. In Keras' default form the product comes "
         "first and r multiplies its result."),
        (r * h + (1 - r) * swapped, "the first two blocks exchanged. Keras' order is z, r, h."),
        (z * h + (1 - z) * no_reset, "no reset: r does not multiply what comes from the old state."),
        (z * h + (1 - z) * outside, "the second bias outside the reset. In Keras r multiplies h @ U plus b[1]."),
        (after, "the candidate alone. The new state mixes it with the old one."),
        (z * h + (1 - z) * np.tanh(x @ W[:, 2 * u :] + r * (h @ U[:, 2 * u :])), "the biases missing in the candidate."),
    ]  # fmt: skip


@exercise(
    "lstm_and_gru.gru",
    solution=_gru_step_solution,
    hints=[
        "Make two arrays of shape (m, 3u), one from the input with b[0] and one from the state with b[1]. What do the "
        "three blocks of each become?",
        "z and r are sigmoids of the sums of the first and the second blocks. In the candidate r multiplies the third "
        "block of what comes from the state, its bias included, before the two are added and go through tanh.",
        "The last line is z * h + (1 - z) * candidate.",
    ],
)
def gru_step(answer: Any) -> None:
    """One step of a GRU in Keras' default form."""
    rng = np.random.default_rng(5)
    m, d, u = 4, 3, 5
    for _ in range(2):
        x, h = rng.normal(size=(m, d)), np.tanh(rng.normal(size=(m, u)))
        W, U, b = rng.normal(size=(d, 3 * u)), 0.7 * rng.normal(size=(u, 3 * u)), rng.normal(size=(2, 3 * u))
        got = as_array(
            call(answer, x.copy(), h.copy(), W.copy(), U.copy(), b.copy()), "The new state", shape=(m, u)
        )
        right = _gru_step_solution(x, h, W, U, b)
        if np.allclose(got, right, rtol=1e-5, atol=1e-7):
            continue
        for value, meaning in _gru_variants(x, h, W, U, b):
            if np.allclose(got, value, rtol=1e-5, atol=1e-7):
                raise NotYet(f"Your new state is that of a GRU with {meaning}")
        close(got, right, "The new state")


# ---------------------------------------------------------------------------- the carousel, backwards


def _cell_backward_solution(grad_h, grad_c, c_old, i, f, g, o):
    shown = np.tanh(f * c_old + i * g)
    total = grad_c + grad_h * o * (1 - shown**2)  # everything that arrives at the cell state
    return total * g, total * c_old, total * i, grad_h * shown, total * f


@exercise(
    "lstm_and_gru.lstm",
    solution=_cell_backward_solution,
    hints=[
        "Two gradients meet at the cell state: grad_c, and the part of grad_h that comes through o * tanh(c). Add them first.",
        "c = f * c_old + i * g. With the sum of the two gradients, each factor gets it times the other factor of its product.",
        "total = grad_c + grad_h * o * (1 - tanh(c)**2). Then grad_i = total * g, grad_f = total * c_old, grad_g = total * i, "
        "grad_c_old = total * f, and grad_o = grad_h * tanh(c).",
    ],
)
def cell_backward(answer: Any) -> None:
    """One step of an LSTM's cell, from the states back to the gates."""
    rng = np.random.default_rng(8)
    names = ("grad_i", "grad_f", "grad_g", "grad_o", "grad_c_old")
    for _ in range(2):
        grad_h, grad_c, c_old = rng.normal(size=(3, 4, 5))
        i, f, o = _sigmoid(rng.normal(size=(3, 4, 5)))
        g = np.tanh(rng.normal(size=(4, 5)))
        value = call(answer, *(array.copy() for array in (grad_h, grad_c, c_old, i, f, g, o)))
        got = [
            as_array(part, name, shape=(4, 5))
            for part, name in zip(several(value, *names), names, strict=True)
        ]
        right = _cell_backward_solution(grad_h, grad_c, c_old, i, f, g, o)
        if all(np.allclose(a, b, rtol=1e-5, atol=1e-8) for a, b in zip(got, right, strict=True)):
            continue
        c = f * c_old + i * g
        shown = np.tanh(c)

        def with_total(total: Array, f=f, g=g, i=i, c_old=c_old) -> list[Array]:
            return [total * g, total * c_old, total * i, total * f]

        totals = [
            (
                grad_c,
                "What comes through h is missing: h = o * tanh(c), so grad_h reaches the cell state too.",
            ),
            (
                grad_h * o * (1 - shown**2),
                "grad_c is missing: the gradient that arrives at the cell state from later steps.",
            ),
            (grad_c + grad_h * o, "The slope of the tanh in h = o * tanh(c) is missing: 1 - tanh(c)**2."),
            (
                grad_c + grad_h * (1 - shown**2),
                "The output gate is missing: h = o * tanh(c), so o multiplies grad_h.",
            ),
            (
                grad_c + grad_h * o * (1 - c**2),
                "The slope of tanh at c is 1 - tanh(c)**2; you squared c itself.",
            ),
        ]
        for total, message in totals:
            if all(
                np.allclose(a, b)
                for a, b in zip([got[0], got[1], got[2], got[4]], with_total(total), strict=True)
            ):
                raise NotYet(message)
        if np.allclose(got[3], grad_h * c) and not np.allclose(got[3], right[3]):
            raise NotYet("grad_o is grad_h * c. The output gate multiplies tanh(c).")
        if np.allclose(got[0], right[0] * i * (1 - i)) or np.allclose(got[1], right[1] * f * (1 - f)):
            raise NotYet(
                "The slopes of the sigmoids are in it. Asked are the gradients of the gates themselves, after the sigmoid."
            )
        if np.allclose(got[0], right[2]) and np.allclose(got[2], right[0]):
            raise NotYet("grad_i and grad_g are exchanged: in i * g each gets the other as its factor.")
        for part, name, want in zip(got, names, right, strict=True):
            close(part, want, name)


# ---------------------------------------------------------------------------- forget biases


def _forget_bias_for_solution(half_life):
    keep = 0.5 ** (1 / np.asarray(half_life))  # f, with f ** half_life = 1/2
    return np.log(keep / (1 - keep))  # the inverse of the sigmoid


@exercise(
    "lstm_and_gru.memory",
    solution=_forget_bias_for_solution,
    hints=[
        "First the gate: which f satisfies f to the power half_life = 1/2?",
        "f = 0.5 ** (1 / half_life). Which bias has this sigmoid?",
        "The inverse of the sigmoid is log(f / (1 - f)).",
    ],
)
def forget_bias_for(answer: Any) -> None:
    """The bias of a forget gate with a given half-life."""
    lives = np.array([0.5, 1.0, 3.0, 20.0, 100.0])
    got = as_array(call(answer, lives.copy()), "The biases", shape=lives.shape)
    single = float(as_array(call(answer, 1.0), "forget_bias_for(1.0)", shape=()))
    expect(
        abs(single) < 1e-6,
        f"forget_bias_for(1.0) is {single:.4g}; a gate of one half, whose bias is 0, halves in one step.",
    )
    keep = 0.5 ** (1 / lives)
    right = np.log(keep / (1 - keep))
    named = [
        (keep, "These are the gates. Asked is the bias whose sigmoid they are."),
        (-right, "The sign is the other way round: a long half-life needs a gate near 1, so a large positive bias."),
        (np.log(lives), "log(half_life) is the bias for a memory of that many steps up to a factor; here the half-life is exact."),
        (np.log(keep), "log(f) is not the inverse of the sigmoid: that is log(f / (1 - f))."),
        (1 - 1 / lives, "1 - 1/half_life is a gate, and one whose 1/e time is about the half-life."),
    ]  # fmt: skip
    if not np.allclose(got, right, rtol=1e-4, atol=1e-6):
        for value, message in named:
            if np.allclose(got, value, rtol=1e-4, atol=1e-6):
                raise NotYet(message)
        with np.errstate(all="ignore"):
            life = np.log(0.5) / np.log(_sigmoid(got))
        worst = int(np.argmax(np.abs(np.log(np.maximum(life, 1e-9) / lives))))
        raise NotYet(
            f"For a half-life of {lives[worst]:g} steps your bias is {got[worst]:.4g}; the gate is then "
            f"{_sigmoid(got)[worst]:.4g}, and the state halves in {life[worst]:.3g} steps."
        )


# ---------------------------------------------------------------------------- a memory by hand


def _latch_solution():
    W = np.array(
        [[0.0, 0.0, 1.0, 0.0], [40.0, -40.0, 0.0, 0.0]]
    )  # the value goes to the candidate, the signal to i and f
    U = np.zeros((1, 4))
    b = np.array([-20.0, 20.0, 0.0, 20.0])  # write only on the signal, keep else, always show
    return W, U, b


@exercise(
    "lstm_and_gru.gates",
    solution=_latch_solution,
    hints=[
        "What must each gate be at the step of storing, and what between? Only two of them have to change.",
        "Between: i shut, f open. At the signal: i open, f shut, so that the old value is dropped. o always open. The "
        "candidate is tanh of the value.",
        "A bias of -20 shuts a gate, one of 20 opens it, and a weight of 40 or -40 for the signal turns it over. The value "
        "needs the weight 1 in the candidate, and U can be zero.",
    ],
)
def latch(answer: Any) -> None:
    """An LSTM of one unit that stores a value on a signal."""
    W, U, b = several(call(answer), "W", "U", "b")
    W, U, b = as_array(W, "W", shape=(2, 4)), as_array(U, "U", shape=(1, 4)), as_array(b, "b", shape=(4,))
    rng = np.random.default_rng(12)
    steps, signals = 140, (7, 60, 88)
    values = rng.uniform(-0.9, 0.9, steps)
    signal = np.zeros(steps)
    signal[list(signals)] = 1
    values[list(signals)] = (0.8, -0.7, 0.35)
    h = c = np.zeros(1)
    outputs, gates = [], []
    with np.errstate(over="ignore"):
        for t in range(steps):
            z = np.array([values[t], signal[t]]) @ W + h @ U + b
            i, f, o = _sigmoid(z[[0, 1, 3]])
            c = f * c + i * np.tanh(z[2])
            h = o * np.tanh(c)
            outputs.append(h[0])
            gates.append((i, f, o))
    outputs, gates = np.array(outputs), np.array(gates)
    expect(
        np.isfinite(outputs).all(),
        "Your numbers overflow. Weights of some tens are large enough to open or shut a gate.",
    )
    stored = -1
    for t in range(steps):
        if signal[t]:
            stored = t
        if stored < 0 or t > stored + 50:
            continue
        wanted = np.tanh(np.tanh(values[stored]))
        if abs(outputs[t] - wanted) <= 0.05:
            continue
        where = "at the step of storing" if t == stored else f"{t - stored} steps after it was stored"
        said = f"The value {values[stored]:.2g} was stored, and {where} the output is {outputs[t]:.3f} instead of {wanted:.3f}."
        between = ~signal.astype(bool)
        if gates[between, 0].mean() > 0.5 and t != stored:
            raise NotYet(
                f"{said} The input gate is open between the signals, so every later value is written too."
            )
        if gates[~between, 0].mean() < 0.5:
            raise NotYet(f"{said} The input gate is shut at the signal ({gates[stored, 0]:.2f}).")
        if t == stored and stored != signals[0] and gates[~between, 1].mean() > 0.5:
            raise NotYet(
                f"{said} The forget gate stays open at the signal, so the new value was added to the old one."
            )
        if gates[between, 1].mean() < 0.98 and t != stored:
            raise NotYet(
                f"{said} The forget gate is {gates[between, 1].mean():.3f} between the signals: the state leaks."
            )
        if gates[:, 2].mean() < 0.9:
            raise NotYet(
                f"{said} The output gate is {gates[:, 2].mean():.2f} on average, so the state is not shown."
            )
        raise NotYet(said)
