"""What the command line learns from: a name or a file becomes a ``Problem``."""

from __future__ import annotations

from argparse import Namespace
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn import data
from fastnn._core import random_permutation

STREAM_SPLIT = 520  # of the generator; the engine's are in engine.spec, those of the toy sets in data
CLASSIFICATION, REGRESSION = "classification", "regression"
NAMED = ("spiral", "fashion-mnist", "mnist")


@dataclass
class Problem:
    """Rows to learn from and rows held out. y: int32 labels (n,), or for regression float32 (n, outputs)."""

    name: str
    X: NDArray[Any]
    y: NDArray[Any]
    X_held: NDArray[Any]
    y_held: NDArray[Any]
    task: str = CLASSIFICATION
    class_names: tuple[str, ...] = ()
    feature_names: tuple[str, ...] = ()
    target: str = ""
    held_out: str = "held out"  # what the held-out rows are
    shape: str = ""  # what a row is, where that is more than its number of features

    @property
    def outputs(self) -> int:
        return len(self.class_names) if self.task == CLASSIFICATION else int(self.y.shape[1])

    def metadata(self) -> dict[str, Any]:
        """What a model file keeps of the problem."""
        return {
            "trained_on": self.name,
            "task": self.task,
            "feature_names": list(self.feature_names),
            "target": self.target,
        }

    def text(self) -> str:
        what = self.shape or f"{self.X.shape[1]} features"
        out = f"{self.outputs} classes" if self.task == CLASSIFICATION else f"{self.outputs} value(s) to predict"
        return f"{self.name}: {len(self.X)} rows of {what}, {out}; {self.held_out}: {len(self.X_held)} rows"


def load(args: Namespace) -> Problem:
    """The problem that the arguments of ``fastnn train`` name. Raises ValueError or OSError in words for the user."""
    kind = kind_of(args.data)
    refuse_what_does_not_go(args, kind)
    if kind == "spiral":
        return spiral(args.seed)
    if kind in ("fashion-mnist", "mnist"):
        return images(kind, args.data_dir)
    if kind == "npz":
        return from_npz(args.data, args.task, args.validation_split, args.seed)
    if not args.target:
        raise ValueError(f"{args.data}: which column is to be predicted? --target COLUMN")
    table = data.read_csv(args.data, args.target, delimiter_of(args), task=args.task)
    return from_table(args.data, table, args.target, args.validation_split, args.seed)


def kind_of(name: str) -> str:
    """One of ``NAMED``, "npz" or "csv"."""
    if name in NAMED:
        return name
    path = Path(name)
    if not path.exists() and not path.suffix:
        raise ValueError(f"{name!r} is neither a file nor one of {', '.join(NAMED)}")
    return "npz" if path.suffix.lower() == ".npz" else "csv"


def refuse_what_does_not_go(args: Namespace, kind: str) -> None:
    """An option that the data has no use for is more likely a mistake than a wish."""
    goes_with = {
        "data_dir": ("fashion-mnist", "mnist"),
        "target": ("csv",),
        "delimiter": ("csv",),
        "task": ("csv", "npz"),
        "validation_split": ("csv", "npz"),
    }
    for option, kinds in goes_with.items():
        if getattr(args, option, None) is not None and kind not in kinds:
            raise ValueError(f"--{option.replace('_', '-')} goes with {' and '.join(kinds)} data, not with {kind}")


def delimiter_of(args: Namespace) -> str:
    if args.delimiter is None:
        return "\t" if Path(args.data).suffix.lower() == ".tsv" else ","
    return "\t" if args.delimiter in ("tab", "\\t") else str(args.delimiter)


def spiral(seed: int) -> Problem:
    """The book's spiral, with one of another seed held out."""
    X, y = data.spiral(samples=1000, classes=3, seed=seed)
    X_held, y_held = data.spiral(samples=1000, classes=3, seed=(seed + 1) % 2**64)
    held_out = f"held out, drawn with seed {(seed + 1) % 2**64}"
    return Problem(
        "spiral", X, y, X_held, y_held, class_names=("0", "1", "2"), feature_names=("x", "y"), held_out=held_out
    )


def images(name: str, data_dir: str | None) -> Problem:
    """MNIST or Fashion-MNIST as published, as bytes."""
    get = data.fashion_mnist if name == "fashion-mnist" else data.mnist
    (X, y), (X_test, y_test) = get(data_dir)
    names = data.FASHION_MNIST_CLASSES if name == "fashion-mnist" else tuple("0123456789")
    return Problem(name, X, y, X_test, y_test, class_names=names, held_out="test set", shape="28 x 28 pixels")


def from_table(name: str, table: data.Table, target: str, share: float | None, seed: int) -> Problem:
    X, y, features, classes = table
    if len(classes) == 1:
        raise ValueError(f"{name}: the target {target!r} is {classes[0]!r} in every row: there is nothing to learn")
    train, held = split(len(X), 0.2 if share is None else share, seed)
    task = CLASSIFICATION if classes else REGRESSION
    return Problem(name, X[train], y[train], X[held], y[held], task, classes, features, target)


def from_npz(path: str, task: str | None, share: float | None, seed: int) -> Problem:
    (X, y), test = data.read_npz(path)
    if test is None:
        train, held = split(len(X), 0.2 if share is None else share, seed)
        (X, X_held), both = (X[train], X[held]), y
    elif share is not None:
        raise ValueError(f"{path} holds test rows of its own: --validation-split has nothing to do")
    else:
        X_held, both = test[0], np.concatenate([y, test[1]])
    labels, classes = as_labels(path, both, task)
    if test is None:
        y, y_held = labels[train], labels[held]
    else:
        y, y_held = labels[: len(X)], labels[len(X) :]
    task = CLASSIFICATION if classes else REGRESSION
    return Problem(
        path, X, y, X_held, y_held, task, classes, target="y", held_out="held out" if test is None else "test set"
    )


def as_labels(path: str, y: NDArray[Any], task: str | None) -> tuple[NDArray[Any], tuple[str, ...]]:
    """(labels, class names) of integers or one-hot rows, (y as float32 (n, outputs), no names) for quantities."""
    one_hot = y.ndim == 2 and y.shape[1] > 1 and bool(((y == 0) | (y == 1)).all() and (y.sum(axis=1) == 1).all())
    if task != REGRESSION and one_hot:
        return y.argmax(axis=1).astype(np.int32), tuple(str(k) for k in range(y.shape[1]))
    if task == REGRESSION or (task is None and y.dtype.kind == "f"):
        return y.reshape(len(y), -1).astype(np.float32), ()
    flat = y.reshape(-1)
    if len(flat) != len(y) or (flat != np.floor(flat)).any():
        raise ValueError(f"{path}: y has to hold integers or one-hot rows for classification")
    values, labels = np.unique(flat.astype(np.int64), return_inverse=True)
    if len(values) == 1:
        raise ValueError(f"{path}: y is {values[0]} in every row: there is nothing to learn")
    if len(values) > max(1000, len(y) // 2):
        raise ValueError(f"{path}: y has {len(values)} different values: not classes? Then say --task regression")
    return labels.astype(np.int32), tuple(str(value) for value in values)


def split(n: int, share: float, seed: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Row numbers to train on and to hold out, drawn with the seed, each in rising order."""
    if not 0 < share < 1:
        raise ValueError(f"--validation-split: expected a share between 0 and 1, got {share}")
    held = round(n * share)
    if held == 0 or held == n:
        raise ValueError(f"--validation-split {share} of {n} rows leaves none on one side")
    order = random_permutation(n, seed, STREAM_SPLIT)
    return np.sort(order[held:]), np.sort(order[:held])
