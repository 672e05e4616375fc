"""The same code from other compilers and on other processors: tests/c/kernel_hashes.c wherever it can be built, the
arm64 package under emulation (tests/emulation/README.md), and processors that this one can pretend to be.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from promise import ROOT, TESTS, NotHereError

CSRC = ROOT / "csrc"
FLAGS = ["-std=c11", "-ffp-contract=off", "-fno-math-errno", f"-I{CSRC}", f"-I{CSRC / 'tables'}", "-pthread"]
LANES16 = TESTS / "c" / "lanes16"  # what stands in for the tables of avx512 where there is none
LOG = "suite.log"  # beside the emulated interpreter: what pytest said
CROSS = "aarch64-linux-gnu-gcc"
CLANG_CROSS = "clang --target=aarch64-linux-gnu"  # with the headers and libraries of CROSS
SETUP = "tests/emulation/setup.sh"
# of the suite, under emulation: what a compiler of this machine makes and runs (for arm64 tests/test_export_c_long.py
# and row G3 itself do), memory that is the emulator's, which keeps what it has translated, and a fork amid another
# thread's work, whose child may wait for the emulator's own locks; and what is long, and of processes, files and whole
# programs more than of a processor
NOT_THERE = ("test_export_c*.py", "test_promises.py", "test_memcheck.py", "test_soak.py", "peers")
NOT_THESE = (
    "tests/test_vmath.py::test_the_measuring_program_finds_every_table_good_on_a_thin_sample",
    "tests/test_constraints.py::test_no_step_is_taken_where_it_could_not_be_undone",
    "tests/test_threads.py::test_a_child_forked_while_a_thread_trains_may_use_the_model",
)
NOT_IN_AN_HOUR = (
    *("test_cli*.py", "test_examples.py", "test_file_*.py", "test_custom.py", "test_nnfs_programs.py"),
    *("test_real_data.py", "test_session_serving.py"),
)
ARM64 = ("qemu-aarch64-static", "-cpu", "neoverse-n1")
OLD_X86 = ("qemu-x86_64-static", "-cpu", "Nehalem")  # the oldest model that NumPy still starts on; it has no AVX


class Result(NamedTuple):
    """What a kernel gave over all shapes."""

    hash: str
    sum: float  # of the finite magnitudes


Results = dict[tuple[str, str, str], Result]  # by table, type and kernel


def needed(*programs: str) -> None:
    """NotHereError unless they are on the path."""
    missing = [name for name in programs if shutil.which(name) is None]
    if missing:
        raise NotHereError(f"{' and '.join(missing)}: {SETUP} installs what emulates other processors")


def kernel_program(compiler: str, optimize: str, *link: str, instead: Path | None = None) -> str:
    """kernel_hashes.c with csrc/ as this compiler makes it; for as long as this process lives. instead: a folder whose
    sources go in the place of those of their name.
    """
    folder = Path(_folder().name) / re.sub(r"\W+", "_", f"{compiler} {optimize} {instead.name if instead else ''}")
    if (folder / "program").exists():
        return str(folder / "program")
    folder.mkdir(exist_ok=True)
    command = [*compiler.split(), *FLAGS, optimize, *([f"-I{instead}"] if instead else [])]
    sources = {path.name: path for path in (*CSRC.glob("*.c"), *CSRC.glob("tables/*.c"), TESTS / "c/kernel_hashes.c")}
    sources |= {path.name: path for path in instead.glob("*.c")} if instead else {}

    def compiled(source: Path) -> str:
        target = str(folder / f"{source.stem}.o")
        _run([*command, "-c", str(source), "-o", target])
        return target

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        objects = list(pool.map(compiled, sources.values()))
    _run([*command, *link, *objects, "-lm", "-o", str(folder / "program")])
    return str(folder / "program")


def kernel_results(program: str, tables: str, shapes: int, processor: Sequence[str] = ()) -> Results:
    """What every kernel of these tables gives."""
    results = {}
    for line in _run([*processor, program, tables, str(shapes)]).splitlines():
        table, dtype, digest, total, kernel = line.split(" ", 4)
        results[table, dtype, kernel] = Result(digest, float(total))
    return results


def arm64_python() -> Path:
    """The emulated interpreter; NotHereError where it was not set up."""
    folder = Path(os.environ.get("FASTNN_EMULATION") or ROOT / "build" / "emulation").resolve()
    if not (folder / "arm64" / "python").is_file():
        raise NotHereError(f"an emulated arm64 Python in {folder}: run {SETUP} and name its folder in FASTNN_EMULATION")
    needed(ARM64[0], CROSS)
    return folder / "arm64" / "python"


def suite_on_arm64(every: bool = False) -> tuple[bool, str]:
    """The suite in the emulated interpreter, with the package as setup.py builds it by the cross compiler; with what is
    left out of an hour, too, where it says something there."""
    python = arm64_python()
    root = python.parent / "root"
    version = next((root / "usr/include").glob("python3.*")).name.removeprefix("python")
    # the host's setup.py, told what it would find out over there; the first -I wins over the host's own headers
    package = _package(
        python.parent,
        CC=CROSS,
        LDSHARED=f"{CROSS} -shared",
        CFLAGS=f"-I{root}/usr/include/python{version} -I{root}/usr/include",
        _PYTHON_HOST_PLATFORM="linux-aarch64",
        SETUPTOOLS_EXT_SUFFIX=f".cpython-{version.replace('.', '')}-aarch64-linux-gnu.so",
    )
    said = _run([str(python), "-c", "import platform; print(platform.machine())"]).strip()
    assert said == "aarch64", f"the emulated interpreter says it runs on {said}"
    left_out = [f"--ignore-glob=*/{name}" for name in (*NOT_THERE, *(() if every else NOT_IN_AN_HOUR))]
    left_out += [f"--deselect={name}" for name in NOT_THESE]
    options = ["-q", "-p", "no:cacheprovider", "--durations=50"]  # what takes long stands in LOG
    return _outcome([str(python), "-m", "pytest", *options, *left_out, str(TESTS)], package, python.parent / LOG)


def golden_from(compiler: str) -> tuple[bool, str]:
    """The contract models of an extension that another compiler built for this machine."""
    folder = arm64_python().parents[1]
    package = _package(folder / compiler, CC=compiler, LDSHARED=f"{compiler} -shared")
    return _outcome([str(folder / "host/bin/python"), str(TESTS / "make_golden.py"), "--check"], package)


def _package(folder: Path, **build: str) -> dict[str, str]:
    """The environment that imports the package, built in this folder; what is there and as new as its source, stays."""
    source = folder / "source"
    for name in ("csrc", "src"):
        shutil.rmtree(source / name, ignore_errors=True)
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("*.so", "__pycache__", "*.egg-info"))
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy2(ROOT / name, source / name)
    host = next(path for path in (folder, *folder.parents) if (path / "host").is_dir()) / "host/bin/python"
    _run([str(host), "setup.py", "-q", "build_ext", "--inplace"], source, {**os.environ, **build})
    return {**os.environ, "PYTHONPATH": str(source / "src"), "PYTHONDONTWRITEBYTECODE": ""}


def _outcome(command: list[str], env: dict[str, str], log: Path | None = None) -> tuple[bool, str]:
    done = subprocess.run(command, env=env, cwd=ROOT, capture_output=True, text=True)
    if log is not None:
        log.write_text(done.stdout + done.stderr, encoding="utf-8")
    lines = (done.stdout.strip() or done.stderr.strip()).splitlines()
    failed = [line for line in lines if line.startswith(("FAILED", "ERROR"))][:5]  # which, as a run takes long
    return done.returncode == 0 and bool(lines), "; ".join([*failed, lines[-1].strip("= ")]) if lines else "nothing"


def old_x86(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """This interpreter with this package on an x86-64 without AVX."""
    if platform.machine() != "x86_64":
        raise NotHereError("an x86-64")
    needed(OLD_X86[0])
    path = os.pathsep.join(str(Path(p).resolve()) for p in sys.path if p)
    command = [*OLD_X86, "-0", sys.executable, os.path.realpath(sys.executable), "-c", code]
    env = {**os.environ, "PYTHONPATH": path, **environment}
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=900)


@lru_cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory()


def _run(command: list[str], folder: Path | None = None, env: dict[str, str] | None = None) -> str:
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True)
    assert done.returncode == 0, f"{Path(command[0]).name} ended with {done.returncode}: {done.stderr[-1000:]}"
    return done.stdout


if __name__ == "__main__":
    good, said = suite_on_arm64(every=True)
    print(said)
    sys.exit(0 if good else 1)
