"""L-BFGS: its direction against the two-loop recursion in NumPy, its line search against the Wolfe conditions, and what
it is in a training. That whole steps are PyTorch's is in tests/peers."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from compare import Array, assert_near, assert_same_bits
from hypothesis import given, settings
from hypothesis import strategies as st

from fastnn import Dense, Dropout, Model, _core, _runs, custom, fit_many, num_threads
from fastnn import callbacks as cb
from fastnn.optimizers import LBFGS, Optimizer

X = np.asarray(_core.random_normal(60 * 4, 8, 1)).reshape(60, 4)
Y = np.sin(X[:, :1] * X[:, 1:2]) + 0.3 * X[:, 2:3]


def make(dtype: Any = "float64", seed: int = 1, layers: Any = None, **options: Any) -> Model:
    layers = layers or [Dense(8, activation="tanh", weight_regularizer_l2=1e-4), Dense(1)]
    model = Model(layers, seed=seed, dtype=dtype)
    model.set(loss="mse", optimizer=LBFGS(**options))
    model.finalize(4)
    return model


def loss_and_gradient(model: Model, w: Array) -> tuple[float, Array]:
    """At other parameters than the model's, which stay."""
    kept = model.plan.params.copy()
    model.plan.params[...] = w
    loss = _runs.gradients(model, X, Y)
    model.plan.params[...] = kept
    return loss, model.plan.grads.copy()


def direction(g: Array, pairs: list[tuple[Array, Array]]) -> Array:
    """Nocedal and Wright, algorithm 7.4; pairs (s, y), oldest first."""
    q, alphas = g.copy(), []
    for s, y in reversed(pairs):
        alphas.append(s @ q / (s @ y))
        q -= alphas[-1] * y
    r = q * (pairs[-1][0] @ pairs[-1][1] / (pairs[-1][1] @ pairs[-1][1])) if pairs else q
    for (s, y), alpha in zip(pairs, reversed(alphas), strict=True):
        r = r + s * (alpha - y @ r / (s @ y))
    return -r


@pytest.mark.parametrize("history", [1, 4, 10])
@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 2**32), rate=st.sampled_from([0.05, 1.0, 30.0]))
def test_each_step_lies_on_its_direction_and_meets_the_wolfe_conditions(history: int, seed: int, rate: float) -> None:
    model = make(seed=seed, history_size=history, learning_rate=rate)
    pairs: list[tuple[Array, Array]] = []
    for _ in range(12):
        w0 = model.plan.params.copy()
        f0, g0 = loss_and_gradient(model, w0)
        d = direction(g0, pairs)
        model.train(X, Y)
        step = model.plan.params - w0
        t = float(step @ d / (d @ d))
        assert t > 0
        assert_near(step, t * d, 1e-6)
        f, g = loss_and_gradient(model, model.plan.params)
        assert f <= f0 + 1e-4 * t * (g0 @ d) + 1e-15
        assert abs(g @ d) <= 0.9 * abs(g0 @ d) * (1 + 1e-9)
        assert model.history["loss"][-1] == pytest.approx(f, rel=1e-13)  # that of the step's end
        pairs = [*pairs, (step, g - g0)][-history:]


def test_a_quadratic_is_solved_in_as_many_steps_as_it_has_unknowns() -> None:
    A = np.asarray(_core.random_normal(50 * 5, 2, 3)).reshape(50, 5)
    b = A @ np.arange(1.0, 6)[:, None] + 0.5
    model = Model([Dense(1)], seed=0, dtype="float64")
    model.set(loss="mse", optimizer=LBFGS(tolerance_grad=1e-9, tolerance_change=0.0))
    model.train(A, b, epochs=100)
    assert 4 < len(model.history) < 30
    assert model.optimizer_object.converged == "no element of the gradient is larger than tolerance_grad"
    assert_near(model.layers[0].weights[:, 0], np.arange(1.0, 6), 1e-8)
    assert model.layers[0].biases[0, 0] == pytest.approx(0.5, abs=1e-8)


def test_training_ends_where_nothing_is_to_be_gained_and_says_why(dtype: Any) -> None:
    model = make(dtype, tolerance_change=1e-5)
    history = model.train(X, Y, epochs=2000)
    assert len(history) < 500
    assert model.optimizer_object.converged == "loss and parameters change by less than tolerance_change"
    assert model.epochs_done == model.steps_done == len(history)
    model.optimizer_object.tolerance_change = 0.0
    model.train(X, Y, epochs=3)
    assert model.optimizer_object.converged is None
    again = make(dtype, tolerance_grad=1e3)
    before = again.plan.params.copy()
    assert len(again.train(X, Y, epochs=5)) == 0  # it is there already: no step, and nothing changed
    assert_same_bits(again.plan.params, before)
    assert again.optimizer_object.converged is not None


def test_float32_ends_at_its_precision() -> None:
    model = make("float32", tolerance_grad=0.0, tolerance_change=0.0)
    model.train(X, Y, epochs=20_000)
    assert len(model.history) < 20_000
    assert model.optimizer_object.converged is not None
    assert model.history["loss"][-1] < 0.05
    assert np.isfinite(model.plan.params).all()


def test_the_loss_never_rises() -> None:
    model = make()
    history = model.train(X, Y, epochs=60)
    losses = np.array(history["loss"])
    assert (np.diff(losses) < 0).all()
    assert losses[-1] < 0.1 * losses[0]


def test_parts_are_one_and_files_go_on(tmp_path: Path, dtype: Any) -> None:
    whole, parts = make(dtype, history_size=3), make(dtype, history_size=3)
    whole.train(X, Y, epochs=12)
    parts.train(X, Y, epochs=1)
    parts.train(X, Y, epochs=6)
    parts.save(tmp_path / "m.fnn")
    loaded = Model.load(tmp_path / "m.fnn")
    resumed = make(dtype, seed=5, history_size=3)
    for model, more in ((parts, {"epochs": 5}), (loaded, {"epochs": 5})):
        model.train(X, Y, **more)
    resumed.train(X, Y, epochs=12, resume=tmp_path / "m.fnn")
    for model in (parts, loaded, resumed):
        assert_same_bits(model.plan.params, whole.plan.params)
        for mine, theirs in zip(model.plan.states, whole.plan.states, strict=True):
            assert_same_bits(mine, theirs)
        assert model.history.state() == whole.history.state()
        assert model.plan.pairs == whole.plan.pairs == 12


def test_a_training_that_had_converged_stays_so_where_it_is_resumed(tmp_path: Path) -> None:
    whole, resumed = make(tolerance_change=1e-4), make(tolerance_change=1e-4)
    whole.train(X, Y, epochs=500, callbacks=[cb.ModelCheckpoint(tmp_path / "m.fnn", save_freq=1)])
    assert whole.optimizer_object.converged is not None
    resumed.train(X, Y, epochs=500, resume=tmp_path / "m.fnn")
    assert_same_bits(resumed.plan.params, whole.plan.params)
    assert resumed.history.state() == whole.history.state()
    assert resumed.optimizer_object.converged == whole.optimizer_object.converged
    longer = Model.load(tmp_path / "m.fnn")
    longer.optimizer_object.tolerance_change = 0.0
    longer.train(X, Y, epochs=500)  # asked anew, it looks anew
    assert longer.epochs_done > whole.epochs_done


class Slow(custom.Layer):
    """Gives Ctrl-C and the clock time to come within a step."""

    seconds = 0.0
    stop_at = -1
    calls = 0

    def forward(self, x: Any) -> Any:
        self.calls += self.training
        if self.training and self.calls == self.stop_at:
            raise KeyboardInterrupt
        time.sleep(self.seconds)
        return x

    def backward(self, dy: Any) -> Any:
        return dy


@pytest.mark.parametrize("at", range(2, 9))
def test_a_break_within_a_step_leaves_the_model_as_after_the_last_full_one(at: int) -> None:
    def slow() -> Model:  # a long first length makes the search look several times
        return make(layers=[Dense(8, activation="tanh"), Slow(), Dense(1)], learning_rate=50.0)

    whole, broken = slow(), slow()
    broken.layers[1].stop_at = at
    with pytest.raises(KeyboardInterrupt):
        broken.train(X, Y, epochs=5)
    done = broken.steps_done
    if done:
        whole.train(X, Y, epochs=done)
    assert_same_bits(broken.plan.params, whole.plan.params)
    assert len(broken.history) == done
    for model, more in ((whole, 5 - done), (broken, 5 - done)):
        model.train(X, Y, epochs=more)
    assert_same_bits(broken.plan.params, whole.plan.params)


def test_the_clock_stops_it_at_a_full_step() -> None:
    timed, whole = (make(layers=[Dense(8, activation="tanh"), Slow(), Dense(1)], learning_rate=50.0) for _ in range(2))
    timed.layers[1].seconds = 0.03
    timed.train(X, Y, epochs=1000, time_limit=0.5)
    assert 0 < timed.steps_done == len(timed.history) < 100
    whole.train(X, Y, epochs=timed.steps_done)
    assert_same_bits(timed.plan.params, whole.plan.params)


def test_callbacks_see_each_step_and_early_stopping_stops() -> None:
    seen: list[tuple[int, float]] = []
    model, plain = make(), make()
    early = cb.EarlyStopping(monitor="loss", patience=2, min_delta=0.01)
    log = cb.LambdaCallback(on_batch_end=lambda batch, logs: seen.append((batch, logs["loss"])))
    model.train(X, Y, epochs=200, callbacks=[early, log])
    assert early.stopped_epoch == len(model.history) - 1 < 100
    assert [batch for batch, _ in seen] == [0] * len(model.history)
    assert [loss for _, loss in seen] == pytest.approx(model.history["data_loss"])
    plain.train(X, Y, epochs=len(model.history))
    assert_same_bits(model.plan.params, plain.plan.params)


def test_weights_that_a_callback_writes_hold_from_the_next_step_on() -> None:
    def halve(epoch: int, logs: Any) -> None:
        if epoch == 3:
            model.layers[1].weights *= 0.5

    model, other = make(), make()
    model.train(X, Y, epochs=8, callbacks=[cb.LambdaCallback(on_epoch_end=halve)])
    other.train(X, Y, epochs=4)
    other.layers[1].weights *= 0.5
    other.train(X, Y, epochs=4)
    assert_same_bits(model.plan.params, other.plan.params)
    assert np.all(np.diff(model.history["loss"][4:]) < 0)


def test_chunks_threads_and_shuffling_change_no_bit(contract_isa: str) -> None:
    rows = np.asarray(_core.random_normal(4000 * 4, 8, 2)).reshape(4000, 4)
    found = []
    for threads, shuffle in ((1, False), (2, False), (1, True)):
        with num_threads(threads):
            model = make("float32", layers=[Dense(80, activation="tanh"), Dense(1)])
            model.train(rows, rows[:, :1] * rows[:, 1:2], epochs=6, shuffle=shuffle)
        assert model.plan.chunk_rows(4000) < 4000
        found.append(model.plan.params.copy())
    assert_same_bits(found[1], found[0])
    assert_same_bits(found[2], found[0])


def test_dropout_has_one_mask_for_all_looks_of_a_step() -> None:
    model = make(layers=[Dense(20, activation="tanh"), Dropout(0.3), Dense(1)], learning_rate=50.0)
    masks: list[bytes] = []

    class Watch(custom.Layer):
        def forward(self, x: Any) -> Any:
            if self.training:
                masks.append((x == 0).tobytes())
            return x

        def backward(self, dy: Any) -> Any:
            return dy

    model = make(layers=[Dense(20, activation="tanh"), Dropout(0.3), Watch(), Dense(1)], learning_rate=50.0)
    looks = []
    for _ in range(4):
        model.train(X, Y)
        looks.append(set(masks))
        assert len(masks) > 1
        masks.clear()
    assert [len(each) for each in looks] == [1] * 4
    assert len(set.union(*looks)) == 4


def test_a_loss_that_is_not_finite_is_told_or_stepped_back_from() -> None:
    model = make("float32", learning_rate=1e20)
    model.train(X, Y, epochs=5)  # the first place is far beyond: the search comes back
    assert model.history["loss"][-1] < model.history["loss"][0] < 2
    model.layers[0].weights[0, 0] = np.nan
    with pytest.raises(FloatingPointError, match="at epoch 6, step 1: the weights of layer 0"):
        model.train(X, Y)


def test_it_goes_with_fit_many_one_batch_and_averages() -> None:
    models = [make(seed=seed, use_ema=True) for seed in range(3)]
    fit_many(models, X, Y, epochs=6, batch_size=None, n_jobs=2)
    alone = make(seed=2, use_ema=True)
    for _ in range(6):
        alone.train_on_batch(X, Y)
    assert_same_bits(alone.plan.params, models[2].plan.params)
    assert_same_bits(alone.plan.average, models[2].plan.average)


def test_what_does_not_go_with_it_is_refused_and_nothing_changes() -> None:
    model = make()
    before = model.plan.params.copy()
    for error, message, options in (
        (ValueError, "batch_size: expected None, all rows, with LBFGS.* got 16 for 60 rows", {"batch_size": 16}),
        (ValueError, "accumulate: expected 1 with LBFGS.* got 2", {"accumulate": 2}),
    ):
        with pytest.raises(error, match=message):
            model.train(X, Y, **options)
    with pytest.raises(ValueError, match="fit takes 32 unless told otherwise"):
        model.fit(X, Y)
    model.fit(X[:30], Y[:30])  # one batch
    model.plan.params[...] = before
    with pytest.raises(ValueError, match="batches: LBFGS takes all rows at once"):
        model.train_stream([(X, Y)])
    model.layers[1].learning_rate_multiplier = 0.5
    with pytest.raises(ValueError, match=r"layer 1 \(Dense\): learning_rate_multiplier: expected 1 with LBFGS"):
        model.train(X, Y)
    held = make(layers=[Dense(3, weight_constraint="max_norm"), Dense(1)])
    with pytest.raises(ValueError, match=r"layer 0 \(Dense\): constraints do not go with LBFGS"):
        held.train(X, Y)
    assert_same_bits(model.plan.params, before)


def test_construction_checks_and_describes() -> None:
    made = LBFGS(0.5, history_size=4, line_search=None, use_ema=True)
    assert repr(made) == "LBFGS(learning_rate=0.5, use_ema=True, history_size=4, line_search=None)"
    assert Optimizer.from_description(made.describe()).config() == made.config()
    assert Optimizer.resolve("lbfgs").config() == LBFGS().config()
    assert made.state_count == 8
    for error, message, options in (
        (ValueError, "history_size: expected", {"history_size": 0}),
        (ValueError, "history_size: expected", {"history_size": 1001}),
        (ValueError, "tolerance_grad: expected at least 0", {"tolerance_grad": -1.0}),
        (ValueError, "tolerance_change: expected at least 0", {"tolerance_change": -1.0}),
        (ValueError, "line_search: expected 'strong_wolfe' or None, got 'armijo'", {"line_search": "armijo"}),
        (ValueError, "max_line_search: expected", {"max_line_search": 0}),
        (TypeError, "clip_norm: a bounded gradient is not that of the loss", {"clip_norm": 1.0}),
        (TypeError, "unexpected keyword argument 'momentum'", {"momentum": 0.9}),
    ):
        with pytest.raises(error, match=message):
            LBFGS(**options)


def test_metrics_are_of_the_step_and_not_of_what_was_looked_at() -> None:
    runs = []
    for epochs, times in ((4, 1), (1, 4)):
        model = make(layers=[Dense(8, activation="tanh"), Dense(1)])
        model.set(metrics=["mse", "r2"])
        for _ in range(times):
            model.train(X, Y, epochs=epochs)
        assert model.history["mse"] == model.history["data_loss"]
        np.testing.assert_allclose(model.history["r2"], [1 - loss / Y.var() for loss in model.history["data_loss"]])
        runs.append(model.history)
    assert dict(runs[0]) == dict(runs[1])
    model = make(layers=[Dense(8, activation="tanh"), Dense(1)])
    model.set(metrics=["mse"])
    for _ in range(3):
        found = model.train_on_batch(X, Y)
        assert found.metrics["mse"] == found.loss


def test_an_average_that_takes_the_weights_place_is_where_the_next_step_begins() -> None:
    runs = []
    for epochs, times, more in (
        (12, 1, []),
        (1, 12, []),
        (12, 1, [cb.LambdaCallback(on_epoch_end=lambda epoch, logs: None)]),
    ):
        model = make(use_ema=True, ema_momentum=0.9, ema_overwrite_frequency=3)
        for _ in range(times):
            model.train(X, Y, epochs=epochs, callbacks=more)
        runs.append(model)
    for other in runs[1:]:
        assert_same_bits(other.plan.params, runs[0].plan.params)
        assert dict(other.history) == dict(runs[0].history)


def test_a_gradient_that_is_no_number_is_no_end() -> None:
    class Broken(custom.Loss):
        def formula(self, p: Any, t: Any) -> Any:
            return ((p - t) ** 2).mean(axis=1)

        def derivative(self, p: Any, t: Any) -> Any:
            return p * np.nan

    model = make()
    model.set(loss=Broken())
    before = model.plan.params.copy() if model._plan is not None else None
    with pytest.raises(FloatingPointError, match="the gradient is not finite at epoch 1, step 1"):
        model.train(X, Y, epochs=5)
    assert model.optimizer_object.converged is None
    assert before is None or np.array_equal(before, model.plan.params)
