"""Tensors of PyTorch and arrays of JAX go wherever arrays go, without a copy, and what comes out goes back."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from small import X, Y, classifier

import fastnn.functional as F
from fastnn import metrics
from fastnn._dlpack import as_ndarray

LIBRARIES = ["torch", "jax"]


@pytest.fixture(params=LIBRARIES)
def make(request: pytest.FixtureRequest) -> Any:
    """ndarray -> array of the library, on the CPU."""
    library = pytest.importorskip(request.param, reason=f"{request.param} is not installed (peers extra)")
    if request.param == "torch":
        return library.from_numpy
    import jax.numpy as jnp

    cpu = library.devices("cpu")[0]
    return lambda a: library.device_put(jnp.asarray(a), cpu)


def test_training_takes_them_everywhere(make: Any) -> None:
    results = []
    for convert in (np.asarray, make):
        model = classifier()
        rows, labels = convert(X), convert(Y.astype(np.int32))
        weights = convert(np.linspace(0.5, 1.5, len(X)).astype(np.float32))
        model.train(rows, labels, epochs=3, batch_size=16, sample_weight=weights, validation_data=(rows, labels))
        model.train_on_batch(rows[:8], labels[:8])
        results.append((model.predict(rows).tobytes(), model.evaluate(rows, labels), model.history.last()))
    assert results[0] == results[1]


def test_weights_and_functions_take_them(make: Any) -> None:
    model = classifier()
    model.finalize(4)
    dense = model.layers[0]
    dense.weights, dense.biases = make(np.full((4, 16), 0.5, np.float32)), make(np.ones(16, np.float32))
    assert (dense.weights == 0.5).all()
    model.set_parameters([tuple(make(np.array(a)) for a in pair) for pair in model.get_parameters()])
    got = F.dense(make(X), make(np.array(dense.weights)), make(np.array(dense.biases)), activation="relu")
    assert np.array_equal(got, F.dense(X, np.array(dense.weights), np.array(dense.biases), activation="relu"))


def test_metrics_take_them(make: Any) -> None:
    model = classifier()
    model.finalize(4)
    p = model.predict(X)
    y, said = Y.astype(np.int32), p.argmax(axis=1).astype(np.int32)
    assert metrics.accuracy_score(make(y), make(p)) == metrics.accuracy_score(make(y), make(said)) == (y == said).mean()
    assert metrics.f1_score(make(y == 1), make(p[:, 1:2])) == metrics.f1_score(y == 1, p[:, 1:2])
    assert metrics.roc_auc_score(make(y), make(p)) == metrics.roc_auc_score(y, p)


def test_no_copy_is_made(make: Any) -> None:
    theirs = make(X)
    a = as_ndarray("X", theirs)
    assert a.dtype == np.float32
    address = theirs.data_ptr() if hasattr(theirs, "data_ptr") else theirs.unsafe_buffer_pointer()
    assert a.ctypes.data == address


def test_predictions_go_out_without_a_copy() -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed (peers extra)")
    model = classifier()
    predicted = model.predict(X)
    tensor = torch.from_dlpack(predicted)
    assert tensor.data_ptr() == predicted.ctypes.data
    assert np.array_equal(model.predict(torch.from_numpy(X)), predicted)
    jax = pytest.importorskip("jax", reason="JAX is not installed (peers extra)")
    assert np.array_equal(jax.dlpack.from_dlpack(predicted), predicted)


def test_what_cannot_be_read_is_said() -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed (peers extra)")
    model = classifier()
    model.finalize(4)
    with pytest.raises(TypeError, match=r"X: a torch Tensor that requires grad: pass X.detach\(\)"):
        model.predict(torch.from_numpy(X).requires_grad_())
    with pytest.raises(TypeError, match="X: a torch Tensor that is not in the memory of the CPU: move it there first"):
        model.predict(torch.empty(3, 4, device="meta"))
    with pytest.raises(TypeError, match=r"X: a torch Tensor of type torch.bfloat16 cannot be read as an array"):
        model.predict(torch.ones(3, 4, dtype=torch.bfloat16))
    with pytest.raises(ValueError, match=r"layer 0: expected input of shape \(rows, 4\), got \(3, 5\)"):
        model.predict(torch.ones(3, 5))
