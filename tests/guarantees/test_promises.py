"""Every promise in its quick form, and every proof broken on purpose."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest
from promise import NotHereError

HERE = Path(__file__).parent
ROWS = sorted(path.stem for path in HERE.glob("g[0-9][0-9]_*.py"))


def proof(row: str, full: bool = False) -> Any:
    try:
        return importlib.import_module(row).prove(full)
    except NotHereError as missing:
        pytest.skip(str(missing))


def test_there_are_sixteen_promises() -> None:
    assert [row[:3] for row in ROWS] == [f"g{i:02}" for i in range(1, 17)]


@pytest.mark.parametrize("row", ROWS)
def test_the_promise_holds(row: str) -> None:
    figure = proof(row)
    assert figure.passed, figure.text


@pytest.mark.parametrize("row", ROWS)
def test_the_proof_can_fail(row: str, monkeypatch: pytest.MonkeyPatch) -> None:
    importlib.import_module(row).break_it(monkeypatch)
    figure = proof(row)
    assert not figure.passed, f"{row} passes although it was broken: {figure.text}"


@pytest.mark.parametrize("how", [("--broken", "SCRIBBLE"), ("--unseen", "BREAK"), ("--unseen", "SCRIBBLE")])
def test_a_write_on_a_canary_and_a_watcher_that_sleeps_are_seen(
    how: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import g07_bounds as g07

    good = g07.guard
    monkeypatch.setattr(g07, "guard", lambda full: good(full, *how))
    figure = proof("g07_bounds")
    assert not figure.passed, figure.text


@pytest.mark.parametrize("defect", ["none", "one bit", "a kernel is missing", "a kernel is new"])
def test_one_bit_of_one_kernel_of_one_compiler_is_seen(defect: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import elsewhere
    import g03_instruction_sets as g03

    good = {("scalar", "float32", f"kernel {i}"): elsewhere.Result(f"{i:016x}", 1.0) for i in range(5)}
    other = {("neon", *key[1:]): result for key, result in good.items()}
    key = ("neon", "float32", "kernel 3")
    if defect == "one bit":
        other[key] = elsewhere.Result(f"{3 ^ 1 << 60:016x}", 1.0)
    elif defect == "a kernel is missing":
        del other[key]
    elif defect == "a kernel is new":
        other["neon", "float32", "kernel 9"] = elsewhere.Result("0", 1.0)
    stored = {g03.in_c(dtype, kernel): result.hash for (_, dtype, kernel), result in good.items()}
    monkeypatch.setattr(g03, "GOLDEN_KERNELS", stored | {"from Python, float32: kernel 3": "0"})
    monkeypatch.setattr(g03, "who_computes", lambda: iter([("gcc", "", good), ("clang", "avx512 in plain C", other)]))
    differ, kernels, who = g03.all_kernels()
    assert differ == (defect != "none"), defect
    assert kernels == 5 + (defect == "a kernel is new")
    assert who == ["gcc (scalar)", "clang (avx512 in plain C)"]
