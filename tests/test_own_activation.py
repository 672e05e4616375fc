"""An activation written in Python inside a Dense."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from compare import assert_same_bits
from small import X, Y

from fastnn import Dense, FormatError, Model, Residual, check_gradients, custom


class Cube(custom.Activation):
    def __init__(self, scale: float = 1.0) -> None:
        self.scale = scale

    def config(self) -> dict[str, Any]:
        return {"scale": self.scale}

    def formula(self, x: Any) -> Any:
        return self.scale * x**3 / 3

    def derivative(self, x: Any) -> Any:
        return self.scale * x**2


class Slope(custom.Activation):
    """Has a parameter."""

    def build(self, n_in: int) -> Any:
        return {"slope": np.ones((1, n_in))}


def inside(activation: Any = None) -> Model:
    model = Model([Dense(8, activation=activation or Cube(0.5)), Dense(3, activation="softmax")], seed=1)
    model.set(loss="categorical_crossentropy", optimizer="adam")
    return model


def test_it_is_that_activation_as_a_layer_after_the_dense() -> None:
    a = inside()
    b = Model([Dense(8), Cube(0.5), Dense(3, activation="softmax")], seed=1)
    b.set(loss="categorical_crossentropy", optimizer="adam")
    for model in (a, b):
        model.finalize(4)
    b.set_parameters(a.get_parameters())
    for model in (a, b):
        model.train(X, Y, epochs=5, batch_size=16, shuffle=True)
    for mine, theirs in zip(a.get_parameters(), b.get_parameters(), strict=True):
        for v, w in zip(mine, theirs, strict=True):
            assert_same_bits(v, w)
    assert_same_bits(a.predict(X), b.predict(X))
    assert check_gradients(a, X, Y)


def test_one_object_serves_several_layers_and_the_class_serves_too() -> None:
    cube = Cube(0.5)
    model = Model([Dense(8, activation=cube), Dense(8, activation=cube), Dense(5, activation=Cube),
                   Residual([Dense(5, activation=cube)]), Dense(3, activation="softmax")], seed=1)  # fmt: skip
    model.set(loss="categorical_crossentropy", optimizer="adam")
    model.train(X, Y, epochs=2)
    assert cube.index is None
    report = check_gradients(model, X[:20] * 0.5, Y[:20])
    assert report, report
    assert [layer.activation.index for layer in model.layers[:3]] == [0, 1, 2]  # the check has not taken them away


def test_files_and_resume_hold_it(tmp_path: Path) -> None:
    model = inside()
    model.layers.insert(1, Residual([Dense(8, activation=Cube(0.25))]))
    model.train(X, Y, epochs=2, batch_size=30)
    model.save(tmp_path / "m.fnn")
    again = Model.load(tmp_path / "m.fnn", custom_objects=[Cube])
    assert_same_bits(again.predict(X), model.predict(X))
    assert again.layers[0].activation.scale == 0.5
    assert again.layers[1].layers[0].activation.scale == 0.25
    with pytest.raises(FormatError, match=r"unknown name 'Cube'.*custom_objects"):
        Model.load(tmp_path / "m.fnn")
    for other in (model, again):
        other.train(X, Y, epochs=2, batch_size=30)
    resumed = inside()
    resumed.layers.insert(1, Residual([Dense(8, activation=Cube(0.25))]))
    resumed.train(X, Y, epochs=4, batch_size=30, resume=tmp_path / "m.fnn")
    assert_same_bits(again.plan.params, model.plan.params)
    assert_same_bits(resumed.plan.params, model.plan.params)


def test_what_it_raises_names_it_with_its_layer() -> None:
    class Broken(Cube):
        def derivative(self, x: Any) -> Any:
            raise RuntimeError("no idea")

    with pytest.raises(RuntimeError, match="no idea") as error:
        inside(Broken()).train(X, Y)
    assert error.value.__notes__ == ["in backward of layer 0 (Broken)"]


def test_summary_and_repr_name_it(capsys: pytest.CaptureFixture[str]) -> None:
    model = inside()
    model.finalize(4)
    assert "0 Dense (Cube)" in model.summary()
    assert "activation={'name': 'Cube', 'scale': 0.5}" in repr(model)


@pytest.mark.parametrize(
    ("activation", "error", "text"),
    [
        (Dense(3), TypeError, "activation: expected a name or a Activation, got Dense"),
        (custom.Layer, TypeError, "activation: expected a name or a Activation, got type"),
        (np.tanh, TypeError, "activation: expected a name or a Activation, got ufunc"),
    ],
)
def test_nothing_else_is_taken(activation: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        Dense(4, activation=activation)


def test_one_with_parameters_is_a_layer_of_its_own() -> None:
    with pytest.raises(ValueError, match=r"layer 0 \(Dense\): activation Slope has parameters: make it a layer"):
        inside(Slope()).finalize(4)
