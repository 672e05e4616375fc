"""The running average of a model's weights in their place for a while."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fastnn.model import Model


@contextmanager
def averaged_weights(model: Model) -> Iterator[Model]:
    """See ``Model.averaged_weights``."""
    with model._lock:
        plan = model.plan
        if plan.average is None or not plan.averaged:
            raise ValueError("no averaged weights: train with an optimizer that has use_ema=True first")
        if model._averaged:
            raise RuntimeError("the averaged weights are in place already")
        busy, trained = model._busy, plan.params[: plan.trained]
        kept = trained.copy()
        trained[...] = plan.average[: plan.trained]
        model._busy = model._averaged = True
        try:
            yield model
        finally:
            model._busy, model._averaged = busy, False
            trained[...] = kept
