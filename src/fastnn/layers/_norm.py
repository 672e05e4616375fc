from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastnn import _checks
from fastnn.base import Layer
from fastnn.engine.spec import BatchNormSpec, LayerNormSpec
from fastnn.layers._parameters import Tensor

if TYPE_CHECKING:
    from fastnn.engine.spec import Spec


class _Scaled(Layer):
    """What the two normalizations share: epsilon, and gamma and beta where wanted."""

    def __init__(self, epsilon: float, center: bool, scale: bool) -> None:
        self.epsilon = _checks.number("epsilon", epsilon, 0.0)
        if not self.epsilon:
            raise ValueError(f"epsilon: expected more than 0, got {epsilon!r}")
        for name, value in (("center", center), ("scale", scale)):
            if not isinstance(value, bool):
                raise TypeError(f"{name}: expected True or False, got {value!r}")
        self.center, self.scale = center, scale

    gamma = Tensor("The factors (1, n_in): a live view; writing into it changes the model. Assigning copies.")
    beta = Tensor("What is added (1, n_in): a live view. Assigning copies.")

    def config(self) -> dict[str, Any]:
        return {"epsilon": self.epsilon, "center": self.center, "scale": self.scale}

    def initialize(self, seed: int) -> None:
        if self.scale:
            self.gamma[...] = 1

    @property
    def parameter_count(self) -> int:
        return (self.center + self.scale) * (self.n_in or 0)


class BatchNorm(_Scaled):
    """y = (x - mean) / sqrt(variance + epsilon) * gamma + beta, for each feature.

    While training, mean and variance are those of the batch, all its rows with equal weight; the variance is the biased
    one (over the number of rows), for the moving average too, as in Keras (PyTorch keeps the unbiased). With every step
    the moving averages go on: moving = momentum * moving + (1 - momentum) * batch. Otherwise the moving averages take
    their place, and a row's output depends on that row alone. A step that is refused, since its loss is not finite,
    leaves them as they were. With ``accumulate``, each batch is normalized by itself, and the averages move once a
    step, by the mean of the batches' moments. A batch of one row gives beta.

    Shapes: x and y (rows, n_in); gamma (at first 1), beta (0), moving_mean (0) and moving_variance (1) are (1, n_in).
    momentum: in [0, 1), PyTorch's is 1 minus it. epsilon: above 0. center, scale: whether there is beta, gamma. Names and
    defaults are Keras's. The moving averages are saved with the model, but no gradient, penalty or clipping touches
    them. A training batch goes through a model with this layer as a whole, not in chunks of rows.

    Source: Ioffe and Szegedy 2015. ValueError or TypeError for arguments out of range.
    """

    names = ("BatchNorm",)

    def __init__(
        self, *, momentum: float = 0.99, epsilon: float = 1e-3, center: bool = True, scale: bool = True
    ) -> None:
        super().__init__(epsilon, center, scale)
        self.momentum = _checks.number("momentum", momentum, 0.0, 1.0)

    moving_mean = Tensor("The moving average of the batches' means (1, n_in): a live view. Assigning copies.")
    moving_variance = Tensor("The moving average of the batches' variances (1, n_in): a live view. Assigning copies.")

    def config(self) -> dict[str, Any]:
        return {"momentum": self.momentum, **super().config()}

    def lower(self, index: int, n_in: int) -> list[Spec]:
        return [BatchNormSpec(index, n_in, self.momentum, self.epsilon, self.center, self.scale)]

    def initialize(self, seed: int) -> None:
        super().initialize(seed)
        self.moving_variance[...] = 1

    @property
    def kept_count(self) -> int:
        return 2 * (self.n_in or 0)

    @property
    def flops(self) -> int:
        return 3 * (self.n_in or 0)


class LayerNorm(_Scaled):
    """y = (x - mean) / sqrt(variance + epsilon) * gamma + beta, mean and biased variance those of each row.

    Training and prediction do the same; rows do not know of each other. Shapes: x and y (rows, n_in); gamma (at first
    1) and beta (0) are (1, n_in). epsilon: above 0; 1e-3 is Keras's default, PyTorch's is 1e-5. center, scale: whether
    there is beta, gamma.

    Source: Ba, Kiros and Hinton 2016. ValueError or TypeError for arguments out of range.
    """

    names = ("LayerNorm",)

    def __init__(self, *, epsilon: float = 1e-3, center: bool = True, scale: bool = True) -> None:
        super().__init__(epsilon, center, scale)

    def lower(self, index: int, n_in: int) -> list[Spec]:
        return [LayerNormSpec(index, n_in, self.epsilon, self.center, self.scale)]

    @property
    def flops(self) -> int:
        return 8 * (self.n_in or 0)
