"""Metrics of numbers: how far predictions are from targets. Sums are in float64, in the order of the rows."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn import _checks
from fastnn.kernels.metrics import error_sums
from fastnn.metrics._averages import mean

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from fastnn.metrics._averages import Floats

MULTI = ("uniform_average", "raw_values")


def squared(sums: Floats, rows: float) -> Floats:
    """The mean squared error of each column, from (4, columns) sums of csrc/kernels/metrics.h."""
    return sums[0] / rows


def root(sums: Floats, rows: float) -> Floats:
    return np.sqrt(squared(sums, rows))


def absolute(sums: Floats, rows: float) -> Floats:
    return sums[1] / rows


def r2(sums: Floats, rows: float) -> Floats:
    """1 - squared errors / squares around the targets' mean. Where all targets are equal: 1 if they are met, else 0."""
    errors, spread = sums[0], sums[3] - sums[2] ** 2 / rows
    flat = np.where(errors == 0, 1.0, 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(spread == 0, flat, 1.0 - errors / spread)


def mean_squared_error(
    y_true: ArrayLike, y_pred: ArrayLike, *, sample_weight: ArrayLike | None = None, multioutput: str = MULTI[0]
) -> Any:
    """The mean over rows of (p - t)^2. y_true and y_pred (rows,) or (rows, outputs); sample_weight (rows,).

    multioutput: "uniform_average" gives the mean over the outputs, "raw_values" an array (outputs,). ValueError for
    arrays that do not fit or have no rows. NaN in gives NaN.
    """
    return _of(*_sums(y_true, y_pred, sample_weight), squared, multioutput)


def root_mean_squared_error(
    y_true: ArrayLike, y_pred: ArrayLike, *, sample_weight: ArrayLike | None = None, multioutput: str = MULTI[0]
) -> Any:
    """The square root of each output's ``mean_squared_error``; all else as there."""
    return _of(*_sums(y_true, y_pred, sample_weight), root, multioutput)


def mean_absolute_error(
    y_true: ArrayLike, y_pred: ArrayLike, *, sample_weight: ArrayLike | None = None, multioutput: str = MULTI[0]
) -> Any:
    """The mean over rows of |p - t|; all else as in ``mean_squared_error``."""
    return _of(*_sums(y_true, y_pred, sample_weight), absolute, multioutput)


def r2_score(
    y_true: ArrayLike, y_pred: ArrayLike, *, sample_weight: ArrayLike | None = None, multioutput: str = MULTI[0]
) -> Any:
    """The coefficient of determination: 1 is perfect, 0 as good as the targets' mean, below that worse.

    Where all targets of an output are equal: 1 if they are met exactly, else 0. NaN for fewer than two rows. All else
    as in ``mean_squared_error``.
    """
    sums, rows, count = _sums(y_true, y_pred, sample_weight)
    if count < 2:
        sums = sums * math.nan
    return _of(sums, rows, count, r2, multioutput)


def _of(sums: Floats, rows: float, count: int, formula: Any, multioutput: str) -> Any:
    if multioutput not in MULTI:
        raise ValueError(f"multioutput: expected {' or '.join(map(repr, MULTI))}, got {multioutput!r}")
    each: Floats = formula(sums, rows)
    return each if multioutput == "raw_values" else mean(each)


def columns(name: str, value: Any) -> Floats:
    """(rows, outputs) float64 of a user's (rows,) or (rows, outputs)."""
    a = _checks.as_array(name, value)
    if a.ndim == 1:
        a = a.reshape(-1, 1)
    if a.ndim != 2 or not a.size:
        raise ValueError(f"{name}: expected shape (rows,) or (rows, outputs) and at least one row, got {a.shape}")
    return np.ascontiguousarray(a, np.float64)


def weights(name: str, value: Any, rows: int) -> Floats | None:
    """(rows,) float64 of a user's sample_weight, or None."""
    if value is None:
        return None
    a = _checks.as_array(name, value)
    if a.shape not in ((rows,), (rows, 1)):
        raise ValueError(f"{name}: expected shape ({rows},), a weight for each row, got {a.shape}")
    a = np.ascontiguousarray(a.reshape(-1), np.float64)
    if not np.isfinite(a).all() or (a < 0).any() or not a.any():
        raise ValueError(f"{name}: expected finite weights of at least 0 that are not all 0")
    return a


def _sums(y_true: Any, y_pred: Any, sample_weight: Any) -> tuple[Floats, float, int]:
    """(sums, weight of all rows, rows)."""
    t, p = columns("y_true", y_true), columns("y_pred", y_pred)
    if p.shape != t.shape:
        raise ValueError(f"y_pred: expected shape {t.shape}, that of y_true, got {p.shape}")
    w = weights("sample_weight", sample_weight, len(t))
    if w is None:
        return error_sums(p, t, t[0]), float(len(t)), len(t)
    # a row of weight w counts as w rows: each term is a sum over rows of a column made for it
    d, s = p - t, t - t[int(np.argmax(w > 0))]
    sums = np.stack([(term * w[:, None]).sum(axis=0) for term in (d * d, np.abs(d), s, s * s)])
    return sums, math.fsum(w), int(np.count_nonzero(w))
