"""Series in time: carbon dioxide over Mauna Loa, and the air of a city, hour by hour."""

from __future__ import annotations

import csv
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from course_utils.data._dataset import DataError

Array = np.ndarray

FEATURE_NAMES = ["dew point", "temperature", "pressure", "wind speed", "snow hours", "rain hours"]
WIND_NAMES = ["NW", "NE", "SE", "calm"]
SAMPLE_YEARS = 2
_HEADER = ["No", "year", "month", "day", "hour", "pm2.5", "DEWP", "TEMP", "PRES", "cbwd", "Iws", "Is", "Ir"]
_WINDS = {"NW": 0, "NE": 1, "SE": 2, "cv": 3}


def make_co2() -> dict[str, Any]:
    """Carbon dioxide in the air over Mauna Loa, Hawaii, once a week, as statsmodels ships it.

    Returns
    -------
    dict
        ``time`` (2284,) datetime64[D], every seventh day from 1958 to 2001; ``y`` (2284,) float64, parts per
        million, NaN in weeks without a measurement.
    """
    from statsmodels.datasets import co2

    table = co2.load_pandas().data["co2"]
    return {"time": table.index.to_numpy().astype("datetime64[D]"), "y": table.to_numpy(dtype=float)}


@lru_cache(maxsize=1)
def make_air() -> dict[str, Any]:
    """Two years of the air of a city that the course has invented, hour by hour.

    Weather systems pass every few days: a north-wester comes with rising pressure and dry, clean air, and between
    two of them dust gathers, faster in calm air and in the heating season. The day's rhythm is a small part of it.

    Returns
    -------
    dict
        ``time`` (17520,) datetime64[h]; ``y`` (17520,) float64, particles below 2.5 µm in µg/m³, NaN where the
        instrument was out of order; ``x`` (17520, 6) float64, the columns of ``feature_names``: dew point and
        temperature in °C, pressure in hPa, wind speed summed in m/s since the wind last turned, hours of snow
        and of rain so far; ``wind`` (17520,) int64 into ``wind_names``; ``feature_names``, ``wind_names``.
    """
    rng = np.random.default_rng(2010)
    n = 24 * 365 * SAMPLE_YEARS
    hour = np.arange(n)
    day = hour / 24
    season = np.cos(2 * np.pi * (day - 15) / 365)  # 1 in the middle of January
    clock = np.cos(2 * np.pi * (hour % 24 - 4) / 24)  # 1 at four in the morning

    # Fronts: every three to six days cold, dry air breaks in and then wears off.
    front = np.zeros(n)
    at = 0
    while at < n:
        at += int(rng.gamma(6.0, 17.0 - 4.0 * season[min(at, n - 1)]))
        if at < n:
            front[at] = rng.uniform(0.5, 1.5)
    cold = _decay(front, 30.0)
    fresh = _decay(front, 13.0)

    slow = _noise(rng, n, 60.0)
    temperature = 12.5 - 15.0 * season - 4.5 * clock * (1 - 0.2 * season) - 5.0 * cold + 1.8 * slow
    dew = temperature - 9.0 + 2.0 * clock - 9.0 * fresh + 2.5 * _noise(rng, n, 30.0) - 2.0 * season
    dew = np.minimum(dew, temperature)
    pressure = 1016.0 + 9.0 * season + 7.0 * cold + 2.5 * _noise(rng, n, 40.0)

    scores = np.stack(
        [
            1.9 * fresh + 0.5 * season - 0.5,
            -0.4 + 0.6 * _noise(rng, n, 20.0) + 0.3 * clock,
            0.5 - 0.9 * fresh - 0.35 * season - 0.7 * clock,
            0.1 - 1.2 * fresh + 0.4 * clock,
        ],
        axis=1,
    )
    wind = (scores + np.stack([_noise(rng, n, 5.0) for _ in range(4)], axis=1)).argmax(axis=1)
    gust = np.exp(0.6 + 0.9 * fresh + 0.4 * _noise(rng, n, 8.0)) * np.where(wind == 3, 0.25, 1.0)
    speed, snow, rain = np.zeros(n), np.zeros(n), np.zeros(n)
    wet = (_noise(rng, n, 6.0) > 1.6) & (dew > temperature - 11.0)
    for t in range(n):
        turned = t == 0 or wind[t] != wind[t - 1]
        speed[t] = gust[t] + (0.0 if turned else speed[t - 1])
        if wet[t]:
            falls, other = (snow, rain) if temperature[t] < 0.5 else (rain, snow)
            falls[t] = 1.0 + (falls[t - 1] if t else 0.0)
            other[t] = 0.0

    # What comes in and what is carried away, hour by hour.
    level = np.zeros(n)
    level[0] = 60.0
    drive = np.exp(0.80 * _noise(rng, n, 14.0) + 0.30 * season + 0.45 * clock - 0.40)
    carried = 0.026 + 0.13 * fresh**1.5 + 0.012 * np.where(wind == 0, gust, 0.0) + 0.05 * wet
    carried *= np.where(wind == 3, 0.75, 1.0)
    for t in range(1, n):
        level[t] = level[t - 1] * (1 - min(carried[t], 0.5)) + 4.6 * drive[t] * (
            0.5 if wind[t] == 0 else 1.15
        )
    measured = np.maximum(
        level * np.exp(0.09 * rng.standard_normal(n)) + 3.0 * rng.standard_normal(n), 2.0
    ).round()

    out_of_order = np.zeros(n, dtype=bool)
    for start in rng.choice(n, 45 * SAMPLE_YEARS, replace=False):
        out_of_order[
            start : start + int(rng.geometric(0.6) if rng.random() < 0.85 else rng.integers(12, 90))
        ] = True
    measured[out_of_order] = np.nan
    return {
        "time": np.datetime64("2010-01-01T00", "h") + hour,
        "y": measured,
        "x": np.stack(
            [dew.round(), temperature.round(), pressure.round(), speed.round(2), snow, rain], axis=1
        ),
        "wind": wind.astype(np.int64),
        "feature_names": FEATURE_NAMES,
        "wind_names": WIND_NAMES,
    }


