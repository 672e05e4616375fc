from typing import Any, TypeAlias

import numpy as np

_Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]

def dropout_threshold(rate: float) -> int: ...
def dropout_forward(y: _Array, mask: _Array, x: _Array, rate: float, seed: int, stream: int, step: int) -> None: ...
