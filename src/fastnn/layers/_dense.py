from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from fastnn.activations import Activation
from fastnn.base import Layer
from fastnn.constraints import Constraint
from fastnn.engine.spec import STREAM_WEIGHTS, DenseSpec, trained_tensors
from fastnn.initializers import Initializer
from fastnn.layers._parameters import Tensor
from fastnn.layers._sizes import positive

if TYPE_CHECKING:
    from fastnn import custom
    from fastnn.engine.plan import Plan
    from fastnn.engine.spec import Spec


class Dense(Layer):
    """y = f(x.weights + biases): every output sees every input. The book, chapters 2, 3 and 9.

    ``Dense(n_inputs, n_neurons)`` states both sizes; ``Dense(n_neurons)``, a single number, takes its inputs from the
    layer before.
    Shapes: x (rows, n_inputs), weights (n_inputs, n_neurons), biases (1, n_neurons), y (rows, n_neurons).

    activation: a name or an ``Activation``, linear by default, or a ``fastnn.custom.Activation``, written in Python, of
    which the layer takes a copy, so that one object serves several layers, as a built-in one does.
    weight_initializer: ``he_normal`` by default; ``"book"`` is the book's 0.01 * normal. Biases start at zero. The
    regularizers add l1 * sum |w| + l2 * sum w^2 to the loss. The constraints, of ``fastnn.constraints``, by name or as
    objects, hold after each step. trainable and learning_rate_multiplier: as ``Layer`` has them.
    """

    names = ("Dense",)
    holds = ("activation",)

    def __init__(
        self,
        n_inputs: int | None = None,
        n_neurons: int | None = None,
        *,
        activation: str | Activation | custom.Activation | type[Layer] = "linear",
        weight_regularizer_l1: float = 0.0,
        weight_regularizer_l2: float = 0.0,
        bias_regularizer_l1: float = 0.0,
        bias_regularizer_l2: float = 0.0,
        weight_initializer: str | Initializer | type[Initializer] = "he_normal",
        weight_constraint: str | Constraint | type[Constraint] | None = None,
        bias_constraint: str | Constraint | type[Constraint] | None = None,
        trainable: bool = True,
        learning_rate_multiplier: float = 1.0,
    ) -> None:
        if n_neurons is None:  # a single number is the neurons
            n_inputs, n_neurons = None, n_inputs
        self.n_inputs = None if n_inputs is None else positive("n_inputs", n_inputs)
        self.n_neurons = positive("n_neurons", n_neurons)
        self.activation = _activation(activation)
        self.weight_initializer = Initializer.resolve(weight_initializer)
        self.weight_regularizer_l1 = _strength("weight_regularizer_l1", weight_regularizer_l1)
        self.weight_regularizer_l2 = _strength("weight_regularizer_l2", weight_regularizer_l2)
        self.bias_regularizer_l1 = _strength("bias_regularizer_l1", bias_regularizer_l1)
        self.bias_regularizer_l2 = _strength("bias_regularizer_l2", bias_regularizer_l2)
        self.weight_constraint = None if weight_constraint is None else Constraint.resolve(weight_constraint)
        self.bias_constraint = None if bias_constraint is None else Constraint.resolve(bias_constraint)
        self.trainable, self.learning_rate_multiplier = trainable, learning_rate_multiplier

    def config(self) -> dict[str, Any]:
        return {
            **dict(zip(("n_inputs", "n_neurons"), self._leading(), strict=False)),
            "activation": self.activation.describe() if self._described() else self.activation.names[0],
            "weight_regularizer_l1": self.weight_regularizer_l1,
            "weight_regularizer_l2": self.weight_regularizer_l2,
            "bias_regularizer_l1": self.bias_regularizer_l1,
            "bias_regularizer_l2": self.bias_regularizer_l2,
            "weight_initializer": self.weight_initializer.describe(),
            **{f"{name}_constraint": part.describe() for name, part in self._constraints().items()},
        }

    def _leading(self) -> list[int]:
        return [self.n_neurons] if self.n_inputs is None else [self.n_inputs, self.n_neurons]

    def _shown(self) -> dict[str, Any]:
        shown = super()._shown()
        del shown["n_inputs"]
        shown.pop("n_neurons", None)
        initializer = shown.pop("weight_initializer")
        name = initializer["name"] if initializer.keys() == {"name"} else initializer
        return {**shown, **({} if name == "he_normal" else {"weight_initializer": name})}

    def _constraints(self) -> dict[str, Constraint]:
        both = {"weight": self.weight_constraint, "bias": self.bias_constraint}
        return {name: part for name, part in both.items() if part is not None}

    def constraints(self) -> dict[str, Constraint]:
        if self.weight_constraint is None and self.bias_constraint is None:  # each training asks
            return {}
        names = {"weight": "weights", "bias": "biases"}
        return {names[name]: part for name, part in self._constraints().items()}

    @classmethod
    def rebuild(cls, **config: Any) -> Self:
        config["weight_initializer"] = Initializer.from_description(config["weight_initializer"])
        for name in ("weight_constraint", "bias_constraint"):
            if isinstance(config.get(name), dict):
                config[name] = Constraint.from_description(config[name])
        if isinstance(config["activation"], dict):  # one with a parameter, or in Python; the others are a name
            config["activation"] = Activation.from_description(config["activation"])
        return cls(**config)

    def wanted_input(self) -> int | None:
        return self.n_inputs

    def width(self, n_in: int) -> int:
        return self.n_neurons

    def lower(self, index: int, n_in: int) -> list[Spec]:
        specs: list[Spec] = [
            DenseSpec(
                index,
                n_in,
                self.n_neurons,
                weight_penalty=(self.weight_regularizer_l1, self.weight_regularizer_l2),
                bias_penalty=(self.bias_regularizer_l1, self.bias_regularizer_l2),
            )
        ]
        if not isinstance(self.activation, Activation) or self.activation.kernel != "linear":
            specs += self.activation.lower(index, self.n_neurons)
        if len(specs) > 1 and trained_tensors(specs[-1]):
            raise ValueError(
                f"layer {index} (Dense): activation {type(self.activation).__name__} has parameters: make it a layer "
                f"of its own, after the Dense"
            )
        return specs

    def _described(self) -> bool:
        """Whether a file holds more of the activation than its name."""
        return bool(self.activation.config()) or not isinstance(self.activation, Activation)

    def bind(self, plan: Plan, index: int, n_in: int) -> None:
        super().bind(plan, index, n_in)
        if isinstance(self.activation, Activation):
            self.activation._plan = plan  # so that its parameter is fixed as well
        else:  # it takes part by itself, and messages name it
            self.activation.bind(plan, index, self.n_neurons)

    def unbind(self) -> None:
        super().unbind()
        self.activation.unbind()

    def __copy__(self) -> Self:
        new = type(self).__new__(type(self))
        new.__dict__ |= self.__getstate__()
        new.activation = _activation(self.activation)
        return new

    def initialize(self, seed: int) -> None:
        assert self.index is not None
        assert self.n_in is not None
        self.weights = self.weight_initializer.sample(self.n_in, self.n_neurons, seed, STREAM_WEIGHTS + self.index)

    @property
    def parameter_count(self) -> int:
        return 0 if self.n_in is None else (self.n_in + 1) * self.n_neurons

    @property
    def flops(self) -> int:
        if self.n_in is None:
            return 0
        return (2 * self.n_in + 1 + (self.activation.names[0] != "linear")) * self.n_neurons

    weights = Tensor(
        "The weights (n_inputs, n_neurons): a live view; writing into it changes the model. Assigning copies."
    )
    biases = Tensor("The biases (1, n_neurons): a live view. Assigning copies; (n_neurons,) is taken too.")


def _activation(what: Any) -> Activation | custom.Activation:
    """The activation for a name, a class or an object; of one written in Python a copy, for it keeps its input."""
    cls = what if isinstance(what, type) else type(what)
    if issubclass(cls, Layer) and not issubclass(cls, Activation):
        from fastnn import custom  # where there is such a part, it is imported already

        if issubclass(cls, custom.Activation):
            import copy  # only here: it would lengthen every import of the package

            return cls() if what is cls else copy.copy(what)
    return Activation.resolve(what)


def _strength(name: str, value: float) -> float:
    number = float(value)
    if not 0 <= number < float("inf"):
        raise ValueError(f"{name}: expected a number of at least 0, got {value!r}")
    return number
