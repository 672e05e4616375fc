"""The customs post: every array that a user hands in is checked here, before any size or pointer reaches native code.

Messages name the argument, what came and what was wanted. Nothing is copied that the engine can read as it is: rows of
any stride in the integer and float types of the machine are gathered natively.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, TypeAlias

import numpy as np

from fastnn._dlpack import unmasked
from fastnn._operands import whole as whole
from fastnn.engine.feed import Data
from fastnn.kernels.arrays import all_finite
from fastnn.kernels.losses import labels_of

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]

# rows looked at together by the checks that need a temporary
CHUNK = 1 << 20


def as_array(name: str, value: Any) -> Array:
    """``value`` as an ndarray of a type that the engine gathers; bool, float16 and foreign byte orders are
    converted."""
    if value is None:
        raise TypeError(f"{name}: expected an array, got None")
    try:
        a: Array = np.asarray(unmasked(name, value))
    except ValueError as error:
        raise ValueError(f"{name}: cannot be made an array ({error})") from None
    if a.dtype.kind not in "fiub":
        hint = ": make a sparse matrix an array by .toarray()" if hasattr(value, "toarray") else ""
        raise TypeError(f"{name}: expected real numbers, got dtype {a.dtype}{hint}")
    if a.dtype.kind == "b":
        return a.view(np.uint8)
    if not Data.can_gather(a.dtype):
        return a.astype(
            np.float32
            if a.dtype.itemsize <= 2 and a.dtype.kind == "f"
            else a.dtype.newbyteorder("=")
            if a.dtype.itemsize <= 8
            else np.float64
        )
    return a


def as_rows(name: str, value: Any, width: int | None = None, where: str = "") -> Array:
    """Rows of features: two dimensions, at least one column, ``width`` columns where that is given."""
    a = as_array(name, value)
    if a.ndim != 2:
        hint = ""
        if a.ndim == 1:
            hint = f"; for one row use {name}.reshape(1, -1), for one feature {name}.reshape(-1, 1)"
        elif a.ndim > 2:
            hint = f"; flatten each row with {name}.reshape(len({name}), -1)"
        raise ValueError(f"{name}: expected 2 dimensions (rows, features), got {a.ndim} (shape {a.shape}){hint}")
    if width is not None and a.shape[1] != width:
        raise ValueError(f"{name}: {where}expected input of shape (rows, {width}), got {a.shape}")
    if a.shape[1] == 0:
        raise ValueError(f"{name}: expected at least one feature, got shape {a.shape}")
    return a


def need_rows(name: str, a: Array) -> None:
    if len(a) == 0:
        raise ValueError(f"{name}: there are no rows (shape {a.shape})")


def need_finite(name: str, a: Array) -> None:
    """ValueError with the place of the first NaN or infinity."""
    if a.dtype.kind != "f":
        return
    plain = a.dtype.char in "fd" and a.dtype.isnative and a.flags.c_contiguous and a.flags.aligned
    if plain and all_finite(a.reshape(-1)):
        return
    step = max(CHUNK // max(a.shape[1], 1), 1)
    seen = a[:1] if a.strides[0] == 0 else a  # a broadcast row need be looked at once
    for start in range(0, len(seen), step):
        finite = np.isfinite(seen[start : start + step])
        if not finite.all():
            row, column = (int(i) for i in np.argwhere(~finite)[0])
            raise ValueError(
                f"{name}: {a[start + row, column]} at row {start + row}, column {column}; remove or fill "
                f"such values, or pass check_finite=False"
            )


def as_labels(name: str, a: Array, classes: int) -> Array:
    """Class labels 0 .. classes-1 as contiguous int32."""
    if a.dtype.kind not in "iu":
        hint = f": pass {name}.astype(int)" if a.dtype.kind == "f" and (a == np.trunc(a)).all() else ""
        raise TypeError(f"{name}: class labels must be integers, got dtype {a.dtype}{hint}")
    quick = labels_of(a, classes)
    if quick is not None:  # a copy of our own: once checked, nobody may change it
        return quick
    # what int32 would wrap is looked for where it came
    own: Array = np.array(a, np.int32, order="C")
    for labels in (own,) if np.can_cast(a.dtype, np.int32) else (a, own):
        low, high = int(labels.min()), int(labels.max())
        if low < 0 or high >= classes:
            bad = low if low < 0 else high
            raise ValueError(
                f"{name}: expected class labels 0 to {classes - 1} (the model has {classes} outputs), "
                f"got {bad} at row {int(np.argmax(labels == bad))}"
            )
    return own


def as_targets(
    name: str, value: Any, rows: int, width: int, takes_labels: bool, loss: str
) -> tuple[Array | None, Array | None]:
    """(dense targets, None) or (None, int32 labels) for a model with ``width`` outputs."""
    a = as_array(name, value)
    if a.ndim == 0 or len(a) != rows:
        raise ValueError(f"{name}: expected {rows} rows, as many as X, got shape {a.shape}")
    if takes_labels and width == 1:
        raise ValueError(
            f"{name}: {loss} needs an output for each class, and the model has 1; for two classes end in "
            f"Dense(1, activation='sigmoid') and use loss='binary_crossentropy'"
        )
    if a.ndim == 1 and takes_labels:
        return None, as_labels(name, a, width)
    if a.ndim == 1 and width == 1:
        a = a.reshape(rows, 1)
    if a.ndim != 2 or a.shape[1] != width:
        wanted = f"({rows}, {width})" + (f" or ({rows},) class labels" if takes_labels else "")
        hint = f": pass {name}.ravel()" if takes_labels and a.shape == (rows, 1) else ""
        raise ValueError(f"{name}: expected shape {wanted}, got {a.shape}{hint}")
    return a, None


def need_probabilities(name: str, a: Array, loss: str) -> None:
    """Targets of a cross-entropy and the like lie in [0, 1]."""
    if len(a) and (a.min() < 0 or a.max() > 1):
        bad = a.min() if a.min() < 0 else a.max()
        what = "a cross-entropy" if loss.endswith("crossentropy") else loss
        raise ValueError(f"{name}: targets of {what} must lie in 0 to 1, got {bad}")


SUM_SLACK = 1e-3  # what rounding, of float16 too, makes of a sum of 1


def need_sums_of_one(name: str, a: Array, loss: str) -> None:
    """Targets of softmax with a cross-entropy: their gradient p - t is that of rows that add up to 1."""
    sums = a.sum(axis=1, dtype=np.float64)
    far = np.abs(sums - 1) > SUM_SLACK
    if far.any():
        row = int(np.argmax(far))
        raise ValueError(
            f"{name}: targets of {loss} after softmax must add up to 1 in each row, got {sums[row]:g} at row {row}; of "
            f"several yeses use sigmoid and binary_crossentropy, of rows that are not to count sample_weight 0, and "
            f"from_logits=True without softmax takes any sum"
        )


def as_signs(name: str, a: Array, loss: str) -> Array:
    """Targets -1 and 1 of a hinge loss; 0 and 1 are taken for them, where there is no -1."""
    ones, zeros = a == 1, a == 0
    if (ones | zeros).all():
        return ones.astype(np.int8) * 2 - 1
    wrong = ~(ones | (a == -1))
    if wrong.any():
        row, column = (int(i) for i in np.argwhere(wrong)[0])
        raise ValueError(
            f"{name}: targets of {loss} must all be -1 or 1, or all 0 or 1; got {a[row, column]} at row {row}, "
            f"column {column}"
        )
    return a


def number(name: str, value: Any, low: float, below: float = math.inf) -> float:
    """``value`` as a float in [low, below)."""
    if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise TypeError(f"{name}: expected a number, got {value!r}")
    if not (low <= value < below):
        if low == -math.inf and below == math.inf:
            raise ValueError(f"{name}: expected a finite number, got {value!r}")
        upper = f" and below {below:g}" if below < math.inf else " and finite" if value == math.inf else ""
        lower = "more than 0" if 0 < low < 1e-300 else f"at least {low:g}"
        raise ValueError(f"{name}: expected {lower}{upper}, got {value!r}")
    return float(value)


def listed(name: str, values: Any, wanted: str) -> list[Any]:
    """The items of an iterable; TypeError for a text and for what is none."""
    if isinstance(values, (str, bytes)) or not isinstance(values, Iterable):
        raise TypeError(f"{name}: expected {wanted}, got {values!r:.80}")
    return list(values)
