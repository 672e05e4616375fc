"""G1. Training at 1, 2, 3, 4 and 8 threads, 20 architectures in both types, every third with batch normalization, 100
steps each; the pool must have worked in each."""

from __future__ import annotations

from typing import Any

import numpy as np
from promise import Figure, digest, none_of

import fastnn
from fastnn import BatchNorm, Dense, Dropout, Model, _core

PROMISE = "the same bits for any number of threads"
THREADS = (1, 2, 3, 4, 8)


NORMALIZED = 1 << 17  # elements from which batch normalization is shared out


def architectures(count: int) -> list[tuple[list[int], str, str, int, str, bool]]:
    """(widths, activation, optimizer, batch, type, normalized), large enough that their products are shared out, and
    batch normalization where there is some."""
    rng = np.random.default_rng(1)
    made = []
    for i in range(count):
        widths = [int(n) for n in rng.integers(60, 400, rng.integers(2, 5))] + [int(rng.integers(2, 12))]
        activation = ("relu", "tanh", "gelu", "silu")[i % 4]
        optimizer, batch = ("adam", "sgd", "rmsprop", "adamw", "lion")[i % 5], int(rng.integers(200, 700))
        if i % 3 == 0:
            batch = max(batch, -(-NORMALIZED // widths[1]))
        made.append((widths, activation, optimizer, batch, ("float32", "float64")[i % 2], i % 3 == 0))
    return made


def trained(
    widths: list[int], activation: str, optimizer: str, batch: int, dtype: str, normalized: bool, steps: int
) -> str:
    """The hash of everything that training leaves."""
    rng = np.random.default_rng(widths[0])
    X = rng.standard_normal((2 * batch, widths[0])).astype(np.float32)
    y = rng.integers(0, widths[-1], 2 * batch)
    hidden: list[Any] = [Dense(n, activation=activation) for n in widths[1:-1]]
    if normalized and hidden:
        hidden.insert(1, BatchNorm())
    model = Model([*hidden, Dropout(0.1), Dense(widths[-1], activation="softmax")], seed=3, dtype=dtype)
    model.set(loss="categorical_crossentropy", optimizer=optimizer)
    if optimizer == "sgd":
        assert model.optimizer is not None
        model.optimizer.learning_rate = 0.01
    model.train(X, y, epochs=-(-steps // 2), batch_size=batch, shuffle=True)
    return digest(model.plan.params, *model.plan.states, model.predict(X))


def prove(full: bool) -> Figure:
    before, different, tried, alone = fastnn.get_num_threads(), 0, 0, 0
    try:
        for architecture in architectures(20 if full else 3):
            hashes = []
            for threads in THREADS if full else THREADS[:3]:
                fastnn.set_num_threads(threads)
                hashes.append(trained(*architecture, steps=100 if full else 4))
                alone += _core.threads_started() != threads - 1
            different += sum(h != hashes[0] for h in hashes)
            tried += len(hashes)
    finally:
        fastnn.set_num_threads(before)
    if alone:
        return Figure(False, f"{alone} of {tried} trainings were not shared out")
    return none_of(different, tried, "trainings differ")


def break_it(monkeypatch: Any) -> None:
    """With three threads the last bit of a hash turns."""
    good = trained

    def bad(*args: Any, **options: Any) -> str:
        value = good(*args, **options)
        return value[:-1] + f"{int(value[-1], 16) ^ 1:x}" if fastnn.get_num_threads() == 3 else value

    monkeypatch.setitem(globals(), "trained", bad)
