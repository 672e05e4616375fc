"""Normalization of the input: moments of data of every kind, taken by hand or by train, kept in every way."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from compare import Array, assert_near, assert_same_bits, use
from hypothesis import given, settings
from hypothesis import strategies as st

import fastnn
from fastnn import Concatenate, Dense, Input, Model, Normalization, Rescale, Residual, _core, fit_many
from fastnn.layers import _normalization
from fastnn.layers._normalization import moments

RNG = np.random.default_rng(12)
X = RNG.normal(50, [1, 10, 0.1, 0], (200, 4)).astype(np.float32)  # the last column is constant
Y = (X[:, 0] > 50).astype(int)


def make(*layers: Any, dtype: str = "float32") -> Model:
    model = Model([*layers, Dense(2, activation="softmax")], seed=3, dtype=dtype)
    model.set(loss="categorical_crossentropy", optimizer="adam")
    return model


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 400), st.integers(1, 9), st.integers(1, 70), st.sampled_from([0.0, 1.0, 1e6]), st.integers(0, 9))
def test_moments_are_those_of_float64(rows: int, cols: int, block: int, offset: float, seed: int) -> None:
    x = offset + np.random.default_rng(seed).standard_normal((rows, cols))
    before, _normalization.BLOCK = _normalization.BLOCK, block * cols
    try:
        mean, variance = moments("X", x)
    finally:
        _normalization.BLOCK = before
    exact = x.astype(np.longdouble)
    assert np.abs(mean - exact.mean(axis=0)).max() <= 1e-15 * max(offset, 1) * 4
    assert np.abs(variance - exact.var(axis=0)).max() <= 1e-13 * max(1, offset * 1e-3) + 1e-30


def kinds_of_data() -> dict[str, Array]:
    base = RNG.integers(0, 256, (5000, 6)).astype(np.uint8)
    wide = np.zeros((10000, 12), np.float64)
    wide[::2, ::2] = base
    return {
        "uint8": base,
        "float64": base.astype(np.float64),
        "float32, column by column": np.asfortranarray(base.astype(np.float32)),
        "strided": wide[::2, ::2],
        "int64": base.astype(np.int64),
        "foreign byte order": base.astype(">i2"),
        "float16": base.astype(np.float16),
    }


def test_any_type_strides_and_instruction_set_give_the_same_bits(tmp_path: Path) -> None:
    data = kinds_of_data()
    np.save(tmp_path / "x.npy", data["float64"])
    data["memory-mapped"] = np.load(tmp_path / "x.npy", mmap_mode="r")
    want = moments("X", data["uint8"])
    for name, x in data.items():
        for got, wanted in zip(moments("X", x), want, strict=True):
            assert_same_bits(got, wanted, name)
    for isa in _core.available_isas():
        if isa == "sse2":
            continue
        with use(isa):
            for got, wanted in zip(moments("X", data["strided"]), want, strict=True):
                assert_same_bits(got, wanted, isa)


@pytest.mark.parametrize("when", ["before finalize", "after finalize", "by train", "by fit", "after Input"])
def test_adapted_in_each_way_it_is_mean_0_and_variance_1(when: str, isa: str, dtype: np.dtype[Any]) -> None:
    layer = Normalization()
    model = make(*([Input(4)] if when == "after Input" else []), layer, dtype=dtype.name)
    if when == "before finalize":
        layer.adapt(X)
        model.finalize()  # the layer knows its width now
    elif when == "after finalize":
        model.finalize(4)
        assert not layer.adapted
        layer.adapt(X)
    else:
        getattr(model, "fit" if when == "by fit" else "train")(X, Y, epochs=1)
    assert layer.adapted
    exact = X.astype(np.float64)
    assert_near(layer.mean[0], exact.mean(axis=0), 1e-7)
    assert_near(layer.variance[0], exact.var(axis=0), 1e-7)
    alone = Model([Normalization()], dtype=dtype)
    alone.finalize(4)
    alone.set_parameters([(layer.mean, layer.variance)])
    y = alone.predict(X).astype(np.float64)
    assert np.abs(y.mean(axis=0)).max() < 1e-3
    assert np.abs(y.std(axis=0)[:3] - 1).max() < 1e-3
    assert not y[:, 3].any(), "a constant column becomes 0"


def test_train_looks_at_the_training_rows_alone_and_only_once() -> None:
    layer = Normalization()
    model = make(layer)
    model.train(X, Y, validation_split=0.5)
    assert_near(layer.mean[0], X[:100].astype(np.float64).mean(axis=0), 1e-7)
    kept = layer.mean.copy(), layer.variance.copy()
    model.train(X + 100, Y)
    assert_same_bits(layer.mean, kept[0])
    assert_same_bits(layer.variance, kept[1])
    layer.adapt(X + 100)
    assert layer.mean[0, 0] > 140
    assert not layer.variance[0, 3]


def test_what_train_refuses_leaves_no_moments() -> None:
    layer = Normalization()
    model = make(layer)
    model.finalize(4)
    for bad, error in ((Y[1:], ValueError), (Y.astype(float), TypeError)):
        with pytest.raises(error):
            model.train(X, bad)
    with pytest.raises(ValueError, match="batch_size"):
        model.train(X, Y, batch_size=0)
    assert not layer.adapted
    spoiled = X.copy()
    spoiled[3, 2] = np.inf
    with pytest.raises(ValueError, match="X: NaN, infinity or too large numbers in column 2"):
        layer.adapt(spoiled)
    spoiled[3, 2] = np.nan
    with pytest.raises(ValueError, match="X: NaN, infinity or too large numbers in column 2"):
        model.train(spoiled, Y, check_finite=False)
    with pytest.raises(ValueError, match="X: NaN, infinity or too large numbers in column 2"):
        layer.adapt(spoiled)
    assert not layer.adapted
    assert_same_bits(Model.predict(model, X), make_unchanged(model).predict(X))


def make_unchanged(model: Model) -> Model:
    """The same weights without the normalization: until it has moments, x goes through."""
    bare = make()
    bare.finalize(4)
    dense: Any = bare.layers[0]
    dense.weights, dense.biases = model.layers[1].weights, model.layers[1].biases  # type: ignore[attr-defined]
    return bare


@pytest.mark.parametrize("way", ["deep", "stream", "batch"])
def test_where_train_cannot_find_the_moments_it_says_so(way: str) -> None:
    layer = Normalization()
    model = make(Rescale(2.0), layer) if way == "deep" else make(layer)
    act = {
        "deep": lambda: model.train(X, Y),
        "stream": lambda: model.train_stream([(X, Y)]),
        "batch": lambda: model.train_on_batch(X, Y),
    }[way]
    place = 1 if way == "deep" else 0
    with pytest.raises(ValueError, match=rf"layer {place} \(Normalization\) has no mean and variance yet.*adapt\(X\)"):
        act()
    model.finalize(4)
    layer.adapt(X * 2 if way == "deep" else X)
    act()
    assert np.isfinite(model.predict(X)).all()


def of_two_inputs() -> Model:
    """Two inputs, each normalized by itself, and a normalization of one once more."""
    a, b = Input(3, name="a"), Input(1, name="b")
    both = Concatenate()([Normalization()(b), Normalization()(a), Normalization()(a)])
    model = Model(inputs=[a, b], outputs=Dense(2, activation="softmax")(both), seed=3)
    model.set(loss="categorical_crossentropy", optimizer="adam")
    return model


@pytest.mark.parametrize("how", ["list", "dict", "one", "fit_many"])
def test_each_of_several_inputs_is_normalized_by_its_own_columns(how: str) -> None:
    model = of_two_inputs()
    rows = X + np.array([0, 0, 0, 7], np.float32)
    parts: Any = {"list": [rows[:, :3], rows[:, 3:]], "dict": {"b": rows[:, 3:], "a": rows[:, :3]}}.get(how, rows)
    if how == "fit_many":
        fit_many([model], parts, Y, epochs=2)
    else:
        model.train(parts, Y, epochs=2, validation_split=0.5)
    seen = rows if how == "fit_many" else rows[:100]
    found: Any = [layer for layer in model.layers if isinstance(layer, Normalization)]
    for layer, columns in zip(found, (slice(3, 4), slice(0, 3), slice(0, 3)), strict=True):
        assert layer.adapted
        for got, want in zip((layer.mean, layer.variance), moments("X", seen[:, columns]), strict=True):
            assert_same_bits(got[0], want.astype(np.float32), layer.label())
    for act in (of_two_inputs().train_on_batch, lambda x, y: of_two_inputs().train_stream([(x, y)])):
        with pytest.raises(ValueError, match=r"Normalization\) has no mean and variance yet, and only train and fit"):
            act(parts, Y)


def test_one_that_a_residual_holds_is_found_or_named() -> None:
    inner = Normalization()
    make(Residual([inner, Dense(4)])).train(X, Y)
    for got, want in zip((inner.mean, inner.variance), moments("X", X), strict=True):
        assert_same_bits(got[0], want.astype(np.float32))
    model = make(Normalization(), Residual([Normalization(), Dense(4)]))
    with pytest.raises(ValueError, match=r"layer 2 \(Normalization\) has no mean.*only of what comes in.*adapt\(X\)"):
        model.train(X, Y)
    assert not model.layers[0].adapted  # type: ignore[attr-defined]
    with pytest.raises(ValueError, match=r"layer 1 \(Normalization\) has no mean.*only train and fit"):
        make(Residual([Normalization(), Dense(4)])).train_on_batch(X, Y)


def test_files_resuming_and_parameters_hold_the_moments(tmp_path: Path) -> None:
    path = tmp_path / "m.fnn"
    model = make(Normalization())
    model.train(X, Y, epochs=2, batch_size=50, shuffle=True)
    model.save(path)
    loaded = Model.load(path)
    layer: Any = loaded.layers[0]
    assert layer.adapted
    assert_same_bits(loaded.predict(X), model.predict(X))
    resumed = make(Normalization())
    resumed.train(X, Y, epochs=4, batch_size=50, shuffle=True, resume=path)
    for m in (model, loaded):
        m.train(X, Y, epochs=2, batch_size=50, shuffle=True)
        assert_same_bits(m.plan.params, resumed.plan.params)
    assert [len(p) for p in model.get_parameters()] == [2, 2]
    assert model.parameter_count == 10
    assert fastnn.check_gradients(model, X[:20], Y[:20])


def test_given_moments_are_used_described_and_not_adapted(tmp_path: Path) -> None:
    layer = Normalization(mean=[50, 50, 50, 50], variance=[1.0, 100.0, 0.01, 0.0])
    model = make(layer)
    model.finalize()  # it knows its width
    model.train(X, Y)
    assert_same_bits(layer.mean, np.full((1, 4), 50, np.float32))
    with pytest.raises(ValueError, match="was given its mean and variance"):
        layer.adapt(X)
    model.save(tmp_path / "m.fnn")
    again = Model.load(tmp_path / "m.fnn")
    assert repr(again.layers[0]) == repr(layer)
    assert_same_bits(again.predict(X), model.predict(X))
    one = Model([Normalization(mean=50, variance=4)])
    one.finalize(4)
    assert_near(one.predict(X), (X.astype(np.float64) - 50) / 2, 1e-6)


def test_uint8_pixels_train_as_their_floats_do() -> None:
    pixels = RNG.integers(0, 256, (300, 20)).astype(np.uint8)
    labels = (pixels[:, 0] > 99).astype(int)
    models = [make(Normalization(), Dense(8, activation="relu")) for _ in range(2)]
    models[0].train(pixels, labels, epochs=3, batch_size=32, shuffle=True)
    models[1].train(pixels.astype(np.float64), labels, epochs=3, batch_size=32, shuffle=True)
    assert_same_bits(models[0].plan.params, models[1].plan.params)


def test_fit_many_finds_them_for_each_model() -> None:
    models = [make(Normalization()) for _ in range(3)]
    fit_many(models, X, Y, epochs=2)
    alone = make(Normalization())
    alone.fit(X, Y, epochs=2)
    for model in models:
        assert_same_bits(model.plan.params, alone.plan.params)


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ({"mean": 1.0}, ValueError, "mean, variance: expected both or neither"),
        ({"mean": 0.0, "variance": -1.0}, ValueError, "variance: expected at least 0, got -1.0"),
        ({"mean": [0.0, np.nan], "variance": 1.0}, ValueError, "mean: expected finite numbers, got nan"),
        ({"mean": [1, 2], "variance": [1, 2, 3]}, ValueError, "expected one shape"),
        ({"mean": [[1], [2]], "variance": 1}, ValueError, "mean: expected a number or one for each feature, got shape"),
        ({"mean": "a", "variance": 1}, TypeError, "mean: expected real numbers"),
        ({"mean": [], "variance": 1}, ValueError, "mean: expected a number or one for each feature"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(arguments: dict[str, Any], error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        Normalization(**arguments)


def test_data_that_do_not_fit_are_refused() -> None:
    layer = Normalization()
    with pytest.raises(ValueError, match="there are no rows"):
        layer.adapt(X[:0])
    with pytest.raises(ValueError, match="expected 2 dimensions"):
        layer.adapt(X[0])
    make(layer).finalize(4)
    with pytest.raises(ValueError, match=r"X: layer 0 \(Normalization\): expected input of shape \(rows, 4\)"):
        layer.adapt(X[:, :3])
    adapted = Normalization()
    adapted.adapt(X)
    with pytest.raises(ValueError, match=r"layer 0 \(Normalization\): expected input of width 4"):
        make(adapted).finalize(5)
    with pytest.raises(AttributeError, match="no mean before the model is finalized"):
        _ = Normalization().mean


def test_a_variance_that_the_type_does_not_hold_is_refused() -> None:
    """In float32 that of masses in kilograms would be 0, and the feature only centred."""
    small = X * np.array([1.0, 1.0, 1e-27, 1.0])
    model = make(Normalization())
    model.finalize(4)
    with pytest.raises(ValueError, match=r"the variance \S*e-5\d of column 2 is beyond float32: change the unit"):
        model.layers[0].adapt(small)
    assert not model.layers[0].adapted
    given = Normalization(mean=0.0, variance=1e60)
    with pytest.raises(ValueError, match=r"the variance 1e\+60 of column 0 is beyond float32"):
        make(given).finalize(4)
    wide = Model([Normalization(), Dense(2)], dtype="float64")
    wide.finalize(4)
    wide.layers[0].adapt(small)
    assert wide.layers[0].variance[0, 2] == pytest.approx(small[:, 2].var())
