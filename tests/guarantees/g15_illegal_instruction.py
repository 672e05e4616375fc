"""G15. No processor meets an instruction that it does not have.

Quick form: the machine code of every extension, function by function: a table has the instructions of its own set and
no more, all the rest has none beyond the oldest x86-64; and an instruction set that is not there, or does not exist, is
refused in words where it is forced. Full form: the same refusal, every kernel over 200 shapes, and a small training
under emulation of an x86-64 without AVX (qemu-x86_64 -cpu Nehalem), on the sse2 table: the very bits that sse2 gives
natively, and near those of the contract; a table of AVX2 there is stopped, so the emulator would have told.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from typing import Any

import elsewhere
from promise import Figure, NotHereError, python

import fastnn
from fastnn import _core

PROMISE = "never an illegal instruction, and a refusal in words where an absent instruction set is forced"
SHAPES = 200
NEAR = {"float32": 1e-7, "float64": 1e-14}  # relative, of the sums of sse2 and of the scalar table
SYMBOL = re.compile(r"\s*\d+: ([0-9a-f]+)\s+(\d+|0x[0-9a-f]+) (\w+)\s+\w+\s+\w+\s+(\w+)(?: (.*))?")
CODE = re.compile(r"\s*([0-9a-f]+):\t([^<#]+)")
# What a table's instructions must not be, as "name operands". From Intel's manual, volume 2: the registers and masks of
# AVX-512; the integer, permuting, gathering and register-broadcasting half of AVX2; BMI; all that came between SSE2 and
# AVX. The names of AVX begin with v. FMA implies AVX, so the scalar table may have 256 bits of floats.
AVX512 = r"%zmm|%k[0-7]|%[xy]mm(?:1[6-9]|2\d|3[01])"
BMI = r"^(?:(?:sh[lr]|sar|ror|mul)x|pdep|pext|andn|bextr|bls(?:i|r|msk)|bzhi|lzcnt)[lq]?\b"
AVX2 = (
    r"^vp(?!ermil|erm2f128|test)\w* .*%ymm|^v\w*i128|^vpbroadcast|^vbroadcasts[sd] +%xmm|^vgather|^vpgather|^vpblendd"
    r"|^vps[lr][la]v|^vpmaskmov"
)
LATER = (
    r"^v(?!er[rw])|^(?:addsub|h(?:add|sub)|dp|blendv?|round)[ps][sd]\b|^(?:lddqu|mov(?:d|sh|sl)dup|fisttp|palignr|mpsadbw"
    r"|pshufb|ph(?:add|sub)\w+|pabs[bwd]|pmaddubsw|pmulhrsw|psign[bwd]|pmul(?:ld|dq)|pblend\w+|pm(?:in|ax)(?:sb|uw|[us]d)"
    r"|(?:insert|extract)ps|p(?:insr|extr)[bdq]|pmov[sz]x\w+|ptest|pcmp(?:eq|gt)q|pcmp[ei]str\w|packusdw|movntdqa|crc32"
    r"|popcnt)"
)
OLDEST = re.compile(f"{AVX512}|%ymm|{LATER}|{BMI}")
FOREIGN = {
    "avx512": re.compile(BMI),
    "avx2": re.compile(f"{AVX512}|{BMI}"),
    "scalar": re.compile(f"{AVX512}|{AVX2}|{BMI}"),
    "sse2": OLDEST,
    "other": OLDEST,
}
SMOKE = """
import numpy as np
import fastnn
from fastnn import Dense, Dropout, Model
X = np.sin(np.arange(1200).reshape(300, 4))
y = np.arange(300) % 3
layers = [Dense(32, activation="relu"), Dropout(0.1), Dense(16, activation="gelu"), Dense(3, activation="softmax")]
model = Model(layers, seed=4, dtype="float64")
model.set(loss="categorical_crossentropy", optimizer="adam")
model.train(X, y, epochs=3, batch_size=32, shuffle=True)
session = model.session()
print(fastnn.active_isa(), *model.predict(X).ravel()[::7], *session(X).ravel()[::7], *session(X[:1]).ravel())
"""


def owners(library: str) -> list[tuple[int, int, str]]:
    """(first byte, end, table or "other") of each function, ascending, by the source files in the symbol table."""
    found, table = [], "other"
    for line in _tool("readelf", "-sW", library).splitlines():
        match = SYMBOL.match(line)
        if match is None:
            continue
        at, size, kind, _, name = match.groups()
        if kind == "FILE":
            stem = (name or "").split("_")[0]
            table = stem if stem in FOREIGN else "other"
        elif kind == "FUNC" and int(size, 0):
            found.append((int(at, 16), int(at, 16) + int(size, 0), table))
    return sorted(set(found))


def libraries() -> list[Path]:
    """Every extension of the package, for this Python: some have flags of their own in setup.py."""
    return sorted(Path(fastnn.__file__).parent.rglob(f"*{EXTENSION_SUFFIXES[0]}"))


def foreign_instructions(files: Iterable[Path]) -> tuple[dict[str, int], dict[str, int]]:
    """(instructions that their table must not have, by the extension's name, and how many each table has). The tables
    are in the core; all the rest is for any processor."""
    counts: dict[str, int] = dict.fromkeys(FOREIGN, 0)
    wrong: dict[str, int] = {}
    for file in files:
        ranges = owners(str(file)) if file.samefile(_core.__file__) else []
        i = 0
        for line in _tool("objdump", "-d", "--no-show-raw-insn", str(file)).splitlines():
            match = CODE.match(line)
            if match is None:
                continue
            at = int(match[1], 16)
            while i + 1 < len(ranges) and ranges[i][1] <= at:
                i += 1
            table = ranges[i][2] if ranges and ranges[i][0] <= at < ranges[i][1] else "other"
            counts[table] += 1
            if FOREIGN[table].search(match[2]):
                wrong[file.name] = wrong.get(file.name, 0) + 1
    return wrong, counts


def refused(isa: str) -> bool:
    """Whether an import that forces this instruction set says why it cannot be."""
    try:
        python("import fastnn", env={"FASTNN_ISA": isa})
    except AssertionError as error:
        return f"ImportError: FASTNN_ISA={isa}: " in str(error)
    return False


def natively() -> tuple[bool, str]:
    if platform.machine() != "x86_64" or sys.platform != "linux" or not all(map(shutil.which, ("readelf", "objdump"))):
        raise NotHereError("Linux on x86-64 with binutils: the machine code is read there")
    files = libraries()
    wrong, counts = foreign_instructions(files)
    if not all(counts[table] for table in FOREIGN):
        raise NotHereError("an extension with its symbols: this one was stripped")
    absent = [isa for isa in _core.ISAS if isa not in _core.available_isas()]
    spoke = [refused(isa) for isa in (*absent, "neon", "avx99")]
    text = f"{sum(wrong.values())} of {sum(counts.values()):,} instructions foreign to their table"
    text += f", of {len(files)} extensions"
    text += f", in {', '.join(wrong)}" if wrong else ""
    return not wrong and all(spoke), f"{text}; {len(spoke)} of {len(spoke)} forced refused" if all(spoke) else text


def far(a: elsewhere.Results, b: elsewhere.Results) -> int:
    """How many kernels of the first are not near those of the second, whichever the table."""
    other = {(dtype, kernel): result.sum for (_, dtype, kernel), result in b.items()}
    return sum(
        abs(result.sum - other[dtype, kernel]) > NEAR[dtype] * (1 + other[dtype, kernel])
        for (_, dtype, kernel), result in a.items()
    )


def without_avx() -> tuple[bool, str]:
    elsewhere.needed(elsewhere.OLD_X86[0])
    program = elsewhere.kernel_program(os.environ.get("CC", "gcc"), "-O3")
    native = elsewhere.kernel_results(program, "sse2", SHAPES)
    old = elsewhere.kernel_results(program, "sse2", SHAPES, elsewhere.OLD_X86)
    differ = sum(old.get(key) != result for key, result in native.items())
    apart = far(old, elsewhere.kernel_results(program, "scalar", SHAPES))
    stopped = subprocess.run([*elsewhere.OLD_X86, program, "avx2", "1"], capture_output=True).returncode == -4
    here, there = python(SMOKE, env={"FASTNN_ISA": "scalar"}).split(), elsewhere.old_x86(SMOKE).stdout.split()
    off = max((abs(float(a) - float(b)) for a, b in zip(here[1:], there[1:], strict=True)), default=1.0)
    words = [elsewhere.old_x86("import fastnn", FASTNN_ISA=isa).stderr for isa in ("scalar", "avx2", "avx512")]
    spoke = sum("ImportError: FASTNN_ISA=" in w and "needs" in w for w in words)
    passed = not differ and not apart and bool(old) and stopped and there[0] == "sse2" and off < 1e-9 and spoke == 3
    return passed, (
        f"on {elsewhere.OLD_X86[-1]}, without AVX: {differ} of {len(native)} kernels differ from sse2 natively, "
        f"{apart} are far from scalar; a training on {there[0]} is off by {off:.1g}; {spoke} of 3 forced sets refused; "
        f"AVX2 is {'stopped' if stopped else 'NOT STOPPED'} there"
    )


def prove(full: bool) -> Figure:
    passed, text = natively()
    if full and passed:
        passed, said = without_avx()
        text = f"{text}; {said}"
    return Figure(passed, text)


def break_it(monkeypatch: Any) -> None:
    """The functions of the avx2 table stand under the name of sse2's."""
    good = owners
    swap = {"avx2": "sse2", "sse2": "avx2"}
    monkeypatch.setitem(
        globals(), "owners", lambda library: [(a, b, swap.get(table, table)) for a, b, table in good(library)]
    )


def _tool(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout
