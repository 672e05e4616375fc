"""Normalization by the data a training is given: what ``Model.train`` does where ``adapt`` was not called."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from fastnn import _checks
from fastnn.engine.spec import INPUT
from fastnn.layers import Input, Normalization
from fastnn.layers._normalization import moments

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fastnn.base import Layer
    from fastnn.model import Model

    Found = list[tuple[Normalization, NDArray[Any], NDArray[Any]]]


def find(model: Model, X: Any) -> Found:
    """The moments of X for the normalizations of the input, or of one of several inputs, that have none yet; nothing
    changes. X: None where the rows of the training are not known beforehand. ValueError for a layer that cannot get its
    moments so."""
    found: Found = []
    if not _lacking(model.layers):
        return found
    network, start = model._network(), 0
    columns = {INPUT: slice(None)}  # of the input, by the call that gives them as they are
    for place, call in enumerate(network.calls):
        layer, source = call.layer, columns.get(call.sources[0])
        if isinstance(layer, Input):
            several = len(network.inputs) > 1
            columns[place] = slice(start, start + layer.n_inputs) if several else slice(None)
            start += layer.n_inputs
        elif isinstance(layer, Normalization) and not layer.adapted:
            if X is None or source is None:
                why = "only train and fit find them" if X is None else "train finds them only of what comes in"
                raise ValueError(f"{layer.label()} has no mean and variance yet, and {why}: call its adapt(X) before")
            mean, variance = moments("X", _checks.as_rows("X", X)[:, source])
            layer.fits(variance, model.dtype)
            found.append((layer, mean, variance))
    return found


def _lacking(layers: Iterable[Layer]) -> bool:
    """Whether there is a normalization without moments among them and what they hold: asked before each run, so without
    a look at the network."""
    for layer in layers:
        if isinstance(layer, Normalization) and not layer.adapted:
            return True
        held = layer.held()
        if held and _lacking(held):
            return True
    return False


def take(found: Found) -> None:
    for layer, mean, variance in found:
        layer.take(mean, variance)
