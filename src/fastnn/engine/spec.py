"""What a plan is made from: one small record an operation, in the order they run, and what each reads.

Layers lower themselves to these; ``fuse`` is the one visible place where neighbours are merged. A record says what is
computed, the wiring beside it where the operands come from: ``sources[i]`` are the indices of the operations whose
outputs operation i reads, always earlier ones, or INPUT for the rows that come in. In a plain chain that is the one
before. Whoever walks a plan reads both, side by side:

    for spec, sources in zip(plan.specs, plan.sources): ...

The output is that of the last operation. ``without`` takes operations out and wires past them, dropout for inference.
"""

from collections import Counter
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, TypeAlias

from fastnn.engine.record import Record

Tensors: TypeAlias = tuple[tuple[str, tuple[int, int]], ...]  # names and shapes

# Streams of the counter-based generator: one number for each purpose, so that no two uses share random bits.
STREAM_SHUFFLE = 0
STREAM_WEIGHTS = 1024  # + index of the layer
STREAM_DROPOUT = 8192  # + index of the layer: masks and noise
MOST_LAYERS = 4096
MOST_SOURCES = 16384  # values that all layers of a model read together
MOST_HELD = 32  # layers that hold one another


class SameWidth(Record):
    """What gives as many columns as it reads."""

    layer: int
    n_in: int

    @property
    def n_out(self) -> int:
        return self.n_in


class DenseSpec(Record):
    """y = f(x.w + b); f, with its parameter alpha, is merged in by ``fuse``. Penalties are (l1, l2)."""

    layer: int
    n_in: int
    n_out: int
    activation: str = "linear"
    alpha: float = 0.0
    weight_penalty: tuple[float, float] = (0.0, 0.0)
    bias_penalty: tuple[float, float] = (0.0, 0.0)

    @property
    def tensors(self) -> Tensors:
        return (("weights", (self.n_in, self.n_out)), ("biases", (1, self.n_out)))


class ActivationSpec(SameWidth):
    """y = f(x); alpha is f's parameter, 0 where it has none."""

    activation: str
    alpha: float = 0.0


class DropoutSpec(SameWidth):
    """y = x * mask while training, x otherwise; rate is the share dropped."""

    rate: float


class AffineSpec(SameWidth):
    """y = x * scale + shift."""

    scale: float
    shift: float


class AlphaDropoutSpec(SameWidth):
    """y = x * mask + shift while training, x otherwise; rate is the share dropped."""

    rate: float


class GaussianSpec(SameWidth):
    """While training y = x + stddev * normal or, where it multiplies, x * (1 + stddev * normal); x otherwise."""

    stddev: float
    multiplies: bool


class BatchNormSpec(SameWidth):
    """y = (x - mean) / sqrt(variance + epsilon) * gamma + beta by columns: by the batch's moments while training, by
    their moving averages otherwise."""

    momentum: float
    epsilon: float
    center: bool
    scale: bool

    @property
    def tensors(self) -> Tensors:
        return _gamma_beta(self.n_in, self.center, self.scale)

    @property
    def kept(self) -> Tensors:
        return (("moving_mean", (1, self.n_in)), ("moving_variance", (1, self.n_in)))


class LayerNormSpec(SameWidth):
    """The same by rows, always by the moments of the row itself."""

    epsilon: float
    center: bool
    scale: bool

    @property
    def tensors(self) -> Tensors:
        return _gamma_beta(self.n_in, self.center, self.scale)


class NormalizationSpec(SameWidth):
    """y = (x - mean) / sqrt(variance) by columns, by moments of the data."""

    @property
    def kept(self) -> Tensors:
        return (("mean", (1, self.n_in)), ("variance", (1, self.n_in)))


class PythonSpec(Record):
    """y = part.forward(x), in Python; tensors: names and shapes of its parameters."""

    layer: int
    n_in: int
    n_out: int
    part: Any
    tensors: Tensors = ()


