"""One table of bad input: each row a call, the error, and what its text says; after each the model is unharmed."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from bad_inputs import TABLE, X, Y, changed, classifier
from compare import assert_same_bits

from fastnn import Dense, Model, _checks
from fastnn.optimizers import Adam


@pytest.mark.parametrize(("what", "call", "error", "text"), TABLE, ids=[row[0] for row in TABLE])
def test_bad_input_is_a_clear_error_and_the_model_unharmed(
    what: str, call: Callable[[Model], Any], error: type[BaseException], text: str
) -> None:
    model, untouched = classifier(), classifier()
    for m in (model, untouched):
        m.train(X, Y, epochs=2)
    before = model.plan.params.tobytes(), [s.tobytes() for s in model.plan.states], model.history.state()
    started = time.monotonic()
    with pytest.raises(error, match=text):
        call(model)
    assert time.monotonic() - started < 5
    assert (model.plan.params.tobytes(), [s.tobytes() for s in model.plan.states], model.history.state()) == before
    assert type(model.optimizer) is Adam
    model.metadata.clear()
    for m in (model, untouched):  # and goes on as if nothing had been
        m.train(X, Y, epochs=2, batch_size=7)
    assert_same_bits(model.plan.params, untouched.plan.params)
    assert model.history.state() == untouched.history.state()


GOOD: list[tuple[str, Callable[[], Any]]] = [
    ("read-only", lambda: _read_only(X)),
    ("transposed", lambda: np.asfortranarray(X)),
    ("sliced", lambda: np.repeat(np.repeat(X, 2, axis=0), 3, axis=1)[::2, ::3]),
    ("negative strides", lambda: X[::-1, ::-1].copy()[::-1, ::-1]),
    ("a list of lists", lambda: X.tolist()),
    ("a memoryview", lambda: memoryview(X)),
    ("a matrix", lambda: X.view(np.matrix) if hasattr(np, "matrix") else X),
    ("other byte order", lambda: X.astype(">f8")),
    ("long double", lambda: X.astype(np.longdouble)),
    ("unaligned", lambda: np.frombuffer(b"\0" + X.tobytes(), np.uint8)[1:].view(np.float64).reshape(X.shape)),
    ("a memory map", lambda: _mapped(X)),
]


def _read_only(a: Any) -> Any:
    a = a.copy()
    a.flags.writeable = False
    return a


def _mapped(a: Any) -> Any:
    import tempfile

    with tempfile.TemporaryFile() as f:
        f.write(a.tobytes())
        f.flush()
        return np.array(np.memmap(f, a.dtype, "r", 0, a.shape), copy=False)


@pytest.mark.filterwarnings("ignore:the matrix subclass:PendingDeprecationWarning")
@pytest.mark.parametrize(("what", "make"), GOOD, ids=[row[0] for row in GOOD])
def test_unusual_arrays_are_taken_with_the_right_result(what: str, make: Callable[[], Any]) -> None:
    plain, unusual = classifier(), classifier()
    plain.train(X, Y, epochs=3, batch_size=6, shuffle=True)
    given = make()
    unusual.train(given, _read_only(Y), epochs=3, batch_size=6, shuffle=True)
    assert_same_bits(unusual.plan.params, plain.plan.params)
    assert_same_bits(unusual.predict(given), plain.predict(X))
    assert unusual.evaluate(given, Y.tolist()) == plain.evaluate(X, Y)


def test_broadcast_rows_and_float16_are_taken() -> None:
    m, k = classifier(), classifier()
    row = np.broadcast_to(X[:1], (20, 4))
    m.train(row, Y)
    k.train(row.copy(), Y)
    assert_same_bits(m.plan.params, k.plan.params)
    half = X.astype(np.float16)
    assert_same_bits(m.predict(half), m.predict(half.astype(np.float32)))
    assert_same_bits(m.predict(X > 0), m.predict((X > 0).astype(np.float32)))


def test_no_rows_are_predicted_as_no_rows() -> None:
    model = classifier()
    model.train(X, Y)
    assert model.predict(X[:0]).shape == (0, 3)


def test_a_batch_larger_than_the_data_is_all_of_the_data() -> None:
    a, b = classifier(), classifier()
    a.train(X, Y, batch_size=2**62)
    b.train(X, Y)
    assert_same_bits(a.plan.params, b.plan.params)
    assert_same_bits(a.predict(X, batch_size=2**62), b.predict(X))
    assert a.evaluate(X, Y, batch_size=2**62) == b.evaluate(X, Y)


def test_data_that_do_not_fit_leave_the_width_of_the_input_open() -> None:
    model = Model([Dense(8, activation="relu"), Dense(3, activation="softmax")], seed=1)
    model.set(loss="categorical_crossentropy", optimizer="adam")
    with pytest.raises(ValueError, match="y: expected 4 rows"):
        model.train(X.T, Y)
    assert model.parameter_count == 0
    model.train(X, Y)
    assert model.predict(X).shape == (20, 3)


def test_nan_in_a_row_to_predict_stays_in_that_row() -> None:
    model = classifier()
    model.train(X, Y)
    bad = changed(X, (7, 2), np.nan)
    p, clean = model.predict(bad), model.predict(X)
    assert np.isnan(p[7]).all()
    keep = np.arange(20) != 7
    assert_same_bits(p[keep], clean[keep])


@pytest.mark.parametrize("call", [lambda m: m.predict(X, batch_size=0), lambda m: m.evaluate(X, Y[:5])])
def test_a_refusal_leaves_a_model_without_sizes_as_it_was(call: Callable[[Model], Any]) -> None:
    model = Model([Dense(5), Dense(3)], seed=0)
    model.set(loss="categorical_crossentropy", optimizer="adam")
    with pytest.raises(ValueError, match=r"batch_size: expected|y: expected 20 rows"):
        call(model)
    assert model._plan is None
    assert model.predict(np.ones((2, 9))).shape == (2, 3)


class Sly(np.ndarray[Any, Any]):
    """Labels that somebody else makes wrong as soon as they have been looked at."""

    def max(self, *args: Any, **kwargs: Any) -> Any:
        found = super().max(*args, **kwargs)
        self[...] = 1000
        return found


@pytest.mark.parametrize("dtype", ["u2", "i2", "i4", "i8", "u8", ">i4", ">i8"])
def test_labels_are_checked_where_nobody_else_can_change_them(dtype: str) -> None:
    given = np.array([2, 0, 1], dtype)
    assert _checks.as_labels("y", given.copy().view(Sly), 3).tolist() == [2, 0, 1]
    for wrong in (3, np.iinfo(given.dtype).max, np.iinfo(given.dtype).min or 4):
        given[1] = wrong
        with pytest.raises(ValueError, match=f"class labels 0 to 2 .* got {wrong} at row 1"):
            _checks.as_labels("y", given, 3)
