"""What every part of a network is made from: the registry of names and the ``Layer`` base class."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from fastnn import _checks

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fastnn.constraints import Constraint
    from fastnn.engine.plan import Plan
    from fastnn.engine.spec import Spec


class Registered:
    """A kind of part (loss, optimizer, ...) whose classes are found by name.

    A direct subclass opens a family; each class below it that has ``names`` enters that family's registry by them, the
    first being the canonical one. Unknown names raise ValueError with the nearest known ones.
    """

    kind: ClassVar[str] = ""
    names: ClassVar[tuple[str, ...]] = ()
    registry: ClassVar[dict[str, type[Any]]] = {}

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "kind" in cls.__dict__:
            cls.registry = {}
        for name in cls.__dict__.get("names", ()):
            if name in cls.registry:
                raise TypeError(f"{cls.kind} {name!r} is registered twice")
            cls.registry[name] = cls

    @classmethod
    def resolve(cls, what: Any) -> Self:
        """The object for a name, a class or an object of this family."""
        if isinstance(what, cls):
            return what
        if isinstance(what, type) and issubclass(what, cls):
            return what()
        if not isinstance(what, str):
            raise TypeError(f"{cls.kind}: expected a name or a {cls.__name__}, got {type(what).__name__}")
        found = cls.registry.get(what.lower())
        if found is None:
            known = sorted({c.names[0] for c in cls.registry.values()})
            import difflib  # only for the hint: it would lengthen every import of the package

            near = difflib.get_close_matches(what[:100].lower(), cls.registry, n=1)
            hint = f" (did you mean {near[0]!r}?)" if near else ""
            raise ValueError(f"{cls.kind}: unknown name {what!r:.100}{hint}; known: {', '.join(known)}")
        return found()

    def config(self) -> dict[str, Any]:
        """The constructor's keyword arguments, as values that JSON can hold."""
        return {}

    def describe(self) -> dict[str, Any]:
        """Name and config: what a file stores, and ``from_description`` reads back."""
        return {"name": self.names[0], **self.config()}

    @classmethod
    def from_description(cls, description: dict[str, Any]) -> Self:
        arguments = dict(description)
        name = arguments.pop("name", None)
        found = cls.registry.get(name) if isinstance(name, str) else None
        if found is None:
            raise ValueError(f"{cls.kind}: unknown name {name!r:.100}")
        return found.rebuild(**arguments)

    @classmethod
    def rebuild(cls, **config: Any) -> Self:
        """The object again, from what ``config`` gave."""
        return cls(**config)

    def _shown(self) -> dict[str, Any]:
        """What ``repr`` tells, where it is not the default."""
        return self.config()

    def _leading(self) -> Sequence[Any]:
        """What ``repr`` gives without names, before that."""
        return ()

    def __repr__(self) -> str:
        import inspect  # only here: it would lengthen every import of the package

        defaults = {name: p.default for name, p in inspect.signature(type(self)).parameters.items()}
        shown = [f"{key}={value!r}" for key, value in self._shown().items() if value != defaults.get(key)]
        return f"{type(self).__name__}({', '.join([*map(repr, self._leading()), *shown])})"


class Node:
    """A value in a graph: what a layer makes of others. Calling a layer gives one; ``Model(outputs=)`` takes it."""

    _made = itertools.count()

    def __init__(self, layer: Layer, sources: tuple[Node, ...]) -> None:
        self.layer, self.sources = layer, sources
        self.order = next(Node._made)  # layers run, and are numbered, in the order they were called

    @staticmethod
    def of(what: str, value: Any) -> Node:
        """A node, or the one of an ``Input``."""
        if isinstance(value, Layer) and value.begins:
            value._node = value._node or Node(value, ())
            return value._node
        if isinstance(value, Node):
            return value
        hint = ""
        if isinstance(value, Layer):
            hint = f": call it first, as in {type(value).__name__}(...)(node)"
        elif hasattr(value, "shape"):
            hint = ": arrays go to the predict of a model"
        raise TypeError(f"{what}: expected an Input or what calling a layer gave, got {type(value).__name__}{hint}")

    def __repr__(self) -> str:
        return f"<output of {self.layer!r}>"


