"""From scikit-learn's multi-layer perceptrons, which have their weights in ``coefs_`` and ``intercepts_``."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn import activations as act
from fastnn.interop._assemble import Part, Weights, assemble

if TYPE_CHECKING:
    from fastnn.model import Model

ACTIVATIONS: dict[str, Callable[[], act.Activation] | None] = {
    "identity": None,
    "relu": act.ReLU,
    "tanh": act.Tanh,
    "logistic": act.Sigmoid,
    "softmax": act.Softmax,
    "exp": act.Exponential,  # the output for the Poisson loss
}
PREDICTING = ("predict", "predict_proba", "_predict", "_forward_pass", "_forward_pass_fast")


def from_sklearn(estimator: Any) -> Model:
    from fastnn.model import Model

    kinds = {c.__name__ for c in type(estimator).__mro__ if c.__module__.startswith("sklearn.neural_network.")}
    if not kinds & {"MLPClassifier", "MLPRegressor"}:
        raise TypeError(f"estimator: expected an MLPClassifier or MLPRegressor, got {type(estimator).__name__}")
    for name in PREDICTING:
        owner = next((cls for cls in type(estimator).__mro__ if name in vars(cls)), None)
        if owner is not None and not owner.__module__.startswith("sklearn."):
            raise TypeError(
                f"estimator: {type(estimator).__name__} has a {name} of its own, which computes something else"
            )
    if not hasattr(estimator, "coefs_"):
        raise ValueError("estimator: it is not fitted: call its fit first")
    parts: list[Part] = []
    last = len(estimator.coefs_) - 1
    for i, (weights, biases) in enumerate(zip(estimator.coefs_, estimator.intercepts_, strict=True)):
        name = estimator.activation if i < last else estimator.out_activation_
        if name not in ACTIVATIONS:
            raise ValueError(f"estimator: the activation {name!r} is not supported")
        parts.append(Weights(np.asarray(weights), np.asarray(biases), f"coefs_[{i}]"))
        make = ACTIVATIONS[name]
        if make is not None:
            parts.append(make())
    model = assemble(Model, parts, np.dtype(parts[0].weights.dtype))  # type: ignore[union-attr]
    classes = getattr(estimator, "classes_", None)
    if classes is not None:
        model.metadata["class_names"] = [str(name) for name in classes]
        several = estimator._label_binarizer.y_type_.startswith("multilabel")  # each answers a question of its own
        fits = len(classes) == max(model.plan.n_out, 2) and len({str(name) for name in classes}) == len(classes)
        if fits and not several:
            model.class_labels = classes.tolist()
    return model
