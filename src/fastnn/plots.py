"""Pictures: what a classifier of two features does with the plane, which classes it takes for which, and how a training
went. Needs matplotlib."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastnn import metrics
from fastnn.metrics._classes import whole_numbers

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = ("#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd", "#8c564b", "#e377c2", "#7f7f7f", "#bcbd22", "#17becf")
MOST_CELLS = 25  # classes up to which a confusion matrix has its numbers written in
GRID = 400  # points a side at which the classifier is asked


class Classifier(Protocol):
    """Anything with a ``predict`` that gives (rows, classes) scores, or (rows, 1) for two classes."""

    def predict(self, X: Any) -> NDArray[Any]: ...


def decision_regions(
    model: Classifier,
    X: ArrayLike,
    y: ArrayLike,
    path: str | Path | None = None,
    *,
    class_names: Sequence[str] = (),
    feature_names: Sequence[str] = (),
    title: str = "",
) -> Figure:
    """The plane in the colour of the class that ``model`` sees there, paler where it is less sure, with points on top.

    X (n, 2), y integer labels (n,) or (n, 1), from 0. Saved to ``path`` where that is given; returns the matplotlib
    Figure. Raises ValueError for data of another shape, ImportError without matplotlib.
    """
    points, labels = np.asarray(X), np.asarray(y)
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if points.ndim != 2 or points.shape[1] != 2 or labels.shape != points.shape[:1]:
        raise ValueError(f"decision_regions needs X (n, 2) and labels (n,), got {points.shape} and {labels.shape}")
    if labels.min(initial=0) < 0:
        raise ValueError(f"y: expected class labels of at least 0, got {labels.min()}")
    figure, axes = _figure(1)
    low, high = points.min(axis=0), points.max(axis=0)
    margin = 0.08 * np.maximum(high - low, 1e-6)
    low, high = low - margin, high + margin
    across, up = np.linspace(low[0], high[0], GRID), np.linspace(low[1], high[1], GRID)
    grid = (
        np.stack(np.meshgrid(across, up), axis=-1)
        .reshape(-1, 2)
        .astype(np.float32 if points.dtype == np.float32 else np.float64)
    )
    scores = _shares(model.predict(grid), getattr(getattr(model, "loss", None), "threshold", 0.5))
    classes = max(scores.shape[1], int(labels.max(initial=0)) + 1)
    colours = np.array([_rgb(COLOURS[k % len(COLOURS)]) for k in range(classes)])
    best = scores.argmax(axis=1)
    sure = scores.max(axis=1).clip(0, 1)[:, None]
    image = (1 - 0.55 * sure) + 0.55 * sure * colours[best]
    box = (float(low[0]), float(high[0]), float(low[1]), float(high[1]))
    axes[0].imshow(image.reshape(GRID, GRID, 3).clip(0, 1), extent=box, origin="lower", aspect="auto")
    for k in range(classes):
        name = class_names[k] if k < len(class_names) else f"class {k}"
        here = points[labels == k]
        axes[0].scatter(
            here[:, 0], here[:, 1], s=11, color=colours[k], edgecolors="#222222", linewidths=0.4, label=name
        )
    if classes <= len(COLOURS):
        axes[0].legend(loc="upper right", fontsize=8, framealpha=0.9, markerscale=1.6)
    axes[0].set_xlabel(feature_names[0] if len(feature_names) == 2 else "feature 0")
    axes[0].set_ylabel(feature_names[1] if len(feature_names) == 2 else "feature 1")
    axes[0].set_title(title)
    return _done(figure, path)


def _shares(outputs: NDArray[Any], threshold: float) -> NDArray[Any]:
    """How sure a model is of each class (rows, classes). threshold: of its loss; one that takes scores has another than
    probabilities have, and they become such."""
    if outputs.shape[1] == 1:
        yes = outputs if threshold == 0.5 else 1 / (1 + np.exp(threshold - outputs))
        return np.concatenate([1 - yes, yes], axis=1)
    if threshold == 0.5:
        return outputs
    e = np.exp(outputs - outputs.max(axis=1, keepdims=True))
    return np.asarray(e / e.sum(axis=1, keepdims=True))


def confusion_matrix(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    path: str | Path | None = None,
    *,
    threshold: float = 0.5,
    class_names: Sequence[str] = (),
    normalize: bool = False,
    title: str = "",
) -> Figure:
    """How often each true class (a row) was taken for each predicted one (a column); the diagonal is right.

    y_true: integer labels (n,) or (n, 1), or (n, classes) one-hot. y_pred: the same, or the scores (n, classes) of
    ``model.predict``; (n, 1) is one output, of class 1 where it is above threshold: 0.5 for probabilities, 0 where the
    loss takes scores (``model.loss.threshold``). normalize: shares of each row instead of counts; the
    colour is that share in any case. Saved to ``path`` where that is given; returns the matplotlib Figure. Raises
    ValueError for labels that are no classes or of two lengths, ImportError without matplotlib.
    """
    true, predicted = _labels("y_true", y_true, None), _labels("y_pred", y_pred, threshold)
    if true.shape != predicted.shape:
        raise ValueError(f"y_pred: expected {len(true)} rows, as many as y_true, got {len(predicted)}")
    scores = np.asarray(y_pred)
    outputs = scores.shape[1] if scores.ndim == 2 else 0
    classes = max(int(true.max()) + 1, int(predicted.max()) + 1, len(class_names), outputs)
    counts = metrics.confusion_matrix(true, predicted, labels=np.arange(classes))
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    names = [class_names[k] if k < len(class_names) else str(k) for k in range(classes)]
    side = min(max(0.62 * classes, 3.2), 14.0)
    figure, (axes,) = _figure(1, (side + 2.2, side + 1.2))
    image = axes.imshow(share, cmap="Blues", vmin=0.0, vmax=1.0)
    if classes <= MOST_CELLS:
        for row, column in np.ndindex(classes, classes):
            shown = f"{share[row, column]:.2f}" if normalize else f"{counts[row, column]:,}"
            dark = share[row, column] > 0.5
            size = 9 if classes <= 12 else 7
            axes.text(column, row, shown, ha="center", va="center", fontsize=size, color="white" if dark else "black")
    turned = max(len(name) for name in names) > 3 and classes > 3
    axes.set_xticks(range(classes), names, rotation=45 if turned else 0, ha="right" if turned else "center")
    axes.set_yticks(range(classes), names)
    axes.set_xlabel("predicted class")
    axes.set_ylabel("true class")
    axes.set_title(title or f"{np.trace(counts) / counts.sum():.1%} of {counts.sum():,} right")
    figure.colorbar(image, ax=axes, label="share of the true class", shrink=0.8)
    return _done(figure, path)


def _labels(name: str, values: ArrayLike, threshold: float | None) -> NDArray[np.int64]:
    """Class numbers (n,) of labels, one-hot rows or scores. threshold: above which floats (n, 1) are class 1; None
    where they are labels too."""
    a = np.asarray(values)
    if a.ndim == 2 and a.shape[1] > 1:
        a = a.argmax(axis=1)
    elif a.ndim == 2 and a.shape[1] == 1:
        a = a[:, 0] if a.dtype.kind in "iub" or threshold is None else (a[:, 0] > threshold).astype(np.int64)
    a = whole_numbers(a)
    if a.ndim != 1 or a.dtype.kind not in "iub" or not len(a):
        raise ValueError(
            f"{name}: expected integer labels (n,) or scores (n, classes), got {a.dtype} of shape {a.shape}"
        )
    if a.min() < 0:
        raise ValueError(f"{name}: expected class labels of at least 0, got {a.min()}")
    return a.astype(np.int64)


def plot_history(history: Mapping[str, Sequence[float | None]] | Any, path: str | Path | None = None) -> Figure:
    """Loss and accuracy by epoch, with those of the validation data where there were any.

    history: ``model.history``. Saved to ``path`` where that is given; returns the matplotlib Figure. Raises
    ValueError for a history without epochs, ImportError without matplotlib.
    """
    if len(history["loss"]) == 0:
        raise ValueError("the history has no epochs: train first")
    figure, (upper, lower) = _figure(2)
    for axes, key in ((upper, "loss"), (lower, "accuracy")):
        for name, label in ((key, "training"), (f"val_{key}", "validation")):
            values = [float("nan") if value is None else value for value in history[name]]
            if not np.isnan(values).all():
                epochs = np.arange(1, len(values) + 1)
                axes.plot(epochs, values, label=label, linewidth=1.4, marker="o" if len(values) == 1 else "")
        if axes.lines:
            axes.legend(fontsize=8)
        axes.set_ylabel(key)
        axes.grid(alpha=0.3)
    lower.set_xlabel("epoch")
    return _done(figure, path)


def _figure(rows: int, size: tuple[float, float] = (7.0, 6.0)) -> tuple[Figure, list[Axes]]:
    """A figure of its own, away from pyplot's global state: no window, no display needed."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise ImportError("pictures need matplotlib: pip install 'fastnn-cpu[plot]'") from None
    figure = Figure(figsize=size, layout="constrained")
    return figure, list(figure.subplots(rows, 1, squeeze=False, sharex=True)[:, 0])


def _rgb(colour: str) -> tuple[float, float, float]:
    return int(colour[1:3], 16) / 255, int(colour[3:5], 16) / 255, int(colour[5:7], 16) / 255


def _done(figure: Figure, path: str | Path | None) -> Figure:
    if path is not None:
        figure.savefig(path, dpi=110)
    return figure
