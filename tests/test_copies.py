"""pickle, copy, joblib and processes: a copy of a model goes on as the model would have."""

from __future__ import annotations

import copy
import multiprocessing
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from compare import assert_same_bits
from small import X, Y, bits, classifier

import fastnn
from fastnn import Dense, Model, custom
from fastnn import callbacks as cb
from fastnn.layers import BatchNorm, Concatenate, Input, Normalization, Residual

joblib = pytest.importorskip("joblib")
OPTIONS: dict[str, Any] = {"batch_size": 8, "shuffle": True}


class Half(custom.Layer):
    def __init__(self, factor: float = 0.5) -> None:
        self.factor = factor

    def config(self) -> dict[str, Any]:
        return {"factor": self.factor}

    def forward(self, x: Any) -> Any:
        return x * self.factor

    def backward(self, dy: Any) -> Any:
        return dy * self.factor


class MyDense(Dense):
    """A subclass that goes by the name of its base."""


class Net(Model):
    """A subclass whose constructor takes something else."""

    def __init__(self, hidden: int) -> None:
        super().__init__([Dense(hidden, activation="relu"), Dense(3, activation="softmax")], seed=1)
        self.hidden = hidden


class Cube(custom.Activation):
    def formula(self, x: Any) -> Any:
        return x**3 / 10

    def derivative(self, x: Any) -> Any:
        return 3 * x**2 / 10


def worst(y_true: Any, y_pred: Any) -> float:
    return float(np.abs(y_true - y_pred).max())


def joblib_round(model: Model) -> Any:
    import io

    stream = io.BytesIO()
    joblib.dump(model, stream, compress=3)
    stream.seek(0)
    return joblib.load(stream)


WAYS: dict[str, Any] = {
    "pickle 2": lambda m: pickle.loads(pickle.dumps(m, 2)),
    "pickle 5": lambda m: pickle.loads(pickle.dumps(m, 5)),
    "deepcopy": copy.deepcopy,
    "copy": copy.copy,
    "joblib": joblib_round,
    "bytes": lambda m: Model.from_bytes(m.to_bytes()),
}


def train_on(model: Model) -> Model:
    model.train(X, Y, epochs=3, **OPTIONS)
    return model


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_copy_goes_on_with_the_same_bits(way: str, dtype: str) -> None:
    model = classifier(dtype=dtype)
    early = cb.EarlyStopping(patience=99, restore_best=True)
    model.train(X, Y, epochs=3, validation_data=(X, Y), callbacks=[early], **OPTIONS)
    model.metadata["a"], model.class_labels = [1], ("x", "y", "z")
    copied = WAYS[way](model)
    assert type(copied) is Model
    assert copied.to_bytes() == model.to_bytes()  # with history, states of callbacks and optimizer, labels
    assert not np.shares_memory(copied.plan.params, model.plan.params)
    before = bits(model)
    train_on(copied)
    copied.metadata["a"].append(2)
    assert bits(model) == before
    assert model.metadata == {"a": [1]}
    assert bits(train_on(model)) == bits(copied)
    assert model.history.state() == copied.history.state()


def graph(**options: Any) -> Model:
    a, b = Input(3, name="a"), Input(1, name="b")
    h = Residual([BatchNorm(), Dense(6, activation=Cube), Residual([Dense(6)], projection=Dense(6))], projection=True)(
        Concatenate()([a, b])
    )
    model = Model(inputs=[a, b], outputs=Dense(3, activation="softmax")(h), **options)
    model.set(loss="categorical_crossentropy", optimizer="adam", metrics=["f1", worst])
    return model


@pytest.mark.parametrize("way", [way for way in WAYS if way != "bytes"])
@pytest.mark.parametrize("epochs", [0, 2])
def test_a_graph_is_copied_with_its_moving_averages(way: str, epochs: int) -> None:
    """Before it has sizes, and after training."""
    model, options = graph(seed=1), {"batch_size": 8}
    for _ in range(epochs):
        model.train(X, np.eye(3)[Y], **options)
    copied = WAYS[way](model)
    assert repr(copied) == repr(model)
    assert copied.to_bytes() == model.to_bytes() if epochs else copied._plan is None
    assert list(copied.metrics) == ["f1", "worst"]
    for m in (model, copied):
        m.train({"a": X[:, :3], "b": X[:, 3:]}, np.eye(3)[Y], epochs=2, **options)
    assert copied.to_bytes() == model.to_bytes()
    assert copied.history["f1"] == model.history["f1"]


