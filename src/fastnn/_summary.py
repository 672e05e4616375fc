"""The table that ``Model.summary`` prints."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn.custom import Layer as CustomLayer

if TYPE_CHECKING:
    from fastnn._network import Call, Network
    from fastnn.engine.plan import Plan

HEADER = ("layer", "output shape", "parameters", "memory", "FLOPs/row")


@contextlib.contextmanager
def _sized(network: Network, plan: Plan | None) -> Iterator[int | None]:
    """Every layer knowing its widths meanwhile; gives that of the input, or None where no layer states it, or where a
    part written in Python does not know its parameters before finalize."""
    total = network.input_width() if plan is None else plan.n_in
    if plan is not None or total is None or any(isinstance(call.layer, CustomLayer) for call in network.calls):
        yield total if plan is not None else None
        return
    _, widths = network.widths(None)
    try:
        for call, (n_in, n_out) in zip(network.calls, widths, strict=True):
            call.layer.n_in, call.layer.n_out = n_in, n_out
        yield total
    finally:
        for call in network.calls:
            call.layer.n_in = call.layer.n_out = None


def summary_text(network: Network, dtype: np.dtype[Any], plan: Plan | None, states: int | None) -> str:
    """As ``_table``, with the sizes of a model that is not finalized where its layers state them all. ValueError where
    those do not meet."""
    with _sized(network, plan) as n_in:
        text = _table(network, dtype, n_in, states)
    if plan is not None or n_in is None:
        return text
    return f"{text}\nnot finalized: parameters are allocated by finalize() or the first train()"


def _table(network: Network, dtype: np.dtype[Any], n_in: int | None, states: int | None) -> str:
    """Each layer's output shape, parameters with their memory, and floating-point operations for a row's prediction;
    where layers are not in a row, what each reads. What a layer holds is counted in its line and shown below it.

    n_in: width of the input, None where sizes are not known yet, and are '?'. states: arrays of state that the
    optimizer keeps beside the parameters, None where none is set. A multiplication and an addition are two operations,
    an activation is one for each output, dropout none.
    """
    calls = network.numbered()
    layers = [call.layer for call in calls if not call.held]
    leaves = [call.layer for call in calls if not call.layer.held()]  # what has parameters of its own
    in_a_row = not network.inputs and all(call.sources == (place - 1,) for place, call in enumerate(network.calls))
    rows: list[tuple[str, ...]] = [HEADER if in_a_row else (*HEADER[:2], "reads", *HEADER[2:])]
    for call in calls:
        layer = call.layer
        activation = getattr(layer, "activation", None)
        name = type(layer).__name__
        if activation is not None and activation.names[0] != "linear":
            name += f" ({activation.names[0]})"
        if not layer.training_rate and layer.parameter_count:
            name += ", frozen"
        named = getattr(layer, "name", None)  # an input
        if named is not None:
            name += f" {named!r}"
        cells: tuple[str, ...] = ("?",) * 4
        if n_in is not None:
            count = layer.parameter_count
            cells = (f"(rows, {layer.n_out})", f"{count:,}", _size(count * dtype.itemsize), f"{layer.flops:,}")
        if not in_a_row:
            cells = (cells[0], _reads(call, network), *cells[1:])
        rows.append((f"{'  ' * call.held}{call.number} {name}", *cells))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    left = len(HEADER) - 3 if in_a_row else len(HEADER) - 2
    lines = [
        "  ".join([f"{cell:<{width}}" for cell, width in zip(row[:left], widths[:left], strict=True)]
                  + [f"{cell:>{width}}" for cell, width in zip(row[left:], widths[left:], strict=True)])
        for row in rows
    ]  # fmt: skip
    line = "-" * len(lines[0])
    lines.insert(1, line)
    if n_in is None:
        lines += [line, "not finalized: sizes are known after finalize(n_inputs=...) or the first train()"]
        return "\n".join(lines)
    count, item = sum(layer.parameter_count for layer in layers), dtype.itemsize
    kept = sum(layer.kept_count for layer in leaves)
    outputs = sum(call.layer.n_out or 0 for call in calls)
    flops = sum(layer.flops for layer in layers)
    lines += [
        line,
        f"input (rows, {n_in}); {count:,} parameters, {_size(count * item)} of {dtype}; {flops:,} FLOPs a row",
        *([f"kept besides, not trained: {kept:,} numbers, {_size(kept * item)}"] if kept else []),
    ]
    frozen = sum(layer.parameter_count for layer in leaves if not layer.training_rate)
    if frozen:
        lines.append(f"{count - frozen:,} trainable, {frozen:,} non-trainable parameters")
    if states is not None:
        lines.append(
            f"training: {_size(count * item * (2 + states))} for parameters, gradients and the optimizer's state, "
            f"about {_size(outputs * item)} a row of the batch for outputs"
        )
    return "\n".join(lines)


def _reads(call: Call, network: Network) -> str:
    """The numbers of the layers whose outputs it reads; of inputs, their columns."""
    if call.layer in network.inputs:
        start = 0
        for layer in network.inputs[: network.inputs.index(call.layer)]:
            start += layer.n_inputs
        return f"X[:, {start}:{start + call.layer.n_inputs}]"
    return ", ".join("X" if j < 0 else str(network.calls[j].number) for j in call.sources)


def _size(nbytes: float) -> str:
    for unit in ("bytes", "KiB", "MiB"):
        if nbytes < 1024:
            return f"{nbytes:.0f} {unit}" if unit == "bytes" else f"{nbytes:.1f} {unit}"
        nbytes /= 1024
    return f"{nbytes:.1f} GiB"