class Layer(Registered):
    """One layer of a model. It describes itself; the plan made at ``Model.finalize`` does the work.

    After finalize: ``index`` (its number in the model), ``n_in`` and ``n_out`` (widths of its input and output rows).
    Calling a layer on a node of a graph, or on an ``Input``, gives the node of its output (``fastnn.Model``).

    ``trainable = False`` freezes it: training leaves its parameters as they are, to the bit, and works out no gradient
    for them; its penalties, constants then, do not count. ``learning_rate_multiplier`` multiplies the optimizer's
    learning rate for its parameters (0 freezes too). Both may be set at any time and hold from the next ``train`` on.
    """

    kind = "layer"
    index: int | None = None
    n_in: int | None = None
    n_out: int | None = None
    begins = False  # whether it is where rows come in
    joins = False  # whether it reads several values
    holds: ClassVar[tuple[str, ...]] = ()  # the entries of ``config`` that describe layers, by themselves or in lists
    fixed: ClassVar[frozenset[str]] = frozenset()  # attributes that are worked into the plan when it is made
    _plan: Plan | None = None
    _node: Node | None = None
    _trainable: bool = True
    _learning_rate_multiplier: float = 1.0

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        code = getattr(cls.__init__, "__code__", None)  # of a class without a constructor there is none
        given = code.co_varnames[1 : code.co_argcount + code.co_kwonlyargcount] if code else ()
        cls.fixed = frozenset(  # not initializers, whose work is done
            name
            for name in given
            if not name.endswith("_initializer") and not hasattr(getattr(cls, name, None), "__set__")
        )

    def __setattr__(self, name: str, value: Any) -> None:
        if self._plan is not None and name in self.fixed:
            raise AttributeError(
                f"{self.label()}: {name} cannot be changed once the model is finalized: make a new model, and take the "
                f"weights over by set_parameters"
            )
        object.__setattr__(self, name, value)

    @property
    def trainable(self) -> bool:
        return self._trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        self.train_as(trainable=value)
        for layer in self.held():
            layer.trainable = self._trainable

    @property
    def learning_rate_multiplier(self) -> float:
        return self._learning_rate_multiplier

    @learning_rate_multiplier.setter
    def learning_rate_multiplier(self, value: float) -> None:
        self.train_as(learning_rate_multiplier=value)
        for layer in self.held():
            layer.learning_rate_multiplier = self._learning_rate_multiplier

    def train_as(self, *, trainable: Any = ..., learning_rate_multiplier: Any = ...) -> None:
        """Take these settings; the layers that it holds keep theirs."""
        if trainable is not ... and not isinstance(trainable, (bool, np.bool_)):
            raise TypeError(f"trainable: expected True or False, got {trainable!r}")
        if learning_rate_multiplier is not ...:
            rate = _checks.number("learning_rate_multiplier", learning_rate_multiplier, 0.0)
            self._learning_rate_multiplier = rate
        if trainable is not ...:
            self._trainable = bool(trainable)

    def held(self) -> Sequence[Layer]:
        """The layers that it holds, which train as it does when that is set."""
        return ()

    @property
    def training_rate(self) -> float:
        """What multiplies the learning rate of its parameters: 0 where it is frozen."""
        return self._learning_rate_multiplier if self._trainable else 0.0

    def settings(self) -> dict[str, Any]:
        """``trainable`` and ``learning_rate_multiplier`` where they are not as usual."""
        usual = {"trainable": True, "learning_rate_multiplier": 1.0}
        return {name: getattr(self, name) for name, value in usual.items() if getattr(self, name) != value}

    def describe(self) -> dict[str, Any]:
        settings = self.settings()
        return {**super().describe(), **({"training": settings} if settings else {})}

    def _shown(self) -> dict[str, Any]:
        return {**super()._shown(), **self.settings()}

    def constraints(self) -> dict[str, Constraint]:
        """What its tensors are held to, by their names."""
        return {}

    def __call__(self, source: Any) -> Node:
        """The layer's output as a node. source: a node or an ``Input``; of layers that join values, a list of them.

        TypeError for anything else; ValueError for a layer that is in use already.
        """
        name = type(self).__name__
        if self.begins:
            raise TypeError(f"{name}: a graph begins with it: call layers on it, not it on something")
        if isinstance(source, (list, tuple)) != self.joins:
            wanted = "a list of nodes, as in Add()([a, b])" if self.joins else "one node"
            join = "" if self.joins else ": join several by Add() or Concatenate() first"
            raise TypeError(f"{name}: expected {wanted}, got {type(source).__name__}{join}")
        if self._node is not None or self.index is not None:
            raise ValueError(
                f"{self.label()}: a layer is called once: make a second one (sharing its weights is not supported)"
            )
        self._node = Node(self, tuple(Node.of(name, value) for value in (source if self.joins else (source,))))
        return self._node

    def width(self, n_in: int) -> int:
        """Width of the output rows for input rows of width ``n_in``; ValueError where the layer cannot take them."""
        return n_in

    def wanted_input(self) -> int | None:
        """The input width the layer was built for, None where it takes what comes."""
        return None

    def draws_by(self, seed: int) -> None:
        """Before ``lower``: the seed of the model, for layers that draw already there."""

    def lower(self, index: int, n_in: int) -> list[Spec]:
        """The operations of the layer, in order."""
        raise NotImplementedError

    def unfold(self, put: Callable[[Layer, tuple[int, ...]], int], sources: tuple[int, ...]) -> tuple[int, ...]:
        """For a layer that holds layers: put them into the network and say what it reads itself. put: of a layer and
        its sources, gives the place of its output; sources: the places of what this layer reads."""
        return sources

    def combine(self, widths: Sequence[int], names: Sequence[str]) -> int:
        """Width of what the layer works on, from the widths of what it reads. names: for messages."""
        return widths[0]

    def lower_from(self, index: int, widths: Sequence[int]) -> list[Spec]:
        """The operations of the layer, by the widths of what it reads: the first of them reads all of that."""
        return self.lower(index, widths[0])

    def initialize(self, seed: int) -> None:
        """Draw the initial parameters into the plan's arena. Layers without parameters do nothing."""

    def bind(self, plan: Plan, index: int, n_in: int) -> None:
        self._plan, self.index, self.n_in, self.n_out = plan, index, n_in, self.width(n_in)

    def unbind(self) -> None:
        self._plan = self.index = self.n_in = self.n_out = None

    def __getstate__(self) -> dict[str, Any]:
        """For copy and pickle of a layer alone: a new one of the same description, which belongs to no model yet."""
        return {k: v for k, v in vars(self).items() if k not in ("_plan", "_node", "index", "n_in", "n_out")}

    @property
    def parameter_count(self) -> int:
        """Number of trainable parameters (0 before finalize)."""
        return 0

    @property
    def kept_count(self) -> int:
        """Number of parameters that are kept without being trained, such as moving averages (0 before finalize)."""
        return 0

    @property
    def flops(self) -> int:
        """Floating-point operations for a row's prediction (0 before finalize): a multiplication and an addition are
        two, an activation is one for each output."""
        return 0

    def label(self) -> str:
        """How messages name the layer: ``layer 2 (Dense)``."""
        place = "layer" if self.index is None else f"layer {self.index}"
        return f"{place} ({type(self).__name__})"
