"""Exported files before the judges: the onnx package's checker with shape inference, and ONNX Runtime's predictions."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fastnn import (
    AlphaDropout,
    BatchNorm,
    Concatenate,
    Dense,
    Dropout,
    GaussianNoise,
    Input,
    LayerNorm,
    Model,
    Multiply,
    Normalization,
    Rescale,
    Residual,
    import_onnx,
)
from fastnn.activations import Activation

onnx = pytest.importorskip("onnx", reason="the onnx package is not installed (peers extra)")
onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed (peers extra)")

NAMES = sorted({cls.names[0] for cls in Activation.registry.values()})
SLOPES = {"elu": 0.7, "leaky_relu": 0.3}


def activation(name: str) -> Activation:
    return Activation.registry[name](*([SLOPES[name]] if name in SLOPES else []))


def outputs(path: Path, X: np.ndarray) -> np.ndarray:
    checked = onnx.load(path)
    onnx.checker.check_model(checked, full_check=True)
    inferred = onnx.shape_inference.infer_shapes(checked, strict_mode=True, data_prop=True)
    dims = inferred.graph.output[0].type.tensor_type.shape.dim
    assert dims[0].dim_param == "rows"
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    [found] = session.run(None, {"x": X})
    one = session.run(None, {"x": X[:1]})[0]
    assert one.shape == (1, found.shape[1])
    result: np.ndarray = found
    return result


def compare(model: Model, folder: Path, spread: float = 2.0) -> None:
    model.finalize()
    rng = np.random.default_rng(1)
    for layer in model.layers:
        if isinstance(layer, Dense):
            layer.biases = rng.standard_normal(layer.n_neurons)
    X = (rng.standard_normal((33, model.plan.n_in)) * spread).astype(model.dtype)
    path = folder / "model.onnx"
    model.export_onnx(path)
    got, wanted = outputs(path, X), model.predict(X)
    assert got.dtype == wanted.dtype == model.dtype
    assert np.ptp(wanted) > 0
    np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_activations_in_onnx_runtime(name: str, dtype: np.dtype[Any], tmp_path: Path) -> None:
    compare(Model([Dense(6, 8), activation(name), Dense(5), activation(name)], seed=1, dtype=dtype), tmp_path, 0.7)


@pytest.mark.parametrize("name", sorted(set(NAMES) - {"exponential"}))
def test_activations_far_out(name: str, dtype: np.dtype[Any], tmp_path: Path) -> None:
    compare(Model([Input(6), activation(name)], seed=1, dtype=dtype), tmp_path, 60.0)


def test_every_layer_in_onnx_runtime(dtype: np.dtype[Any], tmp_path: Path) -> None:
    layers = [Input(6), Rescale(1 / 3, -0.5), Dense(16, activation="gelu"), Dropout(0.4), Rescale(0.5), Dense(4),
              Rescale(1.0, 2.0), Dense(3, activation="softmax")]  # fmt: skip
    compare(Model(layers, seed=1, dtype=dtype), tmp_path)
    compare(Model([Input(6)], dtype=dtype), tmp_path)
    compare(Model([Dense(1, 1)], seed=2, dtype=dtype), tmp_path)


def test_normalizations_in_onnx_runtime(dtype: np.dtype[Any], tmp_path: Path) -> None:
    layers = [Normalization(mean=range(6), variance=[1, 4, 0, 9, 2, 1]), Dense(6, 8), BatchNorm(), GaussianNoise(0.1),
              Dense(7), LayerNorm(epsilon=1e-4), AlphaDropout(0.2), BatchNorm(scale=False), LayerNorm(center=False),
              LayerNorm(scale=False), Dense(3, activation="softmax")]  # fmt: skip
    model = Model(layers, seed=1, dtype=dtype)
    model.set(loss="categorical_crossentropy", optimizer="adam")
    rng = np.random.default_rng(0)
    model.train(rng.standard_normal((200, 6)), rng.integers(0, 3, 200), epochs=3, batch_size=20)
    compare(model, tmp_path)


def test_a_trained_classifier_of_images_size(tmp_path: Path) -> None:
    model = Model([Rescale(1 / 127.5, -1), Dense(784, 128, activation="relu"), Dense(10, activation="softmax")], seed=0)
    model.set(loss="categorical_crossentropy", optimizer="adam")
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (300, 784)).astype(np.uint8)
    model.train(pixels, rng.integers(0, 10, 300), epochs=3, batch_size=32)
    model.export_onnx(tmp_path / "m.onnx")
    got = outputs(tmp_path / "m.onnx", pixels.astype(np.float32))
    np.testing.assert_allclose(got, model.predict(pixels), rtol=1e-5, atol=1e-5)


def test_the_comparison_sees_a_wrong_bias(tmp_path: Path) -> None:
    model = Model([Dense(6, 8, activation="relu"), Dense(3)], seed=1)
    model.export_onnx(tmp_path / "m.onnx")
    model.layers[1].biases[0, 1] += 1e-3
    X = np.random.default_rng(0).standard_normal((5, 6)).astype(np.float32)
    with pytest.raises(AssertionError):
        np.testing.assert_allclose(outputs(tmp_path / "m.onnx", X), model.predict(X), rtol=1e-5, atol=1e-5)


# --- files of others ---


def test_files_of_the_onnx_package_are_read(dtype: np.dtype[Any], tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    weights, biases = rng.standard_normal((4, 3)).astype(dtype), rng.standard_normal(3).astype(dtype)
    kind = onnx.TensorProto.FLOAT if dtype == np.float32 else onnx.TensorProto.DOUBLE
    for raw in (True, False):
        tensors = [
            onnx.numpy_helper.from_array(a, name)
            if raw
            else onnx.helper.make_tensor(name, kind, a.shape, a.reshape(-1).tolist())
            for name, a in (("w", weights), ("b", biases))
        ]
        nodes = [onnx.helper.make_node("Gemm", ["x", "w", "b"], ["z"], alpha=0.5, beta=2.0, name="product"),
                 onnx.helper.make_node("Tanh", ["z"], ["y"])]  # fmt: skip
        ports = [onnx.helper.make_tensor_value_info(n, kind, ["batch", k]) for n, k in (("x", 4), ("y", 3))]
        graph = onnx.helper.make_graph(nodes, "g", ports[:1], ports[1:], tensors)
        onnx.save(onnx.helper.make_model(graph), tmp_path / "m.onnx")
        X = rng.standard_normal((5, 4)).astype(dtype)
        wanted = np.tanh(0.5 * (X @ weights) + 2 * biases)
        np.testing.assert_allclose(import_onnx(tmp_path / "m.onnx").predict(X), wanted, rtol=1e-5, atol=1e-6)


def modules(nn: Any) -> list[Any]:
    return [nn.ReLU(), nn.GELU(), nn.GELU(approximate="tanh"), nn.SiLU(), nn.Mish(), nn.Softplus(), nn.Hardswish(),
            nn.Hardsigmoid(), nn.ReLU6(), nn.LeakyReLU(0.2), nn.ELU(0.7), nn.SELU(), nn.Softmax(1), nn.LogSoftmax(1),
            nn.Tanh(), nn.Sigmoid(), nn.Hardtanh(), nn.PReLU()]  # fmt: skip


@pytest.mark.parametrize("opset", [11, 13, 17, 20])
def test_what_pytorch_exports_is_imported(opset: int, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed (peers extra)")
    from torch import nn

    torch.manual_seed(0)
    X = torch.randn(9, 2, 3)
    for middle in modules(nn):
        net = nn.Sequential(
            nn.Flatten(), nn.Linear(6, 8), nn.BatchNorm1d(8), middle, nn.Dropout(0.3),
            nn.Linear(8, 3, bias=False), middle,
        ).eval()  # fmt: skip
        net[2].running_mean.normal_()
        net[2].running_var.uniform_(0.5, 2)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.onnx.export(net, (X,), str(tmp_path / "m.onnx"), opset_version=opset, dynamo=False)
        model = import_onnx(tmp_path / "m.onnx")
        wanted = net(X).detach().numpy()
        np.testing.assert_allclose(model.predict(X.reshape(9, 6)), wanted, rtol=1e-5, atol=1e-5, err_msg=str(middle))


def test_a_graph_goes_out_with_its_wiring(tmp_path: Path) -> None:
    a, b = Input(4, name="a"), Input(3, name="b")
    hidden = Dense(16, activation="relu")(a)
    joined = Concatenate()([hidden, b])
    more = Residual([Dense(19, activation="gelu"), Dense(19)])(joined)
    both = Multiply()([more, Dense(19, activation="sigmoid")(joined)])
    model = Model(inputs=[a, b], outputs=Dense(2, activation="softmax")(both), seed=0)
    model.finalize()
    path = tmp_path / "graph.onnx"
    model.export_onnx(path)
    onnx.checker.check_model(onnx.load(path), full_check=True)
    X = np.random.default_rng(0).standard_normal((9, 7)).astype(np.float32)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    np.testing.assert_allclose(session.run(None, {"x": X})[0], model.predict([X[:, :4], X[:, 4:]]), atol=1e-5)
    with pytest.raises(ValueError, match=r"Concatenate.*to_torch makes a Sequential, which has no place for a graph"):
        model.to_torch()
