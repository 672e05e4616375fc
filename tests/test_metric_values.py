"""Every metric of a model and every function of fastnn.metrics against tests/metric_oracle.py: in batches, with ties,
absent classes, weights, NaN."""

from __future__ import annotations

import math
from typing import Any

import metric_oracle as oracle
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastnn import Dense, Input, Model, callbacks, metrics
from fastnn.metrics import (
    F1,
    MAE,
    MSE,
    R2,
    RMSE,
    ROCAUC,
    BalancedAccuracy,
    MatthewsCorrelation,
    Metric,
    Precision,
    Recall,
    TopKAccuracy,
)

AVERAGES: list[Any] = ["macro", "micro", "weighted", None]
SCORES = {"precision": metrics.precision_score, "recall": metrics.recall_score, "f1": metrics.f1_score}
BOUND = 1e-12


def near(got: Any, want: Any, bound: float = BOUND) -> None:
    np.testing.assert_allclose(got, want, rtol=bound, atol=bound)


def judge(outputs: int, loss: str, asked: Any, dtype: str = "float64", **more: Any) -> Model:
    """A model that gives back what it is given: its metrics are those of its input."""
    model = Model([Input(outputs)], dtype=dtype)
    model.set(loss=loss, metrics=asked, **more)
    return model


def probabilities(rng: np.random.Generator, rows: int, classes: int, levels: int = 0) -> Any:
    """Scores of which many are equal where levels is given."""
    p = rng.uniform(0.01, 1, (rows, classes))
    return np.ceil(p * levels) / levels if levels else p / p.sum(axis=1, keepdims=True)


# --- classes ---


# by the name that each is registered under: (the metric, its value from the predictions p and the classes or targets y)
VALUES: dict[str, tuple[Metric, Any]] = {
    "precision": (
        Precision("macro"),
        lambda p, y: oracle.averaged("precision", "macro", y, p.argmax(axis=1), range(4)),
    ),
    "recall": (Recall("macro"), lambda p, y: oracle.averaged("recall", "macro", y, p.argmax(axis=1), range(4))),
    "f1": (F1("macro"), lambda p, y: oracle.averaged("f1", "macro", y, p.argmax(axis=1), range(4))),
    "balanced_accuracy": (BalancedAccuracy(), lambda p, y: oracle.balanced_accuracy(y, p.argmax(axis=1))),
    "matthews_correlation": (MatthewsCorrelation(), lambda p, y: oracle.matthews(y, p.argmax(axis=1), range(4))),
    "top_k_accuracy": (TopKAccuracy(2), lambda p, y: oracle.top_k(p, y, 2)),
    "roc_auc": (ROCAUC("macro"), lambda p, y: np.mean([oracle.auc(p[:, c], y == c) for c in range(4)])),
    "mse": (MSE(), lambda p, y: oracle.regression("mse", p, y).mean()),
    "rmse": (RMSE(), lambda p, y: oracle.regression("rmse", p, y).mean()),
    "mae": (MAE(), lambda p, y: oracle.regression("mae", p, y).mean()),
    "r2": (R2(), lambda p, y: oracle.regression("r2", p, y).mean()),
}


def test_every_registered_metric_is_in_the_table() -> None:
    assert {cls.names[0]: cls for cls in Metric.registry.values()} == {n: type(m) for n, (m, _) in VALUES.items()}


@pytest.mark.parametrize("name", VALUES)
def test_the_value_of(name: str, rng: np.random.Generator) -> None:
    metric, want = VALUES[name]
    regression = name in ("mse", "rmse", "mae", "r2")
    p = rng.standard_normal((90, 4)) if regression else probabilities(rng, 90, 4)
    y = p + rng.standard_normal((90, 4)) if regression else rng.integers(0, 4, 90)
    (got,) = judge(4, "mse" if regression else "cce", [metric]).evaluate(p, y).metrics.values()
    near(got, want(p, y))
    assert got not in (0, 1)


