"""To and from PyTorch, which is not imported for ``from_torch``: the layers that come bring their classes' names. A
subclass of one, which may compute something else, is refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn import activations as act
from fastnn._dlpack import as_ndarray
from fastnn.engine.spec import (
    MOST_LAYERS,
    ActivationSpec,
    AffineSpec,
    AlphaDropoutSpec,
    BatchNormSpec,
    DenseSpec,
    DropoutSpec,
    GaussianSpec,
    LayerNormSpec,
    NormalizationSpec,
    PythonSpec,
)
from fastnn.interop._assemble import Affine, Filled, Part, Weights, assemble, dropout, kept, naming
from fastnn.interop._shapes import LastAxis, Step, Unknown, flatten, product, shaped
from fastnn.layers import AlphaDropout, BatchNorm, Dropout, LayerNorm

if TYPE_CHECKING:
    from fastnn.model import Model

# --- in: class name -> (module, how messages name it) -> parts ---

Reader = Callable[[Any, str], Sequence[Step]]


def _array(name: str, tensor: Any) -> Any:
    return as_ndarray(name, tensor.detach().cpu())


def _linear(module: Any, where: str) -> list[Step]:
    """y = x.weight' + bias: the weights are (out, in) there."""
    bias = None if module.bias is None else _array(f"{where}.bias", module.bias)
    return [product(_array(f"{where}.weight", module.weight).T, bias, where)]


def _plain(make: Callable[[], act.Activation]) -> Reader:
    return lambda module, where: [make()]


def _softmax(make: Callable[[], act.Activation]) -> Reader:
    def read(module: Any, where: str) -> list[Step]:
        if module.dim not in (1, -1):
            raise ValueError(f"{where}: expected dim=1, the features, got {module.dim}")
        return [LastAxis(make(), where)]

    return read


def _flatten(module: Any, where: str) -> list[Step]:
    if (module.start_dim, module.end_dim) not in ((1, -1), (1, 1)):
        raise ValueError(f"{where}: expected start_dim=1 and end_dim=-1, got {module.start_dim} and {module.end_dim}")
    return [flatten(where)] if module.end_dim == -1 else []


def _gelu(module: Any, where: str) -> list[Part]:
    return [act.GELUTanh() if module.approximate == "tanh" else act.GELU()]


def _softplus(module: Any, where: str) -> list[Part]:
    """ln(1 + exp(beta x)) / beta; beyond its threshold PyTorch gives x, which is that to 2e-9 where it is 20."""
    if not module.threshold >= 12:  # ln(1 + exp(12)) - 12 is 6e-6
        raise ValueError(f"{where}: expected a threshold of at least 12, got {module.threshold}")
    if module.beta == 1:
        return [act.Softplus()]
    return [Affine(module.beta, 0.0, where), act.Softplus(), Affine(1 / module.beta, 0.0, where)]


def _celu(module: Any, where: str) -> list[Part]:
    """alpha elu(x / alpha; 1)."""
    if not module.alpha > 0:
        raise ValueError(f"{where}: expected alpha more than 0, got {module.alpha}")
    if module.alpha == 1:
        return [act.ELU()]
    return [Affine(1 / module.alpha, 0.0, where), act.ELU(), Affine(module.alpha, 0.0, where)]


def _hardtanh(module: Any, where: str) -> list[Part]:
    bounds = module.min_val, module.max_val
    if bounds == (0, 6):
        return [act.ReLU6()]
    if bounds == (-1, 1):  # a hard sigmoid, x / 6 + 1 / 2 within 0 and 1, of three times the slope and twice the range
        return [Affine(3.0, 0.0, where), act.HardSigmoid(), Affine(2.0, -1.0, where)]
    raise ValueError(f"{where}: expected the bounds -1 and 1, or 0 and 6, got {bounds[0]} and {bounds[1]}")


def _batch_norm(module: Any, where: str) -> list[Step]:
    """PyTorch's momentum is the share of the new, ours that of the old; its moving variance is the unbiased one."""
    if module.running_mean is None or module.momentum is None:
        raise ValueError(f"{where}: expected track_running_stats=True and a momentum")
    moving = {"moving_mean": module.running_mean, "moving_variance": module.running_var}
    learned = {"gamma": module.weight, "beta": module.bias}
    values = {k: _array(f"{where}.{k}", v) for k, v in (moving | learned).items() if v is not None}
    affine = module.weight is not None
    layer = BatchNorm(momentum=kept(1 - module.momentum), epsilon=module.eps, center=affine, scale=affine)
    return [LastAxis(Filled(layer, values, where), where, module.num_features)]


def _layer_norm(module: Any, where: str) -> list[Step]:
    if len(module.normalized_shape) != 1:
        raise ValueError(f"{where}: expected a shape of one axis, the features, got {tuple(module.normalized_shape)}")
    learned = {"gamma": module.weight, "beta": module.bias}
    values = {k: _array(f"{where}.{k}", v) for k, v in learned.items() if v is not None}
    layer = LayerNorm(epsilon=module.eps, center="beta" in values, scale="gamma" in values)
    return [LastAxis(Filled(layer, values, where), where, module.normalized_shape[0])]


