from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from fastnn.base import Layer
from fastnn.layers._sizes import positive

if TYPE_CHECKING:
    from fastnn.engine.spec import Spec


class Input(Layer):
    """States the width of the rows that come in, so that ``finalize`` needs no data. Does nothing else.

    A graph begins with one or several: ``Dense(8)(Input(4))``. name: by which ``train`` and ``predict`` take a dict.
    """

    names = ("Input",)
    begins = True

    def __init__(self, n_inputs: int, *, name: str | None = None) -> None:
        if not (name is None or isinstance(name, str)):
            raise TypeError(f"name: expected a string, got {name!r}")
        self.n_inputs, self.name = positive("n_inputs", n_inputs), name

    def config(self) -> dict[str, Any]:
        return {"n_inputs": self.n_inputs} | ({} if self.name is None else {"name": self.name})

    def describe(self) -> dict[str, Any]:
        named = {} if self.name is None else {"input_name": self.name}  # "name" is that of the class
        return {"name": self.names[0], "n_inputs": self.n_inputs, **named}

    @classmethod
    def rebuild(cls, **config: Any) -> Self:
        return cls(config.pop("n_inputs"), name=config.pop("input_name", None), **config)

    def wanted_input(self) -> int | None:
        return self.n_inputs

    def lower(self, index: int, n_in: int) -> list[Spec]:
        return []