@pytest.mark.parametrize("classes", [2, 3, 10, 40])
@pytest.mark.parametrize("targets", ["labels", "one-hot"])
def test_a_classifier(isa: str, classes: int, targets: str, rng: np.random.Generator) -> None:
    p = probabilities(rng, 333, classes, 7).astype(np.float32)
    y = rng.integers(0, classes, 333)
    y[y == 1] = 0  # a class that only predictions have
    t = y if targets == "labels" else np.eye(classes)[y]
    names = [f"{s}_{a}" for s in SCORES for a in ("macro", "micro", "weighted")]
    asked: list[Any] = [*names, *(cls(None, name=f"each_{cls.names[0]}") for cls in (Precision, Recall, F1))]
    asked += [TopKAccuracy(k) for k in range(1, min(classes, 6))]
    asked += ["balanced_accuracy", "mcc", "auc", ROCAUC("weighted", name="auc_w"), ROCAUC(None, name="area")]
    model = judge(classes, "cce", asked, "float32")
    got = model.evaluate(p, t)
    predicted, everyone = p.argmax(axis=1), range(classes)
    for s in SCORES:
        for a in ("macro", "micro", "weighted"):
            near(got.metrics[f"{s}_{a}"], oracle.averaged(s, a, y, predicted, everyone))
        near([got.metrics[f"each_{s}_{c}"] for c in everyone], oracle.averaged(s, None, y, predicted, everyone))
    near(got.metrics["balanced_accuracy"], oracle.balanced_accuracy(y, predicted))
    near(got.metrics["mcc"], oracle.matthews(y, predicted, everyone))
    near(got.metrics["precision_micro"], got.accuracy)
    if classes > 2:
        near(got.metrics["top_1_accuracy"], got.accuracy)
        near(got.metrics["top_2_accuracy"], oracle.top_k(p, y, 2))
        areas = [oracle.auc(p[:, c], y == c) for c in everyone]
        assert math.isnan(got.metrics["auc"])  # class 1 has no rows
        near([got.metrics[f"area_{c}"] for c in everyone], areas)
        y = rng.integers(0, classes, 333)
        got, areas = model.evaluate(p, y), [oracle.auc(p[:, c], y == c) for c in everyone]
        near(got.metrics["auc"], np.mean(areas))
        near(got.metrics["auc_w"], np.average(areas, weights=np.bincount(y, minlength=classes)))


@pytest.mark.parametrize("loss", ["binary_crossentropy", "binary_logits"])
def test_one_yes_or_no(isa: str, loss: str, rng: np.random.Generator) -> None:
    from fastnn.losses import BinaryCrossentropy

    logits = loss == "binary_logits"
    p = np.round(rng.uniform(0, 1, (400, 1)), 2).astype(np.float32) - (0.5 if logits else 0)
    y = (rng.uniform(0, 1, 400) < 0.3).astype(int)
    limit = 0.0 if logits else 0.5
    asked = ["precision", "recall", "f1", "auc", "mcc", "balanced_accuracy", "f1_macro", F1(None, name="each"),
             Recall(threshold=limit + 0.2, name="strict")]  # fmt: skip
    got = judge(1, BinaryCrossentropy(from_logits=logits), asked, "float32").evaluate(p, y)  # type: ignore[arg-type]
    said = (p[:, 0] > limit).astype(int)
    for name in SCORES:
        near(got.metrics[name], oracle.averaged(name, "binary", y, said, range(2)))
    near(got.metrics["f1_macro"], oracle.averaged("f1", "macro", y, said, range(2)))
    near([got.metrics["each_0"], got.metrics["each_1"]], oracle.averaged("f1", None, y, said, range(2)))
    near(got.metrics["mcc"], oracle.matthews(y, said, range(2)))
    near(got.metrics["balanced_accuracy"], oracle.balanced_accuracy(y, said))
    near(got.metrics["auc"], oracle.auc(p[:, 0], y))
    strict = (p[:, 0] > np.float32(limit + 0.2)).astype(int)
    near(got.metrics["strict"], oracle.averaged("recall", "binary", y, strict, range(2)))
    assert got.metrics["strict"] < got.metrics["recall"]


def test_signs_are_a_yes_and_a_no(rng: np.random.Generator) -> None:
    p, y = rng.standard_normal((50, 1)), rng.integers(0, 2, 50)
    got = judge(1, "hinge", ["f1", "auc"])
    want = oracle.averaged("f1", "binary", y, (p[:, 0] > 0) * 1, range(2))
    near(got.evaluate(p, y).metrics["f1"], want)
    near(got.evaluate(p, 2 * y - 1).metrics["f1"], want)
    near(got.evaluate(p, 2 * y - 1).metrics["auc"], oracle.auc(p[:, 0], y))


