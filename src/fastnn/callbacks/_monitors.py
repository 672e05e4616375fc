"""Callbacks that watch one entry of the history: stop, keep the best, lower the learning rate."""

from __future__ import annotations

import math
import os
from typing import TYPE_CHECKING, Any

from fastnn import _checks
from fastnn.callbacks._base import Callback, EverySteps, Logs
from fastnn.schedules import Schedule

if TYPE_CHECKING:
    from numpy.typing import NDArray

MODES = ("auto", "min", "max")
# words of names whose values mode="auto" takes to be better the higher
HIGHER_IS_BETTER = ("accuracy", "precision", "recall", "sensitivity", "f1", "auc", "mcc", "correlation", "r2", "score")


class Best:
    """The best value so far of what is monitored, and whether a new one beats it by more than ``min_delta``."""

    def __init__(self, owner: str, monitor: str, mode: str, min_delta: float) -> None:
        if not isinstance(monitor, str):
            raise TypeError(f"{owner}: monitor: expected a name of the history such as 'val_loss', got {monitor!r}")
        if mode not in MODES:
            raise ValueError(f"{owner}: mode: expected one of {', '.join(MODES)}, got {mode!r}")
        self.owner, self.monitor = owner, monitor
        self.upwards = mode == "max" or (mode == "auto" and not set(HIGHER_IS_BETTER).isdisjoint(monitor.split("_")))
        self.min_delta = number(owner, "min_delta", min_delta, 0.0)
        self.value: float | None = None

    def need(self, params: dict[str, Any]) -> None:
        """ValueError where the training will never measure it."""
        if self.monitor not in params["metrics"]:
            validated = any(name.startswith("val_") for name in params["metrics"])
            missing = self.monitor.startswith("val_") and not validated
            hint = " (it needs validation_data= or validation_split=)" if missing else ""
            raise ValueError(
                f"{self.owner}: monitor: expected one of {', '.join(params['metrics'])}, got {self.monitor!r}{hint}"
            )

    def measured(self, logs: Logs) -> float | None:
        """The value of an epoch, NaN where it is not defined; None where the pass that measures it was not made, as in
        an epoch whose validation was broken off."""
        if self.monitor.startswith("val_") and not any(name.startswith("val_") for name in logs):
            return None
        return logs.get(self.monitor, math.nan)

    def beaten_by(self, value: float) -> bool:
        """Takes the value where it is better; NaN never is."""
        if math.isnan(value):
            return False
        if self.value is not None:
            gain = value - self.value if self.upwards else self.value - value
            if not gain > self.min_delta:
                return False
        self.value = value
        return True


def number(owner: str, name: str, value: Any, low: float, below: float = math.inf) -> float:
    return _checks.number(f"{owner}: {name}", value, low, below)


