"""Training, after the API page: the history, validation, what is printed and told, losses that are not finite."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from compare import Array, assert_same_bits
from small import X, Y, bits, classifier

from fastnn import Dense, History, Model
from fastnn.history import KEYS
from fastnn.optimizers import SGD, Adam

# --- training ---


def test_train_learns_and_says_so() -> None:
    model = classifier()
    history = model.train(X, Y, epochs=150, batch_size=16, shuffle=True)
    assert history is model.history
    assert isinstance(history, History)
    assert len(history) == 150
    assert history["loss"][-1] < 0.7 * history["loss"][0]
    assert history["accuracy"][-1] > 0.8
    loss, accuracy = model.evaluate(X, Y)
    right = model.predict(X).argmax(axis=1) == Y
    assert accuracy == pytest.approx(right.mean())
    assert loss == pytest.approx(-np.log(model.predict(X).astype(float)[np.arange(90), Y]).mean(), rel=1e-5)


def test_epochs_are_additional_and_none_is_none() -> None:
    model = classifier()
    model.finalize(4)
    before = bits(model)
    assert len(model.train(X, Y, epochs=0)) == 0
    assert bits(model) == before
    model.train(X, Y, epochs=3)
    model.train(X, Y, epochs=2)
    assert (len(model.history), model.epochs_done, model.steps_done) == (5, 5, 5)


def test_more_epochs_than_the_native_records_hold_are_all_in_the_history() -> None:
    model = Model([Dense(1)], seed=1)
    model.set(loss="mse", optimizer=SGD(1e-3))
    model.train(X[:2], X[:2, :1], epochs=2500)
    assert len(model.history) == 2500
    losses = model.history["loss"]
    assert sorted(losses, reverse=True) == losses


def test_history_has_its_columns_and_its_meaning() -> None:
    model = Model([Dense(8, activation="tanh", weight_regularizer_l2=0.01), Dense(1)], seed=1)
    model.set(loss="mse", optimizer=SGD(0.01, decay=0.5))
    history = model.train(X, X[:, :1], epochs=3, batch_size=45)
    assert tuple(history) == KEYS
    assert set(history.history) == set(KEYS)
    for i in range(3):
        assert history.loss[i] == history.data_loss[i] + history.regularization_loss[i]
        assert history["learning_rate"][i] == 0.01 / (1 + 0.5 * (2 * i + 1))
        assert history["val_loss"][i] is None
    w = model.layers[0].weights.astype(float)
    assert history.regularization_loss[-1] == pytest.approx(0.01 * (w**2).sum(), rel=1e-6)
    assert set(history.last()) == set(KEYS)
    assert dict(history) == {key: history[key] for key in history.keys()} == history.history  # noqa: SIM118
    with pytest.raises(KeyError, match="history has loss"):
        history["los"]
    with pytest.raises(AttributeError, match="not 'los'"):
        history.los  # noqa: B018
    assert repr(history).startswith("History(3 epochs: loss=")
    model.set(loss="mse", accuracy=None)
    assert model.train(X, X[:, :1])["accuracy"][-1] is None


def test_validation_is_evaluation_after_each_epoch() -> None:
    model = classifier()
    model.train(X[:60], Y[:60], epochs=2, validation_data=(X[60:], Y[60:]))
    assert model.history["val_loss"][-1] == model.evaluate(X[60:], Y[60:]).loss
    assert model.history["val_accuracy"][-1] == model.evaluate(X[60:], Y[60:]).accuracy
    plain = classifier()
    plain.train(X[:60], Y[:60], epochs=2)
    assert bits(plain) == bits(model)


def test_fit_and_compile_are_train_and_set_with_keras_defaults() -> None:
    a, b = classifier(), classifier()
    a.fit(X, Y, epochs=2)
    b.train(X, Y, epochs=2, batch_size=32, shuffle=True)
    assert bits(a) == bits(b)
    a.compile(optimizer="sgd", loss="mse", metrics=["accuracy"])
    assert (a.optimizer.describe()["name"], a.loss.describe()["name"]) == ("sgd", "mean_squared_error")
    a.compile(loss="mse")
    assert isinstance(a.optimizer, Adam)


def test_evaluate_does_not_depend_on_the_batch_and_calling_predicts() -> None:
    model = classifier()
    model.train(X, Y)
    assert {model.evaluate(X, Y, batch_size=b) for b in (None, 1, 7, 90)} == {model.evaluate(X, Y)}
    assert_same_bits(model(X), model.predict(X))
    assert model.predict(X).dtype == np.float32
    assert classifier(dtype=np.float64).predict(X).dtype == np.float64


def test_seeds_are_drawn_kept_and_enough_to_repeat() -> None:
    a = classifier(seed=None)
    a.train(X, Y, epochs=2, batch_size=9, shuffle=True)
    b = classifier(seed=a.seed)
    b.train(X, Y, epochs=2, batch_size=9, shuffle=True)
    assert bits(a) == bits(b)
    assert classifier(seed=None).seed != a.seed


def test_regression_accuracy_uses_the_training_targets() -> None:
    model = Model([Dense(1)], seed=1)
    model.set(loss="mse", optimizer="sgd")
    y = X[:, 0] * 3
    model.train(X, y)
    assert model.precision == pytest.approx(np.std(y.astype(float)) / 250)
    assert_same_bits(model.predict(X), model.predict(X))


# --- printing ---


def test_nothing_is_printed_unless_asked(capfd: pytest.CaptureFixture[str]) -> None:
    model = classifier()
    model.train(X, Y, epochs=2)
    model.evaluate(X, Y)
    model.predict(X)
    assert capfd.readouterr() == ("", "")


def test_print_every_prints_in_the_books_words(capsys: pytest.CaptureFixture[str]) -> None:
    model = classifier()
    model.train(X, Y, epochs=2, batch_size=30, print_every=2, validation_data=(X, Y))
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(",")[0] for line in lines] == [
        "epoch: 1",
        "step: 0",
        "step: 2",
        "training",
        "validation",
        "epoch: 2",
        "step: 0",
        "step: 2",
        "training",
        "validation",
    ]
    number = r"\d+\.\d{3}"
    figures = rf"acc: {number}, loss: {number} \(data_loss: {number}, reg_loss: {number}\), lr: 0\.\d+"
    for line in lines:
        pattern = {
            "e": r"epoch: \d",
            "s": rf"step: \d, {figures}",
            "t": rf"training, {figures}",
            "v": rf"validation, acc: {number}, loss: {number}",
        }[line[0]]
        assert re.fullmatch(pattern, line), line
    quiet = classifier()
    quiet.train(X, Y, epochs=2, batch_size=30, validation_data=(X, Y))
    assert bits(quiet) == bits(model)


def test_summary_is_printed_and_returned(capsys: pytest.CaptureFixture[str]) -> None:
    model = classifier()
    assert "not finalized" in model.summary()
    model.finalize(4)
    text = model.summary()
    assert capsys.readouterr().out.endswith(text + "\n")
    for part in ("0 Dense (relu)", "(rows, 16)", "1 Dropout", "131 parameters", "524 bytes of float32"):
        assert part in text
    rows = [line.split() for line in text.splitlines()]
    assert rows[2][-4:] == ["80", "320", "bytes", str(2 * 4 * 16 + 16 + 16)]  # products and sums, biases, activations
    assert rows[3][-4:] == ["0", "0", "bytes", "0"]
    assert rows[4][-4:] == ["51", "204", "bytes", str(2 * 16 * 3 + 3 + 3)]
    assert "input (rows, 4)" in text
    assert "262 FLOPs a row" in text
    assert "training: 2.0 KiB for parameters, gradients and the optimizer's state, about 140 bytes a row" in text
    bare = Model([Dense(2, 3)])
    bare.finalize()
    assert "training" not in bare.summary()


# --- progress ---


class Watcher:
    def __init__(self, act: Any = None) -> None:
        self.calls: list[dict[str, Any]] = []
        self.act = act

    def update(self, **what: Any) -> None:
        self.calls.append(what)
        if self.act:
            self.act()


def test_progress_is_told_and_changes_nothing() -> None:
    watched, plain, watcher = classifier(), classifier(), Watcher()
    watched.train(X, Y, epochs=3, progress=watcher)
    plain.train(X, Y, epochs=3)
    assert bits(watched) == bits(plain)
    last = watcher.calls[-1]
    assert (last["epoch"], last["epochs"]) == (3, 3)
    assert set(last) == {"epoch", "epochs", "step", "steps", "loss", "accuracy"}


@pytest.mark.parametrize(
    "act",
    [
        lambda m: m.predict(X),
        lambda m: m.predict(X, batch_size=5),
        lambda m: m.evaluate(X, Y),
        lambda m: m.get_parameters(),
    ],
)
def test_what_progress_does_to_the_model_cannot_crash_or_change_the_training(act: Any) -> None:
    watched, plain = classifier(), classifier()
    watched.train(X, Y, epochs=400, batch_size=3, progress=Watcher(lambda: act(watched)), validation_data=(X, Y))
    plain.train(X, Y, epochs=400, batch_size=3, validation_data=(X, Y))
    assert bits(watched) == bits(plain)


def test_an_exception_in_progress_leaves_the_last_full_step() -> None:
    def stop() -> None:
        raise RuntimeError("enough")

    model = classifier()
    with pytest.raises(RuntimeError, match="enough"):
        model.train(X, Y, epochs=100_000, batch_size=30, progress=Watcher(stop))
    assert len(model.history) == model.epochs_done == model.steps_done // 3
    assert 0 < model.epochs_done < 100_000
    model.train(X, Y)


# --- losses that are not finite ---


def exploding(**options: Any) -> tuple[Model, Array]:
    model = Model([Dense(8, activation="linear"), Dense(1)], seed=1, **options)
    model.set(loss="mse", optimizer=SGD(1e6))
    return model, X[:, :1] * 1e3


def test_a_loss_that_is_not_finite_names_epoch_step_and_layer() -> None:
    model, y = exploding()
    with pytest.raises(FloatingPointError, match=r"not finite at epoch \d+, step \d+: .*layer \d \(Dense\)") as caught:
        model.train(X, y, epochs=100, batch_size=30)
    assert "smaller learning_rate" in str(caught.value)
    assert f"at epoch {model.epochs_done + 1}, step {model.steps_done % 3 + 1}:" in str(caught.value)
    assert len(model.history) == model.epochs_done
    again, _ = exploding()
    with pytest.raises(FloatingPointError):
        again.train(X, y, epochs=100, batch_size=30)
    assert bits(again) == bits(model)


def test_nan_in_a_weight_is_named() -> None:
    model = classifier()
    model.train(X, Y)
    model.layers[2].weights[3, 1] = np.nan
    before = bits(model)
    with pytest.raises(FloatingPointError, match=r"epoch 2, step 1: the weights of layer 2 \(Dense\) are not finite"):
        model.train(X, Y)
    assert bits(model) == before


def test_check_finite_off_takes_the_data_and_trains_on() -> None:
    model, y = exploding()
    model.train(X, y, epochs=100, batch_size=30, check_finite=False)
    assert model.epochs_done == 100
    assert np.isnan(model.history["loss"][-1])
    bad = X.copy()
    bad[3, 1] = np.nan
    classifier().train(bad, Y, check_finite=False)
