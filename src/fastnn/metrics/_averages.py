"""The formulas of metrics, from what was counted, in float64. Where a share is of nothing it is 0.

Sums over classes are exact before they are rounded (``math.fsum``), so that they are the same on every machine.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from fastnn.engine.record import Record
from fastnn.kernels.metrics import pairs_in_order

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats: TypeAlias = NDArray[np.float64]

AVERAGES = ("binary", "macro", "micro", "weighted", None)


class Counts(Record):
    """each: (3, classes), of each class the rows of it that were found, those predicted to be of it, and those of it;
    and how many rows there are.

    always: which belong to a macro average whatever was counted of them: all (True) where the columns are questions of
    their own (multi-label) or classes that were asked for, and those of which every row has the weight 0.
    """

    each: Floats
    rows: float
    always: bool | NDArray[np.bool_] = False

    @classmethod
    def of(cls, counts: NDArray[Any], rows: float, many: bool = False) -> Counts:
        """Of (classes, 3) counts. One column is a yes or no: classes 0 and 1. many: the columns are questions."""
        each = counts.T.astype(np.float64)
        if len(counts) > 1:
            return cls(each, float(rows), many)
        found, predicted, actual = each[:, 0]
        no = [rows - predicted - actual + found, rows - predicted, rows - actual]
        return cls(np.array([no, each[:, 0]]).T, float(rows))

    @classmethod
    def of_confusion(cls, matrix: NDArray[Any], always: bool | NDArray[np.bool_] = False) -> Counts:
        """Of a confusion matrix, true classes in rows."""
        each = np.array([matrix.diagonal(), matrix.sum(axis=0), matrix.sum(axis=1)], np.float64)
        return cls(each, float(matrix.sum(dtype=np.float64)), always)

    def occurring(self) -> NDArray[np.bool_]:
        """The classes that a macro average is over: those that were there or predicted; of questions all."""
        here: NDArray[np.bool_] = (self.each[1] + self.each[2] > 0) | self.always
        return here


def ratio(a: Any, b: Any) -> Floats:
    """a / b, 0 where b is 0."""
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    return np.divide(a, b, out=np.zeros(np.broadcast_shapes(a.shape, b.shape)), where=b != 0)


def precision(found: Any, predicted: Any, actual: Any) -> Floats:
    """found / predicted."""
    return ratio(found, predicted)


def recall(found: Any, predicted: Any, actual: Any) -> Floats:
    """found / actual."""
    return ratio(found, actual)


def f1(found: Any, predicted: Any, actual: Any) -> Floats:
    """2 found / (predicted + actual), the harmonic mean of precision and recall. Van Rijsbergen 1979, chapter 7."""
    return ratio(2.0 * np.asarray(found), np.asarray(predicted) + np.asarray(actual))


Score: TypeAlias = Callable[[Any, Any, Any], "Floats"]


def mean(values: Any) -> float:
    """The mean, NaN of nothing."""
    return math.fsum(values) / len(values) if len(values) else math.nan


def averaged(score: Score, counts: Counts, average: str | None) -> Floats:
    """One number for an average, one for each class where that is None."""
    each = score(*counts.each)
    if average is None:
        return each
    if average == "binary":
        return each[1]
    if average == "micro":
        return score(*(math.fsum(part) for part in counts.each))
    if average == "macro":
        return np.float64(mean(each[counts.occurring()]))  # type: ignore[return-value]
    total = math.fsum(counts.each[2])
    return ratio(math.fsum(each * counts.each[2]), total)


def check_average(where: str, average: Any, known: tuple[str | None, ...] = AVERAGES) -> str | None:
    if average not in known:
        raise ValueError(f"{where}average: expected {', '.join(map(repr, known))}, got {average!r}")
    chosen: str | None = average
    return chosen


def balanced_accuracy(counts: Counts) -> float:
    """The mean recall of the classes that occur. Brodersen et al. 2010."""
    return mean(recall(*counts.each)[counts.each[2] > 0])


def matthews(counts: Counts) -> float:
    """The correlation of true and predicted classes; 0 where either is only one. Gorodkin 2004."""
    found, predicted, actual = counts.each
    rows = counts.rows
    both = math.fsum(found) * rows - math.fsum(predicted * actual)
    spread = (rows**2 - math.fsum(predicted**2)) * (rows**2 - math.fsum(actual**2))
    return both / math.sqrt(spread) if spread > 0 else 0.0


def auc(scores: NDArray[Any], yes: NDArray[np.bool_], weights: Floats | None = None) -> float:
    """The share of pairs of a yes and a no in which the yes has the larger score, equals counting half: the area under
    the ROC curve (Hanley and McNeil 1982). NaN where there is no yes, no no, or a NaN among the scores."""
    if weights is not None:
        return math.nan if np.isnan(scores).any() else _weighted_auc(scores, yes, weights)
    pairs, ups = pairs_in_order(scores, yes.view(np.uint8))
    all_pairs = ups * (len(scores) - ups)
    return pairs / (2 * all_pairs) if pairs >= 0 and all_pairs else math.nan


def _weighted_auc(scores: NDArray[Any], yes: NDArray[np.bool_], weights: Floats) -> float:
    """The same where each pair counts the product of its weights."""
    order = np.argsort(scores, kind="stable")
    scores, yes, weights = scores[order], yes[order], weights[order]
    ups, downs = np.where(yes, weights, 0.0), np.where(yes, 0.0, weights)
    up, down = math.fsum(ups), math.fsum(downs)
    if not up or not down:
        return math.nan
    starts = np.flatnonzero(np.append(True, scores[1:] != scores[:-1]))  # of rows with one score
    ups, downs = np.add.reduceat(ups, starts), np.add.reduceat(downs, starts)
    below = np.cumsum(downs) - 0.5 * downs
    return math.fsum(ups * below) / (up * down)


def column_aucs(scores: NDArray[Any], targets: NDArray[Any], weights: Floats | None = None) -> tuple[Floats, Floats]:
    """The area for each column against the rest, and the weight of its yeses. targets: classes (rows,) or answers
    (rows, columns). Two exclusive classes are one question, that of the second."""
    outputs = scores.shape[1]
    exclusive = targets.ndim == 1
    columns = range(1, 2) if exclusive and outputs == 2 else range(outputs)
    areas, sizes = [], []
    for j in columns:
        yes = targets == j if exclusive else targets[:, j] != 0
        areas.append(auc(scores[:, j], yes, weights))
        sizes.append(float(yes.sum()) if weights is None else math.fsum(weights[yes]))
    return np.array(areas), np.array(sizes)


def averaged_auc(areas: Floats, sizes: Floats, average: str | None) -> Floats:
    if average is None:
        return areas
    if average == "weighted":
        return ratio(math.fsum(areas * sizes), math.fsum(sizes))
    return np.float64(mean(areas))  # type: ignore[return-value]
