"""One sample at a time, from a stream that changes its mind: online learning.

A point comes, the model says which class, is told, and takes one step: each answer is a test on what was never seen
before ("prequential" evaluation, Dawid 1984). Half way the spiral is turned by a right angle; a model that was trained
once keeps being wrong, one that goes on learning recovers.

python examples/online.py [SAMPLES]
"""

import sys
import time

import numpy as np

from fastnn import Dense, Model, data, optimizers

samples = int(sys.argv[1]) if len(sys.argv) > 1 else 40_000
X, y = data.spiral(samples=samples // 2, classes=2, seed=0)
order = np.random.default_rng(0).permutation(len(X))
X, y = X[order], y[order]
half = len(X) // 2
X[half:] = X[half:, ::-1] * np.float32([1, -1])  # the world turns


def answers(go_on_after_half: bool) -> np.ndarray:
    """Whether each answer was right."""
    model = Model(seed=0)
    for layer in (Dense(2, 64, activation="relu"), Dense(64, activation="relu"), Dense(2, activation="softmax")):
        model.add(layer)
    model.set(loss="categorical_crossentropy", optimizer=optimizers.Adam(learning_rate=1e-3))
    right = np.zeros(len(X), bool)
    began = time.perf_counter()
    for i in range(len(X)):
        right[i] = model.predict(X[i : i + 1])[0].argmax() == y[i]
        if i < half or go_on_after_half:
            model.train_on_batch(X[i : i + 1], y[i : i + 1])
    print(f"{(time.perf_counter() - began) / len(X) * 1e6:.0f} us a sample")
    return right


eighth = len(X) // 8
for go_on in (False, True):
    right = answers(go_on)
    shares = "  ".join(f"{right[i : i + eighth].mean():.2f}" for i in range(0, eighth * 8, eighth))
    print(f"{'learns all the time' if go_on else 'learns up to half  '}  right, by eighths: {shares}")
