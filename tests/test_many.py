"""fit_many: the bits of models trained one by one, errors that name the model, Ctrl-C."""

from __future__ import annotations

import _thread
import threading
from typing import Any

import numpy as np
import pytest
from small import ctrl_c_raises

import fastnn
from fastnn import Dense, Model, fit_many
from fastnn.callbacks import EarlyStopping
from fastnn.optimizers import SGD, Adam

RNG = np.random.default_rng(9)
X = RNG.standard_normal((400, 6)).astype(np.float32)
Y = RNG.integers(0, 3, 400)


def make(seed: int, width: int = 16, optimizer: Any = None) -> Model:
    model = Model([Dense(width, activation="relu"), Dense(3, activation="softmax")], seed=seed)
    model.set(loss="cce", optimizer=optimizer or Adam(0.01))
    return model


def weights(model: Model) -> bytes:
    return bytes(model.plan.params.tobytes())


def several() -> list[Model]:
    return [make(i, 8 + 5 * i, SGD(0.1, momentum=0.5) if i % 2 else None) for i in range(7)]


@pytest.mark.parametrize("n_jobs", [1, 2, 5, -1])
def test_the_bits_are_those_of_fit_one_by_one(n_jobs: int) -> None:
    together, apart = several(), several()
    histories = fit_many(together, X, Y, epochs=4, n_jobs=n_jobs, validation_data=(X, Y))
    for model, single, history in zip(together, apart, histories, strict=True):
        single.fit(X, Y, epochs=4, validation_data=(X, Y))
        assert weights(model) == weights(single)
        assert history is model.history
        assert history.val_accuracy == single.history.val_accuracy


def test_epochs_and_batch_sizes_may_differ() -> None:
    models = [make(i) for i in range(3)]
    fit_many(models, X, Y, epochs=[1, 2, 3], batch_size=[None, 10, 64], shuffle=False)
    assert [len(m.history) for m in models] == [1, 2, 3]
    assert [m.steps_done for m in models] == [1, 80, 21]


def test_progress_is_told_of_every_model() -> None:
    seen = set()

    class Watch:
        def update(self, *, model: int, epoch: int, epochs: int, loss: float, accuracy: float) -> None:
            seen.add(model)
            assert 0 <= epoch <= epochs == 3

    fit_many([make(i) for i in range(4)], X, Y, epochs=3, progress=Watch())
    assert seen == {0, 1, 2, 3}


def test_each_model_has_its_own_callbacks() -> None:
    stops = [EarlyStopping("loss", patience=p) for p in (0, 1, 10**6)]
    models = [make(i) for i in range(3)]
    fit_many(models, X, Y, epochs=60, callbacks=[[stop] for stop in stops], n_jobs=2)
    for model, seed, patience in zip(models, range(3), (0, 1, 10**6), strict=True):
        alone = make(seed)
        alone.fit(X, Y, epochs=60, callbacks=[EarlyStopping("loss", patience=patience)])
        assert weights(alone) == weights(model)
    assert models[0].epochs_done <= models[2].epochs_done == 60


def test_a_failure_names_the_model_and_stops_the_rest() -> None:
    models = [make(0), make(1, optimizer=SGD(1e30)), *[make(i) for i in range(2, 6)]]
    with pytest.raises(FloatingPointError, match="not finite") as caught:
        fit_many(models, X, Y, epochs=100_000, n_jobs=2)
    assert caught.value.__notes__ == ["in fit_many, models[1]"]
    models[0].train(X, Y)  # as after a full step: usable


def test_ctrl_c_stops_all_of_them() -> None:
    models = [make(i) for i in range(3)]
    timer = threading.Timer(0.5, _thread.interrupt_main)
    with ctrl_c_raises():
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            fit_many(models, X, Y, epochs=10_000_000, n_jobs=2)
        timer.join()
    assert all(m.steps_done for m in models[:2])
    models[0].train(X, Y)


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ({"models": [1]}, TypeError, r"models\[0\]: expected a Model, got int"),
        ({"n_jobs": 0}, ValueError, "n_jobs: expected -1 or at least 1, got 0"),
        ({"n_jobs": 1.5}, TypeError, "n_jobs: expected a whole number, got 1.5"),
        ({"epochs": 1.5}, TypeError, "epochs: expected a whole number, or one for each model, got 1.5"),
        ({"callbacks": EarlyStopping()}, TypeError, "callbacks: expected a list of callbacks for each model, got <"),
        ({"callbacks": []}, ValueError, "callbacks: expected 1 lists, one for each model, got 0"),
        ({"callbacks": [[3]]}, TypeError, r"callbacks\[0\]: expected a Callback, got 3"),
        ({"epochs": [1, 2]}, ValueError, "epochs: expected one, or 1, one for each model, got 2"),
        ({"X": X[:, 0]}, ValueError, "X: expected 2 dimensions"),
        ({"y": Y[:-1]}, ValueError, "y: expected 400 rows"),
        ({"y": Y + 1}, ValueError, "expected class labels 0 to 2"),
    ],
)
def test_bad_arguments(arguments: dict[str, Any], error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        fit_many(**({"models": [make(0)], "X": X, "y": Y} | arguments))


def test_the_same_model_twice_is_refused() -> None:
    model = make(0)
    with pytest.raises(ValueError, match="the same model is given twice"):
        fit_many([model, model], X, Y)


def test_the_same_callback_for_two_models_is_refused() -> None:
    stop = EarlyStopping("loss")
    with pytest.raises(ValueError, match=r"the same object is given for models\[0\] and models\[1\]"):
        fit_many([make(0), make(1)], X, Y, callbacks=[[stop], [stop]])


def test_no_models_is_no_work() -> None:
    assert fit_many([], X, Y) == []
    assert fastnn.fit_many is fit_many


def test_callbacks_may_come_from_a_generator() -> None:
    models = [make(0), make(1)]
    fit_many(models, X, Y, epochs=9, callbacks=[(c for c in [EarlyStopping("loss", min_delta=9.0)]) for _ in models])
    assert [len(m.history) for m in models] == [2, 2]


def test_what_fit_takes_besides() -> None:
    together, alone = [make(0), make(1)], [make(0), make(1)]
    fit_many(together, X, Y, epochs=2, validation_split=0.25, accumulate=2, time_limit=600.0)
    for model, other in zip(alone, together, strict=True):
        model.fit(X, Y, epochs=2, validation_split=0.25, accumulate=2)
        assert model.plan.params.tobytes() == other.plan.params.tobytes()
        assert model.history["val_loss"] == other.history["val_loss"]
