"""What ``data.load`` gives: fields, shapes, kinds, and that the data can be learnt from."""

from __future__ import annotations

import copy
import datetime
import pickle
import re
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest

from course_utils import data
from course_utils.data import (
    _dates,
    _fashion,
    _mobilenet,
    _names,
    _registry,
    _reviews,
    _series,
    _tales,
    _translation,
)
from course_utils.data._digits import cubic_resize_matrix, stratified_split, to_mnist_form

KINDS = ["blobs", "linear", "xor", "moons", "circles", "spirals"]


@pytest.fixture(autouse=True)
def sample_mode(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COURSE_DATA", "sample")


def linear_accuracy(
    x_train: np.ndarray, y_train: np.ndarray, x_test: np.ndarray, y_test: np.ndarray
) -> float:
    """Test accuracy of ridge regression on one-hot targets."""

    def flat(x: np.ndarray) -> np.ndarray:
        x = x.reshape(len(x), -1) / 255.0
        return np.hstack([x, np.ones((len(x), 1))])

    a, targets = flat(x_train), np.eye(y_train.max() + 1)[y_train]
    weights = np.linalg.solve(a.T @ a + 10.0 * np.eye(a.shape[1]), a.T @ targets)
    return float(np.mean((flat(x_test) @ weights).argmax(axis=1) == y_test))


@pytest.mark.parametrize(("name", "n_train", "n_test"), [("digits", 1437, 360), ("fashion", 2000, 500)])
def test_image_samples(name: str, n_train: int, n_test: int) -> None:
    loaded = data.load(name)
    assert loaded.fields == ("x_train", "y_train", "x_test", "y_test", "class_names")
    assert loaded.version == "sample" and loaded.name == name
    assert loaded.x_train.shape == (n_train, 28, 28) and loaded.x_test.shape == (n_test, 28, 28)
    assert loaded.y_train.shape == (n_train,) and loaded.y_test.shape == (n_test,)
    assert loaded.x_train.dtype == loaded.x_test.dtype == np.uint8
    assert loaded.y_train.dtype == loaded.y_test.dtype == np.int64
    assert loaded.x_train.min() == 0 and loaded.x_train.max() > 250
    assert len(loaded.class_names) == 10

    share = np.bincount(loaded.y_train) / n_train
    assert np.abs(share - 0.1).max() < 0.004
    assert np.abs(np.bincount(loaded.y_test) / n_test - share).max() < 0.003
    assert len(set(loaded.y_train[:30])) > 5, "shuffled"
    assert 20 < loaded.x_train.mean() < 90
    images = np.concatenate([loaded.x_train, loaded.x_test]).reshape(n_train + n_test, -1)
    assert len(np.unique(images, axis=0)) > 0.99 * len(images)

    accuracy = linear_accuracy(loaded.x_train, loaded.y_train, loaded.x_test, loaded.y_test)
    assert 0.70 < accuracy < 0.98, "learnable, but not trivial"


def test_digits_look_like_mnist() -> None:
    digits = data.load("digits")
    ink = digits.x_train / 255.0
    assert digits.x_train[:, [0, 1, -2, -1], :].max() == 0 and digits.x_train[:, :, [0, 1, -2, -1]].max() == 0
    place = np.arange(28)
    mass = ink.sum(axis=(1, 2))
    for sums in (ink.sum(axis=2), ink.sum(axis=1)):
        assert np.abs((sums @ place) / mass - 13.5).max() < 1.5, "the centre of mass is in the middle"
    assert 0.08 < (ink > 0.5).mean() < 0.2
    assert digits.class_names == [str(i) for i in range(10)]


def test_fashion_says_that_it_is_drawn() -> None:
    fashion = data.load("fashion")
    assert "drawings" in fashion.about and "not photographs" in fashion.about
    assert fashion.class_names[0] == "T-shirt/top" and fashion.class_names[9] == "Ankle boot"


def test_fashion_is_deterministic_and_quick() -> None:
    first = _fashion.make_sample()
    start = time.process_time()
    again = _fashion.make_sample.__wrapped__()
    assert time.process_time() - start < 5.0  # 1 to 2 s; the room is for a slow machine
    for field in ("x_train", "y_train", "x_test", "y_test"):
        assert np.array_equal(first[field], again[field])


def test_photos() -> None:
    photos = data.load("photos")
    assert photos.fields == ("images", "names")
    assert photos.images.shape == (2, 427, 640, 3) and photos.images.dtype == np.uint8
    assert photos.names == ["temple", "flower"]
    temple, flower = photos.images.astype(float)
    reddest = flower[..., 0] - flower[..., 1]
    rows, columns = np.nonzero(reddest > np.quantile(reddest, 0.95))
    assert abs(rows.mean() - 213) < 60 and abs(columns.mean() - 320) < 90, "the blossom is in the middle"
    assert temple[:50].mean(axis=(0, 1)).argmax() == 2, "the sky is blue"


def test_reviews() -> None:
    reviews = data.load("reviews")
    assert reviews.fields[:3] == ("text_train", "y_train", "kind_train")
    text, y, kind = (
        np.concatenate([getattr(reviews, f"{name}_{part}") for part in ("train", "test")])
        for name in ("text", "y", "kind")
    )
    assert len(reviews.text_train) == 960 and len(reviews.text_test) == 240
    assert len(set(text)) == len(text) == 1200 and y.dtype == np.int64
    assert 20 < np.mean([len(review) for review in text]) < 100
    for name, least in {"plain": 600, "negation": 120, "contrast": 120, "irony": 60, "mixed": 60}.items():
        for part in ("train", "test"):
            chosen = getattr(reviews, f"kind_{part}") == name
            assert getattr(reviews, f"y_{part}")[chosen].mean() == 0.5, "praise and blame in equal numbers"
        assert (kind == name).sum() >= least
        assert 0.15 < (reviews.kind_test == name).sum() / (kind == name).sum() < 0.25
    assert len(set(reviews.y_train[:20])) == 2 and len(set(reviews.kind_train[:40])) > 2, "shuffled"


def test_co2() -> None:
    co2 = data.load("co2")
    assert co2.fields == ("time", "y") and co2.time.dtype == np.dtype("datetime64[D]")
    assert (np.diff(co2.time) == np.timedelta64(7, "D")).all() and len(co2.y) == len(co2.time) == 2284
    known = ~np.isnan(co2.y)
    assert (~known).sum() == 59
    slope = np.polyfit(np.flatnonzero(known) / 52.18, co2.y[known], 1)[0]
    assert 1.0 < slope < 1.7, "ppm a year"
    months = co2.time.astype("datetime64[M]").astype(int) % 12
    yearly = [np.nanmean((co2.y - np.polyval(np.polyfit(np.flatnonzero(known), co2.y[known], 2),
                                             np.arange(2284)))[months == m]) for m in range(12)]  # fmt: skip
    assert np.argmax(yearly) == 4 and np.argmin(yearly) in (8, 9), "May is highest, autumn lowest"


def test_air() -> None:
    air = data.load("air")
    assert air.fields == ("time", "y", "x", "wind", "feature_names", "wind_names")
    assert (np.diff(air.time) == np.timedelta64(1, "h")).all()
    n = len(air.time)
    assert n == 2 * 365 * 24 and air.x.shape == (n, 6) and air.wind.shape == (n,) and np.isfinite(air.x).all()
    known = ~np.isnan(air.y)
    assert 0.02 < 1 - known.mean() < 0.08 and air.y[known].min() >= 2
    dew, temperature, pressure = air.x[:, 0], air.x[:, 1], air.x[:, 2]
    assert (dew <= temperature).all() and pressure.min() > 990 and pressure.max() < 1050
    month = air.time.astype("datetime64[M]").astype(int) % 12
    assert temperature[month == 0].mean() + 20 < temperature[month == 6].mean()
    level = np.log1p(np.where(known, air.y, np.nanmedian(air.y)))
    one, day = (np.corrcoef(level[:-lag], level[lag:])[0, 1] for lag in (1, 24))
    assert one > 0.9 > 0.6 > day > 0.1, "an hour ago says much, a day ago something"
    calm, north_west = (np.nanmean(air.y[air.wind == i]) for i in (3, 0))
    assert calm > 1.2 * north_west, "the north-wester cleans the air"


def test_air_is_deterministic() -> None:
    again = _series.make_air.__wrapped__()
    assert np.array_equal(again["y"], data.load("air").y, equal_nan=True)


AIR = "No,year,month,day,hour,pm2.5,DEWP,TEMP,PRES,cbwd,Iws,Is,Ir"


def air_rows() -> list[str]:
    return [
        AIR,
        *(
            f"{i},2010,1,{1 + i // 24},{i % 24},{'NA' if i < 2 else i},-21,-11,1021,NW,1.79,0,0"
            for i in range(60)
        ),
    ]


def test_air_is_read_from_its_table(tmp_path: Path) -> None:
    path = tmp_path / "air.csv"
    path.write_text("\n".join(air_rows()), encoding="utf-8")
    air = _series.read_air(path)
    assert air["time"][25] == np.datetime64("2010-01-02T01") and air["x"].shape == (60, 6)
    assert np.isnan(air["y"][:2]).all() and air["y"][5] == 5 and (air["wind"] == 0).all()


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda rows: rows[1:], "first line"),
        (lambda rows: rows[:10], "9 hours"),
        (lambda rows: [*rows[:5], "1,2", *rows[6:]], "line 6 has 2 values"),
        (lambda rows: [*rows[:5], rows[5].replace("NW", "XX"), *rows[6:]], "unknown wind 'XX'"),
        (lambda rows: [*rows[:5], rows[5].replace("-21", "cold"), *rows[6:]], "line 6 has a gap or a word"),
        (lambda rows: [*rows[:5], rows[5].replace(",1,1,", ",13,1,"), *rows[6:]], "no calendar"),
        (lambda rows: rows[:5] + rows[6:], "missing or stands twice"),
    ],
)
def test_a_bad_table_of_the_air_is_named(tmp_path: Path, change, why: str) -> None:
    path = tmp_path / "air.csv"
    path.write_text("\n".join(change(air_rows())), encoding="utf-8")
    with pytest.raises(data.DataError, match=f"{why}.*delete it and load the data again"):
        _series.read_air(path)


