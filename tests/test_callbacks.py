"""Callbacks: which hooks are called when, what each built-in one does, and the errors that name their arguments."""

from __future__ import annotations

import copy
import csv
import io
import pickle
import re
import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from compare import assert_same_bits
from small import X, Y, bits, classifier

from fastnn import Dense, Model
from fastnn import callbacks as cb
from fastnn.callbacks import Callback
from fastnn.callbacks._base import CallbackSet
from fastnn.optimizers import Adam
from fastnn.schedules import ExponentialDecay

HELD = (X[60:], Y[60:])


class Recorder(Callback):
    """Writes down every hook of epoch and training."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def on_train_begin(self, logs: Any) -> None:
        self.calls.append("train begin")

    def on_train_end(self, logs: Any) -> None:
        self.calls.append("train end")

    def on_epoch_begin(self, epoch: int, logs: Any) -> None:
        self.calls.append(f"epoch {epoch} begin")

    def on_epoch_end(self, epoch: int, logs: Any) -> None:
        self.calls.append(f"epoch {epoch} end")

    def close(self) -> None:
        self.calls.append("close")


class BatchRecorder(Recorder):
    def on_batch_begin(self, batch: int, logs: Any) -> None:
        self.calls.append(f"batch {batch} begin")

    def on_batch_end(self, batch: int, logs: Any) -> None:
        self.calls.append(f"batch {batch} end")


def replay(values: list[float], *callbacks: Callback, monitor: str = "val_loss", model: Model | None = None) -> Model:
    """Epochs whose ``monitor`` has these values, without training."""
    model = model or classifier()
    model.finalize(4)
    hooks = CallbackSet(callbacks)
    hooks.begin(model, {"metrics": ["loss", monitor], "epochs": len(values), "steps": 1}, None)
    for epoch, value in enumerate(values):
        hooks.epoch_begin(epoch)
        hooks.epoch_end(epoch + 1, {"loss": 0.0, monitor: value})
        if model.stop_training:
            break
    hooks.end({})
    return model


# --- hooks ---


def test_the_hooks_come_in_their_order_and_change_nothing() -> None:
    seen, plain, recorder = classifier(), classifier(), BatchRecorder()
    seen.train(X, Y, epochs=2, batch_size=50, shuffle=True, validation_data=HELD, callbacks=[recorder])
    plain.train(X, Y, epochs=2, batch_size=50, shuffle=True, validation_data=HELD)
    batches = ["batch 0 begin", "batch 0 end", "batch 1 begin", "batch 1 end"]
    epochs = [["epoch 0 begin", *batches, "epoch 0 end"], ["epoch 1 begin", *batches, "epoch 1 end"]]
    assert recorder.calls == ["train begin", *epochs[0], *epochs[1], "train end", "close"]
    assert bits(seen) == bits(plain)
    assert seen.history.state() == plain.history.state()
    seen.train(X, Y, callbacks=recorder)
    assert recorder.calls[-4:] == ["batch 0 end", "epoch 2 end", "train end", "close"]


def test_python_runs_only_where_a_hook_is_overridden() -> None:
    assert not CallbackSet([Callback()]).of_epochs
    assert not CallbackSet([Recorder()]).of_batches
    assert not CallbackSet([cb.EarlyStopping(), cb.CSVLogger("x.csv"), cb.ModelCheckpoint("x")]).of_batches
    assert CallbackSet([cb.ModelCheckpoint("x", save_freq=3)]).of_batches
    assert CallbackSet([cb.LambdaCallback(on_batch_end=print)]).of_batches

    class KerasName(Callback):
        def on_train_batch_end(self, batch: int, logs: Any) -> None:
            self.last = (batch, logs)

    keras = KerasName()
    classifier().train(X, Y, batch_size=30, callbacks=[keras])
    assert keras.last[0] == 2


def test_logs_are_those_of_the_history_and_the_batch() -> None:
    model, epochs, batches = classifier(), [], []
    model.train(
        X, Y, epochs=2, batch_size=45, validation_data=HELD,
        callbacks=[cb.LambdaCallback(on_epoch_end=lambda epoch, logs: epochs.append((epoch, logs)),
                                     on_batch_end=lambda batch, logs: batches.append(logs))],
    )  # fmt: skip
    assert epochs[1] == (1, model.history.last())
    assert [set(logs) for logs in batches] == [{"loss", "accuracy", "learning_rate"}] * 4
    assert np.mean([logs["loss"] for logs in batches[:2]]) == pytest.approx(model.history["data_loss"][0], rel=1e-12)
    quiet = Model(classifier().layers, seed=1)
    quiet.set(loss="cce", optimizer="adam", accuracy=None)
    quiet.train(X, Y, callbacks=[cb.LambdaCallback(on_epoch_end=lambda epoch, logs: epochs.append((epoch, logs)))])
    assert set(epochs[-1][1]) == {"loss", "data_loss", "regularization_loss", "learning_rate"}


def test_a_callback_may_predict_write_weights_and_stop() -> None:
    def act(epoch: int, logs: Any) -> None:
        assert model.predict(X).shape == (90, 3)
        assert model.evaluate(*HELD).loss == logs["val_loss"]
        model.layers[0].weights[:] = 0.5

    model = classifier()
    model.train(X, Y, validation_data=HELD, callbacks=[cb.LambdaCallback(on_epoch_end=act)])
    assert (model.layers[0].weights == 0.5).all()

    def stop(batch: int, logs: Any) -> None:
        model.stop_training = model.steps_done == 5

    model = classifier()
    model.train(X, Y, epochs=10, batch_size=30, callbacks=[cb.LambdaCallback(on_batch_end=stop)])
    assert (model.steps_done, model.epochs_done, len(model.history)) == (5, 1, 1)
    model.train(X, Y, epochs=1, batch_size=30)  # another call begins anew
    assert (model.steps_done, model.epochs_done) == (8, 2)


def test_stopping_after_an_epochs_last_step_lets_its_validation_finish() -> None:
    model = classifier()
    stop = cb.LambdaCallback(on_batch_end=lambda batch, logs: setattr(model, "stop_training", batch == 2))
    model.train(X, Y, epochs=10, batch_size=30, validation_data=HELD, callbacks=[stop])
    assert (model.epochs_done, model.steps_done) == (1, 3)
    assert model.history["val_loss"][-1] == model.evaluate(*HELD).loss


def test_an_exception_in_a_callback_leaves_a_full_step_and_closes_all() -> None:
    def fail(batch: int, logs: Any) -> None:
        if model.steps_done == 4:
            raise RuntimeError("enough")

    model, replayed, recorder = classifier(), classifier(), Recorder()
    with pytest.raises(RuntimeError, match="enough"):
        model.train(X, Y, epochs=9, batch_size=30, callbacks=[recorder, cb.LambdaCallback(on_batch_end=fail)])
    assert (model.steps_done, model.epochs_done, len(model.history)) == (4, 1, 1)
    assert recorder.calls[-1] == "close"
    assert "train end" not in recorder.calls
    replayed.train(X, Y, batch_size=30)
    replayed.train(X[:30], Y[:30])
    assert bits(model) == bits(replayed)


def test_a_callback_cannot_train_the_model_it_watches() -> None:
    model = classifier()
    nested = cb.LambdaCallback(on_epoch_end=lambda epoch, logs: model.train(X, Y))
    with pytest.raises(RuntimeError, match="the model is being trained"):
        model.train(X, Y, callbacks=[nested])
    model.train(X, Y)


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: 3, TypeError, "callbacks: expected a list of Callback objects, got 3"),
        (lambda: [print], TypeError, r"callbacks\[0\]: expected a Callback, got <built-in"),
        (lambda: [cb.EarlyStopping], TypeError, r"did you mean EarlyStopping\(...\)\?"),
        (lambda: [c := Callback(), c], ValueError, "callbacks: the same object is given twice"),
        (lambda: cb.EarlyStopping(), ValueError, "monitor: .* got 'val_loss' .it needs validation_data="),
        (lambda: cb.EarlyStopping("los"), ValueError, "EarlyStopping: monitor: expected one of loss, .*, got 'los'"),
        (lambda: cb.EarlyStopping(3), TypeError, "EarlyStopping: monitor: expected a name"),
        (lambda: cb.EarlyStopping(patience=-1), ValueError, "EarlyStopping: patience: expected at least 0, got -1"),
        (lambda: cb.EarlyStopping(patience=1.5), TypeError, "patience: expected a whole number, got 1.5"),
        (lambda: cb.EarlyStopping(mode="up"), ValueError, "mode: expected one of auto, min, max, got 'up'"),
        (lambda: cb.EarlyStopping(min_delta=-1), ValueError, "min_delta: expected at least 0, got -1"),
        (lambda: cb.ModelCheckpoint("x", save_best_only=True), ValueError, "ModelCheckpoint: monitor: expected one of"),
        (lambda: cb.ModelCheckpoint("x", save_freq=0), ValueError, "save_freq: expected at least 1, got 0"),
        (lambda: cb.ModelCheckpoint("x", save_freq=2, save_best_only=True), ValueError, "save_freq: expected 'epoch'"),
        (lambda: cb.ModelCheckpoint("{val}.fnn"), ValueError, "path: '{val}.fnn' has a field .* known: epoch, loss"),
        (lambda: cb.ReduceLROnPlateau(factor=1), ValueError, "factor: expected at least 0 and below 1, got 1"),
        (lambda: cb.ReduceLROnPlateau(factor=0), ValueError, "factor: expected more than 0, got 0"),
        (lambda: cb.ReduceLROnPlateau("accuracy", min_lr="a"), TypeError, "min_lr: expected a number, got 'a'"),
        (lambda: cb.LearningRateScheduler(0.1), TypeError, "schedule: expected a function, got 0.1"),
        (lambda: cb.LearningRateScheduler(lambda e, r: -r), ValueError, r"schedule\(0, ...\): expected at least 0"),
        (lambda: cb.LearningRateScheduler(lambda e, r: None), TypeError, r"schedule\(0, ...\): expected a number"),
        (lambda: cb.LambdaCallback(on_epoch=print), TypeError, "unknown hook 'on_epoch'; known: on_train_begin"),
        (lambda: cb.LambdaCallback(on_epoch_end=3), TypeError, "on_epoch_end: expected a function, got 3"),
        (lambda: cb.CSVLogger("x.csv", separator=", "), ValueError, "separator: expected one character, got ', '"),
        (lambda: cb.CSVLogger("/no/folder/x.csv"), FileNotFoundError, "CSVLogger: path: there is no folder"),
    ],
)
def test_errors_name_the_argument(make: Any, error: type[Exception], text: str) -> None:
    model = classifier()
    model.finalize(4)
    before = bits(model)
    with pytest.raises(error, match=text):
        model.train(X, Y, callbacks=make())
    if "path: '" not in text:  # that shows at the end of an epoch only
        assert bits(model) == before


# --- EarlyStopping ---


@pytest.mark.parametrize(
    ("options", "values", "stopped", "best"),
    [
        ({"patience": 2}, [5, 4, 4, 4, 3], 3, 1),
        ({"patience": 3}, [5, 4, 4, 4, 3], None, 4),
        ({"patience": 0}, [5, 4, 4, 3], 2, 1),
        ({"patience": 1, "min_delta": 0.5}, [5, 4.6, 3], 1, 0),
        ({"patience": 1, "mode": "max"}, [1, 2, 1.5], 2, 1),
        ({"patience": 1, "monitor": "val_accuracy"}, [0.1, 0.2, 0.15], 2, 1),
        ({"patience": 1, "baseline": 1.0}, [2.0, 0.5], 0, None),
        ({"patience": 1, "start_from_epoch": 2}, [1, 2, 3, 2, 3], 4, 3),
        ({"patience": 2}, [np.nan, np.nan, 1], 1, None),
    ],
)
def test_early_stopping_stops_where_it_should(options: Any, values: Any, stopped: Any, best: Any) -> None:
    early = cb.EarlyStopping(**options)
    model = replay(values, early, monitor=options.get("monitor", "val_loss"))
    assert (early.stopped_epoch, early.best_epoch) == (stopped, best)
    assert model.stop_training == (stopped is not None)


def test_early_stopping_restores_the_weights_of_the_best_epoch() -> None:
    for name in ("restore_best", "restore_best_weights"):
        model, kept = classifier(), {}
        early = cb.EarlyStopping(patience=3, min_delta=0.0, **{name: True})
        keep = cb.LambdaCallback(on_epoch_end=lambda epoch, logs, m=model, k=kept: k.update({epoch: bits(m)}))
        model.train(X[:60], Y[:60], epochs=1000, batch_size=5, validation_data=HELD, callbacks=[keep, early])
        assert early.stopped_epoch == early.best_epoch + 3 == model.epochs_done - 1
        assert bits(model) == kept[early.best_epoch] != kept[early.stopped_epoch]
        assert model.evaluate(*HELD).loss == early.best == min(model.history["val_loss"])


def test_early_stopping_without_restoring_keeps_the_last_weights() -> None:
    model, kept = classifier(), {}
    keep = cb.LambdaCallback(on_epoch_end=lambda epoch, logs: kept.update({epoch: bits(model)}))
    early = cb.EarlyStopping(patience=3)
    model.train(X[:60], Y[:60], epochs=1000, batch_size=5, validation_data=HELD, callbacks=[keep, early])
    assert bits(model) == kept[early.stopped_epoch]


def test_restoring_is_done_too_where_the_epochs_run_out() -> None:
    model, early = classifier(), cb.EarlyStopping(patience=1000, restore_best=True)
    model.train(X[:60], Y[:60], epochs=60, batch_size=5, validation_data=HELD, callbacks=[early])
    assert early.stopped_epoch is None
    assert model.evaluate(*HELD).loss == min(model.history["val_loss"]) < model.history["val_loss"][-1]


# --- the learning rate ---


def test_reduce_on_plateau_multiplies_waits_and_has_a_floor() -> None:
    model = classifier()
    rates: list[float] = []
    note = cb.LambdaCallback(on_epoch_end=lambda epoch, logs: rates.append(model.optimizer_object.learning_rate))
    plateau = cb.ReduceLROnPlateau(factor=0.5, patience=2, cooldown=1, min_lr=0.003)
    replay([1, 1, 1, 1, 1, 1, 1, 1, 0.5, 0.5, 0.5, 0.5], plateau, note, model=model)
    assert rates == [0.01, 0.01, 0.005, 0.005, 0.005, 0.003, 0.003, 0.003, 0.003, 0.003, 0.003, 0.003]


def test_the_scheduler_sets_the_rate_of_the_epoch_and_training_follows() -> None:
    model = classifier()
    schedule = cb.LearningRateScheduler(lambda epoch, rate: 0.1 / (epoch + 1))
    model.train(X, Y, epochs=3, batch_size=45, callbacks=[schedule])
    want = [0.1 / (e + 1) / (1 + 1e-3 * (2 * e + 1)) for e in range(3)]
    assert model.history["learning_rate"] == want
    by_hand = classifier()
    for epoch in range(3):
        by_hand.optimizer.learning_rate = 0.1 / (epoch + 1)
        by_hand.train(X, Y, batch_size=45)
    assert bits(by_hand) == bits(model)


def test_the_scheduler_takes_the_place_of_a_schedule_from_its_rate_on() -> None:
    model, given = classifier(), []
    schedule = ExponentialDecay(0.02, decay_steps=4, decay_rate=0.5)
    model.set(loss="categorical_crossentropy", optimizer=Adam(learning_rate=schedule))
    model.train(X, Y, epochs=2, batch_size=45)  # two steps an epoch
    steps = model.steps_done

    def half(epoch: int, rate: float) -> float:
        given.append(rate)
        return rate / 2

    model.train(X, Y, epochs=2, batch_size=45, callbacks=[cb.LearningRateScheduler(half)])
    assert given == [schedule(steps), schedule(steps) / 2]
    assert model.history["learning_rate"][-2:] == [schedule(steps) / 2, schedule(steps) / 4]


def test_a_rate_set_within_an_epoch_holds_from_the_next_step() -> None:
    model, rates = classifier(), []

    def change(batch: int, logs: Any) -> None:
        rates.append(logs["learning_rate"])
        model.optimizer_object.learning_rate = 0.5 ** (batch + 1)

    model.optimizer_object.decay = 0.0
    model.train(X, Y, batch_size=30, callbacks=[cb.LambdaCallback(on_batch_end=change)])
    assert rates == [0.01, 0.5, 0.25]


# --- files ---


def test_checkpoints_are_written_each_epoch_or_where_better(tmp_path: Path) -> None:
    model = classifier()
    each = cb.ModelCheckpoint(tmp_path / "e{epoch:02d}-{val_loss:.4f}.fnn")
    best = cb.ModelCheckpoint(str(tmp_path / "best.fnn"), save_best_only=True)
    steps = cb.ModelCheckpoint(tmp_path / "steps{epoch}.fnn", save_freq=5)
    model.train(X[:60], Y[:60], epochs=6, batch_size=20, validation_data=HELD, callbacks=[each, best, steps])
    values = model.history["val_loss"]
    assert sorted(p.name for p in tmp_path.glob("e*.fnn")) == [f"e{i:02d}-{v:.4f}.fnn" for i, v in enumerate(values, 1)]
    assert Model.load(tmp_path / "best.fnn").epochs_done == int(np.argmin(values)) + 1
    assert best.best == min(values)
    assert [Model.load(p).steps_done for p in sorted(tmp_path.glob("steps*.fnn"))] == [5, 10, 15]


def test_the_table_has_a_line_for_each_epoch(tmp_path: Path) -> None:
    path = tmp_path / "run.csv"
    model = classifier()
    model.train(X[:60], Y[:60], epochs=3, validation_data=HELD, callbacks=[cb.CSVLogger(path)])
    with path.open(newline="") as f:
        rows = list(csv.DictReader(f))
    assert [int(row["epoch"]) for row in rows] == [0, 1, 2]
    for key, column in model.history.history.items():
        assert [float(row[key]) for row in rows] == column  # as exact as they were measured
    model.train(X[:60], Y[:60], callbacks=[cb.CSVLogger(path, append=True, separator=",")], validation_data=HELD)
    assert len(path.read_text().splitlines()) == 5
    model.train(X[:60], Y[:60], callbacks=[cb.CSVLogger(path, separator=";")])
    assert path.read_text().splitlines()[0] == "epoch;loss;data_loss;regularization_loss;accuracy;learning_rate"
    assert len(path.read_text().splitlines()) == 2


def test_a_table_goes_on_in_its_own_columns(tmp_path: Path) -> None:
    path, model = tmp_path / "run.csv", classifier()
    model.train(X[:60], Y[:60], validation_data=HELD, callbacks=[cb.CSVLogger(path)])
    path.write_bytes(path.read_bytes().rstrip())  # as an editor may leave it
    model.train(X[:60], Y[:60], callbacks=[cb.CSVLogger(path, append=True)])
    with path.open(newline="") as f:
        rows = list(csv.DictReader(f))
    assert [row["epoch"] for row in rows] == ["0", "1"]
    assert [row["val_loss"] == "" for row in rows] == [False, True]
    for key in ("loss", "accuracy", "learning_rate"):
        assert [float(row[key]) for row in rows] == model.history[key]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("epoch,loss\n0,1\n", "has the columns epoch, loss and none for data_loss, .*learning_rate: go on in another"),
        ("epoch;loss", "has the columns epoch;loss and none for epoch, loss"),
        ("\xff\xfe", "is not a table to go on with: .*utf-8"),
        ("a" * 200_000, "is not a table to go on with: field larger"),
    ],
)
def test_a_table_without_room_is_refused_before_the_first_step(tmp_path: Path, text: str, complaint: str) -> None:
    path, model = tmp_path / "run.csv", classifier()
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(ValueError, match=rf"CSVLogger: path: .*run\.csv {complaint}"):
        model.train(X[:60], Y[:60], callbacks=[cb.CSVLogger(path, append=True)])
    assert (model.steps_done, path.read_bytes()) == (0, text.encode("latin-1"))
    path.write_text("\n")
    model.train(X[:60], Y[:60], callbacks=[cb.CSVLogger(path, append=True)])
    assert path.read_text().split()[0] == "epoch,loss,data_loss,regularization_loss,accuracy,learning_rate"


def test_a_resumed_table_has_room_for_what_is_measured(tmp_path: Path) -> None:
    path, model = tmp_path / "run.csv", classifier()
    logger = cb.CSVLogger(path)
    model.train(X[:60], Y[:60], epochs=1, callbacks=[logger, cb.ModelCheckpoint(tmp_path / "m.fnn")])
    before = path.read_bytes()
    with pytest.raises(ValueError, match=r"resume: .*CSVLogger does not fit .*none for val_loss, val_accuracy"):
        classifier().train(
            X[:60], Y[:60], epochs=2, validation_data=HELD, resume=tmp_path / "m.fnn", callbacks=[cb.CSVLogger(path)]
        )
    assert path.read_bytes() == before


def test_without_tensorboard_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorboard.compat.proto", None)
    with pytest.raises(ImportError, match=re.escape("pip install 'fastnn-cpu[tensorboard]'")):
        cb.TensorBoard("logs")


def test_bits_are_the_same_with_every_callback_there_is(tmp_path: Path) -> None:
    watched, plain = classifier(), classifier()
    all_of_them = [
        cb.EarlyStopping(patience=500), cb.ModelCheckpoint(tmp_path / "m.fnn", save_freq=7),
        cb.CSVLogger(tmp_path / "m.csv"), cb.LearningRateScheduler(lambda epoch, rate: rate),
        cb.ReduceLROnPlateau(patience=500), cb.LambdaCallback(on_batch_end=lambda batch, logs: None),
    ]  # fmt: skip
    watched.train(X, Y, epochs=5, batch_size=16, shuffle=True, validation_data=HELD, callbacks=all_of_them)
    plain.train(X, Y, epochs=5, batch_size=16, shuffle=True, validation_data=HELD)
    assert_same_bits(watched.plan.params, plain.plan.params)
    assert watched.history.state() == plain.history.state()


# --- what comes together ---


class Counter(Callback):
    def __init__(self) -> None:
        self.steps = 0

    def on_batch_end(self, batch: int, logs: Any) -> None:
        self.steps += 1

    def state(self) -> dict[str, Any]:
        return {"steps": self.steps}

    def load_state(self, state: dict[str, Any]) -> None:
        self.steps = state["steps"]


class Interrupt(Callback):
    def __init__(self, step: int) -> None:
        self.step = step

    def on_batch_end(self, batch: int, logs: Any) -> None:
        if self.model.steps_done == self.step:
            raise KeyboardInterrupt


class SaveOnce(Callback):
    def __init__(self, path: Path, step: int) -> None:
        self.path, self.step = path, step

    def on_batch_end(self, batch: int, logs: Any) -> None:
        if self.model.steps_done == self.step:
            self.model.save(self.path)


@pytest.mark.parametrize("first", [False, True])
def test_a_checkpoint_within_an_epoch_has_what_the_others_saw_of_the_step(tmp_path: Path, first: bool) -> None:
    path = tmp_path / "m.fnn"

    def run(*more: Callback) -> tuple[int, int]:
        model, counter = classifier(), Counter()
        both = [cb.ModelCheckpoint(path, save_freq=5), counter]
        model.train(X, Y, epochs=3, batch_size=10, resume=path, callbacks=[*(both if first else both[::-1]), *more])
        return counter.steps, model.steps_done

    with pytest.raises(KeyboardInterrupt):
        run(Interrupt(7))
    assert run() == (27, 27)


def test_an_appended_table_resumed_from_within_its_first_epoch(tmp_path: Path) -> None:
    table, file = tmp_path / "a.csv", tmp_path / "m.fnn"
    for before in ("", "epoch,loss,data_loss,regularization_loss,accuracy,learning_rate\n9,1,1,0,0,1\n"):
        table.write_text(before)
        file.unlink(missing_ok=True)

        def run(*more: Callback) -> None:
            classifier().train(
                X, Y, epochs=3, batch_size=10, resume=file, callbacks=[cb.CSVLogger(table, append=True), *more]
            )

        with pytest.raises(KeyboardInterrupt):
            run(SaveOnce(file, 5), Interrupt(20))
        run()
        assert [row["epoch"] for row in csv.DictReader(table.read_text().splitlines())] == ["9"] * bool(before) + [
            "0",
            "1",
            "2",
        ]


def test_a_value_that_is_not_defined_has_not_become_better() -> None:
    yes = (Y == 0).astype(int)
    model = Model([Dense(1, activation="sigmoid")], seed=0)
    model.set(loss="bce", optimizer=Adam(1e-4), metrics=["roc_auc"])
    held = X[yes == 1], yes[yes == 1]  # of one class: no curve
    plateau = cb.ReduceLROnPlateau("val_roc_auc", factor=0.5, patience=1)
    stop = cb.EarlyStopping("val_roc_auc", patience=3)
    model.train(X, yes, epochs=9, validation_data=held, callbacks=[stop, plateau])
    assert (len(model.history), stop.stopped_epoch) == (3, 2)
    assert model.optimizer_object.learning_rate == 1e-4 / 8


def test_the_best_is_remembered_from_training_to_training(tmp_path: Path) -> None:
    model = classifier()
    keep = cb.ModelCheckpoint(tmp_path / "best.fnn", monitor="loss", save_best_only=True)
    model.train(X, Y, epochs=10, batch_size=10, callbacks=[keep])
    best, stamp = keep.best, (tmp_path / "best.fnn").read_bytes()
    classifier().train(X, Y, epochs=2, callbacks=[keep])  # worse
    assert keep.best == best
    assert (tmp_path / "best.fnn").read_bytes() == stamp


def test_a_path_with_a_metric_that_is_not_defined(tmp_path: Path) -> None:
    model = Model([Dense(4, 1, activation="sigmoid")], seed=0)
    model.set(loss="binary_crossentropy", optimizer="adam", metrics=["auc"])
    ones = np.ones((90, 1))
    model.train(X, ones, epochs=2, callbacks=[cb.ModelCheckpoint(tmp_path / "m-{epoch}-{auc:.2f}.fnn")])
    assert sorted(p.name for p in tmp_path.iterdir()) == ["m-1-nan.fnn", "m-2-nan.fnn"]


@pytest.mark.parametrize(
    "given", [lambda epoch: 0.5**epoch, lambda epoch, rate: 0.5**epoch, partial(lambda b, e: b**e, 0.5)]
)
def test_a_schedule_of_the_epoch_may_take_one_argument(given: Any) -> None:
    model = classifier()
    model.train(X, Y, epochs=3, callbacks=[cb.LearningRateScheduler(given)])
    rates = [0.5**e / (1 + 1e-3 * e) for e in range(3)]
    assert model.history["learning_rate"] == pytest.approx(rates)


def test_a_validation_that_gives_nan_counts(tmp_path: Path) -> None:
    """It was made: patience runs out, and what else it measured is kept."""
    model = classifier()
    model.set(accuracy=None, metrics=["f1"])
    stop = cb.EarlyStopping("val_loss", patience=2)
    with np.errstate(all="ignore"):
        model.train(X, Y, epochs=50, validation_data=(X * np.nan, Y), check_finite=False, callbacks=[stop])
    assert stop.stopped_epoch == 1
    assert model.history["val_loss"] == [None, None]
    assert model.history["val_f1"] == [model.evaluate(X * np.nan, Y).metrics["f1"]] * 2


def test_callbacks_are_copied_after_use(tmp_path: Path) -> None:
    log, save = cb.CSVLogger(tmp_path / "a.csv"), cb.ModelCheckpoint(tmp_path / "m.fnn", save_freq=1)
    classifier().train(X, Y, epochs=1, callbacks=[log])
    for again in (copy.deepcopy(log), pickle.loads(pickle.dumps(log))):
        classifier().train(X, Y, epochs=1, callbacks=[again])
    other = copy.copy(save)
    other.path = str(tmp_path / "other.fnn")
    classifier().train(X, Y, epochs=1, callbacks=[other])
    assert (tmp_path / "other.fnn").exists()
    assert not (tmp_path / "m.fnn").exists()


def test_two_names_of_one_hook_are_refused() -> None:
    with pytest.raises(TypeError, match="on_train_batch_end and on_batch_end are one hook"):
        cb.LambdaCallback(on_batch_end=print, on_train_batch_end=print)


def test_a_line_that_cannot_be_printed_leaves_everything_in_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Closed(io.StringIO):
        def write(self, text: str) -> int:
            if text.startswith("training,"):
                raise BrokenPipeError("the reader has gone")
            return super().write(text)

    model, log = classifier(), cb.CSVLogger(tmp_path / "a.csv")
    monkeypatch.setattr(sys, "stdout", Closed())
    with pytest.raises(BrokenPipeError):
        model.train(X, Y, epochs=3, batch_size=30, print_every=1, callbacks=[log])
    monkeypatch.undo()
    assert (len(model.history), model.epochs_done, model.steps_done) == (1, 1, 3)
    assert log._file is None


def test_one_that_fails_to_close_does_not_keep_the_others_open() -> None:
    closed = []

    class Bad(cb.Callback):
        def close(self) -> None:
            raise OSError("the disk is full")

    class Good(cb.Callback):
        def close(self) -> None:
            closed.append(self)

    with pytest.raises(OSError, match="the disk is full"):
        classifier().train(X, Y, callbacks=[Bad(), Good()])
    assert len(closed) == 1
