"""Sessions: the bits of predict for whatever goes in, and what a session promises beside them."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from compare import Array, assert_same_bits, use
from contract_models import CASES, build, train
from hypothesis import given, settings
from hypothesis import strategies as st
from small import X, Y, bits, classifier

import fastnn
from fastnn import (
    AlphaDropout,
    BatchNorm,
    Concatenate,
    Dense,
    Dropout,
    GaussianDropout,
    GaussianNoise,
    Input,
    LayerNorm,
    LeakyReLU,
    Model,
    Normalization,
    Rescale,
    Residual,
    Session,
    _core,
    custom,
)
from fastnn.activations import Activation
from fastnn.engine.plan import Plan
from fastnn.engine.session import GIL_WORK, Weights
from fastnn.engine.spec import ActivationSpec, DropoutSpec

TYPES = ("float32", "float64", "uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64", "bool",
         "float16", ">f4", ">i2", "longdouble")  # fmt: skip
ACTIVATIONS = sorted({cls.names[0] for cls in Activation.registry.values()})


def network(widths: tuple[int, ...], activation: Any = "relu", dtype: Any = "float32", seed: int = 1) -> Model:
    """Weights and biases that are not zero."""
    model = Model([Dense(n, activation=activation) for n in widths[1:]], seed=seed, dtype=dtype)
    model.finalize(widths[0])
    rng = np.random.default_rng(seed)
    model.set_parameters([(rng.standard_normal(w.shape) / 3, rng.standard_normal(b.shape))
                          for w, b in model.get_parameters()])  # fmt: skip
    return model


def trained_norms(model: Model, seed: int) -> Model:
    """Normalizations as after a training: nothing is 0 or 1."""
    rng = np.random.default_rng(seed)
    for index, name in model.plan.tensors:
        if name not in ("weights", "biases"):
            view = model.plan.view(model.plan.params, index, name)
            view[...] = rng.uniform(0.1, 2, view.shape) if "variance" in name else rng.standard_normal(view.shape)
    return model


def two_inputs(seed: int = 0, name: str = "b", split: int = 4) -> Model:
    a, b = Input(split, name="a"), Input(7 - split, name=name)
    h = Dense(9, activation="tanh")(a)
    return Model(inputs=[a, b], outputs=Dense(3)(Concatenate()([h, b, Dropout(0.3)(h)])), seed=seed)


def data(rows: int, cols: int, dtype: Any = "float32", seed: int = 0) -> Array:
    made = np.random.default_rng(seed).standard_normal((rows, cols)) * 40
    return np.abs(made).astype(dtype) if np.dtype(dtype).kind == "u" else made.astype(dtype)


def check(model: Model, x: Array) -> Session:
    """The session in every form of call against predict."""
    session, want = model.session(), model.predict(x)
    assert_same_bits(session(x), want, "batch")
    out = np.full(want.shape, np.nan, want.dtype)
    assert session.run(x, out=out) is out
    assert_same_bits(out, want, "out=")
    for i in range(min(len(x), 3)):
        assert_same_bits(session(x[i]), want[i], "row by itself")
        assert_same_bits(session(x[i : i + 1]), want[i : i + 1], "batch of one")
    return session


# --- the same bits ---


@st.composite
def networks(draw: st.DrawFn) -> tuple[list[Any], int]:
    width = st.one_of(st.integers(1, 40), st.sampled_from([63, 64, 65, 127, 128, 129, 143, 144, 145, 160, 257]))
    layers: list[Any] = []
    if draw(st.booleans()):
        layers.append(Rescale(draw(st.sampled_from([1 / 127.5, -2.0, 0.1])), draw(st.sampled_from([0.0, -1.0]))))
    for _ in range(draw(st.integers(0, 4))):
        kind = draw(
            st.sampled_from(["dense", "dense", "dense", "activation", "training only", "rescale", "alpha", "norm"])
        )
        if kind == "dense":
            layers.append(Dense(draw(width), activation=draw(st.sampled_from(ACTIVATIONS))))
        elif kind == "activation":
            layers.append(Activation.resolve(draw(st.sampled_from(ACTIVATIONS))))
        elif kind == "alpha":
            layers.append(Dense(draw(width), activation=LeakyReLU(0.3)))
        elif kind == "norm":
            cls = draw(st.sampled_from([BatchNorm, LayerNorm]))
            shape = {
                "center": draw(st.booleans()),
                "scale": draw(st.booleans()),
                "epsilon": draw(st.sampled_from([1e-3, 1e-5])),
            }
            layers.append(draw(st.sampled_from([cls(**shape), Normalization()])))
        elif kind == "training only":
            layers.append(
                draw(st.sampled_from([Dropout(0.5), AlphaDropout(0.5), GaussianNoise(1), GaussianDropout(0.5)]))
            )
        else:
            layers.append(Rescale(0.5, 0.25))
    return layers, draw(width)


@pytest.mark.parametrize("isa", _core.available_isas())
@settings(max_examples=60, deadline=None)
@given(
    made=networks(),
    dtype=st.sampled_from(["float32", "float64"]),
    rows=st.one_of(st.integers(1, 20), st.sampled_from([33, 100, 300])),
    source=st.sampled_from(TYPES),
    steps=st.tuples(st.sampled_from([1, 2, -1]), st.sampled_from([1, 3, -1])),
    seed=st.integers(0, 1000),
)
def test_bits_are_those_of_predict(
    isa: str, made: tuple[list[Any], int], dtype: str, rows: int, source: str, steps: tuple[int, int], seed: int
) -> None:
    layers, n_in = made
    x = data(rows * abs(steps[0]), n_in * abs(steps[1]), source, seed)[:: steps[0], :: steps[1]]
    assert x.shape == (rows, n_in)
    with use(isa), np.errstate(all="ignore"):
        model = Model([Input(n_in), *copy.deepcopy(layers)], seed=seed, dtype=dtype)
        model.finalize()
        session = check(trained_norms(model, seed), x)
        assert session.native
        assert session.isa == isa


@pytest.mark.parametrize("n", [*range(1, 34), 48, 63, 64, 65, 80, 96, 112, 127, 128, 129, 144, 160, 176, 192, 208, 224,
                               240, 255, 256, 257, 300])  # fmt: skip
def test_every_width_around_vectors_and_panels(n: int, isa: str, dtype: np.dtype[Any]) -> None:
    model = network((9, n, 17, n), ["relu", "tanh", "linear"][n % 3], dtype)
    for rows in (1, 2, 3, 4, 5, 13):
        check(model, data(rows, 9))


@pytest.mark.parametrize("widths", [(1030, 40), (3000, 8), (2, 2100, 3), (1024, 200, 2100, 12), (4100, 1), (1, 1)])
@pytest.mark.parametrize("rows", [1, 7, 230])
def test_long_and_wide_products(widths: tuple[int, ...], rows: int, dtype: np.dtype[Any]) -> None:
    check(network(widths, "relu", dtype), data(rows, widths[0]))


@pytest.mark.parametrize("name", sorted(CASES))
def test_trained_models(name: str, dtype: np.dtype[Any]) -> None:
    model = train(name, build(name, dtype.name))
    session = check(model, CASES[name].data()[0])
    assert session.native == (name not in ("residual", "graph"))
    x = CASES[name].data()[0][:5]
    assert_same_bits(pickle.loads(pickle.dumps(session))(x), session(x))


def test_any_number_of_threads_and_blocks() -> None:
    model, x = network((100, 300, 10)), data(5000, 100)
    want = model.predict(x)
    for count in (1, 2, 3):
        with fastnn.num_threads(count):
            session = model.session()
            for rows in (5000, 1000, 64, 33, 8, 1):
                assert_same_bits(session(x[:rows]), want[:rows])
                assert_same_bits(session(x[:rows].astype(np.float64)), want[:rows])


def test_one_row_of_much_work_and_a_plan_that_is_not_fused() -> None:
    model = network((1000, 700, 10))
    assert GIL_WORK < 1000 * 700
    check(model, data(2, 1000))
    apart = Model([Input(3), Rescale(0.1), Dense(5), Activation.resolve("tanh"), Dense(2)], seed=3)
    apart._fused = False
    check(apart, data(4, 3))


def test_no_layers_but_scaling() -> None:
    for layers in ([Input(5)], [Input(5), Rescale(2, 1)], [Input(5), Dropout(0.5)], [Input(5), Rescale(2), Rescale(3)]):
        for source in ("float32", "float64", "uint8"):
            check(Model(copy.deepcopy(layers)), data(3, 5, source))


def test_nan_and_infinity_stay_in_their_row(dtype: np.dtype[Any]) -> None:
    model, x = network((20, 30, 12, 3), "tanh", dtype), data(9, 20)
    x[2, 3], x[5, 0], x[7, 19] = np.nan, np.inf, -0.0
    check(model, x)
    assert np.isnan(model.session()(x)).any(axis=1).tolist() == [i == 2 for i in range(9)]


def test_no_rows() -> None:
    session = network((4, 8, 2)).session()
    assert session(np.empty((0, 4), np.float32)).shape == session(np.empty((0, 4), np.int8)).shape == (0, 2)
    out = np.empty((0, 2), np.float32)
    assert session.run(np.empty((0, 4)), out=out) is out


def test_a_comparison_of_sessions_can_fail() -> None:
    a, b = network((4, 8, 2), "linear"), network((4, 8, 2), "linear")
    weights = b.get_parameters()
    weights[1][0][1, 1] = np.nextafter(weights[1][0][1, 1], np.float32(9))
    b.set_parameters(weights)
    with pytest.raises(AssertionError, match="differ"):
        assert_same_bits(a.session()(data(50, 4)), b.predict(data(50, 4)))


# --- what may go in and out ---


def test_what_is_not_an_array_of_numbers_in_place() -> None:
    model, x = network((4, 9, 2)), data(6, 4)
    session, want = model.session(), model.predict(x)
    assert_same_bits(session(x.tolist()), want)
    assert_same_bits(session(x[0].tolist()), want[0])
    assert_same_bits(session(memoryview(x)), want)
    assert_same_bits(session(x.view(np.matrix)), want)
    odd = np.frombuffer(b"\0" + x.tobytes(), np.uint8)[1:].view(np.float32).reshape(x.shape)
    assert_same_bits(session(odd), want)
    assert_same_bits(session(np.broadcast_to(x[0], (5, 4))), want[[0] * 5])
    read_only = x.copy()
    read_only.flags.writeable = False
    assert_same_bits(session(read_only), want)


def test_out_may_be_a_view_a_memory_map_or_overlap(tmp_path: Path) -> None:
    model, x = network((6, 9, 6)), data(8, 6)
    session, want = model.session(), model.predict(x)
    room = np.zeros((20, 6), np.float32)
    assert session.run(x, out=room[3:11]).base is room
    assert_same_bits(room[3:11], want)
    assert not room[:3].any()
    assert not room[11:].any()
    mapped = np.memmap(tmp_path / "y", np.float32, "w+", shape=(8, 6))
    assert session.run(x, out=mapped) is mapped
    assert_same_bits(np.asarray(mapped), want)
    for first in (0, 1, 3):  # out is x, or lies across it
        room = np.zeros((12, 6), np.float32)
        room[:8] = x
        session.run(room[:8], out=room[first : first + 8])
        assert_same_bits(room[first : first + 8], want)
    room[:8] = x
    session.run(room[:8][::-1], out=room[:8])
    assert_same_bits(room[:8], want[::-1])
    row = x[0].copy()
    assert_same_bits(session.run(row, row), want[0])


ERRORS: list[tuple[Callable[[Session], Any], type[BaseException], str]] = [
    (lambda s: s(X[:, :3]), ValueError, r"x: expected a row \(4,\) or rows \(rows, 4\), got shape \(90, 3\)"),
    (lambda s: s(X[0, :3]), ValueError, r"x: expected a row \(4,\) or rows \(rows, 4\), got shape \(3,\)"),
    (lambda s: s(X.reshape(9, 10, 4)), ValueError, r"got shape \(9, 10, 4\)"),
    (lambda s: s(np.float32(3)), ValueError, r"got shape \(\)"),
    (lambda s: s(None), TypeError, "x: expected an array, got None"),
    (lambda s: s("abcd"), TypeError, "x: expected real numbers, got dtype <U4"),
    (lambda s: s(np.array([1, 2, 3, None])), TypeError, "x: expected real numbers, got dtype object"),
    (lambda s: s(X.astype(complex)), TypeError, "x: expected real numbers, got dtype complex128"),
    (lambda s: s([[1, 2, 3, 4], [1]]), ValueError, "x: cannot be made an array"),
    (lambda s: s(np.ma.masked_array(X)), TypeError, "x: masked arrays are not supported"),
    (lambda s: s.run(X, out=[1, 2]), TypeError, "out: expected an array, got list"),
    (lambda s: s.run(X, out=np.empty((90, 3))), TypeError, "out: expected dtype float32, got float64"),
    (lambda s: s.run(X, out=np.empty((90, 3), ">f4")), TypeError, "out: expected dtype float32, got >f4"),
    (lambda s: s.run(X, out=np.empty((90, 2), "f4")), ValueError, r"out: expected shape \(90, 3\), got \(90, 2\)"),
    (lambda s: s.run(X, out=np.empty((89, 3), "f4")), ValueError, r"out: expected shape \(90, 3\), got \(89, 3\)"),
    (lambda s: s.run(X[0], out=np.empty((1, 3), "f4")), ValueError, r"out: expected shape \(3,\), got \(1, 3\)"),
    (lambda s: s.run(X, out=np.empty((3, 90), "f4").T), ValueError, "out: expected a C-contiguous, aligned array"),
    (lambda s: s.run(X, out=_read_only()), ValueError, "out: the array is read-only"),
    (lambda s: s(np.broadcast_to(X[0], (2**50, 4))), MemoryError, "x: predictions for 1125899906842624 rows need more"),
    (lambda s: s.run(), TypeError, "at least 1 positional argument"),
    (lambda s: s.run(X, into=3), TypeError, "unexpected keyword argument 'into'"),
    (lambda s: s.swap("model"), TypeError, "model: expected a Model, got str"),
    (lambda s: s.swap(network((4, 2))), ValueError, "model: expected 4 inputs, 3 outputs, float32, .* got 4 inputs, 2"),
    (lambda s: s.swap(network((5, 3))), ValueError, "got 5 inputs, 3 outputs, float32"),
    (lambda s: s.swap(network((4, 3), "relu", "float64")), ValueError, "got 4 inputs, 3 outputs, float64"),
    (lambda s: s.swap(Model([Dense(3)])), ValueError, "width of the input is not known"),
    (lambda s: Session("m"), TypeError, "model: expected a Model, got str"),
    (lambda s: Model([Dense(3)]).session(), ValueError, "width of the input is not known"),
    (lambda s: Session.__new__(Session)(X), TypeError, "was not initialized"),
]


def _read_only() -> Array:
    out = np.empty((90, 3), np.float32)
    out.flags.writeable = False
    return out


@pytest.mark.parametrize(("call", "error", "text"), ERRORS, ids=[f"{i} {row[2][:30]}" for i, row in enumerate(ERRORS)])
def test_bad_input_is_a_clear_error_and_the_session_unharmed(
    call: Callable[[Session], Any], error: type[BaseException], text: str
) -> None:
    session = classifier()
    session.finalize(4)
    serving = session.session()
    want = serving(X)
    with pytest.raises(error, match=text):
        call(serving)
    assert_same_bits(serving(X), want)


# --- what a session is ---


def test_it_is_independent_of_the_model() -> None:
    model = classifier()
    model.train(X, Y, epochs=2)
    session, want = model.session(), model.predict(X)
    model.train(X, Y, epochs=2)
    model.layers[0].weights[...] = 0
    assert_same_bits(session(X), want)
    before = bits(model)
    session(X)
    assert bits(model) == before
    del model
    assert_same_bits(session(X), want)


def test_it_can_be_made_before_training_and_says_what_it_is(tmp_path: Path) -> None:
    model = Model([Dense(4, 16, activation="relu"), Dense(3)], seed=0, dtype="float64")
    session = Session(model)
    assert (session.n_in, session.n_out, session.dtype) == (4, 3, np.float64)
    assert session.native
    assert session.nbytes > 8 * model.parameter_count
    assert repr(session).startswith("Session(4 inputs, 3 outputs, float64, ")
    assert session.isa == _core.active_isa()
    with pytest.raises(AttributeError):
        session.n_in = 3  # type: ignore[misc]
    model.save(tmp_path / "m.fnn")
    assert_same_bits(Session.load(tmp_path / "m.fnn")(X), session(X))
    with pytest.raises(FileNotFoundError):
        Session.load(tmp_path / "other.fnn")


def test_it_keeps_the_instruction_set_it_was_made_on() -> None:
    model = network((7, 20, 3))
    x, first = data(30, 7), _core.available_isas()[0]
    with use(first):
        session = network((7, 20, 3)).session()
        want = session(x)
    assert session.isa == first
    assert_same_bits(session(x), want)
    if first != "sse2":
        assert_same_bits(want, model.predict(x))


@pytest.mark.parametrize("again", [lambda s: pickle.loads(pickle.dumps(s)), copy.copy, copy.deepcopy])
def test_it_can_be_copied_and_sent(again: Callable[[Session], Session], dtype: np.dtype[Any]) -> None:
    model = network((5, 130, 33, 3), "tanh", dtype)
    session, x = model.session(), data(20, 5)
    other = again(session)
    assert type(other) is Session
    assert_same_bits(other(x), session(x))
    other.swap(network((5, 3), "tanh", dtype, seed=5))
    assert_same_bits(session(x), model.predict(x))


def test_a_pickled_session_holds_no_more_than_its_weights() -> None:
    model = classifier()
    model.train(X, Y, epochs=3)
    model.metadata["note"] = "x" * 100_000
    assert len(pickle.dumps(model.session())) < 4 * model.parameter_count + 3000


def test_joblib_takes_it() -> None:
    joblib = pytest.importorskip("joblib")
    session = network((4, 9, 3)).session()
    found = joblib.Parallel(n_jobs=2)(joblib.delayed(session)(X[i : i + 10]) for i in range(0, 90, 10))
    assert_same_bits(np.concatenate(found), session(X))


# --- layers that the native session does not know ---


def test_operations_that_are_known_but_no_row_are_not_laid_out() -> None:
    specs = [ActivationSpec(0, 3, "relu"), DropoutSpec(1, 3, 0.5), ActivationSpec(2, 3, "tanh")]
    assert Weights.can_lay_out(Plan(specs))
    assert not Weights.can_lay_out(Plan(specs, sources=[(-1,), (-1,), (1,)]))


def test_a_graph_that_is_a_row_is_native_and_others_answer_all_the_same() -> None:
    a = Input(4)
    h = Dense(6, activation="relu")(a)
    row = Model(inputs=a, outputs=Dense(2)(GaussianNoise(0.3)(Dropout(0.5)(h))), seed=1)
    assert check(row, data(9, 4)).native
    for model in (two_inputs(), Model([Input(4), Residual([Dropout(0.5), Dense(4)]), BatchNorm(), Dense(2)], seed=1)):
        model.finalize()
        session = check(trained_norms(model, 3), data(40, model.plan.n_in))
        assert not session.native
        want, x = session(data(6, session.n_in)), data(6, session.n_in)
        model.plan.params[...] = 0
        assert_same_bits(session(x), want)
        assert_same_bits(pickle.loads(pickle.dumps(session))(x), want)
        assert_same_bits(copy.deepcopy(session)(x), want)


def test_several_inputs_come_as_predict_takes_them() -> None:
    model, a, b = two_inputs(), data(8, 4), data(8, 3, "uint8")
    session, want = model.session(), model.predict([a, b])
    assert_same_bits(session([a, b]), want)
    assert_same_bits(session((a.tolist(), b)), want)
    assert_same_bits(session({"b": b, "a": a}), want)
    assert_same_bits(session(np.concatenate([a, b], axis=1)), want)
    assert_same_bits(session(np.concatenate([a, b], axis=1)[0]), want[0])
    out = np.empty((8, 3), np.float32)
    assert session.run([a, b], out=out) is out
    assert_same_bits(out, want)
    one = Model(inputs=(x := Input(4, name="x")), outputs=Dense(3)(x), seed=0)
    assert one.session().native
    assert_same_bits(one.session()({"x": a}), one.predict(a))
    assert_same_bits(one.session()([a]), one.predict(a))
    assert_same_bits(one.session()(a[0].tolist()), one.predict(a)[0])
    for bad, text in (
        ([a], r"x: expected a list of 2 arrays, one for each input, or one array of 7 columns, got a list of 1"),
        ([b, a], r"x\[0\]: expected .* 4"),
        ([a, b[:5]], r"x\[1\]: expected 8 rows, as many as x\[0\], got 5"),
        ({"a": a, "c": b}, "x: expected a dict of 'a', 'b', the names of the inputs, got 'a', 'c'"),
    ):
        with pytest.raises(ValueError, match=text):
            session(bad)


def test_a_swap_keeps_the_inputs_apart() -> None:
    session, x = two_inputs().session(), data(5, 7)
    for other, got in ((two_inputs(split=3), "3 'a' [+] 4 'b'"), (two_inputs(name="c"), "4 'a' [+] 3 'c'")):
        with pytest.raises(ValueError, match=f"model: expected 4 'a' [+] 3 'b' inputs, .* got {got} inputs, 3 outputs"):
            session.swap(other)
    with pytest.raises(ValueError, match="got 7 inputs, 3 outputs"):
        session.swap(network((7, 3)))
    session.swap(other := two_inputs(seed=5))
    assert_same_bits(session([x[:, :4], x[:, 4:]]), other.predict(x))


class Cube(custom.Activation):
    def formula(self, x: Array) -> Array:
        return x**3 / 3


class Failing(custom.Activation):
    def formula(self, x: Array) -> Array:
        if np.isnan(x).any():
            raise ZeroDivisionError("a NaN")
        return x


def test_layers_in_python_run_too() -> None:
    model = Model(
        [Dense(4, 9), Cube(), Residual([Dense(9, activation=Cube())]), Dense(3, activation="softmax")], seed=2
    )
    x = data(500, 4) / 40
    session = check(model, x)
    assert not session.native
    assert repr(session).endswith("as predict runs it)")
    check(model, x.astype(np.float64)[::-1, ::-1])
    check(model, x > 0)
    check(model, x.astype(np.uint8))
    want = session(x)
    model.layers[0].weights[...] = 0
    assert_same_bits(session(x), want)
    assert_same_bits(pickle.loads(pickle.dumps(session))(x), want)
    native = network((4, 3))
    session.swap(native)
    assert session.native
    assert_same_bits(session(x), native.predict(x))


def test_what_a_layer_in_python_raises_comes_out() -> None:
    session = Model([Dense(4, 3), Failing()], seed=2).session()
    want = session(X)
    with pytest.raises(ZeroDivisionError, match="a NaN"):
        session(X * np.nan)
    assert_same_bits(session(X), want)
