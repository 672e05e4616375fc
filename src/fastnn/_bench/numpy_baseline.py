"""The networks of *Neural Networks from Scratch* (Kinsley and Kukiela, 2020) in plain float32 NumPy: what fastnn is
measured against. ``benchmarks/numpy_baseline.py`` sets the two side by side.

The mathematics, the order of the work and the temporary arrays are the book's; names and structure are our own. Two
things differ: everything stays float32 (the book slips into float64 in initial weights, one-hot rows and dropout masks,
which would make NumPy slower), and initial weights may be given, so that both sides can do the same arithmetic.

Shapes: inputs (rows, n_in), weights (n_in, n_out), biases (1, n_out), outputs (rows, n_out), labels (rows,).
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]

CLIP = 1e-7


# --- layers and activations: forward keeps what backward needs; backward leaves dinputs ---


class Layer:
    inputs: Array
    output: Array
    dinputs: Array

    def forward(self, inputs: Array, training: bool) -> None:
        raise NotImplementedError

    def backward(self, dvalues: Array) -> None:
        raise NotImplementedError


class Dense(Layer):
    """Layer_Dense: chapters 3, 9 and 14. Weights 0.01 * normal, biases 0, where none are given."""

    def __init__(self, n_inputs: int, n_neurons: int, *, l1: float = 0.0, l2: float = 0.0, bias_l1: float = 0.0,
                 bias_l2: float = 0.0, weights: Array | None = None, biases: Array | None = None) -> None:  # fmt: skip
        drawn = 0.01 * np.random.randn(n_inputs, n_neurons) if weights is None else weights
        self.weights: Array = np.array(drawn, np.float32)
        self.biases: Array = np.zeros((1, n_neurons), np.float32)
        if biases is not None:
            self.biases[...] = biases
        self.l1, self.l2, self.bias_l1, self.bias_l2 = l1, l2, bias_l1, bias_l2
        self.states: dict[str, list[Array]] = {}

    def forward(self, inputs: Array, training: bool) -> None:
        self.inputs = inputs
        self.output = np.dot(inputs, self.weights) + self.biases

    def backward(self, dvalues: Array) -> None:
        self.dweights: Array = np.dot(self.inputs.T, dvalues)
        self.dbiases: Array = np.sum(dvalues, axis=0, keepdims=True)
        if self.l1 > 0:
            self.dweights += self.l1 * signs(self.weights)
        if self.l2 > 0:
            self.dweights += 2 * self.l2 * self.weights
        if self.bias_l1 > 0:
            self.dbiases += self.bias_l1 * signs(self.biases)
        if self.bias_l2 > 0:
            self.dbiases += 2 * self.bias_l2 * self.biases
        self.dinputs = np.dot(dvalues, self.weights.T)

    def penalty(self) -> float:
        """The regularization loss."""
        total = 0.0
        for w, l1, l2 in ((self.weights, self.l1, self.l2), (self.biases, self.bias_l1, self.bias_l2)):
            if l1 > 0:
                total += l1 * float(np.sum(np.abs(w)))
            if l2 > 0:
                total += l2 * float(np.sum(w * w))
        return total


def signs(w: Array) -> Array:
    """The book's gradient of |w|: 1, and -1 where w < 0."""
    gradient = np.ones_like(w)
    gradient[w < 0] = -1
    return gradient


class Dropout(Layer):
    """Layer_Dropout: chapter 15. rate is the share dropped."""

    def __init__(self, rate: float) -> None:
        self.keep = 1 - rate

    def forward(self, inputs: Array, training: bool) -> None:
        if not training:
            self.output = inputs.copy()
            return
        kept = np.asarray(np.random.binomial(1, self.keep, size=inputs.shape))
        self.mask: Array = (kept / self.keep).astype(np.float32)
        self.output = inputs * self.mask

    def backward(self, dvalues: Array) -> None:
        self.dinputs = dvalues * self.mask


