from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from fastnn import _checks
from fastnn.base import Layer
from fastnn.engine.spec import MOST_HELD, MergeSpec
from fastnn.layers._dense import Dense

if TYPE_CHECKING:
    from fastnn.engine.plan import Plan
    from fastnn.engine.spec import Spec


class Residual(Layer):
    """y = x + f(x), f being the layers that it holds: what they learn is the difference from doing nothing.

    ``Residual([Dense(64, activation="relu"), Dense(64)])``. f has to keep the width; where it does not, projection=True
    makes that y = x.W + b + f(x), with a ``Dense`` of f's width. A ``Dense`` given as projection is taken as it is.
    ``layers`` are f's, ``projection`` is the Dense or None. Residuals may be nested, up to 32 in one another. An
    activation after the sum is a layer of its own, after this one.
    Source: He et al., Deep residual learning for image recognition, 2015; the projection is their equation 2.
    """

    names = ("Residual",)
    holds = ("layers", "projection")

    def __init__(self, layers: Iterable[Layer], *, projection: bool | Layer = False) -> None:
        self.layers: list[Layer] = _checks.listed("layers", layers, "a list of layers")
        for i, layer in enumerate(self.layers):
            if not isinstance(layer, Layer):
                raise TypeError(f"layers[{i}]: expected a Layer, got {layer!r}")
            if layer.joins or layer.begins:
                raise TypeError(f"layers[{i}]: {type(layer).__name__} has no place in a row of layers")
        if not self.layers:
            raise ValueError("layers: expected at least one")
        self._depth: int = 1 + max(layer._depth if isinstance(layer, Residual) else 0 for layer in self.layers)
        if self._depth > MOST_HELD:
            raise ValueError(f"layers: at most {MOST_HELD} Residuals may hold one another, got {self._depth}")
        if not isinstance(projection, (bool, Dense)):
            raise TypeError(f"projection: expected True, False or a Dense, got {projection!r}")
        self.projection: Dense | None = None
        if projection is True:
            widths = {self._width_of(1), self._width_of(2)}
            if len(widths) > 1:
                raise ValueError("projection: the layers have the width of their input: none is needed")
            self.projection = Dense(widths.pop())
        elif isinstance(projection, Dense):
            self.projection = projection

    def _width_of(self, n_in: int) -> int:
        """Width of f's output."""
        for layer in self.layers:
            n_in = layer.width(n_in)
        return n_in

    def config(self) -> dict[str, Any]:
        projection = False if self.projection is None else self.projection.describe()
        return {"layers": [layer.describe() for layer in self.layers], "projection": projection}

    @classmethod
    def rebuild(cls, **config: Any) -> Residual:
        """layers, projection: layers, or their descriptions."""

        def made(part: Any) -> Any:
            return Layer.from_description(part) if isinstance(part, dict) else part

        return cls([made(layer) for layer in config.pop("layers")], projection=made(config.pop("projection")), **config)

    def width(self, n_in: int) -> int:
        return n_in if self.projection is None else self.projection.n_neurons

    def unfold(self, put: Callable[[Layer, tuple[int, ...]], int], sources: tuple[int, ...]) -> tuple[int, ...]:
        y = sources
        for layer in self.layers:
            y = (put(layer, y),)
        x = sources if self.projection is None else (put(self.projection, sources),)
        return x + y

    def combine(self, widths: Sequence[int], names: Sequence[str]) -> int:
        if widths[0] != widths[1]:
            what = "the input" if self.projection is None else "the projection"
            advice = ", or pass projection=True" if self.projection is None else ""
            raise ValueError(
                f"{what} has width {widths[0]} and its layers give {widths[1]}, and both are added: end them with "
                f"Dense({widths[0]}){advice}"
            )
        return widths[0]

    def lower_from(self, index: int, widths: Sequence[int]) -> list[Spec]:
        return [MergeSpec(index, "add", tuple(widths))]

    def bind(self, plan: Plan, index: int, n_in: int) -> None:
        self._plan, self.index, self.n_out = plan, index, n_in
        self.n_in = self.layers[0].n_in

    def held(self) -> list[Layer]:
        return self.layers if self.projection is None else [*self.layers, self.projection]

    @property
    def parameter_count(self) -> int:
        return sum(layer.parameter_count for layer in self.held())

    @property
    def flops(self) -> int:
        return sum(layer.flops for layer in self.held()) + (self.n_out or 0)

    def __copy__(self) -> Residual:
        """Layers of its own, with the same settings."""
        import copy

        new = type(self).__new__(type(self))
        new.__dict__ |= self.__getstate__()
        new.layers = [copy.copy(layer) for layer in self.layers]
        new.projection = copy.copy(self.projection)
        return new

    def __repr__(self) -> str:
        projection = "" if self.projection is None else f", projection={self.projection!r}"
        return f"Residual([{', '.join(repr(layer) for layer in self.layers)}]{projection})"
