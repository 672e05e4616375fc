"""check_gradients: right ones pass whatever the model, a wrong one is found and named."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from small import X, Y, bits, classifier

import fastnn
from fastnn import Dense, Dropout, Input, Model, _runs
from fastnn.base import Layer

PENALTIES: dict[str, Any] = {
    "weight_regularizer_l1": 0.01,
    "weight_regularizer_l2": 0.02,
    "bias_regularizer_l1": 0.03,  # the biases start at its kink
    "bias_regularizer_l2": 0.04,
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_right_gradients_pass_and_the_model_stays(dtype: str) -> None:
    model = classifier(dtype=dtype)
    model.train(X, Y, epochs=2)
    before = bits(model), model.steps_done, len(model.history), [s.tobytes() for s in model.plan.states]
    report = fastnn.check_gradients(model, X, Y)
    assert report, str(report)
    assert report.checked == model.parameter_count == 131
    assert set(report.errors) == {f"layer {i} (Dense) {name}" for i in (0, 2) for name in ("weights", "biases")}
    assert max(report.errors.values()) == report.error < 1e-6
    assert before == (bits(model), model.steps_done, len(model.history), [s.tobytes() for s in model.plan.states])
    assert str(report).startswith("gradients are right: the worst of 131 is at ")


@pytest.mark.parametrize("activation", ["relu", "tanh", "sigmoid"])
@pytest.mark.parametrize("loss", ["mse", "mae", "bce"])
def test_penalties_kinks_and_models_not_finalized_pass(activation: str, loss: str) -> None:
    last = "sigmoid" if loss == "bce" else "linear"
    layers = [Dense(7, activation=activation, **PENALTIES), Dropout(0.3), Dense(2, activation=last, **PENALTIES)]
    model = Model(layers, seed=3)
    model.set(loss=loss, optimizer="sgd")
    y = (X[:, :2] > 0).astype(float) if loss == "bce" else X[:, :2]
    report = fastnn.check_gradients(model, X[:20], y[:20])
    assert report, str(report)
    assert model._plan is None


def test_a_sample_of_each_tensor_is_enough() -> None:
    model = classifier()
    report = fastnn.check_gradients(model, X, Y, samples=10, seed=4)
    assert report
    assert report.checked == 10 + 10 + 10 + 3
    assert report == fastnn.check_gradients(model, X, Y, samples=10, seed=4)


class Wrong:
    """A trainer one of whose gradients is a thousandth off."""

    def __init__(self, trainer: Any, model: Model, layer: int, name: str, index: tuple[int, int]) -> None:
        self.trainer, self.model, self.place, self.index = trainer, model, (layer, name), index

    def gradients(self) -> float:
        loss = float(self.trainer.gradients())
        self.model.plan.view(self.model.plan.grads, *self.place)[self.index] *= 1.001
        return loss


@pytest.mark.parametrize(("layer", "name", "index"), [(0, "weights", (3, 5)), (2, "biases", (0, 1))])
def test_a_wrong_gradient_is_found_and_named(
    layer: int, name: str, index: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = _runs.gradient_trainer
    monkeypatch.setattr(_runs, "gradient_trainer", lambda m, X, y: Wrong(real(m, X, y), m, layer, name, index))
    report = fastnn.check_gradients(classifier(), X, Y)
    assert not report
    assert (report.layer, report.name, report.index) == (f"layer {layer} (Dense)", name, index)
    assert report.error == pytest.approx(1e-3, rel=0.1)
    assert report.gradient == pytest.approx(1.001 * report.difference, rel=1e-4)
    assert f"WRONG: the worst of 131 is at {name}[{index[0]}, {index[1]}] of layer {layer} (Dense)" in str(report)
    assert sum(error > 1e-5 for error in report.errors.values()) == 1


def test_what_cannot_be_checked_is_refused() -> None:
    model = classifier()
    with pytest.raises(ValueError, match="samples: expected at least 1, got 0"):
        fastnn.check_gradients(model, X, Y, samples=0)
    with pytest.raises(ValueError, match="rtol: expected more than 0"):
        fastnn.check_gradients(model, X, Y, rtol=0)
    with pytest.raises(ValueError, match="y: expected 90 rows"):
        fastnn.check_gradients(model, X, Y[1:])
    with pytest.raises(ValueError, match="no loss is set"):
        fastnn.check_gradients(Model([Dense(2)]), X, Y)
    bare: list[Layer] = [Input(4)]
    empty = Model(bare)
    empty.set(loss="mse")
    with pytest.raises(ValueError, match="no parameters"):
        fastnn.check_gradients(empty, X, X)


def test_nan_is_not_right() -> None:
    model = classifier()
    model.finalize(4)
    model.layers[0].weights[0, 0] = np.nan
    report = fastnn.check_gradients(model, X, Y, samples=3)
    assert not report
    assert np.isinf(report.error)
