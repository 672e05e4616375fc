"""A model's layers in the order they run, each with what it reads: what ``finalize`` lowers to operations.

A chain, a chain with Residuals in it and a graph are one thing here: a list of calls. Numbers of layers go through all
layers in the order in which they were added or called, those that a layer holds following it.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from fastnn import _checks
from fastnn.base import Layer, Node
from fastnn.engine.record import Record
from fastnn.engine.spec import INPUT, MOST_LAYERS, MOST_SOURCES, AffineSpec, ColumnsSpec, Sources, Spec
from fastnn.layers._input import Input
from fastnn.layers._sizes import MOST


class Call(Record):
    """A layer at work. number: of its parameters, random streams and in messages. sources: the places, in the list of
    calls, of those whose outputs it reads; INPUT for the rows that come in. held: how deep it lies in other layers."""

    layer: Layer
    number: int
    sources: tuple[int, ...]
    held: int

    def label(self) -> str:
        return f"layer {self.number} ({type(self.layer).__name__})"


class Network:
    """layers: the model's own. sources: of a graph, what each of them reads, by its place among them, nothing for an
    input; None for a chain. ValueError for a layer that is there twice, and for more than a model may have."""

    def __init__(self, layers: Sequence[Layer], sources: Sequence[Sequence[int]] | None = None) -> None:
        self.calls: list[Call] = []
        self._next = self._depth = 0
        self.inputs = [] if sources is None else [x for x in layers if isinstance(x, Input)]
        places: list[int] = []
        for i, layer in enumerate(layers):
            reads = (i - 1,) if sources is None else tuple(sources[i]) or (INPUT,)
            places.append(self._put(layer, tuple(INPUT if j == INPUT else places[j] for j in reads)))
        seen: dict[int, Call] = {}
        for call in self.numbered():
            if seen.setdefault(id(call.layer), call) is not call:
                raise ValueError(f"{call.label()} is {seen[id(call.layer)].label()} once more: make a new one")
        if len(self.calls) > MOST_LAYERS:
            raise ValueError(f"a model has at most {MOST_LAYERS} layers, got {len(self.calls)}")
        read = sum(len(call.sources) for call in self.calls)
        if read > MOST_SOURCES:
            raise ValueError(f"the layers of a model read at most {MOST_SOURCES} values together, got {read}")

    def _put(self, layer: Layer, sources: tuple[int, ...]) -> int:
        index, depth = self._next, self._depth
        self._next, self._depth = index + 1, depth + 1
        sources = layer.unfold(self._put, sources)
        self._depth = depth
        self.calls.append(Call(layer, index, sources, depth))
        return len(self.calls) - 1

    def numbered(self) -> list[Call]:
        """The calls by number."""
        return sorted(self.calls, key=lambda call: call.number)

    def input_width(self) -> int | None:
        """Width of the rows that come in, None where no layer states it."""
        if self.inputs:
            return sum(layer.n_inputs for layer in self.inputs)
        same = {INPUT}  # what is as wide as the input: layers may keep the width before one states it
        for place, call in enumerate(self.calls):
            if not same.issuperset(call.sources):
                continue
            wanted = call.layer.wanted_input()
            if wanted is not None:
                return wanted
            if call.layer.width(1) == 1 and call.layer.width(2) == 2:
                same.add(place)
        return None

    def widths(self, n_inputs: int | None) -> tuple[int, list[tuple[int, int]]]:
        """Width of the input, and those of what each call works on and gives. ValueError where they do not meet or the
        input's is not known."""
        known = self.input_width()
        total = n_inputs if n_inputs is not None else known
        if total is None:
            raise ValueError(
                "the width of the input is not known: give the first layer two sizes, as in Dense(2, 64), "
                "start with Input(n), call finalize(n_inputs=n), or train first"
            )
        total = _checks.whole("n_inputs", total, 1, MOST)
        if self.inputs and total != known:
            raise ValueError(f"n_inputs: the inputs of the model have {known} columns together, got {total}")
        found: list[tuple[int, int]] = []
        for call in self.calls:
            if self._is_range(call):
                n_in = call.layer.wanted_input() or 0
            else:
                n_in = self._width_before(call, [total if j == INPUT else found[j][1] for j in call.sources])
            found.append((n_in, call.layer.width(n_in)))
        return total, found

    def _is_range(self, call: Call) -> bool:
        """Whether it is one of several inputs: some columns of the rows that come in."""
        return isinstance(call.layer, Input) and len(self.inputs) > 1

    def lower(self, n_inputs: int | None) -> tuple[list[Spec], Sources, list[tuple[Call, int]]]:
        """The operations, their wiring, and each call with the width of what it works on. Raises as ``widths``."""
        total, widths = self.widths(n_inputs)
        specs: list[Spec] = []
        wiring: Sources = []
        values: list[int] = []  # the operation that gives each call's output
        start = 0  # of an input's columns
        for call, (_, n_out) in zip(self.calls, widths, strict=True):
            reads = tuple(INPUT if j == INPUT else values[j] for j in call.sources)
            if self._is_range(call):
                made: list[Spec] = [ColumnsSpec(call.number, total, start, n_out)]
                start += n_out
            else:
                came = [total if j == INPUT else widths[j][1] for j in call.sources]
                made = call.layer.lower_from(call.number, came)
            for i, spec in enumerate(made):
                wiring.append(reads if i == 0 else (len(specs) - 1,))
                specs.append(spec)
            values.append(len(specs) - 1 if made else reads[0])
        if not specs:  # nothing but Input: the identity
            specs, wiring = [AffineSpec(0, total, 1.0, 0.0)], [(INPUT,)]
        return specs, wiring, [(call, n_in) for call, (n_in, _) in zip(self.calls, widths, strict=True)]

    def _width_before(self, call: Call, widths: list[int]) -> int:
        names = ["the input" if j == INPUT else self.calls[j].label() for j in call.sources]
        try:
            width = call.layer.combine(widths, names)
        except ValueError as error:
            raise ValueError(f"{call.label()}: {error}") from None
        if width > MOST:
            raise ValueError(f"{call.label()}: a width of at most {MOST} is possible, got {width}")
        wanted = call.layer.wanted_input()
        if wanted is not None and wanted != width:
            source = "the input has" if call.sources[0] == INPUT else f"{names[0]} gives"
            raise ValueError(f"{call.label()}: expected input of width {wanted}, but {source} {width}")
        return width


