from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from fastnn.engine.buffers import Buffers
from fastnn.engine.plan import Plan
from fastnn.engine.tally import Tally

_Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]

class Data:
    def __init__(
        self,
        plan: Plan,
        X: _Array,
        targets: _Array | None = None,
        labels: _Array | None = None,
        weights: _Array | None = None,
    ) -> None: ...
    @property
    def n(self) -> int: ...
    @property
    def has_labels(self) -> bool: ...
    @staticmethod
    def can_gather(dtype: Any) -> bool: ...

class Head:
    def __init__(
        self,
        loss: str,
        merged: bool,
        metric: str | None = None,
        limit: float = 0.0,
        parameter: float = 0.0,
        keep: float = 1.0,
        floor: float = 0.0,
        part: Any = None,
        tally: Tally | None = None,
    ) -> None: ...
    @property
    def merged(self) -> bool: ...
    @property
    def tally(self) -> Tally | None: ...

class Evaluator:
    def __init__(self, plan: Plan, buffers: Buffers, data: Data, head: Head) -> None: ...
    def run(self, air: Callable[[], object]) -> tuple[float, float]: ...

def predict(plan: Plan, buffers: Buffers, data: Data, out: _Array, air: Callable[[], object]) -> _Array: ...
