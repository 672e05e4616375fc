"""Every registered loss: value, gradient, labels against one-hot, the merged head, special values, bits."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from compare import Array, assert_near, assert_same_bits, assert_varies, assert_within, gradient, use

import fastnn.functional as F
from fastnn import _core
from fastnn.activations import Activation
from fastnn.losses import Loss

CLASSES = {cls.kernel: cls for cls in Loss.registry.values()}
NAMES = sorted(CLASSES)
WITH_LABELS = [n for n in NAMES if _core.LOSS_TARGETS[n] == "C"]
MERGED = [n for n in NAMES if CLASSES[n].merges_with]
SHAPES = [(1, 1), (1, 7), (2, 2), (3, 1), (5, 3), (17, 1), (7, 9), (3, 16), (4, 17), (33, 10), (2, 70), (100, 33)]


def draw(rng: np.random.Generator, rows: int, cols: int, dtype: Any) -> tuple[Array, Array]:
    """Predictions and targets in (0, 1), never equal."""
    p, t = rng.uniform(0.02, 0.98, (2, rows, cols)).astype(dtype)
    assert_varies(p)
    return p, t


def one_hot(labels: Array, cols: int, dtype: Any) -> Array:
    return np.eye(cols, dtype=dtype)[labels]


def test_every_kernel_has_its_class() -> None:
    assert set(CLASSES) == set(_core.LOSSES)


@pytest.mark.parametrize("name", NAMES)
def test_values_follow_the_formula(name: str, isa: str, dtype: Any, rng: np.random.Generator) -> None:
    for rows, cols in SHAPES:
        p, t = draw(rng, rows, cols, dtype)
        got = F.loss(name, p, t)
        assert got.shape == (rows,)
        assert got.dtype == dtype
        want = CLASSES[name].formula(p.astype(np.float64), t.astype(np.float64))
        assert_within(
            got, want, (2 + cols / 16) * 4 * np.finfo(dtype).eps * np.maximum(want, 0.05), f"{name} {rows} x {cols}"
        )


@pytest.mark.parametrize("name", NAMES)
def test_gradients_match_differences_of_the_formula(name: str, isa: str, dtype: Any, rng: np.random.Generator) -> None:
    for rows, cols in SHAPES[:8]:
        p, t = draw(rng, rows, cols, dtype)
        wide = t.astype(np.float64)
        want = gradient(lambda v, wide=wide: float(CLASSES[name].formula(v, wide).mean()), p.astype(np.float64), 1e-4)
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
    activation = CLASSES[name].merges_with
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
            assert bad.sum() == 1
            assert bad[1, place]
            t[2, place] = np.nan
            assert np.isnan(F.loss(name, p, t))[2]
            assert np.isnan(F.loss_backward(name, p, t))[2, place]


@pytest.mark.parametrize("name", NAMES)
def test_certain_and_wrong_predictions_give_large_finite_losses(name: str, isa: str, dtype: Any) -> None:
    p, t = np.array([[0.0, 1.0], [1.0, 0.0]], dtype), np.array([[1.0, 0.0], [1.0, 0.0]], dtype)
    losses, dp = F.loss(name, p, t), F.loss_backward(name, p, t)
    assert np.isfinite(losses).all()
    assert np.isfinite(dp).all()
    assert losses[0] >= 1 > abs(losses[1])
    if name.endswith("crossentropy"):  # the book's clip
        assert losses[0] == pytest.approx(-np.log(1e-7), rel=0.02)


@pytest.mark.parametrize("name", NAMES)
def test_infinite_predictions_go_where_numpy_sends_them(name: str, isa: str, dtype: Any) -> None:
    p = np.array([[np.inf, 0.5], [-np.inf, 0.5], [0.5, 0.5]], dtype)
    t = np.full((3, 2), 0.5, dtype)
    want = CLASSES[name].formula(p.astype(np.float64), t.astype(np.float64))
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
    with pytest.raises(ValueError, match="labels: expected 4, one a row, got 3"):
        F.loss("categorical_crossentropy", p, [0, 1, 2])
    with pytest.raises(ValueError, match="dense targets, not class labels"):
        F.loss("mean_squared_error", p, [0, 1, 2, 0])
    with pytest.raises(ValueError, match=r"targets: expected shape \(4, 3\), got \(3, 4\)"):
        F.loss("mean_squared_error", p, p.T)
    with pytest.raises(ValueError, match="no fused head for mean_squared_error"):
        F.loss_backward("mean_squared_error", p, p, merged=True)
    with pytest.raises(ValueError, match="loss: unknown name 'mse2'"):
        F.loss("mse2", p, p)
