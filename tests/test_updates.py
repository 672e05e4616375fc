"""The kernels of averages, bounds of norms and L-BFGS: against NumPy, and every table to the bit of the scalar one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from compare import Array, assert_near, assert_same_bits, assert_within, use

from fastnn.kernels.updates import add_scaled, average, bound_norms, inner_product, largest

SIZES = [*range(36), 63, 100, 1000]
SHAPES = [(1, 1), (1, 37), (3, 2), (2, 7), (5, 16), (9, 17), (33, 31), (64, 64), (7, 100), (300, 129)]


def results(dtype: Any, seed: int = 0) -> list[Array]:
    """All of them over every size, on the table in force."""
    rng = np.random.default_rng(seed)
    found: list[Array] = []
    for n in SIZES:
        a, w, d = rng.standard_normal((3, n)).astype(dtype)
        average(a, w, 0.9)
        y = np.empty(n, dtype)
        add_scaled(y, a, d, 0.3)
        found += [a, y, np.array([inner_product(a, d), largest(y)])]
    for shape in SHAPES:
        for of_rows in (False, True):
            w = rng.standard_normal(shape).astype(dtype)
            bound_norms(w, 0.5, 1.2, of_rows)
            found.append(w)
    return found


def test_bits_are_those_of_the_scalar_table(contract_isa: str, dtype: Any) -> None:
    mine = results(dtype)
    with use("scalar"):
        want = results(dtype)
    for i, (got, expected) in enumerate(zip(mine, want, strict=True)):
        assert_same_bits(got, expected, f"result {i}")


def test_vectors_follow_numpy(isa: str, dtype: Any, rng: np.random.Generator) -> None:
    eps = float(np.finfo(dtype).eps)
    for n in SIZES:
        a, w, d = rng.standard_normal((3, n)).astype(dtype)
        wide, y = a.astype(np.float64), np.empty(n, dtype)
        add_scaled(y, a, d, 0.7)
        assert_within(y, wide + 0.7 * d.astype(np.float64), 4 * eps * (abs(wide) + abs(d.astype(np.float64))))
        bound = n * eps * float(np.abs(wide * d).sum())
        assert abs(inner_product(a, d) - float(wide @ d.astype(np.float64))) <= bound
        assert largest(a) == (float(np.abs(a).max()) if n else 0.0)
        average(a, w, 0.75)
        assert_within(a, 0.75 * wide + 0.25 * w, 4 * eps)
        add_scaled(y, y, y, -1.0)
        assert_same_bits(y, np.zeros(n, dtype))


def test_the_largest_is_found_wherever_it_is(isa: str, dtype: Any) -> None:
    for n in SIZES[1:]:
        for place in {0, n // 2, n - 1}:
            x = np.zeros(n, dtype)
            x[place] = -3
            assert largest(x) == 3


def test_an_average_of_equals_stays_and_one_of_zeros_ends(isa: str, dtype: Any) -> None:
    a = np.full(37, 0.3, dtype)
    before = a.copy()
    for _ in range(100):
        average(a, before, 0.5)
    assert_same_bits(a, before)
    tiny = np.full(37, np.finfo(dtype).smallest_normal, dtype)
    average(tiny, np.zeros(37, dtype), 0.5)
    assert_same_bits(tiny, np.zeros(37, dtype))


def wanted(w: Array, low: float, high: float, of_rows: bool) -> Array:
    norms = np.sqrt((w.astype(np.float64) ** 2).sum(axis=1 if of_rows else 0, keepdims=True))
    return np.asarray(w * np.clip(norms, low, high) / np.where(norms == 0, 1, norms))


@pytest.mark.parametrize("of_rows", [False, True])
@pytest.mark.parametrize(("low", "high"), [(0.0, 1.2), (1.0, 1.0), (0.5, 3.0)])
def test_norms_are_bounded(low: float, high: float, of_rows: bool, isa: str, dtype: Any, rng: Any) -> None:
    tolerance = 1e-13 if dtype == np.float64 else 1e-6
    for shape in SHAPES:
        w = (
            rng.standard_normal(shape) * 10.0 ** rng.integers(-2, 2, (*shape[:1], 1) if of_rows else shape[1:])
        ).astype(dtype)
        w[:, 0] = 0
        w[0] = 0
        before = w.copy()
        bound_norms(w, low, high, of_rows)
        assert_near(w, wanted(before, low, high, of_rows), tolerance, f"{shape}")


def test_norms_within_bounds_keep_every_bit(isa: str, dtype: Any, rng: Any) -> None:
    for shape in SHAPES:
        w = rng.standard_normal(shape).astype(dtype)
        w[0, 0] = -0.0
        for of_rows in (False, True):
            before = w.copy()
            bound_norms(w, 0.0, 1e3, of_rows)
            assert_same_bits(w, before)
        if shape[1] > 20:  # one column is too long: the others of its vector keep theirs
            w[:, 3] = 1e4
            before = w.copy()
            bound_norms(w, 0.0, 1e3)
            assert_same_bits(np.delete(w, 3, axis=1), np.delete(before, 3, axis=1))
            assert_near(w[:, 3], before[:, 3] * 1e3 / np.linalg.norm(before[:, 3].astype(float)), 3e-5)  # 300 rows


def test_nan_stays_in_its_column(isa: str, dtype: Any) -> None:
    w = np.full((5, 40), 2.0, dtype)
    w[2, 7] = np.nan
    bound_norms(w, 0.0, 1.0)
    assert np.isnan(w).sum() == 1
    assert np.allclose(np.delete(w, 7, axis=1), 1 / np.sqrt(5))


def test_columns_are_summed_by_rows_ascending(contract_isa: str, dtype: Any, rng: Any) -> None:
    w = rng.standard_normal((57, 3)).astype(dtype)
    with use("scalar"):
        one = np.ascontiguousarray(w[:, 1:2])
        bound_norms(one, 0.0, 0.7)
    bound_norms(w, 0.0, 0.7)
    assert_same_bits(w[:, 1:2], one, "a column alone is the column among others")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda a, b: average(a, b, 0.5), r"w: expected shape \(3,\), got \(4,\)"),
        (lambda a, b: add_scaled(a, b, a, 0.5), r"x: expected shape \(3,\), got \(4,\)"),
        (lambda a, b: add_scaled(a, a, b, 0.5), r"d: expected shape \(3,\), got \(4,\)"),
        (lambda a, b: inner_product(a, b), r"b: expected shape \(3,\), got \(4,\)"),
    ],
)
def test_sizes_are_checked(call: Callable[[Array, Array], Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call(np.ones(3), np.ones(4))
