"""What weights are held to after each step."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from compare import Array, assert_near, assert_same_bits
from small import X, Y, python

from fastnn import Dense, Dropout, Model, constraints, custom, fit_many
from fastnn.constraints import Constraint, MaxNorm, NonNeg, UnitNorm
from fastnn.optimizers import SGD, Adam

HELD: dict[str, Constraint] = {
    "max_norm": MaxNorm(0.8),
    "max_norm by rows": MaxNorm(0.5, axis=1),
    "unit_norm": UnitNorm(),
    "unit_norm by rows": UnitNorm(axis=1),
    "non_neg": NonNeg(),
}


def make(part: Any, bias: Any = None, dtype: Any = "float32", optimizer: Any = None, seed: int = 2) -> Model:
    hidden = Dense(19, activation="tanh", weight_constraint=part, bias_constraint=bias)
    model = Model([hidden, Dropout(0.1), Dense(3, activation="softmax")], seed=seed, dtype=dtype)
    model.set(loss="categorical_crossentropy", optimizer=optimizer or SGD(0.5))
    model.finalize(4)
    return model


def test_every_constraint_is_here() -> None:
    assert {type(part) for part in HELD.values()} == set(Constraint.registry.values())


@pytest.mark.parametrize("name", HELD)
def test_a_step_is_the_optimizers_and_then_the_formula(name: str, isa: str, dtype: Any) -> None:
    bias = MaxNorm(1e-3) if "max" in name else HELD[name]
    held, free = make(HELD[name], bias, dtype), make(None, None, dtype)
    tolerance = 1e-13 if dtype == np.float64 else 3e-6
    for _ in range(4):
        free.plan.params[...] = held.plan.params
        free.steps_done = held.steps_done  # the same mask
        for model in (held, free):
            model.train(X, Y)
        for tensor, part in (("weights", HELD[name]), ("biases", bias)):
            got, step = getattr(held.layers[0], tensor), getattr(free.layers[0], tensor).astype(np.float64)
            assert_near(got, part.formula(step), tolerance, f"{name} of {tensor}")
            assert (got != step).any(), "the constraint has something to do"
        assert_same_bits(held.layers[2].weights, free.layers[2].weights)


def test_columns_within_the_bound_keep_every_bit(dtype: Any) -> None:
    held, free = make(MaxNorm(50.0), "max_norm", dtype), make(None, None, dtype)
    for model in (held, free):
        model.train(X, Y, epochs=4, batch_size=16)
    assert_same_bits(held.plan.params, free.plan.params)


def test_the_initial_weights_are_left_as_they_are() -> None:
    assert_same_bits(make(MaxNorm(1e-3)).plan.params, make(None).plan.params)


@pytest.mark.parametrize("accumulate", [1, 4])
def test_they_hold_after_every_step_of_every_kind_of_training(accumulate: int) -> None:
    norms = []

    class Watch(custom.Layer):
        def forward(self, x: Any) -> Any:
            norms.append(np.linalg.norm(model.layers[0].weights, axis=0).max())
            return x

        def backward(self, dy: Any) -> Any:
            return dy

    model = Model([Dense(9, weight_constraint=MaxNorm(0.7)), Watch(), Dense(3)], seed=1)
    model.set(loss="mse", optimizer=Adam(0.1))
    model.train(X, X[:, :3], epochs=3, batch_size=9, accumulate=accumulate)
    model.train_on_batch(X, X[:, :3])
    model.train_stream([(X, X[:, :3])], epochs=2)
    assert norms[0] > 0.7
    assert max(norms[accumulate:]) <= 0.7 * (1 + 1e-6)


def test_fit_many_and_files_go_on(tmp_path: Path) -> None:
    models = [make("max_norm", NonNeg(), seed=seed) for seed in range(3)]
    fit_many(models, X, Y, epochs=3, n_jobs=2)
    alone = make("max_norm", NonNeg(), seed=1)
    alone.fit(X, Y, epochs=1)
    alone.save(tmp_path / "m.fnn")
    again = Model.load(tmp_path / "m.fnn")
    assert repr(again.layers[0]) == repr(alone.layers[0])
    for model in (alone, again):
        model.fit(X, Y, epochs=2)
        assert_same_bits(model.plan.params, models[1].plan.params)


def test_a_frozen_layer_is_not_held() -> None:
    model = make(MaxNorm(1e-3))
    model.layers[0].trainable = False
    before = model.layers[0].weights.copy()
    model.train(X, Y, epochs=2)
    assert_same_bits(model.layers[0].weights, before)


class Rounded(custom.Constraint):
    """To so many places."""

    fail_at = -1
    calls = 0

    def __init__(self, places: int = 2) -> None:
        self.places = places

    def config(self) -> dict[str, Any]:
        return {"places": self.places}

    def formula(self, w: Array) -> Array:
        self.calls += 1
        if self.calls == self.fail_at:
            raise RuntimeError("enough")
        return np.round(w, self.places)


def test_one_in_python_takes_its_turn(tmp_path: Path) -> None:
    model = make(Rounded(1), optimizer=Adam(0.05))
    model.train(X, Y, epochs=3, batch_size=30)
    assert_same_bits(model.layers[0].weights, np.round(model.layers[0].weights, 1))
    model.save(tmp_path / "m.fnn")
    with pytest.raises(ValueError, match=r"unknown name 'Rounded'.*custom_objects"):
        Model.load(tmp_path / "m.fnn")
    again = Model.load(tmp_path / "m.fnn", custom_objects=[Rounded])
    resumed = make(Rounded(1), optimizer=Adam(0.05))
    for each in (model, again):
        each.train(X, Y, epochs=2, batch_size=30)
    resumed.train(X, Y, epochs=5, batch_size=30, resume=tmp_path / "m.fnn")
    assert_same_bits(again.plan.params, model.plan.params)
    assert_same_bits(resumed.plan.params, model.plan.params)


def test_where_one_in_python_fails_the_whole_step_is_undone() -> None:
    whole, broken = (make(Rounded(), optimizer=Adam(0.05)) for _ in range(2))
    broken.layers[0].weight_constraint.fail_at = 5
    with pytest.raises(RuntimeError, match="enough") as raised:
        broken.train(X, Y, epochs=3, batch_size=30)
    assert raised.value.__notes__ == ["in formula of the constraint Rounded"]
    assert broken.steps_done == 4
    broken.layers[0].weight_constraint.fail_at = -1
    whole.train(X, Y, epochs=1, batch_size=30)
    whole.train_on_batch(X[:30], Y[:30])
    assert_same_bits(broken.plan.params, whole.plan.params)
    for mine, theirs in zip(broken.plan.states, whole.plan.states, strict=True):
        assert_same_bits(mine, theirs)


SHORT_OF_MEMORY = """
import resource
import numpy as np
from fastnn import Dense, Model, custom
class Watch(custom.Constraint):
    def formula(self, b):
        seen.append(b.copy())
        if len(seen) == 2:  # at the end of the second step: from here on there is no room for another copy of all
            pages = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
            resource.setrlimit(resource.RLIMIT_AS, (pages + (8 << 20), resource.RLIM_INFINITY))
        return b
