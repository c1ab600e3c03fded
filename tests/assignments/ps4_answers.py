"""Wrong answers to problem set 4, what each of them earns, and what its author is told: plain data.

``CASES`` maps the name of a misconception to three things: the solution cells that it replaces (cell id -> source),
the points of the test cells that do not give their full points for it (cell id -> points), and a fragment of one
message.
"""

from __future__ import annotations

ASSIGNMENT = "ps4-rnn"

# Points of the test cells; the letter of Task 6 (6 points) is marked by hand.
POINTS = {
    "test-states-plain": 2,
    "test-states-gaps": 2,
    "test-states-nan": 2,
    "test-back-plain": 3,
    "test-back-gaps": 3,
    "test-back-inputs": 2,
    "test-back-toll": 1,
    "test-mgu-step": 2,
    "test-mgu-sequence": 3,
    "test-mgu-far": 1,
    "test-mgu-parameters": 1,
    "test-windows-plain": 2,
    "test-windows-gaps": 3,
    "test-border": 3,
    "test-table": 2,
    "test-table-gaps": 2,
    "test-scaled-error": 2,
    "test-forecaster-fits": 1,
    "test-forecaster-zero": 1,
    "test-forecaster-table": 2,
    "test-forecaster-well": 2,
    "test-forecaster-gaps": 2,
}

_STATES = """
def masked_states(X, there, W_x, W_h, b):
    m, steps, _ = X.shape
    {before}
    h, states = np.zeros((m, len(b))), []
    for t in range(steps):
        {append_first}
        new = np.tanh(X[:, t] @ W_x {state} + b)
        h = {keep}
        {append_last}
    return np.stack(states, axis=1)
"""
_RIGHT_STATES = {
    "before": "X = np.where(there[:, :, None], X, 0.0)",
    "append_first": "pass",
    "state": "+ h @ W_h",
    "keep": "np.where(there[:, t, None], new, h)",
    "append_last": "states.append(h)",
}

_BACK = """
def masked_backward(E, X, there, states, W_x, W_h):
    X = {X}
    before = {before}
    grad_Z = np.zeros_like(states)
    carry = E
    for t in reversed(range(X.shape[1])):
        here = there[:, t, None]
        grad_Z[:, t] = {grad_z}
        carry = {carry}
    flat = grad_Z.reshape(-1, states.shape[-1])
    return {{
        "W_x": X.reshape(-1, X.shape[-1]).T @ flat,
        "W_h": before.reshape(-1, states.shape[-1]).T @ flat,
        "b": {b},
        "X": grad_Z @ W_x.T,
    }}
"""
_RIGHT_BACK = {
    "X": "np.where(there[:, :, None], X, 0.0)",
    "before": "np.concatenate([np.zeros_like(states[:, :1]), states[:, :-1]], axis=1)",
    "grad_z": "np.where(here, carry * (1 - states[:, t] ** 2), 0.0)",
    "carry": "np.where(here, grad_Z[:, t] @ W_h.T, carry)",
    "b": "flat.sum(axis=0)",
}

_MGU = """
def mgu(X, W, U, b):
    u = U.shape[0]
    gate, rest = {blocks}
    h, states = np.zeros((len(X), u)), []
    for t in range(X.shape[1]):
        from_input = X[:, t] @ W + b
        z = from_input[:, gate] + h @ U[:, gate]
        f = {sigmoid}
        candidate = np.tanh(from_input[:, rest] + ({reset}) @ U[:, rest])
        h = {mix}
        states.append(h)
    return np.stack(states, axis=1)


def mgu_parameters(d, u):
    return {count}
"""
_RIGHT_MGU = {
    "blocks": "slice(0, u), slice(u, None)",
    "sigmoid": "0.5 * (1 + np.tanh(z / 2))",
    "reset": "f * h",
    "mix": "(1 - f) * h + f * candidate",
    "count": "2 * (d * u + u * u + u)",
}

_WINDOWS = """
def make_windows(level, length, horizon, most_missing):
    level = np.asarray(level, dtype=float)
    {prepare}
    rows = []
    for i in range(len(level) - length - horizon + {more}):
        seen, targets = level[i : i + length], level[i + {gap} : i + {gap} + horizon]
        if {good}:
            rows.append((seen, targets, i))
    return (np.array([r[0] for r in rows]), np.array([r[1] for r in rows]), np.array([r[2] for r in rows]))


def before_and_after(first, length, horizon, border):
    return {train}, {test}
"""
_RIGHT_WINDOWS = {
    "prepare": "pass",
    "more": "1",
    "gap": "length",
    "good": "not np.isnan(targets).any() and np.isnan(seen).sum() <= most_missing",
    "train": "first + length + horizon <= border",
    "test": "first + length >= border",
}

