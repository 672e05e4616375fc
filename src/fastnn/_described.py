"""Parts of a model from their descriptions, which may come from anywhere: each is checked before it is believed, and
errors say which it was."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, TypeAlias

from fastnn import _checks
from fastnn._safetensors import FormatError
from fastnn.base import Layer, Registered
from fastnn.constraints import Constraint
from fastnn.engine.spec import MOST_HELD, MOST_LAYERS
from fastnn.schedules import Schedule

Custom: TypeAlias = "dict[str, list[type[Any]]]"  # classes of parts by name; of different families where several


@contextlib.contextmanager
def within(where: str) -> Iterator[None]:
    """Whatever a description raises comes out as a FormatError that says where it stands."""
    where = where and f"{where}: "
    try:
        yield
    except (OSError, MemoryError):
        raise
    except FormatError as error:
        raise FormatError(f"{where}{error}") from error.__cause__
    except Exception as error:
        kind = "" if isinstance(error, (ValueError, TypeError)) else f"{type(error).__name__}: "
        raise FormatError(f"{where}{kind}{error!s:.300}") from error


def a_dict(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise FormatError(f"expected a dict, got {_shown(value)}")
    return value


def a_list(value: Any, most: int) -> list[Any]:
    if not isinstance(value, list) or len(value) > most:
        got = f"{len(value)}" if isinstance(value, list) else _shown(value)
        raise FormatError(f"expected a list of at most {most}, got {got}")
    return value


def _shown(value: Any) -> str:
    """The start of a value: all of a long or deep one is not written out for it."""
    return f"a {type(value).__name__} of {len(value)}" if isinstance(value, (dict, list)) else f"{value!r:.80}"


def by_name(custom_objects: Any) -> Custom:
    """The classes by their names of what ``Model.load(custom_objects=)`` was given: classes, or a dict of them, whose
    keys are names too, such as a class had when the file was written."""
    classes = custom_objects.values() if isinstance(custom_objects, dict) else custom_objects or ()
    keys = [*custom_objects] if isinstance(custom_objects, dict) else []
    found: Custom = {}
    for i, part in enumerate(_checks.listed("custom_objects", classes, "a list of classes, or a dict of them")):
        if not isinstance(part, type) or not issubclass(part, Registered):
            raise TypeError(f"custom_objects: expected classes of parts, got {part!r}")
        for name in dict.fromkeys((part.names[0], *keys[i : i + 1])):
            found.setdefault(name, []).append(part)
    return found


class Parts:
    """Makes parts by their names: those written in Python, of ``custom``, and the known ones of their families. As many
    layers as a model may have, counting those that layers hold."""

    def __init__(self, custom: Custom) -> None:
        self.custom = custom
        self._layers = 0

    def layers(self, descriptions: Any, where: str = "layers", depth: int = 0) -> list[Layer]:
        with within(where):
            listed = a_list(descriptions, MOST_LAYERS)
            self._count(len(listed))
        return [self.part(f"{where}[{i}]", Layer, layer, depth) for i, layer in enumerate(listed)]

    def _count(self, more: int) -> None:
        self._layers += more
        if self._layers > MOST_LAYERS:
            raise FormatError(f"a model has at most {MOST_LAYERS} layers, those that layers hold among them")

    def optional(self, where: str, family: Any, description: Any) -> Any:
        return None if description is None else self.part(where, family, description)

    def part(self, where: str, family: Any, description: Any, depth: int = 0) -> Any:
        with within(where):
            arguments = dict(a_dict(description))
            name = arguments.pop("name", None)
            if not isinstance(name, str) or len(name) > 1000:
                raise FormatError(f"expected a name, got {_shown(name)}")
            settings = arguments.pop("training", None) if family is Layer else None
            for key in ("weight_constraint", "bias_constraint"):
                if family is Layer and isinstance(arguments.get(key), dict):
                    arguments[key] = self.part(key, Constraint, arguments[key])
            if family.kind == "optimizer" and isinstance(arguments.get("learning_rate"), dict):
                arguments["learning_rate"] = self.part("learning_rate", Schedule, arguments["learning_rate"])
            own = next((made for made in self.custom.get(name, ()) if issubclass(made, family)), None)
            for key in getattr(own or family.registry.get(name), "holds", ()):
                if key in arguments:
                    arguments[key] = self._held(key, arguments[key], depth + 1)
            try:
                made = None if own is None else own.rebuild(**arguments)
                if made is None:
                    made = family.from_description({"name": name, **arguments})
                if settings is not None:
                    self._train(made, a_dict(settings))
                return made
            except ValueError as error:
                if "unknown name" in str(error):
                    hint = "a part written in Python is to be given in custom_objects"
                    raise FormatError(f"{error!s:.200}; {hint}") from None
                raise

    @staticmethod
    def _train(layer: Layer, settings: dict[str, Any]) -> None:
        """Whether and how fast it is trained; what it holds says so for itself."""
        if settings.keys() - {"trainable", "learning_rate_multiplier"}:
            raise FormatError(f"training: expected trainable and learning_rate_multiplier, got {_shown(settings)}")
        layer.train_as(**settings)

    def _held(self, key: str, inner: Any, depth: int) -> Any:
        """What a layer holds. What is no description of a layer is left to its constructor."""
        if depth > MOST_HELD:
            raise FormatError(f"at most {MOST_HELD} layers may hold one another")
        if isinstance(inner, list):
            return self.layers(inner, key, depth)
        if not isinstance(inner, dict):
            return inner
        name = inner.get("name")
        if key == "activation" and not (isinstance(name, str) and name in self.custom):
            return inner  # of the package, and no layer of the model's
        self._count(1)
        return self.part(key, Layer, inner, depth)
