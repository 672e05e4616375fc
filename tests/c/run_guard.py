"""Builds csrc/ with guard_check.c and runs it: every kernel between pages that nobody may touch.

python tests/c/run_guard.py                 sizes 1 to 300, offsets 0 to 15, every instruction set here, and neon under
                                            emulation where aarch64-linux-gnu-gcc and qemu-user are installed (thinner)
python tests/c/run_guard.py --step 37       a thin sample

Last, builds in which one call reads past its buffer, and one writes before it, must be stopped: by a page that nobody
may touch, and by a canary. Exit 0 if all is well.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).resolve().parent
CSRC = HERE.parent.parent / "csrc"
FLAGS = ["-std=c11", "-ffp-contract=off", "-fno-math-errno", f"-I{CSRC}", f"-I{CSRC / 'tables'}", "-pthread"]
THIN = "59"  # the step under emulation, which is forty times as slow, unless said otherwise


BROKEN = {"BREAK": "on a page", "SCRIBBLE": "on a canary"}  # builds broken on purpose, and where that is seen


def build(folder: str, compiler: str, optimize: list[str], *link: str) -> list[str]:
    """The program, and the broken ones."""
    mains: list[tuple[str, ...]] = [(), *((f"-D{what}",) for what in BROKEN)]
    finished = [os.path.join(folder, f"{len(link)}_guard_check{''.join(extra)}") for extra in mains]
    if all(os.path.exists(program) for program in finished):
        return finished
    library, check = [*CSRC.glob("*.c"), *CSRC.glob("tables/*.c")], HERE / "guard_check.c"
    jobs: list[tuple[Path, tuple[str, ...]]] = [
        *((source, ()) for source in library),
        *((check, extra) for extra in mains),
    ]

    def compiled(job: tuple[Path, tuple[str, ...]]) -> str:
        source, extra = job
        target = os.path.join(folder, f"{len(link)}_{source.stem}{''.join(extra)}.o")
        subprocess.run([*compiler.split(), *FLAGS, *optimize, *extra, "-c", str(source), "-o", target], check=True)
        return target

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        objects = list(pool.map(compiled, jobs))
    for program in finished:
        own = [f"{program}.o", *objects[: len(library)]]
        subprocess.run([*compiler.split(), *FLAGS, *link, *own, "-lm", "-o", program], check=True)
    return finished


def run(prefix: list[str], program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*prefix, program, *arguments], capture_output=True, text=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--most", default="300")
    parser.add_argument("--step", default="1")
    parser.add_argument("--emulated", default=THIN, metavar="STEP", help="the step under emulation")
    parser.add_argument("--quick", action="store_true", help="compile with -O1, for tests of a minute")
    parser.add_argument("--broken", choices=BROKEN, help="run this broken build as if it were the good one")
    parser.add_argument("--unseen", choices=BROKEN, help="run the good build as if it were this broken one")
    parser.add_argument("--folder", help="keep the programs here, and use those that are")
    parser.add_argument("--native", action="store_true", help="leave the emulated processor out")
    options = parser.parse_args()
    failed = 0
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or temporary
        targets: list[tuple[str, list[str], list[str], str]] = [(os.environ.get("CC", "cc"), [], [], options.step)]
        emulator = shutil.which("qemu-aarch64-static") or shutil.which("qemu-aarch64")
        cross = shutil.which("aarch64-linux-gnu-gcc")
        if not options.native and platform.machine() == "x86_64" and emulator and cross:
            targets.append((cross, ["-static"], [emulator], max(options.step, options.emulated, key=int)))
        for compiler, link, prefix, step in targets:
            good, *bad = build(folder, compiler, ["-O1"] if options.quick else ["-O2"], *link)
            broken = dict(zip(BROKEN, bad, strict=True))
            if options.unseen:
                broken[options.unseen] = good
            done = run(prefix, broken.get(options.broken, good), "all", options.most, step)
            print(done.stdout.replace("\n", "; "), end="")
            print(done.stderr)
            failed += done.returncode != 0
            for what, program in broken.items():
                stopped = run(prefix, program, "all", "40", "13")
                if stopped.returncode != 3 or not re.search(f"broken on purpose.*{BROKEN[what]}", stopped.stderr):
                    print(f"the call of {what} was NOT STOPPED {BROKEN[what]}: {stopped.stderr}")
                    failed += 1
    print("out of bounds" if failed else "nothing out of bounds, the broken calls were stopped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
