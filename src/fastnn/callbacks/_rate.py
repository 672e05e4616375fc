"""The learning rate by a function of the epoch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastnn.callbacks._base import Callback, Logs
from fastnn.callbacks._monitors import number


class LearningRateScheduler(Callback):
    """Before each epoch, set the optimizer's learning rate to ``schedule(epoch, learning_rate)``.

    epoch counts from 0 over all that the model was trained; learning_rate is the present one. The optimizer's decay
    goes on top. What changes by the step is a schedule of ``fastnn.schedules``, which this callback would replace.
    ValueError or TypeError where the schedule does not give a number of at least 0.
    """

    def __init__(self, schedule: Callable[[int, float], float]) -> None:
        if not callable(schedule):
            raise TypeError(f"LearningRateScheduler: schedule: expected a function, got {schedule!r}")
        self.schedule: Callable[..., Any] = schedule

    def on_epoch_begin(self, epoch: int, logs: Logs) -> None:
        optimizer = self.model.optimizer_object
        rate = self.schedule(epoch, optimizer.learning_rate)
        optimizer.learning_rate = number("LearningRateScheduler", f"schedule({epoch}, ...)", rate, 0.0)
