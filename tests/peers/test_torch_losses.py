"""Ten training steps in float64 from the same weights, for every loss, label smoothing, soft targets and weights:
against PyTorch's, or where it has none (log-cosh, quantile, the hinges) the published formula with PyTorch's gradients.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pytest
from compare import Array
from loss_cases import VARIANTS, draw_targets, last_activation

from fastnn import Dense, Model, _core
from fastnn.losses import BinaryCrossentropy, CategoricalCrossentropy, Huber, Loss, Quantile
from fastnn.optimizers import SGD

pytest.importorskip("torch", reason="PyTorch is not installed: the peers extra has it")
import torch
from torch.nn import functional as F
from torch_double import NEAR, STEPS, assert_same, chain, steps, tensor, trained

ROWS, WIDTH, OUTPUTS = 41, 5, 4
X = np.asarray(_core.random_normal(ROWS * WIDTH, 3, 1)).reshape(ROWS, WIDTH)
WEIGHTS = np.random.default_rng(7).uniform(0, 3, ROWS)
WEIGHTS[::7] = 0
TABLE = [0.5, 2.0, 1.0, 3.0]


def smoothed(loss: Any, t: Any, floor: float) -> Any:
    """PyTorch smooths class labels only, in cross_entropy: the others by Szegedy et al. 2016, section 7."""
    return t * (1 - loss.label_smoothing) + loss.label_smoothing * floor


def categorical(loss: CategoricalCrossentropy, p: Any, t: Any) -> Any:
    # PyTorch's takes scores: the logarithms of probabilities that add up to 1 are scores of theirs
    return F.cross_entropy(
        p if loss.from_logits else p.log(), t, reduction="none", label_smoothing=loss.label_smoothing
    )


def binary(loss: BinaryCrossentropy, p: Any, t: Any) -> Any:
    function = F.binary_cross_entropy_with_logits if loss.from_logits else F.binary_cross_entropy
    return function(p, smoothed(loss, t, 0.5), reduction="none").mean(dim=1)


def categorical_hinge(loss: Loss, p: Any, t: Any) -> Any:
    t = F.one_hot(t, OUTPUTS) if t.ndim == 1 else t
    return F.relu(1 + ((1 - t) * p).max(dim=1).values - (t * p).sum(dim=1))


def log_cosh(loss: Loss, p: Any, t: Any) -> Any:
    return torch.log(torch.cosh(p - t)).mean(dim=1)


def quantile(loss: Quantile, p: Any, t: Any) -> Any:
    return torch.maximum(loss.q * (t - p), (loss.q - 1) * (t - p)).mean(dim=1)


def huber(loss: Huber, p: Any, t: Any) -> Any:
    return F.huber_loss(p, t, reduction="none", delta=loss.delta).mean(dim=1)


# the loss of each row
THEIRS: dict[str, Callable[[Any, Any, Any], Any]] = {
    "categorical_crossentropy": categorical,
    "categorical_crossentropy_logits": categorical,
    "binary_crossentropy": binary,
    "binary_crossentropy_logits": binary,
    "kl_divergence": lambda loss, p, t: F.kl_div(p.log(), t, reduction="none").sum(dim=1),
    "mean_squared_error": lambda loss, p, t: F.mse_loss(p, t, reduction="none").mean(dim=1),
    "mean_absolute_error": lambda loss, p, t: F.l1_loss(p, t, reduction="none").mean(dim=1),
    "huber": huber,
    "log_cosh": log_cosh,
    "quantile": quantile,
    "poisson": lambda loss, p, t: F.poisson_nll_loss(p, t, log_input=False, eps=0.0, reduction="none").mean(dim=1),
    "hinge": lambda loss, p, t: F.relu(1 - t * p).mean(dim=1),
    "squared_hinge": lambda loss, p, t: (F.relu(1 - t * p) ** 2).mean(dim=1),
    "categorical_hinge": categorical_hinge,
}


def rows_of(loss: Any) -> Callable[[Any, Any], Any]:
    return partial(THEIRS[loss.kernel], loss)


@dataclass
class Pair:
    """The same network twice."""

    model: Model
    net: Any
    optimizer: Any


def pair(loss: Loss, *, activation: str | None = None, outputs: int = OUTPUTS) -> Pair:
    last = last_activation(loss) if activation is None else activation
    model = Model(
        [Dense(9, activation="tanh"), Dense(7, activation="tanh"), Dense(outputs, activation=last)],
        seed=4,
        dtype="float64",
    )
    model.set(loss=loss, optimizer=SGD(0.1, momentum=0.5))
    model.finalize(WIDTH)
    net = chain(model)
    return Pair(model, net, torch.optim.SGD(trained(net), lr=0.1, momentum=0.5))


def targets_of(loss: Loss, outputs: int = OUTPUTS) -> Array:
    return draw_targets(np.random.default_rng(5), loss, ROWS, outputs)


def torch_targets(y: Array, outputs: int = OUTPUTS) -> Any:
    return torch.from_numpy(y) if y.ndim == 1 and outputs > 1 else tensor(y.reshape(len(y), -1))


def assert_ten_steps(
    two: Pair, y: Array, row_losses: Callable[[Any, Any], Any], weights: Array | float = 1.0, **given: Any
) -> None:
    """Loss and weights after each step of all rows. row_losses: of predictions and targets; the loss is sum(weight *
    loss) / rows."""
    t, w, losses = torch_targets(y, two.model.plan.n_out), tensor(weights), []

    def loss() -> Any:
        return (w * row_losses(two.net(tensor(X)), t)).mean()

    for k, value in enumerate(steps(two.net, two.optimizer, loss)):
        two.model.train(X, y, **given)
        assert two.model.history["loss"][-1] == pytest.approx(value, rel=NEAR)
        assert_same(two.model, two.net, f"step {k}")
        losses.append(value)
    assert len(set(losses)) == STEPS
    assert min(losses) < losses[0]


def test_every_loss_is_here() -> None:
    assert set(THEIRS) == {*_core.LOSSES} - {"python"}
    assert {loss.kernel for loss in VARIANTS.values()} == set(THEIRS)


@pytest.mark.parametrize("name", VARIANTS)
def test_ten_steps(name: str) -> None:
    loss = VARIANTS[name]
    assert_ten_steps(pair(loss), targets_of(loss), rows_of(loss))


@pytest.mark.parametrize("name", VARIANTS)
def test_ten_steps_with_weights_of_rows(name: str) -> None:
    loss = VARIANTS[name]
    assert_ten_steps(pair(loss), targets_of(loss), rows_of(loss), WEIGHTS, sample_weight=WEIGHTS)


@pytest.mark.parametrize("name", [name for name in VARIANTS if VARIANTS[name].takes_labels])
def test_ten_steps_with_weights_of_classes(name: str) -> None:
    """The row's loss as a whole is multiplied. PyTorch's ``weight=`` is the same without smoothing, but its mean is
    over the sum of the weights, and with smoothing each class's share has its own: rows are weighted here."""
    loss, y = VARIANTS[name], targets_of(VARIANTS[name])
    rows = rows_of(loss)
    assert_ten_steps(pair(loss), y, rows, np.array(TABLE)[y], class_weight=dict(enumerate(TABLE)))
    balanced = len(y) / (OUTPUTS * np.bincount(y, minlength=OUTPUTS))[y]
    assert_ten_steps(pair(loss), y, rows, balanced, class_weight="balanced")
    both = np.array(TABLE)[y] * WEIGHTS
    assert_ten_steps(pair(loss), y, rows, both, class_weight=TABLE, sample_weight=WEIGHTS)


