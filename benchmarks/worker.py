"""A process in which one or a few libraries run what they are told, a sample at a time; started by ``rounds``.

    python benchmarks/worker.py PEERS --threads N --cores 1[,0]

It pins itself before a library is loaded, reads a line of JSON, does it, and writes one.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import sys
import timeit
import traceback
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))  # python -P and PYTHONSAFEPATH leave it out

LOOPED = 2e-3  # seconds: a sample repeats short work for at least so long
RESTARTED = 0.05  # seconds: training shorter than that starts anew before each sample


class Worker:
    def __init__(self, names: list[str], threads: int) -> None:
        import peers
        from workloads import ALL

        self.workloads = ALL
        self.peers = {name: peers.load(name, threads) for name in names}
        self.sides: dict[tuple[str, str], tuple[Any, int, bool]] = {}

    def prepare(self, peer: str, key: str, checked: int | None = None) -> dict[str, Any]:
        """Make a side; gives what it computes, to be compared, or why it cannot."""
        from dataclasses import replace

        from fastnn._bench.workload import NotExpressibleError, Train

        workload = self.workloads[key]
        if isinstance(workload, Train) and checked is not None:
            workload = replace(workload, checked=min(checked, workload.checked))
        try:
            side = workload.side(self.peers[peer])
        except NotExpressibleError as reason:
            return {"left_out": f"not expressible: {reason}"}
        values = side.check().tolist()
        if side.restart is not None:
            side.restart()
        side.call()
        loops, taken = 1, timeit.Timer(side.call).timeit(1)
        while taken < LOOPED:
            loops *= 2 if taken * 10 > LOOPED else 10
            taken = timeit.Timer(side.call).timeit(loops)
        self.sides[peer, key] = side, loops, taken > RESTARTED
        return {"values": values, "seconds": taken}

    def sample(self, peer: str, key: str) -> dict[str, Any]:
        """Seconds of a step."""
        side, loops, is_long = self.sides[peer, key]
        if not is_long:
            if side.restart is not None:
                side.restart()
            side.call()  # into the caches
        return {"seconds": timeit.Timer(side.call).timeit(loops) / (loops * side.steps)}

    def peak(self, seconds: float, dtype: str) -> dict[str, Any]:
        """Operations a second of register-only FMAs, over so many seconds."""
        from fastnn._bench.measure import fma_peak

        return {"peak": fma_peak(seconds, dtype)}

    def drop(self, key: str) -> dict[str, Any]:
        """Forget a workload's sides."""
        self.sides = {which: side for which, side in self.sides.items() if which[1] != key}
        gc.collect()
        return {}


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("peers", type=lambda text: text.split(","))
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--cores", type=lambda text: [int(core) for core in text.split(",") if core], required=True)
    arguments = parser.parse_args()
    if arguments.cores and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, set(arguments.cores))
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a library prints is not an answer
    worker = Worker(arguments.peers, arguments.threads)
    for line in sys.stdin:
        order = json.loads(line)
        try:
            answer = getattr(worker, order.pop("do"))(**order)
        except Exception as error:
            traceback.print_exc()
            answer = {"left_out": f"failed: {type(error).__name__}: {error}".splitlines()[0][:200]}
        print(json.dumps(answer), file=answers, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