def test_several_yes_or_noes(isa: str, rng: np.random.Generator) -> None:
    p = rng.uniform(0, 1, (250, 4)).astype(np.float32)
    y = (rng.uniform(0, 1, (250, 4)) < (0.1, 0.5, 0.9, 0.3)).astype(np.uint8)
    p[:, 3] = 0.2  # nothing is predicted of it
    asked = [*(f"{s}_{a}" for s in SCORES for a in ("macro", "micro", "weighted")), F1(None, name="each"), "auc"]
    got = judge(4, "binary_crossentropy", asked, "float32").evaluate(p, y)
    said = (p > 0.5) * 1
    for s in SCORES:
        each = [oracle.averaged(s, "binary", y[:, j], said[:, j], range(2)) for j in range(4)]
        near(got.metrics[f"{s}_macro"], np.mean(each))
        near(got.metrics[f"{s}_weighted"], np.average(each, weights=y.sum(axis=0)))
        near(got.metrics[f"{s}_micro"], oracle.averaged(s, "binary", y.ravel(), said.ravel(), range(2)))
        near(SCORES[s](y, p, average=None, multilabel=True), each)
    near([got.metrics[f"each_{j}"] for j in range(4)], metrics.f1_score(y, p, average=None, multilabel=True))
    near(got.metrics["auc"], np.mean([oracle.auc(p[:, j], y[:, j]) for j in range(4)]))
    near(metrics.roc_auc_score(y, p, average=None), [oracle.auc(p[:, j], y[:, j]) for j in range(4)])


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_counts_never_depend_on_the_batch(data: Any) -> None:
    classes, rows = data.draw(st.integers(2, 6)), data.draw(st.integers(1, 70))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    p, y = probabilities(rng, rows, classes, data.draw(st.integers(1, 5))), rng.integers(0, classes, rows)
    asked = ["f1_macro", "precision_weighted", "recall_micro", "mcc", "auc", TopKAccuracy(1)]
    model = judge(classes, "cce", asked)
    whole = model.evaluate(p, y)
    cut = model.evaluate(p, y, batch_size=data.draw(st.integers(1, 80)))
    assert np.array_equal(list(cut.metrics.values()), list(whole.metrics.values()), equal_nan=True)
    assert cut == whole
    said = p.argmax(axis=1)
    near(whole.metrics["f1_macro"], oracle.averaged("f1", "macro", y, said, range(classes)))
    near(whole.metrics["mcc"], oracle.matthews(y, said, range(classes)), 1e-9)
    near(metrics.f1_score(y, p, average="macro"), whole.metrics["f1_macro"])


# --- areas ---


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_the_area_is_that_over_all_pairs(data: Any) -> None:
    rows = data.draw(st.integers(2, 40))
    scores = np.array(
        data.draw(st.lists(st.sampled_from([0.0, -0.0, 0.5, 1.0, 2.0, -3.0, math.inf]), min_size=rows, max_size=rows))
    )
    yes = np.array(data.draw(st.lists(st.booleans(), min_size=rows, max_size=rows)))
    weights = np.array(data.draw(st.lists(st.integers(0, 3), min_size=rows, max_size=rows)))
    for dtype in (np.float32, np.float64):
        near(
            metrics.roc_auc_score(yes, scores.astype(dtype)) if len(set(yes)) > 1 else math.nan, oracle.auc(scores, yes)
        )
    if weights.any() and len(set(yes)) > 1:
        near(metrics.roc_auc_score(yes, scores, sample_weight=weights), oracle.auc(scores, yes, weights))


def test_the_area_where_all_is_clear() -> None:
    assert metrics.roc_auc_score([0, 0, 1, 1], [0.1, 0.2, 0.3, 0.4]) == 1
    assert metrics.roc_auc_score([1, 1, 0, 0], [0.1, 0.2, 0.3, 0.4]) == 0
    assert metrics.roc_auc_score([0, 1] * 50, np.full(100, 0.25)) == 0.5
    assert metrics.roc_auc_score([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8]) == 0.75
    assert metrics.roc_auc_score([-1, -1, 1, 1], [[0.1], [0.4], [0.35], [0.8]]) == 0.75


def test_one_class_alone_and_nan_have_no_area(rng: np.random.Generator) -> None:
    p = rng.uniform(0, 1, 20)
    assert math.isnan(metrics.roc_auc_score(np.ones(20, int), p))
    assert math.isnan(metrics.roc_auc_score(np.zeros(20, int), p))
    p[3] = np.nan
    assert math.isnan(metrics.roc_auc_score(np.arange(20) % 2, p))
    assert math.isnan(metrics.roc_auc_score(np.arange(20) % 2, p, sample_weight=np.ones(20)))
    got = judge(1, "binary_crossentropy", ["auc", "f1"]).evaluate(p[:, None], np.arange(20) % 2)
    assert math.isnan(got.metrics["auc"])
    assert 0 < got.metrics["f1"] < 1  # a NaN is no yes


# --- numbers ---


