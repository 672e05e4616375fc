"""The book's data: from NumPy's global generator, so that ``nnfs.init()`` leads to the book's own points.

``fastnn.data`` has the same sets from a generator of its own. The formulas are those of CS231n (Karpathy 2015).
"""

from __future__ import annotations

import numpy as np

from fastnn.nnfs._settings import Array, dtype, randn

__all__ = ["sine_data", "spiral_data", "vertical_data"]


def spiral_data(samples: int, classes: int) -> tuple[Array, Array]:
    """``classes`` spiral arms of ``samples`` points each: X (samples * classes, 2), y uint8 labels, class by class."""
    X = np.empty((classes, samples, 2), dtype())
    radius = np.linspace(0.0, 1, samples)
    for c in range(classes):
        angle = (np.linspace(c * 4, (c + 1) * 4, samples) + randn(samples) * 0.2) * 2.5
        X[c, :, 0], X[c, :, 1] = radius * np.sin(angle), radius * np.cos(angle)
    return X.reshape(-1, 2), _labels(samples, classes)


def vertical_data(samples: int, classes: int) -> tuple[Array, Array]:
    """``classes`` clouds of ``samples`` points each, side by side: X (samples * classes, 2), y uint8 labels."""
    X = np.empty((classes, samples, 2), dtype())
    for c in range(classes):
        X[c, :, 0] = randn(samples) * 0.1 + c / 3
        X[c, :, 1] = randn(samples) * 0.1 + 0.5
    return X.reshape(-1, 2), _labels(samples, classes)


def sine_data(samples: int = 1000) -> tuple[Array, Array]:
    """One period of the sine: X (samples, 1) from 0 up to 1, y = sin(2 pi X)."""
    X = np.arange(samples).reshape(-1, 1) / samples
    return X.astype(dtype()), np.sin(2 * np.pi * X).astype(dtype())


def _labels(samples: int, classes: int) -> Array:
    return np.repeat(np.arange(classes, dtype=np.uint8), samples)
