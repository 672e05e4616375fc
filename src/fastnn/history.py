"""What a training leaves behind: one entry for each finished epoch."""

from __future__ import annotations

import math
from collections.abc import Iterator, KeysView
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

KEYS = ("loss", "data_loss", "regularization_loss", "accuracy", "learning_rate", "val_loss", "val_accuracy")


class History:
    """Lists by name: ``history["loss"][-1]``, ``history.loss``, ``len(history)`` epochs.

    loss = data_loss + regularization_loss, where data_loss is the mean over the epoch's rows as they were trained on
    (weights moving) and regularization_loss is that of the weights at its end; accuracy likewise over the epoch.
    learning_rate is that of the last step. val_loss (without penalties) and val_accuracy are there where
    ``validation_data`` was given, None for epochs without. Metrics of ``Model.set(metrics=)`` follow under their names.
    """

    def __init__(self) -> None:
        # of a file: (values, where they are missing), None for none missing or all
        self._stored: dict[str, tuple[NDArray[Any] | None, NDArray[Any] | None]] = dict.fromkeys(KEYS, (None, None))
        self._epochs = 0

    @cached_property
    def _columns(self) -> dict[str, list[float | None]]:
        """The lists. Made when they are first asked for: they take four times the room of a file's arrays."""
        columns: dict[str, list[float | None]] = {}
        for name, (values, missing) in self._stored.items():
            column = [None] * self._epochs if values is None else values.tolist()
            for row in () if missing is None else np.flatnonzero(missing).tolist():
                column[row] = None
            columns[name] = column
        self._stored = {}
        return columns

    def put(self, row: int, columns: dict[str, list[float]]) -> None:
        """Write epochs from ``row`` (from 0) on and forget what follows them; NaN becomes None where nothing was
        measured. Whole columns at a time: a small net has a hundred thousand epochs a second."""
        count = len(columns["loss"])
        for key in columns:
            if key not in self._columns:
                self._columns[key] = [None] * len(self)
        for key, column in self._columns.items():
            values = columns.get(key, [math.nan] * count)
            always = key in ("loss", "data_loss")
            column[row:] = values if always else [None if math.isnan(v) else v for v in values]

    def take(self, other: History) -> None:
        """Become a copy of another."""
        self._columns = {key: list(column) for key, column in other._columns.items()}

    def mend_validation(self, loss: float, accuracy: float, metrics: dict[str, float]) -> None:
        """Enter into the last epoch what its validation, cut off when it ended, would have measured."""
        self.enter("val_loss", loss)
        for key, value in ({"accuracy": accuracy} | metrics).items():
            self.enter(f"val_{key}", None if math.isnan(value) else value)

    def enter(self, key: str, value: float | None) -> None:
        """Put a value into the last epoch, in a new column where there is none of that name."""
        if key not in self._columns:
            self._columns[key] = [None] * len(self)
        if len(self):
            self._columns[key][-1] = value

    def __len__(self) -> int:
        return len(self._columns["loss"])

    def __getitem__(self, key: str) -> list[float | None]:
        if key not in self._columns:
            raise KeyError(f"history has {', '.join(self._columns)}, not {key!r}")
        return self._columns[key]

    def __getattr__(self, key: str) -> list[float | None]:
        if not key.startswith("_") and key in self._columns:
            return self._columns[key]
        raise AttributeError(f"history has {', '.join(KEYS if key.startswith('_') else self._columns)}, not {key!r}")

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)

    def keys(self) -> KeysView[str]:
        """The names, in their order: with it ``dict(history)`` and ``pandas.DataFrame(dict(history))`` work."""
        return self._columns.keys()

    @property
    def history(self) -> dict[str, list[float | None]]:
        """All of it as a dict, as in Keras."""
        return self._columns

    def last(self) -> dict[str, float | None]:
        """The latest epoch, {} before the first."""
        return {key: column[-1] for key, column in self._columns.items()} if len(self) else {}

    def state(self) -> dict[str, list[float | None]]:
        """A copy of all of it."""
        return {key: list(column) for key, column in self._columns.items()}

    def arrays(self) -> dict[str, tuple[NDArray[np.float64], NDArray[np.bool_]]]:
        """What a file stores: by name the values, and where there is none."""
        made = {}
        for name, column in self._columns.items():
            missing = np.fromiter((value is None for value in column), np.bool_, len(column))
            values = np.fromiter((0.0 if value is None else value for value in column), np.float64, len(column))
            made[name] = values, missing
        return made

    @classmethod
    def of_arrays(cls, columns: dict[str, tuple[Any, Any]], epochs: int) -> History:
        """The other way; ValueError where they make none. No values: all are missing, no mask: none are."""
        loss = columns.get("loss", (None, None))[0]
        if not set(KEYS) <= columns.keys() or (epochs and loss is None):
            raise ValueError(f"expected {', '.join(KEYS)}, and a loss for each epoch")
        history = cls()
        history._stored, history._epochs = dict(columns), epochs
        return history

    def plot(self, path: str | None = None) -> Any:
        """A picture of loss and accuracy over the epochs; needs matplotlib (``pip install 'fastnn-cpu[plot]'``).

        path: where to save it; the matplotlib figure is returned.
        """
        from fastnn import plots

        return plots.plot_history(self, path)

    def __repr__(self) -> str:
        shown = ", ".join(f"{k}={v:.4g}" for k, v in self.last().items() if v is not None)
        return f"History({len(self)} epochs{': ' + shown if shown else ''})"
