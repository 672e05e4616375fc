"""Valgrind's memcheck, without suppressions: every kernel on heap blocks of exact sizes, and a training in Python.

python tests/c/run_memcheck.py                  tables that valgrind knows (scalar, sse2, avx2; no AVX-512), then Python
python tests/c/run_memcheck.py --isa avx2 --step 37 --no-python

A read or write out of bounds or of freed memory, and what depends on memory that was never written, are errors. A
build in which one call is given a size too much has to be found. Of the interpreter's run, those errors count that have
a frame in the package's own modules: CPython and NumPy are others' business. Exit 0 if all is well; 77 where there is
no valgrind.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import run_guard

HERE = Path(__file__).resolve().parent
ROOT = run_guard.CSRC.parent
ISAS = ("scalar", "sse2", "avx2")
MEMCHECK = ["valgrind", "-q", "--error-exitcode=9", "--exit-on-first-error=no", "--num-callers=30", "--leak-check=no"]
TRAINING = """
import sys
sys.path.insert(0, %(src)r)
import numpy as np
from fastnn import BatchNorm, Dense, Dropout, LayerNorm, Model, Residual, _core
_core.use_isa(%(isa)r)
X, y = np.random.default_rng(0).standard_normal((23, 4)).astype(np.float32), np.arange(23) %% 3
model = Model([Dense(4, 9, activation="gelu"), Dropout(0.2), BatchNorm(), Residual([LayerNorm(), Dense(9)]),
               Dense(3, activation="softmax")], seed=0)
model.set(loss="categorical_crossentropy", optimizer="adam", metrics=["f1"])
model.train(X, y, epochs=2, batch_size=5, shuffle=True, validation_data=(X, y))
session = model.session()
assert np.array_equal(session(X), model.predict(X, batch_size=7)) and np.array_equal(session(X[3]), session(X)[3])
assert np.array_equal(Model.from_bytes(model.to_bytes()).predict(X), model.predict(X))
"""


def kernels(isa: str, sizes: int, step: int, folder: str) -> list[str]:
    """What is wrong: nothing, where all is well."""
    good, reads, writes = run_guard.build(folder, os.environ.get("CC", "gcc"), ["-O2", "-g", "-DHEAP"])
    wrong = []
    done = run_guard.run(MEMCHECK, good, isa, str(sizes), str(step))
    print(f"memcheck: {done.stdout.strip() or 'nothing was called'}", flush=True)
    if done.returncode or " calls" not in done.stdout:
        wrong.append(f"{isa}: memcheck says\n{done.stderr[-4000:]}")
    for what, broken in (("read", reads), ("write", writes)):
        found = run_guard.run(MEMCHECK, broken, isa, "20", "7")
        if found.returncode != 9 or f"Invalid {what}" not in found.stderr:
            wrong.append(
                f"{isa}: the {what} out of bounds that is there on purpose was not found: {found.stderr[-1000:]}"
            )
    return wrong


def ours(report: str) -> list[str]:
    """The errors of a report that have a frame in the package's modules, as blocks of lines."""
    blocks = re.split(r"(?m)^==\d+== *$", report)
    return [block for block in blocks if re.search(r"(?m)^==\d+== +(at|by) 0x.*/fastnn/[^ ]*\.so\)", block)]


def training(isa: str) -> list[str]:
    in_place = any((ROOT / "src" / "fastnn").glob("_core*.so"))  # else what is installed
    code = TRAINING % {"src": str(ROOT / "src" if in_place else HERE), "isa": isa}
    done = subprocess.run(
        [*MEMCHECK, sys.executable, "-c", code], env=os.environ | {"PYTHONMALLOC": "malloc", "OMP_NUM_THREADS": "1"},
        capture_output=True, text=True,
    )  # fmt: skip
    found = ours(done.stderr)
    print(f"memcheck: a training in Python on {isa}: {len(found)} errors of the package", flush=True)
    if done.returncode not in (0, 9) or "Traceback" in done.stderr:
        return [f"the training ended with {done.returncode}: {done.stderr[-2000:]}"]
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--isa", choices=ISAS, action="append")
    parser.add_argument("--sizes", type=int, default=70)
    parser.add_argument("--step", type=int, default=9)
    parser.add_argument("--no-python", action="store_true")
    args = parser.parse_args()
    if shutil.which("valgrind") is None:
        print("valgrind is not installed")
        return 77
    wrong: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        for isa in args.isa or ISAS:
            wrong += kernels(isa, args.sizes, args.step, folder)
    if not args.no_python:
        wrong += training((args.isa or ISAS)[-1])
    print("\n".join(wrong) or "all is well")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
