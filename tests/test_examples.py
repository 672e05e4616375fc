"""Each example runs, in a short form, and comes to what it promises."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

import fastnn

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"


class Promise(NamedTuple):
    """``pattern`` captures a number in the last of its matches, which lies between least and most."""

    length: str
    pattern: str
    least: float
    most: float
    needs: str = ""


NUMBER = r"(-?\d+\.\d+(?:e-?\d+)?)"
PROMISES = {
    "spiral.py": Promise("100", f"held-out accuracy {NUMBER}", 0.85, 1.0),
    "sine.py": Promise("500", f"mean squared error {NUMBER}", 0.0, 0.01),
    "from_kernels.py": Promise("400", rf"step   400  loss .* accuracy {NUMBER}", 0.6, 1.0),
    "nnfs_spiral.py": Promise("20", f"validation, acc: {NUMBER}", 0.6, 1.0),
    "fashion_mnist.py": Promise("2", f"held-out accuracy {NUMBER}", 0.84, 1.0, "images"),
    "autoencoder.py": Promise("1", f"network {NUMBER}", 0.0, 0.03, "images"),
    "tabular.py": Promise("60", f"class_weight=balanced +recall {NUMBER}", 0.75, 1.0, "sklearn"),
    "cartpole.py": Promise("15", f"an episode lasts +{NUMBER} steps", 40.0, 500.0),
    "serve.py": Promise("150", f"accuracy over HTTP after the swap {NUMBER}", 0.8, 1.0, "uvicorn"),
    "online.py": Promise("16000", rf"learns all the time  right, by eighths: .* {NUMBER}", 0.85, 1.0),
}


@pytest.mark.parametrize("name", PROMISES)
def test_example(name: str, request: pytest.FixtureRequest) -> None:
    promise = PROMISES[name]
    env = os.environ | {"PYTHONPATH": str(Path(fastnn.__file__).resolve().parents[1])}
    if promise.needs == "images":
        env["FASTNN_DATA"] = str(request.getfixturevalue("fashion_mnist_dir"))
    elif promise.needs and importlib.util.find_spec(promise.needs) is None:
        pytest.skip(f"{promise.needs} is not installed")
    if name == "serve.py" and not hasattr(fastnn.Model, "session"):
        pytest.skip("this fastnn has no Session")
    command = [sys.executable, str(EXAMPLES / name), promise.length]
    done = subprocess.run(command, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = re.findall(promise.pattern, done.stdout)
    assert found, done.stdout
    assert promise.least <= float(found[-1]) <= promise.most, done.stdout


def test_every_example_is_listed_here() -> None:
    assert {p.name for p in EXAMPLES.glob("*.py")} == set(PROMISES)
