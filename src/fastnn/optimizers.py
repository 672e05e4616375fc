"""Optimizers, with the book's defaults (chapter 10), those it does not have with Keras's. The learning rate of step
t = 0, 1, ... is learning_rate / (1 + decay t), or what a schedule (``fastnn.schedules``) gives. What all have in common
is in ``fastnn._optimizer``.

Each class names its kernel (csrc/kernels/optimizers.h), gives that kernel's parameters in order, and carries one step
as float64 NumPy, which is the oracle of the tests.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias, Unpack

import numpy as np

from fastnn._checks import number
from fastnn._lbfgs import LBFGS
from fastnn._optimizer import Optimizer, yes_or_no

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fastnn._optimizer import Options
    from fastnn.schedules import Schedule

    Array: TypeAlias = NDArray[np.float64]

__all__ = ["LBFGS", "SGD", "AdaGrad", "Adam", "AdamW", "Lion", "NAdam", "Optimizer", "RMSprop"]


class SGD(Optimizer):
    """w -= lr g, or with momentum v = momentum v - lr g, w += v. Source: the book, chapter 10.

    nesterov: w += momentum v - lr g instead, the gradient taken as one step ahead. Source: Sutskever, Martens, Dahl and
    Hinton 2013, in the form of Keras and PyTorch.
    """

    names = ("sgd",)
    kernels = ("sgd", "momentum", "nesterov")

    def __init__(
        self,
        learning_rate: float | Schedule = 1.0,
        decay: float = 0.0,
        momentum: float = 0.0,
        nesterov: bool = False,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(learning_rate, decay, **options)
        self.momentum = number("momentum", momentum, 0.0, 1.0)
        self.nesterov = yes_or_no("nesterov", nesterov)
        if nesterov and not momentum:
            raise ValueError("nesterov: expected a momentum above 0 with it")

    @property
    def kernel(self) -> str:
        if not self.momentum:
            return "sgd"
        return "nesterov" if self.nesterov else "momentum"

    def parameters(self) -> tuple[float, ...]:
        return (self.momentum,) if self.momentum else ()

    def config(self) -> dict[str, Any]:
        more = {"nesterov": True} if self.nesterov else {}
        return {**super().config(), "momentum": self.momentum, **more}

    def formula(self, w: Array, g: Array, states: list[Array], t: int, lr: float) -> Array:
        if not self.momentum:
            return w - lr * g
        states[0][:] = self.momentum * states[0] - lr * g
        return w + (self.momentum * states[0] - lr * g if self.nesterov else states[0])


class AdaGrad(Optimizer):
    """c += g^2, w -= lr g / (sqrt(c) + epsilon). Source: Duchi, Hazan and Singer 2011."""

    names = ("adagrad",)
    kernels = ("adagrad",)
    keeps_squares = True

    def __init__(
        self,
        learning_rate: float | Schedule = 1.0,
        decay: float = 0.0,
        epsilon: float = 1e-7,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(learning_rate, decay, **options)
        self.epsilon = number("epsilon", epsilon, 0.0)

    def parameters(self) -> tuple[float, ...]:
        return (self.epsilon,)

    def config(self) -> dict[str, Any]:
        return {**super().config(), "epsilon": self.epsilon}

    def formula(self, w: Array, g: Array, states: list[Array], t: int, lr: float) -> Array:
        states[0] += g**2
        return w - lr * g / (np.sqrt(states[0]) + self.epsilon)


class RMSprop(Optimizer):
    """c = rho c + (1 - rho) g^2, w -= lr g / (sqrt(c) + epsilon). Source: Tieleman and Hinton 2012."""

    names = ("rmsprop",)
    kernels = ("rmsprop",)
    keeps_squares = True

    def __init__(
        self,
        learning_rate: float | Schedule = 0.001,
        decay: float = 0.0,
        epsilon: float = 1e-7,
        rho: float = 0.9,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(learning_rate, decay, **options)
        self.epsilon = number("epsilon", epsilon, 0.0)
        self.rho = number("rho", rho, 0.0, 1.0)

    def parameters(self) -> tuple[float, ...]:
        return (self.rho, self.epsilon)

    def config(self) -> dict[str, Any]:
        return {**super().config(), "epsilon": self.epsilon, "rho": self.rho}

    def formula(self, w: Array, g: Array, states: list[Array], t: int, lr: float) -> Array:
        states[0][:] = self.rho * states[0] + (1 - self.rho) * g**2
        return w - lr * g / (np.sqrt(states[0]) + self.epsilon)


class _Moments(Optimizer):
    """What Adam and its kin share: two running means, m of the gradient and v of its square."""

    def __init__(
        self,
        learning_rate: float | Schedule = 0.001,
        decay: float = 0.0,
        epsilon: float = 1e-7,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(learning_rate, decay, **options)
        self.epsilon = number("epsilon", epsilon, 0.0)
        self.beta_1 = number("beta_1", beta_1, 0.0, 1.0)
        self.beta_2 = number("beta_2", beta_2, 0.0, 1.0)

    def parameters(self) -> tuple[float, ...]:
        return (self.beta_1, self.beta_2, self.epsilon)

    def config(self) -> dict[str, Any]:
        return {**super().config(), "epsilon": self.epsilon, "beta_1": self.beta_1, "beta_2": self.beta_2}

    def take_in(self, g: Array, states: list[Array]) -> None:
        """Bring m and v, the first two states, up to the gradient."""
        states[0][:] = self.beta_1 * states[0] + (1 - self.beta_1) * g
        states[1][:] = self.beta_2 * states[1] + (1 - self.beta_2) * g**2

    def stepped(self, w: Array, m: Array, v: Array, t: int, lr: float) -> Array:
        """w moved by m over the root of v, which is corrected for its start at 0 first; m is already."""
        return w - lr * m / (np.sqrt(v / (1 - self.beta_2**t)) + self.epsilon)

    def formula(self, w: Array, g: Array, states: list[Array], t: int, lr: float) -> Array:
        self.take_in(g, states)
        return self.stepped(w, states[0] / (1 - self.beta_1**t), states[1], t, lr)


class Adam(_Moments):
    """Moments m and v of the gradient with bias correction: w -= lr m' / (sqrt(v') + epsilon).

    Source: Kingma and Ba 2015, algorithm 1; the book, chapter 10. amsgrad: v' is the largest there was, before its
    correction, so that no step becomes longer than the gradients ask for. Source: Reddi, Kale and Kumar 2018, as Keras
    and PyTorch have it.
    """

    names = ("adam",)
    kernels = ("adam", "amsgrad")
    keeps_squares = True

    def __init__(
        self,
        learning_rate: float | Schedule = 0.001,
        decay: float = 0.0,
        epsilon: float = 1e-7,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        amsgrad: bool = False,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(learning_rate, decay, epsilon, beta_1, beta_2, **options)
        self.amsgrad = yes_or_no("amsgrad", amsgrad)

    @property
    def kernel(self) -> str:
        return "amsgrad" if self.amsgrad else "adam"

    def config(self) -> dict[str, Any]:
        return {**super().config(), **({"amsgrad": True} if self.amsgrad else {})}

    def formula(self, w: Array, g: Array, states: list[Array], t: int, lr: float) -> Array:
        if not self.amsgrad:
            return super().formula(w, g, states, t, lr)
        self.take_in(g, states)
        states[2][:] = np.maximum(states[2], states[1])
        return self.stepped(w, states[0] / (1 - self.beta_1**t), states[2], t, lr)


class AdamW(_Moments):
    """Adam, and beside it w -= lr weight_decay w: the decay is not in the gradient and not divided by sqrt(v').

    All parameters decay, biases too, as in Keras and PyTorch. Source: Loshchilov and Hutter 2019, algorithm 2.
    """

    names = ("adamw",)
    kernels = ("adamw",)
    keeps_squares = True

    def __init__(
        self,
        learning_rate: float | Schedule = 0.001,
        decay: float = 0.0,
        epsilon: float = 1e-7,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        weight_decay: float = 0.004,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(learning_rate, decay, epsilon, beta_1, beta_2, **options)
        self.weight_decay = number("weight_decay", weight_decay, 0.0)

    def parameters(self) -> tuple[float, ...]:
        return (*super().parameters(), self.weight_decay)

    def config(self) -> dict[str, Any]:
        return {**super().config(), "weight_decay": self.weight_decay}

    def formula(self, w: Array, g: Array, states: list[Array], t: int, lr: float) -> Array:
        return super().formula(w, g, states, t, lr) - lr * self.weight_decay * w


class NAdam(_Moments):
    """Adam with Nesterov's momentum: m' = beta_1 m / (1 - beta_1^(t+1)) + (1 - beta_1) g / (1 - beta_1^t).

    beta_1 is the same in all steps; the warm-up of it that Keras and PyTorch add is left out. Source: Dozat 2016,
    algorithm 2.
    """

    names = ("nadam",)
    kernels = ("nadam",)
    keeps_squares = True

    def formula(self, w: Array, g: Array, states: list[Array], t: int, lr: float) -> Array:
        self.take_in(g, states)
        m = self.beta_1 * states[0] / (1 - self.beta_1 ** (t + 1)) + (1 - self.beta_1) * g / (1 - self.beta_1**t)
        return self.stepped(w, m, states[1], t, lr)


class Lion(Optimizer):
    """w -= lr (sign(beta_1 m + (1 - beta_1) g) + weight_decay w), then m = beta_2 m + (1 - beta_2) g.

    One array of state, and steps of the same size for every parameter: it wants a learning rate some 3 to 10 times
    smaller than Adam's. All parameters decay, biases too. Source: Chen et al. 2023, algorithm 2.
    """

    names = ("lion",)
    kernels = ("lion",)

    def __init__(
        self,
        learning_rate: float | Schedule = 0.001,
        decay: float = 0.0,
        beta_1: float = 0.9,
        beta_2: float = 0.99,
        weight_decay: float = 0.0,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(learning_rate, decay, **options)
        self.beta_1 = number("beta_1", beta_1, 0.0, 1.0)
        self.beta_2 = number("beta_2", beta_2, 0.0, 1.0)
        self.weight_decay = number("weight_decay", weight_decay, 0.0)

    def parameters(self) -> tuple[float, ...]:
        return (self.beta_1, self.beta_2, self.weight_decay)

    def config(self) -> dict[str, Any]:
        more = {"beta_1": self.beta_1, "beta_2": self.beta_2, "weight_decay": self.weight_decay}
        return {**super().config(), **more}

    def formula(self, w: Array, g: Array, states: list[Array], t: int, lr: float) -> Array:
        step = np.sign(self.beta_1 * states[0] + (1 - self.beta_1) * g) + self.weight_decay * w
        states[0][:] = self.beta_2 * states[0] + (1 - self.beta_2) * g
        return w - lr * step
