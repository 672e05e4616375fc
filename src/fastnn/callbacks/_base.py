"""The base class of callbacks, and what a training does with a list of them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

if TYPE_CHECKING:
    from fastnn.model import Model

Logs: TypeAlias = "dict[str, float]"

EPOCH_HOOKS = ("on_epoch_begin", "on_epoch_end")
BATCH_HOOKS = ("on_batch_begin", "on_batch_end", "on_train_batch_begin", "on_train_batch_end")


class Callback:
    """What a training calls; override what you need. Names and meaning are Keras's.

    epoch counts from 0 over all that the model was ever trained, batch from 0 within its epoch (one for each step of
    the optimizer). logs of an epoch: the entries of ``model.history`` that were measured, by name; of a batch: its
    ``loss`` (without penalties), ``accuracy`` and ``learning_rate``.

    ``self.model`` may be asked for predictions, its weights read and written, ``model.optimizer.learning_rate`` set:
    all of it holds from the next step on. ``model.stop_training = True`` ends the training after the step at hand.
    An exception ends it too, and reaches the caller of ``train``; the model is as after its last full step.

    A callback that remembers something returns it from ``state`` and takes it back in ``load_state``; ``Model.save``
    keeps it, and ``train(resume=...)`` hands it over.
    """

    model: Model
    params: dict[str, Any]
    runs_last: ClassVar[bool] = False  # after the others, as what writes their state has to

    def _check(self) -> None:
        """Before anything of the model changes: raise where this callback cannot serve the training that ``params`` are
        of: ``metrics``, the names that its history will have, and its ``optimizer``."""

    def on_train_begin(self, logs: Logs) -> None:
        """Before the first step; logs is empty. What is remembered of an earlier training is to be forgotten here."""

    def on_train_end(self, logs: Logs) -> None:
        """After the last step, unless an exception ended the training; logs are those of the last epoch."""

    def on_epoch_begin(self, epoch: int, logs: Logs) -> None:
        """Before an epoch's first step; logs is empty."""

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        """After an epoch and its validation."""

    def on_batch_begin(self, batch: int, logs: Logs) -> None:
        """Before a step; logs is empty."""

    def on_batch_end(self, batch: int, logs: Logs) -> None:
        """After a step."""

    def on_train_batch_begin(self, batch: int, logs: Logs) -> None:
        """Keras's other name for ``on_batch_begin``."""
        self.on_batch_begin(batch, logs)

    def on_train_batch_end(self, batch: int, logs: Logs) -> None:
        """Keras's other name for ``on_batch_end``."""
        self.on_batch_end(batch, logs)

    def close(self) -> None:
        """Give back what is open, such as files: called however the training ended."""

    def state(self) -> dict[str, Any]:
        """What is to be remembered: values that JSON can hold, and ndarrays, by name."""
        return {}

    def load_state(self, state: dict[str, Any]) -> None:
        """Take back what ``state`` gave; called after ``on_train_begin``."""


class EverySteps(Callback):
    """What acts after every so many steps, or where that is 0 at the end of epochs: only in the first case do steps
    come up to Python."""

    every: int

    def _watch(self) -> None:
        if self.every:
            self.on_batch_end = self._step_end  # type: ignore[method-assign]

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__ |= state
        self._watch()  # the hook of a copy is its own

    def _step_end(self, batch: int, logs: Logs) -> None:
        raise NotImplementedError


class LambdaCallback(Callback):
    """A callback of functions: ``LambdaCallback(on_epoch_end=lambda epoch, logs: print(epoch, logs["loss"]))``.

    Each takes the arguments of the hook of its name. TypeError for what is not callable, or no hook.
    """

    def __init__(self, **hooks: Callable[..., Any]) -> None:
        known = ("on_train_begin", "on_train_end", *EPOCH_HOOKS, *BATCH_HOOKS)
        for name, hook in hooks.items():
            if name not in known:
                raise TypeError(f"LambdaCallback: unknown hook {name!r}; known: {', '.join(known)}")
            if not callable(hook):
                raise TypeError(f"LambdaCallback: {name}: expected a function, got {hook!r}")
            short = name.replace("_train_", "_")  # on_batch_end, which on_train_batch_end is too
            if name in BATCH_HOOKS and short != name and short in hooks:
                raise TypeError(f"LambdaCallback: {name} and {short} are one hook: pass one of them")
            setattr(self, name, hook)


