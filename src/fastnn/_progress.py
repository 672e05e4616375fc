"""How far a training is: a bar on a terminal where rich is installed, a line now and then elsewhere. All of it on
stderr."""

from __future__ import annotations

import contextlib
import math
import sys
from collections.abc import Iterator, Mapping
from typing import IO, TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID


class Watcher(Protocol):
    """What ``Model.train(progress=...)`` calls about ten times a second."""

    def update(self, *, epoch: int, epochs: int, step: int, steps: int, loss: float, accuracy: float) -> None: ...


class Lines:
    """Plain text: a line at each tenth of the epochs, as far as it is told of them."""

    def __init__(self, stream: IO[str], lines: int = 10) -> None:
        self.stream, self.lines, self.next = stream, lines, 0.0
        self.metrics: dict[str, float] = {}

    def measured(self, metrics: dict[str, float]) -> None:
        self.metrics = metrics

    def update(self, *, epoch: int, epochs: int, step: int, steps: int, loss: float, accuracy: float) -> None:
        if epoch == 0 or epoch < self.next or math.isnan(loss):
            return
        self.next = epoch + epochs / self.lines
        if self.next > epochs:
            self.next = epochs if epoch < epochs else math.inf
        print(
            f"epoch {epoch:{len(str(epochs))}d}/{epochs}  {figures(loss, accuracy, self.metrics)}",
            file=self.stream,
            flush=True,
        )


class Bar:
    """A bar of rich's: epochs, loss, accuracy, time gone and to go."""

    def __init__(self, progress: RichProgress) -> None:
        self.progress = progress
        self.task: TaskID | None = None
        self.metrics: dict[str, float] = {}

    def measured(self, metrics: dict[str, float]) -> None:
        self.metrics = metrics

    def update(self, *, epoch: int, epochs: int, step: int, steps: int, loss: float, accuracy: float) -> None:
        fields: dict[str, Any] = {"epoch": epoch, "epochs": epochs}
        if not math.isnan(loss):  # nothing is known of an epoch that has just begun
            fields["figures"] = figures(loss, accuracy, self.metrics)
        done = epoch + step / steps if epoch < epochs else epochs
        if self.task is None:
            self.task = self.progress.add_task("training", total=epochs, **{"figures": "", **fields})
        self.progress.update(self.task, completed=done, **fields)


def figures(loss: float, accuracy: float, metrics: Mapping[str, float] | None = None) -> str:
    """``loss 0.1234  accuracy 0.9876``; without the second where none is counted. metrics: what follows."""
    text = f"loss {loss:.4f}" if abs(loss) < 1e5 else f"loss {loss:.4g}"
    if not math.isnan(accuracy):
        text += f"  accuracy {accuracy:.4f}"
    return text + "".join(f"  {name} {value:.4f}" for name, value in (metrics or {}).items())


@contextlib.contextmanager
def training_bar(stream: IO[str] | None = None) -> Iterator[Watcher]:
    """A ``Watcher`` for ``Model.train``: a bar where ``stream`` (stderr) is a terminal and rich is there, else
    lines."""
    stream = sys.stderr if stream is None else stream
    made = _rich_bar(stream) if stream.isatty() else None
    if made is None:
        yield Lines(stream)
        return
    with made as progress:
        yield Bar(progress)


def _rich_bar(stream: IO[str]) -> Any:
    """None where there is no rich."""
    try:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    except ImportError:
        return None
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=30),
        TextColumn("epoch {task.fields[epoch]}/{task.fields[epochs]}"),
        TextColumn("{task.fields[figures]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=Console(file=stream),
    )