# --- from nodes ---


def of_nodes(inputs: Any, outputs: Any) -> tuple[list[Layer], list[tuple[int, ...]]]:
    """(layers, sources) of a graph: its inputs in the order given, then what leads from them to the output, in the
    order it was called. Raises TypeError for what is no node, ValueError for an input that is missing or not used."""
    if inputs is None or outputs is None:
        raise TypeError(f"{'inputs' if inputs is None else 'outputs'}: a graph needs both inputs= and outputs=")
    if isinstance(outputs, (list, tuple)):
        if len(outputs) != 1:
            raise ValueError(f"outputs: expected one, got {len(outputs)}; join them by Concatenate()")
        outputs = outputs[0]
    end = Node.of("outputs", outputs)
    listed = list(inputs) if isinstance(inputs, (list, tuple)) else [inputs]
    begins: list[Node] = []
    for i, value in enumerate(listed):
        node = Node.of(f"inputs[{i}]", value)
        if not isinstance(node.layer, Input):
            raise TypeError(f"inputs[{i}]: expected an Input, got {node!r}")
        if node in begins:
            raise ValueError(f"inputs[{i}]: {node.layer!r} is given twice")
        begins.append(node)
    _check_names([node.layer for node in begins if isinstance(node.layer, Input)])
    found, waiting = {end}, [end]
    while waiting:
        for node in waiting.pop().sources:
            if node not in found:
                found.add(node)
                waiting.append(node)
    for i, node in enumerate(begins):
        if node not in found:
            raise ValueError(f"inputs[{i}]: nothing that leads to the output reads {node.layer!r}")
    rest = sorted(found - set(begins), key=lambda node: node.order)
    for node in rest:
        if isinstance(node.layer, Input):
            raise ValueError(f"inputs: {node.layer!r} is read on the way to the output, and is not among them")
    nodes = [*begins, *rest]
    place = {node: i for i, node in enumerate(nodes)}
    return [node.layer for node in nodes], [tuple(place[source] for source in node.sources) for node in nodes]


