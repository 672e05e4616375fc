"""The optimizer of the command line: ``--optimizer``, ``--schedule`` and the bounds of the gradient."""

from __future__ import annotations

import inspect
from argparse import Namespace
from typing import Any

from fastnn._optimizer import AVERAGING, BOUNDS
from fastnn.optimizers import Optimizer
from fastnn.schedules import Schedule

_NONE = inspect.Parameter.empty
SHORT = {"cosine": "cosine_decay", "step": "step_decay", "exponential": "exponential_decay"}


def _value(text: str) -> Any:
    """A number, true, false, none, or the word itself."""
    words = {"true": True, "false": False, "none": None}
    if text.lower() in words:
        return words[text.lower()]
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            pass
    return text


def _parse(option: str, text: str) -> tuple[str, dict[str, Any]]:
    """``name:key=value,key=value`` as (name, {key: value})."""
    name, _, rest = text.partition(":")
    name = name.strip().lower()
    arguments: dict[str, Any] = {}
    for word in rest.split(",") if rest else ():
        key, equals, value = (part.strip() for part in word.partition("="))
        if not (key and equals and value):
            raise ValueError(f"{option} {text}: expected NAME:KEY=VALUE,KEY=VALUE, got {word!r}")
        arguments[key.replace("-", "_")] = _value(value)
    return name, arguments


def _make(option: str, text: str, kind: Any, arguments: dict[str, Any], more: tuple[str, ...] = ()) -> Any:
    known = [*inspect.signature(kind).parameters][: None if not more else -1] + list(more)
    wrong = next((key for key in arguments if key not in known), None)
    if wrong is not None:
        raise ValueError(f"{option} {text}: there is no {wrong}; known: {', '.join(known)}")
    needed = [key for key, p in inspect.signature(kind).parameters.items() if p.default is _NONE and key in known]
    lacking = next((key for key in needed if key not in arguments), None)
    if lacking is not None:
        raise ValueError(f"{option} {text}: expected {lacking} too, as in NAME:{lacking}=VALUE")
    try:
        return kind(**arguments)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{option} {text}: {error}") from None


def _kind(option: str, text: str, family: Any, name: str) -> Any:
    """The class of a family by its name."""
    found = family.registry.get(name.lower())
    if found is None:
        known = ", ".join(sorted({c.names[0] for c in family.registry.values()}))
        raise ValueError(f"{option} {text}: unknown name {name!r}; known: {known}")
    return found


def schedule(text: str, rate: float, steps: int) -> Schedule:
    """A schedule by its words; where they do not say, it starts at the learning rate and lasts the whole training."""
    name, arguments = _parse("--schedule", text)
    kind = _kind("--schedule", text, Schedule, SHORT.get(name, name))
    known = inspect.signature(kind).parameters
    usual = {"initial_learning_rate": rate, "max_learning_rate": rate, "total_steps": steps}
    if "learning_rate" in known:  # a warm-up, which ends there
        usual = {"learning_rate": rate}
    if "decay_steps" in known and known["decay_steps"].default is _NONE:
        warmup = arguments.get("warmup_steps", 0)
        if type(warmup) is not int:
            raise ValueError(f"--schedule {text}: warmup_steps: expected a whole number, got {warmup!r}")
        usual["decay_steps"] = max(steps - warmup, 1)
        if arguments.get("warmup_target") is None and arguments.get("warmup_steps"):
            usual |= {"warmup_target": rate, "initial_learning_rate": 0.0}
    made: Schedule = _make("--schedule", text, kind, {k: v for k, v in usual.items() if k in known} | arguments)
    return made


def optimizer(args: Namespace, steps: int) -> Optimizer:
    """The optimizer by its words; the recipe's learning rate suits Adam, the others have their own. steps: of the whole
    training."""
    name, arguments = _parse("--optimizer", args.optimizer)
    kind = _kind("--optimizer", args.optimizer, Optimizer, name)
    options = (*AVERAGING,) if name == "lbfgs" else (*BOUNDS, *AVERAGING)
    given = {
        "learning_rate": args.learning_rate,
        "decay": args.decay,
        "clip_value": args.clip_value,
        "clip_norm": args.clip_norm,
    }
    for key, value in given.items():
        if value is not None and key in arguments and arguments[key] != value:
            raise ValueError(f"--{key.replace('_', '-')}: --optimizer {args.optimizer} says it already")
        if value is not None:
            arguments[key] = value
    usual = {"learning_rate": args.recipe.learning_rate, "decay": args.recipe.decay} if name == "adam" else {}
    if args.schedule is not None:
        if arguments.get("decay"):
            raise ValueError("--decay: expected none with --schedule")
        default = inspect.signature(kind).parameters["learning_rate"].default
        rate = arguments.get("learning_rate", usual.get("learning_rate", default))
        usual, arguments["learning_rate"] = {}, schedule(args.schedule, rate, steps)
    made: Optimizer = _make("--optimizer", args.optimizer, kind, usual | arguments, options)
    return made
