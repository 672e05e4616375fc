"""The book's model on fastnn's engine: the same layers described once more, their arrays shared, whole runs native."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any

import numpy as np

import fastnn.layers
from fastnn import _runs
from fastnn import activations as fast
from fastnn.engine import loop
from fastnn.kernels.twister import put_state, take_state
from fastnn.model import Model as FastModel
from fastnn.nnfs import _accuracies, _activations, _layers, _losses, _optimizers
from fastnn.nnfs._settings import Array

if TYPE_CHECKING:
    from fastnn.base import Layer
    from fastnn.nnfs._model import Model, Report

ACTIVATIONS: dict[type[Any], type[fast.Activation]] = {
    _activations.Activation_ReLU: fast.ReLU,
    _activations.Activation_Softmax: fast.Softmax,
    _activations.Activation_Sigmoid: fast.Sigmoid,
    _activations.Activation_Linear: fast.Linear,
}
LOSSES = (
    _losses.Loss_CategoricalCrossentropy,
    _losses.Loss_BinaryCrossentropy,
    _losses.Loss_MeanSquaredError,
    _losses.Loss_MeanAbsoluteError,
)
OPTIMIZERS = (
    _optimizers.Optimizer_SGD,
    _optimizers.Optimizer_Adagrad,
    _optimizers.Optimizer_RMSprop,
    _optimizers.Optimizer_Adam,
)
PENALTIES = ("weight_regularizer_l1", "weight_regularizer_l2", "bias_regularizer_l1", "bias_regularizer_l2")

# what the engine does in their place: a program that puts a function of its own there means it to be called
NAMES = ("forward", "backward", "predictions", "calculate", "calculate_accumulated", "new_pass", "compare", "init",
         "regularization_loss", "pre_update_params", "update_params", "post_update_params")  # fmt: skip
METHODS: dict[type[Any], dict[str, Any]] = {
    kind: {name: getattr(kind, name) for name in NAMES if hasattr(kind, name)}
    for kind in (*ACTIVATIONS, *LOSSES, *OPTIMIZERS, _layers.Layer_Dense, _layers.Layer_Dropout,
                 _accuracies.Accuracy_Categorical, _accuracies.Accuracy_Regression,
                 _losses.Activation_Softmax_Loss_CategoricalCrossentropy)
}  # fmt: skip


def untouched(part: Any, methods: dict[str, Any]) -> bool:
    """Whether these methods are still the part's, replaced neither on its class nor on itself."""
    kind, own = type(part), vars(part)
    for name, method in methods.items():  # noqa: SIM110 - a plain loop: this stands before every predict
        if name in own or getattr(kind, name) is not method:
            return False
    return True


def _as_finalized(model: Model) -> bool:
    """Whether the lists that a training by hand goes through are those of ``finalize``, not edited since."""
    layers = [layer for layer in model.layers if hasattr(layer, "weights")]
    remembered = layers if model.loss is None else list(model.loss.trainable_layers)
    return list(model.trainable_layers) == layers == remembered


def _shares(model: Model) -> bool:
    """Whether a layer is there twice, or two of them have one array: each would get memory of its own."""
    arrays = [array for pair in model.get_parameters() for array in pair]
    return any(len({id(part) for part in parts}) < len(parts) for parts in (model.layers, arrays))


def recipe(model: Model, training: bool) -> tuple[Any, ...] | None:
    """All that the engine is made from, as values to compare; None where it has no such thing."""
    if _shares(model):
        return None
    layers = [_layer_recipe(layer, training) for layer in model.layers]
    if None in layers or not any(kind is fastnn.layers.Dense for kind, *_ in layers):  # type: ignore[misc]
        return None
    parts = [*model.layers, model.loss, model.accuracy]
    if training:
        parts += [model.optimizer, model.softmax_classifier_output]
        if not _as_finalized(model):
            return None
    for part in parts:
        methods = METHODS.get(type(part))
        if methods is not None and not untouched(part, methods):
            return None
    types = {np.asarray(w).dtype for pair in model.get_parameters() for w in pair}
    dtype = types.pop()
    if types or dtype not in (np.float32, np.float64):
        return None
    if training and type(model.optimizer) not in OPTIMIZERS:
        return None
    if model.loss is None and model.accuracy is None:
        return (tuple(layers), dtype, None, None)
    metric = _metric(model.layers[-1], model.accuracy)
    if type(model.loss) not in LOSSES or metric is None:
        return None
    return (tuple(layers), dtype, model.loss.kernel, metric)  # type: ignore[union-attr]


