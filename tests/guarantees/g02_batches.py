"""G2. 500 networks of generated shapes; each row alone, by predict and by a session, against the same row in batches of
1 to 257 rows; and some that are wide enough for a prediction to go in several blocks, with normalizations and blocks
that are added up."""

from __future__ import annotations

from typing import Any

import numpy as np
from promise import Figure, none_of

from fastnn import BatchNorm, Dense, LayerNorm, Model, Residual
from fastnn.activations import Activation

PROMISE = "the same bits for a row in any batch"
NAMES = sorted({cls.names[0] for cls in Activation.registry.values()})


def predict(model: Model, X: Any) -> Any:
    return model.predict(X)


def across_blocks(i: int) -> bool:
    """Whether rows of a prediction in three blocks and more are not those of other cuts."""
    rng, width = np.random.default_rng(i), 400 + 90 * i
    block: list[Any] = [LayerNorm(), Dense(width, activation="gelu")]
    layers: list[Any] = [Dense(width, activation="tanh"), BatchNorm(), Residual(block), Dense(5, activation="softmax")]
    model = Model(layers, seed=i, dtype=("float32", "float64")[i % 2])
    model.finalize(31)
    X = rng.standard_normal((3 * model.plan.block_rows() + 7, 31)).astype(model.dtype)
    together = predict(model, X)
    cut = np.concatenate([predict(model, X[:100]), predict(model, X[100:101]), predict(model, X[101:])])
    return bool(together.tobytes() != cut.tobytes() or together.tobytes() != model.predict(X, batch_size=33).tobytes())


def prove(full: bool) -> Figure:
    rng, different, tried = np.random.default_rng(2), 0, 0
    for i in range(500 if full else 40):
        widths = [int(n) for n in rng.integers(1, 90, rng.integers(2, 5))]
        dtype = ("float32", "float64")[i % 2]
        layers = [Dense(n, activation=NAMES[(i + j) % len(NAMES)]) for j, n in enumerate(widths[1:])]
        model = Model(layers, seed=i, dtype=dtype)
        model.finalize(widths[0])
        X = rng.standard_normal((257, widths[0])).astype(dtype)
        together = predict(model, X)
        alone = np.concatenate([predict(model, X[r : r + 1]) for r in range(0, 257, 1 if full else 16)])
        different += int(alone.tobytes() != together[:: 1 if full else 16].tobytes())
        for rows in rng.integers(1, 258, 8):
            start = int(rng.integers(0, 258 - rows))
            different += predict(model, X[start : start + rows]).tobytes() != together[start : start + rows].tobytes()
        session = model.session()
        different += np.stack([session(X[r]) for r in (0, 100, 256)]).tobytes() != together[[0, 100, 256]].tobytes()
        tried += 10
    for i in range(12 if full else 2):
        different += across_blocks(i)
        tried += 1
    return none_of(different, tried, "batches differ from the row alone")


def break_it(monkeypatch: Any) -> None:
    """A batch of one row has one bit turned."""
    good = predict

    def bad(model: Model, X: Any) -> Any:
        y = good(model, X)
        if len(X) == 1:
            y.view(np.uint8)[0, 0] ^= 1
        return y

    monkeypatch.setitem(globals(), "predict", bad)
