"""A small classifier and its data, for tests of what a model does rather than of what it learns."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

import fastnn
from fastnn import Dense, Dropout, Model
from fastnn.optimizers import Adam

X = np.random.default_rng(3).standard_normal((90, 4)).astype(np.float32)
Y = X[:, :3].argmax(axis=1)


def classifier(seed: int | None = 1, **options: Any) -> Model:
    model = Model([Dense(16, activation="relu"), Dropout(0.1), Dense(3, activation="softmax")], seed=seed, **options)
    model.set(loss="categorical_crossentropy", optimizer=Adam(0.01, decay=1e-3))
    return model


def trained(**options: Any) -> Model:
    model = classifier(**options)
    model.train(X, Y, epochs=2, batch_size=30)
    return model


def python(code: str, *arguments: Any, timeout: float = 300, **environment: str) -> str:
    """What a process of its own prints."""
    env = os.environ | {"PYTHONPATH": str(Path(fastnn.__file__).resolve().parents[1])} | environment
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)], env=env, capture_output=True, text=True, timeout=timeout
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


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
