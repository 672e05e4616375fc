"""The short form of the benchmarks as a table. The long form is ``pytest benchmarks/`` in a checkout."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

import fastnn
from fastnn import _core
from fastnn._bench import layers, measure, norms, passes
from fastnn._bench.case import Case
from fastnn._bench.measure import Result
from fastnn._bench.steps import NETS, train_step

PEERS = ("numpy",)
SECONDS = 0.8  # a line
ERROR = 1e-3  # relative: beyond it the two sides do not do the same work

HEADER = f"{'':44}{'fastnn':>10}{'median':>10}{'numpy':>10}{'median':>10}{'ratio':>8}{'rate':>14}{'of peak':>9}"


def short_cases() -> list[Case]:
    """Every family of kernels, and the train steps T1 to T5."""
    return [
        *(layers.dot(*shape) for shape in ((8, 8, 8), (32, 32, 32), (128, 784, 128), (512, 512, 512))),
        layers.dot_vectors(10_000),
        *(
            make(*shape)
            for shape in ((32, 64, 64), (128, 784, 128))
            for make in (layers.dense_forward, layers.dense_backward)
        ),
        *(layers.activation_forward(name, 1000, 10) for name in ("relu", "sigmoid", "tanh", "softmax")),
        *(layers.activation_backward(name, 1000, 10) for name in ("relu", "softmax")),
        *(passes.loss_forward(name, 1000, 10) for name in ("categorical_crossentropy", "mean_squared_error")),
        passes.merged_gradient(1000, 10),
        *(passes.optimizer_step(name, 118_000) for name in ("sgd", "adam")),
        passes.gather(1280, 784, 128),
        passes.dropout(300, 512),
        *norms.batch_norm(128, 128),
        *norms.layer_norm(128, 128),
        passes.penalty(100_000),
        *(train_step(NETS[name]) for name in ("T1", "T2", "T3", "T4", "T5")),
    ]


def call_cases() -> list[Case]:
    """Nothing but the way into the library and back."""
    return [
        layers.dot(1, 1, 1),
        layers.dense_forward(1, 1, 1),
        layers.activation_forward("relu", 1, 1),
        passes.optimizer_step("sgd", 1),
    ]


def main(vs: Sequence[str] = PEERS) -> int:
    """Print the table against the peers named, apart or with commas; return an exit code (2 where there are none such).

    Plain NumPy is set beside every kernel; other libraries beside whole steps, predictions and activations, by the
    files of a checkout's ``benchmarks``.
    """
    names = [name.strip().lower() for given in vs for name in given.split(",") if name.strip()]
    if all(name in PEERS for name in names):
        return measure.run_single_threaded("-m", "fastnn._bench")
    folder = benchmarks_folder()
    if folder is None:
        others = ", ".join(name for name in names if name not in PEERS)
        print(f"fastnn bench: {others}: only NumPy comes with the package; run from a checkout of fastnn, whose "
              "folder benchmarks/ has the other peers", file=sys.stderr)  # fmt: skip
        return 2
    return measure.run_single_threaded(str(folder / "short.py"), *names)


def benchmarks_folder() -> Path | None:
    """``benchmarks`` of the checkout that this package is in, or that is the current folder."""
    for root in (Path(fastnn.__file__).resolve().parents[2], Path.cwd()):
        if (root / "benchmarks" / "peers").is_dir() and (root / "src" / "fastnn" / "_bench").is_dir():
            return root / "benchmarks"
    return None


def report() -> int:
    """Measure and print, in a process whose BLAS is held to one thread."""
    with measure.pinned() as core:
        print(_conditions(core), HEADER, sep="\n\n", flush=True)
        ratios = [_print_line(case) for case in short_cases()]
        print("\nOne element, the cost of a call:", flush=True)
        for case in call_cases():
            _print_line(case)
    mean = float(np.exp(np.mean(np.log(ratios))))
    print(f"\nratio: NumPy's best time over fastnn's; above, geometric mean {mean:.1f}, smallest {min(ratios):.2f}.")
    print("of peak: FLOP/s of a register-only FMA loop, B/s of a copy within the second-level cache, timed with each.")
    return 0


def _print_line(case: Case) -> float:
    """Check that both sides of a line do the same work, measure and print it; returns the ratio."""
    work = case.make()
    error = 0.0 if work.error is None else work.error()
    if not error <= ERROR:
        raise ArithmeticError(f"{case.name}: fastnn and NumPy differ by {error:.1e}")
    result = measure.compare(work, seconds=SECONDS)
    print(line(case.name, result, unit="FLOP/s" if work.flops else "B/s"), flush=True)
    return result.ratio


def _conditions(core: int | None) -> str:
    where = "not pinned to a core (this platform cannot)" if core is None else f"pinned to core {core}"
    blas = "its BLAS held to one thread" if measure.is_single_threaded() else "its BLAS NOT held to one thread"
    return (
        f"{_core.cpu_name() or 'unknown processor'}, {where}\n"
        f"fastnn {fastnn.__version__} on {_core.active_isa()}, one thread; NumPy {np.__version__}, {blas}; float32\n"
        f"FMA peak {measure.fma_peak() / 1e9:.0f} GFLOP/s, copy {measure.copy_peak() / 1e9:.0f} GB/s"
    )


def line(name: str, result: Result, unit: str) -> str:
    """One row of the table."""
    numpy = result.numpy
    theirs = f"{duration(numpy.best):>10}{duration(numpy.median):>10}{result.ratio:>8.2f}" if numpy else f"{'':28}"
    return (
        f"{name:44}{duration(result.fastnn.best):>10}{duration(result.fastnn.median):>10}{theirs}"
        f"{result.rate / 1e9:>8.1f} G{unit:<6}{result.rate / result.peak:>7.0%}"
    )


def duration(seconds: float) -> str:
    """Three digits and a unit."""
    for unit, scale in (("s ", 1.0), ("ms", 1e-3), ("us", 1e-6), ("ns", 1e-9)):
        if seconds >= scale:
            value = seconds / scale
            return f"{value:.{0 if value >= 100 else 1 if value >= 10 else 2}f} {unit}"
    return "0 ns"
