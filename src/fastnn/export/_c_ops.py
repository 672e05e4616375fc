"""Which C each operation of a plan becomes: a table from the records of ``engine/spec.py`` to functions that write it.

To export another kind of operation: a function here that takes (code, spec, sources, to) and writes the call that fills
the row ``to`` from the rows ``sources``; its line in ``OPERATIONS``; and the loop that is called, in templates/rows.h.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fastnn._core import ACTIVATION_SHAPE
from fastnn.engine.spec import ActivationSpec, AffineSpec, DenseSpec, DropoutSpec, Spec

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fastnn.model import Model

PANEL = 8  # columns of weights side by side, as `dense` of templates/rows.h reads them
NARROW = 8  # fewer outputs than this are summed by 16 chains: FNN_NARROW of csrc/fnn.h


class Cost(NamedTuple):
    """What one operation takes: a line of the report."""

    name: str
    constant_bytes: int = 0
    multiply_adds: int = 0


class Code:
    """What the operations write into: constants, the lines of the prediction, the functions that those call, costs."""

    def __init__(self, model: Model) -> None:
        self.model, self.dtype = model, model.dtype
        self.constants: list[tuple[str, NDArray[Any], str]] = []
        self.lines: list[str] = []
        self.functions: dict[str, None] = {}
        self.costs: list[Cost] = []

    def tensor(self, layer: int, name: str) -> NDArray[Any]:
        """A live view of a parameter; ValueError where it is not finite."""
        view = self.model.plan.view(self.model.plan.params, layer, name)
        if not np.isfinite(view).all():
            raise ValueError(
                f"{self.model.layers[layer].label()}: the {name} hold NaN or infinity: nothing is exported"
            )
        return view

    def constant(self, name: str, values: NDArray[Any], comment: str) -> str:
        """An array of the file, of the model's type, in the order given."""
        self.constants.append((name, np.asarray(values, self.dtype).reshape(-1), comment))
        return name

    def number(self, value: float) -> str:
        return literal(self.dtype.type(value))

    def call(self, function: str, *arguments: object) -> None:
        self.functions[function] = None
        self.lines.append(f"{function}({', '.join(map(str, arguments))});")

    def each(self, n: int, statement: str, function: str) -> None:
        """The statement for i = 0 .. n - 1; function: what it calls."""
        self.functions[function] = None
        self.lines += [f"for (size_t i = 0; i < {n}; i++)", f"    {statement};"]


# --- the operations ---


def dense(code: Code, spec: DenseSpec, sources: list[str], to: str) -> None:
    w, b = code.tensor(spec.layer, "weights"), code.tensor(spec.layer, "biases")
    narrow = spec.n_out < NARROW
    shape = f"({spec.n_in}, {spec.n_out})"
    if narrow:
        weights = code.constant(f"w{spec.layer}", w.T, f"weights {shape}, column by column")
    else:
        weights = code.constant(f"w{spec.layer}", by_panels(w), f"weights {shape}, {PANEL} columns at a time")
    biases = code.constant(f"b{spec.layer}", b, "biases")
    code.call("dense_narrow" if narrow else "dense", to, sources[0], weights, biases, spec.n_in, spec.n_out)
    activate(code, spec.activation, spec.alpha, to, to, spec.n_out)
    f = "" if spec.activation == "linear" else f", {spec.activation}"
    code.costs.append(Cost(f"Dense {spec.n_in} -> {spec.n_out}{f}", w.nbytes + b.nbytes, w.size))


def activation(code: Code, spec: ActivationSpec, sources: list[str], to: str) -> None:
    activate(code, spec.activation, spec.alpha, sources[0], to, spec.n_out)
    code.costs.append(Cost(f"{spec.activation} {spec.n_out}"))


def affine(code: Code, spec: AffineSpec, sources: list[str], to: str) -> None:
    code.call("affine", to, sources[0], spec.n_in, code.number(spec.scale), code.number(spec.shift))
    code.costs.append(Cost(f"Rescale {spec.n_in}", 0, spec.n_in))


