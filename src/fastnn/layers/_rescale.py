from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, SupportsFloat

from fastnn.base import Layer
from fastnn.engine.spec import AffineSpec

if TYPE_CHECKING:
    from fastnn.engine.spec import Spec


class Rescale(Layer):
    """y = x * scale + offset, one fused multiply-add. ``Rescale(1 / 127.5, -1)`` takes pixels 0 to 255 to -1 to 1.

    As the first layer it works while rows are gathered, so uint8 images train without a float copy of them.
    """

    names = ("Rescale",)

    def __init__(self, scale: float, offset: float = 0.0) -> None:
        for name, value in (("scale", scale), ("offset", offset)):
            if isinstance(value, (bool, str)) or not isinstance(value, SupportsFloat):
                raise TypeError(f"{name}: expected a number, got {value!r:.80}")
            if not math.isfinite(value):
                raise ValueError(f"{name}: expected a finite number, got {value!r}")
        self.scale, self.offset = float(scale), float(offset)

    def config(self) -> dict[str, Any]:
        return {"scale": self.scale, "offset": self.offset}

    @property
    def flops(self) -> int:
        return 2 * (self.n_out or 0)

    def lower(self, index: int, n_in: int) -> list[Spec]:
        return [AffineSpec(index, n_in, self.scale, self.offset)]
