"""ONNX files in: the subset of operators that a network of layers in a row is made of.

The graph is walked from its output back to its input. Each step takes the nodes that make one layer: a product, a
normalization, an activation with all the nodes it is composed of (``_expressions.py``). What joins branches, or is
not known, is refused by the name of its node. A second walk, forward, follows the shapes.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fastnn.activations import ELU, SELU, LogSoftmax, SiLU, Softmax
from fastnn.checkpoint import FormatError
from fastnn.engine.spec import MOST_LAYERS
from fastnn.interop import _onnx_elementwise as elementwise
from fastnn.interop._assemble import Affine, Part, Weights, assemble
from fastnn.interop._expressions import CLOSE
from fastnn.interop._onnx_file import TYPE_NAMES, Graph, Node, Port, Tensor, read
from fastnn.layers import Dropout

if TYPE_CHECKING:
    from fastnn.model import Model

Array = np.ndarray[Any, np.dtype[Any]]

OLDEST_OPSET = 7  # before it, Gemm and Add had other rules for shapes
DTYPES: dict[int, np.dtype[Any]] = {1: np.dtype(np.float32), 11: np.dtype(np.float64)}
SLACK = 1 << 22  # parameters that a model may have beyond twice the file's numbers


class Reshaped(NamedTuple):
    """A Flatten or Reshape: the shape of a row afterwards is what ``new`` makes of the shape before."""

    new: Callable[[tuple[int, ...]], tuple[int, ...]]


class Channels(NamedTuple):
    """A scale and an offset for each index of the first axis of a row: what BatchNormalization is in inference."""

    scale: Array
    offset: Array
    where: str


class LastAxis(NamedTuple):
    """What works along the last axis, which has to be the only one of a row."""

    part: Part
    where: str


class Importer:
    def __init__(self, graph: Graph, output: str | None) -> None:
        self.graph = graph
        self.makers: dict[str, Node] = {}
        for node in graph.nodes:
            for name in filter(None, node.outputs):
                if name in self.makers or name in graph.tensors:
                    raise FormatError(f"{node}: its output {name!r} is there already")
                self.makers[name] = node
        self.constants: dict[str, Array] = {}
        self.input = self._only("inputs", [p for p in graph.inputs if p.name not in graph.tensors], None)
        self.output = self._only("outputs", graph.outputs, output)
        kind = self.output.kind if self.output.kind in DTYPES else self.input.kind
        if kind not in DTYPES:
            raise ValueError(
                f"input {self.input.name!r}: expected float32 or float64, got {TYPE_NAMES.get(kind, f'type {kind}')}"
            )
        self.kind, self.dtype = kind, DTYPES[kind]

    def _only(self, what: str, ports: list[Port], wanted: str | None) -> Port:
        names = ", ".join(repr(port.name) for port in ports[:8])
        if wanted is not None:
            found = next((port for port in ports if port.name == wanted), None)
            if found is None:
                raise ValueError(f"output: there is none of name {wanted!r}; the file has {names}")
            return found
        if len(ports) != 1:
            hint = "; choose one with output=" if what == "outputs" and ports else ""
            raise ValueError(f"expected one of the {what} of the graph, got {len(ports)} ({names}){hint}")
        return ports[0]

    # --- constants ---

    def constant(self, name: str) -> Array | None:
        """The value of what is the same for all rows, None for the rest."""
        seen: list[str] = []
        while name not in self.constants:
            if name in self.graph.tensors:
                self.constants[name] = self.graph.tensors[name].values()
                break
            node = self.makers.get(name)
            if node is None or len(seen) > len(self.graph.nodes):
                return None
            if node.operator == "Constant":
                self.constants[name] = _constant(node)
                break
            if node.operator not in ("Identity", "Transpose", "Cast") or len(node.inputs) != 1:
                return None
            seen.append(name)
            name = node.inputs[0]
        for after in reversed(seen):
            self.constants[after] = self._derived(self.makers[after], self.constants[name])
            name = after
        return self.constants[name]

    def _derived(self, node: Node, value: Array) -> Array:
        if node.operator == "Transpose":
            order = node.attributes.get("perm") or list(range(value.ndim))[::-1]
            if not isinstance(order, list) or sorted(order) != list(range(value.ndim)):
                raise FormatError(f"{node}: perm {order} for {value.ndim} dimensions")
            return value.transpose(order)
        if node.operator == "Cast" and value.dtype.kind in "fiu":
            return value.astype(DTYPES.get(int(node.number("to", 0)), value.dtype))
        return value

    def real(self, node: Node, place: int, what: str) -> Array:
        """The constant floating-point input of a node at that place."""
        value = self.constant(node.inputs[place]) if place < len(node.inputs) else None
        if value is None:
            raise ValueError(f"{node}: its {what} is not a constant of the file")
        if value.dtype != self.dtype:
            raise ValueError(f"{node}: its {what} is of {value.dtype}, the network of {self.dtype}")
        return value

    def scalar(self, node: Node, place: int) -> float | None:
        """The one number that an optional input holds, None where there is no such input."""
        if place >= len(node.inputs) or not node.inputs[place]:
            return None
        value = self.constant(node.inputs[place])
        if value is None or value.size != 1:
            raise ValueError(f"{node}: input {place} is not a constant number")
        return float(value.reshape(()))

    # --- the walk ---

    def parts(self) -> list[Any]:
        """What the nodes mean, in the order they run."""
        found: list[Any] = []
        name, steps = self.output.name, 0
        while name != self.input.name:
            node = self.makers.get(name)
            if node is None:
                raise FormatError(f"no node makes {name[:100]!r}")
            steps += 1
            if steps > len(self.graph.nodes):
                raise FormatError(f"{node}: the graph goes in a circle")
            made, name = self.step(node, name)
            found += reversed(made)
            if len(found) > MOST_LAYERS:
                raise ValueError(f"the graph has more than {MOST_LAYERS} layers")
        return found[::-1]

    def step(self, node: Node, name: str) -> tuple[list[Any], str]:
        """(what ends with this node, the value that it begins with)."""
        if node.domain in ("", "ai.onnx") and node.operator in OPERATORS:
            if name != node.outputs[0] or not node.inputs:
                raise ValueError(f"{node}: only its first output can be used, got {name[:100]!r}")
            _known_attributes(node, ATTRIBUTES.get(node.operator, ()))
            return OPERATORS[node.operator](self, node), node.inputs[0]
        return elementwise.step(self, node, name)


def _constant(node: Node) -> Array:
    for key in ("value", "value_float", "value_floats", "value_int", "value_ints"):
        found = node.attributes.get(key)
        if isinstance(found, Tensor):
            return found.values()
        if isinstance(found, (int, float, list)) and key != "value":
            return np.array(found, np.float32 if "float" in key else np.int64)
    raise ValueError(f"{node}: expected a tensor or numbers")


def _known_attributes(node: Node, known: tuple[str, ...]) -> None:
    for key in node.attributes:
        if key not in known:
            raise ValueError(f"{node}: its attribute {key[:100]!r} is not supported")


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
    with np.errstate(all="ignore"):
        factor = scale / np.sqrt(variance + node.number("epsilon", 1e-5))
    return [Channels(factor, offset - mean * factor, str(node))]


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


def _shaped(parts: list[Any], shape: tuple[int, ...] | None) -> list[Part]:
    """Parts for rows as the model has them, flat. shape: of a row of the input, None where it is not known: then it is
    one axis, whose width the first product says."""
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
            inner = math.prod(shape[1:]) if shape is not None else 1
            done.append(Affine(np.repeat(part.scale, inner), np.repeat(part.offset, inner), part.where))
        elif isinstance(part, Affine) and part.by_column:
            done.append(part if shape is None else _spread(part, shape))
        else:
            done.append(part)
    return done


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


def load(cls: type[Model], path: str | os.PathLike[str], output: str | None = None) -> Model:
    """The model of an ONNX file: see ``fastnn.import_onnx``."""
    with open(path, "rb") as file:
        content = file.read()
    try:
        graph = read(content)
        if graph.opset < OLDEST_OPSET:
            raise ValueError(f"operator set {graph.opset} of ONNX is not supported, {OLDEST_OPSET} and later are")
        importer = Importer(graph, output)
        given = importer.input.shape
        if given is not None and len(given) < 2:
            raise ValueError(f"input {importer.input.name!r}: expected rows of features, got {len(given)} dimension(s)")
        sizes = [] if given is None else [size for size in given[1:] if size is not None]
        known = given is not None and len(sizes) == len(given) - 1
        if given is not None and not known and len(given) > 2:
            raise ValueError(f"input {importer.input.name!r}: the shape of its rows is not known: {given[1:]}")
        shape = tuple(sizes) if known else None
        parts = _shaped(importer.parts(), shape)
        most = 2 * len(content) // importer.dtype.itemsize + SLACK
        return assemble(cls, parts, importer.dtype, math.prod(shape) if shape is not None else None, most)
    except FormatError as error:
        raise FormatError(f"{path}: {error}") from None
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
