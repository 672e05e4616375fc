"""Parts written in Python: the bits or the numbers of the native ones they copy, and errors that name them."""

from __future__ import annotations

import copy
import ctypes
import ctypes.util
import pickle
import platform
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from compare import assert_near
from small import X, Y, bits, classifier

import fastnn
import fastnn.functional as F
from fastnn import Dense, Dropout, FormatError, Model, ReLU, Residual, Tanh, callbacks, custom
from fastnn.optimizers import SGD, Adam

T = X[:, :2].astype(np.float64)


class PyReLU(custom.Activation):
    def formula(self, x: Any) -> Any:
        return np.maximum(x, 0)

    def derivative(self, x: Any) -> Any:
        return x > 0


class PyDense(custom.Layer):
    """Dense, with the native product: kernels may be called in a part's turn."""

    def __init__(self, n: int) -> None:
        self.n = n

    def config(self) -> dict[str, Any]:
        return {"n": self.n}

    def width(self, n_in: int) -> int:
        return self.n

    def build(self, n_in: int) -> dict[str, Any]:
        weights = np.random.default_rng(5).standard_normal((n_in, self.n)) * 0.3
        return {"weights": weights, "biases": np.zeros((1, self.n))}

    def forward(self, x: Any) -> Any:
        self.x = x
        return F.dense(x, self.weights, self.biases)

    def backward(self, dy: Any) -> Any:
        return dy @ self.weights.T, {"weights": self.x.T @ dy, "biases": dy.sum(axis=0, keepdims=True)}


class PyMSE(custom.Loss):
    def formula(self, p: Any, t: Any) -> Any:
        return ((p - t) ** 2).mean(axis=1)

    def derivative(self, p: Any, t: Any) -> Any:
        return 2 * (p - t) / p.shape[1]


class PyCrossentropy(custom.Loss):
    labels = True
    accuracy = "categorical"

    def formula(self, p: Any, t: Any) -> Any:
        return -np.log(p[np.arange(len(p)), t])

    def derivative(self, p: Any, t: Any) -> Any:
        d = np.zeros_like(p)
        d[np.arange(len(p)), t] = -1 / p[np.arange(len(p)), t]
        return d


class PyMomentum(custom.Optimizer):
    state_count = 1

    def formula(self, w: Any, g: Any, states: Any, t: int, lr: float) -> Any:
        states[0][:] = 0.9 * states[0] - lr * g
        return w + states[0]


ALL = [PyReLU, PyDense, PyMSE, PyCrossentropy, PyMomentum]


def ours() -> Model:
    model = Model([PyDense(9), PyReLU(), Dropout(0.2), Dense(5, activation="tanh"), PyDense(2)], seed=2)
    model.set(loss=PyMSE(), optimizer=PyMomentum(0.05, decay=1e-3))
    return model


def native() -> Model:
    model = Model([Dense(9), ReLU(), Dropout(0.2), Dense(5, activation="tanh"), Dense(2)], seed=2)
    model.set(loss="mse", optimizer=SGD(0.05, decay=1e-3, momentum=0.9))
    model.finalize(4)
    mine = ours()
    mine.finalize(4)
    model.set_parameters(mine.get_parameters())
    return model


# --- beside the native ones ---


def test_a_model_of_python_parts_trains_as_the_native_one() -> None:
    a, b = ours(), native()
    for model in (a, b):
        model.train(X, T, epochs=10, batch_size=16, shuffle=True, validation_split=0.2)
    for mine, theirs in zip(a.get_parameters(), b.get_parameters(), strict=True):
        for v, w in zip(mine, theirs, strict=True):
            assert_near(v, w, 1e-4)
    assert a.history["val_loss"] == pytest.approx(b.history["val_loss"], rel=1e-4)
    assert a.history["val_loss"][-1] < a.history["val_loss"][0]
    assert_near(a.predict(X), b.predict(X), 1e-4)
    assert a.evaluate(X, T).loss == pytest.approx(b.evaluate(X, T).loss, rel=1e-4)


