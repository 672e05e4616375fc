"""The classes that a user's labels or scores stand for, as numbers."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn import _checks
from fastnn.kernels.metrics import argmax_rows

if TYPE_CHECKING:
    from numpy.typing import NDArray


def encoded(y_true: Any, y_pred: Any, labels: Any, threshold: float) -> tuple[Any, Any, NDArray[Any]]:
    """(true, predicted) as int32 numbers of classes, -1 for none of them, and the classes: labels, or all there are."""
    threshold = _checks.number("threshold", threshold, -math.inf)
    true, outputs_t = _classes("y_true", y_true, None)
    predicted, outputs_p = _classes("y_pred", y_pred, threshold)
    if len(true) != len(predicted):
        raise ValueError(f"y_pred: expected {len(true)} rows, as many as y_true, got {len(predicted)}")
    if _family(true) != _family(predicted):
        beside, got = _kind(true, outputs_t), _kind(predicted, outputs_p)
        hint = "; predict_labels gives labels" if outputs_p else ""
        raise ValueError(f"y_pred: expected labels of y_true's kind, got {got} beside {beside}{hint}")
    whole = true.dtype.kind in "iu" and predicted.dtype.kind in "iu"
    if labels is None and whole:
        low, high = min(true.min(), predicted.min()), max(true.max(), predicted.max())
        outputs = max(outputs_t, outputs_p)
        if low >= 0 and high < max(outputs, 4 * len(true) + 64, 256) and high < 1 << 20:
            return _small(true, predicted, outputs, int(high))
    known = np.unique(np.concatenate([true, predicted])) if labels is None else wanted_classes(labels, true)
    if labels is not None and len(np.unique(known)) != len(known):
        raise ValueError(f"labels: expected different classes, got {labels!r:.80}")
    return _numbers(true, known), _numbers(predicted, known), known


def wanted_classes(labels: Any, among: NDArray[Any]) -> NDArray[Any]:
    """A user's ``labels``: classes of the kind of those in ``among``."""
    known = np.asarray(labels)
    if known.ndim != 1 or not len(known):
        raise ValueError(f"labels: expected a list of classes, at least one, got {labels!r:.80}")
    known = _labels("labels", labels)
    if _family(known) != _family(among):
        raise ValueError(f"labels: expected classes of y_true's kind, got {_kind(known)} beside {_kind(among)}")
    return known


def _family(a: NDArray[Any]) -> str:
    """What never equals what is of another: text, bytes, numbers."""
    return a.dtype.kind if a.dtype.kind in "US" else "i"


def _kind(a: NDArray[Any], outputs: int = 0) -> str:
    named = {"U": "text", "S": "bytes"}.get(a.dtype.kind)
    return named or (f"scores of {outputs} columns" if outputs else "numbers")


def _small(true: Any, predicted: Any, outputs: int, high: int) -> tuple[Any, Any, NDArray[Any]]:
    """Classes that are small whole numbers already: no sorting."""
    true, predicted = (np.ascontiguousarray(a, np.int32) for a in (true, predicted))
    if outputs:
        return true, predicted, np.arange(max(outputs, high + 1))
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
    a = np.asarray(value)
    if a.ndim == 2 and a.shape[1] > 1 and len(a) and a.dtype.kind in "fiub":
        kind = np.float32 if a.dtype == np.float32 else np.float64
        return argmax_rows(np.ascontiguousarray(a, kind)), a.shape[1]
    if a.ndim == 2 and a.shape[1] == 1 and a.dtype.kind == "f" and threshold is not None and len(a):
        return (a[:, 0] > threshold).astype(np.int32), 2
    return _labels(name, value), 0


def _labels(name: str, value: Any) -> NDArray[Any]:
    """Labels (rows,) or (rows, 1) as (rows,) integers, text or bytes."""
    given = a = np.asarray(value)
    if a.ndim == 2 and a.shape[1] == 1:
        a = a.reshape(-1)
    if a.ndim == 1 and a.dtype.kind == "O" and all(isinstance(label, str) for label in a):
        a = a.astype(str)  # as a column of a data frame has them
    if a.ndim == 1 and a.dtype.kind == "f" and (a == np.trunc(a)).all() and np.abs(a).max(initial=0) < 2**53:
        a = a.astype(np.int64)
    if a.ndim != 1 or not len(a) or a.dtype.kind not in "iubUS":
        scores = "" if name == "labels" else ", or scores (rows, classes)"
        raise ValueError(
            f"{name}: expected labels (rows,), integers or text{scores}, and at least one row; got {given.dtype} of "
            f"shape {given.shape}"
        )
    if a.dtype.kind == "U" and isinstance(value, (list, tuple)) and any(isinstance(label, bytes) for label in value):
        raise ValueError(f"{name}: expected labels of one kind, got bytes beside text")  # NumPy would make text of both
    return a.astype(np.int32) if a.dtype.kind == "b" else a
