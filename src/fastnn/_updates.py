"""What goes with the steps of a model's optimizer, from optimizer and layers; what an optimizer cannot have."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastnn.engine.spec import Update

if TYPE_CHECKING:
    from fastnn.model import Model


def update_of(model: Model) -> Update:
    """What goes with the optimizer's steps, from optimizer and layers; ValueError for what L-BFGS cannot have."""
    optimizer = model.optimizer_object
    rates, constraints = {}, []
    for i, layer in enumerate(model.numbered):
        rate = layer.training_rate
        if rate != 1.0:
            rates[i] = rate
        constraints += [part.lower(i, name) for name, part in layer.constraints().items()]
    if optimizer.kernel == "lbfgs":
        for i, rate in rates.items():
            if rate:
                raise ValueError(
                    f"{model.numbered[i].label()}: learning_rate_multiplier: expected 1 with LBFGS, whose line search "
                    f"has one length for all, got {rate!r}"
                )
        if constraints:
            raise ValueError(
                f"{model.numbered[constraints[0].layer].label()}: constraints do not go with LBFGS, whose line search "
                f"would be led astray by them"
            )
    clips = optimizer.clip_value or 0.0, optimizer.clip_tensor_norm or 0.0, optimizer.clip_norm or 0.0
    average = optimizer.ema_momentum if optimizer.use_ema else None
    return Update(*clips, rates, tuple(constraints), average, optimizer.ema_overwrite_frequency or 0)


def need_arenas(model: Model) -> Update:
    """Room for gradients, the optimizer's state and the average; what goes with the steps. ValueError where the
    optimizer does not go with the layers."""
    update = update_of(model)
    model.plan.need_training_arenas(model.optimizer_object.state_count)
    if update.average is not None:
        model.plan.need_average()
    return update


def need_all_rows(batch_size: int | None, n: int, accumulate: int) -> None:
    """ValueError where L-BFGS would not see all rows in each step."""
    if batch_size is not None and batch_size < n:
        raise ValueError(
            f"batch_size: expected None, all rows, with LBFGS, whose line search needs the same loss at each look, "
            f"got {batch_size} for {n} rows (fit takes 32 unless told otherwise)"
        )
    if accumulate != 1:
        raise ValueError(f"accumulate: expected 1 with LBFGS, which takes all rows at once, got {accumulate}")
