"""A program of *Neural Networks from Scratch*, in the manner of its chapter 19: only the imports name fastnn.

python examples/nnfs_spiral.py [EPOCHS]
"""

import sys

import numpy as np

import fastnn.nnfs as nnfs
from fastnn.nnfs import (
    Accuracy_Categorical,
    Activation_ReLU,
    Activation_Softmax,
    Layer_Dense,
    Layer_Dropout,
    Loss_CategoricalCrossentropy,
    Model,
    Optimizer_Adam,
)
from fastnn.nnfs.datasets import spiral_data

epochs = int(sys.argv[1]) if len(sys.argv) > 1 else 100
nnfs.init()  # the book's seed: its weights, its masks, its points

X, y = spiral_data(samples=1000, classes=3)
X_test, y_test = spiral_data(samples=100, classes=3)
keys = np.arange(len(X))
np.random.shuffle(keys)
X, y = X[keys], y[keys]

model = Model()
model.add(Layer_Dense(2, 128, weight_regularizer_l2=1e-5, bias_regularizer_l2=1e-5))
model.add(Activation_ReLU())
model.add(Layer_Dropout(0.05))
model.add(Layer_Dense(128, 3))
model.add(Activation_Softmax())
model.set(
    loss=Loss_CategoricalCrossentropy(),
    optimizer=Optimizer_Adam(learning_rate=0.02, decay=5e-4),
    accuracy=Accuracy_Categorical(),
)
model.finalize()
model.train(X, y, validation_data=(X_test, y_test), epochs=epochs, batch_size=128, print_every=1000)

confidences = model.predict(X_test[::60])
print(model.output_layer_activation.predictions(confidences))
