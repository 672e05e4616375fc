"""Builds csrc/ with tsan_check.c under ThreadSanitizer and runs it; a race built in on purpose must be found. So with
gate_check.c, the gate through which a session's weights are swapped.

python tests/c/run_tsan.py [ROUNDS]     exit 0 if there is no race and the one on purpose is seen
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).resolve().parent
CSRC = HERE.parent.parent / "csrc"
SWAPS = "2000"
COUNTED = "-Wl,--wrap=fnn_parallel"  # tsan_check.c counts the calls
FLAGS = ["-std=c11", "-O1", "-g", "-ffp-contract=off", "-fno-math-errno", "-fsanitize=thread", "-pthread"]


def build(folder: str, compiler: str) -> tuple[str, str, str]:
    """The program, the one with the race, and that of the gate."""
    library = [*CSRC.glob("*.c"), *CSRC.glob("tables/*.c")]
    check = HERE / "tsan_check.c"
    jobs = [*((source, ()) for source in library), (check, ()), (check, ("-DRACE",))]

    def compiled(job: tuple[Path, tuple[str, ...]]) -> str:
        source, extra = job
        target = os.path.join(folder, f"{source.stem}{len(extra)}.o")
        include = [f"-I{CSRC}", f"-I{CSRC / 'tables'}"]
        subprocess.run([compiler, *FLAGS, *extra, *include, "-c", str(source), "-o", target], check=True)
        return target

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        *objects, good, race = pool.map(compiled, jobs)
    programs = []
    for main_object in (good, race):
        programs.append(main_object[:-2])
        subprocess.run([compiler, *FLAGS, *objects, main_object, "-lm", COUNTED, "-o", programs[-1]], check=True)
    gate = os.path.join(folder, "gate")
    subprocess.run([compiler, *FLAGS, f"-I{CSRC}", str(HERE / "gate_check.c"), "-o", gate], check=True)
    return programs[0], programs[1], gate


def run(program: str, rounds: str) -> subprocess.CompletedProcess[str]:
    env = os.environ | {"TSAN_OPTIONS": "halt_on_error=0 exitcode=66"}
    return subprocess.run([program, rounds], env=env, capture_output=True, text=True)


def main() -> int:
    rounds = sys.argv[1] if len(sys.argv) > 1 else "20"
    compiler = shutil.which("clang") or shutil.which("gcc") or "cc"
    with tempfile.TemporaryDirectory() as folder:
        programs = build(folder, compiler)
        good, race, gate = run(programs[0], rounds), run(programs[1], "5"), run(programs[2], SWAPS)
    races = (good.stderr + gate.stderr).count("WARNING: ThreadSanitizer")
    seen = race.returncode == 66 and "data race" in race.stderr
    if good.returncode or gate.returncode or not seen:
        print(good.stderr[:4000], gate.stderr[:2000], file=sys.stderr)
    said = f"{good.stdout.strip()}; {gate.stdout.strip()}"
    print(f"{said}; {races} races; the race on purpose is {'seen' if seen else 'NOT SEEN'}")
    return 0 if good.returncode == gate.returncode == 0 and races == 0 and seen else 1


if __name__ == "__main__":
    sys.exit(main())
