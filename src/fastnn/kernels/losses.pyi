from typing import Any, TypeAlias

import numpy as np

_Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]

HEADS: dict[str, str]

def loss_forward(
    loss: str,
    losses: _Array,
    p: _Array,
    t: _Array | None = None,
    labels: _Array | None = None,
    parameter: float = 0.0,
) -> None: ...
def loss_backward(
    loss: str,
    dp: _Array,
    p: _Array,
    t: _Array | None = None,
    labels: _Array | None = None,
    scale: float = 1.0,
    head: bool = False,
    parameter: float = 0.0,
) -> None: ...
def count_right(
    metric: str,
    p: _Array,
    t: _Array | None = None,
    labels: _Array | None = None,
    precision: float = 0.0,
    threshold: float = 0.5,
) -> int: ...
def labels_of(labels: _Array, classes: int) -> _Array | None: ...
def quick_forward(loss: str, p: Any, targets: Any) -> Any: ...
def quick_backward(loss: str, p: Any, targets: Any, merged: bool) -> Any: ...
def quick_mean(loss: str, p: Any, targets: Any) -> Any: ...
def quick_head(activation: str, loss: str, z: Any, targets: Any) -> Any: ...
def smooth_targets(
    y: _Array, t: _Array | None = None, labels: _Array | None = None, keep: float = 1.0, floor: float = 0.0
) -> None: ...