@pytest.mark.parametrize("accumulate", [1, 3])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_an_optimizer_moves_what_its_native_copy_moves(dtype: str, accumulate: int) -> None:
    models = []
    for optimizer in (PyMomentum(0.05), SGD(0.05, momentum=0.9)):
        model = Model([Dense(6, activation="tanh"), Dense(2)], seed=1, dtype=dtype)
        model.set(loss="mse", optimizer=optimizer)
        model.train(X, T, epochs=5, batch_size=16, accumulate=accumulate)
        models.append(model)
    assert_near(models[0].plan.params, models[1].plan.params, 1e-5 if dtype == "float32" else 1e-13)
    assert models[0].steps_done == models[1].steps_done


def test_a_loss_of_labels_follows_the_merged_native_one() -> None:
    a, b = classifier(), classifier()
    a.set(loss=PyCrossentropy())
    for model in (a, b):
        model.train(X, Y, epochs=3, batch_size=30)
    assert_near(a.plan.params, b.plan.params, 1e-3)
    assert a.history["accuracy"] == pytest.approx(b.history["accuracy"], abs=0.03)


def test_all_of_them_pass_the_gradient_check() -> None:
    report = fastnn.check_gradients(ours(), X[:20], T[:20])
    assert report, str(report)
    assert report.checked == 45 + 50 + 12


def test_a_wrong_derivative_is_found() -> None:
    class Wrong(PyReLU):
        def derivative(self, x: Any) -> Any:
            return (x > 0) * 1.01

    class Signless(PyMSE):
        def derivative(self, p: Any, t: Any) -> Any:
            return np.abs(p - t)

    for layers, loss in (([Dense(5), Wrong(), Dense(2)], PyMSE()), ([Dense(2)], Signless())):
        model = Model(layers, seed=1)
        model.set(loss=loss)
        report = fastnn.check_gradients(model, X, T)
        assert not report
        assert report.layer == "layer 0 (Dense)"


def test_training_is_seen_and_a_layer_without_parameters_may_change_the_width() -> None:
    class Pairs(custom.Layer):
        """Sums of neighbours."""

        def width(self, n_in: int) -> int:
            return n_in // 2

        def forward(self, x: Any) -> Any:
            seen.append(self.training)
            return x[:, ::2] + x[:, 1::2]

        def backward(self, dy: Any) -> Any:
            return np.repeat(dy, 2, axis=1)

    seen: list[bool] = []
    model = Model([Dense(8, activation="tanh"), Pairs(), Dense(2)], seed=1)
    model.set(loss="mse", optimizer="adam")
    model.train(X, T, epochs=1, batch_size=45)
    model.predict(X[:5])
    assert seen == [True, True, False]
    assert fastnn.check_gradients(model, X, T)
    first = Model([Pairs(), Dense(2)], seed=1)  # before the first parameters it has no backward to do
    first.set(loss="mse", optimizer="adam")
    first.train(X, T, epochs=2)


def test_arrays_handed_to_a_part_are_its_own() -> None:
    class Keeper(custom.Layer):
        kept: Any = None

        def forward(self, x: Any) -> Any:
            Keeper.kept = x
            x[:] = -x  # theirs to write as well
            return x

        def backward(self, dy: Any) -> Any:
            return -dy

    model = Model([Keeper(), Dense(2)], seed=1)
    model.set(loss="mse", optimizer="adam")
    data = X.copy()
    model.train(data, T.astype(np.float32), epochs=3)
    assert np.array_equal(data, X)
    kept = Keeper.kept
    del model
    assert np.array_equal(kept, -X)


def test_a_part_may_use_another_model_however_large() -> None:
    helper = Model([Dense(1500), Dense(1)], seed=3)  # makes the thread's workspace grow in the middle of a step
    helper.set(loss="mse", optimizer="sgd")

    class Helped(custom.Layer):
        def forward(self, x: Any) -> Any:
            helper.predict(np.ones((len(x), 900), np.float32))
            return x

        def backward(self, dy: Any) -> Any:
            helper.predict(np.ones((300, 900), np.float32))
            return dy

    def train(layers: list[Any]) -> bytes:
        model = Model(layers, seed=1)
        model.set(loss="mse", optimizer="adam")
        model.train(X, T, epochs=3, batch_size=7, validation_data=(X, T))
        return bits(model)

    result: list[bytes] = []
    thread = threading.Thread(target=lambda: result.append(train([Dense(70), Helped(), Dense(2)])))  # a fresh workspace
    thread.start()
    thread.join()

    class Nothing(custom.Layer):
        def forward(self, x: Any) -> Any:
            return x

        def backward(self, dy: Any) -> Any:
            return dy

    assert result == [train([Dense(70), Nothing(), Dense(2)])]


