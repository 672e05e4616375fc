"""Ten training steps in float64 from the same weights: every optimizer, and every schedule, against PyTorch's.

Lion, which PyTorch does not have, follows its paper's rule with PyTorch's gradients.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from compare import Array, assert_near
from optimizer_rules import RULES

from fastnn import Dense, Model, _core
from fastnn.constraints import MaxNorm
from fastnn.optimizers import LBFGS, SGD, AdaGrad, Adam, AdamW, Lion, NAdam, Optimizer, RMSprop
from fastnn.schedules import CosineDecay, ExponentialDecay, InverseTime, OneCycle, Schedule, StepDecay, WarmUp

torch = pytest.importorskip("torch", reason="PyTorch is not installed: the peers extra has it")

torch.set_num_threads(1)

STEPS = 10
NEAR = 1e-9  # of the norm of each tensor
X = np.asarray(_core.random_normal(40 * 5, 3, 1)).reshape(40, 5)
Y = 3 * np.sin(X[:, :2] * X[:, 1:3])


@pytest.fixture(autouse=True)
def numbers_of_pytorchs_own_in_float64() -> Iterator[None]:
    """NAdam's running product of momentums is one."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


class Peer:
    """The same network in PyTorch, its parameters those of the model."""

    def __init__(self, model: Model) -> None:
        self.parameters: list[Any] = []
        modules: list[Any] = []
        for layer in model.layers:
            assert isinstance(layer, Dense)
            linear = torch.nn.Linear(layer.weights.shape[0], layer.weights.shape[1], dtype=torch.float64)
            with torch.no_grad():
                linear.weight.copy_(torch.from_numpy(layer.weights.T.copy()))
                linear.bias.copy_(torch.from_numpy(layer.biases[0].copy()))
            linear.requires_grad_(layer.trainable)
            modules += [linear, torch.nn.Tanh()] if layer is not model.layers[-1] else [linear]
            self.parameters += [linear.weight, linear.bias]
        self.net = torch.nn.Sequential(*modules)
        self.X, self.y = torch.from_numpy(X), torch.from_numpy(Y)

    def loss(self) -> Any:
        self.net.zero_grad()
        loss = torch.nn.functional.mse_loss(self.net(self.X), self.y)
        loss.backward()
        return loss

    def arrays(self) -> list[Array]:
        return [p.detach().numpy().T.reshape(-1, len(p)) for p in self.parameters]


def make(optimizer: Optimizer, **options: Any) -> Model:
    model = Model(
        [Dense(9, activation="tanh", **options), Dense(7, activation="tanh"), Dense(2)], seed=4, dtype="float64"
    )
    model.set(loss="mean_squared_error", optimizer=optimizer)
    model.finalize(5)
    return model


def assert_same(model: Model, arrays: list[Array], what: str) -> None:
    mine = [a for pair in model.get_parameters() for a in pair]
    for i, (got, want) in enumerate(zip(mine, arrays, strict=True)):
        assert_near(got, want, NEAR, f"{what}, tensor {i}")


@dataclass(frozen=True)
class Case:
    mine: Callable[..., Optimizer]
    theirs: Callable[[list[Any]], Any]
    options: dict[str, Any] = field(default_factory=dict)


def wolfe(parameters: list[Any], rate: float, history: int) -> Any:
    """One iteration a step, whose line search may look 25 times beside the first."""
    return torch.optim.LBFGS(
        parameters, rate, max_iter=1, max_eval=26, history_size=history, line_search_fn="strong_wolfe"
    )


