"""From what other libraries' layers mean to a model: a list of parts, each with its numbers, in the order they run.

What scales and shifts each column for itself (a batch normalization in inference, a bias that was a node of its own)
is folded into the dense layer before or behind it, in float64 and rounded once. Not so where it works on what comes in:
features may lie far from 0, and (x - mean) . w loses no digits where x . w - mean . w does. That is a Normalization.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np

from fastnn.activations import Activation
from fastnn.engine.spec import MOST_LAYERS
from fastnn.initializers import Initializer
from fastnn.layers import AlphaDropout, Dense, Dropout, Input, Normalization, Rescale

if TYPE_CHECKING:
    from fastnn.base import Layer
    from fastnn.layers._merge import Merge
    from fastnn.model import Model

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]
MOST_DEVIATION = 1e15  # of a Normalization: its square has room in float32
WIDEST_DIAGONAL = 1024  # columns of an Affine that stands alone: it becomes a dense layer with so many squared weights


class Weights(NamedTuple):
    """y = x.weights + biases; weights (n_in, n_out), biases (n_out,) or None. where: how messages name it."""

    weights: Array
    biases: Array | None
    where: str


class Affine(NamedTuple):
    """y = x * scale + offset, numbers or arrays (n,)."""

    scale: Any
    offset: Any
    where: str

    @property
    def by_column(self) -> bool:
        return np.ndim(self.scale) > 0 or np.ndim(self.offset) > 0


class Filled(NamedTuple):
    """A layer, and the arrays that are assigned to its attributes once the model is finalized."""

    layer: Layer
    values: dict[str, Array]
    where: str


Part: TypeAlias = "Weights | Affine | Filled | Activation | Layer"


class Row(NamedTuple):
    """Parts in a row, of which each is read by the next alone. sources: the rows, by their place, whose ends it begins
    with, joined where there are several; none for one that begins with an input, ``width`` columns wide where that is
    known."""

    sources: tuple[int, ...]
    joins: type[Merge] | None
    parts: list[Part]
    width: int | None


Given: TypeAlias = "list[tuple[Layer, dict[str, Array | None], str]]"


@contextmanager
def naming(where: str) -> Iterator[None]:
    """What a layer says of its numbers, with the place that they came from in front."""
    try:
        yield
    except (ValueError, ZeroDivisionError) as error:
        if str(error).startswith(where):
            raise
        raise ValueError(f"{where}: {error}") from None


def dropout(kind: type[Dropout | AlphaDropout], rate: float) -> list[Part]:
    """Nothing for the rates of 0 and 1, of which only a training would show something."""
    return [kind(rate)] if 0 < rate < 1 else []


def kept(momentum: float) -> float:
    """The momentum of a BatchNorm, which is below 1, where another library's may be 1: nothing new ever counts."""
    return math.nextafter(1.0, 0.0) if momentum == 1 else momentum


def assemble(
    cls: type[Model], parts: Sequence[Part], dtype: np.dtype[Any], n_inputs: int | None = None, most: int | None = None
) -> Model:
    """The finalized model of parts in a row, without loss and optimizer. most: parameters that it may have.

    ValueError where sizes do not meet, where nothing says how wide the rows are, and for more parameters.
    """
    return assemble_graph(cls, [Row((), None, list(parts), n_inputs)], dtype, most)


def assemble_graph(cls: type[Model], rows: Sequence[Row], dtype: np.dtype[Any], most: int | None = None) -> Model:
    """The same of a graph, whose last row ends with the output."""
    count = sum(_parameters(row.parts) for row in rows)
    if most is not None and count > most:
        raise ValueError(f"the layers would have {count} parameters, far more than came with them")
    given: Given = []
    with np.errstate(all="ignore"):  # numbers that are too large become infinite
        layers = [_layers(_fold(row.parts, not row.sources), given) for row in rows]
    total = sum(map(len, layers)) + sum(row.joins is not None for row in rows)
    if total > MOST_LAYERS:
        raise ValueError(f"the network has {total} layers, a model has at most {MOST_LAYERS}")
    if len(rows) > 1:
        model = _graph(cls, rows, layers, dtype)
    else:
        width = rows[0].width
        if width is not None and not any(isinstance(layer, Dense) for layer in layers[0]):
            layers[0].insert(0, Input(width))
        model = cls(layers[0], dtype=dtype)
        model.finalize(width)
    for layer, values, where in given:
        for name, value in values.items():
            if value is None:
                continue
            with naming(where):
                setattr(layer, name, value)
        if isinstance(layer, Dense):
            layer.weight_initializer = Initializer.resolve("he_normal")
    return model


def _layers(parts: Sequence[Part], given: Given) -> list[Layer]:
    """The layers of a row, and what is to be assigned to them."""
    layers: list[Layer] = []
    for part in parts:
        if isinstance(part, Weights):
            dense = Dense(*part.weights.shape, weight_initializer="zeros")
            given.append((dense, {"weights": part.weights, "biases": part.biases}, part.where))
            layers.append(dense)
        elif isinstance(part, Filled):
            given.append((part.layer, dict(part.values), part.where))
            layers.append(part.layer)
        elif isinstance(part, Affine):
            layers.append(Rescale(float(part.scale), float(part.offset)))
        elif isinstance(part, Activation) and layers and _linear(layers[-1]):
            layers[-1].activation = part
        else:
            layers.append(part)
    return layers


