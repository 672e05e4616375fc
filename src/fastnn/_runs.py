"""Training, evaluation and prediction of a finalized model: user's arrays in, native loops, history out."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from fastnn import _checks
from fastnn._weights import row_weights
from fastnn.engine import feed, loop
from fastnn.engine.plan import Buffers, physical_memory
from fastnn.metrics import regression_precision

if TYPE_CHECKING:
    from fastnn._checks import Array
    from fastnn.model import Model


NAMES = ("X", "y", "sample_weight")


class Evaluation(NamedTuple):
    """Mean loss over the rows, without penalties, and the accuracy (NaN where none is counted)."""

    loss: float
    accuracy: float


class Progress(Protocol):
    """What ``train`` tells about ten times a second, and at each end of an epoch that it notices."""

    def update(self, *, epoch: int, epochs: int, step: int, steps: int, loss: float, accuracy: float) -> None: ...


def _nothing() -> None:
    """Between native calls the interpreter looks for Ctrl-C by itself."""


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
    rows = _checks.as_rows(names[0], X, plan.n_in, "layer 0: ")
    _checks.need_rows(names[0], rows)
    targets, labels = _checks.as_targets(names[1], y, len(rows), plan.n_out, loss.takes_labels, loss.names[0])
    if check_finite:
        _checks.need_finite(names[0], rows)
        if targets is not None:
            _checks.need_finite(names[1], targets)
    if targets is not None and loss.targets == "probabilities":
        _checks.need_probabilities(names[1], targets, loss.names[0])
    if targets is not None and loss.targets == "signs":
        targets = _checks.as_signs(names[1], targets, loss.names[0])
    given = targets if targets is not None else labels
    assert given is not None
    weights = row_weights(names[2], sample_weight, class_weight, targets, labels, plan.n_out, plan.dtype)
    return feed.Data(plan, rows, targets, labels, weights), rows, given


def _head(model: Model) -> feed.Head:
    accuracy, loss = model.accuracy_object, model.loss_object
    kernel = None if accuracy is None else accuracy.kernel
    limit = loss.threshold if kernel == "binary" else model.precision or 0.0
    return feed.Head(loss.kernel, model.merged, kernel, limit, loss.parameter, *loss.smoothing(model.plan.n_out))


def _set_precision(model: Model, targets: Array) -> None:
    accuracy = model.accuracy_object
    if accuracy is not None and accuracy.kernel == "regression" and model.precision is None:
        model.precision = regression_precision(targets)


def evaluate(
    model: Model, X: Any, y: Any, batch_size: int | None, sample_weight: Any = None, class_weight: Any = None
) -> Evaluation:
    data, _, targets = make_data(model, X, y, NAMES, False, sample_weight, class_weight)
    _set_precision(model, targets)
    evaluator = feed.Evaluator(model.plan, model.inference_buffers(batch_size, data.n), data, _head(model))
    return Evaluation(*evaluator.run(_nothing))


def predict(model: Model, X: Any, batch_size: int | None) -> Array:
    rows = _checks.as_rows("X", X, model.plan.n_in, "layer 0: ")
    data = feed.Data(model.plan, rows)
    need = data.n * model.plan.n_out * model.dtype.itemsize
    if need > physical_memory():
        raise MemoryError(f"X: predictions for {data.n} rows need {need / 2**30:.1f} GiB, more than this machine has")
    out = np.empty((data.n, model.plan.n_out), model.dtype)
    predicted: Array = feed.predict(model.plan, model.inference_buffers(batch_size, data.n), data, out, _nothing)
    return predicted


def gradients(model: Model, X: Any, y: Any, sample_weight: Any = None) -> float:
    """Fill the gradient arena for all rows at once; returns the loss with penalties. Nothing else changes."""
    data, rows, _ = make_data(model, X, y, NAMES, False, sample_weight)
    model.plan.need_training_arenas(0)
    buffers = Buffers(model.plan, len(rows), True, labels=True, head=model.merged)
    optimizer = ("sgd", (), 0.0, 0.0)
    trainer = loop.Trainer(
        model.plan, buffers, data, _head(model), optimizer, model.steps_done, 0, 0, len(rows), False, model.seed
    )
    return float(trainer.gradients())


class TrainingRun:
    """One call of ``train``: everything is checked and allocated here, before the first weight moves."""

    def __init__(
        self,
        model: Model,
        X: Any,
        y: Any,
        *,
        epochs: int,
        batch_size: int | None,
        validation_data: Any,
        sample_weight: Any,
        class_weight: Any,
        shuffle: bool,
        check_finite: bool,
        print_every: int,
        progress: Progress | None,
    ) -> None:
        self.model, self.progress, self.check_finite = model, progress, bool(check_finite)
        self.epochs = _checks.whole("epochs", epochs, 0)
        self.print_every = _checks.whole("print_every", print_every, 0)
        X = _checks.as_rows("X", X, model.plan.n_in, "layer 0: ")
        _checks.need_rows("X", X)
        n = len(X)
        self.batch = n if batch_size is None else min(_checks.whole("batch_size", batch_size, 1), n)
        optimizer = model.optimizer_object
        model.plan.need_training_arenas(optimizer.state_count)
        buffers = model.training_buffers(self.batch)  # where memory is short, that shows before the data are looked at
        data, _, targets = make_data(model, X, y, NAMES, check_finite, sample_weight, class_weight)
        if shuffle and n >= 2**32:
            raise ValueError(f"X: at most 2**32 - 1 rows can be shuffled, got {n}; pass shuffle=False")
        _set_precision(model, targets)
        self.epochs_before, self.rows_before = model.epochs_done, len(model.history)
        self.trainer = loop.Trainer(
            model.plan,
            buffers,
            data,
            _head(model),
            (optimizer.kernel, optimizer.parameters(), optimizer.learning_rate, optimizer.decay),
            model.steps_done,
            model.epochs_done,
            self.epochs,
            self.batch,
            bool(shuffle),
            model.seed,
            self._validation(validation_data, check_finite),
            self.check_finite,
            self.print_every,
        )

    def _validation(self, validation_data: Any, check_finite: bool) -> feed.Evaluator | None:
        if validation_data is None:
            return None
        if not isinstance(validation_data, (tuple, list)) or len(validation_data) not in (2, 3):
            raise TypeError("validation_data: expected a pair (X, y), or (X, y, sample_weight)")
        X, y, *weights = validation_data
        names = ("validation_data[0]", "validation_data[1]", "validation_data[2]")
        data, _, _ = make_data(self.model, X, y, names, check_finite, *weights)
        return feed.Evaluator(self.model.plan, self.model.inference_buffers(None, data.n), data, _head(self.model))

    def run(self) -> None:
        """Train to the end. Whatever stops it, the model is as after its last full step and the history as far."""
        why = loop.PAUSED
        try:
            while why != loop.DONE:
                why = self.trainer.run()
                self._take_in()
                if why == loop.NONFINITE:
                    raise FloatingPointError(self._not_finite())
                if why == loop.STEP:
                    self._print_step()
                self._report()
            # a step is refused where its loss is not finite; whether the last one was good shows only in the weights
            if self.check_finite and not np.isfinite(self.model.plan.params).all():
                raise FloatingPointError(self._not_finite())
        finally:
            self.trainer.finish_epoch()
            self._take_in()

    def _take_in(self) -> None:
        """Bring model and history up to the trainer. Ctrl-C may come anywhere in here: doing it again mends it."""
        model, trainer = self.model, self.trainer
        records = trainer.peek_records()
        place = self.rows_before + trainer.epochs_done - self.epochs_before - len(records)
        if len(records):
            columns = dict(zip(loop.RECORD, records.T.tolist(), strict=True))
            columns["loss"] = (records[:, 0] + records[:, 1]).tolist()
            model.history.put(place, columns)
            if self.print_every:  # then each epoch surfaces by itself: there is just one
                self._print_epoch()
        trainer.drop_records()
        model.steps_done, model.epochs_done = trainer.steps_done, trainer.epochs_done

    def _report(self) -> None:
        if self.progress is None:
            return
        trainer = self.trainer
        loss, accuracy = trainer.running()
        self.progress.update(
            epoch=self.epochs - trainer.epochs_left,
            epochs=self.epochs,
            step=trainer.step_in_epoch,
            steps=trainer.steps_per_epoch,
            loss=loss,
            accuracy=accuracy,
        )

    def _print_step(self) -> None:
        trainer = self.trainer
        if trainer.step_in_epoch == 1:
            print(f"epoch: {trainer.epochs_done + 1}")
        loss, accuracy, rate = trainer.last_step()
        penalty = trainer.regularization_loss()
        print(f"step: {trainer.step_in_epoch - 1}, {_figures(loss, penalty, accuracy)}, lr: {rate}")

    def _print_epoch(self) -> None:
        e = {k: float("nan") if v is None else v for k, v in self.model.history.last().items()}
        figures = _figures(e["data_loss"], e["regularization_loss"], e["accuracy"])
        print(f"training, {figures}, lr: {e['learning_rate']}")
        if self.model.history["val_loss"][-1] is not None:
            print(f"validation, acc: {e['val_accuracy']:.3f}, loss: {e['val_loss']:.3f}")
        sys.stdout.flush()

    def _not_finite(self) -> str:
        trainer, plan = self.trainer, self.model.plan
        where = f"at epoch {trainer.epochs_done + 1}, step {trainer.step_in_epoch + 1}"
        for (layer, name), _ in plan.tensors.items():
            if not np.isfinite(plan.view(plan.params, layer, name)).all():
                culprit = f"the {name} of {self.model.layers[layer].label()} are not finite any more"
                break
        else:
            index = trainer.first_not_finite()
            culprit = (
                "in the loss itself" if index is None else f"first in the output of {self.model.layers[index].label()}"
            )
        return (
            f"the loss is not finite {where}: {culprit}. The model is as after its last full step; a smaller "
            f"learning_rate often helps, check_finite=False trains on regardless"
        )


def _figures(loss: float, penalty: float, accuracy: float) -> str:
    return f"acc: {accuracy:.3f}, loss: {loss + penalty:.3f} (data_loss: {loss:.3f}, reg_loss: {penalty:.3f})"
