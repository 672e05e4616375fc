"""Every kernel, fastnn beside NumPy: ``pytest benchmarks/test_kernels.py``."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from cases import CALLS, KERNELS

from fastnn._bench.case import Case


@pytest.mark.benchmark(max_time=0.2, min_rounds=5, disable_gc=True)
@pytest.mark.parametrize("side", ["fastnn", "numpy"])
@pytest.mark.parametrize("case", KERNELS, ids=lambda case: case.name)
def test_kernel(case: Case, side: str, run_case: Callable[[Case, str], None]) -> None:
    run_case(case, side)


@pytest.mark.benchmark(max_time=0.1, min_rounds=5, disable_gc=True)
@pytest.mark.parametrize("side", ["fastnn", "numpy"])
@pytest.mark.parametrize("case", CALLS, ids=lambda case: case.name)
def test_cost_of_a_call(case: Case, side: str, run_case: Callable[[Case, str], None]) -> None:
    run_case(case, side)