def test_dates() -> None:
    dates = data.load("dates", n=3000, seed=1)
    assert len(dates.text_train) == 2700 and len(dates.text_test) == 300
    texts = np.concatenate([dates.text_train, dates.text_test])
    assert len(set(texts)) == 3000
    assert not set(dates.target_train) & set(dates.target_test), (
        "no day of the test part was seen in training"
    )
    assert all(len(day) == 10 and np.datetime64(day) for day in dates.target_train)
    assert set(np.bincount(dates.language_train) > 400) == {True} and len(dates.language_names) == 5
    assert np.array_equal(dates.text_test, data.load("dates", n=3000, seed=1).text_test)


@pytest.mark.parametrize(
    ("language", "form", "text"),
    [
        ("English", "the {o} of {m}, {y}", "the 3rd of March, 1987"),
        ("English", "{d} {s} '{t}", "3 Mar '87"),
        ("French", "{w} {o} {m} {y}", "mardi 3 mars 1987"),
        ("German", "{w}, den {d}. {m} {y}", "Dienstag, den 3. März 1987"),
        ("Spanish", "{D}-{N}-{y}", "03-03-1987"),
        ("Italian", "{w} {o} {m} {y}", "martedì 3 marzo 1987"),
    ],
)
def test_a_date_as_it_is_written(language: str, form: str, text: str) -> None:
    assert _dates.write(datetime.date(1987, 3, 3), language, form) == text