READERS: dict[str, Reader] = {
    "Linear": _linear,
    "Identity": lambda module, where: [],
    "Flatten": _flatten,
    "Dropout": lambda module, where: dropout(Dropout, module.p),
    "AlphaDropout": lambda module, where: dropout(AlphaDropout, module.p),
    "BatchNorm1d": _batch_norm,
    "LayerNorm": _layer_norm,
    "ReLU": _plain(act.ReLU),
    "ReLU6": _plain(act.ReLU6),
    "Hardtanh": _hardtanh,
    "LeakyReLU": lambda module, where: [act.LeakyReLU(module.negative_slope)],
    "ELU": lambda module, where: [act.ELU(module.alpha)],
    "CELU": _celu,
    "SELU": _plain(act.SELU),
    "GELU": _gelu,
    "SiLU": _plain(act.SiLU),
    "Mish": _plain(act.Mish),
    "Softplus": _softplus,
    "Sigmoid": _plain(act.Sigmoid),
    "Hardsigmoid": _plain(act.HardSigmoid),
    "Hardswish": _plain(act.HardSwish),
    "Tanh": _plain(act.Tanh),
    "Softmax": _softmax(act.Softmax),
    "LogSoftmax": _softmax(act.LogSoftmax),
}


def _is_torch(module: Any) -> bool:
    return type(module).__module__.startswith("torch.nn.")


# what may make a module compute something else than its class does
CHANGES = ("_forward_hooks", "_forward_pre_hooks")


def _flat(module: Any, place: str) -> Iterator[tuple[str, Any]]:
    """(place, module) of the layers in order, through nested Sequentials; one that occurs twice comes twice."""
    stack = [(place, module)]
    while stack:
        where, found = stack.pop()
        if "forward" in vars(found) or any(getattr(found, name, None) for name in CHANGES):
            raise ValueError(
                f"{where} ({type(found).__name__}): it has hooks or a forward of its own, which may compute something "
                f"else; remove them first (those of weight_norm by torch.nn.utils.remove_weight_norm)"
            )
        if _is_torch(found) and type(found).__name__ == "Sequential":
            children = [(name, child) for name, child in found._modules.items() if child is not None]
            stack += [(f"{where}.{name}", child) for name, child in reversed(children)]
            if len(stack) > MOST_LAYERS:
                raise ValueError(f"module: it has more layers than the {MOST_LAYERS} of a model")
        else:
            yield where, found


def from_torch(module: Any) -> Model:
    from fastnn.model import Model

    if not any(cls.__module__ == "torch.nn.modules.module" for cls in type(module).__mro__):
        raise TypeError(f"module: expected a torch.nn.Sequential of layers, got {type(module).__name__}")
    steps: list[Step] = []
    for place, found in _flat(module, "module"):
        kind = type(found).__name__
        where = f"{place} ({kind})"
        if not _is_torch(found) or kind not in READERS:
            raise ValueError(f"{where}: this module is not supported; those that are: {', '.join(sorted(READERS))}")
        with naming(where):
            steps += READERS[kind](found, where)
    parts, _ = shaped(steps, Unknown())
    arrays = [a for part in parts for a in _arrays(part)]
    types = {a.dtype for a in arrays}
    if not types:
        raise ValueError(
            "module: it has no Linear and no normalization with weights: nothing says how many inputs it has"
        )
    if len(types) > 1 or not types <= {np.dtype(np.float32), np.dtype(np.float64)}:
        raise ValueError(f"module: expected all weights of float32 or all of float64, got {_named(types)}")
    return assemble(Model, parts, types.pop(), arrays[0].shape[0])


def _arrays(part: Part) -> list[Any]:
    """The numbers of a part; their first axis is as long as its input is wide."""
    return (
        [part.weights] if isinstance(part, Weights) else list(part.values.values()) if isinstance(part, Filled) else []
    )


def _named(types: set[Any]) -> str:
    return " and ".join(sorted(str(dtype) for dtype in types))


# --- out: name of the activation -> (torch.nn, alpha) -> module ---


MAKERS: dict[str, Callable[[Any, float], Any]] = {
    "relu": lambda nn, alpha: nn.ReLU(),
    "relu6": lambda nn, alpha: nn.ReLU6(),
    "leaky_relu": lambda nn, alpha: nn.LeakyReLU(alpha),
    "elu": lambda nn, alpha: nn.ELU(alpha),
    "selu": lambda nn, alpha: nn.SELU(),
    "gelu": lambda nn, alpha: nn.GELU(),
    "gelu_tanh": lambda nn, alpha: nn.GELU(approximate="tanh"),
    "silu": lambda nn, alpha: nn.SiLU(),
    "mish": lambda nn, alpha: nn.Mish(),
    "softplus": lambda nn, alpha: nn.Softplus(threshold=40.0),  # beyond it x, which is that to the last bit
    "sigmoid": lambda nn, alpha: nn.Sigmoid(),
    "hard_sigmoid": lambda nn, alpha: nn.Hardsigmoid(),
    "hard_swish": lambda nn, alpha: nn.Hardswish(),
    "tanh": lambda nn, alpha: nn.Tanh(),
    "softmax": lambda nn, alpha: nn.Softmax(dim=1),
    "log_softmax": lambda nn, alpha: nn.LogSoftmax(dim=1),
    "linear": lambda nn, alpha: nn.Identity(),
}


