"""Initial weights. Drawn in float64 from the counter-based generator, so a seed means the same bits on every
machine."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn._core import random_normal, random_uniform
from fastnn.base import Registered

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Initializer(Registered):
    """How a weight matrix (n_in, n_out) starts."""

    kind = "initializer"

    def sample(self, n_in: int, n_out: int, seed: int, stream: int) -> NDArray[np.float64]:
        """A float64 matrix (n_in, n_out) from the random stream (seed, stream)."""
        raise NotImplementedError


class _Normal(Initializer):
    def deviation(self, n_in: int, n_out: int) -> float:
        raise NotImplementedError

    def sample(self, n_in: int, n_out: int, seed: int, stream: int) -> NDArray[np.float64]:
        z: NDArray[np.float64] = random_normal(n_in * n_out, seed, stream).reshape(n_in, n_out)
        return z * self.deviation(n_in, n_out)


class _Uniform(Initializer):
    def limit(self, n_in: int, n_out: int) -> float:
        raise NotImplementedError

    def sample(self, n_in: int, n_out: int, seed: int, stream: int) -> NDArray[np.float64]:
        u: NDArray[np.float64] = random_uniform(n_in * n_out, seed, stream).reshape(n_in, n_out)
        return (2.0 * u - 1.0) * self.limit(n_in, n_out)


class Normal(_Normal):
    """Normal with a fixed standard deviation, 0.01 by default: the book's (chapter 3)."""

    names = ("normal", "book")

    def __init__(self, std: float = 0.01) -> None:
        if not (math.isfinite(std) and std >= 0):
            raise ValueError(f"std: expected a number of at least 0, got {std!r}")
        self.std = float(std)

    def config(self) -> dict[str, Any]:
        return {"std": self.std}

    def deviation(self, n_in: int, n_out: int) -> float:
        return self.std


class HeNormal(_Normal):
    """Normal with deviation sqrt(2 / n_in): keeps the variance through ReLU. Source: He et al. 2015."""

    names = ("he_normal", "he")

    def deviation(self, n_in: int, n_out: int) -> float:
        return math.sqrt(2.0 / n_in)


class HeUniform(_Uniform):
    """Uniform in +-sqrt(6 / n_in). Source: He et al. 2015."""

    names = ("he_uniform",)

    def limit(self, n_in: int, n_out: int) -> float:
        return math.sqrt(6.0 / n_in)


class LecunNormal(_Normal):
    """Normal with deviation sqrt(1 / n_in), for SELU. Source: LeCun et al., Efficient BackProp, 1998."""

    names = ("lecun_normal", "lecun")

    def deviation(self, n_in: int, n_out: int) -> float:
        return math.sqrt(1.0 / n_in)


class GlorotNormal(_Normal):
    """Normal with deviation sqrt(2 / (n_in + n_out)), for tanh and sigmoid. Source: Glorot and Bengio 2010."""

    names = ("glorot_normal", "glorot", "xavier")

    def deviation(self, n_in: int, n_out: int) -> float:
        return math.sqrt(2.0 / (n_in + n_out))


class GlorotUniform(_Uniform):
    """Uniform in +-sqrt(6 / (n_in + n_out)). Source: Glorot and Bengio 2010."""

    names = ("glorot_uniform",)

    def limit(self, n_in: int, n_out: int) -> float:
        return math.sqrt(6.0 / (n_in + n_out))


class Zeros(Initializer):
    """All zeros."""

    names = ("zeros",)

    def sample(self, n_in: int, n_out: int, seed: int, stream: int) -> NDArray[np.float64]:
        return np.zeros((n_in, n_out))