@pytest.mark.parametrize("outputs", [1, 3])
@pytest.mark.parametrize("far", [0.0, 1e6])
def test_errors(isa: str, outputs: int, far: float, dtype: Any, rng: np.random.Generator) -> None:
    t = (rng.standard_normal((500, outputs)) + far).astype(dtype)
    p = (t + 0.3 * rng.standard_normal((500, outputs))).astype(dtype)
    model = judge(outputs, "mse", ["mse", "rmse", "mae", "r2"], str(dtype))
    got = model.evaluate(p, t)
    for name in ("mse", "rmse", "mae", "r2"):
        want = oracle.regression(name, p, t)
        near(got.metrics[name], want.mean(), 1e-9)
    for batch in (1, 7, 499):
        assert model.evaluate(p, t, batch_size=batch).metrics == got.metrics
    pairs = {"mse": metrics.mean_squared_error, "rmse": metrics.root_mean_squared_error,
             "mae": metrics.mean_absolute_error, "r2": metrics.r2_score}  # fmt: skip
    w = rng.integers(0, 4, 500)
    for name, function in pairs.items():
        near(function(t, p, multioutput="raw_values"), oracle.regression(name, p, t), 1e-9)
        near(function(t, p), got.metrics[name], 1e-12)
        repeated = oracle.regression(name, np.repeat(p, w, axis=0), np.repeat(t, w, axis=0))
        near(function(t, p, sample_weight=w, multioutput="raw_values"), repeated, 1e-9)


def test_targets_that_are_all_equal() -> None:
    t = np.full((9, 1), 0.1)
    assert metrics.r2_score(t, t) == 1
    assert metrics.r2_score(t, t + 0.5) == 0
    assert math.isnan(metrics.r2_score([1.0], [1.0]))
    assert math.isnan(metrics.mean_squared_error([1.0, np.nan], [1.0, 2.0]))
    assert math.isnan(judge(1, "mse", ["r2"]).evaluate([[1.0]], [[2.0]]).metrics["r2"])


# --- functions on labels ---


@pytest.mark.parametrize("kind", ["small", "large", "negative", "text", "gaps", "whole floats"])
def test_labels_of_every_kind(kind: str, rng: np.random.Generator) -> None:
    names: Any = {"small": [0, 1, 2], "large": [10**12, 5, -3], "negative": [-1, 0, 1], "text": ["a", "c", "b"],
                  "gaps": [0, 7, 200], "whole floats": [0.0, 2.0, 5.0]}[kind]  # fmt: skip
    true, said = np.array(names)[rng.integers(0, 3, 200)], np.array(names)[rng.integers(0, 3, 200)]
    w = rng.uniform(0, 2, 200)
    classes = sorted(names)
    want = np.array([[np.sum((true == a) & (said == b)) for b in classes] for a in classes])
    assert np.array_equal(metrics.confusion_matrix(true, said), want)
    heavy = np.array([[w[(true == a) & (said == b)].sum() for b in classes] for a in classes])
    near(metrics.confusion_matrix(true, said, sample_weight=w), heavy)
    near(metrics.confusion_matrix(true, said, normalize="true"), want / want.sum(axis=1, keepdims=True))
    near(metrics.confusion_matrix(true, said, normalize="pred"), want / want.sum(axis=0))
    near(metrics.confusion_matrix(true, said, normalize="all"), want / 200)
    chosen = [classes[2], classes[0]]
    assert np.array_equal(metrics.confusion_matrix(true, said, labels=chosen), want[np.ix_([2, 0], [2, 0])])
    near(metrics.accuracy_score(true, said), np.trace(want) / 200)
    near(metrics.accuracy_score(true, said, sample_weight=w), np.trace(heavy) / w.sum())
    for name, score in SCORES.items():
        for average in AVERAGES:
            near(score(true, said, average=average), oracle.averaged(name, average, true, said, classes))
            got = score(true, said, average=average, sample_weight=w)
            near(got, oracle.averaged(name, average, true, said, classes, w))
        each = oracle.averaged(name, None, true, said, classes)
        near(score(true, said, average=None, labels=chosen), each[[2, 0]])
        near(
            score(true, said, average="macro", labels=[*classes, classes[0] * 3 if kind == "text" else 77]),
            sum(each) / 4,
        )


