"""A network written from the kernels alone, as the book's first chapters write it in NumPy: forward, loss, backward,
update by hand.

python examples/from_kernels.py [STEPS]
"""

import sys

import numpy as np

import fastnn.functional as F
from fastnn import data

steps = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
X, y = data.spiral(samples=100, classes=3, seed=0)

rng = np.random.default_rng(0)
weights = [0.1 * rng.standard_normal(shape).astype(np.float32) for shape in ((2, 64), (64, 3))]
biases = [np.zeros((1, n), np.float32) for n in (64, 3)]
parameters = [*weights, *biases]
moments = [(np.zeros_like(p), np.zeros_like(p)) for p in parameters]

for t in range(1, steps + 1):
    hidden = F.dense(X, weights[0], biases[0], activation="relu")
    probabilities = F.dense(hidden, weights[1], biases[1], activation="softmax")

    d_logits = F.loss_backward("categorical_crossentropy", probabilities, y, merged=True)
    d_hidden, d_w1, d_b1 = F.dense_backward(d_logits, hidden, weights[1])
    _, d_w0, d_b0 = F.dense_backward(d_hidden, X, weights[0], hidden, activation="relu")

    for p, g, (m, v) in zip(parameters, (d_w0, d_w1, d_b0, d_b1), moments, strict=True):
        F.adam_step(p, g, m, v, t, learning_rate=0.02)

    if t == 1 or t % (steps // 4 or 1) == 0:
        loss = F.categorical_crossentropy(probabilities, y).mean()
        print(f"step {t:5}  loss {loss:.3f}  accuracy {(probabilities.argmax(1) == y).mean():.3f}")
