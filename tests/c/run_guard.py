"""Builds csrc/ with guard_check.c and runs it: every kernel between pages that nobody may touch.

python tests/c/run_guard.py                 sizes 1 to 300, offsets 0 to 15, every instruction set here, and neon under
                                            emulation where aarch64-linux-gnu-gcc and qemu-user are installed (thinner)
python tests/c/run_guard.py --step 37       a thin sample

Last, a build in which one call is given a size too much must be stopped. Exit 0 if all is well.
"""

from __future__ import annotations

import argparse
import os
import platform
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


def build(folder: str, compiler: str, optimize: list[str], *link: str) -> tuple[str, str]:
    """The program, and the broken one."""
    finished = [os.path.join(folder, f"{len(link)}_guard_check{i}") for i in range(2)]
    if all(os.path.exists(program) for program in finished):
        return finished[0], finished[1]
    library, check = [*CSRC.glob("*.c"), *CSRC.glob("tables/*.c")], HERE / "guard_check.c"
    jobs: list[tuple[Path, tuple[str, ...]]] = [
        *((source, ()) for source in library),
        (check, ()),
        (check, ("-DBREAK",)),
    ]

    def compiled(job: tuple[Path, tuple[str, ...]]) -> str:
        source, extra = job
        target = os.path.join(folder, f"{len(link)}_{source.stem}{len(extra)}.o")
        subprocess.run([*compiler.split(), *FLAGS, *optimize, *extra, "-c", str(source), "-o", target], check=True)
        return target

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        *objects, good, bad = pool.map(compiled, jobs)
    for main_object in (good, bad):
        subprocess.run(
            [*compiler.split(), *FLAGS, *link, *objects, main_object, "-lm", "-o", main_object[:-2]], check=True
        )
    return good[:-2], bad[:-2]


def run(prefix: list[str], program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*prefix, program, *arguments], capture_output=True, text=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--most", default="300")
    parser.add_argument("--step", default="1")
    parser.add_argument("--emulated", default=THIN, metavar="STEP", help="the step under emulation")
    parser.add_argument("--quick", action="store_true", help="compile with -O1, for tests of a minute")
    parser.add_argument("--broken", action="store_true", help="run the broken build as if it were the good one")
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
            good, bad = build(folder, compiler, ["-O1"] if options.quick else ["-O2"], *link)
            good = bad if options.broken else good
            done, stopped = run(prefix, good, "all", options.most, step), run(prefix, bad, "all", "40", "13")
            seen = stopped.returncode == 3 and "broken on purpose" in stopped.stderr
            print(done.stdout.replace("\n", "; "), end="")
            print(done.stderr + ("" if seen else f"the broken call was NOT STOPPED {stopped.stderr}"))
            failed += done.returncode != 0 or not seen
    print("out of bounds" if failed else "nothing out of bounds, the broken call was stopped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
