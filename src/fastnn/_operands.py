"""What ``fastnn.functional`` asks of arrays that come in and go out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from fastnn._dlpack import unmasked

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

Array: TypeAlias = "np.ndarray[Any, np.dtype[Any]]"


def real(name: str, x: ArrayLike, dtype: Any = None) -> Array:
    """``x`` as a C-contiguous float32 or float64 array."""
    a: Array = np.asarray(unmasked(name, x))
    if a.dtype.kind not in "fiub":
        raise TypeError(f"{name}: expected real numbers, got dtype {a.dtype}")
    if dtype is None:
        here = a.dtype.newbyteorder("=")
        dtype = here if here in (np.float32, np.float64) else np.float64
    a = np.ascontiguousarray(a, dtype) if a.ndim else a.astype(dtype)
    return a if a.flags.aligned else a.copy()


def matrix(name: str, x: ArrayLike, dtype: Any = None) -> Array:
    a = real(name, x, dtype)
    if a.ndim != 2:
        raise ValueError(f"{name}: expected 2 dimensions, got {a.ndim} (shape {a.shape})")
    return a


def output(out: Array | None, shape: tuple[int, ...], dtype: Any, name: str = "out") -> Array:
    if out is None:
        return np.empty(shape, dtype)
    if not isinstance(out, np.ndarray):
        raise TypeError(f"{name}: expected an array, got {type(out).__name__}")
    if out.shape != shape or out.dtype != dtype:
        raise ValueError(f"{name}: expected shape {shape} and dtype {np.dtype(dtype)}, got {out.shape} and {out.dtype}")
    if not out.flags.carray:
        what = "one that is read-only" if not out.flags.writeable else f"strides {out.strides} for shape {out.shape}"
        raise ValueError(f"{name}: expected a C-contiguous, aligned, writeable array, got {what}")
    return out


def apart(a: Array, y: Array, here: bool = True) -> Array:
    """``a``, copied where the output ``y`` lies over it; here: the same place is fine, element by element."""
    return a.copy() if np.may_share_memory(a, y) and not (here and a.ctypes.data == y.ctypes.data) else a


def whole(name: str, value: Any, low: int, high: int = 2**63 - 1) -> int:
    """``value`` as an int in [low, high]."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise TypeError(f"{name}: expected a whole number, got {value!r}")
    if not low <= value <= high:
        upper = f" and at most {high}" if high < 2**63 - 1 or value > high else ""
        raise ValueError(f"{name}: expected at least {low}{upper}, got {value}")
    return int(value)


# further names of kernels, by kind: the classes of fastnn.activations and fastnn.losses enter theirs
ALIASES: dict[str, dict[str, str]] = {"activation": {}, "loss": {}}


def known(kind: str, name: str, kernels: dict[str, int]) -> str:
    """The kernel's name for one of its names."""
    if not isinstance(name, str):
        raise TypeError(f"{kind}: expected a name, got {name!r:.80}")
    if name in kernels:
        return str(name)
    found = ALIASES.get(kind, {}).get(name.lower())
    if found is None:
        raise ValueError(f"{kind}: unknown name {name!r}; known: {', '.join(kernels)}")
    return found


def rows_of(a: Array) -> Array:
    """Any shape as a matrix whose rows are the last axis."""
    return a.reshape(-1, a.shape[-1]) if a.ndim and a.size else a.reshape(a.size, 1)
