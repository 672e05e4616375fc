"""The handful of small models whose bits are the contract: every layer, activation, loss, optimizer, both types."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from compare import Array
from loss_cases import VARIANTS

from fastnn import (
    ELU,
    Add,
    AlphaDropout,
    BatchNorm,
    Concatenate,
    Dense,
    Dropout,
    GaussianDropout,
    GaussianNoise,
    Input,
    LayerNorm,
    LeakyReLU,
    Model,
    Multiply,
    Normalization,
    Rescale,
    Residual,
    _core,
)
from fastnn.activations import Activation
from fastnn.constraints import MaxNorm, NonNeg
from fastnn.losses import Loss
from fastnn.optimizers import LBFGS, SGD, AdaGrad, Adam, AdamW, Optimizer, RMSprop
from fastnn.schedules import CosineDecay, ExponentialDecay, InverseTime, OneCycle, Schedule, StepDecay, WarmUp

Data = tuple[Array, Array]
GENERIC_ACTIVATIONS = sorted(
    {cls.names[0] for cls in Activation.registry.values()} - {"softmax", "log_softmax", "step", "exponential"}
)
SCHEDULES: dict[str, Schedule] = {  # of 20 steps, so that the last are past the end of some
    "step_decay": StepDecay(0.05, 7, 0.3),
    "exponential_decay": ExponentialDecay(0.05, 10, 0.25),
    "inverse_time": InverseTime(0.05, 3, 0.7),
    "cosine_decay": CosineDecay(0.001, 10, alpha=0.01, warmup_target=0.05, warmup_steps=5),
    "one_cycle": OneCycle(0.05, 18, div_factor=10.0, final_div_factor=100.0),
    "warm_up": WarmUp(StepDecay(0.05, 5, 0.5), 6, 0.002),
}
OPTIMIZERS = {cls.names[0]: cls for cls in Optimizer.registry.values()}


def numbers(rows: int, cols: int, stream: int) -> Array:
    """Data from the counter-based generator: the same on every machine and with every NumPy."""
    return np.asarray(_core.random_normal(rows * cols, 99, stream)).reshape(rows, cols)


def floats(rows: int, n_in: int, n_out: int) -> Data:
    return numbers(rows, n_in, 1), numbers(rows, n_out, 2)


def labelled(rows: int, n_in: int, classes: int) -> Data:
    return numbers(rows, n_in, 3), (np.abs(numbers(rows, 1, 4)[:, 0]) * 1e6).astype(np.int64) % classes


def yes_or_no(rows: int, n_in: int, n_out: int) -> Data:
    return numbers(rows, n_in, 5), (numbers(rows, n_out, 6) > 0).astype(np.int64)


def pixels(rows: int, n_in: int, classes: int) -> Data:
    X, y = labelled(rows, n_in, classes)
    return (np.abs(X) * 1e6).astype(np.int64).astype(np.uint8), y


def pixels_as_floats(rows: int, n_in: int, classes: int) -> Data:
    X, y = pixels(rows, n_in, classes)
    return X.astype(np.float32), y


def contract_targets(loss: Any, rows: int, n_out: int) -> Array:
    if loss.takes_labels:
        return labelled(rows, 1, n_out)[1]
    return numbers(rows, n_out, 2) if loss.targets == "any" else yes_or_no(rows, 1, n_out)[1]


def two_inputs() -> dict[str, Any]:
    """A value with four readers, a gate, a product of a value with itself, columns of an input that skip the rest."""
    a, b = Input(4), Input(3, name="b")
    h = Dense(9, activation="relu", weight_regularizer_l2=1e-3)(a)
    gate = Dense(9, activation="sigmoid")(b)
    skip = Add()([h, Multiply()([h, gate]), Dropout(0.2)(Dense(9, activation="gelu")(h))])
    y = Concatenate()([skip, b, Multiply()([h, h])])
    return {"inputs": [a, b], "outputs": Dense(3, activation="softmax")(Dense(11, activation="tanh")(y))}


@dataclass(frozen=True)
class Case:
    """layers: a list, or the inputs and outputs of a graph."""

    layers: Callable[[], Any]
    loss: Any
    optimizer: Callable[[], Any]
    data: Callable[[], Data]
    epochs: int = 3
    training: dict[str, Any] = field(default_factory=dict)


CASES: dict[str, Case] = {
    "book": Case(
        lambda: [
            Dense(64, activation="relu", weight_regularizer_l2=5e-4, bias_regularizer_l2=5e-4),
            Dropout(0.1),
            Dense(3, activation="softmax"),
        ],
        "categorical_crossentropy",
        lambda: Adam(0.05, decay=5e-5),
        lambda: labelled(300, 2, 3),
        10,
    ),
    "batches": Case(
        lambda: [Dense(17, activation="relu"), Dense(10, activation="softmax")],
        "categorical_crossentropy",
        lambda: Adam(0.01),
        lambda: labelled(203, 33, 10),
        3,
        {"batch_size": 32, "shuffle": True},
    ),
    "pixels": Case(
        lambda: [Rescale(1 / 127.5, -1), Dense(40, activation="relu"), Dense(10, activation="softmax")],
        "categorical_crossentropy",
        lambda: Adam(1e-3, decay=1e-3),
        lambda: pixels(150, 784, 10),
        2,
        {"batch_size": 128},
    ),
    "pixels as floats": Case(
        lambda: [Rescale(1 / 127.5, -1), Dense(40, activation="relu"), Dense(10, activation="softmax")],
        "categorical_crossentropy",
        lambda: Adam(1e-3, decay=1e-3),
        lambda: pixels_as_floats(150, 784, 10),
        2,
        {"batch_size": 128},
    ),
    "regression": Case(
        lambda: [Input(5), Dense(33, activation="tanh", weight_regularizer_l1=1e-4), Dropout(0.25), Dense(1)],
        "mean_squared_error",
        lambda: SGD(0.05, decay=1e-3, momentum=0.9),
        lambda: floats(101, 5, 1),
        4,
        {"batch_size": 16, "shuffle": True},
    ),
    "separate layers": Case(
        lambda: [
            Dense(9),
            Activation.resolve("sigmoid"),
            Rescale(2.0, -1.0),
            Dropout(0.5),
            Dense(7),
            Activation.resolve("relu"),
            Dense(4),
            Activation.resolve("sigmoid"),
        ],
        "binary_crossentropy",
        lambda: RMSprop(0.01),
        lambda: yes_or_no(77, 12, 4),
        3,
        {"batch_size": 20},
    ),
    "wide and deep": Case(
        lambda: [Dense(130, activation="relu"), Dense(2100, activation="tanh"), Dense(12, activation="relu"), Dense(2)],
        "mean_absolute_error",
        lambda: AdaGrad(0.01),
        lambda: floats(70, 410, 2),
        1,
        {"batch_size": 50},
    ),
    "all initializers": Case(
        lambda: (
            [
                Dense(20, weight_initializer=name, activation="tanh", bias_regularizer_l1=1e-3)
                for name in ("normal", "he_normal", "he_uniform", "glorot_normal", "glorot_uniform")
            ]
            + [Dense(3, weight_initializer="zeros")]
        ),
        "mean_squared_error",
        lambda: "adam",
        lambda: floats(50, 20, 3),
        3,
        {"batch_size": 25},
    ),
    "alphas": Case(
        lambda: [Dense(20, activation=LeakyReLU(0.2)), Dense(9), ELU(0.5), Dropout(0.1), Dense(2)],
        "mean_squared_error",
        lambda: Adam(0.01),
        lambda: floats(45, 7, 2),
        3,
        {"batch_size": 16},
    ),
    "selu": Case(
        lambda: [Dense(20, activation="selu", weight_initializer="lecun_normal"), Dense(3, activation="softmax")],
        "categorical_crossentropy",
        lambda: "adam",
        lambda: labelled(40, 6, 3),
        3,
        {"batch_size": 16},
    ),
    "batch norm": Case(
        lambda: [
            Dense(37),
            BatchNorm(momentum=0.9),
            Activation.resolve("relu"),
            BatchNorm(momentum=0.5, epsilon=1e-5, center=False, scale=False),
            Dense(9, activation="tanh"),
            BatchNorm(center=False),
            Dense(3, activation="softmax"),
        ],
        "categorical_crossentropy",
        lambda: Adam(0.01, clip_norm=0.5),
        lambda: labelled(90, 6, 3),
        3,
        {"batch_size": 16, "shuffle": True, "accumulate": 2},
    ),
    "layer norm": Case(
        lambda: [
            LayerNorm(),
            Dense(37, activation="gelu"),
            LayerNorm(epsilon=1e-5, center=False),
            Dense(9, activation="tanh"),
            LayerNorm(scale=False),
            Dense(3, activation="softmax"),
        ],
        "categorical_crossentropy",
        lambda: Adam(0.01),
        lambda: labelled(70, 35, 3),
        3,
        {"batch_size": 16, "shuffle": True},
    ),
    "noise": Case(
        lambda: [
            GaussianNoise(0.3),
            Dense(21, activation="selu", weight_initializer="lecun_normal"),
            AlphaDropout(0.2),
            Dense(9, activation="tanh"),
            GaussianDropout(0.25),
            Dense(2),
        ],
        "mean_squared_error",
        lambda: Adam(0.01),
        lambda: floats(45, 7, 2),
        3,
        {"batch_size": 16},
    ),
    "normalization": Case(
        lambda: [Input(30), Normalization(), Dense(20, activation="relu"), Dense(4, activation="softmax")],
        "categorical_crossentropy",
        lambda: Adam(0.01),
        lambda: pixels(150, 30, 4),
        3,
        {"batch_size": 32, "shuffle": True, "validation_split": 0.2},
    ),
    "given normalization": Case(
        lambda: [Dense(8), Normalization(mean=0.5, variance=list(range(8))), Dense(2)],
        "mean_squared_error",
        lambda: Adam(0.01),
        lambda: floats(45, 7, 2),
        3,
        {"batch_size": 16},
    ),
    "exponential": Case(
        lambda: [Dense(20, activation="softplus"), Dense(2, activation="exponential")],
        "mean_squared_error",
        lambda: Adam(0.01),
        lambda: floats(45, 7, 2),
        3,
        {"batch_size": 16},
    ),
    "log_softmax": Case(
        lambda: [Dense(20, activation="tanh"), Dense(3, activation="log_softmax")],
        "mean_squared_error",
        lambda: Adam(0.01),
        lambda: floats(45, 7, 3),
        3,
        {"batch_size": 16},
    ),
    "weights": Case(
        lambda: [Dense(20, activation="relu"), Dense(3, activation="softmax")],
        "categorical_crossentropy",
        lambda: Adam(0.01),
        lambda: labelled(40, 6, 3),
        3,
        {
            "batch_size": 16,
            "shuffle": True,
            "sample_weight": np.abs(numbers(40, 1, 7)[:, 0]),
            "class_weight": "balanced",
        },
    ),
    "amsgrad": Case(
        lambda: [Dense(20, activation="relu"), Dense(2)],
        "mean_squared_error",
        lambda: Adam(0.05, beta_2=0.9, amsgrad=True),
        lambda: floats(45, 7, 2),
        5,
        {"batch_size": 16, "shuffle": True},
    ),
    "nesterov": Case(
        lambda: [Dense(20, activation="relu"), Dense(2)],
        "mean_squared_error",
        lambda: SGD(0.05, momentum=0.9, nesterov=True),
        lambda: floats(45, 7, 2),
        3,
        {"batch_size": 16, "shuffle": True},
    ),
    "clipped": Case(
        lambda: [Dense(20, activation="relu"), Dense(2)],
        "mean_squared_error",
        lambda: SGD(0.05, momentum=0.9, clip_value=0.1, clip_norm=0.5),
        lambda: floats(45, 7, 2),
        3,
        {"batch_size": 16, "shuffle": True, "accumulate": 2},
    ),
    "residual": Case(
        lambda: [
            Rescale(1 / 127.5, -1),
            Residual([Dense(9, activation="relu"), Dropout(0.1), Dense(20)]),
            Residual([Residual([Dense(20, activation="silu")]), Dense(7)], projection=True),
            Activation.resolve("tanh"),
            Residual([Dense(7, activation="tanh")]),
            Dense(3, activation="softmax"),
        ],
        "categorical_crossentropy",
        lambda: Adam(0.01),
        lambda: pixels(45, 20, 3),
        3,
        {"batch_size": 16, "shuffle": True},
    ),
    "graph": Case(
        two_inputs,
        "categorical_crossentropy",
        lambda: SGD(0.05, momentum=0.9),
        lambda: labelled(45, 7, 3),
        3,
        {"batch_size": 16, "shuffle": True, "accumulate": 2},
    ),
    "held and averaged": Case(
        lambda: [
            Dense(20, activation="relu", weight_constraint=MaxNorm(1.2), bias_constraint="max_norm"),
            Dense(11, activation="tanh", trainable=False, weight_regularizer_l2=0.1),
            Dense(9, activation="relu", learning_rate_multiplier=0.5, weight_constraint=MaxNorm(1.0, axis=1)),
            Dense(7, weight_constraint=NonNeg()),
            Dense(2, weight_constraint="unit_norm"),
        ],
        "mean_squared_error",
        lambda: AdamW(0.02, use_ema=True, ema_momentum=0.9, ema_overwrite_frequency=4, clip_tensor_norm=0.2),
        lambda: floats(45, 7, 2),
        5,
        {"batch_size": 16, "shuffle": True},
    ),
    "lines": Case(
        lambda: [
            Dense(20, activation="tanh", weight_regularizer_l2=1e-3, trainable=False),
            Dropout(0.2),
            Dense(11, activation="tanh", weight_regularizer_l2=1e-3),
            Dense(3, activation="softmax"),
        ],
        "categorical_crossentropy",
        lambda: LBFGS(history_size=3, use_ema=True),
        lambda: labelled(120, 6, 3),
        7,
    ),
    "step": Case(
        lambda: [Dense(20, activation="step"), Dense(3, activation="softmax")],
        "categorical_crossentropy",
        lambda: "sgd",
        lambda: labelled(40, 6, 3),
    ),
}
# whatever is registered takes part by itself
CASES |= {
    f"activation {name}": Case(
        lambda name=name: [Dense(21, activation=name), Dense(9, activation=name), Dense(2)],
        "mean_squared_error",
        lambda: Adam(0.01),
        lambda: floats(45, 7, 2),
        3,
        {"batch_size": 16},
    )
    for name in GENERIC_ACTIVATIONS
}
CASES |= {
    f"optimizer {name}": Case(
        lambda: [Dense(21, activation="relu"), Dense(2)],
        "mean_squared_error",
        lambda cls=cls: cls(learning_rate=1.0 if cls is LBFGS else 0.01, decay=0.01),
        lambda: floats(45, 7, 2),
        5,
        {"batch_size": None if cls is LBFGS else 16, "shuffle": True},
    )
    for name, cls in sorted(OPTIMIZERS.items())
}
CASES |= {
    f"schedule {name}": Case(
        lambda: [Dense(21, activation="relu"), Dense(2)],
        "mean_squared_error",
        lambda schedule=schedule: Adam(schedule),
        lambda: floats(60, 7, 2),
        5,
        {"batch_size": 16, "shuffle": True},
    )
    for name, schedule in SCHEDULES.items()
}
CASES |= {
    f"loss {name}": Case(
        lambda: [Dense(21, activation="tanh"), Dense(5, activation="sigmoid")],
        name,
        lambda: Adam(0.01),
        lambda: yes_or_no(45, 7, 5),
        3,
        {"batch_size": 16},
    )
    for name in sorted({cls.names[0] for cls in Loss.registry.values()})
}
CASES |= {
    f"loss {label}": Case(
        lambda: [Dense(21, activation="tanh"), Dense(5)],
        VARIANTS[label],
        lambda: Adam(0.01),
        lambda label=label: (numbers(45, 7, 5), contract_targets(VARIANTS[label], 45, 5)),
        3,
        {"batch_size": 16, "shuffle": True},
    )
    for label in sorted(VARIANTS)
    if label not in Loss.registry and not VARIANTS[label].merges_with
}
CASES |= {
    f"loss {label}": Case(
        lambda label=label: [Dense(21, activation="tanh"), Dense(5, activation=VARIANTS[label].merges_with)],
        VARIANTS[label],
        lambda: Adam(0.01),
        lambda label=label: (numbers(45, 7, 5), contract_targets(VARIANTS[label], 45, 5)),
        3,
        {"batch_size": 16, "shuffle": True},
    )
    for label in sorted(VARIANTS)
    if label not in Loss.registry and VARIANTS[label].merges_with
}


def build(name: str, dtype: str, fused: bool = True) -> Model:
    case = CASES[name]
    made = case.layers()
    model = Model(**(made if isinstance(made, dict) else {"layers": made}), seed=42, dtype=dtype)
    model._fused = fused
    model.set(loss=case.loss, optimizer=case.optimizer())
    return model


def train(name: str, model: Model, data: Data | None = None, epochs: int | None = None) -> Model:
    case = CASES[name]
    X, y = data or case.data()
    model.train(X, y, epochs=case.epochs if epochs is None else epochs, **case.training)
    return model


def signature(name: str, model: Model) -> str:
    """SHA-256 of weights, optimizer state, predictions and losses."""
    X, _ = CASES[name].data()
    h = hashlib.sha256()
    average = () if model.plan.average is None else (model.plan.average,)
    states = [np.pad(s, (0, len(model.plan.params) - len(s))) for s in model.plan.states]  # kept: zeros
    for array in (model.plan.params, *states, *average, model.predict(X)):
        assert np.isfinite(array).all()
        little = array.astype(array.dtype.newbyteorder("<"))
        h.update(little.tobytes())
    h.update(np.array(model.history["loss"], "<f8").tobytes())
    return h.hexdigest()
