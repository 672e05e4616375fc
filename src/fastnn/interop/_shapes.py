"""The shapes of rows on their way through parts. A model has its rows flat: what works along an axis of rows of several
would work on all of them, and is refused."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np

from fastnn.interop._assemble import Affine, Array, Weights

if TYPE_CHECKING:
    from fastnn.interop._assemble import Filled, Part


@dataclass(frozen=True)
class Unknown:
    """What is known of rows of which the file or module does not say the shape: whether they have one axis (``flat``),
    and which part works along one of their axes before that is known."""

    flat: bool = False
    along: str = ""


Shape: TypeAlias = "tuple[int, ...] | Unknown"


class Reshaped(NamedTuple):
    """A Flatten or Reshape: the shape of a row afterwards is what ``new`` makes of the shape before, or ``anyhow``
    where that is not known; None where it has to be."""

    new: Callable[[tuple[int, ...]], tuple[int, ...]]
    anyhow: Shape | None
    where: str


class Channels(NamedTuple):
    """A scale and an offset for each index of the first axis of a row: what BatchNormalization is in inference."""

    scale: Array
    offset: Array
    layer: Filled | None  # what it is where rows have one axis
    where: str


class LastAxis(NamedTuple):
    """What works along the last axis, which has to be the only one of a row. width: of that axis, where the part says
    it."""

    part: Part
    where: str
    width: int | None = None


Step: TypeAlias = "Part | Reshaped | Channels | LastAxis"


def product(weights: Array, biases: Array | None, where: str) -> LastAxis:
    """A dense layer."""
    return LastAxis(Weights(weights, biases, where), where, len(weights))


def flatten(where: str) -> Reshaped:
    return Reshaped(lambda shape: (math.prod(shape),), Unknown(flat=True), where)


def shaped(parts: Sequence[Step], shape: Shape) -> tuple[list[Part], Shape]:
    """Parts for rows as the model has them, flat, and the shape of a row after them. shape: of a row before them; where
    it is not known it is one axis, whose width the first product says, unless a Flatten says otherwise."""
    done: list[Part] = []
    for part in parts:
        if isinstance(part, Reshaped):
            shape = _reshaped(part, shape)
        elif isinstance(part, LastAxis):
            shape = _along(part, shape)
            done.append(part.part)
            if isinstance(part.part, Weights):
                shape = (part.part.weights.shape[1],)
        elif isinstance(part, Channels):
            n = len(part.scale)
            if isinstance(shape, tuple) and (not shape or shape[0] != n):
                raise ValueError(f"{part.where}: expected {n} channels, got rows of shape {shape}")
            if isinstance(shape, tuple) and len(shape) == 1 and part.layer is not None:
                done.append(part.layer)
                continue
            inner = math.prod(shape[1:]) if isinstance(shape, tuple) else 1
            shape = _noted(shape, part.where)
            done.append(Affine(np.repeat(part.scale, inner), np.repeat(part.offset, inner), part.where))
        elif isinstance(part, Affine) and part.by_column:
            done.append(_spread(part, shape))
        else:
            done.append(part)
    return done, shape


def _reshaped(part: Reshaped, shape: Shape) -> Shape:
    if isinstance(shape, tuple):
        return part.new(shape)
    if part.anyhow is None:
        raise ValueError(f"{part.where}: the shape of the rows that it reshapes is not known")
    if shape.along and not shape.flat:
        raise ValueError(f"{shape.along}: it works along one axis of rows whose shape is not known: flatten them first")
    return part.anyhow


def _along(part: LastAxis, shape: Shape) -> Shape:
    """The shape of a row that the part can work on."""
    if isinstance(shape, Unknown):
        return _noted(shape, part.where) if part.width is None else (part.width,)
    if len(shape) != 1:
        raise ValueError(f"{part.where}: expected rows of one axis, got {shape}: flatten them first")
    if part.width is not None and shape != (part.width,):
        raise ValueError(f"{part.where}: expected rows of {part.width} numbers, got {shape[0]}")
    return shape


def _noted(shape: Shape, where: str) -> Shape:
    return replace(shape, along=shape.along or where) if isinstance(shape, Unknown) else shape


def _spread(part: Affine, shape: Shape) -> Affine:
    """The affine with constants of any shape that broadcasts to a row's, flat."""

    def flat(value: Any) -> Any:
        if np.ndim(value) == 0:
            return value
        axes = len(shape) if isinstance(shape, tuple) else 1
        a = value[0] if value.ndim == axes + 1 and len(value) == 1 else value
        if isinstance(shape, Unknown):
            if a.ndim > 1:
                raise ValueError(f"{part.where}: a constant of shape {value.shape} for rows whose shape is not known")
            return a
        try:
            return np.broadcast_to(a, shape).reshape(-1)
        except ValueError:
            raise ValueError(f"{part.where}: a constant of shape {value.shape} for rows of shape {shape}") from None

    return Affine(flat(part.scale), flat(part.offset), part.where)
