"""The book's classes in plain NumPy, written anew: what ``fastnn.nnfs`` is compared with.

The same names and the same draws from NumPy's global generator. ``init`` chooses float32 or float64; in float32, masks
and what they touch are float64, as NumPy makes them in the book.
"""

from __future__ import annotations

from typing import Any

import numpy as np

Array = Any
_real: Any = np.float32


def init(dtype: str = "float32", seed: int = 0) -> None:
    global _real
    _real = np.dtype(dtype).type
    np.random.seed(seed)


def _randn(*shape: int) -> Array:
    return np.random.randn(*shape).astype(_real)


def _dot(a: Array, b: Array) -> Array:
    return np.dot(a.astype(np.float64), b.astype(np.float64)).astype(_real)


def spiral_data(samples: int, classes: int) -> tuple[Array, Array]:
    X, y = [], []
    for c in range(classes):
        r, t = np.linspace(0, 1, samples), np.linspace(4 * c, 4 * c + 4, samples) + _randn(samples) * 0.2
        X.append(np.stack([r * np.sin(2.5 * t), r * np.cos(2.5 * t)], axis=1))
        y.append(np.full(samples, c, np.uint8))
    return np.concatenate(X).astype(_real), np.concatenate(y)


def vertical_data(samples: int, classes: int) -> tuple[Array, Array]:
    X = [np.stack([_randn(samples) * 0.1 + c / 3, _randn(samples) * 0.1 + 0.5], axis=1) for c in range(classes)]
    return np.concatenate(X).astype(_real), np.repeat(np.arange(classes, dtype=np.uint8), samples)


def sine_data(samples: int = 1000) -> tuple[Array, Array]:
    X = np.arange(samples).reshape(-1, 1) / samples
    return X, np.sin(2 * np.pi * X)


class Layer_Dense:
    def __init__(self, n_inputs: int, n_neurons: int,
                 weight_regularizer_l1: float = 0, weight_regularizer_l2: float = 0,
                 bias_regularizer_l1: float = 0, bias_regularizer_l2: float = 0) -> None:  # fmt: skip
        self.weights = 0.01 * _randn(n_inputs, n_neurons)
        self.biases = np.zeros((1, n_neurons), _real)
        self.strengths = (
            (weight_regularizer_l1, weight_regularizer_l2),
            (bias_regularizer_l1, bias_regularizer_l2),
        )

    def forward(self, inputs: Array, training: bool = True) -> None:
        self.inputs = inputs
        self.output = _dot(inputs, self.weights) + self.biases

    def backward(self, dvalues: Array) -> None:
        self.dweights = _dot(self.inputs.T, dvalues)
        self.dbiases = np.sum(dvalues, axis=0, keepdims=True)
        for w, dw, (l1, l2) in zip(
            (self.weights, self.biases), (self.dweights, self.dbiases), self.strengths, strict=True
        ):
            dw += l1 * np.where(w < 0, -1, 1) + 2 * l2 * w
        self.dinputs = _dot(dvalues, self.weights.T)


class Layer_Dropout:
    def __init__(self, rate: float) -> None:
        self.rate = 1 - rate

    def forward(self, inputs: Array, training: bool = True) -> None:
        if training:
            self.binary_mask = np.random.binomial(1, self.rate, size=inputs.shape) / self.rate
            self.output = inputs * self.binary_mask
        else:
            self.output = inputs.copy()

    def backward(self, dvalues: Array) -> None:
        self.dinputs = dvalues * self.binary_mask


class Activation_ReLU:
    def forward(self, inputs: Array, training: bool = True) -> None:
        self.inputs, self.output = inputs, np.maximum(0, inputs)

    def backward(self, dvalues: Array) -> None:
        self.dinputs = np.where(self.inputs > 0, dvalues, 0)


class Activation_Softmax:
    def forward(self, inputs: Array, training: bool = True) -> None:
        e = np.exp(inputs - inputs.max(axis=1, keepdims=True))
        self.output = e / e.sum(axis=1, keepdims=True)

    def backward(self, dvalues: Array) -> None:
        jacobians = [np.diag(p) - np.outer(p, p) for p in self.output]
        self.dinputs = np.array([j @ d for j, d in zip(jacobians, dvalues, strict=True)])

    def predictions(self, outputs: Array) -> Array:
        return outputs.argmax(axis=1)