# --- files ---


def test_files_hold_them_and_load_with_the_classes_at_hand(tmp_path: Path) -> None:
    model = ours()
    model.train(X, T, epochs=3, batch_size=16, shuffle=True)
    model.save(tmp_path / "m.fnn")
    for given in (ALL, {c.__name__: c for c in ALL}):
        loaded = Model.load(tmp_path / "m.fnn", custom_objects=given)
        assert bits(loaded) == bits(model)
        assert loaded.layers[0].n == 9
    model.train(X, T, epochs=2, batch_size=16, shuffle=True)
    loaded.train(X, T, epochs=2, batch_size=16, shuffle=True)
    assert bits(loaded) == bits(model)
    resumed = ours()
    resumed.train(X, T, epochs=5, batch_size=16, shuffle=True, resume=tmp_path / "m.fnn")
    assert bits(resumed) == bits(model)
    with pytest.raises(FormatError, match=r"unknown name 'PyDense'.*custom_objects"):
        Model.load(tmp_path / "m.fnn")
    with pytest.raises(FormatError, match="loss: unknown name 'PyMSE'"):
        Model.load(tmp_path / "m.fnn", custom_objects=[PyReLU, PyDense, PyMomentum])
    with pytest.raises(TypeError, match="custom_objects: expected classes of parts, got 3"):
        Model.load(tmp_path / "m.fnn", custom_objects=[3])


# --- errors ---


class Failing:
    """A part's method that raises, or returns what does not fit, from some call on."""

    def __init__(self, calls: int, value: Any) -> None:
        self.calls, self.value, self.seen = calls, value, 0

    def __call__(self, good: Any) -> Any:
        self.seen += 1
        if self.seen < self.calls:
            return good
        if isinstance(self.value, type):
            raise self.value("no such thing")
        return self.value


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (OSError, OSError, "no such thing"),
        (KeyboardInterrupt, KeyboardInterrupt, "no such thing"),
        (np.zeros(3), ValueError, r"expected shape .*, got \(3,\)"),
        ("text", TypeError, "expected an array of real numbers, got dtype <U4"),
        (None, TypeError, "expected an array of real numbers, got dtype object"),
    ],
)
@pytest.mark.parametrize("where", ["forward", "backward", "loss", "derivative", "optimizer"])
def test_what_a_part_raises_names_it_and_leaves_the_last_full_step(
    where: str, value: Any, error: type[BaseException], text: str
) -> None:
    fail = {name: Failing(5 if name == where else 10**9, value) for name in
            ("forward", "backward", "loss", "derivative", "optimizer")}  # fmt: skip

    class Middle(custom.Layer):
        def forward(self, x: Any) -> Any:
            return fail["forward"](x)

        def backward(self, dy: Any) -> Any:
            return fail["backward"](dy)

    class MyLoss(PyMSE):
        def formula(self, p: Any, t: Any) -> Any:
            return fail["loss"](super().formula(p, t))

        def derivative(self, p: Any, t: Any) -> Any:
            return fail["derivative"](super().derivative(p, t))

    class MyOptimizer(PyMomentum):
        def formula(self, w: Any, g: Any, states: Any, t: int, lr: float) -> Any:
            return fail["optimizer"](super().formula(w, g, states, t, lr))

    model = Model([Dense(6), Middle(), Dense(2)], seed=1)
    model.set(loss=MyLoss(), optimizer=MyOptimizer(0.05))
    with pytest.raises(error, match=text) as caught:
        model.train(X, T, epochs=9, batch_size=30)
    names = {"forward": "in forward of layer 1 (Middle)", "backward": "in backward of layer 1 (Middle)",
             "loss": "in formula of the loss MyLoss", "derivative": "in derivative of the loss MyLoss",
             "optimizer": "in formula of the optimizer MyOptimizer"}  # fmt: skip
    assert caught.value.__notes__ == [names[where]]
    assert (model.steps_done, model.epochs_done, len(model.history)) == (4, 1, 1)
    replayed = Model([Dense(6), Dense(2)], seed=1)
    replayed.set(loss=PyMSE(), optimizer=PyMomentum(0.05))
    replayed.finalize(4)
    start = Model([Dense(6), Middle(), Dense(2)], seed=1)
    for f in fail.values():
        f.calls = 10**9
    start.finalize(4)
    replayed.set_parameters(start.get_parameters())
    replayed.train(X, T, batch_size=30)
    replayed.train(X[:30], T[:30])
    assert bits(replayed) == bits(model)
    assert replayed.plan.states[0].tobytes() == model.plan.states[0].tobytes()
    model.train(X, T)  # usable