def test_scores_and_one_hot_rows_are_taken(rng: np.random.Generator) -> None:
    p, y = rng.uniform(0, 1, (60, 4)), rng.integers(0, 3, 60)
    matrix = metrics.confusion_matrix(y, p)
    assert matrix.shape == (4, 4)  # a class for each column
    assert np.array_equal(matrix, metrics.confusion_matrix(np.eye(4)[y], p))
    assert np.array_equal(matrix, metrics.confusion_matrix(y, p.argmax(axis=1), labels=range(4)))
    near(metrics.f1_score(y, p, average="macro"), oracle.averaged("f1", "macro", y, p.argmax(axis=1), range(4)))
    two = rng.uniform(0, 1, (60, 1))
    said = (two[:, 0] > 0.5) * 1
    near(metrics.recall_score(y > 0, two), oracle.averaged("recall", "binary", (y > 0) * 1, said, range(2)))
    near(metrics.recall_score(y > 0, two, threshold=0.2),
         oracle.averaged("recall", "binary", (y > 0) * 1, (two[:, 0] > 0.2) * 1, range(2)))  # fmt: skip
    near(metrics.top_k_accuracy_score(y, p, k=2), oracle.top_k(p, y, 2))
    w = rng.integers(0, 3, 60)
    near(
        metrics.top_k_accuracy_score(y, p, k=2, sample_weight=w),
        oracle.top_k(np.repeat(p, w, axis=0), np.repeat(y, w), 2),
    )


def test_nothing_right_and_nothing_there() -> None:
    assert metrics.precision_score([1, 1], [0, 0]) == 0
    assert metrics.recall_score([0, 0], [1, 0]) == 0
    assert metrics.f1_score([0, 0], [0, 0]) == 0
    assert metrics.f1_score([1, 1], [1, 1]) == 1
    assert metrics.f1_score([0, 0], [0, 0], average="macro") == 1


def test_the_report() -> None:
    text = metrics.classification_report([0, 0, 1, 1, 2], [0, 1, 1, 1, 0], class_names=["ash", "elm", "oak"], digits=3)
    rows = {line.split()[0]: line.split() for line in text.splitlines() if line}
    assert rows["ash"] == ["ash", "0.500", "0.500", "0.500", "2"]
    assert rows["elm"] == ["elm", "0.667", "1.000", "0.800", "2"]
    assert rows["oak"] == ["oak", "0.000", "0.000", "0.000", "1"]
    assert rows["accuracy"] == ["accuracy", "0.600", "5"]
    assert rows["macro"][2:] == ["0.389", "0.500", "0.433", "5"]
    assert rows["weighted"][2:] == ["0.467", "0.600", "0.520", "5"]


# --- in training ---


def small_model(asked: Any) -> Model:
    model = Model([Dense(4, 12, activation="relu"), Dense(3, activation="softmax")], seed=1)
    model.set(loss="cce", optimizer="adam", metrics=asked)
    return model


@pytest.mark.parametrize("batch_size", [1, 7, 64, None])
def test_the_history_has_what_the_predictions_of_the_epoch_give(
    batch_size: int | None, rng: np.random.Generator
) -> None:
    """With a learning rate of 0 the predictions of an epoch are those of the model."""
    from fastnn.optimizers import SGD

    X, y = rng.standard_normal((151, 4)), rng.integers(0, 3, 151)
    model = small_model(["f1", "auc", "mcc", TopKAccuracy(2), F1(None, name="each")])
    model.set(optimizer=SGD(0.0))
    seen: list[Any] = []
    note = callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append(dict(logs)))
    history = model.train(
        X[:100],
        y[:100],
        epochs=2,
        batch_size=batch_size,
        shuffle=True,
        validation_data=(X[100:], y[100:]),
        callbacks=[note],
    )
    for prefix, rows in (("", slice(0, 100)), ("val_", slice(100, None))):
        for name, value in model.evaluate(X[rows], y[rows]).metrics.items():
            near(history[prefix + name], [value, value], 1e-14)
            near([logs[prefix + name] for logs in seen], [value, value], 1e-14)
    assert {"f1", "val_f1", "top_2_accuracy", "val_each_2"} <= set(seen[0])


def test_metrics_change_no_bit_and_the_file_has_them(tmp_path: Any, rng: np.random.Generator) -> None:
    X, y = rng.standard_normal((200, 4)), rng.integers(0, 3, 200)
    asked = ["f1", Recall("micro", name="found"), TopKAccuracy(2), "auc"]
    plain, measured = small_model(()), small_model(asked)
    for model in (plain, measured):
        model.train(X, y, epochs=3, batch_size=32, shuffle=True, validation_split=0.2)
    assert plain.plan.params.tobytes() == measured.plan.params.tobytes()
    assert plain.history["loss"] == measured.history["loss"]
    measured.save(tmp_path / "m.fnn")
    loaded = Model.load(tmp_path / "m.fnn")
    assert list(loaded.metrics) == ["f1", "found", "top_2_accuracy", "auc"]
    assert loaded.evaluate(X, y).metrics == measured.evaluate(X, y).metrics
    assert loaded.history.state() == measured.history.state()


