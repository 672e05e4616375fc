"""What the fuzz targets share: what an input may lead to, in how much memory and time, and the loop around it.

A target is a function of bytes that says "loaded" or "refused". Whatever else it does - another exception than the
documented one, more memory than the input and 16 MB, more seconds than ``SECONDS`` - is a finding. The ordinary suite
calls the same functions for the corpus, for the inputs that once failed, and for mutants (``test_fuzz.py``);
``make fuzz`` lets atheris look for new ones, guided by which lines they reach.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

HERE = Path(__file__).resolve().parent
MEMORY = 16 << 20  # bytes beyond the input's own
SECONDS = 10.0  # of the processor, for an input of at most MOST bytes, with the instrumentation that slows it threefold
MOST = 1 << 16  # bytes of an input that the fuzzer makes
PROC = Path("/proc/self/clear_refs")

Target = Callable[[bytes], str]
Mutator = Callable[[bytes, random.Random], bytes]


class FindingError(AssertionError):
    """An input led to what is not allowed."""


def _status(key: str) -> int:
    with open("/proc/self/status", encoding="ascii") as lines:
        return next(int(line.split()[1]) << 10 for line in lines if line.startswith(key))


def behaves(target: Target, data: bytes, allowed: float = MEMORY, seconds: float = SECONDS) -> str:
    """What the target says of the input; FindingError where that took more than it may.

    The memory is the growth of the process at its highest moment. What an earlier input left to the allocator is used
    again first, so that an excess is seen at the latest at twice the bound; ``test_fuzz.py`` measures in processes of
    their own.
    """
    measured = os.access(PROC, os.W_OK)
    if measured:
        PROC.write_text("5", encoding="ascii")  # the highest moment begins anew
        before = _status("VmRSS")
    begin = time.process_time()
    said = target(data)
    took = time.process_time() - begin
    if said not in ("loaded", "refused"):
        raise FindingError(f"the target says {said!r}")
    if took > seconds:
        raise FindingError(f"{took:.1f} s of the processor for {len(data)} bytes, allowed are {seconds:g}")
    if measured and (beyond := _status("VmHWM") - before - len(data)) > allowed:
        raise FindingError(f"{beyond / 2**20:.1f} MB beyond the {len(data)} bytes, allowed are {allowed / 2**20:g}")
    return said


@contextlib.contextmanager
def refusal(name: str, *kinds: type[Exception]) -> Iterator[None]:
    """The documented errors: of these kinds, of a bearable length, beginning with the name of what is wrong.
    FindingError where one does not; RefusedError where all is as it should be."""
    try:
        yield
    except kinds as error:
        text = str(error)
        if not text.startswith(name) or len(text) > 2000 or len(text) < len(name) + 8:
            raise FindingError(
                f"{type(error).__name__} says {text[:300]!r}, expected it to begin with {name!r}"
            ) from error
        raise RefusedError from error


class RefusedError(Exception):
    """The input was refused as it should be."""


_folder: tempfile.TemporaryDirectory[str] | None = None


def as_file(data: bytes, name: str) -> str:
    """The path of a file with these bytes, in memory where the system has a place for that; the next call of the same
    name takes it away."""
    global _folder
    if _folder is None:
        shm = "/dev/shm"
        _folder = tempfile.TemporaryDirectory(dir=shm if os.access(shm, os.W_OK) else None)
    path = os.path.join(_folder.name, name)
    with open(path, "wb") as file:
        file.write(data)
    return path


def inputs_of(kind: str, folder: str) -> list[Path]:
    return sorted(p for p in (HERE / folder / kind).iterdir() if p.is_file() and p.name[0] != ".")


def main(kind: str, target: Target, mutator: Mutator) -> None:
    """The command of a target: ``python tests/fuzz/fuzz_model.py --seconds 300``, with atheris in the environment; or
    with files, to try those alone. What it finds lies in the folder of --found, smallest first to be looked at."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--seconds", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--found", type=Path, default=Path("build") / "fuzz" / kind, help="corpus and findings go there"
    )
    args = parser.parse_args()
    if args.files:
        for file in args.files:
            print(file, behaves(target, file.read_bytes()))
        return
    import atheris

    grown = args.found / "corpus"
    grown.mkdir(parents=True, exist_ok=True)

    def one(data: bytes) -> None:
        behaves(target, data)

    def mutated(data: bytes, most: int, seed: int) -> bytes:
        """Half of the mutants are made with the structure in mind, half by libFuzzer, which knows what was compared."""
        rng = random.Random(seed)
        if rng.random() < 0.5:
            with contextlib.suppress(Exception):  # not every input can be taken apart
                made = mutator(bytes(data), rng)
                if made and len(made) <= most:
                    return made
        return bytes(atheris.Mutate(data, len(data) + 64))[:most]

    options = [
        sys.argv[0],
        f"-max_total_time={args.seconds}",
        f"-seed={args.seed}",
        f"-max_len={MOST}",
        "-len_control=0",
        f"-artifact_prefix={args.found}/",
        "-timeout=60",
        "-rss_limit_mb=2048",
        "-print_final_stats=1",
        str(grown),
        str(HERE / "corpus" / kind),
        str(HERE / "regressions" / kind),
    ]
    atheris.Setup(options, one, custom_mutator=mutated)
    atheris.Fuzz()


def instrumented() -> contextlib.AbstractContextManager[object]:
    """Imports of the package under atheris' eyes, where this file is run as a command to fuzz; else as ever."""
    fuzzing = os.path.basename(sys.argv[0]).startswith("fuzz_")
    if not fuzzing:
        return contextlib.nullcontext()
    try:
        import atheris
    except ImportError:
        return contextlib.nullcontext()
    return atheris.instrument_imports(include=["fastnn", "json.decoder"])
