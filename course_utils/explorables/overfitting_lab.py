"""When does a better fit predict worse? Polynomials fitted to noisy points, with errors at every degree.

The functions in this module are the NumPy twins of those in ``overfitting_lab.js``; the tests compare both. A
polynomial is written in Legendre polynomials P_0 ... P_d on [-1, 1], because the powers x^k are so alike there
that the fit of a high degree would be lost to rounding. Its coefficients c minimise

    mean((Phi c - y)^2) + penalty * sum(c^2),

ridge regression (Hoerl and Kennard, 1970, doi:10.1080/00401706.1970.10488634). The constant is penalised like
the others; so with a penalty that goes to zero, and with zero itself, c is the smallest of the best solutions.
With more coefficients than points that is the one with the second descent of the error (Schaeffer et al., 2023,
arXiv:2303.14151).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import traitlets
from numpy.polynomial.legendre import legvander
from numpy.typing import ArrayLike, NDArray

from course_utils.explorables._base import BLUE, GREY, ORANGE, PURPLE, Explorable, svg_document
from course_utils.explorables.playground import _mulberry32, _normal

MAX_DEGREE = 20
MIN_EXAMPLES, MAX_EXAMPLES = 4, 40
MAX_NOISE = 0.6
MAX_PENALTY = 10.0
MAX_SEED = 9999
VALIDATION = 40  # number of validation points
REACH = 2.0  # points are dragged no farther than this from y = 0
EXACT = 1e-10  # a mean squared error below this counts as none
LOW, HIGH = -4, 3  # powers of ten of the error axis
_STEP = (math.sqrt(5) - 1) / 2  # multiples of the golden ratio, modulo 1, are spread evenly for every number
_TRAIN, _HELD_OUT = 1, 2  # purposes of the random streams


def truth(x: ArrayLike) -> NDArray:
    """The curve behind the points, sin(1.5 pi x), for ``x`` of any shape."""
    return np.sin(1.5 * np.pi * np.asarray(x, dtype=float))


def _draw(count: int, noise: float, seed: int, purpose: int) -> tuple[NDArray, NDArray]:
    random = _mulberry32((seed + 1) * 2654435761 + purpose)
    begin = random()
    x = np.array([math.floor(200 * ((begin + i * _STEP) % 1) + 0.5) / 100 - 1 for i in range(count)])
    return x, truth(x) + noise * np.array([_normal(random) for _ in range(count)])


def training_points(examples: int, noise: float, seed: int) -> tuple[NDArray, NDArray]:
    """``examples`` points of the curve with normal noise of standard deviation ``noise``: x and y, (examples,).

    More examples keep the first ones; another noise scales the same errors.
    """
    return _draw(examples, noise, seed, _TRAIN)


def validation_points(noise: float, seed: int) -> tuple[NDArray, NDArray]:
    """The :data:`VALIDATION` points that no fit sees: x and y, (VALIDATION,)."""
    return _draw(VALIDATION, noise, seed, _HELD_OUT)


def fit(x: ArrayLike, y: ArrayLike, degree: int, penalty: float = 0.0) -> NDArray:
    """Coefficients c (degree + 1,) of P_0 ... P_degree; see the module's text for what they minimise.

    Parameters
    ----------
    x, y : (n,)
    degree : 0 or more
    penalty : 0 or more; with 0 the smallest c among the best
    """
    Phi, y = legvander(np.asarray(x, dtype=float), degree), np.asarray(y, dtype=float)
    if penalty > 0:
        Phi = np.vstack([Phi, math.sqrt(len(y) * penalty) * np.eye(degree + 1)])
        y = np.concatenate([y, np.zeros(degree + 1)])
    return np.linalg.lstsq(Phi, y, rcond=None)[0]


def predict(c: ArrayLike, x: ArrayLike) -> NDArray:
    """The polynomial with the Legendre coefficients ``c`` (degree + 1,) at the places ``x`` (n,)."""
    c = np.asarray(c, dtype=float)
    return legvander(np.asarray(x, dtype=float), len(c) - 1) @ c


def errors(
    train: tuple[ArrayLike, ArrayLike], held_out: tuple[ArrayLike, ArrayLike], penalty: float = 0.0
) -> tuple[NDArray, NDArray]:
    """Mean squared errors on both sets of points, (MAX_DEGREE + 1,) each, for the degrees 0 ... MAX_DEGREE."""
    out = np.zeros((2, MAX_DEGREE + 1))
    for degree in range(MAX_DEGREE + 1):
        c = fit(*train, degree, penalty)
        for row, (x, y) in enumerate((train, held_out)):
            out[row, degree] = np.mean((predict(c, x) - np.asarray(y)) ** 2)
    return out[0], out[1]


def _number(value: Any, name: str, low: float, high: float) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise ValueError(f"OverfittingLab needs a number for {name}, not {value!r}.")
    if not low <= value <= high:
        raise ValueError(f"OverfittingLab needs {name} from {low:g} to {high:g}, not {value!r}.")
    return float(value)


def _whole(value: Any, name: str, low: int, high: int) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or not low <= value <= high:
        raise ValueError(
            f"OverfittingLab needs a whole number as {name} from {low} to {high}, not {value!r}."
        )
    return int(value)


_RANGES = {
    "degree": (_whole, "the degree", 0, MAX_DEGREE),
    "noise": (_number, "a noise", 0, MAX_NOISE),
    "examples": (_whole, "the number of examples", MIN_EXAMPLES, MAX_EXAMPLES),
    "penalty": (_number, "a penalty", 0, MAX_PENALTY),
    "seed": (_whole, "the seed", 0, MAX_SEED),
}


def _checked(name: str, value: Any) -> Any:
    check, *rest = _RANGES[name]
    return check(value, *rest)


def _size(value: float) -> str:
    """Three significant digits, as the figure writes them: 0.105, 12.3, 3.2×10⁻⁸."""
    if abs(value) < EXACT:
        return "0"
    if 0.001 <= abs(value) < 9999.5:
        return f"{float(f'{value:.3g}'):g}"
    digits, power = f"{value:.1e}".split("e")
    return f"{digits}×10{str(int(power)).translate(str.maketrans('-0123456789', '⁻⁰¹²³⁴⁵⁶⁷⁸⁹'))}"


class OverfittingLab(Explorable):
    """When does a better fit predict worse?

    A polynomial is fitted to noisy points of a curve by ridge regression. On the left the fit, its training
    points, which can be dragged, and the validation points; on the right the mean squared error on both, for
    every degree from 0 to 20. A click on a degree shows its fit.

    Parameters
    ----------
    degree : of the polynomial, 0 to 20; it has degree + 1 coefficients
    noise : standard deviation of the points round the curve, 0 to 0.6
    examples : number of training points, 4 to 40
    penalty : weight of the sum of squared coefficients beside the mean squared error, 0 to 10
    seed : 0 to 9999; the same seed draws the same points

    Raises
    ------
    ValueError
        For a value of the wrong kind or out of its range.
    """

    _js = "overfitting_lab.js"

    degree = traitlets.Int(9).tag(sync=True)
    noise = traitlets.Float(0.2).tag(sync=True)
    examples = traitlets.Int(12).tag(sync=True)
    penalty = traitlets.Float(0.0).tag(sync=True)
    seed = traitlets.Int(0).tag(sync=True)
    moved = traitlets.Dict().tag(sync=True)  # number of a training point, as text -> [x, y] where it was put

    def __init__(
        self,
        degree: int = 9,
        noise: float = 0.2,
        examples: int = 12,
        penalty: float = 0.0,
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        given = {"degree": degree, "noise": noise, "examples": examples, "penalty": penalty, "seed": seed}
        super().__init__(**{name: _checked(name, value) for name, value in given.items()}, **kwargs)

    @traitlets.validate("degree", "noise", "examples", "penalty", "seed")
    def _check(self, proposal: Any) -> Any:
        return _checked(proposal["trait"].name, proposal["value"])

    @traitlets.validate("moved")
    def _check_moved(self, proposal: Any) -> dict[str, list[float]]:
        value = proposal["value"]
        try:
            if not isinstance(value, Mapping):
                raise TypeError
            out = {str(int(key)): [float(x), float(y)] for key, (x, y) in value.items()}
            if any(not (abs(x) <= 1 and abs(y) <= REACH) for x, y in out.values()):
                raise ValueError
        except (TypeError, ValueError):
            raise ValueError(
                f"OverfittingLab needs moved points as {{number: [x, y]}} with x from -1 to 1 and y from "
                f"-{REACH:g} to {REACH:g}."
            ) from None
        return out

    def points(self) -> tuple[NDArray, NDArray]:
        """The training points with those that were dragged: x and y, (examples,)."""
        x, y = training_points(self.examples, self.noise, self.seed)
        for key, place in self.moved.items():
            if 0 <= int(key) < len(x):
                x[int(key)], y[int(key)] = place
        return x, y

    def errors(self) -> tuple[NDArray, NDArray]:
        """Training and validation error for the degrees 0 ... 20, (21,) each."""
        return errors(self.points(), validation_points(self.noise, self.seed), self.penalty)

    @property
    def description(self) -> str:
        train, held_out = self.errors()
        best = int(np.argmin(held_out))
        return (
            f"Left: a polynomial of degree {self.degree} fitted to {self.examples} points of a sine curve with "
            f"noise {self.noise:g}, penalty {self.penalty:g}. Right: its mean squared error at every degree from "
            f"0 to {MAX_DEGREE}. At degree {self.degree} the training error is {_size(train[self.degree])} and "
            f"the validation error {_size(held_out[self.degree])}. The training error goes with the degree "
            f"from {_size(train[0])} to {_size(train[-1])}; the validation error is lowest at degree {best}, "
            f"{_size(held_out[best])}, and highest at degree {int(np.argmax(held_out))}, "
            f"{_size(held_out.max())}."
        )

    def preview(self) -> str:
        (x, y), (vx, vy) = self.points(), validation_points(self.noise, self.seed)
        train, held_out = self.errors()
        best, top, tall = int(np.argmin(held_out)), 62.0, 240.0

        def left(u: float, v: float) -> tuple[float, float]:
            return 46 + 145 * (u + 1), top + tall * (2.2 - v) / 4.4

        def right(degree: float, error: float) -> tuple[float, float]:
            power = np.clip(np.log10(max(error, 1e-30)), LOW, HIGH)
            return 400 + 14 * degree, float(top + tall * (HIGH - power) / (HIGH - LOW))

        def curve(at: list[tuple[float, float]], style: str) -> str:
            return f'<path d="M{"L".join(f"{a:.1f} {b:.1f}" for a, b in at)}" fill="none" {style}/>'

        u = np.linspace(-1, 1, 121)
        fitted = np.clip(predict(fit(x, y, self.degree, self.penalty), u), -9, 9)
        body = [
            '<text x="16" y="26" font-size="15">When does a better fit predict worse?</text>',
            f'<text x="46" y="52">degree {self.degree}, {self.examples} points</text>',
            '<text x="400" y="52">mean squared error by degree</text>',
            f'<rect x="46" y="{top:g}" width="290" height="{tall:g}" fill="none" stroke="#ccc"/>',
            f'<rect x="393" y="{top:g}" width="294" height="{tall:g}" fill="none" stroke="#ccc"/>',
            curve(
                [left(a, b) for a, b in zip(u, truth(u), strict=True)],
                f'stroke="{GREY}" stroke-dasharray="5 4"',
            ),
        ]
        for a, b in zip(vx, vy, strict=True):
            px, py = left(a, b)
            body.append(
                f'<rect x="{px - 3:.1f}" y="{py - 3:.1f}" width="6" height="6" fill="none" stroke="{ORANGE}"/>'
            )
        line = curve(
            [left(a, b) for a, b in zip(u, fitted, strict=True)], f'stroke="{PURPLE}" stroke-width="2.4"'
        )
        body.append(  # the inner svg cuts off what leaves the chart
            f'<svg x="46" y="{top:g}" width="290" height="{tall:g}" viewBox="46 {top:g} 290 {tall:g}">{line}</svg>'
        )
        for a, b in zip(x, y, strict=True):
            px, py = left(a, float(np.clip(b, -2.2, 2.2)))
            body.append(f'<circle cx="{px:.1f}" cy="{py:.1f}" r="5" fill="{BLUE}" stroke="#fff"/>')
        for v in (-2, 0, 2):
            body.append(
                f'<text x="40" y="{left(0, v)[1] + 4:.1f}" text-anchor="end">{str(v).replace("-", "−")}</text>'
            )
        for power in range(LOW, HIGH + 1, 2):
            label = f"10{str(power).translate(str.maketrans('-0123456789', '⁻⁰¹²³⁴⁵⁶⁷⁸⁹'))}"
            body.append(
                f'<text x="387" y="{right(0, 10.0**power)[1] + 4:.1f}" text-anchor="end">{label}</text>'
            )
        for degree in range(0, MAX_DEGREE + 1, 5):
            body.append(f'<text x="{400 + 14 * degree}" y="320" text-anchor="middle">{degree}</text>')
        here = right(self.degree, 1)[0]
        body.append(f'<path d="M{here:.1f} {top:g}v{tall:g}" stroke="#999" stroke-dasharray="2 3"/>')
        for values, colour, shape in ((train, BLUE, "circle"), (held_out, ORANGE, "square")):
            at = [right(k, e) for k, e in enumerate(values)]
            body.append(curve(at, f'stroke="{colour}" stroke-width="2"'))
            for a, b in at:
                body.append(
                    f'<circle cx="{a:.1f}" cy="{b:.1f}" r="3" fill="{colour}"/>'
                    if shape == "circle"
                    else f'<rect x="{a - 3:.1f}" y="{b - 3:.1f}" width="6" height="6" fill="{colour}"/>'
                )
        px, py = right(best, held_out[best])
        body.append(
            f'<circle cx="{px:.1f}" cy="{py:.1f}" r="8" fill="none" stroke="#000" stroke-width="1.6"/>'
        )
        for v in (-1, 0, 1):
            label = str(v).replace("-", "−")
            body.append(f'<text x="{left(v, 0)[0]:.1f}" y="320" text-anchor="middle">{label}</text>')
        body.append('<text x="191" y="338" text-anchor="middle">x</text>')
        body.append('<text x="540" y="338" text-anchor="middle">degree</text>')
        body.append(
            '<text x="16" y="364">Blue dots: training; orange squares: validation; dashed: the curve behind the '
            "points.</text>"
            f'<text x="16" y="383">Degree {self.degree}: training error {_size(train[self.degree])}, validation '
            f"error {_size(held_out[self.degree])}. Lowest (ring): {_size(held_out[best])}, at "
            f"degree {best}.</text>"
        )
        return svg_document(704, 398, "".join(body))