def test_errors_in_prediction_evaluation_and_validation_come_out() -> None:
    class Picky(custom.Layer):
        def forward(self, x: Any) -> Any:
            if not self.training:
                raise ValueError("not today")
            return x

        def backward(self, dy: Any) -> Any:
            return dy

    model = Model([Dense(2), Picky()], seed=1)
    model.set(loss="mse", optimizer="adam")
    with pytest.raises(ValueError, match="not today"):
        model.train(X, T, validation_data=(X, T))
    assert (model.epochs_done, len(model.history), model.history["val_loss"][-1]) == (1, 1, None)
    for act in (lambda: model.predict(X), lambda: model.evaluate(X, T)):
        with pytest.raises(ValueError, match="not today") as caught:
            act()
        assert caught.value.__notes__ == ["in forward of layer 1 (Picky)"]
    model.train(X, T)


@pytest.mark.parametrize(
    ("part", "error", "text"),
    [
        (type("Bare", (custom.Layer,), {}), NotImplementedError, r"Bare: write forward\(self, x\)"),
        (type("Flat", (custom.Layer,), {"build": lambda s, n: {"w": np.ones(n)}}), ValueError,
         r"layer 1 \(Flat\): build: expected w of two dimensions"),
        (type("Lost", (PyDense,), {"backward": lambda s, dy: (dy, {"weights": 0}), "config": lambda s: {}}), ValueError,
         r"backward: expected gradients of \['biases', 'weights'\], got \['weights'\]"),
    ],
)  # fmt: skip
def test_a_layer_that_is_not_whole_says_what_is_missing(part: Any, error: type[Exception], text: str) -> None:
    layer = part(3) if issubclass(part, PyDense) else part()
    model = Model([Dense(3), layer, Dense(2)], seed=1)
    model.set(loss="mse", optimizer="adam")
    with pytest.raises(error, match=text):
        model.train(X, T)


# --- metrics ---


def worst(y_true: Any, y_pred: Any) -> float:
    return float(np.abs(y_pred - y_true).max())


def test_a_metric_is_a_function_and_the_history_has_it() -> None:
    model = native()
    model.set(metrics=[worst])
    note: list[float] = []
    keep = callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: note.append(logs["val_worst"]))
    stop = callbacks.EarlyStopping("val_worst", patience=100, restore_best=True)
    history = model.train(X[:60], T[:60], epochs=6, validation_data=(X[60:], T[60:]), callbacks=[keep, stop])
    assert note == history["val_worst"]
    assert min(note) == stop.best == worst(T[60:], model.predict(X[60:]))
    assert len(history.worst) == 6
    plain = native()
    plain.train(X[:60], T[:60], epochs=6, validation_data=(X[60:], T[60:]))
    assert plain.history["loss"] == history["loss"]
    assert worst(T[:60], plain.predict(X[:60])) == history.worst[-1]
    model.set(metrics=[])
    model.train(X[:60], T[:60])
    assert history["worst"][-1] is None
    assert len(history["val_worst"]) == 7


def test_metrics_by_kerass_name_in_files_and_in_streams(tmp_path: Path) -> None:
    model = Model([Dense(2)], seed=1)
    model.compile(optimizer=Adam(0.01), loss="mse", metrics=["accuracy", worst])
    model.train_stream([(X, T)], epochs=2, validation_data=(X, T))
    assert "worst" not in model.history.history
    assert model.history["val_worst"][-1] == worst(T, model.predict(X))
    model.save(tmp_path / "m.fnn")
    loaded = Model.load(tmp_path / "m.fnn")
    assert loaded.history.state() == model.history.state()
    assert not loaded.metrics


