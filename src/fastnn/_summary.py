"""The table that ``Model.summary`` prints."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from fastnn.base import Layer

HEADER = ("layer", "output shape", "parameters", "memory", "FLOPs/row")


def summary_text(layers: Sequence[Layer], dtype: np.dtype[Any], n_in: int | None, states: int | None) -> str:
    """Each layer's output shape, parameters with their memory, and floating-point operations for a row's prediction.

    n_in: width of the input, None before finalize, when sizes not yet known are '?'. states: arrays of state that the
    optimizer keeps beside the parameters, None where none is set. A multiplication and an addition are two operations,
    an activation is one for each output, dropout none.
    """
    rows = [HEADER]
    for index, layer in enumerate(layers):
        activation = getattr(layer, "activation", None)
        name = type(layer).__name__
        if activation is not None and activation.names[0] != "linear":
            name += f" ({activation.names[0]})"
        cells = ("?",) * 4
        if n_in is not None:
            count = layer.parameter_count
            cells = (f"(rows, {layer.n_out})", f"{count:,}", _size(count * dtype.itemsize), f"{layer.flops:,}")
        rows.append((f"{index} {name}", *cells))
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADER))]
    lines = [
        "  ".join([f"{row[0]:<{widths[0]}}", f"{row[1]:<{widths[1]}}"]
                  + [f"{cell:>{width}}" for cell, width in zip(row[2:], widths[2:], strict=True)])
        for row in rows
    ]  # fmt: skip
    line = "-" * len(lines[0])
    lines.insert(1, line)
    if n_in is None:
        lines += [line, "not finalized: sizes are known after finalize(n_inputs=...) or the first train()"]
        return "\n".join(lines)
    count, item = sum(layer.parameter_count for layer in layers), dtype.itemsize
    kept = sum(layer.kept_count for layer in layers)
    outputs = sum(layer.n_out or 0 for layer in layers)
    flops = sum(layer.flops for layer in layers)
    lines += [
        line,
        f"input (rows, {n_in}); {count:,} parameters, {_size(count * item)} of {dtype}; {flops:,} FLOPs a row",
        *([f"kept besides, not trained: {kept:,} numbers, {_size(kept * item)}"] if kept else []),
    ]
    if states is not None:
        lines.append(
            f"training: {_size(count * item * (2 + states))} for parameters, gradients and the optimizer's state, "
            f"about {_size(outputs * item)} a row of the batch for outputs"
        )
    return "\n".join(lines)


def _size(nbytes: float) -> str:
    for unit in ("bytes", "KiB", "MiB"):
        if nbytes < 1024:
            return f"{nbytes:.0f} {unit}" if unit == "bytes" else f"{nbytes:.1f} {unit}"
        nbytes /= 1024
    return f"{nbytes:.1f} GiB"
