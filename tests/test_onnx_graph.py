"""Graphs as ONNX files: out and in again they are the same network; branches in files of others become layers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx_files import content, node, write

import fastnn
from fastnn import (
    Add,
    BatchNorm,
    Concatenate,
    Dense,
    Dropout,
    FormatError,
    Input,
    LayerNorm,
    Model,
    Multiply,
    Rescale,
    Residual,
)
from fastnn.activations import Activation, Sigmoid, SiLU, Tanh

RNG = np.random.default_rng(8)
X = RNG.standard_normal((7, 4)).astype(np.float32)
W, B = RNG.standard_normal((4, 4)).astype(np.float32), RNG.standard_normal(4).astype(np.float32)


def there_and_back(model: Model, folder: Path) -> tuple[Model, np.ndarray, np.ndarray]:
    """(the model imported, its predictions, those of the one exported)"""
    model.finalize()
    model.export_onnx(folder / "graph.onnx")
    again = fastnn.import_onnx(folder / "graph.onnx")
    rows = np.random.default_rng(0).standard_normal((20, model.plan.n_in)).astype(model.dtype)
    return again, again.predict(rows), model.predict(rows)


def gated(dtype: str) -> Model:
    """The graph of docs/graphs.md: two inputs, a gate, a concatenation."""
    a, b = Input(4, name="a"), Input(3, name="b")
    h = Dense(16, activation="relu")(a)
    joined = Concatenate()([Multiply()([h, Dense(16, activation="sigmoid")(h)]), b])
    return Model(inputs=[a, b], outputs=Dense(2, activation="softmax")(joined), seed=1, dtype=dtype)


def residual(dtype: str) -> Model:
    blocks = [
        Residual([Dense(6, activation="gelu_tanh"), Dropout(0.5), Dense(6)], projection=True),
        Residual([LayerNorm(epsilon=1 / 128)]),
    ]
    return Model([Dense(5, 4), *blocks, Dense(3, activation="log_softmax")], seed=1, dtype=dtype)


def sums(dtype: str) -> Model:
    """Three and two values joined, one of them twice, and inputs that are not in the order they are read in."""
    a, b = Input(4), Input(4)
    h = Tanh()(Dense(4)(b))
    return Model(
        inputs=[b, a], outputs=Dense(2)(Concatenate()([Add()([a, h, b]), Multiply()([h, h])])), seed=1, dtype=dtype
    )


@pytest.mark.parametrize("make", [gated, residual, sums])
def test_a_graph_goes_there_and_back_to_the_bit(make: Any, dtype: np.dtype, tmp_path: Path) -> None:
    model = make(dtype.name)
    again, found, wanted = there_and_back(model, tmp_path)
    assert again.dtype == dtype
    assert np.array_equal(found, wanted)
    assert len([x for x in again.layers if isinstance(x, Input)]) == max(len(model._network().inputs), 1)


VALUES = st.sampled_from(
    ["dense", "tanh", "relu", "batch norm", "dropout", "add", "multiply", "concatenate", "residual", "rescale"]
)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(VALUES, st.integers(0, 30), st.integers(0, 30)), min_size=1, max_size=9), st.integers(1, 3))
def test_any_graph_goes_there_and_back(
    tmp_path_factory: pytest.TempPathFactory, steps: list[Any], n_inputs: int
) -> None:
    """As the same function: Add()([x, x]) comes back as a Rescale, x * sigmoid(x) as SiLU."""
    inputs = [Input(4) for _ in range(n_inputs)]
    nodes: list[Any] = [Dense(3)(x) for x in inputs]
    for what, i, j in steps:
        a, b = nodes[i % len(nodes)], nodes[j % len(nodes)]
        if what in ("add", "multiply"):
            nodes.append({"add": Add, "multiply": Multiply}[what]()([a, b]))
        elif what == "concatenate":
            nodes.append(Dense(3)(Concatenate()([a, b])))
        elif what == "residual":
            nodes.append(Residual([Sigmoid(), Dense(3)])(a))
        else:
            made = {
                "dense": Dense(3),
                "batch norm": BatchNorm(),
                "dropout": Dropout(0.5),
                "rescale": Rescale(0.5, 0.25),
            }
            layer = made[what] if what in made else Activation.registry[what]()
            nodes.append(layer(a))
    model = Model(inputs=inputs, outputs=Concatenate()(nodes) if len(nodes) > 1 else nodes[0], seed=3)
    _, found, wanted = there_and_back(model, tmp_path_factory.getbasetemp())
    np.testing.assert_allclose(found, wanted, rtol=2e-5, atol=2e-6)


# --- of other makers ---


def load(folder: Path, nodes: list[Any], constants: Any = (), **options: Any) -> Model:
    return fastnn.import_onnx(write(folder, nodes, {"w": W, "b": B, **dict(constants)}, **options))


def test_a_join_of_one_layers_width_is_what_it_says(tmp_path: Path) -> None:
    nodes = [
        node("Gemm", "x w b", "h"),
        node("Tanh", "h", "t"),
        node("Sum", "t h x", "s"),
        node("Mul", "s t", "m"),
        node("Concat", "m x", "y", axis=-1),
    ]
    model = load(tmp_path, nodes)
    h = X @ W.astype(np.float64) + B
    wanted = np.concatenate([(np.tanh(h) + h + X) * np.tanh(h), X], axis=1)
    np.testing.assert_allclose(model.predict(X), wanted, rtol=1e-5, atol=1e-5)
    assert [type(x) for x in model.layers] == [Input, Dense, Tanh, Add, Multiply, Concatenate]


def test_an_activation_is_found_where_its_parts_are_read_by_others_too(tmp_path: Path) -> None:
    nodes = [
        node("Gemm", "x w b", "h"),
        node("Sigmoid", "h", "s"),
        node("Mul", "h s", "silu"),
        node("Concat", "silu s", "y", axis=1),
    ]
    model = load(tmp_path, nodes)
    assert {SiLU, Sigmoid} <= {type(x) for x in model.layers}
    h = X @ W.astype(np.float64) + B
    s = 1 / (1 + np.exp(-h))
    np.testing.assert_allclose(model.predict(X), np.concatenate([h * s, s], axis=1), rtol=1e-5, atol=1e-6)


def test_a_bias_is_not_folded_into_a_product_that_others_read(tmp_path: Path) -> None:
    nodes = [node("MatMul", "x w", "h"), node("Mul", "h c", "k"), node("Identity", "h", "i"), node("Add", "k i", "y")]
    model = load(tmp_path, nodes, {"c": np.arange(4, dtype=np.float32)})
    h = X @ W.astype(np.float64)
    np.testing.assert_allclose(model.predict(X), h * np.arange(4) + h, rtol=1e-5, atol=1e-5)


REFUSED = [
    (
        [node("MatMul", "x w", "h"), node("Concat", "h b", "y", axis=1)],
        r"\(Concat\): expected two or more values.* no constants",
    ),
    (
        [node("MatMul", "x w", "h"), node("Concat", "h x", "y", axis=0)],
        r"\(Concat\): expected axis 1, the last one, got 0",
    ),
    ([node("Concat", "x", "y", axis=1)], r"\(Concat\): expected two or more values"),
    (
        [node("MatMul", "x v", "h"), node("Add", "h x", "y")],
        r"\(Add\): expected values of equal width, got \[\(3,\), \(4,\)\]",
    ),
    (
        [node("Slice", "x zero two one", "y")],
        r"input 'x': the Slices of its \(4,\) columns leave some out or share some",
    ),
    (
        [
            node("Slice", "x zero two one", "a"),
            node("Slice", "x one four one", "c"),
            node("Concat", "a c", "y", axis=1),
        ],
        "leave some out",
    ),
    (
        [node("Slice", "x zero four one", "a"), node("Add", "a x", "y")],
        r"\(Add\): reads all of an input whose columns are taken apart",
    ),
    (
        [node("Relu", "x", "r"), node("Slice", "r zero four one", "a"), node("Relu", "a", "y")],
        "only the columns of the input can be",
    ),
    ([node("Slice", "x zero four zero", "y")], r"\(Slice\): expected a range of columns, one after the other"),
    ([node("Slice", "x zero four one two", "y")], r"\(Slice\): expected a range of columns"),
    ([node("Slice", "x two two one", "y")], r"expected at least one column, got 2 to 2 of 4"),
    ([node("Slice", "x x four one", "y")], "input 1 is not a constant number"),
    ([node("Slice", "x", "y")], "only the columns of an input of known width can be taken apart"),
    ([node("Relu", "x", "a"), node("Relu", "b2", "c"), node("Add", "a c", "y")], "no node makes 'b2'"),
]


@pytest.mark.parametrize(("nodes", "text"), REFUSED)
def test_what_makes_no_graph_here_is_named(nodes: Any, text: str, tmp_path: Path) -> None:
    numbers = {name: np.array([k], np.int64) for k, name in enumerate(("zero", "one", "two", "three", "four"))}
    with pytest.raises(ValueError, match=text):
        load(tmp_path, nodes, {**numbers, "v": W[:, :3].copy()})


def test_circles_through_joins(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="goes in a circle"):
        load(
            tmp_path,
            [node("MatMul", "x w", "h"), node("Add", "h c", "a"), node("MatMul", "a w", "c"), node("Relu", "c", "y")],
        )
    with pytest.raises(FormatError, match="goes in a circle"):
        load(tmp_path, [node("Identity", "b2", "a"), node("Identity", "a", "b2"), node("Add", "a x", "y")])


def test_long_and_wide_graphs_are_read_in_little_time(tmp_path: Path) -> None:
    """By counting what is looked at, not by a clock: the functions that a row of 600 nodes is tried as."""
    from fastnn.interop import _onnx_elementwise

    calls, function = [0], _onnx_elementwise._function

    def counted(*arguments: Any) -> Any:
        calls[0] += 1
        return function(*arguments)

    def long(operators: list[str]) -> list[Any]:
        return [
            node(op.split()[0], " ".join([f"v{i}" if i else "x", *op.split()[1:]]), f"v{i + 1}")
            for i, op in enumerate(operators * (600 // len(operators)))
        ]

    rows = (["Mul half"], ["Mul half"] * 7 + ["Tanh"], ["Max zero", "Min two"], ["Add half", "Relu", "Mul half"])
    path = tmp_path / "long.onnx"
    for operators in rows:
        nodes = long(operators)
        path.write_bytes(content(nodes, {"half": 0.5, "zero": 0.0, "two": 2.0}, outputs=[f"v{len(nodes)}"]))
        calls[0] = 0
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(_onnx_elementwise, "_function", counted)
            fastnn.import_onnx(path)
        assert 0 < calls[0] < 20 * len(nodes)


def test_a_concatenation_of_many_comes_back(tmp_path: Path) -> None:
    xs = [Input(1) for _ in range(70)]
    model = Model(inputs=xs, outputs=Dense(2)(Concatenate()(xs)), seed=1)
    model.finalize()
    model.export_onnx(tmp_path / "c.onnx")
    X = np.random.default_rng(0).standard_normal((5, 70)).astype(np.float32)
    assert np.array_equal(fastnn.import_onnx(tmp_path / "c.onnx").predict(X), model.predict(X))
