"""What a model is made of beside products, activations, losses and optimizers, each through the door that users take
(constraints through their kernel), beside its NumPy form. A line begins with the name of its part."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from fastnn import Dense, Input, Model, functional
from fastnn._bench.case import FLOAT, Array, Call, Case, Work, labels, normal, pair
from fastnn.activations import Softmax
from fastnn.base import Layer
from fastnn.constraints import Constraint
from fastnn.initializers import Initializer
from fastnn.kernels.updates import bound_norms
from fastnn.layers import (
    Add,
    AlphaDropout,
    Concatenate,
    GaussianDropout,
    Multiply,
    Normalization,
    Rescale,
    Residual,
)
from fastnn.optimizers import LBFGS
from fastnn.schedules import Schedule

# --- layers: a prediction of a model of nothing else ---


def rescale(rows: int, cols: int) -> Case:
    def make() -> Work:
        x = normal(rows, cols)
        return _predicted(Rescale(1 / 255, -0.5), x, lambda: x * np.float32(1 / 255) - np.float32(0.5))

    return Case(f"Rescale {rows}x{cols}", "layer", make)


def normalization(rows: int, cols: int) -> Case:
    def make() -> Work:
        x, layer = normal(rows, cols), Normalization()
        layer.adapt(x)
        work = _predicted(layer, x, lambda: (x - mean) / deviation)
        mean, deviation = layer.mean, np.sqrt(layer.variance)
        return work

    return Case(f"Normalization {rows}x{cols}", "layer", make)


def residual(rows: int, width: int) -> Case:
    """x + (x.w + b)."""

    def make() -> Work:
        x, block = normal(rows, width), Dense(width)

        def numpy() -> Array:
            return x + (np.dot(x, block.weights) + block.biases)

        return _predicted(Residual([block]), x, numpy, flops=2.0 * x.size * width)

    return Case(f"Residual {rows}x{width}", "layer", make)


def _predicted(layer: Layer, x: Array, numpy: Call, flops: float = 0.0) -> Work:
    model = Model([layer], seed=0)
    model.finalize(x.shape[1])
    return pair(partial(model.predict, x), numpy, flops=flops, nbytes=2.0 * FLOAT * x.size)


def merge(kind: type[Add | Multiply | Concatenate], rows: int, cols: int) -> Case:
    """Of two arrays, which ``predict`` lays side by side first."""
    numpy: dict[str, Callable[[Array, Array], Array]] = {
        "Add": np.add,
        "Multiply": np.multiply,
        "Concatenate": lambda a, b: np.concatenate([a, b], axis=1),
    }

    def make() -> Work:
        a, b = Input(cols), Input(cols)
        model = Model(inputs=[a, b], outputs=kind()([a, b]))
        halves = [np.ascontiguousarray(half) for half in np.split(normal(rows, 2 * cols), 2, axis=1)]
        fastnn, other = partial(model.predict, halves), partial(numpy[kind.__name__], *halves)
        return pair(fastnn, other, nbytes=(4.0 if kind is Concatenate else 3.0) * FLOAT * rows * cols)

    return Case(f"{kind.__name__} {rows}x{cols}", "layer", make)


def alpha_dropout(rate: float, rows: int, cols: int) -> Case:
    rng, dropped = np.random.default_rng(0), -1.7580993408473766
    a = ((1 - rate) * (1 + rate * dropped**2)) ** -0.5

    def numpy(x: Array) -> Array:
        kept = rng.random(x.shape, np.float32) >= rate
        y: Array = np.where(kept, x, np.float32(dropped)) * np.float32(a) - np.float32(a * dropped * rate)
        return y

    return _noise("AlphaDropout", partial(AlphaDropout, rate), numpy, rows, cols)


def gaussian_dropout(rate: float, rows: int, cols: int) -> Case:
    rng, deviation = np.random.default_rng(0), np.float32((rate / (1 - rate)) ** 0.5)

    def numpy(x: Array) -> Array:
        y: Array = x * (1 + rng.standard_normal(x.shape, np.float32) * deviation)
        return y

    return _noise("GaussianDropout", partial(GaussianDropout, rate), numpy, rows, cols)


def _noise(name: str, layer: Callable[[], Layer], numpy: Callable[[Array], Array], rows: int, cols: int) -> Case:
    """A sample of what the layer does in training. Each side draws its own."""

    def make() -> Work:
        x, model = normal(rows, cols), Model([layer()], seed=0)
        model.finalize(cols)
        return Work(partial(model.predict_samples, x, 1), partial(numpy, x), nbytes=2.0 * FLOAT * x.size)

    return Case(f"{name} {rows}x{cols}", "layer", make)


# --- what trains ---


def lbfgs(epochs: int, rows: int, n_in: int, hidden: int) -> Case:
    """The first epochs of a regression; NumPy has no counterpart."""

    def make() -> Work:
        X = normal(rows, n_in)
        y = np.sin(X[:, :1])

        def fastnn() -> Array:
            model = Model([Dense(hidden, activation="tanh"), Dense(1)], seed=0)
            model.set(loss="mse", optimizer=LBFGS())
            return np.array(model.train(X, y, epochs=epochs).loss)

        return Work(fastnn, None, steps=epochs)

    return Case(f"lbfgs, {epochs} epochs of {n_in}-{hidden}-1, {rows} rows", "optimizer", make)


def schedule(made: Schedule, steps: int) -> Case:
    def make() -> Work:
        each = range(steps)
        return pair(lambda: np.array([*map(made, each)]), lambda: np.array([*map(made.formula, each)]))

    return Case(f"{made.names[0]}, {steps:,} steps", "schedule", make)


def initializer(made: Initializer, n_in: int, n_out: int) -> Case:
    """Each side draws its own."""

    def make() -> Work:
        rng = np.random.default_rng(0)
        drawn: dict[str, Call] = {
            "uniform": lambda: rng.uniform(-0.1, 0.1, (n_in, n_out)),
            "zeros": lambda: np.zeros((n_in, n_out)),
        }
        numpy = drawn.get(made.names[0].rpartition("_")[2], lambda: rng.normal(0, 0.1, (n_in, n_out)))
        return Work(partial(made.sample, n_in, n_out, 1, 2), numpy, nbytes=8.0 * n_in * n_out)

    return Case(f"{made.names[0]} {n_in}x{n_out}", "initializer", make)


def constraint(made: Constraint, n_in: int, n_out: int) -> Case:
    """Of weights in float32, copied first where the kernel works in place."""

    def make() -> Work:
        w, rule = normal(n_in, n_out), made.lower(0, "weights")
        ours = np.empty_like(w)

        def fastnn() -> Array:
            if rule.kind == "not_negative":
                return functional.activation("relu", w, ours)
            np.copyto(ours, w)
            bound_norms(ours, rule.low, rule.high, rule.kind == "rows")
            return ours

        return pair(fastnn, partial(made.formula, w), nbytes=2.0 * FLOAT * w.size)

    return Case(f"{made.names[0]} {n_in}x{n_out}", "constraint", make)


# --- metrics: an evaluation of a model that does nothing else ---


def metric(name: str, rows: int, classes: int) -> Case:
    """Of rows of scores through softmax against labels or, for errors, of rows of numbers; classes weigh alike."""
    makes = _of_errors if name in ERRORS else _of_classes
    return Case(f"{name}, {rows:,} rows", "metric", partial(makes, name, rows, classes))


ERRORS: dict[str, Callable[[Array, Array], Any]] = {
    "mse": lambda p, t: ((p - t) ** 2).mean(),
    "rmse": lambda p, t: np.sqrt(((p - t) ** 2).mean(0)).mean(),
    "mae": lambda p, t: np.abs(p - t).mean(),
    "r2": lambda p, t: (1 - ((p - t) ** 2).sum(0) / ((t - t.mean(0)) ** 2).sum(0)).mean(),
}


def _of_errors(name: str, rows: int, cols: int) -> Work:
    p, t, model = normal(rows, cols), normal(rows, cols)[::-1].copy(), Model([Rescale(1.0)], seed=0)
    model.set(loss="mse", metrics=[name])
    model.finalize(cols)
    return pair(lambda: model.evaluate(p, t).metrics[name], lambda: ERRORS[name](p, t), nbytes=2.0 * FLOAT * p.size)


def _of_classes(name: str, rows: int, classes: int) -> Work:
    z, true, model = normal(rows, classes), labels(rows, classes), Model([Softmax()], seed=0)
    model.set(loss="categorical_crossentropy", metrics=[name])
    model.finalize(classes)

    def counts(p: Array) -> Array:
        """(classes, classes): rows by what they are and what is said of them."""
        at = true * classes + p.argmax(axis=1)
        return np.bincount(at, minlength=classes**2).reshape(classes, classes).astype(float)

    def areas(p: Array) -> float:
        ranks = np.argsort(np.argsort(p, axis=0), axis=0) + 1.0  # ties are too few to show
        each = [(ranks[true == c, c].sum(), (true == c).sum()) for c in range(classes)]
        return float(np.mean([(s - n * (n + 1) / 2) / (n * (rows - n)) for s, n in each]))

    def of_counts(score: Callable[[Any, Any, Any, Any], Any], p: Array) -> Any:
        n = counts(p)
        return score(np.diag(n), n.sum(axis=0), n.sum(axis=1), n.sum())

    def matthews(right: Any, said: Any, are: Any, all_: Any) -> Any:
        return (all_ * right.sum() - said @ are) / np.sqrt((all_**2 - said @ said) * (all_**2 - are @ are))

    scores: dict[str, Callable[[Array], Any]] = {
        "precision": partial(of_counts, lambda right, said, are, _: (right / said).mean()),
        "recall": partial(of_counts, lambda right, said, are, _: (right / are).mean()),
        "f1": partial(of_counts, lambda right, said, are, _: (2 * right / (said + are)).mean()),
        "balanced_accuracy": partial(of_counts, lambda right, said, are, _: (right / are).mean()),
        "matthews_correlation": partial(of_counts, matthews),
        "top_k_accuracy": lambda p: (np.argpartition(-p, 5, axis=1)[:, :5] == true[:, None]).any(axis=1).mean(),
        "roc_auc": areas,
    }

    def numpy() -> Any:
        e = np.exp(z - z.max(axis=1, keepdims=True))
        return scores[name](e / e.sum(axis=1, keepdims=True))

    return pair(lambda: model.evaluate(z, true).metrics[name], numpy, nbytes=FLOAT * z.size)
