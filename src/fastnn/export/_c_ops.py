"""Which C each operation of a plan becomes: a table from the records of ``engine/spec.py`` to functions that write it.

To export another kind of operation: a function here that takes (code, spec, sources, to) and writes the call that fills
the row ``to`` from the rows ``sources``; its line in ``OPERATIONS``; and the loop that is called, in templates/rows.h.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fastnn._core import ACTIVATION_SHAPE
from fastnn.engine.spec import (
    ActivationSpec,
    AffineSpec,
    BatchNormSpec,
    ColumnsSpec,
    DenseSpec,
    LayerNormSpec,
    MergeSpec,
    NormalizationSpec,
)
from fastnn.export._c_code import Code, Cost

if TYPE_CHECKING:
    from numpy.typing import NDArray

PANEL = 8  # columns of weights side by side, as `dense` of templates/rows.h reads them
NARROW = 8  # fewer outputs than this are summed by 16 chains: FNN_NARROW of csrc/fnn.h


class Operation(NamedTuple):
    """write: see the top. in_place: whether ``to`` may be the first source, which then needs no memory of its own."""

    write: Callable[[Code, Any, list[str], str], None]
    in_place: Callable[[Any], bool]


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


def merge(code: Code, spec: MergeSpec, sources: list[str], to: str) -> None:
    """Sums and products are one chain over the sources in their order (engine/merge.pyx)."""
    if spec.kind == "concatenate":
        start = 0
        for source, width in zip(sources, spec.widths, strict=True):
            code.each(width, f"{to}[{start} + i] = {source}[i]")
            start += width
    else:
        sign = {"add": " + ", "multiply": " * "}[spec.kind]
        code.each(spec.n_out, f"{to}[i] = {sign.join(f'{source}[i]' for source in sources)}")
    code.costs.append(Cost(f"{spec.kind} {', '.join(map(str, spec.widths))}"))


def columns(code: Code, spec: ColumnsSpec, sources: list[str], to: str) -> None:
    code.each(spec.n_out, f"{to}[i] = {sources[0]}[{spec.start} + i]")
    code.costs.append(Cost(f"inputs {spec.start} to {spec.start + spec.n_out - 1}"))


def normalize(code: Code, spec: BatchNormSpec | NormalizationSpec, sources: list[str], to: str) -> None:
    """(x - mean) * scale + shift by columns. The scale is gamma / sqrt(variance + epsilon), worked out here with the
    roundings of csrc/kernels/norm.h: nothing is folded into weights."""
    layer, names = spec.layer, ("mean", "variance")
    epsilon = code.dtype.type(0)
    if isinstance(spec, BatchNormSpec):
        names, epsilon = ("moving_mean", "moving_variance"), code.dtype.type(spec.epsilon)
    mean, variance = (code.tensor(layer, name) for name in names)
    square = variance + epsilon
    inverse = 1 / np.where(square == 0, code.dtype.type(1), np.sqrt(square))
    trained = {name for name, _ in getattr(spec, "tensors", ())}
    scale = code.tensor(layer, "gamma") * inverse if "gamma" in trained else inverse
    m, s = code.constant(f"mean{layer}", mean, "means"), code.constant(f"scale{layer}", scale, "scales")
    arrays, shift = 2, code.number(0.0)
    if "beta" in trained:
        arrays, shift = 3, f"{code.constant(f'shift{layer}', code.tensor(layer, 'beta'), 'shifts')}[i]"
    code.each(spec.n_out, f"{to}[i] = fused({sources[0]}[i] - {m}[i], {s}[i], {shift})", "fused")
    kind = type(spec).__name__.removesuffix("Spec")
    code.costs.append(Cost(f"{kind} {spec.n_out}", arrays * mean.nbytes, spec.n_out))


def layer_norm(code: Code, spec: LayerNormSpec, sources: list[str], to: str) -> None:
    given, nbytes = {"gamma": "0", "beta": "0"}, 0
    for name, _ in spec.tensors:
        values = code.tensor(spec.layer, name)
        given[name], nbytes = code.constant(f"{name}{spec.layer}", values, name), nbytes + values.nbytes
    code.call("layer_norm", to, sources[0], *given.values(), spec.n_out, code.number(spec.epsilon))
    code.costs.append(Cost(f"LayerNorm {spec.n_out}", nbytes, 2 * spec.n_out))


def activate(code: Code, name: str, alpha: float, source: str, to: str, n: int) -> None:
    """to = f(source): one lane function for each number, or for a whole row the function of the same name."""
    shape, f = ACTIVATION_SHAPE[name], f"act_{name}"
    if shape == "R":
        code.call(name, to, source, n)
    elif name != "linear" or source != to:
        parameter = f", {code.number(alpha)}" if shape == "P" else ""
        code.each(n, f"{to}[i] = {f}({source}[i]{parameter})", f)


def by_panels(w: NDArray[Any]) -> NDArray[Any]:
    """Weights (n_in, n_out) in the order that `dense` reads them: eight columns side by side, then single ones."""
    whole = w.shape[1] - w.shape[1] % PANEL
    panels = w[:, :whole].reshape(len(w), -1, PANEL).transpose(1, 0, 2).reshape(-1)
    return np.concatenate([panels, w[:, whole:].T.reshape(-1)])


OPERATIONS: dict[type, Operation] = {
    DenseSpec: Operation(dense, lambda spec: False),
    ActivationSpec: Operation(activation, lambda spec: True),
    AffineSpec: Operation(affine, lambda spec: True),
    MergeSpec: Operation(merge, lambda spec: spec.kind != "concatenate"),
    ColumnsSpec: Operation(columns, lambda spec: False),
    BatchNormSpec: Operation(normalize, lambda spec: True),
    NormalizationSpec: Operation(normalize, lambda spec: True),
    LayerNormSpec: Operation(layer_norm, lambda spec: True),
}
