"""The course of a training: native calls in turn with what callbacks, the printer and the progress bar have to say."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from fastnn import _checks, _measures, _resume
from fastnn.callbacks._base import CallbackSet, Logs
from fastnn.engine import loop
from fastnn.engine.record import Record
from fastnn.history import KEYS
from fastnn.kernels.arrays import all_finite
from fastnn.metrics._objects import Metric
from fastnn.optimizers import LBFGS

if TYPE_CHECKING:
    from fastnn._checks import Array
    from fastnn.engine import feed
    from fastnn.model import Model


class Progress(Protocol):
    """What ``train`` tells about ten times a second, and at each end of an epoch that it notices.

    One that has a method ``measured`` is handed the metrics of the epoch before, a dict by the names of the history.
    """

    def update(self, *, epoch: int, epochs: int, step: int, steps: int, loss: float, accuracy: float) -> None: ...


def nothing() -> None:
    """Between native calls the interpreter looks for Ctrl-C by itself."""


class Control(Record):
    """What goes beside the data of a training: who is told, and when it ends."""

    callbacks: CallbackSet
    print_every: int
    progress: Progress | None
    time_limit: float | None
    check_finite: bool


def control(
    callbacks: Any, print_every: int, progress: Progress | None, time_limit: float | None, check_finite: bool
) -> Control:
    """The same, checked."""
    if time_limit is not None:
        if isinstance(time_limit, bool) or not isinstance(time_limit, (int, float, np.integer, np.floating)):
            raise TypeError(f"time_limit: expected seconds, got {time_limit!r}")
        if not time_limit > 0:
            raise ValueError(f"time_limit: expected more than 0 seconds, got {time_limit!r}")
        time_limit = float(time_limit)
    if progress is not None and not callable(getattr(progress, "update", None)):
        raise TypeError(f"progress: expected an object with a method update(...), got {progress!r:.80}")
    every = _checks.whole("print_every", print_every, 0)
    return Control(CallbackSet(callbacks), every, progress, time_limit, bool(check_finite))


class Run:
    """A training of a model: what happens between the native calls of its ``trainer``, which a subclass makes.

    resumed: the states that the callbacks go on from.
    """

    trainer: loop.Trainer
    order: dict[str, Any] | None = None  # what fixes the order of the rows in an epoch, where that can be resumed

    def __init__(
        self,
        model: Model,
        control: Control,
        epochs: int,
        validation: feed.Evaluator | None,
        resumed: list[dict[str, Any]] | None = None,
    ) -> None:
        self.model, self.control, self.epochs, self.validation = model, control, epochs, validation
        self.callbacks, self.progress, self.check_finite = control.callbacks, control.progress, control.check_finite
        self.resumed = resumed
        self.optimizer = model.optimizer_object
        self.epochs_before, self.rows_before = model.epochs_done, len(model.history)
        self.measures: dict[str, _measures.Measures | None] = {}  # the native ones, by prefix
        self.unmeasured = -1  # an epoch of which a part is missing
        self.functions = any(not isinstance(m, Metric) for m in model.metrics.values())
        self.measured: dict[str, tuple[Any, Any]] = {}  # rows that metrics in Python are taken on, by prefix
        self.measured_at = model.epochs_done if resumed is None else -1  # epochs done when that was last
        self.validated = False  # the last epoch of this training
        self.begun: tuple[int, int] = (-1, -1)  # epoch and step that callbacks were told the beginning of

    # --- what a kind of training does in its own way ---

    def rows(self) -> int:
        """Rows of the data at hand."""
        raise NotImplementedError

    def steps(self) -> int | None:
        """Steps of an epoch, where that is known."""
        return self.trainer.steps_per_epoch

    def feed(self) -> None:
        """Give a stream its next batch."""

    # --- the course ---

    def surfacing(self) -> dict[str, Any]:
        """Where the native loop comes up besides its breaths: what callbacks want of it."""
        batches, epochs = bool(self.callbacks.of_batches), bool(self.callbacks.of_epochs)
        return {
            "step_every": 1 if batches else self.control.print_every,
            "most_records": 1 if batches or epochs or self.model.metrics else loop.MOST_RECORDS,
        }

    def run(self) -> None:
        """Train to the end. Whatever stops it, the model is as after its last full step and the history as far."""
        model, trainer, limit = self.model, self.trainer, self.control.time_limit
        until = None if limit is None else time.monotonic() + limit
        why, settled = loop.PAUSED, False
        model.stop_training = False
        model.keep_callbacks(self.callbacks)
        try:
            self._begin()
            while why not in (loop.DONE, loop.CONVERGED) and not self._over(until):
                if why == loop.HUNGRY:
                    self.feed()
                self.before()
                if self._over(None):
                    break
                why = trainer.run() if until is None else trainer.run(max(until - time.monotonic(), 0.0))
                self._take_in()
                if why == loop.NONFINITE:
                    raise FloatingPointError(not_finite(model, trainer))
                if why == loop.STEP:
                    self._after_step()
                self._measure()
                if self.callbacks.of_epochs:
                    self.callbacks.epoch_end(model.epochs_done, self._logs())
                self._report()
            trainer.settle()
            if self.check_finite:
                need_finite_parameters(model)
            if why != loop.DONE:
                trainer.finish_epoch()
                self._take_in()
                self._measure()
            if self.callbacks.callbacks:
                self.callbacks.epoch_end(model.epochs_done, self._logs())
                self.callbacks.end(self._logs())
            settled = True
            if self.check_finite:
                need_finite_squares(model)
        finally:
            try:
                if not settled:
                    trainer.settle()
                    trainer.finish_epoch()
                    self._take_in()
            finally:
                self.callbacks.close()

    def _over(self, until: float | None) -> bool:
        """Whether to stop although epochs are left; the validation of an epoch that is through is finished first."""
        if self.trainer.validating or (self.trainer.step_in_epoch and self.ends_epoch()):
            return False
        return self.model.stop_training or (until is not None and time.monotonic() >= until)

    def _begin(self) -> None:
        """Tell the callbacks; where a training is resumed, let them catch up with an epoch whose end was cut off."""
        model = self.model
        if not self.callbacks.callbacks and self.resumed is None:
            return
        names = measured_names(model, self.measures, self.measured, self.validation is not None)
        params = {"epochs": self.epochs, "steps": self.steps(), "metrics": names}
        self.callbacks.begin(model, params, self.resumed)
        if self.resumed is None or not len(model.history):
            return
        if self.validation is not None and model.position is None and model.history["val_loss"][-1] is None:
            pair, validated = self.validation.run(nothing), self.measures.get("val_")
            model.history.mend_validation(*pair, {} if validated is None else validated.values())
        self._measure()
        self.callbacks.epoch_end(model.epochs_done, self._logs())

    def _measure(self) -> None:
        """Take the metrics written in Python of an epoch that has just ended, once."""
        model = self.model
        if not self.functions or model.epochs_done == self.measured_at or model.position is not None:
            return
        self.measured_at = model.epochs_done
        for prefix, (X, y) in self.measured.items():
            for name, value in _measures.of_functions(model, y, model.predict(X)).items():
                model.history.enter(prefix + name, value)

    def before(self) -> None:
        """What callbacks have to say before the next step, and to the optimizer."""
        trainer, callbacks = self.trainer, self.callbacks
        if not callbacks.callbacks:
            return
        if trainer.epochs_left and not trainer.validating:
            epoch, step = trainer.epochs_done, trainer.step_in_epoch
            if self.begun[0] != epoch:
                self.begun = epoch, -1
                if not step:  # one that is resumed has begun already
                    callbacks.epoch_begin(epoch)
            if self.begun[1] != step and trainer.row < self.rows():
                self.begun = epoch, step
                callbacks.batch_begin(step)
        rate, decay = self.optimizer.rate, self.optimizer.decay
        if (rate, decay) != (trainer.learning_rate, trainer.decay):
            trainer.learning_rate, trainer.decay = rate, decay

    def ends_epoch(self) -> bool:
        """Whether the step just done is known to be its epoch's last."""
        return self.trainer.row >= self.rows()

    def _after_step(self) -> None:
        trainer, every = self.trainer, self.control.print_every
        if every and ((trainer.step_in_epoch - 1) % every == 0 or self.ends_epoch()):
            self._print_step()
        if self.callbacks.of_batches:
            loss, accuracy, rate = trainer.last_step()
            logs = {"loss": loss, "accuracy": accuracy, "learning_rate": rate}
            if np.isnan(accuracy):
                del logs["accuracy"]
            self.callbacks.batch_end(trainer.step_in_epoch - 1, logs)

    def _logs(self) -> Logs:
        """What the last epoch measured; NaN for a loss of the validation that is one, for that was made."""
        logs = {key: value for key, value in self.model.history.last().items() if value is not None}
        return {"val_loss": math.nan, **logs} if self.validated and "val_loss" not in logs else logs

    def _take_in(self) -> None:
        """Bring model and history up to the trainer. Ctrl-C may come anywhere in here: doing it again mends it."""
        model, trainer = self.model, self.trainer
        records, validated = trainer.peek_records()
        place = self.rows_before + trainer.epochs_done - self.epochs_before - len(records)
        if len(records):
            columns = dict(zip(loop.RECORD, records.T.tolist(), strict=True))
            columns["loss"] = (records[:, 0] + records[:, 1]).tolist()
            for prefix, measures in self.measures.items():
                if measures is not None:  # then each epoch surfaces by itself: there is just one
                    done = validated[0] if prefix else trainer.epochs_done - 1 != self.unmeasured
                    columns |= {prefix + k: [v if done else np.nan] for k, v in measures.values().items()}
            model.history.put(place, columns)
            self.validated = bool(validated[-1])
        trainer.drop_records()
        if isinstance(self.optimizer, LBFGS):
            self.optimizer.converged = trainer.converged
        model.steps_done, model.epochs_done = trainer.steps_done, trainer.epochs_done
        if self.order is None:
            model.position = None
        else:
            measured = self.measures.get("") if trainer.epochs_done != self.unmeasured else None
            model.position = _resume.position(trainer, self.order, measured)
        if len(records) and self.control.print_every:  # then each epoch surfaces by itself: there is just one
            self._print_epoch()

    def sought(self, at: dict[str, Any]) -> None:
        """Let the metrics of a broken epoch go on from its place; where the file has others, it goes without."""
        measures = self.measures.get("")
        if measures is not None and not _resume.take_up_metrics(measures, at, self.rows()):
            self.unmeasured = self.trainer.epochs_done

    def _report(self) -> None:
        if self.progress is None:
            return
        trainer = self.trainer
        loss, accuracy = trainer.running()
        names = {prefix + name for prefix, m in self.measures.items() if m is not None for name in m.names}
        if names and hasattr(self.progress, "measured"):
            self.progress.measured({key: value for key, value in self._logs().items() if key in names})
        self.progress.update(
            epoch=self.epochs - trainer.epochs_left,
            epochs=self.epochs,
            step=trainer.step_in_epoch,
            steps=self.steps() or trainer.step_in_epoch + 1,
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

    def _more(self, prefix: str, values: Mapping[str, float]) -> str:
        """The metrics of an epoch, for its line."""
        measures = self.measures.get(prefix)
        names = () if measures is None else measures.names
        return "".join(f", {name}: {values[prefix + name]:.3f}" for name in names)

    def _print_epoch(self) -> None:
        e = {k: float("nan") if v is None else v for k, v in self.model.history.last().items()}
        figures = _figures(e["data_loss"], e["regularization_loss"], e["accuracy"])
        print(f"training, {figures}{self._more('', e)}, lr: {e['learning_rate']}")
        if self.model.history["val_loss"][-1] is not None:
            print(f"validation, acc: {e['val_accuracy']:.3f}, loss: {e['val_loss']:.3f}{self._more('val_', e)}")
        sys.stdout.flush()


def measured_names(
    model: Model, measures: Mapping[str, _measures.Measures | None], measured: Iterable[str], validated: bool
) -> list[str]:
    """The names that the history of a training will have. measures: the native ones, measured: of rows that metrics in
    Python are taken on, both by prefix."""
    counted = model.accuracy_object is not None
    usual = [key for key in KEYS if (validated or not key.startswith("val_")) and (counted or "accuracy" not in key)]
    native = [prefix + name for prefix, m in measures.items() if m is not None for name in m.names]
    own = [prefix + name for prefix in measured for name, m in model.metrics.items() if not isinstance(m, Metric)]
    return usual + native + own


def check_callbacks(
    model: Model, callbacks: CallbackSet, measures: Mapping[str, _measures.Measures | None], measured: Iterable[str],
    validated: bool, resumed: _resume.Saved | None,
) -> None:  # fmt: skip
    """Before anything changes: what any of them has against the training to come is raised."""
    if callbacks.callbacks:
        names = measured_names(model, measures, measured, validated)
        optimizer = (model if resumed is None else resumed.model).optimizer_object
        callbacks.check(model, {"metrics": names, "optimizer": optimizer})


def not_finite(model: Model, trainer: loop.Trainer) -> str:
    """Where the loss went wrong: the epoch, the step, and the first layer that shows it."""
    culprit = spoilt(model, model.plan.params)
    loss = trainer.last_step()[0] + trainer.regularization_loss()
    what = "gradient" if math.isfinite(loss) else "loss"
    if culprit is not None:
        culprit += " are not finite any more"
    else:
        index = trainer.first_not_finite()
        culprit = (
            f"in the {what} itself" if index is None else f"first in the output of {model.numbered[index].label()}"
        )
    return (
        f"the {what} is not finite at epoch {trainer.epochs_done + 1}, step {trainer.step_in_epoch + 1}: {culprit}. "
        f"The model is as after its last full step; {ADVICE}"
    )


ADVICE = "a smaller learning_rate often helps, check_finite=False trains on regardless"


def spoilt(model: Model, arena: Array) -> str | None:
    """Which tensor of an arena is not finite any more, None where all are."""
    plan = model.plan
    if all_finite(arena):
        return None
    for (layer, name), (first, _) in plan.tensors.items():
        if first < len(arena) and not np.isfinite(plan.view(arena, layer, name)).all():
            return f"the {name} of {model.numbered[layer].label()}"
    return None  # what lies between the tensors is no parameter


def need_finite_parameters(model: Model) -> None:
    """A step is refused where its loss is not finite; whether the last one was good shows only in what it made."""
    culprit = spoilt(model, model.plan.params)
    if culprit is not None:
        raise FloatingPointError(f"the last step was too long: {culprit} are not finite any more; {ADVICE}")


def need_finite_squares(model: Model) -> None:
    """A square that overflows makes the mean of squares infinite for good, and each further step 0, which no loss
    shows."""
    culprit = spoilt(model, model.plan.states[-1]) if model.optimizer_object.keeps_squares else None
    if culprit is not None:
        raise FloatingPointError(
            f"a gradient was too large for {model.dtype}: its squares, which the optimizer keeps, are infinite, and "
            f"{culprit} would stay where they are. clip_value or clip_norm bounds it; model.set(optimizer=...) begins "
            f"the squares anew"
        )


def _figures(loss: float, penalty: float, accuracy: float) -> str:
    return f"acc: {accuracy:.3f}, loss: {loss + penalty:.3f} (data_loss: {loss:.3f}, reg_loss: {penalty:.3f})"
