"""Accuracies: the share of predictions that are right, counted natively while training runs; and metrics of one's
own, functions in Python that are called after each epoch."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

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


Metric: TypeAlias = "Callable[[NDArray[Any], NDArray[Any]], float]"


def by_name(metrics: Any, taken: Iterable[str]) -> dict[str, Metric]:
    """Metrics of one's own by the name of their function: ``f(y_true, y_pred)`` gives a number.

    TypeError for what cannot be called, ValueError for a name that is taken or used twice.
    """
    found: dict[str, Metric] = {}
    for i, metric in enumerate(metrics):
        name = getattr(metric, "__name__", type(metric).__name__)
        if not callable(metric) or isinstance(metric, type):
            raise TypeError(f"metrics[{i}]: expected a function of (y_true, y_pred), got {metric!r}")
        if name in taken or name in found or not name.isidentifier():
            raise ValueError(f"metrics[{i}]: {name!r} cannot be its name in the history: give the function another")
        found[name] = metric
    return found


def measure(name: str, metric: Metric, y_true: NDArray[Any], y_pred: NDArray[Any]) -> float:
    """The metric's value, checked; what it raises says which it was."""
    try:
        value = np.asarray(metric(y_true, y_pred))
        if value.shape or value.dtype.kind not in "fiub":
            raise TypeError(f"metric {name}: expected a number, got {value.dtype} of shape {value.shape}")
    except BaseException as error:
        error.add_note(f"in the metric {name}")
        raise
    return float(value)


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
    squares = sum(float(np.square(piece - mean, dtype=np.float64).sum()) for piece in pieces)
    return math.sqrt(squares / y.size) / REGRESSION_SHARE
