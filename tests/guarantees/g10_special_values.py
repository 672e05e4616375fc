"""G10. 30 special values through every kernel: alike on every instruction set, NaN is never hidden, and what infinities
and subnormals give where that is stated (docs/numerics.md).

They come each alone in its row, all beside each other, and each but NaN beside finite numbers: of the second a sum, a
softmax or a product is NaN everywhere, whatever the kernel does with the others.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from compare import CONTRACT, ulps, use
from promise import Figure, none_of
from special_kernels import Kernel, kernels

import fastnn.functional as F
from fastnn import _core

PROMISE = "stated NaN, infinity and subnormal policy, alike everywhere; NaN is never hidden"
# Derivatives that are constant on pieces only ask on which piece a number lies, and NaN lies left of all: it is in the
# output and in the loss already (docs/numerics.md). The step's gradient is 0 whatever comes.
PIECES = ("linear", "relu", "relu6", "leaky_relu", "hard_sigmoid")
BLIND = {"step backward", *(f"{name} backward by what it saved" for name in PIECES)}


def grid(dtype: Any) -> Any:
    """30 special values: zeros, infinities, NaN, the ends of the range, subnormals, and where functions turn."""
    f = np.finfo(dtype)
    ends = [f.max, f.tiny, f.smallest_subnormal, f.tiny / 2, f.eps, np.sqrt(f.max), np.sqrt(f.tiny)]
    turns = [0.5, 1.0, 3.0, 6.0, 88.0]
    both = [0.0, np.inf, *ends, *turns]
    return np.array([np.nan, *both, *(-v for v in both), f.max / 2], dtype)


def beside(dtype: Any) -> Any:
    """A row for each special value but NaN, beside finite numbers of both signs; then rows of many subnormals."""
    values = [v for v in grid(dtype) if not np.isnan(v)]
    finite = np.sin(np.arange(1, 1 + len(values) ** 2)).reshape(len(values), -1).astype(dtype)
    np.fill_diagonal(finite, values)
    small = finite[:3] * np.array([[np.finfo(dtype).tiny]], dtype)
    small[0], small[1, ::2] = abs(small[0]), finite[1, ::2]
    return np.concatenate([finite, small])


def stated(dtype: Any) -> Iterator[tuple[str, Any, Any, float]]:
    """(name, what a kernel gives, what it should, units in the last place that it may be off)."""
    f = np.finfo(dtype)
    inf, most, low, tiny = np.inf, f.max, f.smallest_subnormal, f.tiny
    x = np.array([inf, -inf, most, -most, low, -low, tiny / 2, -0.0], dtype)
    for name, values in {
        "linear": x,
        "exponential": (inf, 0, inf, 0, 1, 1, 1, 1),
        "relu": (inf, 0, most, 0, low, 0, tiny / 2, -0.0),
        "relu6": (6, 0, 6, 0, low, 0, tiny / 2, -0.0),
        "elu": (inf, -1, most, -1, low, -low, tiny / 2, -0.0),
        "silu": (inf, -0.0, most, -0.0, 0, -0.0, tiny / 4, -0.0),
        "hard_swish": (inf, -0.0, most, -0.0, 0, -0.0, tiny / 4, -0.0),
        "sigmoid": (1, 0, 1, 0, 0.5, 0.5, 0.5, 0.5),
        "tanh": (1, -1, 1, -1, low, -low, tiny / 2, -0.0),
    }.items():
        yield name, F.activation(name, x), values, 0
    yield "exp", F.exp(x), (inf, 0, inf, 0, 1, 1, 1, 1), 0
    yield "erf", F.erf(x[:6]), (1, -1, 1, -1, low, -low), 0
    e, digits, nan = f.minexp, f.nmant, np.nan
    logs = np.array([inf, nan, -e + 2, nan, e - digits, nan, e - 1, -inf]) * np.log(2)
    yield "log", F.log(x), logs, 2
    yield "softplus", F.softplus(x), (inf, 0, most, 0, *[np.log(2)] * 4), 2
    rows = np.array([[-inf, 0, 0], [most, 0, -most], [low, -low, 0]], dtype)
    yield "softmax", F.softmax(rows), ((0, 0.5, 0.5), (1, 0, 0), (1 / 3, 1 / 3, 1 / 3)), 1
    yield "log_softmax", F.log_softmax(rows[:2]), ((-inf, -np.log(2), -np.log(2)), (0, -most, -inf)), 2
    for columns in (1, 9):  # chains along rows, and down columns
        ones = np.ones((2, columns), dtype)
        pairs = np.array([[low, low], [tiny / 2, tiny / 2], [most, most], [inf, 1], [inf, -inf]], dtype)
        sums = np.array([2 * low, tiny, inf, inf, nan], dtype)
        yield f"dot, {columns} columns", F.dot(pairs, ones), np.repeat(sums[:, None], columns, axis=1), 0
        biases = np.zeros(columns, dtype)
        yield f"dense, {columns} columns", F.dense(pairs, ones, biases), np.repeat(sums[:, None], columns, axis=1), 0
    g, w, v = np.array([inf, -inf, tiny / 2], dtype), np.ones(3, dtype), np.full(3, tiny / 2, dtype)
    F.sgd_step(w, g, v, learning_rate=1.0, momentum=0.5)
    yield "weights of momentum", w, (-inf, inf, 1), 0
    yield "velocity of momentum, where a subnormal becomes 0", v, (-inf, inf, 0), 0


def evaluate(kernel: Kernel, x: Any) -> Any:
    return kernel.function(x)


def alike(a: Any, b: Any) -> bool:
    a, b = (np.where(np.isnan(v), np.array(np.nan, v.dtype), v) for v in (a, b))
    return a.tobytes() == b.tobytes()


def as_stated(got: Any, want: Any, most: float) -> bool:
    want = np.asarray(want, np.float64)
    if most == 0:
        return alike(got, want.astype(got.dtype))
    return bool((ulps(got, want) <= most).all())


def hides_nan(kernel: Kernel, x: Any, y: Any) -> bool:
    if any(kernel.name.startswith(blind) for blind in BLIND):
        return False
    nan, got = np.isnan(x), np.isnan(y)
    if kernel.spread == "anywhere":
        return bool(nan.any() and not got.any())
    if kernel.spread != "place":
        across = 1 if kernel.spread == "row" else 0
        nan = nan.any(axis=across)
        got = got.reshape(len(x), -1).any(axis=1) if across else got.any(axis=0)
    return bool((nan & ~got).any())


def prove(full: bool) -> Figure:
    bad, tried = [], 0
    tables = [isa for isa in CONTRACT if isa in _core.available_isas()]
    for dtype in (np.float32, np.float64):
        values = grid(dtype)
        columns = np.repeat(values[:, None], 17 if full else 3, axis=1)  # each alone in its row
        mixed = np.stack([np.roll(values, i) for i in range(30 if full else 4)])  # beside others
        for kernel in kernels(dtype):
            for x in (columns, mixed, beside(dtype)):
                with np.errstate(all="ignore"):
                    results = []
                    for isa in tables:
                        with use(isa):
                            results.append(evaluate(kernel, x))
                tried += len(tables)
                if not all(alike(r, results[0]) for r in results):
                    bad.append(f"{kernel.name} differs between {tables}")
                if hides_nan(kernel, x, results[0]):
                    bad.append(f"{kernel.name} hides a NaN ({np.dtype(dtype)})")
            if np.isnan(results[0]).all():
                bad.append(f"{kernel.name} gives only NaN, so that nothing was compared ({np.dtype(dtype)})")
        for isa in tables:
            with use(isa), np.errstate(all="ignore"):
                said = [(name, as_stated(*what)) for name, *what in stated(dtype)]
            tried += len(said)
            bad += [f"{name} is not what is stated ({np.dtype(dtype)} on {isa})" for name, good in said if not good]
    figure = none_of(len(bad), tried, f"evaluations of 30 special values bad, on {', '.join(tables)}")
    return figure if not bad else Figure(False, f"{figure.text}: {'; '.join(sorted(set(bad))[:40])}")


def break_it(monkeypatch: Any) -> None:
    """One kernel turns NaN into a number."""
    good = evaluate
    monkeypatch.setitem(globals(), "evaluate", lambda k, x: np.nan_to_num(good(k, x), posinf=np.inf, neginf=-np.inf))