def test_early_stopping_by_a_metric_and_the_csv(tmp_path: Any, rng: np.random.Generator) -> None:
    X = rng.standard_normal((200, 4))
    y = X[:, :3].argmax(axis=1)
    model = small_model(["f1", "auc"])
    early = callbacks.EarlyStopping(monitor="val_f1", patience=5, restore_best=True)
    log = callbacks.CSVLogger(tmp_path / "run.csv")
    history = model.train(X, y, epochs=100, batch_size=16, validation_split=0.3, callbacks=[early, log])
    values = [v for v in history["val_f1"] if v is not None]
    assert early.best == max(values)
    near(model.evaluate(X[140:], y[140:]).metrics["f1"], max(values), 1e-14)
    lines = (tmp_path / "run.csv").read_text().splitlines()
    assert lines[0].split(",")[-4:] == ["f1", "auc", "val_f1", "val_auc"]
    assert float(lines[1].split(",")[-2]) == values[0]


def test_streams_and_single_batches(rng: np.random.Generator) -> None:
    X, y = rng.standard_normal((150, 4)), rng.integers(0, 3, 150)
    pieces = [(X[i : i + 16], y[i : i + 16]) for i in range(0, 150, 16)]
    array, stream = small_model(["f1", "auc", "mcc"]), small_model(["f1", "auc", "mcc"])
    array.train(X, y, epochs=3, batch_size=16)
    stream.train_stream(pieces, epochs=3)
    assert stream.history.state() == array.history.state()
    model = small_model(["f1", "auc"])
    want = model.evaluate(X, y)
    got = model.train_on_batch(X, y)
    near(list(got.metrics.values()), list(want.metrics.values()), 1e-14)
    assert model.test_on_batch(X, y).metrics != got.metrics


def test_an_evaluation_is_a_pair_with_more_beside_it(rng: np.random.Generator) -> None:
    import copy
    import pickle

    def worst(y_true: Any, y_pred: Any) -> float:
        assert y_pred.shape == (50, 3)
        return float(1 - y_pred[np.arange(50), y_true].min())

    X, y = rng.standard_normal((50, 4)), rng.integers(0, 3, 50)
    model = small_model(["recall_micro", worst])
    got = model.evaluate(X, y)
    loss, accuracy = got
    assert (loss, accuracy) == got == (got.loss, got.accuracy)
    p = model.predict(X)
    near(got.metrics["recall_micro"], accuracy)
    assert got.metrics["worst"] == float(1 - p[np.arange(50), y].min())
    for again in (pickle.loads(pickle.dumps(got)), copy.copy(got)):
        assert again == got
        assert again.metrics == got.metrics
    assert "metrics={'recall_micro': " in repr(got)
    model.set(metrics=worst)
    assert list(model.evaluate(X, y, batch_size=7).metrics) == ["worst"]
    model.set(metrics=())
    assert model.evaluate(X, y).metrics == {}
    assert repr(model.evaluate(X, y)) == f"Evaluation(loss={loss!r}, accuracy={accuracy!r})"


def test_names_by_which_metrics_are_asked_for() -> None:
    model = small_model(["F1_Score", "precision_weighted", "sensitivity", Recall, TopKAccuracy, MSE])
    assert list(model.metrics) == ["f1_score", "precision_weighted", "sensitivity", "recall", "top_5_accuracy", "mse"]
    model.compile(loss="cce", metrics=["accuracy", "auc"])
    assert list(model.metrics) == ["auc"]
    model.compile(loss="bce", metrics="binary_accuracy")
    assert (model.metrics, model.accuracy_object) == ({}, model.accuracy)
    assert repr(F1("micro")) == "F1(average='micro')"
    for cls in (MAE, RMSE, R2):
        assert cls().name == cls.names[0]


BAD: list[Any] = [
    (["auk"], ValueError, "metric: unknown name 'auk'"),
    (["mse_macro"], ValueError, "metric: unknown name 'mse_macro'"),
    (["f1", "f1"], ValueError, r"metrics\[1\]: 'f1' cannot be its name in the history: pass name="),
    ([F1(name="loss")], ValueError, r"metrics\[0\]: 'loss' cannot be its name in the history: pass name="),
    (lambda: F1("median"), ValueError, "metric f1: average: expected 'auto', 'binary', .*got 'median'"),
    (lambda: F1(name="two words"), ValueError, "metric f1: name: expected a word such as 'f1', got 'two words'"),
    (lambda: F1(threshold="high"), TypeError, "metric f1: threshold: expected a number, got 'high'"),
    (lambda: TopKAccuracy(0), ValueError, "metric top_k_accuracy: k: expected at least 1, got 0"),
    (lambda: ROCAUC("micro"), ValueError, "metric roc_auc: average: expected 'macro', 'weighted', None, got 'micro'"),
]