def _graph(cls: type[Model], rows: Sequence[Row], layers: Sequence[list[Layer]], dtype: np.dtype[Any]) -> Model:
    ends: list[Any] = []
    inputs: list[Input] = []
    for row, inner in zip(rows, layers, strict=True):
        end: Any
        if row.joins is not None:
            end = row.joins()([ends[i] for i in row.sources])
        elif row.sources:
            end = ends[row.sources[0]]
        elif row.width is None:
            raise ValueError("the width of the input is not known, and the network has branches")
        else:
            end = Input(row.width)
            inputs.append(end)
        for layer in inner:
            end = layer(end)
        ends.append(end)
    model = cls(inputs=inputs, outputs=ends[-1], dtype=dtype)
    model.finalize()
    return model


def _parameters(parts: Sequence[Part]) -> int:
    """At most so many: shared weights are counted for each layer, and columns that scale alone squared."""
    count = 0
    for i, part in enumerate(parts):
        if isinstance(part, Weights):
            count += part.weights.size
        elif isinstance(part, Affine) and part.by_column:
            beside = parts[max(i - 1, 0) : i + 2]
            columns = max(np.size(part.scale), np.size(part.offset))
            count += 0 if any(isinstance(p, Weights) for p in beside) else min(columns, WIDEST_DIAGONAL) ** 2
    return count


def _linear(layer: Layer) -> bool:
    return isinstance(layer, Dense) and layer.activation.names[0] == "linear"


def _fold(parts: list[Part], from_input: bool) -> list[Part]:
    """The parts with what works on each column folded into its neighbours. from_input: they begin with an input."""
    done: list[Part] = []
    waiting: Affine | None = None  # for the dense layer behind it
    for part in parts:
        last = done[-1] if done else None
        if waiting is not None:
            done.append(_into_next(waiting, part) if isinstance(part, Weights) else _diagonal(waiting))
            waiting = None
            if isinstance(part, Weights):
                continue
            last = done[-1]
        if isinstance(part, Affine) and isinstance(last, Weights) and (part.by_column or _is_bias(part, last)):
            done[-1] = _into_last(last, part)
        elif isinstance(part, Affine) and part.by_column:
            normalization = _normalization(part) if from_input and all(isinstance(p, Affine) for p in done) else None
            if normalization is None:
                waiting = part
            else:
                done.append(normalization)
        else:
            done.append(part)
    if waiting is not None:
        done.append(_diagonal(waiting))
    return done


def _normalization(part: Affine) -> Filled | None:
    """x * scale + offset as (x - mean) / deviation, None where no deviation makes that scale."""
    columns = max(np.size(part.scale), np.size(part.offset))
    scale, offset = (np.broadcast_to(np.asarray(v, np.float64), (columns,)) for v in (part.scale, part.offset))
    if not ((scale > 1 / MOST_DEVIATION) & (scale < MOST_DEVIATION) & np.isfinite(offset)).all():
        return None
    values = {"mean": (-offset / scale)[None], "variance": ((1 / scale) ** 2)[None]}
    return Filled(Normalization(), values, part.where)


def _is_bias(part: Affine, last: Weights) -> bool:
    return last.biases is None and part.scale == 1


def _into_last(last: Weights, part: Affine) -> Weights:
    """(x.w + b) * scale + offset. What is only a bias stays as it is, bit for bit."""
    scale, offset = np.asarray(part.scale, np.float64), np.asarray(part.offset, np.float64)
    n = last.weights.shape[1]
    _need_width(part, scale, offset, n)
    weights = last.weights if (scale == 1).all() else last.weights * scale
    biases = offset if last.biases is None else last.biases.astype(np.float64) * scale + offset
    return Weights(weights, np.broadcast_to(biases, (n,)), last.where)


def _into_next(part: Affine, after: Weights) -> Weights:
    """(x * scale + offset).w + b."""
    scale, offset = np.asarray(part.scale, np.float64), np.asarray(part.offset, np.float64)
    n = after.weights.shape[0]
    _need_width(part, scale, offset, n)
    exact = after.weights.astype(np.float64)
    biases = np.broadcast_to(offset, (n,)) @ exact
    if after.biases is not None:
        biases = biases + after.biases
    return Weights(exact * np.broadcast_to(scale, (n,))[:, None], biases, after.where)


def _diagonal(part: Affine) -> Weights:
    n = max(np.size(part.scale), np.size(part.offset))
    if n > WIDEST_DIAGONAL:
        raise ValueError(
            f"{part.where}: scales {n} columns, each for itself, with no dense layer next to it to fold that into; "
            f"alone it may have at most {WIDEST_DIAGONAL}"
        )
    scale, offset = (np.broadcast_to(np.asarray(v, np.float64), (n,)) for v in (part.scale, part.offset))
    return Weights(np.diag(scale), offset, part.where)


def _need_width(part: Affine, scale: Array, offset: Array, n: int) -> None:
    for a in (scale, offset):
        if a.ndim and a.shape != (n,) and a.size != 1:
            raise ValueError(f"{part.where}: has {a.size} columns, the dense layer next to it {n}")
