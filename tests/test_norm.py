"""The kernels of batch and layer normalization against the papers' formulas, between instruction sets, at the edges."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from compare import Array, assert_near, assert_same_bits, assert_varies, fma, gradient, use
from hypothesis import given, settings
from hypothesis import strategies as st
from norm_formulas import moments, normalize, normalize_backward

import fastnn
from fastnn import _core
from fastnn.kernels import norm

EPSILON = 1e-3
SHAPES = [(1, 1), (2, 1), (1, 5), (3, 2), (7, 3), (8, 16), (9, 17), (31, 15), (64, 64), (65, 33), (100, 130),
          (300, 7), (16, 300), (5, 513), (23, 1100)]  # fmt: skip
CONTRACT = [name for name in _core.available_isas() if name != "sse2"]
TOLERANCE = {"float32": 2e-5, "float64": 2e-13}


@pytest.fixture(autouse=True)
def threads_put_back() -> Iterator[None]:
    before = fastnn.get_num_threads()
    yield
    fastnn.set_num_threads(before)


def draw(rows: int, cols: int, dtype: Any, seed: int = 0) -> tuple[Array, Array, Array, Array]:
    """x, dy, gamma, beta."""
    rng = np.random.default_rng([rows, cols, seed])
    x, dy = rng.normal(0.5, 2, (rows, cols)), rng.standard_normal((rows, cols))
    gamma, beta = rng.uniform(0.5, 1.5, cols), rng.standard_normal(cols)
    assert_varies(x)
    return x.astype(dtype), dy.astype(dtype), gamma.astype(dtype), beta.astype(dtype)


def batch_norm(x: Array, dy: Array, gamma: Any, beta: Any) -> dict[str, Array]:
    """Everything that forward and backward give."""
    cols = x.shape[1]
    y, dx = np.full_like(x, np.nan), np.full_like(x, np.nan)
    mean, variance, dgamma, dbeta = (np.full(cols, np.nan, x.dtype) for _ in range(4))
    norm.batch_norm_forward(y, mean, variance, x, gamma, beta, EPSILON)
    norm.batch_norm_backward(dx, dgamma, dbeta, dy, x, mean, variance, gamma, EPSILON)
    return {"y": y, "mean": mean, "variance": variance, "dx": dx, "dgamma": dgamma, "dbeta": dbeta}


def layer_norm(x: Array, dy: Array, gamma: Any, beta: Any) -> dict[str, Array]:
    y, dx, stats = np.full_like(x, np.nan), np.full_like(x, np.nan), np.full((len(x), 2), np.nan, x.dtype)
    dgamma, dbeta = (np.full(x.shape[1], np.nan, x.dtype) for _ in range(2))
    norm.layer_norm_forward(y, stats, x, gamma, beta, EPSILON)
    norm.layer_norm_backward(dx, dgamma, dbeta, dy, x, stats, gamma)
    return {"y": y, "stats": stats, "dx": dx, "dgamma": dgamma, "dbeta": dbeta}


BOTH = {"batch": (batch_norm, 0), "layer": (layer_norm, 1)}


@pytest.mark.parametrize("scaled", [True, False])
@pytest.mark.parametrize("kind", BOTH)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_values_and_gradients_are_the_formulas(
    shape: tuple[int, int], kind: str, scaled: bool, dtype: np.dtype[Any], isa: str
) -> None:
    x, dy, gamma, beta = draw(*shape, dtype)
    run, axis = BOTH[kind]
    got = run(x, dy, gamma if scaled else None, beta if scaled else None)
    x, dy, gamma, beta = (a.astype(np.float64) for a in (x, dy, gamma, beta))
    factors = (gamma, beta) if scaled else ()
    rtol = TOLERANCE[dtype.name]
    assert_near(got["y"], normalize(x, axis, EPSILON, *factors), rtol, "y")
    dx, dgamma, dbeta = normalize_backward(dy, x, axis, EPSILON, *factors[:1])
    mean, variance = moments(x, axis)
    # dx is a difference of terms of the size of dy gamma / deviation: what rounding is relative to
    size = np.linalg.norm(dy * (gamma if scaled else 1.0) / np.sqrt(variance + EPSILON))
    assert np.linalg.norm(got["dx"] - dx) <= rtol * size
    assert np.linalg.norm(got["dgamma"] - dgamma) <= rtol * max(np.linalg.norm(dgamma), 1.0)
    assert_near(got["dbeta"], dbeta, rtol, "dbeta")
    if kind == "batch":
        assert_near(got["mean"], mean[0], rtol, "mean")
        assert np.abs(got["variance"] - variance[0]).max() <= rtol * max(variance.max(), 1e-30)
    else:
        assert_near(got["stats"], np.hstack([mean, 1 / np.sqrt(variance + EPSILON)]), rtol, "stats")


@pytest.mark.parametrize("axis", [0, 1])
def test_the_formulas_gradients_are_differences(axis: int) -> None:
    x, dy, gamma, beta = draw(6, 5, np.float64)

    def loss(x: Array, gamma: Array, beta: Array) -> float:
        return float((dy * normalize(x, axis, EPSILON, gamma, beta)).sum())

    dx, dgamma, dbeta = normalize_backward(dy, x, axis, EPSILON, gamma)
    assert_near(dx, gradient(lambda v: loss(v, gamma, beta), x), 1e-8)
    assert_near(dgamma, gradient(lambda v: loss(x, v, beta), gamma), 1e-8)
    assert_near(dbeta, gradient(lambda v: loss(x, gamma, v), beta), 1e-8)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 300), st.integers(1, 300), st.sampled_from(["float32", "float64"]), st.integers(0, 99))
def test_every_shape_gives_the_scalar_tables_bits(rows: int, cols: int, dtype: str, seed: int) -> None:
    x, dy, gamma, beta = draw(rows, cols, dtype, seed)
    with use("scalar"):
        want = {kind: run(x, dy, gamma, beta) for kind, (run, _) in BOTH.items()}
    for isa in CONTRACT:
        with use(isa):
            for kind, (run, _) in BOTH.items():
                for name, value in run(x, dy, gamma, beta).items():
                    assert_same_bits(value, want[kind][name], f"{kind} {name} on {isa}")


@pytest.mark.parametrize("cols", [1, 3, 16, 19])
def test_the_order_of_column_moments_is_rows_ascending(cols: int, contract_isa: str, dtype: np.dtype[Any]) -> None:
    x, *_ = draw(21, cols, dtype)
    s = np.zeros(cols, dtype)
    for row in x:
        s = s + (row - x[0])
    mean = x[0] + s / dtype.type(21)
    squares = np.zeros(cols, dtype)
    for row in x:
        d = row - mean
        squares = np.array([fma(a, a, b) for a, b in zip(d, squares, strict=True)], dtype)
    got = np.empty(cols, dtype), np.empty(cols, dtype)
    norm.column_moments(*got, x)
    assert_same_bits(got[0], mean)
    assert_same_bits(got[1], squares / dtype.type(21))


@pytest.mark.parametrize("rows", [8, 9, 64, 200])
def test_layer_norms_gradients_go_on_from_chunk_to_chunk(rows: int, contract_isa: str, dtype: np.dtype[Any]) -> None:
    x, dy, gamma, beta = draw(rows, 37, dtype)
    whole = layer_norm(x, dy, gamma, beta)
    dx, dgamma, dbeta = np.empty_like(x), np.empty_like(gamma), np.empty_like(gamma)
    for first in range(0, rows, 5):
        part = slice(first, first + 5)
        norm.layer_norm_backward(
            dx[part], dgamma, dbeta, dy[part], x[part], whole["stats"][part], gamma, first > 0
        )
    for name, got in (("dx", dx), ("dgamma", dgamma), ("dbeta", dbeta)):
        assert_same_bits(got, whole[name], name)


@pytest.mark.parametrize("shape", [(40, 9), (1000, 140), (513, 700)], ids=str)
def test_threads_and_working_in_place_leave_no_trace(shape: tuple[int, int], dtype: np.dtype[Any]) -> None:
    x, dy, gamma, beta = draw(*shape, dtype)
    fastnn.set_num_threads(1)
    want = batch_norm(x, dy, gamma, beta)
    for count in (2, 3, 7):
        fastnn.set_num_threads(count)
        for name, value in batch_norm(x, dy, gamma, beta).items():
            assert_same_bits(value, want[name], name)
    y, dx = x.copy(), dy.copy()
    norm.batch_norm_forward(y, np.empty_like(beta), np.empty_like(beta), y, gamma, beta, EPSILON)
    norm.batch_norm_backward(dx, None, None, dx, x, want["mean"], want["variance"], gamma, EPSILON)
    assert_same_bits(y, want["y"])
    assert_same_bits(dx, want["dx"])
    want = layer_norm(x, dy, gamma, beta)
    y, dx = x.copy(), dy.copy()
    norm.layer_norm_forward(y, want["stats"], y, gamma, beta, EPSILON)
    norm.layer_norm_backward(dx, None, None, dx, x, want["stats"], gamma)
    assert_same_bits(y, want["y"])
    assert_same_bits(dx, want["dx"])


def test_a_column_far_from_zero_keeps_its_digits_and_a_constant_one_is_exact(isa: str) -> None:
    rng = np.random.default_rng(2)
    x = (1e4 + rng.standard_normal((5000, 20))).astype(np.float32)
    x[:, 3], x[:, 4] = 0.1, 1e30
    mean, variance = np.empty(20, np.float32), np.empty(20, np.float32)
    norm.column_moments(mean, variance, x)
    exact = x.astype(np.float64)
    wanted = exact.var(axis=0)
    assert np.abs(mean - exact.mean(axis=0))[:3].max() < 1e-3  # half a unit in the last place is 5e-4
    assert np.abs(variance[:3] / wanted[:3] - 1).max() < 1e-3
    assert_same_bits(mean[3:5], x[0, 3:5])
    assert not variance[3:5].any()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_stays_in_its_column_or_row(bad: float, isa: str, dtype: np.dtype[Any]) -> None:
    x, dy, gamma, beta = draw(20, 35, dtype)
    clean_batch, clean_layer = batch_norm(x, dy, gamma, beta), layer_norm(x, dy, gamma, beta)
    x[7, 33] = bad
    got = batch_norm(x, dy, gamma, beta)
    others = np.arange(35) != 33
    assert not np.isfinite(got["y"][:, 33]).any()
    for name in ("y", "dx"):
        assert_same_bits(got[name][:, others], clean_batch[name][:, others], name)
    got = layer_norm(x, dy, gamma, beta)
    others = np.arange(20) != 7
    assert not np.isfinite(got["y"][7]).any()
    for name in ("y", "dx"):
        assert_same_bits(got[name][others], clean_layer[name][others], name)


@pytest.mark.parametrize("value", [0.0, 1e-30, 0.1, 1e15])
def test_a_row_of_one_value_is_beta_whatever_the_lanes(value: float, contract_isa: str) -> None:
    for cols in (1, 2, 15, 16, 17, 33):
        x = np.full((3, cols), value, np.float32)
        got = layer_norm(x, np.ones_like(x), None, None)
        assert np.abs(got["y"]).max() <= 1e-6 * value / np.sqrt(EPSILON)
        assert np.isfinite(got["dx"]).all()


def test_a_variance_that_overflows_is_not_taken_for_an_infinite_one(isa: str) -> None:
    x = np.array([[1e30, 1.0, 2.0], [-1e30, 3.0, 0.0]], np.float32)
    got = batch_norm(x, x, None, None)
    assert np.isnan(got["y"][:, 0]).all()
    assert np.isfinite(got["y"][:, 1:]).all()
    assert np.isnan(layer_norm(x, x, None, None)["y"]).all()


def test_nothing_to_divide_by_divides_by_one(isa: str) -> None:
    x = np.array([[1.0, 5.0], [1.0, 9.0]])
    y = np.empty_like(x)
    norm.normalize_columns(y, x, np.array([1.0, 7.0]), np.array([0.0, 4.0]), None, None, 0.0)
    assert_same_bits(y, np.array([[0.0, -1.0], [0.0, 1.0]]))
    norm.normalize_columns(y, x, None, np.array([0.0, 4.0]), None, None, 0.0)
    assert_same_bits(y, np.array([[1.0, 2.5], [1.0, 4.5]]))


def test_shapes_that_do_not_go_together_are_refused() -> None:
    x, row = np.ones((4, 3)), np.ones(3)
    with pytest.raises(ValueError, match=r"gamma: expected shape \(3,\), got \(2,\)"):
        norm.batch_norm_forward(np.empty_like(x), row, row.copy(), x, np.ones(2), None, EPSILON)
    with pytest.raises(ValueError, match=r"y: expected shape \(4, 3\), got \(3, 4\)"):
        norm.layer_norm_forward(np.ones((3, 4)), np.ones((4, 2)), x, None, None, EPSILON)
    with pytest.raises(ValueError, match=r"stats: expected shape \(4, 2\), got \(4, 3\)"):
        norm.layer_norm_forward(np.empty_like(x), np.ones((4, 3)), x, None, None, EPSILON)
    with pytest.raises(ValueError, match="at least one row and one column"):
        norm.column_moments(row, row.copy(), np.ones((0, 3)))
