"""fastnn itself, and plain NumPy, as the two peers that are always there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

import fastnn
from fastnn import functional
from fastnn._bench import numpy_baseline as book
from fastnn._bench.case import Array, Call
from fastnn._bench.numpy_activations import numpy_activation
from fastnn._bench.steps import Net
from fastnn._bench.workload import Learner, NotExpressibleError, Peer


class FastnnLearner(Learner):
    def restart(self) -> None:
        self.model = self.net.model()

    def feed(self, X: Array, y: Array) -> Any:
        return X, y

    def run(self, data: Any, epochs: int) -> Any:
        return self.model.train(*data, epochs=epochs, batch_size=self.net.batch)["data_loss"]

    def predict(self, X: Array) -> Array:
        return self.model.predict(X)


class Fastnn(Peer):
    """Through the public doors."""

    name, library, distribution = "fastnn", "fastnn", "fastnn-cpu"

    def __init__(self, threads: int = 1) -> None:
        super().__init__(threads)
        fastnn.set_num_threads(threads)

    def learner(self, net: Net) -> Learner:
        return FastnnLearner(net)

    def server(self, net: Net, X: Array) -> Call:
        run, out = net.model().session().run, np.empty((len(X), net.widths[-1]), np.float32)
        return lambda: run(X, out=out)

    def activation(self, name: str, x: Array) -> Call:
        if name == "exp":
            return partial(functional.exp, x, np.empty_like(x))
        try:
            return partial(functional.activation, name, x, functional.activation(name, x))
        except ValueError as error:
            raise NotExpressibleError(str(error)) from None

    def product(self, a: Array, b: Array) -> Call:
        return partial(functional.dot, a, b, np.empty((a.shape[0], b.shape[1]), a.dtype))

    def many(self, nets: Sequence[Net], together: bool) -> Call:
        X, y = nets[0].data(nets[0].rows)
        settings: dict[str, Any] = {"epochs": nets[0].epochs, "batch_size": nets[0].batch, "shuffle": False}

        def one_after_another() -> list[Any]:
            return [net.model().train(X, y, **settings)["data_loss"][-1] for net in nets]

        def in_one_call() -> list[Any]:
            histories = fastnn.fit_many([net.model() for net in nets], X, y, n_jobs=self.threads, **settings)
            return [history["data_loss"][-1] for history in histories]

        return in_one_call if together else one_after_another


class FastnnPredict(Peer):
    """``model.predict`` in place of a session."""

    name, library, distribution = "fastnn.predict", "fastnn", "fastnn-cpu"

    def predictor(self, net: Net) -> Callable[[Array], Array]:
        return net.model().predict


class NumPyLearner(Learner):
    def restart(self) -> None:
        self.layers, self.optimizer = self.net.layers(), self.net.optimizer()

    def feed(self, X: Array, y: Array) -> Any:
        return X, y

    def run(self, data: Any, epochs: int) -> Any:
        return book.train(self.layers, self.optimizer, *data, epochs=epochs, batch_size=self.net.batch)

    def predict(self, X: Array) -> Array:
        return book.forward(self.layers, X, training=False)


class NumPy(Peer):
    """The book's classes, float32."""

    name, library, distribution = "numpy", "numpy", "numpy"

    def learner(self, net: Net) -> Learner:
        return NumPyLearner(net)

    def activation(self, name: str, x: Array) -> Call:
        if name == "gelu":
            raise NotExpressibleError("NumPy has no erf")
        y = np.empty_like(x)
        return partial(np.exp, x, y) if name == "exp" else numpy_activation(name, x, y)

    def product(self, a: Array, b: Array) -> Call:
        return partial(np.matmul, a, b, np.empty((a.shape[0], b.shape[1]), a.dtype))
