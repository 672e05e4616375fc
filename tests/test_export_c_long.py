"""The long form: the exported C of every layer type gives Python's bits on three architectures and with two compilers.

arm64 and 32-bit arm run under user-mode emulation: on Debian, apt install qemu-user-static gcc-aarch64-linux-gnu
gcc-arm-linux-gnueabihf clang.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from compare import assert_same_bits
from exported import (
    ACTIVATIONS,
    ELEMENTWISE,
    Program,
    Target,
    awkward,
    every_pattern,
    needs_contract,
    self_test,
)
from test_export_c_graph import MODELS as GRAPHS
from test_export_c_norm import LAYERS as NORMALIZED
from test_export_c_norm import trained

import fastnn.layers
from fastnn import Dense, Dropout, Input, Model, Rescale
from fastnn.activations import Activation
from fastnn.base import Layer

pytestmark = [pytest.mark.slow, needs_contract]

ARM64, ARM32 = ("qemu-aarch64-static",), ("qemu-arm-static",)
STATIC = ("-static",)
HERE_64 = [
    Target("gcc, x86-64", "gcc", ("-O2",)),
    Target("gcc, x86-64 native", "gcc", ("-O3", "-march=native")),
    Target("clang, x86-64", "clang", ("-O2",)),
    Target("clang, x86-64 native", "clang", ("-O3", "-march=native")),
]
TARGETS = [
    *HERE_64,
    Target("gcc, arm64", "aarch64-linux-gnu-gcc", ("-O3", *STATIC), ARM64),
    Target("clang, arm64", "clang", ("--target=aarch64-linux-gnu", "-O2", *STATIC), ARM64),
    # without fma in hardware: the C library's. NEON would flush subnormal numbers, and the source keeps clang from it
    Target("gcc, arm, vfpv3", "arm-linux-gnueabihf-gcc", ("-O2", "-march=armv7-a", "-mfpu=vfpv3-d16", *STATIC), ARM32),
    Target("gcc, arm, own fma", "arm-linux-gnueabihf-gcc", ("-Os", "-mfpu=vfpv3-d16", "-DM_SOFT_FMA", *STATIC), ARM32),
    Target("gcc, arm, neon", "arm-linux-gnueabihf-gcc", ("-O3", "-mcpu=cortex-a7", "-mfpu=neon-vfpv4", *STATIC), ARM32),
    Target("clang, arm", "clang", ("--target=arm-linux-gnueabihf", "-O2", "-mcpu=cortex-a7", *STATIC), ARM32),
]
DENSE: dict[str, Any] = {
    "dense wide": lambda: [Dense(33, 40), Dense(23), Dense(8)],
    "dense narrow": lambda: [Dense(50, 7), Dense(3), Dense(1)],
    "dropout": lambda: [Dense(9, 16, activation="relu"), Dropout(0.5), Dense(2)],
    "rescale": lambda: [Input(9), Rescale(1 / 127.5, -1.0), Dense(9), Rescale(3.0, 0.1), Dense(8)],
    **{f"dense {name}": lambda name=name: [Dense(20, 24, activation=name), Dense(9)] for name in ACTIVATIONS},
}


@pytest.fixture(params=TARGETS, ids=lambda target: target.name)
def target(request: pytest.FixtureRequest) -> Target:
    chosen: Target = request.param
    missing = chosen.missing()
    if missing is not None:
        pytest.skip(f"{missing} is not installed")
    return chosen


@pytest.mark.parametrize("name", sorted(DENSE))
def test_every_layer_type(name: str, target: Target, dtype: Any, tmp_path: Path) -> None:
    model = Model(DENSE[name](), seed=7, dtype=dtype)
    model.finalize()
    model.set_parameters([(w, np.linspace(-0.5, 0.5, b.size).reshape(b.shape)) for w, b in model.get_parameters()])
    X = awkward(model, 500)
    assert_same_bits(Program(model, tmp_path, target).predict(X), model.predict(X), f"{name}, {target.name}")
    ran = self_test(tmp_path / "m.c", "m", target=target)
    assert ran.returncode == 0, ran.stdout


@pytest.mark.parametrize("name", sorted(GRAPHS))
def test_graphs(name: str, target: Target, dtype: Any, tmp_path: Path) -> None:
    model = GRAPHS[name](dtype)
    model.finalize()
    X = awkward(model, 300)
    assert_same_bits(Program(model, tmp_path, target).predict(X), model.predict(X), f"{name}, {target.name}")


@pytest.mark.parametrize("name", sorted(NORMALIZED))
def test_normalizations(name: str, target: Target, dtype: Any, tmp_path: Path) -> None:
    model = trained(name, dtype)
    X = awkward(model, 300)
    X[0] = 0.25  # a row without variance
    assert_same_bits(Program(model, tmp_path, target).predict(X), model.predict(X), f"{name}, {target.name}")


def test_no_layer_type_is_left_out() -> None:
    models = [Model(make(), seed=0) for make in (*DENSE.values(), *NORMALIZED.values())]
    models += [make(np.float32) for make in GRAPHS.values()]
    seen: set[type[Any]] = {type(layer) for model in models for layer in model.numbered}
    there = {kind for kind in vars(fastnn.layers).values() if isinstance(kind, type) and issubclass(kind, Layer)}
    assert there - seen <= {Layer}


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_every_activation_over_bit_patterns(name: str, target: Target, dtype: Any, tmp_path: Path) -> None:
    model = Model([Input(16), Activation.resolve(name)], seed=0, dtype=dtype)
    model.finalize()
    x = every_pattern(dtype, 1 << 20 if target in HERE_64 else 1 << 17)
    X = x[: len(x) - len(x) % 16].reshape(-1, 16)
    assert_same_bits(Program(model, tmp_path, target).predict(X), model.predict(X), f"{name}, {target.name}")


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
@pytest.mark.parametrize("n", range(1, 35))
def test_rows_of_every_length(name: str, n: int, tmp_path: Path) -> None:
    model = Model([Input(n), Activation.resolve(name)], seed=0)
    model.finalize()
    X = awkward(model, 400)
    assert_same_bits(Program(model, tmp_path, Target("here", "cc")).predict(X), model.predict(X))


def test_the_three_architectures_are_there() -> None:
    """What this proof asks of a machine; where something is missing its tests are skipped, and this says so."""
    missing = {target.missing() for target in TARGETS} - {None}
    if missing or shutil.which("cc") is None:
        pytest.skip(f"not installed: {', '.join(sorted(str(tool) for tool in missing))}")
