from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np

from fastnn import _checks
from fastnn.base import Layer
from fastnn.engine.spec import NormalizationSpec
from fastnn.layers._parameters import assign, view

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from fastnn.engine.spec import Spec

BLOCK = 1 << 20  # elements looked at together; the bits depend on it, so it depends on nothing


def moments(name: str, X: Any, width: int | None = None, where: str = "") -> tuple[NDArray[Any], NDArray[Any]]:
    """(mean, biased variance) of each column of X (rows, features) as float64, of any number type and strides; two
    passes over blocks of rows, joined by Chan, Golub and LeVeque (1983). name, where: for messages."""
    from fastnn.kernels.norm import column_moments  # only here: it would lengthen every import of the package

    rows = _checks.as_rows(name, X, width, where)
    _checks.need_rows(name, rows)
    first, total, lost, squares, block_mean, block_variance = (np.zeros(rows.shape[1]) for _ in range(6))
    n, step = 0, max(BLOCK // rows.shape[1], 1)
    for start in range(0, len(rows), step):
        block = np.ascontiguousarray(rows[start : start + step], np.float64)
        with np.errstate(over="ignore", invalid="ignore"):  # the sums show it
            if n == 0:
                column_moments(first, squares, block)
                squares *= len(block)
            else:  # from the first mean on: beside a large one, a sum of means rounds their differences away
                column_moments(block_mean, block_variance, block - first)
                apart = block_mean - total / n
                squares += block_variance * len(block) + apart * apart * (n * len(block) / (n + len(block)))
                more = block_mean * len(block) - lost  # Kahan (1965): many small blocks, and a first one far off
                lost = (total + more - total) - more
                total += more
        n += len(block)
    bad = ~np.isfinite(squares)
    if bad.any():
        raise ValueError(
            f"{name}: NaN, infinity or too large numbers in column {int(bad.argmax())}: no mean and variance"
        )
    return first + total / n, squares / n


class Normalization(Layer):
    """y = (x - mean) / sqrt(variance) for each feature: inputs of mean 0 and variance 1, by moments of the data.

    ``adapt(X)`` takes the moments from data; where the layer reads what comes in (it stands first, or after an
    ``Input``) and has none yet, ``train`` and ``fit`` take them from the rows they train on, validation aside, before
    the first step. ``mean`` and
    ``variance`` may be given instead, a number for all features or one for each. A feature of variance 0 is only
    centred, so that a constant column becomes 0. Until there are moments, x goes through unchanged.

    Shapes: x and y (rows, n_in), mean and variance (1, n_in) in the model's type. They are saved with the model and
    never trained; ``sample_weight`` plays no part. ValueError or TypeError for moments that are not finite, below 0,
    or of another shape, or where one is given without the other.
    """

    names = ("Normalization",)

    def __init__(self, *, mean: ArrayLike | None = None, variance: ArrayLike | None = None) -> None:
        if (mean is None) != (variance is None):
            raise ValueError("mean, variance: expected both or neither")
        self._given = None if mean is None or variance is None else _pair(mean, variance)
        self._found: tuple[NDArray[Any], NDArray[Any]] | None = None  # by adapt, before finalize

    def config(self) -> dict[str, Any]:
        if self._given is None:
            return {}  # what adapt has found is in the file's tensors
        mean, variance = (a.tolist() for a in self._given)
        return {"mean": mean, "variance": variance}

    @classmethod
    def rebuild(cls, **config: Any) -> Self:
        for name, value in config.items():
            numbers = value if isinstance(value, list) else [value]
            if not all(isinstance(x, (int, float)) for x in numbers):  # an array of texts may take any memory
                raise TypeError(f"{name}: expected a number or one for each feature")
        return cls(**config)

    def adapt(self, X: ArrayLike) -> None:
        """Take mean and variance of each feature from X (rows, features), of any number type and strides, in float64
        and block by block: a memory-mapped file is fine. What was there before is forgotten.

        Raises ValueError or TypeError for X that does not fit, has no rows, or holds NaN or infinity, ValueError
        where the moments were given; nothing has changed then.
        """
        if self._given is not None:
            raise ValueError(f"{self.label()} was given its mean and variance: there is nothing to adapt")
        found = moments("X", X, self.n_in, f"{self.label()}: ")
        if self._plan is None:
            self._found = found
        else:
            self.take(*found)

    def fits(self, variance: NDArray[Any], dtype: Any) -> None:
        """ValueError for a variance of which the type makes 0, a constant feature, or infinity."""
        with np.errstate(over="ignore", under="ignore"):
            held = variance.astype(dtype)
        lost = ((held == 0) & (variance > 0)) | np.isinf(held)
        if lost.any():
            column = int(lost.argmax())
            raise ValueError(
                f"{self.label()}: the variance {variance.flat[column]:.3g} of column {column} is beyond {dtype}: "
                f"change the unit of that feature, or make the model with dtype='float64'"
            )

    def take(self, mean: NDArray[Any], variance: NDArray[Any]) -> None:
        """Normalize by these, which fit, from now on; ValueError where they do not, and nothing is changed then."""
        mine = view(self, "variance")
        self.fits(variance, mine.dtype)
        view(self, "mean")[...] = mean
        mine[...] = variance

    @property
    def adapted(self) -> bool:
        """Whether there are moments: given, taken from data, or loaded."""
        if self._plan is None:
            return self._given is not None or self._found is not None
        return self._given is not None or bool(self.mean.any() or self.variance.any())

    @property
    def mean(self) -> NDArray[Any]:
        """What is subtracted (1, n_in): a live view after finalize, 0 where there are no moments. Assigning
        copies."""
        return view(self, "mean")

    @mean.setter
    def mean(self, value: ArrayLike) -> None:
        assign(self, "mean", value)

    @property
    def variance(self) -> NDArray[Any]:
        """Whose square root is divided by (1, n_in): as ``mean``."""
        return view(self, "variance")

    @variance.setter
    def variance(self, value: ArrayLike) -> None:
        assign(self, "variance", value)

    def wanted_input(self) -> int | None:
        known = self._given or self._found
        return None if known is None or known[0].ndim == 0 else len(known[0])

    def lower(self, index: int, n_in: int) -> list[Spec]:
        return [NormalizationSpec(index, n_in)]

    def initialize(self, seed: int) -> None:
        known = self._given or self._found
        if known is not None:
            self.take(*known)

    @property
    def kept_count(self) -> int:
        return 2 * (self.n_in or 0)

    @property
    def flops(self) -> int:
        return 2 * (self.n_in or 0)


def _pair(mean: ArrayLike, variance: ArrayLike) -> tuple[NDArray[Any], NDArray[Any]]:
    """The given moments as float64, both numbers or both of one shape (features,)."""
    found = []
    for name, value in (("mean", mean), ("variance", variance)):
        a = _checks.as_array(name, value)
        if a.ndim == 2 and len(a) == 1:
            a = a[0]
        if a.ndim > 1 or a.size == 0:
            raise ValueError(f"{name}: expected a number or one for each feature, got shape {a.shape}")
        if not np.isfinite(a).all():
            raise ValueError(f"{name}: expected finite numbers, got {a[~np.isfinite(a)][0] if a.ndim else a}")
        found.append(np.asarray(a, np.float64))
    if (found[1] < 0).any():
        raise ValueError(f"variance: expected at least 0, got {found[1].min()}")
    a, b = np.broadcast_arrays(*found) if found[0].ndim != found[1].ndim else found
    if a.shape != b.shape:
        raise ValueError(f"mean, variance: expected one shape, got {a.shape} and {b.shape}")
    return np.array(a), np.array(b)
