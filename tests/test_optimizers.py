"""Every registered optimizer: ten steps against its paper's rule, bits, subnormal state, penalties."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from compare import Array, assert_near, assert_same_bits, assert_varies, assert_within, gradient, use
from optimizer_rules import RULES

import fastnn.functional as F
from fastnn import Dense, Model, _core, num_threads
from fastnn.kernels.optimizers import penalty, penalty_backward
from fastnn.optimizers import LBFGS, SGD, Adam, Optimizer

# one with defaults for every class, one more for every kernel that the defaults do not reach
OBJECTS = {
    o.kernel: o
    for o in [cls() for cls in Optimizer.registry.values() if cls is not LBFGS]  # its work is not one pass
    + [SGD(momentum=0.9), SGD(momentum=0.9, nesterov=True), Adam(amsgrad=True)]
}
KERNELS = sorted(OBJECTS)
SIZES = [*range(36), 63, 100, 1000]


def states_of(kernel: str, n: int, dtype: Any) -> tuple[Array, ...]:
    return tuple(np.zeros(n, dtype) for _ in range(_core.OPTIMIZER_STATES[kernel]))


def step(kernel: str, w: Array, g: Array, states: tuple[Array, ...], t: int, lr: float = 0.01) -> None:
    F.optimizer_step(kernel, w, g, states, learning_rate=lr, parameters=OBJECTS[kernel].parameters(), t=t)


def test_every_kernel_has_its_class_and_its_parameters() -> None:
    assert set(OBJECTS) == set(_core.OPTIMIZERS) == set(RULES)
    for kernel, optimizer in OBJECTS.items():
        assert len(optimizer.parameters()) == _core.OPTIMIZER_PARAMETERS[kernel]
        assert optimizer.state_count == _core.OPTIMIZER_STATES[kernel]


@pytest.mark.parametrize("kernel", KERNELS)
def test_ten_steps_follow_the_papers_rule(kernel: str, isa: str, dtype: Any, rng: np.random.Generator) -> None:
    for n in SIZES:
        w = rng.standard_normal(n).astype(dtype)
        assert_varies(w)
        states = states_of(kernel, n, dtype)
        want, want_states = w.astype(np.float64), [s.astype(np.float64) for s in states]
        for t in range(1, 11):
            g = (rng.standard_normal(n) * 10.0 ** rng.integers(-3, 2)).astype(dtype)
            step(kernel, w, g, states, t)
            want = RULES[kernel](OBJECTS[kernel], want, g.astype(np.float64), want_states, t, 0.01)
        tolerance = 1e-13 if dtype == np.float64 else 3e-6
        assert_near(w, want, tolerance, f"{kernel}, {n}")
        for got, wide in zip(states, want_states, strict=True):
            assert_near(got, wide, tolerance, f"state of {kernel}, {n}")


@pytest.mark.parametrize("decay", [0.0, 0.3])
@pytest.mark.parametrize("kernel", KERNELS)
def test_the_formula_of_the_class_is_the_papers_rule(kernel: str, decay: float, rng: np.random.Generator) -> None:
    """Its own, which other tests go by; the decay too, which is 0 unless it is asked for."""
    made = copy.copy(OBJECTS[kernel])
    if hasattr(made, "weight_decay"):
        made.weight_decay = decay
    got, want = (rng.standard_normal(50),) * 2
    mine, papers = ([np.zeros(50) for _ in range(made.state_count)] for _ in range(2))
    for t in range(1, 31):
        g = rng.standard_normal(50)
        got = made.formula(got, g, mine, t, 0.01)
        want = RULES[kernel](made, want, g, papers, t, 0.01)
        assert_near(got, want, 1e-14, f"{kernel}, step {t}")
        for one, other in zip(mine, papers, strict=True):
            assert_near(one, other, 1e-14, f"state of {kernel}, step {t}")


@pytest.mark.parametrize("kernel", KERNELS)
def test_bits_are_those_of_the_scalar_table(
    kernel: str, contract_isa: str, dtype: Any, rng: np.random.Generator
) -> None:
    for n in SIZES:
        w = rng.standard_normal(n).astype(dtype)
        gradients = rng.standard_normal((5, n)).astype(dtype) * dtype.type(1e-3)
        results = []
        for table in (contract_isa, "scalar"):
            mine, states = w.copy(), states_of(kernel, n, dtype)
            with use(table):
                for t, g in enumerate(gradients, 1):
                    step(kernel, mine, g, states, t)
            results.append((mine, *states))
        for got, want in zip(*results, strict=True):
            assert_same_bits(got, want, f"{kernel}, {n}")


@pytest.mark.parametrize("kernel", [k for k in KERNELS if _core.OPTIMIZER_STATES[k]])
def test_subnormal_state_becomes_plus_zero(kernel: str, isa: str, dtype: Any) -> None:
    tiny = np.finfo(dtype).smallest_normal
    for n in (1, 5, 8, 16, 37):
        states = states_of(kernel, n, dtype)
        for s in states:
            s[:] = tiny / 4
        states[0][::2] *= 1 if kernel in ("adagrad", "rmsprop") else -1
        w = np.ones(n, dtype)
        step(kernel, w, np.zeros(n, dtype), states, 5)
        for s in states:
            assert_same_bits(s, np.zeros(n, dtype))
        for s in states:
            s[:] = tiny * 8
        step(kernel, w, np.zeros(n, dtype), states, 6)
        assert all((s > 0).all() for s in states)


@pytest.mark.parametrize("kernel", KERNELS)
def test_nan_gradients_show(kernel: str, isa: str, dtype: Any) -> None:
    for n in (1, 9, 21):
        for place in (0, n - 1):
            w, g = np.ones(n, dtype), np.ones(n, dtype)
            g[place] = np.nan
            step(kernel, w, g, states_of(kernel, n, dtype), 1)
            assert np.isnan(w).sum() == 1
            assert np.isnan(w[place])


def test_functions_by_name_are_the_kernels(rng: np.random.Generator) -> None:
    w, g, a, b = rng.standard_normal((4, 20))
    a, b = np.abs(a), np.abs(b)

    def both(function: Any, kernel: str, states: tuple[Array, ...], parameters: tuple[float, ...], **more: Any) -> None:
        one, two = w.copy(), w.copy()
        copies = [s.copy() for s in states]
        function(one, g, *states, *((3,) if kernel == "adam" else ()), learning_rate=0.1, **more)
        F.optimizer_step(kernel, two, g, tuple(copies), learning_rate=0.1, parameters=parameters, t=3)
        assert_same_bits(one, two)
        for s, c in zip(states, copies, strict=True):
            assert_same_bits(s, c)

    both(F.sgd_step, "sgd", (), ())
    both(F.sgd_step, "momentum", (a.copy(),), (0.7,), momentum=0.7)
    both(F.adagrad_step, "adagrad", (a.copy(),), (1e-5,), epsilon=1e-5)
    both(F.rmsprop_step, "rmsprop", (a.copy(),), (0.8, 1e-5), rho=0.8, epsilon=1e-5)
    both(F.adam_step, "adam", (a.copy(), b.copy()), (0.8, 0.95, 1e-5), beta_1=0.8, beta_2=0.95, epsilon=1e-5)


def test_a_wrong_number_of_parameters_or_states_is_named() -> None:
    w = np.ones(3)
    with pytest.raises(ValueError, match="parameters: adam expected 3, got 0"):
        F.optimizer_step("adam", w, w, (w.copy(), w.copy()), learning_rate=0.1)
    with pytest.raises(ValueError, match="states: adam has 2, got 1"):
        F.optimizer_step("adam", w, w, (w.copy(),), learning_rate=0.1)
    with pytest.raises(ValueError, match="t: expected"):
        F.optimizer_step("sgd", w, w, (), learning_rate=0.1, t=0)
    with pytest.raises(ValueError, match=r"g: expected shape \(3,\)"):
        F.optimizer_step("sgd", w, np.ones(4), (), learning_rate=0.1)
    with pytest.raises(TypeError, match="w: expected a float32 or float64 array"):
        F.optimizer_step("sgd", np.ones(3, int), w, (), learning_rate=0.1)
    with pytest.raises(ValueError, match="C-contiguous"):
        F.optimizer_step("sgd", np.ones(6)[::2], w, (), learning_rate=0.1)
    assert (w == 1).all()


@pytest.mark.parametrize(("l1", "l2"), [(0.01, 0.0), (0.0, 0.02), (0.3, 0.7)])
def test_the_penalty_and_its_gradient(l1: float, l2: float, isa: str, dtype: Any, rng: np.random.Generator) -> None:
    for n in SIZES:
        w = rng.standard_normal(n).astype(dtype)
        w[np.abs(w) < 0.01] = 0.5
        wide = w.astype(np.float64)
        want = l1 * np.abs(wide).sum() + l2 * (wide**2).sum()
        assert penalty(w, l1, l2) == pytest.approx(want, rel=10 * float(np.finfo(dtype).eps), abs=0)
        dw = rng.standard_normal(n).astype(dtype)
        before = dw.astype(np.float64)
        penalty_backward(dw, w, l1, l2)
        if n < 40:
            added = gradient(lambda v: l1 * float(np.abs(v).sum()) + l2 * float((v**2).sum()), wide)
            assert_within(dw, before + added, 1e-6 if dtype == np.float32 else 1e-11)


def test_the_penaltys_subgradient_at_zero_is_the_books_and_bits_agree(contract_isa: str, dtype: Any) -> None:
    dw = np.zeros(3, dtype)
    penalty_backward(dw, np.array([0.0, -0.0, -1.0], dtype), 0.5, 0.0)
    assert_same_bits(dw, np.array([0.5, 0.5, -0.5], dtype))
    rng = np.random.default_rng(8)
    for n in SIZES:
        w, dw = rng.standard_normal((2, n)).astype(dtype)
        other = dw.copy()
        value = penalty(w, 0.1, 0.2)
        penalty_backward(dw, w, 0.1, 0.2)
        with use("scalar"):
            assert penalty(w, 0.1, 0.2) == value
            penalty_backward(other, w, 0.1, 0.2)
        assert_same_bits(dw, other)


@pytest.mark.parametrize("cls", sorted(set(Optimizer.registry.values()) - {LBFGS}, key=lambda c: c.__name__))
def test_construction_checks_its_numbers(cls: Any) -> None:
    for name in cls().config():
        with pytest.raises(ValueError, match=f"{name}: expected at least 0"):
            cls(**{name: -0.5})
        with pytest.raises(ValueError, match=f"{name}: expected at least 0"):
            cls(**{name: float("nan")})
        with pytest.raises(TypeError, match=f"{name}: expected a number"):
            cls(**{name: "0.1"})
    made = cls(learning_rate=0.25, decay=0.5)
    assert Optimizer.from_description(made.describe()).config() == made.config()


def test_nesterov_is_an_option_of_momentum() -> None:
    made = SGD(0.1, momentum=0.9, nesterov=True)
    assert made.kernel == "nesterov"
    assert repr(made) == "SGD(learning_rate=0.1, momentum=0.9, nesterov=True)"
    assert Optimizer.from_description(made.describe()).config() == made.config()
    assert "nesterov" not in SGD(0.1, momentum=0.9).describe()  # files as they were
    with pytest.raises(ValueError, match="nesterov: expected a momentum above 0"):
        SGD(0.1, nesterov=True)
    with pytest.raises(TypeError, match="nesterov: expected True or False, got 1"):
        SGD(0.1, momentum=0.9, nesterov=1)  # type: ignore[arg-type]


def test_amsgrad_is_an_option_of_adam(dtype: Any) -> None:
    made = Adam(0.1, amsgrad=True)
    assert made.kernel == "amsgrad"
    assert repr(made) == "Adam(learning_rate=0.1, amsgrad=True)"
    assert Optimizer.from_description(made.describe()).config() == made.config()
    assert "amsgrad" not in Adam(0.1).describe()  # files as they were
    with pytest.raises(TypeError, match="amsgrad: expected True or False, got 1"):
        Adam(0.1, amsgrad=1)  # type: ignore[arg-type]
    w, states = np.zeros(3, dtype), states_of("amsgrad", 3, dtype)
    for t in range(1, 200):  # one large gradient, small ones after: the largest v stays, v itself does not
        step("amsgrad", w, np.full(3, 10 if t == 1 else 0.01, dtype), states, t)
    assert_near(states[2], np.full(3, 0.1), 1e-6)
    assert (states[1] < 0.09).all()


def test_amsgrad_goes_on_from_a_file(tmp_path: Path) -> None:
    X = np.random.default_rng(3).standard_normal((60, 4)).astype(np.float32)
    models = [Model([Dense(5, activation="tanh"), Dense(1)], seed=1) for _ in range(2)]
    for model in models:
        model.set(loss="mean_squared_error", optimizer=Adam(0.01, amsgrad=True))
    models[0].train(X, X[:, :1], epochs=6, batch_size=16)
    models[1].train(X, X[:, :1], epochs=3, batch_size=16)
    models[1].save(tmp_path / "m.fnn")
    again = Model.load(tmp_path / "m.fnn")
    again.train(X, X[:, :1], epochs=3, batch_size=16)
    for got, want in zip(
        (again.plan.params, *again.plan.states), (models[0].plan.params, *models[0].plan.states), strict=True
    ):
        assert_same_bits(got, want)


def test_a_step_shared_among_threads_keeps_its_bits() -> None:
    X = np.random.default_rng(3).standard_normal((8, 300)).astype(np.float32)
    results = []
    for threads in (1, 2):
        with num_threads(threads):
            model = Model([Dense(200, activation="tanh"), Dense(1)], seed=1)
            model.set(loss="mean_squared_error", optimizer=Adam(0.01, amsgrad=True))
            model.train(X, X[:, :1], epochs=4)
        results.append((model.plan.params, *model.plan.states))
    for one, two in zip(*results, strict=True):
        assert_same_bits(one, two)


def test_adamw_without_decay_is_adam(dtype: Any, rng: np.random.Generator) -> None:
    w, v = np.ones((2, 50), dtype)
    mine, adams = states_of("adamw", 50, dtype), states_of("adam", 50, dtype)
    for t in range(1, 6):
        g = rng.standard_normal(50).astype(dtype)
        F.optimizer_step("adamw", w, g, mine, learning_rate=0.01, parameters=(0.9, 0.999, 1e-7, 0.0), t=t)
        F.optimizer_step("adam", v, g, adams, learning_rate=0.01, parameters=(0.9, 0.999, 1e-7), t=t)
    assert_same_bits(w, v)
    for name in ("adamw", "lion"):  # without a gradient, only the decay is left
        w = np.full(50, 2.0, dtype)
        rest = (1e-7, 0.5) if name == "adamw" else (0.5,)
        zero = np.zeros(50, dtype)
        F.optimizer_step(
            name, w, zero, states_of(name, 50, dtype), learning_rate=0.25, parameters=(0.9, 0.99, *rest), t=1
        )
        assert_same_bits(w, np.full(50, 1.75, dtype))


def test_lion_stands_still_where_its_momentum_is_zero(isa: str, dtype: Any) -> None:
    w, g = np.ones(5, dtype), np.array([0.0, -0.0, 1e-30, -1e-30, 5.0], dtype)
    step("lion", w, g, states_of("lion", 5, dtype), 1, lr=0.25)
    assert_same_bits(w, np.array([1, 1, 0.75, 1.25, 0.75], dtype))
