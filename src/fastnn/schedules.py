"""Learning rates by the number of the step, given as the ``learning_rate=`` of an optimizer.

Each class names its function in csrc/schedules.c, gives that function's parameters in order, and carries the formula in
plain Python, which is the oracle of the tests. Steps count from 0 over all that the model was trained, so that a model
that is saved and loaded goes on where it was; past its end a schedule keeps its last rate.
"""

from __future__ import annotations

import math
import sys
from typing import Any, Self

from fastnn._checks import number, whole
from fastnn._core import SCHEDULES, learning_rate_at
from fastnn.base import Registered

TINY = sys.float_info.min  # of divisors, and of factors that have a logarithm


class Schedule(Registered):
    """The learning rate of each step. ``schedule(step)`` gives it, from step 0 on. One of your own is a subclass of
    ``fastnn.custom.Schedule``."""

    kind = "schedule"

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if cls.names and cls.names[0] not in SCHEDULES:
            raise ImportError(f"{cls.__name__}: add R({cls.names[0]}, ...) to csrc/registry.h and build again")

    def __call__(self, step: int) -> float:
        return learning_rate_at(self.names[0], self.parameters(), whole("step", step, 0))

    def parameters(self) -> tuple[float, ...]:
        """The function's parameters, in its order."""
        raise NotImplementedError

    def lower(self) -> tuple[str, Any]:
        """(name, parameters) as the engine takes it. TypeError for a subclass with a curve of its own, which the engine
        would not follow."""
        native = type(self).registry.get(self.names[0]) if self.names else None
        if native is None or any(getattr(type(self), f) is not getattr(native, f) for f in ("formula", "__call__")):
            raise TypeError(
                f"learning_rate: {type(self).__name__} has a formula of its own: derive it from fastnn.custom.Schedule"
            )
        return self.names[0], self.parameters()

    def formula(self, t: int) -> float:
        """The rate of step t = 0, 1, ... by Python's own functions."""
        raise NotImplementedError


class HasRate(Registered):
    """What has a learning_rate, a number or a schedule: in a description of it the schedule is described too."""

    def describe(self) -> dict[str, Any]:
        return {key: v.describe() if isinstance(v, Schedule) else v for key, v in super().describe().items()}

    @classmethod
    def rebuild(cls, **config: Any) -> Self:
        rate = config.get("learning_rate")
        if isinstance(rate, dict):
            config["learning_rate"] = Schedule.from_description(rate)
        return super().rebuild(**config)


class _Decay(Schedule):
    """initial_learning_rate, and by how much (decay_rate) it goes down in decay_steps."""

    lowest = 0.0

    def __init__(self, initial_learning_rate: float, decay_steps: int, decay_rate: float) -> None:
        self.initial_learning_rate = number("initial_learning_rate", initial_learning_rate, 0.0)
        self.decay_steps = whole("decay_steps", decay_steps, 1)
        self.decay_rate = number("decay_rate", decay_rate, self.lowest)

    def parameters(self) -> tuple[float, ...]:
        return (self.initial_learning_rate, float(self.decay_steps), self.decay_rate)

    def config(self) -> dict[str, Any]:
        return {
            "initial_learning_rate": self.initial_learning_rate,
            "decay_steps": self.decay_steps,
            "decay_rate": self.decay_rate,
        }


