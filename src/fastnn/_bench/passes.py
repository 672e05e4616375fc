"""Losses, optimizers and the passes around a training step, each beside the book's NumPy.

A loss or optimizer of the registry without a counterpart in the book is compared with its class's formula; the gradient
of such a loss runs alone.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from fastnn import Input, Model, Rescale, _core, functional
from fastnn._bench import numpy_baseline as book
from fastnn._bench.case import FLOAT, Array, Call, Case, Work, difference, labels, normal, pair, uniform
from fastnn.kernels import losses as loss_kernels
from fastnn.kernels import optimizers as optimizer_kernels
from fastnn.losses import Loss
from fastnn.optimizers import Optimizer

# --- losses ---

_LOSSES: dict[str, tuple[Any, Any]] = {
    "categorical_crossentropy": (book.categorical_crossentropy, book.categorical_crossentropy_gradient),
    "binary_crossentropy": (book.binary_crossentropy, book.binary_crossentropy_gradient),
    "mean_squared_error": (book.mean_squared_error, book.mean_squared_error_gradient),
    "mean_absolute_error": (book.mean_absolute_error, book.mean_absolute_error_gradient),
}


def all_losses() -> list[Loss]:
    """One object for each kernel."""
    classes = dict.fromkeys(Loss.registry.values())
    return [cls() for cls in classes] + [
        cls(from_logits=True) for cls in classes if f"{cls.kernel}_logits" in _core.LOSSES
    ]


def _loss_inputs(name: str, rows: int, cols: int) -> tuple[Array, Array]:
    """Predictions, and labels where the loss takes them, else dense targets of zeros and ones."""
    p = uniform(rows, cols)
    if _core.LOSS_TARGETS[name] == "C":
        return p / p.sum(axis=1, keepdims=True), labels(rows, cols)
    return p, (normal(rows, cols) > 0).astype(np.float32)


def loss_forward(name: str, rows: int, cols: int) -> Case:
    def make() -> Work:
        p, t = _loss_inputs(name, rows, cols)
        formula = next(loss.formula for loss in all_losses() if loss.kernel == name)
        if name in _LOSSES:
            numpy = partial(_LOSSES[name][0], p, t)
        else:  # a formula has dense targets
            dense: Any = np.eye(cols, dtype=np.float32)[t] if t.ndim == 1 else t
            numpy = partial(formula, p, dense)
        read = 2 * rows if t.ndim == 1 else p.size + t.size
        return pair(
            partial(functional.loss, name, p, t, np.empty(rows, np.float32)), numpy, nbytes=FLOAT * (read + rows)
        )

    return Case(f"{name} {rows}x{cols}", "loss", make)


def accuracy(name: str, rows: int, cols: int) -> Case:
    """How many predictions are right, by the name of a metric in csrc/registry.h."""

    def make() -> Work:
        p, t = uniform(rows, cols), uniform(cols, rows).T.copy()
        right = labels(rows, cols)
        if name == "categorical":
            return pair(
                partial(loss_kernels.count_right, name, p, None, right),
                lambda: np.count_nonzero(np.argmax(p, axis=1) == right),
                nbytes=FLOAT * (p.size + rows),
            )
        numpy: dict[str, Call] = {
            "binary": lambda: np.count_nonzero((p > 0.5) == (t > 0.5)),
            "regression": lambda: np.count_nonzero(np.abs(p - t) < 0.1),
        }
        return pair(
            partial(loss_kernels.count_right, name, p, t, precision=0.1), numpy[name], nbytes=2.0 * FLOAT * p.size
        )

    return Case(f"{name} accuracy {rows}x{cols}", "loss", make)


def loss_backward(name: str, rows: int, cols: int) -> Case:
    def make() -> Work:
        p, t = _loss_inputs(name, rows, cols)
        numpy = partial(_LOSSES[name][1], p, t) if name in _LOSSES else None
        read = 2 * rows if t.ndim == 1 else p.size + t.size
        return pair(
            partial(functional.loss_backward, name, p, t, out=np.empty_like(p)), numpy, nbytes=FLOAT * (read + p.size)
        )

    return Case(f"{name} gradient {rows}x{cols}", "loss", make)


def merged_gradient(rows: int, cols: int) -> Case:
    """The gradient of softmax and categorical cross-entropy together."""

    def make() -> Work:
        p, t = _loss_inputs("categorical_crossentropy", rows, cols)
        fastnn = partial(functional.loss_backward, "categorical_crossentropy", p, t, merged=True, out=np.empty_like(p))
        return pair(fastnn, partial(book.softmax_crossentropy_gradient, p, t), nbytes=2.0 * FLOAT * p.size)

    return Case(f"softmax + crossentropy gradient {rows}x{cols}", "loss", make)


# --- optimizers ---

_OPTIMIZERS: dict[str, tuple[type[book.Optimizer], dict[str, Any]]] = {
    "sgd": (book.SGD, {}),
    "momentum": (book.SGD, {"momentum": 0.9}),
    "adagrad": (book.AdaGrad, {}),
    "rmsprop": (book.RMSprop, {}),
    "adam": (book.Adam, {}),
}


_OPTIONS: dict[str, dict[str, Any]] = {
    "momentum": {"momentum": 0.9},
    "nesterov": {"momentum": 0.9, "nesterov": True},
    "amsgrad": {"amsgrad": True},
}


def _optimizer(kernel: str) -> Optimizer:
    """An optimizer that runs on ``kernel``, with its defaults otherwise."""
    cls = next(c for c in Optimizer.registry.values() if kernel in c.kernels)
    made: Optimizer = cls(**_OPTIONS.get(kernel, {}))
    return made


def optimizer_step(kernel: str, n: int) -> Case:
    """One step on n parameters, in place. The same gradient every time, small steps: the values stay ordinary."""

    def make() -> Work:
        g, lr, ours = normal(n), 1e-3, _optimizer(kernel)
        w, w_numpy = uniform(n), uniform(n)
        states, states_numpy = ([np.zeros(n, np.float32) for _ in range(ours.state_count)] for _ in range(2))
        fastnn = partial(
            functional.optimizer_step, kernel, w, g, tuple(states), learning_rate=lr, parameters=ours.parameters(), t=1
        )
        numpy: Call
        if kernel in _OPTIMIZERS:
            cls, more = _OPTIMIZERS[kernel]
            numpy = partial(cls(learning_rate=lr, **more).update, w_numpy, g, states_numpy)
        else:
            formula: Any = ours.formula  # it says float64, and does as well in float32

            def numpy() -> None:
                w_numpy[:] = formula(w_numpy, g, states_numpy, 1, lr)

        def error() -> float:
            fastnn()
            numpy()
            return difference(w, w_numpy)

        return Work(fastnn, numpy, nbytes=FLOAT * n * (3.0 + 2 * ours.state_count), error=error)

    return Case(f"{kernel} step, {n:,} parameters", "optimizer", make)


# --- the passes around a step ---


def penalty(n: int) -> Case:
    """l1 * sum |w| + l2 * sum w^2."""

    def make() -> Work:
        w = normal(n)

        def numpy() -> Any:
            return 1e-4 * np.sum(np.abs(w)) + 5e-4 * np.sum(w * w)

        return pair(partial(optimizer_kernels.penalty, w, 1e-4, 5e-4), numpy, nbytes=FLOAT * n)

    return Case(f"penalty l1 + l2, {n:,}", "pass", make)


def penalty_backward(n: int) -> Case:
    """dw += l1 sign(w) + 2 l2 w."""

    def make() -> Work:
        w, ours, theirs = normal(n), np.zeros(n, np.float32), np.zeros(n, np.float32)
        fastnn = partial(optimizer_kernels.penalty_backward, ours, w, 1e-4, 5e-4)

        def numpy() -> None:
            nonlocal theirs
            theirs += 1e-4 * book.signs(w)
            theirs += 2 * 5e-4 * w

        def error() -> float:
            fastnn()
            numpy()
            return difference(ours, theirs)

        return Work(fastnn, numpy, nbytes=3.0 * FLOAT * n, error=error)

    return Case(f"penalty gradient, {n:,}", "pass", make)


def dropout(rows: int, cols: int) -> Case:
    """A mask drawn and applied. Each side draws its own."""

    def make() -> Work:
        x, layer = normal(rows, cols), book.Dropout(0.1)
        fastnn = partial(functional.dropout, x, 0.1, seed=1)
        return Work(fastnn, partial(layer.forward, x, True), nbytes=3.0 * FLOAT * x.size)

    return Case(f"dropout {rows}x{cols}", "pass", make)


def gather(rows: int, cols: int, batch: int) -> Case:
    """An epoch of shuffled uint8 rows, batch by batch, scaled to floats: training a model without parameters."""

    def make() -> Work:
        X = np.random.default_rng(0).integers(0, 256, (rows, cols), np.uint8)
        y = np.zeros(rows, np.int32)
        model = Model([Input(cols), Rescale(1 / 127.5, -1)], seed=0)
        model.set(loss="categorical_crossentropy", optimizer="sgd", accuracy=None)

        def numpy() -> None:
            keys = np.random.permutation(rows)
            for start in range(0, rows, batch):
                _ = (X[keys[start : start + batch]].astype(np.float32) - 127.5) / 127.5

        fastnn = partial(model.train, X, y, batch_size=batch, shuffle=True)
        return Work(fastnn, numpy, nbytes=(1.0 + FLOAT) * X.size)

    return Case(f"gather {rows}x{cols} uint8, shuffled", "pass", make)
