"""G4. Trainings with checkpoints are killed (SIGKILL) at random points, resumed, and killed again: what they come to in
the end is what a training came to that nobody touched: weights, optimizer state, history (tests/test_file_kills.py).
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import test_file_kills as kills
from promise import Figure, digest

from fastnn import Dense, Dropout, Model

PROMISE = "same seed, same run; a resumed run equals an uninterrupted one"


def run(seed: int) -> str:
    """The hash of a training from a seed."""
    model = Model([Dense(20, activation="relu"), Dropout(0.2), Dense(3, activation="softmax")], seed=seed)
    model.set(loss="categorical_crossentropy", optimizer="adam")
    model.train(kills.X, kills.Y, epochs=3, batch_size=16, shuffle=True)
    return digest(model.plan.params, *model.plan.states)


def prove(full: bool) -> Figure:
    seeds = range(200 if full else 5)
    different = sum(run(seed) != run(seed) for seed in seeds)
    alike = len({run(seed) for seed in seeds}) != len(seeds)  # seeds that do nothing
    count = 200 if full else 10
    with tempfile.TemporaryDirectory() as folder:
        try:
            kills.test_killed_trainings_end_with_the_bits_of_one_that_was_not(count, Path(folder))
        except AssertionError as error:
            return Figure(False, f"a resumed training differs: {str(error)[:200]}")
    text = f"{different} of {len(seeds)} runs differ when repeated; {count} of {count} kills resumed bit for bit"
    return Figure(different == 0 and not alike, text)


def break_it(monkeypatch: Any) -> None:
    """What a resumed training came to has one bit turned."""
    good, calls = kills.bits, iter(range(10**9))

    def bad(model: Model) -> bytes:
        value = bytearray(good(model))
        value[0] ^= next(calls) == 0
        return bytes(value)

    monkeypatch.setattr(kills, "bits", bad)
