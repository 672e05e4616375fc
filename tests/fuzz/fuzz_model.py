"""Fuzz target: model files (``Model.load``, ``Session.load``, ``load_weights``).

The SHA-256 is put right first, else every input would end there; one in sixteen, by its last byte, is taken as it is.
What loads is put to work: it predicts, a session gives the same bits, and it is saved and loaded to the same bytes.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
from harness import FindingError, RefusedError, as_file, instrumented, main, refusal

with instrumented():
    from file_mutants import mutant, sign

    from fastnn import Dense, FormatError, Model, Session

WIDEST = 10_000  # columns of what is put to work
ROWS = np.random.default_rng(0).standard_normal((5, WIDEST))


def one(data: bytes) -> str:
    blob = data if data[-1:] and data[-1] % 16 == 15 else sign(data)
    path = as_file(blob, "model.fnn")
    try:
        with refusal(path, FormatError):
            model = Model.load(path)
    except RefusedError:
        refuses_alike(path, blob)
        return "refused"
    if model._plan is None:
        with refusal("the width of the input is not known", ValueError), np.errstate(all="ignore"):
            Session.load(path)
        raise FindingError("a session of a model without sizes")
    len(model.history), model.history.last(), repr(model)
    if model.plan.widest <= WIDEST:
        works(model, path)
    return "loaded"


def refuses_alike(path: str, blob: bytes) -> None:
    """From bytes, as a session and as weights it is an error too, of the same kind; weights of another model may be a
    file of their own kind, and then they do not fit."""
    for load, name in ((Model.from_bytes, "the bytes"), (Session.load, path)):
        try:
            with refusal(name, FormatError):
                load(blob if name == "the bytes" else path)
        except RefusedError:
            continue
        raise FindingError(f"{load} takes what Model.load refuses")
    target = Model([Dense(3, 2)], seed=0)
    target.finalize()
    before = target.plan.params.tobytes()
    try:
        report = target.load_weights(path, strict=False)
        loaded = bool(report.loaded)
    except ValueError:  # FormatError is one
        loaded = False
    if not loaded and target.plan.params.tobytes() != before:
        raise FindingError("weights that were refused changed the model")


def works(model: Model, path: str) -> None:
    X = ROWS[:, : model.plan.n_in].astype(model.dtype)
    with np.errstate(all="ignore"):
        y = model.predict(X)
        if y.shape != (len(X), model.plan.n_out):
            raise FindingError(f"a prediction of shape {y.shape}")
        if not np.array_equal(Session.load(path)(X), y, equal_nan=True):
            raise FindingError("a session gives other bits than the model")
    blob = model.to_bytes()
    again = Model.from_bytes(blob)
    if again.to_bytes() != blob:
        raise FindingError("saved and loaded it is another file")


if __name__ == "__main__":
    main("model", one, mutant)
