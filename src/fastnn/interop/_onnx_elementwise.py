"""Elementwise operators of ONNX: which of the last nodes before a value make one activation, or one scaling.

For a value and each of the values that went into it, nearest first, the nodes in between are read as a function of one
variable; the first that is an activation is taken.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn.interop import _expressions as ex
from fastnn.interop._assemble import Affine
from fastnn.interop._expressions import Expression, TooComplexError

if TYPE_CHECKING:
    from fastnn.interop._onnx import Importer
    from fastnn.interop._onnx_file import Node

REAL = (1, 11)  # TensorProto.DataType of float32 and float64
FLOAT_MAX = 3.4028234e38
BOUNDS = ("Clip", "Max", "Min", "Relu")
LINEAR = ("Add", "Sub", "Mul", "Div", "Neg", "Identity", "Cast")
WINDOW = 16  # values that an activation may be composed of: GELU in its tanh form is eight nodes


def step(g: Importer, node: Node, name: str) -> tuple[list[Any], str]:
    """(parts, the value they begin with) for the value ``name`` that the node makes."""
    if node.domain not in ("", "ai.onnx") or node.operator not in FUNCTIONS:
        raise ValueError(f"{node}: this operator is not supported")
    read: list[tuple[str, Expression]] = []
    matched: tuple[list[Any], str] | None = None
    window = _inputs_before(g, name)
    g.functions = {u: g.functions[u] for u in window if u in g.functions}  # what is further on is not asked for again
    scales_only = all(_operator(g, value) in (*LINEAR, "") for value in (name, *window))
    for u in window:
        if scales_only and len(read) == 2:
            break
        found = _expression(g, name, u)
        if found is not None:
            scales_only = scales_only or found.by_column  # no activation has numbers of its own for each column
            activation = ex.activation(found)
            if activation is not None:
                matched = [activation], u
                if node.operator not in BOUNDS:  # the nearest is it; of max(min(x, 6), 0) only the whole is something
                    return matched
            read.append((u, found))
    if matched is not None:
        return matched
    scalings = [(u, found.affine) for u, found in read[:2] if found.affine is not None]
    both = [(u, a) for u, a in scalings if np.any(np.asarray(a[0]) != 1) and np.any(np.asarray(a[1]) != 0)]
    for u, (scale, offset) in both[:1] or scalings:  # x * scale + offset is one layer, where it is two nodes
        identity = (
            not isinstance(scale, np.ndarray) and not isinstance(offset, np.ndarray) and (scale, offset) == (1, 0)
        )
        return [] if identity else [Affine(scale, offset, str(node))], u
    for u, found in read:
        clip = ex.scaled_clip(found)
        if clip is not None:
            before, activation, after = clip
            behind = [Affine(*after, str(node))] if after != (1, 0) else []
            return [Affine(*before, str(node)), activation, *behind], u
    raise ValueError(f"{node}: {_why(g, node)}")


def _why(g: Importer, node: Node) -> str:
    joined = [name for name in node.inputs if name and g.constant(name) is None]
    if len(set(joined)) > 1:
        return "it joins branches of the graph to what is none of the activations"
    with suppress(TooComplexError):  # others say what is wrong
        _function(g, node, [ex.variable() if name in joined else None for name in node.inputs])
    return "what it computes is none of the activations"


def _inputs_before(g: Importer, name: str) -> list[str]:
    """The values that went into this one, nearest first."""
    found: list[str] = []
    queue = [name]
    for value in queue:
        node = g.makers.get(value)
        if node is None or node.operator not in FUNCTIONS or node.domain not in ("", "ai.onnx"):
            continue
        for before in node.inputs:
            if before and before not in found and before != name and g.constant(before) is None:
                found.append(before)
                queue.append(before)
        if len(found) >= WINDOW:
            break
    return found[:WINDOW]


def _operator(g: Importer, value: str) -> str:
    """The operator of a function that makes the value, "" for anything else."""
    node = g.makers.get(value)
    known = node is not None and node.operator in FUNCTIONS and node.domain in ("", "ai.onnx")
    return node.operator if node is not None and known else ""


def _expression(g: Importer, name: str, variable: str) -> Expression | None:
    """The value ``name`` as a function of the value ``variable``; None where it is none, or of more besides. What was
    found for values on the way is taken up again: else a long row of nodes costs the square of the window for each."""
    known = g.functions.setdefault(variable, {variable: ex.variable()})
    here: dict[str, Expression | None] = {}

    def value(of: str) -> Expression | None:
        if of in known or of in here:
            return known.get(of) or here[of]
        here[of] = None
        node = g.makers.get(of)
        if node is None or len(here) > WINDOW or not _operator(g, of) or of != node.outputs[0]:
            return None
        arguments = [None if not i or g.constant(i) is not None else value(i) for i in node.inputs]
        wanted = [bool(i) and g.constant(i) is None for i in node.inputs]
        if not any(wanted) or any(a is None for a, w in zip(arguments, wanted, strict=True) if w):
            return None
        here[of] = found = _function(g, node, arguments)
        if not found.by_column:  # which may be large
            known[of] = found
        return found

    try:
        return value(name)
    except (TooComplexError, OverflowError, ZeroDivisionError):
        return None
    except ValueError:  # an attribute or constant that is refused: said when nothing fits
        return None


def _function(g: Importer, node: Node, arguments: list[Expression | None]) -> Expression:
    """What the node computes of these, None standing for constants."""
    for key in node.attributes:
        if key not in FUNCTION_ATTRIBUTES.get(node.operator, ()):
            raise ValueError(f"{node}: its attribute {key[:100]!r} is not supported")
    return FUNCTIONS[node.operator](Arguments(g, node, arguments))


class Arguments:
    """The inputs and attributes of a node, for the functions below."""

    def __init__(self, g: Importer, node: Node, given: list[Expression | None]) -> None:
        self.g, self.node, self.given = g, node, given

    def __getitem__(self, place: int) -> Expression:
        """The input at that place, constants too."""
        if place >= len(self.given):
            raise ValueError(f"{self.node}: expected more than {len(self.given)} input(s)")
        given = self.given[place]
        if given is not None:
            return given
        value = self.g.real(self.node, place, f"input {place}").astype(np.float64)
        return Expression({(): float(value.reshape(())) if value.size == 1 else value})

    @property
    def x(self) -> Expression:
        return self[0]

    def number(self, place: int) -> float | None:
        """The constant at that place, None where there is none; an error where it is an array."""
        return self.g.scalar(self.node, place)

    def needed(self, place: int) -> float:
        number = self.number(place)
        if number is None:
            raise ValueError(f"{self.node}: there is no input {place}")
        return number

    def attribute(self, key: str, default: float) -> float:
        return self.node.number(key, default)


Function = Callable[[Arguments], Expression]


def _atom(name: str) -> Function:
    return lambda a: a.x.apply(name)


def _bound(a: Arguments, low: bool) -> Expression:
    """Max or Min with a constant."""
    if len(a.given) != 2:
        raise ValueError(f"{a.node}: expected two inputs")
    place = 1 if a.given[0] is not None else 0
    number, x = a.needed(place), a[1 - place]
    return x.clip(number, math.inf) if low else x.clip(-math.inf, number)


def _clip(a: Arguments) -> Expression:
    low, high = a.number(1), a.number(2)  # inputs since operator set 11, attributes before
    low = a.attribute("min", -math.inf) if low is None else low
    high = a.attribute("max", math.inf) if high is None else high
    # the defaults of operator sets 6 to 10, written out, are the ends of float32
    low, high = (bound if abs(bound) < FLOAT_MAX else math.copysign(math.inf, bound) for bound in (low, high))
    if low == -math.inf and high == math.inf:
        return a.x
    return a.x.clip(low, high)


def _division(a: Arguments) -> Expression:
    divisor = a[1]
    if set(divisor.terms) - {()}:
        raise ValueError(f"{a.node}: expected a constant to divide by")
    with np.errstate(all="ignore"):
        inverse = 1.0 / np.asarray(divisor.terms.get((), 0.0))
    return a.x * (float(inverse) if inverse.ndim == 0 else inverse)


def _power(a: Arguments) -> Expression:
    exponent = a.needed(1)
    if exponent not in (1.0, 2.0, 3.0):
        raise ValueError(f"{a.node}: expected the power 1, 2 or 3, got {exponent}")
    power = a.x
    for _ in range(int(exponent) - 1):
        power = power * a.x
    return power


def _elu(a: Arguments) -> Expression:
    return ex.elu(a.x, a.attribute("alpha", 1.0))


def _prelu(a: Arguments) -> Expression:
    return ex.leaky_relu(a.x, a.needed(1))


def _gelu(a: Arguments) -> Expression:
    return ex.gelu_tanh(a.x) if a.node.attributes.get("approximate") == "tanh" else ex.gelu(a.x)


def _hard_sigmoid(a: Arguments) -> Expression:
    slope, shift = a.attribute("alpha", 0.2), a.attribute("beta", 0.5)
    return (a.x * slope + shift).clip(0.0, 1.0)


def _greater(a: Arguments) -> Expression:
    return (a[0] - a[1]).apply("step")


def _cast(a: Arguments) -> Expression:
    if a.attribute("to", 0) not in REAL:
        raise ValueError(f"{a.node}: expected a cast to float32 or float64")
    return a.x


FUNCTIONS: dict[str, Function] = {
    "Add": lambda a: a[0] + a[1],
    "Sub": lambda a: a[0] - a[1],
    "Mul": lambda a: a[0] * a[1],
    "Div": _division,
    "Neg": lambda a: a.x * -1.0,
    "Pow": _power,
    "Max": lambda a: _bound(a, True),
    "Min": lambda a: _bound(a, False),
    "Clip": _clip,
    "Abs": _atom("abs"),
    "Exp": _atom("exp"),
    "Log": _atom("log"),
    "Erf": _atom("erf"),
    "Tanh": _atom("tanh"),
    "Sigmoid": _atom("sigmoid"),
    "Softplus": _atom("softplus"),
    "Greater": _greater,
    "Cast": _cast,
    "Identity": lambda a: a.x,
    "Relu": lambda a: ex.positive(a.x),
    "LeakyRelu": lambda a: ex.leaky_relu(a.x, a.attribute("alpha", 0.01)),
    "PRelu": _prelu,
    "Elu": _elu,
    "Gelu": _gelu,
    "Mish": lambda a: a.x * a.x.apply("softplus").apply("tanh"),
    "HardSigmoid": _hard_sigmoid,
    "HardSwish": lambda a: a.x * ex.hard_sigmoid(a.x),
}
FUNCTION_ATTRIBUTES: dict[str, tuple[str, ...]] = {
    "Clip": ("min", "max"),
    "Cast": ("to", "saturate", "round_mode"),
    "LeakyRelu": ("alpha",),
    "Elu": ("alpha",),
    "Gelu": ("approximate",),
    "HardSigmoid": ("alpha", "beta"),
}
