"""Exported C files compiled and run, for test_export_c.py and its long form."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from compare import Array

from fastnn import _core
from fastnn.activations import Activation
from fastnn.model import Model

DRIVER = Path(__file__).parent / "c" / "export_driver.c"
STRICT = ["-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic", "-Wshadow", "-ffp-contract=off"]
CC = os.environ.get("CC", "cc")
ACTIVATIONS = sorted({cls.names[0] for cls in Activation.registry.values()})
ELEMENTWISE = [name for name in ACTIVATIONS if _core.ACTIVATION_SHAPE[Activation.registry[name].kernel] != "R"]
needs_compiler = pytest.mark.skipif(
    shutil.which(CC.split()[0]) is None, reason="no C compiler here: set CC, or install one"
)
# an x86 processor without FMA predicts outside the bit contract
needs_contract = pytest.mark.skipif(_core.active_isa() == "sse2", reason="the sse2 table is outside the bit contract")


@dataclass(frozen=True)
class Target:
    """A compiler with what makes it compile for an architecture, and what runs the program here."""

    name: str
    compiler: str
    flags: tuple[str, ...] = ()
    runner: tuple[str, ...] = ()

    def missing(self) -> str | None:
        """What is not installed."""
        return next((tool for tool in (self.compiler.split()[0], *self.runner) if shutil.which(tool) is None), None)


def options(model: Model, source: Path, name: str) -> list[str]:
    prefix = name.upper()
    chosen = [f'-DMODEL="{source}"', f"-DPREDICT={name}_predict", f"-DN_IN={prefix}_N_IN", f"-DN_OUT={prefix}_N_OUT"]
    return [*chosen, *(["-DDOUBLE"] if model.dtype == np.float64 else [])]


class Library:
    """The model's export in a shared library, called through ctypes."""

    def __init__(self, model: Model, folder: Path, *flags: str, name: str = "m", fused: bool = False) -> None:
        self.model, self.real = model, ctypes.c_float if model.dtype == np.float32 else ctypes.c_double
        source = folder / f"{name}.c"
        if not source.exists():
            model.export_c(source)
        library = folder / f"{name}_{len(list(folder.iterdir()))}.so"
        given = [*options(model, source, name), *(["-DFUSED"] if fused else [])]
        compile_c([*CC.split(), *STRICT, "-shared", "-fPIC", *flags, *given, str(DRIVER), "-o", str(library), "-lm"])
        self.c = ctypes.CDLL(str(library))

    def predict(self, X: Array) -> Array:
        X = np.ascontiguousarray(X, self.model.dtype)
        y = np.empty((len(X), self.model.plan.n_out), self.model.dtype)
        self.c.many(ctypes.c_void_p(y.ctypes.data), ctypes.c_void_p(X.ctypes.data), ctypes.c_size_t(len(X)))
        return y

    def multiply_add(self, a: Array, b: Array, c: Array) -> Array:
        y = np.empty_like(a)
        self.c.multiply_add(*(ctypes.c_void_p(v.ctypes.data) for v in (y, a, b, c)), ctypes.c_size_t(len(a)))
        return y


class Program:
    """The model's export as a program, here or under emulation."""

    def __init__(self, model: Model, folder: Path, target: Target, *flags: str, name: str = "m") -> None:
        self.model, self.target = model, target
        source = folder / f"{name}.c"
        if not source.exists():
            model.export_c(source, self_test=True)
        self.path = folder / f"{name}_{len(list(folder.iterdir()))}"
        given = [*options(model, source, name), "-DPROGRAM"]
        compile_c(
            [*target.compiler.split(), *STRICT, *target.flags, *flags, *given, str(DRIVER), "-o", str(self.path), "-lm"]
        )

    def predict(self, X: Array) -> Array:
        X = np.ascontiguousarray(X, self.model.dtype)
        ran = subprocess.run(
            [*self.target.runner, str(self.path)], input=X.tobytes(), capture_output=True, check=False, timeout=600
        )
        assert ran.returncode == 0, ran.stderr.decode()
        return np.frombuffer(ran.stdout, self.model.dtype).reshape(len(X), -1)


def self_test(source: Path, name: str, *flags: str, target: Target | None = None) -> subprocess.CompletedProcess[str]:
    """The exported self-test, compiled and run."""
    program = source.with_name(f"{name}_test")
    target = target or Target("here", CC)
    given = [*target.flags, *flags, f"-D{name.upper()}_SELF_TEST", str(source), "-o", str(program), "-lm"]
    compile_c([*target.compiler.split(), *STRICT, *given])
    return subprocess.run([*target.runner, str(program)], capture_output=True, text=True, check=False, timeout=600)


def compile_c(command: list[str]) -> None:
    ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    assert ran.returncode == 0, f"{' '.join(command)}\n{ran.stderr}"


def awkward(model: Model, count: int, seed: int = 5) -> Array:
    """Rows of every magnitude, with NaN, infinities, zeros of both signs and subnormal numbers among them."""
    rng = np.random.default_rng(seed)
    n, dtype = model.plan.n_in, model.dtype
    X = rng.standard_normal((count, n)) * 10.0 ** rng.uniform(-3, 2, (count, 1))
    X = X.astype(dtype)
    tiny = np.finfo(dtype).tiny
    special = np.array([0.0, -0.0, tiny, -tiny / 16, tiny * 3, 1e30, -1e30, np.inf, -np.inf, np.nan], dtype)
    for row in range(0, count, 5):  # every fifth row has some
        X[row, rng.integers(0, n, max(1, n // 4))] = rng.choice(special, max(1, n // 4))
    X[1::7] *= tiny
    return X


def every_pattern(dtype: Any, count: int, seed: int = 1) -> Array:
    """Bit patterns spread over all there are, and those around what is special."""
    rng = np.random.default_rng(seed)
    if dtype == np.float32:
        step = 2**32 // count
        spread = (np.arange(count, dtype=np.uint64) * step + rng.integers(0, step, count, np.uint64)).astype(np.uint32)
        x = spread.view(np.float32)
    else:
        x = rng.integers(0, 2**64, count, np.uint64, endpoint=False).view(np.float64)
    common = rng.uniform(-20, 20, count // 4).astype(dtype)
    edges = np.array([0, 1, 3, 6, 0.5, 15, 16, 20, 40, 88, 89, 90, 103, 104, 120, 710, 746, np.inf], dtype)
    near = np.concatenate([np.nextafter(edges, dtype.type(-np.inf)), edges, np.nextafter(edges, dtype.type(np.inf))])
    finfo = np.finfo(dtype)
    bits = np.array([finfo.tiny, finfo.smallest_subnormal, finfo.max, finfo.eps, np.nan], dtype)
    return np.concatenate([x, common, near, -near, bits, -bits])
