"""Ten training steps in float64 from the same weights, for every layer, constraint and penalty, chains and graphs,
against PyTorch's. Where PyTorch has another formula, or none, the published one is followed with PyTorch's gradients.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from compare import assert_near
from norm_formulas import halves, normals

from fastnn import (
    Add,
    AlphaDropout,
    BatchNorm,
    Concatenate,
    Dense,
    Dropout,
    GaussianDropout,
    GaussianNoise,
    Input,
    Layer,
    LayerNorm,
    Model,
    Multiply,
    Normalization,
    ReLU,
    Rescale,
    Residual,
    _core,
    functional,
)
from fastnn.constraints import Constraint, MaxNorm, NonNeg, UnitNorm
from fastnn.engine.spec import STREAM_DROPOUT
from fastnn.optimizers import SGD

pytest.importorskip("torch", reason="PyTorch is not installed: the peers extra has it")
import torch
from torch.nn import functional as F
from torch_double import NEAR, STEPS, Function, assert_same, chain, double_of, steps, tensor, trained

ROWS, WIDTH, SEED = 37, 5, 4
X = np.asarray(_core.random_normal(ROWS * WIDTH, 3, 1)).reshape(ROWS, WIDTH)
Y = 3 * np.sin(X[:, :2] * X[:, 1:3])
GAMMA, BETA = np.array([0.7, -1.2, 1.5, 0.1, 2.0, 1.1]), np.array([0.3, -0.1, 0.0, 0.6, -0.8, 1.0])


def finalized(model: Model) -> Model:
    # not Adam: the gradient of a bias before BatchNorm is 0 but for rounding, which Adam would divide by itself
    model.set(loss="mean_squared_error", optimizer=SGD(0.05, momentum=0.5))
    model.finalize(WIDTH)
    return model


def make(*layers: Layer) -> Model:
    return finalized(Model([*layers, Dense(2)], seed=SEED, dtype="float64"))


def assert_ten_steps(
    model: Model,
    net: Any,
    parts: Any = None,
    *,
    rows: Any = X,
    inputs: tuple[Any, ...] = (),
    penalty: Callable[[], Any] = lambda: 0.0,
    after: Callable[[], None] = lambda: None,
) -> None:
    """The same loss, parameters and moving averages after each step, and the same predictions at the end."""
    parts, theirs = net if parts is None else parts, inputs or (tensor(rows),)
    optimizer = torch.optim.SGD(trained(net), lr=0.05, momentum=0.5)
    losses: list[float] = []

    def loss() -> Any:
        value = F.mse_loss(net(*theirs), tensor(Y))
        losses.append(float(value.detach()))
        return value + penalty()

    for k, _ in enumerate(steps(net, optimizer, loss)):
        with torch.no_grad():
            after()
        model.train(rows, Y)
        assert_same(model, parts, f"step {k}")
        assert model.history["data_loss"][-1] == pytest.approx(losses[-1], rel=NEAR)
        with torch.no_grad():  # at the weights after the step
            assert model.history["regularization_loss"][-1] == pytest.approx(float(penalty()), rel=NEAR)
    assert len(set(losses)) == STEPS
    net.eval()
    with torch.no_grad():
        assert_near(model.predict(rows), net(*theirs).numpy(), NEAR, "predictions")


# --- layers ---

LAYERS: dict[str, Callable[[], list[Layer]]] = {
    "batch norm": lambda: [Dense(6), BatchNorm(momentum=0.8), ReLU()],
    "batch norm, first": lambda: [BatchNorm(epsilon=1e-5), Dense(6, activation="tanh")],
    "batch norm, last": lambda: [Dense(6, activation="tanh"), Dense(3), BatchNorm(momentum=0.0)],
    "batch norm without beta": lambda: [Dense(6, activation="tanh"), BatchNorm(center=False)],
    "batch norm without gamma": lambda: [Dense(6, activation="tanh"), BatchNorm(scale=False)],
    "batch norm without both": lambda: [Dense(6, activation="tanh"), BatchNorm(center=False, scale=False)],
    "layer norm": lambda: [Dense(6, activation="tanh"), LayerNorm(epsilon=1e-5)],
    "layer norm, first": lambda: [LayerNorm(), Dense(6, activation="tanh")],
    "layer norm without beta": lambda: [Dense(6), LayerNorm(center=False), ReLU()],
    "layer norm without gamma": lambda: [Dense(6), LayerNorm(scale=False), ReLU()],
    "both": lambda: [Dense(6), BatchNorm(), Dense(6, activation="gelu"), LayerNorm(), BatchNorm()],
    "residual": lambda: [Residual([Dense(7, activation="tanh"), Dense(WIDTH)]), ReLU()],
    "residual with a projection": lambda: [Residual([Dense(7, activation="tanh"), Dense(6)], projection=True)],
    "residual with its own projection": lambda: [Residual([Dense(6)], projection=Dense(6, activation="sigmoid"))],
    "residuals in a residual": lambda: [
        Dense(6),
        Residual([BatchNorm(), ReLU(), Residual([LayerNorm(), Dense(6, activation="silu")]), Dense(6)]),
        BatchNorm(),
    ],
}  # fmt: skip


def shaken(model: Model) -> Model:
    """gamma, beta and biases that are not 1 and 0."""
    for layer in model.numbered:
        if isinstance(layer, (BatchNorm, LayerNorm)):
            n = layer.n_in or 0
            if layer.scale:
                layer.gamma = GAMMA[:n]
            if layer.center:
                layer.beta = BETA[:n]
        if isinstance(layer, Dense):
            layer.biases = np.resize(BETA, layer.n_neurons)
    return model


@pytest.mark.parametrize("name", LAYERS)
def test_ten_steps(name: str) -> None:
    model = shaken(make(*LAYERS[name]()))
    assert_ten_steps(model, chain(model))


def test_running_statistics_of_batches_of_unequal_length() -> None:
    model = shaken(make(Dense(6), BatchNorm(momentum=0.7), ReLU()))
    net = chain(model)
    optimizer = torch.optim.SGD(trained(net), lr=0.05, momentum=0.5)
    for epoch in range(3):
        for cut in (slice(0, 15), slice(15, 30), slice(30, 37)):
            list(steps(net, optimizer, lambda cut=cut: F.mse_loss(net(tensor(X[cut])), tensor(Y[cut])), 1))
        model.train(X, Y, batch_size=15)
        assert_same(model, net, f"epoch {epoch}")
    bn = net[1]
    assert not np.allclose(bn.running_var.numpy(), bn.biased.numpy(), rtol=1e-3)  # they do differ


@pytest.mark.parametrize("place", range(5))
def test_ten_steps_with_a_frozen_layer(place: int) -> None:
    """A frozen BatchNorm keeps its gamma and beta, and goes by its moving averages, as Keras's does."""
    layers = [Dense(6), BatchNorm(momentum=0.8), Residual([Dense(6, activation="tanh"), Dense(6)]), LayerNorm()]
    model = shaken(make(*layers))
    model.layers[place].trainable = False
    net = chain(model)
    net[place].requires_grad_(False)
    if isinstance(model.layers[place], BatchNorm):
        net[place].train = lambda mode=True: net[place]
        net[place].training = False
    assert_ten_steps(model, net)


