"""What is here and what was chosen: processor, kernel tables, threads, versions - and whether the tables agree."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import sys
from typing import Any

import numpy as np

import fastnn
from fastnn import _core
from fastnn._threads import get_num_threads
from fastnn.data import cache_dir
from fastnn.kernels import dense

EXTRAS = {"rich": "cli", "matplotlib": "plot"}


def doctor() -> dict[str, Any]:
    """Print the report of ``examine`` and return it."""
    report = examine()
    print(as_text(report))
    return report


def examine() -> dict[str, Any]:
    """What was found and chosen, as values that JSON can hold."""
    lanes = _core.table_info("float32")
    return {
        "fastnn": fastnn.__version__,
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "numpy": np.__version__,
        "platform": f"{platform.system()} {platform.machine()}",
        "processor": _core.cpu_name() or platform.processor() or "unknown",
        "cores": usable_cores(),
        "threads": get_num_threads(),
        "threads_forced": os.environ.get("FASTNN_NUM_THREADS") or None,
        "tables": [
            {"name": name, "needs": needs, "supported": runs, "in_force": used}
            for name, needs, runs, used in _core.isa_report()
        ],
        "table": _core.active_isa(),
        "chosen_by": _core.chosen_by(),
        "lanes": lanes["lanes"],
        "tile": list(lanes["tile"]),
        "bit_contract": _core.active_isa() != "sse2",
        "self_test": self_test(),
        "cache": str(cache_dir()),
        "extras": {name: _version(name) for name in EXTRAS},
    }


def self_test() -> str:
    """Compare one product of the table in force with the scalar table's: "same bits", or what else was found.

    Puts the scalar table in force for a moment; a call in another thread at that moment is slower, its bits the same.
    """
    chosen = _core.active_isa()
    if "scalar" not in _core.available_isas():
        return "not run: the scalar table needs FMA, which this processor lacks"
    if chosen == "scalar":
        return "not run: the scalar table is in force"
    x = _core.random_normal(37 * 61, 1).reshape(37, 61)
    w = _core.random_normal(61 * 53, 2).reshape(61, 53)
    for dtype in (np.float32, np.float64):
        a, b = x.astype(dtype), w.astype(dtype)
        fast = _dense(a, b)
        try:
            _core.use_isa("scalar")
            plain = _dense(a, b)
        finally:
            _core.use_isa(chosen)
        if fast.tobytes() != plain.tobytes():
            worst = float(np.abs(fast.astype(np.float64) - plain).max())
            return f"bits differ from the scalar table's in {np.dtype(dtype)}, by up to {worst:.2g}"
    return "same bits"


def _dense(x: Any, w: Any) -> Any:
    y = np.empty((x.shape[0], w.shape[1]), x.dtype)
    dense.dense_forward(y, y, x, w, np.zeros(w.shape[1], x.dtype), "relu")
    return y


def usable_cores() -> int:
    """Cores that this process may run on: those of its affinity mask, where the system has such a thing."""
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def as_text(report: dict[str, Any]) -> str:
    """The report for reading."""
    why = (
        "the best that this processor runs" if report["chosen_by"] == "detected" else f"forced by {report['chosen_by']}"
    )
    test = report["self_test"]
    if not report["bit_contract"]:
        test += " (sse2 is outside the bit contract)"
    lines = [
        f"fastnn      {report['fastnn']}, NumPy {report['numpy']}, {report['python']}, {report['platform']}",
        f"processor   {report['processor']}, {_plural(report['cores'], 'core')} for this process",
        f"threads     {_threads_line(report)}",
        "tables      compiled   needs                      runs here",
    ]
    for table in report["tables"]:
        mark = "  <- in force" if table["in_force"] else ""
        runs = "yes" if table["supported"] else "no"
        lines.append(f"            {table['name']:<10} {table['needs']:<26} {runs}{mark}")
    rows, columns = report["tile"]
    lines += [
        f"chosen      {report['table']}: {why}; {report['lanes']} float32 lanes, tiles of {rows} x {columns}",
        f"self-test   {report['table']} against scalar: {test}",
        f"cache       {report['cache']}",
    ]
    for name, extra in EXTRAS.items():
        there = report["extras"][name] or f"not installed: pip install 'fastnn-cpu[{extra}]'"
        lines.append(f"{name:<11} {there}")
    if not report["bit_contract"]:
        lines.append(
            "note        sse2 has no fused multiply-add: results are right, but not with the bits of the other tables"
        )
    return "\n".join(lines)


def _threads_line(report: dict[str, Any]) -> str:
    why = (
        f"FASTNN_NUM_THREADS={report['threads_forced']}" if report["threads_forced"] else "affinity and quota allow it"
    )
    return f"a long call uses up to {report['threads']} ({why}); short work stays on one"


def _plural(n: int, noun: str) -> str:
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


def _version(distribution: str) -> str | None:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None
