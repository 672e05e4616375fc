"""A model as a description of plain values and a dict of tensors, and back: what ``checkpoint`` writes and reads.

A description may come from anywhere. Each part of it is checked before it is believed, and errors say which it was;
sizes are held against the tensors of the file before anything is allocated for them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn import _checks, _network
from fastnn._described import Custom, Parts, a_dict, a_list, within
from fastnn._safetensors import FormatError
from fastnn.base import Layer, Registered
from fastnn.history import KEYS as COLUMNS
from fastnn.history import History
from fastnn.losses import Loss
from fastnn.metrics import Accuracy, Metric
from fastnn.metrics._objects import by_name as metrics_by_name
from fastnn.optimizers import Optimizer
from fastnn.schedules import Schedule

if TYPE_CHECKING:
    from fastnn.checkpoint import Contents, Tensors
    from fastnn.engine.plan import Plan
    from fastnn.model import Model

KIND = "model"
POSITION = "position."  # what the names of tensors of a place within an epoch begin with
MOST_COUNT = 2**62  # of steps, epochs and rows: a few more still fit into 64 bits
MOST_SEED = 2**64 - 1
MOST_STATES = 4096  # arrays of optimizer state: L-BFGS with its longest memory has 2000
KEYS = {
    "format", "kind", "layers", "n_inputs", "dtype", "seed", "loss", "optimizer", "accuracy", "precision", "steps_done",
    "epochs_done", "history", "class_labels", "metadata", "position", "callbacks", "states",
}  # fmt: skip
# keys that files have where there is something to say, so that those of before such a key was known can still be read
OPTIONAL = {"graph", "metrics", "updates", "frozen"}
UPDATES = ("averaged", "pairs", "ended")  # counters of the running average and of L-BFGS
AVERAGE = "average."  # what the names of its tensors begin with


def parameter_name(layer: int, name: str) -> str:
    """What a tensor of a layer is called in files and in ``state_dict``."""
    return f"layer{layer}.{name}"


def _names(plan: Plan, states: int) -> Iterator[tuple[str, int | None, int, str]]:
    """(name in a file, number of the state or None, layer, name) of every tensor of parameters and optimizer state."""
    for layer, name in plan.tensors:
        yield parameter_name(layer, name), None, layer, name
    trained = _trained(plan)  # what is only kept has no state
    for state in range(states):
        for layer, name in trained:
            yield f"state{state}.{parameter_name(layer, name)}", state, layer, name


def _trained(plan: Plan) -> list[tuple[int, str]]:
    return [key for key in plan.tensors if plan.is_trained(*key)]


def parts(model: Model) -> list[Registered]:
    """Every part that a file of the model describes."""
    layers = model.numbered
    inner = [part for part in (getattr(layer, "activation", None) for layer in layers) if isinstance(part, Layer)]
    held = [part for layer in layers for part in layer.constraints().values()]
    native = [metric for metric in model.metrics.values() if isinstance(metric, Metric)]
    rate = getattr(model.optimizer, "learning_rate", None)
    in_python = isinstance(rate, Schedule) and rate.lower()[0] == "python"
    more = [*native, model.loss, model.optimizer, rate if in_python else None]
    return [*layers, *inner, *held, *(part for part in more if isinstance(part, Registered))]


def own_classes(parts: Iterable[Registered]) -> list[type[Registered]]:
    """The classes of parts that are not the package's. TypeError where one name means two."""
    meant: dict[tuple[str, str], type[Registered]] = {}
    for part in parts:
        made = type(part)
        if meant.setdefault((made.kind, made.names[0]), made) is not made:
            raise TypeError(f"the model has two kinds of part that go by the name {made.names[0]!r}: give one another")
    return [
        made
        for (_, name), made in meant.items()
        if made.registry.get(name) is not made or not made.__module__.startswith("fastnn.")
    ]


# --- a model to values ---


def describe_network(model: Model) -> dict[str, Any]:
    """The part of the description that a prediction needs."""
    model.need_listed()
    graph = {} if model._graph is None else {"graph": [list(reads) for reads in model._graph]}
    return {
        "layers": [layer.describe() for layer in model.layers],
        "n_inputs": None if model._plan is None else model._plan.n_in,
        "dtype": model.dtype.name,
        "seed": _checks.whole("seed", model.seed, 0, MOST_SEED),
        **graph,
    }


