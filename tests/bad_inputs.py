"""The table of test_bad_input.py: what is called, the error, and a pattern that its text matches."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fastnn import Dense, Dropout, Input, Model, Rescale
from fastnn.optimizers import SGD, Adam

X = np.random.default_rng(3).standard_normal((20, 4))
Y = np.arange(20) % 3
HOT = np.eye(3)[Y]
ENDLESS = np.broadcast_to(np.ones((1, 4), np.float32), (2**31, 4))
ENDLESS_LABELS = np.broadcast_to(np.zeros(1, np.int64), (2**31,))
BEYOND = np.broadcast_to(np.ones((1, 4), np.uint8), (2**60, 4))


def changed(a: Any, place: Any, value: Any) -> Any:
    b = np.array(a)
    b[place] = value
    return b


def classifier() -> Model:
    model = Model([Dense(4, 8, activation="relu"), Dense(3, activation="softmax")], seed=1)
    model.set(loss="categorical_crossentropy", optimizer=Adam(0.01))
    return model


Row = tuple[str, Callable[[Model], Any], type[BaseException], str]
# --- data ---
DATA: list[Row] = [
    ("X of rank 1", lambda m: m.train(X[0], Y), ValueError, r"X: expected 2 dimensions .*got 1.*reshape\(1, -1\)"),
    ("X of rank 3", lambda m: m.train(X.reshape(20, 2, 2), Y), ValueError, r"X: expected 2 dim.* got 3 .*flatten"),
    ("X of rank 0", lambda m: m.predict(1.0), ValueError, "X: expected 2 dimensions .*got 0"),
    ("X too wide", lambda m: m.train(np.hstack([X, X]), Y), ValueError, r"expected .*\(rows, 4\), got \(20, 8\)"),
    ("X too narrow", lambda m: m.predict(X[:, :3]), ValueError, r"layer 0: expected .*\(rows, 4\), got \(20, 3\)"),
    ("X without columns", lambda m: m.predict(np.empty((3, 0))), ValueError, r"\(rows, 4\), got \(3, 0\)"),
    ("X without rows", lambda m: m.train(X[:0], Y[:0]), ValueError, r"X: there are no rows \(shape \(0, 4\)\)"),
    ("nothing to evaluate", lambda m: m.evaluate(X[:0], Y[:0]), ValueError, "X: there are no rows"),
    ("X of objects", lambda m: m.train(X.astype(object), Y), TypeError, "X: expected real numbers, got dtype object"),
    ("X of text", lambda m: m.train(X.astype(str), Y), TypeError, "X: expected real numbers, got dtype <U"),
    ("X complex", lambda m: m.predict(X + 0j), TypeError, "X: expected real numbers, got dtype complex128"),
    ("X of dates", lambda m: m.predict(X.astype("M8[s]")), TypeError, "X: expected real numbers, got dtype datetime64"),
    ("X of records", lambda m: m.predict(np.zeros((2, 4), [("a", "f4")])), TypeError, "X: expected real numbers"),
    ("X ragged", lambda m: m.predict([[1, 2, 3, 4], [1, 2]]), ValueError, "X: cannot be made an array"),
    ("X masked", lambda m: m.train(np.ma.masked_array(X, X > 1), Y), TypeError, "X: masked arrays are not supported"),
    ("X None", lambda m: m.train(None, Y), TypeError, "X: expected an array, got None"),
    ("X a dict", lambda m: m.predict({"a": 1}), TypeError, "X: expected real numbers"),
    ("NaN in X", lambda m: m.train(changed(X, (7, 2), np.nan), Y), ValueError, "X: nan at row 7, column 2"),
    ("infinity in X", lambda m: m.train(changed(X, (19, 3), -np.inf), Y), ValueError, "X: -inf at row 19, column 3"),
    ("NaN in one-hot y", lambda m: m.train(X, changed(HOT, (4, 1), np.nan)), ValueError, "y: nan at row 4, column 1"),
    ("label too large", lambda m: m.train(X, changed(Y, 5, 3)), ValueError, r"labels 0 to 2 .*got 3 at row 5"),
    ("label negative", lambda m: m.train(X, changed(Y, 9, -1)), ValueError, "labels 0 to 2 .*got -1 at row 9"),
    ("label beyond int32", lambda m: m.train(X, changed(Y, 2, 2**32)), ValueError, "got 4294967296 at row 2"),
    (
        "label beyond int64",
        lambda m: m.train(X, changed(Y.astype("u8"), 2, 2**63)),
        ValueError,
        "got 9223372036854775808",
    ),
    (
        "labels as floats",
        lambda m: m.train(X, Y.astype(float)),
        TypeError,
        r"y: class labels must be integers, got dtype float64: pass y\.astype\(int\)",
    ),
    ("labels as text", lambda m: m.train(X, Y.astype(str)), TypeError, "y: expected real numbers, got dtype <U"),
    (
        "labels as a column",
        lambda m: m.train(X, Y[:, None]),
        ValueError,
        r"\(20, 3\) or \(20,\) class labels, got \(20, 1\): pass y\.ravel\(\)",
    ),
    (
        "one-hot too wide",
        lambda m: m.train(X, np.eye(4)[Y]),
        ValueError,
        r"expected shape \(20, 3\) or .*got \(20, 4\)",
    ),
    ("one-hot beyond one", lambda m: m.train(X, HOT * 2), ValueError, "y: targets of a cross-entropy .* got 2"),
    ("one-hot negative", lambda m: m.train(X, HOT - 1), ValueError, "y: targets of a cross-entropy .* got -1"),
    ("y too short", lambda m: m.train(X, Y[:-1]), ValueError, r"y: expected 20 rows, as many as X, got shape \(19,\)"),
    ("y too long", lambda m: m.evaluate(X[:-1], Y), ValueError, "y: expected 19 rows"),
    ("y of rank 0", lambda m: m.train(X, 1), ValueError, "y: expected 20 rows"),
    ("y of rank 3", lambda m: m.train(X, HOT[:, :, None]), ValueError, r"y: expected shape \(20, 3\)"),
    ("y None", lambda m: m.train(X, None), TypeError, "y: expected an array, got None"),
    ("y masked", lambda m: m.train(X, np.ma.masked_equal(Y, 1)), TypeError, "y: masked arrays are not supported"),
]
# --- arguments ---
ARGUMENTS: list[Row] = [
    ("batch_size 0", lambda m: m.train(X, Y, batch_size=0), ValueError, "batch_size: expected at least 1, got 0"),
    ("batch_size -1", lambda m: m.predict(X, batch_size=-1), ValueError, "batch_size: expected at least 1, got -1"),
    (
        "batch_size 1.5",
        lambda m: m.train(X, Y, batch_size=1.5),
        TypeError,
        "batch_size: expected a whole number, got 1.5",
    ),
    ("batch_size True", lambda m: m.train(X, Y, batch_size=True), TypeError, "batch_size: expected a whole number"),
    ("batch_size text", lambda m: m.evaluate(X, Y, batch_size="32"), TypeError, "batch_size: expected a whole number"),
    ("epochs -1", lambda m: m.train(X, Y, epochs=-1), ValueError, "epochs: expected at least 0, got -1"),
    ("epochs 1.5", lambda m: m.train(X, Y, epochs=1.5), TypeError, "epochs: expected a whole number, got 1.5"),
    ("epochs None", lambda m: m.train(X, Y, epochs=None), TypeError, "epochs: expected a whole number, got None"),
    ("epochs endless", lambda m: m.train(X, Y, epochs=2**64), ValueError, "epochs: expected at least 0"),
    ("print_every -1", lambda m: m.train(X, Y, print_every=-1), ValueError, "print_every: expected at least 0, got -1"),
    (
        "validation one",
        lambda m: m.train(X, Y, validation_data=X),
        TypeError,
        r"validation_data: expected a pair \(X, y\)",
    ),
    (
        "validation three",
        lambda m: m.train(X, Y, validation_data=(X, Y, Y[:-1])),
        ValueError,
        r"validation_data\[2\]: expected shape \(20,\)",
    ),
    (
        "validation width",
        lambda m: m.train(X, Y, validation_data=(X[:, :2], Y)),
        ValueError,
        r"validation_data\[0\]: .*4\)",
    ),
    (
        "validation labels",
        lambda m: m.train(X, Y, validation_data=(X, Y + 1)),
        ValueError,
        r"validation_data\[1\]: .*got 3",
    ),
    (
        "validation NaN",
        lambda m: m.train(X, Y, validation_data=(X * np.nan, Y)),
        ValueError,
        r"_data\[0\]: nan at row 0",
    ),
    (
        "validation empty",
        lambda m: m.train(X, Y, validation_data=(X[:0], Y[:0])),
        ValueError,
        r"_data\[0\]: there are no",
    ),
    (
        "unknown loss",
        lambda m: m.set(loss="categorical_crossentropi"),
        ValueError,
        "loss: unknown name .*did you mean 'cat",
    ),
    (
        "unknown optimizer",
        lambda m: m.set(optimizer="adamm"),
        ValueError,
        r"optimizer: unknown .*did you mean 'adam'.*known",
    ),
    (
        "unknown accuracy",
        lambda m: m.set(loss="mse", accuracy="binry"),
        ValueError,
        "accuracy: unknown .*did you mean 'binary'",
    ),
    ("a number for a loss", lambda m: m.set(loss=3), TypeError, "loss: expected a name or a Loss, got int"),
    ("an optimizer for a loss", lambda m: m.set(loss=SGD()), TypeError, "loss: expected a name or a Loss, got SGD"),
    (
        "unknown metrics",
        lambda m: m.compile(metrics=["acu"]),
        ValueError,
        r"metric: unknown name 'acu' \(did you mean 'auc'\?\)",
    ),
    ("unknown activation", lambda m: m.add(Dense(3, activation="rleu")), ValueError, "activation: unknown .*'relu'"),
    (
        "unknown initializer",
        lambda m: m.add(Dense(3, weight_initializer="hee")),
        ValueError,
        "initializer: unknown .*'he'",
    ),
    (
        "a class for a layer",
        lambda m: m.add(Dense),
        TypeError,
        r"layer: expected a Layer, .*did you mean Dense\(\.\.\.\)",
    ),
    ("a layer too late", lambda m: m.add(Dense(3)), ValueError, "the model is finalized"),
    (
        "weights of another shape",
        lambda m: setattr(m.layers[0], "weights", X),
        ValueError,
        r"weights of shape \(4, 8\), got",
    ),
    (
        "weights of text",
        lambda m: setattr(m.layers[0], "biases", ["a"] * 8),
        TypeError,
        "layer 0 .* biases of real numbers",
    ),
    (
        "too few parameters",
        lambda m: m.set_parameters(m.get_parameters()[:1]),
        ValueError,
        "parameters: expected 2 tuples.* got 1",
    ),
    (
        "parameters of another shape",
        lambda m: m.set_parameters([(X, X), (X, X)]),
        ValueError,
        r"layer 0 .*shape \(4, 8\)",
    ),
    (
        "metadata JSON cannot hold",
        lambda m: (m.metadata.update(a=X), m.save("x.fnn")),
        TypeError,
        "not JSON serializable",
    ),
]
# --- sizes that no machine has: an error at once, not after the memory is gone ---
SIZES: list[Row] = [
    ("train on 2^60 rows", lambda m: m.train(BEYOND, ENDLESS_LABELS), (MemoryError, ValueError), "rows"),
    ("predict 2^31 rows", lambda m: m.predict(ENDLESS), MemoryError, "predictions for 2147483648 rows need"),
    ("predict 2^60 rows", lambda m: m.predict(BEYOND), MemoryError, "predictions for 1152921504606846976 rows need"),
    (
        "a layer of 2^62",
        lambda m: Model([Dense(2**31 - 1, 2**31 - 1)]).finalize(),
        MemoryError,
        "parameters need .* GiB",
    ),
    (
        "many layers of 2^62",
        lambda m: Model([Dense(2**31 - 1) for _ in range(9)]).finalize(2**31 - 1),
        MemoryError,
        "GiB",
    ),
    ("a layer of 2^31", lambda m: Dense(2**31), ValueError, "n_neurons: expected 1 to 2147483647, got 2147483648"),
    (
        "inputs of 2^31",
        lambda m: Model([Dense(2)]).finalize(2**31),
        ValueError,
        "n_inputs: expected at least 1 and at most",
    ),
]
# --- layers and models ---
LAYERS: list[Row] = [
    ("no neurons", lambda m: Dense(0), ValueError, "n_neurons: expected 1 to 2147483647, got 0"),
    ("no inputs", lambda m: Dense(0, 3), ValueError, "n_inputs: expected 1 to"),
    ("half a neuron", lambda m: Dense(2.5), TypeError, "n_neurons: expected a whole number, got 2.5"),
    ("neurons True", lambda m: Dense(True), TypeError, "n_neurons: expected a whole number, got True"),
    ("regularizer < 0", lambda m: Dense(3, weight_regularizer_l2=-1), ValueError, "weight_regularizer_l2: .*got -1"),
    (
        "regularizer NaN",
        lambda m: Dense(3, bias_regularizer_l1=float("nan")),
        ValueError,
        "bias_regularizer_l1: .*got nan",
    ),
    ("dropout 1", lambda m: Dropout(1), ValueError, "rate: expected the share to drop, .*below 1, got 1"),
    ("dropout -0.1", lambda m: Dropout(-0.1), ValueError, "rate: .*got -0.1"),
    ("dropout NaN", lambda m: Dropout(float("nan")), ValueError, "rate: .*got nan"),
    ("rescale by infinity", lambda m: Rescale(float("inf")), ValueError, "scale: expected a finite number, got inf"),
    ("learning rate < 0", lambda m: Adam(-1), ValueError, "learning_rate: expected at least 0, got -1"),
    ("momentum 1", lambda m: SGD(momentum=1.0), ValueError, "momentum: expected at least 0 and below 1, got 1.0"),
    ("dtype int", lambda m: Model(dtype="int8"), ValueError, "dtype: expected float32 or float64, got int8"),
    ("seed < 0", lambda m: Model(seed=-1), ValueError, "seed: expected at least 0"),
    (
        "seed of 65 bits",
        lambda m: Model(seed=2**64),
        ValueError,
        "seed: expected at least 0 and at most 18446744073709551615",
    ),
    ("seed 1.5", lambda m: Model(seed=1.5), TypeError, "seed: expected a whole number, got 1.5"),
    ("no layers", lambda m: Model().finalize(3), ValueError, "the model has no layers"),
    (
        "sizes that do not meet",
        lambda m: Model([Dense(2, 5), Dense(4, 3)]).finalize(),
        ValueError,
        r"layer 1 \(Dense\): expected input of width 4, but layer 0 \(Dense\) gives 5",
    ),
    (
        "input of another width",
        lambda m: Model([Input(3), Dense(2)]).finalize(4),
        ValueError,
        r"layer 0 \(Input\): expected input of width 3, but the input has 4",
    ),
    ("width not known", lambda m: Model([Dense(3)]).finalize(), ValueError, "width of the input is not known"),
    ("untrained without loss", lambda m: Model([Dense(3)]).train(X, Y), ValueError, "no loss is set"),
    ("labels for one output", lambda m: one_output().train(X, Y % 2), ValueError, "needs an output for each class"),
    ("not finalized", lambda m: Model([Dense(3)]).get_parameters(), ValueError, "not finalized: call finalize"),
    ("weights too early", lambda m: Dense(3).weights, AttributeError, "no weights before the model is finalized"),
]
TABLE = DATA + ARGUMENTS + SIZES + LAYERS


def one_output() -> Model:
    model = Model([Dense(1, activation="softmax")])
    model.set(loss="categorical_crossentropy", optimizer="sgd")
    return model
