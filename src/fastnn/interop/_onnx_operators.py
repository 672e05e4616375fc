"""Operators of ONNX that are no function of single numbers.

``OPERATORS`` says for each what it is here: parts of a model, of the node's first input.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn.activations import ELU, SELU, LogSoftmax, SiLU, Softmax
from fastnn.interop._assemble import Affine, Filled, dropout
from fastnn.interop._expressions import CLOSE
from fastnn.interop._shapes import Channels, LastAxis, Reshaped, Shape, Unknown, flatten, product
from fastnn.layers import BatchNorm, Dropout, LayerNorm

if TYPE_CHECKING:
    from fastnn.interop._onnx import Importer
    from fastnn.interop._onnx_file import Node

Array = np.ndarray[Any, np.dtype[Any]]


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
        return [product(weights, None, str(node))]
    biases, n = g.real(node, 2, "C"), weights.shape[1]
    if biases.ndim > 2 or (biases.ndim == 2 and biases.shape[0] != 1) or biases.size not in (1, n):
        raise ValueError(f"{node}: expected C of {n} numbers, one for each column, got shape {biases.shape}")
    biases = np.broadcast_to(biases.reshape(-1), (n,))
    return [product(weights, biases if beta == 1 else biases * np.float64(beta), str(node))]


def _matmul(g: Importer, node: Node) -> list[Any]:
    if len(node.inputs) > 1 and g.constant(node.inputs[0]) is not None and g.constant(node.inputs[1]) is None:
        raise ValueError(f"{node}: expected the weights on the right, they are on the left")
    return [product(_matrix(g, node, 1), None, str(node))]


def _matrix(g: Importer, node: Node, place: int) -> Array:
    weights = g.real(node, place, "B")
    if weights.ndim != 2 or 0 in weights.shape:
        raise ValueError(f"{node}: expected a matrix B, got shape {weights.shape}")
    return weights


def _batch_normalization(g: Importer, node: Node) -> list[Any]:
    old = g.graph.opset < 14 and sum(map(bool, node.outputs)) > 1  # then its other outputs say that it is training
    if old or node.number("training_mode", 0) or not node.number("spatial", 1):
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
    return dropout(Dropout, rate)


def _cast(g: Importer, node: Node) -> list[Any]:
    if node.number("to", 0) != g.kind:
        raise ValueError(f"{node}: expected a cast to {g.dtype}, the type of the network")
    return []


def _flatten(g: Importer, node: Node) -> list[Any]:
    axis, plain = node.number("axis", 1), flatten(str(node))

    def new(shape: tuple[int, ...]) -> tuple[int, ...]:
        if axis not in (1, 1 - (len(shape) + 1)):
            raise ValueError(f"{node}: expected axis 1, got {axis}: rows must stay rows")
        return plain.new(shape)

    return [plain._replace(new=new, anyhow=plain.anyhow if axis == 1 else None)]


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

    anyhow: Shape | None = None
    if len(sizes) == 2 and sizes[0] in (-1, 0, rows) and (sizes[1] > 0 or (sizes[1] == -1 and sizes[0] != -1)):
        anyhow = (sizes[1],) if sizes[1] > 0 else Unknown(flat=True)
    return [Reshaped(new, anyhow, str(node))]


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
