"""The product: documented order to the bit, error bound, shapes, strides, ``out=``, and what it refuses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from compare import Array, assert_same_bits, assert_varies, assert_within, fma, use
from hypothesis import given, settings
from hypothesis import strategies as st

import fastnn.functional as F
from fastnn import _core

# where a path of the driver ends and the next begins: tiles, vectors, k blocks (> 192 to 1536), column blocks (> 2048)
LARGE = [(3, 700, 40), (50, 1700, 9), (7, 5, 4100), (130, 401, 33), (97, 64, 2049), (1, 3000, 33), (2, 800, 2100),
         (300, 385, 7), (64, 257, 130), (17, 1, 33), (1, 1, 1), (200, 16, 8), (32, 1500, 271),
         (48, 70, 300), (300, 12, 130)]  # fmt: skip
LAYOUTS = ("C", "F", "sliced", "wide rows", "negative", "negative columns", "broadcast", "unaligned")


def product(a: Array, b: Array) -> Array:
    """The documented order, one rounding at a time."""
    kind = a.dtype.type
    m, k = a.shape
    n = b.shape[1]
    c = np.zeros((m, n), a.dtype)
    for i in range(m):
        for j in range(n):
            chains = [kind(0)] * (16 if n < 8 else 1)
            for p in range(k):
                chains[p % len(chains)] = fma(a[i, p], b[p, j], chains[p % len(chains)])
            while len(chains) > 1:
                half = len(chains) // 2
                chains = [chains[q] + chains[q + half] for q in range(half)]
            c[i, j] = chains[0]
    return c


def laid_out(a: Array, layout: str) -> Array:
    """The values of ``a`` in another arrangement of memory."""
    rows, cols = a.shape
    if layout == "C":
        return np.ascontiguousarray(a)
    if layout == "F":
        return np.asfortranarray(a)
    if layout == "unaligned":
        raw = np.empty(a.nbytes + 1, np.uint8)[1:].view(a.dtype).reshape(a.shape)
        raw[:] = a
        return raw
    room = np.full((2 * rows + 1, 3 * cols + 2), np.nan, a.dtype)
    if layout == "broadcast":
        return np.broadcast_to(a[:1], a.shape)
    views = {
        "sliced": room[1::2, 1 : 3 * cols + 1 : 3],
        "wide rows": room[:rows, 1 : cols + 1],
        "negative": room[:rows, :cols][::-1],
        "negative columns": room[:rows, :cols][:, ::-1],
    }
    view = views[layout]
    view[...] = a
    return view


def bound(a: Array, b: Array) -> Array:
    """k u |A||B|, the classical bound (Higham, Accuracy and Stability, 2002, section 3.5), and room for underflow."""
    u = np.finfo(a.dtype).eps / 2
    wide = np.abs(a.astype(np.longdouble)) @ np.abs(b.astype(np.longdouble))
    return np.asarray((a.shape[1] + 1) * u * wide + np.finfo(a.dtype).tiny, np.float64)


def draw(rng: np.random.Generator, m: int, k: int, n: int, dtype: Any) -> tuple[Array, Array]:
    a, b = rng.standard_normal((m, k)).astype(dtype), rng.standard_normal((k, n)).astype(dtype)
    assert_varies(a)
    return a, b


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 6, 7, 8, 9, 17])
def test_bits_are_those_of_the_documented_order(
    n: int, contract_isa: str, dtype: Any, rng: np.random.Generator
) -> None:
    for m, k in ((1, 1), (2, 15), (3, 16), (2, 17), (2, 40), (7, 5), (1, 0)):
        a, b = draw(rng, m, k, n, dtype)
        assert_same_bits(F.dot(a, b), product(a, b), f"{m} x {k} x {n}")
    if n < 8:  # vectors are narrow products too
        a, b = draw(rng, 1, 37, 1, dtype)
        assert_same_bits(np.asarray(F.dot(a[0], b[:, 0])), product(a, b)[0, 0])


def test_long_chains_keep_the_order_across_blocks(contract_isa: str, dtype: Any, rng: np.random.Generator) -> None:
    for m, k, n in ((1, 1600, 8), (2, 405, 9), (1, 1000, 3)):
        a, b = draw(rng, m, k, n, dtype)
        assert_same_bits(F.dot(a, b), product(a, b), f"{m} x {k} x {n}")


@given(
    m=st.integers(0, 70), k=st.integers(0, 70), n=st.integers(0, 70), seed=st.integers(0, 2**32 - 1),
    layout_a=st.sampled_from(LAYOUTS), layout_b=st.sampled_from(LAYOUTS),
    dtype=st.sampled_from([np.float32, np.float64]),
)  # fmt: skip
@settings(max_examples=400, deadline=None)
def test_any_shape_and_stride_gives_the_scalar_tables_bits_within_the_bound(
    m: int, k: int, n: int, seed: int, layout_a: str, layout_b: str, dtype: Any
) -> None:
    rng = np.random.default_rng(seed)
    a, b = rng.standard_normal((m, k)).astype(dtype), rng.standard_normal((k, n)).astype(dtype)
    a, b = laid_out(a, layout_a), laid_out(b, layout_b)
    with use("scalar" if "scalar" in _core.available_isas() else "sse2"):
        want = F.dot(a, b)
    assert_within(want, a.astype(np.longdouble) @ b.astype(np.longdouble), bound(a, b))
    for isa in _core.available_isas():
        with use(isa):
            got = F.dot(a, b)
            out = np.full((m, n), 3, dtype)
            assert F.dot(a, b, out=out) is out
        assert got.shape == (m, n)
        assert_same_bits(out, got)
        if isa == "sse2":
            assert_within(got, a.astype(np.longdouble) @ b.astype(np.longdouble), 2 * bound(a, b))
        else:
            assert_same_bits(got, want, isa)


@given(
    n=st.integers(0, 70), m=st.integers(0, 70), seed=st.integers(0, 1000), dtype=st.sampled_from(["float32", "float64"])
)
@settings(max_examples=60, deadline=None)
def test_vectors_are_matrices_of_one_row_or_column(n: int, m: int, seed: int, dtype: str) -> None:
    rng = np.random.default_rng(seed)
    v, w = rng.standard_normal((2, n)).astype(dtype)
    a, b = rng.standard_normal((m, n)).astype(dtype), rng.standard_normal((n, m)).astype(dtype)
    inner = F.dot(v, w)
    assert isinstance(inner, np.dtype(dtype).type)
    assert_same_bits(np.asarray(inner).reshape(1, 1), F.dot(v[None], w[:, None]))
    assert_same_bits(F.dot(a, v), F.dot(a, v[:, None])[:, 0])
    assert_same_bits(F.dot(v, b), F.dot(v[None], b)[0])
    assert_same_bits(F.dot(v[::-1], w[::-1].copy()), F.dot(v[::-1].copy(), w[::-1]))


@pytest.mark.parametrize("shape", LARGE)
@pytest.mark.parametrize("transposed", ["", "a", "b", "ab"])
def test_large_products_keep_the_bound_and_the_bits(
    shape: tuple[int, int, int], transposed: str, contract_isa: str, dtype: Any, rng: np.random.Generator
) -> None:
    a, b = draw(rng, *shape, dtype)
    a = np.asfortranarray(a) if "a" in transposed else a
    b = np.asfortranarray(b) if "b" in transposed else b
    c = F.dot(a, b)
    assert_within(c, a.astype(np.float64) @ b.astype(np.float64), bound(a, b) * (2 if dtype == np.float64 else 1))
    rows = rng.integers(0, len(a), 3)  # a row by itself: other tiles, the same chains
    with use("scalar"):
        assert_same_bits(F.dot(a[rows], b), c[rows])
    if shape[2] > 16:  # and so are columns by themselves, as long as there are 8
        assert_same_bits(F.dot(a, b[:, 5:13]), c[:, 5:13])


def test_out_may_overlap_the_operands(isa: str, dtype: Any, rng: np.random.Generator) -> None:
    for n in (1, 5, 8, 33):
        a, b = draw(rng, n, n, n, dtype)
        want = F.dot(a, b)
        x = a.copy()
        assert_same_bits(F.dot(x, b, out=x), want)
        x = b.copy()
        assert_same_bits(F.dot(a, x, out=x), want)
        x = a.copy()
        assert_same_bits(F.dot(x, x, out=x), F.dot(a, a))
        room = np.zeros(2 * n * n, dtype)
        shifted = room[1 : 1 + n * n].reshape(n, n)
        shifted[:] = a
        assert_same_bits(F.dot(shifted, b, out=room[: n * n].reshape(n, n)), want)
        transposed = np.asfortranarray(a)
        assert_same_bits(F.dot(transposed, b, out=transposed), want)


def test_other_layouts_of_out_are_filled(dtype: Any, rng: np.random.Generator) -> None:
    a, b = draw(rng, 5, 6, 9, dtype)
    want = F.dot(a, b)
    for layout in ("F", "sliced", "negative", "negative columns", "unaligned"):
        out = laid_out(np.zeros((5, 9), dtype), layout)
        assert F.dot(a, b, out=out) is out
        assert_same_bits(np.ascontiguousarray(out), want)


def test_nothing_beyond_the_end_is_touched(isa: str, dtype: Any, rng: np.random.Generator) -> None:
    for m, k, n in ((1, 3, 1), (7, 5, 3), (5, 9, 8), (13, 4, 21), (6, 33, 40)):
        a, b = draw(rng, m, k, n, dtype)
        room = np.full(m * n + 80, 7.5, dtype)
        F.dot(a, b, out=room[40 : 40 + m * n].reshape(m, n))
        assert (room[:40] == 7.5).all()
        assert (room[40 + m * n :] == 7.5).all()


def test_other_numbers_are_computed_in_float64(rng: np.random.Generator) -> None:
    a, b = rng.integers(-9, 9, (4, 5)), rng.integers(-9, 9, (5, 9))
    assert_same_bits(F.dot(a, b), (a @ b).astype(np.float64))
    assert_same_bits(F.dot(a.astype(np.int8), b.astype(np.float32)), (a @ b).astype(np.float64))
    assert_same_bits(F.dot(a.tolist(), (b > 0)), (a @ (b > 0)).astype(np.float64))
    assert_same_bits(F.dot(a.astype(">f8"), b.astype(np.float16)), (a @ b).astype(np.float64))
    assert_same_bits(F.dot(a.astype(np.float32), b.astype(np.float32)), (a @ b).astype(np.float32))


def test_nan_and_infinity_pass_through(isa: str, dtype: Any) -> None:
    for n in (3, 9):
        a, b = np.ones((4, 20), dtype), np.ones((20, n), dtype)
        a[1, 19], a[2, 0], b[5, 1] = np.nan, np.inf, 0
        c = F.dot(a, b)
        assert np.isnan(c[1]).all()
        assert np.isinf(c[2]).all()
        assert np.isfinite(c[[0, 3]]).all()
        b[0, 1] = 0  # inf * 0
        assert np.isnan(F.dot(a, b)[2, 1])


def test_read_only_operands_are_taken(dtype: Any, rng: np.random.Generator) -> None:
    a, b = draw(rng, 4, 5, 9, dtype)
    want = F.dot(a, b)
    a.flags.writeable = b.flags.writeable = False
    assert_same_bits(F.dot(a, b), want)


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda a: F.dot(a, a), ValueError, r"dot: a has 4 columns, b has 3 rows \(shapes \(3, 4\) and \(3, 4\)\)"),
        (lambda a: F.dot(a[0], a[0, :3]), ValueError, "dot: a has 4 columns, b has 3 rows"),
        (lambda a: F.dot(a, np.ones((1, 4, 2))), ValueError, "b: expected a vector or a matrix, got 3 dimensions"),
        (lambda a: F.dot(2.0, a), ValueError, "a: expected a vector or a matrix, got 0 dimensions"),
        (lambda a: F.dot(a, a.T + 1j), TypeError, "b: expected real numbers, got dtype complex128"),
        (lambda a: F.dot(a.astype(object), a.T), TypeError, "a: expected real numbers, got dtype object"),
        (lambda a: F.dot(a, "text"), ValueError, "b: expected a vector or a matrix"),
        (lambda a: F.dot(a, a.T, out=np.empty((4, 4))), ValueError, r"out: expected shape \(3, 3\), got \(4, 4\)"),
        (lambda a: F.dot(a, a.T, out=np.empty((3, 3), "f4")), TypeError, "out: expected dtype float64, got float32"),
        (lambda a: F.dot(a, a.T, out=[[0.0] * 3] * 3), TypeError, "out: expected an array, got list"),
        (lambda a: F.dot(a, a.T, out=np.broadcast_to(0.0, (3, 3))), ValueError, "out: the array is read-only"),
    ],
)
def test_what_does_not_fit_is_named(call: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        call(np.ones((3, 4)))