_TABLE = """
def table(history, period, horizon):
    {table}


def scaled_error(forecast, truth, history):
    errors = np.asarray(forecast, dtype=float) - np.asarray(truth, dtype=float)
    changes = np.diff(np.asarray(history, dtype=float))
    return {error}
"""
_LOOKING = """history = np.asarray(history, dtype=float)
    out = []
    for k in range(horizon):
        same = history[(len(history) + k) % period :: period]
        same = same[~np.isnan(same)]
        out.append({pick} if len(same) else np.nan)
    return np.array(out)"""
_RIGHT_TABLE = {
    "table": _LOOKING.format(pick="same[-1]"),
    "error": "float(np.nanmean(np.abs(errors)) / np.nanmean(np.abs(changes)))",
}


def _states(**parts: str) -> dict[str, str]:
    return {"masked-states": _STATES.format(**(_RIGHT_STATES | parts))}


def _back(**parts: str) -> dict[str, str]:
    return {"masked-backward": _BACK.format(**(_RIGHT_BACK | parts))}


def _mgu(**parts: str) -> dict[str, str]:
    return {"minimal-gated-unit": _MGU.format(**(_RIGHT_MGU | parts))}


def _windows(**parts: str) -> dict[str, str]:
    return {"windows": _WINDOWS.format(**(_RIGHT_WINDOWS | parts))}


def _table(**parts: str) -> dict[str, str]:
    return {"the-table": _TABLE.format(**(_RIGHT_TABLE | parts))}


_BUILD = """
def build_forecaster(length, horizon):
    import keras
    from keras import layers

    return keras.Sequential([layers.Input((length, 2)), {layers}, layers.Dense({out})])
"""


def _forecaster(
    layers: str, train: str = "forecaster = build_forecaster(LENGTH, HORIZON)", out: str = "horizon"
) -> dict[str, str]:
    return {"build-forecaster": _BUILD.format(layers=layers, out=out), "train-forecaster": train}


