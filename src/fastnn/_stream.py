"""Training on batches as they come: from a generator, a list, a function that opens the data anew for each epoch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from fastnn import _adapting, _checks, _measures, _resume
from fastnn._runs import make_data, make_trainer, make_validation, precision_of
from fastnn._training import Control, Run, check_callbacks
from fastnn._updates import need_arenas
from fastnn.engine.record import Record

if TYPE_CHECKING:
    from fastnn.engine import feed
    from fastnn.model import Model

Batch = tuple[Any, Any, Any]  # X, y, sample_weight
_END = object()


class Source:
    """Batches (X, y) or (X, y, sample_weight), epoch by epoch. The first is looked at beforehand: it says how wide the
    input is."""

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
        self.first: Batch = first
        self.ahead: Batch | None = first

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

    def _draw(self) -> Batch | None:
        batch = next(self.running, _END)
        if batch is _END:
            return None
        self.taken += 1
        if not isinstance(batch, (tuple, list)) or len(batch) not in (2, 3):
            got = f" of {len(batch)}" if isinstance(batch, (tuple, list)) else ""
            raise TypeError(
                f"{self.name}: expected a pair (X, y), or (X, y, sample_weight), got {type(batch).__name__}{got}"
            )
        return batch[0], batch[1], batch[2] if len(batch) == 3 else None

    def next(self) -> Batch | None:
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

    def pass_over(self, least: int, most: int) -> Batch | None:
        """The batch after the first ``most`` of an epoch, None where it ends before. ValueError where it has not even
        ``least``."""
        for taken in range(most + 1):
            pair = self.next()
            if pair is None:
                if taken < least:
                    raise ValueError(
                        f"resume: the file was saved after {least} batches of an epoch or more, this one has {taken}"
                    )
                break
        return pair

    def again(self) -> None:
        """Ask a function for its batches anew: the epoch is another than when it was asked first."""
        if callable(self.batches):
            self.running, self.ahead, self.taken = self._start(), None, 0


class Settings(Record):
    """What a training on a stream goes by, whatever comes in."""

    epochs: int
    accumulate: int
    class_weight: Any

    @classmethod
    def checked(cls, model: Model, epochs: Any, accumulate: Any, class_weight: Any) -> Settings:
        if model.optimizer_object.kernel == "lbfgs":
            raise ValueError("batches: LBFGS takes all rows at once: use train, or another optimizer")
        if isinstance(class_weight, str):
            raise ValueError(
                f"class_weight: expected a dict or an array, as a stream's rows come later, got {class_weight!r}"
            )
        return cls(_checks.whole("epochs", epochs, 0), _checks.whole("accumulate", accumulate, 1), class_weight)


class StreamRun(Run):
    """One call of ``train_stream``. resumed: the saved training to go on from; then ``epochs`` is the total."""

    def __init__(
        self, model: Model, source: Source, control: Control, settings: Settings, *, validation_data: Any,
        total_epochs: bool = False, resumed: _resume.Saved | None = None,
    ) -> None:  # fmt: skip
        epochs, self.accumulate, self.class_weight = settings
        need_arenas(model)
        self.source, self.check_finite = source, control.check_finite
        _adapting.find(model if resumed is None else resumed.model, None)
        order = {"stream": True, "accumulate": self.accumulate}
        pair = source.pass_over(0, 0) if resumed is None else self._place(model, resumed, order)
        data, targets = self._data(model, source.first if pair is None else pair)
        precision = precision_of(model, (model if resumed is None else resumed.model).precision, targets)
        self.frozen = model.frozen  # what the updates are made for: a callback's choice holds from the next training on
        self.buffers, self.n = model.training_buffers(data.n, frozen=self.frozen), data.n
        measures = _measures.of(model, data)
        self.counts_labels = None if measures is None else data.has_labels
        validation, validated = make_validation(model, validation_data, control.check_finite, precision)
        native = {"": measures, "val_": validated}
        measured = {} if validation is None else {"val_": tuple(validation_data[:2])}
        check_callbacks(model, control.callbacks, native, measured, validation is not None, resumed)
        at = None if resumed is None else resumed.take_up(model, order)  # nothing that is checked comes after
        model.precision = precision
        if total_epochs:
            epochs = max(epochs - model.epochs_done, 0)
        super().__init__(model, control, epochs, validation, None if resumed is None else model.callback_states)
        self.measures, self.measured, self.order = native, measured, order
        surfacing: dict[str, Any] = {
            **self.surfacing(),
            "most_records": 1,
        }  # each epoch has to be given its first batch
        self.trainer = make_trainer(
            model, self.buffers, data, epochs=epochs, batch=data.n, validation=validation, streaming=True,
            check_finite=control.check_finite, accumulate=self.accumulate, measures=measures, **surfacing,
        )  # fmt: skip
        model.position = at
        self.fed = model.epochs_done  # the epoch that has been given its first batch
        if at is not None:
            self.trainer.seek([data.n if pair is None else 0, *at["at"][1:]])
            self.sought(at)
            if pair is None:  # its last step was the file's
                self._close()

    def _place(self, model: Model, resumed: _resume.Saved, order: dict[str, Any]) -> Batch | None:
        """The batch to go on with: those that the broken epoch had taken are drawn and passed over."""
        at, before = resumed.place(order), model.epochs_done
        steps = 0 if at is None else at["at"][1]
        model.epochs_done = resumed.model.epochs_done  # a function may look at it
        try:
            self.source.again()
            return self.source.pass_over((steps - 1) * self.accumulate + 1, steps * self.accumulate)
        finally:
            model.epochs_done = before

    def _close(self) -> None:
        self.trainer.close_epoch()
        self.source.in_epoch = 0

    def _data(self, model: Model, pair: Batch) -> tuple[feed.Data, Any]:
        names = f"{self.source.name}[0]", f"{self.source.name}[1]", f"{self.source.name}[2]"
        X, y, sample_weight = pair
        data, _, targets = make_data(model, X, y, names, self.check_finite, sample_weight, self.class_weight)
        return data, targets

    def rows(self) -> int:
        return self.n

    def steps(self) -> int | None:
        return None if self.source.known is None else -(-self.source.known // self.accumulate)

    def ends_epoch(self) -> bool:
        return False

    def feed(self) -> None:
        pair = self.source.next()
        if pair is None:
            self._close()
            return
        data, _ = self._data(self.model, pair)
        if self.counts_labels is not None and data.has_labels != self.counts_labels:
            kinds = ("targets (rows, outputs)", "class labels")
            raise ValueError(
                f"{self.source.name}[1]: expected {kinds[self.counts_labels]}, as in the first batch, for the model's "
                f"metrics are counted for these; got {kinds[data.has_labels]}"
            )
        if data.n > self.buffers.rows:
            self.buffers = self.model.training_buffers(data.n, frozen=self.frozen)
        self.n = data.n
        self.trainer.feed(data, self.buffers)

    def before(self) -> None:
        if self.trainer.epochs_left and self.trainer.epochs_done != self.fed:
            self.fed = self.trainer.epochs_done
            self.feed()
        super().before()
