"""The networks of the command line: from ``--layers`` and friends to a model, and from a model file to its data."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn import _cli_data, data
from fastnn._cli_data import CLASSIFICATION, REGRESSION, Problem
from fastnn._cli_optimizer import optimizer
from fastnn._core import ACTIVATION_ALPHA
from fastnn._labels import named
from fastnn.activations import Activation
from fastnn.base import Layer
from fastnn.layers import (
    AlphaDropout,
    BatchNorm,
    Dense,
    Dropout,
    GaussianDropout,
    GaussianNoise,
    LayerNorm,
    Normalization,
    Rescale,
)
from fastnn.model import Model


@dataclass(frozen=True)
class Recipe:
    """What is used where the user does not say. learning_rate and decay go with Adam only."""

    layers: str
    epochs: int
    batch_size: int
    learning_rate: float
    decay: float


# The spiral's figures were searched for: they reach 0.90 held out, where its noise allows no classifier above 0.909.
RECIPES = {
    "spiral": Recipe("64,relu,64,relu", epochs=300, batch_size=128, learning_rate=0.005, decay=1e-3),
    "images": Recipe("128,relu,128,relu", epochs=10, batch_size=128, learning_rate=1e-3, decay=1e-3),
    "table": Recipe("64,relu,64,relu", epochs=100, batch_size=32, learning_rate=2e-3, decay=1e-4),
}


def recipe_for(kind: str) -> Recipe:
    return RECIPES[{"spiral": "spiral", "fashion-mnist": "images", "mnist": "images"}.get(kind, "table")]


PLAIN: dict[str, type[Layer]] = {"batchnorm": BatchNorm, "layernorm": LayerNorm, "normalization": Normalization}
WITH_NUMBER: dict[str, tuple[Any, str]] = {  # the layer, and what its number is
    "dropout": (Dropout, "SHARE with a share from 0 to 1"),
    "alphadropout": (AlphaDropout, "SHARE with a share from 0 to 1"),
    "gaussiandropout": (GaussianDropout, "SHARE with a share from 0 to 1"),
    "noise": (GaussianNoise, "STDDEV with a standard deviation of at least 0"),
    **{
        name: (kind, "ALPHA with a number of at least 0")
        for name, kind in Activation.registry.items()
        if kind.kernel in ACTIVATION_ALPHA
    },
}


def parse_layers(text: str, initializer: str) -> list[Layer]:
    """``128,relu,dropout:0.1,10,softmax``: a width is a Dense layer, a name an activation, dropout:SHARE a Dropout;
    batchnorm, layernorm, normalization, noise:STDDEV, alphadropout:SHARE and gaussiandropout:SHARE likewise. An
    activation that has a parameter takes one: leaky_relu:0.2, elu:0.5."""
    layers: list[Layer] = []
    for word in (part.strip() for part in text.split(",")):
        name, colon, argument = word.partition(":")
        if word.isdecimal():
            layers.append(Dense(int(word), weight_initializer=initializer))
        elif word.lower() in PLAIN:
            layers.append(PLAIN[word.lower()]())
        elif name.lower() in WITH_NUMBER and (colon or name.lower() not in Activation.registry):
            kind, wanted = WITH_NUMBER[name.lower()]
            try:
                layers.append(kind(float(argument)))
            except ValueError:
                raise ValueError(f"--layers: expected {name.lower()}:{wanted}, got {word!r}") from None
        elif not word:
            raise ValueError(f"--layers: there is an empty place in {text!r}")
        else:
            try:
                layers.append(Activation.resolve(word))
            except ValueError as error:
                if name.lower() in Activation.registry:
                    with_one = ", ".join(sorted(ACTIVATION_ALPHA))
                    raise ValueError(
                        f"--layers: {name.lower()} has no parameter, got {word!r}; those that have one: {with_one}"
                    ) from None
                raise ValueError(f"--layers: {error}; a number is a dense layer, dropout:0.1 a dropout") from None
    return layers


def build(problem: Problem, args: Namespace, steps: int) -> Model:
    """The model for the problem, with loss, optimizer and metadata set, and finalized. steps: of the whole training."""
    last = "softmax" if problem.task == CLASSIFICATION else "linear"
    text = args.layers or f"{args.recipe.layers},{problem.outputs},{last}"
    layers = parse_layers(text, args.init)
    loss = loss_for(problem, layers, text)
    if problem.X.dtype == np.uint8 and not isinstance(layers[0], Normalization):
        layers.insert(0, Rescale(1 / 127.5, -1.0))
    model = Model(layers, seed=args.seed, dtype=args.dtype)
    model.set(loss=loss, optimizer=optimizer(args, steps))
    model.metadata = {**problem.metadata(), "loss": loss}
    model.finalize(problem.X.shape[1])
    model.class_labels = problem.class_names or None
    return model


def loss_for(problem: Problem, layers: list[Layer], text: str) -> str:
    """The loss that goes with the end of the network; ValueError where the end does not go with the data."""
    width = next((layer.n_neurons for layer in reversed(layers) if isinstance(layer, Dense)), None)
    end = layers[-1].kernel if isinstance(layers[-1], Activation) else "linear"
    if problem.task == REGRESSION:
        if width != problem.outputs:
            raise ValueError(
                f"--layers {text}: the data has {problem.outputs} value(s) to predict, so end in {problem.outputs}"
            )
        return "mean_squared_error"
    if problem.outputs == 2 and (width, end) == (1, "sigmoid"):
        return "binary_crossentropy"
    if (width, end) != (problem.outputs, "softmax"):
        hint = " or 1,sigmoid" if problem.outputs == 2 else ""
        raise ValueError(
            f"--layers {text}: the data has {problem.outputs} classes, so end in {problem.outputs},softmax{hint}"
        )
    return "categorical_crossentropy"


def targets(model: Model, y: NDArray[Any]) -> NDArray[Any]:
    """Labels as the model's loss wants them."""
    one = model.loss_object.names[0] == "binary_crossentropy" and y.ndim == 1
    return y.reshape(-1, 1).astype(np.float32) if one else y