CASES: dict[str, Case] = {
    "sgd": Case(lambda **o: SGD(0.1, **o), lambda p: torch.optim.SGD(p, lr=0.1)),
    "momentum": Case(lambda **o: SGD(0.1, momentum=0.9, **o), lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9)),
    "nesterov": Case(
        lambda **o: SGD(0.1, momentum=0.9, nesterov=True, **o),
        lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True),
    ),
    "adagrad": Case(lambda **o: AdaGrad(0.1, **o), lambda p: torch.optim.Adagrad(p, lr=0.1, eps=1e-7)),
    "rmsprop": Case(lambda **o: RMSprop(0.01, **o), lambda p: torch.optim.RMSprop(p, lr=0.01, alpha=0.9, eps=1e-7)),
    "adam": Case(lambda **o: Adam(0.02, **o), lambda p: torch.optim.Adam(p, lr=0.02, eps=1e-7)),
    "amsgrad": Case(
        lambda **o: Adam(0.1, beta_2=0.7, amsgrad=True, **o),
        lambda p: torch.optim.Adam(p, lr=0.1, betas=(0.9, 0.7), eps=1e-7, amsgrad=True),
    ),
    # its decay comes before Adam's step: the weights that are decayed are the same ones
    "adamw": Case(
        lambda **o: AdamW(0.02, weight_decay=0.1, **o),
        lambda p: torch.optim.AdamW(p, lr=0.02, eps=1e-7, weight_decay=0.1),
    ),
    # PyTorch warms beta_1 up; over a decay so long it is warm at once
    "nadam": Case(lambda **o: NAdam(0.02, **o), lambda p: torch.optim.NAdam(p, lr=0.02, eps=1e-7, momentum_decay=1e6)),
    "lbfgs": Case(
        lambda **o: LBFGS(**o),
        lambda p: wolfe(p, 1.0, 10),
    ),
    "lbfgs, 3 corrections": Case(
        lambda **o: LBFGS(history_size=3, **o),
        lambda p: wolfe(p, 1.0, 3),
    ),
    "lbfgs without a line search": Case(
        lambda **o: LBFGS(0.3, line_search=None, **o),
        lambda p: torch.optim.LBFGS(p, lr=0.3, max_iter=1, history_size=10),
    ),
    # a long first step makes the search go back, a short one beyond
    "lbfgs, long steps": Case(
        lambda **o: LBFGS(40.0, **o), lambda p: wolfe(p, 40.0, 10)
    ),
    "lbfgs, short steps": Case(
        lambda **o: LBFGS(0.01, **o), lambda p: wolfe(p, 0.01, 10)
    ),
}  # fmt: skip
LION = SimpleNamespace(beta_1=0.9, beta_2=0.99, weight_decay=0.1)


def trained(name: str, peer: Peer, bound: Callable[[list[Any]], None] = lambda parameters: None) -> Any:
    """The peer's parameters after each of ten steps."""
    if name in CASES:
        optimizer = CASES[name].theirs([p for p in peer.parameters if p.requires_grad])
        for _ in range(STEPS):
            if isinstance(optimizer, torch.optim.LBFGS):
                optimizer.step(peer.loss)
            else:
                peer.loss()
                bound(peer.parameters)
                optimizer.step()
            yield peer.arrays()
        return
    moving = [p for p in peer.parameters if p.requires_grad]
    states = [[np.zeros(p.shape)] for p in moving]
    for t in range(1, STEPS + 1):
        peer.loss()
        bound(peer.parameters)
        for p, state in zip(moving, states, strict=True):
            new = RULES["lion"](LION, p.detach().numpy().copy(), p.grad.numpy(), state, t, 0.005)
            with torch.no_grad():
                p.copy_(torch.from_numpy(new))
        yield peer.arrays()


def optimizer_of(name: str, **options: Any) -> Optimizer:
    return CASES[name].mine(**options) if name in CASES else Lion(0.005, weight_decay=0.1, **options)


NAMES = sorted({*CASES, "lion"})
BOUNDED = [name for name in NAMES if not name.startswith("lbfgs")]


def test_every_optimizer_is_here() -> None:
    kernels = {optimizer_of(name).kernel for name in NAMES}
    assert kernels == {*_core.OPTIMIZERS, "lbfgs"}


@pytest.mark.parametrize("name", NAMES)
def test_ten_steps(name: str) -> None:
    model = make(optimizer_of(name))
    losses = []
    for k, arrays in enumerate(trained(name, Peer(model))):
        model.train(X, Y)
        losses.append(model.history["loss"][-1])
        assert_same(model, arrays, f"{name}, step {k}")
    assert len(set(losses)) == STEPS
    assert min(losses) < losses[0]


@pytest.mark.parametrize("name", NAMES)
def test_ten_steps_with_a_frozen_layer(name: str) -> None:
    model = make(optimizer_of(name), trainable=False)
    for k, arrays in enumerate(trained(name, Peer(model))):
        model.train(X, Y)
        assert_same(model, arrays, f"{name}, step {k}")


@pytest.mark.parametrize("name", NAMES)
def test_ten_steps_averaged(name: str) -> None:
    model = make(optimizer_of(name, use_ema=True, ema_momentum=0.8))
    peer = Peer(model)
    averaged = torch.optim.swa_utils.AveragedModel(
        peer.net, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.8)
    )
    for k, _ in enumerate(trained(name, peer)):
        averaged.update_parameters(peer.net)
        model.train(X, Y)
        with model.averaged_weights():
            assert_same(model, [p.detach().numpy().T.reshape(-1, len(p)) for p in averaged.parameters()], f"step {k}")


def clip_norm(parameters: list[Any], bound: float) -> None:
    """PyTorch divides by norm + 1e-6: here the bound makes up for that."""
    norm = torch.nn.utils.get_total_norm([p.grad for p in parameters])
    torch.nn.utils.clip_grad_norm_(parameters, bound * float((norm + 1e-6) / norm))


BOUNDS: dict[str, tuple[dict[str, float], Callable[[list[Any]], None]]] = {
    "value": ({"clip_value": 0.05}, lambda parameters: torch.nn.utils.clip_grad_value_(parameters, 0.05)),
    "norm": ({"clip_norm": 0.3}, lambda parameters: clip_norm(parameters, 0.3)),
    "tensor norm": ({"clip_tensor_norm": 0.2}, lambda parameters: [clip_norm([p], 0.2) for p in parameters] and None),
}


