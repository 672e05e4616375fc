"""The walk through the graph of an ONNX file: from its output back to its input, and forward again with the shapes.

What comes out are rows of parts, cut where a value is read by several or several are joined: a network without
branches is one row. Several inputs are Slices that share out the columns of the one input, as ``export_onnx`` writes
them.
"""

from __future__ import annotations

import math
from collections import Counter
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

from fastnn.checkpoint import FormatError
from fastnn.engine.spec import MOST_LAYERS
from fastnn.interop._assemble import Row
from fastnn.interop._shapes import Unknown, shaped
from fastnn.layers import Add, Concatenate, Multiply

if TYPE_CHECKING:
    from fastnn.interop._onnx import Importer
    from fastnn.interop._onnx_file import Node
    from fastnn.interop._shapes import Shape
    from fastnn.layers._merge import Merge

Columns = tuple[int, int]
JOINS: dict[str, type[Merge]] = {"Add": Add, "Sum": Add, "Mul": Multiply, "Concat": Concatenate}


class Step(NamedTuple):
    """How a value is made: of others, joined where ``joins`` says how, by these parts; or as those columns, begin and
    end, of the input."""

    sources: tuple[str, ...]
    parts: list[Any]
    joins: type[Merge] | None
    columns: Columns | None
    where: str


def rows(g: Importer, shape: Shape) -> list[Row]:
    """The rows of parts of the graph in the order they run: those that begin with the inputs first, the last one ends
    with the output. shape: of a row of the input."""
    steps, output = _steps(g, shape)
    order = _in_order(steps, output)
    readers = Counter(source for step in steps.values() for source in step.sources)
    ranges = _ranges(g, steps, shape)
    found = [Row((), None, [], end - begin) for begin, end in ranges]
    shapes: list[Shape] = [(row.width,) for row in found if row.width is not None]
    at = {name: ranges.index(step.columns) for name, step in steps.items() if step.columns}  # the row it ends
    if not ranges:
        found, shapes = [Row((), None, [], math.prod(shape) if isinstance(shape, tuple) else None)], [shape]
        at[g.input.name] = 0
    for name in order:
        step = steps[name]
        if step.columns:
            continue
        sources = [at[source] for source in step.sources]
        row = sources[0]
        if step.joins is not None or readers[step.sources[0]] > 1:
            row = len(found)
            found.append(Row(tuple(sources), step.joins, [], None))
            shapes.append(_joined(step, [shapes[i] for i in sources]))
        parts, shapes[row] = shaped(step.parts, shapes[row])
        found[row].parts.extend(parts)
        at[name] = row
    return found


# --- backward ---


def _steps(g: Importer, shape: Shape) -> tuple[dict[str, Step], str]:
    """How each value on the way to the output is made, and the name of the output. Values that are another one by
    another name are left out."""
    steps: dict[str, Step] = {}
    same: dict[str, str] = {}
    ranges: dict[Columns, str] = {}
    waiting, layers = [g.output.name], 0
    while waiting:
        name = waiting.pop()
        if name in steps or name in same or name == g.input.name:
            continue
        node = g.makers.get(name)
        if node is None:
            raise FormatError(f"no node makes {name[:100]!r}")
        step = _step(g, node, name, shape)
        waiting.extend(step.sources)
        first = name if step.columns is None else ranges.setdefault(step.columns, name)
        if first != name or not (step.parts or step.joins or step.columns):
            same[name] = first if first != name else step.sources[0]
            continue
        steps[name] = step
        layers += len(step.parts) + (step.joins is not None)
        if layers > MOST_LAYERS:
            raise ValueError(f"the graph has more than {MOST_LAYERS} layers")

    def real(name: str) -> str:
        passed: list[str] = []
        while name in same:
            passed.append(name)
            if len(passed) > len(same):
                raise FormatError(f"{g.makers[name]}: the graph goes in a circle")
            name = same[name]
        same.update(dict.fromkeys(passed, name))
        return name

    steps = {name: step._replace(sources=tuple(map(real, step.sources))) for name, step in steps.items()}
    return steps, real(g.output.name)


