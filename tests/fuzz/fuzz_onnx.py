"""Fuzz target: ONNX files (``import_onnx``). What is imported predicts, and goes out and in again as the same."""

from __future__ import annotations

import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
from harness import FindingError, RefusedError, as_file, instrumented, main, refusal

with instrumented():
    import fastnn
    from fastnn.export import _onnx
    from fastnn.interop import _onnx as _importer  # noqa: F401 (else it comes at its first use, and is not seen)
from protobuf_mutants import mutant

WIDEST = 4096  # columns of what is put to work
ROWS = np.random.default_rng(0).standard_normal((5, WIDEST))
# what our own export may be refused for: numbers that overflow in float32 or where two scales become one, and a file of
# more nodes than are read
EXCUSED = re.compile(r"(scale|offset): expected a finite number, got (-?inf|nan)|ONNX: more than \d+ nodes")


def one(data: bytes) -> str:
    path = as_file(data, "model.onnx")
    try:
        with refusal(path, ValueError):
            model = fastnn.import_onnx(path)
    except RefusedError:
        return "refused"
    repr(model)
    if model.plan.widest <= WIDEST:
        works(model)
    return "loaded"


def works(model: fastnn.Model) -> None:
    X = ROWS[:, : model.plan.n_in].astype(model.dtype)
    with np.errstate(all="ignore"):
        y = model.predict(X)
        if y.shape != (len(X), model.plan.n_out):
            raise FindingError(f"a prediction of shape {y.shape}")
        try:
            blob = _onnx.to_bytes(model)
        except ValueError as error:  # numbers that were finite apart may overflow where they are folded
            if str(error).endswith(" hold NaN or infinity: nothing is exported") and not all_finite(model):
                return
            raise FindingError(f"the export refuses what was imported: {error}") from error
        path = as_file(blob, "again.onnx")
        try:
            again = fastnn.import_onnx(path).predict(X)
        except ValueError as error:
            if EXCUSED.fullmatch(str(error).removeprefix(f"{path}: ")):
                return
            raise FindingError(f"our own export is refused: {error}") from error
        if finite(model) and np.isfinite(y).all() and np.abs(y).max(initial=0) < 1e4:
            with np.errstate(all="ignore"):
                off = np.abs(again - y).max(initial=0)
            if not off <= 1e-3 * max(np.abs(y).max(initial=0), 1):
                raise FindingError(f"out and in again it is another function: {off}")


def all_finite(model: fastnn.Model) -> bool:
    return all(np.isfinite(values).all() for values in model.state_dict().values())


def finite(model: fastnn.Model) -> bool:
    return bool(np.isfinite(model.plan.params).all()) and bool((np.abs(model.plan.params) < 1e4).all())


if __name__ == "__main__":
    main("onnx", one, mutant)
