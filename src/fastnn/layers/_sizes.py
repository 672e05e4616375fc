"""The check of sizes that layers are built with."""

from __future__ import annotations

from operator import index

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