# --- noise ---


def masked(model: Model, step: list[int]) -> Callable[[Layer], Any]:
    """The layers of noise as functions of x, with the random numbers that fastnn draws in that step."""

    def own(layer: Layer) -> Any:
        if isinstance(layer, Dropout):
            return Function(lambda x, on: x * dropped(layer, x) if on else x)
        if isinstance(layer, AlphaDropout):
            return Function(lambda x, on: alpha_dropped(layer, x) if on else x)
        if isinstance(layer, GaussianNoise):
            return Function(lambda x, on: x + layer.stddev * z(layer, x) if on else x)
        if isinstance(layer, GaussianDropout):
            deviation = math.sqrt(layer.rate / (1 - layer.rate))
            return Function(lambda x, on: x * (1 + deviation * z(layer, x)) if on else x)
        return None

    def stream(layer: Layer) -> int:
        assert layer.index is not None
        return STREAM_DROPOUT + layer.index

    def dropped(layer: Dropout, x: Any) -> Any:
        ones = np.ones(x.shape)
        return tensor(functional.dropout(ones, layer.rate, seed=SEED, step=step[0], stream=stream(layer))[1])

    def z(layer: Layer, x: Any) -> Any:
        return tensor(normals(x.numel(), SEED, stream(layer), step[0], np.float64).reshape(x.shape))

    def alpha_dropped(layer: AlphaDropout, x: Any) -> Any:
        """As torch.nn.functional.alpha_dropout has it: Klambauer et al. 2017."""
        drawn = halves(x.numel(), SEED, stream(layer), step[0]).reshape(tuple(x.shape))
        keep, p = tensor(drawn >= round(layer.rate * 65536)), layer.rate
        left = -1.7580993408473766
        a = (left**2 * p * (1 - p) + 1 - p) ** -0.5
        return a * (x * keep + left * (1 - keep)) - a * left * p

    return own


