"""The train steps of T1 to T7, fastnn beside the book's NumPy: ``pytest benchmarks/test_train_steps.py``.

A benchmark's time is that of a whole run; extra_info has the time of a step.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from cases import STEPS

from fastnn._bench import numpy_baseline as book
from fastnn._bench.case import Case
from fastnn._bench.steps import NETS, Net, losses_differ

SMALL = [net for key, net in NETS.items() if key != "T6"]  # T6 takes 0.2 s a step


@pytest.mark.benchmark(max_time=0.5, min_rounds=3, disable_gc=True)
@pytest.mark.parametrize("side", ["fastnn", "numpy"])
@pytest.mark.parametrize("case", [case for case in STEPS if " T6 " not in case.name], ids=lambda case: case.name)
def test_train_step(case: Case, side: str, run_case: Callable[[Case, str], None]) -> None:
    run_case(case, side)


@pytest.mark.benchmark(max_time=0.1, min_rounds=3, disable_gc=True)
@pytest.mark.parametrize("side", ["fastnn", "numpy"])
@pytest.mark.parametrize("case", [case for case in STEPS if " T6 " in case.name], ids=lambda case: case.name)
def test_large_train_step(case: Case, side: str, run_case: Callable[[Case, str], None]) -> None:
    run_case(case, side)


@pytest.mark.parametrize("net", SMALL, ids=lambda net: net.name)
def test_both_sides_learn_the_same(net: Net) -> None:
    assert losses_differ(net, steps=50) < 1e-3


def test_the_comparison_can_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Net, "optimizer", lambda net: book.Adam(learning_rate=1.1 * net.learning_rate))
    assert losses_differ(NETS["T1"], steps=50) > 1e-3
