"""Layers: what a model is made of. Opening this folder is reading the list of what there is."""

from fastnn.base import Layer
from fastnn.layers._dense import Dense
from fastnn.layers._dropout import Dropout
from fastnn.layers._input import Input
from fastnn.layers._merge import Add, Concatenate, Multiply
from fastnn.layers._rescale import Rescale
from fastnn.layers._residual import Residual

__all__ = ["Add", "Concatenate", "Dense", "Dropout", "Input", "Layer", "Multiply", "Rescale", "Residual"]
