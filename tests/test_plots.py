"""Pictures: what is in them, files that are pictures, and errors that name what is wrong."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small import X, Y, classifier

from fastnn import Dense, Model, plots
from fastnn.losses import BinaryCrossentropy, CategoricalCrossentropy

pytest.importorskip("matplotlib")


def texts(figure: Any) -> list[str]:
    return [text.get_text() for text in figure.axes[0].texts]


def size_of_png(path: Path) -> tuple[int, int]:
    blob = path.read_bytes()
    assert blob[:8] == b"\x89PNG\r\n\x1a\n"
    return int.from_bytes(blob[16:20]), int.from_bytes(blob[20:24])


def test_a_confusion_matrix_has_the_counts_and_the_shares(tmp_path: Path) -> None:
    true, predicted = [0, 0, 0, 1, 1, 2], [0, 0, 1, 1, 1, 0]
    figure = plots.confusion_matrix(true, predicted, tmp_path / "c.png", class_names=["a", "b", "c"])
    assert texts(figure) == ["2", "1", "0", "0", "2", "0", "1", "0", "0"]
    axes = figure.axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a", "b", "c"]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("predicted class", "true class")
    assert axes.get_title() == "66.7% of 6 right"
    np.testing.assert_allclose(axes.images[0].get_array(), [[2 / 3, 1 / 3, 0], [0, 1, 0], [1, 0, 0]])
    assert min(size_of_png(tmp_path / "c.png")) > 300
    shares = plots.confusion_matrix(true, predicted, normalize=True, title="shares")
    assert texts(shares)[:3] == ["0.67", "0.33", "0.00"]
    assert shares.axes[0].get_title() == "shares"


def test_scores_one_hot_and_one_probability_are_taken() -> None:
    model = classifier()
    model.train(X, Y, epochs=20)
    scores = model.predict(X)
    want = texts(plots.confusion_matrix(Y, scores.argmax(axis=1)))
    assert texts(plots.confusion_matrix(np.eye(3)[Y], scores)) == want
    assert sum(int(n) for n in want) == 90
    assert texts(plots.confusion_matrix([0, 1, 1], np.array([[0.2], [0.9], [0.4]]))) == ["1", "0", "1", "1"]
    assert texts(plots.confusion_matrix(range(40), range(40))) == []  # too many cells to be read


@pytest.mark.parametrize(
    ("true", "predicted", "text"),
    [
        ([0, 1], [0], "y_pred: expected 2 rows, as many as y_true, got 1"),
        ([0.5], [0], r"y_true: expected integer labels \(n,\) or scores"),
        ([], [], "y_true: expected integer labels"),
        ([-1], [0], "y_true: expected class labels of at least 0, got -1"),
        ([0], np.zeros((1, 2, 2)), "y_pred: expected integer labels"),
    ],
)
def test_labels_that_are_none_are_refused(true: Any, predicted: Any, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        plots.confusion_matrix(true, predicted)


def test_the_regions_show_every_class_and_every_point(tmp_path: Path) -> None:
    class Halves:
        def predict(self, X: Any) -> Any:
            return np.stack([X[:, 0] < 0, X[:, 0] >= 0], axis=1).astype(float)

    points = np.array([[-1.0, 0.0], [1.0, 0.0], [1.0, 1.0]])
    figure = plots.decision_regions(Halves(), points, [0, 1, 1], tmp_path / "r.png", class_names=["left", "right"])
    axes = figure.axes[0]
    picture = axes.images[0].get_array()
    left, right = picture[200, 50], picture[200, 350]
    assert left[2] > left[0]  # blue
    assert right[0] > right[2]  # orange
    assert [len(c.get_offsets()) for c in axes.collections] == [1, 2]
    assert [t.get_text() for t in axes.get_legend().get_texts()] == ["left", "right"]
    assert min(size_of_png(tmp_path / "r.png")) > 300


def test_history_plot_draws_training_and_validation(tmp_path: Path) -> None:
    model = classifier()
    history = model.train(X, Y, epochs=5, validation_split=0.2)
    figure = history.plot(str(tmp_path / "h.png"))
    upper, lower = figure.axes
    for axes, key in ((upper, "loss"), (lower, "accuracy")):
        drawn = {line.get_label(): list(line.get_ydata()) for line in axes.lines}
        assert drawn == {"training": history[key], "validation": history[f"val_{key}"]}
    assert min(size_of_png(tmp_path / "h.png")) > 300


def test_without_matplotlib_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r"pip install 'fastnn-cpu\[plot\]'"):
        plots.confusion_matrix([0], [0])


def test_scores_of_a_loss_are_told_from_probabilities() -> None:
    yes = (X[:, 0] > 0).astype(int)
    model = Model([Dense(1)], seed=0)
    model.set(loss=BinaryCrossentropy(from_logits=True), optimizer="adam")
    model.train(X[:, :2], yes, epochs=30)
    right = (model.predict_labels(X[:, :2]) == yes).mean()
    title = plots.confusion_matrix(yes, model.predict(X[:, :2]), threshold=0.0).axes[0].get_title()
    assert title == f"{right:.1%} of {len(X)} right"
    image = np.asarray(plots.decision_regions(model, X[:, :2], yes).axes[0].images[0].get_array())
    low, high = X[:, :2].min(axis=0), X[:, :2].max(axis=0)
    margin = 0.08 * (high - low)
    lines = [np.linspace(low[k] - margin[k], high[k] + margin[k], plots.GRID) for k in (0, 1)]
    seen = model.predict_labels(np.stack(np.meshgrid(*lines), axis=-1).reshape(-1, 2).astype(np.float32))
    blue = image[..., 2] > image[..., 0]  # of class 0; class 1 is orange
    assert (blue.reshape(-1) == (seen == 0)).all()
    several = Model([Dense(3)], seed=0)
    several.set(loss=CategoricalCrossentropy(from_logits=True), optimizer="adam")
    several.train(X[:, :2], Y, epochs=5)
    colours = plots.decision_regions(several, X[:, :2], Y).axes[0].images[0].get_array()
    assert 0 <= colours.min() <= colours.max() <= 1


def test_labels_of_one_column_are_labels() -> None:
    pytest.importorskip("matplotlib")
    y, p = np.array([[0], [1], [2]]), np.eye(3)
    for labels in (y, y.astype(float), y.ravel().astype(float)):
        figure = plots.confusion_matrix(labels, p)
        assert "100.0% of 3 right" in figure.axes[0].get_title()
    soft = plots.confusion_matrix(np.array([0, 1]), np.array([[0.2], [0.9]]))
    assert "100.0% of 2 right" in soft.axes[0].get_title()


def test_regions_take_a_column_of_labels_and_refuse_what_they_would_not_show() -> None:
    pytest.importorskip("matplotlib")

    class Half:
        def predict(self, X: Any) -> Any:
            assert X.dtype == np.float64  # float32 has steps of 128 there
            return (X[:, :1] > 1.7e9 + 50).astype(float)

    X = 1.7e9 + np.array([[0.0, 1.0], [100.0, 2.0]])
    plots.decision_regions(Half(), X, np.array([[0], [1]]))
    with pytest.raises(ValueError, match="y: expected class labels of at least 0, got -1"):
        plots.decision_regions(Half(), X, np.array([-1, 1]))
