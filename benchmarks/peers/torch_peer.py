"""PyTorch: eager, and with the loss compiled. Adam is the library's own, fused, the fastest it has on a CPU."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from fastnn._bench.case import Array, Call
from fastnn._bench.steps import Net
from fastnn._bench.workload import Learner, NotExpressibleError, Peer

FUNCTIONS: dict[str, Callable[..., Any]] = {
    "exp": torch.exp,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
}


class TorchLearner(Learner):
    compiled = False

    def restart(self) -> None:
        layers: list[nn.Module] = []
        for i, (weights, biases) in enumerate(self.net.parameters()):
            if i:
                layers.append(nn.ReLU())
            if i and self.net.dropout:
                layers.append(nn.Dropout(self.net.dropout))
            linear = nn.Linear(*weights.shape)
            with torch.no_grad():
                linear.weight.copy_(torch.from_numpy(weights.T.copy()))
                linear.bias.copy_(torch.from_numpy(biases[0]))
            layers.append(linear)
        network = nn.Sequential(*layers)
        if hasattr(self, "network"):  # into the tensors there are: what was compiled for them stays
            self.network.load_state_dict(network.state_dict())
        else:
            self.network = network
            self.first = next(m for m in network if isinstance(m, nn.Linear))
            self.loss, self.outputs = self._loss, self._outputs
            if self.compiled:
                torch.compiler.reset()  # beyond some recompilations it would quietly run eagerly
                self.loss = torch.compile(self._loss, dynamic=False)
                self.outputs = torch.compile(self._outputs, dynamic=False)
        self.steps = 0
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=self.net.learning_rate, eps=1e-7, fused=True)

    def _outputs(self, X: torch.Tensor) -> torch.Tensor:
        return torch.softmax(self.network(X), 1)

    def _loss(self, X: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """What is minimised, and the data's part of it."""
        data_loss = nn.functional.cross_entropy(self.network(X), y)
        if not self.net.l2:
            return data_loss, data_loss.detach()
        squares = (self.first.weight**2).sum() + (self.first.bias**2).sum()
        return data_loss + self.net.l2 * squares, data_loss.detach()

    def feed(self, X: Array, y: Array) -> Any:
        batches = torch.from_numpy(X).split(self.net.batch), torch.from_numpy(y).long().split(self.net.batch)
        return list(zip(*batches, strict=True))

    def run(self, data: Any, epochs: int) -> Any:
        self.network.train()
        losses = []
        for _ in range(epochs):
            for X, y in data:
                if self.net.decay:
                    self.optimizer.param_groups[0]["lr"] = self.net.learning_rate / (1 + self.net.decay * self.steps)
                self.optimizer.zero_grad()
                loss, data_loss = self.loss(X, y)
                loss.backward()
                self.optimizer.step()
                self.steps += 1
                losses.append(data_loss)
        return torch.stack(losses).numpy()

    @torch.inference_mode()
    def predict(self, X: Array) -> Array:
        result: Array = self.outputs(torch.from_numpy(X)).numpy()
        return result


class CompiledLearner(TorchLearner):
    compiled = True


class Torch(Peer):
    name, library, distribution = "torch", "torch", "torch"
    make: type[TorchLearner] = TorchLearner

    def __init__(self, threads: int = 1) -> None:
        super().__init__(threads)
        torch.set_num_threads(threads)

    def learner(self, net: Net) -> Learner:
        return self.make(net)

    def predictor(self, net: Net) -> Callable[[Array], Array]:
        learner = self.make(net)
        learner.network.eval()
        return learner.predict

    def activation(self, name: str, x: Array) -> Call:
        t = torch.from_numpy(x)
        y = torch.empty_like(t)
        calls: dict[str, Call] = {
            "relu": lambda: torch.clamp_min(t, 0, out=y),
            "softmax": lambda: torch.softmax(t, -1, out=y),
            "gelu": lambda: torch.ops.aten.gelu.out(t, approximate="none", out=y),
            "gelu_tanh": lambda: torch.ops.aten.gelu.out(t, approximate="tanh", out=y),
        }
        if name in FUNCTIONS:
            return lambda: FUNCTIONS[name](t, out=y)
        if name not in calls:
            raise NotExpressibleError(name)
        return calls[name]


class TorchCompiled(Torch):
    name = "torch.compile"
    make = CompiledLearner

    def activation(self, name: str, x: Array) -> Call:
        raise NotExpressibleError("one function gains nothing by being compiled")
