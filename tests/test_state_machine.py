"""The Model's interface in any order, with arguments that are right and wrong: a state machine of hypothesis.

After each step: an error was one of the kinds that the interface documents (``KINDS``) and named something; nothing was
lost by it (the parameters, the counters, what it predicts); and what holds for every model holds: a session, a copy, a
pickle, a file and any batch size give the bits of ``predict``. A twin made of a file at the beginning of each training
trains along, so that saving in the middle of anything is seen to change nothing.

The suite runs a few dozen short examples. ``make test-slow`` runs thousands of long ones, in processes of their own: an
interpreter that dies is a failure with the seed in its message.

    pytest -m slow tests/test_state_machine.py       FASTNN_STATE_EXAMPLES=5000 for more of them
"""

from __future__ import annotations

import copy
import os
import pickle
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from state_arguments import (
    BLOBS,
    CLASSES,
    EPOCHS,
    LABELS,
    LAYERS,
    LOSSES,
    N_IN,
    OPTIMIZERS,
    RATES,
    ROWS,
    SIZES,
    TARGETS,
    X,
    fitting,
    says_something,
)

from fastnn import Add, Dense, Dropout, FormatError, Input, Model, Session

KINDS = (ValueError, TypeError, FloatingPointError, MemoryError, OSError)  # FormatError is a ValueError


class ModelMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "model.fnn"
        self.model = Model(seed=1)
        self.session: Session | None = None
        self.answer: bytes | None = None  # what the session says of X
        self.saved: bytes | None = None  # what the model of the file says of X

    def teardown(self) -> None:
        self.folder.cleanup()

    # --- what every step goes through ---

    def state(self) -> Any:
        """Everything that an error must not move."""
        model, plan = self.model, self.model._plan
        states = [] if plan is None else [a for a in plan.states if a.any()]  # zeros are as good as none
        arenas = None if plan is None else tuple(a.tobytes() for a in (plan.params, *states))
        layers = [(type(x), x.trainable, x.learning_rate_multiplier) for x in model.layers]
        counters = (
            model.steps_done,
            model.epochs_done,
            len(model.history),
            repr(model.loss),
            repr(model.optimizer),
            model.accuracy,
        )
        return arenas, layers, counters, None if plan is None else self.predicted()

    def predicted(self) -> bytes:
        with np.errstate(all="ignore"):
            return self.model.predict(fitting(self.model)).tobytes()

    def attempt(self, call: Callable[[], Any], *, moves: tuple[type[BaseException], ...] = ()) -> Any:
        """What the call gives; None where it raised, and then nothing is other than before. moves: kinds of error that
        come in the middle of the work, after which the model is only whole."""
        before = self.state()
        try:
            with np.errstate(all="ignore"):
                return call()
        except KINDS as error:
            says_something(error)
            if not isinstance(error, moves):
                after = self.state()
                if before[0] is None and after[0] is not None:
                    raise AssertionError(f"an error left the model finalized: {error!r}") from error
                if after != before:
                    raise AssertionError(f"an error moved the model: {error!r}") from error
            return None

    # --- description ---

    @initialize(dtype=st.sampled_from(["float32", "float64"]), graph=st.booleans(), ready=st.booleans())
    def begin(self, dtype: str, graph: bool, ready: bool) -> None:
        if graph:
            x = Input(N_IN)
            h = Dense(N_IN, activation="tanh")(x)
            y = Dense(CLASSES, activation="softmax")(Dropout(0.2)(Add()([h, Dense(N_IN)(x)])))
            self.model = Model(inputs=x, outputs=y, seed=3, dtype=dtype)
        else:
            self.model = Model([Dense(6, activation="relu")] if ready else [], seed=3, dtype=dtype)
        if ready:
            if not graph:
                self.model.add(Dense(CLASSES, activation="softmax"))
            self.model.set(loss="categorical_crossentropy", optimizer="adam")

    @rule(what=st.sampled_from(sorted(LAYERS)))
    def add(self, what: str) -> None:
        count = len(self.model.layers)
        self.attempt(lambda: self.model.add(LAYERS[what]()))
        assert len(self.model.layers) in (count, count + 1)

    @rule()
    def add_the_same_again(self) -> None:
        if self.model.layers:
            layer, count = self.model.layers[-1], len(self.model.layers)
            self.attempt(lambda: self.model.add(layer))
            assert len(self.model.layers) == count

    @precondition(lambda self: self.model._plan is None and self.model._graph is None)
    @rule()
    def add_an_end(self) -> None:
        self.attempt(lambda: self.model.add(Dense(CLASSES, activation="softmax")))

    @rule(
        loss=st.sampled_from([None, *LOSSES]),
        optimizer=st.sampled_from([None, *sorted(OPTIMIZERS)]),
        metrics=st.sampled_from([None, ["f1"], ["mae"], ["no such metric"], 3]),
        accuracy=st.sampled_from([..., "auto", None, "regression", "x"]),
    )
    def choose(self, loss: Any, optimizer: str | None, metrics: Any, accuracy: Any) -> None:
        chosen = None if optimizer is None else OPTIMIZERS[optimizer]()
        self.attempt(lambda: self.model.set(loss=loss, optimizer=chosen, metrics=metrics, accuracy=accuracy))

    @rule(n=st.sampled_from([None, N_IN, 9, 0, -1, 2.0, "4", 2**40]))
    def finalize(self, n: Any) -> None:
        self.attempt(lambda: self.model.finalize(n))

    # --- training ---

    @rule(
        rows=st.sampled_from(sorted(ROWS)),
        labels=st.sampled_from(sorted(TARGETS)),
        batch_size=SIZES,
        epochs=EPOCHS,
        options=st.sampled_from(
            [
                {},
                {"shuffle": True},
                {"validation_split": 0.25},
                {"validation_split": 2},
                {"accumulate": 2},
                {"accumulate": 0},
                {"sample_weight": np.ones(24)},
                {"sample_weight": np.ones(3)},
                {"class_weight": "balanced"},
                {"class_weight": {9: 1.0}},
                {"check_finite": False},
                {"validation_data": (X, LABELS)},
                {"validation_data": 5},
                {"no_such": 1},
                {"resume": "nowhere/m.fnn"},
            ]
        ),
    )
    def train(self, rows: str, labels: str, batch_size: Any, epochs: Any, options: dict[str, Any]) -> None:
        self.alike(lambda m: m.train(ROWS[rows], TARGETS[labels], batch_size=batch_size, epochs=epochs, **options))

    @rule(rows=st.sampled_from(sorted(ROWS)), labels=st.sampled_from(sorted(TARGETS)))
    def train_on_batch(self, rows: str, labels: str) -> None:
        self.alike(lambda m: m.train_on_batch(ROWS[rows], TARGETS[labels]))

    @rule(shuffle=st.booleans(), batch_size=st.sampled_from([None, 5, 24]))
    def train_well(self, shuffle: bool, batch_size: int | None) -> None:
        """As train, with what most models take."""
        self.alike(lambda m: m.train(X, LABELS, epochs=2, batch_size=batch_size, shuffle=shuffle))

    def alike(self, training: Callable[[Model], Any]) -> None:
        """Train, and a model of the file that was saved before too: both come to the same bits, or the same error."""
        twin = None
        if self.model._plan is not None and not any(callable(m) for m in self.model.metrics.values()):
            twin = Model.from_bytes(self.model.to_bytes())
        ended = self.attempt(lambda: training(self.model), moves=(FloatingPointError,))
        if twin is None:
            return
        try:
            with np.errstate(all="ignore"):
                training(twin)
        except KINDS:
            assert ended is None
        assert twin.plan.params.tobytes() == self.model.plan.params.tobytes(), "a model of a file trained to other bits"

    @rule(
        rows=st.sampled_from(sorted(set(ROWS) - {"endless"})), labels=st.sampled_from(sorted(TARGETS)), batch_size=SIZES
    )
    def evaluate(self, rows: str, labels: str, batch_size: Any) -> None:
        self.attempt(lambda: self.model.evaluate(ROWS[rows], TARGETS[labels], batch_size=batch_size))

    # --- weights ---

    @rule(which=st.integers(0, 9), frozen=st.sampled_from([True, False, None, 2]), rate=RATES)
    def freeze(self, which: int, frozen: Any, rate: Any) -> None:
        if self.model.layers:
            layer = self.model.layers[which % len(self.model.layers)]
            self.attempt(lambda: setattr(layer, "trainable", frozen))
            self.attempt(lambda: setattr(layer, "learning_rate_multiplier", rate))

    @rule(kind=st.sampled_from(["same", "scaled", "short", "shape", "texts", "number", "swapped"]))
    def set_parameters(self, kind: str) -> None:
        if self.model._plan is None:
            self.attempt(lambda: self.model.set_parameters([]))
            return
        given: Any = self.model.get_parameters()
        if kind == "scaled":
            given = [tuple(a * 0.5 for a in one) for one in given]
        elif kind == "short":
            given = given[:-1]
        elif kind == "shape":
            given = [tuple(a[:, :-1] for a in one) for one in given]
        elif kind == "texts":
            given = [tuple(np.full(a.shape, "x") for a in one) for one in given]
        elif kind == "number":
            given = 5
        elif kind == "swapped":
            given = given[::-1]
        self.attempt(lambda: self.model.set_parameters(given))

    @rule(strict=st.booleans(), kind=st.sampled_from(["same", "fewer", "shape", "names", "texts"]))
    def load_state_dict(self, strict: bool, kind: str) -> None:
        if self.model._plan is None:
            self.attempt(lambda: self.model.load_state_dict({}))
            return
        given: Any = self.model.state_dict()
        if kind == "fewer":
            given.pop(next(iter(given)), None)
        elif kind == "shape":
            given = {name: a[:, :1] for name, a in given.items()}
        elif kind == "names":
            given = {name + "x": a for name, a in given.items()}
        elif kind == "texts":
            given = {name: np.full(a.shape, "x") for name, a in given.items()}
        self.attempt(lambda: self.model.load_state_dict(given, strict=strict))

    # --- files and copies ---

    @rule(place=st.sampled_from(["here", "nowhere", "a folder", "number"]))
    def save(self, place: str) -> None:
        there: Any = {
            "here": self.path,
            "nowhere": self.path / "x" / "m.fnn",
            "a folder": self.path.parent,
            "number": 3,
        }[place]
        before = self.path.read_bytes() if self.path.exists() else None
        self.attempt(lambda: self.model.save(there))
        if place != "here" or self.model._plan is None:
            assert (self.path.read_bytes() if self.path.exists() else None) == before
        else:
            self.saved = self.predicted()

    @precondition(lambda self: self.path.exists())
    @rule()
    def load(self) -> None:
        self.model = Model.load(self.path)
        assert self.predicted() == self.saved
        assert self.model.to_bytes() == self.path.read_bytes()

    @precondition(lambda self: self.path.exists())
    @rule(kind=st.sampled_from(BLOBS), at=st.integers(0, 10**6))
    def load_damaged(self, kind: str, at: int) -> None:
        blob = bytearray(self.path.read_bytes())
        at %= len(blob)
        if kind == "flipped":
            blob[at] ^= 1
        else:
            blob = {"cut": blob[:at], "empty": bytearray(), "text": bytearray(b"no model")}[kind]
        for load in (Model.from_bytes, lambda b: self.model.load_weights(_written(self.path.with_suffix(".bad"), b))):
            before = self.state()
            with (
                pytest.raises(FormatError)
                if self.model._plan is not None or load == Model.from_bytes
                else pytest.raises(ValueError)
            ):
                load(bytes(blob))
            assert self.state() == before

    @rule(how=st.sampled_from(["copy", "deepcopy", "pickle", "bytes"]), keep=st.booleans())
    def copied(self, how: str, keep: bool) -> None:
        make: dict[str, Callable[[], Any]] = {
            "copy": lambda: copy.copy(self.model),
            "deepcopy": lambda: copy.deepcopy(self.model),
            "pickle": lambda: pickle.loads(pickle.dumps(self.model)),
            "bytes": lambda: Model.from_bytes(self.model.to_bytes()),
        }
        before = self.state()
        other = self.attempt(make[how])
        assert self.state() == before
        if other is None:
            assert self.model._plan is None
            return
        mine, self.model = self.model, other
        try:
            assert self.state()[0] == before[0]
            assert self.state()[3] == before[3]
        finally:
            self.model = other if keep else mine

    # --- prediction ---

    @rule(rows=st.sampled_from(sorted(set(ROWS) - {"endless"})), batch_size=SIZES)
    def predict(self, rows: str, batch_size: Any) -> None:
        self.attempt(lambda: self.model.predict(ROWS[rows], batch_size=batch_size))

    @rule()
    def make_session(self) -> None:
        made = self.attempt(self.model.session)
        if made is not None:
            self.session, self.answer = made, self.predicted()

    @precondition(lambda self: self.session is not None)
    @rule(what=st.sampled_from(["the model", "another width", "a number"]))
    def swap(self, what: str) -> None:
        assert self.session is not None
        other: Any = {"the model": self.model, "another width": Model([Dense(9, 2)], seed=0), "a number": 3}[what]
        try:
            self.session.swap(other)
        except KINDS as error:
            says_something(error)
        else:
            assert what == "the model"
            self.answer = self.predicted()

    @precondition(lambda self: self.session is not None)
    @rule(rows=st.sampled_from(sorted(set(ROWS) - {"endless", "huge"})))
    def ask_session(self, rows: str) -> None:
        assert self.session is not None
        try:
            with np.errstate(all="ignore"):
                self.session(ROWS[rows])
        except KINDS as error:
            says_something(error)

    # --- what always holds ---

    @invariant()
    def every_way_gives_the_same_bits(self) -> None:
        model = self.model
        if model._plan is None:
            return
        rows = fitting(model)
        with np.errstate(all="ignore"):
            y = model.predict(rows)
            assert y.shape == (len(rows), model.plan.n_out)
            assert y.dtype == model.dtype
            assert np.array_equal(model.predict(rows, batch_size=5), y, equal_nan=True)
            assert np.array_equal(model.session()(rows), y, equal_nan=True)
        assert model.plan.trained <= model.plan.size == len(model.plan.params)

    @invariant()
    def the_session_answers_as_when_it_was_made(self) -> None:
        if self.session is not None and self.answer is not None:
            with np.errstate(all="ignore"):
                assert self.session(fitting(self.session)).tobytes() == self.answer


