"""What every form of export asks of the parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastnn.kernels.arrays import all_finite

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fastnn.model import Model


def finite(model: Model, layer: int, name: str) -> NDArray[Any]:
    """A live view of a parameter; ValueError where it holds NaN or infinity: what is exported runs elsewhere, where
    nobody sees which layer it was."""
    plan = model.plan
    view: NDArray[Any] = plan.view(plan.params, layer, name)
    if not all_finite(view.reshape(-1)):
        raise ValueError(f"{model.numbered[layer].label()}: the {name} hold NaN or infinity: nothing is exported")
    return view