NOISE: dict[str, Callable[[], list[Layer]]] = {
    "dropout": lambda: [Dense(9, activation="tanh"), Dropout(0.25), Dense(6, activation="tanh"), Dropout(0.5)],
    "dropout, first": lambda: [Dropout(0.25), Dense(6, activation="tanh")],
    "dropout in a residual": lambda: [Dense(6), Residual([Dense(6, activation="tanh"), Dropout(0.25), Dense(6)])],
    "dropout before batch norm": lambda: [Dense(6, activation="tanh"), Dropout(0.25), BatchNorm()],
    "alpha dropout": lambda: [Dense(9, activation="selu", weight_initializer="lecun_normal"), AlphaDropout(0.25)],
    "noise": lambda: [GaussianNoise(0.3), Dense(6, activation="tanh"), GaussianNoise(0.1)],
    "gaussian dropout": lambda: [Dense(6, activation="tanh"), GaussianDropout(0.3)],
}


@pytest.mark.parametrize("name", NOISE)
def test_ten_steps_with_the_same_noise(name: str) -> None:
    model, step = make(*NOISE[name]()), [1]
    net = chain(model, masked(model, step))
    assert_ten_steps(model, net, after=lambda: step.__setitem__(0, step[0] + 1))


# --- the input ---


def test_normalization_and_rescale() -> None:
    rows = X * [1.0, 30.0, 0.01, 5.0, 2.0] + [0.0, 100.0, 1.0, -7.0, 3.0]
    first = Normalization()
    model = make(first, Dense(6, activation="tanh"), Rescale(0.5, 0.25))
    first.adapt(rows)
    variance, mean = torch.var_mean(tensor(rows), dim=0, correction=0)
    assert_near(first.mean[0], mean.numpy(), 1e-14)
    assert_near(first.variance[0], variance.numpy(), 1e-13)
    scaled = Function(lambda x, on: (x - mean) / variance.sqrt())
    scaled.tensors = lambda: [mean.reshape(1, -1), variance.reshape(1, -1)]
    made = {0: scaled, 2: Function(lambda x, on: 0.5 * x + 0.25)}
    net = chain(model, lambda layer: made.get(layer.index))
    assert_ten_steps(model, net, rows=rows)


# --- what holds weights ---


def renorm(w: Any, dim: int, bound: float) -> Any:
    """torch.renorm divides by norm + 1e-7: what is within stays, and the rest is made up for."""
    norms = w.norm(dim=1 - dim, keepdim=True)
    return torch.where(norms > bound, torch.renorm(w, 2, dim, bound) * (norms + 1e-7) / norms, w)