model, seen = Model([Dense(2048, 2048, bias_constraint=Watch())], dtype="float64", seed=1), []
model.set(loss="mse", optimizer="sgd")
X = np.ones((6, 2048))
try:
    model.train(X, X, epochs=1, batch_size=1)
except MemoryError as error:
    print("no memory:", len(seen), model.steps_done, (model.layers[0].biases == seen[-1]).all())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="limits memory, and looks how much is taken, as Linux does")
def test_no_step_is_taken_where_it_could_not_be_undone() -> None:
    assert python(SHORT_OF_MEMORY) == "no memory: 2 2 True"


def test_names_objects_and_what_is_refused() -> None:
    layer = Dense(3, weight_constraint="max_norm", bias_constraint=NonNeg)
    assert isinstance(layer.weight_constraint, MaxNorm)
    assert layer.weight_constraint.config() == {"max_value": 2.0, "axis": 0}
    assert isinstance(layer.bias_constraint, NonNeg)
    assert "weight_constraint" not in Dense(3).describe()  # files as they were
    assert constraints.UnitNorm is UnitNorm
    for error, message, call in (
        (ValueError, "constraint: unknown name 'maxnorm'.*'max_norm'", lambda: Dense(3, weight_constraint="maxnorm")),
        (TypeError, "constraint: expected a name or a Constraint, got int", lambda: Dense(3, bias_constraint=3)),
        (ValueError, "max_value: expected more than 0", lambda: MaxNorm(0.0)),
        (ValueError, "axis: expected 0, the weights into each neuron, or 1, .* got 2", lambda: MaxNorm(1.0, axis=2)),
        (ValueError, "axis: expected 0", lambda: UnitNorm(axis=None)),
    ):  # fmt: skip
        with pytest.raises(error, match=message):
            call()


def test_a_vector_of_biases_is_one_norm() -> None:
    model = make(None, MaxNorm(0.01), optimizer=SGD(1.0))
    model.train(X, Y, epochs=3)
    assert np.linalg.norm(model.layers[0].biases) == pytest.approx(0.01, rel=1e-5)
