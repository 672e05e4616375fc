"""A workload, defined once and done by any library: training, prediction, an activation, a product.

A ``Peer`` says how a library builds a network and trains it; a ``Workload`` turns that into a ``Side``: a call to be
timed and a check of what it computes. The peers beside fastnn and plain NumPy stand in ``benchmarks/peers``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from fastnn._bench import numpy_baseline as book
from fastnn._bench.case import Array, Call, difference, normal, uniform
from fastnn._bench.steps import Net

CHECKED = 1000  # elements of a result that are compared
TOLERANCE = 1e-3  # relative: beyond it two sides do not do the same work


class NotExpressibleError(Exception):
    """The library has no such thing, or its own mathematics for it; says which."""


class Learner(ABC):
    """A network in a library, with its optimizer, from ``net.parameters()`` on."""

    def __init__(self, net: Net) -> None:
        self.net = net
        self.restart()

    @abstractmethod
    def restart(self) -> None:
        """Back to the initial weights and a new optimizer."""

    @abstractmethod
    def feed(self, X: Array, y: Array) -> Any:
        """The data as ``run`` takes them, at its best: in the library's arrays, cut into batches where that helps."""

    @abstractmethod
    def run(self, data: Any, epochs: int) -> Any:
        """Train over the data in order, batch by batch; the data losses, of steps or of epochs. Returns when all the
        work is done."""

    def advance(self, data: Any, steps: int) -> None:
        """So many steps over data of one batch, going on from the optimizer's state."""
        self.run(data, steps)

    def predict(self, X: Array) -> Array:
        """Probabilities (rows, classes), from a NumPy array to a NumPy array."""
        raise NotExpressibleError("prediction")


class Peer:
    """A library, or a way of using one. What it cannot do, it says by NotExpressibleError."""

    name = ""
    library = ""  # what is imported
    distribution = ""  # what is installed

    def __init__(self, threads: int = 1) -> None:
        self.threads = threads

    def learner(self, net: Net) -> Learner:
        raise NotExpressibleError("training")

    def predictor(self, net: Net) -> Callable[[Array], Array]:
        """A function of rows, with the initial weights."""
        return self.learner(net).predict

    def server(self, net: Net, X: Array) -> Call:
        """Predicts these rows again and again, as quickly as the library can: into an array that is there where it
        takes one. Gives the probabilities."""
        return partial(self.predictor(net), X)

    def activation(self, name: str, x: Array) -> Call:
        raise NotExpressibleError("activations by themselves")

    def product(self, a: Array, b: Array) -> Call:
        raise NotExpressibleError("products by themselves")

    def many(self, nets: Sequence[Net], together: bool) -> Call:
        raise NotExpressibleError("many models at once")


@dataclass(frozen=True)
class Side:
    """What is timed: ``call`` does ``steps`` steps; ``restart`` comes before each sample, untimed."""

    call: Call
    check: Call  # gives what is compared, an array
    steps: int = 1
    restart: Call | None = None


class Workload(ABC):
    """One line of the results. key is its name among all; flops are those of a step, in this dtype."""

    key: str
    title: str
    family: str
    dtype: str = "float32"

    @property
    def flops(self) -> float:
        return 0.0

    @abstractmethod
    def side(self, peer: Peer) -> Side: ...


