"""A model as a description of plain values and a dict of tensors, and back: what ``checkpoint`` writes and reads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn.base import Layer, Registered
from fastnn.history import History
from fastnn.losses import Loss
from fastnn.metrics import Accuracy
from fastnn.optimizers import Optimizer

if TYPE_CHECKING:
    from fastnn.checkpoint import Tensors
    from fastnn.engine.plan import Plan
    from fastnn.model import Model


def _views(plan: Plan) -> dict[str, np.ndarray[Any, Any]]:
    """Every tensor of parameters and optimizer state, as live views by the names that a file uses."""
    arenas = {"": plan.params, **{f"state{i}.": state for i, state in enumerate(plan.states)}}
    return {
        f"{prefix}layer{layer}.{name}": plan.view(arena, layer, name)
        for prefix, arena in arenas.items()
        for layer, name in plan.tensors
        if not prefix or plan.is_trained(layer, name)  # what is only kept has no state
    }


def describe(model: Model) -> tuple[dict[str, Any], Tensors]:
    """Names only, never the numbers of an enum, so that the registry may grow."""
    description = {
        "layers": [layer.describe() for layer in model.layers],
        "n_inputs": model.plan.n_in,
        "dtype": model.dtype.name,
        "seed": model.seed,
        "loss": None if model.loss is None else model.loss.describe(),
        "optimizer": None if model.optimizer is None else model.optimizer.describe(),
        "accuracy": model.accuracy.describe() if isinstance(model.accuracy, Accuracy) else model.accuracy,
        "precision": model.precision,
        "steps_done": model.steps_done,
        "epochs_done": model.epochs_done,
        "history": model.history.state(),
        "metadata": model.metadata,
        "position": model.position,
    }
    description["callbacks"], arrays = _callbacks(model.callback_states)
    return description, {**_views(model.plan), **arrays}


def _callbacks(states: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], Tensors]:
    """The states of callbacks with their arrays apart, under ``callback0.name``."""
    plain: list[dict[str, Any]] = []
    arrays: Tensors = {}
    for i, entry in enumerate(states):
        state = entry["state"]
        arrays |= {f"callback{i}.{key}": value for key, value in state.items() if isinstance(value, np.ndarray)}
        plain.append({**entry, "state": {k: v for k, v in state.items() if not isinstance(v, np.ndarray)}})
    return plain, arrays


def _callback_states(plain: list[dict[str, Any]], tensors: Tensors) -> list[dict[str, Any]]:
    """The other way."""
    states = []
    for i, entry in enumerate(plain):
        start = f"callback{i}."
        arrays = {name.removeprefix(start): t for name, t in tensors.items() if name.startswith(start)}
        states.append({**entry, "state": {**entry["state"], **arrays}})
    return states


def take_counters(model: Model, saved: Model) -> None:
    """All that a model remembers of its training but parameters and optimizer arenas. Loss and accuracy stay."""
    model.optimizer = saved.optimizer
    model.seed, model.precision, model.metadata = saved.seed, saved.precision, saved.metadata
    model.steps_done, model.epochs_done = saved.steps_done, saved.epochs_done
    model.history.take(saved.history)
    model.position, model.callback_states = saved.position, saved.callback_states


def by_name(custom_objects: Any) -> dict[str, type[Any]]:
    """{name: class} of what ``Model.load(custom_objects=)`` was given: classes, or a dict of them."""
    classes = custom_objects.values() if isinstance(custom_objects, dict) else custom_objects or ()
    found = {}
    for part in classes:
        if not isinstance(part, type) or not issubclass(part, Registered):
            raise TypeError(f"custom_objects: expected classes of parts, got {part!r}")
        found[part.names[0]] = part
    return found


def _part(family: Any, description: dict[str, Any], custom: dict[str, type[Any]]) -> Any:
    """A part by its name: one written in Python, of those at hand, or a known one of the family."""
    arguments = dict(description)
    found = custom.get(str(arguments.pop("name", None)))
    if found is not None and issubclass(found, family):
        return found.rebuild(**arguments)
    try:
        return family.from_description(description)
    except ValueError as error:
        if "unknown name" in str(error):
            raise ValueError(f"{error}; a part written in Python is to be given in custom_objects") from None
        raise


def rebuild(cls: type[Model], d: dict[str, Any], tensors: Tensors, custom: dict[str, type[Any]]) -> Model:
    """The model of a description. Raises KeyError, TypeError or ValueError where it does not make one."""
    model = cls([_part(Layer, layer, custom) for layer in d["layers"]], seed=d["seed"], dtype=d["dtype"])
    model.loss = None if d["loss"] is None else _part(Loss, d["loss"], custom)
    model.optimizer = None if d["optimizer"] is None else _part(Optimizer, d["optimizer"], custom)
    accuracy = d["accuracy"]
    model.accuracy = Accuracy.from_description(accuracy) if isinstance(accuracy, dict) else accuracy
    model.precision, model.metadata = d["precision"], d["metadata"]
    model.finalize(d["n_inputs"])
    states = len({name.split(".")[0] for name in tensors if name.startswith("state")})
    if states:
        model.plan.need_training_arenas(states)
    for name, view in _views(model.plan).items():
        stored = tensors[name]
        if stored.shape != view.shape or stored.dtype != view.dtype:
            raise ValueError(f"{name} is {stored.shape} {stored.dtype}, expected {view.shape} {view.dtype}")
        view[...] = stored
    model.steps_done, model.epochs_done = d["steps_done"], d["epochs_done"]
    model.history = History.from_state(d["history"])
    model.position = d.get("position")
    model.callback_states = _callback_states(d.get("callbacks", []), tensors)
    return model
