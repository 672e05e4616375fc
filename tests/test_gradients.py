"""Whole models in float64: gradients against the oracle, the oracle against differences, ten steps against its."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from compare import Array, assert_near, assert_varies, gradient
from loss_cases import VARIANTS, draw_targets, last_activation, takes
from oracle import DERIVATIVES, Network

from fastnn import Dense, Dropout, Input, Model, Rescale, _runs
from fastnn.activations import Activation
from fastnn.optimizers import LBFGS, SGD, Optimizer

ACTIVATIONS = sorted({cls.names[0] for cls in Activation.registry.values()})
LOSSES = sorted(VARIANTS)
PENALTIES = {"weight_regularizer_l1": 0.01, "weight_regularizer_l2": 0.02, "bias_regularizer_l1": 0.03,
             "bias_regularizer_l2": 0.04}  # fmt: skip


def make(layers: list[Any], loss: str, optimizer: Any = "sgd", dtype: str = "float64") -> Model:
    model = Model(layers, seed=11, dtype=dtype)
    model.set(loss=VARIANTS[loss], optimizer=optimizer)
    return model


def draw(rng: np.random.Generator, loss: str, rows: int, n_in: int, n_out: int) -> tuple[Array, Array]:
    X = rng.standard_normal((rows, n_in))
    assert_varies(X)
    return X, draw_targets(rng, VARIANTS[loss], rows, n_out)


def check_against_oracle(model: Model, X: Array, y: Array, rtol: float = 1e-12) -> Network:
    """Every gradient of the engine against the oracle's, whose derivatives of newer activations are differences."""
    model.finalize(X.shape[1])
    kernels = {getattr(layer, "activation", layer) for layer in model.layers}
    if any(isinstance(a, Activation) and a.kernel not in DERIVATIVES for a in kernels):
        rtol = max(rtol, 1e-6)
    for layer in model.layers:
        if isinstance(layer, Dense):  # away from zero, where |b| has a kink
            layer.biases = np.linspace(0.1, 0.3, layer.n_neurons)
    oracle = Network(model)
    before = model.plan.params.tobytes()
    loss = _runs.gradients(model, X, y)
    assert model.plan.params.tobytes() == before
    assert loss == pytest.approx(oracle.loss(X, y), rel=1e-12)
    for key, want in oracle.gradients(X, y).items():
        got = model.plan.view(model.plan.grads, *key)
        if np.linalg.norm(want) == 0:
            assert not got.any(), key
        else:
            assert_near(got, want, rtol, str(key))
    return oracle


def check_against_differences(oracle: Network, X: Array, y: Array, rtol: float = 1e-6) -> None:
    for key, got in oracle.gradients(X, y).items():
        kept = oracle.params[key]

        def loss(w: Array, key: Any = key) -> float:
            oracle.params[key] = w
            return oracle.loss(X, y)

        want = gradient(loss, kept, 1e-4)
        oracle.params[key] = kept
        assert np.linalg.norm(got - want) <= rtol * max(np.linalg.norm(want), 1e-3), key


