"""The classes that a user's labels or scores stand for, as numbers."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn import _checks
from fastnn._dlpack import as_ndarray
from fastnn.kernels.metrics import argmax_rows

if TYPE_CHECKING:
    from numpy.typing import NDArray

SIGNS = np.array([-1, 1])


def encoded(y_true: Any, y_pred: Any, labels: Any, threshold: float) -> tuple[Any, Any, NDArray[Any]]:
    """(true, predicted) as int32 numbers of classes, -1 for none of them, and the classes: labels, or all there are.
    Beside scores (rows, 1) a -1 among the true labels says that they are signs, -1 a no and 1 a yes."""
    threshold = _checks.number("threshold", threshold, -math.inf)
    true, outputs_t = _classes("y_true", y_true, None)
    predicted, outputs_p = _classes("y_pred", y_pred, threshold)
    if len(true) != len(predicted):
        raise ValueError(f"y_pred: expected {len(true)} rows, as many as y_true, got {len(predicted)}")
    if _family(true) != _family(predicted):
        beside, got = _kind(true, outputs_t), _kind(predicted, outputs_p)
        hint = "; predict_labels gives labels" if outputs_p else ""
        raise ValueError(f"y_pred: expected labels of y_true's kind, got {got} beside {beside}{hint}")
    signs = outputs_p == 1 and _signs(true)
    if signs:
        predicted = predicted * 2 - 1
    true, predicted = _of_one_type("y_pred", true, predicted)
    if labels is None and not signs and true.dtype.kind in "iu":
        low, high = min(true.min(), predicted.min()), max(true.max(), predicted.max())
        outputs = max(outputs_t, outputs_p)
        if low >= 0 and high < max(outputs, 4 * len(true) + 64, 256) and high < 1 << 20:
            return _small(true, predicted, outputs, int(high))
    if labels is None:
        known = SIGNS if signs else np.unique(np.concatenate([true, predicted]))
    else:
        known, true, predicted = _of_one_type("labels", wanted_classes(labels, true), true, predicted)
    if labels is not None and len(np.unique(known)) != len(known):
        raise ValueError(f"labels: expected different classes, got {labels!r:.80}")
    return _numbers(true, known), _numbers(predicted, known), known


def wanted_classes(labels: Any, among: NDArray[Any]) -> NDArray[Any]:
    """A user's ``labels``: classes of the kind of those in ``among``."""
    known = np.asarray(as_ndarray("labels", labels))
    if known.ndim != 1 or not len(known):
        raise ValueError(f"labels: expected a list of classes, at least one, got {labels!r:.80}")
    known = _labels("labels", labels)
    if _family(known) != _family(among):
        raise ValueError(f"labels: expected classes of y_true's kind, got {_kind(known)} beside {_kind(among)}")
    return known


def _signs(true: NDArray[Any]) -> bool:
    return _family(true) == "i" and bool((true == -1).any() and np.isin(true, SIGNS).all())


def _of_one_type(name: str, *arrays: NDArray[Any]) -> list[NDArray[Any]]:
    """Whole numbers in one type that holds them all: NumPy's for int64 beside uint64 is float64, which does not."""
    if any(a.dtype.kind not in "iu" for a in arrays) or np.result_type(*arrays).kind != "f":
        return list(arrays)
    low, high = min(int(a.min()) for a in arrays), max(int(a.max()) for a in arrays)
    for kind in (np.int64, np.uint64):
        if np.iinfo(kind).min <= low and high <= np.iinfo(kind).max:
            return [a.astype(kind) for a in arrays]
    raise ValueError(f"{name}: expected labels that one type of whole numbers holds, got {low} beside {high}")


def _family(a: NDArray[Any]) -> str:
    """What never equals what is of another: text, bytes, numbers."""
    return a.dtype.kind if a.dtype.kind in "US" else "i"


def _kind(a: NDArray[Any], outputs: int = 0) -> str:
    named = {"U": "text", "S": "bytes"}.get(a.dtype.kind)
    columns = "1 column" if outputs == 1 else f"{outputs} columns"
    return named or (f"scores of {columns}" if outputs else "numbers")


