"""House prices by district: reading the California housing table, and a sample that the course invents.

The sample is a coast that does not exist, in the coordinates and with the columns of the real table. Two
cities, some thirty towns and scattered districts lie along it; what a house is worth follows from income,
from the ways to the cities and to the sea, and from neighbourhoods that no column names.
"""

from __future__ import annotations

import csv
import math
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from ._dataset import DataError
from ._digits import stratified_split

Array = np.ndarray

FEATURE_NAMES = [
    "longitude",
    "latitude",
    "housing_median_age",
    "total_rooms",
    "total_bedrooms",
    "population",
    "households",
    "median_income",
]
CATEGORY_NAMES = ["<1H OCEAN", "INLAND", "ISLAND", "NEAR BAY", "NEAR OCEAN"]
CAP = 500_001.0  # values above 500,000 dollars were all written as this
N_SAMPLE = 2500
TEST_SHARE = 0.2
_HEADER = [*FEATURE_NAMES, "median_house_value", "ocean_proximity"]
_MAY_BE_EMPTY = FEATURE_NAMES.index("total_bedrooms")
_EAST = 0.8  # a degree of longitude over a degree of latitude, at these latitudes


def read_csv(path: Path) -> dict[str, Any]:
    """Read ``housing.csv`` and split it.

    Parameters
    ----------
    path : Path
        The table: a header, then a row for each district, nine numbers and the name of its category.

    Returns
    -------
    dict
        The fields of :func:`make_sample`.

    Raises
    ------
    DataError
        If the file is not that table, in one sentence.
    """

    def malformed(why: str) -> DataError:
        return DataError(f"{path} is not a valid housing table: {why}; delete it and load the data again.")

    try:
        with path.open(encoding="utf-8", newline="") as stream:
            rows = list(csv.reader(stream))
    except (UnicodeDecodeError, csv.Error):
        raise malformed("it is not comma-separated text") from None
    if not rows or rows[0] != _HEADER:
        raise malformed(f"its first line does not name the {len(_HEADER)} columns that it should")
    if len(rows) < 11:
        raise malformed(f"it has {len(rows) - 1} districts")
    numbers = np.empty((len(rows) - 1, len(_HEADER) - 1))
    category = np.empty(len(rows) - 1, dtype=np.int64)
    index = {name: number for number, name in enumerate(CATEGORY_NAMES)}
    for i, row in enumerate(rows[1:]):
        line = i + 2
        if len(row) != len(_HEADER):
            raise malformed(f"line {line} has {len(row)} values, not {len(_HEADER)}")
        if not row[_MAY_BE_EMPTY]:
            row[_MAY_BE_EMPTY] = "nan"
        try:
            numbers[i] = row[:-1]
        except ValueError:
            raise malformed(f"line {line} has a gap or a word where a number should be") from None
        if row[-1] not in index:
            raise malformed(f"line {line} has the unknown category {row[-1]!r}")
        category[i] = index[row[-1]]
    complete = np.delete(numbers, _MAY_BE_EMPTY, axis=1)
    if not np.isfinite(complete).all():
        line = 2 + int(np.flatnonzero(~np.isfinite(complete).all(axis=1))[0])
        raise malformed(f"line {line} has a gap or a word where a number should be")
    return _split(numbers[:, :-1], category, numbers[:, -1])


@lru_cache(maxsize=1)
def make_sample() -> dict[str, Any]:
    """2,500 districts on an invented coast.

    Returns
    -------
    dict
        ``x_train`` (2000, 8) and ``x_test`` (500, 8) float64, the columns of ``feature_names``, with NaN
        where ``total_bedrooms`` is not known; ``category_train`` and ``category_test`` int64 into
        ``category_names``; ``y_train`` and ``y_test`` float64, the median house value in US dollars, at
        most 500,001. The fifth that is the test part has each category in its share.
    """
    rng = np.random.default_rng(1990)
    n = N_SAMPLE
    east, latitude = _places(rng, n)
    longitude = _coast(latitude) + east
    islands = np.arange(5)  # in the channel off the southern city
    longitude[islands] = -119.3 + rng.uniform(-0.06, 0.06, 5)
    latitude[islands] = 33.55 + rng.uniform(-0.03, 0.03, 5)
    longitude, latitude = longitude.round(2), latitude.round(2)
    category, to_bay, to_south, to_sea = _geography(longitude, latitude)
    category[islands], to_sea[islands] = CATEGORY_NAMES.index("ISLAND"), 0.0

    # What makes one neighbourhood richer or dearer than another changes smoothly from place to place.
    wealth = _field(rng, longitude, latitude, length=0.2)
    charm = _field(rng, longitude, latitude, length=0.3)
    near_city = np.maximum(np.exp(-to_bay / 0.7), 0.9 * np.exp(-to_south / 0.8))
    income = np.exp(1.20 + 0.15 * near_city + 0.24 * wealth + 0.36 * rng.standard_normal(n))
    income = np.clip(income, 0.4999, 15.0001).round(4)
    age = 21.0 + 18.0 * near_city - 1.5 * wealth + 12.5 * rng.standard_normal(n)
    age = np.minimum(1.0 + np.abs(age - 1.0).round(), 52.0)
    households = np.exp(6.03 + 0.70 * rng.standard_normal(n) - 0.012 * (age - 28.0))
    rooms_each = (4.9 + 0.55 * (income - 3.9)).clip(2.2, 9.0) * np.exp(0.12 * rng.standard_normal(n))
    people_each = 2.85 * np.exp(0.22 * rng.standard_normal(n) - 0.05 * wealth)
    barracks = rng.random(n) < 0.0025  # also prisons and colleges: many people, few households
    resort = rng.random(n) < 0.012  # holiday homes: many rooms, few households
    households = np.where(resort, 0.15 * households, households)
    rooms_each = np.where(resort, 5.0 * rooms_each, rooms_each)
    households = np.maximum(households.round(), 2.0)
    rooms = np.maximum((households * rooms_each).round(), households)
    bedrooms_share = np.clip(0.205 - 0.025 * np.log(rooms_each / 5.2), 0.1, 0.5)
    bedrooms = np.maximum(
        (rooms * bedrooms_share * np.exp(0.06 * rng.standard_normal(n))).round(), np.ceil(households / 2)
    )
    crowd = np.where(barracks, np.exp(rng.uniform(1.5, 4.5, n)), 1.0)
    population = np.maximum((households * people_each * crowd).round(), households)

    value = (
        10.97
        + 0.62 * np.log(income)
        + 0.55 * near_city * np.log(income)  # money bids against money near the jobs
        + 0.20 * near_city
        + 0.42 * np.exp(-to_sea / 0.22)
        + 0.20 * charm
        - 0.33 * np.log(people_each / 2.85)
        + 0.007 * (age - 28.0) * near_city  # old is quaint in town and run down elsewhere
        - 0.004 * (age - 28.0) * (1.0 - near_city)
        + 0.21 * rng.standard_normal(n)
    )
    value = np.clip(np.round(np.exp(value), -2), 14_999.0, CAP)
    bedrooms[rng.random(n) < 0.01] = np.nan
    x = np.stack([longitude, latitude, age, rooms, bedrooms, population, households, income], axis=1)
    fields = _split(x, category, value)
    for field in fields.values():
        if isinstance(field, np.ndarray):
            field.flags.writeable = False  # kept for the next call: load hands out copies
    return fields


