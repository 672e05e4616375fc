"""``make prove``: all sixteen promises in full, each in a process of its own; writes docs/guarantees.md.

python tests/guarantees/prove.py g01 g07 ...     some of them: the other rows of the page stay, each says when it was
python tests/guarantees/prove.py --quick         the forms of the ordinary suite; the page stays as it is

Two rows run at a time, the longest first; then, one by one, those in which a clock decides: kills at a moment, forks
with a limit, processor time at rest. All must be through in an hour (two processors are enough).
With FASTNN_PROVE=release (``make prove-release``) they try what does not fit into it, for as long as it takes.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

from promise import ROOT, NotHereError  # noqa: E402

import fastnn  # noqa: E402

PAGE = ROOT / "docs" / "guarantees.md"
RELEASE = os.environ.get("FASTNN_PROVE") == "release"
LIMIT = 3600.0  # seconds for all
LONGEST = ("g03", "g07", "g16", "g09", "g11")
ALONE = ("g04", "g05", "g06", "g12")


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


def in_a_process(row: str, full: bool, seconds: float | None) -> dict[str, Any]:
    """The row's result from a process of its own, which ends with all that it started after so many seconds."""
    command = [sys.executable, __file__, "--row", row] + ([] if full else ["--quick"])
    began = time.monotonic()
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        out, words = process.communicate(timeout=seconds)
        result: dict[str, Any] = json.loads(out.splitlines()[-1])
        return result
    except subprocess.TimeoutExpired:
        text = f"not through in {seconds:.0f} s"
    except (IndexError, ValueError):
        text = f"the process ended with {process.returncode}: {words[-200:]}"
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
    took, promise = time.monotonic() - began, importlib.import_module(row).PROMISE
    return {"row": row, "promise": promise, "passed": False, "text": text, "seconds": took}


def all_of(
    rows: Sequence[str], run: Callable[[str, float | None], dict[str, Any]], limit: float | None
) -> list[dict[str, Any]]:
    """The results in the order of the rows: two rows at a time, then those that must be alone."""
    began, results, at = time.monotonic(), {}, here_and_now()

    def one_more(row: str) -> None:
        left = None if limit is None else max(limit - (time.monotonic() - began), 1)
        results[row] = found = run(row, left) | {"at": at}
        print(f"{row:24} {'pass' if found['passed'] else 'FAIL'}  {found['text']}", flush=True)

    together = [row for row in rows if not row.startswith(ALONE)]
    together.sort(key=lambda row: next((i for i, start in enumerate(LONGEST) if row.startswith(start)), len(LONGEST)))
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(one_more, together))
    for row in rows:
        if row.startswith(ALONE):
            one_more(row)
    return [results[row] for row in rows]


def machine() -> str:
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        lines = [line for line in cpuinfo.read_text().splitlines() if line.startswith("model name")]
        model = lines[0].split(":")[1].strip() if lines else model
    system = f"{platform.system()} {platform.machine()}, Python {platform.python_version()}"
    return f"{model}, {os.cpu_count()} processors, {system}"


def here_and_now() -> str:
    """The day, and what was proven: the commit where there is one ("-dirty": and more than that, the page aside), else
    the version."""
    try:
        said = _git("rev-parse", "--short", "HEAD")
        if _git("status", "--porcelain", "--untracked-files=no", "--", ".", ":!docs/guarantees.md"):
            said += "-dirty"
    except (OSError, subprocess.CalledProcessError):
        said = fastnn.__version__
    return f"{datetime.now(UTC):%Y-%m-%d} {said}{' release' if RELEASE else ''}"


def _git(*arguments: str) -> str:
    command = ["git", "-C", str(ROOT), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def line(result: dict[str, Any]) -> str:
    """A row of the table."""
    state = "pass" if result["passed"] else "**FAIL**"
    text, minutes = " ".join(result["text"].replace("|", "/").split()), result["seconds"] / 60
    return f"{_head(result)} {result['promise']} | {text} | {state} | {minutes:.1f} | {result['at']} |"


def _head(result: dict[str, Any]) -> str:
    return f"| G{int(result['row'][1:3])} |"


def table(results: list[dict[str, Any]]) -> str:
    return "\n".join(["| | promise | figure | | minutes | proven |", "|---|---|---|---|---|---|", *map(line, results)])


def page(results: list[dict[str, Any]], seconds: float) -> str:
    made_by = "make prove-release" if RELEASE else "make prove"
    return (
        "# What fastnn promises, and what it measured\n\n"
        "Each promise is one file in `tests/guarantees/`, with a quick form in the ordinary suite, the full one\n"
        "behind `make prove`, and a sabotage that shows that the proof can fail.\n\n"
        f"`{made_by}` last ran whole on {datetime.now(UTC):%Y-%m-%d}, two rows at a time, in "
        f"{seconds / 60:.0f} minutes:\n"
        f"fastnn {fastnn.__version__}, {machine()}. Each row says when, and at which commit,\n"
        f"it was proven last.\n\n"
        f"{table(results)}\n"
    )


def renewed(text: str, results: list[dict[str, Any]]) -> str:
    """The page with these rows in place of those that it has."""
    lines = text.splitlines()
    for result in results:
        lines = [line(result) if old.startswith(_head(result)) else old for old in lines]
    return "\n".join(lines) + "\n"


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
    limit = None if RELEASE else LIMIT
    began = time.monotonic()
    results = all_of(rows, lambda row, seconds: in_a_process(row, not options.quick, seconds), limit)
    if rows == known and not options.quick:
        PAGE.write_text(page(results, time.monotonic() - began), encoding="utf-8")
    elif PAGE.is_file() and not options.quick:
        PAGE.write_text(renewed(PAGE.read_text(encoding="utf-8"), results), encoding="utf-8")
    print(f"\n{table(results)}")
    return 0 if all(r["passed"] for r in results) else 1


if __name__ == "__main__":
    sys.exit(main())