@pytest.mark.parametrize("from_logits", [False, True])
def test_weights_of_classes_are_those_of_pytorch(from_logits: bool) -> None:
    loss = CategoricalCrossentropy(from_logits=from_logits)
    y, table = targets_of(loss), tensor(TABLE)

    def rows(p: Any, t: Any) -> Any:
        return F.cross_entropy(p if from_logits else p.log(), t, weight=table, reduction="none")

    assert_ten_steps(pair(loss), y, rows, class_weight=TABLE)


def test_the_weight_of_the_second_class_is_pos_weight() -> None:
    loss = BinaryCrossentropy(from_logits=True)

    def rows(p: Any, t: Any) -> Any:
        return F.binary_cross_entropy_with_logits(p, t, pos_weight=tensor(2.5), reduction="none").mean(dim=1)

    assert_ten_steps(pair(loss, outputs=1), targets_of(loss, 1), rows, class_weight={1: 2.5})


@pytest.mark.parametrize("name", [name for name in VARIANTS if VARIANTS[name].kernel.startswith("categorical")])
def test_one_hot_targets_are_labels(name: str) -> None:
    loss, labels = VARIANTS[name], targets_of(VARIANTS[name])
    assert_ten_steps(pair(loss), np.eye(OUTPUTS)[labels], rows_of(loss))


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("from_logits", [False, True])
@pytest.mark.parametrize("kind", [CategoricalCrossentropy, BinaryCrossentropy])
def test_soft_targets(kind: Any, from_logits: bool, smoothing: float) -> None:
    loss = kind(from_logits=from_logits, label_smoothing=smoothing)
    t = np.random.default_rng(8).uniform(0, 1, (ROWS, OUTPUTS))
    t = t / t.sum(axis=1, keepdims=True) if kind is CategoricalCrossentropy else t
    assert_ten_steps(pair(loss), t, rows_of(loss))


