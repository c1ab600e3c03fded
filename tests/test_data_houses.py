"""House prices: the sample resembles the real table in what lessons use, and a bad file is explained."""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path

import numpy as np
import pytest

from course_utils import data
from course_utils.data import _houses, _registry
from course_utils.data._dataset import DataError

HEADER = (
    "longitude,latitude,housing_median_age,total_rooms,total_bedrooms,population,households,"
    "median_income,median_house_value,ocean_proximity"
)
ROW = "-122.23,37.88,41.0,880.0,129.0,322.0,126.0,8.3252,452600.0,NEAR BAY"


def column(houses: data.Dataset, name: str) -> np.ndarray:
    return np.concatenate([houses.x_train, houses.x_test])[:, houses.feature_names.index(name)]


@pytest.fixture(scope="module")
def sample() -> data.Dataset:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COURSE_DATA", "sample")
        return data.load("houses")


@pytest.fixture(scope="module")
def full() -> data.Dataset:
    """The real table, where a mirror or the cache has it."""
    mirror = os.environ.get("COURSE_DATA_MIRROR", "")
    folders = [Path(mirror)] if mirror and not mirror.startswith("http") else []
    repository = Path(__file__).resolve().parents[1]
    (file,) = _registry.read()["houses"]["full"].files.values()
    for folder in [*folders, *(repository / f for f in folders), data.cache_folder()]:
        path = folder / file.path
        if path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == file.sha256:
            fields = _houses.read_csv(path)
            return data.Dataset(name="houses", version="full", about="", licence="", citation="", **fields)
    pytest.skip("California housing is neither in a mirror folder nor in the cache")


@pytest.fixture(params=["sample", "full"])
def houses(request: pytest.FixtureRequest) -> data.Dataset:
    return request.getfixturevalue(request.param)


def test_both_versions_have_the_same_form(houses: data.Dataset) -> None:
    n_train, n_test = {"sample": (2000, 500), "full": (16_512, 4_128)}[houses.version]
    assert houses.x_train.shape == (n_train, 8) and houses.x_test.shape == (n_test, 8)
    for part, n in (("train", n_train), ("test", n_test)):
        y, category = getattr(houses, f"y_{part}"), getattr(houses, f"category_{part}")
        assert y.shape == category.shape == (n,)
        assert y.dtype == np.float64 and category.dtype == np.int64
    assert houses.feature_names == HEADER.split(",")[:8]
    assert houses.category_names == ["<1H OCEAN", "INLAND", "ISLAND", "NEAR BAY", "NEAR OCEAN"]


def test_gaps_are_in_bedrooms_alone_and_about_one_in_a_hundred(houses: data.Dataset) -> None:
    x = np.concatenate([houses.x_train, houses.x_test])
    gaps = np.isnan(x).mean(axis=0)
    bedrooms = houses.feature_names.index("total_bedrooms")
    assert 0.005 < gaps[bedrooms] < 0.02 and not np.delete(gaps, bedrooms).any()
    assert np.isnan(houses.x_train[:, bedrooms]).any() and np.isnan(houses.x_test[:, bedrooms]).any()
    if houses.version == "full":
        assert np.isnan(x).sum() == 207


def test_ranges_and_skew(houses: data.Dataset) -> None:
    limits = {
        "longitude": (-124.5, -114.0),
        "latitude": (32.5, 42.0),
        "housing_median_age": (1, 52),
        "total_rooms": (2, 40_000),
        "population": (3, 36_000),
        "households": (1, 8_000),
        "median_income": (0.4999, 15.0001),
    }
    for name, (low, high) in limits.items():
        values = column(houses, name)
        assert low <= values.min() and values.max() <= high, name
    for name in ("total_rooms", "population", "households", "median_income"):
        values = column(houses, name)
        assert values.mean() > 1.08 * np.median(values), f"{name} has a long right tail"
    rooms, bedrooms = column(houses, "total_rooms"), column(houses, "total_bedrooms")
    known = np.isfinite(bedrooms)
    assert (bedrooms[known] <= rooms[known]).all()


def test_values_are_capped(houses: data.Dataset) -> None:
    y = np.concatenate([houses.y_train, houses.y_test])
    assert y.max() == _houses.CAP and y.min() >= 14_999
    assert 0.03 < (y == _houses.CAP).mean() < 0.07
    assert np.mean(y) > 1.05 * np.median(y)


def test_categories_keep_their_shares_in_the_split(houses: data.Dataset) -> None:
    train = np.bincount(houses.category_train, minlength=5) / len(houses.category_train)
    test = np.bincount(houses.category_test, minlength=5) / len(houses.category_test)
    assert np.abs(train - test).max() < 0.002
    island = houses.category_names.index("ISLAND")
    assert (houses.category_train == island).sum() == 4 and (houses.category_test == island).sum() == 1
    assert train[houses.category_names.index("INLAND")] > 0.25