def _layer_recipe(layer: Any, training: bool) -> tuple[Any, ...] | None:
    if type(layer) is _layers.Layer_Dense:
        if np.shape(layer.biases) != (1, np.shape(layer.weights)[-1]):
            return None
        strengths = {name: float(getattr(layer, name)) for name in PENALTIES}
        return (fastnn.layers.Dense, np.shape(layer.weights), tuple(strengths.items()))
    if type(layer) is _layers.Layer_Dropout:
        if training and layer.rate == 1:  # the engine draws nothing there, and NumPy's generator would stay behind
            return None
        return (fastnn.layers.Dropout, (1 - layer.rate,), ())
    activation = ACTIVATIONS.get(type(layer))
    return None if activation is None else (activation, (), ())


def _metric(last: Any, accuracy: Any) -> str | None:
    """The engine's name for what an accuracy counts after the last layer."""
    if type(accuracy) is _accuracies.Accuracy_Regression:
        return "regression" if type(last) is _activations.Activation_Linear else None
    if type(accuracy) is not _accuracies.Accuracy_Categorical:
        return None
    wanted = _activations.Activation_Sigmoid if accuracy.binary else _activations.Activation_Softmax
    return ("binary" if accuracy.binary else "categorical") if type(last) is wanted else None


def _is_same(a: Array, b: Array) -> bool:
    """Whether two arrays of one shape are the same memory, seen in the same way."""
    return a.ctypes.data == b.ctypes.data and a.dtype == b.dtype and a.flags.c_contiguous


