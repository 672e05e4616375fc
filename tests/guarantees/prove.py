"""``make prove``: all sixteen promises in full, one after another, each in a process of its own; writes
docs/guarantees.md.

python tests/guarantees/prove.py [g01 g07 ...] [--quick]     some of them, or the forms of the ordinary suite; then the
page stays as it is.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

from promise import ROOT, NotHereError  # noqa: E402

import fastnn  # noqa: E402

PAGE = ROOT / "docs" / "guarantees.md"
LIMIT = 3600  # seconds for all


def one(row: str, full: bool) -> dict[str, Any]:
    """The row's result, in this process."""
    module, began = importlib.import_module(row), time.monotonic()
    try:
        passed, text = module.prove(full)
    except NotHereError as missing:
        passed, text = False, f"not proven here: {missing}"
    except Exception as error:
        passed, text = False, f"{type(error).__name__}: {error}"[:300]
    return {"row": row, "promise": module.PROMISE, "passed": passed, "text": text, "seconds": time.monotonic() - began}


def in_a_process(row: str, full: bool, seconds: float) -> dict[str, Any]:
    command = [sys.executable, __file__, "--row", row] + ([] if full else ["--quick"])
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds)
        result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return result
    except subprocess.TimeoutExpired:
        text = f"not through in {seconds:.0f} s"
    except (IndexError, ValueError):
        text = f"the process ended with {done.returncode}: {done.stderr[-200:]}"
    return {
        "row": row,
        "promise": importlib.import_module(row).PROMISE,
        "passed": False,
        "text": text,
        "seconds": seconds,
    }


def machine() -> str:
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        lines = [line for line in cpuinfo.read_text().splitlines() if line.startswith("model name")]
        model = lines[0].split(":")[1].strip() if lines else model
    system = f"{platform.system()} {platform.machine()}, Python {platform.python_version()}"
    return f"{model}, {os.cpu_count()} processors, {system}"


def table(results: list[dict[str, Any]]) -> str:
    lines = ["| | promise | figure | | minutes |", "|---|---|---|---|---|"]
    for r in results:
        state = "pass" if r["passed"] else "**FAIL**"
        text = " ".join(r["text"].replace("|", "/").split())
        lines.append(f"| G{int(r['row'][1:3])} | {r['promise']} | {text} | {state} | {r['seconds'] / 60:.1f} |")
    return "\n".join(lines)


def page(results: list[dict[str, Any]]) -> str:
    total = sum(r["seconds"] for r in results) / 60
    return (
        "# What fastnn promises, and what it measured\n\n"
        "Each promise is one file in `tests/guarantees/`, with a quick form in the ordinary suite, the full one\n"
        "behind `make prove`, and a sabotage that shows that the proof can fail. Made by `make prove`.\n\n"
        f"{datetime.now(UTC):%Y-%m-%d}, fastnn {fastnn.__version__}, {machine()}; {total:.0f} minutes in all.\n\n"
        f"{table(results)}\n"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rows", nargs="*", help="g01, g02, ...: all unless said otherwise")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--row", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.row:
        print(json.dumps(one(options.row, not options.quick)))
        return 0
    known = sorted(path.stem for path in HERE.glob("g[0-9][0-9]_*.py"))
    rows = [row for row in known if not options.rows or row[:3] in options.rows]
    results, began = [], time.monotonic()
    for row in rows:
        left = LIMIT - (time.monotonic() - began)
        results.append(in_a_process(row, not options.quick, max(left, 1)))
        print(f"{row:24} {'pass' if results[-1]['passed'] else 'FAIL'}  {results[-1]['text']}", flush=True)
    if rows == known and not options.quick:
        PAGE.write_text(page(results), encoding="utf-8")
    return 0 if all(r["passed"] for r in results) else 1


if __name__ == "__main__":
    sys.exit(main())
