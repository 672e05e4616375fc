"""The operations of a prediction in order, and the memory between them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from fastnn.engine.spec import INPUT, TRAINING_ONLY, AffineSpec, Spec, without
from fastnn.export._c_code import Code, comment
from fastnn.export._c_ops import OPERATIONS

if TYPE_CHECKING:
    from fastnn.model import Model


class Step(NamedTuple):
    """An operation, and the steps whose rows it takes, or INPUT."""

    spec: Spec
    sources: tuple[int, ...]


class Row:
    """What a step gives: so many numbers, that live from the step ``first`` to the step ``last``, at ``offset`` of the
    scratch memory."""

    def __init__(self, width: int, first: int) -> None:
        self.width, self.first, self.last, self.offset = width, first, first, 0


def steps_of(code: Code) -> list[Step]:
    """The operations of a prediction in order. ValueError for one that has no C."""
    plan = code.model.plan
    specs, sources = without(TRAINING_ONLY, plan.specs, plan.sources)
    if plan.input_affine:  # all that read the input read it scaled
        specs = [AffineSpec(0, plan.n_in, plan.input_scale, plan.input_shift), *specs]
        sources = [(INPUT,), *(tuple(j + 1 for j in js) for js in sources)]
    for spec in specs:
        if type(spec) not in OPERATIONS:
            raise ValueError(
                f"{code.label(spec.layer)} cannot be exported to C: it is written in Python, "
                "or of a kind that has no C form yet"
            )
    return [Step(*step) for step in zip(specs, sources, strict=True)]


def rows_of(steps: list[Step]) -> list[Row]:
    """The row that each step writes; one that works in place shares its source's, where nobody else wants that."""
    last_use = {source: i for i, step in enumerate(steps) for source in step.sources}
    rows: list[Row] = []
    for i, step in enumerate(steps):
        source = step.sources[0]
        shared = source != INPUT and OPERATIONS[type(step.spec)].in_place(step.spec) and last_use[source] == i
        row = rows[source] if shared else Row(step.spec.n_out, i)
        row.last = max(row.last, last_use.get(i, len(steps)))
        rows.append(row)
    return rows


def place(rows: list[Row]) -> int:
    """Give each row its offset, so that no two that live at a time overlap; the numbers of memory that this takes. The
    widest are placed first, each at the lowest place that is free."""
    placed: list[Row] = []
    for row in sorted(rows, key=lambda row: -row.width):
        others = sorted((o for o in placed if o.first <= row.last and row.first <= o.last), key=lambda o: o.offset)
        row.offset = 0
        for other in others:
            if row.offset + row.width > other.offset:
                row.offset = max(row.offset, other.offset + other.width)
        placed.append(row)
    return max((row.offset + row.width for row in rows), default=0)


def write(model: Model) -> tuple[Code, int]:
    """The code of a prediction, and the numbers of scratch memory that it takes."""
    code = Code(model)
    steps = steps_of(code)
    real = "float" if model.dtype == np.float32 else "double"
    rows = rows_of(steps)
    hidden = list(dict.fromkeys(row for row in rows if row is not rows[-1]))
    scratch = place(hidden)
    names = {row: f"h{i}" for i, row in enumerate(hidden)}
    code.lines += [f"{real} *const {names[row]} = scratch + {row.offset}; /* {row.width} numbers */" for row in hidden]
    if not hidden:
        code.lines.append("(void)scratch;")
    for step, row in zip(steps, rows, strict=True):
        code.lines.append(f"/* {comment(code.label(step.spec.layer))} */")
        sources = ["x" if source == INPUT else names.get(rows[source], "y") for source in step.sources]
        OPERATIONS[type(step.spec)].write(code, step.spec, sources, names.get(row, "y"))
    if not steps:  # nothing but dropout
        code.lines += [f"for (size_t i = 0; i < {model.plan.n_in}; i++)", "    y[i] = x[i];"]
    return code, scratch
