"""What has each feature map learned to see? A small Keras model, exported, that runs in the browser.

The functions in this module are the NumPy twins of those in ``feature_browser.js``; the tests compare both
with each other, and the twins with Keras and ``tf.GradientTape``. Images are (H, W, C), channels last.
"""

from __future__ import annotations

import base64
import html
import math
import struct
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import traitlets
from numpy.typing import ArrayLike, NDArray

from course_utils.explorables._base import BLUE, GREY, Explorable, svg_document

MAX_PARAMETERS = 60_000
MAX_MULTIPLY_ADDS = 20_000_000  # for one picture: about 50 ms in a browser
MAX_IMAGES = 24
MAX_SIDE = 64
FLOAT32_LIMIT = 300_000  # bytes of embedded state; above it the weights are stored as float16
GREY_BYTE = 128  # the square that hides a part of the picture

# The colours of course_utils.plotting, eleven evenly spaced stops each; between them linear.
SEQUENTIAL = [
    [68, 1, 84], [72, 36, 117], [65, 68, 135], [53, 95, 141], [42, 120, 142], [33, 145, 140],
    [34, 168, 132], [68, 191, 112], [122, 209, 81], [189, 223, 38], [253, 231, 37],
]  # fmt: skip

_SUPPORTED = (
    "Conv2D, Activation, ReLU, MaxPooling2D, AveragePooling2D, GlobalAveragePooling2D, Flatten, Dropout, "
    "Rescaling, BatchNormalization and Dense"
)
_ACTIVATIONS = ("linear", "relu", "tanh", "sigmoid")
_WINDOWED = ("conv", "max", "average")
_STORED = {"float32": "<f4", "float16": "<f2"}

Exported = dict[str, Any]


# ---- from Keras to plain numbers ----


def export(model: Any, precision: str = "float32") -> Exported:
    """Turn a Sequential Keras model into JSON: a list of operations, and all weights as one base64 text.

    Parameters
    ----------
    model : keras.Sequential
        Built, input (H, W, C) with C = 1 or 3, last layer a Dense that gives logits.
    precision : {"float32", "float16"}
        How a weight is stored. float16 halves the size and rounds each weight to about three digits.

    Returns
    -------
    dict
        ``shape`` [H, W, C]; ``rescaled``, whether the first layer is a Rescaling; ``precision``; ``weights``;
        ``ops``: for each layer that computes something its ``name``, ``type``, output ``shape`` and, where it
        has them, ``kernel``, ``stride``, ``dilation``, ``padding`` (before, per axis), ``activation`` and
        where its weights begin (``weight``, ``bias``, counted in numbers).

    Raises
    ------
    ValueError
        If the model is not built or not Sequential, is too large, or holds a layer that the figure does not
        know; the message names the layer.
    """
    import keras

    if precision not in _STORED:
        raise ValueError(f'precision must be "float32" or "float16", not {precision!r}.')
    if not isinstance(model, keras.Sequential):
        raise ValueError(f"model must be a keras.Sequential, not {type(model).__name__}.")
    if not model.built or not model.layers:
        raise ValueError("The model is not built: give it a keras.Input, or call it once on images.")
    shape = list(model.input_shape[1:])
    if len(shape) != 3 or shape[2] not in (1, 3) or None in shape or max(shape[:2]) > MAX_SIDE:
        raise ValueError(
            f"The model must take images (H, W, 1) or (H, W, 3) with sides of at most {MAX_SIDE} pixels, "
            f"not {tuple(shape)}."
        )
    count = model.count_params()
    if count > MAX_PARAMETERS:
        raise ValueError(
            f"The model has {count:,} parameters; at most {MAX_PARAMETERS:,} fit into a page. "
            "Use fewer filters, or global average pooling instead of Flatten."
        )
    ops: list[dict[str, Any]] = []
    arrays: list[NDArray] = []
    now, start = shape, sum(1 for layer in model.layers if type(layer).__name__ == "InputLayer")
    for layer in model.layers:
        op = _export_layer(layer, now, arrays)
        if op is None:
            continue
        op["name"] = layer.name
        ops.append(op)
        now = op["shape"]
    last = model.layers[-1]
    if type(last).__name__ != "Dense" or last.activation.__name__ != "linear":
        raise ValueError(
            f"The last layer, {last.name!r}, must be a Dense that gives logits (no activation, no softmax)."
        )
    if not any(op["type"] == "conv" for op in ops):
        raise ValueError("The model has no Conv2D layer, so there are no feature maps to look at.")
    work = sum(_work(op) for op in ops)
    if work > MAX_MULTIPLY_ADDS:
        raise ValueError(
            f"The model needs {work:,} multiply-adds for one picture; up to {MAX_MULTIPLY_ADDS:,} are quick "
            "enough to follow the mouse. Use smaller pictures, fewer filters, or pool earlier."
        )
    with np.errstate(over="ignore"):
        flat = np.concatenate([np.ravel(a) for a in arrays]).astype(_STORED[precision])
    if not np.isfinite(flat).all():
        raise ValueError(f"The weights hold numbers that are not finite, or too large for {precision}.")
    return {
        "shape": shape,
        "rescaled": type(model.layers[start]).__name__ == "Rescaling",
        "precision": precision,
        "ops": ops,
        "weights": base64.b64encode(flat.tobytes()).decode("ascii"),
    }


