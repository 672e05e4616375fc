"""The kernels as plain functions on arrays: what everything else is built from.

float32 stays float32; everything else is computed in float64. Arrays are taken as they are where they are C-contiguous
and copied once where not. ``out=`` takes a C-contiguous, writeable array of the result's shape and type and is
returned. The functions hold no state; each releases the GIL while it computes, but for 20,000 elements (4096 parameters
of an optimizer's step) and 0.4 million multiply-adds or less.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn._core import ACTIVATION_ALPHA, ACTIVATION_SAVES, ACTIVATIONS, OPTIMIZER_STATES, OPTIMIZERS
from fastnn._functional_losses import (
    binary_crossentropy,
    categorical_crossentropy,
    categorical_hinge,
    hinge,
    huber,
    kl_divergence,
    log_cosh,
    loss,
    loss_backward,
    mean_absolute_error,
    mean_squared_error,
    poisson,
    quantile,
    smooth_labels,
    squared_hinge,
)
from fastnn._operands import Array, apart, known, matrix, output, real, rows_of, whole
from fastnn.kernels import activations as _activations
from fastnn.kernels import arrays as _arrays
from fastnn.kernels import optimizers as _optimizers
from fastnn.kernels.dense import dense_backward as _dense_backward
from fastnn.kernels.dense import dense_forward as _dense_forward
from fastnn.kernels.dense import dot
from fastnn.kernels.dense import quick_backward as _quick_backward
from fastnn.kernels.dense import quick_forward as _quick_forward

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

__all__ = [
    "activation",
    "activation_backward",
    "adagrad_step",
    "adam_step",
    "binary_crossentropy",
    "categorical_crossentropy",
    "categorical_hinge",
    "dense",
    "dense_backward",
    "dot",
    "dropout",
    "elu",
    "erf",
    "exp",
    "gelu",
    "gelu_tanh",
    "hard_sigmoid",
    "hard_swish",
    "hinge",
    "huber",
    "kl_divergence",
    "leaky_relu",
    "linear",
    "log",
    "log_cosh",
    "log_softmax",
    "loss",
    "loss_backward",
    "mean_absolute_error",
    "mean_squared_error",
    "mish",
    "optimizer_step",
    "poisson",
    "quantile",
    "relu",
    "relu6",
    "rmsprop_step",
    "selu",
    "sgd_step",
    "sigmoid",
    "silu",
    "smooth_labels",
    "softmax",
    "softplus",
    "squared_hinge",
    "step",
    "swish",
    "tanh",
]


# --- dense ---


def dense(
    x: ArrayLike,
    weights: ArrayLike,
    biases: ArrayLike,
    *,
    activation: str = "linear",
    alpha: float | None = None,
    save: bool = False,
    out: Array | None = None,
) -> Any:
    """f(x.weights + biases).

    Shapes: x (rows, n_in), weights (n_in, n_out), biases (n_out,) or (1, n_out); result (rows, n_out).
    alpha: the activation's parameter, of those that have one.
    save: return (result, saved), where saved is what ``dense_backward`` needs: the result, or the input of f.
    Raises ValueError for shapes that do not meet and unknown activations.
    """
    quick: Array = _quick_forward(x, weights, biases, activation, alpha, out)
    if quick is not NotImplemented:
        return (quick, quick) if save else quick
    activation, number = _named(activation, alpha)
    a = matrix("x", x)
    w, b = matrix("weights", weights, a.dtype), real("biases", biases, a.dtype).reshape(-1)
    if a.shape[1] != w.shape[0]:
        raise ValueError(f"x: expected shape (rows, {w.shape[0]}) to go with weights {w.shape}, got {a.shape}")
    if b.shape[0] != w.shape[1]:
        raise ValueError(f"biases: expected {w.shape[1]} values to go with weights {w.shape}, got {np.shape(biases)}")
    y = output(out, (a.shape[0], w.shape[1]), a.dtype)
    target = np.empty_like(y) if any(np.may_share_memory(y, other) for other in (a, w, b)) else y
    z = target if ACTIVATION_SAVES[activation] == "Y" else np.empty_like(target)
    if target.size:
        _dense_forward(target, z, a, w, b, activation, number)
    if target is not y:
        y[...] = target
        z = y if z is target else z
    return (y, z) if save else y


def dense_backward(
    dy: ArrayLike,
    x: ArrayLike,
    weights: ArrayLike,
    saved: ArrayLike | None = None,
    *,
    activation: str = "linear",
    alpha: float | None = None,
) -> tuple[Array, Array, Array]:
    """Gradients (dx, dweights, dbiases) of a dense layer from dy, the gradient of its output.

    Shapes: dy, saved (rows, n_out), x, dx (rows, n_in), weights, dweights (n_in, n_out), dbiases (1, n_out). saved:
    what ``dense(save=True)`` gave; not needed for linear. activation, alpha: as there. Source: the book, chapter 9.
    """
    quick: tuple[Array, Array, Array] = _quick_backward(dy, x, weights, saved, activation, alpha)
    if quick is not NotImplemented:
        return quick
    activation, _ = _named(activation, alpha)
    a = matrix("x", x)
    w, dz = matrix("weights", weights, a.dtype), matrix("dy", dy, a.dtype)
    if a.shape[1] != w.shape[0] or dz.shape != (a.shape[0], w.shape[1]):
        raise ValueError(
            f"dy: expected shape ({a.shape[0]}, {w.shape[1]}) to go with x {a.shape} and weights {w.shape}, "
            f"got {dz.shape}"
        )
    if activation != "linear":
        if saved is None:
            raise ValueError(f"saved: {activation} needs what dense(..., save=True) returned")
        dz = activation_backward(activation, dz, saved, alpha=alpha)
    dx, dw, db = np.empty_like(a), np.empty_like(w), np.empty(w.shape[1], a.dtype)
    if a.shape[0] and w.size:
        _dense_backward(dx, dw, db, dz, a, w)
    else:  # sums over nothing, but for the biases where there are only no inputs
        dx[:], dw[:], db[:] = 0, 0, dz.sum(axis=0)
    return dx, dw, db.reshape(1, -1)


# --- activations and the vector functions ---


def _named(name: str, alpha: float | None) -> tuple[str, float]:
    """An activation's kernel and the parameter to call it with."""
    name = known("activation", name, ACTIVATIONS)
    if alpha is None:
        return name, ACTIVATION_ALPHA.get(name, 0.0)
    if name not in ACTIVATION_ALPHA:
        raise ValueError(f"alpha: {name} has no parameter; those that have one: {', '.join(ACTIVATION_ALPHA)}")
    if not 0 <= alpha < float("inf"):
        raise ValueError(f"alpha: expected a number of at least 0, got {alpha!r}")
    return name, float(alpha)


