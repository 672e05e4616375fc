"""JAX: a jitted step called from a Python loop, and the whole run in one ``lax.scan``. Adam is written out here."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fastnn._bench.case import Array, Call
from fastnn._bench.steps import Net
from fastnn._bench.workload import Learner, NotExpressibleError, Peer

BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-7


def logits(net: Net, params: Any, X: Any, key: Any = None) -> Any:
    for i, (w, b) in enumerate(params):
        if i:
            X = jnp.maximum(X, 0)
        if i and net.dropout and key is not None:
            kept = jax.random.bernoulli(jax.random.fold_in(key, i), 1 - net.dropout, X.shape)
            X = jnp.where(kept, X / (1 - net.dropout), 0)
        X = X @ w + b
    return X


def step(net: Net, state: Any, batch: Any) -> Any:
    """One step: (state, data loss)."""
    params, m, v, t = state
    X, y = batch

    def loss(params: Any) -> Any:
        log_p = jax.nn.log_softmax(logits(net, params, X, jax.random.fold_in(jax.random.key(0), t)))
        data_loss = -jnp.mean(jnp.take_along_axis(log_p, y[:, None], 1))
        penalty = net.l2 * sum(jnp.sum(p * p) for p in params[0]) if net.l2 else 0.0
        return data_loss + penalty, data_loss

    gradients, data_loss = jax.grad(loss, has_aux=True)(params)
    rate = net.learning_rate / (1 + net.decay * t)
    t = t + 1
    correct_1, correct_2 = (-jnp.expm1(t * math.log(beta)) for beta in (BETA_1, BETA_2))  # 1 - beta^t, to all digits
    m = jax.tree.map(lambda m, g: BETA_1 * m + (1 - BETA_1) * g, m, gradients)
    v = jax.tree.map(lambda v, g: BETA_2 * v + (1 - BETA_2) * g * g, v, gradients)
    params = jax.tree.map(
        lambda w, m, v: w - rate * (m / correct_1) / (jnp.sqrt(v / correct_2) + EPSILON), params, m, v
    )
    return (params, m, v, t), data_loss


@partial(jax.jit, static_argnums=0, donate_argnums=1)
def one_step(net: Net, state: Any, batch: Any) -> Any:
    return step(net, state, batch)


@partial(jax.jit, static_argnums=(0, 3), donate_argnums=1)
def all_steps(net: Net, state: Any, batches: Any, epochs: int) -> Any:
    if epochs == 1:
        return jax.lax.scan(partial(step, net), state, batches)
    return jax.lax.scan(lambda s, _: jax.lax.scan(partial(step, net), s, batches), state, length=epochs)


@partial(jax.jit, static_argnums=0)
def probabilities(net: Net, params: Any, X: Any) -> Any:
    return jax.nn.softmax(logits(net, params, X))


class JitLearner(Learner):
    def restart(self) -> None:
        params = [(jnp.array(w), jnp.array(b)) for w, b in self.net.parameters()]
        zeros = [jax.tree.map(jnp.zeros_like, params) for _ in range(2)]
        self.state = (params, *zeros, jnp.zeros((), jnp.float32))

    def feed(self, X: Array, y: Array) -> Any:
        X, y = jnp.asarray(X), jnp.asarray(y)
        starts = range(0, len(X), self.net.batch)
        return [(X[i : i + self.net.batch], y[i : i + self.net.batch]) for i in starts]

    def run(self, data: Any, epochs: int) -> Any:
        losses = []
        for _ in range(epochs):
            for batch in data:
                self.state, loss = one_step(self.net, self.state, batch)
                losses.append(loss)
        jax.block_until_ready(self.state)
        return np.array(jax.device_get(losses))

    def predict(self, X: Array) -> Array:
        return np.asarray(probabilities(self.net, self.state[0], X))


class ScanLearner(JitLearner):
    def feed(self, X: Array, y: Array) -> Any:
        batches, rest = divmod(len(X), self.net.batch)
        if rest:
            raise NotExpressibleError("a last batch of another size")
        return jnp.asarray(X).reshape(batches, self.net.batch, -1), jnp.asarray(y).reshape(batches, self.net.batch)

    def run(self, data: Any, epochs: int) -> Any:
        self.state, losses = all_steps(self.net, self.state, data, epochs)
        return np.asarray(jax.block_until_ready((losses, self.state))[0]).reshape(-1)


class JaxJit(Peer):
    name, library, distribution = "jax.jit", "jax", "jax"

    def learner(self, net: Net) -> Learner:
        return JitLearner(net)

    def activation(self, name: str, x: Array) -> Call:
        known = {"exp": jnp.exp, "tanh": jnp.tanh, "sigmoid": jax.nn.sigmoid, "relu": jax.nn.relu,
                 "softmax": jax.nn.softmax, "gelu": partial(jax.nn.gelu, approximate=False),
                 "gelu_tanh": jax.nn.gelu}  # fmt: skip
        if name not in known:
            raise NotExpressibleError(name)
        function, given = jax.jit(known[name]), jnp.asarray(x)
        return lambda: function(given).block_until_ready()


class JaxScan(JaxJit):
    name = "jax.scan"

    def learner(self, net: Net) -> Learner:
        return ScanLearner(net)

    def predictor(self, net: Net) -> Callable[[Array], Array]:
        raise NotExpressibleError("a prediction has no steps")

    def activation(self, name: str, x: Array) -> Call:
        raise NotExpressibleError("an activation has no steps")
