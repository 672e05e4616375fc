"""Writes files/v1/*.fnn: small files of this format version, with what they have to give when they are loaded.

    python tests/make_files.py            # writes those that are not there yet
    python tests/make_files.py --check    # says which would come out otherwise today

A file that is there is never written again: that it still loads, and goes on to the same bits, is the promise
(docs/files.md). A new kind of layer, loss or optimizer gets a line here, and so a file of its own.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from contract_models import OPTIMIZERS, SCHEDULES, floats, labelled, numbers

from fastnn import ELU, Dense, Dropout, Input, LeakyReLU, Model, Rescale, metrics, nnfs
from fastnn import callbacks as cb
from fastnn.activations import Activation
from fastnn.constraints import MaxNorm
from fastnn.history import KEYS as HISTORY
from fastnn.layers import (
    Add,
    AlphaDropout,
    BatchNorm,
    Concatenate,
    GaussianDropout,
    GaussianNoise,
    LayerNorm,
    Multiply,
    Normalization,
    Residual,
)
from fastnn.losses import BinaryCrossentropy, CategoricalCrossentropy, Loss
from fastnn.optimizers import LBFGS, SGD, Adam

FOLDER = Path(__file__).parent / "files" / "v1"
EXPECTED = FOLDER / "expected.json"
Data = tuple[Any, Any]


@dataclass
class Case:
    """A model, how it is trained up to the file, and how it goes on from it (``epochs`` is the total)."""

    layers: Callable[[], Any]  # a list, or the arguments of a graph
    loss: Any = "mean_squared_error"
    optimizer: Callable[[], Any] = lambda: Adam(0.01)
    data: Callable[[], Data] = lambda: floats(30, 3, 2)
    options: dict[str, Any] = field(default_factory=lambda: {"batch_size": 8, "shuffle": True})
    before: int = 2
    after: int = 4
    break_at: int | None = None  # step at which the training is broken off
    callbacks: Callable[[], list[cb.Callback]] = list
    dtype: str = "float32"
    held: bool = False
    metrics: tuple[Any, ...] = ()

    def model(self, seed: int) -> Model:
        layers = self.layers()
        model = Model(**layers, seed=seed) if isinstance(layers, dict) else Model(layers, seed=seed, dtype=self.dtype)
        model.set(loss=self.loss, optimizer=self.optimizer(), metrics=self.metrics)
        return model


def small() -> list[Any]:
    return [Dense(4, activation="tanh"), Dense(2)]


def everything_remembered() -> list[cb.Callback]:
    return [
        cb.EarlyStopping(patience=50, restore_best=True),
        cb.ReduceLROnPlateau(patience=1, factor=0.5, min_delta=0.5),
    ]


def graph() -> dict[str, Any]:
    """Two inputs, one of them read twice, every merge, and a layer that holds layers."""
    a, b = Input(3, name="a"), Input(2, name="b")
    left, right = Dense(4, activation="relu")(a), Dense(4, activation="tanh")(b)
    both = Concatenate()([Add()([left, right]), Multiply()([left, right]), a])
    y = Residual([BatchNorm(momentum=0.5), Dense(11, activation="tanh"), Dropout(0.1)])(both)
    return {"inputs": [a, b], "outputs": Dense(3, activation="softmax")(y)}


INITIALIZERS = ("normal", "he_normal", "he_uniform", "glorot_normal", "glorot_uniform", "lecun_normal", "zeros")
CASES: dict[str, Case] = {
    "classifier": Case(
        lambda: [Input(6), Dense(8, activation="relu"), Dropout(0.2), Dense(3, activation="softmax")],
        "categorical_crossentropy", data=lambda: labelled(40, 6, 3), held=True,
    ),
    "float64": Case(
        lambda: [
            Rescale(0.5, -1.0), Dense(4, activation="sigmoid", weight_regularizer_l2=1e-3, bias_regularizer_l1=1e-4),
            Dense(2),
        ],
        optimizer=lambda: SGD(0.05, decay=1e-3, momentum=0.9), dtype="float64",
    ),
    "within-an-epoch": Case(
        lambda: [Dense(6, activation="relu"), Dropout(0.1), Dense(3, activation="softmax")],
        "categorical_crossentropy", data=lambda: labelled(40, 5, 3), before=5, after=5, break_at=13, held=True,
        callbacks=everything_remembered,
    ),
    "within-an-accumulated-step": Case(
        small, options={"batch_size": 4, "shuffle": True, "accumulate": 3}, before=4, after=4, break_at=7,
    ),
    "untrained": Case(small, before=0),
    "clipped": Case(small, optimizer=lambda: Adam(0.01, clip_value=0.5, clip_norm=0.1, amsgrad=True)),
    "initializers": Case(
        lambda: [Dense(3, weight_initializer=name) for name in INITIALIZERS] + [Dense(2, weight_initializer="book")],
    ),
    "alpha": Case(lambda: [Dense(3, activation=LeakyReLU(0.25)), ELU(0.5), Dense(2)]),
    "smoothed": Case(
        lambda: [Dense(4), Dense(3)], CategoricalCrossentropy(from_logits=True, label_smoothing=0.1),
        data=lambda: labelled(30, 3, 3),
    ),
    "yes-or-no": Case(
        lambda: [Dense(4, activation="relu"), Dense(1)], BinaryCrossentropy(from_logits=True),
        data=lambda: (numbers(30, 3, 5), (numbers(30, 1, 6) > 0).astype(np.int64)),
    ),
}  # fmt: skip
CASES |= {
    "optimizer-lbfgs": Case(small, optimizer=lambda: LBFGS(history_size=3), options={}),
    "held-and-averaged": Case(
        lambda: [
            Dense(6, activation="relu", weight_constraint=MaxNorm(1.2), bias_constraint="non_neg"),
            Residual([Dense(6, activation="tanh", trainable=False)]),
            Dense(2, learning_rate_multiplier=0.5),
        ],
        optimizer=lambda: Adam(0.02, use_ema=True, ema_momentum=0.9, clip_tensor_norm=0.5),
    ),
    "frozen": Case(lambda: [Dense(5, trainable=False), Dense(4, activation="tanh"), Dense(2, trainable=False)]),
    "batch-norm": Case(
        lambda: [
            Dense(5),
            BatchNorm(momentum=0.9),
            Dense(4, activation="relu"),
            BatchNorm(epsilon=1e-5, center=False, scale=False),
            Dense(2),
        ],
    ),
    "layer-norm": Case(lambda: [Dense(5), LayerNorm(), Dense(4), LayerNorm(epsilon=1e-5, scale=False), Dense(2)]),
    "normalization": Case(
        lambda: [Normalization(), Dense(3), Normalization(mean=[0.1, -0.2, 0.3], variance=[2.0, 0.5, 0.0]), Dense(2)],
    ),
    "noise": Case(
        lambda: [
            GaussianNoise(0.1),
            Dense(6, activation="selu"),
            AlphaDropout(0.1),
            Dense(5),
            GaussianDropout(0.2),
            Dense(2),
        ],
    ),
    "residual": Case(
        lambda: [
            Residual(
                [Dense(5, activation="relu"), Residual([LayerNorm(), Dense(5, activation=LeakyReLU(0.2))])],
                projection=True,
            ),
            Dense(2),
        ],
        dtype="float64",
    ),
    "graph": Case(graph, "categorical_crossentropy", data=lambda: labelled(40, 5, 3), before=5, after=5, break_at=13),
    "metrics": Case(
        lambda: [Dense(6, activation="relu"), Dense(3, activation="softmax")],
        "categorical_crossentropy",
        data=lambda: labelled(40, 5, 3),
        before=5,
        after=5,
        break_at=13,
        held=True,
        metrics=(metrics.F1(), "f1_weighted", metrics.Recall(None), metrics.TopKAccuracy(2), "roc_auc", "mcc"),
    ),
    "errors": Case(small, before=4, break_at=10, metrics=("rmse", metrics.R2(name="explained"))),
}
CASES |= {
    f"optimizer-{name}": Case(small, optimizer=lambda cls=cls: cls(0.01))
    for name, cls in sorted(OPTIMIZERS.items())
    if name != "lbfgs"
}
CASES |= {
    f"activation-{name}": Case(lambda name=name: [Dense(3, activation=name), Dense(2)])
    for name in sorted({cls.names[0] for cls in Activation.registry.values()})
}
CASES |= {f"schedule-{name}": Case(small, optimizer=lambda s=s: Adam(s)) for name, s in SCHEDULES.items()}
CASES |= {
    f"loss-{name}": Case(
        lambda: [Dense(4, activation="tanh"), Dense(2, activation="sigmoid")], name,
        data=lambda: (numbers(30, 3, 5), (numbers(30, 2, 6) > 0).astype(np.int64)),
    )
    for name in sorted({cls.names[0] for cls in Loss.registry.values()})
}  # fmt: skip


class Break(cb.Callback):
    def __init__(self, step: int) -> None:
        self.step = step

    def on_batch_end(self, batch: int, logs: Any) -> None:
        if self.model.steps_done == self.step:
            raise KeyboardInterrupt


def options(case: Case) -> dict[str, Any]:
    X, y = case.data()
    return case.options | ({"validation_data": (X[:9], y[:9])} if case.held else {})


def make(name: str) -> Model:
    """The model as the file has it."""
    case = CASES[name]
    X, y = case.data()
    model = case.model(11)
    model.metadata = {"name": name, "text": "größer \U0001f600", "values": [1, 2.5, None, True]}
    breaks = [] if case.break_at is None else [Break(case.break_at)]
    try:
        model.train(X, y, epochs=case.before, callbacks=[*case.callbacks(), *breaks], **options(case))
    except KeyboardInterrupt:
        assert model.position is not None
    if name == "classifier":
        model.class_labels = ["ant", 2, "größer"]
    return model


def go_on(name: str, path: Path) -> Model:
    """The training from the file on, by a model that was made anew."""
    case = CASES[name]
    model = case.model(0)
    X, y = case.data()
    model.train(X, y, epochs=case.after, resume=path, callbacks=case.callbacks(), **options(case))
    return model


def digest(name: str, model: Model) -> str:
    """SHA-256 of predictions, parameters by name, optimizer state and losses."""
    h = hashlib.sha256()
    plan = model.plan
    padded = [np.pad(a, (0, plan.size - len(a))) for a in plan.states]  # what is only kept counts as zeros
    state = [plan.view(a, *key) for a in padded for key in plan.tensors]
    columns = [name for name in model.history if name not in HISTORY]  # metrics come in all or no epochs of these
    history = [np.array(model.history[name], "<f8") for name in ("loss", *columns)]
    for array in (model.predict(CASES[name].data()[0]), *model.state_dict().values(), *state, *history):
        assert np.isfinite(array).all()
        h.update(array.astype(array.dtype.newbyteorder("<")).tobytes())
    return h.hexdigest()


def nnfs_model() -> nnfs.Model:
    np.random.seed(0)
    model = nnfs.Model()
    model.add(nnfs.Layer_Dense(2, 5, weight_regularizer_l2=5e-4))
    model.add(nnfs.Activation_ReLU())
    model.add(nnfs.Layer_Dropout(0.1))
    model.add(nnfs.Layer_Dense(5, 3))
    model.add(nnfs.Activation_Softmax())
    model.set(
        loss=nnfs.Loss_CategoricalCrossentropy(), optimizer=nnfs.Optimizer_Adam(decay=1e-3),
        accuracy=nnfs.Accuracy_Categorical(),
    )  # fmt: skip
    model.finalize()
    X, y = labelled(20, 2, 3)
    model.train(X, y, epochs=3, batch_size=10, print_every=1000)
    return model


def nnfs_digest(predictions: Any) -> str:
    return hashlib.sha256(np.ascontiguousarray(predictions, "<f4").tobytes()).hexdigest()


OTHERS = ("weights", "nnfs-model", "nnfs-parameters")


def main() -> int:
    check = "--check" in sys.argv
    FOLDER.mkdir(parents=True, exist_ok=True)
    expected = json.loads(EXPECTED.read_text()) if EXPECTED.exists() else {}
    different = []
    for name in CASES:
        path = FOLDER / f"{name}.fnn"
        model = make(name)
        if path.exists():
            if path.read_bytes() != model.to_bytes():
                different.append(name)
        elif not check:
            model.save(path)
            expected[name] = {"loaded": digest(name, model), "after": digest(name, go_on(name, path))}
    if not check:
        if not (FOLDER / "weights.fnn").exists():
            make("classifier").save_weights(FOLDER / "weights.fnn")
        if not (FOLDER / "nnfs-model.fnn").exists():
            model = nnfs_model()
            model.save(FOLDER / "nnfs-model.fnn")
            model.save_parameters(FOLDER / "nnfs-parameters.fnn")
            expected["nnfs"] = nnfs_digest(model.predict(numbers(7, 2, 9)))
        EXPECTED.write_text(json.dumps(expected, indent=1, sort_keys=True) + "\n")
    print(f"{len(list(FOLDER.glob('*.fnn')))} files; would come out otherwise today: {', '.join(different) or 'none'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
