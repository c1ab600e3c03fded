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
        For a layer with weights whose multiply-adds are not defined here.
    """
    if not model.built:
        raise ValueError(f"{model.name} is not built yet: give it an Input layer or call it once.")
    costs: list[LayerCost] = []
    for layer in model.layers:
        if hasattr(layer, "layers"):
            costs += layer_costs(layer)
        elif type(layer).__name__ != "InputLayer":
            costs.append(_cost(layer))
    return costs


def multiply_adds(model: keras.Model) -> int:
    """Multiply-adds of the whole model for one example; see :func:`layer_costs` for what counts and for errors."""
    return sum(cost.multiply_adds for cost in layer_costs(model))


def _cost(layer: Any) -> LayerCost:
    kind = type(layer).__name__
    if layer.weights and len(layer._inbound_nodes) > 1:
        raise ValueError(f"{layer.name} is called {len(layer._inbound_nodes)} times; costs are per call.")
    shape = _shape(layer.output, layer.name)
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
    if not layer.weights or kind in ("BatchNormalization", "LayerNormalization", "Normalization"):
        return 0
    raise TypeError(f"The multiply-adds of {layer.name} ({kind}) are not defined here.")
