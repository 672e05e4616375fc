"""Every registered schedule: its rates against its formula, in training, in files; what is refused."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from compare import assert_same_bits
from contract_models import SCHEDULES

from fastnn import Dense, FormatError, Model, _core, callbacks, custom, schedules
from fastnn.optimizers import SGD, Adam, Optimizer
from fastnn.schedules import CosineDecay, ExponentialDecay, InverseTime, OneCycle, Schedule, StepDecay, WarmUp

MORE = [
    StepDecay(0.5, 1),
    StepDecay(0.5, 3, 0.0),
    ExponentialDecay(2.0, 100, 1e-3),
    ExponentialDecay(1e-3, 7, 1.5),
    InverseTime(1.0),
    CosineDecay(0.1, 1),
    CosineDecay(0.1, 200),
    CosineDecay(0.1, 50, alpha=0.5, warmup_target=0.01, warmup_steps=1),
    OneCycle(1.0, 1),
    OneCycle(1.0, 10, pct_start=0.1),
    OneCycle(1.0, 10, pct_start=0.0),
    OneCycle(1.0, 300),
    WarmUp(0.3, 7),
    WarmUp(0.3, 1, 0.7),
    WarmUp(CosineDecay(0.1, 50, alpha=0.5), 20, 0.01),
    WarmUp(OneCycle(1.0, 30), 10),
]
ALL = [*SCHEDULES.values(), *MORE]
X = np.asarray(_core.random_normal(60 * 4, 5, 1)).reshape(60, 4)
Y = X[:, :1] * 2 - X[:, 1:2]


def make(rate: Any, decay: float = 0.0) -> Model:
    model = Model([Dense(8, activation="tanh"), Dense(1)], seed=3)
    model.set(loss="mean_squared_error", optimizer=SGD(rate, decay=decay))
    return model


def test_every_function_has_its_class_and_its_parameters() -> None:
    assert set(SCHEDULES) == set(_core.SCHEDULES) == set(Schedule.registry)
    for schedule in ALL:
        assert len(schedule.parameters()) == _core.SCHEDULE_PARAMETERS[schedule.names[0]]


@pytest.mark.parametrize("schedule", ALL, ids=repr)
def test_rates_follow_the_formula(schedule: Schedule) -> None:
    steps = [*range(400), 10**6, 2**40]
    got = np.array([schedule(t) for t in steps])
    with np.errstate(all="ignore"):
        want = np.array([schedule.formula(t) if t < 400 or schedule.names[0] != "exponential_decay" else np.nan
                         for t in steps])  # fmt: skip
    known = ~np.isnan(want)
    scale = want[:400].max()
    np.testing.assert_allclose(got[known], want[known], rtol=1e-13, atol=1e-15 * scale)
    assert (got >= 0).all()


def test_rates_at_the_ends_are_exact() -> None:
    cosine = CosineDecay(0.125, 10, alpha=0.25, warmup_target=0.5, warmup_steps=4)
    assert [cosine(t) for t in (0, 2, 4, 14, 15, 10**9)] == [0.125, 0.3125, 0.5, 0.125, 0.125, 0.125]
    cycle = OneCycle(1.0, 11, pct_start=3 / 11, div_factor=16, final_div_factor=4)
    assert [cycle(t) for t in (0, 2, 10, 11, 99)] == [1 / 16, 1.0, 1 / 64, 1 / 64, 1 / 64]
    assert [StepDecay(1.0, 3, 0.5)(t) for t in range(7)] == [1, 1, 1, 0.5, 0.5, 0.5, 0.25]
    assert ExponentialDecay(0.7, 5, 1.0)(123) == 0.7


@pytest.mark.parametrize("name", sorted(SCHEDULES))
def test_a_training_takes_the_rate_of_each_step_and_shows_it(name: str) -> None:
    schedule, seen = SCHEDULES[name], []
    model = make(schedule)
    note = callbacks.LambdaCallback(on_batch_end=lambda batch, logs: seen.append(logs["learning_rate"]))
    model.train(X, Y, epochs=5, batch_size=16, callbacks=[note])
    assert seen == [schedule(t) for t in range(20)]
    assert model.history["learning_rate"] == [schedule(t) for t in (3, 7, 11, 15, 19)]
    by_hand = make(1.0)
    for t in range(20):
        by_hand.optimizer_object.learning_rate = schedule(t)
        at = 16 * (t % 4)
        by_hand.train_on_batch(X[at : at + 16], Y[at : at + 16])
    assert_same_bits(model.plan.params, by_hand.plan.params)


def test_inverse_time_is_the_decay_to_the_bit() -> None:
    one, two = make(InverseTime(0.3, decay_rate=0.37)), make(0.3, decay=0.37)
    for model in (one, two):
        model.train(X, Y, epochs=5, batch_size=16)
    assert one.history["learning_rate"] == two.history["learning_rate"]
    assert_same_bits(one.plan.params, two.plan.params)


@pytest.mark.parametrize("name", sorted(SCHEDULES))
def test_a_saved_training_goes_on_along_its_schedule(name: str, tmp_path: Path) -> None:
    whole, half = make(SCHEDULES[name]), make(SCHEDULES[name])
    whole.train(X, Y, epochs=6, batch_size=16)
    half.train(X, Y, epochs=3, batch_size=16)
    half.save(tmp_path / "half.fnn")
    again = Model.load(tmp_path / "half.fnn")
    assert repr(again.optimizer_object) == repr(half.optimizer_object)
    again.train(X, Y, epochs=3, batch_size=16)
    assert_same_bits(again.plan.params, whole.plan.params)
    assert again.history["learning_rate"] == whole.history["learning_rate"]


@pytest.mark.parametrize("schedule", ALL, ids=repr)
def test_a_schedule_comes_back_from_its_description(schedule: Schedule) -> None:
    again = Schedule.from_description(schedule.describe())
    assert type(again) is type(schedule)
    assert again.describe() == schedule.describe()
    optimizer = Adam(schedule)
    back = Optimizer.from_description(optimizer.describe())
    assert back.rate == optimizer.rate == (schedule.names[0], schedule.parameters())


def test_callbacks_may_put_numbers_and_schedules_in_its_place() -> None:
    model = make(StepDecay(0.1, 4, 0.5))

    def change(epoch: int, logs: Any) -> None:
        if epoch == 1:
            model.optimizer_object.learning_rate = 0.0625
        if epoch == 2:
            model.optimizer_object.learning_rate = InverseTime(0.5, 12, 1.0)

    model.train(X, Y, epochs=4, batch_size=15, callbacks=[callbacks.LambdaCallback(on_epoch_begin=change)])
    assert model.history["learning_rate"] == [0.1, 0.0625, 0.5 / (1 + 11 / 12), 0.5 / (1 + 15 / 12)]
    with pytest.raises(
        TypeError, match="ReduceLROnPlateau: expected an optimizer with a number as learning_rate, got Inv"
    ):
        model.train(X, Y, epochs=9, callbacks=[callbacks.ReduceLROnPlateau("loss", patience=1, min_delta=9.0)])


def test_what_is_refused() -> None:
    with pytest.raises(ValueError, match=r"decay: expected 0 where learning_rate is a schedule, got 0\.5"):
        Adam(StepDecay(0.1, 4), decay=0.5)
    with pytest.raises(ValueError, match="decay_steps: expected"):
        StepDecay(0.1, 0)
    with pytest.raises(ValueError, match="initial_learning_rate: expected at least 0, got -1"):
        InverseTime(-1)
    with pytest.raises(ValueError, match="decay_rate: expected"):
        ExponentialDecay(0.1, 5, 0.0)
    with pytest.raises(ValueError, match="warmup_steps: expected with warmup_target"):
        CosineDecay(0.1, 5, warmup_steps=3)
    with pytest.raises(ValueError, match="warmup_steps: expected with warmup_target"):
        CosineDecay(0.1, 5, warmup_target=3)
    with pytest.raises(ValueError, match="pct_start: expected at least 0 and below 1, got 1"):
        OneCycle(0.1, 5, pct_start=1)
    with pytest.raises(TypeError, match="total_steps: expected a whole number"):
        OneCycle(0.1, 5.0)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="learning_rate: expected a number"):
        Adam("cosine_decay")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="step: expected"):
        StepDecay(0.1, 4)(-1)
    with pytest.raises(ValueError, match="parameters: step_decay expected 3, got 1"):
        _core.learning_rate_at("step_decay", (1.0,), 0)
    assert schedules.Schedule is Schedule


def test_what_a_warm_up_refuses() -> None:
    with pytest.raises(TypeError, match="expected a number or one of the other schedules"):
        WarmUp(WarmUp(0.1, 2), 3)
    with pytest.raises(ValueError, match="warmup_steps"):
        WarmUp(0.1, 0)
    with pytest.raises(ValueError, match="learning_rate"):
        WarmUp(-0.1, 2)


@pytest.mark.parametrize("inner", [0.25, StepDecay(0.5, 2, 0.5)])
def test_a_warm_up_survives_a_file(inner: Any, tmp_path: Path) -> None:
    model = make(WarmUp(inner, 4, 0.125))
    model.train(X, Y, epochs=1, batch_size=30)
    model.save(tmp_path / "m.fnn")
    back = Model.load(tmp_path / "m.fnn").optimizer_object.learning_rate
    assert isinstance(back, WarmUp)
    assert repr(back) == repr(model.optimizer_object.learning_rate)
    assert [back(t) for t in range(9)] == [WarmUp(inner, 4, 0.125)(t) for t in range(9)]


class Root(custom.Schedule):
    def __init__(self, first: float) -> None:
        self.first = first

    def config(self) -> dict[str, Any]:
        return {"first": self.first}

    def formula(self, t: int) -> float:
        return float(self.first / (1 + t) ** 0.5)


def test_a_schedule_of_ones_own_trains_beside_the_native_ones(tmp_path: Path) -> None:
    model, by_hand = make(Root(0.1)), make(1.0)
    model.train(X, Y, epochs=3, batch_size=20)
    for t in range(9):
        by_hand.optimizer_object.learning_rate = 0.1 / (1 + t) ** 0.5
        by_hand.train_on_batch(X[t % 3 * 20 :][:20], Y[t % 3 * 20 :][:20])
    assert_same_bits(model.plan.params, by_hand.plan.params)
    assert model.history["learning_rate"] == [0.1 / (1 + t) ** 0.5 for t in (2, 5, 8)]
    model.save(tmp_path / "m.fnn")
    back = Model.load(tmp_path / "m.fnn", custom_objects=[Root])
    for m in (model, back, pickle.loads(pickle.dumps(model))):
        m.train(X, Y, epochs=1, batch_size=20)
        assert m.history["learning_rate"][-1] == 0.1 / 12**0.5
    assert_same_bits(model.plan.params, back.plan.params)
    with pytest.raises(FormatError, match=r"Root.*custom_objects"):
        Model.load(tmp_path / "m.fnn")


@pytest.mark.parametrize("bad", [-1.0, float("nan"), "high", None])
def test_a_schedule_that_gives_no_rate_stops_before_the_step(bad: Any) -> None:
    class Late(custom.Schedule):
        def formula(self, t: int) -> Any:
            return 0.1 if t < 4 else bad

    model, same = make(Late()), make(0.1)
    with pytest.raises((TypeError, ValueError), match=r"formula\(4\)") as caught:
        model.train(X, Y, epochs=3, batch_size=20)
    assert "in formula of the schedule Late" in caught.value.__notes__
    same.train(X, Y, epochs=1, batch_size=20)
    same.train_on_batch(X[:20], Y[:20])
    assert_same_bits(model.plan.params, same.plan.params)
    assert model.steps_done == 4


def test_a_curve_that_the_engine_would_not_follow_is_refused() -> None:
    class Bent(CosineDecay):
        names = ()

        def formula(self, t: int) -> float:
            return 1.0

    class Own(Schedule):
        def __call__(self, step: int) -> float:
            return 0.1

    for given in (Bent(0.1, 10), Own()):
        with pytest.raises(TypeError, match=r"learning_rate: .* derive it from fastnn.custom.Schedule"):
            SGD(given)
    with pytest.raises(TypeError, match=r"a function of the step is the formula of a fastnn.custom.Schedule"):
        SGD(lambda t: 0.1)  # type: ignore[arg-type]

    class Mine(CosineDecay):  # the same curve
        def __init__(self) -> None:
            super().__init__(0.1, 10)

    assert SGD(Mine()).rate == SGD(CosineDecay(0.1, 10)).rate
