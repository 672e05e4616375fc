"""The book's activations (chapters 4, 9, 16, 17)."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

import fastnn.functional as F
from fastnn.kernels.activations import quick, quick_backward
from fastnn.nnfs._settings import Array


class _Activation:
    """One of the engine's activations as the book writes them: ``forward`` leaves inputs and output, ``backward``
    leaves dinputs, from the gradient of the output."""

    kernel: ClassVar[str]
    inputs: Array
    output: Array
    dinputs: Array
    prev: Any
    next: Any

    def forward(self, inputs: Array, training: bool = True) -> None:
        self.inputs = inputs
        self.output = quick(self.kernel, inputs)
        if self.output is NotImplemented:
            self.output = F.activation(self.kernel, inputs)

    def backward(self, dvalues: Array) -> None:
        self.dinputs = quick_backward(self.kernel, dvalues, self.output)
        if self.dinputs is NotImplemented:
            self.dinputs = F.activation_backward(self.kernel, dvalues, self.output)

    def predictions(self, outputs: Array) -> Array:
        """What the outputs say, where this is a model's last layer."""
        return outputs


class Activation_ReLU(_Activation):
    """max(0, x). Its gradient is 0 where the input is at most 0."""

    kernel = "relu"

    def backward(self, dvalues: Array) -> None:
        # by the input, as the book: a program may have put a mask over the output
        self.dinputs = quick_backward("relu", dvalues, self.inputs)
        if self.dinputs is NotImplemented:
            self.dinputs = F.activation_backward("relu", dvalues, self.inputs)


class Activation_Softmax(_Activation):
    """exp(x) over its sum along the row. ``backward`` is the product with each row's Jacobian matrix."""

    kernel = "softmax"

    def predictions(self, outputs: Array) -> Array:
        """The class of the largest output of each row."""
        return np.asarray(np.argmax(outputs, axis=1))


class Activation_Sigmoid(_Activation):
    """1 / (1 + exp(-x))."""

    kernel = "sigmoid"

    def predictions(self, outputs: Array) -> Array:
        """1 where an output exceeds one half, else 0."""
        return (outputs > 0.5) * 1


class Activation_Linear(_Activation):
    """x itself."""

    kernel = "linear"

    def forward(self, inputs: Array, training: bool = True) -> None:
        self.inputs = self.output = inputs

    def backward(self, dvalues: Array) -> None:
        self.dinputs = dvalues.copy()
