"""Layers that are not trained, and layers with a learning rate of their own."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from compare import Array, assert_near, assert_same_bits
from file_mutants import changed, take_apart
from small import X, Y, classifier

from fastnn import Add, BatchNorm, Dense, Dropout, Input, Model, Residual, _runs, check_gradients, custom
from fastnn.optimizers import LBFGS, SGD, Adam, AdamW, Lion, NAdam, Optimizer

ALL_FROZEN = "every layer with parameters is frozen .*: training will change none of them"
EVERY = list(dict.fromkeys(Optimizer.registry.values()))


def make(frozen: tuple[int, ...] = (), optimizer: Any = None, dtype: Any = "float32", **options: Any) -> Model:
    layers: list[Any] = [
        Dense(11, activation="relu", **options),
        Dense(9, activation="gelu"),
        Dropout(0.2),
        Dense(7, activation="tanh"),
        Dense(3, activation="softmax"),
    ]
    model = Model(layers, seed=3, dtype=dtype)
    for i in frozen:
        model.layers[i].trainable = False
    model.set(loss="categorical_crossentropy", optimizer=optimizer or Adam(0.01))
    model.finalize(4)
    return model


def tensors(model: Model) -> dict[tuple[int, str], Array]:
    return {key: model.plan.view(model.plan.params, *key).copy() for key in model.plan.tensors}


@pytest.mark.parametrize("cls", EVERY, ids=lambda cls: cls.__name__)
@pytest.mark.parametrize("frozen", [(0,), (4,), (1, 3), (0, 1, 3), (0, 1, 3, 4)])
def test_frozen_layers_keep_their_bits(cls: Any, frozen: tuple[int, ...], contract_isa: str, dtype: Any) -> None:
    more = {"weight_decay": 0.5} if cls in (AdamW, Lion) else {}
    model = make(frozen, cls(use_ema=True, ema_overwrite_frequency=3, **more), dtype.name)
    model.layers[frozen[0]].biases[0, ::2] = -0.0
    before = tensors(model)
    with pytest.warns(UserWarning, match=ALL_FROZEN) if len(frozen) == 4 else contextlib.nullcontext():
        model.train(X, Y, epochs=4, batch_size=None if cls is LBFGS else 16, shuffle=True)
    for key, now in tensors(model).items():
        if key[0] in frozen:
            assert_same_bits(now, before[key], f"{key}")
        else:
            assert (now != before[key]).any(), key
    if len(frozen) == 4 and cls is LBFGS:  # nothing to train: no step
        assert model.steps_done == 0
        return
    with model.averaged_weights():
        for layer in frozen:
            assert_same_bits(model.layers[layer].weights, before[layer, "weights"])


@pytest.mark.parametrize("frozen", [(0,), (1,), (0, 1), (1, 3), (4,)])
def test_the_rest_trains_as_if_the_frozen_gradient_were_dropped(frozen: tuple[int, ...], isa: str, dtype: Any) -> None:
    """The oracle: a model with nothing frozen, whose step a part in Python drops for those layers."""
    model = make(frozen, SGD(0.1, momentum=0.9), dtype.name)

    class Dropping(custom.Optimizer):
        state_count = 1

        def formula(self, w: Array, g: Array, states: list[Array], t: int, lr: float) -> Array:
            g = g.copy()
            for (layer, _), (first, shape) in whole.plan.tensors.items():
                if layer in frozen:
                    g[first : first + shape[0] * shape[1]] = 0
            states[0][:] = 0.9 * states[0] - lr * g
            return w + states[0]

    whole = make((), Dropping(0.1), dtype.name)
    for each in (model, whole):
        each.train(X, Y, epochs=3, batch_size=16)
    tolerance = 1e-13 if dtype == np.float64 else 1e-5
    for key, mine in tensors(model).items():
        assert_near(mine, tensors(whole)[key], tolerance, f"{key}")


def test_no_gradient_is_worked_out_where_none_is_wanted() -> None:
    asked: list[str] = []

    class Watch(custom.Layer):
        def build(self, n_in: int) -> dict[str, Any]:
            return {"weights": np.ones((1, n_in))}

        def forward(self, x: Any) -> Any:
            return x * self.weights

        def backward(self, dy: Any) -> Any:
            asked.append(self.label())
            return dy, {"weights": dy.sum(axis=0, keepdims=True)}

    model = Model([Watch(), Dense(4), Watch(), Dense(3, activation="softmax")], seed=1)
    model.set(loss="categorical_crossentropy", optimizer="adam")
    model.train(X, Y)
    assert set(asked) == {"layer 0 (Watch)", "layer 2 (Watch)"}
    asked.clear()
    model.layers[0].trainable = model.layers[1].trainable = False
    model.train(X, Y)
    assert set(asked) == {"layer 2 (Watch)"}  # for its own gradient; none is wanted before it
    asked.clear()
    model.layers[2].trainable = False
    model.plan.grads[:] = 7
    model.train(X, Y)
    assert asked == []
    assert not model.plan.view(model.plan.grads, 1, "weights").any()


def test_a_frozen_part_in_python_passes_the_gradient_through() -> None:
    class Scale(custom.Layer):
        def build(self, n_in: int) -> dict[str, Any]:
            return {"weights": np.full((1, n_in), 2.0)}

        def forward(self, x: Any) -> Any:
            self.x = x
            return x * self.weights

        def backward(self, dy: Any) -> Any:
            return dy * self.weights, {"weights": (dy * self.x).sum(axis=0, keepdims=True)}

    model = Model([Dense(4), Scale(), Dense(3, activation="softmax")], seed=1)
    model.layers[1].trainable = False
    model.set(loss="categorical_crossentropy", optimizer="adam")
    model.finalize(4)
    before = tensors(model)
    model.train(X, Y, epochs=3, batch_size=16)
    now = tensors(model)
    assert_same_bits(now[1, "weights"], before[1, "weights"])
    assert (now[0, "weights"] != before[0, "weights"]).all()


def test_penalties_of_frozen_layers_do_not_count() -> None:
    model = make((), weight_regularizer_l2=0.1)
    assert model.train(X, Y)["regularization_loss"][-1] > 0.1
    model.layers[0].trainable = False
    assert model.train(X, Y)["regularization_loss"][-1] == 0.0
    assert check_gradients(model, X[:20], Y[:20])  # which looks at all of them, frozen or not


def test_the_norm_is_that_of_what_is_trained() -> None:
    model = make((0, 3), SGD(1.0, clip_norm=1e-3), "float64")
    _runs.gradients(model, X, Y)  # leaves gradients of the frozen layers behind
    before = model.plan.params.copy()
    model.train(X, Y)
    assert np.linalg.norm(model.plan.params - before) == pytest.approx(1e-3)


def test_thawing_goes_on_with_the_state_there_was() -> None:
    model, other = make(), make()
    model.train(X, Y, epochs=3, batch_size=16)
    states = [s.copy() for s in model.plan.states]
    model.layers[1].trainable = False
    model.train(X, Y, epochs=2, batch_size=16)
    for now, before in zip(model.plan.states, states, strict=True):
        assert_same_bits(model.plan.view(now, 1, "weights"), model.plan.view(before, 1, "weights"))
        assert (model.plan.view(now, 0, "weights") != model.plan.view(before, 0, "weights")).any()
    model.layers[1].trainable = True
    model.train(X, Y, epochs=1, batch_size=16)
    other.train(X, Y, epochs=6, batch_size=16)
    assert (model.plan.params != other.plan.params).any()


def test_multipliers_multiply_the_learning_rate(isa: str, dtype: Any) -> None:
    model = make((), SGD(0.1, decay=0.5), dtype.name)
    model.layers[0].learning_rate_multiplier = 0.25
    model.layers[3].learning_rate_multiplier = 0
    for t in range(3):
        _runs.gradients(model, X, Y)
        g, before = model.plan.grads.copy(), model.plan.params.copy()
        model.train(X, Y)
        rate = 0.1 / (1 + 0.5 * t)
        for key, factor in (((0, "weights"), 0.25), ((0, "biases"), 0.25), ((3, "weights"), 0.0)):
            start, end, slope = (model.plan.view(a, *key) for a in (before, model.plan.params, g))
            want = start.astype(np.float64) - rate * factor * slope
            assert_near(end, want, 1e-14 if dtype == np.float64 else 1e-6, f"{key}")


def test_multipliers_of_one_and_none_frozen_change_no_bit() -> None:
    one, other = make(), make()
    for layer in other.layers:
        layer.learning_rate_multiplier, layer.trainable = 1, True
    for model in (one, other):
        model.train(X, Y, epochs=3, batch_size=16)
    assert_same_bits(one.plan.params, other.plan.params)


def test_an_optimizer_in_python_is_called_piece_by_piece_and_all_or_nothing() -> None:
    class Plain(custom.Optimizer):
        state_count = 1
        fail = False

        def formula(self, w: Array, g: Array, states: list[Array], t: int, lr: float) -> Array:
            calls.append((len(w), lr))
            if self.fail and len(calls) == 2:
                raise RuntimeError("enough")
            states[0][:] += 1
            return w - lr * g

    calls: list[tuple[int, float]] = []
    native, own = make((1,), SGD(0.1)), make((1,), Plain(0.1))
    for model in (native, own):
        model.layers[4].learning_rate_multiplier = 0.5
        model.train(X, Y, epochs=2, batch_size=30)
    assert_near(own.plan.params, native.plan.params, 1e-6)
    assert {lr for _, lr in calls} == {0.1, 0.05}
    assert not own.plan.view(own.plan.states[0], 1, "weights").any()
    before, states = own.plan.params.copy(), own.plan.states[0].copy()
    calls.clear()
    own.optimizer_object.fail = True
    with pytest.raises(RuntimeError, match="enough"):
        own.train(X, Y)
    assert_same_bits(own.plan.params, before)
    assert_same_bits(own.plan.states[0], states)


def test_they_are_part_of_files_and_stay_the_models_own_where_it_is_resumed(tmp_path: Path) -> None:
    model = make((1,), learning_rate_multiplier=0.5)
    model.train(X, Y, epochs=2, batch_size=16)
    model.save(tmp_path / "m.fnn")
    again = Model.load(tmp_path / "m.fnn")
    assert [layer.trainable for layer in again.layers] == [True, False, True, True, True]
    assert again.layers[0].learning_rate_multiplier == 0.5
    for each in (model, again):
        each.train(X, Y, epochs=2, batch_size=16)
    assert_same_bits(again.plan.params, model.plan.params)
    other = make(learning_rate_multiplier=0.5)
    other.train(X, Y, epochs=4, batch_size=16, resume=tmp_path / "m.fnn")
    by_hand = Model.load(tmp_path / "m.fnn")
    by_hand.layers[1].trainable = True
    by_hand.train(X, Y, epochs=2, batch_size=16)
    assert other.layers[1].trainable
    assert_same_bits(other.plan.params, by_hand.plan.params)
    assert "training" not in classifier().layers[0].describe()  # files as they were


def test_keywords_attributes_and_their_errors() -> None:
    layer = Dense(3, trainable=False, learning_rate_multiplier=2)
    assert "trainable=False, learning_rate_multiplier=2.0" in repr(layer)
    assert Dense(3).trainable
    for name, value, error, message in (
        ("trainable", 1, TypeError, "trainable: expected True or False, got 1"),
        ("learning_rate_multiplier", -1, ValueError, "learning_rate_multiplier: expected at least 0, got -1"),
        ("learning_rate_multiplier", float("nan"), ValueError, "learning_rate_multiplier: expected at least 0"),
        ("learning_rate_multiplier", "fast", TypeError, "learning_rate_multiplier: expected a number, got 'fast'"),
    ):
        with pytest.raises(error, match=message):
            setattr(layer, name, value)
        with pytest.raises(error, match=message):
            Dense(3, **{name: value})
    assert (layer.trainable, layer.learning_rate_multiplier) == (False, 2.0)


def test_the_summary_counts_both_kinds(capsys: pytest.CaptureFixture[str]) -> None:
    text = make((0, 3)).summary()
    frozen = 4 * 11 + 11 + 9 * 7 + 7
    rest = 11 * 9 + 9 + 7 * 3 + 3
    assert f"{frozen + rest:,} parameters" in text
    assert f"{rest} trainable, {frozen} non-trainable" in text
    assert "non-trainable" not in make().summary()
    assert "0 Dense (relu), frozen" in text


def test_a_training_that_can_change_nothing_says_so() -> None:
    block = Residual([Dense(4, activation="relu"), Dense(4)])
    model = Model([Dense(4, 4), block, Dense(3, activation="softmax")], seed=0)
    model.set(loss="categorical_crossentropy", optimizer="adam")
    for layer in model.layers:
        layer.trainable = False
    before = model.predict(X)
    with pytest.warns(UserWarning, match=ALL_FROZEN) as caught:
        model.train(X, Y, epochs=1)
    assert caught[0].filename == __file__  # the line that asked for it, not one of the package
    assert np.array_equal(model.predict(X), before)
    block.layers[1].trainable = True  # one that is held trains: not a word
    model.train(X, Y, epochs=1)
    assert not np.array_equal(model.predict(X), before)
    block.layers[1].learning_rate_multiplier = 0
    with pytest.warns(UserWarning, match=ALL_FROZEN):
        model.train_on_batch(X[:7], Y[:7])


def test_the_summary_counts_what_layers_hold(capsys: pytest.CaptureFixture[str]) -> None:
    block = Residual([BatchNorm(), Dense(4, activation="relu"), Dense(4)])
    model = Model([Dense(4, 4), block, Dense(3, activation="softmax")], seed=0)
    model.set(loss="categorical_crossentropy", optimizer=Adam(use_ema=True))
    block.layers[1].trainable = False
    model.finalize()
    text = model.summary()
    held = 4 * 4 + 4
    every = model.parameter_count
    assert f"{every - held} trainable, {held} non-trainable" in text
    assert "kept besides, not trained: 8 numbers" in text
    assert f"training: {_kib(every * 4 * 5)} for parameters" in text  # gradients, two moments and the average
    block.trainable, block.layers[1].trainable = False, True  # a block frozen, one in it not
    assert f"{held + 4 * 4 + 4 + 4 * 3 + 3} trainable" in model.summary()


def _kib(nbytes: int) -> str:
    return f"{nbytes / 1024:.1f} KiB"


def test_the_summary_of_a_sum_is_that_of_the_finalized_model() -> None:
    a = Input(3)
    model = Model(inputs=a, outputs=Add()([Dense(4)(a), Dense(4)(a), Dense(4)(a)]))
    before = model.summary()
    model.finalize()
    assert model.summary() in before


@pytest.mark.parametrize("cls", [Adam, AdamW, NAdam], ids=lambda cls: cls.__name__)
@pytest.mark.parametrize("before", [0, 3])
def test_a_thawed_layer_goes_on_as_if_it_had_not_sat_out(cls: Any, before: int) -> None:
    """The correction of its averages goes by the steps that it took part in: by all, the first after a long rest would
    be several times as long."""

    def make() -> Model:
        model = Model([Dense(2)], seed=1, dtype="float64")
        model.set(loss="mean_absolute_error", optimizer=cls(0.01))
        model.finalize(4)
        return model

    def steps(model: Model, count: int) -> list[bytes]:
        seen = []
        for _ in range(count):
            model.train_on_batch(X, np.zeros((len(X), 2)))
            seen.append(model.plan.params.tobytes())
        return seen

    whole, model = make(), make()
    want = steps(whole, before + 4)[before:]
    steps(model, before)
    for rest in (400, 50):
        model.layers[0].trainable = False
        with pytest.warns(UserWarning, match=ALL_FROZEN):
            assert len(set(steps(model, rest))) == 1
        kept = Model.from_bytes(model.to_bytes())
        kept.layers[0].trainable = model.layers[0].trainable = True
        expected = [want.pop(0), want.pop(0)]
        assert steps(model, 2) == expected
        assert steps(kept, 2) == expected
        model = Model.from_bytes(kept.to_bytes())
    assert model.plan.missed == {0: 450}
    model.set(optimizer=cls(0.01))
    assert model.plan.missed == {}


def test_an_optimizer_in_python_counts_the_steps_of_each_piece() -> None:
    seen: list[tuple[int, int]] = []

    class Counting(custom.Optimizer):
        def formula(self, w: Array, g: Array, states: list[Array], t: int, lr: float) -> Array:
            seen.append((len(w), t))
            return w - lr * g

    model = Model([Dense(5), Dense(3)], seed=1)
    model.set(loss="mean_squared_error", optimizer=Counting(0.01))
    for trainable in (True, False, True):
        model.layers[0].trainable = trainable
        model.train_on_batch(X, np.zeros((len(X), 3)))
    (all_of_it, first), (second, then), *rest = seen
    assert (first, then) == (1, 2)
    assert rest == [(all_of_it - second, 2), (second, 3)]


@pytest.mark.parametrize("entry", [[9, 0, 0], [0, -1, 0], [0, 5, 0], [0, 0, 10**9], [0, 0], "a", [0, 1.5, None]])
def test_a_file_with_impossible_counts_is_refused(entry: Any) -> None:
    model = make(optimizer=Adam())
    model.layers[0].trainable = False
    model.train(X, Y, epochs=2)
    blob = model.to_bytes()
    assert take_apart(blob)[1]["frozen"] == [[0, 0, 0]]
    with pytest.raises(ValueError, match="frozen: "):
        Model.from_bytes(changed(blob, lambda header, description: description.update(frozen=[entry])))
    with pytest.raises(ValueError, match="frozen: layer 0 is there twice"):
        Model.from_bytes(
            changed(blob, lambda header, description: description.update(frozen=[[0, 0, 0], [0, 1, None]]))
        )


def test_a_step_count_that_is_set_back_takes_the_others_back() -> None:
    model = make(optimizer=Adam())
    for trainable in (False, True, False, True):
        model.layers[0].trainable = trainable
        model.train(X, Y, epochs=3)
        model.steps_done = 1
    model.train(X, Y, epochs=1)
    assert model.plan.missed == {0: 1}
    assert np.isfinite(model.plan.params).all()
    model.steps_done = 0
    model.train_on_batch(X, Y)
    Model.from_bytes(model.to_bytes()).train_on_batch(X, Y)
