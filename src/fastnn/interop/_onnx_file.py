"""An ONNX file as the records of its graph: nodes with their attributes, constants, the types of inputs and outputs.

Field numbers are those of onnx.proto. Tensors stay where they lie in the file until somebody asks for their values, and
subgraphs are never entered, so what a file can make this use is a small multiple of its size. Whatever is wrong with
the bytes is a ``FormatError``.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

from fastnn.checkpoint import FormatError
from fastnn.engine.spec import MOST_SOURCES
from fastnn.export import _protobuf as pb

# far above any network of layers in a row, far below what would use up a machine
MOST_NODES, MOST_PORTS, MOST_ATTRIBUTES, MOST_DIMENSIONS, MOST_NUMBERS = 20_000, 1000, 16, 8, 4096
MOST_NAMES = MOST_SOURCES  # that a node reads
MOST_NAME = 10_000  # characters
EXTERNAL = 1  # TensorProto.DataLocation
# TensorProto.DataType: number -> (type, the field that holds typed values, 0 where there is none to read)
TYPES = {
    1: ("<f4", 4), 2: ("u1", 5), 3: ("i1", 5), 4: ("<u2", 5), 5: ("<i2", 5), 6: ("<i4", 5), 7: ("<i8", 7), 9: ("?", 5),
    10: ("<f2", 0), 11: ("<f8", 10), 12: ("<u4", 11), 13: ("<u8", 11),
}  # fmt: skip
TYPE_NAMES = {8: "string", 10: "float16", 14: "complex64", 15: "complex128", 16: "bfloat16"}
# AttributeProto.AttributeType: number -> the value where none came, for proto3's writers leave out what is 0
ABSENT = {1: float, 2: int, 3: str, 6: list, 7: list, 8: list}

Array = np.ndarray[Any, np.dtype[Any]]
Fields: TypeAlias = "Iterator[tuple[int, int, pb.Value]]"


@dataclass(slots=True)
class Tensor:
    """A constant as it lies in the file: its bytes, or its typed values by field."""

    name: str = ""
    shape: tuple[int, ...] = ()
    kind: int = 0
    raw: memoryview | None = None
    typed: dict[int, list[tuple[int, pb.Value]]] = field(default_factory=dict)
    external: bool = False

    def values(self) -> Array:
        """The array. FormatError where the bytes are not as many as shape and type say."""
        what = f"tensor {self.name!r}"
        if self.external:
            raise FormatError(f"{what}: its data lie in another file, and no other file is opened")
        if self.kind not in TYPES:
            raise FormatError(f"{what}: data type {TYPE_NAMES.get(self.kind, self.kind)} is not supported")
        name, number = TYPES[self.kind]
        dtype, count = np.dtype(name), math.prod(self.shape)
        if self.raw is not None:
            if count * dtype.itemsize != len(self.raw):
                raise FormatError(f"{what}: {len(self.raw)} bytes for shape {self.shape} of {dtype}")
            flat = np.frombuffer(self.raw, dtype)
        else:
            flat = self._typed(what, dtype, number, count)
        return flat.reshape(self.shape).astype(dtype.newbyteorder("="), copy=False)

    def _typed(self, what: str, dtype: np.dtype[Any], number: int, count: int) -> Array:
        entries = self.typed.get(number, [])
        if number in (4, 10):  # float_data, double_data: the bytes of the numbers, packed or one by one
            data = b"".join(value for _, value in entries if not isinstance(value, int))
            if len(data) != count * dtype.itemsize:
                raise FormatError(f"{what}: {len(data)} bytes for shape {self.shape} of {dtype}")
            return np.frombuffer(data, dtype)
        numbers: list[int] = []
        for wire, value in entries:
            numbers += pb.as_wholes(wire, value, what, MOST_NUMBERS)
            _few(numbers, MOST_NUMBERS + 1, f"whole numbers in {what}")
        if len(numbers) != count:
            raise FormatError(f"{what}: {len(numbers)} values for shape {self.shape}")
        try:
            return np.array(numbers, dtype)
        except OverflowError:
            raise FormatError(f"{what}: values that {dtype} cannot hold") from None


@dataclass(slots=True)
class Node:
    operator: str = ""
    name: str = ""
    domain: str = ""
    inputs: list[str] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)
    attributes: dict[str, Any] = field(default_factory=dict)

    def number(self, key: str, default: float) -> float:
        """An attribute that is a number. FormatError where it is something else."""
        found = self.attributes.get(key, default)
        if not isinstance(found, (int, float)):
            raise FormatError(f"{self}: its attribute {key!r} is not a number")
        return found

    def __str__(self) -> str:
        """How messages name it: by its name, or by its output where it has none."""
        full = f"{self.domain}.{self.operator}" if self.domain not in ("", "ai.onnx") else self.operator
        name = self.name or (self.outputs[0] if self.outputs else "")
        return f"node {_short(name)!r} ({_short(full)})"


@dataclass(slots=True)
class Port:
    """An input or output of the graph. shape: a number for each dimension, None where it is not known; None: no shape
    at all. kind: TensorProto.DataType, 0 where it is no tensor."""

    name: str = ""
    kind: int = 0
    shape: tuple[int | None, ...] | None = None


@dataclass(slots=True)
class Graph:
    nodes: list[Node] = field(default_factory=list)
    tensors: dict[str, Tensor] = field(default_factory=dict)
    inputs: list[Port] = field(default_factory=list)
    outputs: list[Port] = field(default_factory=list)
    opset: int = 0


def _short(name: str) -> str:
    return name if len(name) <= 100 else f"{name[:97]}..."


def _name(wire: int, value: pb.Value, what: str) -> str:
    name = pb.as_text(wire, value, what)
    if len(name) > MOST_NAME:
        raise FormatError(f"ONNX: {what} of more than {MOST_NAME} characters")
    return name


def _few(found: list[Any] | dict[str, Any], most: int, what: str) -> None:
    if len(found) >= most:
        raise FormatError(f"ONNX: more than {most} {what}")


def _tensor(data: memoryview) -> Tensor:
    t, shape = Tensor(), list[int]()
    for number, wire, value in pb.fields(data):
        if number == 1:
            shape += pb.as_wholes(wire, value, "a dimension", MOST_DIMENSIONS)
            if len(shape) > MOST_DIMENSIONS or min(shape, default=0) < 0:
                raise FormatError(f"ONNX: a tensor of shape {tuple(shape[:9])}")
        elif number == 2:
            t.kind = pb.as_whole(wire, value, "a data type")
        elif number in (4, 5, 7, 10, 11):
            entries = t.typed.setdefault(number, [])
            _few(entries, MOST_NUMBERS, "pieces of one field")
            entries.append((wire, value))
        elif number == 8:
            t.name = _name(wire, value, "a tensor's name")
        elif number == 9:
            t.raw = pb.as_bytes(wire, value, "raw_data")
        elif number == 14:
            t.external = pb.as_whole(wire, value, "data_location") == EXTERNAL
    t.shape = tuple(shape)
    return t


def _attribute(data: memoryview) -> tuple[str, Any]:
    """(name, value): a number, a string, a tensor or a list; None for what no operator here has, such as a subgraph."""
    name, kind, several = "", 0, list[float]()
    found: Any = None
    for number, wire, value in pb.fields(data):
        if number == 1:
            name = _name(wire, value, "an attribute's name")
        elif number == 2:
            found = pb.as_real(wire, value, "an attribute")
        elif number == 3:
            found = pb.as_whole(wire, value, "an attribute")
        elif number == 4:
            found = str(pb.as_bytes(wire, value, "an attribute")[:MOST_NAME], "utf-8", "replace")
        elif number == 5:
            found = _tensor(pb.as_bytes(wire, value, "an attribute"))
        elif number in (7, 8):
            if number == 8:
                several += pb.as_wholes(wire, value, "an attribute", MOST_NUMBERS)
            elif isinstance(value, int) or len(value) % 4 or len(value) > 4 * MOST_NUMBERS:
                raise FormatError("ONNX: an attribute that is no list of at most 4096 numbers")
            else:
                several += np.frombuffer(value, "<f4").tolist()
            _few(several, MOST_NUMBERS + 1, "numbers in an attribute")
        elif number == 20:
            kind = pb.as_whole(wire, value, "an attribute's type")
    found = several or found
    return name, ABSENT[kind]() if found is None and kind in ABSENT else found


def _node(data: memoryview) -> Node:
    node = Node()
    for number, wire, value in pb.fields(data):
        if number in (1, 2):
            names = node.inputs if number == 1 else node.outputs
            _few(names, MOST_NAMES, "inputs or outputs of a node")
            names.append(_name(wire, value, "a value's name"))
        elif number == 3:
            node.name = _name(wire, value, "a node's name")
        elif number == 4:
            node.operator = _name(wire, value, "an operator")
        elif number == 5:
            _few(node.attributes, MOST_ATTRIBUTES, "attributes of a node")
            key, found = _attribute(pb.as_bytes(wire, value, "an attribute"))
            node.attributes[key] = found
        elif number == 7:
            node.domain = _name(wire, value, "a domain")
    return node


def _port(data: memoryview) -> Port:
    port = Port()
    for number, wire, value in pb.fields(data):
        if number == 1:
            port.name = _name(wire, value, "a value's name")
        elif number == 2:
            for kind, inner_wire, inner in pb.fields(pb.as_bytes(wire, value, "a type")):
                if kind == 1:
                    port.kind, port.shape = _tensor_type(pb.as_bytes(inner_wire, inner, "a type"))
    return port


def _tensor_type(data: memoryview) -> tuple[int, tuple[int | None, ...] | None]:
    kind, shape = 0, None
    for number, wire, value in pb.fields(data):
        if number == 1:
            kind = pb.as_whole(wire, value, "a data type")
        elif number == 2:
            sizes: list[int | None] = []
            for _, inner_wire, dimension in pb.fields(pb.as_bytes(wire, value, "a shape")):
                _few(sizes, MOST_DIMENSIONS, "dimensions")
                size = None
                for part, w, v in pb.fields(pb.as_bytes(inner_wire, dimension, "a dimension")):
                    if part == 1:
                        size = pb.as_whole(w, v, "a dimension")
                sizes.append(size if size is not None and size > 0 else None)
            shape = tuple(sizes)
    return kind, shape


def _graph(data: memoryview, graph: Graph) -> None:
    for number, wire, value in pb.fields(data):
        if number == 1:
            _few(graph.nodes, MOST_NODES, "nodes")
            graph.nodes.append(_node(pb.as_bytes(wire, value, "a node")))
        elif number == 5:
            _few(graph.tensors, MOST_NODES, "constants")
            tensor = _tensor(pb.as_bytes(wire, value, "a constant"))
            graph.tensors[tensor.name] = tensor
        elif number in (11, 12):
            ports = graph.inputs if number == 11 else graph.outputs
            _few(ports, MOST_PORTS, "inputs or outputs")
            ports.append(_port(pb.as_bytes(wire, value, "an input or output")))


def read(content: bytes) -> Graph:
    """The graph of a file's content. Raises FormatError."""
    graph, found = Graph(), False
    for number, wire, value in pb.fields(memoryview(content)):
        if number == 7:
            if found:
                raise FormatError("ONNX: two graphs in one file")
            found = True
            _graph(pb.as_bytes(wire, value, "the graph"), graph)
        elif number == 8:
            domain, version = "", 0
            for part, w, v in pb.fields(pb.as_bytes(wire, value, "an operator set")):
                if part == 1:
                    domain = _name(w, v, "a domain")
                elif part == 2:
                    version = pb.as_whole(w, v, "an operator set")
            if domain in ("", "ai.onnx"):
                graph.opset = version
    if not found:
        raise FormatError("there is no graph in the file: not an ONNX model")
    return graph
