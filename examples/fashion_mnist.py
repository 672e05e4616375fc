"""Clothes in ten classes, as in the book's chapters 19 to 22, from the pixels to a saved model.

The pictures stay uint8, a quarter of the memory: ``Rescale`` scales them while the engine gathers a batch.

python examples/fashion_mnist.py [EPOCHS]     FASTNN_DATA names a folder with the four files; else they are downloaded
"""

import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from fastnn import Dense, Model, Rescale, data, optimizers
from fastnn.callbacks import EarlyStopping

epochs = int(sys.argv[1]) if len(sys.argv) > 1 else 10
(X, y), (X_test, y_test) = data.fashion_mnist()

model = Model(
    [
        Rescale(1 / 127.5, -1),  # 0 to 255 becomes -1 to 1
        Dense(784, 128, activation="relu"),
        Dense(128, activation="relu"),
        Dense(10, activation="softmax"),
    ],
    seed=0,
)
model.set(loss="categorical_crossentropy", optimizer=optimizers.Adam(learning_rate=1e-3, decay=1e-3))

began = time.perf_counter()
model.train(
    X, y, epochs=epochs, batch_size=128, shuffle=True, validation_split=0.1,
    callbacks=[EarlyStopping(monitor="val_loss", patience=3, restore_best=True)],
)  # fmt: skip
print(f"{len(model.history)} epochs in {time.perf_counter() - began:.1f} s")
print(f"held-out accuracy {model.evaluate(X_test, y_test).accuracy:.3f}")

with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "clothes.fnn"
    model.save(path)
    again = Model.load(path)
    print(f"{path.stat().st_size / 1e6:.1f} MB on disk, with the optimizer's state: it could go on training")

probabilities = again.predict(X_test)
wrong = probabilities.argmax(axis=1) != y_test
for row in np.flatnonzero(wrong)[np.argsort(-probabilities[wrong].max(axis=1))[:3]]:
    told = probabilities[row].argmax()
    print(
        f"test picture {row}: surely ({probabilities[row, told]:.2f}) a {data.FASHION_MNIST_CLASSES[told]}, "
        f"in truth a {data.FASHION_MNIST_CLASSES[y_test[row]]}"
    )
