"""From which size on a peer takes no longer than fastnn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from peers import KNOWN
from statistics_of import ratio


def first_of_rest(sizes: Sequence[int], ratios: Sequence[float]) -> int | None:
    """The smallest size from which on, to the last, every ratio is at most 1; None where the last one is not."""
    found = None
    for size, value in zip(reversed(sizes), reversed(ratios), strict=True):
        if value > 1:
            break
        found = size
    return found


def curves(result: dict[str, Any]) -> dict[tuple[str, str], tuple[list[int], list[float]]]:
    """(what grows, peer) -> sizes and the peer's time over fastnn's."""
    found: dict[tuple[str, str], tuple[list[int], list[float]]] = {}
    lines = result["workloads"]
    ways = {kind: [(int(key.split()[1]), key) for key in keys] for kind, keys in result["growth"].items()}
    squares = [
        key for key, line in lines.items() if line["family"] == "product" and len(set(line["title"].split("x"))) == 1
    ]
    ways["square product"] = sorted((int(lines[key]["title"].split("x")[0]), key) for key in squares)
    for kind, keys in ways.items():
        for name in KNOWN:
            points = [(size, r) for size, key in keys if (r := ratio(lines[key], name)) is not None]
            if points and name != "fastnn":
                found[kind, name] = [size for size, _ in points], [r for _, r in points]
    return found


def catches_up(result: dict[str, Any]) -> list[str]:
    """A sentence a curve."""
    sentences = []
    for (kind, name), (sizes, ratios) in curves(result).items():
        since = first_of_rest(sizes, ratios)
        lowest = min(range(len(ratios)), key=lambda i: ratios[i])
        measured = f"{sizes[0]:,} to {sizes[-1]:,}"
        where = f"from {since:,}" if since is not None else f"not within the range measured ({measured})"
        nearest = f"ratio at least {ratios[lowest]:.2f}, at {sizes[lowest]:,}; {ratios[-1]:.2f} at the end"
        between = [
            f"{size:,}" for size, r in zip(sizes, ratios, strict=True) if r <= 1 and (since is None or size < since)
        ]
        also = f"; also ahead at {', '.join(between)}" if between else ""
        sentences.append(f"{name}, {kind}: {where} ({nearest}{also})")
    return sentences
