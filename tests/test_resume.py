"""Going on exactly: a broken training and its rest have the bits, history and callbacks of one that was not broken."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from compare import assert_same_bits
from small import X, Y, bits, classifier

from fastnn import Dense, FormatError, Model, Normalization
from fastnn import callbacks as cb

HELD = (X[60:], Y[60:])
OPTIONS: dict[str, Any] = {"epochs": 12, "batch_size": 8, "shuffle": True, "validation_data": HELD}


class Break(cb.Callback):
    """Raises KeyboardInterrupt, as Ctrl-C does, at a step or at an epoch's end."""

    def __init__(self, step: int | None = None, epoch: int | None = None) -> None:
        self.step, self.epoch = step, epoch

    def on_batch_end(self, batch: int, logs: Any) -> None:
        if self.model.steps_done == self.step:
            raise KeyboardInterrupt

    def on_epoch_end(self, epoch: int, logs: Any) -> None:
        if epoch == self.epoch:
            raise KeyboardInterrupt


def the_callbacks(folder: Path) -> list[cb.Callback]:
    return [
        cb.EarlyStopping(patience=2, min_delta=0.05, restore_best=True),
        cb.ReduceLROnPlateau(patience=1, factor=0.5, min_delta=0.05),
        cb.CSVLogger(folder / "run.csv"),
    ]


def assert_same_training(a: Model, b: Model) -> None:
    assert bits(a) == bits(b)
    for mine, theirs in zip(a.plan.states, b.plan.states, strict=True):
        assert_same_bits(mine, theirs)
    assert a.history.state() == b.history.state()
    assert (a.steps_done, a.epochs_done, a.position) == (b.steps_done, b.epochs_done, b.position)
    assert a.optimizer_object.config() == b.optimizer_object.config()


@pytest.mark.parametrize("at", [{"step": 3}, {"step": 29}, {"step": 8}, {"epoch": 5}, {"epoch": 0}])
@pytest.mark.parametrize("accumulate", [1, 3])
def test_a_broken_training_ends_as_one_that_was_not(at: dict[str, int], accumulate: int, tmp_path: Path) -> None:
    options = OPTIONS | {"accumulate": accumulate}
    (tmp_path / "whole").mkdir()
    (tmp_path / "broken").mkdir()
    whole, broken, resumed = classifier(), classifier(), classifier(seed=99)
    whole.train(X[:60], Y[:60], **options, callbacks=the_callbacks(tmp_path / "whole"))
    with pytest.raises(KeyboardInterrupt):
        broken.train(X[:60], Y[:60], **options, callbacks=[*the_callbacks(tmp_path / "broken"), Break(**at)])
    broken.save(tmp_path / "m.fnn")
    resumed.train(
        X[:60], Y[:60], **options, resume=tmp_path / "m.fnn", callbacks=the_callbacks(tmp_path / "broken")
    )  # fmt: skip
    assert_same_training(resumed, whole)
    assert (tmp_path / "broken" / "run.csv").read_text() == (tmp_path / "whole" / "run.csv").read_text()
    if accumulate == 1:  # the callbacks had something to remember
        assert whole.epochs_done == 11
        assert whole.optimizer_object.learning_rate < 0.002


def test_checkpoints_of_steps_resume_from_each(tmp_path: Path) -> None:
    whole = classifier()
    whole.train(
        X[:60], Y[:60], **OPTIONS,
        callbacks=[cb.LambdaCallback(on_batch_end=lambda b, logs: whole.save(tmp_path / f"{whole.steps_done}.fnn"))],
    )  # fmt: skip
    for step in (1, 7, 8, 9, 40, 95):
        resumed = classifier()
        resumed.train(X[:60], Y[:60], **OPTIONS, resume=tmp_path / f"{step}.fnn")
        assert_same_training(resumed, whole)


def test_epochs_are_the_total_and_a_missing_file_is_the_start(tmp_path: Path) -> None:
    path = tmp_path / "m.fnn"
    model = classifier()
    model.train(X, Y, epochs=3, resume=path)
    assert model.epochs_done == 3
    model.save(path)
    for epochs, done in ((2, 3), (3, 3), (5, 5)):
        again = classifier()
        again.train(X, Y, epochs=epochs, resume=path)
        assert (again.epochs_done, len(again.history)) == (done, done)
    model.train(X, Y, epochs=2)
    assert bits(model) == bits(again)


def test_an_epoch_that_is_not_resumed_is_begun_anew() -> None:
    model = classifier()
    with pytest.raises(KeyboardInterrupt):
        model.train(X, Y, batch_size=30, epochs=5, callbacks=[Break(step=4)])
    assert model.position is not None
    model.train(X, Y, batch_size=30, epochs=1)
    assert (model.steps_done, model.epochs_done, model.position) == (7, 2, None)


