"""A stream's training that is broken off anywhere and goes on from its file is the training that was never broken."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small import X, Y, bits, classifier

from fastnn import Model
from fastnn import callbacks as cb

HELD = (X[60:], Y[60:])


class StopError(Exception):
    pass


def stop_after(steps: int) -> cb.Callback:
    def end(batch: int, logs: Any) -> None:
        if stop.model.steps_done == steps:
            raise StopError

    stop = cb.LambdaCallback(on_batch_end=end)
    return stop


def shuffled(model: Model, size: int = 16) -> Any:
    """Each epoch in an order of its own, that the epoch's number says."""

    def batches() -> Any:
        order = np.random.default_rng(model.epochs_done).permutation(len(X))
        for i in range(0, len(X), size):
            yield X[order[i : i + size]], Y[order[i : i + size]]

    return batches


def make(metrics: Any = ()) -> Model:
    model = classifier()
    model.set(metrics=metrics)
    return model


@pytest.mark.parametrize("accumulate", [1, 4])
@pytest.mark.parametrize("steps", [1, 3, 5, 6, 7, 11, 12])
def test_broken_off_after_any_step(tmp_path: Path, steps: int, accumulate: int) -> None:
    """90 rows in batches of 16: an epoch of 6 steps, or with accumulate of 2, the second of 2 batches."""
    names = ["f1", "auc", "recall_micro"]
    whole, broken = make(names), make(names)
    whole.train_stream(shuffled(whole), epochs=4, validation_data=HELD, accumulate=accumulate)
    path = tmp_path / "run.fnn"
    if steps < whole.steps_done:
        save = cb.ModelCheckpoint(path, save_freq=1)
        with pytest.raises(StopError):
            broken.train_stream(
                shuffled(broken),
                epochs=4,
                validation_data=HELD,
                accumulate=accumulate,
                callbacks=[save, stop_after(steps)],
            )
        assert bits(broken) != bits(whole)
    again = make(names)
    again.train_stream(shuffled(again), epochs=4, validation_data=HELD, accumulate=accumulate, resume=path)
    assert bits(again) == bits(whole)
    assert again.history.state() == whole.history.state()
    assert (again.steps_done, again.epochs_done) == (whole.steps_done, whole.epochs_done)
    again.save(path)
    done = make(names)
    done.train_stream(shuffled(done), epochs=4, validation_data=HELD, accumulate=accumulate, resume=path)
    assert bits(done) == bits(whole)


def test_a_list_and_an_iterator(tmp_path: Path) -> None:
    pieces = [(X[i : i + 16], Y[i : i + 16]) for i in range(0, len(X), 16)]
    whole, broken = make(), make()
    whole.train_stream(pieces, epochs=3)
    path = tmp_path / "run.fnn"
    with pytest.raises(StopError):
        broken.train_stream(pieces, epochs=3, callbacks=[cb.ModelCheckpoint(path, save_freq=1), stop_after(8)])
    again = make()
    again.train_stream(pieces, epochs=3, resume=path)
    assert bits(again) == bits(whole)
    iterated = make()
    iterated.train_stream(iter(pieces + pieces), epochs=3, steps_per_epoch=6, resume=path)  # the second epoch's on
    assert bits(iterated) == bits(whole)
    assert iterated.history.state() == whole.history.state()


def test_between_epochs_and_by_the_clock(tmp_path: Path) -> None:
    whole, first = make(), make()
    whole.train_stream(shuffled(whole), epochs=4)
    first.train_stream(shuffled(first), epochs=2)
    first.save(tmp_path / "run.fnn")
    again = make()
    again.train_stream(shuffled(again), epochs=4, resume=tmp_path / "run.fnn")
    assert bits(again) == bits(whole)
    assert again.history.state() == whole.history.state()
    new = make()
    new.train_stream(shuffled(new), epochs=4, resume=tmp_path / "none.fnn")
    assert bits(new) == bits(whole)


def test_what_does_not_fit_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "run.fnn"
    broken = make()
    with pytest.raises(StopError):
        broken.train_stream(
            shuffled(broken), epochs=2, callbacks=[cb.ModelCheckpoint(path, save_freq=1), stop_after(4)]
        )
    model = make()
    model.finalize(4)
    before = bits(model)
    short = [(X[:16], Y[:16]), (X[16:32], Y[16:32])]
    for act, text in (
        (lambda: model.train_stream(short, epochs=2, resume=path), "3 batches of an epoch or more, this one has 2"),
        (lambda: model.train_stream(shuffled(model), accumulate=2, resume=path), "=1, here it is accumulate=2"),
        (lambda: model.train(X, Y, batch_size=16, resume=path), "within an epoch of rows=None, here it is rows=90"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=text):
            act()
        assert bits(model) == before
        assert (model.steps_done, model.epochs_done, len(model.history)) == (0, 0, 0)
    array = make()
    with pytest.raises(StopError):
        array.train(X, Y, batch_size=16, callbacks=[cb.ModelCheckpoint(path, save_freq=1), stop_after(4)])
    with pytest.raises(ValueError, match="within an epoch of stream=None, here it is stream=True"):
        model.train_stream(shuffled(model), resume=path)


@pytest.mark.parametrize("batch_size", [16, 90])
def test_metrics_of_a_broken_epoch_of_arrays(tmp_path: Path, batch_size: int) -> None:
    names = ["f1", "auc"]
    options: Any = {"epochs": 3, "batch_size": batch_size, "shuffle": True, "validation_data": HELD}
    whole = make(names)
    whole.train(X, Y, **options)
    path = tmp_path / "run.fnn"
    broken = make(names)
    with pytest.raises(StopError):
        broken.train(X, Y, **options, callbacks=[cb.ModelCheckpoint(path, save_freq=1), stop_after(3)])
    again = make(names)
    again.train(X, Y, **options, resume=path)
    assert again.history.state() == whole.history.state()
    others = make(["recall"])
    others.train(X, Y, **options, resume=path)
    assert bits(others) == bits(whole)
    missing = [i for i, value in enumerate(others.history["recall"]) if value is None]
    assert missing == ([0, 1] if batch_size == 90 else [0])  # of these the file knows nothing that recall needs
