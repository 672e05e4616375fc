"""The book's files without pickle: names and numbers in safetensors (``fastnn.checkpoint``), which run no code."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from fastnn import checkpoint
from fastnn.checkpoint import FormatError
from fastnn.nnfs import _accuracies, _activations, _layers, _losses, _optimizers
from fastnn.schedules import Schedule

if TYPE_CHECKING:
    import numpy as np

    from fastnn.nnfs._model import Model, Parameters
    from fastnn.nnfs._settings import Array

Path = str | os.PathLike[str]
MARK = "nnfs"  # the entry that says which of the two kinds of file it is

PENALTIES = ("weight_regularizer_l1", "weight_regularizer_l2", "bias_regularizer_l1", "bias_regularizer_l2")
ARRAYS = ("weights", "biases", "weight_momentums", "bias_momentums", "weight_cache", "bias_cache")
ACTIVATIONS = ("Activation_ReLU", "Activation_Softmax", "Activation_Sigmoid", "Activation_Linear")
LOSSES = ("Loss_CategoricalCrossentropy", "Loss_BinaryCrossentropy", "Loss_MeanSquaredError", "Loss_MeanAbsoluteError")
OPTIMIZERS = ("Optimizer_SGD", "Optimizer_Adagrad", "Optimizer_RMSprop", "Optimizer_Adam")


def save_parameters(path: Path, parameters: Parameters) -> None:
    tensors = {
        f"layer{i}.{name}": array
        for i, pair in enumerate(parameters)
        for name, array in zip(("weights", "biases"), pair, strict=True)
    }
    checkpoint.save(path, {MARK: "parameters", "count": len(parameters)}, tensors)


def load_parameters(path: Path) -> Parameters:
    description, tensors = _load(path, "parameters")
    return [(tensors[f"layer{i}.weights"], tensors[f"layer{i}.biases"]) for i in range(description["count"])]


def _load(path: Path, kind: str) -> tuple[dict[str, Any], dict[str, np.ndarray[Any, Any]]]:
    description, tensors = checkpoint.load(path)
    if description.get(MARK) != kind:
        raise FormatError(f"{path}: expected a file of {kind} of fastnn.nnfs, got {description.get(MARK)!r}")
    return description, tensors


# --- whole models ---


def save_model(path: Path, model: Model) -> None:
    layers, tensors = [], {}
    for i, layer in enumerate(model.layers):
        if any(layer is other for other in model.layers[:i]):
            raise TypeError(
                f"layers[{i}]: a layer that is there twice cannot be saved; keep the parameters: save_parameters"
            )
        layers.append(_describe_layer(layer))
        if type(layer) is _layers.Layer_Dense:
            tensors.update({f"layer{i}.{name}": getattr(layer, name) for name in ARRAYS if hasattr(layer, name)})
    description = {
        MARK: "model",
        "layers": layers,
        "loss": None if model.loss is None else {"class": _known(model.loss, LOSSES)},
        "optimizer": _describe_optimizer(model.optimizer),
        "accuracy": _describe_accuracy(model.accuracy),
    }
    checkpoint.save(path, description, tensors)


def _known(part: Any, names: tuple[str, ...]) -> str:
    name = type(part).__name__
    if name not in names or not type(part).__module__.startswith("fastnn.nnfs"):
        raise TypeError(f"{name}: only the parts of fastnn.nnfs can be saved; keep the parameters: save_parameters")
    return name


def _describe_layer(layer: Any) -> dict[str, Any]:
    name = _known(layer, ("Layer_Dense", "Layer_Dropout", *ACTIVATIONS))
    if name == "Layer_Dense":
        return {"class": name, **{key: float(getattr(layer, key)) for key in PENALTIES}}
    return {"class": name, "kept": layer.rate} if name == "Layer_Dropout" else {"class": name}


def _describe_optimizer(optimizer: Any) -> dict[str, Any] | None:
    if optimizer is None:
        return None
    return {
        "class": _known(optimizer, OPTIMIZERS),
        "settings": {name: _describe_setting(getattr(optimizer, name)) for name in optimizer.settings},
        "iterations": int(optimizer.iterations),
        "current_learning_rate": float(optimizer.current_learning_rate),
    }


def _describe_setting(value: Any) -> Any:
    if isinstance(value, Schedule):
        if value.lower()[0] == "python":
            raise TypeError(f"a file of nnfs cannot hold {type(value).__name__}, which is written in Python")
        return value.describe()
    return float(value)


def _describe_accuracy(accuracy: Any) -> dict[str, Any] | None:
    if accuracy is None:
        return None
    name = _known(accuracy, ("Accuracy_Categorical", "Accuracy_Regression"))
    if name == "Accuracy_Categorical":
        return {"class": name, "binary": bool(accuracy.binary)}
    return {"class": name, "precision": None if accuracy.precision is None else float(accuracy.precision)}


def load_model(path: Path, model: Model) -> Model:
    """Fill the new ``model`` from the file."""
    description, tensors = _load(path, "model")
    try:
        for i, d in enumerate(description["layers"]):
            arrays = {name: tensors[f"layer{i}.{name}"] for name in ARRAYS if f"layer{i}.{name}" in tensors}
            model.add(_build_layer(d, arrays))
        loss, optimizer, accuracy = description["loss"], description["optimizer"], description["accuracy"]
        model.set(
            loss=None if loss is None else _class(_losses, loss["class"], LOSSES)(),
            optimizer=None if optimizer is None else _build_optimizer(optimizer),
            accuracy=None if accuracy is None else _build_accuracy(accuracy),
        )
        model.finalize()
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise FormatError(f"{path}: the description does not make a model ({error})") from error
    return model


def _class(module: Any, name: str, names: tuple[str, ...]) -> Any:
    if name not in names:
        raise ValueError(f"unknown class {name!r}")
    return getattr(module, name)


def _build_layer(d: dict[str, Any], arrays: dict[str, Array]) -> Any:
    if d["class"] == "Layer_Dense":
        # not by the constructor: it would draw weights, and so move NumPy's generator on
        layer = _layers.Layer_Dense.__new__(_layers.Layer_Dense)
        if arrays["weights"].ndim != 2 or arrays["biases"].shape != (1, arrays["weights"].shape[1]):
            raise ValueError("weights and biases do not go together")
        vars(layer).update({name: float(d[name]) for name in PENALTIES}, **arrays)
        return layer
    if d["class"] == "Layer_Dropout":
        dropout = _layers.Layer_Dropout(0)
        dropout.rate = float(d["kept"])
        return dropout
    return _class(_activations, d["class"], ACTIVATIONS)()


def _build_optimizer(d: dict[str, Any]) -> Any:
    settings = {k: Schedule.from_description(v) if isinstance(v, dict) else v for k, v in d["settings"].items()}
    optimizer = _class(_optimizers, d["class"], OPTIMIZERS)(**settings)
    optimizer.iterations, optimizer.current_learning_rate = int(d["iterations"]), float(d["current_learning_rate"])
    return optimizer


def _build_accuracy(d: dict[str, Any]) -> Any:
    if d["class"] == "Accuracy_Categorical":
        return _accuracies.Accuracy_Categorical(binary=bool(d["binary"]))
    accuracy = _class(_accuracies, d["class"], ("Accuracy_Regression",))()
    accuracy.precision = d["precision"]
    return accuracy
