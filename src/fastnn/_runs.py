"""Training, evaluation and prediction of a finalized model: user's arrays in, native loops, history out."""

from __future__ import annotations

import math
import sys
import warnings
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np

from fastnn import _adapting, _checks, _measures, _resume
from fastnn._training import (
    Control,
    Run,
    check_callbacks,
    need_finite_parameters,
    need_finite_squares,
    not_finite,
    nothing,
)
from fastnn._updates import need_all_rows, need_arenas
from fastnn._weights import row_weights
from fastnn.engine import feed, loop
from fastnn.engine.buffers import Buffers
from fastnn.engine.plan import physical_memory
from fastnn.metrics._accuracies import regression_precision
from fastnn.metrics._objects import Metric

if TYPE_CHECKING:
    from fastnn._checks import Array
    from fastnn.engine.spec import Update
    from fastnn.model import Model

    Validation = tuple[feed.Evaluator | None, _measures.Measures | None]


NAMES = ("X", "y", "sample_weight")


class _Pair(NamedTuple):
    loss: float
    accuracy: float


class Evaluation(_Pair):
    """Mean loss over the rows, without penalties, and the accuracy (NaN where none is counted): a pair. Beside it
    ``metrics``, a dict of what ``Model.set(metrics=)`` asked for."""

    metrics: dict[str, float]

    def __new__(cls, loss: float, accuracy: float, metrics: dict[str, float] | None = None) -> Self:
        pair = super().__new__(cls, loss, accuracy)
        pair.metrics = metrics or {}
        return pair

    @classmethod
    def _make(cls, iterable: Iterable[Any]) -> Evaluation:  # type: ignore[override]
        return cls(*iterable)

    def _replace(self, **values: Any) -> Self:
        return type(self)(**{"loss": self.loss, "accuracy": self.accuracy, "metrics": self.metrics, **values})

    def __repr__(self) -> str:
        more = f", metrics={self.metrics}" if self.metrics else ""
        return f"Evaluation(loss={self.loss!r}, accuracy={self.accuracy!r}{more})"


def make_data(
    model: Model,
    X: Any,
    y: Any,
    names: tuple[str, str, str],
    check_finite: bool,
    sample_weight: Any = None,
    class_weight: Any = None,
) -> tuple[feed.Data, Array, Array]:
    """Checked data for training or evaluation: (data, rows, targets or labels). names: of X, y and sample_weight in
    messages."""
    plan, loss = model.plan, model.loss_object
    last = getattr(plan.specs[-1], "activation", "linear") if plan.specs else "linear"
    if getattr(loss, "from_logits", False) and last in ("softmax", "sigmoid"):
        raise ValueError(
            f"loss: {loss!r} takes scores and has {last} in it, and the model ends in {last}: leave out one of the two"
        )
    rows = model.rows_of(names[0], X)
    _checks.need_rows(names[0], rows)
    targets, labels = _checks.as_targets(names[1], y, len(rows), plan.n_out, loss.takes_labels, loss.names[0])
    if check_finite:
        _checks.need_finite(names[0], rows)
        if targets is not None:
            _checks.need_finite(names[1], targets)
    if targets is not None and loss.targets == "probabilities":
        _checks.need_probabilities(names[1], targets, loss.names[0])
        if loss.merges_with == "softmax" and model.merged:
            _checks.need_sums_of_one(names[1], targets, loss.names[0])
    if targets is not None and loss.targets == "signs":
        targets = _checks.as_signs(names[1], targets, loss.names[0])
    given = targets if targets is not None else labels
    assert given is not None
    accuracy = model.accuracy_object
    if labels is not None and accuracy is not None and accuracy.kernel != "categorical":
        raise ValueError(
            f"{names[1]}: the accuracy {accuracy.names[0]!r} needs targets ({len(rows)}, {plan.n_out}), and these are "
            f"class labels: set(accuracy='categorical') or 'auto'"
        )
    signs = loss.targets == "signs" and plan.n_out == 1
    weights = row_weights(names[2], sample_weight, class_weight, targets, labels, plan.n_out, plan.dtype, signs)
    return feed.Data(plan, rows, targets, labels, weights), rows, given


