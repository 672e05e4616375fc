"""ONNX files in: the subset of operators that a network of layers is made of.

The graph is walked from its output back to its input (``_onnx_graph.py``). Each step takes the nodes that make one
layer: a product, a normalization, an activation with all the nodes it is composed of (``_expressions.py``), a sum,
product or concatenation of branches. What is not known is refused by the name of its node. A second walk, forward,
follows the shapes.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn.checkpoint import FormatError
from fastnn.interop import _onnx_elementwise as elementwise
from fastnn.interop import _onnx_graph
from fastnn.interop import _onnx_operators as operators
from fastnn.interop._assemble import assemble_graph
from fastnn.interop._onnx_file import TYPE_NAMES, TYPES, Graph, Node, Port, Tensor, read
from fastnn.interop._shapes import Unknown

if TYPE_CHECKING:
    from fastnn.model import Model

Array = np.ndarray[Any, np.dtype[Any]]

OLDEST_OPSET = 7  # before it, Gemm and Add had other rules for shapes
DTYPES: dict[int, np.dtype[Any]] = {1: np.dtype(np.float32), 11: np.dtype(np.float64)}
SLACK = 1 << 22  # parameters that a model may have beyond twice the file's numbers


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
        self.functions: dict[str, dict[str, Any]] = {}  # of a value, what was read as a function of it
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
        if node.operator == "Cast":
            kind = node.number("to", 0)
            if kind not in TYPES:
                named = next((name for number, name in TYPE_NAMES.items() if number == kind), f"type {kind}")
                raise ValueError(f"{node}: a cast of a constant to {named} is not supported")
            with np.errstate(all="ignore"):  # what a type cannot hold is as the machine makes it
                return value.astype(np.dtype(TYPES[int(kind)][0]).newbyteorder("="))
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

    # --- a step of the walk ---

    def step(self, node: Node, name: str) -> tuple[list[Any], str]:
        """(what ends with this node, the value that it begins with)."""
        if node.domain in ("", "ai.onnx") and node.operator in operators.OPERATORS:
            return operators.step(self, node, name)
        return elementwise.step(self, node, name)


def _constant(node: Node) -> Array:
    for key in ("value", "value_float", "value_floats", "value_int", "value_ints"):
        found = node.attributes.get(key)
        if isinstance(found, Tensor):
            return found.values()
        if isinstance(found, (int, float, list)) and key != "value":
            return np.array(found, np.float32 if "float" in key else np.int64)
    raise ValueError(f"{node}: expected a tensor or numbers")


def load(cls: type[Model], path: str | os.PathLike[str], output: str | None = None) -> Model:
    """The model of an ONNX file: see ``fastnn.import_onnx``."""
    if isinstance(path, bytes):  # which open takes for a name
        raise TypeError("path: expected the path of a file, got bytes")
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
        shape = tuple(sizes) if known else Unknown(flat=given is not None)
        most = 2 * len(content) // importer.dtype.itemsize + SLACK
        return assemble_graph(cls, _onnx_graph.rows(importer, shape), importer.dtype, most)
    except FormatError as error:
        raise FormatError(f"{path}: {error}") from None
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
