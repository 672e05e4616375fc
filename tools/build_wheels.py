"""``make wheels``: a wheel for every CPython from 3.11 on that is found here, each installed and tested.

python tools/build_wheels.py [PYTHON ...] [--out dist] [--once] [--tests tests/test_contract.py ...]
python tools/build_wheels.py --check WHEEL ...     only: is it small, and only what belongs in it? Writes its SBOM.

Each wheel is built twice, from copies of what git lists in folders whose paths differ in length, and must come out
equal to the byte (--once: built once, and not compared). The clock is the last commit's (SOURCE_DATE_EPOCH). On Linux
``auditwheel`` then says which systems it runs on and names it so. It is installed, away from the sources, into a fresh
environment, and the tests run against it. A table at the end; the exit status is 1 where anything is not as it should.

What the bytes depend on beside the sources: the C compiler, the interpreter, Cython, setuptools and NumPy's headers.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

import sbom

ROOT = Path(__file__).resolve().parents[1]
OLDEST, NEWEST = 11, 14  # minor versions of Python 3
MOST_BYTES = 3_000_000
TESTS = ["test_contract.py", "test_model.py", "test_session.py", "test_export_c.py", "test_environment.py"]
BELONGS = re.compile(
    r"fastnn/(\w+/)*(\w+\.pyi?|py\.typed|\w+(\.[\w-]+)?\.(so|pyd))"  # code
    r"|fastnn/export/(templates/\w+|csrc/(simd|kernels)/\w+)\.[ch]"  # what export_c makes C from
    r"|fastnn_cpu-[^/]+\.dist-info/[\w./-]+"
)


@dataclass
class Row:
    """What was found about a wheel; problems: why it must not be shipped."""

    python: str
    wheel: Path | None = None
    seconds: float = 0.0
    same: str = "-"
    tests: str = "-"
    problems: list[str] = field(default_factory=list)

    def cells(self) -> list[str]:
        name, size = ("-", "-") if self.wheel is None else (self.wheel.name, f"{self.wheel.stat().st_size / 1e6:.2f}")
        return [self.python, name, size, f"{self.seconds:.0f}", self.same, self.tests, "; ".join(self.problems) or "ok"]


def run(command: list[str], cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    # whoever runs this may have FASTNN_ISA or a PYTHONPATH of their own; neither belongs into a wheel
    env = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "FASTNN_"))}
    env |= {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{env['PATH']}", "SOURCE_DATE_EPOCH": last_commit()}
    env |= {k: v for k, v in os.environ.items() if k == "FASTNN_TEST_DATA"}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=env, cwd=cwd)


def git(*arguments: str) -> str:
    return subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, text=True, check=True).stdout


def last_commit() -> str:
    """The second of the last commit: the one clock of a build. SOURCE_DATE_EPOCH of the caller goes before it."""
    return os.environ.get("SOURCE_DATE_EPOCH") or git("log", "-1", "--format=%ct").strip()


def interpreters(asked: list[str]) -> dict[str, str]:
    """version -> path, one for each minor version: those asked for, else what PATH and pyenv have."""
    found: dict[str, str] = {}
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    names = [f"python3.{minor}" for minor in range(OLDEST, NEWEST + 1)]
    here = [*map(shutil.which, names), *(str(p) for n in names for p in sorted(pyenv.glob(f"*/bin/{n}")))]
    code = (
        "import sys, sysconfig; free = sysconfig.get_config_var('Py_GIL_DISABLED') or 0;"
        "print(sys.implementation.name, *sys.version_info[:2], free)"
    )
    for path in asked or [p for p in here if p] + [sys.executable]:
        done = run([path, "-c", code])
        if done.returncode:
            if asked:
                sys.exit(f"{path}: not an interpreter: {done.stderr.strip()[-200:]}")
            continue  # a shim of pyenv for a version that is not chosen
        kind, major, minor, free = done.stdout.split()
        if kind == "cpython" and (int(major), int(minor)) >= (3, OLDEST):
            found.setdefault(f"{major}.{minor}" + "t" * int(free), path)
        elif asked:
            sys.exit(f"{path}: {kind} {major}.{minor}; expected CPython 3.{OLDEST} or later")
    return found


def copy_sources(folder: Path) -> Path:
    for name in filter(None, git("ls-files", "-z").split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    return folder


def build(python: str, folder: Path) -> Path:
    """The wheel of a fresh copy of the sources in this folder."""
    command = [python, "-m", "pip", "wheel", "-q", "--no-deps", "--disable-pip-version-check", "-w", "dist", "."]
    done = run(command, cwd=copy_sources(folder))
    if done.returncode:
        raise RuntimeError(f"the build failed: {done.stderr[-800:]}")
    return next((folder / "dist").glob("*.whl"))


def strangers(wheel: Path) -> list[str]:
    """Files that have no business in a wheel: sources of Cython, generated C, tests."""
    with zipfile.ZipFile(wheel) as archive:
        files = [i.filename for i in archive.infolist() if not i.is_dir()]  # auditwheel lists folders too
    return [name for name in files if not BELONGS.fullmatch(name)]


def checked(wheel: Path) -> list[str]:
    """Why it must not be shipped; writes its bill of materials."""
    sbom.write(wheel)
    size = wheel.stat().st_size
    large = [f"{size:,} bytes, and {MOST_BYTES:,} are too many"] * (size >= MOST_BYTES)
    return large + [f"{name} does not belong" for name in strangers(wheel)]


def repaired(wheel: Path, scratch: Path, out: Path) -> Path:
    """The wheel in ``out``, under the name of the oldest systems it runs on."""
    if sys.platform == "linux":
        done = run([sys.executable, "-m", "auditwheel", "repair", "-w", str(scratch), str(wheel)])
        if done.returncode:
            raise RuntimeError(f"auditwheel: {done.stderr.strip()[-300:]}")
        wheel = next(scratch.glob("*.whl"))
    return Path(shutil.copy(wheel, out))


def tried(python: str, wheel: Path, tests: list[str], folder: Path) -> str:
    """What pytest says about the installed wheel, with nothing of the sources but the tests in reach."""
    venv = folder / "venv"
    run([python, "-m", "venv", str(venv)])
    inside = str(venv / ("Scripts/python.exe" if os.name == "nt" else "bin/python"))
    done = run([inside, "-m", "pip", "install", "-q", "--disable-pip-version-check", f"{wheel}[test]"])
    if done.returncode:
        raise RuntimeError(f"it does not install: {done.stderr[-300:]}")
    shutil.copytree(ROOT / "tests", folder / "tests", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "csrc", folder / "csrc")  # tests compile some of it
    for name in ("pyproject.toml", "setup.py"):
        shutil.copy(ROOT / name, folder)
    where = run([inside, "-c", "import fastnn; print(fastnn.__file__)"], cwd=folder).stdout.strip()
    if not Path(where).resolve().is_relative_to(venv.resolve()):
        raise RuntimeError(f"the tests would try {where or 'nothing'}, which is not the installed wheel")
    done = run([inside, "-m", "pytest", "-q", *(f"tests/{name}" for name in tests)], cwd=folder)
    last = (done.stdout.strip().splitlines() or ["pytest said nothing"])[-1].strip("= ")
    if done.returncode:
        raise RuntimeError(f"tests: {last}\n{done.stdout[-2000:]}{done.stderr[-500:]}")
    return last


def make(version: str, python: str, out: Path, once: bool, tests: list[str]) -> Row:
    row, began = Row(version), time.monotonic()
    with tempfile.TemporaryDirectory() as scratch:
        try:
            wheel = build(python, Path(scratch) / "a")
            row.seconds = time.monotonic() - began
            if not once:
                again = build(python, Path(scratch) / "another-folder-with-a-longer-name")
                first, second = (hashlib.sha256(p.read_bytes()).hexdigest() for p in (wheel, again))
                row.same = "equal" if first == second else "DIFFERENT"
                row.problems += ["two builds differ"] * (first != second)
            row.wheel = repaired(wheel, Path(scratch) / "repaired", out)
            row.problems += checked(row.wheel)
            if tests:
                (Path(scratch) / "away").mkdir()
                row.tests = tried(python, row.wheel.resolve(), tests, Path(scratch) / "away")
        except RuntimeError as error:
            row.problems.append(str(error))
    return row


def table(rows: list[Row]) -> str:
    lines = [["Python", "wheel", "MB", "build s", "twice", "tests", "verdict"], *(row.cells() for row in rows)]
    widths = [max(len(line[i].splitlines()[0]) for line in lines) for i in range(len(lines[0]))]
    return "\n".join("  ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)).rstrip() for line in lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("python", nargs="*", help="interpreters; by default all that PATH and pyenv have")
    parser.add_argument("--out", type=Path, default=ROOT / "dist")
    parser.add_argument("--once", action="store_true", help="build once: do not compare")
    parser.add_argument("--check", nargs="+", type=Path, metavar="WHEEL", help="look at these, build nothing")
    parser.add_argument("--tests", nargs="*", default=TESTS, help="files of tests/; none: --tests alone")
    options = parser.parse_args()
    if options.check:
        found = {wheel.name: checked(wheel) for wheel in options.check}
        print("\n".join(f"{name}: {'; '.join(problems) or 'ok'}" for name, problems in found.items()))
        return 1 if any(found.values()) else 0
    options.out.mkdir(parents=True, exist_ok=True)
    rows = []
    for version, python in interpreters(options.python).items():
        print(f"Python {version}: {python}", flush=True)
        rows.append(make(version, python, options.out, options.once, [t.removeprefix("tests/") for t in options.tests]))
        print(table(rows[-1:]), flush=True)
    print("\n" + table(rows))
    return 0 if rows and not any(row.problems for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
