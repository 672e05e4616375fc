"""Model, after the API page: layers and sizes, live weights, files."""

from __future__ import annotations

import gc
from pathlib import Path

import numpy as np
import pytest
from compare import assert_same_bits
from small import X, Y, bits, classifier

import fastnn
from fastnn import Dense, Dropout, FormatError, Input, Model, ReLU, Rescale, Softmax
from fastnn.losses import CategoricalCrossentropy
from fastnn.optimizers import SGD, Adam

# --- description ---


def test_the_books_verbs_and_the_short_form_are_one_model() -> None:
    book = Model(seed=1)
    for layer in (Dense(4, 16), ReLU(), Dropout(0.1), Dense(16, 3), Softmax()):
        book.add(layer)
    book.set(loss=CategoricalCrossentropy(), optimizer=Adam(0.01, decay=1e-3), accuracy="categorical")
    book.finalize()
    assert [layer.n_out for layer in book.layers] == [16, 16, 16, 3, 3]
    assert book.parameter_count == 5 * 16 + 17 * 3
    short = classifier()
    short.finalize(4)
    assert short.parameter_count == book.parameter_count
    short.set_parameters(book.get_parameters())
    assert_same_bits(short.predict(X), book.predict(X))


def test_finalize_happens_by_itself_and_only_once() -> None:
    model = classifier()
    assert model.parameter_count == 0
    model.predict(X)
    assert model.parameter_count == 5 * 16 + 17 * 3
    before = bits(model)
    model.finalize()
    model.finalize(4)
    assert bits(model) == before
    with pytest.raises(ValueError, match="finalized: layers cannot be added"):
        model.add(Dense(2))


def test_widths_may_come_from_input_or_a_later_layer() -> None:
    for layers in ([Input(4), Dense(3)], [Rescale(2.0), Dense(4, 3)], [ReLU(), Dropout(0.5), Dense(4, 3)]):
        model = Model(layers, seed=1)
        model.finalize()
        assert model.predict(X).shape == (90, 3)


def test_models_without_parameters_work() -> None:
    for layers in ([Input(4)], [Rescale(2.0, 1.0)], [ReLU()], [Input(4), Dropout(0.5)]):
        model = Model(layers, seed=1)
        want = {Rescale: X * 2 + 1, ReLU: np.maximum(X, 0)}.get(type(layers[0]), X)
        assert_same_bits(model.predict(X), want)
        model.set(loss="mse", optimizer="adam")
        model.train(X, X, epochs=2, batch_size=8)
        assert model.evaluate(X, want).loss == 0
        assert model.get_parameters() == []


def test_a_layer_belongs_to_one_model() -> None:
    layer = Dense(4, 3)
    model, other = Model([layer], seed=1), Model([layer], seed=2)
    with pytest.raises(ValueError, match="belongs to a model already"):
        model.add(layer)
    model.finalize()
    want = bits(model)
    with pytest.raises(ValueError, match=r"layer 0 \(Dense\) belongs to another model"):
        other.finalize()
    with pytest.raises(ValueError, match="belongs to a model already"):
        Model([layer])
    assert bits(model) == want
    assert_same_bits(layer.weights, model.get_parameters()[0][0])


def test_a_finalize_that_fails_can_be_done_again() -> None:
    model = Model([Dense(2**31 - 1), Dense(3)])
    with pytest.raises(MemoryError, match="GiB"):
        model.finalize(2**31 - 1)
    assert all(layer.index is None for layer in model.layers)


def test_set_keeps_what_is_not_given_and_nothing_of_a_bad_call() -> None:
    model = classifier()
    loss, optimizer = model.loss, model.optimizer
    with pytest.raises(ValueError, match="unknown name 'nonsense'"):
        model.set(loss="mse", optimizer="nonsense")
    assert model.loss is loss
    assert model.optimizer is optimizer
    model.set(loss="mse")
    assert model.optimizer is optimizer
    model.set(optimizer=SGD)
    assert type(model.loss).__name__ == "MeanSquaredError"


def test_a_new_optimizer_starts_anew_and_the_old_one_goes_on() -> None:
    model = classifier()
    model.train(X, Y, epochs=2)
    assert model.steps_done == 2
    model.set(loss="categorical_crossentropy")
    assert model.steps_done == 2
    model.set(optimizer="adam")
    assert (model.steps_done, model.epochs_done, model.plan.states) == (0, 0, [])
    model.train(X, Y)
    assert model.steps_done == 1


# --- weights ---


def test_weights_are_live_views_that_outlive_the_model() -> None:
    model = classifier()
    model.finalize(4)
    first = model.layers[0]
    w = first.weights
    before = model.predict(X)
    w[...] = 0
    assert not np.array_equal(model.predict(X), before)
    model.train(X, Y)
    assert np.shares_memory(w, first.weights)
    assert_same_bits(w, first.weights)
    kept = w.copy()
    del model, first
    gc.collect()
    assert_same_bits(w, kept)