def describe(model: Model) -> tuple[dict[str, Any], Tensors]:
    """Names only, never the numbers of an enum, so that the registry may grow. Tensors are live views."""
    plan = model._plan
    labels = model.class_labels
    if labels is not None:
        model._need_outputs(labels)
    if not isinstance(model.accuracy, Accuracy) and model.accuracy not in ("auto", None):
        raise TypeError(f'accuracy: expected "auto", None or an Accuracy (set takes names), got {model.accuracy!r:.80}')
    _need_json(model.metadata)
    description: dict[str, Any] = {
        "kind": KIND,
        **describe_network(model),
        "loss": None if model.loss is None else model.loss.describe(),
        "optimizer": None if model.optimizer is None else model.optimizer.describe(),
        "accuracy": model.accuracy.describe() if isinstance(model.accuracy, Accuracy) else model.accuracy,
        "precision": model.precision,
        "steps_done": model.steps_done,
        "epochs_done": model.epochs_done,
        "class_labels": None if labels is None else list(labels),
        "metadata": model.metadata,
        "position": None if model.position is None else {k: v for k, v in model.position.items() if k != "arrays"},
        "states": 0 if plan is None else len(plan.states),
    }
    native = [metric.describe() for metric in model.metrics.values() if isinstance(metric, Metric)]
    if native:
        description["metrics"] = native
    tensors: Tensors = {}
    if plan is not None:
        for full, state, layer, name in _names(plan, len(plan.states)):
            tensors[full] = plan.view(plan.params if state is None else plan.states[state], layer, name)
        if plan.average is not None:
            for layer, name in _trained(plan):
                tensors[AVERAGE + parameter_name(layer, name)] = plan.view(plan.average, layer, name)
        if any(getattr(plan, name) for name in UPDATES):
            description["updates"] = {name: getattr(plan, name) for name in UPDATES}
        if plan.frozen or plan.missed:
            description["frozen"] = [
                [i, plan.missed.get(i, 0), plan.frozen.get(i)] for i in sorted(plan.frozen.keys() | plan.missed.keys())
            ]
    description["history"], columns = _history(model.history)
    description["callbacks"], arrays = _callbacks(model.callback_states)
    if model.position is not None:  # what metrics have counted of the epoch
        arrays |= {f"{POSITION}{name}": array for name, array in model.position.get("arrays", {}).items()}
    return description, {**tensors, **columns, **arrays}


def _need_json(metadata: Any) -> None:
    """TypeError for metadata that would not come back from a file."""
    if not isinstance(metadata, dict):
        raise TypeError(f"metadata: expected a dict, got {metadata!r:.80}")
    import json

    try:
        json.dumps(metadata)
    except (TypeError, ValueError, RecursionError) as error:
        raise TypeError(f"metadata: expected values that JSON can hold: {error!s:.200}") from None
    values: list[Any] = [metadata]
    for value in values:
        if isinstance(value, dict):
            other = next((key for key in value if not isinstance(key, str)), None)
            if other is not None:
                raise TypeError(f"metadata: expected texts as keys, got {other!r:.80}")
            values += value.values()
        elif isinstance(value, (list, tuple)):
            values += value


def _history(history: History) -> tuple[dict[str, Any], Tensors]:
    """Its columns as tensors: a training of a small net may have a million epochs."""
    tensors: Tensors = {}
    for name, (values, missing) in history.arrays().items():
        if not missing.all():
            tensors[f"history.{name}"] = values
            if missing.any():
                tensors[f"history_missing.{name}"] = missing
    return {"epochs": len(history), "columns": list(history)}, tensors


def _callbacks(states: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], Tensors]:
    """The states of callbacks with their arrays apart, under ``callback0.name``."""
    plain: list[dict[str, Any]] = []
    arrays: Tensors = {}
    for i, entry in enumerate(states):
        state = entry["state"]
        arrays |= {f"callback{i}.{key}": value for key, value in state.items() if isinstance(value, np.ndarray)}
        state = {k: v.item() if isinstance(v, np.generic) else v for k, v in state.items()}
        plain.append({**entry, "state": {k: v for k, v in state.items() if not isinstance(v, np.ndarray)}})
    return plain, arrays


def take_counters(model: Model, saved: Model) -> None:
    """All that a model remembers of its training but parameters and optimizer arenas. Loss and accuracy stay."""
    model.optimizer = saved.optimizer
    model.seed, model.precision, model.metadata = saved.seed, saved.precision, saved.metadata
    model.class_labels = saved.class_labels
    model.steps_done, model.epochs_done = saved.steps_done, saved.epochs_done
    model.history.take(saved.history)
    model.position, model.callback_states = saved.position, saved.callback_states


