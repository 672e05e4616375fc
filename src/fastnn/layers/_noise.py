from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from fastnn import _checks
from fastnn.base import Layer
from fastnn.engine.spec import AlphaDropoutSpec, GaussianSpec
from fastnn.layers._sizes import share

if TYPE_CHECKING:
    from fastnn.engine.spec import Spec


class GaussianNoise(Layer):
    """While training y = x + stddev * z, with a normal number z for each element; otherwise nothing happens.

    stddev: at least 0. The noise of a step depends on seed, layer, step and element alone. It is drawn by Box and
    Muller from as many random bits as the type holds, so z stays within 5.7 in float32 and 8.5 in float64. ValueError
    or TypeError for a stddev that is no such number.
    """

    names = ("GaussianNoise",)

    def __init__(self, stddev: float) -> None:
        self.stddev = _checks.number("stddev", stddev, 0.0)

    def config(self) -> dict[str, Any]:
        return {"stddev": self.stddev}

    def lower(self, index: int, n_in: int) -> list[Spec]:
        return [GaussianSpec(index, n_in, self.stddev, False)] if self.stddev else []


class GaussianDropout(Layer):
    """While training y = x * (1 + sqrt(rate / (1 - rate)) z), with a normal number z for each element, drawn as
    ``GaussianNoise`` does: the mean and variance of ``Dropout(rate)``. Otherwise nothing happens.

    rate: in [0, 1), else ValueError. Source: Srivastava et al. 2014, section 10.
    """

    names = ("GaussianDropout",)

    def __init__(self, rate: float) -> None:
        self.rate = share(rate)

    def config(self) -> dict[str, Any]:
        return {"rate": self.rate}

    def lower(self, index: int, n_in: int) -> list[Spec]:
        return [GaussianSpec(index, n_in, math.sqrt(self.rate / (1 - self.rate)), True)] if self.rate else []


class AlphaDropout(Layer):
    """Dropout for SELU: while training, each input is, with probability ``rate``, SELU's limit on the left, -1.758,
    and all are then scaled and shifted so that mean 0 and variance 1 stay; otherwise nothing happens.

    rate: the share dropped, in [0, 1), else ValueError; rounded to the nearest 2^-16 when masks are drawn, which
    depend on seed, layer, step and element alone. Goes with ``Dense(n, activation="selu",
    weight_initializer="lecun_normal")``. Source: Klambauer et al. 2017.
    """

    names = ("AlphaDropout",)

    def __init__(self, rate: float) -> None:
        self.rate = share(rate)

    def config(self) -> dict[str, Any]:
        return {"rate": self.rate}

    def lower(self, index: int, n_in: int) -> list[Spec]:
        return [AlphaDropoutSpec(index, n_in, self.rate)] if self.rate else []
