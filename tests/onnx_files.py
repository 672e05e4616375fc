"""ONNX files for tests, of any nodes, written with the package's own protobuf writer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fastnn.export import _protobuf as pb

KINDS = {"float32": 1, "uint8": 2, "int64": 7, "bool": 9, "float16": 10, "float64": 11}
TYPES = {float: 1, int: 2, str: 3, list: 7}  # AttributeProto.AttributeType
Node = tuple[str, Sequence[str], str, dict[str, Any]]


def node(operator: str, inputs: str, output: str, **attributes: Any) -> Node:
    """output: one, or several apart by blanks."""
    return operator, inputs.split(), output, attributes


def attribute(name: str, value: Any) -> bytes:
    """An attribute; of a type alone (float, int, ...) that of one whose value the writer left out."""
    head = pb.text(1, name)
    if isinstance(value, type):
        return head + pb.whole(20, TYPES[value])
    if isinstance(value, float):
        return head + pb.real(2, value) + pb.whole(20, 1)
    if isinstance(value, int):
        return head + pb.whole(3, value) + pb.whole(20, 2)
    if isinstance(value, str):
        return head + pb.text(4, value) + pb.whole(20, 3)
    if isinstance(value, np.ndarray):
        return head + pb.nested(5, tensor("", value)) + pb.whole(20, 4)
    return head + pb.wholes(8, value) + pb.whole(20, 7)


def node_bytes(made: Node) -> bytes:
    operator, inputs, output, attributes = made
    domain = attributes.pop("domain", None)
    outputs = output.split()
    parts = [*(pb.text(1, "" if i == "-" else i) for i in inputs), *(pb.text(2, name) for name in outputs)]
    parts += [pb.text(3, f"the_{outputs[0]}")]
    parts += [pb.text(4, operator), *(pb.nested(5, attribute(k, v)) for k, v in attributes.items())]
    return b"".join(parts) + (pb.text(7, domain) if domain else b"")


def tensor(name: str, a: np.ndarray[Any, Any], typed: bool = False) -> bytes:
    """A TensorProto, in raw_data or in the fields of its type."""
    head = b"".join(pb.whole(1, n) for n in a.shape) + pb.whole(2, KINDS[a.dtype.name]) + pb.text(8, name)
    if not typed:
        return head + pb.nested(9, a.tobytes())
    if a.dtype.kind == "f":
        return head + pb.nested(4 if a.dtype == np.float32 else 10, a.tobytes())
    return head + pb.wholes(7, a.reshape(-1).tolist())


def port(name: str, dtype: str, shape: Sequence[int | str] | None) -> bytes:
    if shape is None:
        return pb.text(1, name) + pb.nested(2, pb.nested(1, pb.whole(1, KINDS[dtype])))
    sizes = b"".join(pb.nested(1, pb.text(2, n) if isinstance(n, str) else pb.whole(1, n)) for n in shape)
    return pb.text(1, name) + pb.nested(2, pb.nested(1, pb.whole(1, KINDS[dtype]) + pb.nested(2, sizes)))


def content(
    nodes: Sequence[Node],
    constants: Mapping[str, Any] | None = None,
    *,
    shape: Sequence[int | str] | None = ("rows", 4),
    dtype: str = "float32",
    opset: int = 17,
    typed: bool = False,
    outputs: Sequence[str] = ("y",),
) -> bytes:
    """A file whose graph goes from ``x`` to ``y``; constants of the type of the network unless they are arrays."""
    arrays = {k: v if isinstance(v, np.ndarray) else np.asarray(v, dtype) for k, v in (constants or {}).items()}
    graph = b"".join(
        [*(pb.nested(1, node_bytes(made)) for made in nodes), pb.text(2, "test"),
         *(pb.nested(5, tensor(name, a, typed)) for name, a in arrays.items()),
         pb.nested(11, port("x", dtype, shape)), *(pb.nested(12, port(name, dtype, None)) for name in outputs)]
    )  # fmt: skip
    return pb.whole(1, 8) + pb.nested(8, pb.whole(2, opset)) + pb.nested(7, graph)


def write(folder: Path, *args: Any, **kwargs: Any) -> Path:
    path = folder / "test.onnx"
    path.write_bytes(content(*args, **kwargs))
    return path
