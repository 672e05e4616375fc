"""G12. A process that saves is killed at random moments: after each the file is whole, the old one or the new one. In
the full form every bit of a file is flipped as well, and each is found, which the ordinary suite has as a test of its
own (tests/test_file_kills.py, test_file_mutants.py).
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import test_file_kills as kills
import test_file_mutants as mutants
from promise import Figure

PROMISE = "saves are atomic, corruption is seen"


def prove(full: bool) -> Figure:
    count = 1000 if full else 40
    with tempfile.TemporaryDirectory() as folder:
        try:
            within = kills.saves_survive(count, Path(folder), seed=12)
            if full:
                mutants.test_every_flipped_byte_is_found()
        except (AssertionError, ValueError) as error:
            return Figure(False, f"{type(error).__name__}: {str(error)[:200]}")
    text = f"0 bad files of {count:,} kills, {within} of them amid the writing"
    return Figure(within > 0, text + (f"; {len(mutants.plain()) * 9:,} flips all seen" if full else ""))


def break_it(monkeypatch: Any) -> None:
    """A file that was saved is found cut short."""
    good = kills.Model.load

    def bad(path: Any, **options: Any) -> Any:
        blob = Path(path).read_bytes()
        Path(path).write_bytes(blob[:-1])
        return good(path, **options)

    monkeypatch.setattr(kills.Model, "load", staticmethod(bad))
