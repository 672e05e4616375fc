"""Normalization and noise through their kernels, each beside its NumPy form."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from fastnn._bench.case import FLOAT, Array, Case, Work, normal, pair, uniform
from fastnn.kernels import arrays, norm

EPSILON = 1e-3


def _arrays(rows: int, cols: int) -> tuple[Array, ...]:
    """x, dy, gamma, beta and empty arrays for y or dx, mean, variance, and the gradients of gamma and beta."""
    each = [np.empty(cols, np.float32) for _ in range(4)]
    return (
        normal(rows, cols),
        uniform(rows, cols),
        normal(cols),
        normal(cols),
        np.empty((rows, cols), np.float32),
        *each,
    )


def _numpy_gradients(dy: Array, x: Array, gamma: Array, axis: int) -> tuple[Array, Array, Array]:
    inverse: Any = 1 / np.sqrt(x.var(axis=axis, keepdims=True) + np.float32(EPSILON))
    n = (x - x.mean(axis=axis, keepdims=True)) * inverse
    g = dy * gamma
    dx = inverse * (g - g.mean(axis=axis, keepdims=True) - n * (g * n).mean(axis=axis, keepdims=True))
    return dx, (dy * n).sum(axis=0), dy.sum(axis=0)


def _numpy_forward(x: Array, gamma: Array, beta: Array, axis: int) -> Array:
    mean, variance = x.mean(axis=axis, keepdims=True), x.var(axis=axis, keepdims=True)
    y: Array = (x - mean) / np.sqrt(variance + np.float32(EPSILON)) * gamma + beta
    return y


def batch_norm(rows: int, cols: int) -> list[Case]:
    """Forward and backward in training."""

    def forward() -> Work:
        x, _, gamma, beta, y, mean, variance, *_ = _arrays(rows, cols)

        def fastnn() -> Array:
            norm.batch_norm_forward(y, mean, variance, x, gamma, beta, EPSILON)
            return y

        return pair(fastnn, partial(_numpy_forward, x, gamma, beta, 0), nbytes=2.0 * FLOAT * x.size)

    def backward() -> Work:
        x, dy, gamma, beta, dx, mean, variance, dgamma, dbeta = _arrays(rows, cols)
        norm.batch_norm_forward(dx, mean, variance, x, gamma, beta, EPSILON)

        def fastnn() -> tuple[Array, ...]:
            norm.batch_norm_backward(dx, dgamma, dbeta, dy, x, mean, variance, gamma, EPSILON)
            return dx, dgamma, dbeta

        return pair(fastnn, partial(_numpy_gradients, dy, x, gamma, 0), nbytes=3.0 * FLOAT * x.size)

    shape = f"{rows}x{cols}"
    return [
        Case(f"batch norm forward {shape}", "norm", forward),
        Case(f"batch norm backward {shape}", "norm", backward),
    ]


def layer_norm(rows: int, cols: int) -> list[Case]:
    def forward() -> Work:
        x, _, gamma, beta, y, *_ = _arrays(rows, cols)
        stats = np.empty((rows, 2), np.float32)

        def fastnn() -> Array:
            norm.layer_norm_forward(y, stats, x, gamma, beta, EPSILON)
            return y

        return pair(fastnn, partial(_numpy_forward, x, gamma, beta, 1), nbytes=2.0 * FLOAT * x.size)

    def backward() -> Work:
        x, dy, gamma, beta, dx, dgamma, dbeta, *_ = _arrays(rows, cols)
        stats = np.empty((rows, 2), np.float32)
        norm.layer_norm_forward(dx, stats, x, gamma, beta, EPSILON)

        def fastnn() -> tuple[Array, ...]:
            norm.layer_norm_backward(dx, dgamma, dbeta, dy, x, stats, gamma)
            return dx, dgamma, dbeta

        return pair(fastnn, partial(_numpy_gradients, dy, x, gamma, 1), nbytes=3.0 * FLOAT * x.size)

    shape = f"{rows}x{cols}"
    return [
        Case(f"layer norm forward {shape}", "norm", forward),
        Case(f"layer norm backward {shape}", "norm", backward),
    ]


def gaussian_noise(rows: int, cols: int) -> Case:
    """Each side draws its own."""

    def make() -> Work:
        x, y, rng = normal(rows, cols), np.empty(rows * cols, np.float32), np.random.default_rng(0)
        fastnn = partial(arrays.gaussian_noise, y, x.reshape(-1), 0.1, 1, 0, 1)
        numpy = lambda: x + rng.standard_normal(x.shape, np.float32) * np.float32(0.1)  # noqa: E731
        return Work(fastnn, numpy, nbytes=2.0 * FLOAT * x.size)

    return Case(f"gaussian noise {rows}x{cols}", "pass", make)
