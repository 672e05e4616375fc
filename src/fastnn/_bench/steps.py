"""The train steps T1 to T7: the same network for fastnn and for the book's NumPy, from the same initial weights."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from functools import lru_cache, partial

import numpy as np

from fastnn import Dense, Dropout, Layer, Model, Softmax
from fastnn._bench import numpy_baseline as book
from fastnn._bench.case import SEED, Array, Case, Work, labels, normal
from fastnn.optimizers import Adam


@dataclass(frozen=True)
class Net:
    """A classifier: dense layers with ReLU, softmax and cross-entropy, Adam. ``rows`` are trained on ``epochs`` times a
    call, long enough that the call itself does not count."""

    name: str
    widths: tuple[int, ...]
    batch: int
    rows: int
    epochs: int = 1
    learning_rate: float = 0.001
    decay: float = 0.0
    l2: float = 0.0  # of the first layer, as in the book's chapter 18
    dropout: float = 0.0

    @property
    def steps(self) -> int:
        """Steps of one call."""
        return -(-self.rows // self.batch) * self.epochs

    @property
    def flops(self) -> float:
        """Of one step's products: forward, weight gradients, and input gradients but the first layer's."""
        shapes = list(zip(self.widths, self.widths[1:], strict=False))
        return sum(2.0 * self.batch * a * b * (2 if i == 0 else 3) for i, (a, b) in enumerate(shapes))

    def data(self, rows: int) -> tuple[Array, Array]:
        return normal(rows, self.widths[0]), labels(rows, self.widths[-1])

    def parameters(self) -> list[tuple[Array, Array]]:
        """Initial weights (He) and biases of each layer; to be copied."""
        return list(_parameters(self.widths))

    def model(self) -> Model:
        """In fastnn."""
        layers: list[Layer] = []
        for i, width in enumerate(self.widths[1:-1]):
            l2 = self.l2 if i == 0 else 0.0
            layers.append(Dense(width, activation="relu", weight_regularizer_l2=l2, bias_regularizer_l2=l2))
            if self.dropout:
                layers.append(Dropout(self.dropout))
        model = Model([*layers, Dense(self.widths[-1]), Softmax()], seed=0)
        model.set(loss="categorical_crossentropy", optimizer=Adam(learning_rate=self.learning_rate, decay=self.decay))
        model.finalize(self.widths[0])
        model.set_parameters(self.parameters())
        return model

    def layers(self) -> list[book.Layer]:
        """In NumPy."""
        layers: list[book.Layer] = []
        for i, (weights, biases) in enumerate(self.parameters()):
            if i:
                layers.append(book.ReLU())
            if i and self.dropout:
                layers.append(book.Dropout(self.dropout))
            l2 = 0.0 if i else self.l2
            layers.append(book.Dense(*weights.shape, l2=l2, bias_l2=l2, weights=weights, biases=biases))
        return [*layers, book.Softmax()]

    def optimizer(self) -> book.Optimizer:
        return book.Adam(learning_rate=self.learning_rate, decay=self.decay)


@lru_cache(maxsize=1)  # drawing them takes longer than a step
def _parameters(widths: tuple[int, ...]) -> list[tuple[Array, Array]]:
    rng = np.random.default_rng(SEED + 3)
    drawn = []
    for a, b in itertools.pairwise(widths):
        weights = rng.standard_normal((a, b), np.float32) * np.float32(np.sqrt(2 / a))
        weights.flags.writeable = False
        drawn.append((weights, np.zeros((1, b), np.float32)))
    return drawn


NETS = {
    net.name.split()[0]: net
    for net in (
        Net("T1 4-64-64-2, batch 32", (4, 64, 64, 2), 32, 3200, epochs=5),
        Net("T2 2-64-3, batch 300", (2, 64, 3), 300, 300, epochs=400),
        Net("T3 784-128-128-10, batch 128", (784, 128, 128, 10), 128, 3200),
        Net("T4 784-128-128-10, batch 32", (784, 128, 128, 10), 32, 1600),
        Net("T5 64-64-10, batch 1", (64, 64, 10), 1, 400, epochs=4),
        Net("T6 1024-2048-2048-10, batch 512", (1024, 2048, 2048, 10), 512, 512),
        Net("T7 2-512-3, dropout, L2, batch 3000", (2, 512, 3), 3000, 3000, epochs=2, learning_rate=0.05, decay=5e-5,
            l2=5e-4, dropout=0.1),
    )
}  # fmt: skip


def train_step(net: Net) -> Case:
    """The time of a step within a run of ``net.steps``; steps go on from where the call before left the weights."""

    def make() -> Work:
        X, y = net.data(net.rows)
        model, layers, optimizer = net.model(), net.layers(), net.optimizer()
        fastnn = partial(model.train, X, y, epochs=net.epochs, batch_size=net.batch)
        numpy = partial(book.train, layers, optimizer, X, y, epochs=net.epochs, batch_size=net.batch)
        checked = 50 if net.flops < 1e9 else 3
        return Work(fastnn, numpy, flops=net.flops, steps=net.steps, error=partial(losses_differ, net, checked))

    return Case(f"train step {net.name}", "step", make)


def losses_differ(net: Net, steps: int = 50) -> float:
    """The largest relative difference between fastnn's and NumPy's data losses over the first ``steps`` steps, from the
    same weights on the same batch. Dropout is left out, as each side draws its own masks."""
    net = replace(net, dropout=0.0)
    X, y = net.data(net.batch)
    model = net.model()
    model.train(X, y, epochs=steps)
    ours = np.array(model.history["data_loss"])
    theirs = np.array(book.train(net.layers(), net.optimizer(), X, y, epochs=steps))
    return float(np.max(np.abs(ours - theirs) / theirs))