@pytest.mark.parametrize(
    ("metrics", "error", "text"),
    [
        ([3], TypeError, r"metrics\[0\]: expected a name, a metric or a function of \(y_true, y_pred\), got 3"),
        ([Tanh], TypeError, r"metrics\[0\]: expected a name, a metric or a function"),
        ([worst, worst], ValueError, r"metrics\[1\]: 'worst' cannot be its name"),
        ([lambda t, p: 0], ValueError, r"metrics\[0\]: '<lambda>' cannot be its name"),
    ],
)
def test_bad_metrics_are_refused(metrics: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        native().set(metrics=metrics)


def test_a_metric_that_fails_is_named() -> None:
    def shape(y_true: Any, y_pred: Any) -> Any:
        return y_pred

    model = native()
    model.set(metrics=[shape])
    with pytest.raises(TypeError, match=r"metric shape: expected a number, got float32 of shape \(90, 2\)") as caught:
        model.train(X, T, epochs=3)
    assert caught.value.__notes__ == ["in the metric shape"]
    assert (model.epochs_done, len(model.history)) == (1, 1)


def test_assigning_a_parameter_copies_into_the_optimizers_array(tmp_path: Path) -> None:
    class Scaled(custom.Layer):
        def build(self, n_in: int) -> dict[str, Any]:
            return {"weights": np.ones((1, n_in))}

        def forward(self, x: Any) -> Any:
            self.x = x
            return x * self.weights

        def backward(self, dy: Any) -> Any:
            return dy * self.weights, {"weights": (dy * self.x).sum(axis=0, keepdims=True)}

    model = Model([Scaled(), Dense(2)], seed=0, dtype="float64")
    model.set(loss="mse", optimizer=SGD(0.1))
    model.finalize(4)
    layer = model.layers[0]
    layer.weights = [2.0, 2, 2, 2]
    layer.weights *= 2
    np.testing.assert_array_equal(model.get_parameters()[0][0], np.full((1, 4), 4.0))
    model.save(tmp_path / "m.fnn")
    again = Model.load(tmp_path / "m.fnn", custom_objects=[Scaled])
    np.testing.assert_array_equal(again.predict(X), model.predict(X))
    model.train(X, T, epochs=3)
    np.testing.assert_array_equal(layer.weights, model.get_parameters()[0][0])
    with pytest.raises(ValueError, match=r"layer 0 \(Scaled\): expected weights of shape \(1, 4\), got \(1, 3\)"):
        layer.weights = np.ones((1, 3))


class Twice(custom.Layer):
    def forward(self, x: Any) -> Any:
        return x * 2

    def backward(self, dy: Any) -> Any:
        return dy * 2


NamesakeOfTheLayer = type("Twice", (PyMSE,), {})
NamesakeOfTheLayer.__qualname__ = "NamesakeOfTheLayer"


class Rounded(custom.Constraint):
    def formula(self, w: Any) -> Any:
        return np.round(w, 2)


def test_a_layer_and_a_loss_may_have_one_name(tmp_path: Path) -> None:
    model = Model([Dense(4, 3), Twice(), Dense(2)], seed=1)
    model.set(loss=NamesakeOfTheLayer(), optimizer="adam")
    model.train(X, T, epochs=1)
    model.save(tmp_path / "m.fnn")
    back = Model.load(tmp_path / "m.fnn", custom_objects=[Twice, NamesakeOfTheLayer])
    assert type(back.loss) is NamesakeOfTheLayer
    assert bits(back) == bits(model)
    other = Model([Dense(4, 3), Twice(), Dense(2)], seed=1)
    other.set(loss=NamesakeOfTheLayer(), optimizer="adam")
    other.train(X, T, epochs=2, resume=tmp_path / "m.fnn")


def test_a_class_that_was_renamed_is_named_by_the_key(tmp_path: Path) -> None:
    model = Model([Dense(4, 3), Twice(), Dense(2)], seed=1)
    model.finalize()
    model.save(tmp_path / "m.fnn")
    Renamed = type("Renamed", (Twice,), {})
    back = Model.load(tmp_path / "m.fnn", custom_objects={"Twice": Renamed})
    assert np.array_equal(back.predict(X), model.predict(X))


def test_a_session_of_a_model_with_a_constraint_of_its_own() -> None:
    for layers in ([Dense(4, 8, weight_constraint=Rounded()), Dense(1)],
                   [Dense(4, 8, weight_constraint=Rounded()), Residual([Dense(8), Twice()])]):  # fmt: skip
        model = Model(layers, seed=0)
        session = model.session()
        assert np.array_equal(pickle.loads(pickle.dumps(session))(X), model.predict(X))


def test_a_loss_of_labels_goes_with_the_categorical_accuracy() -> None:
    class OfLabels(custom.Loss):
        labels = True

        def formula(self, p: Any, t: Any) -> Any:
            return -np.log(p[np.arange(len(t)), t])

        def derivative(self, p: Any, t: Any) -> Any:
            return -np.eye(p.shape[1])[t] / p

    model = Model([Dense(4, 3, activation="softmax")], seed=0)
    model.set(loss=OfLabels(), optimizer="adam")
    model.train(X, Y, epochs=1)
    assert model.evaluate(X, Y).accuracy == (model.predict(X).argmax(axis=1) == Y).mean()


@pytest.mark.parametrize("weights", [None, np.linspace(0.1, 3, 90)])
def test_the_loss_does_not_depend_on_the_blocks(weights: Any) -> None:
    model = Model([Dense(4, 2)], seed=0)
    model.set(loss=PyMSE())
    losses = {model.evaluate(X, T, sample_weight=weights, batch_size=n).loss for n in (1, 7, 64, 90)}
    assert len(losses) == 1
    native = Model([Dense(4, 2)], seed=0, dtype="float64")
    native.set(loss="mean_squared_error")
    mine = Model([Dense(4, 2)], seed=0, dtype="float64")
    mine.set(loss=PyMSE())
    assert mine.evaluate(X, T).loss == pytest.approx(native.evaluate(X, T).loss, rel=1e-14)


def test_a_part_that_changes_the_rounding_mode_changes_no_bit_of_the_others() -> None:
    libm = ctypes.CDLL(ctypes.util.find_library("m") or "libm.so.6")
    upward = {"x86_64": 0x800, "aarch64": 0x400000}.get(platform.machine())
    if upward is None:
        pytest.skip("the number of the rounding mode is not known here")

    class Upward(Twice):
        def forward(self, x: Any) -> Any:
            libm.fesetround(upward)
            return x * 2

    results = []
    for part in (Twice, Upward):
        model = Model([Dense(4, 8), part(), Dense(2)], seed=1)
        model.set(loss="mean_squared_error", optimizer="adam")
        try:
            model.train(X, T, epochs=1, batch_size=30)
        finally:
            libm.fesetround(0)
        results.append(bits(model))
    assert results[0] == results[1]


class Drawn(Twice):
    def build(self, n_in: int) -> dict[str, Any]:
        return {"weights": self.rng.standard_normal((1, n_in))}

    def backward(self, dy: Any) -> Any:
        return dy * 2, {"weights": np.zeros_like(self.weights)}


def test_initial_values_are_drawn_by_the_seed_of_the_model_and_the_place_of_the_layer() -> None:
    def drawn(seed: int) -> list[Any]:
        model = Model([Drawn(), Dense(4, 4), Drawn()], seed=seed)
        model.finalize(4)
        return [model.layers[0].weights.tobytes(), model.layers[2].weights.tobytes()]

    assert drawn(3) == drawn(3)
    assert len({*drawn(3), *drawn(4)}) == 4
    assert not hasattr(Drawn(), "rng")


class Projected(custom.Layer):
    """Draws what is no parameter; and one that has a generator of its own."""

    def __init__(self, own: bool = False) -> None:
        if own:
            self.rng = np.random.default_rng(7)

    def build(self, n_in: int) -> dict[str, Any]:
        self.P = self.rng.standard_normal((n_in, n_in)).astype(np.float32)
        return {}

    def forward(self, x: Any) -> Any:
        return x @ self.P

    def backward(self, dy: Any) -> Any:
        return dy @ self.P.T


def test_what_is_drawn_beside_the_parameters_comes_back_with_the_seed(tmp_path: Path) -> None:
    model = Model([Projected(), Dense(4, 4), Residual([Projected(), Dense(4)])], seed=3)
    model.finalize(4)
    want = model.predict(X)
    model.save(tmp_path / "m.fnn")
    assert np.array_equal(Model.load(tmp_path / "m.fnn", custom_objects=[Projected]).predict(X), want)
    assert np.array_equal(copy.deepcopy(model).predict(X), want)
    assert np.array_equal(model.session()(X), want)
    own = [Model([Projected(own=True), Dense(4, 1)], seed=seed) for seed in (1, 2)]
    for m in own:
        m.finalize(4)
    assert np.array_equal(own[0].layers[0].P, own[1].layers[0].P)
    assert hasattr(own[0].layers[0], "rng")
