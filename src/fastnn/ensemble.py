"""Several models that answer as one: the mean of their predictions, or their vote."""

from __future__ import annotations

import copy
import json
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn import _atomic, _checks, _network, checkpoint
from fastnn._labels import named
from fastnn._safetensors import parse
from fastnn.kernels.metrics import argmax_rows
from fastnn.layers import Input
from fastnn.model import Model

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from fastnn._runs import Evaluation

METHODS = ("mean", "vote")
SHARE = 0.5  # of the votes, above which they say yes
# weights of which the largest is beyond that, or below its inverse, are divided by it: products would leave the numbers
FAR = 1e100
CONTENTS = "ensemble.json"


class Ensemble:
    """Models with inputs and outputs of the same widths (and names of inputs) and the same ``class_labels``, where they
    have them, of ``fit_many`` for instance, that answer as one.

    method: "mean", the mean of their predictions; "vote", for classifiers: each model has one vote for its largest
    output (with one output, for 1 or 0 as it is above the loss's threshold), and the prediction is the share of the
    votes. weights: one for each model, at least 0, what its prediction or vote counts (of 0 nothing, whatever it is);
    None for the same. The models stay what they are and may be trained on.

    Raises ValueError for models that do not go together, or are not finalized.
    """

    def __init__(
        self, models: Iterable[Model], *, method: str = "mean", weights: Sequence[float] | None = None
    ) -> None:
        self.models: list[Model] = _checks.listed("models", models, "a list of models")
        if not self.models:
            raise ValueError("models: expected at least one")
        for i, model in enumerate(self.models):
            if not isinstance(model, Model):
                raise TypeError(f"models[{i}]: expected a Model, got {type(model).__name__}")
            if model._plan is None:
                raise ValueError(f"models[{i}]: the model is not finalized: train it first")
        _need_alike(self.models)
        if method not in METHODS:
            raise ValueError(f"method: expected {' or '.join(map(repr, METHODS))}, got {method!r}")
        self.method = method
        self.weights = None if weights is None else _weights(weights, len(self.models))

    def __len__(self) -> int:
        return len(self.models)

    def __iter__(self) -> Iterator[Model]:
        return iter(self.models)

    def __getitem__(self, index: int) -> Model:
        return self.models[index]

    def predictions(self, X: ArrayLike, *, batch_size: int | None = None) -> NDArray[Any]:
        """Each model's predictions (models, rows, outputs)."""
        return np.stack([model.predict(X, batch_size=batch_size) for model in self.models])

    def predict(self, X: ArrayLike, *, batch_size: int | None = None) -> NDArray[Any]:
        """(rows, outputs): the mean of the models' predictions, or the shares of their votes, added up in float64 in
        the order of the models, in the widest type that one of them has. A row's bits do not depend on others."""
        total, counts = None, self._counts()
        for model, weight in zip(self.models, counts, strict=True):
            if not weight:
                continue
            answers = model.predict(X, batch_size=batch_size)
            part = (self._votes(model, answers) if self.method == "vote" else answers).astype(np.float64)
            part = part if self.weights is None else part * weight
            total = part if total is None else total + part
        assert total is not None
        kind = np.result_type(*(model.dtype for model in self.models))
        mean: NDArray[Any] = (total / sum(counts)).astype(kind)
        return mean

    __call__ = predict

    def predict_labels(self, X: ArrayLike, *, batch_size: int | None = None) -> NDArray[Any]:
        """The label (rows,) of each row's class, as ``Model.predict_labels`` gives it, by ``class_labels`` of the first
        model."""
        first, voted = self.models[0], self.method == "vote"
        threshold = SHARE if voted or first.loss is None else first.loss.threshold
        return named(self.predict(X, batch_size=batch_size), threshold, first.class_labels)

    def std(self, X: ArrayLike, *, batch_size: int | None = None) -> NDArray[Any]:
        """(rows, outputs): the standard deviation of the models' predictions (divided by their number), how far they
        disagree; of votes that of the votes. Weights count."""
        answers = self.predictions(X, batch_size=batch_size)
        if self.method == "vote":
            answers = np.stack([self._votes(m, a) for m, a in zip(self.models, answers, strict=True)])
        w = np.array(self._counts())
        here = w > 0
        w = (w / w.sum())[here, None, None]
        wide = answers[here].astype(np.float64)
        spread: NDArray[Any] = np.sqrt((w * (wide - (w * wide).sum(axis=0)) ** 2).sum(axis=0)).astype(answers.dtype)
        return spread

    def evaluate(
        self, X: ArrayLike, y: ArrayLike, *, batch_size: int | None = None, sample_weight: ArrayLike | None = None
    ) -> Evaluation:
        """Loss, accuracy and metrics of ``predict``, as the first model is set for them. batch_size bounds memory.

        Of votes the loss is that of their shares, whatever the models' outputs are, and a yes is more than half.
        """
        first = self.models[0]
        answers = self.predict(X, batch_size=batch_size)
        judge = Model([Input(first.plan.n_out)], dtype=answers.dtype)
        loss = first.loss_object
        if self.method == "vote":
            loss = copy.copy(loss)
            loss.threshold = SHARE
        judge.loss, judge.accuracy, judge.precision = loss, first.accuracy, first.precision
        judge.metrics = dict(first.metrics)
        return judge.evaluate(answers, y, batch_size=batch_size, sample_weight=sample_weight)

    def _counts(self) -> list[float]:
        """What each model counts."""
        if self.weights is None:
            return [1.0] * len(self.models)
        most = max(self.weights)
        return self.weights if 1 / FAR < most < FAR else [weight / most for weight in self.weights]

    def _votes(self, model: Model, answers: NDArray[Any]) -> NDArray[Any]:
        if answers.shape[1] == 1:
            threshold = 0.5 if model.loss is None else model.loss.threshold
            return (answers > threshold).astype(answers.dtype)
        return np.eye(answers.shape[1], dtype=answers.dtype)[argmax_rows(answers)]

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Write each model to a file of its own in ``folder``, which is made where there is none, and what belongs
        together to ensemble.json, last: a broken off save leaves the ensemble that was there, if its models were other
        files, or none. Of a larger ensemble that was there, the files that are left over are removed then."""
        to = Path(folder)
        to.mkdir(parents=True, exist_ok=True)
        before = _listed(to / CONTENTS)
        names = [f"model-{i:03d}.fnn" for i in range(len(self.models))]
        for name, model in zip(names, self.models, strict=True):
            model.save(to / name)
        contents = {"models": names, "method": self.method, "weights": self.weights}
        with _atomic.replacing(to / CONTENTS) as stream:
            stream.write(json.dumps(contents, indent=1).encode() + b"\n")
        for name in before - set(names):
            (to / name).unlink(missing_ok=True)

    @classmethod
    def load(cls, folder: str | os.PathLike[str], *, custom_objects: Any = ()) -> Ensemble:
        """An ensemble of ``save``; custom_objects as in ``Model.load``. FormatError for a damaged one."""
        path = Path(folder) / CONTENTS
        text = path.read_bytes()
        try:
            contents = parse(text, "JSON")
            names, method, weights = list(contents["models"]), contents["method"], contents["weights"]
            if not all(isinstance(name, str) and re.fullmatch(r"[\w-][\w.-]{0,250}", name) for name in names):
                raise ValueError("a model's file is to lie in the same folder")
        except (ValueError, KeyError, TypeError) as error:
            raise checkpoint.FormatError(f"{path}: not the contents of an ensemble ({error})") from error
        models = [Model.load(path.parent / name, custom_objects=custom_objects) for name in names]
        try:
            return cls(models, method=method, weights=weights)
        except (TypeError, ValueError) as error:
            raise checkpoint.FormatError(f"{path}: the models do not make an ensemble ({error})") from error

    def __repr__(self) -> str:
        return f"Ensemble({len(self.models)} models, method={self.method!r})"


def _listed(path: Path) -> set[str]:
    """The models' files that the contents of an ensemble name, as ``save`` names them; none where there is no such."""
    try:
        names = parse(path.read_bytes(), "JSON")["models"]
        return {name for name in names if re.fullmatch(r"model-\d{3,}\.fnn", name)}
    except (OSError, ValueError, KeyError, TypeError):
        return set()


