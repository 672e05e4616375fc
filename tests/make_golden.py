"""Writes golden.json: the SHA-256 of every contract model, on the scalar table.

    python tests/make_golden.py            writes the file
    python tests/make_golden.py --check    says which differ on any table that runs here, and writes nothing

The hashes change only where bits change. That is never an accident: a commit that changes this file says why.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from contract_models import CASES, build, signature, train

from fastnn import _core

PATH = Path(__file__).with_name("golden.json")


def compute(isa: str) -> dict[str, str]:
    _core.use_isa(isa)
    return {
        f"{name}, {dtype}": signature(name, train(name, build(name, dtype)))
        for name in CASES
        for dtype in ("float32", "float64")
    }


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
    now = compute("scalar")
    PATH.write_text(json.dumps(now, indent=1, sort_keys=True) + "\n")
    print(f"{len(now)} hashes in {PATH.name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
