"""Callbacks: your own Python at the edges of a training, its epochs and its steps.

``model.train(X, y, callbacks=[EarlyStopping(patience=20), CSVLogger("run.csv")])``. Python runs only where a callback
has something to say: at each step only where one of them overrides a hook of the batch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from fastnn.callbacks._base import Callback, LambdaCallback

if TYPE_CHECKING:
    from fastnn.callbacks._logs import CSVLogger, TensorBoard
    from fastnn.callbacks._monitors import EarlyStopping, ModelCheckpoint, ReduceLROnPlateau
    from fastnn.callbacks._rate import LearningRateScheduler

__all__ = [
    "CSVLogger",
    "Callback",
    "EarlyStopping",
    "LambdaCallback",
    "LearningRateScheduler",
    "ModelCheckpoint",
    "ReduceLROnPlateau",
    "TensorBoard",
]

# loaded when first asked for, as in the package's front door: every model imports the base of them
_LAZY = {
    "CSVLogger": "_logs",
    "EarlyStopping": "_monitors",
    "LearningRateScheduler": "_rate",
    "ModelCheckpoint": "_monitors",
    "ReduceLROnPlateau": "_monitors",
    "TensorBoard": "_logs",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'fastnn.callbacks' has no attribute {name!r}")
    return getattr(import_module(f"fastnn.callbacks.{_LAZY[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY})
