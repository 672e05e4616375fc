"""The book's optimizers (chapter 10). Each array's step is one native pass; the state lies on the layer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

import fastnn.functional as F
from fastnn.kernels.optimizers import quick_step
from fastnn.nnfs._settings import Array

if TYPE_CHECKING:
    from fastnn.nnfs._layers import Layer_Dense


class _Optimizer:
    """``pre_update_params()``, ``update_params(layer)`` for every layer, ``post_update_params()`` make one step.

    state_names: what is kept for each of a layer's two arrays, in the kernel's order; "cache" is weight_cache and
    bias_cache.
    """

    state_names: tuple[str, ...] = ()
    settings: ClassVar[tuple[str, ...]]  # the constructor's arguments

    def __init__(self, learning_rate: float, decay: float) -> None:
        self.learning_rate = self.current_learning_rate = learning_rate
        self.decay = decay
        self.iterations = 0

    @property
    def kernel(self) -> str:
        """Its name in csrc/registry.h."""
        raise NotImplementedError

    def parameters(self) -> tuple[float, ...]:
        """The kernel's parameters, in its order."""
        raise NotImplementedError

    def learning_rate_at(self, iteration: int) -> float:
        """What ``current_learning_rate`` is during a step, counted from 0."""
        if not self.decay:
            return self.current_learning_rate
        return self.learning_rate * (1.0 / (1.0 + self.decay * iteration))

    def pre_update_params(self) -> None:
        if self.decay:
            self.current_learning_rate = self.learning_rate_at(self.iterations)

    def update_params(self, layer: Layer_Dense) -> None:
        weight_states, bias_states = self._states(layer)
        kernel, rate, parameters = self.kernel, self.current_learning_rate, self.parameters()
        _step(kernel, layer.weights, layer.dweights, weight_states, rate, parameters, self.iterations + 1)
        _step(kernel, layer.biases, layer.dbiases, bias_states, rate, parameters, self.iterations + 1)

    def post_update_params(self) -> None:
        self.iterations += 1

    def _states(self, layer: Any) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
        for name in self.state_names:
            if not hasattr(layer, f"weight_{name}"):
                setattr(layer, f"weight_{name}", np.zeros_like(layer.weights))
                setattr(layer, f"bias_{name}", np.zeros_like(layer.biases))
        return (
            tuple(getattr(layer, f"weight_{name}") for name in self.state_names),
            tuple(getattr(layer, f"bias_{name}") for name in self.state_names),
        )


def _step(
    kernel: str, w: Array, g: Array, states: tuple[Array, ...], rate: float, parameters: tuple[float, ...], t: int
) -> None:
    """One step of w and states, in place, whatever their layout."""
    if quick_step(kernel, w, g, states, rate, parameters, t):
        return
    copies = [np.ascontiguousarray(a).copy() for a in (w, *states)]
    F.optimizer_step(kernel, copies[0], g, tuple(copies[1:]), learning_rate=rate, parameters=parameters, t=t)
    for array, copy in zip((w, *states), copies, strict=True):
        array[...] = copy


class Optimizer_SGD(_Optimizer):
    """w -= lr dw; with momentum v = momentum v - lr dw and w += v."""

    settings = ("learning_rate", "decay", "momentum")

    def __init__(self, learning_rate: float = 1.0, decay: float = 0.0, momentum: float = 0.0) -> None:
        super().__init__(learning_rate, decay)
        self.momentum = momentum

    @property
    def kernel(self) -> str:
        return "momentum" if self.momentum else "sgd"

    @property
    def state_names(self) -> tuple[str, ...]:  # type: ignore[override]
        return ("momentums",) if self.momentum else ()

    def parameters(self) -> tuple[float, ...]:
        return (self.momentum,) if self.momentum else ()


class Optimizer_Adagrad(_Optimizer):
    """cache += dw^2, w -= lr dw / (sqrt(cache) + epsilon)."""

    settings = ("learning_rate", "decay", "epsilon")
    state_names = ("cache",)
    kernel = "adagrad"

    def __init__(self, learning_rate: float = 1.0, decay: float = 0.0, epsilon: float = 1e-7) -> None:
        super().__init__(learning_rate, decay)
        self.epsilon = epsilon

    def parameters(self) -> tuple[float, ...]:
        return (self.epsilon,)


class Optimizer_RMSprop(_Optimizer):
    """cache = rho cache + (1 - rho) dw^2, w -= lr dw / (sqrt(cache) + epsilon)."""

    settings = ("learning_rate", "decay", "epsilon", "rho")
    state_names = ("cache",)
    kernel = "rmsprop"

    def __init__(
        self, learning_rate: float = 0.001, decay: float = 0.0, epsilon: float = 1e-7, rho: float = 0.9
    ) -> None:
        super().__init__(learning_rate, decay)
        self.epsilon, self.rho = epsilon, rho

    def parameters(self) -> tuple[float, ...]:
        return (self.rho, self.epsilon)


class Optimizer_Adam(_Optimizer):
    """Momentums and cache of the gradient, both corrected for their start at 0: w -= lr m' / (sqrt(cache') + epsilon)."""

    settings = ("learning_rate", "decay", "epsilon", "beta_1", "beta_2")
    state_names = ("momentums", "cache")
    kernel = "adam"

    def __init__(
        self,
        learning_rate: float = 0.001,
        decay: float = 0.0,
        epsilon: float = 1e-7,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
    ) -> None:
        super().__init__(learning_rate, decay)
        self.epsilon, self.beta_1, self.beta_2 = epsilon, beta_1, beta_2

    def parameters(self) -> tuple[float, ...]:
        return (self.beta_1, self.beta_2, self.epsilon)
