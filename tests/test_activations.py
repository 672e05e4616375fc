"""Every registered activation: value, derivative, sizes, special values, bits. Found from the registry."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from compare import Array, assert_same_bits, assert_ulps, assert_varies, assert_within, gradient, use

import fastnn.functional as F
from fastnn import _core
from fastnn.activations import Activation

CLASSES = {cls.kernel: cls for cls in Activation.registry.values()}
NAMES = sorted(CLASSES)
SPECIAL = (
    np.nan,
    np.inf,
    -np.inf,
    0.0,
    -0.0,
    1.0,
    -1.0,
    88.5,
    -88.5,
    -103.0,
    709.5,
    -745.0,
    1e-5,
    -1e-5,
    1e-40,
    -1e-40,
    1e-310,
    3.4e38,
    -3.4e38,
    20.0,
    -20.0,
)


def sizes(dtype: Any) -> list[int]:
    lanes = _core.table_info(dtype)["lanes"]
    return [*range(2 * lanes + 2), 63, 100, 1000]


def draw(rng: np.random.Generator, name: str, n: int, dtype: Any) -> Array:
    """Numbers of every magnitude that matters, none next to a kink."""
    x = rng.standard_normal(n) * rng.choice([0.1, 1.0, 10.0], n)
    for kink in CLASSES[name].kinks:
        x = np.where(np.abs(x - kink) < 0.01, kink + 0.05, x)
    return x.astype(dtype)


def allowance(name: str, x: Array) -> float:
    """In ulp: 2.5 for a lane function; a sum over the row adds roundings, and exp magnifies that of its argument."""
    if _core.ACTIVATION_SHAPE[name] == "E":
        return 2.5
    return 8 + x.shape[-1] / 16 + float(np.ptp(x)) if x.size else 0


def saved_by(name: str, x: Array) -> Array:
    return x if _core.ACTIVATION_SAVES[name] == "X" else F.activation(name, x)


def test_every_kernel_has_its_class() -> None:
    assert set(CLASSES) == set(_core.ACTIVATIONS)


@pytest.mark.parametrize("name", NAMES)
def test_values_follow_the_formula_at_every_size(name: str, isa: str, dtype: Any, rng: np.random.Generator) -> None:
    for n in sizes(dtype):
        x = draw(rng, name, n, dtype)
        assert_varies(x)
        y = F.activation(name, x)
        assert y.dtype == dtype
        want = CLASSES[name].formula(x.astype(np.float64)) if n else np.zeros(0)
        assert_ulps(y, want, allowance(name, x), f"{name}, {n}")


@pytest.mark.parametrize("name", NAMES)
def test_derivatives_match_differences_of_the_formula(
    name: str, isa: str, dtype: Any, rng: np.random.Generator
) -> None:
    for n in sizes(dtype)[:-2]:
        x = draw(rng, name, n, dtype)
        dy = rng.standard_normal(n).astype(dtype)
        wide = dy.astype(np.float64)
        dx = F.activation_backward(name, dy, saved_by(name, x))
        if n == 0:
            assert dx.shape == (0,)
            continue
        want = gradient(lambda v, wide=wide: float((wide * CLASSES[name].formula(v)).sum()), x.astype(np.float64))
        assert_within(dx, want, 2e-9 if dtype == np.float64 else 2e-6, f"{name}, {n}")


@pytest.mark.parametrize("name", NAMES)
def test_rows_are_apart_and_shapes_are_kept(name: str, isa: str, dtype: Any, rng: np.random.Generator) -> None:
    x = rng.standard_normal((3, 5, 7)).astype(dtype)
    y = F.activation(name, x)
    assert y.shape == x.shape
    for i in range(3):
        for j in range(5):
            assert_same_bits(F.activation(name, x[i, j]), y[i, j])
    dx = F.activation_backward(name, x, saved_by(name, x))
    assert_same_bits(F.activation_backward(name, x[1], saved_by(name, x)[1]), dx[1])


@pytest.mark.parametrize("name", NAMES)
def test_in_place_gives_the_same_bits(name: str, isa: str, dtype: Any, rng: np.random.Generator) -> None:
    for n in (1, 7, 16, 37, 100):
        x, dy = draw(rng, name, n, dtype), rng.standard_normal(n).astype(dtype)
        saved = saved_by(name, x)
        y, dx = F.activation(name, x), F.activation_backward(name, dy, saved)
        a, g = x.copy(), dy.copy()
        assert F.activation(name, a, out=a) is a
        assert F.activation_backward(name, g, saved, out=g) is g
        assert_same_bits(a, y)
        assert_same_bits(g, dx)


@pytest.mark.parametrize("name", NAMES)
def test_special_values_go_where_numpy_sends_them(name: str, isa: str, dtype: Any) -> None:
    with np.errstate(all="ignore"):
        special = np.array(SPECIAL).astype(dtype)
        rows = np.array([np.roll(special, k) for k in range(len(special))])
        if _core.ACTIVATION_SHAPE[name] == "R":  # one special value among ordinary ones
            rows = np.tile(np.linspace(-1, 1, 19).astype(dtype), (len(special), 1))
            rows[:, 11] = special
        want = CLASSES[name].formula(rows.astype(np.float64))
        got = F.activation(name, rows)
        np.testing.assert_array_equal(np.isnan(got), np.isnan(want.astype(dtype)))
        assert_ulps(got, want, 40 if _core.ACTIVATION_SHAPE[name] == "R" else 2.5, name)


@pytest.mark.parametrize("name", NAMES)
def test_nan_is_never_hidden(name: str, isa: str, dtype: Any) -> None:
    for n in (1, 5, 16, 33):
        for place in range(n):
            x = np.linspace(-2, 2, n).astype(dtype)
            x[place] = np.nan
            assert np.isnan(F.activation(name, x)[place])
            ones, dy = np.ones(n, dtype), np.ones(n, dtype)
            dy[place] = np.nan
            assert np.isnan(F.activation_backward(name, dy, ones)[place])


@pytest.mark.parametrize("name", NAMES)
def test_bits_are_those_of_the_scalar_table(name: str, contract_isa: str, dtype: Any, rng: np.random.Generator) -> None:
    with np.errstate(all="ignore"):
        special = np.array(SPECIAL).astype(dtype)
    for n in (*range(34), 63, 64, 65, 511, 1000):
        x = draw(rng, name, n, dtype) * dtype.type(rng.choice([1, 5]))
        for data in (x, np.resize(special, n), np.where(rng.random(n) < 0.05, np.resize(special, n), x)):
            dy = rng.standard_normal(n).astype(dtype)
            y, dx = F.activation(name, data), F.activation_backward(name, dy, saved_by(name, data))
            with use("scalar"):
                assert_same_bits(y, F.activation(name, data), f"{name}({n})")
                assert_same_bits(dx, F.activation_backward(name, dy, saved_by(name, data)), f"{name}'({n})")


@pytest.mark.parametrize("name", [n for n in NAMES if _core.ACTIVATION_SHAPE[n] == "E"])
def test_a_value_does_not_depend_on_its_place(name: str, isa: str, dtype: Any, rng: np.random.Generator) -> None:
    x = draw(rng, name, 70, dtype)
    whole = F.activation(name, x)
    for start in range(20):
        assert_same_bits(F.activation(name, x[start : start + 33]), whole[start : start + 33])


@pytest.mark.parametrize("name", NAMES)
def test_nothing_beyond_the_end_is_touched(name: str, isa: str, dtype: Any, rng: np.random.Generator) -> None:
    for n in range(1, 40):
        room = np.full(n + 40, 7.5, dtype)
        F.activation(name, draw(rng, name, n, dtype), out=room[3 : 3 + n])
        assert (room[:3] == 7.5).all()
        assert (room[3 + n :] == 7.5).all()


def test_softmax_rows_sum_to_one_and_shifting_changes_little(isa: str, dtype: Any, rng: np.random.Generator) -> None:
    x = (rng.standard_normal((9, 33)) * 20).astype(dtype)
    y = F.softmax(x)
    assert_within(y.sum(axis=1), np.ones(9), 40 * np.finfo(dtype).eps)
    assert_within(F.softmax(x + dtype.type(64)), y, 1e3 * np.finfo(dtype).eps)
    assert_same_bits(F.softmax(x[:, :1]), np.ones((9, 1), dtype))


def test_the_functions_by_name_are_the_registered_kernels(rng: np.random.Generator) -> None:
    x = rng.standard_normal(20)
    for name in NAMES:
        assert_same_bits(getattr(F, name)(x), F.activation(name, x))
    with pytest.raises(ValueError, match="activation: unknown name 'rleu'"):
        F.activation("rleu", x)
    with pytest.raises(ValueError, match=r"saved: expected shape \(20,\)"):
        F.activation_backward("relu", x, x[:-1])
    with pytest.raises(ValueError, match=r"out: expected shape \(20,\) and dtype float64"):
        F.relu(x, out=np.empty(19))
    with pytest.raises(ValueError, match="C-contiguous"):
        F.relu(x, out=np.empty(40)[::2])
    with pytest.raises(TypeError, match="x: expected real numbers, got dtype complex128"):
        F.relu(x + 1j)
