"""A model as an ONNX file, for every runtime that reads them, written without the ``onnx`` package.

The protobuf that an ONNX file is takes a page to write (``_protobuf.py``); the package would be the largest dependency
that this library has. Field numbers are those of onnx.proto.

Operator set 13 with IR version 7, which is ONNX 1.8 of November 2020 (ONNX Runtime 1.6): the lowest whose Softmax and
LogSoftmax are over one axis as they are today. Only LayerNormalization forces a higher one, 17 (ONNX 1.12, IR version
8, ONNX Runtime 1.12); what else came later is composed: HardSwish (14), Mish (18) and Gelu (20). The first axis of
input and output, ``rows``, is dynamic.

``OPERATIONS`` says for each kind of record of the plan (``engine/spec.py``) how it is written; ``ACTIVATIONS`` does for
each activation. Layers that do nothing in a prediction, as dropout, write nothing.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn import _atomic
from fastnn.engine.spec import (
    INPUT,
    TRAINING_ONLY,
    ActivationSpec,
    AffineSpec,
    BatchNormSpec,
    ColumnsSpec,
    DenseSpec,
    LayerNormSpec,
    MergeSpec,
    NormalizationSpec,
    PythonSpec,
    Sources,
)
from fastnn.export import _protobuf as pb
from fastnn.export._parameters import finite

if TYPE_CHECKING:
    from fastnn.model import Model

OPSET = 13
IR_VERSIONS = {13: 7, 17: 8}
FLOAT, DOUBLE, INT64 = 1, 11, 7  # TensorProto.DataType
FLOAT_ATTRIBUTE, INT_ATTRIBUTE = 1, 2  # AttributeProto.AttributeType
MOST_BYTES = 2**31 - 1  # protobuf's own limit for a message

Array = np.ndarray[Any, np.dtype[Any]]


class Graph:
    """The nodes and constants of the file while they are collected. Values go by their names."""

    def __init__(self, dtype: np.dtype[Any]) -> None:
        self.dtype = dtype
        self.nodes: list[bytes] = []
        self.tensors: list[bytes] = []
        self.constants: dict[float, str] = {}
        self.opset = OPSET

    @property
    def double(self) -> bool:
        return self.dtype == np.float64

    def node(self, operator: str, *inputs: str, **attributes: float | int) -> str:
        """Add a node with one output; returns its name."""
        name = f"{operator.lower()}_{len(self.nodes)}"
        parts = [*(pb.text(1, value) for value in inputs), pb.text(2, name), pb.text(3, name), pb.text(4, operator)]
        for key, value in attributes.items():
            real = isinstance(value, float)
            number = pb.real(2, value) if real else pb.whole(3, int(value))
            kind = FLOAT_ATTRIBUTE if real else INT_ATTRIBUTE
            parts.append(pb.nested(5, pb.text(1, key) + number + pb.whole(20, kind)))
        self.nodes.append(b"".join(parts))
        return name

    def tensor(self, name: str, values: Array) -> str:
        """Add a constant array under that name."""
        data = np.asarray(values, self.dtype.newbyteorder("<"))
        kind = DOUBLE if self.double else FLOAT
        shape = b"".join(pb.whole(1, size) for size in data.shape)
        self.tensors.append(shape + pb.whole(2, kind) + pb.text(8, name) + pb.nested(9, data.tobytes()))
        return name

    def integer(self, value: int) -> str:
        """A constant of one whole number, as Slice takes them."""
        name = f"integer_{len(self.tensors)}"
        data = np.array([value], "<i8").tobytes()
        self.tensors.append(pb.whole(1, 1) + pb.whole(2, INT64) + pb.text(8, name) + pb.nested(9, data))
        return name

    def number(self, value: float) -> str:
        """A scalar constant, each value once."""
        if value not in self.constants:
            self.constants[value] = self.tensor(f"number_{len(self.constants)}", np.array(value))
        return self.constants[value]

    def times(self, x: str, factor: float) -> str:
        return self.node("Mul", x, self.number(factor))

    def plus(self, x: str, summand: float) -> str:
        return self.node("Add", x, self.number(summand))


# --- activations: (graph, name of x, alpha) -> name of f(x) ---

Writer = Callable[[Graph, str, float], str]


def _operator(name: str, **attributes: int) -> Writer:
    return lambda g, x, alpha: g.node(name, x, **attributes)


def _positive(g: Graph, x: str) -> str:
    return g.node("Max", x, g.number(0.0))


def _negative(g: Graph, x: str) -> str:
    return g.node("Min", x, g.number(0.0))


def _leaky_relu(g: Graph, x: str, alpha: float) -> str:
    if g.double:
        return g.node("Add", _positive(g, x), g.times(_negative(g, x), alpha))
    return g.node("LeakyRelu", x, alpha=alpha)


def _elu(g: Graph, x: str, alpha: float) -> str:
    if g.double:
        below = g.plus(g.node("Exp", _negative(g, x)), -1.0)
        return g.node("Add", _positive(g, x), g.times(below, alpha))
    return g.node("Elu", x, alpha=alpha)


def _selu(g: Graph, x: str, alpha: float) -> str:
    if g.double:
        return g.times(_elu(g, x, 1.6732632423543772848), 1.0507009873554804934)
    return g.node("Selu", x)


def _softplus(g: Graph, x: str, alpha: float) -> str:
    if g.double:
        small = g.node("Exp", g.node("Neg", g.node("Abs", x)))
        return g.node("Add", _positive(g, x), g.node("Log", g.plus(small, 1.0)))
    return g.node("Softplus", x)


def _mish(g: Graph, x: str, alpha: float) -> str:
    return g.node("Mul", x, g.node("Tanh", _softplus(g, x, alpha)))


def _silu(g: Graph, x: str, alpha: float) -> str:
    return g.node("Mul", x, g.node("Sigmoid", x))


def _gelu(g: Graph, x: str, alpha: float) -> str:
    """x (1 + erf(x / sqrt 2)) / 2. In float64 the erf alone is taken in float32: ONNX Runtime has no other."""
    inside = g.times(x, math.sqrt(0.5))
    if g.double:
        erf = g.node("Cast", g.node("Erf", g.node("Cast", inside, to=FLOAT)), to=DOUBLE)
    else:
        erf = g.node("Erf", inside)
    return g.node("Mul", g.times(x, 0.5), g.plus(erf, 1.0))


def _gelu_tanh(g: Graph, x: str, alpha: float) -> str:
    cube = g.node("Mul", g.node("Mul", x, x), x)
    inside = g.times(g.node("Add", x, g.times(cube, 0.044715)), math.sqrt(2 / math.pi))
    return g.node("Mul", g.times(x, 0.5), g.plus(g.node("Tanh", inside), 1.0))


def _clip(g: Graph, x: str, low: float, high: float) -> str:
    return g.node("Clip", x, g.number(low), g.number(high))


def _hard_sigmoid(g: Graph, x: str, alpha: float) -> str:
    if g.double:
        return _clip(g, g.plus(g.times(x, 1 / 6), 0.5), 0.0, 1.0)
    return g.node("HardSigmoid", x, alpha=1 / 6, beta=0.5)


def _step(g: Graph, x: str, alpha: float) -> str:
    return g.node("Cast", g.node("Greater", x, g.number(0.0)), to=DOUBLE if g.double else FLOAT)


# In float64 some are composed although they have an operator: the standard has it for float64, ONNX Runtime has not.
ACTIVATIONS: dict[str, Writer] = {
    "linear": lambda g, x, alpha: x,
    "step": _step,
    "relu": _operator("Relu"),
    "relu6": lambda g, x, alpha: _clip(g, x, 0.0, 6.0),
    "leaky_relu": _leaky_relu,
    "elu": _elu,
    "selu": _selu,
    "gelu": _gelu,
    "gelu_tanh": _gelu_tanh,
    "silu": _silu,
    "mish": _mish,
    "softplus": _softplus,
    "exponential": _operator("Exp"),
    "sigmoid": _operator("Sigmoid"),
    "hard_sigmoid": _hard_sigmoid,
    "hard_swish": lambda g, x, alpha: g.node("Mul", x, _hard_sigmoid(g, x, alpha)),
    "tanh": _operator("Tanh"),
    "softmax": _operator("Softmax", axis=1),
    "log_softmax": _operator("LogSoftmax", axis=1),
}


# --- operations of a plan ---


def _activation(g: Graph, x: str, model: Model, spec: ActivationSpec) -> str:
    return ACTIVATIONS[spec.activation](g, x, spec.alpha)


def _dense(g: Graph, x: str, model: Model, spec: DenseSpec) -> str:
    weights = g.tensor(f"layer{spec.layer}.weights", finite(model, spec.layer, "weights"))
    biases = g.tensor(f"layer{spec.layer}.biases", finite(model, spec.layer, "biases")[0])
    return g.node("Gemm", x, weights, biases)


def _parameter(g: Graph, model: Model, spec: Any, name: str, otherwise: float) -> str:
    """A row of parameters, or the constants that it stands for where the layer was made without it."""
    there = (spec.layer, name) in model.plan.tensors
    values = finite(model, spec.layer, name)[0] if there else np.full(spec.n_in, otherwise)
    return g.tensor(f"layer{spec.layer}.{name}", values)


def _batch_norm(g: Graph, x: str, model: Model, spec: BatchNormSpec) -> str:
    names = {"gamma": 1.0, "beta": 0.0, "moving_mean": 0.0, "moving_variance": 1.0}
    inputs = (_parameter(g, model, spec, name, otherwise) for name, otherwise in names.items())
    return g.node("BatchNormalization", x, *inputs, epsilon=spec.epsilon, momentum=spec.momentum)


def _layer_norm(g: Graph, x: str, model: Model, spec: LayerNormSpec) -> str:
    g.opset = 17
    inputs = [_parameter(g, model, spec, "gamma", 1.0)]
    if spec.center:
        inputs.append(_parameter(g, model, spec, "beta", 0.0))
    return g.node("LayerNormalization", x, *inputs, axis=-1, epsilon=spec.epsilon)


def _normalization(g: Graph, x: str, model: Model, spec: NormalizationSpec) -> str:
    """(x - mean) / deviation, a deviation of 0 taken for 1."""
    mean, variance = (finite(model, spec.layer, name)[0] for name in ("mean", "variance"))
    deviation = np.where(variance == 0, 1, np.sqrt(variance))
    centred = g.node("Sub", x, g.tensor(f"layer{spec.layer}.mean", mean))
    return g.node("Div", centred, g.tensor(f"layer{spec.layer}.deviation", deviation))


def _affine(g: Graph, x: str, model: Model, spec: AffineSpec) -> str:
    if spec.scale != 1.0:
        x = g.times(x, spec.scale)
    return g.plus(x, spec.shift) if spec.shift != 0.0 else x


def _columns(g: Graph, x: str, model: Model, spec: ColumnsSpec) -> str:
    return g.node("Slice", x, g.integer(spec.start), g.integer(spec.start + spec.n_out), g.integer(1))


def _merged(g: Graph, values: list[str], spec: MergeSpec) -> str:
    if spec.kind == "concatenate":
        return g.node("Concat", *values, axis=1)
    y, *others = values
    for other in others:
        y = g.node({"add": "Add", "multiply": "Mul"}[spec.kind], y, other)
    return y


OPERATIONS: dict[type[Any], Callable[[Graph, str, Model, Any], str]] = {
    DenseSpec: _dense,
    ActivationSpec: _activation,
    AffineSpec: _affine,
    BatchNormSpec: _batch_norm,
    LayerNormSpec: _layer_norm,
    NormalizationSpec: _normalization,
    ColumnsSpec: _columns,
    **dict.fromkeys(TRAINING_ONLY, lambda g, x, model, spec: x),
}


def _lowered(model: Model) -> tuple[list[Any], Sources]:
    """What the layers were lowered to, nothing merged, and what each operation reads. Parts in Python are refused
    first: they build when lowered."""
    for spec in model.plan.specs:
        if isinstance(spec, PythonSpec):
            raise ValueError(f"{model.numbered[spec.layer].label()}: a layer written in Python has no form in ONNX")
    specs, sources, _ = model._network().lower(model.plan.n_in)
    return specs, sources


def to_bytes(model: Model) -> bytes:
    """The content of the file. ValueError for a layer that ONNX has no form for, for parameters that are not finite,
    and beyond 2 GiB."""
    if model.parameter_count * model.dtype.itemsize > MOST_BYTES:
        raise ValueError("the parameters have more than 2 GiB, more than one ONNX file can hold")
    g = Graph(model.dtype)
    values = {INPUT: "x"}  # of each operation, the name of its output
    for i, (spec, reads) in enumerate(zip(*_lowered(model), strict=True)):
        write = OPERATIONS.get(type(spec))
        if isinstance(spec, MergeSpec):
            values[i] = _merged(g, [values[j] for j in reads], spec)
        elif write is None:
            raise ValueError(f"{model.numbered[spec.layer].label()}: export to ONNX does not know this layer")
        else:
            values[i] = write(g, values[reads[0]], model, spec)
    last = values[len(values) - 2]
    g.nodes.append(pb.text(1, last) + pb.text(2, "y") + pb.text(3, "y") + pb.text(4, "Identity"))

    kind = DOUBLE if g.double else FLOAT

    def described(name: str, width: int) -> bytes:
        shape = pb.nested(1, pb.text(2, "rows")) + pb.nested(1, pb.whole(1, width))
        return pb.text(1, name) + pb.nested(2, pb.nested(1, pb.whole(1, kind) + pb.nested(2, shape)))

    graph = b"".join(
        [*(pb.nested(1, node) for node in g.nodes), pb.text(2, "fastnn"),
         *(pb.nested(5, tensor) for tensor in g.tensors),
         pb.nested(11, described("x", model.plan.n_in)), pb.nested(12, described("y", model.plan.n_out))]
    )  # fmt: skip
    return (
        pb.whole(1, IR_VERSIONS[g.opset]) + pb.text(2, "fastnn")
        + pb.nested(8, pb.text(1, "") + pb.whole(2, g.opset)) + pb.nested(7, graph)
    )  # fmt: skip


def save(model: Model, path: str | os.PathLike[str]) -> None:
    """Write the file, whole or not at all."""
    content = to_bytes(model)
    with _atomic.replacing(path) as file:
        file.write(content)
