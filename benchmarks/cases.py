"""The full list of benchmark cases: every kernel at several shapes, everything registered, the train steps T1 to T7.

Each case is defined in ``fastnn._bench``, so that ``fastnn bench`` works from a wheel; here stand the shapes. What is
new in csrc/registry.h appears by itself.
"""

from __future__ import annotations

from typing import Any

from fastnn import _core, schedules
from fastnn._bench import layers, norms, parts, passes
from fastnn._bench.case import Case
from fastnn._bench.steps import NETS, train_step
from fastnn.base import Registered
from fastnn.constraints import Constraint
from fastnn.initializers import Initializer
from fastnn.layers import Add, Concatenate, Multiply
from fastnn.metrics import Metric

PRODUCTS = (
    *((n, n, n) for n in (4, 8, 16, 24, 32, 64, 128, 256, 512)),
    (32, 64, 64),  # T1
    (300, 2, 64),  # T2
    (300, 64, 3),
    (128, 784, 128),  # T3
    (32, 784, 128),  # T4
    (1, 784, 128),  # one row
    (128, 128, 10),  # few columns
    (1000, 4, 1000),  # short chains
    (7, 1000, 7),  # long chains, narrow
    (33, 65, 129),  # nothing even
)
DENSE = ((32, 4, 64), (32, 64, 64), (300, 2, 64), (300, 64, 3), (128, 784, 128), (128, 128, 10), (1, 64, 64))
NORMS = ((32, 64), (128, 128), (128, 1024), (1024, 64))
PARAMETERS = 118_000  # of 784-128-128-10
SCHEDULES = (
    schedules.StepDecay(0.1, 100),
    schedules.ExponentialDecay(0.1, 100, 0.5),
    schedules.InverseTime(0.1, decay_rate=0.05),
    schedules.CosineDecay(0.1, 900),
    schedules.OneCycle(0.1, 1000),
    schedules.WarmUp(0.1, 500),
)


def _activation_shapes(name: str) -> tuple[tuple[int, int], ...]:
    return ((1000, 10), (10, 1000)) if _core.ACTIVATION_SHAPE[name] == "R" else ((1000, 10),)


def own(family: type[Registered]) -> list[type[Any]]:
    """The package's classes of a family, each once."""
    return list(dict.fromkeys(kind for kind in family.registry.values() if kind.__module__.startswith("fastnn.")))


KERNELS: list[Case] = [
    *(layers.dot(*shape) for shape in PRODUCTS),
    *(layers.dot_vectors(n) for n in (100, 10_000, 1_000_000)),
    *(make(*shape) for shape in DENSE for make in (layers.dense_forward, layers.dense_backward)),
    *(
        make(name, *shape)
        for name in _core.ACTIVATIONS
        for shape in _activation_shapes(name)
        for make in (layers.activation_forward, layers.activation_backward)
    ),
    *(make(name, 1000, 10) for name in _core.LOSSES for make in (passes.loss_forward, passes.loss_backward)),
    passes.merged_gradient(1000, 10),
    *(passes.accuracy(name, 1000, 10) for name in _core.METRICS),
    *(passes.optimizer_step(name, PARAMETERS) for name in _core.OPTIMIZERS),
    passes.gather(1280, 784, 128),
    passes.dropout(300, 512),
    norms.gaussian_noise(300, 512),
    *(case for shape in NORMS for make in (norms.batch_norm, norms.layer_norm) for case in make(*shape)),
    passes.penalty(PARAMETERS),
    passes.penalty_backward(PARAMETERS),
    parts.rescale(300, 512),
    parts.normalization(300, 512),
    parts.residual(128, 128),
    *(parts.merge(kind, 300, 512) for kind in (Add, Multiply, Concatenate)),
    parts.alpha_dropout(0.2, 300, 512),
    parts.gaussian_dropout(0.2, 300, 512),
    parts.lbfgs(20, 500, 8, 16),
    *(parts.schedule(made, 1000) for made in SCHEDULES),
    *(parts.initializer(kind(), 784, 128) for kind in own(Initializer)),
    *(parts.constraint(kind(), 784, 128) for kind in own(Constraint)),
    *(parts.metric(kind.names[0], 10_000, 10) for kind in own(Metric)),
]

# one element: nothing but the way into the library and back
CALLS: list[Case] = [
    layers.dot(1, 1, 1),
    layers.dense_forward(1, 1, 1),
    layers.dense_backward(1, 1, 1),
    layers.activation_forward("relu", 1, 1),
    layers.activation_backward("relu", 1, 1),
    passes.loss_forward("mean_squared_error", 1, 1),
    passes.optimizer_step("sgd", 1),
    passes.penalty(1),
]

STEPS: list[Case] = [train_step(net) for net in NETS.values()]
