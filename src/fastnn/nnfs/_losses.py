"""The book's losses (chapters 5, 9, 14, 16, 17) and its softmax merged with the cross-entropy (chapter 9)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

import fastnn.functional as F
from fastnn._operands import real
from fastnn.kernels.losses import quick_backward, quick_forward, quick_head, quick_mean
from fastnn.kernels.optimizers import quick_penalty
from fastnn.nnfs._activations import Activation_Softmax
from fastnn.nnfs._settings import Array

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from fastnn.nnfs._layers import Layer_Dense


class Loss:
    """What the losses share. A subclass's ``forward(y_pred, y_true)`` gives the loss of each row (rows,), its
    ``backward(dvalues, y_true)`` leaves dinputs, the gradient of their mean by the predictions ``dvalues``."""

    accumulated_sum: float = 0
    accumulated_count: int = 0
    trainable_layers: Sequence[Any] = ()
    dinputs: Array

    def forward(self, y_pred: Array, y_true: ArrayLike) -> Array:
        raise NotImplementedError

    def backward(self, dvalues: Array, y_true: ArrayLike) -> None:
        raise NotImplementedError

    def calculate(self, output: Array, y: ArrayLike, *, include_regularization: bool = False) -> Any:
        """The mean loss of the rows; with include_regularization a pair, the penalties second."""
        sample_losses = np.asarray(self.forward(output, y))  # of a program's own Loss: a list, or counts of mistakes
        loss_sum, rows = np.sum(sample_losses, dtype=np.float64), sample_losses.size
        kind = sample_losses.dtype if sample_losses.dtype.kind == "f" else np.dtype(np.float64)
        data_loss = self._taken_in(loss_sum, rows, kind.type(loss_sum / rows))
        return (data_loss, self.regularization_loss()) if include_regularization else data_loss

    def _taken_in(self, loss_sum: float, rows: int, mean: Any) -> Any:
        self.accumulated_sum += loss_sum
        self.accumulated_count += rows
        return mean

    def calculate_accumulated(self, *, include_regularization: bool = False) -> Any:
        """The mean loss of all rows since ``new_pass``, as ``calculate`` gives it."""
        data_loss = self.accumulated_sum / self.accumulated_count
        return (data_loss, self.regularization_loss()) if include_regularization else data_loss

    def new_pass(self) -> None:
        self.accumulated_sum, self.accumulated_count = 0, 0

    def remember_trainable_layers(self, trainable_layers: Sequence[Any]) -> None:
        self.trainable_layers = trainable_layers

    def regularization_loss(self, layer: Layer_Dense | None = None) -> float:
        """The penalties of one layer (chapter 14), or of all that are remembered (chapter 18)."""
        if layer is not None:
            return _penalties(layer)
        return sum((_penalties(one) for one in self.trainable_layers), 0.0)


def _penalties(layer: Any) -> float:
    loss = 0.0
    if layer.weight_regularizer_l1 or layer.weight_regularizer_l2:
        loss += _penalty(layer.weights, layer.weight_regularizer_l1, layer.weight_regularizer_l2)
    if layer.bias_regularizer_l1 or layer.bias_regularizer_l2:
        loss += _penalty(layer.biases, layer.bias_regularizer_l1, layer.bias_regularizer_l2)
    return loss


def _penalty(w: Array, l1: float, l2: float) -> float:
    value: float = quick_penalty(w, l1, l2)
    if value is NotImplemented:
        value = quick_penalty(real("weights, biases", w), l1, l2)
    return value


class _KernelLoss(Loss):
    """One of the engine's losses."""

    kernel: ClassVar[str]

    def forward(self, y_pred: Array, y_true: ArrayLike) -> Array:
        quick: Array = quick_forward(self.kernel, y_pred, y_true)
        return F.loss(self.kernel, y_pred, y_true) if quick is NotImplemented else quick

    def calculate(self, output: Array, y: ArrayLike, *, include_regularization: bool = False) -> Any:
        """The mean loss of the rows; with include_regularization a pair, the penalties second."""
        if type(self).forward is _KernelLoss.forward:
            found = quick_mean(self.kernel, output, y)
            if found is not NotImplemented:
                data_loss = self._taken_in(found[0], len(output), found[1])
                return (data_loss, self.regularization_loss()) if include_regularization else data_loss
        return super().calculate(output, y, include_regularization=include_regularization)

    def backward(self, dvalues: Array, y_true: ArrayLike) -> None:
        self.dinputs = F.loss_backward(self.kernel, dvalues, y_true)


class Loss_CategoricalCrossentropy(_KernelLoss):
    """-log of the probability given to the right class. y: labels (rows,) or one-hot rows (rows, classes)."""

    kernel = "categorical_crossentropy"


class Loss_BinaryCrossentropy(_KernelLoss):
    """The mean over the outputs, each a yes or no of its own, of -log of the probability given to the right answer."""

    kernel = "binary_crossentropy"


class Loss_MeanSquaredError(_KernelLoss):
    """The mean over the outputs of (y_true - y_pred)^2."""

    kernel = "mean_squared_error"


class Loss_MeanAbsoluteError(_KernelLoss):
    """The mean over the outputs of |y_true - y_pred|."""

    kernel = "mean_absolute_error"


class Activation_Softmax_Loss_CategoricalCrossentropy:
    """Softmax and cross-entropy as one: ``backward(self.output, y)`` is (output - y) / rows, whole and exact."""

    output: Array
    dinputs: Array

    def __init__(self) -> None:
        self.activation = Activation_Softmax()
        self.loss = Loss_CategoricalCrossentropy()

    def forward(self, inputs: Array, y_true: ArrayLike) -> Any:
        """The mean loss; the probabilities are left in ``output``."""
        if type(self.activation) is Activation_Softmax and type(self.loss) is Loss_CategoricalCrossentropy:
            found = quick_head("softmax", "categorical_crossentropy", inputs, y_true)
            if found is not NotImplemented:
                self.output, loss_sum, mean = found
                self.activation.inputs, self.activation.output = inputs, self.output
                return self.loss._taken_in(loss_sum, len(inputs), mean)
        self.activation.forward(inputs)
        self.output = self.activation.output
        return self.loss.calculate(self.output, y_true)

    def backward(self, dvalues: Array, y_true: ArrayLike) -> None:
        """dvalues: the probabilities, softmax's output."""
        self.dinputs = quick_backward("categorical_crossentropy", dvalues, y_true, True)
        if self.dinputs is NotImplemented:
            self.dinputs = F.loss_backward("categorical_crossentropy", dvalues, y_true, merged=True)
