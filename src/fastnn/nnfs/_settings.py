"""What ``nnfs.init`` sets: the seed of NumPy's global generator and the type of weights and data."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]

_dtype: np.dtype[Any] = np.dtype(np.float32)


def init(
    dot_precision_workaround: bool = True, default_dtype: str | None = "float32", random_seed: int | None = 0
) -> None:
    """Seed NumPy's global generator with 0 and make float32 the type of weights and data, as the book's ``nnfs.init``.

    default_dtype: "float32", "float64", or None, which is float64. random_seed: None leaves the generator as it is.
    dot_precision_workaround is taken and not needed: products have the same bits on every machine here. NumPy's own
    functions are left as they are: an array that a program makes itself, say by np.zeros, is float64.
    """
    global _dtype
    dtype = np.dtype(default_dtype or "float64")
    if dtype not in (np.float32, np.float64):
        raise ValueError(f"default_dtype: expected float32 or float64, got {default_dtype!r}")
    _dtype = dtype
    if random_seed is not None:
        np.random.seed(random_seed)


def dtype() -> np.dtype[Any]:
    """The type of weights and data."""
    return _dtype


def randn(*shape: int) -> Array:
    """Standard normal numbers of NumPy's global generator, rounded to the type of weights and data."""
    return np.asarray(np.random.randn(*shape)).astype(_dtype)
