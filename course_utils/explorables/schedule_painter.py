"""Why start large and end small? A learning rate over the steps, and noisy gradient descent under it.

The functions in this module are the NumPy twins of those in ``schedule_painter.js``; the tests compare both.
The loss is ``1/2 (x^2 + 20 y^2)``; a step is ``w <- w - eta_t (curvature * w + noise * xi)`` with standard
normal ``xi`` (the generator of :mod:`signal_propagation`), begun at (2, 1). Steps count from t = 0 to T - 1.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import traitlets
from numpy.typing import ArrayLike, NDArray

from course_utils.explorables._base import BLUE, ORANGE, RED, Explorable, svg_document
from course_utils.explorables.signal_propagation import normals

KINDS = ("constant", "step", "exponential", "cosine", "warm-up", "one-cycle", "painted")
POINTS = 21  # control points of a painted schedule
TOP = 0.12  # the largest learning rate
LOWEST_PEAK = 0.002
CURVATURES = (1.0, 20.0)
LIMIT = 2 / CURVATURES[1]  # above it every step along the steep direction overshoots by more than the last
START = (2.0, 1.0)
RUNS = 32
MIN_STEPS, MAX_STEPS = 20, 300


def learning_rates(kind: str, steps: int, peak: float, points: ArrayLike | None = None) -> NDArray:
    """The learning rates eta_0 ... eta_(T-1), shape (steps,).

    Parameters
    ----------
    kind : with T steps and the peak p, the rate at step t is

        - "constant": p
        - "step": p * 0.3**k in quarter k = floor(4 t / T)
        - "exponential": p * 0.01**(t / T), as ``keras.optimizers.schedules.ExponentialDecay(p, T, 0.01)``
        - "cosine": p (1 + cos(pi t / T)) / 2, as ``keras.optimizers.schedules.CosineDecay(p, T)``
          (Loshchilov and Hutter, 2017)
        - "warm-up": p (t + 1) / w for t < w = max(1, round(T / 10)), then a cosine over the other T - w steps
        - "one-cycle": half a cosine from p / 25 up to p, reached at t = 0.3 T - 1, and half a cosine down to
          p / 250000 at T - 1: the defaults of PyTorch's ``OneCycleLR`` (after Smith and Topin, 2018)
        - "painted": straight lines between the ``points``
    steps : T
    peak : p
    points : (21,), only for "painted": the rates at the steps k (T - 1) / 20

    Raises
    ------
    ValueError
        For an unknown kind.
    """
    T, t = steps, np.arange(steps, dtype=float)
    match kind:
        case "constant":
            return np.full(T, float(peak))
        case "step":
            return peak * 0.3 ** np.floor(4 * t / T)
        case "exponential":
            return peak * 0.01 ** (t / T)
        case "cosine":
            return peak * (1 + np.cos(np.pi * t / T)) / 2
        case "warm-up":
            w = max(1, int(np.floor(0.1 * T + 0.5)))
            return np.where(t < w, peak * (t + 1) / w, peak * (1 + np.cos(np.pi * (t - w) / (T - w))) / 2)
        case "one-cycle":
            turn = 0.3 * T - 1

            def anneal(a: float, b: float, share: NDArray) -> NDArray:
                return b + (a - b) / 2 * (1 + np.cos(np.pi * share))

            up, down = (
                anneal(peak / 25, peak, t / turn),
                anneal(peak, peak / 25e4, (t - turn) / (T - 1 - turn)),
            )
            return np.where(t <= turn, up, down)
        case "painted":
            return np.interp(t * (POINTS - 1) / (T - 1), np.arange(POINTS), np.asarray(points, dtype=float))
    raise ValueError(f"There is no schedule {kind!r}; choose one of: {', '.join(KINDS)}.")


class Descent(NamedTuple):
    """Noisy gradient descent under a schedule, after 0 ... T steps.

    mean, low, high : (T + 1,), the mean loss of the 32 runs and its tenth and ninetieth percentile
    path : (T + 1, 2), where the first run was
    """

    mean: NDArray
    low: NDArray
    high: NDArray
    path: NDArray


def descend(rates: ArrayLike, noise: float = 1.0, seed: int = 0) -> Descent:
    """Run 32 noisy descents with the learning ``rates`` (T,); the noise is drawn once for the seed and T."""
    rates = np.asarray(rates, dtype=float)
    T, h = len(rates), np.array(CURVATURES)
    xi = normals(seed, RUNS * T * 2).reshape(RUNS, T, 2)
    w = np.tile(np.array(START), (RUNS, 1))
    places = [w]
    for t, rate in enumerate(rates):
        w = w - rate * (h * w + noise * xi[:, t])
        places.append(w)
    W = np.stack(places)  # (T + 1, 32, 2)
    losses = 0.5 * (W**2 @ h)
    low, high = np.quantile(losses, [0.1, 0.9], axis=1)
    return Descent(losses.mean(axis=1), low, high, W[:, 0])


def noise_floor(rate: float, noise: float = 1.0) -> float | None:
    """The mean loss at which a constant rate stays in the end, None for a rate of 0.1 or more.

    A direction of curvature h has the variance v = (1 - rate h)^2 v + rate^2 noise^2 when it no longer
    changes, so its loss h v / 2 is ``rate noise^2 / (2 (2 - rate h))``.
    """
    if rate >= LIMIT:
        return None
    return sum(rate * noise**2 / (2 * (2 - rate * h)) for h in CURVATURES)


def sample(kind: str, steps: int, peak: float) -> list[float]:
    """The 21 control points, to four decimals, of a schedule that is not painted."""
    rates = learning_rates(kind, steps, peak)
    times = np.floor(np.arange(POINTS) * (steps - 1) / (POINTS - 1) + 0.5).astype(int)
    return [round(float(v), 4) for v in rates[times]]


def _number(value: Any, name: str, low: float, high: float) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise ValueError(f"SchedulePainter needs a number for {name}, not {value!r}.")
    if not low <= value <= high:
        raise ValueError(f"SchedulePainter needs {name} from {low:g} to {high:g}, not {value!r}.")
    return float(value)


def _whole(value: Any, name: str, low: int, high: int) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or not low <= value <= high:
        raise ValueError(f"SchedulePainter needs a whole {name} from {low} to {high}, not {value!r}.")
    return int(value)


def _kind(value: Any) -> str:
    if value not in KINDS:
        raise ValueError(f"There is no schedule {value!r}; choose one of: {', '.join(KINDS)}.")
    return str(value)


def _points(value: Any) -> list[float]:
    try:
        array = np.asarray(value, dtype=float)
    except (TypeError, ValueError):
        raise ValueError(f"SchedulePainter needs {POINTS} points that are numbers.") from None
    if array.shape != (POINTS,):
        raise ValueError(f"SchedulePainter needs {POINTS} points in a row, not shape {array.shape}.")
    if not np.isfinite(array).all() or array.min() < 0 or array.max() > TOP:
        raise ValueError(f"SchedulePainter needs points from 0 to {TOP:g}.")
    return array.tolist()


_BOUNDS = {"peak": ("a peak", LOWEST_PEAK, TOP), "noise": ("a noise", 0, 2)}
_WHOLES = {
    "steps": ("number of steps", MIN_STEPS, MAX_STEPS),
    "seed": ("seed", 0, 2**31 - 1),
    "cursor": ("number of the cursor", 0, POINTS - 1),
}


class SchedulePainter(Explorable):
    """Why start large and end small?

    The learning rate over the steps is chosen by name or painted; below it the mean loss of 32 noisy descents
    in a ravine of the curvatures 1 and 20, against a constant rate of the same peak and its noise floor.

    Parameters
    ----------
    kind : "constant", "step", "exponential", "cosine", "warm-up", "one-cycle" or "painted"
        (:func:`learning_rates`)
    steps : T, 20 to 300
    seed : of the noise, a whole number from 0
    peak : the largest learning rate, 0.002 to 0.12; a painted schedule has that of its points
    noise : standard deviation of the gradient's noise in each direction, 0 to 2
    points : 21 learning rates from 0 to 0.12 for "painted", at equal distances over the run; default those of
        the cosine schedule
    cursor : the control point that the arrow keys change first, 0 to 20

    Raises
    ------
    ValueError
        For an unknown name, a number out of its range and points of another number.
    """

    _js = "schedule_painter.js"

    kind = traitlets.Unicode("cosine").tag(sync=True)
    steps = traitlets.Int(100).tag(sync=True)
    peak = traitlets.Float(0.08).tag(sync=True)
    noise = traitlets.Float(1.0).tag(sync=True)
    points = traitlets.List().tag(sync=True)
    cursor = traitlets.Int(10).tag(sync=True)
    seed = traitlets.Int(0).tag(sync=True)

    def __init__(
        self,
        kind: str = "cosine",
        steps: int = 100,
        seed: int = 0,
        *,
        peak: float = 0.08,
        noise: float = 1.0,
        points: ArrayLike | None = None,
        cursor: int = 10,
        **kwargs: Any,
    ) -> None:
        kind = _kind(kind)
        steps = _whole(steps, *_WHOLES["steps"])
        peak = _number(peak, *_BOUNDS["peak"])
        values = sample("cosine", steps, peak) if points is None else _points(points)
        if kind == "painted":
            peak = float(np.clip(max(values), LOWEST_PEAK, TOP))
        super().__init__(
            kind=kind,
            steps=steps,
            peak=peak,
            noise=_number(noise, *_BOUNDS["noise"]),
            points=values,
            cursor=_whole(cursor, *_WHOLES["cursor"]),
            seed=_whole(seed, *_WHOLES["seed"]),
            **kwargs,
        )

    @traitlets.validate("kind")
    def _check_kind(self, proposal: Any) -> str:
        return _kind(proposal["value"])

    @traitlets.validate("points")
    def _check_points(self, proposal: Any) -> list[float]:
        return _points(proposal["value"])

    @traitlets.validate("peak", "noise")
    def _check_number(self, proposal: Any) -> float:
        return _number(proposal["value"], *_BOUNDS[proposal["trait"].name])

    @traitlets.validate("steps", "seed", "cursor")
    def _check_whole(self, proposal: Any) -> int:
        return _whole(proposal["value"], *_WHOLES[proposal["trait"].name])

    def rates(self) -> NDArray:
        """The learning rates (T,) of the present schedule."""
        return learning_rates(self.kind, self.steps, self.peak, self.points)

    def _runs(self) -> tuple[NDArray, float, Descent, Descent]:
        rates = self.rates()
        top = float(rates.max()) if self.kind == "painted" else self.peak
        constant = descend(np.full(self.steps, top), self.noise, self.seed)
        return rates, top, descend(rates, self.noise, self.seed), constant

    @property
    def description(self) -> str:
        rates, top, own, constant = self._runs()
        floor = noise_floor(top, self.noise)
        ends = [
            f"ends at {run.mean[-1]:.3g}" if run.mean[-1] < run.mean[0] else "diverges"
            for run in (own, constant)
        ]
        limit = (
            "above 0.1 a constant rate diverges"
            if floor is None
            else f"the noise floor of the constant rate is {floor:.3g}"
        )
        return (
            f"A {self.kind} learning rate over {self.steps} steps, from {rates[0]:.3g} to {rates[-1]:.3g} with "
            f"the peak {top:.3g}, and below it the mean loss of {RUNS} noisy gradient descents in a ravine. From "
            f"{own.mean[0]:g} the loss under this schedule {ends[0]}, and under a constant rate of the same peak "
            f"{ends[1]}; {limit}."
        )

    def preview(self) -> str:
        rates, top, own, constant = self._runs()
        left, wide, T = 64.0, 516.0, self.steps
        body = ['<text x="16" y="26" font-size="15">Why start large and end small?</text>']

        def path(xs: NDArray, ys: NDArray, colour: str, extra: str = "") -> str:
            spots = "L".join(f"{x:.0f} {y:.1f}" for x, y in zip(xs, ys, strict=True))
            return f'<path d="M{spots}" fill="none" stroke="{colour}" stroke-width="2.4"{extra}/>'

        def line(y: float, words: str, colour: str = "#ddd") -> str:
            return (
                f'<path d="M{left:g} {y:.1f}h{wide:g}" stroke="{colour}"/>'
                f'<text x="{left - 6:g}" y="{y + 4:.1f}" text-anchor="end">{words}</text>'
            )

        dashes = ' stroke-dasharray="8 4"'
        body.append(f'<text x="{left:g}" y="52">learning rate ({self.kind}, blue; constant, dashed)</text>')
        body += [line(180 - 1000 * v, f"{v:g}") for v in (0, 0.04, 0.08, 0.12)]
        body.append(f'<path d="M{left:g} 80h{wide:g}" stroke="{RED}"/>')
        level = np.full(2, 180 - 1000 * top)
        body.append(path(np.array([left, left + wide]), level, ORANGE, dashes))
        body.append(path(left + np.arange(T) / (T - 1) * wide, 180 - 1000 * rates, BLUE))
        body.append(f'<text x="{left:g}" y="214">loss, mean of {RUNS} runs</text>')

        def height(loss: ArrayLike) -> NDArray:
            return 402 - 30 * (np.clip(np.log10(np.maximum(loss, 1e-30)), -4, 2) + 4)

        names = ("10⁻⁴", "0.01", "1", "100")
        body += [line(float(height(10.0**e)), n) for e, n in zip((-4, -2, 0, 2), names, strict=True)]
        x = left + np.arange(T + 1) / T * wide
        body.append(path(x, height(constant.mean), ORANGE, dashes))
        body.append(path(x, height(own.mean), BLUE))
        floor = noise_floor(top, self.noise)
        if floor:
            y = float(height(floor))
            body.append(f'<path d="M{left:g} {y:.1f}h{wide:g}" stroke="#000" stroke-dasharray="2 3"/>')
        body += [
            f'<text x="{left + t / T * wide:.0f}" y="420" text-anchor="middle">{t}</text>'
            for t in (0, T // 2, T)
        ]
        tail = "diverges" if floor is None else f"noise floor {floor:.3g} (dotted)"
        body.append(
            f'<text x="16" y="446">After {T} steps: schedule {own.mean[-1]:.3g}, constant rate '
            f"{constant.mean[-1]:.3g}, {tail}.</text>"
        )
        return svg_document(left + wide + 20, 460, "".join(body))