class Engine:
    """A ``fastnn.Model`` whose arenas hold the arrays of the book's layers: what one changes, the other sees."""

    def __init__(self, model: Model, made_from: tuple[Any, ...]) -> None:
        layers, dtype, loss, metric = made_from
        self.book, self.recipe, self.layers = model, made_from, list(model.layers)
        self.state_names: tuple[str, ...] = ()
        described: list[Layer] = [kind(*values, **dict(options)) for kind, values, options in layers]
        self.fast = FastModel(described, seed=0, dtype=dtype)
        self.dense = [(i, layer) for i, layer in enumerate(model.layers) if type(layer) is _layers.Layer_Dense]
        self.fast.finalize(np.shape(self.dense[0][1].weights)[0])
        if loss is not None:
            self.fast.set(loss=loss, accuracy=metric)

    def is_of(self, layers: list[Any]) -> bool:
        """Whether these are the layers it was made for, and not others like them."""
        return len(layers) == len(self.layers) and all(map(operator.is_, layers, self.layers))

    # --- arrays ---

    def _share(self, arena: Array, prefix: str, suffix: str) -> None:
        """Let weight and bias arrays of every layer be views of the arena, with the values that they have."""
        plan, taken = self.fast.plan, []
        for index, layer in self.dense:
            for ours, theirs in (("weights", f"weight{suffix}"), ("biases", f"bias{prefix}")):
                view, now = plan.view(arena, index, ours), getattr(layer, theirs, None)
                if isinstance(now, np.ndarray) and now.shape == view.shape and _is_same(now, view):
                    continue
                fits = now is not None and np.shape(now) == view.shape  # a list too
                # a copy: it may be the view of another layer, which is written to here
                taken.append((layer, theirs, view, np.array(now) if fits else view))
        for layer, theirs, view, values in taken:
            view[...] = values
            setattr(layer, theirs, view)

    def take_in_weights(self) -> None:
        self._share(self.fast.plan.params, "es", "s")

    def _take_in_states(self, names: tuple[str, ...]) -> None:
        plan = self.fast.plan
        if names != self.state_names:  # what an optimizer before left stays on the layers, and comes in from there
            plan.drop_states()
            self.state_names = names
        plan.need_training_arenas(len(names))
        for _, layer in self.dense:
            _optimizers.begin_anew(layer, names)
        for arena, name in zip(plan.states, names, strict=True):
            self._share(arena, f"_{name}", f"_{name}")

    # --- runs ---

    def train(self, X: Any, y: Any, epochs: int, batch_size: int | None, validation_data: Any, report: Report) -> None:
        with self.fast._lock:
            self._train(X, y, epochs, batch_size, validation_data, report)

    def _train(self, X: Any, y: Any, epochs: int, batch_size: int | None, validation_data: Any, report: Report) -> None:
        fast, optimizer = self.fast, self.book.optimizer
        assert optimizer is not None
        fast.precision = getattr(self.book.accuracy, "precision", None)
        kernel, parameters, states = optimizer.kernel()
        self._take_in_states(states)
        size = len(X) if batch_size is None else min(batch_size, len(X))
        state = take_state() if self._draws() else None
        # NumPy draws one layer's mask after another's: with one such layer chunk follows chunk, with two none can
        buffers = fast.training_buffers(size, whole=state is not None and self._draws() > 1)
        data, _, _ = _runs.make_data(fast, X, y, _runs.NAMES, check_finite=False)
        evaluator, rows = None, (len(X), 0)
        if validation_data is not None:
            evaluator, rows = _runs.make_evaluator(fast, *validation_data), (len(X), len(validation_data[0]))
        settings = (kernel, parameters, *optimizer.rate())
        every = (1, report.every) if report.whole else (report.every, 1)
        trainer = loop.Trainer(
            fast.plan, buffers, data, _runs.make_head(fast), settings, optimizer.iterations, 0, epochs, size, False, 0,
            evaluator, False, every[0] if report.every else 0, every[1] or 1, state,
        )  # fmt: skip
        try:
            why = loop.PAUSED
            while why != loop.DONE:
                why = trainer.run()
                self._follow(trainer, report, rows, why == loop.STEP)
        finally:
            self._follow(trainer, report, rows, False)
            if state is not None:
                put_state(state)
            grads = fast.plan.grads
            assert grads is not None
            for index, layer in self.dense:
                layer.dweights = fast.plan.view(grads, index, "weights")
                layer.dbiases = fast.plan.view(grads, index, "biases")

    def _follow(self, trainer: loop.Trainer, report: Report, rows: tuple[int, int], show_step: bool) -> None:
        """Print what has come, epochs before the step that ended the run. rows: of training and of validation."""
        optimizer = self.book.optimizer
        assert optimizer is not None
        records, each = trainer.peek_records()[0], not report.whole and report.every
        for data_loss, penalties, accuracy, _, val_loss, val_accuracy in (records if each else records[-1:]).tolist():
            self._accumulate(data_loss, accuracy, rows[0])
            if each:
                report.epoch(accuracy, data_loss, penalties)
            if not np.isnan(val_accuracy):  # the loss may be NaN after a training that went astray
                self._accumulate(val_loss, val_accuracy, rows[1])
                if each:
                    report.validation(val_accuracy, val_loss)
        trainer.drop_records()
        if trainer.steps_done > optimizer.iterations:
            optimizer.current_learning_rate = optimizer.learning_rate_at(trainer.steps_done - 1)
            optimizer.iterations = trainer.steps_done
        if show_step:
            loss, accuracy, _ = trainer.last_step()
            report.step(trainer.epochs_done + 1, trainer.step_in_epoch - 1, accuracy, loss, trainer.penalty_before)

    def _draws(self) -> int:
        """How many layers draw masks."""
        return sum(type(layer) is _layers.Layer_Dropout for layer in self.book.layers)

    def can_draw_masks(self) -> bool:
        """Whether masks can be those of numpy.random: its generator is MT19937 unless another was put there."""
        return not self._draws() or take_state() is not None

    def evaluate(self, X: Any, y: Any, batch_size: int | None) -> tuple[float, float]:
        """(accuracy, loss) over the rows."""
        self.fast.precision = getattr(self.book.accuracy, "precision", None)
        loss, accuracy = self.fast.evaluate(X, y, batch_size=batch_size)
        self._accumulate(loss, accuracy, len(X))
        return accuracy, loss

    def _accumulate(self, mean_loss: float, share: float, rows: int) -> None:
        """Let ``calculate_accumulated`` of loss and accuracy give what a pass over so many rows came to."""
        loss, accuracy = self.book.loss, self.book.accuracy
        assert loss is not None
        assert accuracy is not None
        counted = rows if self.recipe[3] == "categorical" else rows * self.fast.plan.n_out
        loss.accumulated_sum, loss.accumulated_count = mean_loss * rows, rows
        accuracy.accumulated_sum, accuracy.accumulated_count = round(share * counted), counted

    def predict(self, X: Any, batch_size: int | None) -> Array:
        return self.fast.predict(X, batch_size=batch_size)
