"""Products, dense layers and activations through their public door, ``fastnn.functional``, each beside its NumPy form.

NumPy's side is what a careful user writes: ``out=`` wherever a chain of ufuncs takes it.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from fastnn import _core, functional
from fastnn._bench.case import FLOAT, Array, Case, Work, normal, pair, uniform
from fastnn._bench.numpy_activations import numpy_activation, numpy_activation_gradient

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


def activation_forward(name: str, rows: int, cols: int) -> Case:
    def make() -> Work:
        x, ours, theirs = normal(rows, cols), *(np.empty((rows, cols), np.float32) for _ in range(2))
        return pair(
            partial(functional.activation, name, x, ours),
            numpy_activation(name, x, theirs),
            nbytes=2.0 * FLOAT * x.size,
        )

    return Case(f"{name} forward {_shape(name, rows, cols)}", "activation", make)


def activation_backward(name: str, rows: int, cols: int) -> Case:
    def make() -> Work:
        x, dy = normal(rows, cols), uniform(rows, cols)
        ours, theirs = (np.empty((rows, cols), np.float32) for _ in range(2))
        saved = functional.activation(name, x) if _core.ACTIVATION_SAVES[name] == "Y" else x
        return pair(
            partial(functional.activation_backward, name, dy, saved, ours),
            numpy_activation_gradient(name, dy, saved, theirs),
            nbytes=3.0 * FLOAT * x.size,
        )

    return Case(f"{name} backward {_shape(name, rows, cols)}", "activation", make)


def _shape(name: str, rows: int, cols: int) -> str:
    return f"{rows}x{cols}" if _core.ACTIVATION_SHAPE[name] == "R" else f"{rows * cols:,}"