@pytest.mark.parametrize(("activation", "loss"), [(a, b) for a in ACTIVATIONS for b in LOSSES if takes(VARIANTS[b], a)])
def test_every_last_activation_with_every_loss(activation: str, loss: str, isa: str, rng: np.random.Generator) -> None:
    X, y = draw(rng, loss, 13, 5, 3)
    model = make([Dense(7, activation="tanh", **PENALTIES), Dense(3, activation=activation, **PENALTIES)], loss)
    oracle = check_against_oracle(model, X, y)
    if isa == "scalar":
        check_against_differences(oracle, X, y)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_every_hidden_activation_merged_and_as_a_layer(
    activation: str, loss: str, isa: str, rng: np.random.Generator
) -> None:
    X, y = draw(rng, loss, 9, 4, 2)
    X = X * 0.1 if activation == "exponential" else X  # else a probability is soon clipped
    last = last_activation(VARIANTS[loss])
    model = make([Dense(9, activation=activation), Dense(8, activation="sigmoid"), Dense(2, activation=last)], loss)
    check_against_oracle(model, X, y)
    layer = Activation.resolve(activation)
    model = make(
        [Input(4), Rescale(0.5, 0.1), Dense(9), layer, Dropout(0.0), Rescale(1.5), Dense(2), Activation.resolve(last)],
        loss,
    )
    oracle = check_against_oracle(model, X, y)
    if isa == "scalar":
        check_against_differences(oracle, X, y)


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("widths", [(1, 1), (3, 7), (8, 8), (17, 1), (130, 33), (2100, 9)])
def test_widths_of_every_path(widths: tuple[int, int], fused: bool, isa: str, rng: np.random.Generator) -> None:
    hidden, n_out = widths
    X, y = draw(rng, "mean_squared_error", 19, 6, n_out)
    layers = [Dense(hidden, activation="sigmoid", weight_initializer="glorot"), Dense(n_out, **PENALTIES)]
    model = make(layers, "mean_squared_error")
    model._fused = fused
    check_against_oracle(model, X, y)


def test_float32_gradients_are_those_of_float64_to_float32s_precision(isa: str, rng: np.random.Generator) -> None:
    X, y = draw(rng, "categorical_crossentropy", 33, 6, 4)
    layers = [Dense(21, activation="relu", **PENALTIES), Dense(4, activation="softmax")]
    check_against_oracle(make(layers, "categorical_crossentropy", dtype="float64"), X, y)
    layers = [Dense(21, activation="relu", **PENALTIES), Dense(4, activation="softmax")]
    model = make(layers, "categorical_crossentropy", dtype="float32")
    model.finalize(6)
    oracle = Network(model)
    _runs.gradients(model, X, y)
    for key, want in oracle.gradients(X.astype(np.float32), y).items():
        assert_near(model.plan.view(model.plan.grads, *key), want, 1e-5)


CLASSES = sorted({c.__name__: c for c in Optimizer.registry.values() if c is not LBFGS}.items())  # test_lbfgs.py
OPTIMIZERS = [cls(decay=0.1) for _, cls in CLASSES]


@pytest.mark.parametrize("optimizer", [*OPTIMIZERS, SGD(0.2, decay=0.05, momentum=0.9)], ids=repr)
@pytest.mark.parametrize("loss", LOSSES)
def test_ten_training_steps_are_the_oracles(
    optimizer: Optimizer, loss: str, isa: str, rng: np.random.Generator
) -> None:
    optimizer = Optimizer.from_description({**optimizer.describe(), "learning_rate": 0.02})
    last = last_activation(VARIANTS[loss])
    n_out = 3
    X, y = draw(rng, loss, 20, 6, n_out)
    model = make([Dense(11, activation="tanh", **PENALTIES), Dense(n_out, activation=last)], loss, optimizer)
    model.finalize(6)
    for layer in model.layers:
        layer.biases = np.full((1, layer.n_out), 0.2)
    oracle = Network(model)
    start = oracle.loss(X, y)
    model.train(X, y, epochs=5, batch_size=12)  # two steps an epoch, the second smaller
    for t in range(1, 11):
        rows = slice(0, 12) if t % 2 else slice(12, 20)
        oracle.train_step(X[rows], y[rows], t)
    moved = 0.0
    for (index, name), want in oracle.params.items():
        got = getattr(model.layers[index], name)
        assert_near(got, want, 1e-9, f"{name} of layer {index}")
        moved += float(np.linalg.norm(want))
    assert moved > 0
    assert oracle.loss(X, y) != start
    assert model.history["learning_rate"][-1] == pytest.approx(0.02 / (1 + optimizer.decay * 9), rel=1e-12)
    assert model.history["regularization_loss"][-1] == pytest.approx(oracle.penalty(), rel=1e-9)
    assert model.evaluate(X, y).loss == pytest.approx(oracle.loss(X, y) - oracle.penalty(), rel=1e-9)
