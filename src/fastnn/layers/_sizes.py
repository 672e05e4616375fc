"""The check of sizes and shares that layers are built with."""

from __future__ import annotations

from operator import index
from typing import SupportsFloat

MOST = 2**31 - 1


def positive(name: str, value: object) -> int:
    """``value`` as an int of at least 1 and at most 2^31 - 1."""
    if isinstance(value, bool):
        raise TypeError(f"{name}: expected a whole number, got {value!r}")
    try:
        number = index(value)  # type: ignore[arg-type]
    except TypeError:
        raise TypeError(f"{name}: expected a whole number, got {value!r}") from None
    if not 1 <= number <= MOST:
        raise ValueError(f"{name}: expected 1 to {MOST}, got {number}")
    return number


def share(rate: float) -> float:
    """``rate`` as a float in [0, 1): of what is dropped."""
    if isinstance(rate, (bool, str)) or not isinstance(rate, SupportsFloat):
        raise TypeError(f"rate: expected the share to drop, a number, got {rate!r:.80}")
    if not 0 <= float(rate) < 1:
        raise ValueError(f"rate: expected the share to drop, at least 0 and below 1, got {rate!r}")
    return float(rate)