def test_assignment_copies_checks_shapes_and_converts() -> None:
    model = classifier()
    model.finalize(4)
    layer = model.layers[0]
    view, new = layer.weights, np.ones((4, 16))
    layer.weights = new
    new[...] = 7
    assert (view == 1).all()
    assert view.dtype == np.float32
    layer.biases = np.arange(16)
    assert_same_bits(layer.biases, np.arange(16, dtype=np.float32)[None])
    for bad in (np.ones((16, 4)), np.ones(64), 1.0):
        with pytest.raises(ValueError, match=r"layer 0 \(Dense\): expected weights of shape \(4, 16\)"):
            layer.weights = bad
    assert (view == 1).all()


def test_get_and_set_parameters_copy_and_check_everything_first() -> None:
    model, other = classifier(), classifier(seed=2)
    model.train(X, Y, epochs=3)
    other.finalize(4)
    parameters = model.get_parameters()
    assert [w.shape for w, _ in parameters] == [(4, 16), (16, 3)]
    assert not np.shares_memory(parameters[0][0], model.layers[0].weights)
    other.set_parameters(parameters)
    assert_same_bits(other.predict(X), model.predict(X))
    before = bits(other)
    with pytest.raises(ValueError, match=r"layer 2 \(Dense\): expected weights of shape \(16, 3\)"):
        other.set_parameters([(np.ones((4, 16)), np.ones((1, 16))), (np.ones((3, 16)), np.ones((1, 3)))])
    assert bits(other) == before


# --- files ---


def test_a_file_holds_everything(tmp_path: Path) -> None:
    model = classifier(seed=2**64 - 1, dtype="float64")
    model.metadata = {"classes": ["a", "b", "c"], "nested": {"x": [1, 2.5, None, True]}, "text": "grün"}
    model.train(X, Y, epochs=3, batch_size=20, shuffle=True, validation_data=(X, Y))
    model.save(tmp_path / "m.fnn")
    loaded = Model.load(str(tmp_path / "m.fnn"))
    assert repr(loaded) == repr(model)
    assert (loaded.metadata, loaded.seed, loaded.dtype) == (model.metadata, model.seed, model.dtype)
    assert loaded.history.state() == model.history.state()
    assert repr(loaded.optimizer) == repr(model.optimizer)
    for m in (model, loaded):
        m.train(X, Y, epochs=2, batch_size=20, shuffle=True)
    assert bits(loaded) == bits(model)
    assert [p.name for p in tmp_path.iterdir()] == ["m.fnn"]


def test_every_kind_of_layer_survives_the_file(tmp_path: Path) -> None:
    layers = [
        Input(4),
        Rescale(0.5, -1.0),
        Dense(5, weight_regularizer_l1=0.1, weight_initializer="book"),
        Dropout(0.3),
        Dense(5, 2, activation="sigmoid"),
    ] + [fastnn.activations.Activation.resolve(n) for n in ("tanh", "step", "linear")]
    model = Model(layers, seed=5)
    model.finalize()
    model.save(tmp_path / "m.fnn")
    loaded = Model.load(tmp_path / "m.fnn")
    assert repr(loaded) == repr(model)
    assert_same_bits(loaded.predict(X), model.predict(X))
    assert loaded.loss is None
    assert loaded.optimizer is None


def test_damaged_and_foreign_files_are_refused(tmp_path: Path) -> None:
    model = classifier()
    model.train(X, Y)
    path = tmp_path / "m.fnn"
    model.save(path)
    good = path.read_bytes()
    rng = np.random.default_rng(1)
    for place in [0, 8, 20, len(good) - 1, *rng.integers(0, len(good), 200)]:
        bad = bytearray(good)
        bad[place] ^= 1 << int(rng.integers(0, 8))
        path.write_bytes(bad)
        with pytest.raises(FormatError):
            Model.load(path)
    for bad in (b"", b"text", good[:-1], good[:100], good + b"\0"):
        path.write_bytes(bad)
        with pytest.raises(FormatError):
            Model.load(path)
    with pytest.raises(FileNotFoundError):
        Model.load(tmp_path / "none")
    with pytest.raises(ValueError, match="not finalized"):
        classifier().save(path)


def test_saving_into_no_folder_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    model = classifier()
    model.train(X, Y)
    with pytest.raises(OSError, match="none"):
        model.save(tmp_path / "none" / "m.fnn")
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match="folder"):
        model.save(tmp_path / "folder")
    assert [p.name for p in tmp_path.iterdir()] == ["folder"]
