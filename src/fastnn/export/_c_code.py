"""What the operations of a model write their C into, and numbers as C has them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fastnn.export._parameters import finite

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fastnn.model import Model


class Cost(NamedTuple):
    """What one operation takes: a line of the report."""

    name: str
    constant_bytes: int = 0
    multiply_adds: int = 0


class Code:
    """What the operations write into: constants, the lines of the prediction, the functions that those call, costs."""

    def __init__(self, model: Model) -> None:
        self.model, self.dtype = model, model.dtype
        self.constants: list[tuple[str, NDArray[Any], str]] = []
        self.lines: list[str] = []
        self.functions: dict[str, None] = {}
        self.costs: list[Cost] = []

    def label(self, layer: int) -> str:
        """How messages name a layer of the model."""
        return self.model.numbered[layer].label()

    def tensor(self, layer: int, name: str) -> NDArray[Any]:
        """A live view of a parameter; ValueError where it is not finite."""
        return finite(self.model, layer, name)

    def constant(self, name: str, values: NDArray[Any], comment: str) -> str:
        """An array of the file, of the model's type, in the order given."""
        self.constants.append((name, np.asarray(values, self.dtype).reshape(-1), comment))
        return name

    def number(self, value: float) -> str:
        return literal(self.dtype.type(value))

    def call(self, function: str, *arguments: object) -> None:
        self.functions[function] = None
        self.lines.append(f"{function}({', '.join(map(str, arguments))});")

    def each(self, n: int, statement: str, function: str | None = None) -> None:
        """The statement for i = 0 .. n - 1; function: what it calls."""
        if function is not None:
            self.functions[function] = None
        self.lines += [f"for (size_t i = 0; i < {n}; i++)", f"    {statement};"]


def literal(value: Any) -> str:
    """A number in C, exactly: hexadecimal, with the type's suffix."""
    number = float(value)
    if not np.isfinite(number):
        return "NAN" if number != number else "INFINITY" if number > 0 else "-INFINITY"
    digits, _, exponent = number.hex().partition("p")
    short = digits.rstrip("0").rstrip(".") if "." in digits else digits
    return f"{short}p{exponent}{'f' if value.dtype == np.float32 else ''}"


def comment(text: str) -> str:
    """Text that may stand in a C comment on one line."""
    ascii_text = text.encode("ascii", "backslashreplace").decode("ascii")
    plain = re.sub(r"[^ -~]", " ", ascii_text).replace("*/", "* /").replace("/*", "/ *")
    return re.sub(r"\?(?=\?)", "? ", plain)  # trigraphs
