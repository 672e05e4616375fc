"""A comparator that cannot fail proves nothing: each is shown to see a bit, a swap, an unwritten lane, a zero."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest
from compare import (
    Array,
    assert_near,
    assert_same_bits,
    assert_ulps,
    assert_varies,
    assert_within,
    fma,
    gradient,
    rounded,
)

GOOD = np.random.default_rng(5).standard_normal(37).astype(np.float32)


def flip_last_bit(a: Array) -> Array:
    bad = a.copy()
    bad.view(np.uint32)[17] ^= 1
    return bad


def swap_two(a: Array) -> Array:
    bad = a.copy()
    bad[[3, 4]] = bad[[4, 3]]
    return bad


def leave_last_unwritten(a: Array) -> Array:
    bad = a.copy()
    bad[-1] = np.nan
    return bad


def zero(a: Array) -> Array:
    return np.zeros_like(a)


def sixteen_ulps(a: Array) -> Array:
    bad = a.copy()
    bad.view(np.uint32)[5] += 16
    return bad


LARGE = [swap_two, leave_last_unwritten, zero]


@pytest.mark.parametrize("defect", [flip_last_bit, sixteen_ulps, *LARGE])
def test_same_bits_sees_every_defect(defect: Callable[[Array], Array]) -> None:
    assert_same_bits(GOOD, GOOD.copy())
    with pytest.raises(AssertionError):
        assert_same_bits(defect(GOOD), GOOD)


def test_same_bits_tells_the_zeros_apart_and_takes_any_nan_for_another() -> None:
    with pytest.raises(AssertionError, match="1 of 1 differ"):
        assert_same_bits(np.array([0.0]), np.array([-0.0]))
    assert_same_bits(np.array([np.nan]), -np.array([np.nan]))
    with pytest.raises(AssertionError, match="dtype"):
        assert_same_bits(np.zeros(2, np.float32), np.zeros(2))
    with pytest.raises(AssertionError, match="shape"):
        assert_same_bits(np.zeros((2, 1)), np.zeros(2))


@pytest.mark.parametrize("defect", [sixteen_ulps, *LARGE])
def test_ulps_sees_defects_beyond_its_tolerance(defect: Callable[[Array], Array]) -> None:
    want = GOOD.astype(np.float64)
    assert_ulps(GOOD, want, 0)
    assert_ulps(flip_last_bit(GOOD), want, 1)
    with pytest.raises(AssertionError):
        assert_ulps(flip_last_bit(GOOD), want, 0.5)
    with pytest.raises(AssertionError):
        assert_ulps(defect(GOOD), want, 4)


def test_ulps_does_not_take_nan_or_infinity_for_a_number() -> None:
    one = np.ones(1, np.float32)
    for bad in (np.nan, np.inf):
        with pytest.raises(AssertionError):
            assert_ulps(one * np.float32(bad), one.astype(float), 1e30)
        with pytest.raises(AssertionError):
            assert_ulps(one, one * bad, 1e30)


@pytest.mark.parametrize("defect", LARGE)
def test_near_and_within_see_large_defects(defect: Callable[[Array], Array]) -> None:
    assert_near(GOOD, GOOD, 0.0)
    assert_within(GOOD, GOOD, 0.0)
    with pytest.raises(AssertionError):
        assert_near(defect(GOOD), GOOD, 1e-3)
    with pytest.raises(AssertionError):
        assert_within(defect(GOOD), GOOD, 1e-6)


@pytest.mark.parametrize("tolerance", [1e-6, 1e-2])
@pytest.mark.parametrize("one", [False, True])
def test_near_and_within_hold_to_their_tolerance(tolerance: float, one: bool) -> None:
    """One per cent on this side of it passes, one per cent beyond fails: of all elements, or all of it in one."""
    want = GOOD.astype(np.float64)
    where = (np.arange(want.size) == 11) if one else np.ones(want.size)
    norm = where * np.linalg.norm(want) / np.linalg.norm(where)
    bound = tolerance * (1 + np.abs(want))
    for sign in (1, -1):
        assert_near(want + sign * 0.99 * tolerance * norm, want, tolerance)
        assert_within(want + sign * 0.99 * tolerance * where, want, tolerance)
        assert_within(want + sign * 0.99 * bound * where, want, bound)
        with pytest.raises(AssertionError, match="of the norm"):
            assert_near(want + sign * 1.01 * tolerance * norm, want, tolerance)
        with pytest.raises(AssertionError, match="exceeds its bound"):
            assert_within(want + sign * 1.01 * tolerance * where, want, tolerance)
        with pytest.raises(AssertionError, match="exceeds its bound"):
            assert_within(want + sign * 1.01 * bound * where, want, bound)


def test_constant_data_are_noticed() -> None:
    assert_varies(GOOD)
    with pytest.raises(AssertionError, match="vary"):
        assert_varies(np.full(100, -5.0))


def test_differences_give_the_gradient_and_notice_a_wrong_one() -> None:
    x = np.array([0.3, -1.2])
    g = gradient(lambda v: float(np.sin(v[0]) * v[1] ** 3), x)
    want = np.array([np.cos(0.3) * -1.728, np.sin(0.3) * 3 * 1.44])
    assert_within(g, want, 1e-10)
    with pytest.raises(AssertionError):
        assert_within(g * 1.000001, want, 1e-10)


def test_exact_rounding_is_to_nearest_even() -> None:
    half = Fraction(1, 2**24)
    assert rounded(1 + half, np.float32) == np.float32(1)
    assert rounded(1 + half + Fraction(1, 2**60), np.float32) == np.nextafter(np.float32(1), np.float32(2))
    assert rounded(Fraction(1, 3), np.float64) == 1 / 3
    a, b = np.float32(1 + 2**-13), np.float32(1 - 2**-13)
    assert a * b - np.float32(1) == 0
    assert fma(a, b, np.float32(-1)) == np.float32(-(2**-26))
