"""Callbacks that write down how a training goes: a table, and TensorBoard's event files."""

from __future__ import annotations

import os
from typing import IO, Any

import numpy as np

from fastnn import _checks
from fastnn.callbacks._base import Callback, EverySteps, Logs


class CSVLogger(Callback):
    """A line for each epoch in a CSV file: epoch, from 0, and what the history measures; empty where it did not.

    append: go on after what the file holds, in the columns of its header; ValueError before the first step where what
    is measured has none there. A resumed training goes on from where the file stood when the model was saved, so the
    table is that of a training that was never broken. Each line is flushed.
    """

    def __init__(self, path: str | os.PathLike[str], *, separator: str = ",", append: bool = False) -> None:
        if not isinstance(separator, str) or len(separator) != 1:
            raise ValueError(f"CSVLogger: separator: expected one character, got {separator!r}")
        self.path, self.separator, self.append = os.fspath(path), separator, bool(append)
        self._file: IO[str] | None = None
        self._writer: Any = None
        self._start: int | None = None  # where the table of this training ends, or with append=True begins
        self._resumed = False

    def _check(self) -> None:
        if not os.path.isdir(os.path.dirname(os.path.abspath(self.path))):
            raise FileNotFoundError(f"CSVLogger: path: there is no folder for {self.path}")
        if self.append:
            self._header()

    def on_train_begin(self, logs: Logs) -> None:
        # opened with the first line: until then a state may be loaded that says where it goes
        self._start, self._resumed = None, False
        if self.append:
            self._start = os.path.getsize(self.path) if os.path.exists(self.path) else 0

    def _header(self) -> list[str]:
        """The columns of the file, [] where it has none yet. ValueError where they lack one that is measured."""
        import csv  # only here: it would lengthen every import of the package

        if not os.path.exists(self.path):
            return []
        try:
            with open(self.path, encoding="utf-8-sig", newline="") as file:
                header: list[str] = next(filter(None, csv.reader(file, delimiter=self.separator)), [])
        except (UnicodeDecodeError, csv.Error) as error:
            raise ValueError(f"CSVLogger: path: {self.path} is not a table to go on with: {error}") from None
        lacking = [name for name in self._measured() if name not in header]
        if header and lacking:
            raise ValueError(
                f"CSVLogger: path: {self.path} has the columns {', '.join(header):.400} and none for "
                f"{', '.join(lacking)}: go on in another file"
            )
        return header

    def _measured(self) -> list[str]:
        return ["epoch", *self.params["metrics"]]

    def _open(self) -> IO[str]:
        import csv

        goes_on = os.path.exists(self.path) and (self.append or self._start is not None)
        stream = open(self.path, "r+" if goes_on else "w", encoding="utf-8", newline="")  # noqa: SIM115 (see close)
        if goes_on and self._resumed and self._start is not None:
            stream.truncate(min(self._start, os.path.getsize(self.path)))
        stream.seek(0, os.SEEK_END)
        header = self._header() if goes_on else []
        self._writer = csv.DictWriter(
            stream, header or self._measured(), delimiter=self.separator, extrasaction="ignore"
        )
        if goes_on and not _ends_its_line(self.path):
            stream.write(self._writer.writer.dialect.lineterminator)
        if not header:
            self._writer.writeheader()
        return stream

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        if self._file is None:
            self._file = self._open()
        self._writer.writerow({"epoch": epoch, **logs})
        self._file.flush()
        self._start = self._file.tell()

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = self._writer = None

    def state(self) -> dict[str, Any]:
        return {"bytes": self._start}

    def load_state(self, state: dict[str, Any]) -> None:
        start = state["bytes"]
        if start is not None and (type(start) is not int or start < 0):
            raise ValueError(f"bytes: expected a length, got {start!r}")
        self._start, self._resumed = start, True
        if start:
            self._header()


