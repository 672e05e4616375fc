from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from fastnn.base import Layer
from fastnn.engine.spec import MergeSpec

if TYPE_CHECKING:
    from fastnn.engine.spec import Spec


class Merge(Layer):
    """A layer that joins two or more values, for the graphs of ``Model(inputs=, outputs=)``."""

    joins = True
    how: ClassVar[str]  # as MergeSpec says
    _joined = 2

    def combine(self, widths: Sequence[int], names: Sequence[str]) -> int:
        if len(widths) < 2:
            raise ValueError(f"joins two or more values and reads {names[0]} alone: call it on a list of nodes")
        if self.how != "concatenate" and len(set(widths)) > 1:
            found = ", ".join(f"{width} ({name})" for width, name in zip(widths, names, strict=True))
            raise ValueError(f"expected values of equal width, got {found}")
        self._joined = len(widths)
        return sum(widths) if self.how == "concatenate" else widths[0]

    def lower_from(self, index: int, widths: Sequence[int]) -> list[Spec]:
        return [MergeSpec(index, self.how, tuple(widths))]

    @property
    def flops(self) -> int:
        return 0 if self.how == "concatenate" else (self._joined - 1) * (self.n_out or 0)


class Add(Merge):
    """y = x0 + x1 + ..., elementwise, of values of equal width: a skip connection. ``Add()([a, b])``.

    Source: He et al., Deep residual learning for image recognition, 2015.
    """

    names = ("Add",)
    how = "add"


class Multiply(Merge):
    """y = x0 * x1 * ..., elementwise, of values of equal width: a gate. ``Multiply()([a, b])``."""

    names = ("Multiply",)
    how = "multiply"


class Concatenate(Merge):
    """y = the columns of x0, then those of x1, ...: as wide as all of them. ``Concatenate()([a, b])``."""

    names = ("Concatenate",)
    how = "concatenate"
