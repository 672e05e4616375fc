"""The book's optimizers (chapter 10). Each array's step is one native pass; the state lies on the layer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

import fastnn.functional as F
from fastnn._optimizer import need_one
from fastnn.kernels.optimizers import quick_steps
from fastnn.nnfs._settings import Array
from fastnn.schedules import Schedule

if TYPE_CHECKING:
    from fastnn.nnfs._layers import Layer_Dense


class _Optimizer:
    """``pre_update_params()``, ``update_params(layer)`` for every layer, ``post_update_params()`` make one step.

    learning_rate: a number, which decay lowers as the book does; or a schedule of ``fastnn.schedules``, which gives the
    rate of each step, counted by ``iterations``, and goes with decay 0. Raises ValueError for both.
    """

    settings: ClassVar[tuple[str, ...]]  # the constructor's arguments
    current_learning_rate: float

    def __init__(self, learning_rate: float | Schedule, decay: float) -> None:
        need_one(learning_rate, decay)
        if isinstance(learning_rate, Schedule):
            learning_rate.lower()  # raises for one that the engine would not follow
        self.learning_rate, self.decay = learning_rate, decay
        self.iterations = 0
        self.current_learning_rate = learning_rate(0) if isinstance(learning_rate, Schedule) else learning_rate

    def kernel(self) -> tuple[str, tuple[float, ...], tuple[str, ...]]:
        """Its name in csrc/registry.h, its parameters in the kernel's order, and what it keeps on a layer: "cache" is
        weight_cache and bias_cache."""
        raise NotImplementedError

    def rate(self) -> tuple[float | tuple[str, Any], float]:
        """Learning rate and decay as the engine takes them."""
        if isinstance(self.learning_rate, Schedule):
            return self.learning_rate.lower(), 0.0
        return self.learning_rate if self.decay else self.current_learning_rate, self.decay

    def learning_rate_at(self, iteration: int) -> float:
        """What ``current_learning_rate`` is during a step, counted from 0."""
        if self.decay:
            return self.learning_rate * (1.0 / (1.0 + self.decay * iteration))  # type: ignore[operator]
        return self.learning_rate(iteration) if isinstance(self.learning_rate, Schedule) else self.current_learning_rate

    def pre_update_params(self) -> None:
        if self.decay or isinstance(self.learning_rate, Schedule):
            self.current_learning_rate = self.learning_rate_at(self.iterations)

    def update_params(self, layer: Layer_Dense) -> None:
        raise NotImplementedError

    def post_update_params(self) -> None:
        self.iterations += 1


def begin_anew(layer: Layer_Dense, names: tuple[str, ...]) -> None:
    """As the book has it: where a layer has no cache yet, Adam's momentums begin at 0 with it, whatever an optimizer
    before has left there."""
    if names == ("momentums", "cache") and not hasattr(layer, "weight_cache"):
        vars(layer).pop("weight_momentums", None)
        vars(layer).pop("bias_momentums", None)


def _begin(layer: Layer_Dense, *names: str) -> None:
    """Give a layer the state that it does not have yet, zeros."""
    for name in names:
        if not hasattr(layer, f"weight_{name}"):
            setattr(layer, f"weight_{name}", np.zeros_like(layer.weights))
            setattr(layer, f"bias_{name}", np.zeros_like(layer.biases))


Arrays = tuple[Array, Array, tuple[Array, ...]]  # w, its gradient, its states


def _step(kernel: str, weights: Arrays, biases: Arrays, rate: float, parameters: tuple[float, ...], t: int = 1) -> None:
    """One step of a layer's arrays, in place, whatever their layout."""
    if quick_steps(kernel, (weights, biases), rate, parameters, t):
        return
    for name, (w, g, states) in (("weights", weights), ("biases", biases)):
        if not isinstance(w, np.ndarray):
            raise TypeError(f"{name}: expected an array, got {type(w).__name__}")
        if w.shape != g.shape:
            raise ValueError(f"{name}: expected the shape {g.shape} of their gradient, got {w.shape}")
        copies = [np.ascontiguousarray(a).copy() for a in (w, *states)]
        F.optimizer_step(kernel, copies[0], g, tuple(copies[1:]), learning_rate=rate, parameters=parameters, t=t)
        for array, copy in zip((w, *states), copies, strict=True):
            array[...] = copy


