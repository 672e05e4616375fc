"""Training on batches as they come: from a generator, a list, a function that opens the data anew for each epoch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from fastnn import _adapting, _checks
from fastnn._runs import make_data, make_trainer, make_validation, set_precision
from fastnn._training import Control, Run

if TYPE_CHECKING:
    from fastnn.engine import feed
    from fastnn.model import Model

Pair = tuple[Any, Any]


class Source:
    """Pairs (X, y), epoch by epoch. The first is looked at beforehand: it says how wide the input is."""

    def __init__(self, batches: Any, steps_per_epoch: int | None) -> None:
        self.steps = None if steps_per_epoch is None else _checks.whole("steps_per_epoch", steps_per_epoch, 1)
        self.batches = batches
        self.taken = self.in_epoch = 0
        self.known: int | None = self.steps  # batches of an epoch, as far as that is known
        self.running = self._start()
        self.single = not callable(batches) and self.running is batches
        first = self._draw()
        if first is None:
            raise ValueError("batches: there are none")
        self.first: Pair = first
        self.ahead: Pair | None = first

    def _start(self) -> Iterator[Any]:
        made = self.batches() if callable(self.batches) else self.batches
        if isinstance(made, (str, bytes, dict)) or not hasattr(made, "__iter__"):
            raise TypeError(
                f"batches: expected pairs (X, y) from an iterable or a function that returns one, got {made!r:.80}"
            )
        return iter(made)

    @property
    def name(self) -> str:
        """How messages name the batch at hand."""
        return f"batches[{self.taken - 1}]"

    def _draw(self) -> Pair | None:
        pair = next(self.running, None)
        if pair is None:
            return None
        self.taken += 1
        if not isinstance(pair, (tuple, list)) or len(pair) != 2:
            raise TypeError(f"{self.name}: expected a pair (X, y), got {type(pair).__name__}")
        return pair[0], pair[1]

    def next(self) -> Pair | None:
        """The epoch's next batch, None at its end. ValueError where an epoch has none at all."""
        if self.steps is not None and self.in_epoch == self.steps:
            return None
        pair, self.ahead = self.ahead or self._draw(), None
        if pair is None and not self.single and (self.steps is not None or not self.in_epoch):
            self.running = self._start()  # once more from the start
            pair = self._draw()
        if pair is None:
            if not self.in_epoch:
                hint = "; give a list, or a function that makes a new iterator for each epoch" if self.single else ""
                raise ValueError(f"batches: the stream has ended after {self.taken} batches, before its epochs{hint}")
            self.known = self.in_epoch
            return None
        self.in_epoch += 1
        return pair


class StreamRun(Run):
    """One call of ``train_stream``."""

    def __init__(
        self, model: Model, source: Source, control: Control, *, epochs: int, validation_data: Any, accumulate: int
    ) -> None:
        epochs, self.accumulate = _checks.whole("epochs", epochs, 0), _checks.whole("accumulate", accumulate, 1)
        model.plan.need_training_arenas(model.optimizer_object.state_count)
        self.source, self.check_finite = source, control.check_finite
        _adapting.find(model, None)
        data = self._data(model, source.first)
        self.buffers, self.n = model.training_buffers(data.n), data.n
        validation = make_validation(model, validation_data, control.check_finite)
        super().__init__(model, control, epochs, validation)
        self.measured = {} if validation is None else {"val_": tuple(validation_data[:2])}
        surfacing: dict[str, Any] = {
            **self.surfacing(),
            "most_records": 1,
        }  # each epoch has to be given its first batch
        self.trainer = make_trainer(
            model, self.buffers, data, epochs=epochs, batch=data.n, validation=validation, streaming=True,
            check_finite=control.check_finite, accumulate=self.accumulate, **surfacing,
        )  # fmt: skip
        model.position = None
        source.next()  # the first, which the trainer has
        self.fed = model.epochs_done  # the epoch that has been given its first batch

    def _data(self, model: Model, pair: Pair) -> feed.Data:
        names = f"{self.source.name}[0]", f"{self.source.name}[1]", f"{self.source.name}[2]"
        data, _, targets = make_data(model, *pair, names, self.check_finite)
        set_precision(model, targets)
        return data

    def rows(self) -> int:
        return self.n

    def steps(self) -> int | None:
        return None if self.source.known is None else -(-self.source.known // self.accumulate)

    def ends_epoch(self) -> bool:
        return False

    def feed(self) -> None:
        pair = self.source.next()
        if pair is None:
            self.trainer.close_epoch()
            self.source.in_epoch = 0
            return
        data = self._data(self.model, pair)
        if data.n > self.buffers.rows:
            self.buffers = self.model.training_buffers(data.n)
        self.n = data.n
        self.trainer.feed(data, self.buffers)

    def before(self) -> None:
        if self.trainer.epochs_left and self.trainer.epochs_done != self.fed:
            self.fed = self.trainer.epochs_done
            self.feed()
        super().before()