def test_a_training_that_had_stopped_early_stays_stopped(tmp_path: Path) -> None:
    whole = classifier()
    check = cb.ModelCheckpoint(tmp_path / "m.fnn")
    early = cb.EarlyStopping(patience=2, min_delta=0.2, restore_best=True)
    whole.train(X[:60], Y[:60], **OPTIONS, callbacks=[check, early])
    assert early.stopped_epoch is not None
    again, resumed = cb.EarlyStopping(patience=2, min_delta=0.2, restore_best=True), classifier()
    resumed.train(
        X[:60], Y[:60], **OPTIONS, resume=tmp_path / "m.fnn", callbacks=[cb.ModelCheckpoint(tmp_path / "m.fnn"), again]
    )
    assert_same_training(resumed, whole)
    assert (again.stopped_epoch, again.best_epoch, again.best) == (early.stopped_epoch, early.best_epoch, early.best)


def test_a_finished_training_does_not_save_its_best_parameters_twice(tmp_path: Path) -> None:
    model = classifier()
    early = cb.EarlyStopping(patience=100, restore_best=True)
    model.train(X[:60], Y[:60], epochs=60, batch_size=5, validation_data=HELD, callbacks=[early])
    model.save(tmp_path / "m.fnn")
    assert [set(s["state"]) & {"parameters"} for s in Model.load(tmp_path / "m.fnn").callback_states] == [set()]
    longer, again = classifier(), cb.EarlyStopping(patience=100, restore_best=True)
    options: dict[str, Any] = {"batch_size": 5, "validation_data": HELD, "callbacks": [again]}
    longer.train(X[:60], Y[:60], epochs=62, resume=tmp_path / "m.fnn", **options)
    assert longer.epochs_done == 62
    assert longer.evaluate(*HELD).loss == again.best <= early.best  # the best of both, though its file held no copy


def test_a_callback_keeps_arrays_and_new_ones_start_anew(tmp_path: Path) -> None:
    class Mean(cb.Callback):
        def __init__(self) -> None:
            self.total = np.zeros(3)

        def on_epoch_end(self, epoch: int, logs: Any) -> None:
            self.total += epoch

        def state(self) -> dict[str, Any]:
            return {"total": self.total, "note": "x"}

        def load_state(self, state: dict[str, Any]) -> None:
            assert state["note"] == "x"
            self.total = state["total"]

    model = classifier()
    model.train(X, Y, epochs=3, callbacks=[Mean()])
    model.save(tmp_path / "m.fnn")
    loaded = Model.load(tmp_path / "m.fnn")
    loaded.save(tmp_path / "again.fnn")  # without a training in between nothing is lost
    assert (tmp_path / "again.fnn").read_bytes() == (tmp_path / "m.fnn").read_bytes()
    mean = Mean()
    recorder = cb.EarlyStopping("loss", patience=50)
    classifier().train(X, Y, epochs=5, resume=tmp_path / "again.fnn", callbacks=[recorder, mean])
    assert mean.total.tolist() == [0 + 1 + 2 + 3 + 4] * 3
    assert recorder.wait <= 2


@pytest.mark.parametrize(
    ("make", "options", "text"),
    [
        (lambda: Model([Dense(3, activation="softmax")], seed=1), {}, "the number of layers: expected 1, got 3"),
        (lambda: classifier(dtype="float64"), {}, "dtype: expected float64, got float32"),
        (classifier, {"batch_size": 31}, "within an epoch of batch_size=30, here it is batch_size=31"),
        (classifier, {"shuffle": True}, "within an epoch of shuffle=False, here it is shuffle=True"),
        (classifier, {"accumulate": 2}, "within an epoch of accumulate=1, here it is accumulate=2"),
    ],
)
def test_a_file_that_does_not_fit_is_refused_and_changes_nothing(
    make: Any, options: Any, text: str, tmp_path: Path
) -> None:
    saved = classifier()
    with pytest.raises(KeyboardInterrupt):
        saved.train(X, Y, batch_size=30, callbacks=[Break(step=2)])
    saved.save(tmp_path / "m.fnn")
    model = make()
    model.set(loss="categorical_crossentropy", optimizer="adam")
    model.finalize(4)
    before = bits(model)
    with pytest.raises(ValueError, match=text):
        model.train(X, Y, **({"batch_size": 30} | options), resume=tmp_path / "m.fnn")
    assert (bits(model), model.steps_done, len(model.history)) == (before, 0, 0)


@pytest.mark.parametrize(
    "at",
    [
        [91, 1, 0.1, 1.0, 1, 1, 1],
        [30, -1, 0.1, 1.0, 1, 1, 1],
        [30, 1],
        None,
        [30, 1, "a", 1.0, 1, 1, 1],
        [30, 2**63, 0.1, 1.0, 1, 1, 1],
        [30, 1, 10**400, 1.0, 1, 1, 1],
        [30, 1, 0.1, 1.0, 1, 1, True],
    ],
)
def test_a_place_that_makes_no_sense_never_reaches_the_native_loop(at: Any, tmp_path: Path) -> None:
    saved = classifier()
    with pytest.raises(KeyboardInterrupt):
        saved.train(X, Y, batch_size=30, callbacks=[Break(step=1)])
    assert saved.position is not None
    saved.position = saved.position | {"at": at}
    saved.save(tmp_path / "m.fnn")
    with pytest.raises(ValueError, match="the file's place within an epoch makes no sense"):
        classifier().train(X, Y, batch_size=30, resume=tmp_path / "m.fnn")


