"""Where do the parameters of a network sit, and where its work? Stack layers and count both.

:func:`stack_costs` is the Python twin of ``archStack`` in ``architecture_calculator.js``; the tests compare
both with each other, with Keras models built from the same description, and with published numbers.

A *description* is a list of layers, each a dictionary with its ``kind`` and its options::

    [{"kind": "conv", "filters": 32, "kernel": 3}, {"kind": "max_pool", "kernel": 2},
     {"kind": "flatten"}, {"kind": "dense", "units": 10}]

================================  ==========================================================================
kind                              options (those without a default have to be given)
================================  ==========================================================================
``conv``                          filters, kernel=3, stride=1, padding="same", groups=1, bias, norm=False
``depthwise``                     kernel=3, stride=1, padding="same", bias, norm=False
``max_pool``, ``avg_pool``        kernel=2, stride=kernel, padding="valid"
``global_pool``, ``flatten``      none; the pooling takes the mean of each channel
``dense``                         units, bias=True
``inception``                     filters: six numbers (1×1; 3×3 reduce, 3×3; 5×5 reduce, 5×5; after the pool)
``residual``                      filters, stride=1: two 3×3 convolutions with batch normalisation
``bottleneck``                    filters, stride=1: 1×1, 3×3, and 1×1 with 4 · filters, batch normalisation
================================  ==========================================================================

Every kind takes a ``name`` too. ``norm`` adds batch normalisation, of which the two trained vectors count;
without it a layer has a bias, with it none, unless ``bias`` says otherwise. A residual block whose input and
output differ in shape has a 1×1 convolution on its shortcut. Activations (ReLU), dropout and local response
normalisation have no parameters, cost little and are left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import accumulate
from math import prod
from typing import Any

import traitlets

from course_utils.explorables._base import BLUE, GREY, ORANGE, PURPLE, SKY, Explorable, svg_document

__all__ = ["PRESETS", "ArchitectureCalculator", "Preset", "StackCost", "layer_label", "stack_costs"]

Layer = dict[str, Any]

LIMITS = {"filters": 8192, "kernel": 31, "stride": 31, "groups": 8192, "units": 100_000}
MAX_LAYERS, MAX_SIZE, MAX_CHANNELS, MAX_BATCH = 80, 2048, 4096, 1024

_REQUIRED = object()
_WINDOW = {"kernel": 3, "stride": 1, "padding": "same"}
_POOL = {"kernel": 2, "stride": None, "padding": "valid"}  # None: the kernel's size
_AFTER = {"bias": None, "norm": False}  # None: a bias if there is no normalisation
_OPTIONS: dict[str, dict[str, Any]] = {
    "conv": {"filters": _REQUIRED, **_WINDOW, "groups": 1, **_AFTER},
    "depthwise": {**_WINDOW, **_AFTER},
    "max_pool": _POOL,
    "avg_pool": _POOL,
    "global_pool": {},
    "flatten": {},
    "dense": {"units": _REQUIRED, "bias": True},
    "inception": {"filters": _REQUIRED},
    "residual": {"filters": _REQUIRED, "stride": 1},
    "bottleneck": {"filters": _REQUIRED, "stride": 1},
}


@dataclass(frozen=True)
class StackCost:
    """What one layer of a stack costs, for one example.

    Attributes
    ----------
    kind, label : the kind of layer, and its description in a few words
    input_shape, output_shape : ``(H, W, C)`` or ``(features,)``, without the batch axis
    parameters : number of trained parameters, weights and biases
    multiply_adds : multiplications, each with the addition that follows it, in convolutions and dense layers
    activations : numbers the layer puts out and, if it is a block, keeps inside; 0 for ``flatten``, which
        copies nothing. Four bytes each.
    receptive_field : side of the square of input pixels that one output value depends on (it may reach over
        the rim of the image), or None where it is the whole image, from global pooling or a dense layer on
    """

    kind: str
    label: str
    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]
    parameters: int
    multiply_adds: int
    activations: int
    receptive_field: int | None


@dataclass(frozen=True)
class Preset:
    """A known network: its layers, its usual input ``(H, W, C)``, and what was published about it."""

    layers: list[Layer]
    input_shape: tuple[int, int, int]
    published: str = ""


# ---- networks ----


def _conv(filters: int, kernel: int = 3, **options: Any) -> Layer:
    return {"kind": "conv", "filters": filters, "kernel": kernel, **options}


def _pool(kernel: int = 2, stride: int = 2, **options: Any) -> Layer:
    return {"kind": "max_pool", "kernel": kernel, "stride": stride, **options}


def _dense(*units: int) -> list[Layer]:
    return [{"kind": "dense", "units": n} for n in units]


_FLATTEN, _GLOBAL = {"kind": "flatten"}, {"kind": "global_pool"}


def _lenet5() -> Preset:
    layers = [
        _conv(6, 5, padding="valid"),
        {"kind": "avg_pool"},
        _conv(16, 5, padding="valid"),
        {"kind": "avg_pool"},
    ]
    layers += [_FLATTEN, *_dense(120, 84, 10)]
    return Preset(
        layers,
        (32, 32, 1),
        "60,000 parameters (LeCun et al., 1998), with the second convolution connected only in part.",
    )


def _alexnet() -> Preset:
    layers = [
        _conv(96, 11, stride=4, padding="valid"),
        _pool(3),
        _conv(256, 5, groups=2),
        _pool(3),
        _conv(384),
    ]
    layers += [_conv(384, groups=2), _conv(256, groups=2), _pool(3), _FLATTEN, *_dense(4096, 4096, 1000)]
    return Preset(layers, (227, 227, 3), "60 million parameters (Krizhevsky et al., 2012).")


def _vgg(published: str, *counts: int) -> Preset:
    layers: list[Layer] = []
    for count, filters in zip(counts, (64, 128, 256, 512, 512), strict=True):
        layers += [_conv(filters)] * count + [_pool()]
    return Preset([*layers, _FLATTEN, *_dense(4096, 4096, 1000)], (224, 224, 3), published)


def _googlenet() -> Preset:
    def block(name: str, *filters: int) -> Layer:
        return {"kind": "inception", "filters": list(filters), "name": name}

    pool = _pool(3, padding="same")
    layers = [
        *[_conv(64, 7, stride=2), pool, _conv(64, 1), _conv(192), pool],
        *[block("3a", 64, 96, 128, 16, 32, 32), block("3b", 128, 128, 192, 32, 96, 64), pool],
        *[block("4a", 192, 96, 208, 16, 48, 64), block("4b", 160, 112, 224, 24, 64, 64)],
        *[block("4c", 128, 128, 256, 24, 64, 64), block("4d", 112, 144, 288, 32, 64, 64)],
        *[block("4e", 256, 160, 320, 32, 128, 128), pool],
        *[block("5a", 256, 160, 320, 32, 128, 128), block("5b", 384, 192, 384, 48, 128, 128)],
        *[_GLOBAL, *_dense(1000)],
    ]
    text = (
        "about 7 million parameters and 1.5 billion multiply-adds (Szegedy et al., 2014), "
        "without the auxiliary heads."
    )
    return Preset(layers, (224, 224, 3), text)


def _resnet(kind: str, counts: Sequence[int], published: str) -> Preset:
    layers = [_conv(64, 7, stride=2, norm=True), _pool(3, padding="same")]
    for stage, (count, filters) in enumerate(zip(counts, (64, 128, 256, 512), strict=True)):
        for k in range(count):
            layers.append({"kind": kind, "filters": filters, "stride": 2 if stage and not k else 1})
    return Preset([*layers, _GLOBAL, *_dense(1000)], (224, 224, 3), published)


def _mobilenet() -> Preset:
    layers = [_conv(32, 3, stride=2, norm=True)]
    plan = [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2), (1024, 1)]
    for filters, stride in plan:
        layers += [{"kind": "depthwise", "stride": stride, "norm": True}, _conv(filters, 1, norm=True)]
    text = "4.2 million parameters and 569 million multiply-adds (Howard et al., 2017)."
    return Preset([*layers, _GLOBAL, *_dense(1000)], (224, 224, 3), text)


_VGG = "{} million parameters (Simonyan and Zisserman, 2014); {} billion multiply-adds by later counts."
_HE = "{} billion multiply-adds (He et al., 2015); {} million parameters by later counts."
PRESETS: dict[str, Preset] = {
    "tiny": Preset([_conv(16), _pool(), _conv(32), _pool(), _FLATTEN, *_dense(10)], (32, 32, 3)),
    "lenet5": _lenet5(),
    "alexnet": _alexnet(),
    "vgg11": _vgg(_VGG.format(133, 7.6), 1, 1, 2, 2, 2),
    "vgg16": _vgg(_VGG.format(138, 15.5), 2, 2, 3, 3, 3),
    "vgg19": _vgg(_VGG.format(144, 19.6), 2, 2, 4, 4, 4),
    "googlenet": _googlenet(),
    "resnet18": _resnet("residual", (2, 2, 2, 2), _HE.format(1.8, 11.7)),
    "resnet50": _resnet("bottleneck", (3, 4, 6, 3), _HE.format(3.8, 25.6)),
    "mobilenet": _mobilenet(),
}


# ---- descriptions ----


def _whole(value: Any, low: int, high: int, what: str) -> int:
    try:
        number = int(value)
        fine = number == value and not isinstance(value, (bool, str)) and low <= number <= high
    except (TypeError, ValueError, OverflowError):
        fine = False
    if not fine:
        raise ValueError(f"{what} must be a whole number from {low} to {high:,}, not {value!r}.")
    return number


def _full_layer(value: Any, number: int) -> Layer:
    """One layer with all its options; ValueError says what is wrong with a description."""
    if not isinstance(value, Mapping) or "kind" not in value:
        example = "{'kind': 'conv', 'filters': 32, 'kernel': 3}"
        raise ValueError(f"Layer {number} must be a dictionary such as {example}, not {value!r}.")
    kind = value["kind"]
    if not isinstance(kind, str) or kind not in _OPTIONS:
        raise ValueError(f"Layer {number}: there is no kind {kind!r}; choose one of: {', '.join(_OPTIONS)}.")
    options = _OPTIONS[kind]
    where = f"Layer {number} ({kind})"
    for name in value:
        if name not in options and name not in ("kind", "name"):
            has = f"choose from: {', '.join(options)}" if options else "it has none"
            raise ValueError(f"{where}: there is no option {name!r}; {has}.")
    full: Layer = {"kind": kind}
    for name, default in options.items():
        given = value.get(name, default)
        if given is _REQUIRED:
            raise ValueError(f"{where} needs {name}.")
        if kind == "inception":
            if isinstance(given, str) or not isinstance(given, Sequence) or len(given) != 6:
                raise ValueError(f"{where}: filters must be six whole numbers, not {given!r}.")
            full[name] = [_whole(n, 1, LIMITS[name], f"{where}: each of the filters") for n in given]
        elif name == "padding":
            if given not in ("same", "valid"):
                raise ValueError(f"{where}: padding must be 'same' or 'valid', not {given!r}.")
            full[name] = given
        elif name in ("bias", "norm"):
            full[name] = given if given is None else bool(given)
        else:
            full[name] = _whole(
                full["kernel"] if given is None else given, 1, LIMITS[name], f"{where}: {name}"
            )
    if full.get("bias", True) is None:
        full["bias"] = not full["norm"]
    if value.get("name"):
        full["name"] = str(value["name"])[:24]
    return full


def _full_layers(layers: Any) -> list[Layer]:
    if (
        isinstance(layers, (str, Mapping))
        or not isinstance(layers, Sequence)
        or not 1 <= len(layers) <= MAX_LAYERS
    ):
        raise ValueError(f"layers must be a list of 1 to {MAX_LAYERS} dictionaries, one for each layer.")
    return [_full_layer(layer, k) for k, layer in enumerate(layers, 1)]


def _full_input(shape: Any) -> tuple[int, int, int]:
    try:
        h, w, c = shape
    except (TypeError, ValueError):
        raise ValueError(f"input_shape must be (H, W, C), three whole numbers, not {shape!r}.") from None
    height, width = (_whole(n, 1, MAX_SIZE, "The height and the width of the input") for n in (h, w))
    return height, width, _whole(c, 1, MAX_CHANNELS, "The number of channels of the input")


def layer_label(layer: Mapping[str, Any]) -> str:
    """A layer of a description in a few words: "conv 3×3, 64, s 2"; "same" padding goes without saying."""
    full = _full_layer(layer, 1)
    kind = full["kind"]
    window = "{0}×{0}".format(full.get("kernel", 0))
    words = {
        "conv": f"conv {window}, {full.get('filters')}",
        "depthwise": f"depthwise {window}",
        "max_pool": f"max pool {window}",
        "avg_pool": f"avg pool {window}",
        "global_pool": "global avg pool",
        "flatten": "flatten",
        "dense": f"dense {full.get('units')}",
        "inception": "inception",
        "residual": f"residual {full.get('filters')}",
        "bottleneck": f"bottleneck {full.get('filters')}",
    }[kind]
    if full.get("stride", 1) != (full["kernel"] if kind.endswith("_pool") and "kernel" in full else 1):
        words += f", s {full['stride']}"
    if full.get("groups", 1) > 1:
        words += f", g {full['groups']}"
    if full.get("padding") == "valid" and not kind.endswith("_pool"):
        words += ", valid"
    return f"{full['name']}: {words}" if "name" in full else words


# ---- counting ----


class _Conflict(ValueError):
    """Two layers that do not fit together: the sentence without the layer's number."""