@pytest.mark.parametrize(("asked", "error", "text"), BAD)
def test_what_cannot_be_asked_for(asked: Any, error: type[Exception], text: str) -> None:
    model = small_model(["recall"])
    with pytest.raises(error, match=text):
        model.set(metrics=asked() if callable(asked) else asked)
    assert list(model.metrics) == ["recall"]


UNFIT: list[Any] = [
    ("mse", {}, ["f1"], "metric f1: needs classes, and the model's accuracy is that of a regression"),
    ("mse", {}, ["auc"], "metric roc_auc: needs classes"),
    ("mse", {}, [TopKAccuracy(2)], "metric top_k_accuracy: needs a model that tells classes apart"),
    ("cce", {}, ["top_k_accuracy"], "metric top_k_accuracy: k: expected less than the model's 3 outputs, got 5"),
    ("cce", {}, ["rmse"], r"metric rmse: needs targets \(rows, outputs\), here they are class labels"),
    ("cce", {}, [F1(threshold=0.3)], "metric f1: threshold: the model tells classes apart by the largest output"),
    ("cce", {}, [F1("binary")], "metric f1: average: 'binary' is for two classes, the model has 3 outputs"),
    ("bce", {}, ["mcc"], "metric matthews_correlation: is of classes that exclude one another"),
    ("cce", {}, [F1(None), Recall(name="f1_2")], "metrics: 'f1_2' would be the name of two in the history"),
    (
        "cce",
        {"accuracy": "binary"},
        [],
        r"y: the accuracy 'binary' needs targets \(20, 3\), and these are class labels",
    ),
    ("cce", {}, [F1(threshold=i / 99, name=f"f{i}") for i in range(17)], "threshold: the model tells"),
    ("bce", {}, [F1("macro", threshold=i / 99, name=f"f{i}") for i in range(17)], "at most 16 that count differently"),
]


@pytest.mark.parametrize(("loss", "options", "asked", "text"), UNFIT)
def test_a_metric_that_is_none_of_the_models(
    loss: str, options: Any, asked: Any, text: str, rng: np.random.Generator
) -> None:
    """Said before a weight moves."""
    X = rng.standard_normal((20, 4))
    y = rng.integers(0, 3, 20) if loss == "cce" else (rng.uniform(0, 1, (20, 3)) < 0.5) * 1.0
    model = small_model(asked)
    model.set(loss=loss, **options)
    model.finalize()
    before = model.plan.params.tobytes()
    for act in (model.evaluate, model.train, model.train_on_batch):
        with pytest.raises(ValueError, match=text):
            act(X, y)
    assert (model.plan.params.tobytes(), model.steps_done, len(model.history)) == (before, 0, 0)


def test_a_regression_of_yes_and_no_may_be_told_so(rng: np.random.Generator) -> None:
    p, y = rng.uniform(0, 1, (40, 1)), rng.integers(0, 2, 40)
    got = judge(1, "mse", ["f1", "rmse"], accuracy="binary").evaluate(p, y)
    near(got.metrics["f1"], oracle.averaged("f1", "binary", y, (p[:, 0] > 0.5) * 1, range(2)))
    near(got.metrics["rmse"], np.sqrt(((p[:, 0] - y) ** 2).mean()))
    got = judge(1, "mse", ["f1"], accuracy=None)
    with pytest.raises(ValueError, match="needs classes"):
        got.evaluate(p, y)


