"""Operators of ONNX that are no function of single numbers, and the shapes of rows on their way through them.

``OPERATORS`` says for each what it is here: parts of a model, of the node's first input.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fastnn.activations import ELU, SELU, LogSoftmax, SiLU, Softmax
from fastnn.interop._assemble import Affine, Filled, Part, Weights
from fastnn.interop._expressions import CLOSE
from fastnn.layers import BatchNorm, Dropout, LayerNorm

if TYPE_CHECKING:
    from fastnn.interop._onnx import Importer
    from fastnn.interop._onnx_file import Node

Array = np.ndarray[Any, np.dtype[Any]]


class Reshaped(NamedTuple):
    """A Flatten or Reshape: the shape of a row afterwards is what ``new`` makes of the shape before."""

    new: Callable[[tuple[int, ...]], tuple[int, ...]]


class Channels(NamedTuple):
    """A scale and an offset for each index of the first axis of a row: what BatchNormalization is in inference."""

    scale: Array
    offset: Array
    layer: Filled | None  # what it is where rows have one axis
    where: str


class LastAxis(NamedTuple):
    """What works along the last axis, which has to be the only one of a row."""

    part: Part
    where: str


def step(g: Importer, node: Node, name: str) -> tuple[list[Any], str]:
    """(parts, the value they begin with) for the value ``name`` that a node of one of these operators makes."""
    if name != node.outputs[0] or not node.inputs:
        raise ValueError(f"{node}: only its first output can be used, got {name[:100]!r}")
    for key in node.attributes:
        if key not in ATTRIBUTES.get(node.operator, ()):
            raise ValueError(f"{node}: its attribute {key[:100]!r} is not supported")
    return OPERATORS[node.operator](g, node), node.inputs[0]


# --- operators that are no function of single numbers: (importer, node) -> parts, of the node's first input ---


def _gemm(g: Importer, node: Node) -> list[Any]:
    if node.number("transA", 0):
        raise ValueError(f"{node}: transA is not supported: rows would be columns")
    weights = _matrix(g, node, 1)
    if node.number("transB", 0):
        weights = weights.T
    alpha, beta = (node.number(key, 1.0) for key in ("alpha", "beta"))
    if alpha != 1:
        weights = weights * np.float64(alpha)
    if len(node.inputs) < 3 or not node.inputs[2]:
        return [LastAxis(Weights(weights, None, str(node)), str(node))]
    biases, n = g.real(node, 2, "C"), weights.shape[1]
    if biases.ndim > 2 or (biases.ndim == 2 and biases.shape[0] != 1) or biases.size not in (1, n):
        raise ValueError(f"{node}: expected C of {n} numbers, one for each column, got shape {biases.shape}")
    biases = np.broadcast_to(biases.reshape(-1), (n,))
    return [LastAxis(Weights(weights, biases if beta == 1 else biases * np.float64(beta), str(node)), str(node))]


def _matmul(g: Importer, node: Node) -> list[Any]:
    if len(node.inputs) > 1 and g.constant(node.inputs[0]) is not None and g.constant(node.inputs[1]) is None:
        raise ValueError(f"{node}: expected the weights on the right, they are on the left")
    return [LastAxis(Weights(_matrix(g, node, 1), None, str(node)), str(node))]


def _matrix(g: Importer, node: Node, place: int) -> Array:
    weights = g.real(node, place, "B")
    if weights.ndim != 2 or 0 in weights.shape:
        raise ValueError(f"{node}: expected a matrix B, got shape {weights.shape}")
    return weights


def _batch_normalization(g: Importer, node: Node) -> list[Any]:
    if node.number("training_mode", 0) or not node.number("spatial", 1):
        raise ValueError(f"{node}: only inference over the first axis of a row is supported")
    scale, offset, mean, variance = (
        g.real(node, i, what).astype(np.float64) for i, what in enumerate(("scale", "B", "mean", "var"), 1)
    )
    if not scale.shape == offset.shape == mean.shape == variance.shape or scale.ndim != 1:
        raise ValueError(f"{node}: expected scale, B, mean and var of one length, got {scale.shape} and others")
    epsilon, momentum = node.number("epsilon", 1e-5), node.number("momentum", 0.9)
    with np.errstate(all="ignore"):
        factor = scale / np.sqrt(variance + epsilon)
    layer = None
    if epsilon > 0 and 0 <= momentum < 1:
        values = {"gamma": scale, "beta": offset, "moving_mean": mean, "moving_variance": variance}
        layer = Filled(BatchNorm(momentum=momentum, epsilon=epsilon), values, str(node))
    return [Channels(factor, offset - mean * factor, layer, str(node))]


def _layer_normalization(g: Importer, node: Node) -> list[Any]:
    if node.number("axis", -1) not in (-1, 1) or node.number("stash_type", 1) != 1:
        raise ValueError(f"{node}: expected axis 1, the last one, got {node.number('axis', -1)}")
    scale, centred = g.real(node, 1, "Scale"), len(node.inputs) > 2 and node.inputs[2] != ""
    values = {"gamma": scale} | ({"beta": g.real(node, 2, "B")} if centred else {})
    layer = LayerNorm(epsilon=node.number("epsilon", 1e-5), center=centred)
    return [LastAxis(Filled(layer, values, str(node)), str(node))]


def _softmax(g: Importer, node: Node) -> list[Any]:
    layer = Softmax() if node.operator == "Softmax" else LogSoftmax()
    axis = node.number("axis", -1 if g.graph.opset >= 13 else 1)
    if axis not in (-1, 1):
        raise ValueError(f"{node}: expected axis 1, the last one, got {axis}")
    return [LastAxis(layer, str(node))]


def _dropout(g: Importer, node: Node) -> list[Any]:
    rate = g.scalar(node, 1)
    rate = node.number("ratio", 0.5) if rate is None else rate
    if g.scalar(node, 2):
        raise ValueError(f"{node}: only inference is supported, its training_mode is true")
    return [Dropout(rate)] if 0 < rate < 1 else []


def _cast(g: Importer, node: Node) -> list[Any]:
    if node.number("to", 0) != g.kind:
        raise ValueError(f"{node}: expected a cast to {g.dtype}, the type of the network")
    return []


def _flatten(g: Importer, node: Node) -> list[Any]:
    axis = node.number("axis", 1)

    def new(shape: tuple[int, ...]) -> tuple[int, ...]:
        if axis not in (1, 1 - (len(shape) + 1)):
            raise ValueError(f"{node}: expected axis 1, got {axis}: rows must stay rows")
        return (math.prod(shape),)

    return [Reshaped(new)]


def _reshape(g: Importer, node: Node) -> list[Any]:
    wanted = g.constant(node.inputs[1]) if len(node.inputs) > 1 else None
    if wanted is None or wanted.ndim != 1 or wanted.dtype != np.int64 or node.number("allowzero", 0):
        raise ValueError(f"{node}: its shape is not a list of whole numbers that the file holds")
    sizes = [int(size) for size in wanted]
    rows = g.input.shape[0] if g.input.shape else None

    def new(shape: tuple[int, ...]) -> tuple[int, ...]:
        if not sizes or sizes.count(-1) > 1 or min(sizes) < -1 or sizes[0] not in (-1, 0, rows):
            raise ValueError(f"{node}: reshapes to {sizes}: rows must stay rows")
        tail = [shape[i] if size == 0 and i < len(shape) else size for i, size in enumerate(sizes[1:])]
        known = math.prod(size for size in tail if size != -1)
        if -1 in tail and known > 0 and math.prod(shape) % known == 0:
            tail[tail.index(-1)] = math.prod(shape) // known
        if math.prod(tail) != math.prod(shape) or min(tail, default=1) < 1:
            raise ValueError(f"{node}: reshapes rows of shape {shape} to {sizes}: rows must stay rows")
        return tuple(tail)

    return [Reshaped(new)]


def _selu(g: Importer, node: Node) -> list[Any]:
    """gamma elu(x; alpha)."""
    alpha = node.number("alpha", 1.67326319217681884765625)
    gamma = node.number("gamma", 1.05070102214813232421875)
    if abs(alpha - 1.6732632423543772) < CLOSE and abs(gamma - 1.0507009873554805) < CLOSE:
        return [SELU()]
    return [ELU(alpha), *_scaling(gamma, node)]


def _celu(g: Importer, node: Node) -> list[Any]:
    """alpha elu(x / alpha; 1)."""
    alpha = node.number("alpha", 1.0)
    if not alpha > 0:
        raise ValueError(f"{node}: expected alpha above 0, got {alpha:g}")
    return [*_scaling(1 / alpha, node), ELU(), *_scaling(alpha, node)]


def _swish(g: Importer, node: Node) -> list[Any]:
    """x sigmoid(alpha x)."""
    alpha = node.number("alpha", 1.0)
    if alpha == 0:
        raise ValueError(f"{node}: expected alpha other than 0")
    return [*_scaling(alpha, node), SiLU(), *_scaling(1 / alpha, node)]


def _scaling(scale: float, node: Node) -> list[Any]:
    return [Affine(scale, 0.0, str(node))] if scale != 1 else []


OPERATORS: dict[str, Callable[[Importer, Node], list[Any]]] = {
    "Gemm": _gemm,
    "MatMul": _matmul,
    "BatchNormalization": _batch_normalization,
    "LayerNormalization": _layer_normalization,
    "Softmax": _softmax,
    "LogSoftmax": _softmax,
    "Dropout": _dropout,
    "Cast": _cast,
    "Flatten": _flatten,
    "Reshape": _reshape,
    "Identity": lambda g, node: [],
    "Selu": _selu,
    "Celu": _celu,
    "Swish": _swish,
}
ATTRIBUTES: dict[str, tuple[str, ...]] = {
    "Gemm": ("alpha", "beta", "transA", "transB"),
    "BatchNormalization": ("epsilon", "momentum", "training_mode", "spatial"),
    "LayerNormalization": ("axis", "epsilon", "stash_type"),
    "Softmax": ("axis",),
    "LogSoftmax": ("axis",),
    "Dropout": ("ratio", "seed"),
    "Cast": ("to", "saturate", "round_mode"),
    "Flatten": ("axis",),
    "Reshape": ("allowzero",),
    "Selu": ("alpha", "gamma"),
    "Celu": ("alpha",),
    "Swish": ("alpha",),
}


# --- shapes ---


def shaped(parts: list[Any], shape: tuple[int, ...] | None) -> tuple[list[Part], tuple[int, ...] | None]:
    """Parts for rows as the model has them, flat, and the shape of a row after them. shape: of a row before them, None
    where it is not known: then it is one axis, whose width the first product says."""
    done: list[Part] = []
    for part in parts:
        if isinstance(part, Reshaped):
            if shape is not None:
                shape = part.new(shape)
        elif isinstance(part, LastAxis):
            if shape is not None and len(shape) != 1:
                raise ValueError(f"{part.where}: expected rows of one axis, got {shape}: flatten them first")
            done.append(part.part)
            if isinstance(part.part, Weights):
                n_in, n_out = part.part.weights.shape
                if shape is not None and shape != (n_in,):
                    raise ValueError(f"{part.where}: expected rows of {n_in} numbers, got {shape[0]}")
                shape = (n_out,)
        elif isinstance(part, Channels):
            n = len(part.scale)
            if shape is not None and (not shape or shape[0] != n):
                raise ValueError(f"{part.where}: expected {n} channels, got rows of shape {shape}")
            if shape is not None and len(shape) == 1 and part.layer is not None:
                done.append(part.layer)
                continue
            inner = math.prod(shape[1:]) if shape is not None else 1
            done.append(Affine(np.repeat(part.scale, inner), np.repeat(part.offset, inner), part.where))
        elif isinstance(part, Affine) and part.by_column:
            done.append(part if shape is None else _spread(part, shape))
        else:
            done.append(part)
    return done, shape


def _spread(part: Affine, shape: tuple[int, ...]) -> Affine:
    """The affine with constants of any shape that broadcasts to a row's, flat."""

    def flat(value: Any) -> Any:
        if np.ndim(value) == 0:
            return value
        a = value[0] if value.ndim == len(shape) + 1 and len(value) == 1 else value
        try:
            return np.broadcast_to(a, shape).reshape(-1)
        except ValueError:
            raise ValueError(f"{part.where}: a constant of shape {value.shape} for rows of shape {shape}") from None

    return Affine(flat(part.scale), flat(part.offset), part.where)
