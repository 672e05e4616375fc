"""The losses of ``fastnn.functional``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fastnn._core import LOSS_PARAMETER, LOSS_TARGETS, LOSSES
from fastnn._dlpack import unmasked
from fastnn._operands import Array, apart, known, matrix, output, real
from fastnn.kernels import losses as _losses

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


def _targets(p: Array, targets: ArrayLike, takes_labels: bool = True) -> tuple[Array | None, Array | None]:
    """(targets like p, None), or (None, a class for each row)."""
    t: Array = np.asarray(unmasked("targets", targets))
    if t.ndim == 1 and p.shape[1] == 1:
        t = t.reshape(-1, 1)
    if t.ndim == 1 and takes_labels:
        return None, _labels(p, t)
    if t.ndim == 1 and t.dtype.kind in "iub":
        raise ValueError("targets: this loss takes dense targets, not class labels")
    dense = real("targets", t, p.dtype)
    if dense.shape != p.shape:
        or_labels = f" or ({len(p)},) class labels" if takes_labels else ""
        raise ValueError(f"targets: expected shape {p.shape}{or_labels}, got {dense.shape}")
    return dense, None


def _labels(p: Array, t: Array) -> Array:
    if len(t) != len(p):
        raise ValueError(f"targets: expected {len(p)} class labels, one a row, got {len(t)}")
    if t.size and t.dtype.kind not in "iub":
        raise TypeError(f"targets: class labels must be integers, got dtype {t.dtype}")
    if t.size and (t.min() < 0 or t.max() >= p.shape[1]):
        raise ValueError(f"targets: expected class labels 0 to {p.shape[1] - 1}, got {t.min()} to {t.max()}")
    return np.ascontiguousarray(t, np.int32)


def _predictions(predictions: ArrayLike) -> Array:
    p = matrix("predictions", predictions)
    if p.shape[0] and not p.shape[1]:
        raise ValueError(f"predictions: expected at least one column, got shape {p.shape}")
    return p


def _named(name: str, parameter: float | None) -> tuple[str, float]:
    """A loss's kernel and the parameter to call it with."""
    name = known("loss", name, LOSSES)
    if parameter is None:
        return name, LOSS_PARAMETER.get(name, 0.0)
    if name not in LOSS_PARAMETER:
        raise ValueError(f"parameter: {name} has none; those that have one: {', '.join(LOSS_PARAMETER)}")
    if not 0 < parameter < (1 if name == "quantile" else float("inf")):
        raise ValueError(
            f"parameter: expected a number above 0{' and below 1' * (name == 'quantile')}, got {parameter!r}"
        )
    return name, float(parameter)


def loss(
    name: str,
    predictions: ArrayLike,
    targets: ArrayLike,
    out: Array | None = None,
    *,
    parameter: float | None = None,
) -> Array:
    """The loss of each row (rows,), by name, any that ``Model.set(loss=)`` takes. predictions (rows, n); targets (rows,
    n), or labels (rows,) for the categorical losses, or (rows,) where n is 1. parameter: of those that have one
    (huber's delta, 1 unless said otherwise, and the q of quantile, 0.5)."""
    quick: Array = NotImplemented
    if out is None and parameter is None:
        quick = _losses.quick_forward(name, predictions, targets)
    if quick is not NotImplemented:
        return quick
    name, number = _named(name, parameter)
    p = _predictions(predictions)
    t, labels = _targets(p, targets, LOSS_TARGETS[name] == "C")
    losses = output(out, (p.shape[0],), p.dtype)
    if p.size:
        t = None if t is None else apart(t, losses, here=False)
        _losses.loss_forward(name, losses, apart(p, losses, here=False), t, labels, number)
    return losses


def loss_backward(
    name: str,
    predictions: ArrayLike,
    targets: ArrayLike,
    *,
    merged: bool = False,
    parameter: float | None = None,
    out: Array | None = None,
) -> Array:
    """The gradient of the mean of the rows' losses by the predictions (rows, n).

    merged: by the input of the activation that goes with the loss instead (softmax with the categorical cross-entropy
    and the divergence, sigmoid with the binary cross-entropy), the predictions being that activation's output: (p - t)
    / rows. parameter: as in ``loss``.
    """
    quick: Array = NotImplemented
    if out is None and parameter is None:
        quick = _losses.quick_backward(name, predictions, targets, merged)
    if quick is not NotImplemented:
        return quick
    name, number = _named(name, parameter)
    if merged and name not in _losses.HEADS:
        raise ValueError(
            f"merged: {name} has no gradient merged with an activation's; those that have one: "
            f"{', '.join(_losses.HEADS)}"
        )
    p = _predictions(predictions)
    t, labels = _targets(p, targets, LOSS_TARGETS[name] == "C")
    dp = output(out, p.shape, p.dtype)
    if p.size:
        t = None if t is None else apart(t, dp, here=False)
        p = apart(p, dp, here=False)
        _losses.loss_backward(name, dp, p, t, labels, 1.0 / p.shape[0], merged, number)
    return dp