def activation(name: str, x: ArrayLike, out: Array | None = None, *, alpha: float | None = None) -> Array:
    """f(x) by name, any that ``Dense(activation=)`` takes, for x of any shape; softmax over the last axis. ``out`` may
    be ``x``. alpha: the parameter of those that have one (leaky_relu 0.01, elu 1 unless said otherwise)."""
    quick: Array = _activations.quick(name, x, out, alpha)
    if quick is not NotImplemented:
        return quick
    name, number = _named(name, alpha)
    a = real("x", x)
    y = output(out, a.shape, a.dtype)
    if a.size:
        _activations.activation_forward(name, rows_of(y), rows_of(apart(a, y)), number)
    return y


def activation_backward(
    name: str, dy: ArrayLike, saved: ArrayLike, out: Array | None = None, *, alpha: float | None = None
) -> Array:
    """dy * f'(x) by name, from saved: f(x), or x for those whose ACTIVATION_SAVES is X. ``out`` may be ``dy``."""
    quick: Array = _activations.quick_backward(name, dy, saved, out, alpha)
    if quick is not NotImplemented:
        return quick
    name, number = _named(name, alpha)
    g = real("dy", dy)
    s = real("saved", saved, g.dtype)
    if s.shape != g.shape:
        raise ValueError(f"saved: expected shape {g.shape}, that of dy, got {s.shape}")
    dx = output(out, g.shape, g.dtype)
    if g.size:
        rows = rows_of(dx), rows_of(apart(g, dx)), rows_of(apart(s, dx))
        _activations.activation_backward(name, *rows, number)
    return dx