def _step(g: Importer, node: Node, name: str, shape: Shape) -> Step:
    plain = node.domain in ("", "ai.onnx")
    if plain and node.operator == "Slice":
        return Step((node.inputs[0],) if node.inputs else (), [], None, _columns(g, node, shape), str(node))
    if plain and node.operator == "Concat":
        return _join(g, node, name)
    try:
        parts, source = g.step(node, name)
    except FormatError:
        raise
    except ValueError:
        if plain and node.operator in JOINS and sum(g.constant(i) is None for i in node.inputs) > 1:
            return _join(g, node, name)
        raise
    return Step((source,), parts, None, None, str(node))


def _join(g: Importer, node: Node, name: str) -> Step:
    if len(node.inputs) < 2 or any(not i or g.constant(i) is not None for i in node.inputs):
        raise ValueError(f"{node}: expected two or more values of the network to join, and no constants")
    axis = node.number("axis", 1) if node.operator == "Concat" else 1
    if axis not in (1, -1):
        raise ValueError(f"{node}: expected axis 1, the last one, got {axis}")
    known = {"axis"} if node.operator == "Concat" else set()
    if node.attributes.keys() - known or name != node.outputs[0]:
        raise ValueError(f"{node}: this attribute or output is not supported")
    return Step(tuple(node.inputs), [], JOINS[node.operator], None, str(node))


def _columns(g: Importer, node: Node, shape: Shape) -> Columns:
    """Which columns of the input a Slice takes."""
    if not isinstance(shape, tuple) or len(shape) != 1 or not 3 <= len(node.inputs) <= 5 or node.attributes:
        raise ValueError(f"{node}: only the columns of an input of known width can be taken apart")
    begin, end, axis, step = (g.scalar(node, place) for place in range(1, 5))
    if begin is None or end is None or axis not in (1, -1) or step not in (1, None):
        raise ValueError(f"{node}: expected a range of columns, one after the other")
    begin, end, _ = slice(int(begin), int(end)).indices(shape[0])
    if end <= begin:
        raise ValueError(f"{node}: expected at least one column, got {begin} to {end} of {shape[0]}")
    return begin, end


def _ranges(g: Importer, steps: dict[str, Step], shape: Shape) -> list[Columns]:
    """The columns of each input, in order; nothing where the one input is read as it is."""
    found = sorted(step.columns for step in steps.values() if step.columns)
    if not found:
        return []
    for step in steps.values():
        if step.columns and step.sources != (g.input.name,):
            raise ValueError(f"{step.where}: only the columns of the input can be taken apart")
        if not step.columns and g.input.name in step.sources:
            raise ValueError(f"{step.where}: reads all of an input whose columns are taken apart elsewhere")
    edges = [0, *(end for _, end in found)]
    if [begin for begin, _ in found] != edges[:-1] or not isinstance(shape, tuple) or edges[-1] != shape[0]:
        raise ValueError(f"input {g.input.name!r}: the Slices of its {shape} columns leave some out or share some")
    return found


# --- forward ---


def _in_order(steps: dict[str, Step], output: str) -> list[str]:
    """The values, each after those that it is made of."""
    order: list[str] = []
    done: dict[str, bool] = {}
    waiting = [output] if output in steps else []
    while waiting:
        name = waiting[-1]
        if name in done:
            waiting.pop()
            if not done[name]:
                done[name] = True
                order.append(name)
            continue
        done[name] = False
        for source in reversed(steps[name].sources):
            if done.get(source) is False:
                raise FormatError(f"{steps[name].where}: the graph goes in a circle")
            if source in steps and source not in done:
                waiting.append(source)
    return order


def _joined(step: Step, shapes: list[Shape]) -> Shape:
    """The shape of a row of what is made of these."""
    if step.joins is None:
        return shapes[0]
    known = [shape for shape in shapes if isinstance(shape, tuple)]
    unknown = [shape for shape in shapes if isinstance(shape, Unknown)]
    if any(len(shape) != 1 for shape in known):
        raise ValueError(f"{step.where}: expected rows of one axis, got {known}: flatten them first")
    if step.joins is Concatenate and not unknown:
        return (sum(shape[0] for shape in known),)
    if step.joins is not Concatenate and any(a != b for a, b in pairwise(known)):
        raise ValueError(f"{step.where}: expected values of equal width, got {known!s:.200}")
    if step.joins is not Concatenate and known:
        return known[0]
    along = step.where if step.joins is Concatenate else next((shape.along for shape in unknown if shape.along), "")
    return Unknown(all(shape.flat for shape in unknown), along)
