"""Import of ONNX: each operator against NumPy, activations in the forms that exporters give them, what is refused by
name, and files that lie."""

from __future__ import annotations

import math
import time
import tracemalloc
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx_files import content, node, write

import fastnn
from fastnn import BatchNorm, Dense, FormatError, Input, LayerNorm, Model, Normalization
from fastnn.activations import GELU, Activation, GELUTanh
from fastnn.export import _onnx as export
from fastnn.export import _protobuf as pb
from fastnn.interop import _onnx as importer
from fastnn.interop import _onnx_file

RNG = np.random.default_rng(5)
X = (RNG.standard_normal((7, 4)) * 2).astype(np.float32)
W = RNG.standard_normal((4, 3)).astype(np.float32)
B = RNG.standard_normal(3).astype(np.float32)
COLUMNS = RNG.uniform(0.5, 2, 4).astype(np.float32)
W64 = W.astype(np.float64)


def load(folder: Path, *args: Any, **kwargs: Any) -> Model:
    return fastnn.import_onnx(write(folder, *args, **kwargs))


def refused(folder: Path, text: str, *args: Any, **kwargs: Any) -> None:
    with pytest.raises(ValueError, match=text) as caught:
        load(folder, *args, **kwargs)
    assert "test.onnx" in str(caught.value)


# --- products and what is folded into them ---

GEMM = [
    ({}, {"w": W, "b": B}, X @ W64 + B),
    ({"transB": 1}, {"w": W.T.copy(), "b": B}, X @ W64 + B),
    ({"alpha": 0.5, "beta": 2.0}, {"w": W, "b": B}, 0.5 * (X @ W64) + 2.0 * B),
    ({}, {"w": W, "b": B[None]}, X @ W64 + B),
    ({}, {"w": W, "b": np.float32(0.7)}, X @ W64 + 0.7),
]


@pytest.mark.parametrize(("attributes", "constants", "wanted"), GEMM)
@pytest.mark.parametrize("typed", [False, True])
def test_gemm(tmp_path: Path, attributes: Any, constants: Any, wanted: Any, typed: bool) -> None:
    constants = {k: np.asarray(v) for k, v in constants.items()}
    model = load(tmp_path, [node("Gemm", "x w b", "y", **attributes)], constants, typed=typed)
    assert [type(layer) for layer in model.layers] == [Dense]
    np.testing.assert_allclose(model.predict(X), wanted, rtol=1e-5, atol=1e-6)


FOLDED = [
    ([node("MatMul", "x w", "y")], X @ W64),
    ([node("MatMul", "x w", "p"), node("Add", "p b", "y")], X @ W64 + B),
    ([node("MatMul", "x w", "p"), node("Add", "b p", "y")], X @ W64 + B),
    ([node("MatMul", "x w", "p"), node("Sub", "p b", "q"), node("Mul", "q b", "y")], (X @ W64 - B) * B),
    ([node("Sub", "c x", "p"), node("Relu", "p", "y")], np.maximum(COLUMNS - X, 0)),
    ([node("Transpose", "t", "w2", perm=[1, 0]), node("MatMul", "x w2", "y")], X @ W64),
    ([node("Constant", "", "k", value=W), node("MatMul", "x k", "y")], X @ W64),
]  # fmt: skip


@pytest.mark.parametrize(
    ("nodes", "wanted"), FOLDED, ids=lambda v: "-".join(n[0] for n in v) if type(v) is list else ""
)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_what_is_folded(tmp_path: Path, nodes: Any, wanted: Any, dtype: str) -> None:
    constants = {"w": W, "b": B, "c": COLUMNS, "t": W.T.copy()}
    constants = {k: v.astype(dtype) for k, v in constants.items()}
    nodes = [(o, i, y, {k: v.astype(dtype) if isinstance(v, np.ndarray) else v for k, v in a.items()})
             for o, i, y, a in nodes]  # fmt: skip
    model = load(tmp_path, nodes, constants, dtype=dtype)
    assert sum(isinstance(layer, Dense) for layer in model.layers) == 1
    tolerance = 1e-5 if dtype == "float32" else 1e-13
    wanted = wanted if dtype == "float32" else wanted.astype(np.float64)
    np.testing.assert_allclose(model.predict(X), wanted, rtol=1e-5, atol=max(tolerance, 1e-6))


NORMALIZED = [
    ([node("Sub", "x c", "p"), node("Div", "p c", "q"), node("Gemm", "q w b", "y")],
     lambda x: (x / COLUMNS - 1) @ W64 + B),
    ([node("Mul", "x c", "p"), node("Gemm", "p w b", "y")], lambda x: (x * COLUMNS) @ W64 + B),
    ([node("Sub", "x m", "p"), node("Gemm", "p w b", "y")], lambda x: (x - FAR) @ W64 + B),
    ([node("Mul", "x c", "y")], lambda x: x * COLUMNS),
]  # fmt: skip
FAR = np.float64(2.0**20) + np.arange(4)


