"""G8. Every layer, loss and activation in at least 50 shapes: backward against differences of the loss, in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
from loss_cases import VARIANTS, draw_targets, last_activation
from promise import Figure, none_of

from fastnn import (
    Add,
    AlphaDropout,
    BatchNorm,
    Concatenate,
    Dense,
    Dropout,
    GaussianDropout,
    GaussianNoise,
    Input,
    LayerNorm,
    Model,
    Multiply,
    Normalization,
    Rescale,
    Residual,
    check_gradients,
)
from fastnn.activations import Activation
from fastnn.base import Layer

PROMISE = "right gradients: every layer, loss and activation, 50 shapes each, relative error at most 1e-6"
RTOL = 1e-6
ACTIVATIONS = sorted(
    {cls.names[0] for cls in Activation.registry.values()} - {"step"}
)  # its gradient is 0 by definition
PENALTIES = {"weight_regularizer_l1": 0.01, "weight_regularizer_l2": 0.02, "bias_regularizer_l2": 0.04}
LAYERS: dict[str, Any] = {  # one of each, between two dense layers; made for a width
    "Dense": lambda n: Dense(n, **PENALTIES),
    "Dropout": lambda n: Dropout(0.3),
    "Input": lambda n: None,  # it stands first
    "Rescale": lambda n: Rescale(0.7, -0.2),
    "BatchNorm": lambda n: BatchNorm(),
    "LayerNorm": lambda n: LayerNorm(),
    "Normalization": lambda n: Normalization(mean=[0.1] * n, variance=[2.0] * n),
    "GaussianNoise": lambda n: GaussianNoise(0.1),
    "GaussianDropout": lambda n: GaussianDropout(0.2),
    "AlphaDropout": lambda n: AlphaDropout(0.2),
    "Residual": lambda n: Residual([Dense(n, activation="tanh"), Residual([Dense(3)], projection=True), Dense(n)]),
    "Add": lambda n: Add(),
    "Multiply": lambda n: Multiply(),
    "Concatenate": lambda n: Concatenate(),
}
SAMPLES = 4  # parameters of each tensor


def networks(full: bool) -> Any:
    """(what is tried, model, X, y)."""
    rng = np.random.default_rng(8)
    families: dict[str, tuple[Any, str, str]] = {}
    families |= {f"activation {name}": (None, name, "mean_squared_error") for name in ACTIVATIONS}
    families |= {f"loss {name}": (None, "tanh", name) for name in VARIANTS}
    families |= {f"layer {name}": (make, "tanh", "mean_squared_error") for name, make in LAYERS.items()}
    for what, (make, hidden, loss_name) in families.items():
        for shape in range(50 if full else 2):
            rows, n_in, width, n_out = (int(n) for n in rng.integers((1, 1, 1, 2), (20, 30, 40, 12)))
            loss = VARIANTS[loss_name]
            extra = None if make is None else make(width)
            last = Dense(n_out, activation=last_activation(loss))
            if extra is not None and extra.joins:
                rows_in = Input(n_in)
                sides = [Dense(width, activation=hidden)(rows_in), Dense(width)(rows_in)]
                model = Model(inputs=rows_in, outputs=last(extra(sides)), seed=shape, dtype="float64")
            else:
                layers = [Dense(width, activation=hidden), *([extra] if extra is not None else []), last]
                first = [Input(n_in)] if what == "layer Input" else []
                model = Model([*first, *layers], seed=shape, dtype="float64")
            model.set(loss=loss, optimizer="sgd")
            yield what, model, rng.standard_normal((rows, n_in)), draw_targets(rng, loss, rows, n_out)


def prove(full: bool) -> Figure:
    missing = {c.__name__ for c in Layer.registry.values() if not issubclass(c, Activation)} - set(LAYERS)
    missing = {name for name in missing if Layer.registry.get(name, Layer).__module__.startswith("fastnn.layers")}
    if missing:
        return Figure(False, f"no gradient of {sorted(missing)} is checked here")
    wrong, worst, tried = [], 0.0, 0
    for what, model, X, y in networks(full):
        report = check_gradients(model, X, y, rtol=RTOL, samples=SAMPLES)
        tried, worst = tried + 1, max(worst, report.error)
        if not report:
            wrong.append(f"{what}: {report}")
    figure = none_of(len(wrong), tried, f"networks wrong, the worst relative error {worst:.1e}")
    return figure if not wrong else Figure(False, f"{figure.text}; {wrong[0]}")


def break_it(monkeypatch: Any) -> None:
    """Every gradient is too large by a hundred-thousandth."""
    from fastnn.engine import loop

    class Wrong:
        def __init__(self, *args: Any, **options: Any) -> None:
            self.plan, self.trainer = args[0], loop.Trainer(*args, **options)

        def gradients(self) -> float:
            loss = float(self.trainer.gradients())
            np.multiply(self.plan.grads, 1 + 1e-5, out=self.plan.grads)
            return loss

    import fastnn._runs as runs

    monkeypatch.setattr(runs, "loop", type("loop", (), {"Trainer": Wrong}))