@pytest.mark.parametrize(
    ("day", "text"),
    [(1, "1st"), (2, "2nd"), (11, "11th"), (12, "12th"), (13, "13th"), (22, "22nd"), (31, "31st")],
)
def test_english_ordinals(day: int, text: str) -> None:
    assert _dates._ordinal(day, "English") == text


def test_dates_need_a_sensible_number() -> None:
    with pytest.raises(ValueError, match="between 10 and 100,000"):
        data.load("dates", n=3)


def test_names_of_people() -> None:
    people = data.load("names")
    every = np.concatenate([people.name_train, people.name_test])
    assert len(set(every)) == len(every) > 600 and all(
        n.isascii() and n.isalpha() and n.islower() for n in every
    )
    assert 0.08 < len(people.name_test) / len(every) < 0.12


@pytest.mark.parametrize("content", [b"anna\nbert\n", b"Anna\n" * 200, "zo\u00eb\n".encode() * 200])
def test_a_bad_list_of_names_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "names.txt"
    path.write_bytes(content)
    with pytest.raises(data.DataError, match="not a list of names; delete it"):
        _names.read_names(path)


def test_review_sentences_are_read(tmp_path: Path) -> None:
    praise, blame = tmp_path / "pos", tmp_path / "neg"
    praise.write_bytes(
        b"".join(b"caf\xe9 number %d is good \n" % i for i in range(200)) + b"caf\xe9 number 3 is good \n"
    )
    blame.write_bytes(b"".join(b"film\x85 number %d is bad \n" % i for i in range(200)))
    reviews = _reviews.read_sentences(praise, blame)
    assert len(reviews["text_train"]) == 320 and len(reviews["text_test"]) == 80
    for text, y in zip(reviews["text_train"], reviews["y_train"], strict=True):
        assert ("good" in text) == (y == 1) and text == text.strip()
    assert set(reviews["kind_test"]) == {"untagged"}
    blame.write_text("bad\n")
    with pytest.raises(data.DataError, match="1 reviews only"):
        _reviews.read_sentences(praise, blame)


