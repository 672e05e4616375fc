"""What the sixteen promises share. Each is one file, ``g01_threads.py`` to ``g16_artefacts.py``, with

* ``PROMISE``, a line of text;
* ``prove(full)``, which tries it and returns a ``Figure``: in seconds, or in full, with the numbers of the promise;
* ``break_it(monkeypatch)``, which breaks one thing that it rests on, so that ``prove`` must fail: a proof that cannot
  fail proves nothing.

``test_promises.py`` runs the quick forms and the broken ones in the ordinary suite, ``prove.py`` the full ones
(``make prove``) and writes docs/guarantees.md.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import fastnn

ROOT = Path(__file__).resolve().parents[2]
TESTS = ROOT / "tests"


class Figure(NamedTuple):
    """passed, and the number that says so."""

    passed: bool
    text: str


class NotHereError(Exception):
    """What the proof needs is not on this machine; the text says what."""


def none_of(bad: int, of: int, what: str) -> Figure:
    """Nothing may be bad, and something must have been tried."""
    return Figure(bad == 0 and of > 0, f"{bad} of {of:,} {what}")


def digest(*arrays: Any) -> str:
    """SHA-256 over the bytes of arrays."""
    h = hashlib.sha256()
    for a in arrays:
        h.update(np.ascontiguousarray(a).data)
    return h.hexdigest()


def python(code: str, *arguments: str, env: Mapping[str, str] | None = None, timeout: float = 600) -> str:
    """What a fresh interpreter with this package prints; AssertionError with its words where it fails."""
    path = [str(Path(fastnn.__file__).resolve().parents[1]), str(TESTS), str(TESTS / "guarantees")]
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path), **(env or {})},
        capture_output=True, text=True, timeout=timeout,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout
