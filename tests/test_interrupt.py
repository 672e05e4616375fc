"""Threads and Ctrl-C: models apart share nothing, one model serves its callers in turn, a break leaves a full step."""

from __future__ import annotations

import _thread
import threading
import time
from typing import Any

import numpy as np
import pytest
from compare import assert_same_bits
from small import ctrl_c_raises

import fastnn.functional as F
from fastnn import Dense, Dropout, Model
from fastnn.optimizers import Adam

RNG = np.random.default_rng(4)
X = RNG.standard_normal((96, 6)).astype(np.float32)
Y = RNG.integers(0, 3, 96)


def classifier(seed: int, hidden: int = 24) -> Model:
    model = Model([Dense(hidden, activation="relu"), Dropout(0.2), Dense(3, activation="softmax")], seed=seed)
    model.set(loss="categorical_crossentropy", optimizer=Adam(0.01))
    return model


def in_threads(*work: Any) -> None:
    failures: list[BaseException] = []

    def run(f: Any) -> None:
        try:
            f()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run, args=(f,)) for f in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures, failures


def test_models_in_threads_give_the_bits_of_models_apart() -> None:
    apart = [classifier(seed, 16 + 8 * seed) for seed in range(4)]
    for model in apart:
        model.train(X, Y, epochs=200, batch_size=16, shuffle=True, validation_data=(X, Y))
    together = [classifier(seed, 16 + 8 * seed) for seed in range(4)]
    in_threads(*(lambda m=m: m.train(X, Y, epochs=200, batch_size=16, shuffle=True, validation_data=(X, Y))
                 for m in together))  # fmt: skip
    for a, b in zip(apart, together, strict=True):
        assert_same_bits(b.plan.params, a.plan.params)
        assert b.history.state() == a.history.state()


def test_kernels_in_threads_give_the_bits_of_one() -> None:
    operands = [
        (RNG.standard_normal((40 + i, 60 + 200 * i)), RNG.standard_normal((60 + 200 * i, 7 + i))) for i in range(4)
    ]
    want = [F.dot(a, b) for a, b in operands]

    def work(i: int) -> None:
        for _ in range(100):
            assert_same_bits(F.dot(*operands[i]), want[i])
            F.softmax(want[i])

    in_threads(*(lambda i=i: work(i) for i in range(4)))


def test_callers_of_one_model_wait_for_one_another() -> None:
    shared, alone = classifier(1), classifier(1)
    shared.train(X, Y)
    alone.train(X, Y)
    before = shared.predict(X)

    def work() -> None:
        for _ in range(25):
            shared.train(X, Y, epochs=3, batch_size=32)
            assert np.isfinite(shared.predict(X)).all()
            shared.evaluate(X, Y)
            shared.get_parameters()

    in_threads(*[work] * 4)
    alone.train(X, Y, epochs=4 * 25 * 3, batch_size=32)  # in whatever order, the same calls were made
    assert not np.array_equal(before, shared.predict(X))
    assert_same_bits(shared.plan.params, alone.plan.params)
    assert shared.history.state() == alone.history.state()


def train_until_broken(model: Model, wait: float, *data: Any, **options: Any) -> None:
    """Train until Ctrl-C comes, after so many seconds; the model may not have taken a step by then."""
    timer = threading.Timer(wait, _thread.interrupt_main)
    with ctrl_c_raises():
        with pytest.raises(KeyboardInterrupt):  # noqa: PT012 (it may come while the timer starts)
            timer.start()
            model.train(*data, epochs=10**9, **options)
        timer.join()


@pytest.mark.parametrize("batch", [1, 7, 96])
@pytest.mark.parametrize("hidden", [4, 300])
@pytest.mark.parametrize("validated", [False, True])
def test_a_break_leaves_the_model_at_a_full_step_with_its_history(batch: int, hidden: int, validated: bool) -> None:
    validation = (X, Y) if validated else None
    for wait in (0.002, 0.05, 0.13):
        model, replayed = classifier(7, hidden), classifier(7, hidden)
        model.finalize(6)
        replayed.finalize(6)
        train_until_broken(model, wait, X, Y, batch_size=batch, validation_data=validation)
        full, rest = divmod(model.steps_done, -(-96 // batch))
        assert (model.epochs_done, len(model.history)) == (full, full)
        replayed.train(X, Y, epochs=full, batch_size=batch, validation_data=validation)
        if full and model.history["val_loss"][-1] is None:  # broken before its validation was through
            replayed.history["val_loss"][-1] = replayed.history["val_accuracy"][-1] = None
        assert replayed.history.state() == model.history.state()
        if rest:
            replayed.train(X[: rest * batch], Y[: rest * batch], batch_size=batch)
        assert_same_bits(model.plan.params, replayed.plan.params)
        for got, want in zip(model.plan.states, replayed.plan.states, strict=False):
            assert_same_bits(got, want)
        model.train(X, Y, epochs=2)
        assert len(model.history) == full + 2


def test_a_break_at_any_moment_of_taking_in_records_loses_none() -> None:
    """Tiny epochs: most breaks fall into the Python that writes the history."""
    deadline = time.monotonic() + 4
    while time.monotonic() < deadline:
        model = Model([Dense(1, 1)], seed=1)
        model.set(loss="mse", optimizer="adam")
        train_until_broken(model, float(RNG.uniform(0.001, 0.03)), X[:1, :1], X[:1, :1])
        assert len(model.history) == model.epochs_done == model.steps_done
        assert {len(column) for column in model.history.history.values()} == {model.epochs_done}


def test_ctrl_c_is_noticed_in_the_middle_of_a_long_epoch() -> None:
    model = classifier(1, 64)
    long = np.tile(X, (50_000, 1)), np.tile(Y, 50_000)
    train_until_broken(model, 0.3, *long, batch_size=8)
    assert model.steps_done % (len(long[0]) // 8) > 0
    assert np.isfinite(model.predict(X)).all()


def test_a_break_in_the_middle_of_validation_keeps_the_epoch() -> None:
    model = classifier(1, 64)
    model.finalize(6)
    big = np.tile(X, (50_000, 1)), np.tile(Y, 50_000)  # takes far longer than the one step
    train_until_broken(model, 0.3, X, Y, validation_data=big)
    assert model.epochs_done == model.steps_done == len(model.history)
    if model.steps_done:
        assert model.history["val_loss"][-1] is None
        assert model.history["loss"][-1] > 0