def activate(code: Code, name: str, alpha: float, source: str, to: str, n: int) -> None:
    """to = f(source): one lane function for each number, or for a whole row the function of the same name."""
    shape, f = ACTIVATION_SHAPE[name], f"act_{name}"
    if shape == "R":
        code.call(name, to, source, n)
    elif name != "linear" or source != to:
        parameter = f", {code.number(alpha)}" if shape == "P" else ""
        code.each(n, f"{to}[i] = {f}({source}[i]{parameter})", f)


class Operation(NamedTuple):
    """write: see the top. in_place: whether ``to`` may be the first source, which then needs no memory of its own."""

    write: Callable[[Code, Any, list[str], str], None]
    in_place: bool = False


OPERATIONS: dict[type, Operation] = {
    DenseSpec: Operation(dense),
    ActivationSpec: Operation(activation, in_place=True),
    AffineSpec: Operation(affine, in_place=True),
}


# --- their order, and the memory between them ---


class Step(NamedTuple):
    """An operation, and the steps whose rows it takes; -1 is the input."""

    spec: Spec
    sources: tuple[int, ...]


class Row:
    """What a step gives: so many numbers, that live from the step ``first`` to the step ``last``, at ``offset`` of the
    scratch memory."""

    def __init__(self, width: int, first: int) -> None:
        self.width, self.first, self.last, self.offset = width, first, first, 0


def steps_of(model: Model) -> list[Step]:
    """The operations of a prediction in order. ValueError for one that has no C."""
    plan = model.plan
    specs: list[Spec] = [AffineSpec(0, plan.n_in, plan.input_scale, plan.input_shift)] if plan.input_affine else []
    specs += [spec for spec in plan.specs if not isinstance(spec, DropoutSpec)]
    for spec in specs:
        if type(spec) not in OPERATIONS:
            raise ValueError(
                f"{model.layers[spec.layer].label()} cannot be exported to C: it is written in Python, "
                "or of a kind that has no C form yet"
            )
    return [Step(spec, (i - 1,)) for i, spec in enumerate(specs)]


def rows_of(steps: list[Step]) -> list[Row]:
    """The row that each step writes; one that works in place shares its source's, where nobody else wants that."""
    last_use = {source: i for i, step in enumerate(steps) for source in step.sources}
    rows: list[Row] = []
    for i, step in enumerate(steps):
        source = step.sources[0]
        shared = OPERATIONS[type(step.spec)].in_place and source >= 0 and last_use[source] == i
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
    code, steps = Code(model), steps_of(model)
    real = "float" if model.dtype == np.float32 else "double"
    rows = rows_of(steps)
    hidden = list(dict.fromkeys(row for row in rows if row is not rows[-1]))
    scratch = place(hidden)
    names = {row: f"h{i}" for i, row in enumerate(hidden)}
    code.lines += [f"{real} *const {names[row]} = scratch + {row.offset}; /* {row.width} numbers */" for row in hidden]
    if not hidden:
        code.lines.append("(void)scratch;")
    for step, row in zip(steps, rows, strict=True):
        code.lines.append(f"/* {model.layers[step.spec.layer].label()} */")
        sources = ["x" if source < 0 else names.get(rows[source], "y") for source in step.sources]
        OPERATIONS[type(step.spec)].write(code, step.spec, sources, names.get(row, "y"))
    if not steps:  # nothing but dropout
        code.lines += [f"for (size_t i = 0; i < {model.plan.n_in}; i++)", "    y[i] = x[i];"]
    return code, scratch


# --- numbers ---


def by_panels(w: NDArray[Any]) -> NDArray[Any]:
    """Weights (n_in, n_out) in the order that `dense` reads them: eight columns side by side, then single ones."""
    whole = w.shape[1] - w.shape[1] % PANEL
    panels = w[:, :whole].reshape(len(w), -1, PANEL).transpose(1, 0, 2).reshape(-1)
    return np.concatenate([panels, w[:, whole:].T.reshape(-1)])


def literal(value: Any) -> str:
    """A number in C, exactly: hexadecimal, with the type's suffix."""
    number = float(value)
    if not np.isfinite(number):
        return "NAN" if number != number else "INFINITY" if number > 0 else "-INFINITY"
    digits, _, exponent = number.hex().partition("p")
    short = digits.rstrip("0").rstrip(".") if "." in digits else digits
    return f"{short}p{exponent}{'f' if value.dtype == np.float32 else ''}"
