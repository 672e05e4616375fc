"""What weights are held to after each step: the ``weight_constraint=`` and ``bias_constraint=`` of a layer.

Each is one native pass, with the same bits on every machine. Names and meaning are Keras's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from fastnn._checks import number
from fastnn.base import Registered
from fastnn.engine.spec import ConstraintSpec
from fastnn.schedules import TINY

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array: TypeAlias = NDArray[np.float64]


class Constraint(Registered):
    """A rule for a tensor, to which each step's result is brought. The initial weights are left as they are."""

    kind = "constraint"

    def formula(self, w: Array) -> Array:
        """The tensor held to the rule, in float64 NumPy."""
        raise NotImplementedError

    def lower(self, layer: int, name: str) -> ConstraintSpec:
        """What the engine is told, of tensor ``name`` of a layer."""
        raise NotImplementedError


class _Norms(Constraint):
    """Bounds of the norms of columns (axis 0) or rows (axis 1); of biases, of all of them together."""

    axis: int

    def _bounds(self) -> tuple[float, float]:
        raise NotImplementedError

    def formula(self, w: Array) -> Array:
        axis = 1 if len(w) == 1 else self.axis  # biases (1, n) are one vector
        norms = np.sqrt((w**2).sum(axis=axis, keepdims=True))
        wanted = np.clip(norms, *self._bounds())
        return w * np.divide(wanted, norms, out=np.ones_like(norms), where=norms > 0)

    def lower(self, layer: int, name: str) -> ConstraintSpec:
        kind = "rows" if self.axis == 1 or name == "biases" else "columns"
        return ConstraintSpec(layer, name, kind, *self._bounds())

    def config(self) -> dict[str, Any]:
        return {"axis": self.axis}


def _axis(axis: int) -> int:
    if isinstance(axis, bool) or axis not in (0, 1):
        raise ValueError(f"axis: expected 0, the weights into each neuron, or 1, those out of each input, got {axis!r}")
    return int(axis)


class MaxNorm(_Norms):
    """Weights whose norm is larger than max_value are scaled down to it; others keep their bits.

    axis: 0, the norm of the weights into each neuron (a column of ``Dense.weights``); 1, of those out of each input. Of
    biases, the norm of all. Source: Srivastava, Hinton et al. 2014, section 5.1.
    """

    names = ("max_norm",)

    def __init__(self, max_value: float = 2.0, axis: int = 0) -> None:
        self.max_value, self.axis = number("max_value", max_value, TINY), _axis(axis)

    def _bounds(self) -> tuple[float, float]:
        return (0.0, self.max_value)

    def config(self) -> dict[str, Any]:
        return {"max_value": self.max_value, **super().config()}


class UnitNorm(_Norms):
    """Weights are scaled to norm 1, along ``axis`` as in ``MaxNorm``; where all are 0 they stay."""

    names = ("unit_norm",)

    def __init__(self, axis: int = 0) -> None:
        self.axis = _axis(axis)

    def _bounds(self) -> tuple[float, float]:
        return (1.0, 1.0)


class NonNeg(Constraint):
    """Weights below 0 become 0."""

    names = ("non_neg",)

    def formula(self, w: Array) -> Array:
        return np.maximum(w, 0.0)

    def lower(self, layer: int, name: str) -> ConstraintSpec:
        return ConstraintSpec(layer, name, "not_negative")
