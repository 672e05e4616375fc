"""What a plan is made from: one small record an operation, in the order they run.

Layers lower themselves to these; ``fuse`` is the one visible place where neighbours are merged.
"""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias

Tensors: TypeAlias = "tuple[tuple[str, tuple[int, int]], ...]"  # names and shapes

# Streams of the counter-based generator: one number for each purpose, so that no two uses share random bits.
STREAM_SHUFFLE = 0
STREAM_WEIGHTS = 1024  # + index of the layer
STREAM_DROPOUT = 8192  # + index of the layer: masks and noise
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

    @property
    def tensors(self) -> Tensors:
        return (("weights", (self.n_in, self.n_out)), ("biases", (1, self.n_out)))


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


class AlphaDropoutSpec(NamedTuple):
    """y = x * mask + shift while training, x otherwise; rate is the share dropped."""

    layer: int
    n_in: int
    rate: float

    @property
    def n_out(self) -> int:
        return self.n_in


class GaussianSpec(NamedTuple):
    """While training y = x + stddev * normal or, where it multiplies, x * (1 + stddev * normal); x otherwise."""

    layer: int
    n_in: int
    stddev: float
    multiplies: bool

    @property
    def n_out(self) -> int:
        return self.n_in


class BatchNormSpec(NamedTuple):
    """y = (x - mean) / sqrt(variance + epsilon) * gamma + beta by columns: by the batch's moments while training, by their
    moving averages otherwise."""

    layer: int
    n_in: int
    momentum: float
    epsilon: float
    center: bool
    scale: bool

    @property
    def n_out(self) -> int:
        return self.n_in

    @property
    def tensors(self) -> Tensors:
        return _gamma_beta(self.n_in, self.center, self.scale)

    @property
    def kept(self) -> Tensors:
        return (("moving_mean", (1, self.n_in)), ("moving_variance", (1, self.n_in)))


class LayerNormSpec(NamedTuple):
    """The same by rows, always by the moments of the row itself."""

    layer: int
    n_in: int
    epsilon: float
    center: bool
    scale: bool

    @property
    def n_out(self) -> int:
        return self.n_in

    @property
    def tensors(self) -> Tensors:
        return _gamma_beta(self.n_in, self.center, self.scale)


class NormalizationSpec(NamedTuple):
    """y = (x - mean) / sqrt(variance) by columns, by moments of the data."""

    layer: int
    n_in: int

    @property
    def n_out(self) -> int:
        return self.n_in

    @property
    def kept(self) -> Tensors:
        return (("mean", (1, self.n_in)), ("variance", (1, self.n_in)))


class PythonSpec(NamedTuple):
    """y = part.forward(x), in Python; tensors: names and shapes of its parameters."""

    layer: int
    n_in: int
    n_out: int
    part: Any
    tensors: Tensors = ()


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
)

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
