from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastnn.base import Layer
from fastnn.engine.spec import DropoutSpec
from fastnn.layers._sizes import share

if TYPE_CHECKING:
    from fastnn.engine.spec import Spec


class Dropout(Layer):
    """While training, each input is 0 with probability ``rate``, else divided by 1 - rate; otherwise nothing happens.

    ``rate`` is the share dropped, in [0, 1), rounded to the nearest 2^-16 when masks are drawn. The mask of a step
    depends on seed, layer, step and element alone.
    Source: Srivastava et al. 2014; the book, chapter 15.
    """

    names = ("Dropout",)

    def __init__(self, rate: float) -> None:
        self.rate = share(rate)

    def config(self) -> dict[str, Any]:
        return {"rate": self.rate}

    def lower(self, index: int, n_in: int) -> list[Spec]:
        return [DropoutSpec(index, n_in, self.rate)] if self.rate else []