class StepDecay(_Decay):
    """initial decay_rate^floor(t / decay_steps): times decay_rate every decay_steps steps."""

    names = ("step_decay",)

    def __init__(self, initial_learning_rate: float, decay_steps: int, decay_rate: float = 0.1) -> None:
        super().__init__(initial_learning_rate, decay_steps, decay_rate)

    def formula(self, t: int) -> float:
        return float(self.initial_learning_rate * self.decay_rate ** (t // self.decay_steps))


class ExponentialDecay(_Decay):
    """initial decay_rate^(t / decay_steps): the same, a little at every step."""

    names = ("exponential_decay",)
    lowest = TINY

    def formula(self, t: int) -> float:
        return float(self.initial_learning_rate * self.decay_rate ** (t / self.decay_steps))


class InverseTime(_Decay):
    """initial / (1 + decay_rate t / decay_steps); with decay_steps=1 the book's decay (chapter 10)."""

    names = ("inverse_time",)

    def __init__(self, initial_learning_rate: float, decay_steps: int = 1, decay_rate: float = 0.0) -> None:
        super().__init__(initial_learning_rate, decay_steps, decay_rate)

    def formula(self, t: int) -> float:
        return self.initial_learning_rate / (1.0 + self.decay_rate * t / self.decay_steps)


class CosineDecay(Schedule):
    """Down along half a cosine from the initial rate to alpha times it, in decay_steps.

    warmup_target: from the initial rate up to this one in a straight line first, in warmup_steps; the cosine starts
    there. Names and meaning are Keras's. Source: Loshchilov and Hutter 2017, without restarts.
    """

    names = ("cosine_decay",)

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: int,
        alpha: float = 0.0,
        warmup_target: float | None = None,
        warmup_steps: int = 0,
    ) -> None:
        self.initial_learning_rate = number("initial_learning_rate", initial_learning_rate, 0.0)
        self.decay_steps = whole("decay_steps", decay_steps, 1)
        self.alpha = number("alpha", alpha, 0.0)
        self.warmup_target = None if warmup_target is None else number("warmup_target", warmup_target, 0.0)
        self.warmup_steps = whole("warmup_steps", warmup_steps, 0)
        if (warmup_target is None) != (self.warmup_steps == 0):
            raise ValueError("warmup_steps: expected with warmup_target, at least 1, and without it 0")

    def parameters(self) -> tuple[float, ...]:
        top = self.initial_learning_rate if self.warmup_target is None else self.warmup_target
        return (self.initial_learning_rate, float(self.decay_steps), self.alpha, top, float(self.warmup_steps))

    def config(self) -> dict[str, Any]:
        return {
            "initial_learning_rate": self.initial_learning_rate,
            "decay_steps": self.decay_steps,
            "alpha": self.alpha,
            "warmup_target": self.warmup_target,
            "warmup_steps": self.warmup_steps,
        }

    def formula(self, t: int) -> float:
        first, steps, alpha, top, warmup = self.parameters()
        if t < warmup:
            return first + (top - first) * t / warmup
        share = min((t - warmup) / steps, 1.0)
        return top * ((1 - alpha) * 0.5 * (1 + math.cos(math.pi * share)) + alpha)


class WarmUp(HasRate, Schedule):
    """In a straight line from initial_learning_rate up to what learning_rate, a number or another schedule, begins
    with, in warmup_steps; then that, from its own step 0 on. Source: Goyal et al., Accurate, large minibatch SGD, 2017.
    """

    names = ("warm_up",)
    MOST = 5  # parameters of the other

    def __init__(self, learning_rate: float | Schedule, warmup_steps: int, initial_learning_rate: float = 0.0) -> None:
        if isinstance(learning_rate, Schedule):
            if learning_rate.lower()[0] not in SCHEDULES.keys() - set(self.names):
                raise TypeError(
                    f"learning_rate: expected a number or one of the other schedules, got {learning_rate!r}"
                )
            self.learning_rate: float | Schedule = learning_rate
        else:
            self.learning_rate = number("learning_rate", learning_rate, 0.0)
        self.warmup_steps = whole("warmup_steps", warmup_steps, 1)
        self.initial_learning_rate = number("initial_learning_rate", initial_learning_rate, 0.0)

    def parameters(self) -> tuple[float, ...]:
        inner = self.learning_rate
        if isinstance(inner, Schedule):
            which, more = SCHEDULES[inner.names[0]], inner.parameters()
        else:
            which, more = -1, (inner,)
        rest = [0.0] * (self.MOST - len(more))
        return (float(self.warmup_steps), self.initial_learning_rate, float(which), *more, *rest)

    def config(self) -> dict[str, Any]:
        return {
            "learning_rate": self.learning_rate,
            "warmup_steps": self.warmup_steps,
            "initial_learning_rate": self.initial_learning_rate,
        }

    @classmethod
    def rebuild(cls, **config: Any) -> Self:
        rate = config.get("learning_rate")
        if isinstance(rate, dict) and rate.get("name") in cls.names:  # a file may hold them in one another without end
            raise ValueError("learning_rate: expected a number or one of the other schedules")
        return super().rebuild(**config)

    def formula(self, t: int) -> float:
        def inner(step: int) -> float:
            rate = self.learning_rate
            return rate.formula(step) if isinstance(rate, Schedule) else rate

        if t < self.warmup_steps:
            share = t / self.warmup_steps
            return self.initial_learning_rate + (inner(0) - self.initial_learning_rate) * share
        return inner(t - self.warmup_steps)


class OneCycle(Schedule):
    """Up from max / div_factor to max_learning_rate in the first pct_start of total_steps, then down to the first rate
    / final_div_factor, both along half a cosine.

    Names and meaning are PyTorch's OneCycleLR. Source: Smith and Topin 2018.
    """

    names = ("one_cycle",)

    def __init__(
        self,
        max_learning_rate: float,
        total_steps: int,
        pct_start: float = 0.3,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
    ) -> None:
        self.max_learning_rate = number("max_learning_rate", max_learning_rate, 0.0)
        self.total_steps = whole("total_steps", total_steps, 1)
        self.pct_start = number("pct_start", pct_start, 0.0, 1.0)
        self.div_factor = number("div_factor", div_factor, TINY)
        self.final_div_factor = number("final_div_factor", final_div_factor, TINY)

    def parameters(self) -> tuple[float, ...]:
        shape = (self.pct_start, self.div_factor, self.final_div_factor)
        return (self.max_learning_rate, float(self.total_steps), *shape)

    def config(self) -> dict[str, Any]:
        return {
            "max_learning_rate": self.max_learning_rate,
            "total_steps": self.total_steps,
            "pct_start": self.pct_start,
            "div_factor": self.div_factor,
            "final_div_factor": self.final_div_factor,
        }

    def formula(self, t: int) -> float:
        first = self.max_learning_rate / self.div_factor
        end = first / self.final_div_factor
        turn, last = self.pct_start * self.total_steps - 1, self.total_steps - 1
        if turn > 0 and t <= turn:
            a, b, share = first, self.max_learning_rate, t / turn
        elif t < last:
            a, b, share = self.max_learning_rate, end, (t - turn) / (last - turn)
        else:
            return end
        return b + (a - b) / 2 * (1 + math.cos(math.pi * share))