def _decay(impulses: Array, hours: float) -> Array:
    """What is left of impulses that fade exponentially."""
    out = np.zeros_like(impulses)
    keep = np.exp(-1 / hours)
    for t in range(1, len(out)):
        out[t] = keep * out[t - 1] + impulses[t]
    return out


def _noise(rng: np.random.Generator, n: int, hours: float) -> Array:
    """Gaussian noise of variance 1 whose correlation falls by e in so many hours."""
    keep = np.exp(-1 / hours)
    steps = rng.standard_normal(n) * np.sqrt(1 - keep**2)
    out = np.empty(n)
    out[0] = rng.standard_normal()
    for t in range(1, n):
        out[t] = keep * out[t - 1] + steps[t]
    return out


def read_air(path: Path) -> dict[str, Any]:
    """Read the table of Beijing's air; fields as in :func:`make_air`, with 43,824 hours.

    Raises
    ------
    DataError
        If the file is not that table, in one sentence.
    """

    def malformed(why: str) -> DataError:
        return DataError(f"{path} is not a valid table of the air: {why}; delete it and load the data again.")

    try:
        with path.open(encoding="utf-8", newline="") as stream:
            rows = list(csv.reader(stream))
    except (UnicodeDecodeError, csv.Error):
        raise malformed("it is not comma-separated text") from None
    if not rows or rows[0] != _HEADER:
        raise malformed(f"its first line does not name the {len(_HEADER)} columns that it should")
    if len(rows) < 49:
        raise malformed(f"it has {len(rows) - 1} hours")
    time, y, x, wind = [], [], [], []
    for line, row in enumerate(rows[1:], start=2):
        if len(row) != len(_HEADER):
            raise malformed(f"line {line} has {len(row)} values, not {len(_HEADER)}")
        if row[9] not in _WINDS:
            raise malformed(f"line {line} has the unknown wind {row[9]!r}")
        try:
            time.append(f"{int(row[1]):04d}-{int(row[2]):02d}-{int(row[3]):02d}T{int(row[4]):02d}")
            y.append(np.nan if row[5] == "NA" else float(row[5]))
            x.append([float(row[i]) for i in (6, 7, 8, 10, 11, 12)])
        except ValueError:
            raise malformed(f"line {line} has a gap or a word where a number should be") from None
        wind.append(_WINDS[row[9]])
    try:
        hours = np.array(time, dtype="datetime64[h]")
    except ValueError:
        raise malformed("it has an hour that is in no calendar") from None
    if not (np.diff(hours) == np.timedelta64(1, "h")).all():
        raise malformed("an hour is missing or stands twice")
    return {
        "time": hours,
        "y": np.array(y),
        "x": np.array(x),
        "wind": np.array(wind, dtype=np.int64),
        "feature_names": FEATURE_NAMES,
        "wind_names": WIND_NAMES,
    }
