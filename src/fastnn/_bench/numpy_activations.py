"""The activations in NumPy as a careful user writes them: in place, chains of ufuncs with ``out=``, no power where a
product does. GELU alone has no such form, as NumPy has no erf: its class's formula stands in.
"""

from __future__ import annotations

import math
from functools import partial

import numpy as np

from fastnn._bench.case import Array, Call
from fastnn.activations import Activation

LEAK = 0.01  # of the leaky ReLU
SELU_SCALE, SELU_ALPHA = 1.0507009873554805, 1.6732632423543773
GELU_SLOPE = 2 * math.sqrt(2 / math.pi)


def numpy_activation(name: str, x: Array, y: Array) -> Call:
    """y = f(x), by name."""
    v = np.empty_like(x)  # for what y does not hold

    def copy() -> Array:
        np.copyto(y, x)
        return y

    def step() -> Array:
        np.greater(x, 0, out=y)
        return y

    def relu6() -> Array:
        return np.clip(x, 0, 6, out=y)

    def leaky_relu() -> Array:
        np.multiply(x, LEAK, y)
        return np.maximum(x, y, out=y)

    def elu(alpha: float = 1.0, scale: float = 1.0) -> Array:
        np.minimum(x, 0, out=y)
        np.expm1(y, y)
        if alpha != 1:
            np.multiply(y, alpha, y)
        np.maximum(x, 0, out=v)
        np.add(y, v, y)
        return y if scale == 1 else np.multiply(y, scale, y)

    def logistic(of: Array) -> Array:
        """Of -x, in y."""
        np.exp(of, y)
        np.add(y, 1, y)
        return np.divide(1, y, y)

    def sigmoid() -> Array:
        return logistic(np.negative(x, y))

    def silu() -> Array:
        return np.multiply(x, sigmoid(), y)

    def gelu_tanh() -> Array:
        np.multiply(x, x, y)
        np.multiply(y, -0.044715 * GELU_SLOPE, y)
        np.subtract(y, GELU_SLOPE, y)
        np.multiply(y, x, y)
        return np.multiply(x, logistic(y), y)

    def softplus() -> Array:
        np.abs(x, y)
        np.negative(y, y)
        np.exp(y, y)
        np.log1p(y, y)
        np.maximum(x, 0, out=v)
        return np.add(y, v, y)

    def mish() -> Array:
        return np.multiply(x, np.tanh(softplus(), y), y)

    def hard_sigmoid() -> Array:
        np.multiply(x, 1 / 6, y)
        np.add(y, 0.5, y)
        return np.clip(y, 0, 1, out=y)

    def hard_swish() -> Array:
        return np.multiply(x, hard_sigmoid(), y)

    def softmax() -> Array:
        np.subtract(x, x.max(axis=1, keepdims=True), y)
        np.exp(y, y)
        return np.divide(y, y.sum(axis=1, keepdims=True), y)

    def log_softmax() -> Array:
        np.subtract(x, x.max(axis=1, keepdims=True), y)
        return np.subtract(y, np.log(np.exp(y, v).sum(axis=1, keepdims=True)), y)

    known: dict[str, Call] = {
        "linear": copy,
        "step": step,
        "relu": partial(np.maximum, x, 0, out=y),
        "relu6": relu6,
        "leaky_relu": leaky_relu,
        "elu": elu,
        "selu": partial(elu, SELU_ALPHA, SELU_SCALE),
        "gelu_tanh": gelu_tanh,
        "silu": silu,
        "mish": mish,
        "softplus": softplus,
        "exponential": partial(np.exp, x, y),
        "sigmoid": sigmoid,
        "hard_sigmoid": hard_sigmoid,
        "hard_swish": hard_swish,
        "tanh": partial(np.tanh, x, y),
        "softmax": softmax,
        "log_softmax": log_softmax,
    }
    return known.get(name) or partial(Activation.resolve(name).formula, x)


def numpy_activation_gradient(name: str, dy: Array, y: Array, dx: Array) -> Call | None:
    """dx = dy f'(x) from what forward saved, y, by name; None where there is no form here."""

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
