"""NumPy is held to one thread, and everything to one core, before the first benchmark runs."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

if "numpy" not in sys.modules:  # its BLAS reads these when it is loaded; run with them set where a plugin was first
    for name in ("FASTNN_NUM_THREADS", "OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS",
                 "VECLIB_MAXIMUM_THREADS"):  # fmt: skip
        os.environ[name] = "1"

from fastnn._bench import measure
from fastnn._bench.case import Case


@pytest.fixture(scope="session", autouse=True)
def one_core() -> Iterator[None]:
    if not measure.is_single_threaded():
        pytest.exit(f"NumPy was loaded early: set {', '.join(measure.ONE_THREAD)} to 1 and run again", returncode=2)
    with measure.pinned():
        yield


@pytest.fixture
def run_case(benchmark: Any) -> Callable[[Case, str], None]:
    """Check that both sides of a case do the same work, time one of them, and note rate and share of the peak."""

    def run(case: Case, side: str) -> None:
        work = case.make()
        call = getattr(work, side)
        if call is None:
            pytest.skip("no NumPy counterpart")
        error = work.error() if work.error is not None else None
        if error is not None:
            benchmark.extra_info["relative_error"] = error
            assert error <= 1e-3
        benchmark.group = case.name
        benchmark(call)
        if benchmark.stats is None:  # --benchmark-disable
            return
        seconds = benchmark.stats.stats.min / work.steps
        rate, peak = measure.rate_of(work, seconds), max(measure.peak_for(work) for _ in range(5))
        benchmark.extra_info["us_per_step" if work.steps > 1 else "us"] = seconds * 1e6
        benchmark.extra_info["GFLOP/s" if work.flops else "GB/s"] = rate / 1e9
        benchmark.extra_info["share_of_fma_peak" if work.flops else "share_of_copy_peak"] = rate / peak
        benchmark.extra_info["fma_peak_GFLOP/s"] = measure.fma_peak() / 1e9

    return run
