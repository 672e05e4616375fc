"""G3. The golden hashes of the contract models (tests/golden.json: every layer type, activation, loss and optimizer,
both types) and of the results of every kernel over 200 shapes (tests/golden_kernels.json), on every table of the
contract.

Here: the tables that this processor runs, among scalar (with FMA), avx2 and avx512; the figure names them. Full form:
the kernels from gcc at -O3, from clang at -O2 where it is installed, from both for arm64, scalar and neon under
emulation, and over the sixteen lanes of avx512 in plain C (tests/c/lanes16), whether the processor has them or not; the
models of an extension that clang built; and the suite in an emulated arm64 CPython, all but long tests of files and
whole programs (``make emulated`` has those too). It needs tests/emulation/setup.sh, in the folder that FASTNN_EMULATION
names. Quick form: six models, and the kernels that Python reaches over ten shapes. sse2 has no FMA and stands outside
the contract.
"""

from __future__ import annotations

import hashlib
import json
import platform
import shutil
from collections.abc import Iterator
from typing import Any

import elsewhere
import numpy as np
from compare import CONTRACT, use
from contract_models import CASES, build, numbers, signature, train
from promise import TESTS, Figure, NotHereError, digest

from fastnn import _core
from fastnn.kernels import activations, dense, losses, optimizers

PROMISE = "the same bits on scalar FMA, avx2, avx512 and neon, from gcc and clang"
GOLDEN: dict[str, str] = json.loads((TESTS / "golden.json").read_text())
GOLDEN_KERNELS: dict[str, str] = json.loads((TESTS / "golden_kernels.json").read_text())
FEW = ("book", "batches", "residual", "batch norm", "layer norm", "noise")
SHAPES, FEW_SHAPES = 200, 10
TABLES = tuple(isa for isa in CONTRACT if isa in _core.available_isas())


def models(names: Any) -> tuple[int, int]:
    """(how many hashes are not the stored ones, of how many) on the tables that run here."""
    wrong = tried = 0
    for isa in TABLES:
        with use(isa):
            for key in (f"{name}, {dtype}" for name in names for dtype in ("float32", "float64")):
                name, dtype = key.rsplit(", ", 1)
                wrong += signature(name, train(name, build(name, dtype))) != GOLDEN[key]
                tried += 1
    return wrong, tried


