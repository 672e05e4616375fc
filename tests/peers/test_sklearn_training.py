"""Training as scikit-learn's perceptrons train, from the same weights and on the same batches, in float64.

Where their conventions differ from ours (which are Keras's and PyTorch's), these tests translate:

* ``alpha`` adds alpha / 2 * sum w^2 / (rows of the batch) to a batch's loss, ``weight_regularizer_l2`` l2 * sum w^2:
  l2 = alpha / (2 * rows), the same for all batches only where they are of one length. Biases are not penalized.
* The squared error is half of ours. Of several outputs they report the mean, but follow the gradient of the sum; of the
  others (log loss of several labels, Poisson) both are sums. Ours is the mean over outputs in both: a weight of each
  row makes up for it.
* The Poisson loss they report is half the deviance, with y ln y - y added, which no gradient sees.
* Adam's epsilon is added before the correction of the second moment (their "epsilon hat"), ours after it, so a small
  one is used.
* ``loss_curve_`` has the penalty at each step's weights, ``history["regularization_loss"]`` at the epoch's end.
* Weights of rows are divided by their sum, not by the number of rows.
* ``partial_fit`` of more than 200 rows is several steps, ``train_on_batch`` one.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from compare import Array, assert_near

from fastnn import Dense, Model
from fastnn.optimizers import SGD, Adam, Optimizer

pytest.importorskip("sklearn", reason="scikit-learn is not installed: the peers extra has it")
from sklearn.neural_network import MLPClassifier, MLPRegressor

NEAR = 1e-9
ROWS, BATCH, WIDTH = 60, 15, 5
RNG = np.random.default_rng(3)
X = RNG.standard_normal((ROWS, WIDTH))
ACTIVATIONS = {"identity": "linear", "logistic": "sigmoid", "tanh": "tanh", "relu": "relu"}


@dataclass(frozen=True)
class Task:
    """outputs: of the network. weight: of each row here, that makes our loss's gradient theirs. reported: their loss,
    from ours with that weight."""

    kind: Any
    y: Array
    outputs: int
    loss: str
    last: str
    weight: float = 1.0
    reported: Callable[[float], float] = lambda loss: loss
    options: tuple[tuple[str, Any], ...] = ()


COUNTS = RNG.poisson(2.0, (ROWS, 2))
CONSTANT = float((np.where(COUNTS > 0, COUNTS * np.log(np.maximum(COUNTS, 1)), 0) - COUNTS).sum(axis=1).mean())
TASKS = {
    "two classes": Task(MLPClassifier, (X[:, 0] > 0).astype(int), 1, "binary_crossentropy", "sigmoid"),
    "four classes": Task(MLPClassifier, X[:, :4].argmax(axis=1), 4, "categorical_crossentropy", "softmax"),
    "three labels": Task(MLPClassifier, (X[:, :3] > 0).astype(int), 3, "binary_crossentropy", "sigmoid", 3.0),
    "a number": Task(MLPRegressor, np.sin(X[:, 0]), 1, "mean_squared_error", "linear", 0.5),
    "two numbers": Task(
        MLPRegressor, np.sin(X[:, :2]), 2, "mean_squared_error", "linear", 1.0, lambda loss: loss / 2
    ),
    "counts": Task(
        MLPRegressor, COUNTS, 2, "poisson", "exponential", 2.0, lambda loss: loss + CONSTANT, (("loss", "poisson"),)
    ),
}  # fmt: skip

EPSILON = 1e-14
SOLVERS: dict[str, tuple[dict[str, Any], Callable[[], Optimizer]]] = {
    "sgd": ({"solver": "sgd", "learning_rate_init": 0.05, "momentum": 0.0}, lambda: SGD(0.05)),
    "momentum": (
        {"solver": "sgd", "learning_rate_init": 0.02, "momentum": 0.8, "nesterovs_momentum": False},
        lambda: SGD(0.02, momentum=0.8),
    ),
    "nesterov": (
        {"solver": "sgd", "learning_rate_init": 0.02, "momentum": 0.8, "nesterovs_momentum": True},
        lambda: SGD(0.02, momentum=0.8, nesterov=True),
    ),
    "adam": (
        {"solver": "adam", "learning_rate_init": 0.01, "beta_1": 0.8, "beta_2": 0.99, "epsilon": EPSILON},
        lambda: Adam(0.01, beta_1=0.8, beta_2=0.99, epsilon=EPSILON),
    ),
}


def perceptron(task: Task, activation: str = "tanh", **options: Any) -> Any:
    usual = {"hidden_layer_sizes": (9, 7), "shuffle": False, "random_state": 4, "tol": 0.0, "n_iter_no_change": 10**6}
    return task.kind(
        activation=activation, **usual | {"alpha": 0.0, "batch_size": BATCH} | dict(task.options) | options
    )


def fitted(estimator: Any, y: Array, **given: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it has not converged
        return estimator.fit(X, y, **given)


def arrays(estimator: Any) -> list[Array]:
    pairs = zip(estimator.coefs_, estimator.intercepts_, strict=True)
    return [a for w, b in pairs for a in (w, b.reshape(1, -1))]


def twin(task: Task, optimizer: Optimizer, activation: str = "tanh", l2: float = 0.0) -> Model:
    """The network with the weights that the estimator of the same random_state draws, before its first step."""
    fresh = arrays(fitted(perceptron(task, activation, max_iter=1, learning_rate_init=1e-300), task.y))
    names = [ACTIVATIONS[activation]] * 2 + [task.last]
    layers = [
        Dense(n, activation=name, weight_regularizer_l2=l2) for n, name in zip((9, 7, task.outputs), names, strict=True)
    ]
    model = Model(layers, dtype="float64", seed=1)
    model.set(loss=task.loss, optimizer=optimizer)
    model.finalize(WIDTH)
    model.set_parameters(list(zip(fresh[::2], fresh[1::2], strict=True)))
    return model


def assert_same(model: Model, estimator: Any, what: str) -> None:
    mine = [a for pair in model.get_parameters() for a in pair]
    for i, (got, want) in enumerate(zip(mine, arrays(estimator), strict=True)):
        assert_near(got, want, NEAR, f"{what}, tensor {i}")


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("name", TASKS)
def test_epochs(name: str, solver: str) -> None:
    """One epoch and five, of four batches each: the weights, and the loss of each epoch."""
    task, (options, optimizer) = TASKS[name], SOLVERS[solver]
    for epochs in (1, 5):
        theirs = fitted(perceptron(task, max_iter=epochs, **options), task.y)
        model = twin(task, optimizer())
        model.train(X, task.y, epochs=epochs, batch_size=BATCH, sample_weight=np.full(ROWS, task.weight))
        assert_same(model, theirs, f"{epochs} epochs")
        losses = [task.reported(loss) for loss in model.history["loss"]]
        np.testing.assert_allclose(losses, theirs.loss_curve_, rtol=NEAR)
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("name", TASKS)
def test_every_activation(name: str, activation: str) -> None:
    task, (options, optimizer) = TASKS[name], SOLVERS["nesterov"]
    theirs = fitted(perceptron(task, activation, max_iter=3, **options), task.y)
    model = twin(task, optimizer(), activation)
    model.train(X, task.y, epochs=3, batch_size=BATCH, sample_weight=np.full(ROWS, task.weight))
    assert_same(model, theirs, activation)


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("name", TASKS)
def test_alpha_is_l2(name: str, solver: str) -> None:
    task, (options, optimizer) = TASKS[name], SOLVERS[solver]
    alpha, epochs = 0.7, 5
    theirs = fitted(perceptron(task, max_iter=epochs, alpha=alpha, batch_size=ROWS, **options), task.y)
    l2 = alpha / (2 * ROWS)
    model = twin(task, optimizer(), l2=l2)
    at_first = l2 * sum(float((w**2).sum()) for w, _ in model.get_parameters())
    model.train(X, task.y, epochs=epochs, sample_weight=np.full(ROWS, task.weight))
    assert_same(model, theirs, "alpha")
    penalties = [at_first, *model.history["regularization_loss"]][:epochs]  # of the weights each step began with
    losses = [task.reported(a) + b for a, b in zip(model.history["data_loss"], penalties, strict=True)]
    np.testing.assert_allclose(losses, theirs.loss_curve_, rtol=NEAR)

    theirs = fitted(perceptron(task, max_iter=epochs, alpha=alpha, **options), task.y)
    model = twin(task, optimizer(), l2=alpha / (2 * BATCH))
    model.train(X, task.y, epochs=epochs, batch_size=BATCH, sample_weight=np.full(ROWS, task.weight))
    assert_same(model, theirs, "alpha, in batches")


@pytest.mark.parametrize("name", TASKS)
def test_weights_of_rows(name: str) -> None:
    task, (options, optimizer) = TASKS[name], SOLVERS["momentum"]
    weights = np.random.default_rng(5).uniform(0, 4, ROWS)
    theirs = fitted(perceptron(task, max_iter=5, batch_size=ROWS, **options), task.y, sample_weight=weights)
    model = twin(task, optimizer())
    model.train(X, task.y, epochs=5, sample_weight=weights / weights.mean() * task.weight)
    assert_same(model, theirs, "weighted")


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("name", TASKS)
def test_partial_fit_is_train_on_batch(name: str, solver: str) -> None:
    task, (options, optimizer) = TASKS[name], SOLVERS[solver]
    theirs, model = perceptron(task, batch_size="auto", **options), twin(task, optimizer())
    classes = {"classes": np.unique(task.y)} if task.kind is MLPClassifier else {}
    if task.kind is MLPClassifier and task.y.ndim == 2:
        classes = {"classes": np.arange(task.y.shape[1])}
    for step in range(10):
        rows = np.arange(step, step + 30)
        theirs.partial_fit(X[rows], task.y[rows], **classes)
        model.train_on_batch(X[rows], task.y[rows], sample_weight=np.full(30, task.weight))
        assert_same(model, theirs, f"step {step}")


def test_the_comparison_sees_another_alpha() -> None:
    task, (options, optimizer) = TASKS["a number"], SOLVERS["sgd"]
    theirs = fitted(perceptron(task, max_iter=1, alpha=1e-3, **options), task.y)
    model = twin(task, optimizer())
    model.train(X, task.y, epochs=1, batch_size=BATCH, sample_weight=np.full(ROWS, task.weight))
    with pytest.raises(AssertionError, match="tensor 0: off by"):
        assert_same(model, theirs, "alpha")