@pytest.mark.parametrize(("nodes", "wanted"), NORMALIZED, ids=["Sub-Div", "Mul", "Sub", "Mul alone"])
def test_what_scales_the_input_by_column_is_a_normalization(tmp_path: Path, nodes: Any, wanted: Any) -> None:
    constants = {"w": W, "b": B, "c": COLUMNS, "m": FAR.astype(np.float32)}
    model = load(tmp_path, nodes, {k: v.astype(np.float32) for k, v in constants.items()})
    assert type(next(layer for layer in model.layers if not isinstance(layer, Input))) is Normalization
    rows = X.astype(np.float64) + (FAR if "x m" in nodes[0][1] else 0)
    rows = rows.astype(np.float32)
    np.testing.assert_allclose(model.predict(rows), wanted(rows.astype(np.float64)), rtol=1e-5, atol=1e-6)


def test_what_no_deviation_makes_is_still_folded(tmp_path: Path) -> None:
    for scale in ([1, -2, 3, 4], [1, 0, 3, 4]):
        constants = {"s": np.array(scale, np.float32), "w": W}
        model = load(tmp_path, [node("Mul", "x s", "p"), node("MatMul", "p w", "y")], constants)
        assert [type(layer) for layer in model.layers] == [Dense]
        np.testing.assert_allclose(model.predict(X), (X * scale) @ W64, rtol=1e-5, atol=1e-6)


def test_a_bias_of_its_own_keeps_every_bit(tmp_path: Path) -> None:
    apart = load(tmp_path, [node("MatMul", "x w", "p"), node("Add", "p b", "y")], {"w": W, "b": B})
    together = load(tmp_path, [node("Gemm", "x w b", "y")], {"w": W, "b": B})
    assert np.array_equal(apart.predict(X), together.predict(X))
    assert np.array_equal(apart.layers[0].weights, W)


def moments(n: int) -> tuple[dict[str, Any], np.ndarray, np.ndarray]:
    """(constants of a BatchNormalization, what they multiply by, what they add)."""
    s, o, m = RNG.standard_normal((3, n)).astype(np.float32)
    v = RNG.uniform(0.5, 2, n).astype(np.float32)
    factor = s / np.sqrt(v.astype(np.float64) + 0.01)
    return {"s": s, "o": o, "m": m, "v": v}, factor, o - m * factor


def test_batch_normalization_becomes_the_layer(tmp_path: Path) -> None:
    constants, factor, offset = moments(4)
    nodes = [node("BatchNormalization", "x s o m v", "p", epsilon=0.01, momentum=0.8), node("Gemm", "p w b", "y")]
    model = load(tmp_path, nodes, {**constants, "w": W, "b": B})
    assert [type(layer) for layer in model.layers] == [BatchNorm, Dense]
    assert model.layers[0].momentum == pytest.approx(0.8)
    np.testing.assert_allclose(model.predict(X), (X * factor + offset) @ W64 + B, rtol=2e-5, atol=2e-5)
    refused(tmp_path, "only inference", [node("BatchNormalization", "x s o m v", "y", training_mode=1)], constants)
    several = [node("BatchNormalization", "x s o m v", "y mean var")]
    refused(tmp_path, "only inference", several, constants, opset=13)
    assert load(tmp_path, [node("BatchNormalization", "x s o m v", "y ")], constants, opset=13).plan.n_in == 4


def test_batch_normalization_of_channels_is_folded(tmp_path: Path) -> None:
    constants, factor, offset = moments(2)
    normal = X * np.repeat(factor, 2) + np.repeat(offset, 2)
    constants |= {"w": W, "b": B}
    nodes = [node("BatchNormalization", "x s o m v", "p", epsilon=0.01), node("Flatten", "p", "f"),
             node("Gemm", "f w b", "y")]  # fmt: skip
    model = load(tmp_path, nodes, constants, shape=("rows", 2, 2))
    assert [type(layer) for layer in model.layers] == [Dense]
    np.testing.assert_allclose(model.predict(X), normal @ W64 + B, rtol=2e-5, atol=2e-5)


def test_layer_normalization_becomes_the_layer(tmp_path: Path) -> None:
    gamma, beta = RNG.standard_normal((2, 4)).astype(np.float32)
    centred = X - X.astype(np.float64).mean(axis=1, keepdims=True)
    normal = centred / np.sqrt((centred**2).mean(axis=1, keepdims=True) + 0.01) * gamma
    for inputs, wanted in (("x g b", normal + beta), ("x g", normal)):
        for axis in (1, -1):
            nodes = [node("LayerNormalization", inputs, "y", axis=axis, epsilon=0.01)]
            model = load(tmp_path, nodes, {"g": gamma, "b": beta})
            assert type(model.layers[-1]) is LayerNorm
            np.testing.assert_allclose(model.predict(X), wanted, rtol=2e-5, atol=2e-5)
    refused(tmp_path, "expected axis 1, the last one, got 0", [node("LayerNormalization", "x g b", "y", axis=0)],
            {"g": gamma, "b": beta})  # fmt: skip
    refused(tmp_path, r"\(LayerNormalization\): .*expected gamma of shape \(1, 4\), got \(3,\)",
            [node("LayerNormalization", "x g", "y")], {"g": gamma[:3]})  # fmt: skip


