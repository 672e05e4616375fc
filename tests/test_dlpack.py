"""Arrays through DLPack, with an array library of our own: no copy, and errors that say what to do."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from small import X, Y, classifier

import fastnn.functional as F
from fastnn._dlpack import as_ndarray


class Foreign:
    """An array that speaks DLPack and nothing else."""

    requires_grad = False
    device = 1

    def __init__(self, array: np.ndarray) -> None:
        self.array = array

    def __dlpack__(self, **options: Any) -> Any:
        return self.array.__dlpack__(**options)

    def __dlpack_device__(self) -> tuple[int, int]:
        return (self.device, 0)


class Closed(Foreign):
    def __dlpack__(self, **options: Any) -> Any:
        raise BufferError("not today")


def test_the_memory_is_shared() -> None:
    a = np.arange(6.0)
    assert np.shares_memory(as_ndarray("a", Foreign(a)), a)
    assert as_ndarray("a", a) is a
    for other in ([1, 2], 3.0, None, "text"):
        assert as_ndarray("a", other) is other


def test_it_is_taken_wherever_arrays_go() -> None:
    model, same = classifier(), classifier()
    model.train(Foreign(X), Foreign(Y), epochs=3, batch_size=16)
    same.train(X, Y, epochs=3, batch_size=16)
    assert np.array_equal(model.predict(Foreign(X)), same.predict(X))
    assert model.evaluate(Foreign(X), Foreign(Y)) == same.evaluate(X, Y)
    same.layers[0].weights = Foreign(np.ones((4, 16), np.float32))
    assert (same.layers[0].weights == 1).all()
    w, b = np.ones((4, 3), np.float32), np.zeros((1, 3), np.float32)
    assert np.array_equal(F.dense(Foreign(X), Foreign(w), Foreign(b)), F.dense(X, w, b))
    p = np.array([[0.2, 0.8]])
    assert np.array_equal(F.mean_squared_error(Foreign(p), Foreign(p * 2)), F.mean_squared_error(p, p * 2))


def test_errors_name_the_argument_and_the_way_out() -> None:
    model = classifier()
    grad, far = Foreign(X), Foreign(X)
    grad.requires_grad = True
    with pytest.raises(TypeError, match=r"X: a test_dlpack Foreign that requires grad: pass X.detach\(\)"):
        model.train(grad, Y)
    far.device = 2
    with pytest.raises(TypeError, match="y: a test_dlpack Foreign that is not in the memory of the CPU"):
        model.train(X, far)
    with pytest.raises(TypeError, match=r"X: a test_dlpack Closed of type unknown cannot be read .* \(not today\)"):
        model.predict(Closed(X))
