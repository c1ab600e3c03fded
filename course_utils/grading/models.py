"""A Keras model crosses to the judge as architecture and weights, and is rebuilt from Keras's own layers only.

:func:`pack` runs in the student's process; nothing rests on its honesty. :func:`unpack` runs in the judge. It copies
what came into a configuration that holds only what is listed below, puts Sequential and functional models together
itself, and asks Keras's loader for single layers and operations of known names. So that loader has no name to import,
no function to look up, no file to open and no bytecode to run: the known attacks on it (CVE-2024-3660, CVE-2025-1550,
-8747, -9905, -9906, -12058) each need one of these.

Memory is bounded before it is allocated: the model is first built in a ``keras.StatelessScope``, where weights have
shapes but no values, and these shapes have to be those of the arrays that came.
"""

from __future__ import annotations

import copy
import re
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np

from course_utils.grading.errors import NotPlain

MAX_NUMBER = 10**6  # any single whole number: units, a dimension, an index
MAX_LAYERS = 500  # in all, those of nested models included
MAX_CALLS = 1000  # of layers, in all
MAX_NESTING = 8  # models and wrappers in one another
MAX_VALUES = 200_000  # of the configuration

_ADVICE = "build it from Keras's own layers"


def _words(*lines: str) -> frozenset[str]:
    return frozenset(" ".join(lines).split())


# Left out: everything that takes code (Lambda, JaxLayer, FlaxLayer, TorchModuleWrapper, TFSMLayer), reads a file or
# keeps a table (TextVectorization, StringLookup, IntegerLookup), or allocates by other numbers than its weights'
# shapes while it is built (the spectrograms).
LAYERS = _words(
    "InputLayer Dense EinsumDense Embedding ReversibleEmbedding Identity Masking Activation",
    "ELU LeakyReLU PReLU ReLU Softmax",
    "Conv1D Conv2D Conv3D Conv1DTranspose Conv2DTranspose Conv3DTranspose DepthwiseConv1D DepthwiseConv2D",
    "SeparableConv1D SeparableConv2D",
    "AveragePooling1D AveragePooling2D AveragePooling3D MaxPooling1D MaxPooling2D MaxPooling3D",
    "GlobalAveragePooling1D GlobalAveragePooling2D GlobalAveragePooling3D",
    "GlobalMaxPooling1D GlobalMaxPooling2D GlobalMaxPooling3D",
    "AdaptiveAveragePooling1D AdaptiveAveragePooling2D AdaptiveAveragePooling3D",
    "AdaptiveMaxPooling1D AdaptiveMaxPooling2D AdaptiveMaxPooling3D",
    "RNN SimpleRNN LSTM GRU SimpleRNNCell LSTMCell GRUCell StackedRNNCells ConvLSTM1D ConvLSTM2D ConvLSTM3D",
    "Bidirectional TimeDistributed SpectralNormalization",
    "BatchNormalization LayerNormalization GroupNormalization RMSNormalization UnitNormalization Normalization",
    "Dropout SpatialDropout1D SpatialDropout2D SpatialDropout3D AlphaDropout GaussianDropout GaussianNoise",
    "ActivityRegularization",
    "Attention AdditiveAttention MultiHeadAttention GroupQueryAttention",
    "Flatten Permute RepeatVector Reshape Cropping1D Cropping2D Cropping3D",
    "UpSampling1D UpSampling2D UpSampling3D ZeroPadding1D ZeroPadding2D ZeroPadding3D",
    "Add Average Concatenate Dot Maximum Minimum Multiply Subtract",
    "Rescaling Resizing CenterCrop CategoryEncoding RandomFlip RandomRotation RandomZoom RandomTranslation",
    "RandomContrast RandomBrightness RandomCrop",
)

