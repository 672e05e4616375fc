"""The toy sets of *Neural Networks from Scratch in Python* (Kinsley and Kukieła 2020, package nnfs, after CS231n).

The shapes and formulas are the book's. The randomness is not NumPy's but our counter-based generator, with our own
sine and cosine, and nothing here depends on how a compiler groups float64 operations: the same seed gives the same
bits everywhere.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .._core import cos, random_normal, sin

Points = tuple[NDArray[np.float32], NDArray[np.int32]]

# streams of the generator (fastnn.engine.spec lists those of the engine); the class number is the step within a stream
STREAM_SPIRAL = 512
STREAM_VERTICAL = 514


def spiral(samples: int, classes: int, seed: int = 0, noise: float = 0.2) -> Points:
    """``classes`` interleaved spiral arms of ``samples`` points each.

    Returns X float32 (samples * classes, 2) within the unit circle and y int32 (samples * classes,), class by class.
    Along an arm the radius r goes from 0 to 1 and the angle t from 4c to 4(c + 1), blurred by ``noise`` * normal;
    X = (r sin 2.5t, r cos 2.5t). Raises TypeError or ValueError for arguments that make no spiral.
    """
    _check(samples, classes, seed)
    if not (isinstance(noise, (int, float, np.floating)) and 0 <= noise <= 1000):
        raise ValueError(f"noise must be a number from 0 to 1000, got {noise!r}")
    X = np.empty((samples * classes, 2), np.float32)
    along = np.arange(samples) / max(samples - 1, 1)
    for c in range(classes):
        t = 2.5 * (4.0 * c + 4.0 * along + float(noise) * random_normal(samples, seed, STREAM_SPIRAL, c))
        rows = slice(c * samples, (c + 1) * samples)
        X[rows, 0] = along * sin(t)
        X[rows, 1] = along * cos(t)
    return X, _labels(samples, classes)


def vertical(samples: int, classes: int, seed: int = 0) -> Points:
    """``classes`` clouds of ``samples`` points each, side by side.

    Returns X float32 (samples * classes, 2) and y int32 (samples * classes,), class by class. Cloud c has its centre at
    (c / 3, 0.5) and a standard deviation of 0.1. Raises TypeError or ValueError for arguments that make no clouds.
    """
    _check(samples, classes, seed)
    X = np.empty((samples * classes, 2), np.float32)
    for c in range(classes):
        rows = slice(c * samples, (c + 1) * samples)
        X[rows, 0] = random_normal(samples, seed, STREAM_VERTICAL, c) * 0.1 + c / 3
        X[rows, 1] = random_normal(samples, seed, STREAM_VERTICAL + 1, c) * 0.1 + 0.5
    return X, _labels(samples, classes)


def sine(samples: int = 1000) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """One period of the sine, for regression: X float32 (samples, 1) from 0 up to 1, y = sin(2 pi X) float32
    (samples, 1).

    Raises TypeError or ValueError where ``samples`` is not an integer of at least 1.
    """
    _check_count("samples", samples)
    x = (np.arange(samples) / samples).reshape(-1, 1)
    return x.astype(np.float32), sin(6.283185307179586 * x).astype(np.float32)


def _labels(samples: int, classes: int) -> NDArray[np.int32]:
    return np.repeat(np.arange(classes, dtype=np.int32), samples)


def _check(samples: int, classes: int, seed: int) -> None:
    _check_count("samples", samples)
    _check_count("classes", classes)
    if classes > 10_000:  # the sine is exact to the bit for angles up to 1e5
        raise ValueError(f"classes must be at most 10000, got {classes}")
    if not _is_integer(seed):
        raise TypeError(f"seed must be an integer, got {seed!r}")
    if not 0 <= seed < 2**64:
        raise ValueError(f"seed must be from 0 to 2**64 - 1, got {seed}")


def _check_count(name: str, value: int) -> None:
    if not _is_integer(value):
        raise TypeError(f"{name} must be an integer, got {value!r}")
    if value < 1:
        raise ValueError(f"{name} must be at least 1, got {value}")


def _is_integer(value: object) -> bool:
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)
