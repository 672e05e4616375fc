"""The normalizations and the streams of noise in float64 NumPy, from the papers' formulas: nothing here calls a kernel."""

from __future__ import annotations

from typing import Any

import numpy as np
from compare import Array


def moments(x: Array, axis: int) -> tuple[Array, Array]:
    """(mean, biased variance), with the axis kept."""
    mean = x.mean(axis=axis, keepdims=True)
    return mean, ((x - mean) ** 2).mean(axis=axis, keepdims=True)


def normalize(x: Array, axis: int, epsilon: float, gamma: Any = 1.0, beta: Any = 0.0) -> Array:
    """Ioffe and Szegedy 2015, algorithm 1 (axis 0: over the batch); Ba et al. 2016, equations 2 and 4 (axis 1: over the
    features)."""
    mean, variance = moments(x, axis)
    return np.asarray((x - mean) / np.sqrt(variance + epsilon) * gamma + beta)


def normalize_backward(
    dy: Array, x: Array, axis: int, epsilon: float, gamma: Any = 1.0
) -> tuple[Array, Array, Array]:
    """(dx, dgamma, dbeta), step by step as in Ioffe and Szegedy 2015, section 3, not in the closed form of the kernels."""
    m = x.shape[axis]
    mean, variance = moments(x, axis)
    deviation = np.sqrt(variance + epsilon)
    dn = dy * gamma
    dvariance = (dn * (x - mean)).sum(axis=axis, keepdims=True) * -0.5 * deviation**-3
    dmean = (dn * -1 / deviation).sum(axis=axis, keepdims=True) + dvariance * (-2 * (x - mean)).mean(
        axis=axis, keepdims=True
    )
    dx = dn / deviation + dvariance * 2 * (x - mean) / m + dmean / m
    return dx, (dy * (x - mean) / deviation).sum(axis=0), dy.sum(axis=0)


def philox(block: int, key: int, stream: int, step: int) -> list[int]:
    """Four words of Philox4x32-10 (Salmon et al. 2011) in Python integers, with fastnn's counter (docs/numerics.md)."""
    low = 0xFFFFFFFF
    c = [block & low, stream << 16 | (block >> 32) & 0xFFFF, step & low, step >> 32 & low]
    k0, k1 = key & low, key >> 32
    for _ in range(10):
        p0, p1 = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [(p1 >> 32) ^ c[1] ^ k0, p1 & low, (p0 >> 32) ^ c[3] ^ k1, p0 & low]
        k0, k1 = (k0 + 0x9E3779B9) & low, (k1 + 0xBB67AE85) & low
    return c


def normals(count: int, key: int, stream: int, step: int, dtype: Any) -> Array:
    """Elements 0 .. count-1 of a stream of normal numbers, by Box and Muller 1958, as docs/numerics.md lays them out."""
    single = np.dtype(dtype) == np.float32
    pairs, bits = (64, 23) if single else (32, 52)
    out: list[Array] = []
    while sum(map(len, out)) < count:
        first = len(out) * 32
        words = np.array([philox(first + i, key, stream, step) for i in range(32)], np.uint64).T
        if single:
            radius, angle = np.concatenate(words[:2]), np.concatenate(words[2:])
        else:
            radius, angle = words[1] << np.uint64(32) | words[0], words[3] << np.uint64(32) | words[2]
        u, w = ((r >> np.uint64((32 if single else 64) - bits)).astype(np.float64) * 2.0**-bits for r in (radius, angle))
        r = np.sqrt(-2 * np.log(1 - u))
        assert len(r) == pairs
        out.append(np.concatenate([r * np.cos(2 * np.pi * w), r * np.sin(2 * np.pi * w)]))
    return np.concatenate(out)[:count]


def halves(count: int, key: int, stream: int, step: int) -> Array:
    """The 16 random bits of elements 0 .. count-1 of a stream of masks (docs/numerics.md)."""
    blocks: dict[int, list[int]] = {}
    found = []
    for e in range(count):
        block = 8 * (e // 64) + e // 2 % 8
        if block not in blocks:
            blocks[block] = philox(block, key, stream, step)
        found.append(blocks[block][e // 16 % 4] >> 16 * (e % 2) & 0xFFFF)
    return np.array(found)
