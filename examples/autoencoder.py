"""A picture of 784 pixels through 16 numbers and back: an autoencoder, set beside the best that any linear map can do.

The principal components of the training pictures (Pearson 1901) give the least squared error of all linear codes of
their length; the network's bends do better (Hinton and Salakhutdinov 2006).

python examples/autoencoder.py [EPOCHS]     FASTNN_DATA names a folder with Fashion-MNIST; else it is downloaded
"""

import sys

import numpy as np

from fastnn import Dense, Model, data, optimizers
from fastnn.schedules import CosineDecay

CODE, BATCH = 16, 128
epochs = int(sys.argv[1]) if len(sys.argv) > 1 else 20
(pixels, _), (pixels_test, _) = data.fashion_mnist()
X, X_test = (p.astype(np.float32) / 255 for p in (pixels, pixels_test))

model = Model(
    [
        Dense(784, 128, activation="relu"),
        Dense(CODE),  # the code
        Dense(128, activation="relu"),
        Dense(784, activation="sigmoid"),
    ],
    seed=0,
)
rate = CosineDecay(2e-3, decay_steps=epochs * -(-len(X) // BATCH))
model.set(loss="mean_squared_error", optimizer=optimizers.Adam(learning_rate=rate), accuracy=None)
model.train(X, X, epochs=epochs, batch_size=BATCH, shuffle=True)  # the targets are the inputs
by_network = model.evaluate(X_test, X_test).loss

# the halves are models of their own: the weights are arrays like any others
encoder, decoder = Model(seed=0), Model(seed=0)
for half, layers in ((encoder, model.layers[:2]), (decoder, model.layers[2:])):
    for layer in layers:
        half.add(Dense(layer.n_in, layer.n_out, activation=layer.activation))
    half.finalize()
    half.set_parameters([(layer.weights, layer.biases) for layer in layers])
codes = encoder.predict(X_test)
assert np.array_equal(decoder.predict(codes), model.predict(X_test))  # to the bit

mean = X.mean(axis=0)
_, directions = np.linalg.eigh(np.cov((X - mean).T))
components = directions[:, -CODE:]
by_components = np.mean(((X_test - mean) @ components @ components.T + mean - X_test) ** 2)

print(f"squared error of a pixel on new pictures, {CODE} numbers a picture")
print(f"principal components {by_components:.4f}, network {by_network:.4f}")