def _export_layer(layer: Any, shape: list[int], arrays: list[NDArray]) -> dict[str, Any] | None:
    """One layer as an operation; its weights are added to ``arrays``. None: the layer does nothing here."""
    kind, name = type(layer).__name__, layer.name

    def refuse(reason: str) -> ValueError:
        return ValueError(f"Layer {name!r} ({kind}) {reason}.")

    def store(array: ArrayLike) -> int:
        offset = sum(a.size for a in arrays)
        arrays.append(np.asarray(array, dtype=np.float64))
        return offset

    def activation() -> str:
        found = getattr(layer.activation, "__name__", type(layer.activation).__name__)
        if found == "softmax":
            raise refuse("ends in a softmax; the figure needs the logits, so leave it out")
        if found not in _ACTIVATIONS:
            raise refuse(
                f"has the activation {found!r}; the figure knows {', '.join(_ACTIVATIONS[:-1])} and sigmoid"
            )
        return found

    if kind in ("InputLayer", "Dropout"):
        return None
    if getattr(layer, "data_format", "channels_last") != "channels_last":
        raise refuse("must have its channels last")
    weights = [np.asarray(w) for w in layer.get_weights()]
    match kind:
        case "Conv2D":
            if layer.groups != 1:
                raise refuse("has groups, which the figure does not know")
            op = _window("conv", shape, layer.kernel_size, layer.strides, layer.dilation_rate, layer.padding)
            op["shape"].append(layer.filters)
            bias = weights[1] if layer.use_bias else np.zeros(layer.filters)
            op |= {"weight": store(weights[0]), "bias": store(bias), "activation": activation()}
        case "MaxPooling2D" | "AveragePooling2D":
            op = _window(kind[:-9].lower(), shape, layer.pool_size, layer.strides, (1, 1), layer.padding)
            op["shape"].append(shape[2])
        case "Activation":
            op = {"type": "activation", "shape": shape, "activation": activation()}
        case "ReLU":
            if layer.max_value is not None or layer.negative_slope or layer.threshold:
                raise refuse("must be a plain ReLU, without max_value, negative_slope and threshold")
            op = {"type": "activation", "shape": shape, "activation": "relu"}
        case "Rescaling" | "BatchNormalization":
            if kind == "Rescaling":
                scale, shift = np.asarray(layer.scale, float), np.asarray(layer.offset, float)
                if scale.size not in (1, shape[-1]) or shift.size not in (1, shape[-1]):
                    raise refuse("must have one scale and offset for all, or one for each channel")
            else:
                axis = layer.axis[0] if isinstance(layer.axis, (list, tuple)) else layer.axis
                if axis not in (-1, len(shape)):
                    raise refuse("must normalise over the channels (axis=-1)")
                mean, variance = weights[-2].astype(float), weights[-1].astype(float)
                scale = 1 / np.sqrt(variance + layer.epsilon)
                if layer.scale:
                    scale = weights[0] * scale
                shift = (weights[int(layer.scale)] if layer.center else 0.0) - mean * scale
            size = shape[-1]
            op = {"type": "affine", "shape": shape}
            op |= {
                "weight": store(np.broadcast_to(np.ravel(scale), size)),
                "bias": store(np.broadcast_to(np.ravel(shift), size)),
            }
        case "GlobalAveragePooling2D":
            op = {"type": "global", "shape": [1, 1, shape[2]] if layer.keepdims else [shape[2]]}
        case "Flatten":
            op = {"type": "flatten", "shape": [math.prod(shape)]}
        case "Dense":
            if len(shape) != 1:
                raise refuse("stands before the maps are flattened or averaged")
            bias = weights[1] if layer.use_bias else np.zeros(layer.units)
            op = {"type": "dense", "shape": [layer.units]}
            op |= {"weight": store(weights[0]), "bias": store(bias), "activation": activation()}
        case _:
            raise refuse(f"is not among the layers the figure knows: {_SUPPORTED}")
    return {**op, "input": shape}


