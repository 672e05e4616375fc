"""G7. Every kernel x instruction set x sizes 1 to 300 x offsets 0 to 15 between pages that nobody may touch
(tests/c/guard_check.c, neon under emulation where that is installed), and the suite under AddressSanitizer and
UndefinedBehaviorSanitizer without suppressions (``make sanitize``), which the full form runs.
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

from promise import ROOT, TESTS, Figure, NotHereError

PROMISE = "no access out of bounds"
PROGRAM = TESTS / "c" / "run_guard.py"


@lru_cache
def folder(full: bool) -> tempfile.TemporaryDirectory[str]:
    """Where the programs of this process are, until it ends."""
    return tempfile.TemporaryDirectory()


def guard(full: bool, *options: str) -> subprocess.CompletedProcess[str]:
    thin = () if full else ("--native", "--quick", "--step", "149")
    command = [sys.executable, str(PROGRAM), "--folder", folder(full).name, *thin, *options]
    return subprocess.run(command, capture_output=True, text=True)


def sanitized_suite(tests: Sequence[str]) -> tuple[bool, str]:
    """Whether these tests (none: all) pass under the sanitizers, and what pytest says last."""
    # a PYTHONPATH would put another build of the package before the sanitized one
    env = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "FASTNN_PROVE", "MAKEFLAGS")}
    command = ["make", "-C", str(ROOT), "sanitize", f"SANITIZE={' '.join(tests)}"]
    done = subprocess.run(command, env=env, capture_output=True, text=True)
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
        tests = () if os.environ.get("FASTNN_PROVE") == "release" else SANITIZED
        passed, said = sanitized_suite(tests)
        text += f"; sanitizers, {f'{len(tests)} files' if tests else 'the whole suite'}: {said}"
    return Figure(passed, text)


def break_it(monkeypatch: Any) -> None:
    """A kernel is told one element too many, and nobody expects it."""
    good = guard
    monkeypatch.setitem(globals(), "guard", lambda full: good(full, "--broken"))
