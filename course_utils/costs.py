"""What a Keras model costs: parameters and multiply-adds, layer by layer.

Lesson 15 derives these counts in its own cells; later lessons take them from here. A *multiply-add* is one
multiplication and the addition that follows it, so two floating-point operations. As in the papers, only the
multiply-adds of convolutions and dense layers are counted: biases, activations, pooling and normalisation add
a few per cent at most.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import keras

__all__ = ["LayerCost", "layer_costs", "multiply_adds"]

_CONVOLUTIONS = ("Conv1D", "Conv2D", "Conv3D")
_DEPTHWISE = ("DepthwiseConv1D", "DepthwiseConv2D")
_SEPARABLE = ("SeparableConv1D", "SeparableConv2D")
_NORMALIZATIONS = (
    "BatchNormalization",
    "GroupNormalization",
    "LayerNormalization",
    "Normalization",
    "RMSNormalization",
)


@dataclass(frozen=True)
class LayerCost:
    """One layer of a model: its name, the name of its class, its output's shape without the batch axis, and
    its numbers of parameters and of multiply-adds for one example."""

    name: str
    kind: str
    output_shape: tuple[int, ...]
    parameters: int
    multiply_adds: int


def layer_costs(model: keras.Model) -> list[LayerCost]:
    """Count every layer of a built model, in the order of ``model.layers``; a model inside counts as its layers.

    Parameters
    ----------
    model : keras.Model
        Sequential or functional, built, with all sizes known but the batch.

    Raises
    ------
    ValueError
        If the model is not built, has a size that is not known, or calls a layer with weights more than once.
    TypeError
        For a layer with weights whose multiply-adds are not defined here, and for a subclassed model, which
        does not record what shapes its layers put out.
    """
    if not model.built:
        raise ValueError(f"{model.name} is not built yet: give it an Input layer or call it once.")
    calls = _calls(model)
    costs: list[LayerCost] = []
    for layer in model.layers:
        if type(layer).__name__ == "InputLayer":
            continue
        nodes = calls[id(layer)]
        if layer.weights and len(nodes) > 1:
            raise ValueError(f"{layer.name} is called {len(nodes)} times; costs are per call.")
        if hasattr(layer, "layers"):
            costs += layer_costs(layer)
        else:
            costs.append(_cost(layer, nodes[0].output_tensors[0]))
    return costs


def multiply_adds(model: keras.Model) -> int:
    """Multiply-adds of the whole model for one example; see :func:`layer_costs` for what counts and for errors."""
    return sum(cost.multiply_adds for cost in layer_costs(model))


def _calls(model: Any) -> dict[int, list[Any]]:
    """The calls of each layer (by its id) in this model's own graph, first to last.

    ``layer._inbound_nodes`` would not do: another model may share the layer, and a Sequential model that grows
    by ``add`` calls its layers anew each time.
    """
    graph = getattr(model, "_functional", None) or model  # a Sequential model keeps its graph there
    by_depth = getattr(graph, "_nodes_by_depth", None)
    if by_depth is None:
        raise TypeError(f"{model.name} is neither a Sequential nor a functional model.")
    calls: dict[int, list[Any]] = {}
    for depth in sorted(by_depth, reverse=True):  # depth 0 is the output
        for node in by_depth[depth]:
            calls.setdefault(id(node.operation), []).append(node)
    return calls


def _cost(layer: Any, output: Any) -> LayerCost:
    kind = type(layer).__name__
    shape = _shape(output, layer.name)
    parameters = layer.count_params()
    return LayerCost(layer.name, kind, shape, parameters, _multiply_adds(layer, kind, shape))


def _shape(tensor: Any, name: str) -> tuple[int, ...]:
    shape = tuple(tensor.shape[1:])
    if any(size is None for size in shape):
        raise ValueError(
            f"{name} has an output of shape {tuple(tensor.shape)}: give the model a fixed input size."
        )
    return shape


def _multiply_adds(layer: Any, kind: str, shape: tuple[int, ...]) -> int:
    channels_last = getattr(layer, "data_format", "channels_last") != "channels_first"
    places = prod(shape[:-1] if channels_last else shape[1:])
    if kind in _CONVOLUTIONS or kind in _DEPTHWISE:
        return places * prod(layer.kernel.shape)  # every weight is used once at every place of the output
    if kind in _SEPARABLE:
        return places * (prod(layer.depthwise_kernel.shape) + prod(layer.pointwise_kernel.shape))
    if kind == "Dense":
        return prod(shape[:-1]) * prod(layer.kernel.shape)
    if not layer.weights or kind in _NORMALIZATIONS:
        return 0
    raise TypeError(f"The multiply-adds of {layer.name} ({kind}) are not defined here.")
