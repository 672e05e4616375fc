from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np

_Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]

def optimizer_step(
    optimizer: str,
    w: _Array,
    g: _Array,
    state0: _Array | None,
    state1: _Array | None,
    learning_rate: float,
    parameters: Sequence[float],
    t: int,
    state2: _Array | None = None,
) -> None: ...
def penalty(w: _Array, l1: float, l2: float) -> float: ...
def penalty_backward(dw: _Array, w: _Array, l1: float, l2: float) -> None: ...
def quick_steps(
    optimizer: str,
    arrays: tuple[tuple[Any, Any, tuple[Any, ...]], ...],
    learning_rate: float,
    parameters: tuple[float, ...],
    t: int,
) -> bool: ...
def quick_penalty(w: Any, l1: float, l2: float) -> Any: ...
def quick_penalty_backward(dw: Any, w: Any, l1: float, l2: float) -> bool: ...
