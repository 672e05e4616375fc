"""Classes by their own names: what a model's outputs stand for, kept with it in its file."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from fastnn import _checks
from fastnn.kernels.metrics import argmax_rows

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

Label: TypeAlias = "str | int | float | bool"


def checked(labels: Any) -> tuple[Label, ...]:
    """The labels as plain values of Python. TypeError or ValueError where they cannot be such."""
    given = _checks.listed("class_labels", labels, "a label for each class")
    plain = tuple(label.item() if isinstance(label, np.generic) else label for label in given)
    for label in plain:
        if not isinstance(label, (str, int, float)) or (isinstance(label, float) and not math.isfinite(label)):
            raise TypeError(f"class_labels: expected texts or numbers, got {label!r:.80}")
    if len(set(plain)) != len(plain):
        twice = next(label for label in plain if plain.count(label) > 1)
        raise ValueError(f"class_labels: {twice!r:.80} is there twice")
    if len(plain) < 2:
        raise ValueError(f"class_labels: expected at least 2, got {len(plain)}")
    return plain


def named(outputs: NDArray[Any], threshold: float, labels: tuple[Label, ...] | None) -> NDArray[Any]:
    """The label (rows,) of each row of outputs, or its class's number: the largest output's, as accuracies count it, or
    of one output a yes where it is above the threshold."""
    yes = outputs[:, 0] > threshold if outputs.shape[1] == 1 else None
    numbers = (argmax_rows(outputs) if yes is None else yes).astype(np.intp)
    if labels is None:
        return numbers
    kinds = {type(label) for label in labels}
    names = np.array(labels, dtype=None if len(kinds) == 1 else object)
    return names[numbers]


class Labelled:
    """The part of ``Model`` that knows what its classes are called."""

    _class_labels: tuple[Label, ...] | None = None

    @property
    def class_labels(self) -> tuple[Label, ...] | None:
        """What the classes are called, in the order of the outputs: texts or numbers, saved with the model; None where
        nobody said. A model with one output, which tells a yes from a no, has two: of the no, of the yes."""
        return self._class_labels

    @class_labels.setter
    def class_labels(self, labels: Iterable[Any] | None) -> None:
        new = None if labels is None else checked(labels)
        if new is not None:
            self._need_outputs(new)
        self._class_labels = new

    def _need_outputs(self, labels: tuple[Label, ...]) -> None:
        """ValueError where there are more or fewer labels than outputs, as far as these are known."""
        model: Any = self
        if model._plan is None:
            return
        outputs = model._plan.n_out
        if len(labels) != max(outputs, 2):
            raise ValueError(f"class_labels: expected {max(outputs, 2)} for {outputs} outputs, got {len(labels)}")

    def predict_labels(self, X: ArrayLike, *, batch_size: int | None = None) -> NDArray[Any]:
        """The label (rows,) of each row's class: of the largest output, or where there is one output, of a yes if that
        is above 0.5 (above 0 where the loss takes scores). Without ``class_labels`` its number. Else as ``predict``."""
        model: Any = self
        outputs = model.predict(X, batch_size=batch_size)
        if self._class_labels is not None:
            self._need_outputs(self._class_labels)
        return named(outputs, 0.5 if model.loss is None else model.loss.threshold, self._class_labels)
