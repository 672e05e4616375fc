from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastnn.base import Layer
from fastnn.layers._sizes import positive

if TYPE_CHECKING:
    from fastnn.engine.spec import Spec


class Input(Layer):
    """States the width of the rows that come in, so that ``finalize`` needs no data. Does nothing else."""

    names = ("Input",)

    def __init__(self, n_inputs: int) -> None:
        self.n_inputs = positive("n_inputs", n_inputs)

    def config(self) -> dict[str, Any]:
        return {"n_inputs": self.n_inputs}

    def wanted_input(self) -> int | None:
        return self.n_inputs

    def lower(self, index: int, n_in: int) -> list[Spec]:
        return []
