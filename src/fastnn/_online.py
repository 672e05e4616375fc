"""What ``Model`` trains on besides whole arrays: streams of batches, one batch, and what they share with ``train``."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, TypeAlias

from fastnn import _checks, _forks, _resume, _runs
from fastnn._runs import Evaluation
from fastnn._training import Progress, Run, control
from fastnn.callbacks._base import Callback, CallbackSet

if TYPE_CHECKING:
    import threading

    from numpy.typing import ArrayLike

    from fastnn.history import History

Callbacks: TypeAlias = "Iterable[Callback] | Callback"
Batches: TypeAlias = "Iterable[tuple[ArrayLike, ...]] | Callable[[], Iterable[tuple[ArrayLike, ...]]]"


class Readied:
    """A model finalized for X, which comes out of ``with``. Data that turn out not to fit must not fix the width of the
    input. (Not a generator of contextlib's: those take 2 us, a fifth of a small step.)"""

    def __init__(self, model: Any, X: Any) -> None:
        self.model, self.X, self.fresh = model, X, False

    def __enter__(self) -> Any:
        self.fresh = self.model._plan is None
        return self.model._ready(self.X)

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: object) -> None:
        if kind is not None and self.fresh:
            self.model._unfinalize()


class Online:
    """The part of ``Model`` that trains, but for the verbs on whole arrays."""

    history: History
    stop_training: bool  # a callback may set it
    position: dict[str, Any] | None  # within an epoch that was broken off: see fastnn._resume
    _lock: threading.RLock

    def __init__(self) -> None:
        self.stop_training = False
        self.position = None
        self._callbacks: CallbackSet | None = None  # of the last training
        self._callback_states: list[dict[str, Any]] = []  # of the file that was loaded
        self._busy = False
        self._averaged = False  # whether the running average is in the weights' place
        self._precision: float | None = None

    @property
    def precision(self) -> float | None:
        """How near to its target a right output is, for the accuracy of a regression; None until the first training
        finds it in its targets. ValueError or TypeError for what is no number of at least 0."""
        return self._precision

    @precision.setter
    def precision(self, value: float | None) -> None:
        self._precision = None if value is None else _checks.number("precision", value, 0.0)

    def _after_fork(self) -> None:
        """In a child: a training or prediction of a thread that stayed behind is none any more."""
        lock = _forks.free(self._lock)
        if lock is not self._lock:
            self._lock, self._busy, self._averaged = lock, False, False

    def _ready_to_train(self, X: Any) -> Readied:
        """Finalized for X, to train."""
        self._need_trainable()
        return self._readied(X)

    def _need_trainable(self) -> None:
        """RuntimeError while it is being trained, ValueError without a loss or an optimizer: before any of the data's
        errors."""
        model: Any = self
        self._need_rest("be trained")
        model.loss_object, model.optimizer_object  # noqa: B018

    def _need_rest(self, what: str) -> None:
        """RuntimeError while the model is being trained, in callbacks and streams."""
        if self._averaged:
            raise RuntimeError(f"the averaged weights are in place: the model cannot {what}")
        if self._busy:
            raise RuntimeError(f"the model is being trained: it cannot {what} by a callback or a stream")

    def _readied(self, X: Any) -> Readied:
        """Finalized for X."""
        return Readied(self, X)

    def _run(self, run: Run, verbose: int) -> History:
        self._busy = True
        try:
            if verbose and run.progress is None:
                from fastnn._progress import training_bar

                with training_bar() as bar:
                    run.progress = bar
                    run.run()
            else:
                run.run()
        finally:
            self._busy = False
        return self.history

    def train_stream(
        self,
        batches: Batches,
        *,
        epochs: int = 1,
        steps_per_epoch: int | None = None,
        print_every: int = 0,
        validation_data: tuple[ArrayLike, ...] | None = None,
        class_weight: Any = None,
        accumulate: int = 1,
        callbacks: Callbacks = (),
        time_limit: float | None = None,
        resume: str | os.PathLike[str] | None = None,
        check_finite: bool = True,
        verbose: int = 0,
        progress: Progress | None = None,
    ) -> History:
        """Train on batches as they come, for data that do not fit into memory or have no end; returns the history.

        batches: (X, y) or (X, y, sample_weight), each one batch of any number of rows: a list or another iterable, gone
        through once an epoch, or with steps_per_epoch on from where the last epoch ended; an iterator or generator,
        which lasts for one epoch, or as many as steps_per_epoch takes from it; or a function that makes a new iterator
        for each epoch. steps_per_epoch: batches an epoch, None for all. class_weight: as in ``train``, but for
        "balanced", for which all rows would have to be there. All else as in ``train``. Batches of the rows
        that ``train`` would take, in their order, give its bits. Rows that lie in one array, memory-mapped for
        instance, need no stream.

        resume: a file to go on from, as in ``train``; ``epochs`` is then the total. Of an epoch that was broken off, as
        many batches as it had taken are drawn and passed over, so that the bits are those of an unbroken training
        where the stream gives the same batches again: a list does, a function does that makes each epoch's from
        ``model.epochs_done``; an iterator has to begin where that epoch began. A list begins at its first batch again,
        which is not where a steps_per_epoch that does not divide its length had left it.

        Raises as ``train`` does, naming the batch, and ValueError for a stream that has ended before its epochs.
        """
        from fastnn import _stream

        model: Any = self
        with self._lock:
            self._need_trainable()  # and all else that can be checked before a batch is drawn, which is gone then
            beside = control(callbacks, print_every, progress, time_limit, check_finite)
            settings = _stream.Settings.checked(model, epochs, accumulate, class_weight)
            source = _stream.Source(batches, steps_per_epoch)
            with self._ready_to_train(source.first[0]):
                run = _stream.StreamRun(
                    model, source, beside, settings, validation_data=validation_data,
                    total_epochs=resume is not None, resumed=_resume.saved(model, resume),
                )  # fmt: skip
            return self._run(run, verbose)

    def train_on_batch(
        self,
        X: ArrayLike,
        y: ArrayLike,
        *,
        sample_weight: ArrayLike | None = None,
        class_weight: Any = None,
        check_finite: bool = True,
    ) -> Evaluation:
        """One step of the optimizer on these rows; returns (loss, accuracy) before it, without penalties.

        sample_weight, class_weight: as in ``train``. The model's step count goes on, its epochs and history do not.
        Raises as ``train`` does.
        """
        model: Any = self
        with self._lock, self._ready_to_train(X) as X:
            return _runs.train_on_batch(model, X, y, check_finite, sample_weight, class_weight)

    def test_on_batch(self, X: ArrayLike, y: ArrayLike) -> Evaluation:
        """Keras's name for ``evaluate`` of one batch: (loss, accuracy), without penalties."""
        model: Any = self
        evaluation: Evaluation = model.evaluate(X, y)
        return evaluation

    def keep_callbacks(self, callbacks: CallbackSet) -> None:
        """From now on a file keeps the state of these."""
        self._callbacks = callbacks

    @property
    def callback_states(self) -> list[dict[str, Any]]:
        """The states of the last training's callbacks, or those of the file."""
        return self._callback_states if self._callbacks is None else self._callbacks.states()

    @callback_states.setter
    def callback_states(self, states: list[dict[str, Any]]) -> None:
        self._callback_states, self._callbacks = states, None
