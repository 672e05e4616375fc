"""A small classifier and its data, for tests of what a model does rather than of what it learns."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from fastnn import Dense, Dropout, Model
from fastnn.optimizers import Adam

X = np.random.default_rng(3).standard_normal((90, 4)).astype(np.float32)
Y = X[:, :3].argmax(axis=1)


def classifier(seed: int | None = 1, **options: Any) -> Model:
    model = Model([Dense(16, activation="relu"), Dropout(0.1), Dense(3, activation="softmax")], seed=seed, **options)
    model.set(loss="categorical_crossentropy", optimizer=Adam(0.01, decay=1e-3))
    return model


def bits(model: Model) -> bytes:
    return model.plan.params.tobytes()


@contextmanager
def ctrl_c_raises() -> Iterator[None]:
    """KeyboardInterrupt comes, also where the suite was started with a shell's &, which has SIGINT ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
