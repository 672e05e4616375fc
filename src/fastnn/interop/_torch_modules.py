"""The layers that PyTorch has no module for, as modules. Imported with PyTorch at hand only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch  # type: ignore[import-not-found,unused-ignore]
from torch import nn  # type: ignore[import-not-found,unused-ignore]


class Rescale(nn.Module):  # type: ignore[misc,unused-ignore]
    """y = x * scale + offset."""

    def __init__(self, scale: float, offset: float) -> None:
        super().__init__()
        self.scale, self.offset = scale, offset

    def forward(self, x: Any) -> Any:
        return x * self.scale + self.offset

    def extra_repr(self) -> str:
        return f"scale={self.scale}, offset={self.offset}"


class Exponential(nn.Module):  # type: ignore[misc,unused-ignore]
    """y = exp(x)."""

    def forward(self, x: Any) -> Any:
        return torch.exp(x)


class Step(nn.Module):  # type: ignore[misc,unused-ignore]
    """y = 1 where x > 0, else 0."""

    def forward(self, x: Any) -> Any:
        return (x > 0).to(x.dtype)


class Normalization(nn.Module):  # type: ignore[misc,unused-ignore]
    """y = (x - mean) / sqrt(variance), a variance of 0 taken for 1; nothing of it is trained."""

    def __init__(self, mean: Any, variance: Any) -> None:
        super().__init__()
        self.register_buffer("mean", mean)
        self.register_buffer("variance", variance)

    def forward(self, x: Any) -> Any:
        return (x - self.mean) / torch.where(self.variance == 0, 1, self.variance).sqrt()


class GaussianNoise(nn.Module):  # type: ignore[misc,unused-ignore]
    """While training y = x + stddev * normal, or x * (1 + stddev * normal); x otherwise."""

    def __init__(self, stddev: float, multiplies: bool) -> None:
        super().__init__()
        self.stddev, self.multiplies = stddev, multiplies

    def forward(self, x: Any) -> Any:
        if not self.training:
            return x
        noise = torch.randn_like(x) * self.stddev
        return x * (1 + noise) if self.multiplies else x + noise


MAKERS: dict[str, Callable[[Any, float], Any]] = {
    "exponential": lambda nn, alpha: Exponential(),
    "step": lambda nn, alpha: Step(),
}