# What `x + y`, `x[:, 0]`, `keras.ops.mean(x)` or `keras.activations.relu(x)` become in a functional model.
OPERATIONS = {
    "keras.src.ops.numpy": _words(
        "Abs Absolute Add Amax Amin Argmax Argmin Average Ceil Clip Concatenate Cos Cosh Cumsum Divide Dot Einsum Equal",
        "Exp ExpandDims Expm1 Flip Floor FloorDivide GetItem Greater GreaterEqual Less LessEqual Log Log10 Log1p Log2",
        "LogicalAnd LogicalNot LogicalOr Matmul Max Maximum Mean Min Minimum Mod Moveaxis Multiply Negative NotEqual",
        "Power Prod Reciprocal Reshape Roll Round Sign Sin Sinh Sqrt Square Squeeze Stack Std Subtract Sum",
        "Swapaxes Take Tan Tanh Tensordot Transpose TrueDivide Var Where",
    ),
    "keras.src.ops.nn": _words(
        "AveragePool Celu Elu Gelu HardSigmoid HardSilu LeakyRelu LogSigmoid LogSoftmax MaxPool Normalize Relu Relu6",
        "Selu Sigmoid Silu Softmax Softplus Softsign",
    ),
    "keras.src.ops.core": _words("Cast StopGradient"),
    "keras.src.ops.math": _words("Logsumexp Rsqrt"),
    "keras.src.activations.activations": _words("Mish ReLU"),
}

_MODELS = {  # module and class that a configuration names
    ("keras", "Sequential"): "Sequential",
    ("keras.models", "Sequential"): "Sequential",
    ("keras.src.models.functional", "Functional"): "Functional",
    ("keras.models", "Functional"): "Functional",
}
_KINDS = frozenset(_MODELS.values())
_INNER = ("layer", "backward_layer", "cell", "cells")  # arguments that are layers

_PARTS = {
    "initializer": (
        "keras.initializers",
        _words(
            "Constant GlorotNormal GlorotUniform HeNormal HeUniform Identity LecunNormal LecunUniform Ones Orthogonal",
            "RandomNormal RandomUniform TruncatedNormal VarianceScaling Zeros",
        ),
    ),
    "regularizer": ("keras.regularizers", _words("L1 L1L2 L2 OrthogonalRegularizer")),
    "constraint": ("keras.constraints", _words("MaxNorm MinMaxNorm NonNeg UnitNorm")),
}

_ACTIVATIONS = _words(
    "celu elu exponential gelu glu hard_shrink hard_sigmoid hard_silu hard_swish hard_tanh leaky_relu linear",
    "log_sigmoid log_softmax mish relu relu6 selu sigmoid silu soft_shrink softmax softplus softsign sparse_plus",
    "sparse_sigmoid sparsemax squareplus swish tanh tanh_shrink threshold",
)

_ACTIVATION_LAYERS = _words("ELU LeakyReLU PReLU ReLU Softmax")

_DTYPES = _words(
    "float16 float32 float64 bfloat16 mixed_float16 mixed_bfloat16 bool",
    "int8 int16 int32 int64 uint8 uint16 uint32",
)

# Arguments that a layer has to leave alone: other kinds of weights, or variables besides the weights.
_UNSET = _words(
    "gptq_unpacked_column_size lora_alpha lora_rank quantization_config quantization_mode stateful"
)

_KEY = re.compile(r"[a-z][a-z0-9_]{0,59}")


def pack(model: Any) -> dict[str, Any]:
    """A Sequential or functional model as plain data: the ``models`` hook of :func:`plain.encode`.

    How the model was compiled does not cross. A model that is not built yet crosses without weights. A layer that
    belongs both to a model and to a model in it becomes two, with equal weights.

    Returns
    -------
    dict
        ``class`` ("Sequential" or "Functional"), ``config`` (dicts, lists, numbers and strings) and ``weights``
        (arrays, in the order of the layers in ``config``).

    Raises
    ------
    NotPlain
        If it is a class of the student's own, or has a part that :func:`unpack` would refuse.
    """
    cls = type(model)
    if cls.__name__ not in _KINDS or not str(cls.__module__).startswith("keras."):
        raise NotPlain(
            f"a model must be Sequential or functional to be checked here: {_shown(cls.__name__)} is a class of its own"
        )
    try:
        config = model.get_config()
    except Exception as error:
        raise NotPlain(f"the model cannot say what it is built from ({_reason(error)}): {_ADVICE}") from None
    tree = _Copy().model(cls.__name__, config, 0)
    weights = [np.asarray(array) for layer in _leaves(model, tree) for array in layer.get_weights()]
    return {"class": cls.__name__, "config": tree["config"], "weights": weights}


