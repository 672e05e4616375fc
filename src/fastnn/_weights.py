"""Weights of rows: ``sample_weight`` and ``class_weight`` of train, fit and evaluate as one number for each row.

The loss of a batch is the sum of weight * loss over its rows, divided by their number, not by the sum of the weights:
so Keras has it. All weights 1 change no bit, a row of weight 0 adds nothing, and a weight counts alike in whatever
batch its row falls. scikit-learn's MLP divides by the sum of the weights; the two agree where these have mean 1, as
"balanced" ones have over the whole data. Accuracies count each row once. A row of negative weight is learned away from:
with an advantage as weight, cross-entropy is the policy gradient.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn import _checks

if TYPE_CHECKING:
    from fastnn._checks import Array


def row_weights(
    name: str,
    sample_weight: Any,
    class_weight: Any,
    targets: Array | None,
    labels: Array | None,
    outputs: int,
    dtype: Any,
    signs: bool = False,
) -> Array | None:
    """Weights (rows, 1) of the given type, the product of both kinds, or None where neither is given. name: how
    messages call sample_weight; dense targets or class labels, the other None; signs: whether the targets are -1 and 1.
    """
    given = labels if targets is None else targets
    assert given is not None
    weights = None
    if sample_weight is not None:
        weights = _sample_weights(name, sample_weight, len(given))
    if class_weight is not None:
        of_class = _class_weights(class_weight, targets, labels, outputs, signs)
        weights = of_class if weights is None else weights * of_class
    if weights is None:
        return None
    with np.errstate(over="ignore"):
        made = np.ascontiguousarray(weights.reshape(-1, 1), dtype)
    if not np.isfinite(made).all():
        row = int(np.argmin(np.isfinite(made[:, 0])))
        raise ValueError(f"{name}: expected numbers that {np.dtype(dtype)} can hold, got {weights[row]} at row {row}")
    return made


def _sample_weights(name: str, value: Any, rows: int) -> Array:
    a = _checks.as_array(name, value)
    if a.shape not in ((rows,), (rows, 1)):
        raise ValueError(f"{name}: expected shape ({rows},), a weight for each row of X, got {a.shape}")
    a = a.reshape(-1).astype(np.float64)
    bad = ~np.isfinite(a)
    if bad.any():
        row = int(np.argmax(bad))
        raise ValueError(f"{name}: expected finite numbers, got {a[row]} at row {row}")
    return a


def _class_weights(value: Any, targets: Array | None, labels: Array | None, outputs: int, signs: bool = False) -> Array:
    classes, count = _classes(targets, labels, outputs)
    if isinstance(value, str):
        if value != "balanced":
            raise ValueError(f"class_weight: expected 'balanced', a dict or an array, got {value!r}")
        present = np.bincount(classes, minlength=count)
        table = len(classes) / (np.count_nonzero(present) * np.maximum(present, 1))
    elif isinstance(value, Mapping):
        table = np.ones(count)
        if signs and -1 in value:  # the class that 0 stands for too
            if 0 in value:
                raise ValueError("class_weight: expected -1 or 0, which are one class, got both")
            value = {0 if key == -1 else key: weight for key, weight in value.items()}
        for key, weight in value.items():
            whole = isinstance(key, (int, np.integer)) or (isinstance(key, (float, np.floating)) and key == key // 1)
            if isinstance(key, bool) or not whole or not 0 <= key < count:
                raise ValueError(f"class_weight: expected classes 0 to {count - 1} as keys, got {key!r:.80}")
            table[int(key)] = _weight(weight, int(key))
    else:
        table = _checks.as_array("class_weight", value).astype(np.float64)
        if table.shape != (count,):
            raise ValueError(f"class_weight: expected {count} weights, one for each class, got shape {table.shape}")
        for place, weight in enumerate(table):
            _weight(weight, place)
    weights: Array = table[classes]
    return weights


def _weight(value: Any, place: int) -> float:
    try:
        weight = float(value)
    except (TypeError, ValueError, OverflowError):
        weight = float("nan")
    if not 0 <= weight < float("inf"):
        raise ValueError(f"class_weight: expected finite numbers of at least 0, got {value!r:.80} for class {place}")
    return weight


def _classes(targets: Array | None, labels: Array | None, outputs: int) -> tuple[Array, int]:
    """(the class of each row, how many classes): of labels, one-hot rows, or one column of 0 and 1 or -1 and 1."""
    if targets is None:
        assert labels is not None
        return labels, outputs
    if targets.shape[1] == 1:
        yes = targets[:, 0] == 1
        if (yes | (targets[:, 0] == 0)).all() or (yes | (targets[:, 0] == -1)).all():
            return yes.astype(np.int64), 2
        wanted = "a column of 0 and 1"
    else:
        ones = targets == 1
        if (ones | (targets == 0)).all() and (ones.sum(axis=1) == 1).all():
            return ones.argmax(axis=1), targets.shape[1]
        wanted = "one-hot rows"
    raise ValueError(
        f"class_weight: needs targets that name one class for each row, class labels or {wanted}; these, of shape "
        f"{targets.shape}, do not; use sample_weight"
    )