def _check_names(inputs: Sequence[Input]) -> None:
    names = [layer.name for layer in inputs if layer.name is not None]
    if len(set(names)) < len(names):
        raise ValueError(f"inputs: two have the same name: {', '.join(map(repr, names))}")


def checked(layers: Sequence[Layer], sources: Any) -> list[tuple[int, ...]]:
    """The wiring of a file, which may say anything. ValueError where it makes no graph."""
    whole = isinstance(sources, list) and len(sources) == len(layers)
    if whole and sum(len(reads) for reads in sources if isinstance(reads, list)) > MOST_SOURCES:
        raise ValueError(f"graph: the layers of a model read at most {MOST_SOURCES} values together")
    for i, (layer, reads) in enumerate(zip(layers, sources if whole else (), strict=False)):
        fits = isinstance(reads, list) and all(type(j) is int and 0 <= j < i for j in reads)
        whole = whole and fits and (not reads) == layer.begins and (layer.joins or len(reads) < 2)
    if not whole or not layers:
        raise ValueError(f"graph: these sources make no graph of {len(layers)} layers: {sources!r:.200}")
    ends = set(range(len(layers))) - {j for reads in sources for j in reads}
    if ends != {len(layers) - 1}:
        got = f"{sorted(ends)!s:.200}"
        raise ValueError(f"graph: expected the last layer to be the only one that none reads, got {got}")
    _check_names([layer for layer in layers if isinstance(layer, Input)])
    return [tuple(reads) for reads in sources]


# --- arrays ---


def shown(inputs: Sequence[Input], total: int) -> str:
    """The width of the rows that come in, in messages: "4", or of several inputs "4 + 3 'b'"."""
    if len(inputs) < 2:
        return str(total)
    return " + ".join(f"{x.n_inputs}" + ("" if x.name is None else f" {x.name!r}") for x in inputs)


def side_by_side(name: str, X: Any, inputs: Sequence[Input]) -> Any:
    """The arrays of several inputs as one, their columns in the inputs' order; copied once. X: a list, an array for
    each input, or a dict by their names; anything else is one array already. Raises ValueError or TypeError."""
    if isinstance(X, dict):
        X, names = _by_name(name, X, inputs)
    elif isinstance(X, (list, tuple)) and (len(inputs) > 1 or (len(X) == 1 and getattr(X[0], "ndim", 0) == 2)):
        names = [f"{name}[{i}]" for i in range(len(X))]
    else:
        return X
    if len(X) != len(inputs):
        total = sum(layer.n_inputs for layer in inputs)
        raise ValueError(
            f"{name}: expected a list of {len(inputs)} arrays, one for each input, or one array of {total} columns, "
            f"got a list of {len(X)}"
        )
    parts = []
    for what, value, layer in zip(names, X, inputs, strict=True):
        a = _checks.as_array(what, value)
        if a.ndim == 1 and layer.n_inputs == 1:
            a = a.reshape(-1, 1)
        parts.append(_checks.as_rows(what, a, layer.n_inputs))
        if len(parts[-1]) != len(parts[0]):
            raise ValueError(f"{what}: expected {len(parts[0])} rows, as many as {names[0]}, got {len(parts[-1])}")
    return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)


def _by_name(name: str, X: dict[Any, Any], inputs: Sequence[Input]) -> tuple[list[Any], list[str]]:
    names = [layer.name for layer in inputs]
    if None in names:
        raise TypeError(f"{name}: a dict goes by the names of the inputs, and not all have one: Input(4, name='a')")
    if set(X) != set(names):
        raise ValueError(f"{name}: expected a dict of {_listed(names)}, the names of the inputs, got {_listed(X)}")
    return [X[key] for key in names], [f"{name}[{key!r}]" for key in names]


def _listed(names: Iterable[Any]) -> str:
    return ", ".join(repr(key) for key in names)
