"""G7. Every kernel x instruction set x sizes 1 to 300 x offsets 0 to 15 between pages that nobody may touch
(tests/c/guard_check.c), and the suite under AddressSanitizer and UndefinedBehaviorSanitizer without suppressions
(``make sanitize``), which the full form runs. neon is tried under emulation where that is installed, at every third
size; with ``make prove-release`` at every one.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from functools import lru_cache
from typing import Any

from promise import ROOT, TESTS, Figure, NotHereError

PROMISE = "no access out of bounds"
PROGRAM = TESTS / "c" / "run_guard.py"
RELEASE = os.environ.get("FASTNN_PROVE") == "release"


@lru_cache
def folder(full: bool) -> tempfile.TemporaryDirectory[str]:
    """Where the programs of this process are, until it ends."""
    return tempfile.TemporaryDirectory()


def guard(full: bool, *options: str) -> subprocess.CompletedProcess[str]:
    thin = ("--emulated", "1" if RELEASE else "3") if full else ("--native", "--quick", "--step", "149")
    command = [sys.executable, str(PROGRAM), "--folder", folder(full).name, *thin, *options]
    return subprocess.run(command, capture_output=True, text=True)


def sanitized_suite() -> tuple[bool, str]:
    # a PYTHONPATH would put another build of the package before the sanitized one
    env = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "FASTNN_PROVE")}
    done = subprocess.run(["make", "-C", str(ROOT), "sanitize"], env=env, capture_output=True, text=True)
    lines = [line for line in done.stdout.splitlines() if " passed" in line or " failed" in line]
    said = lines[-1].strip("= ") if lines else f"{done.stdout[-200:]} {done.stderr[-300:]}"
    return done.returncode == 0 and bool(lines), said


def prove(full: bool) -> Figure:
    if shutil.which(os.environ.get("CC", "cc").split()[0]) is None:
        raise NotHereError("a C compiler: set CC, or install one")
    done = guard(full)
    calls = [part.strip() for part in done.stdout.replace("\n", ";").split(";") if " calls" in part]
    text = f"{'; '.join(calls)}: {done.stdout.strip().splitlines()[-1] if done.stdout else done.stderr[-200:]}"
    passed = done.returncode == 0 and bool(calls)
    if full and passed:
        passed, said = sanitized_suite()
        text += f"; the suite under both sanitizers: {said}"
    return Figure(passed, text)


def break_it(monkeypatch: Any) -> None:
    """A kernel is told one element too many, and nobody expects it."""
    good = guard
    monkeypatch.setitem(globals(), "guard", lambda full: good(full, "--broken"))
