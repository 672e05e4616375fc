"""The book's programs on ``fastnn.nnfs`` and in plain NumPy, by turns in one process on one core: microseconds a step.

    python benchmarks/nnfs_programs.py [10 14 15 18 ...] [--repeats 15]

Two NumPy sides, with the mathematics, the order of work and the temporary arrays of the book: ``float32`` is
``fastnn._bench.numpy_baseline``, everything in float32; ``as written`` is the same with what the book's ``nnfs.init()``
and its dropout lead to: ``np.dot`` goes through float64, and masks and all that they touch are float64. Each step has
the book's loss, penalties and accuracy. Times are processor time, the least of the repeats and their median.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Callable
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np

from fastnn import nnfs
from fastnn._bench import measure
from fastnn._bench import numpy_baseline as book
from fastnn.nnfs.datasets import spiral_data

Steps = Callable[[int], None]  # so many steps, from where the last call ended


class DenseAsWritten(book.Dense):
    """With the book's np.dot: through float64."""

    def forward(self, inputs: Any, training: bool) -> None:
        self.inputs = inputs
        self.output = _dot(inputs, self.weights) + self.biases

    def backward(self, dvalues: Any) -> None:
        self.dweights = _dot(self.inputs.T, dvalues)
        self.dbiases = np.sum(dvalues, axis=0, keepdims=True)
        for w, dw, l2 in ((self.weights, self.dweights, self.l2), (self.biases, self.dbiases, self.bias_l2)):
            if l2 > 0:
                dw += 2 * l2 * w
        self.dinputs = _dot(dvalues, self.weights.T)


class DropoutAsWritten(book.Dropout):
    """With a mask in float64."""

    def forward(self, inputs: Any, training: bool) -> None:
        self.mask = np.random.binomial(1, self.keep, size=inputs.shape) / self.keep
        self.output = inputs * self.mask


def _dot(a: Any, b: Any) -> Any:
    return np.dot(a.astype("float64"), b.astype("float64")).astype("float32")


def in_numpy(samples: int, neurons: int, l2: float, dropout: float, as_written: bool) -> Steps:
    """The loop of the book, whether it is written out (chapters 10 to 15) or stands in its Model (18)."""
    X, y = spiral_data(samples, 3)
    dense = DenseAsWritten if as_written else book.Dense
    drop = DropoutAsWritten if as_written else book.Dropout
    layers: list[book.Layer] = [dense(2, neurons, l2=l2, bias_l2=l2), book.ReLU()]
    layers += [drop(dropout)] if dropout else []
    layers += [dense(neurons, 3), book.Softmax()]
    optimizer = book.Adam(learning_rate=0.05, decay=5e-5)

    def run(steps: int) -> None:
        book.train(layers, optimizer, X, y, epochs=steps)

    return run


def by_hand(samples: int, neurons: int, l2: float, dropout: float) -> Steps:
    """Chapters 10 to 15 on fastnn.nnfs."""
    X, y = spiral_data(samples, 3)
    dense1 = nnfs.Layer_Dense(2, neurons, weight_regularizer_l2=l2, bias_regularizer_l2=l2)
    activation1, dropout1, dense2 = nnfs.Activation_ReLU(), nnfs.Layer_Dropout(dropout), nnfs.Layer_Dense(neurons, 3)
    loss_activation = nnfs.Activation_Softmax_Loss_CategoricalCrossentropy()
    optimizer = nnfs.Optimizer_Adam(learning_rate=0.05, decay=5e-5)

    def run(steps: int) -> None:
        for _ in range(steps):
            dense1.forward(X)
            activation1.forward(dense1.output)
            hidden = activation1.output
            if dropout:
                dropout1.forward(hidden)
                hidden = dropout1.output
            dense2.forward(hidden)
            loss_activation.forward(dense2.output, y)
            if l2:
                loss_activation.loss.regularization_loss(dense1)
                loss_activation.loss.regularization_loss(dense2)
            predictions = np.argmax(loss_activation.output, axis=1)
            np.mean(predictions == y)
            loss_activation.backward(loss_activation.output, y)
            dense2.backward(loss_activation.dinputs)
            gradient = dense2.dinputs
            if dropout:
                dropout1.backward(gradient)
                gradient = dropout1.dinputs
            activation1.backward(gradient)
            dense1.backward(activation1.dinputs)
            optimizer.pre_update_params()
            optimizer.update_params(dense1)
            optimizer.update_params(dense2)
            optimizer.post_update_params()

    return run


def by_model(samples: int, neurons: int, l2: float, dropout: float) -> Steps:
    """Chapter 18 on fastnn.nnfs."""
    X, y = spiral_data(samples, 3)
    model = nnfs.Model()
    model.add(nnfs.Layer_Dense(2, neurons, weight_regularizer_l2=l2, bias_regularizer_l2=l2))
    model.add(nnfs.Activation_ReLU())
    model.add(nnfs.Layer_Dropout(dropout))
    model.add(nnfs.Layer_Dense(neurons, 3))
    model.add(nnfs.Activation_Softmax())
    model.set(
        loss=nnfs.Loss_CategoricalCrossentropy(),
        optimizer=nnfs.Optimizer_Adam(learning_rate=0.05, decay=5e-5),
        accuracy=nnfs.Accuracy_Categorical(),
    )
    model.finalize()
    return lambda steps: model.train(X, y, epochs=steps, print_every=0)


# samples a class, neurons, l2, dropout; our side; our steps and NumPy's in one repeat
PROGRAMS: dict[str, tuple[tuple[int, int, float, float], Callable[..., Steps], int, int]] = {
    "10": ((100, 64, 0.0, 0.0), by_hand, 400, 50),
    "14": ((100, 64, 5e-4, 0.0), by_hand, 400, 50),
    "15": ((1000, 64, 5e-4, 0.1), by_hand, 60, 6),
    "18": ((1000, 512, 5e-4, 0.1), by_model, 20, 2),
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("chapters", nargs="*", help=f"of {', '.join(PROGRAMS)}; all where none is given")
    parser.add_argument("--repeats", type=int, default=15)
    arguments = parser.parse_args()
    if not measure.is_single_threaded():
        return measure.run_single_threaded(str(Path(__file__).resolve()), *sys.argv[1:])
    with measure.pinned():
        for chapter in arguments.chapters or PROGRAMS:
            sizes, ours, steps, fewer = PROGRAMS[chapter]
            sides: dict[str, tuple[Steps, int]] = {
                "fastnn.nnfs": (ours(*sizes), steps),
                "float32": (in_numpy(*sizes, as_written=False), fewer),
                "as written": (in_numpy(*sizes, as_written=True), fewer),
            }
            times: dict[str, list[float]] = {name: [] for name in sides}
            for _ in range(arguments.repeats):
                for name, (side, count) in sides.items():
                    start = process_time()
                    side(count)
                    times[name].append((process_time() - start) / count * 1e6)
            for figure, of in (("least", min), ("median", statistics.median)):
                us = {name: of(values) for name, values in times.items()}
                shown = ", ".join(f"{name} {value:,.1f} us" for name, value in us.items())
                ratios = " and ".join(f"{us[name] / us['fastnn.nnfs']:.1f}" for name in ("float32", "as written"))
                print(f"chapter {chapter}, {figure}: {shown}: {ratios} times", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