def _written(path: Path, blob: bytes) -> Path:
    path.write_bytes(blob)
    return path


def run(examples: int, steps: int, seed: int | None = None, shrink: bool = True) -> None:
    """So many examples of so many steps; seed: draws the same ones again."""
    from hypothesis import seed as seeded

    options = settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        database=None,
        print_blob=False,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.generate, Phase.shrink) if shrink else (Phase.generate,),
        derandomize=seed is None,
    )
    machine = ModelMachine if seed is None else seeded(seed)(ModelMachine)
    run_state_machine_as_test(machine, settings=options)


def test_any_order_of_calls_is_survived() -> None:
    run(examples=40, steps=25)


def test_the_machine_sees_a_model_that_loses_something(monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control: weights that are gone after an error."""
    take = Model.set_parameters

    def losing(self: Model, parameters: Any) -> None:
        if self._plan is not None:
            self.plan.params[:1] += 1
        take(self, parameters)

    monkeypatch.setattr(Model, "set_parameters", losing)
    with pytest.raises(AssertionError, match="an error moved the model"):
        run(examples=200, steps=25, shrink=False)


EXAMPLES = int(os.environ.get("FASTNN_STATE_EXAMPLES", "2000"))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_thousands_of_orders_are_survived(seed: int) -> None:
    """In a process of its own: an interpreter that dies is told from a test that fails, and the others still run."""
    here = Path(__file__).resolve().parent
    code = f"import sys; sys.path.insert(0, {str(here)!r})\nimport test_state_machine as t\n"
    code += f"t.run({EXAMPLES // 4}, 50, {seed})"
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", code], capture_output=True, text=True, timeout=7200
    )
    assert done.returncode >= 0, (
        f"seed {seed}: the interpreter died by signal {-done.returncode}\n{done.stderr[-4000:]}"
    )
    assert done.returncode == 0, done.stderr[-8000:]
