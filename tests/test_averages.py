"""The running average of the weights: its formula, its use, files, resuming."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from compare import Array, assert_near, assert_same_bits
from small import X, Y, classifier

from fastnn import Dense, Model, custom, fit_many, num_threads
from fastnn import callbacks as cb
from fastnn.optimizers import SGD, Adam


def make(optimizer: Any, dtype: Any = "float32", seed: int = 1) -> Model:
    model = Model([Dense(16, activation="relu"), Dense(3, activation="softmax")], seed=seed, dtype=dtype)
    model.set(loss="categorical_crossentropy", optimizer=optimizer)
    model.finalize(4)
    return model


def seen_after_steps(model: Model, **training: Any) -> list[Array]:
    found: list[Array] = []
    keep = cb.LambdaCallback(on_batch_end=lambda batch, logs: found.append(model.plan.params.astype(np.float64)))
    model.train(X, Y, callbacks=[keep], **training)
    return found


@pytest.mark.parametrize("momentum", [0.0, 0.5, 0.99])
def test_the_average_follows_its_formula(momentum: float, isa: str, dtype: Any) -> None:
    model = make(Adam(0.05, use_ema=True, ema_momentum=momentum), dtype)
    weights = seen_after_steps(model, epochs=3, batch_size=16, shuffle=True)
    want = weights[0]
    for w in weights[1:]:
        want = momentum * want + (1 - momentum) * w
    assert_near(model.plan.average, want, 1e-14 if dtype == np.float64 else 3e-7)
    assert model.plan.averaged == len(weights) == model.steps_done


@pytest.mark.parametrize("every", [1, 3])
def test_it_takes_the_place_of_the_weights_every_so_many_steps(every: int, dtype: Any) -> None:
    model = make(SGD(0.1, use_ema=True, ema_momentum=0.8, ema_overwrite_frequency=every), dtype)
    for step in range(1, 8):
        before = model.plan.params.astype(np.float64)
        average = None if model.plan.average is None else model.plan.average.astype(np.float64)
        model.train(X, Y)
        moved = before - 0.1 * model.plan.grads
        want = moved if average is None else 0.8 * average + 0.2 * moved
        tolerance = 1e-14 if dtype == np.float64 else 1e-6
        assert_near(model.plan.average, want, tolerance)
        if step % every:
            assert_near(model.plan.params, moved, tolerance)
        else:
            assert_same_bits(model.plan.params, model.plan.average)


def test_the_training_is_that_without_an_average() -> None:
    with_it, without = make(Adam(0.01, use_ema=True)), make(Adam(0.01))
    for model in (with_it, without):
        model.train(X, Y, epochs=5, batch_size=16, shuffle=True)
    assert_same_bits(with_it.plan.params, without.plan.params)
    assert without.plan.average is None


def test_averaged_weights_are_in_place_for_a_while(tmp_path: Path) -> None:
    model = make(Adam(0.05, use_ema=True, ema_momentum=0.9))
    model.train(X, Y, epochs=5, batch_size=16)
    mine = model.plan.params.copy()
    loss = model.evaluate(X, Y).loss
    with model.averaged_weights() as same:
        assert same is model
        assert_same_bits(model.plan.params, model.plan.average)
        predictions, averaged = model.predict(X), model.evaluate(X, Y).loss
        model.save(tmp_path / "serve.fnn")
        with pytest.raises(RuntimeError, match="the averaged weights are in place already"), model.averaged_weights():
            pass
        with pytest.raises(RuntimeError, match="the averaged weights are in place: the model cannot be trained"):
            model.train(X, Y)
    assert averaged != loss
    assert_same_bits(model.plan.params, mine)
    assert_same_bits(Model.load(tmp_path / "serve.fnn").predict(X), predictions)
    model.train(X, Y)  # and training goes on
    straight = make(Adam(0.05, use_ema=True, ema_momentum=0.9))
    straight.train(X, Y, epochs=5, batch_size=16)
    straight.train(X, Y)
    assert_same_bits(model.plan.params, straight.plan.params)
    assert_same_bits(model.plan.average, straight.plan.average)


def test_there_is_none_before_a_step_and_after_another_optimizer() -> None:
    model = make(Adam(use_ema=True))
    for _ in range(2):
        with pytest.raises(ValueError, match="no averaged weights: train with an optimizer that has use_ema=True"):
            model.averaged_weights().__enter__()
        model.train(X, Y)
        with model.averaged_weights():
            pass
        model.set(optimizer=Adam(use_ema=True))


@pytest.mark.parametrize("accumulate", [1, 3])
def test_files_and_broken_trainings_go_on(accumulate: int, tmp_path: Path) -> None:
    options: dict[str, Any] = {"epochs": 6, "batch_size": 8, "shuffle": True, "accumulate": accumulate}

    def fresh(seed: int = 1) -> Model:
        model = classifier(seed=seed)
        model.set(optimizer=Adam(0.01, use_ema=True, ema_momentum=0.9, ema_overwrite_frequency=7))
        return model

    class Break(cb.Callback):
        def on_batch_end(self, batch: int, logs: Any) -> None:
            if self.model.steps_done == 17:
                raise KeyboardInterrupt

    whole, broken, resumed = fresh(), fresh(), fresh(seed=9)
    whole.train(X, Y, **options)
    with pytest.raises(KeyboardInterrupt):
        broken.train(X, Y, **options, callbacks=[Break()])
    broken.save(tmp_path / "m.fnn")
    resumed.train(X, Y, resume=tmp_path / "m.fnn", **options)
    assert_same_bits(resumed.plan.params, whole.plan.params)
    assert_same_bits(resumed.plan.average, whole.plan.average)
    assert resumed.plan.averaged == whole.plan.averaged == whole.steps_done
    again = Model.load(tmp_path / "m.fnn")
    assert_same_bits(again.plan.average, broken.plan.average)


def test_a_resumed_file_brings_its_average_to_a_model_without(tmp_path: Path) -> None:
    one, other = make(Adam(use_ema=True)), make(Adam())
    one.save(tmp_path / "m.fnn")  # before the first step
    other.train(X, Y, epochs=2, resume=tmp_path / "m.fnn")
    one.train(X, Y, epochs=2)
    assert_same_bits(other.plan.average, one.plan.average)


def test_threads_and_many_models_change_no_bit() -> None:
    found = []
    for threads in (1, 2):
        with num_threads(threads):
            model = Model([Dense(4, 9000, activation="relu"), Dense(3, activation="softmax")], seed=2)
            model.set(loss="categorical_crossentropy", optimizer=SGD(0.01, use_ema=True))
            model.train(X, Y, epochs=4)
            found.append(model.plan.average.copy())
    assert_same_bits(*found)
    models = [make(Adam(use_ema=True), seed=seed) for seed in range(3)]
    fit_many(models, X, Y, epochs=2, n_jobs=2)
    alone = make(Adam(use_ema=True), seed=1)
    alone.fit(X, Y, epochs=2)
    assert_same_bits(models[1].plan.average, alone.plan.average)


def test_an_optimizer_in_python_has_one_too() -> None:
    class Plain(custom.Optimizer):
        def formula(self, w: Array, g: Array, states: list[Array], t: int, lr: float) -> Array:
            return w - lr * g

    native, own = (make(cls(0.1, use_ema=True), "float64") for cls in (SGD, Plain))
    for model in (native, own):
        model.train(X, Y, epochs=3, batch_size=16)
    assert_near(own.plan.average, native.plan.average, 1e-13)


def test_what_is_refused_and_described() -> None:
    made = Adam(use_ema=True, ema_momentum=0.9, ema_overwrite_frequency=5)
    assert repr(made) == "Adam(use_ema=True, ema_momentum=0.9, ema_overwrite_frequency=5)"
    assert Adam.from_description(made.describe()).config() == made.config()
    assert not {"use_ema", "ema_momentum"} & Adam().describe().keys()  # files as they were
    for error, message, options in (
        (TypeError, "use_ema: expected True or False, got 1", {"use_ema": 1}),
        (ValueError, "ema_momentum: expected at least 0 and below 1, got 1", {"use_ema": True, "ema_momentum": 1.0}),
        (ValueError, "ema_momentum: expected at least 0", {"use_ema": True, "ema_momentum": math.nan}),
        (ValueError, "ema_overwrite_frequency: expected", {"use_ema": True, "ema_overwrite_frequency": 0}),
        (ValueError, "ema_overwrite_frequency: expected use_ema=True with it", {"ema_overwrite_frequency": 5}),
    ):
        with pytest.raises(error, match=message):
            Adam(**options)


class HalfSums(custom.Constraint):
    """Not convex: an average of what it gives is none of what it gives. Raises at the given call."""

    fails_at = 0

    def __init__(self) -> None:
        self.calls = 0

    def formula(self, w: Array) -> Array:
        self.calls += 1
        if self.calls == self.fails_at:
            raise RuntimeError("no")
        return w / np.linalg.norm(w, axis=0)


@pytest.mark.parametrize("held", ["unit_norm", HalfSums])
def test_constraints_hold_where_the_average_takes_the_weights_place(held: Any) -> None:
    for every in (None, 2):
        rule = held if isinstance(held, str) else held()
        model = Model([Dense(8, activation="tanh", weight_constraint=rule), Dense(3, activation="softmax")], seed=0,
                      dtype="float64")  # fmt: skip
        model.set(loss="categorical_crossentropy",
                  optimizer=SGD(0.1, use_ema=True, ema_momentum=0.5, ema_overwrite_frequency=every))  # fmt: skip
        model.train(X, Y, epochs=1, batch_size=15)
        np.testing.assert_allclose(np.linalg.norm(model.layers[0].weights, axis=0), 1, rtol=1e-12)


def test_a_constraint_that_raises_after_the_average_puts_all_back() -> None:
    rule = HalfSums()
    rule.fails_at = 4  # the second step, the second time
    model = Model([Dense(8, activation="tanh", weight_constraint=rule), Dense(3, activation="softmax")], seed=0)
    model.set(loss="categorical_crossentropy",
              optimizer=SGD(0.1, use_ema=True, ema_momentum=0.5, ema_overwrite_frequency=1))  # fmt: skip
    model.train_on_batch(X, Y)
    plan = model.plan
    before = plan.params.copy(), plan.average.copy(), plan.averaged
    with pytest.raises(RuntimeError, match="no"):
        model.train_on_batch(X, Y)
    assert_same_bits(plan.params, before[0])
    assert_same_bits(plan.average, before[1])
    assert (plan.averaged, model.steps_done) == (before[2], 1)
