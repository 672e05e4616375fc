"""A confusion matrix over batches as they come."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np

from fastnn import _checks
from fastnn.metrics._classes import encoded
from fastnn.metrics._functions import MOST_CLASSES, counted, normalized

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


class ConfusionMatrix:
    """How often each true class (a row) was taken for each predicted one (a column), over all batches so far: the sum
    of their ``confusion_matrix``.

    classes: their number, for labels 0 .. classes - 1, or their labels, integers or text, in the order wanted.
    threshold: of scores (rows, 1). ValueError for labels that are given twice, and for a batch with others.
    """

    def __init__(self, classes: int | ArrayLike, *, threshold: float = 0.5) -> None:
        if isinstance(classes, (int, np.integer)):
            self.labels: NDArray[Any] = np.arange(_checks.whole("classes", classes, 1, MOST_CLASSES))
        else:
            self.labels = np.array(classes)
            if self.labels.ndim != 1 or not 0 < len(np.unique(self.labels)) == len(self.labels):
                raise ValueError(f"classes: expected a number of classes, or different labels, got {classes!r:.80}")
        self.threshold = _checks.number("threshold", threshold, -np.inf)
        self.reset()

    def reset(self) -> None:
        """As before the first batch."""
        self._counts: NDArray[Any] = np.zeros((len(self.labels), len(self.labels)), np.int64)
        self.rows = 0

    def update(self, y_true: ArrayLike, y_pred: ArrayLike, *, sample_weight: ArrayLike | None = None) -> Self:
        """Count a batch; arguments as of ``confusion_matrix``. Where it raises, nothing of it is counted."""
        true, predicted, _ = encoded(y_true, y_pred, self.labels, self.threshold)
        rows, others = len(true), np.count_nonzero((true < 0) | (predicted < 0))
        if others:
            raise ValueError(f"y_true, y_pred: {others} of {rows} rows have labels that are not in classes")
        self._counts = self._counts + counted(true, predicted, len(self.labels), sample_weight)
        self.rows += rows
        return self

    def result(self, normalize: str | None = None) -> NDArray[Any]:
        """The matrix (classes, classes); normalize as of ``confusion_matrix``."""
        return normalized(self._counts.copy(), normalize)

    @property
    def accuracy(self) -> float:
        """The share of what is right; NaN before the first batch."""
        total = self._counts.sum()
        return float(np.trace(self._counts) / total) if total else float("nan")

    def __repr__(self) -> str:
        return f"ConfusionMatrix({len(self.labels)} classes, {self.rows:,} rows)"
