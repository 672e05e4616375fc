"""Activations: each a layer of its own, and a name that ``Dense(activation=...)`` takes.

Each class names its kernel (csrc/kernels/activations.h) and carries its formula in float64 NumPy: documentation, and
the oracle of the tests. All shapes are kept: (rows, n) in, (rows, n) out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from fastnn._core import ACTIVATIONS
from fastnn.base import Layer
from fastnn.engine.spec import ActivationSpec

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fastnn.engine.spec import Spec


class Activation(Layer):
    """An activation function as a layer. ``kernel`` is its name in csrc/registry.h."""

    kind = "activation"
    kernel: ClassVar[str]
    kinks: ClassVar[tuple[float, ...]] = ()  # where the derivative jumps

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if cls.kernel not in ACTIVATIONS:
            raise ImportError(f"{cls.__name__}: add A({cls.kernel}, ...) to csrc/registry.h and build again")
        for name in cls.names:
            Layer.registry[name] = cls

    @staticmethod
    def formula(x: NDArray[np.float64]) -> NDArray[np.float64]:
        """The function in float64 NumPy."""
        raise NotImplementedError

    @property
    def flops(self) -> int:
        return 0 if self.names[0] == "linear" else self.n_out or 0

    def lower(self, index: int, n_in: int) -> list[Spec]:
        return [ActivationSpec(index, n_in, self.kernel)]


class Linear(Activation):
    """f(x) = x."""

    names = ("linear", "identity")
    kernel = "linear"

    @staticmethod
    def formula(x: NDArray[np.float64]) -> NDArray[np.float64]:
        return x + 0.0


class Step(Activation):
    """f(x) = 1 where x > 0, else 0; its gradient is 0 everywhere, so nothing before it learns.

    Source: McCulloch and Pitts 1943; the book, chapter 4.
    """

    names = ("step",)
    kernel = "step"
    kinks = (0.0,)

    @staticmethod
    def formula(x: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.heaviside(x, 0.0)


class ReLU(Activation):
    """f(x) = max(x, 0), with f'(0) = 0. Source: Nair and Hinton 2010; the book, chapter 4."""

    names = ("relu",)
    kernel = "relu"
    kinks = (0.0,)

    @staticmethod
    def formula(x: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.maximum(x, 0.0)


class Sigmoid(Activation):
    """f(x) = 1 / (1 + exp(-x)), the logistic function. Source: the book, chapter 16."""

    names = ("sigmoid",)
    kernel = "sigmoid"

    @staticmethod
    def formula(x: NDArray[np.float64]) -> NDArray[np.float64]:
        e = np.exp(-np.abs(x))
        return np.where(x >= 0, 1.0, e) / (1.0 + e)


class Tanh(Activation):
    """f(x) = tanh x. Source: LeCun et al., Efficient BackProp, 1998."""

    names = ("tanh",)
    kernel = "tanh"

    @staticmethod
    def formula(x: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.tanh(x)


class Softmax(Activation):
    """f(x)_j = exp(x_j) / sum over the row of exp(x_k). Source: Bridle 1990; the book, chapter 4."""

    names = ("softmax",)
    kernel = "softmax"

    @staticmethod
    def formula(x: NDArray[np.float64]) -> NDArray[np.float64]:
        e = np.exp(x - x.max(axis=-1, keepdims=True))
        return e / e.sum(axis=-1, keepdims=True)
