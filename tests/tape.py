"""Graphs twice from one description: as a fastnn model, and in float64 NumPy with a tape, from the formulas alone.

A topology is a function of a builder: ``Maker`` makes layers and nodes of it, ``Tape`` values and their derivatives,
with the weights of the layers that the Maker made, in the same order. Nothing of the Tape calls fastnn but the
generator of masks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from compare import Array

from fastnn import Add, Concatenate, Dense, Dropout, Input, Model, Multiply, Rescale, Residual
from fastnn.activations import Activation
from fastnn.engine.spec import STREAM_DROPOUT
from fastnn.kernels.arrays import dropout_forward

# of a Residual: ("dense", n, activation), ("activation", name), ("dropout", rate), ("residual", [...], projection)
Row = Sequence[Any]
Topology = Callable[[Any], Any]


def layer_of(what: Any) -> Any:
    kind, *rest = what
    if kind == "residual":
        return Residual([layer_of(inner) for inner in rest[0]], projection=rest[1])
    if kind == "dense":
        return Dense(rest[0], activation=rest[1])
    return {"activation": Activation.resolve, "dropout": Dropout, "rescale": lambda s: Rescale(*s)}[kind](rest[0])


class Maker:
    """Layers and nodes. widths: of the inputs."""

    def __init__(self, widths: Sequence[int]) -> None:
        self.inputs = [Input(width) for width in widths]
        self.layers: list[Any] = []

    def input(self, i: int) -> Any:
        return self.inputs[i]

    def row(self, x: Any, *what: Any) -> Any:
        """One layer on a node: a Residual's description, as above."""
        layer = layer_of(what)
        self.layers.append(layer)
        return layer(x)

    def add(self, values: Sequence[Any]) -> Any:
        return Add()(list(values))

    def multiply(self, values: Sequence[Any]) -> Any:
        return Multiply()(list(values))

    def concatenate(self, values: Sequence[Any]) -> Any:
        return Concatenate()(list(values))

    def model(self, topology: Topology, **options: Any) -> Model:
        return Model(inputs=self.inputs, outputs=topology(self), **options)


class Value:
    """A value with its gradient; back gives each of its sources its share."""

    def __init__(self, data: Array, back: Callable[[Array], None] = lambda d: None) -> None:
        self.data, self.back = data, back
        self.grad = np.zeros_like(data)

    def take(self, d: Array) -> None:
        self.grad = self.grad + d


def logistic(x: Array) -> Array:
    """1 / (1 + exp(-x)), without overflow."""
    return np.asarray(0.5 + 0.5 * np.tanh(x / 2))


SLOPES: dict[str, tuple[Callable[[Array], Array], Callable[[Array], Array]]] = {
    "linear": (lambda x: x, lambda x: np.ones_like(x)),
    "relu": (lambda x: np.maximum(x, 0), lambda x: (x > 0).astype(float)),
    "tanh": (np.tanh, lambda x: 1 - np.tanh(x) ** 2),
    "sigmoid": (logistic, lambda x: logistic(x) * logistic(-x)),
    "silu": (
        lambda x: x * logistic(x),
        lambda x: logistic(x) + x * logistic(x) * logistic(-x),
    ),
}


class Tape:
    """The same in NumPy. step: of training, which keys the masks; 0 for a prediction."""

    def __init__(self, maker: Maker, model: Model, X: Sequence[Array], step: int) -> None:
        self.inputs = [Value(np.asarray(x, np.float64)) for x in X]
        self.layers, self.seed, self.step = iter(maker.layers), model.seed, step
        self.made: list[Value] = []
        self.grads: dict[tuple[int, str], Array] = {}
        self.largest = 0.0  # of what an activation was given, without its sign

    def _keep(self, data: Array, back: Callable[[Array], None]) -> Value:
        self.made.append(Value(data, back))
        return self.made[-1]

    def input(self, i: int) -> Value:
        return self.inputs[i]

    def row(self, x: Value, *what: Any) -> Value:
        return self._apply(next(self.layers), x, what)

    def _apply(self, layer: Any, x: Value, what: Any) -> Value:
        kind, *rest = what
        if kind == "dense":
            return self._activated(self._dense(layer, x), rest[1])
        if kind == "activation":
            return self._activated(x, rest[0])
        if kind == "rescale":
            scale, shift = rest[0]
            return self._keep(x.data * scale + shift, lambda d: x.take(d * scale))
        if kind == "dropout":
            if not self.step:
                return x
            flat, mask = x.data.reshape(-1), np.empty(x.data.size)
            stream = STREAM_DROPOUT + layer.index
            dropout_forward(np.empty_like(flat), mask, flat, rest[0], self.seed, stream, self.step)
            mask = mask.reshape(x.data.shape)
            return self._keep(x.data * mask, lambda d: x.take(d * mask))
        y = x
        for inner, inner_what in zip(layer.layers, rest[0], strict=True):
            y = self._apply(inner, y, inner_what)
        return self.add([self._dense(layer.projection, x) if rest[1] else x, y])

    def _dense(self, layer: Any, x: Value) -> Value:
        w, b = layer.weights.astype(np.float64), layer.biases.astype(np.float64)

        def back(d: Array) -> None:
            self.grads[layer.index, "weights"] = x.data.T @ d
            self.grads[layer.index, "biases"] = d.sum(axis=0, keepdims=True)
            x.take(d @ w.T)

        return self._keep(x.data @ w + b, back)

    def _activated(self, x: Value, name: str) -> Value:
        f, slope = SLOPES[name]
        self.largest = max(self.largest, float(np.abs(x.data).max()))
        return self._keep(f(x.data), lambda d: x.take(d * slope(x.data)))

    def add(self, values: Sequence[Value]) -> Value:
        return self._keep(sum(v.data for v in values), lambda d: [v.take(d) for v in values] and None)  # type: ignore[arg-type]

    def multiply(self, values: Sequence[Value]) -> Value:
        def back(d: Array) -> None:
            for i, v in enumerate(values):
                others = [w.data for j, w in enumerate(values) if j != i]
                v.take(d * np.prod(others, axis=0))

        return self._keep(np.prod([v.data for v in values], axis=0), back)

    def concatenate(self, values: Sequence[Value]) -> Value:
        ends = np.cumsum([v.data.shape[1] for v in values])

        def back(d: Array) -> None:
            for v, part in zip(values, np.split(d, ends[:-1], axis=1), strict=True):
                v.take(part)

        return self._keep(np.concatenate([v.data for v in values], axis=1), back)


def largest(maker: Maker, model: Model, topology: Topology, X: Sequence[Array]) -> float:
    """How far from 0 what an activation is given lies; where it is far, 1 - tanh(x)^2 has few digits left."""
    tape = Tape(maker, model, X, 1)
    topology(tape)
    return tape.largest


def run(maker: Maker, model: Model, topology: Topology, X: Sequence[Array], y: Array, step: int = 1) -> Any:
    """(mean squared error, predictions, {(layer, name): gradient}) at the model's weights."""
    tape = Tape(maker, model, X, step)
    out = topology(tape)
    out.take(2 * (out.data - y) / out.data.size)
    for value in reversed(tape.made):
        value.back(value.grad)
    return float(((out.data - y) ** 2).mean()), out.data, tape.grads
