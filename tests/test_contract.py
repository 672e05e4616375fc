"""The bit contract over whole trainings: instruction sets, fusing, batches, pauses, files, types of data."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from compare import assert_same_bits
from contract_models import CASES, Data, build, floats, labelled, signature, train

from fastnn import Dense, Dropout, LeakyReLU, Model, _core, custom
from fastnn.base import Layer
from fastnn.engine.buffers import Buffers
from fastnn.losses import CategoricalCrossentropy, Loss
from fastnn.optimizers import Optimizer

GOLDEN = json.loads(Path(__file__).with_name("golden.json").read_text())
NAMES = sorted(CASES)


def same_model(a: Model, b: Model, X: Any) -> None:
    assert_same_bits(a.plan.params, b.plan.params, "weights")
    for s, t in zip(a.plan.states, b.plan.states, strict=True):
        assert_same_bits(s, t, "state of the optimizer")
    assert_same_bits(a.predict(X), b.predict(X), "predictions")
    assert a.history.state() == b.history.state()
    assert (a.steps_done, a.epochs_done) == (b.steps_done, b.epochs_done)


@pytest.mark.parametrize("name", NAMES)
def test_hashes_are_golden_on_every_instruction_set(name: str, contract_isa: str, dtype: np.dtype[Any]) -> None:
    model = train(name, build(name, dtype.name))
    assert model.plan.isa == contract_isa
    assert signature(name, model) == GOLDEN[f"{name}, {dtype}"], "bits changed: see tests/make_golden.py"


def test_golden_models_are_all_there_and_cover_what_is_registered() -> None:
    assert set(GOLDEN) == {f"{name}, {dtype}" for name in NAMES for dtype in ("float32", "float64")}
    assert len(set(GOLDEN.values())) > 0.9 * len(GOLDEN)
    models = [build(name, "float32") for name in NAMES]
    layers = [layer for model in models for layer in model.numbered]
    used = {type(layer.activation) for layer in layers if isinstance(layer, Dense)} | {type(layer) for layer in layers}
    assert used >= set(Layer.registry.values())
    assert {type(m.loss) for m in models} == set(Loss.registry.values())
    assert {m.optimizer_object.kernel for m in models} == {*_core.OPTIMIZERS, "lbfgs"}
    assert {type(m.optimizer) for m in models} == set(Optimizer.registry.values())


def test_sse2_is_near_the_contract_without_being_in_it() -> None:
    if "sse2" not in _core.available_isas():
        pytest.skip("sse2 is not built for this architecture")
    X, _ = CASES["batches"].data()
    want = train("batches", build("batches", "float64")).predict(X)
    before = _core.active_isa()
    _core.use_isa("sse2")
    try:
        got = train("batches", build("batches", "float64")).predict(X)
    finally:
        _core.use_isa(before)
    np.testing.assert_allclose(got, want, rtol=1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_fused_is_layer_by_layer(name: str, isa: str, dtype: np.dtype[Any]) -> None:
    X, _ = CASES[name].data()
    fused, plain = (train(name, build(name, dtype.name, fused=f)) for f in (True, False))
    assert fused.plan.fused
    assert not plain.plan.fused
    assert_same_bits(fused.plan.params, plain.plan.params)
    same_model(fused, plain, X)


def chunks_of(rows: int) -> Callable[[Model, int], Buffers]:
    """In place of ``Model.training_buffers``."""

    def buffers(model: Model, batch: int) -> Buffers:
        some = batch if model.plan.whole_batch else min(batch, rows)
        return Buffers(model.plan, some, True, labels=True, head=model.merged, frozen=model.frozen)

    return buffers


@pytest.mark.parametrize("rows", [4, 12])
@pytest.mark.parametrize("name", NAMES)
def test_a_batch_in_chunks_is_the_whole_batch(
    name: str, rows: int, isa: str, dtype: np.dtype[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    X, _ = CASES[name].data()
    whole = train(name, build(name, dtype.name))
    monkeypatch.setattr(Model, "training_buffers", chunks_of(rows))
    same_model(whole, train(name, build(name, dtype.name)), X)


@pytest.mark.parametrize("rows", [4, 12])
@pytest.mark.parametrize("accumulate", [1, 3])
@pytest.mark.parametrize("shuffle", [False, True])
def test_weighted_rows_and_masks_in_chunks_are_those_of_the_whole_batch(
    rows: int, accumulate: int, shuffle: bool, isa: str, dtype: np.dtype[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    X, y = labelled(75, 5, 3)

    def trained() -> Model:
        hidden = Dense(9, activation=LeakyReLU(0.2), weight_regularizer_l2=1e-3, bias_regularizer_l1=1e-3)
        model = Model([hidden, Dropout(0.3), Dense(3, activation="softmax")], seed=2, dtype=dtype)
        model.set(loss=CategoricalCrossentropy(label_smoothing=0.1), optimizer="adam")
        weights = {"sample_weight": np.arange(75) % 7 / 3, "class_weight": {1: 2.5}}
        model.train(
            X, y, epochs=2, batch_size=17, accumulate=accumulate, shuffle=shuffle, validation_split=0.2, **weights
        )
        return model

    whole = trained()
    monkeypatch.setattr(Model, "training_buffers", chunks_of(rows))
    same_model(whole, trained(), X)


def test_a_part_in_python_sees_the_whole_batch() -> None:
    seen = []

    class Watching(custom.Layer):
        def forward(self, x: Any) -> Any:
            seen.append(len(x))
            return x

        def backward(self, dy: Any) -> Any:
            seen.append(len(dy))
            return dy

    class Squares(custom.Loss):
        def formula(self, p: Any, t: Any) -> Any:
            seen.append(len(p))
            return ((p - t) ** 2).mean(axis=1)

        def derivative(self, p: Any, t: Any) -> Any:
            seen.append(len(p))
            return 2 * (p - t) / p.shape[1]

    X, y = floats(2000, 8, 1)
    for layers, loss in (([Dense(64), Watching()], "mse"), ([Dense(64)], Squares())):
        model = Model([*layers, Dense(1)], seed=1)
        model.set(loss=loss, optimizer="sgd")
        model.train(X, y)
    assert seen == [2000] * 4


@pytest.mark.parametrize(("width", "batch"), [(1, 10**6), (64, 129), (64, 3000), (2048, 300), (2048, 10**5)])
def test_chunks_cover_the_batch_evenly_in_rows_that_masks_can_start_at(width: int, batch: int) -> None:
    model = Model([Dense(width, width), Dense(width, 3)])
    model.finalize()
    rows = model.plan.chunk_rows(batch)
    assert rows == batch or (rows % 64 == 0 and 64 <= rows < batch)
    assert model.plan.chunk_rows(60) == 60
    if width == 64 and batch == 3000:
        assert rows * 2 * (64 + 3) * 4 < 1.5 * 2**18 * _core.threads()  # each thread has a cache


@pytest.mark.parametrize("name", NAMES)
def test_a_row_is_predicted_alike_in_any_batch(name: str, isa: str, dtype: np.dtype[Any]) -> None:
    model = train(name, build(name, dtype.name), epochs=1)
    X, _ = CASES[name].data()
    X = X[:50]
    whole = model.predict(X)
    assert_same_bits(np.concatenate([model.predict(X[i : i + 1]) for i in range(len(X))]), whole, "row by row")
    for batch in (1, 7, 50, 1000):
        assert_same_bits(model.predict(X, batch_size=batch), whole, f"batch_size {batch}")
    assert_same_bits(model.predict(X[11:30]), whole[11:30])
    assert_same_bits(model.predict(X[::-2]), whole[::-2])


@pytest.mark.parametrize("name", NAMES)
def test_training_in_two_parts_is_training_in_one(name: str, dtype: np.dtype[Any]) -> None:
    X, _ = CASES[name].data()
    once = train(name, build(name, dtype.name), epochs=4)
    twice = train(name, train(name, build(name, dtype.name), epochs=1), epochs=3)
    same_model(once, twice, X)


@pytest.mark.parametrize("name", NAMES)
def test_a_saved_model_goes_on_as_if_never_stopped(name: str, dtype: np.dtype[Any], tmp_path: Path) -> None:
    X, _ = CASES[name].data()
    straight = train(name, build(name, dtype.name), epochs=4)
    stopped = train(name, build(name, dtype.name), epochs=2)
    stopped.save(tmp_path / "model.fnn")
    resumed = Model.load(tmp_path / "model.fnn")
    same_model(stopped, resumed, X)
    same_model(straight, train(name, resumed, epochs=2), X)


def variants(data: Data) -> dict[str, Data]:
    X, y = data
    wide = np.zeros((2 * X.shape[0], 3 * X.shape[1]), X.dtype)
    wide[::2, ::3] = X
    kinds = {
        "float32": X.astype(np.float32),
        "float64": X.astype(np.float64),
        "Fortran order": np.asfortranarray(X),
        "strided": wide[::2, ::3],
        "reversed twice": X[::-1, ::-1].copy()[::-1, ::-1],
        "other byte order": X.astype(np.float64).astype(">f8"),
        "int64": X.astype(np.int64),
        "uint16": X.astype(np.uint16),
        "unaligned": np.frombuffer(b"\0" + X.astype(np.float32).tobytes(), np.uint8)[1:]
        .view(np.float32)
        .reshape(X.shape),
    }
    return {kind: (values, y) for kind, values in kinds.items()} | {"int32 labels": (X, y.astype(np.int32))}


@pytest.mark.parametrize("kind", sorted(variants((np.zeros((1, 1), np.uint8), np.zeros(1, np.int64)))))
@pytest.mark.parametrize("shuffle", [False, True])
def test_the_same_numbers_in_another_type_or_order_train_the_same_bits(
    kind: str, shuffle: bool, isa: str, dtype: np.dtype[Any]
) -> None:
    X, y = CASES["pixels"].data()
    models = []
    for data in ((X, y), variants((X, y))[kind]):
        model = build("pixels", dtype.name)
        model.train(*data, epochs=2, batch_size=64, shuffle=shuffle)
        models.append(model)
    same_model(*models, X)
    assert_same_bits(models[0].predict(variants((X, y))[kind][0]), models[0].predict(X))


def test_targets_in_another_type_or_order_train_the_same_bits(isa: str, dtype: np.dtype[Any]) -> None:
    X, y = CASES["loss binary_crossentropy"].data()
    hashes = set()
    for targets in (
        y,
        y.astype(np.float32),
        np.asfortranarray(y.astype(np.float64)),
        y.astype(bool),
        y[::-1].copy()[::-1],
    ):
        hashes.add(
            build("loss binary_crossentropy", dtype.name).train(X, targets, shuffle=True, batch_size=9)["loss"][0]
        )
    assert len(hashes) == 1


def test_seeds_key_everything_and_different_seeds_differ() -> None:
    def trained(seed: int) -> bytes:
        model = Model([Dense(8, activation="relu"), Dropout(0.5), Dense(2)], seed=seed)
        model.set(loss="mse", optimizer="adam")
        X, y = CASES["regression"].data()
        model.train(X, np.hstack([y, y]), batch_size=8, shuffle=True)
        return model.plan.params.tobytes()

    assert trained(1) == trained(1)
    assert len({trained(seed) for seed in (0, 1, 2, 2**63, 2**64 - 1)}) == 5


def test_labels_train_as_their_one_hot_rows(isa: str, dtype: np.dtype[Any]) -> None:
    X, y = CASES["batches"].data()
    a = train("batches", build("batches", dtype.name))
    b = train("batches", build("batches", dtype.name), (X, np.eye(10)[y]))
    same_model(a, b, X)
