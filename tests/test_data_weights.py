"""Pretrained weights: what is listed is there and right, what is not is named, and the command makes it again."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from course_utils import data
from course_utils.data import _weights, make_weights

LISTING = _weights.read_listing()
each = pytest.mark.parametrize("name", sorted(LISTING))


@each
def test_listed_weights_are_right_and_small(name: str) -> None:
    entry = LISTING[name]
    assert set(entry) == {"about", "licence", "sha256", "size"} and entry["about"].endswith(".\n".strip())
    path = _weights.weights_folder() / f"{name}.npz"
    assert path.stat().st_size == entry["size"] <= _weights.LARGEST
    assert hashlib.sha256(path.read_bytes()).hexdigest() == entry["sha256"]
    arrays = data.weights(name)
    assert arrays and all(np.isfinite(a).all() for a in arrays.values() if a.dtype.kind == "f")
    assert not any(a.dtype == np.float16 for a in arrays.values()), "given as float32"


def test_every_file_can_be_made_and_is_listed() -> None:
    files = {path.stem for path in _weights.weights_folder().glob("*.npz")}
    assert files == set(LISTING) == set(make_weights.MAKERS)
    readme = (_weights.weights_folder().parent / "README.md").read_text(encoding="utf-8")
    for name in files:
        assert f"`weights/{name}.npz`" in readme


def listing(folder: Path, content: bytes = b"") -> None:
    (folder / "weights.yaml").write_text(
        f"# a comment\n\ntoy:\n  about: A toy.\n  licence: CC0 1.0\n  sha256: {hashlib.sha256(content).hexdigest()}\n"
        "  size: 0\n\nother:\n  about: Another.\n  licence: CC0 1.0\n  sha256: f00d\n  size: 7\n"
    )


def test_what_is_wrong_is_one_clear_sentence(tmp_path: Path) -> None:
    with pytest.raises(data.DataError, match=r"weights\.yaml is missing"):
        _weights.read_weights("toy", tmp_path)
    listing(tmp_path)
    with pytest.raises(ValueError, match=r"Unknown weights 'tyo'; there are other, toy\."):
        _weights.read_weights("tyo", tmp_path)
    with pytest.raises(data.DataError, match=r"toy\.npz is missing: .*make_weights toy$"):
        _weights.read_weights("toy", tmp_path)
    (tmp_path / "toy.npz").write_bytes(b"something else")
    with pytest.raises(data.DataError, match=r"toy\.npz is not the file that weights\.yaml lists \(wrong SHA-256\)"):
        _weights.read_weights("toy", tmp_path)
    (tmp_path / "other.npz").mkdir()
    with pytest.raises(data.DataError, match=r"other\.npz cannot be read"):
        _weights.read_weights("other", tmp_path)


def test_unknown_weights_of_the_course_are_named() -> None:
    with pytest.raises(ValueError, match=r"Unknown weights 'skript'; there are .*script"):
        data.weights("skript")


def test_written_weights_come_back(tmp_path: Path) -> None:
    listing(tmp_path)
    arrays = {"W": np.arange(6, dtype=np.float16).reshape(2, 3), "n": np.array([3, 4])}
    path = make_weights.write("toy", arrays, tmp_path)
    first = path.read_bytes()
    back = _weights.read_weights("toy", tmp_path)
    assert back["W"].dtype == np.float32 and np.array_equal(back["W"], arrays["W"])
    assert back["n"].dtype.kind == "i" and np.array_equal(back["n"], [3, 4])
    text = (tmp_path / "weights.yaml").read_text()
    assert text.startswith("# a comment\n") and "sha256: f00d\n  size: 7\n" in text, "the rest stays"
    assert f"size: {len(first)}" in text
    make_weights.write("toy", dict(reversed(arrays.items())), tmp_path)
    assert path.read_bytes() == first, "the same arrays give the same bytes"


def test_weights_need_an_entry_and_must_be_small(tmp_path: Path) -> None:
    listing(tmp_path)
    with pytest.raises(data.DataError, match="no entry 'new'"):
        make_weights.write("new", {"W": np.zeros(3)}, tmp_path)
    noise = np.random.default_rng(0).normal(size=300_000)
    with pytest.raises(data.DataError, match="the limit is 2,000,000"):
        make_weights.write("toy", {"W": noise}, tmp_path)
    assert not (tmp_path / "toy.npz").exists()


def test_an_unknown_name_on_the_command_line_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        make_weights.main(["skript"])
    assert "script_turned" in capsys.readouterr().err


def test_importing_the_command_does_not_import_keras() -> None:
    code = "import sys, course_utils.data.make_weights; sys.exit('keras' in sys.modules or 'tensorflow' in sys.modules)"
    root = Path(__file__).resolve().parents[1]
    assert subprocess.run([sys.executable, "-c", code], cwd=root).returncode == 0


# ------------------------------------------------------------------------------------- the invented script


def test_the_script_is_drawn_like_digits_and_the_same_for_a_seed() -> None:
    labels = np.tile(np.arange(make_weights.CHARACTERS), 2)
    images = make_weights.draw_characters(labels, seed=5)
    assert images.shape == (400, 28, 28) and images.dtype == np.uint8
    assert np.array_equal(images, make_weights.draw_characters(labels, seed=5))
    assert not np.array_equal(images[:200], images[200:]), "no two drawings are alike"
    ink = images / 255.0
    assert 0.02 < ink.mean() < 0.2 and (ink.sum(axis=(1, 2)) > 8).all(), "no empty picture"
    place = np.arange(28)
    for axis in (1, 2):
        assert np.abs((ink.sum(axis=axis) @ place) / ink.sum(axis=(1, 2)) - 13.5).mean() < 3.0
    few = make_weights.invented_characters(20)[0]
    assert np.array_equal(few, make_weights.invented_characters(30)[0][:20])


def test_turned_drawings_are_turned() -> None:
    labels = np.arange(40)
    upright, turned = (make_weights.draw_characters(labels, seed=5, turned=t) for t in (False, True))
    ways = [np.rot90(upright, k, axes=(1, 2))[:, :, ::step] for k in range(4) for step in (1, -1)]
    same = np.array([(way == turned).all(axis=(1, 2)) for way in ways])
    assert same.any(axis=0).all() and same.any(axis=1).all(), "all eight ways occur"


@pytest.mark.parametrize("name", ["script", "script_turned"])
def test_the_readers_of_the_script_know_it(name: str) -> None:
    """Nearest class mean of the features, on drawings that nobody has seen: 200 characters, five drawings each."""
    pytest.importorskip("keras")
    arrays = data.weights(name)
    network = make_weights.script_network(1)
    for layer in network.layers[:-1]:
        for weight in layer.weights:
            weight.assign(arrays[f"{layer.name}.{weight.name}"])
    features = network.layers[-2]
    labels = np.tile(np.arange(make_weights.CHARACTERS), 10)
    x = make_weights.draw_characters(labels, seed=11, turned=name == "script_turned")[..., None] / np.float32(255)
    hidden = x
    for layer in network.layers[:-1]:
        hidden = layer(hidden)
    found = np.asarray(hidden).reshape(10, make_weights.CHARACTERS, -1)
    assert found.shape[-1] == features.output.shape[-1] == 96
    means = found[:5].mean(axis=0)
    distance = ((found[5:].reshape(-1, 1, 96) - means) ** 2).sum(axis=-1)
    accuracy = np.mean(distance.argmin(axis=1) == np.tile(np.arange(make_weights.CHARACTERS), 5))
    assert accuracy > (0.4 if name == "script" else 0.06), "guessing would give 0.005"
    assert arrays["held_out_accuracy"] > (0.6 if name == "script" else 0.12)


# ------------------------------------------------------------------------- a GPT that has read the tales


def test_the_gpt_that_read_the_tales_beats_the_counts() -> None:
    """On the validation part of the tales, against the interpolated counts of lesson 34 at their best order."""
    pytest.importorskip("keras")
    from course_utils.data._tales import make_sample
    from tests.lessons.code import lesson_code

    lesson, w = lesson_code("34_gpt"), data.weights("tales-gpt")
    vocabulary, reported = "".join(w.pop("vocabulary")), float(w.pop("validation_bits"))
    assert vocabulary == make_weights.TALES_VOCABULARY
    text = make_sample()["text_train"]
    border = text.rfind("\n\n", 0, int(0.9 * len(text))) + 2
    fit, val = (lesson.encode(part, vocabulary) for part in (text[:border], text[border:]))
    P = lesson.judged_probabilities(lesson.numpy_logits(w, lesson.HEADS), val, lesson.CONTEXT, vocabulary.index("\n"))
    counts = min(lesson.bits(p) for p in lesson.counted_probabilities(fit, val, 5, len(vocabulary)))
    assert lesson.bits(P) == pytest.approx(reported, abs=0.1)
    assert lesson.bits(P) < counts - 0.1
