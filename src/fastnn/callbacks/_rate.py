"""The learning rate by a function of the epoch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastnn.callbacks._base import Callback, Logs
from fastnn.callbacks._monitors import number
from fastnn.schedules import Schedule


class LearningRateScheduler(Callback):
    """Before each epoch, set the optimizer's learning rate to ``schedule(epoch, learning_rate)``; of a function that
    takes no more, ``schedule(epoch)``.

    epoch counts from 0 over all that the model was trained; learning_rate is the present one, a number. The optimizer's
    decay goes on top. What changes by the step is a schedule of ``fastnn.schedules``: where the optimizer has one, the
    first epoch gets the rate that it gives for the step at hand, and the callback takes its place.
    ValueError or TypeError where the schedule does not give a number of at least 0.
    """

    def __init__(self, schedule: Callable[[int, float], float] | Callable[[int], float]) -> None:
        if not callable(schedule):
            raise TypeError(f"LearningRateScheduler: schedule: expected a function, got {schedule!r}")
        self.schedule: Callable[..., Any] = schedule
        self.by_epoch = _takes_one(schedule)

    def on_epoch_begin(self, epoch: int, logs: Logs) -> None:
        optimizer = self.model.optimizer_object
        present = optimizer.learning_rate
        if isinstance(present, Schedule):
            present = present(self.model.steps_done)
        rate = self.schedule(epoch) if self.by_epoch else self.schedule(epoch, present)
        optimizer.learning_rate = number("LearningRateScheduler", f"schedule({epoch}, ...)", rate, 0.0)


def _takes_one(function: Callable[..., Any]) -> bool:
    """Whether one argument is all that it can be called with."""
    import inspect  # a millisecond of every import otherwise

    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # of some that are not written in Python
        return False
    for arguments, fits in (((0, 0.1), False), ((0,), True)):
        try:
            signature.bind(*arguments)
        except TypeError:
            continue
        return fits
    return False