@pytest.mark.parametrize("bound", BOUNDS)
@pytest.mark.parametrize("name", BOUNDED)
def test_ten_steps_with_bounded_gradients(name: str, bound: str) -> None:
    options, theirs = BOUNDS[bound]
    model = make(optimizer_of(name, **options))
    for k, arrays in enumerate(trained(name, Peer(model), theirs)):
        model.train(X, Y)
        assert_same(model, arrays, f"{name}, {bound}, step {k}")


def test_learning_rates_of_layers_are_those_of_parameter_groups() -> None:
    model = make(AdamW(0.02, weight_decay=0.1), learning_rate_multiplier=0.1)
    peer = Peer(model)
    groups = [{"params": peer.parameters[:2], "lr": 0.002}, {"params": peer.parameters[2:], "lr": 0.02}]
    optimizer = torch.optim.AdamW(groups, eps=1e-7, weight_decay=0.1)
    for k in range(STEPS):
        peer.loss()
        optimizer.step()
        model.train(X, Y)
        assert_same(model, peer.arrays(), f"step {k}")


def test_max_norm_is_renorm() -> None:
    model = make(SGD(0.1), weight_constraint=MaxNorm(0.9))
    peer = Peer(model)
    optimizer = torch.optim.SGD(peer.parameters, lr=0.1)
    for k in range(STEPS):
        peer.loss()
        optimizer.step()
        w = peer.parameters[0]
        with (
            torch.no_grad()
        ):  # it divides by norm + 1e-7, so rows that are within are left out and the rest made up for
            norms = w.norm(dim=1, keepdim=True)
            w.copy_(torch.where(norms > 0.9, torch.renorm(w, 2, 0, 0.9) * (norms + 1e-7) / norms, w))
        model.train(X, Y)
        assert_same(model, peer.arrays(), f"step {k}")
    assert (np.linalg.norm(model.layers[0].weights, axis=0) <= 0.9 + 1e-12).all()


RATE = 0.05
SCHEDULES: dict[str, tuple[Schedule, Callable[[Any], Any]]] = {
    "step_decay": (
        StepDecay(RATE, 3, 0.5),
        lambda o: torch.optim.lr_scheduler.StepLR(o, step_size=3, gamma=0.5),
    ),
    "exponential_decay": (
        ExponentialDecay(RATE, 1, 0.8),
        lambda o: torch.optim.lr_scheduler.ExponentialLR(o, gamma=0.8),
    ),
    "inverse_time": (
        InverseTime(RATE, 2, 0.3),
        lambda o: torch.optim.lr_scheduler.LambdaLR(o, lambda t: 1 / (1 + 0.3 * t / 2)),
    ),
    "cosine_decay": (
        CosineDecay(RATE, STEPS, alpha=0.1),
        lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, STEPS, eta_min=0.1 * RATE),
    ),
    "warm_up": (
        WarmUp(StepDecay(RATE, 2, 0.5), 4, 0.25 * RATE),
        lambda o: torch.optim.lr_scheduler.SequentialLR(
            o,
            [
                torch.optim.lr_scheduler.LinearLR(o, 0.25, total_iters=4),
                torch.optim.lr_scheduler.StepLR(o, 2, gamma=0.5),
            ],
            milestones=[4],
        ),
    ),
    "one_cycle": (
        OneCycle(RATE, STEPS, pct_start=0.4),
        lambda o: torch.optim.lr_scheduler.OneCycleLR(o, RATE, total_steps=STEPS, pct_start=0.4, cycle_momentum=False),
    ),
}


def test_every_schedule_is_here() -> None:
    assert set(SCHEDULES) == set(_core.SCHEDULES)


@pytest.mark.parametrize("name", SCHEDULES)
def test_ten_steps_of_a_schedule(name: str) -> None:
    mine, theirs = SCHEDULES[name]
    model = make(Adam(mine))
    peer = Peer(model)
    optimizer = torch.optim.Adam(peer.parameters, lr=RATE, eps=1e-7)
    schedule = theirs(optimizer)
    for k in range(STEPS):
        peer.loss()
        assert mine(k) == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-12, abs=1e-18)
        optimizer.step()
        if k < STEPS - 1:
            schedule.step()
        model.train(X, Y)
        assert_same(model, peer.arrays(), f"{name}, step {k}")


def test_the_comparison_sees_another_optimizer() -> None:
    model = make(Adam(0.02, epsilon=1e-6))
    *_, arrays = trained("adam", Peer(model))
    model.train(X, Y, epochs=STEPS)
    with pytest.raises(AssertionError, match="tensor 0: off by"):
        assert_same(model, arrays, "adam")
