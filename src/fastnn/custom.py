"""Parts of your own in Python and NumPy: layers, activations, losses and optimizers that train beside the native ones.

The engine hands each its turn, with arrays of its own; everything else of the network stays native. A model with such
parts is saved as any other and loaded with ``Model.load(path, custom_objects=[...])``. ``fastnn.check_gradients`` says
whether a derivative is right.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Unpack

import numpy as np

from fastnn import base, constraints, losses, optimizers, schedules
from fastnn._checks import number, whole
from fastnn.engine.spec import ConstraintSpec, PythonSpec
from fastnn.layers._parameters import assign

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from fastnn._optimizer import Options
    from fastnn.engine.plan import Plan
    from fastnn.engine.spec import Spec


def _name(cls: type[Any]) -> None:
    """A part goes by the name of its class, in no registry: files that hold it are loaded with it in hand."""
    if "names" not in cls.__dict__:
        cls.names = (cls.__name__,)


class Layer(base.Layer):
    """A layer written in Python. Write ``forward`` and ``backward``, and ``build`` where it has parameters.

    class Scale(custom.Layer):
        def build(self, n_in):
            return {"weights": self.rng.normal(1, 0.1, (1, n_in))}

        def forward(self, x):
            self.x = x
            return x * self.weights

        def backward(self, dy):
            return dy * self.weights, {"weights": (dy * self.x).sum(axis=0, keepdims=True)}

    x (rows, n_in), of the model's type; forward gives y (rows, n_out), backward takes the loss's gradient by y and
    gives that by x; with parameters, a pair of that and their gradients by name. ``self.training`` says whether forward
    is of a training step; backward may follow in either case, as in ``Model.input_gradient``. The parameters are
    attributes, live views as those of ``Dense``: assigning copies. ``self.rng``, there for ``build`` alone, draws by
    the model's seed and the layer's number. A layer that changes the width says so in ``width(n_in)``. What the
    constructor was given belongs into ``config()``, for files.
    """

    training = False
    rng: np.random.Generator
    _seed = 0

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.fixed = frozenset()  # its own methods look at what they need each time
        _name(cls)

    def build(self, n_in: int) -> dict[str, ArrayLike]:
        """The initial parameters by name, each of two dimensions."""
        return {}

    def forward(self, x: NDArray[Any]) -> NDArray[Any]:
        """y (rows, n_out) for x (rows, n_in)."""
        raise NotImplementedError(f"{type(self).__name__}: write forward(self, x)")

    def backward(self, dy: NDArray[Any]) -> Any:
        """dx (rows, n_in) for dy (rows, n_out), with parameters a pair (dx, {name: gradient})."""
        raise NotImplementedError(f"{type(self).__name__}: write backward(self, dy)")

    def draws_by(self, seed: int) -> None:
        self._seed = seed

    def lower(self, index: int, n_in: int) -> list[Spec]:
        lent = "rng" not in self.__dict__  # it may have one of its own
        if lent:
            self.rng = np.random.default_rng((self._seed, index))
        try:
            self._built = {name: np.asarray(value) for name, value in self.build(n_in).items()}
        finally:
            if lent:
                del self.rng
        for name, value in self._built.items():
            if value.ndim != 2 or value.dtype.kind not in "fiu":
                raise ValueError(
                    f"layer {index} ({type(self).__name__}): build: expected {name} of two dimensions and real "
                    f"numbers, got {value.dtype} of shape {value.shape}"
                )
        tensors = tuple((name, value.shape) for name, value in self._built.items())
        return [PythonSpec(index, n_in, self.width(n_in), self, tensors)]

    def __setattr__(self, name: str, value: Any) -> None:
        if self._plan is not None and name in self._built and value is not self.__dict__.get(name):
            assign(self, name, value)  # as of a Dense: the array itself is what the optimizer moves and a file holds
        else:
            super().__setattr__(name, value)

    def bind(self, plan: Plan, index: int, n_in: int) -> None:
        super().bind(plan, index, n_in)
        for name in self._built:
            self.__dict__[name] = plan.view(plan.params, index, name)

    def unbind(self) -> None:
        super().unbind()
        for name in self.__dict__.pop("_built", {}):
            self.__dict__.pop(name, None)

    def initialize(self, seed: int) -> None:
        for name, value in self._built.items():
            getattr(self, name)[...] = value

    @property
    def parameter_count(self) -> int:
        return 0 if self._plan is None else sum(value.size for value in self._built.values())


class Activation(Layer):
    """An activation written in Python: ``formula(x)`` and ``derivative(x)``, both elementwise.

    class Cube(custom.Activation):
        def formula(self, x):
            return x**3

        def derivative(self, x):
            return 3 * x**2
    """

    def formula(self, x: NDArray[Any]) -> NDArray[Any]:
        """f(x), elementwise."""
        raise NotImplementedError(f"{type(self).__name__}: write formula(self, x)")

    def derivative(self, x: NDArray[Any]) -> NDArray[Any]:
        """f'(x), elementwise."""
        raise NotImplementedError(f"{type(self).__name__}: write derivative(self, x)")

    def forward(self, x: NDArray[Any]) -> NDArray[Any]:
        self._x = x
        return self.formula(x)

    def backward(self, dy: NDArray[Any]) -> Any:
        return dy * self.derivative(self._x)