class EarlyStopping(Callback):
    """Stop where ``monitor`` has not become better for ``patience`` epochs.

    monitor: a name of the history. min_delta: a gain of no more than this does not count. mode: "min", "max", or
    "auto", by the words of the name: accuracy, precision, recall, sensitivity, f1, auc, mcc, correlation, r2 and score
    are to rise, all else to fall; a metric of your own with none of these needs "max" if more is better. baseline: what
    is to be beaten from the start.
    start_from_epoch: epochs that are not looked at. restore_best (Keras: restore_best_weights): put the parameters of
    the best epoch back at the end, however the training ended but for an exception; the optimizer's state stays.

    Afterwards: ``stopped_epoch`` (None where it did not stop), ``best_epoch``, both from 0, and ``best``.
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        *,
        patience: int = 0,
        min_delta: float = 0.0,
        mode: str = "auto",
        baseline: float | None = None,
        start_from_epoch: int = 0,
        restore_best: bool = False,
        restore_best_weights: bool | None = None,
    ) -> None:
        self._best = Best("EarlyStopping", monitor, mode, min_delta)
        self.patience = _checks.whole("EarlyStopping: patience", patience, 0)
        self.baseline = None if baseline is None else number("EarlyStopping", "baseline", baseline, -math.inf)
        self.start_from_epoch = _checks.whole("EarlyStopping: start_from_epoch", start_from_epoch, 0)
        self.restore_best = bool(restore_best if restore_best_weights is None else restore_best_weights)
        self._forget()

    def _forget(self) -> None:
        self._best.value = self.baseline
        self.wait = 0
        self.stopped_epoch: int | None = None
        self.best_epoch: int | None = None
        self._parameters: NDArray[Any] | None = None  # of the best epoch
        self._restored = False  # the model has them: nothing more to keep, least of all in a file

    @property
    def best(self) -> float | None:
        """The best value seen; before one was, the baseline."""
        return self._best.value

    def _check(self) -> None:
        self._best.need(self.params)

    def on_train_begin(self, logs: Logs) -> None:
        self._forget()

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        value = self._best.measured(logs)
        if value is None or epoch < self.start_from_epoch:
            return
        if self._best.beaten_by(value):
            self.wait, self.best_epoch = 0, epoch
            if self.restore_best:
                self._parameters = self.model.plan.params.copy()
            return
        self.wait += 1
        if self.wait >= self.patience:
            self.stopped_epoch = epoch
            self.model.stop_training = True

    def on_train_end(self, logs: Logs) -> None:
        if self._parameters is not None:
            self.model.plan.params[...] = self._parameters
            self._parameters, self._restored = None, True

    def state(self) -> dict[str, Any]:
        values = {
            "best": self.best,
            "wait": self.wait,
            "stopped_epoch": self.stopped_epoch,
            "best_epoch": self.best_epoch,
            "restored": self._restored,
        }
        return values if self._parameters is None else {**values, "parameters": self._parameters}

    def load_state(self, state: dict[str, Any]) -> None:
        self._best.value, self.wait = state["best"], state["wait"]
        self.stopped_epoch, self.best_epoch = state["stopped_epoch"], state["best_epoch"]
        parameters, want = state.get("parameters"), self.model.plan.params
        if parameters is not None and (parameters.shape != want.shape or parameters.dtype != want.dtype):
            raise ValueError(f"parameters: {parameters.shape} {parameters.dtype}, wanted {want.shape} {want.dtype}")
        self._parameters = want.copy() if state["restored"] else parameters
        if self.stopped_epoch is not None:  # it had come to its end
            self.model.stop_training = True


class ModelCheckpoint(EverySteps):
    """Save the model, with the state of optimizer and callbacks: ``train(resume=path)`` goes on from the file.

    path: may hold ``{epoch}``, from 1, and names of the history: ``"run-{epoch:03d}-{val_loss:.3f}.fnn"``.
    save_best_only: only where ``monitor`` became better, as in ``EarlyStopping``, than ever in a training with this
    object. save_freq: "epoch", or after every so many steps (which may fall within an epoch; not with save_best_only).
    Each file is written whole or not at all.
    """

    runs_last = True

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        monitor: str = "val_loss",
        save_best_only: bool = False,
        mode: str = "auto",
        min_delta: float = 0.0,
        save_freq: str | int = "epoch",
    ) -> None:
        if not isinstance(path, (str, os.PathLike)):
            raise TypeError(f"ModelCheckpoint: path: expected the path of a file, got {path!r:.80}")
        self.path = os.fspath(path)
        self._best = Best("ModelCheckpoint", monitor, mode, min_delta)
        self.save_best_only = bool(save_best_only)
        self.every = 0 if save_freq == "epoch" else _checks.whole("ModelCheckpoint: save_freq", save_freq, 1)
        if self.every and save_best_only:
            raise ValueError("ModelCheckpoint: save_freq: expected 'epoch' with save_best_only=True")
        self._watch()

    @property
    def best(self) -> float | None:
        """The best value saved."""
        return self._best.value

    def _check(self) -> None:
        if self.save_best_only:
            self._best.need(self.params)
        known = ("loss", "accuracy", "learning_rate") if self.every else self.params["metrics"]
        folder = os.path.dirname(self._path(0, dict.fromkeys(known, 0.0)))
        if "{" not in os.path.dirname(self.path) and folder and not os.path.isdir(folder):
            raise FileNotFoundError(f"ModelCheckpoint: path: there is no folder {folder!r}")

    def _step_end(self, batch: int, logs: Logs) -> None:
        if self.model.steps_done % self.every == 0:
            self._save(self.model.epochs_done, logs)

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        if self.every:
            return
        if not self.save_best_only or self._best.beaten_by(logs.get(self._best.monitor, math.nan)):
            self._save(epoch, logs)

    def _save(self, epoch: int, logs: Logs) -> None:
        unmeasured = {} if self.every else dict.fromkeys(self.params["metrics"], math.nan)  # an AUC of one class, say
        self.model.save(self._path(epoch, unmeasured | logs))

    def _path(self, epoch: int, logs: Logs) -> str:
        try:
            return self.path.format(epoch=epoch + 1, **logs)
        except (KeyError, IndexError, ValueError) as error:
            raise ValueError(
                f"ModelCheckpoint: path: {self.path!r} has a field that is not known ({error!r}); "
                f"known: epoch, {', '.join(logs)}"
            ) from None

    def state(self) -> dict[str, Any]:
        return {"best": self.best}

    def load_state(self, state: dict[str, Any]) -> None:
        self._best.value = state["best"]


class ReduceLROnPlateau(Callback):
    """Multiply the learning rate by ``factor`` where ``monitor`` has not become better for ``patience`` epochs.

    factor: above 0, below 1. cooldown: epochs after a reduction in which nothing is counted. min_lr: never below this.
    monitor, mode, min_delta: as in ``EarlyStopping``. The optimizer's decay goes on top. TypeError where the learning
    rate is a schedule.
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        *,
        factor: float = 0.1,
        patience: int = 10,
        min_delta: float = 1e-4,
        mode: str = "auto",
        cooldown: int = 0,
        min_lr: float = 0.0,
    ) -> None:
        name = "ReduceLROnPlateau"
        self._best = Best(name, monitor, mode, min_delta)
        self.factor = number(name, "factor", factor, 0.0, 1.0)
        if not self.factor:
            raise ValueError(f"{name}: factor: expected more than 0, got {factor!r}")
        self.patience = _checks.whole(f"{name}: patience", patience, 0)
        self.cooldown = _checks.whole(f"{name}: cooldown", cooldown, 0)
        self.min_lr = number(name, "min_lr", min_lr, 0.0)
        self.wait = self.cooling = 0

    @property
    def best(self) -> float | None:
        """The best value seen."""
        return self._best.value

    def _check(self) -> None:
        self._best.need(self.params)
        rate = self.params["optimizer"].learning_rate
        if isinstance(rate, Schedule):
            raise TypeError(f"ReduceLROnPlateau: expected an optimizer with a number as learning_rate, got {rate!r}")

    def on_train_begin(self, logs: Logs) -> None:
        self._best.value, self.wait, self.cooling = None, 0, 0

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        value = self._best.measured(logs)
        if value is None:
            return
        if self._best.beaten_by(value):
            self.wait = 0
        elif not self.cooling:
            self.wait += 1
            if self.wait >= self.patience:
                optimizer = self.model.optimizer_object
                rate = number("ReduceLROnPlateau", "the optimizer's learning_rate", optimizer.learning_rate, 0.0)
                optimizer.learning_rate = max(rate * self.factor, min(self.min_lr, rate))
                self.wait, self.cooling = 0, self.cooldown
                return
        self.cooling = max(self.cooling - 1, 0)

    def state(self) -> dict[str, Any]:
        return {"best": self.best, "wait": self.wait, "cooling": self.cooling}

    def load_state(self, state: dict[str, Any]) -> None:
        self._best.value, self.wait, self.cooling = state["best"], state["wait"], state["cooling"]