def _need_alike(models: Sequence[Model]) -> None:
    """ValueError where the inputs or outputs of the models, or the names of their classes, differ."""
    known = next((i for i, model in enumerate(models) if model.class_labels is not None), 0)
    labels = models[known].class_labels
    wanted, *_ = sizes = [(_network.shown(m._network().inputs, m.plan.n_in), m.plan.n_out) for m in models]
    for i, (model, got) in enumerate(zip(models, sizes, strict=True)):
        if got != wanted:
            raise ValueError(
                f"models[{i}]: expected {wanted[0]} inputs and {wanted[1]} outputs as the first has, got {got[0]} and "
                f"{got[1]}"
            )
        if model.class_labels not in (None, labels):
            raise ValueError(
                f"models[{i}]: expected class_labels {labels!r:.80} as models[{known}] has, got "
                f"{model.class_labels!r:.80}"
            )


def _weights(weights: Any, count: int) -> list[float]:
    given = np.asarray(weights)
    if given.shape != (count,) or given.dtype.kind not in "fiu":
        raise ValueError(f"weights: expected {count} numbers, one for each model, got {weights!r}")
    if not np.isfinite(given).all() or (given < 0).any() or not given.any():
        raise ValueError(f"weights: expected finite numbers of at least 0 that are not all 0, got {weights!r}")
    return [float(w) for w in given]
