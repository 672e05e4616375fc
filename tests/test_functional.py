"""fastnn.functional at its edges: arrays that are empty or lie over one another, names, and errors that name."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
import pytest
from compare import Array, assert_same_bits

import fastnn.functional as F
from fastnn import _core, activations, losses
from fastnn.kernels.losses import HEADS

# --- nothing in one direction ---


@pytest.mark.parametrize("activation", ["linear", "relu", "gelu"])
@pytest.mark.parametrize(("rows", "n_in", "n_out"), [(4, 0, 3), (4, 3, 0), (0, 3, 2), (4, 0, 0), (0, 0, 0)])
def test_dense_with_nothing_in_one_direction(rows: int, n_in: int, n_out: int, activation: str, dtype: Any) -> None:
    x, w, b = np.ones((rows, n_in), dtype), np.ones((n_in, n_out), dtype), np.full(n_out, 2, dtype)
    for _ in range(3):  # what was in the memory before must not show
        dirt = [np.full(shape, 7, dtype) for shape in ((rows, n_in), (n_in, n_out), (1, n_out))]
        del dirt
        y, saved = F.dense(x, w, b, activation=activation, save=True)
        assert_same_bits(y, F.activation(activation, np.full((rows, n_out), 2, dtype)))
        dy = np.arange(rows * n_out, dtype=dtype).reshape(rows, n_out)
        dx, dw, db = F.dense_backward(dy, x, w, saved, activation=activation)
        assert_same_bits(dx, np.zeros((rows, n_in), dtype))
        assert_same_bits(dw, np.zeros((n_in, n_out), dtype))
        dz = F.activation_backward(activation, dy, saved)
        assert_same_bits(db, dz.sum(axis=0, keepdims=True))


@pytest.mark.parametrize("name", _core.LOSSES)
def test_a_loss_of_no_columns_or_no_rows(name: str, dtype: Any) -> None:
    for call in (F.loss, F.loss_backward):
        with pytest.raises(ValueError, match=r"predictions: expected at least one column, got shape \(3, 0\)"):
            call(name, np.ones((3, 0), dtype), np.ones((3, 0), dtype))
        with pytest.raises(ValueError, match=r"targets: expected shape \(0, 3\).*, got \(2, 5\)"):
            call(name, np.ones((0, 3), dtype), np.ones((2, 5), dtype))
        if _core.LOSS_TARGETS[name] == "C":
            with pytest.raises(ValueError, match="targets: expected 0 class labels, one a row, got 2"):
                call(name, np.ones((0, 3), dtype), [0, 1])
            assert len(call(name, np.ones((0, 3), dtype), [])) == 0


# --- arrays over one another ---


@pytest.mark.parametrize(("name", "merged"), [*((n, False) for n in _core.LOSSES), *((n, True) for n in HEADS)])
def test_a_loss_may_be_written_over_what_it_reads(
    name: str, merged: bool, dtype: Any, rng: np.random.Generator
) -> None:
    for rows, cols in ((1, 4), (7, 3), (33, 17)):
        p = rng.uniform(0.02, 0.98, (rows, cols)).astype(dtype)
        labels = rng.integers(0, cols, rows)
        t = np.eye(cols, dtype=dtype)[labels]
        wanted, each = F.loss_backward(name, p, t, merged=merged), F.loss(name, p, t)
        over = ["p", "t", "p and labels"] if _core.LOSS_TARGETS[name] == "C" else ["p", "t"]
        for which, (read, written) in product(over, [(0, 0), (0, 1), (1, 0), (0, 2), (2, 0)]):
            memory = np.empty(p.size + 2, dtype)
            a = memory[read : read + p.size].reshape(p.shape)
            out = memory[written : written + p.size].reshape(p.shape)
            arguments = {"p": (a, t), "t": (p, a), "p and labels": (a, labels)}[which]
            a[...] = t if which == "t" else p
            assert_same_bits(F.loss_backward(name, *arguments, merged=merged, out=out), wanted)
            a[...] = t if which == "t" else p
            assert_same_bits(F.loss(name, *arguments, out=out.reshape(-1)[:rows]), each)


STEPS: list[tuple[str, tuple[float, ...]]] = [
    (name, (0.9, 0.99, 1e-7, 0.01)[: _core.OPTIMIZER_PARAMETERS[name]]) for name in _core.OPTIMIZERS
]


@pytest.mark.parametrize(("name", "parameters"), STEPS)
@pytest.mark.parametrize("shift", [0, 1, 3])
def test_a_step_by_a_gradient_that_lies_over_the_weights_or_a_state(
    name: str, parameters: tuple[float, ...], shift: int, dtype: Any, rng: np.random.Generator
) -> None:
    n = 40
    for over in range(1 + _core.OPTIMIZER_STATES[name]):
        arrays = [rng.uniform(0.1, 1, n).astype(dtype) for _ in range(1 + _core.OPTIMIZER_STATES[name])]
        memory = rng.uniform(0.1, 1, n + 3).astype(dtype)
        wanted = [a.copy() for a in arrays]
        wanted[over] = memory[shift : shift + n].copy()
        arrays[over] = memory[shift : shift + n]
        F.optimizer_step(name, wanted[0], memory[:n].copy(), wanted[1:], learning_rate=0.1, parameters=parameters, t=3)
        F.optimizer_step(name, arrays[0], memory[:n], arrays[1:], learning_rate=0.1, parameters=list(parameters), t=3)
        for a, b in zip(arrays, wanted, strict=True):
            assert_same_bits(a, b)


# --- names ---


def test_every_name_of_an_activation_is_taken() -> None:
    x, w, b = np.linspace(-1, 1, 6).reshape(2, 3), np.eye(3), np.zeros(3)
    for name, cls in activations.Activation.registry.items():
        for given in (name, name.upper()):
            y = F.activation(cls.kernel, x)
            assert_same_bits(F.activation(given, x), y)
            assert_same_bits(F.activation(given, x.tolist()), y)
            dense, saved = F.dense(x, w, b, activation=given, save=True)
            assert_same_bits(dense, y)
            assert_same_bits(F.activation_backward(given, x, saved), F.activation_backward(cls.kernel, x, saved))
            for a, e in zip(
                F.dense_backward(x, x, w, saved, activation=given),
                F.dense_backward(x, x, w, saved, activation=cls.kernel),
                strict=True,
            ):
                assert_same_bits(a, e)
    assert_same_bits(F.activation("leakyrelu", x, alpha=0.3), F.leaky_relu(x, 0.3))


@pytest.mark.parametrize("name", ["log", "erf", "rleu"])
def test_what_is_no_activation_is_unknown_whatever_comes(name: str) -> None:
    for x in (np.ones(3), [1.0, 2.0, 3.0], np.float32(1)):
        with pytest.raises(ValueError, match=f"activation: unknown name '{name}'; known: linear, step, relu"):
            F.activation(name, x)


def test_every_name_of_a_loss_is_taken(rng: np.random.Generator) -> None:
    p, t = rng.uniform(0.1, 0.9, (2, 5, 3))
    assert {"mse", "cce", "bce", "logcosh", "pinball"} < set(losses.Loss.registry)
    for name, cls in losses.Loss.registry.items():
        if cls.kernel in _core.LOSSES:
            assert_same_bits(F.loss(name, p, t), F.loss(cls.kernel, p, t))
            assert_same_bits(F.loss_backward(name, p, t), F.loss_backward(cls.kernel, p, t))
    assert_same_bits(F.loss("pinball", p, t, parameter=0.2), F.quantile(p, t, 0.2))


# --- errors ---

W, P = np.ones(3), np.full((4, 3), 0.3)
FIXED = np.ones(3)
FIXED.setflags(write=False)


def zeros() -> Array:
    return np.zeros(3)


def over(a: Array) -> Any:
    return lambda: F.adam_step(a, W, a, zeros(), 1)


ERRORS: list[tuple[str, Callable[[], Any], type[Exception], str]] = [
    ("w strided", lambda: F.sgd_step(np.ones(6)[::2], W, learning_rate=1), ValueError, "^w: expected a C-contiguous"),
    ("w read-only", lambda: F.sgd_step(FIXED, W, learning_rate=1), ValueError, "^w: expected .* that is read-only"),
    ("m read-only", lambda: F.adam_step(zeros(), W, FIXED, zeros(), 1), ValueError, "^m: expected .* read-only"),
    ("v short", lambda: F.adam_step(zeros(), W, zeros(), np.zeros(2), 1), ValueError, r"^v: expected shape \(3,\)"),
    ("cache float32", lambda: F.adagrad_step(zeros(), W, np.zeros(3, "f4"), learning_rate=1), ValueError,
     "^cache: expected .*float64, got .*float32"),
    ("velocity a list", lambda: F.sgd_step(zeros(), W, [0, 0, 0], learning_rate=1),  # type: ignore[arg-type]
     TypeError, "^velocity: expected a float32 or float64 array"),
    ("a state over w", over(zeros()), ValueError, "^m: expected memory of its own, and it lies over w"),
    ("t negative", lambda: F.adam_step(zeros(), W, zeros(), zeros(), -1), ValueError, "^t: expected at least 1"),
    ("t too large", lambda: F.adam_step(zeros(), W, zeros(), zeros(), 2**64), ValueError, "^t: expected .* at most"),
    ("t not whole", lambda: F.adam_step(zeros(), W, zeros(), zeros(), 1.5),  # type: ignore[arg-type]
     TypeError, "^t: expected a whole number, got 1.5"),
    ("seed negative", lambda: F.dropout(W, 0.5, seed=-1), ValueError, "^seed: expected at least 0"),
    ("seed too large", lambda: F.dropout(W, 0.5, seed=2**64), ValueError, "^seed: expected .* at most 1844"),
    ("seed None", lambda: F.dropout(W, 0.5, seed=None), TypeError, "^seed: expected a whole"),  # type: ignore[arg-type]
    ("step negative", lambda: F.dropout(W, 0.5, seed=0, step=-1), ValueError, "^step: expected at least 0"),
    ("stream", lambda: F.dropout(W, 0.5, seed=0, stream=65536), ValueError, "^stream: .* at most 65535, got 65536"),
    ("merged", lambda: F.loss_backward("huber", P, P, merged=True), ValueError,
     "^merged: huber has no gradient merged .*those that have one: categorical_crossentropy"),
    ("float labels", lambda: F.loss("cce", P, np.array([0.0, 1, 2, 0])), TypeError,
     "^targets: class labels must be integers, got dtype float64"),
    ("numbers in a row", lambda: F.loss("mse", P, np.ones(4)), ValueError, r"^targets: expected shape \(4, 3\), got"),
]  # fmt: skip


@pytest.mark.parametrize(("what", "call", "error", "text"), ERRORS, ids=[row[0] for row in ERRORS])
def test_an_error_names_the_argument(what: str, call: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        call()


def test_an_error_leaves_weights_and_states_as_they_were() -> None:
    w, m = zeros(), zeros()
    with pytest.raises(ValueError, match=r"^states\[1\]: expected memory of its own, and it lies over states\[0\]"):
        F.optimizer_step("adam", w, W, [m, m], learning_rate=1, parameters=[0.9, 0.9, 1])
    assert not w.any()
    assert not m.any()


def test_labels_may_be_bools() -> None:
    p, yes = np.array([[0.2, 0.8], [0.6, 0.4]]), np.array([True, False])
    assert_same_bits(F.loss("cce", p, yes), F.loss("cce", p, yes.astype(int)))


def test_a_stream_that_16_bits_do_not_hold_is_refused() -> None:
    for draw in (_core.random_uniform, _core.random_normal, _core.random_permutation):
        assert len(draw(3, 0, 65535)) == 3
        with pytest.raises(ValueError, match=r"^stream: expected .* at most 65535, got 65536"):
            draw(3, 0, 65536)


def test_float32_of_the_other_byte_order_stays_float32() -> None:
    a, b = np.ones((2, 2), ">f4"), np.ones((2, 2), "<f4")
    out = np.empty((2, 2), np.float32)
    assert F.relu(a).dtype == np.float32
    assert F.dot(a, b).dtype == np.float32
    assert F.dot(a, b, out) is out
    np.testing.assert_array_equal(out, np.full((2, 2), 2))


def test_names_are_texts_of_any_kind() -> None:
    x, w, b = np.ones((2, 3)), np.ones((3, 2)), np.zeros(2)
    np.testing.assert_array_equal(F.activation(np.str_("relu"), x), x)
    np.testing.assert_array_equal(F.dense(x, w, b, activation=np.str_("relu")), np.full((2, 2), 3))
    np.testing.assert_array_equal(F.loss(np.str_("mse"), x, x), [0, 0])
    np.testing.assert_array_equal(F.loss_backward(np.str_("mse"), x, x), np.zeros((2, 3)))
    for name in (None, 3):
        with pytest.raises(TypeError, match=f"loss: expected a name, got {name}"):
            F.loss(name, x, x)
        with pytest.raises(TypeError, match=f"activation: expected a name, got {name}"):
            F.activation(name, x)


def test_masked_arrays_are_refused() -> None:
    masked = np.ma.masked_array([1.0, -2], [0, 1])
    for call in (lambda: F.dot(masked, np.ones(2)), lambda: F.relu(masked), lambda: F.dot(np.ones(2), masked)):
        with pytest.raises(TypeError, match="masked arrays are not supported: fill the masked values first"):
            call()


def test_masked_targets_are_refused_and_a_momentum_needs_its_array() -> None:
    p = np.array([[0.2, 0.8]])
    with pytest.raises(TypeError, match="targets: masked arrays are not supported"):
        F.mean_squared_error(p, np.ma.masked_array([[1.0, 1e9]], [[0, 1]]))
    with pytest.raises(TypeError, match="targets: masked arrays are not supported"):
        F.categorical_crossentropy(p, np.ma.masked_equal([1], 0), label_smoothing=0.1)
    with pytest.raises(ValueError, match="velocity: expected an array like w"):
        F.sgd_step(np.ones(3), np.ones(3), momentum=0.9, learning_rate=0.1)
