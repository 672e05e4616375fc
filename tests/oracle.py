"""Whole networks in float64 NumPy, from the formulas alone: nothing here calls a kernel of fastnn.

A network is read from the model's description (its layers) and runs forward, backward and through the
optimizer's rule. Derivatives are written out for the activations and losses of the book and taken by differences for
any other.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from compare import Array, gradient
from norm_formulas import moments, normalize, normalize_backward
from optimizer_rules import RULES

from fastnn import BatchNorm, Dense, Dropout, Input, LayerNorm, Model, Normalization, Rescale
from fastnn._core import ACTIVATION_SHAPE
from fastnn.activations import Activation
from fastnn.losses import CLIP

Params = dict[tuple[int, str], Array]

# dy * f'(x), from x and y = f(x)
DERIVATIVES: dict[str, Callable[[Array, Array, Array], Array]] = {
    "linear": lambda dy, x, y: dy,
    "step": lambda dy, x, y: 0 * dy,
    "relu": lambda dy, x, y: dy * (x > 0),
    "sigmoid": lambda dy, x, y: dy * y * (1 - y),
    "tanh": lambda dy, x, y: dy / np.cosh(x) ** 2,
    "softmax": lambda dy, x, y: y * (dy - (dy * y).sum(axis=1, keepdims=True)),
}


def _clipped(p: Array) -> Array:
    return np.clip(p, CLIP, 1 - CLIP)


def _softmax(z: Array) -> Array:
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return np.asarray(e / e.sum(axis=1, keepdims=True))


def _categorical_hinge(p: Array, t: Array) -> Array:
    wrong = (1 - t) * p
    worst = np.eye(p.shape[1])[wrong.argmax(axis=1)]
    beyond = 1 + wrong.max(axis=1, keepdims=True) - (t * p).sum(axis=1, keepdims=True) > 0
    return np.asarray(beyond * (worst * (1 - t) - t))


# d(mean over rows) / dp, of a loss object
LOSS_GRADIENTS: dict[str, Callable[[Any, Array, Array], Array]] = {
    "categorical_crossentropy": lambda loss, p, t: -t / _clipped(p) / len(p),
    "categorical_crossentropy_logits": lambda loss, p, t: (_softmax(p) * t.sum(axis=1, keepdims=True) - t) / len(p),
    "categorical_hinge": lambda loss, p, t: _categorical_hinge(p, t) / len(p),
    "binary_crossentropy": lambda loss, p, t: ((1 - t) / (1 - _clipped(p)) - t / _clipped(p)) / p.size,
    "binary_crossentropy_logits": lambda loss, p, t: (1 / (1 + np.exp(-p)) - t) / p.size,
    "kl_divergence": lambda loss, p, t: -t / _clipped(p) / len(p),
    "mean_squared_error": lambda loss, p, t: 2 * (p - t) / p.size,
    "mean_absolute_error": lambda loss, p, t: np.sign(p - t) / p.size,
    "huber": lambda loss, p, t: np.clip(p - t, -loss.delta, loss.delta) / p.size,
    "log_cosh": lambda loss, p, t: np.tanh(p - t) / p.size,
    "quantile": lambda loss, p, t: np.where(p < t, -loss.q, np.where(p > t, 1 - loss.q, 0)) / p.size,
    "poisson": lambda loss, p, t: (1 - t / np.maximum(p, CLIP)) / p.size,
    "hinge": lambda loss, p, t: np.where(1 - t * p > 0, -t, 0) / p.size,
    "squared_hinge": lambda loss, p, t: -2 * t * np.maximum(1 - t * p, 0) / p.size,
}


def activation_backward(activation: Activation, dy: Array, x: Array, y: Array) -> Array:
    if activation.kernel in DERIVATIVES:
        return DERIVATIVES[activation.kernel](dy, x, y)
    if ACTIVATION_SHAPE[activation.kernel] == "R":
        return gradient(lambda v: float((dy * activation.formula(v)).sum()), x)
    h = 1e-3  # elementwise: the differences of all elements at once
    steps = ((-2, 1 / 12), (-1, -8 / 12), (1, 8 / 12), (2, -1 / 12))
    slope: Array = sum(weight * activation.formula(x + step * h) / h for step, weight in steps)
    return dy * slope


class Network:
    """The float64 double of a finalized model, with weights of its own."""

    def __init__(self, model: Model) -> None:
        self.model = model
        assert model.loss is not None
        self.loss_object: Any = model.loss
        self.params: Params = {}
        for index, layer in enumerate(model.layers):
            if isinstance(layer, Dense):
                self.params[index, "weights"] = layer.weights.astype(np.float64)
                self.params[index, "biases"] = layer.biases.astype(np.float64)
            elif isinstance(layer, (BatchNorm, LayerNorm)):
                if layer.scale:
                    self.params[index, "gamma"] = layer.gamma.astype(np.float64)
                if layer.center:
                    self.params[index, "beta"] = layer.beta.astype(np.float64)
            else:
                assert isinstance(layer, (Activation, Rescale, Input, Dropout, Normalization)), layer
        # of BatchNorm, which training moves
        self.moving = {
            i: [layer.moving_mean.astype(np.float64), layer.moving_variance.astype(np.float64)]
            for i, layer in enumerate(model.layers)
            if isinstance(layer, BatchNorm)
        }
        self.states: list[Params] = []

    def _gamma_beta(self, index: int) -> tuple[Any, Any]:
        return self.params.get((index, "gamma"), 1.0), self.params.get((index, "beta"), 0.0)

    def forward(self, X: Array, training: bool = True) -> tuple[Array, list[tuple[Array, Array, Array]]]:
        """(predictions, [(input, before the activation, output) of each layer])."""
        x, tape = np.asarray(X, np.float64), []
        for index, layer in enumerate(self.model.layers):
            z = x
            if isinstance(layer, Dense):
                z = x @ self.params[index, "weights"] + self.params[index, "biases"]
                y = layer.activation.formula(z)
            elif isinstance(layer, Activation):
                y = layer.formula(x)
            elif isinstance(layer, Rescale):
                y = x * layer.scale + layer.offset
            elif isinstance(layer, BatchNorm) and not training:
                mean, variance = self.moving[index]
                gamma, beta = self._gamma_beta(index)
                y = (x - mean) / np.sqrt(variance + layer.epsilon) * gamma + beta
            elif isinstance(layer, (BatchNorm, LayerNorm)):
                y = normalize(x, int(isinstance(layer, LayerNorm)), layer.epsilon, *self._gamma_beta(index))
            elif isinstance(layer, Normalization):
                y = (x - layer.mean) / np.sqrt(np.where(layer.variance == 0, 1.0, layer.variance))
            else:
                y = x
            tape.append((x, z, y))
            x = y
        return x, tape

    def targets(self, y: Array, cols: int) -> Array:
        y = np.asarray(y)
        t = np.eye(cols)[y] if y.ndim == 1 and cols > 1 else y.reshape(-1, cols).astype(np.float64)
        keep, floor = self.loss_object.smoothing(cols)
        return t * keep + floor

    def penalty(self) -> float:
        total = 0.0
        for (index, name), w in self.params.items():
            if not isinstance(self.model.layers[index], Dense):
                continue
            l1, l2 = self._strengths(index, name)
            total += l1 * float(np.abs(w).sum()) + l2 * float((w**2).sum())
        return total

    def _strengths(self, index: int, name: str) -> tuple[float, float]:
        layer: Any = self.model.layers[index]
        kind = "weight" if name == "weights" else "bias"
        return getattr(layer, f"{kind}_regularizer_l1"), getattr(layer, f"{kind}_regularizer_l2")

    def loss(self, X: Array, y: Array) -> float:
        p, _ = self.forward(X)
        return float(self.loss_object.formula(p, self.targets(y, p.shape[1])).mean()) + self.penalty()

    def gradients(self, X: Array, y: Array) -> Params:
        """Of the mean loss and the penalties, by every parameter."""
        p, tape = self.forward(X)
        t = self.targets(y, p.shape[1])
        if self.loss_object.kernel in LOSS_GRADIENTS:
            d = LOSS_GRADIENTS[self.loss_object.kernel](self.loss_object, p, t)
        else:
            d = gradient(lambda v: float(self.loss_object.formula(v, t).mean()), p)
        grads: Params = {}
        for index in reversed(range(len(tape))):
            layer, (x, z, out) = self.model.layers[index], tape[index]
            if isinstance(layer, Dense):
                d = activation_backward(layer.activation, d, z, out)
                grads[index, "weights"], grads[index, "biases"] = x.T @ d, d.sum(axis=0, keepdims=True)
                for name in ("weights", "biases"):
                    (l1, l2), w = self._strengths(index, name), self.params[index, name]
                    grads[index, name] += l1 * np.where(w < 0, -1.0, 1.0) + 2 * l2 * w
                d = d @ self.params[index, "weights"].T
            elif isinstance(layer, Activation):
                d = activation_backward(layer, d, x, out)
            elif isinstance(layer, Rescale):
                d = d * layer.scale
            elif isinstance(layer, (BatchNorm, LayerNorm)):
                axis, gamma = int(isinstance(layer, LayerNorm)), self._gamma_beta(index)[0]
                d, dgamma, dbeta = normalize_backward(d, x, axis, layer.epsilon, gamma)
                if layer.scale:
                    grads[index, "gamma"] = dgamma.reshape(1, -1)
                if layer.center:
                    grads[index, "beta"] = dbeta.reshape(1, -1)
            elif isinstance(layer, Normalization):
                d = d / np.sqrt(np.where(layer.variance == 0, 1.0, layer.variance))
        return grads

    def train_step(self, X: Array, y: Array, t: int) -> None:
        """Step number t (from 1) of the model's optimizer."""
        optimizer = self.model.optimizer_object
        if not self.states:
            zeros = {key: np.zeros_like(w) for key, w in self.params.items()}
            self.states = [{k: v.copy() for k, v in zeros.items()} for _ in range(optimizer.state_count)]
        rule = RULES[optimizer.kernel]
        rate = optimizer.learning_rate / (1 + optimizer.decay * (t - 1))
        tape = self.forward(X)[1]
        for index, moving in self.moving.items():
            momentum = self.model.layers[index].momentum  # type: ignore[attr-defined]
            self.moving[index] = [
                momentum * old + (1 - momentum) * new
                for old, new in zip(moving, moments(tape[index][0], 0), strict=True)
            ]
        for key, g in self.gradients(X, y).items():
            self.params[key] = rule(optimizer, self.params[key], g, [s[key] for s in self.states], t, rate)