class Activation_Sigmoid:
    def forward(self, inputs: Array, training: bool = True) -> None:
        self.output = 1 / (1 + np.exp(-inputs))

    def backward(self, dvalues: Array) -> None:
        self.dinputs = dvalues * (1 - self.output) * self.output

    def predictions(self, outputs: Array) -> Array:
        return (outputs > 0.5) * 1


class Activation_Linear:
    def forward(self, inputs: Array, training: bool = True) -> None:
        self.output = inputs

    def backward(self, dvalues: Array) -> None:
        self.dinputs = dvalues.copy()

    def predictions(self, outputs: Array) -> Array:
        return outputs


def _one_hot(y: Array, classes: int) -> Array:
    return np.eye(classes)[y] if np.ndim(y) == 1 else np.asarray(y)


def _clip(p: Array) -> Array:
    return np.clip(p, 1e-7, 1 - 1e-7)


class Loss:
    def calculate(self, output: Array, y: Array, *, include_regularization: bool = False) -> Any:
        losses = self.forward(output, y)
        self.total, self.rows = self.total + losses.sum(), self.rows + len(losses)
        return (losses.mean(), self.regularization_loss()) if include_regularization else losses.mean()

    def calculate_accumulated(self) -> tuple[float, float]:
        return self.total / self.rows, self.regularization_loss()

    total, rows = 0.0, 0

    def new_pass(self) -> None:
        self.total, self.rows = 0.0, 0

    def remember_trainable_layers(self, layers: list[Any]) -> None:
        self.layers = layers

    def regularization_loss(self, layer: Any = None) -> float:
        loss = 0.0
        for one in self.layers if layer is None else [layer]:
            for w, (l1, l2) in zip((one.weights, one.biases), one.strengths, strict=True):
                loss += l1 * np.sum(np.abs(w)) + l2 * np.sum(w * w)
        return loss

    def forward(self, p: Array, y: Array) -> Array:
        raise NotImplementedError


class Loss_CategoricalCrossentropy(Loss):
    def forward(self, p: Array, y: Array) -> Array:
        return -np.log((_clip(p) * _one_hot(y, p.shape[1])).sum(axis=1))

    def backward(self, dvalues: Array, y: Array) -> None:
        self.dinputs = -_one_hot(y, dvalues.shape[1]) / dvalues / len(dvalues)


class Loss_BinaryCrossentropy(Loss):
    def forward(self, p: Array, y: Array) -> Array:
        return -(y * np.log(_clip(p)) + (1 - y) * np.log(1 - _clip(p))).mean(axis=-1)

    def backward(self, dvalues: Array, y: Array) -> None:
        q = _clip(dvalues)
        self.dinputs = -(y / q - (1 - y) / (1 - q)) / dvalues.shape[1] / len(dvalues)


class Loss_MeanSquaredError(Loss):
    def forward(self, p: Array, y: Array) -> Array:
        return ((y - p) ** 2).mean(axis=-1)

    def backward(self, dvalues: Array, y: Array) -> None:
        self.dinputs = -2 * (y - dvalues) / dvalues.shape[1] / len(dvalues)


class Loss_MeanAbsoluteError(Loss):
    def forward(self, p: Array, y: Array) -> Array:
        return np.abs(y - p).mean(axis=-1)

    def backward(self, dvalues: Array, y: Array) -> None:
        self.dinputs = np.sign(dvalues - y) / dvalues.shape[1] / len(dvalues)


class Activation_Softmax_Loss_CategoricalCrossentropy:
    def __init__(self) -> None:
        self.activation, self.loss = Activation_Softmax(), Loss_CategoricalCrossentropy()

    def forward(self, inputs: Array, y: Array) -> Any:
        self.activation.forward(inputs)
        self.output = self.activation.output
        return self.loss.calculate(self.output, y)

    def backward(self, dvalues: Array, y: Array) -> None:
        self.dinputs = (dvalues - _one_hot(y, dvalues.shape[1])) / len(dvalues)


