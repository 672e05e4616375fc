"""The whole suite against every peer that is installed: ``python benchmarks/run.py [--quick]``, or ``make bench``.

Writes docs/benchmarks.json (machine, versions, all samples), docs/benchmarks.md and its plots. About 12 minutes on two
cores, 2 with --quick. Run it on a machine that does nothing else.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))  # python -P and PYTHONSAFEPATH leave it out

import accuracy
import imports
import peers
import workloads
from rounds import Entrant, Field, Line, race, race_peers
from statistics_of import duration, median, ratio

import fastnn
from fastnn import _core
from fastnn._bench.workload import Workload

ROOT = Path(__file__).resolve().parents[1]
COMPILES = "not run here: it takes a minute or more to compile"
FOR_TIME = "not run as the work grows, for time"
SECTIONS = ("steps", "predict", "products", "growth", "threads", "imports", "accuracy")


class Suite:
    """What is measured so far; ``quick`` takes fewer shapes and rounds."""

    def __init__(self, names: list[str], quick: bool) -> None:
        self.names = [name for name in names if name not in peers.SERVING]
        self.serving, self.quick = names, quick
        self.result: dict[str, Any] = {"workloads": {}, "growth": {}, "skipped": {}}

    def note(self, workload: Workload, line: Line) -> None:
        self.result["workloads"][workload.key] = found = asdict(line)
        ours = line.samples.get("fastnn")
        others = " ".join(f"{name} {r:.2f}x" for name in line.samples if (r := ratio(found, name)) and name != "fastnn")
        print(f"  {line.title:44} {duration(median(ours)) if ours else 'not timed':>9}  {others}", flush=True)
        for name, reason in line.left_out.items():
            if not reason.startswith(("not expressible", "not run")):
                print(f"    {name}: {reason}", flush=True)

    @staticmethod
    def _all_named(line: Line, run: Iterable[str], there: Iterable[str], why: str) -> Line:
        """Whoever is there and was not run is named with the reason."""
        line.left_out |= {name: why for name in there if name not in run and name != "fastnn"}
        return line

    def steps(self, field: Field) -> None:
        """T1 to T7, A1."""
        slow_to_compile = ("T6", "T7") if not self.quick else tuple(workloads.ALL)
        for workload in [*workloads.TRAIN, *workloads.ACTIVATIONS]:
            large = workload.flops > 1e10 or workload.key == "T7"
            names = [n for n in self.names if not (n == "torch.compile" and workload.key in slow_to_compile)]
            seconds = (0.5 if self.quick else 4.0) * (2 if large and not self.quick else 1)
            checked = 3 if large and self.quick and workload.key != "T7" else None
            least = 3 if self.quick else 5
            line = race_peers(field, workload, names, seconds=seconds, least=least, checked=checked)
            self.note(workload, self._all_named(line, names, self.names, COMPILES))

    def predict(self, field: Field) -> None:
        """P1 to P3, and batches of all sizes between one row and 10,000."""
        for workload in workloads.PREDICT[: 4 if self.quick else None]:
            compiles = workload.key in ("P1", "P2") and not self.quick
            names = [name for name in self.serving if compiles or name != "torch.compile"]
            line = race_peers(field, workload, names, seconds=0.5 if self.quick else 3.0, least=5)
            self.note(workload, self._all_named(line, names, self.serving, COMPILES))

    def products(self, field: Field) -> None:
        """G1, against NumPy."""
        squares = workloads.SQUARES[:-1] if self.quick else workloads.SQUARES
        named = workloads.NAMED[:3] if self.quick else workloads.NAMED
        for workload in [*squares, *named, *workloads.products()[:: 5 if self.quick else 1]]:
            line = race_peers(field, workload, ["numpy"], seconds=0.1 if self.quick else 0.3)
            if workload in squares or workload in named:
                self.note(workload, line)
            self.result["workloads"][workload.key] = asdict(line)

    def growth(self, field: Field) -> None:
        """Train steps of growing batch, width and depth."""
        names = [name for name in ("numpy", "sklearn", "torch", "jax.scan") if name in self.names]
        for kind, lines in workloads.GROWTH.items():
            chosen = lines[:-1:3] if self.quick else lines
            self.result["growth"][kind] = [workload.key for workload in chosen]
            for workload in chosen:
                seconds = 0.3 if self.quick else 1.0
                line = race_peers(field, workload, names, seconds=seconds, most=9)
                self.note(workload, self._all_named(line, names, self.names, FOR_TIME))

    def threads(self, one: Field) -> None:
        """S1: two threads over one."""
        if len(os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else ()) < 2:
            self.result["skipped"]["threads"] = "fewer than two processors"
            return
        others = () if self.quick else ("numpy", "torch", "jax.jit")
        peers_here = ["fastnn", *(name for name in others if name in self.names)]
        seconds, least = (1.0, 3) if self.quick else (8.0, 7)
        with Field(peers_here, threads=2) as two:
            for workload in workloads.SCALED:
                both = [(name, n, f) for name in peers_here for n, f in ((1, one), (2, two))]
                entrants = [Entrant(f"{name}, {n} thread{'s' * (n > 1)}", f, name, workload) for name, n, f in both]
                line = race(entrants, seconds=seconds, least=least, checked=3)
                self._note_scaling(f"S1 {workload.key}", line, "fastnn, 1 thread", "fastnn, 2 threads")
            together, one_by_one = workloads.MANY
            entrants = [Entrant("one after another", one, "fastnn", one_by_one),
                        Entrant("in one call", two, "fastnn", together)]  # fmt: skip
            self._note_scaling(
                "S1 fit_many", race(entrants, seconds=seconds, least=least), *(e.label for e in entrants)
            )
            # too short to be shared: what is allowed must not matter, the processors being the same
            t1 = workloads.TRAIN[0]
            with Field(["fastnn"], threads=1, processors=2) as loose, Field(["fastnn"], threads=2) as alone:
                both = ((1, loose), (2, alone))
                entrants = [Entrant(f"fastnn, {n} thread{'s' * (n > 1)}", f, "fastnn", t1) for n, f in both]
                line = race(entrants, seconds=seconds, most=30)
            self._note_scaling("S1 T1", line, "fastnn, 1 thread", "fastnn, 2 threads")

    def _note_scaling(self, key: str, line: Line, one: str, two: str) -> None:
        self.result["workloads"][key] = found = asdict(line)
        print(f"  {key:44} {ratio(found, one, two) or float('nan'):.2f}x", flush=True)
        for name, reason in line.left_out.items():
            print(f"    {name}: {reason}", flush=True)

    def imports(self) -> None:
        """M1."""
        libraries = [name for name in imports.LIBRARIES if name == "fastnn" or name in self._libraries()]
        self.result["imports"] = imports.import_times(libraries, 2 if self.quick else 7)
        self.result["sizes"] = imports.installed_sizes(libraries)
        for name, times in self.result["imports"].items():
            print(f"  import {name:37} {duration(median(times)):>9}", flush=True)

    def accuracy(self) -> None:
        """Time to accuracy."""
        folder = accuracy.data_folder()
        if folder is None:
            reason = "no Fashion-MNIST; FASTNN_TEST_DATA names the folder that holds its four files"
            self.result["skipped"]["accuracy"] = reason
            print(f"  skipped: {reason}")
            return
        names = ["fastnn", *(name for name in self.names if name != "fastnn")]
        self.result["accuracy"] = accuracy.race(names, folder, 1 if self.quick else 3)
        for name, found in self.result["accuracy"].items():
            text = f"{duration(median(found['seconds'])):>9}, {found['epochs']} epochs, {found['accuracy']:.4f}"
            print(f"  {name:44} {text}", flush=True)

    def _libraries(self) -> set[str]:
        return {peers.KNOWN[name][2] for name in self.names}


def machine(names: Iterable[str]) -> dict[str, Any]:
    """Where and with what."""
    libraries = dict.fromkeys(peers.KNOWN[name][2] for name in ("fastnn", *names))
    return {
        "processor": _core.cpu_name() or platform.processor() or "unknown",
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "isa": _core.active_isa(),
        "versions": {library: peers.version_of(library) for library in libraries},
    }


def commit() -> str:
    """What was measured: the commit where there is one ("-dirty": and more than that, docs/ aside), else a version."""
    git = ["git", "-C", str(ROOT)]
    try:
        said = subprocess.run([*git, "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True).stdout
        changed = [*git, "status", "--porcelain", "--untracked-files=no", "--", ".", ":!docs"]
        more = subprocess.run(changed, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return fastnn.__version__
    return said.strip() + ("-dirty" if more else "")


def load() -> list[float]:
    return [round(x, 2) for x in os.getloadavg()] if hasattr(os, "getloadavg") else []


@contextmanager
def section(name: str, took: dict[str, float]) -> Iterator[None]:
    print(f"{name}:", flush=True)
    start = perf_counter()
    yield
    took[name] = round(perf_counter() - start, 1)
    print(f"  ({took[name]:.0f} s)", flush=True)


def rounded(value: Any) -> Any:
    """Samples with six digits, which is more than they mean."""
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, dict):
        return {key: rounded(v) for key, v in value.items()}
    return [rounded(v) for v in value] if isinstance(value, list) else value


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="fewer shapes and rounds: about 2 minutes")
    parser.add_argument("--vs", default="", help="only these peers, with commas (default: all that are installed)")
    parser.add_argument("--only", default=",".join(SECTIONS), help=f"only these of {','.join(SECTIONS)}")
    parser.add_argument("--output", type=Path, default=ROOT / "docs", help="folder of what is written (default: docs)")
    given = parser.parse_args()
    wanted = [n for lib in given.vs.split(",") if lib for n in peers.of_library(lib)] or list(peers.KNOWN)
    names = [name for name in wanted if not peers.missing(name) and name != "fastnn"]
    only = given.only.split(",")
    if unknown := set(only) - set(SECTIONS):
        parser.error(f"--only: there is no {', '.join(sorted(unknown))}; there is {', '.join(SECTIONS)}")
    missing = {name: f"{' and '.join(peers.missing(name))} not installed" for name in wanted if peers.missing(name)}
    for name, reason in missing.items():
        print(f"left out: {name}: {reason}")

    suite, took, before = Suite(names, given.quick), {}, load()
    with Field(["fastnn", *names]) as field:
        for name in ("steps", "predict", "products", "growth", "threads"):
            if name in only:
                with section(name, took):
                    getattr(suite, name)(field)
    for name in ("imports", "accuracy"):
        if name in only:
            with section(name, took):
                getattr(suite, name)()
    result = {
        "when": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "quick": given.quick,
        "fastnn": fastnn.__version__,
        "commit": commit(),
        "machine": machine(names),
        "load": {"before": before, "after": load()},
        "seconds": took,
        "missing": missing,
        **suite.result,
    }
    given.output.mkdir(parents=True, exist_ok=True)
    (given.output / "benchmarks.json").write_text(json.dumps(rounded(result), separators=(",", ":")) + "\n")

    import render  # after the measuring: it loads matplotlib

    render.write(rounded(result), given.output)
    print(f"wrote {given.output / 'benchmarks.md'} and {given.output / 'benchmarks.json'}, {sum(took.values()):.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
