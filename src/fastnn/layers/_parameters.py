"""The live views of a layer's parameters, and what assigning to them checks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn._dlpack import unmasked

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from fastnn.base import Layer


def view(layer: Layer, name: str) -> NDArray[Any]:
    """A tensor of a finalized layer; AttributeError before."""
    if layer._plan is None or layer.index is None:
        raise AttributeError(f"{layer.label()} has no {name} before the model is finalized: call model.finalize()")
    if (layer.index, name) not in layer._plan.tensors:
        raise AttributeError(f"{layer.label()} was made without {name}")
    tensor: NDArray[Any] = layer._plan.view(layer._plan.params, layer.index, name)
    return tensor


def assign(layer: Layer, name: str, value: ArrayLike) -> None:
    """Copy into a tensor; one of a single row is taken flat too. ValueError or TypeError for what does not fit."""
    tensor = view(layer, name)
    new = np.asarray(unmasked(name, value))
    if len(tensor) == 1 and new.shape == tensor.shape[1:]:
        new = new.reshape(1, -1)
    if new.shape != tensor.shape:
        raise ValueError(f"{layer.label()}: expected {name} of shape {tensor.shape}, got {new.shape}")
    if new.dtype.kind not in "fiub":
        raise TypeError(f"{layer.label()}: expected {name} of real numbers, got dtype {new.dtype}")
    tensor[...] = new


class Tensor:
    """A tensor as an attribute of its layer: reading gives the live view, assigning copies into it."""

    def __init__(self, doc: str) -> None:
        self.__doc__ = doc

    def __set_name__(self, owner: type[Any], name: str) -> None:
        self.name = name

    def __get__(self, layer: Layer | None, owner: type[Any]) -> Any:
        return self if layer is None else view(layer, self.name)

    def __set__(self, layer: Layer, value: ArrayLike) -> None:
        assign(layer, self.name, value)
