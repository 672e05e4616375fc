"""The book's networks in plain NumPy, and the race against them.

The classes and ``train``, float32 as *Neural Networks from Scratch* writes them, stand in
``src/fastnn/_bench/numpy_baseline.py``, from where ``fastnn bench`` takes them in an installed wheel too.

    python benchmarks/numpy_baseline.py --data-dir DIR [--epochs 10] [--repeats 3]

trains the book's Fashion-MNIST model (784-128-128-10, ReLU, batch 128, Adam with learning rate and decay 1e-3) in
fastnn and in NumPy by turns, on one core and one thread each, from the same initial weights, and prints wall times and
test accuracies. Each side shuffles for itself; with --no-shuffle both see the same batches.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from pathlib import Path
from time import perf_counter

import numpy as np

from fastnn import data
from fastnn._bench import measure
from fastnn._bench.numpy_baseline import (
    SGD,
    AdaGrad,
    Adam,
    Array,
    Dense,
    Dropout,
    Layer,
    Optimizer,
    ReLU,
    RMSprop,
    Softmax,
    forward,
    train,
)
from fastnn._bench.steps import Net

__all__ = ["SGD", "AdaGrad", "Adam", "Dense", "Dropout", "Layer", "Optimizer", "RMSprop", "ReLU", "Softmax", "forward",
           "train"]  # fmt: skip

FASHION = Net("Fashion-MNIST", (784, 128, 128, 10), 128, 60_000, decay=1e-3)


def train_fastnn(X: Array, y: Array, X_test: Array, y_test: Array, epochs: int, shuffle: bool) -> tuple[float, float]:
    """(seconds, test accuracy)."""
    start = perf_counter()
    model = FASHION.model()
    model.train(X, y, epochs=epochs, batch_size=FASHION.batch, shuffle=shuffle)
    return perf_counter() - start, model.evaluate(X_test, y_test).accuracy


def train_numpy(X: Array, y: Array, X_test: Array, y_test: Array, epochs: int, shuffle: bool) -> tuple[float, float]:
    """(seconds, test accuracy)."""
    start = perf_counter()
    layers = FASHION.layers()
    train(layers, FASHION.optimizer(), X, y, epochs=epochs, batch_size=FASHION.batch, shuffle=shuffle)
    seconds = perf_counter() - start
    right = np.argmax(forward(layers, X_test, training=False), axis=1) == y_test
    return seconds, float(np.mean(right))


def main() -> int:
    parser = argparse.ArgumentParser(description="The book's Fashion-MNIST model: fastnn against plain NumPy.")
    parser.add_argument("--data-dir", help="folder of the four Fashion-MNIST files; downloaded where it is not given")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--no-shuffle", action="store_true", help="the book's order in every epoch")
    arguments = parser.parse_args()
    if not measure.is_single_threaded():
        return measure.run_single_threaded(str(Path(__file__).resolve()), *sys.argv[1:])

    (X, y), (X_test, y_test) = data.fashion_mnist(data_dir=arguments.data_dir, dtype="float32")
    sides = {"fastnn": train_fastnn, "numpy": train_numpy}
    times: dict[str, list[float]] = {name: [] for name in sides}
    with measure.pinned():
        for _ in range(arguments.repeats):
            for name, side in sides.items():
                seconds, accuracy = side(X, y, X_test, y_test, arguments.epochs, not arguments.no_shuffle)
                times[name].append(seconds)
                print(f"{name:7} {seconds:6.2f} s, test accuracy {accuracy:.4f}", flush=True)
    ours, theirs = (statistics.median(times[name]) for name in sides)
    print(f"NumPy takes {theirs / ours:.2f} times as long (medians of {arguments.repeats}, {arguments.epochs} epochs)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
