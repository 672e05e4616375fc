"""Small records with named fields, as ``typing.NamedTuple`` makes them, but made without compiling source: a named
tuple costs an import 0.15 ms, and there are two dozen."""

from operator import itemgetter
from typing import Any, ClassVar, Self, dataclass_transform


@dataclass_transform(frozen_default=True, eq_default=True)
class Record(tuple[Any, ...]):
    """A tuple whose elements are the annotated fields, in order, those of the class it is derived from before its own;
    what has a value in the class may be left out."""

    _fields: ClassVar[tuple[str, ...]] = ()
    _defaults: ClassVar[dict[str, Any]] = {}

    def __init_subclass__(cls) -> None:
        own, inherited = tuple(cls.__annotations__), cls._fields
        cls._fields = inherited + own
        cls._defaults = cls._defaults | {name: cls.__dict__[name] for name in own if name in cls.__dict__}
        for i, name in enumerate(own, len(inherited)):
            setattr(cls, name, property(itemgetter(i)))

    def __new__(cls, *values: Any, **named: Any) -> Self:
        if named or len(values) != len(cls._fields):
            values += tuple(cls._value(name, named) for name in cls._fields[len(values) :])
            if named or len(values) != len(cls._fields):
                got = f"{len(values)} values and {', '.join(named) or 'no names'}"
                raise TypeError(f"{cls.__name__}: expected {', '.join(cls._fields)}; got {got}")
        return super().__new__(cls, values)

    @classmethod
    def _value(cls, name: str, named: dict[str, Any]) -> Any:
        if name not in named and name not in cls._defaults:
            raise TypeError(f"{cls.__name__}: {name} is missing")
        return named.pop(name) if name in named else cls._defaults[name]

    def _replace(self, **named: Any) -> Self:
        """The same with other values for some fields."""
        values = [named.pop(name, value) for name, value in zip(self._fields, self, strict=True)]
        return type(self)(*values, **named)

    def __getnewargs__(self) -> tuple[Any, ...]:
        return tuple(self)

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={value!r}" for name, value in zip(self._fields, self, strict=True))
        return f"{type(self).__name__}({fields})"