def make_loss_head(model: Model) -> feed.Head:
    """The loss alone: nothing is counted."""
    loss = model.loss_object
    part = loss if loss.kernel == "python" else None
    smoothing = loss.smoothing(model.plan.n_out)
    return feed.Head(loss.kernel, model.merged, None, 0.0, loss.parameter, *smoothing, part)


def make_head(model: Model, measures: _measures.Measures | None = None, precision: float | None = None) -> feed.Head:
    """precision: of the regression accuracy, None for the model's."""
    accuracy, loss = model.accuracy_object, model.loss_object
    kernel = None if accuracy is None else accuracy.kernel
    if precision is None:
        precision = model.precision
    limit = loss.threshold if kernel == "binary" else precision or 0.0
    part = loss if loss.kernel == "python" else None
    smoothing = loss.smoothing(model.plan.n_out)
    tally = None if measures is None else measures.tally
    return feed.Head(loss.kernel, model.merged, kernel, limit, loss.parameter, *smoothing, part, tally)


def precision_of(model: Model, known: float | None, targets: Array) -> float | None:
    """Of the regression accuracy: the one that is known, or where there is none yet that of these targets. Targets that
    are all equal, or have no finite deviation, say nothing of it: then None, and the next may."""
    accuracy = model.accuracy_object
    if accuracy is not None and accuracy.kernel == "regression" and known is None:
        with np.errstate(over="ignore", invalid="ignore"):
            found = regression_precision(targets)
        return found if 0 < found < math.inf else None
    return known


def evaluate(
    model: Model, X: Any, y: Any, batch_size: int | None, sample_weight: Any = None, class_weight: Any = None
) -> Evaluation:
    data, _, targets = make_data(model, X, y, NAMES, False, sample_weight, class_weight)
    functions = [name for name, metric in model.metrics.items() if not isinstance(metric, Metric)]
    measures = _measures.of(model, data, bool(functions))
    head = make_head(model, measures, precision_of(model, model.precision, targets))
    pair = feed.Evaluator(model.plan, model.inference_buffers(batch_size, data.n), data, head).run(nothing)
    if measures is None:
        return Evaluation(*pair)
    values = measures.values()
    if functions:
        values |= _measures.of_functions(model, y, measures.tally.predictions)
    return Evaluation(*pair, values)


def predict(model: Model, X: Any, batch_size: int | None) -> Array:
    rows = _checks.as_rows("X", X, model.plan.n_in, "layer 0: ")
    data = feed.Data(model.plan, rows)
    need = data.n * model.plan.n_out * model.dtype.itemsize
    if need > physical_memory():
        raise MemoryError(f"X: predictions for {data.n} rows need {need / 2**30:.1f} GiB, more than this machine has")
    out = np.empty((data.n, model.plan.n_out), model.dtype)
    predicted: Array = feed.predict(model.plan, model.inference_buffers(batch_size, data.n), data, out, nothing)
    return predicted


def gradients(model: Model, X: Any, y: Any, sample_weight: Any = None) -> float:
    """Fill the gradient arena for all rows at once; returns the loss with penalties. Nothing else changes."""
    return float(gradient_trainer(model, X, y, sample_weight).gradients())


def gradient_trainer(model: Model, X: Any, y: Any, sample_weight: Any = None) -> loop.Trainer:
    """What gives the gradients of all rows at once at the parameters of the moment, again and again."""
    data, rows, _ = make_data(model, X, y, NAMES, False, sample_weight)
    model.plan.need_training_arenas(0)
    buffers = Buffers(model.plan, len(rows), True, labels=True, head=model.merged)
    optimizer = ("sgd", (), 0.0, 0.0)
    return loop.Trainer(
        model.plan, buffers, data, make_head(model), optimizer, model.steps_done, 0, 0, len(rows), False, model.seed
    )