def overrides(callback: Callback, hooks: Iterable[str]) -> bool:
    """Whether one of these methods is not the base class's."""
    return any(getattr(getattr(callback, h), "__func__", None) is not getattr(Callback, h) for h in hooks)


class CallbackSet:
    """The callbacks of one training: which hooks are wanted at all, in which order, and what each has seen."""

    def __init__(self, callbacks: Any = ()) -> None:
        if isinstance(callbacks, Callback):
            callbacks = [callbacks]
        try:
            self.callbacks: list[Callback] = list(callbacks or ())
        except TypeError:
            raise TypeError(f"callbacks: expected a list of Callback objects, got {callbacks!r}") from None
        for i, callback in enumerate(self.callbacks):
            if not isinstance(callback, Callback):
                hint = f": did you mean {callback.__name__}(...)?" if isinstance(callback, type) else ""
                raise TypeError(f"callbacks[{i}]: expected a Callback, got {callback!r}{hint}")
        if len({id(callback) for callback in self.callbacks}) != len(self.callbacks):
            raise ValueError("callbacks: the same object is given twice")
        in_turn = sorted(self.callbacks, key=lambda c: c.runs_last)
        self.of_batches = [c for c in in_turn if overrides(c, BATCH_HOOKS)]
        self.of_epochs = [c for c in in_turn if overrides(c, EPOCH_HOOKS)]
        self.seen = {id(callback): 0 for callback in self.callbacks}  # epochs of the model each was told the end of

    def check(self, model: Model, params: dict[str, Any]) -> None:
        """Hand each the training to come, for its own check; what raises is no start."""
        for callback in self.callbacks:
            callback.model, callback.params = model, params
            callback._check()

    def begin(self, model: Model, params: dict[str, Any], states: list[dict[str, Any]] | None) -> None:
        """Start a training. states: of a file that it resumes; a state goes to the callback of the same class, the
        first to the first; a callback without one starts anew."""
        left = list(states or ())
        for callback in self.callbacks:
            callback.model, callback.params = model, params
            self.seen[id(callback)] = model.epochs_done
            callback.on_train_begin({})
            mine = next((s for s in left if s["name"] == type(callback).__name__), None)
            if mine is not None:
                left.remove(mine)
                self.seen[id(callback)] = int(mine["epochs_seen"])
                try:
                    callback.load_state(dict(mine["state"]))
                except (KeyError, TypeError, ValueError) as error:
                    raise ValueError(
                        f"resume: the file's state of {type(callback).__name__} does not fit ({error!r})"
                    ) from error

    def epoch_end(self, epochs_done: int, logs: Logs) -> None:
        """Tell those that do not know yet of the end of the epoch that made it ``epochs_done``."""
        for callback in self.of_epochs:
            if self.seen[id(callback)] < epochs_done:
                self.seen[id(callback)] = epochs_done  # before the call: a state saved in it has seen this epoch
                callback.on_epoch_end(epochs_done - 1, logs)

    def epoch_begin(self, epoch: int) -> None:
        for callback in self.of_epochs:
            callback.on_epoch_begin(epoch, {})

    def batch_begin(self, batch: int) -> None:
        for callback in self.of_batches:
            callback.on_train_batch_begin(batch, {})

    def batch_end(self, batch: int, logs: Logs) -> None:
        for callback in self.of_batches:
            callback.on_train_batch_end(batch, logs)

    def end(self, logs: Logs) -> None:
        for callback in self.callbacks:
            callback.on_train_end(logs)

    def close(self) -> None:
        """All of them, whatever one raises."""
        with contextlib.ExitStack() as stack:
            for callback in reversed(self.callbacks):
                stack.callback(callback.close)

    def states(self) -> list[dict[str, Any]]:
        """What a file keeps of them."""
        return [{"name": type(c).__name__, "epochs_seen": self.seen[id(c)], "state": c.state()} for c in self.callbacks]
