"""G11. Loading runs no code, opens no other path, takes no more than the file and 16 MB: structured mutants of files of
every kind give a model or a FormatError (tests/file_mutants.py); an audit hook watches and, in full, the peak of memory
(tests/test_file_memory.py).

A million mutants in the full form; with FASTNN_PROVE=release fifty million (two hours on two processors). The full form
has two more ways to look for what no list of mutants has: the coverage-guided fuzzers of models, ONNX, CSV and NPZ
(tests/fuzz) for FUZZ_SECONDS each, and STATE_ORDERS orders of calls of the model's methods
(tests/test_state_machine.py).
"""

from __future__ import annotations

import gc
import importlib.util
import os
import subprocess
import sys
import tempfile
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import test_file_memory as memory
import test_file_mutants as mutants
from promise import ROOT, TESTS, Figure, NotHereError, python

PROMISE = "loading never runs code, opens another path, or takes more than the file and 16 MB"
PIECE = 10_000
FUZZ_SECONDS, STATE_ORDERS = 20, 400


def settle() -> None:
    """What this module imports lives on: else each collection of the process looks at it again."""
    gc.freeze()


def behave(count: int, seed: int) -> Counter[str]:
    """Try so many mutants; what one of them does besides a FormatError is raised. How many came how far."""
    with tempfile.TemporaryDirectory() as folder:
        before = Path.cwd()
        os.chdir(folder)
        try:
            return mutants.mutants_behave(count, seed)
        finally:
            os.chdir(before)


def fuzz() -> tuple[bool, str]:
    """What the fuzzers found."""
    found = []
    for target in ("model", "onnx", "csv", "npz"):
        command = [sys.executable, str(TESTS / "fuzz" / f"fuzz_{target}.py"), "--seconds", str(FUZZ_SECONDS)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        if done.returncode:
            lines = done.stderr.strip().splitlines() or ["?"]  # the last is a statistic
            found.append(f"{target}: {next((line for line in lines if 'Error' in line), lines[-1])[:200]}")
    return not found, "; ".join(found) or f"4 fuzzers of {FUZZ_SECONDS} s each find nothing"


def orders() -> tuple[bool, str]:
    """What any order of calls does to a model, in an interpreter that may die of it."""
    code = f"import test_state_machine as t\nt.run({STATE_ORDERS}, 50, 1)"
    try:
        python(code, timeout=1200)
    except AssertionError as error:
        return False, f"an order of calls fails: {str(error)[-300:]}"
    return True, f"{STATE_ORDERS} orders of 50 calls survived"


def prove(full: bool) -> Figure:
    if full and importlib.util.find_spec("atheris") is None:
        raise NotHereError("atheris: pip install '.[fuzz]'")
    pieces = (5000 if os.environ.get("FASTNN_PROVE") == "release" else 100) if full else 0
    tried = pieces * PIECE if full else 1500
    try:
        if full:
            with ProcessPoolExecutor(mp_context=get_context("spawn"), initializer=settle) as pool:
                came = sum(pool.map(behave, [PIECE] * pieces, range(1000, 1000 + pieces)), Counter())
        else:
            came = behave(tried, 7)
        with tempfile.TemporaryDirectory() as folder:
            memory.test_loading_opens_one_path_once_and_runs_nothing(Path(folder))
        with tempfile.TemporaryDirectory() as folder:
            if full:
                memory.test_a_large_model_takes_no_more_than_its_file(Path(folder))
    except Exception as error:
        notes = "; ".join(getattr(error, "__notes__", ()))
        return Figure(False, f"{type(error).__name__}: {str(error)[:200]} {notes}")
    text = (
        f"{tried:,} mutants: {came['trained']:,} load and train, {came['loaded']:,} load and say what they lack, the "
        "others a FormatError; one open of one path, no exec, no import"
    )
    passed = min(came["trained"], came["refused"]) > 0 and came.total() == tried
    for check in (fuzz, orders) if full and passed else ():
        good, said = check()
        passed, text = passed and good, f"{text}; {said}"
    return Figure(passed, text)


def break_it(monkeypatch: Any) -> None:
    """One mutant raises something else."""
    good, calls = mutants.try_out, iter(range(10**9))

    def bad(blob: bytes) -> str:
        if next(calls) == 100:
            raise KeyError("layers")
        return good(blob)

    monkeypatch.setattr(mutants, "try_out", bad)
