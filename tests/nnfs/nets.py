"""Small networks of fastnn.nnfs, and parts that are the package's but for their class."""

from __future__ import annotations

from typing import Any

from fastnn import nnfs


class OwnDense(nnfs.Layer_Dense):
    """Enough to leave the native way."""


class OwnReLU(nnfs.Activation_ReLU):
    """As OwnDense."""


def net(
    loss: Any = None, optimizer: Any = None, rate: float = 0.2, dense: Any = nnfs.Layer_Dense, kind: Any = nnfs.Model
) -> nnfs.Model:
    model: nnfs.Model = kind()
    layers = (dense(2, 9, 1e-4, 2e-4), nnfs.Activation_ReLU(), nnfs.Layer_Dropout(rate), dense(9, 3))
    for layer in (*layers, nnfs.Activation_Softmax()):
        model.add(layer)
    model.set(loss=loss or nnfs.Loss_CategoricalCrossentropy(), optimizer=optimizer or nnfs.Optimizer_Adam(0.01, 1e-3),
              accuracy=nnfs.Accuracy_Categorical())  # fmt: skip
    model.finalize()
    return model


def weights(model: nnfs.Model) -> list[Any]:
    return [w.copy() for pair in model.get_parameters() for w in pair]


def regression_net(relu: Any = nnfs.Activation_ReLU) -> nnfs.Model:
    model = nnfs.Model()
    for layer in (nnfs.Layer_Dense(1, 8), relu(), nnfs.Layer_Dense(8, 1), nnfs.Activation_Linear()):
        model.add(layer)
    model.layers[2].biases += 0.2
    optimizer = nnfs.Optimizer_Adam(0.01)
    model.set(loss=nnfs.Loss_MeanSquaredError(), optimizer=optimizer, accuracy=nnfs.Accuracy_Regression())
    model.finalize()
    return model