def _window(
    kind: str, shape: list[int], kernel: Any, stride: Any, dilation: Any, padding: str
) -> dict[str, Any]:
    """Size and padding of an operation whose window moves over the picture, as in Keras."""
    out, before = [], []
    for n, k, s, r in zip(shape[:2], kernel, stride, dilation, strict=True):
        reach = r * (k - 1) + 1
        if padding == "same":
            out.append(-(-n // s))
            before.append(max((out[-1] - 1) * s + reach - n, 0) // 2)
        else:
            out.append((n - reach) // s + 1)
            before.append(0)
    return {
        "type": kind,
        "shape": out,
        "kernel": [int(v) for v in kernel],
        "stride": [int(v) for v in stride],
        "dilation": [int(v) for v in dilation],
        "padding": before,
    }


def _work(op: dict[str, Any]) -> int:
    if op["type"] == "conv":
        return math.prod(op["shape"]) * math.prod(op["kernel"]) * op["input"][2]
    return op["input"][0] * op["shape"][0] if op["type"] == "dense" else 0


def unpack(exported: Exported) -> NDArray:
    """All weights in one row, as float64."""
    data = base64.b64decode(exported["weights"])
    return np.frombuffer(data, dtype=_STORED[exported["precision"]]).astype(np.float64)


def _weights(op: dict[str, Any], flat: NDArray) -> tuple[NDArray, NDArray]:
    size = op["shape"][-1]
    shape = {
        "conv": [*op.get("kernel", []), op["input"][-1], size],
        "dense": [op["input"][-1], size],
        "affine": [size],
    }[op["type"]]
    w = flat[op["weight"] : op["weight"] + math.prod(shape)].reshape(shape)
    return w, flat[op["bias"] : op["bias"] + size]


# ---- forward ----


def _offsets(op: dict[str, Any]) -> list[tuple[int, int, tuple[slice, slice]]]:
    """For each place (u, v) in the window: which places of the padded input it meets, one per output."""
    (rows, columns), (sy, sx), (ry, rx) = op["shape"][:2], op["stride"], op["dilation"]

    def line(begin: int, count: int, stride: int) -> slice:
        return slice(begin, begin + (count - 1) * stride + 1, stride)

    return [
        (u, v, (line(u * ry, rows, sy), line(v * rx, columns, sx)))
        for u in range(op["kernel"][0])
        for v in range(op["kernel"][1])
    ]


def _padded(op: dict[str, Any], x: NDArray, value: float = 0.0) -> NDArray:
    """x with ``value`` around it, as far as the windows reach (and nothing cut where they reach less)."""
    pads = []
    for axis in (0, 1):
        size = op["dilation"][axis] * (op["kernel"][axis] - 1) + 1
        reach = (op["shape"][axis] - 1) * op["stride"][axis] + size
        before = op["padding"][axis]
        pads.append((before, max(reach - before - x.shape[axis], 0)))
    return np.pad(x, [*pads, (0, 0)], constant_values=value)


def _activate(name: str, z: NDArray) -> NDArray:
    match name:
        case "relu":
            return np.maximum(z, 0)
        case "tanh":
            return np.tanh(z)
        case "sigmoid":
            return 1 / (1 + np.exp(-z))
    return z


def _step(op: dict[str, Any], x: NDArray, flat: NDArray) -> NDArray:
    match op["type"]:
        case "conv":
            w, b = _weights(op, flat)
            wide = _padded(op, x)
            z = b + sum(wide[place] @ w[u, v] for u, v, place in _offsets(op))
            return _activate(op["activation"], z)
        case "max":
            wide = _padded(op, x, -np.inf)
            return np.max([wide[place] for *_, place in _offsets(op)], axis=0)
        case "average":
            wide, inside = _padded(op, x), _padded(op, np.ones((*x.shape[:2], 1)))
            places = [place for *_, place in _offsets(op)]
            return sum(wide[p] for p in places) / sum(inside[p] for p in places)
        case "affine":
            w, b = _weights(op, flat)
            return x * w + b
        case "activation":
            return _activate(op["activation"], x)
        case "global":
            return x.mean(axis=(0, 1)).reshape(op["shape"])
        case "flatten":
            return x.reshape(-1)
        case "dense":
            w, b = _weights(op, flat)
            return _activate(op["activation"], x @ w + b)
    raise ValueError(f"There is no operation {op['type']!r}.")


def _all_values(exported: Exported, image: ArrayLike) -> list[NDArray]:
    x = np.asarray(image, dtype=np.float64)
    if list(x.shape) != exported["shape"]:
        raise ValueError(f"image must have shape {tuple(exported['shape'])}, not {x.shape}.")
    flat = unpack(exported)
    values = [x]
    for op in exported["ops"]:
        values.append(_step(op, values[-1], flat))
    return values


def forward(exported: Exported, image: ArrayLike) -> dict[str, NDArray]:
    """The output of every layer for one image.

    Parameters
    ----------
    exported : dict
        From :func:`export`.
    image : array (H, W, C)
        As the Keras model takes it.

    Returns
    -------
    dict
        Layer name -> (H', W', F) or (F,), in the order of the layers; the last entry holds the logits.
    """
    values = _all_values(exported, image)
    return {op["name"]: value for op, value in zip(exported["ops"], values[1:], strict=True)}


def probabilities(logits: ArrayLike) -> NDArray:
    """Softmax of the logits (classes,)."""
    z = np.exp(np.asarray(logits, dtype=float) - np.max(logits))
    return z / z.sum()


# ---- backward ----


def _slope(name: str, y: NDArray) -> NDArray | float:
    """Derivative of an activation function, from its output."""
    match name:
        case "relu":
            return (y > 0).astype(float)
        case "tanh":
            return 1 - y**2
        case "sigmoid":
            return y * (1 - y)
    return 1.0


def _step_back(op: dict[str, Any], x: NDArray, y: NDArray, grad: NDArray, flat: NDArray) -> NDArray:
    """Gradient arriving at the input ``x`` of one operation, from the one at its output ``y``."""
    if "activation" in op:
        grad = grad * _slope(op["activation"], y)
    match op["type"]:
        case "activation":
            return grad
        case "affine":
            return grad * _weights(op, flat)[0]
        case "flatten":
            return grad.reshape(x.shape)
        case "global":
            return np.broadcast_to(grad.reshape(1, 1, -1) / (x.shape[0] * x.shape[1]), x.shape)
        case "dense":
            return _weights(op, flat)[0] @ grad
    wide = _padded(op, x, -np.inf if op["type"] == "max" else 0.0)
    back = np.zeros_like(wide)
    if op["type"] == "conv":
        w = _weights(op, flat)[0]
        for u, v, place in _offsets(op):
            back[place] += grad @ w[u, v].T
    elif op["type"] == "average":
        inside = _padded(op, np.ones((*x.shape[:2], 1)))
        share = grad / sum(inside[place] for *_, place in _offsets(op))
        for *_, place in _offsets(op):
            back[place] += share
    else:  # all of it goes to the largest number in the window, to the first of equals
        first = np.argmax([wide[place] for *_, place in _offsets(op)], axis=0)
        for k, (*_, place) in enumerate(_offsets(op)):
            back[place] += np.where(first == k, grad, 0.0)
    top, left = op["padding"]
    return back[top : top + x.shape[0], left : left + x.shape[1]]


def gradient(exported: Exported, image: ArrayLike, layer: str, target: int) -> NDArray:
    """Gradient of one class's logit with respect to the output of ``layer``, same shape as that output.

    Raises
    ------
    ValueError
        If there is no such layer or class.
    """
    names = [op["name"] for op in exported["ops"]]
    if layer not in names:
        raise ValueError(f"There is no layer {layer!r}; there are: {', '.join(names)}.")
    values, flat = _all_values(exported, image), unpack(exported)
    if not 0 <= target < values[-1].size:
        raise ValueError(f"target must be a class from 0 to {values[-1].size - 1}, not {target}.")
    grad = np.zeros(values[-1].size)
    grad[target] = 1
    for k in range(len(names) - 1, names.index(layer), -1):
        grad = _step_back(exported["ops"][k], values[k], values[k + 1], grad, flat)
    return grad


def gradcam(exported: Exported, image: ArrayLike, layer: str, target: int) -> NDArray:
    """Grad-CAM: the maps of ``layer``, each weighted by the mean gradient of the class's logit, summed, ReLU.

    Returns
    -------
    array (H', W')
        At the layer's own resolution and not normalised; zero where nothing speaks for the class.

    Raises
    ------
    ValueError
        If there is no such layer or class, or the layer has no maps.
    """
    grad = gradient(exported, image, layer, target)
    if grad.ndim != 3:
        raise ValueError(f"Layer {layer!r} has no maps: its output has shape {grad.shape}.")
    maps = forward(exported, image)[layer]
    return np.maximum(maps @ grad.mean(axis=(0, 1)), 0)


def leading_map(exported: Exported, image: ArrayLike, layer: str, target: int) -> int:
    """The map that adds most where the Grad-CAM is brightest; if it is zero, the one that responds most."""
    maps = forward(exported, image)[layer]
    weights = gradient(exported, image, layer, target).mean(axis=(0, 1))
    cam = maps @ weights
    i, j = np.unravel_index(cam.argmax(), cam.shape)
    return int((weights * maps[i, j]).argmax() if cam[i, j] > 0 else maps.max(axis=(0, 1)).argmax())


# ---- what the figure draws ----


def map_layers(exported: Exported) -> list[str]:
    """Names of the layers whose maps can be looked at: from the first convolution on, as long as there are
    rows and columns.
    """
    ops = exported["ops"]
    first = next(k for k, op in enumerate(ops) if op["type"] == "conv")
    return [op["name"] for op in ops[first:] if len(op["shape"]) == 3 and op["type"] != "global"]


def receptive_field(exported: Exported, layer: str) -> tuple[list[int], list[int], list[int]]:
    """Which part of the picture one place of a layer's maps sees: (start, jump, size), each [rows, columns].

    Place (i, j) sees rows from ``start[0] + i * jump[0]``, ``size[0]`` of them; the same for columns. The
    start is negative where the field reaches into the padding.
    """
    start, jump, size = [0, 0], [1, 1], [1, 1]
    for op in exported["ops"]:
        if op["type"] in _WINDOWED:
            for axis in (0, 1):
                start[axis] -= op["padding"][axis] * jump[axis]
                size[axis] += op["dilation"][axis] * (op["kernel"][axis] - 1) * jump[axis]
                jump[axis] *= op["stride"][axis]
        if op["name"] == layer:
            return start, jump, size
    raise ValueError(f"There is no layer {layer!r}.")


def first_filters(exported: Exported, layer: str) -> NDArray | None:
    """Filters (k, k, C, F) of the convolution that sees the picture itself, if ``layer`` shows its maps."""
    found = None
    for op in exported["ops"]:
        if op["type"] == "conv" and found is None:
            found = _weights(op, unpack(exported))[0]
        elif op["type"] not in ("affine", "activation"):
            return None
        if op["name"] == layer:
            return found
    return None


def strongest(feature_map: ArrayLike, count: int = 3) -> list[tuple[int, int]]:
    """Places (row, column) of the largest responses above 0, the largest first; more than an eighth of the
    map's side apart.
    """
    left = np.array(feature_map, dtype=float)
    apart = max(1, max(left.shape) // 8)
    found: list[tuple[int, int]] = []
    while len(found) < count and left.max() > 0:
        i, j = divmod(int(left.argmax()), left.shape[1])
        found.append((i, j))
        left[max(i - apart, 0) : i + apart + 1, max(j - apart, 0) : j + apart + 1] = 0
    return found


def paint(image: NDArray, square: Sequence[int], size: int) -> NDArray:
    """The picture (H, W, C) of bytes with a grey square whose upper left corner is (row, column)."""
    image = image.copy()
    if len(square):
        row, column = square
        image[max(row, 0) : max(row + size, 0), max(column, 0) : max(column + size, 0)] = GREY_BYTE
    return image


def enlarge(values: ArrayLike, height: int, width: int) -> NDArray:
    """A map (h, w) at (height, width), bilinear between the middles of its places."""
    values = np.asarray(values, dtype=float)

    def line(n: int, m: int) -> tuple[NDArray, NDArray, NDArray]:
        at = np.clip((np.arange(m) + 0.5) * n / m - 0.5, 0, n - 1)
        low = np.floor(at).astype(int)
        return low, np.minimum(low + 1, n - 1), at - low

    a, b, t = line(values.shape[0], height)
    c, d, s = line(values.shape[1], width)
    rows = values[a] * (1 - t)[:, None] + values[b] * t[:, None]
    return rows[:, c] * (1 - s) + rows[:, d] * s


def colours(values: ArrayLike) -> NDArray:
    """Colours (..., 3), 0 to 255, of numbers from 0 to 1."""
    at = np.clip(np.asarray(values, dtype=float), 0, 1) * (len(SEQUENTIAL) - 1)
    low = np.minimum(at.astype(int), len(SEQUENTIAL) - 2)
    stops, t = np.array(SEQUENTIAL, dtype=float), (at - low)[..., None]
    return stops[low] * (1 - t) + stops[low + 1] * t


def overlay(image: NDArray, cam: ArrayLike, opacity: float) -> NDArray:
    """The picture (H, W, C) of bytes under the colours of a Grad-CAM (h, w); result (H, W, 3), 0 to 255."""
    rgb = np.broadcast_to(image, (*image.shape[:2], 3)).astype(float)
    top = np.max(cam)
    heat = colours(enlarge(np.asarray(cam) / (top if top > 0 else 1), *image.shape[:2]))
    return (1 - opacity) * rgb + opacity * heat


def _png(rgb: NDArray) -> str:
    """A picture (H, W, 3) of bytes as a data address."""
    rgb = np.clip(np.round(rgb), 0, 255).astype(np.uint8)
    height, width, _ = rgb.shape
    raw = b"".join(b"\0" + row.tobytes() for row in rgb)

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    data += chunk(b"IDAT", zlib.compress(raw, 9)) + chunk(b"IEND", b"")
    return "data:image/png;base64," + base64.b64encode(data).decode("ascii")


def _as_bytes(images: ArrayLike, shape: list[int]) -> NDArray:
    array = np.asarray(images)
    if array.ndim == 3 and shape[2] == 1:
        array = array[..., None]
    if array.ndim != 4 or list(array.shape[1:]) != shape:
        raise ValueError(f"images must have shape (n, {', '.join(map(str, shape))}), not {array.shape}.")
    if not 1 <= len(array) <= MAX_IMAGES:
        raise ValueError(f"images must hold 1 to {MAX_IMAGES} pictures, not {len(array)}.")
    if array.dtype == np.uint8:
        return array
    if not np.issubdtype(array.dtype, np.floating):
        raise ValueError(f"images must be uint8, or floats from 0 to 1, not {array.dtype}.")
    array = array.astype(float)
    if not np.isfinite(array).all() or array.min() < 0 or array.max() > 1:
        raise ValueError("images that are floats must lie between 0 and 1; pictures from 0 to 255 as uint8.")
    return np.round(255 * array).astype(np.uint8)


class FeatureBrowser(Explorable):
    """What has each feature map learned to see, and what does the decision rest on?

    The model runs in the browser. Choose a picture and a layer to see all its feature maps; one of them is
    enlarged, with its filter where the layer sees the picture itself and the places where it responds most.
    The Grad-CAM of a class lies over the picture, and a grey square hides a part of it: probabilities, maps
    and Grad-CAM follow.

    Parameters
    ----------
    model : keras.Sequential
        Built, at most 60,000 parameters and 20 million multiply-adds, of the layers Conv2D, Activation,
        ReLU, MaxPooling2D, AveragePooling2D, GlobalAveragePooling2D, Flatten, Dropout (has no effect),
        Rescaling, BatchNormalization (as it is in use, not in training) and Dense; the last one gives logits.
    images : array (n, H, W, C)
        At most 24, C = 1 or 3 (n, H, W also for C = 1). Floats from 0 to 1, given to the model as they are;
        or uint8, given to a model whose first layer is a Rescaling as they are and to others divided by 255.
        They are stored as 8 bits a number.
    labels : array (n,) of int, optional
        The true classes.
    class_names : sequence of str, optional
        One for each logit.
    layer : str or None
        Name of the layer whose maps are shown first; None: the last convolution.
    picture, unit, target : int
        The picture chosen first; the map enlarged (-1: the one that adds most where the Grad-CAM
        is brightest); the class of the Grad-CAM (-1: the most probable one).
    opacity : float
        Of the Grad-CAM, 0 to 1.
    square : (row, column) or ()
        Upper left corner of the grey square in pixels; (): no square.
    size : int
        Side of the square in pixels.
    precision : {"float32", "float16"}, optional
        How the weights are stored; by default float32, unless the figure becomes larger than 300 kB.

    Raises
    ------
    ValueError
        If the model holds a layer not listed here (the message names it) or is too large, or if anything
        else does not fit.
    """

    _js = "feature_browser.js"

    network = traitlets.Dict().tag(sync=True)
    pictures = traitlets.Dict().tag(sync=True)
    labels = traitlets.List().tag(sync=True)
    class_names = traitlets.List().tag(sync=True)
    picture = traitlets.Int(0).tag(sync=True)
    layer = traitlets.Unicode("").tag(sync=True)
    unit = traitlets.Int(-1).tag(sync=True)
    target = traitlets.Int(-1).tag(sync=True)
    opacity = traitlets.Float(0.5).tag(sync=True)
    square = traitlets.List([]).tag(sync=True)
    size = traitlets.Int(8).tag(sync=True)

    def __init__(
        self,
        model: Any,
        images: ArrayLike,
        labels: ArrayLike | None = None,
        class_names: Sequence[str] | None = None,
        layer: str | None = "conv3",
        *,
        picture: int = 0,
        unit: int = -1,
        target: int = -1,
        opacity: float = 0.5,
        square: Sequence[int] = (),
        size: int | None = None,
        precision: str | None = None,
    ) -> None:
        network = export(model, precision or "float32")
        stored = _as_bytes(images, network["shape"])
        if precision is None and len(network["weights"]) + stored.size * 4 / 3 > FLOAT32_LIMIT:
            network = export(model, "float16")
        scale = 1.0 if network["rescaled"] and np.asarray(images).dtype == np.uint8 else 255.0
        classes = network["ops"][-1]["shape"][0]
        names = [f"class {k}" for k in range(classes)] if class_names is None else list(map(str, class_names))
        if len(names) != classes:
            raise ValueError(f"The model gives {classes} logits, but there are {len(names)} class_names.")
        truth = [] if labels is None else np.asarray(labels).ravel().tolist()
        if truth and len(truth) != len(stored):
            raise ValueError(f"There are {len(stored)} images but {len(truth)} labels.")
        if any(not isinstance(v, int) or not 0 <= v < classes for v in truth):
            raise ValueError(f"labels must be whole numbers from 0 to {classes - 1}.")
        layers = map_layers(network)
        if layer is None:
            layer = next(op["name"] for op in reversed(network["ops"]) if op["type"] == "conv")
        if layer not in layers:
            raise ValueError(
                f"There is no layer {layer!r} with feature maps; there are: {', '.join(layers)}."
            )
        maps = next(op["shape"][2] for op in network["ops"] if op["name"] == layer)
        side = min(network["shape"][:2])
        size = max(side // 4, 2) if size is None else size
        for name, value, low, high in (
            ("picture", picture, 0, len(stored) - 1),
            ("unit", unit, -1, maps - 1),
            ("target", target, -1, classes - 1),
            ("opacity", opacity, 0, 1),
            ("size", size, 2, max(side // 2, 2)),
        ):
            if not low <= value <= high:
                raise ValueError(f"{name} must lie between {low} and {high}, not {value}.")
        if len(square) not in (0, 2):
            raise ValueError("square must be (row, column), or () for none.")
        if any(not 0 <= v <= n - size for v, n in zip(square, network["shape"][:2], strict=False)):
            raise ValueError(f"square must lie inside the picture; its side is {size} pixels.")
        super().__init__(
            network=network,
            pictures={
                "count": len(stored),
                "scale": scale,
                "data": base64.b64encode(np.ascontiguousarray(stored).tobytes()).decode("ascii"),
            },
            labels=truth,
            class_names=names,
            picture=int(picture),
            layer=layer,
            unit=int(unit),
            target=int(target),
            opacity=float(opacity),
            square=[int(v) for v in square],
            size=int(size),
        )

    @traitlets.validate("layer")
    def _known_layer(self, proposal: Any) -> str:
        layers = map_layers(self.network) if self.network else []
        if layers and proposal["value"] not in layers:
            raise traitlets.TraitError(
                f"There is no layer {proposal['value']!r} with feature maps; there are: {', '.join(layers)}."
            )
        return proposal["value"]

    @traitlets.validate("picture")
    def _known_picture(self, proposal: Any) -> int:
        count = self.pictures.get("count", MAX_IMAGES)
        if not 0 <= proposal["value"] < count:
            raise traitlets.TraitError(f"picture must lie between 0 and {count - 1}.")
        return proposal["value"]

    @traitlets.validate("opacity")
    def _share(self, proposal: Any) -> float:
        if not 0 <= proposal["value"] <= 1:
            raise traitlets.TraitError(f"opacity must lie between 0 and 1, not {proposal['value']:g}.")
        return proposal["value"]

    def stored(self) -> NDArray:
        """The pictures (n, H, W, C) as they are stored, uint8."""
        data = np.frombuffer(base64.b64decode(self.pictures["data"]), dtype=np.uint8)
        return data.reshape(self.pictures["count"], *self.network["shape"])

    def shown(self) -> dict[str, Any]:
        """Everything the figure shows now.

        Returns
        -------
        dict
            ``image`` (H, W, C) uint8 with its square; ``activations`` as from :func:`forward`;
            ``probabilities`` (classes,) and ``untouched``, the same without the square; ``target``, ``unit``;
            ``cam`` (H', W') as from :func:`gradcam`.
        """
        plain = self.stored()[self.picture]
        image = paint(plain, self.square, self.size)
        scale = self.pictures["scale"]
        activations = forward(self.network, image / scale)
        before = activations if not self.square else forward(self.network, plain / scale)
        logits = self.network["ops"][-1]["name"]
        untouched = probabilities(before[logits])
        target = self.target if self.target >= 0 else int(untouched.argmax())
        unit = self.unit
        if unit < 0:
            unit = leading_map(self.network, plain / scale, self.layer, target)
        return {
            "image": image,
            "activations": activations,
            "probabilities": probabilities(activations[logits]),
            "untouched": untouched,
            "target": target,
            "unit": unit,
            "cam": gradcam(self.network, image / scale, self.layer, target),
        }

    @property
    def description(self) -> str:
        now = self.shown()
        names, chances, maps = self.class_names, now["probabilities"], now["activations"][self.layer]
        best = int(chances.argmax())
        text = f"Picture {self.picture + 1} of {self.pictures['count']}"
        if self.labels:
            text += f" (true class: {names[self.labels[self.picture]]})"
        if self.square:
            text += (
                f", with a grey square of {self.size} pixels at row {self.square[0]}, column {self.square[1]}"
            )
        text += f". The network gives {names[best]} a probability of {chances[best]:.2f}"
        if self.square:
            text += f" (without the square {now['untouched'][best]:.2f})"
        height, width, count = maps.shape
        text += f". Layer {self.layer} has {count} feature maps of {height} by {width}. "
        name = names[now["target"]]
        if now["cam"].max() <= 0:
            return text + f"Its Grad-CAM for {name} is zero everywhere."
        i, j = np.unravel_index(now["cam"].argmax(), now["cam"].shape)
        vertical = ("upper", "middle", "lower")[min(int(3 * (i + 0.5) / height), 2)]
        sideways = ("left", "middle", "right")[min(int(3 * (j + 0.5) / width), 2)]
        where = "middle" if vertical == sideways else f"{vertical} {sideways}"
        return text + f"Its Grad-CAM for {name} is strongest in the {where} of the picture."

    def preview(self) -> str:
        now = self.shown()
        rgb = np.broadcast_to(now["image"], (*now["image"].shape[:2], 3))
        side, top = 190, 66
        height = side * rgb.shape[0] / rgb.shape[1]
        name = html.escape(self.class_names[now["target"]])
        truth = f", true class {self.class_names[self.labels[self.picture]]}" if self.labels else ""
        body = [
            '<text x="20" y="28" font-size="15">What has each feature map learned to see?</text>',
            f'<text x="20" y="{top - 10}">picture {self.picture + 1}{html.escape(truth)}</text>',
            f'<text x="{40 + side}" y="{top - 10}">Grad-CAM for {name}, {html.escape(self.layer)}</text>',
            f'<text x="{60 + 2 * side}" y="{top - 10}">probabilities</text>',
        ]
        for x, picture in ((20, rgb), (40 + side, overlay(now["image"], now["cam"], self.opacity))):
            body.append(
                f'<image x="{x}" y="{top}" width="{side}" height="{height:g}" href="{_png(picture)}" '
                'preserveAspectRatio="none" style="image-rendering:pixelated"/>'
            )
        order = np.argsort(-now["probabilities"], kind="stable")[:8]
        for k, c in enumerate(order):
            y, p = top + 16 + 24 * k, now["probabilities"][c]
            x = 60 + 2 * side
            label = self.class_names[c]
            label = label if len(label) < 14 else label[:12] + "…"
            body.append(
                f'<text x="{x}" y="{y}">{html.escape(label)}</text>'
                f'<rect x="{x + 100}" y="{y - 11}" width="{90 * p:.1f}" height="13" '
                f'fill="{BLUE if c == now["target"] else GREY}"/>'
                f'<text x="{x + 196}" y="{y}">{p:.2f}</text>'
            )
        return svg_document(2 * side + 300, top + max(height, 24 * len(order)) + 20, "".join(body))