REFUSED: list[Any] = [
    (lambda: metrics.f1_score([0, 1, 2], [0, 1, 2]), "average: 'binary' is for two classes, got 3"),
    (lambda: metrics.f1_score([0, 1], [0, 1], average="all"), "average: expected 'binary', 'macro'"),
    (lambda: metrics.f1_score([0, 1], [0, 1, 1]), "y_pred: expected 2 rows, as many as y_true, got 3"),
    (lambda: metrics.f1_score([], []), "y_true: expected labels"),
    (lambda: metrics.f1_score([0.5, 1], [0, 1]), "y_true: expected labels .*got float64"),
    (lambda: metrics.f1_score([0, 1], [0, 1], multilabel=True), "average: 'binary' is for one question"),
    (lambda: metrics.f1_score([0, 1], [0, 1], labels=[0, 1]), "labels: expected None with average='binary'"),
    (lambda: metrics.confusion_matrix([0, 1], [0, 1], labels=[1, 1]), "labels: expected different classes"),
    (lambda: metrics.confusion_matrix([0, 1], [0, 1], normalize="rows"), "normalize: expected 'true', 'pred', 'all'"),
    (lambda: metrics.confusion_matrix([0, 1], [0, 1], sample_weight=[1]), r"sample_weight: expected shape \(2,\)"),
    (lambda: metrics.confusion_matrix([0, 1], [0, 1], sample_weight=[1, -1]), "sample_weight: expected finite weights"),
    (lambda: metrics.roc_auc_score([0, 1, 2], [0.1, 0.2, 0.3]), r"y_true: expected two classes .*got 3"),
    (lambda: metrics.roc_auc_score([0, 1], [0.1, 0.2, 0.3]), "y_score: expected"),
    (lambda: metrics.roc_auc_score([0, 3, 1], np.eye(3)), "y_true: expected class labels 0 to 2 .*got 3 at row 1"),
    (lambda: metrics.top_k_accuracy_score([0, 1], np.eye(2), k=0), "k: expected at least 1, got 0"),
    (lambda: metrics.mean_squared_error([1, 2], [[1, 2]]), r"y_pred: expected shape \(2, 1\), that of y_true"),
    (lambda: metrics.r2_score([1, 2], [1, 2], multioutput="all"), "multioutput: expected 'uniform_average' or"),
]


@pytest.mark.parametrize(("act", "text"), REFUSED)
def test_what_functions_refuse(act: Any, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        act()


def test_the_comparison_can_fail(rng: np.random.Generator) -> None:
    y, said = rng.integers(0, 3, 300), rng.integers(0, 3, 300)
    want = oracle.averaged("f1", "macro", y, said, range(3))
    said[0] = (said[0] + 1) % 3
    with pytest.raises(AssertionError):
        near(metrics.f1_score(y, said, average="macro"), want)


def test_lines_of_progress_and_of_print_every_show_them(capsys: Any, rng: np.random.Generator) -> None:
    X, y = rng.standard_normal((60, 4)), rng.integers(0, 3, 60)
    model = small_model(["f1"])
    history = model.train(X, y, epochs=2, batch_size=20, validation_split=0.5, print_every=1)
    out = capsys.readouterr().out
    assert f", f1: {history['f1'][-1]:.3f}, lr: 0.001" in out
    assert f", f1: {history['val_f1'][-1]:.3f}\n" in out
    model.train(X, y, epochs=3, validation_split=0.5, verbose=1)
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.endswith(f"f1 {history['f1'][-1]:.4f}  val_f1 {history['val_f1'][-1]:.4f}")


@pytest.mark.parametrize("logits", [False, True])
def test_a_target_is_a_yes_above_a_half_whatever_the_loss_takes(logits: bool) -> None:
    from fastnn.losses import BinaryCrossentropy

    p, y = np.array([[-2.0], [2.0], [-1.0], [0.5]]), np.array([[0.2], [0.8], [0.7], [0.4]])
    given = p if logits else 1 / (1 + np.exp(-p))
    got = judge(1, BinaryCrossentropy(from_logits=logits), ["precision", "recall"], "float32").evaluate(given, y)  # type: ignore[arg-type]
    assert got.accuracy == 0.5
    near(got.metrics["precision"], 0.5)
    near(got.metrics["recall"], 0.5)


@pytest.mark.parametrize("cols", [3, 40])
def test_a_nan_is_no_largest_output(isa: str, cols: int) -> None:
    p = np.zeros((30, cols), np.float32)
    p[:, 1], p[:, 2], p[:, 0] = 5, 1, np.nan
    p[10:20] = np.nan
    p[20:] = -np.inf
    y = np.zeros(30, int)
    y[:10] = 1
    got = judge(cols, "categorical_crossentropy", [TopKAccuracy(1)], "float32").evaluate(p, y)
    assert got.accuracy == pytest.approx(2 / 3)  # of the rows of NaN none, whatever their labels
    near(got.metrics["top_1_accuracy"], got.accuracy)
    assert metrics.accuracy_score(y[:10], p[:10]) == 1.0


def test_accuracies_are_taken_as_objects_and_classes_too() -> None:
    for accuracy in (metrics.CategoricalAccuracy(), metrics.CategoricalAccuracy, "categorical_accuracy"):
        model = Model([Dense(2, 3)], seed=0)
        model.set(loss="mean_squared_error", optimizer="adam", metrics=[accuracy, "rmse"])
        assert model.accuracy_object.kernel == "categorical"
        assert list(model.metrics) == ["rmse"]
    model.set(metrics=metrics.BinaryAccuracy())
    assert model.accuracy_object.kernel == "binary"
