"""exp, log, erf, tanh, sigmoid: at most 2 ulp in Python, and the C program that measures and compares them all."""

from __future__ import annotations

import math
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from compare import Array, assert_same_bits, assert_ulps, use

import fastnn.functional as F

PROGRAM = Path(__file__).parent / "c" / "run_vmath_check.py"
needs_compiler = pytest.mark.skipif(
    shutil.which(os.environ.get("CC", "cc")) is None, reason="no C compiler here: set CC, or install one"
)

REFERENCE: dict[str, Any] = {
    "exp": np.exp,
    "log": np.log,
    "erf": np.vectorize(math.erf, otypes=[np.float64]),
    "tanh": np.tanh,
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
}
SPECIAL = {
    "exp": [(np.inf, np.inf), (-np.inf, 0.0), (0.0, 1.0), (-0.0, 1.0)],
    "log": [(np.inf, np.inf), (0.0, -np.inf), (-0.0, -np.inf), (1.0, 0.0), (-1.0, np.nan), (-np.inf, np.nan)],
    "erf": [(np.inf, 1.0), (-np.inf, -1.0), (0.0, 0.0), (-0.0, -0.0), (6.0, 1.0), (-9.0, -1.0)],
    "tanh": [(np.inf, 1.0), (-np.inf, -1.0), (0.0, 0.0), (-0.0, -0.0)],
    "sigmoid": [(np.inf, 1.0), (-np.inf, 0.0), (0.0, 0.5)],
}


def every_magnitude(dtype: Any, step: int) -> Array:
    """A thin sample of all bit patterns, NaN left out."""
    if dtype == np.float32:
        x = np.arange(0, 2**32, step, np.uint64).astype(np.uint32).view(np.float32)
    else:
        x = np.random.default_rng(1).integers(0, 2**64, 2**32 // step, np.uint64).view(np.float64)
    return x[~np.isnan(x)]


@pytest.mark.parametrize("name", sorted(REFERENCE))
def test_float32_is_within_two_ulp_over_all_magnitudes(name: str, isa: str) -> None:
    x = every_magnitude(np.float32, 20_011)
    x = np.concatenate(
        [x, np.linspace(-110, 110, 100_001).astype(np.float32), np.linspace(-4, 4, 100_001).astype(np.float32)]
    )
    with np.errstate(all="ignore"):
        want = REFERENCE[name](x.astype(np.float64))
    assert_ulps(getattr(F, name)(x), want, 2.0, name)


@pytest.mark.parametrize("name", ["exp", "log", "tanh", "sigmoid"])
def test_float64_is_within_two_ulp_of_extended_precision(name: str, isa: str) -> None:
    if np.finfo(np.longdouble).nmant < 63:
        pytest.skip("long double is no wider than double here")
    x = np.concatenate(
        [np.linspace(-750, 750, 50_001), np.linspace(-4, 4, 50_001), every_magnitude(np.float64, 200_003)]
    )
    with np.errstate(all="ignore"):
        want = REFERENCE[name](x.astype(np.longdouble))
        got = getattr(F, name)(x)
        unit = np.spacing(np.minimum(np.abs(want.astype(np.float64)), np.finfo(np.float64).max))
        off = np.abs(got.astype(np.longdouble) - want) / unit
        same = (got == want.astype(np.float64)) | np.isnan(got) & np.isnan(want)
    assert np.where(same, 0, off).max() <= 2.0


@pytest.mark.parametrize("name", sorted(REFERENCE))
def test_special_values_go_where_numpy_sends_them(name: str, isa: str, dtype: Any) -> None:
    f = getattr(F, name)
    for n in (1, 3, 16, 21):
        assert np.isnan(f(np.full(n, np.nan, dtype))).all()
        for x, want in SPECIAL[name]:
            assert_same_bits(f(np.full(n, x, dtype)), np.full(n, want, dtype), f"{name}({x})")


@pytest.mark.parametrize("name", sorted(REFERENCE))
def test_bits_are_those_of_the_scalar_table(name: str, contract_isa: str, dtype: Any) -> None:
    x = every_magnitude(dtype, 60_013)
    y = getattr(F, name)(x)
    with use("scalar"):
        assert_same_bits(y, getattr(F, name)(x), name)
    for n in range(40):  # tails
        assert_same_bits(getattr(F, name)(x[1000 : 1000 + n]), y[1000 : 1000 + n])


def run_program(*arguments: str, timeout: float) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(PROGRAM), *arguments], capture_output=True, text=True, timeout=timeout, check=False
    )


@needs_compiler
def test_the_measuring_program_finds_every_table_good_on_a_thin_sample() -> None:
    result = run_program("--step", "200003", timeout=300)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "0 faults unnoticed" in result.stdout


@pytest.mark.slow
@needs_compiler
def test_every_float_there_is() -> None:
    result = run_program("--step", "1", timeout=4 * 3600)
    assert result.returncode == 0, result.stdout + result.stderr
