from typing import Any, TypeAlias

import numpy as np

_Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]
_Row: TypeAlias = _Array | None

def column_moments(mean: _Array, variance: _Array, x: _Array) -> None: ...
def normalize_columns(
    y: _Array, x: _Array, mean: _Row, variance: _Array, gamma: _Row, beta: _Row, epsilon: float
) -> None: ...
def batch_norm_forward(
    y: _Array, mean: _Array, variance: _Array, x: _Array, gamma: _Row, beta: _Row, epsilon: float
) -> None: ...
def batch_norm_backward(
    dx: _Array,
    dgamma: _Row,
    dbeta: _Row,
    dy: _Array,
    x: _Array,
    mean: _Array,
    variance: _Array,
    gamma: _Row,
    epsilon: float,
) -> None: ...
def layer_norm_forward(y: _Array, stats: _Array, x: _Array, gamma: _Row, beta: _Row, epsilon: float) -> None: ...
def layer_norm_backward(
    dx: _Array, dgamma: _Row, dbeta: _Row, dy: _Array, x: _Array, stats: _Array, gamma: _Row, go_on: bool = False
) -> None: ...
