"""Losses: what training makes small. p = predictions (rows, n), t = targets.

Each class names its kernel (csrc/kernels/losses.h) and carries its formula in float64 NumPy. The loss of a batch is the
mean over its rows. Probabilities are clipped to [1e-7, 1 - 1e-7] before a logarithm or a division, as in the book.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from fastnn._core import LOSS_TARGETS, LOSSES
from fastnn.base import Registered

if TYPE_CHECKING:
    from numpy.typing import NDArray

CLIP = 1e-7


class Loss(Registered):
    """``merges_with``: the activation whose gradient is merged with the loss's when it is the last layer, which is
    exact where the two apart would divide by a probability near 0. ``accuracy``: the metric that goes with it by
    default."""

    kind = "loss"
    kernel: ClassVar[str]
    merges_with: ClassVar[str | None] = None
    accuracy: ClassVar[str]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if cls.kernel not in LOSSES and cls.kernel != "python":  # those of fastnn.custom
            raise ImportError(f"{cls.__name__}: add L({cls.kernel}, ...) to csrc/registry.h and build again")

    @property
    def takes_labels(self) -> bool:
        """Whether targets may be class labels."""
        return bool(LOSS_TARGETS[self.kernel] == "C")

    @staticmethod
    def formula(p: NDArray[np.float64], t: NDArray[np.float64]) -> NDArray[np.float64]:
        """The loss of each row, for dense targets, in float64 NumPy."""
        raise NotImplementedError


class CategoricalCrossentropy(Loss):
    """-sum over classes of t ln p. Targets: integer labels (rows,) or probabilities (rows, n), one-hot for instance.

    Source: the book, chapters 5 and 9 (merged with softmax: the gradient by the logits is p - t).
    """

    names = ("categorical_crossentropy", "cce", "sparse_categorical_crossentropy")
    kernel = "categorical_crossentropy"
    merges_with = "softmax"
    accuracy = "categorical"

    @staticmethod
    def formula(p: NDArray[np.float64], t: NDArray[np.float64]) -> NDArray[np.float64]:
        return -(t * np.log(np.clip(p, CLIP, 1 - CLIP))).sum(axis=1)


class BinaryCrossentropy(Loss):
    """Mean over outputs of -(t ln p + (1 - t) ln(1 - p)), each output a yes or no of its own. Targets in [0, 1].

    Source: the book, chapter 16 (merged with sigmoid: the gradient by its input is p - t).
    """

    names = ("binary_crossentropy", "bce")
    kernel = "binary_crossentropy"
    merges_with = "sigmoid"
    accuracy = "binary"

    @staticmethod
    def formula(p: NDArray[np.float64], t: NDArray[np.float64]) -> NDArray[np.float64]:
        q = np.clip(p, CLIP, 1 - CLIP)
        return -(t * np.log(q) + (1 - t) * np.log(1 - q)).mean(axis=1)


class MeanSquaredError(Loss):
    """Mean over outputs of (p - t)^2. Source: the book, chapter 17."""

    names = ("mean_squared_error", "mse")
    kernel = "mean_squared_error"
    accuracy = "regression"

    @staticmethod
    def formula(p: NDArray[np.float64], t: NDArray[np.float64]) -> NDArray[np.float64]:
        return ((p - t) ** 2).mean(axis=1)


class MeanAbsoluteError(Loss):
    """Mean over outputs of |p - t|, with derivative 0 where they meet. Source: the book, chapter 17."""

    names = ("mean_absolute_error", "mae")
    kernel = "mean_absolute_error"
    accuracy = "regression"

    @staticmethod
    def formula(p: NDArray[np.float64], t: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.abs(p - t).mean(axis=1)
