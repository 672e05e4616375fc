"""Every kernel that Python reaches, as a function of one matrix, for the proof with special values (g10)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

import fastnn.functional as F
from fastnn import Dense, Model, _core
from fastnn.kernels import arrays, norm, updates
from fastnn.optimizers import SGD, Optimizer

EPSILON = 1e-5
OPTIONS: dict[str, dict[str, Any]] = {
    "momentum": {"momentum": 0.9},
    "nesterov": {"momentum": 0.9, "nesterov": True},
    "amsgrad": {"amsgrad": True},
}


class Kernel(NamedTuple):
    """spread: how far NaN has to go from where it is: it stays in its "place", or is in its "row" or "column", or
    "anywhere" in the result."""

    name: str
    function: Callable[[Any], Any]
    spread: str = "place"


def kernels(dtype: Any) -> Iterator[Kernel]:
    yield from activations()
    for name in _core.LOSSES:
        yield Kernel(f"{name} of p", lambda x, n=name: F.loss(n, x, half(x)), "row")
        yield Kernel(f"{name} gradient of p", lambda x, n=name: F.loss_backward(n, x, half(x)))
    for name in ("exp", "log", "erf"):
        yield Kernel(name, getattr(F, name))
    yield from products(dtype)
    yield from norms(dtype)
    for kernel in _core.OPTIMIZERS:
        yield Kernel(f"{kernel} step by g", lambda g, k=kernel: step(k, g))
    yield from passes()
    yield Kernel("bounded value of g", lambda g: bounded(g, clip_value=0.01))
    yield Kernel("bounded norm of g", lambda g: bounded(g, clip_norm=0.1), "row")
    yield Kernel("bounded tensor norm of g", lambda g: bounded(g, clip_tensor_norm=0.1), "row")


def same(value: float) -> Any:
    """What fills an array like another with this value."""
    return lambda x: np.full_like(x, value)


one, minus_two, half = same(1.0), same(-2.0), same(0.5)


def activations() -> Iterator[Kernel]:
    for name in _core.ACTIVATIONS:
        spread = "row" if _core.ACTIVATION_SHAPE[name] == "R" else "place"
        yield Kernel(f"{name} forward", lambda x, n=name: F.activation(n, x), spread)
        for label, saved in (("1", one), ("-2", minus_two)):
            backward = lambda x, n=name, s=saved: F.activation_backward(n, x, s(x))  # noqa: E731
            yield Kernel(f"{name} backward at {label}", backward, spread)
        by_saved = lambda x, n=name: F.activation_backward(n, one(x), x)  # noqa: E731
        yield Kernel(f"{name} backward by what it saved", by_saved, spread)


def products(dtype: Any) -> Iterator[Kernel]:
    def weights(n: int, columns: int) -> Any:
        return np.cos(np.arange(n * columns)).reshape(n, columns).astype(dtype)

    def backward(by: str) -> Callable[[Any], Any]:
        def gradients(x: Any) -> Any:
            w, other = weights(x.shape[1], 3), weights(len(x), 3)
            dy, x, w = (x, weights(len(x), 3), weights(3, x.shape[1])) if by == "dy" else (other, x, w)
            return np.concatenate([part.ravel() for part in F.dense_backward(dy, x, w)])

        return gradients

    yield Kernel("dense", lambda x: F.dense(x, np.eye(x.shape[1], dtype=dtype)[:, :3], np.zeros((1, 3), dtype)), "row")
    yield Kernel("dot", lambda x: F.dot(x, np.ones((x.shape[1], 9), dtype)), "row")
    yield Kernel("dot of few columns", lambda x: F.dot(x, weights(x.shape[1], 2)), "row")
    yield Kernel("dense backward by dy", backward("dy"), "anywhere")
    yield Kernel("dense backward by x", backward("x"), "anywhere")


def norms(dtype: Any) -> Iterator[Kernel]:
    def batch(x: Any, dy: Any, part: int) -> Any:
        y, dx = np.empty_like(x), np.empty_like(x)
        mean, variance, dgamma, dbeta = (np.empty(x.shape[1], dtype) for _ in range(4))
        norm.batch_norm_forward(y, mean, variance, x, None, None, EPSILON)
        norm.batch_norm_backward(dx, dgamma, dbeta, dy, x, mean, variance, None, EPSILON)
        return (y, dx, np.stack([mean, variance, dgamma, dbeta]))[part]

    def layer(x: Any, dy: Any, part: int) -> Any:
        y, dx, stats = np.empty_like(x), np.empty_like(x), np.empty((len(x), 2), dtype)
        dgamma, dbeta = (np.empty(x.shape[1], dtype) for _ in range(2))
        norm.layer_norm_forward(y, stats, x, None, None, EPSILON)
        norm.layer_norm_backward(dx, dgamma, dbeta, dy, x, stats, None)
        return (y, dx, stats, np.stack([dgamma, dbeta]))[part]

    def moving(x: Any) -> Any:
        y, columns = np.empty_like(x), np.linspace(0.5, 2, x.shape[1]).astype(dtype)
        norm.normalize_columns(y, x, columns, columns, columns, columns, EPSILON)
        return y

    def smooth(x: Any) -> Any:
        return np.sin(np.arange(x.size)).reshape(x.shape).astype(dtype)

    for part, what in enumerate(("", " backward", " sums")):
        yield Kernel(f"batch_norm{what} by x", lambda x, p=part: batch(x, smooth(x), p), "column")
    yield Kernel("batch_norm backward by dy", lambda x: batch(smooth(x), x, 1), "column")
    for part, what in enumerate(("", " backward", " moments")):
        yield Kernel(f"layer_norm{what} by x", lambda x, p=part: layer(x, smooth(x), p), "row")
    yield Kernel("layer_norm backward by dy", lambda x: layer(smooth(x), x, 1), "row")
    yield Kernel("layer_norm sums by dy", lambda x: layer(smooth(x), x, 3), "column")
    yield Kernel("normalize_columns", moving)


def step(kernel: str, g: Any) -> Any:
    """The weights after one step from 1."""
    cls = next(c for c in Optimizer.registry.values() if kernel in c.kernels)
    optimizer = cls(**OPTIONS.get(kernel, {}))
    w = np.ones_like(g)
    states = tuple(np.zeros_like(g) for _ in range(optimizer.state_count))
    F.optimizer_step(kernel, w, g, states, learning_rate=0.1, parameters=optimizer.parameters(), t=1)
    return w


def passes() -> Iterator[Kernel]:
    """What goes over an array once. ``largest`` is not here: it passes NaN by, as it says."""

    def noisy(x: Any) -> Any:
        y = np.empty_like(x)
        arrays.gaussian_noise(y.reshape(-1), np.ascontiguousarray(x).reshape(-1), 0.1, 7, 8192, 1)
        return y

    def averaged(x: Any) -> Any:
        a = np.ones_like(x)
        updates.average(a.reshape(-1), np.ascontiguousarray(x).reshape(-1), 0.9)
        return a

    def added(x: Any) -> Any:
        y = np.empty_like(x)
        updates.add_scaled(y.reshape(-1), one(x).reshape(-1), np.ascontiguousarray(x).reshape(-1), 0.3)
        return y

    def inner(x: Any) -> Any:
        return np.array([[updates.inner_product(row, one(row))] for row in np.ascontiguousarray(x)])

    def held(x: Any, of_rows: bool) -> Any:
        w = x.copy()
        updates.bound_norms(w, 0.5, 1.0, of_rows)
        return w

    yield Kernel("dropout", lambda x: F.dropout(x, 0.3, seed=7)[0])
    yield Kernel("gaussian noise", noisy)
    yield Kernel("average", averaged)
    yield Kernel("add_scaled", added)
    yield Kernel("inner_product", inner, "row")
    yield Kernel("bound_norms of columns", lambda x: held(x, False))
    yield Kernel("bound_norms of rows", lambda x: held(x, True))


def bounded(g: Any, **bounds: float) -> Any:
    """The biases after one step from 0, row by row, where the gradient is near -2 g / n, and is bounded first."""
    n = g.shape[1]
    model = Model([Dense(n)], seed=0, dtype=g.dtype.name)
    model.set(loss="mean_squared_error", optimizer=SGD(1.0, **bounds))
    model.finalize(1)
    out = np.empty_like(g)
    for y, row in zip(out, g, strict=True):
        model.plan.params[:] = 0
        model.train_on_batch(np.zeros((1, 1), g.dtype), row[None], check_finite=False)
        y[:] = model.layers[0].biases.ravel()
    return out
