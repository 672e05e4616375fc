"""Normalization by the data a training is given: what ``Model.train`` does where ``adapt`` was not called."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastnn.layers import Input, Normalization
from fastnn.layers._normalization import moments

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fastnn.model import Model

    Found = list[tuple[Normalization, NDArray[Any], NDArray[Any]]]


def find(model: Model, X: Any) -> Found:
    """The moments of X for the normalizations of the input that have none yet; nothing changes. X: None where the rows of
    the training are not known beforehand. ValueError for a layer that cannot get its moments so."""
    found: Found = []
    for index, layer in enumerate(model.layers):
        if not isinstance(layer, Normalization) or layer.adapted:
            continue
        if X is None or not all(isinstance(before, Input) for before in model.layers[:index]):
            why = "only train and fit find them" if X is None else "train finds them for the first layer only"
            raise ValueError(f"{layer.label()} has no mean and variance yet, and {why}: call its adapt(X) before")
        found.append((layer, *moments("X", X)))
    return found


def take(found: Found) -> None:
    for layer, mean, variance in found:
        layer.take(mean, variance)
