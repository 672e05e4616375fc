"""Valgrind's memcheck over the kernels and a training: tests/c/run_memcheck.py has it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "c"))

import run_memcheck  # noqa: E402

REPORT = """\
==7== Invalid read of size 8
==7==    at 0x10: fnn_gemm (in /there/src/fastnn/_core.cpython-311-x86_64-linux-gnu.so)
==7==    by 0x20: PyEval (in /usr/bin/python3)
==7==
==7== Conditional jump or move depends on uninitialised value(s)
==7==    at 0x30: wcsnlen (in /usr/lib/libc.so)
==7==    by 0x40: PyEval (in /there/fastnn/venv/bin/python3)
"""


def test_only_errors_in_our_modules_count() -> None:
    found = run_memcheck.ours(REPORT)
    assert len(found) == 1
    assert "Invalid read" in found[0]
    assert run_memcheck.ours(REPORT.replace("fastnn/_core", "numpy/_core")) == []


@pytest.mark.slow  # some ten minutes
@pytest.mark.skipif(shutil.which("valgrind") is None, reason="valgrind is not installed")
def test_memcheck_finds_nothing() -> None:
    done = subprocess.run([sys.executable, str(HERE / "c" / "run_memcheck.py")], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
