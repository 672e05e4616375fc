"""The book's layers (chapters 3, 9, 14, 15): each call is one native kernel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

import fastnn.functional as F
from fastnn.kernels.arrays import multiply
from fastnn.kernels.dense import quick_backward, quick_forward
from fastnn.kernels.optimizers import quick_penalty_backward
from fastnn.kernels.twister import drop
from fastnn.nnfs._settings import Array, dtype, randn

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


class Layer_Dense:
    """output = inputs.weights + biases. Weights are 0.01 * normal, from NumPy's global generator; biases are 0.

    Shapes: inputs (rows, n_inputs), weights (n_inputs, n_neurons), biases (1, n_neurons), output (rows, n_neurons).
    ``backward`` leaves dinputs, dweights and dbiases, those of the regularization included. An optimizer keeps its
    state here: weight_momentums, bias_momentums, weight_cache, bias_cache.
    """

    inputs: Array
    output: Array
    dinputs: Array
    dweights: Array
    dbiases: Array
    weight_momentums: Array
    bias_momentums: Array
    weight_cache: Array
    bias_cache: Array
    prev: Any
    next: Any

    def __init__(
        self,
        n_inputs: int,
        n_neurons: int,
        weight_regularizer_l1: float = 0,
        weight_regularizer_l2: float = 0,
        bias_regularizer_l1: float = 0,
        bias_regularizer_l2: float = 0,
    ) -> None:
        self.weights: Array = 0.01 * randn(n_inputs, n_neurons)
        self.biases: Array = np.zeros((1, n_neurons), dtype())
        self.weight_regularizer_l1 = weight_regularizer_l1
        self.weight_regularizer_l2 = weight_regularizer_l2
        self.bias_regularizer_l1 = bias_regularizer_l1
        self.bias_regularizer_l2 = bias_regularizer_l2

    def forward(self, inputs: Array, training: bool = True) -> None:
        self.inputs = inputs
        self.output = quick_forward(inputs, self.weights, self.biases, "linear", None)
        if self.output is NotImplemented:  # another type or layout: everything becomes the weights' type, or float64
            kind = np.asarray(self.weights).dtype
            self.inputs = np.atleast_2d(np.asarray(inputs, kind if kind in (np.float32, np.float64) else np.float64))
            self.output = F.dense(self.inputs, self.weights, self.biases)

    def backward(self, dvalues: Array) -> None:
        gradients = quick_backward(dvalues, self.inputs, self.weights, None, "linear", None)
        if gradients is NotImplemented:
            gradients = F.dense_backward(dvalues, self.inputs, self.weights)
        self.dinputs, self.dweights, self.dbiases = gradients
        if self.weight_regularizer_l1 or self.weight_regularizer_l2:
            _add_penalty(self.dweights, self.weights, self.weight_regularizer_l1, self.weight_regularizer_l2)
        if self.bias_regularizer_l1 or self.bias_regularizer_l2:
            _add_penalty(self.dbiases, self.biases, self.bias_regularizer_l1, self.bias_regularizer_l2)

    def get_parameters(self) -> tuple[Array, Array]:
        return self.weights, self.biases

    def set_parameters(self, weights: Array, biases: Array) -> None:
        self.weights, self.biases = weights, biases


def _add_penalty(gradient: Array, w: Array, l1: float, l2: float) -> None:
    if not quick_penalty_backward(gradient, w, l1, l2):
        rows = np.array(w, gradient.dtype, order="C").reshape(gradient.shape)
        if not quick_penalty_backward(gradient, rows, l1, l2):
            raise TypeError(f"dweights, dbiases: expected float32 or float64 in rows, got {gradient.dtype}")


class Layer_Dropout:
    """While training, drops the share ``rate`` of its inputs and divides the others by 1 - rate.

    ``self.rate`` is the share kept, as in the book. ``binary_mask`` holds 0 and 1 / self.rate: the elements that
    ``np.random.binomial(1, self.rate, size=inputs.shape) / self.rate`` gives, and NumPy's generator moves on as far.
    """

    inputs: Array
    output: Array
    dinputs: Array
    binary_mask: Array
    prev: Any
    next: Any

    def __init__(self, rate: float) -> None:
        if not 0 <= rate < 1:
            raise ValueError(f"rate: expected the share to drop, at least 0 and below 1, got {rate!r}")
        self.rate = 1 - rate

    def forward(self, inputs: Array, training: bool = True) -> None:
        self.inputs = inputs
        if not training:
            self.output = inputs.copy()
            return
        dropped = drop(inputs, self.rate)
        if dropped is not NotImplemented:
            self.output, self.binary_mask = dropped
            return
        kind = inputs.dtype if inputs.dtype in (np.float32, np.float64) else dtype()
        self.binary_mask = np.asarray(np.random.binomial(1, self.rate, size=inputs.shape) / self.rate, kind)
        self.output = inputs * self.binary_mask

    def backward(self, dvalues: Array) -> None:
        self.dinputs = multiply(dvalues, self.binary_mask)
        if self.dinputs is NotImplemented:
            self.dinputs = dvalues * self.binary_mask


class Layer_Input:
    """What stands before the first layer of a Model: its output is the rows themselves."""

    output: Array
    next: Any

    def forward(self, inputs: ArrayLike, training: bool = True) -> None:
        self.output = np.asarray(inputs)
