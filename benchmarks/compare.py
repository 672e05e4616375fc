"""Two result files of ``run.py`` side by side: ``python benchmarks/compare.py OLD.json NEW.json``.

Times of two runs mean little by themselves, as clocks drift; so fastnn's time is taken as a share of what the machine
could do in the same round: of the FMA peak where the workload counts operations, of NumPy's time where it does not (of
its import, for the import). Compared is whatever of fastnn's was timed: steps, predictions, products, growth, one and
two threads, many models, the import, time to accuracy.

The rule: a workload is slower where the medians differ by more than 5% (--within; three times that where there is
nothing to take a share of) AND by more than chance: 3.3 standard errors of their difference, so that of 300 lines
hardly one is called other by chance alone; that of a median is taken as 1.25 / 1.35 of its interquartile range over the
root of the number of samples (McGill, Tukey and Larsen 1978). Faster likewise. What differs from one process to the
next, whatever runs in it, is in neither, and 5% are hoped to cover it. Exit code 1 where one is slower, or is gone, or
has a sample that is no number; 2 for files that cannot be used.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))  # python -P and PYTHONSAFEPATH leave it out

from statistics_of import duration, median, quartiles

WITHIN = 0.05
STANDARD_ERROR = 1.25 / 1.35
CHANCE = 3.3
MANY = ("one after another", "in one call")


@dataclass(frozen=True)
class Change:
    """A workload in both runs: cost, in shares of the machine; spread: by so much two medians differ by chance."""

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


def is_ours(label: str) -> bool:
    return label in MANY or label.partition(",")[0].partition(".")[0] == "fastnn"


def timed(result: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any], str]]:
    """(key, line, label) of all that was timed of fastnn."""
    lines = dict(result["workloads"])
    if "imports" in result:
        lines["import"] = {"samples": result["imports"]}
    if "accuracy" in result:
        lines["time to accuracy"] = {"samples": {name: found["seconds"] for name, found in result["accuracy"].items()}}
    for key, line in lines.items():
        for label, samples in line["samples"].items():
            if samples and is_ours(label):
                yield key if label == "fastnn" else f"{key}: {label}", line, label


def unit(line: dict[str, Any]) -> str:
    """What costs are shares of: of what was measured in every round."""
    if line.get("peaks") and all(peak > 0 for peak in line["peaks"]):
        return "peak"
    numpy = line["samples"].get("numpy")
    return "numpy" if numpy and all(map(math.isfinite, numpy)) else "seconds"


def costs(line: dict[str, Any], label: str, of: str) -> list[float]:
    """Of each round, the time over that of the same work at the peak, or over NumPy's, or the time itself."""
    ours = line["samples"][label]
    if of == "peak":
        return [s * peak / line["flops"] for s, peak in zip(ours, line["peaks"], strict=True)]
    if of == "numpy":
        return [s / other for s, other in zip(ours, line["samples"]["numpy"], strict=True)]
    return list(ours)


def error_of_median(samples: list[float]) -> float:
    low, high = quartiles(samples)
    return STANDARD_ERROR * (high - low) / math.sqrt(len(samples))


def compare(old: dict[str, Any], new: dict[str, Any], within: float = WITHIN) -> tuple[list[Change], list[str]]:
    """Changes of all that is in both, and what only the old run has, or has as numbers."""
    changes, gone = [], []
    after = {key: (line, label) for key, line, label in timed(new)}
    for key, line, label in timed(old):
        other, same_label = after.get(key, (None, label))
        if other is None:
            gone.append(key)
            continue
        of = unit(line) if unit(line) == unit(other) else "seconds"
        allowed = within * (3 if of == "seconds" else 1)
        before, now = costs(line, label, of), costs(other, same_label, of)
        if not all(map(math.isfinite, before + now)):
            gone.append(key)
            continue
        spread = CHANCE * math.hypot(error_of_median(before), error_of_median(now))
        seconds = median(line["samples"][label]), median(other["samples"][same_label])
        changes.append(Change(key, median(before), median(now), spread, seconds, allowed))
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
        print(f"{key:36} is not in both runs, as numbers")
    count = {verdict: sum(c.verdict == verdict for c in changes) for verdict in ("slower", "same", "faster")}
    print(", ".join(f"{n} {verdict}" for verdict, n in count.items()) + (f", {len(gone)} gone" if gone else ""))
    return 1 if count["slower"] or gone else 0


if __name__ == "__main__":
    sys.exit(main())
