"""scikit-learn's MLPClassifier, where it has the same mathematics: no dropout, no decay, three classes or more.

Its Adam adds epsilon before the bias correction of the second moment, where Kingma and Ba's (and all the others') adds
it after; with an epsilon for each step the two are the same.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier, _multilayer_perceptron
from sklearn.neural_network._stochastic_optimizers import AdamOptimizer

from fastnn._bench.case import Array, Call
from fastnn._bench.steps import Net
from fastnn._bench.workload import Learner, NotExpressibleError, Peer

EPSILON = 1e-7


class Adam(AdamOptimizer):  # type: ignore[misc]
    def _get_updates(self, grads: Any) -> Any:
        self.epsilon = EPSILON * (1 - self.beta_2 ** (self.t + 1)) ** 0.5
        return super()._get_updates(grads)


_multilayer_perceptron.AdamOptimizer = Adam  # what ``fit`` makes anew each time


class SklearnLearner(Learner):
    """Weights are handed over after a first ``partial_fit``, which makes the arrays; ``fit`` goes on from them."""

    def restart(self) -> None:
        net = self.net
        if net.dropout or net.l2 or net.decay:
            raise NotExpressibleError("dropout, L2 of one layer, decay of the learning rate")
        if net.widths[-1] < 3:
            raise NotExpressibleError("two classes are one sigmoid output in MLPClassifier")
        self.model = MLPClassifier(
            net.widths[1:-1], solver="adam", alpha=0.0, batch_size=net.batch, learning_rate_init=net.learning_rate,
            epsilon=EPSILON, shuffle=False, tol=0.0, n_iter_no_change=10**9, random_state=0,
        )  # fmt: skip
        classes = net.widths[-1]
        first = np.zeros((max(classes, net.batch), net.widths[0]), np.float32)
        self.model.partial_fit(first, np.arange(len(first)) % classes, classes=np.arange(classes))
        self.model.coefs_ = [w.copy() for w, _ in net.parameters()]
        self.model.intercepts_ = [b[0].copy() for _, b in net.parameters()]
        del self.model._optimizer

    def feed(self, X: Array, y: Array) -> Any:
        return X, y, len(np.unique(y)) == self.net.widths[-1]

    def run(self, data: Any, epochs: int) -> Any:
        X, y, has_every_class = data
        self.model.set_params(warm_start=has_every_class, max_iter=epochs)
        if not has_every_class:  # which fit wants
            return self.advance(data, epochs)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            self.model.fit(X, y)
        return self.model.loss_curve_[-epochs:]

    def advance(self, data: Any, steps: int) -> None:
        self.model.set_params(warm_start=False)
        for _ in range(steps):
            self.model.partial_fit(*data[:2])

    def predict(self, X: Array) -> Array:
        result: Array = self.model.predict_proba(X)
        return result


class Sklearn(Peer):
    name, library, distribution = "sklearn", "sklearn", "scikit-learn"

    def learner(self, net: Net) -> Learner:
        return SklearnLearner(net)

    def activation(self, name: str, x: Array) -> Call:
        raise NotExpressibleError("activations by themselves")
