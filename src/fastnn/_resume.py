"""Going on exactly where a training was broken: its place in the epoch, and a model brought to the state of a file."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from fastnn import _model_file

if TYPE_CHECKING:
    from fastnn._measures import Measures
    from fastnn.engine.loop import Trainer
    from fastnn.model import Model


def position(trainer: Trainer, order: dict[str, Any], measures: Measures | None = None) -> dict[str, Any] | None:
    """Where in its epoch a training is, as values that JSON can hold, and arrays; None between epochs. order: what has
    to be the same for the rest of the epoch to be the rest of that epoch."""
    at = trainer.position()
    if not at[1]:
        return None
    if "rows" not in order:  # of a stream the steps say it all
        at = (0, *at[1:])
    metrics = {} if measures is None else {"metrics": measures.names, "arrays": measures.tally.state()}
    return {**order, "at": list(at), **metrics}


def take_up_metrics(measures: Measures, at: dict[str, Any], rows: int) -> bool:
    """Whether the metrics could go on from a ``position``, with so many rows at hand."""
    counted = at.get("arrays", {}).get("rows")
    if at.get("metrics") != measures.names or counted is None or counted.tolist() != [at["at"][5]]:
        return False
    scores = at["arrays"].get("scores")
    try:
        measures.tally.need_room((0 if scores is None or not scores.ndim else len(scores)) + rows)
        measures.tally.load(at["arrays"])
    except ValueError:
        return False
    return True


def _without_training(description: Any) -> Any:
    """What a layer computes, without whether and how fast it is trained, which may change at any time."""
    if isinstance(description, list):
        return [_without_training(item) for item in description]
    if not isinstance(description, dict):
        return description
    return {key: _without_training(value) for key, value in description.items() if key != "training"}


class Saved:
    """The training that a file holds.

    Raises FormatError for a damaged file, ValueError for one of another network than ``model``'s.
    """

    def __init__(self, model: Model, path: str | os.PathLike[str]) -> None:
        self.model = saved = type(model).load(path, custom_objects=[type(part) for part in _model_file.parts(model)])
        mine, theirs = ([_without_training(layer.describe()) for layer in m.layers] for m in (model, saved))
        for what, here, there in (
            ("the number of layers", len(mine), len(theirs)),
            ("the graph", model._graph, saved._graph),
            *((f"layer {i}", a, b) for i, (a, b) in enumerate(zip(mine, theirs, strict=False))),
            ("dtype", model.dtype.name, saved.dtype.name),
            ("the width of the input", model.plan.n_in, saved.plan.n_in),
            ("loss", _description(model.loss), _description(saved.loss)),
            ("optimizer", _name(model.optimizer), _name(saved.optimizer)),
        ):
            if here != there:
                raise ValueError(f"resume: {os.fspath(path)} holds another model: {what}: expected {here}, got {there}")

    def place(self, order: dict[str, Any]) -> dict[str, Any] | None:
        """The place in an epoch that was broken off, None between epochs. ValueError where ``order`` is another."""
        at = self.model.position
        if at is None:
            return None
        for key in order:
            if at.get(key) != order[key]:
                raise ValueError(
                    f"resume: the file was saved within an epoch of {key}={at.get(key)}, here it is {key}={order[key]}"
                )
        _check_place(at.get("at"), order.get("rows", 0))
        return at

    def take_up(self, model: Model, order: dict[str, Any]) -> dict[str, Any] | None:
        """Bring the model to the saved state; returns the place in an epoch that was broken off. ValueError, and
        nothing changed, where ``order`` is not that of the epoch."""
        saved, at = self.model, self.place(order)
        model.plan.params[...] = saved.plan.params
        model.plan.need_training_arenas(len(saved.plan.states))
        for mine, theirs in zip(model.plan.states, saved.plan.states, strict=False):
            mine[...] = theirs
        for surplus in model.plan.states[len(saved.plan.states) :]:  # of a file that was never trained
            surplus[...] = 0
        if saved.plan.average is not None:
            model.plan.need_average()[...] = saved.plan.average
        for name in (*_model_file.UPDATES, "missed", "frozen"):
            setattr(model.plan, name, getattr(saved.plan, name))
        _model_file.take_counters(model, saved)
        return at


def _check_place(at: Any, rows: int) -> None:
    """A file may say anything, and the native loop believes what it is told."""
    whole = isinstance(at, list) and len(at) == 7 and all(_count(at[i]) for i in (0, 1, 4, 5, 6))
    if not whole or at[0] > rows or not all(isinstance(at[i], float) or _count(at[i]) for i in (2, 3)):
        raise ValueError(f"resume: the file's place within an epoch makes no sense: {at!r:.100}")


def _count(value: Any) -> bool:
    return type(value) is int and 0 <= value < 2**62


def saved(model: Model, path: str | os.PathLike[str] | None) -> Saved | None:
    """The training to go on from, None where there is no such file yet."""
    if path is not None and not isinstance(path, (str, os.PathLike)):
        raise TypeError(f"resume: expected the path of a file, got {path!r:.80}")
    return None if path is None or not os.path.exists(path) else Saved(model, path)


def _description(part: Any) -> dict[str, Any] | None:
    return None if part is None else dict(part.describe())


def _name(part: Any) -> str | None:
    return None if part is None else str(part.names[0])