def unpack(tree: dict[str, Any]) -> Any:
    """Rebuild a model from what :func:`pack` gave, or from anything else that came: the ``models`` hook of
    :func:`plain.decode`.

    Time is not bounded here: a model may take long to build or to call, and memory beyond its weights when it is
    called. Both cost the judge's limits, and so the student alone.

    Returns
    -------
    keras.Model
        Not compiled, with its weights set.

    Raises
    ------
    NotPlain
        If it has a part that is not allowed, or weights that are not those of its architecture.
    """
    import keras

    if type(tree) is not dict or tree.keys() != {"class", "config", "weights"}:
        raise _odd("it has other parts than class, config and weights")
    kind, weights = tree["class"], tree["weights"]
    if type(kind) is not str or kind not in _KINDS:
        raise NotPlain("a model must be Sequential or functional to be checked here")
    if type(weights) is not list or any(type(array) is not np.ndarray for array in weights):
        raise _odd("its weights are not arrays")
    checked = _Copy().model(kind, tree["config"], 0)

    _check_weights(_shapes(checked), weights)
    try:
        model = _build(checked)
        leaves = list(_leaves(model, checked))
        for variable, array in zip((w for leaf in leaves for w in leaf.weights), weights, strict=True):
            variable.assign(array)
        for leaf in leaves:
            if type(leaf) is keras.layers.Normalization and leaf.built:
                leaf.finalize_state()  # it computes with a copy of its weights
    except Exception as error:
        raise NotPlain(f"Keras cannot rebuild the model: {_reason(error)}") from None
    return model


def _build(part: dict[str, Any]) -> Any:
    """The layer, operation or model of a part of a copied configuration."""
    import keras

    kind, config = part["class_name"], part["config"]
    if kind == "Sequential":
        model = keras.Sequential([_build(layer) for layer in config["layers"]], name=config["name"])
        if "build_input_shape" in config and not model.built:
            model.build(config["build_input_shape"])
        return model
    if kind == "Functional":
        return _build_functional(config)
    inner = {key: config[key] for key in _INNER if config.get(key) is not None}
    if inner:
        built = {key: [*map(_build, of)] if type(of) is list else _build(of) for key, of in inner.items()}
        return getattr(keras.layers, kind)(**copy.deepcopy({**config, **dict.fromkeys(inner)}) | built)
    return keras.saving.deserialize_keras_object(_object(part["module"], kind, copy.deepcopy(config)))


