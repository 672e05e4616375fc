"""What test_state_machine.py hands to a model: arguments that are right, and others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import strategies as st

import fastnn
from fastnn import Add, BatchNorm, Dense, Dropout, Input, LayerNorm, Model, Residual, Session
from fastnn.layers import Normalization, Rescale
from fastnn.optimizers import LBFGS, SGD, Adam

N_IN, CLASSES = 4, 3
RNG = np.random.default_rng(11)
X = RNG.standard_normal((24, N_IN)).astype(np.float32)
LABELS = (np.arange(24) % CLASSES).astype(np.int64)
HOT = np.eye(CLASSES)[LABELS]

LAYERS: dict[str, Callable[[], Any]] = {
    "dense": lambda: Dense(5, activation="relu"),
    "dense, two sizes": lambda: Dense(4, 6),
    "tanh": lambda: Dense(N_IN, activation="tanh", weight_regularizer_l2=1e-3),
    "dropout": lambda: Dropout(0.25),
    "batch norm": BatchNorm,
    "layer norm": LayerNorm,
    "rescale": lambda: Rescale(0.5, 0.1),
    "normalization": Normalization,
    "residual": lambda: Residual([Dense(7), Dense(N_IN)]),
    "residual, projected": lambda: Residual([Dense(5)], projection=True),
    "input": lambda: Input(N_IN),
    "activation": lambda: fastnn.ReLU(),
    # what is no layer for a row
    "a class": lambda: Dense,
    "a number": lambda: 3,
    "a join": Add,
    "nothing": lambda: None,
}
ROWS: dict[str, Any] = {
    "float32": X,
    "float64": X.astype(np.float64),
    "a stride": np.repeat(X, 2, axis=0)[::2],
    "turned": np.asfortranarray(X),
    "backwards": X[::-1],
    "one row": X[:1],
    "bytes": (X * 40).astype(np.int8),
    "a list": X.tolist(),
    "none": X[:0],
    "one dimension": X[0],
    "three dimensions": X[None],
    "other width": np.hstack([X, X]),
    "NaN": np.where(np.arange(N_IN) == 1, np.nan, X),
    "infinity": np.where(np.arange(N_IN) == 2, np.inf, X),
    "huge": X * np.float32(1e38),
    "texts": np.full((24, N_IN), "1"),
    "complex": X.astype(complex),
    "objects": np.full((24, N_IN), None),
    "nothing": None,
    "endless": np.broadcast_to(np.ones((1, N_IN), np.float32), (2**40, N_IN)),
}
TARGETS: dict[str, Any] = {
    "labels": LABELS,
    "one hot": HOT,
    "labels of bytes": LABELS.astype(np.uint8),
    "floats": RNG.random((24, CLASSES)),
    "too few": LABELS[:5],
    "out of range": LABELS + 2,
    "negative": LABELS - 1,
    "other width": np.ones((24, 7)),
    "NaN": np.where(HOT, np.nan, 0),
    "texts": np.full(24, "a"),
    "nothing": None,
    "a number": 3.0,
}
LOSSES = [
    "categorical_crossentropy",
    "mse",
    "mae",
    "categorical_hinge",
    "binary_crossentropy",
    "huber",
    "no such loss",
    7,
    Dense,
]
OPTIMIZERS: dict[str, Callable[[], Any]] = {
    "adam": lambda: "adam",
    "Adam": lambda: Adam(0.01, decay=1e-3, clip_norm=1.0, use_ema=True),
    "sgd": lambda: SGD(0.05, momentum=0.9),
    "lion": lambda: "lion",
    "lbfgs": lambda: LBFGS(history_size=3),
    "unknown": lambda: "madam",
    "a number": lambda: 0.1,
}
RATES = st.sampled_from([0, 0.5, 2, -1, float("nan"), "x", True, None])
SIZES = st.sampled_from([None, 1, 7, 24, 100, 0, -3, 2.5, "8", 2**70])
EPOCHS = st.sampled_from([1, 2, 0, -1, 1.5, "2", 2**80])
BLOBS = ("cut", "flipped", "empty", "text")


def fitting(model: Model | Session) -> Any:
    """Rows of the width that it has."""
    return np.resize(X, (len(X), model.plan.n_in if isinstance(model, Model) else model.n_in))


def says_something(error: BaseException) -> None:
    if len(str(error)) < 9:
        raise AssertionError(f"{type(error).__name__} says {str(error)!r}") from error
