"""Writes golden.json: the SHA-256 of every contract model, on the scalar table; and golden_kernels.json: hashes of
every kernel's results over many shapes, from Python and, by a C compiler, from C.

    python tests/make_golden.py            writes the files
    python tests/make_golden.py --check    says which models differ on any table that runs here, and writes nothing

The hashes change only where bits change. That is never an accident: a commit that changes this file says why.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from contract_models import CASES, build, signature, train

from fastnn import _core

PATH = Path(__file__).with_name("golden.json")
KERNELS = Path(__file__).with_name("golden_kernels.json")


def compute(isa: str) -> dict[str, str]:
    _core.use_isa(isa)
    return {
        f"{name}, {dtype}": signature(name, train(name, build(name, dtype)))
        for name in CASES
        for dtype in ("float32", "float64")
    }


def kernels() -> dict[str, str]:
    """On the scalar table."""
    if not KERNELS.is_file():
        KERNELS.write_text("{}")
    sys.path.insert(0, str(Path(__file__).parent / "guarantees"))
    import elsewhere
    import g03_instruction_sets as g03

    g03.TABLES = ("scalar",)
    program = elsewhere.kernel_program(os.environ.get("CC", "cc").split()[-1], "-O2")
    results = elsewhere.kernel_results(program, "scalar", g03.SHAPES)
    found = {g03.in_c(dtype, kernel): result.hash for (_, dtype, kernel), result in results.items()}
    return found | {name: next(iter(one)) for name, one in g03.few_kernels().items()}


def main() -> int:
    if "--check" in sys.argv[1:]:
        before, worst = json.loads(PATH.read_text()), 0
        for isa in _core.available_isas():
            if isa == "sse2":  # outside the contract
                continue
            now = compute(isa)
            differ = sorted(key for key in now.keys() | before.keys() if now.get(key) != before.get(key))
            print(
                "\n".join(f"{isa} differs: {key}" for key in differ) or f"{isa}: all {len(now)} as stored", flush=True
            )
            worst = max(worst, len(differ) > 0)
        return worst
    for path, now in ((PATH, compute("scalar")), (KERNELS, kernels())):
        path.write_text(json.dumps(now, indent=1, sort_keys=True) + "\n")
        print(f"{len(now)} hashes in {path.name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