def _small(true: Any, predicted: Any, outputs: int, high: int) -> tuple[Any, Any, NDArray[Any]]:
    """Classes that are small whole numbers already: no sorting."""
    true, predicted = (np.ascontiguousarray(a, np.int32) for a in (true, predicted))
    if outputs:
        return true, predicted, np.arange(max(outputs, 2, high + 1))
    seen = np.zeros(high + 1, bool)
    seen[true] = seen[predicted] = True
    classes = np.flatnonzero(seen)
    if len(classes) == high + 1:
        return true, predicted, classes
    number = np.full(high + 1, -1, np.int32)
    number[classes] = np.arange(len(classes))
    return number[true], number[predicted], classes


def _numbers(values: Any, known: Any) -> NDArray[np.int32]:
    order = np.argsort(known, kind="stable")
    at = np.searchsorted(known[order], values)
    at[at == len(known)] = 0
    numbers: NDArray[np.int32] = np.where(known[order][at] == values, order[at], -1).astype(np.int32)
    return numbers


def _classes(name: str, value: Any, threshold: float | None) -> tuple[NDArray[Any], int]:
    """(class of each row, columns of the scores or 0). threshold: above which floats (rows, 1) are class 1; None where
    they are labels too."""
    value = as_ndarray(name, value)
    a = np.asarray(value)
    if a.ndim == 2 and a.shape[1] > 1 and len(a) and a.dtype.kind in "fiub":
        if threshold is None:
            _need_one_hot(name, a)
        kind = np.float32 if a.dtype == np.float32 else np.float64
        return argmax_rows(np.ascontiguousarray(a, kind)), a.shape[1]
    if a.ndim == 2 and a.shape[1] == 1 and a.dtype.kind == "f" and threshold is not None and len(a):
        return (a[:, 0] > threshold).astype(np.int32), 1
    return _labels(name, value), 0


def _need_one_hot(name: str, a: NDArray[Any]) -> None:
    """ValueError for a row that is not of one class: none is the largest of its numbers, or several are."""
    several = (a == a.max(axis=1, keepdims=True)).sum(axis=1) != 1
    if several.any():
        row = int(np.argmax(several))
        raise ValueError(
            f"{name}: expected rows of one class each, the largest number of the row, got {a[row]!s:.80} at row {row}; "
            f"where the columns are questions of their own, pass multilabel=True to precision_score, recall_score or "
            f"f1_score"
        )


def whole_numbers(a: NDArray[Any]) -> NDArray[Any]:
    """Floats that are all whole numbers, as data frames hold labels, as int64; anything else as it is."""
    if a.ndim == 1 and a.dtype.kind == "f" and (a == np.trunc(a)).all() and np.abs(a).max(initial=0) < 2**53:
        return a.astype(np.int64)
    return a


def _labels(name: str, value: Any) -> NDArray[Any]:
    """Labels (rows,) or (rows, 1) as (rows,) integers, text or bytes."""
    value = as_ndarray(name, value)
    given = a = np.asarray(value)
    if a.ndim == 2 and a.shape[1] == 1:
        a = a.reshape(-1)
    if a.ndim == 1 and a.dtype.kind == "O" and all(isinstance(label, str) for label in a):
        a = a.astype(str)  # as a column of a data frame has them
    a = whole_numbers(a)
    if a.ndim != 1 or not len(a) or a.dtype.kind not in "iubUS":
        scores = "" if name == "labels" else ", or scores (rows, classes)"
        raise ValueError(
            f"{name}: expected labels (rows,), integers or text{scores}, and at least one row; got {given.dtype} of "
            f"shape {given.shape}"
        )
    if a.dtype.kind == "U" and isinstance(value, (list, tuple)) and any(isinstance(label, bytes) for label in value):
        raise ValueError(f"{name}: expected labels of one kind, got bytes beside text")  # NumPy would make text of both
    return a.astype(np.int32) if a.dtype.kind == "b" else a
