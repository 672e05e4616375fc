"""What a benchmark line is: the same work for fastnn and for NumPy, with its size."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]
Call: TypeAlias = Callable[[], Any]

SEED = 20
FLOAT = 4  # bytes


@dataclass(frozen=True)
class Work:
    """Both sides, ready to be called. Each call does ``steps`` units of ``flops`` operations or ``nbytes`` moved.

    numpy is None where a registered kernel has no counterpart yet. error: the largest difference between what the two
    sides compute, relative to the largest value; None where they draw random numbers of their own.
    """

    fastnn: Call
    numpy: Call | None
    flops: float = 0.0
    nbytes: float = 0.0
    steps: int = 1
    error: Callable[[], float] | None = None


@dataclass(frozen=True)
class Case:
    """A line by its name; ``make`` allocates and fills what it works on."""

    name: str
    family: str
    make: Callable[[], Work]


def normal(*shape: int) -> Array:
    """float32, standard normal, the same every time."""
    return np.random.default_rng(SEED).standard_normal(shape, np.float32)


def uniform(*shape: int) -> Array:
    """float32 in (0, 1), away from its ends, the same every time."""
    return 0.02 + 0.96 * np.random.default_rng(SEED + 1).random(shape, np.float32)


def labels(rows: int, classes: int) -> Array:
    """int32 class labels, the same every time."""
    return np.random.default_rng(SEED + 2).integers(0, classes, rows, np.int32)


def difference(ours: Any, theirs: Any) -> float:
    """Largest difference relative to the largest value, of two arrays or two tuples of arrays."""
    if isinstance(ours, tuple):
        return max(difference(a, b) for a, b in zip(ours, theirs, strict=True))
    a, b = np.asarray(ours, np.float64), np.asarray(theirs, np.float64)
    if a.shape != b.shape:
        raise ValueError(f"the two sides differ in shape: {a.shape} and {b.shape}")
    largest = float(np.max(np.abs(b), initial=0.0)) or 1.0
    return float(np.max(np.abs(a - b), initial=0.0)) / largest


def pair(fastnn: Call, numpy: Call | None, *, flops: float = 0.0, nbytes: float = 0.0) -> Work:
    """Work whose two sides return what they compute."""
    error = None if numpy is None else lambda: difference(fastnn(), numpy())
    return Work(fastnn, numpy, flops=flops, nbytes=nbytes, error=error)
