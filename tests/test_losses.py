"""Every registered loss: value, gradient, labels against one-hot, the merged head, special values, bits."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from compare import Array, assert_near, assert_same_bits, assert_varies, assert_within, gradient, use
from loss_cases import OBJECTS

import fastnn.functional as F
from fastnn import Dense, Model, _core, check_gradients
from fastnn.activations import Activation
from fastnn.losses import BinaryCrossentropy, CategoricalCrossentropy, Hinge, Huber, Loss, Quantile

NAMES = sorted(OBJECTS)
OF_THE_ROW = ("categorical_crossentropy_logits", "categorical_hinge")  # an element's gradient depends on its row
CANCELS = ("kl_divergence", "categorical_hinge", "log_cosh", "poisson")
WITH_LABELS = [n for n in NAMES if _core.LOSS_TARGETS[n] == "C"]
MERGED = [n for n in NAMES if OBJECTS[n].merges_with]
SHAPES = [(1, 1), (1, 7), (2, 2), (3, 1), (5, 3), (17, 1), (7, 9), (3, 16), (4, 17), (33, 10), (2, 70), (100, 33)]


def draw(rng: np.random.Generator, rows: int, cols: int, dtype: Any) -> tuple[Array, Array]:
    """Predictions and targets in (0, 1), never equal."""
    p, t = rng.uniform(0.02, 0.98, (2, rows, cols)).astype(dtype)
    assert_varies(p)
    return p, t


def one_hot(labels: Array, cols: int, dtype: Any) -> Array:
    return np.eye(cols, dtype=dtype)[labels]


def test_every_kernel_has_its_class() -> None:
    assert set(OBJECTS) == set(_core.LOSSES)


@pytest.mark.parametrize("name", NAMES)
def test_values_follow_the_formula(name: str, isa: str, dtype: Any, rng: np.random.Generator) -> None:
    for rows, cols in SHAPES:
        p, t = draw(rng, rows, cols, dtype)
        got = F.loss(name, p, t)
        assert got.shape == (rows,)
        assert got.dtype == dtype
        want = OBJECTS[name].formula(p.astype(np.float64), t.astype(np.float64))
        least = 1 + cols / 4 if name in CANCELS else 0.05  # the size of the terms, where they are not all positive
        bound = (2 + cols / 16) * 4 * np.finfo(dtype).eps * np.maximum(want, least)
        assert_within(got, want, bound, f"{name} {rows} x {cols}")


@pytest.mark.parametrize("name", NAMES)
def test_gradients_match_differences_of_the_formula(name: str, isa: str, dtype: Any, rng: np.random.Generator) -> None:
    for rows, cols in SHAPES[:8]:
        p, t = draw(rng, rows, cols, dtype)
        wide = t.astype(np.float64)
        want = gradient(lambda v, wide=wide: float(OBJECTS[name].formula(v, wide).mean()), p.astype(np.float64), 1e-4)
        assert_within(F.loss_backward(name, p, t), want, (1e-6 if dtype == np.float64 else 5e-6) * np.abs(want).max())


@pytest.mark.parametrize("name", NAMES)
def test_the_gradient_is_scaled_by_the_number_of_rows(
    name: str, isa: str, dtype: Any, rng: np.random.Generator
) -> None:
    p, t = draw(rng, 8, 5, dtype)
    together = F.loss_backward(name, p, t)
    apart = np.concatenate([F.loss_backward(name, p[i : i + 1], t[i : i + 1]) for i in range(8)])
    assert_same_bits(together, apart / dtype.type(8))


@pytest.mark.parametrize("name", NAMES)
def test_bits_are_those_of_the_scalar_table(name: str, contract_isa: str, dtype: Any, rng: np.random.Generator) -> None:
    for rows, cols in [*SHAPES, *((3, c) for c in range(2, 40)), *((r, 1) for r in range(1, 40))]:
        p, t = draw(rng, rows, cols, dtype)
        p.flat[:: 7 if p.size > 20 else 50] = rng.choice([0.0, 1.0, 1e-9, 1 - 1e-7, -0.0])
        labels = rng.integers(0, cols, rows)
        results = [F.loss(name, p, t), F.loss_backward(name, p, t)]
        if name in MERGED:
            results.append(F.loss_backward(name, p, t, merged=True))
        if name in WITH_LABELS and cols > 1:
            results += [F.loss(name, p, labels), F.loss_backward(name, p, labels)]
        with use("scalar"):
            again = [F.loss(name, p, t), F.loss_backward(name, p, t)]
            if name in MERGED:
                again.append(F.loss_backward(name, p, t, merged=True))
            if name in WITH_LABELS and cols > 1:
                again += [F.loss(name, p, labels), F.loss_backward(name, p, labels)]
        for a, b in zip(results, again, strict=True):
            assert_same_bits(a, b, f"{name} {rows} x {cols}")


@pytest.mark.parametrize("name", NAMES)
def test_a_rows_loss_does_not_depend_on_the_other_rows(
    name: str, isa: str, dtype: Any, rng: np.random.Generator
) -> None:
    for cols in (1, 3, 10, 33):
        p, t = draw(rng, 41, cols, dtype)
        whole = F.loss(name, p, t)
        for rows in (slice(0, 1), slice(3, 10), slice(17, 41)):
            assert_same_bits(F.loss(name, p[rows], t[rows]), whole[rows])


@pytest.mark.parametrize("name", WITH_LABELS)
@pytest.mark.parametrize("kind", [np.int32, np.int64, np.uint8])
def test_labels_are_one_hot_rows_to_the_bit(
    name: str, kind: Any, isa: str, dtype: Any, rng: np.random.Generator
) -> None:
    for rows, cols in ((1, 2), (5, 3), (33, 10), (7, 17), (100, 33)):
        p, _ = draw(rng, rows, cols, dtype)
        p[0] = 0  # clipped
        labels = rng.integers(0, cols, rows).astype(kind)
        hot = one_hot(labels, cols, dtype)
        assert_same_bits(F.loss(name, p, labels), F.loss(name, p, hot))
        assert_same_bits(F.loss_backward(name, p, labels), F.loss_backward(name, p, hot))
        if name in MERGED:
            assert_same_bits(F.loss_backward(name, p, labels, merged=True), F.loss_backward(name, p, hot, merged=True))


@pytest.mark.parametrize("name", MERGED)
def test_the_merged_gradient_is_the_chain_of_the_two(name: str, isa: str, rng: np.random.Generator) -> None:
    activation = OBJECTS[name].merges_with
    assert activation in {cls.kernel for cls in Activation.registry.values()}
    for rows, cols in ((1, 2), (5, 3), (33, 10), (7, 40)):
        z = rng.standard_normal((rows, cols))
        t = rng.uniform(0, 1, (rows, cols))
        t /= t.sum(axis=1, keepdims=True)
        p = F.activation(activation, z)
        chain = F.activation_backward(activation, F.loss_backward(name, p, t), p)
        assert_near(F.loss_backward(name, p, t, merged=True), chain, 1e-12)
        whole = gradient(lambda v, t=t: float(F.loss(name, F.activation(activation, v), t).mean()), z)
        assert_near(chain, whole, 1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_nan_is_never_hidden(name: str, isa: str, dtype: Any) -> None:
    for cols in (1, 3, 16, 21):
        for place in range(cols):
            p, t = np.full((3, cols), 0.25, dtype), np.full((3, cols), 0.75, dtype)
            p[1, place] = np.nan
            np.testing.assert_array_equal(np.isnan(F.loss(name, p, t)), [False, True, False])
            bad = np.isnan(F.loss_backward(name, p, t))
            assert bad[1, place]
            assert bad.sum() == (cols if name in OF_THE_ROW else 1)
            assert not bad[[0, 2]].any()
            t[2, place] = np.nan
            assert np.isnan(F.loss(name, p, t))[2]
            assert np.isnan(F.loss_backward(name, p, t))[2, place]


@pytest.mark.parametrize("name", NAMES)
def test_certain_and_wrong_predictions_give_large_finite_losses(name: str, isa: str, dtype: Any) -> None:
    p, t = np.array([[0.0, 1.0], [1.0, 0.0]], dtype), np.array([[1.0, 0.0], [1.0, 0.0]], dtype)
    losses, dp = F.loss(name, p, t), F.loss_backward(name, p, t)
    assert np.isfinite(losses).all()
    assert np.isfinite(dp).all()
    assert losses[0] > abs(losses[1])
    if name.endswith("crossentropy"):  # the book's clip
        assert losses[0] == pytest.approx(-np.log(1e-7), rel=0.02)


@pytest.mark.parametrize("name", NAMES)
def test_infinite_predictions_go_where_numpy_sends_them(name: str, isa: str, dtype: Any) -> None:
    p = np.array([[np.inf, 0.5], [-np.inf, 0.5], [0.5, 0.5]], dtype)
    t = np.full((3, 2), 0.5, dtype)
    with np.errstate(invalid="ignore"):
        want = OBJECTS[name].formula(p.astype(np.float64), t.astype(np.float64))
    np.testing.assert_allclose(F.loss(name, p, t), want, rtol=0.02)


def test_no_rows_and_one_column(isa: str, dtype: Any) -> None:
    for name in NAMES:
        assert F.loss(name, np.zeros((0, 3), dtype), np.zeros((0, 3), dtype)).shape == (0,)
        assert F.loss_backward(name, np.zeros((0, 3), dtype), np.zeros((0, 3), dtype)).shape == (0, 3)
        p, t = np.full((4, 1), 0.25, dtype), np.linspace(0.1, 0.9, 4).astype(dtype)
        assert_same_bits(F.loss(name, p, t), F.loss(name, p, t[:, None]))


def test_bad_targets_are_named() -> None:
    p = np.full((4, 3), 0.3)
    for labels in ([0, 1, 3, 0], [0, -1, 0, 0]):
        with pytest.raises(ValueError, match="class labels 0 to 2"):
            F.loss("categorical_crossentropy", p, labels)
        with pytest.raises(ValueError, match="class labels 0 to 2"):
            F.loss_backward("categorical_crossentropy", p, labels, merged=True)
    with pytest.raises(ValueError, match="targets: expected 4 class labels, one a row, got 3"):
        F.loss("categorical_crossentropy", p, [0, 1, 2])
    with pytest.raises(ValueError, match="dense targets, not class labels"):
        F.loss("mean_squared_error", p, [0, 1, 2, 0])
    with pytest.raises(ValueError, match=r"targets: expected shape \(4, 3\), got \(3, 4\)"):
        F.loss("mean_squared_error", p, p.T)
    with pytest.raises(ValueError, match="merged: mean_squared_error has no gradient merged"):
        F.loss_backward("mean_squared_error", p, p, merged=True)
    with pytest.raises(ValueError, match="loss: unknown name 'mse2'"):
        F.loss("mse2", p, p)


# --- parameters and options ---


@pytest.mark.parametrize("loss", [Huber(0.3), Huber(5.0), Quantile(0.1), Quantile(0.95)], ids=repr)
def test_parameters_change_values_and_gradients_as_the_formula_says(
    loss: Any, isa: str, dtype: Any, rng: np.random.Generator
) -> None:
    for rows, cols in ((1, 1), (5, 3), (17, 1), (33, 10), (3, 40)):
        p, t = rng.standard_normal((2, rows, cols)).astype(dtype)
        q, u = p.astype(np.float64), t.astype(np.float64)
        value = F.loss(loss.kernel, p, t, parameter=loss.parameter)
        assert_near(value, loss.formula(q, u), 20 * np.finfo(dtype).eps)
        assert_same_bits(getattr(F, loss.kernel)(p, t, loss.parameter), value)
        want = gradient(lambda v, u=u: float(loss.formula(v, u).mean()), q, 1e-6)
        got = F.loss_backward(loss.kernel, p, t, parameter=loss.parameter)
        assert_within(got, want, 2e-6)
        assert rows * cols < 9 or (F.loss(loss.kernel, p, t) != value).any()


def test_the_quantile_loss_is_least_at_the_quantile(rng: np.random.Generator) -> None:
    t = rng.exponential(size=(1001, 1))
    guesses = np.linspace(0.1, 5, 491)
    for q in (0.1, 0.5, 0.9):
        means = [F.quantile(np.full_like(t, g), t, q).mean() for g in guesses]
        assert guesses[int(np.argmin(means))] == pytest.approx(np.quantile(t, q), abs=0.02)


def test_logits_have_the_value_and_the_bits_of_the_gradient_of_the_merged_head(
    isa: str, dtype: Any, rng: np.random.Generator
) -> None:
    for rows, cols in ((1, 2), (5, 3), (33, 10), (7, 40)):
        z = (rng.standard_normal((rows, cols)) * 3).astype(dtype)
        labels = rng.integers(0, cols, rows)
        for targets in (labels, one_hot(labels, cols, dtype)):
            p = F.softmax(z)
            name = "categorical_crossentropy"
            assert_near(F.loss(name + "_logits", z, targets), F.loss(name, p, targets), 200 * np.finfo(dtype).eps)
            merged = F.loss_backward(name, p, targets, merged=True)
            assert_same_bits(F.loss_backward(name + "_logits", z, targets), merged)
        t = one_hot(labels, cols, dtype)
        merged = F.loss_backward("binary_crossentropy", F.sigmoid(z), t, merged=True)
        assert_same_bits(F.loss_backward("binary_crossentropy_logits", z, t), merged)


def test_logits_stay_exact_where_probabilities_would_be_clipped(isa: str, dtype: Any) -> None:
    z = np.array([[200.0, 0.0], [0.0, 200.0], [40.0, 0.0], [0.0, -np.inf]], dtype)
    zero = np.zeros(4, np.int64)
    with np.errstate(under="ignore"):
        want = np.array([np.exp(-200), 200, np.exp(-40), 0]).astype(dtype)
    for targets in (zero, one_hot(zero, 2, dtype)):
        got = F.categorical_crossentropy(z, targets, from_logits=True)
        np.testing.assert_allclose(got, want, rtol=1e-6)
        assert np.isfinite(F.loss_backward("categorical_crossentropy_logits", z, targets)).all()
    got = F.binary_crossentropy(z[:3, :1], np.array([[1], [1], [0]], dtype), from_logits=True)
    np.testing.assert_allclose(got, np.array([np.exp(-200), np.log(2), 40]).astype(dtype), rtol=1e-6)
    clipped = F.categorical_crossentropy(F.softmax(z[1:2]), zero[1:2])  # the other way cannot
    assert clipped[0] == pytest.approx(-np.log(1e-7), rel=1e-3)


@pytest.mark.parametrize("from_logits", [False, True])
def test_smoothing_spreads_the_targets(from_logits: bool, isa: str, dtype: Any, rng: np.random.Generator) -> None:
    z = rng.standard_normal((9, 4)).astype(dtype)
    labels = rng.integers(0, 4, 9)
    p = z if from_logits else F.softmax(z)
    smooth = one_hot(labels, 4, dtype) * dtype.type(0.8) + dtype.type(0.05)
    loss = CategoricalCrossentropy(from_logits=from_logits, label_smoothing=0.2)
    want = loss.formula(p.astype(np.float64), smooth.astype(np.float64))
    for targets in (labels, one_hot(labels, 4, dtype)):
        got = F.categorical_crossentropy(p, targets, from_logits=from_logits, label_smoothing=0.2)
        assert_near(got, want, 50 * np.finfo(dtype).eps)
    p = z if from_logits else F.sigmoid(z)
    yes = rng.integers(0, 2, (9, 4)).astype(dtype)
    binary = BinaryCrossentropy(from_logits=from_logits, label_smoothing=0.2)
    want = binary.formula(p.astype(np.float64), yes.astype(np.float64) * 0.8 + 0.1)
    got = F.binary_crossentropy(p, yes, from_logits=from_logits, label_smoothing=0.2)
    assert_near(got, want, 50 * np.finfo(dtype).eps)


def test_label_rows_and_one_hot_rows_smooth_to_the_same_bits(isa: str, dtype: Any, rng: np.random.Generator) -> None:
    labels = rng.integers(0, 7, 30)
    hot = one_hot(labels, 7, dtype)
    for s in (0.0, 0.1, 1 / 3, 0.9):
        from_labels = F.smooth_labels(labels, 7, s)
        assert_same_bits(from_labels.astype(dtype), F.smooth_labels(hot.astype(np.float64), 7, s).astype(dtype))
        assert_within(from_labels.sum(axis=1), np.ones(30), 1e-15)


def test_bad_parameters_are_named() -> None:
    p = np.full((2, 3), 0.3)
    cases: list[tuple[Any, str]] = [
        (lambda: Huber(0), "delta: expected a number above 0, got 0"),
        (lambda: Huber(float("nan")), "delta: expected a number, got nan"),
        (lambda: Quantile(1.0), "q: expected a quantile above 0 and below 1, got 1.0"),
        (lambda: Quantile(True), "q: expected a number, got True"),
        (lambda: CategoricalCrossentropy(label_smoothing=1.0), "label_smoothing: expected a share .* got 1.0"),
        (lambda: BinaryCrossentropy(label_smoothing=-0.1), "label_smoothing: expected a share .* got -0.1"),
        (lambda: F.huber(p, p, -1.0), "parameter: expected a number above 0, got -1.0"),
        (lambda: F.quantile(p, p, 1.5), "parameter: expected a number above 0 and below 1, got 1.5"),
        (lambda: F.loss("mean_squared_error", p, p, parameter=1.0), "parameter: mean_squared_error has none"),
        (lambda: F.smooth_labels([0, 1], 3, 1.0), "smoothing: expected a share .* got 1.0"),
        (lambda: F.smooth_labels([0, 3], 3, 0.1), "class labels 0 to 2"),
    ]
    for call, text in cases:
        with pytest.raises(ValueError, match=text):
            call()
    with pytest.raises(TypeError, match="from_logits: expected True or False, got 1"):
        CategoricalCrossentropy(from_logits=1)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "loss", [Huber(0.3), Quantile(0.9), CategoricalCrossentropy(from_logits=True), Hinge()], ids=repr
)
def test_descriptions_come_back(loss: Any) -> None:
    again = Loss.from_description(loss.describe())
    assert type(again) is type(loss)
    assert again.describe() == loss.describe()
    assert (again.kernel, again.parameter, again.threshold) == (loss.kernel, loss.parameter, loss.threshold)


# --- in models ---


def train_on(loss: Any, y: Array, last: str = "linear", n_out: int = 3) -> Model:
    X = np.random.default_rng(1).standard_normal((40, 4))
    model = Model([Dense(4, 8, activation="tanh"), Dense(n_out, activation=last)], seed=1, dtype="float64")
    model.set(loss=loss, optimizer="adam")
    model.train(X, y, epochs=3, batch_size=16)
    return model


def test_training_from_logits_is_training_merged_to_the_bit(isa: str, rng: np.random.Generator) -> None:
    y = rng.integers(0, 3, 40)
    a = train_on("categorical_crossentropy", y, "softmax")
    b = train_on(CategoricalCrossentropy(from_logits=True), y)
    assert_same_bits(a.plan.params, b.plan.params)
    assert a.history["accuracy"] == b.history["accuracy"]
    yes = rng.integers(0, 2, (40, 3))
    a = train_on("bce", yes, "sigmoid")
    b = train_on(BinaryCrossentropy(from_logits=True), yes)
    assert_same_bits(a.plan.params, b.plan.params)
    assert a.history["accuracy"] == b.history["accuracy"]  # a score is a yes above 0


def test_zero_and_one_are_minus_one_and_one_for_hinge(isa: str, rng: np.random.Generator) -> None:
    signs = rng.integers(0, 2, (40, 3)) * 2 - 1
    a, b = train_on("hinge", signs), train_on("hinge", (signs + 1) // 2)
    assert_same_bits(a.plan.params, b.plan.params)
    assert a.history["accuracy"] == b.history["accuracy"]
    assert 0 < a.history["accuracy"][-1] <= 1
    bad = signs.copy()
    bad[2, 1], bad[0, 0] = 0, -1
    with pytest.raises(ValueError, match=r"y: targets of hinge must all be .* 0 or 1; got 0 at row 2, column 1"):
        train_on("hinge", bad)


@pytest.mark.parametrize(("loss", "last"), [("cce", "softmax"), ("bce", "sigmoid")])
def test_a_head_that_is_there_twice_is_an_error(loss: str, last: str) -> None:
    twice = type(Loss.resolve(loss))(from_logits=True)
    with pytest.raises(ValueError, match=f"loss: .*from_logits=True.* has {last} in it, and the model ends in {last}"):
        train_on(twice, np.eye(3)[np.zeros(40, int)], last)


def test_targets_outside_a_distribution_are_named() -> None:
    with pytest.raises(ValueError, match="y: targets of kl_divergence must lie in 0 to 1, got 2"):
        train_on("kl_divergence", np.full((40, 3), 2.0), "softmax")


def test_smoothing_does_not_touch_the_accuracy(isa: str, rng: np.random.Generator) -> None:
    y = rng.integers(0, 3, 40)
    for targets in (y, np.eye(3)[y]):
        smooth = train_on(CategoricalCrossentropy(label_smoothing=0.3), targets, "softmax")
        X = np.random.default_rng(1).standard_normal((40, 4))
        assert smooth.evaluate(X, targets).accuracy == (smooth.predict(X).argmax(axis=1) == y).mean()


@pytest.mark.parametrize("name", ["categorical_crossentropy", "kl_divergence"])
def test_targets_of_softmax_add_up_to_one(name: str) -> None:
    X = np.random.default_rng(0).standard_normal((6, 4))
    good = np.array([[1, 0, 0], [0.2, 0.3, 0.5], [0, 0.9995, 0]] * 2)
    model = Model([Dense(3, activation="softmax")], seed=0, dtype="float64")
    model.set(loss=name, optimizer="sgd")
    model.train(X, good, epochs=1)
    before = model.plan.params.copy()
    for row in ([1, 1, 0], [0, 0, 0], [0.5, 0.2, 0]):
        bad = good.copy()
        bad[4] = row
        for call in (model.train, model.evaluate, model.input_gradient):
            with pytest.raises(
                ValueError, match=rf"y: targets of {name} after softmax must add up to 1 .* got .* at row 4"
            ):
                call(X, bad)
    assert_same_bits(model.plan.params, before)
    scores = Model([Dense(3)], seed=0, dtype="float64")  # without softmax any sum has its right gradient
    scores.set(loss=CategoricalCrossentropy(from_logits=True), optimizer="sgd")
    assert check_gradients(scores, X, np.array([[1, 1, 0], [0, 0, 0], [0.5, 0.2, 0]] * 2))