def describe(model: Model) -> str:
    """``784 -> 128 relu -> 10 softmax; 101,770 parameters, float32``."""
    words = [str(model.plan.n_in)]
    for layer in model.layers:
        if isinstance(layer, Activation):
            words[-1] += f" {layer.kernel}"
        elif isinstance(layer, Dense):
            words.append(str(layer.n_neurons))
        elif isinstance(layer, (Dropout, AlphaDropout, GaussianDropout)):
            words[-1] += f" {type(layer).__name__.lower()} {layer.rate:g}"
        elif isinstance(layer, GaussianNoise):
            words[-1] += f" noise {layer.stddev:g}"
        elif isinstance(layer, tuple(PLAIN.values())):
            words[-1] += f" {type(layer).__name__.lower()}"
        elif isinstance(layer, Rescale):
            words[-1] += f" * {layer.scale:.4g} {'+' if layer.offset >= 0 else '-'} {abs(layer.offset):g}"
    return f"{' -> '.join(words)}; {model.parameter_count:,} parameters, {model.dtype}"


def check_width(model: Model, path: str, X: NDArray[Any], name: str) -> None:
    if X.shape[1] != model.plan.n_in:
        raise ValueError(f"{path} takes {model.plan.n_in} features, {name} has {X.shape[1]}")


def evaluation_rows(model: Model, args: Namespace) -> tuple[NDArray[Any], NDArray[Any], str]:
    """(X, y, what they are) for ``fastnn evaluate``: labels are numbered as they were in training."""
    kind = _cli_data.kind_of(args.data)
    _cli_data.refuse_what_does_not_go(args, kind)
    known, classes = model.metadata, class_names(model)
    if kind in _cli_data.NAMED:
        problem = _cli_data.spiral(model.seed) if kind == "spiral" else _cli_data.images(kind, args.data_dir)
        if classes is not None and classes != problem.class_names:
            raise ValueError(f"{args.model} tells other classes apart than those of {kind}: {_some(classes)}")
        what = f"the spiral {problem.held_out}" if kind == "spiral" else f"the test set of {kind}"
        return problem.X_held, problem.y_held, what
    if kind == "npz":
        rows, test = data.read_npz(args.data)
        X, y = rows if test is None else test
        check_width(model, args.model, X, args.data)
        return X, _numbered(args.data, y, classes), args.data if test is None else f"the test rows of {args.data}"
    target = args.target or known.get("target")
    if not target:
        raise ValueError(f"{args.data}: which column is to be predicted? --target COLUMN")
    delimiter = _cli_data.delimiter_of(args)
    table = data.read_csv(
        args.data, target, delimiter, feature_names=known.get("feature_names") or None, class_names=classes
    )
    return table.X, table.y, args.data


def class_names(model: Model) -> tuple[str, ...] | None:
    """The classes as text; () where the model predicts values, None where nobody said."""
    if model.class_labels is None:
        return () if model.metadata.get("task") == REGRESSION else None
    return tuple(str(label) for label in model.class_labels)


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:12]) + (", ..." if len(names) > 12 else "") or "none, it predicts values"


def _numbered(path: str, y: NDArray[Any], classes: Sequence[str] | None) -> NDArray[Any]:
    if classes is None:
        return y
    if not classes:
        return y.reshape(len(y), -1).astype(np.float32)
    if y.ndim == 2 and y.shape[1] == len(classes) > 1:
        return np.asarray(y.argmax(axis=1), np.int32)
    number_of = {name: k for k, name in enumerate(classes)}
    values, places = np.unique(y.reshape(-1), return_inverse=True)
    names = [str(int(value)) if value == np.floor(value) else str(value) for value in values]
    unknown = [name for name in names if name not in number_of]
    if unknown:
        raise ValueError(
            f"{path}: y holds {unknown[0]}, which is none of the model's classes {', '.join(classes[:12])}"
        )
    labels: NDArray[Any] = np.array([number_of[name] for name in names], np.int32)[places.reshape(-1)]
    return labels


def prediction_table(model: Model, outputs: NDArray[Any]) -> tuple[list[str], list[list[str]]]:
    """(header, rows of text): the class and every class's probability, or score where the loss takes scores; or the
    predicted values."""
    classes = class_names(model) or ()
    threshold = 0.5 if model.loss is None else model.loss.threshold
    best = named(outputs, threshold, None)
    scores = getattr(model.loss, "from_logits", False) or threshold != 0.5
    if len(classes) == 2 and outputs.shape[1] == 1 and not scores:
        outputs = np.concatenate([1 - outputs, outputs], axis=1)
    numbers = [[str(value) for value in row] for row in outputs]
    if classes and outputs.shape[1] in (len(classes), len(classes) - 1):
        columns = (
            [f"score({name})" for name in classes[-outputs.shape[1] :]] if scores else [f"p({c})" for c in classes]
        )
        return ["prediction", *columns], [[classes[k], *row] for k, row in zip(best, numbers, strict=True)]
    name = model.metadata.get("target") or "output"
    return [name] if outputs.shape[1] == 1 else [f"{name}_{k}" for k in range(outputs.shape[1])], numbers
