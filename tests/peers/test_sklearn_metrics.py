"""fastnn.metrics against scikit-learn on random data, and what is known to differ."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import pytest

sk = pytest.importorskip("sklearn.metrics", reason="scikit-learn is not installed")

from fastnn import Input, Model, metrics  # noqa: E402

ROWS = 100_000
SCORES = ("precision_score", "recall_score", "f1_score")
AVERAGES: list[Any] = ["macro", "micro", "weighted", None]


def near(got: Any, want: Any) -> None:
    np.testing.assert_allclose(got, want, rtol=1e-6, atol=1e-9)


def judge(outputs: int, loss: str, asked: Any) -> Model:
    model = Model([Input(outputs)])
    model.set(loss=loss, metrics=asked)
    return model


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(11)


@pytest.mark.parametrize("classes", [3, 10, 100])
def test_classifiers(classes: int, rng: np.random.Generator) -> None:
    rows = ROWS if classes < 100 else ROWS // 10
    y = rng.integers(0, classes, rows)
    p = rng.dirichlet(np.ones(classes), rows).astype(np.float32)
    p[np.arange(rows), y] += rng.uniform(0, 0.3, rows).astype(np.float32)
    p /= p.sum(axis=1, keepdims=True)
    said = p.argmax(axis=1)
    w = rng.uniform(0, 3, rows)
    assert np.array_equal(metrics.confusion_matrix(y, said), sk.confusion_matrix(y, said))
    near(metrics.confusion_matrix(y, said, sample_weight=w), sk.confusion_matrix(y, said, sample_weight=w))
    near(metrics.confusion_matrix(y, said, normalize="pred"), sk.confusion_matrix(y, said, normalize="pred"))
    asked = [f"{name.removesuffix('_score')}_{a}" for name in SCORES for a in AVERAGES[:3]]
    model = judge(classes, "cce", [*asked, metrics.TopKAccuracy(2), "auc", metrics.ROCAUC("weighted", name="auc_w"),
                                   "mcc", "balanced_accuracy"])  # fmt: skip
    got = model.evaluate(p, y, batch_size=997).metrics
    for name in SCORES:
        for average in AVERAGES:
            theirs = getattr(sk, name)(y, said, average=average, zero_division=0)
            near(getattr(metrics, name)(y, said, average=average), theirs)
            if average is not None:
                near(got[f"{name.removesuffix('_score')}_{average}"], theirs)
            weighted = getattr(sk, name)(y, said, average=average, zero_division=0, sample_weight=w)
            near(getattr(metrics, name)(y, said, average=average, sample_weight=w), weighted)
    near(got["mcc"], sk.matthews_corrcoef(y, said))
    near(got["balanced_accuracy"], sk.balanced_accuracy_score(y, said))
    near(got["top_2_accuracy"], sk.top_k_accuracy_score(y, p, k=2))
    near(metrics.top_k_accuracy_score(y, p, k=3 if classes > 3 else 2),
         sk.top_k_accuracy_score(y, p, k=3 if classes > 3 else 2))  # fmt: skip
    if classes <= 10:
        p64 = p.astype(np.float64)
        p64 /= p64.sum(axis=1, keepdims=True)  # theirs wants sums of 1
        areas = {a: sk.roc_auc_score(y, p64, multi_class="ovr", average=a) for a in ("macro", "weighted")}
        near(got["auc"], areas["macro"])
        near(got["auc_w"], areas["weighted"])
        near(metrics.roc_auc_score(y, p), areas["macro"])


@pytest.mark.parametrize("levels", [0, 20])
def test_one_question(levels: int, rng: np.random.Generator) -> None:
    y = (rng.uniform(0, 1, ROWS) < 0.2).astype(int)
    p = np.clip(rng.normal(0.3 + 0.3 * y, 0.2), 0, 1)
    p = (np.round(p * levels) / levels if levels else p).astype(np.float32)  # ties
    said, w = (p > 0.5) * 1, rng.uniform(0, 3, ROWS)
    got = judge(1, "bce", ["precision", "recall", "f1", "auc", "mcc"]).evaluate(p[:, None], y, batch_size=331).metrics
    for name in SCORES:
        theirs = getattr(sk, name)(y, said)
        near(got[name.removesuffix("_score")], theirs)
        near(getattr(metrics, name)(y, said), theirs)
        near(getattr(metrics, name)(y, said, sample_weight=w), getattr(sk, name)(y, said, sample_weight=w))
    near(got["mcc"], sk.matthews_corrcoef(y, said))
    near(got["auc"], sk.roc_auc_score(y, p))
    near(metrics.roc_auc_score(y, p), sk.roc_auc_score(y, p))
    near(metrics.roc_auc_score(y, p, sample_weight=w), sk.roc_auc_score(y, p, sample_weight=w))


def test_several_questions(rng: np.random.Generator) -> None:
    y = (rng.uniform(0, 1, (ROWS, 5)) < (0.1, 0.5, 0.9, 0.01, 0.3)).astype(int)
    p = rng.uniform(0, 1, (ROWS, 5)).astype(np.float32)
    p[:, 3] *= 0.4  # nothing is predicted of it
    said, w = (p > 0.5) * 1, rng.uniform(0, 3, ROWS)
    asked = [f"{name.removesuffix('_score')}_{a}" for name in SCORES for a in AVERAGES[:3]]
    got = judge(5, "bce", [*asked, "auc"]).evaluate(p, y, batch_size=100).metrics
    for name in SCORES:
        for average in AVERAGES:
            theirs = getattr(sk, name)(y, said, average=average, zero_division=0)
            near(getattr(metrics, name)(y, p, average=average, multilabel=True), theirs)
            if average is not None:
                near(got[f"{name.removesuffix('_score')}_{average}"], theirs)
            weighted = getattr(sk, name)(y, said, average=average, zero_division=0, sample_weight=w)
            near(getattr(metrics, name)(y, p, average=average, multilabel=True, sample_weight=w), weighted)
    for average in ("macro", "weighted", None):
        near(metrics.roc_auc_score(y, p, average=average), sk.roc_auc_score(y, p, average=average))
    near(got["auc"], sk.roc_auc_score(y, p))


@pytest.mark.parametrize("outputs", [1, 3])
def test_numbers(outputs: int, rng: np.random.Generator) -> None:
    t = rng.standard_normal((ROWS, outputs)) * 3 + 50
    p = t + rng.standard_normal((ROWS, outputs))
    w = rng.uniform(0, 3, ROWS)
    names = {"mse": "mean_squared_error", "rmse": "root_mean_squared_error", "mae": "mean_absolute_error",
             "r2": "r2_score"}  # fmt: skip
    got = judge(outputs, "mse", list(names)).evaluate(p, t, batch_size=77).metrics
    t32, p32 = t.astype(np.float32).astype(float), p.astype(np.float32).astype(float)
    for short, name in names.items():
        ours, theirs = getattr(metrics, name), getattr(sk, name)
        near(got[short], theirs(t32, p32))
        for multioutput in ("uniform_average", "raw_values"):
            near(ours(t, p, multioutput=multioutput), theirs(t, p, multioutput=multioutput))
            near(ours(t, p, multioutput=multioutput, sample_weight=w),
                 theirs(t, p, multioutput=multioutput, sample_weight=w))  # fmt: skip


def test_edges_that_agree() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # theirs warns where it gives 0 or NaN
        for true, said in (([0, 0], [0, 0]), ([1, 1], [0, 0]), ([0, 0], [1, 1]), ([1, 1], [1, 1]), ([0, 1], [0, 0])):
            for name in SCORES:
                near(getattr(metrics, name)(true, said), getattr(sk, name)(true, said, zero_division=0))
                for average in AVERAGES:
                    near(getattr(metrics, name)(true, said, average=average),
                         getattr(sk, name)(true, said, average=average, zero_division=0))  # fmt: skip
            near(metrics.confusion_matrix(true, said), sk.confusion_matrix(true, said))
        for t, p in (([1.0, 1.0], [1.0, 1.0]), ([1.0, 1.0], [0.0, 2.0])):
            near(metrics.r2_score(t, p), sk.r2_score(t, p))
        assert math.isnan(metrics.roc_auc_score([1, 1], [0.1, 0.2]))
        assert math.isnan(sk.roc_auc_score([1, 1], [0.1, 0.2]))
    true, said = ["b", "a", "b", "c"], ["b", "b", "a", "c"]
    near(metrics.confusion_matrix(true, said, labels=["c", "b"]), sk.confusion_matrix(true, said, labels=["c", "b"]))
    near(metrics.f1_score(true, said, average="macro", labels=["c", "b", "z"]),
         sk.f1_score(true, said, average="macro", labels=["c", "b", "z"], zero_division=0))  # fmt: skip


def test_equal_scores_at_the_border_of_the_top_k_differ() -> None:
    """Ours: the first come first, as in argmax; theirs: the last."""
    p = np.full((2, 3), 1 / 3)
    assert metrics.top_k_accuracy_score([0, 0], p, k=1) == 1
    assert sk.top_k_accuracy_score([0, 0], p, k=1, labels=[0, 1, 2]) == 0
    assert sk.top_k_accuracy_score([2, 2], p, k=1, labels=[0, 1, 2]) == 1