def test_wide_columns_alone_are_refused(tmp_path: Path) -> None:
    nodes = [node("Relu", "x", "p"), node("Mul", "p c", "y")]
    wide = {"c": np.ones(2000, np.float32)}
    refused(tmp_path, r"'the_y' \(Mul\): scales 2000 columns.*at most 1024", nodes, wide, shape=("rows", 2000))


# --- activations ---

S, K = math.sqrt(0.5), math.sqrt(2 / math.pi)
C = {"half": 0.5, "one": 1.0, "two": 2.0, "three": 3.0, "six": 6.0, "sixth": 1 / 6, "zero": 0.0, "s": S,
     "root2": math.sqrt(2), "k": K, "cubic": 0.044715, "minus": -1.0, "alpha": 0.3}  # fmt: skip
FORMS = {
    "gelu, from the left": ("gelu", [("Mul", "x half", "a"), ("Mul", "x s", "b"), ("Erf", "b", "c"),
                                     ("Add", "c one", "d"), ("Mul", "a d", "y")]),
    "gelu, PyTorch's": ("gelu", [("Div", "x root2", "b"), ("Erf", "b", "c"), ("Add", "c one", "d"), ("Mul", "x d", "e"),
                                 ("Mul", "e half", "y")]),
    "gelu, divided": ("gelu", [("Div", "x root2", "b"), ("Erf", "b", "c"), ("Add", "one c", "d"), ("Mul", "d x", "e"),
                               ("Div", "e two", "y")]),
    "gelu_tanh, by power": ("gelu_tanh", [("Pow", "x three", "a"), ("Mul", "a cubic", "b"), ("Add", "x b", "c"),
                                          ("Mul", "c k", "d"), ("Tanh", "d", "e"), ("Add", "e one", "f"),
                                          ("Mul", "x f", "g"), ("Mul", "half g", "y")]),
    "silu": ("silu", [("Sigmoid", "x", "a"), ("Mul", "a x", "y")]),
    "mish": ("mish", [("Softplus", "x", "a"), ("Tanh", "a", "b"), ("Mul", "x b", "y")]),
    "softplus, naive": ("softplus", [("Exp", "x", "a"), ("Add", "a one", "b"), ("Log", "b", "y")]),
    "relu, as max": ("relu", [("Max", "zero x", "y")]),
    "relu6, as min of max": ("relu6", [("Max", "x zero", "a"), ("Min", "a six", "y")]),
    "relu6, as max of min": ("relu6", [("Min", "six x", "a"), ("Max", "a zero", "y")]),
    "relu6, as clip of relu": ("relu6", [("Relu", "x", "a"), ("Min", "a six", "y")]),
    "hard_sigmoid, MobileNet's": ("hard_sigmoid", [("Add", "x three", "a"), ("Clip", "a zero six", "b"),
                                                   ("Div", "b six", "y")]),
    "hard_swish, MobileNet's": ("hard_swish", [("Add", "x three", "a"), ("Clip", "a zero six", "b"),
                                               ("Mul", "x b", "c"), ("Div", "c six", "y")]),
    "leaky_relu, in parts": ("leaky_relu", [("Max", "x zero", "a"), ("Min", "x zero", "b"), ("Mul", "b alpha", "c"),
                                            ("Add", "a c", "y")]),
    "elu, in parts": ("elu", [("Max", "x zero", "a"), ("Min", "x zero", "b"), ("Exp", "b", "c"), ("Sub", "c one", "d"),
                              ("Mul", "alpha d", "e"), ("Add", "e a", "y")]),
    "step": ("step", [("Greater", "x zero", "a"), ("Cast", "a", "y")]),
    "exponential": ("exponential", [("Exp", "x", "y")]),
}  # fmt: skip


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_activations_are_recognised_in_their_forms(tmp_path: Path, name: str, dtype: str) -> None:
    kind, nodes = FORMS[name]
    to = {"to": 1 if dtype == "float32" else 11}
    made = [node(o, i, y, **(to if o == "Cast" else {})) for o, i, y in nodes]
    constants: dict[str, Any] = {k: np.asarray(v, dtype) for k, v in C.items()}
    for shape in ((), (1,), (1, 1)):  # exporters write scalars in any of these
        model = load(tmp_path, made, {k: v.reshape(shape) for k, v in constants.items()}, dtype=dtype)
        [_, layer] = model.layers
        assert type(layer) is Activation.registry[kind], model
        if hasattr(layer, "alpha") and layer.alpha:
            assert layer.alpha == pytest.approx(0.3)
        np.testing.assert_allclose(model.predict(X), layer.formula(X.astype(np.float64)), rtol=3e-6, atol=3e-6)


