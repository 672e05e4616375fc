"""Parameters alone, by name: into a dict, into a file, and back with a report of what did not match."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fastnn import _checks
from fastnn._dlpack import unmasked
from fastnn._model_file import parameter_name
from fastnn.engine.record import Record

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fastnn.checkpoint import Contents, Tensors

Shape = tuple[int, ...]


class WeightsReport(NamedTuple):
    """What became of each tensor. True where all of both sides matched.

    loaded: names of the model whose values were taken. missing: of the model, not among what was given. unexpected:
    given, not of the model. mismatched: {name of the model: (its shape, the shape given)}.
    """

    loaded: tuple[str, ...]
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    mismatched: dict[str, tuple[Shape, Shape]]

    def __bool__(self) -> bool:
        return not (self.missing or self.unexpected or self.mismatched)

    def __str__(self) -> str:
        parts = [f"{len(self.loaded)} tensors loaded"]
        parts += [f"{what}: {_some(names)}" for what in ("missing", "unexpected") if (names := getattr(self, what))]
        if self.mismatched:
            shapes = [f"{name} is {mine}, given {given}" for name, (mine, given) in self.mismatched.items()]
            parts.append(f"of another shape: {_some(shapes)}")
        return "; ".join(parts)


def _some(names: Any) -> str:
    return ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")


def views(model: Any) -> dict[str, NDArray[Any]]:
    """Live views of the parameters by their names in files."""
    plan = model.plan
    return {parameter_name(layer, name): plan.view(plan.params, layer, name) for layer, name in plan.tensors}


# --- by the place in the model: get_parameters, set_parameters ---


def by_layer(model: Any) -> dict[int, dict[str, NDArray[Any]]]:
    """Live views of the parameters by layer and name."""
    plan = model.plan
    found: dict[int, dict[str, NDArray[Any]]] = {}
    for index, name in sorted(plan.tensors, key=lambda tensor: tensor[0]):  # what is only kept comes last in each
        found.setdefault(index, {})[name] = plan.view(plan.params, index, name)
    return found


def set_by_layer(model: Any, parameters: Any) -> None:
    """Copy a tuple of arrays into each layer, in order; ValueError or TypeError, and nothing changed, for what does not
    fit."""
    views, numbered, pairs = by_layer(model), model.numbered, []
    given = _a_list("parameters", parameters, len(views), "tuples, one for each layer that has parameters")
    for i, ((index, mine), values) in enumerate(zip(views.items(), given, strict=True)):
        arrays = _a_list(f"parameters[{i}]", values, len(mine), f"arrays: {', '.join(mine)}")
        for (name, view), value in zip(mine.items(), arrays, strict=True):
            label = numbered[index].label()
            new = np.asarray(unmasked(name, value))
            if new.dtype.kind not in "fiub":
                raise TypeError(f"{label}: expected {name} of real numbers, got dtype {new.dtype}")
            if new.shape != view.shape:
                raise ValueError(f"{label}: expected {name} of shape {view.shape}, got {new.shape}")
            pairs.append((view, apart(new, model)))
    for view, new in pairs:
        view[...] = new


def apart(value: NDArray[Any], model: Any) -> NDArray[Any]:
    """The values where they are not the model's own memory, else a copy: a layer's may be another's new ones."""
    return value.copy() if np.may_share_memory(value, model.plan.params) else value


def _a_list(name: str, values: Any, count: int, what: str) -> list[Any]:
    items = _checks.listed(name, values, f"{count} {what}")
    if len(items) != count:
        raise ValueError(f"{name}: expected {count} {what}, got {len(items)}")
    return items


# --- by name ---


class Given(Record):
    """Tensors to load: their shapes by name, and what reads one."""

    shapes: dict[str, Shape]
    read: Callable[[str], NDArray[Any]]


def of_dict(tensors: Mapping[str, Any]) -> Given:
    """Of a dict of arrays. TypeError for what is no array of real numbers."""
    if not isinstance(tensors, Mapping):
        raise TypeError(f"state_dict: expected a dict of arrays by name, got {type(tensors).__name__}")
    arrays = {}
    for name, value in tensors.items():
        array = np.asarray(unmasked(f"state_dict: {name}", value))
        if array.dtype.kind not in "fiub":
            raise TypeError(f"state_dict: {name}: expected real numbers, got dtype {array.dtype}")
        arrays[name] = array
    return Given({name: array.shape for name, array in arrays.items()}, arrays.__getitem__)


def of_file(contents: Contents) -> Given:
    """Of a file: of a fastnn file the parameters alone, of any other all tensors."""
    entries = contents.tensors
    if contents.signed:
        entries = {name: entry for name, entry in entries.items() if name.startswith("layer")}

    entries = dict(entries)

    def read(name: str) -> NDArray[Any]:
        array = contents.read(name)
        if entries[name].code == "BF16":  # the upper half of a float32
            return (array.astype(np.uint32) << 16).view(np.float32)
        return array

    return Given({name: entry.shape for name, entry in entries.items()}, read)


def take(
    model: Any,
    given: Given,
    strict: bool,
    names: Mapping[str, str] | Callable[[str], str | None] | None,
    transpose: bool,
) -> WeightsReport:
    """Copy what matches into the model. names: from given names to those of the model, a dict or a function; what a
    dict does not know keeps its name, a function's None leaves a tensor out. transpose: matrices are (outputs, inputs).
    ValueError where strict and something does not match; then nothing has changed."""
    mine = views(model)
    source: dict[str, str] = {}  # name of the model -> name given
    for name in given.shapes:
        renamed = name if names is None else names.get(name, name) if isinstance(names, Mapping) else names(name)
        if renamed is None:
            continue
        if renamed in source:
            raise ValueError(f"names: {source[renamed]!r} and {name!r} both become {renamed!r}")
        source[renamed] = name
    flipped = {
        new for new, name in source.items() if transpose and len(given.shapes[name]) == 2 and new.endswith("weights")
    }
    mismatched, matched = {}, {}
    for new, view in mine.items():
        if new not in source:
            continue
        shape = given.shapes[source[new]]
        seen = shape[::-1] if new in flipped else shape
        if seen == view.shape or (len(seen) == 1 and view.shape == (1, *seen)):  # biases as others have them
            matched[new] = source[new]
        else:
            mismatched[new] = (view.shape, shape)
    missing = tuple(new for new in mine if new not in source)
    unexpected = tuple(name for new, name in source.items() if new not in mine)
    report = WeightsReport(tuple(matched), missing, unexpected, mismatched)
    if strict and not report:
        raise ValueError(
            f"the weights do not match the model, nothing was loaded: {report}; strict=False takes what fits"
        )
    values: Tensors = {
        new: apart(given.read(name), model) for new, name in matched.items()
    }  # all read before the first is written
    for new, value in values.items():
        mine[new][...] = (value.T if new in flipped else value).reshape(mine[new].shape)
    return report
