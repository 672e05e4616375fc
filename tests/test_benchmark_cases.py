"""Whatever is registered has its line in the benchmark (benchmarks/cases.py)."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from fastnn import _core

FOLDER = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def cases(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    if not FOLDER.is_dir():
        pytest.skip("the benchmarks are not here")
    monkeypatch.syspath_prepend(str(FOLDER))
    import cases as found

    monkeypatch.delitem(sys.modules, "cases")
    return {case.name: case for case in found.KERNELS}


@pytest.mark.parametrize("family", ["ACTIVATIONS", "LOSSES", "OPTIMIZERS", "METRICS"])
def test_every_registered_name_has_its_line(family: str, cases: dict[str, Any]) -> None:
    begun = {name.partition(" ")[0] for name in cases}
    assert set(getattr(_core, family)) <= begun


@pytest.mark.parametrize("name", sorted(_core.METRICS))
def test_both_sides_count_the_same(name: str, cases: dict[str, Any]) -> None:
    work = cases[f"{name} accuracy 1000x10"].make()
    assert 0 < work.fastnn() == work.numpy()


PARTS = ("layer", "metric", "constraint", "schedule")


def test_both_sides_of_a_part_compute_the_same(cases: dict[str, Any]) -> None:
    parts = {name: case for name, case in cases.items() if case.family in PARTS}
    works = {name: case.make() for name, case in parts.items()}
    assert all(case.make() for case in parts.values()), "a second time, as each side has its own"
    errors = {name: work.error() for name, work in works.items() if work.error is not None}
    assert len(errors) > 20
    assert {name: error for name, error in errors.items() if not error <= 1e-5} == {}