def _split(x: Array, category: Array, y: Array) -> dict[str, Any]:
    """A fifth of the districts, the same ones each time, is the test part."""
    train, test = stratified_split(category, round(TEST_SHARE * len(y)), seed=0)
    return {
        "x_train": x[train],
        "category_train": category[train],
        "y_train": y[train],
        "x_test": x[test],
        "category_test": category[test],
        "y_test": y[test],
        "feature_names": FEATURE_NAMES,
        "category_names": CATEGORY_NAMES,
    }


def _coast(latitude: Array) -> Array:
    """Longitude of the invented coast."""
    return -118.3 - 0.64 * (latitude - 32.5) + 0.35 * np.sin(1.3 * latitude) + 0.12 * np.sin(3.7 * latitude)


def _places(rng: np.random.Generator, n: int) -> tuple[Array, Array]:
    """Degrees of longitude east of the coast, and latitude: of cities, towns and the country between."""
    towns = 32
    town_east = np.concatenate([[0.15, 0.25], rng.gamma(0.9, 1.4, towns).clip(0.05, 4.2)])
    town_latitude = np.concatenate([[37.6, 34.1], rng.uniform(32.7, 41.0, towns)])
    weights = np.concatenate([[0.18, 0.32], np.full(towns, 0.5 / towns)])
    spread = np.concatenate([[0.34, 0.42], rng.uniform(0.05, 0.16, towns)])
    home = rng.choice(towns + 2, size=n, p=weights)
    stretch = spread[home] * rng.gamma(2.0, 0.5, n)  # dense in the middle, thin outside
    turn = rng.uniform(0.0, 2.0 * np.pi, n)
    east = town_east[home] + stretch * np.cos(turn) / _EAST
    latitude = town_latitude[home] + stretch * np.sin(turn)
    country = rng.random(n) < 0.05
    east = np.where(country, rng.uniform(0.05, 4.5, n), east)
    latitude = np.where(country, rng.uniform(32.6, 41.9, n), latitude)
    return np.abs(east) + 0.01, latitude.clip(32.54, 41.95)  # who would stand in the sea moves ashore


def _geography(longitude: Array, latitude: Array) -> tuple[Array, Array, Array, Array]:
    """Category, and the ways in degrees to the bay city, to the southern city and to the sea."""

    def way(to_latitude: float, east: float) -> Array:
        to_longitude = float(_coast(np.array(to_latitude))) + east
        return np.hypot(_EAST * (longitude - to_longitude), latitude - to_latitude)

    to_bay, to_south = way(37.6, 0.15), way(34.1, 0.25)
    to_sea = np.abs(_EAST * (longitude - _coast(latitude)))
    category = np.full(len(longitude), CATEGORY_NAMES.index("INLAND"))
    category[to_sea < 0.42] = CATEGORY_NAMES.index("<1H OCEAN")
    category[to_sea < 0.07] = CATEGORY_NAMES.index("NEAR OCEAN")
    category[to_bay < 0.27] = CATEGORY_NAMES.index("NEAR BAY")
    return category.astype(np.int64), to_bay, to_south, to_sea


def _field(rng: np.random.Generator, longitude: Array, latitude: Array, length: float) -> Array:
    """A smooth random landscape with variance one: a sum of waves, correlated over about ``length`` degrees."""
    waves = 60
    frequency = rng.standard_normal((2, waves)) / length
    phase = rng.uniform(0.0, 2.0 * math.pi, waves)
    place = np.stack([_EAST * longitude, latitude], axis=1)
    return math.sqrt(2.0 / waves) * np.cos(place @ frequency + phase).sum(axis=1)
