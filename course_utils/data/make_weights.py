"""Make the pretrained weights in ``data/weights`` again: ``python -m course_utils.data.make_weights NAME``.

Every entry of :data:`MAKERS` is a function without arguments that trains a network of the course and returns its
weights as a dict of arrays. What it returns is written to ``data/weights/NAME.npz``, and the SHA-256 and the size to
``data/weights/weights.yaml``. Keras is imported inside the functions, so that importing this module stays cheap.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import time
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ._dataset import DataError
from ._weights import LARGEST, weights_folder

Array = np.ndarray

# ------------------------------------------------------------------------------------- an invented script

CHARACTERS = 200
_POINTS = 4  # control points of a stroke
_PIECES = 10  # straight pieces of a drawn stroke
_CHUNK = 200  # characters drawn at a time


def invented_characters(n: int = CHARACTERS, seed: int = 7) -> tuple[Array, Array]:
    """The characters of a script that nobody writes: one to three curved strokes each, drawn at random.

    Parameters
    ----------
    n : int
        Number of characters. The first k of a larger script are those of n = k.
    seed : int

    Returns
    -------
    strokes : ndarray, (n, 3, 4, 2)
        Control points (x, y) of three strokes in about [-1, 1].
    used : ndarray, (n, 3), bool
        Which of the three strokes the character has.
    """
    strokes, used = np.empty((n, 3, _POINTS, 2)), np.zeros((n, 3), dtype=bool)
    for i in range(n):
        rng = np.random.default_rng([seed, i])
        used[i, : rng.choice([1, 2, 3], p=[0.35, 0.45, 0.2])] = True
        for j in range(3):
            # a pen that starts anywhere, and turns as it goes
            steps = rng.uniform(0.5, 1.1, _POINTS - 1)
            turns = rng.uniform(0, 2 * np.pi) + np.cumsum(
                np.r_[0.0, rng.normal(0.0, 0.25) + rng.choice([-1.0, 0.0, 1.0]) * rng.uniform(0.6, 2.0, 2)]
            )
            path = np.cumsum(
                np.vstack([[0.0, 0.0], np.c_[np.cos(turns), np.sin(turns)] * steps[:, None]]), axis=0
            )
            strokes[i, j] = path - path.mean(axis=0) + rng.uniform(-0.35, 0.35, 2)
        every = strokes[i, used[i]].reshape(-1, 2)
        low, high = every.min(axis=0), every.max(axis=0)
        strokes[i] = (strokes[i] - (low + high) / 2) / max(0.5 * (high - low).max(), 0.4)
    return strokes, used


def draw_characters(labels: Array, seed: int, characters: int = CHARACTERS, turned: bool = False) -> Array:
    """Pictures of invented characters, each written a little differently.

    Parameters
    ----------
    labels : ndarray, (m,), int
        Which character to draw, below ``characters``.
    seed : int
        Of the hand that writes: jitter of the points, slant, turn, size, pen and place.
    characters : int
        Size of the script.
    turned : bool
        Whether each picture is also turned by a random multiple of a quarter and perhaps mirrored.

    Returns
    -------
    ndarray, (m, 28, 28), uint8
        Light strokes on black, as in MNIST.
    """
    strokes, used = invented_characters(characters)
    rng = np.random.default_rng(seed)
    images = np.empty((len(labels), 28, 28), dtype=np.uint8)
    for start in range(0, len(labels), _CHUNK):
        chosen = np.asarray(labels[start : start + _CHUNK])
        images[start : start + _CHUNK] = _draw(strokes[chosen], used[chosen], rng)
    if turned:
        quarter, mirror = rng.integers(0, 4, len(images)), rng.random(len(images)) < 0.5
        for k in range(4):
            images[quarter == k] = np.rot90(images[quarter == k], k, axes=(1, 2))
        images[mirror] = images[mirror, :, ::-1]
    return images


def _draw(points: Array, used: Array, rng: np.random.Generator) -> Array:
    m = len(points)
    points = points + rng.normal(0.0, 0.12, points.shape)
    angle, shear = rng.normal(0.0, 0.18, m), rng.normal(0.0, 0.22, m)
    width, height = rng.uniform(0.7, 1.05, m), rng.uniform(0.85, 1.1, m)
    cos, sin = np.cos(angle), np.sin(angle)
    matrix = np.stack([np.stack([width * cos, shear - sin], -1), np.stack([sin, height * cos], -1)], -2)
    points = np.einsum("mij,mspj->mspi", matrix, points) * rng.uniform(7.0, 8.8, m)[:, None, None, None]

    path = np.einsum("tp,mspc->mstc", _spline(), points).astype(np.float32)  # (m, 3, pieces + 1, 2)
    middle = np.einsum("mstc,ms->mc", path, used) / (used.sum(axis=1) * path.shape[2])[:, None]
    path += (13.5 - middle + rng.uniform(-3.5, 3.5, (m, 2)))[:, None, None, :].astype(np.float32)

    rows, columns = np.mgrid[:28, :28].astype(np.float32)
    nearest = np.full((m, 28, 28), 1e6, dtype=np.float32)  # squared distance to the ink
    for stroke in range(3):
        drawn = np.flatnonzero(used[:, stroke])
        best = nearest[drawn]
        for piece in range(_PIECES):
            a, b = (path[drawn, stroke, piece + k][:, :, None, None] for k in (0, 1))
            d = b - a
            x, y = columns - a[:, 0], rows - a[:, 1]
            along = np.clip((x * d[:, 0] + y * d[:, 1]) / np.maximum((d**2).sum(axis=1), 1e-6), 0.0, 1.0)
            np.minimum(best, (x - along * d[:, 0]) ** 2 + (y - along * d[:, 1]) ** 2, out=best)
        nearest[drawn] = best
    pen = rng.uniform(0.8, 2.5, m)[:, None, None]
    soft = rng.uniform(0.8, 1.6, m)[:, None, None]
    ink = np.clip((pen - np.sqrt(nearest)) / soft + 0.5, 0.0, 1.0)
    return np.rint(255.0 * ink).astype(np.uint8)


def _spline() -> Array:
    """Matrix (pieces + 1, points) of the Bernstein polynomials of a Bézier curve."""
    t = np.linspace(0.0, 1.0, _PIECES + 1)[:, None]
    return np.hstack([(1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t**2 * (1 - t), t**3])


def script_network(classes: int) -> Any:
    """The convolutional network that reads the script: four blocks of convolution, batch norm and ReLU."""
    import keras
    from keras import layers

    stages = [keras.Input((28, 28, 1))]
    for i, (filters, size, stride) in enumerate([(16, 5, 2), (32, 3, 2), (64, 3, 2), (96, 3, 1)], start=1):
        stages += [
            layers.Conv2D(filters, size, stride, padding="same", use_bias=False, name=f"conv{i}"),
            layers.BatchNormalization(momentum=0.9, name=f"norm{i}"),
            layers.ReLU(name=f"relu{i}"),
        ]
    stages += [layers.GlobalAveragePooling2D(name="features"), layers.Dense(classes, name="head")]
    return keras.Sequential(stages, name="reader")


def make_script(turned: bool = False, per_class: int = 100, epochs: int = 8) -> dict[str, Array]:
    """Train the network to tell the characters of the script apart; the weights without the head, in float16."""
    import keras

    keras.utils.set_random_seed(30)
    labels = np.tile(np.arange(CHARACTERS), per_class)
    x = draw_characters(labels, seed=1, turned=turned)[..., None] / np.float32(255)
    held_out = np.tile(np.arange(CHARACTERS), 10)
    x_held_out = draw_characters(held_out, seed=2, turned=turned)[..., None] / np.float32(255)
    model = script_network(CHARACTERS)
    steps = epochs * (len(labels) // 128 + 1)
    model.compile(
        keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(3e-3, steps)),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        jit_compile=False,
    )
    begin = time.perf_counter()

    class Progress(keras.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
            seconds = time.perf_counter() - begin
            print(f"  epoch {epoch + 1} of {epochs}, accuracy {logs['accuracy']:.1%}, {seconds:.0f} s", flush=True)

    model.fit(x, labels, 128, epochs, verbose=0, callbacks=[Progress()])
    accuracy = model.evaluate(x_held_out, held_out, verbose=0)[1]
    print(f"  on drawings that it has not seen: {accuracy:.1%} of {CHARACTERS} characters")
    arrays = {
        f"{layer.name}.{weight.name}": np.asarray(weight.numpy(), dtype=np.float16)
        for layer in model.layers
        if layer.name != "head"
        for weight in layer.weights
    }
    return {**arrays, "held_out_accuracy": np.float16(accuracy)}


def make_script_turned() -> dict[str, Array]:
    """As :func:`make_script`, but every drawing is turned and mirrored at random."""
    return make_script(turned=True)


# ------------------------------------------------------------------------- a GPT that has read the tales

TALES_VOCABULARY = "□\n !\"$&',-.3:;?ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"  # □ is any other


def gpt_network(
    vocabulary: int, width: int = 64, heads: int = 4, blocks: int = 3, context: int = 64, dropout: float = 0.0
) -> Any:
    """A causal pre-LN Transformer: tokens (m, context) -> logits (m, context, vocabulary)."""
    import keras
    from keras import layers, ops

    def gelu(x: Any) -> Any:
        return keras.activations.gelu(x, approximate=True)

    normal = keras.initializers.RandomNormal(stddev=0.02)
    tokens = keras.Input((context,), dtype="int32")
    places = ops.cumsum(ops.ones_like(tokens), axis=1) - 1  # computed from the input, so that the table is in the graph
    x = layers.Embedding(vocabulary, width, normal, name="token_embedding")(tokens)
    x = x + layers.Embedding(context, width, normal, name="position_embedding")(places)
    x = layers.Dropout(dropout)(x)
    for i in range(blocks):
        y = layers.LayerNormalization(epsilon=1e-6, name=f"blocks.{i}.ln1")(x)
        attend = layers.MultiHeadAttention(heads, width // heads, dropout=dropout, name=f"blocks.{i}.attention")
        x = x + layers.Dropout(dropout)(attend(y, y, use_causal_mask=True))
        y = layers.LayerNormalization(epsilon=1e-6, name=f"blocks.{i}.ln2")(x)
        y = layers.Dense(4 * width, activation=gelu, name=f"blocks.{i}.mlp.1")(y)
        x = x + layers.Dropout(dropout)(layers.Dense(width, name=f"blocks.{i}.mlp.2")(y))
    x = layers.LayerNormalization(epsilon=1e-6, name="final_ln")(x)
    return keras.Model(tokens, layers.Dense(vocabulary, name="vocab")(x), name="gpt")


def gpt_arrays(model: Any) -> dict[str, Array]:
    """The weights of a :func:`gpt_network` as matrices (inputs, outputs) and vectors, named as in lesson 34."""
    arrays: dict[str, Array] = {}
    for layer in model.layers:
        values, name = [np.asarray(weight) for weight in layer.weights], layer.name
        if name.endswith("_embedding"):
            arrays[name] = values[0]
        elif "ln" in name:
            arrays[f"{name}.gamma"], arrays[f"{name}.beta"] = values
        elif name.endswith("attention"):
            width = values[0].shape[0]
            for role, W, b in zip("qkvo", values[::2], values[1::2], strict=True):
                arrays[f"{name}.W_{role}"] = W.reshape(width, width)  # heads lie side by side
                arrays[f"{name}.b_{role}"] = b.reshape(width)
        elif ".mlp." in name:
            stem, number = name[:-1], name[-1]
            arrays[f"{stem}W{number}"], arrays[f"{stem}b{number}"] = values
        elif name == "vocab":
            arrays["W_vocab"], arrays["b_vocab"] = values
    return arrays


def tales_gpt(updates: int = 5000, batch: int = 32, dropout: float = 0.2) -> dict[str, Array]:
    """Train a character-level GPT on the course's own tales; the weights that were best on validation text, in float16.

    It reads nine tenths of the training text and is judged on the rest of it, as in lessons 22 and 34. The test text
    is not touched.
    """
    import keras

    from ._tales import make_sample

    context, every = 64, 100
    text = make_sample()["text_train"]
    border = text.rfind("\n\n", 0, int(0.9 * len(text))) + 2
    tokens = np.array([max(TALES_VOCABULARY.find(character), 0) for character in text], dtype=np.int32)
    fit, val = tokens[:border], tokens[border:]
    pieces = np.lib.stride_tricks.sliding_window_view(fit, context + 1)
    judged = np.lib.stride_tricks.sliding_window_view(val, context + 1)[:: context // 2]
    weight = np.r_[np.zeros(context // 2), np.ones(context // 2)]  # each with at least half a context before it

    keras.utils.set_random_seed(34)
    rng = np.random.default_rng(34)
    model = gpt_network(len(TALES_VOCABULARY), context=context, dropout=dropout)
    warm = 100
    rate = keras.optimizers.schedules.CosineDecay(0.0, updates - warm, 0.05, warmup_target=3e-3, warmup_steps=warm)
    optimizer = keras.optimizers.AdamW(rate, weight_decay=0.1, beta_2=0.99, clipnorm=1.0)
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta", "embeddings"])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer, loss, jit_compile=False, steps_per_execution=10)
    best, arrays, begin = np.inf, {}, time.perf_counter()
    for done in range(0, updates, every):
        chosen = pieces[rng.integers(0, len(pieces), every * batch)]
        history = model.fit(chosen[:, :-1], chosen[:, 1:], batch, shuffle=False, verbose=0).history
        logits = np.float64(model.predict(judged[:, :-1], 128, verbose=0))
        top = logits.max(axis=-1, keepdims=True)
        log_p = logits - top - np.log(np.exp(logits - top).sum(axis=-1, keepdims=True))
        surprise = -np.take_along_axis(log_p, judged[:, 1:, None], axis=-1)[..., 0]
        bits = np.average(surprise, weights=np.broadcast_to(weight, surprise.shape)) / np.log(2)
        if bits < best:
            best, arrays = bits, gpt_arrays(model)
        print(
            f"  update {done + every}: training {history['loss'][0] / np.log(2):.3f}, validation {bits:.3f} bits per "
            f"character, best {best:.3f}, {time.perf_counter() - begin:.0f} s",
            flush=True,
        )
    packed_arrays = {name: value.astype(np.float16) for name, value in arrays.items()}
    return {**packed_arrays, "vocabulary": np.array(list(TALES_VOCABULARY)), "validation_bits": np.float16(best)}


# ------------------------------------------------------------------------------------------- the command

MAKERS: dict[str, Callable[[], Mapping[str, Array]]] = {
    "script": make_script,
    "script_turned": make_script_turned,
    "tales-gpt": tales_gpt,
}


def packed(arrays: Mapping[str, Any]) -> bytes:
    """The bytes of an ``.npz`` file that depend on the arrays alone, not on the time at which it is written."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(arrays):
            member = io.BytesIO()
            np.lib.format.write_array(member, np.asarray(arrays[name]), allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), member.getvalue(), zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def write(name: str, arrays: Mapping[str, Any], folder: Path | None = None) -> Path:
    """Write ``NAME.npz`` and note its hash and size in ``weights.yaml``, whose other lines stay as they are.

    Raises
    ------
    DataError
        If the file would be larger than :data:`~course_utils.data._weights.LARGEST`, or has no entry.
    """
    folder = folder or weights_folder()
    content = packed(arrays)
    if len(content) > LARGEST:
        raise DataError(f"{name}.npz would have {len(content):,} bytes; the limit is {LARGEST:,}.")
    listing = folder / "weights.yaml"
    lines = listing.read_text(encoding="utf-8").split("\n")
    if f"{name}:" not in lines:
        raise DataError(f"{listing} has no entry {name!r}: write one with about, licence, sha256 and size first.")
    notes = {"sha256": hashlib.sha256(content).hexdigest(), "size": str(len(content))}
    for i in range(lines.index(f"{name}:") + 1, len(lines)):
        if lines[i] and not lines[i].startswith(" "):
            break
        key = lines[i].strip().partition(":")[0]
        if key in notes:
            lines[i] = f"  {key}: {notes[key]}"
    path = folder / f"{name}.npz"
    path.write_bytes(content)
    listing.write_text("\n".join(lines), encoding="utf-8")
    return path


def main(arguments: Sequence[str] | None = None) -> None:
    """Make the weights that are named on the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m course_utils.data.make_weights", description="Make pretrained weights of the course again."
    )
    parser.add_argument("names", nargs="+", choices=sorted(MAKERS), metavar="NAME", help=", ".join(sorted(MAKERS)))
    for name in parser.parse_args(arguments).names:
        print(f"{name}:", flush=True)
        begin = time.perf_counter()
        path = write(name, MAKERS[name]())
        print(f"  {path}: {path.stat().st_size:,} bytes, {time.perf_counter() - begin:.0f} s")


if __name__ == "__main__":
    main()
