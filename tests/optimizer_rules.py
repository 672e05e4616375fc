"""The rules of the optimizers in float64 NumPy, each from its paper: nothing here asks fastnn for a formula.

``RULES[kernel](o, w, g, s, t, lr)`` gives w after step t = 1, 2, ... along the gradient g. o has the rule's numbers
under the names of fastnn's options (an optimizer, or anything else that has them); s, arrays that begin at 0, is
brought up to the step.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from compare import Array

Rule = Callable[[Any, Array, Array, list[Array], int, float], Array]


def sgd(o: Any, w: Array, g: Array, s: list[Array], t: int, lr: float) -> Array:
    return w - lr * g


def momentum(o: Any, w: Array, g: Array, s: list[Array], t: int, lr: float) -> Array:
    """Sutskever et al. 2013, equations 1 and 2: v_t = mu v_(t-1) - lr g(w_(t-1)); w_t = w_(t-1) + v_t."""
    s[0] *= o.momentum
    s[0] -= lr * g
    return w + s[0]


def nesterov(o: Any, w: Array, g: Array, s: list[Array], t: int, lr: float) -> Array:
    """Sutskever et al. 2013, equations 3 and 4, whose gradient is taken at theta + mu v: w stands for that point, so
    that theta = w - mu v before the step, and w = theta + mu v after it."""
    theta = w - o.momentum * s[0]
    s[0][:] = o.momentum * s[0] - lr * g
    theta = theta + s[0]
    return np.asarray(theta + o.momentum * s[0])


def adagrad(o: Any, w: Array, g: Array, s: list[Array], t: int, lr: float) -> Array:
    """Duchi, Hazan and Singer 2011, figure 1, its diagonal form: the sum of the squares of all gradients so far."""
    s[0] += g * g
    return w - lr / (s[0] ** 0.5 + o.epsilon) * g


def rmsprop(o: Any, w: Array, g: Array, s: list[Array], t: int, lr: float) -> Array:
    """Tieleman and Hinton 2012, slide 29: the gradient over the root of a running mean of its square."""
    s[0] += (1 - o.rho) * (g * g - s[0])
    return w - lr / (s[0] ** 0.5 + o.epsilon) * g


def _moments(o: Any, g: Array, s: list[Array], t: int) -> tuple[Array, Array]:
    """Kingma and Ba 2015, algorithm 1: m and v, s brought up to them, each over its sum of weights
    (1 - beta) (1 + beta + ... + beta^(t-1)), of which the paper has the closed form."""
    for mean, beta, new in ((s[0], o.beta_1, g), (s[1], o.beta_2, g * g)):
        mean += (1 - beta) * (new - mean)
    return s[0] / _weight(o.beta_1, t), s[1] / _weight(o.beta_2, t)


def _weight(beta: float, t: int) -> float:
    return (1 - beta) * sum(beta**i for i in range(t))


def adam(o: Any, w: Array, g: Array, s: list[Array], t: int, lr: float) -> Array:
    m, v = _moments(o, g, s, t)
    return w - lr * m / (v**0.5 + o.epsilon)


def amsgrad(o: Any, w: Array, g: Array, s: list[Array], t: int, lr: float) -> Array:
    """Reddi, Kale and Kumar 2018, algorithm 2, with Adam's corrections, after the maximum."""
    m, _ = _moments(o, g, s, t)
    np.maximum(s[2], s[1], out=s[2])
    return w - lr * m / ((s[2] / _weight(o.beta_2, t)) ** 0.5 + o.epsilon)


def adamw(o: Any, w: Array, g: Array, s: list[Array], t: int, lr: float) -> Array:
    """Loshchilov and Hutter 2019, algorithm 2, line 12, the rate in the place of eta alpha and eta."""
    m, v = _moments(o, g, s, t)
    return w - lr * (m / (v**0.5 + o.epsilon) + o.weight_decay * w)


def nadam(o: Any, w: Array, g: Array, s: list[Array], t: int, lr: float) -> Array:
    """Dozat 2016, algorithm 2, with one mu for all steps, and Adam's v: the momentum of the next step is taken already,
    over the product of the mus up to there; the gradient itself over the product up to here."""
    _, v = _moments(o, g, s, t)
    mu = [o.beta_1] * (t + 1)
    ahead = mu[t] * s[0] / (1 - np.prod(mu)) + (1 - mu[t - 1]) * g / (1 - np.prod(mu[:t]))
    return np.asarray(w - lr * ahead / (v**0.5 + o.epsilon))


def lion(o: Any, w: Array, g: Array, s: list[Array], t: int, lr: float) -> Array:
    """Chen et al. 2023, algorithm 2: the update is a sign, by beta_1; the momentum is kept by beta_2, after it."""
    update = np.sign(o.beta_1 * s[0] + (1 - o.beta_1) * g)
    w = w - lr * (update + o.weight_decay * w)
    s[0] += (1 - o.beta_2) * (g - s[0])
    return w


RULES: dict[str, Rule] = {
    rule.__name__: rule
    for rule in (sgd, momentum, nesterov, adagrad, rmsprop, adam, amsgrad, adamw, nadam, lion)
}  # fmt: skip