def nearly(what: str) -> list[Any]:
    _, nodes = FORMS[what]
    return [node(o, i, y) for o, i, y in nodes]


@pytest.mark.parametrize(
    ("what", "constant", "value"),
    [("gelu, PyTorch's", "half", 0.501), ("gelu, PyTorch's", "one", 1.001), ("gelu, PyTorch's", "root2", 1.415),
     ("gelu_tanh, by power", "cubic", 0.0448), ("gelu_tanh, by power", "three", 2.0), ("softplus, naive", "one", 2.0),
     ("elu, in parts", "zero", 0.1), ("leaky_relu, in parts", "zero", 0.1)],
)  # fmt: skip
def test_what_is_only_nearly_an_activation_is_refused(tmp_path: Path, what: str, constant: str, value: float) -> None:
    refused(tmp_path, "none of the activations|joins branches", nearly(what), C | {constant: value})


def test_the_two_gelus_are_told_apart(tmp_path: Path) -> None:
    for approximate, kind in (("none", GELU), ("tanh", GELUTanh)):
        model = load(tmp_path, [node("Gelu", "x", "y", approximate=approximate)], opset=20)
        assert type(model.layers[1]) is kind


OPERATORS = {
    "Relu": ({}, lambda x: np.maximum(x, 0)),
    "LeakyRelu": ({"alpha": 0.2}, lambda x: np.where(x > 0, x, 0.2 * x)),
    "Elu": ({"alpha": 0.4}, lambda x: np.where(x > 0, x, 0.4 * np.expm1(x))),
    "Celu": ({"alpha": 2.0}, lambda x: np.where(x > 0, x, 2 * np.expm1(x / 2))),
    "Selu": ({"alpha": 2.0, "gamma": 3.0}, lambda x: 3 * np.where(x > 0, x, 2 * np.expm1(x))),
    "HardSigmoid": ({"alpha": 0.5, "beta": 0.6}, lambda x: np.clip(0.5 * x + 0.6, 0, 1)),
    "Swish": ({"alpha": 1.5}, lambda x: x / (1 + np.exp(-1.5 * x))),
    "Mish": ({}, lambda x: x * np.tanh(np.log1p(np.exp(x)))),
    "HardSwish": ({}, lambda x: x * np.clip(x / 6 + 0.5, 0, 1)),
    "Neg": ({}, lambda x: -x),
    "Clip": ({"min": 0.0, "max": 1.5}, lambda x: np.clip(x, 0, 1.5)),
}


@pytest.mark.parametrize("operator", OPERATORS)
def test_operators_with_attributes(tmp_path: Path, operator: str) -> None:
    attributes, formula = OPERATORS[operator]
    model = load(tmp_path, [node(operator, "x", "y", **attributes)], opset=9)
    np.testing.assert_allclose(model.predict(X), formula(X.astype(np.float64)), rtol=2e-6, atol=1e-6)


@pytest.mark.parametrize(("low", "high"), [(0.0, 2.5), (-1.0, 1.0), (-0.5, 0.25), (0.0, 1e4)])
def test_clips_that_an_activation_makes(tmp_path: Path, low: float, high: float) -> None:
    model = load(tmp_path, [node("Clip", "x l h", "y")], {"l": low, "h": high})
    np.testing.assert_allclose(model.predict(X), np.clip(X, low, high), rtol=1e-6, atol=3e-7)


@pytest.mark.parametrize(("low", "high"), [(-1.0, 2.0), (-1e4, 1e4), (1.0, 0.0), (0.5, 3.0)])
def test_other_clips_are_refused(tmp_path: Path, low: float, high: float) -> None:
    refused(tmp_path, r"\(Clip\): what it computes is none", [node("Clip", "x l h", "y")], {"l": low, "h": high})


@pytest.mark.parametrize("operator", ["Softmax", "LogSoftmax"])
@pytest.mark.parametrize("axis", [None, 1, -1])
def test_softmax_along_the_row(tmp_path: Path, operator: str, axis: int | None) -> None:
    model = load(tmp_path, [node(operator, "x", "y", **({} if axis is None else {"axis": axis}))], opset=11)
    e = np.exp(X.astype(np.float64))
    wanted = e / e.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(model.predict(X), wanted if operator == "Softmax" else np.log(wanted), rtol=1e-5)
    refused(tmp_path, "expected axis 1, the last one, got 0", [node(operator, "x", "y", axis=0)])


# --- shapes ---


