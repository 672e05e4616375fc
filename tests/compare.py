"""The comparators of the tests. Each is shown to fail in test_negative_controls.py."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from typing import Any, TypeAlias

import numpy as np

from fastnn import _core

CONTRACT = ("scalar", "avx2", "avx512", "neon")  # the tables that promise the same bits; sse2 does not
Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]


@contextmanager
def use(isa: str) -> Iterator[None]:
    """Another table for a moment."""
    before = _core.active_isa()
    _core.use_isa(isa)
    try:
        yield
    finally:
        _core.use_isa(before)


def assert_same_bits(got: Array, want: Array, what: str = "") -> None:
    """Equal to the bit, -0 and 0 apart; all NaN are one (their sign and payload are outside the contract)."""
    got, want = np.asarray(got), np.asarray(want)
    assert got.shape == want.shape, f"{what}: shape {got.shape}, expected {want.shape}"
    assert got.dtype == want.dtype, f"{what}: dtype {got.dtype}, expected {want.dtype}"
    if got.dtype.kind == "f":
        got, want = (np.where(np.isnan(a), np.array(np.nan, a.dtype), a) for a in (got, want))
    integer = {1: np.uint8, 2: np.uint16, 4: np.uint32, 8: np.uint64}[got.dtype.itemsize]
    differ = np.atleast_1d(np.ascontiguousarray(got).view(integer) != np.ascontiguousarray(want).view(integer))
    if differ.any():
        at = tuple(int(i) for i in np.argwhere(differ)[0])
        raise AssertionError(
            f"{what}: {differ.sum()} of {differ.size} differ, first at {at}: "
            f"{np.atleast_1d(got)[at]!r}, expected {np.atleast_1d(want)[at]!r}"
        )


def ulps(got: Array, want: Array) -> Array:
    """Distance from the exact ``want`` (of a wider type) in units in the last place of ``got``'s type.

    Equal infinities and NaN against NaN are 0, NaN against a number is infinite."""
    narrow = np.asarray(got).dtype
    with np.errstate(all="ignore"):
        rounded = np.asarray(want).astype(narrow)
        unit = np.spacing(np.minimum(np.abs(rounded), np.finfo(narrow).max)).astype(np.float64)
        distance = np.abs(np.asarray(got).astype(np.float64) - np.asarray(want, np.float64)) / unit
    same = (got == rounded) & np.isinf(rounded) | (np.isnan(got) & np.isnan(rounded))
    distance = np.where(same, 0.0, distance)
    return np.where(np.isnan(distance), np.inf, distance)


def assert_ulps(got: Array, want: Array, most: float, what: str = "") -> None:
    """Every element within ``most`` units in the last place of ``want``."""
    assert np.shape(got) == np.shape(want), f"{what}: shape {np.shape(got)}, expected {np.shape(want)}"
    if np.size(got) == 0:
        return
    distance = ulps(got, want)
    worst = np.unravel_index(int(distance.argmax()), distance.shape)
    assert distance[worst] <= most, (
        f"{what}: {distance[worst]:.3g} ulp at {worst}: {np.asarray(got)[worst]!r}, "
        f"expected {np.asarray(want)[worst]!r}"
    )


def assert_near(got: Array, want: Array, rtol: float, what: str = "") -> None:
    """The norm of the difference at most ``rtol`` of the norm of ``want``."""
    got, want = np.asarray(got, np.float64), np.asarray(want, np.float64)
    assert got.shape == want.shape, f"{what}: shape {got.shape}, expected {want.shape}"
    off, size = float(np.linalg.norm((got - want).ravel())), float(np.linalg.norm(want.ravel()))
    assert off <= rtol * size, f"{what}: off by {off:.3g}, {off / size if size else np.inf:.3g} of the norm"


def assert_within(got: Array, want: Array, bound: Array | float, what: str = "") -> None:
    """|got - want| <= bound, element by element."""
    got, want = np.asarray(got, np.float64), np.asarray(want, np.float64)
    assert got.shape == want.shape, f"{what}: shape {got.shape}, expected {want.shape}"
    excess = np.abs(got - want) - bound
    assert (excess <= 0).all(), f"{what}: exceeds its bound by {np.max(excess):.3g}"


def assert_varies(a: Array) -> None:
    """Random data that is not: a suite can look thorough and test one point."""
    a = np.asarray(a)
    assert a.size < 4 or len(np.unique(a)) > a.size // 4, "the data does not vary"


def gradient(f: Callable[[Array], float], x: Array, h: float = 1e-3) -> Array:
    """The gradient of f: fourth-order central differences (Fornberg, Mathematics of Computation 51, 1988)."""
    g = np.zeros_like(x, np.float64)
    for place in np.ndindex(x.shape):
        for step, weight in ((-2, 1 / 12), (-1, -8 / 12), (1, 8 / 12), (2, -1 / 12)):
            moved = x.copy()
            moved[place] += step * h
            g[place] += weight * f(moved) / h
    return g


def rounded(exact: Fraction, dtype: Any) -> Any:
    """A fraction as the nearest number of the type, ties to even (normal numbers only)."""
    bits = {4: 24, 8: 53}[np.dtype(dtype).itemsize]
    if exact == 0:
        return np.dtype(dtype).type(0)
    exponent = exact.numerator.bit_length() - exact.denominator.bit_length()
    if abs(exact) < Fraction(2) ** exponent:
        exponent -= 1
    unit = Fraction(2) ** (exponent - bits + 1)
    return np.dtype(dtype).type(float(round(exact / unit) * unit))


def fma(a: Any, b: Any, c: Any) -> Any:
    """a * b + c with one rounding."""
    return rounded(Fraction(float(a)) * Fraction(float(b)) + Fraction(float(c)), np.asarray(c).dtype)
