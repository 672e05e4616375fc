"""Timing two sides fairly: one core, one thread each, turn by turn, beside the peak of the same minute.

Clock rates drift and other programs come and go, so times mean little from one run to the next; ratios within a run do.
"""

from __future__ import annotations

import os
import site
import statistics
import subprocess
import sys
import timeit
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import numpy as np

import fastnn
from fastnn import _core
from fastnn._bench.case import Call, Work

# read by the BLAS libraries when NumPy loads them; later changes do nothing
ONE_THREAD = {
    "FASTNN_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "BLIS_NUM_THREADS": "1",
    "VECLIB_MAXIMUM_THREADS": "1",
}
SAMPLE = 2e-3  # seconds: a sample repeats short work for at least so long
PEAK_LOOPS = 200_000
COPY_FLOATS = 32_768  # two arrays of 128 KB: the second-level cache of any processor of today


def run_single_threaded(*arguments: str) -> int:
    """Run ``python arguments`` with the BLAS of its NumPy held to one thread; pass its output on; return its exit code.

    A new process, because an OpenBLAS that is loaded has its threads already, and pinning them all to one core would
    have them wait for one another.
    """
    environment = {**os.environ, **ONE_THREAD}
    package_folder = str(Path(fastnn.__file__).parents[1])
    installed_in = [*site.getsitepackages(), site.getusersitepackages()]
    if package_folder not in installed_in:  # a checkout: the child must find it
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, (os.environ.get("PYTHONPATH"), package_folder)))
    command = [sys.executable, "-P", *arguments]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            for line in process.stdout:  # through our own stdout, which may be something else than the terminal
                print(line, end="", flush=True)
        except KeyboardInterrupt:  # the child has been told as well
            process.wait()
            raise
    return process.returncode


def is_single_threaded() -> bool:
    """Whether this process was started with the BLAS held to one thread."""
    return all(os.environ.get(name) == value for name, value in ONE_THREAD.items())


@contextmanager
def pinned() -> Iterator[int | None]:
    """Keep this thread on one core meanwhile; gives the core, or None where the platform cannot."""
    if not hasattr(os, "sched_setaffinity"):
        yield None
        return
    allowed = os.sched_getaffinity(0)
    core = max(allowed)  # the first often serves the interrupts
    os.sched_setaffinity(0, {core})
    try:
        yield core
    finally:
        os.sched_setaffinity(0, allowed)


@dataclass(frozen=True)
class Times:
    """Seconds of a step."""

    best: float
    median: float


@dataclass(frozen=True)
class Result:
    """Both sides of a line, and the peak while they ran: floating-point operations, or bytes, a second."""

    fastnn: Times
    numpy: Times | None
    rate: float
    peak: float

    @property
    def ratio(self) -> float:
        """NumPy's best time over fastnn's."""
        return float("nan") if self.numpy is None else self.numpy.best / self.fastnn.best


def fma_peak(seconds: float = 0.0, dtype: str = "float32") -> float:
    """Operations a second of register-only FMAs of this type, now, over at least so many seconds: the clock of many
    processors falls under wide vectors, and a roof measured in a millisecond is not that of half a second's work."""
    start, operations, taken = perf_counter(), 0.0, 0.0
    while taken <= seconds:
        operations += _core.fma_peak(dtype, PEAK_LOOPS)
        taken = perf_counter() - start
    return float(operations / taken)


def copy_peak() -> float:
    """Bytes read and written a second by a copy within the second-level cache, now."""
    source, target = np.ones(COPY_FLOATS, np.float32), np.ones(COPY_FLOATS, np.float32)
    seconds = timeit.Timer(lambda: np.copyto(target, source)).timeit(20) / 20
    return 2 * source.nbytes / seconds


def peak_for(work: Work) -> float:
    """The peak that the work's rate is a share of, now."""
    return fma_peak() if work.flops else copy_peak()


def rate_of(work: Work, seconds: float) -> float:
    """Operations or bytes a second at so many seconds a step."""
    return (work.flops or work.nbytes) / seconds


def compare(work: Work, *, seconds: float, repeats: int = 60) -> Result:
    """Both sides in turn, ``repeats`` times or for about so many seconds, at least 3 times."""
    sides = [work.fastnn] if work.numpy is None else [work.fastnn, work.numpy]
    loops = [_loops(side) for side in sides]
    times: list[list[float]] = [[] for _ in sides]
    peaks: list[float] = []
    end = perf_counter() + seconds
    while len(peaks) < 3 or (len(peaks) < repeats and perf_counter() < end):
        peaks.append(peak_for(work))
        for taken, side, n in zip(times, sides, loops, strict=True):
            taken.append(timeit.Timer(side).timeit(n) / (n * work.steps))
    fastnn, *others = (Times(min(t), statistics.median(t)) for t in times)
    return Result(fastnn, others[0] if others else None, rate_of(work, fastnn.best), max(peaks))


def _loops(side: Call) -> int:
    """Calls that fill a sample, found on warm code."""
    n, taken = 1, 0.0
    side()
    while taken < SAMPLE:
        taken = timeit.Timer(side).timeit(n)
        if taken < SAMPLE:
            n *= 2 if taken * 10 > SAMPLE else 10
    return n
