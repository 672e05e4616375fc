"""The runner of ``make prove``: order, limits, the page."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import threading
import time
from typing import Any

import promise
import prove
import pytest

ROWS = ("g01_a", "g03_b", "g05_c", "g09_d", "g12_e")


def result(row: str, passed: bool = True) -> dict[str, Any]:
    return {"row": row, "promise": f"promise of {row}", "passed": passed, "text": "0 of 3 | differ", "seconds": 90.0,
            "at": "2026-01-02 abc"}  # fmt: skip


def test_two_at_a_time_and_those_with_clocks_alone_and_last(capsys: pytest.CaptureFixture[str]) -> None:
    running: list[str] = []
    seen: dict[str, list[str]] = {}
    both = threading.Barrier(2, timeout=10)

    def run(row: str, left: float | None) -> dict[str, Any]:
        assert left is not None
        assert 1 <= left <= 100
        running.append(row)
        if row in ("g03_b", "g09_d"):  # the longest first: these two start together
            both.wait()
        seen[row] = list(running)
        if row in ("g03_b", "g09_d"):
            both.wait()
        running.remove(row)
        return result(row)

    found = prove.all_of(ROWS, run, 100.0)
    assert [r["row"] for r in found] == list(ROWS)
    assert set(seen["g03_b"]) == {"g03_b", "g09_d"}
    assert seen["g05_c"] == ["g05_c"]
    assert seen["g12_e"] == ["g12_e"]
    assert list(seen)[-2:] == ["g05_c", "g12_e"]
    assert capsys.readouterr().out.count("pass") == 5


def test_what_is_left_of_the_hour_goes_to_the_next(capsys: pytest.CaptureFixture[str]) -> None:
    left: list[float | None] = []

    def run(row: str, seconds: float | None) -> dict[str, Any]:
        left.append(seconds)
        time.sleep(0.05)
        return result(row, passed=False)

    prove.all_of(["g05_a", "g12_b"], run, 50.0)
    assert left[0] is not None
    assert left[1] is not None
    assert 45 < left[1] < left[0] - 0.04
    prove.all_of(["g05_a"], run, None)
    assert left[2] is None
    assert "FAIL" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ("import subprocess, time\nsubprocess.run(['sleep', '60.271'])", "not through in 1 s"),
        ("import os\nos._exit(5)", "the process ended with 5: "),
        ("raise RuntimeError('so it is')", "RuntimeError: so it is"),
        ("from promise import NotHereError\n    raise NotHereError('a moon')", "not proven here: a moon"),
    ],
)
def test_a_row_that_does_not_end_well_fails(
    body: str, text: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = body.replace("\nsubprocess", "\n    subprocess").replace("\nos", "\n    os")
    (tmp_path / "g99_bad.py").write_text(f"PROMISE = 'nothing'\ndef prove(full):\n    {body}\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    path = [str(tmp_path), os.path.dirname(os.path.dirname(promise.fastnn.__file__))]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(path))
    limit = 1 if "sleep" in body else 60
    found = prove.in_a_process("g99_bad", True, limit)
    assert found["text"].startswith(text)
    assert not found["passed"]
    assert found["promise"] == "nothing"
    if "sleep" in body:
        assert found["seconds"] < 30
    if "sleep" in body and shutil.which("ps"):
        assert "sleep 60.271" not in subprocess.run(["ps", "-ef"], capture_output=True, text=True).stdout


def test_the_page_names_what_failed() -> None:
    text = prove.page([result("g01_a"), result("g02_b", passed=False)], 3000.0)
    assert "| G1 | promise of g01_a | 0 of 3 / differ | pass | 1.5 | 2026-01-02 abc |" in text
    assert "| G2 | promise of g02_b | 0 of 3 / differ | **FAIL** | 1.5 | 2026-01-02 abc |" in text
    assert "in 50 minutes" in text


def test_some_rows_are_written_anew_and_the_others_stay(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    page = tmp_path / "guarantees.md"
    monkeypatch.setattr(prove, "PAGE", page)
    before = prove.page([result(f"g{i:02}_x") for i in (1, 2, 12)], 60.0)
    page.write_text(before)
    monkeypatch.setattr(prove, "in_a_process", lambda row, full, seconds: result(row) | {"text": "anew", "at": "gone"})
    monkeypatch.setattr(sys, "argv", ["prove.py", "g01"])
    assert prove.main() == 0
    old, new = before.splitlines(), page.read_text().splitlines()
    (changed,) = [i for i in range(len(old)) if old[i] != new[i]]
    now = prove.here_and_now()
    assert new[changed] == f"| G1 | promise of g01_threads | anew | pass | 1.5 | {now} |"
    assert re.fullmatch(r"\d{4}-\d\d-\d\d [\w.-]+( release)?", now)


def test_one_row_that_fails_is_the_exit_status(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.setattr(prove, "PAGE", tmp_path / "guarantees.md")
    for bad in ("", "g07_bounds"):

        def run(row: str, full: bool, seconds: float | None, bad: str = bad) -> dict[str, Any]:
            return result(row, passed=row != bad)

        monkeypatch.setattr(prove, "in_a_process", run)
        monkeypatch.setattr(sys, "argv", ["prove.py"])
        assert prove.main() == (1 if bad else 0)
        lines = (tmp_path / "guarantees.md").read_text().splitlines()
        assert sum(line.startswith("| G") for line in lines) == 16
        assert sum("FAIL" in line for line in lines) == (1 if bad else 0)
    monkeypatch.setattr(sys, "argv", ["prove.py", "--quick", "g01", "g02"])
    (tmp_path / "guarantees.md").unlink()
    assert prove.main() == 0
    assert not (tmp_path / "guarantees.md").exists()
