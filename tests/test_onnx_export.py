"""Export to ONNX, as far as it can be tested without an ONNX package: there and back gives the same bits. What runtimes
make of the files is in tests/peers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from compare import assert_same_bits
from hypothesis import given, settings
from hypothesis import strategies as st

import fastnn
from fastnn import (
    BatchNorm,
    Dense,
    Dropout,
    GaussianNoise,
    Input,
    LayerNorm,
    LeakyReLU,
    Model,
    Normalization,
    ReLU,
    Rescale,
    Softmax,
    custom,
)
from fastnn._core import ACTIVATIONS
from fastnn.activations import ELU, Activation
from fastnn.export import _onnx
from fastnn.interop._onnx_file import read

NAMES = sorted({cls.names[0] for cls in Activation.registry.values()})
OTHERS = {
    "batch norm": lambda: BatchNorm(momentum=0.5, epsilon=1 / 128),
    "layer norm": lambda: LayerNorm(epsilon=1 / 128),
    "uncentred": lambda: LayerNorm(epsilon=1 / 128, center=False),
    "noise": lambda: GaussianNoise(0.5),
}
LAYERS = st.sampled_from(["dense", "rescale", "dropout", *OTHERS, *NAMES])


def make(names: list[str], dtype: str, seed: int = 3) -> Model:
    """A model of these layers, with numbers that are no accident: biases, scales, slopes."""
    model = Model([Input(5)], seed=seed, dtype=dtype)
    rng = np.random.default_rng(seed)
    for name in names:
        if name == "dense":
            model.add(Dense(int(rng.integers(1, 9))))
        elif name == "rescale":
            model.add(Rescale(*rng.uniform(0.2, 0.9, 2)))
        elif name == "dropout":
            model.add(Dropout(0.25))
        elif name in OTHERS:
            model.add(OTHERS[name]())
        elif name in ("elu", "leaky_relu"):
            model.add(Activation.registry[name](float(rng.uniform(0.1, 1.5))))
        else:
            model.add(Activation.registry[name]())
    model.finalize()
    for layer in model.layers:
        if isinstance(layer, Dense):
            layer.biases = rng.standard_normal(layer.n_neurons)
        for tensor in ("gamma", "beta", "moving_mean", "moving_variance"):
            if (layer.index, tensor) in model.plan.tensors:
                setattr(layer, tensor, rng.uniform(0.5, 1.5, layer.n_in))
    return model


def rows(model: Model, n: int = 40) -> np.ndarray:
    return (np.random.default_rng(0).standard_normal((n, model.plan.n_in)) * 3).astype(model.dtype)


def same_bits_after(model: Model, folder: Path) -> Model:
    path = folder / "model.onnx"
    model.export_onnx(path)
    again = fastnn.import_onnx(path)
    X = rows(model)
    assert again.dtype == model.dtype
    assert np.array_equal(again.predict(X), model.predict(X), equal_nan=True), again
    return again


def test_every_activation_has_a_form() -> None:
    assert set(_onnx.ACTIVATIONS) == set(ACTIVATIONS)


@pytest.mark.parametrize("name", NAMES)
def test_there_and_back_is_the_same_network(name: str, dtype: np.dtype, tmp_path: Path) -> None:
    model = make(["rescale", name, "dense", "dropout", name, "dense", name], dtype.name)
    again = same_bits_after(model, tmp_path)
    kinds = [type(layer).__name__ for layer in again.layers]
    assert kinds.count("Dense") == 2
    assert "Dropout" not in kinds


@settings(max_examples=60, deadline=None)
@given(st.lists(LAYERS, min_size=1, max_size=6), st.sampled_from(["float32", "float64"]))
def test_any_row_of_layers_goes_there_and_back(tmp_path_factory, names: list[str], dtype: str) -> None:
    names = [name for name, after in zip(names, [*names[1:], ""], strict=True) if name != "rescale" or after != name]
    same_bits_after(make(names, dtype), tmp_path_factory.getbasetemp())


def test_layer_normalization_forces_a_later_operator_set() -> None:
    assert read(_onnx.to_bytes(make(["layer norm"], "float32"))).opset == 17
    assert read(_onnx.to_bytes(make(["batch norm", "noise"], "float32"))).opset == 13


@pytest.mark.parametrize("far", [0.0, 1e8])
def test_a_normalization_comes_back_as_one(dtype: np.dtype, tmp_path: Path, far: float) -> None:
    """Folded into the layer behind, the digits of features far from 0 would be lost."""
    given = Normalization(mean=far + np.arange(1.0, 6), variance=[1, 4, 0, 9, 2])
    model = Model([given, Dense(5, 3, activation="tanh")], seed=0, dtype=dtype)
    model.export_onnx(tmp_path / "m.onnx")
    again = fastnn.import_onnx(tmp_path / "m.onnx")
    assert [type(layer) for layer in again.layers] == [Normalization, Dense]
    X = rows(model) + far
    if dtype == np.float32:
        assert_same_bits(again.predict(X), model.predict(X))
    np.testing.assert_allclose(again.predict(X), model.predict(X), rtol=1e-13, atol=1e-13)


def test_the_file_says_what_it_is(tmp_path: Path) -> None:
    model = make(["dense", "softmax"], "float64")
    graph = read(_onnx.to_bytes(model))
    assert graph.opset == _onnx.OPSET == 13
    assert [(p.name, p.kind, p.shape) for p in graph.inputs] == [("x", _onnx.DOUBLE, (None, 5))]
    assert [(p.name, p.kind) for p in graph.outputs] == [("y", _onnx.DOUBLE)]
    assert [n.operator for n in graph.nodes] == ["Gemm", "Softmax", "Identity"]
    assert np.array_equal(graph.tensors["layer1.weights"].values(), model.layers[1].weights)


def test_training_goes_on_after_import(tmp_path: Path) -> None:
    model = Model([Dense(5, 8, activation="relu"), Dense(3, activation="softmax")], seed=0)
    model.finalize()
    again = same_bits_after(model, tmp_path)
    again.set(loss="categorical_crossentropy", optimizer="adam")
    X = rows(again, 60)
    y = np.arange(60) % 3
    before = again.evaluate(X, y).loss
    again.train(X, y, epochs=20)
    assert again.evaluate(X, y).loss < before


def test_equal_models_give_equal_files() -> None:
    assert _onnx.to_bytes(make(["dense", "gelu"], "float32")) == _onnx.to_bytes(make(["dense", "gelu"], "float32"))


def test_it_finalizes_a_model_that_knows_its_sizes(tmp_path: Path) -> None:
    model = Model([Dense(3, 2), Softmax()], seed=0)
    model.export_onnx(tmp_path / "m.onnx")
    assert Model.from_onnx(tmp_path / "m.onnx").plan.n_in == 3
    with pytest.raises(ValueError, match="not finalized"):
        Model([Dense(2), Softmax()]).export_onnx(tmp_path / "no.onnx")
    assert not (tmp_path / "no.onnx").exists()


class Twice(custom.Layer):
    def forward(self, x):
        return 2 * x

    def backward(self, dy):
        return 2 * dy


def test_a_layer_in_python_is_refused_by_name_and_left_as_it_was(tmp_path: Path) -> None:
    model = Model([Dense(3, 2), Twice()], seed=0)
    model.finalize()
    X = np.ones((2, 3))
    before = model.predict(X)
    with pytest.raises(ValueError, match=r"layer 1 \(Twice\): a layer written in Python has no form in ONNX"):
        model.export_onnx(tmp_path / "m.onnx")
    assert not list(tmp_path.iterdir())
    assert np.array_equal(model.predict(X), before)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_parameters_that_are_not_finite_are_refused_by_layer(tmp_path: Path, bad: float) -> None:
    model = Model([Dense(3, 2), BatchNorm(), Dense(2)], seed=0)
    model.finalize()
    for layer, name, said in ((0, "weights", r"layer 0 \(Dense\): the weights hold"),
                              (1, "moving_mean", r"layer 1 \(BatchNorm\): the moving_mean hold"),
                              (2, "biases", r"layer 2 \(Dense\): the biases hold")):  # fmt: skip
        values = getattr(model.layers[layer], name)
        kept = values.copy()
        values[..., 0] = bad
        with pytest.raises(ValueError, match=said + " NaN or infinity: nothing is exported"):
            model.export_onnx(tmp_path / "m.onnx")
        values[...] = kept
    assert not list(tmp_path.iterdir())
    model.export_onnx(tmp_path / "m.onnx")


def test_a_file_that_cannot_be_written_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = Model([Dense(3, 2)], seed=0)
    with pytest.raises(FileNotFoundError):
        model.export_onnx(tmp_path / "nowhere" / "m.onnx")
    path = tmp_path / "m.onnx"
    path.write_text("old")

    def no(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("fastnn._atomic.os.replace", no)
    with pytest.raises(OSError, match="disk full"):
        model.export_onnx(path)
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["m.onnx"]


def test_more_than_two_gibibytes_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_onnx, "MOST_BYTES", 20)
    with pytest.raises(ValueError, match="more than 2 GiB"):
        _onnx.to_bytes(make(["dense"], "float32"))


def test_parameters_by_name_as_plain_arrays() -> None:
    model = Model([Dense(3, 4), ReLU(), Dense(2)], seed=0)
    arrays = model.to_numpy()
    assert {k: v.shape for k, v in arrays.items()} == {
        "layer0.weights": (3, 4), "layer0.biases": (1, 4), "layer2.weights": (4, 2), "layer2.biases": (1, 2),
    }  # fmt: skip
    arrays["layer0.weights"][:] = 7
    assert not (model.layers[0].weights == 7).any()


def test_slopes_survive(tmp_path: Path) -> None:
    again = same_bits_after(Model([Dense(5, 4), LeakyReLU(0.3), Dense(3, activation=ELU(0.7))], seed=0), tmp_path)
    assert [layer.activation.alpha for layer in again.layers] == pytest.approx([0.3, 0.7])
