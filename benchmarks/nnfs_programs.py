"""The book's programs on ``fastnn.nnfs`` and in plain NumPy, by turns in one process on one core: microseconds a step.

    python benchmarks/nnfs_programs.py [10 14 15 16 17 18 19 ...] [--repeats 15]

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
from typing import Any, NamedTuple

import numpy as np

from fastnn import nnfs
from fastnn._bench import measure
from fastnn._bench import numpy_baseline as book
from fastnn.nnfs.datasets import sine_data, spiral_data

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


# --- chapters 16 and 17: one output, by hand ---


class Sigmoid(book.Layer):
    def forward(self, inputs: Any, training: bool) -> None:
        self.inputs = inputs
        self.output = 1 / (1 + np.exp(-inputs))

    def backward(self, dvalues: Any) -> None:
        self.dinputs = dvalues * (1 - self.output) * self.output


class Linear(book.Layer):
    def forward(self, inputs: Any, training: bool) -> None:
        self.inputs = self.output = inputs

    def backward(self, dvalues: Any) -> None:
        self.dinputs = dvalues.copy()


def one_output(regression: bool) -> tuple[Any, Any, Callable[[Any, Any], Any]]:
    """X, y and the accuracy."""
    if regression:
        X, y = sine_data()
        precision = np.std(y) / 250
        return X, y, lambda output, y: np.mean(np.absolute(output - y) < precision)
    X, y = spiral_data(100, 2)
    return X, y.reshape(-1, 1), lambda output, y: np.mean((output > 0.5) * 1 == y)


def one_output_in_numpy(l2: float, regression: bool, as_written: bool) -> Steps:
    X, y, right = one_output(regression)
    dense = DenseAsWritten if as_written else book.Dense
    layers: list[book.Layer] = [dense(X.shape[1], 64, l2=l2, bias_l2=l2), book.ReLU()]
    layers += [dense(64, 64), book.ReLU()] if regression else []
    layers += [dense(64, 1), Linear() if regression else Sigmoid()]
    optimizer = book.Adam(learning_rate=0.005, decay=1e-3)
    loss = book.mean_squared_error if regression else book.binary_crossentropy
    gradient_of = book.mean_squared_error_gradient if regression else book.binary_crossentropy_gradient

    def run(steps: int) -> None:
        for _ in range(steps):
            output = book.forward(layers, X, training=True)
            np.mean(loss(output, y))
            sum(layer.penalty() for layer in layers[::2])  # type: ignore[attr-defined]
            right(output, y)
            gradient = gradient_of(output, y)
            for layer in reversed(layers):
                layer.backward(gradient)
                gradient = layer.dinputs
            optimizer.pre_update()
            for layer in layers[::2]:
                optimizer.update_layer(layer)  # type: ignore[arg-type]
            optimizer.post_update()

    return run


def one_output_by_hand(l2: float, regression: bool) -> Steps:
    X, y, right = one_output(regression)
    first = nnfs.Layer_Dense(X.shape[1], 64, weight_regularizer_l2=l2, bias_regularizer_l2=l2)
    layers: list[Any] = [first, nnfs.Activation_ReLU()]
    layers += [nnfs.Layer_Dense(64, 64), nnfs.Activation_ReLU()] if regression else []
    layers += [nnfs.Layer_Dense(64, 1), nnfs.Activation_Linear() if regression else nnfs.Activation_Sigmoid()]
    optimizer = nnfs.Optimizer_Adam(learning_rate=0.005, decay=1e-3)
    loss: Any = nnfs.Loss_MeanSquaredError() if regression else nnfs.Loss_BinaryCrossentropy()

    def run(steps: int) -> None:
        for _ in range(steps):
            output = X
            for layer in layers:
                layer.forward(output)
                output = layer.output
            loss.calculate(output, y)
            sum(loss.regularization_loss(layer) for layer in layers[::2])
            right(output, y)
            loss.backward(output, y)
            gradient = loss.dinputs
            for layer in reversed(layers):
                layer.backward(gradient)
                gradient = layer.dinputs
            optimizer.pre_update_params()
            for layer in layers[::2]:
                optimizer.update_params(layer)
            optimizer.post_update_params()

    return run


# --- chapter 19: the model on pictures, ten batches an epoch ---
ROWS, BATCH = 1280, 128


def pictures() -> tuple[Any, Any]:
    draw = np.random.default_rng(0)
    return draw.uniform(-1, 1, (ROWS, 784)).astype(np.float32), draw.integers(0, 10, ROWS)


def pictures_in_numpy(as_written: bool) -> Steps:
    X, y = pictures()
    dense = DenseAsWritten if as_written else book.Dense
    layers: list[book.Layer] = [dense(784, 128), book.ReLU(), dense(128, 128), book.ReLU(), dense(128, 10),
                                book.Softmax()]  # fmt: skip
    optimizer = book.Adam(learning_rate=0.001, decay=1e-3)

    def run(steps: int) -> None:
        book.train(layers, optimizer, X, y, epochs=steps * BATCH // ROWS, batch_size=BATCH)

    return run


def pictures_by_model() -> Steps:
    X, y = pictures()
    model = nnfs.Model()
    for layer in (nnfs.Layer_Dense(784, 128), nnfs.Activation_ReLU(), nnfs.Layer_Dense(128, 128),
                  nnfs.Activation_ReLU(), nnfs.Layer_Dense(128, 10), nnfs.Activation_Softmax()):  # fmt: skip
        model.add(layer)
    model.set(
        loss=nnfs.Loss_CategoricalCrossentropy(),
        optimizer=nnfs.Optimizer_Adam(learning_rate=0.001, decay=1e-3),
        accuracy=nnfs.Accuracy_Categorical(),
    )
    model.finalize()
    return lambda steps: model.train(X, y, epochs=steps * BATCH // ROWS, batch_size=BATCH, print_every=0)


class Program(NamedTuple):
    """The sides take what is said of the network, NumPy's as_written= too; steps and NumPy's steps of one repeat."""

    ours: Callable[..., Steps]
    numpy: Callable[..., Steps]
    network: tuple[Any, ...]
    steps: int
    numpy_steps: int


PROGRAMS = {  # of a spiral: samples a class, neurons, l2, dropout; of one output: l2, and whether it is a regression
    "10": Program(by_hand, in_numpy, (100, 64, 0.0, 0.0), 400, 50),
    "14": Program(by_hand, in_numpy, (100, 64, 5e-4, 0.0), 400, 50),
    "15": Program(by_hand, in_numpy, (1000, 64, 5e-4, 0.1), 60, 6),
    "16": Program(one_output_by_hand, one_output_in_numpy, (5e-4, False), 400, 50),
    "17": Program(one_output_by_hand, one_output_in_numpy, (0.0, True), 60, 20),
    "18": Program(by_model, in_numpy, (1000, 512, 5e-4, 0.1), 20, 2),
    "19": Program(pictures_by_model, pictures_in_numpy, (), 100, 20),
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
            p = PROGRAMS[chapter]
            sides: dict[str, tuple[Steps, int]] = {
                "fastnn.nnfs": (p.ours(*p.network), p.steps),
                "float32": (p.numpy(*p.network, as_written=False), p.numpy_steps),
                "as written": (p.numpy(*p.network, as_written=True), p.numpy_steps),
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
