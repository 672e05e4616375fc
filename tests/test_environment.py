"""The library in its process: the choice of instruction set, no side effects, the floating-point mode."""

from __future__ import annotations

import ctypes
import ctypes.util
import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from compare import assert_same_bits

import fastnn.functional as F
from fastnn import Dense, Dropout, Model, _core
from fastnn._runs import gradient_trainer
from fastnn.kernels import arrays, losses, metrics, twister
from fastnn.kernels.losses import count_right
from fastnn.kernels.optimizers import penalty, penalty_backward


def python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True, text=True, timeout=120, check=False, env={**os.environ, "FASTNN_ISA": "", **environment},
    )  # fmt: skip


# --- the choice of instruction set ---


def test_an_unknown_instruction_set_is_an_import_error_that_names_what_there_is() -> None:
    result = python("import fastnn", FASTNN_ISA="avx99")
    assert result.returncode == 1
    assert "ImportError: FASTNN_ISA=avx99: unknown instruction set 'avx99': this build has" in result.stderr
    assert all(name in result.stderr for name in _core.ISAS)


def test_an_instruction_set_this_processor_lacks_is_an_error_that_says_what_it_needs() -> None:
    absent = [name for name, _, runs, _ in _core.isa_report() if not runs]
    if not absent:
        pytest.skip("this processor runs every table of the build")
    result = python("import fastnn", FASTNN_ISA=absent[0])
    assert result.returncode == 1
    assert "which this processor or its operating system does not offer; supported here:" in result.stderr
    with pytest.raises(ValueError, match=f"instruction set '{absent[0]}' needs"):
        _core.use_isa(absent[0])


@pytest.mark.parametrize("name", _core.available_isas())
def test_forcing_takes_effect_and_is_reported(name: str) -> None:
    code = (
        "import fastnn; from fastnn import _core as c; print(c.active_isa(), c.table_info('f8')['isa'], c.chosen_by())"
    )
    result = python(code, FASTNN_ISA=name)
    assert (result.stdout.split(), result.stderr) == ([name, name, f"FASTNN_ISA={name}"], "")


def test_the_last_supported_is_chosen_by_itself() -> None:
    result = python("import fastnn; print(fastnn.active_isa())")
    assert result.stdout.strip() == _core.available_isas()[-1]
    with pytest.raises(ValueError, match="unknown instruction set 'mmx'"):
        _core.use_isa("mmx")


# --- no side effects ---


def test_import_and_training_leave_the_process_as_it_was() -> None:
    code = """
import os, signal, sys, threading
import numpy as np
def state():
    handlers = [signal.getsignal(s) for s in signal.valid_signals()]
    generator = np.random.get_state()
    tasks = len(os.listdir("/proc/self/task")) if os.path.isdir("/proc/self/task") else threading.active_count()
    return (handlers, generator[1].tobytes(), generator[2], dict(os.environ), tasks, threading.active_count(),
            os.getcwd(), np.geterr(), sys.getswitchinterval())
np.random.seed(5)
before = state()
import fastnn
from fastnn import Dense, Dropout, Model, functional
assert state() == before
model = Model([Dense(8, activation="relu"), Dropout(0.5), Dense(2)])
model.set(loss="mse", optimizer="adam")
X = np.linspace(0, 1, 40).reshape(20, 2)
model.train(X, X, epochs=20, shuffle=True, batch_size=7)
model.predict(X)
assert state() == before
print("as it was")
"""
    result = python(code)
    assert (result.stdout.strip(), result.stderr) == ("as it was", "")


def test_import_does_not_load_what_it_does_not_need() -> None:
    heavy = ("rich", "matplotlib", "safetensors", "urllib.request", "http.client", "multiprocessing", "asyncio", "ssl")
    code = f"import sys, numpy; had = set(sys.modules); import fastnn; print(set({heavy}) & (set(sys.modules) - had))"
    assert python(code).stdout.strip() == "set()"


