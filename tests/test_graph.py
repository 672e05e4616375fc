"""Graphs and residuals: values and gradients against the tape, and every bit alike however they are run."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from compare import Array, assert_near, assert_same_bits, assert_varies, use
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from tape import Maker, Topology, largest, run

import fastnn
from fastnn import Add, Concatenate, Dense, Dropout, Input, Model, Multiply, ReLU, Residual, _core, _runs, custom
from fastnn.engine import plan as plan_module
from fastnn.engine.buffers import Buffers
from fastnn.optimizers import SGD


def diamond(g: Any) -> Any:
    x = g.row(g.input(0), "dense", 6, "tanh")
    left, right = g.row(x, "dense", 5, "relu"), g.row(x, "dense", 5, "sigmoid")
    return g.row(g.add([left, right]), "dense", 2, "linear")


def skip_over_two(g: Any) -> Any:
    a = g.row(g.input(0), "dense", 7, "relu")
    b = g.row(g.row(a, "dense", 9, "tanh"), "dense", 7, "tanh")
    return g.row(g.row(g.add([b, a]), "activation", "relu"), "dense", 2, "linear")


def input_beside_hidden(g: Any) -> Any:
    x = g.input(0)
    return g.row(g.concatenate([x, g.row(x, "dense", 5, "silu"), x]), "dense", 2, "linear")


def nested(g: Any) -> Any:
    inner = ("residual", [("dense", 4, "tanh"), ("dense", 6, "linear")], False)
    x = g.row(g.input(0), "dense", 6, "relu")
    x = g.row(x, "residual", [("activation", "sigmoid"), inner, ("dense", 6, "silu")], False)
    return g.row(x, "residual", [inner, ("dense", 2, "linear")], True)


def two_inputs(g: Any) -> Any:
    a, b = g.row(g.input(0), "dense", 6, "tanh"), g.row(g.input(1), "rescale", (0.5, 0.1))
    gated = g.multiply([a, g.row(b, "dense", 6, "sigmoid"), a])
    return g.row(g.concatenate([gated, b]), "dense", 2, "linear")


def with_dropout(g: Any) -> Any:
    x = g.row(g.input(0), "residual", [("dense", 8, "relu"), ("dropout", 0.4), ("dense", 4, "linear")], False)
    x = g.row(x, "residual", [("dense", 4, "relu"), ("dropout", 0.3)], False)
    return g.row(g.row(x, "dropout", 0.2), "dense", 2, "linear")


def sums_of_sums(g: Any) -> Any:
    """Gradients that go through untouched to several, some of which write theirs in place."""
    x = g.row(g.input(0), "dense", 5, "tanh")
    a, b = g.row(x, "activation", "sigmoid"), g.row(x, "dense", 5, "relu")
    s = g.add([x, g.add([a, g.add([b, x, a])]), b])
    return g.row(g.add([s, s, g.row(s, "activation", "tanh")]), "dense", 2, "linear")


def ends_in_a_sum(g: Any) -> Any:
    x = g.row(g.input(0), "dense", 2, "tanh")
    return g.add([g.row(x, "dense", 2, "relu"), g.row(x, "dense", 2, "silu"), x])


def untrained_side(g: Any) -> Any:
    """A branch that leads to nothing trained, and an output that joins it."""
    side = g.row(g.row(g.input(1), "rescale", (2.0, 0.0)), "activation", "tanh")
    return g.concatenate([g.multiply([side, side]), g.row(g.concatenate([g.input(0), side]), "dense", 1, "linear")])


WIDTHS: dict[Topology, tuple[int, ...]] = {
    diamond: (4,), skip_over_two: (4,), input_beside_hidden: (4,), nested: (4,), two_inputs: (4, 3), with_dropout: (4,),
    sums_of_sums: (4,), ends_in_a_sum: (4,), untrained_side: (4, 3),
}  # fmt: skip
N_OUT = {untrained_side: 4}
TOPOLOGIES = pytest.mark.parametrize("topology", list(WIDTHS), ids=lambda f: f.__name__)


def make(topology: Topology, dtype: str = "float64", fused: bool = True) -> tuple[Maker, Model]:
    maker = Maker(WIDTHS[topology])
    model = maker.model(topology, seed=3, dtype=dtype)
    model._fused = fused
    model.set(loss="mse", optimizer="adam")
    model.finalize()
    rng = np.random.default_rng(7)
    for (layer, name), _ in model.plan.tensors.items():
        view = model.plan.view(model.plan.params, layer, name)
        view[...] = rng.standard_normal(view.shape) * 0.5
    return maker, model


def data(topology: Topology, rows: int = 13) -> tuple[list[Array], Array]:
    rng = np.random.default_rng(1)
    X = [rng.standard_normal((rows, width)) for width in WIDTHS[topology]]
    y = rng.standard_normal((rows, N_OUT.get(topology, 2)))
    assert_varies(y)
    return X, y


# --- against the tape ---


@pytest.mark.parametrize("fused", [True, False])
@TOPOLOGIES
def test_values_and_gradients_are_the_tapes(topology: Topology, fused: bool, isa: str) -> None:
    maker, model = make(topology, fused=fused)
    X, y = data(topology)
    loss, _, grads = run(maker, model, topology, X, y)
    assert _runs.gradients(model, X, y) == pytest.approx(loss, rel=1e-12)
    assert set(grads) == set(model.plan.tensors)
    for key, want in grads.items():
        assert np.linalg.norm(want) > 0
        assert_near(model.plan.view(model.plan.grads, *key), want, 1e-12, str(key))
    assert_near(model.predict(X), run(maker, model, topology, X, y, step=0)[1], 1e-12)


@TOPOLOGIES
def test_float32_is_near(topology: Topology, isa: str) -> None:
    maker, model = make(topology, "float32")
    X, y = data(topology)
    X = [x.astype(np.float32) for x in X]
    loss, _, grads = run(maker, model, topology, X, y)
    assert _runs.gradients(model, X, y) == pytest.approx(loss, rel=1e-5)
    for key, want in grads.items():
        assert_near(model.plan.view(model.plan.grads, *key), want, 1e-5, str(key))


@TOPOLOGIES
def test_check_gradients_agrees_and_leaves_the_model(topology: Topology) -> None:
    _, model = make(topology, "float32")
    X, y = data(topology)
    before = model.plan.params.tobytes()
    report = fastnn.check_gradients(model, X, y, samples=12)
    assert report, report
    assert model.plan.params.tobytes() == before
    assert all(layer._plan is model.plan for layer in model.numbered)


def test_a_wrong_tape_is_noticed() -> None:
    maker, model = make(diamond)
    X, y = data(diamond)
    _runs.gradients(model, X, y)
    _, _, grads = run(maker, model, diamond, X, y)
    key = next(iter(grads))
    with pytest.raises(AssertionError):
        assert_near(model.plan.view(model.plan.grads, *key), grads[key] * 1.000001, 1e-12)
    left_out = lambda g: skip_over_two(_WithoutSkips(g))  # noqa: E731
    maker, model = make(skip_over_two)
    assert run(maker, model, skip_over_two, X, y)[0] != run(maker, model, left_out, X, y)[0]


class _WithoutSkips:
    def __init__(self, g: Any) -> None:
        self.g = g

    def __getattr__(self, name: str) -> Any:
        return (lambda values: values[0]) if name == "add" else getattr(self.g, name)


# --- random graphs ---


@st.composite
def random_graphs(draw: st.DrawFn) -> tuple[Topology, tuple[int, ...]]:
    """Up to nine operations on anything that is there, then all that nothing reads joined."""
    inputs = tuple(draw(st.lists(st.integers(1, 4), min_size=1, max_size=3)))
    kinds = st.sampled_from(["dense", "dense", "activation", "dropout", "residual", "add", "multiply", "concatenate"])
    steps = []
    for _ in range(draw(st.integers(1, 9))):
        smooth = draw(st.sampled_from(["tanh", "sigmoid", "silu", "linear"]))
        steps.append((draw(kinds), draw(st.lists(st.integers(0, 99), min_size=2, max_size=3)), smooth,
                      draw(st.integers(1, 9))))  # fmt: skip

    def topology(g: Any) -> Any:
        values = [(g.input(i), width) for i, width in enumerate(inputs)]
        unread = set(range(len(values)))
        for kind, at, smooth, width in steps:
            first = at[0] % len(values)
            (x, n) = values[first]
            equal = [i for i, value in enumerate(values) if value[1] == n]
            some = [first, *(equal[k % len(equal)] for k in at[1:])]  # the same may come twice
            if kind in ("add", "multiply"):
                values.append((getattr(g, kind)([values[i][0] for i in some]), n))
            elif kind == "concatenate":
                some = [k % len(values) for k in at]
                values.append((g.concatenate([values[i][0] for i in some]), sum(values[i][1] for i in some)))
            else:
                some = [first]
                what = {
                    "dense": (width, smooth),
                    "activation": (smooth,),
                    "dropout": (0.25,),
                    "residual": ([("dense", width, smooth), ("dense", n, "linear")], False),
                }[kind]
                values.append((g.row(x, kind, *what), n if kind != "dense" else width))
            unread = (unread - set(some)) | {len(values) - 1}
        last = sorted(unread)
        y = values[last[0]][0] if len(last) == 1 else g.concatenate([values[i][0] for i in last])
        return g.row(y, "dense", 2, "tanh")

    return topology, inputs


@settings(max_examples=150, deadline=None)
@given(random_graphs(), st.integers(1, 20), st.sampled_from(["scalar", _core.active_isa()]))
def test_random_graphs(made: tuple[Topology, tuple[int, ...]], rows: int, isa: str) -> None:
    topology, widths = made
    WIDTHS[topology] = widths
    try:
        with use(isa):
            maker, model = make(topology)
            X, y = data(topology, rows)
            assume(largest(maker, model, topology, X) < 8)
            loss, _, grads = run(maker, model, topology, X, y)
            assert _runs.gradients(model, X, y) == pytest.approx(loss, rel=1e-9)
            for key, want in grads.items():
                got = model.plan.view(model.plan.grads, *key)
                assert np.linalg.norm(got - want) <= 1e-9 * max(np.linalg.norm(want), 1e-6), key
            report = fastnn.check_gradients(model, X, y, samples=2)
            assert report, report
            whole = model.predict(X)
            assert_near(whole, run(maker, model, topology, X, y, step=0)[1], 1e-9)
            assert_same_bits(np.concatenate([model.predict(np.hstack(X)[i : i + 1]) for i in range(rows)]), whole)
            apart = make(topology, fused=False)[1]
            _runs.gradients(apart, X, y)
            assert_same_bits(apart.plan.grads, model.plan.grads)
            assert_same_bits(apart.predict(X), whole)
            trained = [make(topology, "float32")[1] for _ in range(2)]
            trained[1].training_buffers = lambda batch: Buffers(  # type: ignore[method-assign]
                trained[1].plan, min(batch, 4), True, labels=True, head=trained[1].merged
            )
            for one in trained:
                one.train(X, y, epochs=2, batch_size=11, shuffle=True)
            assert_same_bits(trained[1].plan.params, trained[0].plan.params, "in chunks")
    finally:
        del WIDTHS[topology]


# --- bits ---


def wide(dtype: str = "float32") -> Model:
    a, b = Input(60), Input(40)
    x = Residual([Dense(150, activation="relu"), Dropout(0.2), Dense(120)], projection=True)(a)
    y = Multiply()([Dense(120, activation="tanh")(b), x])
    z = Concatenate()([Residual([Dense(120, activation="silu")])(Add()([x, y])), b])
    model = Model(inputs=[a, b], outputs=Dense(10, activation="softmax")(z), seed=1, dtype=dtype)
    model.set(loss="cce", optimizer="adam")
    return model


def test_threads_and_chunks_change_no_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((900, 100)).astype(np.float32), rng.integers(0, 10, 900)
    results = set()
    before = fastnn.get_num_threads()
    try:
        for count, chunk in ((1, 1 << 30), (1, 1 << 12), (2, 1 << 18), (4, 1 << 30)):
            fastnn.set_num_threads(count)
            monkeypatch.setattr(plan_module, "CHUNK_BYTES", chunk)
            model = wide()
            model.train(X, y, epochs=2, batch_size=400, shuffle=True)
            results.add(model.plan.params.tobytes() + model.predict(X).tobytes())
    finally:
        fastnn.set_num_threads(before)
    assert len(results) == 1


def test_a_graph_of_a_chain_is_that_chain() -> None:
    a = Input(4)
    h = Dropout(0.3)(Dense(9, activation="gelu")(a))
    graph = Model(inputs=a, outputs=Dense(3, activation="softmax")(h), seed=2)
    chain = Model([Input(4), Dense(9, activation="gelu"), Dropout(0.3), Dense(3, activation="softmax")], seed=2)
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((50, 4)), rng.integers(0, 3, 50)
    for model in (graph, chain):
        model.set(loss="cce", optimizer="adam")
        model.train(X, y, epochs=3, batch_size=16, shuffle=True)
    assert_same_bits(graph.plan.params, chain.plan.params)
    assert graph.plan.specs == chain.plan.specs
    assert graph.plan.sources == [(-1,), (0,), (1,)]


def test_a_residual_in_a_chain_is_the_graph_that_adds() -> None:
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((50, 6)), rng.standard_normal((50, 1))
    chain = Model([Residual([Dense(6, activation="relu"), Dense(6)]), ReLU(), Dense(1)], seed=2)
    a = Input(6)
    inner = Dense(6)(Dense(6, activation="relu")(a))
    graph = Model(inputs=a, outputs=Dense(1)(ReLU()(Add()([a, inner]))), seed=2)
    for model in (chain, graph):
        model.set(loss="mse", optimizer=SGD(0.02))
        model.finalize(6)
    graph.set_parameters(chain.get_parameters())
    for model in (chain, graph):
        model.train(X, y, epochs=3, batch_size=16)
    assert_same_bits(chain.plan.params, graph.plan.params)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_sums_and_products_are_numpys(dtype: str, isa: str) -> None:
    """One operation on each element, the parts in their order: nothing is left to choose."""
    rng = np.random.default_rng(3)
    parts = [rng.standard_normal((5, 37)).astype(dtype) for _ in range(3)]
    for layer, want in (
        (Add(), parts[0] + parts[1] + parts[2]),
        (Multiply(), parts[0] * parts[1] * parts[2]),
        (Concatenate(), np.hstack(parts)),
    ):
        inputs = [Input(37) for _ in parts]
        assert_same_bits(Model(inputs=inputs, outputs=layer(inputs), dtype=dtype).predict(parts), want)


def test_an_activation_is_not_merged_into_a_dense_that_others_read() -> None:
    a = Input(3)
    d = Dense(4)(a)
    model = Model(inputs=a, outputs=Concatenate()([ReLU()(d), d]), seed=1)
    model.finalize()
    assert [getattr(s, "activation", None) for s in model.plan.specs] == ["linear", "relu", None]
    X = np.random.default_rng(0).standard_normal((6, 3)).astype(np.float32)
    y = model.predict(X)
    assert (y[:, 4:] < 0).any()
    assert_same_bits(y[:, :4], np.maximum(y[:, 4:], 0))


def test_parts_in_python_take_their_place_in_a_graph() -> None:
    built = []

    class Half(custom.Layer):
        def build(self, n_in: int) -> Any:
            built.append(n_in)
            return {}

        def forward(self, x: Any) -> Any:
            return x * 0.5

        def backward(self, dy: Any) -> Any:
            return dy * 0.5

    a = Input(3)
    h = Dense(4, activation="tanh")(a)
    model = Model(inputs=a, outputs=Dense(1)(Add()([h, Half()(h), Residual([Half(), Dense(4)])(h)])), seed=1)
    model.set(loss="mse", optimizer=SGD(0.02))
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((20, 3)), rng.standard_normal((20, 1))
    model.finalize()
    assert built == [4, 4]
    assert fastnn.check_gradients(model, X, y)
    history = model.train(X, y, epochs=20)
    assert history["loss"][-1] < history["loss"][0]
