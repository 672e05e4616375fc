"""A row's products with 0, which a session leaves out: no bit moves, and where one would they are not left out."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from compare import Array, assert_same_bits, use
from hypothesis import given, settings
from hypothesis import strategies as st

from fastnn import Dense, Model, Session, _core

# of both types: what a product or a sum makes to 0, to -0, to a subnormal number, to infinity
HARD = (0.0, -0.0, 1e-45, -1e-45, 1e-30, -1e-30, 1e-23, -1e-23, 1e-160, -1e-160, 1.0, -1.0, 3e38, -3e38)
SPECIAL = (np.inf, -np.inf, np.nan)


def model_of(*parameters: tuple[Array, Array], activation: str = "linear") -> Model:
    """Dense layers with these weights and biases."""
    dtype: Any = parameters[0][0].dtype
    model = Model([Dense(*w.shape, activation=activation) for w, _ in parameters], dtype=dtype)
    model.finalize()
    model.set_parameters(list(parameters))
    return model


def skips(model: Model) -> list[bool]:
    return Session(model)._weights.skips


@pytest.mark.parametrize("isa", _core.available_isas())
@settings(max_examples=80, deadline=None)
@given(
    n_in=st.sampled_from([32, 33, 47, 64, 200]),
    n_out=st.sampled_from([64, 70, 128, 129, 300]),
    dtype=st.sampled_from([np.float32, np.float64]),
    share=st.sampled_from([0.0, 0.05, 0.1, 0.5, 0.97, 1.0]),
    weights=st.sampled_from(["normal", "hard", "special"]),
    bias=st.sampled_from(["normal", "hard", "zero"]),
    seed=st.integers(0, 10_000),
)
def test_bits_are_those_of_predict(
    isa: str, n_in: int, n_out: int, dtype: Any, share: float, weights: str, bias: str, seed: int
) -> None:
    rng = np.random.default_rng(seed)

    def numbers(kind: str, shape: tuple[int, ...]) -> Array:
        values = rng.standard_normal(shape)
        if kind == "hard":
            values = rng.choice(HARD, shape)
        elif kind == "special":
            values.flat[rng.integers(values.size)] = rng.choice(SPECIAL)
        return values.astype(dtype) if kind != "zero" else np.zeros(shape, dtype)

    with use(isa), np.errstate(all="ignore"):
        model = model_of(
            (numbers(weights, (n_in, n_out)), numbers(bias, (1, n_out))),
            (numbers("normal", (n_out, 64)), numbers(bias, (1, 64))),
            activation="relu",
        )
        x = numbers(str(rng.choice(["normal", "hard", "special"])), (3, n_in))
        x[rng.random(x.shape) < share] = rng.choice([0.0, -0.0])
        want, session = model.predict(x), model.session()
        for i in range(len(x)):
            assert_same_bits(session(x[i]), want[i], f"row {i}")


@pytest.mark.parametrize("isa", _core.available_isas())
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_bias_of_minus_zero_keeps_every_product(isa: str, dtype: Any) -> None:
    """The first product sinks to -0, the next, 0 * 1, lifts that to +0, and with -0 both are told apart."""
    w = np.ones((32, 64), dtype)
    w[0] = -np.finfo(dtype).smallest_subnormal
    x = np.zeros(32, dtype)
    x[0] = 0.25
    with use(isa):
        for bias, may in ((-0.0, False), (0.0, True), (1.0, True)):
            model = model_of((w, np.full((1, 64), bias, dtype)))
            assert skips(model) == [may]
            assert_same_bits(model.session()(x), model.predict(x[None])[0], f"bias {bias}")


def test_weights_that_are_not_finite_keep_every_product() -> None:
    x = np.zeros(32, np.float32)
    for bad in SPECIAL:
        w = np.ones((32, 64), np.float32)
        w[-1, -1] = bad
        model = model_of((w, np.zeros((1, 64), np.float32)))
        assert skips(model) == [False]
        assert np.isnan(model.session()(x)[-1])


def test_only_layers_where_it_pays_look_for_zeros() -> None:
    def zeros(n_in: int, n_out: int) -> tuple[Array, Array]:
        return np.zeros((n_in, n_out), np.float32), np.zeros((1, n_out), np.float32)

    def of(activation: str, *widths: int) -> list[bool]:
        shapes = itertools.pairwise(widths)
        return skips(model_of(*(zeros(*shape) for shape in shapes), activation=activation))

    assert of("relu", 4, 64, 64, 2) == [False, True, False]
    assert of("relu", 784, 128, 128, 10) == [True, True, True]
    assert of("tanh", 784, 128, 10) == [True, False]
    assert of("relu", 784, 10) == [False]