# --- values to a model ---


def rebuild(make: Callable[..., Any], contents: Contents, custom: Custom) -> Any:
    """The model of a file. make: a new one of layers, seed and dtype. FormatError where the file does not make one."""
    with within(""):
        return _rebuild(make, contents, custom)


def _rebuild(make: Callable[..., Any], contents: Contents, custom: Custom) -> Any:
    d = contents.description
    if d.get("kind") != KIND:
        hint = " (read it with load_weights)" if d.get("kind") == "weights" else ""
        raise FormatError(f"not the file of a model but of kind {d.get('kind', d.get('nnfs'))!r:.80}{hint}")
    if d.keys() - KEYS - OPTIONAL:
        more = f"{sorted(d.keys() - KEYS - OPTIONAL)!s:.200}"
        raise FormatError(f"the description has {more}, which this release does not know: written by a newer one?")
    if KEYS - d.keys():
        raise FormatError(f"the description lacks {', '.join(sorted(KEYS - d.keys()))}")
    parts = Parts(custom)
    layers = parts.layers(d["layers"])
    with within("seed"):
        seed = _checks.whole("seed", d["seed"], 0, MOST_SEED)
    if d["dtype"] not in ("float32", "float64"):
        raise FormatError(f"dtype: expected float32 or float64, got {d['dtype']!r:.80}")
    with within("layers"):
        model = make(() if "graph" in d else layers, seed=seed, dtype=d["dtype"])
    if "graph" in d:
        with within(""):
            model._wire(layers, _network.checked(layers, d["graph"]))
    model.loss = parts.optional("loss", Loss, d["loss"])
    model.optimizer = parts.optional("optimizer", Optimizer, d["optimizer"])
    with within("metrics"):
        metrics = a_list(d.get("metrics", []), 1000)
    metrics = [parts.part(f"metrics[{i}]", Metric, metric) for i, metric in enumerate(metrics)]
    with within(""):
        model.metrics, _ = metrics_by_name(metrics, COLUMNS)
    _take_plain(model, d)
    if d["n_inputs"] is not None:
        _fill(model, d, contents)
    with within("class_labels"):
        model.class_labels = None if d["class_labels"] is None else a_list(d["class_labels"], 2**31)
    with within("history"):
        model.history = _stored_history(a_dict(d["history"]), contents)
    model.callback_states = _stored_callbacks(d["callbacks"], contents)
    if model.position is not None:
        names = [name for name in contents.tensors if name.startswith(POSITION)]
        arrays = {name.removeprefix(POSITION): contents.read(name) for name in names}
        model.position |= {"arrays": arrays} if arrays else {}
    if contents.tensors:  # what is read is taken out
        raise FormatError(f"the tensor {min(contents.tensors)!r:.80} belongs to no part of the model")
    return model


def _take_plain(model: Any, d: dict[str, Any]) -> None:
    """Counters and settings that are values of JSON."""
    accuracy, precision, position = d["accuracy"], d["precision"], d["position"]
    if accuracy not in ("auto", None):
        accuracy = Parts({}).part("accuracy", Accuracy, accuracy)
    model.accuracy = accuracy
    if precision is not None and (isinstance(precision, bool) or not isinstance(precision, (int, float))):
        raise FormatError(f"precision: expected a number, got {precision!r:.80}")
    with within("precision"):
        model.precision = None if precision is None else float(precision)
    for name in ("steps_done", "epochs_done"):
        with within(name):
            setattr(model, name, _checks.whole(name, d[name], 0, MOST_COUNT))
    with within("metadata"):
        model.metadata = a_dict(d["metadata"])
    with within("position"):
        model.position = None if position is None else dict(a_dict(position))
        if model.position is not None and "arrays" in model.position:
            raise FormatError("arrays: expected them among the tensors")


