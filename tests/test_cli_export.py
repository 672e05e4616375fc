"""``fastnn export``: the file it writes, and what it says when things are wrong."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from small import X, classifier

import fastnn
from fastnn.cli import main


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> fastnn.Model:
    monkeypatch.chdir(tmp_path)
    made = classifier()
    made.finalize(4)
    made.save("m.fnn")
    return made


def test_onnx(model: fastnn.Model, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", "m.fnn", "--to", "onnx"]) == 0
    assert capsys.readouterr().out.startswith("m.onnx (1 KB): x (rows, 4) float32 -> y")
    assert np.array_equal(fastnn.import_onnx("m.onnx").predict(X), model.predict(X))
    assert main(["export", "m.fnn", "--to", "onnx", "-o", "other.onnx"]) == 0
    assert Path("other.onnx").read_bytes() == Path("m.onnx").read_bytes()


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["m.fnn", "--to", "tflite"], "--to: expected .*onnx, got 'tflite'"),
        (["m.fnn", "--to", "onnx,onnx", "-o", "x.onnx"], "--output: names one file; with several forms leave it out"),
        (["m.fnn", "--to", "onnx", "-o", "nowhere/x.onnx"], "No such file or directory"),
        (["none.fnn", "--to", "onnx"], "none.fnn: No such file"),
    ],
)
def test_what_is_wrong_is_said(
    model: fastnn.Model, capsys: pytest.CaptureFixture[str], words: list[str], text: str
) -> None:
    assert main(["export", *words]) == 2
    assert re.search(text, capsys.readouterr().err)
    assert not list(Path().glob("*.onnx"))