class MergeSpec(Record):
    """y = the sources joined: "add" and "multiply" elementwise, of equal widths, "concatenate" column by column."""

    layer: int
    kind: str
    widths: tuple[int, ...]

    @property
    def n_out(self) -> int:
        return sum(self.widths) if self.kind == "concatenate" else self.widths[0]

    @property
    def n_in(self) -> int:
        return self.n_out


class ConstraintSpec(Record):
    """What a tensor is held to after each step: kind of "columns", "rows" (norms in [low, high]), "not_negative", or
    "python", by ``part``."""

    layer: int
    name: str
    kind: str
    low: float = 0.0
    high: float = 0.0
    part: Any = None


class Update(Record):
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


class ColumnsSpec(Record):
    """y = x[:, start : start + n_out], of the rows that come in: one of several inputs."""

    layer: int
    n_in: int
    start: int
    n_out: int


Spec: TypeAlias = (
    DenseSpec
    | ActivationSpec
    | DropoutSpec
    | AlphaDropoutSpec
    | GaussianSpec
    | AffineSpec
    | BatchNormSpec
    | LayerNormSpec
    | NormalizationSpec
    | PythonSpec
    | MergeSpec
    | ColumnsSpec
)
Sources: TypeAlias = list[tuple[int, ...]]
INPUT = -1

TRAINING_ONLY = (DropoutSpec, AlphaDropoutSpec, GaussianSpec)  # predictions go without
WHOLE_BATCH = (BatchNormSpec, PythonSpec)  # see the batch as a whole while training


def _gamma_beta(width: int, center: bool, scale: bool) -> Tensors:
    return (("gamma", (1, width)),) * scale + (("beta", (1, width)),) * center


def trained_tensors(spec: Spec) -> Tensors:
    """What gradients move."""
    tensors: Tensors = getattr(spec, "tensors", ())
    return tensors


def kept_tensors(spec: Spec) -> Tensors:
    """What belongs to the model's parameters without being trained."""
    kept: Tensors = getattr(spec, "kept", ())
    return kept


def in_a_row(count: int) -> Sources:
    """The wiring of a chain: each reads the one before."""
    return [(i - 1,) for i in range(count)]


def source_widths(spec: Spec) -> tuple[int, ...]:
    """The width of each source."""
    return spec.widths if isinstance(spec, MergeSpec) else (spec.n_in,)


def fuse(specs: list[Spec], sources: Sources) -> tuple[list[Spec], Sources]:
    """Merge each activation into the dense operation that it alone reads: it then runs on each strip of rows while that
    is in cache. Bits do not change: the same lane function runs on the same values."""
    read = Counter(j for js in sources for j in js)
    fused: list[Spec] = []
    wired: Sources = []
    place = {INPUT: INPUT}
    for i, (spec, js) in enumerate(zip(specs, sources, strict=True)):
        before = place[js[0]]
        last = fused[before] if before != INPUT and read[js[0]] == 1 else None
        if isinstance(spec, ActivationSpec) and isinstance(last, DenseSpec) and last.activation == "linear":
            fused[before] = last._replace(activation=spec.activation, alpha=spec.alpha)
            place[i] = before
        else:
            place[i] = len(fused)
            fused.append(spec)
            wired.append(tuple(place[j] for j in js))
    return fused, wired


def without(
    kind: type[Any] | tuple[type[Any], ...], specs: list[Spec], sources: Sources, most: int | None = None
) -> tuple[list[Spec], Sources]:
    """The plan without the operations of a kind: who read them reads what they read. most: how many, from the first."""
    kept: list[Spec] = []
    wired: Sources = []
    place = {INPUT: INPUT}
    for i, (spec, js) in enumerate(zip(specs, sources, strict=True)):
        if isinstance(spec, kind) and (most is None or i - len(kept) < most):
            place[i] = place[js[0]]
        else:
            place[i] = len(kept)
            kept.append(spec)
            wired.append(tuple(place[j] for j in js))
    return kept, wired
