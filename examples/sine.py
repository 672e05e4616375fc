"""Regression on a sine, as in the book's chapter 17: one number in, one number out.

python examples/sine.py [EPOCHS]
"""

import sys

import numpy as np

from fastnn import Dense, Model, data, optimizers

epochs = int(sys.argv[1]) if len(sys.argv) > 1 else 3000
X, y = data.sine(samples=1000)

model = Model([Dense(1, 64, activation="relu"), Dense(64, activation="relu"), Dense(1)], seed=0)
model.set(loss="mean_squared_error", optimizer=optimizers.Adam(learning_rate=0.005, decay=1e-3))
model.train(X, y, epochs=epochs)  # the full batch, the book's default

print(f"mean squared error {model.evaluate(X, y).loss:.2e}")
print(f"largest error {np.abs(model.predict(X) - y).max():.3f}")