@pytest.mark.parametrize("way", [way for way in WAYS if way != "bytes"])
def test_what_a_normalization_has_found_is_copied(way: str) -> None:
    model = Model([Dense(4), Normalization(), Dense(2)], seed=1)
    model.layers[1].adapt(X * 3 + 1)  # type: ignore[attr-defined]
    copied = WAYS[way](model)
    for m in (model, copied):
        m.finalize(4)
    assert bits(copied) == bits(model)


def test_layers_of_a_graph_are_copied_without_it() -> None:
    model = graph(seed=1)
    for layer in model.layers:
        again = copy.deepcopy(layer)
        assert (again._node, again.index, repr(again)) == (None, None, repr(layer))


@pytest.mark.parametrize("way", [way for way in WAYS if way != "bytes"])
def test_a_model_without_sizes_can_be_copied(way: str) -> None:
    model = classifier()
    model.class_labels = "a", "b", "c"
    copied = WAYS[way](model)
    assert repr(copied) == repr(model)
    assert (copied.class_labels, copied._plan) == (("a", "b", "c"), None)
    assert bits(train_on(copied)) == bits(train_on(model))
    empty = WAYS[way](Model(seed=3))
    assert (empty.layers, empty.seed) == ([], 3)


def test_parts_in_python_go_by_reference() -> None:
    model = Model([Dense(5), Half(0.25), Dense(3, activation="softmax")], seed=1)
    model.set(loss="categorical_crossentropy", optimizer="adam", metrics=[worst])
    model.train(X, np.eye(3)[Y], epochs=2, **OPTIONS)
    copied = pickle.loads(pickle.dumps(model))
    assert type(copied.layers[1]) is Half
    assert copied.layers[1].factor == 0.25
    assert copied.metrics == {"worst": worst}
    for m in (model, copied):
        m.train(X, np.eye(3)[Y], epochs=2, **OPTIONS)
    assert bits(copied) == bits(model)
    assert copied.history.state() == model.history.state()


def test_a_subclass_stays_one_and_keeps_what_it_has() -> None:
    model = Net(7)
    model.set(loss="categorical_crossentropy", optimizer="adam")
    train_on(model)
    copied = copy.deepcopy(model)
    assert type(copied) is Net
    assert copied.hidden == 7
    assert bits(copied) == bits(model)
    assert type(Net.from_bytes(model.to_bytes())) is Net


def test_two_classes_of_one_name_are_not_mixed_up() -> None:
    model = Model([Dense(4, 2), MyDense(2)], seed=1)
    model.finalize()
    with pytest.raises(TypeError, match="two kinds of part that go by the name 'Dense'"):
        pickle.dumps(model)
    only = Model([MyDense(4, 2)], seed=1)
    only.finalize()
    assert type(copy.deepcopy(only).layers[0]) is MyDense


def test_a_layer_alone_is_copied_as_a_description() -> None:
    model = classifier()
    model.finalize(4)
    for call in (copy.deepcopy, copy.copy, lambda layer: pickle.loads(pickle.dumps(layer))):
        again = Model([call(layer) for layer in model.layers], seed=1)
        assert [repr(layer) for layer in again.layers] == [repr(layer) for layer in model.layers]
        again.finalize(4)
        assert bits(again) == bits(model)
        assert not np.shares_memory(again.plan.params, model.plan.params)


def test_a_pickle_that_is_damaged_says_so() -> None:
    model = train_on(classifier())
    blob = bytearray(pickle.dumps(model))
    at = bytes(blob).index(model.plan.params[:8].tobytes())
    blob[at] ^= 1
    with pytest.raises(fastnn.FormatError, match="damaged"):
        pickle.loads(blob)


@pytest.mark.parametrize("method", [m for m in ("spawn", "forkserver") if m in multiprocessing.get_all_start_methods()])
def test_other_processes_get_and_give_models(method: str) -> None:
    model = train_on(classifier())
    with multiprocessing.get_context(method).Pool(1) as pool:
        there = pool.apply(train_on, (model,))
    assert bits(there) == bits(train_on(model))


def test_joblib_trains_models_in_its_processes(tmp_path: Path) -> None:
    models = [train_on(classifier(seed=s)) for s in range(3)]
    there = joblib.Parallel(n_jobs=2, backend="loky")(joblib.delayed(train_on)(m) for m in models)
    for mine, theirs in zip(models, there, strict=True):
        assert bits(theirs) == bits(train_on(mine))
    joblib.dump(models, tmp_path / "m.joblib")
    for mine, theirs in zip(models, joblib.load(tmp_path / "m.joblib"), strict=True):
        assert_same_bits(theirs.predict(X), mine.predict(X))