@dataclass(frozen=True)
class Train(Workload):
    """Steps of training. Compared: the loss after every tenth, or every one, of the first ``checked`` steps on the
    first batch, without dropout; worked out here from the predictions, as libraries differ in what they report for a
    probability of 0."""

    key: str
    net: Net
    checked: int = 50
    family: str = "train"

    @property
    def title(self) -> str:  # type: ignore[override]
        return f"train step {self.net.name}"

    @property
    def flops(self) -> float:
        return self.net.flops

    def side(self, peer: Peer) -> Side:
        learner = peer.learner(self.net)
        call = partial(learner.run, learner.feed(*self.net.data(self.net.rows)), self.net.epochs)
        check = partial(self.losses, peer if self.net.dropout else learner)
        return Side(call, check, self.net.steps, learner.restart)

    def losses(self, of: Peer | Learner) -> Array:
        learner = of.learner(replace(self.net, dropout=0.0)) if isinstance(of, Peer) else of
        learner.restart()
        X, y = self.net.data(self.net.batch)
        data, chunk = learner.feed(X, y), 10 if self.checked % 10 == 0 else 1
        losses = []
        for _ in range(self.checked // chunk):
            learner.advance(data, chunk)
            losses.append(float(np.mean(book.categorical_crossentropy(learner.predict(X), y))))
        return np.array(losses)


@dataclass(frozen=True)
class Predict(Workload):
    """Probabilities for ``rows`` rows, from Python: NumPy array in, NumPy array out. blank: the share of inputs that
    are 0."""

    key: str
    net: Net
    rows: int
    blank: float = 0.0
    family: str = "predict"

    @property
    def title(self) -> str:  # type: ignore[override]
        zeros = f", {self.blank:.0%} of it 0" if self.blank else ""
        return f"predict {self.rows:,} row{'s' * (self.rows > 1)}{zeros}, {'-'.join(map(str, self.net.widths))}"

    @property
    def flops(self) -> float:
        return sum(2.0 * self.rows * a * b for a, b in zip(self.net.widths, self.net.widths[1:], strict=False))

    def side(self, peer: Peer) -> Side:
        x = normal(self.rows, self.net.widths[0])
        call = peer.server(self.net, np.where(uniform(*x.shape) < self.blank, np.float32(0), x))
        return Side(call, lambda: sampled(call()))


@dataclass(frozen=True)
class Activate(Workload):
    """An activation or vector function of float32, into an array that is there where the library can."""

    key: str
    name: str
    shape: tuple[int, ...]
    family: str = "activation"

    @property
    def title(self) -> str:  # type: ignore[override]
        return f"{self.name} {'x'.join(map(str, self.shape))}"

    def side(self, peer: Peer) -> Side:
        call = peer.activation(self.name, normal(*self.shape))
        return Side(call, lambda: sampled(call()))


@dataclass(frozen=True)
class Product(Workload):
    """(m, k) by (k, n), into ``out``; three different arrays."""

    m: int
    k: int
    n: int
    dtype: str = "float32"
    family: str = "product"

    @property
    def key(self) -> str:  # type: ignore[override]
        return f"G1 {self.title}"

    @property
    def title(self) -> str:  # type: ignore[override]
        shape = f"{self.m}x{self.k}x{self.n}"
        return shape if self.dtype == "float32" else f"{shape}, {self.dtype}"

    @property
    def flops(self) -> float:
        return 2.0 * self.m * self.k * self.n

    def side(self, peer: Peer) -> Side:
        call = peer.product(normal(self.m, self.k).astype(self.dtype), normal(self.k, self.n).astype(self.dtype))
        return Side(call, lambda: sampled(call()))


@dataclass(frozen=True)
class Many(Workload):
    """``count`` models of one shape over the same data: all in one call, or one after another."""

    key: str
    net: Net
    count: int
    together: bool
    family: str = "many"

    @property
    def title(self) -> str:  # type: ignore[override]
        return f"{self.count} models, {'in one call' if self.together else 'one after another'}"

    @property
    def flops(self) -> float:
        return self.count * self.net.steps * self.net.flops

    def side(self, peer: Peer) -> Side:
        call = peer.many([self.net] * self.count, self.together)
        return Side(call, lambda: np.asarray(call()))


def sampled(result: Any) -> Array:
    """At most CHECKED elements of a result, evenly taken."""
    flat = np.asarray(result, np.float64).reshape(-1)
    return flat[:: max(1, flat.size // CHECKED)]


def differs(workload: Workload, ours: Any, theirs: Any) -> float:
    """Largest difference: of losses relative to the loss, or to 0.01 where they have become smaller; of results
    relative to their largest value."""
    a, b = np.asarray(ours, np.float64), np.asarray(theirs, np.float64)
    if workload.family != "train" or a.shape != b.shape:
        return difference(a, b)
    return float(np.max(np.abs(a - b) / np.maximum(np.abs(b), 0.01)))
