"""What is said of samples: medians, quartiles, and ratios of rounds."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import Any


def median(values: Sequence[float]) -> float:
    return statistics.median(values)


def quartiles(values: Sequence[float]) -> tuple[float, float]:
    """The first and the third; both the value where there is one."""
    if len(values) < 2:
        return values[0], values[0]
    first, _, third = statistics.quantiles(values, n=4, method="inclusive")
    return first, third


def ratio(line: dict[str, Any], side: str, reference: str = "fastnn") -> float | None:
    """How many times as long ``side`` takes: the median over rounds of its time over the reference's."""
    samples = line["samples"]
    if side not in samples or reference not in samples:
        return None
    return median([theirs / ours for theirs, ours in zip(samples[side], samples[reference], strict=True)])


def share_of_peak(line: dict[str, Any], side: str = "fastnn") -> float | None:
    """Median over rounds of the rate over the peak."""
    if not line["peaks"] or side not in line["samples"]:
        return None
    return median([line["flops"] / s / peak for s, peak in zip(line["samples"][side], line["peaks"], strict=True)])


def geometric_mean(values: Sequence[float]) -> float:
    return math.exp(sum(map(math.log, values)) / len(values))


def duration(seconds: float) -> str:
    """Three digits and a unit."""
    for unit, scale in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6), ("ns", 1e-9)):
        if seconds >= scale:
            value = seconds / scale
            return f"{value:.{0 if value >= 100 else 1 if value >= 10 else 2}f} {unit}"
    return "0 ns"