def kernels_from_python(rows: int, cols: int, dtype: str) -> dict[str, str]:
    """The hash of each kernel's results on the table in force."""
    x, dy, t = (numbers(rows, cols, stream).astype(dtype) for stream in (11, 12, 13))
    w, b = numbers(cols, 2 + cols // 2, 14).astype(dtype), numbers(1, 2 + cols // 2, 15)[0].astype(dtype)
    p = (np.abs(t) / (1 + np.abs(t))).astype(dtype)
    y, per_row, found = np.empty_like(x), np.empty(rows, dtype), {}
    for name in _core.ACTIVATIONS:
        activations.activation_forward(name, y, x, 0.5)
        found[f"activation {name}"] = digest(y)
        activations.activation_backward(name, y, dy, x, 0.5)
        found[f"activation {name}, gradient"] = digest(np.where(np.isnan(y), 0, y))
    for name in _core.LOSSES:
        losses.loss_forward(name, per_row, p, p[::-1].copy(), parameter=0.5)
        losses.loss_backward(name, y, p, p[::-1].copy(), scale=0.1, parameter=0.5)
        found[f"loss {name}"] = digest(*(np.where(np.isnan(a), 0, a) for a in (per_row, y)))
    for name, states in _core.OPTIMIZER_STATES.items():
        s = [np.abs(numbers(rows, cols, 16 + i).astype(dtype)).ravel() for i in range(3)]
        s = [s[i] if i < states else None for i in range(3)]
        parameters = (0.3, 0.9, 0.99, 0.01)[: _core.OPTIMIZER_PARAMETERS[name]]
        weights = x.ravel().copy()
        optimizers.optimizer_step(name, weights, dy.ravel(), s[0], s[1], 0.1, parameters, 3, s[2])
        found[f"optimizer {name}"] = digest(weights, *(a for a in s if a is not None))
    out = np.empty((rows, w.shape[1]), dtype)
    dense.dense_forward(out, np.empty_like(out), x, w, b, "tanh")
    dx, dw, db = np.empty_like(x), np.empty_like(w), np.empty_like(b)
    dense.dense_backward(dx, dw, db, out, x, w)
    return found | {"product": digest(out), "product, gradients": digest(dx, dw, db)}


def few_kernels() -> dict[str, set[str]]:
    """The hashes of each kernel over a few shapes on the tables that run here."""
    found: dict[str, set[str]] = {}
    for dtype in ("float32", "float64"):
        for isa in TABLES:
            with use(isa):
                shapes = [kernels_from_python(1 + 7 * i % 23, 1 + 13 * i % 61, dtype) for i in range(FEW_SHAPES)]
            for name in shapes[0]:
                together = hashlib.sha256("".join(shape[name] for shape in shapes).encode()).hexdigest()
                found.setdefault(f"from Python, {dtype}: {name}", set()).add(together)
    return found


def differing(found: dict[str, set[str]]) -> int:
    """How many kernels have not the one hash that is stored, or are stored and were not run."""
    families = {name.partition(", ")[0] for name in found}
    stored = {name for name in GOLDEN_KERNELS if name.partition(", ")[0] in families}
    return sum(found.get(name) != {GOLDEN_KERNELS.get(name)} for name in found.keys() | stored)


def in_c(dtype: str, kernel: str) -> str:
    """The name under which its hash is stored."""
    return f"in C, {dtype}: {kernel}"


def who_computes() -> Iterator[tuple[str, str, elsewhere.Results]]:
    """(a compiler, the name of the table where it is not the results', what every kernel gives)."""
    for name, optimize in (("gcc", "-O3"), ("clang", "-O2")):
        if shutil.which(name):
            program = elsewhere.kernel_program(name, optimize)
            yield f"{name} {optimize}", "", elsewhere.kernel_results(program, "contract", SHAPES)
    if platform.machine() == "x86_64":
        program = elsewhere.kernel_program("gcc", "-O1", instead=elsewhere.LANES16)
        yield "gcc -O1", "avx512 in plain C", elsewhere.kernel_results(program, "avx512", SHAPES)
    for name, optimize in ((elsewhere.CROSS, "-O3"), (elsewhere.CLANG_CROSS, "-O2")):
        if shutil.which(name.split()[0]):
            program = elsewhere.kernel_program(name, optimize, "-static")
            yield name, "", elsewhere.kernel_results(program, "contract", SHAPES, elsewhere.ARM64)


def all_kernels() -> tuple[int, int, list[str]]:
    """(how many differ, how many there are, who computed them)."""
    hashes: dict[str, set[str]] = {}
    who = []
    for maker, named, found in who_computes():
        tables = list(dict.fromkeys(table for table, _, _ in found))
        who.append(f"{maker} ({named or ', '.join(tables)})")
        kernels = dict.fromkeys((dtype, kernel) for _, dtype, kernel in found)
        for dtype, kernel in kernels:
            here = hashes.setdefault(in_c(dtype, kernel), set())
            here |= {
                found[table, dtype, kernel].hash if (table, dtype, kernel) in found else "none" for table in tables
            }
        for name in hashes.keys() - {in_c(dtype, kernel) for dtype, kernel in kernels}:
            hashes[name].add("none")
    return differing(hashes), len(hashes), who


def prove(full: bool) -> Figure:
    if full:
        elsewhere.arm64_python()
        elsewhere.needed("gcc", "clang", elsewhere.CROSS)
    elif len(TABLES) < 2:
        raise NotHereError("a processor that runs more than the scalar table")
    wrong, tried = models(CASES if full else FEW)
    text = f"{wrong} of {tried:,} hashes of models differ on {', '.join(TABLES)}"
    if not full:
        few = few_kernels()
        differ = differing(few)
        return Figure(wrong + differ == 0 and len(few) > 0, f"{text}; {differ} of {len(few):,} hashes of kernels")
    differ, kernels, who = all_kernels()
    text += f"; {differ} of {kernels} kernels over {SHAPES} shapes: {', '.join(who)}"
    passed = wrong == 0 and differ == 0 and kernels > 0
    if shutil.which("clang"):
        good, said = elsewhere.golden_from("clang")
        text, passed = f"{text}; built by clang: {said}", passed and good
    good, said = elsewhere.suite_on_arm64()
    return Figure(passed and good, f"{text}; the suite in an emulated arm64 CPython: {said}")


def break_it(monkeypatch: Any) -> None:
    """One bit of one golden hash turns."""
    key = f"{FEW[0]}, float32"
    monkeypatch.setitem(GOLDEN, key, GOLDEN[key][:-1] + f"{int(GOLDEN[key][-1], 16) ^ 1:x}")