def _ends_its_line(path: str) -> bool:
    """Whether what is written next begins a line."""
    with open(path, "rb") as file:
        if not file.seek(0, os.SEEK_END):
            return True
        file.seek(-1, os.SEEK_END)
        return file.read() in (b"\n", b"\r")


class TensorBoard(EverySteps):
    """Event files for TensorBoard in ``log_dir``: each entry of the history by epoch.

    Training's go to ``log_dir/train``, those of the validation data to ``log_dir/validation`` under the same names, so
    that both lie in one diagram. update_freq: "epoch", or every so many steps, which adds batch_loss and batch_accuracy
    by step. histograms: the weights and biases of each layer, every so many epochs; 0 for never. Needs tensorboard
    (``pip install 'fastnn-cpu[tensorboard]'``); ImportError says so where the callback is made.
    """

    BINS = 30

    def __init__(
        self, log_dir: str | os.PathLike[str], *, update_freq: str | int = "epoch", histograms: int = 0
    ) -> None:
        self.log_dir = os.fspath(log_dir)
        self.every = 0 if update_freq == "epoch" else _checks.whole("TensorBoard: update_freq", update_freq, 1)
        self.histograms = _checks.whole("TensorBoard: histograms", histograms, 0)
        self._modules()
        self._writers: dict[str, Any] = {}
        self._watch()

    @staticmethod
    def _modules() -> tuple[Any, Any, Any]:
        try:
            from tensorboard.compat.proto import event_pb2, summary_pb2  # type: ignore[import-not-found]
            from tensorboard.summary.writer.event_file_writer import (  # type: ignore[import-not-found]
                EventFileWriter,
            )
        except ImportError:
            raise ImportError("TensorBoard needs tensorboard: pip install 'fastnn-cpu[tensorboard]'") from None
        return event_pb2, summary_pb2, EventFileWriter

    def _write(self, run: str, step: int, values: dict[str, Any]) -> None:
        import time

        events, summaries, writer = self._modules()
        if run not in self._writers:
            self._writers[run] = writer(os.path.join(self.log_dir, run))
        made = [
            summaries.Summary.Value(tag=tag, simple_value=value)
            if isinstance(value, float)
            else summaries.Summary.Value(tag=tag, histo=self._histogram(summaries, value))
            for tag, value in values.items()
        ]
        event = events.Event(wall_time=time.time(), step=step, summary=summaries.Summary(value=made))
        self._writers[run].add_event(event)

    def _histogram(self, summaries: Any, values: Any) -> Any:
        flat = values.astype(np.float64).ravel()
        flat = flat[np.isfinite(flat)]
        if not flat.size:
            return summaries.HistogramProto()
        counts, edges = np.histogram(flat, self.BINS)
        return summaries.HistogramProto(
            min=flat.min(), max=flat.max(), num=flat.size, sum=flat.sum(), sum_squares=(flat**2).sum(),
            bucket_limit=edges[1:].tolist(), bucket=counts.tolist(),
        )  # fmt: skip

    def _step_end(self, batch: int, logs: Logs) -> None:
        if self.model.steps_done % self.every == 0:
            values = {f"batch_{key}": float(value) for key, value in logs.items()}
            self._write("train", self.model.steps_done, values)

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        values = {key: float(value) for key, value in logs.items()}
        self._write("train", epoch, {key: v for key, v in values.items() if not key.startswith("val_")})
        validation = {key.removeprefix("val_"): v for key, v in values.items() if key.startswith("val_")}
        if validation:
            self._write("validation", epoch, validation)
        if self.histograms and epoch % self.histograms == 0:
            plan, layers = self.model.plan, self.model.numbered
            tensors = {
                f"layer{i}_{type(layers[i]).__name__}/{name}": plan.view(plan.params, i, name)
                for i, name in plan.tensors
            }
            self._write("train", epoch, tensors)

    def close(self) -> None:
        for writer in self._writers.values():
            writer.close()
        self._writers.clear()
