"""Each example runs, in a short form, and says what it promises."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import fastnn

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"


def run(name: str, *arguments: str) -> str:
    env = os.environ | {"PYTHONPATH": str(Path(fastnn.__file__).resolve().parents[1])}
    done = subprocess.run([sys.executable, EXAMPLES / name, *arguments], env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    ("name", "length", "text"),
    [("spiral.py", "100", "held-out accuracy 0.9"), ("sine.py", "500", "mean squared error"),
     ("from_kernels.py", "400", "step   400  loss"), ("nnfs_spiral.py", "20", "validation, acc: 0.7")],
)  # fmt: skip
def test_example(name: str, length: str, text: str) -> None:
    assert text in run(name, length)


def test_every_example_is_listed_here() -> None:
    listed = {mark.args[1][i][0] for mark in test_example.pytestmark for i in range(len(mark.args[1]))}
    assert {p.name for p in EXAMPLES.glob("*.py")} == listed
