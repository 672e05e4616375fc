"""G11. Loading runs no code, opens no other path, takes no more than the file and 16 MB: structured mutants of files of
every kind give a model or a FormatError (tests/file_mutants.py); an audit hook watches and, in full, the peak of memory
(tests/test_file_memory.py).

A million mutants in the full form; with FASTNN_PROVE=release fifty million (two hours on two processors).
"""

from __future__ import annotations

import gc
import os
import tempfile
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import test_file_memory as memory
import test_file_mutants as mutants
from promise import Figure

PROMISE = "loading never runs code, opens another path, or takes more than the file and 16 MB"
PIECE = 10_000


def settle() -> None:
    """What this module imports lives on: else each collection of the process looks at it again."""
    gc.freeze()


def behave(count: int, seed: int) -> int:
    """Try so many mutants; what one of them does besides a FormatError is raised. How many loaded."""
    with tempfile.TemporaryDirectory() as folder:
        before = Path.cwd()
        os.chdir(folder)
        try:
            return mutants.mutants_behave(count, seed)
        finally:
            os.chdir(before)


def prove(full: bool) -> Figure:
    pieces = (5000 if os.environ.get("FASTNN_PROVE") == "release" else 100) if full else 0
    tried = pieces * PIECE if full else 1500
    try:
        if full:
            with ProcessPoolExecutor(mp_context=get_context("spawn"), initializer=settle) as pool:
                loaded = sum(pool.map(behave, [PIECE] * pieces, range(1000, 1000 + pieces)))
        else:
            loaded = behave(tried, 7)
        with tempfile.TemporaryDirectory() as folder:
            memory.test_loading_opens_one_path_once_and_runs_nothing(Path(folder))
        with tempfile.TemporaryDirectory() as folder:
            if full:
                memory.test_a_large_model_takes_no_more_than_its_file(Path(folder))
    except Exception as error:
        notes = "; ".join(getattr(error, "__notes__", ()))
        return Figure(False, f"{type(error).__name__}: {str(error)[:200]} {notes}")
    text = f"{tried:,} mutants: {loaded:,} load, the others a FormatError; one open of one path, no exec, no import"
    return Figure(0 < loaded < tried, text)


def break_it(monkeypatch: Any) -> None:
    """One mutant raises something else."""
    good, calls = mutants.try_out, iter(range(10**9))

    def bad(blob: bytes, data: Any) -> bool:
        if next(calls) == 100:
            raise KeyError("layers")
        return good(blob, data)

    monkeypatch.setattr(mutants, "try_out", bad)
