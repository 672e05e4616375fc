"""A chain of fastnn's layers in PyTorch, in float64, with parameters of its own that start as the model's."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from compare import Array, assert_near
from torch.nn import functional as F

from fastnn import BatchNorm, Dense, Layer, LayerNorm, Model, Residual
from fastnn.activations import Activation

torch.set_num_threads(1)

STEPS = 10
NEAR = 1e-9  # of the norm of each tensor

# by name; the ones with a parameter take it as the second argument
ACTIVATIONS: dict[str, Callable[..., Any]] = {
    "linear": lambda x: x,
    "relu": F.relu,
    "relu6": F.relu6,
    "leaky_relu": F.leaky_relu,
    "elu": F.elu,
    "selu": F.selu,
    "gelu": F.gelu,
    "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"),
    "silu": F.silu,
    "mish": F.mish,
    "softplus": lambda x: F.softplus(x, threshold=500.0),  # beyond its threshold, 20 else, PyTorch gives x itself
    "exponential": torch.exp,
    "sigmoid": F.sigmoid,
    "hard_sigmoid": lambda x: F.relu6(x + 3) / 6,  # the derivative of PyTorch's hardsigmoid is 1/6 in float32
    "hard_swish": F.hardswish,
    "tanh": F.tanh,
    "softmax": lambda x: F.softmax(x, dim=-1),
    "log_softmax": lambda x: F.log_softmax(x, dim=-1),
}


def activation(layer: Activation) -> Callable[[Any], Any]:
    function = ACTIVATIONS[layer.kernel]
    return (lambda x: function(x, layer.alpha)) if layer.config() else function


def tensor(a: Any) -> Any:
    return torch.from_numpy(np.array(a, np.float64))


class Linear(torch.nn.Module):
    def __init__(self, layer: Dense) -> None:
        super().__init__()
        self.linear = torch.nn.Linear(*layer.weights.shape, dtype=torch.float64)
        with torch.no_grad():
            self.linear.weight.copy_(tensor(layer.weights.T))
            self.linear.bias.copy_(tensor(layer.biases[0]))
        assert isinstance(layer.activation, Activation)
        self.activation = activation(layer.activation)

    def forward(self, x: Any) -> Any:
        return self.activation(self.linear(x))

    def tensors(self) -> list[Any]:
        return [self.linear.weight.T, self.linear.bias.reshape(1, -1)]


def take(module: Any, layer: BatchNorm | LayerNorm) -> None:
    """The layer's gamma and beta; where it has none they are 1 and 0, and stay so."""
    with torch.no_grad():
        if layer.scale:
            module.weight.copy_(tensor(layer.gamma[0]))
        if layer.center:
            module.bias.copy_(tensor(layer.beta[0]))
    module.weight.requires_grad_(layer.scale)
    module.bias.requires_grad_(layer.center)


class Batch(torch.nn.BatchNorm1d):
    """PyTorch's moving average is of the unbiased variances (over n - 1); ``biased`` is the same of the biased ones,
    as fastnn and Keras keep it, and what predictions go by here."""

    def __init__(self, layer: BatchNorm) -> None:
        affine = layer.center or layer.scale
        super().__init__(layer.n_in or 0, layer.epsilon, 1 - layer.momentum, affine, dtype=torch.float64)
        self.layer, self.biased = layer, tensor(layer.moving_variance[0])
        assert self.running_mean is not None
        self.running_mean.copy_(tensor(layer.moving_mean[0]))
        if affine:
            take(self, layer)

    def forward(self, x: Any) -> Any:
        if not self.training:
            return F.batch_norm(x, self.running_mean, self.biased, self.weight, self.bias, eps=self.eps)
        before, keep = self.running_var.clone(), self.layer.momentum
        y = super().forward(x)
        batch = (self.running_var - keep * before) * (len(x) - 1) / len(x)
        self.biased = keep * self.biased + batch
        return y

    def tensors(self) -> list[Any]:
        trained = [self.weight] * self.layer.scale + [self.bias] * self.layer.center
        return [a.reshape(1, -1) for a in (*trained, self.running_mean, self.biased)]


class Rows(torch.nn.LayerNorm):
    def __init__(self, layer: LayerNorm) -> None:
        super().__init__(layer.n_in or 0, layer.epsilon, dtype=torch.float64)
        self.layer = layer
        take(self, layer)

    def tensors(self) -> list[Any]:
        return [a.reshape(1, -1) for a in [self.weight] * self.layer.scale + [self.bias] * self.layer.center]


class Skip(torch.nn.Module):
    def __init__(self, layer: Residual, own: Callable[[Layer], Any]) -> None:
        super().__init__()
        self.f = torch.nn.Sequential(*(double_of(part, own) for part in layer.layers))
        self.projection = None if layer.projection is None else Linear(layer.projection)

    def forward(self, x: Any) -> Any:
        return (x if self.projection is None else self.projection(x)) + self.f(x)

    def tensors(self) -> list[Any]:
        return [a for part in (*self.f, self.projection) if part is not None for a in part.tensors()]


class Function(torch.nn.Module):
    """What has no parameters: a function of x and whether this is training."""

    def __init__(self, function: Callable[[Any, bool], Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Any) -> Any:
        return self.function(x, self.training)

    def tensors(self) -> list[Any]:
        return []


def double_of(layer: Layer, own: Callable[[Layer], Any] = lambda layer: None) -> Any:
    """own: makes those of the layers that this does not know, None for the others."""
    made = own(layer)
    if made is not None:
        return made
    if isinstance(layer, Dense):
        return Linear(layer)
    if isinstance(layer, BatchNorm):
        return Batch(layer)
    if isinstance(layer, LayerNorm):
        return Rows(layer)
    if isinstance(layer, Residual):
        return Skip(layer, own)
    assert isinstance(layer, Activation), layer
    function = activation(layer)
    return Function(lambda x, training: function(x))


def chain(model: Model, own: Callable[[Layer], Any] = lambda layer: None) -> Any:
    return torch.nn.Sequential(*(double_of(layer, own) for layer in model.layers))


def steps(net: Any, optimizer: Any, loss: Callable[[], Any], count: int = STEPS) -> Iterator[float]:
    """The loss of each of so many steps, after the step."""
    net.train()
    for _ in range(count):
        optimizer.zero_grad()
        value = loss()
        value.backward()
        optimizer.step()
        yield float(value.detach())


def trained(net: Any) -> list[Any]:
    return [p for p in net.parameters() if p.requires_grad]


def assert_same(model: Model, parts: Sequence[Any], what: str) -> None:
    """Every tensor of the model near that of the double."""
    mine: list[Array] = [a for tensors in model.get_parameters() for a in tensors]
    theirs = [a.detach().numpy() for part in parts for a in part.tensors()]
    for i, (got, want) in enumerate(zip(mine, theirs, strict=True)):
        assert_near(got, want, NEAR, f"{what}, tensor {i}")
