"""``fit_many``: many models over shared data, a thread each."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from fastnn import _checks, _core
from fastnn._threads import available_threads
from fastnn.callbacks._base import Callback, CallbackSet
from fastnn.model import Model

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from fastnn._online import Callbacks
    from fastnn.history import History


class ManyProgress(Protocol):
    """What ``fit_many(progress=...)`` calls, from any of its threads but one at a time."""

    def update(self, *, model: int, epoch: int, epochs: int, loss: float, accuracy: float) -> None: ...


class _StopError(Exception):
    """Raised inside a training that another one's failure, or Ctrl-C, has made pointless."""


class _Watch:
    """Told by one training how far it is; passes that on, and stops the training where all are to stop."""

    def __init__(self, index: int, stop: threading.Event, lock: threading.Lock, outer: ManyProgress | None) -> None:
        self.index, self.stop, self.lock, self.outer = index, stop, lock, outer

    def update(self, *, epoch: int, epochs: int, step: int, steps: int, loss: float, accuracy: float) -> None:
        if self.stop.is_set():
            raise _StopError
        if self.outer is not None:
            with self.lock:
                self.outer.update(model=self.index, epoch=epoch, epochs=epochs, loss=loss, accuracy=accuracy)


def fit_many(
    models: Iterable[Model],
    X: ArrayLike,
    y: ArrayLike,
    *,
    epochs: int | Sequence[int] = 1,
    batch_size: int | Sequence[int | None] | None = 32,
    shuffle: bool = True,
    validation_data: tuple[ArrayLike, ...] | None = None,
    validation_split: float = 0.0,
    sample_weight: ArrayLike | None = None,
    class_weight: Any = None,
    accumulate: int = 1,
    callbacks: Sequence[Callbacks] | None = None,
    time_limit: float | None = None,
    check_finite: bool = True,
    n_jobs: int = -1,
    progress: ManyProgress | None = None,
) -> list[History]:
    """Fit models of any shapes, seeds and hyper-parameters to the same data, several at a time; returns their
    histories.

    Each model trains on one thread, with the bits it would have by itself, whatever ``n_jobs``: how many at a time, -1
    for as many as this process has processors. The data are shared, not copied. epochs and batch_size: one for all, or
    one for each model. callbacks: a list of them for each model, called in its thread; one object serves one model.
    time_limit: of each. Other arguments as in ``Model.fit``. progress: an object whose ``update(model=, epoch=,
    epochs=, loss=, accuracy=)`` is called about ten times a second for each running model.

    Where one model fails, the others stop at a full step and its error is raised, with the model's index in a note;
    Ctrl-C stops all of them in the same way. ValueError for the same model given twice, and for models that share an
    optimizer, whose learning rate a callback of one would change for the other.
    """
    jobs: list[Model] = _checks.listed("models", models, "a list of models")
    for i, model in enumerate(jobs):
        if not isinstance(model, Model):
            raise TypeError(f"models[{i}]: expected a Model, got {type(model).__name__}")
    if len({id(model) for model in jobs}) != len(jobs):
        raise ValueError("models: the same model is given twice; make one for each fit")
    _need_own_optimizers(jobs)
    if _checks.whole("n_jobs", n_jobs, -1) == 0:
        raise ValueError("n_jobs: expected -1 or at least 1, got 0")
    each_epochs, each_batch = _each("epochs", epochs, len(jobs)), _each("batch_size", batch_size, len(jobs))
    each_callbacks = _callbacks(callbacks, len(jobs))
    graphs = any(model._graph is not None for model in jobs)  # their lists and dicts of arrays each has to order itself
    rows: Any = X if graphs and isinstance(X, (list, tuple, dict)) else _checks.as_rows("X", X)
    targets = _checks.as_array("y", y)
    if targets.ndim == 1 and targets.dtype.kind in "iu" and targets.size and abs(int(targets.max())) < 2**31:
        targets = np.ascontiguousarray(targets, np.int64 if int(targets.min()) < -(2**31) else np.int32)

    stop, lock = threading.Event(), threading.Lock()

    def fit(i: int) -> History:
        _core.stay_serial(True)
        return jobs[i].train(
            rows,
            targets,
            epochs=each_epochs[i],
            batch_size=each_batch[i],
            shuffle=shuffle,
            validation_data=validation_data,
            validation_split=validation_split,
            accumulate=accumulate,
            time_limit=time_limit,
            sample_weight=sample_weight,
            class_weight=class_weight,
            callbacks=each_callbacks[i],
            check_finite=check_finite,
            progress=_Watch(i, stop, lock, progress),
        )

    threads = available_threads() if n_jobs == -1 else n_jobs
    with ThreadPoolExecutor(max(1, min(threads, len(jobs))), "fastnn") as pool:
        futures = [pool.submit(fit, i) for i in range(len(jobs))]
        try:
            left = set(futures)
            while left and not any(f.exception() for f in futures if f.done()):
                # in short waits: on some systems Ctrl-C does not end a long one
                left = wait(left, timeout=0.1, return_when=FIRST_EXCEPTION).not_done
        finally:
            if any(not f.done() or f.cancelled() or f.exception() for f in futures):
                stop.set()
                for f in futures:
                    f.cancel()
    for i, f in enumerate(futures):
        error = None if f.cancelled() else f.exception()
        if error is not None and not isinstance(error, _StopError):
            error.add_note(f"in fit_many, models[{i}]")
            raise error
    return [f.result() for f in futures]


def _callbacks(given: Any, count: int) -> list[Any]:
    """A list of callbacks for each model, no object in two of them."""
    if given is None:
        return [()] * count
    if isinstance(given, Callback) or not isinstance(given, Sequence):
        raise TypeError(f"callbacks: expected a list of callbacks for each model, got {given!r}")
    if len(given) != count:
        raise ValueError(f"callbacks: expected {count} lists, one for each model, got {len(given)}")
    seen: dict[int, int] = {}
    each = [CallbackSet(mine).callbacks for mine in given]  # lists: an iterator can be gone through once
    for i, mine in enumerate(each):
        for callback in mine:
            if seen.setdefault(id(callback), i) != i:
                raise ValueError(
                    f"callbacks: the same object is given for models[{seen[id(callback)]}] and models[{i}]"
                )
    return each


def _need_own_optimizers(models: Sequence[Model]) -> None:
    seen: dict[int, int] = {}
    for i, model in enumerate(models):
        first = i if model.optimizer is None else seen.setdefault(id(model.optimizer), i)
        if first != i:
            raise ValueError(f"models: models[{first}] and models[{i}] share one optimizer object: give each its own")


def _each(name: str, value: Any, count: int) -> list[Any]:
    if value is None or isinstance(value, (int, np.integer)):
        return [value] * count
    values = _checks.listed(name, value, "a whole number, or one for each model")
    if len(values) != count:
        raise ValueError(f"{name}: expected one, or {count}, one for each model, got {len(values)}")
    return values