def test_rows_of_any_shape_are_flattened(tmp_path: Path) -> None:
    nodes = [node("Mul", "x c", "p"), node("Flatten", "p", "f"), node("Gemm", "f w b", "y")]
    channels = np.array([[[1.0]], [[3.0]]], np.float32)
    model = load(tmp_path, nodes, {"c": channels, "w": W, "b": B}, shape=("rows", 2, 1, 2))
    np.testing.assert_allclose(model.predict(X), (X * [1, 1, 3, 3]) @ W64 + B, rtol=2e-5, atol=1e-5)
    refused(tmp_path, "flatten them first", [node("Gemm", "x w b", "y")], {"w": W, "b": B}, shape=("rows", 2, 2))


@pytest.mark.parametrize("sizes", [[0, -1], [-1, 4], [0, 4], [0, 0, -1], [0, 2, 2]])
def test_reshapes_that_keep_rows(tmp_path: Path, sizes: list[int]) -> None:
    nodes = [node("Reshape", "x k", "p"), node("Flatten", "p", "f"), node("Gemm", "f w b", "y")]
    constants = {"k": np.array(sizes, np.int64), "w": W, "b": B}
    for typed in (False, True):
        model = load(tmp_path, nodes, constants, shape=("rows", 2, 2), typed=typed)
        np.testing.assert_allclose(model.predict(X), X @ W64 + B, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("sizes", [[2, -1], [-1, 2], [4, 0], [-1], [-1, -1], [0, 0, 0, -1, 3]])
def test_reshapes_that_do_not_are_refused(tmp_path: Path, sizes: list[int]) -> None:
    nodes = [node("Reshape", "x k", "p"), node("Relu", "p", "y")]
    refused(tmp_path, "rows must stay rows", nodes, {"k": np.array(sizes, np.int64)}, shape=("rows", 2, 2))


def test_the_width_comes_from_the_first_product_where_the_file_does_not_say(tmp_path: Path) -> None:
    nodes = [node("Relu", "x", "p"), node("Gemm", "p w b", "y")]
    assert load(tmp_path, nodes, {"w": W, "b": B}, shape=("rows", "n")).plan.n_in == 4
    assert load(tmp_path, nodes, {"w": W, "b": B}, shape=None).plan.n_in == 4
    refused(tmp_path, "width of the input is not known", [node("Relu", "x", "y")], shape=None)


FLAT = [
    [node("Flatten", "x", "f")], [node("Reshape", "x any", "f")], [node("Reshape", "x four", "f")],
    [node("Relu", "x", "p"), node("Flatten", "p", "q"), node("Softmax", "q", "r"), node("Flatten", "r", "f")],
]  # fmt: skip
SIZES = {"any": np.array([0, -1]), "four": np.array([-1, 4]), "rest": np.array([-1, -1]), "two": np.array([0, 2, 2]),
         "none": np.array([0, 0])}  # fmt: skip


@pytest.mark.parametrize("shape", [None, ("rows", "n")])
@pytest.mark.parametrize("nodes", FLAT, ids=lambda nodes: "-".join(n[0] for n in nodes))
def test_what_makes_rows_flat_whatever_they_were(tmp_path: Path, nodes: Any, shape: Any) -> None:
    constants = {"w": W, "b": B, **SIZES}
    model = load(tmp_path, [*nodes, node("Gemm", "f w b", "y")], constants, shape=shape)
    e = np.exp(np.maximum(X.astype(np.float64), 0))
    rows = e / e.sum(axis=1, keepdims=True) if len(nodes) > 1 else X
    np.testing.assert_allclose(model.predict(X), rows @ W64 + B, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("reshape", [node("Reshape", f"x {name}", "f") for name in ("rest", "two", "none")])
def test_a_reshape_of_unknown_rows_to_something_else_is_refused(tmp_path: Path, reshape: Any) -> None:
    nodes = [reshape, node("Flatten", "f", "g"), node("Gemm", "g w b", "y")]
    text = r"node 'the_f' \(Reshape\): the shape of the rows that it reshapes is not known"
    refused(tmp_path, text, nodes, {"w": W, "b": B, **SIZES}, shape=None)
    refused(tmp_path, r"\(Flatten\): the shape of the rows", [node("Flatten", "x", "y", axis=-1)], shape=None)


ALONG = {
    "Softmax": [node("Softmax", "x", "p", axis=-1)],
    "LogSoftmax": [node("LogSoftmax", "x", "a", axis=-1), node("Relu", "a", "p")],
    "LayerNormalization": [node("LayerNormalization", "x c", "p")],
    "BatchNormalization": [node("BatchNormalization", "x c c c c", "p")],
    "Concat": [node("Relu", "x", "a"), node("Concat", "a x", "p", axis=-1)],
    "Add": [node("Softmax", "x", "a", axis=-1), node("Add", "a x", "p")],
}


@pytest.mark.parametrize("name", ALONG)
@pytest.mark.parametrize("flat", [node("Flatten", "p", "f"), node("Reshape", "p any", "f")])
def test_what_works_along_an_axis_of_unknown_rows_is_refused(tmp_path: Path, name: str, flat: Any) -> None:
    n = 8 if name == "Concat" else 4
    constants = {"w": np.ones((n, 3), np.float32), "b": B, "c": np.ones(4, np.float32), **SIZES}
    nodes = [*ALONG[name], flat, node("Gemm", "f w b", "y")]
    text = "it works along one axis of rows whose shape is not known: flatten them first"
    refused(tmp_path, rf"\({name if name != 'Add' else 'Softmax'}\): {text}", nodes, constants, shape=None)
    if name not in ("Concat", "Add"):  # branches need a known width
        assert load(tmp_path, nodes, constants, shape=("rows", "n")).plan.n_in == 4
        assert load(tmp_path, [*nodes[:-2], node("Gemm", "p w b", "y")], constants, shape=None).plan.n_in == 4


@pytest.mark.parametrize("shape", [None, ("rows", "n"), ("rows", 4)])
def test_columns_in_two_dimensions_are_read_whatever_the_rows_are(tmp_path: Path, shape: Any) -> None:
    nodes = [node("Sub", "x c", "p"), node("Div", "p c", "q"), node("Gemm", "q w b", "y")]
    model = load(tmp_path, nodes, {"c": COLUMNS[None], "w": W, "b": B}, shape=shape)
    np.testing.assert_allclose(model.predict(X), (X / COLUMNS - 1) @ W64 + B, rtol=1e-5, atol=1e-5)
    text = r"\((Mul|Sub|Gemm)\): a constant of shape .* for rows" if shape == ("rows", 4) else "is not known"
    for c in (np.ones((4, 1), np.float32), np.ones((2, 4), np.float32)):
        refused(tmp_path, text, [node("Mul", "x c", "q"), node("Gemm", "q w b", "y")], {"c": c, "w": W, "b": B},
                shape=shape)  # fmt: skip


def test_dropout_stays_a_layer_and_predicts_nothing_new(tmp_path: Path) -> None:
    nodes = [node("Dropout", "x r", "p"), node("Gemm", "p w b", "y")]
    model = load(tmp_path, nodes, {"r": 0.25, "w": W, "b": B})
    assert model.layers[0].rate == 0.25
    old = load(tmp_path, [node("Dropout", "x", "y", ratio=0.4)], opset=7)
    assert old.layers[1].rate == pytest.approx(0.4)
    assert np.array_equal(old.predict(X), X)
    training = {"r": 0.25, "t": np.array(True)}
    refused(tmp_path, "its training_mode is true", [node("Dropout", "x r t", "y")], training)


def test_identities_and_casts_are_passed_through(tmp_path: Path) -> None:
    nodes = [node("Cast", "x", "a", to=1), node("Identity", "a", "b"), node("Gemm", "b w", "y")]
    model = load(tmp_path, nodes, {"w": W}, dtype="float32")
    np.testing.assert_allclose(model.predict(X), X @ W64, rtol=1e-5, atol=1e-6)
    refused(tmp_path, r"\(Cast\): expected a cast to float32", [node("Cast", "x", "a", to=10), node("Relu", "a", "y")])


CASTS = [(1, 2.7), (11, 2.7), (2, 2.0), (3, 2.0), (5, 2.0), (6, 2.0), (7, 2.0), (9, 1.0), (10, 2.69921875), (12, 2.0)]


@pytest.mark.parametrize(("kind", "wanted"), CASTS)
def test_casts_of_constants_change_them(tmp_path: Path, kind: int, wanted: float) -> None:
    nodes = [node("Cast", "k", "a", to=kind), node("Cast", "a", "b", to=1), node("Mul", "x b", "y")]
    np.testing.assert_allclose(load(tmp_path, nodes, {"k": 2.7}).predict(X), X * wanted, rtol=1e-6)


@pytest.mark.parametrize(("kind", "name"), [(16, "bfloat16"), (8, "string"), (99, "type 99"), (0.5, "type 0.5")])
def test_casts_of_constants_to_other_types_are_refused(tmp_path: Path, kind: float, name: str) -> None:
    nodes = [node("Cast", "k", "a", to=kind), node("Gemm", "x a", "y")]
    refused(tmp_path, rf"'the_a' \(Cast\): a cast of a constant to {name} is not supported", nodes, {"k": W})


def test_attributes_whose_value_the_writer_left_out_are_0(tmp_path: Path) -> None:
    model = load(tmp_path, [node("Gemm", "x w b", "y", beta=float, transA=int, transB=int)], {"w": W, "b": B})
    np.testing.assert_allclose(model.predict(X), X @ W64, rtol=1e-5, atol=1e-6)
    refused(tmp_path, "expected axis 1, the last one, got 0", [node("Softmax", "x", "y", axis=int)])
    model = load(tmp_path, [node("Constant", "", "k", value_float=float), node("Max", "x k", "y")])
    np.testing.assert_array_equal(model.predict(X), np.maximum(X, 0))
    model = load(tmp_path, [node("Gelu", "x", "y", approximate=str)], opset=20)
    assert type(model.layers[1]) is GELU
    refused(tmp_path, r"reshapes to \[\]: rows must stay rows",
            [node("Constant", "", "k", value_ints=list), node("Reshape", "x k", "y")])  # fmt: skip
    refused(tmp_path, "its attribute 'alpha' is not a number", [node("Elu", "x", "y", alpha=list)])


def test_an_output_is_chosen_by_name(tmp_path: Path) -> None:
    nodes = [node("Gemm", "x w", "z"), node("Softmax", "z", "p"), node("ArgMax", "p", "label")]
    path = write(tmp_path, nodes, {"w": W}, outputs=("label", "p"))
    with pytest.raises(ValueError, match=r"expected one of the outputs.*'label', 'p'.*choose one with output="):
        fastnn.import_onnx(path)
    assert Model.from_onnx(path, output="p").plan.n_out == 3
    with pytest.raises(ValueError, match="there is none of name 'q'"):
        fastnn.import_onnx(path, output="q")
    with pytest.raises(ValueError, match=r"node 'the_label' \(ArgMax\): this operator is not supported"):
        fastnn.import_onnx(path, output="label")


# --- what is refused, by name ---

REFUSED = [
    ([node("Conv", "x w", "y")], r"node 'the_y' \(Conv\): this operator is not supported"),
    ([node("Relu", "x", "y", domain="com.example")], r"\(com.example.Relu\): this operator is not supported"),
    ([node("Gemm", "x w b", "y", transA=1)], "transA is not supported"),
    ([node("Gemm", "x w b", "y", epsilon=1.0)], "its attribute 'epsilon' is not supported"),
    ([node("Gemm", "x x", "y")], "its B is not a constant"),
    ([node("MatMul", "w x", "y")], "the weights on the right, they are on the left"),
    ([node("Gemm", "x w m", "y")], r"expected C of 3 numbers, one for each column, got shape \(2, 3\)"),
    ([node("Gemm", "x b", "y")], r"expected a matrix B, got shape \(3,\)"),
    ([node("MatMul", "x wide", "y")], r"expected rows of 5 numbers, got 4"),
    ([node("Gemm", "x d", "y")], "its B is of float64, the network of float32"),
    ([node("Relu", "x", "a"), node("Tanh", "x", "t"), node("Sub", "a t", "y")], r"\(Sub\): it joins branches"),
    ([node("Add", "x x2", "y")], "no node makes"),
    ([node("Log", "x", "y")], r"\(Log\): what it computes is none of the activations"),
    ([node("Pow", "x half", "y")], "expected the power 1, 2 or 3, got 0.5"),
    ([node("Relu", "x", "y", alpha=1.0)], "its attribute 'alpha' is not supported"),
    ([node("PRelu", "x b", "y")], "input 1 is not a constant number"),
    ([node("Max", "x", "y")], "expected two inputs"),
    ([node("Flatten", "x", "y", axis=0)], "expected axis 1, got 0"),
    ([node("Reshape", "x x", "y")], "is not a list of whole numbers that the file holds"),
]  # fmt: skip


@pytest.mark.parametrize(("nodes", "text"), REFUSED)
def test_what_is_not_supported_is_named(tmp_path: Path, nodes: Any, text: str) -> None:
    constants = {"w": W, "b": B, "m": np.ones((2, 3), np.float32), "d": W64, "half": 0.5,
                 "wide": np.ones((5, 2), np.float32)}  # fmt: skip
    refused(tmp_path, text, nodes, constants)


def test_inputs_that_are_not_rows_of_floats_are_refused(tmp_path: Path) -> None:
    relu = [node("Relu", "x", "y")]
    refused(tmp_path, "expected float32 or float64, got float16", relu, dtype="float16")
    refused(tmp_path, r"expected rows of features, got 1 dimension", relu, shape=(4,))
    refused(tmp_path, "the shape of its rows is not known", relu, shape=("rows", "h", 3))
    refused(tmp_path, "operator set 6 of ONNX is not supported, 7 and later are", relu, opset=6)


# --- files that lie ---


def test_a_file_of_something_else(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    for text in (b"", b"hello, this is no model", b"\x80\x04\x95pickle"):
        path.write_bytes(text)
        with pytest.raises(FormatError, match=r"m\.onnx"):
            fastnn.import_onnx(path)
    with pytest.raises(FileNotFoundError):
        fastnn.import_onnx(tmp_path / "none.onnx")


def test_tensors_of_other_sizes_than_they_say(tmp_path: Path) -> None:
    good = content([node("Gemm", "x w", "y")], {"w": W})
    path = tmp_path / "m.onnx"
    dims = pb.whole(1, 4) + pb.whole(1, 3)
    for lie in (pb.whole(1, 4) + pb.whole(1, 4), pb.whole(1, 3) + pb.whole(1, 3)):
        path.write_bytes(good.replace(dims, lie, 1))
        with pytest.raises(FormatError, match=r"tensor 'w': 48 bytes for shape"):
            fastnn.import_onnx(path)


def test_tensors_in_other_files_are_not_opened(tmp_path: Path) -> None:
    good = content([node("Gemm", "x w", "y")], {"w": W})
    (tmp_path / "m.onnx").write_bytes(good.replace(pb.text(8, "w") + pb.nested(9, W.tobytes()), b"", 1))
    with pytest.raises(ValueError, match=r"m.onnx"):
        fastnn.import_onnx(tmp_path / "m.onnx")
    outside = pb.text(8, "w") + pb.nested(13, pb.text(1, "location") + pb.text(2, "/etc/passwd")) + pb.whole(14, 1)
    size = len(pb.text(8, "w") + pb.nested(9, W.tobytes()))
    outside += pb.nested(12, b" " * (size - len(outside) - 2))
    (tmp_path / "m.onnx").write_bytes(good.replace(pb.text(8, "w") + pb.nested(9, W.tobytes()), outside, 1))
    with pytest.raises(FormatError, match="its data lie in another file, and no other file is opened"):
        fastnn.import_onnx(tmp_path / "m.onnx")


def test_circles_and_doubles(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="goes in a circle"):
        load(tmp_path, [node("Relu", "b", "a"), node("Gemm", "a w", "b"), node("Gemm", "a w", "y")],
             {"w": np.eye(4, dtype=np.float32)})  # fmt: skip
    with pytest.raises(FormatError, match="its output 'y' is there already"):
        load(tmp_path, [node("Relu", "x", "y"), node("Tanh", "x", "y")])
    with pytest.raises(FormatError, match="no node makes 'nothing'"):
        load(tmp_path, [node("Gemm", "nothing w", "y")], {"w": W})


def bombs() -> dict[str, bytes]:
    """Small files that ask for much: nesting, endless names, many nodes, shared weights, columns that multiply."""
    deep = b""
    for _ in range(3000):
        deep = pb.nested(6, pb.nested(1, pb.nested(5, deep)))
    wide = np.ones((1, 1024), np.float32)
    many = [node("Relu", f"v{i}" if i else "x", f"v{i + 1}") for i in range(30_000)]
    shared = [node("Gemm", f"v{i} w" if i else "x w", f"v{i + 1}") for i in range(4000)]
    columns = [n for i in range(500) for n in (node("Mul", f"v{i} c" if i else "x c", f"u{i}"),
                                                node("Tanh", f"u{i}", f"v{i + 1}"))]  # fmt: skip
    outer = [node("Mul", "x a", "p"), node("Mul", "p b", "y")]
    doubling = [node("Concat", f"v{i} v{i}" if i else "x x", f"v{i + 1}", axis=1) for i in range(200)]
    return {
        "nested subgraphs": pb.nested(7, pb.nested(1, deep)) + pb.nested(8, pb.whole(2, 17)),
        "many nodes": content(many, outputs=["v30000"]),
        "shared weights": content(shared, {"w": np.eye(512, dtype=np.float32)}, shape=("r", 512), outputs=["v4000"]),
        "columns alone": content(columns, {"c": wide}, shape=("r", 1024), outputs=["v500"]),
        "outer product": content(outer, {"a": np.ones((3000, 1), np.float32), "b": wide}, shape=None),
        "widths that double": content(doubling, outputs=["v200"]),
        "a wide input": content([node("Relu", "x", "y")], shape=("r", 2**40, 2**40)),
    }


@pytest.mark.parametrize("name", bombs())
def test_small_files_that_ask_for_much_get_an_error_in_little_memory(tmp_path: Path, name: str) -> None:
    path = tmp_path / "bomb.onnx"
    path.write_bytes(bombs()[name])
    tracemalloc.start()
    begin = time.perf_counter()
    try:
        with pytest.raises(ValueError, match=r"bomb\.onnx"):
            fastnn.import_onnx(path)
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert most < 64 * 2**20 + 20 * path.stat().st_size
    assert time.perf_counter() - begin < 60


def a_model() -> bytes:
    model = Model([Dense(4, 3, activation="gelu"), Dense(2, activation="softmax")], seed=0)
    model.finalize()
    return export.to_bytes(model)


WHOLE = a_model()


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_damaged_files_load_or_are_refused(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    damaged = bytearray(WHOLE)
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    end = data.draw(st.one_of(st.just(len(damaged)), st.integers(0, len(damaged))))
    path = tmp_path_factory.getbasetemp() / "damaged.onnx"
    path.write_bytes(bytes(damaged[:end]))
    with suppress(ValueError):
        assert isinstance(fastnn.import_onnx(path).layers[0], (Dense, Input))


def test_the_limits_are_those_of_the_page() -> None:
    page = (Path(__file__).resolve().parents[1] / "docs" / "interop.md").read_text(encoding="utf-8")
    for limit in (f"{_onnx_file.MOST_NODES:,} nodes", f"Operator sets {importer.OLDEST_OPSET}"):
        assert limit in page
