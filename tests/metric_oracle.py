"""Metrics in float64 NumPy, written from the published formulas, by rows and classes where that is clearest.

Precision, recall: van Rijsbergen 1979; ROC-AUC: Mann and Whitney 1947, over every pair; Matthews: the correlation of
indicator vectors (Gorodkin 2004); R2: Draper and Smith.
"""

from __future__ import annotations

from typing import Any

import numpy as np


def share(a: float, b: float) -> float:
    return a / b if b else 0.0


def class_scores(true: Any, predicted: Any, classes: Any, weights: Any = None) -> dict[str, list[float]]:
    """Each score of each class, by counting rows."""
    w = np.ones(len(true)) if weights is None else np.asarray(weights, float)
    scores: dict[str, list[float]] = {"precision": [], "recall": [], "f1": [], "support": [], "present": []}
    for c in classes:
        both = sum(w[i] for i in range(len(true)) if true[i] == c and predicted[i] == c)
        said = sum(w[i] for i in range(len(true)) if predicted[i] == c)
        is_so = sum(w[i] for i in range(len(true)) if true[i] == c)
        p, r = share(both, said), share(both, is_so)
        scores["precision"].append(p)
        scores["recall"].append(r)
        scores["f1"].append(share(2 * p * r, p + r))
        scores["support"].append(is_so)
        scores["present"].append(float(c in true or c in predicted))  # whatever the weights
    return scores


def averaged(name: str, average: Any, true: Any, predicted: Any, classes: Any, weights: Any = None) -> Any:
    """The score as an average over classes; "micro" counts every row's decision for every class."""
    scores = class_scores(true, predicted, classes, weights)
    each, support = np.array(scores[name]), np.array(scores["support"])
    if average is None:
        return each
    if average == "binary":
        return each[1]
    if average == "macro":
        return each[np.array(scores["present"]) > 0].mean()
    if average == "weighted":
        return share(float((each * support).sum()), float(support.sum()))
    w = np.ones(len(true)) if weights is None else np.asarray(weights, float)
    return share(float(w[np.asarray(true) == np.asarray(predicted)].sum()), float(w.sum()))


def auc(scores: Any, yes: Any, weights: Any = None) -> float:
    """Every pair of a yes and a no."""
    scores, yes = np.asarray(scores, np.float64), np.asarray(yes, bool)
    w = np.ones(len(scores)) if weights is None else np.asarray(weights, float)
    if np.isnan(scores).any() or not w[yes].any() or not w[~yes].any():
        return float("nan")
    pairs = w[yes][:, None] * w[~yes]
    above = (scores[yes][:, None] > scores[~yes]) + 0.5 * (scores[yes][:, None] == scores[~yes])
    return float((pairs * above).sum() / pairs.sum())


def top_k(scores: Any, labels: Any, k: int) -> float:
    """By a stable sort: of equals the first come first."""
    order = np.argsort(-np.asarray(scores, np.float64), axis=1, kind="stable")[:, :k]
    return float((order == np.asarray(labels)[:, None]).any(axis=1).mean())


def matthews(true: Any, predicted: Any, classes: Any) -> float:
    a, b = (np.asarray(v)[:, None] == np.asarray(classes) for v in (true, predicted))
    a, b = a - a.mean(axis=0), b - b.mean(axis=0)
    spread = float((a * a).sum() * (b * b).sum())
    return float((a * b).sum()) / np.sqrt(spread) if spread > 1e-18 else 0.0


def balanced_accuracy(true: Any, predicted: Any) -> float:
    true, predicted = np.asarray(true), np.asarray(predicted)
    return float(np.mean([(predicted[true == c] == c).mean() for c in np.unique(true)]))


def regression(name: str, p: Any, t: Any) -> Any:
    """Of each output."""
    p, t = np.asarray(p, np.float64), np.asarray(t, np.float64)
    squares = ((p - t) ** 2).mean(axis=0)
    if name == "mse":
        return squares
    if name == "rmse":
        return np.sqrt(squares)
    if name == "mae":
        return np.abs(p - t).mean(axis=0)
    spread = ((t - t.mean(axis=0)) ** 2).mean(axis=0)
    return np.array([1 - s / v if v else float(s == 0) for s, v in zip(squares, spread, strict=True)])
