from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

_Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]

def dense_forward(y: _Array, z: _Array, x: _Array, w: _Array, b: _Array, activation: str = "linear") -> None: ...
def dense_backward(dx: _Array | None, dw: _Array, db: _Array, dz: _Array, x: _Array, w: _Array) -> None: ...
def dot(a: ArrayLike, b: ArrayLike, out: _Array | None = None) -> Any: ...
