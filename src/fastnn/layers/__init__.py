"""Layers: what a model is made of. Opening this folder is reading the list of what there is."""

from fastnn.base import Layer
from fastnn.layers._dense import Dense
from fastnn.layers._dropout import Dropout
from fastnn.layers._input import Input
from fastnn.layers._noise import AlphaDropout, GaussianDropout, GaussianNoise
from fastnn.layers._norm import BatchNorm, LayerNorm
from fastnn.layers._normalization import Normalization
from fastnn.layers._rescale import Rescale

__all__ = [
    "AlphaDropout",
    "BatchNorm",
    "Dense",
    "Dropout",
    "GaussianDropout",
    "GaussianNoise",
    "Input",
    "Layer",
    "LayerNorm",
    "Normalization",
    "Rescale",
]
