"""Writes golden.json: the SHA-256 of every contract model, on the scalar table.

    python tests/make_golden.py            writes the file
    python tests/make_golden.py --check    says which differ, and writes nothing

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


def compute() -> dict[str, str]:
    _core.use_isa("scalar")
    return {
        f"{name}, {dtype}": signature(name, train(name, build(name, dtype)))
        for name in CASES
        for dtype in ("float32", "float64")
    }


def main() -> int:
    now = compute()
    if "--check" in sys.argv[1:]:
        before = json.loads(PATH.read_text())
        differ = sorted(key for key in now.keys() | before.keys() if now.get(key) != before.get(key))
        print("\n".join(f"differs: {key}" for key in differ) or "all as stored")
        return 1 if differ else 0
    PATH.write_text(json.dumps(now, indent=1, sort_keys=True) + "\n")
    print(f"{len(now)} hashes in {PATH.name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