def test_rows_are_shuffled_and_no_district_is_on_both_sides(houses: data.Dataset) -> None:
    longitude = houses.x_train[:, 0]
    assert abs(np.corrcoef(longitude[:-1], longitude[1:])[0, 1]) < 0.1
    both = np.concatenate([np.nan_to_num(houses.x_train), np.nan_to_num(houses.x_test)])
    both = np.column_stack([both, np.concatenate([houses.y_train, houses.y_test])])
    assert len(np.unique(both, axis=0)) == len(both)


def test_there_is_something_to_find_for_a_line_and_more_for_trees(houses: data.Dataset) -> None:
    from sklearn.ensemble import HistGradientBoostingRegressor

    def table(x: np.ndarray, category: np.ndarray) -> np.ndarray:
        filled = np.where(np.isnan(x), np.nanmedian(houses.x_train, axis=0), x)
        return np.column_stack([filled, np.eye(5)[category]])

    train = table(houses.x_train, houses.category_train)
    test = table(houses.x_test, houses.category_test)
    weights = np.linalg.lstsq(train, houses.y_train, rcond=None)[0]

    def r2(predicted: np.ndarray) -> float:
        return float(1 - np.mean((predicted - houses.y_test) ** 2) / houses.y_test.var())

    trees = HistGradientBoostingRegressor(max_iter=60, random_state=0).fit(train, houses.y_train)
    assert 0.55 < r2(test @ weights) < 0.75
    assert r2(test @ weights) + 0.08 < r2(trees.predict(test)) < 0.88
    income = column(houses, "median_income")
    assert np.corrcoef(income, np.concatenate([houses.y_train, houses.y_test]))[0, 1] > 0.6


def test_prices_are_dear_by_the_sea(houses: data.Dataset) -> None:
    inland = houses.category_names.index("INLAND")
    medians = [np.median(houses.y_train[houses.category_train == k]) for k in range(5)]
    assert medians[inland] == min(medians) and medians[inland] < 0.7 * np.median(medians)


def test_sample_is_the_same_each_time_and_quick(sample: data.Dataset) -> None:
    times = []
    for _ in range(3):
        start = time.process_time()
        again = _houses.make_sample.__wrapped__()
        times.append(time.process_time() - start)
    assert min(times) < 0.25  # 0.02 s; the room is for a slow machine
    for field in ("x_train", "x_test", "y_train", "category_test"):
        assert np.array_equal(getattr(sample, field), again[field], equal_nan=field.startswith("x"))


def test_reading_gives_what_the_table_says(tmp_path: Path) -> None:
    rows = [ROW] * 8 + [ROW.replace(",129.0,", ",,").replace("NEAR BAY", "INLAND")] * 12
    path = tmp_path / "housing.csv"
    path.write_text("\n".join([HEADER, *rows]) + "\n", encoding="utf-8")
    fields = _houses.read_csv(path)
    assert len(fields["y_train"]) == 16 and len(fields["y_test"]) == 4
    x = np.concatenate([fields["x_train"], fields["x_test"]])
    category = np.concatenate([fields["category_train"], fields["category_test"]])
    inland = category == 1
    assert inland.sum() == 12 and np.isnan(x[inland, 4]).all() and (x[~inland, 4] == 129).all()
    assert (x[:, [0, 1, 2, 3, 5, 6, 7]] == [-122.23, 37.88, 41, 880, 322, 126, 8.3252]).all()


BAD = {
    "empty": ("", "first line"),
    "other header": ("a,b,c\n1,2,3\n", "first line"),
    "no rows": (f"{HEADER}\n", "0 districts"),
    "short row": ("\n".join([HEADER, *[ROW] * 12, ROW.rpartition(",")[0]]), "line 14 has 9 values, not 10"),
    "word": ("\n".join([HEADER, *[ROW] * 12, ROW.replace("880.0", "many")]), "line 14"),
    "gap elsewhere": ("\n".join([HEADER, *[ROW] * 12, ROW.replace("880.0", "")]), "line 14"),
    "nan elsewhere": ("\n".join([HEADER, *[ROW] * 12, ROW.replace("880.0", "nan")]), "line 14"),
    "category": ("\n".join([HEADER, *[ROW] * 12, ROW.replace("NEAR BAY", "MOON")]), "'MOON'"),
    "bytes": (b"\xff\xfe\x00\x80" * 50, "not comma-separated text"),
}


@pytest.mark.parametrize(("content", "fragment"), BAD.values(), ids=BAD.keys())
def test_a_bad_file_gets_one_clear_sentence(tmp_path: Path, content: str | bytes, fragment: str) -> None:
    path = tmp_path / "housing.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(DataError) as caught:
        _houses.read_csv(path)
    message = str(caught.value)
    assert fragment in message and str(path) in message and "delete it" in message
    assert "\n" not in message
