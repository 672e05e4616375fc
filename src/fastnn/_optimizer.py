"""What every optimizer has: a learning rate, bounds of the gradient, a running average of the weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias, TypedDict, Unpack

import numpy as np

from fastnn._checks import number, whole
from fastnn._core import OPTIMIZER_STATES, OPTIMIZERS
from fastnn.schedules import TINY, HasRate, Schedule

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array: TypeAlias = NDArray[np.float64]

    class Averaging(TypedDict, total=False):
        """The running average of the weights that every optimizer can keep."""

        use_ema: bool
        ema_momentum: float
        ema_overwrite_frequency: int | None

    class Options(Averaging, total=False):
        """What every optimizer that takes the gradient as it comes takes besides: bounds of it, and the average."""

        clip_value: float | None
        clip_tensor_norm: float | None
        clip_norm: float | None


def yes_or_no(name: str, value: bool) -> bool:
    """``value``, TypeError where it is not True or False."""
    if not isinstance(value, bool):
        raise TypeError(f"{name}: expected True or False, got {value!r}")
    return value


def need_one(rate: float | Schedule, decay: float) -> None:
    """ValueError where both say how the learning rate falls."""
    if decay and isinstance(rate, Schedule):
        raise ValueError(f"decay: expected 0 where learning_rate is a schedule, got {decay!r}")


BOUNDS = ("clip_value", "clip_tensor_norm", "clip_norm")
AVERAGING = {"use_ema": False, "ema_momentum": 0.99, "ema_overwrite_frequency": None}


class Optimizer(HasRate):
    """Turns gradients into steps.

    learning_rate: a number, or a schedule, with which decay is 0. It may be changed between calls of train, and by
    callbacks.

    clip_value: each element of the gradient is brought into [-clip_value, clip_value]. clip_tensor_norm: where the norm
    of the gradient by one tensor (the weights of a layer, its biases) is larger, that is scaled down to it. clip_norm:
    the same for the norm over all parameters. In this order; None: not at all.

    use_ema: keep a running average a of the weights w, after each step a = ema_momentum a + (1 - ema_momentum) w, from
    a = w after the first (Polyak and Juditsky 1992, in Keras's form); ``Model.averaged_weights`` puts it to use.
    ema_overwrite_frequency: steps after which the average takes the weights' place, again and again; None: never.
    """

    kind = "optimizer"
    kernels: ClassVar[tuple[str, ...]] = ()
    keeps_squares: ClassVar[bool] = False  # of gradients, in the last of its arrays
    clip_value: float | None = None
    clip_tensor_norm: float | None = None
    clip_norm: float | None = None
    use_ema: bool = False
    ema_momentum: float = 0.99
    ema_overwrite_frequency: int | None = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for kernel in cls.kernels:
            if kernel not in OPTIMIZERS:
                raise ImportError(f"{cls.__name__}: add O({kernel}, ...) to csrc/registry.h and build again")

    def __init__(self, learning_rate: float | Schedule, decay: float, **options: Unpack[Options]) -> None:
        self._decay = 0.0
        self.learning_rate = learning_rate
        self.decay = decay
        unknown = set(options) - {*BOUNDS, *AVERAGING}
        if unknown:
            raise TypeError(f"{type(self).__name__}() got an unexpected keyword argument {sorted(unknown)[0]!r}")
        for name in BOUNDS:
            bound = options.get(name)
            setattr(self, name, None if bound is None else number(name, bound, TINY))
        self.use_ema = yes_or_no("use_ema", options.get("use_ema", False))
        self.ema_momentum = number("ema_momentum", options.get("ema_momentum", 0.99), 0.0, 1.0)
        every = options.get("ema_overwrite_frequency")
        self.ema_overwrite_frequency = None if every is None else whole("ema_overwrite_frequency", every, 1)
        if every is not None and not self.use_ema:
            raise ValueError("ema_overwrite_frequency: expected use_ema=True with it")

    @property
    def learning_rate(self) -> float | Schedule:
        return self._learning_rate

    @learning_rate.setter
    def learning_rate(self, value: float | Schedule) -> None:
        if isinstance(value, Schedule):
            value.lower()  # raises here, not in the training
        elif callable(value):
            raise TypeError(
                f"learning_rate: expected a number or a schedule, got {value!r:.80}; a function of the step is the "
                f"formula of a fastnn.custom.Schedule"
            )
        else:
            value = number("learning_rate", value, 0.0)
        need_one(value, self._decay)
        self._learning_rate = value

    @property
    def decay(self) -> float:
        return self._decay

    @decay.setter
    def decay(self, value: float) -> None:
        decay = number("decay", value, 0.0)
        need_one(self._learning_rate, decay)
        self._decay = decay

    @property
    def kernel(self) -> str:
        """Name of the kernel in csrc/registry.h."""
        return self.kernels[0]

    @property
    def state_count(self) -> int:
        """Arrays of state beside the parameters."""
        return int(OPTIMIZER_STATES[self.kernel])

    @property
    def rate(self) -> float | tuple[str, Any]:
        """The learning rate as the engine takes it: a number, or the name and the parameters of a schedule, or "python"
        and one written in Python."""
        rate = self.learning_rate
        return rate.lower() if isinstance(rate, Schedule) else rate

    def parameters(self) -> tuple[float, ...]:
        """The kernel's parameters, in its order."""
        return ()

    def config(self) -> dict[str, Any]:
        usual: dict[str, Any] = {**dict.fromkeys(BOUNDS), **AVERAGING}
        set_options = {name: getattr(self, name) for name, value in usual.items() if getattr(self, name) != value}
        return {"learning_rate": self.learning_rate, "decay": self.decay, **set_options}

    def formula(self, w: Array, g: Array, states: list[Array], t: int, lr: float) -> Array:
        """One step in float64 NumPy: the new w; ``states`` change in place. t counts from 1."""
        raise NotImplementedError