def train_on_batch(
    model: Model, X: Any, y: Any, check_finite: bool, sample_weight: Any = None, class_weight: Any = None
) -> Evaluation:
    """One step on these rows: the loss and accuracy that it was taken at. No epoch, and nothing in the history."""
    data, _, targets = make_data(model, X, y, NAMES, check_finite, sample_weight, class_weight)
    _adapting.find(model, None)
    update = need_arenas(model)
    model.plan.ended = 0
    buffers = model.training_buffers(data.n)
    measures = _measures.of(model, data)
    model.precision = precision_of(model, model.precision, targets)
    trainer = make_trainer(
        model, buffers, data, batch=data.n, check_finite=check_finite, step_every=1, measures=measures, update=update,
        most_records=1,
    )  # fmt: skip
    why = loop.PAUSED
    try:
        while why == loop.PAUSED:
            why = trainer.run()
    finally:  # Ctrl-C too finds the step done or not begun
        trainer.settle()
        if trainer.steps_done != model.steps_done:
            model.steps_done, model.position = trainer.steps_done, None
    if why == loop.NONFINITE:
        raise FloatingPointError(not_finite(model, trainer))
    if check_finite:
        need_finite_parameters(model)
        need_finite_squares(model)
    return Evaluation(*trainer.last_step()[:2], None if measures is None else measures.values())


def warn_if_all_frozen(model: Model, frozen: frozenset[int]) -> None:
    """UserWarning where training cannot change anything, for that is seldom meant."""
    if frozen and not any(x.training_rate and x.parameter_count for x in model.numbered if not x.held()):
        warnings.warn(
            "every layer with parameters is frozen (trainable is False, or learning_rate_multiplier 0): training will "
            "change none of them",
            stacklevel=_frames_within() + 1,
        )


def _frames_within() -> int:
    """Frames from the caller of this on that are the package's, so that a warning names the line of the user."""
    frame, count = sys._getframe(1), 0
    while frame is not None and str(frame.f_globals.get("__name__")).startswith("fastnn."):
        frame, count = frame.f_back, count + 1  # type: ignore[assignment]
    return count


def make_trainer(
    model: Model, buffers: Buffers, data: feed.Data, *, epochs: int = 1, batch: int, shuffle: bool = False,
    validation: feed.Evaluator | None = None, check_finite: bool = True, measures: _measures.Measures | None = None,
    update: Update | None = None, **more: Any,
) -> loop.Trainer:  # fmt: skip
    """A native training of the model from where it stands. update: of ``need_arenas``, where nothing has changed since:
    what is resumed brings an optimizer of its own."""
    optimizer = model.optimizer_object
    step: tuple[Any, ...] = (optimizer.kernel, optimizer.parameters(), optimizer.rate, optimizer.decay)
    if optimizer.kernel == "python":
        step += (optimizer,)
    return loop.Trainer(
        model.plan, buffers, data, make_head(model, measures), step, model.steps_done, model.epochs_done, epochs, batch,
        shuffle, model.seed, validation, check_finite, extras=need_arenas(model) if update is None else update, **more,
    )  # fmt: skip


def make_evaluator(model: Model, X: Any, y: Any) -> feed.Evaluator:
    """An evaluation that a training run makes after each epoch."""
    data, _, _ = make_data(model, X, y, NAMES, False)
    return feed.Evaluator(model.plan, model.inference_buffers(None, data.n), data, make_head(model))


def make_validation(
    model: Model, validation_data: Any, check_finite: bool, precision: float | None = None
) -> Validation:
    """The evaluation of (X, y) or (X, y, sample_weight) and its metrics, None where there is none. precision: as in
    ``make_head``."""
    if validation_data is None:
        return None, None
    if not isinstance(validation_data, (tuple, list)) or len(validation_data) not in (2, 3):
        raise TypeError("validation_data: expected a pair (X, y), or (X, y, sample_weight)")
    X, y, *weights = validation_data
    names = ("validation_data[0]", "validation_data[1]", "validation_data[2]")
    data, _, _ = make_data(model, X, y, names, check_finite, weights[0] if weights else None)
    measures = _measures.of(model, data)
    buffers = model.inference_buffers(None, data.n)
    return feed.Evaluator(model.plan, buffers, data, make_head(model, measures, precision)), measures