class ReLU(Layer):
    """Activation_ReLU: chapters 4 and 9."""

    def forward(self, inputs: Array, training: bool) -> None:
        self.inputs = inputs
        self.output = np.maximum(0, inputs)

    def backward(self, dvalues: Array) -> None:
        self.dinputs = dvalues.copy()
        self.dinputs[self.inputs <= 0] = 0


class Softmax(Layer):
    """Activation_Softmax: chapter 4. Its gradient is merged with the loss's (chapter 9): no backward of its own."""

    def forward(self, inputs: Array, training: bool) -> None:
        exponentials = np.exp(inputs - np.max(inputs, axis=1, keepdims=True))
        self.output = exponentials / np.sum(exponentials, axis=1, keepdims=True)


# --- losses: the loss of each row, and the gradient of their mean ---


def categorical_crossentropy(predictions: Array, labels: Array) -> Array:
    """Loss_CategoricalCrossentropy.forward: chapter 5."""
    clipped = np.clip(predictions, CLIP, 1 - CLIP)
    losses: Array = -np.log(clipped[range(len(predictions)), labels])
    return losses


def categorical_crossentropy_gradient(predictions: Array, labels: Array) -> Array:
    """Loss_CategoricalCrossentropy.backward: chapter 9."""
    one_hot = np.eye(predictions.shape[1], dtype=np.float32)[labels]
    gradient: Array = -one_hot / predictions / len(predictions)
    return gradient


def softmax_crossentropy_gradient(predictions: Array, labels: Array) -> Array:
    """Activation_Softmax_Loss_CategoricalCrossentropy.backward: chapter 9."""
    gradient = predictions.copy()
    gradient[range(len(predictions)), labels] -= 1
    gradient /= len(predictions)
    return gradient


def binary_crossentropy(predictions: Array, targets: Array) -> Array:
    """Loss_BinaryCrossentropy.forward: chapter 16."""
    clipped = np.clip(predictions, CLIP, 1 - CLIP)
    losses: Array = np.mean(-(targets * np.log(clipped) + (1 - targets) * np.log(1 - clipped)), axis=-1)
    return losses


def binary_crossentropy_gradient(predictions: Array, targets: Array) -> Array:
    """Loss_BinaryCrossentropy.backward: chapter 16."""
    clipped = np.clip(predictions, CLIP, 1 - CLIP)
    gradient = -(targets / clipped - (1 - targets) / (1 - clipped)) / predictions.shape[1]
    scaled: Array = gradient / len(predictions)
    return scaled


def mean_squared_error(predictions: Array, targets: Array) -> Array:
    """Loss_MeanSquaredError.forward: chapter 17."""
    losses: Array = np.mean((targets - predictions) ** 2, axis=-1)
    return losses


def mean_squared_error_gradient(predictions: Array, targets: Array) -> Array:
    """Loss_MeanSquaredError.backward: chapter 17."""
    gradient: Array = -2 * (targets - predictions) / predictions.shape[1] / len(predictions)
    return gradient


def mean_absolute_error(predictions: Array, targets: Array) -> Array:
    """Loss_MeanAbsoluteError.forward: chapter 17."""
    losses: Array = np.mean(np.abs(targets - predictions), axis=-1)
    return losses


def mean_absolute_error_gradient(predictions: Array, targets: Array) -> Array:
    """Loss_MeanAbsoluteError.backward: chapter 17."""
    gradient: Array = -np.sign(targets - predictions) / predictions.shape[1] / len(predictions)
    return gradient


# --- optimizers: chapter 10. ``update`` changes one array and its states in place ---


class Optimizer:
    state_count = 0

    def __init__(self, learning_rate: float = 1.0, decay: float = 0.0) -> None:
        self.learning_rate = self.current_learning_rate = learning_rate
        self.decay, self.iterations = decay, 0

    def pre_update(self) -> None:
        if self.decay:
            self.current_learning_rate = self.learning_rate * (1.0 / (1.0 + self.decay * self.iterations))

    def update_layer(self, layer: Dense) -> None:
        for name, w, g in (("weights", layer.weights, layer.dweights), ("biases", layer.biases, layer.dbiases)):
            if name not in layer.states:
                layer.states[name] = [np.zeros_like(w) for _ in range(self.state_count)]
            self.update(w, g, layer.states[name])

    def update(self, w: Array, g: Array, states: list[Array]) -> None:
        raise NotImplementedError

    def post_update(self) -> None:
        self.iterations += 1


