"""Arrays of other libraries: taken through DLPack, the protocol by which they hand over memory without a copy.

Whatever has ``__dlpack__`` (tensors of PyTorch, arrays of JAX, CuPy, ...) comes in here; NumPy's own arrays give theirs
out in the same way. Source: https://dmlc.github.io/dlpack/latest/python_spec.html. No library is imported for it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

CPU = 1  # DLDeviceType.kDLCPU


def unmasked(name: str, value: Any) -> Any:
    """As ``as_ndarray``; TypeError for a masked array, whose mask would be lost."""
    if np.ma.isMaskedArray(value):
        raise TypeError(f"{name}: masked arrays are not supported: fill the masked values first")
    return as_ndarray(name, value)


def as_ndarray(name: str, value: Any) -> Any:
    """``value`` as an ndarray over the same memory where it is an array of another library, else as it is.

    Raises TypeError, naming the argument, for an array on another device, a tensor that requires grad, and a type that
    NumPy has not (bfloat16).
    """
    if isinstance(value, (np.ndarray, np.generic)) or not hasattr(type(value), "__dlpack__"):
        return value
    kind = type(value)
    what = f"{kind.__module__.split('.')[0]} {kind.__name__}"
    if getattr(value, "requires_grad", False) is True:
        raise TypeError(f"{name}: a {what} that requires grad: pass {name}.detach()")
    if getattr(value, "is_neg", None) is not None and value.is_neg():  # PyTorch's lazy minus, which DLPack leaves out
        value = value.resolve_neg()
    try:
        device = int(value.__dlpack_device__()[0])
    except (AttributeError, ValueError):  # one that DLPack does not know
        device = 0
    if device != CPU:
        raise TypeError(f"{name}: a {what} that is not in the memory of the CPU: move it there first")
    try:
        return np.from_dlpack(value)
    except (BufferError, RuntimeError, TypeError, ValueError) as error:
        dtype = getattr(value, "dtype", "unknown")
        raise TypeError(f"{name}: a {what} of type {dtype} cannot be read as an array ({error})") from None
