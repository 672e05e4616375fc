"""What the tests share: the instruction sets in turn, the two types, the real images."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from compare import CONTRACT
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings

from fastnn import _core

# a clock says nothing of a property, and the suite runs under emulators and sanitizers too
hypothesis_settings.register_profile("fastnn", deadline=None, suppress_health_check=[HealthCheck.too_slow])
hypothesis_settings.load_profile("fastnn")

ROOT = Path(__file__).resolve().parents[1]

DType = np.dtype[Any]


def isa_parameters(names: tuple[str, ...]) -> list[Any]:
    """Each name as a parameter; those that are not there stay visible, as skips."""
    here = _core.available_isas()

    def why(name: str) -> str:
        return (
            f"this processor cannot run {name}" if name in _core.ISAS else f"{name} is not built for this architecture"
        )

    return [pytest.param(n, marks=() if n in here else pytest.mark.skip(reason=why(n))) for n in names]


def _in_force(name: str) -> Iterator[str]:
    before = _core.active_isa()
    _core.use_isa(name)
    try:
        assert _core.active_isa() == name
        assert _core.table_info("float32")["isa"] == _core.table_info("float64")["isa"] == name
        yield name
    finally:
        _core.use_isa(before)


@pytest.fixture(params=_core.available_isas())
def isa(request: pytest.FixtureRequest) -> Iterator[str]:
    """Every instruction set of this machine in turn, in force."""
    yield from _in_force(request.param)


@pytest.fixture(params=isa_parameters(CONTRACT))
def contract_isa(request: pytest.FixtureRequest) -> Iterator[str]:
    """Every instruction set of the bit contract in turn, in force."""
    yield from _in_force(request.param)


@pytest.fixture(params=["float32", "float64"])
def dtype(request: pytest.FixtureRequest) -> DType:
    return np.dtype(request.param)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20240229)


@pytest.fixture(scope="session")
def fashion_mnist_dir() -> Path:
    """The folder with the four files of Fashion-MNIST."""
    folder = Path(os.environ.get("FASTNN_TEST_DATA") or ROOT.parent / "shared" / "data" / "fashion-mnist")
    if not (folder / "train-images-idx3-ubyte.gz").is_file():
        pytest.skip(f"no Fashion-MNIST in {folder}; FASTNN_TEST_DATA names the folder that holds its four files")
    return folder
