"""Gradients against differences of the loss: the proof that a model's backward is the derivative of its forward."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn import _checks, _runs
from fastnn.model import Model

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

# Differences are taken with each of these in turn, relative to the parameter, and the nearest counts: a large one may
# reach over the kink of a ReLU, a small one drowns in rounding. A wrong gradient is wrong with all of them.
STEPS = (1e-3, 1e-4, 1e-5, 1e-6, 1e-7)
SIDES_BELOW = 1e-6
FLOOR = 1e-4  # of the largest gradient: below it, errors are relative to that


@dataclass(frozen=True)
class GradientReport:
    """What ``check_gradients`` found; true where every gradient checked is right.

    error: the worst relative error, at element ``index`` of the tensor ``name`` of ``layer``, where backward says
    ``gradient`` and the differences say ``difference``. errors: the worst of each tensor, by ``"layer 0 (Dense)
    weights"``. checked: how many parameters were looked at.
    """

    ok: bool
    error: float
    layer: str
    name: str
    index: tuple[int, ...]
    gradient: float
    difference: float
    checked: int
    errors: dict[str, float]

    def __bool__(self) -> bool:
        return self.ok

    def __str__(self) -> str:
        verdict = "right" if self.ok else "WRONG"
        return (
            f"gradients are {verdict}: the worst of {self.checked:,} is at {self.name}{list(self.index)} of "
            f"{self.layer}, where backward gives {self.gradient:.9g} and differences {self.difference:.9g} "
            f"(relative error {self.error:.1e})"
        )


def check_gradients(
    model: Model, X: ArrayLike, y: ArrayLike, *, rtol: float = 1e-5, samples: int | None = 200, seed: int = 0
) -> GradientReport:
    """Compare the gradient of every parameter with central differences of the loss, in float64.

    X, y: as in ``train``; a few rows are enough. rtol: relative error up to which a gradient is right. samples: how
    many elements of each tensor are looked at, drawn by ``seed``; None for all. The loss includes the penalties;
    dropout drops the same all along. Where the loss has a kink just there (a ReLU at 0, L1 at a zero bias), the
    derivative of either side is right. The model itself is not changed: a float64 copy of it is looked at.

    Raises ValueError or TypeError for data that do not fit, ValueError for a model without parameters.
    """
    if samples is not None:
        samples = _checks.whole("samples", samples, 1)
    if not 0 < rtol < 1:
        raise ValueError(f"rtol: expected more than 0 and below 1, got {rtol!r}")
    if not isinstance(model, Model):
        raise TypeError(f"model: expected a Model, got {type(model).__name__}")
    twin = float64_copy(model, X)
    plan = twin.plan
    if not plan.trained:
        raise ValueError("the model has no parameters to train: there are no gradients to check")
    trainer = _runs.gradient_trainer(twin, X, y)
    loss = trainer.gradients()
    assert plan.grads is not None
    gradients = plan.grads[: plan.trained].copy()
    floor = FLOOR * float(np.abs(gradients).max()) or 1.0
    rng = np.random.default_rng(seed)
    worst = -1.0
    place: tuple[str, str, tuple[int, ...], float, float] = ("", "", (), 0.0, 0.0)
    layers, errors, checked = twin.numbered, {}, 0
    for (layer, name), (offset, shape) in plan.tensors.items():
        if not plan.is_trained(layer, name):
            continue
        size = int(np.prod(shape))
        chosen = np.arange(size) if samples is None or size <= samples else rng.choice(size, samples, replace=False)
        label = layers[layer].label()
        errors[f"{label} {name}"] = 0.0
        for i in chosen:
            error, difference = _difference(
                trainer, plan.params, offset + int(i), float(gradients[offset + i]), loss, floor
            )
            errors[f"{label} {name}"] = max(errors[f"{label} {name}"], error)
            if not error <= worst:
                index = tuple(int(k) for k in np.unravel_index(i, shape))
                worst, place = error, (label, name, index, float(gradients[offset + i]), difference)
        checked += len(chosen)
    return GradientReport(worst <= rtol, worst, *place, checked, errors)


def _difference(trainer: Any, params: Any, at: int, gradient: float, loss: float, floor: float) -> tuple[float, float]:
    """(relative error, difference quotient) of the step that comes nearest to the gradient; NaN counts as infinite."""
    kept = float(params[at])
    best, before = (np.inf, np.nan), None
    for step in STEPS:
        h = step * max(1.0, abs(kept))
        params[at] = kept + h
        right = (trainer.gradients() - loss) / h
        params[at] = kept - h
        left = (loss - trainer.gradients()) / h
        params[at] = kept
        sides = (left, right) if step <= SIDES_BELOW else ()  # with long steps they are too rough to say anything
        central = (left + right) / 2
        # Richardson's extrapolation takes the error in h^2 out of two steps, one a tenth of the other
        extrapolated = () if before is None else ((100 * central - before) / 99,)
        before = central
        for d in (central, *extrapolated, *sides):
            error = abs(d - gradient) / max(abs(d), abs(gradient), floor)
            if error < best[0]:
                best = (error, d)
            elif np.isnan(best[1]):
                best = (np.inf, d)
        if best[0] < 1e-8:  # as near as differences come
            break
    return best


def float64_copy(model: Model, X: Any) -> Model:
    """The model again in float64, with layers of its own and the same parameters; drawn anew where it has none yet."""
    twin = Model(seed=model.seed, dtype="float64")
    twin.layers, twin._graph = [copy.copy(layer) for layer in model.layers], model._graph
    twin._unfinalize()
    twin.loss, twin.optimizer, twin.accuracy = model.loss_object, model.optimizer, None
    if model._plan is None:
        twin._ready(X)
        return twin
    twin.finalize(model.plan.n_in)
    for (layer_index, name), _ in model.plan.tensors.items():
        source = model.plan.view(model.plan.params, layer_index, name)
        twin.plan.view(twin.plan.params, layer_index, name)[...] = source
    twin.steps_done = model.steps_done
    return twin
