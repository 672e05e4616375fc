"""sample_weight and class_weight: what they mean, in every loss; what they leave alone; their errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from compare import Array, assert_near
from hypothesis import given, settings
from hypothesis import strategies as st
from loss_cases import VARIANTS, draw_targets, last_activation
from oracle import Network
from small import X, Y, bits, classifier

from fastnn import Dense, Model, _runs, custom, fit_many
from fastnn.losses import BinaryCrossentropy

W = np.random.default_rng(5).uniform(0.1, 3, len(X))
HOT = np.eye(3)[Y]


def model_for(loss: Any, n_out: int = 3) -> Model:
    model = Model([Dense(5, 8, activation="tanh"), Dense(n_out, activation=last_activation(loss))], 
                  seed=2, dtype="float64")  # fmt: skip
    model.set(loss=loss, optimizer="sgd")
    model.finalize()
    return model


@pytest.mark.parametrize("name", sorted(VARIANTS))
@pytest.mark.parametrize("n_out", [3, 12])
def test_loss_and_gradients_are_the_weighted_means_of_the_rows(
    name: str, n_out: int, isa: str, rng: np.random.Generator
) -> None:
    loss = VARIANTS[name]
    x, y, w = rng.standard_normal((13, 5)), draw_targets(rng, loss, 13, n_out), rng.uniform(-1, 3, 13)
    model = model_for(loss, n_out)
    p, t = model.predict(x), Network(model).targets(y, n_out)
    want = float((w * loss.formula(p, t)).mean())
    assert model.evaluate(x, y, sample_weight=w).loss == pytest.approx(want, rel=1e-11)
    apart = np.zeros_like(model.plan.params)
    for i in range(13):
        _runs.gradients(model, x[i : i + 1], y[i : i + 1])
        apart += w[i] * model.plan.grads / 13
    assert _runs.gradients(model, x, y, sample_weight=w) == pytest.approx(want, rel=1e-11)
    assert_near(model.plan.grads, apart, 1e-11)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(0, 4), min_size=90, max_size=90).filter(any))
def test_whole_weights_are_rows_given_so_many_times(times: list[int]) -> None:
    model = classifier(dtype="float64")
    model.finalize(4)
    weighted = model.evaluate(X, Y, sample_weight=times).loss * len(X)
    given_so = model.evaluate(np.repeat(X, times, axis=0), np.repeat(Y, times)).loss * sum(times)
    assert weighted == pytest.approx(given_so, rel=1e-9)


def test_weights_of_one_change_no_bit_and_others_do(isa: str) -> None:
    def trained(**weights: Any) -> bytes:
        model = classifier()
        model.fit(X, Y, epochs=3, **weights)
        return bits(model)

    plain = trained()
    assert trained(sample_weight=np.ones(len(X))) == plain
    assert trained(class_weight={}) == plain
    assert trained(class_weight={0: 1.0}) == plain
    assert trained(class_weight=np.ones(3)) == plain
    assert trained(sample_weight=W) != plain
    assert trained(class_weight={1: 2.0}) != plain


def test_a_batch_takes_weights_as_train_does() -> None:
    one, batch = classifier(), classifier()
    one.train(X, Y, epochs=1, sample_weight=-W, class_weight={2: 3.0})
    before = batch.train_on_batch(X, Y, sample_weight=-W, class_weight={2: 3.0})
    assert bits(batch) == bits(one)
    assert before.loss == one.history["loss"][0] < 0


@pytest.mark.parametrize("shuffle", [False, True])
def test_both_kinds_multiply_whatever_the_form_of_the_targets(shuffle: bool, isa: str) -> None:
    table = np.array([0.5, 1.0, 2.5])
    ways: list[tuple[Array, dict[str, Any]]] = [
        (Y, {"sample_weight": W * table[Y]}),
        (Y, {"sample_weight": W, "class_weight": {0: 0.5, 2: 2.5}}),
        (HOT, {"sample_weight": W[:, None], "class_weight": table}),
        (HOT, {"sample_weight": list(W), "class_weight": list(table)}),
    ]
    found = set()
    for targets, weights in ways:
        model = classifier()
        model.train(X, targets, epochs=2, batch_size=16, shuffle=shuffle, **weights)
        found.add(bits(model))
    assert len(found) == 1


def test_balanced_gives_each_class_the_same_say() -> None:
    y = np.array([0] * 60 + [1] * 20 + [2] * 10)
    table = len(y) / (3 * np.bincount(y))
    model = classifier()
    model.finalize(4)
    want = model.evaluate(X, y, class_weight=table)
    assert model.evaluate(X, y, class_weight="balanced") == want
    assert model.evaluate(X, np.eye(3)[y], class_weight="balanced") == want
    assert want.loss != model.evaluate(X, y).loss
    two = np.minimum(y, 1)  # a class without rows takes no share
    want = model.evaluate(X, two, sample_weight=np.where(two == 0, 90 / 120, 90 / 60))
    assert model.evaluate(X, two, class_weight="balanced") == want


@pytest.mark.parametrize(("loss", "low"), [("binary_crossentropy", 0), ("hinge", -1), ("hinge", 0)])
def test_one_output_has_two_classes(loss: str, low: int, isa: str) -> None:
    y = np.where(Y == 1, 1, low)
    results = []
    for weights in ({"class_weight": {0: 0.5, 1: 4.0}}, {"sample_weight": np.where(Y == 1, 4.0, 0.5)}):
        model = Model([Dense(4, 6, activation="relu"), Dense(1, activation="sigmoid")], seed=1)
        model.set(loss=loss, optimizer="adam")
        model.train(X, y, epochs=3, batch_size=20, **weights)
        results.append(bits(model))
    assert results[0] == results[1]


def test_the_accuracy_counts_each_row_once(isa: str) -> None:
    model = classifier()
    model.fit(X, Y, epochs=2, sample_weight=W, class_weight="balanced")
    plain, weighted = model.evaluate(X, Y), model.evaluate(X, Y, sample_weight=W)
    assert plain.accuracy == weighted.accuracy
    assert plain.loss != weighted.loss


def test_validation_has_weights_of_its_own() -> None:
    model = classifier()
    model.fit(X, Y, class_weight={0: 9.0}, validation_data=(X[:30], Y[:30], W[:30]))
    assert model.history["val_loss"][-1] == model.evaluate(X[:30], Y[:30], sample_weight=W[:30]).loss
    model.fit(X, Y, class_weight={0: 9.0}, validation_data=(X[:30], Y[:30]))
    assert model.history["val_loss"][-1] == model.evaluate(X[:30], Y[:30]).loss


def test_fit_many_hands_the_weights_on() -> None:
    alone, many = classifier(), classifier()
    alone.fit(X, Y, epochs=2, sample_weight=W, class_weight="balanced")
    fit_many([many], X, Y, epochs=2, sample_weight=W, class_weight="balanced")
    assert bits(alone) == bits(many)


def test_a_row_of_weight_zero_teaches_nothing(isa: str) -> None:
    results = []
    for wrong in (0, 1, 2):
        y = Y.copy()
        y[::3] = wrong
        model = classifier()
        model.fit(X, y, epochs=2, sample_weight=np.arange(len(X)) % 3 > 0)
        results.append(bits(model))
    assert len(set(results)) == 1


ERRORS: list[tuple[dict[str, Any], Any, str]] = [
    ({"sample_weight": W[:-1]}, Y, r"sample_weight: expected shape \(90,\), a weight for each row of X, got \(89,\)"),
    ({"sample_weight": np.ones((90, 2))}, Y, r"sample_weight: expected shape \(90,\).* got \(90, 2\)"),
    ({"sample_weight": 2.0}, Y, r"sample_weight: expected shape \(90,\).* got \(\)"),
    ({"sample_weight": np.r_[W[:-1], np.inf]}, Y, r"sample_weight: expected finite numbers, got inf at row 89"),
    ({"sample_weight": np.r_[np.nan, W[1:]]}, Y, r"sample_weight: expected finite numbers, got nan at row 0"),
    ({"class_weight": "equal"}, Y, "class_weight: expected 'balanced', a dict or an array, got 'equal'"),
    ({"class_weight": {3: 1.0}}, Y, "class_weight: expected classes 0 to 2 as keys, got 3"),
    ({"class_weight": {"a": 1.0}}, Y, "class_weight: expected classes 0 to 2 as keys, got 'a'"),
    ({"class_weight": {1.5: 1.0}}, Y, "class_weight: expected classes 0 to 2 as keys, got 1.5"),
    ({"class_weight": {1: -2}}, Y, "class_weight: expected finite numbers of at least 0, got -2 for class 1"),
    ({"class_weight": {1: "x"}}, Y, "class_weight: expected finite numbers of at least 0, got 'x' for class 1"),
    ({"class_weight": [1.0, 2.0]}, Y, r"class_weight: expected 3 weights, one for each class, got shape \(2,\)"),
    ({"class_weight": [1.0, 2.0, np.inf]}, Y, "class_weight: expected finite numbers .* got .*inf.* for class 2"),
    (
        {"class_weight": "balanced"},
        HOT / 2 + 1 / 6,
        "class_weight: needs targets that name one class for each row.*one-hot",
    ),
    ({"class_weight": "balanced"}, np.ones((90, 3)) / 3, "class_weight: needs targets that name one class"),
]


@pytest.mark.parametrize(("weights", "y", "text"), ERRORS, ids=[text[:60] for *_, text in ERRORS])
def test_errors_name_the_argument_and_change_nothing(weights: dict[str, Any], y: Array, text: str) -> None:
    model = classifier()
    model.finalize(4)
    before = bits(model)
    for call in (model.train, model.fit, model.evaluate):
        with pytest.raises(ValueError, match=text):
            call(X, y, **weights)
    assert bits(model) == before


def test_weights_of_validation_data_are_named() -> None:
    with pytest.raises(ValueError, match=r"validation_data\[2\]: expected shape \(90,\)"):
        classifier().fit(X, Y, validation_data=(X, Y, W[1:]))
    with pytest.raises(TypeError, match=r"validation_data: expected a pair \(X, y\), or \(X, y, sample_weight\)"):
        classifier().fit(X, Y, validation_data=(X, Y, W, W))  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="sample_weight: expected real numbers, got dtype <U"):
        classifier().fit(X, Y, sample_weight=["a"] * 90)


def test_validation_split_takes_the_weights_of_its_rows_along() -> None:
    a, b = classifier(), classifier()
    a.fit(X, Y, epochs=3, sample_weight=W, validation_split=1 / 3)
    b.fit(X[:60], Y[:60], epochs=3, sample_weight=W[:60], validation_data=(X[60:], Y[60:], W[60:]))
    assert bits(a) == bits(b)
    assert a.history.state() == b.history.state()
    with pytest.raises(ValueError, match="sample_weight: expected shape \\(90,\\), a weight for each row of X"):
        classifier().fit(X, Y, sample_weight=W[:60], validation_split=1 / 3)


def test_metrics_of_ones_own_are_taken_on_weighted_validation_data() -> None:
    def mean(t: Any, p: Any) -> float:
        return float(np.mean(t) + p.mean())

    model = classifier()
    model.set(metrics=[mean])
    model.fit(X, Y, epochs=2, sample_weight=W, validation_data=(X, Y, W))
    assert model.history["val_mean"] == model.history["mean"]


@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_loss_written_in_python_is_weighted_like_its_twin(accumulate: int) -> None:
    class Squares(custom.Loss):
        def formula(self, p: Any, t: Any) -> Any:
            return ((p - t) ** 2).mean(axis=1)

        def derivative(self, p: Any, t: Any) -> Any:
            return 2 * (p - t) / p.shape[1]

    def trained(loss: Any) -> Model:
        model = Model([Dense(5, activation="tanh"), Dense(2)], seed=3, dtype="float64")
        model.set(loss=loss, optimizer="sgd")
        model.fit(X, X[:, :2], epochs=3, batch_size=20, accumulate=accumulate, sample_weight=W, validation_split=0.1)
        return model

    ours, native = trained(Squares()), trained("mse")
    assert_near(ours.plan.params, native.plan.params, 1e-11)
    for key in ("loss", "val_loss"):
        assert ours.history[key] == pytest.approx(native.history[key], rel=1e-11)


def test_the_classes_of_signs_are_named_by_signs_too() -> None:
    rng = np.random.default_rng(0)
    A, signs = rng.standard_normal((30, 4)), np.where(rng.uniform(size=30) > 0.4, 1, -1)
    trained = []
    for weights in ({-1: 3, 1: 0.5}, {0: 3, 1: 0.5}, [3, 0.5]):
        model = Model([Dense(4, 1)], seed=1)
        model.set(loss="hinge", optimizer="sgd")
        model.train(A, signs, epochs=2, class_weight=weights)
        trained.append(model.plan.params.tobytes())
    assert len(set(trained)) == 1
    model.train_stream([(A, signs), (A[:2], np.ones(2))], class_weight={-1: 2, 1: 1})  # a batch without a -1
    with pytest.raises(ValueError, match="class_weight: expected -1 or 0, which are one class, got both"):
        model.train(A, signs, class_weight={-1: 2, 0: 1})
    model.set(loss=BinaryCrossentropy(from_logits=True))
    with pytest.raises(ValueError, match="class_weight: expected classes 0 to 1 as keys, got -1"):
        model.train(A, (signs > 0).astype(float), class_weight={-1: 1})
