"""Callbacks: your own Python at the edges of a training, its epochs and its steps.

``model.train(X, y, callbacks=[EarlyStopping(patience=20), CSVLogger("run.csv")])``. Python runs only where a callback
has something to say: at each step only where one of them overrides a hook of the batch.
"""

from fastnn.callbacks._base import Callback, LambdaCallback
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
