from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from fastnn.engine.buffers import Buffers
from fastnn.engine.feed import Data, Head
from fastnn.engine.plan import Plan

_Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]

class Probe:
    def __init__(
        self,
        plan: Plan,
        buffers: Buffers,
        data: Data,
        out: _Array,
        head: Head | None = None,
        outputs: _Array | None = None,
    ) -> None: ...
    def run(self, air: Callable[[], object]) -> None: ...

def predict_samples(
    plan: Plan, buffers: Buffers, data: Data, out: _Array, seed: int, air: Callable[[], object]
) -> _Array: ...