class _Optimizer:
    states: tuple[str, ...] = ()

    def __init__(self, learning_rate: float, decay: float) -> None:
        self.learning_rate = self.current_learning_rate = learning_rate
        self.decay, self.iterations = decay, 0

    def pre_update_params(self) -> None:
        if self.decay:
            self.current_learning_rate = self.learning_rate * (1.0 / (1.0 + self.decay * self.iterations))

    def update_params(self, layer: Any) -> None:
        if not hasattr(layer, "weight_cache") and "cache" in self.states:  # as the book has it, all begin together
            for name in ("weight_momentums", "bias_momentums"):
                vars(layer).pop(name, None)
        for array, name in (("weights", "weight"), ("biases", "bias")):
            w, g = getattr(layer, array), getattr(layer, f"d{array}")
            old = [getattr(layer, f"{name}_{s}", np.zeros_like(w)) for s in self.states]
            change, *new = self.step(g, *old)
            w += change
            for s, value in zip(self.states, new, strict=True):
                setattr(layer, f"{name}_{s}", value)

    def post_update_params(self) -> None:
        self.iterations += 1


class Optimizer_SGD(_Optimizer):
    def __init__(self, learning_rate: float = 1.0, decay: float = 0.0, momentum: float = 0.0) -> None:
        super().__init__(learning_rate, decay)
        self.momentum, self.states = momentum, ("momentums",) if momentum else ()

    def step(self, g: Array, *m: Array) -> tuple[Array, ...]:
        change = -self.current_learning_rate * g
        return (change,) if not m else (self.momentum * m[0] + change,) * 2


class Optimizer_Adagrad(_Optimizer):
    states = ("cache",)

    def __init__(self, learning_rate: float = 1.0, decay: float = 0.0, epsilon: float = 1e-7) -> None:
        super().__init__(learning_rate, decay)
        self.epsilon = epsilon

    def step(self, g: Array, cache: Array) -> tuple[Array, ...]:
        cache = cache + g**2
        return -self.current_learning_rate * g / (np.sqrt(cache) + self.epsilon), cache


class Optimizer_RMSprop(_Optimizer):
    states = ("cache",)

    def __init__(
        self, learning_rate: float = 1e-3, decay: float = 0.0, epsilon: float = 1e-7, rho: float = 0.9
    ) -> None:
        super().__init__(learning_rate, decay)
        self.epsilon, self.rho = epsilon, rho

    def step(self, g: Array, cache: Array) -> tuple[Array, ...]:
        cache = self.rho * cache + (1 - self.rho) * g**2
        return -self.current_learning_rate * g / (np.sqrt(cache) + self.epsilon), cache


class Optimizer_Adam(_Optimizer):
    states = ("momentums", "cache")

    def __init__(self, learning_rate: float = 1e-3, decay: float = 0.0, epsilon: float = 1e-7, beta_1: float = 0.9,
                 beta_2: float = 0.999) -> None:  # fmt: skip
        super().__init__(learning_rate, decay)
        self.epsilon, self.beta_1, self.beta_2 = epsilon, beta_1, beta_2

    def step(self, g: Array, m: Array, v: Array) -> tuple[Array, ...]:
        m, v = self.beta_1 * m + (1 - self.beta_1) * g, self.beta_2 * v + (1 - self.beta_2) * g**2
        t = self.iterations + 1
        corrected = m / (1 - self.beta_1**t)
        root = np.sqrt(v / (1 - self.beta_2**t))
        return -self.current_learning_rate * corrected / (root + self.epsilon), m, v


class Accuracy:
    right, count = 0, 0

    def init(self, y: Array) -> None:
        pass

    def calculate(self, predictions: Array, y: Array) -> float:
        comparisons = self.compare(predictions, y)
        self.right, self.count = self.right + comparisons.sum(), self.count + comparisons.size
        return comparisons.mean()

    def calculate_accumulated(self) -> float:
        return self.right / self.count

    def new_pass(self) -> None:
        self.right, self.count = 0, 0


class Accuracy_Categorical(Accuracy):
    def __init__(self, *, binary: bool = False) -> None:
        self.binary = binary

    def compare(self, predictions: Array, y: Array) -> Array:
        return predictions == (y.argmax(axis=1) if y.ndim == 2 and not self.binary else y)