def split(X: Array, y: Any, sample_weight: Any, share: float) -> tuple[Any, Any, Any, tuple[Any, Any, Any]]:
    """X, y and sample_weight (None or one for each row) without the last ``share`` of the rows, and these apart, as
    validation data. Views: nothing is copied."""
    if isinstance(share, bool) or not isinstance(share, (int, float, np.floating)) or not 0 < share < 1:
        raise ValueError(f"validation_split: expected a share between 0 and 1, got {share!r}")
    targets = _checks.as_array("y", y)
    if targets.ndim == 0 or len(targets) != len(X):
        raise ValueError(f"y: expected {len(X)} rows, as many as X, got shape {targets.shape}")
    weights = None if sample_weight is None else _checks.as_array("sample_weight", sample_weight)
    if weights is not None and (weights.ndim == 0 or len(weights) != len(X)):
        raise ValueError(f"sample_weight: expected shape ({len(X)},), a weight for each row of X, got {weights.shape}")
    kept = int(len(X) * (1.0 - share) + 1e-9)  # 1 of 10 rows at 0.9, where 1.0 - 0.9 is a little less than 0.1
    if not 0 < kept < len(X):
        raise ValueError(f"validation_split: {share!r} of {len(X)} rows leaves nothing to train or to validate on")
    if weights is None:
        return X[:kept], targets[:kept], None, (X[kept:], targets[kept:], None)
    return X[:kept], targets[:kept], weights[:kept], (X[kept:], targets[kept:], weights[kept:])


class TrainingRun(Run):
    """One call of ``train``: everything is checked and allocated here, before the first weight moves.

    resumed: the saved training to go on from; then ``epochs`` is the total.
    """

    def __init__(
        self,
        model: Model,
        X: Any,
        y: Any,
        control: Control,
        *,
        epochs: int,
        batch_size: int | None,
        validation_data: Any,
        validation_split: float = 0.0,
        sample_weight: Any = None,
        class_weight: Any = None,
        shuffle: bool,
        accumulate: int = 1,
        total_epochs: bool = False,
        resumed: _resume.Saved | None = None,
    ) -> None:
        epochs = _checks.whole("epochs", epochs, 0)
        accumulate = _checks.whole("accumulate", accumulate, 1)
        check_finite = control.check_finite
        X = model.rows_of("X", X)
        _checks.need_rows("X", X)
        if validation_split != 0:
            if validation_data is not None:
                raise ValueError("validation_split: expected 0 where validation_data is given")
            X, y, sample_weight, validation_data = split(X, y, sample_weight, validation_split)
        n = len(X)
        batch = n if batch_size is None else min(_checks.whole("batch_size", batch_size, 1), n)
        if model.optimizer_object.kernel == "lbfgs":
            need_all_rows(batch_size, n, accumulate)
            shuffle = False
        update: Update | None = need_arenas(model)
        buffers = model.training_buffers(batch)  # where memory is short, that shows before the data are looked at
        data, _, targets = make_data(model, X, y, NAMES, check_finite, sample_weight, class_weight)
        if shuffle and n >= 2**32:
            raise ValueError(f"X: at most 2**32 - 1 rows can be shuffled, got {n}; pass shuffle=False")
        precision = precision_of(model, (model if resumed is None else resumed.model).precision, targets)
        measures = _measures.of(model, data)
        validation, validated = make_validation(model, validation_data, check_finite, precision)
        found = _adapting.find(model if resumed is None else resumed.model, X)
        order = {"rows": n, "batch_size": batch, "shuffle": bool(shuffle), "accumulate": accumulate}
        native = {"": measures, "val_": validated}
        measured = {"": (X, y)} | ({} if validation is None else {"val_": tuple(validation_data[:2])})
        check_callbacks(model, control.callbacks, native, measured, validation is not None, resumed)
        model.plan.ended = 0
        at = None
        _adapting.take(found)
        if resumed is not None:
            at, update = resumed.take_up(model, order), None  # nothing that is checked comes after
        model.precision = precision
        if total_epochs:
            epochs = max(epochs - model.epochs_done, 0)
        super().__init__(model, control, epochs, validation, None if resumed is None else model.callback_states)
        self.measures, self.measured, self.order = native, measured, order
        self.trainer = make_trainer(
            model, buffers, data, epochs=epochs, batch=batch, shuffle=bool(shuffle), validation=validation,
            check_finite=check_finite, accumulate=accumulate, measures=measures, update=update, **self.surfacing(),
        )  # fmt: skip
        model.position = at
        if at is not None:
            self.trainer.seek(at["at"])
            self.sought(at)

    def rows(self) -> int:
        assert self.order is not None
        return int(self.order["rows"])