def _activation_function(name: str) -> Callable[..., Array]:
    def function(x: ArrayLike, out: Array | None = None) -> Array:
        return activation(name, x, out)

    def with_alpha(x: ArrayLike, alpha: float | None = None, out: Array | None = None) -> Array:
        return activation(name, x, out, alpha=alpha)

    if name in ACTIVATION_ALPHA:
        function = with_alpha  # type: ignore[assignment]
    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"The activation {name} of x of any shape; see ``fastnn.activations`` for its formula."
    return function


linear = _activation_function("linear")
step = _activation_function("step")
relu = _activation_function("relu")
relu6 = _activation_function("relu6")
leaky_relu = _activation_function("leaky_relu")
elu = _activation_function("elu")
selu = _activation_function("selu")
gelu = _activation_function("gelu")
gelu_tanh = _activation_function("gelu_tanh")
silu = swish = _activation_function("silu")
mish = _activation_function("mish")
softplus = _activation_function("softplus")
sigmoid = _activation_function("sigmoid")
hard_sigmoid = _activation_function("hard_sigmoid")
hard_swish = _activation_function("hard_swish")
tanh = _activation_function("tanh")
softmax = _activation_function("softmax")
log_softmax = _activation_function("log_softmax")


def __getattr__(name: str) -> Any:
    """An activation that is registered and not written out above."""
    if name in ACTIVATIONS:
        return _activation_function(name)
    raise AttributeError(f"module 'fastnn.functional' has no attribute {name!r}")


def _mapped(name: str, x: ArrayLike, out: Array | None) -> Array:
    done: Array = _activations.quick_map(name, x, out)
    if done is not NotImplemented:
        return done
    a = real("x", x)
    y = output(out, a.shape, a.dtype)
    if a.size:
        _activations.map_forward(name, y.reshape(-1), apart(a, y).reshape(-1))
    return y


def exp(x: ArrayLike, out: Array | None = None) -> Array:
    """e^x, at most 2 ulp from exact, the same bits on every instruction set of the contract."""
    return _mapped("exp", x, out)


def log(x: ArrayLike, out: Array | None = None) -> Array:
    """ln x, at most 2 ulp from exact; NaN below 0."""
    return _mapped("log", x, out)


def erf(x: ArrayLike, out: Array | None = None) -> Array:
    """The error function, at most 2 ulp from exact."""
    return _mapped("erf", x, out)


def dropout(x: ArrayLike, rate: float, *, seed: int, step: int = 1, stream: int = 0) -> tuple[Array, Array]:
    """(y, mask): y = x * mask, each element of mask 0 with probability ``rate`` (to a whole 65536th), else 1 / (1 -
    rate).

    The mask depends on (seed, stream, step) and the element's place alone. The gradient is dy * mask. Raises ValueError
    for a seed or step that 64 bits do not hold, or a stream of 65536 or more.
    """
    if not 0 <= rate < 1:
        raise ValueError(f"rate: expected the share to drop, at least 0 and below 1, got {rate!r}")
    seed, step = whole("seed", seed, 0, 2**64 - 1), whole("step", step, 0, 2**64 - 1)
    stream = whole("stream", stream, 0, 2**16 - 1)
    a = real("x", x)
    y, mask = np.empty_like(a), np.empty_like(a)
    if a.size:
        _arrays.dropout_forward(y.reshape(-1), mask.reshape(-1), a.reshape(-1), rate, seed, stream, step)
    return y, mask


# --- optimizers ---


