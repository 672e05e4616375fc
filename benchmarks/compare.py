"""Two result files of ``run.py`` side by side: ``python benchmarks/compare.py OLD.json NEW.json``.

Times of two runs mean little by themselves, as clocks drift; so fastnn's time is taken as a share of what the machine
could do in the same round: of the FMA peak where the workload counts operations, of NumPy's time where it does not.

The rule: a workload is slower where the medians differ by more than 5% (--within) AND by more than the spread, the
larger interquartile range of the two runs; faster likewise. Exit code 1 where one is slower, or is gone; 2 for files
that cannot be used.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))  # python -P and PYTHONSAFEPATH leave it out

from statistics_of import duration, median, quartiles

WITHIN = 0.05


@dataclass(frozen=True)
class Change:
    """A workload in both runs: cost, in shares of the machine; spread, of the costs."""

    key: str
    old: float
    new: float
    spread: float
    seconds: tuple[float, float]
    within: float = WITHIN

    @property
    def verdict(self) -> str:
        if abs(self.new - self.old) <= max(self.within * self.old, self.spread):
            return "same"
        return "slower" if self.new > self.old else "faster"


def costs(line: dict[str, Any]) -> list[float]:
    """Of each round, fastnn's time over that of the same work at the peak, or over NumPy's, or the time itself."""
    ours = line["samples"]["fastnn"]
    if line.get("peaks"):
        return [s * peak / line["flops"] for s, peak in zip(ours, line["peaks"], strict=True)]
    if "numpy" in line["samples"]:
        return [s / other for s, other in zip(ours, line["samples"]["numpy"], strict=True)]
    return list(ours)


def compare(old: dict[str, Any], new: dict[str, Any], within: float = WITHIN) -> tuple[list[Change], list[str]]:
    """Changes of all workloads in both, and the keys of those that only the old run has."""
    changes, gone = [], []
    for key, line in old["workloads"].items():
        if not line["samples"].get("fastnn"):
            continue
        other = new["workloads"].get(key)
        if other is None or not other["samples"].get("fastnn"):
            gone.append(key)
            continue
        before, after = costs(line), costs(other)
        spread = max(high - low for low, high in (quartiles(before), quartiles(after)))
        seconds = median(line["samples"]["fastnn"]), median(other["samples"]["fastnn"])
        changes.append(Change(key, median(before), median(after), spread, seconds, within))
    return changes, gone


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path)
    parser.add_argument("--within", type=float, default=WITHIN, help="share that is no change (default 0.05)")
    parser.add_argument("--all", action="store_true", help="print also what has not changed")
    given = parser.parse_args(arguments)
    try:
        old, new = (json.loads(path.read_text()) for path in (given.old, given.new))
        changes, gone = compare(old, new, given.within)
    except (OSError, ValueError, KeyError, TypeError) as error:
        print(f"compare: {type(error).__name__}: {error}", file=sys.stderr)
        return 2
    if not changes:
        print("compare: the two files have no workload in common", file=sys.stderr)
        return 2
    print(f"{'':36}{'old':>10}{'new':>10}{'cost':>8}{'spread':>8}")
    for change in sorted(changes, key=lambda change: change.old / change.new):
        if given.all or change.verdict != "same":
            before, after = (duration(s) for s in change.seconds)
            factor, spread = change.new / change.old, change.spread / change.old
            print(f"{change.key:36}{before:>10}{after:>10}{factor:>7.2f}x{spread:>8.0%}  {change.verdict}")
    for key in gone:
        print(f"{key:36} is not in the new run")
    count = {verdict: sum(c.verdict == verdict for c in changes) for verdict in ("slower", "same", "faster")}
    print(", ".join(f"{n} {verdict}" for verdict, n in count.items()) + (f", {len(gone)} gone" if gone else ""))
    return 1 if count["slower"] or gone else 0


if __name__ == "__main__":
    sys.exit(main())
