"""The dense layer: forward is one product, one addition, one function; backward is three sums in a fixed order."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from compare import Array, assert_near, assert_same_bits, fma, gradient, use

import fastnn.functional as F
from fastnn import _core

ACTIVATIONS = sorted(_core.ACTIVATIONS)
# rows, n_in, n_out: small, degenerate, thin (few outputs, many rows), wide (column blocks), deep (k blocks)
SHAPES = [
    (1, 1, 1),
    (0, 3, 2),
    (5, 4, 3),
    (7, 9, 8),
    (33, 17, 21),
    (64, 784, 10),
    (500, 64, 1),
    (501, 63, 3),
    (300, 5, 7),
    (3, 2, 2500),
    (2, 2500, 9),
    (900, 33, 40),
    (1000, 3, 2),
    (130, 130, 130),
    (40, 1, 5),
]


def draw(rng: np.random.Generator, rows: int, n_in: int, n_out: int, dtype: Any) -> tuple[Array, Array, Array, Array]:
    shapes = ((rows, n_in), (n_in, n_out), (n_out,), (rows, n_out))
    x, w, b, dy = (rng.standard_normal(shape).astype(dtype) for shape in shapes)
    return x, w, b, dy


@pytest.mark.parametrize("shape", SHAPES)
def test_forward_is_product_then_bias_then_function(
    shape: tuple[int, int, int], isa: str, dtype: Any, rng: np.random.Generator
) -> None:
    x, w, b, _ = draw(rng, *shape, dtype)
    z = F.dot(x, w) + b  # the bias is one addition after the chain
    for name in ACTIVATIONS:
        y, saved = F.dense(x, w, b, activation=name, save=True)
        assert_same_bits(y, F.activation(name, z), name)
        assert_same_bits(saved, z if _core.ACTIVATION_SAVES[name] == "X" else y)


@pytest.mark.parametrize("shape", SHAPES)
def test_backward_is_near_float64_and_to_the_bit_in_the_documented_order(
    shape: tuple[int, int, int], contract_isa: str, dtype: Any, rng: np.random.Generator
) -> None:
    x, w, _, dz = draw(rng, *shape, dtype)
    dx, dw, db = F.dense_backward(dz, x, w)
    wide = [a.astype(np.float64) for a in (x, w, dz)]
    tolerance = 1e-14 if dtype == np.float64 else 2e-6
    assert_near(dx, wide[2] @ wide[1].T, 4 * tolerance)
    assert_near(dw, wide[0].T @ wide[2], 4 * tolerance)
    assert db.shape == (1, shape[2])
    total = np.zeros(shape[2], dtype)
    for row in dz:
        total = total + row
    assert_same_bits(db[0], total, "db: rows ascending")
    assert_same_bits(dx, F.dot(dz, w.T), "dx is the product")
    for i, j in ((0, 0), (shape[1] - 1, shape[2] - 1), (shape[1] // 2, shape[2] // 2)):
        if shape[0] <= 1000:  # dw: one chain down the rows whatever the width, so its bits do not depend on n_out
            chain = dtype.type(0)
            for r in range(shape[0]):
                chain = fma(x[r, i], dz[r, j], chain)
            assert dw[i, j] == chain, f"dw[{i}, {j}]"
    with use("scalar"):
        for got, want in zip((dx, dw, db), F.dense_backward(dz, x, w), strict=True):
            assert_same_bits(got, want)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_gradients_match_differences(name: str, isa: str, rng: np.random.Generator) -> None:
    x, w, b, dy = draw(rng, 4, 3, 5, np.float64)
    _, saved = F.dense(x, w, b, activation=name, save=True)
    dx, dw, db = F.dense_backward(dy, x, w, saved, activation=name)
    if name == "step":
        assert not dx.any()
        assert not dw.any()
        return

    def loss(x: Array, w: Array, b: Array) -> float:
        return float((dy * F.dense(x, w, b, activation=name)).sum())

    assert_near(dx, gradient(lambda v: loss(v, w, b), x, 1e-4), 1e-8)
    assert_near(dw, gradient(lambda v: loss(x, v, b), w, 1e-4), 1e-8)
    assert_near(db[0], gradient(lambda v: loss(x, w, v), b, 1e-4), 1e-8)


def test_a_row_does_not_depend_on_the_batch(isa: str, dtype: Any, rng: np.random.Generator) -> None:
    for n_in, n_out in ((3, 1), (20, 7), (20, 8), (300, 33), (5, 2100)):
        x, w, b, _ = draw(rng, 57, n_in, n_out, dtype)
        for name in ("relu", "softmax", "tanh"):
            whole = F.dense(x, w, b, activation=name)
            for rows in (1, 2, 7, 31):
                assert_same_bits(F.dense(x[5 : 5 + rows], w, b, activation=name), whole[5 : 5 + rows], f"{rows} rows")


def test_out_and_its_overlap_with_the_operands(isa: str, dtype: Any, rng: np.random.Generator) -> None:
    x, w, b, _ = draw(rng, 9, 9, 9, dtype)
    want = F.dense(x, w, b, activation="relu")
    for overlapping in (x, w):
        saved = overlapping.copy()
        assert F.dense(x, w, b, activation="relu", out=overlapping) is overlapping
        assert_same_bits(overlapping, want)
        overlapping[...] = saved
    y, kept = F.dense(x, w, b, activation="relu", out=np.empty((9, 9), dtype), save=True)
    assert kept is y


def test_rows_of_nothing_and_layers_of_nothing(dtype: Any) -> None:
    w, b = np.ones((3, 2), dtype), np.ones(2, dtype)
    none = np.empty((0, 3), dtype)
    assert F.dense(none, w, b).shape == (0, 2)
    dx, dw, db = F.dense_backward(np.empty((0, 2), dtype), none, w)
    assert dx.shape == (0, 3)
    assert not dw.any()
    assert not db.any()
    assert_same_bits(F.dense(np.empty((4, 0), dtype), np.empty((0, 2), dtype), b), np.ones((4, 2), dtype))


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (
            lambda x, w, b: F.dense(x.T, w, b),
            r"x: expected shape \(rows, 3\) to go with weights \(3, 2\), got \(3, 4\)",
        ),
        (lambda x, w, b: F.dense(x[0], w, b), "x: expected 2 dimensions, got 1"),
        (lambda x, w, b: F.dense(x, w, b[:1]), r"biases: expected 2 values to go with weights \(3, 2\), got \(1,\)"),
        (lambda x, w, b: F.dense(x, w, b, activation="gleu"), "activation: unknown name 'gleu'"),
        (lambda x, w, b: F.dense_backward(x, x, w), r"dy: expected shape \(4, 2\)"),
        (lambda x, w, b: F.dense_backward(x[:, :2], x, w, activation="relu"), "saved: relu needs what dense"),
    ],
)
def test_what_does_not_fit_is_named(call: Any, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        call(np.ones((4, 3)), np.ones((3, 2)), np.ones(2))


@pytest.mark.parametrize("rate", [0.0, 0.1, 0.5, 0.999])
def test_dropout_masks_depend_on_seed_stream_step_and_place_alone(rate: float, contract_isa: str, dtype: Any) -> None:
    x = np.ones(10_001, dtype)
    y, mask = F.dropout(x, rate, seed=7, step=3, stream=2)
    keep = dtype.type(1 / (1 - rate))
    assert set(np.unique(mask)) <= {dtype.type(0), keep}
    assert abs((mask == 0).mean() - rate) < 0.02
    assert_same_bits(y, x * mask)
    with use("scalar"):
        assert_same_bits(F.dropout(x, rate, seed=7, step=3, stream=2)[1], mask)
    assert_same_bits(F.dropout(x[:501], rate, seed=7, step=3, stream=2)[1], mask[:501])
    if rate in (0.1, 0.5):
        for other in ({"seed": 8}, {"step": 4}, {"stream": 3}):
            changed = F.dropout(x, rate, **{"seed": 7, "step": 3, "stream": 2, **other})[1]
            assert 0.05 < (changed != mask).mean() < 0.95