def test_kernels_raise_no_floating_point_warnings() -> None:
    x = np.array([-1.0, 0.0, 1e300, -1e300, np.nan, np.inf])
    with np.errstate(all="raise"):
        F.log(x)
        F.exp(x)
        F.softmax(x)
        F.dot(x, x)
        np.ones(3) / np.ones(3)  # NumPy does not find our flags and take them for its own


# --- the floating-point mode ---

FLUSH, UPWARD, TOWARD_ZERO = 0x8040, 0x4000, 0x6000  # of MXCSR: FTZ and DAZ; rounding up; truncating


class _Environment:
    """fenv_t of glibc on x86-64: 28 bytes of x87, then MXCSR."""

    def __init__(self) -> None:
        self.libm = ctypes.CDLL(ctypes.util.find_library("m") or "libm.so.6")

    def get(self) -> int:
        buffer = (ctypes.c_uint32 * 8)()
        self.libm.fegetenv(buffer)
        return int(buffer[7])

    def set(self, mxcsr: int) -> None:
        buffer = (ctypes.c_uint32 * 8)()
        self.libm.fegetenv(buffer)
        buffer[7] = mxcsr
        self.libm.fesetenv(buffer)


@contextmanager
def mode(bits: int) -> Iterator[_Environment]:
    environment = _Environment()
    before = environment.get()
    environment.set(before | bits)
    try:
        yield environment
    finally:
        environment.set(before)


needs_glibc_x86 = pytest.mark.skipif(
    platform.machine() != "x86_64" or platform.libc_ver()[0] != "glibc", reason="sets MXCSR through glibc on x86-64"
)


@needs_glibc_x86
@pytest.mark.parametrize("bits", [FLUSH, UPWARD, TOWARD_ZERO], ids=["flush to zero", "upward", "toward zero"])
def test_any_mode_of_the_process_gives_the_same_bits_and_is_put_back(bits: int, isa: str) -> None:
    x = np.concatenate([np.linspace(-104, 4, 333), [1e-40, -1e-42]]).astype(np.float32)
    w = (np.outer(np.linspace(0.1, 1, x.size), np.linspace(-1, 1, 12)) * 1e-3).astype(np.float32)
    X = np.asarray(_core.random_normal(60, 1)).reshape(20, 3)
    targets = X[:, :2].copy()
    large, narrow, tiny = 100 * w[:, 1:10], X.astype(np.float32), (X * 1e-35, (X * 1e-35).astype(np.float32))

    def run() -> list[np.ndarray]:
        results = [F.exp(x), F.sigmoid(x), F.softmax(x), F.tanh(x), F.erf(x), F.dot(x, w), F.dropout(x, 0.3, seed=1)[0]]
        results.append(F.dense(x[None], w, w[0], activation="sigmoid"))
        results += F.dense_backward(results[-1], x[None], w, results[-1], activation="sigmoid")
        results += [F.loss("mean_squared_error", w, w[::-1]), F.loss_backward("mean_squared_error", w, w[::-1])]
        v, m, s = w.copy(), np.zeros_like(w), np.zeros_like(w)
        for t in range(1, 4):
            F.adam_step(v, w, m, s, t)
        dw = w.reshape(-1).copy()
        penalty_backward(dw, dw.copy(), 0.1, 0.2)
        results += [v, m, s, dw, np.array([penalty(dw, 0.1, 0.2)])]
        results.append(np.array([count_right("regression", w * 0 + x[-2], w * 0, precision=1e-39)]))
        results += [_core.random_normal(1000, 5), _core.random_uniform(1000, 5)]
        model = Model([Dense(3, 12, activation="tanh"), Dropout(0.2), Dense(12, 2)], seed=3)
        model.set(loss="mse", optimizer="adam")
        model.finalize()  # draws the weights with NumPy's help, and that rounds as the process says
        model.layers[0].weights, model.layers[2].weights = w[:3], w[3:15, :2]
        model.train(X, targets, epochs=5, batch_size=6, shuffle=True)
        sinking = Model([Dense(3, 12, activation="relu"), Dense(12, 9), Dense(9, 2)])  # to subnormals, without biases
        sinking.finalize()
        for layer, weights in zip(sinking.layers, (w[:3], large[:12], large[:9, :2]), strict=True):
            layer.weights = weights
        for each, rows in ((model, (X, narrow)), (sinking, tiny)):
            session = each.session()
            for r in rows:
                results += [session(r), session(r[0]), session(r[:1]), each.predict(r)]
        return [*results, model.plan.params.copy(), *model.plan.states, model.predict(X)]

    want = run()
    before = _Environment().get()
    with mode(bits) as environment:
        inside = environment.get()
        got = run()
        kept = environment.get()
    assert kept & ~0x3F == inside & ~0x3F
    assert _Environment().get() & ~0x3F == before & ~0x3F
    for i, (a, b) in enumerate(zip(got, want, strict=True)):
        assert_same_bits(a, b, f"result {i}")


