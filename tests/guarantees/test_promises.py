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
