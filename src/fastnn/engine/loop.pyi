from typing import Any, TypeAlias

import numpy as np

from fastnn.engine.feed import Data, Evaluator, Head
from fastnn.engine.plan import Buffers, Plan

_Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]

RECORD: tuple[str, ...]
DONE: int
PAUSED: int
FULL: int
STEP: int
NONFINITE: int

class Trainer:
    def __init__(
        self,
        plan: Plan,
        b: Buffers,
        data: Data,
        head: Head,
        optimizer: tuple[str, tuple[float, ...], float, float],
        steps_done: int,
        epochs_done: int,
        epochs: int,
        batch: int,
        shuffle: bool,
        seed: int,
        validation: Evaluator | None = None,
        check_finite: bool = True,
        step_every: int = 0,
        epoch_every: int = 1,
        twister: _Array | None = None,
    ) -> None: ...
    @property
    def penalty_before(self) -> float: ...
    @property
    def recorded(self) -> int: ...
    @property
    def steps_done(self) -> int: ...
    @property
    def epochs_done(self) -> int: ...
    @property
    def epochs_left(self) -> int: ...
    @property
    def row(self) -> int: ...
    @property
    def step_in_epoch(self) -> int: ...
    @property
    def steps_per_epoch(self) -> int: ...
    def peek_records(self) -> _Array: ...
    def drop_records(self) -> None: ...
    def finish_epoch(self) -> None: ...
    def running(self) -> tuple[float, float]: ...
    def last_step(self) -> tuple[float, float, float]: ...
    def first_not_finite(self) -> int | None: ...
    def regularization_loss(self) -> float: ...
    def gradients(self) -> float: ...
    def run(self) -> int: ...