def _times(shape: Sequence[int]) -> str:
    return " × ".join(f"{n:,}" for n in shape)


def _side(size: int, kernel: int, stride: int, padding: str) -> int:
    return -(-size // stride) if padding == "same" else (size - kernel) // stride + 1


def _window(shape: Sequence[int], kernel: int, stride: int, padding: str) -> tuple[int, int]:
    height, width = shape[:2]
    if padding == "valid" and kernel > min(height, width):
        raise _Conflict(
            f"a window of {kernel} × {kernel} does not fit into a map of {_times((height, width))}."
        )
    return _side(height, kernel, stride, padding), _side(width, kernel, stride, padding)


class _Walk:
    """One layer: counts its convolutions and follows the receptive field along the way that sees most."""

    def __init__(self, field: int, jump: int) -> None:
        self.field, self.jump = field, jump  # pixels seen by a value; pixels between neighbouring values
        self.parameters = self.multiply_adds = self.activations = 0

    def see(self, kernel: int, stride: int) -> None:
        self.field += (kernel - 1) * self.jump
        self.jump *= stride

    def conv(self, shape: Sequence[int], filters: int, kernel: int, stride: int = 1, padding: str = "same",
             groups: int = 1, bias: bool = True, norm: bool = False) -> tuple[int, ...]:  # fmt: skip
        channels = shape[2]
        if channels % groups or filters % groups:
            raise _Conflict(
                f"{groups} groups do not divide both the {channels:,} channels that come in "
                f"and the {filters:,} filters."
            )
        places = _window(shape, kernel, stride, padding)
        weights = kernel * kernel * (channels // groups) * filters
        self.parameters += weights + filters * (bias + 2 * norm)
        self.multiply_adds += weights * prod(places)
        self.activations += filters * prod(places)
        return (*places, filters)


def _count(layer: Layer, shape: tuple[int, ...], walk: _Walk) -> tuple[int, ...]:
    """Add the costs of one layer to ``walk``; return the shape of what it puts out."""
    kind = layer["kind"]
    if kind == "flatten":
        return (prod(shape),)
    if kind == "dense":
        if len(shape) == 3:
            raise _Conflict(
                f"a dense layer needs a vector, but gets a map of {_times(shape)}; "
                "flatten or pool it globally first."
            )
        weights = shape[0] * layer["units"]
        walk.parameters += weights + layer["units"] * layer["bias"]
        walk.multiply_adds += weights
        walk.activations += layer["units"]
        return (layer["units"],)
    if len(shape) == 1:
        raise _Conflict(
            f"it needs a map (H, W, C), but gets a vector of {shape[0]:,} numbers; put it further up."
        )
    channels = shape[2]
    if kind == "global_pool":
        walk.activations += channels
        return (channels,)
    if kind in ("conv", "depthwise"):
        filters, groups = (channels, channels) if kind == "depthwise" else (layer["filters"], layer["groups"])
        out = walk.conv(
            shape,
            filters,
            layer["kernel"],
            layer["stride"],
            layer["padding"],
            groups,
            layer["bias"],
            layer["norm"],
        )
        walk.see(layer["kernel"], layer["stride"])
        return out
    if kind in ("max_pool", "avg_pool"):
        out = (*_window(shape, layer["kernel"], layer["stride"], layer["padding"]), channels)
        walk.activations += prod(out)
        walk.see(layer["kernel"], layer["stride"])
        return out
    if kind == "inception":
        one, before3, three, before5, five, after = layer["filters"]
        walk.conv(shape, one, 1)
        walk.conv(walk.conv(shape, before3, 1), three, 3)
        walk.conv(walk.conv(shape, before5, 1), five, 5)
        walk.activations += prod(shape)  # the 3×3 maximum, stride 1
        walk.conv(shape, after, 1)
        walk.see(5, 1)
        return (*shape[:2], one + three + five + after)
    filters, stride = layer["filters"], layer["stride"]
    plan = [(filters, 3), (filters, 3)]
    if kind == "bottleneck":
        plan = [(filters, 1), (filters, 3), (4 * filters, 1)]
    out = shape
    for k, (n, kernel) in enumerate(plan):
        out = walk.conv(out, n, kernel, 1 if k else stride, bias=False, norm=True)
        walk.see(kernel, 1 if k else stride)
    if out != shape:
        walk.conv(shape, out[2], 1, stride, bias=False, norm=True)
    return out


def _stack(layers: Sequence[Layer], input_shape: tuple[int, int, int]) -> tuple[list[StackCost], str]:
    """The rows up to the first conflict, and the sentence about it ("" if everything fits)."""
    rows: list[StackCost] = []
    shape: tuple[int, ...] = input_shape
    field, jump, everything = 1, 1, False
    for number, layer in enumerate(layers, 1):
        walk = _Walk(field, jump)
        label = layer_label(layer)
        try:
            out = _count(layer, shape, walk)
        except _Conflict as conflict:
            return rows, f"Layer {number} ({label}): {conflict}"
        field, jump = walk.field, walk.jump
        everything = everything or layer["kind"] in ("dense", "global_pool")
        seen = None if everything else field
        counts = (walk.parameters, walk.multiply_adds, walk.activations)
        rows.append(StackCost(layer["kind"], label, shape, out, *counts, seen))
        shape = out
    return rows, ""


def stack_costs(layers: Sequence[Mapping[str, Any]], input_shape: Sequence[int]) -> list[StackCost]:
    """Count every layer of a description, first to last, for one example.

    Parameters
    ----------
    layers : list of dict
        The description; see the text of this module.
    input_shape : (H, W, C)

    Raises
    ------
    ValueError
        If a description is wrong, or if a layer cannot take what the one before it puts out.
    """
    rows, conflict = _stack(_full_layers(layers), _full_input(input_shape))
    if conflict:
        raise ValueError(conflict)
    return rows


# ---- words and pictures ----


def short_number(value: float) -> str:
    """A count with three significant digits: 999, 61.7 k, 138 M, 15.5 G."""
    for unit, size in (("", 1.0), (" k", 1e3), (" M", 1e6), (" G", 1e9), (" T", 1e12)):
        scaled = value / size
        if scaled < 999.5 or unit == " T":
            digits = 0 if not unit or scaled >= 99.95 else 1 if scaled >= 9.995 else 2
            return f"{scaled:.{digits}f}{unit}"
    raise AssertionError


def _share(part: float, whole: float) -> str:
    percent = 100 * part / whole if whole else 0.0
    return "under 1 %" if 0 < percent < 1 else f"{percent:.0f} %"


def _finding(rows: Sequence[StackCost]) -> str:
    """Which layer holds most parameters, where half of the work is done, and the share of dense layers."""
    parameters, work = (sum(getattr(r, name) for r in rows) for name in ("parameters", "multiply_adds"))
    if not work:
        return "No layer here has weights."
    most = max(range(len(rows)), key=lambda k: rows[k].parameters)
    half = next(k for k, done in enumerate(accumulate(r.multiply_adds for r in rows)) if done >= work / 2)
    dense = [r for r in rows if r.kind == "dense"]
    text = (
        f"Layer {most + 1} ({rows[most].label}) alone holds "
        f"{_share(rows[most].parameters, parameters)} of the parameters. "
        f"Half of the work is done by the end of layer {half + 1} of {len(rows)}."
    )
    if dense and len(dense) < len(rows):
        text += (
            " All dense layers together: "
            f"{_share(sum(r.parameters for r in dense), parameters)} of the parameters, "
            f"{_share(sum(r.multiply_adds for r in dense), work)} of the work."
        )
    return text


def _family(kind: str) -> str:
    if kind in ("inception", "residual", "bottleneck"):
        return "block"
    return {"conv": "conv", "depthwise": "depthwise", "dense": "dense"}.get(kind, "pool")


_COLOUR = {"conv": BLUE, "depthwise": SKY, "dense": ORANGE, "block": PURPLE, "pool": GREY}


class ArchitectureCalculator(Explorable):
    """Where do the parameters of a network sit, and where its work?

    A stack of layers, one row each, with output shape, parameters, multiply-adds, memory of the activations
    and receptive field; strips and bars compare them. Layers can be changed, put in, taken out and moved, and
    the sizes of input and batch changed. Layers that do not fit together are explained in one sentence.

    Parameters
    ----------
    preset_or_layers : the name of a network from :data:`PRESETS`, or a description, a list of dictionaries
    input_shape : (H, W, C); the preset's own, or (224, 224, 3), if not given
    batch : examples at a time, for the memory and the work of a batch
    selected : index of the layer that is open for changes; the first with the most multiply-adds if not given

    Raises
    ------
    ValueError
        For an unknown preset, a wrong description, a wrong shape or batch. A conflict between layers is shown
        in the figure instead; :func:`stack_costs` raises it.
    """

    _js = "architecture_calculator.js"

    layers = traitlets.List().tag(sync=True)
    input_shape = traitlets.List([224, 224, 3]).tag(sync=True)
    batch = traitlets.Int(1).tag(sync=True)
    selected = traitlets.Int(0).tag(sync=True)
    preset = traitlets.Unicode("").tag(sync=True)
    presets = traitlets.Dict().tag(sync=True)  # PRESETS for the browser

    def __init__(
        self,
        preset_or_layers: str | Sequence[Mapping[str, Any]] = "vgg16",
        input_shape: Sequence[int] | None = None,
        *,
        batch: int = 1,
        selected: int | None = None,
        **kwargs: Any,
    ) -> None:
        name, usual = "", (224, 224, 3)
        layers = preset_or_layers
        if isinstance(preset_or_layers, str):
            name = preset_or_layers
            if name not in PRESETS:
                raise ValueError(f"There is no preset {name!r}; choose one of: {', '.join(PRESETS)}.")
            layers, usual = PRESETS[name].layers, PRESETS[name].input_shape
        full = _full_layers(layers)
        shape = _full_input(usual if input_shape is None else input_shape)
        _whole(batch, 1, MAX_BATCH, "batch")
        if selected is None:
            rows, conflict = _stack(full, shape)
            work = [r.multiply_adds for r in rows]
            selected = len(rows) if conflict else work.index(max(work))
        _whole(selected, 0, len(full) - 1, "selected")
        presets = {
            key: {"layers": p.layers, "input_shape": list(p.input_shape), "published": p.published}
            for key, p in PRESETS.items()
        }
        super().__init__(
            layers=full,
            input_shape=list(shape),
            batch=batch,
            selected=selected,
            preset=name,
            presets=presets,
            **kwargs,
        )

    @traitlets.validate("layers", "input_shape")
    def _described(self, proposal: Any) -> Any:
        check = _full_layers if proposal["trait"].name == "layers" else lambda shape: list(_full_input(shape))
        try:
            return check(proposal["value"])
        except ValueError as error:
            raise traitlets.TraitError(str(error)) from None

    @traitlets.validate("batch")
    def _some(self, proposal: Any) -> int:
        if not 1 <= proposal["value"] <= MAX_BATCH:
            raise traitlets.TraitError(f"batch must lie between 1 and {MAX_BATCH}, not {proposal['value']}.")
        return proposal["value"]

    def costs(self) -> list[StackCost]:
        """The rows of the present state, up to the first conflict; see :func:`stack_costs`."""
        return _stack(self.layers, _full_input(self.input_shape))[0]

    @property
    def conflict(self) -> str:
        """The sentence about the first layer that does not fit, or ""."""
        return _stack(self.layers, _full_input(self.input_shape))[1]

    @property
    def description(self) -> str:
        rows, conflict = self.costs(), self.conflict
        text = f"{len(self.layers)} layers"
        if self.preset:
            text = f"{self.preset}, {text}"
        text += f", for an input of {_times(self.input_shape)}. "
        if conflict:
            return text + conflict
        parameters, work = (sum(getattr(r, name) for r in rows) for name in ("parameters", "multiply_adds"))
        text += f"Parameters: {parameters:,}. Multiply-adds for one image: {work:,}. "
        return text + _finding(rows)

    def preview(self) -> str:
        rows, conflict = self.costs(), self.conflict
        width, left = 760, 16
        body = [
            f'<text x="{left}" y="26" font-size="15">Where do the parameters sit, and where the work?</text>'
        ]

        def text(x: float, y: float, words: str, anchor: str = "start", fill: str = "#222") -> None:
            body.append(
                f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{fill}">{escape(words)}</text>'
            )

        y = 40
        for name, title in (("parameters", "parameters"), ("multiply_adds", "multiply-adds")):
            total = sum(getattr(r, name) for r in rows)
            x, span = left + 190.0, width - 2 * left - 190.0
            text(left, y + 17, f"{title} {short_number(total)}")
            for row in rows:
                part = span * getattr(row, name) / total if total else 0
                if part > 0.2:
                    body.append(
                        f'<rect x="{x:.1f}" y="{y}" width="{part:.1f}" height="24" '
                        f'fill="{_COLOUR[_family(row.kind)]}" stroke="#fff"/>'
                    )
                x += part
            y += 30
        y += 22
        ends = ((330, "output"), (510, "parameters"), (width - left, "multiply-adds"))
        text(left + 26, y, "layer", "start", GREY)
        for x, words in ends:
            text(x, y, words, "end", GREY)
        most = [
            max((getattr(r, name) for r in rows), default=0) or 1 for name in ("parameters", "multiply_adds")
        ]
        shown = rows if len(rows) <= 30 else rows[:29]
        for k, row in enumerate(shown, 1):
            y += 19
            text(left + 18, y, str(k), "end", GREY)
            text(left + 26, y, row.label)
            text(330, y, "×".join(map(str, row.output_shape)), "end")
            for value, top, at in ((row.parameters, most[0], 345), (row.multiply_adds, most[1], 560)):
                if value:
                    body.append(
                        f'<rect x="{at}" y="{y - 11}" width="{max(1, 100 * value / top):.1f}" height="12" '
                        f'fill="{_COLOUR[_family(row.kind)]}"/>'
                    )
                text(at + 165 if at < 500 else width - left, y, short_number(value) if value else "0", "end")
        if conflict or len(rows) > len(shown):
            y += 22
            words = conflict or f"and {len(rows) - len(shown)} more layers"
            text(left, y, words, fill="#AE3A00" if conflict else GREY)
        return svg_document(width, y + 14, "".join(body))
