"""From the native loop to parts written in Python: arrays in, arrays out, checked."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]


def _result(what: str, value: Any, shape: tuple[int, ...], dtype: Any) -> Array:
    """What a part returned, as it goes into the engine's buffer."""
    a = np.asarray(value)
    if a.dtype.kind not in "fiub":
        raise TypeError(f"{what}: expected an array of real numbers, got dtype {a.dtype}")
    if a.shape != shape:
        raise ValueError(f"{what}: expected shape {shape}, got {a.shape}")
    return np.ascontiguousarray(a, dtype)


class LayerLink:
    """A layer's turn in the plan. training: whether these are the buffers of training; those of inference have no
    backward, but to_input, where the gradients of the layer's own tensors are dropped. frozen: layers whose gradients
    nobody wants."""

    def __init__(
        self, plan: Any, spec: Any, training: bool, to_input: bool = False, frozen: Collection[int] = ()
    ) -> None:
        self.spec, self.training, self.to_input, self.frozen = spec, training, to_input, spec.layer in frozen
        grads = plan.grads if training else None
        self.grads = {} if grads is None else {n: plan.view(grads, spec.layer, n) for n, _ in spec.tensors}

    def forward(self, x: Array) -> Array:
        part = self.spec.part
        part.training = self.training
        return _result("forward", part.forward(x), (len(x), self.spec.n_out), x.dtype)

    def backward(self, dy: Array, need_dx: bool) -> Array | None:
        """dx, None where nothing before needs it; the gradients of the layer's own tensors go into their arena."""
        given = self.spec.part.backward(dy)
        if self.spec.tensors and not (isinstance(given, tuple) and len(given) == 2 and isinstance(given[1], Mapping)):
            what = f"(dx, {{name: gradient}}) for {', '.join(name for name, _ in self.spec.tensors)}"
            raise TypeError(f"backward: expected a pair {what}, got {type(given).__name__}")
        dx, grads = given if self.spec.tensors else (given, {})
        if self.to_input:
            return _result("backward", dx, (len(dy), self.spec.n_in), dy.dtype)
        if set(grads) != set(self.grads):
            raise ValueError(f"backward: expected gradients of {sorted(self.grads)}, got {sorted(grads)}")
        for name, view in () if self.frozen else self.grads.items():
            view[...] = _result(f"backward: gradient of {name}", grads[name], view.shape, view.dtype)
        return _result("backward", dx, (len(dy), self.spec.n_in), dy.dtype) if need_dx else None

    def note(self, error: BaseException, when: str) -> None:
        error.add_note(f"in {when} of {self.spec.part.label()}")


def losses(part: Any, p: Array, t: Array, weights: Array | None, so_far: float) -> float:
    """so_far and the losses of the rows by a loss written in Python, each times its weight where there are weights:
    added one by one, so that it does not matter where rows are cut into blocks."""
    each = _result("formula", part.formula(p, t), (len(p),), np.float64)
    return float(np.add.accumulate(np.append(so_far, each if weights is None else each * weights))[-1])


def loss_gradient(part: Any, p: Array, t: Array, scale: float) -> Array:
    """The gradient of the mean loss by the predictions."""
    dp = _result("derivative", part.derivative(p, t), p.shape, np.float64)
    return np.ascontiguousarray(dp * scale, p.dtype)


def optimizer_step(part: Any, w: Array, g: Array, states: list[Array], pieces: list[tuple[slice, int, float]]) -> None:
    """One step of an optimizer written in Python, piece by piece of the arrays, each with the number of its step and
    its learning rate; all of it or, where that raises, nothing."""
    new_states = [s.copy() for s in states]
    done = []
    for piece, t, rate in pieces:
        args = (w[piece].copy(), g[piece], [s[piece] for s in new_states], t, rate)
        done.append(_result("formula", part.formula(*args), w[piece].shape, w.dtype))
    for (piece, *_), new in zip(pieces, done, strict=True):
        w[piece] = new
    for state, new_state in zip(states, new_states, strict=True):
        state[...] = new_state


def constrain(part: Any, w: Array) -> None:
    """Hold a tensor to a constraint written in Python."""
    w[...] = _result("formula", part.formula(w.copy()), w.shape, w.dtype)
