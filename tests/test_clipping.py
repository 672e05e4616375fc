"""Bounds of the gradient, against NumPy on the gradient that the engine gives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from compare import Array, assert_near, assert_same_bits

from fastnn import Dense, Model, _core, _runs, custom
from fastnn.optimizers import LBFGS, SGD, Adam, Optimizer

X = np.asarray(_core.random_normal(40 * 5, 6, 1)).reshape(40, 5)
Y = 10 * X[:, :3] - X[:, 1:4]


def make(dtype: Any = "float32", **bounds: Any) -> Model:
    model = Model(
        [Dense(9, activation="tanh", weight_regularizer_l2=0.01), Dense(3)], seed=3, dtype=np.dtype(dtype).name
    )
    model.set(loss="mean_squared_error", optimizer=SGD(1.0, **bounds))
    model.finalize(5)
    return model


def gradient_and_step(model: Model) -> tuple[Array, Array, Array]:
    """The gradient at hand, and the parameters before and after one step on it."""
    _runs.gradients(model, X, Y)
    g, before = model.plan.grads.copy(), model.plan.params.copy()
    model.train_on_batch(X, Y)
    return g, before, model.plan.params


def bounds_of(optimizer: Optimizer) -> tuple[float | None, ...]:
    return (optimizer.clip_value, optimizer.clip_tensor_norm, optimizer.clip_norm)


def norm(g: Array) -> float:
    return float(np.sqrt((g.astype(np.float64) ** 2).sum()))


def test_each_element_is_bounded(isa: str, dtype: Any) -> None:
    g, before, after = gradient_and_step(make(dtype, clip_value=0.25))
    assert (abs(g) > 0.25).any()
    assert (abs(g) < 0.25).any()
    assert_same_bits(after, before - np.clip(g, dtype.type(-0.25), dtype.type(0.25)))


def test_the_norm_is_bounded(isa: str, dtype: Any) -> None:
    g, before, after = gradient_and_step(make(dtype, clip_norm=0.5))
    assert norm(g) > 1
    tolerance = 1e-14 if dtype == np.float64 else 1e-6
    assert_near(after, before - g * (0.5 / norm(g)), tolerance)
    assert norm(after.astype(np.float64) - before) == pytest.approx(0.5, rel=1e-5)


def test_the_value_comes_before_the_norm(dtype: Any) -> None:
    g, before, after = gradient_and_step(make(dtype, clip_value=0.25, clip_norm=0.5))
    bounded = np.clip(g, -0.25, 0.25)
    assert norm(bounded) > 0.5
    assert_near(after, before - bounded * (0.5 / norm(bounded)), 1e-14 if dtype == np.float64 else 1e-6)


@pytest.mark.parametrize("bound", ["clip_norm", "clip_tensor_norm"])
def test_a_norm_whose_square_does_not_fit_into_the_type_is_bounded(bound: str, isa: str, dtype: Any) -> None:
    """The gradient is -2 x y, (-6e19, -8e19) in float32: its direction must stay, and a wider bound let it through."""
    large = 1e20 if dtype == np.float32 else 1e160
    for limit, length in ((1.0, 1.0), (1e3 * large, large)):
        model = Model([Dense(1)], dtype=dtype.name)
        model.set(loss="mean_squared_error", optimizer=SGD(1.0, **{bound: limit}))
        model.finalize(2)
        model.layers[0].weights[:] = 0
        model.train_on_batch(np.array([[3e9, 4e9]]), np.array([[large * 1e-10]]))
        want = np.array([[0.6], [0.8]])
        assert_near(model.layers[0].weights / dtype.type(length), want, 1e-12 if dtype == np.float64 else 1e-5)


def test_the_norm_of_each_tensor_is_bounded_before_that_of_all(isa: str, dtype: Any) -> None:
    model = make(dtype, clip_tensor_norm=5.0)
    g, before, after = gradient_and_step(model)
    norms = []
    for layer, name in model.plan.tensors:
        mine, start, end = (model.plan.view(arena, layer, name) for arena in (g, before, after))
        norms.append(norm(mine))
        want = mine.astype(np.float64) * min(1.0, 5.0 / norms[-1])
        assert_near(end, start - want, 1e-14 if dtype == np.float64 else 1e-6)
    assert min(norms) < 5 < max(norms)
    both = make("float64", clip_tensor_norm=5.0, clip_norm=0.1)
    g, before, after = gradient_and_step(both)
    assert norm(after - before) == pytest.approx(0.1)


def test_bounds_that_are_not_reached_change_no_bit(dtype: Any) -> None:
    plain, bounded = make(dtype), make(dtype, clip_value=1e6, clip_norm=1e6, clip_tensor_norm=1e6)
    for model in (plain, bounded):
        model.optimizer_object.learning_rate = 0.01
        model.train(X, Y, epochs=3, batch_size=16)
    assert_same_bits(plain.plan.params, bounded.plan.params)


def test_the_mean_of_collected_batches_is_bounded() -> None:
    one, two = make("float64", clip_norm=0.5), make("float64", clip_norm=0.5)
    one.train(X, Y, batch_size=40)
    two.train(X, Y, batch_size=10, accumulate=4)
    assert_near(two.plan.params, one.plan.params, 1e-13)


def test_nan_stays_nan() -> None:
    for bounds in ({"clip_value": 0.1}, {"clip_norm": 0.1}):
        model = make("float32", **bounds)
        model.layers[0].weights[0, 0] = np.nan
        model.train(X, Y, check_finite=False)
        assert np.isnan(model.layers[1].weights).any()


class Plain(custom.Optimizer):
    def formula(self, w: Array, g: Array, states: list[Array], t: int, lr: float) -> Array:
        return w - lr * g


def test_an_optimizer_in_python_gets_the_bounded_gradient() -> None:
    native, own = make("float64", clip_value=0.1, clip_norm=0.3), make("float64")
    own.set(optimizer=Plain(1.0, clip_value=0.1, clip_norm=0.3))
    for model in (native, own):
        model.train(X, Y, epochs=3, batch_size=16)
    assert_near(own.plan.params, native.plan.params, 1e-13)


@pytest.mark.parametrize("cls", sorted(set(Optimizer.registry.values()) - {LBFGS}, key=lambda c: c.__name__))
def test_every_optimizer_takes_and_describes_them(cls: Any, tmp_path: Path) -> None:
    made = cls(clip_value=0.5, clip_norm=2, clip_tensor_norm=1)
    assert bounds_of(made) == (0.5, 1.0, 2.0)
    assert repr(made) == f"{cls.__name__}(clip_value=0.5, clip_tensor_norm=1.0, clip_norm=2.0)"
    assert bounds_of(Optimizer.from_description(made.describe())) == bounds_of(made)
    assert not {"clip_value", "clip_norm", "clip_tensor_norm"} & cls().describe().keys()  # files as they were
    model = make()
    model.set(optimizer=made)
    model.save(tmp_path / "m.fnn")
    assert bounds_of(Model.load(tmp_path / "m.fnn").optimizer_object) == (0.5, 1.0, 2.0)


def test_what_is_refused() -> None:
    with pytest.raises(ValueError, match=r"clip_norm: expected more than 0, got 0"):
        Adam(clip_norm=0)
    with pytest.raises(ValueError, match=r"clip_value: expected more than 0, got -1"):
        Adam(clip_value=-1)
    with pytest.raises(ValueError, match=r"clip_tensor_norm: expected more than 0, got 0"):
        Adam(clip_tensor_norm=0)
    with pytest.raises(TypeError, match="clip_norm: expected a number"):
        Adam(clip_norm="1")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="unexpected keyword argument"):
        Adam(clip=1)  # type: ignore[call-arg]
