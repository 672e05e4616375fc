"""The classes of *Neural Networks from Scratch in Python* (Kinsley and Kukiela 2020) by their names, on native kernels.

A program of the book runs after its imports are changed:

import fastnn.nnfs as nnfs
from fastnn.nnfs import Layer_Dense, Activation_ReLU, Optimizer_Adam
from fastnn.nnfs.datasets import spiral_data

Weights, dropout masks and data come from NumPy's global generator, drawn in the book's order, so that ``nnfs.init()``
leads to the book's run. docs/nnfs.md says what differs.
"""

from fastnn.nnfs import datasets
from fastnn.nnfs._accuracies import Accuracy, Accuracy_Categorical, Accuracy_Regression
from fastnn.nnfs._activations import Activation_Linear, Activation_ReLU, Activation_Sigmoid, Activation_Softmax
from fastnn.nnfs._layers import Layer_Dense, Layer_Dropout, Layer_Input
from fastnn.nnfs._losses import (
    Activation_Softmax_Loss_CategoricalCrossentropy,
    Loss,
    Loss_BinaryCrossentropy,
    Loss_CategoricalCrossentropy,
    Loss_MeanAbsoluteError,
    Loss_MeanSquaredError,
)
from fastnn.nnfs._model import Model
from fastnn.nnfs._optimizers import Optimizer_Adagrad, Optimizer_Adam, Optimizer_RMSprop, Optimizer_SGD
from fastnn.nnfs._settings import init

__all__ = [
    "Accuracy",
    "Accuracy_Categorical",
    "Accuracy_Regression",
    "Activation_Linear",
    "Activation_ReLU",
    "Activation_Sigmoid",
    "Activation_Softmax",
    "Activation_Softmax_Loss_CategoricalCrossentropy",
    "Layer_Dense",
    "Layer_Dropout",
    "Layer_Input",
    "Loss",
    "Loss_BinaryCrossentropy",
    "Loss_CategoricalCrossentropy",
    "Loss_MeanAbsoluteError",
    "Loss_MeanSquaredError",
    "Model",
    "Optimizer_Adagrad",
    "Optimizer_Adam",
    "Optimizer_RMSprop",
    "Optimizer_SGD",
    "datasets",
    "init",
]
