"""The table that ``Model.summary`` prints."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from fastnn.base import Layer


def summary_text(layers: Sequence[Layer], dtype: np.dtype[Any], finalized: bool) -> str:
    """Layers, output shapes and parameter counts; before finalize, sizes not yet known are '?'."""
    rows = [("layer", "output shape", "parameters")]
    for index, layer in enumerate(layers):
        activation = getattr(layer, "activation", None)
        name = type(layer).__name__
        if activation is not None and activation.kernel != "linear":
            name += f" ({activation.kernel})"
        shape = f"(rows, {layer.n_out})" if finalized else "?"
        rows.append((f"{index} {name}", shape, f"{layer.parameter_count:,}" if finalized else "?"))
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    lines = [f"{a:<{widths[0]}}  {b:<{widths[1]}}  {c:>{widths[2]}}".rstrip() for a, b, c in rows]
    lines.insert(1, "-" * (sum(widths) + 4))
    if finalized:
        count = sum(layer.parameter_count for layer in layers)
        lines += [lines[1], f"{count:,} parameters, {_size(count * dtype.itemsize)} of {dtype}"]
    else:
        lines += [lines[1], "not finalized: sizes are known after finalize(n_inputs=...) or the first train()"]
    return "\n".join(lines)


def _size(nbytes: int) -> str:
    for unit in ("bytes", "KiB", "MiB"):
        if nbytes < 1024:
            return f"{nbytes:.0f} {unit}" if unit == "bytes" else f"{nbytes:.1f} {unit}"
        nbytes /= 1024  # type: ignore[assignment]
    return f"{nbytes:.1f} GiB"
