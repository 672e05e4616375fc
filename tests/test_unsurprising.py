"""What a model does with what users change on it, hand it twice, or get wrong: it takes effect, or is refused in words;
it is never ignored, and a refusal leaves everything as it was."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small import X, Y, bits, classifier

import fastnn
from fastnn import (
    Dense,
    Dropout,
    Ensemble,
    Input,
    LeakyReLU,
    Model,
    Residual,
    callbacks,
    check_gradients,
    custom,
    fit_many,
    metrics,
)  # fmt: skip
from fastnn.callbacks import LambdaCallback
from fastnn.layers import BatchNorm
from fastnn.losses import CategoricalCrossentropy, Huber
from fastnn.optimizers import LBFGS, SGD, AdaGrad, Adam, RMSprop
from fastnn.schedules import CosineDecay

TARGETS = X @ [1.0, -1.0, 0.5, 2.0]


def regressor(**options: Any) -> Model:
    model = Model([Dense(6, activation="tanh"), Dense(1)], seed=3)
    model.set(loss="mse", optimizer=SGD(0.01), **options)
    return model


# --- changes after finalize ---


def test_layers_within_a_frozen_block_keep_settings_of_their_own_in_copies_and_files(tmp_path: Path) -> None:
    model = Model([Residual([Dense(4), Dense(4)]), Dense(3, activation="softmax")], seed=0)
    model.set(loss="categorical_crossentropy", optimizer="adam")
    model.finalize(4)
    block: Any = model.layers[0]
    block.trainable, block.learning_rate_multiplier = False, 0.5
    block.layers[1].trainable, block.layers[0].learning_rate_multiplier = True, 3.0
    model.save(tmp_path / "m.fnn")
    for other in (copy.deepcopy(model), Model.load(tmp_path / "m.fnn")):
        assert [layer.training_rate for layer in other.numbered] == [layer.training_rate for layer in model.numbered]
        assert other.numbered[1].learning_rate_multiplier == 3.0
    twin = copy.deepcopy(model)
    for one in (model, twin):
        one.train(X, Y, epochs=3)
    assert bits(model) == bits(twin)
    twin.train(X, Y, epochs=4, resume=tmp_path / "m.fnn")  # of the same layers, so it is the same model


@pytest.mark.parametrize(
    ("layer", "name", "value"),
    [
        (lambda: Dense(5), "weight_regularizer_l2", 0.5),
        (lambda: Dense(5), "n_neurons", 99),
        (lambda: Dense(5), "activation", "relu"),
        (lambda: Dropout(0.5), "rate", 0.1),
        (lambda: BatchNorm(), "momentum", 0.5),
        (lambda: LeakyReLU(0.1), "alpha", 0.2),
        (lambda: Residual([Dense(4)]), "layers", []),
    ],
)
def test_what_the_plan_was_made_of_cannot_be_changed_any_more(layer: Any, name: str, value: Any) -> None:
    made = layer()
    before = getattr(made, name)
    setattr(made, name, before)  # as long as there is no plan
    model = Model([made, Dense(2)])
    model.finalize(4)
    with pytest.raises(AttributeError, match=rf"layer \d \({type(made).__name__}\): {name} cannot be changed once"):
        setattr(made, name, value)
    assert getattr(made, name) is before
    again = copy.copy(made)  # belongs to no model
    setattr(again, name, value)


def test_nor_can_the_parameter_of_an_activation_within_a_layer() -> None:
    activation = LeakyReLU(0.1)
    model = Model([Dense(2, activation=activation)])
    activation.alpha = 0.2
    model.finalize(4)
    with pytest.raises(AttributeError, match=r"LeakyReLU\): alpha cannot be changed once the model is finalized"):
        activation.alpha = 0.3
    assert copy.deepcopy(model).layers[0].activation.alpha == 0.2  # type: ignore[attr-defined]


def test_a_layer_in_python_may_change_what_it_likes() -> None:
    class Scaled(custom.Layer):
        def __init__(self, factor: float) -> None:
            self.factor = factor

        def config(self) -> dict[str, Any]:
            return {"factor": self.factor}

        def forward(self, x: Any) -> Any:
            return self.factor * x

    layer = Scaled(2.0)
    model = Model([Input(4), layer])
    np.testing.assert_array_equal(model.predict(X), 2 * X)
    layer.factor = 3.0
    np.testing.assert_array_equal(model.predict(X), np.float32(3) * X)


@pytest.mark.parametrize(
    "change", [lambda m: m.layers.pop(), lambda m: m.layers.__setitem__(-1, Dense(5)), lambda m: m.layers.reverse()]
)
def test_another_list_of_layers_is_refused_everywhere(change: Any, tmp_path: Path) -> None:
    model = classifier()
    model.train(X, Y)
    model.save(tmp_path / "m.fnn")
    blob, kept = (tmp_path / "m.fnn").read_bytes(), list(model.layers)
    change(model)
    for use in (
        lambda: model.predict(X), lambda: model.train(X, Y), lambda: model.evaluate(X, Y), model.to_bytes,
        lambda: model.save(tmp_path / "m.fnn"), lambda: copy.deepcopy(model), model.session,
    ):  # fmt: skip
        with pytest.raises(ValueError, match="layers: the list was changed after finalize: make a new Model"):
            use()
    assert (tmp_path / "m.fnn").read_bytes() == blob
    model.layers[:] = kept
    model.train(X, Y)


def test_layers_within_layers_are_looked_at_before_a_file_is_written() -> None:
    model = Model([Residual([Dense(4)]), Dense(2)])
    model.finalize(4)
    model.layers[0].layers.append(Dense(4))  # type: ignore[attr-defined]
    with pytest.raises(ValueError, match="layers: the list was changed after finalize"):
        model.to_bytes()


@pytest.mark.parametrize(
    ("name", "value", "error", "text"),
    [
        ("metadata", ["v1"], TypeError, r"metadata: expected a dict, got \['v1'\]"),
        ("metadata", None, TypeError, "metadata: expected a dict, got None"),
        ("metadata", {1: 2}, TypeError, "metadata: expected texts as keys, got 1"),
        ("metadata", {"a": [{2.5: 2}]}, TypeError, "metadata: expected texts as keys, got 2.5"),
        ("metadata", {"a": np.float32(1)}, TypeError, "metadata: expected values that JSON can hold: .*float32"),
        ("seed", 3.5, TypeError, "seed: expected a whole number, got 3.5"),
        ("accuracy", "foo", TypeError, "accuracy: expected \"auto\", None or an Accuracy .* got 'foo'"),
    ],
)
def test_no_file_is_written_that_cannot_be_read(
    name: str, value: Any, error: type[Exception], text: str, tmp_path: Path
) -> None:
    model = classifier()
    model.train(X, Y)
    model.save(tmp_path / "m.fnn")
    blob = (tmp_path / "m.fnn").read_bytes()
    setattr(model, name, value)
    for write in (lambda: model.save(tmp_path / "m.fnn"), model.to_bytes, lambda: copy.deepcopy(model)):
        with pytest.raises(error, match=text):
            write()
    assert (tmp_path / "m.fnn").read_bytes() == blob


def test_a_wrong_number_of_class_labels_shows_at_finalize() -> None:
    model = classifier()
    model.class_labels = ("a", "b")
    with pytest.raises(ValueError, match="class_labels: expected 3 for 3 outputs, got 2"):
        model.train(X, Y)
    model.class_labels = ("a", "b", "c")
    model.train(X, Y)


# --- while it trains ---


@pytest.mark.parametrize("change", [{"optimizer": SGD(0.5)}, {"loss": "kl_divergence"}, {"metrics": ["f1"]}])
def test_set_during_a_training_is_refused(change: Any) -> None:
    model, plain = classifier(), classifier()
    callback = LambdaCallback(on_epoch_end=lambda epoch, logs: model.set(**change))
    with pytest.raises(RuntimeError, match="the model is being trained: it cannot be set anew by a callback"):
        model.train(X, Y, epochs=3, callbacks=callback)
    plain.train(X, Y, epochs=1)
    assert bits(model) == bits(plain)  # as after its last full step
    model.set(**change)


def test_the_average_may_be_looked_at_after_each_epoch() -> None:
    def make() -> Model:
        model = classifier()
        model.set(optimizer=Adam(0.05, use_ema=True, ema_momentum=0.5))
        return model

    model, plain, losses = make(), make(), []

    def look(epoch: int, logs: Any) -> None:
        with model.averaged_weights():
            losses.append(model.evaluate(X, Y).loss)
            with pytest.raises(RuntimeError, match="averaged weights are in place"), model.averaged_weights():
                pass
        with pytest.raises(RuntimeError, match="the model is being trained"):
            model.train(X, Y)

    model.train(X, Y, epochs=4, batch_size=16, callbacks=LambdaCallback(on_epoch_end=look))
    plain.train(X, Y, epochs=4, batch_size=16)
    assert bits(model) == bits(plain)
    with plain.averaged_weights():
        assert losses[-1] == plain.evaluate(X, Y).loss
    assert len(set(losses)) == 4


@pytest.mark.parametrize("value", [-1, float("nan"), float("inf"), True, "a", None])
def test_the_learning_rate_of_an_optimizer_is_checked_whenever_it_is_set(value: Any) -> None:
    for optimizer in (Adam(0.25), SGD(0.25, decay=0.5)):
        with pytest.raises((ValueError, TypeError), match="learning_rate: expected"):
            optimizer.learning_rate = value
        with pytest.raises((ValueError, TypeError), match="decay: expected"):
            optimizer.decay = value
        assert optimizer.learning_rate == 0.25
    with pytest.raises(ValueError, match=r"decay: expected 0 where learning_rate is a schedule, got 0\.5"):
        optimizer.learning_rate = CosineDecay(0.1, 10)
    optimizer.decay = 0
    optimizer.learning_rate = CosineDecay(0.1, 10)
    with pytest.raises(ValueError, match="decay: expected 0 where learning_rate is a schedule"):
        optimizer.decay = 0.5


def test_models_that_share_an_optimizer_are_not_fitted_side_by_side() -> None:
    optimizer = SGD(0.5)
    models = [classifier(), classifier()]
    for model in models:
        model.set(optimizer=optimizer)
    with pytest.raises(ValueError, match=r"models\[0\] and models\[1\] share one optimizer object: give each its own"):
        fit_many(models, X, Y)
    models[1].set(optimizer=SGD(0.5))
    fit_many(models, X, Y)


def test_a_last_step_that_spoils_the_weights_is_an_error_of_each_way_to_train() -> None:
    def make() -> Model:
        model = classifier()
        model.set(optimizer=SGD(3e38))
        return model

    for use in (
        lambda m: m.train(X * 10, Y),
        lambda m: m.train_on_batch(X * 10, Y),
        lambda m: m.train_stream([(X * 10, Y)]),
    ):
        with pytest.raises(
            FloatingPointError, match=r"the last step was too long: the \w+ of layer \d \(Dense\) are not"
        ):
            use(make())
    make().train_on_batch(X * 10, Y, check_finite=False)


@pytest.mark.parametrize("cls", [Adam, RMSprop, AdaGrad], ids=lambda cls: cls.__name__)
def test_a_gradient_that_stops_the_optimizer_for_good_is_an_error(cls: Any) -> None:
    """The square of -2e21 does not fit into float32: the mean of squares is infinite from then on, each step 0."""
    model = Model([Dense(1)], seed=0)
    model.set(loss="mean_squared_error", optimizer=cls(0.1))
    with pytest.raises(FloatingPointError, match=r"too large for float32: .* the weights of layer 0 .* would stay"):
        model.train_on_batch(np.array([[1e9]]), np.array([[1e12]]))
    bounded = Model([Dense(1)], seed=0)
    bounded.set(loss="mean_squared_error", optimizer=cls(0.1, clip_norm=1.0))
    before = bounded.train_on_batch(np.array([[1e9]]), np.array([[1e12]])).loss
    assert bounded.train_on_batch(np.array([[1e9]]), np.array([[1e12]])).loss < before


def test_callbacks_that_cannot_work_say_so_before_the_first_step(tmp_path: Path) -> None:
    model = classifier()
    model.set(optimizer=Adam(CosineDecay(0.1, 10)))
    for callback, error, text in (
        (callbacks.ReduceLROnPlateau("loss"), TypeError, "expected an optimizer with a number as learning_rate"),
        (callbacks.ModelCheckpoint(tmp_path / "none" / "m.fnn"), FileNotFoundError, "path: there is no folder"),
        (callbacks.ModelCheckpoint(tmp_path / "{val_loss}.fnn"), ValueError, "has a field that is not known"),
        (callbacks.EarlyStopping("val_acc"), ValueError, r"got 'val_acc' \(it needs validation_data= or"),
    ):  # fmt: skip
        with pytest.raises(error, match=text):
            model.train(X, Y, callbacks=callback)
    with pytest.raises(ValueError, match=r"got 'val_acc'$"):
        model.train(X, Y, validation_data=(X, Y), callbacks=callbacks.EarlyStopping("val_acc"))
    assert model.steps_done == 0
    model.train(
        X, Y, validation_data=(X, Y), callbacks=callbacks.ModelCheckpoint(tmp_path / "{epoch}-{val_loss:.2f}.fnn")
    )
    assert len(list(tmp_path.glob("1-*.fnn"))) == 1


# --- what a refusal or a look leaves behind ---


def test_the_precision_of_a_regression_comes_from_the_first_training_alone() -> None:
    model, plain = regressor(), regressor()
    with pytest.raises(ValueError, match=r"validation_data\[1\]: expected"):
        model.train(X, TARGETS * 1000, validation_data=(X, TARGETS[:3]))
    assert model.precision is None
    model.finalize(4)
    seen = model.evaluate(X, TARGETS * 1000)
    assert model.precision is None
    assert model.evaluate(X, TARGETS * 1000) == seen
    for one in (model, plain):
        one.train(X, TARGETS, epochs=3, validation_data=(X, TARGETS))
    assert model.precision == plain.precision == pytest.approx(TARGETS.std() / 250)
    assert model.history.state() == plain.history.state()
    stream = regressor()
    with pytest.raises(ValueError, match=r"validation_data\[1\]: expected"):
        stream.train_stream([(X, TARGETS * 1000)], validation_data=(X, TARGETS[:3]))
    assert stream.precision is None


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e200])
def test_targets_without_a_finite_deviation_say_nothing_of_the_precision(bad: float) -> None:
    """They are trained on where they are let in, and the next training finds the precision."""
    odd = np.array(TARGETS, np.float64)
    odd[3] = bad
    trains: tuple[Callable[[Model], Any], ...] = (
        lambda m: m.train(X, odd, check_finite=False),
        lambda m: m.train_on_batch(X, odd, check_finite=False),
        lambda m: m.train_stream([(X, odd)], check_finite=False),
    )
    for train in trains:
        model = Model([Dense(1)], seed=3, dtype="float64")
        model.set(loss="mse", optimizer=SGD(0.01))
        train(model)
        assert model.precision is None
        model.train(X, TARGETS, check_finite=False)
        assert model.precision == pytest.approx(TARGETS.std() / 250)


def test_a_probe_that_fails_does_not_fix_the_width() -> None:
    for fail in (
        lambda m: m.input_gradient(np.zeros((2, 7)), output=99),
        lambda m: m.jacobian(np.zeros((2, 7)), batch_size=0),
        lambda m: m.predict_samples(np.zeros((2, 7))),
    ):
        model = Model([Dense(3, activation="softmax")], seed=0)
        model.set(loss="categorical_crossentropy", optimizer="adam")
        with pytest.raises(ValueError, match=r"output|batch_size|no Dropout"):
            fail(model)
        model.train(X, Y)


@pytest.mark.parametrize(
    ("spoil", "error", "text"),
    [
        (lambda p: [(p[0][0] * 3, p[0][1]), (p[1][0], np.full((1, 3), "a"))], TypeError, "biases of real"),
        (lambda p: [(p[0][0] * 3, p[0][1]), (None, p[1][1])], TypeError, "weights of real numbers, got dtype object"),
        (lambda p: [(p[0][0] * 3, p[0][1]), (p[1][0] * 1j, p[1][1])], TypeError, "weights of real numbers, got"),
        (lambda p: [(p[0][0] * 3,), p[1]], ValueError, r"parameters\[0\]: expected 2 arrays: weights, biases, got 1"),
        (lambda p: None, TypeError, "parameters: expected 2 tuples, one for each layer that has parameters, got None"),
        (lambda p: [None, p[1]], TypeError, r"parameters\[0\]: expected 2 arrays: weights, biases, got None"),
        (lambda p: "ab", TypeError, "parameters: expected 2 tuples"),
    ],
)  # fmt: skip
def test_parameters_are_set_all_or_none(spoil: Any, error: type[Exception], text: str) -> None:
    model = classifier()
    model.train(X, Y)
    before = bits(model)
    with pytest.raises(error, match=text):
        model.set_parameters(spoil(model.get_parameters()))
    assert bits(model) == before


# --- resuming ---


def test_a_file_of_another_loss_is_not_resumed(tmp_path: Path) -> None:
    def make(loss: Any) -> Model:
        model = regressor()
        model.set(loss=loss)
        return model

    path = tmp_path / "m.fnn"
    first = make(Huber(1.0))
    first.train(X, TARGETS, epochs=2)
    first.save(path)
    with pytest.raises(ValueError, match=r"holds another model: loss: expected .*100\.0.* got"):
        make(Huber(100.0)).train(X, TARGETS, epochs=3, resume=path)
    make(Huber(1.0)).train(X, TARGETS, epochs=3, resume=path)
    smooth = classifier()
    smooth.set(loss=CategoricalCrossentropy(label_smoothing=0.1))
    smooth.train(X, Y)
    smooth.save(path)
    with pytest.raises(ValueError, match="holds another model: loss"):
        classifier().train(X, Y, epochs=3, resume=path)


def test_the_precision_of_a_file_holds_for_its_validation_too(tmp_path: Path) -> None:
    path = tmp_path / "m.fnn"
    first, fresh, used = regressor(), regressor(), regressor()
    first.train(X, TARGETS, epochs=2)
    first.save(path)
    used.train(X, TARGETS * 1000)  # of a precision of its own, until then
    for model in (fresh, used):
        model.train(X, TARGETS, epochs=4, validation_data=(X, TARGETS), resume=path)
    assert used.precision == fresh.precision == first.precision
    assert used.history["val_accuracy"] == fresh.history["val_accuracy"]


@pytest.mark.parametrize("path", [3, True, b"m.fnn"])
def test_resume_wants_a_path(path: Any) -> None:
    with pytest.raises(TypeError, match="resume: expected the path of a file, got"):
        classifier().train(X, Y, resume=path)


# --- data ---


def mine_of_labels(shapes: list[Any]) -> Any:
    def mine(y_true: Any, y_pred: Any) -> float:
        shapes.append((y_true.shape, y_pred.shape, y_true.flags.writeable))
        return 0.0

    return mine


def test_functions_as_metrics_see_targets_of_the_predictions_shape_and_cannot_write_them() -> None:
    shapes: list[Any] = []

    def mine(y_true: Any, y_pred: Any) -> float:
        shapes.append((y_true.shape, y_pred.shape, y_true.flags.writeable))
        return float(np.abs(y_true - y_pred).mean())

    model = regressor(metrics=[mine, "mae"])
    model.train(X, TARGETS, epochs=2, validation_data=(X, TARGETS))
    found = model.evaluate(X, TARGETS).metrics
    assert found["mine"] == pytest.approx(found["mae"], rel=1e-6)
    assert model.history["val_mine"][-1] == pytest.approx(model.history["val_mae"][-1], rel=1e-5)
    assert set(shapes) == {((90, 1), (90, 1), False)}
    shapes.clear()
    labelled = classifier()
    labelled.set(metrics=mine_of_labels(shapes))
    labelled.train(X, Y)
    assert set(shapes) == {((90,), (90, 3), False)}
    assert Y.flags.writeable


def test_a_stream_takes_weights_of_rows() -> None:
    weights = np.linspace(0.0, 2.0, 90)
    pieces = [(X[i : i + 30], Y[i : i + 30], weights[i : i + 30]) for i in range(0, 90, 30)]
    streamed, whole, plain = classifier(), classifier(), classifier()
    streamed.train_stream(pieces, epochs=3)
    whole.train(X, Y, sample_weight=weights, batch_size=30, epochs=3)
    plain.train(X, Y, batch_size=30, epochs=3)
    assert bits(streamed) == bits(whole) != bits(plain)
    for batch, got in (((X, Y, None, None), "tuple of 4"), (None, "NoneType")):
        with pytest.raises(TypeError, match=rf"batches\[1\]: expected a pair \(X, y\), or .* got {got}"):
            classifier().train_stream([(X, Y), batch])  # type: ignore[list-item]


@pytest.mark.parametrize(
    ("share", "rows", "kept"), [(0.9, 10, 1), (0.9, 90, 9), (0.1, 10, 9), (0.5, 3, 1), (0.7, 10, 3), (0.2, 5, 4)]
)
def test_a_share_of_rows_for_validation_is_rounded_as_it_reads(share: float, rows: int, kept: int) -> None:
    shapes: list[Any] = []
    model = regressor(metrics=mine_of_labels(shapes))
    model.train(X[:rows], TARGETS[:rows], validation_split=share)
    assert [shape[0] for shape, *_ in shapes] == [kept, rows - kept]


def test_one_softmax_output_is_refused_with_targets_of_any_shape() -> None:
    model = Model([Dense(1, activation="softmax")])
    model.set(loss="categorical_crossentropy", optimizer="adam")
    for y in (Y % 2, (Y % 2)[:, None], (Y % 2)[:, None].astype(float)):
        with pytest.raises(ValueError, match="needs an output for each class, and the model has 1"):
            model.train(X, y)


def test_text_labels_beside_numbers_are_refused_and_columns_of_data_frames_taken() -> None:
    names = np.array(list("abc"))[Y]
    scores = classifier().predict(X)
    with pytest.raises(ValueError, match="got scores of 3 columns beside text; predict_labels gives labels"):
        metrics.accuracy_score(names, scores)
    with pytest.raises(ValueError, match=r"got numbers beside text$"):
        metrics.confusion_matrix(["a", "b"], [0, 1])
    with pytest.raises(ValueError, match="got text beside numbers"):
        metrics.f1_score([0, 1], ["a", "b"])
    assert metrics.accuracy_score(names.astype(object), names) == 1.0


def test_an_ensemble_names_classes_as_a_model_does() -> None:
    models = [classifier(seed) for seed in range(3)]
    for model in models:
        model.train(X, Y, epochs=3)
        model.class_labels = ("a", "b", "c")
    for method in ("mean", "vote"):
        ensemble = Ensemble(models, method=method)
        numbers = ensemble.predict(X).argmax(axis=1)
        np.testing.assert_array_equal(ensemble.predict_labels(X), np.array(list("abc"))[numbers])
    np.testing.assert_array_equal(Ensemble(models[:1]).predict_labels(X), models[0].predict_labels(X))
    one = regressor()
    one.train(X, TARGETS)
    np.testing.assert_array_equal(Ensemble([one]).predict_labels(X), one.predict_labels(X))


def test_nan_is_no_largest_output_wherever_classes_are_counted() -> None:
    model = Model([Input(3)], dtype="float64")
    model.set(loss="categorical_crossentropy", optimizer="sgd")
    rows = np.array([[0.3, np.nan, 0.7], [0.9, 0.1, np.nan]])
    assert model.predict_labels(rows).tolist() == [2, 0]
    assert model.evaluate(rows, np.array([2, 0])).accuracy == 1.0


def test_sessions_of_graphs_take_no_rows() -> None:
    a, b = Input(3), Input(1)
    from fastnn import Concatenate

    model = Model(inputs=[a, b], outputs=Dense(2)(Concatenate()([Dense(3)(a), b])))
    model.finalize()
    empty = [np.zeros((0, 3)), np.zeros((0, 1))]
    assert model.session()(empty).shape == model.predict(empty).shape == (0, 2)


class Forgetful(custom.Layer):
    """Its backward gives no gradient of its weights."""

    def build(self, n_in: int) -> dict[str, Any]:
        return {"weights": np.ones((1, n_in))}

    def forward(self, x: Any) -> Any:
        return x * self.weights  # type: ignore[attr-defined]

    def backward(self, dy: Any) -> Any:
        return dy * self.weights  # type: ignore[attr-defined]


def with_scale() -> Model:
    model = Model([Forgetful(), Dense(3, activation="softmax")])
    model.set(loss="categorical_crossentropy", optimizer="sgd")
    return model


class Sparse:
    """As SciPy's matrices are seen by NumPy."""

    def toarray(self) -> Any:
        return X


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: Model(Dense(3)), TypeError, r"layers: expected a list of layers, got Dense\(3\)"),
        (lambda: Residual(Dense(3)), TypeError, r"layers: expected a list of layers, got Dense\(3\)"),
        (lambda: Ensemble(classifier()), TypeError, "models: expected a list of models, got Model"),
        (lambda: fit_many(classifier(), X, Y), TypeError, "models: expected a list of models, got Model"),
        (lambda: setattr(classifier(), "class_labels", 5), TypeError, "class_labels: expected a label for each class"),
        (lambda: Model.from_bytes(b"", custom_objects=Dense), TypeError, "custom_objects: expected a list of classes"),
        (lambda: classifier().predict(Sparse()), TypeError, "dtype object: make a sparse matrix an array"),
        (lambda: Model(dtype="abc"), ValueError, "dtype: expected float32 or float64, got 'abc'"),
        (lambda: Model.from_bytes("abc"), TypeError, "blob: expected the bytes of a file, got str: load"),
        (lambda: classifier().train(X, Y, progress=3), TypeError, r"progress: expected an object with a method update"),
        (lambda: check_gradients(3, X, Y), TypeError, "model: expected a Model, got int"),
        (lambda: callbacks.ModelCheckpoint(None), TypeError, "ModelCheckpoint: path: expected the path"),
        (lambda: with_scale().train(X, Y), TypeError, r"backward: expected a pair \(dx, .* for weights, got ndarray"),
        (lambda: Dropout("a"), TypeError, "rate: expected the share to drop, a number, got 'a'"),
        (lambda: Dropout(True), TypeError, "rate: expected the share to drop, a number, got True"),
        (lambda: SGD(float("inf")), ValueError, "learning_rate: expected at least 0 and finite, got inf"),
        (lambda: SGD(clip_norm=0), ValueError, "clip_norm: expected more than 0, got 0"),
        *(
            (lambda key=key: classifier().train(X, Y, class_weight={key: 1}), ValueError, "class_weight: expected c")
            for key in (None, (0,), float("nan"), True, "0", 0.5)
        ),
        (lambda: classifier().train(X, Y, class_weight={0: 10**400}), ValueError, "class_weight: expected finite"),
    ],
)  # fmt: skip
def test_errors_name_the_argument(call: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        call()


def test_a_layer_shows_itself_as_it_is_written() -> None:
    shown = [Dense(3), Dense(4, 3, activation="relu"), Residual([Dense(2, weight_initializer="glorot_uniform")])]
    assert list(map(repr, shown)) == [
        "Dense(3)", "Dense(4, 3, activation='relu')", "Residual([Dense(2, weight_initializer='glorot_uniform')])"
    ]  # fmt: skip
    for layer, other in itertools.pairwise([*shown, shown[0]]):
        assert repr(eval(repr(layer))) == repr(layer) != repr(other)


def test_a_subclass_of_an_activation_does_not_take_its_place() -> None:
    class Mine(fastnn.LeakyReLU):
        def __init__(self) -> None:
            super().__init__(0.3)

    model = Model([Dense(2, 3), fastnn.LeakyReLU(0.1), Dense(1)], seed=0)
    model.finalize()
    assert type(Model.from_bytes(model.to_bytes()).layers[1]) is fastnn.LeakyReLU


def test_an_evaluation_is_changed_as_a_named_tuple_is() -> None:
    from fastnn._runs import Evaluation

    found = Evaluation(0.5, 0.25, {"f1": 1.0})
    assert repr(found._replace(loss=0.0)) == "Evaluation(loss=0.0, accuracy=0.25, metrics={'f1': 1.0})"
    assert repr(Evaluation._make([1.0, 2.0])) == "Evaluation(loss=1.0, accuracy=2.0)"


def test_a_weight_that_the_type_cannot_hold_is_named() -> None:
    model = Model([Dense(2, 1)], seed=0)
    model.set(loss="mean_squared_error", optimizer="adam")
    with pytest.raises(
        ValueError, match=r"sample_weight: expected numbers that float32 can hold, got 1e[+]39 at row 1"
    ):
        model.train(np.zeros((3, 2)), np.zeros((3, 1)), sample_weight=[1, 1e39, 1])


def test_memory_that_is_not_there_is_no_damaged_file(monkeypatch: pytest.MonkeyPatch) -> None:
    model = Model([Dense(2, 1)], seed=0)
    model.finalize()
    blob = model.to_bytes()

    def none(*args: Any, **more: Any) -> Any:
        raise MemoryError("the parameters need 9 GiB")

    monkeypatch.setattr("fastnn._model_file.Parts.layers", none)
    with pytest.raises(MemoryError):
        Model.from_bytes(blob)


def test_what_an_epsilon_of_0_leaves_between_tensors_is_gone_for_the_next_optimizer() -> None:
    from fastnn.optimizers import Adam

    rng = np.random.default_rng(0)
    A, b = rng.standard_normal((40, 3)), rng.standard_normal((40, 1))
    model = Model([Dense(3, 5, activation="tanh"), Dense(1)], seed=1)
    model.set(loss="mean_squared_error", optimizer=Adam(epsilon=0.0))
    model.train(A, b, epochs=3)
    model.set(optimizer=LBFGS())
    model.train(A, b, epochs=10)
    assert model.plan.pairs > 0
    assert np.isfinite(model.plan.params).all()
