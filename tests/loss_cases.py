"""The losses that the tests run over: an object for each kernel, and more where an option changes the mathematics."""

from __future__ import annotations

from typing import Any

import numpy as np
from compare import Array

from fastnn import _core
from fastnn.losses import BinaryCrossentropy, CategoricalCrossentropy, Huber, Loss, Quantile

CLASSES = list(dict.fromkeys(Loss.registry.values()))
OBJECTS: dict[str, Any] = {cls.kernel: cls() for cls in CLASSES}
OBJECTS |= {f"{cls.kernel}_logits": cls(from_logits=True) for cls in CLASSES if f"{cls.kernel}_logits" in _core.LOSSES}
VARIANTS: dict[str, Any] = OBJECTS | {
    "categorical_crossentropy smoothed": CategoricalCrossentropy(label_smoothing=0.1),
    "categorical_crossentropy_logits smoothed": CategoricalCrossentropy(from_logits=True, label_smoothing=0.2),
    "binary_crossentropy smoothed": BinaryCrossentropy(label_smoothing=0.1),
    "binary_crossentropy_logits smoothed": BinaryCrossentropy(from_logits=True, label_smoothing=0.2),
    "huber 0.3": Huber(0.3),
    "quantile 0.9": Quantile(0.9),
}


def last_activation(loss: Any) -> str:
    """One whose outputs the loss can take."""
    return loss.merges_with or ("softplus" if loss.kernel == "poisson" else "linear")


def takes(loss: Any, activation: str) -> bool:
    """Whether the loss can take what the activation gives."""
    if loss.merges_with:
        return activation in ("sigmoid", "softmax")
    if loss.kernel == "poisson":
        return activation in ("softplus", "exponential", "sigmoid", "softmax")
    return not (loss.kernel.endswith("_logits") and activation in ("sigmoid", "softmax"))


def draw_targets(rng: np.random.Generator, loss: Any, rows: int, n_out: int) -> Array:
    if loss.takes_labels and n_out > 1:
        return rng.integers(0, n_out, rows)
    if loss.kernel == "kl_divergence":
        t = rng.uniform(0.05, 1, (rows, n_out))
        return t / t.sum(axis=1, keepdims=True)
    if loss.targets == "probabilities":
        return rng.integers(0, 2, (rows, n_out))
    if loss.targets == "signs":
        return rng.integers(0, 2, (rows, n_out)) * 2 - 1
    if loss.kernel == "poisson":
        return rng.poisson(2.0, (rows, n_out))
    return rng.standard_normal((rows, n_out))