def _build_functional(config: dict[str, Any]) -> Any:
    """Call the layers of a functional model in order.

    Not by Keras's own loader: up to 3.14 it takes an IndexError in a layer for an input that is still to come, and
    tries again without end.
    """
    import keras

    layers = {part["name"]: _build(part) for part in config["layers"]}
    calls = {part["name"]: iter(part["inbound_nodes"]) for part in config["layers"]}
    made: dict[str, list[list[Any]]] = {name: [] for name in layers}  # outputs of each layer, of each call
    for part in config["layers"]:
        if part["class_name"] == "InputLayer":
            made[part["name"]].append(keras.tree.flatten(layers[part["name"]].output))

    def argument(value: Any) -> Any:
        if type(value) is list:
            return [argument(item) for item in value]
        if type(value) is not dict:
            return value
        kind, of = value.get("class_name"), value.get("config")
        if kind == "__keras_tensor__":
            name, call, index = of["keras_history"]
            return made[name][call][index]
        if kind == "__slice__":
            return slice(of["start"], of["stop"], of["step"])
        if kind == "__ellipsis__":
            return ...
        return {key: argument(item) for key, item in value.items()}

    for name in config["order"]:
        call = next(calls[name])
        args = [argument(item) for item in call["args"]]
        kwargs = {key: argument(item) for key, item in call["kwargs"].items()}
        made[name].append(keras.tree.flatten(layers[name](*args, **kwargs)))

    models = {part["name"] for part in config["layers"] if part["class_name"] == "Functional"}

    def end(value: Any) -> Any:
        if type(value) is dict:
            return {key: end(item) for key, item in value.items()}
        if type(value[0]) is not str:
            return [end(item) for item in value]
        name, call, index = value
        if name in models:  # Keras counts the making of a model as its first call
            call -= 1
        return made[name][call][index]

    model = keras.Model(
        inputs=end(config["input_layers"]),
        outputs=end(config["output_layers"]),
        name=config["name"],
        trainable=config["trainable"],
    )
    if len(model.layers) != sum(isinstance(layer, keras.Layer) for layer in layers.values()):
        raise ValueError("it has a layer that leads to no output")  # whose weights nobody would count
    return model


def _shapes(checked: dict[str, Any]) -> list[tuple[tuple[int, ...], str]]:
    """Shape and dtype of each weight that the configuration leads to, without allocating any.

    In a thread of its own: Keras keeps a list, per thread, of the variables that a stateless scope left without
    values, and gives values to all of them when the next such scope ends.
    """
    import keras

    result: list[Any] = []

    def build() -> None:
        try:
            with keras.StatelessScope(initialize_variables=False):
                model = _build(checked)
                variables = [w for leaf in _leaves(model, checked) for w in leaf.weights]
                result.append([(tuple(w.shape), keras.backend.standardize_dtype(w.dtype)) for w in variables])
        except Exception as error:
            result.append(_reason(error))

    thread = threading.Thread(target=build, name="model shapes")
    thread.start()
    thread.join()
    if isinstance(result[0], str):
        raise NotPlain(f"Keras cannot rebuild the model: {result[0]}")
    return result[0]


def _check_weights(wanted: list[tuple[tuple[int, ...], str]], weights: list[np.ndarray]) -> None:
    if len(wanted) != len(weights):
        raise NotPlain(
            f"the model has {len(wanted)} arrays of weights by its layers, but {len(weights)} came"
        )
    for (shape, dtype), array in zip(wanted, weights, strict=True):
        if array.shape != shape:
            raise NotPlain(
                f"the model has weights of shape {_shown(str(shape))} by its layers, but {array.shape} came"
            )
        if array.dtype.kind not in ("f" if "float" in dtype else "iub"):
            raise NotPlain(f"the model has weights of type {dtype} by its layers, but {array.dtype} came")


def _leaves(model: Any, tree: dict[str, Any]) -> Iterator[Any]:
    """The layers of a model and of the models in it, in the order of its configuration, which both sides share."""
    layers = {layer.name: layer for layer in model.layers}
    for part in tree["config"]["layers"]:
        if part["class_name"] == "InputLayer" or part["module"] in OPERATIONS:
            continue
        layer = layers[part["config"]["name"]]
        if part["class_name"] in _KINDS:
            yield from _leaves(layer, part)
        else:
            yield layer


