"""The book's Fashion-MNIST model on the real images: it learns, and the same bits whatever runs it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from compare import assert_same_bits, use

from fastnn import Dense, Model, Rescale, _core, data
from fastnn.optimizers import Adam


def book_model(seed: int, initializer: str = "he_normal") -> Model:
    layers = [Rescale(1 / 127.5, -1)] + [
        Dense(n, activation=a, weight_initializer=initializer)
        for n, a in ((128, "relu"), (128, "relu"), (10, "softmax"))
    ]
    model = Model(layers, seed=seed)
    model.set(loss="categorical_crossentropy", optimizer=Adam(1e-3, decay=1e-3))
    return model


@pytest.mark.parametrize(("initializer", "shuffle", "least"), [("he_normal", True, 0.85), ("book", False, 0.8)])
def test_the_books_model_learns_the_images_in_two_epochs(
    initializer: str, shuffle: bool, least: float, fashion_mnist_dir: Path
) -> None:
    (X, y), (Xt, yt) = data.fashion_mnist(data_dir=fashion_mnist_dir)
    model = book_model(0, initializer)
    model.train(X, y, epochs=2, batch_size=128, shuffle=shuffle, validation_data=(Xt, yt))
    assert model.history["val_accuracy"][-1] >= least
    assert model.evaluate(Xt, yt).accuracy == np.mean(model.predict(Xt).argmax(axis=1) == yt)


def test_real_images_train_the_same_bits_on_every_table(fashion_mnist_dir: Path) -> None:
    (X, y), (Xt, _) = data.fashion_mnist(data_dir=fashion_mnist_dir)
    results = []
    for isa in set(_core.available_isas()) - {"sse2"}:
        with use(isa):
            model = book_model(1)
            model.train(X[:2000], y[:2000], batch_size=100, shuffle=True)
            results.append((model.plan.params.copy(), model.predict(Xt[:500])))
    for params, predictions in results:
        assert_same_bits(params, results[0][0])
        assert_same_bits(predictions, results[0][1])