class Writer:
    """Makes the modules of one model, given PyTorch and our own modules for it."""

    def __init__(self, model: Model, torch: Any, own: Any) -> None:
        self.model, self.torch, self.nn, self.own = model, torch, torch.nn, own
        self.dtype = torch.float64 if model.dtype == np.float64 else torch.float32

    def tensor(self, spec: Any, name: str) -> Any:
        plan = self.model.plan
        return self.torch.from_numpy(plan.view(plan.params, spec.layer, name).copy())

    def fill(self, target: Any, source: Any) -> None:
        with self.torch.no_grad():
            target.copy_(source)

    def dense(self, spec: DenseSpec) -> Any:
        linear = self.nn.Linear(spec.n_in, spec.n_out, dtype=self.dtype)
        self.fill(linear.weight, self.tensor(spec, "weights").T)
        self.fill(linear.bias, self.tensor(spec, "biases")[0])
        return linear

    def activation(self, spec: ActivationSpec) -> Any:
        make = MAKERS.get(spec.activation) or self.own.MAKERS.get(spec.activation)
        if make is None:
            raise ValueError(f"layer {spec.layer}: PyTorch has no {spec.activation}")
        return make(self.nn, spec.alpha)

    def batch_norm(self, spec: BatchNormSpec) -> Any:
        affine, momentum = spec.scale or spec.center, 1 - spec.momentum
        made = self.nn.BatchNorm1d(spec.n_in, spec.epsilon, momentum, affine=affine, dtype=self.dtype)
        self.fill(made.running_mean, self.tensor(spec, "moving_mean")[0])
        self.fill(made.running_var, self.tensor(spec, "moving_variance")[0])
        return self.scaled(made, spec)

    def layer_norm(self, spec: LayerNormSpec) -> Any:
        affine = spec.scale or spec.center
        made = self.nn.LayerNorm(spec.n_in, spec.epsilon, elementwise_affine=affine, dtype=self.dtype)
        return self.scaled(made, spec)

    def scaled(self, made: Any, spec: BatchNormSpec | LayerNormSpec) -> Any:
        """gamma and beta; PyTorch has both or neither, so one that is missing stays 1 or 0 and is not trained."""
        if not (spec.scale or spec.center):
            return made
        for name, there, target in (("gamma", spec.scale, made.weight), ("beta", spec.center, made.bias)):
            if there:
                self.fill(target, self.tensor(spec, name)[0])
            else:
                target.requires_grad_(False)
        return made

    def normalization(self, spec: NormalizationSpec) -> Any:
        return self.own.Normalization(self.tensor(spec, "mean"), self.tensor(spec, "variance"))


WRITERS: dict[type[Any], Callable[[Writer, Any], Any]] = {
    DenseSpec: Writer.dense,
    ActivationSpec: Writer.activation,
    AffineSpec: lambda w, spec: w.own.Rescale(spec.scale, spec.shift),
    DropoutSpec: lambda w, spec: w.nn.Dropout(spec.rate),
    AlphaDropoutSpec: lambda w, spec: w.nn.AlphaDropout(spec.rate),
    GaussianSpec: lambda w, spec: w.own.GaussianNoise(spec.stddev, spec.multiplies),
    BatchNormSpec: Writer.batch_norm,
    LayerNormSpec: Writer.layer_norm,
    NormalizationSpec: Writer.normalization,
}


def to_torch(model: Model) -> Any:
    try:
        import torch  # type: ignore[import-not-found,unused-ignore]

        from fastnn.interop import _torch_modules as own
    except ImportError as error:
        raise ImportError(f"to_torch needs PyTorch: pip install torch ({error})") from None
    writer, modules = Writer(model, torch, own), []
    python = next((spec for spec in model.plan.specs if isinstance(spec, PythonSpec)), None)
    if python is not None:
        raise ValueError(f"{model.numbered[python.layer].label()}: a layer written in Python has no form in PyTorch")
    joins = next((layer for layer in model.numbered if layer.joins or layer.held()), None)
    if joins is not None:
        raise ValueError(f"{joins.label()}: to_torch makes a Sequential, which has no place for a graph")
    for index, layer in enumerate(model.layers):
        for spec in layer.lower(index, layer.n_in or 0):
            if type(spec) not in WRITERS:
                raise ValueError(f"{layer.label()}: to_torch does not know this layer")
            modules.append(WRITERS[type(spec)](writer, spec))
    return torch.nn.Sequential(*modules).eval()
