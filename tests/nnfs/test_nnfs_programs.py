"""The book's programs, on fastnn.nnfs and on plain NumPy from the same seeds: the same numbers, the same words."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import programs
import pytest
import reference

from fastnn import data, nnfs
from fastnn.nnfs import datasets


class OnFastnn:
    """fastnn.nnfs with its data, as a program's imports would name them."""

    def __getattr__(self, name: str) -> Any:
        return getattr(datasets if name.endswith("_data") else nnfs, name)


# Losses, relative; then accuracies, weights, gradients and state: the mean difference, relative to the largest element.
# float32's own grain is 6e-8, and training multiplies it: Adam and its like divide each gradient by its own size, so
# that of a neuron which hardly learns is mostly rounding. float64 has room for that, and proves the formulas.
TOLERANCE = {"float32": (1e-3, 2e-2), "float64": (1e-9, 1e-9)}
FIRST = {
    "float32": (2e-6, 2e-6),
    "float64": (1e-13, 1e-13),
}  # for the first numbers, before training has multiplied anything


def run(program: Callable[[Any], Any], which: Any, dtype: str, capsys: Any) -> tuple[list[Any], str]:
    init = reference.init if which is reference else lambda dtype: nnfs.init(default_dtype=dtype)
    init(dtype)
    try:
        trace = program(which)
    finally:
        nnfs.init()
    return [np.asarray(t, np.float64) for t in trace], capsys.readouterr().out


def assert_same_numbers(got: list[Any], wanted: list[Any], tolerance: tuple[float, float]) -> None:
    assert len(got) == len(wanted)
    for i, (a, e) in enumerate(zip(got, wanted, strict=True)):
        assert a.shape == e.shape, i
        assert np.abs(a - e).mean() <= tolerance[a.ndim > 0] * max(np.abs(e).max(), 1e-3), (i, a, e)


NUMBER = re.compile(r"-?\d+\.?\d*(?:e-?\d+)?")


def assert_same_words(got: str, wanted: str) -> None:
    """The same text; a number may differ by one in its last place of three (but the learning rate not at all)."""
    assert NUMBER.sub("#", got) == NUMBER.sub("#", wanted)
    for a, e in zip(got.splitlines(), wanted.splitlines(), strict=True):
        assert a.partition("lr: ")[2] == e.partition("lr: ")[2]
        assert np.allclose([float(n) for n in NUMBER.findall(a)], [float(n) for n in NUMBER.findall(e)], atol=2.1e-3)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", programs.PROGRAMS)
def test_a_chapter_comes_out_as_in_numpy(name: str, dtype: str, capsys: pytest.CaptureFixture[str]) -> None:
    program = programs.PROGRAMS[name]
    wanted, words = run(program, reference, dtype, capsys)
    place = np.random.get_state()[2]
    got, our_words = run(program, OnFastnn(), dtype, capsys)
    assert_same_numbers(got, wanted, TOLERANCE[dtype])
    if not name.startswith(("chapter_18", "chapter_19")):
        assert_same_numbers(got[:1], wanted[:1], FIRST[dtype])
    assert_same_words(our_words, words)
    assert place == np.random.get_state()[2]  # as many numbers were drawn


def test_the_comparison_sees_a_wrong_mask(capsys: pytest.CaptureFixture[str]) -> None:
    program = programs.PROGRAMS["chapter_15_dropout"]
    wanted, _ = run(program, reference, "float32", capsys)

    class Shifted(OnFastnn):
        def Layer_Dropout(self, rate: float) -> Any:  # noqa: N802
            np.random.rand()
            return nnfs.Layer_Dropout(rate)

    got, _ = run(program, Shifted(), "float32", capsys)
    with pytest.raises(AssertionError):
        assert_same_numbers(got, wanted, TOLERANCE["float32"])


def test_the_images_of_chapters_19_to_22(fashion_mnist_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (X, y), (X_test, y_test) = data.fashion_mnist(data_dir=fashion_mnist_dir)
    keys = np.random.default_rng(0).permutation(6000)
    X = (X[:6000].reshape(6000, -1)[keys].astype(np.float32) - 127.5) / 127.5
    X_test = (X_test[:1000].reshape(1000, -1).astype(np.float32) - 127.5) / 127.5
    y, y_test = y[:6000][keys].astype(np.uint8), y_test[:1000].astype(np.uint8)

    def program(b: Any) -> Any:
        return programs.fashion_mnist(b, X, y, X_test, y_test)

    wanted, words = run(program, reference, "float32", capsys)
    got, our_words = run(program, OnFastnn(), "float32", capsys)
    assert np.abs(got[0] - wanted[0]).max() < 0.02
    assert np.array_equal(got[1], wanted[1])
    last, our_last = ([float(n) for n in NUMBER.findall(w.splitlines()[-1])] for w in (words, our_words))
    assert np.allclose(our_last, last, atol=0.005)
    assert our_last[0] > 0.7
