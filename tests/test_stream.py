"""Batches as they come, accumulated batches, single batches, a share for validation, and an end by the clock."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from compare import assert_near
from small import X, Y, bits, classifier

from fastnn import Dense, Model
from fastnn import callbacks as cb
from fastnn.optimizers import SGD

HELD = (X[60:], Y[60:])


def pieces(size: int) -> list[tuple[Any, Any]]:
    return [(X[i : i + size], Y[i : i + size]) for i in range(0, len(X), size)]


def generate(size: int) -> Iterator[tuple[Any, Any]]:
    yield from pieces(size)


def regression(decay: float = 0.0) -> Model:
    model = Model([Dense(8, activation="tanh", weight_regularizer_l2=0.01, bias_regularizer_l1=0.02), Dense(1)], seed=1)
    model.set(loss="mse", optimizer=SGD(0.1, momentum=0.9, decay=decay))
    return model


# --- streams ---


@pytest.mark.parametrize("kind", ["list", "function", "generator"])
def test_a_stream_gives_the_bits_of_the_array(kind: str) -> None:
    array, stream = classifier(), classifier()
    array.train(X, Y, epochs=3, batch_size=16, validation_data=HELD)
    if kind == "list":
        history = stream.train_stream(pieces(16), epochs=3, validation_data=HELD)
    elif kind == "function":
        history = stream.train_stream(lambda: generate(16), epochs=3, validation_data=HELD)
    else:
        endless = (pair for _ in range(3) for pair in pieces(16))
        history = stream.train_stream(endless, epochs=3, steps_per_epoch=6, validation_data=HELD)
    assert bits(stream) == bits(array)
    assert history is stream.history
    assert history.state() == array.history.state()
    assert (stream.steps_done, stream.epochs_done) == (array.steps_done, array.epochs_done)


def test_batches_may_differ_in_rows_and_accumulate() -> None:
    sizes = [5, 40, 1, 30, 14]
    ends = np.cumsum(sizes)
    batches = [(X[e - n : e], Y[e - n : e]) for n, e in zip(sizes, ends, strict=True)]
    stream = classifier()
    stream.train_stream(batches, epochs=2)
    assert stream.steps_done == 10
    together, whole = regression(), regression()
    targets = [(x, x[:, :1]) for x, _ in batches]
    together.train_stream(targets, epochs=2, accumulate=5)
    whole.train(X, X[:, :1], epochs=2)
    assert together.steps_done == 2
    assert_near(together.plan.params, whole.plan.params, 1e-5)
    together.train_stream(targets, accumulate=4)  # the fifth is a step of its own
    assert together.steps_done == 4


def test_a_stream_that_ends_says_so() -> None:
    model = classifier()
    with pytest.raises(ValueError, match="the stream has ended after 6 batches, before its epochs; give a list, or"):
        model.train_stream(generate(16), epochs=2)
    assert (model.epochs_done, model.steps_done, len(model.history)) == (1, 6, 1)
    model.train_stream(generate(16), epochs=2, steps_per_epoch=4)  # the second epoch is short
    assert (model.epochs_done, model.steps_done) == (3, 12)
    model.train_stream(pieces(16), epochs=2, steps_per_epoch=10)  # a list begins again
    assert (model.epochs_done, model.steps_done) == (5, 32)


@pytest.mark.parametrize(
    ("batches", "error", "text"),
    [
        ([], ValueError, "batches: there are none"),
        (3, TypeError, r"batches: expected pairs \(X, y\) from an iterable .* got 3"),
        ("ab", TypeError, "batches: expected pairs"),
        (lambda: 3, TypeError, "batches: expected pairs"),
        ([X], TypeError, r"batches\[0\]: expected a pair \(X, y\), or \(X, y, sample_weight\), got ndarray"),
        ([(X, Y), (X[:, :2], Y)], ValueError, r"batches\[1\]\[0\]: layer 0: expected input of shape \(rows, 4\)"),
        ([(X, Y), (X, Y[1:])], ValueError, r"batches\[1\]\[1\]: expected 90 rows"),
        ([(X[:0], Y[:0])], ValueError, r"batches\[0\]\[0\]: there are no rows"),
        ([(X, Y), (X * np.nan, Y)], ValueError, r"batches\[1\]\[0\]: nan at row 0"),
    ],
)
def test_errors_of_a_stream_name_the_batch(batches: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        classifier().train_stream(batches)


def test_an_exception_in_the_generator_leaves_the_steps_before_it() -> None:
    def broken() -> Iterator[tuple[Any, Any]]:
        yield from pieces(30)[:2]
        raise OSError("disk")

    model, replayed = classifier(), classifier()
    with pytest.raises(OSError, match="disk"):
        model.train_stream(broken)
    assert (model.steps_done, model.epochs_done) == (2, 0)
    replayed.train(X[:60], Y[:60], batch_size=30)
    assert bits(model) == bits(replayed)


def test_callbacks_and_progress_see_a_stream() -> None:
    calls: list[tuple[str, int]] = []

    class Watch:
        def update(self, *, epoch: int, epochs: int, step: int, steps: int, loss: float, accuracy: float) -> None:
            assert 0 <= step <= steps

    hooks = {"on_epoch_begin": "begin", "on_epoch_end": "end", "on_batch_begin": "batch", "on_batch_end": "done"}
    note = cb.LambdaCallback(**{hook: lambda i, logs, w=word: calls.append((w, i)) for hook, word in hooks.items()})
    classifier().train_stream(pieces(30), epochs=2, accumulate=2, callbacks=[note], progress=Watch())
    steps = [("batch", 0), ("done", 0), ("batch", 1), ("done", 1)]
    assert calls == [("begin", 0), *steps, ("end", 0), ("begin", 1), *steps, ("end", 1)]


def test_a_memory_mapped_array_gives_the_bits_of_one_in_memory(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", (X * 50).astype(np.int16))
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    a, b = classifier(), classifier()
    a.train(mapped, Y, epochs=3, batch_size=16, shuffle=True)
    b.train((X * 50).astype(np.int16).copy(), Y, epochs=3, batch_size=16, shuffle=True)
    assert bits(a) == bits(b)


# --- gradient accumulation ---


@pytest.mark.parametrize("k", [2, 3, 6])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_accumulated_batches_are_one_batch_of_their_rows(k: int, dtype: str) -> None:
    """To rounding, with penalties and a last step of fewer rows; the history is that of the long batch too."""
    pair = []
    for batch, accumulate in ((8, k), (8 * k, 1)):
        model = Model([Dense(8, activation="tanh", weight_regularizer_l2=0.01, weight_regularizer_l1=0.02), Dense(1)],
                      seed=1, dtype=dtype)  # fmt: skip
        model.set(loss="mse", optimizer=SGD(0.1, momentum=0.9, decay=0.1))
        model.train(X, X[:, :1], epochs=5, batch_size=batch, accumulate=accumulate, shuffle=True)
        pair.append(model)
    ours, want = pair
    assert_near(ours.plan.params, want.plan.params, 1e-5 if dtype == "float32" else 1e-14)
    assert ours.steps_done == want.steps_done
    assert ours.history["learning_rate"] == want.history["learning_rate"]
    assert ours.history["loss"] == pytest.approx(want.history["loss"], rel=1e-5)


def test_accumulation_is_seen_where_it_is_left_out() -> None:
    """The test above would notice: without it the weights are far off."""
    ours, want = regression(), regression()
    ours.train(X, X[:, :1], epochs=5, batch_size=8)
    want.train(X, X[:, :1], epochs=5, batch_size=16)
    with pytest.raises(AssertionError):
        assert_near(ours.plan.params, want.plan.params, 1e-2)


def test_one_is_no_accumulation_and_masks_differ_within_a_step() -> None:
    a, b = classifier(), classifier()
    a.train(X, Y, epochs=2, batch_size=16, accumulate=1)
    b.train(X, Y, epochs=2, batch_size=16)
    assert bits(a) == bits(b)
    once, twice = classifier(), classifier()
    doubled = np.concatenate([X[:8], X[:8]]), np.concatenate([Y[:8], Y[:8]])
    once.train(X[:8], Y[:8])
    twice.train(*doubled, batch_size=8, accumulate=2)  # equal masks would make this the step above
    assert bits(once) != bits(twice)


def test_a_break_within_a_group_leaves_the_step_before() -> None:
    model, replayed = classifier(), classifier()

    class Stop(Exception):  # noqa: N818
        pass

    class Slow:
        def update(self, **what: Any) -> None:
            if model.steps_done > 3:
                raise Stop

    with pytest.raises(Stop):
        model.train(
            np.tile(X, (30000, 1)), np.tile(Y, 30000), batch_size=10, accumulate=997, epochs=100, progress=Slow()
        )
    replayed.train(np.tile(X, (30000, 1))[: model.steps_done * 9970], np.tile(Y, 30000)[: model.steps_done * 9970],
                   batch_size=10, accumulate=997)  # fmt: skip
    assert model.epochs_done == 0
    assert bits(model) == bits(replayed)


# --- one batch ---


def test_train_on_batch_is_a_step_without_an_epoch() -> None:
    one, whole = classifier(), classifier()
    results = [one.train_on_batch(*pair) for pair in pieces(30)]
    whole.train(X, Y, batch_size=30)
    assert bits(one) == bits(whole)
    assert (one.steps_done, one.epochs_done, len(one.history)) == (3, 0, 0)
    assert np.mean([r.loss for r in results]) == pytest.approx(whole.history["data_loss"][0], rel=1e-12)
    assert np.mean([r.accuracy for r in results]) == pytest.approx(whole.history["accuracy"][0])
    assert one.test_on_batch(X, Y) == one.evaluate(X, Y)


def test_train_on_batch_refuses_what_does_not_fit() -> None:
    model = classifier()
    with pytest.raises(ValueError, match="y: expected 90 rows"):
        model.train_on_batch(X, Y[1:])
    assert model._plan is None  # and the width of the input is still open
    model.train_on_batch(X[:, :2], Y)
    bad = Model([Dense(1)], seed=1)
    bad.set(loss="mse", optimizer=SGD(1e30))
    bad.train_on_batch(X, X[:, :1])
    with pytest.raises(FloatingPointError, match="not finite at epoch 1"):
        bad.train_on_batch(X, X[:, :1])
    with pytest.raises(ValueError, match="X: nan at row 0"):
        bad.train_on_batch(X * np.nan, X[:, :1])


# --- validation_split ---


def test_the_last_rows_are_for_validation() -> None:
    a, b = classifier(), classifier()
    a.fit(X, Y, epochs=3, validation_split=1 / 3)
    b.fit(X[:60], Y[:60], epochs=3, validation_data=HELD)
    assert bits(a) == bits(b)
    assert a.history.state() == b.history.state()


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"validation_split": 1.0}, "validation_split: expected a share between 0 and 1, got 1.0"),
        ({"validation_split": -0.1}, "validation_split: expected a share"),
        ({"validation_split": True}, "validation_split: expected a share"),
        ({"validation_split": 0.999}, "of 90 rows leaves nothing to train or to validate on"),
        ({"validation_split": 0.5, "validation_data": HELD}, "expected 0 where validation_data is given"),
        ({"accumulate": 0}, "accumulate: expected at least 1, got 0"),
        ({"time_limit": 0}, "time_limit: expected more than 0 seconds, got 0"),
        ({"time_limit": float("nan")}, "time_limit: expected more than 0 seconds, got nan"),
    ],
)
def test_errors_of_the_options_name_them(options: Any, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        classifier().train(X, Y, **options)


def test_a_time_limit_that_is_no_number_is_refused() -> None:
    with pytest.raises(TypeError, match="time_limit: expected seconds, got '3'"):
        classifier().train(X, Y, time_limit="3")


# --- time_limit ---


@pytest.mark.parametrize("rows", [1, 3000])
def test_the_time_limit_stops_at_a_full_step(rows: int) -> None:
    data = np.tile(X, (rows, 1)), np.tile(Y, rows)
    model, replayed, ended = classifier(), classifier(), []
    model.finalize(4)
    start = time.monotonic()
    model.train(
        *data, epochs=10**9, batch_size=10, time_limit=0.3,
        callbacks=[cb.LambdaCallback(on_train_end=lambda logs: ended.append(logs))],
    )  # fmt: skip
    assert 0.28 < time.monotonic() - start < 2.0
    per_epoch = len(data[0]) // 10
    epochs, rest = divmod(model.steps_done, per_epoch)
    assert model.steps_done > 0
    assert len(ended) == 1
    assert len(model.history) == model.epochs_done == epochs
    replayed.train(*data, epochs=epochs, batch_size=10)
    if rest:
        replayed.train(data[0][: rest * 10], data[1][: rest * 10], batch_size=10)
    assert bits(model) == bits(replayed)


def test_what_the_time_limit_cut_off_can_be_resumed(tmp_path: Path) -> None:
    data = np.tile(X, (300, 1)), np.tile(Y, 300)
    options: dict[str, Any] = {"epochs": 8, "batch_size": 10, "shuffle": True, "validation_data": HELD}
    whole, began = classifier(), time.perf_counter()
    whole.train(*data, **options)
    limit = (time.perf_counter() - began) / 10
    for _ in range(100):
        model = classifier()
        model.train(*data, **options, time_limit=limit, resume=tmp_path / "m.fnn")
        model.save(tmp_path / "m.fnn")
        if model.epochs_done == 8:
            break
    assert bits(model) == bits(whole)
    assert model.history.state() == whole.history.state()


def labelled(**options: Any) -> Model:
    model = Model([Dense(4, 3, activation="softmax")], seed=0)
    model.set(loss="categorical_crossentropy", optimizer="adam", **options)
    return model


def test_targets_of_one_kind_where_metrics_are_counted() -> None:
    A, b = np.zeros((5, 4), np.float32), np.array([0, 1, 2, 0, 1])
    with pytest.raises(ValueError, match=r"batches\[1\]\[1\]: expected targets \(rows, outputs\), as in the first"):
        labelled(metrics=["mse"]).train_stream([(A, np.eye(3)[b]), (A, b)])
    with pytest.raises(ValueError, match=r"batches\[1\]\[1\]: expected class labels"):
        labelled(metrics=["f1"]).train_stream([(A, b), (A, np.eye(3)[b])])
    assert len(labelled().train_stream([(A, np.eye(3)[b]), (A, b)])) == 1  # nothing is counted that could differ


def test_a_layer_frozen_by_a_callback_trains_to_the_end_of_the_stream() -> None:
    """From the next training on it holds, and until then the layer is not moved by a gradient of old."""

    def freeze(epoch: int, logs: Any) -> None:
        model.layers[0].trainable = False

    rng = np.random.default_rng(0)
    A, b = rng.standard_normal((9000, 4)), rng.standard_normal((9000, 1))
    trained = []
    for hooks in ([], [cb.LambdaCallback(on_epoch_end=freeze)]):
        model = Model([Dense(4, 40, activation="tanh"), Dense(1)], seed=1)
        model.set(loss="mean_squared_error", optimizer="adam")
        model.train_stream([(A[:4500], b[:4500]), (A[4500:], b[4500:])], epochs=3, callbacks=hooks)
        trained.append(model.plan.params.tobytes())
    assert trained[0] == trained[1]


def test_a_call_that_is_refused_draws_nothing() -> None:
    A, b = np.zeros((5, 4), np.float32), np.array([0, 1, 2, 0, 1])
    model = Model([Dense(4, 3, activation="softmax")], seed=0)
    given = iter([(A, b)] * 3)
    with pytest.raises(ValueError, match="loss"):
        model.train_stream(given)
    model.set(loss="categorical_crossentropy", optimizer="adam")
    for options in ({"epochs": -1}, {"time_limit": 0}, {"callbacks": [3]}, {"accumulate": 0}):
        with pytest.raises((TypeError, ValueError)):
            model.train_stream(given, **options)
    assert len(list(given)) == 3


def test_classes_are_weighted_in_a_stream_as_in_an_array() -> None:
    rng = np.random.default_rng(1)
    A, b = rng.standard_normal((40, 4)), rng.integers(0, 3, 40)
    one, other = labelled(), labelled()
    one.train(A, b, batch_size=20, class_weight={0: 2, 2: 0.5})
    other.train_stream([(A[:20], b[:20]), (A[20:], b[20:])], class_weight={0: 2, 2: 0.5})
    assert one.plan.params.tobytes() == other.plan.params.tobytes()
    with pytest.raises(ValueError, match="class_weight: expected a dict or an array"):
        other.train_stream([(A, b)], class_weight="balanced")