@pytest.mark.parametrize(
    ("kind", "activation"), [(CategoricalCrossentropy, "sigmoid"), (BinaryCrossentropy, "softmax")]
)
def test_ten_steps_through_an_activation_that_is_not_merged(kind: Any, activation: str) -> None:
    """The derivatives by the probabilities and by what gave them are taken one after the other."""
    loss = kind(label_smoothing=0.1)
    two, y = pair(loss, activation=activation), targets_of(loss)
    assert not two.model.merged
    if kind is BinaryCrossentropy:
        assert_ten_steps(two, y, lambda p, t: binary(loss, p, t))
        return

    def rows(p: Any, t: Any) -> Any:
        return -(smoothed(loss, F.one_hot(t, OUTPUTS).double(), 1 / OUTPUTS) * p.log()).sum(dim=1)

    assert_ten_steps(two, y, rows)


@pytest.mark.parametrize("name", VARIANTS)
def test_batches_of_which_the_last_is_short(name: str) -> None:
    loss = VARIANTS[name]
    two, y = pair(loss), targets_of(loss)
    cuts = [slice(i, i + 13) for i in range(0, ROWS, 13)]
    t, w = torch_targets(y), tensor(WEIGHTS)
    assert len(X[cuts[-1]]) == 2

    def mean(cut: slice) -> Any:
        return (w[cut] * rows_of(loss)(two.net(tensor(X[cut])), t[cut])).mean()

    for epoch in range(3):
        for cut in cuts:
            list(steps(two.net, two.optimizer, lambda cut=cut: mean(cut), 1))
        two.model.train(X, y, batch_size=13, sample_weight=WEIGHTS)
        assert_same(two.model, two.net, f"{name}, epoch {epoch}")


@pytest.mark.parametrize("name", VARIANTS)
def test_evaluation(name: str) -> None:
    loss = VARIANTS[name]
    two, y = pair(loss), targets_of(loss)
    with torch.no_grad():
        rows = THEIRS[loss.kernel](loss, two.net(tensor(X)), torch_targets(y))
    assert two.model.evaluate(X, y)[0] == pytest.approx(float(rows.mean()), rel=1e-12)
    weighted = two.model.evaluate(X, y, sample_weight=WEIGHTS)[0]
    assert weighted == pytest.approx(float((rows * tensor(WEIGHTS)).mean()), rel=1e-12)


def test_the_comparison_sees_another_loss() -> None:
    loss = Huber(0.3)
    with pytest.raises(AssertionError):
        assert_ten_steps(pair(loss), targets_of(loss), lambda p, t: huber(Huber(0.3001), p, t))