def test_translation() -> None:
    pairs = data.load("translation")
    assert pairs.fields == ("english_train", "french_train", "english_test", "french_test")
    assert len(pairs.english_train) == 4000 and len(pairs.english_test) == 400
    every = dict(
        zip(
            [*pairs.english_train, *pairs.english_test],
            [*pairs.french_train, *pairs.french_test],
            strict=True,
        )
    )
    assert len(every) == 4400, "no test sentence was seen in training"
    for english, french in every.items():
        assert english[0].isupper() and english.endswith(".") and french[0].isupper() and french.endswith(".")
        assert (" not " in english) == (" pas" in french)
        assert not re.search(r"\b(je|ne|le|la|de) [aeiouéèêhœ]", french.lower()), f"no elision: {french}"
        assert not re.search(r"\b(ma|nouveau|(un|le|mon) vieux) [aeiouéèêhœ]", french.lower()), french
    lengths = [len(sentence.split()) for sentence in every]
    assert min(lengths) >= 3 and max(lengths) <= 14


@pytest.mark.parametrize(
    ("english", "french"),
    [
        ("She wants some white apples every day.", "Elle veut des pommes blanches tous les jours."),
        ("We carry some large glasses.", "Nous portons de grands verres."),
        ("He does not love my house.", "Il n'aime pas ma maison."),
        ("They do not look for it.", "Ils ne le cherchent pas."),
        ("My cat does not look for a strange glass.", "Mon chat ne cherche pas de verre étrange."),
    ],
)
def test_sentences_of_the_grammar(english: str, french: str) -> None:
    pairs = data.load("translation")
    every = dict(
        zip(
            [*pairs.english_train, *pairs.english_test],
            [*pairs.french_train, *pairs.french_test],
            strict=True,
        )
    )
    assert every[english] == french


