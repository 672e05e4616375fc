"""Libraries in turn: each in a process of its own, pinned to one core, one at a time, sample by sample.

All sides are checked against fastnn's results before one is timed; what differs by more than 1e-3 is refused.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any

import peers

import fastnn
from fastnn._bench import measure
from fastnn._bench.workload import TOLERANCE, Workload, differs

HERE = Path(__file__).resolve().parent
REFERENCE = "fastnn"
LONGEST_PEAK = 0.25  # seconds: the FMA peak is measured for as long as a sample, but no longer


class Process:
    """A worker; started at its first order."""

    def __init__(self, names: Sequence[str], threads: int, cores: Sequence[int]) -> None:
        self.names, self.threads, self.cores = names, threads, cores
        self.process: subprocess.Popen[str] | None = None

    def ask(self, **order: Any) -> dict[str, Any]:
        if self.process is None:
            environment = {**os.environ, **dict.fromkeys(measure.ONE_THREAD, str(self.threads))}
            package = str(Path(fastnn.__file__).resolve().parents[1])
            environment["PYTHONPATH"] = os.pathsep.join(filter(None, (os.environ.get("PYTHONPATH"), package)))
            if self.threads == 1:
                environment["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
            command = [sys.executable, str(HERE / "worker.py"), ",".join(self.names), "--threads", str(self.threads),
                       "--cores", ",".join(map(str, self.cores))]  # fmt: skip
            self.process = subprocess.Popen(
                command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        try:
            print(json.dumps(order), file=self.process.stdin, flush=True)
            line = self.process.stdout.readline()
        except BrokenPipeError:
            line = ""
        return json.loads(line) if line else {"left_out": f"failed: its process ended ({self.process.poll()})"}

    def end(self) -> None:
        if self.process is not None:
            assert self.process.stdin is not None
            self.process.stdin.close()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()


@dataclass
class Line:
    """A workload's samples: seconds of a step by side, and peaks: operations a second; a value a round of each."""

    title: str
    family: str
    flops: float
    samples: dict[str, list[float]] = field(default_factory=dict)
    peaks: list[float] = field(default_factory=list)
    errors: dict[str, float] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)


class Field:
    """The processes of all peers, with one number of threads, each on a processor of its own unless said otherwise."""

    def __init__(self, names: Iterable[str], threads: int = 1, processors: int | None = None) -> None:
        names = list(names)
        allowed = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
        self.threads = threads
        self.cores = allowed[-(processors or threads) :]  # the first core often serves the interrupts
        self.of: dict[str, Process] = {}
        for group in peers.PROCESSES:
            here = [name for name in group if name in names]
            process = Process(here, threads, self.cores)
            self.of.update(dict.fromkeys(here, process))

    def __enter__(self) -> Field:
        return self

    def __exit__(self, *_: object) -> None:
        for process in dict.fromkeys(self.of.values()):
            process.end()


@dataclass(frozen=True)
class Entrant:
    """One side of a line: a peer in a field, with the workload, as a name in the results."""

    label: str
    field: Field
    peer: str
    workload: Workload

    def ask(self, do: str, **more: Any) -> dict[str, Any]:
        return self.field.of[self.peer].ask(do=do, peer=self.peer, key=self.workload.key, **more)


def race(
    entrants: Sequence[Entrant], *, seconds: float, most: int = 15, least: int = 3, checked: int | None = None
) -> Line:
    """Samples of all entrants in turn, ``most`` rounds or for about so many seconds, at least ``least`` rounds.

    The first entrant is the reference. checked: at most so many steps of training are compared.
    """
    first = entrants[0].workload
    line = Line(first.title, first.family, first.flops)
    ready: list[Entrant] = []
    reference: Any = None
    length = 0.0  # of the reference's sample
    for entrant in entrants:
        answer = entrant.ask("prepare", checked=checked)
        if "left_out" in answer:
            line.left_out[entrant.label] = answer["left_out"]
            continue
        if reference is None:
            reference, length = answer["values"], answer["seconds"]
        error = differs(entrant.workload, answer["values"], reference)
        line.errors[entrant.label] = error
        if not error <= TOLERANCE:
            line.left_out[entrant.label] = (
                f"not timed: its results and those of {entrants[0].label} differ by {error:.1e}"
            )
            continue
        ready.append(entrant)
        line.samples[entrant.label] = []
    end, done = perf_counter() + seconds, 0
    gauge = next((e.field.of[REFERENCE] for e in entrants if REFERENCE in e.field.of), None)
    while ready and done < most and (done < least or perf_counter() < end):
        if first.flops and gauge is not None:
            answer = gauge.ask(do="peak", seconds=min(length, LONGEST_PEAK), dtype=first.dtype)
            line.peaks.append(answer.get("peak", 0.0))
        for entrant in ready[done % len(ready) :] + ready[: done % len(ready)]:  # none is always the first
            answer = entrant.ask("sample")
            line.samples[entrant.label].append(answer.get("seconds", float("nan")))
        done += 1
    for process in dict.fromkeys(e.field.of[e.peer] for e in entrants):
        for key in dict.fromkeys(e.workload.key for e in entrants):
            process.ask(do="drop", key=key)
    return line


def race_peers(field: Field, workload: Workload, names: Iterable[str] | None = None, **how: Any) -> Line:
    """The workload by every peer of the field, or by those named; fastnn is the reference."""
    wanted = list(field.of) if names is None else [name for name in names if name in field.of]
    ordered = [REFERENCE, *(name for name in peers.KNOWN if name in wanted and name != REFERENCE)]
    return race([Entrant(name, field, name, workload) for name in ordered], **how)