CASES: dict[str, tuple[dict[str, str], dict[str, float], str]] = {
    # Task 1
    "states-begin-too-early": (
        _states(append_first="states.append(h)", append_last="pass"),
        {"test-states-plain": 0, "test-states-gaps": 0, "test-states-nan": 0},
        "one step too early",
    ),
    "states-without-memory": (
        _states(state=""),
        {"test-states-plain": 0, "test-states-gaps": 0, "test-states-nan": 0},
        "old state takes no part",
    ),
    "gap-read-as-zero": (_states(keep="new"), {"test-states-gaps": 0, "test-states-nan": 0}, "read as 0"),
    "gap-resets-the-state": (
        _states(keep="np.where(there[:, t, None], new, 0.0)"),
        {"test-states-gaps": 0, "test-states-nan": 0},
        "off by up to",
    ),
    "gap-of-the-first-example": (
        _states(keep="new if there[0, t] else h"),
        {"test-states-gaps": 0, "test-states-nan": 0},
        "gaps of the first one",
    ),
    "mask-by-product": (
        _states(before="pass", keep="there[:, t, None] * new + ~there[:, t, None] * h"),
        {"test-states-nan": 0},
        "0 * nan is nan",
    ),
    # Task 2
    "back-mean-over-the-batch": (
        _back(b="flat.sum(axis=0) / len(X)"),
        {"test-back-plain": 0, "test-back-gaps": 0},
        "mean over the batch",
    ),
    "back-last-step-only": (
        _back(carry="np.zeros_like(carry)"),
        {"test-back-plain": 0, "test-back-gaps": 0, "test-back-inputs": 0, "test-back-toll": 0},
        "Only the last step",
    ),
    "back-with-the-new-state": (
        _back(before="states"),
        {"test-back-plain": 0, "test-back-gaps": 0},
        "W_h multiplied the state before",
    ),
    "back-without-transposing": (
        _back(carry="np.where(here, grad_Z[:, t] @ W_h, carry)"),
        {"test-back-plain": 0, "test-back-gaps": 0, "test-back-inputs": 0},
        "off by up to",
    ),
    "back-gap-stops-it": (
        _back(carry="grad_Z[:, t] @ W_h.T"),
        {"test-back-gaps": 0, "test-back-inputs": 0, "test-back-toll": 0},
        "neither weakens nor turns",
    ),
    "back-gap-learns": (
        _back(grad_z="carry * (1 - states[:, t] ** 2)"),
        {"test-back-gaps": 0, "test-back-inputs": 0, "test-back-toll": 0},
        "never read",
    ),
    "back-nan": (_back(X="X"), {"test-back-gaps": 0}, "0 * nan is nan"),
    # Task 3
    "gate-turned": (
        _mgu(mix="f * h + (1 - f) * candidate"),
        {"test-mgu-step": 0, "test-mgu-sequence": 0},
        "exchanged",
    ),
    "gate-blocks-exchanged": (
        _mgu(blocks="slice(u, None), slice(0, u)"),
        {"test-mgu-step": 0, "test-mgu-sequence": 0},
        "blocks are exchanged",
    ),
    "gate-without-reset": (_mgu(reset="h"), {"test-mgu-sequence": 0}, "whole old state"),
    "gate-overflows": (_mgu(sigmoid="np.exp(z) / (1 + np.exp(z))"), {"test-mgu-far": 0}, "overflows"),
    "count-without-biases": (
        _mgu(count="2 * (d * u + u * u)"),
        {"test-mgu-parameters": 0},
        "biases are missing",
    ),
    # Task 4
    "windows-one-too-few": (
        _windows(more="0"),
        {"test-windows-plain": 0, "test-windows-gaps": 0},
        "last window is missing",
    ),
    "windows-targets-too-early": (
        _windows(gap="length - 1"),
        {"test-windows-plain": 0, "test-windows-gaps": 0},
        "last hour seen",
    ),
    "windows-filled": (
        _windows(prepare="nan = np.isnan(level); level = np.where(nan, 0.0, level)"),
        {"test-windows-gaps": 0},
        "they should begin at 0, 2 and 3",
    ),
    "windows-without-any-gap": (
        _windows(good="not np.isnan(targets).any() and not np.isnan(seen).any()"),
        {"test-windows-gaps": 0},
        "should begin at",
    ),
    "border-leaks": (_windows(train="first + length <= border"), {"test-border": 0}, "has seen an answer"),
    "border-wastes": (_windows(test="first >= border"), {"test-border": 0}, "may lie before it"),
    # Task 5
    "table-last-value": (
        _table(table="return np.full(horizon, history[-1])"),
        {"test-table": 0, "test-table-gaps": 0},
        "last period",
    ),
    "table-oldest": (
        _table(table=_LOOKING.format(pick="same[0]")),
        {"test-table": 0, "test-table-gaps": 0},
        "first period of the history",
    ),
    "table-stops-at-gaps": (
        _table(
            table="history = np.asarray(history, dtype=float)\n    return np.resize(history[-period:], horizon)"
        ),
        {"test-table-gaps": 0},
        "known a period earlier",
    ),
    "error-not-scaled": (
        _table(error="float(np.nanmean(np.abs(errors)))"),
        {"test-scaled-error": 0},
        "in metres",
    ),
    "error-not-for-gaps": (
        _table(error="float(np.mean(np.abs(errors)) / np.mean(np.abs(changes)))"),
        {"test-scaled-error": 0},
        "not a number",
    ),
    # Task 6
    "forecaster-not-trained": (
        _forecaster("layers.GRU(28)"),
        {
            "test-forecaster-table": 0,
            "test-forecaster-well": 0,
            "test-forecaster-zero": 0,
            "test-forecaster-gaps": 0,
        },
        "always saying zero",
    ),
    "forecaster-too-large": (
        {"build-forecaster": _BUILD.format(layers="layers.GRU(64)", out="horizon")},
        {"test-forecaster-fits": 0},
        "allows 8,000",
    ),
    "forecaster-without-recurrence": (
        {"build-forecaster": _BUILD.format(layers="layers.Flatten(), layers.Dense(16)", out="horizon")},
        {"test-forecaster-fits": 0},
        "no recurrent layer",
    ),
    "forecaster-one-size": (
        {"build-forecaster": _BUILD.format(layers="layers.GRU(28)", out="24")},
        {"test-forecaster-fits": 0},
        "another horizon",
    ),
}

#: Test cells that need the trained forecaster: left out where a mistake does not touch them, with this in its place.
SLOW = {"test-forecaster-zero", "test-forecaster-table", "test-forecaster-well", "test-forecaster-gaps"}
QUICK = {"train-forecaster": "forecaster = build_forecaster(LENGTH, HORIZON)"}
IN_SANDBOX = ["mask-by-product", "border-leaks", "forecaster-not-trained"]