def smooth_labels(targets: ArrayLike, classes: int, smoothing: float, *, binary: bool = False) -> Array:
    """t (1 - s) + s / classes of targets (rows, classes), or of the one-hot rows of integer labels (rows,), in float64
    unless they are float32. binary: each output is a yes or no, t (1 - s) + s / 2."""
    if not 0 <= smoothing < 1:
        raise ValueError(f"smoothing: expected a share of at least 0 and below 1, got {smoothing!r}")
    given = np.asarray(unmasked("targets", targets))
    if not given.ndim:
        raise ValueError("targets: expected labels (rows,) or targets (rows, classes), got a number")
    kind = given.dtype
    y = np.empty((len(given), classes), kind if kind == np.float32 else np.float64)
    t, labels = _targets(y, given)
    if y.size:
        _losses.smooth_targets(y, t, labels, 1.0 - smoothing, smoothing / (2 if binary else classes))
    return y


def _crossentropy(name: str, p: ArrayLike, t: ArrayLike, from_logits: bool, smoothing: float, binary: bool) -> Array:
    if smoothing:
        p = _predictions(p)
        t = smooth_labels(t, p.shape[1], smoothing, binary=binary)
    return loss(name + "_logits" * from_logits, p, t)


def categorical_crossentropy(
    predictions: ArrayLike, targets: ArrayLike, *, from_logits: bool = False, label_smoothing: float = 0.0
) -> Array:
    """-sum of t ln p of each row; from_logits: p is the softmax of the predictions. See ``fastnn.losses``."""
    return _crossentropy("categorical_crossentropy", predictions, targets, from_logits, label_smoothing, False)


def binary_crossentropy(
    predictions: ArrayLike, targets: ArrayLike, *, from_logits: bool = False, label_smoothing: float = 0.0
) -> Array:
    """Mean over outputs of -(t ln p + (1 - t) ln(1 - p)) of each row; from_logits: p is the sigmoid of the predictions.
    See ``fastnn.losses``."""
    return _crossentropy("binary_crossentropy", predictions, targets, from_logits, label_smoothing, True)


def kl_divergence(predictions: ArrayLike, targets: ArrayLike) -> Array:
    """Sum of t ln(t / p) of each row."""
    return loss("kl_divergence", predictions, targets)


def mean_squared_error(predictions: ArrayLike, targets: ArrayLike) -> Array:
    """Mean over outputs of (p - t)^2 of each row."""
    return loss("mean_squared_error", predictions, targets)


def mean_absolute_error(predictions: ArrayLike, targets: ArrayLike) -> Array:
    """Mean over outputs of |p - t| of each row."""
    return loss("mean_absolute_error", predictions, targets)


def huber(predictions: ArrayLike, targets: ArrayLike, delta: float | None = None) -> Array:
    """Mean over outputs of d^2 / 2 where |d| <= delta (1 unless said otherwise), else delta (|d| - delta / 2)."""
    return loss("huber", predictions, targets, parameter=delta)


def log_cosh(predictions: ArrayLike, targets: ArrayLike) -> Array:
    """Mean over outputs of ln cosh(p - t) of each row."""
    return loss("log_cosh", predictions, targets)


def quantile(predictions: ArrayLike, targets: ArrayLike, q: float | None = None) -> Array:
    """Mean over outputs of q (t - p) where t > p, else (1 - q) (p - t); q is 0.5 unless said otherwise."""
    return loss("quantile", predictions, targets, parameter=q)


def poisson(predictions: ArrayLike, targets: ArrayLike) -> Array:
    """Mean over outputs of p - t ln p of each row, p being rates."""
    return loss("poisson", predictions, targets)


def hinge(predictions: ArrayLike, targets: ArrayLike) -> Array:
    """Mean over outputs of max(1 - t p, 0) of each row, t being -1 or 1 (a Model takes 0 and 1 for
    them, this does not)."""
    return loss("hinge", predictions, targets)


def squared_hinge(predictions: ArrayLike, targets: ArrayLike) -> Array:
    """Mean over outputs of max(1 - t p, 0)^2 of each row, t being -1 or 1 (a Model takes 0 and 1 for
    them, this does not)."""
    return loss("squared_hinge", predictions, targets)


def categorical_hinge(predictions: ArrayLike, targets: ArrayLike) -> Array:
    """max(1 + (largest p of the wrong, at least 0) - (p of the right), 0) of each row, for labels or one-hot rows."""
    return loss("categorical_hinge", predictions, targets)