class _Copy:
    """Copies a configuration that came into one that holds only what is allowed."""

    def __init__(self) -> None:
        self.values = 0
        self.layers = 0
        self.calls = 0
        self.tensors: list[tuple[str, int]] = []  # where the inputs of one call come from: layer, its call

    def model(self, kind: str, config: Any, depth: int) -> dict[str, Any]:
        config = self.fields(config)
        parts = config.get("layers")
        if type(parts) is not list:
            raise _odd("it has no list of layers")
        clean: dict[str, Any] = {"name": self.name(config.get("name"))}
        if kind == "Sequential":
            clean["layers"] = [self.layer(part, depth + 1) for part in parts]
            if config.get("build_input_shape") is not None:
                clean["build_input_shape"] = self.plain(config["build_input_shape"], "build_input_shape")
            names = [part["config"]["name"] for part in clean["layers"]]
        else:
            clean["trainable"] = config.get("trainable") is not False
            needs: list[list[list[tuple[str, int]]]] = []  # of each layer, of each call: the calls before it
            clean["layers"] = [self.called(part, depth + 1, needs) for part in parts]
            clean["input_layers"] = self.ends(config.get("input_layers"), 0)
            clean["output_layers"] = self.ends(config.get("output_layers"), 0)
            names = [part["name"] for part in clean["layers"]]
        if len(set(names)) != len(names):
            raise _odd("two layers have one name")
        if kind == "Functional":
            clean["order"] = _order(clean["layers"], needs)
        return _object("keras.models", kind, clean)

    def layer(self, part: Any, depth: int) -> dict[str, Any]:
        """A layer, cell or model: an entry of ``layers``, or the inner layer of a wrapper."""
        self.layers += 1
        if self.layers > MAX_LAYERS:
            raise NotPlain(f"the model has more than {MAX_LAYERS} layers")
        if depth > MAX_NESTING:
            raise NotPlain(f"the model has layers nested more than {MAX_NESTING} deep")
        module, name = self.reference(part)
        kind = _MODELS.get((module, name))
        if kind is not None:
            return self.model(kind, part.get("config"), depth)
        if module != "keras.layers" or name not in LAYERS:
            if module == "keras.layers":
                raise NotPlain(
                    f"the model has a {_shown(name)} layer, which does not cross to the tests: {_ADVICE}"
                )
            raise NotPlain(
                f"the model has a part that is not one of Keras's layers, {_shown(name)}: {_ADVICE}"
            )
        config = self.arguments(part.get("config"), name, depth)
        if "name" not in config:
            raise _odd("a layer has no name")
        # It makes tensors by its input's shape while it is built, not only weights.
        if name == "Normalization" and type(config.get("axis")) is list and len(config["axis"]) > 1:
            raise NotPlain("the model has a Normalization layer over several axes: use one axis")
        return _object(module, name, config)

    def called(self, part: Any, depth: int, needs: list[list[list[tuple[str, int]]]]) -> dict[str, Any]:
        """A layer or operation of a functional model, with its calls; adds to ``needs`` what these are called on."""
        module, name = self.reference(part)
        if name in OPERATIONS.get(module, ()):
            self.layers += 1
            if self.layers > MAX_LAYERS:
                raise NotPlain(f"the model has more than {MAX_LAYERS} layers")
            clean = _object(module, name, self.arguments(part.get("config"), name, depth))
        else:
            clean = self.layer(part, depth)
        calls = part.get("inbound_nodes")
        if type(calls) is not list:
            raise _odd("a layer has no list of calls")
        self.calls += len(calls)
        if self.calls > MAX_CALLS:
            raise NotPlain(f"the model calls its layers more than {MAX_CALLS} times")
        clean["name"] = self.name(part.get("name"))
        if clean["config"].get("name") != clean["name"]:
            raise _odd("a layer has two names")
        clean["inbound_nodes"] = []
        needs.append([])
        for node in calls:
            self.tensors = []
            clean["inbound_nodes"].append(self.call(node))
            needs[-1].append(self.tensors)
        return clean

    def call(self, node: Any) -> dict[str, Any]:
        node = self.fields(node)
        if node.keys() != {"args", "kwargs"} or type(node["args"]) not in (list, tuple):
            raise _odd("a layer is called with other things than args and kwargs")
        args = [self.argument(item, 0) for item in node["args"]]
        kwargs = {self.key(key): self.argument(item, 0) for key, item in self.fields(node["kwargs"]).items()}
        if not self.tensors:  # it would compute at once, with numbers of any size
            raise _odd("a layer is called on constants")
        return {"args": args, "kwargs": kwargs}

    def argument(self, value: Any, depth: int) -> Any:
        """What a layer is called on: the outputs of others, plain numbers, slices, and lists or dicts of these."""
        if depth > 5:
            raise _odd("a layer's input is nested too deeply")
        if type(value) in (list, tuple):
            return [self.argument(item, depth + 1) for item in value]
        if type(value) is not dict:
            return self.plain(value, "an argument")
        self.fields(value)
        if "class_name" not in value:
            return {self.name(key): self.argument(item, depth + 1) for key, item in value.items()}
        _, kind = self.reference(value)
        config = self.fields(value.get("config"))
        if kind == "__keras_tensor__":
            history = self.end(config.get("keras_history"))
            self.tensors.append((history[0], history[1]))
            return {
                "class_name": kind,
                "config": {
                    "shape": self.plain(config.get("shape"), "shape"),
                    "dtype": self.dtype(config.get("dtype")),
                    "keras_history": history,
                },
            }
        if kind == "__slice__":
            bounds = {key: self.plain(config.get(key), "a slice") for key in ("start", "stop", "step")}
            return {"class_name": kind, "config": bounds}
        if kind == "__ellipsis__":
            return {"class_name": kind, "config": {}}
        raise NotPlain(f"the model computes with a constant array or object, {_shown(kind)}: {_ADVICE}")

    def ends(self, value: Any, depth: int) -> Any:
        """Inputs or outputs of a functional model: ``[layer, call, output]``, or lists or dicts of these."""
        if depth > 5:
            raise _odd("its inputs or outputs are nested too deeply")
        if type(value) is dict:
            return {self.name(key): self.ends(item, depth + 1) for key, item in self.fields(value).items()}
        if type(value) not in (list, tuple) or not value:
            raise _odd("its inputs or outputs are not named")
        if type(value[0]) is str:
            return self.end(value)
        return [self.ends(item, depth + 1) for item in value]

    def end(self, value: Any) -> list[Any]:
        if type(value) not in (list, tuple) or len(value) != 3:
            raise _odd("a tensor has no layer")
        for index in value[1:]:
            if type(index) is not int or not 0 <= index <= MAX_NUMBER:
                raise _odd("a tensor has no number")
        return [self.name(value[0]), *value[1:]]

    def arguments(self, config: Any, owner: str, depth: int) -> dict[str, Any]:
        """The arguments with which a layer is made."""
        return {
            key: self.setting(key, value, owner, depth)
            for key, value in self.fields(config).items()
            if not (self.key(key) in _UNSET and (value is None or value is False))
        }

    def setting(self, key: str, value: Any, owner: str, depth: int) -> Any:
        if key in _UNSET:
            raise NotPlain(f"the model has a {owner} layer with {key}, which does not cross to the tests")
        if key == "name":
            return self.name(value)
        if value is None:
            return None
        if key == "dtype" or key.endswith("_dtype"):
            return self.dtype(value)
        if key.endswith("activation"):
            return self.activation(value, depth)
        part = key.rpartition("_")[2]
        if part in _PARTS:
            return self.part(part, value)
        if key in _INNER:
            if type(value) is list:
                return [self.layer(item, depth + 1) for item in value]
            return self.layer(value, depth + 1)
        return self.plain(value, key)

    def activation(self, value: Any, depth: int) -> Any:
        if type(value) is str and value in _ACTIVATIONS:
            return value
        name = value
        if type(value) is dict:
            module, name = self.reference(value)
            if module == "keras.layers" and name in _ACTIVATION_LAYERS:
                return self.layer(value, depth + 1)
            if name == "function":
                name = value.get("config")
        raise NotPlain(f"the model has an activation that is not one of Keras's, {_shown(name)}: {_ADVICE}")

    def part(self, part: str, value: Any) -> dict[str, Any]:
        """An initializer, regularizer or constraint."""
        module, name = self.reference(value)
        allowed_module, allowed = _PARTS[part]
        if module != allowed_module or name not in allowed:
            raise NotPlain(f"the model has a {part} that is not one of Keras's, {_shown(name)}: {_ADVICE}")
        config = {
            self.key(key): self.plain(item, key) for key, item in self.fields(value.get("config")).items()
        }
        return _object(module, name, config)

    def dtype(self, value: Any) -> str:
        """The name of a dtype or of a plain policy."""
        if type(value) is dict:
            if self.reference(value)[1] != "DTypePolicy":
                raise NotPlain(f"the model has a dtype policy that does not cross: {_ADVICE}")
            value = self.fields(value.get("config")).get("name")
        if type(value) is not str or value not in _DTYPES:
            raise NotPlain(f"the model has a dtype that does not cross to the tests, {_shown(value)}")
        return value

    def plain(self, value: Any, key: str, depth: int = 0) -> Any:
        """Numbers, short strings and lists of these."""
        self.values += 1
        if self.values > MAX_VALUES:
            raise NotPlain("the model's configuration is too long")
        if value is None or type(value) in (bool, float):
            return value
        if type(value) is int:
            if abs(value) > (2**63 if key == "seed" else MAX_NUMBER):
                raise NotPlain(f"the model has a number beyond {MAX_NUMBER:,} ({_shown(key)})")
            return value
        if type(value) is str and len(value) <= 200:
            return value
        if type(value) in (list, tuple) and depth < 6:
            return [self.plain(item, key, depth + 1) for item in value]
        raise _odd(f"{_shown(key)} is not a number, a short string or a list of these")

    def reference(self, part: Any) -> tuple[str, str]:
        """Module and class that an object names; both are only ever compared with the lists above."""
        part = self.fields(part)
        module, name = part.get("module"), part.get("class_name")
        if type(name) is not str:
            raise _odd("an object has no class")
        return (module if type(module) is str else ""), name

    def name(self, value: Any) -> str:
        if type(value) is not str or not 0 < len(value) <= 100 or not value.isprintable():
            raise _odd("a name is not a short string")
        return value

    def key(self, value: Any) -> str:
        if type(value) is not str or not _KEY.fullmatch(value):
            raise _odd("an argument has an odd name")
        return value

    def fields(self, value: Any) -> dict[Any, Any]:
        if type(value) is not dict:
            raise _odd("something is not a dict that should be one")
        self.values += len(value)
        if self.values > MAX_VALUES:
            raise NotPlain("the model's configuration is too long")
        return value


