"""BatchNorm and LayerNorm in models: gradients and training against the oracle, the moving averages' every way."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from compare import Array, assert_near, assert_same_bits, gradient
from oracle import Network

import fastnn
from fastnn import BatchNorm, Dense, Dropout, Input, LayerNorm, Model, ReLU, _runs, _state_dict, callbacks, custom
from fastnn.optimizers import SGD, Adam

RNG = np.random.default_rng(8)
X = RNG.normal(1.0, 2.0, (96, 5))
Y = np.abs(X[:, :3]).argmax(axis=1)


def make(*middle: Any, dtype: str = "float64", optimizer: Any = None, first: int = 11) -> Model:
    model = Model([Dense(first), *middle, Dense(3, activation="softmax")], seed=6, dtype=dtype)
    model.set(loss="categorical_crossentropy", optimizer=SGD(0.1) if optimizer is None else optimizer)
    return model


def shaken(model: Model) -> Model:
    """Finalized, with gamma, beta and moving averages that are not what they start as."""
    model.finalize(5)
    rng = np.random.default_rng(4)
    for parameters in _state_dict.by_layer(model).values():
        for name, view in parameters.items():
            if name not in ("weights",):
                view[...] = rng.uniform(0.5, 1.5, view.shape)
    return model


KINDS = {
    "batch": lambda: [BatchNorm(), ReLU()],
    "batch, nothing trained": lambda: [BatchNorm(center=False, scale=False)],
    "batch, scale only": lambda: [BatchNorm(center=False, momentum=0.5, epsilon=1e-5)],
    "batch, center only": lambda: [BatchNorm(scale=False), Dense(4, activation="tanh"), BatchNorm()],
    "layer": lambda: [LayerNorm(), ReLU()],
    "layer, nothing trained": lambda: [LayerNorm(center=False, scale=False)],
    "layer, scale only": lambda: [LayerNorm(center=False, epsilon=1e-5), Dense(4, activation="gelu")],
    "layer, center only": lambda: [LayerNorm(scale=False), ReLU(), LayerNorm()],
    "both": lambda: [BatchNorm(), LayerNorm(), ReLU(), BatchNorm()],
}


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_gradients_are_the_oracles_and_differences(kind: str, fused: bool, isa: str) -> None:
    model = make(*KINDS[kind]())
    model._fused = fused
    oracle = Network(shaken(model))
    before = model.plan.params.tobytes()
    loss = _runs.gradients(model, X[:13], Y[:13])
    assert model.plan.params.tobytes() == before, "gradients() must not move the averages"
    assert loss == pytest.approx(oracle.loss(X[:13], Y[:13]), rel=1e-12)
    want = oracle.gradients(X[:13], Y[:13])
    assert set(want) == {key for key in model.plan.tensors if model.plan.is_trained(*key)}
    size = max(np.linalg.norm(g) for g in want.values())
    for key, g in want.items():  # the biases before a batch normalization have none: they cancel to rounding
        off = np.linalg.norm(model.plan.view(model.plan.grads, *key) - g)
        assert off <= 1e-12 * max(np.linalg.norm(g), size), key
    if isa != "scalar" or not fused:
        return
    assert fastnn.check_gradients(model, X[:13], Y[:13], rtol=1e-6)
    for key, g in want.items():
        kept = oracle.params[key]

        def at(w: Array, key: Any = key) -> float:
            oracle.params[key] = w
            return oracle.loss(X[:13], Y[:13])

        assert np.linalg.norm(gradient(at, kept, 1e-4) - g) <= 1e-6 * max(np.linalg.norm(g), 1e-3), key
        oracle.params[key] = kept


@pytest.mark.parametrize("first", [1, 2, 16, 33, 130])
@pytest.mark.parametrize("layer", [BatchNorm, LayerNorm])
def test_as_the_first_layer_that_is_trained(layer: Any, first: int, isa: str) -> None:
    wide = np.random.default_rng(first).standard_normal((17, first))
    model = Model([Input(first), layer(), Dense(3, activation="softmax")], seed=1, dtype="float64")
    model.set(loss="categorical_crossentropy", optimizer="sgd")
    model.finalize()
    oracle = Network(model)
    _runs.gradients(model, wide, Y[:17])
    for key, g in oracle.gradients(wide, Y[:17]).items():
        assert np.linalg.norm(model.plan.view(model.plan.grads, *key) - g) <= 1e-12, key


@pytest.mark.parametrize("kind", KINDS)
def test_training_steps_are_the_oracles_and_predictions_go_by_the_moving_averages(kind: str, isa: str) -> None:
    model = make(*KINDS[kind](), optimizer=Adam(0.01, epsilon=1e-3))
    oracle = Network(shaken(model))
    for step in range(1, 7):
        model.train_on_batch(X[:31], Y[:31])
        oracle.train_step(X[:31], Y[:31], step)
    for key, want in oracle.params.items():
        assert_near(model.plan.view(model.plan.params, *key), want, 1e-9, str(key))
    for index, (mean, variance) in oracle.moving.items():
        layer: Any = model.layers[index]
        assert_near(layer.moving_mean, mean, 1e-9)
        assert_near(layer.moving_variance, variance, 1e-9)
    assert_near(model.predict(X), oracle.forward(X, training=False)[0], 1e-9)


def test_a_prediction_depends_on_its_row_alone_whatever_the_batch(contract_isa: str, dtype: np.dtype[Any]) -> None:
    model = make(BatchNorm(), ReLU(), LayerNorm(), dtype=dtype.name)
    model.train(X, Y, epochs=3, batch_size=32)
    together = model.predict(X)
    for size in (1, 7, 96):
        assert_same_bits(model.predict(X, batch_size=size), together)
    spoiled = X.copy()
    spoiled[5] = np.nan
    with_nan = model.predict(spoiled)
    assert np.isnan(with_nan[5]).all()
    assert_same_bits(np.delete(with_nan, 5, 0), np.delete(together, 5, 0))


def test_a_batch_larger_than_a_chunk_is_normalized_as_a_whole() -> None:
    big, labels = np.tile(X, (40, 1)), np.tile(Y, 40)
    model = make(BatchNorm(), dtype="float32", first=64)
    model.finalize(5)
    plain = make(LayerNorm(), dtype="float32", first=64)
    plain.finalize(5)
    assert plain.plan.chunk_rows(len(big)) < len(big)
    assert model.plan.chunk_rows(len(big)) == len(big)
    oracle = Network(model)
    model.train(big, labels)
    oracle.train_step(big, labels, 1)
    layer: Any = model.layers[1]
    assert_near(layer.moving_mean, oracle.moving[1][0], 1e-5)
    assert_near(layer.moving_variance, oracle.moving[1][1], 1e-5)


def test_with_accumulate_the_averages_move_once_a_step_by_the_mean_of_the_batches() -> None:
    layer = BatchNorm(momentum=0.75)
    model = make(layer, optimizer=SGD(0.0))
    model.finalize(5)
    weights, biases = model.layers[0].weights.copy(), model.layers[0].biases.copy()
    model.train(X, Y, batch_size=20, accumulate=2)  # 20 + 20, 20 + 20, 16 rows
    z = X @ weights + biases
    mean, variance = np.zeros(11), np.ones(11)
    for batches in (((0, 20), (20, 40)), ((40, 60), (60, 80)), ((80, 96),)):
        parts = [z[a:b] for a, b in batches]
        rows = np.array([len(p) for p in parts])
        mean = 0.75 * mean + 0.25 * np.average([p.mean(axis=0) for p in parts], axis=0, weights=rows)
        variance = 0.75 * variance + 0.25 * np.average([p.var(axis=0) for p in parts], axis=0, weights=rows)
    assert_near(layer.moving_mean[0], mean, 1e-13)
    assert_near(layer.moving_variance[0], variance, 1e-13)


@pytest.mark.parametrize("accumulate", [1, 3])
def test_a_refused_step_leaves_the_averages(accumulate: int) -> None:
    model = make(BatchNorm(), dtype="float32")
    targets = np.eye(3)[Y]
    model.set(loss="mse")
    model.train(X, targets, batch_size=8)
    before = model.plan.params.copy()
    far = X.copy()
    far[4] = 1e30  # its variance overflows
    with pytest.raises(FloatingPointError, match=r"epoch 2, step 1: first in the output of layer 1 \(BatchNorm\)"):
        model.train(far, targets, batch_size=8, accumulate=accumulate)
    assert_same_bits(model.plan.params, before)
    targets[20] = 1e30
    with pytest.raises(FloatingPointError, match="the loss itself"):  # in the third batch
        model.train(X, targets, batch_size=8, accumulate=accumulate)
    if accumulate == 3:
        assert_same_bits(model.plan.params, before)
    else:
        assert model.steps_done == 14
        twin = make(BatchNorm(), dtype="float32")
        twin.set(loss="mse")
        twin.train(X, np.eye(3)[Y], batch_size=8)
        for first in (0, 8):
            twin.train_on_batch(X[first : first + 8], np.eye(3)[Y[first : first + 8]])
        assert_same_bits(model.plan.params, twin.plan.params)


def test_streams_and_single_batches_move_them_as_train_does() -> None:
    models = [make(BatchNorm(), optimizer=Adam(0.01)) for _ in range(3)]
    pairs = [(X[i : i + 24], Y[i : i + 24]) for i in (0, 24, 48, 72)]
    models[0].train(X, Y, epochs=2, batch_size=24)
    models[1].train_stream(pairs, epochs=2)
    for pair in pairs * 2:
        models[2].train_on_batch(*pair)
    for other in models[1:]:
        assert_same_bits(other.plan.params, models[0].plan.params)


@pytest.mark.parametrize("optimizer", [Adam(0.01), Adam(0.01, amsgrad=True), SGD(0.05, momentum=0.9, clip_norm=0.1)])
def test_no_optimizer_and_no_clipping_sees_the_averages(optimizer: Any) -> None:
    model = make(BatchNorm(), optimizer=optimizer)
    model.train(X * 1e3, Y, epochs=2, batch_size=32)
    plan = model.plan
    assert plan.trained < plan.size
    for state in plan.states:
        assert not state[plan.trained :].any()
    assert plan.params[plan.trained :].any()


def test_an_optimizer_in_python_gets_only_what_is_trained() -> None:
    class Plain(custom.Optimizer):
        state_count = 1

        def formula(self, w: Any, g: Any, states: Any, t: int, lr: float) -> Any:
            sizes.add((w.size, g.size, states[0].size))
            return w - lr * g

    sizes: set[tuple[int, int, int]] = set()
    models = [make(BatchNorm(), optimizer=o) for o in (Plain(learning_rate=0.1), SGD(0.1))]
    for model in models:
        model.train(X, Y, epochs=2, batch_size=32)
    assert sizes == {(models[0].plan.trained,) * 3}
    assert_near(models[0].plan.params, models[1].plan.params, 1e-13)


def test_files_resuming_and_the_best_epoch_have_them(tmp_path: Path) -> None:
    path = tmp_path / "m.fnn"
    model = make(BatchNorm(), optimizer=Adam(0.01), dtype="float32")
    model.train(X, Y, epochs=2, batch_size=20, shuffle=True)
    model.save(path)
    loaded = Model.load(path)
    assert_same_bits(loaded.plan.params, model.plan.params)
    assert_same_bits(loaded.predict(X), model.predict(X))
    resumed = make(BatchNorm(), optimizer=Adam(0.01), dtype="float32")
    resumed.train(X, Y, epochs=4, batch_size=20, shuffle=True, resume=path)
    for m in (model, loaded):
        m.train(X, Y, epochs=2, batch_size=20, shuffle=True)
        assert_same_bits(m.plan.params, resumed.plan.params)

    seen: list[Array] = []
    stopping = callbacks.EarlyStopping("loss", patience=2, mode="max", restore_best=True)
    keeping = callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append(model.plan.params.copy()))
    model.train(X, Y, epochs=9, batch_size=20, callbacks=[stopping, keeping])
    assert len(seen) == 3
    assert_same_bits(model.plan.params, seen[0])


def test_the_file_holds_no_optimizer_state_of_what_is_not_trained(tmp_path: Path) -> None:
    from fastnn import checkpoint

    model = make(BatchNorm(), optimizer="adam")
    model.train(X, Y)
    model.save(tmp_path / "m.fnn")
    names = set(checkpoint.load(tmp_path / "m.fnn")[1])
    assert {"layer1.gamma", "layer1.moving_mean", "layer1.moving_variance", "state0.layer1.gamma"} <= names
    assert not {name for name in names if name.startswith("state") and "moving" in name}


def test_parameters_in_and_out_are_counted_and_summed_up(capsys: pytest.CaptureFixture[str]) -> None:
    model = shaken(make(BatchNorm(), ReLU(), LayerNorm(scale=False)))
    shapes = [tuple(a.shape for a in parameters) for parameters in model.get_parameters()]
    assert shapes == [((5, 11), (1, 11)), ((1, 11),) * 4, ((1, 11),), ((11, 3), (1, 3))]
    layer: Any = model.layers[1]
    for name, copy in zip(("gamma", "beta", "moving_mean", "moving_variance"), model.get_parameters()[1], strict=True):
        assert_same_bits(copy, getattr(layer, name))
    other = make(BatchNorm(), ReLU(), LayerNorm(scale=False))
    other.finalize(5)
    other.set_parameters(model.get_parameters())
    assert_same_bits(other.predict(X), model.predict(X))
    assert model.parameter_count == 66 + 22 + 11 + 36
    text = model.summary()
    capsys.readouterr()
    assert "135 parameters" in text
    assert "kept besides, not trained: 22 numbers" in text
    assert "kept besides" not in make(LayerNorm()).summary()


def test_gamma_and_beta_are_live_and_checked() -> None:
    layer = BatchNorm()
    model = make(layer)
    with pytest.raises(AttributeError, match="no gamma before the model is finalized"):
        _ = layer.gamma
    model.finalize(5)
    before = model.predict(X)
    layer.beta = np.full(11, 3.0)
    assert layer.beta.shape == (1, 11)
    assert not np.allclose(model.predict(X), before)
    with pytest.raises(ValueError, match=r"layer 1 \(BatchNorm\): expected moving_mean of shape \(1, 11\), got \(4,\)"):
        layer.moving_mean = np.zeros(4)
    with pytest.raises(TypeError, match="expected gamma of real numbers, got dtype complex"):
        layer.gamma = np.zeros(11, complex)
    bare = BatchNorm(center=False)
    make(bare).finalize(5)
    with pytest.raises(AttributeError, match="was made without beta"):
        _ = bare.beta


@pytest.mark.parametrize(
    ("layer", "arguments", "error", "text"),
    [
        (BatchNorm, {"momentum": 1.0}, ValueError, "momentum: expected at least 0 and below 1, got 1.0"),
        (BatchNorm, {"momentum": -0.1}, ValueError, "momentum: expected at least 0"),
        (BatchNorm, {"epsilon": 0}, ValueError, "epsilon: expected more than 0, got 0"),
        (LayerNorm, {"epsilon": float("nan")}, ValueError, "epsilon: expected at least 0, got nan"),
        (LayerNorm, {"epsilon": "x"}, TypeError, "epsilon: expected a number, got 'x'"),
        (LayerNorm, {"center": 1}, TypeError, "center: expected True or False, got 1"),
        (BatchNorm, {"scale": None}, TypeError, "scale: expected True or False, got None"),
    ],
)
def test_arguments_out_of_range_are_refused(
    layer: Any, arguments: dict[str, Any], error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=text):
        layer(**arguments)


def test_they_are_described_and_rebuilt() -> None:
    for layer in (BatchNorm(momentum=0.9, epsilon=1e-5, center=False), LayerNorm(scale=False), BatchNorm()):
        again = fastnn.Layer.from_description(layer.describe())
        assert repr(again) == repr(layer)
    assert repr(BatchNorm()) == "BatchNorm()"
    assert repr(LayerNorm(epsilon=1e-6)) == "LayerNorm(epsilon=1e-06)"


def test_a_batch_of_one_row_is_beta() -> None:
    layer = BatchNorm()
    model = Model([Input(5), layer, Dense(1)], seed=0, dtype="float64")
    model.set(loss="mse", optimizer=SGD(0.0))
    model.finalize()
    layer.beta = np.arange(5.0)
    loss, _ = model.train_on_batch(X[:1], np.zeros((1, 1)))
    dense: Any = model.layers[2]
    assert loss == pytest.approx(((np.arange(5.0) @ dense.weights) ** 2).item())
    assert_near(layer.moving_mean[0], 0.01 * X[0], 1e-12)
    assert_near(layer.moving_variance[0], np.full(5, 0.99), 1e-12)


def test_dropout_before_and_after_goes_with_it() -> None:
    model = make(Dropout(0.2), BatchNorm(), Dropout(0.3), dtype="float64")
    assert fastnn.check_gradients(model, X[:20], Y[:20], rtol=1e-6)


def test_any_number_of_threads_trains_to_the_same_bits() -> None:
    wide, labels = np.random.default_rng(1).standard_normal((1100, 40)), np.arange(1100) % 3
    before, results = fastnn.get_num_threads(), set()
    try:
        for count in (1, 2, 5):
            fastnn.set_num_threads(count)
            model = make(BatchNorm(), ReLU(), LayerNorm(), dtype="float32", first=300)
            model.train(wide, labels, epochs=2, batch_size=1000)
            results.add(model.plan.params.tobytes())
    finally:
        fastnn.set_num_threads(before)
    assert len(results) == 1