class Loss(losses.Loss):
    """A loss written in Python: ``formula(p, t)``, the loss of each row, and ``derivative(p, t)``, by each prediction.

    class Cauchy(custom.Loss):
        def formula(self, p, t):
            return np.log1p((p - t) ** 2).mean(axis=1)

        def derivative(self, p, t):
            return 2 * (p - t) / (1 + (p - t) ** 2) / p.shape[1]

    p (rows, n) and t (rows, n) are float64; with ``labels = True`` the targets are class labels, t (rows,) of integers.
    accuracy: the name of the one that goes with it, None for none; "regression", or "categorical" for labels, unless
    said otherwise.
    """

    kernel = "python"
    labels: ClassVar[bool] = False
    accuracy: ClassVar[str | None] = "regression"  # type: ignore[assignment]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if cls.labels and cls.accuracy == "regression" and "accuracy" not in cls.__dict__:
            cls.accuracy = "categorical"
        _name(cls)

    @property
    def takes_labels(self) -> bool:
        return self.labels

    def formula(self, p: NDArray[np.float64], t: NDArray[Any]) -> NDArray[np.float64]:
        """The loss of each row (rows,)."""
        raise NotImplementedError(f"{type(self).__name__}: write formula(self, p, t)")

    def derivative(self, p: NDArray[np.float64], t: NDArray[Any]) -> NDArray[np.float64]:
        """The derivative (rows, n) of each row's loss by its predictions."""
        raise NotImplementedError(f"{type(self).__name__}: write derivative(self, p, t)")


class Constraint(constraints.Constraint):
    """A constraint written in Python: ``formula(w)`` gives the tensor (rows, cols) held to it. For ``Dense``.

    class Rounded(custom.Constraint):
        def formula(self, w):
            return np.round(w, 2)
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        _name(cls)

    def formula(self, w: NDArray[Any]) -> NDArray[Any]:
        """The new w."""
        raise NotImplementedError(f"{type(self).__name__}: write formula(self, w)")

    def lower(self, layer: int, name: str) -> ConstraintSpec:
        return ConstraintSpec(layer, name, "python", part=self)


class Schedule(schedules.Schedule):
    """A learning rate written in Python: ``formula(t)`` gives that of step t = 0, 1, ..., at least 0.

    class Root(custom.Schedule):
        def __init__(self, first):
            self.first = first

        def config(self):
            return {"first": self.first}

        def formula(self, t):
            return self.first / (1 + t) ** 0.5
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super(schedules.Schedule, cls).__init_subclass__(**kwargs)  # not among those that the engine has
        _name(cls)

    def lower(self) -> tuple[str, Any]:
        return "python", self

    def __call__(self, step: int) -> float:
        rate = self.formula(whole("step", step, 0))
        return number(f"{type(self).__name__}: formula({step})", rate, 0.0)


class Optimizer(optimizers.Optimizer):
    """An optimizer written in Python: ``formula(w, g, states, t, lr)`` gives the new parameters.

    class SignSGD(custom.Optimizer):
        state_count = 1

        def formula(self, w, g, states, t, lr):
            states[0][:] = 0.9 * states[0] + 0.1 * g
            return w - lr * np.sign(states[0])

    w and g are all parameters and their gradients in one flat array of the model's type, padded with zeros (with layers
    that are or were frozen or have their own learning rate, those that lie together, one call for each such piece);
    states are ``state_count`` arrays of the same length, zero at the start, changed in place; t counts the steps that
    the parameters took part in from 1; lr is learning_rate / (1 + decay (t - 1)), with t of the whole model, or a
    schedule's. They are saved with the model.
    """

    state_count: ClassVar[int] = 0

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        _name(cls)

    def __init__(
        self, learning_rate: float | schedules.Schedule = 0.01, decay: float = 0.0, **options: Unpack[Options]
    ) -> None:
        super().__init__(learning_rate, decay, **options)

    @property
    def kernel(self) -> str:
        return "python"
