"""Which classes the functions of fastnn.metrics count: those that ``labels`` asks for, those of weight 0, columns."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fastnn import metrics

TRUE, SAID = [0, 0, 1, 1, 2, 2], [0, 2, 1, 0, 2, 1]
SCORES = {"precision": metrics.precision_score, "recall": metrics.recall_score, "f1": metrics.f1_score}


def report(*args: Any, **options: Any) -> dict[str, list[str]]:
    lines = metrics.classification_report(*args, digits=4, **options).splitlines()
    return {line[:17].split(" average")[0].strip(): line.replace(" average", "").split()[1:] for line in lines if line}


@pytest.mark.parametrize("weights", [None, [1, 2, 3, 0.5, 1, 4]])
@pytest.mark.parametrize("labels", [[0, 1], [2, 0], [1], [0, 9], [0, 1, 2], [2, 9, 1, 0]])
def test_the_report_says_what_the_scores_say(labels: list[int], weights: Any) -> None:
    """Rows whose class is not shown are misses and false alarms of those that are."""
    table = report(TRUE, SAID, labels=labels, sample_weight=weights)
    each = [score(TRUE, SAID, labels=labels, average=None, sample_weight=weights) for score in SCORES.values()]
    w = np.ones(6) if weights is None else np.array(weights)
    for i, label in enumerate(labels):
        assert table[str(label)][:3] == [f"{values[i]:.4f}" for values in each]
        assert float(table[str(label)][3]) == w[np.array(TRUE) == label].sum()
    shown = f"{w[np.isin(TRUE, labels)].sum():g}"
    everyone = {0, 1, 2} <= set(labels)
    for average in ("macro", "weighted") if everyone else ("micro", "macro", "weighted"):
        want = [score(TRUE, SAID, labels=labels, average=average, sample_weight=weights) for score in SCORES.values()]
        assert table[average] == [*(f"{v:.4f}" for v in want), shown]
    assert ("accuracy" in table) == everyone
    assert ("micro" in table) != everyone
    if everyone:
        assert table["accuracy"] == [f"{metrics.accuracy_score(TRUE, SAID, sample_weight=weights):.4f}", shown]


def test_a_report_of_some_classes_by_hand() -> None:
    table = report(TRUE, SAID, labels=[0, 1])
    assert table["0"] == table["1"] == ["0.5000", "0.5000", "0.5000", "2"]  # 0.6667 where the rows of 2 are left out
    assert table["micro"] == ["0.5000", "0.5000", "0.5000", "4"]


def test_the_report_is_scikit_learns() -> None:
    theirs = pytest.importorskip("sklearn.metrics").classification_report
    for labels in ([0, 1], [2, 0], [0, 1, 2]):
        want = theirs(TRUE, SAID, labels=labels, digits=4, zero_division=0)
        want = want.replace(" avg", " average").replace("f1-score", "f1").replace("support", "rows")
        got = metrics.classification_report(TRUE, SAID, labels=labels, digits=4)
        assert got.split() == want.split()


def test_a_class_asked_for_twice_is_given_twice() -> None:
    assert metrics.recall_score(TRUE, SAID, labels=[1, 0, 1], average=None).tolist() == [0.5, 0.5, 0.5]


def test_a_class_of_weight_0_occurs() -> None:
    y, said, w = [0, 1, 2], [0, 1, 1], [1, 1, 0]
    assert metrics.f1_score(y, said, average="macro", sample_weight=w) == 2 / 3
    assert metrics.precision_score(y, said, average="macro", sample_weight=w) == 2 / 3
    assert metrics.recall_score(y, said, average="macro", sample_weight=w) == 2 / 3
    assert report(y, said, sample_weight=w)["macro"][:3] == ["0.6667"] * 3
    p = np.eye(5)[said]  # columns of classes that nowhere occur stay out of the mean
    assert metrics.f1_score(y, p, average="macro", sample_weight=w) == 2 / 3


@pytest.mark.parametrize("kind", [float, np.float32, int, str, object])
def test_true_labels_may_stand_in_a_column(kind: Any) -> None:
    y = np.array([["0"], ["1"], ["2"]], object) if kind is object else np.array([[0], [1], [2]]).astype(kind)
    said = ["0", "1", "2"] if kind in (str, object) else [0, 1, 2]
    assert metrics.accuracy_score(y, said) == 1
    assert np.array_equal(metrics.confusion_matrix(y, said), np.eye(3))
    assert metrics.recall_score([0, 1, 1], np.array([[0.4], [0.6], [0.2]])) == 0.5  # of predictions they are scores


def test_signs_beside_scores_are_a_no_and_a_yes() -> None:
    y, p = np.array([-1, 1, 1, -1, 1]), np.array([[-0.5], [0.2], [1.5], [0.1], [-2.0]])
    said = np.where(p[:, 0] > 0, 1, -1)
    for true in (y, y.astype(float), y[:, None]):
        assert np.array_equal(metrics.confusion_matrix(true, p, threshold=0), metrics.confusion_matrix(y, said))
        assert metrics.recall_score(true, p, threshold=0) == 2 / 3
    assert metrics.accuracy_score(y, p, threshold=0) == 3 / 5
    assert metrics.precision_score(y, p, threshold=0, average=None, labels=[1, -1]).tolist() == [2 / 3, 0.5]
    assert np.array_equal(metrics.confusion_matrix(y, p, threshold=0, labels=[1]), [[2]])
    assert np.array_equal(metrics.confusion_matrix([-1, -1], p[:2], threshold=0), [[1, 1], [0, 0]])
    assert set(report(y, p, threshold=0)) >= {"-1", "1"}
    assert metrics.confusion_matrix([-1, 0, 1], [[0.1], [0.2], [0.9]]).shape == (3, 3)  # three classes are no signs


def test_large_labels_of_unlike_types_are_told_apart() -> None:
    y, said = np.array([2**53, 2**53 + 1], np.uint64), np.array([2**53 + 1, 2**53 + 1], np.int64)
    for kind in (np.int64, np.uint64):
        assert metrics.accuracy_score(y, said.astype(kind)) == metrics.accuracy_score(said, y.astype(kind)) == 0.5
    assert metrics.confusion_matrix(y, y, labels=np.array([2**53 + 1])).tolist() == [[1]]
    far = np.array([2**63, 2**63 + 1], np.uint64)
    assert metrics.accuracy_score(far, np.array([5, 6], np.int64)) == 0
    assert metrics.accuracy_score(far, np.array([2**63, 5], np.uint64)) == 0.5
    shown = metrics.classification_report(y, said, labels=np.array([2**53 + 1], np.int64))
    assert "micro average" in shown


class Theirs:
    """An array of some other library."""

    def __init__(self, array: Any) -> None:
        self.array = np.asarray(array)

    def __dlpack__(self, **options: Any) -> Any:
        return self.array.__dlpack__(**options)

    def __dlpack_device__(self) -> Any:
        return self.array.__dlpack_device__()


def test_arrays_of_other_libraries_are_taken() -> None:
    y, said, p = np.array([0, 1, 1, 0]), np.array([0, 1, 0, 0]), np.array([[0.1], [0.7], [0.2], [0.3]])
    assert metrics.accuracy_score(Theirs(y), Theirs(said)) == 0.75
    assert metrics.recall_score(Theirs(y[:, None]), Theirs(p)) == 0.5
    assert np.array_equal(
        metrics.confusion_matrix(Theirs(np.eye(2)[y]), Theirs(said), labels=Theirs([1, 0])), [[1, 1], [0, 2]]
    )
    assert metrics.roc_auc_score(Theirs(y), Theirs(p)) == metrics.roc_auc_score(y, p)
    assert metrics.classification_report(Theirs(y), Theirs(said)) == metrics.classification_report(y, said)


REFUSED: list[Any] = [
    (
        lambda: metrics.f1_score([[0, 1, 1], [1, 0, 0]], TRUE[:2]),
        r"y_true: .* of one class each.* got \[0 1 1\] at row 0",
    ),
    (lambda: metrics.accuracy_score([[0, 1.0], [0, 0]], TRUE[:2]), r"got \[0. 0.\] at row 1; .*multilabel=True"),
    (lambda: metrics.accuracy_score(np.full((2, 2), np.nan), TRUE[:2]), r"y_true: .* of one class each"),
    (lambda: metrics.accuracy_score(np.array([2**63], np.uint64), [-1]), f"y_pred: .*got -1 beside {2**63}"),
    (lambda: metrics.accuracy_score([[0.2], [1.0]], [0, 1]), "y_true: expected labels"),
    (lambda: metrics.f1_score(TRUE, SAID, average="macro", labels=5), "labels: expected a list of classes, .*got 5"),
    (lambda: metrics.f1_score(TRUE, SAID, average="macro", labels=[]), r"labels: expected a list .*got \[\]"),
    (lambda: metrics.f1_score(TRUE, SAID, average=None, labels=[0.5]), "labels: expected labels .*float64"),
    (lambda: metrics.confusion_matrix(["a", "b"], ["a", "b"], labels=[0, 1]), "got numbers beside text"),
    (lambda: metrics.confusion_matrix(TRUE, SAID, labels=5), "labels: expected a list of classes, .*got 5"),
    (lambda: metrics.classification_report(TRUE, SAID, labels=["a", "b"]), "labels: .*got text beside numbers"),
    (lambda: metrics.recall_score(TRUE, SAID, average=None, labels=["0"]), "labels: .*got text beside numbers"),
    (lambda: metrics.accuracy_score(["a", "b"], [b"a", b"b"]), "y_pred: .*got bytes beside text"),
    (lambda: metrics.accuracy_score(["a", b"b"], ["a", "b"]), "y_true: .*got bytes beside text"),
]


@pytest.mark.parametrize(("act", "text"), REFUSED)
def test_what_is_no_class(act: Any, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        act()


@pytest.mark.parametrize("more", [{}, {"multilabel": True}])
@pytest.mark.parametrize("threshold", ["x", None, [0.5]])
def test_a_threshold_is_a_number(threshold: Any, more: Any) -> None:
    with pytest.raises(TypeError, match="threshold: expected a number, got "):
        metrics.f1_score([0, 1], [0.2, 0.7] if more else [0, 1], average="macro", threshold=threshold, **more)


@pytest.mark.parametrize("threshold", [np.nan, np.inf])
def test_a_threshold_is_finite(threshold: float) -> None:
    with pytest.raises(ValueError, match=f"threshold: expected a finite number, got {threshold}"):
        metrics.f1_score([0, 1], [0.2, 0.7], threshold=threshold)
