"""G10. 30 special values through every kernel: alike on every instruction set, and NaN is never hidden."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from compare import CONTRACT, use
from promise import Figure, none_of

import fastnn.functional as F
from fastnn import _core
from fastnn.optimizers import Optimizer

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


def same(value: float) -> Any:
    """What fills an array like another with this value."""
    return lambda x: np.full_like(x, value)


def kernels(dtype: Any) -> Iterator[tuple[str, Any, bool]]:
    """(name, a function of one array that gives one array, whether NaN spreads over its row)."""
    one, minus_two, half = same(1.0), same(-2.0), same(0.5)
    for name in _core.ACTIVATIONS:
        by_row = _core.ACTIVATION_SHAPE[name] == "R"
        yield f"{name} forward", lambda x, n=name: F.activation(n, x), by_row
        for label, saved in (("1", one), ("-2", minus_two)):
            yield f"{name} backward at {label}", lambda x, n=name, s=saved: F.activation_backward(n, x, s(x)), by_row
        yield f"{name} backward by what it saved", lambda x, n=name: F.activation_backward(n, one(x), x), by_row
    for name in _core.LOSSES:
        yield f"{name} of p", lambda x, n=name: F.loss(n, x, half(x)), True
        yield f"{name} gradient of p", lambda x, n=name: F.loss_backward(n, x, half(x)), False
    for name in ("exp", "erf"):
        yield name, getattr(F, name), False
    yield "dense", lambda x: F.dense(x, np.eye(x.shape[1], dtype=dtype)[:, :3], np.zeros((1, 3), dtype)), True
    yield "dot", lambda x: F.dot(x, np.ones((x.shape[1], 9), dtype)), True
    for kernel in _core.OPTIMIZERS:
        yield f"{kernel} step by g", lambda g, k=kernel: step(k, g), False


OPTIONS: dict[str, dict[str, Any]] = {
    "momentum": {"momentum": 0.9},
    "nesterov": {"momentum": 0.9, "nesterov": True},
    "amsgrad": {"amsgrad": True},
}


def step(kernel: str, g: Any) -> Any:
    """The weights after one step from 1."""
    cls = next(c for c in Optimizer.registry.values() if kernel in c.kernels)
    optimizer = cls(**OPTIONS.get(kernel, {}))
    w = np.ones_like(g)
    states = tuple(np.zeros_like(g) for _ in range(optimizer.state_count))
    F.optimizer_step(kernel, w, g, states, learning_rate=0.1, parameters=optimizer.parameters(), t=1)
    return w


def evaluate(function: Any, x: Any) -> Any:
    return function(x)


def alike(a: Any, b: Any) -> bool:
    a, b = (np.where(np.isnan(v), np.array(np.nan, v.dtype), v) for v in (a, b))
    return a.tobytes() == b.tobytes()


def hides_nan(name: str, x: Any, y: Any, by_row: bool) -> bool:
    if any(name.startswith(blind) for blind in BLIND):
        return False
    nan = np.isnan(x)
    if y.shape != x.shape or by_row:
        nan, got = nan.any(axis=1), np.isnan(y.reshape(len(x), -1)).any(axis=1)
    else:
        got = np.isnan(y)
    return bool((nan & ~got).any())


def prove(full: bool) -> Figure:
    bad, tried = [], 0
    tables = [isa for isa in CONTRACT if isa in _core.available_isas()]
    for dtype in (np.float32, np.float64):
        values = grid(dtype)
        columns = np.repeat(values[:, None], 17 if full else 3, axis=1)  # each alone in its row
        mixed = np.stack([np.roll(values, i) for i in range(30 if full else 4)])  # beside others
        for name, function, by_row in kernels(dtype):
            for x in (columns, mixed):
                with np.errstate(all="ignore"):
                    results = []
                    for isa in tables:
                        with use(isa):
                            results.append(evaluate(function, x))
                tried += len(tables)
                if not all(alike(r, results[0]) for r in results):
                    bad.append(f"{name} differs between {tables}")
                if hides_nan(name, x, results[0], by_row):
                    bad.append(f"{name} hides a NaN ({np.dtype(dtype)})")
    figure = none_of(len(bad), tried, f"evaluations of 30 special values bad, on {', '.join(tables)}")
    return figure if not bad else Figure(False, f"{figure.text}: {'; '.join(sorted(set(bad))[:40])}")


def break_it(monkeypatch: Any) -> None:
    """One kernel turns NaN into a number."""
    good = evaluate
    monkeypatch.setitem(globals(), "evaluate", lambda f, x: np.nan_to_num(good(f, x), posinf=np.inf, neginf=-np.inf))
