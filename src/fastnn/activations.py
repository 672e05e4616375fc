"""Activations: each a layer of its own, and a name that ``Dense(activation=...)`` takes.

Each class names its kernel (csrc/kernels/activations.h) and carries its formula in float64 NumPy: documentation, and
the oracle of the tests. All shapes are kept: (rows, n) in, (rows, n) out.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from fastnn._core import ACTIVATION_ALPHA, ACTIVATIONS
from fastnn._operands import ALIASES
from fastnn.base import Layer
from fastnn.engine.spec import ActivationSpec

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fastnn.engine.spec import Spec


class Activation(Layer):
    """An activation function as a layer. ``kernel`` is its name in csrc/registry.h.

    Weights to go with it: ``glorot_normal`` where it saturates on both sides, like tanh; ``lecun_normal`` with SELU;
    ``he_normal``, the default, with the others.
    """

    kind = "activation"
    kernel: ClassVar[str]
    kinks: ClassVar[tuple[float, ...]] = ()  # where the derivative jumps
    alpha = 0.0  # the kernel's parameter, of those that have one

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if cls.names and cls.kernel not in ACTIVATIONS:
            raise ImportError(f"{cls.__name__}: add A({cls.kernel}, ...) to csrc/registry.h and build again")
        for name in cls.__dict__.get("names", ()):  # its own: a subclass does not take its parent's place
            Layer.registry[name] = cls
            ALIASES["activation"][name] = cls.kernel

    def formula(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """The function in float64 NumPy."""
        raise NotImplementedError

    @property
    def flops(self) -> int:
        return 0 if self.names[0] == "linear" else self.n_out or 0

    def lower(self, index: int, n_in: int) -> list[Spec]:
        return [ActivationSpec(index, n_in, self.kernel, self.alpha)]


class Linear(Activation):
    """f(x) = x, f'(x) = 1."""

    names = ("linear", "identity")
    kernel = "linear"

    def formula(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        return x + 0.0


class Step(Activation):
    """f(x) = 1 where x > 0, else 0; f'(x) = 0 everywhere, so nothing before it learns.

    Source: McCulloch and Pitts 1943; the book, chapter 4.
    """

    names = ("step",)
    kernel = "step"
    kinks = (0.0,)

    def formula(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.heaviside(x, 0.0)


class ReLU(Activation):
    """f(x) = max(x, 0); f'(x) = 1 where x > 0, else 0. Source: Nair and Hinton 2010; the book, chapter 4."""

    names = ("relu",)
    kernel = "relu"
    kinks = (0.0,)

    def formula(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.maximum(x, 0.0)


class ReLU6(Activation):
    """f(x) = min(max(x, 0), 6); f'(x) = 1 where 0 < x < 6, else 0. Source: Krizhevsky, Convolutional deep belief
    networks on CIFAR-10, 2010."""

    names = ("relu6",)
    kernel = "relu6"
    kinks = (0.0, 6.0)

    def formula(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.minimum(np.maximum(x, 0.0), 6.0)


class _WithAlpha(Activation):
    """An activation with a parameter."""

    def __init__(self, alpha: float | None = None) -> None:
        number = ACTIVATION_ALPHA[self.kernel] if alpha is None else float(alpha)
        if not 0 <= number < float("inf"):
            raise ValueError(f"alpha: expected a number of at least 0, got {alpha!r}")
        self.alpha = number

    def config(self) -> dict[str, Any]:
        return {"alpha": self.alpha}


class LeakyReLU(_WithAlpha):
    """f(x) = x where x > 0, else alpha x; f'(x) = 1 where x > 0, else alpha. alpha is 0.01 unless said otherwise, at
    least 0.

    Source: Maas, Hannun and Ng, Rectifier nonlinearities improve neural network acoustic models, 2013.
    """

    names = ("leaky_relu", "leakyrelu")
    kernel = "leaky_relu"
    kinks = (0.0,)

    def formula(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.where(x > 0, x, self.alpha * x)


class ELU(_WithAlpha):
    """f(x) = x where x > 0, else alpha (exp(x) - 1); f'(x) = 1 where x > 0, else f(x) + alpha. alpha is 1 unless said
    otherwise, at least 0.

    Source: Clevert, Unterthiner and Hochreiter 2016.
    """

    names = ("elu",)
    kernel = "elu"
    kinks = (0.0,)

    def formula(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.where(x > 0, x, self.alpha * np.expm1(np.minimum(x, 0)))


class SELU(Activation):
    """f(x) = s x where x > 0, else s a (exp(x) - 1); f'(x) = s where x > 0, else f(x) + s a; s = 1.0507, a = 1.6733.
    With ``lecun_normal`` weights the outputs keep mean 0 and variance 1 from layer to layer. Source: Klambauer et al.
    2017."""

    names = ("selu",)
    kernel = "selu"
    kinks = (0.0,)

    def formula(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        scale, alpha = 1.0507009873554804934, 1.6732632423543772848
        return scale * np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0)))


class GELU(Activation):
    """f(x) = x Phi(x), Phi the normal distribution function: the exact form; 0 at -inf. f'(x) = Phi(x) + x phi(x), phi
    the normal density.

    Source: Hendrycks and Gimpel 2016.
    """

    names = ("gelu",)
    kernel = "gelu"

    def formula(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        half_erfc = np.vectorize(lambda v: math.erfc(v) / 2, otypes=[np.float64])
        return _times(x, half_erfc(-x / math.sqrt(2.0)))


class GELUTanh(Activation):
    """f(x) = x s(v), v = 2 sqrt(2 / pi) (x + 0.044715 x^3), s the logistic function: the same as x (1 + tanh(v / 2)) /
    2, the first approximation of GELU, as GPT-2 has it; 0 at -inf. f'(x) = s + x s (1 - s) 2 sqrt(2 / pi) (1 + 0.134145
    x^2). Source: Hendrycks and Gimpel 2016."""

    names = ("gelu_tanh", "gelu_new")
    kernel = "gelu_tanh"

    def formula(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        pi = 4 * np.arctan(np.ones((), x.dtype))  # of x's precision, which may be more than float64
        v = 2 * np.sqrt(2 / pi) * (x + x.dtype.type("0.044715") * x**3)
        return _times(x, _logistic(v))


class SiLU(Activation):
    """f(x) = x s, s = 1 / (1 + exp(-x)), also called Swish; 0 at -inf. f'(x) = s (1 + x (1 - s)).

    Source: Elfwing, Uchibe and Doya 2017; Ramachandran, Zoph and Le 2017.
    """

    names = ("silu", "swish")
    kernel = "silu"

    def formula(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        return _times(x, _logistic(x))


class Mish(Activation):
    """f(x) = x t, t = tanh(ln(1 + exp(x))); 0 at -inf. f'(x) = t + x (1 - t^2) / (1 + exp(-x)). Source: Misra 2019."""

    names = ("mish",)
    kernel = "mish"

    def formula(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        return _times(x, np.tanh(np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))))


class Softplus(Activation):
    """f(x) = ln(1 + exp(x)), a smooth ReLU whose outputs are positive; f'(x) = 1 / (1 + exp(-x)). Source: Dugas et al.
    2001."""

    names = ("softplus",)
    kernel = "softplus"

    def formula(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


class Exponential(Activation):
    """f(x) = f'(x) = exp(x): rates for the Poisson loss (the log link). Source: McCullagh and Nelder 1989."""

    names = ("exponential", "exp")
    kernel = "exponential"

    def formula(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.exp(x)


class Sigmoid(Activation):
    """f(x) = 1 / (1 + exp(-x)), the logistic function; f'(x) = f(x) (1 - f(x)). Source: the book, chapter 16."""

    names = ("sigmoid",)
    kernel = "sigmoid"

    def formula(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        return _logistic(x)


class HardSigmoid(Activation):
    """f(x) = x / 6 + 1 / 2, at least 0 and at most 1; f'(x) = 1 / 6 where -3 < x < 3, else 0. Source: Courbariaux et
    al. 2015, with the slope of Howard et al., Searching for MobileNetV3, 2019, as in Keras 3 and PyTorch."""

    names = ("hard_sigmoid",)
    kernel = "hard_sigmoid"
    kinks = (-3.0, 3.0)

    def formula(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.clip((x + 3) / 6, 0, 1)


class HardSwish(Activation):
    """f(x) = x hard_sigmoid(x); 0 at -inf. f'(x) = 0 below -3, 1 above 3, else (2 x + 3) / 6. Source: Howard et al.,
    Searching for MobileNetV3, 2019."""

    names = ("hard_swish", "hard_silu")
    kernel = "hard_swish"
    kinks = (-3.0, 3.0)

    def formula(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        return _times(x, np.clip((x + 3) / 6, 0, 1))


class Tanh(Activation):
    """f(x) = tanh x; f'(x) = 1 - f(x)^2. Source: LeCun et al., Efficient BackProp, 1998."""

    names = ("tanh",)
    kernel = "tanh"

    def formula(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.tanh(x)


class Softmax(Activation):
    """f(x)_j = exp(x_j) / sum over the row of exp(x_k); df_j / dx_k = f_j ((j = k) - f_k). Source: Bridle 1990; the
    book, chapter 4."""

    names = ("softmax",)
    kernel = "softmax"

    def formula(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        e = np.exp(x - x.max(axis=-1, keepdims=True))
        return e / e.sum(axis=-1, keepdims=True)


class LogSoftmax(Activation):
    """f(x)_j = x_j - ln(sum over the row of exp(x_k)), the logarithm of softmax without its underflow; df_j / dx_k =
    (j = k) - exp(f_k). Source: Bridle 1990, by log-sum-exp."""

    names = ("log_softmax",)
    kernel = "log_softmax"

    def formula(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        z = x - x.max(axis=-1, keepdims=True)
        return z - np.log(np.exp(z).sum(axis=-1, keepdims=True))


def _logistic(x: NDArray[np.float64]) -> NDArray[np.float64]:
    e = np.exp(-np.abs(x))
    return np.where(x >= 0, 1.0, e) / (1.0 + e)


def _times(x: NDArray[np.float64], gate: NDArray[np.float64]) -> NDArray[np.float64]:
    """x * gate, and the limit 0 where that is -inf * 0."""
    return np.where(np.isneginf(x), 0.0, x) * gate
