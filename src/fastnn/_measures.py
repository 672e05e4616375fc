"""The native metrics of a model in one pass over rows: what is to be counted for them, and what comes out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn.engine.tally import Tally
from fastnn.metrics._objects import Metric, Setting, measure

if TYPE_CHECKING:
    from fastnn._checks import Array
    from fastnn.model import Model


TARGET_YES = 0.5  # above it a target is a yes, whatever the predictions are


def setting(model: Model, labels: bool) -> Setting:
    """What the metrics of a model are of. labels: whether its targets are class labels."""
    loss, accuracy = model.loss_object, model.accuracy_object
    kind = loss.accuracy or "regression" if accuracy is None else accuracy.kernel
    return Setting("categorical" if labels else kind, model.plan.n_out, loss.threshold, labels)


class Measures:
    """``tally`` goes into the pass; ``values`` are of what it holds then.

    rows: for which scores are kept, where a metric wants them, or keep is set. Raises ValueError for a metric that is
    not one of such a model.
    """

    def __init__(self, model: Model, rows: int, labels: bool, keep: bool = False) -> None:
        self.setting = setting(model, labels)
        self.metrics = [m for m in model.metrics.values() if isinstance(m, Metric)]
        parts = list(dict.fromkeys(m.part(self.setting) for m in self.metrics))
        if keep and ("scores", 0) not in parts:
            parts.append(("scores", 0))
        self.names = [name for m in self.metrics for name in m.columns(self.setting)]
        taken = self.names + [name for name, m in model.metrics.items() if not isinstance(m, Metric)]
        twice = sorted(name for name in taken if taken.count(name) > 1)
        if twice:
            raise ValueError(f"metrics: {twice[0]!r} would be the name of two in the history: pass name=")
        kind = self.setting
        self.tally = Tally(kind.outputs, model.dtype, kind.kind == "categorical", TARGET_YES, parts, rows)

    def values(self) -> dict[str, float]:
        """The metrics of the rows that the tally has seen; NaN where one is not defined."""
        numbers = [v for m in self.metrics for v in m.values(self.tally, self.setting)]
        return dict(zip(self.names, numbers, strict=True))


def of(model: Model, data: Any, keep: bool = False) -> Measures | None:
    """For a pass over data, None where nothing is to be measured."""
    native = any(isinstance(m, Metric) for m in model.metrics.values())
    return Measures(model, data.n, data.has_labels, keep) if native or keep else None


def of_functions(model: Model, y_true: Any, y_pred: Array) -> dict[str, float]:
    """The metrics written in Python, of labels (rows,) or targets of the predictions' shape: beside (rows, 1), NumPy
    would make a square of (rows,). They are a view that cannot be written: they are the caller's own."""
    targets = np.asarray(y_true).view()
    if targets.ndim == 1 and y_pred.shape[1] == 1:
        targets = targets.reshape(-1, 1)
    targets.flags.writeable = False
    return {
        name: measure(name, metric, targets, y_pred)
        for name, metric in model.metrics.items()
        if not isinstance(metric, Metric)
    }
