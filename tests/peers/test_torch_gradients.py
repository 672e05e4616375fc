"""Values and gradients without a step between: every activation, and the derivatives of models by their input, in
float64 against torch.nn.functional and torch.autograd."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
from compare import Array, assert_near, assert_within

from fastnn import Dense, Model, _core, functional
from fastnn.activations import ELU, Activation, LeakyReLU
from fastnn.losses import Loss

pytest.importorskip("torch", reason="PyTorch is not installed: the peers extra has it")
import torch
from test_torch_layers import LAYERS, Graph, X, Y, graph, make, shaken
from test_torch_losses import THEIRS, VARIANTS, pair, targets_of, torch_targets
from torch_double import ACTIVATIONS, activation, chain, tensor

FUNCTIONS = {cls.names[0]: cls() for cls in Activation.registry.values()}
WITH_ALPHA = {f"{cls.names[0]} {alpha}": cls(alpha) for cls in (LeakyReLU, ELU) for alpha in (0.0, 0.3, 2.0)}
EVERY = FUNCTIONS | WITH_ALPHA
POINTS = np.concatenate([np.linspace(-40, 40, 801), np.asarray(_core.random_normal(1001, 5, 1)), [1e-9, -1e-9, 1e-300]])
POINTS = POINTS[: len(POINTS) // 7 * 7].reshape(-1, 7)


def test_every_activation_is_here() -> None:
    assert {*ACTIVATIONS, "step"} == set(_core.ACTIVATIONS) == {layer.kernel for layer in FUNCTIONS.values()}


@pytest.mark.parametrize("name", EVERY)
def test_activations(name: str) -> None:
    layer, slopes = EVERY[name], np.random.default_rng(6).standard_normal(POINTS.shape)
    x = tensor(POINTS).requires_grad_()
    if layer.kernel == "step":
        y = torch.heaviside(x.detach(), torch.zeros((), dtype=x.dtype))
        dx = torch.zeros_like(y)
    else:
        y = activation(layer)(x)
        (dx,) = torch.autograd.grad(y, x, tensor(slopes))
    alpha = layer.alpha if layer.config() else None
    got = functional.activation(layer.kernel, POINTS, alpha=alpha)
    want = y.detach().numpy()
    assert_within(got, want, 1e-12 * np.maximum(np.abs(want), 1), name)
    saved = got if _core.ACTIVATION_SAVES[layer.kernel] == "Y" else POINTS
    back = functional.activation_backward(layer.kernel, slopes, saved, alpha=alpha)
    assert_within(back, dx.numpy(), 1e-12 * np.maximum(np.abs(dx.numpy()), 1), f"{name}, backward")
    assert_near(got, want, 1e-12, name)
    assert_near(back, dx.numpy(), 1e-12, f"{name}, backward")


@pytest.mark.parametrize("name", EVERY)
def test_activations_in_a_model(name: str) -> None:
    layer = EVERY[name]
    model = shaken(make(Dense(9, activation="tanh"), Dense(6, activation=copy.copy(layer))))
    if layer.kernel == "step":
        assert not model.jacobian(X).any()
        return
    assert_jacobian(model, chain(model))


# --- models by their input ---


def jacobian_of(net: Any, *inputs: Any) -> Array:
    """(rows, outputs, columns of all inputs); a row's output depends on that row alone."""
    net.eval()
    leaves = [tensor(x).requires_grad_() for x in inputs]
    y = net(*leaves)
    by_output = [torch.autograd.grad(y[:, j].sum(), leaves, retain_graph=True) for j in range(y.shape[1])]
    return np.stack([torch.cat(parts, dim=1).numpy() for parts in by_output], axis=1)


def assert_jacobian(model: Model, net: Any, X: Any = X, inputs: tuple[Array, ...] = (X,)) -> None:
    want = jacobian_of(net, *inputs)
    assert_near(model.jacobian(X), want, 1e-12, "jacobian")
    assert_near(model.jacobian(X, batch_size=5), want, 1e-12, "jacobian, 5 rows at a time")
    outputs = np.arange(len(want)) % want.shape[1]
    rows = np.arange(len(want))
    assert_near(model.input_gradient(X, output=outputs), want[rows, outputs], 1e-12, "an output of each row")
    assert_near(model.input_gradient(X, output=0), want[:, 0], 1e-12, "the first output")
    leaves = [tensor(x).requires_grad_() for x in inputs]
    loss = ((net(*leaves) - tensor(Y)) ** 2).mean(dim=1).sum()
    by_input = torch.cat(torch.autograd.grad(loss, leaves), dim=1).numpy()
    assert_near(model.input_gradient(X, Y), by_input, 1e-12, "the loss")


@pytest.mark.parametrize("name", LAYERS)
def test_jacobian_of_a_trained_chain(name: str) -> None:
    model = shaken(make(*LAYERS[name]()))
    model.train(X, Y, epochs=3)
    assert_jacobian(model, chain(model))


def test_jacobian_of_a_trained_graph_of_two_inputs() -> None:
    model = graph()
    both = [X[:, :3].copy(), X[:, 3:].copy()]
    model.train(both, Y, epochs=3)
    assert_jacobian(model, Graph(model), both, tuple(both))


@pytest.mark.parametrize("name", VARIANTS)
def test_gradient_of_every_loss_by_the_input(name: str) -> None:
    loss: Loss = VARIANTS[name]
    two, y = pair(loss), targets_of(loss)
    rows = tensor(X[: len(y)]).requires_grad_()
    y = y[: len(rows)]
    total = THEIRS[loss.kernel](loss, two.net(rows), torch_targets(y)).sum()
    (want,) = torch.autograd.grad(total, rows)
    assert_near(two.model.input_gradient(X, y), want.numpy(), 1e-12, name)


def test_the_comparison_sees_another_activation() -> None:
    model = shaken(make(Dense(6, activation="gelu")))
    other = shaken(make(Dense(6, activation="gelu_tanh")))
    with pytest.raises(AssertionError, match="jacobian: off by"):
        assert_jacobian(model, chain(other))
