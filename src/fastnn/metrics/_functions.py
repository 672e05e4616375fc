"""Metrics of classifications on arrays, by scikit-learn's names and conventions."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn import _checks
from fastnn._dlpack import as_ndarray
from fastnn.kernels import metrics as kernels
from fastnn.metrics import _averages
from fastnn.metrics._averages import Counts, check_average, column_aucs
from fastnn.metrics._classes import encoded, wanted_classes
from fastnn.metrics._regression import columns, weights

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

MOST_CLASSES = 1 << 14  # of a confusion matrix: 2 GiB


def confusion_matrix(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    *,
    labels: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    normalize: str | None = None,
    threshold: float = 0.5,
) -> NDArray[Any]:
    """(classes, classes): how often each true class (a row) was taken for each predicted one (a column).

    y_true: labels (rows,) or (rows, 1), integers or text, or (rows, classes) one-hot. y_pred: the same, or the scores
    of ``Model.predict``: (rows, classes), of which the largest counts, or floats (rows, 1): class 1 above threshold
    (beside labels of -1 and 1 the rest are -1).
    labels: the classes, in the order wanted; rows of others are left out; by default all that occur, sorted, and where
    scores are given a class for each column. sample_weight: (rows,), what each row counts; the matrix is then float64.
    normalize: "true" divides each row by its sum, "pred" each column, "all" the whole; 0 where that is of nothing.

    Raises ValueError for arrays that do not fit, or have no rows.
    """
    true, predicted, classes = encoded(y_true, y_pred, labels, threshold)
    return normalized(counted(true, predicted, len(classes), sample_weight), normalize)


def normalized(matrix: NDArray[Any], normalize: str | None) -> NDArray[Any]:
    """Shares of each row ("true"), of each column ("pred") or of all, as ``confusion_matrix`` gives them."""
    if normalize is None:
        return matrix
    if normalize not in ("true", "pred", "all"):
        raise ValueError(f"normalize: expected 'true', 'pred', 'all' or None, got {normalize!r}")
    whole = {"true": matrix.sum(1, keepdims=True), "pred": matrix.sum(0, keepdims=True), "all": matrix.sum()}
    return _averages.ratio(matrix, whole[normalize])


def accuracy_score(
    y_true: ArrayLike, y_pred: ArrayLike, *, sample_weight: ArrayLike | None = None, threshold: float = 0.5
) -> float:
    """The share of rows whose class is right. Arguments as in ``confusion_matrix``."""
    matrix = confusion_matrix(y_true, y_pred, sample_weight=sample_weight, threshold=threshold)
    return float(matrix.trace() / matrix.sum())


def precision_score(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    *,
    average: str | None = "binary",
    labels: ArrayLike | None = None,
    multilabel: bool = False,
    threshold: float = 0.5,
    sample_weight: ArrayLike | None = None,
) -> Any:
    """found / predicted, of class 1 or averaged over classes; 0 where nothing is predicted.

    average: "binary", of the second of two classes; "macro", the mean over the classes; "micro", of their counts
    together; "weighted" by the rows of each; None gives an array, a number for each class. multilabel: the columns of
    y_true and y_pred (rows, outputs) are questions of their own, a yes above threshold. labels: the classes to score,
    in the order wanted; rows of others still count, as misses and as false alarms. sample_weight, and what y_true and
    y_pred may be: as in ``confusion_matrix``.
    """
    return _score(_averages.precision, y_true, y_pred, average, labels, multilabel, threshold, sample_weight)


def recall_score(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    *,
    average: str | None = "binary",
    labels: ArrayLike | None = None,
    multilabel: bool = False,
    threshold: float = 0.5,
    sample_weight: ArrayLike | None = None,
) -> Any:
    """found / actual, of class 1 or averaged over classes; 0 where there are none. Arguments: ``precision_score``."""
    return _score(_averages.recall, y_true, y_pred, average, labels, multilabel, threshold, sample_weight)


def f1_score(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    *,
    average: str | None = "binary",
    labels: ArrayLike | None = None,
    multilabel: bool = False,
    threshold: float = 0.5,
    sample_weight: ArrayLike | None = None,
) -> Any:
    """2 found / (predicted + actual), the harmonic mean of precision and recall, of class 1 or averaged over classes; 0
    where that is of nothing. Arguments: ``precision_score``."""
    return _score(_averages.f1, y_true, y_pred, average, labels, multilabel, threshold, sample_weight)


def roc_auc_score(
    y_true: ArrayLike,
    y_score: ArrayLike,
    *,
    average: str | None = "macro",
    sample_weight: ArrayLike | None = None,
) -> Any:
    """The area under the ROC curve: the share of pairs of a yes and a no whose scores are in the right order, equals
    counting half (Hanley and McNeil 1982).

    y_true: two values (rows,), the larger being the yes, with y_score (rows,) or (rows, 1), or (rows, 2) of which the
    second column counts; class labels 0 .. classes - 1 (rows,) with y_score (rows, classes), each class against the
    rest; or answers of 0 and 1 (rows, outputs), multi-label or one-hot, a question each, with y_score of that shape.
    average over the columns: "macro", "weighted" by their yeses, None for an array. sample_weight: (rows,).

    NaN where a class has no rows or has all, and where a score is NaN. ValueError for arrays that do not fit.
    """
    check_average("", average, ("macro", "weighted", None))
    given = _checks.as_array("y_score", y_score)
    if given.dtype.kind != "f" or given.dtype.itemsize not in (4, 8):
        given = given.astype(np.float64)
    scores = given.reshape(-1, 1) if given.ndim == 1 else given
    true = np.asarray(as_ndarray("y_true", y_true))
    if scores.ndim != 2 or not scores.size or true.shape not in ((len(scores),), (len(scores), 1), scores.shape):
        raise ValueError(
            f"y_score: expected (rows,) or (rows, classes) with y_true (rows,) or of that shape, got y_true "
            f"{true.shape} and y_score {given.shape}"
        )
    w = weights("sample_weight", sample_weight, len(scores))
    outputs = scores.shape[1]
    if true.ndim == 2 and true.shape[1] > 1:
        return _plain(_averages.averaged_auc(*column_aucs(scores, true, w), average))
    true = true.reshape(-1)
    if outputs <= 2:
        values = _ends(true)
        answers = np.asarray(true == values[-1]) if len(values) == 2 else np.asarray(true == 1)
        if len(values) == 2 and not (answers | (true == values[0])).all():
            several = len(np.unique(true))
            raise ValueError(f"y_true: expected two classes to go with y_score {given.shape}, got {several}")
        scores, true = np.ascontiguousarray(scores[:, -1:]), answers.reshape(-1, 1)
    else:
        true = _checks.as_labels("y_true", true, outputs)
    areas = _averages.averaged_auc(*column_aucs(scores, true, w), average)
    return _plain(areas[0] if outputs <= 2 and average is None else areas)


def top_k_accuracy_score(
    y_true: ArrayLike, y_score: ArrayLike, *, k: int = 2, sample_weight: ArrayLike | None = None
) -> float:
    """The share of rows whose class is among the k with the largest scores; of equal ones the first come first.

    y_true: class labels 0 .. classes - 1 (rows,); y_score: (rows, classes). ValueError for arrays that do not fit.
    """
    scores = columns("y_score", y_score)
    labels = _checks.as_array("y_true", y_true)
    if labels.shape != (len(scores),):
        raise ValueError(f"y_true: expected class labels of shape ({len(scores)},), got {labels.shape}")
    labels = _checks.as_labels("y_true", labels, scores.shape[1])
    k = _checks.whole("k", k, 1)
    w = weights("sample_weight", sample_weight, len(scores))
    if w is None:
        return kernels.top_k_count(scores, labels, k) / len(scores)
    mine, number = scores[np.arange(len(scores)), labels][:, None], np.arange(scores.shape[1])
    before = ((scores > mine) | ((scores == mine) & (number < labels[:, None]))).sum(axis=1)
    return math.fsum(w[(before < k) & (mine[:, 0] == mine[:, 0])]) / math.fsum(w)


def classification_report(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    *,
    labels: ArrayLike | None = None,
    class_names: Sequence[str] = (),
    sample_weight: ArrayLike | None = None,
    threshold: float = 0.5,
    digits: int = 2,
) -> str:
    """A table of precision, recall, F1 and rows of each class, with accuracy and averages. labels: the classes to
    show, as in ``precision_score``; where others occur, the micro average stands in place of the accuracy.
    class_names: what the classes are called. The rest as in ``confusion_matrix``."""
    digits = _checks.whole("digits", digits, 1, 15)
    true, predicted, classes = encoded(y_true, y_pred, None, threshold)
    counts, all_shown = _counted(true, predicted, classes, sample_weight), True
    if labels is not None:
        wanted = wanted_classes(labels, classes)
        all_shown = set(classes[counts.occurring()].tolist()) <= set(wanted.tolist())
        counts, classes = _chosen(counts, classes, wanted), wanted
    names = [str(class_names[i]) if i < len(class_names) else str(c) for i, c in enumerate(classes)]
    scores = (_averages.precision, _averages.recall, _averages.f1)
    sizes = (*counts.each[2], math.fsum(counts.each[2]))
    support = [f"{n:g}" if sample_weight is not None else f"{int(n)}" for n in sizes]
    each = np.stack([score(*counts.each) for score in scores], axis=1)
    rows = [(name, *(f"{v:.{digits}f}" for v in each[i]), support[i]) for i, name in enumerate(names)]
    rows.append(("", "", "", "", ""))
    if all_shown:
        accuracy = _averages.averaged(_averages.recall, counts, "micro")
        rows.append(("accuracy", "", "", f"{float(accuracy):.{digits}f}", support[-1]))
    for average in ("macro", "weighted") if all_shown else ("micro", "macro", "weighted"):
        values = [float(_averages.averaged(score, counts, average)) for score in scores]
        rows.append((f"{average} average", *(f"{v:.{digits}f}" for v in values), support[-1]))
    first = max(len(row[0]) for row in rows)
    width = max(9, digits + 2, *(len(text) for text in support))
    lines = [("", "precision", "recall", "f1", "rows"), ("", "", "", "", ""), *rows]
    return "".join((f"{a:>{first}}" + "".join(f" {b:>{width}}" for b in rest)).rstrip() + "\n" for a, *rest in lines)


def _score(
    score: _averages.Score, y_true: Any, y_pred: Any, average: Any, labels: Any, multilabel: bool, threshold: float,
    sample_weight: Any,
) -> Any:  # fmt: skip
    check_average("", average)
    if multilabel:
        if labels is not None:
            raise ValueError("labels: expected None with multilabel=True, where each column is a question")
        counts = _multilabel(y_true, y_pred, threshold, sample_weight)
        if average == "binary":
            raise ValueError("average: 'binary' is for one question; pass 'macro', 'micro', 'weighted' or None")
    else:
        true, predicted, classes = encoded(y_true, y_pred, None, threshold)
        if average == "binary" and labels is None:
            return _binary(score, true, predicted, classes, sample_weight)
        if average == "binary":
            raise ValueError("labels: expected None with average='binary'")
        counts = _counted(true, predicted, classes, sample_weight)
        if labels is not None:
            counts = _chosen(counts, classes, wanted_classes(labels, classes))
    return _plain(_averages.averaged(score, counts, average))


def _binary(score: _averages.Score, true: Any, predicted: Any, classes: Any, sample_weight: Any) -> float:
    """Of class 1: the second of two. Where there is one class alone it is the yes only if it is called 1."""
    if len(classes) > 2:
        raise ValueError(
            f"average: 'binary' is for two classes, got {len(classes)}: pass 'macro', 'micro', 'weighted' or None"
        )
    counts = Counts.of_confusion(counted(true, predicted, len(classes), sample_weight))
    if len(classes) == 1 and classes[0] != 1:
        return 0.0
    return float(score(*counts.each[:, -1]))


def _counted(true: Any, predicted: Any, classes: Any, sample_weight: Any) -> Counts:
    """The counts of all classes. One of which every row has the weight 0 occurs none the less."""
    here = np.zeros(len(classes), bool)
    here[true] = here[predicted] = True
    return Counts.of_confusion(counted(true, predicted, len(classes), sample_weight), here)


def _chosen(counts: Counts, classes: Any, labels: Any) -> Counts:
    """The counts of these classes, in this order; all of them belong to the macro average."""
    place = {c: i for i, c in enumerate(classes.tolist())}
    at = np.array([place.get(label, -1) for label in labels.tolist()], int)
    return Counts(np.where(at >= 0, counts.each[:, at], 0.0), counts.rows, True)


def _multilabel(y_true: Any, y_pred: Any, threshold: float, sample_weight: Any) -> Counts:
    t, p = columns("y_true", y_true), columns("y_pred", y_pred)
    if t.shape != p.shape:
        raise ValueError(f"y_pred: expected shape {t.shape}, that of y_true, got {p.shape}")
    w = weights("sample_weight", sample_weight, len(t))
    threshold = _checks.number("threshold", threshold, -math.inf)
    if w is None:
        return Counts(kernels.yes_counts(p, t, threshold, 0.5).T.astype(np.float64), float(len(t)), True)
    yes, is_so = p > threshold, t > 0.5
    each = [(part * w[:, None]).sum(axis=0) for part in (yes & is_so, yes, is_so)]
    return Counts(np.array(each), math.fsum(w), True)


def counted(true: NDArray[np.int32], predicted: NDArray[np.int32], classes: int, sample_weight: Any) -> NDArray[Any]:
    """The matrix of rows whose classes are numbers, without those of -1; float64 where they have weights."""
    w = weights("sample_weight", sample_weight, len(true))
    if classes > MOST_CLASSES:
        raise ValueError(f"y_true: at most {MOST_CLASSES} classes, got {classes}")
    here = (true >= 0) & (predicted >= 0)  # rows of classes that are not asked for
    if not here.all():
        true, predicted, w = true[here], predicted[here], None if w is None else w[here]
    if w is None:
        return kernels.confusion(true, predicted, classes)
    return kernels.weighted_confusion(true, predicted, w, classes)


def _ends(a: NDArray[Any]) -> NDArray[Any]:
    """The smallest and the largest value; one where they are equal."""
    if a.dtype.kind not in "fiub":
        return np.unique(a)[[0, -1]] if len(np.unique(a)) > 1 else np.unique(a)
    low, high = a.min(), a.max()
    return np.array([low]) if low == high else np.array([low, high])


def _plain(values: Any) -> Any:
    """A float, or an array for each class."""
    return values if np.ndim(values) else float(values)
