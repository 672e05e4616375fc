"""The book's Model (chapters 18 to 22): its verbs, its words on the screen, and whole runs in native code."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn import _checks
from fastnn.nnfs import _files
from fastnn.nnfs._activations import Activation_Softmax
from fastnn.nnfs._layers import Layer_Input
from fastnn.nnfs._losses import Activation_Softmax_Loss_CategoricalCrossentropy, Loss_CategoricalCrossentropy
from fastnn.nnfs._native import Engine, recipe, untouched
from fastnn.nnfs._settings import Array

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from fastnn.nnfs._accuracies import Accuracy
    from fastnn.nnfs._losses import Loss
    from fastnn.nnfs._optimizers import _Optimizer

Parameters = list[tuple[Array, Array]]


class Model:
    """Layers in a row: ``add`` them, ``set`` loss, optimizer and accuracy, ``finalize``, ``train``.

    Where every part is one of this package's classes, ``train``, ``evaluate`` and ``predict`` run whole on the native
    engine: the same steps and the same masks, but the layers' inputs, outputs and gradients are not left on them. With
    a part of your own, a subclass for instance, every step calls ``forward`` and ``backward`` as the book does.
    """

    def __init__(self) -> None:
        self.layers: list[Any] = []
        self.loss: Loss | None = None
        self.optimizer: _Optimizer | None = None
        self.accuracy: Accuracy | None = None
        self.softmax_classifier_output: Activation_Softmax_Loss_CategoricalCrossentropy | None = None
        self.input_layer: Layer_Input | None = None
        self.trainable_layers: list[Any] = []
        self.output_layer_activation: Any = None
        self._engine: Engine | None = None

    def __getstate__(self) -> dict[str, Any]:
        """For copy and pickle: the engine is made anew where it is needed."""
        return {**self.__dict__, "_engine": None}

    # --- description ---

    def add(self, layer: Any) -> None:
        _need_object("layer", layer, "forward", "Layer_Dense(2, 64)")
        self.layers.append(layer)
        self.input_layer = None  # to be finalized again

    def set(
        self, *, loss: Loss | None = None, optimizer: _Optimizer | None = None, accuracy: Accuracy | None = None
    ) -> None:
        """Choose loss, optimizer and accuracy; what is left out stays as it is. TypeError for what is not an object of
        that kind: a class, a name."""
        for name, part, method, example in (
            ("loss", loss, "calculate", "Loss_MeanSquaredError()"),
            ("optimizer", optimizer, "update_params", "Optimizer_Adam()"),
            ("accuracy", accuracy, "calculate", "Accuracy_Categorical()"),
        ):
            if part is not None:
                _need_object(name, part, method, example)
        self.loss = self.loss if loss is None else loss
        self.optimizer = self.optimizer if optimizer is None else optimizer
        self.accuracy = self.accuracy if accuracy is None else accuracy
        self.input_layer = None

    def finalize(self) -> None:
        """Tie each layer to its neighbours (prev, next), and the loss to the trainable layers."""
        if not self.layers:
            raise ValueError("the model has no layers: add some first")
        self.input_layer = Layer_Input()
        chain = [self.input_layer, *self.layers, self.loss]
        for before, layer, after in zip(chain, self.layers, chain[2:], strict=False):
            layer.prev, layer.next = before, after
        self.output_layer_activation = self.layers[-1]
        self.trainable_layers = [layer for layer in self.layers if hasattr(layer, "weights")]
        if self.loss is not None:
            self.loss.remember_trainable_layers(self.trainable_layers)
        merged = isinstance(self.layers[-1], Activation_Softmax) and isinstance(self.loss, Loss_CategoricalCrossentropy)
        self.softmax_classifier_output = Activation_Softmax_Loss_CategoricalCrossentropy() if merged else None

    # --- the passes, as the book writes them ---

    def forward(self, X: ArrayLike, training: bool) -> Array:
        """The output of the last layer; every layer keeps its own."""
        self._need_finalized()
        assert self.input_layer is not None
        self.input_layer.forward(X, training)
        output = self.input_layer.output
        for layer in self.layers:
            layer.forward(output, training)
            output = layer.output
        return output

    def backward(self, output: Array, y: ArrayLike) -> None:
        """Leave the gradients on every layer, after ``forward``."""
        self._need_finalized()
        loss = self._need("loss")
        layers = self.layers
        if self.softmax_classifier_output is not None:
            self.softmax_classifier_output.backward(output, y)
            layers[-1].dinputs = gradient = self.softmax_classifier_output.dinputs
            layers = layers[:-1]
        else:
            loss.backward(output, y)
            gradient = loss.dinputs
        for layer in reversed(layers):
            layer.backward(gradient)
            gradient = layer.dinputs

    # --- the verbs ---

    def train(
        self,
        X: Array,
        y: Array,
        *,
        epochs: int = 1,
        batch_size: int | None = None,
        print_every: int = 1,
        validation_data: tuple[Array, Array] | None = None,
    ) -> None:
        """Train for so many epochs, in the order of the rows, and print how it goes.

        Without batch_size (chapter 18): all rows in one step, a line every ``print_every`` epochs, and the validation
        at the end. With batch_size (chapter 19 on): a line every ``print_every`` steps and for each epoch, and its
        validation. print_every=0 prints nothing.
        """
        self._need_finalized()
        accuracy = self._need("accuracy")
        self._need("loss")
        self._need("optimizer")
        accuracy.init(y)
        epochs = _checks.whole("epochs", epochs, 0)
        batch_size = None if batch_size is None else _checks.whole("batch_size", batch_size, 1)
        report = Report(self, batch_size is None, _checks.whole("print_every", print_every or 0, 0))
        engine = self._native(training=True)
        if engine is not None and engine.can_draw_masks():
            engine.train(X, y, epochs, batch_size, validation_data if batch_size is not None else None, report)
        else:
            self._train_by_hand(X, y, epochs, batch_size, validation_data, report)
        if validation_data is not None and batch_size is None:
            self._validate(report, validation_data)

    def _train_by_hand(
        self, X: Array, y: Array, epochs: int, batch_size: int | None, validation_data: Any, report: Report
    ) -> None:
        loss, optimizer, accuracy = self._need("loss"), self._need("optimizer"), self._need("accuracy")
        size = len(X) if batch_size is None else batch_size
        for epoch in range(1, epochs + 1):
            loss.new_pass()
            accuracy.new_pass()
            for step, start in enumerate(range(0, len(X), size)):
                batch_X, batch_y = X[start : start + size], y[start : start + size]
                output = self.forward(batch_X, training=True)
                data_loss, penalties = loss.calculate(output, batch_y, include_regularization=True)
                right = accuracy.calculate(self.output_layer_activation.predictions(output), batch_y)
                self.backward(output, batch_y)
                optimizer.pre_update_params()
                for layer in self.trainable_layers:
                    optimizer.update_params(layer)
                optimizer.post_update_params()
                if report.wants(epoch, step, last=start + size >= len(X)):
                    report.step(epoch, step, right, data_loss, penalties)
            report.epoch(accuracy.calculate_accumulated(), *loss.calculate_accumulated(include_regularization=True))
            if validation_data is not None and batch_size is not None:
                self._validate(report, validation_data, batch_size)

    def _validate(self, report: Report, validation_data: tuple[Array, Array], batch_size: int | None = None) -> None:
        if report.every:
            self.evaluate(*validation_data, batch_size=batch_size)
        else:
            self._figures(*validation_data, batch_size)

    def evaluate(self, X_val: Array, y_val: Array, *, batch_size: int | None = None) -> None:
        """Print accuracy and loss, penalties left out, over the rows. ``calculate_accumulated`` of both gives them."""
        Report.validation(*self._figures(X_val, y_val, batch_size))

    def _figures(self, X_val: Array, y_val: Array, batch_size: int | None) -> tuple[float, float]:
        """Accuracy and loss over the rows."""
        self._need_finalized()
        loss, accuracy = self._need("loss"), self._need("accuracy")
        engine = self._native(training=False)
        if engine is not None:
            return engine.evaluate(X_val, y_val, batch_size)
        loss.new_pass()
        accuracy.new_pass()
        for start, batch in _batches(X_val, batch_size):
            y = y_val[start : start + len(batch)]
            output = self.forward(batch, training=False)
            loss.calculate(output, y)
            accuracy.calculate(self.output_layer_activation.predictions(output), y)
        return accuracy.calculate_accumulated(), loss.calculate_accumulated()

    def predict(self, X: Array, *, batch_size: int | None = None) -> Array:
        """The outputs (rows, outputs) for X (rows, features)."""
        self._need_finalized()
        engine = self._native(training=False)
        if engine is not None:
            return engine.predict(X, batch_size)
        return np.vstack([self.forward(batch, training=False) for _, batch in _batches(X, batch_size)])

    def _native(self, training: bool) -> Engine | None:
        """The engine for the layers as they are now, None where a part or a pass is not of this module."""
        wanted = recipe(self, training) if untouched(self, PASSES) else None
        if wanted is None:
            return None
        if self._engine is None or self._engine.recipe != wanted or not self._engine.is_of(self.layers):
            self._engine = Engine(self, wanted)
        self._engine.take_in_weights()
        return self._engine

    def _need_finalized(self) -> None:
        if self.input_layer is None:
            self.finalize()

    def _need(self, part: str) -> Any:
        found = getattr(self, part)
        if found is None:
            raise ValueError(f"no {part} is set: call model.set({part}=...)")
        return found

    # --- parameters and files ---

    def get_parameters(self) -> Parameters:
        """(weights, biases) of each trainable layer: the arrays themselves."""
        return [layer.get_parameters() for layer in self.layers if hasattr(layer, "weights")]

    def set_parameters(self, parameters: Parameters) -> None:
        """Put (weights, biases) into each trainable layer, in order. ValueError, and nothing changed, where they are
        not of the layers' number and shapes."""
        layers = [layer for layer in self.layers if hasattr(layer, "weights")]
        if len(parameters) != len(layers):
            raise ValueError(f"parameters: expected {len(layers)} pairs (weights, biases), got {len(parameters)}")
        pairs = [(weights, biases) for weights, biases in parameters]
        for i, (layer, pair) in enumerate(zip(layers, pairs, strict=True)):
            here, given = ([np.shape(array) for array in two] for two in (layer.get_parameters(), pair))
            if given[0] != here[0] or np.size(pair[1]) != np.size(layer.biases):
                raise ValueError(
                    f"parameters[{i}]: expected weights {here[0]} and biases {here[1]}, got {given[0]} and {given[1]}"
                )
        for layer, pair in zip(layers, pairs, strict=True):
            layer.set_parameters(*pair)

    def save_parameters(self, path: str | os.PathLike[str]) -> None:
        """Write the parameters to a file: safetensors, not pickle, whatever the path's ending."""
        _files.save_parameters(path, self.get_parameters())

    def load_parameters(self, path: str | os.PathLike[str]) -> None:
        """Read what ``save_parameters`` wrote. Raises fastnn.FormatError for another file, such as a pickle of the
        book's own programs: those can run any code, so they are not read."""
        self.set_parameters(_files.load_parameters(path))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the whole model to a file: safetensors, not pickle, whatever the path's ending. Parts of your own
        cannot be written: TypeError."""
        _files.save_model(path, self)

    @staticmethod
    def load(path: str | os.PathLike[str]) -> Model:
        """A model from a file of ``save``; training goes on where it stopped. Raises fastnn.FormatError for another
        file, such as a pickle, which could run any code."""
        return _files.load_model(path, Model())


def _need_object(name: str, part: Any, method: str, example: str) -> None:
    if isinstance(part, type) or not callable(getattr(part, method, None)):
        got = f"the class {part.__name__}" if isinstance(part, type) else repr(part)
        raise TypeError(f"{name}: expected an object with a method {method}, such as {example}, got {got:.100}")


PASSES = {"forward": Model.forward, "backward": Model.backward}


def _batches(X: Array, size: int | None) -> list[tuple[int, Array]]:
    size = size or len(X)
    return [(start, X[start : start + size]) for start in range(0, len(X), size)]


class Report:
    """What ``train`` and ``evaluate`` print. whole: chapter 18's line for an epoch, else chapter 19's for steps."""

    def __init__(self, model: Model, whole: bool, every: int) -> None:
        self.model, self.whole, self.every = model, whole, every

    def wants(self, epoch: int, step: int, last: bool) -> bool:
        """Whether a step is printed; epochs count from 1, steps from 0."""
        if not self.every:
            return False
        return epoch % self.every == 0 if self.whole else step % self.every == 0 or last

    def step(self, epoch: int, step: int, accuracy: float, data_loss: float, penalties: float) -> None:
        if not self.whole and step == 0:
            print(f"epoch: {epoch}")
        name = f"epoch: {epoch}" if self.whole else f"step: {step}"
        print(f"{name}, {self._figures(accuracy, data_loss, penalties)}")

    def epoch(self, accuracy: float, data_loss: float, penalties: float) -> None:
        if self.every and not self.whole:
            print(f"training, {self._figures(accuracy, data_loss, penalties)}")

    def _figures(self, accuracy: float, data_loss: float, penalties: float) -> str:
        assert self.model.optimizer is not None
        return (
            f"acc: {accuracy:.3f}, loss: {data_loss + penalties:.3f} "
            f"(data_loss: {data_loss:.3f}, reg_loss: {penalties:.3f}), "
            f"lr: {self.model.optimizer.current_learning_rate}"
        )

    @staticmethod
    def validation(accuracy: float, loss: float) -> None:
        print(f"validation, acc: {accuracy:.3f}, loss: {loss:.3f}")
