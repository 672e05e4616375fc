"""Accuracies: the share of predictions that are right, counted natively while training runs."""

from __future__ import annotations

import math
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from fastnn.base import Registered

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Accuracy(Registered):
    """``kernel``: its name in csrc/registry.h."""

    kind = "accuracy"
    kernel: ClassVar[str]

    @staticmethod
    def right(p: NDArray[np.float64], t: NDArray[np.float64], precision: float) -> NDArray[np.bool_]:
        """Which are right, for dense targets, in NumPy."""
        raise NotImplementedError


@cache
def accuracy_named(name: str) -> Accuracy:
    """The accuracy of a name, one for all: it has no state, and each step asks for it several times."""
    return Accuracy.resolve(name)


class CategoricalAccuracy(Accuracy):
    """A row is right where the largest prediction (the first of equals) is the target's class. The book, chapter 5."""

    names = ("categorical",)
    kernel = "categorical"

    @staticmethod
    def right(p: NDArray[np.float64], t: NDArray[np.float64], precision: float) -> NDArray[np.bool_]:
        return p.argmax(axis=1) == t.argmax(axis=1)


class BinaryAccuracy(Accuracy):
    """An output is right where p and its target are both a yes or both not: above 0.5 (the book, chapter 16), or above
    0 where the loss takes scores."""

    names = ("binary",)
    kernel = "binary"

    @staticmethod
    def right(p: NDArray[np.float64], t: NDArray[np.float64], precision: float) -> NDArray[np.bool_]:
        return (p > 0.5) == (t > 0.5)


class RegressionAccuracy(Accuracy):
    """An output is right where it is within std(y) / 250 of its target, y being the training targets. The book, ch.
    17."""

    names = ("regression",)
    kernel = "regression"

    @staticmethod
    def right(p: NDArray[np.float64], t: NDArray[np.float64], precision: float) -> NDArray[np.bool_]:
        return np.abs(p - t) < precision


REGRESSION_SHARE = 250.0
CHUNK = 1 << 20  # elements looked at together


def regression_precision(y: NDArray[Any]) -> float:
    """The book's precision for regression accuracy: the standard deviation of the targets (rows, outputs) over 250. In
    pieces: they may be memory-mapped, and more than fits into memory as float64."""
    rows = max(CHUNK // max(y.shape[1], 1), 1)
    if len(y) <= rows:
        return float(np.std(y, dtype=np.float64) / REGRESSION_SHARE)
    pieces = [y[start : start + rows] for start in range(0, len(y), rows)]
    mean = sum(float(piece.sum(dtype=np.float64)) for piece in pieces) / y.size
    squares = sum(float(np.square(np.subtract(piece, mean, dtype=np.float64)).sum()) for piece in pieces)
    return math.sqrt(squares / y.size) / REGRESSION_SHARE
