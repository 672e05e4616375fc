"""Long service: resident memory stays flat over a million predictions and ten thousand trainings.

Each kind of work runs in a process of its own. After a twentieth of it, when caches and arenas are there, the resident
memory is read; at the end it may have grown by at most GROWTH. A leak of a single object of 64 bytes in each of a
million predictions would be 61 MB, and in each of ten thousand trainings 0.6 MB: the bound sees either.
"""

from __future__ import annotations

import os
import sys

import pytest
from small import python

pytestmark = [
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads resident memory from Linux's /proc"),
    pytest.mark.skipif("FASTNN_SANITIZED" in os.environ, reason="the sanitizer keeps what was freed for a while"),
]
GROWTH = 512 << 10  # bytes of resident memory
LESS = 160 << 10  # of a thousand trainings

SOAK = """
import gc, sys
import numpy as np
from fastnn import BatchNorm, Dense, Dropout, Model, Residual

def resident():
    gc.collect()
    with open("/proc/self/statm") as pages:
        return int(pages.read().split()[1]) * 4096

def made(seed=0):
    hidden = [Dense(4, 8, activation="gelu"), Dropout(0.1), BatchNorm(), Residual([Dense(8)])]
    model = Model([*hidden, Dense(3, activation="softmax")], seed=seed)
    model.set(loss="categorical_crossentropy", optimizer="adam", metrics=["f1"])
    return model

X = np.random.default_rng(0).standard_normal((32, 4)).astype(np.float32)
y = np.arange(32) % 3
model = made()
model.train(X, y)
session, out, kept = model.session(), np.empty(3, np.float32), []

def predictions(i):
    session(X[i % 32])
    session.run(X[i % 32], out=out)
    model.predict(X[: i % 32 + 1])
    if i % 10 == 0:
        session(X.tolist() if i % 1000 == 0 else X)
        for ask in (session, model.predict):
            try: ask(X[:, :3])
            except ValueError: pass
    if i % 5000 == 4000:
        session.swap(model)

def trainings(i):
    # a model of its own, trained, asked, copied, thrown away; and one that goes on, without history
    short = made(i)
    short.train(X, y, epochs=2, batch_size=16, shuffle=True, validation_data=(X, y))
    short.predict(X)
    if i % 10 == 0:
        Model.from_bytes(short.to_bytes()).session()(X)
        try: short.train(X[:, :3], y)
        except ValueError: pass
    model.train_on_batch(X, y)

def leak(i):
    session(X[i % 32])
    kept.append(bytes(64))

def leaking_trainings(i):
    trainings(i)
    kept.append(bytes(256))

work, count = globals()[sys.argv[1]], int(sys.argv[2])
first = max(count // 20, 200)
for i in range(first):
    work(i)
before = resident()
for i in range(first, count):
    work(i)
print(resident() - before)
"""


def growth(work: str, count: int) -> int:
    grown = int(python(SOAK, work, count, timeout=1800, MALLOC_ARENA_MAX="1"))
    print(f"{count} {work}: {grown / 1024:.0f} KB of resident memory more")
    return grown


def test_memory_stays_flat_for_a_while() -> None:
    assert growth("predictions", 30_000) < GROWTH
    assert growth("trainings", 1_000) < LESS


def test_a_leak_is_seen() -> None:
    """Negative controls: 64 bytes kept of each prediction, 256 of each training, in the short form."""
    assert growth("leak", 30_000) > GROWTH
    assert growth("leaking_trainings", 1_000) > LESS


@pytest.mark.slow  # some three minutes
@pytest.mark.parametrize(("work", "count"), [("predictions", 1_000_000), ("trainings", 10_000)])
def test_memory_stays_flat(work: str, count: int) -> None:
    assert growth(work, count) < GROWTH