def _fill(model: Any, d: dict[str, Any], contents: Contents) -> None:
    """Finalize, and read parameters and optimizer state into their arenas."""
    with within("states"):
        states = _checks.whole("states", d["states"], 0, MOST_STATES)

    def admit(tensors: dict[tuple[int, str], tuple[int, tuple[int, int]]], trained: int) -> None:
        """Hold the sizes that the layers ask for against the tensors that are there. trained: where, in the arenas,
        those end that the optimizer has state for."""
        moved = {key: place for key, place in tensors.items() if place[0] < trained}
        for prefix, held in (("", tensors), *((f"state{i}.", moved) for i in range(states if moved else 0))):
            for (layer, name), (_, shape) in held.items():
                full = prefix + parameter_name(layer, name)
                entry = contents.tensors.get(full)
                if entry is None:
                    raise FormatError(f"the tensor {full!r:.80} of shape {shape} is missing")
                if entry.shape != shape or entry.dtype != model.dtype:
                    raise FormatError(
                        f"the tensor {full!r:.80} is {entry.dtype} of shape {entry.shape}, the layers make it "
                        f"{model.dtype} of shape {shape}"
                    )

    with within("layers"):
        model._admit = admit
        try:
            model.finalize(_checks.whole("n_inputs", d["n_inputs"], 1, 2**31 - 1))
        finally:
            del model._admit
    plan = model.plan
    if plan.trained:
        plan.need_states(states)
    for full, state, layer, name in _names(plan, states):
        contents.read(full, plan.view(plan.params if state is None else plan.states[state], layer, name))
    if any(name.startswith(AVERAGE) for name in contents.tensors):
        for layer, name in _trained(plan):
            full, view = AVERAGE + parameter_name(layer, name), plan.view(plan.params, layer, name)
            entry = contents.tensors.get(full)
            if entry is None or entry.shape != view.shape or entry.dtype != view.dtype:
                raise FormatError(f"the tensor {full!r:.80} is missing, or of another shape than the parameters")
            contents.read(full, plan.view(plan.need_average(), layer, name))
    with within("updates"):
        updates = a_dict(d.get("updates", {}))
        if updates.keys() - set(UPDATES):
            raise FormatError(f"expected {', '.join(UPDATES)}, got {sorted(updates)!s:.200}")
        for name, value in updates.items():
            setattr(plan, name, _checks.whole(name, value, 0, 3 if name == "ended" else MOST_COUNT))
    with within("frozen"):
        for i, missed, since in a_list(d.get("frozen", []), len(model.numbered)):
            layer = _checks.whole("layer", i, 0, len(model.numbered) - 1)
            if layer in plan.missed:
                raise FormatError(f"layer {layer} is there twice")
            plan.missed[layer] = _checks.whole("steps missed", missed, 0, model.steps_done)
            if since is not None:
                plan.frozen[layer] = _checks.whole("step count", since, missed, model.steps_done)


def _stored_history(d: dict[str, Any], contents: Contents) -> History:
    if d.keys() != {"epochs", "columns"}:
        raise FormatError(f"expected epochs and columns, got {sorted(d)!s:.200}")
    epochs = _checks.whole("epochs", d["epochs"], 0, MOST_COUNT)
    names = a_list(d["columns"], 10_000)
    if not all(isinstance(name, str) for name in names) or len(set(names)) != len(names):
        raise FormatError("columns: expected texts, none of them twice")
    columns: dict[str, tuple[Any, Any]] = {}
    for name in names:
        columns[name] = (
            _column(f"history.{name}", "float64", epochs, contents),
            _column(f"history_missing.{name}", "bool", epochs, contents),
        )
    return History.of_arrays(columns, epochs)


def _column(full: str, dtype: str, epochs: int, contents: Contents) -> Any:
    """A tensor with a value for each epoch, None where there is none of that name."""
    entry = contents.tensors.get(full)
    if entry is None:
        return None
    if entry.shape != (epochs,) or entry.dtype != dtype:
        raise FormatError(f"{full!r:.80} is {entry.dtype} of shape {entry.shape}, not {dtype} of shape ({epochs},)")
    return contents.read(full)


def _stored_callbacks(plain: Any, contents: Contents) -> list[dict[str, Any]]:
    """The states of callbacks with their arrays."""
    with within("callbacks"):
        entries = a_list(plain, 10_000)
    states: list[dict[str, Any]] = []
    for i, entry in enumerate(entries):
        with within(f"callbacks[{i}]"):
            if a_dict(entry).keys() != {"name", "epochs_seen", "state"} or not isinstance(entry["name"], str):
                raise FormatError("expected name, epochs_seen and state")
            seen = _checks.whole("epochs_seen", entry["epochs_seen"], 0, MOST_COUNT)
            states.append({"name": entry["name"], "epochs_seen": seen, "state": dict(a_dict(entry["state"]))})
    place = {f"callback{i}": entry["state"] for i, entry in enumerate(states)}
    for full in list(contents.tensors):
        start, _, name = full.partition(".")
        if start in place:
            place[start][name] = contents.read(full)
    return states