def test_another_optimizer_or_damage_is_refused(tmp_path: Path) -> None:
    saved = classifier()
    saved.train(X, Y)
    saved.save(tmp_path / "m.fnn")
    model = classifier()
    model.set(optimizer="sgd")
    with pytest.raises(ValueError, match="optimizer: expected sgd, got adam"):
        model.train(X, Y, resume=tmp_path / "m.fnn")
    blob = bytearray((tmp_path / "m.fnn").read_bytes())
    blob[-3] ^= 1
    (tmp_path / "m.fnn").write_bytes(blob)
    with pytest.raises(FormatError, match="damaged"):
        classifier().train(X, Y, resume=tmp_path / "m.fnn")


def test_a_layer_may_be_frozen_between_two_phases(tmp_path: Path) -> None:
    path = tmp_path / "m.fnn"
    models = classifier(), classifier()
    models[0].train(X, Y, epochs=2)
    models[0].layers[0].trainable = False
    models[0].train(X, Y, epochs=2)
    models[1].train(X, Y, epochs=2, resume=path, callbacks=[cb.ModelCheckpoint(path)])
    models[1].layers[0].trainable = False
    models[1].train(X, Y, epochs=4, resume=path, callbacks=[cb.ModelCheckpoint(path)])
    assert bits(models[0]) == bits(models[1])


def test_a_file_that_was_never_trained_begins_anew(tmp_path: Path) -> None:
    """Whatever the model has been through: no moment of its optimizer stays."""
    fresh, used = classifier(), classifier()
    fresh.finalize(4)
    fresh.save(tmp_path / "m.fnn")
    used.train(X, Y, epochs=3, batch_size=30)
    for model in (fresh, used):
        model.train(X, Y, epochs=2, batch_size=30, resume=tmp_path / "m.fnn")
    assert bits(fresh) == bits(used)


def test_a_normalization_finds_its_moments_where_the_file_has_none(tmp_path: Path) -> None:
    def make() -> Model:
        model = Model([Normalization(), Dense(3, activation="softmax")], seed=0)
        model.set(loss="categorical_crossentropy", optimizer="adam")
        return model

    far = X * 50 + 1000
    blank, plain, resumed = make(), make(), make()
    blank.finalize(4)
    blank.save(tmp_path / "m.fnn")
    plain.train(far, Y, epochs=2)
    resumed.train(far, Y, epochs=2, resume=tmp_path / "m.fnn")
    assert resumed.layers[0].adapted
    assert bits(resumed) == bits(plain)
    with pytest.raises(ValueError, match="has no mean and variance yet"):
        make().train_stream([(far, Y)], epochs=2, resume=tmp_path / "m.fnn")


def test_another_optimizer_begins_the_callbacks_anew(tmp_path: Path) -> None:
    model = classifier()
    model.train(X, Y, epochs=5, callbacks=[cb.CSVLogger(tmp_path / "a.csv")])
    model.set(optimizer="sgd")
    model.save(tmp_path / "m.fnn")
    other = classifier()
    other.set(optimizer="sgd")
    other.train(X, Y, epochs=3, resume=tmp_path / "m.fnn", callbacks=[cb.CSVLogger(tmp_path / "b.csv")])
    assert [line.split(",")[0] for line in (tmp_path / "b.csv").read_text().split()] == ["epoch", "0", "1", "2"]


@pytest.mark.parametrize("resume", [False, True])
def test_what_a_callback_refuses_changes_nothing(resume: bool, tmp_path: Path) -> None:
    file = tmp_path / "m.fnn"
    first = classifier(seed=5)
    first.train(X, Y, epochs=2)
    first.save(file)
    model = Model([Normalization(), Dense(3, activation="softmax")], seed=0)
    model.set(loss="categorical_crossentropy", optimizer="adam")
    if resume:
        model = classifier()
        model.train(X, Y, epochs=1)
    before = model.to_bytes() if resume else None
    for wrong in (
        cb.EarlyStopping(),
        cb.ReduceLROnPlateau("nope"),
        cb.ModelCheckpoint(tmp_path / "no" / "m.fnn"),
        cb.CSVLogger(tmp_path / "no" / "t.csv"),
    ):
        with pytest.raises((ValueError, FileNotFoundError)):
            model.train(X, Y, callbacks=[wrong], resume=file if resume else None)
        if resume:
            assert model.to_bytes() == before
        else:
            assert model._plan is None
            assert not model.layers[0].adapted
