"""Every registered accuracy counts what its NumPy definition counts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fastnn import _core, metrics
from fastnn.kernels.losses import count_right
from fastnn.metrics import Accuracy, regression_precision

CLASSES = {cls.kernel: cls for cls in Accuracy.registry.values()}
NAMES = sorted(CLASSES)


def test_every_kernel_has_its_class() -> None:
    assert set(CLASSES) == set(_core.METRICS)


@pytest.mark.parametrize("name", NAMES)
def test_counts_follow_the_definition(name: str, isa: str, dtype: Any, rng: np.random.Generator) -> None:
    seen = set()
    for rows in (1, 2, 7, 33, 100):
        for cols in (1, 2, 3, 10, 17):
            p = rng.uniform(0, 1, (rows, cols)).astype(dtype)
            t = (rng.uniform(0, 1, (rows, cols)) < 0.5).astype(dtype)
            if name == "regression":
                t = p + (rng.standard_normal((rows, cols)) * 0.2).astype(dtype)
            right = CLASSES[name].right(p, t, 0.1)
            assert count_right(name, p, t, precision=0.1) == right.sum()
            seen.add(float(right.mean()))
    assert len(seen) > 3


def test_labels_count_as_their_one_hot_rows(isa: str, dtype: Any, rng: np.random.Generator) -> None:
    p = rng.uniform(0, 1, (50, 4)).astype(dtype)
    labels = rng.integers(0, 4, 50).astype(np.int32)
    right = count_right("categorical", p, np.eye(4, dtype=dtype)[labels])
    assert 0 < right < 50
    assert count_right("categorical", p, None, labels) == right


def test_the_first_of_equal_predictions_wins(isa: str, dtype: Any) -> None:
    p = np.array([[0.5, 0.5], [0.5, 0.5]], dtype)
    assert count_right("categorical", p, None, np.array([0, 1], np.int32)) == 1


def test_one_half_is_no(isa: str, dtype: Any) -> None:
    p = np.array([[0.5], [np.nextafter(dtype.type(0.5), dtype.type(1))]], dtype)
    assert count_right("binary", p, np.array([[0], [1]], dtype)) == 2


def test_nan_is_never_right(isa: str, dtype: Any) -> None:
    p = np.full((3, 2), np.nan, dtype)
    assert count_right("regression", p, np.zeros((3, 2), dtype), precision=1.0) == 0
    assert count_right("binary", p, np.ones((3, 2), dtype)) == 0


def test_the_books_precision(rng: np.random.Generator) -> None:
    y = rng.standard_normal((1000, 1)) * 3
    assert regression_precision(y) == pytest.approx(np.std(y) / 250, rel=1e-12)


def test_the_books_precision_goes_over_long_targets_in_pieces(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fastnn.metrics._accuracies.CHUNK", 96)
    for shape in ((1000, 1), (333, 7), (5, 200)):
        y = (rng.standard_normal(shape) * 3 + 10).astype(np.float32)
        assert regression_precision(y) == pytest.approx(np.std(y, dtype=np.float64) / 250, rel=1e-12)


def test_labels_out_of_range_never_reach_the_kernel() -> None:
    p = np.zeros((2, 3))
    for bad in ([0, 3], [-1, 0]):
        with pytest.raises(ValueError, match="labels: expected classes 0 to 2"):
            count_right("categorical", p, None, np.array(bad, np.int32))
    with pytest.raises(ValueError, match="dense targets, not class labels"):
        count_right("binary", p, None, np.array([0, 1], np.int32))


@pytest.mark.parametrize("kind", ["labels", "text", "scores", "one output"])
def test_a_matrix_is_counted_batch_by_batch(kind: str) -> None:
    rng = np.random.default_rng(5)
    y, p = rng.integers(0, 4, 500), rng.uniform(size=(500, 4))
    names = np.array(["ash", "elm", "oak", "yew"])
    labels: Any = 4
    if kind == "labels":
        p = p.argmax(axis=1)
    elif kind == "text":
        y, p, labels = names[y], names[p.argmax(axis=1)], names[::-1]
    elif kind == "one output":
        y, p, labels = y % 2, p[:, :1], 2
    weights = rng.uniform(size=500)
    plain, weighted = metrics.ConfusionMatrix(labels), metrics.ConfusionMatrix(labels)
    assert np.isnan(plain.accuracy)
    for start in range(0, 500, 7):
        piece = slice(start, start + 7)
        plain.update(y[piece], p[piece])
        weighted.update(y[piece], p[piece], sample_weight=weights[piece])
    want = metrics.confusion_matrix(y, p, labels=plain.labels)
    assert np.array_equal(plain.result(), want)
    assert plain.rows == 500
    for how in ("true", "pred", "all"):
        assert np.array_equal(plain.result(how), metrics.confusion_matrix(y, p, labels=plain.labels, normalize=how))
    np.testing.assert_allclose(
        weighted.result(), metrics.confusion_matrix(y, p, labels=plain.labels, sample_weight=weights), rtol=1e-12
    )
    assert plain.accuracy == pytest.approx(metrics.accuracy_score(y, p))
    plain.reset()
    assert plain.result().sum() == plain.rows == 0


def test_a_batch_that_does_not_fit_is_not_counted() -> None:
    matrix = metrics.ConfusionMatrix(3).update([0, 1, 2], [0, 1, 1])
    with pytest.raises(ValueError, match="1 of 2 rows have labels that are not in classes"):
        matrix.update([0, 3], [0, 1])
    with pytest.raises(ValueError, match="y_pred: expected 2 rows"):
        matrix.update([0, 1], [0])
    assert repr(matrix) == "ConfusionMatrix(3 classes, 3 rows)"
    for wrong in (0, [1, 1], [], [[1, 2]]):
        with pytest.raises(ValueError, match="classes"):
            metrics.ConfusionMatrix(wrong)
