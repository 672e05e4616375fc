"""The short form against peers, as ``fastnn bench --vs torch,jax`` prints it; started by it."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))  # python -P leaves it out

import peers
from rounds import Field, race_peers
from statistics_of import duration, median, ratio, share_of_peak
from workloads import ACTIVATIONS, PREDICT, TRAIN


def main(asked: list[str]) -> int:
    names = []
    for library in asked:
        found = [name for name in peers.of_library(library) if name != "fastnn"]
        if not found:
            known = ", ".join(list(peers.KNOWN)[1:])
            print(f"fastnn bench: {library} is not a peer that fastnn knows; there is: {known}", file=sys.stderr)
            return 2
        names += [name for name in found if name not in names]
    here = [name for name in names if not peers.missing(name)]
    for name in names:
        if name not in here:
            print(f"left out: {name}, as {' and '.join(peers.missing(name))} is not installed")
    if not here:
        print("fastnn bench: none of these peers is installed", file=sys.stderr)
        return 2
    versions = ", ".join(f"{lib} {peers.version_of(lib)}" for lib in dict.fromkeys(peers.KNOWN[n][2] for n in here))
    with Field(["fastnn", *here]) as field:
        where = f"core {field.cores[0]}" if field.cores else "no core (this platform cannot)"
        print(f"fastnn against {versions}; one thread, pinned to {where}, float32; medians; (times as long)\n")
        print(f"{'':42}{'fastnn':>9}{'of peak':>9}" + "".join(f"{name:>19}" for name in here), flush=True)
        served = [w for w in PREDICT if w.key in ("P1", "P2", "P3")]
        for workload in [w for w in TRAIN if w.key not in ("T6", "T7")] + served + ACTIVATIONS:
            line = asdict(race_peers(field, workload, seconds=0.5, most=9, checked=50))
            ours = line["samples"].get("fastnn")
            if not ours:
                print(f"{workload.title:42}{line['left_out'].get('fastnn')}")
                continue
            share = share_of_peak(line)
            cells = [_cell(line, name) for name in here]
            percent = "" if share is None else f"{share:.0%}"
            print(f"{workload.title:42}{duration(median(ours)):>9}{percent:>9}" + "".join(cells), flush=True)
    print("\n-: the library has no such thing, or its own mathematics for it.")
    return 0


def _cell(line: dict[str, dict[str, list[float]]], name: str) -> str:
    times = ratio(line, name)
    return f"{'-':>19}" if times is None else f"{duration(median(line['samples'][name])):>9} ({times:>6.2f})"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