class Accuracy_Regression(Accuracy):
    precision = None

    def init(self, y: Array, reinit: bool = False) -> None:
        if self.precision is None or reinit:
            self.precision = np.std(y) / 250

    def compare(self, predictions: Array, y: Array) -> Array:
        return np.abs(predictions - y) < self.precision


class Model:
    """Training and what it prints, of chapters 18 (no batch_size) and 19."""

    def __init__(self) -> None:
        self.layers: list[Any] = []

    def add(self, layer: Any) -> None:
        self.layers.append(layer)

    def set(self, *, loss: Any, optimizer: Any, accuracy: Any) -> None:
        self.loss, self.optimizer, self.accuracy = loss, optimizer, accuracy

    def finalize(self) -> None:
        self.trainable = [layer for layer in self.layers if isinstance(layer, Layer_Dense)]
        self.loss.remember_trainable_layers(self.trainable)

    def forward(self, X: Array, training: bool) -> Array:
        for layer in self.layers:
            layer.forward(X, training)
            X = layer.output
        return X

    def backward(self, output: Array, y: Array) -> None:
        merged = isinstance(self.layers[-1], Activation_Softmax) and isinstance(self.loss, Loss_CategoricalCrossentropy)
        last: Any = Activation_Softmax_Loss_CategoricalCrossentropy() if merged else self.loss
        last.backward(output, y)
        gradient = last.dinputs
        for layer in reversed(self.layers[:-1] if merged else self.layers):
            layer.backward(gradient)
            gradient = layer.dinputs

    def train(self, X: Array, y: Array, *, epochs: int = 1, batch_size: Any = None, print_every: int = 1,
              validation_data: Any = None) -> None:  # fmt: skip
        self.accuracy.init(y)
        size = batch_size or len(X)
        for epoch in range(1, epochs + 1):
            if batch_size:
                print(f"epoch: {epoch}")
            self.loss.new_pass()
            self.accuracy.new_pass()
            for step, start in enumerate(range(0, len(X), size)):
                batch_X, batch_y = X[start : start + size], y[start : start + size]
                output = self.forward(batch_X, True)
                losses = self.loss.calculate(output, batch_y, include_regularization=True)
                right = self.accuracy.calculate(self.layers[-1].predictions(output), batch_y)
                self.backward(output, batch_y)
                self.optimizer.pre_update_params()
                for layer in self.trainable:
                    self.optimizer.update_params(layer)
                self.optimizer.post_update_params()
                if not batch_size and epoch % print_every == 0:
                    self.line(f"epoch: {epoch}", right, *losses)
                elif batch_size and (step % print_every == 0 or start + size >= len(X)):
                    self.line(f"step: {step}", right, *losses)
            if batch_size:
                self.line("training", self.accuracy.calculate_accumulated(), *self.loss.calculate_accumulated())
                if validation_data:
                    self.evaluate(*validation_data, batch_size=batch_size)
        if validation_data and not batch_size:
            self.evaluate(*validation_data)

    def line(self, name: str, accuracy: float, data_loss: float, penalties: float) -> None:
        print(
            f"{name}, acc: {accuracy:.3f}, loss: {data_loss + penalties:.3f} (data_loss: {data_loss:.3f}, "
            f"reg_loss: {penalties:.3f}), lr: {self.optimizer.current_learning_rate}"
        )

    def evaluate(self, X: Array, y: Array, *, batch_size: Any = None) -> None:
        self.loss.new_pass()
        self.accuracy.new_pass()
        size = batch_size or len(X)
        for start in range(0, len(X), size):
            output = self.forward(X[start : start + size], False)
            self.loss.calculate(output, y[start : start + size])
            self.accuracy.calculate(self.layers[-1].predictions(output), y[start : start + size])
        accuracy, (loss, _) = self.accuracy.calculate_accumulated(), self.loss.calculate_accumulated()
        print(f"validation, acc: {accuracy:.3f}, loss: {loss:.3f}")

    def predict(self, X: Array, *, batch_size: Any = None) -> Array:
        size = batch_size or len(X)
        return np.vstack([self.forward(X[s : s + size], False) for s in range(0, len(X), size)])
