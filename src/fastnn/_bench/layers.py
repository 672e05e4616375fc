"""Products, dense layers and activations through their public door, ``fastnn.functional``, each beside its NumPy form.

NumPy's side is what a careful user writes: ``out=`` wherever a chain of ufuncs takes it. An activation of the registry
without a counterpart here is compared with its class's formula; its gradient runs alone.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from fastnn import _core, functional
from fastnn._bench.case import FLOAT, Array, Call, Case, Work, normal, pair, uniform
from fastnn.activations import Activation

# --- products ---


def dot(m: int, k: int, n: int) -> Case:
    """(m, k) by (k, n), into ``out``."""

    def make() -> Work:
        a, b = normal(m, k), normal(k, n)
        return pair(
            partial(functional.dot, a, b, np.empty((m, n), np.float32)),
            partial(np.dot, a, b, np.empty((m, n), np.float32)),
            flops=2.0 * m * k * n,
        )

    return Case(f"dot {m}x{k}x{n}", "dot", make)


def dot_vectors(n: int) -> Case:
    """Two vectors to a scalar."""

    def make() -> Work:
        a, b = uniform(n), normal(n)
        return pair(partial(functional.dot, a, b), partial(np.dot, a, b), flops=2.0 * n)

    return Case(f"dot of vectors, {n:,}", "dot", make)


def dense_forward(rows: int, n_in: int, n_out: int) -> Case:
    """relu(x.w + b), into ``out``."""

    def make() -> Work:
        x, w, b = normal(rows, n_in), normal(n_in, n_out), normal(1, n_out)
        ours, theirs = (np.empty((rows, n_out), np.float32) for _ in range(2))

        def numpy() -> Array:
            np.dot(x, w, theirs)
            np.add(theirs, b, theirs)
            return np.maximum(theirs, 0, out=theirs)

        return pair(
            partial(functional.dense, x, w, b, activation="relu", out=ours), numpy, flops=2.0 * rows * n_in * n_out
        )

    return Case(f"dense forward {rows}x{n_in}x{n_out}", "dense", make)


def dense_backward(rows: int, n_in: int, n_out: int) -> Case:
    """(dx, dw, db) from the gradient of a linear layer's output."""

    def make() -> Work:
        x, w, dy = normal(rows, n_in), normal(n_in, n_out), normal(rows, n_out)

        def numpy() -> tuple[Array, Array, Array]:
            return np.dot(dy, w.T), np.dot(x.T, dy), dy.sum(axis=0, keepdims=True)

        return pair(partial(functional.dense_backward, dy, x, w), numpy, flops=4.0 * rows * n_in * n_out)

    return Case(f"dense backward {rows}x{n_in}x{n_out}", "dense", make)


# --- activations ---


def numpy_activation(name: str, x: Array, y: Array) -> Call:
    """y = f(x) in NumPy, by name."""

    def sigmoid() -> Array:
        np.negative(x, y)
        np.exp(y, y)
        np.add(y, 1, y)
        return np.divide(1, y, y)

    def softmax() -> Array:
        np.subtract(x, x.max(axis=1, keepdims=True), y)
        np.exp(y, y)
        return np.divide(y, y.sum(axis=1, keepdims=True), y)

    def step() -> Array:
        np.greater(x, 0, out=y)
        return y

    def copy() -> Array:
        np.copyto(y, x)
        return y

    known: dict[str, Call] = {
        "linear": copy,
        "step": step,
        "relu": partial(np.maximum, x, 0, out=y),
        "sigmoid": sigmoid,
        "tanh": partial(np.tanh, x, y),
        "softmax": softmax,
    }
    return known.get(name) or partial(Activation.resolve(name).formula, x)


def activation_forward(name: str, rows: int, cols: int) -> Case:
    def make() -> Work:
        x, ours, theirs = normal(rows, cols), *(np.empty((rows, cols), np.float32) for _ in range(2))
        return pair(
            partial(functional.activation, name, x, ours),
            numpy_activation(name, x, theirs),
            nbytes=2.0 * FLOAT * x.size,
        )

    return Case(f"{name} forward {_shape(name, rows, cols)}", "activation", make)


def _numpy_activation_gradient(name: str, dy: Array, y: Array, dx: Array) -> Call | None:
    def relu() -> Array:
        return np.multiply(dy, y > 0, dx)

    def sigmoid() -> Array:
        np.subtract(1, y, dx)
        np.multiply(dx, y, dx)
        return np.multiply(dx, dy, dx)

    def tanh() -> Array:
        np.multiply(y, y, dx)
        np.subtract(1, dx, dx)
        return np.multiply(dx, dy, dx)

    def softmax() -> Array:
        np.multiply(dy, y, dx)
        np.subtract(dy, dx.sum(axis=1, keepdims=True), dx)
        return np.multiply(dx, y, dx)

    def linear() -> Array:
        np.copyto(dx, dy)
        return dx

    known: dict[str, Call] = {
        "linear": linear,
        "step": partial(np.multiply, dy, np.float32(0), dx),
        "relu": relu,
        "sigmoid": sigmoid,
        "tanh": tanh,
        "softmax": softmax,
    }
    return known.get(name)


def activation_backward(name: str, rows: int, cols: int) -> Case:
    def make() -> Work:
        x, dy = normal(rows, cols), uniform(rows, cols)
        ours, theirs = (np.empty((rows, cols), np.float32) for _ in range(2))
        saved = functional.activation(name, x) if _core.ACTIVATION_SAVES[name] == "Y" else x
        return pair(
            partial(functional.activation_backward, name, dy, saved, ours),
            _numpy_activation_gradient(name, dy, saved, theirs),
            nbytes=3.0 * FLOAT * x.size,
        )

    return Case(f"{name} backward {_shape(name, rows, cols)}", "activation", make)


def _shape(name: str, rows: int, cols: int) -> str:
    return f"{rows}x{cols}" if _core.ACTIVATION_SHAPE[name] == "R" else f"{rows * cols:,}"
