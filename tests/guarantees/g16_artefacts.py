"""G16. What is shipped: small, quick to import; in the full form, two wheels from two folders equal to the byte."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from promise import ROOT, Figure, NotHereError, python

import fastnn

PROMISE = "small, reproducible artefacts: a wheel below 5 MB, an import that adds less than NumPy's own, equal bytes"
WHEEL_BYTES = 5_000_000
CODE = """
import json, sys, time
start = time.perf_counter()
import numpy
middle = time.perf_counter()
import fastnn
end = time.perf_counter()
heavy = sorted({"json", "inspect", "hashlib", "tempfile", "safetensors", "matplotlib", "rich"} & set(sys.modules))
print(json.dumps([middle - start, end - middle, heavy]))
"""


def imports(repeats: int) -> tuple[float, float]:
    """(seconds of NumPy, seconds that fastnn adds), the least of so many fresh interpreters, compiled as installed."""
    with tempfile.TemporaryDirectory() as folder:
        compiled = {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": folder}
        took = [json.loads(python(CODE, env=compiled))[:2] for _ in range(repeats + 1)]
    return min(t[0] for t in took), min(t[1] for t in took)


def installed_bytes() -> int:
    """What the package's files come to, compressed as a wheel does it."""
    with tempfile.TemporaryDirectory() as folder:
        package = Path(fastnn.__file__).parent
        copy = Path(folder) / "fastnn"
        shutil.copytree(package, copy, ignore=shutil.ignore_patterns("__pycache__", "*.pyx", "*.c"))
        return Path(shutil.make_archive(str(Path(folder) / "wheel"), "zip", copy)).stat().st_size


def wheel(folder: Path) -> Path:
    """The wheel of a copy of the sources in this folder."""
    files = subprocess.run(["git", "-C", str(ROOT), "ls-files", "-z"], capture_output=True, text=True)
    if files.returncode:
        raise NotHereError("the repository: wheels are built from what git lists")
    for name in files.stdout.split("\0"):
        if name and (ROOT / name).is_file() and not name.startswith("docs/"):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    env = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | {"SOURCE_DATE_EPOCH": "1700000000"}
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", "dist", "."]
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-500:]
    return next((folder / "dist").glob("*.whl"))


def hashes() -> list[tuple[str, int]]:
    """(SHA-256, bytes) of wheels from two folders whose paths differ in length."""
    found = []
    for name in ("a", "another-folder-with-a-longer-name"):
        with tempfile.TemporaryDirectory() as folder:
            built = wheel(Path(folder) / name)
            found.append((hashlib.sha256(built.read_bytes()).hexdigest(), built.stat().st_size))
    return found


def prove(full: bool) -> Figure:
    numpy_takes, adds = imports(9 if full else 5)
    size = installed_bytes()
    text = f"import adds {adds * 1e3:.0f} ms to NumPy's {numpy_takes * 1e3:.0f}; {size / 1e6:.2f} MB"
    passed = adds < numpy_takes and size < WHEEL_BYTES
    if full and passed:
        (first, first_size), (second, _) = hashes()
        passed = first == second and first_size < WHEEL_BYTES
        text += (
            f"; wheel {first_size / 1e6:.2f} MB, {'equal' if first == second else 'DIFFERENT'} bytes from two folders"
        )
    return Figure(passed, text)


def break_it(monkeypatch: Any) -> None:
    """Six megabytes that do not compress come along."""
    good = installed_bytes
    monkeypatch.setitem(globals(), "installed_bytes", lambda: good() + 6_000_000)
