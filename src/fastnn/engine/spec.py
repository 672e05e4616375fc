"""What a plan is made from: one small record an operation, in the order they run.

Layers lower themselves to these; ``fuse`` is the one visible place where neighbours are merged.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple, TypeAlias

# Streams of the counter-based generator: one number for each purpose, so that no two uses share random bits.
STREAM_SHUFFLE = 0
STREAM_WEIGHTS = 1024  # + index of the layer
STREAM_DROPOUT = 8192  # + index of the layer
MOST_LAYERS = 4096


class DenseSpec(NamedTuple):
    """y = f(x.w + b); f, with its parameter alpha, is merged in by ``fuse``. Penalties are (l1, l2)."""

    layer: int
    n_in: int
    n_out: int
    activation: str = "linear"
    alpha: float = 0.0
    weight_penalty: tuple[float, float] = (0.0, 0.0)
    bias_penalty: tuple[float, float] = (0.0, 0.0)


class ActivationSpec(NamedTuple):
    """y = f(x); alpha is f's parameter, 0 where it has none."""

    layer: int
    n_in: int
    activation: str
    alpha: float = 0.0

    @property
    def n_out(self) -> int:
        return self.n_in


class DropoutSpec(NamedTuple):
    """y = x * mask while training, x otherwise; rate is the share dropped."""

    layer: int
    n_in: int
    rate: float

    @property
    def n_out(self) -> int:
        return self.n_in


class AffineSpec(NamedTuple):
    """y = x * scale + shift."""

    layer: int
    n_in: int
    scale: float
    shift: float

    @property
    def n_out(self) -> int:
        return self.n_in


class PythonSpec(NamedTuple):
    """y = part.forward(x), in Python; tensors: names and shapes of its parameters."""

    layer: int
    n_in: int
    n_out: int
    part: Any
    tensors: tuple[tuple[str, tuple[int, int]], ...] = ()


Spec: TypeAlias = DenseSpec | ActivationSpec | DropoutSpec | AffineSpec | PythonSpec


class ConstraintSpec(NamedTuple):
    """What a tensor is held to after each step: kind of "columns", "rows" (norms in [low, high]), "not_negative", or
    "python", by ``part``."""

    layer: int
    name: str
    kind: str
    low: float = 0.0
    high: float = 0.0
    part: Any = None


class Update(NamedTuple):
    """What goes with an optimizer's step. clip_...: bounds of the gradient's elements, of the norm of each tensor's, of
    the norm of all; 0 where there is none. rates: what multiplies the learning rate of a layer, where that is not 1; 0
    for a frozen one. average: the momentum of the parameters' running average, None without; overwrite_every: steps
    after which it takes their place, 0 for never."""

    clip_value: float = 0.0
    clip_tensor_norm: float = 0.0
    clip_norm: float = 0.0
    rates: Mapping[int, float] = MappingProxyType({})
    constraints: tuple[ConstraintSpec, ...] = ()
    average: float | None = None
    overwrite_every: int = 0


def fuse(specs: list[Spec]) -> list[Spec]:
    """Merge each activation into the dense operation before it: it then runs on each strip of rows while that is in
    cache. Bits do not change: the same lane function runs on the same values."""
    fused: list[Spec] = []
    for spec in specs:
        last = fused[-1] if fused else None
        if isinstance(spec, ActivationSpec) and isinstance(last, DenseSpec) and last.activation == "linear":
            fused[-1] = last._replace(activation=spec.activation, alpha=spec.alpha)
        else:
            fused.append(spec)
    return fused
