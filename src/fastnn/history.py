"""What a training leaves behind: one entry for each finished epoch."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

KEYS = ("loss", "data_loss", "regularization_loss", "accuracy", "learning_rate", "val_loss", "val_accuracy")


class History:
    """Lists by name: ``history["loss"][-1]``, ``history.loss``, ``len(history)`` epochs.

    loss = data_loss + regularization_loss, where data_loss is the mean over the epoch's rows as they were trained on
    (weights moving) and regularization_loss is that of the weights at its end; accuracy likewise over the epoch.
    learning_rate is that of the last step. val_loss (without penalties) and val_accuracy are there where
    ``validation_data`` was given, None for epochs without. Metrics of ``Model.set(metrics=)`` follow under their names.
    """

    def __init__(self) -> None:
        self._columns: dict[str, list[float | None]] = {key: [] for key in KEYS}

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
        columns = self.__dict__.get("_columns", {})
        if key in columns:
            return columns[key]
        raise AttributeError(f"history has {', '.join(columns)}, not {key!r}")

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)

    @property
    def history(self) -> dict[str, list[float | None]]:
        """All of it as a dict, as in Keras."""
        return self._columns

    def last(self) -> dict[str, float | None]:
        """The latest epoch, {} before the first."""
        return {key: column[-1] for key, column in self._columns.items()} if len(self) else {}

    def state(self) -> dict[str, list[float | None]]:
        """The part of it that a file stores."""
        return {key: list(column) for key, column in self._columns.items()}

    @classmethod
    def from_state(cls, state: dict[str, list[float | None]]) -> History:
        history = cls()
        for key in (*KEYS, *state):
            history._columns[key] = list(state.get(key, []))
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
