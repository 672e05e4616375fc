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


MAKERS: dict[str, Callable[[Any, float], Any]] = {
    "exponential": lambda nn, alpha: Exponential(),
    "step": lambda nn, alpha: Step(),
}