def _order(layers: list[dict[str, Any]], needs: list[list[list[tuple[str, int]]]]) -> list[str]:
    """The layers' names in an order in which they can be called, once for each call."""
    made = {layer["name"]: int(layer["class_name"] == "InputLayer") for layer in layers}
    waiting = [(layer["name"], calls[::-1]) for layer, calls in zip(layers, needs, strict=True) if calls]
    order: list[str] = []
    while waiting:
        before = len(order)
        for name, calls in waiting:
            while calls and all(call < made.get(layer, 0) for layer, call in calls[-1]):
                calls.pop()
                made[name] += 1
                order.append(name)
        if len(order) == before:
            raise _odd("its layers wait for one another, or for one that is not there")
        waiting = [entry for entry in waiting if entry[1]]
    return order


def _object(module: str, name: str, config: dict[str, Any]) -> dict[str, Any]:
    return {"module": module, "class_name": name, "config": config, "registered_name": None}


def _odd(what: str) -> NotPlain:
    return NotPlain(f"the model's configuration is not one that Keras writes: {what}")


def _shown(name: Any) -> str:
    """A name from outside, fit for a message."""
    text = name[:60] if type(name) is str else type(name).__name__
    return text if text.isprintable() else "an odd name"


def _reason(error: Exception) -> str:
    """The innermost sentence of an error of Keras's, whose messages repeat the whole configuration."""
    text = str(error).rpartition("Exception encountered:")[2]
    line = next((line.strip() for line in text.splitlines() if line.strip()), type(error).__name__)
    return "".join(char if char.isprintable() else " " for char in line)[:200]