def optimizer_step(
    name: str,
    w: Array,
    g: ArrayLike,
    states: Sequence[Array],
    *,
    learning_rate: float,
    parameters: Sequence[float] = (),
    t: int = 1,
) -> None:
    """One update of ``w`` and ``states`` in place, by name. Arrays of one shape and type, C-contiguous and writeable,
    none over another (but for g, which is copied then); parameters in the order of csrc/kernels/optimizers.h; t is the
    number of the step, from 1."""
    _step(name, w, g, tuple(states), (), learning_rate, tuple(parameters), t)


def _step(
    name: str,
    w: Array,
    g: ArrayLike,
    states: tuple[Array, ...],
    labels: tuple[str, ...],
    learning_rate: float,
    parameters: tuple[float, ...],
    t: int = 1,
) -> None:
    """labels: what the states are called in messages, unless states[0] and so on."""
    if _optimizers.quick_steps(name, ((w, g, states),), learning_rate, parameters, t):
        return
    known("optimizer", name, OPTIMIZERS)
    if len(states) != OPTIMIZER_STATES[name]:
        raise ValueError(f"states: {name} has {OPTIMIZER_STATES[name]}, got {len(states)}")
    t = whole("t", t, 1, 2**64 - 1)
    labels = labels or tuple(f"states[{i}]" for i in range(len(states)))
    seen: dict[str, Array] = {}
    for label, array in zip(("w", *labels), (w, *states), strict=True):
        if not isinstance(array, np.ndarray) or array.dtype not in (np.float32, np.float64):
            raise TypeError(f"{label}: expected a float32 or float64 array")
        output(array, w.shape, w.dtype, label)
        for other, before in seen.items():
            if np.may_share_memory(array, before):
                raise ValueError(f"{label}: expected memory of its own, and it lies over {other}")
        seen[label] = array
    gradient = real("g", g, w.dtype)
    if gradient.shape != w.shape:
        raise ValueError(f"g: expected shape {w.shape}, that of w, got {gradient.shape}")
    if any(np.may_share_memory(gradient, array) for array in seen.values()):
        gradient = gradient.copy()
    flat = [s.reshape(-1) for s in states] + [None] * 3
    if w.size:
        _optimizers.optimizer_step(
            name, w.reshape(-1), gradient.reshape(-1), flat[0], flat[1], learning_rate, parameters, t, flat[2]
        )


def sgd_step(
    w: Array, g: ArrayLike, velocity: Array | None = None, *, learning_rate: float, momentum: float = 0.0
) -> None:
    """w -= lr g; with ``velocity``, v = momentum v - lr g and w += v. In place. ValueError for a momentum without."""
    if velocity is None and momentum:
        raise ValueError("velocity: expected an array like w, in which a momentum is kept, got None")
    if velocity is None:
        _step("sgd", w, g, (), (), learning_rate, ())
    else:
        _step("momentum", w, g, (velocity,), ("velocity",), learning_rate, (momentum,))


def adagrad_step(w: Array, g: ArrayLike, cache: Array, *, learning_rate: float, epsilon: float = 1e-7) -> None:
    """c += g^2, w -= lr g / (sqrt(c) + epsilon). In place."""
    _step("adagrad", w, g, (cache,), ("cache",), learning_rate, (epsilon,))


def rmsprop_step(
    w: Array, g: ArrayLike, cache: Array, *, learning_rate: float, rho: float = 0.9, epsilon: float = 1e-7
) -> None:
    """c = rho c + (1 - rho) g^2, w -= lr g / (sqrt(c) + epsilon). In place."""
    _step("rmsprop", w, g, (cache,), ("cache",), learning_rate, (rho, epsilon))


def adam_step(
    w: Array,
    g: ArrayLike,
    m: Array,
    v: Array,
    t: int,
    *,
    learning_rate: float = 0.001,
    beta_1: float = 0.9,
    beta_2: float = 0.999,
    epsilon: float = 1e-7,
) -> None:
    """Adam's step number t (from 1) on w, with moments m and v. In place. Source: Kingma and Ba 2015."""
    _step("adam", w, g, (m, v), ("m", "v"), learning_rate, (beta_1, beta_2, epsilon), t)
