"""G7. Every kernel x instruction set x sizes 1 to 300 x offsets 0 to 15 between pages that nobody may touch
(tests/c/guard_check.c), and the suite under AddressSanitizer and UndefinedBehaviorSanitizer without suppressions
(``make sanitize``): in full the files of SANITIZED, which reach every kernel, layer, loss, optimizer and reader
of files; then valgrind's memcheck over a short list of kernels and a training, and long service: a million predictions
and ten thousand trainings in flat memory. neon is tried under emulation, at every third size. ``make prove-release``
runs the whole suite, and neon at every size.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import elsewhere
import test_soak
from elsewhere import needed
from promise import ROOT, TESTS, Figure, NotHereError

PROMISE = "no access out of bounds, and no memory that grows"
PROGRAM = TESTS / "c" / "run_guard.py"
MEMCHECK = TESTS / "c" / "run_memcheck.py"
SHORT = ("--isa", "avx2", "--sizes", "30", "--step", "14")
SERVICE = {"predictions": 1_000_000, "trainings": 10_000}
RELEASE = os.environ.get("FASTNN_PROVE") == "release"
SANITIZED = (
    "guarantees/test_sanitized", "test_activations", "test_losses", "test_optimizers", "test_dense", "test_norm",
    "test_norm_layers", "test_noise", "test_dot", "test_updates", "test_metrics", "test_chunks", "test_training",
    "test_graph", "test_many", "test_threads", "test_stream", "test_session", "test_files", "test_file_mutants",
    "test_onnx_import", "test_data", "test_bad_input", "test_dlpack",
)  # fmt: skip


@lru_cache
def folder(full: bool) -> tempfile.TemporaryDirectory[str]:
    """Where the programs of this process are, until it ends."""
    return tempfile.TemporaryDirectory()


def guard(full: bool, *options: str) -> subprocess.CompletedProcess[str]:
    thin = ("--emulated", "1" if RELEASE else "3") if full else ("--native", "--quick", "--step", "149")
    command = [sys.executable, str(PROGRAM), "--folder", folder(full).name, *thin, *options]
    return subprocess.run(command, capture_output=True, text=True)


def sanitized_suite(tests: Sequence[str]) -> tuple[bool, str]:
    """Whether these tests (none: all) pass under the sanitizers, and what pytest says last."""
    # a PYTHONPATH would put another build of the package before the sanitized one
    env = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "FASTNN_PROVE")}
    command = ["make", "-C", str(ROOT), "sanitize", f"SANITIZE={' '.join(tests)}"]
    done = subprocess.run(command, env=env, capture_output=True, text=True)
    lines = [line for line in done.stdout.splitlines() if " passed" in line or " failed" in line]
    said = lines[-1].strip("= ") if lines else f"{done.stdout[-200:]} {done.stderr[-300:]}"
    return done.returncode == 0 and bool(lines), said


def memcheck() -> tuple[bool, str]:
    """Valgrind over some sizes, and a training."""
    done = subprocess.run([sys.executable, str(MEMCHECK), *SHORT], capture_output=True, text=True)
    return done.returncode == 0, " ".join(done.stdout.strip().splitlines()[-1:]) or done.stderr[-200:]


def soak() -> tuple[bool, str]:
    """Growth of resident memory over long service."""
    grown = {work: test_soak.growth(work, count) for work, count in SERVICE.items()}
    said = ", ".join(f"{SERVICE[work]:,} {work} {max(bytes_, 0) >> 10} KB more" for work, bytes_ in grown.items())
    return max(grown.values()) < test_soak.GROWTH, said


def prove(full: bool) -> Figure:
    if full:
        needed("valgrind", elsewhere.ARM64[0], elsewhere.CROSS)
    if shutil.which(os.environ.get("CC", "cc").split()[0]) is None:
        raise NotHereError("a C compiler: set CC, or install one")
    done = guard(full)
    calls = [part.strip() for part in done.stdout.replace("\n", ";").split(";") if " calls" in part]
    text = f"{'; '.join(calls)}: {done.stdout.strip().splitlines()[-1] if done.stdout else done.stderr[-200:]}"
    passed = done.returncode == 0 and bool(calls)
    if full and passed:
        tests = [] if RELEASE else [f"tests/{name}.py" for name in SANITIZED]
        passed, said = sanitized_suite(tests)
        text += f"; {f'{len(tests)} files of the suite' if tests else 'the suite'} under both sanitizers: {said}"
        for name, check in (("memcheck", memcheck), ("long service", soak)):
            good, said = check()
            passed, text = passed and good, f"{text}; {name}: {said}"
    return Figure(passed, text)


def break_it(monkeypatch: Any) -> None:
    """A kernel is told one element too many, and nobody expects it."""
    good = guard
    monkeypatch.setitem(globals(), "guard", lambda full: good(full, "--broken", "BREAK"))
