"""Graphs and residuals as a user meets them: inputs, files, summaries, and what is refused in which words."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from compare import Array, assert_same_bits

import fastnn
from fastnn import (
    Add,
    Concatenate,
    Dense,
    Dropout,
    FormatError,
    Input,
    Model,
    Multiply,
    ReLU,
    Rescale,
    Residual,
    checkpoint,
    fit_many,
)  # fmt: skip
from fastnn import callbacks as cb

RNG = np.random.default_rng(2)
A, B = RNG.standard_normal((60, 4)).astype(np.float32), RNG.standard_normal((60, 3)).astype(np.float32)
Y = (A[:, 0] * B[:, 0] > 0).astype(np.int64)
WIDE = np.hstack([A, B])


def two(seed: int = 1, **options: Any) -> Model:
    a, b = Input(4, name="a"), Input(3, name="b")
    h = Dense(16, activation="relu")(a)
    y = Residual([Dense(8, activation="tanh"), Dropout(0.1), Dense(19)])(Concatenate()([h, b]))
    model = Model(inputs=[a, b], outputs=Dense(2, activation="softmax")(y), seed=seed, **options)
    model.set(loss="categorical_crossentropy", optimizer="adam")
    return model


# --- several inputs ---


@pytest.mark.parametrize("X", [[A, B], (A, B), {"b": B, "a": A}, WIDE, [A.tolist(), B]], ids=["list", "tuple", "dict",
                         "one", "nested"])  # fmt: skip
def test_arrays_of_inputs_are_one_array_with_their_columns(X: Any) -> None:
    model, other = two(), two()
    model.train(X, Y, epochs=3, batch_size=16, shuffle=True, validation_data=(X, Y))
    other.train(WIDE, Y, epochs=3, batch_size=16, shuffle=True, validation_data=(WIDE, Y))
    assert_same_bits(model.plan.params, other.plan.params)
    assert model.history.state() == other.history.state()
    assert_same_bits(model.predict(X), other.predict(WIDE))
    assert_same_bits(model(X), other.predict(WIDE))
    assert model.evaluate(X, Y) == other.evaluate(WIDE, Y)
    assert model.train_on_batch(X, Y) == other.train_on_batch(WIDE, Y)
    assert model.test_on_batch(X, Y) == other.test_on_batch(WIDE, Y)
    assert fastnn.check_gradients(model, X, Y, samples=4)
    model.fit(X, Y, validation_split=0.2, sample_weight=np.ones(60))
    model.train_stream([(X, Y)])


def test_a_metric_sees_predictions_of_all_inputs() -> None:
    def first(y_true: Array, y_pred: Array) -> float:
        return float(y_pred[0, 0])

    model = two()
    model.set(metrics=[first])
    model.train([A, B], Y, validation_data=([B[:, [0, 0, 0, 0]], B], Y))
    assert model.history["first"][-1] == model.predict([A, B])[0, 0]
    assert model.history["val_first"][-1] == model.predict([B[:, [0, 0, 0, 0]], B])[0, 0]


def test_a_column_may_be_a_vector_and_one_input_takes_a_list_or_a_dict() -> None:
    a, b = Input(1), Input(2)
    model = Model(inputs=[a, b], outputs=Concatenate()([b, a]))
    assert model.predict([np.arange(3), np.ones((3, 2))]).tolist() == [[1, 1, 0], [1, 1, 1], [1, 1, 2]]
    c = Input(2, name="c")
    model = Model(inputs=c, outputs=Add()([c, c]))
    for X in ([B[:, :2]], {"c": B[:, :2]}, B[:, :2], B[:, :2].tolist()):
        assert_same_bits(model.predict(X), B[:, :2] + B[:, :2])


def test_types_of_inputs_are_promoted_and_one_type_is_kept() -> None:
    a, b = Input(2), Input(2)
    model = Model(inputs=[a, b], outputs=Multiply()([Rescale(1 / 255)(a), b]), seed=0)
    pixels = RNG.integers(0, 256, (9, 2)).astype(np.uint8)
    want = model.predict(np.hstack([pixels.astype(np.float32), B[:9, :2]]))
    assert_same_bits(model.predict([pixels, B[:9, :2]]), want)
    assert model._side_by_side("X", [pixels, pixels]).dtype == np.uint8


def test_fit_many_takes_lists_for_graphs() -> None:
    models = [two(seed) for seed in (1, 2, 3)]
    fit_many(models, [A, B], Y, epochs=2, n_jobs=2)
    alone = two(2)
    alone.fit([A, B], Y, epochs=2)
    assert_same_bits(models[1].plan.params, alone.plan.params)


@pytest.mark.parametrize(
    ("X", "error", "text"),
    [
        ([A], ValueError, "X: expected a list of 2 arrays, one for each input, or one array of 7 columns, got a list"),
        ([A, B, B], ValueError, "got a list of 3"),
        ([A, A], ValueError, r"X\[1\]: expected input of shape \(rows, 3\), got \(60, 4\)"),
        ([A, B[:7]], ValueError, r"X\[1\]: expected 60 rows, as many as X\[0\], got 7"),
        ([A, None], TypeError, r"X\[1\]: expected an array, got None"),
        ([A, B[0]], ValueError, r"X\[1\]: expected 2 dimensions"),
        ({"a": A}, ValueError, "X: expected a dict of 'a', 'b', the names of the inputs, got 'a'"),
        ({"a": A, "c": B}, ValueError, "got 'a', 'c'"),
        ({"a": A, "b": A}, ValueError, r"X\['b'\]: expected input of shape \(rows, 3\)"),
        (A, ValueError, r"X: layer 0: expected input of shape \(rows, 7\), got \(60, 4\)"),
    ],
)  # fmt: skip
def test_other_arrays_are_refused(X: Any, error: type[Exception], text: str) -> None:
    model = two()
    with pytest.raises(error, match=text):
        model.train(X, Y)
    model.finalize()
    before = model.plan.params.tobytes()
    for call in (lambda: model.predict(X), lambda: model.evaluate(X, Y), lambda: model.train_on_batch(X, Y)):
        with pytest.raises(error, match=text):
            call()
    with pytest.raises(error, match=text.replace("X", r"validation_data\[0\]", 1).replace("X", ".*")):
        model.train([A, B], Y, validation_data=(X, Y))
    assert model.plan.params.tobytes() == before


def test_a_dict_needs_names() -> None:
    a, b = Input(4, name="a"), Input(3)
    model = Model(inputs=[a, b], outputs=Concatenate()([a, b]))
    with pytest.raises(
        TypeError, match=r"X: a dict goes by the names of the inputs, and not all have one: Input\(4, n"
    ):
        model.predict({"a": A, "b": B})


# --- files ---


def test_a_file_holds_the_graph(tmp_path: Path) -> None:
    straight, stopped = two(), two()
    options: dict[str, Any] = {"batch_size": 16, "shuffle": True}
    straight.train([A, B], Y, epochs=4, **options)
    stopped.train([A, B], Y, epochs=2, **options)
    stopped.save(tmp_path / "m.fnn")
    loaded = Model.load(tmp_path / "m.fnn")
    assert_same_bits(loaded.predict({"a": A, "b": B}), stopped.predict(WIDE))
    loaded.train([A, B], Y, epochs=2, **options)
    resumed = two(seed=9)
    resumed.train([A, B], Y, epochs=4, resume=tmp_path / "m.fnn", **options)
    for model in (loaded, resumed):
        assert_same_bits(model.plan.params, straight.plan.params)
    assert repr(loaded) == repr(stopped)
    loaded.save(tmp_path / "again.fnn")
    assert loaded.summary() == straight.summary()
    assert "layer5.weights" in checkpoint.load(tmp_path / "m.fnn")[1]


def test_a_broken_epoch_is_resumed_and_the_best_weights_come_back(tmp_path: Path) -> None:
    whole = two()
    early = cb.EarlyStopping("loss", patience=50, restore_best=True)
    steps = cb.LambdaCallback(on_batch_end=lambda b, logs: whole.steps_done == 6 and whole.save(tmp_path / "m.fnn"))
    whole.train([A, B], Y, epochs=5, batch_size=16, shuffle=True, callbacks=[early, steps])
    again = two()
    again.train([A, B], Y, epochs=5, batch_size=16, shuffle=True, resume=tmp_path / "m.fnn",
                callbacks=[cb.EarlyStopping("loss", patience=50, restore_best=True)])  # fmt: skip
    assert_same_bits(again.plan.params, whole.plan.params)


def test_another_graph_is_not_resumed(tmp_path: Path) -> None:
    model = two()
    model.train([A, B], Y)
    model.save(tmp_path / "m.fnn")
    a, b = Input(4, name="a"), Input(3, name="b")
    h = Dense(16, activation="relu")(a)
    y = Residual([Dense(8, activation="tanh"), Dropout(0.1), Dense(19)])(Concatenate()([b, h]))
    other = Model(inputs=[a, b], outputs=Dense(2, activation="softmax")(y))
    other.set(loss="categorical_crossentropy", optimizer="adam")
    with pytest.raises(ValueError, match="holds another model: the graph: expected"):
        other.train([A, B], Y, resume=tmp_path / "m.fnn")


@pytest.mark.parametrize(
    "graph",
    [None, [], [[], [], [0], [2, 1], [3]], [[], [], [0], [2, 1], [3], [5]], [[], [], [0], [2, 1], [4], [3]],
     [[], [], [0], [2, -1], [3], [4]], [[], [0], [0], [2, 1], [3], [4]], [[], [], [0, 1], [2, 1], [3], [4]],
     [[], [], [0], [2, 1], [3], [3]], [[], [], [0], [2, 1], [3], [True]], [[], [], [0], [2, 2], [3], [4]], "graph"],
)  # fmt: skip
def test_a_file_with_a_graph_that_is_none_is_refused(graph: Any, tmp_path: Path) -> None:
    model = two()
    model.finalize()
    description, tensors = fastnn._model_file.describe(model)
    description["graph"] = graph
    checkpoint.save(tmp_path / "m.fnn", description, tensors)
    with pytest.raises(
        FormatError, match=r"graph: (these sources make no graph of 6 layers|expected the last layer to be the only)"
    ):
        Model.load(tmp_path / "m.fnn")


def test_a_residual_is_saved_with_its_projection(tmp_path: Path) -> None:
    layers = [
        Residual([Dense(5, activation="relu"), Residual([Dense(5)])], projection=Dense(5, weight_initializer="zeros"))
    ]
    model = Model([*layers, Dense(2, activation="softmax")], seed=1)
    model.set(loss="cce", optimizer="adam")
    model.train(A, Y, epochs=2)
    model.save(tmp_path / "m.fnn")
    loaded = Model.load(tmp_path / "m.fnn")
    assert repr(loaded) == repr(model)
    for other in (model, loaded):
        other.train(A, Y, epochs=2)
    assert_same_bits(loaded.plan.params, model.plan.params)
    assert loaded.layers[0].projection.weights.any()


# --- residuals ---


def test_parameters_of_held_layers_are_reached_and_have_streams_of_their_own() -> None:
    block = Residual([Dense(6, activation="relu"), Residual([Dense(6)]), Dense(6)])
    model = Model([Dense(6), block, Dense(6)], seed=4)
    model.finalize(6)
    assert [layer.index for layer in model.numbered] == list(range(7))
    assert [type(layer).__name__ for layer in model.numbered[1:4]] == ["Residual", "Dense", "Residual"]
    weights = [
        layer.weights for layer in (model.layers[0], block.layers[0], block.layers[1].layers[0], block.layers[2])
    ]
    assert len({w.tobytes() for w in weights}) == 4
    block.layers[0].weights = np.ones((6, 6))
    assert model.get_parameters()[1][0].sum() == 36
    assert (block.n_in, block.n_out, block.parameter_count) == (6, 6, 3 * 42)
    assert model.parameter_count == 5 * 42
    plain = Model([Dense(6), Dense(6)], seed=4)  # numbers, and with them streams, are those of the order
    plain.finalize(6)
    assert_same_bits(plain.layers[0].weights, model.layers[0].weights)


def test_masks_of_held_dropouts_differ() -> None:
    model = Model([Residual([Dropout(0.5)]), Residual([Residual([Dropout(0.5)])])], seed=1)
    model.finalize(64)
    streams = [layer.index for layer in model.numbered if isinstance(layer, Dropout)]
    assert streams == [1, 4]


def test_a_block_of_zeros_does_nothing() -> None:
    block = Residual([Dense(9, activation="gelu"), Dense(4, weight_initializer="zeros")])
    model = Model([block])
    assert_same_bits(model.predict(A), A)


def test_a_wider_block_is_the_sum_of_both() -> None:
    block = Residual([Dense(5)], projection=True)
    model = Model([block], seed=3, dtype="float64")
    got = model.predict(A)
    X = A.astype(np.float64)
    want = X @ block.layers[0].weights + X @ block.projection.weights
    np.testing.assert_allclose(got, want, rtol=1e-12)
    assert (block.n_in, block.n_out) == (4, 5)


def test_copies_hold_layers_of_their_own() -> None:
    block = Residual([Dense(4)], projection=True)
    other = copy.copy(block)
    assert other.layers[0] is not block.layers[0]
    assert other.projection is not block.projection


# --- what is shown ---


def test_summary_says_what_each_reads(capsys: pytest.CaptureFixture[str]) -> None:
    model = two()
    text = model.summary()
    assert "not finalized: parameters are allocated" in text
    assert all(layer.n_in is None and layer.n_out is None for layer in model.numbered)
    model.finalize()
    assert model.summary() == text.rpartition("\n")[0]  # its inputs had said all widths
    lines = [line.split() for line in model.summary().splitlines()]
    assert lines[0] == ["layer", "output", "shape", "reads", "parameters", "memory", "FLOPs/row"]
    assert lines[2][:7] == ["0", "Input", "'a'", "(rows,", "4)", "X[:,", "0:4]"]
    assert lines[3][:7] == ["1", "Input", "'b'", "(rows,", "3)", "X[:,", "4:7]"]
    assert lines[5][:6] == ["3", "Concatenate", "(rows,", "19)", "2,", "1"]
    assert lines[6][:7] == ["4", "Residual", "(rows,", "19)", "3,", "7", "331"]
    assert lines[7][:7] == ["5", "Dense", "(tanh)", "(rows,", "8)", "3", "160"]
    chain = Model([Dense(4, 3)])
    chain.finalize()
    assert "reads" not in chain.summary()


def test_errors_of_training_name_held_layers() -> None:
    model = Model([Residual([Dense(4), Dense(4)]), Dense(2)], seed=0)
    model.set(loss="mse", optimizer="sgd")
    model.finalize(4)
    model.layers[0].layers[1].weights[0, 0] = np.nan
    with pytest.raises(FloatingPointError, match=r"the weights of layer 2 \(Dense\) are not finite"):
        model.train(A, np.zeros((60, 2)))
    with pytest.raises(ValueError, match=r"layer 2 \(Dense\): expected weights of shape \(4, 4\)"):
        model.set_parameters([(np.zeros((n, 4)), np.zeros((1, 4))) for n in (4, 3, 4)])


# --- what is refused ---


def graph(*outputs: Any, inputs: Any = None) -> Model:
    return Model(inputs=inputs, outputs=outputs[0] if len(outputs) == 1 else list(outputs))


def twice() -> Any:
    layer, a = Dense(3), Input(4)
    layer(a)
    return layer(a)


def used_up() -> Any:
    layer = Dense(4, 3)
    Model([layer]).finalize()
    return layer(Input(4))


a, b, free = Input(4, name="a"), Input(3), Input(2)
wide = Dense(7)(a)
REFUSED: list[tuple[str, Any, type[Exception], str]] = [
    ("used twice", twice, ValueError, r"layer \(Dense\): a layer is called once: make a second one \(sharing"),
    ("of a model", used_up, ValueError, r"layer 0 \(Dense\): a layer is called once"),
    ("on an array", lambda: Dense(3)(A), TypeError, "Dense: expected an Input or what .* got ndarray: arrays go to th"),
    ("on a layer", lambda: Dense(3)(ReLU()), TypeError, r"got ReLU: call it first, as in ReLU\(\.\.\.\)\(node\)"),
    ("on a list", lambda: Dense(3)([a, b]), TypeError, r"Dense: expected one node, got list: join several by Add\(\)"),
    ("Add of one", lambda: Add()(a), TypeError, r"Add: expected a list of nodes, as in Add\(\)\(\[a, b\]\), got Input"),
    ("Add of a list of one", lambda: graph(Add()([a]), inputs=a), ValueError, r"layer 1 \(Add\): joins two or more"),
    ("Add in a chain", lambda: Model([Dense(4, 3), Add()]).finalize(), ValueError, r"layer 1 \(Add\): joins .* layer"),
    ("an Input called", lambda: Input(3)(a), TypeError, "Input: a graph begins with it"),
    ("widths", lambda: graph(Add()([a, b]), inputs=[a, b]), ValueError,
     r"layer 2 \(Add\): expected values of equal width, got 4 \(layer 0 \(Input\)\), 3 \(layer 1 \(Input\)\)"),
    ("widths of a product", lambda: graph(Multiply()([wide, a]), inputs=a), ValueError, r"7 \(layer 1 \(Dense\)\), 4"),
    ("a width stated", lambda: graph(Dense(5, 3)(wide), inputs=a), ValueError,
     r"layer 2 \(Dense\): expected input of width 5, but layer 1 \(Dense\) gives 7"),
    ("unused", lambda: graph(wide, inputs=[a, b]), ValueError, r"inputs\[1\]: nothing that leads to the output reads"),
    ("missing", lambda: graph(Concatenate()([wide, free]), inputs=a), ValueError, r"Input\(n_inputs=2\) is read on th"),
    ("given twice", lambda: graph(wide, inputs=[a, a]), ValueError, r"inputs\[1\]: Input\(n_inputs=4, name='a'\) is g"),
    ("same names", lambda: graph(Concatenate()([a, Input(2)]), inputs=[a, Input(3, name="a")]), ValueError,
     "inputs: two have the same name: 'a', 'a'"),
    ("two outputs", lambda: graph(wide, b, inputs=[a, b]), ValueError, "outputs: expected one, got 2; join them by"),
    ("no outputs", lambda: Model(inputs=a), TypeError, "outputs: a graph needs both inputs= and outputs="),
    ("no inputs", lambda: Model(outputs=wide), TypeError, "inputs: a graph needs both"),
    ("inputs of nodes", lambda: graph(wide, inputs=[wide]), TypeError, r"inputs\[0\]: expected an Input, got <output"),
    ("outputs of layers", lambda: graph(Dense(3), inputs=a), TypeError, "outputs: expected an Input or .* got Dense:"),
    ("both forms", lambda: Model([Dense(3)], inputs=a, outputs=wide), ValueError, "layers: expected none beside input"),
    ("add to a graph", lambda: graph(wide, inputs=a).add(Dense(3)), ValueError, "the model is a graph: call the layer"),
    ("add of a called one", lambda: Model([wide.layer]), ValueError, r"layer \(Dense\) is part of a graph"),
    ("another width", lambda: graph(wide, inputs=a).finalize(5), ValueError, "n_inputs: the inputs .* 4 columns .* go"),
    ("a name", lambda: Input(3, name=4), TypeError, "name: expected a string, got 4"),
    ("no layers held", lambda: Residual([]), ValueError, "layers: expected at least one"),
    ("no layer held", lambda: Residual([Dense(3), "relu"]), TypeError, r"layers\[1\]: expected a Layer, got 'relu'"),
    ("a merge held", lambda: Residual([Add()]), TypeError, r"layers\[0\]: Add has no place in a row of layers"),
    ("an input held", lambda: Residual([Input(3)]), TypeError, r"layers\[0\]: Input has no place"),
    ("another projection", lambda: Residual([Dense(3)], projection="yes"), TypeError, "projection: expected True, Fal"),
    ("no projection needed", lambda: Residual([ReLU()], projection=True), ValueError, "projection: the layers have th"),
    ("unequal", lambda: Model([Residual([Dense(3)])]).finalize(4), ValueError,
     r"layer 0 \(Residual\): the input has width 4 and its layers give 3, .* end them with Dense\(4\), or pass projec"),
    ("projected wrong", lambda: Model([Residual([Dense(3)], projection=Dense(5))]).finalize(4), ValueError,
     r"layer 0 \(Residual\): the projection has width 5 and its layers give 3"),
    ("widths held", lambda: Model([Residual([Dense(3), Dense(2, 4)])]).finalize(4), ValueError,
     r"layer 2 \(Dense\): expected input of width 2, but layer 1 \(Dense\) gives 3"),
    ("held twice", lambda: Model([Residual([wide_one, wide_one])]).finalize(4), ValueError,
     r"layer 2 \(Dense\) is layer 1 \(Dense\) once more: make a new one"),
    ("held and beside", lambda: Model([wide_one, Residual([wide_one])]).finalize(4), ValueError, "is layer 0 .* once"),
    ("too many", lambda: Model([Residual([ReLU() for _ in range(4096)])]).finalize(4), ValueError, "at most 4096 laye"),
]  # fmt: skip
wide_one = Dense(4)


@pytest.mark.parametrize(("call", "error", "text"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_it_is_refused_in_these_words(call: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        call()


def test_two_models_do_not_share_a_layer() -> None:
    x = Input(3)
    h = Dense(4)(x)
    first, second = Model(inputs=x, outputs=h), Model(inputs=x, outputs=ReLU()(h))
    first.finalize()
    with pytest.raises(ValueError, match="belongs to another model: make a new one"):
        second.finalize()
    assert first.layers[1].index == 1


def test_the_width_is_found_behind_what_keeps_it() -> None:
    model = Model([Residual([ReLU()]), Residual([ReLU(), Dense(4, 9), Dense(4)])])
    model.finalize()
    assert model.plan.n_in == 4
    with pytest.raises(ValueError, match="the width of the input is not known"):
        Model([Residual([Dense(4)])]).finalize()
    Model([Residual([Dense(4)])]).predict(A)
