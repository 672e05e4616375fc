"""Where each microsecond of a train step goes: ``python benchmarks/where_time_goes.py [T1 T3 ...]``.

Needs Linux's perf and an installation whose library has its symbols (a wheel built here, or in place). Each step runs
alone on one core; perf's samples within fastnn are shared out over the step's time, by the kernel they fall into.
Beside them stands the bound: the products at the peak of the fused multiply-adds, and Adam by itself, which waits for
the square root and the division and not for the caches; both measured right before.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from time import perf_counter

import numpy as np

import fastnn
from fastnn._bench.measure import fma_peak
from fastnn._bench.steps import NETS
from fastnn.kernels.optimizers import optimizer_step

SECONDS = 3.0
# the first pattern that fits names the part; * is what is left
PARTS = {
    "forward, dX": r"tile_r_|shallow_|dot_rows|narrow_|short_",
    "dW": r"tile_c_",
    "optimizer": r"opt_|fnn_powi",
    "packing": r"pack_|transpose|memmove|memcpy",
    "activations": r"act_|softmax",
    "bias sums": r"column_sums",
    "loss, accuracy": r"loss_|metric|residual|^sum$",
    "dropout, penalty": r"dropout|philox|multiply|penalty|twister",
    "rows in": r"gather|permutation|load_",
    "drivers": r"",
}
NOT_THE_STEP = r"fnn_(log|normal|cos|sin|sqrt|uniform)"  # initial weights


def train_for(name: str, seconds: float) -> float:
    """Seconds of one step: the least over many calls."""
    net = NETS[name]
    model, (X, y) = net.model(), net.data(net.rows)
    least, end = float("inf"), perf_counter() + seconds
    while perf_counter() < end:
        start = perf_counter()
        model.train(X, y, epochs=net.epochs, batch_size=net.batch)
        least = min(least, (perf_counter() - start) / net.steps)
    return least


def peak() -> float:
    """Floating-point operations a second of fused multiply-adds in registers."""
    return max(fma_peak() for _ in range(20))


def adam_per_parameter() -> float:
    """Seconds a parameter takes."""
    w, g, a, b = (np.full(1 << 15, 0.01, np.float32) for _ in range(4))
    best = float("inf")
    for _ in range(200):
        start = perf_counter()
        optimizer_step("adam", w, g, a, b, 1e-6, (0.9, 0.999, 1e-7), 1000)
        best = min(best, (perf_counter() - start) / w.size)
    return best


def samples(name: str) -> dict[str, float]:
    """{symbol: share} of the samples that fell into fastnn."""
    with tempfile.TemporaryDirectory() as folder:
        data = str(Path(folder, "perf.data"))
        child = [sys.executable, __file__, "--run", name]
        record = ["perf", "record", "-q", "-e", "cpu-clock", "-F", "5000", "-o", data, "--", *child]
        subprocess.run(record, check=True, capture_output=True)
        report = ["perf", "report", "-q", "-i", data, "--no-children", "-F", "sample,dso,symbol"]
        lines = subprocess.run(report, check=True, capture_output=True, text=True).stdout.splitlines()
    ours = {p.name for p in Path(fastnn.__file__).parent.rglob("*.so")}
    found: dict[str, float] = defaultdict(float)
    for line in lines:
        if (m := re.match(r"\s*(\d+)\s+(\S+)\s+\[.\] (\S+)", line)) and (m[2] in ours or "memmove" in m[3]):
            if re.match(NOT_THE_STEP, m[3]):
                continue
            found[m[3]] += int(m[1])
    total = sum(found.values())
    return {symbol: n / total for symbol, n in found.items()}


def parts(shares: dict[str, float]) -> dict[str, float]:
    out = dict.fromkeys(PARTS, 0.0)
    for symbol, share in shares.items():
        out[next(part for part, pattern in PARTS.items() if re.search(pattern, symbol))] += share
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description="where each microsecond of a train step goes")
    parser.add_argument("names", nargs="*", help="train steps (default: all)")
    parser.add_argument("--run", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    fastnn.set_num_threads(1)
    if arguments.run:
        train_for(arguments.run, SECONDS)
        return
    names = arguments.names or list(NETS)
    print(f"| step | us | bound | {' | '.join(PARTS)} |")
    print(f"|---|---|---|{'---|' * len(PARTS)}")
    for name in names:
        net, fmas, adam = NETS[name], peak(), adam_per_parameter()
        step = train_for(name, SECONDS)
        size = sum((a + 1) * b for a, b in zip(net.widths, net.widths[1:], strict=False))
        bound = net.flops / max(fmas, peak()) + size * adam
        cells = [f"{share * step * 1e6:.3g}" for share in parts(samples(name)).values()]
        print(f"| {name} | {step * 1e6:.4g} | {bound * 1e6:.4g} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
