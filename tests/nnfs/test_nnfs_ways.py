"""A Model of fastnn.nnfs runs natively or step by step: the same numbers, and what a program put in is called."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from nets import OwnDense, OwnReLU, net, regression_net, weights

from fastnn import nnfs
from fastnn.nnfs.datasets import sine_data, spiral_data


@pytest.fixture(autouse=True)
def _seeded() -> None:
    nnfs.init()


@pytest.mark.parametrize("batch_size", [None, 16])
def test_own_parts_train_as_the_native_run_does(batch_size: int | None, capsys: pytest.CaptureFixture[str]) -> None:
    results = []
    for dense in (nnfs.Layer_Dense, OwnDense):
        nnfs.init(default_dtype=None)
        X, y = spiral_data(20, 3)
        model = net(dense=dense, optimizer=nnfs.Optimizer_SGD(0.1, momentum=0.9))
        model.train(X, y, epochs=4, batch_size=batch_size, print_every=2, validation_data=(X[:31], y[:31]))
        results.append((weights(model), model.predict(X, batch_size=7), capsys.readouterr().out))
    for a, b in zip(results[0][0], results[1][0], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(results[0][1], results[1][1], rtol=1e-9)
    assert results[0][2] == results[1][2] != ""


class OwnPasses(nnfs.Model):
    """Counts the passes."""

    calls = 0

    def forward(self, X: Any, training: bool) -> Any:
        self.calls += 1
        return super().forward(X, training)

    def backward(self, output: Any, y: Any) -> None:
        self.calls += 1
        super().backward(output, y)


def test_passes_of_a_subclass_of_the_model_are_called() -> None:
    X, y = spiral_data(20, 3)
    model: Any = net(kind=OwnPasses)
    model.train(X, y, epochs=3, print_every=0)
    assert model.calls == 6
    model.evaluate(X, y)
    model.predict(X)
    assert model.calls == 8
    other: Any = net()
    other.forward = model.forward
    other.predict(X)
    assert model.calls == 9


REPLACED = [("layers.0", "forward"), ("layers.1", "backward"), ("layers.4", "predictions"), ("loss", "calculate"),
            ("optimizer", "update_params"), ("accuracy", "compare"),
            ("softmax_classifier_output", "backward")]  # fmt: skip


@pytest.mark.parametrize("on", ["part", "class"])
@pytest.mark.parametrize(("path", "name"), REPLACED)
def test_a_method_that_was_replaced_is_called(path: str, name: str, on: str, monkeypatch: pytest.MonkeyPatch) -> None:
    X, y = spiral_data(20, 3)
    model, calls = net(), []
    model.train(X, y, print_every=0)  # natively
    part: Any = model
    for step in path.split("."):
        part = part[int(step)] if step.isdigit() else getattr(part, step)
    method = getattr(part, name) if on == "part" else getattr(type(part), name)

    def replacement(*args: Any, **kwargs: Any) -> Any:
        calls.append(name)
        return method(*args, **kwargs)

    monkeypatch.setattr(part if on == "part" else type(part), name, replacement)
    model.train(X, y, print_every=0)
    assert calls


def test_edited_lists_of_trainable_layers_are_followed() -> None:
    X, y = spiral_data(20, 3)
    model = net()
    first, last = model.trainable_layers
    before = first.weights.copy(), last.weights.copy()
    model.trainable_layers = [last]
    model.train(X, y, epochs=2, print_every=0)
    np.testing.assert_array_equal(first.weights, before[0])
    assert not np.array_equal(last.weights, before[1])


def test_edited_lists_of_penalized_layers_are_followed(capsys: pytest.CaptureFixture[str]) -> None:
    X, y = spiral_data(20, 3)
    model = net()
    assert model.loss is not None
    model.loss.remember_trainable_layers([])
    model.layers[0].weights += 10
    model.train(X, y)
    assert "reg_loss: 0.000" in capsys.readouterr().out


@pytest.mark.parametrize("rates", [(0, 0.3), (0.3, 0), (0, 0)])
def test_a_layer_that_drops_nothing_draws_all_the_same(rates: tuple[float, float]) -> None:
    X, y = spiral_data(20, 3)
    ends = []
    for dense in (nnfs.Layer_Dense, OwnDense):
        nnfs.init(default_dtype=None)
        model = net(dense=dense, rate=rates[0])
        model.layers.insert(1, nnfs.Layer_Dropout(rates[1]))
        model.finalize()
        model.train(X, y, epochs=3, print_every=0)
        ends.append((*weights(model), np.random.rand()))
    for a, b in zip(*ends, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("validated", [False, True])
@pytest.mark.parametrize("batch_size", [None, 16])
@pytest.mark.parametrize("kind", ["classes", "numbers"])
def test_what_a_pass_has_accumulated(kind: str, batch_size: int | None, validated: bool) -> None:
    found = []
    for relu, dense in ((nnfs.Activation_ReLU, nnfs.Layer_Dense), (OwnReLU, OwnDense)):
        nnfs.init(default_dtype=None)
        X, y = spiral_data(20, 3) if kind == "classes" else sine_data(50)
        model = net(dense=dense) if kind == "classes" else regression_net(relu)
        assert model.loss is not None
        assert model.accuracy is not None
        model.train(X, y, epochs=3, batch_size=batch_size, print_every=0,
                    validation_data=(X[:31], y[:31]) if validated else None)  # fmt: skip
        trained = model.loss.calculate_accumulated(), model.accuracy.calculate_accumulated()
        counts = model.loss.accumulated_count, model.accuracy.accumulated_count
        model.evaluate(X[:17], y[:17], batch_size=5)
        found.append([*trained, *counts, model.loss.calculate_accumulated(), model.accuracy.calculate_accumulated()])
        assert model.loss.accumulated_count == 17
        penalties = model.loss.regularization_loss()
        assert model.loss.calculate_accumulated(include_regularization=True)[1] == penalties
    np.testing.assert_allclose(*found, rtol=1e-9)


@pytest.mark.parametrize("dense", [nnfs.Layer_Dense, OwnDense])
@pytest.mark.parametrize("batch_size", [None, 16])
def test_nothing_is_printed_at_print_every_0(
    dense: Any, batch_size: int | None, capsys: pytest.CaptureFixture[str]
) -> None:
    X, y = spiral_data(20, 3)
    net(dense=dense).train(X, y, epochs=2, batch_size=batch_size, print_every=0, validation_data=(X, y))
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("relu", [nnfs.Activation_ReLU, OwnReLU])
def test_a_validation_that_came_to_nan_is_printed(relu: Any, capsys: pytest.CaptureFixture[str]) -> None:
    X, y = sine_data(50)
    regression_net(relu).train(X, y, batch_size=50, validation_data=(X * np.nan, y))
    assert "validation, acc: 0.000, loss: nan" in capsys.readouterr().out


@pytest.mark.parametrize("relu", [nnfs.Activation_ReLU, OwnReLU])
def test_targets_in_one_dimension_are_those_of_one_output(relu: Any, capsys: pytest.CaptureFixture[str]) -> None:
    said = []
    for shape in ((50, 1), (50,)):
        nnfs.init()
        X, y = sine_data(50)
        regression_net(relu).train(X, y.reshape(shape), epochs=3, batch_size=20, validation_data=(X, y.reshape(shape)))
        said.append(capsys.readouterr().out)
    assert said[0] == said[1] != ""


def test_a_layer_in_anothers_place_is_the_one_that_is_trained() -> None:
    X, y = spiral_data(20, 3)
    model = net()
    model.train(X, y, epochs=2, print_every=0)
    old, new = model.layers[0], nnfs.Layer_Dense(2, model.layers[0].weights.shape[1])
    before = old.weights.copy()
    model.layers[0] = new
    model.finalize()
    first = new.weights.copy()
    assert np.allclose(model.predict(X), model.forward(X, training=False))
    model.train(X, y, epochs=2, print_every=0)
    assert np.array_equal(old.weights, before)
    assert not np.array_equal(new.weights, first)


@pytest.mark.parametrize("native", [True, False])
def test_adam_after_momentum_begins_at_zero(native: bool) -> None:
    X, y = spiral_data(20, 3)
    model = net(optimizer=nnfs.Optimizer_SGD(momentum=0.9), rate=0.0)
    model.train(X, y, epochs=3, print_every=0)
    weights = [[w.copy() for w in pair] for pair in model.get_parameters()]
    anew = net(optimizer=nnfs.Optimizer_Adam(), rate=0.0)
    anew.set_parameters(weights)
    model.set(optimizer=nnfs.Optimizer_Adam())
    if native:
        for m in (model, anew):
            m.train(X, y, epochs=1, print_every=0)
    else:
        for m in (model, anew):
            m.backward(m.forward(X, training=True), y)
            m.optimizer.pre_update_params()
            for layer in m.trainable_layers:
                m.optimizer.update_params(layer)
    for mine, want in zip(model.get_parameters(), anew.get_parameters(), strict=True):
        for a, b in zip(mine, want, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7)


def test_parameters_handed_back_in_another_order_are_swapped() -> None:
    X, y = spiral_data(20, 3)
    model = nnfs.Model()
    for layer in (nnfs.Layer_Dense(2, 4), nnfs.Activation_ReLU(), nnfs.Layer_Dense(4, 4), nnfs.Activation_ReLU(),
                  nnfs.Layer_Dense(4, 4), nnfs.Activation_Softmax()):  # fmt: skip
        model.add(layer)
    model.set(loss=nnfs.Loss_CategoricalCrossentropy(), optimizer=nnfs.Optimizer_Adam(),
              accuracy=nnfs.Accuracy_Categorical())  # fmt: skip
    model.finalize()
    model.train(X, y, epochs=1, print_every=0)
    a, b = ([w.copy() for w in pair] for pair in model.get_parameters()[1:3])
    parameters = model.get_parameters()
    parameters[1], parameters[2] = parameters[2], parameters[1]
    model.set_parameters(parameters)
    model.predict(X)
    assert np.array_equal(model.layers[2].weights, b[0])
    assert np.array_equal(model.layers[4].weights, a[0])