class Optimizer_SGD(_Optimizer):
    """w -= lr dw; with momentum v = momentum v - lr dw and w += v."""

    settings = ("learning_rate", "decay", "momentum")

    def __init__(self, learning_rate: float | Schedule = 1.0, decay: float = 0.0, momentum: float = 0.0) -> None:
        super().__init__(learning_rate, decay)
        self.momentum = momentum

    def kernel(self) -> tuple[str, tuple[float, ...], tuple[str, ...]]:
        return ("momentum", (self.momentum,), ("momentums",)) if self.momentum else ("sgd", (), ())

    def update_params(self, layer: Layer_Dense) -> None:
        rate = self.current_learning_rate
        if self.momentum:
            if not hasattr(layer, "weight_momentums"):
                _begin(layer, "momentums")
            weights = layer.weights, layer.dweights, (layer.weight_momentums,)
            biases = layer.biases, layer.dbiases, (layer.bias_momentums,)
            _step("momentum", weights, biases, rate, (self.momentum,))
        else:
            _step("sgd", (layer.weights, layer.dweights, ()), (layer.biases, layer.dbiases, ()), rate, ())


class Optimizer_Adagrad(_Optimizer):
    """cache += dw^2, w -= lr dw / (sqrt(cache) + epsilon)."""

    settings = ("learning_rate", "decay", "epsilon")

    def __init__(self, learning_rate: float | Schedule = 1.0, decay: float = 0.0, epsilon: float = 1e-7) -> None:
        super().__init__(learning_rate, decay)
        self.epsilon = epsilon

    def kernel(self) -> tuple[str, tuple[float, ...], tuple[str, ...]]:
        return "adagrad", (self.epsilon,), ("cache",)

    def update_params(self, layer: Layer_Dense) -> None:
        if not hasattr(layer, "weight_cache"):
            _begin(layer, "cache")
        rate, parameters = self.current_learning_rate, (self.epsilon,)
        weights = layer.weights, layer.dweights, (layer.weight_cache,)
        biases = layer.biases, layer.dbiases, (layer.bias_cache,)
        _step("adagrad", weights, biases, rate, parameters)


class Optimizer_RMSprop(_Optimizer):
    """cache = rho cache + (1 - rho) dw^2, w -= lr dw / (sqrt(cache) + epsilon)."""

    settings = ("learning_rate", "decay", "epsilon", "rho")

    def __init__(
        self, learning_rate: float | Schedule = 0.001, decay: float = 0.0, epsilon: float = 1e-7, rho: float = 0.9
    ) -> None:
        super().__init__(learning_rate, decay)
        self.epsilon, self.rho = epsilon, rho

    def kernel(self) -> tuple[str, tuple[float, ...], tuple[str, ...]]:
        return "rmsprop", (self.rho, self.epsilon), ("cache",)

    def update_params(self, layer: Layer_Dense) -> None:
        if not hasattr(layer, "weight_cache"):
            _begin(layer, "cache")
        rate, parameters = self.current_learning_rate, (self.rho, self.epsilon)
        weights = layer.weights, layer.dweights, (layer.weight_cache,)
        biases = layer.biases, layer.dbiases, (layer.bias_cache,)
        _step("rmsprop", weights, biases, rate, parameters)


class Optimizer_Adam(_Optimizer):
    """Momentums and cache of the gradient, corrected for their start at 0: w -= lr m' / (sqrt(cache') + epsilon)."""

    settings = ("learning_rate", "decay", "epsilon", "beta_1", "beta_2")

    def __init__(
        self,
        learning_rate: float | Schedule = 0.001,
        decay: float = 0.0,
        epsilon: float = 1e-7,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
    ) -> None:
        super().__init__(learning_rate, decay)
        self.epsilon, self.beta_1, self.beta_2 = epsilon, beta_1, beta_2

    def kernel(self) -> tuple[str, tuple[float, ...], tuple[str, ...]]:
        return "adam", (self.beta_1, self.beta_2, self.epsilon), ("momentums", "cache")

    def update_params(self, layer: Layer_Dense) -> None:
        if not (hasattr(layer, "weight_cache") and hasattr(layer, "weight_momentums")):
            begin_anew(layer, ("momentums", "cache"))
            _begin(layer, "momentums", "cache")
        rate, parameters, t = self.current_learning_rate, (self.beta_1, self.beta_2, self.epsilon), self.iterations + 1
        weights = layer.weights, layer.dweights, (layer.weight_momentums, layer.weight_cache)
        biases = layer.biases, layer.dbiases, (layer.bias_momentums, layer.bias_cache)
        _step("adam", weights, biases, rate, parameters, t)