class SGD(Optimizer):
    """Optimizer_SGD; momentum 0 is plain gradient descent."""

    def __init__(self, learning_rate: float = 1.0, decay: float = 0.0, momentum: float = 0.0) -> None:
        super().__init__(learning_rate, decay)
        self.momentum, self.state_count = momentum, 1 if momentum else 0

    def update(self, w: Array, g: Array, states: list[Array]) -> None:
        if self.momentum:
            states[0] = self.momentum * states[0] - self.current_learning_rate * g
            w += states[0]
        else:
            w += -self.current_learning_rate * g


class AdaGrad(Optimizer):
    """Optimizer_Adagrad."""

    state_count, epsilon = 1, 1e-7

    def update(self, w: Array, g: Array, states: list[Array]) -> None:
        states[0] += g**2
        w += -self.current_learning_rate * g / (np.sqrt(states[0]) + self.epsilon)


class RMSprop(Optimizer):
    """Optimizer_RMSprop."""

    state_count, epsilon, rho = 1, 1e-7, 0.9

    def update(self, w: Array, g: Array, states: list[Array]) -> None:
        states[0] = self.rho * states[0] + (1 - self.rho) * g**2
        w += -self.current_learning_rate * g / (np.sqrt(states[0]) + self.epsilon)


class Adam(Optimizer):
    """Optimizer_Adam."""

    state_count, epsilon, beta_1, beta_2 = 2, 1e-7, 0.9, 0.999

    def update(self, w: Array, g: Array, states: list[Array]) -> None:
        states[0] = self.beta_1 * states[0] + (1 - self.beta_1) * g
        momentums = states[0] / (1 - self.beta_1 ** (self.iterations + 1))
        states[1] = self.beta_2 * states[1] + (1 - self.beta_2) * g**2
        cache = states[1] / (1 - self.beta_2 ** (self.iterations + 1))
        w += -self.current_learning_rate * momentums / (np.sqrt(cache) + self.epsilon)


# --- the model: chapters 18 and 19 ---


def train(layers: list[Layer], optimizer: Optimizer, X: Array, y: Array, *, epochs: int = 1,
          batch_size: int | None = None, shuffle: bool = False) -> list[float]:  # fmt: skip
    """Model.train of the book for a classifier: layers end in Softmax, the loss is categorical cross-entropy.

    Each step computes loss, regularization loss and accuracy as the book's does. X (rows, features) float32, y (rows,)
    labels; batch_size None takes all rows. Returns the data loss of every step.
    """
    dense = [layer for layer in layers if isinstance(layer, Dense)]
    batch = len(X) if batch_size is None else batch_size
    data_losses = []
    for _ in range(epochs):
        if shuffle:
            keys = np.random.permutation(len(X))
            X, y = X[keys], y[keys]
        loss_sum, right, count = 0.0, 0, 0
        for start in range(0, len(X), batch):
            batch_X, batch_y = X[start : start + batch], y[start : start + batch]
            output = forward(layers, batch_X, training=True)

            sample_losses = categorical_crossentropy(output, batch_y)
            data_losses.append(float(np.mean(sample_losses)))
            loss_sum += float(np.sum(sample_losses)) + sum(layer.penalty() for layer in dense)
            comparisons = np.argmax(output, axis=1) == batch_y
            right += int(np.sum(comparisons))
            count += len(comparisons)

            gradient = softmax_crossentropy_gradient(output, batch_y)
            for layer in reversed(layers[:-1]):
                layer.backward(gradient)
                gradient = layer.dinputs

            optimizer.pre_update()
            for layer in dense:
                optimizer.update_layer(layer)
            optimizer.post_update()
    return data_losses


def forward(layers: list[Layer], X: Array, *, training: bool) -> Array:
    """The output of the last layer."""
    for layer in layers:
        layer.forward(X, training)
        X = layer.output
    return X