@needs_glibc_x86
@pytest.mark.parametrize("bits", [FLUSH, UPWARD, TOWARD_ZERO], ids=["flush to zero", "upward", "toward zero"])
def test_no_mode_shows_at_the_doors_that_stand_beside_training(bits: int, isa: str) -> None:
    """Where tiny numbers are flushed they are all one and 0; where rounding is another, so are sums and quotients."""
    rng = np.random.default_rng(2)
    tiny = np.array([[0, 1e-40, 2e-40], [3e-40, 1e-40, 2e-40]], np.float32)
    p, t = rng.uniform(0.1, 1, (2, 77, 3)).astype(np.float32)
    true, predicted = rng.integers(0, 3, (2, 77)).astype(np.int32)
    weights, drops = rng.uniform(0, 1, 77), np.full(40, 3e-39, np.float32)
    many, zeros, half = np.repeat(tiny, 39, axis=0)[:77].copy(), np.zeros_like(p), p / 2
    limits, start = (1.5e-40, 0.0), (t[:5].T / 2, p[:5, :2] / 2)
    X, y = np.arange(60).reshape(20, 3) / 64, np.arange(40).reshape(20, 2) / 32

    def run() -> list[Any]:
        found: list[Any] = [metrics.argmax_rows(tiny), metrics.yes_counts(tiny, tiny, *limits)]
        found.append(metrics.top_k_count(tiny, np.array([2, 0], np.int32), 1))
        found.append(metrics.pairs_in_order(tiny[0], np.array([0, 1, 1], np.uint8)))
        found += [metrics.error_sums(p, t, np.zeros(3)), metrics.weighted_confusion(true, predicted, weights, 3)]
        found += losses.quick_mean("mean_absolute_error", p, t) + losses.quick_mean("mean_absolute_error", many, zeros)
        found += losses.quick_head("tanh", "mean_squared_error", p, t)
        found += [arrays.multiply(p, t), arrays.multiply(half, many), arrays.all_finite(p.ravel())]
        np.random.seed(0)
        found += twister.drop(drops, 0.5)
        model = Model([Dense(3, 5, activation="tanh", weight_regularizer_l2=0.3), Dense(5, 2)], seed=3)
        model.set(loss="mse", optimizer="lbfgs")
        model.finalize()
        model.layers[0].weights, model.layers[1].weights = start
        trainer = gradient_trainer(model, X, y)
        found += [trainer.gradients(), trainer.regularization_loss(), model.plan.grads.copy()]
        for _ in range(4):  # each takes up the corrections of the one before
            model.train(X, y, epochs=2)
            found.append(model.plan.params.copy())
        return found

    want = run()
    with mode(bits):
        got = run()
    for i, (a, b) in enumerate(zip(got, want, strict=True)):
        assert_same_bits(np.asarray(a), np.asarray(b), f"result {i}")


@needs_glibc_x86
def test_the_modes_of_the_tests_above_do_change_what_is_computed_outside() -> None:
    numbers, tiny = np.arange(1, 50, dtype=np.float32), np.full(8, 1e-40, np.float32)
    nearest = numbers / np.float32(7)
    with mode(UPWARD):
        up = numbers / np.float32(7)
    with mode(FLUSH):
        flushed = tiny * np.float32(1)
    assert (up >= nearest).all()
    assert (up > nearest).any()
    assert flushed.tobytes() == bytes(32) != tiny.tobytes()