# of weights (n_in, n_out), as fastnn has them
CONSTRAINTS: dict[str, tuple[Constraint, Callable[[Any], Any]]] = {
    "max norm": (MaxNorm(0.9), lambda w: renorm(w, 1, 0.9)),
    "max norm of rows": (MaxNorm(0.9, axis=1), lambda w: renorm(w, 0, 0.9)),
    "unit norm": (UnitNorm(), lambda w: F.normalize(w, dim=0)),
    "unit norm of rows": (UnitNorm(axis=1), lambda w: F.normalize(w, dim=1)),
    "not negative": (NonNeg(), lambda w: w.clamp(min=0)),
}


def test_every_constraint_is_here() -> None:
    assert {type(mine) for mine, _ in CONSTRAINTS.values()} == set(Constraint.registry.values())


@pytest.mark.parametrize("of", ["weight", "bias"])
@pytest.mark.parametrize("name", CONSTRAINTS)
def test_ten_steps_within_a_constraint(name: str, of: str) -> None:
    mine, theirs = CONSTRAINTS[name]
    if of == "bias":  # which are one vector, whatever the axis
        theirs = CONSTRAINTS[name.removesuffix(" of rows")][1]
    model = shaken(make(Dense(6, activation="tanh", **{f"{of}_constraint": mine}), Dense(6, activation="tanh")))
    net = chain(model)
    w = net[0].linear.weight if of == "weight" else net[0].linear.bias

    def hold() -> None:
        w.copy_(theirs(w.T if of == "weight" else w.reshape(-1, 1)).T.reshape(w.shape))

    assert_ten_steps(model, net, after=hold)


def test_ten_steps_with_penalties() -> None:
    strengths = {"weight_regularizer_l1": 0.02, "weight_regularizer_l2": 0.03, "bias_regularizer_l1": 0.01}
    model = shaken(make(Dense(6, activation="tanh", **strengths, bias_regularizer_l2=0.04)))
    model.layers[0].biases = GAMMA  # the derivative of |0| is 1 here, as in the book, and 0 in PyTorch
    net = chain(model)
    w, b = net[0].linear.weight, net[0].linear.bias
    assert_ten_steps(
        model,
        net,
        penalty=lambda: 0.02 * w.abs().sum() + 0.03 * (w**2).sum() + 0.01 * b.abs().sum() + 0.04 * (b**2).sum(),
    )


# --- graphs ---


class Graph(torch.nn.Module):
    """The graph of ``graph()``, wired by hand."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.parts = torch.nn.ModuleList([double_of(x) for x in model.layers if isinstance(x, (Dense, BatchNorm))])

    def forward(self, a: Any, b: Any) -> Any:
        left, right, normal, mixed, last = self.parts
        h, g = left(a), right(b)
        n = normal(h)
        joined = torch.cat([h * g * n, b, h + n], dim=1)
        return last(mixed(joined) + h)


def graph() -> Model:
    a, b = Input(3, name="a"), Input(2, name="b")
    h, g = Dense(6, activation="tanh")(a), Dense(6, activation="sigmoid")(b)
    n = BatchNorm(momentum=0.8)(h)
    joined = Concatenate()([Multiply()([h, g, n]), b, Add()([h, n])])
    y = Dense(2)(Add()([Dense(6, activation="gelu")(joined), h]))
    return shaken(finalized(Model(inputs=[a, b], outputs=y, seed=SEED, dtype="float64")))


def test_ten_steps_of_a_graph_of_two_inputs() -> None:
    model = graph()
    net = Graph(model)
    both = {"a": X[:, :3].copy(), "b": X[:, 3:].copy()}
    assert_ten_steps(model, net, net.parts, rows=both, inputs=(tensor(X[:, :3]), tensor(X[:, 3:])))


def test_the_comparison_sees_another_epsilon() -> None:
    model = shaken(make(Dense(6), BatchNorm(), ReLU()))
    net = chain(model)
    net[1].eps = 1.0001e-3
    with pytest.raises(AssertionError, match="step 0, tensor"):
        assert_ten_steps(model, net)
