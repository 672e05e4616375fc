"""The workloads that are run against the peers: T1 to T7, P1 to P3 and the batches between, A1, G1, S1, and work that
grows."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np

from fastnn._bench.case import SEED
from fastnn._bench.steps import NETS, Net
from fastnn._bench.workload import Activate, Many, Predict, Product, Train, Workload

TRAIN: list[Workload] = [Train(key, net) for key, net in NETS.items()]

P1, P2 = Net("P1", (4, 64, 64, 2), 1, 1), Net("P2", (784, 128, 128, 10), 1, 1)
ROWS = (8, 32, 128, 512, 2048)
PREDICT: list[Workload] = [
    Predict("P1", P1, 1),
    Predict("P2", P2, 1),
    Predict("P2z", P2, 1, blank=0.5),  # as a picture of Fashion-MNIST, on average
    *(Predict(f"P2x{rows}", P2, rows) for rows in ROWS),
    Predict("P3", P2, 10_000),
    *(Predict(f"P1x{rows}", P1, rows) for rows in (*ROWS, 10_000)),
]

ACTIVATIONS: list[Workload] = [
    *(Activate(f"A1 {name}", name, (10_000,)) for name in ("exp", "tanh", "sigmoid", "gelu", "gelu_tanh", "relu")),
    *(Activate(f"A1 softmax {rows}x{cols}", "softmax", (rows, cols)) for rows, cols in ((1000, 10), (10, 1000))),
]

SQUARES: list[Workload] = [Product(n, n, n) for n in (8, 16, 32, 64, 128, 256, 512, 1024, 2048)]
BOOK = ((128, 784, 128), (784, 128, 128))  # the first layer of the book's model, forward and its gradient
NAMED: list[Workload] = [
    *(Product(*shape) for shape in BOOK),
    *(Product(*shape, "float64") for shape in (*((n, n, n) for n in (16, 64, 128, 256, 512, 1024)), *BOOK)),
]
SIZES = (1, 2, 3, 7, 8, 10, 16, 31, 64, 100, 128, 300, 784)
SAMPLED = 200


def products(count: int = SAMPLED) -> list[Workload]:
    """So many of the shapes of SIZES, the same ones every time."""
    shapes = list(itertools.product(SIZES, repeat=3))
    chosen = np.random.default_rng(SEED).choice(len(shapes), count, replace=False)
    return [Product(*shapes[i]) for i in sorted(chosen)]


# --- S1: two threads over one ---

LARGE_BATCH = Train("T3 batch 512", replace(NETS["T3"], name="784-128-128-10, batch 512", batch=512, rows=2048))
SCALED: list[Workload] = [TRAIN[5], LARGE_BATCH]
SMALL = replace(NETS["T1"], epochs=10)
MANY = [Many("S1 together", SMALL, 16, True), Many("S1 one by one", SMALL, 16, False)]

# --- work that grows: one size at a time, the others as they are ---


def _grown(kind: str, size: int, widths: tuple[int, ...], batch: int) -> Workload:
    parameters = sum(a * b for a, b in itertools.pairwise(widths))
    cost = 6.0 * batch * parameters + 20.0 * parameters  # operations, and an optimizer's bytes
    steps = int(min(100, max(1, 3e8 / cost)))
    # at Adam's usual rate a net 4096 wide falls from a loss of 2.3 to 0.006 in one step, and blows up rounding errors
    net = Net(f"{kind} {size}", widths, batch, steps * batch, learning_rate=1e-4)
    return Train(f"{kind} {size}", net, checked=3)


GROWTH: dict[str, list[Workload]] = {
    "batch": [_grown("batch", n, (64, 64, 64, 10), n) for n in (1, 4, 16, 64, 256, 1024, 4096, 16384, 65536)],
    "width": [_grown("width", n, (n, n, n, 10), 32) for n in (8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096)],
    "depth": [_grown("depth", n, (64, *(64,) * n, 10), 32) for n in (1, 2, 4, 8, 16, 32)],
}

ALL: dict[str, Workload] = {
    w.key: w
    for w in (
        *TRAIN, *PREDICT, *ACTIVATIONS, *SQUARES, *products(), *NAMED, LARGE_BATCH, *MANY,
        *itertools.chain(*GROWTH.values()),
    )
}  # fmt: skip