def test_translations_are_read_from_an_archive(tmp_path: Path) -> None:
    path = tmp_path / "fra-eng.zip"
    lines = [f"Sentence {i}.\tPhrase {i}." for i in range(200)] + [
        "Sentence 3.\tUne autre phrase.",
        "no translation",
    ]
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("fra.txt", "\n".join(lines))
    pairs = _translation.read_zip(path)
    assert len(pairs["english_train"]) == 190 and len(pairs["english_test"]) == 10
    for english, french in zip(pairs["english_train"], pairs["french_train"], strict=True):
        assert english.split()[1] == french.split()[1], "the first translation is taken"


@pytest.mark.parametrize("content", [b"not an archive", None])
def test_a_bad_archive_of_translations_is_named(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "fra-eng.zip"
    if content is None:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("other.txt", "a\tb")
    else:
        path.write_bytes(content)
    with pytest.raises(data.DataError, match="not a valid archive"):
        _translation.read_zip(path)


def test_words_alone_go_far_with_plain_reviews_and_not_with_the_others() -> None:
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.linear_model import LogisticRegression

    reviews = data.load("reviews")
    words = CountVectorizer()
    model = LogisticRegression(max_iter=1000).fit(words.fit_transform(reviews.text_train), reviews.y_train)
    right = model.predict(words.transform(reviews.text_test)) == reviews.y_test
    plain = reviews.kind_test == "plain"
    assert right[plain].mean() > 0.7 > right[~plain].mean()


def test_tales() -> None:
    tales = data.load("tales")
    assert tales.fields == ("text_train", "text_test") and tales.version == "sample"
    text = tales.text_train + tales.text_test
    assert len(text) > 60_000 and 0.88 < len(tales.text_train) / len(text) < 0.9
    assert text == (_registry.data_folder() / "tales.txt").read_text(encoding="utf-8")
    assert tales.text_train.endswith("\n\n") and text.isascii() and "\t" not in text
    assert set(tales.text_test) <= set(tales.text_train), "no character is new in the test text"
    titles = [line for line in text.split("\n") if line and line == line.upper()]
    assert len(titles) == len(set(titles)) > 45
    paragraphs = text.split("\n\n")
    assert len(paragraphs) == len(set(paragraphs)), "no paragraph stands there twice"


@pytest.mark.parametrize("content", [b"\xff\xfe no text", b"one line"])
def test_a_damaged_text_is_named(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "input.txt"
    path.write_bytes(content)
    with pytest.raises(data.DataError, match=r"input\.txt .* delete it and load the data again"):
        _tales.read_text(path)


def test_mobilenet_is_absent_from_the_sample_and_read_from_its_files(tmp_path: Path) -> None:
    absent = data.load("mobilenet")
    assert absent.weights_path is None and absent.features_path is None and absent.class_names == []
    paths = {role: tmp_path / role for role in ("whole", "features", "classes")}
    paths["classes"].write_text('{"1": ["n2", "sea_snake"], "0": ["n1", "tench"]}')
    fields = _mobilenet.read_files(paths)
    assert fields["class_names"] == ["tench", "sea snake"]
    assert fields["weights_path"] == str(paths["whole"]) and fields["features_path"] == str(paths["features"])
    for content in ("[]x", "[1]", '{"1": ["n2", "sea_snake"]}'):
        paths["classes"].write_text(content)
        with pytest.raises(data.DataError, match="delete it and load again"):
            _mobilenet.read_files(paths)


def test_tumours() -> None:
    tumours = data.load("tumours")
    assert tumours.fields == ("x", "y", "feature_names", "class_names")
    assert tumours.x.shape == (569, 30) and tumours.y.dtype == np.int64
    assert tumours.class_names == ["benign", "malignant"] and np.bincount(tumours.y).tolist() == [357, 212]
    # malignant nuclei are larger: the labels have not been turned round
    radius = tumours.x[:, tumours.feature_names.index("mean radius")]
    assert radius[tumours.y == 1].mean() > radius[tumours.y == 0].mean()


def test_iris() -> None:
    iris = data.load("iris")
    assert iris.fields == ("x", "y", "feature_names", "class_names")
    assert iris.x.shape == (150, 4) and iris.x.dtype == np.float64
    assert iris.y.dtype == np.int64 and np.bincount(iris.y).tolist() == [50, 50, 50]
    assert iris.class_names == ["setosa", "versicolor", "virginica"] and len(iris.feature_names) == 4


def test_houses() -> None:
    houses = data.load("houses")
    assert houses.fields == (
        "x_train", "category_train", "y_train", "x_test", "category_test", "y_test",
        "feature_names", "category_names",
    )  # fmt: skip
    assert houses.version == "sample" and "invented" in houses.about
    assert houses.x_train.shape == (2000, 8) and houses.x_test.shape == (500, 8)
    assert houses.x_train.dtype == houses.y_train.dtype == np.float64
    assert houses.category_train.dtype == houses.category_test.dtype == np.int64
    assert houses.y_train.shape == houses.category_train.shape == (2000,)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n", [4, 5, 200])
def test_points(kind: str, n: int) -> None:
    points = data.load("points", kind=kind, n=n, seed=3)
    assert points.x.shape == (n, 2) and points.x.dtype == np.float64 and np.isfinite(points.x).all()
    assert points.y.shape == (n,) and points.y.dtype == np.int64
    assert np.bincount(points.y).tolist() == [n - n // 2, n // 2]
    assert np.abs(points.x).max() < 2.5
    again = data.load("points", kind=kind, n=n, seed=3)
    assert np.array_equal(points.x, again.x) and np.array_equal(points.y, again.y)
    assert not np.array_equal(points.x, data.load("points", kind=kind, n=n, seed=4).x)
    assert ("true_w" in points.fields) == (kind == "linear")


@pytest.mark.parametrize("margin", [0.0, 0.01, 0.2, 0.6])
@pytest.mark.parametrize("n", [4, 33, 500])
def test_linear_points_keep_their_margin(margin: float, n: int) -> None:
    for seed in range(20):
        points = data.load("points", kind="linear", n=n, margin=margin, seed=seed)
        scores = points.x @ points.true_w + points.true_b
        assert len(scores) == n
        assert np.hypot(*points.true_w) == pytest.approx(1.0)
        assert np.abs(scores).min() >= margin
        assert np.array_equal(scores > 0, points.y == 1)
        assert np.abs(points.x).max() <= 1.0
        for label in (0, 1):
            assert np.abs(scores[points.y == label]).min() == pytest.approx(margin, abs=1e-8)


def test_points_that_no_line_separates() -> None:
    """A line does well on blobs and moons, and no better than guessing on XOR and circles."""
    accuracy = {}
    for kind in KINDS:
        points = data.load("points", kind=kind, n=2000)
        a = np.hstack([points.x, np.ones((2000, 1))])
        w, *_ = np.linalg.lstsq(a, 2.0 * points.y - 1.0, rcond=None)
        accuracy[kind] = np.mean((a @ w > 0) == (points.y == 1))
    assert accuracy["blobs"] > 0.97 and accuracy["linear"] > 0.95 and accuracy["moons"] > 0.75
    assert accuracy["xor"] < 0.62 and accuracy["circles"] < 0.6 and accuracy["spirals"] < 0.72


def test_noise_moves_points_by_its_standard_deviation() -> None:
    still = data.load("points", kind="circles", n=4000, noise=0.0)
    assert np.hypot(*still.x[still.y == 0].T) == pytest.approx(1.0)
    assert np.hypot(*still.x[still.y == 1].T) == pytest.approx(0.5)
    moved = data.load("points", kind="circles", n=4000, noise=0.3)
    assert np.std(moved.x - still.x) == pytest.approx(0.3, rel=0.05)


@pytest.mark.parametrize(
    ("name", "options", "fragments"),
    [
        ("digit", {}, ["'digit'", "digits", "shapes"]),
        ("points", {"nosie": 1}, ["'nosie'", "kind", "noise", "seed"]),
        ("digits", {"n": 1}, ["'n'", "none"]),
        ("points", {"kind": "rings"}, ["'rings'", "circles", "spirals"]),
        ("points", {"n": 3}, ["n must"]),
        ("points", {"noise": -1.0}, ["noise must"]),
        ("points", {"noise": float("nan")}, ["noise must"]),
        ("points", {"kind": "linear", "noise": 0.1}, ["linear", "noise"]),
        ("points", {"kind": "moons", "margin": 0.1}, ["margin"]),
        ("points", {"kind": "linear", "margin": 0.7}, ["margin", "0.6"]),
        ("shapes", {"shift": 1.1}, ["shift"]),
        ("shapes", {"size": 8}, ["size"]),
        ("shapes", {"n": 0}, ["n must"]),
    ],
)
def test_what_does_not_exist_is_named(name: str, options: dict[str, object], fragments: list[str]) -> None:
    with pytest.raises(ValueError) as caught:
        data.load(name, **options)
    for fragment in fragments:
        assert fragment in str(caught.value)


def test_each_load_gives_own_arrays() -> None:
    first = data.load("digits")
    first.x_train[:] = 0
    first.class_names.append("ten")
    again = data.load("digits")
    assert again.x_train.any() and len(again.class_names) == 10


def test_dataset_is_readable_and_closed() -> None:
    digits = data.load("digits")
    text = repr(digits)
    for fragment in ("digits (sample)", "x_train", "(1437, 28, 28) uint8", "CC BY 4.0"):
        assert fragment in text
    with pytest.raises(AttributeError, match="cannot be changed"):
        digits.x_train = None
    with pytest.raises(AttributeError, match="cannot be deleted"):
        del digits.x_train
    with pytest.raises(AttributeError, match="it has x_train, y_train"):
        _ = digits.images
    assert {"x_train", "about", "citation"} <= set(dir(digits))
    for twin in (copy.deepcopy(digits), pickle.loads(pickle.dumps(digits))):
        assert np.array_equal(twin.x_test, digits.x_test) and repr(twin) == text
    assert "true_b" in repr(data.load("points", kind="linear"))


def test_one_line_says_which_version(capsys: pytest.CaptureFixture[str]) -> None:
    data.load("digits")
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("digits: sample version") and "COURSE_DATA=sample" in line
    data._told.clear()
    data.load("points")
    data.load("points", kind="xor")
    (line,) = capsys.readouterr().out.splitlines()
    assert line == "points: generated data, points of two classes in the plane."


def test_names() -> None:
    names = (
        "air co2 dates digits fashion houses iris mobilenet names photos points reviews shapes tales translation tumours"
    )
    assert data.names() == tuple(names.split())
    for name in data.names():
        loaded = data.load(name)
        for field in ("name", "version", "about", "licence", "citation"):
            assert isinstance(getattr(loaded, field), str) and getattr(loaded, field)


def test_import_is_light() -> None:
    code = (
        "import sys, numpy; import course_utils.data as d\n"
        "heavy = {'tensorflow', 'keras', 'sklearn', 'scipy', 'pooch', 'requests', 'yaml', 'matplotlib'}\n"
        "sys.exit(str(sorted(heavy & set(sys.modules))) if heavy & set(sys.modules) else 0)"
    )
    root = Path(__file__).resolve().parents[1]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_resizing_keeps_grey_and_lines() -> None:
    matrix = cubic_resize_matrix(8, 20)
    assert matrix.sum(axis=1) == pytest.approx(1.0)
    ramp = matrix @ np.arange(8.0)
    expected = (np.arange(20) + 0.5) * 8 / 20 - 0.5
    assert ramp[4:16] == pytest.approx(expected[4:16]), "a straight ramp stays straight away from the edges"
    assert to_mnist_form(np.full((1, 8, 8), 16.0)).max() == 255


def test_stratified_split() -> None:
    labels = np.repeat([0, 1, 2], [50, 30, 21])
    train, test = stratified_split(labels, 20, seed=0)
    assert len(test) == 20 and sorted(np.concatenate([train, test])) == list(range(101))
    assert np.bincount(labels[test]).tolist() == [10, 6, 4]
