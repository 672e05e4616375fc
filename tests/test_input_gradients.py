"""Gradients by the input against float64 central differences, through every kind of layer, and what bounds them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fastnn import (
    AlphaDropout,
    BatchNorm,
    Dense,
    Dropout,
    GaussianNoise,
    Input,
    LayerNorm,
    Model,
    Normalization,
    Rescale,
    Residual,
    custom,
)
from fastnn.activations import Activation
from fastnn.base import Layer

LOSSES = {
    "categorical_crossentropy": ("softmax", "labels"),
    "binary_crossentropy": ("sigmoid", "answers"),
    "mean_squared_error": ("linear", "numbers"),
    "huber": ("tanh", "numbers"),
}


class Cube(custom.Activation):
    def formula(self, x: Any) -> Any:
        return x**3 / 3

    def derivative(self, x: Any) -> Any:
        return x**2


class Scale(custom.Layer):
    def build(self, n_in: int) -> Any:
        return {"weights": np.linspace(0.5, 1.5, n_in).reshape(1, -1)}

    def forward(self, x: Any) -> Any:
        self.x = x
        return x * self.weights

    def backward(self, dy: Any) -> Any:
        return dy * self.weights, {"weights": (dy * self.x).sum(axis=0, keepdims=True)}


LAYERS: dict[str, list[Layer]] = {
    "dense": [Dense(9, activation="tanh")],
    "wide": [Dense(40, activation="gelu"), Dense(17, activation="silu")],
    "dropped": [Dense(12, activation="elu"), Dropout(0.5), Dense(10, activation="softplus"), Dropout(0.3)],
    "dropped first": [Dropout(0.4), Dense(12, activation="tanh")],
    "scaled": [Rescale(0.25, -1.0), Dense(11, activation="sigmoid")],
    "scaled within": [Dense(6, activation="tanh"), Rescale(0.7, 0.3)],
    "python": [Scale(), Dense(8), Cube(), Dense(7, activation="tanh")],
    "nothing": [],
}


def model_of(name: str, last: str = "linear", outputs: int = 3, dtype: str = "float64") -> Model:
    import copy

    layers = [copy.deepcopy(layer) for layer in LAYERS[name]]
    model = Model([Input(5), *layers, Dense(outputs, activation=last)], seed=4, dtype=dtype)
    model.finalize()
    for layer in model.layers:
        if isinstance(layer, Dense):
            layer.biases[...] = 0.1 * np.arange(layer.n_out)  # type: ignore[arg-type]
    return model


def data(kind: str, rng: np.random.Generator, rows: int = 7, outputs: int = 3) -> tuple[Any, Any]:
    X = rng.standard_normal((rows, 5))
    if kind == "labels":
        return X, rng.integers(0, outputs, rows)
    return X, (rng.uniform(0, 1, (rows, outputs)) < 0.5) * 1.0 if kind == "answers" else rng.standard_normal(
        (rows, outputs)
    )


def differences(f: Any, X: Any, h: float = 1e-5) -> Any:
    """d f(X)[row] / d X[row, feature] by central differences: f gives (rows, n), the result is (rows, n, features)."""
    columns = []
    for j in range(X.shape[1]):
        step = np.zeros_like(X)
        step[:, j] = h
        columns.append((f(X + step) - f(X - step)) / (2 * h))
    return np.stack(columns, axis=2)


def near(a: Any, b: Any) -> None:
    np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-8 * max(1.0, float(np.abs(b).max())))


@pytest.mark.parametrize("last", ["linear", "softmax", "sigmoid"])
@pytest.mark.parametrize("name", LAYERS)
def test_the_jacobian_is_the_difference_quotient(name: str, last: str, rng: np.random.Generator) -> None:
    model = model_of(name, last)
    X = rng.standard_normal((6, 5))
    J = model.jacobian(X)
    assert J.shape == (6, 3, 5)
    near(J, differences(model.predict, X))
    for j in range(3):
        assert np.array_equal(model.input_gradient(X, output=j), J[:, j])
    which = np.array([0, 1, 2, 2, 1, 0])
    assert np.array_equal(model.input_gradient(X, output=which), J[np.arange(6), which])


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("name", LAYERS)
def test_the_gradient_of_the_loss_is_the_difference_quotient(name: str, loss: str, rng: np.random.Generator) -> None:
    last, kind = LOSSES[loss]
    model = model_of(name, last)
    model.set(loss=loss)
    X, y = data(kind, rng)
    G = model.input_gradient(X, y)

    def each(X: Any) -> Any:
        return np.array([[model.evaluate(X[i : i + 1], y[i : i + 1]).loss] for i in range(len(X))])

    near(G, differences(each, X)[:, 0])


def test_the_comparison_can_fail(rng: np.random.Generator) -> None:
    model = model_of("dense")
    X = rng.standard_normal((6, 5))
    J = model.jacobian(X)
    J[2, 1, 3] *= 1.001
    with pytest.raises(AssertionError):
        near(J, differences(model.predict, X))


def test_label_smoothing_and_merging_count(rng: np.random.Generator) -> None:
    from fastnn.losses import CategoricalCrossentropy

    X, y = data("labels", rng)
    model = model_of("dense", "softmax")
    model.set(loss="categorical_crossentropy")
    plain = model.input_gradient(X, y)
    assert np.array_equal(plain, model.input_gradient(X, np.eye(3)[y]))
    model.set(loss=CategoricalCrossentropy(label_smoothing=0.1))
    smooth = model.input_gradient(X, y)
    J, p = model.jacobian(X), model.predict(X)
    t = np.eye(3)[y] * 0.9 + 0.1 / 3
    np.testing.assert_allclose(smooth, np.einsum("ro,rof->rf", -t / p, J), rtol=1e-9)
    assert not np.allclose(smooth, plain)


def test_a_loss_in_python(rng: np.random.Generator) -> None:
    class Square(custom.Loss):
        def formula(self, p: Any, t: Any) -> Any:
            return ((p - t) ** 2).mean(axis=1)

        def derivative(self, p: Any, t: Any) -> Any:
            return 2 * (p - t) / p.shape[1]

    X, y = data("numbers", rng)
    model = model_of("python")
    model.set(loss=Square())
    own = model.input_gradient(X, y)
    model.set(loss="mse")
    np.testing.assert_allclose(own, model.input_gradient(X, y), rtol=1e-12)


@pytest.mark.parametrize("name", LAYERS)
def test_bits_do_not_depend_on_the_batch_or_the_instruction_set(
    name: str, contract_isa: str, rng: np.random.Generator
) -> None:
    X, y = data("labels", rng, 133)
    model = model_of(name, "softmax", dtype="float32")
    model.set(loss="categorical_crossentropy")
    J, G = model.jacobian(X), model.input_gradient(X, y)
    for batch in (1, 7, 64, 1000):
        assert model.jacobian(X, batch_size=batch).tobytes() == J.tobytes()
        assert model.input_gradient(X, y, batch_size=batch).tobytes() == G.tobytes()
    assert model.input_gradient(X[100:], y[100:]).tobytes() == G[100:].tobytes()


def test_fused_and_apart_give_the_same_bits(rng: np.random.Generator) -> None:
    X, y = data("labels", rng, 40)
    results = []
    for fused in (True, False):
        model = Model(
            [
                Input(5),
                Rescale(0.5, 0.1),
                Dense(16, activation="gelu"),
                Dense(9, activation="relu"),
                Dense(3, activation="softmax"),
            ],
            seed=2,
        )
        model._fused = fused
        model.set(loss="categorical_crossentropy")
        results.append((model.jacobian(X).tobytes(), model.input_gradient(X, y).tobytes()))
    assert results[0] == results[1]


def test_a_training_is_not_touched_by_it(rng: np.random.Generator) -> None:
    X, y = data("labels", rng, 60)
    bits = []
    for probed in (False, True):
        model = Model([Dense(12, activation="relu"), Dropout(0.2), Dense(3, activation="softmax")], seed=3)
        model.set(loss="categorical_crossentropy", optimizer="adam")
        model.train(X, y, epochs=2, batch_size=16)
        if probed:
            model.input_gradient(X, y)
            model.jacobian(X)
            model.predict_samples(X, 3)
        model.train(X, y, epochs=2, batch_size=16)
        bits.append(model.plan.params.tobytes())
    assert bits[0] == bits[1]


def test_models_of_nothing_but_scaling(rng: np.random.Generator) -> None:
    X = rng.standard_normal((4, 3))
    model = Model([Input(3), Rescale(2.5, 1.0)], dtype="float64")
    assert np.array_equal(model.jacobian(X), np.broadcast_to(2.5 * np.eye(3), (4, 3, 3)))
    model.set(loss="mse")
    t = rng.standard_normal((4, 3))
    np.testing.assert_allclose(model.input_gradient(X, t), 2 * (2.5 * X + 1 - t) / 3 * 2.5, rtol=1e-12)
    assert np.array_equal(Model([Input(2)]).jacobian(X[:, :2]), np.broadcast_to(np.eye(2), (4, 2, 2)))


def test_several_outputs_without_a_number_are_the_jacobian(rng: np.random.Generator) -> None:
    model = Model([Dense(5, 6, activation="tanh"), Dense(3, activation="softmax")], seed=1)
    X = rng.standard_normal((9, 5))
    assert np.array_equal(model.input_gradient(X), model.jacobian(X))
    assert model.input_gradient(X, batch_size=2).shape == (9, 3, 5)


def test_one_output_needs_no_number_and_integers_may_come_in(rng: np.random.Generator) -> None:
    model = Model([Input(5), Rescale(1 / 255), Dense(6, activation="tanh"), Dense(1)], seed=1, dtype="float64")
    X = rng.integers(0, 256, (9, 5)).astype(np.uint8)
    G = model.input_gradient(X)
    assert np.array_equal(G, model.jacobian(X)[:, 0])
    near(G, differences(model.predict, X.astype(float), 1e-3)[:, 0])
    assert model.input_gradient(X[:0]).shape == (0, 5)


@pytest.mark.parametrize(
    ("act", "text"),
    [
        (lambda m, X: m.input_gradient(X, output=3), "output: expected at least 0 and at most 2, got 3"),
        (lambda m, X: m.input_gradient(X, output=[0, 1]), r"output: expected a number, or one for each of 4 rows"),
        (lambda m, X: m.input_gradient(X, output=[0, 1, 2, 3]), r"output: expected class labels 0 to 2 .*3 at row 3"),
        (lambda m, X: m.input_gradient(X, [0, 1, 2, 0], output=1), "output: expected None where y is given"),
        (lambda m, X: m.input_gradient(X[:, :2], output=1), r"X: layer 0: expected input of shape \(rows, 5\)"),
        (lambda m, X: m.jacobian(X, batch_size=0), "batch_size: expected at least 1, got 0"),
        (lambda m, X: model_of("dense").input_gradient(X, [0, 1, 2, 0]), "no loss is set"),
    ],
)  # fmt: skip
def test_what_is_refused(act: Any, text: str, rng: np.random.Generator) -> None:
    model = model_of("dense", "softmax")
    model.set(loss="categorical_crossentropy")
    with pytest.raises(ValueError, match=text):
        act(model, rng.standard_normal((4, 5)))


def test_more_than_the_machine_has_is_refused_at_once() -> None:
    model = Model([Input(4), Dense(1000)], seed=0)
    X = np.broadcast_to(np.ones((1, 4), np.float32), (2**40, 4))
    with pytest.raises(MemoryError, match=r"a result of shape \(1099511627776, 1000, 4\) needs"):
        model.jacobian(X)


def test_every_instruction_set_gives_the_same_bits(rng: np.random.Generator) -> None:
    """Gradients, samples with dropout, and metrics."""
    from compare import CONTRACT

    from fastnn import _core

    X, y = data("labels", rng, 300)
    before, found = _core.active_isa(), {}
    try:
        for isa in [name for name in CONTRACT if name in _core.available_isas()]:
            _core.use_isa(isa)
            model = Model(
                [Input(5), Rescale(0.5), Dense(33, activation="gelu"), Dropout(0.3), Dense(3, activation="softmax")],
                seed=6,
            )
            model.set(loss="categorical_crossentropy", metrics=["f1", "auc", "mcc", "precision_weighted"])
            values = np.array(list(model.evaluate(X, y).metrics.values()))
            model.set(metrics=["rmse", "mae", "mse", "r2"])
            values = np.append(values, list(model.evaluate(X, np.eye(3)[y]).metrics.values()))
            parts = (model.jacobian(X), model.input_gradient(X, y), model.predict_samples(X, 4), values)
            found[isa] = [part.tobytes() for part in parts]
    finally:
        _core.use_isa(before)
    first = found["scalar"]
    assert all(bits == first for bits in found.values())
    assert len(found) > 1 or len(_core.available_isas()) == 1


SIMPLE: dict[str, Any] = {
    "gelu first": lambda: [Activation.resolve("gelu")],
    "silu first": lambda: [Activation.resolve("silu"), Dense(3)],
    "mish in a residual": lambda: [Residual([Activation.resolve("mish"), Dense(4)]), Dense(2)],
    "layer normalization": lambda: [LayerNorm(), Dense(3)],
    "batch normalization": lambda: [Dense(5, activation="tanh"), BatchNorm(), Dense(2)],
    "normalization": lambda: [Normalization(), Dense(3, activation="tanh")],
    "noise": lambda: [GaussianNoise(0.3), Dense(3, activation="tanh"), AlphaDropout(0.2)],
    "nothing but dropout": lambda: [Dropout(0.5)],
    "nothing but noise": lambda: [GaussianNoise(0.1), AlphaDropout(0.1)],
    "scaling and dropout": lambda: [Rescale(2.5, 1.0), Dropout(0.3)],
}


@pytest.mark.parametrize("name", SIMPLE)
@pytest.mark.parametrize("given", ["float32", "float64", "uint8"])
def test_the_jacobian_of_few_layers(name: str, given: str) -> None:
    """By central differences, whatever type the rows have: those of the model's own are read as they lie."""
    rng = np.random.default_rng(3)
    model = Model([Input(4), *SIMPLE[name]()], seed=1, dtype="float64")
    model.set(loss="mean_squared_error", optimizer="adam")
    X = rng.integers(0, 3, (7, 4)).astype(given) if given == "uint8" else rng.standard_normal((7, 4)).astype(given)
    for layer in model.layers:
        if isinstance(layer, Normalization):
            layer.adapt(rng.standard_normal((50, 4)) * 2 + 1)
    model.finalize()
    if any(spec.parameter_count for spec in model.layers):
        model.train(rng.standard_normal((20, 4)), rng.standard_normal((20, model.plan.n_out)), epochs=2)
    x, h = X.astype(np.float64), 1e-6
    want = np.empty((7, model.plan.n_out, 4))
    for k in range(4):
        e = np.eye(4)[k] * h
        want[:, :, k] = (model.predict(x + e) - model.predict(x - e)) / (2 * h)
    model.jacobian(rng.standard_normal((7, 4)))  # rows of an earlier call lie in the buffers
    np.testing.assert_allclose(model.jacobian(X), want, rtol=1e-6, atol=1e-7)
    y = rng.standard_normal((7, model.plan.n_out))
    p = model.predict(x)
    by_loss = np.einsum("ro,rok->rk", 2 * (p - y) / model.plan.n_out, want)
    np.testing.assert_allclose(model.input_gradient(X, y), by_loss, rtol=1e-6, atol=1e-7)
