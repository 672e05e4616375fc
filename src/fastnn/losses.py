"""Losses: what training makes small. p = predictions (rows, n), t = targets.

Each class names its kernel (csrc/kernels/losses.h) and carries its formula in float64 NumPy. The loss of a batch is the
mean over its rows. Probabilities are clipped to [1e-7, 1 - 1e-7] before a logarithm or a division, as in the book.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from fastnn._core import LOSS_PARAMETER, LOSS_TARGETS, LOSSES
from fastnn._operands import ALIASES
from fastnn.base import Registered

if TYPE_CHECKING:
    from numpy.typing import NDArray

CLIP = 1e-7


class Loss(Registered):
    """``merges_with``: the activation whose gradient is merged with the loss's when it is the last layer, which is
    exact where the two apart would divide by a probability near 0. ``accuracy``: the metric that goes with it by
    default, ``threshold``: above what a prediction is a yes for it. ``targets``: what they must be: "any",
    "probabilities" or "signs". ``parameter``: the kernel's number. ``smoothing``: (keep, floor), the loss sees targets
    * keep + floor."""

    kind = "loss"
    kernel: str
    merges_with: str | None = None
    accuracy: ClassVar[str]
    threshold: float = 0.5
    targets: ClassVar[str] = "any"
    parameter: float = 0.0

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if cls.names and cls.kernel not in LOSSES and cls.kernel != "python":  # those of fastnn.custom
            raise ImportError(f"{cls.__name__}: add L({cls.kernel}, ...) to csrc/registry.h and build again")
        if cls.names and cls.kernel in LOSSES:
            ALIASES["loss"].update(dict.fromkeys(cls.names, cls.kernel))

    @property
    def takes_labels(self) -> bool:
        """Whether targets may be class labels."""
        return bool(LOSS_TARGETS[self.kernel] == "C")

    def smoothing(self, outputs: int) -> tuple[float, float]:
        """(keep, floor) for a model of so many outputs."""
        return 1.0, 0.0

    def formula(self, p: NDArray[np.float64], t: NDArray[np.float64]) -> NDArray[np.float64]:
        """The loss of each row, for dense targets (smoothed already), in float64 NumPy."""
        raise NotImplementedError


class _Crossentropy(Loss):
    """from_logits: predictions are scores, not probabilities: the last layer is linear, and softmax or sigmoid is part
    of the loss, which no prediction can then make infinite or clipped. label_smoothing: the share of each target that
    is spread evenly over the classes (Szegedy et al. 2016)."""

    targets = "probabilities"

    def __init__(self, *, from_logits: bool = False, label_smoothing: float = 0.0) -> None:
        if not isinstance(from_logits, (bool, np.bool_)):
            raise TypeError(f"from_logits: expected True or False, got {from_logits!r}")
        self.from_logits = bool(from_logits)
        self.label_smoothing = _number("label_smoothing", label_smoothing)
        if not 0 <= self.label_smoothing < 1:
            raise ValueError(f"label_smoothing: expected a share of at least 0 and below 1, got {label_smoothing!r}")
        if self.from_logits:
            self.kernel, self.merges_with, self.threshold = f"{self.kernel}_logits", None, 0.0

    def config(self) -> dict[str, Any]:
        return {"from_logits": self.from_logits, "label_smoothing": self.label_smoothing}


class CategoricalCrossentropy(_Crossentropy):
    """-sum over classes of t ln p; derivative by p -t / p. Targets: integer labels (rows,) or probabilities (rows, n),
    one-hot for instance.

    from_logits: p = softmax of the predictions, by log-sum-exp. label_smoothing: t becomes t (1 - s) + s / n.
    Source: the book, chapters 5 and 9 (merged with softmax: the gradient by the logits is p - t).
    """

    names = ("categorical_crossentropy", "cce", "sparse_categorical_crossentropy")
    kernel = "categorical_crossentropy"
    merges_with = "softmax"
    accuracy = "categorical"

    def smoothing(self, outputs: int) -> tuple[float, float]:
        return 1 - self.label_smoothing, self.label_smoothing / outputs

    def formula(self, p: NDArray[np.float64], t: NDArray[np.float64]) -> NDArray[np.float64]:
        if not self.from_logits:
            return -(t * np.log(np.clip(p, CLIP, 1 - CLIP))).sum(axis=1)
        z = p - p.max(axis=1, keepdims=True)
        return -(t * (z - np.log(np.exp(z).sum(axis=1, keepdims=True)))).sum(axis=1)


class BinaryCrossentropy(_Crossentropy):
    """Mean over outputs of -(t ln p + (1 - t) ln(1 - p)), each output a yes or no of its own; derivative by p
    ((1 - t) / (1 - p) - t / p) / n. Targets in [0, 1].

    One output is one question, several are many labels at once. from_logits: p = sigmoid of the predictions.
    label_smoothing: t becomes t (1 - s) + s / 2.
    Source: the book, chapter 16 (merged with sigmoid: the gradient by its input is p - t).
    """

    names = ("binary_crossentropy", "bce")
    kernel = "binary_crossentropy"
    merges_with = "sigmoid"
    accuracy = "binary"

    def smoothing(self, outputs: int) -> tuple[float, float]:
        return 1 - self.label_smoothing, self.label_smoothing / 2

    def formula(self, p: NDArray[np.float64], t: NDArray[np.float64]) -> NDArray[np.float64]:
        if self.from_logits:
            return (np.maximum(p, 0) - t * p + np.log1p(np.exp(-np.abs(p)))).mean(axis=1)
        q = np.clip(p, CLIP, 1 - CLIP)
        return -(t * np.log(q) + (1 - t) * np.log(1 - q)).mean(axis=1)


class KLDivergence(Loss):
    """Sum over classes of t ln(t / p), both clipped alike: 0 where the distributions are equal; derivative by p -t / p.
    Targets (rows, n) in [0, 1], each row adding up to 1. Source: Kullback and Leibler 1951 (merged with softmax,
    gradient p - t)."""

    names = ("kl_divergence", "kld", "kullback_leibler_divergence")
    kernel = "kl_divergence"
    merges_with = "softmax"
    accuracy = "categorical"
    targets = "probabilities"

    def formula(self, p: NDArray[np.float64], t: NDArray[np.float64]) -> NDArray[np.float64]:
        return (t * np.log(np.clip(t, CLIP, 1 - CLIP) / np.clip(p, CLIP, 1 - CLIP))).sum(axis=1)


class MeanSquaredError(Loss):
    """Mean over outputs of (p - t)^2; derivative by p 2 (p - t) / n. Source: the book, chapter 17."""

    names = ("mean_squared_error", "mse")
    kernel = "mean_squared_error"
    accuracy = "regression"

    def formula(self, p: NDArray[np.float64], t: NDArray[np.float64]) -> NDArray[np.float64]:
        return ((p - t) ** 2).mean(axis=1)


class MeanAbsoluteError(Loss):
    """Mean over outputs of |p - t|; derivative by p sign(p - t) / n, 0 where they meet. Source: the book, chapter
    17."""

    names = ("mean_absolute_error", "mae")
    kernel = "mean_absolute_error"
    accuracy = "regression"

    def formula(self, p: NDArray[np.float64], t: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.abs(p - t).mean(axis=1)


class Huber(Loss):
    """Mean over outputs of d^2 / 2 where |d| <= delta, else delta (|d| - delta / 2), d = p - t: a squared error that
    far targets do not rule. Derivative by p: d within delta, else delta sign(d), over n. Source: Huber 1964."""

    names = ("huber",)
    kernel = "huber"
    accuracy = "regression"

    def __init__(self, delta: float = LOSS_PARAMETER["huber"]) -> None:
        self.delta = self.parameter = _number("delta", delta)
        if not self.delta > 0:
            raise ValueError(f"delta: expected a number above 0, got {delta!r}")

    def config(self) -> dict[str, Any]:
        return {"delta": self.delta}

    def formula(self, p: NDArray[np.float64], t: NDArray[np.float64]) -> NDArray[np.float64]:
        d = np.abs(p - t)
        return np.where(d <= self.delta, d**2 / 2, self.delta * (d - self.delta / 2)).mean(axis=1)


class LogCosh(Loss):
    """Mean over outputs of ln cosh d, d = p - t: d^2 / 2 near 0, |d| - ln 2 far away, and smooth between. Derivative by
    p: tanh(d) / n. Source: Green 1990."""

    names = ("log_cosh", "logcosh")
    kernel = "log_cosh"
    accuracy = "regression"

    def formula(self, p: NDArray[np.float64], t: NDArray[np.float64]) -> NDArray[np.float64]:
        d = np.abs(p - t)
        return (d + np.log1p(np.exp(-2 * d)) - math.log(2)).mean(axis=1)


class Quantile(Loss):
    """Mean over outputs of q (t - p) where t > p, else (1 - q) (p - t), also called pinball loss: the prediction
    becomes the q-quantile of the targets. Derivative by p: -q where t > p, 1 - q where t < p, 0 where they meet, over
    n. Source: Koenker and Bassett 1978."""

    names = ("quantile", "pinball")
    kernel = "quantile"
    accuracy = "regression"

    def __init__(self, q: float = LOSS_PARAMETER["quantile"]) -> None:
        self.q = self.parameter = _number("q", q)
        if not 0 < self.q < 1:
            raise ValueError(f"q: expected a quantile above 0 and below 1, got {q!r}")

    def config(self) -> dict[str, Any]:
        return {"q": self.q}

    def formula(self, p: NDArray[np.float64], t: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.maximum(self.q * (t - p), (1 - self.q) * (p - t)).mean(axis=1)


class Poisson(Loss):
    """Mean over outputs of p - t ln p, p being a rate (above 0, as of Exponential or Softplus) and t a count. The rate
    is clipped to 1e-7 from below in the logarithm. Derivative by p: (1 - t / p) / n. Source: Nelder and Wedderburn
    1972."""

    names = ("poisson",)
    kernel = "poisson"
    accuracy = "regression"

    def formula(self, p: NDArray[np.float64], t: NDArray[np.float64]) -> NDArray[np.float64]:
        return (p - t * np.log(np.maximum(p, CLIP))).mean(axis=1)


class _Margin(Loss):
    """Targets -1 and 1; a model also takes 0 and 1, and reads 0 as -1. Predictions above 0 are a yes."""

    accuracy = "binary"
    threshold = 0.0
    targets = "signs"


class Hinge(_Margin):
    """Mean over outputs of max(1 - t p, 0); derivative by p -t / n where t p < 1, else 0. Targets -1 and 1 (or 0 and
    1). Source: Cortes and Vapnik 1995."""

    names = ("hinge",)
    kernel = "hinge"

    def formula(self, p: NDArray[np.float64], t: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.maximum(1 - t * p, 0).mean(axis=1)


class SquaredHinge(_Margin):
    """Mean over outputs of max(1 - t p, 0)^2; derivative by p -2 t max(1 - t p, 0) / n. Targets -1 and 1 (or 0 and 1).
    Source: Lee and Lin 2013."""

    names = ("squared_hinge",)
    kernel = "squared_hinge"

    def formula(self, p: NDArray[np.float64], t: NDArray[np.float64]) -> NDArray[np.float64]:
        return (np.maximum(1 - t * p, 0) ** 2).mean(axis=1)


class CategoricalHinge(Loss):
    """max(1 + (largest p of the wrong classes, at least 0) - (p of the right one), 0); where that is above 0,
    derivative 1 by the largest wrong p if above 0, and -1 by the right one. Targets: integer labels or one-hot rows.
    Source: Crammer and Singer 2001, in Keras's form."""

    names = ("categorical_hinge",)
    kernel = "categorical_hinge"
    accuracy = "categorical"
    targets = "probabilities"

    def formula(self, p: NDArray[np.float64], t: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.maximum(1 + ((1 - t) * p).max(axis=1) - (t * p).sum(axis=1), 0)


def _number(name: str, value: float) -> float:
    if isinstance(value, (bool, str)) or not math.isfinite(number := float(value)):
        raise ValueError(f"{name}: expected a number, got {value!r}")
    return number
