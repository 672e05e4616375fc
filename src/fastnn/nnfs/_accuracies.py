"""The book's accuracies (chapters 16 to 18)."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn.metrics import regression_precision
from fastnn.nnfs._settings import Array


class Accuracy:
    """What the accuracies share. A subclass's ``compare(predictions, y)`` says which predictions are right."""

    accumulated_sum: float = 0
    accumulated_count: int = 0

    def init(self, y: Array) -> None:
        """Look at the targets of the training, where that is needed."""

    def compare(self, predictions: Array, y: Array) -> Array:
        raise NotImplementedError

    def calculate(self, predictions: Array, y: Array) -> Any:
        """The share of predictions that are right."""
        comparisons = self.compare(predictions, y)
        self.accumulated_sum += np.sum(comparisons)
        self.accumulated_count += np.size(comparisons)
        return np.mean(comparisons)

    def calculate_accumulated(self) -> Any:
        """The same for all rows since ``new_pass``."""
        return self.accumulated_sum / self.accumulated_count

    def new_pass(self) -> None:
        self.accumulated_sum, self.accumulated_count = 0, 0


def _side_by_side(predictions: Array, y: Array) -> tuple[Array, Array]:
    """Both as arrays; targets (rows,) of one output as the column (rows, 1) that the predictions are."""
    p, t = np.asarray(predictions), np.asarray(y)
    return p, t.reshape(-1, 1) if t.ndim == 1 and p.shape == (len(t), 1) else t


class Accuracy_Categorical(Accuracy):
    """Right where the predicted class is the target's; binary: where each output's 0 or 1 is."""

    def __init__(self, *, binary: bool = False) -> None:
        self.binary = binary

    def compare(self, predictions: Array, y: Array) -> Array:
        if not self.binary and np.ndim(y) == 2:
            y = np.argmax(y, axis=1)
        predictions, y = _side_by_side(predictions, y)
        return np.asarray(predictions == y)


class Accuracy_Regression(Accuracy):
    """Right where a prediction is within ``precision`` of its target: the targets' standard deviation over 250."""

    def __init__(self) -> None:
        self.precision: float | None = None

    def init(self, y: Array, reinit: bool = False) -> None:
        if self.precision is None or reinit:
            targets = np.asarray(y)
            self.precision = regression_precision(targets if targets.ndim > 1 else targets.reshape(-1, 1))

    def compare(self, predictions: Array, y: Array) -> Array:
        predictions, y = _side_by_side(predictions, y)
        return np.asarray(np.absolute(predictions - y) < self.precision)
